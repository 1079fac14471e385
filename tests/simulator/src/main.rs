//! The simulator as a program: starts with the sample users, prints what is sent, takes commands from standard input.

use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, process, thread};

use onelogin_simulator::{
    DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, Dialect, Options, ProtectListing, Scope, ScopeRules,
    Simulator, sample_users, samples,
};
use pam_onelogin_tape::{Tape, format::Fault};

fn main() -> ExitCode {
    if env::args()
        .skip(1)
        .any(|word| word == "--help" || word == "-h")
    {
        println!(
            "{USAGE}\n\nSimulates OneLogin's API over HTTPS on loopback.\n\n{COMMANDS}\n\nusers:\n{}",
            sample_users()
        );
        return ExitCode::SUCCESS;
    }
    match Arguments::parse(env::args().skip(1))
        .and_then(|arguments| run(&arguments).map_err(|e| e.to_string()))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("onelogin-simulator: {message}\n{USAGE}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> io::Result<()> {
    let options = Options {
        port: arguments.port,
        dialect: arguments.dialect,
        ..Options::default()
    };
    let simulator = Simulator::start_with(options);
    samples(&simulator);
    let typed = match &arguments.tape {
        Some(path) => replay(&simulator, path)?,
        None => Vec::new(),
    };
    simulator.set_printer(|message| println!("{message}"));
    fs::write(&arguments.ca_out, simulator.ca_pem())?;
    println!("url            {}", simulator.url());
    println!("ca             {}", arguments.ca_out.display());
    println!("client id      {DEFAULT_CLIENT_ID}");
    println!("client secret  {DEFAULT_CLIENT_SECRET}");
    if arguments.tape.is_some() {
        println!("type           {typed:?}");
    } else {
        println!("{}", sample_users());
    }
    println!("{COMMANDS}");
    io::stdout().flush()?;

    for line in io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        if words == ["quit"] {
            return Ok(());
        }
        if obey(&simulator, &words).is_none() {
            println!("{COMMANDS}");
        }
        io::stdout().flush()?;
    }
    if arguments.exit_on_eof {
        return Ok(());
    }
    loop {
        thread::park();
    }
}

/// Replays a tape; returns what to type in a login.
fn replay(simulator: &Simulator, path: &Path) -> io::Result<Vec<String>> {
    let failed = |fault: Fault| {
        let text = format!("{}: {fault}", path.display());
        io::Error::new(io::ErrorKind::InvalidData, text)
    };
    let tape = Tape::read(&fs::read_to_string(path)?).map_err(failed)?;
    simulator.replay(tape).map_err(failed)
}

/// Does what a line asks for; `None` if it is no command.
fn obey(simulator: &Simulator, words: &[&str]) -> Option<()> {
    match *words {
        [] => {}
        ["approve"] => report("approved", simulator.approve_latest()),
        ["deny"] => report("denied", simulator.deny_latest()),
        ["expire-tokens"] => simulator.expire_tokens(),
        ["revoke-tokens"] => simulator.revoke_tokens(),
        ["expire"] => {
            simulator.expire_verifications();
            simulator.expire_registrations();
            println!("all verifications and registrations are over");
        }
        ["requests"] => list_requests(simulator),
        ["report"] => {
            for line in simulator.replay_report() {
                println!("{line}");
            }
        }
        ["registrations"] => list_registrations(simulator),
        ["dialect", name] => {
            simulator.set_dialect(dialect(name)?);
            println!("dialect {name}");
        }
        ["scope", name] => {
            simulator.set_scope(DEFAULT_CLIENT_ID, scope(name)?);
            println!("scope {name}");
        }
        ["scope-rules", name] => {
            simulator.set_scope_rules(match name {
                "documented" => ScopeRules::Documented,
                "observed" => ScopeRules::Observed,
                _ => return None,
            });
            println!("scope-rules {name}");
        }
        ["protect", name] => {
            simulator.set_protect_listing(match name {
                "once" => ProtectListing::Once,
                "twice" => ProtectListing::Twice,
                "triggered" => ProtectListing::Triggered,
                _ => return None,
            });
            println!("protect {name}");
        }
        _ => return None,
    }
    Some(())
}

fn dialect(name: &str) -> Option<Dialect> {
    match name {
        "docs" => Some(Dialect::Docs),
        "live" => Some(Dialect::Live),
        "py4" => Some(Dialect::Py4),
        _ => None,
    }
}

fn scope(name: &str) -> Option<Scope> {
    match name {
        "authentication-only" => Some(Scope::AuthenticationOnly),
        "read-users" => Some(Scope::ReadUsers),
        "read-all" => Some(Scope::ReadAll),
        "manage-users" => Some(Scope::ManageUsers),
        "manage-all" => Some(Scope::ManageAll),
        _ => None,
    }
}

fn list_registrations(simulator: &Simulator) {
    for registration in simulator.registrations() {
        println!(
            "registration {} of user {}: {}, code {}",
            registration.id,
            registration.user,
            registration.factor.auth_factor_name(),
            registration.code.as_deref().unwrap_or("none")
        );
    }
}

fn report(done: &str, verification: Option<String>) {
    match verification {
        Some(id) => println!("{done} {id}"),
        None => println!("nothing waits for an answer"),
    }
}

fn list_requests(simulator: &Simulator) {
    for request in simulator.requests() {
        println!(
            "{} {} {} on connection {}",
            request.status,
            request.method,
            request.target(),
            request.connection
        );
    }
}

struct Arguments {
    port: u16,
    dialect: Dialect,
    ca_out: PathBuf,
    exit_on_eof: bool,
    tape: Option<PathBuf>,
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
        let ca_out = env::temp_dir().join(format!("onelogin-simulator-{}.pem", process::id()));
        let mut arguments = Arguments {
            port: 0,
            dialect: Dialect::default(),
            ca_out,
            exit_on_eof: false,
            tape: None,
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} wants a value"));
            match word.as_str() {
                "--port" => {
                    arguments.port = value()?
                        .parse()
                        .map_err(|_| "--port wants a number up to 65535")?;
                }
                "--dialect" => {
                    let name = value()?;
                    arguments.dialect = dialect(&name)
                        .ok_or(format!("--dialect is docs, live or py4, not {name}"))?;
                }
                "--ca-out" => arguments.ca_out = value()?.into(),
                "--tape" => arguments.tape = Some(value()?.into()),
                "--exit-on-eof" => arguments.exit_on_eof = true,
                _ => return Err(format!("unknown argument {word}")),
            }
        }
        Ok(arguments)
    }
}

const USAGE: &str = "usage: onelogin-simulator [--port N] [--dialect docs|live|py4] [--tape FILE] [--ca-out FILE] [--exit-on-eof]";
const COMMANDS: &str = "\
commands: approve, deny (the newest push, call, link or enrolment), registrations, requests,
          report (what was not as in the tape), expire (verifications and registrations), expire-tokens, revoke-tokens,
          dialect docs|live|py4, protect once|twice|triggered, scope-rules documented|observed,
          scope authentication-only|read-users|read-all|manage-users|manage-all,
          quit, help";
