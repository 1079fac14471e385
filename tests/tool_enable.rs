//! `pam-onelogin enable` and its like, with the real sshd and sudo: a stack is tried before it is written, put back when it
//! is not confirmed, and nobody is locked out on the way.
//!
//! They change /etc, so they run on a private one: `tests/private-etc.sh cargo test --test tool_enable -- --ignored`.

mod scene;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::kill;
use nix::unistd::Pid;
use onelogin_simulator::DEFAULT_CLIENT_SECRET;
use pam_host::pty::{Pty, Signal};
use pam_host::root::{PASSWORD, Sshd, free_port};
use scene::{LONG, Scene, became_root, denied, entered, password};

// sudo

#[test]
#[ignore = "needs root: run by make test"]
fn sudo_is_enabled_after_a_trial_login_and_disabled_to_the_byte() {
    let scene = machine(&[]);
    let before = stacks();
    let mut screen = enable(&["sudo", "--user", "alice"]);
    screen.expect("+ auth       required     pam_onelogin.so");
    trial(&mut screen, CODE);
    screen.expect("Write this? [y/N] ");
    assert_eq!(stacks(), before, "nothing is written before the answer");
    screen.line("y");
    screen.expect("Done.");
    assert!(screen.finish().0.success());

    for arguments in [&["id", "-un"] as &[&str], &["-i", "id", "-un"]] {
        let mut sudo = scene.sudo_as("alice", arguments);
        password(&mut sudo);
        sudo.expect("OneLogin passcode: ");
        sudo.line(if arguments.len() == 2 {
            CODES[1]
        } else {
            CODES[2]
        });
        became_root(sudo);
    }

    let after = stacks();
    let again = enable(&["sudo", "--user", "alice"]).finish();
    assert!(
        again.0.success() && again.1.contains("Nothing to change"),
        "{}",
        again.1
    );
    assert_eq!(stacks(), after);

    let (status, screen) = tool(&["disable", "sudo"]).finish();
    assert!(status.success(), "{screen}");
    assert_eq!(stacks(), before);
    let (status, screen) = tool(&["disable", "sudo"]).finish();
    assert!(
        status.success() && screen.contains("Nothing to change"),
        "{screen}"
    );
    by_password_alone(&scene);
    scene
        .stage
        .tried("sudo", "pam-onelogin enable, and disable: to the byte");
}

#[test]
#[ignore = "needs root: run by make test"]
fn the_trial_of_sudo_is_as_in_sudo() {
    let scene = machine(&["users.exempt_users = [\"root\"]"]);
    let mut screen = enable(&["sudo", "--user", "alice", "--yes"]);
    trial(&mut screen, CODE);
    assert!(screen.finish().0.success());
    let decision = scene.decision("accepted user=alice");
    assert!(
        decision.starts_with("pam_onelogin(sudo:auth): "),
        "{decision}"
    );
    assert!(decision.contains("ruser=alice"), "{decision}");

    let mut screen = enable(&["su", "--user", "root", "--yes"]);
    screen.expect("name an ordinary user");
    assert!(!screen.finish().0.success());
}

#[test]
#[ignore = "needs root: run by make test"]
fn a_dry_run_shows_the_change_and_makes_none() {
    let _scene = machine(&[]);
    let before = stacks();
    let (status, screen) = enable(&["sudo", "--dry-run"]).finish();
    assert!(status.success(), "{screen}");
    for stack in ["sudo", "sudo-i"] {
        assert!(screen.contains(&format!("/etc/pam.d/{stack}:")), "{screen}");
    }
    assert_eq!(stacks(), before);
    assert!(!Path::new(RECORDS).exists());
}

#[test]
#[ignore = "needs root: run by make test"]
fn whatever_goes_wrong_in_the_trial_nothing_is_written_and_the_password_still_does() {
    type Break = fn(&mut Scene);
    let cases: [(&str, Break, &[&str], &str); 8] = [
        (
            "a wrong secret",
            |scene| {
                replace(scene, DEFAULT_CLIENT_SECRET, &"0".repeat(64));
            },
            &[CODE],
            "reason=credential",
        ),
        (
            "a wrong name in the URL",
            |scene| {
                let host = format!("localhost:{}", scene.simulator.port());
                replace(scene, &host, "no-such-host.invalid");
            },
            &[CODE],
            "reason=no-such-host",
        ),
        (
            "nobody at the URL",
            |scene| scene.simulator.stop(),
            &[CODE],
            "reason=no-connection",
        ),
        (
            "no factor",
            |scene| scene.simulator.change_devices(1001, Vec::clear),
            &[CODE, CODE, CODE],
            "reason=no-factor",
        ),
        (
            "unknown to OneLogin",
            |scene| scene.simulator.remove_user(1001),
            &[CODE, CODE, CODE],
            "reason=no-onelogin-user",
        ),
        (
            "wrong codes",
            |_| (),
            &["999999", "999998", "999997"],
            "reason=wrong-code",
        ),
        (
            "failmode safe",
            |scene| {
                let text = fs::read_to_string(CONFIG).unwrap();
                scene
                    .stage
                    .write(CONFIG, format!("failmode = \"safe\"\n{text}"), 0o600);
                scene.simulator.stop();
            },
            &[CODE],
            "denied",
        ),
        (
            "no module",
            |_| fs::remove_file(installed()).unwrap(),
            &[],
            "before OneLogin was asked",
        ),
    ];
    for (what, make_wrong, codes, said) in cases {
        let mut scene = machine(&[]);
        make_wrong(&mut scene);
        let before = stacks();
        let mut screen = enable(&["sudo", "--user", "alice", "--yes", "--try", "60"]);
        screen.expect("assword: ");
        screen.line(PASSWORD);
        for code in codes {
            if screen.next_of(&["asscode: ", "nothing was changed"]) != Some(0) {
                break;
            }
            screen.line(code);
        }
        let (status, screen) = screen.finish();
        assert!(!status.success(), "{what}: {screen}");
        assert!(screen.contains(said), "{what}: {screen}");
        assert!(screen.contains("nothing was changed"), "{what}: {screen}");
        assert_eq!(stacks(), before, "{what}");
        by_password_alone(&scene);
    }
}

#[test]
#[ignore = "needs root: run by make test"]
fn a_fault_of_the_configuration_and_an_unknown_user_end_it_before_a_login() {
    let scene = machine(&[]);
    let before = stacks();
    let (status, screen) = enable(&["sudo", "--user", "nobodyofthatname", "--yes"]).finish();
    assert!(
        !status.success() && screen.contains("there is no user nobodyofthatname"),
        "{screen}"
    );
    scene
        .stage
        .write(CONFIG, "[onelogin]\nurl = \"http://x\"\n", 0o600);
    let (status, screen) = enable(&["sudo", "--user", "alice", "--yes"]).finish();
    assert!(
        !status.success() && screen.contains("config.toml:2: "),
        "{screen}"
    );
    assert_eq!(stacks(), before);
}

#[test]
#[ignore = "needs root: run by make test"]
fn r11_neither_password_nor_code_nor_secret_is_shown() {
    let _scene = machine(&[]);
    let mut screen = enable(&["sudo", "--user", "alice", "--yes", "--json"]);
    trial(&mut screen, CODE);
    let (status, screen) = screen.finish();
    assert!(status.success(), "{screen}");
    // The code is typed visibly, as in every host; the tool itself says it nowhere.
    assert_eq!(screen.matches(CODE).count(), 1, "{screen}");
    for secret in [PASSWORD, DEFAULT_CLIENT_SECRET] {
        assert!(!screen.contains(secret), "{screen}");
    }
    assert!(screen.contains("\"result\": \"enabled\""), "{screen}");
}

// --try

#[test]
#[ignore = "needs root: run by make test"]
fn a_trial_that_nobody_confirms_is_put_back_whatever_becomes_of_the_tool() {
    let scene = machine(&[]);
    let before = stacks();
    for end in [
        None,
        Some(Signal::SIGHUP),
        Some(Signal::SIGKILL),
        Some(Signal::SIGINT),
    ] {
        let screen = on_trial(&["sudo", "--user", "alice"], 4);
        assert_ne!(stacks(), before);
        if let Some(signal) = end {
            screen.signal(signal);
            assert!(!screen.finish().0.success());
        } else {
            let (status, screen) = screen.finish();
            assert!(
                !status.success() && screen.contains("as it was before"),
                "{screen}"
            );
        }
        wait_until(|| stacks() == before, "the stacks are put back");
        wait_until(|| !record("trial", "sudo").exists(), "the record is gone");
        by_password_alone(&scene);
        fresh_codes();
    }
}

#[test]
#[ignore = "needs root: run by make test"]
fn a_trial_is_kept_by_a_second_login_and_by_nothing_less() {
    let scene = machine(&[]);
    let before = stacks();
    let mut screen = on_trial(&["sudo", "--user", "alice"], 3600);
    let after = stacks();

    screen.line("yes");
    screen.expect("no login through sudo was accepted by OneLogin since");
    let (status, said) = tool(&["confirm", "sudo"]).finish();
    assert!(
        !status.success() && said.contains("no login through sudo"),
        "{said}"
    );
    let (status, said) = enable(&["sudo", "--user", "alice"]).finish();
    assert!(
        !status.success() && said.contains("is on trial already"),
        "{said}"
    );

    // Nor does a login that goes through no stack count.
    let mut test = tool(&["test", "alice", "--service", "sudo"]);
    test.expect("OneLogin passcode: ");
    test.line(CODES[2]);
    test.expect("accepted user=alice");
    assert!(test.finish().0.success());
    assert!(!tool(&["confirm", "sudo"]).finish().0.success());

    // A wrong code is no second login.
    let mut sudo = scene.sudo_as("alice", &["id", "-un"]);
    password(&mut sudo);
    for _ in 0..3 {
        sudo.expect("OneLogin passcode: ");
        sudo.line("999999");
    }
    denied(sudo);
    assert!(!tool(&["confirm", "sudo"]).finish().0.success());

    let mut sudo = scene.sudo_as("alice", &["id", "-un"]);
    password(&mut sudo);
    sudo.expect("OneLogin passcode: ");
    sudo.line(CODES[1]);
    became_root(sudo);
    let (status, said) = tool(&["confirm", "sudo"]).finish();
    assert!(status.success(), "{said}");
    screen.expect("Done.");
    assert!(screen.finish().0.success());
    assert_eq!(stacks(), after);
    assert!(!record("trial", "sudo").exists());

    // Nothing that still waits may put it back.
    assert!(tool(&["restore"]).finish().0.success());
    assert_eq!(stacks(), after);
    assert!(tool(&["disable", "sudo"]).finish().0.success());
    assert_eq!(stacks(), before);
    scene.stage.tried(
        "sudo",
        "pam-onelogin enable --try: kept after a second login, else put back",
    );
}

#[test]
#[ignore = "needs root: run by make test"]
fn a_trial_is_kept_by_a_word_at_the_terminal_that_waits() {
    let scene = machine(&[]);
    let mut screen = on_trial(&["sudo", "--user", "alice"], 3600);
    let mut sudo = scene.sudo_as("alice", &["id", "-un"]);
    password(&mut sudo);
    sudo.expect("OneLogin passcode: ");
    sudo.line(CODES[1]);
    became_root(sudo);
    screen.line("yes");
    screen.expect("A login of alice through it was accepted.");
    screen.expect("Done.");
    assert!(screen.finish().0.success());
    assert!(record("enabled", "sudo").exists());
}

#[test]
#[ignore = "needs root: run by make test"]
fn after_a_restart_what_was_on_trial_is_put_back_by_the_unit_and_by_any_run_of_the_tool() {
    let _scene = machine(&[]);
    let before = stacks();
    for words in [&["restore"] as &[&str], &["check", "--offline"]] {
        let screen = on_trial(&["sudo", "--user", "alice"], 3600);
        end(screen);
        // As after a restart: another start of the machine, and none of the processes that waited.
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        let path = record("trial", "sudo");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(boot.trim()), "{text}");
        kill_guardian();
        assert_ne!(stacks(), before);
        fs::write(&path, text.replace(boot.trim(), "another")).unwrap();
        let (_, screen) = tool(words).finish();
        assert!(screen.contains("was not confirmed in time"), "{screen}");
        assert_eq!(stacks(), before, "{words:?}");
        fresh_codes();
    }
}

#[test]
#[ignore = "needs root: run by make test"]
fn a_container_that_is_started_again_has_restarted() {
    let _scene = machine(&[]);
    let before = stacks();
    end(on_trial(&["sudo", "--user", "alice"], 3600));
    kill_guardian();
    // The kernel is the same, the first process another one.
    let path = record("trial", "sudo");
    let text = fs::read_to_string(&path).unwrap();
    let stat = fs::read_to_string("/proc/1/stat").unwrap();
    let began = stat.rsplit(')').next().unwrap().split(' ').nth(20).unwrap();
    let first = format!("1@{began}");
    assert!(text.contains(&first), "{text}");
    fs::write(&path, text.replace(&first, "1@0")).unwrap();
    assert!(tool(&["restore"]).finish().0.success());
    assert_eq!(stacks(), before);
}

#[test]
#[ignore = "needs root: run by make test"]
fn a_login_through_a_stack_that_did_not_change_confirms_nothing() {
    let scene = machine(&[]);
    let changed = fs::read_to_string("/etc/pam.d/sudo-i").unwrap().replace(
        "@include common-auth\n",
        "@include common-auth\nauth required pam_onelogin.so\n",
    );
    assert!(changed.contains("pam_onelogin"));
    scene.stage.write("/etc/pam.d/sudo-i", changed, 0o644);
    let screen = on_trial(&["sudo", "--user", "alice"], 3600);
    let log_in = |arguments: &[&str], code: &str| {
        let mut sudo = scene.sudo_as("alice", arguments);
        password(&mut sudo);
        sudo.expect("OneLogin passcode: ");
        sudo.line(code);
        became_root(sudo);
    };
    log_in(&["-i", "id", "-un"], CODES[1]);
    let (status, said) = tool(&["confirm", "sudo"]).finish();
    assert!(
        !status.success() && said.contains("no login through sudo"),
        "{said}"
    );
    log_in(&["id", "-un"], CODES[2]);
    let (status, said) = tool(&["confirm", "sudo"]).finish();
    assert!(status.success(), "{said}");
    assert!(screen.finish().0.success());
}

#[test]
#[ignore = "needs root: run by make test"]
fn a_lost_copy_keeps_nothing_on_trial() {
    let _scene = machine(&[]);
    let before = stacks();
    let lose = |stack: &str| fs::remove_file(format!("{RECORDS}/backup/sudo.{stack}")).unwrap();
    end(on_trial(&["sudo", "--user", "alice"], 3));
    lose("sudo-i");
    wait_until(|| stacks() == before, "our lines are taken out");
    wait_until(|| !record("trial", "sudo").exists(), "the record is gone");

    // What cannot be put back at all keeps nothing else on trial, and is not forgotten.
    fresh_codes();
    end(on_trial(&["sudo", "--user", "alice"], 3));
    lose("sudo-i");
    let odd = "auth required pam_onelogin.so\n";
    fs::write("/etc/pam.d/sudo-i", odd).unwrap();
    wait_until(
        || stacks()["sudo"] == before["sudo"],
        "the other one is put back",
    );
    assert_eq!(fs::read_to_string("/etc/pam.d/sudo-i").unwrap(), odd);
    let (status, said) = tool(&["restore"]).finish();
    assert!(!status.success() && said.contains("sudo-i:1: "), "{said}");
    assert!(record("trial", "sudo").exists());
}

#[test]
#[ignore = "needs root: run by make test"]
fn a_write_that_fails_leaves_nothing_changed() {
    let _scene = machine(&[]);
    let before = stacks();
    for number in 1.. {
        let inject = format!("inject=renameat:error=ENOSPC:when={number}");
        let output = Command::new("strace")
            .args(["-f", "-qq", "-e", "trace=renameat", "-e", &inject])
            .args(["-o", "/dev/null", TOOL])
            .args(["enable", "sudo", "--no-trial", "--yes"])
            .env_clear()
            .output()
            .unwrap();
        if output.status.success() {
            assert!(number > 4, "{number} files were written");
            break;
        }
        assert_eq!(stacks(), before, "renameat {number}: {output:?}");
    }
}

#[test]
#[ignore = "needs root: run by make test"]
fn killed_at_any_step_of_writing_each_stack_is_whole_and_is_put_back() {
    let _scene = machine(&[]);
    let before = stacks();
    let reference = {
        assert!(
            tool(&["enable", "sudo", "--no-trial", "--yes"])
                .finish()
                .0
                .success()
        );
        let after = stacks();
        assert!(tool(&["disable", "sudo"]).finish().0.success());
        after
    };
    let mut killed = 0;
    for call in ["openat", "write", "fchown", "fchmod", "fsync", "renameat"] {
        for number in 1.. {
            let inject = format!("inject={call}:signal=SIGKILL:when={number}");
            let output = Command::new("strace")
                .args([
                    "-f",
                    "-qq",
                    "-e",
                    &format!("trace={call}"),
                    "-e",
                    &inject,
                    "-o",
                    "/dev/null",
                ])
                .args([TOOL, "enable", "sudo", "--no-trial", "--yes"])
                .env_clear()
                .output()
                .unwrap();
            let now = stacks();
            for (name, file) in now.iter().filter(|(name, _)| !name.starts_with('.')) {
                let known = [before.get(name), reference.get(name)];
                assert!(
                    known.contains(&Some(file)),
                    "{call} {number}: {name} is torn"
                );
            }
            if output.status.success() {
                assert!(tool(&["disable", "sudo"]).finish().0.success());
                break;
            }
            killed += 1;
            assert!(tool(&["restore"]).finish().0.success(), "{call} {number}");
            if record("enabled", "sudo").exists() {
                assert_eq!(stacks(), reference, "{call} {number}: all or nothing");
                assert!(tool(&["disable", "sudo"]).finish().0.success());
            }
            assert_eq!(stacks(), before, "{call} {number}");
        }
    }
    assert!(killed > 40, "{killed}");
}

#[test]
#[ignore = "needs root: run by make test"]
fn a_trial_is_put_back_over_a_link_and_as_soon_as_the_disk_takes_it() {
    let _scene = machine(&[]);
    let before = stacks();
    let on_trial = || {
        let mut screen = tool(&["enable", "sudo", "--no-trial", "--yes", "--try", "2"]);
        screen.expect(IN_PLACE);
        screen
    };
    let screen = on_trial();
    fs::hard_link("/etc/pam.d/sudo", "/etc/second-name").unwrap();
    let _ = screen.finish();
    wait_until(|| stacks() == before, "it is put back over a link");
    fs::remove_file("/etc/second-name").unwrap();

    let mount = |how: &str| {
        let mut mount = Command::new("mount");
        mount.args(["-o", &format!("remount,bind,{how}"), "/etc"]);
        assert!(mount.status().unwrap().success());
    };
    let screen = on_trial();
    mount("ro");
    let (_, said) = screen.finish();
    mount("rw");
    assert!(said.contains("Read-only file system"), "{said}");
    wait_until(|| stacks() == before, "it is put back once that works");
}

// su, the console

#[test]
#[ignore = "needs root: run by make test"]
fn su_and_the_console_are_enabled_after_a_trial_login_like_theirs() {
    let scene = machine(&[]);
    let before = stacks();
    for (service, code) in [("su", CODE), ("login", CODES[1])] {
        let mut screen = enable(&[service, "--user", "alice", "--yes"]);
        trial(&mut screen, code);
        let (status, screen) = screen.finish();
        assert!(status.success(), "{screen}");
    }
    let mut su = scene.as_person("bob", "su", &["alice", "-c", "id -un"]);
    su.expect("assword: ");
    su.line(PASSWORD);
    su.expect("OneLogin passcode: ");
    su.line(CODES[2]);
    let (status, screen) = su.finish();
    assert!(
        status.success() && screen.trim_end().ends_with("alice"),
        "{screen}"
    );
    for service in ["su", "login"] {
        assert!(tool(&["disable", service]).finish().0.success());
    }
    assert_eq!(stacks(), before);
}

// sshd

#[test]
#[ignore = "needs root: run by make test"]
fn sshd_behind_a_key_is_enabled_and_disabled_to_the_byte() {
    let scene = machine(&[]);
    let before = stacks();
    let sshd = Sshd::start_by_the_machines_file(&scene.stage, KEY);
    let mut screen = enable(&["sshd", "--user", "alice", "--yes"]);
    screen.expect("- @include common-auth");
    screen.expect("OneLogin passcode: ");
    screen.line(CODE);
    let (status, screen) = screen.finish();
    assert!(status.success(), "{screen}");
    assert!(!screen.contains("assword: "), "{screen}");

    behind_a_key(&scene, &sshd, CODES[1]);
    assert!(tool(&["disable", "sshd"]).finish().0.success());
    assert_eq!(stacks(), before);
    scene
        .stage
        .tried("sshd", "pam-onelogin enable, and disable: to the byte");
}

#[test]
#[ignore = "needs root: run by make test"]
fn sshd_on_trial_is_kept_by_a_second_login_and_put_back_without() {
    let scene = machine(&[]);
    let before = stacks();
    let sshd = Sshd::start_by_the_machines_file(&scene.stage, KEY);
    let mut screen = enable(&["sshd", "--user", "alice", "--yes", "--try", "4"]);
    screen.expect("OneLogin passcode: ");
    screen.line(CODE);
    screen.expect(IN_PLACE);
    screen.signal(Signal::SIGKILL);
    assert!(!screen.finish().0.success());
    wait_until(|| stacks() == before, "the stack is put back");
    // The old stack: the key, then the password.
    let mut client = sshd.client_with_key(&scene.person("alice").name);
    client.expect("assword: ");
    client.line(PASSWORD);
    entered(client, "alice");

    fresh_codes();
    let mut screen = enable(&["sshd", "--user", "alice", "--yes", "--try", "3600"]);
    screen.expect("OneLogin passcode: ");
    screen.line(CODE);
    screen.expect(IN_PLACE);
    behind_a_key(&scene, &sshd, CODES[1]);
    let (status, said) = tool(&["confirm", "sshd"]).finish();
    assert!(
        status.success() && said.contains("A login of alice"),
        "{said}"
    );
    assert!(screen.finish().0.success());
    scene.stage.tried(
        "sshd",
        "pam-onelogin enable --try: kept after a second login, else put back",
    );
}

#[test]
#[ignore = "needs root: run by make test"]
fn sshd_gets_the_settings_that_it_lacks_too_and_gives_them_back() {
    let scene = machine(&[]);
    let before = stacks();
    let sshd = Sshd::start_by_the_machines_file(&scene.stage, &included(""));
    let by_password_alone = |scene: &Scene| {
        let mut client = sshd.client(&scene.person("alice").name, &[]);
        client.expect("assword: ");
        client.line(PASSWORD);
        entered(client, "alice");
    };
    by_password_alone(&scene);

    let (status, screen) = enable(&["sshd", "--user", "alice", "--yes"]).finish();
    assert!(
        !status.success() && screen.contains("say --behind key"),
        "{screen}"
    );

    let words = ["sshd", "--behind", "key", "--user", "alice", "--yes"];
    let login = |screen: &mut Pty| {
        screen.expect("+ AuthenticationMethods publickey,keyboard-interactive");
        screen.expect("OneLogin passcode: ");
        screen.line(CODE);
    };
    let mut screen = enable(&words);
    login(&mut screen);
    let (status, screen) = screen.finish();
    assert!(status.success(), "{screen}");
    behind_a_key(&scene, &sshd, CODES[1]);
    let (status, screen) = enable(&words).finish();
    assert!(
        status.success() && screen.contains("Nothing to change"),
        "{screen}"
    );
    let (status, screen) = tool(&["disable", "sshd"]).finish();
    assert!(status.success(), "{screen}");
    assert!(!Path::new(SETTINGS).exists());
    assert_eq!(stacks(), before);
    by_password_alone(&scene);

    fresh_codes();
    let mut screen = enable(&[&words[..], &["--try", "4"]].concat());
    login(&mut screen);
    screen.expect(IN_PLACE);
    assert!(Path::new(SETTINGS).exists());
    screen.signal(Signal::SIGKILL);
    assert!(!screen.finish().0.success());
    wait_until(|| !record("trial", "sshd").exists(), "it is put back");
    assert!(!Path::new(SETTINGS).exists());
    assert_eq!(stacks(), before);
    by_password_alone(&scene);
    scene.stage.tried(
        "sshd",
        "pam-onelogin enable: with the settings of sshd, and without again",
    );
}

#[test]
#[ignore = "needs root: run by make test"]
fn killed_at_any_step_sshd_takes_what_it_took_before() {
    let scene = machine(&[]);
    let before = stacks();
    let sshd = Sshd::start_by_the_machines_file(&scene.stage, &included(""));
    let takes = || {
        let mut client = sshd.client("alice", &["PreferredAuthentications=none"]);
        client.expect("Permission denied (");
        client.finish().1
    };
    let took = takes();
    let words = [
        "enable",
        "sshd",
        "--behind",
        "key",
        "--user",
        "alice",
        "--no-trial",
        "--yes",
    ];
    let mut killed = 0;
    for call in ["renameat", "kill", "fsync"] {
        for number in 1.. {
            let output = Command::new("strace")
                .args([
                    "-qq",
                    "-e",
                    &format!("trace={call}"),
                    "-o",
                    "/dev/null",
                    "-e",
                ])
                .arg(format!("inject={call}:signal=SIGKILL:when={number}"))
                .arg(TOOL)
                .args(words)
                .env_clear()
                .output()
                .unwrap();
            if output.status.success() {
                assert!(tool(&["disable", "sshd"]).finish().0.success());
                break;
            }
            killed += 1;
            let (status, screen) = tool(&["restore"]).finish();
            assert!(status.success(), "{call} {number}: {screen}");
            if record("enabled", "sshd").exists() {
                assert!(tool(&["disable", "sshd"]).finish().0.success());
            }
            assert_eq!(stacks(), before, "{call} {number}");
            assert!(!Path::new(SETTINGS).exists(), "{call} {number}");
            assert_eq!(takes(), took, "{call} {number}");
        }
    }
    assert!(killed > 8, "{killed}");
}

#[test]
#[ignore = "needs root: run by make test"]
fn killed_at_any_step_a_password_alone_does_not_let_in_where_only_keys_did() {
    let scene = machine(&[]);
    let keys_alone = included("").replace(
        "KbdInteractiveAuthentication yes",
        "KbdInteractiveAuthentication no\nPasswordAuthentication no",
    );
    let sshd = Sshd::start_by_the_machines_file(&scene.stage, &keys_alone);
    let is_open = || {
        let said = loop {
            let client = sshd.client("alice", &["PreferredAuthentications=none"]);
            let said = client.finish().1;
            // Killed while it was told to read its settings again.
            if !said.contains("Connection refused") {
                break said;
            }
        };
        assert!(said.contains("Permission denied ("), "{said}");
        let stack = fs::read_to_string("/etc/pam.d/sshd").unwrap();
        let asks = |line| stack.lines().any(|found| found == line);
        let both = asks("@include common-auth") && asks("auth       required     pam_onelogin.so");
        said.contains("keyboard-interactive") && !both
    };
    let enable = "enable sshd --user alice --no-trial --yes --behind";
    let mut killed = 0;
    for behind in ["key", "password"] {
        let enable = format!("{enable} {behind}");
        let all_of = |words: &str| {
            let words: Vec<_> = words.split(' ').collect();
            let (status, screen) = tool(&words).finish();
            assert!(status.success(), "{screen}");
        };
        for (first, words) in [("restore", enable.as_str()), (&enable, "disable sshd")] {
            for call in ["renameat", "unlinkat", "kill"] {
                for number in 1.. {
                    all_of(first);
                    assert!(!is_open());
                    let output = Command::new("strace")
                        .args(["-qq", "-o", "/dev/null", "-e"])
                        .arg(format!("trace={call}"))
                        .args(["-e", &format!("inject={call}:signal=SIGKILL:when={number}")])
                        .arg(TOOL)
                        .args(words.split(' '))
                        .env_clear()
                        .output()
                        .unwrap();
                    let place = format!("{words}: {behind}, {call} {number}");
                    assert!(!is_open(), "{place}");
                    all_of("restore");
                    assert!(!is_open(), "{place}");
                    all_of("disable sshd");
                    if output.status.success() {
                        break;
                    }
                    killed += 1;
                }
            }
        }
    }
    assert!(killed > 16, "{killed}");
}

#[test]
#[ignore = "needs root: run by make test"]
fn the_settings_of_sshd_stay_while_its_stack_cannot_go_back() {
    let scene = machine(&[]);
    let before = stacks();
    let _sshd = Sshd::start_by_the_machines_file(&scene.stage, &included(""));
    let words = "enable sshd --behind key --user alice --no-trial --yes --try 3600";
    let mut screen = tool(&words.split(' ').collect::<Vec<_>>());
    screen.expect(IN_PLACE);
    end(screen);
    // Nobody can tell any more what it was.
    fs::remove_file(format!("{RECORDS}/backup/sshd.sshd")).unwrap();
    let without_marks = "auth requisite pam_onelogin.so\nauth required pam_permit.so\n";
    scene.stage.write("/etc/pam.d/sshd", without_marks, 0o644);
    let path = record("trial", "sshd");
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace(boot.trim(), "another")).unwrap();
    let (status, said) = tool(&["restore"]).finish();
    assert!(
        !status.success() && said.contains("/etc/pam.d/sshd:1: "),
        "{said}"
    );
    assert!(Path::new(SETTINGS).exists(), "or a code alone lets in");

    scene
        .stage
        .write("/etc/pam.d/sshd", &before["sshd"].bytes, 0o644);
    let (status, said) = tool(&["restore"]).finish();
    assert!(!Path::new(SETTINGS).exists(), "{status} {said}");
    assert_eq!(stacks(), before);
}

#[test]
#[ignore = "needs root: run by make test"]
fn only_the_sshd_that_listens_is_told_to_read_its_settings() {
    let scene = machine(&[]);
    let sshd = Sshd::start_by_the_machines_file(&scene.stage, &included(""));
    let words = "enable sshd --behind key --user alice --no-trial --yes";
    let words: Vec<_> = words.split(' ').collect();
    let (status, screen) = tool(&words).finish();
    assert!(status.success(), "{screen}");
    assert!(tool(&["disable", "sshd"]).finish().0.success());

    // A number that is out of date, and now a session's.
    let number = fs::read_to_string("/run/sshd.pid").unwrap();
    let mut client = sshd.client(&scene.person("alice").name, &[]);
    client.expect("assword: ");
    let session = fs::read_to_string(format!("/proc/{0}/task/{0}/children", number.trim()));
    fs::write("/run/sshd.pid", session.unwrap()).unwrap();
    let (status, screen) = tool(&words).finish();
    assert!(!status.success(), "{screen}");
    assert!(screen.contains("has not read its settings"), "{screen}");
    assert!(!Path::new(SETTINGS).exists());
    client.line(PASSWORD);
    entered(client, "alice");
    fs::write("/run/sshd.pid", number).unwrap();

    // Another one would have the new stack with settings that nobody has looked at.
    let other = Sshd::start(&scene.stage, "UsePAM yes");
    let (status, screen) = tool(&words).finish();
    assert!(!status.success(), "{screen}");
    assert!(screen.contains("more than one sshd"), "{screen}");
    drop(other);
    drop(sshd);

    // No file of the folder that it is run in counts.
    let sshd = Sshd::start_by_the_machines_file(&scene.stage, &included("PidFile none\n"));
    let folder = Path::new("/run/of-a-user");
    fs::create_dir(folder).unwrap();
    fs::write(folder.join("none"), listener()).unwrap();
    let mut command = Command::new(TOOL);
    command.args(&words).env_clear().current_dir(folder);
    let (status, screen) = Pty::spawn(command).finish();
    assert!(!status.success(), "{screen}");
    assert!(screen.contains("has not read its settings"), "{screen}");
    drop(sshd);
}

#[test]
#[ignore = "needs root: run by make test"]
fn a_fault_in_sshds_settings_keeps_no_stack_on_trial_and_is_logged() {
    let scene = machine(&[]);
    let before = stacks();
    let sshd = Sshd::start_by_the_machines_file(&scene.stage, &included(""));
    let words = "enable sshd --behind key --user alice --no-trial --yes --try 2";
    let mut screen = tool(&words.split(' ').collect::<Vec<_>>());
    screen.expect(IN_PLACE);
    let config = fs::read_to_string("/etc/ssh/sshd_config").unwrap();
    let faulty = format!("{config}NoSuchSetting yes\n");
    scene.stage.write("/etc/ssh/sshd_config", faulty, 0o600);
    end(screen);
    let said = scene.decision("-T does not accept its configuration");
    assert!(said.starts_with("pam_onelogin(pam-onelogin:"), "{said}");
    assert_eq!(stacks(), before);
    assert!(!Path::new(SETTINGS).exists());

    scene.stage.write("/etc/ssh/sshd_config", config, 0o600);
    wait_until(|| !record("trial", "sshd").exists(), "sshd reads them");
    let name = scene.person("alice").name;
    let mut client = sshd.client(&name, &[]);
    client.expect("assword: ");
    client.line(PASSWORD);
    entered(client, "alice");
}

#[test]
#[ignore = "needs root: run by make test"]
fn a_connection_from_before_does_not_come_in_by_the_new_stack_alone() {
    let scene = machine(&["users.exempt_users = [\"alice\"]"]);
    let sshd = Sshd::start_by_the_machines_file(&scene.stage, &included(""));
    let client = |option: &str, remote: &str| {
        let mut command = Command::new("ssh");
        command
            .args(["-F", "/dev/null", "-p", &sshd.port().to_string()])
            .args(["-o", option, "-o", "UserKnownHostsFile=/dev/null"])
            .args(["alice@127.0.0.1", remote])
            .env_clear()
            .env("PATH", "/usr/bin:/bin");
        Pty::spawn(command)
    };
    // It waits for the answer whether it knows this host, and sshd for the user.
    let mut early = client("StrictHostKeyChecking=ask", "echo came in");
    early.expect("continue connecting");
    let mut open = client("StrictHostKeyChecking=no", "echo came in; tr a-z A-Z");
    open.expect("assword: ");
    open.line(PASSWORD);
    open.expect("came in");
    let words = "enable sshd --behind key --user alice --no-trial --yes";
    let (status, screen) = tool(&words.split(' ').collect::<Vec<_>>()).finish();
    assert!(status.success(), "{screen}");
    open.line("still open");
    open.type_keys("\x04");
    open.expect("STILL OPEN");
    early.line("yes");
    let (status, screen) = early.finish();
    assert!(
        !status.success() && !screen.contains("came in\r"),
        "{screen}"
    );
}

#[test]
#[ignore = "needs root: run by make test"]
fn a_folder_of_settings_that_somebody_has_taken_away_keeps_no_stack_on_trial() {
    let scene = machine(&[]);
    let before = stacks();
    let sshd = Sshd::start_by_the_machines_file(&scene.stage, &included(""));
    let words = "enable sshd --behind key --user alice --no-trial --yes --try 2";
    let words: Vec<_> = words.split(' ').collect();
    let mut screen = tool(&words);
    screen.expect(IN_PLACE);
    fs::remove_dir_all(Path::new(SETTINGS).parent().unwrap()).unwrap();
    let (_, said) = screen.finish();
    assert!(said.contains("as it was before"), "{said}");
    assert_eq!(stacks(), before);
    let name = scene.person("alice").name;
    let mut client = sshd.client(&name, &[]);
    client.expect("assword: ");
    client.line(PASSWORD);
    entered(client, "alice");

    let (status, screen) = tool(&words).finish();
    assert!(!status.success(), "{screen}");
    assert!(screen.contains("needs \"AuthenticationMethods"), "{screen}");
}

#[test]
#[ignore = "needs root: run by make test"]
fn settings_alone_are_left_to_the_admin_where_another_stack_asks() {
    let scene = machine(&[]);
    let _sshd = Sshd::start_by_the_machines_file(&scene.stage, &included(""));
    let asks = "auth requisite pam_unix.so\nauth required pam_onelogin.so\n";
    scene.stage.write("/etc/pam.d/common-auth", asks, 0o644);
    let words = "enable sshd --behind key --user alice --no-trial --yes";
    let (status, screen) = tool(&words.split(' ').collect::<Vec<_>>()).finish();
    assert!(!status.success(), "{screen}");
    assert!(screen.contains("is yours to write"), "{screen}");
    assert!(!Path::new(SETTINGS).exists());
}

#[test]
#[ignore = "needs root: run by make test"]
fn before_sshd_runs_its_settings_go_back_although_it_could_not_read_them() {
    let scene = machine(&[]);
    let before = stacks();
    let sshd = Sshd::start_by_the_machines_file(&scene.stage, &included(""));
    let words = "enable sshd --behind key --user alice --no-trial --yes --try 3600";
    let mut screen = tool(&words.split(' ').collect::<Vec<_>>());
    screen.expect(IN_PLACE);
    end(screen);
    kill_guardian();
    // As after a restart: it needs a folder that is made together with its start.
    drop(sshd);
    let path = record("trial", "sshd");
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace(boot.trim(), "another")).unwrap();
    fs::rename("/run/sshd", "/run/no-sshd").unwrap();
    let (status, said) = tool(&["restore"]).finish();
    let (_, refusal) = enable(&["sshd", "--user", "alice"]).finish();
    fs::rename("/run/no-sshd", "/run/sshd").unwrap();
    assert!(refusal.contains("mkdir -m 755 /run/sshd"), "{refusal}");
    assert!(status.success(), "{said}");
    assert!(!path.exists() && !Path::new(SETTINGS).exists(), "{said}");
    assert_eq!(stacks(), before);
}

#[test]
#[ignore = "needs root: run by make test"]
fn sshd_is_refused_while_it_runs_with_other_settings_than_its_files_say() {
    let scene = machine(&[]);
    let before = stacks();
    let sshd = Sshd::start_by_the_machines_file(&scene.stage, &included(""));
    scene.stage.write(SETTINGS, KEY, 0o644);
    let words = ["sshd", "--user", "alice", "--no-trial", "--yes"];
    let (status, screen) = enable(&words).finish();
    assert!(!status.success(), "{screen}");
    assert!(screen.contains("has not read its settings"), "{screen}");
    assert_eq!(stacks(), before);

    sshd.reload();
    let (status, screen) = enable(&words).finish();
    assert!(status.success(), "{screen}");
    behind_a_key(&scene, &sshd, CODE);

    let (status, screen) = tool(&["disable", "sshd"]).finish();
    assert!(status.success(), "{screen}");
    assert!(screen.contains("still asks for a key"), "{screen}");
    assert_eq!(
        fs::read_to_string(SETTINGS).unwrap(),
        KEY,
        "the admin's own"
    );
    assert_eq!(stacks(), before);
}

#[test]
#[ignore = "needs root: run by make test"]
fn settings_of_others_that_count_before_ours_leave_nothing_changed() {
    let scene = machine(&[]);
    let before = stacks();
    let words = [
        "sshd",
        "--behind",
        "key",
        "--user",
        "alice",
        "--no-trial",
        "--yes",
    ];
    // Above what sshd_config includes: seen before anything is written.
    let port = free_port();
    let config = |text: String| {
        let text = format!("{text}Port {port}\nListenAddress 127.0.0.1\n");
        scene.stage.write("/etc/ssh/sshd_config", text, 0o644);
    };
    config(format!("PasswordAuthentication yes\n{}", included("")));
    let (status, screen) = enable(&words).finish();
    assert!(!status.success(), "{screen}");
    assert!(
        screen.contains("needs \"PasswordAuthentication no\""),
        "{screen}"
    );
    assert!(!screen.contains("+ AuthenticationMethods"), "{screen}");
    // In a file whose name comes first: seen before sshd reads any of it.
    config(included(""));
    let earlier = "/etc/ssh/sshd_config.d/00-a.conf";
    scene
        .stage
        .write(earlier, "PasswordAuthentication yes\n", 0o644);
    let (status, screen) = enable(&words).finish();
    assert!(!status.success(), "{screen}");
    assert!(
        screen.contains("needs \"PasswordAuthentication no\""),
        "{screen}"
    );
    assert!(screen.contains("nothing was changed"), "{screen}");
    assert!(!Path::new(SETTINGS).exists());
    assert_eq!(stacks(), before);
    // Root by ssh needs more than ours.
    fs::remove_file(earlier).unwrap();
    let words_of_root = words.map(|word| if word == "alice" { "root" } else { word });
    let (status, screen) = enable(&words_of_root).finish();
    assert!(!status.success(), "{screen}");
    assert!(screen.contains("root does not get in by ssh"), "{screen}");
    // Without a record ours goes all the same; what somebody has made of it is theirs.
    let (status, screen) = enable(&words).finish();
    assert!(status.success(), "{screen}");
    fs::remove_dir_all(RECORDS).unwrap();
    let (status, screen) = tool(&["disable", "sshd"]).finish();
    assert!(status.success(), "{screen}");
    assert!(!Path::new(SETTINGS).exists());
    assert_eq!(stacks(), before);
    let (status, screen) = enable(&words).finish();
    assert!(status.success(), "{screen}");
    let ours = fs::read_to_string(SETTINGS).unwrap();
    scene
        .stage
        .write(SETTINGS, ours + "X11Forwarding no\n", 0o644);
    let (status, screen) = tool(&["disable", "sshd"]).finish();
    assert!(status.success(), "{screen}");
    assert!(
        screen.contains("00-onelogin.conf: was changed since, and stays"),
        "{screen}"
    );
    assert!(screen.contains("still asks for a key"), "{screen}");
    assert!(Path::new(SETTINGS).exists());
    assert_eq!(stacks(), before);

    // On trial it goes, and is kept beside the old stacks.
    fs::remove_file(SETTINGS).unwrap();
    let mut screen = enable(&[&words[..], &["--try", "3600"]].concat());
    screen.expect(IN_PLACE);
    end(screen);
    scene.stage.write(SETTINGS, "X11Forwarding no\n", 0o644);
    let (status, screen) = tool(&["disable", "sshd"]).finish();
    assert!(status.success(), "{screen}");
    assert!(!Path::new(SETTINGS).exists());
    let edited = fs::read(format!("{RECORDS}/backup/00-onelogin.conf.edited")).unwrap();
    assert_eq!(edited, b"X11Forwarding no\n");
    assert_eq!(stacks(), before);
}

#[test]
#[ignore = "needs root: run by make test"]
fn settings_for_some_users_or_addresses_are_looked_at_too() {
    let scene = machine(&[]);
    let before = stacks();
    let enable = || tool(&["enable", "sshd", "--user", "alice", "--no-trial", "--yes"]).finish();
    let port = free_port();
    let config = |block: &str| {
        let text = format!("{KEY}Port {port}\nListenAddress 127.0.0.1\n{block}\n");
        scene.stage.write("/etc/ssh/sshd_config", text, 0o644);
    };
    for (condition, methods) in [
        ("User bob", "keyboard-interactive"),
        (
            "Address 10.0.0.0/8",
            "publickey,keyboard-interactive password",
        ),
        ("Group users", "password"),
    ] {
        config(&format!(
            "Match {condition}\n  AuthenticationMethods {methods}"
        ));
        let (status, screen) = enable();
        assert!(!status.success(), "{screen}");
        let said = format!("sshd_config:8: \"Match {condition}\" has");
        assert!(screen.contains(&said), "{screen}");
        assert_eq!(stacks(), before);
    }
    // A key alone is what somebody meant.
    config("Match User git\n  AuthenticationMethods publickey");
    let (status, screen) = enable();
    assert!(status.success(), "{screen}");
}

#[test]
#[ignore = "needs root: run by make test"]
fn methods_that_ask_for_more_than_is_needed_stay() {
    let scene = machine(&[]);
    let both = included("AuthenticationMethods publickey,keyboard-interactive\n");
    let sshd = Sshd::start_by_the_machines_file(&scene.stage, &both);
    let words = "enable sshd --behind password --user alice --no-trial --yes";
    let (status, screen) = tool(&words.split(' ').collect::<Vec<_>>()).finish();
    assert!(status.success(), "{screen}");
    assert!(screen.contains("+ PasswordAuthentication no"), "{screen}");
    let (_, screen) = sshd
        .client("alice", &["PreferredAuthentications=none"])
        .finish();
    assert!(screen.contains("(publickey)"), "{screen}");
    fs::remove_dir_all(RECORDS).unwrap();
    assert!(tool(&["disable", "sshd"]).finish().0.success());
    assert!(!Path::new(SETTINGS).exists());
}

#[test]
#[ignore = "needs root: run by make test"]
fn settings_that_change_before_the_answer_are_seen() {
    let scene = machine(&[]);
    let before = stacks();
    let config = |settings: &str| {
        let text = format!("{settings}Port 9\nListenAddress 127.0.0.1\n");
        scene.stage.write("/etc/ssh/sshd_config", text, 0o644);
    };
    config(KEY);
    let mut screen = tool(&["enable", "sshd", "--user", "alice", "--no-trial"]);
    screen.expect("Write this? [y/N] ");
    config(&included(""));
    screen.line("y");
    let (status, screen) = screen.finish();
    assert!(!status.success(), "{screen}");
    assert!(
        screen.contains("settings were changed meanwhile"),
        "{screen}"
    );
    assert_eq!(stacks(), before);
}

#[test]
#[ignore = "needs root: run by make test"]
fn sshd_is_refused_while_its_settings_open_or_close_a_door() {
    let scene = machine(&[]);
    let before = stacks();
    for (settings, said) in [
        (
            KEY.replace("UsePAM yes", "UsePAM no"),
            "needs \"UsePAM yes\"",
        ),
        (
            KEY.replace(
                "KbdInteractiveAuthentication yes",
                "KbdInteractiveAuthentication no",
            ),
            "AuthenticationMethods cannot be satisfied",
        ),
        (
            KEY.replace("PasswordAuthentication no", "PasswordAuthentication yes"),
            "needs \"PasswordAuthentication no\"",
        ),
        (
            KEY.replace(
                "publickey,keyboard-interactive",
                "publickey,keyboard-interactive keyboard-interactive",
            ),
            "AuthenticationMethods",
        ),
        (KEY.replace("AuthenticationMethods", "#"), "--behind"),
    ] {
        let settings = format!("{settings}Port {}\nListenAddress 127.0.0.1\n", free_port());
        scene.stage.write("/etc/ssh/sshd_config", settings, 0o644);
        let (status, screen) = enable(&["sshd", "--user", "alice", "--yes"]).finish();
        assert!(
            !status.success() && screen.contains(said),
            "{said}: {screen}"
        );
        assert_eq!(stacks(), before);
    }
}

// Stacks that were changed

#[test]
#[ignore = "needs root: run by make test"]
fn disable_takes_only_our_lines_out_of_a_stack_that_was_edited_since() {
    let _scene = machine(&[]);
    let before = fs::read_to_string("/etc/pam.d/sudo").unwrap();
    assert!(
        tool(&["enable", "sudo", "--no-trial", "--yes"])
            .finish()
            .0
            .success()
    );
    let edited = fs::read_to_string("/etc/pam.d/sudo").unwrap() + "# mine\n";
    fs::write("/etc/pam.d/sudo", edited).unwrap();
    let (status, screen) = tool(&["disable", "sudo"]).finish();
    assert!(
        status.success() && screen.contains("only our lines"),
        "{screen}"
    );
    let after = fs::read_to_string("/etc/pam.d/sudo").unwrap();
    assert_eq!(after, before + "# mine\n");
}

#[test]
#[ignore = "needs root: run by make test"]
fn disable_makes_no_stack_that_was_taken_away_since() {
    let _scene = machine(&[]);
    let before = fs::read_to_string("/etc/pam.d/sudo").unwrap();
    let enabled = tool(&["enable", "sudo", "--no-trial", "--yes"]).finish();
    assert!(enabled.0.success(), "{}", enabled.1);
    fs::remove_file("/etc/pam.d/sudo-i").unwrap();
    let (status, screen) = tool(&["disable", "sudo"]).finish();
    assert!(status.success(), "{screen}");
    assert!(!Path::new("/etc/pam.d/sudo-i").exists());
    assert_eq!(fs::read_to_string("/etc/pam.d/sudo").unwrap(), before);
}

#[test]
#[ignore = "needs root: run by make test"]
fn a_stack_that_still_names_us_is_never_forgotten_though_it_is_not_understood() {
    let scene = machine(&[]);
    let before = stacks();
    // Our lines without our marks, and a line that goes on in the next one.
    let edit = || {
        let text = fs::read_to_string("/etc/pam.d/sudo").unwrap();
        let lines = text
            .lines()
            .filter(|line| !line.contains("pam-onelogin enable"));
        let text = lines.collect::<Vec<_>>().join("\n");
        assert!(text.contains("pam_onelogin.so"), "{text}");
        fs::write(
            "/etc/pam.d/sudo",
            text + "\nsession required \\\n pam_limits.so\n",
        )
        .unwrap();
    };
    let enabled = tool(&["enable", "sudo", "--no-trial", "--yes"]).finish();
    assert!(enabled.0.success(), "{}", enabled.1);
    edit();
    let (status, screen) = tool(&["disable", "sudo"]).finish();
    assert!(
        !status.success() && screen.contains("names us in a line that is not ours"),
        "{screen}"
    );
    assert!(record("enabled", "sudo").exists());

    // On trial, it goes back as it was.
    scene
        .stage
        .write("/etc/pam.d/sudo", &before["sudo"].bytes, 0o644);
    assert!(tool(&["disable", "sudo"]).finish().0.success());
    assert_eq!(stacks(), before);
    let mut screen = tool(&["enable", "sudo", "--no-trial", "--yes", "--try", "3"]);
    screen.expect(IN_PLACE);
    edit();
    assert!(!screen.finish().0.success());
    wait_until(|| !record("trial", "sudo").exists(), "it is put back");
    assert_eq!(stacks(), before);
}

#[test]
#[ignore = "needs root: run by make test"]
fn what_is_not_understood_is_left_alone_and_said_with_its_line() {
    let scene = machine(&[]);
    let odd = "auth sufficient pam_wheel.so trust\n@include common-auth\n";
    scene.stage.write("/etc/pam.d/sudo", odd, 0o644);
    let before = stacks();
    let (status, screen) = enable(&["sudo", "--user", "alice", "--yes"]).finish();
    assert!(!status.success(), "{screen}");
    assert!(screen.contains("/etc/pam.d/sudo:1: "), "{screen}");
    assert!(
        screen.contains("auth  required  pam_onelogin.so"),
        "{screen}"
    );
    assert_eq!(stacks(), before);
    scene.stage.write(
        "/etc/pam.d/sudo",
        "auth requisite pam_unix.so\nauth required pam_onelogin.so\n",
        0o644,
    );
    let (status, screen) = tool(&["disable", "sudo"]).finish();
    assert!(
        !status.success() && screen.contains("/etc/pam.d/sudo:2: "),
        "{screen}"
    );
}

// Everything at once

#[test]
#[ignore = "needs root: run by make test"]
fn all_is_done_as_pam_auth_update_would_and_undone_to_the_byte() {
    let scene = machine(&[]);
    profile(&scene);
    let before = stacks();
    // As Debian has it: passwords, and no prompts.
    scene.stage.write(
        "/etc/ssh/sshd_config",
        "UsePAM yes\nKbdInteractiveAuthentication no\n",
        0o644,
    );
    let (status, screen) = enable(&["all", "--user", "alice", "--yes"]).finish();
    assert!(!status.success(), "{screen}");
    assert!(screen.contains("would keep out who has no key"), "{screen}");
    assert_eq!(stacks(), before);
    profile(&scene);
    let (status, screen) = enable(&["all", "--dry-run"]).finish();
    assert!(status.success(), "{screen}");
    assert!(screen.contains("/etc/pam.d/common-auth:"), "{screen}");
    assert_eq!(stacks(), before, "a dry run changes nothing");

    let mut screen = enable(&["all", "--user", "alice", "--yes"]);
    trial(&mut screen, CODE);
    assert!(screen.finish().0.success());
    let after = stacks();
    let mut sudo = scene.sudo_as("alice", &["id", "-un"]);
    password(&mut sudo);
    sudo.expect("OneLogin passcode: ");
    sudo.line(CODES[1]);
    became_root(sudo);
    assert!(tool(&["disable", "all"]).finish().0.success());
    assert_eq!(stacks(), before);

    assert!(
        tool(&["enable", "sudo", "--no-trial", "--yes"])
            .finish()
            .0
            .success()
    );
    let (status, screen) = enable(&["all", "--user", "alice", "--yes"]).finish();
    assert!(
        !status.success() && screen.contains("would ask twice"),
        "{screen}"
    );
    assert!(tool(&["disable", "sudo"]).finish().0.success());

    // The same by its own hand; and what it knows is undone by its own hand, too.
    update("--enable");
    assert_eq!(stacks(), after);
    assert!(tool(&["disable", "all"]).finish().0.success());
    assert_eq!(stacks(), before);
    assert!(
        tool(&["enable", "all", "--no-trial", "--yes"])
            .finish()
            .0
            .success()
    );
    update("--disable");
    assert_eq!(stacks(), before);
}

#[test]
#[ignore = "needs root: run by make test"]
fn all_on_trial_is_kept_by_a_login_and_put_back_without_what_a_package_did_meanwhile() {
    let scene = machine(&[]);
    profile(&scene);
    let before = stacks();
    let mut screen = on_trial(&["all", "--user", "alice"], 3600);
    screen.line("yes");
    screen.expect("no login through all was accepted by OneLogin since");
    let mut sudo = scene.sudo_as("alice", &["id", "-un"]);
    password(&mut sudo);
    sudo.expect("OneLogin passcode: ");
    sudo.line(CODES[1]);
    became_root(sudo);
    screen.line("yes");
    screen.expect("Done.");
    assert!(screen.finish().0.success());
    let (status, said) = tool(&["disable", "sudo"]).finish();
    assert!(!status.success(), "{said}");
    assert!(
        said.contains("still asked in sudo, by /etc/pam.d/common-auth:"),
        "{said}"
    );
    assert!(tool(&["disable", "all"]).finish().0.success());
    assert_eq!(stacks(), before);

    // A package is installed during the next trial: its line stays, ours goes.
    fresh_codes();
    end(on_trial(&["all", "--user", "alice"], 4));
    let theirs = "Name: Theirs\nDefault: yes\nPriority: 16\nAuth-Type: Additional\nAuth:\n\toptional\tpam_permit.so theirs\n";
    scene
        .stage
        .write("/usr/share/pam-configs/theirs", theirs, 0o644);
    let mut package = Command::new("/usr/sbin/pam-auth-update");
    package
        .arg("--package")
        .env("DEBIAN_FRONTEND", "noninteractive");
    assert!(package.status().unwrap().success());
    let common = || fs::read_to_string("/etc/pam.d/common-auth").unwrap();
    assert!(common().contains("pam_permit.so theirs"), "{}", common());
    wait_until(|| !record("trial", "all").exists(), "it is put back");
    assert!(common().contains("pam_permit.so theirs"), "{}", common());
    assert!(!common().contains("pam_onelogin"), "{}", common());
    by_password_alone(&scene);
    fs::remove_file("/usr/share/pam-configs/theirs").unwrap();
}

/// Only with a key, and then a code, does alice get in.
fn behind_a_key(scene: &Scene, sshd: &Sshd, code: &str) {
    let name = scene.person("alice").name;
    let (status, screen) = sshd.client(&name, &[]).finish();
    assert!(
        !status.success() && screen.contains("(publickey)"),
        "{screen}"
    );
    let mut client = sshd.client_with_key(&name);
    client.expect("OneLogin passcode: ");
    client.line(code);
    entered(client, "alice");
}

/// Our profile, where pam-auth-update looks for it; and an sshd that can ask for a code.
fn profile(scene: &Scene) {
    let folder = Path::new("/usr/share/pam-configs");
    let profile = folder.join("onelogin");
    if !profile.exists() {
        for name in ["", "upper", "work"] {
            fs::create_dir(Path::new("/run/pam-configs").join(name)).unwrap();
        }
        let layers = "lowerdir=/usr/share/pam-configs,upperdir=/run/pam-configs/upper,workdir=/run/pam-configs/work";
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "overlay", "-o", layers, "overlay"])
            .arg(folder);
        assert!(mount.status().unwrap().success());
    }
    scene.stage.write(
        profile,
        include_bytes!("../packaging/deb/pam-config"),
        0o644,
    );
    let prompts = "UsePAM yes\nKbdInteractiveAuthentication yes\n";
    scene.stage.write("/etc/ssh/sshd_config", prompts, 0o644);
}

fn update(what: &str) {
    let mut command = Command::new("/usr/sbin/pam-auth-update");
    command
        .args([what, "onelogin"])
        .env("DEBIAN_FRONTEND", "noninteractive");
    assert!(command.status().unwrap().success());
}

/// A machine as it was installed, with alice, our module where libpam looks for it, and no record of ours.
fn machine(further: &[&str]) -> Scene {
    static STOCK: OnceLock<BTreeMap<String, File>> = OnceLock::new();
    let stock = STOCK.get_or_init(stacks);
    let scene = Scene::new(further);
    for (name, file) in stock {
        scene.stage.write(
            Path::new("/etc/pam.d").join(name),
            &file.bytes,
            file.mode & 0o7777,
        );
    }
    scene.stage.install();
    if Path::new(RECORDS).exists() {
        fs::remove_dir_all(RECORDS).unwrap();
    }
    let _ = scene.person("alice");
    scene
}

/// What a stack is, to the byte.
#[derive(Clone, PartialEq, Eq)]
struct File {
    bytes: Vec<u8>,
    mode: u32,
    owner: (u32, u32),
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = String::from_utf8_lossy(&self.bytes);
        write!(
            f,
            "{} lines{}",
            text.lines().count(),
            if text.contains("pam_onelogin") {
                " with us"
            } else {
                ""
            }
        )
    }
}

/// All that is in /etc/pam.d.
fn stacks() -> BTreeMap<String, File> {
    let entries = fs::read_dir("/etc/pam.d").unwrap();
    entries
        .map(|entry| {
            let path = entry.unwrap().path();
            let metadata = fs::metadata(&path).unwrap();
            let file = File {
                bytes: fs::read(&path).unwrap(),
                mode: metadata.mode(),
                owner: (metadata.uid(), metadata.gid()),
            };
            (path.file_name().unwrap().to_str().unwrap().to_owned(), file)
        })
        .collect()
}

/// The tool, as root, on a terminal.
fn tool(arguments: &[&str]) -> Pty {
    let mut command = Command::new(TOOL);
    command
        .args(arguments)
        .env_clear()
        .env("TERM", "dumb")
        .current_dir("/");
    Pty::spawn(command)
}

fn enable(arguments: &[&str]) -> Pty {
    tool(&[&["enable"], arguments].concat())
}

/// The trial login behind a password.
fn trial(screen: &mut Pty, code: &str) {
    screen.expect("assword: ");
    screen.line(PASSWORD);
    screen.expect("OneLogin passcode: ");
    screen.line(code);
    screen.expect("The trial login was accepted by OneLogin.");
}

/// Enabled for so many seconds, after a trial login.
fn on_trial(arguments: &[&str], seconds: u32) -> Pty {
    let mut screen = enable(&[arguments, &["--yes", "--try", &seconds.to_string()]].concat());
    trial(&mut screen, CODE);
    screen.expect(IN_PLACE);
    screen
}

/// Ends the tool as a lost terminal would.
fn end(screen: Pty) {
    screen.signal(Signal::SIGKILL);
    assert!(!screen.finish().0.success());
}

/// Ends the process that waits to put something back; process numbers here are this test's own.
fn kill_guardian() {
    // Those of earlier trials see within a second that theirs are over.
    wait_until(|| guardians().len() == 1, "one process waits");
    for process in guardians() {
        kill(process, Signal::SIGKILL).unwrap();
    }
    wait_until(|| guardians().is_empty(), "it ends");
}

fn guardians() -> Vec<Pid> {
    let entries = fs::read_dir("/proc").unwrap();
    let names = entries.filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    names
        .filter(|name| {
            let words = fs::read_to_string(format!("/proc/{name}/cmdline"));
            words.is_ok_and(|words| words.contains("restore\0--wait"))
        })
        .map(|name| Pid::from_raw(name.parse().unwrap()))
        .collect()
}

/// sudo lets alice in by her password, as it did.
fn by_password_alone(scene: &Scene) {
    let mut sudo = scene.sudo_as("alice", &["id", "-un"]);
    password(&mut sudo);
    became_root(sudo);
}

/// The number of the sshd that listens, as this test alone can know it.
fn listener() -> String {
    let entries = fs::read_dir("/proc").unwrap();
    let mut names = entries.filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    let listens = |name: &String| {
        let words = fs::read_to_string(format!("/proc/{name}/cmdline"));
        words.is_ok_and(|words| words.contains("[listener]"))
    };
    names.find(listens).unwrap()
}

/// Forgets which codes were used.
fn fresh_codes() {
    let _ = fs::remove_dir_all("/run/pam_onelogin");
}

fn replace(scene: &Scene, old: &str, new: &str) {
    let text = fs::read_to_string(CONFIG).unwrap();
    assert!(text.contains(old), "{text}");
    scene.stage.write(CONFIG, text.replace(old, new), 0o600);
}

fn record(state: &str, service: &str) -> std::path::PathBuf {
    Path::new(RECORDS)
        .join(state)
        .join(format!("{service}.json"))
}

/// sshd's configuration as distributions ship it, in its main lines: it includes others first.
fn included(further: &str) -> String {
    let folder = Path::new(SETTINGS).parent().unwrap();
    let _ = fs::remove_dir_all(folder);
    fs::create_dir(folder).unwrap();
    format!(
        "Include {}/*.conf\nKbdInteractiveAuthentication yes\nUsePAM yes\n{further}",
        folder.display()
    )
}

fn installed() -> std::path::PathBuf {
    pam_host::root::security_folder().join("pam_onelogin.so")
}

fn wait_until(holds: impl Fn() -> bool, what: &str) {
    let deadline = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        sleep(Duration::from_millis(20));
    }
}

const TOOL: &str = env!("CARGO_BIN_EXE_pam-onelogin");
const RECORDS: &str = "/var/lib/pam_onelogin";
const CONFIG: &str = "/etc/pam_onelogin/config.toml";
const IN_PLACE: &str = "Otherwise everything is put back";
const CODES: [&str; 3] = ["123456", "234567", "345678"];
const CODE: &str = CODES[0];
const SETTINGS: &str = "/etc/ssh/sshd_config.d/00-onelogin.conf";
const KEY: &str = "UsePAM yes\nKbdInteractiveAuthentication yes\nPasswordAuthentication no\nAuthenticationMethods publickey,keyboard-interactive\n";
