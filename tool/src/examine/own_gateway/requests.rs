//! What comes through a gateway: the certificate that it shows, and, with the certificate of a host, a look-up and calls that
//! no login makes. They go to this gateway, whatever its name leads to.

use crate::examine::identity::certificates;
use crate::examine::own_gateway::files::real;
use crate::examine::own_gateway::subject::{DENIED, OwnGateway, of_sentence};
use crate::gateway::allowed::look_up;
use crate::gateway::settings::Settings;
use crate::ui::finding::Finding;
use pam_onelogin::config::ClientCertificate;
use pam_onelogin::host::uids;
use pam_onelogin::onelogin::http::certificate_end;
use pam_onelogin::trust::Trusted;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::default_provider;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned,
};
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// The longest wait for a connection to this gateway.
const CONNECT: Duration = Duration::from_secs(5);

/// How much longer than the gateway itself to wait for a reply.
const LATER: Duration = Duration::from_secs(5);

/// The longest head of a reply that is read, in bytes.
const LONGEST: u64 = 16 << 10;

/// What the verifier says if the gateway shows another certificate than the one in the file.
const ANOTHER: &str = "another certificate";

/// Calls that no login makes. None of them can change anything, should the gateway send it on: no user has the id 0.
const FORBIDDEN: [(&str, &str); 4] = [
    ("GET", "/api/2/apps?limit=1"),
    ("GET", "/api/2/users?limit=1"),
    ("POST", "/auth/oauth2/v2/token"),
    ("DELETE", "/api/2/users/0"),
];

/// Connects, and sends requests if there is a certificate to send them with.
pub(super) fn examine(gateway: &OwnGateway<'_>, settings: &Settings, findings: &mut Vec<Finding>) {
    let Some(caller) = Caller::to(settings) else {
        return;
    };
    match caller.connect(None) {
        Ok(_) => findings.push(
            Finding::good(
                "shown-certificate",
                format!("the gateway at {} shows the certificate in this file", caller.address),
            )
            .in_file(&settings.certificate),
        ),
        Err(error) if error.to_string().contains(ANOTHER) => findings.push(
            Finding::warning(
                "shown-certificate",
                format!(
                    "the gateway at {} shows another certificate than the one in this file",
                    caller.address
                ),
            )
            .in_file(&settings.certificate)
            .why("HAProxy reads the file when it starts or reloads; until then the old certificate can end")
            .advice("type: sudo systemctl reload pam-onelogin-gateway"),
        ),
        Err(error) => findings.push(unreached(&caller, &error)),
    }
    let Some(host) = gateway.host else {
        findings.push(
            Finding::note(
                "look-up",
                "not tested: whether a look-up comes through, and other calls do not",
            )
            .advice("pass the certificate of a host: --client-cert FILE --client-key FILE"),
        );
        return;
    };
    if let Err(why) = certificate_end(host, Trusted::of(uids())) {
        findings.push(
            of_sentence("client-certificate", &why)
                .why("check cannot send requests as a host does")
                .advice("pass the certificate of a host, and its key"),
        );
        return;
    }
    let url = look_up(&settings.host_config);
    let said = caller.ask(host, "GET", &url);
    let is_known =
        matches!(&said, Ok(said) if !["refused", "revoked", "limit"].contains(&said.word.as_str()));
    findings.push(looked_up(&caller, said));
    if is_known {
        findings.push(refuses(&caller, host));
    }
}

fn unreached(caller: &Caller, error: &io::Error) -> Finding {
    Finding::fault(
        "look-up",
        format!(
            "no connection to the gateway at {}: {error}",
            caller.address
        ),
    )
    .why(DENIED)
    .advice("look at the log, type: sudo journalctl -u pam-onelogin-gateway")
}

/// The finding about a look-up as a login makes it.
fn looked_up(caller: &Caller, said: io::Result<Said>) -> Finding {
    let id = "look-up";
    let Said { status, word } = match said {
        Ok(said) => said,
        Err(error) => {
            return Finding::fault(
                id,
                format!("the gateway does not serve this client certificate: {error}"),
            )
            .why("a host with this certificate cannot use the gateway")
            .advice("the CA in \"hosts_ca\" must have signed it, for clients, and it must not have ended");
        }
    };
    let what = format!(
        "a look-up does not come through the gateway at {}: status={status} gateway={}",
        caller.address,
        if word.is_empty() { "-" } else { &word }
    );
    let (why, advice) = match (status, word.as_str()) {
        (200..300 | 404, "") => {
            let what = format!("a look-up comes through to OneLogin: status={status}");
            return Finding::good(id, what);
        }
        (_, "revoked") => (
            "a host with this certificate cannot use the gateway",
            "this certificate is on the list of revoked ones: issue a new one for the host",
        ),
        (_, "refused") => (
            "a host with this certificate cannot use the gateway",
            "add its common name (CN) to \"hosts\" in the settings; if it is there, the configuration of HAProxy is too old, type: sudo systemctl reload pam-onelogin-gateway",
        ),
        (_, "limit") => (
            "this host has reached a limit",
            "wait for a minute, and look at [limits] in the settings",
        ),
        (_, "no-token") => (DENIED, "do what the finding about the token says"),
        (_, "unreached" | "upstream") => (
            DENIED,
            "the gateway must reach port 443 of OneLogin, without a proxy, and trust its certificate; look at \"onelogin.url\" and \"onelogin.ca_file\"",
        ),
        (_, "busy") => (
            DENIED,
            "the gateway has too much to do: look at [limits] in the settings",
        ),
        (401 | 403, _) => (
            DENIED,
            "OneLogin refuses the token: look at the API credential and its scope, then type: sudo systemctl restart pam-onelogin-gateway-token",
        ),
        _ => (
            "a login of a host can be denied",
            "look at OneLogin's status page, and repeat the check",
        ),
    };
    Finding::fault(id, what).why(why).advice(advice)
}

/// Whether the gateway refuses calls that no login makes.
fn refuses(caller: &Caller, host: &ClientCertificate) -> Finding {
    let id = "gateway";
    let mut sent_on = Vec::new();
    for (method, url) in FORBIDDEN {
        match caller.ask(host, method, url) {
            Ok(Said { word, .. }) if word == "refused" => {}
            Ok(Said { word, .. }) if ["limit", "revoked"].contains(&word.as_str()) => {
                let what = format!(
                    "not tested: whether the gateway refuses {method} {url}: gateway={word}"
                );
                return Finding::warning(id, what).advice("repeat the check in a minute");
            }
            Ok(Said { status, .. }) => sent_on.push(format!("{method} {url} (status={status})")),
            Err(error) => {
                let what =
                    format!("not tested: whether the gateway refuses {method} {url}: {error}");
                return Finding::warning(id, what).advice("repeat the check");
            }
        }
    }
    if sent_on.is_empty() {
        return Finding::good(id, "the gateway refuses calls that no login makes");
    }
    Finding::fault(
        id,
        format!(
            "the gateway does not refuse calls that no login makes: {}",
            sent_on.join(", ")
        ),
    )
    .why("root on any host can use the credential of the gateway for everything that it may do")
    .advice("use the configuration that this command prints: pam-onelogin gateway config")
}

/// What a gateway answered.
struct Said {
    status: u16,
    /// The header `x-gateway`, or nothing.
    word: String,
}

/// Connects to this gateway.
struct Caller {
    address: SocketAddr,
    name: ServerName<'static>,
    certificate: CertificateDer<'static>,
    timeout: Duration,
}

impl Caller {
    /// `None` where the file of the certificate has none: there is a finding already.
    fn to(settings: &Settings) -> Option<Self> {
        let mut address = *settings.listen.first()?;
        if address.ip().is_unspecified() {
            address.set_ip(match address.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        let host_config = &settings.host_config.onelogin;
        let name = ServerName::try_from(host_config.origin.host().to_owned());
        Some(Self {
            address,
            name: name.ok()?,
            certificate: certificates(&settings.certificate).into_iter().next()?,
            timeout: host_config.request_timeout.saturating_add(LATER),
        })
    }

    /// A connection after its handshake. The gateway judges the certificate of the host later.
    fn connect(
        &self,
        host: Option<&ClientCertificate>,
    ) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
        let provider = Arc::new(default_provider());
        let verifier = Pinned {
            certificate: self.certificate.clone(),
            is_strict: host.is_none(),
            provider: Arc::<CryptoProvider>::clone(&provider),
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match host {
            None => builder.with_no_client_auth(),
            Some(host) => {
                let key =
                    PrivateKeyDer::from_pem_file(real(&host.key)).map_err(io::Error::other)?;
                let config = builder.with_client_auth_cert(certificates(&host.cert), key);
                config.map_err(io::Error::other)?
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut tls =
            ClientConnection::new(Arc::new(config), self.name.clone()).map_err(io::Error::other)?;
        let mut stream = TcpStream::connect_timeout(&self.address, CONNECT)?;
        stream.set_read_timeout(Some(self.timeout))?;
        stream.set_write_timeout(Some(self.timeout))?;
        while tls.is_handshaking() {
            tls.complete_io(&mut stream)?;
        }
        Ok(StreamOwned::new(tls, stream))
    }

    /// The reply to a request without a body, over a connection of its own.
    fn ask(&self, host: &ClientCertificate, method: &str, url: &str) -> io::Result<Said> {
        let mut stream = self.connect(Some(host))?;
        let name = self.name.to_str();
        let length = if method == "GET" {
            ""
        } else {
            "content-length: 0\r\n"
        };
        let request = format!("{method} {url} HTTP/1.1\r\nhost: {name}\r\n{length}\r\n");
        stream.write_all(request.as_bytes())?;
        let mut head = Vec::new();
        let mut reply = stream.take(LONGEST);
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && reply.read(&mut byte)? > 0 {
            head.extend(byte);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| io::Error::other("no reply"))?;
        let headers = head.lines().filter_map(|line| line.split_once(": "));
        let mut words = headers.filter(|(name, _)| name.eq_ignore_ascii_case("x-gateway"));
        let word = words.next().map(|(_, word)| word.to_owned());
        Ok(Said {
            status,
            word: word.unwrap_or_default(),
        })
    }
}

/// Compares the certificate with the one in the file of this gateway.
#[derive(Debug)]
struct Pinned {
    certificate: CertificateDer<'static>,
    /// Whether every other certificate is a failure. Requests of a host show more if they come through nevertheless.
    is_strict: bool,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.is_strict && end_entity.as_ref() != self.certificate.as_ref() {
            return Err(Error::General(ANOTHER.to_owned()));
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
