//! Fuzz targets for the whole module: plain functions that take bytes and panic where a rule is
//! broken. `tests/short.rs` runs them on stable over the corpus and some thousand inputs made from
//! it; `cargo-fuzz/` lets libFuzzer look for more (`make fuzz SECONDS=60`).
//!
//! | room | what it is |
//! |---|---|
//! | [`story`] | an input as a login: configuration, host, replies, answers |
//! | [`login`] | plays a story through the product, and judges each call and the end |
//! | [`reading`] | rule R6 and its neighbours, read a second time from the raw bytes |
//! | `factors` | the factors, read from the documentation a second time |
//! | [`json`] | what stands in a JSON text, without the product's types |
//! | [`parts`] | the targets for replies, configuration, map, private files and answers alone |
//! | [`tape`] | the target for tapes: what is secret is replaced |
//! | [`mutate`] | new inputs out of old ones |
//!
//! A login goes through everything between the PAM handle and the socket as it is installed: the
//! settings, whose factor it is, the flow, both versions of the API, the tokens and private files,
//! the verdict, the log line. The tape stands in for HTTPS behind the [`Transport`] trait, so that an
//! input takes well under a millisecond; `tests/over_tls.rs` does the same to a few
//! replies in the real libpam, over real TLS.
//!
//! [`Transport`]: pam_onelogin::onelogin::http::Transport

#![allow(
    clippy::must_use_candidate,
    clippy::return_self_not_must_use,
    reason = "only tests call it"
)]

mod factors;
pub mod json;
pub mod login;
pub mod mutate;
pub mod parts;
pub mod reading;
pub mod story;
pub mod tape;

use std::path::Path;

/// A target: its name, which is also the folder of its corpus, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 7] = [
    ("story", login::story),
    ("replies", parts::replies),
    ("config", parts::config),
    ("map", parts::map),
    ("state_files", parts::state_files),
    ("answers", parts::answers),
    ("tape", tape::tape),
];

/// The corpus of a target, in the order of its files' names.
pub fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target);
    let entries =
        std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
    paths.sort();
    paths
        .iter()
        .map(|path| std::fs::read(path).expect("an input"))
        .collect()
}
