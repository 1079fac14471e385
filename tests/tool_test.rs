//! `pam-onelogin test`: the very same login, in a terminal.

mod days;
mod tool;
mod world;

use clap::Command;
use clap::builder::StyledStr;
use nix::sys::signal::Signal;
use onelogin_simulator::{
    Action, DEFAULT_CLIENT_SECRET, Device, Factor, Fault, Match, Message, User,
};
use pam_onelogin_tool::command;
use serde_json::json;
use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::time::Duration;
use tool::{assert_documented, at, has, on_terminal, run, run_while, tool};
use world::{NAME, TOTP_CODE as CODE, World, totp};
use xtask::structure::sources;

#[test]
fn a_right_code_is_accepted_and_each_request_is_shown() {
    let world = World::with_totp();
    let ran = run(at(&world.place, &["test", NAME]), &[CODE]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        ran.err.contains("Verification code (OneLogin): "),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("  connected, "), "{}", ran.err);
    let shown = ran.err.matches("T /").count();
    assert_eq!(shown, world.onelogin.requests().len(), "{}", ran.err);
    assert!(ran.out.starts_with("accepted user="), "{}", ran.out);
    assert!(
        ran.out
            .ends_with("\nThe module would return PAM_SUCCESS.\n"),
        "{}",
        ran.out
    );
}

#[test]
fn a_denial_says_what_to_type_next() {
    let next = |world: &World, answers: &[&str], next: &str| {
        let ran = run(at(&world.place, &["test", NAME]), answers);
        assert_eq!(ran.code, 1);
        has(&ran.err, next);
    };
    let world = World::with([], &[]);
    next(&world, &[], "pam-onelogin enroll nobody");
    let world = World::with_totp();
    next(&world, &[], "run this at a terminal");
    next(&world, &["garbage"; 3], "pam_onelogin(8), reason no-code");
    let refusal = Fault::new(Match::path("/verifications"), Action::status(500));
    world.fault(refusal);
    next(&world, &[CODE], "pam-onelogin check --user nobody");
    let world = World::with([world::totp()], &["limits.failures = 3"]);
    next(&world, &["000000"; 3], "pam_onelogin(8), reason wrong-code");
    next(
        &world,
        &[CODE],
        "as root, type: pam-onelogin limits reset nobody",
    );
    let world = World::with_push();
    let command = at(&world.place, &["test", NAME, "--service", "sudo"]);
    let ran = run_while(command, &[""], || {
        wait_for_push(&world);
        world.onelogin.deny_latest().unwrap();
    });
    has(&ran.out, "reason=push-denied");
    has(&ran.err, "as root, type: pam-onelogin limits reset nobody");
}

#[test]
fn a_wrong_code_is_a_denial_with_its_reason_for_people_and_for_machines() {
    let world = World::with_totp();
    let command = at(&world.place, &["test", NAME, "--json"]);
    let ran = run(command, &["000000", "000001", "000002"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    let document = ran.json();
    assert_documented("test", &document);
    assert_eq!(document["event"], "denied");
    assert_eq!(document["reason"], "wrong-code");
    assert_eq!(document["code"], "PAM_MAXTRIES");
    let requests = document["requests"].as_array().unwrap();
    assert_eq!(requests.len(), world.onelogin.requests().len());
}

#[test]
fn r11_neither_code_nor_secret_nor_token_is_shown() {
    let world = World::with_totp();
    for further in [&[] as &[&str], &["--json"]] {
        let mut words = vec!["test", NAME];
        words.extend(further);
        let ran = run(at(&world.place, &words), &["000000", CODE]);
        let all = format!("{}{}", ran.out, ran.err);
        for secret in ["000000", CODE, DEFAULT_CLIENT_SECRET] {
            assert!(!all.contains(secret), "{secret}: {all}");
        }
        let tokens = world.onelogin.access_tokens();
        assert!(!tokens.is_empty() && tokens.iter().all(|token| !all.contains(token)));
    }
}

#[test]
fn a_push_counts_down_on_a_terminal_and_moves_nothing_on_a_pipe() {
    let world = World::with_push();
    let mut screen = on_terminal(at(&world.place, &["test", NAME, "--service", "sudo"]));
    screen.expect("or Enter for a push to ");
    screen.line("");
    screen.expect("Waiting for OneLogin, ");
    approve(&world);
    screen.expect("The module would return PAM_SUCCESS.");
    assert!(screen.finish().0.success());

    let world = World::with_push();
    let command = at(&world.place, &["test", NAME, "--service", "sudo"]);
    let ran = run_while(command, &[""], || approve(&world));
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        !ran.err.contains('\r') && !ran.err.contains('\u{1b}'),
        "{:?}",
        ran.err
    );
}

#[test]
fn the_countdown_is_that_of_the_push() {
    let world = World::with([world::push()], &["push.wait = 20"]);
    let mut screen = on_terminal(at(&world.place, &["test", NAME, "--service", "sudo"]));
    screen.expect("or Enter for a push to ");
    screen.line("");
    // Of `push.wait`, not of `login_timeout`; ten seconds of it may be gone.
    screen.expect("Waiting for OneLogin, 1");
    approve(&world);
    screen.expect("PAM_SUCCESS");
}

#[test]
fn ctrl_c_ends_a_wait_as_a_denial_and_at_a_prompt_the_tool() {
    let world = World::with_push();
    let mut screen = on_terminal(at(&world.place, &["test", NAME, "--service", "sudo"]));
    screen.expect("or Enter for a push to ");
    screen.line("");
    screen.expect("Waiting for OneLogin, ");
    screen.type_keys("\u{3}");
    screen.expect("reason=interrupted");
    assert_eq!(screen.finish().0.code(), Some(1));
    assert_eq!(world.onelogin.activations(), 1);

    let mut screen = on_terminal(at(&world.place, &["test", NAME]));
    screen.expect("or Enter for a push to ");
    screen.type_keys("\u{3}");
    assert_eq!(screen.finish().0.signal(), Some(Signal::SIGINT as i32));
    assert_eq!(world.onelogin.activations(), 1);
}

#[test]
fn it_shows_its_settings_the_name_that_it_looks_up_and_the_age_of_the_cache() {
    let world = World::with_totp();
    let ran = run(at(&world.place, &["test", NAME]), &[CODE]);
    for text in [
        world.place.config_path().to_str().unwrap(),
        &world.onelogin.url(),
        "Looked up by username \"nobody\".",
        "Not tested: the PAM stack of sshd",
    ] {
        assert!(ran.err.contains(text), "{text}: {}", ran.err);
    }
    assert!(!ran.err.contains("users.cache"), "{}", ran.err);
    let code = world::fresh_code();
    let command = at(&world.place, &["test", NAME, "--json"]);
    let ran = run(command, &[&code]);
    let age = ran.json()["cached_seconds"].as_i64().unwrap();
    assert!(ran.code == 0 && (0..300).contains(&age), "{age}");
    let cached = format!("come from the cache, looked up {age} s ago (users.cache = 300).");
    assert!(ran.err.contains(&cached), "{}", ran.err);

    world.config(&["users.exempt_users = [\"nobody\"]"]);
    let ran = run(at(&world.place, &["test", NAME]), &[]);
    has(
        &ran.err,
        "nobody is exempt: exempt-user, users.exempt_users.",
    );
    assert_eq!(ran.code, 0);
    world.config(&["users.exempt_groups = [\"bin\", \"root\"]"]);
    let ran = run(at(&world.place, &["test", "root"]), &[]);
    has(
        &ran.err,
        "root is exempt: exempt-group, users.exempt_groups, group root.",
    );
    let ran = run(at(&world.place, &["test", "no-such-user"]), &[]);
    has(&ran.err, "no-such-user could not log in: no-account.");
    let end = "pam-onelogin: the user \"no-such-user\" does not exist on this host";
    has(&ran.err, end);
    assert!(!ran.err.contains("erification code"), "{}", ran.err);
    assert_eq!(ran.code, 1);
}

#[test]
fn in_observe_mode_the_command_asks_although_logins_do_not() {
    let until = format!("observe.until = \"{}\"", days::day_in(5));
    let world = World::with([world::totp()], &[&until]);
    let ran = run(at(&world.place, &["test", NAME]), &[&world::fresh_code()]);
    has(
        &ran.err,
        "This command asks, but logins do not: observe mode until ",
    );
    has(&ran.out, "accepted user=nobody");
    assert_eq!((ran.code, world.onelogin.codes()), (0, 1), "{}", ran.err);
}

#[test]
fn a_service_that_has_no_stack_is_named() {
    let world = World::with_totp();
    let no_stack = "This host has no PAM stack of this name: sshhd.";
    for (service, is_unknown) in [("sshhd", true), ("other", false)] {
        let command = at(&world.place, &["test", NAME, "--service", service]);
        let ran = run(command, &[&world::fresh_code()]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert_eq!(ran.err.contains(no_stack), is_unknown, "{}", ran.err);
    }
}

#[test]
fn a_fault_of_the_configuration_is_said_with_its_line() {
    let world = World::with_totp();
    world
        .place
        .config("[onelogin]\nurl = \"http://example.com\"\n");
    let ran = run(at(&world.place, &["test", NAME]), &[]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    let place = format!("pam-onelogin: {}:2: ", world.place.config_path().display());
    assert!(ran.err.contains(&place), "{}", ran.err);
}

#[test]
fn what_is_no_verb_is_a_fault_of_usage() {
    for words in [
        &[] as &[&str],
        &["no-such-verb"],
        &["test"],
        &["test", "a", "b"],
    ] {
        let ran = run(tool(words), &[]);
        assert_eq!(
            (ran.code, ran.out.as_str()),
            (2, ""),
            "{words:?}: {}",
            ran.err
        );
        assert!(ran.err.contains("Usage: pam-onelogin"), "{}", ran.err);
    }
}

#[test]
fn the_manual_has_each_command_and_option_and_no_other() {
    let page = include_str!("../man/pam-onelogin.8").replace("\\-", "-");
    let (_, page) = page.split_once(".SH COMMANDS").unwrap();
    let (page, _) = page.split_once(".SH \"EXIT STATUS\"").unwrap();
    let mut written = BTreeSet::new();
    let mut verb = String::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix(".SS ") {
            let words = rest.trim_matches('"').split(' ');
            let words = words.take_while(|word| word.starts_with(|c: char| c.is_ascii_lowercase()));
            verb = words.collect::<Vec<_>>().join(" ");
            written.insert(verb.clone());
        }
        let is_heading = [".B ", ".BI ", ".BR "]
            .iter()
            .any(|font| line.starts_with(font));
        for option in line
            .split([' ', '"', ','])
            .filter(|word| is_heading && word.starts_with("--"))
        {
            written.insert(format!("{verb} {option}"));
        }
    }
    let mut there = BTreeSet::new();
    add_commands(&command(), "", &mut there);
    assert_eq!(written, there);
}

#[test]
fn each_section_that_a_message_names_is_in_that_manual_page() {
    let pages = [
        ("pam_onelogin(8)", include_str!("../man/pam_onelogin.8")),
        (
            "pam_onelogin.conf(5)",
            include_str!("../man/pam_onelogin.conf.5"),
        ),
    ];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tool/src");
    let mut named = 0;
    for (module, code) in sources(&folder).unwrap() {
        let words: Vec<_> = code
            .replace("\\\n", "")
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        let code = words.join(" ");
        for (page, text) in pages {
            for (end, _) in code.match_indices(&format!("\\\" in {page}")) {
                let (_, section) = code[..end].rsplit_once("\\\"").unwrap();
                let heading = format!(".SH \"{section}\"");
                assert!(
                    text.lines().any(|line| line == heading),
                    "{module}: {section}"
                );
                named += 1;
            }
        }
    }
    assert!(named >= 8, "{named}");
}

#[test]
fn the_manual_describes_each_command_and_option_with_the_words_of_its_help() {
    let page = plain(include_str!("../man/pam-onelogin.8"));
    let (_, commands) = page.split_once(" COMMANDS ").unwrap();
    let mut missing = Vec::new();
    let mut compared = 0;
    let mut compare = |text: &str, help: Option<&StyledStr>| {
        let help = help.unwrap().to_string();
        compared += 1;
        if !text.contains(&help) {
            missing.push(help);
        }
    };
    compare(&page.replace(" set up", " Set up"), command().get_about());
    for option in command().get_arguments() {
        compare(&page, option.get_help());
    }
    let mut open: Vec<_> = command().get_subcommands().cloned().collect();
    while let Some(verb) = open.pop() {
        if verb.has_subcommands() {
            open.extend(verb.get_subcommands().cloned());
        }
        if verb.has_subcommands() || verb.is_hide_set() {
            continue;
        }
        compare(commands, verb.get_about());
        for option in verb.get_opts().chain(verb.get_arguments()) {
            if option.get_long().is_some() && !option.is_global_set() {
                compare(commands, option.get_help());
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(compared > 30, "{compared}");
}

/// A manual page without its markup, in one line.
fn plain(page: &str) -> String {
    let mut text = String::new();
    for line in page.lines() {
        let mut words: Vec<&str> = line.split_whitespace().collect();
        if line.starts_with('.') {
            words.remove(0);
        }
        text += &words.join(" ");
        text.push(' ');
    }
    for font in ["\\fB", "\\fI", "\\fR", "\\fP", "\""] {
        text = text.replace(font, "");
    }
    text.replace("\\-", "-").replace("\\(cq", "'")
}

/// Each command below this one that has none below itself, and its options.
fn add_commands(above: &Command, path: &str, there: &mut BTreeSet<String>) {
    for verb in above.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        let name = format!("{path}{}", verb.get_name());
        if verb.has_subcommands() {
            add_commands(verb, &format!("{name} "), there);
            continue;
        }
        for option in verb.get_opts().chain(verb.get_arguments()) {
            if let Some(long) = option.get_long().filter(|_| !option.is_global_set()) {
                there.insert(format!("{name} --{long}"));
            }
        }
        there.insert(name);
    }
}

/// The person approves, as soon as the push is on the phone.
fn approve(world: &World) {
    wait_for_push(world);
    world.onelogin.approve_latest().expect("a push is open");
}

fn wait_for_push(world: &World) {
    let is_push = |message: &Message| message.factor == Factor::Protect;
    let push = world
        .onelogin
        .wait_for_message(Duration::from_secs(60), is_push);
    push.expect("a push was sent");
}

#[test]
fn r10_what_onelogin_says_moves_no_cursor_in_the_steps_either() {
    let evil = "\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}gone\nroot";
    let refusal = json!({"status": {"code": 400, "type": evil, "message": evil, "error": true},
        "statusCode": 400, "name": evil, "message": evil});
    for path in ["/token", "/api/2/users", "/devices", "/verifications"] {
        for status in [400, 401, 429, 500] {
            let world = World::with([Device::protect("601", evil), totp()], &[]);
            world.onelogin.add_user(User::new(1002, evil));
            let action = Action::Status(status, refusal.to_string(), vec![]);
            world.fault(Fault::new(Match::path(path), action));
            for further in [&[] as &[&str], &["--json"]] {
                let words = [&["test", NAME], further].concat();
                let ran = run(at(&world.place, &words), &["000000"; 3]);
                let all = format!("{}{}", ran.out, ran.err);
                assert_eq!(ran.code, 1, "{all}");
                assert!(
                    !all.contains(['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}']),
                    "{all:?}"
                );
            }
        }
    }
}
