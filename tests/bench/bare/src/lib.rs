//! A PAM module that is nothing but TLS and one request: no configuration, no checks, no log. The limit in `make bench`,
//! not for use.
//!
//! Its argument is a file of five lines: port, CA file, access token, path, device id.

use std::ffi::CStr;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;

use pam::constants::{PAM_PROMPT_ECHO_ON, PamFlag, PamResultCode};
use pam::conv::Conv;
use pam::module::{PamHandle, PamHooks};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// The module.
pub struct Bare;

// This macro writes `pub` items into a module of its own, for the linker only.
#[allow(missing_docs, unreachable_pub)]
mod entry_points {
    use super::Bare;
    pam::pam_hooks!(Bare);
}

impl PamHooks for Bare {
    fn sm_authenticate(handle: &mut PamHandle, args: Vec<&CStr>, _: PamFlag) -> PamResultCode {
        match login(handle, &args) {
            Some(()) => PamResultCode::PAM_SUCCESS,
            None => PamResultCode::PAM_AUTH_ERR,
        }
    }

    fn sm_setcred(_: &mut PamHandle, _: Vec<&CStr>, _: PamFlag) -> PamResultCode {
        PamResultCode::PAM_SUCCESS
    }
}

fn login(handle: &PamHandle, args: &[&CStr]) -> Option<()> {
    let plan = fs::read_to_string(args.first()?.to_str().ok()?).ok()?;
    let mut lines = plan.lines();
    let port = lines.next()?.parse().ok()?;
    let mut stream = connect(port, lines.next()?).ok()?;
    let (token, path, device) = (lines.next()?, lines.next()?, lines.next()?);

    let conversation = handle.get_item::<Conv>().ok()??;
    let code = conversation.send(PAM_PROMPT_ECHO_ON, "Code: ").ok()??;
    let code = code.as_str().ok()?;

    let body = format!("{{\"otp\":\"{code}\",\"device_id\":\"{device}\"}}");
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost:{port}\r\nAuthorization: Bearer {token}\r\nAccept: application/json\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).ok()?;
    stream.flush().ok()?;
    let mut reply = Vec::new();
    let mut piece = [0; 4096];
    while !reply.ends_with(b"}") {
        let length = stream.read(&mut piece).ok().filter(|&length| length > 0)?;
        reply.extend_from_slice(piece.get(..length)?);
    }
    // A wrong code is a 401.
    reply.starts_with(b"HTTP/1.1 200 ").then_some(())
}

/// The connection, before there is anything to send.
fn connect(
    port: u16,
    ca_file: &str,
) -> Result<StreamOwned<ClientConnection, TcpStream>, Box<dyn std::error::Error>> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_file_iter(ca_file)?.collect();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates?);
    let config =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
    let mut client = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost")?)?;
    let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    socket.set_nodelay(true)?;
    while client.is_handshaking() {
        client.complete_io(&mut socket)?;
    }
    socket.flush().map_err(io::Error::other)?;
    Ok(StreamOwned::new(client, socket))
}
