//! Asking the system's own programs. The tool may be run by sudo, so that its environment is partly the
//! user's: none of it reaches them (rule R3).

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// A program that is told nothing but what the caller adds.
pub(crate) fn clean(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .current_dir("/");
    command
}

/// Runs one of these paths, whichever is there first, to its end; `None` where none is, or it cannot be run.
pub(crate) fn run(paths: &[&str], arguments: &[&str]) -> Option<Output> {
    let mut output = paths.iter().filter(|path| Path::new(path).exists());
    let mut command = clean(output.next()?);
    command
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::null());
    command.output().ok()
}

/// As [`run`]: what it wrote, where it ended well.
pub(crate) fn output_of(paths: &[&str], arguments: &[&str]) -> Option<String> {
    let output = run(paths, arguments).filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs this program to its end; whether it is there and ended well.
pub(crate) fn works(program: &str, arguments: &[&str]) -> bool {
    run(&[program], arguments).is_some_and(|output| output.status.success())
}

/// Whether systemd has started this system, and can be asked.
pub(crate) fn systemd_runs() -> bool {
    Path::new("/run/systemd/system").is_dir()
}
