//! A login without any prompt, for programs that cannot show one: a push is sent and waited for.

use super::Login;
use super::outcome::{Denial, Outcome, Unknown};
use super::port::{Limit, Phone, Recalled};
use super::requests::too_many_challenges;
use crate::api::Acceptance;
use crate::user::{Proof, Subject};
use std::time::Duration;

impl Login<'_> {
    /// One push to the first device that can receive one. Without a first factor anyone could cause it, so none is sent.
    pub(super) fn push_only(
        &mut self,
        subject: Result<&Subject, Unknown>,
    ) -> Result<Acceptance, Outcome> {
        let subject = subject.map_err(Outcome::Unknown)?;
        if subject.proof == Proof::Unproven {
            return Err(Outcome::Denied(Denial::NoFirstFactor));
        }
        let (user, menu) = self.devices_of(subject)?;
        let Some(device) = menu.pushed().cloned() else {
            return Err(self.without_push_device());
        };
        // An outage shall be seen before anything is counted.
        self.prepare()?;
        self.progress.factor = Some(device.factor.word());
        let life = Duration::from_secs(self.config.factors.expires_in.into());
        let now = self.clock.elapsed();
        match self.memory.take_phone(life) {
            Ok(Phone::Ours) => self.progress.phone_until = Some(now + life),
            Ok(Phone::Busy) => return Err(Outcome::Denied(Denial::PhoneBusy)),
            Err(_) => return Err(Outcome::Denied(Denial::NoState)),
        }
        let activation = self.activate(&user, &device)?;
        let sent = self.sent(&device, activation)?;
        self.wait_for_approval(&user, &device, &sent, false)
    }

    /// Denies what this host knows enough of, before OneLogin is asked: a program comes back by itself.
    pub(super) fn may_push(&mut self) -> Result<(), Outcome> {
        if self.memory.recall() == Recalled::NothingToVerify {
            return Err(Outcome::Unknown(Unknown::LookUpPaused));
        }
        match self.memory.limit_reached(Limit::PushesAlone) {
            Some(reached) => {
                self.progress.held_back = Some(reached);
                Err(Outcome::Denied(too_many_challenges(reached)))
            }
            None => Ok(()),
        }
    }

    /// The user has no device that gets the push, or none may be sent.
    pub(super) fn without_push_device(&mut self) -> Outcome {
        let denial = self.progress.held_back.map(too_many_challenges);
        self.progress.nothing_to_verify = denial.is_none();
        Outcome::Denied(denial.unwrap_or(Denial::NoPushDevice))
    }
}
