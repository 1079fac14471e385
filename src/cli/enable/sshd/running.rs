//! The sshd that runs: what it asks for, and how it comes to read its settings again.

use super::settings::{SSHD, Settings};
use crate::cli::Trouble;
use crate::cli::program::run;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

/// Has the sshd that runs, if one does, read its settings again; the sessions that are open stay.
pub(in super::super) fn reload() -> Result<(), Trouble> {
    let listening = listening();
    // At the start of the machine there is none yet, nor all that sshd -T needs.
    if listening.is_empty() {
        return Ok(());
    }
    // One that finds a fault in them would end.
    let settings = Settings::of(None, "root")?;
    let file = Path::new(settings.value("pidfile"));
    let Some(pid) = number_in(file).filter(|pid| listening.contains(pid)) else {
        return Ok(());
    };
    let before = identity(file);
    kill(Pid::from_raw(pid), Signal::SIGHUP)
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

/// The number in sshd's file; `PidFile none` names no file.
fn number_in(file: &Path) -> Option<i32> {
    let text = std::fs::read_to_string(file)
        .ok()
        .filter(|_| file.is_absolute())?;
    text.trim().parse().ok()
}

/// The sshds of root that listen. What serves a session is none of them: SIGHUP would end it.
fn listening() -> Vec<i32> {
    let entries = Path::new("/proc")
        .read_dir()
        .into_iter()
        .flatten()
        .flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter(|pid| listens(*pid) == Some(true)).collect()
}

/// What a process says that it is.
fn title(pid: i32) -> String {
    let title = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&title).replace('\0', " ")
}

fn listens(pid: i32) -> Option<bool> {
    let process = Path::new("/proc").join(pid.to_string());
    let space = |of: &Path| std::fs::read_link(of.join("ns/pid")).ok();
    let title = title(pid);
    // It says what it serves, and before 8.2 nothing else.
    let serves = title.starts_with("sshd: ") && !title.contains("[listener]");
    let parent = process_parent(&process)?;
    let is_here = space(&process) == space(Path::new("/proc/self"));
    Some(
        is_sshd(&process)
            && !serves
            && is_here
            && !title.split(' ').any(|word| word == "-i")
            && !is_sshd(&parent),
    )
}

/// Whether this is sshd's program, run by root; what a process calls itself does not count.
fn is_sshd(process: &Path) -> bool {
    let Ok(program) = std::fs::read_link(process.join("exe")) else {
        return false;
    };
    let program = program.to_string_lossy();
    // One that runs on from before an upgrade.
    let program = program.strip_suffix(" (deleted)").unwrap_or(&program);
    std::fs::canonicalize(SSHD).is_ok_and(|sshd| sshd == Path::new(program))
        && std::fs::metadata(process).is_ok_and(|process| process.uid() == 0)
}

fn process_parent(process: &Path) -> Option<PathBuf> {
    let text = std::fs::read_to_string(process.join("status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    Some(Path::new("/proc").join(line.trim()))
}

/// Whether a file is still the same one.
fn identity(file: &Path) -> Option<(u64, i64, i64)> {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.ino(), metadata.mtime(), metadata.mtime_nsec()))
}

/// Why the sshd that runs does not do what these settings say; it is asked which methods it
/// offers first.
pub(super) fn unread(settings: &Settings, user: &str) -> Option<String> {
    if listening().len() > 1 {
        return Some(
            "more than one sshd runs here, and each may have settings of its own; the new stack is \
             that of all"
                .to_owned(),
        );
    }
    let Some(address) = settings.address() else {
        return Some(format!(
            "the running sshd cannot be asked whether it has read its settings: it listens at {}",
            crate::text::printable(settings.value("listenaddress"))
        ));
    };
    let ways = settings.ways();
    let first: BTreeSet<&str> = ways.iter().filter_map(|way| way.first().copied()).collect();
    let Some(said) = ask_for_methods(address, user) else {
        return Some(format!(
            "there is no {SSH} to ask the running sshd whether it has read its settings; install the \
             ssh client"
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
const LOOKS: u32 = 1500;
const LOOK: Duration = Duration::from_millis(20);
