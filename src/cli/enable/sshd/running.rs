//! The sshd that runs: what it asks for, and how it comes to read its settings again.

use super::settings::Settings;
use crate::cli::Trouble;
use crate::cli::program::run;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::thread::sleep;
use std::time::Duration;

/// Has the sshd that runs, if one does, read its settings again; the sessions that are open stay.
pub(in super::super) fn reload() -> Result<(), Trouble> {
    // One that finds a fault in them would end.
    let settings = Settings::of(None, "root")?;
    let file = settings.value("pidfile");
    let Some(pid) = running(file) else {
        return Ok(());
    };
    let before = identity(file);
    kill(pid, Signal::SIGHUP)
        .map_err(|errno| Trouble::new(format!("sshd cannot be reloaded: {}", errno.desc())))?;
    // It starts itself anew, and writes its number again once it listens.
    for _ in 0..LOOKS {
        if identity(file).is_some_and(|now| Some(now) != before) {
            return Ok(());
        }
        sleep(LOOK);
    }
    Err(Trouble::new(
        "sshd was told to read its settings again, and has not come back",
    ))
}

/// The sshd whose number is in this file.
fn running(file: &str) -> Option<Pid> {
    let text = std::fs::read_to_string(file).ok()?;
    let pid: i32 = text.trim().parse().ok().filter(|pid| *pid > 1)?;
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    (name.trim() == "sshd").then(|| Pid::from_raw(pid))
}

/// Whether a file is still the same one.
fn identity(file: &str) -> Option<(u64, i64, i64)> {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.ino(), metadata.mtime(), metadata.mtime_nsec()))
}

/// Why the sshd that runs does not do what these settings say; it is asked which methods it
/// offers first.
pub(super) fn unread(settings: &Settings, user: &str) -> Option<String> {
    let address = settings.address()?;
    let ways = settings.ways();
    let first: BTreeSet<&str> = ways.iter().filter_map(|way| way.first().copied()).collect();
    let Some(said) = ask_for_methods(address, user) else {
        return Some(format!(
            "there is no {SSH} to ask the running sshd whether it has read its settings: {RELOAD}"
        ));
    };
    let is_refused = |line: &str| {
        let line = line.trim_end();
        line.starts_with("ssh: connect to host ") && line.ends_with("Connection refused")
    };
    if said.lines().any(is_refused) {
        return None;
    }
    let offered = said
        .rsplit_once("Permission denied (")
        .and_then(|(_, rest)| rest.split(')').next());
    let offered: BTreeSet<&str> = offered
        .map(|list| list.split(',').collect())
        .unwrap_or_default();
    if offered == first {
        return None;
    }
    let list = |methods: BTreeSet<&str>| {
        let methods: Vec<_> = methods.into_iter().collect();
        crate::text::printable(&methods.join(", "))
    };
    Some(format!(
        "the sshd that runs at {address} has not read its settings: it takes first {}, not {}; \
         {RELOAD}",
        if offered.is_empty() {
            "something else".to_owned()
        } else {
            list(offered)
        },
        list(first)
    ))
}

/// What the ssh client says when it offers sshd nothing; `None` where there is no client.
fn ask_for_methods(address: SocketAddr, user: &str) -> Option<String> {
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    let mut arguments = vec!["-F", "/dev/null", "-p", &port, "-l", user];
    for option in [
        "BatchMode=yes",
        "PreferredAuthentications=none",
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "GlobalKnownHostsFile=/dev/null",
        "ConnectTimeout=10",
    ] {
        arguments.extend(["-o", option]);
    }
    arguments.extend(["--", &host, "true"]);
    let output = run(&[SSH], &arguments)?;
    Some(String::from_utf8_lossy(&output.stderr).into_owned())
}

const SSH: &str = "/usr/bin/ssh";
const RELOAD: &str = "type: systemctl reload ssh (or sshd)";
/// How often it is looked whether sshd is back, and how long between.
const LOOKS: u32 = 500;
const LOOK: Duration = Duration::from_millis(20);
