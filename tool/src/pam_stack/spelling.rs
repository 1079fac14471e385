//! Lines of a stack that are written wrongly, as an administrator meant them: misspelt words, quotes and blanks of a text
//! editor, a missing word. It takes and returns values only.

use crate::pam_stack::codes::NAMES;
use crate::pam_stack::known_modules::{OURS, others};
use crate::pam_stack::syntax::{Control, Kind, Words};

/// The line as it was meant. `None` if it is right, or if that cannot be told.
pub(crate) fn corrected(line: &str) -> Option<String> {
    let code = line.split('#').next().unwrap_or_default();
    let plain: String = code
        .chars()
        .filter(|c| !INVISIBLE.contains(c))
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .collect();
    let plain = match plain.trim() {
        quoted if quoted.starts_with(QUOTES) => bare(quoted),
        plain => plain,
    };
    if plain.ends_with('\\') {
        return None;
    }
    let (first, mut rest) = word(plain)?;
    let new = if let Some(name) = first.strip_prefix('@') {
        (distance(name, "include") <= MOST_OF_A_WORD).then_some(())?;
        format!("@include {}", word(rest)?.0)
    } else {
        let dash = if first.starts_with('-') { "-" } else { "" };
        let kinds = Kind::ALL.map(Kind::word);
        let kind = match nearest(first.trim_start_matches('-'), kinds) {
            Some(kind) => kind,
            // The type is missing.
            None if control(first).is_some() && is_ours_or_almost(word(rest)?.0) => {
                rest = plain;
                Kind::Auth.word()
            }
            None => return None,
        };
        let (second, after) = word(rest)?;
        let (control, after) = match control(second) {
            Some(control) => (control, after),
            // The control is missing.
            None if kind == Kind::Auth.word() && is_ours_or_almost(second) => {
                ("required".to_owned(), rest)
            }
            None => return None,
        };
        let (module, arguments) = word(after)?;
        let module = if is_ours_or_almost(module) && !module.contains('/') {
            format!("{OURS}.so")
        } else {
            module.to_owned()
        };
        let line = format!("{dash}{kind} {control} {module} {}", arguments.trim());
        line.trim_end().to_owned()
    };
    let words = |text: &str| Words::of(text).collect::<Vec<_>>();
    (words(&new) != words(code.trim())).then_some(new)
}

/// Whether a module is ours, or has almost its name.
pub(crate) fn is_ours_or_almost(module: &str) -> bool {
    let name = module.rsplit('/').next().unwrap_or(module);
    let name: String = name
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c))
        .map(|c| c.to_ascii_lowercase())
        .collect();
    let name = name.trim_end_matches(".so");
    let letters = distance(name, OURS);
    // pam_nologin differs from ours in two letters.
    letters <= MOST_OF_OURS && others().all(|other| letters < distance(name, other))
}

/// The first line with a word that is almost the name of our module, and that word.
pub(crate) fn almost_names_us(text: &str) -> Option<(usize, &str)> {
    (1..).zip(text.lines()).find_map(|(number, line)| {
        let code = line.split('#').next().unwrap_or_default();
        let mut words = code.split_whitespace().map(bare);
        let word = words.find(|word| is_ours_or_almost(word))?;
        Some((number, word))
    })
}

/// One of these texts that differs from a line in a few letters.
pub(crate) fn nearest_line<'a>(line: &str, texts: &[&'a str]) -> Option<&'a str> {
    let mut near = texts.iter().map(|text| (distance(line, text), *text));
    let (letters, text) = near.by_ref().min_by_key(|(letters, _)| *letters)?;
    (letters <= MOST_OF_OURS).then_some(text)
}

/// A line whose word is not one of these, with the one that was meant in its place.
pub(crate) fn with_nearest<'a>(
    line: &str,
    word: &str,
    words: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let meant = nearest(bare(word), words)?;
    Some(line.replacen(word, meant, 1))
}

/// The first word, which may be in brackets, without quotes; and the rest.
fn word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let end = if text.starts_with('[') {
        text.find(']').map(|end| end + 1)
    } else {
        text.find(' ')
    };
    let (word, rest) = text.split_at_checked(end.unwrap_or(text.len()))?;
    let word = bare(word);
    (!word.is_empty()).then_some((word, rest))
}

/// A word or a line without quotes around it.
fn bare(text: &str) -> &str {
    text.trim_matches(QUOTES)
}

/// The control that this word was meant to be, as it is written in a stack.
fn control(text: &str) -> Option<String> {
    let Some(pairs) = text.strip_prefix('[') else {
        return nearest(text, CONTROLS).map(str::to_owned);
    };
    let pairs = pairs.strip_suffix(']')?.split_whitespace().map(|pair| {
        let (code, action) = pair.split_once('=')?;
        let code = nearest(code, NAMES.into_iter().chain(["default"]))?;
        let is_jump = !action.is_empty() && action.chars().all(|c| c.is_ascii_digit());
        let action = if is_jump {
            action
        } else {
            nearest(action, ACTIONS)?
        };
        Some(format!("{code}={action}"))
    });
    let pairs = pairs.collect::<Option<Vec<_>>>()?.join(" ");
    Control::parse(&pairs)
        .1
        .is_none()
        .then(|| format!("[{pairs}]"))
}

/// The one word that differs from this one in the fewest letters, if these are few.
pub(crate) fn nearest<'a>(word: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    let mut near: Vec<_> = words
        .into_iter()
        .map(|known| (distance(&word, known), known))
        .collect();
    near.sort_unstable();
    near.dedup();
    match near.as_slice() {
        [(0, known), ..] => Some(known),
        [(letters, known), others @ ..]
            if others.iter().all(|(more, _)| letters < more)
                && *letters <= MOST_OF_A_WORD
                && letters * 2 < known.len() =>
        {
            Some(known)
        }
        _ => None,
    }
}

/// How many letters differ: changed, added or removed.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, letter) in one.chars().enumerate() {
        let mut next = vec![index + 1];
        for (wanted, pair) in other.iter().zip(row.windows(2)) {
            let &[diagonal, above] = pair else { continue };
            let left = next.last().copied().unwrap_or(above);
            let changed = diagonal + usize::from(*wanted != letter);
            next.push(changed.min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

/// A name of our module with at most this many wrong letters is a misspelt one.
const MOST_OF_OURS: usize = 3;

/// The same for the words of libpam, which are shorter.
const MOST_OF_A_WORD: usize = 2;

const CONTROLS: [&str; 6] = [
    "required",
    "requisite",
    "sufficient",
    "optional",
    "include",
    "substack",
];

const ACTIONS: [&str; 6] = ["ignore", "ok", "done", "bad", "die", "reset"];

/// Quotes of a keyboard and of a text editor.
const QUOTES: [char; 13] = [
    '"', '\'', '`', '“', '”', '„', '‟', '«', '»', '‘', '’', '‚', '´',
];

/// Characters without a width: a byte order mark, and those that web pages have between words.
const INVISIBLE: [char; 4] = ['\u{feff}', '\u{200b}', '\u{2060}', '\u{ad}'];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_that_differ_are_counted() {
        for (name, count) in [
            ("pam_onelogin", 0),
            ("pam_onelogn", 1),
            ("pam-onelogin", 1),
            ("pam_oneloggin", 1),
            ("pam_onlogni", 3),
            ("libpam_onelogin", 3),
            ("", 12),
        ] {
            assert_eq!(distance(name, OURS), count, "{name}");
        }
    }

    #[test]
    fn a_line_is_corrected_where_it_is_clear_what_was_meant() {
        let ours = "auth required pam_onelogin.so";
        for (written, meant) in [
            ("“auth required pam_onelogin.so”", ours),
            ("\"auth required pam_onelogin.so\"", ours),
            ("auth required “pam_onelogin.so”", ours),
            ("auth\u{a0}required pam_onelogin.so", ours),
            ("\u{feff}auth required pam_onelogin.so", ours),
            ("aut required pam_onelogin.so # why", ours),
            ("auth requird pam_onelogin.so", ours),
            ("auth required pam_onelogn.so", ours),
            ("auth required PAM_OneLogin.so", ours),
            ("auth pam_onelogin.so", ours),
            ("required pam_onelogin.so", ours),
            (
                "-auth [success=ok defualt=die] pam_onelogin.so debug",
                "-auth [success=ok default=die] pam_onelogin.so debug",
            ),
            (
                "acount required pam_unix.so",
                "account required pam_unix.so",
            ),
            (
                "auth suficient pam_unix.so nullok",
                "auth sufficient pam_unix.so nullok",
            ),
            ("@inclde common-auth", "@include common-auth"),
        ] {
            assert_eq!(corrected(written).as_deref(), Some(meant), "{written}");
        }
    }

    #[test]
    fn a_line_that_is_right_or_may_mean_several_things_stays() {
        for line in [
            "auth required pam_onelogin.so",
            "auth  [success=1 default=ignore]  pam_unix.so  nullok # comment",
            "auth required pam_unix.so [a b]",
            "@include common-auth",
            "auth pam_unix.so",
            "auth pam_nologin.so",
            "auth required pam_nologin.so",
            "required pam_unix.so",
            "auth required",
            "auth",
            "auth [success=ok x=die] pam_onelogin.so",
            "auth required pam_one \\",
            "",
            "# auth",
        ] {
            assert_eq!(corrected(line), None, "{line}");
        }
    }

    #[test]
    fn a_word_that_is_almost_ours_is_found_outside_of_comments() {
        let text = "# pam_onelogn.so\nauth required pam_unix.so\nauth required “pam_onelogn.so”\n";
        assert_eq!(almost_names_us(text), Some((3, "pam_onelogn.so")));
        let others = "auth required pam_unix.so\nauth required pam_nologin.so\n-auth required pam_nologn.so\n";
        assert_eq!(almost_names_us(others), None);
    }
}
