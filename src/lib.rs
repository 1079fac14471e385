//! `pam_onelogin`: a PAM module that asks OneLogin for a second factor.
//!
//! A login is data that moves one way: arguments and file become a [`config::Config`]; the PAM
//! handle becomes a [`user::Request`]; both become a [`user::Subject`], an exemption or a denial;
//! [`login::Login::run`] turns a subject into a [`login::Outcome`]; [`verdict::of`] turns that into
//! a PAM code, a log line and a sentence for the user.
//!
//! Each module imports only modules that stand below it here; `tests/architecture.rs` compares this table with the code. A module
//! that touches nothing takes values and returns values, and imports only such modules.
//!
//! | module | what it does | may touch |
//! |---|---|---|
//! | [`module`] | the six PAM entry points and the flow of a login | everything |
//! | [`host_login`] | one login with everything around it, for the module and the tool | its parts |
//! | [`onelogin`] | the client of OneLogin's API: http, client, calls, token, addresses, users, cache, v1, v2 | the network; files, reading |
//! | [`state`] | private files: token, cache, addresses, what is remembered of a user, watched logins, offline codes | files, writing |
//! | [`config::file`] | opens and checks the files that an administrator wrote | files, reading |
//! | [`trust`] | whose files are trusted | files, reading |
//! | [`log`] | the decision, remarks and debug lines, to the log | /dev/log, the journal's socket |
//! | [`clock`] | time | the clock |
//! | [`host`] | what the system says of processes, users and groups | NSS, /proc, standard descriptors, signals |
//! | [`pam`] | the PAM handle as values, the conversation as a prompt | libpam |
//! | [`pam::sys`] | all `unsafe`: calls for which there is no safe wrapper | libpam, libc |
//! | [`denials`] | the denials that a PAM handle keeps | nothing |
//! | [`verdict`] | the one table from outcome to PAM code | nothing |
//! | [`reason`] | the one table of the reasons: word, sentence for the user, advice | nothing |
//! | [`login`] | the flow, and the traits it needs | nothing |
//! | [`api`] | OneLogin's wire format: replies as values, and what an error means | nothing |
//! | [`offline`] | offline codes: their form, and how one is used up | nothing |
//! | [`outage`] | when `failmode = "safe"` lets in | nothing |
//! | [`user`] | who must log in with OneLogin, who is exempt, by which OneLogin name | nothing |
//! | [`map`] | names at OneLogin, and the map file of those that differ | nothing |
//! | [`args`] | the words behind the module in the stack | nothing |
//! | [`config`] | text to settings, or faults with line and advice | nothing |
//! | [`factor`] | the table of the factors, devices, the menu, reading an answer | nothing |
//! | [`group`] | pattern lists over group names | nothing |
//! | [`id`] | OneLogin's ids | nothing |
//! | [`digest`] | names made of what they stand for | nothing |
//! | [`text`], [`secret`] | text that is cleaned, values that are wiped | nothing |
//! | `listed` | enums that can list their values | nothing |
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

#[macro_use]
mod listed;

pub mod api;
pub mod args;
pub mod clock;
pub mod config;
pub mod denials;
pub mod digest;
pub mod factor;
pub mod group;
pub mod host;
pub mod host_login;
pub mod id;
pub mod log;
pub mod login;
pub mod map;
pub mod module;
pub mod offline;
pub mod onelogin;
pub mod outage;
pub mod pam;
pub mod reason;
pub mod secret;
pub mod state;
pub mod text;
pub mod trust;
pub mod user;
pub mod verdict;
