//! What this host remembers of one user: denials, counted challenges and refused codes, used codes,
//! the pending push (rules R14, R18). Each entry is a file of its own that is over by itself, made
//! whole and at once: no lock is held, so a process that is stopped or killed holds up nobody and
//! takes back nothing.

use super::{NoContent, State, name, name_of};
use crate::config::Limits;
use crate::factor::Code;
use crate::host::{is_running, process_identity};
use crate::login::{Forgotten, Limit, Memory, Phone, Uncounted, Unguessed};
use std::time::Duration;

/// How long a denial is remembered, in seconds: longer than a host keeps one login waiting, and
/// short enough that the next connection with the same addresses and ports is not meant.
const DENIAL_LIFE: i64 = 600;

/// How long a used code is refused, in seconds (rule R18).
const USED_CODE_LIFE: i64 = 600;

/// The longest life of any entry, in seconds: one that claims more was written before the machine
/// started anew.
const MAX_LIFE: i64 = 86_400;

/// Entries that one denial looks at to remove those that are over, so that the folder stays small
/// at a bounded cost.
const SWEEP: usize = 64;

const DENIED: &str = "denied-";
const CHALLENGE: &str = "challenge-";
const FAILURE: &str = "failure-";
const USED: &str = "used-";
const PENDING: &str = "pending-";

/// The kinds of entries that are over by themselves.
const KINDS: [&str; 5] = [DENIED, CHALLENGE, FAILURE, USED, PENDING];

/// The action that a host may run the stack for more than once.
pub enum Action {
    /// One ssh connection, named by `SSH_CONNECTION`.
    Connection(String),
    /// One process, named by [`process_identity`].
    Process(String),
}

/// Whether a code may be sent that cannot be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// It may: codes go on when the folder cannot be written.
    Lenient,
    /// It may not: the user owns the process, and could see to it that nothing is counted.
    Strict,
}

/// Seconds since the machine started; `None` when nobody can tell.
pub type BootClock = fn() -> Option<i64>;

/// The memory of one user in one action.
pub struct Ledger<'a> {
    state: &'a State,
    limits: &'a Limits,
    strictness: Strictness,
    clock: BootClock,
    user: String,
    uid: String,
    denial: String,
    /// What this login counted, to be taken back on acceptance.
    counted: Vec<String>,
    has_phone: bool,
}

impl<'a> Ledger<'a> {
    /// The memory for this action of this user, by the name and uid of the account; a process may
    /// serve several users, one after another.
    #[must_use]
    pub fn of(
        state: &'a State,
        action: &Action,
        (user, uid): (&str, Option<u32>),
        limits: &'a Limits,
        strictness: Strictness,
        clock: BootClock,
    ) -> Self {
        let (kind, action) = match action {
            Action::Connection(connection) => ("connection", connection),
            Action::Process(process) => ("process", process),
        };
        Self {
            state,
            limits,
            strictness,
            clock,
            user: user.to_owned(),
            uid: uid.map_or_else(String::new, |uid| uid.to_string()),
            denial: name(DENIED, &[kind, action, user]),
            counted: Vec::new(),
            has_phone: false,
        }
    }

    fn now(&self) -> Result<i64, Forgotten> {
        (self.clock)().ok_or(Forgotten)
    }

    /// The places for what is counted in a window. Each is taken once and never again, so that
    /// parallel logins cannot get beyond the last one.
    fn place(&self, limit: Limit, window: i64, number: u32) -> String {
        let kind = match limit {
            Limit::Challenges => CHALLENGE,
            Limit::Failures => FAILURE,
        };
        let (window, number) = (window.to_string(), number.to_string());
        name(kind, &[&self.user, &self.uid, &window, &number])
    }

    fn most(&self, limit: Limit) -> u32 {
        match limit {
            Limit::Challenges => self.limits.challenges,
            Limit::Failures => self.limits.failures,
        }
    }

    /// How many places of a window are taken by what is not over.
    fn taken(&self, limit: Limit, window: i64, now: i64) -> u32 {
        let places = (0..self.most(limit)).map(|number| self.place(limit, window, number));
        let taken = places.filter(|place| self.holds(place, now)).count();
        u32::try_from(taken).unwrap_or(u32::MAX)
    }

    fn window_length(&self) -> i64 {
        i64::try_from(self.limits.window.as_secs()).unwrap_or(MAX_LIFE)
    }

    /// The number of the window that this moment is in.
    fn window(&self, now: i64) -> i64 {
        now.checked_div(self.window_length()).unwrap_or_default()
    }

    /// Counts one. What was counted in the window before and is not over leaves fewer places in
    /// this one: at no moment has more than the limit been counted within the last window's length.
    fn take_place(&mut self, limit: Limit) -> Result<(), Uncounted> {
        let now = self.now()?;
        let window = self.window(now);
        let places = self
            .most(limit)
            .saturating_sub(self.taken(limit, window - 1, now));
        for number in 0..places {
            let place = self.place(limit, window, number);
            if self.create(&place, now + self.window_length(), "")? {
                self.counted.push(place);
                return Ok(());
            }
        }
        Err(Uncounted::UsedUp)
    }

    /// Makes an entry that is over at `until`; `false` when there is one of that name.
    fn create(&self, name: &str, until: i64, rest: &str) -> Result<bool, Forgotten> {
        let content = format!("{until} {rest}\n");
        self.state
            .create(name, content.as_bytes())
            .map_err(|_| Forgotten)
    }

    /// Whether an entry is there and not over. One that cannot be read is: it concerns one user
    /// only, and somebody wrote it.
    fn holds(&self, name: &str, now: i64) -> bool {
        let content = match self.state.read(name) {
            Ok(content) => content,
            Err(NoContent::Absent) => return false,
            Err(NoContent::Refused) => return true,
        };
        let until = first_word(&content).and_then(|word| word.parse::<i64>().ok());
        until.is_none_or(|until| (1..=MAX_LIFE).contains(&until.saturating_sub(now)))
    }

    /// Whether the login that holds the phone is still there, and its push is.
    fn is_pending(&self, now: i64) -> bool {
        let pending = self.pending();
        let content = self.state.read(&pending).unwrap_or_default();
        let text = String::from_utf8_lossy(&content);
        let process = text.split_ascii_whitespace().nth(1);
        process.is_some_and(is_running) && self.holds(&pending, now)
    }

    /// Makes a code this login's alone, before it is sent: of two logins that send the same one at
    /// once, one is refused here.
    fn claim(&self, code: &Code) -> Result<(), Unguessed> {
        let now = self.now()?;
        let used = self.used(code);
        if !self.holds(&used, now) {
            self.state.remove(&used);
            if self.create(&used, now + USED_CODE_LIFE, "")? {
                return Ok(());
            }
        }
        Err(Unguessed::UsedBefore)
    }

    fn used(&self, code: &Code) -> String {
        name_of(USED, &[&self.user, &self.uid], code.secret())
    }

    fn pending(&self) -> String {
        name(PENDING, &[&self.user, &self.uid])
    }

    /// Removes entries that are over.
    fn sweep(&self, now: i64) {
        for entry in self.state.names().take(SWEEP) {
            let is_ours = KINDS.iter().any(|kind| entry.starts_with(kind));
            if (is_ours && !self.holds(&entry, now)) || is_abandoned(&entry) {
                self.state.remove(&entry);
            }
        }
    }
}

impl Memory for Ledger<'_> {
    fn is_denied(&self) -> bool {
        match self.now() {
            Ok(now) => self.holds(&self.denial, now),
            Err(Forgotten) => !matches!(self.state.read(&self.denial), Err(NoContent::Absent)),
        }
    }

    fn works(&self) -> bool {
        self.state.trouble().is_none()
    }

    fn deny(&mut self) -> Result<(), Forgotten> {
        let now = self.now()?;
        self.sweep(now);
        let content = format!("{}\n", now + DENIAL_LIFE);
        self.state
            .write(&self.denial, content.as_bytes())
            .map_err(|_| Forgotten)
    }

    fn is_used_up(&self, limit: Limit) -> bool {
        self.now().is_ok_and(|now| {
            let window = self.window(now);
            let taken = self.taken(limit, window, now) + self.taken(limit, window - 1, now);
            taken >= self.most(limit)
        })
    }

    fn challenge(&mut self) -> Result<(), Uncounted> {
        self.take_place(Limit::Challenges)
    }

    fn guess(&mut self, code: &Code) -> Result<(), Unguessed> {
        let result = self.claim(code).and_then(|()| {
            self.take_place(Limit::Failures).map_err(|uncounted| {
                self.refused(code);
                uncounted.into()
            })
        });
        match result {
            Err(Unguessed::Forgotten) if self.strictness == Strictness::Lenient => Ok(()),
            other => other,
        }
    }

    fn refused(&mut self, code: &Code) {
        self.state.remove(&self.used(code));
    }

    fn take_phone(&mut self, life: Duration) -> Result<Phone, Forgotten> {
        let now = self.now()?;
        let life = i64::try_from(life.as_secs()).unwrap_or(MAX_LIFE);
        let pending = self.pending();
        // Two logins that find an old entry at once may both send: that is bounded by the limit on
        // challenges, and each approval still counts for one of them only.
        for _ in 0..2 {
            if self.create(&pending, now + life, &process_identity())? {
                self.has_phone = true;
                return Ok(Phone::Ours);
            }
            if self.is_pending(now) {
                return Ok(Phone::Busy);
            }
            self.state.remove(&pending);
        }
        Ok(Phone::Busy)
    }

    fn leave_phone(&mut self) {
        if std::mem::take(&mut self.has_phone) {
            self.state.remove(&self.pending());
        }
    }

    fn allow(&mut self) {
        self.state.remove(&self.denial);
        for place in self.counted.drain(..) {
            self.state.remove(&place);
        }
    }
}

fn first_word(content: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(content).ok()?;
    text.split_ascii_whitespace().next()
}

/// Whether a file is the draft of a process that is gone.
fn is_abandoned(name: &str) -> bool {
    let process = name
        .strip_prefix('.')
        .and_then(|name| name.rsplit_once('.'));
    process.is_some_and(|(_, pid)| {
        pid.bytes().all(|b| b.is_ascii_digit()) && !crate::host::exists(pid)
    })
}

#[cfg(test)]
mod tests;
