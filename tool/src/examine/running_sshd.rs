//! The running sshd: whether it has read the settings in its files. Until then it accepts logins by the old ones.

use crate::examine::named_stack::asks;
use crate::examine::subject::Subject;
use crate::host::user_selection::sudo_caller;
use crate::outcome::Failure;
use crate::sshd::effective::Settings;
use crate::sshd::running::{Running, changed_since, compare, listeners, reload_advice};
use crate::ui::finding::{Finding, UNKNOWN};
use pam_onelogin::host::uids;
use std::path::Path;

/// Asks the running sshd, if its stack calls `pam_onelogin`.
pub(super) fn examine(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let is_ssh = |service: &str| subject.is_ssh(service);
    let Some(path) = &subject.sshd.path else {
        return;
    };
    if !subject.service.is_none_or(is_ssh) || !asks(subject.machine, subject.sshd.service()) {
        return;
    }
    if uids().effective != 0 {
        let what = "not checked: whether the running sshd has read its settings";
        let note = Finding::note("running-sshd", what).in_file(path);
        findings.push(note.why("only root can ask for the settings of sshd"));
        return;
    }
    match listeners() {
        0 => {
            let what = "no sshd is running: the next one reads its settings when it starts";
            findings.push(Finding::note("running-sshd", what).in_file(path));
            return;
        }
        1 => {}
        _ => findings.push(
            Finding::warning("sshd-several", "more than one sshd is running")
                .in_file(path)
                .opens_to(UNKNOWN)
                .why("each may have settings of its own, and check reads only these")
                .advice(
                    "look at the options and settings of each; type: ps -o pid,args -C sshd; stop those \
                     that you do not need",
                ),
        ),
    }
    findings.push(ask(subject, path));
}

/// What the running sshd says about its settings.
fn ask(subject: &Subject<'_>, path: &Path) -> Finding {
    let caller = sudo_caller();
    let user = subject.user.or(caller.as_deref()).unwrap_or("root");
    let settings = match Settings::of(None, user) {
        Ok(settings) => settings,
        Err(Failure(sentences)) => {
            return Finding::fault("sshd-config", sentences.join(" "))
                .in_file(path)
                .why("sshd cannot read its settings again, and does not start after the next stop")
                .advice("correct the settings; type: sudo sshd -t");
        }
    };
    // A Match block may apply to one user only.
    for user in [user, OTHER] {
        match compare(&settings, user) {
            Running::Follows => {}
            // The times of its files tell, too.
            Running::NoClient => break,
            Running::Absent => {
                let what = "no sshd listens at the address in its settings";
                return Finding::warning("running-sshd", what)
                    .in_file(path)
                    .why("an sshd is running, and it has other settings than these files")
                    .advice(reload_advice(&settings));
            }
            Running::Unknown(why) => {
                let what = "not checked: whether the running sshd has read its settings";
                return Finding::warning("running-sshd", what)
                    .in_file(path)
                    .why(why)
                    .advice(reload_advice(&settings));
            }
            Running::Stale(stale) => {
                let why = format!(
                    "its first methods at {} are {}, by its settings they are {}: until it reads them, a login \
                     may need no second factor",
                    stale.address, stale.offered, stale.wanted
                );
                return Finding::fault("sshd-unread", "the running sshd has not read its settings")
                    .in_file(path)
                    .opens_to("users of ssh")
                    .why(why)
                    .advice(stale.advice);
            }
        }
    }
    let Some(changed) = changed_since(&settings, subject.sshd.files.iter()) else {
        let what = "not checked: when the running sshd read its settings";
        return Finding::note("running-sshd", what)
            .in_file(path)
            .why("its first methods are those of its settings, but it writes no PidFile");
    };
    let Some(file) = changed.first() else {
        let what = "the running sshd has read its settings";
        return Finding::good("running-sshd", what).in_file(path);
    };
    Finding::warning(
        "sshd-unread",
        "this file has changed since the running sshd read its settings",
    )
    .in_file(file)
    .opens_to("users of ssh")
    .why("if the change adds a second method, the running sshd still accepts the first one alone")
    .advice(reload_advice(&settings))
}

/// A user that every host has and few `Match` blocks name.
const OTHER: &str = "daemon";
