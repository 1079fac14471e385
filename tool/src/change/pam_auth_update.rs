//! `all` on systems where pam-auth-update writes the stacks. It runs in a mount namespace on copies; the
//! result is then tried and written like any other change.

use crate::change::plan::{Planned, names_us_as_planned};
use crate::change::sandbox::{Scratch, own_program, private_mounts};
use crate::host::files;
use crate::host::programs::clean;
use crate::outcome::{Exit, Failure};
use nix::mount::{MsFlags, mount};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// What pam-auth-update would change.
pub(crate) fn plans() -> Result<Vec<Planned>, Failure> {
    for needed in [UPDATE, PROFILE] {
        if !Path::new(needed).exists() {
            return Err(Failure::new(format!(
                "{needed} does not exist; pass a service instead of all: sshd, sudo, su, login"
            )));
        }
    }
    let scratch = Scratch::make()?;
    let mut before = Vec::new();
    for (number, folder) in FOLDERS.iter().enumerate() {
        let copies = copies(&scratch.0, number);
        files::private_folder(&copies)?;
        for path in plain_files(Path::new(folder))? {
            if let Some(file) = files::snapshot(&path)? {
                let copy = copies.join(path.file_name().unwrap_or_default());
                files::put(&copy, &file.bytes, &file.metadata)?;
                before.push((path, copy, file));
            }
        }
    }
    let status = clean(own_program()?)
        .args(["preview", "--folder"])
        .arg(&scratch.0)
        .stdin(Stdio::null())
        .status()
        .map_err(|error| Failure::new(format!("the trial run of {UPDATE} failed: {error}")))?;
    if !status.success() {
        return Err(Failure::new(format!(
            "the trial run of {UPDATE} failed: {status}"
        )));
    }
    let mut plans = Vec::new();
    // pam-auth-update writes the database of debconf at each run.
    for (path, copy, before) in before
        .into_iter()
        .filter(|(path, ..)| !path.starts_with(DEBCONF))
    {
        let after = files::snapshot(&copy)?.map(|file| file.bytes);
        match after {
            Some(after) if after != before.bytes => plans.push(Planned {
                path,
                before: Some(before),
                after,
            }),
            _ => {}
        }
    }
    if !is_on(&plans)? {
        return Err(Failure::new(format!(
            "{COMMON}: was edited by hand, so pam-auth-update does not change it; to discard the edits, \
             type: pam-auth-update --force --enable onelogin"
        )));
    }
    Ok(plans)
}

/// Whether the common stack calls `pam_onelogin`, once these files are as planned.
fn is_on(plans: &[Planned]) -> Result<bool, Failure> {
    names_us_as_planned(Path::new(COMMON), plans)
}

/// The child process: no other process sees what it does to the copies.
pub(crate) fn preview_here(folder: &Path) -> Result<Exit, Failure> {
    private_mounts()?;
    let none: Option<&str> = None;
    for (number, place) in FOLDERS.iter().enumerate() {
        let copies = copies(folder, number);
        mount(Some(&copies), *place, none, MsFlags::MS_BIND, none)
            .map_err(|errno| Failure::new(format!("{place}: {}", errno.desc())))?;
    }
    update("--enable")?;
    Ok(Exit::Good)
}

/// Lets pam-auth-update remove `pam_onelogin`; returns the changed files.
pub(crate) fn take_out() -> Result<Vec<String>, Failure> {
    if !is_on(&[])? {
        return Ok(Vec::new());
    }
    update("--disable")?;
    if is_on(&[])? {
        return Err(Failure::new(format!(
            "{COMMON}: was edited by hand, so pam-auth-update does not change it; remove the line with \
             pam_onelogin.so by hand"
        )));
    }
    Ok(vec![COMMON.to_owned()])
}

fn update(what: &str) -> Result<(), Failure> {
    let status = clean(UPDATE)
        .args([what, "onelogin"])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::new(format!("{UPDATE}: {status}"))),
        Err(error) => Err(Failure::new(format!("{UPDATE}: {error}"))),
    }
}

fn copies(scratch: &Path, number: usize) -> PathBuf {
    scratch.join(format!("copies-{number}"))
}

/// The plain files in a folder.
fn plain_files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |error: std::io::Error| Failure::at(folder, error);
    let mut found = Vec::new();
    for entry in folder.read_dir().map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_file() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// The folders that pam-auth-update writes to: stacks, its own state, and the database of debconf.
const FOLDERS: [&str; 3] = ["/etc/pam.d", "/var/lib/pam", DEBCONF];
const DEBCONF: &str = "/var/cache/debconf";
const COMMON: &str = "/etc/pam.d/common-auth";
pub(crate) const UPDATE: &str = "/usr/sbin/pam-auth-update";
const PROFILE: &str = "/usr/share/pam-configs/onelogin";
