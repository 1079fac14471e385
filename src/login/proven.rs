//! The login of a proven user: the menu of their devices.

use super::Login;
use super::codes::Tries;
use super::outcome::{Denial, Outcome};
use super::port::{LimitReached, Typed};
use crate::api::Acceptance;
use crate::factor::{Choice, Device, Factor, Menu, Pick};
use crate::id::{UserId, VerificationId};
use crate::user::Subject;

/// Before the first prompt where less is sent than could be.
pub(super) fn held_back(reached: LimitReached) -> &'static str {
    match reached {
        // The pause is of logins without a prompt.
        LimitReached::Window | LimitReached::PushPaused => {
            "Too many pushes, calls or messages. Type a code, or log in again later. "
        }
        LimitReached::Day => "Too many pushes, calls or messages in 24 hours. Type a code. ",
        LimitReached::PushDenied => "A push was denied. No push is sent for one hour. ",
    }
}

impl Login<'_> {
    /// The menu of a proven user.
    pub(super) fn menu(
        &mut self,
        subject: &Subject,
        user: &UserId,
        menu: &Menu,
    ) -> Result<Acceptance, Outcome> {
        if self.config.factors.autopush {
            if let Some(device) = menu.autopush() {
                // An outage shall be seen before anything is counted.
                self.prepare()?;
                return self.approval(user, device, self.config.factors.prompts);
            }
        }
        self.prepare()?;
        let mut tries = Tries::new(self.config.factors.prompts);
        if let Some(reached) = self.progress.held_back {
            tries.words = held_back(reached).into();
        }
        while tries.left() {
            let text = match &self.config.prompt {
                Some(text) if menu.is_for_codes() => tries.prompt(text),
                Some(_) | None => tries.prompt(&menu.prompt(&subject.name)),
            };
            match self.ask(&text)? {
                Typed::Unusable(bad) => tries.failed(bad.into()),
                Typed::Text(answer) => match menu.pick(&answer) {
                    Pick::Nothing => tries.not_understood(menu.hint()),
                    Pick::Start(choice) => return self.start(user, &choice, tries.count),
                    Pick::Check(device, code) => {
                        let accepted = self.check_typed(user, &device, &code, &mut tries)?;
                        if let Some(acceptance) = accepted {
                            return Ok(acceptance);
                        }
                    }
                },
            }
        }
        Err(Outcome::Denied(tries.why))
    }

    pub(super) fn start(
        &mut self,
        user: &UserId,
        choice: &Choice,
        tries: u8,
    ) -> Result<Acceptance, Outcome> {
        match choice {
            Choice::Approval(device) => self.approval(user, device, tries),
            Choice::CodeTo(device) => {
                let verification = self.activate(user, device)?.id;
                let medium = device.factor.medium();
                let text = format!(
                    "Verification code from the {medium} to {}: ",
                    device.label()
                );
                self.codes_of(user, device, Some(&verification), &text, tries)
            }
            Choice::CodeOf(device) => {
                let text = match device.factor {
                    Factor::Temporary => "Temporary passcode: ".to_owned(),
                    _ => format!("Verification code from {}: ", device.label()),
                };
                self.codes_of(user, device, None, &text, tries)
            }
        }
    }

    /// Codes of one device, until one is accepted or the tries are used up. A refused code sends
    /// no second message.
    fn codes_of(
        &mut self,
        user: &UserId,
        device: &Device,
        verification: Option<&VerificationId>,
        text: &str,
        tries: u8,
    ) -> Result<Acceptance, Outcome> {
        let mut tries = Tries::new(tries);
        while tries.left() {
            match self.ask(&tries.prompt(text))? {
                Typed::Unusable(bad) => tries.failed(bad.into()),
                Typed::Text(answer) => match device.factor.code(&answer) {
                    None => tries.failed(Denial::NoCode),
                    Some(code) => {
                        let accepted = match verification {
                            Some(_) => tries.take(self.count_and_send(
                                user,
                                device,
                                verification,
                                &code,
                            )?),
                            None => self.check_typed(user, device, &code, &mut tries)?,
                        };
                        if let Some(acceptance) = accepted {
                            return Ok(acceptance);
                        }
                    }
                },
            }
        }
        Err(Outcome::Denied(tries.why))
    }
}
