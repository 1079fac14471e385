//! `all`: the stack that other stacks include, which pam-auth-update writes. It runs in a mount namespace on
//! copies; the result is then tried and written like any other change. Where authselect writes such stacks,
//! the administrator types its commands.

use crate::change::plan::{self, Planned, names_us_as_planned};
use crate::change::sandbox::{Scratch, own_program, private_mounts};
use crate::change::service::{Service, used};
use crate::host::files;
use crate::host::programs::clean;
use crate::outcome::{Exit, Failure};
use crate::pam_stack::edit::names_us;
use clap::Args;
use nix::mount::{MsFlags, mount};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// The options of the child process.
#[derive(Args)]
pub(crate) struct Options {
    /// Folder with the copies
    #[arg(long)]
    folder: PathBuf,
}

/// The files to write, and the objections to them.
pub(crate) fn change() -> Result<(Vec<Planned>, Vec<String>), Failure> {
    if is_by_authselect() {
        return Err(Failure(vec![
            "authselect writes the stacks of this host, and this tool does not run it; keep a root shell \
             open, and type:"
                .to_owned(),
            format!("    {SELECT}"),
            "    pam-onelogin check".to_owned(),
            format!("to go back, type: {GO_BACK}"),
            "or pass a service instead of all: sshd, sudo, su, login".to_owned(),
        ]));
    }
    Ok((plans()?, ask_already()))
}

/// The services whose own stacks call `pam_onelogin`: with the common stack they would ask twice.
fn ask_already() -> Vec<String> {
    let stacks = Service::All.logins().iter();
    let texts = stacks.filter_map(|stack| {
        let path = used(stack)?;
        let line = names_us(&std::fs::read_to_string(&path).ok()?)?;
        Some((stack, path, line))
    });
    texts
        .map(|(stack, path, line)| {
            let path = path.display();
            format!(
                "{path}:{line}: this line asks OneLogin already; a login of {stack} would \
                 ask twice; remove the line first"
            )
        })
        .collect()
}

/// Whether authselect writes the stacks of this host. Debian ships it, too, but does not include its stacks.
fn is_by_authselect() -> bool {
    Path::new(AUTHSELECT).exists() && !Path::new(UPDATE).exists()
}

/// What pam-auth-update would change.
fn plans() -> Result<Vec<Planned>, Failure> {
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
pub(crate) fn preview(options: &Options) -> Result<Exit, Failure> {
    private_mounts()?;
    let none: Option<&str> = None;
    for (number, place) in FOLDERS.iter().enumerate() {
        let copies = copies(&options.folder, number);
        mount(Some(&copies), *place, none, MsFlags::MS_BIND, none)
            .map_err(|errno| Failure::new(format!("{place}: {}", errno.desc())))?;
    }
    update("--enable")?;
    Ok(Exit::Good)
}

/// Lets pam-auth-update remove `pam_onelogin`; returns the changed files.
pub(crate) fn take_out() -> Result<Vec<String>, Failure> {
    if is_by_authselect() {
        let place = plan::asks(Service::All);
        return place.map_or(Ok(Vec::new()), |place| {
            Err(Failure::new(format!(
                "{place}: this line asks OneLogin, and authselect writes such stacks; type: {GO_BACK}"
            )))
        });
    }
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
const UPDATE: &str = "/usr/sbin/pam-auth-update";
const PROFILE: &str = "/usr/share/pam-configs/onelogin";
const AUTHSELECT: &str = "/usr/bin/authselect";
/// Selects the profile of the .rpm with the features that are selected now. docs/install.md shows it, too.
const SELECT: &str = "authselect select onelogin with-onelogin $(authselect current --raw | cut -s -d' ' -f2-) \
     --backup=before-onelogin";
const GO_BACK: &str = "authselect backup-restore before-onelogin";
