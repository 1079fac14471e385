//! The stacks of PAM: whether a denial of ours is one.

use super::Subject;
use crate::cli::finding::Finding;

/// Looks at each stack in /etc/pam.d.
pub(super) fn examine(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let names = match subject.machine.names(FOLDER) {
        Ok(names) => names,
        Err(error) => {
            findings.push(Finding::fault("unreadable", error.to_string()).in_file(FOLDER));
            return;
        }
    };
    let names_us = |name: &String| {
        let text = subject.machine.text(format!("{FOLDER}/{name}"));
        let text = text.ok().flatten().unwrap_or_default();
        text.lines()
            .any(|line| !line.trim_start().starts_with('#') && line.contains("pam_onelogin"))
    };
    if !names.iter().any(names_us) {
        findings.push(
            Finding::warning("not-used", "no stack names pam_onelogin")
                .in_file(FOLDER)
                .why("nobody is asked for a second factor")
                .advice("add it to a stack: see \"Stacks\" in the README"),
        );
    }
}

const FOLDER: &str = "/etc/pam.d";
