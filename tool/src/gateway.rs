//! The gateway between the hosts and OneLogin: its settings, the configuration of its `HAProxy`, the lists that this compares,
//! and the keeper of its token.

pub(crate) mod allowed;
pub(crate) mod handover;
pub(crate) mod haproxy;
pub(crate) mod keeper;
pub(crate) mod lists;
pub(crate) mod notify;
pub(crate) mod onelogin;
pub(crate) mod settings;
