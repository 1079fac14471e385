//! The gateway between the hosts and OneLogin: its settings, and the configuration of its `HAProxy`.

mod allowed;
pub(crate) mod haproxy;
pub(crate) mod settings;
