//! What a person or a program sees of the tool, and types into it.

pub(crate) mod console;
pub(crate) mod diff;
pub(crate) mod finding;
pub(crate) mod terminal;
