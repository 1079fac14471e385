//! Replies spoiled on demand.

use std::time::Duration;

use crate::front::Page;
use crate::http::Incoming;

/// Which requests a fault is for; `None` is "any".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Match {
    /// The method, in upper case.
    pub method: Option<String>,
    /// A part of path and query as sent.
    pub path_part: Option<String>,
    /// A part of the body.
    pub body_part: Option<String>,
    /// A part that the body must not have.
    pub body_lacks: Option<String>,
}

impl Match {
    /// All requests.
    pub fn any() -> Match {
        Match::default()
    }

    /// Requests with this method whose path or query contains `path_part`.
    pub fn new(method: impl Into<String>, path_part: impl Into<String>) -> Match {
        Match {
            method: Some(method.into()),
            path_part: Some(path_part.into()),
            ..Match::default()
        }
    }

    /// Requests whose path or query contains `path_part`.
    pub fn path(path_part: impl Into<String>) -> Match {
        Match {
            path_part: Some(path_part.into()),
            ..Match::default()
        }
    }

    /// Token calls.
    pub fn token() -> Match {
        Match::path("/auth/oauth2/")
    }

    /// Activations: a push, a text message, a call or an e-mail.
    pub fn activation() -> Match {
        Match::new("POST", "/verifications").without_body("\"otp\"")
    }

    /// Submissions of a code, by POST or by PUT.
    pub fn code() -> Match {
        Match::path("/verifications").body("\"otp\"")
    }

    /// Polls.
    pub fn poll() -> Match {
        Match::new("GET", "/verifications/")
    }

    /// All calls of API v1.
    pub fn v1() -> Match {
        Match::path("/api/1/")
    }

    /// Activations through API v1.
    pub fn trigger() -> Match {
        Match::new("POST", "/trigger")
    }

    /// Submissions of a code through API v1.
    pub fn v1_code() -> Match {
        Match::new("POST", "/verify").body("\"otp_token\"")
    }

    /// Polls through API v1: `verify` without a code.
    pub fn v1_poll() -> Match {
        Match::new("POST", "/verify").without_body("\"otp_token\"")
    }

    /// Starts of an enrolment through API v2.
    pub fn registration() -> Match {
        Match::new("POST", "/registrations")
    }

    /// Submissions of an enrolment's code.
    pub fn registration_code() -> Match {
        Match::new("PUT", "/registrations/")
    }

    /// Polls of an enrolment.
    pub fn registration_poll() -> Match {
        Match::new("GET", "/registrations/")
    }

    /// Requests for a temporary token, in v1 or v2.
    pub fn mfa_token() -> Match {
        Match::new("POST", "/mfa_token")
    }

    /// Of these, only those whose body contains `part`.
    pub fn body(mut self, part: impl Into<String>) -> Match {
        self.body_part = Some(part.into());
        self
    }

    /// Of these, only those whose body does not contain `part`.
    pub fn without_body(mut self, part: impl Into<String>) -> Match {
        self.body_lacks = Some(part.into());
        self
    }

    fn fits(&self, request: &Incoming) -> bool {
        self.method
            .as_ref()
            .is_none_or(|method| *method == request.method)
            && self
                .path_part
                .as_ref()
                .is_none_or(|part| request.target().contains(part))
            && self
                .body_part
                .as_ref()
                .is_none_or(|part| request.body.contains(part))
            && self
                .body_lacks
                .as_ref()
                .is_none_or(|part| !request.body.contains(part))
    }
}

/// What goes wrong.
///
/// `Header`, `DelayMs`, `Drip`, `CloseAfterReply` and `Also` change the way a reply travels and add up;
/// of the others, which replace the reply, the first that matches wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// This status, body and further headers instead.
    Status(u16, String, Vec<(String, String)>),
    /// 200 with this body instead.
    Body(String),
    /// A page of the front end instead; then the connection is closed.
    Page(Page),
    /// One more header on the reply.
    Header(String, String),
    /// The request is handled and logged at once, the reply sent so many milliseconds later.
    DelayMs(u64),
    /// The request is read, nothing is done, the connection is closed without a reply.
    DropBefore,
    /// The request is handled, then the connection is closed without a reply.
    DropAfter,
    /// The request is read and never answered; the connection stays open until the client or the simulator ends it.
    Silence,
    /// The connection is accepted and nothing is ever sent, not even TLS. Counts connections; the match is ignored.
    SilentAccept,
    /// The connection is closed right after the TLS handshake. Counts connections; the match is ignored.
    HangUpAfterHandshake,
    /// These bytes come right after the TLS handshake, before anything was asked; then the connection serves. Counts
    /// connections; the match is ignored.
    SpeakFirst(Vec<u8>),
    /// The reply trickles.
    Drip {
        /// So many bytes at a time, at least 1.
        bytes: usize,
        /// So many milliseconds between them.
        every_ms: u64,
    },
    /// 200 with a JSON string of so many bytes.
    Huge(u64),
    /// A status line, then headers without an end.
    EndlessHeaders,
    /// Interim replies (103) without an end.
    EndlessHints,
    /// Session tickets of TLS 1.3 instead, more than a million, without a pause; then the connection is closed.
    Tickets,
    /// 302 to this place.
    Redirect(String),
    /// These bytes instead of an HTTP reply, then the connection is closed.
    Raw(Vec<u8>),
    /// These bytes instead of an HTTP reply, then the connection breaks: TLS is not closed in order.
    RawThenDrop(Vec<u8>),
    /// The reply as it should be, then the connection is closed without having said so.
    CloseAfterReply,
    /// The reply as it should be, then these bytes that nobody asked for; the connection stays open.
    Also {
        /// The bytes.
        bytes: Vec<u8>,
        /// Whether they travel in a TLS record of their own, or in that of the reply.
        apart: bool,
    },
}

impl Action {
    /// [`Action::Status`] with an empty body and no further headers.
    pub fn status(status: u16) -> Action {
        Action::Status(status, String::new(), Vec::new())
    }

    fn is_for_connections(&self) -> bool {
        matches!(
            self,
            Action::SilentAccept | Action::HangUpAfterHandshake | Action::SpeakFirst(_)
        )
    }

    fn replaces_the_reply(&self) -> bool {
        !matches!(
            self,
            Action::Header(..)
                | Action::DelayMs(_)
                | Action::Drip { .. }
                | Action::CloseAfterReply
                | Action::Also { .. }
        )
    }
}

/// Something to go wrong, where, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Fault {
    /// For these requests.
    pub on: Match,
    /// So many of them pass first.
    pub skip: usize,
    /// Then so many are hit; `None` is all.
    pub times: Option<usize>,
    /// Whether a request whose reply is replaced is handled all the same (a push is sent, a code is used up).
    pub perform: bool,
    /// What happens.
    pub action: Action,
}

impl Fault {
    /// A fault for each request that fits, without the request being handled.
    pub fn new(on: Match, action: Action) -> Fault {
        Fault {
            on,
            skip: 0,
            times: None,
            perform: false,
            action,
        }
    }

    /// The first `skip` requests that fit pass.
    pub fn skip(mut self, skip: usize) -> Fault {
        self.skip = skip;
        self
    }

    /// Only so many requests are hit.
    pub fn times(mut self, times: usize) -> Fault {
        self.times = Some(times);
        self
    }

    /// The request is handled before its reply is replaced.
    pub fn performed(mut self) -> Fault {
        self.perform = true;
        self
    }
}

/// The faults that are set, and how many requests each has seen.
#[derive(Default)]
pub(crate) struct Faults(Vec<(Fault, usize)>);

/// What the faults make of one request.
#[derive(Default)]
pub(crate) struct Plan {
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) delay: Duration,
    pub(crate) drip: Option<(usize, Duration)>,
    pub(crate) close: bool,
    pub(crate) also: Option<(Vec<u8>, bool)>,
    pub(crate) instead: Option<Action>,
    pub(crate) skips_the_request: bool,
}

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault) {
        self.0.push((fault, 0));
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn for_connection(&mut self) -> Option<Action> {
        self.0
            .iter_mut()
            .filter(|(fault, _)| fault.action.is_for_connections())
            .find_map(|(fault, seen)| strikes(fault, seen).then(|| fault.action.clone()))
    }

    pub(crate) fn for_request(&mut self, request: &Incoming) -> Plan {
        let mut plan = Plan::default();
        for (fault, seen) in &mut self.0 {
            let late = plan.instead.is_some() && fault.action.replaces_the_reply();
            if late
                || fault.action.is_for_connections()
                || !fault.on.fits(request)
                || !strikes(fault, seen)
            {
                continue;
            }
            match &fault.action {
                Action::Header(name, value) => plan.headers.push((name.clone(), value.clone())),
                Action::DelayMs(ms) => plan.delay += Duration::from_millis(*ms),
                Action::Drip { bytes, every_ms } => {
                    plan.drip = Some(((*bytes).max(1), Duration::from_millis(*every_ms)));
                }
                Action::CloseAfterReply => plan.close = true,
                Action::Also { bytes, apart } => plan.also = Some((bytes.clone(), *apart)),
                other => {
                    plan.skips_the_request = !fault.perform && *other != Action::DropAfter;
                    plan.instead = Some(other.clone());
                }
            }
        }
        plan
    }
}

fn strikes(fault: &Fault, seen: &mut usize) -> bool {
    *seen += 1;
    seen.checked_sub(fault.skip)
        .is_some_and(|n| n >= 1 && fault.times.is_none_or(|times| n <= times))
}
