//! The texts of the tables in the form of each document. In them `` `x` `` is what stands in a file
//! or in the log, and `{x}` refers to a page of docs/: see `Pages::reference`.

use crate::pages::Pages;
use std::fmt::Write as _;

/// The form of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form<'a> {
    /// Markdown, for the document with this path: a page, or a manual page that is made from Markdown.
    Markdown(&'a str),
    /// A comment in a file of settings.
    Comment,
}

impl Form<'_> {
    /// What stands in a file or in the log.
    pub(crate) fn literal(self, text: &str) -> String {
        match self {
            Self::Markdown(_) => format!("`{text}`"),
            Self::Comment => text.to_owned(),
        }
    }

    /// A text of a table.
    pub(crate) fn text(self, text: &str, pages: &Pages) -> Result<String, String> {
        let document = match self {
            Self::Markdown(path) => path,
            Self::Comment => "",
        };
        let mut written = String::new();
        for (index, part) in text.split('`').enumerate() {
            if index % 2 == 1 {
                written.push_str(&self.literal(part));
                continue;
            }
            let mut rest = part;
            while let Some((before, behind)) = rest.split_once('{') {
                let (target, behind) = behind
                    .split_once('}')
                    .ok_or_else(|| format!("a brace is open: {text}"))?;
                written.push_str(before);
                written.push_str(&pages.reference(target, document)?);
                rest = behind;
            }
            written.push_str(rest);
        }
        Ok(written)
    }
}

/// The words of a text in lines of this width, each but the first behind this.
pub(crate) fn wrapped(text: &str, indent: &str, width: usize) -> String {
    let mut lines = String::new();
    let mut length = 0;
    for word in words(text) {
        let new = word.chars().count();
        if length > 0 && length + 1 + new > width {
            let _ = write!(lines, "\n{indent}");
            length = indent.chars().count();
        } else if length > 0 {
            lines.push(' ');
            length += 1;
        }
        lines.push_str(word);
        length += new;
    }
    lines
}

/// The words of a text; what stands in backquotes is one.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut start = 0;
    let mut is_literal = false;
    for (place, c) in text.char_indices() {
        match c {
            '`' => is_literal = !is_literal,
            ' ' if !is_literal => {
                words.extend(text.get(start..place));
                start = place + 1;
            }
            _ => {}
        }
    }
    words.extend(text.get(start..));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_takes_the_form_of_its_document() {
        let pages = crate::pages::tests::pages();
        let text = "See {limits} and {configuration#Keys}: the user's `a-b`. Then {outage}.";
        let written = |form: Form| form.text(text, &pages).unwrap();
        assert_eq!(
            written(Form::Markdown("docs/configuration.md")),
            "See [Limits](limits.md) and [Keys](#keys): the user's `a-b`. Then [Outage](outage.md)."
        );
        assert_eq!(
            written(Form::Markdown("README.md")),
            "See [Limits](docs/limits.md) and [Keys](docs/configuration.md#keys): the user's `a-b`. \
             Then [Outage](docs/outage.md)."
        );
        assert_eq!(
            written(Form::Comment),
            "See \"LIMITS\" in pam_onelogin(8) and \"KEYS\" in pam_onelogin.conf(5): the user's a-b. \
             Then \"Outage\" in docs/outage.md."
        );
        for wrong in ["{nowhere}", "{limits#nowhere}", "{limits"] {
            assert!(Form::Comment.text(wrong, &pages).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_line_is_broken_between_words_and_not_within_a_literal() {
        let long = "a ".repeat(63);
        let text = format!("{long}`b c` d");
        let lines: Vec<String> = wrapped(&text, "  ", 128)
            .lines()
            .map(str::to_owned)
            .collect();
        assert_eq!(lines, [long.trim_end(), "  `b c` d"]);
    }
}
