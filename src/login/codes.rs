//! Codes: count one, send it, and report the result at the next prompt. `api::Ending` says when a request may be repeated.

use super::Login;
use super::outcome::{Denial, Outcome};
use super::port::{CodeNotCounted, Limit, LimitReached};
use crate::api::{Acceptance, Answer, ApiTrouble, GiveBack};
use crate::config::VerifyForm;
use crate::factor::{Code, Codes, Device, Factor};
use crate::id::{UserId, VerificationId};
use std::borrow::Cow;

/// How one submitted code fared.
pub(super) enum Checked {
    Accepted(Acceptance),
    Refused,
    /// It was used before on this host, and not sent.
    Used,
}

/// Whether a code may be sent.
pub(super) enum CodeCount {
    Counted,
    Used,
}

/// How many answers are left, and why the last one failed.
pub(super) struct Tries {
    pub(super) count: u8,
    pub(super) why: Denial,
    pub(super) words: Cow<'static, str>,
    /// How many answers to a menu that are neither an option nor a code still cost no try.
    slips: u8,
}

impl Tries {
    pub(super) fn new(count: u8) -> Self {
        Self {
            count,
            why: Denial::NoCode,
            words: Cow::Borrowed(""),
            slips: SLIPS,
        }
    }

    pub(super) fn left(&self) -> bool {
        self.count > 0
    }

    pub(super) fn failed(&mut self, why: Denial) {
        self.count = self.count.saturating_sub(1);
        self.why = why;
        self.words = Cow::Borrowed(NOT_ACCEPTED);
    }

    /// The answer is neither an option nor a code. With a hint it costs no try, a few times.
    pub(super) fn not_understood(&mut self, hint: Option<String>) {
        match hint {
            Some(hint) if self.slips > 0 => {
                self.slips -= 1;
                self.words = Cow::Owned(hint);
            }
            Some(_) | None => self.failed(Denial::NoCode),
        }
    }

    /// What a code came to: an acceptance, or one try less.
    pub(super) fn take(&mut self, checked: Checked) -> Option<Acceptance> {
        match checked {
            Checked::Accepted(acceptance) => return Some(acceptance),
            Checked::Refused => self.failed(Denial::Code),
            Checked::Used => {
                self.failed(Denial::UsedCode);
                self.words = Cow::Borrowed(USED_BEFORE);
            }
        }
        None
    }

    pub(super) fn prompt(&self, text: &str) -> String {
        format!("{}{text}", self.words)
    }
}

/// A slip of the keyboard is no guess; but a program that answers at random must come to an end.
const SLIPS: u8 = 3;

/// Before a prompt that follows an answer which did not pass.
const NOT_ACCEPTED: &str = "Not accepted. ";

/// Before a prompt that follows a code which was used before.
const USED_BEFORE: &str = "That code was used before; wait for the next one. ";

pub(super) fn too_many_codes(reached: LimitReached) -> Denial {
    match reached {
        LimitReached::Day => Denial::TooManyCodesToday,
        LimitReached::Window | LimitReached::PushDenied | LimitReached::PushPaused => {
            Denial::TooManyCodes
        }
    }
}

impl Login<'_> {
    /// Checks a code that nothing was sent for, with a push where the device takes it in no other way.
    pub(super) fn check_typed(
        &mut self,
        user: &UserId,
        device: &Device,
        code: &Code,
        tries: &mut Tries,
    ) -> Result<Option<Acceptance>, Outcome> {
        match device.codes {
            Codes::WithPush => self.code_with_push(user, device, code, tries),
            Codes::AtHand | Codes::Never => Ok(tries.take(self.check_at_hand(user, device, code)?)),
        }
    }

    /// Checks a code that needs no message: directly, or after an activation where the tenant
    /// wants one. That activation sends no message.
    pub(super) fn check_at_hand(
        &mut self,
        user: &UserId,
        device: &Device,
        code: &Code,
    ) -> Result<Checked, Outcome> {
        let is_activated = self.config.onelogin.verify == VerifyForm::Activated
            && matches!(device.factor, Factor::Totp | Factor::YubiKey);
        if !is_activated {
            return self.count_and_send(user, device, None, code);
        }
        self.authorise()?;
        if let CodeCount::Used = self.count_code(device, code)? {
            return Ok(Checked::Used);
        }
        let deadline = self.deadline();
        let activation = self
            .send(Some(Limit::RefusedCodes), |login| {
                login.api.activate(user, device, deadline.into())
            })
            .map_err(|error| self.give_back(Limit::RefusedCodes, error))?;
        self.send_code(user, device, Some(&activation.id), code, true)
    }

    pub(super) fn count_and_send(
        &mut self,
        user: &UserId,
        device: &Device,
        verification: Option<&VerificationId>,
        code: &Code,
    ) -> Result<Checked, Outcome> {
        self.authorise()?;
        match self.count_code(device, code)? {
            CodeCount::Counted => self.send_code(user, device, verification, code, false),
            CodeCount::Used => Ok(Checked::Used),
        }
    }

    /// Counts a code and records the denial before the code is sent. A user who disconnects after a wrong code gets no new tries
    /// in the same action.
    pub(super) fn count_code(
        &mut self,
        device: &Device,
        code: &Code,
    ) -> Result<CodeCount, Outcome> {
        self.progress.factor = Some(device.factor.code_word());
        match self.memory.count_code(code) {
            Ok(()) => {}
            Err(CodeNotCounted::UsedBefore) => return Ok(CodeCount::Used),
            Err(CodeNotCounted::LimitReached(reached)) => {
                return Err(Outcome::Denied(too_many_codes(reached)));
            }
            Err(CodeNotCounted::NoState) => return Err(Outcome::Denied(Denial::NoState)),
        }
        if let Err(outcome) = self.mark_beforehand() {
            self.memory.unsent(Limit::RefusedCodes);
            return Err(outcome);
        }
        self.progress.sent = true;
        Ok(CodeCount::Counted)
    }

    /// Sends a code that was counted: once. `is_seen`: the activation that shares this code's count has reached
    /// OneLogin.
    pub(super) fn send_code(
        &mut self,
        user: &UserId,
        device: &Device,
        verification: Option<&VerificationId>,
        code: &Code,
        is_seen: bool,
    ) -> Result<Checked, Outcome> {
        let deadline = self.deadline();
        let result = self.send(Some(Limit::RefusedCodes), |login| {
            login.api.check(user, device, verification, code, deadline)
        });
        match result {
            Ok(Answer::Accepted(acceptance)) => Ok(Checked::Accepted(acceptance)),
            Ok(Answer::Rejected | Answer::Unfit) => {
                self.memory.refused();
                Ok(Checked::Refused)
            }
            // OneLogin may still accept the code: it stays used (rule R18).
            Ok(Answer::Pending) => Ok(Checked::Refused),
            Err(error) if error.trouble == ApiTrouble::NotFound => {
                Err(Outcome::Denied(Denial::Expired))
            }
            // The activation of a code at hand was counted as this code, and OneLogin has seen it.
            Err(error) if is_seen && error.ending.consequences().give_back != GiveBack::Never => {
                self.memory.refused();
                Err(Self::trouble(error))
            }
            Err(error) => Err(self.give_back(Limit::RefusedCodes, error)),
        }
    }
}
