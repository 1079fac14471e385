//! What `check --prove` found out about a tenant, in two files beside the configuration: `proof.json` has the
//! answers, for this tool; `unsafe-tenants` names tenants that accept what they must refuse, for the module.
//! An entry belongs to one URL and one API credential.

use crate::host::files::{self, Metadata};
use crate::outcome::Failure;
use pam_onelogin::clock::unix_now;
use pam_onelogin::config::file::{is_about, unsafe_tenants};
use pam_onelogin::config::{Config, VerifyForm, Version};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use time::OffsetDateTime;

/// What is known of one tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Proof {
    pub(crate) url: String,
    pub(crate) client_id: String,
    pub(crate) answers: Vec<Answer>,
}

/// The answer to one question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::struct_field_names)] // the keys of the file
pub(crate) struct Answer {
    /// The question in one word, such as `wrong-code`.
    pub(crate) question: String,
    /// What was tested: the factor and the form of the API, such as `totp/v2`.
    pub(crate) tested: String,
    /// The day of the answer, UTC, such as `2026-11-30`.
    pub(crate) date: String,
    /// What OneLogin did.
    pub(crate) answer: String,
    /// What to set or do, where something must be done.
    pub(crate) advice: Option<String>,
}

impl Proof {
    /// What was found out before about this URL and credential, which may be nothing.
    pub(crate) fn load(config_path: &Path, config: &Config) -> Result<Self, Failure> {
        let none = Self {
            url: config.onelogin.origin.as_str().to_owned(),
            client_id: config.onelogin.access.name().to_owned(),
            answers: Vec::new(),
        };
        let mut proofs = read(config_path)?.into_iter();
        Ok(proofs
            .find(|proof| proof.is_of_the_same(&none))
            .unwrap_or(none))
    }

    /// Takes an answer, in place of an earlier one to the same question.
    pub(crate) fn take(&mut self, answer: Answer) {
        let key = |it: &Answer| (it.question.clone(), it.tested.clone());
        self.answers.retain(|other| key(other) != key(&answer));
        self.answers.push(answer);
    }

    /// The day on which OneLogin refused a wrong code and accepted a right one, by the form of the API that is
    /// configured. A tenant that refuses every code proves nothing.
    pub(crate) fn tells_codes_apart(&self, config: &Config) -> Option<&str> {
        let form = form(config);
        let begins = |question: &Question, word: &str, tested: &str| {
            let mut answers = self.answers.iter();
            answers.any(|it| {
                (it.question.as_str(), it.tested.as_str()) == (question.word, tested)
                    && it.answer.starts_with(word)
            })
        };
        let right = self.answers.iter().find(|it| {
            it.tested.ends_with(&format!("/{form}"))
                && begins(RIGHT_CODE, "accepted", &it.tested)
                && begins(WRONG_CODE, "refused", &it.tested)
        });
        right.map(|answer| answer.date.as_str())
    }

    /// What OneLogin accepted although it must refuse it.
    pub(crate) fn unsafe_answer(&self) -> Option<&Answer> {
        let mut answers = self.answers.iter();
        answers.find(|answer| answer.answer.starts_with(ACCEPTED))
    }

    /// Keeps the answers.
    pub(crate) fn save(&self, config_path: &Path) -> Result<(), Failure> {
        let mut proofs = read(config_path)?;
        proofs.retain(|proof| !proof.is_of_the_same(self));
        proofs.push(self.clone());
        let text = serde_json::to_vec_pretty(&proofs)
            .map_err(|error| Failure::new(format!("the answers cannot be written: {error}")))?;
        files::put(&answers(config_path), &text, &Metadata::own(0o600))
    }

    /// The questions for which this credential is in the list of unsafe tenants, with what was tested.
    pub(crate) fn marks(&self, config_path: &Path) -> Result<Vec<String>, Failure> {
        let list = list(config_path)?;
        let mine = list.lines().filter(|line| self.is_named_in(line));
        let questions = mine.map(|line| line.split_ascii_whitespace().nth(3).unwrap_or_default());
        Ok(questions.map(str::to_owned).collect())
    }

    /// Makes the module deny every login by this credential.
    pub(crate) fn mark(&self, config_path: &Path, question: &str) -> Result<(), Failure> {
        let mut lines = self.lines_without(config_path, &[question.to_owned()])?;
        let (url, client, date) = (&self.url, &self.client_id, today());
        lines.push(format!("{url} {client} {date} {question}"));
        write_list(config_path, &lines)
    }

    /// Takes these questions out of the list.
    pub(crate) fn unmark(&self, config_path: &Path, questions: &[String]) -> Result<(), Failure> {
        write_list(config_path, &self.lines_without(config_path, questions)?)
    }

    fn lines_without(
        &self,
        config_path: &Path,
        questions: &[String],
    ) -> Result<Vec<String>, Failure> {
        let list = list(config_path)?;
        let is_one = |line: &str| {
            let question = line.split_ascii_whitespace().nth(3).unwrap_or_default();
            self.is_named_in(line) && questions.iter().any(|it| it == question)
        };
        let lines = list
            .lines()
            .filter(|line| !line.starts_with('#') && !is_one(line));
        Ok(lines.map(str::to_owned).collect())
    }

    fn is_named_in(&self, line: &str) -> bool {
        is_about(line, &self.url, &self.client_id)
    }

    fn is_of_the_same(&self, other: &Self) -> bool {
        (&self.url, &self.client_id) == (&other.url, &other.client_id)
    }
}

/// How codes are checked: the version of the API, and whether a device is activated first.
pub(crate) fn form(config: &Config) -> &'static str {
    match (config.onelogin.version, config.onelogin.verify) {
        (Version::V1, _) => "v1",
        (Version::V2, VerifyForm::Direct) => "v2",
        (Version::V2, VerifyForm::Activated) => "v2-activated",
    }
}

/// Today, UTC.
pub(crate) fn today() -> String {
    let now = i64::try_from(unix_now()).unwrap_or_default();
    let now = OffsetDateTime::from_unix_timestamp(now).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    now.date().to_string()
}

fn list(config_path: &Path) -> Result<String, Failure> {
    let path = unsafe_tenants(config_path);
    let found = files::snapshot(&path)?.map_or_else(Vec::new, |file| file.bytes);
    String::from_utf8(found).map_err(|_| Failure::at(&path, "is not UTF-8 text; remove this file"))
}

fn write_list(config_path: &Path, lines: &[String]) -> Result<(), Failure> {
    let path = unsafe_tenants(config_path);
    if lines.is_empty() {
        return files::remove(&path);
    }
    let text = format!("{HEAD}{}\n", lines.join("\n"));
    // It holds no secret, and what cannot be read counts as unsafe.
    files::put(&path, text.as_bytes(), &Metadata::own(0o644))
}

fn read(config_path: &Path) -> Result<Vec<Proof>, Failure> {
    let path = answers(config_path);
    let Some(file) = files::snapshot(&path)? else {
        return Ok(Vec::new());
    };
    serde_json::from_slice(&file.bytes)
        .map_err(|error| Failure::at(&path, format!("{error}; remove this file")))
}

/// The file with the answers.
fn answers(config_path: &Path) -> PathBuf {
    config_path.with_file_name("proof.json")
}

/// What an answer begins with if OneLogin accepted what it must refuse.
pub(crate) const ACCEPTED: &str = "ACCEPTED";

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
