//! What `enable` changes: the new stacks and settings, what speaks against them, and the trial login.

use crate::change::drop_in::Whose;
use crate::change::plan::Planned;
use crate::change::record::Store;
use crate::change::service::{Service, path, present_stacks, used};
use crate::change::trial::{Passed, Trial};
use crate::change::{drop_in, pam_auth_update, plan};
use crate::examine::root_shell::root_has_password;
use crate::examine::stacks::advice::rewritten_here;
use crate::examine::stacks::unusable_here;
use crate::examine::sudo::unasked::unasked;
use crate::host::files;
use crate::host::target_system::TargetSystem;
use crate::login::outlook::{Outlook, Prediction, Word};
use crate::outcome::{Failure, for_root};
use crate::pam_stack::edit::{self, Behind, Insertion, Source, names_us};
use crate::pam_stack::open;
use crate::ui::console::{Console, Paint, paint};
use crate::ui::diff::diff;
use crate::ui::finding::{Finding, Place};
use nix::unistd::User;
use pam_onelogin::args::DEFAULT_CONFIG;
use pam_onelogin::config::file::Loaded;
use pam_onelogin::host::{interrupt_is_pending, uids};
use pam_onelogin::onelogin::http::Http;
use pam_onelogin::state::State;
use pam_onelogin::text::{PROMPT_CHARS, clean, printable};
use pam_onelogin::trust::Trusted;
use std::path::Path;

/// A change to make.
pub(crate) struct Change {
    pub(crate) plans: Vec<Planned>,
    pub(crate) behind: Behind,
    /// The services that ask OneLogin because of it.
    pub(crate) through: Vec<&'static str>,
    pub(crate) objections: Vec<String>,
}

impl Change {
    /// Shows the change, and the objections to it.
    pub(crate) fn show(&self, console: &Console) {
        let own_notes = Path::new("/var");
        for plan in self
            .plans
            .iter()
            .filter(|plan| !plan.path.starts_with(own_notes))
        {
            let before = plan.before.as_ref().map(|old| old.bytes.as_slice());
            let text = diff(&plan.path, before.unwrap_or_default(), &plan.after);
            console.say(&text);
        }
        for objection in &self.objections {
            let words = paint(Paint::Warning, "Warning:");
            console.note(&format!("{words} {objection}"));
        }
    }

    /// Checks the new stacks without a login.
    pub(crate) fn verify(&self, console: &Console, service: Service) -> Result<(), Failure> {
        if self.through.is_empty() {
            let name = service.name();
            let first = format!("no login of {name} would use this change; nothing was changed");
            let mut sentences = vec![first];
            if self.plans.iter().all(|plan| drop_in::reads(&plan.path)) {
                sentences.push(
                    "the stack of sshd asks OneLogin already; write the missing sshd settings, as shown \
                     above, by hand"
                        .to_owned(),
                );
            }
            return Err(Failure(sentences));
        }
        if let Some(found) = unusable_here(Path::new(DEFAULT_CONFIG), &self.through) {
            return Err(unusable(&found));
        }
        for name in &self.through {
            if let Some(fault) = plan::flaw(name, &self.plans, self.behind) {
                let path = path(name);
                let why = format!("{}: {fault}", path.display());
                return Err(by_hand(console, &path, &why, self.behind));
            }
        }
        Ok(())
    }

    /// Warns if sudo does not use its stack for this user: then the trial login says nothing of their sudo. Returns
    /// what to change.
    pub(crate) fn warn_of_sudo(&self, console: &Console, user: &User) -> Option<String> {
        let is_sudo = |service: &&str| ["sudo", "sudo-i"].contains(service);
        if user.uid.is_root() || !self.through.iter().any(is_sudo) {
            return None;
        }
        let found = unasked(&TargetSystem::this(), user);
        if found.is_empty() {
            return None;
        }
        let name = printable(&user.name);
        for line in &found {
            let commands = match line.commands.as_str() {
                "ALL" => "any command".to_owned(),
                commands => printable(commands),
            };
            console.note(&format!(
                "{} {}: sudo does not authenticate {name} for {commands} ({}): it skips the stack, so it never asks \
                 OneLogin.",
                paint(Paint::Warning, "Warning:"),
                printable(&line.place.text()),
                line.because
            ));
        }
        let places: Vec<_> = found.iter().map(|line| line.place.text()).collect();
        let what_to_do = format!(
            "So that {name} is asked in sudo, too, change {} with visudo; a sudo that skips the stack cannot confirm \
             the change.",
            printable(&places.join(", "))
        );
        console.note(&format!(
            "The trial login uses the stack all the same. {what_to_do}"
        ));
        Some(what_to_do)
    }

    /// Warns that sudo is the only way to become root on a host whose root has no password.
    pub(crate) fn warn_of_no_password(&self, console: &Console) {
        let asks_in_sudo = self.through.contains(&"sudo");
        if asks_in_sudo && root_has_password(&TargetSystem::this()) == Some(false) {
            console.note(&format!(
                "{} root has no password, so when sudo denies, \"su -\" and a login as root at the console do not work. \
                 Keep another way to become root: see \"WHEN ONELOGIN IS DOWN\" in pam_onelogin(8); or type: passwd root",
                paint(Paint::Warning, "Warning:")
            ));
        }
    }

    pub(crate) fn try_login(&self, console: &Console, user: &User) -> Result<(), Failure> {
        let trial = Trial {
            service: self.through.first().copied().unwrap_or_default(),
            user,
            behind: self.behind,
            plans: &self.plans,
        };
        let passed = trial.run(console).map_err(unchanged)?;
        console.note(&match passed {
            Passed::Accepted => paint(Paint::Good, "OneLogin accepted the trial login."),
            Passed::Exempt => paint(
                Paint::Warning,
                "The trial login succeeded because this user is exempt: OneLogin was not asked. To test with a user \
                 who is not exempt, pass --user NAME.",
            ),
            Passed::Observed => paint(
                Paint::Warning,
                "The trial login succeeded because of observe mode: no second factor was verified.",
            ),
        });
        Ok(())
    }
}

/// Finds out what to change.
pub(crate) fn prepare(
    console: &Console,
    service: Service,
    behind: Option<Behind>,
    whose: Whose<'_>,
) -> Result<Change, Failure> {
    let mut change = Change {
        plans: Vec::new(),
        behind: Behind::Password,
        through: Vec::new(),
        objections: Vec::new(),
    };
    let mut settings = None;
    match service {
        Service::Sshd => {
            let needs = drop_in::needs(whose, behind)?;
            change.behind = needs.behind;
            change.objections = needs.objections;
            settings = needs.file;
        }
        Service::All => {
            (change.plans, change.objections) = pam_auth_update::change()?;
        }
        Service::Sudo | Service::Su | Service::Login => {}
    }
    let name = service.name();
    if service != Service::All && used(name).is_none() {
        return Err(Failure::new(format!(
            "this host has no stack of {name}: {} does not exist",
            path(name).display()
        )));
    }
    for stack in present_stacks(service) {
        plan_stack(console, service, stack, &mut change)?;
    }
    // The order is for safety: a stack without a password may be active only after sshd demands a key,
    // and sshd may demand only a password after the stack calls pam_onelogin.
    let place = match change.behind {
        Behind::Key => 0,
        Behind::Password => change.plans.len(),
    };
    drop(change.plans.splice(place..place, settings));
    let written = Store::enabled(service)?.map_or_else(Vec::new, |record| record.files);
    let written: Vec<_> = written.into_iter().map(|file| file.path).collect();
    for plan in change
        .plans
        .iter()
        .filter(|plan| written.contains(&plan.path))
    {
        let path = plan.path.display();
        console.note(&if plan.before.is_some() {
            format!(
                "{path}: has changed since it was enabled; it is changed once more. What it is now, without lines of \
                 this tool, is what disable will restore."
            )
        } else {
            format!(
                "{path}: was removed since it was enabled; it is written again, and disable removes it."
            )
        });
    }
    change.through = plan::through(service, &change.plans, &written);
    if service == Service::All && change.through.contains(&"sshd") {
        change.objections.extend(drop_in::hides_prompts(whose.user));
    }
    Ok(change)
}

/// Plans the change of one stack.
fn plan_stack(
    console: &Console,
    service: Service,
    stack: &str,
    change: &mut Change,
) -> Result<(), Failure> {
    let path = path(stack);
    let before = files::snapshot(&path)?;
    let (source, bytes) = match (&before, used(stack)) {
        (Some(before), _) => (path.clone(), before.bytes.clone()),
        (None, Some(shipped)) => {
            let bytes = std::fs::read(&shipped).map_err(|error| Failure::at(&shipped, error))?;
            (shipped, bytes)
        }
        (None, None) => return Ok(()),
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| {
        let path = source.display();
        Failure::new(format!(
            "{path}: is not UTF-8; add the line by hand: see \"STACKS\" in pam_onelogin(8)"
        ))
    })?;
    let on_disk = |path: &Path| std::fs::read_to_string(path).ok();
    // A block that has lost our line is made anew.
    let without_ours = match names_us(text) {
        None => edit::take_out(&source, text)
            .map_err(|refusal| by_hand(console, &path, &refusal.to_string(), change.behind))?,
        Some(_) => None,
    };
    let stack_text = Source {
        name: stack,
        path: &source,
        text: without_ours.as_deref().unwrap_or(text),
        other: &|name| open(name, &on_disk),
        siblings: service.stacks(),
    };
    match edit::insert(&stack_text, change.behind) {
        Ok(Insertion::New(found)) => {
            let objections = found.objections.iter().map(ToString::to_string);
            change.objections.extend(objections);
            if before.is_none() {
                console.note(&format!(
                    "{} does not exist: it is made from {}, with lines of this tool, and disable removes it.",
                    path.display(),
                    source.display()
                ));
            }
            change.plans.push(Planned {
                path,
                before,
                after: found.text.into_bytes(),
            });
        }
        Ok(Insertion::Already(place)) => {
            console.note(&format!("{place}: pam_onelogin is in the stack already."));
            if let Some(fault) = plan::flaw(stack, &[], change.behind) {
                let words = paint(Paint::Warning, "Warning:");
                let path = path.display();
                console.note(&format!(
                    "{words} {path}: {fault}; type: pam-onelogin check"
                ));
            }
        }
        Ok(Insertion::Covered(by)) => console.note(&format!(
            "{}: includes {by}, so it does not change.",
            path.display()
        )),
        Err(refusal) => {
            let why = refusal.to_string();
            return Err(by_hand(console, &path, &why, change.behind));
        }
    }
    Ok(())
}

/// Adds that nothing was changed.
pub(crate) fn unchanged(mut failure: Failure) -> Failure {
    failure.0.push("nothing was changed".to_owned());
    failure
}

/// Asks OneLogin, and no person, whether this user could log in; the failure says why not, and what to type.
pub(crate) fn foresee(console: &Console, loaded: &Loaded, user: &str) -> Result<(), Failure> {
    let trusted = Trusted::of(uids());
    let state = State::open(&loaded.config.state_dir, trusted).tried();
    if let Some(trouble) = state.trouble() {
        return Err(unchanged(Failure::new(format!(
            "no user can log in, because logins cannot be counted: {}",
            for_root(&trouble.to_string())
        ))));
    }
    let mut http = Http::new(&loaded.config, trusted, Some(interrupt_is_pending));
    let preview = Outlook::new(loaded, &state, &mut http, console).preview(user);
    let prediction = Prediction::of(&preview, user, &loaded.config.users);
    match prediction.word {
        Word::Denied => {
            let end = ", so there was no trial login";
            let mut failure = prediction.failure(&clean(user, PROMPT_CHARS), end);
            if prediction.is_about_user() {
                let text = "to test with another user, pass --user NAME";
                failure.0.push(text.to_owned());
            }
            Err(unchanged(failure))
        }
        Word::Pass | Word::Enroll | Word::Exempt => Ok(()),
    }
}

/// A line that libpam cannot use: where it is, and what to write.
fn unusable(found: &Finding) -> Failure {
    let place = found.place.as_ref().map(Place::text).unwrap_or_default();
    let why = found.why.as_deref().unwrap_or_default();
    let advice = found.advice.as_deref().unwrap_or_default();
    Failure(vec![
        printable(&format!("{place}: {}; {why}", found.what)),
        printable(&format!("nothing was changed; {advice}")),
    ])
}

/// Why the administrator has to edit the stack; shows a text to write, if `check` would accept it.
fn by_hand(console: &Console, path: &Path, refusal: &str, behind: Behind) -> Failure {
    let name = path.file_name().and_then(|name| name.to_str());
    let new = rewritten_here(Path::new(DEFAULT_CONFIG), name.unwrap_or_default(), behind);
    let path = path.display();
    // The text is shown exactly as it was checked, or not at all.
    let new = new.filter(|new| new.text.lines().all(|line| printable(line) == line));
    let advice = if let Some(new) = new {
        console.note(&format!(
            "With this text as the whole of {path}, logins would ask OneLogin:"
        ));
        for line in new.text.lines() {
            console.note(format!("    {line}").trim_end());
        }
        for lost in &new.lost {
            let words = paint(Paint::Warning, "Warning:");
            console.note(&format!(
                "{words} {} would no longer be used",
                printable(lost)
            ));
        }
        format!(
            "nothing was changed; write the text above to {path} by hand, then type: pam-onelogin check"
        )
    } else {
        "nothing was changed; edit this stack by hand: see \"STACKS\" in pam_onelogin(8), then type: \
         pam-onelogin check"
            .to_owned()
    };
    Failure(vec![refusal.to_owned(), advice])
}
