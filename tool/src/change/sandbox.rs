//! The environment in which a child process tries files that are not in place yet: a folder of its own, and
//! mounts that no other process sees.

use crate::change::plan::FOLDER;
use crate::host::files;
use crate::outcome::Failure;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use pam_onelogin::host::exists;
use std::path::{Path, PathBuf};

/// The files that the child reads; removed at the end.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn make() -> Result<Self, Failure> {
        files::private_folder(Path::new(FOLDER))?;
        sweep();
        let path = Path::new(FOLDER).join(format!("{LOGIN}{}", own_pid()));
        files::private_folder(&path)?;
        Ok(Self(path))
    }
}

/// Removes the folders of runs that were killed.
fn sweep() {
    let entries = Path::new(FOLDER).read_dir();
    for entry in entries.into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(LOGIN));
        if pid.is_some_and(|pid| pid == own_pid() || !exists(pid)) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn own_pid() -> String {
    std::process::id().to_string()
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// From now on, no other process sees what this process mounts.
pub(crate) fn private_mounts() -> Result<(), Failure> {
    let none: Option<&str> = None;
    unshare(CloneFlags::CLONE_NEWNS)
        .and_then(|()| mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none))
        .map_err(|errno| Failure::new(format!("cannot create a mount namespace: {}", errno.desc())))
}

/// The path of this program, for a child process.
pub(crate) fn own_program() -> Result<PathBuf, Failure> {
    std::env::current_exe()
        .map_err(|error| Failure::new(format!("cannot find the path of this program: {error}")))
}

/// The name of a scratch folder, before the process that it is for.
const LOGIN: &str = "login-";
