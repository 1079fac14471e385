//! How a command ends, and why it could not do its work.

use std::fmt::Display;
use std::path::Path;

/// How the tool ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All is well.
    Good,
    /// A finding, a denial, or something that could not be done.
    Bad,
}

/// Why a command could not do its work; each is a sentence that says what to do.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) Vec<String>);

impl Failure {
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Self(vec![sentence.into()])
    }

    /// What is wrong with a file, or a folder.
    pub(crate) fn at(path: &Path, what: impl Display) -> Self {
        Self::new(format!("{}: {what}", path.display()))
    }
}
