//! The flow of one login, straight-line and blocking, over four traits that it owns: OneLogin, the
//! conversation, the clock, and what this host remembers of the user. It imports no adapter.

mod approval;
mod codes;
mod enrol;
mod generic_prompt;
mod look_up;
mod observe;
mod offline_code;
mod outcome;
mod port;
mod preview;
mod proven;
mod push_only;
mod requests;
mod setup;

pub use outcome::{Denial, Fault, Foreseen, Outcome, Report, Unknown};
pub use port::{
    Api, BadAnswer, Challenge, Clock, CodeNotCounted, Deadline, Limit, LimitReached, LookUpEnd,
    Memory, NoAnswer, NoState, Permit, Phone, Prompt, Recalled, Typed, Uncounted, Wait,
};
pub use preview::{Beginning, Preview};
pub use setup::{Further, Setup, SetupEnd};

use crate::api::{Acceptance, ApiError, ApiTrouble};
use crate::config::Config;
use crate::id::UserId;
use crate::offline::CodeStore;
use crate::outage::{NotSafe, SafePlace};
use crate::user::{Proof, Subject};
use generic_prompt::Claimant;
use look_up::NoMenu;
use std::time::Duration;

/// How a push is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApprovalWait {
    /// The host may hold texts back: everything stands in a prompt, and the wait follows it.
    AfterEnter,
    /// The host shows texts at once: no prompt, the wait begins.
    AtOnce,
}

/// One login.
pub struct Login<'a> {
    api: &'a mut dyn Api,
    prompt: &'a mut dyn Prompt,
    clock: &'a dyn Clock,
    memory: &'a mut dyn Memory,
    config: &'a Config,
    approval_wait: ApprovalWait,
    safe: Option<SafePlace>,
    offline: Option<&'a dyn CodeStore>,
    /// When the login is over, on its clock.
    limit: Duration,
    progress: Progress,
}

/// What is known so far.
#[derive(Default)]
struct Progress {
    onelogin_id: Option<UserId>,
    factor: Option<&'static str>,
    /// Whether a code or an activation has left: from then on an outage is no reason to let in.
    sent: bool,
    mark: Mark,
    /// Whether a factor was enrolled in this login.
    enrolled: bool,
    /// Why less was offered than could be sent.
    held_back: Option<LimitReached>,
    /// How many entries of the list of devices could not be read.
    odd_devices: usize,
    /// OneLogin's answer makes verification impossible, with or without a first factor.
    nothing_to_verify: bool,
    /// Until when requests may go on, on the login's clock, because the user typed late.
    until: Duration,
    /// When the push is over that this login has taken the phone for, on its clock.
    phone_until: Option<Duration>,
    /// How the login would have ended without the offline code that was asked for.
    without_offline_code: Option<Box<Outcome>>,
    /// Why the outage does not let in, where `failmode = "safe"` applies.
    not_safe: Option<NotSafe>,
    /// How many offline codes were removed.
    removed_offline_codes: usize,
}

/// Whether the denial is written down.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Mark {
    #[default]
    NotYet,
    Written,
    Failed,
}

impl<'a> Login<'a> {
    /// Prepares a login.
    pub fn new(
        api: &'a mut dyn Api,
        prompt: &'a mut dyn Prompt,
        clock: &'a dyn Clock,
        memory: &'a mut dyn Memory,
        config: &'a Config,
        approval_wait: ApprovalWait,
    ) -> Self {
        Self {
            api,
            prompt,
            clock,
            memory,
            config,
            approval_wait,
            safe: None,
            offline: None,
            limit: config.onelogin.login_timeout,
            progress: Progress::default(),
        }
    }

    /// An outage lets in, if `failmode = "safe"` applies to this login.
    #[must_use]
    pub fn with_outages(mut self, safe: Option<SafePlace>) -> Self {
        self.safe = safe;
        self
    }

    /// Where OneLogin gives no answer, one of these codes lets in.
    #[must_use]
    pub fn with_offline_codes(mut self, codes: Option<&'a dyn CodeStore>) -> Self {
        self.offline = codes;
        self
    }

    /// Runs the login of a subject; `Err` is a user who cannot be verified; the prompts are the same.
    #[must_use]
    pub fn run(mut self, subject: Result<&Subject, Unknown>) -> Report {
        let outcome = if !self.config.ask.is_push_only() && !self.prompt.is_there() {
            Outcome::NoConversation
        } else if self.memory.is_denied() {
            Outcome::Denied(Denial::Before)
        } else {
            let known = subject.as_ref().ok().copied();
            let ended = self.flow(subject);
            self.memory.leave_phone();
            match ended {
                Ok(acceptance) => Outcome::Accepted(acceptance),
                Err(outcome) => self.or_offline_code(outcome, known),
            }
        };
        self.remember(&outcome);
        self.report(outcome)
    }

    fn report(self, outcome: Outcome) -> Report {
        Report {
            outcome,
            onelogin_id: self.progress.onelogin_id,
            factor: self.progress.factor,
            denial_unrecorded: self.progress.mark == Mark::Failed,
            held_back: self.progress.held_back,
            odd_devices: self.progress.odd_devices,
            without_offline_code: self.progress.without_offline_code,
            not_safe: self.progress.not_safe,
            removed_offline_codes: self.progress.removed_offline_codes,
        }
    }

    fn flow(&mut self, subject: Result<&Subject, Unknown>) -> Result<Acceptance, Outcome> {
        if self.config.ask.is_push_only() {
            return self.push_only(subject);
        }
        match subject {
            Err(unknown) => self.codes_only(Claimant::Unknown(unknown)),
            Ok(subject) => match subject.proof {
                Proof::Unproven => self.codes_only(Claimant::Unasked(subject)),
                Proof::Proven => match self.devices_of(subject) {
                    Ok((user, menu)) => self.menu(subject, &user, &menu),
                    // The first factor was theirs, so nothing has to be hidden, and no code can help.
                    Err(NoMenu::Unknown(unknown)) => Err(Outcome::Unknown(unknown)),
                    Err(NoMenu::NoFactorYet(user)) => self.enrol(subject, &user),
                    Err(NoMenu::For(outcome)) => Err(outcome),
                },
            },
        }
    }

    fn ask(&mut self, text: &str) -> Result<Typed, Outcome> {
        let typed = self
            .prompt
            .ask(text)
            .map_err(|NoAnswer| Outcome::NoConversation)?;
        self.progress.until = self.clock.elapsed() + self.config.onelogin.request_timeout;
        Ok(typed)
    }

    /// When the login is over, on its clock; but what the user typed late still gets the time of one
    /// request.
    fn end(&self) -> Duration {
        self.limit.max(self.progress.until)
    }

    fn deadline(&self) -> Deadline {
        self.clock.at(self.end())
    }

    fn trouble(error: ApiError) -> Outcome {
        match error.trouble {
            ApiTrouble::Interrupted => Outcome::Denied(Denial::Interrupted),
            ApiTrouble::Credential => Outcome::Fault(Fault::Credential(error.detail)),
            ApiTrouble::GatewayRefused => Outcome::Fault(Fault::GatewayRefused(error.detail)),
            ApiTrouble::Tls => Outcome::Fault(Fault::Tls(error.detail)),
            ApiTrouble::NoConnection
            | ApiTrouble::Gateway
            | ApiTrouble::NoSuchHost
            | ApiTrouble::Timeout
            | ApiTrouble::Broken
            | ApiTrouble::ServerError
            | ApiTrouble::RateLimited
            | ApiTrouble::Redirected
            | ApiTrouble::NotFound
            | ApiTrouble::RequestRefused
            | ApiTrouble::BadReply
            | ApiTrouble::Local => Outcome::Unavailable(error),
        }
    }

    /// Writes the denial down before something is sent, once a login.
    fn mark_beforehand(&mut self) -> Result<(), Outcome> {
        if self.progress.mark != Mark::Written {
            self.memory
                .deny_beforehand()
                .map_err(|NoState| Outcome::Denied(Denial::NoState))?;
            self.progress.mark = Mark::Written;
        }
        Ok(())
    }

    /// Writes the denial down, once a login.
    fn mark(&mut self) {
        if self.progress.mark == Mark::NotYet {
            self.progress.mark = match self.memory.deny() {
                Ok(()) => Mark::Written,
                Err(NoState) => Mark::Failed,
            };
        }
    }

    /// Keeps what the next run of the stack for the same action has to know.
    fn remember(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Accepted(_) => self.memory.allow(),
            Outcome::OfflineCode(_) => self.memory.let_in(),
            // A rerun must not prolong it: a host may serve many logins from one process.
            Outcome::Denied(Denial::Before)
            | Outcome::Exempt(_)
            | Outcome::Outage(..)
            | Outcome::Unavailable(_)
            | Outcome::Fault(_)
            | Outcome::NoConversation
            | Outcome::Unprivileged
            | Outcome::Panicked
            | Outcome::Observed(_) => {}
            Outcome::Denied(_) | Outcome::Unknown(_) => self.mark(),
        }
    }
}
