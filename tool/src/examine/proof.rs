//! What `check --prove` found out about the tenant before.

use crate::examine::subject::Subject;
use crate::login::proof::Proof;
use crate::ui::finding::Finding;
use pam_onelogin::config::file::{load, unsafe_tenants};
use pam_onelogin::host::uids;
use pam_onelogin::trust::Trusted;

/// Says what is known of the tenant.
pub(crate) fn examine(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let Ok(loaded) = load(subject.config, Trusted::of(uids())) else {
        return;
    };
    if loaded.is_unsafe {
        findings.push(
            Finding::fault(
                "unsafe-tenant",
                "OneLogin accepted what it must refuse, when check --prove asked it",
            )
            .in_file(unsafe_tenants(subject.config))
            .why("every login by this API credential is denied (reason=unsafe-tenant)")
            .advice(format!("ask OneLogin's support, then type: {PROVE}")),
        );
        return;
    }
    findings.push(match Proof::find(subject.config, &loaded.config) {
        Ok(Some(proof)) if proof.tells_codes_apart() => {
            let date = &proof.date;
            let what =
                format!("on {date}, this tenant refused a wrong code and accepted a right one");
            Finding::good("proved", what)
        }
        Ok(_) => Finding::note(
            "not-proved",
            "it is not tested yet whether this tenant refuses wrong codes",
        )
        .advice(format!("type: {PROVE}")),
        Err(failure) => Finding::warning("proof-unreadable", failure.0.join("; "))
            .advice(format!("remove this file, then type: {PROVE}")),
    });
}

const PROVE: &str = "pam-onelogin check --prove USER";
