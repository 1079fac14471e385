//! The dictionary: the words of OneLogin's protocol, which may stand in a tape. Nothing else survives the redaction.

use std::collections::BTreeSet;
use std::sync::LazyLock;

/// The file: groups of words, each below a comment with their source.
const FILE: &str = include_str!("words.txt");

static WORDS: LazyLock<BTreeSet<&str>> = LazyLock::new(|| {
    let lines = FILE.lines().filter(|line| !line.starts_with('#'));
    lines.flat_map(str::split_whitespace).collect()
});

/// The longest word of capitals and small letters, in parts: `UnprocessableEntityFieldError` has four.
const MOST_PARTS: usize = 5;

/// Whether this word of ASCII letters is one of the protocol: `expires`, `SMS`, `NotFound`, `OneLogin`.
#[must_use]
pub fn is_protocol_word(word: &str) -> bool {
    if is_plain(word) {
        return is_in_the_dictionary(word);
    }
    let parts = camel_parts(word);
    parts.len() <= MOST_PARTS
        && parts
            .iter()
            .all(|part| part.len() > 1 && is_in_the_dictionary(part))
}

fn is_in_the_dictionary(word: &str) -> bool {
    WORDS.contains(word.to_ascii_lowercase().as_str())
}

/// Whether a word has one of the usual cases: other cases could say something.
fn is_plain(word: &str) -> bool {
    let is_small = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase());
    let is_large = |text: &str| text.bytes().all(|b| b.is_ascii_uppercase());
    let behind_the_first = word.get(1..).unwrap_or_default();
    is_small(word) || is_large(word) || (!word.is_empty() && is_small(behind_the_first))
}

/// The parts of a word such as `expiresIn` or `OTPToken`.
fn camel_parts(word: &str) -> Vec<&str> {
    let bytes = word.as_bytes();
    let is_large = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_uppercase);
    let is_small = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_lowercase);
    let mut parts = Vec::new();
    let mut start = 0;
    for at in 1..word.len() {
        let begins = is_large(at) && (is_small(at - 1) || is_small(at + 1));
        if begins {
            parts.extend(word.get(start..at));
            start = at;
        }
    }
    parts.extend(word.get(start..));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_protocol_are_known_in_their_usual_cases() {
        for word in [
            "accepted",
            "Success",
            "SMS",
            "NotFound",
            "InvalidCredentials",
            "UnprocessableEntityFieldError",
            "OneLogin",
            "YubiKey",
            "statusCode",
            "OTPToken",
        ] {
            assert!(is_protocol_word(word), "{word}");
        }
        for word in [
            "",
            "alice",
            "Alice",
            "sTaTuS",
            "StatusAlice",
            "aliceStatus",
            "statusalice",
            "OneLoginOneLoginOneLoginOneLogin",
        ] {
            assert!(!is_protocol_word(word), "{word}");
        }
    }

    #[test]
    fn the_file_is_sorted_in_groups_with_a_source_and_has_each_word_once() {
        let mut all = BTreeSet::new();
        for group in FILE.split("\n\n") {
            assert!(group.starts_with("# "), "{group}");
            let words: Vec<&str> = group
                .lines()
                .filter(|line| !line.starts_with('#'))
                .flat_map(str::split_whitespace)
                .collect();
            assert!(words.is_sorted(), "{group}");
            for word in words {
                assert!(word.bytes().all(|b| b.is_ascii_lowercase()), "{word}");
                assert!(all.insert(word), "{word} is there twice");
            }
        }
        assert_eq!(all, *WORDS);
        assert!((300..900).contains(&all.len()), "{}", all.len());
    }
}
