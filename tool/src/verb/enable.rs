//! `enable SERVICE`: adds OneLogin to the stacks of a service. The tool shows, checks and tries the new
//! stack before it writes it; with `--try`, a process, a timer and a unit roll it back unless it is confirmed.

use crate::change::plan::Planned;
use crate::change::record::{Record, Store};
use crate::change::service::{Service, path, present_stacks};
use crate::change::trial::{Passed, Trial};
use crate::change::{drop_in, pam_auth_update, plan, undo, watchdog};
use crate::examine::stacks::advice::rewritten_here;
use crate::host::user_selection::{sudo_caller, user_names};
use crate::host::{files, state_mount};
use crate::outcome::{Exit, Failure};
use crate::pam_stack::edit::{self, Behind, Insertion, Source};
use crate::pam_stack::open;
use crate::ui::console::{Console, Paint, paint};
use crate::ui::diff::diff;
use crate::ui::terminal::{Typing, agrees, is_yes, line, line_within};
use crate::verb::confirm::keep;
use crate::verb::{Context, needs_root};
use clap::Args;
use nix::unistd::User;
use pam_onelogin::args::DEFAULT_CONFIG;
use pam_onelogin::host::uids;
use pam_onelogin::state::State;
use pam_onelogin::text::printable;
use pam_onelogin::trust::Trusted;
use serde::Serialize;
use std::path::Path;
use std::time::Duration;

/// What to switch on, and how carefully.
#[derive(Args)]
#[allow(clippy::struct_excessive_bools)] // the flags of a command line
pub(crate) struct Options {
    /// Service to add OneLogin to
    service: Service,
    /// User for the trial login [default: the user who called sudo]
    #[arg(long, value_name = "NAME", add = user_names())]
    user: Option<String>,
    /// Roll back after TIME (90, 90s, 5m) unless the change is confirmed [default: 2m; with --yes: never]
    #[arg(long = "try", value_name = "TIME", value_parser = time, conflicts_with = "no_try")]
    try_time: Option<u32>,
    /// Keep the change without a confirmation
    #[arg(long)]
    no_try: bool,
    /// For sshd: first factor, before OneLogin [default: read from the settings of sshd]
    #[arg(long, value_name = "FACTOR")]
    behind: Option<Behind>,
    /// Show the change without writing it
    #[arg(long)]
    dry_run: bool,
    /// Write the change without asking first
    #[arg(long)]
    yes: bool,
    /// Skip the trial login
    #[arg(long)]
    no_trial: bool,
    /// Proceed although modules would no longer be used or sshd settings are missing
    #[arg(long)]
    anyway: bool,
}

/// The time for a confirmation by default, in seconds: enough for a login from a second window.
const TRY: u32 = 120;

/// The longest time for a confirmation, in seconds: a day.
const LONGEST: u32 = 86_400;

/// Reads a time of the command line, in seconds: a number, with `s` or `m` after it.
fn time(text: &str) -> Result<u32, String> {
    let (number, unit) = match text.strip_suffix('m') {
        Some(number) => (number, 60),
        None => (text.strip_suffix('s').unwrap_or(text), 1),
    };
    let seconds = number
        .parse()
        .ok()
        .and_then(|number: u32| number.checked_mul(unit));
    seconds
        .filter(|seconds| (1..=LONGEST).contains(seconds))
        .ok_or_else(|| {
            "write a number of seconds or minutes, such as 90, 90s or 5m, up to 24 hours".to_owned()
        })
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

/// A change to make.
struct Change {
    plans: Vec<Planned>,
    behind: Behind,
    /// The services that ask OneLogin because of it.
    through: Vec<&'static str>,
    objections: Vec<String>,
}

/// Switches it on.
pub(crate) fn run(context: &Context, options: &Options) -> Result<Exit, Failure> {
    needs_root()?;
    if context.config != Path::new(DEFAULT_CONFIG) {
        return Err(Failure::new(format!(
            "enable does not accept --config: the stacks read {DEFAULT_CONFIG}"
        )));
    }
    // Faults of the configuration are reported after the change was shown.
    if context
        .load()
        .is_ok_and(|loaded| loaded.unsafe_tenant.is_some())
    {
        return Err(Failure(vec![
            "OneLogin accepted what it must refuse, so it must not guard a login; nothing was changed"
                .to_owned(),
            "ask OneLogin's support, then type: pam-onelogin check --prove USER".to_owned(),
        ]));
    }
    let user = options.user(context)?;
    refuse_while_changing(options.service)?;
    let change = options.prepare(context, &user.name)?;
    change.show(&context.console);
    if change.plans.is_empty() {
        options.mount(context);
        return Ok(options.report(context, "unchanged", &change, Exit::Good));
    }
    if !change.objections.is_empty() && !options.anyway {
        return Err(Failure::new(
            "nothing was changed; correct this first, or pass --anyway",
        ));
    }
    change.verify(&context.console, options.service)?;
    if options.service == Service::Sshd {
        for line in drop_in::consequences(change.behind) {
            context.console.note(&line);
        }
    }
    if options.dry_run {
        options.mount(context);
        return Ok(options.report(context, "dry_run", &change, Exit::Good));
    }
    let loaded = context.load()?;
    if !options.no_trial {
        change.try_login(&context.console, &user)?;
    }
    if !options.yes && !agrees(&context.console, "Write this change?") {
        return Err(Failure::new("nothing was changed"));
    }
    // Before the folder is opened and before a stack calls the module, so that users cannot affect the
    // counts from the first login on.
    state_mount::switch_on(&context.console, &loaded.config.state_dir);
    let state = State::open(&loaded.config.state_dir, Trusted::of(uids()));
    let record = options.write(context, &change, &state, &user.name)?;
    if options.try_for().is_none() {
        return Ok(options.report(context, "enabled", &change, Exit::Good));
    }
    let exit = await_confirmation(context, options.service, &record, &state, &user.name)?;
    let result = match exit {
        Exit::Good => "confirmed",
        Exit::Bad | Exit::Unsafe => "restored",
    };
    Ok(options.report(context, result, &change, exit))
}

impl Change {
    /// Shows the change, and the objections to it.
    fn show(&self, console: &Console) {
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
    fn verify(&self, console: &Console, service: Service) -> Result<(), Failure> {
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
        for name in &self.through {
            if let Some(fault) = plan::flaw(name, &self.plans, self.behind) {
                let path = path(name);
                let why = format!("{}: {fault}", path.display());
                return Err(by_hand(console, &path, &why, self.behind));
            }
        }
        Ok(())
    }

    fn try_login(&self, console: &Console, user: &User) -> Result<(), Failure> {
        let trial = Trial {
            service: self.through.first().copied().unwrap_or_default(),
            user,
            behind: self.behind,
            plans: &self.plans,
        };
        let passed = trial.run(console).map_err(|mut failure| {
            failure.0.push("nothing was changed".to_owned());
            failure
        })?;
        console.note(&match passed {
            Passed::Accepted => paint(Paint::Good, "OneLogin accepted the trial login."),
            Passed::Exempt => paint(
                Paint::Warning,
                "The trial login succeeded because this user is exempt: OneLogin was not asked.",
            ),
        });
        Ok(())
    }
}

impl Options {
    /// How many seconds a change has to be confirmed in, if at all. A script that answers `--yes` cannot confirm.
    fn try_for(&self) -> Option<u32> {
        let by_default = !self.no_try && !self.yes;
        self.try_time.or(by_default.then_some(TRY))
    }

    /// The user for the trial login.
    fn user(&self, context: &Context) -> Result<User, Failure> {
        let name = match self.user.clone().or_else(sudo_caller) {
            Some(name) => name,
            None if self.dry_run || self.no_trial => "root".to_owned(),
            None => {
                let typed = line(&context.console, "User for the trial login: ", false);
                let typed = typed.filter(|typed| !typed.is_empty());
                let typed = typed
                    .ok_or_else(|| Failure::new("no user for the trial login: pass --user NAME"))?;
                String::from_utf8_lossy(&typed).into_owned()
            }
        };
        let found = User::from_name(&name).ok().flatten();
        found.ok_or_else(|| {
            let name = pam_onelogin::text::clean(&name, pam_onelogin::text::PROMPT_CHARS);
            Failure::new(format!("the user {name} does not exist on this host"))
        })
    }

    /// Gives the private files a file system of their own, although the stacks do not change.
    fn mount(&self, context: &Context) {
        // With faults in the configuration, the folder is unknown.
        if let Ok(loaded) = context.load() {
            let act = if self.dry_run {
                state_mount::announce
            } else {
                state_mount::switch_on
            };
            act(&context.console, &loaded.config.state_dir);
        }
    }

    /// Finds out what to change.
    fn prepare(&self, context: &Context, user: &str) -> Result<Change, Failure> {
        let mut change = Change {
            plans: Vec::new(),
            behind: Behind::Password,
            through: Vec::new(),
            objections: Vec::new(),
        };
        let mut settings = None;
        match self.service {
            Service::Sshd => {
                let needs = drop_in::needs(user, self.behind)?;
                change.behind = needs.behind;
                change.objections = needs.objections;
                settings = needs.file;
            }
            Service::All => {
                (change.plans, change.objections) = pam_auth_update::change()?;
            }
            Service::Sudo | Service::Su | Service::Login => {}
        }
        let name = self.service.name();
        if self.service != Service::All && !path(name).exists() {
            return Err(Failure::new(format!(
                "/etc/pam.d/{name} does not exist on this host"
            )));
        }
        for stack in present_stacks(self.service) {
            self.plan(stack, &context.console, &mut change)?;
        }
        // The order is for safety: a stack without a password may be active only after sshd demands a key,
        // and sshd may demand only a password after the stack calls pam_onelogin.
        let place = match change.behind {
            Behind::Key => 0,
            Behind::Password => change.plans.len(),
        };
        drop(change.plans.splice(place..place, settings));
        change.through = plan::through(self.service, &change.plans);
        if self.service == Service::All && change.through.contains(&"sshd") {
            change.objections.extend(drop_in::hides_prompts(user));
        }
        Ok(change)
    }

    /// Plans the change of one stack.
    fn plan(&self, stack: &str, console: &Console, change: &mut Change) -> Result<(), Failure> {
        let path = path(stack);
        let Some(before) = files::snapshot(&path)? else {
            return Ok(());
        };
        let text = std::str::from_utf8(&before.bytes).map_err(|_| {
            let path = path.display();
            Failure::new(format!(
                "{path}: is not UTF-8; add the line by hand: see \"STACKS\" in pam_onelogin(8)"
            ))
        })?;
        let on_disk = |path: &Path| std::fs::read_to_string(path).ok();
        let source = Source {
            name: stack,
            text,
            other: &|name| open(name, &on_disk).map(|(_, text)| text),
            siblings: self.service.stacks(),
        };
        match edit::insert(&source, change.behind) {
            Ok(Insertion::New(found)) => {
                let objections = found.objections.iter().map(ToString::to_string);
                change.objections.extend(objections);
                change.plans.push(Planned {
                    path,
                    before: Some(before),
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

    /// Writes the new stacks, with a record, and with a process that rolls them back.
    fn write(
        &self,
        context: &Context,
        change: &Change,
        state: &State,
        user: &str,
    ) -> Result<Record, Failure> {
        let store = Store::open()?;
        refuse_while_changing(self.service)?;
        if Store::enabled(self.service)?.is_some() {
            let name = self.service.name();
            return Err(Failure::new(format!(
                "{name} was enabled before, and its stacks have changed since then; first type: \
                 pam-onelogin disable {name}"
            )));
        }
        if self.service == Service::Sshd {
            let needs = drop_in::needs(user, Some(change.behind))?;
            let is_known = |text| change.objections.contains(text);
            let is_planned = change.plans.iter().any(|plan| drop_in::reads(&plan.path));
            if needs.file.is_some() != is_planned || !needs.objections.iter().all(is_known) {
                return Err(Failure::new(
                    "the settings of sshd have changed in the meantime; nothing was written; run the \
                     command again",
                ));
            }
        }
        for plan in &change.plans {
            if files::snapshot(&plan.path)? != plan.before {
                return Err(Failure::at(
                    &plan.path,
                    "has changed in the meantime; nothing was written; run the command again",
                ));
            }
        }
        let seconds = self.try_for().unwrap_or(WRITING);
        let (plans, through) = (&change.plans, &change.through);
        let mut record = store.begin(self.service, plans, through, i64::from(seconds))?;
        let written = self
            .write_on_record(context, change, state, user)
            .and_then(|()| match self.try_for() {
                Some(_) => store.written(&mut record),
                None => store.keep(&record),
            });
        match written {
            Ok(()) => Ok(record),
            // All of it or nothing.
            Err(mut failure) => {
                failure.0.push(match store.put_back(&record) {
                    Ok(()) => "nothing was changed".to_owned(),
                    Err(_) => {
                        "some files were changed; to roll them back, type: pam-onelogin restore"
                            .to_owned()
                    }
                });
                Err(failure)
            }
        }
    }

    fn write_on_record(
        &self,
        context: &Context,
        change: &Change,
        state: &State,
        user: &str,
    ) -> Result<(), Failure> {
        if let Some(seconds) = self.try_for() {
            for service in &change.through {
                state.watch(service).map_err(|error| {
                    Failure::new(format!(
                        "the module could not record an accepted login: {error}"
                    ))
                })?;
            }
            watchdog::start(&context.console, self.service, seconds)?;
        }
        for plan in &change.plans {
            files::put(&plan.path, &plan.after, &plan.metadata())?;
            if drop_in::reads(&plan.path) {
                drop_in::take_effect(user, change.behind)?;
            }
        }
        Ok(())
    }

    fn report(&self, context: &Context, result: &str, change: &Change, exit: Exit) -> Exit {
        let name = self.service.name();
        let console = &context.console;
        match result {
            "dry_run" => console.note("Nothing was changed."),
            "enabled" | "confirmed" => console.say(&format!(
                "{} {name}: logins now ask OneLogin. To undo this, type: pam-onelogin disable {name}",
                paint(Paint::Good, "Done.")
            )),
            "restored" => console.say(&format!("{name}: the change was rolled back.")),
            _ => console.say(&format!("{name}: nothing to change.")),
        }
        let paths = change.plans.iter().map(|plan| plan.path.display());
        console.document(&Document {
            service: name,
            result,
            files: paths.map(|path| path.to_string()).collect(),
            objections: &change.objections,
        });
        exit
    }
}

/// Waits until the administrator confirms the change, here or with `confirm`; or rolls it back.
fn await_confirmation(
    context: &Context,
    service: Service,
    record: &Record,
    state: &State,
    user: &str,
) -> Result<Exit, Failure> {
    let console = &context.console;
    let name = service.name();
    console.note(&format!(
        "The new stack is active for {} s. Keep this window open, and log in from a second one:\n    {}\n\
         If that works, type yes here, or type there: pam-onelogin confirm {name}\n\
         If not, type: pam-onelogin disable {name}\n\
         Without an answer the change is rolled back, even if this window is closed.",
        record.left(),
        service.second_login(user),
    ));
    let mut is_there = true;
    loop {
        if !Store::on_trial(service)?.is_some_and(|now| now.is_same(record)) {
            record
                .through
                .iter()
                .for_each(|service| state.unwatch(service));
            let is_kept =
                Store::enabled(service)?.is_some_and(|kept| kept.changed == record.changed);
            return Ok(if is_kept { Exit::Good } else { Exit::Bad });
        }
        let left = record.left();
        if left == 0 {
            undo::overdue(console)?;
            std::thread::sleep(LOOK);
            continue;
        }
        console.passing(&format!(
            "Rolling back in {left} s unless the change is confirmed"
        ));
        if !is_there {
            std::thread::sleep(LOOK);
            continue;
        }
        match line_within(LOOK) {
            Typing::Line(answer) if is_yes(answer.trim_ascii()) => {
                match keep(context, service, state, false) {
                    Ok(_) => {}
                    Err(failure) => {
                        for sentence in failure.0 {
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

/// Refuses a second change of a service while one is on trial.
fn refuse_while_changing(service: Service) -> Result<(), Failure> {
    let name = service.name();
    if Store::on_trial(service)?.is_some() {
        return Err(Failure::new(format!(
            "{name}: a change is on trial already; type: pam-onelogin confirm {name}, or: pam-onelogin \
             disable {name}"
        )));
    }
    Ok(())
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

/// How long writing may take without `--try`, in seconds; an unfinished change is then rolled back.
const WRITING: u32 = 60;

/// How often the tool checks whether the change was confirmed.
const LOOK: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    /// How long these words try a change.
    fn try_for(words: &str) -> Result<Option<u32>, String> {
        let words = ["enable", "sudo"]
            .into_iter()
            .chain(words.split_whitespace());
        let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        Ok(line.options.try_for())
    }

    #[test]
    fn a_change_is_tried_for_two_minutes_unless_the_command_line_says_more() {
        assert_eq!(try_for(""), Ok(Some(120)));
        assert_eq!(try_for("--try 90"), Ok(Some(90)));
        assert_eq!(try_for("--try 90s"), Ok(Some(90)));
        assert_eq!(try_for("--try 5m"), Ok(Some(300)));
        assert_eq!(try_for("--try 1440m"), Ok(Some(86_400)));
        assert_eq!(try_for("--no-try"), Ok(None));
        assert_eq!(try_for("--yes"), Ok(None));
        assert_eq!(try_for("--yes --try 5m"), Ok(Some(300)));
    }

    #[test]
    fn a_time_that_cannot_be_read_is_a_fault_that_says_what_to_write() {
        for words in ["0", "5h", "m", "-1", "1441m", "99999999999", "71582789m"] {
            let fault = try_for(&format!("--try={words}")).unwrap_err();
            assert!(fault.contains("such as 90, 90s or 5m"), "{words}: {fault}");
        }
        assert!(try_for("--try 5m --no-try").is_err());
    }
}
