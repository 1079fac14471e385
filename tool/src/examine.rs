//! Looks at a machine and says what is wrong, where, why it matters and what to do. Nothing is changed,
//! nobody is asked.

mod certificate;
mod config;
mod credential;
mod module;
mod network;
mod onelogin;
mod replies;
mod shared;
mod ssh;
mod stack;
pub(crate) mod stacks;
pub(crate) mod subject;
mod sudo;
mod system;

use crate::examine::subject::Subject;
use crate::ui::finding::Finding;
use std::io::ErrorKind;

/// One thing that is looked at.
struct Examiner {
    /// Whether it asks somebody, or something of the machine that runs: not with `--offline`, nor
    /// below a `--root`.
    is_live: bool,
    run: fn(&Subject<'_>, &mut Vec<Finding>),
}

/// Each of them, in the order in which an admin would look.
const EXAMINERS: &[Examiner] = &[
    Examiner {
        is_live: false,
        run: stacks::examine,
    },
    Examiner {
        is_live: false,
        run: ssh::examine,
    },
    Examiner {
        is_live: false,
        run: sudo::examine,
    },
    Examiner {
        is_live: false,
        run: config::examine,
    },
    Examiner {
        is_live: true,
        run: module::examine,
    },
    Examiner {
        is_live: true,
        run: system::examine,
    },
    Examiner {
        is_live: true,
        run: onelogin::examine,
    },
];

/// What there is to say of a machine; `is_live`: somebody may be asked, too.
pub(crate) fn examine(subject: &Subject<'_>, is_live: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    for examiner in EXAMINERS {
        if is_live || !examiner.is_live {
            (examiner.run)(subject, &mut findings);
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
