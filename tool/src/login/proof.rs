//! What `check --prove` found out about a tenant, in two files beside the configuration: `proof.json` has the
//! answers, for this tool; `unsafe-tenants` names tenants that accept what they must refuse, for the module.
//! An entry belongs to one URL and one API credential.

use crate::host::files::{self, Metadata};
use crate::outcome::Failure;
use pam_onelogin::clock::unix_now;
use pam_onelogin::config::Config;
use pam_onelogin::config::file::unsafe_tenants;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use time::OffsetDateTime;

/// What is known of one tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Proof {
    pub(crate) url: String,
    pub(crate) client_id: String,
    /// The day of the answers, UTC, such as `2026-11-30`.
    pub(crate) date: String,
    pub(crate) answers: Vec<Answer>,
}

/// The answer to one question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::struct_field_names)] // the keys of the file
pub(crate) struct Answer {
    /// The question in one word, such as `wrong-code`.
    pub(crate) question: String,
    /// What OneLogin did.
    pub(crate) answer: String,
    /// What to set or do, where something must be done.
    pub(crate) advice: Option<String>,
}

impl Proof {
    /// No answers yet, of today.
    pub(crate) fn begin(config: &Config) -> Self {
        Self {
            url: config.onelogin.origin.as_str().to_owned(),
            client_id: config.onelogin.client_id.clone(),
            date: today(),
            answers: Vec::new(),
        }
    }

    /// What was found out before about this URL and credential.
    pub(crate) fn find(config_path: &Path, config: &Config) -> Result<Option<Self>, Failure> {
        let wanted = Self::begin(config);
        let mut proofs = read(config_path)?.into_iter();
        Ok(proofs.find(|proof| proof.is_of_the_same(&wanted)))
    }

    /// Whether OneLogin refused a wrong code, and accepted a right one: a tenant that refuses every code proves nothing.
    pub(crate) fn tells_codes_apart(&self) -> bool {
        let begins = |question: &Question, word: &str| {
            let mut answers = self.answers.iter();
            answers.any(|it| it.question == question.word && it.answer.starts_with(word))
        };
        begins(WRONG_CODE, "refused") && begins(RIGHT_CODE, "accepted")
    }

    /// Keeps the answers, in place of earlier ones about the same URL and credential.
    pub(crate) fn save(&self, config_path: &Path) -> Result<(), Failure> {
        // An unreadable file is written anew: it holds nothing that cannot be asked again.
        let mut proofs = read(config_path).unwrap_or_default();
        proofs.retain(|proof| !proof.is_of_the_same(self));
        proofs.push(self.clone());
        let text = serde_json::to_vec_pretty(&proofs)
            .map_err(|error| Failure::new(format!("the answers cannot be written: {error}")))?;
        files::put(&answers(config_path), &text, &Metadata::own(0o600))
    }

    /// Makes the module deny every login by this credential.
    pub(crate) fn mark_unsafe(&self, config_path: &Path, question: &str) -> Result<(), Failure> {
        let line = format!("{} {} {} {question}", self.url, self.client_id, self.date);
        let mut lines = others(&Self::marks(config_path)?, self);
        lines.push(line);
        write_marks(config_path, &lines)
    }

    /// Lets the module use this credential again, if the question that it was marked for is among those that
    /// OneLogin now answers rightly. Returns whether there was such a mark.
    pub(crate) fn unmark(&self, config_path: &Path, answered: &[&str]) -> Result<bool, Failure> {
        let text = Self::marks(config_path)?;
        let Some(question) = self.marked_for(&text) else {
            return Ok(false);
        };
        if !answered.contains(&question.as_str()) {
            return Ok(false);
        }
        write_marks(config_path, &others(&text, self))?;
        Ok(true)
    }

    /// The question that a list has this credential for.
    fn marked_for(&self, list: &str) -> Option<String> {
        let mine = list.lines().find(|line| self.is_named_in(line))?;
        mine.split_ascii_whitespace().nth(3).map(str::to_owned)
    }

    fn marks(config_path: &Path) -> Result<String, Failure> {
        let path = unsafe_tenants(config_path);
        let found = files::snapshot(&path)?.map_or_else(Vec::new, |file| file.bytes);
        String::from_utf8(found)
            .map_err(|_| Failure::at(&path, "is not UTF-8 text; remove this file"))
    }

    fn is_named_in(&self, line: &str) -> bool {
        let mut words = line.split_ascii_whitespace();
        words.next() == Some(self.url.as_str()) && words.next() == Some(self.client_id.as_str())
    }

    fn is_of_the_same(&self, other: &Self) -> bool {
        (&self.url, &self.client_id) == (&other.url, &other.client_id)
    }
}

/// The lines about other tenants.
fn others(list: &str, proof: &Proof) -> Vec<String> {
    let lines = list.lines().filter(|line| !line.starts_with('#'));
    let lines = lines.filter(|line| !proof.is_named_in(line));
    lines.map(str::to_owned).collect()
}

fn write_marks(config_path: &Path, lines: &[String]) -> Result<(), Failure> {
    let path = unsafe_tenants(config_path);
    if lines.is_empty() {
        return files::remove(&path);
    }
    let text = format!("{HEAD}{}\n", lines.join("\n"));
    files::put(&path, text.as_bytes(), &Metadata::own(0o600))
}

fn read(config_path: &Path) -> Result<Vec<Proof>, Failure> {
    let path = answers(config_path);
    let Some(file) = files::snapshot(&path)? else {
        return Ok(Vec::new());
    };
    serde_json::from_slice(&file.bytes).map_err(|error| Failure::at(&path, error))
}

/// The file with the answers.
fn answers(config_path: &Path) -> PathBuf {
    config_path.with_file_name("proof.json")
}

/// Today, UTC.
fn today() -> String {
    let now = i64::try_from(unix_now()).unwrap_or_default();
    let now = OffsetDateTime::from_unix_timestamp(now).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    now.date().to_string()
}

const HEAD: &str = "\
# These OneLogin tenants accepted what they must refuse, so the module denies every login that uses these
# credentials. Each line: URL, client_id, day, question. Written by pam-onelogin check --prove, which also
# removes the line when OneLogin gives the right answer.
";

/// A question to the tenant.
pub(crate) struct Question {
    /// In the files and in JSON.
    pub(crate) word: &'static str,
    pub(crate) text: &'static str,
}

pub(crate) const WRONG_CODE: &Question = &Question {
    word: "wrong-code",
    text: "Does OneLogin refuse a wrong code?",
};
pub(crate) const RIGHT_CODE: &Question = &Question {
    word: "right-code",
    text: "Does OneLogin accept a right code?",
};
pub(crate) const IDS: &Question = &Question {
    word: "ids",
    text: "Which ids does an acceptance carry?",
};
pub(crate) const DENIED_PUSH: &Question = &Question {
    word: "denied-push",
    text: "Does OneLogin report a push as denied after you deny it on the phone?",
};
pub(crate) const CODE_BESIDE_PUSH: &Question = &Question {
    word: "code-beside-push",
    text: "Does OneLogin accept a code while a push is open?",
};
pub(crate) const EXPIRED_PUSH: &Question = &Question {
    word: "expired-push",
    text: "Does a push without an answer end?",
};
pub(crate) const QUESTIONS: [&Question; 6] = [
    WRONG_CODE,
    RIGHT_CODE,
    IDS,
    DENIED_PUSH,
    CODE_BESIDE_PUSH,
    EXPIRED_PUSH,
];
