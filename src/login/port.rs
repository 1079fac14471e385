//! What a login needs from outside: OneLogin, the conversation, the clock, and what this host remembers of the user.

use crate::api::{
    Activation, Answer, ApiError, Available, Devices, Enrolment, Found, Registration,
};
use crate::factor::{Code, Device};
use crate::id::{RegistrationId, UserId, VerificationId};
use crate::map::UserKey;
use crate::secret::Secret;
use std::time::{Duration, Instant};

/// What OneLogin can be asked. Each call is over by its deadline.
pub trait Api {
    /// Makes the connection, so that it is there when a code is typed. Nothing is asked.
    ///
    /// # Errors
    /// As [`Api::user`].
    fn prepare(&mut self, deadline: Deadline) -> Result<(), ApiError>;
    /// Gets the token for what is sent next, if there is none.
    ///
    /// # Errors
    /// As [`Api::user`].
    fn authorise(&mut self, deadline: Deadline) -> Result<(), ApiError>;
    /// Ends the connection: the next call makes one of its own.
    fn disconnect(&mut self);
    /// The cached id of this user. If there is one, neither user nor devices are requested. If not, this takes a lock, and
    /// other logins of this user wait up to two seconds.
    fn cached_user(&mut self, key: &UserKey) -> Option<UserId>;
    /// Whether [`Api::cached_user`] will know what was looked up now.
    fn is_cached(&self) -> bool;
    /// Looks a user up, by the configured attribute or by id.
    ///
    /// # Errors
    /// [`ApiError`] when there is no usable reply.
    fn user(&mut self, key: &UserKey, deadline: Deadline) -> Result<Found, ApiError>;
    /// Lists a user's enrolled devices.
    ///
    /// # Errors
    /// As [`Api::user`].
    fn devices(&mut self, user: &UserId, deadline: Deadline) -> Result<Devices, ApiError>;
    /// Activates a device: sends the push, the code or the link, or calls. It is sent once; the error says by its
    /// [`Ending`](crate::api::Ending) whether it may be sent once more.
    ///
    /// # Errors
    /// As [`Api::user`].
    fn activate(
        &mut self,
        user: &UserId,
        device: &Device,
        permit: Permit<'_>,
    ) -> Result<Activation, ApiError>;
    /// Checks a code, of an activated verification or directly; as [`Api::activate`].
    ///
    /// # Errors
    /// As [`Api::user`].
    fn check(
        &mut self,
        user: &UserId,
        device: &Device,
        verification: Option<&VerificationId>,
        code: &Code,
        deadline: Deadline,
    ) -> Result<Answer, ApiError>;
    /// Asks how an approval stands.
    ///
    /// # Errors
    /// As [`Api::user`].
    fn poll(
        &mut self,
        user: &UserId,
        device: &Device,
        verification: &VerificationId,
        deadline: Deadline,
    ) -> Result<Answer, ApiError>;
    /// Lists the factors that a user can enrol.
    ///
    /// # Errors
    /// As [`Api::user`].
    fn available(&mut self, user: &UserId, deadline: Deadline) -> Result<Vec<Available>, ApiError>;
    /// Begins an enrolment; as [`Api::activate`].
    ///
    /// # Errors
    /// As [`Api::user`].
    fn register(
        &mut self,
        user: &UserId,
        available: &Available,
        deadline: Deadline,
    ) -> Result<Registration, ApiError>;
    /// Checks the code that ends an enrolment; as [`Api::activate`].
    ///
    /// # Errors
    /// As [`Api::user`].
    fn check_registration(
        &mut self,
        user: &UserId,
        registration: &RegistrationId,
        code: &Code,
        deadline: Deadline,
    ) -> Result<Enrolment, ApiError>;
    /// Asks how an enrolment stands.
    ///
    /// # Errors
    /// As [`Api::user`].
    fn poll_registration(
        &mut self,
        user: &UserId,
        registration: &RegistrationId,
        deadline: Deadline,
    ) -> Result<Enrolment, ApiError>;
}

/// The person, through the conversation.
pub trait Prompt {
    /// Asks with an echoed prompt and returns what was typed.
    ///
    /// # Errors
    /// [`NoAnswer`] when no prompt can be shown, or there is no answer.
    fn ask(&mut self, text: &str) -> Result<Typed, NoAnswer>;
    /// Whether there is a conversation at all.
    fn is_there(&self) -> bool;
    /// Shows a text where the host shows texts at once. Whether it arrived decides nothing.
    fn tell(&mut self, text: &str);
}

/// What came back from a prompt.
pub enum Typed {
    /// A text.
    Text(Secret),
    /// An answer that is discarded and never sent: too long, not UTF-8, the login password, or the user's name.
    Unusable(BadAnswer),
}

/// Why an answer was put aside unseen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadAnswer {
    /// It equals `PAM_AUTHTOK`: a client answered the visible prompt with the login password.
    Password,
    /// It equals `PAM_USER`: the host answers any visible prompt with the user's name.
    UserName,
    /// It cannot be a code of any kind.
    NotText,
}

/// The conversation is absent, failed, or gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoAnswer;

/// A moment on a clock that cannot be set. A span of time would begin anew in a process that was
/// stopped; a moment passes meanwhile (rule R21).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// This moment.
    #[must_use]
    pub fn at(moment: Instant) -> Self {
        Self(moment)
    }

    /// This long from now.
    #[must_use]
    pub fn after(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    /// The moment.
    #[must_use]
    pub fn moment(self) -> Instant {
        self.0
    }

    /// The time until then; zero when it is past.
    #[must_use]
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether it is past.
    #[must_use]
    pub fn is_past(self) -> bool {
        self.left().is_zero()
    }
}

/// What must hold when a request is written that sends something to the user.
#[derive(Clone, Copy)]
pub struct Permit<'a> {
    /// No byte is written after this moment.
    pub deadline: Deadline,
    /// Whether the push would still be the only one of its user. It is asked when token and
    /// connection are ready.
    pub holds: &'a dyn Fn() -> bool,
}

impl From<Deadline> for Permit<'_> {
    fn from(deadline: Deadline) -> Self {
        let holds = &|| true;
        Self { deadline, holds }
    }
}

/// Time, seen from the moment when authenticate was entered.
pub trait Clock {
    /// How long ago that was, on a clock that cannot be set.
    fn elapsed(&self) -> Duration;
    /// The moment when `elapsed` comes to this.
    fn at(&self, elapsed: Duration) -> Deadline;
    /// Lets time pass.
    fn wait(&self, time: Duration) -> Wait;
    /// Less than a second, another time at each call: hosts that were refused together do not come back together.
    fn jitter(&self) -> Duration;
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The time is over.
    Over,
    /// The user pressed Ctrl-C.
    Interrupted,
}

/// What this host remembers of the user: denials, as the host may run the stack again for the same
/// action; what was counted; which codes were used; whether a push is pending.
pub trait Memory {
    /// Whether this action has been denied before.
    fn is_denied(&self) -> bool;
    /// Whether the state can be written. If not, every login is denied.
    fn works(&self) -> bool;
    /// Remembers a denial of this action, before something is sent, so that killing the process gives no new tries.
    ///
    /// # Errors
    /// [`NoState`] when it could not be written.
    fn deny_beforehand(&mut self) -> Result<(), NoState>;
    /// Remembers a denial of this action.
    ///
    /// # Errors
    /// [`NoState`] when it was not written.
    fn deny(&mut self) -> Result<(), NoState>;
    /// OneLogin accepted: the denial is forgotten, what this login counted is taken back, and where it
    /// came from is known.
    fn allow(&mut self);

    /// What this host knows of the user before OneLogin is asked who it is.
    fn recall(&mut self) -> Recalled;
    /// Counts a look-up, before it is sent.
    ///
    /// # Errors
    /// [`Uncounted`] when it must not be sent.
    fn count_look_up(&mut self) -> Result<(), Uncounted>;
    /// Reports the result of the last counted look-up. It keeps counting if it found no user to verify, or if it is not
    /// cached and this login is not accepted.
    fn looked_up(&mut self, end: LookUpEnd);
    /// Who the user is at OneLogin: from here on it is counted for them, whatever their name is here.
    fn meet(&mut self, user: &UserId);

    /// Whether the user has used a limit up.
    fn limit_reached(&self, limit: Limit) -> Option<LimitReached>;
    /// Counts a challenge, before it is sent.
    ///
    /// # Errors
    /// [`Uncounted`] when it must not be sent.
    fn count_challenge(&mut self, challenge: Challenge) -> Result<(), Uncounted>;
    /// The push was denied on the phone.
    fn push_denied(&mut self);
    /// Counts a code as refused and as used, before it is sent.
    ///
    /// # Errors
    /// [`CodeNotCounted`] when it must not be sent.
    fn count_code(&mut self, code: &Code) -> Result<(), CodeNotCounted>;
    /// OneLogin refused the code that was counted last: it is not used, and may be typed again.
    fn refused(&mut self);
    /// OneLogin has not seen the code or challenge that was counted last for this limit, whatever was counted for the
    /// other since: a code is neither refused nor used.
    fn unsent(&mut self, limit: Limit);
    /// As `unsent`, three times in a minute for a user: a front end refused it.
    fn turned_away(&mut self, limit: Limit);
    /// Counts what was counted last a second time, as it is sent a second time.
    ///
    /// # Errors
    /// [`Uncounted`] when it must not be sent.
    fn count_again(&mut self, limit: Limit) -> Result<(), Uncounted>;

    /// Counts an offline code as wrong, before it is compared.
    ///
    /// # Errors
    /// [`Uncounted`] when it must not be compared.
    fn count_offline_code(&mut self) -> Result<(), Uncounted>;
    /// An offline code lets the user in: the denial is forgotten, and the code was not wrong. What was counted for OneLogin
    /// stays, and the origin is not known by it.
    fn let_in(&mut self);

    /// Asks for the user's phone, for a push that is pending this long at most.
    ///
    /// # Errors
    /// [`NoState`] when it could not be written.
    fn take_phone(&mut self, life: Duration) -> Result<Phone, NoState>;
    /// Whether the phone is this login's: the push that it asked for is still its own, and not over.
    fn holds_phone(&self) -> bool;
    /// The push is no longer pending, or was never sent.
    fn leave_phone(&mut self);
}

/// What is counted for each user, `[limits]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Pushes, text messages, e-mails and calls that led to nothing.
    Challenges,
    /// Pushes of logins without a prompt that were not approved.
    PushesAlone,
    /// Codes that OneLogin refused.
    RefusedCodes,
    /// Offline codes that were wrong.
    OfflineCodes,
}

/// Something that is sent to the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// A push, which shows on the phone.
    Push,
    /// The push of a login without a prompt.
    PushAlone,
    /// A message, a call, an enrolment.
    Other,
}

/// Which limit is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitReached {
    /// That of `limits.window`.
    Window,
    /// That of 24 hours.
    Day,
    /// Pushes alone: one was denied on the phone in the last hour.
    PushDenied,
    /// Pushes of logins without a prompt: one was not approved in the last ten minutes.
    PushPaused,
}

/// What this host knows of a user before OneLogin is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recalled {
    /// Nothing that would end the login.
    Nothing,
    /// OneLogin said a moment ago that they have nothing to log in with.
    NothingToVerify,
}

/// How a look-up ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookUpEnd {
    /// OneLogin's answer is why the login is denied.
    NothingToVerify,
    /// There is a user to verify.
    Found {
        /// The next login need not ask.
        is_cached: bool,
    },
    /// In any other way: OneLogin gave no answer, or the login ends in an exemption or an enrolment.
    Other,
}

/// Whose push is on the phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phone {
    /// That of this login.
    Ours,
    /// That of another login, which waits for its answer.
    Busy,
}

/// What is to be remembered could not be written.
#[derive(Debug)]
pub struct NoState;

/// Why something was not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uncounted {
    /// The limit is used up.
    LimitReached(LimitReached),
    /// It could not be written.
    NoState,
}

/// Why a code must not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeNotCounted {
    /// The limit on refused codes is used up.
    LimitReached(LimitReached),
    /// The code was used before on this host.
    UsedBefore,
    /// It could not be counted.
    NoState,
}

impl From<NoState> for Uncounted {
    fn from(_: NoState) -> Self {
        Self::NoState
    }
}

impl From<NoState> for CodeNotCounted {
    fn from(_: NoState) -> Self {
        Self::NoState
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn r21_a_deadline_is_past_from_its_moment_on_and_has_no_time_left() {
        let deadline = Deadline::at(Instant::now());
        assert!(deadline.is_past());
        assert_eq!(deadline.left(), Duration::ZERO);
    }

    #[test]
    fn r21_a_deadline_in_an_hour_is_not_past_and_has_time_left() {
        let before = Instant::now();
        let deadline = Deadline::after(HOUR);
        assert!(deadline.moment() >= before + HOUR);
        assert!(!deadline.is_past());
        assert!(!deadline.left().is_zero());
        assert!(deadline.left() <= HOUR);
    }
}
