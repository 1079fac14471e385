//! The target for tapes: a secret is put into each place of a request and its reply, in each form. None may be in the tape. What
//! may be there is read a second time from the dictionary alone.

use crate::mutate::Chance;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pam_onelogin_tape::{
    Authorization, Exchange, Json, RawReply, RawRequest, Redactor, Replay, Served, Step, Tape,
};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::LazyLock;
use time::OffsetDateTime;

/// One exchange whose reply is the input, with secrets in it.
///
/// # Panics
/// When a rule is broken.
pub fn tape(data: &[u8]) {
    let seed = data.iter().fold(data.len() as u64, |seed, &byte| {
        seed.wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte)
    });
    let mut chance = Chance::new(seed);
    let secret = Secret::new(&mut chance);
    let body = secret.planted(&mut chance, data);
    let path = format!(
        "/api/2/mfa/users/{}/verifications",
        secret.in_a_path(&mut chance)
    );
    let (key, value) = (secret.form(&mut chance), secret.form(&mut chance));
    let sent = Json::Object(vec![
        (secret.form(&mut chance), Json::Bool(true)),
        ("otp".to_owned(), Json::String(secret.form(&mut chance))),
    ])
    .to_string();
    let request = RawRequest {
        method: "POST",
        path: &path,
        query: &[
            ("username", &secret.text),
            (&key, &value),
            ("fields", &value),
        ],
        authorization: Authorization::Bearer,
        body: Some(sent.as_bytes()),
    };
    let mut redactor = Redactor::new();
    if chance.below(2) == 0 {
        redactor.learn(&secret.text);
    }
    let exchange = Exchange {
        request: redactor.request(&request),
        result: Ok(redactor.reply(
            &RawReply {
                status: 200,
                retry_after: None,
                front_end: chance.below(2) == 0,
                request_id: chance.below(2) == 0,
                body: &body,
            },
            NOW,
        )),
        after_ms: 0,
        ms: 0,
    };
    let mut recorded = empty();
    recorded.steps.push(Step::Exchange(exchange));
    replays(&recorded, &request);
    let typed = redactor.typed(&secret.form(&mut chance));
    recorded.steps.push(Step::Typed(typed));
    let text = recorded.write();
    assert_eq!(
        Tape::read(&text).as_ref(),
        Ok(&recorded),
        "it cannot be read again: {text}"
    );
    secret.assert_absent(&text);
    assert_eq!(redactor.check(&text), Ok(()), "a false alarm: {text}");
    for line in text.lines().skip(1) {
        let line = Json::read(line.as_bytes()).expect("a line is JSON");
        only_the_protocol(&line, &text);
    }
}

const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

/// The requests of a tape are those that it was recorded of.
fn replays(tape: &Tape, request: &RawRequest<'_>) {
    let mut replay = Replay::new(tape.clone()).expect("it can be replayed");
    let served = replay.serve(request, NOW);
    assert!(matches!(served, Served::Reply { .. }), "{served:?}");
    assert!(replay.report().is_empty());
}

/// A tape without steps.
fn empty() -> Tape {
    let text = include_str!("../../tapes/by-hand-wrong-credential.jsonl");
    let mut tape = Tape::read(text).expect("a tape of the tests");
    tape.steps.clear();
    tape
}

/// A value that must not be in a tape.
struct Secret {
    text: String,
}

impl Secret {
    fn new(chance: &mut Chance) -> Self {
        let mut some = |alphabet: &str, length: usize| -> String {
            let letters: Vec<char> = alphabet.chars().collect();
            (0..length)
                .map(|_| letters[chance.below(letters.len())])
                .collect()
        };
        // No word of the protocol has these letters in this order.
        let word = format!("zq{}", some("bcdfghjkmqvxz", 6));
        let digits = format!("9{}", some("0123456789", 8));
        let hex = some("0123456789abcdef", 38);
        let text = match chance.below(9) {
            0 => word,
            1 => digits,
            2 => format!("{word}{digits}"),
            3 => format!("ab{hex}"),
            4 => format!("{word}@{word}.example"),
            5 => format!("Ä{word}ß"),
            6 => format!("{word}\"\\\n"),
            7 => format!("+{digits}"),
            _ => format!("{}-1234-5678-9abc-{}", &hex[..8], &hex[8..20]),
        };
        Self { text }
    }

    /// The secret in some form: alone or in a word, in other case, encoded.
    fn form(&self, chance: &mut Chance) -> String {
        let text = self.text.as_str();
        match chance.below(16) {
            0..=2 => text.to_owned(),
            3 => text.to_uppercase(),
            4 => text
                .chars()
                .flat_map(|c| [c, ' '])
                .collect::<String>()
                .replace(' ', ""),
            5 => format!("status{text}"),
            6 => format!("{text}Accepted"),
            7 => format!("user_{text}_otp"),
            8 => format!("Sent to {text}. Authentication pending."),
            9 => format!("({text})"),
            10 => format!("token.{text}/status"),
            11 => self.percent(),
            12 => self.base64(),
            13 => format!("Basic {}", self.base64()),
            14 => format!("{{text #1}}{text}"),
            _ => format!("{{{text} #1}}"),
        }
    }

    fn in_a_path(&self, chance: &mut Chance) -> String {
        self.form(chance).replace('/', "")
    }

    fn percent(&self) -> String {
        let mut text = String::new();
        for byte in self.text.bytes() {
            let _ = write!(text, "%{byte:02x}");
        }
        text
    }

    fn base64(&self) -> String {
        STANDARD.encode(format!("client:{}", self.text))
    }

    /// The body with the secret at some of its places; what is not JSON gets it at its end.
    fn planted(&self, chance: &mut Chance, data: &[u8]) -> Vec<u8> {
        match Json::read(data) {
            Some(json) => {
                let body = self.in_json(chance, &json).to_string();
                if chance.below(4) == 0 {
                    escaped(&body).into_bytes()
                } else {
                    body.into_bytes()
                }
            }
            None => [data, self.form(chance).as_bytes()].concat(),
        }
    }

    fn in_json(&self, chance: &mut Chance, json: &Json) -> Json {
        let leaf = |chance: &mut Chance| match (self.text.parse::<u64>(), chance.below(4)) {
            (Ok(number), 0) => Json::Number(number.into()),
            _ => Json::String(self.form(chance)),
        };
        match json {
            Json::Array(values) => {
                Json::Array(values.iter().map(|it| self.in_json(chance, it)).collect())
            }
            Json::Object(members) => {
                let members = members.iter().map(|(key, value)| {
                    let key = match chance.below(6) {
                        0 => self.form(chance),
                        _ => key.clone(),
                    };
                    (key, self.in_json(chance, value))
                });
                Json::Object(members.collect())
            }
            _ if chance.below(2) == 0 => leaf(chance),
            other => other.clone(),
        }
    }

    fn assert_absent(&self, tape: &str) {
        let unescaped = tape.lines().filter_map(|line| Json::read(line.as_bytes()));
        let mut all = tape.to_lowercase();
        for line in unescaped {
            strings(&line, &mut |text| {
                all.push('\n');
                all.push_str(&text.to_lowercase());
            });
        }
        let lower = self.text.to_lowercase();
        // Its longest word alone says enough.
        let words = lower.split(|c: char| !c.is_ascii_alphanumeric());
        let word = words.max_by_key(|word| word.len()).expect("a word");
        for part in [word, &self.percent(), &self.base64().to_lowercase()] {
            assert!(!all.contains(part), "{part:?} is in the tape: {tape}");
        }
    }
}

/// JSON with each letter of its strings escaped.
fn escaped(json: &str) -> String {
    let mut text = String::new();
    let (mut quoted, mut literal) = (false, false);
    for c in json.chars() {
        match c {
            _ if literal => {
                literal = false;
                text.push(c);
            }
            '\\' => {
                literal = true;
                text.push(c);
            }
            '"' => {
                quoted = !quoted;
                text.push(c);
            }
            'a'..='z' if quoted => {
                let _ = write!(text, "\\u{:04x}", u32::from(c));
            }
            _ => text.push(c),
        }
    }
    text
}

/// Calls `see` with each string and each key.
fn strings(json: &Json, see: &mut impl FnMut(&str)) {
    match json {
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
        Json::String(text) => see(text),
        Json::Array(values) => values.iter().for_each(|value| strings(value, see)),
        Json::Object(members) => {
            for (key, value) in members {
                see(key);
                strings(value, see);
            }
        }
    }
}

/// The dictionary.
static WORDS: LazyLock<BTreeSet<&str>> = LazyLock::new(|| {
    let file = include_str!("../../../tape/src/words.txt");
    let lines = file.lines().filter(|line| !line.starts_with('#'));
    lines.flat_map(str::split_whitespace).collect()
});

/// What stands outside of placeholders is made of words of the dictionary, and of numbers that are small.
fn only_the_protocol(line: &Json, tape: &str) {
    strings(line, &mut |text| {
        let mut rest = String::new();
        let mut depth = 0_usize;
        for c in text.chars() {
            match c {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ if depth == 0 => rest.push(c),
                _ => {}
            }
        }
        assert!(rest.is_ascii(), "{rest:?} is in {tape}");
        // `can't`; the version in a path; the key of the PAM code.
        let rest = rest
            .replace("'t", "")
            .replace("'s", "")
            .replace("/api/2/", "");
        let is_number = rest.len() <= 6 && rest.bytes().all(|b| b.is_ascii_digit());
        let is_header = rest == "PAM_SERVICE_ERR";
        let mut parts = rest.split(|c: char| !c.is_ascii_alphanumeric());
        let is_known = parts.all(is_made_of);
        assert!(is_known || is_number || is_header, "{rest:?} is in {tape}");
    });
    if let Json::Object(members) = line {
        for (_, value) in members {
            numbers(value, tape);
        }
    }
}

fn numbers(json: &Json, tape: &str) {
    match json {
        Json::Number(number) => {
            assert!(
                number.as_u64().is_some_and(|it| it <= 259_200),
                "{number} is in {tape}"
            );
        }
        Json::Array(values) => values.iter().for_each(|value| numbers(value, tape)),
        Json::Object(members) => members.iter().for_each(|(_, value)| numbers(value, tape)),
        Json::Null | Json::Bool(_) | Json::String(_) => {}
    }
}

/// Whether a text is one word after the other.
fn is_made_of(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let mut reached = vec![true];
    for end in 1..=text.len() {
        let is_end = (0..end).any(|start| reached[start] && WORDS.contains(&text[start..end]));
        reached.push(is_end);
    }
    reached[text.len()]
}
