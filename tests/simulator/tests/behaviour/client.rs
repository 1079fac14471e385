//! A small HTTPS client on one connection, written apart from the server so that both must be right.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use onelogin_simulator::{DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, Simulator};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Client {
    stream: StreamOwned<ClientConnection, TcpStream>,
    pub(crate) authorization: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

impl Client {
    pub(crate) fn connect(simulator: &Simulator) -> Client {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(simulator.ca_pem().as_bytes()).unwrap())
            .unwrap();
        let config =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let tls = ClientConnection::new(Arc::new(config), name).unwrap();
        let socket = TcpStream::connect(("127.0.0.1", simulator.port())).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Client {
            stream: StreamOwned::new(tls, socket),
            authorization: None,
        }
    }

    /// Connected, and in possession of a token.
    pub(crate) fn authorized(simulator: &Simulator) -> Client {
        let mut client = Client::connect(simulator);
        let token = client.token();
        client.authorization = Some(format!("Bearer {token}"));
        client
    }

    pub(crate) fn token(&mut self) -> String {
        let credential =
            format!("client_id:{DEFAULT_CLIENT_ID}, client_secret:{DEFAULT_CLIENT_SECRET}");
        let reply = self.token_with(&credential);
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()["access_token"].as_str().unwrap().to_owned()
    }

    pub(crate) fn token_with(&mut self, authorization: &str) -> Reply {
        let headers = [
            ("Authorization", authorization),
            ("Content-Type", "application/json"),
        ];
        self.send(
            "POST",
            "/auth/oauth2/v2/token",
            &headers,
            r#"{"grant_type":"client_credentials"}"#,
        )
        .unwrap()
    }

    pub(crate) fn get(&mut self, target: &str) -> Reply {
        self.request("GET", target, "").unwrap()
    }

    pub(crate) fn post(&mut self, target: &str, body: &Value) -> Reply {
        self.request("POST", target, &body.to_string()).unwrap()
    }

    pub(crate) fn put(&mut self, target: &str, body: &Value) -> Reply {
        self.request("PUT", target, &body.to_string()).unwrap()
    }

    pub(crate) fn delete(&mut self, target: &str) -> Reply {
        self.request("DELETE", target, "").unwrap()
    }

    /// Activates a device and gives the verification.
    pub(crate) fn activate(&mut self, user: u64, device: &str) -> Value {
        let reply = self.post(&verifications(user), &json!({"device_id": device}));
        assert_eq!(reply.status, 201, "{reply:?}");
        let body = reply.json();
        if body.is_array() {
            body[0].clone()
        } else {
            body
        }
    }

    pub(crate) fn request(&mut self, method: &str, target: &str, body: &str) -> io::Result<Reply> {
        let authorization = self.authorization.clone().unwrap_or_default();
        let mut headers = vec![("Content-Type", "application/json")];
        if !authorization.is_empty() {
            headers.push(("Authorization", &authorization));
        }
        self.send(method, target, &headers, body)
    }

    pub(crate) fn send(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> io::Result<Reply> {
        let mut text = format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            text.extend([*name, ": ", *value, "\r\n"]);
        }
        self.raw(&format!("{text}\r\n{body}"))
    }

    /// Sends text as it is.
    pub(crate) fn write_only(&mut self, text: &str) -> io::Result<()> {
        self.stream.write_all(text.as_bytes())?;
        self.stream.flush()
    }

    /// Sends text as it is and reads a reply.
    pub(crate) fn raw(&mut self, text: &str) -> io::Result<Reply> {
        self.write_only(text)?;
        let mut bytes = Vec::new();
        loop {
            if let Some(reply) = parse(&bytes)? {
                return Ok(reply);
            }
            let mut buffer = [0; 4096];
            let count = self.stream.read(&mut buffer)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            bytes.extend_from_slice(&buffer[..count]);
        }
    }
}

pub(crate) fn verifications(user: u64) -> String {
    format!("/api/2/mfa/users/{user}/verifications")
}

fn parse(bytes: &[u8]) -> io::Result<Option<Reply>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut parsed = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = parsed.parse(bytes).map_err(io::Error::other)? else {
        return Ok(None);
    };
    let headers: Vec<(String, String)> = parsed
        .headers
        .iter()
        .map(|header| {
            (
                header.name.to_owned(),
                String::from_utf8_lossy(header.value).into_owned(),
            )
        })
        .collect();
    let mut reply = Reply {
        status: parsed.code.unwrap(),
        headers,
        body: String::new(),
    };
    if reply.header("transfer-encoding") == Some("chunked") {
        assert_eq!(reply.header("content-length"), None, "{reply:?}");
        let body = unchunked(&bytes[length..])?;
        return Ok(body.map(|body| Reply { body, ..reply }));
    }
    let size: usize = match reply.header("content-length") {
        Some(size) => size.parse().unwrap(),
        None if reply.status == 204 => 0,
        None => panic!("no Content-Length: {reply:?}"),
    };
    let Some(body) = bytes.get(length..length + size) else {
        return Ok(None);
    };
    reply.body = String::from_utf8(body.to_vec()).unwrap();
    Ok(Some(reply))
}

/// The body that the chunks make, once all of them are there.
fn unchunked(mut bytes: &[u8]) -> io::Result<Option<String>> {
    let mut body = Vec::new();
    loop {
        let size = httparse::parse_chunk_size(bytes).map_err(|_| io::Error::other("a chunk"))?;
        let httparse::Status::Complete((length, size)) = size else {
            return Ok(None);
        };
        let end = length + usize::try_from(size).unwrap();
        let Some((chunk, rest)) = bytes.get(length..end).zip(bytes.get(end..end + 2)) else {
            return Ok(None);
        };
        assert_eq!(rest, b"\r\n");
        body.extend_from_slice(chunk);
        bytes = &bytes[end + 2..];
        if size == 0 {
            assert!(bytes.is_empty(), "something behind the last chunk");
            return Ok(Some(String::from_utf8(body).unwrap()));
        }
    }
}
