//! Runs programs of the system. Through sudo, a user controls part of the tool's environment, so none of it is
//! passed on (rule R3).

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// A program with an empty environment and no arguments; the caller adds what it needs.
pub(crate) fn clean(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .current_dir("/");
    command
}

/// Runs the first of these paths that exists, to its end; `None` if none exists or it cannot be run.
pub(crate) fn run(paths: &[&str], arguments: &[&str]) -> Option<Output> {
    let mut output = paths.iter().filter(|path| Path::new(path).exists());
    let mut command = clean(output.next()?);
    command
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::null());
    command.output().ok()
}

/// As [`run`]: the output of a successful run.
pub(crate) fn output_of(paths: &[&str], arguments: &[&str]) -> Option<String> {
    let output = run(paths, arguments).filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs this program to its end; whether it exists and succeeds.
pub(crate) fn works(program: &str, arguments: &[&str]) -> bool {
    run(&[program], arguments).is_some_and(|output| output.status.success())
}

/// Whether systemd has started this system, and can be asked.
pub(crate) fn systemd_runs() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

pub(crate) const SYSTEMCTL: &str = "/usr/bin/systemctl";

/// Where systemd reads units, the most important folder first.
pub(crate) const UNIT_FOLDERS: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];
