//! What reached the person's telephone or mailbox.

use std::fmt;

use crate::device::{Factor, Way};
use crate::state::Verification;

/// Something that an activation or an enrolment sent. The person follows a link or accepts a push by
/// [`crate::Simulator::approve`], keys in the code of a call by it, too, and refuses by [`crate::Simulator::deny`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What sent it.
    pub factor: Factor,
    /// The id of the verification or enrolment, or the `state_token` of API v1.
    pub verification: String,
    /// The user who got it.
    pub user: u64,
    /// The name of the user.
    pub username: String,
    /// The device that got it; empty while a device is being enrolled.
    pub device: String,
    /// The code in it.
    code: Option<String>,
    /// What it says.
    pub text: String,
}

impl Message {
    /// What a verification sends, if it sends anything. `text` is for messages with a code to type.
    pub(crate) fn of(
        verification: &Verification,
        username: String,
        code: String,
        text: String,
    ) -> Option<Message> {
        let (code, text) = match verification.factor.row().way {
            Way::CodeAtHand => return None,
            Way::Push => (None, "allow this login?".to_owned()),
            Way::CodeSent { .. } => (Some(code), text),
            Way::Call => (
                Some(code),
                "Key in the digits that the login shows".to_owned(),
            ),
            Way::Link => (None, "Follow the link to log in".to_owned()),
        };
        Some(Message {
            factor: verification.factor.clone(),
            verification: verification.id.clone(),
            user: verification.user,
            username,
            device: verification.device.clone(),
            code,
            text,
        })
    }

    /// The code in it, if it has one.
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sends, username) = (self.factor.row().sends, &self.username);
        write!(f, "{sends} to {username}: {}", self.text)
    }
}
