//! Finds an edit of a stack that mends a finding.

use crate::examine::named_stack::{NamedStack, read};
use crate::examine::stacks::compare::Comparison;
use crate::examine::stacks::edit::{Edit, Found, rewrite_advice};
use crate::examine::stacks::judge::{BROKEN, Judge, Key};
use crate::examine::stacks::programs::{is_login, reach};
use crate::examine::stacks::rewrite::{Rewritten, rewrite};
use crate::examine::subject::Subject;
use crate::host::target_system::TargetSystem;
use crate::pam_stack::edit::Behind;
use crate::pam_stack::known_modules::{BEHIND_KEY, has, is_password};
use crate::pam_stack::verify::flaw;
use crate::pam_stack::{self, Entry, Kind, Stack};
use crate::ui::finding::{Finding, Severity};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The stack of a service of this host, rewritten so that it asks OneLogin. `None` if `check` would find a
/// fault in every version.
pub(crate) fn rewritten_here(config: &Path, service: &str, behind: Behind) -> Option<Rewritten> {
    let machine = TargetSystem::this();
    let subject = Subject::of(&machine, config, None);
    rewritten(&subject, service, behind)
}

/// The stack of this service, rewritten so that it asks OneLogin, if the result has no fault. Both `check` and
/// `enable` must agree on that.
fn rewritten(subject: &Subject<'_>, name: &str, behind: Behind) -> Option<Rewritten> {
    let old = read(subject.machine, name)?.service;
    let mut ours = old.ours();
    if behind == Behind::Password
        && subject.may_be_ssh(name)
        && ours.any(|entry| has(entry, BEHIND_KEY))
    {
        // The key would no longer be needed.
        return None;
    }
    let files = |path: &Path| subject.machine.text(path).ok().flatten();
    let new = rewrite(name, &old, &files, behind)?;
    let service = planned(subject, name, old.path.as_ref()?, &new.text);
    let folders = module_folders(subject.machine);
    let found = judge_of(subject, name, &service, &folders).findings();
    let is_good = !found.iter().any(|found| found.finding.severity.is_bad())
        && flaw(&service, behind).is_none();
    let change = |new| Comparison::of(old.chain(Kind::Auth), new);
    let new_chain = service.chain(Kind::Auth);
    let is_as_strict = match behind {
        Behind::Key => change(new_chain)?.opens_nothing_but_passwords(),
        Behind::Password => change(new_chain)?.opens_nothing(),
    };
    let is_meant = is_as_strict && change(new_chain)?.locks_out_nobody();
    (is_good && is_meant).then_some(new)
}

/// Whether two readings of a service have the same lines, wherever those stand.
fn is_alike(one: &Stack, other: &Stack) -> bool {
    let lines = |service: &Stack| {
        let kinds = Kind::ALL.map(|kind| {
            let line = |entry: &Entry| {
                let control = entry.control.clone();
                (entry.body.clone(), control, entry.level, entry.is_quiet)
            };
            let chain = service.chain(kind).iter();
            chain.map(line).collect::<Vec<_>>()
        });
        (kinds, service.unreadable.is_some())
    };
    lines(one) == lines(other)
}

/// A service once this file of it is as planned.
fn planned(subject: &Subject<'_>, name: &str, changed: &Path, text: &str) -> Stack {
    let files = |path: &Path| {
        if path == changed {
            Some(text.to_owned())
        } else {
            subject.machine.text(path).ok().flatten()
        }
    };
    pam_stack::read(name, &files)
}

/// Chooses the edit for the advice: it makes each edit on a copy, and checks the copy as it checked the stack.
pub(super) struct Adviser<'a> {
    pub(super) subject: &'a Subject<'a>,
    pub(super) stacks: &'a [NamedStack],
    pub(super) folders: &'a [PathBuf],
}

impl Adviser<'_> {
    /// The finding with its advice.
    pub(super) fn advise(&self, stack: &NamedStack, found: Found) -> Finding {
        let finding = found.finding;
        let mut edits = found.edits.iter();
        let advice = edits.find_map(|edit| match edit {
            Edit::Rewrite => self.rewrite(stack),
            edit => {
                let mends = self.mends(stack, &finding, edit);
                let lead = match edit {
                    Edit::TakeOut(_) => found.lead,
                    _ => "",
                };
                mends.then(|| format!("{lead}{edit}"))
            }
        });
        match advice {
            Some(advice) => finding.advice(advice),
            None => finding,
        }
    }

    fn rewrite(&self, stack: &NamedStack) -> Option<String> {
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
    fn having(&self, path: &Path) -> impl Iterator<Item = &NamedStack> {
        let has = move |stack: &&NamedStack| stack.service.files.iter().any(|file| file == path);
        self.stacks.iter().filter(has)
    }

    /// Whether this edit removes the finding and causes no other one, here and in each stack that includes the
    /// file.
    fn mends(&self, stack: &NamedStack, finding: &Finding, edit: &Edit) -> bool {
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
        let is_broken = BROKEN.contains(&finding.id);
        // A line that libpam can use again may show what it hid: what is worse than before is a fault.
        if is_broken && matches!(edit, Edit::Replace(..)) {
            return !left.contains(&(finding.id, finding.what.clone()))
                && self
                    .having(path)
                    .all(|other| self.has_no_new_fault(other, path, &text));
        }
        !left.contains(&(finding.id, finding.what.clone()))
            && self.having(path).all(|other| {
                self.stays_good(other, path, &text)
                    && (is_broken || self.is_as_strict(other, path, &text))
            })
    }

    /// Whether a stack has no new findings once this file is as planned, and still calls our module. A stack
    /// that does not call it must stay the same.
    fn stays_good(&self, stack: &NamedStack, path: &Path, text: &str) -> bool {
        let changed = planned(self.subject, &stack.name, path, text);
        if !stack.asks() {
            return is_alike(&stack.service, &changed);
        }
        let before = self.bad(&stack.name, &stack.service);
        let after = self.bad(&stack.name, &changed);
        changed.ours().next().is_some() && after.is_subset(&before)
    }

    /// Whether a stack has no fault, once this file is as planned, that it did not have before.
    fn has_no_new_fault(&self, stack: &NamedStack, path: &Path, text: &str) -> bool {
        let faults = |service: &Stack| -> BTreeSet<_> {
            let found = judge_of(self.subject, &stack.name, service, self.folders).findings();
            let findings = found.into_iter().map(|found| found.finding);
            let faults = findings.filter(|it| it.severity == Severity::Fault);
            faults.map(|fault| (fault.id, fault.what)).collect()
        };
        let changed = planned(self.subject, &stack.name, path, text);
        faults(&changed).is_subset(&faults(&stack.service))
    }

    /// Whether a stack accepts no additional login once this file is as planned, and locks out no user.
    fn is_as_strict(&self, stack: &NamedStack, path: &Path, text: &str) -> bool {
        let changed = planned(self.subject, &stack.name, path, text);
        let chains = (stack.service.chain(Kind::Auth), changed.chain(Kind::Auth));
        Comparison::of(chains.0, chains.1)
            .is_some_and(|change| change.opens_nothing() && change.locks_out_nobody())
    }

    /// What is wrong with a stack. An exempt user who is denied counts, too.
    fn bad(&self, name: &str, service: &Stack) -> BTreeSet<(&'static str, String)> {
        let found = judge_of(self.subject, name, service, self.folders).findings();
        let findings = found.into_iter().map(|found| found.finding);
        let bad = findings.filter(|it| it.severity.is_bad() || it.id == "exempt-denied");
        bad.map(|finding| (finding.id, finding.what)).collect()
    }
}

pub(super) fn judge_of<'a>(
    subject: &'a Subject<'_>,
    name: &'a str,
    service: &'a Stack,
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

/// Where modules are on this machine.
pub(super) fn module_folders(machine: &TargetSystem) -> Vec<PathBuf> {
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

/// The logins in which a key comes before the stack, by our argument or by the settings of sshd.
fn key(subject: &Subject<'_>, name: &str, service: &Stack) -> Key {
    if !subject.is_ssh(name) {
        Key::Open
    } else if service.ours().all(|entry| has(entry, BEHIND_KEY))
        || subject.sshd.key_always_comes_first()
    {
        Key::Always
    } else if subject.sshd.key_comes_first() {
        Key::First
    } else {
        Key::Open
    }
}
