//! How a login ends. Verdict, log line and words follow from it in `verdict.rs`.

use super::port::{BadAnswer, LimitReached};
use crate::api::{Acceptance, ApiError};
use crate::id::UserId;
use crate::offline;
use crate::outage::{NotSafe, Outage};
use crate::user::{Exemption, Unclear};

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
    /// There is no user whom OneLogin could verify.
    Unknown(Unknown),
    /// There is an outage, in a login to which `failmode = "safe"` applies, and nothing was sent yet.
    Outage(Outage, ApiError),
    /// OneLogin gave no answer, and an offline code was right.
    OfflineCode(offline::Used),
    /// OneLogin gave no usable reply.
    Unavailable(ApiError),
    /// Something that an administrator has to fix.
    Fault(Fault),
    /// No prompt can be shown.
    NoConversation,
    /// The program may not read the configuration.
    Unprivileged,
    /// A bug in the module.
    Panicked,
    /// Observe mode: the user was not asked, and the login goes on.
    Observed(Foreseen),
}

/// How a login in observe mode would have gone on.
#[derive(Debug)]
pub enum Foreseen {
    /// The user would have been asked.
    Asked,
    /// The user would have been led through an enrolment.
    Enrolled,
    /// It would have ended so, whatever the user types.
    Ended(Box<Outcome>),
}

impl Outcome {
    /// What becomes of this outcome in observe mode. There is no prompt in it, so `PAM_USER` has no reason to change.
    pub fn observed(self) -> Self {
        match self {
            Self::Accepted(_)
            | Self::Exempt(_)
            | Self::OfflineCode(_)
            | Self::Observed(_)
            | Self::Denied(Denial::UserChanged) => self,
            Self::Denied(_)
            | Self::Unknown(_)
            | Self::Outage(..)
            | Self::Unavailable(_)
            | Self::Fault(_)
            | Self::NoConversation
            | Self::Unprivileged
            | Self::Panicked => Self::Observed(Foreseen::Ended(Box::new(self))),
        }
    }
}

listed! {
    /// Why a user did not pass.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Denial {
        /// OneLogin refused the code.
        Code,
        /// No answer had the shape of a code.
        NoCode,
        /// A client answered with the login password.
        Password,
        /// The push was denied on the phone, or the digits of a call were wrong.
        Push,
        /// The push, call or link was not answered in time.
        Unanswered,
        /// No factor was enrolled.
        NotEnrolled,
        /// A factor was enrolled, but the time of the login is over.
        LogInAgain,
        /// The verification no longer exists.
        Expired,
        /// The user pressed Ctrl-C.
        Interrupted,
        /// The code was used before on this host.
        UsedCode,
        /// The host answered with the user's name.
        UserName,
        /// Too many codes were refused.
        TooManyCodes,
        /// Too many codes were refused in 24 hours.
        TooManyCodesToday,
        /// Too many challenges led to nothing, and there is no device for a code.
        TooManyChallenges,
        /// As `TooManyChallenges`, in 24 hours.
        TooManyChallengesToday,
        /// A push was denied on the phone in the last hour, and there is no other device.
        PushDeniedLately,
        /// OneLogin was asked too often about a user who has nothing to log in with.
        TooManyLookUps,
        /// A push of another login was pending all the time.
        PhoneBusy,
        /// There is no prompt, and no device that can receive a push.
        NoPushDevice,
        /// There is no prompt, and a push was not approved in the last ten minutes.
        PushPaused,
        /// There is no prompt, and nothing has proven the user.
        NoFirstFactor,
        /// OneLogin gave no answer, and no offline code was right.
        OfflineCode,
        /// The offline code was right, and could not be removed.
        OfflineCodeKept,
        /// The stack requires a key that sshd accepted, and there was none.
        NoKey,
        /// This action was denied before.
        Before,
        /// The state cannot be written.
        NoState,
        /// `PAM_USER` changed during the login.
        UserChanged,
    }
}

listed! {
    /// Why there is no user to verify.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum Unknown {
        /// The system does not know the name.
        Account,
        /// The name holds characters that must not be searched for.
        Name,
        /// Only the map file names users, and it has no line for this one.
        NotMapped,
        /// OneLogin has no user with this name.
        User,
        /// OneLogin's search has several hits.
        Several,
        /// OneLogin's search has one hit, of another name.
        Other,
        /// The OneLogin user is not active.
        Inactive,
        /// OneLogin said less than two minutes ago that there is no such user, or nothing to log in with.
        LookUpPaused,
        /// The user has no device.
        NoFactor,
        /// The user has no device that is allowed here.
        NoAllowedFactor,
        /// The user cannot be identified.
        Unclear(Unclear),
    }
}

impl Unknown {
    /// What could not be looked up, for the log.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::Unclear(unclear) => Some(unclear.detail()),
            _ => None,
        }
    }
}

/// What an administrator has to fix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The configuration, its files or the module's arguments; each fault is a log line before.
    Config,
    /// The API credential.
    Credential(String),
    /// A gateway refused the call or the certificate of this host.
    GatewayRefused(String),
    /// TLS.
    Tls(String),
    /// The configuration names this group, which does not exist on this host.
    NoSuchGroup(String),
    /// `check --prove` saw that the tenant accepts what it must refuse, or what it saw cannot be read.
    UnsafeTenant(String),
}

/// What a login ended with, and what the log should say of it.
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// The OneLogin user, once found.
    pub onelogin_id: Option<UserId>,
    /// The factor that was used last, as the log calls it.
    pub factor: Option<&'static str>,
    /// A denial could not be written down: the host may run the stack again.
    pub denial_unrecorded: bool,
    /// Why less was offered than could be sent to the user.
    pub held_back: Option<LimitReached>,
    /// How many entries of the list of devices could not be read.
    pub odd_devices: usize,
    /// How the login would have ended without the offline code that was asked for.
    pub without_offline_code: Option<Box<Outcome>>,
    /// Why an outage did not let in, where `failmode = "safe"` applies.
    pub not_safe: Option<NotSafe>,
    /// How many offline codes were removed, as OneLogin has no such active user.
    pub removed_offline_codes: usize,
}

impl From<BadAnswer> for Denial {
    fn from(bad: BadAnswer) -> Self {
        match bad {
            BadAnswer::Password => Self::Password,
            BadAnswer::UserName => Self::UserName,
            BadAnswer::NotText => Self::NoCode,
        }
    }
}
