//! The files of a gateway: only root may write to them, no other user may read the secrets, and the CAs are CAs.

use crate::examine::identity::{Named, certificates, end};
use crate::examine::own_gateway::subject::DENIED;
use crate::gateway::settings::Settings;
use crate::ui::finding::Finding;
use pam_onelogin::host::uids;
use pam_onelogin::trust::{Privacy, Trusted};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Where the unit of the keeper takes the client secret from.
const CLIENT_SECRET: &str = "/etc/pam_onelogin/gateway/client_secret";

/// Looks at the owners and modes of all files, and at the dates of the CAs.
pub(super) fn examine(settings: &Settings, findings: &mut Vec<Finding>) {
    authority(
        "the CA of the hosts",
        &settings.hosts_ca,
        "no host can connect",
        findings,
    );
    if let Some(path) = &settings.gateways_ca {
        let denied = "the gateways do not share their limits";
        authority("the CA of the gateways", path, denied, findings);
    }
    if let Some(path) = &settings.onelogin.ca_file {
        access(path, Privacy::Public, findings);
    }
    client_secret(settings, findings);
    token_map(&settings.token_map, findings);
}

/// A file in its real place. `HAProxy` follows links.
pub(super) fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// Looks at the owner and mode of a file and of its folders. Returns whether they are right.
pub(super) fn access(path: &Path, privacy: Privacy, findings: &mut Vec<Finding>) -> bool {
    let trusted = Trusted::of(uids());
    let mut whys: Vec<String> = Vec::new();
    if let Some(Err(error)) = path.parent().map(|parent| trusted.check_folders(parent)) {
        whys.push(pam_onelogin::trust::FileError::from(error).to_string());
    }
    let flaws = trusted.flaws(&real(path), privacy);
    whys.extend(flaws.iter().map(ToString::to_string));
    whys.dedup();
    let is_good = whys.is_empty();
    findings.extend(whys.into_iter().map(|why| {
        let reason = match privacy {
            Privacy::Public => "who can write to it controls this gateway",
            Privacy::Secret => "who can read it can pretend to be this gateway",
        };
        Finding::fault("gateway-file", why)
            .in_file(path)
            .why(reason)
            .advice("only root may write to the files of a gateway and to their folders")
    }));
    is_good
}

/// The file of a CA.
fn authority(name: &str, path: &Path, denied: &'static str, findings: &mut Vec<Finding>) {
    if !access(path, Privacy::Public, findings) {
        return;
    }
    let all = certificates(path);
    let Some(first) = all.iter().map(end).min_by_key(|end| end.unwrap_or(0)) else {
        findings.push(
            Finding::fault("gateway-file", "contains no certificate in PEM form")
                .in_file(path)
                .why(denied)
                .advice(format!("write the certificate of {name} into this file")),
        );
        return;
    };
    let named = Named {
        id: "ca-ends",
        name,
        path,
        denied,
        advice: "add the certificate of a new CA to the file, issue new certificates, then remove the old CA: see docs/gateway.md",
    };
    findings.push(named.dates(first));
}

/// Who may read the client secret. It stays unread.
fn client_secret(settings: &Settings, findings: &mut Vec<Finding>) {
    let own = settings.onelogin.client_secret_file.as_deref();
    let path = own.unwrap_or(Path::new(CLIENT_SECRET));
    let finding = match path.metadata() {
        Ok(metadata) if metadata.mode() & 0o077 != 0 => Finding::fault(
            "client-secret",
            format!(
                "other users can read the client secret: it has mode {:04o}",
                metadata.mode() & 0o7777
            ),
        )
        .why("who has the secret can change every user of the tenant")
        .advice(format!("type: chmod 0600 {}", path.display())),
        Ok(_) => Finding::good("client-secret", "no other user can read the client secret"),
        // Another unit may take it from somewhere else.
        Err(error) if own.is_none() => Finding::warning(
            "client-secret",
            format!("the client secret cannot be looked at: {error}"),
        )
        .why("the unit of the keeper reads it when it starts; without it the gateway has no token")
        .advice("write the client secret into this file (mode 0600)"),
        Err(error) => Finding::fault(
            "client-secret",
            format!("the client secret cannot be looked at: {error}"),
        )
        .why(DENIED)
        .advice("write the client secret into this file (mode 0600)"),
    };
    findings.push(finding.in_file(path));
}

/// Who may read the file of the token. It stays unread.
fn token_map(path: &Path, findings: &mut Vec<Finding>) {
    let Ok(metadata) = path.metadata() else {
        findings.push(
            Finding::fault("token-map", "the file of the token does not exist")
                .in_file(path)
                .why("HAProxy does not start without it")
                .advice("type: systemd-tmpfiles --create pam-onelogin-gateway.conf; then start the keeper of the token"),
        );
        return;
    };
    if metadata.mode() & 0o027 != 0 {
        findings.push(
            Finding::fault(
                "token-map",
                format!(
                    "other users can read or change the token: its file has mode {:04o}",
                    metadata.mode() & 0o7777
                ),
            )
            .in_file(path)
            .why("who has the token can change every user of the tenant until it ends")
            .advice(format!("type: chmod 0640 {}", path.display())),
        );
    }
}
