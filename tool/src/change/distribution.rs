//! `all`: the stacks that other stacks include. The distribution's own tool changes them: authselect or
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

/// The files to write, and the objections to them.
pub(crate) fn change() -> Result<(Vec<Planned>, Vec<String>), Failure> {
    let (plans, mut objections) = if is_by_authselect() {
        authselect::change()?
    } else {
        (pam_auth_update::plans()?, Vec::new())
    };
    objections.extend(ask_already());
    Ok((plans, objections))
}

/// Whether authselect writes the stacks of this host. Debian ships it, too, but does not include its stacks.
fn is_by_authselect() -> bool {
    authselect::is_here() && !Path::new(UPDATE).exists()
}

/// The services whose own stacks call `pam_onelogin`: with the common stack they would ask twice.
fn ask_already() -> Vec<String> {
    let stacks = Service::All.logins().iter();
    let texts = stacks.filter_map(|stack| {
        let text = std::fs::read_to_string(path(stack)).ok()?;
        names_us(&text).map(|line| (stack, line))
    });
    texts
        .map(|(stack, line)| {
            format!(
                "/etc/pam.d/{stack}:{line}: this line asks OneLogin already; a login of {stack} would \
                 ask twice; remove the line first"
            )
        })
        .collect()
}

/// Lets the distribution's tool remove `pam_onelogin`, if its stacks have changed since; returns the changed
/// files.
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
