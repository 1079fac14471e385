//! What is examined at a gateway, and what several findings have in common.

use crate::ui::finding::Finding;
use pam_onelogin::config::ClientCertificate;
use std::path::Path;

/// What is to be examined.
pub(crate) struct OwnGateway<'a> {
    /// The settings.
    pub(crate) settings: &'a Path,
    /// The configuration that `HAProxy` runs with.
    pub(crate) in_use: &'a Path,
    /// How to write that configuration again, and let `HAProxy` read it: the rest of a sentence.
    pub(crate) reload: &'a str,
    /// The certificate of a host, to send requests with.
    pub(crate) host: Option<&'a ClientCertificate>,
}

/// No host can use the gateway.
pub(super) const DENIED: &str = "every login of every host is denied";

/// A fault from a sentence that begins with its file, and maybe its line.
pub(super) fn of_sentence(id: &'static str, sentence: &str) -> Finding {
    let Some((place, what)) = sentence
        .split_once(": ")
        .filter(|_| sentence.starts_with('/'))
    else {
        return Finding::fault(id, sentence);
    };
    let line = place.rsplit_once(':');
    let line = line.and_then(|(path, line)| Some((path, line.parse().ok()?)));
    match line {
        Some((path, line)) => Finding::fault(id, what).at(path, line),
        None => Finding::fault(id, what).in_file(place),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_that_begins_with_a_file_gives_its_place() {
        let place = |sentence: &str| {
            let finding = of_sentence("x", sentence);
            (finding.place.map(|place| place.text()), finding.what)
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            place("/a/b.toml:3: wrong: x"),
            (some("/a/b.toml:3"), "wrong: x".to_owned())
        );
        assert_eq!(
            place("/a/b: is missing"),
            (some("/a/b"), "is missing".to_owned())
        );
        assert_eq!(place("a: b"), (None, "a: b".to_owned()));
    }
}
