//! The person at this terminal, and the time that they wait.

use super::console::Console;
use crate::clock::SystemClock;
use crate::login::{BadAnswer, Clock, NoAnswer, Prompt, Typed, Wait};
use crate::secret::Secret;
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
        match stdin().lock().read_until(b'\n', &mut line) {
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

/// The clock of a login; a wait counts down on the terminal.
pub(super) struct Countdown<'a> {
    clock: SystemClock,
    console: &'a Console,
    /// When no wait goes on any more, on the login's clock.
    end: Duration,
}

impl<'a> Countdown<'a> {
    /// Starts now.
    pub(super) fn start(console: &'a Console, end: Duration) -> Self {
        Self {
            clock: SystemClock::start(None),
            console,
            end,
        }
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
            let all = self.end.saturating_sub(self.elapsed());
            self.console.waiting("Waiting for OneLogin", all);
            if self.clock.wait(left.min(TICK)) == Wait::Interrupted {
                return Wait::Interrupted;
            }
        }
    }
}
