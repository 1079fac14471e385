//! Checks a host: what is wrong, where, why it matters and what to do. Nothing is changed, and no user is
//! asked for anything.

mod break_glass;
mod certificate;
mod config;
mod credential;
mod dated;
mod directory;
mod found_by;
mod gateway;
mod identity;
pub(crate) mod limits;
mod module;
mod named_stack;
mod names;
mod network;
mod offline;
mod onelogin;
pub(crate) mod own_gateway;
mod proof;
mod replies;
pub(crate) mod root_shell;
mod running_sshd;
mod services;
mod shared_file_system;
mod ssh;
pub(crate) mod stacks;
pub(crate) mod subject;
pub(crate) mod sudo;
mod system;
mod units;
mod unread;
pub(crate) mod ways_in;

use crate::examine::subject::Subject;
use crate::host::target_system::TargetSystem;
use crate::ui::finding::Finding;
use std::path::Path;

type Examiner = fn(&Subject<'_>, &mut Vec<Finding>);

/// Each examiner, in the order in which an administrator would look. The second value is true if it
/// contacts OneLogin or asks the running system: `--offline` and `--root` skip it.
const EXAMINERS: &[(Examiner, bool)] = &[
    (stacks::examine, false),
    (services::examine, false),
    (ssh::examine, false),
    (running_sshd::examine, true),
    (sudo::examine, false),
    (units::examine, false),
    (config::examine, false),
    (names::examine, false),
    (found_by::examine, false),
    (module::examine, true),
    (system::examine, true),
    (proof::examine, false),
    (onelogin::examine, true),
    (offline::examine, true),
    (limits::examine, true),
];

/// All findings about a host.
pub(crate) fn examine(subject: &Subject<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for &(examine, needs_live) in EXAMINERS {
        if subject.is_live || !needs_live {
            examine(subject, &mut findings);
        }
    }
    if !subject.is_live {
        let what =
            "not checked: the running sshd, the installed module, state_dir, the log, OneLogin";
        findings.push(
            Finding::note("not-checked", what)
                .why("with --offline or --root, check reads only files"),
        );
    }
    unread::examine(subject, &mut findings);
    root_shell::without_sudo(subject, &mut findings);
    findings
}

/// All findings about a configuration and the files that it names; nothing else is read.
pub(crate) fn examine_configuration(machine: &TargetSystem, path: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    config::examine_alone(machine, path, &mut findings);
    findings
}
