//! Two calls of libpam that pam-bindings does not have, and one that it cannot make safe; the look-up of a
//! group, for which nix has no more than 1 MiB; and the time limits of glibc's resolver. The only file with `unsafe`.
#![allow(unsafe_code)]

use crate::denials::Denials;
use libc::{c_char, c_int, c_uint, c_ulong, c_ushort, size_t};
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

// Limits for name look-ups. Only glibc has this resolver state; another C library does not have the symbols.
const _: () = assert!(cfg!(all(target_os = "linux", target_env = "gnu")));

/// The head of `struct __res_state`: glibc's `resolv/bits/types/res_state.h`, installed as `<bits/types/res_state.h>`, before
/// glibc 2.26 in `<resolv.h>`. The struct and these functions have the symbol version of the first release for each architecture
/// (2.2.5 on AMD64, 2.17 on ARM64), so the layout cannot change; glibc 2.28, 2.36 and 2.41 have the same head.
/// What follows is left out, as nothing here allocates such a struct.
#[repr(C)]
struct ResolverState {
    /// Seconds to wait for an answer.
    retrans: c_int,
    /// How often all name servers are asked.
    retry: c_int,
    /// The flags below, and others.
    options: c_ulong,
    /// How many name servers there are, 3 at most.
    nscount: c_int,
    /// The name servers with an IPv4 address.
    nsaddr_list: [libc::sockaddr_in; 3],
    /// The number of the last query.
    id: c_ushort,
    /// The first six domains of the search list, and a null pointer.
    dnsrch: [*const c_char; 7],
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(
    std::mem::offset_of!(ResolverState, options) == 8
        && std::mem::offset_of!(ResolverState, nscount) == 16
        && std::mem::offset_of!(ResolverState, dnsrch) == 72
);

// Flags of `options`: `<resolv.h>`, the same numbers since glibc 2.2.
/// The state is initialised.
const RES_INIT: c_ulong = 0x0000_0001;
/// A truncated answer is taken as it is, instead of asking again by TCP, for which glibc has no time limit.
const RES_IGNTC: c_ulong = 0x0000_0020;
/// A name with a dot is also looked up in the domains of the search list.
const RES_DNSRCH: c_ulong = 0x0000_0200;
/// The name server may send answers of more than 512 bytes (RFC 6891).
const RES_USE_EDNS0: c_ulong = 0x0010_0000;
/// The query for IPv6 is sent after the answer to the one for IPv4, from a port of its own. Without it, glibc asks in this way
/// only after it has waited twice for the missing one of two answers.
const ONE_BY_ONE: c_ulong = 0x0020_0000 | 0x0040_0000;

unsafe extern "C" {
    /// The resolver state of this thread. Source: `<resolv.h>`, where `_res` is `(*__res_state())`.
    fn __res_state() -> *mut ResolverState;
    /// Source: `gethostbyname_r(3)`. The crate libc does not have it.
    fn gethostbyname_r(
        name: *const c_char,
        entry: *mut libc::hostent,
        buffer: *mut c_char,
        size: size_t,
        result: *mut *mut libc::hostent,
        code: *mut c_int,
    ) -> c_int;
}

/// How name servers are asked within [`limited`]. Each server is asked once, by UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asking {
    /// For the name as it stands, one second each.
    First,
    /// The same with two seconds each, and the query for IPv6 after the one for IPv4.
    Patiently,
    /// As the first time, but the answer may have more than 512 bytes.
    ForLongAnswers,
    /// As the first time, but in the domains of the search list, too.
    InDomains,
}

impl Asking {
    /// How long an answer of a server is waited for, in seconds. glibc waits up to three times as long where a server answers
    /// one of two queries that were sent together.
    #[must_use]
    pub fn seconds(self) -> u8 {
        match self {
            Self::First | Self::ForLongAnswers | Self::InDomains => 1,
            Self::Patiently => 2,
        }
    }

    /// The flags, made of those of the host program.
    fn options(self, found: c_ulong) -> c_ulong {
        let as_it_stands = (found | RES_IGNTC) & !RES_DNSRCH;
        match self {
            Self::First => as_it_stands,
            Self::Patiently => as_it_stands | ONE_BY_ONE,
            Self::ForLongAnswers => as_it_stands | RES_USE_EDNS0,
            Self::InDomains => found | RES_IGNTC,
        }
    }
}

/// What resolv.conf says of the name servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolver {
    /// How many are asked.
    pub servers: usize,
    /// In how many domains a name with a dot is searched; the C library shows 6 at most.
    pub domains: usize,
}

/// Does a look-up with time limits for the name servers; what the host program has set in its resolver is there again
/// afterwards, and before each look-up a changed resolv.conf is read, as usual. `None`: the resolver cannot be initialised.
///
/// Only glibc's own DNS look-up (`dns` in nsswitch.conf) keeps these limits.
pub fn limited<T>(asking: Asking, look_up: impl FnOnce(Resolver) -> T) -> Option<T> {
    let limits = Limits::set(asking)?;
    Some(look_up(limits.resolver))
}

/// The limits of a look-up, until it is dropped: also where the look-up panics. It has a pointer, so it stays in its thread.
struct Limits {
    state: *mut ResolverState,
    retrans: c_int,
    retry: c_int,
    options: c_ulong,
    resolver: Resolver,
}

impl Limits {
    fn set(asking: Asking) -> Option<Self> {
        if !refresh() {
            return None;
        }
        // SAFETY: the function takes nothing, and gives a pointer to a thread-local variable of glibc, which is there and aligned
        // for as long as this thread.
        let state = unsafe { __res_state() };
        // SAFETY: see above; the fields are those of the struct, see there. Only this thread uses its state, and
        // glibc does so only within a call. The pointers of the list are compared, never followed.
        unsafe {
            let (retrans, retry, options) = ((*state).retrans, (*state).retry, (*state).options);
            if options & RES_INIT == 0 {
                return None;
            }
            let domains = (*state).dnsrch;
            let domains = domains.iter().take_while(|domain| !domain.is_null());
            let is_searched = options & RES_DNSRCH != 0;
            let limits = Self {
                state,
                retrans,
                retry,
                options,
                resolver: Resolver {
                    servers: usize::try_from((*state).nscount).unwrap_or_default(),
                    domains: if is_searched { domains.count() } else { 0 },
                },
            };
            (*state).retrans = asking.seconds().into();
            (*state).retry = 1;
            (*state).options = asking.options(options);
            Some(limits)
        }
    }
}

impl Drop for Limits {
    fn drop(&mut self) {
        // SAFETY: the pointer is that of `__res_state` in this thread, which has not ended: the value cannot leave it.
        unsafe {
            (*self.state).retrans = self.retrans;
            (*self.state).retry = self.retry;
            (*self.state).options = self.options;
        }
    }
}

/// Has glibc initialise the resolver of this thread, or read a resolv.conf that has changed, just as it would at the next
/// look-up. It does so at the start of each look-up, also for a name that is an address, but not while the state differs from
/// the file, as it does with our limits. Source: glibc, `resolv/resolv_context.c`, `maybe_init`, since 2.26;
/// `nss/getXXbyYY_r.c`.
fn refresh() -> bool {
    let mut entry = libc::hostent {
        h_name: std::ptr::null_mut(),
        h_aliases: std::ptr::null_mut(),
        h_addrtype: 0,
        h_length: 0,
        h_addr_list: std::ptr::null_mut(),
    };
    // What an address takes: itself, its text, and a few pointers.
    let mut buffer: [c_char; 256] = [0; 256];
    let (mut result, mut code) = (std::ptr::null_mut(), 0);
    // SAFETY: all pointers are to values that live until the end of this function, the size is that of the buffer, and the name
    // ends in a NUL. What the call has filled in is not looked at.
    let error = unsafe {
        gethostbyname_r(
            c"127.0.0.1".as_ptr(),
            &raw mut entry,
            buffer.as_mut_ptr(),
            buffer.len(),
            &raw mut result,
            &raw mut code,
        )
    };
    error == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::catch_unwind;

    const ALL: [Asking; 4] = [
        Asking::First,
        Asking::Patiently,
        Asking::ForLongAnswers,
        Asking::InDomains,
    ];

    /// The fields that the host program may have set: retrans, retry, options.
    fn now() -> (c_int, c_int, c_ulong) {
        // SAFETY: as in `Limits::set`.
        unsafe {
            let state = __res_state();
            ((*state).retrans, (*state).retry, (*state).options)
        }
    }

    /// As a host program would do it.
    fn set((retrans, retry, options): (c_int, c_int, c_ulong)) {
        // SAFETY: as in `Limits::set`.
        unsafe {
            let state = __res_state();
            (*state).retrans = retrans;
            (*state).retry = retry;
            (*state).options = options;
        }
    }

    #[test]
    fn the_resolver_of_the_host_program_is_as_it_was_after_a_look_up() {
        assert!(refresh());
        let usual = now();
        assert_ne!(usual.2 & RES_INIT, 0);
        // As resolv.conf has it, and as a program may have set it.
        for found in [usual, (7, 3, usual.2 | RES_USE_EDNS0 | ONE_BY_ONE)] {
            set(found);
            for asking in ALL {
                let during = limited(asking, |_| {
                    let during = now();
                    // What glibc itself sets while it asks.
                    set((during.0, during.1, during.2 | ONE_BY_ONE));
                    during
                });
                let during = during.unwrap();
                assert_eq!(during.0, c_int::from(asking.seconds()));
                assert_eq!(during.1, 1);
                assert_ne!(during.2 & RES_IGNTC, 0, "{asking:?}");
                assert_eq!(now(), found, "{asking:?}");
            }
        }
    }

    #[test]
    fn the_resolver_of_the_host_program_is_as_it_was_after_a_panic() {
        assert!(refresh());
        let found = now();
        let result = catch_unwind(|| limited(Asking::First, |_| panic!("in a look-up")));
        assert!(result.is_err());
        assert_eq!(now(), found);
    }

    #[test]
    fn a_resolver_that_was_never_used_is_initialised_as_by_any_look_up() {
        // The state of a new thread is empty.
        assert_eq!(now().2 & RES_INIT, 0);
        let during = limited(Asking::First, |_| now()).unwrap();
        let after = now();
        assert!(refresh());
        assert_eq!(now(), after);
        assert_eq!(during.2, Asking::First.options(after.2));
    }

    #[test]
    fn only_the_last_way_to_ask_searches_domains_and_only_one_asks_for_long_answers() {
        let found = RES_INIT | RES_DNSRCH;
        for asking in ALL {
            let options = asking.options(found);
            let is_searched = options & RES_DNSRCH != 0;
            assert_eq!(is_searched, asking == Asking::InDomains, "{asking:?}");
            let is_long = options & RES_USE_EDNS0 != 0;
            assert_eq!(is_long, asking == Asking::ForLongAnswers, "{asking:?}");
        }
    }

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
