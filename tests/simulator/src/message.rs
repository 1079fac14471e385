//! What reached the person's telephone or mailbox.

use std::fmt;

use crate::device::Factor;
use crate::state::Verification;

/// Something that an activation or an enrolment sent. `verification` is the id of either, or the `state_token` of API v1;
/// `device` is empty while a device is being enrolled.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "the fields are the same in each variant: who, which device, which verification, what"
)]
pub enum Message {
    /// A text message.
    Sms {
        verification: String,
        user: u64,
        username: String,
        device: String,
        code: String,
        text: String,
    },
    /// An e-mail with a code.
    Email {
        verification: String,
        user: u64,
        username: String,
        device: String,
        code: String,
        text: String,
    },
    /// An e-mail with a link; following it is [`crate::Simulator::approve`].
    MagicLink {
        verification: String,
        user: u64,
        username: String,
        device: String,
        text: String,
    },
    /// A call; keying in `code` is [`crate::Simulator::approve`], other digits are [`crate::Simulator::deny`].
    Voice {
        verification: String,
        user: u64,
        username: String,
        device: String,
        code: String,
        text: String,
    },
    /// A push; answer it with [`crate::Simulator::approve`] or [`crate::Simulator::deny`].
    Push {
        verification: String,
        user: u64,
        username: String,
        device: String,
    },
}

impl Message {
    /// What a verification sends, if it sends anything. `text` is for text messages and e-mails with a code.
    pub(crate) fn of(
        verification: &Verification,
        username: String,
        code: String,
        text: String,
    ) -> Option<Message> {
        let (user, device) = (verification.user, verification.device.clone());
        let (verification, factor) = (verification.id.clone(), &verification.factor);
        Some(match factor {
            Factor::Protect => Message::Push {
                verification,
                user,
                username,
                device,
            },
            Factor::Sms => Message::Sms {
                verification,
                user,
                username,
                device,
                code,
                text,
            },
            Factor::Email => Message::Email {
                verification,
                user,
                username,
                device,
                code,
                text,
            },
            Factor::MagicLink => Message::MagicLink {
                verification,
                user,
                username,
                device,
                text: "Follow the link to log in".to_owned(),
            },
            Factor::Voice => Message::Voice {
                verification,
                user,
                username,
                device,
                code,
                text: "Key in the digits that the login shows".to_owned(),
            },
            Factor::Authenticator | Factor::YubiKey | Factor::Duo | Factor::Other(_) => {
                return None;
            }
        })
    }

    /// The id of the verification that it belongs to.
    #[must_use]
    pub fn verification(&self) -> &str {
        match self {
            Message::Sms { verification, .. }
            | Message::Email { verification, .. }
            | Message::MagicLink { verification, .. }
            | Message::Voice { verification, .. }
            | Message::Push { verification, .. } => verification,
        }
    }

    /// The user who got it.
    #[must_use]
    pub fn user(&self) -> u64 {
        match self {
            Message::Sms { user, .. }
            | Message::Email { user, .. }
            | Message::MagicLink { user, .. }
            | Message::Voice { user, .. }
            | Message::Push { user, .. } => *user,
        }
    }

    /// The id of the device that got it.
    #[must_use]
    pub fn device(&self) -> &str {
        match self {
            Message::Sms { device, .. }
            | Message::Email { device, .. }
            | Message::MagicLink { device, .. }
            | Message::Voice { device, .. }
            | Message::Push { device, .. } => device,
        }
    }

    /// The code in it, if it has one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Message::Sms { code, .. }
            | Message::Email { code, .. }
            | Message::Voice { code, .. } => Some(code),
            Message::MagicLink { .. } | Message::Push { .. } => None,
        }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Message::Sms { username, text, .. } => write!(f, "SMS to {username}: {text}"),
            Message::Email { username, text, .. } | Message::MagicLink { username, text, .. } => {
                write!(f, "E-mail to {username}: {text}")
            }
            Message::Voice { username, text, .. } => write!(f, "Call to {username}: {text}"),
            Message::Push { username, .. } => write!(f, "Push to {username}: allow this login?"),
        }
    }
}
