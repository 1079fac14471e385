//! Looks at a machine and says what is wrong, where, why it matters and what to do. Nothing is changed,
//! nobody is asked.

mod certificate;
mod config;
mod credential;
mod module;
mod named_stack;
mod network;
mod onelogin;
mod replies;
mod shared_file_system;
mod ssh;
pub(crate) mod stacks;
pub(crate) mod subject;
mod sudo;
mod system;

use crate::examine::subject::Subject;
use crate::ui::finding::Finding;
use std::io::ErrorKind;

type Examiner = fn(&Subject<'_>, &mut Vec<Finding>);

/// Each examiner, in the order in which an admin would look, and whether it asks OneLogin, or something
/// of the machine that runs: not with `--offline`, nor below a `--root`.
const EXAMINERS: [(Examiner, bool); 7] = [
    (stacks::examine, false),
    (ssh::examine, false),
    (sudo::examine, false),
    (config::examine, false),
    (module::examine, true),
    (system::examine, true),
    (onelogin::examine, true),
];

/// What there is to say of a machine; `is_live`: OneLogin and the running system may be asked, too.
pub(crate) fn examine(subject: &Subject<'_>, is_live: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (examine, needs_live) in EXAMINERS {
        if is_live || !needs_live {
            examine(subject, &mut findings);
        }
    }
    unread(subject, &mut findings);
    findings
}

/// What is there and could not be looked at is not good.
fn unread(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for (path, (kind, error)) in subject.machine.unread() {
        // The configuration has findings of its own.
        if path == subject.config {
            continue;
        }
        let (what, advice) = if kind == ErrorKind::PermissionDenied {
            (
                "only root may read it".to_owned(),
                "run this with sudo".to_owned(),
            )
        } else {
            (error, format!("see what it is: ls -ld {}", path.display()))
        };
        findings.push(
            Finding::warning("unreadable", format!("not looked at: {what}"))
                .in_file(&path)
                .why("what stands there may let somebody in, or nobody")
                .advice(advice),
        );
    }
}
