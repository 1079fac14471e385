//! The last reply of OneLogin, and what it says.

use crate::login::traced_http::Observer;
use pam_onelogin::api::{ApiError, Reply};
use pam_onelogin::onelogin::http::{Call, Caller, Method};
use pam_onelogin::text::{LOG_CHARS, clean};
use serde_json::Value;
use std::cell::RefCell;
use std::time::Duration;

/// What OneLogin replied last: the HTTP status, and the body where that is JSON.
#[derive(Default)]
pub(crate) struct LastReply(Option<(u16, Option<Value>)>);

impl LastReply {
    /// The reply in words.
    pub(crate) fn words(&self) -> String {
        let Some((status, body)) = &self.0 else {
            return "no reply".to_owned();
        };
        let form = match body {
            Some(Value::Array(_)) => "a list",
            Some(Value::Object(_)) => "an object",
            Some(_) => "a bare value",
            None => "no JSON",
        };
        let said = match self.object().and_then(|object| object.get("status")) {
            Some(Value::String(word)) => format!(", status \"{}\"", clean(word, LOG_CHARS)),
            Some(Value::Object(status)) => match status.get("type").and_then(Value::as_str) {
                Some(kind) => format!(", status of type \"{}\"", clean(kind, LOG_CHARS)),
                None => ", status without a type".to_owned(),
            },
            Some(_) | None => String::new(),
        };
        format!("HTTP {status}, {form}{said}")
    }

    /// The HTTP status of the last reply.
    pub(crate) fn status(&self) -> Option<u16> {
        self.0.as_ref().map(|(status, _)| *status)
    }

    /// Whether the last reply has this word as its status.
    pub(crate) fn is(&self, word: &str) -> bool {
        let status = self.object().and_then(|object| object.get("status"));
        status.and_then(Value::as_str) == Some(word)
    }

    /// The ids in the last reply.
    pub(crate) fn ids(&self) -> String {
        let ids = ["id", "user_id", "device_id"].into_iter();
        let ids: Vec<&str> = ids.filter(|key| self.has(key)).collect();
        if ids.is_empty() {
            "no id".to_owned()
        } else {
            ids.join(", ")
        }
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        let value = self.object().and_then(|object| object.get(key));
        value.is_some_and(|value| !value.is_null())
    }

    fn object(&self) -> Option<&Value> {
        match self.0.as_ref()?.1.as_ref()? {
            Value::Array(list) => list.first(),
            object => Some(object),
        }
    }
}

/// Which replies are remembered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Noted {
    All,
    /// To what was sent.
    Sent,
}

/// Remembers the last reply of a step.
pub(crate) struct Watch<'a> {
    pub(crate) seen: &'a RefCell<LastReply>,
    pub(crate) notes: Noted,
}

impl Observer for Watch<'_> {
    fn exchange(
        &self,
        call: &Call<'_>,
        result: &Result<Reply, ApiError>,
        _: Duration,
        _: Duration,
    ) {
        // After a refused code a login looks once more at its push: that is not the answer to the code.
        let is_noted = self.notes == Noted::All || !matches!(call.method, Method::Get);
        // The reply to a token call holds the token.
        if is_noted && !matches!(call.caller, Caller::Client { .. }) {
            let reply = result.as_ref().ok();
            let body = |reply: &Reply| serde_json::from_slice(&reply.body).ok();
            *self.seen.borrow_mut() = LastReply(reply.map(|reply| (reply.status, body(reply))));
        }
    }
}
