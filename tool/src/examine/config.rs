//! The configuration, and each file that it names: the content, the owner, and whether other users can
//! read or change it. It reports all faults at once; the module stops at the first.

use crate::examine::subject::Subject;
use crate::ui::finding::Finding;
use ipnet::IpNet;
use pam_onelogin::config::file::{LoadError, load};
use pam_onelogin::config::{Config, ConfigFault, Credential, FailMode, SecretSource, parse};
use pam_onelogin::host::uids;
use pam_onelogin::trust::{Privacy, Trusted};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Looks at the configuration.
pub(crate) fn examine(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let path = subject.config;
    let text = match subject.machine.text(path) {
        Ok(Some(text)) => Zeroizing::new(text),
        // An image may get its configuration later.
        Ok(None) if !subject.machine.is_this() => return,
        Ok(None) => {
            findings.push(
                Finding::fault("no-configuration", "the configuration file does not exist")
                    .in_file(path)
                    .why("every login that needs a second factor is denied")
                    .advice("create it: see pam_onelogin.conf(5)"),
            );
            return;
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            findings.push(
                Finding::fault("unprivileged", "only root may read this file")
                    .in_file(path)
                    .advice("type: sudo pam-onelogin check"),
            );
            return;
        }
        Err(error) => {
            findings.push(Finding::fault("unreadable", error.to_string()).in_file(path));
            return;
        }
    };
    let before = findings.len();
    let parsed = parse(&path.display().to_string(), &text);
    let named = parsed.as_ref().map(named).unwrap_or_default();
    if subject.machine.is_this() {
        flaws(path, Privacy::Secret, findings);
        for (path, privacy) in &named {
            flaws(path, *privacy, findings);
        }
    }
    match parsed {
        Err(faults) => findings.extend(faults.iter().map(of_fault)),
        // The contents are worth a look once no other user could have written them.
        Ok(_) if subject.machine.is_this() && findings.len() == before => {
            if let Err(LoadError::Faults(faults)) = load(path, Trusted::of(uids())) {
                findings.extend(faults.iter().map(of_fault));
            }
        }
        Ok(_) => {}
    }
    if findings.len() == before && subject.machine.is_this() {
        let files = named.len() + 1;
        let what = format!("the configuration is valid; files checked: {files}");
        findings.push(Finding::good("configuration", what).in_file(path));
    }
    if let Some(config) = &subject.settings {
        failmode(path, &text, config, findings);
    }
}

/// What `failmode = "safe"` means (rule R19): it is no fault, and an admin may need it.
fn failmode(path: &Path, text: &str, config: &Config, findings: &mut Vec<Finding>) {
    if config.failmode != FailMode::Safe {
        return;
    }
    let at = |finding: Finding, key| match line_of(text, key) {
        Some(line) => finding.at(path, line),
        None => finding.in_file(path),
    };
    let networks: Vec<_> = config
        .failmode_from
        .iter()
        .map(ToString::to_string)
        .collect();
    let networks = networks.join(", ");
    let safe = Finding::warning(
        "failmode-safe",
        format!("failmode is \"safe\": during an outage of OneLogin, the first factor alone is enough for SSH logins from {networks}"),
    )
    .why("a local user can cause an outage by filling the uplink, the NAT table, the connection tracking table or the neighbour table; so can anyone on the network path to OneLogin")
    .advice("write failmode = \"secure\", unless logins during an outage are more important than that risk; see \"WHEN ONELOGIN IS DOWN\" in pam_onelogin(8)");
    findings.push(at(safe, "failmode"));
    let everybody: Vec<_> = EVERYBODY
        .iter()
        .filter(|(network, _)| covers(&config.failmode_from, network))
        .map(|(_, family)| *family)
        .collect();
    if !everybody.is_empty() {
        let from = everybody.join(" and ");
        let everywhere = Finding::warning(
            "failmode-from-everywhere",
            format!("failmode_from contains every {from} address"),
        )
        .why("during an outage, anyone with a user's password or key can log in from anywhere on the internet")
        .advice("list only the networks that your users log in from, such as failmode_from = [\"10.20.0.0/16\"], or write failmode = \"secure\"");
        findings.push(at(everywhere, "failmode_from"));
    }
}

/// For each address family, a network that contains all its clients, and the name of the family. All
/// global IPv6 unicast addresses are in `2000::/3`.
const EVERYBODY: [(&str, &str); 2] = [("0.0.0.0/0", "IPv4"), ("2000::/3", "IPv6")];

/// Whether networks, taken together, contain this one.
fn covers(networks: &[IpNet], all: &str) -> bool {
    let all: Option<IpNet> = all.parse().ok();
    let together = IpNet::aggregate(&networks.to_vec());
    all.is_some_and(|all| together.iter().any(|network| network.contains(&all)))
}

/// The line of a key at the top of the file, from 1.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let is_it = |line: &str| {
        let rest = line.trim_start().strip_prefix(key);
        rest.is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    text.lines().position(is_it).map(|index| index + 1)
}

/// The files that a configuration names.
fn named(config: &Config) -> Vec<(PathBuf, Privacy)> {
    let onelogin = &config.onelogin;
    let lookup = onelogin.lookup.as_ref();
    let secrets = [
        Some(&onelogin.client_secret),
        lookup.map(|Credential { client_secret, .. }| client_secret),
    ];
    let secrets = secrets
        .into_iter()
        .flatten()
        .filter_map(|source| match source {
            SecretSource::Inline(_) => None,
            SecretSource::File(path) => Some((path.clone(), Privacy::Secret)),
        });
    let public = [&config.users.map_file, &onelogin.ca_file];
    let public = public.into_iter().flatten();
    secrets
        .chain(public.map(|path| (path.clone(), Privacy::Public)))
        .collect()
}

/// Every flaw for which the module refuses a file. A folder that several files share is reported once.
fn flaws(path: &Path, privacy: Privacy, findings: &mut Vec<Finding>) {
    let (id, why) = match privacy {
        Privacy::Secret => (
            "secret-file",
            "the module refuses this file: other users could read or change the credential",
        ),
        Privacy::Public => (
            "file",
            "the module refuses this file: other users could change who can log in",
        ),
    };
    for flaw in Trusted::of(uids()).flaws(path, privacy) {
        let what = flaw.to_string();
        let is_folder = what.starts_with("the folder ");
        if !is_folder || findings.iter().all(|other| other.what != what) {
            findings.push(Finding::fault(id, what).in_file(path).why(why));
        }
    }
}

/// A fault begins with its place, which ends at the first colon before a space.
fn of_fault(fault: &ConfigFault) -> Finding {
    let text = fault.to_string();
    let (place, what) = text.split_once(": ").unwrap_or(("", &text));
    let finding = Finding::fault("configuration", what)
        .why("every login that needs a second factor is denied (reason=config)");
    let line = place
        .rsplit_once(':')
        .and_then(|(path, line)| Some((path, line.parse().ok()?)));
    match line {
        Some((path, line)) => finding.at(path, line),
        None => finding.in_file(place),
    }
}
