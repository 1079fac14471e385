//! A connection to OneLogin that remembers the last reply.

use crate::login::traced_http::{Steps, TracedHttp};
use crate::ui::console::Console;
use crate::ui::terminal::Countdown;
use pam_onelogin::api::{ApiError, Reply};
use pam_onelogin::config::Config;
use pam_onelogin::login::Deadline;
use pam_onelogin::onelogin::http::{Call, Caller, Method, Transport};
use pam_onelogin::text::{LOG_CHARS, clean};
use serde_json::Value;
use std::cell::RefCell;
use std::net::IpAddr;

/// What OneLogin replied, without values.
#[derive(Default)]
pub(crate) struct Replies {
    /// To a look at a push, or to what was sent.
    last: Option<Answered>,
}

/// A reply: its status, and its body where that is JSON.
pub(crate) type Answered = (u16, Option<Value>);

impl Replies {
    /// The reply in words.
    pub(crate) fn last(&self) -> String {
        let Some((status, body)) = &self.last else {
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
        self.last.as_ref().map(|(status, _)| *status)
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
            "none".to_owned()
        } else {
            ids.join(", ")
        }
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        let value = self.object().and_then(|object| object.get(key));
        value.is_some_and(|value| !value.is_null())
    }

    fn object(&self) -> Option<&Value> {
        match self.last.as_ref()?.1.as_ref()? {
            Value::Array(list) => list.first(),
            object => Some(object),
        }
    }
}

/// The connection of one step, which remembers what OneLogin replies.
pub(crate) struct Watched<'a> {
    http: TracedHttp<'a>,
    seen: &'a RefCell<Replies>,
    notes: Noted,
}

/// Which replies it remembers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Noted {
    All,
    /// To what was sent.
    Sent,
}

impl<'a> Watched<'a> {
    pub(crate) fn new(
        config: &'a Config,
        console: &'a Console,
        clock: &'a Countdown<'a>,
        (seen, notes): (&'a RefCell<Replies>, Noted),
    ) -> Self {
        let http = TracedHttp::new(config, console, clock, Steps::Shown);
        Self { http, seen, notes }
    }
}

impl Transport for Watched<'_> {
    fn prepare(&mut self, deadline: Deadline) -> Result<(), ApiError> {
        self.http.prepare(deadline)
    }

    fn refresh(&mut self, deadline: Deadline) -> Result<(), ApiError> {
        self.http.refresh(deadline)
    }

    fn send(&mut self, call: &Call<'_>, deadline: Deadline) -> Result<Reply, ApiError> {
        let result = self.http.send(call, deadline);
        // After a refused code a login looks once more at its push: that is not the answer to the code.
        // The reply to a token call holds the token.
        let is_for_a_token = matches!(call.caller, Caller::Client { .. });
        let is_noted = self.notes == Noted::All || !matches!(call.method, Method::Get);
        if is_noted && !is_for_a_token {
            let reply = result.as_ref().ok();
            self.seen.borrow_mut().last =
                reply.map(|reply| (reply.status, serde_json::from_slice(&reply.body).ok()));
        }
        result
    }

    fn disconnect(&mut self) {
        self.http.disconnect();
    }

    fn addresses(&self) -> Vec<IpAddr> {
        self.http.addresses()
    }

    fn fall_back(&mut self, addresses: Vec<IpAddr>) {
        self.http.fall_back(addresses);
    }
}
