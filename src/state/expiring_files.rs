//! Entries: what is remembered of a user, each a symbolic link `<kind>-<minute>-<rest>` whose name says
//! all. The minute is that of the boot clock, which cannot be set. To read, a login lists the folder
//! once. To count, it makes a link whose name is a free place: of several logins that try at the same
//! time, one gets the place. No lock is held: a process that is stopped or killed blocks no other
//! login, and takes nothing back.

use super::{Listing, State};
use crate::login::NoState;
use std::cell::RefCell;
use std::io;
use std::rc::Rc;

/// How many expired entries one login removes at most.
pub(super) const SWEPT: usize = 8;

/// How long an expired entry stays, in minutes: another login may still work with its list of the
/// folder.
const STAYS: i64 = 2;

listed! {
    /// What an entry is of.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Kind {
        /// A code of a proven user: refused, or on its way.
        Code,
        /// As `Code`, of an unproven user.
        UnprovenCode,
        /// A push, a message or a call without an accepted login, or on its way.
        Challenge,
        /// A push of a login without a prompt that was not approved, or is on its way.
        PushAlone,
        /// A code that was accepted, or is on its way.
        Used,
        /// A push that waits for its answer.
        Pending,
        /// A push that was denied on the phone.
        PushDenied,
        /// An origin that OneLogin accepted the user from.
        Origin,
        /// A code beyond the limit, from such an origin.
        ReserveCode,
        /// A push beyond the limit, from such an origin.
        ReservePush,
        /// A count that was given back, as a front end refused the request.
        TurnedAway,
        /// As `TurnedAway`, of an unproven user.
        UnprovenTurnedAway,
        /// A look-up at OneLogin of a proven user.
        LookUp,
        /// As `LookUp`, of an unproven user.
        UnprovenLookUp,
        /// An offline code that was wrong, or is being compared.
        WrongOfflineCode,
        /// OneLogin's answer was that the user has nothing to log in with.
        NothingToVerify,
        /// OneLogin's answer was that the user has nothing that a login without a prompt could use.
        NothingToPush,
        /// The id of the user at OneLogin.
        Pointer,
    }
}

/// A day, in minutes.
pub(super) const DAY: i64 = 24 * 60;

impl Kind {
    /// The first letter of its names.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Self::Code => 'f',
            Self::UnprovenCode => 'g',
            Self::Challenge => 'c',
            Self::PushAlone => 's',
            Self::Used => 'x',
            Self::Pending => 'p',
            Self::PushDenied => 'h',
            Self::Origin => 'o',
            Self::ReserveCode => 'r',
            Self::ReservePush => 'q',
            Self::TurnedAway => 'b',
            Self::UnprovenTurnedAway => 'a',
            Self::LookUp => 'l',
            Self::UnprovenLookUp => 'k',
            Self::WrongOfflineCode => 'w',
            Self::NothingToVerify => 'd',
            Self::NothingToPush => 'm',
            Self::Pointer => 'i',
        }
    }

    /// For how many minutes it counts.
    #[must_use]
    pub fn life(self) -> i64 {
        match self {
            Self::Code
            | Self::UnprovenCode
            | Self::Challenge
            | Self::PushAlone
            | Self::ReserveCode
            | Self::ReservePush
            | Self::WrongOfflineCode
            | Self::Pointer => DAY,
            Self::Used | Self::NothingToPush => 10,
            // Its target says when the push is over: the longest may wait a quarter of an hour.
            Self::Pending => 16,
            Self::PushDenied | Self::LookUp | Self::UnprovenLookUp => 60,
            Self::Origin => 30 * DAY,
            Self::NothingToVerify | Self::TurnedAway | Self::UnprovenTurnedAway => 1,
        }
    }

    /// The name of an entry that is made now.
    pub(super) fn name(self, minute: i64, rest: &str) -> String {
        match rest {
            "" => format!("{}-{minute}", self.letter()),
            rest => format!("{}-{minute}-{rest}", self.letter()),
        }
    }
}

/// An entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is of.
    pub kind: Kind,
    /// When it was made, in minutes since the machine started.
    pub minute: i64,
    /// What stands behind the minute; may be empty.
    pub rest: String,
}

impl Entry {
    /// Reads a name. `None` for one that no login has made.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let mut parts = name.splitn(3, '-');
        let letter = parts.next()?;
        let kind = Kind::all().find(|kind| letter.strip_prefix(kind.letter()) == Some(""))?;
        let minute = parts.next()?;
        let is_number = !minute.is_empty() && minute.bytes().all(|byte| byte.is_ascii_digit());
        Some(Self {
            kind,
            minute: minute.parse().ok().filter(|_| is_number)?,
            rest: parts.next().unwrap_or_default().to_owned(),
        })
    }

    /// The name of its link.
    #[must_use]
    pub fn name(&self) -> String {
        self.kind.name(self.minute, &self.rest)
    }

    /// Whether it still counts, if it counts for this many minutes. One from the future counts: it
    /// was made.
    #[must_use]
    pub fn counts(&self, life: i64, now: i64) -> bool {
        now - self.minute <= life
    }

    fn is_over(&self, now: i64) -> bool {
        !self.counts(self.kind.life() + STAYS, now)
    }
}

/// The folder of one user. It is listed when something asks for it, and anew before each claim.
pub struct Folder<'a> {
    state: &'a State,
    name: String,
    listing: RefCell<Option<Listing>>,
    seen: RefCell<Option<Rc<[Entry]>>>,
}

/// The entries that were made, or why something cannot be had.
pub(super) type Claim<T> = Result<Result<Vec<String>, T>, NoState>;

impl<'a> Folder<'a> {
    /// The folder of this name below that of the state.
    pub(super) fn new(state: &'a State, name: String) -> Self {
        Self {
            state,
            name,
            listing: RefCell::default(),
            seen: RefCell::default(),
        }
    }

    /// Its entries, as this login has seen them last.
    pub(super) fn seen(&self) -> Result<Rc<[Entry]>, NoState> {
        if let Some(seen) = self.seen.borrow().as_ref() {
            return Ok(Rc::clone(seen));
        }
        self.look()
    }

    /// Its entries now.
    fn look(&self) -> Result<Rc<[Entry]>, NoState> {
        let names = self.list().map_err(|_| NoState)?;
        let entries: Rc<[Entry]> = names.iter().filter_map(|name| Entry::parse(name)).collect();
        self.seen.replace(Some(Rc::clone(&entries)));
        Ok(entries)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut listing = self.listing.borrow_mut();
        if let Some(open) = listing.as_mut() {
            let names = open.names()?;
            if !names.is_empty() {
                return Ok(names);
            }
            // The folder may have been removed, and made again.
        }
        *listing = self.state.listing(&self.name)?;
        listing.as_mut().map_or(Ok(Vec::new()), Listing::names)
    }

    /// Claims something: the clock is read, then the folder, then `make` makes entries, then the clock
    /// is read again. If a new minute has begun, other logins may have listed the folder already: the
    /// entries are removed, and it is tried once more.
    ///
    /// # Errors
    /// [`NoState`] when it could not be done.
    pub(super) fn claim<T>(&self, mut make: impl FnMut(i64, &[Entry]) -> Claim<T>) -> Claim<T> {
        for _ in 0..2 {
            let minute = self.minute()?;
            let entries = self.look()?;
            let names = match make(minute, &entries)? {
                Ok(names) => names,
                refused => return Ok(refused),
            };
            if self.minute().is_ok_and(|now| now == minute) {
                return Ok(Ok(names));
            }
            for name in &names {
                self.remove(name);
            }
        }
        Err(NoState)
    }

    /// Makes an entry in the first free one of `most` places.
    ///
    /// # Errors
    /// [`NoState`] when it could not be written.
    pub(super) fn make_in_a_place(
        &self,
        kind: Kind,
        minute: i64,
        before: &str,
        most: usize,
        seen: &[Entry],
    ) -> Result<Option<(usize, String)>, NoState> {
        for place in 0..most {
            let rest = format!("{before}{place}");
            let is_taken =
                |entry: &Entry| entry.kind == kind && entry.minute == minute && entry.rest == rest;
            if seen.iter().any(is_taken) {
                continue;
            }
            let name = kind.name(minute, &rest);
            if self.make(&name, NOTHING)? {
                return Ok(Some((place, name)));
            }
        }
        Ok(None)
    }

    /// Makes an entry; `false` when there is one of this name.
    ///
    /// # Errors
    /// [`NoState`] when it could not be written.
    pub(super) fn make(&self, name: &str, target: &str) -> Result<bool, NoState> {
        let made = self.state.link(&self.name, name, target);
        made.map_err(|_| NoState)
    }

    /// What an entry leads to; `None` when it is not there.
    ///
    /// # Errors
    /// [`NoState`] when it cannot be read.
    pub(super) fn target(&self, entry: &str) -> Result<Option<String>, NoState> {
        let target = self.state.target(&self.name, entry);
        target.map_err(|_| NoState)
    }

    /// Removes an entry, if it is there.
    pub(super) fn remove(&self, entry: &str) {
        self.state.remove(&format!("{}/{entry}", self.name));
    }

    /// Removes entries that were seen and are over, this many at most. Returns how many there were.
    pub(super) fn sweep(&self, most: usize) -> usize {
        let (Ok(now), Some(seen)) = (self.minute(), self.seen.take()) else {
            return 0;
        };
        let over = seen.iter().filter(|entry| entry.is_over(now)).take(most);
        over.map(|entry| self.remove(&entry.name())).count()
    }

    fn minute(&self) -> Result<i64, NoState> {
        minute(self.state)
    }
}

/// What an entry leads to that says all by its name.
pub(super) const NOTHING: &str = "-";

/// The minute that it is, since the machine started.
pub(super) fn minute(state: &State) -> Result<i64, NoState> {
    Ok(state.now()?.div_euclid(60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written() {
        for kind in Kind::all() {
            for rest in ["", "0", "0123-7", "a-b-c"] {
                let name = kind.name(77, rest);
                let entry = Entry::parse(&name).unwrap();
                let parts = (entry.kind, entry.minute, entry.rest.as_str());
                assert_eq!(parts, (kind, 77, rest));
                assert_eq!(entry.name(), name);
            }
        }
    }

    #[test]
    fn names_that_no_login_has_made_are_none() {
        for name in [
            "", "f", "f-", "f-x-0", "f--5", "f-+5-0", "ff-5-0", "z-5-0", "-5",
        ] {
            assert_eq!(Entry::parse(name), None, "{name}");
        }
    }

    #[test]
    fn no_two_kinds_have_the_same_letter() {
        let mut letters: Vec<char> = Kind::all().map(Kind::letter).collect();
        letters.sort_unstable();
        letters.dedup();
        assert_eq!(letters.len(), Kind::all().count());
    }

    #[test]
    fn an_entry_counts_for_its_minutes_and_one_of_a_later_time_too() {
        let entry = Entry::parse("f-100-0").unwrap();
        assert!(entry.counts(10, 100) && entry.counts(10, 110) && entry.counts(10, 5));
        assert!(!entry.counts(10, 111));
        assert!(!entry.is_over(100 + DAY + STAYS) && entry.is_over(101 + DAY + STAYS));
    }
}
