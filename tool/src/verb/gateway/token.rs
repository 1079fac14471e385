//! `gateway token`: keeps a valid token of OneLogin in the `HAProxy` of a gateway. It runs until SIGTERM.

use crate::gateway::handover::Haproxy;
use crate::gateway::keeper::{Held, Keeper, News, Now, Task};
use crate::gateway::notify;
use crate::gateway::onelogin::{Health, NoToken, OneLogin};
use crate::gateway::settings::{DEFAULT, OfKeeper};
use crate::host::audit::leave;
use crate::host::dates::text_of;
use crate::outcome::{Exit, Failure};
use crate::ui::console::Console;
use clap::Args;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use pam_onelogin::clock::SystemClock;
use pam_onelogin::login::Clock as _;
use pam_onelogin::text::printable;
use pam_onelogin::verdict::Level;
use std::ffi::OsString;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use time::OffsetDateTime;

/// How the keeper works.
#[derive(Args)]
pub(crate) struct Options {
    /// Settings of the gateway
    #[arg(long, value_name = "FILE", default_value = DEFAULT)]
    settings: PathBuf,
    /// Ask OneLogin this often whether the token is still valid
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u16).range(1..=3600))]
    probe: u16,
}

/// How often to see whether `HAProxy` has the token: it may have been started again.
const TICK: Duration = Duration::from_secs(5);

/// The same while `HAProxy` does not answer: it may have read the file before the token was in it.
const SHORT_TICK: Duration = Duration::from_millis(250);

/// OneLogin repeats a token for a moment around its end. That is logged only after this many calls: ten seconds.
const REPEATED: u32 = 20;

/// Keeps the token until the process is told to end.
pub(crate) fn run(console: &Console, options: &Options) -> Result<Exit, Failure> {
    let settings = &OfKeeper::load(&options.settings)?;
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let onelogin = OneLogin::new(&settings.onelogin, credentials.as_deref());
    let onelogin = onelogin.map_err(Failure::new)?;
    let signals = signals().map_err(|errno| Failure::new(errno.desc()))?;
    let clock = SystemClock::start(None);
    let mut keeper = Keeper::new(now(), Duration::from_secs(options.probe.into()));
    let mut outlet = Outlet::new(console, settings);
    outlet.prepare(&settings.token_map);
    loop {
        if keeper.give_up_at_the_end(now()) {
            outlet.hand_over(None);
        }
        match keeper.task(now()) {
            Task::Ask => {
                let jitter = clock.jitter().subsec_millis();
                ask(&onelogin, &mut keeper, &mut outlet, jitter);
            }
            Task::Test => test(&onelogin, &mut keeper, &mut outlet),
            Task::Wait(time) => {
                if has_signal(&signals, time.min(outlet.tick()))? {
                    break;
                }
                outlet.look_after(keeper.held());
            }
        }
        if has_signal(&signals, Duration::ZERO)? {
            break;
        }
    }
    outlet.clear();
    Ok(Exit::Good)
}

/// Asks for a token.
fn ask(onelogin: &OneLogin<'_>, keeper: &mut Keeper, outlet: &mut Outlet<'_>, jitter: u32) {
    let (token, ahead) = match onelogin.token() {
        Ok(answer) => answer,
        Err(NoToken { why, retry_after }) => {
            keeper.failed(retry_after, jitter, now());
            if !pam_onelogin::host::termination_is_pending() {
                outlet.no_token(keeper.held(), &why);
            }
            return;
        }
    };
    if keeper.was_refused(&token.bearer) && onelogin.health(&token.bearer) == Health::Dead {
        keeper.failed(None, jitter, now());
        let why = "OneLogin issues a token again that it refuses";
        outlet.no_token(keeper.held(), why);
        return;
    }
    match keeper.issued(token, ahead, now()) {
        News::Token => {
            outlet.hand_over(keeper.held());
            outlet.new_token(keeper.held());
        }
        News::End => outlet.hand_over(keeper.held()),
        News::Ended if keeper.calls() >= REPEATED && keeper.held().is_none() => {
            let why =
                "OneLogin issues a token again that has ended; compare the clock of this host";
            outlet.no_token(None, why);
        }
        News::Same | News::Ended => {}
    }
}

/// Asks whether the token is still valid.
fn test(onelogin: &OneLogin<'_>, keeper: &mut Keeper, outlet: &mut Outlet<'_>) {
    let health = keeper.held().map(|held| onelogin.health(&held.bearer));
    keeper.tested(now());
    if health == Some(Health::Dead) {
        keeper.refused(now());
        outlet.hand_over(None);
        outlet.no_token(None, "OneLogin refuses the token before its end");
    }
}

/// Where the token goes: `HAProxy`, its file, the log and systemd.
struct Outlet<'a> {
    console: &'a Console,
    haproxy: Haproxy,
    /// Whether standard error is the journal, which has the lines of the log anyway.
    is_journal: bool,
    notify: Option<OsString>,
    /// Whether the file has what it must have.
    is_stored: bool,
    /// Whether `HAProxy` has what it must have.
    is_set: bool,
    /// What was last logged: each change is logged once.
    said_of_token: String,
    said_of_haproxy: String,
    said_of_file: String,
}

impl<'a> Outlet<'a> {
    fn new(console: &'a Console, settings: &OfKeeper) -> Self {
        Self {
            console,
            haproxy: Haproxy {
                socket: settings.socket.clone(),
                map: settings.token_map.clone(),
            },
            is_journal: std::env::var_os("JOURNAL_STREAM").is_some(),
            notify: notify::socket(),
            is_stored: true,
            is_set: true,
            said_of_token: String::new(),
            said_of_haproxy: String::new(),
            said_of_file: String::new(),
        }
    }

    /// `HAProxy` does not start without the file. A token in it may still be valid: the entry with its end decides.
    fn prepare(&mut self, map: &Path) {
        crate::host::files::sweep(map);
        if !map.exists() {
            self.is_stored = false;
            self.store(None);
        }
    }

    /// The time until [`Outlet::look_after`] is due.
    fn tick(&self) -> Duration {
        if self.is_set && self.is_stored {
            TICK
        } else {
            SHORT_TICK
        }
    }

    /// Puts another token in place, or none.
    fn hand_over(&mut self, held: Option<&Held>) {
        self.is_stored = false;
        self.store(held);
        self.set(held);
    }

    /// Puts right what is missing: in the file after a full disk, in a `HAProxy` that was started again.
    fn look_after(&mut self, held: Option<&Held>) {
        self.store(held);
        match self.haproxy.has(held) {
            Ok(true) => self.haproxy_is(Ok(())),
            Ok(false) => self.set(held),
            Err(failure) => self.haproxy_is(Err(failure)),
        }
    }

    fn store(&mut self, held: Option<&Held>) {
        if self.is_stored {
            return;
        }
        let result = self.haproxy.store(held);
        self.is_stored = result.is_ok();
        let said = match result {
            Ok(()) => String::new(),
            Err(Failure(sentences)) => sentences.join("; "),
        };
        if said != self.said_of_file && !said.is_empty() {
            self.log(Level::Error, &said);
        }
        self.said_of_file = said;
    }

    fn set(&mut self, held: Option<&Held>) {
        let result = self.haproxy.set(held);
        self.haproxy_is(result);
    }

    fn haproxy_is(&mut self, result: Result<(), Failure>) {
        self.is_set = result.is_ok();
        let (level, said) = match result {
            Ok(()) => (Level::Info, "HAProxy answers".to_owned()),
            Err(Failure(sentences)) => {
                let why = sentences.join("; ");
                let said = format!("HAProxy did not get the token: {why}");
                (Level::Warning, said)
            }
        };
        if said != self.said_of_haproxy {
            self.log(level, &said);
            self.said_of_haproxy = said;
        }
    }

    fn new_token(&mut self, held: Option<&Held>) {
        let Some(held) = held else {
            return;
        };
        let end = i64::try_from(held.end).ok();
        let end = end.and_then(|end| OffsetDateTime::from_unix_timestamp(end).ok());
        let said = format!("token until {}", end.map(text_of).unwrap_or_default());
        self.log(Level::Info, &said);
        self.status(&format!("READY=1\nSTATUS={said}"));
        self.said_of_token = said;
    }

    fn no_token(&mut self, held: Option<&Held>, why: &str) {
        let said = match held {
            Some(_) => format!("no new token yet: {why}"),
            None => format!("no token: {why}"),
        };
        if said != self.said_of_token {
            self.log(Level::Warning, &said);
            self.status(&format!("STATUS={}", printable(&said)));
            self.said_of_token = said;
        }
    }

    /// The process ends: nothing keeps the token valid from now on.
    fn clear(&mut self) {
        self.status("STOPPING=1");
        self.hand_over(None);
        self.log(Level::Info, "stopped; HAProxy has no token");
    }

    fn log(&self, level: Level, text: &str) {
        let line = printable(&format!("gateway: {text}"));
        leave(level, &line);
        if !self.is_journal {
            self.console.note(&line);
        }
    }

    /// A systemd that does not listen is no reason to stop.
    fn status(&self, message: &str) {
        if let Some(socket) = &self.notify {
            let _ = notify::send(socket, message);
        }
    }
}

/// The signals that end the keeper. They wait until they are read.
fn signals() -> Result<SignalFd, Errno> {
    let set: SigSet = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP]
        .into_iter()
        .collect();
    set.thread_block()?;
    SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
}

/// Whether a signal arrives within this time.
fn has_signal(signals: &SignalFd, time: Duration) -> Result<bool, Failure> {
    // Whole milliseconds, rounded up: a shorter wait would come back before its time is over.
    let time = time.saturating_add(Duration::from_micros(999)).as_millis();
    let time = i32::try_from(time).unwrap_or(i32::MAX);
    let time = PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX);
    let mut fds = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
    match poll(&mut fds, time) {
        Ok(count) => Ok(count > 0),
        Err(Errno::EINTR) => Ok(false),
        Err(errno) => Err(Failure::new(errno.desc())),
    }
}

fn now() -> Now {
    Now {
        unix: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default(),
        clock: Instant::now(),
    }
}
