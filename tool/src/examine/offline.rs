//! The offline codes of this host: who runs out of them, and which cannot be used.

use crate::examine::subject::Subject;
use crate::host::dates::day_of;
use crate::login::offline_codes::{Codes, of_all};
use crate::login::outlook::word;
use crate::ui::finding::Finding;
use pam_onelogin::clock::unix_now;
use pam_onelogin::host::uids;

/// With so many codes or fewer, a user needs new ones soon.
const FEW: usize = 2;

/// So long before the end a warning comes, in seconds.
const SOON: u64 = 14 * 24 * 3600;

/// Looks at the codes of all users.
pub(crate) fn examine(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let Some(config) = subject
        .settings
        .as_ref()
        .filter(|_| subject.machine.is_this())
    else {
        return;
    };
    if uids().effective != 0 && !config.offline {
        return;
    }
    let users = match of_all(config) {
        Ok(users) => users,
        Err(why) if config.offline => {
            findings.push(
                Finding::fault(
                    "offline-dir",
                    format!("offline codes cannot be used: {why}"),
                )
                .in_file(&config.offline_dir)
                .why("while OneLogin cannot be reached, no user can log in with an offline code"),
            );
            return;
        }
        Err(_) => return,
    };
    if !config.offline {
        if users.values().any(|codes| codes.usable > 0) {
            findings.push(
                Finding::note(
                    "offline-codes-off",
                    "users have offline codes, and offline is false",
                )
                .why("the codes do not work; if you switch offline on again, they do")
                .advice(
                    "to remove the codes of a user, type: sudo pam-onelogin offline revoke USER",
                ),
            );
        }
        return;
    }
    if users.is_empty() {
        findings.push(
            Finding::note(
                "offline-codes-none",
                "offline = true, and no user has offline codes",
            )
            .advice("type: sudo pam-onelogin offline issue USER"),
        );
    }
    for (user, codes) in &users {
        findings.extend(match user {
            Some((user, _)) => findings_of(codes, user, unix_now()),
            None => vec![
                Finding::warning("offline-files", "some files are not offline codes")
                    .in_file(&config.offline_dir)
                    .why("they were changed, or their owner or mode is wrong")
                    .advice("issue new codes to the users concerned, and remove these files"),
            ],
        });
    }
}

fn findings_of(codes: &Codes, user: &str, now: u64) -> Vec<Finding> {
    let mut findings = Vec::new();
    let issue = format!("type: sudo pam-onelogin offline issue {}", word(user));
    if codes.not_valid > 0 {
        findings.push(
                Finding::warning(
                    "offline-codes-not-valid",
                    format!(
                        "{} of the offline codes of {user} are not valid: the files were copied, restored or changed, or the \
                         clock is wrong",
                        codes.not_valid
                    ),
                )
                .why("these codes do not work")
                .advice(issue.clone()),
            );
    }
    if codes.usable <= FEW {
        findings.push(
            Finding::warning(
                "offline-codes-few",
                format!("{user} has {} offline codes left", codes.usable),
            )
            .advice(issue),
        );
    } else if let Some(end) = codes.end.filter(|&end| end < now + SOON) {
        findings.push(
            Finding::warning(
                "offline-codes-end",
                format!("the offline codes of {user} end on {}", day_of(end)),
            )
            .advice(issue),
        );
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(usable: usize, end: u64, not_valid: usize) -> Vec<&'static str> {
        let codes = Codes {
            usable,
            not_valid,
            end: Some(end),
            ..Codes::default()
        };
        let findings = findings_of(&codes, "alice", 1000);
        findings.iter().map(|finding| finding.id).collect()
    }

    #[test]
    fn it_warns_before_codes_run_out_and_of_those_that_do_not_work() {
        assert_eq!(ids(3, 1000 + SOON, 0), [""; 0]);
        assert_eq!(ids(3, 999 + SOON, 0), ["offline-codes-end"]);
        assert_eq!(ids(2, 1000 + SOON, 0), ["offline-codes-few"]);
        assert_eq!(ids(0, 0, 0), ["offline-codes-few"]);
        assert_eq!(ids(3, 1000 + SOON, 1), ["offline-codes-not-valid"]);
        assert_eq!(
            ids(0, 0, 2),
            ["offline-codes-not-valid", "offline-codes-few"]
        );
    }
}
