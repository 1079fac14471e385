//! The certificate of a gateway: its key, its chain, its name, its end, and that another CA signs the certificates of hosts.

use crate::examine::identity::{Named, certificates, has_signed, is_client, is_server};
use crate::examine::own_gateway::files::{access, real};
use crate::examine::own_gateway::subject::{DENIED, of_sentence};
use crate::gateway::settings::Settings;
use crate::ui::finding::Finding;
use pam_onelogin::config::ClientCertificate;
use pam_onelogin::host::uids;
use pam_onelogin::onelogin::http::certificate_end;
use pam_onelogin::trust::{Privacy, Trusted};
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;

const ID: &str = "gateway-certificate";

const ADVICE: &str = "issue a new certificate for this gateway: see docs/gateway.md";

/// Looks at the certificate.
pub(super) fn examine(settings: &Settings, findings: &mut Vec<Finding>) {
    let path = &settings.certificate;
    one_ca(settings, findings);
    if !access(path, Privacy::Secret, findings) {
        return;
    }
    let both = ClientCertificate {
        cert: real(path),
        key: real(path),
    };
    let ends = match certificate_end(&both, Trusted::of(uids())) {
        Ok(ends) => ends,
        Err(why) => {
            findings.push(of_sentence(ID, &why).why(DENIED).advice(
                "write the certificate of this gateway, its chain and its key into this file: see docs/gateway.md",
            ));
            return;
        }
    };
    let named = Named {
        id: ID,
        name: "the certificate of this gateway",
        path,
        denied: DENIED,
        advice: "issue a new certificate for this gateway, then type: sudo systemctl reload pam-onelogin-gateway",
    };
    findings.push(named.dates(ends));
    let chain = certificates(path);
    chains(settings, &chain, findings);
    names(settings, &chain, findings);
}

/// Whether the CA of the hosts has signed the certificate of this gateway, or is a CA of gateways.
fn one_ca(settings: &Settings, findings: &mut Vec<Finding>) {
    let hosts = certificates(&settings.hosts_ca);
    let gateways = settings.gateways_ca.as_deref().map(certificates);
    let gateways = gateways.unwrap_or_default();
    let is_one = has_signed(&hosts, &certificates(&settings.certificate))
        || gateways.iter().any(|ca| hosts.contains(ca));
    if is_one {
        findings.push(
            Finding::fault(
                "one-ca",
                "the CA of the hosts signs the certificates of gateways, too",
            )
            .in_file(&settings.hosts_ca)
            .why("root on any host could pretend to be the gateway, and let every user in on the other hosts")
            .advice("use one CA for the gateways and another one for the hosts: see docs/gateway.md"),
        );
    }
}

/// Whether a host, and another gateway, can trust the chain in the file.
fn chains(settings: &Settings, chain: &[CertificateDer<'_>], findings: &mut Vec<Finding>) {
    let gateways = settings.gateways_ca.as_deref().map(certificates);
    let top = chain.get(1..).and_then(<[_]>::last);
    let ca = match (&gateways, top) {
        (Some(gateways), _) => gateways.as_slice(),
        (None, Some(top)) => std::slice::from_ref(top),
        // Only the hosts have the CA.
        (None, None) => return,
    };
    let wrong = |what: &str, why: &str| {
        Finding::fault(ID, format!("{what}: {why}")).in_file(&settings.certificate)
    };
    if let Err(why) = is_server(ca, chain) {
        let finding = wrong("hosts cannot trust the certificate of this gateway", &why);
        findings.push(finding.why(DENIED).advice(format!(
            "write the certificate first, then those of its issuers; {ADVICE}"
        )));
    } else if !settings.peers.is_empty() {
        if let Err(why) = is_client(ca, chain) {
            let finding = wrong(
                "the other gateway cannot trust the certificate of this one",
                &why,
            );
            findings.push(
                finding
                    .why("the gateways do not share their limits")
                    .advice(format!(
                        "it needs extendedKeyUsage=serverAuth,clientAuth; {ADVICE}"
                    )),
            );
        }
    }
}

/// Whether the certificate is for the name by which hosts connect.
fn names(settings: &Settings, chain: &[CertificateDer<'_>], findings: &mut Vec<Finding>) {
    let origin = &settings.host_config.onelogin.origin;
    let host = origin.host();
    if origin == &settings.onelogin.origin {
        findings.push(
            Finding::note(
                ID,
                "not compared: the name in the certificate with the one by which hosts connect",
            )
            .why("the copy of their configuration still has the URL of OneLogin"),
        );
        return;
    }
    let parsed = chain.first().map(ParsedCertificate::try_from);
    let name = ServerName::try_from(host);
    let (Some(Ok(parsed)), Ok(name)) = (parsed, name) else {
        return;
    };
    findings.push(match verify_server_name(&parsed, &name) {
        Ok(()) => Finding::good(
            ID,
            format!("the certificate of this gateway is for {host}, as in the configuration of the hosts"),
        ),
        Err(_) => Finding::fault(
            ID,
            format!("the certificate of this gateway is not for {host}, to which hosts connect"),
        )
        .why(DENIED)
        .advice(format!("it needs subjectAltName=DNS:{host}; {ADVICE}")),
    }
    .in_file(&settings.certificate));
}
