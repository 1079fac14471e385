//! What the binary `pam-host` does: plays one script against libpam and reports.

use std::cell::RefCell;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::fcntl::{OFlag, open};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::{Mode, umask};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{Uid, dup2_stderr, dup2_stdin, dup2_stdout, setresuid};

use crate::calls::Border;
use crate::ffi::{self, Conversation, Item, Reply, Transaction};
use crate::snapshot;
use crate::wire::{
    Answer, Call, Called, Code, Cost, Event, FileSize, Memory, Message, Notes, Opened, Report,
    Script, Snapshot, Style, Text, Texts,
};

/// Reads a script from standard input, plays it, writes events to standard output.
///
/// # Errors
/// Only when the line to the test itself is broken; a script that cannot be played is an [`Event::Fault`].
pub fn run() -> io::Result<()> {
    let mut line = Line::take()?;
    let event = match line.script().and_then(|script| play(&script, &mut line)) {
        Ok(report) => Event::Report(Box::new(report)),
        Err(fault) => Event::Fault(fault),
    };
    line.send(&event)?;
    // Until the test lets go: it may look at the memory of this process.
    let _ = line.from.read_line(&mut String::new());
    Ok(())
}

/// The line to the test, moved away from the descriptors 0 to 2, which belong to the module's host.
struct Line {
    from: BufReader<File>,
    to: File,
}

impl Line {
    fn take() -> io::Result<Self> {
        Ok(Self {
            from: BufReader::new(File::from(ffi::out_of_the_way(io::stdin().as_fd())?)),
            to: File::from(ffi::out_of_the_way(io::stdout().as_fd())?),
        })
    }

    fn script(&mut self) -> Result<Script, String> {
        let mut text = String::new();
        self.from
            .read_line(&mut text)
            .map_err(|error| format!("the script cannot be read: {error}"))?;
        serde_json::from_str(&text)
            .map_err(|error| format!("the script cannot be understood: {error}"))
    }

    fn send(&mut self, event: &Event) -> io::Result<()> {
        let mut text = serde_json::to_string(event)?;
        text.push('\n');
        self.to.write_all(text.as_bytes())
    }

    /// The test's answer; a test that is gone makes the conversation fail.
    fn answer(&mut self) -> Answer {
        let mut text = String::new();
        match self.from.read_line(&mut text) {
            Ok(length) if length > 0 => serde_json::from_str(&text).unwrap_or(Answer::Fail),
            _ => Answer::Fail,
        }
    }
}

fn play(script: &Script, line: &mut Line) -> Result<Report, String> {
    let words = Words::of(script)?;
    let output = Output::capture(script)?;
    prepare(script)?;

    let mut report = Report::default();
    let play = RefCell::new(Play::new(script, line));
    let limits = further_limits(script)?;
    report.before = Snapshot::take();
    let full = limit(script.descriptors)?;
    for round in 0..script.repeat {
        play.borrow_mut().answers = script.answers_of(round).into_iter();
        if script.lean {
            play.borrow_mut().transcript.clear();
            report.runs.clear();
            report.fail_delays.clear();
            report.costs.clear();
        }
        let done = words.transaction(script, &play)?;
        let is_success = done.calls.iter().all(|called| called.code == Code::SUCCESS);
        report.successes += u32::from(is_success);
        report.runs.push(done.calls);
        report.fail_delays.extend(done.delays);
        report.costs.push(done.cost);
        if round + 1 == script.repeat / 10 || round + 1 == script.repeat {
            report.memory.push(Memory {
                resident: statm()[1],
                heap: ffi::heap_in_use(),
            });
        }
        let mut told = play.borrow_mut();
        told.unused += told.answers.len();
        drop(told);
        if round == 0 {
            report.first = with_descriptors(full, Snapshot::take);
        }
    }
    report.peak_memory = snapshot::peak_memory();
    report.after = with_descriptors(full, Snapshot::take);
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    report.mapped = maps.contains("pam_onelogin.so");
    if let Some((soft, hard)) = full {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, soft, hard);
    }
    for (resource, soft, hard) in limits {
        let _ = setrlimit(resource, soft, hard);
    }
    (report.stdout, report.stderr) = output.text();
    report.notes = notes();
    let play = play.into_inner();
    report.transcript = play.transcript;
    report.unused = play.unused;
    report.unscripted = play.unscripted;
    report.threads_during = play.threads;
    Ok(report)
}

/// The script's texts as C wants them.
struct Words {
    confdir: CString,
    service: CString,
    user: Option<CString>,
    next_user: Option<CString>,
    items: Vec<(Item, CString)>,
    environment: Vec<CString>,
}

impl Words {
    fn of(script: &Script) -> Result<Self, String> {
        let c_text = |text: &Text| ffi::c_string(text.bytes());
        let mut items = Vec::new();
        for (item, text) in [(Item::Rhost, &script.rhost), (Item::Tty, &script.tty)] {
            if let Some(text) = text {
                items.push((item, c_text(text)?));
            }
        }
        let mut environment = Vec::new();
        for (name, value) in &script.pam_env {
            let pair = [name.as_bytes(), b"=", value.bytes()].concat();
            environment.push(ffi::c_string(&pair)?);
        }
        Ok(Self {
            confdir: ffi::c_path(&script.confdir)?,
            service: ffi::c_string(script.service.as_bytes())?,
            user: script.user.as_ref().map(c_text).transpose()?,
            next_user: script.next_user.as_ref().map(c_text).transpose()?,
            items,
            environment,
        })
    }

    /// From `pam_start` to `pam_end`.
    fn transaction(&self, script: &Script, play: &RefCell<Play<'_>>) -> Result<Done, String> {
        play.borrow_mut().asked = None;
        play.borrow_mut().answered = None;
        let border = &Border::new();
        let processor = processor_time();
        let begun = Instant::now();
        let conversation: Option<Conversation<'_>> = script.conversation.then(|| {
            let converse = move |style: Style, text: &[u8]| {
                border.outside(|| play.borrow_mut().message(style, text))
            };
            Box::new(converse) as Conversation<'_>
        });
        let mut transaction = border
            .inside(|| {
                Transaction::start(
                    &self.confdir,
                    &self.service,
                    self.user.as_deref(),
                    conversation,
                )
            })
            .map_err(|code| format!("pam_start_confdir: {code}"))?;
        let start = begun.elapsed();
        for (item, text) in &self.items {
            let code = transaction.set(*item, text);
            if code != Code::SUCCESS {
                return Err(format!("pam_set_item {item:?}: {code}"));
            }
        }
        for pair in &self.environment {
            let code = transaction.put_env(pair);
            if code != Code::SUCCESS {
                return Err(format!("pam_putenv {}: {code}", pair.to_string_lossy()));
            }
        }
        let planned = match script.calls.as_slice() {
            [] => &[Call::Authenticate, Call::Setcred][..],
            calls => calls,
        };
        let mut calls: Vec<Called> = Vec::new();
        let called = Instant::now();
        let mut returned = called;
        for &call in planned {
            let failed = calls.last().is_some_and(|last| last.code != Code::SUCCESS);
            if script.calls.is_empty() && failed {
                break;
            }
            let code = match (call, &self.next_user) {
                (Call::NextUser, Some(user)) => transaction.set(Item::User, user),
                _ => border.inside(|| transaction.call(call, script.silent)),
            };
            if calls.is_empty() {
                returned = Instant::now();
            }
            calls.push(Called { call, code });
        }
        let status = calls.last().map_or(Code::SUCCESS, |called| called.code);
        let delays = border.inside(|| transaction.end(status));
        let (asked, answered) = (play.borrow().asked, play.borrow().answered);
        let cost = Cost {
            start: microseconds(start),
            to_prompt: microseconds(asked.unwrap_or(returned) - called),
            after_answer: answered.map_or(0, |at| microseconds(returned - at)),
            processor: microseconds(processor_time().saturating_sub(processor)),
        };
        Ok(Done {
            calls,
            delays,
            cost,
        })
    }
}

/// What a repetition came to: the calls with their codes, and the delays that failures asked for.
struct Done {
    calls: Vec<Called>,
    delays: Vec<u32>,
    cost: Cost,
}

/// What this process has computed so far.
fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// The conversation's side of a run.
struct Play<'a> {
    line: &'a mut Line,
    answers: std::vec::IntoIter<Answer>,
    further: &'a Answer,
    texts: Texts,
    live: bool,
    descriptors: Option<u64>,
    transcript: Vec<Message>,
    unused: usize,
    unscripted: usize,
    threads: usize,
    asked: Option<Instant>,
    answered: Option<Instant>,
}

impl<'a> Play<'a> {
    fn new(script: &'a Script, line: &'a mut Line) -> Self {
        Self {
            line,
            answers: Vec::new().into_iter(),
            further: &script.further,
            texts: script.texts,
            live: script.live,
            descriptors: script.descriptors,
            transcript: Vec::new(),
            unused: 0,
            unscripted: 0,
            threads: 0,
            asked: None,
            answered: None,
        }
    }

    fn message(&mut self, style: Style, text: &[u8]) -> Reply {
        if !style.is_prompt() {
            return self.play(style, text);
        }
        self.asked.get_or_insert_with(Instant::now);
        let reply = self.play(style, text);
        self.answered = Some(Instant::now());
        reply
    }

    fn play(&mut self, style: Style, text: &[u8]) -> Reply {
        if self.descriptors.is_none() {
            self.threads = self.threads.max(snapshot::tasks());
        }
        let mut answer = style.is_prompt().then(|| {
            self.answers.next().unwrap_or_else(|| {
                self.unscripted += 1;
                self.further.clone()
            })
        });
        let mut message = Message {
            style,
            text: Text::from(text),
            answer: answer.clone(),
        };
        let asks = answer == Some(Answer::Ask);
        if (self.live || asks) && self.line.send(&Event::Message(message.clone())).is_err() {
            return Reply::Fail;
        }
        if asks {
            answer = Some(self.line.answer());
            message.answer.clone_from(&answer);
        }
        self.transcript.push(message);
        match answer {
            None => match self.texts {
                Texts::Shown => Reply::NoText,
                Texts::Dropped => Reply::Nothing,
                Texts::Refused => Reply::Fail,
            },
            Some(Answer::Text(text)) => Reply::Text(text.bytes().to_vec()),
            Some(Answer::Masked(bytes)) => Reply::Masked(bytes),
            Some(Answer::Long(length)) => Reply::Text(vec![b'9'; length]),
            Some(Answer::NullText) => Reply::NoText,
            Some(Answer::Null) => Reply::Nothing,
            Some(Answer::Rename(name, text)) => match ffi::c_string(name.as_bytes()) {
                Ok(name) => Reply::Renamed(name, text.bytes().to_vec()),
                Err(_) => Reply::Fail,
            },
            Some(Answer::Count(number)) => Reply::Text(format!("{number:06}").into_bytes()),
            Some(Answer::Fail | Answer::Ask) => Reply::Fail,
        }
    }
}

/// The host's standard output and error, which nothing of ours writes to: what is in them came from a module.
struct Output {
    stdout: File,
    stderr: File,
}

impl Output {
    fn capture(script: &Script) -> Result<Self, String> {
        let open_null = || open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty());
        let moved = || -> Result<Self, nix::Error> {
            let stdout = memory()?;
            let stderr = memory()?;
            dup2_stdin(open_null()?)?;
            dup2_stdout(&stdout)?;
            dup2_stderr(&stderr)?;
            Ok(Self {
                stdout: File::from(stdout),
                stderr: File::from(stderr),
            })
        };
        let output = moved()
            .map_err(|error| format!("the standard descriptors cannot be set up: {error}"))?;
        for descriptor in script
            .closed
            .iter()
            .copied()
            .filter(|number| (0..=2).contains(number))
        {
            ffi::close(descriptor);
        }
        Ok(output)
    }

    fn text(mut self) -> (String, String) {
        let read = |file: &mut File| {
            let mut bytes = Vec::new();
            let _ = file.rewind();
            let _ = file.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        };
        (read(&mut self.stdout), read(&mut self.stderr))
    }
}

/// A file without a name, at a descriptor of 100 or above.
fn memory() -> Result<OwnedFd, nix::Error> {
    let file = memfd_create("captured", MFdFlags::MFD_CLOEXEC)?;
    ffi::out_of_the_way(file.as_fd()).map_err(|error| {
        error
            .raw_os_error()
            .map_or(nix::Error::EBADF, nix::Error::from_raw)
    })
}

fn prepare(script: &Script) -> Result<(), String> {
    ffi::default_signals();
    if script.file_size == Some(FileSize::Ignored) {
        ffi::ignore_file_size();
    }
    if let Some(bits) = script.umask {
        umask(Mode::from_bits_truncate(bits));
    }
    if let Some(ids) = script.ids {
        setresuid(
            Uid::from_raw(ids.real),
            Uid::from_raw(ids.effective),
            Uid::from_raw(ids.saved),
        )
        .map_err(|error| format!("setresuid {ids:?}: {error}"))?;
    }
    if !script.no_families.is_empty() {
        ffi::refuse_families(&script.no_families)
            .map_err(|error| format!("a filter of system calls: {error}"))?;
    }
    Ok(())
}

type Limits = Option<(u64, u64)>;

/// Lowers the soft limit of descriptors; gives the former limits when it did.
fn limit(descriptors: Option<u64>) -> Result<Limits, String> {
    let Some(wanted) = descriptors else {
        return Ok(None);
    };
    let lower = || {
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard)?;
        Ok((soft, hard))
    };
    lower()
        .map(Some)
        .map_err(|error: nix::Error| format!("limit of {wanted} descriptors: {error}"))
}

/// The address space and the part of it that is in memory, in bytes.
fn statm() -> [u64; 2] {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let mut pages = text
        .split(' ')
        .map(|pages| pages.parse::<u64>().unwrap_or(0));
    [(); 2].map(|()| pages.next().unwrap_or(0) * 4096)
}

/// Lowers the soft limits of files and memory; gives the former ones.
fn further_limits(script: &Script) -> Result<Vec<(Resource, u64, u64)>, String> {
    let mut wanted = Vec::new();
    if script.file_size.is_some() {
        wanted.push((Resource::RLIMIT_FSIZE, 0));
    }
    if let Some(further) = script.memory {
        wanted.push((Resource::RLIMIT_AS, statm()[0] + further * 1024));
    }
    let lower = |(resource, limit)| {
        let (soft, hard) = getrlimit(resource)?;
        setrlimit(resource, limit, hard)?;
        Ok((resource, soft, hard))
    };
    wanted
        .into_iter()
        .map(lower)
        .collect::<nix::Result<_>>()
        .map_err(|error| format!("limits: {error}"))
}

/// Does something that needs descriptors of its own while the module's limit stands.
fn with_descriptors(full: Limits, work: impl Fn() -> Snapshot) -> Snapshot {
    let Some((soft, hard)) = full else {
        return work();
    };
    let lowered = getrlimit(Resource::RLIMIT_NOFILE);
    let _ = setrlimit(Resource::RLIMIT_NOFILE, soft, hard);
    let result = work();
    if let Ok((soft, hard)) = lowered {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, soft, hard);
    }
    result
}

/// The shim's notes: lines of `getenv NAME`, `open DESCRIPTOR CLOEXEC PATH` and `failed CALL`.
fn notes() -> Notes {
    let Some((text, calls)) = ffi::shim_notes() else {
        return Notes::default();
    };
    let mut notes = Notes {
        shim: true,
        calls,
        ..Notes::default()
    };
    for line in text.lines() {
        match line.split_once(' ') {
            Some(("getenv", name)) => notes.getenv.push(name.to_owned()),
            Some(("failed", name)) => notes.failed = Some(name.to_owned()),
            Some(("open", rest)) => notes.opened.extend(opened(rest)),
            _ => {}
        }
    }
    notes
}

fn opened(text: &str) -> Option<Opened> {
    let mut words = text.splitn(3, ' ');
    Some(Opened {
        descriptor: words.next()?.parse().ok()?,
        close_on_exec: words.next()? == "1",
        path: words.next()?.to_owned(),
    })
}
