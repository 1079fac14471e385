//! What is sent to OneLogin: reads that may be repeated, and challenges that are counted and sent once.

use super::Login;
use super::outcome::{Denial, Outcome};
use super::port::{Api, Challenge, Deadline, Limit, LimitReached, Memory, Permit, Uncounted, Wait};
use crate::api::{Activation, Again, ApiError, GiveBack};
use crate::factor::{Device, Factor};
use crate::id::UserId;
use crate::outage::{Miss, Outage};
use std::time::Duration;

/// How long after a refusal by a limit OneLogin is asked again at the soonest, where it names no time.
const REFUSED: Duration = Duration::from_secs(1);

/// How long after an outage OneLogin is tried again (rule R19: 1 to 2 s).
const SECOND_LOOK: Duration = Duration::from_millis(1500);

pub(super) fn too_many_challenges(reached: LimitReached) -> Denial {
    match reached {
        LimitReached::Window => Denial::TooManyChallenges,
        LimitReached::Day => Denial::TooManyChallengesToday,
        LimitReached::PushDenied => Denial::PushDeniedLately,
        LimitReached::PushPaused => Denial::PushPaused,
    }
}

impl Login<'_> {
    /// Makes the connection before the prompt, so that the user does not wait for it later; for all names alike (rule R13).
    pub(super) fn prepare(&mut self) -> Result<(), Outcome> {
        let deadline = self.deadline();
        let result = self.api.prepare(deadline);
        result.or_else(|error| self.second_look(error, |api, deadline| api.prepare(deadline)))
    }

    /// Reads something. Where OneLogin is asked too often, it is asked once more a moment later, if the time allows that.
    pub(super) fn read<T>(
        &mut self,
        mut call: impl FnMut(&mut dyn Api, Deadline) -> Result<T, ApiError>,
    ) -> Result<T, Outcome> {
        let deadline = self.deadline();
        let result = match call(self.api, deadline) {
            Err(error) if error.ending.consequences().read == Again::Later => {
                self.later(error, &mut call)?
            }
            other => other,
        };
        result.or_else(|error| self.second_look(error, call))
    }

    /// Asks once more after a pause, if the time allows that.
    pub(super) fn later<T>(
        &mut self,
        error: ApiError,
        call: &mut impl FnMut(&mut dyn Api, Deadline) -> Result<T, ApiError>,
    ) -> Result<Result<T, ApiError>, Outcome> {
        let pause = error.retry_after;
        let pause = pause.unwrap_or_else(|| REFUSED + self.clock.jitter());
        if pause >= self.end().saturating_sub(self.clock.elapsed()) {
            return Ok(Err(error));
        }
        match self.clock.wait(pause) {
            Wait::Over => {
                let deadline = self.deadline();
                Ok(call(self.api, deadline))
            }
            Wait::Interrupted => Err(Outcome::Denied(Denial::Interrupted)),
        }
    }

    /// Gets a token, if there is none, before something is counted and sent.
    pub(super) fn authorise(&mut self) -> Result<(), Outcome> {
        self.read(|api, deadline| api.authorise(deadline))
    }

    /// Sends something that must not be sent twice; once more where OneLogin has not seen it, or where it can be counted
    /// twice.
    pub(super) fn send<T>(
        &mut self,
        counted: Option<Limit>,
        mut call: impl FnMut(&mut Self) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let error = match call(self) {
            Err(error) => error,
            sent => return sent,
        };
        let is_again = match error.ending.consequences().act {
            Again::AtOnce => true,
            Again::Counted => counted.is_some_and(|limit| self.memory.count_again(limit).is_ok()),
            Again::Never | Again::Later => false,
        };
        if is_again { call(self) } else { Err(error) }
    }

    /// Asks once more, a moment later and by a connection of its own, where an outage would let in. If
    /// OneLogin is there again, the login goes on.
    fn second_look<T>(
        &mut self,
        first: ApiError,
        mut call: impl FnMut(&mut dyn Api, Deadline) -> Result<T, ApiError>,
    ) -> Result<T, Outcome> {
        let is_outage = first.miss.is_some_and(Miss::is_outage) && !self.progress.sent;
        let Some(place) = self.safe.filter(|_| is_outage) else {
            return Err(Self::trouble(first));
        };
        if self.clock.elapsed() + SECOND_LOOK >= self.end() {
            let miss = Some(Miss::Hurry);
            return Err(Self::trouble(ApiError { miss, ..first }));
        }
        if self.clock.wait(SECOND_LOOK) == Wait::Interrupted {
            return Err(Outcome::Denied(Denial::Interrupted));
        }
        self.api.disconnect();
        let deadline = self.deadline();
        call(self.api, deadline).map_err(|second| {
            match Outage::seen_twice(place, first.miss, second.miss) {
                Some(outage) => Outcome::Outage(outage, second),
                None => Self::trouble(second),
            }
        })
    }

    /// Sends the push, the code or the link, or calls: once.
    pub(super) fn activate(
        &mut self,
        user: &UserId,
        device: &Device,
    ) -> Result<Activation, Outcome> {
        self.progress.factor = Some(device.factor.word());
        self.authorise()?;
        let deadline = self.begin(match device.factor {
            Factor::Push if self.config.ask.is_push_only() => Challenge::PushAlone,
            Factor::Push => Challenge::Push,
            _ => Challenge::Other,
        })?;
        let result = self.send_challenge(user, device, deadline);
        result.map_err(|error| self.give_back(self.limit_of_challenges(), error))
    }

    /// Sends a challenge that was counted: once.
    pub(super) fn send_challenge(
        &mut self,
        user: &UserId,
        device: &Device,
        mut deadline: Deadline,
    ) -> Result<Activation, ApiError> {
        let phone_until = self.progress.phone_until;
        if let Some(end) = phone_until {
            deadline = deadline.min(self.clock.at(end));
        }
        self.send(Some(self.limit_of_challenges()), |login| {
            let memory: &dyn Memory = login.memory;
            let holds = &|| phone_until.is_none() || memory.holds_phone();
            login.api.activate(user, device, Permit { deadline, holds })
        })
    }

    /// By which limit the challenges of this login are counted.
    pub(super) fn limit_of_challenges(&self) -> Limit {
        if self.config.ask.is_push_only() {
            Limit::PushesAlone
        } else {
            Limit::Challenges
        }
    }

    /// What OneLogin has not seen does not count.
    pub(super) fn give_back(&mut self, limit: Limit, error: ApiError) -> Outcome {
        match error.ending.consequences().give_back {
            GiveBack::Always => self.memory.unsent(limit),
            GiveBack::Sometimes => self.memory.turned_away(limit),
            GiveBack::Never => {}
        }
        Self::trouble(error)
    }

    /// What precedes everything that sends something to the user: there must be time, it is counted,
    /// and the denial is written down, so that a process that is killed meanwhile, or a stack that
    /// is run again, sends no second one.
    pub(super) fn begin(&mut self, challenge: Challenge) -> Result<Deadline, Outcome> {
        let limit = self.config.onelogin.login_timeout;
        if self.clock.elapsed() >= limit {
            return Err(if self.progress.enrolled {
                Outcome::Denied(Denial::LogInAgain)
            } else {
                Self::trouble(ApiError::late("login_timeout"))
            });
        }
        self.mark_beforehand()?;
        self.memory.count_challenge(challenge).map_err(|why| {
            Outcome::Denied(match why {
                Uncounted::LimitReached(reached) => too_many_challenges(reached),
                Uncounted::NoState => Denial::NoState,
            })
        })?;
        self.progress.sent = true;
        Ok(self.clock.at(limit))
    }
}
