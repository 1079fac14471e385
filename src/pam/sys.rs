//! Two calls of libpam that pam-bindings lacks, and one that it cannot make safe. The only file with
//! `unsafe`.
#![allow(unsafe_code)]

use crate::denials::Denials;
use libc::{c_char, c_int, c_uint};
use pam::module::PamHandle;
use std::ffi::CStr;

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
