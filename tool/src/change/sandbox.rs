//! Where a child of this tool tries what is not in place yet: a folder of its own, and mounts that
//! nobody else sees.

use crate::change::plan::FOLDER;
use crate::host::files;
use crate::outcome::Failure;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use pam_onelogin::host::exists;
use std::path::{Path, PathBuf};

/// What the child reads, taken away at the end.
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

/// Takes away what killed runs have left.
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

/// From now on what this process mounts is seen by nobody else.
pub(crate) fn private_mounts() -> Result<(), Failure> {
    let none: Option<&str> = None;
    unshare(CloneFlags::CLONE_NEWNS)
        .and_then(|()| mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none))
        .map_err(|errno| Failure::new(format!("no mount namespace: {}", errno.desc())))
}

/// This program, for a child of ours.
pub(crate) fn own_program() -> Result<PathBuf, Failure> {
    std::env::current_exe()
        .map_err(|error| Failure::new(format!("this program does not find itself: {error}")))
}

/// The name of a scratch folder, before the process that it is for.
const LOGIN: &str = "login-";
