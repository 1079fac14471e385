//! The tunnel through a proxy: the request for it, and what the answer means.

use super::link::Line;
use super::progress::RequestProgress;
use crate::config::{Origin, Proxy};
use std::io::{self, Read as _, Write as _};
use ureq::Error;
use zeroize::Zeroizing;

/// The longest answer of a proxy, in bytes.
const MAX_HEAD: usize = 16 << 10;

const HEADER: &str = "Proxy-Authorization: ";

const END: &str = "\r\n";

/// A proxy, and what it is asked. Nothing else is sent to it in the clear.
pub(super) struct Tunnel {
    host: String,
    port: u16,
    request: Zeroizing<String>,
}

impl Tunnel {
    /// To this host; `authorization` is the value of the header for the proxy.
    pub(super) fn new(
        proxy: &Proxy,
        origin: &Origin,
        authorization: Option<&Zeroizing<String>>,
    ) -> Self {
        let to = origin.authority();
        let head = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n");
        let secret = authorization.map_or("", |value| value.as_str());
        // Allocated once: a text that grows leaves a copy behind.
        let room = head.len() + HEADER.len() + secret.len() + 2 * END.len();
        let mut request = Zeroizing::new(String::with_capacity(room));
        request.push_str(&head);
        if authorization.is_some() {
            request.extend([HEADER, secret, END]);
        }
        request.push_str(END);
        Self {
            host: proxy.host.clone(),
            port: proxy.port,
            request,
        }
    }

    /// Where the proxy is.
    pub(super) fn place(&self) -> (String, u16) {
        (self.host.clone(), self.port)
    }

    /// Asks the proxy for a tunnel. If it answers that it could not reach OneLogin, no connection was made.
    pub(super) fn open(&self, line: &mut Line, progress: &RequestProgress) -> Result<(), Error> {
        line.write_all(self.request.as_bytes())?;
        match status(&answer(line)?)? {
            200..=299 => Ok(()),
            status => {
                progress.connecting(matches!(status, 502..=504));
                Err(Error::ConnectProxyFailed(format!(
                    "the proxy answered {status}"
                )))
            }
        }
    }
}

/// The head of the answer, and no byte more: what follows belongs to OneLogin.
fn answer(line: &mut Line) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        line.read_exact(&mut byte)?;
        head.extend(byte);
        if head.len() > MAX_HEAD {
            return Err(no_answer());
        }
    }
    Ok(head)
}

/// The number in `HTTP/1.1 200 Connection established`.
fn status(head: &[u8]) -> io::Result<u16> {
    let mut words = head.split(|byte| b" \r\n".contains(byte));
    let is_http = words
        .next()
        .is_some_and(|word| word.starts_with(b"HTTP/1."));
    let number = words.next().unwrap_or_default().trim_ascii();
    let status = std::str::from_utf8(number)
        .ok()
        .and_then(|text| text.parse().ok());
    status.filter(|_| is_http).ok_or_else(no_answer)
}

fn no_answer() -> io::Error {
    let text = "the proxy's answer is not HTTP";
    io::Error::new(io::ErrorKind::InvalidData, text)
}

impl std::fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tunnel")
    }
}
