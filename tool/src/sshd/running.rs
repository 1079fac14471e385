//! The running sshd: which methods it asks for, and how to make it read its settings again.
//!
//! systemd may hold the socket (ssh.socket, the default of Ubuntu). With `Accept=yes`, each connection
//! starts an sshd that reads the settings, and none of them listens: nothing has to be done. With
//! `Accept=no`, the first connection starts an sshd that gets the socket and continues to listen. After
//! SIGHUP it would not find the socket again, and end; so systemd has to restart it. If the `KillMode` of its
//! unit is not `process`, a restart may end open sessions. Therefore `enable` and `disable` refuse before
//! they change anything, even while no sshd runs yet: the connection that asks for its methods would start
//! one. A trial that is not confirmed is rolled back in any case: an sshd with the settings of the trial and
//! the old stack would lock out users who have only a key.

use crate::host::audit::leave;
use crate::host::programs::{SYSTEMCTL, output_of, run, systemd_runs, works};
use crate::outcome::Failure;
use crate::sshd::config::Sshd;
use crate::sshd::effective::{SSHD, Settings, WayPastPam};
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

/// What may happen to open sessions when an sshd has to be restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sessions {
    /// They stay, or it is not restarted.
    Stay,
    /// It is restarted in any case.
    MayEnd,
}

/// Makes the running sshd, if there is one, read its settings again.
pub(crate) fn reload(sessions: Sessions) -> Result<(), Failure> {
    let listening = listening();
    // While the machine starts, no sshd listens yet, and sshd -T does not find all that it needs.
    if listening.is_empty() {
        return Ok(());
    }
    // An sshd that finds a fault in its settings would end.
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
    // It restarts itself, and writes its pid again once it listens.
    for _ in 0..LOOKS {
        if identity(file).is_some_and(|now| Some(now) != before) {
            return Ok(());
        }
        sleep(LOOK);
    }
    Err(Failure::new(
        "sshd got the signal to read its settings again, and did not restart; type: sudo systemctl status \
         ssh (or sshd)",
    ))
}

/// Lets systemd restart this sshd. The socket stays open, so that no connection is refused meanwhile.
fn restart(pid: i32, sessions: Sessions) -> Result<(), Failure> {
    let unit = match sessions {
        Sessions::Stay => restartable(pid)?,
        Sessions::MayEnd => restartable(pid).or_else(|failure| restartable_anyway(pid, failure))?,
    };
    // A unit that was started five times in ten seconds would stay failed, and so would its socket.
    let _ = works(SYSTEMCTL, &["--quiet", "reset-failed", "--", &unit]);
    // If it has ended in the meantime, the next connection starts it. The unit that rolls back at boot is
    // ordered before sshd's unit: with dependencies, this job would wait for that unit, which waits for this job.
    let now = "--job-mode=ignore-dependencies";
    if works(SYSTEMCTL, &["--quiet", now, "try-restart", "--", &unit]) {
        Ok(())
    } else {
        Err(Failure::new(format!(
            "{unit} could not be restarted; type: sudo systemctl status {unit}"
        )))
    }
}

/// The unit of an sshd with a socket of systemd, if a restart does not end open sessions.
fn restartable(pid: i32) -> Result<String, Failure> {
    let Some(unit) = systemd_runs().then(|| unit(pid)).flatten() else {
        return Err(Failure::new(format!(
            "{HELD}, and its unit is unknown; write the settings by hand, restart sshd, then run this \
             command again"
        )));
    };
    keeps_sessions(&unit)?;
    Ok(unit)
}

/// The unit if a restart may end open sessions; the log says so, because this session may be one of them.
fn restartable_anyway(pid: i32, failure: Failure) -> Result<String, Failure> {
    let unit = unit(pid).ok_or(failure)?;
    let text = format!(
        "{unit} is restarted with KillMode={}, which may end open SSH sessions: otherwise sshd would \
         keep the settings of the trial",
        shown(&unit, "KillMode")
    );
    leave(Level::Warning, &text);
    Ok(unit)
}

/// Whether a restart of this unit does not end open sessions.
fn keeps_sessions(unit: &str) -> Result<(), Failure> {
    if ["process", "none"].contains(&shown(unit, "KillMode").as_str()) {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{HELD}, and a restart of {unit} would end the open sessions; write KillMode=process into its \
         [Service] section; type: sudo systemctl edit {unit}"
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

/// Whether the sshd that runs would follow these settings after a change of its files.
pub(crate) fn can_follow(settings: &Settings) -> Result<(), Failure> {
    can_be_reloaded()?;
    let listening = listening();
    if listening.len() > 1 {
        return Err(Failure::new(MORE));
    }
    let file = settings.value(Keyword::PidFile);
    let mut by_itself = listening
        .into_iter()
        .filter(|pid| !has_systemds_socket(*pid));
    match by_itself.find(|pid| number_in(Path::new(file)) != Some(*pid)) {
        Some(pid) => Err(Failure::new(format!(
            "the sshd that runs (process {pid}) cannot be made to read its settings again: \"PidFile {}\" \
             does not name it; correct PidFile in sshd_config, restart sshd, then run this command again",
            pam_onelogin::text::printable(file)
        ))),
        None => Ok(()),
    }
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

/// The command that makes the running sshd read its settings.
fn advice(pid: i32) -> String {
    let is_held = has_systemds_socket(pid);
    let unit = systemd_runs().then(|| unit(pid)).flatten();
    match unit {
        Some(unit) if is_held => format!("type: sudo systemctl restart {unit}"),
        Some(unit) => format!("type: sudo systemctl reload {unit}"),
        None if is_held => "type: sudo systemctl restart ssh (or sshd)".to_owned(),
        None => format!("type: sudo kill -HUP {pid}"),
    }
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

/// The command line of a process.
fn title(pid: i32) -> String {
    let title = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&title).replace('\0', " ")
}

fn listens(pid: i32) -> Option<bool> {
    let process = Path::new("/proc").join(pid.to_string());
    let space = |of: &Path| std::fs::read_link(of.join("ns/pid")).ok();
    let title = title(pid);
    // The process title shows the session that it serves; before 8.2, the listener has no title.
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

/// What a running sshd makes of the settings in its files.
pub(crate) enum Running {
    /// No sshd accepts connections where these settings let it listen: the next one reads them.
    Absent,
    /// Its first methods are those of its settings.
    Follows,
    /// It could not be asked; the reason.
    Unknown(String),
    /// It could not be asked, because no ssh client is installed.
    NoClient,
    /// It has other settings than its files.
    Stale(Stale),
}

/// A running sshd that has not read its settings.
pub(crate) struct Stale {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// The first methods that it offers.
    pub(crate) offered: String,
    /// The first methods of its settings.
    pub(crate) wanted: String,
    /// Whether it offers fewer first methods than its settings have.
    pub(crate) is_stricter: bool,
    /// How a login succeeds by its settings without the PAM stack.
    pub(crate) way_past_pam: Option<WayPastPam>,
    /// How to make it read them.
    pub(crate) advice: String,
}

/// Asks the running sshd which methods it offers this user first, and compares them with its settings.
pub(crate) fn compare(settings: &Settings, user: &str) -> Running {
    let Some(address) = settings.address() else {
        let address = pam_onelogin::text::printable(settings.value(Keyword::ListenAddress));
        return Running::Unknown(format!("it listens on {address}"));
    };
    // A Match block may apply to this very connection.
    let settings = match Settings::of_connection(user, address) {
        Ok(settings) => settings,
        Err(Failure(sentences)) => return Running::Unknown(sentences.join(" ")),
    };
    let Some(said) = ask_for_methods(address, user) else {
        return Running::NoClient;
    };
    let is_refused = |line: &str| {
        let line = line.trim_end();
        line.starts_with("ssh: connect to host ") && line.ends_with("Connection refused")
    };
    if said.lines().any(is_refused) {
        return Running::Absent;
    }
    let offered = said
        .rsplit_once("Permission denied (")
        .and_then(|(_, rest)| rest.split(')').next());
    let Some(offered) = offered else {
        let last = said.lines().rfind(|line| !line.trim().is_empty());
        let last = last.unwrap_or("it closed the connection").trim();
        return Running::Unknown(pam_onelogin::text::printable(last));
    };
    let mut offered: BTreeSet<&str> = offered.split(',').collect();
    let mut first = settings.first_methods();
    if settings.any_method_is_enough() {
        // The switches for GSSAPI differ between distributions.
        offered.retain(|method| !method.starts_with("gssapi"));
        first.retain(|method| !method.starts_with("gssapi"));
    }
    if offered == first {
        return Running::Follows;
    }
    let list = |methods: BTreeSet<&str>| {
        let methods: Vec<_> = methods.into_iter().collect();
        pam_onelogin::text::printable(&methods.join(", "))
    };
    Running::Stale(Stale {
        address,
        is_stricter: offered.is_subset(&first),
        way_past_pam: settings.way_past_pam(),
        offered: list(offered),
        wanted: list(first),
        advice: reload_advice(&settings),
    })
}

/// Why the running sshd does not follow these settings; the tool asks it which methods it offers first.
pub(crate) fn unread(settings: &Settings, files: &Sshd, user: &str) -> Option<String> {
    let listening = listening();
    if listening.len() > 1 {
        return Some(MORE.to_owned());
    }
    match compare(settings, user) {
        Running::Absent | Running::Follows => None,
        Running::Unknown(why) => Some(format!(
            "cannot check whether the running sshd has read its settings: {why}"
        )),
        Running::NoClient => {
            let pid = *listening.first()?;
            (!began_after(pid, settings, files)).then(|| {
                format!(
                    "cannot check whether the running sshd has read its settings: {SSH} does not exist, and \
                     sshd has not restarted since its files changed; {}",
                    advice(pid)
                )
            })
        }
        Running::Stale(stale) => Some(format!(
            "the sshd that runs at {} has not read its settings: its first methods are {}, not {}; {}",
            stale.address, stale.offered, stale.wanted, stale.advice
        )),
    }
}

/// How many processes of sshd listen.
pub(crate) fn listeners() -> usize {
    listening().len()
}

/// The command that makes the running sshd read these settings.
pub(crate) fn reload_advice(settings: &Settings) -> String {
    let listening = listening();
    let main = number_in(Path::new(settings.value(Keyword::PidFile)));
    let main = main.filter(|pid| listening.contains(pid));
    let pid = main.or_else(|| listening.first().copied());
    pid.map_or_else(|| RELOAD.to_owned(), advice)
}

/// Those of these files that changed after the running sshd read them: it writes its pid each time.
/// `None` if it writes no such file.
pub(crate) fn changed_since<'a>(
    settings: &Settings,
    files: impl Iterator<Item = &'a PathBuf>,
) -> Option<Vec<&'a PathBuf>> {
    let file = Path::new(settings.value(Keyword::PidFile));
    number_in(file)?;
    let (_, seconds, nanoseconds) = identity(file)?;
    // The clock of files goes in steps of some milliseconds, so an equal time may be a later one.
    let is_newer = |file: &&PathBuf| {
        std::fs::metadata(file)
            .is_ok_and(|now| (now.ctime(), now.ctime_nsec()) >= (seconds, nanoseconds))
    };
    Some(files.filter(is_newer).collect())
}

/// Whether this sshd has read its files as they are. With options of its own on its command line, it may use
/// other settings.
fn began_after(pid: i32, settings: &Settings, files: &Sshd) -> bool {
    let title = title(pid);
    let mut words = title.split(' ');
    let mut is_told = false;
    while let Some(word) = words.next() {
        is_told |= match word {
            "-f" => words.next().map(Path::new) != files.path.as_deref(),
            _ => word.starts_with("-f") || word.starts_with("-o"),
        };
    }
    number_in(Path::new(settings.value(Keyword::PidFile))) == Some(pid)
        && !is_told
        && !files.cannot_be_told()
        && changed_since(settings, files.read.iter()).is_some_and(|changed| changed.is_empty())
}

/// The output of the ssh client when it offers no method to sshd; `None` if there is no client.
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

const MORE: &str = "more than one sshd is running, each may have its own settings, and all of them would use \
     the new stack";
/// Why sshd may not read its settings: the beginning of the sentence.
const HELD: &str =
    "systemd holds the socket of sshd, so sshd must be restarted to read its settings";
/// The names of sshd's unit in the distributions.
const USUAL: [&str; 2] = ["ssh.service", "sshd.service"];
const SSH: &str = "/usr/bin/ssh";
const RELOAD: &str = "type: sudo systemctl reload ssh (or sshd)";
/// How often the tool checks whether sshd is back, and the pause between two checks.
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
        assert_eq!(advice(pid), format!("type: sudo kill -HUP {pid}"));
        drop(socket);
    }
}
