//! `OpenVPN` with pairs of prompt and answer, such as `openvpn login USERNAME password PASSWORD Verification OTP`.

use crate::host::target_system::TargetSystem;
use std::path::Path;

/// The service in the configurations that the packages bring.
pub(crate) const NAME: &str = "openvpn";

/// Whether each server that asks this service answers this prompt with what the user typed as the code, by a pair of its plugin.
///
/// The plugin takes the first pair whose name is the start of the prompt, without regard to case and to what stands before
/// the first letter or digit. In the answer it replaces one word; `OTP` comes last. Source: `my_conv` in `src/plugins/auth-pam/auth-pam.c` of `OpenVPN` 2.6.
pub(crate) fn answers(machine: &TargetSystem, service: &str, prompt: &str) -> bool {
    let files = FOLDERS
        .iter()
        .flat_map(|pattern| machine.matching(Path::new(pattern)));
    let mut plugins = files
        .flat_map(|file| plugins(&machine.text_or_empty(file)))
        .filter(|words| words.first().is_some_and(|name| name == service))
        .peekable();
    plugins.peek().is_some() && plugins.all(|words| answers_by(&words, prompt))
}

/// The words of each line that loads the plugin for PAM: the service, then the pairs.
fn plugins(text: &str) -> Vec<Vec<String>> {
    let lines = text.lines().map(words);
    let lines = lines.filter_map(|line| match line.as_slice() {
        [keyword, path, rest @ ..] if keyword == "plugin" && path.contains("auth-pam") => {
            Some(match rest {
                // One word is read once more.
                [all] => words(all),
                rest => rest.to_vec(),
            })
        }
        _ => None,
    });
    lines.collect()
}

fn answers_by(words: &[String], prompt: &str) -> bool {
    let prompt = prompt
        .trim_start_matches(|first: char| !first.is_ascii_alphanumeric())
        .to_ascii_lowercase();
    let pairs = words.get(1..).unwrap_or_default().chunks_exact(2);
    let mut pairs = pairs.filter_map(|pair| match pair {
        [name, answer] => Some((name.to_ascii_lowercase(), answer)),
        _ => None,
    });
    pairs
        .find(|(name, _)| prompt.starts_with(name))
        .is_some_and(|(_, answer)| {
            let others = ["USERNAME", "PASSWORD", "COMMONNAME"];
            answer.contains("OTP") && !others.iter().any(|other| answer.contains(other))
        })
}

/// The words of a line; quotes join several to one. A comment ends it.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(end), c) if c == end => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#' | ';') if word.is_none() => break,
            (None, c) if c.is_ascii_whitespace() => words.extend(word.take()),
            (Some('"') | None, '\\') => word.get_or_insert_default().extend(chars.next()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// Where the units of the packages look for configurations.
const FOLDERS: [&str; 2] = ["/etc/openvpn/*.conf", "/etc/openvpn/server/*.conf"];

#[cfg(test)]
mod tests {
    use super::*;

    const PROMPT: &str = "Verification code (OneLogin): ";

    fn is_answered(line: &str) -> bool {
        let found = plugins(line);
        assert_eq!(found.len(), 1, "{line}");
        answers_by(&found[0], PROMPT)
    }

    #[test]
    fn a_pair_counts_that_names_the_start_of_the_prompt_and_the_code() {
        for line in [
            "plugin /usr/lib/openvpn/openvpn-plugin-auth-pam.so openvpn login USERNAME password PASSWORD \"Verification code\" OTP",
            "plugin openvpn-plugin-auth-pam.so 'openvpn login USERNAME password PASSWORD VERIFICATION OTP'",
            "plugin openvpn-plugin-auth-pam.so \"openvpn Password PASSWORD \\\"Verification code\\\" OTP\"",
        ] {
            assert!(is_answered(line), "{line}");
        }
        for line in [
            "plugin openvpn-plugin-auth-pam.so openvpn",
            "plugin openvpn-plugin-auth-pam.so openvpn login USERNAME password PASSWORD",
            "plugin openvpn-plugin-auth-pam.so openvpn password PASSWORD code OTP",
            "plugin openvpn-plugin-auth-pam.so openvpn password PASSWORD Verification PASSWORD",
            "plugin openvpn-plugin-auth-pam.so openvpn Verification PASSWORDOTP",
            "plugin openvpn-plugin-auth-pam.so openvpn v USERNAME Verification OTP",
        ] {
            assert!(!is_answered(line), "{line}");
        }
        assert!(
            plugins("# plugin openvpn-plugin-auth-pam.so openvpn\nplugin other.so openvpn")
                .is_empty()
        );
    }
}
