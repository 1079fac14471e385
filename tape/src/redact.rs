//! From values to placeholders. A text survives only if each of its words is one of the protocol ([`crate::words`]); a number
//! survives under a few keys, if it is small; a key survives if each of its parts is a word of the protocol. Everything else
//! becomes a placeholder. Equal values get the same number wherever they are.
//!
//! The check of the finished text does not rely on any of this: it looks for the values themselves.

use crate::format::{Authorization, Reply, Request};
use crate::json::Json;
use crate::placeholder::{Kind, Offset, Placeholder};
use crate::words::is_protocol_word;
use serde_json::Number;
use time::format_description::well_known::Rfc3339;
use time::{Date, Month, OffsetDateTime, Time, UtcOffset};
use zeroize::{Zeroize as _, Zeroizing};

/// A request as it is sent.
pub struct RawRequest<'a> {
    /// `GET`, `POST` or `PUT`.
    pub method: &'a str,
    /// The path, from `/`.
    pub path: &'a str,
    /// The query, decoded.
    pub query: &'a [(&'a str, &'a str)],
    /// What it is authorised by.
    pub authorization: Authorization,
    /// The body, if there is one.
    pub body: Option<&'a [u8]>,
}

/// A reply as it came.
pub struct RawReply<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The header `retry-after`, where it is a number of seconds.
    pub retry_after: Option<u64>,
    /// Whether a front end wrote it, and not OneLogin.
    pub front_end: bool,
    /// Whether it has the header `x-request-id`.
    pub request_id: bool,
    /// The body.
    pub body: &'a [u8],
}

/// Replaces the values of one login.
#[derive(Default)]
pub struct Redactor {
    /// What the caller knows to be secret or personal.
    known: Vec<Zeroizing<String>>,
    /// The values that were replaced; the first one has number 1.
    values: Vec<Zeroizing<String>>,
}

/// A value that must not be in a tape, and is. Its `Display` does not say which.
#[derive(Debug, PartialEq, Eq)]
pub struct Leak {
    /// The line, from 1.
    pub line: usize,
}

impl Redactor {
    /// A redactor that has replaced nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a tape can hide this value wherever it is. One that consists of words of the protocol looks like them; and if it
    /// is missing in a known message, the reader knows which word was there.
    #[must_use]
    pub fn can_hide(value: &str) -> bool {
        value.is_empty() || !is_made_of_words(value)
    }

    /// This value is secret or personal: it is replaced even if it is a word of the protocol, and the check looks for it.
    pub fn learn(&mut self, value: &str) {
        let is_new = !self.known.iter().any(|known| known.as_str() == value);
        if is_new && !value.is_empty() {
            self.known.push(Zeroizing::new(value.to_owned()));
        }
    }

    /// The value behind a number.
    #[must_use]
    pub fn value(&self, number: u32) -> Option<&str> {
        let at = usize::try_from(number).ok()?.checked_sub(1)?;
        self.values.get(at).map(|value| value.as_str())
    }

    /// What a user typed, as a tape has it: `enter`, `choice 2`, or a placeholder.
    pub fn typed(&mut self, text: &str) -> String {
        match text.as_bytes() {
            [] => ENTER.to_owned(),
            [b'1'..=b'9'] => format!("{CHOICE}{text}"),
            bytes => {
                self.learn(text);
                let kind = match exact_kind(text) {
                    Some(kind @ Kind::Digits(_)) => kind,
                    _ if text.len() == YUBIKEY && bytes.iter().all(|b| MODHEX.contains(b)) => {
                        Kind::Modhex(YUBIKEY)
                    }
                    _ if is_like_a_code(bytes) => Kind::Code,
                    _ => Kind::Text,
                };
                self.placeholder(kind, text)
            }
        }
    }

    /// A request, without its values.
    pub fn request(&mut self, raw: &RawRequest<'_>) -> Request {
        let path = self.path(raw.path);
        let query = raw
            .query
            .iter()
            .map(|(key, value)| (self.key(key), self.string(key, value, None)));
        let query = query.collect();
        let body = raw.body.filter(|body| !body.is_empty());
        let body = body.map(|body| {
            let mut json = Json::read(body).unwrap_or_else(|| {
                let text = String::from_utf8_lossy(body).into_owned();
                Json::String(text)
            });
            let redacted = self.json("", &json, None);
            json.zeroize();
            redacted
        });
        Request {
            method: raw.method.to_owned(),
            path,
            query,
            authorization: raw.authorization,
            body,
        }
    }

    /// A reply, without its values. Times in it are told as offsets from `now`.
    pub fn reply(&mut self, raw: &RawReply<'_>, now: OffsetDateTime) -> Reply {
        let json = Json::read(raw.body);
        let text = match &json {
            Some(_) => None,
            None => Some(class_of(raw.body).to_owned()),
        };
        Reply {
            status: raw.status,
            retry_after: raw.retry_after.map(|seconds| seconds.min(MOST_SECONDS)),
            front_end: raw.front_end,
            request_id: raw.request_id,
            body: json.map(|mut json| {
                let redacted = self.json("", &json, Some(now));
                json.zeroize();
                redacted
            }),
            text,
        }
    }

    /// Looks for secret and personal values in the finished text of a tape.
    ///
    /// # Errors
    /// [`Leak`] if one is there: a fault of this crate.
    pub fn check(&self, text: &str) -> Result<(), Leak> {
        for (number, line) in (1..).zip(text.lines()) {
            let Some(line) = Json::read(line.as_bytes()) else {
                return Err(Leak { line: number });
            };
            let mut texts = Vec::new();
            collect(&line, &mut texts);
            let known = self.known.iter().map(|value| (value, KNOWN));
            let replaced = self.values.iter().map(|value| (value, REPLACED));
            for (value, (text, digits)) in known.chain(replaced) {
                let is_number = value.bytes().all(|b| b.is_ascii_digit());
                let least = if is_number { digits } else { text };
                let is_looked_for = value.chars().count() >= least && !is_made_of_words(value);
                if is_looked_for && texts.iter().any(|text| has(text, value)) {
                    return Err(Leak { line: number });
                }
            }
        }
        Ok(())
    }

    fn path(&mut self, path: &str) -> String {
        let mut before = "";
        let mut redacted = Vec::new();
        for segment in path.split('/') {
            let is_version = before == "api" && matches!(segment, "1" | "2");
            // A temporary token belongs to no device; its path has the device 0.
            let is_fixed = matches!(segment, "" | "oauth2" | "v2" | "0");
            let kind = exact_kind(segment);
            redacted.push(match kind {
                _ if is_version || is_fixed => segment.to_owned(),
                Some(kind) => self.placeholder(kind, segment),
                None => self.word(segment),
            });
            before = segment;
        }
        redacted.join("/")
    }

    fn json(&mut self, key: &str, value: &Json, now: Option<OffsetDateTime>) -> Json {
        match value {
            Json::Null | Json::Bool(_) => value.clone(),
            Json::Number(number) => self.number(key, number),
            Json::String(text) => Json::String(self.string(key, text, now)),
            Json::Array(values) => {
                Json::Array(values.iter().map(|it| self.json(key, it, now)).collect())
            }
            Json::Object(members) => Json::Object(
                members
                    .iter()
                    .map(|(name, value)| {
                        let shown = self.key(name);
                        let is_factor = name == "name"
                            && members.iter().any(|(other, _)| other == "auth_factor_name");
                        let value = match key {
                            CUSTOM => self.json(&format!("{CUSTOM}.{name}"), value, now),
                            // What is below a personal key is personal, too.
                            _ if is_personal(key) => self.json(key, value, now),
                            _ if is_factor => self.json("type_display_name", value, now),
                            _ => self.json(name, value, now),
                        };
                        (shown, value)
                    })
                    .collect(),
            ),
        }
    }

    fn number(&mut self, key: &str, number: &Number) -> Json {
        if number.as_u64().is_some_and(|value| is_small(key, value)) {
            return Json::Number(number.clone());
        }
        let text = number.to_string();
        let kind = match number.as_u64() {
            Some(_) => Kind::Number(text.len()),
            None => Kind::Fraction,
        };
        Json::String(self.placeholder(kind, &text))
    }

    fn string(&mut self, key: &str, text: &str, now: Option<OffsetDateTime>) -> String {
        if text.is_empty() {
            return String::new();
        }
        let is_canonical = |value: &u64| value.to_string() == text;
        let number = text.parse().ok().filter(is_canonical);
        if number.is_some_and(|value| is_small(key, value)) {
            return text.to_owned();
        }
        if let Some(kind) = exact_kind(text) {
            return self.placeholder(kind, text);
        }
        if let Some(kind) = now.and_then(|now| time_kind(text, now)) {
            return self.placeholder(kind, text);
        }
        let is_known = |known: &Zeroizing<String>| known.eq_ignore_ascii_case(text);
        let is_blank = text.trim().is_empty();
        if is_blank || is_personal(key) || self.known.iter().any(is_known) {
            return self.placeholder(Kind::Text, text);
        }
        let words = text.split(' ').map(|token| self.token(token));
        let words: Vec<String> = words.collect();
        words.join(" ")
    }

    /// A part of a text between blanks: a word with the marks around it.
    fn token(&mut self, token: &str) -> String {
        let inner = token.trim_matches(MARKS);
        let (before, after) = token.split_once(inner).unwrap_or((token, ""));
        if before.len() > MOST_MARKS || after.len() > MOST_MARKS {
            return self.placeholder(Kind::Text, token);
        }
        let inner = match exact_kind(inner) {
            // Marks alone, or two blanks in a row.
            _ if inner.is_empty() => String::new(),
            Some(kind) => self.placeholder(kind, inner),
            None => self.word(inner),
        };
        format!("{before}{inner}{after}")
    }

    /// A word without blanks. Names such as `user_temp_otp_36216766` keep the words of the protocol.
    fn word(&mut self, word: &str) -> String {
        let is_known = self
            .known
            .iter()
            .any(|known| known.eq_ignore_ascii_case(word));
        let pieces = pieces(word);
        let is_fit = |piece: &Piece<'_>| match piece {
            Piece::Letters(letters) => {
                is_protocol_word(letters) || is_rest_of_a_word(word, letters)
            }
            Piece::Digits(_) | Piece::Mark(_) => true,
            Piece::Other => false,
        };
        let has_letters = pieces.iter().any(|it| matches!(it, Piece::Letters(_)));
        let is_one = !is_known && has_letters && pieces.len() <= MOST_PIECES;
        if !is_one || !pieces.iter().all(is_fit) {
            return self.placeholder(Kind::Text, word);
        }
        let mut text = String::new();
        for piece in pieces {
            match piece {
                Piece::Letters(letters) => text.push_str(letters),
                Piece::Mark(mark) => text.push(mark),
                Piece::Digits(digits) => {
                    text.push_str(&self.placeholder(Kind::Digits(digits.len()), digits));
                }
                Piece::Other => {}
            }
        }
        text
    }

    /// A key of an object or a query: `custom_attributes.NAME` is a word and a name.
    fn key(&mut self, key: &str) -> String {
        let parts = key.split('.').map(|part| {
            let is_fit = |word: &str| !word.is_empty() && is_protocol_word(word);
            if part.is_empty() || part.split(['_', '-']).all(is_fit) {
                part.to_owned()
            } else {
                self.placeholder(exact_kind(part).unwrap_or(Kind::Text), part)
            }
        });
        let parts: Vec<String> = parts.collect();
        parts.join(".")
    }

    fn placeholder(&mut self, kind: Kind, value: &str) -> String {
        let found = self.values.iter().position(|it| it.as_str() == value);
        let at = found.unwrap_or_else(|| {
            self.values.push(Zeroizing::new(value.to_owned()));
            self.values.len() - 1
        });
        let number = u32::try_from(at + 1).unwrap_or(u32::MAX);
        Placeholder { kind, number }.to_string()
    }
}

/// How a tape writes that Enter alone was typed.
pub const ENTER: &str = "enter";

/// How a tape writes that a line of a menu was chosen, before its number.
pub const CHOICE: &str = "choice ";

/// How long a code of a `YubiKey` is, and what letters it has.
const YUBIKEY: usize = 44;
const MODHEX: &[u8] = b"cbdefghijklnrtuv";

/// What may stand around a word, and how many of it.
const MARKS: &[char] = &[
    '.', ',', ':', ';', '!', '?', '\'', '"', '(', ')', '[', ']', '-', '/', '&',
];
const MOST_MARKS: usize = 3;

/// What may stand between the pieces of a word.
const JOINTS: &str = "_-./:+=,;'";

/// How many pieces a word may have: a secret of protocol words and digits is longer.
const MOST_PIECES: usize = 9;

/// The least length of a hexadecimal text: shorter ones could be words.
const HEX_LENGTH: usize = 16;

/// The longest `retry-after` that is told, in seconds.
const MOST_SECONDS: u64 = 86_400;

/// Keys whose texts are personal, or written by an administrator, whatever their words are.
const PERSONAL: &[&str] = &[
    "username",
    "email",
    "mail",
    "samaccountname",
    "userprincipalname",
    "distinguished_name",
    "external_id",
    "openid_name",
    "firstname",
    "lastname",
    "phone",
    "phone_number",
    "number",
    "mobile",
    "company",
    "department",
    "title",
    "comment",
    "country",
    "locale",
    "locale_code",
    "preferred_locale_code",
    "member_of",
    "user_display_name",
    "display_name",
    "type_display_name",
    "custom_message",
    "sms_message",
    "otp",
    "otp_token",
    "mfa_token",
    "state_token",
    "access_token",
    "refresh_token",
    "verification_token",
    "totp_url",
    "client_id",
    "client_secret",
    "password",
];

fn is_personal(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    PERSONAL.contains(&key.as_str()) || (key.starts_with(CUSTOM) && key != CUSTOM)
}

/// What an administrator has added to the users; the names of these are chosen, too.
const CUSTOM: &str = "custom_attributes";

/// The numbers that survive: under these keys, up to these values.
const SMALL: &[(&str, u64)] = &[
    ("code", 599),
    ("statusCode", 599),
    ("status", 9),
    ("state", 9),
    ("limit", 99),
    ("expires_in", 259_200),
    ("state_token_expires_in", 900),
    ("invalid_login_attempts", 99),
];

fn is_small(key: &str, value: u64) -> bool {
    SMALL
        .iter()
        .any(|(name, most)| *name == key && value <= *most)
}

/// The kind of a value that has a shape of its own.
fn exact_kind(text: &str) -> Option<Kind> {
    let bytes = text.as_bytes();
    let is_hex = |bytes: &[u8]| bytes.iter().all(u8::is_ascii_hexdigit);
    if !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit) {
        return Some(Kind::Digits(text.len()));
    }
    if bytes.len() >= HEX_LENGTH && is_hex(bytes) {
        return Some(Kind::Hex(text.len()));
    }
    let groups: Vec<&str> = text.split('-').collect();
    let lengths = [8, 4, 4, 4, 12];
    let is_uuid = groups.len() == lengths.len()
        && groups
            .iter()
            .zip(lengths)
            .all(|(group, length)| group.len() == length && is_hex(group.as_bytes()));
    if is_uuid {
        return Some(Kind::Uuid);
    }
    let (name, domain) = text.split_once('@')?;
    let is_email = !name.is_empty()
        && !domain.is_empty()
        && !text.contains(char::is_whitespace)
        && !domain.contains('@');
    is_email.then_some(Kind::Email)
}

/// The kind of a text that is a moment: in RFC 3339, or as the Login API writes it.
fn time_kind(text: &str, now: OffsetDateTime) -> Option<Kind> {
    let moment = OffsetDateTime::parse(text, &Rfc3339)
        .ok()
        .or_else(|| login_api_time(text))?;
    // Rounded to seconds.
    let seconds = ((moment - now).whole_milliseconds() + 500).div_euclid(1000);
    Some(Kind::Time(Offset::of(i64::try_from(seconds).ok()?)))
}

/// A moment such as `2016/01/07 05:56:21 +0000`.
fn login_api_time(text: &str) -> Option<OffsetDateTime> {
    let mut words = text.split(' ');
    let (date, time, zone) = (words.next()?, words.next()?, words.next()?);
    if words.next().is_some() || zone != "+0000" {
        return None;
    }
    let mut date = date.split('/').map(|part| part.parse::<u16>().ok());
    let mut time = time.split(':').map(|part| part.parse::<u8>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    let date = Date::from_calendar_date(year.into(), month, u8::try_from(day).ok()?).ok()?;
    let time = Time::from_hms(time.next()??, time.next()??, time.next()??).ok()?;
    Some(date.with_time(time).assume_offset(UtcOffset::UTC))
}

/// Whether typed letters and digits look like a code that is not only digits.
fn is_like_a_code(bytes: &[u8]) -> bool {
    (4..=16).contains(&bytes.len())
        && bytes.iter().all(u8::is_ascii_alphanumeric)
        && bytes.iter().any(u8::is_ascii_digit)
}

/// A part of a word.
enum Piece<'a> {
    Letters(&'a str),
    Digits(&'a str),
    Mark(char),
    Other,
}

fn pieces(word: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = word;
    while let Some(first) = rest.chars().next() {
        let length = |is: fn(&u8) -> bool| rest.bytes().take_while(is).count();
        let (piece, length) = match first {
            'a'..='z' | 'A'..='Z' => {
                let length = length(u8::is_ascii_alphabetic);
                (
                    Piece::Letters(rest.get(..length).unwrap_or_default()),
                    length,
                )
            }
            '0'..='9' => {
                let length = length(u8::is_ascii_digit);
                (
                    Piece::Digits(rest.get(..length).unwrap_or_default()),
                    length,
                )
            }
            mark if JOINTS.contains(mark) => (Piece::Mark(mark), 1),
            other => (Piece::Other, other.len_utf8()),
        };
        pieces.push(piece);
        rest = rest.get(length..).unwrap_or_default();
    }
    pieces
}

/// Whether these letters are the `t` of `can't` or the `s` of `user's`.
fn is_rest_of_a_word(word: &str, letters: &str) -> bool {
    matches!(letters, "t" | "s") && word.ends_with(&format!("'{letters}"))
}

/// What a body is that is not JSON.
fn class_of(body: &[u8]) -> &'static str {
    let begins = body.trim_ascii_start().first();
    match (begins, body.len()) {
        (_, 0) => "empty",
        (Some(b'<'), 0..=1024) => "html short",
        (Some(b'<'), _) => "html long",
        (_, 0..=1024) => "other short",
        (_, _) => "other long",
    }
}

/// The least length of the texts and of the numbers that the check looks for: shorter ones are in a tape by chance.
const KNOWN: (usize, usize) = (3, 6);
const REPLACED: (usize, usize) = (5, 7);

/// What of a line could be a value: its keys, texts and numbers, but for how long things took, and without the placeholders.
fn collect(json: &Json, texts: &mut Vec<String>) {
    match json {
        Json::Null | Json::Bool(_) => {}
        Json::Number(number) => texts.push(number.to_string()),
        Json::String(text) => texts.push(without_placeholders(text)),
        Json::Array(values) => values.iter().for_each(|value| collect(value, texts)),
        Json::Object(members) => {
            for (key, value) in members {
                texts.push(without_placeholders(key));
                if key != "ms" && key != "after_ms" {
                    collect(value, texts);
                }
            }
        }
    }
}

fn without_placeholders(text: &str) -> String {
    let mut rest = text;
    let mut without = String::new();
    while let Some((before, behind)) = rest.split_once('{') {
        without.push_str(before);
        let placeholder = behind
            .split_once('}')
            .filter(|(inner, _)| Placeholder::read(inner).is_some());
        // A mark that no value has keeps its neighbours apart.
        without.push(if placeholder.is_some() { '\0' } else { '{' });
        rest = placeholder.map_or(behind, |(_, after)| after);
    }
    without + rest
}

/// Whether a value is nothing but words of the protocol: it may be in a tape for another reason.
fn is_made_of_words(value: &str) -> bool {
    let is_mark = |c: char| c.is_ascii_whitespace() || MARKS.contains(&c) || JOINTS.contains(c);
    let mut words = value.split(is_mark).filter(|word| !word.is_empty());
    words.all(|word| word.bytes().all(|b| b.is_ascii_alphabetic()) && is_protocol_word(word))
}

/// Whether a value is in a text, in any case. A part of words of the protocol is only that.
fn has(text: &str, value: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let value = Zeroizing::new(value.to_ascii_lowercase());
    let is_letter = |c: char| c.is_ascii_alphabetic();
    lower.match_indices(value.as_str()).any(|(at, _)| {
        let (before, rest) = lower.split_at(at);
        let (_, after) = rest.split_at(value.len());
        let start = before.trim_end_matches(is_letter).len();
        let end = text.len() - after.trim_start_matches(is_letter).len();
        !is_made_of_words(text.get(start..end).unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn redacted(body: &str) -> String {
        let mut redactor = Redactor::new();
        reply(&mut redactor, body)
    }

    fn reply(redactor: &mut Redactor, body: &str) -> String {
        let raw = RawReply {
            status: 200,
            retry_after: None,
            front_end: false,
            request_id: true,
            body: body.as_bytes(),
        };
        let reply = redactor.reply(&raw, NOW);
        reply
            .body
            .map_or_else(|| reply.text.unwrap(), |body| body.to_string())
    }

    #[test]
    fn what_the_protocol_says_survives() {
        for body in [
            r#"{"status":"accepted"}"#,
            r#"{"status":{"error":true,"code":401,"type":"Unauthorized","message":"Authentication Failure"}}"#,
            r#"{"status":{"error":false,"code":200,"type":"success","message":"Success"}}"#,
            r#"{"statusCode":401,"name":"InvalidCredentials","message":"Please provide valid credentials"}"#,
            r#"{"statusCode":401,"name":"UnauthorizedError","message":"Unauthorized"}"#,
            r#"{"statusCode":403,"name":"ForbiddenAction","message":"You are not authorised to perform this action or access the resource"}"#,
            r#"{"statusCode":404,"name":"NotFound","message":"The resource can't be found"}"#,
            r#"{"statusCode":422,"name":"UnprocessableEntityFieldError","field":"otp"}"#,
            r#"{"code":422,"message":"Validation Failed","errors":[{"field":"otp","message":["is invalid"]}]}"#,
            r#"{"status":{"code":401,"message":"Authentication pending on OL Protect"}}"#,
            r#"{"message":"State token is invalid or expired"}"#,
            r#"{"message":"Failed authentication with this factor"}"#,
            r#"{"message":"SMS token sent to your mobile device. Authentication pending."}"#,
            r#"{"message":"grant_type is incorrect/absent"}"#,
            r#"{"message":"Insufficient Permission"}"#,
            r#"{"message":"User does not exist"}"#,
            r#"{"message":"The request requires user authentication."}"#,
            r#"{"auth_factor_name":"OneLogin SMS","default":false}"#,
            r#"{"auth_factor_name":"Yubico YubiKey","needs_trigger":true}"#,
            r#"{"username":"","samaccountname":null,"state":1,"status":2}"#,
            r#"{"token_type":"bearer","expires_in":36000}"#,
            r#"{"data":{"otp_devices":[]},"pagination":{"before_cursor":null,"next_link":null}}"#,
            r#""OK""#,
            "[]",
        ] {
            assert_eq!(redacted(body), body);
        }
    }

    #[test]
    fn every_other_value_becomes_a_placeholder_of_its_kind() {
        for (body, expected) in [
            (r#"{"id":123456789}"#, r#"{"id":"{number 9 #1}"}"#),
            (
                r#"{"id":-5,"x":1.5}"#,
                r#"{"id":"{fraction #1}","{text #2}":"{fraction #3}"}"#,
            ),
            (r#"{"otp":"012345"}"#, r#"{"otp":"{digits 6 #1}"}"#),
            (
                r#"{"state_token":"0123456789abcdef0123456789abcdef01234567"}"#,
                r#"{"state_token":"{hex 40 #1}"}"#,
            ),
            (
                r#"{"id":"123e4567-e89b-12d3-a456-426614174000"}"#,
                r#"{"id":"{uuid #1}"}"#,
            ),
            (
                r#"{"email":"alice@example.com"}"#,
                r#"{"email":"{email #1}"}"#,
            ),
            (r#"{"username":"test"}"#, r#"{"username":"{text #1}"}"#),
            (
                r#"{"created_at":"1970-01-01T00:02:00.400Z"}"#,
                r#"{"created_at":"{time +120s #1}"}"#,
            ),
            (
                r#"{"created_at":"1970/01/01 00:02:00 +0000"}"#,
                r#"{"created_at":"{time +120s #1}"}"#,
            ),
            (
                r#"{"created_at":"1969-01-01T00:00:00Z"}"#,
                r#"{"created_at":"{time past #1}"}"#,
            ),
            (r#"{"code":123456}"#, r#"{"code":"{number 6 #1}"}"#),
            (r#"{"status":17}"#, r#"{"status":"{number 2 #1}"}"#),
            (
                r#"{"device_id":"user_temp_otp_36216766"}"#,
                r#"{"device_id":"user_temp_otp_{digits 8 #1}"}"#,
            ),
            (
                r#"{"message":"Sent to +1 555 0100."}"#,
                r#"{"message":"Sent to {text #1} {digits 3 #2} {digits 4 #3}."}"#,
            ),
            (
                r#"{"message":"Hello Alice, (wait)"}"#,
                r#"{"message":"{text #1} {text #2}, (wait)"}"#,
            ),
            (
                r#"{"message":"user.alice failed"}"#,
                r#"{"message":"{text #1} failed"}"#,
            ),
            (
                r#"{"message":"from 192.0.2.7"}"#,
                r#"{"message":"from {text #1}"}"#,
            ),
            (
                r#"{"message":"{digits 6 #2}"}"#,
                r#"{"message":"{text #1} {digits 1 #2} {text #3}"}"#,
            ),
            (
                r#"{"custom_attributes":{"employee":"x1"}}"#,
                r#"{"custom_attributes":{"{text #1}":"{text #2}"}}"#,
            ),
            (
                r#"{"message":"a  b\nc accepted "}"#,
                r#"{"message":"a  {text #1} accepted "}"#,
            ),
            ("", "empty"),
            ("<html>alice</html>", "html short"),
            ("alice", "other short"),
        ] {
            assert_eq!(redacted(body), expected, "{body}");
        }
    }

    #[test]
    fn equal_values_have_the_same_number_wherever_they_are() {
        let mut redactor = Redactor::new();
        assert_eq!(redactor.typed("123456"), "{digits 6 #1}");
        let raw = RawRequest {
            method: "PUT",
            path: "/api/2/mfa/users/1001/verifications/12-ab",
            query: &[
                ("username", "alice"),
                ("fields", "id,username,custom_attributes.x"),
                ("limit", "2"),
            ],
            authorization: Authorization::Bearer,
            body: Some(br#"{"otp":"123456","device_id":1001}"#),
        };
        let request = redactor.request(&raw);
        assert_eq!(
            request.path,
            "/api/2/mfa/users/{digits 4 #2}/verifications/{text #3}"
        );
        let query: Vec<_> = request
            .query
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        assert_eq!(query, ["username={text #4}", "fields={text #5}", "limit=2"]);
        let body = request.body.unwrap().to_string();
        assert_eq!(
            body,
            r#"{"otp":"{digits 6 #1}","device_id":"{number 4 #2}"}"#
        );
        assert_eq!(
            reply(&mut redactor, r#"[{"id":1001,"username":"alice"}]"#),
            r#"[{"id":"{number 4 #2}","username":"{text #4}"}]"#
        );
    }

    #[test]
    fn what_was_typed_is_a_choice_or_a_placeholder() {
        let mut redactor = Redactor::new();
        let yubikey = "ccccccgrrcekdvlhjbnvitfkruehugdjtlcnrgkvidgd";
        for (typed, expected) in [
            ("", "enter"),
            ("2", "choice 2"),
            ("0", "{digits 1 #1}"),
            ("B41832", "{code #2}"),
            (yubikey, "{modhex 44 #3}"),
            ("my secret", "{text #4}"),
            ("status", "{text #5}"),
        ] {
            assert_eq!(redactor.typed(typed), expected);
        }
    }

    #[test]
    fn a_user_whose_name_is_a_word_of_the_protocol_is_replaced() {
        let mut redactor = Redactor::new();
        redactor.learn("support");
        let body = r#"{"name":"Support","message":"no support for support"}"#;
        let expected = r#"{"name":"{text #1}","message":"no {text #2} for {text #2}"}"#;
        assert_eq!(reply(&mut redactor, body), expected);
    }

    #[test]
    fn a_name_that_looks_like_the_protocol_cannot_be_hidden_and_any_case_of_another_is() {
        for name in ["support", "User", "max.grant", "access-page"] {
            assert!(!Redactor::can_hide(name), "{name}");
        }
        for name in ["", "alice", "support1", "max.mustermann"] {
            assert!(Redactor::can_hide(name), "{name}");
        }
        let mut redactor = Redactor::new();
        redactor.learn("support1");
        let body = r#"{"message":"User Support1 not found"}"#;
        let expected = r#"{"message":"User {text #1} not found"}"#;
        assert_eq!(reply(&mut redactor, body), expected);
    }

    #[test]
    fn what_is_below_a_personal_key_and_the_name_that_a_factor_was_given_are_personal() {
        let mut redactor = Redactor::new();
        for (body, expected) in [
            (
                r#"{"phone":{"text":"max","list":["page"]}}"#,
                r#"{"phone":{"text":"{text #1}","list":["{text #2}"]}}"#,
            ),
            (
                r#"{"name":"RSA","auth_factor_name":"SMS"}"#,
                r#"{"name":"{text #3}","auth_factor_name":"SMS"}"#,
            ),
            (
                r#"{"type_display_name":"VIP Access","name":"NotFound","locale_code":"no"}"#,
                r#"{"type_display_name":"{text #4}","name":"NotFound","locale_code":"{text #5}"}"#,
            ),
        ] {
            assert_eq!(reply(&mut redactor, body), expected);
        }
    }

    #[test]
    fn the_check_finds_a_value_that_the_redaction_has_left() {
        let mut redactor = Redactor::new();
        for value in ["alice", "tex", "s3cr3t\"\n", "1234567", "status"] {
            redactor.learn(value);
        }
        for line in [
            r#"{"x":"text status"}"#,
            r#"{"ms":1234567,"after_ms":1234567}"#,
            r#"{"x":"{text #1}","y":"x{digits 1 #1234567}"}"#,
        ] {
            assert_eq!(redactor.check(line), Ok(()), "{line}");
        }
        for line in [
            r#"{"x":"alice"}"#,
            r#"{"x":"xALICEx"}"#,
            r#"{"alice":1}"#,
            r#"{"x":"tex."}"#,
            r#"{"x":"{alice #1}"}"#,
            r#"{"x":"{text #1}alice{text #2}"}"#,
            r#"{"x":"texmex"}"#,
            r#"{"x":"s3cr3t\"\n"}"#,
            r#"{"x":1234567}"#,
            "not json",
        ] {
            assert_eq!(redactor.check(line), Err(Leak { line: 1 }), "{line}");
        }
        let _ = reply(
            &mut redactor,
            r#"{"phone":"+1 555 0100","title":"sent to you"}"#,
        );
        assert_eq!(redactor.check(r#"{"x":"sent to you"}"#), Ok(()));
        assert_eq!(
            redactor.check("{}\n{\"x\":\"+1 555 0100\"}"),
            Err(Leak { line: 2 })
        );
    }
}
