//! `enable SERVICE`: asks OneLogin in a service's logins from now on. The new stack is shown, judged
//! and tried before it is written; it can be put back at any moment, by whoever is left to do so.

pub(super) mod all;
pub(super) mod diff;
pub(super) mod edit;
mod guard;
mod judge;
pub(super) mod record;
pub(super) mod service;
mod sshd;
pub(super) mod trial;

use super::console::{Paint, paint};
use super::terminal::{Typing, agrees, is_yes, line, line_within};
use super::{Context, Exit, Trouble, restore, write};
use crate::args::DEFAULT_CONFIG;
use crate::host::uids;
use crate::state::State;
use crate::trust::Trusted;
use clap::Args;
use edit::{Behind, Plan, Source};
use nix::unistd::User;
use record::{Planned, Record, Store};
use serde::Serialize;
use service::{Service, path};
use std::path::Path;
use std::time::Duration;
use trial::{Passed, Trial};

/// What to switch on, and how carefully.
#[derive(Args)]
#[allow(clippy::struct_excessive_bools)] // the flags of a command line
pub(super) struct Options {
    service: Service,
    /// Who makes the trial login; who called sudo, if nothing is said
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Puts everything back after so many seconds, unless it is confirmed
    #[arg(long = "try", value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    try_for: Option<u32>,
    /// sshd: what proves the user before; read from its settings, if nothing is said
    #[arg(long, value_name = "WHAT")]
    behind: Option<Behind>,
    /// Shows the change, and makes none
    #[arg(long)]
    dry_run: bool,
    /// Does not ask before it writes
    #[arg(long)]
    yes: bool,
    /// Without a trial login
    #[arg(long)]
    no_trial: bool,
    /// In spite of what would be lost, or of what sshd lacks
    #[arg(long)]
    anyway: bool,
}

/// The result for machines.
#[derive(Serialize)]
struct Document<'a> {
    service: &'a str,
    /// `unchanged`, `dry_run`, `enabled`, `confirmed` or `restored`
    result: &'a str,
    files: Vec<String>,
    objections: &'a [String],
}

/// A change that was found out.
struct Prepared {
    plans: Vec<Planned>,
    behind: Behind,
    objections: Vec<String>,
}

/// Switches it on.
pub(super) fn run(context: &Context, options: &Options) -> Result<Exit, Trouble> {
    needs_root()?;
    if context.config != Path::new(DEFAULT_CONFIG) {
        return Err(Trouble::new(format!(
            "the stacks read {DEFAULT_CONFIG}: --config goes with other commands only"
        )));
    }
    let user = options.user(context)?;
    refuse_while_changing(options.service)?;
    let prepared = options.prepare(context, &user)?;
    if prepared.plans.is_empty() {
        return Ok(options.report(context, "unchanged", &prepared, Exit::Good));
    }
    let stacks = Path::new("/etc/pam.d");
    for plan in prepared
        .plans
        .iter()
        .filter(|plan| plan.path.starts_with(stacks))
    {
        let text = diff::diff(&plan.path, &plan.before.bytes, &plan.after);
        context.console.say(&text);
    }
    for objection in &prepared.objections {
        let words = paint(Paint::Warning, "Look:");
        context.console.note(&format!("{words} {objection}"));
    }
    if !prepared.objections.is_empty() && !options.anyway {
        return Err(Trouble::new(
            "nothing was changed; put that right first, or say --anyway",
        ));
    }
    let has_us = |plan: &&Planned| String::from_utf8_lossy(&plan.after).contains("pam_onelogin.so");
    for plan in prepared
        .plans
        .iter()
        .filter(has_us)
        .filter(|plan| plan.path.starts_with(stacks))
    {
        let name = plan.path.file_name().unwrap_or_default().to_string_lossy();
        if let Some(fault) = judge::judge(&name, &prepared.plans, prepared.behind) {
            return Err(Trouble::new(format!(
                "{}: {fault}; nothing was changed, and this stack is left to you",
                plan.path.display()
            )));
        }
    }
    if options.dry_run {
        return Ok(options.report(context, "dry_run", &prepared, Exit::Good));
    }
    let loaded = context.load()?;
    if !options.no_trial {
        let trial = Trial {
            service: options.service,
            user: &user,
            behind: prepared.behind,
            plans: &prepared.plans,
        };
        let passed = trial.run(&context.console).map_err(|mut trouble| {
            trouble.0.push("nothing was changed".to_owned());
            trouble
        })?;
        context.console.note(&match passed {
            Passed::Accepted => paint(Paint::Good, "The trial login was accepted by OneLogin."),
            Passed::Exempt => paint(
                Paint::Warning,
                "The trial login was let in as this user is exempt: OneLogin was not asked.",
            ),
        });
    }
    if !options.yes && !agrees(&context.console, "Write this?") {
        return Err(Trouble::new("nothing was changed"));
    }
    let state = State::open(&loaded.config.state_dir, Trusted::of(uids()));
    let record = options.write(context, &prepared, &state)?;
    if options.try_for.is_none() {
        return Ok(options.report(context, "enabled", &prepared, Exit::Good));
    }
    let exit = await_confirmation(context, options.service, &record, &state, &user.name)?;
    let result = match exit {
        Exit::Good => "confirmed",
        Exit::Bad => "restored",
    };
    Ok(options.report(context, result, &prepared, exit))
}

impl Options {
    /// Who logs in on trial.
    fn user(&self, context: &Context) -> Result<User, Trouble> {
        let called = std::env::var("SUDO_USER")
            .ok()
            .filter(|name| name != "root");
        let name = match self.user.clone().or(called) {
            Some(name) => name,
            None if self.dry_run || self.no_trial => "root".to_owned(),
            None => {
                let typed = line(&context.console, "Who makes the trial login? ", false);
                let typed = typed.filter(|typed| !typed.is_empty());
                let typed = typed.ok_or_else(|| Trouble::new("say who, with --user NAME"))?;
                String::from_utf8_lossy(&typed).into_owned()
            }
        };
        let found = User::from_name(&name).ok().flatten();
        found.ok_or_else(|| {
            let name = crate::text::clean(&name, crate::text::PROMPT_CHARS);
            Trouble::new(format!("there is no user {name} on this host"))
        })
    }

    /// Finds out what to change.
    fn prepare(&self, context: &Context, user: &User) -> Result<Prepared, Trouble> {
        let mut objections = Vec::new();
        let behind = match self.service {
            Service::Sshd => {
                let settings = sshd::Settings::of(&user.name)?;
                let behind = self.behind.or_else(|| settings.behind()).ok_or_else(|| {
                    let mut sentences = vec![
                        "sshd's AuthenticationMethods do not say what comes before OneLogin; write \
                         one of these into sshd_config, or say --behind:"
                            .to_owned(),
                    ];
                    for (what, line) in METHODS {
                        sentences.push(format!("{line}   (--behind {what})"));
                    }
                    Trouble(sentences)
                })?;
                objections = settings.objections(behind);
                behind
            }
            _ => Behind::Password,
        };
        let mut plans = Vec::new();
        if self.service == Service::All {
            plans = all::plans()?;
            objections = all::objections();
        }
        for stack in restore::stacks(self.service) {
            let path = path(stack);
            let Some(before) = write::original(&path)? else {
                continue;
            };
            let text = std::str::from_utf8(&before.bytes).map_err(|_| {
                Trouble::new(format!(
                    "{}: is not UTF-8; write the line by hand",
                    path.display()
                ))
            })?;
            let siblings = self.service.stacks();
            let source = Source {
                name: stack,
                text,
                other: &read_stack,
                siblings,
            };
            match edit::insert(&source, behind) {
                Ok(Plan::Change(change)) => {
                    objections.extend(change.objections.iter().map(ToString::to_string));
                    let after = change.text.into_bytes();
                    plans.push(Planned {
                        path,
                        before,
                        after,
                    });
                }
                Ok(Plan::Already(place)) => context
                    .console
                    .note(&format!("{place}: OneLogin is asked already.")),
                Ok(Plan::Covered(by)) => context.console.note(&format!(
                    "{}: includes {by}, and stays as it is.",
                    path.display()
                )),
                Err(refusal) => return Err(by_hand(&refusal, behind)),
            }
        }
        if self
            .service
            .stacks()
            .first()
            .is_some_and(|first| !path(first).exists())
        {
            let name = self.service.name();
            return Err(Trouble::new(format!(
                "there is no /etc/pam.d/{name} on this host"
            )));
        }
        Ok(Prepared {
            plans,
            behind,
            objections,
        })
    }

    /// Writes the new stacks; with a record, and with somebody who puts them back.
    fn write(
        &self,
        context: &Context,
        prepared: &Prepared,
        state: &State,
    ) -> Result<Record, Trouble> {
        let store = Store::open()?;
        refuse_while_changing(self.service)?;
        if Store::enabled(self.service)?.is_some() {
            let name = self.service.name();
            return Err(Trouble::new(format!(
                "{name} was enabled before, and its stacks were changed since; first type: \
                 pam-onelogin disable {name}"
            )));
        }
        for plan in &prepared.plans {
            if write::original(&plan.path)?.as_ref() != Some(&plan.before) {
                return Err(Trouble::new(format!(
                    "{}: was changed meanwhile; nothing was written",
                    plan.path.display()
                )));
            }
        }
        let seconds = self.try_for.unwrap_or(WRITING);
        let mut record = store.begin(self.service, &prepared.plans, i64::from(seconds))?;
        match self.write_on_record(context, prepared, state, &store, &mut record) {
            Ok(()) => Ok(record),
            // All of it or nothing.
            Err(mut trouble) => {
                trouble.0.push(match store.put_back(&record) {
                    Ok(()) => "nothing was changed".to_owned(),
                    Err(_) => "what was changed goes back by: pam-onelogin restore".to_owned(),
                });
                Err(trouble)
            }
        }
    }

    fn write_on_record(
        &self,
        context: &Context,
        prepared: &Prepared,
        state: &State,
        store: &Store,
        record: &mut Record,
    ) -> Result<(), Trouble> {
        if let Some(seconds) = self.try_for {
            for service in self.service.witnesses() {
                state.watch(service).map_err(|error| {
                    Trouble::new(format!("a login could not be noted: {error}"))
                })?;
            }
            guard::start(&context.console, self.service, seconds)?;
        }
        for plan in &prepared.plans {
            write::put(&plan.path, &plan.after, &plan.before.likeness)?;
        }
        if self.try_for.is_some() {
            store.written(record)
        } else {
            store.keep(record)
        }
    }

    fn report(&self, context: &Context, result: &str, prepared: &Prepared, exit: Exit) -> Exit {
        let name = self.service.name();
        let console = &context.console;
        match result {
            "dry_run" => console.note("Nothing was changed."),
            "enabled" | "confirmed" => console.say(&format!(
                "{} OneLogin is asked in {name}. To undo it: pam-onelogin disable {name}",
                paint(Paint::Good, "Done.")
            )),
            "restored" => console.say(&format!("{name} is as it was before.")),
            _ => console.say(&format!("Nothing to change for {name}.")),
        }
        if exit == Exit::Good && self.service == Service::Sshd && result != "unchanged" {
            console.note("Changes of sshd_config count from: systemctl reload ssh (or sshd)");
        }
        let paths = prepared.plans.iter().map(|plan| plan.path.display());
        console.document(&Document {
            service: name,
            result,
            files: paths.map(|path| path.to_string()).collect(),
            objections: &prepared.objections,
        });
        exit
    }
}

/// Waits until somebody says that it works, here or by `confirm`; or puts it back.
fn await_confirmation(
    context: &Context,
    service: Service,
    record: &Record,
    state: &State,
    user: &str,
) -> Result<Exit, Trouble> {
    let console = &context.console;
    console.note(&format!(
        "The new stack is in place, for {} s. Keep this window; log in from a second one:\n    {}\n\
         When that works, type yes here, or there: pam-onelogin confirm {}\n\
         Otherwise everything is put back, whatever becomes of this window.",
        record.left(),
        service.second_login(user),
        service.name()
    ));
    let mut is_there = true;
    loop {
        if Store::on_trial(service)?.is_none() {
            let is_kept =
                Store::enabled(service)?.is_some_and(|kept| kept.changed == record.changed);
            return Ok(if is_kept { Exit::Good } else { Exit::Bad });
        }
        let left = record.left();
        if left == 0 {
            restore::overdue(context)?;
            continue;
        }
        console.passing(&format!("Put back in {left} s unless it is confirmed"));
        if !is_there {
            std::thread::sleep(LOOK);
            continue;
        }
        match line_within(LOOK) {
            Typing::Line(answer) if is_yes(answer.trim_ascii()) => {
                match confirm(context, service, state, false) {
                    Ok(_) => {}
                    Err(trouble) => {
                        for sentence in trouble.0 {
                            console.note(&sentence);
                        }
                    }
                }
            }
            Typing::Line(_) | Typing::Nothing => {}
            Typing::Gone => is_there = false,
        }
    }
}

/// Keeps what is on trial: a login through it was accepted since, or the admin says so.
pub(super) fn confirm(
    context: &Context,
    service: Service,
    state: &State,
    anyway: bool,
) -> Result<Exit, Trouble> {
    let name = service.name();
    let store = Store::open()?;
    let Some(record) = Store::on_trial(service)? else {
        return Err(Trouble::new(format!("nothing is on trial in {name}")));
    };
    if record.is_overdue() {
        return Err(Trouble::new(format!("too late: {name} is put back")));
    }
    let witnesses = service.witnesses().iter();
    let seen = witnesses
        .clone()
        .find_map(|service| state.witnessed(service));
    match seen {
        Some(user) => {
            let user = crate::text::clean(&user, crate::text::PROMPT_CHARS);
            context
                .console
                .note(&format!("A login of {user} through it was accepted."));
        }
        None if anyway => {}
        None => {
            return Err(Trouble::new(format!(
                "no login through {name} was accepted by OneLogin since; log in from a second \
                 window first ({})",
                service.second_login("USER")
            )));
        }
    }
    store.keep(&record)?;
    for service in witnesses {
        state.look_away(service);
    }
    Ok(Exit::Good)
}

/// What changes stacks is root's.
pub(super) fn needs_root() -> Result<(), Trouble> {
    if uids().effective == 0 {
        Ok(())
    } else {
        Err(Trouble::new(
            "only root may change stacks; run this with sudo",
        ))
    }
}

/// One change of a service at a time.
fn refuse_while_changing(service: Service) -> Result<(), Trouble> {
    let name = service.name();
    if Store::on_trial(service)?.is_some() {
        return Err(Trouble::new(format!(
            "{name} is on trial already: pam-onelogin confirm {name}, or: pam-onelogin disable {name}"
        )));
    }
    Ok(())
}

/// The text of another stack, where libpam looks for it.
fn read_stack(name: &str) -> Option<String> {
    let folders = ["/etc/pam.d", "/usr/lib/pam.d"];
    let texts = folders.iter().map(|folder| Path::new(folder).join(name));
    texts.map(std::fs::read_to_string).find_map(Result::ok)
}

/// Why the stack is left to the admin, and what to write.
fn by_hand(refusal: &edit::Refusal, behind: Behind) -> Trouble {
    let lines: &[&str] = match behind {
        Behind::Key => &[
            "auth  requisite  pam_onelogin.so",
            "auth  required   pam_permit.so",
        ],
        Behind::Password => &["auth  required  pam_onelogin.so"],
    };
    let place = match behind {
        Behind::Key => "in place of the line that checks the password",
        Behind::Password => "behind the line that checks the password",
    };
    let mut sentences = vec![
        refusal.to_string(),
        format!("this stack is left to you; {place} it needs:"),
    ];
    sentences.extend(lines.iter().map(|line| format!("    {line}")));
    sentences.push("then type: pam-onelogin check".to_owned());
    Trouble(sentences)
}

/// Where programs are looked for, whoever started us.
const SAFE_PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// How long writing may take without a trial, in seconds; what is not done then is put back.
const WRITING: u32 = 60;

/// How often the tool looks whether somebody has confirmed.
const LOOK: Duration = Duration::from_millis(500);

const METHODS: [(&str, &str); 2] = [
    (
        "key",
        "AuthenticationMethods publickey,keyboard-interactive",
    ),
    ("password", "AuthenticationMethods keyboard-interactive"),
];
