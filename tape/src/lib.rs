//! Tapes: the requests and replies of one login as JSON lines, without any secret or personal value.
//!
//! `pam-onelogin test USER --record FILE` records one; the simulator replays it. `docs/tape.md` says for administrators what a
//! tape contains. The module does not use this crate.
//!
//! | module | what it does |
//! |---|---|
//! | [`mod@format`] | the lines as types; reading, with the line of a fault, and writing |
//! | [`json`] | JSON that keeps the order of its keys, and keys that are there twice |
//! | [`words`] | the dictionary of protocol words: nothing else survives the redaction |
//! | [`placeholder`] | what stands for a value: `{digits 6 #4}` |
//! | [`redact`] | from values to placeholders, and the check of the finished text |
//! | [`replay`] | from placeholders to values: what to type, what to answer, what was different |
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::unreachable,
        clippy::todo,
        clippy::as_conversions
    )
)]

pub mod format;
pub mod json;
pub mod placeholder;
pub mod redact;
pub mod replay;
pub mod words;

pub use format::{
    Authorization, Exchange, Header, NoReply, Outcome, Reply, Request, Settings, Step, Tape,
};
pub use json::Json;
pub use redact::{RawReply, RawRequest, Redactor};
pub use replay::{Replay, Served};
