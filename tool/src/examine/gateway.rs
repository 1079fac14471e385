//! A host behind a gateway: its client certificate, and whether the gateway refuses what no login sends.

use crate::examine::identity::{Named, certificates, has_signed};
use crate::ui::finding::Finding;
use pam_onelogin::api::ApiTrouble;
use pam_onelogin::config::Config;
use pam_onelogin::host::uids;
use pam_onelogin::login::Deadline;
use pam_onelogin::onelogin::client::{Client, Purpose, Role};
use pam_onelogin::onelogin::http::certificate_end;
use pam_onelogin::trust::Trusted;

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
        Ok(ends) => findings.push(
            Named {
                id: "client-certificate",
                name: "the client certificate",
                path: &files.cert,
                denied: DENIED,
                advice: "issue a new certificate for this host: see docs/gateway.md",
            }
            .dates(ends),
        ),
    }
    if let Some(ca_file) = &config.onelogin.ca_file {
        if has_signed(&certificates(ca_file), &certificates(&files.cert)) {
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

/// Whether the gateway refuses a call that no login makes.
pub(super) fn refuses(client: &mut Client<'_>, config: &Config, findings: &mut Vec<Finding>) {
    let purpose = Purpose {
        role: Role::Verify,
        scope: "",
    };
    let deadline = Deadline::after(config.onelogin.request_timeout);
    let query = [("limit", "1")];
    let reply = client.get(purpose, FORBIDDEN, &query, deadline);
    let name = config.onelogin.origin.host();
    let ca_file = config.onelogin.ca_file.as_deref();
    let ca = ca_file.map_or_else(
        || "a CA of the system".to_owned(),
        |path| format!("the CA in {}", path.display()),
    );
    findings.push(match reply {
        Err(error) if error.trouble == ApiTrouble::GatewayRefused => Finding::good(
            "gateway",
            format!("the gateway {name}, known by {ca}, refuses a call that no login makes"),
        ),
        Err(error) => Finding::note(
            "gateway",
            format!(
                "not tested: whether the gateway {name} refuses a call that no login makes: {}",
                error.detail
            ),
        ),
        Ok(reply) => Finding::fault(
            "gateway",
            format!(
                "the gateway {name} sends on a call that no login makes: GET {FORBIDDEN}, status={}",
                reply.status
            ),
        )
        .why("root on this host can use the credential of the gateway for everything that it may do")
        .advice("on the gateway, use the configuration that this command prints: pam-onelogin gateway config"),
    });
}
