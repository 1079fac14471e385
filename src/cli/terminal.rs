//! The person at this terminal, and the time that they wait.

use super::console::Console;
use crate::clock::SystemClock;
use crate::host::interrupt_is_pending;
use crate::login::{BadAnswer, Clock, NoAnswer, Prompt, Typed, Wait};
use crate::secret::Secret;
use nix::sys::signal::{SigSet, Signal};
use std::cell::Cell;
use std::io::{BufRead as _, stdin};
use std::time::Duration;
use zeroize::Zeroizing;

/// The longest answer that is taken, in bytes; as in a host program.
const MAX_ANSWER: usize = 512;

/// How often the time that is left is shown anew.
const TICK: Duration = Duration::from_secs(1);

/// The prompts of a login, on standard error; the answers from standard input.
pub(super) struct Terminal<'a>(pub(super) &'a Console);

impl Prompt for Terminal<'_> {
    fn ask(&mut self, text: &str) -> Result<Typed, NoAnswer> {
        self.0.ask(text);
        let mut line = Zeroizing::new(Vec::with_capacity(MAX_ANSWER));
        let read = let_interrupt(|| stdin().lock().read_until(b'\n', &mut line));
        match read {
            Ok(0) | Err(_) => Err(NoAnswer),
            Ok(_) if line.len() > MAX_ANSWER => Ok(Typed::Unusable(BadAnswer::NotText)),
            Ok(_) => Ok(match Secret::from_bytes(line.trim_ascii_end()) {
                Some(answer) => Typed::Text(answer),
                None => Typed::Unusable(BadAnswer::NotText),
            }),
        }
    }

    fn is_there(&self) -> bool {
        true
    }

    fn tell(&mut self, text: &str) {
        self.0.note(text);
    }
}

/// The clock of a login; a wait counts down on the terminal, and Ctrl-C ends it where it is held.
pub(super) struct Countdown<'a> {
    clock: SystemClock,
    console: &'a Console,
    /// When what is waited for is given up, on the login's clock.
    end: Cell<Option<Duration>>,
}

impl<'a> Countdown<'a> {
    /// Starts now.
    pub(super) fn start(console: &'a Console) -> Self {
        Self {
            clock: SystemClock::start(Some(interrupt_is_pending)),
            console,
            end: Cell::new(None),
        }
    }

    /// Whether nothing is waited for yet.
    pub(super) fn counts_nothing(&self) -> bool {
        self.end.get().is_none()
    }

    /// From now on something is waited for, so long.
    pub(super) fn counts(&self, time: Duration) {
        self.end.set(Some(self.elapsed() + time));
    }
}

impl Clock for Countdown<'_> {
    fn elapsed(&self) -> Duration {
        self.clock.elapsed()
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
pub(super) fn hold_interrupts() {
    // Where that fails, Ctrl-C ends the tool, which counts as a denial, too.
    let _ = interrupts().thread_block();
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
