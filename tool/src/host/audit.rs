//! What the tool leaves in the log, under its own name, and who typed it.

use pam_onelogin::host::{Nss, uids};
use pam_onelogin::log::Log;
use pam_onelogin::user::People as _;
use pam_onelogin::verdict::Level;

/// What the log calls this host program.
const SERVICE: &str = "pam-onelogin";

/// One line into the log.
pub(crate) fn leave(level: Level, line: &str) {
    Log::open(SERVICE).line(level, line);
}

/// Who logged in to type this, also behind sudo and su, as the kernel remembers it; else whose
/// process this is.
pub(crate) fn admin() -> String {
    let login = std::fs::read_to_string("/proc/self/loginuid").unwrap_or_default();
    let login = login.trim().parse().ok().filter(|&uid| uid != u32::MAX);
    let uid = login.unwrap_or(uids().real);
    match Nss.by_uid(uid) {
        Ok(Some(account)) => account.name,
        _ => uid.to_string(),
    }
}
