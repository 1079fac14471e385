//! What this host has counted of the user of the command line: limits that are used up, a push that was denied.

use crate::examine::subject::Subject;
use crate::login::outlook::{ask_first, word};
use crate::login::stored::{Stored, is_used_up};
use crate::ui::finding::Finding;
use pam_onelogin::config::Limits;
use pam_onelogin::config::file::{Loaded, load};
use pam_onelogin::host::uids;
use pam_onelogin::state::user_memory::{LookUpPause, Standing};
use pam_onelogin::trust::Trusted;

/// Looks at the counts, whatever OneLogin would say now.
pub(super) fn examine(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let Some(name) = subject.user else {
        return;
    };
    if let Ok(loaded) = load(subject.config, Trusted::of(uids())) {
        findings.extend(of(name, &loaded));
    }
}

/// The limits that hold a user up now.
pub(crate) fn of(name: &str, loaded: &Loaded) -> Vec<Finding> {
    let standing = Stored::of(name, loaded).and_then(|stored| stored.standing());
    let findings = standing.map(|standing| findings_of(&standing, &loaded.config.limits, name));
    findings.unwrap_or_default()
}

fn findings_of(standing: &Standing, limits: &Limits, name: &str) -> Vec<Finding> {
    let codes = [limits.failures, limits.failures_per_day];
    let challenges = [limits.challenges, limits.challenges_per_day];
    let count = |[now, today]: [usize; 2]| {
        let window = limits.window.as_secs();
        format!("this host counted {now} in {window} s and {today} in 24 hours")
    };
    let used_up = |is_used_up: bool, what: String, why: String| {
        is_used_up.then(|| {
            Finding::warning("limit-used-up", what)
                .why(why)
                .advice(ask_first(name))
        })
    };
    let paused = standing.paused.map(|pause| look_ups(pause, name));
    [
        used_up(
            is_used_up(standing.codes, codes),
            format!("logins of {name} are denied for now: too many refused codes"),
            count(standing.codes),
        ),
        used_up(
            is_used_up(standing.unproven_codes, codes),
            format!("logins of {name} before a first factor are denied for now: too many refused codes"),
            count(standing.unproven_codes),
        ),
        used_up(
            is_used_up(standing.challenges, challenges),
            format!("no push, call or message is sent to {name} for now: too many of them led to no login"),
            count(standing.challenges),
        ),
        used_up(
            standing.is_push_denied,
            format!("no push is sent to {name} for now, except for logins from known addresses"),
            "a push was denied on the phone in the last hour".to_owned(),
        ),
        used_up(
            standing.is_push_paused || is_used_up(standing.pushes_alone, challenges),
            format!("no push is sent to {name} for now by services with ask = \"push\", except for logins from known addresses"),
            count(standing.pushes_alone),
        ),
        used_up(
            standing.offline_origins_used_up > 0,
            format!("no offline code of {name} is accepted for now from an address with too many wrong ones"),
            count(standing.wrong_offline_codes),
        ),
        paused,
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Logins of this user do not ask OneLogin for some time.
fn look_ups(pause: LookUpPause, name: &str) -> Finding {
    Finding::warning(
        "look-up-paused",
        match pause {
            LookUpPause::NothingFound | LookUpPause::TooMany => {
                format!("logins of {name} are denied for now without asking OneLogin")
            }
            LookUpPause::NothingToPush => format!(
                "logins of {name} by services with ask = \"push\" are denied for now without asking OneLogin"
            ),
        },
    )
    .why(pause.text())
    .advice(format!(
        "to let the next login ask at once, as root, type: pam-onelogin limits reset {}",
        word(name)
    ))
}
