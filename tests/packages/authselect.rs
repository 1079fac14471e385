//! `enable all` where authselect writes the stacks: Debian 13, which has authselect 1.5, with the services of Fedora and
//! the module and the tool of the .rpm.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use crate::rpm::RPM_MODULE;
use crate::system::*;
use onelogin_simulator::Simulator;
use pam_host::Pty;

#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn all_is_done_as_authselect_would_and_undone_to_the_byte() {
    let (system, onelogin) = fedora("sssd");
    let codes: Vec<String> = (100_000..100_008).map(|code| code.to_string()).collect();
    onelogin.change_devices(1001, |devices| {
        let device = devices.remove(0);
        devices.push(device.codes(&codes));
    });
    let mut codes = codes.iter();
    let mut code = || codes.next().unwrap().as_str();
    system.sh("authselect create-profile mine --base-on=onelogin");
    for (selected, then) in [
        (
            "sssd with-mkhomedir with-faillock",
            "onelogin with-mkhomedir with-faillock with-onelogin",
        ),
        (
            "local with-silent-lastlog with-mdns4",
            "onelogin with-silent-lastlog with-mdns4 with-onelogin",
        ),
        (
            "onelogin with-faillock",
            "onelogin with-faillock with-onelogin",
        ),
        // What an admin has made of ours.
        ("custom/mine", "custom/mine with-onelogin"),
    ] {
        system.sh(&format!(
            "pam-onelogin limits reset alice && authselect select {selected}"
        ));
        let before = state(&system);
        let said = system.sh("pam-onelogin enable all --dry-run");
        assert!(
            said.contains("/etc/authselect/system-auth:")
                && said.contains("+ auth        requisite ")
                && said.contains("/etc/authselect/password-auth:"),
            "{said}"
        );
        is_still(&system, &before, "a dry run");

        let mut admin = trial(&system, &[code()]);
        admin.expect("Write this change?");
        is_still(&system, &before, "before anybody has agreed");
        admin.line("y");
        let (status, screen) = admin.finish();
        assert!(status.success(), "{screen}");
        assert_eq!(system.sh("authselect current --raw").trim(), then);
        system.sh("authselect check");
        is_as_authselect_writes_it(&system);
        let after = state(&system);
        asks_alice(&system, code());

        let said = system.sh("pam-onelogin enable all --yes --no-trial");
        assert!(said.contains("nothing to change"), "{said}");
        is_still(&system, &after, "enabled already");

        system.sh("pam-onelogin disable all");
        is_still(&system, &before, "disabled");
        system.sh("authselect check");
        by_password_alone(&system);
        let said = system.sh("pam-onelogin disable all");
        assert!(said.contains("nothing to change"), "{said}");
        is_still(&system, &before, "disabled already");
    }

    // A trial login that is denied.
    system.sh("pam-onelogin limits reset alice");
    let before = state(&system);
    let (status, screen) = trial(&system, &["999999"; 3]).finish();
    assert!(
        !status.success() && screen.contains("nothing was changed"),
        "{screen}"
    );
    is_still(&system, &before, "denied");
    assert_eq!(onelogin.codes(), 4 * (1 + 1 + 3) + 3);
}

#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn what_authselect_would_lose_is_named_and_what_it_would_overwrite_is_refused() {
    let (system, _onelogin) = fedora("sssd with-fingerprint with-mkhomedir with-smartcard");
    let refused = |words: &[&str]| {
        let before = state(&system);
        for options in ["--dry-run", "--yes --no-trial"] {
            let said = system.sh_fails(&format!("pam-onelogin enable all {options}"));
            for word in words {
                assert!(said.contains(word), "{word}: {said}");
            }
            is_still(&system, &before, "{said}");
        }
    };
    refused(&[
        "with-fingerprint of sssd would be lost",
        "with-smartcard of sssd would be lost",
        "--anyway",
    ]);
    let before = state(&system);
    system.sh("pam-onelogin enable all --yes --no-trial --anyway");
    let current = system.sh("authselect current --raw");
    assert_eq!(current.trim(), "onelogin with-mkhomedir with-onelogin");
    system.sh("pam-onelogin disable all");
    is_still(&system, &before, "put back");

    for profile in ["winbind", "nis"] {
        system.sh(&format!("authselect select {profile}"));
        refused(&[&format!(
            "the authselect profile {profile} has no feature with-onelogin"
        )]);
    }
    system.sh("authselect create-profile mine --base-on=sssd && authselect select custom/mine");
    refused(&["custom/mine", "or pass a service"]);

    // authselect itself calls this valid, and overwrites it.
    system.sh("authselect select sssd && sed -i '0,/^auth/s//auth sufficient pam_permit.so\\n&/' /etc/authselect/password-auth");
    system.sh("authselect check");
    refused(&[
        "    /etc/authselect/password-auth",
        "authselect apply-changes",
    ]);
    system.sh("authselect select onelogin with-onelogin && sed -i /pam_onelogin/d /etc/authselect/system-auth");
    refused(&["    /etc/authselect/system-auth"]);
    system.sh("authselect select sssd && cp --remove-destination /etc/authselect/postlogin /etc/pam.d/postlogin");
    refused(&["[/etc/pam.d/postlogin]", "authselect apply-changes"]);
    system.sh("authselect select sssd && authselect opt-out");
    refused(&["no authselect profile is selected"]);
}

#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn what_authselect_has_written_since_is_its_own_to_take_out() {
    let (system, _onelogin) = fedora("sssd");
    let enable = || system.sh("pam-onelogin enable all --yes --no-trial");
    enable();
    system.sh("authselect enable-feature with-mkhomedir");
    let said = system.sh("pam-onelogin disable all");
    assert!(
        said.contains("all: logins no longer ask OneLogin"),
        "{said}"
    );
    let current = system.sh("authselect current --raw");
    assert_eq!(current.trim(), "onelogin with-mkhomedir");
    is_as_authselect_writes_it(&system);
    by_password_alone(&system);

    // Somebody has selected another profile: nothing of ours is put over it.
    system.sh("authselect select sssd");
    enable();
    system.sh("authselect select local");
    let before = state(&system);
    system.sh("pam-onelogin disable all");
    is_still(&system, &before, "selected by somebody else");
    enable();
    system.sh("pam-onelogin disable all");
    is_still(&system, &before, "put back");

    // What was selected by hand.
    system.sh("authselect select onelogin with-onelogin && pam-onelogin disable all");
    assert_eq!(system.sh("authselect current --raw").trim(), "onelogin");

    // An edit by hand is not lost.
    system.sh("authselect select sssd");
    enable();
    system.sh("echo 'auth required pam_deny.so' >> /etc/authselect/system-auth");
    let before = state(&system);
    let said = system.sh_fails("pam-onelogin disable all");
    assert!(said.contains("    /etc/authselect/system-auth"), "{said}");
    is_still(&system, &before, "refused");
}

#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn all_by_authselect_is_put_back_unless_it_is_confirmed() {
    let (system, _onelogin) = fedora("sssd with-faillock");
    let before = state(&system);
    let (status, screen) = system
        .terminal("pam-onelogin enable all --yes --no-trial --try 1")
        .finish();
    assert!(
        !status.success() && screen.contains("all: the change was rolled back"),
        "{screen}"
    );
    is_still(&system, &before, "put back");
    system.sh("authselect check");

    // What is written there meanwhile: an edit goes, and what authselect did stays.
    for (edit, then) in [
        (
            "echo 'auth required pam_deny.so' >> /etc/authselect/system-auth",
            "sssd with-faillock",
        ),
        (
            "authselect enable-feature with-mkhomedir",
            "onelogin with-faillock with-mkhomedir",
        ),
        ("authselect select local", "local"),
    ] {
        let mut screen = system.terminal("pam-onelogin enable all --yes --no-trial --try 600");
        screen.expect("type yes here");
        system.sh(edit);
        // The time is up.
        let record = "/var/lib/pam_onelogin/trial/all.json";
        system.sh(&format!(
            "sed -i 's/\"deadline\": [0-9]*/\"deadline\": 0/' {record}"
        ));
        system.sh("pam-onelogin restore");
        let (status, screen) = screen.finish();
        assert!(
            !status.success() && screen.contains("all: the change was rolled back"),
            "{screen}"
        );
        assert_eq!(system.sh("authselect current --raw").trim(), then, "{edit}");
        is_as_authselect_writes_it(&system);
        by_password_alone(&system);
        system.sh("authselect select sssd with-faillock");
        is_still(&system, &before, edit);
    }

    let mut screen = system.terminal("pam-onelogin enable all --yes --no-trial --try 600");
    screen.expect("type yes here");
    asks_alice(&system, "123456");
    screen.line("yes");
    let (status, screen) = screen.finish();
    assert!(status.success(), "{screen}");
    asks_alice(&system, "234567");
    system.sh("pam-onelogin disable all");
    is_still(&system, &before, "put back");
}

#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn killed_at_any_step_of_writing_what_authselect_makes_is_put_back() {
    let (system, _onelogin) = fedora("sssd with-mkhomedir");
    let before = state(&system);
    system.sh("pam-onelogin enable all --yes --no-trial");
    let after = state(&system);
    system.sh("pam-onelogin disable all");
    let mut halves = 0;
    let mut killed = 0;
    for call in ["renameat", "fsync"] {
        for number in 1.. {
            let output = Command::new("strace")
                .args(["-f", "-qq", "-e", &format!("trace={call}"), "-e"])
                .arg(format!("inject={call}:signal=SIGKILL:when={number}"))
                .args(["-o", "/dev/null", "chroot"])
                .arg(&system.folder)
                .args(["pam-onelogin", "enable", "all", "--yes", "--no-trial"])
                .env_clear()
                .envs(ENVIRONMENT)
                .output()
                .unwrap();
            if output.status.success() {
                break;
            }
            killed += 1;
            let now = state(&system);
            halves += usize::from(now != before && now != after);
            for (path, file) in &now {
                let known = [before.get(path), after.get(path)].contains(&Some(file));
                assert!(
                    known || path.contains(".pam-onelogin-"),
                    "{call} {number}: {path}"
                );
            }
            system.sh("pam-onelogin restore");
            if state(&system) != after {
                is_still(&system, &before, &format!("{call} {number}"));
            }
            system.sh("pam-onelogin disable all");
            is_still(&system, &before, &format!("{call} {number}"));
        }
        system.sh("pam-onelogin disable all");
    }
    assert!(killed > 20 && halves > 5, "{killed}, {halves}");
}

/// Versions before 1.5 keep copies of what they wrote, by which they see edits, and write the date above it.
#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn the_copies_of_an_older_authselect_change_and_go_back_with_its_files() {
    let (system, _onelogin) = fedora("local");
    system.sh("mv /usr/bin/authselect /usr/bin/authselect.new");
    system.write(
        "/usr/bin/authselect",
        "#!/bin/sh\n\
         folder=/etc/authselect\n\
         if [ \"$1\" = check ]; then\n\
             for copy in /var/lib/authselect/*-auth; do\n\
                 tail -n +2 \"$copy\" >/run/copy\n\
                 tail -n +2 $folder/${copy##*/} | cmp - /run/copy || exit 3\n\
             done\n\
         fi\n\
         authselect.new \"$@\" || exit\n\
         case $1 in select | apply-changes | enable-feature | disable-feature)\n\
             for file in $folder/*-auth; do\n\
                 sed -i \"1s/.*/# Generated by authselect on $(date +%N)/\" \"$file\"\n\
                 sed '1s/$/ as a copy/' \"$file\" >/var/lib/authselect/${file##*/}\n\
             done\n\
         esac\n",
    );
    system.sh("chmod +x /usr/bin/authselect && authselect select sssd && authselect check");
    let before = state(&system);
    system.sh("pam-onelogin enable all --yes --no-trial && authselect check");
    asks_alice(&system, "123456");
    let said = system.sh("pam-onelogin enable all --yes --no-trial");
    assert!(said.contains("nothing to change"), "{said}");
    system.sh("pam-onelogin disable all && authselect check");
    is_still(&system, &before, "put back");
}

/// Whoever goes over to it keeps all that has nothing to do with a login's first factor.
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

/// A system with this selected, the stacks of Fedora's services, and the .rpm.
fn fedora(selected: &str) -> (System, Simulator) {
    let system = System::unpack("trixie");
    system.person("alice");
    let onelogin = system.onelogin();
    system.sh("apt-get install --no-install-recommends authselect && mkdir -p /etc/authselect");
    // What stacks are made by here.
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

/// `enable all` up to the end of the trial login.
fn trial(system: &System, codes: &[&str]) -> Pty {
    let mut admin = system.terminal("pam-onelogin enable all --user alice --no-try");
    admin.expect("Password: ");
    admin.line(PASSWORD);
    for code in codes {
        admin.expect("OneLogin passcode: ");
        admin.line(code);
    }
    admin
}

/// With this code sudo lets her in; with another one sshd does not.
fn asks_alice(system: &System, code: &str) {
    let mut sudo = system.sudo("alice", &["id", "-un"]);
    sudo.expect("password for alice: ");
    sudo.line(PASSWORD);
    sudo.expect("OneLogin passcode: ");
    sudo.line(code);
    let (status, screen) = sudo.finish();
    assert!(status.success() && screen.ends_with("root\r\n"), "{screen}");
    let (success, screen) = system.login("sshd", "alice", &["999999"; 3]);
    assert!(
        !success && screen.contains("OneLogin passcode: "),
        "{screen}"
    );
}

fn by_password_alone(system: &System) {
    for service in ["sudo", "sshd", "login"] {
        let (success, screen) = system.login(service, "alice", &[]);
        assert!(success, "{service}: {screen}");
    }
}

/// All that authselect has written.
fn state(system: &System) -> Files {
    let mut files = system.files("/etc/authselect");
    for folder in ["/etc/pam.d", "/etc/dconf", "/var/lib/authselect"] {
        files.extend(system.files(folder));
    }
    files.retain(|path, _| !path.starts_with("/var/lib/authselect/backups"));
    files
}

/// Fails with what differs, and says when.
fn is_still(system: &System, before: &Files, when: &str) {
    let now = state(system);
    let paths = now.keys().chain(before.keys());
    let differ: BTreeSet<_> = paths
        .filter(|path| now.get(*path) != before.get(*path))
        .collect();
    assert!(differ.is_empty(), "{when}: {differ:?}");
}

fn is_as_authselect_writes_it(system: &System) {
    let before = state(system);
    system.sh("authselect apply-changes");
    is_still(system, &before, "apply-changes");
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
