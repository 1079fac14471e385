//! Reads Duo's files as Duo does: a line that begins with white space continues the option above, the name of
//! a section has no meaning, and ` ;` begins a comment. Values of keys and secrets are dropped at once.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use zeroize::Zeroizing;

/// An option as it is set in one line.
pub(super) struct Line {
    /// From 1.
    pub(super) number: usize,
    pub(super) key: String,
    /// Empty for what is secret; that of a proxy may hold a password.
    pub(super) value: Zeroizing<String>,
}

/// What cannot be read.
pub(super) enum Wrong {
    File(String),
    Line(usize, &'static str),
}

/// The options of a file.
pub(super) fn read(path: &Path) -> Result<Vec<Line>, Vec<Wrong>> {
    let trouble = |error: std::io::Error| vec![Wrong::File(error.to_string())];
    let file = File::open(path).map_err(trouble)?;
    if !file.metadata().map_err(trouble)?.is_file() {
        return Err(vec![Wrong::File("is not a regular file".to_owned())]);
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES));
    file.take(MAX_FILE)
        .read_to_end(&mut bytes)
        .map_err(trouble)?;
    if bytes.len() >= MAX_BYTES {
        return Err(vec![Wrong::File(format!(
            "is longer than {MAX_BYTES} bytes"
        ))]);
    }
    // Bytes that are not UTF-8 do no harm in a comment.
    let text = Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned());
    // Windows editors write a byte order mark before the text.
    parse(text.strip_prefix('\u{feff}').unwrap_or(&text))
}

fn parse(text: &str) -> Result<Vec<Line>, Vec<Wrong>> {
    let mut lines: Vec<Line> = Vec::new();
    let mut wrong = Vec::new();
    let mut option: Option<String> = None;
    for (number, raw) in (1..).zip(text.lines()) {
        let line = raw.trim();
        let begins_blank = raw.starts_with(char::is_whitespace);
        let above = option.as_ref().filter(|_| begins_blank);
        let is_comment = line.starts_with([';', '#']);
        if raw.len() >= MAX_LINE {
            wrong.push(Wrong::Line(
                number,
                "is longer than 198 bytes, so Duo splits it into two lines; shorten it",
            ));
        } else if line.is_empty() || (is_comment && above.is_none()) {
        } else if line.contains(char::REPLACEMENT_CHARACTER) {
            wrong.push(Wrong::Line(number, "is not UTF-8 text"));
        } else if above.is_some() && (is_comment || is_option(line)) {
            // It may be a secret, which has no place in our file.
            wrong.push(Wrong::Line(
                number,
                "begins with white space, so Duo reads it as part of the option above; remove the white space",
            ));
        } else if let Some(key) = above {
            lines.push(Line::of(number, key, line));
        } else if let Some(section) = line.strip_prefix('[') {
            option = None;
            if !section.contains(']') {
                wrong.push(Wrong::Line(number, "has \"[\" without \"]\""));
            }
        } else if let Some((key, value)) = before_comment(line).split_once('=') {
            let key = key.trim();
            lines.push(Line::of(number, key, value.trim()));
            option = Some(key.to_owned());
        } else {
            // The line may be a part of a secret: it is not quoted.
            wrong.push(Wrong::Line(
                number,
                "has no \"=\"; Duo ignores this and all later lines",
            ));
        }
    }
    if wrong.is_empty() {
        Ok(lines)
    } else {
        Err(wrong)
    }
}

impl Line {
    fn of(number: usize, key: &str, value: &str) -> Self {
        let is_secret = matches!(key, "ikey" | "skey");
        Self {
            number,
            key: key.to_owned(),
            value: Zeroizing::new(if is_secret { "" } else { value }.to_owned()),
        }
    }
}

/// Whether it looks like an option.
fn is_option(line: &str) -> bool {
    line.split_once('=').is_some_and(|(key, _)| {
        let key = key.trim_end();
        !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    })
}

/// A line without the comment at its end.
fn before_comment(line: &str) -> &str {
    let mut was_space = false;
    for (at, c) in line.char_indices() {
        if was_space && c == ';' {
            return line.get(..at).unwrap_or(line).trim_end();
        }
        was_space = c.is_whitespace();
    }
    line
}

/// What blanks divide; a backslash before a blank makes it a part of a word.
pub(super) fn words(value: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut chars = value.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, words.last_mut()) {
            ('\\', Some(word)) if chars.next_if_eq(&' ').is_some() => word.push(' '),
            (' ', _) => words.push(String::new()),
            (c, Some(word)) => word.push(c),
            (_, None) => {}
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The longest file, in bytes.
const MAX_BYTES: usize = 64 << 10;
const MAX_FILE: u64 = 64 << 10;

/// The longest line that Duo reads, in bytes, with its end.
const MAX_LINE: usize = 199;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(usize, String, String)> {
        let Ok(lines) = parse(text) else {
            panic!("{text}")
        };
        let lines = lines.into_iter();
        lines
            .map(|line| (line.number, line.key, line.value.to_string()))
            .collect()
    }

    fn option(number: usize, key: &str, value: &str) -> (usize, String, String) {
        (number, key.to_owned(), value.to_owned())
    }

    #[test]
    fn options_comments_and_lines_that_go_on_are_read_as_duo_does() {
        let text = "; a\n[duo]\n# b\ngroups = a b ;c\n  d,!e ;f\n\nhost=h;x\nfailmode =  safe\r\n";
        assert_eq!(
            read(text),
            [
                option(4, "groups", "a b"),
                option(5, "groups", "d,!e ;f"),
                option(7, "host", "h;x"),
                option(8, "failmode", "safe"),
            ]
        );
    }

    #[test]
    fn r11_keys_and_secrets_are_dropped_where_they_are_read() {
        let text = "[duo]\nikey = DI1\n  DI2\nskey=s1\n s2\n";
        let values = read(text).into_iter().map(|(_, _, value)| value);
        assert_eq!(values.collect::<String>(), "");
    }

    #[test]
    fn words_are_divided_by_blanks_that_no_backslash_precedes() {
        assert_eq!(words("a,!b  c"), ["a,!b", "c"]);
        assert_eq!(words(r"domain\ users x\y"), ["domain users", r"x\y"]);
        assert_eq!(words(" "), [""; 0]);
    }
}
