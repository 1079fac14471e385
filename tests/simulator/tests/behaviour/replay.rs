//! Tapes: the account is not asked, the tape answers.

use std::io::Write as _;
use std::process::{Command, Stdio};

use onelogin_simulator::Simulator;
use pam_onelogin_tape::Tape;

use crate::client::Client;

const FILE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../tapes/by-hand-edge-429.jsonl"
);

fn tape() -> Tape {
    Tape::read(&std::fs::read_to_string(FILE).unwrap()).unwrap()
}

#[test]
fn a_reply_has_the_status_and_the_headers_of_the_tape() {
    let simulator = Simulator::start();
    let typed = simulator.replay(tape()).unwrap();
    assert_eq!(typed.len(), 1);
    let mut client = Client::connect(&simulator);
    let page = client.token_with("client_id:x, client_secret:y");
    assert_eq!(page.status, 429);
    assert_eq!(page.header("content-type"), Some("text/html"));
    assert_eq!(page.header("x-request-id"), None);
    let token = client.token_with("client_id:x, client_secret:y");
    assert_eq!(token.status, 200);
    assert!(token.header("x-request-id").is_some());
    let token = token.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(token.len(), 64);
    client.authorization = Some(format!("Bearer {token}"));
    let users =
        client.get("/api/2/users?username=a%40b&fields=id%2Cusername%2Cstate%2Cstatus&limit=2");
    // The name on the tape is not an address.
    assert_eq!(users.status, 599, "{users:?}");
    let users =
        client.get("/api/2/users?username=bob&fields=id%2Cusername%2Cstate%2Cstatus&limit=2");
    assert_eq!(users.json()[0]["username"], "bob");
    let report = simulator.replay_report();
    assert!(
        report[0].starts_with("line 4: expected {\"method\":\"GET\""),
        "{report:?}"
    );
    assert!(report[1].starts_with("line 5: not used: "), "{report:?}");
    assert_eq!(report.len(), 3, "{report:?}");
}

#[test]
fn the_program_says_what_to_type_and_what_was_not_as_on_the_tape() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_onelogin-simulator"))
        .args(["--tape", FILE, "--exit-on-eof", "--ca-out", "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    program
        .stdin
        .take()
        .unwrap()
        .write_all(b"report\n")
        .unwrap();
    let output = program.wait_with_output().unwrap();
    assert!(output.status.success());
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("type           [\"1"), "{shown}");
    assert!(
        shown.contains("line 2: not used: {\"method\":\"POST\""),
        "{shown}"
    );
}

#[test]
fn a_file_that_is_not_a_tape_is_refused_with_its_line() {
    let output = Command::new(env!("CARGO_BIN_EXE_onelogin-simulator"))
        .args(["--tape", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("Cargo.toml: line 1: "), "{said}");
}
