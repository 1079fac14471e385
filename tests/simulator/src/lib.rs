//! A stateful stand-in for `OneLogin`'s REST API, over TLS on loopback: for tests, the demo and benchmarks.
//!
//! `simulator` is what callers hold, `server` and `http` carry the bytes, `api` answers, `state` remembers,
//! `front` is `OneLogin`'s front end, `fault` spoils replies on demand, `replay` answers as a tape does. Where the real API is undocumented, the comment at the place says what was chosen.

#![allow(
    clippy::must_use_candidate,
    clippy::return_self_not_must_use,
    reason = "only tests call it"
)]

mod api;
mod authority;
mod certificate;
mod device;
mod fault;
mod front;
mod http;
mod message;
mod replay;
mod samples;
mod scope;
mod server;
mod simulator;
mod state;
mod totp;
mod user;

pub use authority::{Authority, Issued, KeyKind, Usage, Wanted};
pub use certificate::Certificate;
pub use device::{Device, Factor};
pub use fault::{Action, Fault, Match};
pub use front::Page;
pub use message::Message;
pub use samples::{sample_users, samples};
pub use scope::{Scope, ScopeRules};
pub use simulator::{Options, Simulator, Tickets};
pub use state::{
    Dialect, ExpiredPoll, Outcome, ProtectListing, PushBehaviour, Registration, Reissue, Request,
    Usernames, WrongCode,
};
pub use totp::totp;
pub use user::User;

/// The client id that every simulator accepts.
pub const DEFAULT_CLIENT_ID: &str =
    "d2f1c0ffee0000000000000000000000000000000000000000000000000a11ce";
/// The client secret that belongs to [`DEFAULT_CLIENT_ID`].
pub const DEFAULT_CLIENT_SECRET: &str =
    "5ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2";
