//! A host behind a gateway: its client certificate, and whether the gateway refuses what no login sends.

use crate::ui::finding::Finding;
use pam_onelogin::api::ApiTrouble;
use pam_onelogin::clock::unix_now;
use pam_onelogin::config::{ClientCertificate, Config};
use pam_onelogin::host::uids;
use pam_onelogin::login::Deadline;
use pam_onelogin::onelogin::client::{Client, Purpose, Role};
use pam_onelogin::onelogin::http::{RENEW, certificate_end};
use pam_onelogin::trust::Trusted;
use rustls::RootCertStore;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use std::path::Path;
use std::sync::Arc;
use time::OffsetDateTime;

/// A call that a gateway must refuse: no login makes it.
const FORBIDDEN: &str = "/api/2/apps";

const DENIED: &str = "every login is denied (reason=tls)";

/// Looks at the client certificate, its key and the CA of the gateway.
pub(super) fn files(config: &Config, findings: &mut Vec<Finding>) {
    let Some(files) = config.onelogin.access.certificate() else {
        return;
    };
    match certificate_end(files, Trusted::of(uids())) {
        Err(why) => findings.push(
            Finding::fault("client-certificate", why)
                .why(DENIED)
                .advice(
                    "install the certificate of this host and its key again: see docs/gateway.md",
                ),
        ),
        Ok(ends) => findings.push(dates(files, ends)),
    }
    if let Some(ca_file) = &config.onelogin.ca_file {
        if is_one_ca(ca_file, &files.cert) {
            findings.push(
                Finding::fault(
                    "one-ca",
                    format!(
                        "the CA of the gateway ({}) has signed the client certificate of this host, too",
                        ca_file.display()
                    ),
                )
                .in_file(&files.cert)
                .why("root on any host could pretend to be the gateway, and let every user in on the other hosts")
                .advice("use one CA for the gateways and another one for the hosts: see docs/gateway.md"),
            );
        }
    }
}

fn dates(files: &ClientCertificate, ends: Option<u64>) -> Finding {
    let Some(ends) = ends else {
        let what = "the end of the client certificate cannot be read";
        return Finding::warning("client-certificate", what)
            .in_file(&files.cert)
            .why("no warning comes before it ends")
            .advice("install a certificate with a date as in RFC 5280");
    };
    let day = i64::try_from(ends)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .map_or_else(|| "?".to_owned(), |moment| moment.date().to_string());
    let advice = "issue a new certificate for this host: see docs/gateway.md";
    match ends.checked_sub(unix_now()) {
        None => Finding::fault(
            "client-certificate",
            format!("the client certificate ended on {day}"),
        )
        .why(DENIED)
        .advice(advice),
        Some(left) if left < RENEW => Finding::warning(
            "client-certificate",
            format!("the client certificate ends on {day}"),
        )
        .why("after that, every login is denied (reason=tls)")
        .advice(advice),
        Some(_) => Finding::good(
            "client-certificate",
            format!("the client certificate is valid until {day}"),
        ),
    }
    .in_file(&files.cert)
}

/// Whether a certificate of the CA that this host trusts as a gateway's has signed the certificate of this host.
fn is_one_ca(ca_file: &Path, cert: &Path) -> bool {
    let read = |path: &Path| -> Vec<CertificateDer<'static>> {
        let certificates = CertificateDer::pem_file_iter(path);
        certificates.map_or_else(|_| Vec::new(), |all| all.flatten().collect())
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(read(ca_file));
    let chain = read(cert);
    let Some((own, issuers)) = chain.split_first() else {
        return false;
    };
    let provider = Arc::new(default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
    verifier.is_ok_and(|verifier| {
        let signed = verifier.verify_client_cert(own, issuers, UnixTime::now());
        signed.is_ok()
    })
}

/// Whether the gateway refuses a call that no login makes.
pub(super) fn refuses(client: &mut Client<'_>, config: &Config, findings: &mut Vec<Finding>) {
    let purpose = Purpose {
        role: Role::Verify,
        scope: "",
    };
    let deadline = Deadline::after(config.onelogin.request_timeout);
    let query = [("limit", "1")];
    let reply = client.get(purpose, FORBIDDEN, &query, deadline);
    findings.push(match reply {
        Err(error) if error.trouble == ApiTrouble::GatewayRefused => Finding::good(
            "gateway",
            "the gateway refuses a call that no login makes",
        ),
        Err(error) => Finding::note(
            "gateway",
            format!(
                "not tested: whether the gateway refuses a call that no login makes: {}",
                error.detail
            ),
        ),
        Ok(reply) => Finding::fault(
            "gateway",
            format!(
                "the gateway sends on a call that no login makes: GET {FORBIDDEN}, status={}",
                reply.status
            ),
        )
        .why("root on this host can use the credential of the gateway for everything that it may do")
        .advice("on the gateway, use the configuration that this command prints: pam-onelogin gateway config"),
    });
}
