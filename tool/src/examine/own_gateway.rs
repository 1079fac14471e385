//! Checks a gateway on the gateway itself: its settings, its files, its `HAProxy` and, with the certificate of a host, what it
//! lets through. Nothing is changed. The token and the client secret are never read.

mod certificate;
mod files;
mod lists;
mod requests;
mod running;
pub(crate) mod subject;
mod units;

use crate::examine::own_gateway::subject::{OwnGateway, of_sentence};
use crate::gateway::settings::Settings;
use crate::outcome::Failure;
use crate::ui::finding::Finding;
use std::fs::File;
use std::io::ErrorKind;

/// All findings about a gateway.
pub(crate) fn examine(gateway: &OwnGateway<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Err(error) = File::open(gateway.settings) {
        if error.kind() == ErrorKind::PermissionDenied {
            findings.push(
                Finding::fault("unprivileged", "only root may read this file")
                    .in_file(gateway.settings)
                    .advice("type: sudo pam-onelogin gateway check"),
            );
            return findings;
        }
    }
    let settings = match Settings::load(gateway.settings) {
        Ok(settings) => settings,
        Err(Failure(sentences)) => {
            let sentences = sentences.iter();
            findings.extend(sentences.map(|sentence| {
                of_sentence("gateway-settings", sentence)
                    .why("HAProxy gets no configuration; at its next start or reload it fails")
            }));
            return findings;
        }
    };
    findings.push(
        Finding::good("gateway-settings", "the settings have no fault").in_file(gateway.settings),
    );
    files::examine(&settings, &mut findings);
    certificate::examine(&settings, &mut findings);
    lists::examine(&settings, &mut findings);
    let is_running = running::examine(gateway, &settings, &mut findings);
    units::examine(&mut findings);
    if is_running {
        requests::examine(gateway, &settings, &mut findings);
    }
    findings
}
