//! Private files for logins on purpose, which count against no user of this host.

use crate::outcome::Failure;
use pam_onelogin::config::Config;
use pam_onelogin::host::{is_gone, process_identity, uids};
use pam_onelogin::state::State;
use pam_onelogin::trust::Trusted;
use std::path::{Path, PathBuf};

/// The private files of these logins, in a folder of their own below `state_dir`.
pub(crate) struct Scratch {
    path: PathBuf,
    pub(crate) own: State,
    /// Those of all logins on this host.
    pub(crate) host: State,
}

impl Scratch {
    pub(crate) fn new(config: &Config) -> Result<Self, Failure> {
        let trusted = Trusted::of(uids());
        let path = config
            .state_dir
            .join(format!("{NAME}{}", process_identity()));
        let host = State::open(&config.state_dir, trusted);
        if host.trouble().is_none() {
            sweep(&config.state_dir);
        }
        let own = State::open(&path, trusted);
        match host.trouble().or(own.trouble()) {
            Some(trouble) => Err(Failure::new(trouble.to_string())),
            None => Ok(Self { path, own, host }),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// Removes the folders of processes that were killed.
fn sweep(state_dir: &Path) {
    for entry in state_dir.read_dir().into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(NAME));
        if process.is_some_and(is_gone) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// The beginning of their names; the name of the process follows.
const NAME: &str = "prove-";
