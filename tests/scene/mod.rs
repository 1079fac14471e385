//! What the tests with the real programs share: a stage with a simulated OneLogin, and how a login ends on a screen.
#![allow(unreachable_pub, dead_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use onelogin_simulator::{Factor, Simulator, samples};
use pam_host::pty::Pty;
use pam_host::root::{ENTERED, PASSWORD, Person, Sshd, Stage, sshd_settings};

/// A stage, a simulator with the sample users, and the configuration that joins them.
pub struct Scene {
    pub stage: Stage,
    pub simulator: Simulator,
}

impl Scene {
    /// A configuration with these lines; no stack yet.
    pub fn new(further: &[&str]) -> Self {
        let stage = Stage::enter();
        let simulator = Simulator::start();
        samples(&simulator);
        stage.config(&simulator, further);
        Self { stage, simulator }
    }

    /// With the samples for sudo in place.
    pub fn sudo(further: &[&str]) -> Self {
        let scene = Self::new(further);
        scene.stage.sample("sudo", "sudo");
        scene.stage.sample("sudo-i", "sudo-i");
        scene
    }

    /// sshd with a sample stack and the settings that the sample asks for.
    pub fn sshd(&self, sample: &str) -> Sshd {
        self.stage.sample(sample, "sshd");
        Sshd::start(&self.stage, &sshd_settings(sample))
    }

    /// Somebody with an account here.
    pub fn person(&self, name: &str) -> Person {
        self.stage.person(name)
    }

    /// sudo on the terminal of this person.
    pub fn sudo_as(&self, name: &str, arguments: &[&str]) -> Pty {
        self.as_person(name, "sudo", arguments)
    }

    /// A program on the terminal of this person.
    pub fn as_person(&self, name: &str, program: &str, arguments: &[&str]) -> Pty {
        let person = self.person(name);
        let command = self.stage.command(&person, program, arguments);
        self.stage.on_terminal(&person, command)
    }

    /// The person approves, as soon as the push is on the phone.
    pub fn approve_push(&self) {
        self.wait_for_push();
        self.simulator.approve_latest().expect("a push is open");
    }

    /// The person denies, as soon as the push is on the phone.
    pub fn deny_push(&self) {
        self.wait_for_push();
        self.simulator.deny_latest().expect("a push is open");
    }

    /// Waits until a push is on the phone.
    pub fn wait_for_push(&self) {
        let push = self
            .simulator
            .wait_for_message(LONG, |message| message.factor == Factor::Protect);
        push.expect("a push was sent");
    }

    /// The code of the text message.
    pub fn text_message(&self) -> String {
        let message = self
            .simulator
            .wait_for_message(LONG, |message| message.factor == Factor::Sms);
        let message = message.expect("a text message was sent");
        message.code().expect("it has a code").to_owned()
    }

    /// The log line of the module with this text.
    pub fn decision(&self, text: &str) -> String {
        self.stage.wait_for_decision(text)
    }

    /// How often the state of a push was asked for.
    pub fn polls(&self) -> usize {
        self.simulator.count("GET", "/verifications/")
    }

    /// No request so far has this text in it.
    pub fn assert_never_sent(&self, text: &str) {
        for request in self.simulator.requests() {
            assert!(!format!("{request:?}").contains(text), "{request:#?}");
        }
    }

    /// Gives a user another password, by its hash as in /etc/shadow.
    pub fn change_password(&self, name: &str, hash: &str) {
        let shadow = fs::read_to_string("/etc/shadow").expect("/etc/shadow can be read");
        let changed: String = shadow
            .lines()
            .map(|line| {
                let mut fields: Vec<_> = line.split(':').collect();
                if fields[0] == name {
                    fields[1] = hash;
                }
                fields.join(":") + "\n"
            })
            .collect();
        let entry = format!("{name}:{hash}:");
        assert!(
            changed.lines().any(|line| line.starts_with(&entry)),
            "{changed}"
        );
        self.stage.write("/etc/shadow", changed, 0o640);
    }

    /// How many denials the module has logged.
    pub fn denials(&self) -> usize {
        self.stage
            .decisions()
            .iter()
            .filter(|line| line.contains(": denied "))
            .count()
    }
}

/// The folder of the Python programs that tests/clients/environment.sh installs.
pub fn python_programs() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients/ssh/bin");
    assert!(
        folder.join("python").exists(),
        "there is no {}: run tests/clients/environment.sh ssh",
        folder.display()
    );
    folder
}

/// The client got in, as this user.
pub fn entered(client: Pty, user: &str) {
    let (status, screen) = client.finish();
    assert!(screen.contains(&format!("{ENTERED} {user}")), "{screen}");
    assert!(status.success(), "{status}\n{screen}");
}

/// The client does not get in, and never sees `prompt` again.
pub fn refused(mut client: Pty, prompt: &str) {
    // After PAM_MAXTRIES some clients are left with one prompt that leads nowhere.
    while let Some(which) = client.next_of(&[prompt, "assword: "]) {
        assert_ne!(which, 0, "sshd started over\n{}", client.screen());
        client.line("");
    }
    let (status, screen) = client.finish();
    assert!(!screen.contains(ENTERED), "{screen}");
    assert!(!status.success(), "{screen}");
}

/// The password that sudo asks for first.
pub fn password(sudo: &mut Pty) {
    sudo.expect("[sudo] password for ");
    sudo.line(PASSWORD);
}

pub fn became_root(sudo: Pty) {
    let (status, screen) = sudo.finish();
    assert!(
        status.success() && screen.trim_end().ends_with("root"),
        "{status}\n{screen}"
    );
}

/// sudo ended without doing its work; gives the screen.
pub fn denied(sudo: Pty) -> String {
    let (status, screen) = sudo.finish();
    assert!(
        !status.success() && !screen.trim_end().ends_with("root"),
        "{status}\n{screen}"
    );
    screen
}

/// sshd asks PAM alone, and our module is the first to speak: nothing has proven the user.
pub const KEYBOARD_ONLY: &str = "UsePAM yes\nKbdInteractiveAuthentication yes\nPasswordAuthentication no\nAuthenticationMethods keyboard-interactive";
pub const UNPROVEN: &str = "auth requisite @module@\nauth required pam_permit.so\naccount required pam_permit.so\nsession required pam_permit.so\n";
/// More than any wait that a test can end by an event.
pub const LONG: Duration = Duration::from_secs(60);
/// Our module and no other.
pub const OURS_ALONE: &str =
    "auth required @module@\naccount required pam_permit.so\nsession required pam_permit.so\n";
/// Behind the jump `requisite pam_deny` turns our denial into `AUTH_ERR`, on which most hosts repeat the whole stack.
pub const HIDES_OUR_CODE: &str = "auth requisite pam_unix.so\nauth [success=1 default=ignore] @module@\n\
    auth requisite pam_deny.so\nauth required pam_permit.so\naccount required pam_permit.so\nsession required pam_permit.so\n";
