//! The login of a user whom nothing has proven: a prompt for codes, the same for every name (rule R13).

use super::Login;
use super::codes::{Checked, Tries};
use super::look_up::Closed;
use super::outcome::{Denial, Outcome, Unknown};
use super::port::Typed;
use crate::api::Acceptance;
use crate::factor::{Factor, Menu, PASSCODE};
use crate::id::UserId;
use crate::secret::Secret;
use crate::user::{Proof, Subject};
use std::time::Duration;

/// Whom the generic prompt stands before.
pub(super) enum Door<'a> {
    /// Somebody of whom OneLogin has not been asked yet.
    Unasked(&'a Subject),
    /// Somebody whom OneLogin knows.
    Found(UserId, Menu),
    /// Nobody.
    Nobody(Unknown),
    /// Somebody for whom it is over; the prompts go on, so that nobody can tell.
    Closed(Outcome),
}

/// How soon an unproven user hears that a code did not pass, whoever it is: for a name that nobody
/// knows there is no call, which would show in the time (rule R13).
const ALIKE: Duration = Duration::from_secs(2);

impl From<Result<(UserId, Menu), Closed>> for Door<'_> {
    fn from(result: Result<(UserId, Menu), Closed>) -> Self {
        match result {
            Ok((user, menu)) => Door::Found(user, menu),
            Err(Closed::Nobody(unknown)) => Door::Nobody(unknown),
            Err(Closed::NoFactorYet(_)) => Door::Nobody(Unknown::NoFactor),
            Err(Closed::For(outcome)) => Door::Closed(outcome),
        }
    }
}

impl Login<'_> {
    /// The prompt that tells nothing, for users whom nothing has proven and for names that nobody
    /// can verify: as many tries for one as for the other, whatever OneLogin says meanwhile;
    /// nothing is shown, nothing is sent to anybody.
    pub(super) fn codes_only(
        &mut self,
        mut door: Door<'_>,
        proof: Proof,
    ) -> Result<Acceptance, Outcome> {
        if let (Err(outcome), Door::Unasked(_)) = (self.prepare(), &door) {
            door = Door::Closed(outcome);
        }
        let mut tries = Tries::new(self.config.factors.prompts);
        while tries.left() {
            match self.ask(&tries.prompt(PASSCODE))? {
                Typed::Unusable(bad) => tries.failed(bad.into()),
                Typed::Text(answer) if !Factor::looks_like_a_code(&answer) => {
                    tries.failed(Denial::NoCode);
                }
                Typed::Text(answer) => {
                    let answered_at = self.clock.elapsed();
                    // Who stands behind it is found only when a code was typed.
                    if let Door::Unasked(subject) = door {
                        door = self.devices_of(subject).into();
                    }
                    if let Door::Closed(Outcome::Exempt(exemption)) = door {
                        return Err(Outcome::Exempt(exemption));
                    }
                    match self.check_behind(&door, &answer) {
                        Ok(Checked::Accepted(acceptance)) => return Ok(acceptance),
                        Ok(Checked::Refused | Checked::Used) => {}
                        Err(outcome) => door = Door::Closed(outcome),
                    }
                    tries.failed(Denial::Code);
                    if proof == Proof::Unproven {
                        let spent = self.clock.elapsed().saturating_sub(answered_at);
                        let _ = self.clock.wait(ALIKE.saturating_sub(spent));
                    }
                }
            }
        }
        Err(match door {
            Door::Nobody(unknown) => Outcome::Unknown(unknown),
            Door::Closed(outcome) => {
                // As after a wrong code: a rerun shall not tell either.
                self.mark();
                outcome
            }
            Door::Unasked(_) | Door::Found(..) => Outcome::Denied(tries.why),
        })
    }

    /// Checks a code of whoever stands behind a door, if there is anybody who has such codes.
    pub(super) fn check_behind(
        &mut self,
        door: &Door<'_>,
        answer: &Secret,
    ) -> Result<Checked, Outcome> {
        if let Door::Found(user, menu) = door {
            if let Some((device, code)) = menu.check(answer) {
                return self.check_at_hand(user, device, &code);
            }
        }
        Ok(Checked::Refused)
    }
}
