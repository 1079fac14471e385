//! What a login costs, and what a fleet of hosts asks of OneLogin.
//!
//! - [`contender`]: the modules that are compared, each ready for a login
//! - [`measure`]: logins, counted and timed; instructions
//! - [`report`]: the tables, the chart, and the documents that hold them
//! - [`fleet`]: calls an hour, from what a login sends

pub mod contender;
pub mod fleet;
pub mod measure;
pub mod report;
