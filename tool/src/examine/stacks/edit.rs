//! What the advice tells the administrator to write into a stack, as words and as a change of the file.
//! The judge checks the result of the change before the advice is shown.

use crate::ui::finding::Finding;
use std::fmt;
use std::path::{Path, PathBuf};

/// A change of one file of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Edit {
    /// This line replaces the line of the finding.
    Replace(Spot, String),
    /// This line is added after the line of the finding.
    Behind(Spot, String),
    /// This line is added before the line of the finding.
    Before(Spot, String),
    /// The line of the finding is removed.
    TakeOut(Spot),
    /// All auth lines are replaced.
    Rewrite,
}

/// A line of a file, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) path: PathBuf,
    pub(super) line: usize,
}

/// A finding, and the edits that may fix it. The advice becomes the first edit that does; if no edit
/// does, the advice of the finding stays.
pub(super) struct Found {
    pub(super) finding: Finding,
    pub(super) edits: Vec<Edit>,
    /// Another way to fix it, shown before the edit.
    pub(super) lead: &'static str,
}

impl From<Finding> for Found {
    fn from(finding: Finding) -> Self {
        Self {
            finding,
            edits: Vec::new(),
            lead: "",
        }
    }
}

impl Found {
    /// A finding that an edit may fix; otherwise the advice names the sample stacks.
    pub(super) fn mended_by(finding: Finding, edits: impl Into<Vec<Edit>>) -> Self {
        Self {
            finding: finding
                .advice("compare the stack with the samples: see \"STACKS\" in pam_onelogin(8)"),
            edits: edits.into(),
            lead: "",
        }
    }
}

impl Edit {
    /// The file that changes; `None` for the file of the service.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::Replace(spot, _)
            | Self::Behind(spot, _)
            | Self::Before(spot, _)
            | Self::TakeOut(spot) => Some(&spot.path),
            Self::Rewrite => None,
        }
    }

    /// The text after the change. `None` if the line continues on the next one, or does not exist.
    pub(super) fn apply(&self, text: &str) -> Option<String> {
        let (spot, before, behind) = match self {
            Self::Before(spot, new) => (spot, Some(new), None),
            Self::Replace(spot, new) | Self::Behind(spot, new) => (spot, None, Some(new)),
            Self::TakeOut(spot) => (spot, None, None),
            Self::Rewrite => return None,
        };
        let stays = matches!(self, Self::Behind(..) | Self::Before(..));
        let mut out = String::new();
        let mut is_there = false;
        for (number, line) in (1..).zip(text.lines()) {
            if number != spot.line {
                out.push_str(line);
                out.push('\n');
                continue;
            }
            is_there = !line.ends_with('\\');
            let kept = stays.then_some(line);
            let new = [before.map(String::as_str), kept, behind.map(String::as_str)];
            for line in new.into_iter().flatten() {
                out.push_str(line);
                out.push('\n');
            }
        }
        is_there.then_some(out)
    }
}

/// As an advice for the line of the finding.
impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replace(_, line) => {
                write!(f, "replace the line with, without the quotes: \"{line}\"")
            }
            Self::Behind(_, line) => write!(f, "add after the line: \"{line}\""),
            Self::Before(_, line) => write!(f, "add before the line: \"{line}\""),
            Self::TakeOut(_) => f.write_str("remove the line"),
            Self::Rewrite => f.write_str("replace all auth lines"),
        }
    }
}

/// The advice to replace all auth lines. `None` if it is too long to be shown in full, or contains
/// characters that are not shown.
pub(super) fn rewrite_advice(path: &Path, auth: &[String], lost: &[String]) -> Option<String> {
    let quoted: Vec<_> = auth.iter().map(|line| format!("\"{line}\"")).collect();
    let mut text = format!(
        "in {}, replace every auth line, and every line that includes auth lines, with: {}",
        path.display(),
        quoted.join(", ")
    );
    if !lost.is_empty() {
        let lost = lost.join(", ");
        text = format!("{text}; these lines are then no longer used: {lost}");
    }
    let is_shown = pam_onelogin::text::clean(&text, MAX_CHARS) == text;
    let is_plain = !auth.iter().any(|line| line.contains('"'));
    (is_shown && is_plain).then_some(text)
}

/// The longest text that a finding shows, in characters.
const MAX_CHARS: usize = 600;
