//! Stacks as libpam reads and walks them, from text and without calling anything: Linux-PAM 1.5 to
//! 1.7, with Debian's `@include`. The tests hold it to the real libpam.

mod codes;
pub(crate) mod edit;
mod explore;
pub(crate) mod known_modules;
mod reader;
pub(crate) mod spelling;
mod syntax;
pub(crate) mod verify;
mod walk;

pub use codes::{
    ABORT, AUTH_ERR, AUTHINFO_UNAVAIL, Code, IGNORE, INCOMPLETE, MODULE_UNKNOWN, NAMES,
    PERM_DENIED, SUCCESS, USER_UNKNOWN, name,
};
pub use explore::{Model, Skip, Way, explore};
pub use reader::{Body, CONF, Entry, FOLDERS, Files, Stack, Unreadable, open, read, services};
pub use syntax::{Action, Control, Kind, flaws};
pub(crate) use syntax::{Says, goes_on, says};
pub use walk::{Frozen, Jumps, State, Step, authenticate, set_credentials};
