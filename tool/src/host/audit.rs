//! The log lines of the tool, under its own name, with the user who ran the command.

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

/// The user who logged in to run the command, as the kernel remembers it, even through sudo and su; otherwise
/// the owner of this process.
pub(crate) fn admin() -> String {
    let login = std::fs::read_to_string("/proc/self/loginuid").unwrap_or_default();
    let login = login.trim().parse().ok().filter(|&uid| uid != u32::MAX);
    let uid = login.unwrap_or(uids().real);
    match Nss.by_uid(uid) {
        Ok(Some(account)) => account.name,
        _ => uid.to_string(),
    }
}
