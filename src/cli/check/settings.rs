//! The configuration, and each file that it names: what is in them, whose they are, and who else could
//! read or change them. All faults at once, where the module stops at the first.

use super::Subject;
use crate::cli::finding::Finding;
use crate::config::file::{LoadError, load};
use crate::config::{Config, Credential, Fault, SecretSource, parse};
use crate::host::uids;
use crate::trust::{Privacy, Trusted};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Looks at the configuration.
pub(super) fn examine(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let path = subject.config;
    let text = match subject.machine.text(path) {
        Ok(Some(text)) => Zeroizing::new(text),
        // An image may get its configuration later.
        Ok(None) if !subject.machine.is_this() => return,
        Ok(None) => {
            findings.push(
                Finding::fault("no-configuration", "there is no configuration")
                    .in_file(path)
                    .why("everybody who is asked is denied")
                    .advice("write it: see \"Configuration\" in the README"),
            );
            return;
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            findings.push(
                Finding::fault("unprivileged", "only root may read it")
                    .in_file(path)
                    .advice("run this with sudo"),
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
        // What is in the files is worth a look once nobody else could have put it there.
        Ok(_) if subject.machine.is_this() && findings.len() == before => {
            if let Err(LoadError::Faults(faults)) = load(path, Trusted::of(uids())) {
                findings.extend(faults.iter().map(of_fault));
            }
        }
        Ok(_) => {}
    }
    if findings.len() == before && subject.machine.is_this() {
        let files = named.len() + 1;
        let what = format!("the configuration is right; files of it: {files}");
        findings.push(Finding::good("configuration", what).in_file(path));
    }
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

/// Everything for which the module would refuse a file. A folder above several is told of once.
fn flaws(path: &Path, privacy: Privacy, findings: &mut Vec<Finding>) {
    let (id, why) = match privacy {
        Privacy::Secret => (
            "secret-file",
            "the module refuses it: others could read the credential, or change it",
        ),
        Privacy::Public => (
            "file",
            "the module refuses it: others could change who gets in",
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

/// A fault names its place before the first colon that a blank follows.
fn of_fault(fault: &Fault) -> Finding {
    let text = fault.to_string();
    let (place, what) = text.split_once(": ").unwrap_or(("", &text));
    let finding = Finding::fault("configuration", what)
        .why("everybody who is asked is denied, reason=config");
    let line = place
        .rsplit_once(':')
        .and_then(|(path, line)| Some((path, line.parse().ok()?)));
    match line {
        Some((path, line)) => finding.at(path, line),
        None => finding.in_file(place),
    }
}
