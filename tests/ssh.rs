//! ssh, seen from its clients: what stands on the wire, one challenge for one connection, and no password for `OneLogin`.
//!
//! They change /etc, so they run on a private one: `tests/private-etc.sh cargo test --test ssh -- --ignored`.

mod scene;

use std::process::Command;

use onelogin_simulator::{Action, Device, Fault, Match, PushBehaviour, User};
use pam_host::pty::Pty;
use pam_host::root::{ENTERED, HASH, PASSWORD, Sshd, sshd_settings};
use scene::{KEYBOARD_ONLY, LONG, Scene, UNPROVEN, entered, python_programs, refused};

// What is on the wire, by asyncssh

#[test]
#[ignore = "needs root: run by make test"]
fn asyncssh_gets_one_prompt_for_a_code_and_is_in() {
    let scene = Scene::new(&[]);
    let sshd = scene.sshd("sshd-key");
    let wire = Wire::of(&scene, &sshd, "alice", &["123456"]);
    assert_eq!(wire.prompts, ["Verification code (OneLogin): "]);
    assert_eq!((wire.attempts, wire.is_in), (1, true));
}

#[test]
#[ignore = "needs root: run by make test"]
fn asyncssh_gets_every_word_about_a_push_in_two_prompts() {
    let scene = Scene::new(&[]);
    let sshd = scene.sshd("sshd-key");
    scene.simulator.on_push(PushBehaviour::ApproveAfterPolls(0));
    let wire = Wire::of(&scene, &sshd, "dave", &[""]);
    assert_eq!(
        wire.prompts,
        [
            "Verification code, or Enter for a push to Dave's phone: ",
            "Push sent to Dave's phone. Approve it, then press Enter (or type a code): ",
        ]
    );
    assert_eq!((wire.attempts, wire.is_in), (1, true));
    assert_eq!(wire.texts, [""; 0]);
    assert_eq!(scene.simulator.activations(), 1);
}

#[test]
#[ignore = "needs root: run by make test"]
fn asyncssh_gets_the_menu_as_one_prompt_and_the_code_of_a_message_in_another() {
    let scene = Scene::new(&[]);
    let sshd = scene.sshd("sshd-key");
    scene.simulator.set_next_code("135790");
    let wire = Wire::of(&scene, &sshd, "bob", &["3", "135790"]);
    assert_eq!(
        wire.prompts,
        [
            "OneLogin verification for bob\n\n 1. Push to OneLogin Protect (Bob's phone)\n \
             2. Verification code from Bob's app\n 3. Text message\n\nVerification code or option (1-3): ",
            "Verification code from the text message to Bob's number: ",
        ]
    );
    assert!(wire.is_in);
}

#[test]
#[ignore = "needs root: run by make test"]
fn asyncssh_gets_the_password_and_the_code_in_requests_of_their_own() {
    let scene = Scene::new(&[]);
    let sshd = scene.sshd("sshd-password");
    let wire = Wire::without_key(&scene, &sshd, "alice", &[PASSWORD, "123456"]);
    assert_eq!(
        wire.prompts,
        ["Password: ", "Verification code (OneLogin): "]
    );
    assert_eq!(wire.shown, [false, true]);
    assert!(wire.is_in);
}

// What a person sees, by OpenSSH's client and by PuTTY's

#[test]
#[ignore = "needs root: run by make test"]
fn the_wait_for_a_push_begins_when_enter_is_pressed() {
    let scene = Scene::new(&[]);
    let sshd = scene.sshd("sshd-key");
    let mut client = sshd.client_with_key(&scene.person("dave").name);
    client.expect("Verification code, or Enter for a push to Dave's phone: ");
    assert_eq!(scene.simulator.activations(), 0);
    client.line("");
    client.expect("Approve it, then press Enter (or type a code): ");
    assert_eq!(scene.polls(), 0);
    client.line("");
    scene
        .simulator
        .wait_for_request(LONG, "GET", "/verifications/")
        .expect("the push is polled");
    scene.approve_push();
    entered(client, "dave");
    assert_eq!(scene.simulator.activations(), 1);
}

#[test]
#[ignore = "needs root: run by make test"]
fn a_code_typed_instead_of_enter_is_checked_at_once() {
    let scene = Scene::new(&[]);
    let sshd = scene.sshd("sshd-key");
    let mut client = sshd.client_with_key(&scene.person("dave").name);
    client.expect("Verification code, or Enter for a push to Dave's phone: ");
    client.line("");
    client.expect("Approve it, then press Enter (or type a code): ");
    client.line("444444");
    entered(client, "dave");
    assert_eq!((scene.polls(), scene.simulator.codes()), (0, 1));
}

#[test]
#[ignore = "needs root: run by make test"]
fn plink_shows_the_prompt_and_lets_in_with_a_code() {
    let scene = Scene::new(&[]);
    let sshd = scene.sshd("sshd-key");
    let mut client = plink(&scene, &sshd, "alice");
    client.expect("Verification code (OneLogin): ");
    client.line("123456");
    entered(client, "alice");
    assert_eq!(scene.simulator.codes(), 1);
}

#[test]
#[ignore = "needs root: run by make test"]
fn plink_shows_that_a_push_was_sent_and_lets_in_when_it_is_approved() {
    let scene = Scene::new(&[]);
    let sshd = scene.sshd("sshd-key");
    let mut client = plink(&scene, &sshd, "dave");
    client.expect("Verification code, or Enter for a push to Dave's phone: ");
    client.line("");
    client.expect("Push sent to Dave's phone. Approve it, then press Enter (or type a code): ");
    scene.approve_push();
    client.line("");
    entered(client, "dave");
    assert_eq!(scene.simulator.activations(), 1);
}

#[test]
#[ignore = "needs root: run by make test"]
fn plink_is_refused_after_three_wrong_codes() {
    let scene = Scene::new(&[]);
    let sshd = scene.sshd("sshd-key");
    let mut client = plink(&scene, &sshd, "alice");
    for _ in 0..3 {
        client.expect("Verification code (OneLogin): ");
        client.line("999999");
    }
    refused(client, "Verification code (OneLogin): ");
    assert_eq!(scene.simulator.codes(), 3);
}

// One connection, one challenge

#[test]
#[ignore = "needs root: run by make test"]
fn r14_asyncssh_that_starts_over_as_often_as_sshd_lets_it_gets_one_push_or_three_tries() {
    let scene = Scene::new(&[]);
    scene.stage.stack("sshd", HIDING);
    let sshd = Sshd::start(&scene.stage, &sshd_settings("sshd-key"));
    scene.simulator.on_push(PushBehaviour::DenyAfterPolls(0));
    let wire = Wire::of(&scene, &sshd, "dave", &[""]);
    assert_eq!((wire.attempts, wire.is_in), (MAX_AUTH_TRIES, false));
    assert_eq!(wire.prompts.len(), 2);
    assert_eq!(scene.simulator.activations(), 1);

    scene.simulator.clear_requests();
    let wire = Wire::of(&scene, &sshd, "alice", &["999999"]);
    assert_eq!((wire.attempts, wire.is_in), (MAX_AUTH_TRIES, false));
    assert_eq!(
        wire.prompts,
        [
            "Verification code (OneLogin): ",
            "Not accepted. Verification code (OneLogin): ",
            "Not accepted. Verification code (OneLogin): "
        ]
    );
    assert_eq!(scene.simulator.codes(), 3);
    let last = scene.simulator.requests().pop().expect("requests");
    assert!(last.path.ends_with("/verifications"), "{last:?}");

    // The next connection starts afresh.
    let wire = Wire::of(&scene, &sshd, "alice", &["123456"]);
    assert!(wire.is_in);
}

#[test]
#[ignore = "needs root: run by make test"]
fn r14_asyncssh_that_is_denied_by_the_sample_stacks_has_no_second_attempt() {
    for sample in ["sshd-key", "sshd-password"] {
        let scene = Scene::new(&[]);
        let sshd = scene.sshd(sample);
        for (pushes, name, answers) in [
            (PushBehaviour::DenyAfterPolls(0), "dave", ["", ""]),
            (PushBehaviour::Manual, "alice", ["999999", "999999"]),
        ] {
            scene.simulator.clear_requests();
            scene.simulator.on_push(pushes);
            let wire = if sample == "sshd-key" {
                Wire::of(&scene, &sshd, name, &answers)
            } else {
                let answers: Vec<_> = [PASSWORD].into_iter().chain(answers).collect();
                Wire::without_key(&scene, &sshd, name, &answers)
            };
            assert_eq!((wire.attempts, wire.is_in), (1, false), "{sample} {name}");
            let sent = (scene.simulator.activations(), scene.simulator.codes());
            assert!(matches!(sent, (1, 0) | (0, 3)), "{sample} {name} {sent:?}");
        }
    }
}

// Several connections at once, as an editor opens them

#[test]
#[ignore = "needs root: run by make test"]
fn r14_three_connections_at_once_get_one_push_after_the_other_and_an_approval_serves_one() {
    let scene = Scene::new(&[]);
    let sshd = scene.sshd("sshd-key");
    let name = scene.person("dave").name;
    let mut clients = [(); 3].map(|()| sshd.client_with_key(&name));
    for client in &mut clients {
        client.expect("Verification code, or Enter for a push to Dave's phone: ");
    }
    let [mut first, mut second, mut third] = clients;
    first.line("");
    first.expect("Push sent to Dave's phone.");
    for client in [&mut second, &mut third] {
        client.line("");
        client.expect("Another login is waiting on your phone.");
    }
    assert_eq!(scene.simulator.activations(), 1);
    // Whoever does not want to wait types a code.
    third.line("444444");
    entered(third, "dave");
    scene.approve_push();
    first.line("");
    entered(first, "dave");
    second.line("");
    second.expect("Push sent to Dave's phone.");
    assert_eq!(scene.simulator.activations(), 2);
    scene.approve_push();
    second.line("");
    entered(second, "dave");
}

// The login password

#[test]
#[ignore = "needs root: run by make test"]
fn r12_a_forbidden_user_causes_no_call_by_password_or_keyboard() {
    let scene = Scene::new(&["factors.autopush = true"]);
    let root = Device::protect("900", "Root's phone").code("909090");
    scene.simulator.add_user(User::new(2000, "root"));
    scene.simulator.add_device(2000, root);
    let _ = scene.person("dave");
    scene.change_password("root", HASH);
    scene.stage.sample("sshd-password", "sshd");
    for (rule, name) in [
        ("AllowUsers alice", "dave"),
        ("DenyUsers dave", "dave"),
        ("PermitRootLogin prohibit-password", "root"),
        ("PermitRootLogin no", "root"),
        ("", "nobodyofthatname"),
    ] {
        let both = "UsePAM yes\nKbdInteractiveAuthentication yes\nPasswordAuthentication yes";
        let sshd = Sshd::start(&scene.stage, &format!("{both}\n{rule}"));
        for method in ["password", "keyboard-interactive"] {
            let method = format!("PreferredAuthentications={method}");
            let mut client = sshd.client(name, &[&method, "NumberOfPasswordPrompts=1"]);
            while client.next_of(&["assword: ", "(OneLogin): "]).is_some() {
                client.line(PASSWORD);
            }
            let (status, screen) = client.finish();
            assert!(!status.success(), "{rule}, {method}: {screen}");
            assert_eq!(scene.stage.decisions(), [""; 0], "{rule}, {method}");
            assert_eq!(scene.simulator.connections(), 0, "{rule}, {method}");
        }
    }
}

#[test]
#[ignore = "needs root: run by make test"]
fn r12_asyncssh_cannot_send_a_code_as_a_forbidden_user() {
    // Our module alone: what sshd makes of the answers of such users gets to it, and has no shape of a code.
    let scene = Scene::new(&[]);
    scene.stage.stack("sshd", UNPROVEN);
    let _ = (scene.person("alice"), scene.person("dave"));
    let settings = format!("{KEYBOARD_ONLY}\nDenyUsers alice");
    let sshd = Sshd::start(&scene.stage, &settings);
    for (name, reason) in [("alice", "no-code"), ("nobodyofthatname", "no-account")] {
        let wire = Wire::without_key(&scene, &sshd, name, &["123456"]);
        assert!(!wire.is_in && wire.attempts >= 1);
        scene.decision(&format!("reason={reason}"));
        assert_eq!(scene.simulator.requests(), []);
    }
}

#[test]
#[ignore = "needs root: run by make test"]
fn r12_asyncssh_cannot_make_the_login_password_reach_onelogin() {
    let scene = Scene::new(&[]);
    let sshd = scene.sshd("sshd-password");
    for name in ["alice", "bob", "carol", "dave"] {
        let wire = Wire::without_key(&scene, &sshd, name, &[PASSWORD]);
        assert!(!wire.is_in, "{name}");
        assert_eq!(wire.prompts.len(), 4, "{name}: {:?}", wire.prompts);
        scene.decision(&format!("user={name} onelogin_id="));
    }
    scene.assert_never_sent(PASSWORD);
    assert_eq!(scene.simulator.codes(), 0);
    assert_eq!(scene.simulator.activations(), 0);
}

#[test]
#[ignore = "needs root: run by make test"]
fn r12_asyncssh_cannot_send_a_login_password_that_has_the_shape_of_a_code() {
    let scene = Scene::new(&[]);
    let sshd = scene.sshd("sshd-password");
    for name in ["alice", "bob", "dave"] {
        let _ = scene.person(name);
        scene.change_password(name, DIGITS_HASH);
        let wire = Wire::without_key(&scene, &sshd, name, &[DIGITS]);
        assert_eq!((wire.is_in, wire.prompts.len()), (false, 4), "{name}");
        scene.change_password(name, HASH);
    }
    scene.assert_never_sent(DIGITS);
    scene.decision("reason=password-typed");
}

#[test]
#[ignore = "needs root: run by make test"]
fn r13_asyncssh_sees_the_same_for_every_state_of_an_unproven_user() {
    let scene = Scene::new(&["users.exempt_users = [\"frank\"]"]);
    scene.stage.stack("sshd", UNPROVEN);
    let sshd = Sshd::start(&scene.stage, KEYBOARD_ONLY);
    // Known; suspended at OneLogin; unknown there; without a factor; with one that takes no code; unknown to the system.
    let names = [
        "alice",
        "mallory",
        "stranger",
        "nofactor",
        "erin",
        "nobodyofthatname",
    ];
    let mut seen = Vec::new();
    for name in names {
        if name != "nobodyofthatname" {
            let _ = scene.person(name);
        }
        let wire = Wire::without_key(&scene, &sshd, name, &["999999"]);
        assert!(!wire.is_in, "{name}");
        seen.push((wire.attempts, wire.prompts, wire.texts));
    }
    for (name, other) in names.iter().zip(&seen) {
        assert_eq!(*other, seen[0], "{name}");
    }
    // An exemption is the one state that shows: there the admin has said that nobody is asked.
    let _ = scene.person("frank");
    let wire = Wire::without_key(&scene, &sshd, "frank", &["999999"]);
    assert_eq!((wire.is_in, wire.prompts.len()), (true, 0));
}

/// sshd turns root's answers into junk unless root may log in by every method: an accepted key is not enough.
#[test]
#[ignore = "needs root: run by make test"]
fn r12_asyncssh_as_root_behind_a_key_needs_permit_root_login_yes() {
    let scene = Scene::new(&[]);
    let phone = Device::protect("900", "Root's phone").code("909090");
    scene.simulator.add_user(User::new(2000, "root"));
    scene.simulator.add_device(2000, phone);
    scene.simulator.on_push(PushBehaviour::ApproveAfterPolls(0));
    scene.stage.sample("sshd-key", "sshd");
    let key = scene.stage.private_key().with_extension("pub");
    for (permit, enters) in [("prohibit-password", false), ("yes", true)] {
        let settings = format!(
            "{}\nAuthorizedKeysFile {}\nPermitRootLogin {permit}",
            sshd_settings("sshd-key"),
            key.display()
        );
        let sshd = Sshd::start(&scene.stage, &settings);
        let wire = Wire::of(&scene, &sshd, "root", &["909090"]);
        assert_eq!(
            (wire.is_in, scene.simulator.codes()),
            (enters, usize::from(enters))
        );
        // A push has no answer that could be spoilt; sshd refuses root after its approval.
        scene.simulator.clear_requests();
        let wire = Wire::of(&scene, &sshd, "root", &[""]);
        assert_eq!((wire.is_in, scene.simulator.activations()), (enters, 1));
    }
}

// Time

#[test]
#[ignore = "needs root: run by make test"]
fn r09_sshd_denies_and_goes_on_when_onelogin_is_silent_or_drips() {
    let scene = Scene::new(&[
        "onelogin.request_timeout = 1",
        "onelogin.connect_timeout = 1",
        "failmode = \"safe\"\nfailmode_from = [\"0.0.0.0/0\"]",
    ]);
    let sshd = scene.sshd("sshd-key");
    let person = scene.person("alice");
    for action in [
        Action::Silence,
        Action::Drip {
            bytes: 1,
            every_ms: 500,
        },
    ] {
        scene.simulator.expire_tokens();
        scene
            .simulator
            .fault(Fault::new(Match::any(), action.clone()));
        let client = sshd.client_with_key(&person.name);
        refused(client, "(OneLogin): ");
        scene.simulator.clear_faults();
    }
    let denials = scene.stage.decisions();
    assert!(
        denials.len() >= 2 && denials.iter().all(|line| line.contains("reason=timeout")),
        "{denials:#?}"
    );
}

// The machinery

/// What asyncssh saw of one connection.
#[derive(Debug, Default)]
struct Wire {
    /// How often keyboard-interactive was begun.
    attempts: usize,
    prompts: Vec<String>,
    /// Whether each prompt shows what is typed.
    shown: Vec<bool>,
    /// Texts outside of prompts; when and how they come depends on the version of sshd.
    texts: Vec<String>,
    is_in: bool,
}

impl Wire {
    fn of(scene: &Scene, sshd: &Sshd, user: &str, answers: &[&str]) -> Self {
        let key = scene.stage.private_key();
        Self::login(scene, sshd, user, &key.display().to_string(), answers)
    }

    fn without_key(scene: &Scene, sshd: &Sshd, user: &str, answers: &[&str]) -> Self {
        Self::login(scene, sshd, user, "", answers)
    }

    fn login(scene: &Scene, sshd: &Sshd, user: &str, key: &str, answers: &[&str]) -> Self {
        if user != "nobodyofthatname" {
            let _ = scene.person(user);
        }
        let output = Command::new(python_programs().join("python"))
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/clients/login.py"
            ))
            .args([&sshd.port().to_string(), user, key])
            .arg(format!("{answers:?}"))
            .output()
            .expect("python can be started");
        let text = String::from_utf8(output.stdout).expect("the program writes UTF-8");
        let mut wire = Self::default();
        let mut is_over = false;
        for line in text.lines() {
            let event: serde_json::Value = serde_json::from_str(line).expect("a line is JSON");
            match event[0].as_str() {
                Some("begins") => wire.attempts += 1,
                Some("asks") => {
                    for prompt in event[1].as_array().into_iter().flatten() {
                        wire.prompts
                            .push(prompt[0].as_str().expect("a prompt").to_owned());
                        wire.shown.push(prompt[1] == true);
                    }
                }
                Some("tells") => wire
                    .texts
                    .push(event[1].as_str().expect("a text").to_owned()),
                Some("entered") => (wire.is_in, is_over) = (true, true),
                Some("refused") => is_over = true,
                _ => panic!("{line}"),
            }
        }
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(is_over, "{text}\n{errors}");
        wire
    }
}

/// The client of `PuTTY` with the key of the stage, on a terminal; it does as [`Sshd::client`] does.
fn plink(scene: &Scene, sshd: &Sshd, user: &str) -> Pty {
    let _ = scene.person(user);
    let key = scene.stage.private_key();
    let ppk = key.with_extension("ppk");
    let mut puttygen = Command::new("puttygen");
    puttygen.arg(&key).args(["-O", "private", "-o"]).arg(&ppk);
    assert!(puttygen.status().expect("puttygen is installed").success());
    let mut command = Command::new("plink");
    command
        .args(["-ssh", "-no-antispoof", "-P", &sshd.port().to_string()])
        .args(["-l", user, "-hostkey", &sshd.fingerprint(), "-i"])
        .arg(&ppk)
        .args(["127.0.0.1", &format!("echo '{ENTERED}' $(id -un)")])
        .env_clear()
        .envs([
            ("PATH", "/usr/bin:/bin"),
            ("TERM", "dumb"),
            ("HOME", "/run"),
        ]);
    Pty::spawn(command)
}

/// A stack that turns our denials into another code, on which sshd lets the client start over.
const HIDING: &str = "auth [success=1 default=ignore] @module@\nauth requisite pam_deny.so\nauth required pam_permit.so\n\
    account required pam_permit.so\nsession required pam_permit.so\n";
/// A password that could be a code, and its hash.
const DIGITS: &str = "24681357";
const DIGITS_HASH: &str = "$6$rounds=1000$pamhost$sfGRMXjAZgTo/cGCa5ub0agmu9Vjz5/65CDXAlSKEOyxJUsZvotYK8FuZrh7RxojE/.8ITJ2vHsWBwlmwfFo61";
/// sshd's own default.
const MAX_AUTH_TRIES: usize = 6;
