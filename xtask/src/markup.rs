//! The texts of the tables in the form of each document. In them `` `x` `` is what stands in a file
//! or in the log, and `{X}` names a section of a manual page.

use std::fmt::Write as _;

/// The form of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// README.md
    Markdown,
    /// A manual page; this one.
    Man(&'static Page),
    /// A comment in a file of settings.
    Comment,
}

/// A manual page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Page {
    path: &'static str,
    name: &'static str,
}

const MODULE: Page = Page {
    path: "man/pam_onelogin.8",
    name: "pam_onelogin(8)",
};

const CONFIGURATION: Page = Page {
    path: "man/pam_onelogin.conf.5",
    name: "pam_onelogin.conf(5)",
};

impl Form {
    /// The page of the module.
    pub(crate) const MODULE: Self = Self::Man(&MODULE);
    /// The page of the configuration.
    pub(crate) const CONFIGURATION: Self = Self::Man(&CONFIGURATION);

    /// What stands in a file or in the log.
    pub(crate) fn literal(self, text: &str) -> String {
        match self {
            Self::Markdown => format!("`{text}`"),
            Self::Man(_) => format!("\\fB{}\\fR", escaped(text, "\\(aq")),
            Self::Comment => text.to_owned(),
        }
    }

    /// A line that is shown as it is.
    pub(crate) fn line(self, text: &str) -> String {
        match self {
            Self::Markdown | Self::Comment => text.to_owned(),
            Self::Man(_) => escaped(text, "\\(aq"),
        }
    }

    /// A text of a table.
    pub(crate) fn text(self, text: &str, sections: &Sections) -> Result<String, String> {
        let mut written = String::new();
        for (index, part) in text.split('`').enumerate() {
            if index % 2 == 1 {
                written.push_str(&self.literal(part));
                continue;
            }
            let mut rest = part;
            while let Some((before, behind)) = rest.split_once('{') {
                let (section, behind) = behind
                    .split_once('}')
                    .ok_or_else(|| format!("a brace is open: {text}"))?;
                written.push_str(&self.plain(before));
                written.push_str(&self.plain(&sections.reference(section, self)?));
                rest = behind;
            }
            written.push_str(&self.plain(rest));
        }
        Ok(match self {
            Self::Markdown | Self::Comment => written,
            Self::Man(_) => sentence_a_line(&written),
        })
    }

    fn plain(self, text: &str) -> String {
        match self {
            Self::Markdown | Self::Comment => text.to_owned(),
            Self::Man(_) => escaped(text, "\\(cq"),
        }
    }
}

/// A text as groff has to read it, in which `'` is this.
fn escaped(text: &str, quote: &str) -> String {
    text.replace('\\', "\\e")
        .replace('-', "\\-")
        .replace('\'', quote)
        .replace('…', "...")
}

/// Each sentence on a line of its own, so that groff puts its space behind it.
fn sentence_a_line(text: &str) -> String {
    let mut lines = String::new();
    let mut sentences = text.split(". ").peekable();
    while let Some(sentence) = sentences.next() {
        lines.push_str(sentence);
        if sentences.peek().is_some() {
            lines.push_str(".\n");
        }
    }
    lines
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

/// The pages that the texts of the tables refer to.
const PAGES: [&str; 8] = [
    "docs/automation.md",
    "docs/configuration.md",
    "docs/limits.md",
    "docs/network.md",
    "docs/outage.md",
    "docs/performance.md",
    "docs/users.md",
    "docs/who-is-asked.md",
];

/// The headings of the documents.
pub(crate) struct Sections {
    readme: Vec<String>,
    pages: Vec<(&'static Page, Vec<String>)>,
}

impl Sections {
    /// Reads them.
    pub(crate) fn of(read: impl Fn(&str) -> Result<String, String>) -> Result<Self, String> {
        let mut readme = Vec::new();
        for page in PAGES {
            let text = read(page)?;
            readme.extend(text.lines().filter_map(|line| {
                let heading = line.trim_start_matches('#').strip_prefix(' ')?;
                line.starts_with('#').then(|| heading.to_owned())
            }));
        }
        let mut pages = Vec::new();
        for page in [&MODULE, &CONFIGURATION] {
            let text = read(page.path)?;
            let headings = text.lines().filter_map(|line| {
                let heading = line.strip_prefix(".SH ").or(line.strip_prefix(".SS "))?;
                Some(heading.trim_matches('"').replace("\\-", "-"))
            });
            pages.push((page, headings.collect()));
        }
        Ok(Self { readme, pages })
    }

    /// How a document of this form names a section.
    fn reference(&self, section: &str, form: Form) -> Result<String, String> {
        if form == Form::Markdown {
            let mut headings = self.readme.iter();
            if let Some(heading) = headings.find(|heading| heading.eq_ignore_ascii_case(section)) {
                return Ok(format!("\"{heading}\""));
            }
        }
        let mut pages = self.pages.iter();
        let page = pages.find(|(_, headings)| headings.iter().any(|heading| heading == section));
        match page {
            None => Err(format!("no manual page has a section {section}")),
            Some((page, _)) if form == Form::Man(page) => Ok(format!("\"{section}\"")),
            Some((page, _)) => Ok(format!("\"{section}\" in {}", page.name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sections() -> Sections {
        let read = |path: &str| {
            Ok(match path {
                "docs/limits.md" => "# Limits\n",
                page if page.starts_with("docs/") => "# Other\n",
                "man/pam_onelogin.8" => ".SH \"LIMITS\"\n.SS \"Where safe applies\"\n",
                _ => ".SH KEYS\n",
            }
            .to_owned())
        };
        Sections::of(read).unwrap()
    }

    #[test]
    fn a_text_takes_the_form_of_its_document() {
        let sections = sections();
        let text = "See {LIMITS} and {KEYS}: the user's `a-b`. Then {Where safe applies}.";
        let written = |form: Form| form.text(text, &sections).unwrap();
        assert_eq!(
            written(Form::Markdown),
            "See \"Limits\" and \"KEYS\" in pam_onelogin.conf(5): the user's `a-b`. Then \"Where safe applies\" in pam_onelogin(8)."
        );
        assert_eq!(
            written(Form::MODULE),
            "See \"LIMITS\" and \"KEYS\" in pam_onelogin.conf(5): the user\\(cqs \\fBa\\-b\\fR.\nThen \"Where safe applies\"."
        );
        assert!(Form::Markdown.text("{NOWHERE}", &sections).is_err());
        assert!(Form::Markdown.text("{LIMITS", &sections).is_err());
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
