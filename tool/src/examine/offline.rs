//! The offline codes of this host: who runs out of them, and which cannot be used.

use crate::examine::subject::Subject;
use crate::host::dates::day_of;
use crate::login::offline_codes::{Codes, of_all};
use crate::login::outlook::word;
use crate::ui::finding::{Finding, Severity};
use pam_onelogin::clock::unix_now;
use pam_onelogin::host::uids;
use std::collections::BTreeMap;

/// With so many codes or fewer, a user needs new ones soon.
const FEW: usize = 2;

/// So long before the end a warning comes, in seconds.
const SOON: u64 = 14 * 24 * 3600;

/// Faults of the way to OneLogin, and of OneLogin: with them a login asks for an offline code.
const OUTAGE: [&str; 9] = [
    "gateway-refused",
    "name-server",
    "no-connection",
    "no-such-host",
    "onelogin-down",
    "rate-limited",
    "timeout",
    "tls",
    "token",
];

/// Whether a login asks a user with codes for one, because of this fault.
pub(super) fn is_outage(finding: &Finding) -> bool {
    finding.severity == Severity::Fault && OUTAGE.contains(&finding.id)
}

/// Whether some user has codes that work.
pub(super) fn is_usable(subject: &Subject<'_>) -> bool {
    let config = subject.settings.as_ref();
    let config = config.filter(|config| config.offline && subject.machine.is_this());
    let users = config.and_then(|config| of_all(config).ok());
    users.is_some_and(|users| users.values().any(|codes| codes.usable > 0))
}

/// Looks at the codes of all users, after OneLogin was looked at.
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
    let is_down = findings.iter().any(is_outage);
    if users.is_empty() {
        findings.push(
            Finding::note(
                "offline-codes-none",
                "offline = true, and no user has offline codes",
            )
            .advice(issue("USER", is_down)),
        );
    }
    if let Some(who) = who_can_log_in(&users, subject.user) {
        for finding in findings.iter_mut().filter(|finding| is_outage(finding)) {
            let why = finding.why.iter();
            finding.why = why.map(|why| format!("{who}; without one, {why}")).next();
        }
    }
    for (user, codes) in &users {
        findings.extend(match user {
            Some((user, _)) => findings_of(codes, user, unix_now(), is_down),
            None => vec![
                Finding::warning("offline-files", "some files are not offline codes")
                    .in_file(&config.offline_dir)
                    .why("they were changed, or their owner or mode is wrong")
                    .advice("issue new codes to the users concerned, and remove these files"),
            ],
        });
    }
}

/// Who has codes for an outage: this user, or how many users.
fn who_can_log_in(
    users: &BTreeMap<Option<(String, u32)>, Codes>,
    user: Option<&str>,
) -> Option<String> {
    let usable = users.iter().filter(|(_, codes)| codes.usable > 0);
    let is_it =
        |name: &str, of: &Option<(String, u32)>| of.as_ref().is_some_and(|(it, _)| it == name);
    let who = match (user, usable.clone().count()) {
        (Some(name), _) => {
            let (_, codes) = usable.clone().find(|(of, _)| is_it(name, of))?;
            match codes.usable {
                1 => format!("{name} has 1 offline code"),
                count => format!("{name} has {count} offline codes"),
            }
        }
        (None, 0) => return None,
        (None, 1) => "1 user has offline codes".to_owned(),
        (None, count) => format!("{count} users have offline codes"),
    };
    Some(format!("{who} and can log in with one"))
}

/// How to issue codes: the user must log in with OneLogin first.
fn issue(user: &str, is_down: bool) -> String {
    let when = if is_down {
        "when OneLogin answers again, "
    } else {
        ""
    };
    format!("{when}type: sudo pam-onelogin offline issue {user}")
}

fn findings_of(codes: &Codes, user: &str, now: u64, is_down: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let issue = issue(&word(user), is_down);
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
        let findings = findings_of(&codes, "alice", 1000, false);
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
