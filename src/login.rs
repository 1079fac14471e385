//! The flow of one login, straight-line and blocking, over four traits that it owns: OneLogin, the
//! conversation, the clock, and the memory of denials. It imports no adapter.

use crate::config::{Config, Missing};
use crate::factor::{Activations, Choice, Code, Device, Factor, Menu, NoChoice, PASSCODE, Pick};
use crate::onelogin::wire::{Acceptance, Answer, Devices, Found, UserId, VerificationId};
use crate::secret::Secret;
use crate::user::{Exemption, Proof, Subject, Unclear};
use std::time::Duration;

/// What OneLogin can be asked. Each call gets the time it may take.
pub trait Api {
    /// Looks a user up by the configured attribute.
    ///
    /// # Errors
    /// [`ApiError`] when there is no usable reply.
    fn user(&mut self, name: &str, time: Duration) -> Result<Found, ApiError>;
    /// Lists a user's enrolled devices.
    ///
    /// # Errors
    /// As [`Api::user`].
    fn devices(&mut self, user: &UserId, time: Duration) -> Result<Devices, ApiError>;
    /// Activates a device: sends the push or the text message. Never sent twice.
    ///
    /// # Errors
    /// As [`Api::user`].
    fn activate(
        &mut self,
        user: &UserId,
        device: &Device,
        time: Duration,
    ) -> Result<VerificationId, ApiError>;
    /// Checks a code, of an activated verification or directly. Never sent twice.
    ///
    /// # Errors
    /// As [`Api::user`].
    fn check(
        &mut self,
        user: &UserId,
        device: &Device,
        verification: Option<&VerificationId>,
        code: &Code,
        time: Duration,
    ) -> Result<Answer, ApiError>;
    /// Asks how a push stands.
    ///
    /// # Errors
    /// As [`Api::user`].
    fn poll(
        &mut self,
        user: &UserId,
        device: &Device,
        verification: &VerificationId,
        time: Duration,
    ) -> Result<Answer, ApiError>;
}

/// The person, through the conversation.
pub trait Prompt {
    /// Asks with an echoed prompt and returns what was typed.
    ///
    /// # Errors
    /// [`NoAnswer`] when nobody can be asked.
    fn ask(&mut self, text: &str) -> Result<Typed, NoAnswer>;
    /// Shows a text where the host shows texts at once. Whether it arrived decides nothing.
    fn tell(&mut self, text: &str);
}

/// What came back from a prompt.
pub enum Typed {
    /// A text.
    Text(Secret),
    /// Something that is never looked at or sent: too long, not UTF-8, or the login password.
    Unusable(BadAnswer),
}

/// Why an answer was put aside unseen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadAnswer {
    /// It equals `PAM_AUTHTOK`: a client answered the visible prompt with the login password.
    Password,
    /// It cannot be a code of any kind.
    NotText,
}

/// The conversation is absent, failed, or gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoAnswer;

/// Time, seen from the moment when authenticate was entered.
pub trait Clock {
    /// How long ago that was, on a clock that nobody can set.
    fn elapsed(&self) -> Duration;
    /// Lets time pass.
    fn wait(&self, time: Duration) -> Wait;
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The time is over.
    Over,
    /// The user pressed Ctrl-C.
    Interrupted,
}

/// The memory of denials: the host may run the stack again for the same action.
pub trait Memory {
    /// Whether this action has been denied before.
    fn is_denied(&self) -> bool;
    /// Whether [`Memory::deny`] can be expected to work.
    fn works(&self) -> bool;
    /// Remembers a denial of this action.
    ///
    /// # Errors
    /// [`Forgotten`] when it could not be written.
    fn deny(&mut self) -> Result<(), Forgotten>;
    /// Forgets it again.
    fn allow(&mut self);
}

/// The memory of denials could not be written.
#[derive(Debug)]
pub struct Forgotten;

/// Why OneLogin gave no usable reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// What kind of trouble.
    pub trouble: Trouble,
    /// For the log: status and names, never a value of ours.
    pub detail: String,
}

/// Kinds of trouble with OneLogin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No connection could be made, or names could not be resolved for now.
    NoConnection,
    /// 502, 503 or 504.
    Gateway,
    /// The host's name does not exist.
    NoSuchHost,
    /// The time for a request, or for the whole login, is over.
    Timeout,
    /// The connection broke after it was made.
    Broken,
    /// Another 5xx.
    ServerError,
    /// 429.
    RateLimited,
    /// 3xx: no redirect is followed.
    Redirected,
    /// 404.
    NotFound,
    /// Another 4xx.
    RequestRefused,
    /// A reply that is too long or not of the documented shape.
    BadReply,
    /// The certificate or the handshake is not acceptable.
    Tls,
    /// The API credential is wrong, or lacks a scope.
    Credential,
    /// This host could not do it: no descriptor, no memory, no permission.
    Local,
}

/// How a push is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// The host may hold texts back: everything stands in a prompt, and the wait follows it.
    Prompted,
    /// The host shows texts at once: no prompt, the wait begins.
    Waited,
}

/// How a login ended. Verdict, log line and words follow from it in `verdict.rs`.
#[must_use]
#[derive(Debug)]
pub enum Outcome {
    /// OneLogin accepted.
    Accepted(Acceptance),
    /// The admin exempted the user.
    Exempt(Exemption),
    /// The user, or the phone, did not pass.
    Denied(Denial),
    /// There is nobody whom OneLogin could verify.
    Unknown(Unknown),
    /// OneLogin cannot be reached, and nothing was sent yet.
    Unreachable(ApiError),
    /// OneLogin gave no usable reply.
    Unavailable(ApiError),
    /// Something that an admin has to mend.
    Fault(Fault),
    /// Nobody can be asked.
    NoConversation,
    /// The program may not read the configuration.
    Unprivileged,
    /// A bug of ours.
    Panicked,
}

/// Why somebody did not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// OneLogin refused the code.
    Code,
    /// No answer had the shape of a code.
    NoCode,
    /// A client answered with the login password.
    Password,
    /// The push was denied on the phone.
    Push,
    /// The push was not answered in time.
    Unanswered,
    /// The verification is gone.
    Expired,
    /// The user pressed Ctrl-C.
    Interrupted,
    /// This action was denied before.
    Before,
    /// Only codes are offered while the state cannot be written, and there is no device for one.
    NoState,
    /// `PAM_USER` is not who it was when the login began.
    UserChanged,
}

/// Why there is nobody to verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// The system does not know the name.
    Account,
    /// The name holds characters that must not be searched for.
    Name,
    /// OneLogin knows nobody of this name.
    User,
    /// OneLogin's search has several hits.
    Several,
    /// OneLogin's search has one hit, of another name.
    Other,
    /// The OneLogin user is not active.
    Inactive,
    /// The user has no device.
    NoFactor,
    /// The user has no device that is allowed here.
    NoAllowedFactor,
    /// It cannot be told who it is.
    Unclear(Unclear),
}

/// What an admin has to mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The configuration, its files or the module's arguments; each fault is a log line before.
    Config,
    /// The API credential.
    Credential(String),
    /// TLS.
    Tls(String),
}

/// What a login ended with, and what the log should say of it.
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// The OneLogin user, once found.
    pub onelogin_id: Option<UserId>,
    /// The factor that was used last, as the log calls it.
    pub factor: Option<&'static str>,
}

/// Before a prompt that follows an answer which did not pass.
const NOT_ACCEPTED: &str = "Not accepted. ";

/// Polls of a push that may fail in a row before it is given up.
const POLL_FAILURES: u8 = 2;

/// One login.
pub struct Login<'a> {
    /// OneLogin.
    pub api: &'a mut dyn Api,
    /// The person.
    pub prompt: &'a mut dyn Prompt,
    /// Time.
    pub clock: &'a dyn Clock,
    /// The memory of denials.
    pub memory: &'a mut dyn Memory,
    /// The settings.
    pub config: &'a Config,
    /// How a push is waited for in this host.
    pub manner: Manner,
    /// What is known so far.
    progress: Progress,
}

#[derive(Default)]
struct Progress {
    onelogin_id: Option<UserId>,
    factor: Option<&'static str>,
    /// Whether a code or an activation has left: from then on an outage is no reason to let in.
    sent: bool,
}

/// How one submitted code fared.
enum Checked {
    Accepted(Acceptance),
    Refused,
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
            progress: Progress::default(),
        }
    }

    /// Runs the login of a subject; `Err` names somebody whom nobody can verify, and who sees the
    /// same prompts as others.
    #[must_use]
    pub fn run(mut self, subject: Result<&Subject, Unknown>) -> Report {
        let outcome = if self.memory.is_denied() {
            Outcome::Denied(Denial::Before)
        } else {
            match self.story(subject) {
                Ok(acceptance) => Outcome::Accepted(acceptance),
                Err(outcome) => outcome,
            }
        };
        self.remember(&outcome);
        Report {
            outcome,
            onelogin_id: self.progress.onelogin_id,
            factor: self.progress.factor,
        }
    }

    fn story(&mut self, subject: Result<&Subject, Unknown>) -> Result<Acceptance, Outcome> {
        match subject {
            Err(unknown) => self.codes_only(Door::Nobody(unknown)),
            Ok(subject) => match subject.proof {
                Proof::Unproven => self.codes_only(Door::Unasked(subject)),
                Proof::Proven => match self.devices_of(subject) {
                    Ok((user, menu)) => self.menu(subject, &user, &menu),
                    Err(Outcome::Unknown(unknown)) => self.codes_only(Door::Nobody(unknown)),
                    Err(outcome) => Err(outcome),
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
                return self.push(user, device, self.config.factors.prompts);
            }
        }
        let mut tries = Tries::new(self.config.factors.prompts);
        while tries.left() {
            let text = tries.prompt(&menu.prompt(&subject.name));
            match self.ask(&text)? {
                Typed::Unusable(bad) => tries.failed(bad.into()),
                Typed::Text(answer) => match menu.pick(&answer) {
                    Pick::Nothing => tries.failed(Denial::NoCode),
                    Pick::Start(choice) => return self.start(user, &choice, tries.count),
                    Pick::Check(device, code) => match self.check_at_hand(user, &device, &code)? {
                        Checked::Accepted(acceptance) => return Ok(acceptance),
                        Checked::Refused => tries.failed(Denial::Code),
                    },
                },
            }
        }
        Err(Outcome::Denied(tries.why))
    }

    fn start(&mut self, user: &UserId, choice: &Choice, tries: u8) -> Result<Acceptance, Outcome> {
        match choice {
            Choice::Push(device) => self.push(user, device, tries),
            Choice::Text(device) => {
                let verification = self.activate(user, device)?;
                let text = format!("Passcode from the text message to {}: ", device.label());
                self.codes_of(user, device, Some(&verification), &text, tries)
            }
            Choice::CodeOf(device) => {
                let text = format!("OneLogin passcode from {}: ", device.label());
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
                        let checked = match verification {
                            Some(_) => self.check(user, device, verification, &code),
                            None => self.check_at_hand(user, device, &code),
                        };
                        match checked? {
                            Checked::Accepted(acceptance) => return Ok(acceptance),
                            Checked::Refused => tries.failed(Denial::Code),
                        }
                    }
                },
            }
        }
        Err(Outcome::Denied(tries.why))
    }

    /// The prompt that tells nothing, for users whom nothing has proven and for names that nobody
    /// can verify: as many tries for one as for the other, nothing is shown, nothing is activated.
    fn codes_only(&mut self, mut door: Door<'_>) -> Result<Acceptance, Outcome> {
        let mut tries = Tries::new(self.config.factors.prompts);
        while tries.left() {
            match self.ask(&tries.prompt(PASSCODE))? {
                Typed::Unusable(bad) => tries.failed(bad.into()),
                Typed::Text(answer) if Factor::Totp.code(&answer).is_none() => {
                    tries.failed(Denial::NoCode);
                }
                Typed::Text(answer) => {
                    if let Door::Unasked(subject) = door {
                        door = match self.devices_of(subject) {
                            Ok((user, menu)) => Door::Found(user, menu),
                            Err(Outcome::Unknown(unknown)) => Door::Nobody(unknown),
                            Err(outcome) => return Err(outcome),
                        };
                    }
                    if let Door::Found(user, menu) = &door {
                        if let Some((device, code)) = menu.check(&answer) {
                            if let Checked::Accepted(acceptance) =
                                self.check_at_hand(user, device, &code)?
                            {
                                return Ok(acceptance);
                            }
                        }
                    }
                    tries.failed(Denial::Code);
                }
            }
        }
        Err(match door {
            Door::Nobody(unknown) => Outcome::Unknown(unknown),
            Door::Unasked(_) | Door::Found(..) => Outcome::Denied(tries.why),
        })
    }

    /// A push: sent once, then waited for in the manner of the host. Where there is a prompt, a
    /// code of the same device may be typed instead.
    fn push(&mut self, user: &UserId, device: &Device, tries: u8) -> Result<Acceptance, Outcome> {
        let verification = self.activate(user, device)?;
        let sent_at = self.clock.elapsed();
        let name = device.label();
        if self.manner == Manner::Waited {
            self.prompt
                .tell(&format!("Push sent to {name}. Approve it to go on."));
            return self.wait_for_approval(user, device, &verification, sent_at);
        }
        let text = format!("Push sent to {name}. Approve it, then press Enter (or type a code): ");
        let mut tries = Tries::new(tries);
        while tries.left() {
            match self.ask(&tries.prompt(&text))? {
                Typed::Unusable(bad) => tries.failed(bad.into()),
                Typed::Text(answer) if answer.all(char::is_whitespace) => {
                    return self.wait_for_approval(user, device, &verification, sent_at);
                }
                Typed::Text(answer) => match device.factor.code(&answer) {
                    None => tries.failed(Denial::NoCode),
                    Some(code) => match self.check(user, device, None, &code)? {
                        Checked::Accepted(acceptance) => return Ok(acceptance),
                        Checked::Refused => tries.failed(Denial::Code),
                    },
                },
            }
        }
        Err(Outcome::Denied(tries.why))
    }

    /// Polls until the push is answered or the time is over. A poll is asked again after a
    /// failure: it is the only call that may be.
    fn wait_for_approval(
        &mut self,
        user: &UserId,
        device: &Device,
        verification: &VerificationId,
        sent_at: Duration,
    ) -> Result<Acceptance, Outcome> {
        let end = (sent_at + self.config.push_wait).min(self.config.onelogin.login_timeout);
        let mut failures = 0;
        let mut is_due = self.manner == Manner::Prompted;
        loop {
            if is_due {
                let time = self.time_for_an_answer();
                match self.api.poll(user, device, verification, time) {
                    Ok(Answer::Accepted(acceptance)) => return Ok(acceptance),
                    Ok(Answer::Rejected) => return Err(Outcome::Denied(Denial::Push)),
                    Ok(Answer::Pending) => failures = 0,
                    Err(error) if error.trouble == Trouble::NotFound => {
                        return Err(Outcome::Denied(Denial::Expired));
                    }
                    Err(error) if error.trouble.may_pass() && failures < POLL_FAILURES => {
                        failures += 1;
                    }
                    Err(error) => return Err(self.trouble(error)),
                }
            }
            let now = self.clock.elapsed();
            if now >= end {
                return Err(Outcome::Denied(Denial::Unanswered));
            }
            let pause = poll_pause(now.saturating_sub(sent_at)).min(end.saturating_sub(now));
            if self.clock.wait(pause) == Wait::Interrupted {
                return Err(Outcome::Denied(Denial::Interrupted));
            }
            is_due = true;
        }
    }

    /// Finds the subject at OneLogin, and what there is to choose from.
    fn devices_of(&mut self, subject: &Subject) -> Result<(UserId, Menu), Outcome> {
        let Some(name) = subject.onelogin_name.as_deref() else {
            return Err(Outcome::Unknown(Unknown::Name));
        };
        let time = self.time_for_an_answer();
        let user = match self
            .api
            .user(name, time)
            .map_err(|error| self.trouble(error))?
        {
            Found::One(user) => user,
            Found::Nobody => {
                return Err(missing(
                    self.config.users.unknown,
                    Exemption::Unknown,
                    Unknown::User,
                ));
            }
            Found::Several => return Err(Outcome::Unknown(Unknown::Several)),
            Found::Other => return Err(Outcome::Unknown(Unknown::Other)),
            Found::Inactive => return Err(Outcome::Unknown(Unknown::Inactive)),
        };
        self.progress.onelogin_id = Some(user.clone());
        let time = self.time_for_an_answer();
        let devices = self
            .api
            .devices(&user, time)
            .map_err(|error| self.trouble(error))?;
        let activations = match (subject.proof, self.memory.works()) {
            (Proof::Proven, true) => Activations::Offered,
            (Proof::Proven, false) | (Proof::Unproven, _) => Activations::Off,
        };
        let allow = &self.config.factors.allow;
        match Menu::new(devices.usable, devices.enrolled, allow, activations) {
            Ok(menu) => Ok((user, menu)),
            Err(NoChoice::NoDevice) => {
                let no_factor = self.config.users.no_factor;
                Err(missing(no_factor, Exemption::NoFactor, Unknown::NoFactor))
            }
            Err(NoChoice::NoneAllowed) => Err(Outcome::Unknown(Unknown::NoAllowedFactor)),
            Err(NoChoice::NoneWithoutActivation) => Err(match subject.proof {
                Proof::Proven => Outcome::Denied(Denial::NoState),
                Proof::Unproven => Outcome::Unknown(Unknown::NoAllowedFactor),
            }),
        }
    }

    /// Sends the push or the text message, once. The denial is written down before, so that a
    /// process that is killed meanwhile, or a stack that is run again, sends no second one.
    fn activate(&mut self, user: &UserId, device: &Device) -> Result<VerificationId, Outcome> {
        self.progress.factor = Some(device.factor.word());
        if self.memory.deny().is_err() {
            return Err(Outcome::Denied(Denial::NoState));
        }
        let time = self.time_left();
        if time.is_zero() {
            return Err(self.trouble(ApiError::deadline()));
        }
        self.progress.sent = true;
        self.api
            .activate(user, device, time)
            .map_err(|error| self.trouble(error))
    }

    /// Checks a code that needs no message: directly, or after an activation where the tenant
    /// wants one. A Protect code goes directly always, as its activation would be a push.
    fn check_at_hand(
        &mut self,
        user: &UserId,
        device: &Device,
        code: &Code,
    ) -> Result<Checked, Outcome> {
        use crate::config::VerifyForm::{Activated, Direct};
        match (self.config.onelogin.verify, device.factor) {
            (Activated, Factor::Totp) => {
                let time = self.time_for_an_answer();
                self.progress.sent = true;
                let verification = self
                    .api
                    .activate(user, device, time)
                    .map_err(|error| self.trouble(error))?;
                self.check(user, device, Some(&verification), code)
            }
            (Activated | Direct, _) => self.check(user, device, None, code),
        }
    }

    fn check(
        &mut self,
        user: &UserId,
        device: &Device,
        verification: Option<&VerificationId>,
        code: &Code,
    ) -> Result<Checked, Outcome> {
        self.progress.factor = Some(device.factor.code_word());
        self.progress.sent = true;
        let time = self.time_for_an_answer();
        match self.api.check(user, device, verification, code, time) {
            Ok(Answer::Accepted(acceptance)) => Ok(Checked::Accepted(acceptance)),
            Ok(Answer::Pending | Answer::Rejected) => Ok(Checked::Refused),
            Err(error) if error.trouble == Trouble::NotFound => {
                Err(Outcome::Denied(Denial::Expired))
            }
            Err(error) => Err(self.trouble(error)),
        }
    }

    fn ask(&mut self, text: &str) -> Result<Typed, Outcome> {
        self.prompt
            .ask(text)
            .map_err(|NoAnswer| Outcome::NoConversation)
    }

    /// What is left of the login's time.
    fn time_left(&self) -> Duration {
        let limit = self.config.onelogin.login_timeout;
        limit.saturating_sub(self.clock.elapsed())
    }

    /// As [`Login::time_left`], but what somebody typed late still gets one request.
    fn time_for_an_answer(&self) -> Duration {
        self.time_left().max(self.config.onelogin.request_timeout)
    }

    fn trouble(&self, error: ApiError) -> Outcome {
        match error.trouble {
            Trouble::NoConnection | Trouble::Gateway if !self.progress.sent => {
                Outcome::Unreachable(error)
            }
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

    /// Keeps what the next run of the stack for the same action has to know.
    fn remember(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Accepted(_) => self.memory.allow(),
            // A rerun must not prolong it: a host may serve many logins from one process.
            Outcome::Denied(Denial::Before)
            | Outcome::Exempt(_)
            | Outcome::Unreachable(_)
            | Outcome::Unavailable(_)
            | Outcome::Fault(_)
            | Outcome::NoConversation
            | Outcome::Unprivileged
            | Outcome::Panicked => {}
            // That it could not be written is in the log already: nothing can be activated then.
            Outcome::Denied(_) | Outcome::Unknown(_) => drop(self.memory.deny()),
        }
    }
}

/// Whom the generic prompt stands before.
enum Door<'a> {
    /// Somebody of whom OneLogin has not been asked yet.
    Unasked(&'a Subject),
    /// Somebody whom OneLogin knows.
    Found(UserId, Menu),
    /// Nobody.
    Nobody(Unknown),
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

    fn prompt(&self, text: &str) -> String {
        format!("{}{text}", self.words)
    }
}

impl From<BadAnswer> for Denial {
    fn from(bad: BadAnswer) -> Self {
        match bad {
            BadAnswer::Password => Self::Password,
            BadAnswer::NotText => Self::NoCode,
        }
    }
}

impl ApiError {
    /// The time of the login is over.
    #[must_use]
    pub fn deadline() -> Self {
        Self {
            trouble: Trouble::Timeout,
            detail: "login_timeout".to_owned(),
        }
    }
}

impl Trouble {
    /// Whether asking again may help: for polls only.
    fn may_pass(self) -> bool {
        match self {
            Self::NoConnection
            | Self::Gateway
            | Self::Timeout
            | Self::Broken
            | Self::ServerError
            | Self::RateLimited => true,
            Self::NoSuchHost
            | Self::Redirected
            | Self::NotFound
            | Self::RequestRefused
            | Self::BadReply
            | Self::Tls
            | Self::Credential
            | Self::Local => false,
        }
    }
}

/// What the admin wants done with a user whom OneLogin cannot verify.
fn missing(missing: Missing, exemption: Exemption, unknown: Unknown) -> Outcome {
    match missing {
        Missing::Exempt => Outcome::Exempt(exemption),
        Missing::Deny => Outcome::Unknown(unknown),
    }
}

/// How long to wait before the next poll: an approval is noticed within 2 s, or a tenth of the
/// wait, so that an account's hourly budget of calls holds.
fn poll_pause(waited: Duration) -> Duration {
    (waited / 10).max(Duration::from_secs(2))
}
