//! Stacks that authselect writes: the commands of the page, run in Debian 13, which has authselect 1.5, with the services of
//! Fedora and the module and the tool of the .rpm.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::rpm::RPM_MODULE;
use crate::system::*;
use onelogin_simulator::Simulator;

/// The commands for authselect in the section "Every service at once" of docs/install.md, in their order.
fn documented() -> [String; 2] {
    let page = include_str!("../../docs/install.md");
    let commands = page
        .lines()
        .filter_map(|line| line.strip_prefix("    sudo "))
        .filter(|line| line.starts_with("authselect "));
    let commands: Vec<_> = commands.map(str::to_owned).collect();
    commands.try_into().unwrap()
}

#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn the_commands_of_the_page_protect_every_service_and_lead_back_to_the_byte() {
    let [select, go_back] = documented();
    let (system, _onelogin) = fedora("sssd");
    for (selected, then, code) in [
        (
            "sssd with-mkhomedir with-faillock",
            "onelogin with-mkhomedir with-faillock with-onelogin",
            "123456",
        ),
        ("local", "onelogin with-onelogin", "234567"),
    ] {
        system.sh(&format!("authselect select {selected} --force"));
        let before = state(&system);
        let said = system.sh_fails("pam-onelogin enable all --yes --no-trial");
        for command in [&select, &go_back] {
            assert!(said.contains(command.as_str()), "{command}: {said}");
        }
        is_still(&system, &before, "enable all");

        system.sh(&select);
        assert_eq!(
            system
                .sh("authselect current --raw")
                .split_whitespace()
                .collect::<BTreeSet<_>>(),
            then.split(' ').collect(),
        );
        system.sh("authselect check");
        asks_alice(&system, code);
        for service in ["sudo", "sshd", "login", "su"] {
            // A warning stays: this system does not have pam_sss.so.
            let said = both(&system.shell(&format!("pam-onelogin check {service} --offline")));
            assert!(said.contains("No faults, "), "{service}: {said}");
            assert!(!said.contains("does not ask"), "{service}: {said}");
        }
        let said = system.sh_fails("pam-onelogin disable all");
        assert!(
            said.contains("/etc/pam.d/system-auth:") && said.contains(&go_back),
            "{said}"
        );

        system.sh(&go_back);
        is_still(&system, &before, "gone back");
        system.sh("authselect check && rm -r /var/lib/authselect/backups/before-onelogin");
        by_password_alone(&system);
        let said = system.sh("pam-onelogin disable all");
        assert!(said.contains("nothing to change"), "{said}");
    }
}

#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn authselect_names_a_feature_that_the_profile_does_not_have() {
    let [select, _] = documented();
    let (system, _onelogin) = fedora("sssd with-fingerprint");
    let before = state(&system);
    let said = system.sh_fails(&select);
    assert!(said.contains("with-fingerprint"), "{said}");
    is_still(&system, &before, "refused");
}

/// A change from sssd to our profile changes only what belongs to the first factor.
#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn a_feature_that_the_profile_has_does_what_it_does_in_that_of_sssd() {
    let (system, _onelogin) = fedora("sssd");
    let features = |profile: &str| -> Vec<String> {
        let said = system.sh(&format!("authselect list-features {profile}"));
        said.lines().map(str::to_owned).collect()
    };
    let sssd = features("sssd");
    let mut both: Vec<_> = features("onelogin");
    both.retain(|feature| feature != "with-onelogin");
    assert!(both.len() > 10, "{both:?}");
    let lines = |profile: &str, features: &str| -> Vec<String> {
        let command = format!("authselect test {profile} {features}");
        let lines = stack_lines(&system.sh(&command)).into_iter();
        // Which hash a new password gets is left to login.defs.
        let lines = lines.map(|line| line.replace(" yescrypt", ""));
        let is_kept = |line: &String| {
            !line.starts_with("auth ")
                && !line.contains("dconf")
                && !line.contains("pam_deny.so")
                && !line.contains("password-authentication")
        };
        lines.filter(is_kept).collect()
    };
    for feature in both
        .iter()
        .map(String::as_str)
        .chain(["", "with-mdns4 with-mdns6"])
    {
        let known = feature
            .split(' ')
            .all(|one| one.is_empty() || sssd.contains(&one.to_owned()));
        assert!(known, "{feature}");
        let sorted = |mut lines: Vec<String>| {
            lines.sort();
            lines
        };
        assert_eq!(
            sorted(lines("onelogin", feature)),
            sorted(lines("sssd", feature)),
            "{feature}"
        );
    }
}

/// A system with this profile selected, the stacks of Fedora's services, and the .rpm.
fn fedora(selected: &str) -> (System, Simulator) {
    let system = System::unpack("trixie");
    system.person("alice");
    let onelogin = system.onelogin();
    system.sh("apt-get install --no-install-recommends authselect && mkdir -p /etc/authselect");
    // authselect writes the stacks here.
    fs::remove_file(system.path("/usr/sbin/pam-auth-update")).unwrap();
    let with_root = format!("auth sufficient pam_rootok.so\n{LOGIN}");
    for (service, stack) in [
        ("login", LOGIN),
        ("sshd", &LOGIN.replace("system-auth", "password-auth")),
        ("su", &with_root),
        ("su-l", "auth include su\naccount include su\n"),
        ("sudo", SUDO),
        ("sudo-i", "auth include sudo\naccount include sudo\n"),
    ] {
        system.write(&format!("/etc/pam.d/{service}"), stack);
    }
    let (success, said) = system.rpm(&["-i", "--nodeps", package("rpm").to_str().unwrap()]);
    assert!(success, "{said}");
    system.sh(&format!("ln -s {RPM_MODULE} {}", module_path()));
    fill_in(&system, &onelogin);
    system.sh(&format!("authselect select {selected} --force"));
    (system, onelogin)
}

/// sudo accepts alice with this code; sshd denies her with another one.
fn asks_alice(system: &System, code: &str) {
    let mut sudo = system.sudo("alice", &["id", "-un"]);
    sudo.expect("password for alice: ");
    sudo.line(PASSWORD);
    sudo.expect("Verification code (OneLogin): ");
    sudo.line(code);
    let (status, screen) = sudo.finish();
    assert!(status.success() && screen.ends_with("root\r\n"), "{screen}");
    let (success, screen) = system.login("sshd", "alice", &["999999"; 3]);
    assert!(
        !success && screen.contains("Verification code (OneLogin): "),
        "{screen}"
    );
}

fn by_password_alone(system: &System) {
    for service in ["sudo", "sshd", "login"] {
        let (success, screen) = system.login(service, "alice", &[]);
        assert!(success, "{service}: {screen}");
    }
}

/// Everything that authselect has written.
fn state(system: &System) -> Files {
    let mut files = system.files("/etc/authselect");
    for folder in ["/etc/pam.d", "/etc/dconf", "/var/lib/authselect"] {
        files.extend(system.files(folder));
    }
    files.retain(|path, _| !path.starts_with("/var/lib/authselect/backups"));
    files
}

/// Fails with the files that differ.
fn is_still(system: &System, before: &Files, when: &str) {
    let now = state(system);
    let paths = now.keys().chain(before.keys());
    let differ: BTreeSet<_> = paths
        .filter(|path| now.get(*path) != before.get(*path))
        .collect();
    assert!(differ.is_empty(), "{when}: {differ:?}");
}

type Files = BTreeMap<String, (u32, Vec<u8>)>;

const SUDO: &str = "auth include system-auth
account include system-auth
password include system-auth
session include system-auth
";

const LOGIN: &str = "auth substack system-auth
auth include postlogin
account required pam_nologin.so
account include system-auth
password include system-auth
session include system-auth
session include postlogin
";
