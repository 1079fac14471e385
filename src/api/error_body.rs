//! The body of an error, in the shapes of both versions of the API, and what it says.

use super::Reply;
use super::json::{Maybe, Scalar, object};
use crate::api::{ApiError, ApiTrouble};
use crate::text::clean;
use serde::Deserialize;
use std::time::Duration;

/// What an error says. Version 1 has an envelope, `{"status": {"type", "message"}}`; version 2 has `name` and `message`. Whatever
/// else stands in it, and of whatever type, takes nothing from it.
#[derive(Deserialize)]
pub(super) struct ErrorBody {
    #[serde(default)]
    name: Scalar,
    #[serde(default)]
    message: Scalar,
    #[serde(default)]
    status: Maybe<ErrorStatus>,
}

#[derive(Deserialize)]
struct ErrorStatus {
    #[serde(default, rename = "type")]
    kind: Scalar,
    #[serde(default)]
    message: Scalar,
}

impl ErrorBody {
    /// `None` where the body is not an object: OneLogin did not write it.
    pub(super) fn of(reply: &Reply) -> Option<Self> {
        object(&reply.body).ok()
    }

    fn kind_of_version_1(&self) -> Option<&str> {
        self.status.0.as_ref()?.kind.text()
    }

    /// The message in the envelope of version 1.
    pub(super) fn message_of_version_1(&self) -> Option<&str> {
        self.status.0.as_ref()?.message.text()
    }

    /// Whether it says that this code may not be checked so, which is no word about the credential.
    pub(super) fn is_forbidden(&self) -> bool {
        [self.name.text(), self.kind_of_version_1()].contains(&Some("ForbiddenAction"))
    }

    /// Recorded from version 1, and told of version 2 by OneLogin's own client.
    pub(super) fn is_of_dead_token(&self) -> bool {
        let first = (self.kind_of_version_1(), self.message_of_version_1());
        let second = (self.name.text(), self.message.text());
        first == (Some("Unauthorized"), Some("Authentication Failure"))
            || second == (Some("UnauthorizedError"), Some("Unauthorized"))
    }
}

/// Whether the server's own words may stand in the log. The reply to a code could repeat the code
/// (rule R11).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    Only,
    AndMessages,
}

/// What a reply means that has not the status we want.
pub(super) fn problem(reply: &Reply, names: Names) -> ApiError {
    let trouble = match reply.status {
        401 | 403 => ApiTrouble::Credential,
        404 => ApiTrouble::NotFound,
        429 => ApiTrouble::RateLimited,
        502..=504 => ApiTrouble::Gateway,
        500..=599 => ApiTrouble::ServerError,
        300..=399 => ApiTrouble::Redirected,
        400..=499 => ApiTrouble::RequestRefused,
        _ => ApiTrouble::BadReply,
    };
    let mut detail = format!("status={}", reply.status);
    if let Some(error) = ErrorBody::of(reply) {
        let name = error.name.text().or(error.kind_of_version_1());
        let is_a_word = |name: &&str| {
            name.len() <= 40 && name.chars().all(|c| c.is_ascii_alphabetic() || c == ' ')
        };
        if let Some(word) = name.filter(is_a_word) {
            detail.push(' ');
            detail.push_str(word);
        }
        let message = error.message.text().or(error.message_of_version_1());
        if let Some(message) = message.filter(|_| names == Names::AndMessages) {
            detail.push_str(": ");
            detail.push_str(&clean(message, 120));
        }
    }
    ApiError {
        trouble,
        detail,
        retry_after: reply
            .retry_after
            .filter(|_| trouble == ApiTrouble::RateLimited)
            .map(Duration::from_secs),
        miss: reply.miss,
        ending: reply.ending(),
    }
}
