//! `all`: the stacks that the others include, by the distribution's own tool: authselect, or
//! pam-auth-update. The latter runs in a mount namespace, over copies; what it made of them is then
//! tried and written like any other change.

use crate::Context;
use crate::enable::authselect;
use crate::enable::record::Planned;
use crate::enable::service::Service;
use crate::enable::trial::{Scratch, own_program, private_mounts};
use crate::host::files;
use crate::host::programs::clean;
use crate::outcome::{Exit, Trouble};
use clap::Args;
use nix::mount::{MsFlags, mount};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// What the child is told.
#[derive(Args)]
pub(crate) struct Options {
    /// pam-auth-update: where the copies are
    #[arg(long)]
    folder: Option<PathBuf>,
    /// authselect: what it is told
    #[arg(long, num_args = 1..)]
    authselect: Vec<String>,
}

/// What it takes, and what speaks against it.
pub(super) fn change() -> Result<(Vec<Planned>, Vec<String>), Trouble> {
    let (plans, mut objections) = if is_by_authselect() {
        authselect::change()?
    } else {
        (plans()?, Vec::new())
    };
    objections.extend(ask_already());
    Ok((plans, objections))
}

/// Whether the stacks here are made by authselect. Debian has it, too, but includes no stack of it.
fn is_by_authselect() -> bool {
    authselect::is_here() && !Path::new(UPDATE).exists()
}

/// What pam-auth-update would change.
fn plans() -> Result<Vec<Planned>, Trouble> {
    for needed in [UPDATE, PROFILE] {
        if !Path::new(needed).exists() {
            return Err(Trouble::new(format!(
                "there is no {needed} here; name a service: sshd, sudo, su, login"
            )));
        }
    }
    let scratch = Scratch::make()?;
    let mut before = Vec::new();
    for (number, folder) in FOLDERS.iter().enumerate() {
        let copies = copies(&scratch.0, number);
        files::private_folder(&copies)?;
        for path in files(Path::new(folder))? {
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
        .map_err(|error| Trouble::new(format!("{UPDATE} cannot be tried: {error}")))?;
    if !status.success() {
        return Err(Trouble::new(format!("{UPDATE} did not work: {status}")));
    }
    let mut plans = Vec::new();
    // What debconf noted is made anew whenever pam-auth-update runs.
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
        return Err(Trouble::new(format!(
            "{COMMON}: pam-auth-update leaves it alone, as it was edited by hand; \
             pam-auth-update --force --enable onelogin would write it anew"
        )));
    }
    Ok(plans)
}

/// The services whose own stacks name us: behind the common one they would ask twice.
fn ask_already() -> Vec<String> {
    let stacks = Service::All.logins().iter();
    let texts = stacks.filter_map(|stack| {
        let text = std::fs::read_to_string(super::path(stack)).ok()?;
        super::edit::names_us(&text).map(|line| (stack, line))
    });
    texts
        .map(|(stack, line)| {
            format!("/etc/pam.d/{stack}:{line}: asks OneLogin already; that login would ask twice")
        })
        .collect()
}

/// Whether the common stack names us, once these files are as planned.
fn is_on(plans: &[Planned]) -> Result<bool, Trouble> {
    names_us_as_planned(Path::new(COMMON), plans)
}

/// Whether this stack names us, once these files are as planned.
pub(super) fn names_us_as_planned(path: &Path, plans: &[Planned]) -> Result<bool, Trouble> {
    let text = match plans.iter().find(|plan| plan.path == path) {
        Some(plan) => plan.after.clone(),
        None => files::snapshot(path)?.map_or_else(Vec::new, |file| file.bytes),
    };
    Ok(super::edit::names_us(&String::from_utf8_lossy(&text)).is_some())
}

/// The child: authselect over layers, or pam-auth-update over the copies.
pub(crate) fn preview(_: &Context, options: &Options) -> Result<Exit, Trouble> {
    let Some(folder) = &options.folder else {
        return authselect::preview_here(&options.authselect);
    };
    private_mounts()?;
    let none: Option<&str> = None;
    for (number, place) in FOLDERS.iter().enumerate() {
        let copies = copies(folder, number);
        mount(Some(&copies), *place, none, MsFlags::MS_BIND, none)
            .map_err(|errno| Trouble::new(format!("{place}: {}", errno.desc())))?;
    }
    update("--enable")?;
    Ok(Exit::Good)
}

/// Lets the distribution's tool take us out, where somebody has changed its stacks since; what changed.
pub(crate) fn take_out() -> Result<Vec<String>, Trouble> {
    if is_by_authselect() {
        return authselect::take_out();
    }
    if !is_on(&[])? {
        return Ok(Vec::new());
    }
    update("--disable")?;
    if is_on(&[])? {
        return Err(Trouble::new(format!(
            "{COMMON}: pam-auth-update leaves it alone; take our line out by hand"
        )));
    }
    Ok(vec![COMMON.to_owned()])
}

fn update(what: &str) -> Result<(), Trouble> {
    let status = clean(UPDATE)
        .args([what, "onelogin"])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Trouble::new(format!("{UPDATE}: {status}"))),
        Err(error) => Err(Trouble::new(format!("{UPDATE}: {error}"))),
    }
}

fn copies(scratch: &Path, number: usize) -> PathBuf {
    scratch.join(format!("copies-{number}"))
}

/// The plain files in a folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Trouble> {
    let failed = |error: std::io::Error| Trouble::new(format!("{}: {error}", folder.display()));
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

/// What pam-auth-update writes: stacks, its own notes, and debconf's.
const FOLDERS: [&str; 3] = ["/etc/pam.d", "/var/lib/pam", DEBCONF];
const DEBCONF: &str = "/var/cache/debconf";
const COMMON: &str = "/etc/pam.d/common-auth";
const UPDATE: &str = "/usr/sbin/pam-auth-update";
const PROFILE: &str = "/usr/share/pam-configs/onelogin";
