//! The lines of one stack, each by itself: whether libpam can use it, whether its module exists, whether
//! its arguments are known.

use crate::examine::stacks::edit::{Edit, Found, Spot};
use crate::examine::stacks::judge::{Judge, place};
use crate::examine::stacks::rewrite::line;
use crate::pam_stack::known_modules::{BEHIND_KEY, OURS, Role, has, role};
use crate::pam_stack::spelling::{almost_names_us, corrected, is_ours_or_almost, with_nearest};
use crate::pam_stack::{
    Action, Body, CONF, Code, Control, Entry, FOLDERS, IGNORE, Kind, MODULE_UNKNOWN, PERM_DENIED,
    SUCCESS, Unreadable, authenticate,
};
use crate::ui::finding::Finding;
use pam_onelogin::args::Args;
use std::path::Path;

impl Judge<'_> {
    /// Line endings of Windows.
    pub(super) fn carriage_return(&self) -> Option<Finding> {
        let entry = self.chain().iter().find(|entry| has_return(entry))?;
        let what = "the lines have Windows line endings";
        let finding = Finding::fault("carriage-return", what)
            .at(&entry.path, entry.line)
            .why("libpam reads the carriage return as part of the last word");
        Some(finding.advice(format!(
            "type: sudo sed -i 's/\\r$//' {}",
            entry.path.display()
        )))
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
                        .advice("correct the argument; remove it if it is that of another module")
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
                        .advice(format!(
                            "type: sudo pam-onelogin check --config {}",
                            args.config
                        )),
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

    /// A line that libpam cannot use, or a module that does not exist. With `denies_all`, no login through the stack
    /// succeeds.
    pub(super) fn line(&self, entry: &Entry, denies_all: bool) -> Option<Found> {
        if let Some(found) = self.unusable(entry, denies_all) {
            return Some(found);
        }
        if !self.is_missing(entry) {
            return None;
        }
        let module = entry.module().unwrap_or_default();
        let effect = effect(entry, MODULE_UNKNOWN, denies_all);
        let is_ours = is_ours_or_almost(module);
        let why = format!("libpam cannot load it: {}", effect.words(is_ours));
        let at = |finding: Finding| finding.at(&entry.path, entry.line).why(why);
        if role(entry) == Role::Ours {
            let what = format!("the module {module} does not exist");
            return Some(
                at(Finding::fault("module-missing", what)
                    .advice("install the module, or correct its path"))
                .into(),
            );
        }
        if is_ours {
            let what = format!("the module {module} does not exist; did you mean {OURS}.so?");
            let correction = self.correction(entry);
            let required = line("required", &format!("{OURS}.so"), entry.arguments());
            let required = required.filter(|_| entry.path != Path::new(CONF));
            let required = required.map(|line| Edit::Replace(place(entry), line));
            let advice = by_hand(correction.as_ref());
            return Some(Found {
                finding: at(Finding::fault("module-missing", what).advice(advice)),
                edits: correction.into_iter().chain(required).collect(),
                lead: "",
            });
        }
        if entry.is_quiet && effect != Effect::DeniesAll && effect != Effect::Denies {
            return None;
        }
        let what = format!("the module {module} does not exist");
        let finding = if effect == Effect::DeniesAll {
            Finding::fault("module-missing", what)
        } else {
            Finding::warning("module-missing", what)
        };
        Some(Found {
            finding: at(finding.advice("install it, or correct its path")),
            edits: vec![Edit::TakeOut(place(entry))],
            lead: "install it, or ",
        })
    }

    /// A line that libpam cannot use.
    pub(super) fn unusable(&self, entry: &Entry, denies_all: bool) -> Option<Found> {
        let at = |finding: Finding| finding.at(&entry.path, entry.line);
        let correction = || self.correction(entry).into_iter();
        if let Body::Broken(what) = &entry.body {
            let is_ours = self.means_us(entry);
            let words = effect(entry, PERM_DENIED, denies_all).words(is_ours);
            let mut edits: Vec<Edit> = correction().collect();
            let finding = at(Finding::fault("line", what.clone())
                .why(format!("libpam cannot use this line: {words}"))
                .advice(match edits.first() {
                    None if what.starts_with("the control") => CONTROL.to_owned(),
                    None if what.starts_with("the module") => MODULE.to_owned(),
                    edit => by_hand(edit),
                }));
            if !is_ours {
                edits.push(Edit::TakeOut(place(entry)));
            }
            return Some(Found {
                finding,
                edits,
                lead: "correct it, or ",
            });
        }
        if entry.body == Body::Substack {
            return None;
        }
        let (_, Some(fault)) = Control::parse(&entry.control_text) else {
            return None;
        };
        let control = if entry.control_text.contains('=') {
            format!("[{}]", entry.control_text)
        } else {
            format!("\"{}\"", entry.control_text)
        };
        let end = if denies_all {
            ", and every login through this stack is denied"
        } else {
            ""
        };
        let what = format!("the control {control} is not valid");
        let fault = if entry.control_text.contains('=') {
            fault
        } else {
            "libpam does not know this word"
        };
        let why = format!("{fault}; libpam then treats every result as a denial{end}");
        let edits: Vec<Edit> = correction().collect();
        let finding = Finding::fault("control", what).why(why);
        Some(Found {
            finding: at(finding.advice(by_hand(edits.first()))),
            edits,
            lead: "",
        })
    }

    /// The line as it was meant, if that is clear.
    fn correction(&self, entry: &Entry) -> Option<Edit> {
        let what = match &entry.body {
            Body::Broken(what) => what.as_str(),
            Body::Module { .. } | Body::Substack => "",
        };
        self.correction_at(&entry.path, entry.line, what)
    }

    /// The same for this line, which has this fault.
    fn correction_at(&self, path: &Path, number: usize, what: &str) -> Option<Edit> {
        let written = self.written(path, number)?;
        let line = self
            .with_file(&written, what)
            .or_else(|| corrected(&written))?;
        let spot = Spot {
            path: path.to_owned(),
            line: number,
        };
        (path != Path::new(CONF)).then_some(Edit::Replace(spot, line))
    }

    /// A line that includes a file which does not exist, with the name of one that does.
    fn with_file(&self, written: &str, what: &str) -> Option<String> {
        let mut words = written.split_whitespace();
        let word = words.find(|word| what == format!("the file {word} does not exist"))?;
        let names = FOLDERS.map(|folder| self.subject.machine.names(folder).unwrap_or_default());
        with_nearest(written, word, names.iter().flatten().map(String::as_str))
    }

    /// A stack that libpam cannot read.
    pub(super) fn unreadable(&self, unreadable: &Unreadable) -> Found {
        let Unreadable { what, path, line } = unreadable;
        let edit = self.correction_at(path, *line, what);
        let advice = if what.ends_with("\"\\\"") {
            "remove the \"\\\" at its end".to_owned()
        } else {
            by_hand(edit.as_ref())
        };
        let what = format!("libpam cannot read the stack: {what}");
        let finding = Finding::fault("stack-unreadable", what)
            .at(path, *line)
            .why("every login through this stack is denied")
            .advice(advice);
        Found {
            finding,
            edits: edit.into_iter().collect(),
            lead: "",
        }
    }

    /// Whether a line that libpam cannot use was meant to call our module.
    pub(super) fn means_us(&self, entry: &Entry) -> bool {
        let line = self.written(&entry.path, entry.line);
        line.is_some_and(|line| almost_names_us(&line).is_some())
    }

    /// A line as it is in its file.
    fn written(&self, path: &Path, number: usize) -> Option<String> {
        let text = self.subject.machine.text_or_empty(path);
        text.lines().nth(number.checked_sub(1)?).map(str::to_owned)
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
        let is_known =
            !self.folders.is_empty() || role(entry) == Role::Unknown && is_ours_or_almost(name);
        is_known && !folders.any(|folder| machine.has(folder.join(name)))
    }
}

const CONTROL: &str =
    "write required, requisite, sufficient or optional before the module: see pam.conf(5)";
const MODULE: &str = "write a module after the control: see pam.conf(5)";

/// What to do about a line if no edit is sure to be right. The administrator must look at what this one leads to.
fn by_hand(edit: Option<&Edit>) -> String {
    match edit {
        Some(Edit::Replace(_, line)) => format!(
            "correct the line; it was probably meant as \"{line}\"; then type: sudo pam-onelogin check"
        ),
        _ => "correct the line: see pam.conf(5)".to_owned(),
    }
}

/// What a line does to logins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// No login through the stack succeeds.
    DeniesAll,
    /// Those that reach the line are denied.
    Denies,
    /// It is as if it were not there.
    Nothing,
    /// As if it were not there; because of the other lines, no login through the stack succeeds.
    NothingAndDenied,
}

impl Effect {
    fn words(self, is_ours: bool) -> &'static str {
        match self {
            Self::DeniesAll => "every login through this stack is denied",
            Self::Denies => "every login that reaches this line is denied",
            Self::Nothing if is_ours => {
                "by its control the line then has no effect, and a login needs no second factor"
            }
            Self::Nothing => "by its control the line then has no effect",
            Self::NothingAndDenied => {
                "by its control the line then has no effect; every login through this stack is denied"
            }
        }
    }
}

/// What follows from this return code of a line.
fn effect(entry: &Entry, code: Code, denies_all: bool) -> Effect {
    match entry.control.action(code) {
        Action::Bad | Action::Die if denies_all => Effect::DeniesAll,
        Action::Bad | Action::Die => Effect::Denies,
        _ if denies_all => Effect::NothingAndDenied,
        Action::Ignore | Action::Ok | Action::Done | Action::Reset | Action::Jump(_) => {
            Effect::Nothing
        }
    }
}

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
