//! The generic prompt for codes, the same for every name (rule R13): for users without a first factor.

use super::Login;
use super::codes::{Checked, Tries};
use super::look_up::NoMenu;
use super::outcome::{Denial, Outcome, Unknown};
use super::port::Typed;
use crate::api::Acceptance;
use crate::factor::{CODE_PROMPT, Factor, Menu};
use crate::id::UserId;
use crate::secret::Secret;
use crate::user::Subject;
use std::time::Duration;

/// What is known about the person at the generic prompt.
pub(super) enum Claimant<'a> {
    /// OneLogin has not been asked yet.
    Unasked(&'a Subject),
    /// OneLogin knows the user, who has devices.
    Found(UserId, Menu),
    /// There is no user to verify.
    Unknown(Unknown),
    /// How the login will end. The prompts continue, so that a denial does not show; an exemption ends them.
    Ends(Outcome),
}

/// Minimum time before an unproven user sees a refusal. An unknown name needs no request, so a shorter time would reveal it
/// (rule R13).
const MIN_REFUSAL_TIME: Duration = Duration::from_secs(2);

impl From<Result<(UserId, Menu), NoMenu>> for Claimant<'_> {
    fn from(result: Result<(UserId, Menu), NoMenu>) -> Self {
        match result {
            Ok((user, menu)) => Claimant::Found(user, menu),
            Err(NoMenu::Unknown(unknown)) => Claimant::Unknown(unknown),
            Err(NoMenu::NoFactorYet(_)) => Claimant::Unknown(Unknown::NoFactor),
            Err(NoMenu::For(outcome)) => Claimant::Ends(outcome),
        }
    }
}

impl Login<'_> {
    /// The prompt that reveals nothing. All names get the same number of tries, independent of what OneLogin answers
    /// meanwhile. No device is shown, and nothing is sent to one.
    pub(super) fn codes_only(&mut self, mut claimant: Claimant<'_>) -> Result<Acceptance, Outcome> {
        if let (Err(outcome), Claimant::Unasked(_)) = (self.prepare(), &claimant) {
            claimant = Claimant::Ends(outcome);
        }
        let mut tries = Tries::new(self.config.factors.prompts);
        while tries.left() {
            let text = self.config.prompt.as_deref().unwrap_or(CODE_PROMPT);
            match self.ask(&tries.prompt(text))? {
                Typed::Unusable(bad) => tries.failed(bad.into()),
                Typed::Text(answer) if !Factor::looks_like_a_code(&answer) => {
                    tries.failed(Denial::NoCode);
                }
                Typed::Text(answer) => {
                    let answered_at = self.clock.elapsed();
                    // The user is looked up only after a code was typed.
                    if let Claimant::Unasked(subject) = claimant {
                        claimant = self.devices_of(subject).into();
                    }
                    if let Claimant::Ends(Outcome::Exempt(exemption)) = claimant {
                        return Err(Outcome::Exempt(exemption));
                    }
                    match self.check_for(&claimant, &answer) {
                        Ok(Checked::Accepted(acceptance)) => return Ok(acceptance),
                        Ok(Checked::Refused | Checked::Used) => {}
                        Err(outcome) => claimant = Claimant::Ends(outcome),
                    }
                    tries.failed(Denial::Code);
                    let spent = self.clock.elapsed().saturating_sub(answered_at);
                    let _ = self.clock.wait(MIN_REFUSAL_TIME.saturating_sub(spent));
                }
            }
        }
        Err(match claimant {
            Claimant::Unknown(unknown) => Outcome::Unknown(unknown),
            Claimant::Ends(outcome) => {
                // As after a wrong code: a rerun shall not tell either.
                self.mark();
                outcome
            }
            Claimant::Unasked(_) | Claimant::Found(..) => Outcome::Denied(tries.why),
        })
    }

    /// Checks a code for the claimant, if there is a device that has such codes.
    fn check_for(&mut self, claimant: &Claimant<'_>, answer: &Secret) -> Result<Checked, Outcome> {
        if let Claimant::Found(user, menu) = claimant {
            if let Some((device, code)) = menu.device_for_code(answer) {
                return self.check_at_hand(user, device, &code);
            }
        }
        Ok(Checked::Refused)
    }
}
