//! OneLogin's API. `wire` is pure; `http` is the only file that knows the HTTP client.

pub mod http;
pub mod token;
pub mod v2;
pub mod wire;
