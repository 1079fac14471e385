//! The flow of one login, straight-line and blocking, over four traits that it owns: OneLogin, the
//! conversation, the clock, and what this host remembers of the user. It imports no adapter.

mod approval;
mod enrol;
mod outcome;
mod port;
mod preview;
mod setup;

pub use outcome::{Denial, Fault, Outcome, Report, Unknown};
pub use port::{
    Api, BadAnswer, Challenge, Clock, Deadline, Forgotten, Full, Limit, LookUp, Memory, NoAnswer,
    Permit, Phone, Prompt, Recalled, Typed, Uncounted, Unguessed, Wait,
};
pub use preview::{Beginning, Preview};
pub use setup::{Further, Setup, SetupEnd};

use crate::api::{
    Acceptance, Activation, Again, Answer, ApiError, Devices, Found, GiveBack, Trouble,
};
use crate::config::{Config, Missing, NoFactor, VerifyForm};
use crate::factor::{
    Activations, Choice, Code, Codes, Device, Factor, Menu, NoChoice, PASSCODE, Pick,
};
use crate::id::{UserId, VerificationId};
use crate::map::Wanted;
use crate::outage::{Miss, Outage, SafePlace};
use crate::secret::Secret;
use crate::user::{Exemption, Proof, Subject, Unfit};
use std::time::Duration;

/// How a push is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// The host may hold texts back: everything stands in a prompt, and the wait follows it.
    Prompted,
    /// The host shows texts at once: no prompt, the wait begins.
    Waited,
}

/// Before a prompt that follows an answer which did not pass.
const NOT_ACCEPTED: &str = "Not accepted. ";

/// Before a prompt that follows a code which was used before.
const USED_BEFORE: &str = "That passcode was used before; wait for the next one. ";

/// Before the first prompt where less is sent than could be.
fn held_back(full: Full) -> &'static str {
    match full {
        Full::Window => {
            "Too many pushes, calls or messages. Type a code, or try those again later. "
        }
        Full::Day => "Too many pushes, calls or messages in 24 hours. Type a code. ",
        Full::PushDenied => "A push was denied. No push is sent for one hour. ",
    }
}

/// How soon an unproven user hears that a code did not pass, whoever it is: for a name that nobody
/// knows there is no call, which would show in the time (rule R13).
const ALIKE: Duration = Duration::from_secs(2);

/// How long after a refusal by a limit OneLogin is asked again at the soonest, where it names no time.
const REFUSED: Duration = Duration::from_secs(1);

/// How long after an outage OneLogin is tried again (rule R19: 1 to 2 s).
const SECOND_LOOK: Duration = Duration::from_millis(1500);

/// One login.
pub struct Login<'a> {
    api: &'a mut dyn Api,
    prompt: &'a mut dyn Prompt,
    clock: &'a dyn Clock,
    memory: &'a mut dyn Memory,
    config: &'a Config,
    manner: Manner,
    safe: Option<SafePlace>,
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
    held_back: Option<Full>,
    /// How many entries of the list of devices could not be read.
    odd_devices: usize,
    /// OneLogin's answer is that nobody can be verified, however they are proven.
    led_to_nobody: bool,
    /// Until when requests may go on, on the login's clock, because somebody typed late.
    until: Duration,
    /// When the push is over that this login has taken the phone for, on its clock.
    phone_until: Option<Duration>,
}

/// Whether the denial is written down.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Mark {
    #[default]
    NotYet,
    Written,
    Failed,
}

/// How one submitted code fared.
enum Checked {
    Accepted(Acceptance),
    Refused,
    /// It was used before on this host, and not sent.
    Used,
}

/// Whether a code may be sent.
enum Guess {
    Counted,
    Used,
}

/// Whom the generic prompt stands before.
enum Door<'a> {
    /// Somebody of whom OneLogin has not been asked yet.
    Unasked(&'a Subject),
    /// Somebody whom OneLogin knows.
    Found(UserId, Menu),
    /// Nobody.
    Nobody(Unknown),
    /// Somebody for whom it is over; the prompts go on, so that nobody can tell.
    Closed(Outcome),
}

/// Why there is no menu.
enum Closed {
    /// There is nobody to verify.
    Nobody(Unknown),
    /// The user has no factor and may enrol one.
    NoFactorYet(UserId),
    /// This is how it ends.
    For(Outcome),
}

impl<'a> Login<'a> {
    /// Prepares a login.
    pub fn new(
        api: &'a mut dyn Api,
        prompt: &'a mut dyn Prompt,
        clock: &'a dyn Clock,
        memory: &'a mut dyn Memory,
        config: &'a Config,
        manner: Manner,
    ) -> Self {
        Self {
            api,
            prompt,
            clock,
            memory,
            config,
            manner,
            safe: None,
            progress: Progress::default(),
        }
    }

    /// An outage lets in, if `failmode = "safe"` applies to this login.
    #[must_use]
    pub fn with_outages(mut self, safe: Option<SafePlace>) -> Self {
        self.safe = safe;
        self
    }

    /// Runs the login of a subject; `Err` names somebody whom nobody can verify, and who sees the
    /// same prompts as others.
    #[must_use]
    pub fn run(mut self, subject: Result<&Subject, Unknown>) -> Report {
        let outcome = if !self.prompt.is_there() {
            Outcome::NoConversation
        } else if self.memory.is_denied() {
            Outcome::Denied(Denial::Before)
        } else {
            match self.story(subject) {
                Ok(acceptance) => Outcome::Accepted(acceptance),
                Err(outcome) => outcome,
            }
        };
        self.memory.leave_phone();
        self.remember(&outcome);
        Report {
            outcome,
            onelogin_id: self.progress.onelogin_id,
            factor: self.progress.factor,
            forgotten: self.progress.mark == Mark::Failed,
            held_back: self.progress.held_back,
            odd_devices: self.progress.odd_devices,
        }
    }

    fn story(&mut self, subject: Result<&Subject, Unknown>) -> Result<Acceptance, Outcome> {
        match subject {
            Err(unknown) => self.codes_only(Door::Nobody(unknown), Proof::Unproven),
            Ok(subject) => match subject.proof {
                Proof::Unproven => self.codes_only(Door::Unasked(subject), Proof::Unproven),
                Proof::Proven => match self.devices_of(subject) {
                    Ok((user, menu)) => self.menu(subject, &user, &menu),
                    Err(Closed::Nobody(unknown)) => {
                        self.codes_only(Door::Nobody(unknown), Proof::Proven)
                    }
                    Err(Closed::NoFactorYet(user)) => self.enrol(subject, &user),
                    Err(Closed::For(outcome)) => Err(outcome),
                },
            },
        }
    }

    /// The menu of a user whom something before us has proven.
    fn menu(
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
        if let Some(full) = self.progress.held_back {
            tries.words = held_back(full);
        }
        while tries.left() {
            let text = tries.prompt(&menu.prompt(&subject.name));
            match self.ask(&text)? {
                Typed::Unusable(bad) => tries.failed(bad.into()),
                Typed::Text(answer) => match menu.pick(&answer) {
                    Pick::Nothing => tries.failed(Denial::NoCode),
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

    fn start(&mut self, user: &UserId, choice: &Choice, tries: u8) -> Result<Acceptance, Outcome> {
        match choice {
            Choice::Approval(device) => self.approval(user, device, tries),
            Choice::CodeTo(device) => {
                let verification = self.activate(user, device)?.id;
                let what = match device.factor {
                    Factor::Email => "e-mail",
                    _ => "text message",
                };
                let text = format!("Passcode from the {what} to {}: ", device.label());
                self.codes_of(user, device, Some(&verification), &text, tries)
            }
            Choice::CodeOf(device) => {
                let text = match device.factor {
                    Factor::Temporary => "Temporary passcode: ".to_owned(),
                    _ => format!("OneLogin passcode from {}: ", device.label()),
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
                            Some(_) => tries.take(self.check(user, device, verification, &code)?),
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

    /// The prompt that tells nothing, for users whom nothing has proven and for names that nobody
    /// can verify: as many tries for one as for the other, whatever OneLogin says meanwhile;
    /// nothing is shown, nothing is sent to anybody.
    fn codes_only(&mut self, mut door: Door<'_>, proof: Proof) -> Result<Acceptance, Outcome> {
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
    fn check_behind(&mut self, door: &Door<'_>, answer: &Secret) -> Result<Checked, Outcome> {
        if let Door::Found(user, menu) = door {
            if let Some((device, code)) = menu.check(answer) {
                return self.check_at_hand(user, device, &code);
            }
        }
        Ok(Checked::Refused)
    }

    /// Finds the subject at OneLogin, and what there is to choose from.
    fn devices_of(&mut self, subject: &Subject) -> Result<(UserId, Menu), Closed> {
        // Where nothing can be counted, nothing is asked.
        if !self.memory.works() {
            return Err(Closed::For(Outcome::Denied(Denial::NoState)));
        }
        self.progress.led_to_nobody = false;
        let found = self.find(subject);
        let is_found = found.is_ok();
        let result = found.and_then(|(user, devices)| {
            self.codes_are_left()?;
            let menu = self.offer(subject.proof, &user, devices)?;
            Ok((user, menu))
        });
        let end = match &result {
            _ if self.progress.led_to_nobody => LookUp::Nobody,
            Err(Closed::NoFactorYet(_) | Closed::For(Outcome::Exempt(_))) => LookUp::Else,
            _ if is_found => LookUp::Found {
                is_kept: self.api.keeps(),
            },
            _ => LookUp::Else,
        };
        self.memory.looked_up(end);
        result
    }

    fn find(&mut self, subject: &Subject) -> Result<(UserId, Devices), Closed> {
        let wanted = Self::wanted(subject)?;
        let user = match self.api.kept(wanted) {
            Some(user) => user,
            None => self.look_up(wanted)?,
        };
        self.memory.meet(&user);
        self.progress.onelogin_id = Some(user.clone());
        let devices = self.read(|api, deadline| api.devices(&user, deadline))?;
        self.progress.odd_devices = devices.odd;
        Ok((user, devices))
    }

    /// Whom OneLogin is to be asked for.
    fn wanted(subject: &Subject) -> Result<&Wanted, Closed> {
        subject.wanted.as_ref().map_err(|unfit| match unfit {
            Unfit::Name => Closed::Nobody(Unknown::Name),
            Unfit::NotMapped => Closed::Nobody(Unknown::NotMapped),
        })
    }

    /// Asks OneLogin who somebody is, unless this host knows that it leads to nothing: whoever has a
    /// first factor could spend what OneLogin answers all hosts in an hour (rule R22).
    fn look_up(&mut self, wanted: &Wanted) -> Result<UserId, Closed> {
        if let Wanted::Id(id) = wanted {
            self.memory.meet(id);
        }
        if self.memory.recall() == Recalled::Nobody {
            return Err(Closed::Nobody(Unknown::Lately));
        }
        self.codes_are_left()?;
        self.memory.look_up().map_err(|why| {
            Closed::For(Outcome::Denied(match why {
                Uncounted::Full(_) => Denial::TooManyLookUps,
                Uncounted::Forgotten => Denial::NoState,
            }))
        })?;
        self.user_of(wanted)
    }

    /// Beyond the limit on codes everything is denied.
    fn codes_are_left(&mut self) -> Result<(), Outcome> {
        match self.memory.full(Limit::Failures) {
            Some(full) => Err(Outcome::Denied(too_many_codes(full))),
            None => Ok(()),
        }
    }

    /// OneLogin's answer leads to nobody, whatever has proven the user.
    fn nobody(&mut self, unknown: Unknown) -> Closed {
        self.progress.led_to_nobody = true;
        Closed::Nobody(unknown)
    }

    /// What there is to choose from among these devices.
    fn offer(&mut self, proof: Proof, user: &UserId, devices: Devices) -> Result<Menu, Closed> {
        let no_factor = self.config.users.no_factor;
        let activations = self.activations(proof);
        let allow = &self.config.factors.allow;
        match (devices.enrolled, no_factor, activations) {
            (0, NoFactor::Exempt, _) => {
                return Err(Closed::For(Outcome::Exempt(Exemption::NoFactor)));
            }
            // Who has a temporary token has something to type.
            (0, NoFactor::Enroll, Activations::Offered) if !allow.contains(&Factor::Temporary) => {
                return Err(Closed::NoFactorYet(user.clone()));
            }
            _ => {}
        }
        let usable = self.with_codes_that_can_be_checked(devices.usable);
        let menu = Menu::new(usable, devices.enrolled, allow, activations);
        menu.map_err(|no_choice| match no_choice {
            // Once something has proven them, they can enrol one.
            NoChoice::NoDevice if no_factor == NoFactor::Enroll && proof == Proof::Unproven => {
                Closed::Nobody(Unknown::NoFactor)
            }
            NoChoice::NoDevice => self.nobody(Unknown::NoFactor),
            NoChoice::NoneAllowed => self.nobody(Unknown::NoAllowedFactor),
            NoChoice::NoneWithoutActivation => match self.progress.held_back {
                Some(full) => Closed::For(Outcome::Denied(too_many_challenges(full))),
                None => Closed::Nobody(Unknown::NoAllowedFactor),
            },
        })
    }

    /// What may be sent to the user: nothing before something has proven them, and not beyond the
    /// limit.
    fn activations(&mut self, proof: Proof) -> Activations {
        if proof == Proof::Unproven {
            return Activations::Off;
        }
        self.progress.held_back = self.memory.full(Limit::Challenges);
        match self.progress.held_back {
            None => Activations::Offered,
            Some(Full::PushDenied) => Activations::NoPush,
            Some(Full::Window | Full::Day) => Activations::Off,
        }
    }

    /// A tenant that takes a posted code for an activation would send a push, or more, for it: codes
    /// of Protect and Duo cannot be checked there.
    fn with_codes_that_can_be_checked(&self, mut devices: Vec<Device>) -> Vec<Device> {
        if self.config.onelogin.verify == VerifyForm::Activated {
            devices.retain(|device| device.factor != Factor::Duo);
            for device in devices
                .iter_mut()
                .filter(|device| device.factor == Factor::Push)
            {
                device.codes = Codes::Never;
            }
        }
        devices
    }

    fn user_of(&mut self, wanted: &Wanted) -> Result<UserId, Closed> {
        let unknown = match self.read(|api, deadline| api.user(wanted, deadline))? {
            Found::One(user) => return Ok(user),
            Found::Nobody if self.config.users.unknown == Missing::Exempt => {
                return Err(Closed::For(Outcome::Exempt(Exemption::Unknown)));
            }
            Found::Nobody | Found::Gone => Unknown::User,
            Found::Several => Unknown::Several,
            Found::Other => Unknown::Other,
            Found::Inactive => Unknown::Inactive,
        };
        Err(self.nobody(unknown))
    }

    /// The connection is made while nobody waits for it, for all names alike (rule R13).
    fn prepare(&mut self) -> Result<(), Outcome> {
        let deadline = self.deadline();
        let result = self.api.prepare(deadline);
        result.or_else(|error| self.second_look(error, |api, deadline| api.prepare(deadline)))
    }

    /// Reads something. Where OneLogin is asked too often, it is asked once more a moment later, if the time allows that.
    fn read<T>(
        &mut self,
        mut call: impl FnMut(&mut dyn Api, Deadline) -> Result<T, ApiError>,
    ) -> Result<T, Outcome> {
        let deadline = self.deadline();
        let result = match call(self.api, deadline) {
            Err(error) if error.ending.row().read == Again::Later => {
                self.later(error, &mut call)?
            }
            other => other,
        };
        result.or_else(|error| self.second_look(error, call))
    }

    /// Asks once more after a pause, if the time allows that.
    fn later<T>(
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

    /// Sees to it that there is a token, before something is counted and sent.
    fn authorise(&mut self) -> Result<(), Outcome> {
        self.read(|api, deadline| api.authorise(deadline))
    }

    /// Sends something that must not be sent twice; once more where OneLogin has not seen it, or where it can be counted
    /// twice.
    fn send<T>(
        &mut self,
        counted: Option<Limit>,
        mut call: impl FnMut(&mut Self) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let error = match call(self) {
            Err(error) => error,
            sent => return sent,
        };
        let is_again = match error.ending.row().act {
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
    fn activate(&mut self, user: &UserId, device: &Device) -> Result<Activation, Outcome> {
        self.progress.factor = Some(device.factor.word());
        self.authorise()?;
        let deadline = self.begin(match device.factor {
            Factor::Push => Challenge::Push,
            _ => Challenge::Other,
        })?;
        let result = self.challenge(user, device, deadline);
        result.map_err(|error| self.give_back(Limit::Challenges, error))
    }

    /// Sends a challenge that was counted: once.
    fn challenge(
        &mut self,
        user: &UserId,
        device: &Device,
        mut deadline: Deadline,
    ) -> Result<Activation, ApiError> {
        let phone_until = self.progress.phone_until;
        if let Some(end) = phone_until {
            deadline = deadline.min(self.clock.at(end));
        }
        self.send(Some(Limit::Challenges), |login| {
            let memory: &dyn Memory = login.memory;
            let holds = &|| phone_until.is_none() || memory.holds_phone();
            login.api.activate(user, device, Permit { deadline, holds })
        })
    }

    /// What OneLogin has not seen does not count.
    fn give_back(&mut self, limit: Limit, error: ApiError) -> Outcome {
        match error.ending.row().give_back {
            GiveBack::Always => self.memory.unsent(limit),
            GiveBack::Sometimes => self.memory.turned_away(limit),
            GiveBack::Never => {}
        }
        Self::trouble(error)
    }

    /// What precedes everything that sends something to the user: there must be time, it is counted,
    /// and the denial is written down, so that a process that is killed meanwhile, or a stack that
    /// is run again, sends no second one.
    fn begin(&mut self, challenge: Challenge) -> Result<Deadline, Outcome> {
        let limit = self.config.onelogin.login_timeout;
        if self.clock.elapsed() >= limit {
            return Err(if self.progress.enrolled {
                Outcome::Denied(Denial::LogInAgain)
            } else {
                Self::trouble(ApiError::late("login_timeout"))
            });
        }
        self.mark_beforehand()?;
        self.memory.challenge(challenge).map_err(|why| {
            Outcome::Denied(match why {
                Uncounted::Full(full) => too_many_challenges(full),
                Uncounted::Forgotten => Denial::NoState,
            })
        })?;
        self.progress.sent = true;
        Ok(self.clock.at(limit))
    }

    /// Checks a code that nothing was sent for, with a push where the device takes it in no other way.
    fn check_typed(
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
    /// wants one. That activation sends nothing to anybody.
    fn check_at_hand(
        &mut self,
        user: &UserId,
        device: &Device,
        code: &Code,
    ) -> Result<Checked, Outcome> {
        let is_activated = self.config.onelogin.verify == VerifyForm::Activated
            && matches!(device.factor, Factor::Totp | Factor::YubiKey);
        if !is_activated {
            return self.check(user, device, None, code);
        }
        self.authorise()?;
        if let Guess::Used = self.guess(device, code)? {
            return Ok(Checked::Used);
        }
        let deadline = self.deadline();
        let activation = self
            .send(Some(Limit::Failures), |login| {
                login.api.activate(user, device, deadline.into())
            })
            .map_err(|error| self.give_back(Limit::Failures, error))?;
        self.submit(user, device, (Some(&activation.id), true), code)
    }

    fn check(
        &mut self,
        user: &UserId,
        device: &Device,
        verification: Option<&VerificationId>,
        code: &Code,
    ) -> Result<Checked, Outcome> {
        self.authorise()?;
        match self.guess(device, code)? {
            Guess::Counted => self.submit(user, device, (verification, false), code),
            Guess::Used => Ok(Checked::Used),
        }
    }

    /// What precedes every code: it is counted, and the denial is written down, so that whoever
    /// breaks off after a wrong one does not start over in the same action.
    fn guess(&mut self, device: &Device, code: &Code) -> Result<Guess, Outcome> {
        self.progress.factor = Some(device.factor.code_word());
        match self.memory.guess(code) {
            Ok(()) => {}
            Err(Unguessed::UsedBefore) => return Ok(Guess::Used),
            Err(Unguessed::Full(full)) => return Err(Outcome::Denied(too_many_codes(full))),
            Err(Unguessed::Forgotten) => return Err(Outcome::Denied(Denial::NoState)),
        }
        if let Err(outcome) = self.mark_beforehand() {
            self.memory.unsent(Limit::Failures);
            return Err(outcome);
        }
        self.progress.sent = true;
        Ok(Guess::Counted)
    }

    /// Sends a code that was counted: once. `is_seen`: OneLogin has seen something already that was counted with it.
    fn submit(
        &mut self,
        user: &UserId,
        device: &Device,
        (verification, is_seen): (Option<&VerificationId>, bool),
        code: &Code,
    ) -> Result<Checked, Outcome> {
        let deadline = self.deadline();
        let result = self.send(Some(Limit::Failures), |login| {
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
            Err(error) if error.trouble == Trouble::NotFound => {
                Err(Outcome::Denied(Denial::Expired))
            }
            // The activation of a code at hand was counted as this code, and OneLogin has seen it.
            Err(error) if is_seen && error.ending.row().give_back == GiveBack::Always => {
                self.memory.refused();
                Err(Self::trouble(error))
            }
            Err(error) => Err(self.give_back(Limit::Failures, error)),
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

    /// When the login is over, on its clock; but what somebody typed late still gets the time of one
    /// request.
    fn end(&self) -> Duration {
        let limit = self.config.onelogin.login_timeout;
        limit.max(self.progress.until)
    }

    fn deadline(&self) -> Deadline {
        self.clock.at(self.end())
    }

    fn trouble(error: ApiError) -> Outcome {
        match error.trouble {
            Trouble::Interrupted => Outcome::Denied(Denial::Interrupted),
            Trouble::Credential => Outcome::Fault(Fault::Credential(error.detail)),
            Trouble::Tls => Outcome::Fault(Fault::Tls(error.detail)),
            Trouble::NoConnection
            | Trouble::Gateway
            | Trouble::NoSuchHost
            | Trouble::Timeout
            | Trouble::Broken
            | Trouble::ServerError
            | Trouble::RateLimited
            | Trouble::Redirected
            | Trouble::NotFound
            | Trouble::RequestRefused
            | Trouble::BadReply
            | Trouble::Local => Outcome::Unavailable(error),
        }
    }

    /// Writes the denial down before something is sent, once a login.
    fn mark_beforehand(&mut self) -> Result<(), Outcome> {
        if self.progress.mark != Mark::Written {
            self.memory
                .deny_beforehand()
                .map_err(|Forgotten| Outcome::Denied(Denial::NoState))?;
            self.progress.mark = Mark::Written;
        }
        Ok(())
    }

    /// Writes the denial down, once a login.
    fn mark(&mut self) {
        if self.progress.mark == Mark::NotYet {
            self.progress.mark = match self.memory.deny() {
                Ok(()) => Mark::Written,
                Err(Forgotten) => Mark::Failed,
            };
        }
    }

    /// Keeps what the next run of the stack for the same action has to know.
    fn remember(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Accepted(_) => self.memory.allow(),
            // A rerun must not prolong it: a host may serve many logins from one process.
            Outcome::Denied(Denial::Before)
            | Outcome::Exempt(_)
            | Outcome::Outage(..)
            | Outcome::Unavailable(_)
            | Outcome::Fault(_)
            | Outcome::NoConversation
            | Outcome::Unprivileged
            | Outcome::Panicked => {}
            Outcome::Denied(_) | Outcome::Unknown(_) => self.mark(),
        }
    }
}

/// Where a menu is expected.
impl From<Closed> for Outcome {
    fn from(closed: Closed) -> Self {
        match closed {
            Closed::Nobody(unknown) => Self::Unknown(unknown),
            Closed::NoFactorYet(_) => Self::Denied(Denial::NotEnrolled),
            Closed::For(outcome) => outcome,
        }
    }
}

impl From<Outcome> for Closed {
    fn from(outcome: Outcome) -> Self {
        Self::For(outcome)
    }
}

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

fn too_many_codes(full: Full) -> Denial {
    match full {
        Full::Day => Denial::TooManyCodesToday,
        Full::Window | Full::PushDenied => Denial::TooManyCodes,
    }
}

fn too_many_challenges(full: Full) -> Denial {
    match full {
        Full::Window => Denial::TooManyChallenges,
        Full::Day => Denial::TooManyChallengesToday,
        Full::PushDenied => Denial::PushDeniedLately,
    }
}

/// How many answers are left, and why the last one failed.
struct Tries {
    count: u8,
    why: Denial,
    words: &'static str,
}

impl Tries {
    fn new(count: u8) -> Self {
        Self {
            count,
            why: Denial::NoCode,
            words: "",
        }
    }

    fn left(&self) -> bool {
        self.count > 0
    }

    fn failed(&mut self, why: Denial) {
        self.count = self.count.saturating_sub(1);
        self.why = why;
        self.words = NOT_ACCEPTED;
    }

    /// What a code came to: an acceptance, or one try less.
    fn take(&mut self, checked: Checked) -> Option<Acceptance> {
        match checked {
            Checked::Accepted(acceptance) => return Some(acceptance),
            Checked::Refused => self.failed(Denial::Code),
            Checked::Used => {
                self.failed(Denial::UsedCode);
                self.words = USED_BEFORE;
            }
        }
        None
    }

    fn prompt(&self, text: &str) -> String {
        format!("{}{text}", self.words)
    }
}
