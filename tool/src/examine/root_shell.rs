//! A host whose sudo denies every login: what to do there is done in a root shell, and no command begins with sudo.

use crate::examine::named_stack::read;
use crate::examine::stacks::lets_in;
use crate::examine::subject::Subject;
use crate::ui::finding::{Finding, Severity};

/// How to get a root shell, if sudo denies every login.
pub(crate) fn root_shell(subject: &Subject<'_>) -> Option<String> {
    let works = |service: &str| {
        let stack = read(subject.machine, service)?;
        let has_stack = stack.service.path.is_some();
        has_stack.then(|| lets_in(subject, &stack))
    };
    if works("sudo") != Some(false) {
        return None;
    }
    let su = works("su-l").or_else(|| works("su"));
    let ways = [
        (works("sudo-i"), "\"sudo -i\""),
        (su, "\"su -\""),
        (works("login"), "a login as root at the console"),
    ];
    let ways = ways.into_iter().filter(|(works, _)| *works == Some(true));
    let ways: Vec<_> = ways.map(|(_, way)| way).collect();
    Some(match ways.as_slice() {
        [] => "one that is still open, or rescue mode".to_owned(),
        [way] => (*way).to_owned(),
        [ways @ .., last] => format!("{}, or {last}", ways.join(", ")),
    })
}

/// The findings with advice that needs no sudo, if sudo denies every login.
pub(super) fn without_sudo(subject: &Subject<'_>, findings: &mut [Finding]) {
    let Some(shell) = root_shell(subject) else {
        return;
    };
    let sudo = read(subject.machine, "sudo");
    let files = sudo.map_or_else(Vec::new, |stack| stack.service.files);
    for finding in findings {
        let Some(advice) = &mut finding.advice else {
            continue;
        };
        *advice = as_root(advice);
        let is_here = |path| files.contains(path);
        let place = finding.place.as_ref().map(|place| &place.path);
        if finding.severity == Severity::Fault && place.is_some_and(is_here) {
            advice.push_str("; sudo does not work until then: do this in a root shell (");
            advice.push_str(&shell);
            advice.push(')');
        }
    }
}

/// An advice with its commands as root types them.
pub(crate) fn as_root(advice: &str) -> String {
    advice
        .replace("type: sudo ", "type: ")
        .replace("type: sudoedit ", "type: vi ")
}
