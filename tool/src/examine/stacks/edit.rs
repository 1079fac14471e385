//! What the admin is told to write into a stack, in words and as a change of the file: the judge
//! looks at what the words lead to before they are said.

use crate::ui::finding::Finding;
use std::fmt;
use std::path::{Path, PathBuf};

/// A change of one file of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Edit {
    /// This line is written for the one of the finding.
    Replace(Spot, String),
    /// This line is added behind the one of the finding.
    Behind(Spot, String),
    /// This line is added before the one of the finding.
    Before(Spot, String),
    /// The line of the finding goes.
    TakeOut(Spot),
    /// The lines for auth are written anew.
    Rewrite,
}

/// A line of a file, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) path: PathBuf,
    pub(super) line: usize,
}

/// What was found, and what may help; the first edit that does is said. Where none does, the advice
/// of the finding stays.
pub(super) struct Found {
    pub(super) finding: Finding,
    pub(super) edits: Vec<Edit>,
    /// What may help as well, before the edit that is said.
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
    /// A finding that an edit may mend, else the samples.
    pub(super) fn mended_by(finding: Finding, edits: impl Into<Vec<Edit>>) -> Self {
        Self {
            finding: finding.advice("compare it with the samples: README, \"Stacks\""),
            edits: edits.into(),
            lead: "",
        }
    }
}

impl Edit {
    /// The file that changes; none: it is that of the service.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::Replace(spot, _)
            | Self::Behind(spot, _)
            | Self::Before(spot, _)
            | Self::TakeOut(spot) => Some(&spot.path),
            Self::Rewrite => None,
        }
    }

    /// The text after the change. `None`: the line goes on in the next one, or is not there.
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
            Self::Replace(_, line) => write!(f, "write in its place: \"{line}\""),
            Self::Behind(_, line) => write!(f, "add behind it: \"{line}\""),
            Self::Before(_, line) => write!(f, "add before it: \"{line}\""),
            Self::TakeOut(_) => f.write_str("take the line out"),
            Self::Rewrite => f.write_str("write the lines for auth anew"),
        }
    }
}

/// The advice to write all lines for auth anew. `None`: it is too long to be shown whole, or holds
/// what would not be shown.
pub(super) fn rewrite_advice(path: &Path, auth: &[String], lost: &[String]) -> Option<String> {
    let quoted: Vec<_> = auth.iter().map(|line| format!("\"{line}\"")).collect();
    let mut text = format!(
        "in {}, write in place of every line for auth, and of what includes such lines: {}",
        path.display(),
        quoted.join(", ")
    );
    if !lost.is_empty() {
        let lost = lost.join(", ");
        text = format!("{text}; no longer used is {lost}");
    }
    let is_shown = pam_onelogin::text::clean(&text, MAX_CHARS) == text;
    let is_plain = !auth.iter().any(|line| line.contains('"'));
    (is_shown && is_plain).then_some(text)
}

/// As much as a finding shows.
const MAX_CHARS: usize = 600;
