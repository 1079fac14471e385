//! PAM applications for tests and the demo.
//!
//! - [`case`]: one scripted run of the real libpam in a process of its own, without root
//! - [`calls`]: the system calls of a run, counted
//! - [`place`]: private service folders and configuration files; where the built module is
//! - [`edge`]: the real `HAProxy` as the front end of a simulator
//! - [`gateway`]: the real `HAProxy` as a gateway between hosts and a simulator, with certificates for both
//! - [`log`]: a socket that receives syslog lines
//! - [`proxy`]: a wire with a delay, which counts round trips
//! - [`tunnel`]: a proxy that is asked for connections to others
//! - [`pty`]: a program on a terminal, driven by what it shows
//! - [`root`]: the real sshd and sudo, inside a private mount namespace
//! - [`wire`], [`snapshot`]: what the library and the binary `pam-host` tell each other
//! - [`host`], [`ffi`]: the binary's inside

#![allow(
    clippy::must_use_candidate,
    clippy::return_self_not_must_use,
    reason = "only tests call it"
)]

pub mod calls;
pub mod case;
pub mod edge;
pub mod ffi;
pub mod gateway;
pub mod host;
pub mod log;
pub mod place;
pub mod proxy;
pub mod pty;
pub mod root;
pub mod snapshot;
pub mod tunnel;
pub mod wire;

pub use calls::Calls;
pub use case::{Case, Outcome, Running, Step};
pub use edge::Edge;
pub use gateway::{Certificates, Flaw, Gateway, Identity, Pki};
pub use log::Log;
pub use place::Place;
pub use proxy::Proxy;
pub use pty::Pty;
pub use tunnel::{Manner, Tunnels};
pub use wire::{
    Answer, Call, Called, Code, Cost, Ids, Message, Script, Snapshot, Style, Text, Texts,
};
