//! The stacks of PAM: whether a denial of ours is one in each of them, and which have none.

pub(crate) mod advice;
mod compare;
mod edit;
mod judge;
mod lines;
mod rewrite;

use crate::examine::named_stack::{NamedStack, read};
use crate::examine::stacks::advice::{Adviser, judge_of, module_folders};
use crate::examine::subject::Subject;
use crate::host::target_system::TargetSystem;
use crate::pam_stack::known_modules::OURS;
use crate::pam_stack::{self, FOLDERS};
use crate::ui::finding::Finding;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Looks at each stack.
pub(crate) fn examine(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
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
    let stacks: Vec<NamedStack> = names
        .iter()
        .filter(|name| !is_left_over(name) && !is_part(name))
        .filter_map(|name| read(subject.machine, name))
        .collect();
    let folders = module_folders(subject.machine);
    let adviser = Adviser {
        subject,
        stacks: &stacks,
        folders: &folders,
    };
    let mut found = Grouped::default();
    for stack in &stacks {
        let is_ours =
            stack.names_us() || stack.service.unreadable.is_some() && is_named(subject, stack);
        if !is_ours {
            continue;
        }
        let judge = judge_of(subject, &stack.name, &stack.service, &folders);
        for one in judge.findings() {
            found.add(&stack.name, adviser.advise(stack, one));
        }
    }
    found.into(findings);
    ambiguous(subject, &stacks, findings);
    other_ways_in(subject.machine, &stacks, findings);
    shared(&stacks, findings);
    if subject.machine.unread().is_empty()
        && !stacks
            .iter()
            .any(|stack| stack.asks() || stack.service.unreadable.is_some())
    {
        findings.push(
            Finding::warning("not-used", "no stack asks pam_onelogin")
                .in_file("/etc/pam.d")
                .why("nobody is asked for a second factor")
                .advice("add it to a stack: see \"Stacks\" in the README"),
        );
    }
}

/// Whether a file of a stack that cannot be read names us.
fn is_named(subject: &Subject<'_>, stack: &NamedStack) -> bool {
    let mut files = stack.service.files.iter();
    files.any(|path| {
        let text = subject.machine.text(path).ok().flatten();
        text.is_some_and(|text| text.contains(OURS))
    })
}

/// What several services have in common is said once.
#[derive(Default)]
struct Grouped(Vec<(Finding, Vec<String>)>);

impl Grouped {
    fn add(&mut self, service: &str, finding: Finding) {
        // What to write may name the stack of one service; once that is done, the next one's turn comes.
        let is_same = |known: &Finding| {
            (known.id, &known.what, &known.place, &known.why)
                == (finding.id, &finding.what, &finding.place, &finding.why)
        };
        match self.0.iter_mut().find(|(known, _)| is_same(known)) {
            Some((_, services)) => services.push(service.to_owned()),
            None => self.0.push((finding, vec![service.to_owned()])),
        }
    }

    fn into(self, findings: &mut Vec<Finding>) {
        for (mut finding, services) in self.0 {
            finding.what = format!("{}: {}", list(&services), finding.what);
            findings.push(finding);
        }
    }
}

/// Some names, and how many more.
fn list(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown: Vec<_> = names.iter().take(SHOWN).map(String::as_str).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Lines that one libpam reads otherwise than the next.
fn ambiguous(subject: &Subject<'_>, stacks: &[NamedStack], findings: &mut Vec<Finding>) {
    let asking = stacks.iter().filter(|stack| stack.asks());
    let files: BTreeSet<_> = asking.flat_map(|stack| &stack.service.files).collect();
    for path in files {
        let text = subject.machine.text(path).ok().flatten();
        let text = text.unwrap_or_default();
        let lines = text.lines().enumerate();
        for (index, _) in lines.filter(|(_, line)| line.len() > LONG) {
            findings.push(
                Finding::warning("ambiguous", format!("a line of more than {LONG} bytes"))
                    .at(path, index + 1)
                    .why("Linux-PAM 1.5 denies each login at it, or never comes to its end")
                    .advice("make it shorter, even where it is a comment"),
            );
        }
        for line in pam_stack::flaws(&text) {
            findings.push(
                Finding::warning(
                    "ambiguous",
                    "an empty line or a comment within a line that goes on",
                )
                .at(path, line)
                .why("Linux-PAM 1.7 ends the line there, 1.5 does not")
                .advice("take it out"),
            );
        }
    }
}

/// The same program, by another name; and other ways to a shell.
fn other_ways_in(machine: &TargetSystem, stacks: &[NamedStack], findings: &mut Vec<Finding>) {
    let asks = |name: &str| {
        let stack = stacks.iter().find(|stack| stack.name == name);
        stack.map(NamedStack::asks)
    };
    for (name, twin, typed) in TWINS {
        // One without a stack goes through that of other.
        let open = read(machine, twin).filter(|twin| !twin.asks() && twin.lets_in());
        let Some(open) = open.filter(|_| asks(name) == Some(true)) else {
            continue;
        };
        let own = format!("/etc/pam.d/{twin}");
        let change = format!("change {own} as you did /etc/pam.d/{name}");
        let (path, why, advice) = match open.service.path {
            Some(path) if path.starts_with("/etc") => {
                (path, format!("its stack is {twin}"), change)
            }
            Some(path) => {
                let advice = format!("cp {} {own}, and {change}", path.display());
                (path, format!("its stack is {twin}"), advice)
            }
            None => (
                PathBuf::from("/etc/pam.d/other"),
                format!("it has no stack {twin}, so that of other counts"),
                format!("cp /etc/pam.d/{name} {own}"),
            ),
        };
        let what = format!("{typed} asks no second factor, although {name} does");
        findings.push(
            Finding::fault("open-door", what)
                .in_file(path)
                .why(why)
                .advice(advice),
        );
    }
    let twins = |name: &&str| {
        let mut twins = TWINS.iter();
        !twins.any(|(other, twin, _)| twin == name && asks(other) == Some(true))
    };
    let open: Vec<String> = WAYS_IN
        .into_iter()
        .filter(|&name| asks(name) == Some(false))
        .filter(twins)
        .map(str::to_owned)
        .collect();
    if !open.is_empty() && stacks.iter().any(NamedStack::asks) {
        let what = format!("no second factor is asked in: {}", list(&open));
        findings.push(Finding::note("not-asked", what).in_file("/etc/pam.d"));
    }
}

/// Who is asked because of a line that many include.
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
            "this line asks in {} services: {}",
            services.len(),
            services.join(", ")
        );
        findings.push(
            Finding::note("shared", what)
                .at(path, line)
                .why("whatever includes the file asks; cron and the like do not run it"),
        );
    }
    let asking = stacks.iter().filter(|stack| stack.asks());
    let (locks, consoles): (Vec<_>, Vec<_>) = asking
        .map(|stack| stack.name.clone())
        .filter(|name| LOCKS.contains(&name.as_str()) || name == CONSOLE)
        .partition(|name| name != CONSOLE);
    if !locks.is_empty() {
        let what = format!("a lock screen asks: {}", list(&locks));
        findings.push(
            Finding::warning("lock-screen", what)
                .in_file("/etc/pam.d")
                .why("one that does not run as root cannot read the configuration, and lets nobody in")
                .advice("give it a stack without pam_onelogin: \"auth requisite pam_unix.so\""),
        );
    }
    if !consoles.is_empty() {
        findings.push(
            Finding::note("console", "the console asks, too")
                .in_file("/etc/pam.d/login")
                .why("a fault of the configuration then leaves root no way in"),
        );
    }
}

/// What editors and package managers leave behind is no stack.
fn is_left_over(name: &str) -> bool {
    let ends = [
        "~", ".bak", ".orig", ".pam-old", ".rpmnew", ".rpmorig", ".rpmsave", ".swp",
    ];
    name.starts_with('.')
        || ends.iter().any(|end| name.ends_with(end))
        || name.contains(".dpkg-")
        || name.contains(".ucf-")
}

/// A file that is there for others to include.
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

/// A service, one that belongs to it, and what is typed to reach that.
const TWINS: [(&str, &str, &str); 4] = [
    ("sudo", "sudo-i", "\"sudo -i\""),
    ("sudo-i", "sudo", "sudo"),
    ("su", "su-l", "\"su -\""),
    ("su-l", "su", "su"),
];

/// Services that give a shell, or root.
const WAYS_IN: [&str; 9] = [
    "cockpit",
    "doas",
    "polkit-1",
    "sshd",
    "su",
    "su-l",
    "sudo",
    "sudo-i",
    "xrdp-sesman",
];

/// Services of lock screens.
const LOCKS: &[&str] = &[
    "cinnamon-screensaver",
    "gnome-screensaver",
    "gtklock",
    "hyprlock",
    "i3lock",
    "kde",
    "kscreenlocker",
    "kscreensaver",
    "light-locker",
    "mate-screensaver",
    "physlock",
    "swaylock",
    "vlock",
    "waylock",
    "xfce4-screensaver",
    "xlock",
    "xscreensaver",
];

/// The service of the console.
const CONSOLE: &str = "login";
