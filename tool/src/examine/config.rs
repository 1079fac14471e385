//! The configuration, and each file that it names: the content, the owner, and whether other users can
//! read or change it. It reports all faults at once; the module stops at the first.

use crate::examine::subject::Subject;
use crate::examine::{dated, gateway};
use crate::host::target_system::TargetSystem;
use crate::ui::finding::{AS_ROOT, Finding, Place};
use ipnet::IpNet;
use pam_onelogin::args::DEFAULT_CONFIG;
use pam_onelogin::config::file::{LoadError, load};
use pam_onelogin::config::{Config, ConfigFault, FailMode, SecretSource, parse};
use pam_onelogin::host::uids;
use pam_onelogin::trust::{FileError, Privacy, Trusted};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// What is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// The configuration as it is used, and the names in it.
    Host,
    /// The configuration, which may be a copy that is not in its place yet.
    Files,
}

/// Looks at the configuration.
pub(super) fn examine(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    look(subject.machine, subject.config, Extent::Host, findings);
}

/// Looks at the configuration and the files that it names, and asks the host for nothing else.
pub(super) fn examine_alone(machine: &TargetSystem, path: &Path, findings: &mut Vec<Finding>) {
    look(machine, path, Extent::Files, findings);
}

fn look(machine: &TargetSystem, path: &Path, extent: Extent, findings: &mut Vec<Finding>) {
    let text = match machine.text(path) {
        Ok(Some(text)) => Zeroizing::new(text),
        // An image may get its configuration later.
        Ok(None) if !machine.is_this() => return,
        Ok(None) => {
            findings.push(
                Finding::fault("no-configuration", "the configuration file does not exist")
                    .in_file(path)
                    .why("every login that needs a second factor is denied")
                    .advice(format!(
                        "type: sudo install -D -m 600 {} {1}; then type: sudoedit {1}; and write url, client_id and \
                         client_secret: see pam_onelogin.conf(5)",
                        sample(machine),
                        path.display()
                    )),
            );
            return;
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            findings.push(
                Finding::fault("unprivileged", "only root may read this file")
                    .in_file(path)
                    .advice(AS_ROOT),
            );
            return;
        }
        Err(error) => {
            findings.push(
                Finding::fault("unreadable", error.to_string())
                    .in_file(path)
                    .why(DENIED)
                    .advice(look_at(path)),
            );
            return;
        }
    };
    let before = findings.len();
    let parsed = parse(&path.display().to_string(), &text);
    let named = parsed.as_ref().map(named).unwrap_or_default();
    let is_copy = extent == Extent::Files && path != Path::new(DEFAULT_CONFIG);
    let mut is_loaded = false;
    if machine.is_this() {
        // The folder of a copy says nothing about the place that the copy is for.
        let looked_at = if is_copy {
            Look::File
        } else {
            Look::FileAndFolders
        };
        flaws(path, Privacy::Secret, looked_at, findings);
        is_loaded = Trusted::of(uids()).flaws(path, Privacy::Secret).is_empty();
        for (path, privacy) in &named {
            flaws(path, *privacy, Look::FileAndFolders, findings);
        }
    }
    match &parsed {
        Err(faults) => of_faults(path, &text, faults, findings),
        // The contents are worth a look once no other user could have written them.
        Ok(_) if is_loaded && findings.len() == before => {
            if let Err(LoadError::Faults(faults)) = load(path, Trusted::of(uids())) {
                of_faults(path, &text, &faults, findings);
            }
            if let Ok(config) = &parsed {
                gateway::files(config, findings);
            }
        }
        Ok(_) => {}
    }
    if findings.len() == before && machine.is_this() {
        let files = named.len() + 1;
        let what = format!("the configuration is valid; files checked: {files}");
        findings.push(Finding::good("configuration", what).in_file(path));
    }
    if let Ok(config) = &parsed {
        failmode(path, &text, config, findings);
        dated::examine(path, config, dated::dates(machine, path), findings);
    }
}

/// The sample of a configuration, as a package installs it, or an empty file.
fn sample(machine: &TargetSystem) -> &'static str {
    let mut samples = SAMPLES.into_iter();
    samples
        .find(|path| machine.has(path))
        .unwrap_or("/dev/null")
}

/// Where the packages and `make install` put the sample.
const SAMPLES: [&str; 3] = [
    "/usr/share/doc/libpam-onelogin/examples/config.toml",
    "/usr/share/doc/pam_onelogin/examples/config.toml",
    "/usr/local/share/doc/pam_onelogin/examples/config.toml",
];

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
    .opens_to(format!("ssh logins from {networks}, during an outage"))
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

/// The line of a key, from 1. The key is written with its table: `onelogin.url`.
pub(super) fn line_of(text: &str, key: &str) -> Option<usize> {
    let mut table = String::new();
    for (number, line) in (1..).zip(text.lines()) {
        let name = |text: &str| text.split_whitespace().collect::<String>();
        if let Some(rest) = line.trim_start().strip_prefix('[') {
            table = name(rest.split(']').next().unwrap_or_default());
        } else if let Some((word, _)) = line.split_once('=') {
            let word = name(word);
            let is_it = match table.as_str() {
                "" => word == key,
                table => {
                    key.strip_prefix(table)
                        .and_then(|rest| rest.strip_prefix('.'))
                        == Some(&word)
                }
            };
            if is_it {
                return Some(number);
            }
        }
    }
    None
}

/// The place of a key in the configuration.
pub(super) fn place_of(subject: &Subject<'_>, key: &str) -> Place {
    let text = Zeroizing::new(subject.machine.text_or_empty(subject.config));
    Place::of(subject.config, line_of(&text, key))
}

/// The files that a configuration names.
fn named(config: &Config) -> Vec<(PathBuf, Privacy)> {
    let onelogin = &config.onelogin;
    let credentials = onelogin.access.credentials();
    let secrets = credentials.filter_map(|(_, credential)| match &credential.client_secret {
        SecretSource::Inline(_) => None,
        SecretSource::File(path) => Some(path),
    });
    let certificate = onelogin.access.certificate();
    let secrets = secrets.chain(certificate.map(|files| &files.key));
    let certificate = certificate.filter(|files| files.cert != files.key);
    let certificate = certificate.map(|files| &files.cert);
    let public = [config.users.map_file.as_ref(), onelogin.ca_file.as_ref()];
    let public = public.into_iter().chain([certificate]).flatten();
    secrets
        .map(|path| (path.clone(), Privacy::Secret))
        .chain(public.map(|path| (path.clone(), Privacy::Public)))
        .collect()
}

/// Whether the folders of a file are looked at, too.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    File,
    FileAndFolders,
}

/// Every flaw for which the module refuses a file. A folder that several files share is reported once.
fn flaws(path: &Path, privacy: Privacy, look: Look, findings: &mut Vec<Finding>) {
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
    let is_absent = path
        .symlink_metadata()
        .is_err_and(|error| error.kind() == ErrorKind::NotFound);
    if is_absent {
        findings.push(absent(id, path, privacy));
    }
    for flaw in Trusted::of(uids()).flaws(path, privacy) {
        let (what, advice) = told(&flaw);
        let is_folder = what.starts_with("the folder ");
        if is_absent && advice.is_none() || is_folder && look == Look::File {
            continue;
        }
        if !is_folder || findings.iter().all(|other| other.what != what) {
            let mut finding = Finding::fault(id, what).in_file(path).why(why);
            finding.advice = advice.or_else(|| Some(look_at(path)));
            findings.push(finding);
        }
    }
}

/// What to type where no command is known that corrects a file.
pub(super) fn look_at(path: &Path) -> String {
    format!(
        "look at the file, and correct it or its name; type: ls -ld {}",
        path.display()
    )
}

/// A file that the configuration names and that does not exist.
fn absent(id: &'static str, path: &Path, privacy: Privacy) -> Finding {
    let shown = path.display();
    let advice = match privacy {
        Privacy::Secret => format!(
            "type: sudo install -m 600 /dev/null {shown}; then type: sudoedit {shown}; and write the client secret"
        ),
        Privacy::Public => "create the file, or correct its name in the configuration".to_owned(),
    };
    Finding::fault(
        id,
        "the configuration names this file, which does not exist",
    )
    .in_file(path)
    .why(DENIED)
    .advice(advice)
}

/// What is wrong with a file, and the command against it.
pub(super) fn told(flaw: &FileError) -> (String, Option<String>) {
    let text = flaw.to_string();
    let Some((what, command)) = text.split_once("; type: ") else {
        return match text.split_once("; ") {
            Some((what, advice)) => (what.to_owned(), Some(advice.to_owned())),
            None => (text, None),
        };
    };
    (what.to_owned(), Some(format!("type: sudo {command}")))
}

/// The faults of the configuration; keys of `[onelogin]` that it needs are one finding, with one thing to do.
fn of_faults(path: &Path, text: &str, faults: &[ConfigFault], findings: &mut Vec<Finding>) {
    let (missing, others): (Vec<_>, Vec<_>) = faults
        .iter()
        .map(|fault| of_fault(path, fault))
        .partition(|finding| finding.what.starts_with(NEEDS));
    let needed: Vec<_> = missing
        .iter()
        .filter_map(|finding| finding.what.strip_prefix(NEEDS))
        .collect();
    if let Some(mut first) = missing.first().cloned() {
        first.what = format!("{NEEDS}{}", needed.join(", and "));
        first.advice = Some(format!(
            "type: sudoedit {}; write the values, and remove the \"# \" before them",
            path.display()
        ));
        findings.push(first);
    }
    findings.extend(
        others
            .into_iter()
            .map(|finding| without_path(finding, text)),
    );
}

/// A `url` with a path has a host and a port that are right: the path is what is wrong.
fn without_path(mut finding: Finding, text: &str) -> Finding {
    let line = finding.place.as_ref().and_then(|place| place.line);
    if !finding.what.starts_with("\"url\" must have ") {
        return finding;
    }
    let line = line.and_then(|line| text.lines().nth(line.checked_sub(1)?));
    let value = line.and_then(|line| line.split(['"', '\'']).nth(1));
    let place = value.and_then(|value| value.strip_prefix("https://")?.split_once('/'));
    // What may contain a password is not shown.
    if let Some((host, rest)) = place.filter(|(host, _)| !host.contains('@')) {
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        finding.what = format!("\"url\" contains a path, /{rest}");
        finding.advice = Some(format!("write url = \"https://{host}\""));
    }
    finding
}

/// A fault begins with its place, which ends at the first colon before a space.
fn of_fault(config: &Path, fault: &ConfigFault) -> Finding {
    let text = fault.to_string();
    let (place, what) = text.split_once(": ").unwrap_or(("", &text));
    let line = place
        .rsplit_once(':')
        .and_then(|(path, line)| Some((path, line.parse().ok()?)));
    let path = line.map_or(place, |(path, _)| path);
    let edited = if path.is_empty() {
        config.display().to_string()
    } else {
        path.to_owned()
    };
    let finding = Finding::fault("configuration", what)
        .why(DENIED)
        .advice(format!("type: sudoedit {edited}"));
    match line {
        Some((path, line)) => finding.at(path, line),
        None => finding.in_file(place),
    }
}

const DENIED: &str = "every login that needs a second factor is denied (reason=config)";

/// How the fault about a missing key begins.
const NEEDS: &str = "[onelogin] needs ";

#[cfg(test)]
mod tests {
    use super::line_of;

    #[test]
    fn the_line_of_a_key_is_that_in_its_table() {
        let text = "failmode = \"safe\"\nonelogin.url = 1\n[onelogin]\n# client_id = 1\nlookup.client_id = 2\n \
                    client_id=3\n[ onelogin.lookup ]\nclient_id = 4\n[users]\nurl = 5\n";
        for (key, line) in [
            ("failmode", Some(1)),
            ("onelogin.url", Some(2)),
            ("onelogin.lookup.client_id", Some(5)),
            ("onelogin.client_id", Some(6)),
            ("users.url", Some(10)),
            ("users.client_id", None),
        ] {
            assert_eq!(line_of(text, key), line, "{key}");
        }
        let text = "[onelogin.lookup]\nclient_id = 4\n";
        assert_eq!(line_of(text, "onelogin.lookup.client_id"), Some(2));
        assert_eq!(line_of(text, "onelogin.client_id"), None);
    }
}
