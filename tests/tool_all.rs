//! What all commands of `pam-onelogin` have in common: their streams, their environment, their help.

mod tool;
mod world;

use onelogin_simulator::User;
use pam_host::place::binary;
use serde_json::json;
use std::fs::OpenOptions;
use std::net::TcpListener;
use std::process::Command;
use tool::{Ran, at, on_terminal, run, tool};
use world::{NAME, TOTP_CODE as CODE, World};

/// Each command that only looks, and so has a result at once.
const LOOKS: [&[&str]; 8] = [
    &["check", "--offline"],
    &["completions", "bash"],
    &["factors", NAME],
    &["gateway", "check"],
    &["limits", "reset", NAME],
    &["map", "export", NAME],
    &["status", NAME],
    &["users", NAME],
];

#[test]
fn a_result_that_cannot_be_written_is_no_success() {
    let world = World::with_totp();
    for words in LOOKS {
        for further in [&[] as &[&str], &["--json"]] {
            let mut command = at(&world.place, &[words, further].concat());
            let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
            let output = command.stdout(full).output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{words:?}: {said}");
            let fault = "pam-onelogin: standard output: No space left on device";
            assert!(said.contains(fault), "{words:?}: {said}");
        }
    }
}

/// What bash offers when Tab is pressed behind these words; the last one has been begun, or is empty.
fn offered(words: &[&str]) -> Vec<String> {
    let script = tool(&["completions", "bash"]).output().unwrap();
    let script = String::from_utf8(script.stdout).unwrap();
    assert!(script.contains("/usr/sbin/pam-onelogin"), "{script}");
    let script = script.replace(
        "/usr/sbin/pam-onelogin",
        binary("pam-onelogin").to_str().unwrap(),
    );
    let words: Vec<String> = ["pam-onelogin"]
        .iter()
        .chain(words)
        .map(|word| format!("'{word}'"))
        .collect();
    let last = words.len() - 1;
    let script = format!(
        "{script}\nCOMP_WORDS=({}) COMP_CWORD={last} COMP_TYPE=9\n\
         _clap_complete_pam_onelogin pam-onelogin {} ''\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.join(" "),
        words[last],
    );
    let output = Command::new("bash")
        .args(["--norc", "-c", &script])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    said.lines()
        .map(|line| line.trim_end().to_owned())
        .collect()
}

#[test]
fn bash_completes_commands_services_options_values_and_user_names() {
    let verbs = offered(&[""]);
    for verb in ["check", "enable", "test"] {
        assert!(verbs.iter().any(|word| word == verb), "{verbs:?}");
    }
    for hidden in ["completions", "preview", "restore", "trial"] {
        assert!(!verbs.iter().any(|word| word == hidden), "{verbs:?}");
    }
    assert_eq!(offered(&["enable", "ss"]), ["sshd"]);
    assert_eq!(offered(&["disable", "su"]), ["sudo", "su"]);
    assert_eq!(offered(&["enable", "sshd", "--beh"]), ["--behind"]);
    assert_eq!(offered(&["enable", "sshd", "--behind", "k"]), ["key"]);
    assert_eq!(offered(&["limits", "r"]), ["reset"]);
    for words in [
        &["test", "roo"][..],
        &["status", "roo"],
        &["users", "roo"],
        &["check", "--user", "roo"],
    ] {
        assert_eq!(offered(words), ["root"], "{words:?}");
    }
    assert!(offered(&["users", "--group", "daemo"]).contains(&"daemon".to_owned()));
}

#[test]
fn who_closes_the_pipe_has_read_enough_and_is_told_nothing() {
    let world = World::with_totp();
    for words in LOOKS {
        let mut command = at(&world.place, words);
        let (reader, writer) = nix::unistd::pipe().unwrap();
        drop(reader);
        let output = command.stdout(writer).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{words:?}: {said}");
        assert!(!said.contains("pipe") && !said.contains("panic"), "{said}");
    }
}

#[test]
fn a_machine_hears_of_troubles_in_its_document_too() {
    let world = World::with_totp();
    let words = ["status", "no-such-user", "--json"];
    let ran = run(at(&world.place, &words), &[]);
    let sentence = "the user \"no-such-user\" does not exist on this host";
    assert_eq!((ran.code, ran.json()), (1, json!({"troubles": [sentence]})));
    assert_eq!(ran.err, format!("pam-onelogin: {sentence}\n"));
    let page = include_str!("../man/pam-onelogin.8");
    assert!(page.contains("\\fBtroubles\\fR"));
}

#[test]
fn r10_a_path_of_the_command_line_moves_no_cursor() {
    let evil = "/no/\u{1b}[2J\u{202e}such";
    for words in [
        &["import-duo", evil] as &[&str],
        &["status", "--config", evil],
        &["users", "--config", evil, "--json"],
    ] {
        let ran = run(tool(words), &[]);
        let all = format!("{}{}", ran.out, ran.err);
        assert_eq!(ran.code, 1);
        assert!(all.contains("/no/[2Jsuch"), "{all}");
        assert!(!all.contains(['\u{1b}', '\u{202e}']), "{all:?}");
    }
}

#[test]
fn on_a_terminal_that_can_only_print_nothing_moves_and_nothing_is_coloured() {
    let world = World::with_totp();
    let mut command = at(&world.place, &["users", NAME, "no-such-user"]);
    command.env("TERM", "dumb");
    let (status, screen) = pam_host::Pty::spawn(command).finish();
    assert_eq!(status.code(), Some(1));
    assert!(screen.contains("1 would pass"), "{screen}");
    assert!(!screen.contains('\u{1b}'), "{screen:?}");
    // Elsewhere both do.
    let mut screen = on_terminal(at(&world.place, &["users", NAME]));
    screen.expect("1 of 1");
}

#[test]
fn a_prompt_that_nobody_answers_by_hand_ends_its_line() {
    let world = World::with_totp();
    for answers in [&[] as &[&str], &[CODE]] {
        let ran = run(at(&world.place, &["test", NAME]), answers);
        assert!(
            ran.err.contains("Verification code (OneLogin): \n"),
            "{}",
            ran.err
        );
    }
    let mut screen = on_terminal(at(&world.place, &["test", NAME]));
    screen.expect("Verification code (OneLogin): ");
    screen.type_keys("\u{4}");
    screen.expect("\r\n");
    assert_eq!(screen.finish().0.code(), Some(1));
}

/// What a user may bring along, when sudo or a careless admin keeps it.
fn hostile(mut command: Command, elsewhere: &str) -> Command {
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "http_proxy"] {
        command.env(name, elsewhere);
    }
    for (name, value) in [
        ("SSL_CERT_FILE", "/dev/null"),
        ("SSL_CERT_DIR", "/no/such/folder"),
        ("TMPDIR", "/no/such/folder"),
        ("PAGER", "less"),
        ("LESSOPEN", "|getent %s"),
        ("SYSTEMD_PAGER", "less"),
        ("LANG", "xx_YY.UTF-8"),
        ("TERM", "\u{1b}[2J"),
        ("RUST_BACKTRACE", "full"),
        ("RES_OPTIONS", "debug"),
    ] {
        command.env(name, value);
    }
    command
}

#[test]
fn r03_the_environment_of_whoever_types_decides_nothing() {
    let world = World::with_totp();
    world.onelogin.add_user(User::new(1002, "root"));
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let proxy = format!("http://{}", elsewhere.local_addr().unwrap());
    let keys = world.place.path().join("keys");
    let taken = world.place.path().join("taken");
    let script = format!("#!/bin/sh\necho $0 >> {}\n", taken.display());
    for program in ["getent", "journalctl", "less"] {
        let path = world.place.write(format!("bin/{program}"), &script);
        pam_host::place::set_mode(&path, 0o755);
    }
    let folder = world.place.path().join("bin");
    let shown = |words: &[&str], answers: &[&str]| -> Ran {
        let mut command = hostile(at(&world.place, words), &proxy);
        command.env("SSLKEYLOGFILE", &keys).env("PATH", &folder);
        command.env("HOME", &folder).env("XDG_CONFIG_HOME", &folder);
        run(command, answers)
    };
    let test = shown(&["test", NAME], &[CODE]);
    assert_eq!(test.code, 0, "{}", test.err);
    for words in [
        &["users", "--group", "root"] as &[&str],
        &["users"],
        &["status"],
        &["factors", NAME],
        &["map", "export", NAME],
    ] {
        let ran = shown(words, &[]);
        let all = format!("{}{}", ran.out, ran.err);
        assert!(
            !all.contains("no-connection") && !all.contains("tls"),
            "{all}"
        );
        assert!(!all.contains('\u{1b}'), "{all:?}");
    }
    assert!(elsewhere.accept().is_err(), "somebody else was asked");
    assert!(!keys.exists() && !taken.exists());
}
