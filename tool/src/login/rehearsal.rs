//! `test --offline`: an outage of OneLogin for this process alone, and who could log in during it.

use crate::login::outlook::{Prediction, request, subject, word};
use crate::outcome::Failure;
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use pam_onelogin::config::FailMode;
use pam_onelogin::config::file::Loaded;
use pam_onelogin::host::uids;
use pam_onelogin::login::Outcome;
use pam_onelogin::offline::{CodeStore as _, Holder};
use pam_onelogin::state::offline_codes::OfflineCodes;
use pam_onelogin::text::{PROMPT_CHARS, clean};
use pam_onelogin::trust::Trusted;
use serde::Serialize;

/// How a user could log in while OneLogin cannot be reached.
#[derive(Debug, Serialize)]
pub(crate) struct Way {
    pub(crate) user: String,
    /// `exempt`, `offline-codes`, `failmode-safe` or `none`.
    pub(crate) by: &'static str,
    /// How many offline codes the user has.
    pub(crate) codes: usize,
    /// For people.
    #[serde(skip)]
    pub(crate) text: String,
}

impl Way {
    /// What to do for this user, who did not get in.
    pub(crate) fn advice(&self, user: &str) -> String {
        match self.codes {
            0 => format!(
                "In an outage, {user} cannot log in. To issue offline codes, as root, type: pam-onelogin offline issue {}",
                word(user)
            ),
            count => format!("No offline code was typed; {user} has {count}."),
        }
    }
}

/// Takes the network away from this process, and from no other one.
pub(crate) fn cut_off() -> Result<(), Failure> {
    unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| {
        Failure::new(match errno {
            Errno::EPERM => {
                "only root can rehearse an outage; run the command with sudo".to_owned()
            }
            errno => format!("the network of this process cannot be taken away: {errno}"),
        })
    })
}

/// How each of these users could log in.
pub(crate) fn ways<'a>(loaded: &Loaded, users: impl Iterator<Item = &'a String>) -> Vec<Way> {
    let codes = OfflineCodes::of(&loaded.config, Trusted::of(uids()));
    users.map(|user| way(loaded, &codes, user)).collect()
}

fn way(loaded: &Loaded, codes: &OfflineCodes<'_>, user: &str) -> Way {
    let config = &loaded.config;
    let found = subject(&request(user), loaded);
    let count = match &found {
        Ok(subject) if config.offline => codes.store(Holder::from(subject)).usable().len(),
        _ => 0,
    };
    let (by, text) = match &found {
        Err(outcome @ Outcome::Exempt(_)) => {
            let reason = Prediction::of_end(outcome).reason.unwrap_or_default();
            ("exempt", format!("without OneLogin: {reason}"))
        }
        Err(outcome) => (
            "none",
            format!("not at all: {}", Prediction::of_end(outcome).sentence()),
        ),
        Ok(_) if count > 0 => ("offline-codes", format!("by offline codes: {count}")),
        Ok(_) if config.failmode == FailMode::Safe => {
            let networks = config.failmode_from.iter().map(ToString::to_string);
            let networks = networks.collect::<Vec<_>>().join(", ");
            let text = format!(
                "over ssh, by the first factor alone: failmode = \"safe\", from {networks}"
            );
            ("failmode-safe", text)
        }
        Ok(_) => ("none", "not at all: no offline codes".to_owned()),
    };
    Way {
        user: clean(user, PROMPT_CHARS),
        by,
        codes: count,
        text,
    }
}
