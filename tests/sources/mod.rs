//! Reading the sources: what the code knows, for the tests that hold documents to it.
#![allow(unreachable_pub, dead_code)]

use pam_onelogin::api::{ApiError, ApiTrouble};
use pam_onelogin::login::{Denial, Fault, Outcome, Unknown};
use pam_onelogin::reason::Reason;
use pam_onelogin::user::Exemption;
use pam_onelogin::verdict::{self, Circumstances};
use std::collections::BTreeSet;
use std::path::Path;

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = text
        .split_once(start)
        .unwrap_or_else(|| panic!("no {start:?}"));
    rest.split_once(end).map_or(rest, |(inner, _)| inner)
}

pub fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c == '_' || c == '-')
}

/// Each PAM code that a login can end with.
pub fn codes() -> BTreeSet<String> {
    let error = |trouble| ApiError::new(trouble, "");
    let ends = Denial::all()
        .map(Outcome::Denied)
        .chain(Unknown::all().map(Outcome::Unknown))
        .chain(Exemption::all().map(Outcome::Exempt))
        .chain(ApiTrouble::all().map(|trouble| Outcome::Unavailable(error(trouble))))
        .chain([
            Outcome::Fault(Fault::Config),
            Outcome::Fault(Fault::NoSuchGroup(String::new())),
            Outcome::Fault(Fault::UnsafeTenant(String::new())),
            Outcome::NoConversation,
            Outcome::Unprivileged,
            Outcome::Panicked,
        ]);
    let mut codes = BTreeSet::new();
    let mut left: Vec<Reason> = Reason::all().collect();
    for end in ends {
        for (in_ssh, proven) in [(true, true), (true, false), (false, true), (false, false)] {
            let here = Circumstances { in_ssh, proven };
            let verdict = verdict::of(&end, here);
            codes.insert(format!("{:?}", verdict.code));
            left.retain(|&reason| verdict.reason != Some(reason));
        }
    }
    assert_eq!(left, [], "of no end");
    // Only the flow can make the two ends that let in: they hold a proof.
    codes.insert("PAM_SUCCESS".to_owned());
    codes
}

pub fn pam_words(text: impl AsRef<str>) -> BTreeSet<String> {
    text.as_ref()
        .split(|c: char| !(c.is_ascii_uppercase() || c == '_'))
        .filter(|word| word.starts_with("PAM_"))
        .map(str::to_owned)
        .collect()
}

/// The code without its tests and comments.
pub fn before_tests(source: &str) -> String {
    let code = source.split("#[cfg(test)]\nmod tests").next().unwrap();
    let lines = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}
