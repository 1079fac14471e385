//! The packages in clean systems: installed, configured, used, upgraded, removed. `make test-packages` runs these.
//!
//! A clean system is a folder, unpacked for each test, in the mount namespace of tests/private-etc.sh; it shares the
//! network with the simulator. Logins go through its own libpam, with its own sudo.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use onelogin_simulator::{DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, Simulator, samples};
use pam_host::{Log, Pty};

const RELEASES: [&str; 2] = ["bookworm", "trixie"];

// A person with the README and the package

#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn a_person_with_the_readme_and_the_package_gets_a_second_factor_in_sudo() {
    for release in RELEASES {
        let system = System::unpack(release);
        let before = system.stacks();
        let onelogin = system.onelogin();
        system.person("alice");
        let commands = readme_commands();
        let step = |word: &str| {
            let found: Vec<_> = commands
                .iter()
                .filter(|line| line.contains(word))
                .cloned()
                .collect();
            assert_eq!(found.len(), 1, "the README has one command with {word:?}");
            found.concat()
        };

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
        sudo.expect("OneLogin passcode: ");
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
            sudo.expect("OneLogin passcode: ");
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
        assert!(
            system
                .sh("dpkg -s libpam-onelogin")
                .contains("Version: 0.1.0+newer")
        );
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
        assert!(!system.path(&module_path()).exists());
        assert!(!system.path("/run/pam_onelogin").exists());
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
    std::thread::scope(|scope| {
        for (service, _, gets_in) in stacks {
            scope.spawn(move || {
                let (success, screen) = system.login(service, "alice", &[]);
                assert_eq!(success, gets_in, "{service}: {screen}");
            });
        }
    });
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

        // A module in our place that returns the number in the name of the service, and notes that it was asked.
        let module = system.path(&module_path());
        let ours = fs::read(&module).unwrap();
        stand_in(&module);
        let probe = |code: i32, password: &str| {
            let service = format!("code-{code}");
            system.write(&format!("/etc/pam.d/{service}"), "@include common-auth\n");
            let result = system.login_with(&service, "alice", password, &[]);
            fs::remove_file(system.path(&format!("/etc/pam.d/{service}"))).unwrap();
            (
                result,
                system.path(&format!("/run/asked-{service}")).exists(),
            )
        };
        let ((success, _), asked) = probe(0, "wrong");
        assert!(!success && !asked, "a wrong password reached the module");
        // At the same time: after each denial libpam waits.
        std::thread::scope(|scope| {
            for code in 0..32 {
                scope.spawn(move || {
                    let ((success, screen), asked) = probe(code, PASSWORD);
                    // PAM_SUCCESS, and PAM_IGNORE for those whom the admin exempted.
                    assert_eq!(success, [0, 25].contains(&code), "code {code}: {screen}");
                    assert!(asked, "code {code}");
                });
            }
        });
        fs::remove_file(&module).unwrap();
        fs::write(&module, ours).unwrap();

        // A real login through it; then removing the package takes the line out.
        let onelogin = system.onelogin();
        fill_in(&system, &onelogin);
        let mut sudo = system.sudo("alice", &["id", "-un"]);
        sudo.expect("password for alice: ");
        sudo.line(PASSWORD);
        sudo.expect("OneLogin passcode: ");
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

// The .rpm

#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn the_rpm_has_its_files_owners_modes_and_flags() {
    let rpm = package("rpm");
    let listing = run(Command::new("rpm").args(["-qp", "--qf", "[%{FILENAMES} %{FILEMODES:octal} %{FILEUSERNAME}:%{FILEGROUPNAME} %{FILEFLAGS:fflags}\n]"]).arg(&rpm));
    let lines: BTreeSet<&str> = listing.lines().map(str::trim_end).collect();
    for line in [
        "/etc/pam_onelogin 40700 root:root",
        "/etc/pam_onelogin/config.toml 100600 root:root cn",
        "/usr/lib64/security/pam_onelogin.so 100644 root:root",
        "/usr/lib/tmpfiles.d/pam_onelogin.conf 100644 root:root",
        "/usr/share/man/man5/pam_onelogin.conf.5.gz 100644 root:root d",
        "/usr/share/man/man8/pam_onelogin.8.gz 100644 root:root d",
        "/usr/share/doc/pam_onelogin/examples/fedora/sudo 100644 root:root d",
    ] {
        assert!(lines.contains(line), "{line} is not in {lines:#?}");
    }
    let needs = run(Command::new("rpm").args(["-qp", "--requires"]).arg(&rpm));
    for need in [
        "libpam.so.0(LIBPAM_1.0)(64bit)",
        "libc.so.6()(64bit)",
        "pam",
    ] {
        assert!(needs.lines().any(|line| line == need), "{needs}");
    }
}

/// Debian's rpm, into a folder that has a shell for the scripts; its dependencies are not asked for.
#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn the_rpm_is_installed_upgraded_and_erased_without_a_trace() {
    let system = System::unpack("bookworm");
    let before = system.stacks();
    let rpm = |arguments: &[&str]| {
        let output = Command::new("rpm")
            .arg(format!("--root={}", system.folder.display()))
            .args(arguments)
            .output()
            .unwrap();
        (output.status.success(), both(&output))
    };
    let package = package("rpm");
    let package = package.to_str().unwrap();
    let (success, said) = rpm(&["-i", "--nodeps", package]);
    assert!(success, "{said}");
    let (success, said) = rpm(&["-V", "--nodeps", "pam_onelogin"]);
    assert!(success, "{said}");
    assert_eq!(system.stacks(), before);

    let config = "/etc/pam_onelogin/config.toml";
    let edited = format!("{}# mine\n", system.read(config));
    system.write(config, &edited);
    fs::set_permissions(system.path(config), fs::Permissions::from_mode(0o600)).unwrap();
    let (success, said) = rpm(&["-U", "--nodeps", "--force", package]);
    assert!(success, "{said}");
    assert_eq!(system.read(config), edited);

    system.write(
        "/etc/pam.d/probe",
        "#%PAM-1.0\nauth required pam_onelogin.so\n",
    );
    let (success, said) = rpm(&["-e", "pam_onelogin"]);
    assert!(!success, "{said}");
    assert!(
        said.contains("/etc/pam.d/probe:2: auth required pam_onelogin.so"),
        "{said}"
    );
    assert!(system.path("/usr/lib64/security/pam_onelogin.so").exists());

    fs::remove_file(system.path("/etc/pam.d/probe")).unwrap();
    fs::create_dir(system.path("/run/pam_onelogin")).unwrap();
    let (success, said) = rpm(&["-e", "pam_onelogin"]);
    assert!(success, "{said}");
    for path in [
        "/usr/lib64/security/pam_onelogin.so",
        "/usr/share/doc/pam_onelogin",
        "/run/pam_onelogin",
        config,
    ] {
        assert!(!system.path(path).exists(), "{path}");
    }
    assert_eq!(system.read(&format!("{config}.rpmsave")), edited);
    assert_eq!(system.stacks(), before);
}

// Both, and make install

#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn make_install_has_the_files_of_the_package_and_uninstall_takes_them_away() {
    let folder = tempfile::tempdir().unwrap();
    let destination = folder.path().to_str().unwrap();
    let module = env::var("PAM_ONELOGIN_MODULE").unwrap();
    let make = |target: &str| {
        run(Command::new("make")
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["--silent", target])
            .arg(format!("DESTDIR={destination}"))
            .arg(format!("MODULE={module}"))
            .args(["PREFIX=/usr", "DOCDIR=/usr/share/doc/libpam-onelogin"])
            .arg(format!("SECURITYDIR={}", security_folder())))
    };
    make("install");
    let installed = files_below(folder.path(), Path::new("/"));
    let of_the_package_alone = [
        "/usr/share/pam-configs/onelogin",
        "/usr/share/doc/libpam-onelogin/changelog",
        "/usr/share/doc/libpam-onelogin/sbom.cdx.json",
    ];
    let unpacked = tempfile::tempdir().unwrap();
    run(Command::new("dpkg-deb")
        .arg("-x")
        .arg(package("deb"))
        .arg(unpacked.path()));
    let packaged = files_below(unpacked.path(), Path::new("/"));
    let names = |files: &BTreeMap<String, (u32, Vec<u8>)>| -> BTreeMap<String, u32> {
        files
            .iter()
            .map(|(name, (mode, _))| (name.trim_end_matches(".gz").to_owned(), *mode))
            .filter(|(name, _)| !of_the_package_alone.contains(&name.as_str()))
            .collect()
    };
    assert_eq!(names(&installed), names(&packaged));
    let folder_mode = fs::metadata(folder.path().join("etc/pam_onelogin"))
        .unwrap()
        .mode();
    assert_eq!(folder_mode, 0o40_700);

    // Once more keeps what an admin wrote.
    let config = folder.path().join("etc/pam_onelogin/config.toml");
    fs::write(&config, "mine").unwrap();
    make("install");
    assert_eq!(fs::read_to_string(&config).unwrap(), "mine");
    make("uninstall");
    let left: Vec<String> = files_below(folder.path(), Path::new("/"))
        .into_keys()
        .collect();
    assert_eq!(left, ["/etc/pam_onelogin/config.toml"]);
}

#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn a_second_build_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    for format in ["deb", "rpm"] {
        run(Command::new("packaging/build.sh")
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("MODULE", env::var("PAM_ONELOGIN_MODULE").unwrap())
            .arg(format)
            .arg(folder.path()));
        let first = package(format);
        let second = folder.path().join(first.file_name().unwrap());
        assert!(
            fs::read(&first).unwrap() == fs::read(second).unwrap(),
            "{format}"
        );
    }
}

#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn what_the_linters_still_say_is_explained() {
    let explained = include_str!("../packaging/README.md");
    let folder = env!("CARGO_MANIFEST_DIR");
    let lintian = Command::new("lintian")
        .args(["--allow-root", "--tag-display-limit=0"])
        .arg(package("deb"))
        .output()
        .unwrap();
    let rpmlint = Command::new("rpmlint")
        .args(["--config", &format!("{folder}/packaging/rpm/rpmlint.toml")])
        .arg(package("rpm"))
        .output()
        .unwrap();
    for (output, name) in [(&lintian, "lintian"), (&rpmlint, "rpmlint")] {
        let said = both(output);
        for line in said.lines() {
            assert!(
                !line.contains(": E: ") && !line.starts_with("E: "),
                "{name}: {line}"
            );
            let tag = match line.split_once(": W: ") {
                Some((_, rest)) => rest.split(' ').next(),
                None => line
                    .strip_prefix("W: ")
                    .and_then(|rest| rest.split(' ').nth(1)),
            };
            if let Some(tag) = tag {
                assert!(explained.contains(&format!("`{tag}`")), "{name}: {line}");
            }
        }
    }
    assert!(both(&rpmlint).contains("1 packages"), "{rpmlint:?}");
    for page in ["man/pam_onelogin.8", "man/pam_onelogin.conf.5"] {
        let said = run(Command::new("mandoc")
            .args(["-T", "lint", "-W", "warning", page])
            .current_dir(folder));
        assert_eq!(said, "");
    }
}

// A clean system

/// A system of its own below /run, gone when it is dropped.
struct System {
    folder: PathBuf,
    log: Log,
    _alone: MutexGuard<'static, ()>,
}

impl System {
    /// Waits for its turn: /dev, and the log in it, are one for all.
    fn unpack(release: &str) -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        assert!(
            env::var_os("PAM_HOST_PRIVATE_ETC").is_some(),
            "run it by `make test-packages`"
        );
        let alone = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = Path::new("/run/systems").join(release);
        fs::create_dir_all(&folder).unwrap();
        let archive = wanted("PAM_ONELOGIN_ROOTS").join(format!("{release}.tar"));
        run(Command::new("tar")
            .args([
                "--extract",
                "--numeric-owner",
                "--exclude=./dev/*",
                "--file",
            ])
            .arg(archive)
            .arg("--directory")
            .arg(&folder));
        for name in ["proc", "dev"] {
            run(Command::new("mount")
                .arg("--rbind")
                .arg(Path::new("/").join(name))
                .arg(folder.join(name)));
        }
        let _ = fs::remove_file("/dev/log");
        let system = Self {
            folder,
            log: Log::bind(Path::new("/dev/log")).unwrap(),
            _alone: alone,
        };
        system.write("/etc/hosts", "127.0.0.1 localhost\n");
        // As a person would answer.
        system.write(
            "/etc/apt/apt.conf.d/99test",
            "APT::Get::Assume-Yes \"true\";\n",
        );
        system
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.join(path.trim_start_matches('/'))
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.path(path), text).unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    fn copy(&self, file: &Path, folder: &str) {
        fs::copy(file, self.path(folder).join(file.file_name().unwrap())).unwrap();
    }

    /// The .deb, with what it recommends.
    fn install(&self) {
        self.copy(&package("deb"), "/root/");
        self.sh("apt-get install ./libpam-onelogin_*.deb");
    }

    /// A command line of root, in /root.
    fn shell(&self, line: &str) -> Output {
        Command::new("chroot")
            .arg(&self.folder)
            .args(["sh", "-c", &format!("cd /root && {line}")])
            .env_clear()
            .envs(ENVIRONMENT)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn sh(&self, line: &str) -> String {
        let output = self.shell(line);
        assert!(output.status.success(), "{line}: {}", both(&output));
        both(&output)
    }

    fn sh_fails(&self, line: &str) -> String {
        let output = self.shell(line);
        assert!(!output.status.success(), "{line}: {}", both(&output));
        both(&output)
    }

    /// Somebody who may use sudo.
    fn person(&self, name: &str) {
        self.sh(&format!(
            "useradd --create-home --shell /bin/sh --groups sudo {name} && echo '{name}:{PASSWORD}' | chpasswd"
        ));
    }

    /// A simulator with its sample users, whose certificate the system trusts.
    fn onelogin(&self) -> Simulator {
        let simulator = Simulator::start();
        samples(&simulator);
        self.sh("apt-get install ca-certificates && mkdir -p /usr/local/share/ca-certificates");
        self.write(
            "/usr/local/share/ca-certificates/simulator.crt",
            simulator.ca_pem(),
        );
        self.sh("update-ca-certificates");
        simulator
    }

    /// sudo, by an ordinary user on a terminal, without its memory of earlier calls.
    fn sudo(&self, name: &str, arguments: &[&str]) -> Pty {
        let mut command = Command::new("chroot");
        command
            .arg(format!("--userspec={name}:{name}"))
            .arg("--groups=sudo")
            .arg(&self.folder)
            .args(["sudo", "-k"])
            .args(arguments)
            .env_clear()
            .envs(ENVIRONMENT)
            .current_dir("/");
        let home = fs::metadata(self.path("/home").join(name)).unwrap();
        Pty::spawn_as(command, Some((home.uid(), home.gid())))
    }

    /// A login of root's pamtester with the right password; whether it got in, and what was shown.
    fn login(&self, service: &str, name: &str, codes: &[&str]) -> (bool, String) {
        self.login_with(service, name, PASSWORD, codes)
    }

    fn login_with(
        &self,
        service: &str,
        name: &str,
        password: &str,
        codes: &[&str],
    ) -> (bool, String) {
        let mut command = Command::new("chroot");
        command
            .arg(&self.folder)
            .args(["pamtester", service, name, "authenticate"])
            .env_clear()
            .envs(ENVIRONMENT);
        let mut terminal = Pty::spawn(command);
        let mut codes = codes.iter();
        while let Some(prompt) = terminal.next_of(&["Password: ", "OneLogin passcode: "]) {
            terminal.line(match prompt {
                0 => password,
                _ => codes.next().copied().unwrap_or_default(),
            });
        }
        let (status, screen) = terminal.finish();
        (status.success(), screen)
    }

    fn logged(&self, text: &str) -> String {
        self.log
            .wait_for(text, Duration::from_secs(10))
            .unwrap_or_else(|| panic!("no {text:?} in {:#?}", self.log.lines()))
    }

    fn stacks(&self) -> BTreeMap<String, (u32, Vec<u8>)> {
        self.files("/etc/pam.d")
    }

    fn files(&self, folder: &str) -> BTreeMap<String, (u32, Vec<u8>)> {
        files_below(&self.path(folder), Path::new(folder))
    }
}

impl Drop for System {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the log: {:#?}", self.log.lines());
        }
        for name in ["proc", "dev"] {
            let _ = Command::new("umount")
                .arg("--lazy")
                .arg(self.folder.join(name))
                .status();
        }
        let is_unmounted = !fs::read_to_string("/proc/self/mountinfo")
            .unwrap_or_default()
            .contains(&format!(" {}/", self.folder.display()));
        if is_unmounted {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// Takes the `#` away before what the README says has to be filled in, and fills it in.
fn fill_in(system: &System, onelogin: &Simulator) {
    let path = "/etc/pam_onelogin/config.toml";
    let mut text = system.read(path);
    for (key, value) in [
        ("url", onelogin.url()),
        ("client_id", DEFAULT_CLIENT_ID.to_owned()),
        ("client_secret", DEFAULT_CLIENT_SECRET.to_owned()),
    ] {
        let start = text.find(&format!("\n# {key} = ")).unwrap() + 1;
        let end = start + text[start..].find('\n').unwrap();
        text.replace_range(start..end, &format!("{key} = {value:?}"));
    }
    // Into the file that is there: its owner and mode stay.
    system.write(path, &text);
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
        text.replace("\nVersion: 0.1.0\n", "\nVersion: 0.1.0+newer\n"),
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

/// Builds a module that returns the number at the end of the service's name, and writes /run/asked-SERVICE.
fn stand_in(module: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("module.c");
    fs::write(&source, STAND_IN).unwrap();
    let built = folder.path().join("module.so");
    run(Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(&built)
        .arg(&source));
    fs::remove_file(module).unwrap();
    fs::copy(&built, module).unwrap();
}

const STAND_IN: &str = r#"
#include <stdio.h>
enum { PAM_SYSTEM_ERR = 4, PAM_SERVICE = 1 };
int pam_get_item(const void *handle, int item, const void **value);
int pam_sm_authenticate(void *handle, int flags, int count, const char **words)
{
    const void *service = NULL;
    int code;
    char path[64];
    FILE *file;
    (void)flags, (void)count, (void)words;
    if (pam_get_item(handle, PAM_SERVICE, &service) != 0 || sscanf(service, "code-%d", &code) != 1)
        return PAM_SYSTEM_ERR;
    snprintf(path, sizeof path, "/run/asked-%s", (const char *)service);
    file = fopen(path, "w");
    if (file != NULL)
        fclose(file);
    return code;
}
int pam_sm_setcred(void *handle, int flags, int count, const char **words)
{
    (void)handle, (void)flags, (void)count, (void)words;
    return 0;
}
"#;

/// The commands of the README's chapter for sudo, as a root shell runs them.
fn readme_commands() -> Vec<String> {
    let readme = include_str!("../README.md");
    let (_, rest) = readme
        .split_once("\n## Install\n")
        .expect("the README has a chapter \"Install\"");
    let chapter = rest.split("\n## ").next().unwrap();
    let commands = chapter
        .lines()
        .filter_map(|line| line.strip_prefix("    sudo "))
        .filter(|line| line.contains("/etc/pam.d/sudo ") || line.starts_with("apt-get "));
    commands.map(str::to_owned).collect()
}

fn stack_lines(text: &str) -> Vec<String> {
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

/// Files and links with mode and contents; their names begin with `name`.
fn files_below(folder: &Path, name: &Path) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut files = BTreeMap::new();
    let Ok(entries) = fs::read_dir(folder) else {
        return files;
    };
    for entry in entries {
        let entry = entry.unwrap();
        let name = name.join(entry.file_name());
        let metadata = entry.metadata().unwrap();
        if metadata.is_dir() {
            files.extend(files_below(&entry.path(), &name));
        } else {
            let contents = if metadata.is_symlink() {
                fs::read_link(entry.path())
                    .unwrap()
                    .into_os_string()
                    .into_encoded_bytes()
            } else {
                fs::read(entry.path()).unwrap()
            };
            files.insert(
                name.to_str().unwrap().to_owned(),
                (metadata.mode() & 0o7777, contents),
            );
        }
    }
    files
}

/// The package of this kind that `make packages` made.
fn package(ending: &str) -> PathBuf {
    let version = env!("CARGO_PKG_VERSION");
    let folder = wanted("PAM_ONELOGIN_PACKAGES");
    let mut found: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == ending))
        .filter(|path| path.to_str().unwrap().contains(version))
        .collect();
    assert_eq!(found.len(), 1, "{}: {found:?}", folder.display());
    found.remove(0)
}

fn wanted(name: &str) -> PathBuf {
    PathBuf::from(
        env::var_os(name).unwrap_or_else(|| panic!("{name}: run it by `make test-packages`")),
    )
}

fn security_folder() -> String {
    format!("/usr/lib/{}-linux-gnu/security", env::consts::ARCH)
}

fn module_path() -> String {
    format!("{}/pam_onelogin.so", security_folder())
}

fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", both(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn both(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

const PASSWORD: &str = "Unix-Pass-1";
const ENVIRONMENT: [(&str, &str); 3] = [
    ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
    ("TERM", "dumb"),
    ("LC_ALL", "C.UTF-8"),
];
