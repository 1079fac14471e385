//! What the simulated account remembers: credentials, tokens, users, verifications, and what happened.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use crate::device::{Device, Factor};
use crate::fault::Faults;
use crate::http::{Incoming, target};
use crate::message::Message;
use crate::user::User;

/// How replies are written where documentation and observation differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// As documented: arrays for polls and text messages, `"status":{…}` for a right code, 401 for a wrong one.
    #[default]
    Docs,
    /// As clients in use expect: objects, and `"status":"accepted"`, `"rejected"` or `"pending"` with 200.
    Live,
}

/// What [`Dialect::Live`] says of a wrong code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WrongCode {
    /// `"status":"rejected"`.
    #[default]
    Rejected,
    /// `"status":"pending"`.
    Pending,
}

/// What a poll says after the verification has expired; the real answer is not documented.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExpiredPoll {
    /// 404.
    #[default]
    NotFound,
    /// `pending` for ever.
    Pending,
    /// `rejected`.
    Rejected,
}

/// What the person does with a push, a call or a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PushBehaviour {
    /// Nothing, until [`crate::Simulator::approve`] or [`crate::Simulator::deny`].
    #[default]
    Manual,
    /// So many polls say `pending`, the next one `accepted`.
    ApproveAfterPolls(usize),
    /// So many polls say `pending`, the next one `rejected`.
    DenyAfterPolls(usize),
}

/// A request that the simulator got, and what it answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The number of its connection, from 1.
    pub connection: u64,
    /// The method.
    pub method: String,
    /// The path as sent.
    pub path: String,
    /// The query as sent, without the question mark.
    pub query: String,
    /// All headers in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
    /// The status of the reply; 0 if a fault sent none or only raw bytes.
    pub status: u16,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// The `User-Agent` header.
    pub user_agent: Option<String>,
}

impl Request {
    pub(crate) fn new(connection: u64, incoming: &Incoming, status: u16) -> Request {
        Request {
            connection,
            method: incoming.method.clone(),
            path: incoming.path.clone(),
            query: incoming.query.clone(),
            headers: incoming.headers.clone(),
            body: incoming.body.clone(),
            status,
            authorization: incoming.header("authorization").map(ToOwned::to_owned),
            user_agent: incoming.header("user-agent").map(ToOwned::to_owned),
        }
    }

    /// Path and query as sent.
    #[must_use]
    pub fn target(&self) -> String {
        target(&self.path, &self.query)
    }

    pub(crate) fn fits(&self, method: &str, path_part: &str) -> bool {
        (method.is_empty() || self.method == method) && self.target().contains(path_part)
    }
}

/// Called with each message.
pub(crate) type Printer = Arc<dyn Fn(&Message) + Send + Sync>;

/// Everything that changes.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) settings: Settings,
    pub(crate) credentials: BTreeMap<String, String>,
    pub(crate) tokens: Vec<Token>,
    pub(crate) accounts: BTreeMap<u64, Account>,
    pub(crate) verifications: Vec<Verification>,
    pub(crate) next_codes: VecDeque<String>,
    pub(crate) codes_made: u32,
    pub(crate) requests: Vec<Request>,
    pub(crate) messages: Vec<Message>,
    /// Messages that the printer has not seen.
    pub(crate) unprinted: Vec<Message>,
    pub(crate) printer: Option<Printer>,
    pub(crate) faults: Faults,
    pub(crate) connections: u64,
    pub(crate) closed: u64,
    pub(crate) stopping: bool,
}

pub(crate) struct Settings {
    pub(crate) dialect: Dialect,
    pub(crate) wrong_code: WrongCode,
    pub(crate) expired_poll: ExpiredPoll,
    pub(crate) push: PushBehaviour,
    pub(crate) numeric_ids: bool,
    pub(crate) case_sensitive: bool,
    /// Fields that the list of users never has.
    pub(crate) omitted: Vec<String>,
    pub(crate) token_created_ago: Duration,
    pub(crate) token_expires_in: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            dialect: Dialect::default(),
            wrong_code: WrongCode::default(),
            expired_poll: ExpiredPoll::default(),
            push: PushBehaviour::default(),
            numeric_ids: false,
            case_sensitive: false,
            omitted: Vec::new(),
            token_created_ago: Duration::ZERO,
            token_expires_in: Duration::from_secs(36_000),
        }
    }
}

/// An access token. It is valid as long as it is in the list and not past `expires`.
#[derive(Clone)]
pub(crate) struct Token {
    pub(crate) client: String,
    pub(crate) access: String,
    pub(crate) refresh: String,
    pub(crate) created_at: String,
    pub(crate) expires_in: u64,
    pub(crate) expires: Instant,
    /// Whether the next token call gives it out again.
    pub(crate) current: bool,
}

pub(crate) struct Account {
    pub(crate) user: User,
    pub(crate) devices: Vec<Device>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Pending,
    Accepted,
    Rejected,
}

impl Outcome {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Outcome::Pending => "pending",
            Outcome::Accepted => "accepted",
            Outcome::Rejected => "rejected",
        }
    }
}

pub(crate) struct Verification {
    pub(crate) id: String,
    pub(crate) user: u64,
    pub(crate) device: String,
    pub(crate) factor: Factor,
    /// The code that was sent, until it is used.
    pub(crate) code: Option<String>,
    pub(crate) outcome: Outcome,
    pub(crate) push: PushBehaviour,
    pub(crate) expires: Instant,
}

impl Verification {
    /// Whether the person answers on the device, so that the login polls.
    pub(crate) fn is_polled(&self) -> bool {
        matches!(
            self.factor,
            Factor::Protect | Factor::Voice | Factor::MagicLink
        )
    }

    /// One poll: the person may have answered.
    pub(crate) fn poll(&mut self) -> Outcome {
        let left = match &mut self.push {
            PushBehaviour::Manual => return self.outcome,
            PushBehaviour::ApproveAfterPolls(left) | PushBehaviour::DenyAfterPolls(left) => left,
        };
        if let Some(fewer) = left.checked_sub(1) {
            *left = fewer;
        } else if self.outcome == Outcome::Pending && self.is_polled() {
            let approves = matches!(self.push, PushBehaviour::ApproveAfterPolls(_));
            self.outcome = if approves {
                Outcome::Accepted
            } else {
                Outcome::Rejected
            };
        }
        self.outcome
    }
}

impl State {
    /// The code that the next text message, e-mail or call has: set beforehand, or else from a fixed sequence
    /// in which some codes start with zeros and, if `letters`, some have a letter.
    pub(crate) fn code(&mut self, letters: bool) -> String {
        if let Some(code) = self.next_codes.pop_front() {
            return code;
        }
        let n = self.codes_made;
        self.codes_made = n.wrapping_add(1);
        let number = n.wrapping_mul(271_829).wrapping_add(48_611) % 1_000_000;
        if letters && n % 4 == 3 {
            format!("B{:05}", number % 100_000)
        } else {
            format!("{number:06}")
        }
    }

    pub(crate) fn send(&mut self, message: Message) {
        self.unprinted.push(message.clone());
        self.messages.push(message);
    }

    /// The newest verification that waits for an answer on a device.
    pub(crate) fn latest_push(&mut self) -> Option<&mut Verification> {
        self.verifications
            .iter_mut()
            .rev()
            .find(|v| v.is_polled() && v.outcome == Outcome::Pending)
    }
}

/// 32 random hexadecimal digits.
pub(crate) fn random_hex() -> String {
    let mut bytes = [0; 16];
    // Should the generator fail, the name is predictable: no harm in a simulator.
    let _ = rustls::crypto::ring::default_provider()
        .secure_random
        .fill(&mut bytes);
    format!("{:032x}", u128::from_be_bytes(bytes))
}

/// A moment as the API writes it, for example `2026-01-31T09:00:00.000Z`.
pub(crate) fn iso(moment: OffsetDateTime) -> String {
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        moment.year(),
        u8::from(moment.month()),
        moment.day(),
        moment.hour(),
        moment.minute(),
        moment.second(),
        moment.millisecond()
    )
}
