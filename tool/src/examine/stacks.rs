//! The PAM stacks: whether a denial by `pam_onelogin` is final in each of them, and which do not call it.

pub(crate) mod advice;
mod compare;
mod edit;
mod judge;
mod lines;
pub(super) mod overwritten;
pub(super) mod programs;
mod rewrite;

use crate::examine::named_stack::{NamedStack, list, read};
use crate::examine::stacks::advice::{Adviser, judge_of, module_folders};
use crate::examine::stacks::judge::BROKEN;
use crate::examine::stacks::overwritten::{Overwritten, overwritten};
use crate::examine::stacks::programs::{
    CONSOLE, LOCKS, WAYS_IN, enabled_by, needs_no_login, typed,
};
use crate::examine::subject::Subject;
use crate::host::target_system::TargetSystem;
use crate::pam_stack::known_modules::OURS;
use crate::pam_stack::{self, FOLDERS, Kind};
use crate::ui::finding::{Finding, Place, Severity};
use pam_onelogin::config::twin;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Checks each stack.
pub(crate) fn examine(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let stacks = all(subject);
    let folders = module_folders(subject.machine);
    let adviser = Adviser {
        subject,
        stacks: &stacks,
        folders: &folders,
    };
    let lets_in =
        |stack: &NamedStack| judge_of(subject, &stack.name, &stack.service, &folders).lets_in();
    let mut found = Grouped::default();
    for stack in stacks.iter().filter(|stack| subject.includes(&stack.name)) {
        let judge = judge_of(subject, &stack.name, &stack.service, &folders);
        let mut chain = stack.service.chain(Kind::Auth).iter();
        let is_ours = stack.names_us()
            || chain.any(|entry| judge.misses_us(entry))
            || stack.service.unreadable.is_some() && is_named(subject, stack);
        let findings = if is_ours || stack.service.unreadable.is_some() && is_way_in(stack) {
            judge.findings()
        } else if is_way_in(stack) {
            let lines = judge.lines().into_iter();
            let faults = lines.filter(|line| line.finding.severity == Severity::Fault);
            faults.collect()
        } else {
            Vec::new()
        };
        for one in findings {
            found.add(&stack.name, adviser.advise(stack, one));
        }
    }
    let is_broken = found.has_broken();
    found.into(findings);
    let overwritten = overwritten(subject, &lets_in);
    findings.extend(overwritten.iter().map(|it| it.finding(subject)));
    let of_them = stacks.iter().filter(|stack| subject.includes(&stack.name));
    without_login(of_them, findings);
    other_ways_in(subject, &stacks, &overwritten, &lets_in, findings);
    if let Some(service) = subject.service {
        let stack = read(subject.machine, service);
        let is_told = overwritten.iter().any(|it| it.has(service));
        if !is_told
            && stack.is_some_and(|stack| !stack.asks() && stack.service.unreadable.is_none())
        {
            findings.push(service_not_used(subject, service));
        }
        return;
    }
    ambiguous(subject, &stacks, findings);
    shared(&stacks, findings);
    if subject.machine.unread().is_empty()
        && overwritten.is_empty()
        && !is_broken
        && !stacks
            .iter()
            .any(|stack| stack.asks() || stack.service.unreadable.is_some())
    {
        findings.push(
            Finding::note("not-used", "no stack calls pam_onelogin")
                .in_file("/etc/pam.d")
                .why("no login needs a second factor")
                .advice(format!(
                    "type: sudo pam-onelogin {}; or see \"STACKS\" in pam_onelogin(8)",
                    subject.enable("sshd")
                )),
        );
    }
}

/// The stacks of all services, without files that other stacks include and files that are left over.
pub(super) fn all(subject: &Subject<'_>) -> Vec<NamedStack> {
    let mut names = BTreeSet::new();
    for folder in FOLDERS {
        let found = subject.machine.names(folder).unwrap_or_default();
        let files = found.into_iter().filter(|name| {
            let path = Path::new(folder).join(name);
            !subject.machine.is_folder(path)
        });
        names.extend(files);
    }
    if names.is_empty() {
        let conf = subject.machine.text(pam_stack::CONF).ok().flatten();
        names = pam_stack::services(&conf.unwrap_or_default());
    }
    names
        .iter()
        .filter(|name| !is_left_over(name) && !is_part(name))
        .filter_map(|name| read(subject.machine, name))
        .collect()
}

/// The first line that libpam cannot use in the stacks of these services of this host, as `check` reports it.
pub(crate) fn unusable_here(config: &Path, services: &[&str]) -> Option<Finding> {
    let machine = TargetSystem::this();
    let subject = Subject::of(&machine, config, None);
    let stacks = all(&subject);
    let folders = module_folders(&machine);
    let adviser = Adviser {
        subject: &subject,
        stacks: &stacks,
        folders: &folders,
    };
    services.iter().find_map(|name| {
        let stack = read(&machine, name)?;
        let judge = judge_of(&subject, name, &stack.service, &folders);
        let found = judge.lines().into_iter().find(|found| {
            found.finding.severity == Severity::Fault && BROKEN.contains(&found.finding.id)
        });
        Some(adviser.advise(&stack, found?))
    })
}

/// A service that was asked for, and does not call the module.
fn service_not_used(subject: &Subject<'_>, service: &str) -> Finding {
    let command = enabled_by(service).map(|name| subject.enable(name));
    let advice = match command {
        Some(command) => format!("type: sudo pam-onelogin {command}"),
        None => "see \"STACKS\" in pam_onelogin(8)".to_owned(),
    };
    Finding::warning(
        "service-not-used",
        format!("{service} does not call pam_onelogin"),
    )
    .in_file("/etc/pam.d")
    .why("its logins need no second factor")
    .advice(advice)
}

/// Whether a login through the stack of a service succeeds for some user who is not root yet.
pub(super) fn lets_in(subject: &Subject<'_>, stack: &NamedStack) -> bool {
    let folders = module_folders(subject.machine);
    judge_of(subject, &stack.name, &stack.service, &folders).lets_in()
}

/// Whether users log in through a service of this host, or become root: then it is a fault if no user can.
fn is_way_in(stack: &NamedStack) -> bool {
    let name = stack.name.as_str();
    stack.service.path.is_some() && (enabled_by(name).is_some() || WAYS_IN.contains(&name))
}

/// Whether a stack that libpam cannot read names our module.
fn is_named(subject: &Subject<'_>, stack: &NamedStack) -> bool {
    let mut files = stack.service.files.iter();
    files.any(|path| {
        let text = subject.machine.text(path).ok().flatten();
        text.is_some_and(|text| text.contains(OURS))
    })
}

/// Findings, each with the services that share it: it is shown once.
#[derive(Default)]
struct Grouped(Vec<(Finding, Vec<String>)>);

impl Grouped {
    fn add(&mut self, service: &str, finding: Finding) {
        // The advice may name the stack of one service only. After that change, check names the next one.
        let is_same = |known: &Finding| {
            (known.id, &known.what, &known.place, &known.why)
                == (finding.id, &finding.what, &finding.place, &finding.why)
        };
        match self.0.iter_mut().find(|(known, _)| is_same(known)) {
            Some((_, services)) => services.push(service.to_owned()),
            None => self.0.push((finding, vec![service.to_owned()])),
        }
    }

    /// Whether a line cannot be used, and may be one that was meant to call our module.
    fn has_broken(&self) -> bool {
        let mut findings = self.0.iter();
        findings.any(|(finding, _)| BROKEN.contains(&finding.id))
    }

    fn into(self, findings: &mut Vec<Finding>) {
        for (mut finding, services) in self.0 {
            finding.what = format!("{}: {}", list(&services), finding.what);
            findings.push(finding);
        }
    }
}

/// Lines that different versions of libpam read differently.
fn ambiguous(subject: &Subject<'_>, stacks: &[NamedStack], findings: &mut Vec<Finding>) {
    let asking = stacks.iter().filter(|stack| stack.asks());
    let files: BTreeSet<_> = asking.flat_map(|stack| &stack.service.files).collect();
    for path in files {
        let text = subject.machine.text_or_empty(path);
        let lines = text.lines().enumerate();
        for (index, _) in lines.filter(|(_, line)| line.len() > LONG) {
            findings.push(
                Finding::warning("ambiguous", format!("a line is longer than {LONG} bytes"))
                    .at(path, index + 1)
                    .why("Linux-PAM 1.5 denies every login at this line, or never finishes reading it")
                    .advice("shorten it, even if it is a comment"),
            );
        }
        for line in pam_stack::flaws(&text) {
            findings.push(
                Finding::warning(
                    "ambiguous",
                    "an empty line or a comment inside a continued line",
                )
                .at(path, line)
                .why("Linux-PAM 1.7 ends the continued line there, 1.5 does not")
                .advice("remove that empty line or comment"),
            );
        }
    }
}

/// The same program with another stack, and other ways to a shell.
fn other_ways_in(
    subject: &Subject<'_>,
    stacks: &[NamedStack],
    overwritten: &[Overwritten<'_>],
    lets_in: &dyn Fn(&NamedStack) -> bool,
    findings: &mut Vec<Finding>,
) {
    let is_overwritten = |name: &str| overwritten.iter().any(|it| it.has(name));
    let machine = subject.machine;
    let asks = |name: &str| {
        let stack = stacks.iter().find(|stack| stack.name == name);
        stack.map(NamedStack::asks)
    };
    let names = stacks.iter().map(|stack| stack.name.as_str());
    let pairs = names.filter_map(|name| Some((name, twin(name)?)));
    for (name, twin) in pairs.filter(|(name, _)| subject.includes(name)) {
        let typed = typed(twin);
        // A service without a stack uses the stack of "other".
        let open = read(machine, twin).filter(|twin| !twin.asks() && lets_in(twin));
        let is_new = asks(name) == Some(true) && !is_overwritten(twin);
        let Some(open) = open.filter(|_| is_new) else {
            continue;
        };
        let own = format!("/etc/pam.d/{twin}");
        // It may be the distribution's, which is below /usr.
        let model = stacks.iter().find(|stack| stack.name == name);
        let model = model.and_then(|stack| stack.service.path.clone());
        let model = model.unwrap_or_else(|| Path::new("/etc/pam.d").join(name));
        let model = model.display();
        let change = format!("change {own} in the same way as {model}");
        let (path, why, advice) = match open.service.path {
            Some(path) if path.starts_with("/etc") => {
                (path, format!("it uses the stack {twin}"), change)
            }
            Some(path) => {
                let advice = format!("type: sudo cp {} {own}; then {change}", path.display());
                (path, format!("it uses the stack {twin}"), advice)
            }
            None => (
                PathBuf::from("/etc/pam.d/other"),
                format!("there is no stack {twin}, so libpam uses the stack other"),
                format!("type: sudo cp {model} {own}"),
            ),
        };
        let what = format!("{typed} needs no second factor, although {name} does");
        findings.push(
            Finding::fault("bypass-possible", what)
                .in_file(path)
                .opens_to(format!("users of {typed}"))
                .why(why)
                .advice(advice),
        );
    }
    let is_found = |name: &&str| twin(name).is_some_and(|other| asks(other) == Some(true));
    let is_open = |name: &str| {
        let stack = stacks.iter().find(|stack| stack.name == name);
        stack.is_some_and(|stack| !stack.asks() && lets_in(stack))
    };
    let open: Vec<String> = WAYS_IN
        .into_iter()
        .filter(|&name| is_open(name))
        .filter(|name| !is_found(name))
        .filter(|name| !is_overwritten(name))
        .map(str::to_owned)
        .collect();
    let is_for_all = subject.service.is_none();
    if is_for_all && !open.is_empty() && stacks.iter().any(NamedStack::asks) {
        let what = format!("these services need no second factor: {}", list(&open));
        findings.push(Finding::note("not-asked", what).in_file("/etc/pam.d"));
    }
}

/// Services that call `pam_onelogin` through a line in a shared file.
fn shared(stacks: &[NamedStack], findings: &mut Vec<Finding>) {
    let mut files: BTreeMap<PathBuf, (usize, BTreeSet<&str>)> = BTreeMap::new();
    for stack in stacks {
        for entry in stack.service.ours() {
            let file = entry.path.file_name().and_then(|name| name.to_str());
            if file.is_some_and(is_part) {
                let (_, services) = files
                    .entry(entry.path.clone())
                    .or_insert((entry.line, BTreeSet::new()));
                services.insert(&stack.name);
            }
        }
    }
    files.retain(|_, (_, services)| services.len() > 1);
    for (path, (line, services)) in files {
        let services: Vec<_> = services.into_iter().collect();
        let what = format!(
            "this line applies to {} services: {}",
            services.len(),
            services.join(", ")
        );
        findings.push(
            Finding::note("shared", what)
                .at(path, line)
                .why("every service that includes this file asks for the second factor; services such as cron do not use its auth lines"),
        );
    }
    let asking = stacks.iter().filter(|stack| stack.asks());
    let (locks, consoles): (Vec<_>, Vec<_>) = asking
        .map(|stack| stack.name.clone())
        .filter(|name| LOCKS.contains(&name.as_str()) || name == CONSOLE)
        .partition(|name| name != CONSOLE);
    if !locks.is_empty() {
        let what = format!("a lock screen asks for the second factor: {}", list(&locks));
        findings.push(
            Finding::warning("lock-screen", what)
                .in_file("/etc/pam.d")
                .why("a lock screen that does not run as root cannot read the configuration, and stays locked")
                .advice("give it a stack without pam_onelogin: \"auth requisite pam_unix.so\""),
        );
    }
    if !consoles.is_empty() {
        findings.push(
            Finding::note("console", "the console asks for the second factor, too")
                .in_file("/etc/pam.d/login")
                .why("with a fault in the configuration, root cannot log in there either"),
        );
    }
}

/// Stacks of programs that use no auth lines.
fn without_login<'a>(stacks: impl Iterator<Item = &'a NamedStack>, findings: &mut Vec<Finding>) {
    for stack in stacks.filter(|stack| stack.asks() && needs_no_login(&stack.name)) {
        let path = stack.service.path.as_deref();
        let what = format!("{}: this program uses no auth lines", stack.name);
        findings.push(
            Finding::note("no-auth", what)
                .of(path.map(|path| Place::of(path, None)))
                .why("it starts jobs for users who are not logged in: they need no second factor"),
        );
    }
}

/// Whether an editor or a package manager left this file over: it is not a stack.
fn is_left_over(name: &str) -> bool {
    let ends = [
        "~", ".bak", ".orig", ".pam-old", ".rpmnew", ".rpmorig", ".rpmsave", ".swp",
    ];
    name.starts_with('.')
        || ends.iter().any(|end| name.ends_with(end))
        || name.contains(".dpkg-")
        || name.contains(".ucf-")
}

/// Whether other stacks include this file.
fn is_part(name: &str) -> bool {
    let name = name.strip_suffix("-ac").unwrap_or(name);
    name.starts_with("common-")
        || name.ends_with("-auth")
        || [
            "config-util",
            "postlogin",
            "system-login",
            "system-services",
        ]
        .contains(&name)
        || name.starts_with("system-local-")
        || name.starts_with("system-remote-")
}

/// The longest line that each libpam takes, in bytes.
const LONG: usize = 1000;
