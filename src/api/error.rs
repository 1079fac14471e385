//! Why there is no usable reply of OneLogin. Pure.

use super::Ending;
use crate::outage::Miss;
use std::time::Duration;

/// Why OneLogin gave no usable reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// What kind of trouble.
    pub trouble: ApiTrouble,
    /// For the log: status and names, never a value of ours.
    pub detail: String,
    /// When OneLogin wants to be asked again, with 429.
    pub retry_after: Option<Duration>,
    /// What kept the request from OneLogin, where it did not get there or came back with 502 to 504.
    pub miss: Option<Miss>,
    /// Whether OneLogin may have seen the request, and what follows from that.
    pub ending: Ending,
}

listed! {
    /// Kinds of trouble with OneLogin.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum ApiTrouble {
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
        /// A gateway refused the call or the certificate of this host.
        GatewayRefused,
        /// The API credential is wrong, or does not have a scope.
        Credential,
        /// This host could not do it: no descriptor, no memory, no permission.
        Local,
        /// The user pressed Ctrl-C.
        Interrupted,
    }
}

impl ApiError {
    /// An error for which OneLogin named no time to come back.
    #[must_use]
    pub fn new(trouble: ApiTrouble, detail: impl Into<String>) -> Self {
        Self {
            trouble,
            detail: detail.into(),
            retry_after: None,
            miss: None,
            ending: Ending::Answered,
        }
    }

    /// The time that this key sets is over, before anything was written.
    #[must_use]
    pub fn late(key: &str) -> Self {
        Self::new(ApiTrouble::Timeout, key).ended(Ending::NotSent)
    }

    /// The same error of a request that ended in this way.
    #[must_use]
    pub fn ended(self, ending: Ending) -> Self {
        Self { ending, ..self }
    }
}

impl ApiTrouble {
    /// Whether OneLogin itself was not reached, so that every user meets the same trouble.
    #[must_use]
    pub fn is_of_the_way(self) -> bool {
        matches!(self, Self::NoConnection | Self::Gateway)
    }

    /// Whether asking again may help: for polls only.
    #[must_use]
    pub fn may_pass(self) -> bool {
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
            | Self::GatewayRefused
            | Self::Credential
            | Self::Local
            | Self::Interrupted => false,
        }
    }
}
