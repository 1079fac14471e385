//! The lines of one stack, each by itself: whether libpam can use it, whether its module exists, whether
//! its arguments are known.

use crate::examine::stacks::edit::{Edit, Found};
use crate::examine::stacks::judge::{Judge, place};
use crate::examine::stacks::rewrite::line;
use crate::host::target_system::TargetSystem;
use crate::pam_stack::known_modules::{BEHIND_KEY, OURS, Role, has, role};
use crate::pam_stack::{
    Body, Control, Entry, IGNORE, Kind, MODULE_UNKNOWN, SUCCESS, authenticate, name,
};
use crate::ui::finding::Finding;
use pam_onelogin::args::Args;
use std::path::PathBuf;

impl Judge<'_> {
    /// Line endings of Windows.
    pub(super) fn carriage_return(&self) -> Option<Finding> {
        let entry = self.chain().iter().find(|entry| has_return(entry))?;
        let what = "the lines have Windows line endings";
        let finding = Finding::fault("carriage-return", what)
            .at(&entry.path, entry.line)
            .why("libpam reads the carriage return as part of the last word");
        Some(finding.advice(format!("type: sed -i 's/\\r$//' {}", entry.path.display())))
    }

    /// Our line in a stack of another type.
    pub(super) fn elsewhere(&self, kind: Kind) -> Option<Finding> {
        let chain = self.service.chain(kind);
        let entry = chain.iter().find(|entry| entry.is(OURS))?;
        let all_else = |index: usize| match chain.get(index).map(role) {
            Some(Role::Ours) => IGNORE,
            _ => SUCCESS,
        };
        let what = format!("pam_onelogin is in the {} stack", kind.word());
        let finding = if authenticate(chain, all_else).0 == SUCCESS {
            Finding::warning("wrong-type", what).why("it does nothing there")
        } else {
            Finding::fault("wrong-type", what)
                .why("no other line there succeeds, so every login is denied")
        };
        let advice = "remove the line: the module belongs in \"auth\"";
        Some(finding.at(&entry.path, entry.line).advice(advice))
    }

    /// The arguments of our module.
    pub(super) fn arguments(&self, entry: &Entry) -> Vec<Finding> {
        let words = entry.arguments().iter().map(String::as_bytes);
        match Args::parse(words) {
            Err(faults) => faults
                .iter()
                .map(|fault| {
                    Finding::fault("arguments", fault.to_string())
                        .at(&entry.path, entry.line)
                        .why("every login through this stack is denied")
                        .advice("remove the argument from the line")
                })
                .collect(),
            Ok(args) if self.subject.config.to_str() != Some(&args.config) => {
                let what = format!("the stack reads another configuration, {}", args.config);
                vec![
                    Finding::warning("other-config", what)
                        .at(&entry.path, entry.line)
                        .why(format!(
                            "this check reads {}",
                            self.subject.config.display()
                        ))
                        .advice(format!("type: pam-onelogin check --config {}", args.config)),
                ]
            }
            Ok(_) => Vec::new(),
        }
    }

    /// The argument for sshd in the stack of another service. With `is_right`, the stack needs both factors
    /// once the argument is removed.
    pub(super) fn behind_key(&self, entry: &Entry, is_right: bool) -> Option<Found> {
        if !has(entry, BEHIND_KEY) || self.subject.may_be_ssh(self.name) {
            return None;
        }
        let Body::Module { name, .. } = &entry.body else {
            return None;
        };
        let what = format!("{BEHIND_KEY} is for sshd, which does not use this stack");
        let finding = Finding::fault("behind-key", what)
            .at(&entry.path, entry.line)
            .why("sshd checks no key before this stack, so every login through it is denied")
            .advice(format!(
                "remove {BEHIND_KEY} from the line, and check a password before the line: see \"STACKS\" in \
                 pam_onelogin(8)"
            ));
        let mut arguments = entry.arguments().to_vec();
        arguments.retain(|word| word != BEHIND_KEY);
        let line = line(&written_control(entry), name, &arguments);
        let line = line.filter(|_| is_right);
        let edit = line.map(|line| Edit::Replace(place(entry), self.own(entry, &line)));
        Some(Found {
            finding,
            edits: edit.into_iter().chain([Edit::Rewrite]).collect(),
            lead: "",
        })
    }

    /// A line that libpam cannot use, or a module that does not exist.
    pub(super) fn line(&self, entry: &Entry) -> Option<Found> {
        let at = |finding: Finding| finding.at(&entry.path, entry.line);
        if let Body::Broken(what) = &entry.body {
            let finding = at(Finding::fault("line", what.clone())
                .why("libpam denies the login at this line, whatever the modules return")
                .advice("correct the line: see pam.conf(5)"));
            return Some(Found {
                finding,
                edits: vec![Edit::TakeOut(place(entry))],
                lead: "correct it, or ",
            });
        }
        if entry.body == Body::Substack {
            return None;
        }
        if let (_, Some(fault)) = Control::parse(&entry.control_text) {
            let what = format!("the control [{}] is not valid", entry.control_text);
            return Some(
                at(Finding::fault("control", what)
                    .why(format!(
                        "{fault}; libpam then treats every result as a denial"
                    ))
                    .advice("correct the control: see pam.conf(5)"))
                .into(),
            );
        }
        if !self.is_missing(entry) {
            return None;
        }
        let module = entry.module().unwrap_or_default();
        let what = format!("the module {module} does not exist");
        if role(entry) == Role::Ours {
            let why = "every login through this stack is denied, or needs no second factor";
            return Some(
                at(Finding::fault("module-missing", what)
                    .why(why)
                    .advice("install the module, or correct its path"))
                .into(),
            );
        }
        if entry.is_quiet {
            return None;
        }
        let finding = at(Finding::warning("module-missing", what)
            .why(format!(
                "libpam cannot load it: the line fails with {}",
                name(MODULE_UNKNOWN)
            ))
            .advice("install it, or correct its path"));
        Some(Found {
            finding,
            edits: vec![Edit::TakeOut(place(entry))],
            lead: "install it, or ",
        })
    }

    pub(super) fn is_missing(&self, entry: &Entry) -> bool {
        let Body::Module { name, .. } = &entry.body else {
            return false;
        };
        let machine = self.subject.machine;
        if name.starts_with('/') {
            return !name.contains("$ISA") && !machine.has(name);
        }
        let mut folders = self.folders.iter();
        !self.folders.is_empty() && !folders.any(|folder| machine.has(folder.join(name)))
    }
}

/// A line that calls a module which does not exist, and whose name is almost that of ours.
pub(super) fn misspelt(
    machine: &TargetSystem,
    folders: &[PathBuf],
    entry: &Entry,
) -> Option<Finding> {
    let module = entry.module()?;
    let is_there = |folder: &PathBuf| machine.has(folder.join(module));
    let is_like_ours = role(entry) == Role::Unknown
        && distance(module.trim_end_matches(".so"), OURS) <= MISSPELT
        && !folders.iter().any(is_there);
    if !is_like_ours {
        return None;
    }
    let what = format!("the module {module} does not exist; did you mean {OURS}.so?");
    let line = line(
        &written_control(entry),
        &format!("{OURS}.so"),
        entry.arguments(),
    );
    let advice = match line {
        Some(line) => format!("replace the line with, without the quotes: \"{line}\""),
        None => format!("write {OURS}.so in the line"),
    };
    Some(
        Finding::fault("module-missing", what)
            .at(&entry.path, entry.line)
            .why("every login through this stack is denied, or needs no second factor")
            .advice(advice),
    )
}

/// How many letters differ: changed, added or removed.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, letter) in one.chars().enumerate() {
        let mut next = vec![index + 1];
        for (wanted, pair) in other.iter().zip(row.windows(2)) {
            let &[diagonal, above] = pair else { continue };
            let left = next.last().copied().unwrap_or(above);
            let changed = diagonal + usize::from(*wanted != letter);
            next.push(changed.min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

/// A name with at most this many wrong letters is a misspelt one.
const MISSPELT: usize = 3;

/// The control of a line as it is written in a stack.
fn written_control(entry: &Entry) -> String {
    if entry.control_text.contains('=') {
        format!("[{}]", entry.control_text)
    } else {
        entry.control_text.clone()
    }
}

/// Whether a word of the line ends with a carriage return.
fn has_return(entry: &Entry) -> bool {
    let name = match &entry.body {
        Body::Module { name, .. } => name.as_str(),
        Body::Substack | Body::Broken(_) => "",
    };
    let mut words = entry.arguments().iter().map(String::as_str).chain([name]);
    words.any(|word| word.ends_with('\r'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_that_differ_are_counted() {
        for (name, count) in [
            ("pam_onelogin", 0),
            ("pam_onelogn", 1),
            ("pam-onelogin", 1),
            ("pam_oneloggin", 1),
            ("pam_onlogni", 3),
            ("libpam_onelogin", 3),
            ("", 12),
        ] {
            assert_eq!(distance(name, OURS), count, "{name}");
        }
    }
}
