//! Logins through the real sshd and the real sudo, with the sample stacks of pam.d/ as they stand.
//!
//! They change /etc, so they run on a private one: `tests/private-etc.sh cargo test --test hosts -- --ignored`.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::thread;
use std::time::Duration;

use onelogin_simulator::{Action, Fault, Match, Message, Simulator, samples};
use pam_host::pty::{Pty, Signal};
use pam_host::root::{ENTERED, PASSWORD, Person, Sshd, Stage, sshd_settings};

// sshd: a key, then OneLogin

#[test]
#[ignore = "needs root: run by make test"]
fn sshd_lets_in_with_a_key_and_a_code() {
    let scene = Scene::new(&[]);
    let sshd = scene.sshd("sshd-key");
    let mut client = sshd.client_with_key(&scene.person("alice").name);
    client.expect("OneLogin passcode: ");
    client.line("123456");
    entered(client, "alice");
    assert_eq!(scene.simulator.codes(), 1);
    let decision = scene.decision("accepted user=alice");
    assert!(
        decision.starts_with("pam_onelogin(sshd:auth): accepted "),
        "{decision}"
    );
}

#[test]
#[ignore = "needs root: run by make test"]
fn sshd_denies_after_three_wrong_codes_and_does_not_start_over() {
    let scene = Scene::new(&[]);
    let sshd = scene.sshd("sshd-key");
    let mut client = sshd.client_with_key(&scene.person("alice").name);
    for _ in 0..3 {
        client.expect("OneLogin passcode: ");
        client.line("999999");
    }
    refused(client, "OneLogin passcode: ");
    assert_eq!(scene.simulator.codes(), 3);
    assert_eq!(scene.simulator.activations(), 0);
    assert_eq!(scene.denials(), 1);
}

#[test]
#[ignore = "needs root: run by make test"]
fn sshd_is_known_by_its_connection_and_not_by_the_name_of_the_service() {
    let scene = Scene::new(&[]);
    scene.stage.sample("sshd-key", "doorway");
    let sshd = Sshd::start_as(&scene.stage, "doorway", &sshd_settings("sshd-key"));
    let mut client = sshd.client_with_key(&scene.person("dave").name);
    client.expect("Passcode, or Enter for a push to Dave's phone: ");
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
}

#[test]
#[ignore = "needs root: run by make test"]
fn sshd_lets_in_when_the_push_is_approved() {
    let scene = Scene::new(&[]);
    let sshd = scene.sshd("sshd-key");
    let mut client = sshd.client_with_key(&scene.person("dave").name);
    client.expect("Passcode, or Enter for a push to Dave's phone: ");
    client.line("");
    client.expect("Push sent to Dave's phone. Approve it, then press Enter");
    scene.approve_push();
    client.line("");
    entered(client, "dave");
    assert_eq!(scene.simulator.activations(), 1);
}

#[test]
#[ignore = "needs root: run by make test"]
fn sshd_denies_when_the_push_is_denied_and_sends_no_second_one() {
    let scene = Scene::new(&[]);
    let sshd = scene.sshd("sshd-key");
    let mut client = sshd.client_with_key(&scene.person("dave").name);
    client.expect("Passcode, or Enter for a push to Dave's phone: ");
    client.line("");
    client.expect("Push sent to Dave's phone. Approve it, then press Enter");
    scene.deny_push();
    client.line("");
    refused(client, "Push sent to");
    assert_eq!(scene.simulator.activations(), 1);
    assert_eq!(scene.denials(), 1);
}

#[test]
#[ignore = "needs root: run by make test"]
fn sshd_denies_when_the_push_is_not_answered() {
    let scene = Scene::new(&["push.wait = 1"]);
    let sshd = scene.sshd("sshd-key");
    let mut client = sshd.client_with_key(&scene.person("dave").name);
    client.expect("Passcode, or Enter for a push to Dave's phone: ");
    client.line("");
    client.expect("Push sent to Dave's phone. Approve it, then press Enter");
    client.line("");
    refused(client, "Push sent to");
    assert_eq!(scene.simulator.activations(), 1);
    assert_eq!(scene.denials(), 1);
}

#[test]
#[ignore = "needs root: run by make test"]
fn sshd_offers_a_menu_and_sends_the_text_message_that_was_chosen() {
    let scene = Scene::new(&[]);
    let sshd = scene.sshd("sshd-key");
    let mut client = sshd.client_with_key(&scene.person("bob").name);
    let menu = client.expect("Passcode or option (1-3): ");
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
        let prompt = client.expect("asscode: ");
        screens.push(prompt.replace(name, "NAME"));
    }
    assert_eq!(screens[0], screens[1]);
    assert_eq!(scene.simulator.requests(), []);
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
        while client.next_of(&["asscode: "]).is_some() {
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
    client.expect("OneLogin passcode: ");
    client.line("123456");
    entered(client, "alice");
    assert_eq!(scene.simulator.codes(), 1);
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
    }
}

// sudo

#[test]
#[ignore = "needs root: run by make test"]
fn sudo_asks_for_the_password_and_then_for_a_code() {
    let scene = Scene::sudo(&[]);
    let mut sudo = scene.sudo_as("alice", &["id", "-un"]);
    password(&mut sudo);
    sudo.expect("OneLogin passcode: ");
    sudo.line("123456");
    became_root(sudo);
    assert_eq!(scene.simulator.codes(), 1);
    let decision = scene.decision("accepted user=alice");
    assert!(
        decision.starts_with("pam_onelogin(sudo:auth): accepted "),
        "{decision}"
    );
}

#[test]
#[ignore = "needs root: run by make test"]
fn sudo_i_has_a_stack_of_its_own_and_asks_too() {
    let scene = Scene::sudo(&[]);
    let mut sudo = scene.sudo_as("alice", &["-i", "id", "-un"]);
    password(&mut sudo);
    sudo.expect("OneLogin passcode: ");
    sudo.line("123456");
    became_root(sudo);
    assert_eq!(scene.simulator.codes(), 1);
    let decision = scene.decision("accepted user=alice");
    assert!(
        decision.starts_with("pam_onelogin(sudo-i:auth): accepted "),
        "{decision}"
    );
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
}

#[test]
#[ignore = "needs root: run by make test"]
fn sudo_denies_after_three_wrong_codes_and_does_not_start_over() {
    let scene = Scene::sudo(&[]);
    let mut sudo = scene.sudo_as("alice", &["id", "-un"]);
    password(&mut sudo);
    for _ in 0..3 {
        sudo.expect("OneLogin passcode: ");
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
}

#[test]
#[ignore = "needs root: run by make test"]
fn sudo_shows_that_a_push_was_sent_and_needs_no_further_key() {
    let scene = Scene::sudo(&[]);
    let mut sudo = scene.sudo_as("dave", &["id", "-un"]);
    password(&mut sudo);
    sudo.expect("Passcode, or Enter for a push to Dave's phone: ");
    sudo.line("");
    sudo.expect("Push sent to Dave's phone");
    scene.approve_push();
    became_root(sudo);
    assert_eq!(scene.simulator.activations(), 1);
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
}

#[test]
#[ignore = "needs root: run by make test"]
fn a_stack_that_hides_our_code_makes_sudo_start_over_and_still_only_one_push_is_sent() {
    let scene = Scene::sudo(&["factors.autopush = true"]);
    // "requisite pam_deny" after a jump turns our denial into AUTH_ERR, on which sudo repeats the whole stack.
    let stack = "auth requisite pam_unix.so\nauth [success=1 default=ignore] @module@\nauth requisite pam_deny.so\n\
                 auth required pam_permit.so\naccount required pam_permit.so\nsession required pam_permit.so\n";
    scene.stage.stack("sudo", stack);
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
fn r03_sudo_is_deaf_to_the_environment_of_its_caller() {
    let scene = Scene::sudo(&[]);
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
    let mut command = scene.stage.command(&person, "sudo", &["id", "-un"]);
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
    let mut sudo = scene.stage.on_terminal(&person, command);
    password(&mut sudo);
    sudo.expect("OneLogin passcode: ");
    sudo.line("123456");
    became_root(sudo);
    let caught = trap.accept();
    assert_eq!(scene.simulator.codes(), 1);
    assert!(
        matches!(&caught, Err(error) if error.kind() == ErrorKind::WouldBlock),
        "{caught:?}"
    );
    assert_eq!(other.connections(), 0);
    assert!(!person.home.join("keys").exists());
}

#[test]
#[ignore = "needs root: run by make test"]
fn r02_sudo_is_denied_under_failmode_safe_when_onelogin_is_down() {
    let scene = Scene::sudo(&[
        "failmode = \"safe\"",
        "onelogin.url = \"https://127.0.0.1:1\"",
    ]);
    let mut sudo = scene.sudo_as("alice", &["id", "-un"]);
    while let Some(which) = sudo.next_of(&["password for alice: ", "asscode: "]) {
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
}

#[test]
#[ignore = "needs root: run by make test"]
fn r02_few_descriptors_from_the_caller_never_make_root_without_a_code() {
    let scene = Scene::sudo(&["failmode = \"safe\""]);
    let person = scene.person("alice");
    for limit in 4..=16 {
        let asked = scene.simulator.codes();
        // The shell lowers the limit, hard and soft, and becomes sudo: what a user can do to sudo.
        let line = format!("ulimit -n {limit} && exec sudo id -un");
        let mut sudo = scene
            .stage
            .on_terminal(&person, scene.stage.command(&person, "sh", &["-c", &line]));
        while let Some(which) = sudo.next_of(&["password for alice: ", "asscode: "]) {
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
}

#[test]
#[ignore = "needs root: run by make test"]
fn r02_a_caller_who_stops_sudo_past_its_deadline_does_not_become_root() {
    let scene = Scene::sudo(&["failmode = \"safe\"", "onelogin.request_timeout = 1"]);
    let steps = [
        ("POST", "/auth/oauth2/", Match::token()),
        ("GET", "/api/2/users", Match::new("GET", "/api/2/users")),
        ("GET", "/devices", Match::new("GET", "/devices")),
        ("POST", "/verifications", Match::code()),
    ];
    for (method, path, step) in steps {
        scene.simulator.expire_tokens();
        scene.simulator.clear_requests();
        scene.simulator.fault(Fault::new(step, Action::Silence));
        let mut sudo = scene.sudo_as("alice", &["id", "-un"]);
        password(&mut sudo);
        if path == "/verifications" {
            sudo.expect("OneLogin passcode: ");
            sudo.line("123456");
        }
        let request = scene.simulator.wait_for_request(LONG, method, path);
        request.expect("the module gets to this step");
        sudo.signal(Signal::SIGSTOP);
        // What is waited for is time itself: more than request_timeout, in which the process may not look at its clock.
        thread::sleep(Duration::from_millis(1500));
        scene.simulator.clear_faults();
        sudo.signal(Signal::SIGCONT);
        while sudo
            .next_of(&["password for alice: ", "asscode: "])
            .is_some()
        {
            sudo.line("not the password");
        }
        denied(sudo);
    }
    assert!(
        scene
            .stage
            .decisions()
            .iter()
            .all(|line| line.contains("denied"))
    );
}

// su, where the caller's factor is asked for

#[test]
#[ignore = "needs root: run by make test"]
fn su_to_root_asks_for_the_factor_of_the_caller() {
    let scene = Scene::new(&[]);
    scene.stage.stack("su", OURS_ALONE);
    let alice = scene.person("alice");
    let mut su = scene
        .stage
        .on_terminal(&alice, scene.stage.command(&alice, "su", &["-c", "id -un"]));
    su.expect("OneLogin passcode: ");
    su.line("123456");
    became_root(su);
    scene.decision("accepted user=alice");
}

#[test]
#[ignore = "needs root: run by make test"]
fn su_puts_a_push_into_a_prompt_because_it_may_drop_texts() {
    let scene = Scene::new(&[]);
    scene.stage.stack("su", OURS_ALONE);
    let dave = scene.person("dave");
    let mut su = scene
        .stage
        .on_terminal(&dave, scene.stage.command(&dave, "su", &["-c", "id -un"]));
    su.expect("Passcode, or Enter for a push to Dave's phone: ");
    su.line("");
    su.expect("Push sent to Dave's phone. Approve it, then press Enter");
    scene.approve_push();
    su.line("");
    became_root(su);
}

#[test]
#[ignore = "needs root: run by make test"]
fn sudo_with_rootpw_asks_for_the_factor_of_the_caller() {
    let scene = Scene::new(&[]);
    scene.stage.stack("sudo", OURS_ALONE);
    scene.stage.write(
        "/etc/sudoers",
        "Defaults rootpw, timestamp_timeout=0, lecture=never\nALL ALL=(ALL:ALL) ALL\n",
        0o440,
    );
    let mut sudo = scene.sudo_as("alice", &["id", "-un"]);
    sudo.expect("OneLogin passcode: ");
    sudo.line("123456");
    became_root(sudo);
    scene.decision("accepted user=alice");
}

// The machinery

/// A stage, a simulator with the sample users, and the configuration that joins them.
struct Scene {
    stage: Stage,
    simulator: Simulator,
}

impl Scene {
    fn new(further: &[&str]) -> Self {
        let stage = Stage::enter();
        let simulator = Simulator::start();
        samples(&simulator);
        stage.config(&simulator, further);
        Self { stage, simulator }
    }

    fn sudo(further: &[&str]) -> Self {
        let scene = Self::new(further);
        scene.stage.sample("sudo", "sudo");
        scene.stage.sample("sudo-i", "sudo-i");
        scene
    }

    /// sshd with a sample stack and the settings that the sample asks for.
    fn sshd(&self, sample: &str) -> Sshd {
        self.stage.sample(sample, "sshd");
        Sshd::start(&self.stage, &sshd_settings(sample))
    }

    fn person(&self, name: &str) -> Person {
        self.stage.person(name)
    }

    /// sudo on the terminal of this person.
    fn sudo_as(&self, name: &str, arguments: &[&str]) -> Pty {
        let person = self.person(name);
        self.stage
            .on_terminal(&person, self.stage.command(&person, "sudo", arguments))
    }

    /// The person approves, as soon as the push is on the phone.
    fn approve_push(&self) {
        self.push();
        self.simulator.approve_latest().expect("a push is open");
    }

    /// The person denies, as soon as the push is on the phone.
    fn deny_push(&self) {
        self.push();
        self.simulator.deny_latest().expect("a push is open");
    }

    fn push(&self) {
        let push = self
            .simulator
            .wait_for_message(LONG, |message| matches!(message, Message::Push { .. }));
        push.expect("a push was sent");
    }

    /// The code of the text message.
    fn text_message(&self) -> String {
        let message = self
            .simulator
            .wait_for_message(LONG, |message| matches!(message, Message::Sms { .. }));
        match message {
            Some(Message::Sms { code, .. }) => code,
            other => panic!("a text message was sent, not {other:?}"),
        }
    }

    /// The log line of the module with this text.
    fn decision(&self, text: &str) -> String {
        self.stage.wait_for_decision(text)
    }

    /// How many denials the module has logged.
    fn denials(&self) -> usize {
        self.stage
            .decisions()
            .iter()
            .filter(|line| line.contains("denied"))
            .count()
    }
}

/// The client got in, as this user.
fn entered(client: Pty, user: &str) {
    let (status, screen) = client.finish();
    assert!(screen.contains(&format!("{ENTERED} {user}")), "{screen}");
    assert!(status.success(), "{status}\n{screen}");
}

/// The client does not get in, and never sees `prompt` again.
fn refused(mut client: Pty, prompt: &str) {
    // After PAM_MAXTRIES some clients are left with one prompt that leads nowhere.
    while let Some(which) = client.next_of(&[prompt, "assword: "]) {
        assert_ne!(which, 0, "sshd started over\n{}", client.screen());
        client.line("");
    }
    let (status, screen) = client.finish();
    assert!(!screen.contains(ENTERED), "{screen}");
    assert!(!status.success(), "{screen}");
}

fn password(sudo: &mut Pty) {
    sudo.expect("[sudo] password for ");
    sudo.line(PASSWORD);
}

fn became_root(sudo: Pty) {
    let (status, screen) = sudo.finish();
    assert!(
        status.success() && screen.trim_end().ends_with("root"),
        "{status}\n{screen}"
    );
}

/// sudo ended without doing its work; gives the screen.
fn denied(sudo: Pty) -> String {
    let (status, screen) = sudo.finish();
    assert!(
        !status.success() && !screen.trim_end().ends_with("root"),
        "{status}\n{screen}"
    );
    screen
}

/// sshd asks PAM alone, and our module is the first to speak: nothing has proven the user.
const KEYBOARD_ONLY: &str = "UsePAM yes\nKbdInteractiveAuthentication yes\nPasswordAuthentication no\nAuthenticationMethods keyboard-interactive";
const UNPROVEN: &str = "auth requisite @module@\nauth required pam_permit.so\naccount required pam_permit.so\nsession required pam_permit.so\n";
/// More than any wait that a test can end by an event.
const LONG: Duration = Duration::from_secs(60);
/// Our module and no other.
const OURS_ALONE: &str =
    "auth required @module@\naccount required pam_permit.so\nsession required pam_permit.so\n";
