//! The lines of a tape: a header; what was typed, and what was asked and answered, in order; the outcome. Version 1.

use crate::json::Json;
use crate::placeholder::{Part, parts};
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The version of the format that this code reads and writes.
pub const VERSION: u32 = 1;

/// A tape of one login.
#[derive(Clone, Debug, PartialEq)]
pub struct Tape {
    /// What was recorded, and by which settings.
    pub header: Header,
    /// What happened, in order.
    pub steps: Vec<Step>,
    /// How the login ended.
    pub outcome: Outcome,
}

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The version of the format.
    pub tape: u32,
    /// The version of the tool that recorded it.
    pub tool: String,
    /// The name of the PAM service, if it is a usual one; else `other`.
    pub service: String,
    /// Whether the user had passed a key or password check.
    pub proven: bool,
    /// The settings that decide what is sent.
    pub settings: Settings,
}

/// The settings that decide what is sent, by the names of their keys; none is personal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools)] // keys of the configuration
pub struct Settings {
    /// `onelogin.api_version`
    pub api_version: u8,
    /// `onelogin.verify`
    pub verify: String,
    /// Whether there is a `[onelogin.lookup]`.
    pub lookup: bool,
    /// Whether there is an `onelogin.http_proxy`.
    pub http_proxy: bool,
    /// `users.match`; a custom attribute is `custom`.
    #[serde(rename = "match")]
    pub attribute: String,
    /// Whether there is a `users.append_domain`.
    pub append_domain: bool,
    /// `users.ignore_case`
    pub ignore_case: bool,
    /// Whether the user has a line in the map.
    pub mapped: bool,
    /// `users.check_active`
    pub check_active: bool,
    /// `users.unknown`
    pub unknown: String,
    /// `users.no_factor`
    pub no_factor: String,
    /// `factors.allow`
    pub factors: Vec<String>,
    /// `factors.autopush`
    pub autopush: bool,
    /// `factors.prompts`
    pub prompts: u8,
    /// `factors.expires_in`
    pub expires_in: u32,
    /// Whether there is a `factors.sms_message`.
    pub sms_message: bool,
    /// How many names `factors.magic_link` has.
    pub magic_link: usize,
    /// `push.wait`
    pub push_wait: u64,
    /// `failmode`
    pub failmode: String,
}

/// A line between the first and the last.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// What the user typed: `enter`, `choice 2`, `nothing` where the input had ended, `unusable` where it was not text, or a
    /// placeholder.
    Typed(String),
    /// A request, and what came of it.
    Exchange(Exchange),
    /// A connection that could not be made.
    NoConnection(NoReply),
}

/// A request and its reply.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchange {
    /// What was asked.
    pub request: Request,
    /// What was answered, or why not.
    pub result: Result<Reply, NoReply>,
    /// When the request was sent, in milliseconds from the start of the login.
    pub after_ms: u64,
    /// How long it took, in milliseconds.
    pub ms: u64,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// `GET`, `POST` or `PUT`.
    pub method: String,
    /// The path.
    pub path: String,
    /// The query, decoded.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        serialize_with = "write_pairs",
        deserialize_with = "read_pairs"
    )]
    pub query: Vec<(String, String)>,
    /// What it is authorised by.
    pub authorization: Authorization,
    /// The body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Json>,
}

/// What a request is authorised by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Authorization {
    /// An access token.
    Bearer,
    /// The API credential.
    Client,
}

/// A reply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The header `retry-after`, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// Whether a front end wrote it, and not OneLogin.
    #[serde(default, skip_serializing_if = "is_false")]
    pub front_end: bool,
    /// Whether it has the header `x-request-id`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub request_id: bool,
    /// The body, if it is JSON.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "some"
    )]
    pub body: Option<Json>,
    /// What the body is, if it is not JSON: `empty`, or `html` or `other` with `short` or `long`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// Why there is no reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoReply {
    /// The reason, as in the log: `timeout`, `connection-lost`.
    pub reason: String,
    /// How the request ended: `not-sent`, `cut-short`, `lost`, `no-reply` or `answered`.
    pub ending: String,
}

/// The last line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// The first word of the log line: `accepted`, `denied`.
    pub event: String,
    /// The reason, as in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The factor, as in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factor: Option<String>,
    /// The return code for libpam.
    pub code: String,
}

/// Why a text is not a tape.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl std::error::Error for Fault {}

impl Tape {
    /// Reads a tape.
    ///
    /// # Errors
    /// The first [`Fault`], with its line.
    pub fn read(text: &str) -> Result<Self, Fault> {
        let mut lines = (1..).zip(text.lines());
        let header = lines.next().map(|(line, text)| read_header(line, text));
        let header = header.ok_or_else(|| fault(1, "the file is empty"))??;
        let mut steps = Vec::new();
        let mut last = 1;
        for (line, text) in lines.by_ref() {
            last = line;
            match read_line(line, text)? {
                Line::Step(step) => steps.push(step),
                Line::Outcome(outcome) => {
                    if let Some((line, _)) = lines.next() {
                        return Err(fault(line, "the outcome must be the last line"));
                    }
                    return Ok(Self {
                        header,
                        steps,
                        outcome,
                    });
                }
            }
        }
        Err(fault(last, "the last line must be the outcome"))
    }

    /// The tape as text, one line for each step.
    #[must_use]
    pub fn write(&self) -> String {
        let mut text = line(&self.header);
        for step in &self.steps {
            text.push_str(&line(&StepLine::of(step)));
        }
        text.push_str(&line(&OutcomeLine {
            outcome: self.outcome.clone(),
        }));
        text
    }

    /// The first exchange from this step on, with the number of its step, from 0.
    #[must_use]
    pub fn exchange_from(&self, step: usize) -> Option<(usize, &Exchange)> {
        (0..)
            .zip(&self.steps)
            .skip(step)
            .find_map(|(at, step)| match step {
                Step::Exchange(exchange) => Some((at, exchange)),
                Step::Typed(_) | Step::NoConnection(_) => None,
            })
    }

    /// Whether this step polls what the step before polled, and both replies say that it is pending. The clock decides how
    /// often that happens.
    #[must_use]
    pub fn is_poll_again(&self, step: usize) -> bool {
        let exchange = |at: usize| match self.steps.get(at) {
            Some(Step::Exchange(exchange)) => Some(exchange),
            _ => None,
        };
        let before = step.checked_sub(1).and_then(exchange);
        let (Some(one), Some(other)) = (before, exchange(step)) else {
            return false;
        };
        let (Ok(reply), Ok(again)) = (&one.result, &other.result) else {
            return false;
        };
        let (Some(body), Some(body_again)) = (&reply.body, &again.body) else {
            return false;
        };
        one.request == other.request
            && reply.status == again.status
            && says_pending(body)
            && is_same(body, body_again)
    }

    /// The exchanges, each with its line in the file.
    pub fn exchanges(&self) -> impl Iterator<Item = (usize, &Exchange)> {
        (FIRST_STEP..)
            .zip(&self.steps)
            .filter_map(|(line, step)| match step {
                Step::Exchange(exchange) => Some((line, exchange)),
                Step::Typed(_) | Step::NoConnection(_) => None,
            })
    }
}

/// The line of the first step.
pub const FIRST_STEP: usize = 2;

fn fault(line: usize, what: impl Into<String>) -> Fault {
    let what = what.into();
    Fault { line, what }
}

fn line(value: &impl Serialize) -> String {
    // All types here are maps with strings as keys, so that this does not fail.
    let mut text = serde_json::to_string(value).unwrap_or_default();
    text.push('\n');
    text
}

fn read<T: DeserializeOwned>(line: usize, text: &str) -> Result<T, Fault> {
    serde_json::from_str(text).map_err(|error| fault(line, error.to_string()))
}

fn read_header(line: usize, text: &str) -> Result<Header, Fault> {
    let version: AnyVersion =
        read(line, text).map_err(|_| fault(line, "the first line must have the key \"tape\""))?;
    if version.tape != VERSION {
        let text = format!(
            "this is version {} of the format; version {VERSION} can be read",
            version.tape
        );
        return Err(fault(line, text));
    }
    read(line, text)
}

fn read_line(line: usize, text: &str) -> Result<Line, Fault> {
    let json: Json = read(line, text)?;
    let Json::Object(members) = &json else {
        return Err(fault(line, "this is not an object"));
    };
    if let Some(text) = malformed(&json) {
        return Err(fault(line, format!("not a placeholder: {text:?}")));
    }
    let has = |key: &str| members.iter().any(|(name, _)| name == key);
    if has("outcome") {
        return read::<OutcomeLine>(line, text).map(|it| Line::Outcome(it.outcome));
    }
    let step: StepLine = read(line, text)?;
    let step = match step {
        StepLine {
            typed: Some(typed),
            request: None,
            reply: None,
            error: None,
            after_ms: None,
            ms: None,
        } => Step::Typed(typed),
        StepLine {
            typed: None,
            request: None,
            reply: None,
            error: Some(error),
            after_ms: None,
            ms: None,
        } => Step::NoConnection(error),
        StepLine {
            typed: None,
            request: Some(request),
            reply,
            error,
            after_ms: Some(after_ms),
            ms: Some(ms),
        } => {
            let result = match (reply, error) {
                (Some(reply), None) => Ok(reply),
                (None, Some(error)) => Err(error),
                _ => return Err(fault(line, "a request needs \"reply\" or \"error\"")),
            };
            Step::Exchange(Exchange {
                request,
                result,
                after_ms,
                ms,
            })
        }
        _ => {
            let text =
                "a line has \"typed\", or \"request\" with its result and times, or \"outcome\"";
            return Err(fault(line, text));
        }
    };
    Ok(Line::Step(step))
}

fn says_pending(body: &Json) -> bool {
    match body {
        Json::Null | Json::Bool(_) | Json::Number(_) => false,
        Json::String(text) => text.contains("pending"),
        Json::Array(values) => values.iter().any(says_pending),
        Json::Object(members) => members.iter().any(|(_, value)| says_pending(value)),
    }
}

/// Whether both bodies are the same, but for how far away a moment is.
fn is_same(one: &Json, other: &Json) -> bool {
    match (one, other) {
        (Json::String(one), Json::String(other)) => {
            let (Some(one), Some(other)) = (parts(one), parts(other)) else {
                return false;
            };
            let is_same = |(one, other): (&Part<'_>, &Part<'_>)| match (one, other) {
                (Part::Value(one), Part::Value(other)) => {
                    one.number == other.number && one.kind.is_like(other.kind)
                }
                _ => one == other,
            };
            one.len() == other.len() && one.iter().zip(&other).all(is_same)
        }
        (Json::Array(one), Json::Array(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|(one, other)| is_same(one, other))
        }
        (Json::Object(one), Json::Object(other)) => {
            let is_same = |(one, other): (&(String, Json), &(String, Json))| {
                one.0 == other.0 && is_same(&one.1, &other.1)
            };
            one.len() == other.len() && one.iter().zip(other).all(is_same)
        }
        _ => one == other,
    }
}

/// The first string with a brace that is not that of a placeholder.
fn malformed(json: &Json) -> Option<String> {
    let of_text = |text: &String| parts(text).is_none().then(|| text.clone());
    match json {
        Json::Null | Json::Bool(_) | Json::Number(_) => None,
        Json::String(text) => of_text(text),
        Json::Array(values) => values.iter().find_map(malformed),
        Json::Object(members) => members
            .iter()
            .find_map(|(key, value)| of_text(key).or_else(|| malformed(value))),
    }
}

enum Line {
    Step(Step),
    Outcome(Outcome),
}

#[derive(Deserialize)]
struct AnyVersion {
    tape: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OutcomeLine {
    outcome: Outcome,
}

/// A step as it is written.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StepLine {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    typed: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request: Option<Request>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reply: Option<Reply>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<NoReply>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ms: Option<u64>,
}

impl StepLine {
    fn of(step: &Step) -> Self {
        match step {
            Step::Typed(typed) => Self {
                typed: Some(typed.clone()),
                ..Self::default()
            },
            Step::NoConnection(error) => Self {
                error: Some(error.clone()),
                ..Self::default()
            },
            Step::Exchange(exchange) => Self {
                request: Some(exchange.request.clone()),
                reply: exchange.result.clone().ok(),
                error: exchange.result.clone().err(),
                after_ms: Some(exchange.after_ms),
                ms: Some(exchange.ms),
                ..Self::default()
            },
        }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde wants a reference
fn is_false(value: &bool) -> bool {
    !value
}

/// A body `null` is a body.
fn some<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

fn write_pairs<S: Serializer>(
    pairs: &[(String, String)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(key, value)| (key, value)))
}

fn read_pairs<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<(String, String)>, D::Error> {
    struct Pairs;

    impl<'de> Visitor<'de> for Pairs {
        type Value = Vec<(String, String)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of strings")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
            let mut pairs = Vec::new();
            while let Some(pair) = access.next_entry()? {
                pairs.push(pair);
            }
            Ok(pairs)
        }
    }

    deserializer.deserialize_map(Pairs)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const HEADER: &str = r#"{"tape":1,"tool":"0.1.0","service":"sshd","proven":true,"settings":{"api_version":2,"verify":"direct","lookup":false,"http_proxy":false,"match":"username","append_domain":false,"ignore_case":false,"mapped":false,"check_active":true,"unknown":"deny","no_factor":"deny","factors":["push","totp"],"autopush":false,"prompts":3,"expires_in":120,"sms_message":false,"magic_link":0,"push_wait":60,"failmode":"secure"}}"#;
    pub(crate) const OUTCOME: &str = r#"{"outcome":{"event":"denied","reason":"wrong-code","factor":"totp","code":"PAM_MAXTRIES"}}"#;

    #[test]
    fn a_tape_is_written_as_it_was_read() {
        let lines = [
            HEADER,
            r#"{"request":{"method":"GET","path":"/api/2/users","query":{"username":"{text #1}","limit":"2"},"authorization":"bearer"},"reply":{"status":200,"request_id":true,"body":[{"id":"{number 9 #2}","username":"{text #1}"}]},"after_ms":3,"ms":80}"#,
            r#"{"typed":"{digits 6 #3}"}"#,
            r#"{"request":{"method":"POST","path":"/x","authorization":"client","body":{"otp":"{digits 6 #3}"}},"reply":{"status":429,"retry_after":3,"front_end":true,"text":"html short"},"after_ms":3,"ms":80}"#,
            r#"{"request":{"method":"POST","path":"/x","authorization":"bearer","body":null},"reply":{"status":200,"body":null},"after_ms":3,"ms":80}"#,
            r#"{"request":{"method":"GET","path":"/x","authorization":"bearer"},"error":{"reason":"timeout","ending":"no-reply"},"after_ms":3,"ms":80}"#,
            r#"{"error":{"reason":"no-connection","ending":"not-sent"}}"#,
            OUTCOME,
        ];
        let text = format!("{}\n", lines.join("\n"));
        // A request has no body `null`: that one is not there.
        let written = text.replace(
            r#""authorization":"bearer","body":null"#,
            r#""authorization":"bearer""#,
        );
        assert_eq!(Tape::read(&text).unwrap().write(), written);
    }

    #[test]
    fn a_fault_names_its_line() {
        let with = |line: &str| format!("{HEADER}\n{line}\n{OUTCOME}\n");
        for (text, expected) in [
            (String::new(), "line 1: the file is empty"),
            ("{}".to_owned(), "line 1: the first line must have"),
            (HEADER.replace(":1,", ":2,"), "line 1: this is version 2"),
            (
                HEADER.replace("\"proven\"", "\"user\""),
                "line 1: unknown field `user`",
            ),
            (
                HEADER.to_owned(),
                "line 1: the last line must be the outcome",
            ),
            (with("{"), "line 2: EOF"),
            (with("[]"), "line 2: this is not an object"),
            (with("{}"), "line 2: a line has"),
            (with(r#"{"typed":"enter","ms":1}"#), "line 2: a line has"),
            (with(r#"{"typed":"{digits}"}"#), "line 2: not a placeholder"),
            (
                with(r#"{"typed":"enter"}"#) + OUTCOME,
                "line 4: the outcome must be the last",
            ),
        ] {
            let fault = Tape::read(&text).unwrap_err().to_string();
            assert!(fault.starts_with(expected), "{fault}");
        }
    }
}
