//! Prompts and answers at this terminal, and the countdown while the user waits.

use crate::ui::console::Console;
use nix::sys::signal::{SigSet, Signal};
use pam_onelogin::clock::SystemClock;
use pam_onelogin::host::interrupt_is_pending;
use pam_onelogin::login::{BadAnswer, Clock, Deadline, NoAnswer, Prompt, Typed, Wait};
use pam_onelogin::secret::Secret;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::kill_current_process_group;
use rustix::stdio::stdin;
use rustix::termios::{
    LocalModes, OptionalActions, QueueSelector, SpecialCodeIndex, Termios, tcflush, tcgetattr,
    tcsetattr,
};
use std::cell::Cell;
use std::io::IsTerminal as _;
use std::time::Duration;
use zeroize::Zeroizing;

/// The longest answer that is taken, in bytes; as in a host program.
const MAX_ANSWER: usize = 512;

/// How often the remaining time is updated.
const TICK: Duration = Duration::from_secs(1);

/// The prompts of a login, on standard error; the answers from standard input.
pub(crate) struct Terminal<'a>(pub(crate) &'a Console);

impl Prompt for Terminal<'_> {
    fn ask(&mut self, text: &str) -> Result<Typed, NoAnswer> {
        let line = typed(self.0, text, false).ok_or(NoAnswer)?;
        if line.len() > MAX_ANSWER {
            return Ok(Typed::Unusable(BadAnswer::NotText));
        }
        Ok(match Secret::from_bytes(line.trim_ascii_end()) {
            Some(answer) => Typed::Text(answer),
            None => Typed::Unusable(BadAnswer::NotText),
        })
    }

    fn is_there(&self) -> bool {
        true
    }

    fn tell(&mut self, text: &str) {
        self.0.note(text);
    }
}

/// A line that is typed at a prompt of a host program; what is secret is not shown.
pub(crate) fn line(console: &Console, prompt: &str, is_secret: bool) -> Option<Zeroizing<Vec<u8>>> {
    let line = typed(console, prompt, is_secret)?;
    let line = Some(line).filter(|line| line.len() <= MAX_ANSWER)?;
    Some(Zeroizing::new(line.trim_ascii_end().to_vec()))
}

/// The line that is typed at a prompt; `None` at the end of the input.
fn typed(console: &Console, prompt: &str, is_secret: bool) -> Option<Zeroizing<Vec<u8>>> {
    let off = if is_secret {
        LocalModes::ECHO | LocalModes::ISIG
    } else {
        LocalModes::empty()
    };
    let line = read_answer(console, prompt, off);
    if line.as_ref().is_err_and(|end| *end == End::Interrupt) {
        // What Ctrl-C would have done, had the terminal been as it is now.
        let_interrupt(|| kill_current_process_group(rustix::process::Signal::INT)).ok()?;
    }
    line.ok()
}

/// The line that is typed at a prompt; `None` at the end of the input, and after Ctrl-C, which does not end the tool.
pub(crate) fn line_unless_stopped(console: &Console, prompt: &str) -> Option<Zeroizing<Vec<u8>>> {
    read_answer(console, prompt, LocalModes::ISIG).ok()
}

/// Reads the answer to a prompt while the terminal is without these modes.
fn read_answer(
    console: &Console,
    prompt: &str,
    off: LocalModes,
) -> Result<Zeroizing<Vec<u8>>, End> {
    // Before the prompt, so that an answer typed at once is hidden as well.
    let changed = if off.is_empty() {
        None
    } else {
        Changed::start(off)
    };
    console.ask(prompt);
    let interrupt = changed.as_ref().map(Changed::interrupt);
    let line = let_interrupt(|| read_line(interrupt));
    // The terminal shows the end of the line itself, unless echo is off or input is not a terminal.
    if off.contains(LocalModes::ECHO) || line.is_err() || !std::io::stdin().is_terminal() {
        console.note("");
    }
    line
}

/// Whether the user agrees. After an empty line it asks again: Enter may have been meant for something else. The end
/// of the input and Ctrl-C mean no.
pub(crate) fn agrees(console: &Console, question: &str) -> bool {
    loop {
        discard_typed();
        match line_unless_stopped(console, &format!("{question} [y/N] ")) {
            Some(line) if line.trim_ascii().is_empty() => console.note("Type y or n."),
            line => return line.is_some_and(|line| is_yes(line.trim_ascii())),
        }
    }
}

/// The answer to a question that was not known before: keys that were pressed before it is shown, such as
/// Enter after a push, do not answer it.
pub(crate) fn answer(console: &Console, question: &str) -> Option<Zeroizing<Vec<u8>>> {
    discard_typed();
    line(console, question, false)
}

/// Discards what was typed and not read yet. It fails on everything but a terminal: what comes from a pipe
/// or a file was written for the questions.
pub(crate) fn discard_typed() {
    let _ = tcflush(stdin(), QueueSelector::IFlush);
}

/// Whether an answer means yes.
pub(crate) fn is_yes(answer: &[u8]) -> bool {
    answer.eq_ignore_ascii_case(b"y") || answer.eq_ignore_ascii_case(b"yes")
}

/// A line, if one is typed within this time.
pub(crate) enum Typing {
    Line(Zeroizing<Vec<u8>>),
    Nothing,
    /// The input has ended.
    Gone,
}

/// Waits for a line, for this time at most.
pub(crate) fn line_within(time: Duration) -> Typing {
    let stdin = stdin();
    let mut waited = [PollFd::new(&stdin, PollFlags::IN)];
    let limit = Timespec::try_from(time).ok();
    match poll(&mut waited, limit.as_ref()) {
        Ok(0) | Err(Errno::INTR) => Typing::Nothing,
        Ok(_) => read_line(None).map_or(Typing::Gone, Typing::Line),
        Err(_) => Typing::Gone,
    }
}

/// Why there is no line.
#[derive(PartialEq, Eq)]
enum End {
    /// The input has ended.
    Gone,
    /// Ctrl-C, where it is a key like any other.
    Interrupt,
}

/// Reads one line, byte by byte: another process may read the input after it.
fn read_line(interrupt: Option<u8>) -> Result<Zeroizing<Vec<u8>>, End> {
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_ANSWER + 1));
    let mut byte = Zeroizing::new([0]);
    loop {
        match rustix::io::read(stdin(), byte.as_mut_slice()) {
            Ok(0) if line.is_empty() => return Err(End::Gone),
            Ok(0) => return Ok(line),
            Ok(_) if byte.as_slice() == b"\n" => return Ok(line),
            Ok(_) if byte.first() == interrupt.as_ref() => return Err(End::Interrupt),
            // A line that is too long is read to its end, and stays too long.
            Ok(_) if line.len() <= MAX_ANSWER => line.extend_from_slice(byte.as_slice()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return Err(End::Gone),
        }
    }
}

/// While it exists, the terminal is without some modes. Without `ISIG` Ctrl-C only ends the line: it must not end
/// the tool before the terminal is restored.
struct Changed(Termios);

impl Changed {
    fn start(off: LocalModes) -> Option<Self> {
        let before = tcgetattr(stdin()).ok()?;
        let mut now = before.clone();
        now.local_modes.remove(off);
        let changed = Self(before);
        now.special_codes[SpecialCodeIndex::VEOL] = changed.interrupt();
        tcsetattr(stdin(), OptionalActions::Drain, &now).ok()?;
        Some(changed)
    }

    fn interrupt(&self) -> u8 {
        self.0.special_codes[SpecialCodeIndex::VINTR]
    }
}

impl Drop for Changed {
    fn drop(&mut self) {
        let _ = tcsetattr(stdin(), OptionalActions::Drain, &self.0);
    }
}

/// The clock of a login; a wait counts down on the terminal, and Ctrl-C ends it where it is held.
pub(crate) struct Countdown<'a> {
    clock: SystemClock,
    console: &'a Console,
    /// When what is waited for is given up, on the login's clock.
    end: Cell<Option<Duration>>,
}

impl<'a> Countdown<'a> {
    /// Starts now.
    pub(crate) fn start(console: &'a Console) -> Self {
        Self {
            clock: SystemClock::start(Some(interrupt_is_pending)),
            console,
            end: Cell::new(None),
        }
    }

    /// Whether nothing is waited for yet.
    pub(crate) fn counts_nothing(&self) -> bool {
        self.end.get().is_none()
    }

    /// From now on something is waited for, so long.
    pub(crate) fn counts(&self, time: Duration) {
        self.end.set(Some(self.elapsed() + time));
    }
}

impl Clock for Countdown<'_> {
    fn jitter(&self) -> Duration {
        self.clock.jitter()
    }

    fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    fn at(&self, elapsed: Duration) -> Deadline {
        self.clock.at(elapsed)
    }

    fn wait(&self, time: Duration) -> Wait {
        let until = self.elapsed() + time;
        loop {
            let left = until.saturating_sub(self.elapsed());
            if left.is_zero() {
                return Wait::Over;
            }
            let (what, end) = match self.end.get() {
                Some(end) => ("Waiting for OneLogin", end),
                None => ("Waiting", until),
            };
            let all = end.saturating_sub(self.elapsed());
            let seconds = all.as_secs();
            self.console.passing(&format!("{what}, {seconds} s left"));
            if self.clock.wait(left.min(TICK)) == Wait::Interrupted {
                return Wait::Interrupted;
            }
        }
    }
}

/// Keeps Ctrl-C pending, as sudo does, so that it ends a wait as there, and not the tool; at a
/// prompt it ends the tool.
pub(crate) fn hold_interrupts() {
    // Where that fails, Ctrl-C ends the tool, which counts as a denial, too.
    let _ = interrupts().thread_block();
}

/// While it exists, Ctrl-C does not end the tool: it is an answer.
pub(crate) struct HeldInterrupts(Option<SigSet>);

#[allow(clippy::unused_self)] // the signal is blocked only while it exists
impl HeldInterrupts {
    pub(crate) fn start() -> Self {
        let before = SigSet::thread_get_mask().ok();
        hold_interrupts();
        Self(before)
    }

    /// Whether Ctrl-C was pressed. It then is no longer pending.
    pub(crate) fn take(&self) -> bool {
        let mut is_pressed = false;
        while interrupt_is_pending() && interrupts().wait().is_ok() {
            is_pressed = true;
        }
        is_pressed
    }
}

impl Drop for HeldInterrupts {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = before.thread_set_mask();
        }
    }
}

/// Lets Ctrl-C end the tool meanwhile.
fn let_interrupt<T>(read: impl FnOnce() -> T) -> T {
    let before = SigSet::thread_get_mask();
    let _ = interrupts().thread_unblock();
    let result = read();
    if let Ok(before) = before {
        let _ = before.thread_set_mask();
    }
    result
}

fn interrupts() -> SigSet {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGQUIT);
    signals
}
