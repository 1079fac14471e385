//! Two calls of libpam that pam-bindings lacks, and one that it cannot make safe; and the look-up of a
//! group, for which nix has no more than 1 MiB. The only file with `unsafe`.
#![allow(unsafe_code)]

use crate::denials::Denials;
use libc::{c_char, c_int, c_uint};
use pam::module::PamHandle;
use std::ffi::CStr;
use std::io;

unsafe extern "C" {
    fn pam_getenv(handle: *const PamHandle, name: *const c_char) -> *const c_char;
    fn pam_fail_delay(handle: *mut PamHandle, microseconds: c_uint) -> c_int;
}

/// A variable of the PAM environment, copied; `None` when it is not set. This is what the host
/// program put there, never the process's own environment, which in sudo is the caller's.
/// Source: `pam_getenv(3)`.
#[must_use]
pub fn environment(handle: &PamHandle, name: &CStr) -> Option<Vec<u8>> {
    // SAFETY: the handle is the live one that libpam gave to the hook, and `name` ends in a NUL.
    let value = unsafe { pam_getenv(std::ptr::from_ref(handle), name.as_ptr()) };
    if value.is_null() {
        return None;
    }
    // SAFETY: pam_getenv gives a string that ends in a NUL and stays until the environment
    // changes, which it cannot while `handle` is borrowed; it is copied at once.
    let value = unsafe { CStr::from_ptr(value) };
    Some(value.to_bytes().to_vec())
}

/// Asks libpam to wait for about this long, in microseconds, after the stack has failed. libpam
/// takes the longest wish of the stack and sleeps once. Source: `pam_fail_delay(3)`.
pub fn fail_delay(handle: &mut PamHandle, microseconds: u32) {
    // SAFETY: the handle is the live one that libpam gave to the hook. A refusal changes nothing.
    let _ = unsafe { pam_fail_delay(std::ptr::from_mut(handle), microseconds) };
}

/// The name of what we keep in a PAM handle, with its size. Another version of the module finds nothing
/// under its own.
const DENIALS: &str = concat!("pam_onelogin-denials-192-", env!("CARGO_PKG_VERSION"));
const _: () = assert!(size_of::<Denials>() == 192 && align_of::<Denials>() == 1);

/// The denials that this handle keeps; `None` where there are none. Source: `pam_get_data(3)`.
#[must_use]
pub fn denials(handle: &PamHandle) -> Option<&Denials> {
    // SAFETY: whatever is kept under this name was put there by `keep_denials` of this version of the
    // module: a `Denials`, which is nothing but bytes, so that other builds of it have the same form.
    // libpam keeps it until `pam_end`, or until it is put there anew, which needs the handle for writing.
    unsafe { handle.get_data(DENIALS) }.ok()
}

/// Has this handle keep denials from now on, if it does not yet. Where libpam cannot,
/// [`denials`] finds none.
pub fn keep_denials(handle: &mut PamHandle) {
    if denials(handle).is_none() {
        let _ = handle.set_data(DENIALS, Box::<Denials>::default());
    }
}

/// The largest record of a group that is read, in bytes: about 800,000 members with names of 12 letters, as each takes a
/// pointer and a NUL, too. Without a limit a broken name service could take all the memory of the host program.
pub const MAX_GROUP: usize = 16 << 20;

/// The buffer for the first try, in bytes; enough for a thousand members.
const FIRST_BUFFER: usize = 16 << 10;

/// By what a group is looked up.
#[derive(Clone, Copy)]
pub enum GroupKey<'a> {
    /// Its name.
    Name(&'a CStr),
    /// Its number.
    Gid(u32),
}

/// A line of the group database.
pub struct GroupEntry {
    /// Its name, as the database spells it.
    pub name: String,
    /// Its number.
    pub gid: u32,
    /// Whether its list of members has the account that was asked for.
    pub lists: bool,
}

/// Looks up groups, with a buffer that grows as far as [`MAX_GROUP`] and is kept from one to the next.
#[derive(Default)]
pub struct GroupReader {
    buffer: Vec<c_char>,
}

impl GroupReader {
    /// The group with this name or number, and whether it lists the account. `None`: there is no such
    /// group. Source: `getgrnam_r(3)`.
    ///
    /// # Errors
    /// Why the group cannot be read: ERANGE where its record is larger than [`MAX_GROUP`], or whatever
    /// the name service says.
    pub fn read(&mut self, key: GroupKey<'_>, account: &CStr) -> io::Result<Option<GroupEntry>> {
        let mut size = self.buffer.len().max(FIRST_BUFFER);
        loop {
            // Too little memory is an error here, and must not end the host program.
            let missing = size.saturating_sub(self.buffer.len());
            self.buffer.try_reserve_exact(missing)?;
            self.buffer.resize(size, 0);
            match self.call(key, account) {
                (0, entry) => return Ok(entry),
                (libc::ENOENT | libc::ESRCH, _) => return Ok(None),
                (libc::ERANGE, _) if size < MAX_GROUP => size = (size * 4).min(MAX_GROUP),
                (code, _) => return Err(io::Error::from_raw_os_error(code)),
            }
        }
    }

    /// One call with the buffer as it is: its error code, and what it found.
    fn call(&mut self, key: GroupKey<'_>, account: &CStr) -> (c_int, Option<GroupEntry>) {
        let mut entry = libc::group {
            gr_name: std::ptr::null_mut(),
            gr_passwd: std::ptr::null_mut(),
            gr_gid: libc::gid_t::MAX,
            gr_mem: std::ptr::null_mut(),
        };
        let mut found = std::ptr::null_mut();
        let (buffer, size) = (self.buffer.as_mut_ptr(), self.buffer.len());
        // SAFETY: all pointers are to values that live until the end of this function, `size` is the
        // length of the buffer, which libc aligns by itself, and a name ends in a NUL.
        let code = unsafe {
            match key {
                GroupKey::Name(name) => {
                    libc::getgrnam_r(name.as_ptr(), &raw mut entry, buffer, size, &raw mut found)
                }
                GroupKey::Gid(gid) => {
                    libc::getgrgid_r(gid, &raw mut entry, buffer, size, &raw mut found)
                }
            }
        };
        if code != 0 || found.is_null() {
            return (code, None);
        }
        // A name service that fills no name in is broken.
        if entry.gr_name.is_null() {
            return (libc::EIO, None);
        }
        // SAFETY: with code 0 and a result that is not null, the call has filled the entry. Its name, which is not null, ends in
        // a NUL, and its list of members is as `lists` wants it. All are in the buffer, which nothing touches before they are
        // copied or compared.
        let entry = unsafe {
            GroupEntry {
                name: CStr::from_ptr(entry.gr_name).to_string_lossy().into_owned(),
                gid: entry.gr_gid,
                lists: lists(entry.gr_mem, account),
            }
        };
        (0, Some(entry))
    }
}

/// Whether a list of members has this account.
///
/// # Safety
/// `members` is null, or the start of a list of pointers that ends in a null pointer; each other pointer is to a string that ends
/// in a NUL. The list need not be aligned: the name service of OS Login in Google's cloud puts it right behind the name.
unsafe fn lists(members: *mut *mut c_char, account: &CStr) -> bool {
    if members.is_null() {
        return false;
    }
    let mut next = members;
    loop {
        // SAFETY: the list goes on until its null pointer, and none of its pointers is read after that one.
        let member = unsafe { next.read_unaligned() };
        if member.is_null() {
            return false;
        }
        // SAFETY: a pointer of the list that is not null is to a string that ends in a NUL.
        if unsafe { CStr::from_ptr(member) } == account {
            return true;
        }
        // SAFETY: the null pointer has not come yet, so that the list goes on behind this one.
        next = unsafe { next.add(1) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_members_need_not_be_aligned() {
        let names = [c"alice", c"bob"];
        for shift in 0..8 {
            let mut buffer = vec![0_u8; shift];
            for name in names {
                buffer.extend(name.as_ptr().addr().to_ne_bytes());
            }
            buffer.extend(0_usize.to_ne_bytes());
            let members: *mut *mut c_char = buffer[shift..].as_mut_ptr().cast();
            let has = |account| unsafe { lists(members, account) };
            assert!(has(c"alice") && has(c"bob") && !has(c"eve"), "{shift}");
        }
        assert!(!unsafe { lists(std::ptr::null_mut(), c"alice") });
    }
}
