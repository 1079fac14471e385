//! From placeholders to values. A request must be the next one of the tape: its own values are replaced by the same code that
//! recorded, and equal numbers must stand for equal values. A reply gets values of the right kind and length.
//!
//! How often a pending push is polled depends on the clock: of polls that get the same pending reply, a replay may have more or
//! fewer than the tape.

use crate::format::{Authorization, Exchange, FIRST_STEP, Fault, Reply, Request, Step, Tape};
use crate::json::Json;
use crate::placeholder::{Kind, Offset, Part, Placeholder, parts};
use crate::redact::{CHOICE, ENTER, RawRequest, Redactor};
use serde_json::Number;
use std::collections::BTreeMap;
use time::{Duration, OffsetDateTime};

/// A tape that is being replayed.
pub struct Replay {
    tape: Tape,
    /// How many steps are over.
    next: usize,
    redactor: Redactor,
    /// The values behind the numbers of the tape.
    values: BTreeMap<u32, String>,
    /// How many tokens may be requested that the tape does not have: the host that recorded it had stored them.
    stored_tokens: usize,
    faults: Vec<String>,
}

/// What to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Served {
    /// This reply.
    Reply {
        /// The HTTP status.
        status: u16,
        /// The headers, without those of the length.
        headers: Vec<(String, String)>,
        /// The body.
        body: String,
    },
    /// Nothing: the connection ends.
    Close,
    /// Nothing, and the connection stays open.
    Silence,
    /// The request is not that of the tape: why.
    Mismatch(String),
}

/// What a client does that finds no word for what was typed.
const NOTHING: &str = "nothing";

/// Where tokens are requested.
const TOKEN_PATH: &str = "/auth/oauth2/v2/token";

/// The token that the recording host had stored; no made-up one is like it.
const STORED_TOKEN: &str = "5707ed";

/// How many differences are told.
const MOST_FAULTS: usize = 3;

impl Replay {
    /// Prepares a replay.
    ///
    /// # Errors
    /// The line of a tape that cannot be replayed: a connection that was never made, or an answer that was not text.
    pub fn new(tape: Tape) -> Result<Self, Fault> {
        let first = tape.exchanges().next().map(|(_, exchange)| exchange);
        let stored_tokens = match first {
            Some(exchange) if exchange.request.authorization == Authorization::Bearer => {
                1 + usize::from(tape.header.settings.lookup)
            }
            _ => 0,
        };
        let mut replay = Self {
            next: 0,
            redactor: Redactor::new(),
            values: BTreeMap::new(),
            stored_tokens,
            faults: Vec::new(),
            tape,
        };
        for (line, step) in (FIRST_STEP..).zip(replay.tape.steps.clone()) {
            let what = match step {
                Step::Typed(typed) => replay.bind_typed(&typed).err(),
                Step::NoConnection(_) => Some("a connection that was never made".to_owned()),
                Step::Exchange(Exchange {
                    result: Err(error), ..
                }) if !matches!(error.ending.as_str(), "lost" | "cut-short" | "no-reply") => {
                    Some(format!("a request that ended as {}", error.ending))
                }
                Step::Exchange(_) => None,
            };
            if let Some(what) = what {
                let what = format!("{what} cannot be replayed");
                return Err(Fault { line, what });
            }
        }
        Ok(replay)
    }

    /// The tape.
    #[must_use]
    pub fn tape(&self) -> &Tape {
        &self.tape
    }

    /// The lines that a user types, in order.
    #[must_use]
    pub fn answers(&self) -> Vec<String> {
        let typed = self.tape.steps.iter().filter_map(|step| match step {
            Step::Typed(typed) => Some(typed.as_str()),
            Step::Exchange(_) | Step::NoConnection(_) => None,
        });
        let lines = typed.filter_map(|typed| match typed {
            ENTER => Some(String::new()),
            NOTHING => None,
            _ => match typed.strip_prefix(CHOICE) {
                Some(choice) => Some(choice.to_owned()),
                None => Some(self.filled_so_far(typed)),
            },
        });
        lines.collect()
    }

    /// Answers a request.
    pub fn serve(&mut self, raw: &RawRequest<'_>, now: OffsetDateTime) -> Served {
        let got = self.redactor.request(raw);
        let is_token_call = |request: &Request| request.path == TOKEN_PATH;
        let expected = self.tape.exchange_from(self.next);
        let expects_one = expected.is_some_and(|(_, it)| is_token_call(&it.request));
        if is_token_call(&got) && !expects_one && self.stored_tokens > 0 {
            self.stored_tokens -= 1;
            return stored_token(self.stored_tokens);
        }
        let mut next = self.next;
        while let Some((at, exchange)) = self.tape.exchange_from(next) {
            let exchange = exchange.clone();
            if self.is_like(&exchange.request, &got) {
                self.next = at + 1;
                return self.answer(at, &exchange, now);
            }
            if !self.tape.is_poll_again(at) {
                break;
            }
            next = at + 1;
        }
        // One poll more than the tape has.
        let last = self.next.checked_sub(1);
        let last = last.filter(|&at| self.tape.is_poll_again(at));
        let last = last.and_then(|at| self.tape.exchange_from(at));
        if let Some((at, exchange)) = last.map(|(at, exchange)| (at, exchange.clone())) {
            if self.is_like(&exchange.request, &got) {
                return self.answer(at, &exchange, now);
            }
        }
        let got = shown(&got);
        let text = match self.tape.exchange_from(self.next) {
            None => format!("after the last line: got {got}"),
            Some((at, exchange)) => format!(
                "line {}: expected {}; got {got}",
                at + FIRST_STEP,
                shown(&exchange.request)
            ),
        };
        self.mismatch(text)
    }

    /// What was different, and the lines that were not used; empty if the login was that of the tape.
    #[must_use]
    pub fn report(&self) -> Vec<String> {
        let mut report = self.faults.clone();
        let mut next = self.next;
        while self.tape.is_poll_again(next) {
            next += 1;
        }
        for (line, exchange) in self.tape.exchanges() {
            if line >= next + FIRST_STEP {
                let request = shown(&exchange.request);
                report.push(format!("line {line}: not used: {request}"));
            }
        }
        report
    }

    fn answer(&mut self, at: usize, exchange: &Exchange, now: OffsetDateTime) -> Served {
        match &exchange.result {
            Ok(reply) => self.filled(reply, at + FIRST_STEP, now),
            Err(error) if error.ending == "no-reply" => Served::Silence,
            Err(_) => Served::Close,
        }
    }

    fn mismatch(&mut self, text: String) -> Served {
        if self.faults.len() < MOST_FAULTS {
            self.faults.push(text.clone());
        }
        Served::Mismatch(text)
    }

    fn bind_typed(&mut self, typed: &str) -> Result<(), String> {
        let is_choice = typed
            .strip_prefix(CHOICE)
            .is_some_and(|choice| matches!(choice.as_bytes(), [b'1'..=b'9']));
        if typed == ENTER || typed == NOTHING || is_choice {
            return Ok(());
        }
        let parts = parts(typed).unwrap_or_default();
        let [Part::Value(value)] = parts.as_slice() else {
            return Err(format!("the answer {typed:?}"));
        };
        self.value(*value, OffsetDateTime::UNIX_EPOCH);
        Ok(())
    }

    // Requests

    /// Whether this request is that of the tape; only then its values become those of the tape.
    fn is_like(&mut self, expected: &Request, got: &Request) -> bool {
        let before = self.values.clone();
        let is_like = self.matches(expected, got);
        if !is_like {
            self.values = before;
        }
        is_like
    }

    fn matches(&mut self, expected: &Request, got: &Request) -> bool {
        let is_like = expected.method == got.method
            && expected.authorization == got.authorization
            && self.text_is_like(&expected.path, &got.path)
            && expected.query.len() == got.query.len();
        is_like
            && expected.query.iter().zip(&got.query).all(|(pair, other)| {
                self.text_is_like(&pair.0, &other.0) && self.text_is_like(&pair.1, &other.1)
            })
            && match (&expected.body, &got.body) {
                (None, None) => true,
                (Some(expected), Some(got)) => self.json_is_like(expected, got),
                _ => false,
            }
    }

    fn json_is_like(&mut self, expected: &Json, got: &Json) -> bool {
        match (expected, got) {
            (Json::String(expected), Json::String(got)) => self.text_is_like(expected, got),
            (Json::Array(expected), Json::Array(got)) => {
                expected.len() == got.len()
                    && expected
                        .iter()
                        .zip(got)
                        .all(|(expected, got)| self.json_is_like(expected, got))
            }
            (Json::Object(expected), Json::Object(got)) => {
                expected.len() == got.len()
                    && expected.iter().zip(got).all(|(expected, got)| {
                        self.text_is_like(&expected.0, &got.0)
                            && self.json_is_like(&expected.1, &got.1)
                    })
            }
            _ => expected == got,
        }
    }

    /// Whether both texts have the same words, and placeholders for the same values. A number that is new stands for the
    /// value that came.
    fn text_is_like(&mut self, expected: &str, got: &str) -> bool {
        let (Some(expected), Some(got)) = (parts(expected), parts(got)) else {
            return false;
        };
        expected.len() == got.len()
            && expected.iter().zip(&got).all(|pair| match pair {
                (Part::Words(expected), Part::Words(got)) => expected == got,
                (Part::Value(expected), Part::Value(got)) => {
                    expected.kind == got.kind && self.binds(expected.number, got.number)
                }
                _ => false,
            })
    }

    fn binds(&mut self, number: u32, arrived: u32) -> bool {
        let Some(arrived) = self.redactor.value(arrived) else {
            return false;
        };
        if let Some(value) = self.values.get(&number) {
            return value == arrived;
        }
        // Different numbers stand for different values.
        if self.values.values().any(|value| value == arrived) {
            return false;
        }
        self.values.insert(number, arrived.to_owned());
        true
    }

    // Replies

    fn filled(&mut self, reply: &Reply, line: usize, now: OffsetDateTime) -> Served {
        let mut headers = Vec::new();
        let mut header = |name: &str, value: String| headers.push((name.to_owned(), value));
        header(
            "content-type",
            match (&reply.body, reply.front_end) {
                (_, true) => "text/html",
                (Some(_), false) => "application/json; charset=utf-8",
                (None, false) => "text/plain",
            }
            .to_owned(),
        );
        if reply.request_id {
            header("x-request-id", format!("replay-{line}"));
        }
        if let Some(seconds) = reply.retry_after {
            header("retry-after", seconds.to_string());
        }
        let body = match (&reply.body, reply.text.as_deref()) {
            (Some(body), _) => self.json(body, now).to_string(),
            (None, Some("html short")) => "<html></html>\n".to_owned(),
            (None, Some("html long")) => format!("<html>{}</html>\n", " ".repeat(LONG)),
            (None, Some("other short")) => "This is not JSON.\n".to_owned(),
            (None, Some("other long")) => "This is not JSON.\n".repeat(LONG / 8),
            (None, _) => String::new(),
        };
        Served::Reply {
            status: reply.status,
            headers,
            body,
        }
    }

    fn json(&mut self, json: &Json, now: OffsetDateTime) -> Json {
        match json {
            Json::Null | Json::Bool(_) | Json::Number(_) => json.clone(),
            Json::String(text) => match parts(text).unwrap_or_default().as_slice() {
                [
                    Part::Value(
                        value @ Placeholder {
                            kind: Kind::Number(_) | Kind::Fraction,
                            ..
                        },
                    ),
                ] => {
                    let value = self.value(*value, now);
                    number(&value).map_or(Json::String(value), Json::Number)
                }
                _ => Json::String(self.text(text, now)),
            },
            Json::Array(values) => {
                Json::Array(values.iter().map(|value| self.json(value, now)).collect())
            }
            Json::Object(members) => Json::Object(
                members
                    .iter()
                    .map(|(key, value)| (self.text(key, now), self.json(value, now)))
                    .collect(),
            ),
        }
    }

    fn text(&mut self, text: &str, now: OffsetDateTime) -> String {
        let parts = parts(text).unwrap_or_default();
        let parts = parts.into_iter().map(|part| match part {
            Part::Words(words) => words.to_owned(),
            Part::Value(value) => self.value(value, now),
        });
        parts.collect()
    }

    /// A text whose values are all known.
    fn filled_so_far(&self, text: &str) -> String {
        let parts = parts(text).unwrap_or_default();
        let parts = parts.into_iter().map(|part| match part {
            Part::Words(words) => words.to_owned(),
            Part::Value(value) => self.values.get(&value.number).cloned().unwrap_or_default(),
        });
        parts.collect()
    }

    /// The value behind a placeholder; a new one is made up.
    fn value(&mut self, value: Placeholder, now: OffsetDateTime) -> String {
        if let Some(value) = self.values.get(&value.number) {
            return value.clone();
        }
        // Short numbers could be there already.
        let mut seed = value.number;
        let mut made = made_up(value.kind, seed, now);
        while self.values.values().any(|other| *other == made) && seed < value.number + 1000 {
            seed += 1;
            made = made_up(value.kind, seed, now);
        }
        self.values.insert(value.number, made.clone());
        made
    }
}

/// More than the short bodies of a tape.
const LONG: usize = 2048;

/// A value of this kind; the redaction would find this kind again.
fn made_up(kind: Kind, seed: u32, now: OffsetDateTime) -> String {
    match kind {
        Kind::Number(1) | Kind::Digits(1) => (seed % 10).to_string(),
        Kind::Number(length) | Kind::Digits(length) => {
            let digits = format!("{seed:0>length$}");
            let tail = digits.get(digits.len() - length + 1..).unwrap_or_default();
            // No zero in front: the same value can be a number elsewhere.
            format!("1{tail}")
        }
        Kind::Fraction => format!("{seed}.5"),
        Kind::Hex(length) => format!("{seed:a>length$x}"),
        Kind::Modhex(length) => {
            let letters = "cbdefghijklnrtuv".chars();
            let letters: Vec<char> = letters.collect();
            let digits = format!("{seed:0>length$x}");
            let letter = |digit: char| {
                let at = digit.to_digit(16).and_then(|at| usize::try_from(at).ok())?;
                letters.get(at)
            };
            digits.chars().filter_map(letter).collect()
        }
        Kind::Code => format!("B{seed:05}"),
        Kind::Uuid => format!("{seed:08x}-aaaa-4aaa-8aaa-aaaaaaaaaaaa"),
        Kind::Email => format!("madeup{seed}@example.com"),
        Kind::Time(offset) => {
            let seconds = match offset {
                Offset::Seconds(seconds) => seconds,
                Offset::Past => -YEAR,
                Offset::Future => YEAR,
            };
            let time = now + Duration::seconds(seconds) + Duration::milliseconds(seed.into());
            let (date, time) = (time.date(), time.time());
            format!(
                "{date}T{:02}:{:02}:{:02}.{:03}Z",
                time.hour(),
                time.minute(),
                time.second(),
                time.millisecond()
            )
        }
        Kind::Text => format!("madeup{seed}"),
    }
}

/// In seconds.
const YEAR: i64 = 31_536_000;

fn number(text: &str) -> Option<Number> {
    let whole = text.parse::<u64>().ok().map(Number::from);
    whole.or_else(|| Number::from_f64(text.parse().ok()?))
}

/// The token that the host which recorded the tape had stored.
fn stored_token(which: usize) -> Served {
    Served::Reply {
        status: 200,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: format!("{{\"access_token\":\"{STORED_TOKEN}{which}\",\"token_type\":\"bearer\"}}"),
    }
}

/// A request for a report. It has no values.
fn shown(request: &Request) -> String {
    serde_json::to_string(request).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::tests::{HEADER, OUTCOME};
    use crate::redact::RawReply;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn replay(lines: &[&str]) -> Replay {
        let text = format!("{HEADER}\n{}\n{OUTCOME}\n", lines.join("\n"));
        Replay::new(Tape::read(&text).unwrap()).unwrap()
    }

    fn get<'a>(path: &'a str, query: &'a [(&'a str, &'a str)]) -> RawRequest<'a> {
        RawRequest {
            method: "GET",
            path,
            query,
            authorization: Authorization::Bearer,
            body: None,
        }
    }

    fn put<'a>(path: &'a str, body: &'a str) -> RawRequest<'a> {
        RawRequest {
            method: "PUT",
            path,
            query: &[],
            authorization: Authorization::Bearer,
            body: Some(body.as_bytes()),
        }
    }

    fn body(served: Served) -> Json {
        match served {
            Served::Reply { body, .. } => Json::read(body.as_bytes()).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    const LOOK_UP: &str = r#"{"request":{"method":"GET","path":"/api/2/users","query":{"username":"{text #1}"},"authorization":"bearer"},"reply":{"status":200,"request_id":true,"body":[{"id":"{number 9 #2}","username":"{text #1}"}]},"after_ms":3,"ms":80}"#;
    const TYPED: &str = r#"{"typed":"{digits 6 #3}"}"#;
    const CODE: &str = r#"{"request":{"method":"PUT","path":"/api/2/mfa/users/{digits 9 #2}/verifications","authorization":"bearer","body":{"otp":"{digits 6 #3}","default":true}},"error":{"reason":"timeout","ending":"no-reply"},"after_ms":3,"ms":80}"#;

    #[test]
    fn a_value_of_a_request_comes_back_and_one_of_a_reply_is_expected_in_the_next_request() {
        let mut replay = replay(&[LOOK_UP, TYPED, CODE]);
        let code = replay.answers().remove(0);
        assert_eq!(code.len(), 6);
        let found = body(replay.serve(&get("/api/2/users", &[("username", "bob")]), NOW));
        let Json::Array(users) = &found else { panic!() };
        let Json::Object(user) = &users[0] else {
            panic!()
        };
        assert_eq!(user[1].1, Json::String("bob".to_owned()));
        let id = user[0].1.to_string();
        assert_eq!(id.len(), 9);
        let path = format!("/api/2/mfa/users/{id}/verifications");
        let sent = format!("{{\"otp\":\"{code}\",\"default\":true}}");
        assert_eq!(replay.serve(&put(&path, &sent), NOW), Served::Silence);
        assert_eq!(replay.report(), [""; 0]);
    }

    #[test]
    fn another_request_is_told_with_its_line_and_without_its_values() {
        let wrong = [
            (
                "/api/2/mfa/users/999999999/verifications",
                r#"{"otp":"CODE","default":true}"#,
            ),
            (
                "/api/2/mfa/users/ID/verifications",
                r#"{"otp":"999999","default":true}"#,
            ),
            (
                "/api/2/mfa/users/ID/verifications",
                r#"{"otp":"CODE","default":false}"#,
            ),
            ("/api/2/mfa/users/ID/verifications", r#"{"otp":"CODE"}"#),
            (
                "/api/2/mfa/users/ID/registrations",
                r#"{"otp":"CODE","default":true}"#,
            ),
        ];
        for (path, sent) in wrong {
            let mut replay = replay(&[LOOK_UP, TYPED, CODE]);
            let code = replay.answers().remove(0);
            let found = body(replay.serve(&get("/api/2/users", &[("username", "bob")]), NOW));
            let id: String = found
                .to_string()
                .chars()
                .filter(char::is_ascii_digit)
                .collect();
            let (path, sent) = (path.replace("ID", &id), sent.replace("CODE", &code));
            let served = replay.serve(&put(&path, &sent), NOW);
            let Served::Mismatch(text) = served else {
                panic!("{served:?}")
            };
            assert!(
                text.starts_with("line 4: expected {\"method\":\"PUT\""),
                "{text}"
            );
            let report = replay.report();
            assert_eq!(report.len(), 2, "{report:?}");
            assert!(report[1].starts_with("line 4: not used: "), "{report:?}");
            for value in [&id, &code, "999999", "bob"] {
                assert!(!report.join("").contains(value), "{report:?}");
            }
        }
    }

    #[test]
    fn a_stored_token_is_given_out_beside_the_tape_once() {
        let token = RawRequest {
            method: "POST",
            path: TOKEN_PATH,
            query: &[],
            authorization: Authorization::Client,
            body: None,
        };
        let mut replay = replay(&[LOOK_UP]);
        assert!(matches!(
            replay.serve(&token, NOW),
            Served::Reply { status: 200, .. }
        ));
        assert!(matches!(replay.serve(&token, NOW), Served::Mismatch(_)));
    }

    #[test]
    fn what_cannot_be_replayed_is_told_with_its_line() {
        for (line, what) in [
            (r#"{"typed":"unusable"}"#, "the answer"),
            (
                r#"{"error":{"reason":"no-connection","ending":"not-sent"}}"#,
                "a connection",
            ),
            (
                r#"{"request":{"method":"GET","path":"/x","authorization":"bearer"},"error":{"reason":"bad-reply","ending":"answered"},"after_ms":1,"ms":1}"#,
                "a request that ended as answered",
            ),
        ] {
            let text = format!("{HEADER}\n{LOOK_UP}\n{line}\n{OUTCOME}\n");
            let fault = Replay::new(Tape::read(&text).unwrap()).err().unwrap();
            assert_eq!(fault.line, 3);
            assert!(fault.what.starts_with(what), "{fault}");
        }
    }

    #[test]
    fn polls_that_get_the_same_pending_reply_may_be_more_or_fewer() {
        let poll = |reply: &str| {
            format!(
                r#"{{"request":{{"method":"GET","path":"/api/2/mfa/users/{{digits 9 #1}}/verifications/{{uuid #2}}","authorization":"bearer"}},"reply":{{"status":200,"body":{reply}}},"after_ms":1,"ms":1}}"#
            )
        };
        let pending = |seconds: u8, number: u8| {
            poll(&format!(
                r#"{{"status":"pending","expires_at":"{{time +{seconds}s #{number}}}"}}"#
            ))
        };
        let lines = [
            pending(9, 3),
            pending(7, 3),
            pending(5, 3),
            poll(r#"{"status":"accepted"}"#),
        ];
        let id = "123e4567-e89b-12d3-a456-426614174000";
        let path = format!("/api/2/mfa/users/123456789/verifications/{id}");
        for (lines, polls, is_told) in [
            (&lines[..3], 0, true),
            (&lines[..3], 1, false),
            (&lines[..3], 5, false),
            (&lines[..], 3, true),
            (&lines[..], 4, false),
            (&lines[..1], 2, true),
            (&[pending(9, 3), pending(9, 4)][..], 1, true),
        ] {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let mut player = replay(&lines);
            for _ in 0..polls {
                let _ = player.serve(&get(&path, &[]), NOW);
            }
            let report = player.report();
            assert_eq!(
                !report.is_empty(),
                is_told,
                "{polls} of {}: {report:?}",
                lines.len()
            );
        }
    }

    /// What is made up for a kind has this kind, so that a tape of the replay is the tape.
    #[test]
    fn a_reply_that_is_filled_in_and_recorded_again_is_the_same() {
        let reply = r#"{"id":"{number 9 #1}","device_id":"{digits 9 #1}","one":"{number 1 #2}","other":"{number 1 #12}","{text #3}":"{fraction #4}","otp":"{digits 6 #5}","key":"{hex 40 #6}","uuid":"{uuid #7}","email":"{email #8}","created_at":"{time -204s #9}","last":"{time past #10}","next":"{time future #11}","message":"Sent to {text #13}: user_temp_otp_{digits 8 #14}"}"#;
        let line = format!(
            r#"{{"request":{{"method":"GET","path":"/api/2/users","authorization":"bearer"}},"reply":{{"status":200,"body":{reply}}},"after_ms":1,"ms":1}}"#
        );
        let mut player = replay(&[&line]);
        let filled = body(player.serve(&get("/api/2/users", &[]), NOW)).to_string();
        let mut redactor = Redactor::new();
        let raw = RawReply {
            status: 200,
            retry_after: None,
            front_end: false,
            request_id: false,
            body: filled.as_bytes(),
        };
        let again = redactor.reply(&raw, NOW).body.unwrap().to_string();
        // Numbers go by order of appearance.
        let expected = reply
            .replace("#12}", "#3}")
            .replace("{text #3}", "{text #4}");
        let expected = expected.replace("{fraction #4}", "{fraction #5}");
        let shape = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "");
        assert_eq!(shape(&again), shape(&expected));
        assert!(
            again.contains(r#""id":"{number 9 #1}","device_id":"{digits 9 #1}""#),
            "{again}"
        );
        for (kind, typed) in [
            (Kind::Code, "{code #1}"),
            (Kind::Modhex(44), "{modhex 44 #1}"),
            (Kind::Digits(6), "{digits 6 #1}"),
        ] {
            assert_eq!(Redactor::new().typed(&made_up(kind, 7, NOW)), typed);
        }
    }
}
