//! Notes: files that are over by themselves after the life of their kind. They lie in folders by the
//! time when they were made, so that a host with many users looks at no more of them than one with
//! few, and those that are over are found without looking at those that hold.

use super::{NoContent, State};
use crate::login::Forgotten;

/// How many files one sweep removes: more than one login makes.
const SWEEP: usize = 64;

/// Seconds since the machine started; `None` when nobody can tell.
pub type BootClock = fn() -> Option<i64>;

/// A kind of note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// The word in the folder's name, without `-`.
    pub word: &'static str,
    /// How long a note holds, in seconds, from 1 on.
    pub life: i64,
}

impl Kind {
    /// The span of time that this moment is in, by its number; a span is as long as a life. What
    /// holds now was made in this span or in the one before.
    #[must_use]
    pub fn span(self, now: i64) -> i64 {
        span(self.life.max(1), now)
    }

    /// The life is a part of the name: whoever changes it starts anew.
    fn path(self, span: i64, name: &str) -> String {
        format!("{}/{name}", self.folder(span))
    }

    fn folder(self, span: i64) -> String {
        format!("{}-{}-{span}", self.word, self.life)
    }

    /// When the note is over, and its text.
    fn content(self, text: &str, now: i64) -> String {
        format!("{} {text}", now + self.life)
    }
}

fn span(life: i64, now: i64) -> i64 {
    now.div_euclid(life)
}

/// The notes under `state_dir`.
#[derive(Clone, Copy)]
pub struct Notes<'a> {
    state: &'a State,
    clock: BootClock,
}

impl<'a> Notes<'a> {
    /// The notes of this folder, by this clock.
    #[must_use]
    pub fn new(state: &'a State, clock: BootClock) -> Self {
        Self { state, clock }
    }

    /// The folder that they are in.
    #[must_use]
    pub fn state(&self) -> &'a State {
        self.state
    }

    /// Seconds since the machine started.
    ///
    /// # Errors
    /// [`Forgotten`] when nobody can tell: nothing can be written, then.
    pub fn now(&self) -> Result<i64, Forgotten> {
        (self.clock)().ok_or(Forgotten)
    }

    /// The text of a note that holds.
    ///
    /// # Errors
    /// [`NoContent::Absent`] when there is none. [`NoContent::Refused`] when there is one that cannot
    /// be read, or nobody can tell whether it is over.
    pub fn find(&self, kind: Kind, name: &str) -> Result<String, NoContent> {
        let now = self.now().map_err(|Forgotten| NoContent::Refused)?;
        self.find_at(kind, name, now)
    }

    /// As [`Notes::find`], at this moment.
    ///
    /// # Errors
    /// As [`Notes::find`].
    pub fn find_at(&self, kind: Kind, name: &str, now: i64) -> Result<String, NoContent> {
        let span = kind.span(now);
        match self.find_in(kind, span, name, now) {
            Err(NoContent::Absent) => self.find_in(kind, span - 1, name, now),
            found => found,
        }
    }

    /// How many seconds ago a note was made that holds.
    #[must_use]
    pub fn age(&self, kind: Kind, name: &str) -> Option<i64> {
        let now = self.now().ok()?;
        let span = kind.span(now);
        let mut notes = [span, span - 1]
            .into_iter()
            .filter_map(|span| self.read_in(kind, span, name, now).ok());
        let (until, _) = notes.next()?;
        Some(now - (until - kind.life))
    }

    /// As [`Notes::find`], for a note that was made in this span.
    fn find_in(&self, kind: Kind, span: i64, name: &str, now: i64) -> Result<String, NoContent> {
        self.read_in(kind, span, name, now).map(|(_, text)| text)
    }

    /// Until when a note holds that was made in this span, and its text.
    fn read_in(
        &self,
        kind: Kind,
        span: i64,
        name: &str,
        now: i64,
    ) -> Result<(i64, String), NoContent> {
        let content = self.state.read(&kind.path(span, name))?;
        let content = std::str::from_utf8(&content).map_err(|_| NoContent::Refused)?;
        let (until, text) = content.split_once(' ').ok_or(NoContent::Refused)?;
        let until: i64 = until.parse().map_err(|_| NoContent::Refused)?;
        if now < until {
            Ok((until, text.to_owned()))
        } else {
            Err(NoContent::Absent)
        }
    }

    /// Whether there is a note that holds. One that cannot be read does: somebody wrote it.
    #[must_use]
    pub fn holds(&self, kind: Kind, name: &str) -> bool {
        self.find(kind, name) != Err(NoContent::Absent)
    }

    /// As [`Notes::holds`], for a note that was made in this span.
    #[must_use]
    pub fn holds_in(&self, kind: Kind, span: i64, name: &str, now: i64) -> bool {
        self.find_in(kind, span, name, now) != Err(NoContent::Absent)
    }

    /// The names of the notes that may hold at this moment and begin so.
    #[must_use]
    pub fn names(&self, kind: Kind, beginning: &str, now: i64) -> Vec<String> {
        let span = kind.span(now);
        let mut found = Vec::new();
        for span in [span, span - 1] {
            let folder = kind.folder(span);
            let names = self.state.names(&folder);
            found.extend(names.filter(|name| name.starts_with(beginning)));
        }
        found
    }

    /// Writes a note anew.
    ///
    /// # Errors
    /// [`Forgotten`] when it could not be written.
    pub fn write(&self, kind: Kind, name: &str, text: &str) -> Result<(), Forgotten> {
        self.write_at(kind, name, text, self.now()?)
    }

    /// As [`Notes::write`], of something that was so at this moment.
    ///
    /// # Errors
    /// As [`Notes::write`].
    pub fn write_at(&self, kind: Kind, name: &str, text: &str, now: i64) -> Result<(), Forgotten> {
        let path = kind.path(kind.span(now), name);
        let result = self.state.write(&path, kind.content(text, now).as_bytes());
        result.map_err(|_| Forgotten)
    }

    /// Makes a note in this moment's span, if it has none of this name: of several that try at
    /// once, one does. A process that was stopped until the span was over takes it back: others have
    /// looked there before.
    ///
    /// # Errors
    /// As [`Notes::write`].
    pub fn make(&self, kind: Kind, name: &str, text: &str, now: i64) -> Result<bool, Forgotten> {
        let span = kind.span(now);
        let path = kind.path(span, name);
        let result = self.state.create(&path, kind.content(text, now).as_bytes());
        let is_new = result.map_err(|_| Forgotten)?;
        let is_late = !self.now().is_ok_and(|later| kind.span(later) == span);
        if is_new && is_late {
            self.state.remove(&path);
        }
        Ok(is_new && !is_late)
    }

    /// Removes a note, if it is there.
    pub fn remove(&self, kind: Kind, name: &str) {
        if let Ok(now) = self.now() {
            let span = kind.span(now);
            self.remove_in(kind, span, name);
            self.remove_in(kind, span - 1, name);
        }
    }

    /// Removes a note that was made in this span, if it is there.
    pub fn remove_in(&self, kind: Kind, span: i64, name: &str) {
        self.state.remove(&kind.path(span, name));
    }

    /// Removes notes that are over, and the drafts of processes that are gone.
    pub fn sweep(&self) {
        let Ok(now) = self.now() else { return };
        let mut left = SWEEP;
        for entry in self.state.names("") {
            if is_over(&entry, now) {
                for name in self.state.names(&entry).take(left) {
                    self.state.remove(&format!("{entry}/{name}"));
                    left -= 1;
                }
                self.state.remove_folder(&entry);
            } else if is_abandoned(&entry) {
                self.state.remove(&entry);
            }
        }
    }
}

/// Whether nothing in a folder of notes can hold: its span and the one after it are past, or it is
/// still to come, so that it was made before the machine started anew.
fn is_over(folder: &str, now: i64) -> bool {
    let mut parts = folder.splitn(3, '-').skip(1).map(str::parse::<i64>);
    match (parts.next(), parts.next()) {
        (Some(Ok(life)), Some(Ok(span))) if life > 0 => {
            let current = self::span(life, now);
            span > current || span < current - 1
        }
        _ => false,
    }
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
mod tests {
    use super::*;
    use crate::trust::Trusted;
    use crate::user::Uids;

    const KIND: Kind = Kind {
        word: "x",
        life: 100,
    };

    fn state(dir: &tempfile::TempDir) -> State {
        let uid = nix::unistd::getuid().as_raw();
        let trusted = Trusted::of(Uids {
            real: uid,
            effective: uid,
            saved: uid,
        });
        State::open(&dir.path().join("state"), trusted)
    }

    fn at<const NOW: i64>() -> BootClock {
        || Some(NOW)
    }

    #[test]
    fn a_note_holds_for_its_life_across_the_border_of_two_spans() {
        let dir = tempfile::tempdir().unwrap();
        let state = state(&dir);
        let notes = Notes::new(&state, at::<1_099>());
        notes.write(KIND, "a", "one").unwrap();
        assert_eq!(notes.find(KIND, "a").as_deref(), Ok("one"));
        let notes = |clock| Notes::new(&state, clock);
        assert_eq!(notes(at::<1_099>()).age(KIND, "a"), Some(0));
        assert_eq!(notes(at::<1_110>()).age(KIND, "a"), Some(11));
        assert_eq!(notes(at::<1_199>()).age(KIND, "a"), None);
        assert_eq!(notes(at::<1_198>()).find(KIND, "a").as_deref(), Ok("one"));
        for later in [at::<1_199>(), at::<1_200>(), at::<5_000>()] {
            assert!(!notes(later).holds(KIND, "a"));
        }
        let other = Kind { life: 200, ..KIND };
        assert!(!notes(at::<1_099>()).holds(other, "a"));
        notes(at::<1_100>()).remove(KIND, "a");
        assert!(!notes(at::<1_100>()).holds(KIND, "a"));
    }

    #[test]
    fn a_sweep_removes_what_is_over_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let state = state(&dir);
        let notes = |clock| Notes::new(&state, clock);
        let count = || {
            let folders = state.names("");
            folders
                .map(|folder| state.names(&folder).count())
                .sum::<usize>()
        };
        for number in 0..100 {
            notes(at::<1_000>())
                .write(KIND, &number.to_string(), "")
                .unwrap();
        }
        notes(at::<1_150>()).write(KIND, "later", "").unwrap();
        state.write("token-0123", b"kept").unwrap();
        state.write("not-a-folder", b"kept").unwrap();
        notes(at::<1_150>()).sweep();
        assert_eq!(count(), 101);
        // At most so many at once; the folder goes with the last one.
        notes(at::<1_200>()).sweep();
        assert_eq!(count(), 101 - SWEEP);
        notes(at::<1_200>()).sweep();
        assert_eq!((count(), state.names("").count()), (1, 3));
        // A clock that has begun anew.
        notes(at::<7>()).sweep();
        assert_eq!((count(), state.names("").count()), (0, 2));
    }

    #[test]
    fn the_draft_of_a_killed_process_is_swept() {
        let dir = tempfile::tempdir().unwrap();
        let state = state(&dir);
        let own = format!(".token-0123.{}", std::process::id());
        for draft in [".denied-0123.4194999", own.as_str()] {
            state.write(draft, b"").unwrap();
        }
        Notes::new(&state, at::<1_000>()).sweep();
        assert_eq!(state.names("").collect::<Vec<_>>(), [own]);
    }

    #[test]
    fn a_sweep_removes_so_many_files_at_most_whatever_folders_they_are_in() {
        let dir = tempfile::tempdir().unwrap();
        let state = state(&dir);
        let notes = |clock| Notes::new(&state, clock);
        for number in 0..40 {
            let name = number.to_string();
            notes(at::<1_000>()).write(KIND, &name, "").unwrap();
            notes(at::<1_100>()).write(KIND, &name, "").unwrap();
        }
        notes(at::<5_000>()).sweep();
        let folders = state.names("");
        let left: usize = folders.map(|folder| state.names(&folder).count()).sum();
        assert_eq!(left, 80 - SWEEP);
    }

    #[test]
    fn a_folder_that_no_note_can_have_made_is_left_alone() {
        for folder in ["x-0-5", "x--1-5", "x-100", "x", "", "x-100-5-6", "x-y-5"] {
            assert!(!is_over(folder, 1_000), "{folder}");
        }
        assert!(is_over("x-100-5", 1_000));
    }
}
