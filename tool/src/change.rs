//! Changes of stacks and of sshd's settings: how they are written, tried, recorded and rolled back.

pub(crate) mod drop_in;
pub(crate) mod pam_auth_update;
pub(crate) mod plan;
pub(crate) mod record;
pub(crate) mod sandbox;
pub(crate) mod service;
pub(crate) mod trial;
pub(crate) mod undo;
pub(crate) mod watchdog;
