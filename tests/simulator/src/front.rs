//! `OneLogin`'s front end, which is a `HAProxy`: the pages that it answers with by itself, and the headers of replies as
//! they were recorded in 2021 and 2022.

use std::net::{IpAddr, SocketAddr};

use crate::api::Budget;
use crate::http::{Incoming, Reply, reason};
use crate::state::{Dialect, State, random_hex, unix_time};

/// A page of the front end's own, byte for byte; `tests/edge.rs` compares it with a real one. No date, no `x-request-id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// 429, without `Retry-After`. The recorded client had asked for the connection to be closed; a client that has not
    /// gets the same without `connection`, as [`Page::kept`] has it.
    TooManyRequests,
    /// 408: nothing was asked in time. Only on a connection that has carried no request yet.
    RequestTimeout,
}

impl Page {
    /// Head and body.
    pub fn bytes(self) -> Vec<u8> {
        match self {
            Page::TooManyRequests => [TOO_MANY.0, "connection: close\r\n\r\n", TOO_MANY.1].concat(),
            Page::RequestTimeout => [TIME_OUT.0, "\r\n", TIME_OUT.1].concat(),
        }
        .into_bytes()
    }

    /// The same for a client that keeps its connections. A 408 ends it all the same.
    pub fn kept(self) -> Vec<u8> {
        match self {
            Page::TooManyRequests => [TOO_MANY.0, "\r\n", TOO_MANY.1].concat().into_bytes(),
            Page::RequestTimeout => self.bytes(),
        }
    }

    pub(crate) fn status(self) -> u16 {
        match self {
            Page::TooManyRequests => 429,
            Page::RequestTimeout => 408,
        }
    }
}

const TOO_MANY: (&str, &str) = (
    "HTTP/1.1 429 Too Many Requests\r\ncontent-length: 117\r\ncache-control: no-cache\r\ncontent-type: text/html\r\n",
    "<html><body><h1>429 Too Many Requests</h1>\nYou have sent too many requests in a given amount of time.\n</body></html>\n",
);
const TIME_OUT: (&str, &str) = (
    "HTTP/1.1 408 Request Time-out\r\nContent-length: 110\r\nCache-Control: no-cache\r\nConnection: close\r\nContent-Type: text/html\r\n",
    "<html><body><h1>408 Request Time-out</h1>\nYour browser didn't send a complete request in time.\n</body></html>\n",
);

/// A connection, seen from the front end.
#[derive(Clone, Copy)]
pub(crate) struct Caller {
    pub(crate) address: SocketAddr,
    /// The number of the connection, from 1.
    pub(crate) connection: u64,
}

/// Frames a reply and gives it the headers of its kind. With [`Dialect::Live`] as recorded: chunks for calls of API v1 and
/// for tokens, and counters for the former alone; a length for API v2.
pub(crate) fn dress(reply: &mut Reply, state: &State, request: &Incoming, caller: Caller) {
    let number = state.requests.len();
    if state.settings.dialect != Dialect::Live {
        push(reply, "x-request-id", format!("sim-{number}"));
        return;
    }
    let is_v1 = is_v1(request);
    if is_v1 || request.path.starts_with("/auth/") {
        reply.chunked = true;
        push(
            reply,
            "status",
            format!("{} {}", reply.status, reason(reply.status)),
        );
        if is_v1 {
            let budget = Budget::of(state);
            push(reply, "x-ratelimit-limit", budget.limit.to_string());
            push(reply, "x-ratelimit-remaining", budget.left.to_string());
            push(reply, "x-ratelimit-reset", budget.reset.to_string());
        }
        push(reply, "etag", format!("W/\"{}\"", random_hex()));
        push(
            reply,
            "cache-control",
            "max-age=0, private, must-revalidate".to_owned(),
        );
        push(reply, "x-runtime", "0.013765".to_owned());
    }
    push(
        reply,
        "x-request-id",
        request_id(caller, number, state.settings.ahead),
    );
}

/// Whether a call counts for the rate limit.
pub(crate) fn is_v1(request: &Incoming) -> bool {
    request.path.starts_with("/api/1/")
}

/// `HAProxy`'s `%{+X}o %Ts-%ci-%cp-%fi-%fp-%rt-%pid`: the time, the caller's address and port, the front end's, a counter,
/// the process. A connection stays with one of six front ends.
fn request_id(caller: Caller, number: usize, ahead: i64) -> String {
    let time = unix_time(ahead);
    let client = match caller.address.ip() {
        IpAddr::V4(address) => format!("{:08X}", address.to_bits()),
        IpAddr::V6(address) => format!("{:032X}", address.to_bits()),
    };
    let port = caller.address.port();
    let front = 0x0A0B_0504 + caller.connection % 6;
    format!("{time:X}-{client}-{port:04X}-{front:08X}-01BB-{number:04X}-38D4")
}

fn push(reply: &mut Reply, name: &str, value: String) {
    reply.headers.push((name.to_owned(), value));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_have_the_recorded_lengths() {
        for (page, length) in [(Page::TooManyRequests, 117), (Page::RequestTimeout, 110)] {
            for bytes in [page.bytes(), page.kept()] {
                let text = String::from_utf8(bytes).unwrap();
                let (head, body) = text.split_once("\r\n\r\n").unwrap();
                assert_eq!(body.len(), length, "{page:?}");
                let named = format!("content-length: {length}");
                assert!(head.to_ascii_lowercase().contains(&named), "{head}");
            }
        }
    }

    #[test]
    fn a_request_id_is_written_as_in_the_recording() {
        let caller = Caller {
            address: "76.182.33.160:60900".parse().unwrap(),
            connection: 6,
        };
        let id = request_id(caller, 0x004B_60AA, 0);
        // 609A8894-4CB621A0-EDE4-0A0B0504-01BB-4B60AA-38D4
        let (time, rest) = id.split_once('-').unwrap();
        assert_eq!(rest, "4CB621A0-EDE4-0A0B0504-01BB-4B60AA-38D4");
        assert_eq!(time.len(), 8);
    }
}
