//! `gateway check`: checks a gateway on the gateway itself, as `check` does a host. It changes nothing.

use crate::examine::own_gateway::examine;
use crate::examine::own_gateway::subject::OwnGateway;
use crate::gateway::settings::DEFAULT;
use crate::outcome::Exit;
use crate::ui::finding::{Finding, Severity};
use crate::verb::Context;
use crate::verb::check::Detail;
use clap::Args;
use pam_onelogin::config::ClientCertificate;
use std::path::{Path, PathBuf};

/// Where the unit of the gateway writes the configuration of its `HAProxy`.
const IN_USE: &str = "/run/pam_onelogin_gateway_config/haproxy.cfg";

/// What to look at.
#[derive(Args)]
#[command(after_help = "\
Exit status: 0 no fault and no warning; 1 a fault, a warning or a failure; 2 wrong command line.")]
pub(crate) struct Options {
    /// Settings of the gateway
    #[arg(long, value_name = "FILE", default_value = DEFAULT)]
    settings: PathBuf,
    /// Configuration in use, haproxy.cfg
    #[arg(long, value_name = "FILE", default_value = IN_USE)]
    haproxy_cfg: PathBuf,
    /// Certificate of a host: also send a look-up, and calls that the gateway must refuse
    #[arg(long, value_name = "FILE", requires = "client_key")]
    client_cert: Option<PathBuf>,
    /// Key of that certificate
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    client_key: Option<PathBuf>,
    #[command(flatten)]
    detail: Detail,
}

/// Looks at everything.
pub(crate) fn run(context: &Context, options: &Options) -> Exit {
    let files = options
        .client_cert
        .as_ref()
        .zip(options.client_key.as_ref());
    let host = files.map(|(cert, key)| ClientCertificate {
        cert: cert.clone(),
        key: key.clone(),
    });
    let findings = examine(&OwnGateway {
        settings: &options.settings,
        in_use: &options.haproxy_cfg,
        reload: &options.reload(),
        host: host.as_ref(),
    });
    options
        .detail
        .report(context, findings, |findings| options.next(findings))
}

impl Options {
    /// How to let `HAProxy` read a new configuration.
    fn reload(&self) -> String {
        if self.haproxy_cfg == Path::new(IN_USE) {
            return "type: sudo systemctl reload pam-onelogin-gateway".to_owned();
        }
        let settings = self.with_settings();
        let file = self.haproxy_cfg.display();
        format!("type: sudo pam-onelogin gateway config{settings} > {file}; then reload HAProxy")
    }

    /// The option, where it is not the default.
    fn with_settings(&self) -> String {
        if self.settings == Path::new(DEFAULT) {
            return String::new();
        }
        format!(" --settings {}", self.settings.display())
    }

    /// The command that an administrator types next.
    fn next(&self, findings: &[Finding]) -> String {
        let is_bad = |found: &&Finding| found.severity == Severity::Fault;
        let faults: Vec<_> = findings.iter().filter(is_bad).collect();
        if faults.iter().any(|fault| fault.id == "unprivileged") {
            return format!(
                "Next: sudo pam-onelogin gateway check{}",
                self.with_settings()
            );
        }
        if faults.iter().any(|fault| fault.id == "gateway-settings") {
            let place = faults.iter().find_map(|fault| fault.place.as_ref());
            let path = place.map_or(self.settings.as_path(), |place| place.path.as_path());
            return format!("Next: sudoedit {}", path.display());
        }
        if !faults.is_empty() {
            let settings = self.with_settings();
            return format!(
                "Next: correct the faults, then type: sudo pam-onelogin gateway check{settings}"
            );
        }
        "Next, on a host: sudo pam-onelogin check".to_owned()
    }
}
