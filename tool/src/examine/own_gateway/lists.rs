//! The lists that `HAProxy` compares line by line: whether each line can match.

use crate::examine::own_gateway::files::access;
use crate::gateway::lists::{NEVER_MATCHES, instead, patterns};
use crate::gateway::settings::Settings;
use crate::ui::finding::Finding;
use pam_onelogin::trust::Privacy;
use std::path::Path;

/// Looks at each line of both lists.
pub(super) fn examine(settings: &Settings, findings: &mut Vec<Finding>) {
    revoked(&settings.revoked, findings);
    if let Some(path) = &settings.enrolling_users {
        users(path, findings);
    }
}

fn revoked(path: &Path, findings: &mut Vec<Finding>) {
    let id = "revoked";
    if !path.exists() {
        findings.push(
            Finding::fault(id, "the list of revoked certificates does not exist")
                .in_file(path)
                .why("HAProxy does not start without it")
                .advice(format!(
                    "type: install -m 0644 /dev/null {}",
                    path.display()
                )),
        );
        return;
    }
    look(
        &List {
            id,
            path,
            is_not: NEVER_MATCHES,
            why: "if it is the serial number of a revoked certificate, that host can still use the gateway",
        },
        instead,
        findings,
    );
}

fn users(path: &Path, findings: &mut Vec<Finding>) {
    let wrong = |line: &str| {
        let is_id = line.bytes().all(|byte| byte.is_ascii_digit()) && !line.starts_with('0');
        (!is_id).then(|| {
            "write the id of a user at OneLogin, such as \"1001\", and nothing else in the line"
                .to_owned()
        })
    };
    let list = List {
        id: "enrolling-users",
        path,
        is_not: "is not the id of a user as HAProxy compares it, so it never matches",
        why: "no host may enrol a factor for this user",
    };
    look(&list, wrong, findings);
}

/// A file with something on each line.
struct List<'a> {
    id: &'static str,
    path: &'a Path,
    /// What is wrong with a line that never matches.
    is_not: &'static str,
    why: &'static str,
}

/// Looks at a list. `wrong` says what to write in place of a line that never matches.
fn look(list: &List<'_>, wrong: impl Fn(&str) -> Option<String>, findings: &mut Vec<Finding>) {
    if !access(list.path, Privacy::Public, findings) {
        return;
    }
    let text = match std::fs::read(list.path) {
        Ok(text) => text,
        Err(error) => {
            let finding = Finding::fault(list.id, format!("cannot be read: {error}"));
            findings.push(finding.in_file(list.path).why(list.why));
            return;
        }
    };
    let text = String::from_utf8_lossy(&text);
    let mut count = 0;
    let mut is_right = true;
    for (number, line) in patterns(&text) {
        count += 1;
        if let Some(advice) = wrong(line) {
            is_right = false;
            findings.push(
                Finding::fault(list.id, format!("\"{line}\" {}", list.is_not))
                    .at(list.path, number)
                    .why(list.why)
                    .advice(advice),
            );
        }
    }
    if is_right {
        let what = format!("HAProxy can compare each of the {count} lines of this list");
        findings.push(Finding::good(list.id, what).in_file(list.path));
    }
}
