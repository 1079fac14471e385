//! What a login costs, and what a fleet of hosts asks of OneLogin.
//!
//! - [`contender`]: the modules that are compared, each ready for a login
//! - [`measure`]: logins, counted and timed; instructions
//! - [`report`]: the tables, and the documents that hold them
//! - [`chart`]: the chart of these figures
//! - [`gateway`]: a login through a gateway, beside one without
//! - [`load`]: how many requests a second a gateway carries
//! - [`fleet`]: calls an hour, from what a login sends

#![allow(
    clippy::must_use_candidate,
    clippy::return_self_not_must_use,
    reason = "only tests call it"
)]

pub mod chart;
pub mod contender;
pub mod fleet;
pub mod gateway;
pub mod load;
pub mod measure;
pub mod report;
