//! The simulator as a program: starts with the sample users, prints what is sent, takes commands from standard input.

use std::io::{self, BufRead, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, fs, process, thread};

use onelogin_simulator::{
    DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, Dialect, Options, Simulator, samples,
};

fn main() -> ExitCode {
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
    simulator.set_printer(|message| println!("{message}"));
    fs::write(&arguments.ca_out, simulator.ca_pem())?;
    println!("url            {}", simulator.url());
    println!("ca             {}", arguments.ca_out.display());
    println!("client id      {DEFAULT_CLIENT_ID}");
    println!("client secret  {DEFAULT_CLIENT_SECRET}");
    println!("{USERS}");
    println!("{COMMANDS}");
    io::stdout().flush()?;

    for line in io::stdin().lock().lines() {
        match line?.trim() {
            "" => {}
            "approve" => report("approved", simulator.approve_latest()),
            "deny" => report("denied", simulator.deny_latest()),
            "expire-tokens" => simulator.expire_tokens(),
            "requests" => list_requests(&simulator),
            "quit" => return Ok(()),
            _ => println!("{COMMANDS}"),
        }
    }
    if arguments.exit_on_eof {
        return Ok(());
    }
    loop {
        thread::park();
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
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
        let ca_out = env::temp_dir().join(format!("onelogin-simulator-{}.pem", process::id()));
        let mut arguments = Arguments {
            port: 0,
            dialect: Dialect::Docs,
            ca_out,
            exit_on_eof: false,
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
                    arguments.dialect = match value()?.as_str() {
                        "docs" => Dialect::Docs,
                        "live" => Dialect::Live,
                        other => return Err(format!("--dialect is docs or live, not {other}")),
                    }
                }
                "--ca-out" => arguments.ca_out = value()?.into(),
                "--exit-on-eof" => arguments.exit_on_eof = true,
                _ => return Err(format!("unknown argument {word}")),
            }
        }
        Ok(arguments)
    }
}

const USAGE: &str =
    "usage: onelogin-simulator [--port N] [--dialect docs|live] [--ca-out FILE] [--exit-on-eof]";
const COMMANDS: &str =
    "commands: approve, deny (the newest push), expire-tokens, requests, quit, help";
const USERS: &str = "\
alice          authenticator 123456, 234567, 345678
bob            Protect push or 222222, text message, authenticator 654321, 765432
carol          text message
dave           Protect push or 444444
mallory        suspended; authenticator 666666
nofactor       no device";
