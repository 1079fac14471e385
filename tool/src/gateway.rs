//! The gateway between the hosts and OneLogin: its settings, and the configuration of its `HAProxy`.

pub(crate) mod settings;
