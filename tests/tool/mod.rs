//! Running the tool as it is built, on a pipe or on a terminal.
#![allow(unreachable_pub, dead_code)]

use pam_host::place::binary;
use pam_host::{Place, Pty};
use serde_json::Value;
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

/// What a run of the tool came to.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// The tool with these arguments, and nothing of this environment.
pub fn tool(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary("pam-onelogin"));
    command.args(arguments).env_clear().env("TERM", "dumb");
    command
}

/// As [`tool`], with the configuration of a place.
pub fn at(place: &Place, arguments: &[&str]) -> Command {
    with_config(&place.config_path(), arguments)
}

/// As [`tool`], with this configuration.
pub fn with_config(config: &Path, arguments: &[&str]) -> Command {
    let mut command = tool(arguments);
    command.arg("--config").arg(config);
    command
}

/// Runs it to its end on pipes, with these lines to answer its questions.
pub fn run(command: Command, answers: &[&str]) -> Ran {
    run_while(command, answers, || {})
}

/// As [`run`]; meanwhile something else happens.
pub fn run_while(mut command: Command, answers: &[&str], meanwhile: impl FnOnce()) -> Ran {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    for answer in answers {
        match writeln!(input, "{answer}") {
            // A tool that ends before it reads all answers closes the pipe.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => break,
            written => written.unwrap(),
        }
    }
    drop(input);
    meanwhile();
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code().expect("the tool exits"),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs it on a terminal of its own, that can do more than print.
pub fn on_terminal(mut command: Command) -> Pty {
    command.env("TERM", "xterm").env("NO_COLOR", "1");
    Pty::spawn(command)
}

/// A text has this part, or is shown.
#[track_caller]
pub fn has(text: &str, part: &str) {
    assert!(text.contains(part), "{part}: {text}");
}

/// The keys of a document stand in the manual's section about the command.
pub fn assert_documented(command: &str, document: &Value) {
    let page = include_str!("../../man/pam-onelogin.8").replace("\\-", "-");
    let section = page
        .split(".SS ")
        .find(|section| section.trim_start_matches('"').starts_with(command))
        .unwrap_or_else(|| panic!("{command} has no section"));
    let mut open = vec![document];
    while let Some(value) = open.pop() {
        match value {
            Value::Object(members) => {
                for (key, value) in members {
                    let is_there = section.contains(&format!("\\fB{key}\\fR"));
                    assert!(is_there, "{command}: {key}");
                    open.push(value);
                }
            }
            Value::Array(values) => open.extend(values),
            _ => {}
        }
    }
}

impl Ran {
    /// The one document of `--json`.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|error| panic!("{error}: {:?} {:?}", self.out, self.err))
    }
}
