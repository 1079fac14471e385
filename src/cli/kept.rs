//! What this host keeps of users: counts, denials, what was looked up. To look makes nothing.

use super::Trouble;
use super::survey::{request, subject};
use crate::clock::seconds_since_boot;
use crate::config::Config;
use crate::config::file::Loaded;
use crate::host::{Nss, process_identity, uids};
use crate::onelogin::cache::Cache;
use crate::state::State;
use crate::state::ledger::{Action, Ledger, Standing, Strictness};
use crate::state::notes::Notes;
use crate::trust::Trusted;
use crate::user::{self, People as _, Subject};
use std::time::Duration;

/// A local user, and what is kept of them.
pub(super) struct Kept<'a> {
    account: user::Account,
    loaded: &'a Loaded,
    state: State,
}

impl<'a> Kept<'a> {
    /// The account of this name, with a folder of private files that can be used or is not there yet.
    pub(super) fn of(name: &str, loaded: &'a Loaded) -> Result<Self, Trouble> {
        let account = match Nss.by_name(name) {
            Ok(Some(account)) => account,
            Ok(None) => return Err(Trouble::new(format!("this host knows no user {name:?}"))),
            Err(_) => return Err(Trouble::new("the user database gave no answer")),
        };
        let folder = &loaded.config.state_dir;
        let state = state(loaded);
        match state.trouble() {
            Some(trouble) if folder.symlink_metadata().is_ok() => {
                Err(Trouble::new(trouble.to_string()))
            }
            _ => Ok(Self {
                account,
                loaded,
                state,
            }),
        }
    }

    pub(super) fn standing(&self) -> Result<Standing, Trouble> {
        let life = Duration::from_secs(self.loaded.config.factors.expires_in.into());
        let standing = self.ledger().standing(life);
        standing.map_err(|_| Trouble::new(NO_CLOCK))
    }

    /// Takes back what was counted.
    pub(super) fn reset(&self) -> Result<(), Trouble> {
        let reset = self.ledger().reset();
        reset.map_err(|_| Trouble::new(NO_CLOCK))
    }

    /// The memory of the user, as a login has it.
    fn ledger(&self) -> Ledger<'_> {
        let user::Account { name, uid } = &self.account;
        let notes = Notes::new(&self.state, seconds_since_boot);
        let action = Action::Process(process_identity());
        let limits = &self.loaded.config.limits;
        let user = (name.as_str(), Some(*uid));
        Ledger::of(notes, &action, user, limits, Strictness::Strict)
    }

    /// How long ago the user was looked up, where that is believed.
    pub(super) fn cached(&self) -> Option<i64> {
        let subject = subject(&request(&self.account.name), self.loaded).ok()?;
        age(&subject, &self.loaded.config, &self.state)
    }
}

/// The private files; they are not made where there are none.
pub(super) fn state(loaded: &Loaded) -> State {
    let folder = &loaded.config.state_dir;
    if folder.symlink_metadata().is_ok() {
        State::open(folder, Trusted::of(uids()))
    } else {
        State::nowhere()
    }
}

/// How many seconds ago this subject was looked up, where a login believes that.
pub(super) fn age(subject: &Subject, config: &Config, state: &State) -> Option<i64> {
    let notes = Notes::new(state, seconds_since_boot);
    Cache::new(config, notes).age(subject.wanted.as_ref().ok()?)
}

const NO_CLOCK: &str = "the clock of this machine cannot be read";
