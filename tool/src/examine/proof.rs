//! What `check --prove` found out about the tenant before.

use crate::examine::subject::Subject;
use crate::login::proof::Proof;
use crate::ui::finding::Finding;
use pam_onelogin::config::file::{load, unsafe_tenants};
use pam_onelogin::host::uids;
use pam_onelogin::trust::Trusted;

/// Says what is known of the tenant.
pub(crate) fn examine(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    if !subject.machine.is_this() {
        return;
    }
    let Ok(loaded) = load(subject.config, Trusted::of(uids())) else {
        return;
    };
    if let Some(why) = loaded.unsafe_tenant {
        let what = if why.contains(": ") {
            format!("the list of unsafe tenants cannot be read: {why}")
        } else {
            "OneLogin accepted what it must refuse, when check --prove asked it".to_owned()
        };
        findings.push(
            Finding::fault("unsafe-tenant", what)
                .in_file(unsafe_tenants(subject.config))
                .why("every login by this API credential is denied (reason=unsafe-tenant)")
                .advice(format!(
                    "correct a list that cannot be read; otherwise ask OneLogin's support, then type: {PROVE}"
                )),
        );
        return;
    }
    let proof = match Proof::load(subject.config, &loaded.config) {
        Ok(proof) => proof,
        Err(failure) => {
            findings.push(
                Finding::warning("proof-unreadable", failure.0.join("; "))
                    .why("it is not known whether this tenant refuses wrong codes")
                    .advice(format!("remove this file, then type: {PROVE}")),
            );
            return;
        }
    };
    if let Some(answer) = proof.unsafe_answer() {
        findings.push(
            Finding::warning(
                "unsafe-answer",
                format!(
                    "on {}, OneLogin accepted what it must refuse ({}), and the list of unsafe tenants no longer says so",
                    answer.date, answer.question
                ),
            )
            .in_file(unsafe_tenants(subject.config))
            .why("the second factor may protect nothing")
            .advice(format!("type: {PROVE}")),
        );
        return;
    }
    findings.push(match proof.tells_codes_apart(&loaded.config) {
        Some(date) => Finding::good(
            "proved",
            format!("on {date}, this tenant refused a wrong code and accepted a right one"),
        ),
        None => Finding::note(
            "not-proved",
            "it is not tested yet whether this tenant refuses wrong codes",
        )
        .advice(format!("type: {PROVE}")),
    });
}

const PROVE: &str = "sudo pam-onelogin check --prove USER";
