//! What this host keeps about users: counts, denials and the cache. Reading creates no files.

use crate::login::outlook::{request, subject};
use crate::outcome::Failure;
use pam_onelogin::config::Config;
use pam_onelogin::config::file::Loaded;
use pam_onelogin::host::{Nss, uids};
use pam_onelogin::login::Memory as _;
use pam_onelogin::map::UserKey;
use pam_onelogin::onelogin::cache::Cache;
use pam_onelogin::state::State;
use pam_onelogin::state::user_memory::{Action, Person, Standing, UserMemory};
use pam_onelogin::trust::Trusted;
use pam_onelogin::user::{self, People as _, Proof, Subject};

/// A local user, and what is kept of them.
pub(crate) struct Stored<'a> {
    account: user::Account,
    loaded: &'a Loaded,
    state: State,
}

impl<'a> Stored<'a> {
    /// The account of this name, with a folder of private files that can be used or is not there yet.
    pub(crate) fn of(name: &str, loaded: &'a Loaded) -> Result<Self, Failure> {
        let account = match Nss.by_name(name) {
            Ok(Some(account)) => account,
            Ok(None) => {
                return Err(Failure::new(format!(
                    "the user {name:?} does not exist on this host"
                )));
            }
            Err(_) => {
                return Err(Failure::new(
                    "the user database does not answer; try again, or type: getent passwd",
                ));
            }
        };
        let folder = &loaded.config.state_dir;
        let state = state(loaded);
        match state.trouble() {
            Some(trouble) if folder.symlink_metadata().is_ok() => {
                Err(Failure::new(trouble.to_string()))
            }
            _ => Ok(Self {
                account,
                loaded,
                state,
            }),
        }
    }

    pub(crate) fn standing(&self) -> Result<Standing, Failure> {
        // A folder that is not there yet.
        if self.state.trouble().is_some() {
            return Ok(Standing::default());
        }
        let standing = self.user_memory().standing();
        standing.map_err(|_| Failure::new(NO_ANSWER))
    }

    /// Resets the counts.
    pub(crate) fn reset(&self) -> Result<(), Failure> {
        if self.state.trouble().is_some() {
            return Ok(());
        }
        let reset = self.user_memory().reset();
        reset.map_err(|_| Failure::new(NO_ANSWER))
    }

    /// The memory of the user, as a login has it: of the OneLogin user too, if it is known who that is.
    fn user_memory(&self) -> UserMemory<'_> {
        let user::Account { name, uid } = &self.account;
        let config = &self.loaded.config;
        let person = Person {
            name,
            uid: Some(*uid),
            proof: Proof::Proven,
            origin: None,
        };
        let mut user_memory = UserMemory::of(&self.state, config, Action::Handle(None), &person);
        let id = match self.subject().map(|subject| subject.key) {
            Some(Ok(UserKey::Id(id))) => Some(id),
            Some(Ok(wanted)) => {
                let kept = Cache::new(config, &self.state).cached(&wanted);
                kept.map(|(_, id)| id).or_else(|| user_memory.pointed_at())
            }
            _ => user_memory.pointed_at(),
        };
        if let Some(id) = id {
            user_memory.meet(&id);
        }
        user_memory
    }

    fn subject(&self) -> Option<Subject> {
        subject(&request(&self.account.name), self.loaded).ok()
    }

    /// How long ago the user was looked up, if the result is cached.
    pub(crate) fn cached(&self) -> Option<i64> {
        age(&self.subject()?, &self.loaded.config, &self.state)
    }
}

/// Whether a limit is used up: of the counts and the limits, the first is within the window, the second within 24 hours.
pub(crate) fn is_used_up(counts: [usize; 2], most: [u32; 2]) -> bool {
    let mut pairs = counts.into_iter().zip(most);
    pairs.any(|(count, most)| u32::try_from(count).is_ok_and(|count| count >= most))
}

/// The private files; they are not created if they do not exist.
pub(crate) fn state(loaded: &Loaded) -> State {
    let folder = &loaded.config.state_dir;
    if folder.symlink_metadata().is_ok() {
        State::open(folder, Trusted::of(uids()))
    } else {
        State::nowhere()
    }
}

/// How many seconds ago this subject was looked up, if a login would use the cached result.
pub(crate) fn age(subject: &Subject, config: &Config, state: &State) -> Option<i64> {
    let (age, _) = Cache::new(config, state).cached(subject.key.as_ref().ok()?)?;
    Some(age)
}

const NO_ANSWER: &str = "the clock of this machine, or state_dir, cannot be read";
