//! What reached the person's telephone or mailbox.

use std::fmt;

/// Something that an activation sent.
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
