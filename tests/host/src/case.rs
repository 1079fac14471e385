//! One run of the real libpam in a process of its own (`pam-host`), scripted or driven step by step.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::ops::Deref;
use std::os::unix::fs::FileExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::calls::{Calls, MARKS};
use crate::log::Log;
use crate::place::{binary, quiet, set_mode, shim};
use crate::wire::{
    Answer, Call, Code, Event, FileSize, Ids, MASK, Message, Report, Script, Style, Text, Texts,
};

/// A case to run: what the host program would do and what its user would type.
#[derive(Clone, Debug)]
#[must_use]
pub struct Case {
    script: Script,
    environment: BTreeMap<OsString, OsString>,
    watch: Watch,
    under: Vec<OsString>,
    log: LogSocket,
    longest: Duration,
}

/// What stands in the place of /dev/log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LogSocket {
    Read,
    Stalled,
    Absent,
}

/// Whether the calls of the module are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watch {
    /// By shim.c, which costs time at each call.
    Watched,
    /// Only the log is led elsewhere, by quiet.c.
    Unwatched,
}

impl Case {
    /// A case for a service file in a private folder. No user, no items, no answers: a prompt gets `PAM_CONV_ERR`.
    pub fn new(confdir: impl Into<PathBuf>, service: &str) -> Self {
        Self {
            script: Script {
                confdir: confdir.into(),
                service: service.to_owned(),
                user: None,
                rhost: None,
                tty: None,
                pam_env: BTreeMap::new(),
                silent: false,
                calls: Vec::new(),
                conversation: true,
                answers: Vec::new(),
                further: Answer::Fail,
                texts: Texts::Shown,
                live: false,
                repeat: 1,
                next_user: None,
                lean: false,
                ids: None,
                umask: None,
                closed: Vec::new(),
                descriptors: None,
                file_size: None,
                memory: None,
                no_families: Vec::new(),
            },
            environment: BTreeMap::new(),
            watch: Watch::Watched,
            under: Vec::new(),
            log: LogSocket::Read,
            longest: WATCHDOG,
        }
    }

    /// `PAM_USER`, any bytes but NUL.
    pub fn user(mut self, name: impl Into<Text>) -> Self {
        self.script.user = Some(name.into());
        self
    }

    /// Who it is from [`Call::NextUser`] on.
    pub fn next_user(mut self, name: impl Into<Text>) -> Self {
        self.script.next_user = Some(name.into());
        self
    }

    /// `PAM_RHOST`.
    pub fn rhost(mut self, name: impl Into<Text>) -> Self {
        self.script.rhost = Some(name.into());
        self
    }

    /// `PAM_TTY`.
    pub fn tty(mut self, name: impl Into<Text>) -> Self {
        self.script.tty = Some(name.into());
        self
    }

    /// A variable of the PAM environment (`pam_putenv`).
    pub fn pam_env(mut self, name: &str, value: impl Into<Text>) -> Self {
        self.script.pam_env.insert(name.to_owned(), value.into());
        self
    }

    /// As sshd does it after a key was accepted: `SSH_CONNECTION`, `SSH_AUTH_INFO_0`, tty and remote host.
    pub fn ssh_with_key(self, connection: &str) -> Self {
        self.ssh(connection).pam_env(
            "SSH_AUTH_INFO_0",
            "publickey ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA\n",
        )
    }

    /// As sshd does it when nothing is proven yet: `SSH_CONNECTION`, tty and remote host.
    pub fn ssh(self, connection: &str) -> Self {
        self.pam_env("SSH_CONNECTION", connection)
            .tty("ssh")
            .rhost("127.0.0.1")
    }

    /// A variable of the process's own environment, which is otherwise empty.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment
            .insert(name.as_ref().to_owned(), value.as_ref().to_owned());
        self
    }

    /// `PAM_SILENT` on every call.
    pub fn silent(mut self) -> Self {
        self.script.silent = true;
        self
    }

    /// Exactly these calls, each made whatever the one before it returned.
    pub fn calls(mut self, calls: impl IntoIterator<Item = Call>) -> Self {
        self.script.calls = calls.into_iter().collect();
        self
    }

    /// The next prompt is answered with this text.
    pub fn answer(self, text: impl Into<Text>) -> Self {
        self.respond(Answer::Text(text.into()))
    }

    /// The next prompts are answered with these texts.
    pub fn answers<T: Into<Text>>(self, texts: impl IntoIterator<Item = T>) -> Self {
        texts.into_iter().fold(self, Self::answer)
    }

    /// The next prompts are answered with these texts, which `pam-host` itself never holds: see [`Answer::Masked`].
    pub fn unseen_answers<'a>(self, texts: impl IntoIterator<Item = &'a str>) -> Self {
        texts.into_iter().fold(self, |case, text| {
            case.respond(Answer::Masked(
                text.bytes().map(|byte| byte ^ MASK).collect(),
            ))
        })
    }

    /// The next prompt gets this treatment.
    pub fn respond(mut self, answer: Answer) -> Self {
        self.script.answers.push(answer);
        self
    }

    /// Every prompt after the scripted ones gets this treatment (else `PAM_CONV_ERR`, or `Ask` in [`Case::spawn`]).
    pub fn further(mut self, answer: Answer) -> Self {
        self.script.further = answer;
        self
    }

    /// The treatment of texts that want no answer.
    pub fn texts(mut self, texts: Texts) -> Self {
        self.script.texts = texts;
        self
    }

    /// No conversation function: a null pointer.
    pub fn no_conversation(mut self) -> Self {
        self.script.conversation = false;
        self
    }

    /// The whole, `pam_start` to `pam_end`, this many times in one process.
    pub fn repeat(mut self, times: u32) -> Self {
        self.script.repeat = times;
        self
    }

    /// As [`Case::repeat`], but only the last time is reported, with [`Report::memory`] and the number of successes.
    pub fn endure(mut self, times: u32) -> Self {
        self.script.lean = true;
        self.repeat(times)
    }

    /// Real, effective and saved user id of the process (needs root): `ids(1000, 0, 0)` is a setuid program.
    pub fn ids(mut self, real: u32, effective: u32, saved: u32) -> Self {
        self.script.ids = Some(Ids {
            real,
            effective,
            saved,
        });
        self
    }

    /// The umask of the process.
    pub fn umask(mut self, bits: u32) -> Self {
        self.script.umask = Some(bits);
        self
    }

    /// Descriptors of 0 to 2 that are closed.
    pub fn closed(mut self, descriptors: impl IntoIterator<Item = i32>) -> Self {
        self.script.closed = descriptors.into_iter().collect();
        self
    }

    /// The soft limit of descriptors during the calls.
    pub fn descriptors(mut self, limit: u64) -> Self {
        self.script.descriptors = Some(limit);
        self
    }

    /// No file can grow during the calls, and SIGXFSZ is ignored: a user can start a setuid program so.
    pub fn no_room_for_files(mut self) -> Self {
        self.script.file_size = Some(FileSize::Ignored);
        self
    }

    /// No file can grow during the calls, and SIGXFSZ kills.
    pub fn killed_by_files(mut self) -> Self {
        self.script.file_size = Some(FileSize::Deadly);
        self
    }

    /// The memory that the calls may take beyond what the process has, in KiB.
    pub fn memory(mut self, kib: u64) -> Self {
        self.script.memory = Some(kib);
        self
    }

    /// `socket(2)` fails for these address families (`libc::AF_…`), as in a unit of systemd whose `RestrictAddressFamilies=`
    /// does not list them. Such a unit also has `NoNewPrivileges=`.
    pub fn without_families(mut self, families: impl IntoIterator<Item = i32>) -> Self {
        self.script.no_families = families.into_iter().collect();
        self
    }

    /// The module's call number `number` (from 1) of the C library or libpam fails with `errno`.
    pub fn fail_call(self, number: u64, errno: i32) -> Self {
        self.env("PAM_HOST_FAIL_AT", number.to_string())
            .env("PAM_HOST_FAIL_ERRNO", errno.to_string())
    }

    /// From the module's call number `number` on, all of its calls fail with `errno`.
    pub fn fail_on(self, number: u64, errno: i32) -> Self {
        self.fail_call(number, errno).how("on")
    }

    /// The process stops before the module's call number `number`: see [`Running::wait_stop`].
    pub fn stop_at(self, number: u64) -> Self {
        self.fail_call(number, 0).how("stop")
    }

    /// The process is killed before the module's call number `number`: see [`Case::run_to_death`].
    pub fn kill_at(self, number: u64) -> Self {
        self.fail_call(number, 0).how("kill")
    }

    /// From the module's call number `number` on, the clock of the day is a day behind.
    pub fn day_back_at(self, number: u64) -> Self {
        self.fail_call(number, 0).how("back")
    }

    /// From the module's call number `number` on, the clocks that nobody can set are this many seconds later: as in a
    /// process that was stopped so long before it. See also [`Case::stop_at`].
    pub fn later_at(self, number: u64, seconds: u32) -> Self {
        let case = self.env("PAM_HOST_LATER", seconds.to_string());
        case.fail_call(number, 0).how("later")
    }

    /// From [`Call::TimePasses`] on, the clocks that nobody can set are this many seconds later.
    pub fn time_passes(self, seconds: u32) -> Self {
        let case = self.env("PAM_HOST_LATER", seconds.to_string());
        case.how("later")
    }

    fn how(self, how: &str) -> Self {
        self.env("PAM_HOST_FAIL_HOW", how)
    }

    /// The module's reads and writes move one byte at a time.
    pub fn byte_by_byte(self) -> Self {
        self.env("PAM_HOST_SHORT", "1")
    }

    /// What the name service answers to the module: a number of `EAI_…` in netdb.h.
    pub fn names(self, code: i32) -> Self {
        self.env("PAM_HOST_NAMES", code.to_string())
    }

    /// What `pam_authenticate` opens and which sockets of this machine it connects to, written by strace(1), between a
    /// look at `/trace/begin` and one at `/trace/end`.
    pub fn traced(self, to: impl Into<PathBuf>) -> Self {
        let calls = "trace=open,openat,openat2,access,faccessat,connect,execve";
        self.strace(&["-s", "4096", "-e", calls], to.into())
    }

    fn strace(self, options: &[&str], to: PathBuf) -> Self {
        let command = ["strace", "-f", "-qq"].iter().chain(options).chain(&["-o"]);
        let command = command.map(OsString::from).chain([to.into_os_string()]);
        self.under(command).env("PAM_HOST_MARK", MARKS)
    }

    /// Nothing watches the module, so that what it costs is its own: no [`Report::notes`].
    pub fn unwatched(mut self) -> Self {
        self.watch = Watch::Unwatched;
        self
    }

    /// `pam-host` is run by this command, such as `valgrind`.
    pub fn under(mut self, command: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.under = command.into_iter().map(Into::into).collect();
        self
    }

    /// The log socket is there, full, and nobody reads it.
    pub fn stalled_log(mut self) -> Self {
        self.log = LogSocket::Stalled;
        self
    }

    /// There is no log socket.
    pub fn no_log(mut self) -> Self {
        self.log = LogSocket::Absent;
        self
    }

    /// /dev/log leads to the journal, whose socket for records with fields is here, if it is there.
    pub fn journal(self, socket: &Path) -> Self {
        self.env("PAM_HOST_JOURNAL", socket)
    }

    /// How long the process may take in all before it is killed and the test fails.
    pub fn watchdog(mut self, longest: Duration) -> Self {
        self.longest = longest;
        self
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// When `pam-host` is missing, dies or does not end in time.
    pub fn run(self) -> Outcome {
        self.start().finish()
    }

    /// Runs it to its end under strace(1), and counts the system calls of libpam and its modules: all, and those in a folder.
    ///
    /// # Panics
    /// As [`Case::run`]; when strace is missing, or has seen no call.
    pub fn run_counted(self, folder: &Path) -> (Outcome, Calls) {
        let place = TempDir::with_prefix("pam-trace-").expect("a temporary folder can be made");
        let trace = place.path().join("trace");
        // Paths and names of files are whole whatever `-s` says; of what is read and written, nothing is kept.
        let outcome = self.strace(&["-y", "-s", "0"], trace.clone()).run();
        let text = fs::read_to_string(trace).expect("strace writes what it sees");
        let calls = Calls::of(&text, folder);
        assert!(calls.all > 0, "strace has seen no call of libpam");
        (outcome, calls)
    }

    /// Runs it to its end, which may be a signal before it reports: the signal, and what was logged by then.
    ///
    /// # Errors
    /// The signal.
    ///
    /// # Panics
    /// When the watchdog fires, or it ends in another way.
    pub fn run_or_die(self) -> Result<Outcome, (Signal, Vec<String>)> {
        self.start().wait_death()
    }

    /// Runs a case that ends by a signal.
    ///
    /// # Panics
    /// When it reports.
    pub fn run_to_death(self) -> (Signal, Vec<String>) {
        match self.run_or_die() {
            Err(death) => death,
            Ok(outcome) => panic!("it did not die: {:?}", outcome.runs),
        }
    }

    /// Starts it; prompts without a scripted answer ask the test, and every message is reported at once.
    ///
    /// # Panics
    /// When `pam-host` is missing or cannot be started.
    pub fn spawn(mut self) -> Running {
        self.script.live = true;
        if self.script.further == Answer::Fail {
            self.script.further = Answer::Ask;
        }
        self.start()
    }

    fn start(self) -> Running {
        let folder = TempDir::with_prefix("pam-log-").expect("a temporary folder can be made");
        set_mode(folder.path(), 0o711);
        let socket = folder.path().join("log");
        let mut log = Logging::None;
        match self.log {
            LogSocket::Read => {
                log = Logging::Read(Log::bind(&socket).expect("a log socket can be bound"));
            }
            LogSocket::Stalled => {
                log = Logging::Stalled {
                    _socket: stalled(&socket),
                }
            }
            LogSocket::Absent => {}
        }
        let mut preload = OsString::from(match self.watch {
            Watch::Watched => shim(),
            Watch::Unwatched => quiet(),
        });
        if let Some(sanitizer) = env::var_os("PAM_HOST_PRELOAD") {
            preload.push(":");
            preload.push(sanitizer);
        }
        let mut command = pam_host_command(&self.under);
        let program = command.get_program().to_owned();
        let mut child = command
            .env_clear()
            .envs(env::var_os("ASAN_OPTIONS").map(|options| ("ASAN_OPTIONS", options)))
            .envs(&self.environment)
            .env("LD_PRELOAD", preload)
            .env("PAM_HOST_LOG", &socket)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap_or_else(|error| panic!("{program:?} cannot be started: {error}"));
        let mut to = child.stdin.take().expect("pam-host has a standard input");
        let from = child.stdout.take().expect("pam-host has a standard output");
        let mut script = serde_json::to_string(&self.script).expect("a script is JSON");
        script.push('\n');
        let sent = to.write_all(script.as_bytes());
        let running = Running {
            child,
            to: Some(to),
            events: events(from),
            log,
            watch: self.watch,
            deadline: Instant::now() + self.longest,
            shown: Vec::new(),
            _folder: folder,
        };
        if let Err(error) = sent {
            running.fail(&format!("the script cannot be sent: {error}"));
        }
        running
    }
}

/// `pam-host`, or the program that `PAM_HOST_UNDER` names, with its arguments, and `pam-host` as the last one.
fn pam_host_command(under: &[OsString]) -> Command {
    let set = env::var("PAM_HOST_UNDER").unwrap_or_default();
    let set = set.split_ascii_whitespace().map(OsString::from);
    let set = if under.is_empty() {
        set.collect()
    } else {
        under.to_vec()
    };
    let mut words = set.into_iter().chain([binary("pam-host").into_os_string()]);
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words);
    command
}

#[derive(Debug)]
enum Logging {
    Read(Log),
    Stalled {
        _socket: std::os::unix::net::UnixDatagram,
    },
    None,
}

/// A log socket whose queue is full.
///
/// # Panics
/// When it cannot be bound.
pub fn stalled(path: &std::path::Path) -> std::os::unix::net::UnixDatagram {
    use std::os::unix::net::UnixDatagram;
    let socket = UnixDatagram::bind(path).expect("a log socket can be bound");
    set_mode(path, 0o666);
    let filler = UnixDatagram::unbound().expect("a socket can be made");
    filler
        .set_nonblocking(true)
        .expect("a socket can be made non-blocking");
    while filler.send_to(b"full", path).is_ok() {}
    socket
}

fn events(from: ChildStdout) -> Receiver<Result<Event, String>> {
    let (to, events) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(from).lines() {
            let event = line.map_err(|error| error.to_string()).and_then(|line| {
                serde_json::from_str(&line).map_err(|error| format!("{error} in {line}"))
            });
            if to.send(event).is_err() {
                return;
            }
        }
    });
    events
}

/// What happens next in a [`Running`] case.
#[derive(Debug)]
pub enum Step {
    /// A text, or a prompt that the script answers itself.
    Shown(Message),
    /// A prompt that waits for [`Running::reply`].
    Prompt(Message),
    /// The end; [`Running::finish`] gives the outcome.
    End(Box<Report>),
}

/// A case under way.
#[derive(Debug)]
pub struct Running {
    child: Child,
    to: Option<ChildStdin>,
    events: Receiver<Result<Event, String>>,
    log: Logging,
    watch: Watch,
    deadline: Instant,
    shown: Vec<Message>,
    _folder: TempDir,
}

impl Running {
    /// The next step.
    ///
    /// # Panics
    /// When the process dies, or the watchdog fires.
    pub fn step(&mut self) -> Step {
        let left = self.deadline.saturating_duration_since(Instant::now());
        match self.events.recv_timeout(left) {
            Ok(Ok(Event::Message(message))) => {
                self.shown.push(message.clone());
                if message.answer == Some(Answer::Ask) {
                    Step::Prompt(message)
                } else {
                    Step::Shown(message)
                }
            }
            Ok(Ok(Event::Report(report))) => Step::End(report),
            Ok(Ok(Event::Fault(fault))) => self.fail(&fault),
            Ok(Err(error)) => self.fail(&format!("what it said cannot be understood: {error}")),
            Err(RecvTimeoutError::Timeout) => {
                let _ = self.child.kill();
                self.fail("it did not end in time and was killed")
            }
            Err(RecvTimeoutError::Disconnected) => {
                let status = self.child.wait();
                self.fail(&format!("it died without a report: {status:?}"))
            }
        }
    }

    /// The text of the next prompt.
    pub fn prompt(&mut self) -> String {
        self.wait_prompt().text.to_string()
    }

    /// Waits for the next prompt that has no scripted answer.
    ///
    /// # Panics
    /// When the case ends instead.
    pub fn wait_prompt(&mut self) -> Message {
        loop {
            match self.step() {
                Step::Shown(_) => {}
                Step::Prompt(message) => return message,
                Step::End(report) => {
                    self.fail(&format!("it ended without a prompt: {:?}", report.runs))
                }
            }
        }
    }

    /// Waits for a message that contains the text; a prompt met on the way is an error.
    ///
    /// # Panics
    /// When the case ends or asks for something else instead.
    pub fn wait_text(&mut self, text: &str) -> Message {
        loop {
            match self.step() {
                Step::Shown(message) | Step::Prompt(message)
                    if message.text.to_string().contains(text) =>
                {
                    return message;
                }
                Step::Shown(_) => {}
                Step::Prompt(message) => self.fail(&format!(
                    "it asks {:?} instead of showing {text:?}",
                    message.text
                )),
                Step::End(report) => {
                    self.fail(&format!("it ended without {text:?}: {:?}", report.runs))
                }
            }
        }
    }

    /// Answers the prompt that [`Running::wait_prompt`] gave.
    pub fn reply(&mut self, text: impl Into<Text>) {
        self.reply_with(&Answer::Text(text.into()));
    }

    /// Answers the prompt in any way.
    ///
    /// # Panics
    /// When the process is gone.
    pub fn reply_with(&mut self, answer: &Answer) {
        let mut line = serde_json::to_string(answer).expect("an answer is JSON");
        line.push('\n');
        let sent = self.to.as_mut().map(|to| to.write_all(line.as_bytes()));
        if !matches!(sent, Some(Ok(()))) {
            self.fail("the answer cannot be sent");
        }
    }

    /// The id of the process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How often each text stands in the memory of the process, and in which kind of memory.
    ///
    /// # Panics
    /// When the memory cannot be read.
    pub fn memory_holds(&self, texts: &[&str]) -> Vec<Vec<String>> {
        let maps = fs::read_to_string(format!("/proc/{}/maps", self.pid())).expect("its maps");
        let memory = File::open(format!("/proc/{}/mem", self.pid())).expect("its memory");
        let mut found = vec![Vec::new(); texts.len()];
        for line in maps.lines() {
            let mut words = line.split_ascii_whitespace();
            let range = words.next().and_then(|range| range.split_once('-'));
            let (start, end) = range.expect("a range");
            let start = u64::from_str_radix(start, 16).expect("a number");
            let end = u64::from_str_radix(end, 16).expect("a number");
            let name = words.nth(4).unwrap_or("anonymous");
            if name.starts_with("[v") {
                continue;
            }
            let mut bytes = vec![0; usize::try_from(end - start).expect("a size")];
            if memory.read_exact_at(&mut bytes, start).is_err() {
                continue;
            }
            for (text, found) in texts.iter().zip(&mut found) {
                let windows = bytes.windows(text.len());
                let count = windows.filter(|part| *part == text.as_bytes()).count();
                found.extend((0..count).map(|_| name.to_owned()));
            }
        }
        found
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// When the process is gone.
    pub fn signal(&self, signal: Signal) {
        if let Err(error) = kill(pid(self.child.id()), signal) {
            self.fail(&format!("{signal} cannot be sent: {error}"));
        }
    }

    /// The log lines so far.
    pub fn log(&self) -> Vec<String> {
        match &self.log {
            Logging::Read(log) => log.lines(),
            Logging::Stalled { .. } | Logging::None => Vec::new(),
        }
    }

    /// Waits for the end. Prompts without a scripted answer get `PAM_CONV_ERR` from now on.
    ///
    /// # Panics
    /// When the process dies, or the watchdog fires.
    pub fn finish(mut self) -> Outcome {
        self.to = None;
        loop {
            if let Step::End(report) = self.step() {
                return self.end(*report);
            }
        }
    }

    /// The outcome, after [`Step::End`].
    ///
    /// # Panics
    /// When the process cannot be waited for.
    pub fn end(mut self, report: Report) -> Outcome {
        self.to = None;
        let status = self.child.wait().expect("pam-host can be waited for");
        assert!(
            status.success(),
            "pam-host reported and then failed: {status}"
        );
        assert_eq!(
            report.notes.shim,
            self.watch == Watch::Watched,
            "the shim was not loaded, or was where it should not be"
        );
        let log = match std::mem::replace(&mut self.log, Logging::None) {
            Logging::Read(log) => log.finish(),
            Logging::Stalled { .. } | Logging::None => Vec::new(),
        };
        let code = report
            .runs
            .last()
            .and_then(|calls| calls.first())
            .map(|called| called.code);
        Outcome {
            code: code.expect("at least one call is made"),
            log,
            report,
        }
    }

    /// Waits until the process has stopped, as [`Case::stop_at`] says.
    ///
    /// # Panics
    /// When it ends instead.
    pub fn wait_stop(&mut self) {
        if !self.stops() {
            self.fail("it did not stop");
        }
    }

    /// Waits until the process has stopped, as [`Case::stop_at`] says, or ended: whether it has stopped. It gets no
    /// answers from now on.
    ///
    /// # Panics
    /// When the process cannot be waited for.
    pub fn stops(&mut self) -> bool {
        self.to = None;
        let states = WaitPidFlag::WSTOPPED | WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
        match waitid(Id::Pid(pid(self.child.id())), states) {
            Ok(WaitStatus::Stopped(..)) => true,
            Ok(_) => false,
            Err(error) => self.fail(&format!("it cannot be waited for: {error}")),
        }
    }

    /// Waits for the end of a process that may die before it reports.
    fn wait_death(mut self) -> Result<Outcome, (Signal, Vec<String>)> {
        self.to = None;
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(Ok(Event::Report(report))) => return Ok(self.end(*report)),
                Ok(Ok(Event::Message(message))) => self.shown.push(message),
                Ok(other) => self.fail(&format!("{other:?}")),
                Err(RecvTimeoutError::Timeout) => self.fail("it did not end in time"),
                Err(RecvTimeoutError::Disconnected) => {
                    let status = self.child.wait().expect("pam-host can be waited for");
                    let Some(signal) = status.signal() else {
                        self.fail(&format!("it died without a report: {status}"))
                    };
                    let signal = Signal::try_from(signal).expect("a signal");
                    return Err((signal, self.kill()));
                }
            }
        }
    }

    /// Kills the process; gives what it had logged.
    ///
    /// # Panics
    /// When the process cannot be killed.
    #[must_use = "the log may matter; else drop it"]
    pub fn kill(mut self) -> Vec<String> {
        self.child.kill().expect("pam-host can be killed");
        self.child.wait().expect("pam-host can be waited for");
        match std::mem::replace(&mut self.log, Logging::None) {
            Logging::Read(log) => log.finish(),
            Logging::Stalled { .. } | Logging::None => Vec::new(),
        }
    }

    fn fail(&self, what: &str) -> ! {
        let mut text = format!("pam-host: {what}\n");
        for message in &self.shown {
            let _ = writeln!(text, "  shown: {message:?}");
        }
        for line in self.log() {
            let _ = writeln!(text, "  log: {line}");
        }
        panic!("{text}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pid(number: u32) -> Pid {
    Pid::from_raw(number.try_into().expect("a process id fits"))
}

/// What a case came to: the report of `pam-host` (reached by deref) and the log.
#[derive(Debug)]
pub struct Outcome {
    /// What the first call (authenticate, unless the case said otherwise) of the last repetition returned.
    pub code: Code,
    /// The lines that came to the log socket, as sent.
    pub log: Vec<String>,
    /// All the rest.
    pub report: Report,
}

impl Deref for Outcome {
    type Target = Report;

    fn deref(&self) -> &Report {
        &self.report
    }
}

impl Outcome {
    /// The codes of the last repetition's calls of this kind.
    pub fn codes(&self, call: Call) -> Vec<Code> {
        let calls = self.runs.last().map(Vec::as_slice).unwrap_or_default();
        calls
            .iter()
            .filter(|called| called.call == call)
            .map(|called| called.code)
            .collect()
    }

    /// The texts of the prompts.
    pub fn prompts(&self) -> Vec<String> {
        self.messages(Style::is_prompt)
    }

    /// The texts that wanted no answer.
    pub fn texts(&self) -> Vec<String> {
        self.messages(|style| !style.is_prompt())
    }

    fn messages(&self, wanted: impl Fn(Style) -> bool) -> Vec<String> {
        let wanted = self
            .transcript
            .iter()
            .filter(|message| wanted(message.style));
        wanted.map(|message| message.text.to_string()).collect()
    }

    /// The log lines of the module, from its name on: `pam_onelogin(sshd:auth): accepted user=…`.
    pub fn decisions(&self) -> Vec<String> {
        decisions(&self.log)
    }

    /// What the process was left with that it did not have before (rule R8); empty is good. Compared are the states
    /// before the first `pam_start` and after the last `pam_end`.
    pub fn changes(&self) -> Vec<String> {
        self.before.differences(&self.after)
    }
}

/// The lines of the module among those of a log, from its name on.
pub fn decisions(log: &[String]) -> Vec<String> {
    log.iter()
        .filter_map(|line| {
            line.find("pam_onelogin(")
                .map(|start| line[start..].to_owned())
        })
        .collect()
}

const WATCHDOG: Duration = Duration::from_secs(180);
