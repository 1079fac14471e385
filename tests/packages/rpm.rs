//! The .rpm: what is in it, the life cycle with rpm and with dnf, the profile of authselect.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use crate::system::*;

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
        "/usr/sbin/pam-onelogin 100755 root:root",
        "/usr/lib/tmpfiles.d/pam_onelogin.conf 100644 root:root",
        "/usr/lib/systemd/system/run-pam_onelogin.mount 100644 root:root",
        "/usr/share/selinux/packages/pam_onelogin.pp 100644 root:root",
        "/usr/share/authselect/vendor/onelogin/system-auth 100644 root:root",
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
fn the_rpm_is_installed_used_upgraded_and_erased_without_a_trace() {
    let system = System::unpack("bookworm");
    system.person("alice");
    let onelogin = system.onelogin();
    let before = system.stacks();
    let (success, said) = system.rpm(&["-i", "--nodeps", package("rpm").to_str().unwrap()]);
    assert!(success, "{said}");
    let (success, said) = system.rpm(&["-V", "--nodeps", "pam_onelogin"]);
    assert!(success, "{said}");
    assert_eq!(system.stacks(), before);

    let config = "/etc/pam_onelogin/config.toml";
    fill_in(&system, &onelogin);
    let edited = system.read(config);
    system.write(
        "/etc/pam.d/probe",
        &format!("#%PAM-1.0\nauth requisite pam_unix.so\nauth required {RPM_MODULE}\n"),
    );
    let (success, screen) = system.login("probe", "alice", &["123456"]);
    assert!(success, "{screen}");
    assert!(system.logged("accepted user=alice").contains("factor=totp"));

    let folder = tempfile::tempdir().unwrap();
    let later = later_package("rpm", LATER, folder.path());
    let (success, said) = system.rpm(&["-U", "--nodeps", later.to_str().unwrap()]);
    assert!(success, "{said}");
    let (_, said) = system.rpm(&["-q", "pam_onelogin"]);
    assert_eq!(said.trim(), format!("pam_onelogin-{LATER}-1.x86_64"));
    assert_eq!(system.read(config), edited);
    let (success, screen) = system.login("probe", "alice", &["234567"]);
    assert!(success, "{screen}");

    let (success, said) = system.rpm(&["-e", "pam_onelogin"]);
    assert!(!success, "{said}");
    assert!(
        said.contains(&format!("/etc/pam.d/probe:3: auth required {RPM_MODULE}")),
        "{said}"
    );
    assert!(system.path(RPM_MODULE).exists());
    let (success, screen) = system.login("probe", "alice", &["345678"]);
    assert!(success, "{screen}");

    fs::remove_file(system.path("/etc/pam.d/probe")).unwrap();
    let (success, said) = system.rpm(&["-e", "pam_onelogin"]);
    assert!(success, "{said}");
    for path in [
        RPM_MODULE,
        "/usr/sbin/pam-onelogin",
        "/usr/share/doc/pam_onelogin",
        "/usr/share/authselect/vendor/onelogin",
        "/run/pam_onelogin",
        config,
    ] {
        assert!(!system.path(path).exists(), "{path}");
    }
    assert_eq!(system.read(&format!("{config}.rpmsave")), edited);
    assert_eq!(system.stacks(), before);
}

/// Where systemctl is. Nothing runs there: what the scripts tell a running systemd, tests/packages/boot.rs sees with the .deb.
#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn the_rpm_is_erased_with_the_links_of_its_units_and_with_the_records_of_the_tool() {
    let root = Root::unpack("boot-bookworm");
    let links = || {
        let mut links = root.files("/etc/systemd");
        links.retain(|path, _| path.contains("onelogin"));
        links.into_keys().collect::<Vec<_>>()
    };
    let before = root.stacks();
    let install = |arguments: &[&str]| {
        let (success, said) = root.rpm(arguments);
        assert!(success, "{said}");
    };
    install(&["-i", "--nodeps", package("rpm").to_str().unwrap()]);
    // The mount unit is off; then as `enable --try` does.
    let is_mount = |path: &String| path.contains("run-pam_onelogin.mount");
    assert!(!links().iter().any(is_mount), "{:?}", links());
    root.sh("systemctl enable pam-onelogin-restore.service run-pam_onelogin.mount");
    assert_eq!(
        links(),
        [
            "/etc/systemd/system/local-fs.target.wants/run-pam_onelogin.mount",
            "/etc/systemd/system/sysinit.target.wants/pam-onelogin-restore.service"
        ]
    );
    let folder = tempfile::tempdir().unwrap();
    let later = later_package("rpm", LATER, folder.path());
    install(&["-U", "--nodeps", later.to_str().unwrap()]);
    assert_eq!(links().len(), 2, "an upgrade took a link away");

    // Not while the tool has switched something on; it says how to switch it off.
    root.sh(&format!("ln -s {RPM_MODULE} {}", module_path()));
    for key in [
        "url = \"https://x.invalid\"",
        "client_id = \"a\"",
        "client_secret = \"b\"",
    ] {
        let name = key.split(' ').next().unwrap();
        root.sh(&format!(
            "sed -i '0,/^# {name} =/s|^# {name} =.*|{key}|' /etc/pam_onelogin/config.toml"
        ));
    }
    root.sh("pam-onelogin enable su --no-trial --yes");
    let (success, said) = root.rpm(&["-e", "pam_onelogin"]);
    assert!(!success && said.contains("/etc/pam.d/su:"), "{said}");
    assert!(said.contains("\n  pam-onelogin disable su\n"), "{said}");
    // Against all advice, but not with a stack on trial that nobody would put back.
    root.sh("mv /var/lib/pam_onelogin/enabled/su.json /var/lib/pam_onelogin/trial");
    run(Command::new("rpm")
        .arg(format!("--root={}", root.folder.display()))
        .args(["-e", "pam_onelogin"])
        .env("PAM_ONELOGIN_REMOVE_ANYWAY", "yes"));
    assert_eq!(root.stacks(), before);
    assert!(links().is_empty());
    install(&["-i", "--nodeps", package("rpm").to_str().unwrap()]);
    install(&["-e", "pam_onelogin"]);
    assert!(links().is_empty());
    assert!(!root.path("/var/lib/pam_onelogin").exists());
}

/// dnf asks for each dependency, in a folder without a system: a package that provides what glibc, Linux-PAM and a shell do.
#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn dnf_resolves_installs_upgrades_and_removes() {
    let folder = tempfile::tempdir().unwrap();
    let (repository, root) = (folder.path().join("repository"), folder.path().join("root"));
    for folder in [&repository, &root] {
        fs::create_dir(folder).unwrap();
    }
    fs::copy(package("rpm"), repository.join("pam_onelogin.rpm")).unwrap();
    let dnf = |arguments: &[&str]| {
        run(Command::new("createrepo_c").arg("--quiet").arg(&repository));
        let output = Command::new("dnf")
            .args([
                "--assumeyes",
                "--refresh",
                "--releasever=9",
                "--setopt=reposdir=/none",
            ])
            .args([
                "--setopt=tsflags=noscripts",
                "--setopt=install_weak_deps=False",
            ])
            .arg("--nogpgcheck")
            .arg(format!("--repofrompath=here,{}", repository.display()))
            .arg(format!("--installroot={}", root.display()))
            .args(arguments)
            .env("HOME", folder.path())
            .output()
            .unwrap();
        (output.status.success(), both(&output))
    };
    let (success, said) = dnf(&["install", "pam_onelogin"]);
    assert!(!success, "{said}");
    for missing in [
        "libpam.so.0(LIBPAM_1.0)(64bit)",
        "libc.so.6(GLIBC_2.28)(64bit)",
    ] {
        assert!(said.contains(missing), "{missing}: {said}");
    }
    what_a_system_provides(&repository);
    let (success, said) = dnf(&["install", "pam_onelogin"]);
    assert!(success, "{said}");
    let module = root.join(RPM_MODULE.trim_start_matches('/'));
    assert!(module.exists());
    let config = root.join("etc/pam_onelogin/config.toml");
    let edited = format!("{}# mine\n", fs::read_to_string(&config).unwrap());
    fs::write(&config, &edited).unwrap();

    later_package("rpm", LATER, &repository);
    let (success, said) = dnf(&["upgrade", "pam_onelogin"]);
    assert!(success && said.contains(&format!("{LATER}-1")), "{said}");
    assert_eq!(fs::read_to_string(&config).unwrap(), edited);
    let (success, said) = dnf(&["remove", "pam_onelogin"]);
    assert!(success, "{said}");
    assert!(!module.exists());
}

// The profile of authselect

/// In Debian 13, which has authselect 1.5, with the module of the .rpm where Debian's libpam looks.
#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn r15_the_authselect_profile_survives_select_and_every_denial_is_a_denial() {
    let system = System::unpack("trixie");
    system.person("alice");
    let onelogin = system.onelogin();
    system.sh("apt-get install --no-install-recommends authselect && mkdir -p /etc/authselect");
    system.sh("authselect select local --force");
    let before = system.files("/etc/authselect");
    let (success, said) = system.rpm(&["-i", "--nodeps", package("rpm").to_str().unwrap()]);
    assert!(success, "{said}");
    system.sh(&format!("ln -s {RPM_MODULE} {}", module_path()));
    assert_eq!(
        system.files("/etc/authselect"),
        before,
        "installing changed a stack"
    );
    let lines = || {
        let stacks = [
            "/etc/authselect/system-auth",
            "/etc/authselect/password-auth",
        ];
        stacks.map(|stack| system.read(stack).matches("pam_onelogin.so").count())
    };

    // Off, the profile is a login by password.
    system.write("/etc/pam.d/probe", "auth substack system-auth\n");
    system.sh("authselect select onelogin && authselect check");
    assert_eq!(lines(), [0, 0]);
    assert!(system.login("probe", "alice", &[]).0);
    assert!(!system.login_with("probe", "alice", "wrong", &[]).0);

    // On, through whatever else is chosen.
    fill_in(&system, &onelogin);
    system.sh("authselect enable-feature with-onelogin && authselect check");
    assert_eq!(lines(), [2, 2]);
    system.sh("authselect select onelogin with-onelogin with-mkhomedir without-nullok && authselect check");
    assert_eq!(lines(), [2, 2]);
    system.sh(
        "authselect enable-feature with-faillock && authselect apply-changes && authselect check",
    );
    assert_eq!(lines(), [2, 2]);
    let (success, screen) = system.login("probe", "alice", &["123456"]);
    assert!(success, "{screen}");
    let (success, screen) = system.login("probe", "alice", &["999999"; 3]);
    assert!(!success, "{screen}");

    // A module in our place, with every code; reached as a part of another stack, and as all of it.
    let ours = fs::read(system.path(RPM_MODULE)).unwrap();
    stand_in(&system.path(RPM_MODULE));
    for features in ["", "with-faillock"] {
        system.sh(&format!(
            "authselect select onelogin with-onelogin {features}"
        ));
        for stack in [
            "auth substack system-auth\n",
            "auth include password-auth\n",
        ] {
            every_denial_denies(&system, stack);
        }
    }
    fs::remove_file(system.path(RPM_MODULE)).unwrap();
    fs::write(system.path(RPM_MODULE), ours).unwrap();

    // Not removed while it is in use, with the line or without it.
    let (success, said) = system.rpm(&["-e", "pam_onelogin"]);
    assert!(
        !success && said.contains("/etc/authselect/system-auth:"),
        "{said}"
    );
    system.sh("authselect select onelogin");
    let (success, said) = system.rpm(&["-e", "pam_onelogin"]);
    assert!(
        !success && said.contains("the authselect profile"),
        "{said}"
    );
    system.sh("authselect select local");
    let (success, said) = system.rpm(&["-e", "pam_onelogin"]);
    assert!(success, "{said}");
    assert_eq!(system.files("/etc/authselect"), before);
}

pub(crate) const RPM_MODULE: &str = "/usr/lib64/security/pam_onelogin.so";
