//! The system that the tool runs on, or looks at: files, programs, users, the log.

pub(crate) mod audit;
pub(crate) mod dates;
pub(crate) mod files;
pub(crate) mod programs;
pub(crate) mod state_mount;
pub(crate) mod target_system;
pub(crate) mod user_selection;
