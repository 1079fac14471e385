//! Asking the system's own programs. The tool may be run by sudo, so that its environment is partly the
//! user's: none of it reaches them (rule R3).

use std::process::{Command, Output, Stdio};

/// Runs one of these paths, whichever is there first, to its end; `None` where none is, or it cannot be run.
pub(super) fn run(paths: &[&str], arguments: &[&str]) -> Option<Output> {
    let mut output = paths
        .iter()
        .filter(|path| std::path::Path::new(path).exists());
    let mut command = Command::new(output.next()?);
    command
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C")
        .current_dir("/")
        .stdin(Stdio::null());
    command.output().ok()
}

/// As [`run`]: what it wrote, where it ended well.
pub(super) fn output_of(paths: &[&str], arguments: &[&str]) -> Option<String> {
    let output = run(paths, arguments).filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}
