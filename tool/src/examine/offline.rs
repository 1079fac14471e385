//! The offline codes of this host: who runs out of them, and which cannot be used.

use crate::examine::subject::Subject;
use crate::host::dates::day_of;
use crate::login::outlook::word;
use crate::ui::finding::Finding;
use pam_onelogin::clock::unix_now;
use pam_onelogin::config::Config;
use pam_onelogin::host::uids;
use pam_onelogin::offline::Record;
use pam_onelogin::state::offline_codes::OfflineCodes;
use pam_onelogin::trust::Trusted;
use std::collections::BTreeMap;

/// With so many codes or fewer, a user needs new ones soon.
const FEW: usize = 2;

/// So long before the end a warning comes, in seconds.
const SOON: u64 = 14 * 24 * 3600;

/// The codes of one user.
#[derive(Default)]
struct Codes {
    usable: usize,
    end: u64,
    not_valid: usize,
}

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
    let users = match codes(config) {
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
            Some(user) => codes.findings(user, unix_now()),
            None => vec![
                Finding::warning("offline-files", "some files are not offline codes")
                    .in_file(&config.offline_dir)
                    .why("they were changed, or their owner or mode is wrong")
                    .advice("issue new codes to the users concerned, and remove these files"),
            ],
        });
    }
}

impl Codes {
    fn findings(&self, user: &str, now: u64) -> Vec<Finding> {
        let mut findings = Vec::new();
        let issue = format!("type: sudo pam-onelogin offline issue {}", word(user));
        if self.not_valid > 0 {
            findings.push(
                Finding::warning(
                    "offline-codes-not-valid",
                    format!(
                        "{} of the offline codes of {user} are not valid: the files were copied, restored or changed, or the \
                         clock is wrong",
                        self.not_valid
                    ),
                )
                .why("these codes do not work")
                .advice(issue.clone()),
            );
        }
        if self.usable <= FEW {
            findings.push(
                Finding::warning(
                    "offline-codes-few",
                    format!("{user} has {} offline codes left", self.usable),
                )
                .advice(issue),
            );
        } else if self.end < now + SOON {
            findings.push(
                Finding::warning(
                    "offline-codes-end",
                    format!("the offline codes of {user} end on {}", day_of(self.end)),
                )
                .advice(issue),
            );
        }
        findings
    }
}

/// The codes of each user; users whose codes are all over have none. Without a user: files that are not codes.
fn codes(config: &Config) -> Result<BTreeMap<Option<String>, Codes>, String> {
    let mut users: BTreeMap<Option<String>, Codes> = BTreeMap::new();
    if !config.offline_dir.exists() {
        return Ok(users);
    }
    let codes = OfflineCodes::of(config, Trusted::of(uids()));
    if let Some(trouble) = codes.trouble() {
        return Err(trouble.to_string());
    }
    let now = unix_now();
    for file in codes.all().map_err(|error| error.to_string())? {
        let name = |record: &Record| record.user.clone();
        let of_user = users.entry(file.record.as_ref().map(name)).or_default();
        match &file.record {
            Some(record) if file.is_original && record.is_valid(now) => {
                of_user.end = match of_user.usable {
                    0 => record.end,
                    _ => record.end.min(of_user.end),
                };
                of_user.usable += 1;
            }
            Some(record) if file.is_original && now >= record.end => {}
            _ => of_user.not_valid += 1,
        }
    }
    Ok(users)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(usable: usize, end: u64, not_valid: usize) -> Vec<&'static str> {
        let codes = Codes {
            usable,
            end,
            not_valid,
        };
        let findings = codes.findings("alice", 1000);
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
