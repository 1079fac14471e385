//! sshd: what its files say, what it is set to in its own words, and the one that runs.

pub(crate) mod config;
pub(crate) mod effective;
pub(crate) mod keyword;
pub(crate) mod lost_logins;
pub(crate) mod match_blocks;
pub(crate) mod methods;
pub(crate) mod running;
