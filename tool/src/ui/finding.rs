//! What `check` finds: how bad, what, where, why it matters, what to do about it.

use crate::ui::console::{Paint, paint};
use pam_onelogin::text::clean;
use serde::Serialize;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// What to do about a file that only root may read.
pub(crate) const AS_ROOT: &str = "type: sudo pam-onelogin check";

/// Who is let in by something that check does not read.
pub(crate) const UNKNOWN: &str = "unknown: check does not read it";

/// How bad a finding is; the worst comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// A user can log in without a second factor, or no user can log in.
    Fault,
    /// It works, but not as most administrators want it.
    Warning,
    /// For information; nothing has to be done.
    Note,
    /// Checked, and right.
    Good,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(crate) severity: Severity,
    /// A word for programs, which does not change.
    pub(crate) id: &'static str,
    /// One sentence.
    pub(crate) what: String,
    #[serde(flatten)]
    pub(crate) place: Option<Place>,
    /// The users who need no second factor because of it: it is then one of the ways in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) who: Option<String>,
    /// Why it matters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
    /// What to type or to write.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) advice: Option<String>,
}

/// A line of a file; the path is that on the machine, without `--root`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<usize>,
}

impl Finding {
    /// A login that succeeds or is denied against the intent.
    pub(crate) fn fault(id: &'static str, what: impl Into<String>) -> Self {
        Self::new(Severity::Fault, id, what)
    }

    /// Not as most administrators want it.
    pub(crate) fn warning(id: &'static str, what: impl Into<String>) -> Self {
        Self::new(Severity::Warning, id, what)
    }

    /// Worth knowing.
    pub(crate) fn note(id: &'static str, what: impl Into<String>) -> Self {
        Self::new(Severity::Note, id, what)
    }

    /// Looked at, and right.
    pub(crate) fn good(id: &'static str, what: impl Into<String>) -> Self {
        Self::new(Severity::Good, id, what)
    }

    fn new(severity: Severity, id: &'static str, what: impl Into<String>) -> Self {
        Self {
            severity,
            id,
            what: what.into(),
            place: None,
            who: None,
            why: None,
            advice: None,
        }
    }

    /// The file that it is about.
    pub(crate) fn in_file(mut self, path: impl AsRef<Path>) -> Self {
        self.place = Some(Place::of(path, None));
        self
    }

    /// The line that it is about, counted from 1.
    pub(crate) fn at(mut self, path: impl AsRef<Path>, line: usize) -> Self {
        self.place = Some(Place::of(path, Some(line)));
        self
    }

    /// Its place, if it has one.
    pub(crate) fn of(mut self, place: Option<Place>) -> Self {
        self.place = place;
        self
    }

    /// The users who need no second factor because of it.
    pub(crate) fn opens_to(mut self, who: impl Into<String>) -> Self {
        self.who = Some(who.into());
        self
    }

    /// Why it matters.
    pub(crate) fn why(mut self, why: impl Into<String>) -> Self {
        self.why = Some(why.into());
        self
    }

    /// What to do about it.
    pub(crate) fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// For people: a line for each part, aligned. With a width, longer lines are wrapped.
    pub(crate) fn text(&self, width: Option<usize>) -> String {
        let word = format!("{:<8}", self.severity.word());
        let what = wrap(&clean(&self.what, CHARS), 9, width);
        let place = self.place.as_ref().map(Place::text);
        let parts = [
            ("where", place.as_deref()),
            ("why", self.why.as_deref()),
            ("do", self.advice.as_deref()),
        ];
        format!(
            "{} {what}{}",
            paint(self.severity.paint(), &word),
            parts_text(parts, 9, width)
        )
    }

    /// Without control characters, so that nothing in it moves a cursor (rule R10).
    pub(crate) fn cleaned(mut self) -> Self {
        self.what = clean(&self.what, CHARS);
        self.who = self.who.map(|who| clean(&who, CHARS));
        self.why = self.why.map(|why| clean(&why, CHARS));
        self.advice = self.advice.map(|advice| clean(&advice, CHARS));
        self.place = self.place.map(Place::cleaned);
        self
    }
}

impl Place {
    pub(crate) fn of(path: impl AsRef<Path>, line: Option<usize>) -> Self {
        Self {
            path: path.as_ref().to_owned(),
            line,
        }
    }

    /// Without control characters (rule R10).
    pub(crate) fn cleaned(mut self) -> Self {
        self.path = clean(&self.path.display().to_string(), CHARS).into();
        self
    }

    /// `path:line`, as compilers write it.
    pub(crate) fn text(&self) -> String {
        let path = self.path.display();
        self.line
            .map_or_else(|| path.to_string(), |line| format!("{path}:{line}"))
    }
}

impl Severity {
    /// Whether the admin has something to do: `check` then ends with 1.
    pub(crate) fn is_bad(self) -> bool {
        self <= Self::Warning
    }

    fn word(self) -> &'static str {
        match self {
            Self::Fault => "FAULT",
            Self::Warning => "warning",
            Self::Note => "note",
            Self::Good => "good",
        }
    }

    fn paint(self) -> Paint {
        match self {
            Self::Fault => Paint::Bad,
            Self::Warning => Paint::Warning,
            Self::Note => Paint::Bold,
            Self::Good => Paint::Good,
        }
    }
}

/// A text without control characters (rule R10).
pub(crate) fn clean_all(text: &str) -> String {
    clean(text, CHARS)
}

/// A line for each part that there is, with its label after `indent` spaces.
pub(crate) fn parts_text<'a>(
    parts: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
    indent: usize,
    width: Option<usize>,
) -> String {
    const LABEL: usize = 6;
    let mut text = String::new();
    for (label, words) in parts {
        let Some(words) = words else { continue };
        let label = paint(Paint::Dim, &format!("{label:<LABEL$}"));
        let words = wrap(&clean(words, CHARS), indent + LABEL + 1, width);
        let _ = write!(text, "\n{:indent$}{label} {words}", "");
    }
    text
}

/// Text in lines of at most `width` characters, each but the first after `indent` spaces. A line to write or
/// a command to type stays in one piece, so that it can be copied.
pub(crate) fn wrap(text: &str, indent: usize, width: Option<usize>) -> String {
    let Some(width) = width else {
        return text.to_owned();
    };
    let most = width.saturating_sub(indent).max(MIN_LINE);
    let mut wrapped = String::new();
    let mut used = 0;
    for piece in pieces(text) {
        let length = piece.chars().count();
        if used > 0 && used + 1 + length > most {
            wrapped.push('\n');
            wrapped.push_str(&" ".repeat(indent));
            used = 0;
        } else if used > 0 {
            wrapped.push(' ');
            used += 1;
        }
        wrapped.push_str(piece);
        used += length;
    }
    wrapped
}

/// The words of a text; quoted text, and what stands between `type: ` and the next `;`, is one word.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let is_typed = pieces.last() == Some(&"type:");
        let mut is_quoted = false;
        let end = rest.char_indices().find(|&(_, c)| {
            is_quoted ^= c == '"';
            !is_quoted && if is_typed { c == ';' } else { c == ' ' }
        });
        // The semicolon stays with the command.
        let end = end.map_or(rest.len(), |(index, c)| index + usize::from(c == ';'));
        let (piece, after) = rest.split_at(end);
        pieces.push(piece);
        rest = after.strip_prefix(' ').unwrap_or(after);
    }
    pieces
}

/// The longest part of a finding, in characters. The members of a group may be many.
const CHARS: usize = 20_000;

/// The shortest line that text is wrapped to, in characters: on a narrower terminal, the terminal wraps it.
const MIN_LINE: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_wrapped_between_words_and_indented() {
        let text = "the module refuses this file: other users could read it";
        let wrapped = wrap(text, 9, Some(40));
        let lines: Vec<_> = wrapped.lines().collect();
        assert_eq!(
            lines,
            [
                "the module refuses this file:",
                "         other users could read it"
            ]
        );
        assert_eq!(wrap(text, 9, None), text);
        // A word that is longer than the line stays whole.
        assert_eq!(wrap(&"x".repeat(90), 9, Some(40)), "x".repeat(90));
    }

    #[test]
    fn what_is_to_be_copied_stays_in_one_line() {
        let command = "cp /usr/lib/pam.d/sudo-i /etc/pam.d/sudo-i;";
        let text = format!("type: {command} then change the file");
        let wrapped = wrap(&text, 16, Some(50));
        assert!(
            wrapped.lines().any(|line| line.trim() == command),
            "{wrapped}"
        );
        assert!(wrapped.ends_with("then change the file"), "{wrapped}");
        let line = "\"auth  required  pam_onelogin.so behind=key\"";
        let wrapped = wrap(&format!("replace the line with: {line}"), 16, Some(40));
        assert!(wrapped.lines().any(|one| one.trim() == line), "{wrapped}");
    }
}
