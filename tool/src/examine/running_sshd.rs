//! The running sshd: whether it has read the settings in its files. Until then it accepts logins by the old ones.

use crate::examine::named_stack::asks;
use crate::examine::subject::Subject;
use crate::host::user_selection::sudo_caller;
use crate::outcome::Failure;
use crate::sshd::effective::{Settings, WayPastPam};
use crate::sshd::running::{Running, Stale, changed_since, compare, listeners, reload_advice};
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
    let open = Settings::of(None, OTHER)
        .ok()
        .and_then(|settings| settings.way_past_pam());
    let open = open.as_ref();
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
                    .advice(after_correction(subject, open, reload_advice(&settings)));
            }
            Running::Unknown(why) => {
                let what = "not checked: whether the running sshd has read its settings";
                return Finding::warning("running-sshd", what)
                    .in_file(path)
                    .why(why)
                    .advice(after_correction(subject, open, reload_advice(&settings)));
            }
            Running::Stale(stale) => return unread(subject, stale, user, open).in_file(path),
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
    let why = match open {
        Some(WayPastPam { what, .. }) => format!(
            "by the files, {what}; the running sshd may still need the second factor, until it reads them"
        ),
        None => {
            "if the change adds a second method, the running sshd still accepts the first one alone"
                .to_owned()
        }
    };
    Finding::warning(
        "sshd-unread",
        "this file has changed since the running sshd read its settings",
    )
    .in_file(file)
    .opens_to("users of ssh")
    .why(why)
    .advice(after_correction(subject, open, reload_advice(&settings)))
}

/// The running sshd has other settings than its files. `open` is a way past the PAM stack by the files, for users in
/// general: with it, a reload may remove the second factor.
fn unread(subject: &Subject<'_>, stale: Stale, user: &str, open: Option<&WayPastPam>) -> Finding {
    let Stale {
        address,
        offered,
        wanted,
        is_stricter,
        way_past_pam,
        advice,
    } = stale;
    // A Match block that was meant to exempt this user must not delay the second factor of the others.
    let weaker = way_past_pam.filter(|_| is_stricter || open.is_some());
    let (what, why) = match &weaker {
        None => (
            UNREAD,
            format!(
                "its first methods at {address} are {offered}, by its settings they are {wanted}: until it \
                 reads them, a login may need no second factor"
            ),
        ),
        Some(WayPastPam { what, .. }) if is_stricter => {
            let user_part = match open {
                Some(_) => String::new(),
                None => format!("for {}, ", pam_onelogin::text::printable(user)),
            };
            (
                "the files of sshd are weaker than the running sshd",
                format!(
                    "by the files, {user_part}{what}; the running sshd still uses what it read before, with fewer \
                     first methods ({offered} at {address}, by the files {wanted}): after a reload, a login \
                     needs no second factor"
                ),
            )
        }
        Some(WayPastPam { what, .. }) => (
            UNREAD,
            format!(
                "its first methods at {address} are {offered}, by its settings they are {wanted}; a login \
                 may need no second factor now, and needs none after a reload: by the files, {what}"
            ),
        ),
    };
    Finding::fault("sshd-unread", what)
        .opens_to("users of ssh")
        .why(why)
        .advice(after_correction(subject, weaker.as_ref(), advice))
}

/// The advice to make sshd read its files; if a login by these files does not need the PAM stack, after they are corrected.
fn after_correction(
    subject: &Subject<'_>,
    way_past_pam: Option<&WayPastPam>,
    reload: String,
) -> String {
    match (way_past_pam, subject.lost_settings()) {
        (None, _) => reload,
        // The command reloads sshd itself.
        (Some(_), Some(advice)) => format!("do not reload sshd by hand; {advice}"),
        (Some(WayPastPam { closed_by, .. }), None) => {
            let first = subject.sshd.closing(closed_by);
            format!("do not reload sshd yet; first {first}; then {reload}")
        }
    }
}

const UNREAD: &str = "the running sshd has not read its settings";

/// A user that every host has and few `Match` blocks name.
const OTHER: &str = "daemon";
