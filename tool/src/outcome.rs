//! How a command ends, and why it failed.

use std::fmt::Display;
use std::path::Path;

/// How the tool ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All is well.
    Good,
    /// A finding, a denial or a failure.
    Bad,
    /// OneLogin accepted what it must refuse.
    Unsafe,
}

/// A sentence of the module, whose commands are for root. They do not begin with sudo: what the sentence is about may be
/// why sudo denies, and some hosts have no sudo.
pub(crate) fn for_root(text: &str) -> String {
    text.replace("; type: ", "; as root, type: ")
}

/// Why a command failed: sentences that say what happened and what to do.
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
