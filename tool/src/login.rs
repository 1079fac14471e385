//! Logins by the module's own code: what they would come to, how one goes, what they have left here.

pub(crate) mod decisions;
pub(crate) mod last_reply;
pub(crate) mod observed;
pub(crate) mod offline_codes;
pub(crate) mod outlook;
pub(crate) mod proof;
pub(crate) mod recorder;
pub(crate) mod rehearsal;
pub(crate) mod scratch;
pub(crate) mod script;
pub(crate) mod stored;
pub(crate) mod terminal_login;
pub(crate) mod traced_http;
