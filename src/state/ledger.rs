//! What this host remembers of one user: denials, counted challenges and refused codes, used codes,
//! the pending push (rules R14, R18). Each is a note, made whole and at once: no lock is held, so a
//! process that is stopped or killed holds up nobody and takes back nothing.

use super::notes::{Kind, Notes};
use super::{NoContent, name, name_of};
use crate::config::Limits;
use crate::factor::Code;
use crate::host::{is_running, process_identity};
use crate::login::{Forgotten, Limit, Memory, Phone, Uncounted, Unguessed};
use crate::onelogin::wire::UserId;
use once_cell::unsync::OnceCell;
use std::time::Duration;

/// Denials: longer than a host keeps one login waiting, and short enough that the next connection
/// with the same addresses and ports is not meant.
const DENIED: Kind = Kind {
    word: "denied",
    life: 600,
};

/// Used codes (rule R18).
const USED: Kind = Kind {
    word: "used",
    life: 600,
};

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

/// How a user stands with the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Challenges that count now.
    pub challenges: usize,
    /// Refused codes that count now.
    pub failures: usize,
    /// Whether a login waits for the answer to a push.
    pub is_phone_busy: bool,
}

/// The memory of one user in one action.
pub struct Ledger<'a> {
    notes: Notes<'a>,
    limits: &'a Limits,
    strictness: Strictness,
    user: String,
    uid: String,
    /// The name of this action's denial.
    denial: String,
    /// The names of the user's places for what is counted.
    places: OnceCell<Vec<String>>,
    /// What this login counted, to be taken back on acceptance.
    counted: Vec<(Kind, i64, String)>,
    /// The push of this login that is pending: the kind, span and name of its note.
    pending: Option<(Kind, i64, String)>,
}

impl<'a> Ledger<'a> {
    /// The memory for this action of this user, by the name and uid of the account; a process may
    /// serve several users, one after another.
    #[must_use]
    pub fn of(
        notes: Notes<'a>,
        action: &Action,
        (user, uid): (&str, Option<u32>),
        limits: &'a Limits,
        strictness: Strictness,
    ) -> Self {
        let (kind, action) = match action {
            Action::Connection(connection) => ("connection", connection),
            Action::Process(process) => ("process", process),
        };
        Self {
            notes,
            limits,
            strictness,
            user: user.to_owned(),
            uid: uid.map_or_else(String::new, |uid| uid.to_string()),
            denial: name(&[kind, action, user]),
            places: OnceCell::new(),
            counted: Vec::new(),
            pending: None,
        }
    }

    /// How the user stands with the limits. `life` is that of a push.
    ///
    /// # Errors
    /// [`Forgotten`] when nobody can tell.
    pub fn standing(&self, life: Duration) -> Result<Standing, Forgotten> {
        let now = self.notes.now()?;
        let phone = self.look_at_phone(pending(life), now)?;
        Ok(Standing {
            challenges: self.counting(Limit::Challenges, now),
            failures: self.counting(Limit::Failures, now),
            is_phone_busy: phone.is_none(),
        })
    }

    /// Takes back what was counted of the user, whichever login counted it. For an admin alone.
    ///
    /// # Errors
    /// [`Forgotten`] when nobody can tell what is counted now.
    pub fn reset(&self) -> Result<(), Forgotten> {
        let now = self.notes.now()?;
        for limit in [Limit::Challenges, Limit::Failures] {
            let kind = self.kind(limit);
            let span = kind.span(now);
            for place in self.places(limit) {
                self.notes.remove_in(kind, span, place);
                self.notes.remove_in(kind, span - 1, place);
            }
        }
        Ok(())
    }

    fn kind(&self, limit: Limit) -> Kind {
        Kind {
            word: match limit {
                Limit::Challenges => "challenge",
                Limit::Failures => "failure",
            },
            life: seconds(self.limits.window),
        }
    }

    fn most(&self, limit: Limit) -> usize {
        let most = match limit {
            Limit::Challenges => self.limits.challenges,
            Limit::Failures => self.limits.failures,
        };
        usize::try_from(most).unwrap_or_default()
    }

    /// The user's places for what is counted. In each span of time one is taken once, so that parallel
    /// logins cannot get beyond the last one.
    fn places(&self, limit: Limit) -> impl Iterator<Item = &String> {
        let most = self.limits.challenges.max(self.limits.failures);
        let place = |number: u32| name(&[&self.user, &self.uid, &number.to_string()]);
        let places = self.places.get_or_init(|| (0..most).map(place).collect());
        places.iter().take(self.most(limit))
    }

    /// How many places of a span are taken by what holds.
    fn taken(&self, limit: Limit, span: i64, now: i64) -> usize {
        let kind = self.kind(limit);
        let places = self.places(limit);
        places
            .filter(|place| self.notes.holds_in(kind, span, place, now))
            .count()
    }

    /// How many count now.
    fn counting(&self, limit: Limit, now: i64) -> usize {
        let span = self.kind(limit).span(now);
        self.taken(limit, span, now) + self.taken(limit, span - 1, now)
    }

    /// Counts one. What was counted in the span before and still holds leaves fewer places in this
    /// one: at no moment has more than the limit been counted within the length of a window.
    fn count(&mut self, limit: Limit) -> Result<(), Uncounted> {
        let kind = self.kind(limit);
        // Again, where the first try met the border of two spans.
        for _ in 0..2 {
            let now = self.notes.now()?;
            let span = kind.span(now);
            let before = self.taken(limit, span - 1, now);
            let free = self.most(limit).saturating_sub(before);
            let places: Vec<String> = self.places(limit).take(free).cloned().collect();
            for place in places {
                if self.notes.make(kind, &place, "", now)? {
                    self.counted.push((kind, span, place));
                    return Ok(());
                }
            }
            if kind.span(self.notes.now()?) == span {
                break;
            }
        }
        Err(Uncounted::UsedUp)
    }

    /// Makes a code this login's alone, before it is sent: of two logins that send the same one at
    /// once, one is refused here.
    fn claim(&self, user: &UserId, code: &Code) -> Result<(), Unguessed> {
        let name = used(user, code);
        let now = self.notes.now()?;
        let is_new = match self.notes.find_at(USED, &name, now) {
            Ok(_) => false,
            Err(NoContent::Absent) => self.notes.make(USED, &name, "", now)?,
            Err(NoContent::Refused) => return Err(Unguessed::Forgotten),
        };
        is_new.then_some(()).ok_or(Unguessed::UsedBefore)
    }

    /// Before the number in the name of a note of the user's phone.
    fn phone(&self) -> String {
        format!("{}.", name(&[&self.user, &self.uid]))
    }

    /// The number of the next note of the phone; `None` when a login has it. The note of a login that
    /// is gone stays for its life. So a login that has looked at it and was stopped since tries a number
    /// that another login can only have taken, too: one of them fails.
    fn look_at_phone(&self, kind: Kind, now: i64) -> Result<Option<u32>, Forgotten> {
        let phone = self.phone();
        let mut next = 0;
        for name in self.notes.names(kind, &phone, now) {
            let number = name.strip_prefix(&phone).and_then(|text| text.parse().ok());
            next = number.map_or(next, |number: u32| next.max(number.saturating_add(1)));
            match self.notes.find_at(kind, &name, now) {
                Ok(process) if is_running(&process) => return Ok(None),
                Ok(_) | Err(NoContent::Absent) => {}
                Err(NoContent::Refused) => return Err(Forgotten),
            }
        }
        Ok(Some(next))
    }

    /// Takes the phone under a number that was free. Of several logins, one gets it.
    fn claim_phone(&mut self, kind: Kind, number: u32, now: i64) -> Result<Phone, Forgotten> {
        let name = format!("{}{number}", self.phone());
        if self.notes.make(kind, &name, &process_identity(), now)? {
            self.pending = Some((kind, kind.span(now), name));
            Ok(Phone::Ours)
        } else {
            Ok(Phone::Busy)
        }
    }
}

impl Memory for Ledger<'_> {
    fn is_denied(&self) -> bool {
        self.notes.holds(DENIED, &self.denial)
    }

    fn works(&self) -> bool {
        self.notes.state().trouble().is_none()
    }

    fn deny(&mut self) -> Result<(), Forgotten> {
        self.notes.sweep();
        self.notes.write(DENIED, &self.denial, "")
    }

    fn is_used_up(&self, limit: Limit) -> bool {
        self.notes
            .now()
            .is_ok_and(|now| self.counting(limit, now) >= self.most(limit))
    }

    fn challenge(&mut self) -> Result<(), Uncounted> {
        self.count(Limit::Challenges)
    }

    fn guess(&mut self, user: &UserId, code: &Code) -> Result<(), Unguessed> {
        let result = self.claim(user, code).and_then(|()| {
            self.count(Limit::Failures).map_err(|uncounted| {
                self.refused(user, code);
                uncounted.into()
            })
        });
        match result {
            Err(Unguessed::Forgotten) if self.strictness == Strictness::Lenient => Ok(()),
            other => other,
        }
    }

    fn refused(&mut self, user: &UserId, code: &Code) {
        self.notes.remove(USED, &used(user, code));
    }

    fn unsent(&mut self, user: &UserId, code: &Code) {
        self.refused(user, code);
        if let Some((kind, span, place)) = self.counted.pop() {
            self.notes.remove_in(kind, span, &place);
        }
    }

    fn take_phone(&mut self, life: Duration) -> Result<Phone, Forgotten> {
        let now = self.notes.now()?;
        let kind = pending(life);
        match self.look_at_phone(kind, now)? {
            Some(number) => self.claim_phone(kind, number, now),
            None => Ok(Phone::Busy),
        }
    }

    fn holds_phone(&self) -> bool {
        let Some((kind, _, name)) = &self.pending else {
            return false;
        };
        let found = self.notes.find(*kind, name);
        found.is_ok_and(|process| process == process_identity())
    }

    fn leave_phone(&mut self) {
        if let Some((kind, span, name)) = self.pending.take() {
            self.notes.remove_in(kind, span, &name);
        }
    }

    fn allow(&mut self) {
        self.notes.remove(DENIED, &self.denial);
        for (kind, span, place) in self.counted.drain(..) {
            self.notes.remove_in(kind, span, &place);
        }
    }
}

/// The push that is on a phone, by the life of its verification.
fn pending(life: Duration) -> Kind {
    Kind {
        word: "pending",
        life: seconds(life),
    }
}

/// The name of a used code. It is that of the OneLogin user: several accounts here may be one there.
fn used(user: &UserId, code: &Code) -> String {
    name_of(&[user.as_str()], code.secret())
}

fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
