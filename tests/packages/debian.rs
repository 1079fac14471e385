//! The .deb: a person with the README, the life cycle, the profile of pam-auth-update.

use std::collections::BTreeMap;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::thread;

use crate::system::*;
use pam_host::Pty;

pub(crate) const RELEASES: [&str; 2] = ["bookworm", "trixie"];

// A person with the README and the package

#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn a_person_with_the_readme_and_the_package_gets_a_second_factor_in_sudo() {
    for release in RELEASES {
        let system = System::unpack(release);
        let before = system.stacks();
        let onelogin = system.onelogin();
        system.person("alice");
        let commands = documented();
        let step = |word: &str| command_with(&commands, word);

        system.copy(&package("deb"), "/root/");
        system.sh(&step("apt-get install ./"));
        assert_eq!(system.stacks(), before, "installing changed a stack");
        alice_becomes_root_by_password_alone(&system);

        // What the README says to fill in, and nothing else: the simulator's certificate is one that the system trusts.
        fill_in(&system, &onelogin);
        system.sh(&step("sed -i '/^@include common-auth"));

        let mut sudo = system.sudo("alice", &["id", "-un"]);
        sudo.expect("password for alice: ");
        sudo.line(PASSWORD);
        sudo.expect("Verification code (OneLogin): ");
        sudo.line("123456");
        let (status, screen) = sudo.finish();
        assert!(status.success() && screen.ends_with("root\r\n"), "{screen}");
        assert_eq!(onelogin.codes(), 1);
        let line = system.logged("accepted user=alice");
        assert!(
            line.contains("pam_onelogin(sudo:auth): accepted "),
            "{line}"
        );

        // sudo -i has a stack of its own, and a wrong code lets nobody in.
        let mut sudo = system.sudo("alice", &["-i", "id", "-un"]);
        sudo.expect("password for alice: ");
        sudo.line(PASSWORD);
        for _ in 0..3 {
            sudo.expect("Verification code (OneLogin): ");
            sudo.line("999999");
        }
        let (status, screen) = sudo.finish();
        assert!(
            !status.success() && !screen.contains("root\r\n"),
            "{screen}"
        );

        system.sh(&step("sed -i '/pam_onelogin/d'"));
        system.sh(&step("apt-get remove"));
        assert_eq!(system.stacks(), before, "removing left something");
        alice_becomes_root_by_password_alone(&system);
    }
}

#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn bash_zsh_and_fish_complete_services_and_user_names() {
    let system = System::unpack("bookworm");
    system.sh("apt-get install --no-install-recommends zsh fish");
    system.install();
    system.person("alice");
    for (shell, load) in [
        (
            "bash --norc -i",
            ". /usr/share/bash-completion/completions/pam-onelogin",
        ),
        ("zsh -f -i", "autoload -Uz compinit && compinit -u"),
    ] {
        let mut screen = system.terminal(shell);
        screen.line(&format!("PS1='ready> '; {load}; echo loa''ded"));
        screen.expect("loaded");
        screen.type_keys("pam-onelogin enable ss\t");
        screen.expect("enable sshd");
        screen.type_keys("\u{15}pam-onelogin test ali\t");
        screen.expect("test alice");
        screen.type_keys("\u{15}");
        screen.line("exit");
        let _ = screen.finish();
    }
    let fish = |words: &str| system.sh(&format!("fish -c 'complete -C \"pam-onelogin {words}\"'"));
    assert!(fish("enable ss").starts_with("sshd"));
    assert!(fish("test ali").starts_with("alice"));
}

#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn a_person_with_the_readme_and_the_package_gets_a_second_factor_in_sshd() {
    for release in RELEASES {
        let system = System::unpack(release);
        system.write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n");
        system.sh("chmod +x /usr/sbin/policy-rc.d && apt-get install --no-install-recommends openssh-server openssh-client");
        let onelogin = system.onelogin();
        system.person("alice");
        system.sh("mkdir -p -m 0755 /run/sshd /home/alice/.ssh && ssh-keygen -q -t ed25519 -N '' -f key && \
            cp key.pub /home/alice/.ssh/authorized_keys && chown -R alice: /home/alice/.ssh");
        let before = system.stacks();
        let chapter = documented();
        let step = |word: &str| command_with(&chapter, word);

        system.install();
        let screen = system.terminal(&step("pam-onelogin check alice")).finish();
        assert!(!screen.0.success(), "nothing is filled in: {}", screen.1);
        assert!(screen.1.contains("config.toml:"), "{}", screen.1);
        fill_in(&system, &onelogin);
        let (_, screen) = system.terminal(&step("pam-onelogin check alice")).finish();
        assert!(!screen.contains("FAULT"), "{screen}");

        let mut screen = system.terminal(&step("pam-onelogin test"));
        screen.expect("Verification code (OneLogin): ");
        screen.line("123456");
        assert!(screen.finish().0.success());
        let (_, screen) = system.terminal(&step("pam-onelogin users")).finish();
        assert!(screen.contains("alice"), "{screen}");
        assert_eq!(system.stacks(), before, "so far nothing has changed");

        let sshd = Server::start(&system);
        let by_key_alone = || {
            let (status, screen) = sshd.alice(&system).finish();
            assert!(
                status.success() && screen.ends_with("alice\r\n"),
                "{screen}"
            );
        };
        by_key_alone();
        let mut admin = system.terminal(&step("pam-onelogin enable sshd"));
        admin.expect("Verification code (OneLogin): ");
        admin.line("234567");
        admin.expect("Write this change?");
        admin.line("y");
        admin.expect("type yes here");
        let mut alice = sshd.alice(&system);
        alice.expect("Verification code (OneLogin): ");
        alice.line("345678");
        let (status, screen) = alice.finish();
        assert!(
            status.success() && screen.ends_with("alice\r\n"),
            "{screen}"
        );
        admin.line("yes");
        let (status, screen) = admin.finish();
        assert!(status.success(), "{screen}");

        let mut alice = sshd.alice(&system);
        for _ in 0..3 {
            alice.expect("Verification code (OneLogin): ");
            alice.line("999999");
        }
        let (status, screen) = alice.finish();
        assert!(
            !status.success() && !screen.ends_with("alice\r\n"),
            "{screen}"
        );

        system.sh(&step("pam-onelogin disable sshd"));
        assert_eq!(system.stacks(), before);
        by_key_alone();
        system.sh("apt-get remove libpam-onelogin");
        assert_eq!(system.stacks(), before);
    }
}

/// The system's own sshd.
struct Server {
    process: Child,
    port: u16,
}

impl Server {
    fn start(system: &System) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .unwrap()
            .port();
        system.sh(&format!(
            "printf 'Port {port}\\nListenAddress 127.0.0.1\\n' >> /etc/ssh/sshd_config"
        ));
        let mut command = Command::new("chroot");
        command.arg(&system.folder).args(["/usr/sbin/sshd", "-D"]);
        let process = command.env_clear().envs(ENVIRONMENT).spawn().unwrap();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            thread::yield_now();
        }
        Self { process, port }
    }

    /// Her client, with her key.
    fn alice(&self, system: &System) -> Pty {
        system.terminal(&format!(
            "ssh -p {} -i /root/key -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
             -o LogLevel=ERROR -o PasswordAuthentication=no alice@127.0.0.1 id -un",
            self.port
        ))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn alice_becomes_root_by_password_alone(system: &System) {
    let mut sudo = system.sudo("alice", &["id", "-un"]);
    sudo.expect("password for alice: ");
    sudo.line(PASSWORD);
    let (status, screen) = sudo.finish();
    assert!(status.success() && screen.ends_with("root\r\n"), "{screen}");
}

// Life cycle of the .deb

#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn the_package_is_installed_upgraded_removed_and_purged_without_a_trace() {
    for release in RELEASES {
        let system = System::unpack(release);
        system.sh("apt-get install ca-certificates");
        let before = (system.stacks(), system.files("/var/lib/pam"));
        system.person("alice");
        let onelogin = system.onelogin();
        let state = || (system.stacks(), system.files("/var/lib/pam"));

        system.copy(&package("deb"), "/root/");
        system.sh("apt-get install ./libpam-onelogin_*.deb");
        let after = state();
        assert_eq!(after.0, before.0, "installing changed a stack");
        for (path, mode) in [
            ("/etc/pam_onelogin", 0o40_700),
            ("/etc/pam_onelogin/config.toml", 0o100_600),
        ] {
            let metadata = fs::metadata(system.path(path)).unwrap();
            assert_eq!(
                (metadata.mode(), metadata.uid(), metadata.gid()),
                (mode, 0, 0)
            );
        }

        let version = system.sh("pam-onelogin --version");
        assert_eq!(
            version.trim(),
            concat!("pam-onelogin ", env!("CARGO_PKG_VERSION"))
        );

        // As it is installed: a denial, and a log that says what is missing.
        system.write(
            "/etc/pam.d/probe",
            "auth requisite pam_unix.so\nauth required pam_onelogin.so\n",
        );
        let (success, _) = system.login("probe", "alice", &[]);
        assert!(!success);
        for missing in ["url", "client_id", "client_secret"] {
            let line = system.logged(&format!("[onelogin] needs \\\"{missing}\\\""));
            assert!(line.contains("/etc/pam_onelogin/config.toml:"), "{line}");
        }
        assert!(system.logged("denied user=alice").contains("reason=config"));

        fill_in(&system, &onelogin);
        let (success, screen) = system.login("probe", "alice", &["123456"]);
        assert!(success, "{screen}");
        assert!(system.logged("accepted user=alice").contains("factor=totp"));
        let folder = fs::metadata(system.path("/run/pam_onelogin")).unwrap();
        assert_eq!(folder.mode(), 0o40_700);

        // An upgrade whose own configuration is another: the admin's stays, and logins go on.
        let edited = system.read("/etc/pam_onelogin/config.toml");
        newer(&system);
        system.sh("dpkg --force-confdef -i /root/newer.deb </dev/null");
        assert!(system.sh("dpkg -s libpam-onelogin").contains(concat!(
            "Version: ",
            env!("CARGO_PKG_VERSION"),
            "+newer"
        )));
        assert_eq!(system.read("/etc/pam_onelogin/config.toml"), edited);
        assert_eq!(state(), (with_probe(&system, &before.0), after.1));
        assert!(system.login("probe", "alice", &["234567"]).0);

        // Not while a stack names it.
        let refusal = system.sh_fails("apt-get remove libpam-onelogin");
        assert!(
            refusal.contains("/etc/pam.d/probe:2: auth required pam_onelogin.so"),
            "{refusal}"
        );
        assert!(system.path(&module_path()).exists());
        assert!(system.login("probe", "alice", &["345678"]).0);

        fs::remove_file(system.path("/etc/pam.d/probe")).unwrap();
        system.sh("apt-get remove libpam-onelogin");
        for path in [
            module_path().as_str(),
            "/usr/sbin/pam-onelogin",
            "/run/pam_onelogin",
        ] {
            assert!(!system.path(path).exists(), "{path}");
        }
        assert_eq!(system.read("/etc/pam_onelogin/config.toml"), edited);
        system.sh("apt-get purge libpam-onelogin");
        for path in ["/etc/pam_onelogin", "/usr/share/pam-configs/onelogin"] {
            assert!(!system.path(path).exists(), "{path}");
        }
        assert_eq!(state(), before);
    }
}

#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn a_stack_without_its_module_denies_and_an_override_removes_it_all_the_same() {
    let system = System::unpack("bookworm");
    system.person("alice");
    system.install();
    let stacks = [
        (
            "required",
            "auth requisite pam_unix.so\nauth required pam_onelogin.so\n",
            false,
        ),
        (
            "requisite",
            "auth requisite pam_unix.so\nauth requisite pam_onelogin.so\n",
            false,
        ),
        (
            "key",
            "auth requisite pam_onelogin.so\nauth required pam_permit.so\n",
            false,
        ),
        (
            "dash",
            "auth requisite pam_unix.so\n-auth required pam_onelogin.so\n",
            false,
        ),
        // Not for use.
        (
            "optional",
            "auth requisite pam_unix.so\nauth optional pam_onelogin.so\n",
            true,
        ),
        (
            "sufficient",
            "auth requisite pam_unix.so\nauth sufficient pam_onelogin.so\n",
            true,
        ),
    ];
    for (service, text, _) in stacks {
        system.write(&format!("/etc/pam.d/{service}"), text);
    }
    // What package managers leave behind, and comments, are no stacks.
    system.write("/etc/pam.d/old.dpkg-old", "auth required pam_onelogin.so\n");
    system.write("/etc/pam.d/comment", "# auth required pam_onelogin.so\n");

    let refusal = system.sh_fails("dpkg -r libpam-onelogin");
    let named: Vec<&str> = refusal
        .lines()
        .filter_map(|line| line.strip_prefix("  /etc/pam.d/"))
        .map(|line| line.split(':').next().unwrap())
        .collect();
    assert_eq!(
        named,
        [
            "dash",
            "key",
            "optional",
            "required",
            "requisite",
            "sufficient"
        ],
        "{refusal}"
    );
    assert!(
        refusal.contains("PAM_ONELOGIN_REMOVE_ANYWAY=yes"),
        "{refusal}"
    );

    system.sh("PAM_ONELOGIN_REMOVE_ANYWAY=yes dpkg -r libpam-onelogin");
    assert!(!system.path(&module_path()).exists());
    let system = &system;
    thread::scope(|scope| {
        for (service, _, gets_in) in stacks {
            scope.spawn(move || {
                let (success, screen) = system.login(service, "alice", &[]);
                assert_eq!(success, gets_in, "{service}: {screen}");
            });
        }
    });
}

#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn an_upgrade_while_people_log_in_breaks_no_login() {
    let system = System::unpack("trixie");
    system.person("alice");
    let onelogin = system.onelogin();
    // A code is taken once: enough of them for all logins.
    let codes: Vec<String> = (100_000..101_000).map(|code| code.to_string()).collect();
    onelogin.change_devices(1001, |devices| {
        let device = devices.remove(0);
        devices.push(device.codes(&codes));
    });
    system.install();
    fill_in(&system, &onelogin);
    system.sh("pam-auth-update --enable onelogin");
    system.write("/etc/pam.d/probe", "@include common-auth\n");
    newer(&system);
    let module = || fs::metadata(system.path(&module_path())).unwrap().ino();
    let before = module();

    let next = AtomicUsize::new(0);
    let is_done = AtomicBool::new(false);
    let finished = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !is_done.load(Relaxed) {
                    let code = codes[next.fetch_add(1, Relaxed)].as_str();
                    let (success, screen) = system.login("probe", "alice", &[code]);
                    // Nobody waits for a thread that has failed.
                    if !success {
                        is_done.store(true, Relaxed);
                    }
                    assert!(success, "{code}: {screen}");
                    finished.fetch_add(1, Relaxed);
                }
            });
        }
        // Up, down and up again, until enough logins have ended in the meantime.
        let mut upgrades = 0;
        while !is_done.load(Relaxed) && (upgrades < 3 || finished.load(Relaxed) < 30) {
            let file = ["newer.deb", "libpam-onelogin_*.deb"][upgrades % 2];
            system.sh(&format!("dpkg --force-confdef -i {file} </dev/null"));
            upgrades += 1;
        }
        is_done.store(true, Relaxed);
    });
    assert_ne!(module(), before, "nothing was upgraded");
    assert_eq!(onelogin.codes(), finished.load(Relaxed));
}

// The profile of pam-auth-update

#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn r15_the_profile_is_off_and_when_it_is_on_every_denial_is_a_denial() {
    for release in RELEASES {
        let system = System::unpack(release);
        system.person("alice");
        let before = system.stacks();
        system.install();
        assert_eq!(system.stacks(), before);
        system.sh("pam-auth-update --enable onelogin");
        let lines = stack_lines(&system.read("/etc/pam.d/common-auth"));
        let at = |text: &str| {
            lines
                .iter()
                .position(|line| line.contains(text))
                .unwrap_or_else(|| panic!("{text}: {lines:?}"))
        };
        assert!(at("pam_unix.so") < at("pam_deny.so"), "{lines:?}");
        assert!(at("pam_deny.so") < at("pam_permit.so"), "{lines:?}");
        assert!(at("pam_permit.so") < at("pam_onelogin.so"), "{lines:?}");
        assert_eq!(lines[at("pam_deny.so")], "auth requisite pam_deny.so");
        assert_eq!(
            lines[at("pam_onelogin.so")],
            "auth requisite pam_onelogin.so"
        );

        // A module in our place, with every code.
        let module = system.path(&module_path());
        let ours = fs::read(&module).unwrap();
        stand_in(&module);
        every_denial_denies(&system, "@include common-auth\n");
        fs::remove_file(&module).unwrap();
        fs::write(&module, ours).unwrap();

        // A real login through it; then removing the package takes the line out.
        let onelogin = system.onelogin();
        fill_in(&system, &onelogin);
        let mut sudo = system.sudo("alice", &["id", "-un"]);
        sudo.expect("password for alice: ");
        sudo.line(PASSWORD);
        sudo.expect("Verification code (OneLogin): ");
        sudo.line("123456");
        let (status, screen) = sudo.finish();
        assert!(status.success(), "{screen}");
        system.sh("apt-get remove libpam-onelogin");
        assert_eq!(system.stacks(), before);
        alice_becomes_root_by_password_alone(&system);
    }
}

#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn common_auth_that_was_edited_by_hand_keeps_the_package() {
    let system = System::unpack("bookworm");
    system.install();
    let path = "/etc/pam.d/common-auth";
    system.write(
        path,
        &format!("{}auth required pam_onelogin.so\n", system.read(path)),
    );
    let refusal = system.sh_fails("apt-get remove libpam-onelogin");
    assert!(refusal.contains("/etc/pam.d/common-auth:"), "{refusal}");
    assert!(system.path(&module_path()).exists());
}

/// A package of a later version, whose configuration differs.
fn newer(system: &System) {
    let folder = tempfile::tempdir().unwrap();
    let unpacked = folder.path().join("p");
    run(Command::new("dpkg-deb")
        .arg("-R")
        .arg(package("deb"))
        .arg(&unpacked));
    let control = unpacked.join("DEBIAN/control");
    let text = fs::read_to_string(&control).unwrap();
    fs::write(
        &control,
        text.replace(
            concat!("\nVersion: ", env!("CARGO_PKG_VERSION"), "\n"),
            concat!("\nVersion: ", env!("CARGO_PKG_VERSION"), "+newer\n"),
        ),
    )
    .unwrap();
    let config = unpacked.join("etc/pam_onelogin/config.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{text}# A key that is new.\n")).unwrap();
    run(Command::new("dpkg-deb")
        .args(["--root-owner-group", "-b"])
        .arg(&unpacked)
        .arg(system.path("/root/newer.deb")));
}

fn with_probe(
    system: &System,
    stacks: &BTreeMap<String, (u32, Vec<u8>)>,
) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut stacks = stacks.clone();
    let path = "/etc/pam.d/probe".to_owned();
    stacks.insert(path.clone(), (0o644, system.read(&path).into_bytes()));
    stacks
}

/// The command lines of the README and of the page about installing, as a person types them.
fn documented() -> Vec<String> {
    let pages = [
        include_str!("../../README.md"),
        include_str!("../../docs/install.md"),
    ];
    let mut commands = Vec::new();
    for line in pages.iter().flat_map(|page| page.lines()) {
        if let Some(command) = line.strip_prefix("    ").map(str::to_owned) {
            if !commands.contains(&command) {
                commands.push(command);
            }
        }
    }
    commands
}

/// The one command line with this in it.
fn command_with(lines: &[String], word: &str) -> String {
    let found: Vec<_> = lines.iter().filter(|line| line.contains(word)).collect();
    assert_eq!(found.len(), 1, "one command with {word:?}: {found:?}");
    found[0].clone()
}
