//! Logins through the real sshd and the real sudo, with the sample stacks of pam.d/ as they stand.
//!
//! They change /etc, so they run on a private one: `tests/private-etc.sh cargo test --test hosts -- --ignored`.

mod days;
mod scene;
mod tool;

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

use days::{changed_in, day_in};
use nix::sys::signal::kill;
use nix::unistd::Pid;
use onelogin_simulator::{Action, Fault, Match, Simulator};
use pam_host::Log;
use pam_host::pty::Signal;
use pam_host::root::{PASSWORD, Sshd, sshd_settings};
use pam_onelogin::log::DECISION_ID;
use scene::{
    HIDES_OUR_CODE, KEYBOARD_ONLY, LONG, OURS_ALONE, Scene, UNPROVEN, became_root, denied, entered,
    password, refused,
};

// sshd: a key, then OneLogin

#[test]
#[ignore = "needs root: run by make test"]
fn sshd_lets_in_with_a_key_and_a_code() {
    let scene = Scene::new(&[]);
    let sshd = scene.sshd("sshd-key");
    let mut client = sshd.client_with_key(&scene.person("alice").name);
    client.expect("Verification code (OneLogin): ");
    client.line("123456");
    entered(client, "alice");
    assert_eq!(scene.simulator.codes(), 1);
    let decision = scene.decision("accepted user=alice");
    assert!(
        decision.starts_with("pam_onelogin(sshd:auth): accepted "),
        "{decision}"
    );
    scene.stage.tried("sshd", "a key, then a code");
}

#[test]
#[ignore = "needs root: run by make test"]
fn sshd_lets_in_with_keys_of_other_types_and_a_code() {
    let scene = Scene::new(&[]);
    let sshd = scene.sshd("sshd-key");
    let alice = scene.person("alice");
    let known = Command::new("ssh").args(["-Q", "key-plain"]).output();
    let known = String::from_utf8(known.expect("ssh is installed").stdout).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let types = [
        ("ecdsa-sha2-nistp256", "ecdsa"),
        ("ssh-rsa", "rsa"),
        ("ssh-mldsa44-ed25519", "mldsa44-ed25519"),
    ];
    let mut codes = ["123456", "234567", "345678"].into_iter();
    for (name, option) in types {
        if !known.lines().any(|line| line == name) {
            continue;
        }
        let path = folder.path().join(option);
        let key = path.to_str().unwrap();
        ssh_keygen(&["-q", "-t", option, "-N", "", "-f", key]);
        fs::copy(
            path.with_extension("pub"),
            alice.home.join(".ssh/authorized_keys"),
        )
        .unwrap();
        let mut client = sshd.client("alice", &[&format!("IdentityFile={key}")]);
        client.expect("Verification code (OneLogin): ");
        client.line(codes.next().unwrap());
        entered(client, "alice");
        if option.starts_with("mldsa") {
            scene
                .stage
                .tried("sshd", "a key of the type ssh-mldsa44-ed25519, then a code");
        }
    }
    assert_eq!(scene.simulator.codes(), types.len() - codes.len());
    assert!(codes.len() < 2, "{known}");
}

#[test]
#[ignore = "needs root: run by make test"]
fn sshd_denies_after_three_wrong_codes_and_does_not_start_over() {
    let scene = Scene::new(&[]);
    let sshd = scene.sshd("sshd-key");
    let mut client = sshd.client_with_key(&scene.person("alice").name);
    for _ in 0..3 {
        client.expect("Verification code (OneLogin): ");
        client.line("999999");
    }
    refused(client, "Verification code (OneLogin): ");
    assert_eq!(scene.simulator.codes(), 3);
    assert_eq!(scene.simulator.activations(), 0);
    assert_eq!(scene.denials(), 1);
    scene
        .stage
        .tried("sshd", "three wrong codes: denied, not asked again");
}

#[test]
#[ignore = "needs root: run by make test"]
fn sshd_is_known_by_its_connection_and_not_by_the_name_of_the_service() {
    let scene = Scene::new(&[]);
    scene.stage.sample("sshd-key", "doorway");
    let sshd = Sshd::start_as(&scene.stage, "doorway", &sshd_settings("sshd-key"));
    let mut client = sshd.client_with_key(&scene.person("dave").name);
    client.expect("Verification code, or Enter for a push to Dave's phone: ");
    client.line("");
    client.expect("Approve it, then press Enter");
    scene.deny_push();
    client.line("");
    refused(client, "Approve it, then press Enter");
    assert_eq!(scene.simulator.activations(), 1);
    let decision = scene.decision("user=dave");
    assert!(
        decision.starts_with("pam_onelogin(doorway:auth): "),
        "{decision}"
    );
    scene
        .stage
        .tried("sshd", "under another service name: known all the same");
}

#[test]
#[ignore = "needs root: run by make test"]
fn sshd_lets_in_when_the_push_is_approved() {
    let scene = Scene::new(&[]);
    let sshd = scene.sshd("sshd-key");
    let mut client = sshd.client_with_key(&scene.person("dave").name);
    client.expect("Verification code, or Enter for a push to Dave's phone: ");
    client.line("");
    client.expect("Push sent to Dave's phone. Approve it, then press Enter");
    scene.approve_push();
    client.line("");
    entered(client, "dave");
    assert_eq!(scene.simulator.activations(), 1);
    scene.stage.tried("sshd", "a push, approved, then Enter");
}

#[test]
#[ignore = "needs root: run by make test"]
fn sshd_denies_when_the_push_is_denied_and_sends_no_second_one() {
    let scene = Scene::new(&[]);
    let sshd = scene.sshd("sshd-key");
    let mut client = sshd.client_with_key(&scene.person("dave").name);
    client.expect("Verification code, or Enter for a push to Dave's phone: ");
    client.line("");
    client.expect("Push sent to Dave's phone. Approve it, then press Enter");
    scene.deny_push();
    client.line("");
    refused(client, "Push sent to");
    assert_eq!(scene.simulator.activations(), 1);
    assert_eq!(scene.denials(), 1);
    scene
        .stage
        .tried("sshd", "a push, denied: one push, not asked again");
}

#[test]
#[ignore = "needs root: run by make test"]
fn sshd_denies_when_the_push_is_not_answered() {
    let scene = Scene::new(&["push.wait = 1"]);
    let sshd = scene.sshd("sshd-key");
    let mut client = sshd.client_with_key(&scene.person("dave").name);
    client.expect("Verification code, or Enter for a push to Dave's phone: ");
    client.line("");
    client.expect("Push sent to Dave's phone. Approve it, then press Enter");
    client.line("");
    refused(client, "Push sent to");
    assert_eq!(scene.simulator.activations(), 1);
    assert_eq!(scene.denials(), 1);
    scene
        .stage
        .tried("sshd", "a push, not answered: denied, not asked again");
}

#[test]
#[ignore = "needs root: run by make test"]
fn sshd_offers_a_menu_and_sends_the_text_message_that_was_chosen() {
    let scene = Scene::new(&[]);
    let sshd = scene.sshd("sshd-key");
    let mut client = sshd.client_with_key(&scene.person("bob").name);
    let menu = client.expect("Verification code or option (1-3): ");
    assert!(menu.contains("OneLogin verification for bob"), "{menu}");
    let option = menu
        .lines()
        .find(|line| line.contains("Text message"))
        .expect("there is a text message");
    let option = option.trim().split('.').next().expect("it has a number");
    assert_eq!(scene.simulator.activations(), 0);
    client.line(option);
    let code = scene.text_message();
    client.expect(": ");
    client.line(&code);
    entered(client, "bob");
    assert_eq!(scene.simulator.activations(), 1);
    scene.stage.tried("sshd", "a text message from the menu");
}

#[test]
#[ignore = "needs root: run by make test"]
fn r13_sshd_shows_an_unknown_name_the_same_prompt_and_asks_onelogin_nothing() {
    let scene = Scene::new(&[]);
    scene.stage.stack("sshd", UNPROVEN);
    let sshd = Sshd::start(&scene.stage, KEYBOARD_ONLY);
    let known = scene.person("alice").name;
    let mut screens = Vec::new();
    for name in [known.as_str(), "nobodyofthatname"] {
        scene.simulator.clear_requests();
        let mut client = sshd.client(name, &["PreferredAuthentications=keyboard-interactive"]);
        let prompt = client.expect("(OneLogin): ");
        screens.push(prompt.replace(name, "NAME"));
    }
    assert_eq!(screens[0], screens[1]);
    assert_eq!(scene.simulator.requests(), []);
    scene.stage.tried(
        "sshd",
        "OneLogin alone: the same prompt for known and unknown names",
    );
}

#[test]
#[ignore = "needs root: run by make test"]
fn r13_sshd_shows_an_unknown_name_the_same_refusal_after_wrong_codes() {
    let scene = Scene::new(&[]);
    scene.stage.stack("sshd", UNPROVEN);
    let sshd = Sshd::start(&scene.stage, KEYBOARD_ONLY);
    let _ = scene.person("alice");
    let mut screens = Vec::new();
    // Mallory has an account here and is suspended at OneLogin; erin is unknown there; nofactor has no device.
    for name in ["alice", "mallory", "erin", "nofactor", "nobodyofthatname"] {
        if name != "nobodyofthatname" {
            let _ = scene.person(name);
        }
        let mut client = sshd.client(name, &["PreferredAuthentications=keyboard-interactive"]);
        while client.next_of(&["(OneLogin): "]).is_some() {
            client.line("999999");
        }
        let (status, screen) = client.finish();
        assert!(!status.success(), "{screen}");
        screens.push(screen.replace(name, "NAME"));
    }
    for screen in &screens[1..] {
        assert_eq!(*screen, screens[0]);
    }
}

#[test]
#[ignore = "needs root: run by make test"]
fn sshd_sessions_by_key_alone_get_their_credentials_without_onelogin() {
    let scene = Scene::new(&[]);
    scene.stage.sample("sshd-key", "sshd");
    let sshd = Sshd::start(&scene.stage, "UsePAM yes\nAuthenticationMethods publickey");
    let client = sshd.client_with_key(&scene.person("alice").name);
    entered(client, "alice");
    assert_eq!(scene.simulator.connections(), 0);
    scene
        .stage
        .tried("sshd", "a key alone: OneLogin is not asked");
}

#[test]
#[ignore = "needs root: run by make test"]
fn r15_sshd_that_asks_for_no_key_any_more_lets_nobody_in_by_the_stack_behind_one() {
    for further in [&[] as &[&str], &["users.exempt_users = [\"alice\"]"]] {
        let scene = Scene::new(further);
        scene.stage.sample("sshd-key", "sshd");
        let sshd = Sshd::start(&scene.stage, KEYBOARD_ONLY);
        let options = ["PreferredAuthentications=keyboard-interactive"];
        let client = sshd.client(&scene.person("alice").name, &options);
        let screen = denied(client);
        assert!(!screen.contains("erification code"), "{screen}");
        assert_eq!(scene.simulator.connections(), 0);
        let line = scene.decision("denied user=alice");
        assert!(line.contains("reason=no-key"), "{line}");
        scene.stage.tried(
            "sshd",
            "behind=key, without a key: denied, exempt users too",
        );
    }
}

// sshd: the password, then OneLogin

#[test]
#[ignore = "needs root: run by make test"]
fn sshd_lets_in_with_a_password_and_a_code() {
    let scene = Scene::new(&[]);
    let sshd = scene.sshd("sshd-password");
    let mut client = sshd.client(&scene.person("alice").name, &[]);
    client.expect("Password: ");
    client.line(PASSWORD);
    client.expect("Verification code (OneLogin): ");
    client.line("123456");
    entered(client, "alice");
    assert_eq!(scene.simulator.codes(), 1);
    scene.stage.tried("sshd", "the password, then a code");
}

#[test]
#[ignore = "needs root: run by make test"]
fn sshd_sends_nothing_to_onelogin_after_a_wrong_password() {
    let scene = Scene::new(&["factors.autopush = true"]);
    let sshd = scene.sshd("sshd-password");
    let mut client = sshd.client(&scene.person("dave").name, &["NumberOfPasswordPrompts=1"]);
    client.expect("Password: ");
    client.line("a wrong one");
    client.expect("Permission denied");
    assert!(!client.finish().0.success());
    assert_eq!(scene.simulator.connections(), 0);
    scene
        .stage
        .tried("sshd", "a wrong password: nothing is sent to OneLogin");
}

#[test]
#[ignore = "needs root: run by make test"]
fn r12_the_unix_password_never_reaches_onelogin() {
    for sample in ["sshd-password", "sshd-key"] {
        let scene = Scene::new(&[]);
        scene.stage.sample(sample, "sshd");
        let settings = "UsePAM yes\nPasswordAuthentication yes\nKbdInteractiveAuthentication no";
        let sshd = Sshd::start(&scene.stage, settings);
        for name in ["alice", "bob", "carol", "dave"] {
            let options = [
                "PreferredAuthentications=password",
                "NumberOfPasswordPrompts=1",
            ];
            let mut client = sshd.client(&scene.person(name).name, &options);
            client.expect("password: ");
            client.line(PASSWORD);
            client.expect("Permission denied");
            assert!(!client.finish().0.success());
        }
        let requests = scene.simulator.requests();
        assert!(
            requests
                .iter()
                .all(|request| !format!("{request:?}").contains(PASSWORD)),
            "{requests:#?}"
        );
        assert_eq!(scene.simulator.codes(), 0);
        assert_eq!(scene.simulator.activations(), 0);
        scene.stage.tried(
            "sshd",
            "PasswordAuthentication on: the password is not sent to OneLogin",
        );
    }
}

// sudo

#[test]
#[ignore = "needs root: run by make test"]
fn sudo_asks_for_the_password_and_then_for_a_code() {
    let scene = Scene::sudo(&[]);
    let mut sudo = scene.sudo_as("alice", &["id", "-un"]);
    password(&mut sudo);
    sudo.expect("Verification code (OneLogin): ");
    sudo.line("123456");
    became_root(sudo);
    assert_eq!(scene.simulator.codes(), 1);
    let decision = scene.decision("accepted user=alice");
    assert!(
        decision.starts_with("pam_onelogin(sudo:auth): accepted "),
        "{decision}"
    );
    scene.stage.tried("sudo", "the password, then a code");
}

/// The journal's daemon, and /dev/log as a link to its socket. Both are gone before the log of the stage ends.
struct Journald(Child);

impl Drop for Journald {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        let _ = fs::remove_file("/dev/log");
    }
}

/// The daemon of systemd's journal runs without the rest of systemd, and makes its sockets itself.
#[test]
#[ignore = "needs root: run by make test"]
fn the_journal_has_one_decision_of_sudo_with_its_fields_and_syslog_gets_the_same_line() {
    const JOURNALD: &str = "/usr/lib/systemd/systemd-journald";
    if !Path::new(JOURNALD).exists() {
        // Past the capture of the test harness, which would hide it.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: there is no systemd-journald here"
        );
        return;
    }
    let scene = Scene::sudo(&[]);
    // journald looks up its own group there. The mount is that of this test's namespace.
    let groups = Path::new("/sys/fs/cgroup");
    if !groups.exists() {
        fs::create_dir_all(groups).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "cgroup2", "none"]).arg(groups);
        assert!(mount.status().unwrap().success());
    }
    fs::create_dir_all("/run/systemd/journal").unwrap();
    fs::create_dir_all("/run/systemd/journald.conf.d").unwrap();
    let settings = "[Journal]\nStorage=volatile\nForwardToSyslog=yes\nReadKMsg=no\nAudit=no\n";
    fs::write("/run/systemd/journald.conf.d/test.conf", settings).unwrap();
    let syslog = Log::bind(Path::new("/run/systemd/journal/syslog")).unwrap();
    let started = UnixDatagram::bind("/run/systemd/started").unwrap();
    started.set_read_timeout(Some(LONG)).unwrap();
    let mut command = Command::new(JOURNALD);
    command.env("NOTIFY_SOCKET", "/run/systemd/started");
    let mut journald = Journald(command.spawn().unwrap());
    let mut buffer = [0; 4096];
    loop {
        let length = started.recv(&mut buffer).unwrap();
        if buffer[..length].starts_with(b"READY=1") {
            break;
        }
    }
    fs::remove_file("/dev/log").unwrap();
    symlink("/run/systemd/journal/dev-log", "/dev/log").unwrap();

    let mut sudo = scene.sudo_as("alice", &["id", "-un"]);
    password(&mut sudo);
    sudo.expect("Verification code (OneLogin): ");
    sudo.line("123456");
    became_root(sudo);
    // It stores what it has received before it ends.
    let id = Pid::from_raw(journald.0.id().try_into().unwrap());
    kill(id, Signal::SIGTERM).unwrap();
    assert!(journald.0.wait().unwrap().success());

    let shown = Command::new("journalctl")
        .args(["--directory=/run/log/journal", "--output=json", "--quiet"])
        .args(["--no-pager", "SYSLOG_IDENTIFIER=sudo", "SYSLOG_FACILITY=10"])
        .output()
        .unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    let ours: Vec<serde_json::Value> = shown
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|entry: &serde_json::Value| {
            let message = entry["MESSAGE"].as_str().unwrap_or_default();
            message.starts_with("pam_onelogin(sudo:auth): ")
        })
        .collect();
    assert_eq!(ours.len(), 1, "{shown}");
    let fields = [
        ("_TRANSPORT", "journal"),
        // The caller of sudo cannot send such a record.
        ("_UID", "0"),
        ("PRIORITY", "6"),
        ("MESSAGE_ID", DECISION_ID),
        ("ONELOGIN_EVENT", "accepted"),
        ("ONELOGIN_FACTOR", "totp"),
        ("ONELOGIN_USER", "alice"),
    ];
    for (name, value) in fields {
        assert_eq!(ours[0][name], value, "{name}");
    }
    assert_eq!(ours[0]["SYSLOG_PID"], ours[0]["_PID"]);

    let line = ours[0]["MESSAGE"].as_str().unwrap();
    let process = ours[0]["_PID"].as_str().unwrap();
    let forwarded = syslog.finish();
    let forwarded: Vec<_> = forwarded
        .iter()
        .filter(|forwarded| forwarded.contains("pam_onelogin("))
        .collect();
    assert_eq!(forwarded.len(), 1, "{forwarded:#?}");
    // Between them is the time, which the journal writes.
    assert!(forwarded[0].starts_with("<86>"), "{forwarded:?}");
    let end = format!(" sudo[{process}]: {line}");
    assert!(forwarded[0].ends_with(&end), "{forwarded:?}");
}

#[test]
#[ignore = "needs root: run by make test"]
fn sudo_i_has_a_stack_of_its_own_and_asks_too() {
    let scene = Scene::sudo(&[]);
    let mut sudo = scene.sudo_as("alice", &["-i", "id", "-un"]);
    password(&mut sudo);
    sudo.expect("Verification code (OneLogin): ");
    sudo.line("123456");
    became_root(sudo);
    assert_eq!(scene.simulator.codes(), 1);
    let decision = scene.decision("accepted user=alice");
    assert!(
        decision.starts_with("pam_onelogin(sudo-i:auth): accepted "),
        "{decision}"
    );
    scene.stage.tried("sudo", "sudo -i: uses the stack sudo-i");
}

#[test]
#[ignore = "needs root: run by make test"]
fn sudo_sends_nothing_to_onelogin_after_a_wrong_password() {
    let scene = Scene::sudo(&["factors.autopush = true"]);
    let mut sudo = scene.sudo_as("dave", &["id", "-un"]);
    for _ in 0..3 {
        sudo.expect("password for dave: ");
        sudo.line("a wrong one");
    }
    denied(sudo);
    assert_eq!(scene.simulator.connections(), 0);
    scene
        .stage
        .tried("sudo", "a wrong password: nothing is sent to OneLogin");
}

#[test]
#[ignore = "needs root: run by make test"]
fn sudo_denies_after_three_wrong_codes_and_does_not_start_over() {
    let scene = Scene::sudo(&[]);
    let mut sudo = scene.sudo_as("alice", &["id", "-un"]);
    password(&mut sudo);
    for _ in 0..3 {
        sudo.expect("Verification code (OneLogin): ");
        sudo.line("999999");
    }
    let screen = denied(sudo);
    assert_eq!(
        screen.matches("password for alice: ").count(),
        1,
        "{screen}"
    );
    assert_eq!(scene.simulator.codes(), 3);
    assert_eq!(scene.denials(), 1);
    scene
        .stage
        .tried("sudo", "three wrong codes: denied, not asked again");
}

#[test]
#[ignore = "needs root: run by make test"]
fn sudo_shows_that_a_push_was_sent_and_needs_no_further_key() {
    let scene = Scene::sudo(&[]);
    let mut sudo = scene.sudo_as("dave", &["id", "-un"]);
    password(&mut sudo);
    sudo.expect("Verification code, or Enter for a push to Dave's phone: ");
    sudo.line("");
    sudo.expect("Push sent to Dave's phone");
    scene.approve_push();
    became_root(sudo);
    assert_eq!(scene.simulator.activations(), 1);
    scene
        .stage
        .tried("sudo", "a push, approved: no further key");
}

#[test]
#[ignore = "needs root: run by make test"]
fn sudo_does_not_push_again_after_a_denial_though_it_runs_the_stack_again() {
    let scene = Scene::sudo(&["factors.autopush = true"]);
    let mut sudo = scene.sudo_as("dave", &["id", "-un"]);
    password(&mut sudo);
    sudo.expect("Push sent to Dave's phone");
    scene.deny_push();
    // Whether sudo starts over depends on the code; if it does, the second run must be denied without a push.
    while sudo.next_of(&["password for dave: "]).is_some() {
        sudo.line(PASSWORD);
    }
    denied(sudo);
    assert_eq!(scene.simulator.activations(), 1);
    scene.stage.tried("sudo", "a push, denied: one push");
}

#[test]
#[ignore = "needs root: run by make test"]
fn a_stack_that_hides_our_code_makes_sudo_start_over_and_still_only_one_push_is_sent() {
    let scene = Scene::sudo(&["factors.autopush = true"]);
    scene.stage.stack("sudo", HIDES_OUR_CODE);
    let mut sudo = scene.sudo_as("dave", &["id", "-un"]);
    password(&mut sudo);
    sudo.expect("Push sent to Dave's phone");
    scene.deny_push();
    for _ in 0..2 {
        sudo.expect("password for dave: ");
        sudo.line(PASSWORD);
    }
    let screen = denied(sudo);
    assert_eq!(screen.matches("Push sent to").count(), 1, "{screen}");
    assert_eq!(scene.simulator.activations(), 1);
    scene.stage.tried(
        "sudo",
        "a denied push in a stack that hides our code: run again, one push",
    );
}

#[test]
#[ignore = "needs root: run by make test"]
fn ctrl_c_ends_the_wait_for_a_push_in_sudo() {
    let scene = Scene::sudo(&["factors.autopush = true", "push.wait = 55"]);
    let mut sudo = scene.sudo_as("dave", &["id", "-un"]);
    password(&mut sudo);
    sudo.expect("Push sent to Dave's phone");
    // A first poll has been answered: the module is waiting.
    scene
        .simulator
        .wait_for_request(LONG, "GET", "/verifications/")
        .expect("the push is polled");
    sudo.type_keys("\x03");
    let (status, screen) = sudo.finish();
    assert!(!status.success(), "{screen}");
    assert!(!screen.contains("\nroot"), "{screen}");
    // Had the wait gone on to its end, the reason would be another one, and the push would be open no longer.
    let decision = scene.decision("user=dave");
    assert!(
        !decision.contains("timeout") && !decision.contains("expired"),
        "{decision}"
    );
    assert!(
        scene.simulator.approve_latest().is_some(),
        "the push is still open"
    );
    scene.stage.tried("sudo", "Ctrl-C ends the wait");
}

#[test]
#[ignore = "needs root: run by make test"]
fn sudo_is_known_by_what_it_does_and_not_by_the_name_of_its_stack() {
    let scene = Scene::new(&["factors.autopush = true", "push.wait = 55"]);
    scene.stage.sample("sudo", "privileges");
    let rules = "Defaults pam_service=privileges, timestamp_timeout=0, lecture=never\nALL ALL=(ALL:ALL) ALL\n";
    scene.stage.write("/etc/sudoers", rules, 0o440);
    let mut sudo = scene.sudo_as("dave", &["id", "-un"]);
    password(&mut sudo);
    // Without a prompt, as under its own name.
    sudo.expect("Push sent to Dave's phone. Approve it to continue.");
    scene
        .simulator
        .wait_for_request(LONG, "GET", "/verifications/")
        .expect("the push is polled");
    sudo.type_keys("\x03");
    denied(sudo);
    let decision = scene.decision("user=dave");
    assert!(
        decision.starts_with("pam_onelogin(privileges:auth): denied"),
        "{decision}"
    );
    assert!(
        !decision.contains("timeout") && !decision.contains("expired"),
        "{decision}"
    );
    assert!(
        scene.simulator.approve_latest().is_some(),
        "the push is still open"
    );
}

#[test]
#[ignore = "needs root: run by make test"]
fn ctrl_c_ends_the_wait_in_sudo_though_onelogin_does_not_answer() {
    let scene = Scene::sudo(&["factors.autopush = true", "onelogin.request_timeout = 55"]);
    scene.simulator.fault(Fault::new(
        Match::new("GET", "/verifications/"),
        Action::Silence,
    ));
    let mut sudo = scene.sudo_as("dave", &["id", "-un"]);
    password(&mut sudo);
    sudo.expect("Push sent to Dave's phone");
    scene
        .simulator
        .wait_for_request(LONG, "GET", "/verifications/")
        .expect("the push is polled");
    sudo.type_keys("\x03");
    denied(sudo);
    // Had the poll gone on to its end, the reason would be "timeout".
    let decision = scene.decision("user=dave");
    assert!(decision.contains("reason=interrupted"), "{decision}");
}

#[test]
#[ignore = "needs root: run by make test"]
fn r03_sudo_and_su_are_deaf_to_the_environment_of_their_caller() {
    let scene = Scene::sudo(&[]);
    scene.stage.stack("su", OURS_ALONE);
    let trap = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port on 127.0.0.1");
    trap.set_nonblocking(true)
        .expect("a listener can be made non-blocking");
    let url = format!(
        "http://{}",
        trap.local_addr().expect("the address of the listener")
    );
    let person = scene.person("alice");
    // A CA of another simulator stands for the attacker's: with it alone trusted, the login would fail.
    let other = Simulator::start();
    let ca = person.home.join("ca.pem");
    scene.stage.write(&ca, other.ca_pem(), 0o644);
    for (program, arguments) in ROADS {
        // The same code once more.
        let _ = std::fs::remove_dir_all("/run/pam_onelogin");
        let mut command = scene.stage.command(&person, program, arguments);
        for name in [
            "HTTPS_PROXY",
            "https_proxy",
            "HTTP_PROXY",
            "http_proxy",
            "ALL_PROXY",
            "all_proxy",
        ] {
            command.env(name, &url);
        }
        command
            .env("NO_PROXY", "")
            .env("SSL_CERT_FILE", &ca)
            .env("SSL_CERT_DIR", &person.home)
            .env("RES_OPTIONS", "attempts:1 timeout:1")
            .env("LOCALDOMAIN", "attacker.invalid")
            .env("HOSTALIASES", person.home.join("hosts"))
            .env("TZDIR", &person.home)
            .env("TZ", "attacker")
            .env("RUST_BACKTRACE", "full")
            .env("RUST_LOG", "trace")
            .env("SSLKEYLOGFILE", person.home.join("keys"));
        let mut program = scene.stage.on_terminal(&person, command);
        while let Some(which) = program.next_of(&["password for alice: ", "(OneLogin): "]) {
            program.line([PASSWORD, "123456"][which]);
        }
        became_root(program);
    }
    let caught = trap.accept();
    assert_eq!(scene.simulator.codes(), 2);
    assert!(
        matches!(&caught, Err(error) if error.kind() == ErrorKind::WouldBlock),
        "{caught:?}"
    );
    assert_eq!(other.connections(), 0);
    assert!(!person.home.join("keys").exists());
    scene.stage.tried(
        "sudo",
        "a proxy and a CA in the caller's environment: ignored",
    );
}

#[test]
#[ignore = "needs root: run by make test"]
fn r02_sudo_is_denied_under_failmode_safe_when_onelogin_is_down() {
    let scene = Scene::sudo(&[
        "failmode = \"safe\"\nfailmode_from = [\"0.0.0.0/0\"]",
        "onelogin.url = \"https://127.0.0.1:1\"",
    ]);
    let mut sudo = scene.sudo_as("alice", &["id", "-un"]);
    while let Some(which) = sudo.next_of(&["password for alice: ", "(OneLogin): "]) {
        sudo.line([PASSWORD, "123456"][which]);
    }
    denied(sudo);
    assert!(
        scene
            .stage
            .decisions()
            .iter()
            .all(|line| !line.contains("accepted"))
    );
    scene
        .stage
        .tried("sudo", "OneLogin down, failmode safe: denied");
}

const OFFLINE: &str = "OneLogin cannot be reached. Offline code: ";

/// A scene with offline codes of Alice.
fn with_offline_codes(count: usize) -> (Scene, Vec<String>) {
    let scene = Scene::sudo(&[
        "offline = true",
        "offline_dir = \"/etc/pam_onelogin/offline\"",
    ]);
    scene.person("alice");
    let number = count.to_string();
    let issue = [
        "offline",
        "issue",
        "alice",
        "--to-stdout",
        "--count",
        &number,
    ];
    let ran = tool::run(tool::tool(&issue), &["123456"]);
    let codes = ran.out.lines().filter(|line| line.starts_with("  "));
    let codes: Vec<String> = codes.map(|line| line.trim().to_owned()).collect();
    assert_eq!(codes.len(), count, "{}{}", ran.out, ran.err);
    (scene, codes)
}

#[test]
#[ignore = "needs root: run by make test"]
fn r20_sshd_and_sudo_let_in_by_an_offline_code_once() {
    let (mut scene, codes) = with_offline_codes(2);
    let sshd = scene.sshd("sshd-key");
    scene.simulator.stop();
    scene.stage.install();
    // With a code, sudo works.
    let checked = tool::run(tool::tool(&["--json", "check", "alice"]), &[]).out;
    assert!(
        checked.contains("alice has 2 offline codes and can log in"),
        "{checked}"
    );
    assert!(!checked.contains("sudo does not work"), "{checked}");
    let mut client = sshd.client_with_key("alice");
    client.expect(OFFLINE);
    client.line(&codes[0]);
    entered(client, "alice");
    scene.decision("factor=offline-code left=1");
    let mut client = sshd.client_with_key("alice");
    client.expect(OFFLINE);
    client.line(&codes[0]);
    for _ in 0..2 {
        client.expect(&format!("Not accepted. {OFFLINE}"));
        client.line(&codes[0]);
    }
    refused(client, OFFLINE);
    scene.decision("reason=wrong-offline-code");
    scene
        .stage
        .tried("sshd", "OneLogin down: a key, then an offline code, once");

    let mut sudo = scene.sudo_as("alice", &["id", "-un"]);
    sudo.expect("password for alice: ");
    sudo.line(PASSWORD);
    sudo.expect(OFFLINE);
    sudo.line(&codes[1]);
    became_root(sudo);
    let mut sudo = scene.sudo_as("alice", &["-k", "id", "-un"]);
    while let Some(0) = sudo.next_of(&["password for alice: ", OFFLINE]) {
        sudo.line(PASSWORD);
    }
    denied(sudo);
    scene
        .stage
        .tried("sudo", "OneLogin down: the password, then an offline code");
}

/// The lines that docs/break-glass.md shows, from this one to the next empty line.
fn of_the_page(first: &str) -> String {
    let page = include_str!("../docs/break-glass.md");
    let lines = page.lines();
    let lines = lines.map(|line| line.strip_prefix("    ").unwrap_or_default());
    let lines = lines.skip_while(|line| *line != first);
    let lines: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
    assert!(
        !lines.is_empty(),
        "docs/break-glass.md does not show {first:?}"
    );
    lines.join("\n") + "\n"
}

/// Types the commands that docs/break-glass.md shows, from this one on, in a root shell in this folder.
fn type_from_the_page(first: &str, folder: &Path) {
    let commands = of_the_page(first);
    let shell = Command::new("sh")
        .args(["-e", "-c", &commands])
        .current_dir(folder)
        .output();
    let output = shell.expect("there is a shell");
    assert!(output.status.success(), "{commands}{output:?}");
}

fn ssh_keygen(arguments: &[&str]) {
    let output = Command::new("ssh-keygen").args(arguments).output();
    let output = output.expect("ssh-keygen is installed");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
}

/// What check finds about the break-glass account of this machine.
fn found_of_break_glass() -> String {
    let ran = tool::run(tool::tool(&["check", "--offline", "--verbose"]), &[]);
    assert_eq!(ran.err, "");
    let about = |line: &&str| line.contains("break-glass account") || line.contains(" do ");
    let lines: Vec<&str> = ran.out.lines().filter(about).collect();
    lines.join("\n")
}

#[test]
#[ignore = "needs root: run by make test"]
fn a_certificate_for_this_host_opens_the_break_glass_account_and_nothing_else_does() {
    let mut scene = Scene::sudo(&[]);
    scene.person("alice");
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for key in ["break_glass_ca", "other_ca", "once"] {
        ssh_keygen(&["-q", "-t", "ed25519", "-N", "", "-f", &at(key)]);
    }
    scene.stage.write(
        "/etc/default/useradd",
        "HOME=/run/home\nCREATE_MAIL_SPOOL=no\n",
        0o644,
    );
    type_from_the_page(
        "useradd --create-home --shell /bin/bash breakglass",
        folder.path(),
    );
    type_from_the_page(
        "install -m 644 break_glass_ca.pub /etc/ssh/break_glass_ca.pub",
        folder.path(),
    );
    std::fs::create_dir_all("/etc/ssh/sshd_config.d").unwrap();
    scene.stage.write(
        "/etc/ssh/sshd_config.d/10-break-glass.conf",
        of_the_page("Match User breakglass"),
        0o644,
    );
    scene.stage.write(
        "/etc/sudoers.d/break-glass",
        of_the_page("breakglass ALL=(ALL:ALL) NOPASSWD: ALL"),
        0o644,
    );
    let sudoers = std::fs::read_to_string("/etc/sudoers").unwrap();
    let sudoers = format!("{sudoers}@includedir /etc/sudoers.d\n");
    scene.stage.write("/etc/sudoers", sudoers, 0o440);
    type_from_the_page("chmod 440 /etc/sudoers.d/break-glass", folder.path());
    scene.stage.sample("sshd-key", "sshd");
    let settings = format!(
        "Include /etc/ssh/sshd_config.d/*.conf\n{}",
        sshd_settings("sshd-key")
    );
    let sshd = Sshd::start_by_the_machines_file(&scene.stage, &settings);
    type_from_the_page("sshd -t", folder.path());

    let found = found_of_break_glass();
    for line in [
        "good     break-glass account breakglass: a certificate is enough to log in by SSH",
        "note     sudo does not authenticate breakglass for ALL: the break-glass account",
    ] {
        assert!(found.contains(line), "{found}");
    }

    scene.simulator.stop();
    let principals = std::fs::read_to_string(PRINCIPALS).unwrap();
    let host = principals.trim();
    let certificate = |ca: &str, host: &str, time: &str| {
        let _ = std::fs::remove_file(at("once-cert.pub"));
        ssh_keygen(&[
            "-q",
            "-s",
            &at(ca),
            "-I",
            "ticket 4711",
            "-n",
            host,
            "-V",
            time,
            &at("once.pub"),
        ]);
    };
    let client = |user: &str| {
        let key = format!("IdentityFile={}", at("once"));
        let certificate = format!("CertificateFile={}", at("once-cert.pub"));
        sshd.client(user, &[&key, &certificate, "BatchMode=yes"])
    };
    certificate("break_glass_ca", host, "+2h");
    entered(client("breakglass"), "breakglass");
    became_root(scene.sudo_as("breakglass", &["id", "-un"]));
    let keeps_out = |user: &str| {
        let (status, screen) = client(user).finish();
        assert!(
            !status.success() && screen.contains("Permission denied"),
            "{screen}"
        );
    };
    // The certificate is for one account.
    keeps_out("alice");
    for (ca, host, time) in [
        ("other_ca", host, "+2h"),
        ("break_glass_ca", "web2.example.com", "+2h"),
        ("break_glass_ca", "breakglass", "+2h"),
        ("break_glass_ca", host, "-2h:-1h"),
    ] {
        certificate(ca, host, time);
        keeps_out("breakglass");
    }
    // The key of the stage opens every other account.
    let (status, screen) = sshd.client_with_key("breakglass").finish();
    assert!(!status.success(), "{screen}");
    scene.stage.tried(
        "sshd",
        "OneLogin down: the break-glass account, by a certificate",
    );

    // The module denies every login, also of users who are exempt.
    scene.stage.write(
        "/etc/pam_onelogin/config.toml",
        "failmode = \"open\"\n[users]\nexempt_users = [\"alice\"]\n",
        0o600,
    );
    certificate("break_glass_ca", host, "+2h");
    entered(client("breakglass"), "breakglass");
    became_root(scene.sudo_as("breakglass", &["id", "-un"]));
    let mut sudo = scene.sudo_as("alice", &["id", "-un"]);
    while sudo.next_of(&["password for alice: "]).is_some() {
        sudo.line(PASSWORD);
    }
    denied(sudo);
    scene.decision("user=alice reason=config");
    scene.stage.tried(
        "sudo",
        "a fault in the configuration: the break-glass account becomes root",
    );
}

/// The file that docs/break-glass.md writes the name of the host into.
const PRINCIPALS: &str = "/etc/ssh/break_glass_principals";

#[test]
#[ignore = "needs root: run by make test"]
fn check_names_the_files_of_the_break_glass_account_that_others_can_write() {
    let scene = Scene::new(&[]);
    scene.stage.sample("sshd-key", "sshd");
    let block = of_the_page("Match User breakglass");
    let settings = format!("{}\n{block}", sshd_settings("sshd-key"));
    scene.stage.write("/etc/ssh/sshd_config", settings, 0o644);
    let ca = "/etc/ssh/break_glass_ca.pub";
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0000000000000000000000000000000000000000000\n";
    for (ca_mode, principals_mode, line, command) in [
        (
            0o666,
            0o644,
            "FAULT    break-glass account breakglass: /etc/ssh/break_glass_ca.pub has mode 0666",
            "type: sudo chmod go-w /etc/ssh/break_glass_ca.pub",
        ),
        (
            0o644,
            0o664,
            "FAULT    break-glass account breakglass: /etc/ssh/break_glass_principals has mode 0664",
            "type: sudo chmod go-w /etc/ssh/break_glass_principals",
        ),
        (
            0o644,
            0o600,
            "warning  break-glass account breakglass: it cannot read /etc/ssh/break_glass_principals",
            "type: sudo chmod 644 /etc/ssh/break_glass_principals",
        ),
    ] {
        scene.stage.write(ca, key, ca_mode);
        scene.stage.write(PRINCIPALS, &host, principals_mode);
        let found = found_of_break_glass();
        assert!(found.contains(line) && found.contains(command), "{found}");
        assert_eq!(
            found.matches("FAULT").count(),
            line.matches("FAULT").count(),
            "{found}"
        );
    }
}

#[test]
#[ignore = "needs root: run by make test"]
fn an_outage_is_rehearsed_without_a_network_for_one_command_alone() {
    let (scene, codes) = with_offline_codes(2);
    scene.person("dave");
    scene.simulator.clear_requests();
    let rehearsal =
        |answers: &[&str]| tool::run(tool::tool(&["test", "--offline", "alice"]), answers);
    let ran = rehearsal(&[""]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    for text in [
        "This is a rehearsal",
        "by offline codes: 2",
        "not at all: no offline codes",
    ] {
        assert!(ran.err.contains(text), "{text}: {}", ran.err);
    }
    // What the system says without any network differs.
    assert!(ran.out.contains("denied user=alice"), "{}", ran.out);
    let none_typed = "No offline code was typed; alice has 2.";
    assert!(ran.err.contains(none_typed), "{}", ran.err);
    // The cause is the rehearsal, so there is nothing to find out.
    let ran = tool::run(tool::tool(&["test", "--offline", "dave"]), &[]);
    let advice = "In an outage, dave cannot log in. To issue offline codes, as root, type: pam-onelogin offline issue dave";
    assert!(ran.err.contains(advice), "{}", ran.err);
    assert!(!ran.err.contains("To find the cause"), "{}", ran.err);
    let ran = rehearsal(&[&codes[0]]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert!(
        ran.out.contains("factor=offline-code left=1"),
        "{}",
        ran.out
    );
    assert!(scene.simulator.requests().is_empty());
    // This process still reaches OneLogin.
    let ran = tool::run(tool::tool(&["test", "alice"]), &["999999"]);
    assert!(!scene.simulator.requests().is_empty(), "{}", ran.err);
}

#[test]
#[ignore = "needs root: run by make test"]
fn r02_few_descriptors_from_the_caller_never_make_root_without_a_code() {
    let scene = Scene::new(&["failmode = \"safe\"\nfailmode_from = [\"0.0.0.0/0\"]"]);
    // Alone: pam_unix of Linux-PAM 1.7 needs more descriptors than we do, and the limit would never meet us behind it.
    scene.stage.stack("sudo", OURS_ALONE);
    let person = scene.person("alice");
    for limit in 4..=16 {
        let asked = scene.simulator.codes();
        // The shell lowers the limit, hard and soft, and becomes sudo: what a user can do to sudo.
        let line = format!("ulimit -n {limit} && exec sudo id -un");
        let mut sudo = scene
            .stage
            .on_terminal(&person, scene.stage.command(&person, "sh", &["-c", &line]));
        while let Some(which) = sudo.next_of(&["password for alice: ", "(OneLogin): "]) {
            sudo.line([PASSWORD, "123456"][which]);
        }
        let (status, screen) = sudo.finish();
        assert!(
            !status.success() || scene.simulator.codes() == asked + 1,
            "limit {limit}\n{screen}"
        );
    }
    let reasons = scene.stage.decisions();
    assert!(
        reasons.iter().any(|line| line.contains("denied")),
        "no limit met the module: {reasons:#?}"
    );
    assert!(
        reasons.iter().any(|line| line.contains("accepted")),
        "each limit was too low: {reasons:#?}"
    );
    scene
        .stage
        .tried("sudo", "few descriptors, failmode safe: denied");
}

#[test]
#[ignore = "needs root: run by make test"]
fn r02_a_caller_who_stops_or_kills_sudo_or_su_at_any_request_does_not_become_root() {
    let scene = Scene::sudo(&[
        "failmode = \"safe\"\nfailmode_from = [\"0.0.0.0/0\"]",
        "onelogin.request_timeout = 1",
    ]);
    scene.stage.stack("su", OURS_ALONE);
    let steps = [
        ("POST", "/auth/oauth2/", Match::token()),
        ("GET", "/api/2/users", Match::new("GET", "/api/2/users")),
        ("GET", "/devices", Match::new("GET", "/devices")),
        ("POST", "/verifications", Match::code()),
    ];
    let alice = scene.person("alice");
    for (program, arguments) in ROADS {
        for (method, path, step) in &steps {
            for signal in [Signal::SIGSTOP, Signal::SIGKILL] {
                scene.simulator.expire_tokens();
                scene.simulator.clear_requests();
                let _ = std::fs::remove_dir_all("/run/pam_onelogin");
                scene
                    .simulator
                    .fault(Fault::new(step.clone(), Action::Silence));
                let command = scene.stage.command(&alice, program, arguments);
                let mut running = scene.stage.on_terminal(&alice, command);
                if program == "sudo" {
                    password(&mut running);
                }
                if *path == "/verifications" {
                    running.expect("Verification code (OneLogin): ");
                    running.line("123456");
                }
                let request = scene.simulator.wait_for_request(LONG, method, path);
                request.expect("the module gets to this step");
                running.signal(signal);
                if signal == Signal::SIGSTOP {
                    // What is waited for is time itself: more than request_timeout, in which the process may not look at
                    // its clock.
                    thread::sleep(Duration::from_millis(1500));
                }
                scene.simulator.clear_faults();
                if signal == Signal::SIGSTOP {
                    running.signal(Signal::SIGCONT);
                }
                while running
                    .next_of(&["password for alice: ", "(OneLogin): "])
                    .is_some()
                {
                    running.line("not the password");
                }
                denied(running);
            }
        }
    }
    assert!(
        scene
            .stage
            .decisions()
            .iter()
            .all(|line| line.contains("denied"))
    );
    scene
        .stage
        .tried("sudo", "stopped past its time limit, failmode safe: denied");
}

#[test]
#[ignore = "needs root: run by make test"]
fn r14_sshd_remembers_a_push_whose_login_was_killed() {
    let scene = Scene::new(&[
        "failmode = \"safe\"\nfailmode_from = [\"0.0.0.0/0\"]",
        "factors.autopush = true",
    ]);
    let sshd = scene.sshd("sshd-key");
    let mut client = sshd.client_with_key(&scene.person("dave").name);
    client.expect("Push sent to Dave's phone");
    let monitors = sshd.children();
    assert!(!monitors.is_empty());
    for process in monitors {
        nix::sys::signal::kill(process, Signal::SIGKILL).expect("it can be killed");
    }
    // The approval comes too late, and for nobody.
    let _ = scene.simulator.approve_latest();
    client.line("");
    let (status, screen) = client.finish();
    assert!(
        !status.success() && !screen.contains(pam_host::root::ENTERED),
        "{status}\n{screen}"
    );
    assert_eq!(scene.simulator.activations(), 1);
    let remembered = std::fs::read_dir("/run/pam_onelogin")
        .expect("there is a state")
        .flatten()
        .filter(|folder| folder.file_name().to_string_lossy().starts_with("denied-"))
        .flat_map(|folder| std::fs::read_dir(folder.path()).expect("a folder of notes"));
    assert_eq!(
        remembered.count(),
        1,
        "the denial was written before the push"
    );
}

// Who is asked, and who is not

#[test]
#[ignore = "needs root: run by make test"]
fn sudo_with_the_password_of_root_still_asks_for_the_code_of_the_caller() {
    let scene = Scene::sudo(&["users.exempt_users = [\"root\"]"]);
    scene.stage.root_has_a_password();
    for (way, code) in [
        ("rootpw", "123456"),
        ("targetpw", "234567"),
        ("runaspw", "345678"),
    ] {
        let rules =
            format!("Defaults {way}, timestamp_timeout=0, lecture=never\nALL ALL=(ALL:ALL) ALL\n");
        scene.stage.write("/etc/sudoers", rules, 0o440);
        let mut sudo = scene.sudo_as("alice", &["id", "-un"]);
        sudo.expect("[sudo] password for root: ");
        sudo.line(PASSWORD);
        sudo.expect("Verification code (OneLogin): ");
        sudo.line(code);
        became_root(sudo);
    }
    let decisions = scene.stage.decisions();
    assert_eq!(decisions.len(), 3, "{decisions:#?}");
    assert!(
        decisions
            .iter()
            .all(|line| line.contains("accepted user=alice")),
        "{decisions:#?}"
    );
    scene.stage.tried(
        "sudo",
        "rootpw, targetpw, runaspw: the caller's code, though root is exempt",
    );
}

#[test]
#[ignore = "needs root: run by make test"]
fn sudo_lets_exempt_users_and_groups_in_by_their_password_and_nobody_else() {
    let scene = Scene::sudo(&[
        "users.exempt_users = [\"carol\"]",
        "users.exempt_groups = [\"robots\"]",
    ]);
    let _ = scene.person("dave");
    scene.stage.group("robots", 7900, &["dave"]);
    for (name, reason) in [("carol", "exempt-user"), ("dave", "exempt-group")] {
        let mut sudo = scene.sudo_as(name, &["id", "-un"]);
        password(&mut sudo);
        became_root(sudo);
        scene.decision(&format!("exempt user={name} reason={reason}"));
    }
    assert_eq!(scene.simulator.connections(), 0);
    let mut sudo = scene.sudo_as("alice", &["id", "-un"]);
    password(&mut sudo);
    sudo.expect("Verification code (OneLogin): ");
    sudo.line("123456");
    became_root(sudo);
    scene.stage.tried(
        "sudo",
        "an exempt user, a member of an exempt group: the password alone",
    );
}

#[test]
#[ignore = "needs root: run by make test"]
fn r01_sudo_asks_again_after_the_last_day_of_an_exemption() {
    let entries = |days: i64| {
        let until = day_in(days);
        format!(
            "users.exempt = [{{ user = \"carol\", until = \"{until}\", reason = \"ticket 4711\" }}, \
             {{ group = \"robots\", until = \"{until}\", reason = \"no phones\" }}]"
        )
    };
    let scene = Scene::sudo(&[&entries(20)]);
    let _ = scene.person("alice");
    scene.stage.group("robots", 7900, &["alice"]);
    for (name, reason) in [("carol", "ticket 4711"), ("alice", "no phones")] {
        let mut sudo = scene.sudo_as(name, &["id", "-un"]);
        password(&mut sudo);
        became_root(sudo);
        let until = day_in(20);
        scene.decision(&format!(
            "exempt user={name} reason=exempt-until detail=\"until {until}: {reason}\""
        ));
    }
    assert_eq!(scene.stage.decisions().len(), 2, "no warning yet");
    scene.stage.config(&scene.simulator, &[&entries(5)]);
    let mut sudo = scene.sudo_as("carol", &["id", "-un"]);
    password(&mut sudo);
    became_root(sudo);
    scene.decision(&format!("the exemption ends on {}: user=carol", day_in(5)));
    assert_eq!(scene.simulator.connections(), 0);

    // The entry has ended; and the clock is earlier than the last change of the file.
    for (days, is_behind, detail) in [
        (-1, false, "exemption-expired"),
        (20, true, "exemption-clock-behind"),
    ] {
        scene.stage.config(&scene.simulator, &[&entries(days)]);
        if is_behind {
            changed_in("/etc/pam_onelogin/config.toml", 1);
        }
        let mut sudo = scene.sudo_as("alice", &["id", "-un"]);
        password(&mut sudo);
        for _ in 0..3 {
            sudo.expect("Verification code (OneLogin): ");
            sudo.line("999999");
        }
        denied(sudo);
        scene.decision(&format!(
            "denied user=alice onelogin_id=1001 factor=totp reason=wrong-code detail={detail}"
        ));
    }
}

#[test]
#[ignore = "needs root: run by make test"]
fn r01_in_observe_mode_sshd_and_sudo_go_on_after_the_first_factor_alone() {
    let until = |days| format!("observe = {{ until = \"{}\" }}", day_in(days));
    let scene = Scene::sudo(&[&until(5)]);
    let sshd = scene.sshd("sshd-key");
    entered(sshd.client_with_key(&scene.person("dave").name), "dave");
    scene.decision("pam_onelogin(sshd:auth): observed, would ask user=dave onelogin_id=");
    for (name, decision) in [
        (
            "alice",
            "observed, would ask user=alice onelogin_id=1001 factor=totp",
        ),
        (
            "nofactor",
            "observed, would deny user=nofactor onelogin_id=",
        ),
        (
            "stranger",
            "observed, would deny user=stranger reason=no-onelogin-user",
        ),
    ] {
        let mut sudo = scene.sudo_as(name, &["id", "-un"]);
        password(&mut sudo);
        became_root(sudo);
        scene.decision(decision);
    }
    // The first factor is still needed.
    let mut sudo = scene.sudo_as("alice", &["id", "-un"]);
    for _ in 0..3 {
        sudo.expect("assword for alice: ");
        sudo.line("wrong");
    }
    denied(sudo);
    assert_eq!(
        (scene.simulator.activations(), scene.simulator.codes()),
        (0, 0)
    );

    scene.stage.config(&scene.simulator, &[&until(-1)]);
    let mut client = sshd.client_with_key("dave");
    client.expect("Verification code, or Enter for a push to Dave's phone: ");
    drop(client);
    let mut sudo = scene.sudo_as("alice", &["id", "-un"]);
    password(&mut sudo);
    sudo.expect("Verification code (OneLogin): ");
    sudo.line("123456");
    became_root(sudo);
    scene.decision("observe mode does not apply: why=\"its last day is over\"");
}

/// A group that is configured and not there, and one of the user's that has no name: the group database answers in part.
#[test]
#[ignore = "needs root: run by make test"]
fn sudo_denies_when_the_groups_cannot_be_told() {
    let scene = Scene::sudo(&[]);
    scene.stage.group("robots", 7900, &[]);
    scene.stage.nameless_group(&scene.person("erin"));
    for (name, group) in [("dave", "nosuchgroup"), ("erin", "robots")] {
        let exempt = format!("users.exempt_groups = [\"{group}\"]");
        scene.stage.config(&scene.simulator, &[&exempt]);
        let mut sudo = scene.sudo_as(name, &["id", "-un"]);
        password(&mut sudo);
        while sudo.next_of(&["(OneLogin): "]).is_some() {
            sudo.line("123456");
        }
        denied(sudo);
        let decision = scene.decision(&format!("denied user={name}"));
        assert!(decision.contains("reason=group-lookup"), "{decision}");
    }
    assert_eq!(scene.simulator.requests(), []);
    scene
        .stage
        .tried("sudo", "a group look-up that fails: denied");
}

#[test]
#[ignore = "needs root: run by make test"]
fn a_stack_that_hides_our_code_makes_sshd_start_over_and_still_only_one_push_is_sent() {
    let scene = Scene::new(&[]);
    scene.stage.stack("sshd", HIDES_OUR_CODE);
    let sshd = Sshd::start(&scene.stage, &sshd_settings("sshd-password"));
    let mut client = sshd.client(&scene.person("dave").name, &[]);
    client.expect("Password: ");
    client.line(PASSWORD);
    client.expect("Verification code, or Enter for a push to Dave's phone: ");
    client.line("");
    client.expect("Approve it, then press Enter");
    scene.deny_push();
    client.line("");
    let mut again = 0;
    while let Some(which) = client.next_of(&["Password: ", "phone: "]) {
        assert_eq!(which, 0, "the second run asks\n{}", client.screen());
        client.line(PASSWORD);
        again += 1;
    }
    let (status, screen) = client.finish();
    assert!(!status.success() && again > 0, "{screen}");
    assert_eq!(scene.simulator.activations(), 1);
    assert_eq!(scene.denials(), 1 + again);
    scene.stage.tried(
        "sshd",
        "a denied push in a stack that hides our code: run again, one push",
    );
}

/// The two ways in which a user becomes root.
const ROADS: [(&str, &[&str]); 2] = [("sudo", &["id", "-un"]), ("su", &["-c", "id -un"])];
