//! A host whose sudo denies every login: what to do there is done in a root shell, and no command begins with sudo.

use crate::examine::named_stack::{NamedStack, read};
use crate::examine::offline;
use crate::examine::stacks::lets_in;
use crate::examine::subject::Subject;
use crate::host::target_system::TargetSystem;
use crate::ui::finding::{Finding, Severity};
use pam_onelogin::args::Args;

/// Faults because of which the module denies every login that it asks about, whatever the stack.
const DENY_ALL: [&str; 24] = [
    "client-certificate",
    "configuration",
    "file",
    "gateway-refused",
    "group-lookup",
    "group-missing",
    "module-absent",
    "module-loads",
    "name-server",
    "no-configuration",
    "no-connection",
    "no-onelogin",
    "no-such-host",
    "onelogin",
    "onelogin-down",
    "rate-limited",
    "scope-missing",
    "secret-file",
    "state",
    "timeout",
    "tls",
    "token",
    "unreadable",
    "unsafe-tenant",
];

/// Whether the module denies every login because of this fault; with an offline code, a login succeeds in an outage.
fn denies_all(subject: &Subject<'_>, finding: &Finding) -> bool {
    finding.severity == Severity::Fault
        && DENY_ALL.contains(&finding.id)
        && !(offline::is_outage(finding) && offline::is_usable(subject))
}

/// Whether the module denies every login through a stack that has this line.
fn denies_through(finding: &Finding, stack: &NamedStack) -> bool {
    finding.severity == Severity::Fault && finding.id == "arguments" && is_in(finding, stack)
}

/// Whether a finding is about a file of this stack.
fn is_in(finding: &Finding, stack: &NamedStack) -> bool {
    let place = finding.place.as_ref();
    place.is_some_and(|place| stack.service.files.contains(&place.path))
}

/// Whether this stack calls the module with the configuration that is examined.
fn uses_it(subject: &Subject<'_>, stack: &NamedStack) -> bool {
    stack.asks()
        && stack.service.ours().any(|entry| {
            let words = entry.arguments().iter().map(String::as_bytes);
            let args = Args::parse(words);
            args.map_or(true, |args| subject.config.to_str() == Some(&args.config))
        })
}

/// Whether every login through this stack is denied, by the stack or because of one of these findings.
fn is_denied(subject: &Subject<'_>, stack: &NamedStack, findings: &[Finding]) -> bool {
    let by_module = |finding| denies_all(subject, finding) || denies_through(finding, stack);
    !lets_in(subject, stack) || uses_it(subject, stack) && findings.iter().any(by_module)
}

/// How to get a root shell, if sudo denies every login.
pub(crate) fn root_shell(subject: &Subject<'_>, findings: &[Finding]) -> Option<String> {
    let works = |service: &str| {
        let stack = read(subject.machine, service)?;
        let has_stack = stack.service.path.is_some();
        has_stack.then(|| !is_denied(subject, &stack, findings))
    };
    if works("sudo") != Some(false) {
        return None;
    }
    // su and login ask for root's password.
    let with_password = |works: Option<bool>| {
        works.map(|works| works && root_has_password(subject.machine) != Some(false))
    };
    let su = with_password(works("su-l").or_else(|| works("su")));
    let ways = [
        (works("sudo-i"), "\"sudo -i\""),
        (su, "\"su -\""),
        (
            with_password(works("login")),
            "a login as root at the console",
        ),
    ];
    let ways = ways.into_iter().filter(|(works, _)| *works == Some(true));
    let ways: Vec<_> = ways.map(|(_, way)| way).collect();
    Some(match ways.as_slice() {
        [] => "one that is still open, or rescue mode".to_owned(),
        [way] => (*way).to_owned(),
        [ways @ .., last] => format!("{}, or {last}", ways.join(", ")),
    })
}

/// Whether root has a password, which Debian and Ubuntu do not set by default; `None` if this user may not read it.
pub(crate) fn root_has_password(machine: &TargetSystem) -> Option<bool> {
    let shadow = machine.text_or_empty("/etc/shadow");
    let mut accounts = shadow.lines().filter_map(|line| line.split_once(':'));
    let (_, fields) = accounts.find(|(name, _)| *name == "root")?;
    Some(!fields.starts_with(['!', '*']))
}

/// The findings with advice that needs no sudo, if sudo denies every login.
pub(super) fn without_sudo(subject: &Subject<'_>, findings: &mut [Finding]) {
    let Some(shell) = root_shell(subject, findings) else {
        return;
    };
    let sudo = read(subject.machine, "sudo");
    let calls_us = sudo.as_ref().is_some_and(|sudo| uses_it(subject, sudo));
    for finding in findings {
        let is_cause = finding.severity == Severity::Fault
            && sudo.as_ref().is_some_and(|sudo| is_in(finding, sudo))
            || calls_us && denies_all(subject, finding);
        let Some(advice) = &mut finding.advice else {
            continue;
        };
        *advice = as_root(advice);
        if is_cause {
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
        .replace(" && sudo ", " && ")
        .replace("; sudo ", "; ")
        .replace("type: sudoedit ", "edit: ")
}
