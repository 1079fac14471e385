//! Logins on a terminal through the real su, login and sudo-rs, with the sample stacks of pam.d/debian/ as they stand.
//!
//! They change /etc, so they run on a private one: `tests/private-etc.sh cargo test --test terminal -- --ignored`. sudo-rs is
//! there in the other root only: `tests/in-root.sh`.

mod scene;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use pam_host::place::helper;
use pam_host::pty::Pty;
use pam_host::root::{ENTERED, PASSWORD, Sshd, sshd_settings};
use pam_onelogin::config;
use scene::{HIDES_OUR_CODE, LONG, Scene, became_root, denied, entered};

// su

#[test]
#[ignore = "needs root: run by make test"]
fn su_to_root_asks_for_the_code_of_the_caller_though_root_is_exempt() {
    let scene = su_scene(&["users.exempt_users = [\"root\"]"]);
    let mut su = scene.as_person("alice", "su", &["-c", "id -un"]);
    su_password(&mut su);
    su.expect("Verification code (OneLogin): ");
    su.line("123456");
    became_root(su);
    scene.decision("accepted user=alice");
    scene
        .stage
        .tried("su", "to root: the caller's code, though root is exempt");
}

#[test]
#[ignore = "needs root: run by make test"]
fn su_l_is_covered_by_the_stack_of_su() {
    let scene = su_scene(&[]);
    let mut su = scene.as_person("alice", "su", &["-l", "-c", "id -un"]);
    su_password(&mut su);
    su.expect("Verification code (OneLogin): ");
    su.line("123456");
    became_root(su);
    let decision = scene.decision("accepted user=alice");
    assert!(
        decision.starts_with("pam_onelogin(su-l:auth): "),
        "{decision}"
    );
    scene
        .stage
        .tried("su", "su -: covered, as its stack includes that of su");
}

#[test]
#[ignore = "needs root: run by make test"]
fn su_to_somebody_else_asks_for_their_factor() {
    let scene = su_scene(&[]);
    let _ = scene.person("dave");
    let mut su = scene.as_person("alice", "su", &["dave", "-c", "id -un"]);
    su_password(&mut su);
    su.expect("Verification code, or Enter for a push to Dave's phone: ");
    su.line("444444");
    let (status, screen) = su.finish();
    assert!(status.success(), "{screen}");
    assert!(screen.trim_end().ends_with("dave"), "{screen}");
    scene.decision("accepted user=dave");
    scene
        .stage
        .tried("su", "to another user: the factor of that user");
}

#[test]
#[ignore = "needs root: run by make test"]
fn su_puts_a_push_into_a_prompt_with_and_without_a_command() {
    for arguments in [&["-c", "id -un"][..], &[]] {
        let scene = su_scene(&[]);
        let mut su = scene.as_person("dave", "su", arguments);
        su_password(&mut su);
        su.expect("Verification code, or Enter for a push to Dave's phone: ");
        su.line("");
        su.expect("Push sent to Dave's phone. Approve it, then press Enter");
        scene.approve_push();
        su.line("");
        if arguments.is_empty() {
            su.expect("# ");
            su.line("exec id -un");
        }
        became_root(su);
        assert_eq!(scene.simulator.activations(), 1);
        scene
            .stage
            .tried("su", "with and without -c: the push is offered in a prompt");
    }
}

#[test]
#[ignore = "needs root: run by make test"]
fn su_ends_after_a_denied_push_even_where_the_stack_hides_our_code() {
    for hides in [false, true] {
        let scene = su_scene(&[]);
        if hides {
            scene.stage.stack("su", HIDES_OUR_CODE);
        }
        let mut su = scene.as_person("dave", "su", &["-c", "id -un"]);
        su_password(&mut su);
        su.expect("Verification code, or Enter for a push to Dave's phone: ");
        su.line("");
        su.expect("then press Enter");
        scene.deny_push();
        su.line("");
        let screen = denied(su);
        assert_eq!(screen.matches("assword: ").count(), 1, "{screen}");
        assert_eq!(scene.simulator.activations(), 1);
        assert_eq!(scene.denials(), 1);
        scene
            .stage
            .tried("su", "a push, denied: one push, whatever the stack does");
    }
}

#[test]
#[ignore = "needs root: run by make test"]
fn su_by_root_asks_nobody() {
    let scene = su_scene(&[]);
    let _ = scene.person("alice");
    let mut command = Command::new("su");
    command.args(["alice", "-c", "id -un"]).current_dir("/");
    let (status, screen) = Pty::spawn(command).finish();
    assert!(status.success() && screen.trim() == "alice", "{screen}");
    assert_eq!(scene.simulator.connections(), 0);
    scene.stage.tried("su", "by root: no question");
}

// login

#[test]
#[ignore = "needs root: run by make test"]
fn login_asks_for_the_password_and_then_for_a_code() {
    let scene = login_scene(&[]);
    let mut login = login(&scene, "alice");
    login.expect("Verification code (OneLogin): ");
    login.line("123456");
    logged_in(login, "alice");
    assert_eq!(scene.simulator.codes(), 1);
    scene.stage.tried("login", "the password, then a code");
}

#[test]
#[ignore = "needs root: run by make test"]
fn login_shows_at_once_that_a_push_was_sent_and_needs_no_further_key() {
    let scene = login_scene(&[]);
    let mut login = login(&scene, "dave");
    login.expect("Verification code, or Enter for a push to Dave's phone: ");
    login.line("");
    login.expect("Push sent to Dave's phone. Approve it to continue.");
    scene.approve_push();
    logged_in(login, "dave");
    assert_eq!(scene.simulator.activations(), 1);
    scene
        .stage
        .tried("login", "a push, approved: no further key");
}

#[test]
#[ignore = "needs root: run by make test"]
fn login_ends_after_a_denied_push() {
    let scene = login_scene(&["factors.autopush = true"]);
    let mut login = login(&scene, "dave");
    login.expect("Push sent to Dave's phone. Approve it to continue.");
    scene.deny_push();
    assert_eq!(login.next_of(&[ASKS_AGAIN, "assword: "]), None);
    assert_eq!(scene.simulator.activations(), 1);
    assert_eq!(scene.denials(), 1);
    scene.stage.tried("login", "a push, denied: login ends");
}

#[test]
#[ignore = "needs root: run by make test"]
fn login_runs_a_stack_that_hides_our_code_again_and_still_only_one_push_is_sent() {
    let scene = login_scene(&["factors.autopush = true"]);
    scene.stage.stack("login", HIDES_OUR_CODE);
    let mut login = login(&scene, "dave");
    login.expect("Push sent to Dave's phone. Approve it to continue.");
    scene.deny_push();
    login.expect(ASKS_AGAIN);
    login.line("dave");
    login.expect("assword: ");
    login.line(PASSWORD);
    login.expect(ASKS_AGAIN);
    assert_eq!(login.screen().matches("Push sent").count(), 1);
    assert_eq!(scene.simulator.activations(), 1);
    assert_eq!(scene.denials(), 2);
    scene.stage.tried(
        "login",
        "a denied push in a stack that hides our code: run again, one push",
    );
}

#[test]
#[ignore = "needs root: run by make test"]
fn login_sends_nothing_to_onelogin_after_a_wrong_password() {
    let scene = login_scene(&["factors.autopush = true"]);
    let _ = scene.person("dave");
    let mut login = Pty::spawn(login_command("dave"));
    login.expect("assword: ");
    login.line("a wrong one");
    login.expect(ASKS_AGAIN);
    assert_eq!(scene.simulator.connections(), 0);
    scene
        .stage
        .tried("login", "a wrong password: nothing is sent to OneLogin");
}

/// What the sample says loudly.
#[test]
#[ignore = "needs root: run by make test"]
fn login_lets_root_in_when_exempt_and_nobody_when_the_configuration_is_broken() {
    let exempt = "users.exempt_users = [\"root\"]";
    let scene = login_scene(&[exempt]);
    scene.stage.root_has_a_password();
    let mut login = Pty::spawn(login_command("root"));
    login.expect("assword: ");
    login.line(PASSWORD);
    let prompt = "# ";
    login.expect(prompt);
    login.line(&format!("exec echo {ENTERED} $(id -un)"));
    entered(login, "root");
    scene
        .stage
        .config(&scene.simulator, &[exempt, "no_such_key = 1"]);
    let mut login = Pty::spawn(login_command("root"));
    login.expect("assword: ");
    login.line(PASSWORD);
    login.expect("OneLogin verification does not work on this host.");
    assert_ne!(login.next_of(&[prompt, ASKS_AGAIN]), Some(0));
    scene.stage.tried(
        "login",
        "root, exempt: let in; with a broken configuration: locked out",
    );
}

/// login gives up after `LOGIN_TIMEOUT`, and our last wait must be over by then: the default of `login_timeout`, and a
/// second for the last poll.
#[test]
#[ignore = "needs root: run by make test"]
fn the_default_time_limit_ends_before_the_alarm_of_login() {
    let scene = login_scene(&[]);
    let text = fs::read_to_string("/etc/login.defs").expect("login.defs can be read");
    let alarm = text
        .lines()
        .find_map(|line| line.strip_prefix("LOGIN_TIMEOUT"))
        .and_then(|value| value.trim().parse().ok())
        .expect("login has an alarm");
    let least =
        "[onelogin]\nurl = \"https://x.onelogin.com\"\nclient_id = \"x\"\nclient_secret = \"x\"";
    let Ok(config) = config::parse("config.toml", least) else {
        panic!("this is enough of a configuration")
    };
    let wait = config.onelogin.login_timeout.as_secs();
    assert!(wait + 1 < alarm, "{wait} {alarm}");
    assert!(config.push_wait.as_secs() <= wait);
    scene
        .stage
        .tried("login", "our time limit (55 s) is below LOGIN_TIMEOUT");
}

// sudo-rs

#[test]
#[ignore = "needs root: run by make test"]
fn sudo_rs_asks_for_the_password_and_then_for_a_code() {
    let Some(scene) = sudo_rs(&[]) else { return };
    for (arguments, code) in [
        (&["id", "-un"][..], "123456"),
        (&["-i", "id", "-un"], "234567"),
    ] {
        let mut sudo = sudo_rs_as(&scene, "alice", arguments);
        sudo.expect("Verification code (OneLogin): ");
        sudo.line(code);
        became_root(sudo);
    }
    let decisions = scene.stage.decisions();
    assert_eq!(scene.simulator.codes(), 2);
    let accepted = |service: &str| format!("pam_onelogin({service}:auth): accepted user=alice");
    assert!(
        decisions[0].starts_with(&accepted("sudo")),
        "{decisions:#?}"
    );
    // As Debian 13 builds it, it knows no stack of its own for "-i".
    if decisions[1].starts_with(&accepted("sudo-i")) {
        scene.stage.tried(
            "sudo-rs",
            "the password, then a code; sudo -i uses the stack sudo-i",
        );
    } else {
        assert!(
            decisions[1].starts_with(&accepted("sudo")),
            "{decisions:#?}"
        );
        scene.stage.tried(
            "sudo-rs",
            "the password, then a code; sudo -i uses the stack of sudo",
        );
    }
}

#[test]
#[ignore = "needs root: run by make test"]
fn sudo_rs_denies_after_three_wrong_codes_and_does_not_start_over() {
    let Some(scene) = sudo_rs(&[]) else { return };
    let mut sudo = sudo_rs_as(&scene, "alice", &["id", "-un"]);
    for _ in 0..3 {
        sudo.expect("Verification code (OneLogin): ");
        sudo.line("999999");
    }
    let screen = denied(sudo);
    assert_eq!(screen.matches("Password: ").count(), 1, "{screen}");
    assert_eq!(scene.simulator.codes(), 3);
    assert_eq!(scene.denials(), 1);
    scene
        .stage
        .tried("sudo-rs", "three wrong codes: denied, not asked again");
}

#[test]
#[ignore = "needs root: run by make test"]
fn sudo_rs_shows_that_a_push_was_sent_and_needs_no_further_key() {
    let Some(scene) = sudo_rs(&[]) else { return };
    let mut sudo = sudo_rs_as(&scene, "dave", &["id", "-un"]);
    sudo.expect("Verification code, or Enter for a push to Dave's phone: ");
    sudo.line("");
    sudo.expect("Push sent to Dave's phone. Approve it to continue.");
    scene.approve_push();
    became_root(sudo);
    assert_eq!(scene.simulator.activations(), 1);
    scene
        .stage
        .tried("sudo-rs", "a push, approved: no further key");
}

#[test]
#[ignore = "needs root: run by make test"]
fn sudo_rs_ends_after_a_denied_push() {
    let Some(scene) = sudo_rs(&["factors.autopush = true"]) else {
        return;
    };
    let mut sudo = sudo_rs_as(&scene, "dave", &["id", "-un"]);
    sudo.expect("Push sent to Dave's phone");
    scene.deny_push();
    let screen = denied(sudo);
    assert_eq!(screen.matches("Password: ").count(), 1, "{screen}");
    assert_eq!(scene.simulator.activations(), 1);
    assert_eq!(scene.denials(), 1);
    scene
        .stage
        .tried("sudo-rs", "a push, denied: one push, not asked again");
}

#[test]
#[ignore = "needs root: run by make test"]
fn sudo_rs_runs_a_stack_that_hides_our_code_again_and_still_only_one_push_is_sent() {
    let Some(scene) = sudo_rs(&["factors.autopush = true"]) else {
        return;
    };
    scene.stage.stack("sudo", HIDES_OUR_CODE);
    let mut sudo = sudo_rs_as(&scene, "dave", &["id", "-un"]);
    sudo.expect("Push sent to Dave's phone");
    scene.deny_push();
    for _ in 0..2 {
        sudo.expect("Password: ");
        sudo.line(PASSWORD);
    }
    let requests = scene.simulator.requests().len();
    let screen = denied(sudo);
    assert_eq!(screen.matches("Push sent").count(), 1, "{screen}");
    assert_eq!(scene.simulator.activations(), 1);
    assert_eq!(scene.denials(), 3);
    assert_eq!(scene.simulator.requests().len(), requests);
    scene.stage.tried(
        "sudo-rs",
        "a denied push in a stack that hides our code: run again, one push",
    );
}

/// There sudo-rs takes any text that is no prompt for a failure, though the module says yes.
#[test]
#[ignore = "needs root: run by make test"]
fn sudo_rs_without_a_terminal_gets_prompts_alone_and_lets_in() {
    let Some(scene) = sudo_rs(&[]) else { return };
    for (name, first) in [("alice", "123456"), ("dave", "")] {
        let person = scene.person(name);
        let arguments = ["--wait", "sudo-rs", "-S", "id", "-un"];
        let mut command = scene.stage.command(&person, "setsid", &arguments);
        let mut sudo = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("sudo-rs can be started");
        let mut keys = sudo.stdin.take().expect("it has an input");
        let mut line = |text: &str| writeln!(keys, "{text}").expect("it reads its input");
        line(PASSWORD);
        line(first);
        if name == "dave" {
            scene.approve_push();
            line("");
        }
        let output = sudo.wait_with_output().expect("sudo-rs ends");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "root");
        assert_eq!(
            said.contains("Approve it, then press Enter"),
            name == "dave",
            "{said}"
        );
    }
    scene.stage.tried(
        "sudo-rs",
        "without a terminal: code or push, in prompts alone",
    );
}

#[test]
#[ignore = "needs root: run by make test"]
fn ctrl_c_ends_sudo_rs_while_it_waits_for_a_push() {
    let Some(scene) = sudo_rs(&["factors.autopush = true", "push.wait = 55"]) else {
        return;
    };
    let mut sudo = sudo_rs_as(&scene, "dave", &["id", "-un"]);
    sudo.expect("Push sent to Dave's phone");
    let poll = scene
        .simulator
        .wait_for_request(LONG, "GET", "/verifications/");
    poll.expect("the push is polled");
    sudo.type_keys("\x03");
    let screen = denied(sudo);
    assert!(!screen.contains("Critical error"), "{screen}");
    assert!(
        scene.simulator.approve_latest().is_some(),
        "the push is still open"
    );
    assert_eq!(scene.simulator.activations(), 1);
    scene.stage.tried("sudo-rs", "Ctrl-C ends the wait");
}

// How often a stack is run

/// What "one action, one challenge" leans on: for each code that we return, and for the two that a stack may make of it,
/// how often the host runs the stack for one action. No code stops them all.
#[test]
#[ignore = "needs root: run by make test"]
fn each_host_runs_the_stack_as_often_as_we_count_on() {
    let scene = Scene::sudo(&[]);
    let _ = scene.person("alice");
    scene.stage.stack("sshd", "");
    let sshd = Sshd::start(&scene.stage, &sshd_settings("sshd-key"));
    let again: [(&str, &[u32], usize); 4] = [
        // Whatever the code, the client starts over; PAM_MAXTRIES takes keyboard-interactive away.
        ("sshd", &[3, 6, 7, 9, 10, 19, 26], 3),
        ("sudo", &[6, 7, 9, 11], 3),
        ("sudo-rs", &[7, 19], 3),
        ("su", &[], 1),
    ];
    for (host, codes, times) in again {
        if host == "sudo-rs" && !there_is_sudo_rs() {
            continue;
        }
        for code in [3, 6, 7, 9, 10, 11, 19, 26] {
            let helper = helper().display();
            let stack = format!(
                "auth required {helper} log=run-{host}-{code}. say=no auth={code}\naccount required pam_permit.so\nsession required pam_permit.so\n"
            );
            let service = if host == "sudo-rs" { "sudo" } else { host };
            scene.stage.stack(service, &stack);
            let mut screen = match host {
                "sshd" => sshd.client_with_key("alice"),
                "su" => scene.as_person("alice", "su", &["-c", "true"]),
                sudo => scene.as_person("alice", sudo, &["true"]),
            };
            while screen.next_of(&["assword: "]).is_some() {
                screen.line("");
            }
            let _ = screen.finish();
            let line = format!("run-{host}-{code}.");
            let runs = scene.stage.log().lines();
            let runs = runs.iter().filter(|said| said.contains(&line)).count();
            let expected = if codes.contains(&code) { times } else { 1 };
            assert_eq!(runs, expected, "{host}, code {code}");
        }
    }
    let stage = &scene.stage;
    stage.tried(
        "sshd",
        "PAM_MAXTRIES ends it; after other codes the stack is run three times",
    );
    stage.tried(
        "sudo",
        "PAM_ABORT ends it; after codes 6, 7, 9 and 11 the stack is run three times",
    );
    stage.tried("su", "every code ends it");
    if there_is_sudo_rs() {
        stage.tried(
            "sudo-rs",
            "PAM_ABORT ends it; after codes 7 and 19 the stack is run three times",
        );
    }
}

// The machinery

/// With the samples for su and su -l in place, and a password for root.
fn su_scene(further: &[&str]) -> Scene {
    let scene = Scene::new(further);
    scene.stage.sample("su", "su");
    scene.stage.sample("su-l", "su-l");
    scene.stage.root_has_a_password();
    scene
}

fn su_password(su: &mut Pty) {
    su.expect("Password: ");
    su.line(PASSWORD);
}

/// With the sample for login in place.
fn login_scene(further: &[&str]) -> Scene {
    let scene = Scene::new(further);
    scene.stage.sample("login", "login");
    scene
}

/// login as getty starts it, with the name that was typed.
fn login_command(name: &str) -> Command {
    let mut command = Command::new("login");
    command
        .args(["-p", "--", name])
        .env_clear()
        .envs([
            ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
            ("TERM", "dumb"),
            ("PS1", if name == "root" { "# " } else { "$ " }),
        ])
        .current_dir("/");
    command
}

/// login, after the password of a person.
fn login(scene: &Scene, name: &str) -> Pty {
    let _ = scene.person(name);
    let mut login = Pty::spawn(login_command(name));
    login.expect("assword: ");
    login.line(PASSWORD);
    login
}

fn logged_in(mut login: Pty, name: &str) {
    login.expect("$ ");
    login.line(&format!(
        "exec echo {} $(id -un)",
        ENTERED.replace(' ', "' '")
    ));
    entered(login, name);
}

/// With sudo-rs and the samples for sudo; `None`, and said so, where there is no sudo-rs.
fn sudo_rs(further: &[&str]) -> Option<Scene> {
    there_is_sudo_rs().then(|| {
        let scene = Scene::sudo(further);
        let rules = "Defaults timestamp_timeout=0\nALL ALL=(ALL:ALL) ALL\n";
        scene.stage.write("/etc/sudoers-rs", rules, 0o440);
        scene
    })
}

fn there_is_sudo_rs() -> bool {
    let is_there = Path::new("/usr/bin/sudo-rs").exists();
    if !is_there {
        // Past the capture of the test harness, which would hide it.
        let _ = writeln!(std::io::stderr(), "SKIPPED: there is no sudo-rs here");
    }
    is_there
}

/// sudo-rs, after the password of a person.
fn sudo_rs_as(scene: &Scene, name: &str, arguments: &[&str]) -> Pty {
    let mut sudo = scene.as_person(name, "sudo-rs", arguments);
    sudo.expect("[sudo: authenticate] Password: ");
    sudo.line(PASSWORD);
    sudo
}

/// How login begins anew.
const ASKS_AGAIN: &str = " login: ";
