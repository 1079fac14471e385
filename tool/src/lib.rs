//! The admin tool `pam-onelogin`, built on the same parts as the module. It may do everything that root
//! may, and reports what it does. Each module imports only the modules that its row names; no files import
//! each other in a circle.
//!
//! | module | what it is | imports |
//! |---|---|---|
//! | `outcome` | exit codes, and why a command could not do its work | nothing |
//! | `ui` | output and input, for people and programs: console, terminal, findings, diffs | `outcome` |
//! | `host` | the system: files (nothing else writes outside `state_dir`), programs, users, the log | `outcome`, `ui` |
//! | `login` | logins by the module's own code: predictions, test logins, past decisions | `outcome`, `ui`, `host` |
//! | `pam_stack` | stacks as libpam reads and walks them, and as they are edited; values only | nothing |
//! | `sshd` | the files of sshd, its settings by `sshd -T`, and the running sshd | `outcome`, `ui`, `host`, `pam_stack` |
//! | `gateway` | the gateway between hosts and OneLogin: its settings, the configuration of its `HAProxy`, and the keeper of its token | `outcome`, `host` |
//! | `examine` | what is wrong with a machine or a gateway, and what to do | `outcome`, `ui`, `host`, `login`, `pam_stack`, `sshd`, `gateway` |
//! | `change` | stacks and settings of sshd: planned, tried, recorded, rolled back | `outcome`, `ui`, `host`, `pam_stack`, `sshd` |
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
mod gateway;
mod host;
mod login;
mod outcome;
pub mod pam_stack;
mod sshd;
mod ui;
mod verb;

use crate::change::{pam_auth_update, record, trial, undo};
use crate::outcome::{Exit, Failure};
use crate::ui::console::Console;
use crate::verb::{
    Context, check, confirm, disable, enable, enroll, factors, import_duo, limits, map, offline,
    restore, status, try_login, users,
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

/// The exit code when OneLogin accepted what it must refuse.
const UNSAFE: u8 = 3;

/// The shells that the packages have completions for.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// The text below the list of commands.
const NEXT: &str = "\
First steps, as root: check, then test USER, then enable SERVICE --try 5m.
Exit status: 0 success; 1 finding, denial or failure; 2 wrong command line; 3 unsafe tenant. Manual: pam-onelogin(8).";

/// The heading of the options that every command has.
const GLOBAL: &str = "Global options";

/// Set up, check and test the OneLogin second factor on this host
#[derive(Parser)]
#[command(name = TOOL, version, after_help = NEXT)]
struct Arguments {
    /// Configuration file
    #[arg(long, global = true, value_name = "FILE", default_value = DEFAULT_CONFIG, help_heading = GLOBAL)]
    config: PathBuf,
    /// Print the result as one JSON document on standard output
    #[arg(long, global = true, help_heading = GLOBAL)]
    json: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Check stacks, sshd, sudo and configuration, and report problems
    Check(check::Options),
    /// Keep a change that enable --try made
    Confirm(confirm::Options),
    /// Remove OneLogin from the stacks of a service
    Disable(disable::Options),
    /// Add OneLogin to the stacks of a service, after a trial login
    Enable(enable::Options),
    /// Print a shell completion script; the packages install these scripts
    #[command(hide = true)]
    Completions {
        /// Shell to print the script for
        shell: Shell,
    },
    /// Enrol a factor for a user who sits next to you
    Enroll(enroll::Options),
    /// Show the devices of a user, and how a login would begin
    Factors(factors::Options),
    /// Configure a gateway between hosts and OneLogin
    Gateway(verb::gateway::Options),
    /// Convert a Duo configuration into one for this module
    ImportDuo(import_duo::Options),
    /// Reset what the limits have counted for a user
    Limits(limits::Options),
    /// Write a map from local users to OneLogin ids
    Map(map::Options),
    /// Issue and revoke codes that work while OneLogin cannot be reached
    Offline(offline::Options),
    /// Show what pam-auth-update would change; run by enable all
    #[command(hide = true)]
    Preview(pam_auth_update::Options),
    /// Roll back changes that were not confirmed in time
    #[command(hide = true)]
    Restore(restore::Options),
    /// Show the latest decisions, cached tokens, and the limits of a user
    Status(status::Options),
    /// Run a login as the module would, and show each step
    Test(try_login::Options),
    /// Run the trial login of enable, in a separate process
    #[command(hide = true)]
    Trial(trial::Options),
    /// Report for each user whether a login would be accepted, or why not
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
        Verb::Gateway(options) => verb::gateway::run(&context, &options),
        Verb::ImportDuo(options) => import_duo::run(&context, &options),
        Verb::Limits(options) => limits::run(&context, &options),
        Verb::Map(options) => map::run(&context, &options),
        Verb::Offline(options) => offline::run(&context, &options),
        Verb::Preview(options) => pam_auth_update::preview(&options),
        Verb::Restore(options) => restore::run(&context, &options),
        Verb::Status(options) => status::run(&context, &options),
        Verb::Test(options) => try_login::run(&context, &options),
        Verb::Trial(options) => Ok(trial::run(&context.console, &options)),
        Verb::Users(options) => users::run(&context, &options),
    };
    match context.console.end(result) {
        Exit::Good => ExitCode::SUCCESS,
        Exit::Bad => ExitCode::FAILURE,
        Exit::Unsafe => ExitCode::from(UNSAFE),
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
    let mut text = String::from_utf8_lossy(&text).into_owned();
    if matches!(shell, Shell::Zsh) {
        // zsh loads the file when Tab is pressed for the first time: it must complete then, too.
        text.push_str(
            "\nif [ \"$funcstack[1]\" = _pam-onelogin ]; then\n    \
             _clap_dynamic_completer_pam_onelogin \"$@\"\nfi\n",
        );
    }
    text
}

/// Whatever the command is, the tool first rolls back changes that were not confirmed in time.
fn put_back_what_is_overdue(context: &Context, verb: &Verb) {
    // Parts of a change, and what the units of a gateway run in their sandbox.
    let is_apart = matches!(
        verb,
        Verb::Gateway(_) | Verb::Preview(_) | Verb::Restore(_) | Verb::Trial(_)
    );
    if is_apart || uids().effective != 0 || !record::something_is_on_trial() {
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
