//! The sshd that runs: what it asks for, and how it comes to read its settings again.
//!
//! systemd may hold the socket (ssh.socket, the default of Ubuntu). With `Accept=yes` each connection
//! starts an sshd that reads the settings, and none of them listens: nothing is to be done. With
//! `Accept=no` the first connection starts an sshd that gets the socket and listens on. It would not
//! find the socket again after SIGHUP, and end: systemd starts it anew. A `KillMode` of its unit other than
//! `process` may end the open sessions with it, so that `enable` and `disable` refuse before they change
//! anything, also while no sshd runs yet: the login that asks what it takes would start one. A trial that
//! nobody has confirmed goes back in any case: an sshd that goes on with the settings of the trial, before
//! the stack of before, would keep out who has a key only.

use crate::host::audit::leave;
use crate::host::programs::{output_of, run, systemd_runs, works};
use crate::outcome::Failure;
use crate::sshd::effective::{SSHD, Settings};
use crate::sshd::keyword::Keyword;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pam_onelogin::verdict::Level;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

/// What becomes of the open sessions where an sshd has to be restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sessions {
    /// They stay, or it is not restarted.
    Stay,
    /// It is restarted in any case.
    MayEnd,
}

/// Has the sshd that runs, if one does, read its settings again.
pub(crate) fn reload(sessions: Sessions) -> Result<(), Failure> {
    let listening = listening();
    // While the machine starts, no sshd listens yet, and sshd -T does not find all that it needs.
    if listening.is_empty() {
        return Ok(());
    }
    // One that finds a fault in them would end.
    let settings = Settings::of(None, "root")?;
    let (by_socket, by_itself): (Vec<i32>, Vec<i32>) = listening
        .into_iter()
        .partition(|pid| has_systemds_socket(*pid));
    for pid in by_socket {
        restart(pid, sessions)?;
    }
    let file = Path::new(settings.value(Keyword::PidFile));
    let Some(pid) = number_in(file).filter(|pid| by_itself.contains(pid)) else {
        return Ok(());
    };
    let before = identity(file);
    kill(Pid::from_raw(pid), Signal::SIGHUP)
        .map_err(|errno| Failure::new(format!("sshd cannot be reloaded: {}", errno.desc())))?;
    // It starts itself anew, and writes its number again once it listens.
    for _ in 0..LOOKS {
        if identity(file).is_some_and(|now| Some(now) != before) {
            return Ok(());
        }
        sleep(LOOK);
    }
    Err(Failure::new(
        "sshd was told to read its settings again, and has not come back",
    ))
}

/// Has systemd start this sshd anew. The socket stays, so that no connection is refused meanwhile.
fn restart(pid: i32, sessions: Sessions) -> Result<(), Failure> {
    let unit = match sessions {
        Sessions::Stay => restartable(pid)?,
        Sessions::MayEnd => restartable(pid).or_else(|failure| restartable_anyway(pid, failure))?,
    };
    // A unit that was started five times in ten seconds would be left failed, and its socket with it.
    let _ = works(SYSTEMCTL, &["--quiet", "reset-failed", "--", &unit]);
    // Where it has ended meanwhile, the next connection starts it. The unit that puts back after a start of the machine
    // is ordered before sshd's: with dependencies this job would wait for that unit, which waits for this job.
    let now = "--job-mode=ignore-dependencies";
    if works(SYSTEMCTL, &["--quiet", now, "try-restart", "--", &unit]) {
        Ok(())
    } else {
        Err(Failure::new(format!(
            "{unit} could not be restarted; type: systemctl status {unit}"
        )))
    }
}

/// The unit of an sshd with a socket of systemd, where a restart leaves the open sessions alone.
fn restartable(pid: i32) -> Result<String, Failure> {
    let Some(unit) = systemd_runs().then(|| unit(pid)).flatten() else {
        return Err(Failure::new(format!(
            "{HELD}, and it is not known by which unit; write the settings by hand, restart it, then \
             run this again"
        )));
    };
    keeps_sessions(&unit)?;
    Ok(unit)
}

/// The unit where a restart may end the open sessions; the log says so, as this may be one of them.
fn restartable_anyway(pid: i32, failure: Failure) -> Result<String, Failure> {
    let unit = unit(pid).ok_or(failure)?;
    let text = format!(
        "{unit} is restarted with KillMode={}, which may end open ssh sessions: otherwise sshd would \
         keep the settings of the trial",
        shown(&unit, "KillMode")
    );
    leave(Level::Warning, &text);
    Ok(unit)
}

/// Whether a restart of this unit leaves the open sessions alone.
fn keeps_sessions(unit: &str) -> Result<(), Failure> {
    if ["process", "none"].contains(&shown(unit, "KillMode").as_str()) {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{HELD}, and {unit} would end the open sessions with it; it needs KillMode=process, by: \
         systemctl edit {unit}"
    )))
}

/// Whether the sshd that runs, or that the next connection starts, can be made to read its settings again.
pub(crate) fn can_be_reloaded() -> Result<(), Failure> {
    let listening = listening().into_iter();
    let mut by_socket = listening.filter(|pid| has_systemds_socket(*pid));
    by_socket.try_for_each(|pid| restartable(pid).map(|_| ()))?;
    started_by_sockets()
        .iter()
        .try_for_each(|unit| keeps_sessions(unit))
}

/// The units that systemd starts as an sshd with a socket, once a connection comes.
fn started_by_sockets() -> Vec<String> {
    if !systemd_runs() {
        return Vec::new();
    }
    let properties = "--property=ActiveState,Accept,Triggers";
    let said = output_of(&[SYSTEMCTL], &["show", properties, "--", "*.socket"]);
    let said = said.unwrap_or_default();
    let program = format!("path={SSHD} ");
    let is_sshd = |unit: &&str| USUAL.contains(unit) || shown(unit, "ExecStart").contains(&program);
    let units = triggered(&said).filter(is_sshd);
    units.map(str::to_owned).collect()
}

/// The services of sockets that are active, in what systemd shows of sockets, each a paragraph. With
/// `Accept=yes` each connection has one of its own.
fn triggered(said: &str) -> impl Iterator<Item = &str> {
    let sockets = said.split("\n\n").filter(|socket| {
        let has = |line: &str| socket.lines().any(|it| it == line);
        has("ActiveState=active") && has("Accept=no")
    });
    let units = sockets.filter_map(|socket| {
        let mut lines = socket.lines();
        lines.find_map(|line| line.strip_prefix("Triggers="))
    });
    units.flat_map(str::split_ascii_whitespace)
}

/// What has the sshd that runs read its settings.
fn advice(pid: i32) -> String {
    if !has_systemds_socket(pid) {
        return RELOAD.to_owned();
    }
    let unit = unit(pid).unwrap_or_else(|| "ssh (or sshd)".to_owned());
    format!("type: systemctl restart {unit}")
}

/// Whether PID 1 has this process's listening socket, too: it has made it, and handed it on. An sshd that
/// is the first process itself, as in some containers, is no such case.
fn has_systemds_socket(pid: i32) -> bool {
    if pid == 1 {
        return false;
    }
    let process = Path::new("/proc").join(pid.to_string());
    let tables = ["net/tcp", "net/tcp6"].map(|table| {
        let text = std::fs::read_to_string(process.join(table));
        text.unwrap_or_default()
    });
    let listening: BTreeSet<&str> = tables
        .iter()
        .flat_map(|table| listening_in(table))
        .collect();
    let (first, own) = (sockets(Path::new("/proc/1")), sockets(&process));
    let shared = first.intersection(&own);
    shared
        .into_iter()
        .any(|inode| listening.contains(inode.as_str()))
}

/// The inodes of the sockets that a process has open.
fn sockets(process: &Path) -> BTreeSet<String> {
    let entries = process.join("fd").read_dir();
    let links = entries.into_iter().flatten().flatten();
    let links = links.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    links
        .filter_map(|link| {
            let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
            Some(inode.to_owned())
        })
        .collect()
}

/// The inodes of those that listen, in the kernel's table of TCP sockets (`proc_pid_net(5)`).
fn listening_in(table: &str) -> impl Iterator<Item = &str> {
    const LISTEN: &str = "0A";
    table.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        (fields.nth(3)? == LISTEN).then(|| fields.nth(5)).flatten()
    })
}

/// The service of systemd whose main process this is.
fn unit(pid: i32) -> Option<String> {
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let mut units = units_in(&groups).chain(USUAL);
    let is_it = |unit: &&str| shown(unit, "MainPID").parse() == Ok(pid);
    units.find(is_it).map(str::to_owned)
}

/// The services that a process's list of cgroups names.
fn units_in(groups: &str) -> impl Iterator<Item = &str> {
    let paths = groups.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    paths.filter_map(|path| {
        let name = path.rsplit('/').find(|part| part.ends_with(".service"))?;
        (!name.starts_with('-')).then_some(name)
    })
}

/// A property of a unit, as systemd says it; empty where it does not.
fn shown(unit: &str, property: &str) -> String {
    let property = format!("--property={property}");
    let said = output_of(&[SYSTEMCTL], &["show", "--value", &property, "--", unit]);
    said.unwrap_or_default().trim().to_owned()
}

/// The number in sshd's file; `PidFile none` names no file.
fn number_in(file: &Path) -> Option<i32> {
    let text = std::fs::read_to_string(file)
        .ok()
        .filter(|_| file.is_absolute())?;
    text.trim().parse().ok()
}

/// The sshd processes of root that listen. Those that serve a session are left out: SIGHUP would end the session.
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
pub(crate) fn unread(settings: &Settings, user: &str) -> Option<String> {
    let listening = listening();
    if listening.len() > 1 {
        return Some(
            "more than one sshd runs here, and each may have settings of its own; the new stack is \
             that of all"
                .to_owned(),
        );
    }
    let Some(address) = settings.address() else {
        return Some(format!(
            "the running sshd cannot be asked whether it has read its settings: it listens at {}",
            pam_onelogin::text::printable(settings.value(Keyword::ListenAddress))
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
        pam_onelogin::text::printable(&methods.join(", "))
    };
    Some(format!(
        "the sshd that runs at {address} has not read its settings: it takes first {}, not {}; \
         {}",
        if offered.is_empty() {
            "something else".to_owned()
        } else {
            list(offered)
        },
        list(first),
        listening
            .first()
            .map_or_else(|| RELOAD.to_owned(), |pid| advice(*pid))
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

/// Why sshd may not read its settings: the beginning of the sentence.
const HELD: &str =
    "systemd holds the socket of sshd, which would have to be restarted to read its settings";
/// What distributions call sshd's unit.
const USUAL: [&str; 2] = ["ssh.service", "sshd.service"];
const SYSTEMCTL: &str = "/usr/bin/systemctl";
const SSH: &str = "/usr/bin/ssh";
const RELOAD: &str = "type: systemctl reload ssh (or sshd)";
/// How often it is looked whether sshd is back, and how long between.
const LOOKS: u32 = 1500;
const LOOK: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_of_a_process_is_looked_for_in_its_cgroups() {
        for (groups, units) in [
            ("0::/system.slice/ssh.service\n", &["ssh.service"][..]),
            ("0::/system.slice/sshd.service/sub\n", &["sshd.service"]),
            // Version 1 beside version 2.
            (
                "4:pids:/\n1:name=systemd:/x\n0::/system.slice/ssh.service\n",
                &["ssh.service"],
            ),
            ("0::/user.slice/user-1000.slice/session-2.scope\n", &[]),
            ("0::/system.slice/-a.service\n", &[]),
            ("0::/\n", &[]),
            ("", &[]),
        ] {
            assert_eq!(units_in(groups).collect::<Vec<_>>(), units, "{groups}");
        }
    }

    #[test]
    fn the_services_of_active_sockets_are_told_from_those_that_each_connection_has() {
        let said = "Accept=no\nActiveState=active\nTriggers=ssh.service\n\n\
                    Triggers=other.service\nActiveState=inactive\nAccept=no\n\n\
                    Accept=yes\nTriggers=sshd@0-1-2.service\nActiveState=active\n\n\
                    ActiveState=active\nAccept=no\nTriggers=\n\n\
                    Triggers=sshd.service\nAccept=no\nActiveState=active\n";
        let units: Vec<_> = triggered(said).collect();
        assert_eq!(units, ["ssh.service", "sshd.service"]);
        assert_eq!(triggered("").count(), 0);
    }

    #[test]
    fn sockets_that_listen_are_told_from_others_by_the_kernels_table() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
             0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0\n   \
             1: 0100007F:0016 0100007F:8A2C 01 00000000:00000000 02:0009C6F1 00000000     0        0 4712 2 0 20 4 24 10 -1\n";
        assert_eq!(listening_in(table).collect::<Vec<_>>(), ["4711"]);
    }

    #[test]
    fn a_process_that_listens_by_itself_has_no_socket_of_systemd() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let pid = i32::try_from(std::process::id()).unwrap();
        let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
        let own = sockets(Path::new("/proc/self"));
        assert!(listening_in(&table).any(|inode| own.contains(inode)));
        assert!(!has_systemds_socket(pid));
        assert!(advice(pid).contains("reload"));
        drop(socket);
    }
}
