//! `enable SERVICE`: adds OneLogin to the stacks of a service. The tool shows, checks and tries the new
//! stack before it writes it; with `--try`, a process, a timer and a unit roll it back unless it is confirmed.

mod planning;
mod writing;

use crate::change::drop_in::{self, Whose};
use crate::change::service::Service;
use crate::examine::sudo::is_left_out;
use crate::host::state_mount;
use crate::host::target_system::TargetSystem;
use crate::host::user_selection::{sudo_caller, user_names};
use crate::login::observed::ObserveMode;
use crate::login::outlook::fresh;
use crate::outcome::{Exit, Failure};
use crate::pam_stack::edit::Behind;
use crate::ui::console::{Console, Paint, paint};
use crate::ui::terminal::{HeldInterrupts, agrees, line_unless_stopped};
use crate::verb::enable::planning::{Change, foresee, prepare, unchanged};
use crate::verb::enable::writing::{Writing, refuse_while_changing};
use crate::verb::{Context, needs_root};
use clap::Args;
use nix::unistd::User;
use pam_onelogin::args::DEFAULT_CONFIG;
use pam_onelogin::clock::unix_now;
use pam_onelogin::host::uids;
use pam_onelogin::state::State;
use pam_onelogin::trust::Trusted;
use serde::Serialize;
use std::path::Path;

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
    if let Some(hours) = text.strip_suffix('h').and_then(|it| it.parse::<u32>().ok()) {
        let minutes = u64::from(hours) * 60;
        return Err(format!("write hours as minutes: {minutes}m"));
    }
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
    let interrupts = HeldInterrupts::start();
    let user = options.user(context)?;
    refuse_while_changing(options.service)?;
    let console = &context.console;
    let whose = Whose {
        user: &user.name,
        logs_in: options.user_logs_in(),
    };
    let change = prepare(console, options.service, options.behind, whose)?;
    change.show(console);
    let observe = observe_mode(context);
    if let Some(observe) = &observe {
        options.warn_of_observe_mode(console, observe);
    }
    if !change.objections.is_empty() && !options.anyway {
        return Err(Failure::new(
            "nothing was changed; correct this first, or pass --anyway",
        ));
    }
    if change.plans.is_empty() {
        options.mount(context);
        return Ok(options.report(context, "unchanged", &change, Exit::Good));
    }
    change.verify(console, options.service)?;
    if options.service == Service::Sshd {
        for line in drop_in::consequences(&user.name, change.behind) {
            console.note(&line);
        }
    }
    let skipped = change.warn_of_sudo(console, &user);
    change.warn_of_no_password(console);
    let loaded = fresh(context.load().map_err(unchanged)?);
    if options.has_trial() && observe.is_none() {
        unless_stopped(&interrupts, "", foresee(console, &loaded, &user.name))?;
    }
    if options.dry_run {
        options.mount(context);
        return Ok(options.report(context, "dry_run", &change, Exit::Good));
    }
    if !options.no_trial {
        let open_push = "; if a push is open on the phone, deny it";
        unless_stopped(&interrupts, open_push, change.try_login(console, &user))?;
    }
    if !options.yes && !agrees(console, "Write this change?") {
        return Err(Failure::new("nothing was changed"));
    }
    unless_stopped(&interrupts, "", Ok(()))?;
    drop(interrupts);
    // Before the folder is opened and before a stack calls the module, so that users cannot affect the
    // counts from the first login on.
    state_mount::switch_on(console, &loaded.config.state_dir);
    let state = State::open(&loaded.config.state_dir, Trusted::of(uids()));
    let writing = Writing {
        console,
        service: options.service,
        whose,
        skipped,
        seconds: options.try_for(),
        state: &state,
    };
    let record = writing.write(&change)?;
    if writing.seconds.is_none() {
        return Ok(options.report(context, "enabled", &change, Exit::Good));
    }
    let exit = writing.await_confirmation(&record)?;
    let result = match exit {
        Exit::Good => "confirmed",
        Exit::Bad | Exit::Unsafe => "restored",
    };
    Ok(options.report(context, result, &change, exit))
}

/// Observe mode, if it applies.
fn observe_mode(context: &Context) -> Option<ObserveMode> {
    let loaded = context.load().ok()?;
    let observe = ObserveMode::of(&loaded.config, loaded.dates(unix_now()));
    observe.filter(ObserveMode::applies)
}

/// The result of a step before the change is written, or that Ctrl-C was pressed meanwhile.
fn unless_stopped<T>(
    interrupts: &HeldInterrupts,
    further: &str,
    result: Result<T, Failure>,
) -> Result<T, Failure> {
    if interrupts.take() {
        let text = format!("Ctrl-C: nothing was changed{further}");
        return Err(Failure::new(text));
    }
    result
}

impl Options {
    /// How many seconds a change has to be confirmed in, if at all. A script that answers `--yes` cannot confirm.
    fn try_for(&self) -> Option<u32> {
        let by_default = !self.no_try && !self.yes;
        self.try_time.or(by_default.then_some(TRY))
    }

    /// Whether the user makes a trial login.
    fn has_trial(&self) -> bool {
        !self.no_trial && self.is_user_known()
    }

    /// Whether the user must be able to log in: for the trial login, or to confirm the change.
    fn user_logs_in(&self) -> bool {
        self.is_user_known() && (!self.no_trial || self.try_for().is_some())
    }

    /// A dry run does not ask which user logs in.
    fn is_user_known(&self) -> bool {
        !self.dry_run || self.named().is_some()
    }

    fn warn_of_observe_mode(&self, console: &Console, observe: &ObserveMode) {
        let text = format!("Warning: {}.", observe.sentence());
        console.note(&paint(Paint::Warning, &text));
        if self.try_for().is_some() {
            console.note(&format!(
                "OneLogin accepts no login in observe mode. To keep the change after a login from a second window, type: \
                 sudo pam-onelogin confirm {} --anyway",
                self.service.name()
            ));
        }
    }

    /// The name of the user for the trial login, if the command line or sudo says it.
    fn named(&self) -> Option<String> {
        self.user.clone().or_else(sudo_caller)
    }

    /// The user for the trial login.
    fn user(&self, context: &Context) -> Result<User, Failure> {
        let name = match self.named() {
            Some(name) => name,
            None if self.dry_run || self.no_trial => "root".to_owned(),
            None => {
                let typed = line_unless_stopped(&context.console, "User for the trial login: ");
                let typed = typed.unwrap_or_default();
                let name = typed.trim_ascii();
                if name.is_empty() {
                    let text = "no user for the trial login: pass --user NAME; nothing was changed";
                    return Err(Failure::new(text));
                }
                String::from_utf8_lossy(name).into_owned()
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

    fn report(&self, context: &Context, result: &str, change: &Change, exit: Exit) -> Exit {
        let name = self.service.name();
        let console = &context.console;
        match result {
            "dry_run" => console.note("Nothing was changed."),
            "enabled" | "confirmed" => {
                let effect = match observe_mode(context) {
                    None => "logins now ask OneLogin".to_owned(),
                    Some(observe) => {
                        format!("logins now call the module, but {}", observe.sentence())
                    }
                };
                console.say(&format!(
                    "{} {name}: {effect}. To undo this, type: pam-onelogin disable {name}",
                    paint(Paint::Good, "Done.")
                ));
                if is_left_out(&TargetSystem::this()) {
                    console.note(
                        "sudo does not ask OneLogin yet. Next, as root, type: pam-onelogin enable sudo",
                    );
                }
            }
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
    fn a_script_names_no_user_because_none_has_to_log_in() {
        for (words, logs_in) in [
            ("--yes --no-trial", false),
            ("--no-try --no-trial", false),
            ("--yes --no-trial --dry-run", false),
            ("--yes --no-trial --try 5m", true),
            ("--no-trial", true),
            ("--yes", true),
            ("--dry-run --user alice", true),
        ] {
            let words = ["enable", "sshd"].into_iter().chain(words.split(' '));
            let line = Line::parse_from(words);
            assert_eq!(line.options.user_logs_in(), logs_in);
        }
    }

    #[test]
    fn a_time_that_cannot_be_read_is_a_fault_that_says_what_to_write() {
        for words in ["0", "m", "-1", "1441m", "99999999999", "71582789m"] {
            let fault = try_for(&format!("--try={words}")).unwrap_err();
            assert!(fault.contains("such as 90, 90s or 5m"), "{words}: {fault}");
        }
        let fault = try_for("--try 1h").unwrap_err();
        assert!(fault.contains("write hours as minutes: 60m"), "{fault}");
        assert!(try_for("--try 5m --no-try").is_err());
    }
}
