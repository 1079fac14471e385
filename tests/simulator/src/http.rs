//! HTTP/1.1 as a server needs it: requests off a stream, replies onto it.

use std::io::{self, Read, Write};

use httparse::Status;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Incoming {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    pub(crate) keep_alive: bool,
}

impl Incoming {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Path and query as sent.
    pub(crate) fn target(&self) -> String {
        target(&self.path, &self.query)
    }
}

pub(crate) fn target(path: &str, query: &str) -> String {
    if query.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{query}")
    }
}

/// A reply to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    /// `Transfer-Encoding: chunked` instead of a `Content-Length`.
    pub(crate) chunked: bool,
}

impl Reply {
    pub(crate) fn new(status: u16, body: &(impl ToString + ?Sized)) -> Reply {
        Reply {
            status,
            headers: Vec::new(),
            body: body.to_string(),
            chunked: false,
        }
    }

    pub(crate) fn header(mut self, name: &str, value: &(impl ToString + ?Sized)) -> Reply {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    /// The reply on the wire; a content type is added unless there is one.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut text = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        let is_bare = self.status == 204 && self.body.is_empty();
        if self.chunked && !is_bare {
            text.push_str("Transfer-Encoding: chunked\r\n");
        } else if !is_bare {
            text = head(self.status, self.body.len() as u64);
        }
        if !self
            .headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
        {
            text.push_str("Content-Type: application/json; charset=utf-8\r\n");
        }
        for (name, value) in &self.headers {
            text.extend([name, ": ", value, "\r\n"]);
        }
        text.push_str("\r\n");
        if self.chunked && !is_bare {
            if !self.body.is_empty() {
                let length = format!("{:x}", self.body.len());
                text.extend([&length, "\r\n", &self.body, "\r\n"]);
            }
            text.push_str("0\r\n\r\n");
        } else {
            text.push_str(&self.body);
        }
        text.into_bytes()
    }
}

/// Status line and `Content-Length`.
pub(crate) fn head(status: u16, length: u64) -> String {
    format!(
        "HTTP/1.1 {status} {}\r\nContent-Length: {length}\r\n",
        reason(status)
    )
}

/// Why no request came.
pub(crate) enum NoRequest {
    /// The connection is over.
    Closed,
    /// What came was not a request; answer it with this status.
    Bad(u16),
}

impl From<io::Error> for NoRequest {
    fn from(_: io::Error) -> NoRequest {
        NoRequest::Closed
    }
}

/// A stream and what has been read ahead from it.
pub(crate) struct Connection<S> {
    pub(crate) stream: S,
    ahead: Vec<u8>,
}

impl<S: Read + Write> Connection<S> {
    pub(crate) fn new(stream: S) -> Connection<S> {
        Connection {
            stream,
            ahead: Vec::new(),
        }
    }

    /// The next request, whole.
    pub(crate) fn request(&mut self) -> Result<Incoming, NoRequest> {
        let mut request = loop {
            if let Some((request, length)) = parse_head(&self.ahead)? {
                self.ahead.drain(..length);
                break request;
            }
            if self.ahead.len() > MAX_HEAD {
                return Err(NoRequest::Bad(431));
            }
            self.more()?;
        };
        if request
            .header("expect")
            .is_some_and(|value| value.eq_ignore_ascii_case("100-continue"))
        {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            self.stream.flush()?;
        }
        let body = self.body(&request)?;
        request.body = String::from_utf8_lossy(&body).into_owned();
        Ok(request)
    }

    fn body(&mut self, request: &Incoming) -> Result<Vec<u8>, NoRequest> {
        if request
            .header("transfer-encoding")
            .is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
        {
            return self.chunks();
        }
        let Some(length) = request.header("content-length") else {
            return Ok(Vec::new());
        };
        let length: usize = length.parse().map_err(|_| NoRequest::Bad(400))?;
        self.take(length)
    }

    fn chunks(&mut self) -> Result<Vec<u8>, NoRequest> {
        let mut body = Vec::new();
        loop {
            let (length, size) = loop {
                match httparse::parse_chunk_size(&self.ahead) {
                    Ok(Status::Complete(found)) => break found,
                    Ok(Status::Partial) => self.more()?,
                    Err(_) => return Err(NoRequest::Bad(400)),
                }
            };
            self.ahead.drain(..length);
            let size = usize::try_from(size).map_err(|_| NoRequest::Bad(413))?;
            body.extend(self.take(size)?);
            if body.len() > MAX_BODY {
                return Err(NoRequest::Bad(413));
            }
            // Trailers are not read: no client in question sends any.
            if self.take(2)? != b"\r\n" {
                return Err(NoRequest::Bad(400));
            }
            if size == 0 {
                return Ok(body);
            }
        }
    }

    fn take(&mut self, length: usize) -> Result<Vec<u8>, NoRequest> {
        if length > MAX_BODY {
            return Err(NoRequest::Bad(413));
        }
        while self.ahead.len() < length {
            self.more()?;
        }
        Ok(self.ahead.drain(..length).collect())
    }

    fn more(&mut self) -> Result<(), NoRequest> {
        let mut buffer = [0; 16 * 1024];
        let count = self.stream.read(&mut buffer)?;
        self.ahead
            .extend_from_slice(buffer.get(..count).unwrap_or_default());
        if count == 0 {
            Err(NoRequest::Closed)
        } else {
            Ok(())
        }
    }
}

fn parse_head(bytes: &[u8]) -> Result<Option<(Incoming, usize)>, NoRequest> {
    let mut headers = [httparse::EMPTY_HEADER; 100];
    let mut parsed = httparse::Request::new(&mut headers);
    let length = match parsed.parse(bytes) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(None),
        Err(_) => return Err(NoRequest::Bad(400)),
    };
    let (path, query) = {
        let target = parsed.path.unwrap_or_default();
        target.split_once('?').unwrap_or((target, ""))
    };
    let headers: Vec<_> = parsed
        .headers
        .iter()
        .map(|header| {
            (
                header.name.to_owned(),
                String::from_utf8_lossy(header.value).trim().to_owned(),
            )
        })
        .collect();
    let mut request = Incoming {
        method: parsed.method.unwrap_or_default().to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body: String::new(),
        keep_alive: parsed.version == Some(1),
    };
    if request
        .header("connection")
        .is_some_and(|value| value.to_ascii_lowercase().contains("close"))
    {
        request.keep_alive = false;
    }
    Ok(Some((request, length)))
}

/// The pairs of a query or form, decoded.
pub(crate) fn pairs(text: &str) -> Vec<(String, String)> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect()
}

/// `%41` and `+` undone; a stray `%` stays.
fn decode(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        let hex = tail
            .get(..2)
            .filter(|pair| pair.iter().all(u8::is_ascii_hexdigit));
        match (
            byte,
            hex.and_then(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()),
        ) {
            (b'%', Some(value)) => {
                decoded.push(value);
                rest = tail.get(2..).unwrap_or_default();
            }
            (b'+', _) => decoded.push(b' '),
            _ => decoded.push(byte),
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

pub(crate) fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        422 => "Unprocessable Entity",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}

const MAX_HEAD: usize = 64 * 1024;
const MAX_BODY: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded_once() {
        assert_eq!(
            pairs("a=%2A&b=x+y&c=%252A&d=%zz&e"),
            [
                ("a".into(), "*".into()),
                ("b".into(), "x y".into()),
                ("c".into(), "%2A".into()),
                ("d".into(), "%zz".into()),
                ("e".into(), String::new()),
            ]
        );
    }
}
