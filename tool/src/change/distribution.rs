//! `all`: the stacks that the others include, by the distribution's own tool: authselect, or
//! pam-auth-update.

use crate::change::pam_auth_update::UPDATE;
use crate::change::plan::Planned;
use crate::change::service::{Service, path};
use crate::change::{authselect, pam_auth_update};
use crate::outcome::{Exit, Failure};
use crate::pam_stack::edit::names_us;
use clap::Args;
use std::path::{Path, PathBuf};

/// The options of the child process.
#[derive(Args)]
pub(crate) struct Options {
    /// pam-auth-update: folder with the copies
    #[arg(long)]
    folder: Option<PathBuf>,
    /// authselect: its arguments
    #[arg(long, num_args = 1..)]
    authselect: Vec<String>,
}

/// What it takes, and what speaks against it.
pub(crate) fn change() -> Result<(Vec<Planned>, Vec<String>), Failure> {
    let (plans, mut objections) = if is_by_authselect() {
        authselect::change()?
    } else {
        (pam_auth_update::plans()?, Vec::new())
    };
    objections.extend(ask_already());
    Ok((plans, objections))
}

/// Whether the stacks here are made by authselect. Debian has it, too, but includes no stack of it.
fn is_by_authselect() -> bool {
    authselect::is_here() && !Path::new(UPDATE).exists()
}

/// The services whose own stacks name us: behind the common one they would ask twice.
fn ask_already() -> Vec<String> {
    let stacks = Service::All.logins().iter();
    let texts = stacks.filter_map(|stack| {
        let text = std::fs::read_to_string(path(stack)).ok()?;
        names_us(&text).map(|line| (stack, line))
    });
    texts
        .map(|(stack, line)| {
            format!("/etc/pam.d/{stack}:{line}: asks OneLogin already; that login would ask twice")
        })
        .collect()
}

/// Lets the distribution's tool take us out, where its stacks were changed since; what changed.
pub(crate) fn take_out() -> Result<Vec<String>, Failure> {
    if is_by_authselect() {
        authselect::take_out()
    } else {
        pam_auth_update::take_out()
    }
}

/// The child: authselect over layers, or pam-auth-update over the copies.
pub(crate) fn preview(options: &Options) -> Result<Exit, Failure> {
    match &options.folder {
        Some(folder) => pam_auth_update::preview_here(folder),
        None => authselect::preview_here(&options.authselect),
    }
}
