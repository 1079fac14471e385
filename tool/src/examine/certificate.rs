//! The certificate that a server presents: its names, its issuer and its dates. This is only for the report:
//! the connection of the module decides whether the certificate is trusted.

use crate::ui::finding::{Finding, Place};
use pam_onelogin::api::ApiError;
use pam_onelogin::clock::unix_now;
use pam_onelogin::config::Origin;
use pam_onelogin::trust::BUNDLES;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use time::OffsetDateTime;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

/// What the report says about a certificate.
pub(crate) struct Shown {
    issuer: String,
    names: Vec<String>,
    /// Seconds since 1970.
    begins: i64,
    ends: i64,
}

/// The certificate of the server at this address, if it can be read. The handshake ends there: no request
/// is ever sent on this connection.
pub(crate) fn shown(address: SocketAddr, host: &str, timeout: Duration) -> Option<Shown> {
    let look = Arc::new(Look::default());
    let verifier: Arc<dyn ServerCertVerifier> = Arc::<Look>::clone(&look);
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .ok()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).ok()?;
    let mut connection = ClientConnection::new(Arc::new(config), name).ok()?;
    let mut socket = TcpStream::connect_timeout(&address, timeout).ok()?;
    socket.set_read_timeout(Some(timeout)).ok()?;
    socket.set_write_timeout(Some(timeout)).ok()?;
    while connection.is_handshaking() && connection.complete_io(&mut socket).is_ok() {}
    let der = look.0.lock().ok()?.take()?;
    let (_, certificate) = parse_x509_certificate(&der).ok()?;
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.iter().flat_map(|names| &names.value.general_names);
    Some(Shown {
        issuer: certificate.issuer().to_string(),
        names: names
            .filter_map(|name| match name {
                GeneralName::DNSName(name) => Some((*name).to_owned()),
                _ => None,
            })
            .collect(),
        begins: certificate.validity().not_before.timestamp(),
        ends: certificate.validity().not_after.timestamp(),
    })
}

impl Shown {
    /// The finding about a certificate that the module accepts.
    pub(crate) fn accepted(&self, ca: &str) -> Finding {
        let left = (self.ends - now()) / DAY;
        let what = format!(
            "the certificate is trusted, its CA is in {ca}; it is {}",
            self.text()
        );
        if left < SOON {
            return Finding::warning("certificate-ends", format!("{what}; {left} days left"))
                .why("after that, every login is denied (reason=tls)")
                .advice("ask the operator of that server, or of the proxy that inspects TLS, to renew it");
        }
        Finding::good("certificate", what)
    }

    fn text(&self) -> String {
        let names: Vec<&str> = self.names.iter().map(String::as_str).take(SOME).collect();
        let more = if self.names.len() > SOME { " …" } else { "" };
        format!(
            "for {}{more}, issued by {}, valid from {} to {}",
            names.join(" "),
            self.issuer,
            date(self.begins),
            date(self.ends)
        )
    }

    fn has(&self, host: &str) -> bool {
        let parent = host.split_once('.').map_or(host, |(_, parent)| parent);
        self.names
            .iter()
            .any(|name| name == host || name.strip_prefix("*.") == Some(parent))
    }
}

/// The file of trusted certificates.
pub(crate) enum Ca<'a> {
    /// `onelogin.ca_file` names it, in this line.
    Configured(&'a str, &'a Place),
    /// The bundle of the system.
    System(&'a str),
    /// The system has no bundle.
    Missing,
}

/// The finding about a certificate that the module refuses.
pub(crate) fn refused(
    error: &ApiError,
    shown: Option<&Shown>,
    origin: &Origin,
    is_proxied: bool,
    ca: &Ca<'_>,
) -> Finding {
    let host = origin.host();
    let (Ca::Configured(file, _) | Ca::System(file)) = ca else {
        return Finding::fault("tls", format!("no certificate is trusted: {}", error.detail))
            .why(DENIED)
            .advice(format!(
                "install ca-certificates, or set onelogin.ca_file; one of these files must exist, and only \
                 root may write to it: {}",
                BUNDLES.join(", ")
            ));
    };
    // Behind a proxy the certificate is not looked at.
    if shown.is_none() && !is_proxied {
        let port = origin.port();
        return Finding::fault(
            "tls",
            format!("{host} shows no certificate that can be read, at port {port}: {}", error.detail),
        )
        .why(DENIED)
        .advice(
            "the server at that address and port does not speak TLS as the module does (1.2 or 1.3), or a firewall \
             answers for it: compare onelogin.url, and its port, with the address of your tenant",
        );
    }
    let mut is_about_ca = false;
    let advice = match shown {
        None => format!("if a proxy inspects TLS, set onelogin.ca_file to a file with its CA certificate; otherwise look at the certificate that {host} presents"),
        Some(shown) if shown.ends < now() => {
            "it has expired: check the clock of this host (type: date); if the clock is right, ask the operator of that server to renew it".to_owned()
        }
        Some(shown) if shown.begins > now() => {
            "it is not valid yet: check the clock of this host (type: date)".to_owned()
        }
        Some(shown) if !shown.has(host) => {
            return Finding::fault(
                "tls",
                format!("the certificate is not for {host}, but {}", shown.text()),
            )
            .why(DENIED)
            .advice(
                "compare onelogin.url with the address of your tenant; if it is right, the name server, or a proxy that \
                 inspects TLS, leads this host to another server",
            );
        }
        Some(shown) => {
            is_about_ca = true;
            format!("its CA is not in {file}; {}", ca.advice(&shown.issuer))
        }
    };
    let shown = shown.map_or(String::new(), |shown| format!("; it is {}", shown.text()));
    let finding = Finding::fault(
        "tls",
        format!("the certificate is refused: {}{shown}", error.detail),
    );
    let place = match ca {
        Ca::Configured(_, place) if is_about_ca => Some((*place).clone()),
        _ => None,
    };
    finding.of(place).why(DENIED).advice(advice)
}

impl Ca<'_> {
    /// What to do if the CA of a certificate, the issuer, is not in this file.
    fn advice(&self, issuer: &str) -> String {
        match self {
            Self::Configured(file, place) => {
                let line = place.line;
                let line = line.map_or(String::new(), |line| format!(" (line {line})"));
                format!(
                    "if you trust {issuer}, add that CA certificate to {file}; otherwise remove ca_file{line}; while it \
                     is set, the system's bundle is not used"
                )
            }
            Self::System(_) | Self::Missing => format!(
                "if you trust {issuer}, set onelogin.ca_file to a file with that CA certificate; otherwise compare \
                 onelogin.url with the address of your tenant, and look for a proxy that inspects TLS"
            ),
        }
    }
}

/// Keeps the first certificate, and trusts none.
#[derive(Debug, Default)]
struct Look(Mutex<Option<CertificateDer<'static>>>);

impl ServerCertVerifier for Look {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Ok(mut kept) = self.0.lock() {
            *kept = Some(end_entity.clone().into_owned());
        }
        Err(enough())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(enough())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(enough())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = default_provider().signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

fn enough() -> Error {
    Error::General("the handshake ends after the certificate".to_owned())
}

fn now() -> i64 {
    i64::try_from(unix_now()).unwrap_or(i64::MAX)
}

fn date(seconds: i64) -> String {
    OffsetDateTime::from_unix_timestamp(seconds)
        .map_or_else(|_| "?".to_owned(), |moment| moment.date().to_string())
}

const DENIED: &str = "every login is denied, whatever failmode is (reason=tls)";

const DAY: i64 = 86_400;

/// Warn when a certificate expires in less than this many days.
const SOON: i64 = 14;

/// The number of its names that the report shows.
const SOME: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use pam_onelogin::api::ApiTrouble;

    #[test]
    fn where_the_system_has_a_bundle_the_advice_is_not_to_install_one() {
        let advice = Ca::System("/etc/ssl/certs/ca-certificates.crt").advice("CN=proxy");
        assert!(!advice.contains("install"), "{advice}");
        assert!(
            advice.contains("set onelogin.ca_file to a file"),
            "{advice}"
        );
    }

    #[test]
    fn without_a_bundle_the_advice_names_every_place_of_one() {
        let origin = Origin::parse("https://example.onelogin.com").unwrap();
        let error = ApiError::new(ApiTrouble::Tls, "no CA bundle at its usual places");
        let finding = refused(&error, None, &origin, false, &Ca::Missing);
        assert_eq!(
            finding.what,
            "no certificate is trusted: no CA bundle at its usual places"
        );
        let advice = finding.advice.unwrap();
        assert!(
            BUNDLES.iter().all(|place| advice.contains(place)),
            "{advice}"
        );
    }
}
