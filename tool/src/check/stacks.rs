//! The stacks of PAM: whether a denial of ours is one in each of them, and which have none.

mod compare;
mod edit;
mod judge;
mod rewrite;

pub(crate) use rewrite::Rewritten;

use crate::check::Subject;
use crate::check::ssh::{key_always_comes_first, key_comes_first};
use crate::host::target_system::TargetSystem;
use crate::pam_stack;
use crate::pam_stack::edit::Behind;
use crate::pam_stack::known_modules::{BEHIND_KEY, OURS, Role, has, is_password, returns, role};
use crate::pam_stack::verify::flaw;
use crate::pam_stack::{
    AUTH_ERR, Code, Entry, FOLDERS, IGNORE, Kind, SUCCESS, Service, authenticate,
};
use crate::ui::finding::Finding;
use compare::Change;
use edit::{Edit, Found, rewrite_advice};
use judge::{Judge, Key, Reach};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A service with its name.
pub(super) struct Stack {
    pub(super) name: String,
    pub(super) service: Service,
}

impl Stack {
    /// Whether we are asked in it, on some way.
    pub(super) fn asks(&self) -> bool {
        let chain = self.service.chain(Kind::Auth);
        self.service.trouble.is_none() && chain.iter().any(|entry| entry.is(OURS))
    }

    /// Whether it lets in whoever passes each module.
    fn lets_in(&self) -> bool {
        let chain = self.service.chain(Kind::Auth);
        let passes = |index: usize| match chain.get(index).map(role) {
            Some(Role::Deny) => AUTH_ERR,
            _ => SUCCESS,
        };
        self.service.trouble.is_none() && authenticate(chain, passes).0 == SUCCESS
    }

    fn names_us(&self) -> bool {
        let mut kinds = Kind::ALL.into_iter();
        kinds.any(|kind| {
            let mut chain = self.service.chain(kind).iter();
            chain.any(|entry| entry.is(OURS))
        })
    }
}

/// Reads a service of the machine; `None`: a file of it cannot be read.
pub(super) fn read(machine: &TargetSystem, name: &str) -> Option<Stack> {
    let is_whole = Cell::new(true);
    let files = |path: &Path| {
        let text = machine.text(path);
        is_whole.set(is_whole.get() && text.is_ok());
        text.ok().flatten()
    };
    let service = pam_stack::read(name, &files);
    is_whole.get().then(|| Stack {
        name: name.to_owned(),
        service,
    })
}

/// Whether a service asks us; one that cannot be read does not.
pub(super) fn asks(machine: &TargetSystem, name: &str) -> bool {
    read(machine, name).is_some_and(|stack| stack.asks())
}

/// Whether a factor is in its stack beside ours.
pub(super) fn has_factor(stack: &Stack) -> bool {
    let mut chain = stack.service.chain(Kind::Auth).iter();
    chain.any(|entry| role(entry) == Role::Factor)
}

/// Whether one of them asks each user, and says yes or no.
pub(super) fn has_strict_factor(stack: &Stack) -> bool {
    let mut chain = stack.service.chain(Kind::Auth).iter();
    chain.any(|entry| role(entry) == Role::Factor && !returns(entry).is_some_and(may_pass))
}

/// Whether `PAM_IGNORE` is among these answers.
fn may_pass(codes: &[Code]) -> bool {
    codes.contains(&IGNORE)
}

/// Looks at each stack.
pub(super) fn examine(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
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
    let stacks: Vec<Stack> = names
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
            stack.names_us() || stack.service.trouble.is_some() && is_named(subject, stack);
        if !is_ours {
            continue;
        }
        let judge = judge_of(subject, &stack.name, &stack.service, &folders);
        for one in judge.judge() {
            found.add(&stack.name, adviser.advise(stack, one));
        }
    }
    found.into(findings);
    ambiguous(subject, &stacks, findings);
    doors(subject.machine, &stacks, findings);
    shared(&stacks, findings);
    if subject.machine.unread().is_empty()
        && !stacks
            .iter()
            .any(|stack| stack.asks() || stack.service.trouble.is_some())
    {
        findings.push(
            Finding::warning("not-used", "no stack asks pam_onelogin")
                .in_file("/etc/pam.d")
                .why("nobody is asked for a second factor")
                .advice("add it to a stack: see \"Stacks\" in the README"),
        );
    }
}

/// The stack of this service, written anew so that OneLogin is asked in it; only if nothing is wrong
/// with the result. Two opinions agree on that: the one of `check`, and the one of `enable`.
pub(super) fn rewritten(subject: &Subject<'_>, name: &str, behind: Behind) -> Option<Rewritten> {
    let old = read(subject.machine, name)?.service;
    let mut ours = old.chain(Kind::Auth).iter().filter(|entry| entry.is(OURS));
    if behind == Behind::Password
        && subject.may_be_ssh(name)
        && ours.any(|entry| has(entry, BEHIND_KEY))
    {
        // The key would not be needed any more.
        return None;
    }
    let files = |path: &Path| subject.machine.text(path).ok().flatten();
    let new = rewrite::rewrite(name, &old, &files, behind)?;
    let service = planned(subject, name, old.path.as_ref()?, &new.text);
    let folders = module_folders(subject.machine);
    let found = judge_of(subject, name, &service, &folders).judge();
    let is_good = !found.iter().any(|found| found.finding.severity.is_bad())
        && flaw(&service, behind).is_none();
    let change = |new| Change::of(old.chain(Kind::Auth), new);
    let new_chain = service.chain(Kind::Auth);
    let is_as_strict = match behind {
        Behind::Key => change(new_chain)?.opens_nothing_but_passwords(),
        Behind::Password => change(new_chain)?.opens_nothing(),
    };
    let is_meant = is_as_strict && change(new_chain)?.locks_out_nobody();
    (is_good && is_meant).then_some(new)
}

/// Whether two readings of a service have the same lines, wherever those stand.
fn is_alike(one: &Service, other: &Service) -> bool {
    let lines = |service: &Service| {
        let kinds = Kind::ALL.map(|kind| {
            let line = |entry: &Entry| {
                let control = entry.control.clone();
                (entry.body.clone(), control, entry.level, entry.is_quiet)
            };
            let chain = service.chain(kind).iter();
            chain.map(line).collect::<Vec<_>>()
        });
        (kinds, service.trouble.is_some())
    };
    lines(one) == lines(other)
}

/// A service once this file of it is as planned.
fn planned(subject: &Subject<'_>, name: &str, changed: &Path, text: &str) -> Service {
    let files = |path: &Path| {
        if path == changed {
            Some(text.to_owned())
        } else {
            subject.machine.text(path).ok().flatten()
        }
    };
    pam_stack::read(name, &files)
}

/// What to write, as far as it mends the stack: each edit is made on a copy, and judged as the stack
/// itself was.
struct Adviser<'a> {
    subject: &'a Subject<'a>,
    stacks: &'a [Stack],
    folders: &'a [PathBuf],
}

impl Adviser<'_> {
    /// The finding with its advice.
    fn advise(&self, stack: &Stack, found: Found) -> Finding {
        let finding = found.finding;
        let mut edits = found.edits.iter();
        let advice = edits.find_map(|edit| match edit {
            Edit::Rewrite => self.rewrite(stack),
            edit => {
                let mends = self.mends(stack, &finding, edit);
                mends.then(|| format!("{}{edit}", found.lead))
            }
        });
        match advice {
            Some(advice) => finding.advice(advice),
            None => finding,
        }
    }

    fn rewrite(&self, stack: &Stack) -> Option<String> {
        let mut chain = stack.service.chain(Kind::Auth).iter();
        let behind = if !self.subject.is_ssh(&stack.name) || chain.any(is_password) {
            Behind::Password
        } else if key(self.subject, &stack.name, &stack.service) == Key::Always {
            Behind::Key
        } else {
            // Users who log in without a key would be locked out.
            return None;
        };
        let new = rewritten(self.subject, &stack.name, behind)?;
        let path = stack.service.path.as_ref()?;
        let mut others = self.having(path).filter(|other| other.name != stack.name);
        others
            .all(|other| {
                self.stays_good(other, path, &new.text) && self.is_as_strict(other, path, &new.text)
            })
            .then(|| rewrite_advice(path, &new.auth, &new.lost))?
    }

    /// The stacks that have this file.
    fn having(&self, path: &Path) -> impl Iterator<Item = &Stack> {
        let has = move |stack: &&Stack| stack.service.files.iter().any(|file| file == path);
        self.stacks.iter().filter(has)
    }

    /// Whether this edit takes the finding away, and brings no other one, here and in each stack that
    /// has the file.
    fn mends(&self, stack: &Stack, finding: &Finding, edit: &Edit) -> bool {
        let Some(path) = edit.path() else {
            return false;
        };
        let text = self.subject.machine.text(path).ok().flatten();
        let Some(text) = text.and_then(|text| edit.apply(&text)) else {
            return false;
        };
        let changed = planned(self.subject, &stack.name, path, &text);
        let left = self.bad(&stack.name, &changed);
        // A line that libpam cannot use, or whose module is missing, denies until it is mended.
        let is_broken = ["line", "module-missing"].contains(&finding.id);
        !left.contains(&(finding.id, finding.what.clone()))
            && self.having(path).all(|other| {
                self.stays_good(other, path, &text)
                    && (is_broken || self.is_as_strict(other, path, &text))
            })
    }

    /// Whether a stack has no new findings once this file is as planned, and asks us as before; one
    /// that does not ask us stays as it is.
    fn stays_good(&self, stack: &Stack, path: &Path, text: &str) -> bool {
        let changed = planned(self.subject, &stack.name, path, text);
        if !stack.asks() {
            return is_alike(&stack.service, &changed);
        }
        let mut entries = changed.chain(Kind::Auth).iter();
        let before = self.bad(&stack.name, &stack.service);
        let after = self.bad(&stack.name, &changed);
        entries.any(|entry| entry.is(OURS)) && after.is_subset(&before)
    }

    /// Whether a stack lets in nobody new once this file is as planned, and locks out nobody.
    fn is_as_strict(&self, stack: &Stack, path: &Path, text: &str) -> bool {
        let changed = planned(self.subject, &stack.name, path, text);
        let chains = (stack.service.chain(Kind::Auth), changed.chain(Kind::Auth));
        Change::of(chains.0, chains.1)
            .is_some_and(|change| change.opens_nothing() && change.locks_out_nobody())
    }

    /// What is wrong with a stack. An exempt user who is denied counts, too.
    fn bad(&self, name: &str, service: &Service) -> BTreeSet<(&'static str, String)> {
        let found = judge_of(self.subject, name, service, self.folders).judge();
        let findings = found.into_iter().map(|found| found.finding);
        let bad = findings.filter(|it| it.severity.is_bad() || it.id == "exempt-denied");
        bad.map(|finding| (finding.id, finding.what)).collect()
    }
}

fn judge_of<'a>(
    subject: &'a Subject<'_>,
    name: &'a str,
    service: &'a Service,
    folders: &'a [PathBuf],
) -> Judge<'a> {
    Judge {
        name,
        subject,
        service,
        is_ssh: subject.is_ssh(name),
        key: key(subject, name, service),
        reach: reach(name),
        is_login: subject.is_ssh(name) || is_login(name),
        folders,
    }
}

/// Whether a file of a stack that cannot be read names us.
fn is_named(subject: &Subject<'_>, stack: &Stack) -> bool {
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
fn ambiguous(subject: &Subject<'_>, stacks: &[Stack], findings: &mut Vec<Finding>) {
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
fn doors(machine: &TargetSystem, stacks: &[Stack], findings: &mut Vec<Finding>) {
    let asks = |name: &str| {
        let stack = stacks.iter().find(|stack| stack.name == name);
        stack.map(Stack::asks)
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
    let open: Vec<String> = DOORS
        .into_iter()
        .filter(|&name| asks(name) == Some(false))
        .filter(twins)
        .map(str::to_owned)
        .collect();
    if !open.is_empty() && stacks.iter().any(Stack::asks) {
        let what = format!("no second factor is asked in: {}", list(&open));
        findings.push(Finding::note("not-asked", what).in_file("/etc/pam.d"));
    }
}

/// Who is asked because of a line that many include.
fn shared(stacks: &[Stack], findings: &mut Vec<Finding>) {
    let mut files: BTreeMap<PathBuf, (usize, BTreeSet<&str>)> = BTreeMap::new();
    for stack in stacks {
        let chain = stack.service.chain(Kind::Auth).iter();
        for entry in chain.filter(|entry| entry.is(OURS)) {
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

/// Where modules are on this machine.
fn module_folders(machine: &TargetSystem) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = ["/lib", "/lib64", "/usr/lib", "/usr/lib64"]
        .iter()
        .map(|folder| Path::new(folder).join("security"))
        .collect();
    for base in ["/lib", "/usr/lib"] {
        let names = machine.names(base).unwrap_or_default();
        let triples = names.into_iter().filter(|name| name.contains("-linux-"));
        folders.extend(triples.map(|name| Path::new(base).join(name).join("security")));
    }
    folders.retain(|folder| machine.has(folder));
    folders
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

/// In which logins a key comes before the stack: by our argument, or by what sshd is set to.
fn key(subject: &Subject<'_>, name: &str, service: &Service) -> Key {
    if !subject.is_ssh(name) {
        Key::Open
    } else if says_behind_key(service) || key_always_comes_first(&subject.sshd) {
        Key::Always
    } else if key_comes_first(&subject.sshd) {
        Key::First
    } else {
        Key::Open
    }
}

/// Whether each line of ours denies without a key.
fn says_behind_key(service: &Service) -> bool {
    let ours = service.chain(Kind::Auth).iter();
    let mut ours = ours.filter(|entry| entry.is(OURS));
    ours.all(|entry| has(entry, BEHIND_KEY))
}

/// Whose secrets the program of this service asks a user for who has logged in.
fn reach(name: &str) -> Reach {
    match name {
        "su" | "su-l" | "polkit-1" => Reach::Others,
        "sudo" | "sudo-i" | "doas" => Reach::Own,
        _ => Reach::None,
    }
}

/// Whether root runs the program of this service, for people who have not logged in yet.
fn is_login(name: &str) -> bool {
    let greeters = ["gdm", "lightdm", "lxdm", "sddm", "xrdp"];
    let others = [
        "cockpit", "ftp", "greetd", "imap", "kde", "login", "pop3", "remote", "rlogin", "vsftpd",
        "xdm",
    ];
    greeters.iter().any(|start| name.starts_with(start)) || others.contains(&name)
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
const DOORS: [&str; 9] = [
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
