//! The offline codes of this host, user by user.

use pam_onelogin::clock::unix_now;
use pam_onelogin::config::Config;
use pam_onelogin::host::uids;
use pam_onelogin::state::offline_codes::OfflineCodes;
use pam_onelogin::trust::Trusted;
use std::collections::BTreeMap;

/// The codes of one user.
#[derive(Debug, Default)]
pub(crate) struct Codes {
    /// How many work now.
    pub(crate) usable: usize,
    /// How many are over.
    pub(crate) expired: usize,
    /// Files that were copied, restored or changed, and codes from the future.
    pub(crate) not_valid: usize,
    /// When the first of those that work is over, in seconds since 1970.
    pub(crate) end: Option<u64>,
    /// Who issued one of those that work.
    pub(crate) by: String,
}

/// The codes of each user, by name and uid. Without a user: files that are not codes.
///
/// # Errors
/// Why the folder cannot be used.
pub(crate) fn of_all(config: &Config) -> Result<BTreeMap<Option<(String, u32)>, Codes>, String> {
    let mut users: BTreeMap<_, Codes> = BTreeMap::new();
    if !config.offline_dir.exists() {
        return Ok(users);
    }
    let codes = OfflineCodes::of(config, Trusted::of(uids()));
    if let Some(trouble) = codes.trouble() {
        return Err(trouble.to_string());
    }
    let failed = |error: std::io::Error| format!("{}: {error}", config.offline_dir.display());
    let now = unix_now();
    for file in codes.all().map_err(failed)? {
        let record = file.record;
        let user = record.as_ref().map(|it| (it.user.clone(), it.uid));
        let of_user = users.entry(user).or_default();
        match record.filter(|_| file.is_original) {
            Some(record) if record.is_valid(now) => {
                of_user.usable += 1;
                of_user.end = Some(of_user.end.map_or(record.end, |end| end.min(record.end)));
                of_user.by = record.by;
            }
            Some(record) if now >= record.end => of_user.expired += 1,
            _ => of_user.not_valid += 1,
        }
    }
    Ok(users)
}
