//! The admin tool `pam-onelogin`, over the same parts as the module. It may touch everything that root
//! may, and says what it does. Each module imports those that its row names, and no other; no files
//! import each other in a circle.
//!
//! | module | what it is | imports |
//! |---|---|---|
//! | `outcome` | exit codes, and why a command could not do its work | nothing |
//! | `ui` | what a person or a program sees, and types: console, terminal, findings, diffs | `outcome` |
//! | `host` | the system: files (nothing else writes outside `state_dir`), programs, users, the log | `outcome`, `ui` |
//! | `login` | logins by the module's own code: what they would come to, how one goes, what they left | `outcome`, `ui`, `host` |
//! | `pam_stack` | stacks as libpam reads and walks them, and as they are edited; pure | nothing |
//! | `sshd` | what sshd's files say, what it is set to in its own words, and the one that runs | `outcome`, `ui`, `host`, `pam_stack` |
//! | `examine` | what is wrong with a machine, and what to do | `ui`, `host`, `login`, `pam_stack`, `sshd` |
//! | `change` | stacks and settings of sshd: planned, tried, recorded, put back | `outcome`, `ui`, `host`, `pam_stack`, `sshd` |
//! | `verb` | the commands, a file each, with its `Options` and `run` | all of these |
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::unreachable,
        clippy::todo,
        clippy::as_conversions
    )
)]

mod change;
mod examine;
mod host;
mod login;
mod outcome;
pub mod pam_stack;
mod sshd;
mod ui;
mod verb;

use crate::change::{distribution, record, trial, undo};
use crate::outcome::{Exit, Failure};
use crate::ui::console::Console;
use crate::verb::{
    Context, check, confirm, disable, enable, enroll, factors, import_duo, limits, map, restore,
    status, try_login, users,
};
use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum as _};
use clap_complete::CompleteEnv;
use clap_complete::env::Shells;
use pam_onelogin::args::DEFAULT_CONFIG;
use pam_onelogin::host::uids;
use std::path::PathBuf;
use std::process::ExitCode;

const TOOL: &str = "pam-onelogin";

/// Where the packages install the tool. It is not in the `PATH` of ordinary users, who type `sudo pam-onelogin`.
const INSTALLED: &str = "/usr/sbin/pam-onelogin";

/// By this variable a shell asks for completions.
const COMPLETE: &str = "PAM_ONELOGIN_COMPLETE";

/// The shells that the packages have completions for.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Below the list of commands.
const NEXT: &str = "\
The first time, as root: check, then test USER, then enable SERVICE --try 300.
Exit codes: 0 good, 1 finding or denial, 2 usage. The manual: pam-onelogin(8).";

/// Above the options that each command has.
const GLOBAL: &str = "With every command";

/// Sets up, checks and tries the second factor of this host.
#[derive(Parser)]
#[command(name = TOOL, version, after_help = NEXT)]
struct Arguments {
    /// The configuration
    #[arg(long, global = true, value_name = "FILE", default_value = DEFAULT_CONFIG, help_heading = GLOBAL)]
    config: PathBuf,
    /// One JSON document on standard output, for machines
    #[arg(long, global = true, help_heading = GLOBAL)]
    json: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Looks at stacks, sshd, sudo and configuration, and says what is wrong
    Check(check::Options),
    /// Keeps the stack that enable --try has put on trial
    Confirm(confirm::Options),
    /// Takes OneLogin out of a service's stack again
    Disable(disable::Options),
    /// Asks OneLogin in a service's logins from now on: tried first, put back unless confirmed
    Enable(enable::Options),
    /// Prints what a shell needs to complete the command line; the packages install it
    #[command(hide = true)]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Sets up a factor for a user who sits beside you
    Enroll(enroll::Options),
    /// Shows a user's devices, which may be used here, and how a login would begin
    Factors(factors::Options),
    /// Turns a configuration of Duo's into one of ours
    ImportDuo(import_duo::Options),
    /// Takes back what was counted of a user
    Limits(limits::Options),
    /// Maps local users to OneLogin ids
    Map(map::Options),
    /// What the system's own tool would change, for enable all
    #[command(hide = true)]
    Preview(distribution::Options),
    /// Puts back what was on trial and not confirmed in time
    #[command(hide = true)]
    Restore(restore::Options),
    /// Shows the last decisions, and what is counted and kept here
    Status(status::Options),
    /// Logs a user in here, as the module would, and shows each step
    Test(try_login::Options),
    /// The login that enable tries, in a process of its own
    #[command(hide = true)]
    Trial(trial::Options),
    /// Says of each user whether they would get in, and why not
    Users(users::Options),
}

/// Runs the tool with the arguments of this process.
#[must_use]
pub fn main() -> ExitCode {
    CompleteEnv::with_factory(command).var(COMPLETE).complete();
    let arguments = Arguments::parse();
    let context = Context {
        config: arguments.config,
        console: Console::new(arguments.json),
    };
    put_back_what_is_overdue(&context, &arguments.verb);
    let result = match arguments.verb {
        Verb::Check(options) => check::run(&context, &options),
        Verb::Confirm(options) => confirm::run(&context, &options),
        Verb::Disable(options) => disable::run(&context, &options),
        Verb::Enable(options) => enable::run(&context, &options),
        Verb::Completions { shell } => {
            context.console.print(&completions(shell));
            Ok(Exit::Good)
        }
        Verb::Enroll(options) => enroll::run(&context, &options),
        Verb::Factors(options) => factors::run(&context, &options),
        Verb::ImportDuo(options) => import_duo::run(&context, &options),
        Verb::Limits(options) => limits::run(&context, &options),
        Verb::Map(options) => map::run(&context, &options),
        Verb::Preview(options) => distribution::preview(&options),
        Verb::Restore(options) => restore::run(&context, &options),
        Verb::Status(options) => status::run(&context, &options),
        Verb::Test(options) => try_login::run(&context, &options),
        Verb::Trial(options) => Ok(trial::run(&context.console, &options)),
        Verb::Users(options) => users::run(&context, &options),
    };
    match context.console.end(result) {
        Exit::Good => ExitCode::SUCCESS,
        Exit::Bad => ExitCode::FAILURE,
    }
}

/// The script by which a shell asks this tool for completions.
fn completions(shell: Shell) -> String {
    let mut text = Vec::new();
    let name = shell.to_possible_value();
    let shells = Shells::builtins();
    if let Some(shell) = name.and_then(|name| shells.completer(name.get_name())) {
        // Writing into memory does not fail.
        let _ = shell.write_registration(COMPLETE, TOOL, TOOL, INSTALLED, &mut text);
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// Whatever it is started for, the tool first puts back what was on trial and not confirmed.
fn put_back_what_is_overdue(context: &Context, verb: &Verb) {
    let waits_itself = matches!(verb, Verb::Preview(_) | Verb::Restore(_) | Verb::Trial(_));
    if waits_itself || uids().effective != 0 || !record::something_is_on_trial() {
        return;
    }
    if let Err(Failure(sentences)) = undo::overdue(&context.console) {
        for sentence in sentences {
            context.console.fault(&sentence);
        }
    }
}

/// The command line, for the manual's tests and for completions.
#[must_use]
pub fn command() -> clap::Command {
    Arguments::command()
}
