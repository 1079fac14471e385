//! A login without any prompt, for programs that cannot show one: a push is sent and waited for.

use super::Login;
use super::look_up::NoMenu;
use super::outcome::{Denial, Outcome, Unknown};
use super::port::Phone;
use super::requests::too_many_challenges;
use crate::api::Acceptance;
use crate::config::Ask;
use crate::factor::{Device, Menu};
use crate::user::{Proof, Subject};
use std::time::Duration;

impl Login<'_> {
    /// Whether this login shows nothing and asks nothing.
    pub(super) fn is_push_only(&self) -> bool {
        self.config.ask == Ask::Push
    }

    /// One push to the first device that can receive one. Without a first factor anyone could cause it, so none is sent.
    pub(super) fn push_only(
        &mut self,
        subject: Result<&Subject, Unknown>,
    ) -> Result<Acceptance, Outcome> {
        let subject = subject.map_err(Outcome::Unknown)?;
        if subject.proof == Proof::Unproven {
            return Err(Outcome::Denied(Denial::NoFirstFactor));
        }
        let (user, menu) = self.devices_of(subject).map_err(|no_menu| match no_menu {
            NoMenu::NoFactorYet(_) => Outcome::Unknown(Unknown::NoFactor),
            other => other.into(),
        })?;
        let device = self.pushed_to(&menu)?;
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

    /// The device that gets the push.
    pub(super) fn pushed_to(&self, menu: &Menu) -> Result<Device, Outcome> {
        menu.pushed().cloned().ok_or_else(|| {
            Outcome::Denied(match self.progress.held_back {
                Some(reached) => too_many_challenges(reached),
                None => Denial::NoPushDevice,
            })
        })
    }
}
