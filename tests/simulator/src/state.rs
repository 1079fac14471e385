//! What the simulated account remembers: credentials, tokens, users, verifications and enrolments, and what happened.

use std::collections::{BTreeMap, VecDeque};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use pam_onelogin_tape::Replay;
use time::OffsetDateTime;

use crate::device::{Device, Factor};
use crate::fault::Faults;
use crate::http::{Incoming, target};
use crate::message::Message;
use crate::scope::{Scope, ScopeRules};
use crate::totp;
use crate::user::User;

/// How replies are written where documentation and observation differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// As documented: arrays for polls, text messages and the answers to an enrolment's code, `"status":{…}` for a right
    /// code of a login, 401 for a wrong one.
    Docs,
    /// The likeliest, by recorded replies and by clients in use: objects, `"status":"accepted"`, `"rejected"` or `"pending"`
    /// with 200; a token that is some minutes old when it is given; and headers as recorded (chunked replies and counters in
    /// API v1, `x-request-id` as `HAProxy` writes it).
    #[default]
    Live,
    /// As the models of the Python package `onelogin` 4.0.1 demand: objects, an integer `device_id` in the reply to an
    /// activation but strings elsewhere, and a flat `{"error","code","type","message"}` for a right code, in v1 too.
    Py4,
}

/// What [`Dialect::Live`] says of a wrong code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WrongCode {
    /// `"status":"rejected"`.
    #[default]
    Rejected,
    /// `"status":"pending"`.
    Pending,
    /// It is accepted, as a service with a grave fault would do.
    Accepted,
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

/// How API v1 lists a Protect device, which can do both push and code. The documentation says both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProtectListing {
    /// Once, with `"needs_trigger": false`, as in the documentation's sample. It can be triggered all the same.
    #[default]
    Once,
    /// Twice, under one id: with `"needs_trigger": true` and with `false`, as the documentation's text says.
    Twice,
    /// Once, with `"needs_trigger": true`, as a fixture shows that looks like a real reply. A code goes by `trigger`, then
    /// `verify` with `state_token` and code, as a client in use sends it; a code alone is refused.
    Triggered,
}

/// Whether users have names to log in with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Usernames {
    /// Those of each [`User`].
    #[default]
    Given,
    /// The user name `""` and no name of Active Directory, only an e-mail address: so were all users of the only tenant that
    /// was recorded.
    Empty,
}

/// What the token call gives after [`crate::Simulator::revoke_tokens`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reissue {
    /// A new token.
    #[default]
    New,
    /// The same token again, which stays dead.
    Same,
}

/// What has become of a verification or a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing yet.
    Pending,
    /// The right code, or a yes.
    Accepted,
    /// A no.
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

/// The enrolment of a factor through API v2, seen from the person's side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Its id.
    pub id: String,
    /// The user.
    pub user: u64,
    /// The kind of factor.
    pub factor: Factor,
    /// `display_name` of the request.
    pub name: String,
    /// What has become of it.
    pub outcome: Outcome,
    /// Whether its time is over.
    pub is_expired: bool,
    /// The secret of an authenticator, in base 32, see [`crate::totp`].
    pub secret: Option<String>,
    /// `factor_data.verification_token`: what the login shows for Protect, Voice and authenticators.
    pub token: Option<String>,
    /// What the person would type now: the code of the message or of the app. `None` where nothing is typed.
    pub code: Option<String>,
    /// The new device, once accepted.
    pub device: Option<String>,
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
    /// The client id whose access token it carried, or that it proved to be in a call about tokens.
    pub client: Option<String>,
}

impl Request {
    pub(crate) fn new(
        connection: u64,
        incoming: &Incoming,
        status: u16,
        client: Option<String>,
    ) -> Request {
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
            client,
        }
    }

    /// Path and query as sent.
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
    /// Of the clients that may not do everything.
    pub(crate) scopes: BTreeMap<String, Scope>,
    pub(crate) tokens: Vec<Token>,
    pub(crate) accounts: BTreeMap<u64, Account>,
    pub(crate) verifications: Vec<Verification>,
    pub(crate) temporary: Vec<TemporaryToken>,
    pub(crate) temporary_made: u64,
    pub(crate) next_codes: VecDeque<String>,
    pub(crate) codes_made: u32,
    pub(crate) requests: Vec<Request>,
    pub(crate) messages: Vec<Message>,
    /// Messages that the printer has not seen.
    pub(crate) unprinted: Vec<Message>,
    pub(crate) printer: Option<Printer>,
    pub(crate) faults: Faults,
    /// A tape that answers in place of the account.
    pub(crate) replay: Option<Replay>,
    pub(crate) connections: u64,
    /// The connections that are open, by their numbers.
    pub(crate) sockets: BTreeMap<u64, TcpStream>,
    pub(crate) closed: u64,
    /// The calls of API v1 so far: they alone count for the rate limit.
    pub(crate) v1_calls: usize,
    /// How many times bytes that nobody asked for were sent.
    pub(crate) unasked: u64,
    pub(crate) stopping: bool,
}

pub(crate) struct Settings {
    pub(crate) dialect: Dialect,
    pub(crate) wrong_code: WrongCode,
    pub(crate) expired_poll: ExpiredPoll,
    pub(crate) push: PushBehaviour,
    pub(crate) protect_listing: ProtectListing,
    pub(crate) scope_rules: ScopeRules,
    pub(crate) numeric_ids: bool,
    pub(crate) case_sensitive: bool,
    pub(crate) usernames: Usernames,
    pub(crate) reissue: Reissue,
    /// What API v1 says to a poll of a push that is pending, and of one that was denied.
    pub(crate) v1_pending: String,
    pub(crate) v1_refused: String,
    /// Fields that the list of users never has.
    pub(crate) omitted: Vec<String>,
    /// How far the server's clock is ahead, in seconds.
    pub(crate) ahead: i64,
    /// `None` is as the dialect has it.
    pub(crate) token_created_ago: Option<Duration>,
    pub(crate) token_expires_in: Duration,
}

impl Settings {
    /// How old a token is when it is given out for the first time: once 3 min 24 s was recorded.
    pub(crate) fn token_age(&self) -> Duration {
        let recorded = match self.dialect {
            Dialect::Live => Duration::from_secs(204),
            Dialect::Docs | Dialect::Py4 => Duration::ZERO,
        };
        self.token_created_ago.unwrap_or(recorded)
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            dialect: Dialect::default(),
            wrong_code: WrongCode::default(),
            expired_poll: ExpiredPoll::default(),
            push: PushBehaviour::default(),
            protect_listing: ProtectListing::default(),
            scope_rules: ScopeRules::default(),
            numeric_ids: false,
            case_sensitive: false,
            usernames: Usernames::default(),
            reissue: Reissue::default(),
            v1_pending: "Authentication pending on OL Protect".to_owned(),
            v1_refused: "Failed authentication with this factor".to_owned(),
            omitted: Vec::new(),
            ahead: 0,
            token_created_ago: None,
            token_expires_in: Duration::from_secs(36_000),
        }
    }
}

/// An access token. It is valid as long as it is in the list, not revoked and not past `expires`.
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
    /// Refused everywhere, whether it is given out again or not.
    pub(crate) revoked: bool,
}

pub(crate) struct Account {
    pub(crate) user: User,
    pub(crate) devices: Vec<Device>,
}

/// What a verification is for.
#[derive(PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A login through v2.
    Login,
    /// A login through v1, or the first use of a device enrolled there; the id is the `state_token`.
    Trigger,
    /// An enrolment through v2.
    Enrolment(Enrolment),
}

#[derive(PartialEq, Eq)]
pub(crate) struct Enrolment {
    pub(crate) name: String,
    pub(crate) secret: Option<String>,
    pub(crate) token: Option<String>,
    /// The code that the Protect app shows for the device, during the enrolment and afterwards.
    pub(crate) app_code: Option<String>,
}

pub(crate) struct Verification {
    /// In v1, the `state_token`.
    pub(crate) id: String,
    pub(crate) purpose: Purpose,
    pub(crate) user: u64,
    /// Empty until an enrolment is accepted.
    pub(crate) device: String,
    pub(crate) factor: Factor,
    /// The code that was sent, until it is used.
    pub(crate) code: Option<String>,
    pub(crate) outcome: Outcome,
    pub(crate) push: PushBehaviour,
    pub(crate) expires: Instant,
}

/// A temporary MFA token.
pub(crate) struct TemporaryToken {
    pub(crate) user: u64,
    pub(crate) device: String,
    pub(crate) token: String,
    pub(crate) reusable: bool,
    pub(crate) expires: Instant,
}

impl Verification {
    /// One poll: the person may have answered.
    fn poll(&mut self) {
        let left = match &mut self.push {
            PushBehaviour::Manual => return,
            PushBehaviour::ApproveAfterPolls(left) | PushBehaviour::DenyAfterPolls(left) => left,
        };
        if let Some(fewer) = left.checked_sub(1) {
            *left = fewer;
        } else if self.outcome == Outcome::Pending && self.factor.is_polled() {
            let approves = matches!(self.push, PushBehaviour::ApproveAfterPolls(_));
            self.outcome = if approves {
                Outcome::Accepted
            } else {
                Outcome::Rejected
            };
        }
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

    /// A code with a letter in it, unless one was set beforehand.
    pub(crate) fn alphanumeric_code(&mut self) -> String {
        let is_set = !self.next_codes.is_empty();
        let code = self.code(false);
        match code.strip_prefix(|_: char| true) {
            Some(rest) if !is_set => format!("B{rest}"),
            _ => code,
        }
    }

    /// Ends a verification, unless it has ended; an accepted enrolment gets its device.
    pub(crate) fn decide(&mut self, id: &str, outcome: Outcome) {
        if let Some(verification) = self.verifications.iter_mut().find(|v| v.id == id) {
            if verification.outcome == Outcome::Pending {
                verification.outcome = outcome;
            }
        }
        self.settle(id);
    }

    /// One poll: the person may have answered.
    pub(crate) fn poll(&mut self, id: &str) {
        if let Some(verification) = self.verifications.iter_mut().find(|v| v.id == id) {
            verification.poll();
        }
        self.settle(id);
    }

    fn settle(&mut self, id: &str) {
        let number = self.next_device();
        let Some(verification) = self.verifications.iter_mut().find(|v| v.id == id) else {
            return;
        };
        let Purpose::Enrolment(enrolment) = &verification.purpose else {
            return;
        };
        let account = self.accounts.get_mut(&verification.user);
        let is_new = verification.outcome == Outcome::Accepted && verification.device.is_empty();
        if let Some(account) = account.filter(|_| is_new) {
            verification.device = number.to_string();
            let mut device = Device::new(
                verification.factor.clone(),
                number.to_string(),
                enrolment.name.clone(),
            )
            .default(account.devices.is_empty());
            device.secret.clone_from(&enrolment.secret);
            device.codes.extend(enrolment.app_code.clone());
            account.devices.push(device);
        }
    }

    /// A number that no device has.
    pub(crate) fn next_device(&self) -> u64 {
        let devices = self.accounts.values().flat_map(|account| &account.devices);
        let numbers = devices.filter_map(|device| device.id.parse::<u64>().ok());
        numbers.fold(9000, u64::max).saturating_add(1)
    }

    /// The device id of a new temporary token.
    pub(crate) fn give_temporary(
        &mut self,
        user: u64,
        token: String,
        reusable: bool,
        lifetime: Duration,
    ) -> String {
        self.temporary_made += 1;
        let device = format!("user_temp_otp_{}", 36_216_765 + self.temporary_made);
        self.temporary.push(TemporaryToken {
            user,
            device: device.clone(),
            token,
            reusable,
            expires: Instant::now() + lifetime,
        });
        device
    }

    /// Whether `token` is a temporary token of the user that is valid, and of this device if one is named.
    /// One that is not reusable is used up.
    pub(crate) fn use_temporary(&mut self, user: u64, device: Option<&str>, token: &str) -> bool {
        let now = Instant::now();
        let found = self.temporary.iter().position(|t| {
            t.user == user
                && t.token == token
                && now < t.expires
                && device.is_none_or(|device| t.device == device)
        });
        match found {
            Some(at) if self.temporary.get(at).is_some_and(|t| !t.reusable) => {
                self.temporary.remove(at);
                true
            }
            found => found.is_some(),
        }
    }

    /// The enrolments so far.
    pub(crate) fn registrations(&self) -> Vec<Registration> {
        let now = Instant::now();
        let registration = |v: &Verification| {
            let Purpose::Enrolment(enrolment) = &v.purpose else {
                return None;
            };
            let of_app = enrolment
                .secret
                .as_deref()
                .and_then(|secret| totp::totp(secret, SystemTime::now()));
            let typed = if v.factor == Factor::Voice {
                None
            } else {
                v.code.clone()
            };
            Some(Registration {
                id: v.id.clone(),
                user: v.user,
                factor: v.factor.clone(),
                name: enrolment.name.clone(),
                outcome: v.outcome,
                is_expired: now >= v.expires,
                secret: enrolment.secret.clone(),
                token: enrolment.token.clone(),
                code: typed.or(of_app),
                device: Some(v.device.clone()).filter(|device| !device.is_empty()),
            })
        };
        self.verifications.iter().filter_map(registration).collect()
    }

    pub(crate) fn send(&mut self, message: Message) {
        self.unprinted.push(message.clone());
        self.messages.push(message);
    }

    /// The newest verification that waits for an answer on a device.
    pub(crate) fn latest_push(&self) -> Option<&Verification> {
        self.verifications
            .iter()
            .rev()
            .find(|v| v.factor.is_polled() && v.outcome == Outcome::Pending)
    }
}

/// 32 random hexadecimal digits.
pub(crate) fn random_hex() -> String {
    format!("{:032x}", u128::from_be_bytes(random()))
}

pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // Should the generator fail, the name is predictable: no harm in a simulator.
    let _ = rustls::crypto::ring::default_provider()
        .secure_random
        .fill(&mut bytes);
    bytes
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

/// The moment, by a clock that is this many seconds ahead.
pub(crate) fn clock(ahead: i64) -> OffsetDateTime {
    OffsetDateTime::now_utc() + time::Duration::seconds(ahead)
}

/// Seconds since 1970, by the same clock.
pub(crate) fn unix_time(ahead: i64) -> i64 {
    clock(ahead).unix_timestamp()
}

/// The moment in the form of the header `Date`, by a clock that is this many seconds ahead.
pub(crate) fn http_date(ahead: i64) -> String {
    let now = clock(ahead);
    let short = |name: String| name.chars().take(3).collect::<String>();
    format!(
        "{}, {:02} {} {} {:02}:{:02}:{:02} GMT",
        short(now.weekday().to_string()),
        now.day(),
        short(now.month().to_string()),
        now.year(),
        now.hour(),
        now.minute(),
        now.second(),
    )
}
