//! What a gateway between this host and OneLogin answers by itself: the word in its header `x-gateway`, and what it means.
//! Such a reply is never an answer of OneLogin. Pure.

use super::{ApiError, ApiTrouble, Ending};
use crate::outage::Miss;

listed! {
    /// Why a gateway answered in place of OneLogin.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum GatewayWord {
        /// The call, or this host, is not on its list.
        Refused,
        /// The certificate of this host is revoked.
        Revoked,
        /// A limit of the gateway is reached.
        Limit,
        /// A limit at the edge of OneLogin's network is reached.
        EdgeLimit,
        /// The gateway has too much to do, or an error of its own.
        Busy,
        /// The gateway has no token.
        NoToken,
        /// The gateway has no connection to OneLogin.
        Unreached,
        /// OneLogin gave the gateway no answer, or 502, 503 or 504.
        Upstream,
    }
}

impl GatewayWord {
    /// The word in the header.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Revoked => "revoked",
            Self::Limit => "limit",
            Self::EdgeLimit => "edge-limit",
            Self::Busy => "busy",
            Self::NoToken => "no-token",
            Self::Unreached => "unreached",
            Self::Upstream => "upstream",
        }
    }

    /// How the request ended.
    fn ending(self) -> Ending {
        match self {
            Self::Refused | Self::Revoked => Ending::GatewayRefused,
            Self::Limit | Self::EdgeLimit => Ending::FrontEndLimit,
            Self::NoToken | Self::Unreached => Ending::NotForwarded,
            Self::Busy | Self::Upstream => Ending::Answered,
        }
    }

    fn trouble(self) -> ApiTrouble {
        match self {
            Self::Refused | Self::Revoked => ApiTrouble::GatewayRefused,
            Self::Limit | Self::EdgeLimit => ApiTrouble::RateLimited,
            Self::Busy | Self::NoToken | Self::Unreached | Self::Upstream => ApiTrouble::Gateway,
        }
    }

    /// Whether it says that OneLogin is away. What a user of a host can cause does not say so (rule R19).
    fn is_outage(self) -> bool {
        matches!(self, Self::NoToken | Self::Unreached | Self::Upstream)
    }
}

/// What a reply with the header `x-gateway` means. `way` is what a gateway in trouble says of the way to OneLogin.
#[must_use]
pub fn gateway_error(word: &str, status: u16, way: Miss) -> ApiError {
    let Some(known) = GatewayWord::all().find(|known| known.word() == word) else {
        let detail = format!("status={status}, and the word in x-gateway is unknown");
        return ApiError::new(ApiTrouble::BadReply, detail);
    };
    let miss = match known.trouble() {
        ApiTrouble::Gateway if known.is_outage() => Some(way),
        ApiTrouble::Gateway => Some(Miss::GatewayBusy),
        _ => None,
    };
    let detail = format!("gateway={} status={status}", known.word());
    ApiError {
        miss,
        ..ApiError::new(known.trouble(), detail).ended(known.ending())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{GiveBack, Seen};

    #[test]
    fn each_word_of_a_gateway_has_its_meaning_and_no_other_has_one() {
        use ApiTrouble::{Gateway, GatewayRefused, RateLimited};
        for (word, trouble, seen, miss) in [
            ("refused", GatewayRefused, Seen::No, None),
            ("revoked", GatewayRefused, Seen::No, None),
            ("limit", RateLimited, Seen::No, None),
            ("edge-limit", RateLimited, Seen::No, None),
            ("busy", Gateway, Seen::Yes, Some(Miss::GatewayBusy)),
            ("no-token", Gateway, Seen::No, Some(Miss::Gateway)),
            ("unreached", Gateway, Seen::No, Some(Miss::Gateway)),
            ("upstream", Gateway, Seen::Yes, Some(Miss::Gateway)),
        ] {
            let error = gateway_error(word, 503, Miss::Gateway);
            assert_eq!((error.trouble, error.miss), (trouble, miss), "{word}");
            let consequences = error.ending.consequences();
            assert_eq!(consequences.seen, seen, "{word}");
            // What OneLogin has seen is never given back.
            let is_kept = consequences.give_back == GiveBack::Never;
            assert_eq!(is_kept, seen == Seen::Yes, "{word}");
            assert!(error.detail.contains(&format!("gateway={word} ")));
        }
        for word in ["", "Refused", "ok", "no token"] {
            let error = gateway_error(word, 200, Miss::Gateway);
            assert_eq!(error.trouble, ApiTrouble::BadReply, "{word}");
            assert_eq!(error.ending.consequences().give_back, GiveBack::Never);
            assert!(!error.detail.contains(word) || word.is_empty(), "{word}");
        }
    }

    #[test]
    fn r19_a_gateway_that_refuses_or_is_busy_is_no_outage() {
        for word in GatewayWord::all() {
            let is_outage = gateway_error(word.word(), 503, Miss::Gateway)
                .miss
                .is_some_and(Miss::is_outage);
            let expected = [
                GatewayWord::NoToken,
                GatewayWord::Unreached,
                GatewayWord::Upstream,
            ];
            assert_eq!(is_outage, expected.contains(&word), "{word:?}");
        }
    }
}
