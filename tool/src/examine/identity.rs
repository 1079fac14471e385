//! Certificates in PEM files: when they end, and which CA has signed them.

use crate::ui::finding::Finding;
use pam_onelogin::clock::unix_now;
use pam_onelogin::onelogin::http::RENEW;
use rustls::RootCertStore;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use x509_parser::parse_x509_certificate;

/// A certificate, as the findings name it.
pub(super) struct Named<'a> {
    /// The word for programs.
    pub(super) id: &'static str,
    /// Such as "the client certificate".
    pub(super) name: &'a str,
    pub(super) path: &'a Path,
    /// What happens when it has ended.
    pub(super) denied: &'static str,
    /// How to get the next one.
    pub(super) advice: &'static str,
}

impl Named<'_> {
    /// Whether it ends soon, or has ended. `ends` is in seconds since 1970; `None` where the end cannot be read.
    pub(super) fn dates(&self, ends: Option<u64>) -> Finding {
        let Self { id, name, .. } = *self;
        let Some(ends) = ends else {
            return Finding::warning(id, format!("the end of {name} cannot be read"))
                .in_file(self.path)
                .why("no warning comes before it ends")
                .advice("install a certificate with a date as in RFC 5280");
        };
        let day = i64::try_from(ends)
            .ok()
            .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
            .map_or_else(|| "?".to_owned(), |moment| moment.date().to_string());
        let finding = match ends.checked_sub(unix_now()) {
            None => Finding::fault(id, format!("{name} ended on {day}"))
                .why(self.denied)
                .advice(self.advice),
            Some(left) if left < RENEW => Finding::warning(id, format!("{name} ends on {day}"))
                .why(format!("after that, {}", self.denied))
                .advice(self.advice),
            Some(_) => Finding::good(id, format!("{name} is valid until {day}")),
        };
        finding.in_file(self.path)
    }
}

/// The certificates in a PEM file, as far as they can be read.
pub(super) fn certificates(path: &Path) -> Vec<CertificateDer<'static>> {
    let certificates = CertificateDer::pem_file_iter(path);
    certificates.map_or_else(|_| Vec::new(), |all| all.flatten().collect())
}

/// When a certificate ends, in seconds since 1970.
pub(super) fn end(certificate: &CertificateDer<'_>) -> Option<u64> {
    let (_, parsed) = parse_x509_certificate(certificate).ok()?;
    u64::try_from(parsed.validity().not_after.timestamp()).ok()
}

/// Whether one of these CAs has signed a chain of certificates, for a client or for a server, or is part of it. A certificate
/// that has ended counts as before its end.
pub(super) fn has_signed(ca: &[CertificateDer<'_>], chain: &[CertificateDer<'_>]) -> bool {
    let is_part = chain.iter().any(|one| ca.contains(one));
    is_part || is_server(ca, chain).is_ok() || is_client(ca, chain).is_ok()
}

/// Whether a program that trusts these CAs accepts this chain from a server of any name.
///
/// # Errors
/// Why not.
pub(super) fn is_server(
    ca: &[CertificateDer<'_>],
    chain: &[CertificateDer<'_>],
) -> Result<(), String> {
    let Some((own, issuers)) = chain.split_first() else {
        return Err("there is no certificate".to_owned());
    };
    let parsed = ParsedCertificate::try_from(own).map_err(|error| error.to_string())?;
    let algorithms = default_provider().signature_verification_algorithms;
    verify_server_cert_signed_by_trust_anchor(
        &parsed,
        &roots(ca),
        issuers,
        in_its_life(own),
        algorithms.all,
    )
    .map_err(|error| error.to_string())
}

/// As [`is_server`], for a client.
///
/// # Errors
/// Why not.
pub(super) fn is_client(
    ca: &[CertificateDer<'_>],
    chain: &[CertificateDer<'_>],
) -> Result<(), String> {
    let Some((own, issuers)) = chain.split_first() else {
        return Err("there is no certificate".to_owned());
    };
    let provider = Arc::new(default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(ca)), provider);
    let verifier: Arc<dyn ClientCertVerifier> =
        verifier.build().map_err(|error| error.to_string())?;
    let result = verifier.verify_client_cert(own, issuers, in_its_life(own));
    result.map(|_| ()).map_err(|error| error.to_string())
}

fn roots(ca: &[CertificateDer<'_>]) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(ca.iter().map(|one| one.clone().into_owned()));
    roots
}

/// Now, or the last moment at which this certificate was valid.
fn in_its_life(certificate: &CertificateDer<'_>) -> UnixTime {
    let now = unix_now();
    let moment = end(certificate).map_or(now, |end| now.min(end));
    UnixTime::since_unix_epoch(Duration::from_secs(moment))
}
