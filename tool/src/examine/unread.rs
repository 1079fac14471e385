//! The files that exist and could not be read: what is in them may bypass the second factor.

use crate::examine::subject::Subject;
use crate::ui::finding::{AS_ROOT, Finding, UNKNOWN};
use std::io::ErrorKind;

/// A warning for each file that exists and could not be read.
pub(super) fn examine(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for (path, (kind, error)) in subject.machine.unread() {
        // The configuration has findings of its own.
        if path == subject.config {
            continue;
        }
        let (what, advice) = if kind == ErrorKind::PermissionDenied {
            (
                "only root may read this file".to_owned(),
                AS_ROOT.to_owned(),
            )
        } else {
            (error, format!("type: ls -ld {}", path.display()))
        };
        let is_record = path.starts_with(RECORDS);
        let why = if is_record {
            "it is a record of \"pam-onelogin enable\": without it, check cannot tell whether another \
             program has changed a stack since"
        } else {
            "a setting in it may bypass the second factor, or deny every login"
        };
        let service = path.file_stem().unwrap_or_default().to_string_lossy();
        let advice = if is_record && kind == ErrorKind::InvalidData {
            format!(
                "move the file to another folder; then type: sudo pam-onelogin {}; copies of the old stacks \
                 are in {RECORDS}/backup",
                subject.enable(&service)
            )
        } else {
            advice
        };
        findings.push(
            Finding::warning("unreadable", format!("not checked: {what}"))
                .in_file(&path)
                .opens_to(UNKNOWN)
                .why(why)
                .advice(advice),
        );
    }
}

/// Where `enable` keeps its records.
const RECORDS: &str = "/var/lib/pam_onelogin";
