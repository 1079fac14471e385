//! Reading the sources: what the code knows, for the tests that hold documents to it.
#![allow(unreachable_pub, dead_code)]

use pam_onelogin::config;
use std::collections::BTreeSet;
use std::path::Path;

pub const VERDICT_SOURCE: &str = include_str!("../../src/verdict.rs");

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

/// Each key that the code knows, as `table.key`. The code itself names them when it meets one that it does not know.
pub fn known_keys(table: &str) -> BTreeSet<String> {
    const STRANGE: &str = "no-such-key";
    let dotted = match table {
        "" => String::new(),
        table => format!("{table}."),
    };
    let faults = config::parse("x", &format!("{dotted}{STRANGE} = 1\n"))
        .err()
        .unwrap_or_default();
    let list = faults.iter().find_map(|fault| {
        let fault = fault.to_string();
        let (_, rest) = fault.split_once(&format!("\"{STRANGE}\" is not a key"))?;
        Some(rest.split_once("the keys there are ")?.1.to_owned())
    });
    let Some(list) = list else {
        // Not a table, but a key with a value.
        return BTreeSet::from([table.to_owned()]);
    };
    list.split(", ")
        .flat_map(|key| known_keys(&format!("{dotted}{}", key.trim_matches('"'))))
        .collect()
}

/// The reasons of `src/verdict.rs`: the lower-case words in quotes that are no event.
pub fn reasons() -> BTreeSet<String> {
    let mut reasons = BTreeSet::new();
    for line in before_tests(VERDICT_SOURCE).lines() {
        if line.contains("event: ") || line.contains("const DENIED") {
            continue;
        }
        let literals = line.split('"').skip(1).step_by(2);
        reasons.extend(literals.filter(|text| is_word(text)).map(str::to_owned));
    }
    assert!(reasons.len() > 30, "{reasons:?}");
    reasons
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
