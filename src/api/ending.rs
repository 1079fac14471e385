//! How a request to OneLogin can end without a usable answer: the one table that says whether OneLogin may have seen it, what
//! is given back of what was counted, and whether it is sent once more (rule R16). Pure.

listed! {
    /// How a request ended.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Ending {
        /// Nothing was written: no name, no address, no handshake, no token, or no time.
        NotSent,
        /// The connection failed before the last byte of the request was written.
        CutShort,
        /// The request was written; the connection ended before the reply.
        Lost,
        /// The request was written; no reply came in time.
        NoReply,
        /// HTTP 408, by which a front end closes a connection that was idle.
        IdleTimeout,
        /// HTTP 429, the page of a front end: `text/html`, no `x-request-id`.
        FrontEndLimit,
        /// HTTP 429 by OneLogin itself.
        RateLimited,
        /// HTTP 401 as for an expired token, and a read by this token got 401, too. OneLogin issued another token.
        TokenReplaced,
        /// As `TokenReplaced`, but OneLogin issued the same token again.
        TokenRefused,
        /// HTTP 401 as for an expired token. This credential may not read devices, so a new token is requested, and OneLogin
        /// issued another one.
        TokenChanged,
        /// A gateway refused the call or this host.
        GatewayRefused,
        /// A gateway could not send it on: it has no token, or no connection to OneLogin.
        NotForwarded,
        /// Any other reply that is not a usable answer.
        Answered,
    }
}

/// Whether OneLogin may have acted on a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It has not.
    No,
    /// Unknown.
    Perhaps,
    /// It has.
    Yes,
}

/// Whether the count of a code or of a challenge is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GiveBack {
    /// It counts.
    Never,
    /// It is given back.
    Always,
    /// It is given back three times in a minute for a user.
    Sometimes,
}

/// Whether a request is sent once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// It is not.
    Never,
    /// At once, by a connection or a token of its own. It counts once.
    AtOnce,
    /// At once, if it can be counted a second time.
    Counted,
    /// After the time that OneLogin names, or after one to two seconds.
    Later,
}

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Consequences {
    /// Whether OneLogin may have acted on it.
    pub seen: Seen,
    /// What is given back, of a code or a challenge.
    pub give_back: GiveBack,
    /// Whether a call that changes nothing is sent once more: a GET, a token call, a poll.
    pub read: Again,
    /// Whether a code, an activation or an enrolment is sent once more.
    pub act: Again,
}

impl Ending {
    /// The table.
    #[must_use]
    #[allow(clippy::match_same_arms)] // one row for each ending
    pub fn consequences(self) -> Consequences {
        let row = |seen, give_back, read, act| Consequences {
            seen,
            give_back,
            read,
            act,
        };
        match self {
            Self::NotSent => row(Seen::No, GiveBack::Always, Again::Never, Again::Never),
            Self::CutShort => row(Seen::No, GiveBack::Always, Again::AtOnce, Again::AtOnce),
            Self::Lost => row(Seen::Perhaps, GiveBack::Never, Again::AtOnce, Again::Never),
            Self::NoReply => row(Seen::Perhaps, GiveBack::Never, Again::Never, Again::Never),
            Self::IdleTimeout => row(Seen::Perhaps, GiveBack::Never, Again::AtOnce, Again::Never),
            Self::FrontEndLimit => row(Seen::No, GiveBack::Sometimes, Again::Later, Again::Never),
            Self::RateLimited => row(Seen::Perhaps, GiveBack::Never, Again::Later, Again::Never),
            Self::TokenReplaced => row(Seen::No, GiveBack::Always, Again::AtOnce, Again::AtOnce),
            Self::TokenRefused => row(Seen::No, GiveBack::Always, Again::Never, Again::Never),
            Self::TokenChanged => row(
                Seen::Perhaps,
                GiveBack::Never,
                Again::AtOnce,
                Again::Counted,
            ),
            Self::GatewayRefused => row(Seen::No, GiveBack::Always, Again::Never, Again::Never),
            Self::NotForwarded => row(Seen::No, GiveBack::Always, Again::AtOnce, Again::AtOnce),
            Self::Answered => row(Seen::Yes, GiveBack::Never, Again::Never, Again::Never),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r16_what_onelogin_may_have_acted_on_is_sent_once_more_only_if_it_counts_twice() {
        for ending in Ending::all() {
            let Consequences {
                seen,
                give_back,
                act,
                ..
            } = ending.consequences();
            match seen {
                Seen::No => {}
                Seen::Perhaps => {
                    assert_eq!(give_back, GiveBack::Never, "{ending:?}");
                    assert!(matches!(act, Again::Never | Again::Counted), "{ending:?}");
                }
                Seen::Yes => {
                    assert_eq!(
                        (give_back, act),
                        (GiveBack::Never, Again::Never),
                        "{ending:?}"
                    );
                }
            }
            // A person waits at the prompt: a code that was refused by a limit is typed again.
            assert_ne!(act, Again::Later, "{ending:?}");
        }
    }
}
