//! sudo, su and the console: a trial login before anything is written; what goes wrong in it; back to the byte.

use super::*;
use nix::mount::{MsFlags, mount, umount};

#[test]
#[ignore = "needs root: run by make test"]
fn sudo_is_enabled_after_a_trial_login_and_disabled_to_the_byte() {
    let scene = machine(&[]);
    let before = stacks();
    let mut screen = enable(&["sudo", "--user", "alice", "--no-try"]);
    screen.expect("+ auth       required     pam_onelogin.so");
    trial(&mut screen, CODE);
    screen.expect("Write this change? [y/N] ");
    assert_eq!(stacks(), before, "nothing is written before the answer");
    screen.line("y");
    screen.expect("Done.");
    good(screen);

    for arguments in [&["id", "-un"] as &[&str], &["-i", "id", "-un"]] {
        let mut sudo = scene.sudo_as("alice", arguments);
        password(&mut sudo);
        passcode(
            &mut sudo,
            if arguments.len() == 2 {
                CODES[1]
            } else {
                CODES[2]
            },
        );
        became_root(sudo);
    }

    let after = stacks();
    let again = enable(&["sudo", "--user", "alice"]).finish();
    assert!(
        again.0.success() && again.1.contains("nothing to change"),
        "{}",
        again.1
    );
    assert_eq!(stacks(), after);

    good(disable("sudo"));
    assert_eq!(stacks(), before);
    good_saying(disable("sudo"), "nothing to change");
    by_password_alone(&scene);
    scene
        .stage
        .tried("sudo", "pam-onelogin enable, and disable: to the byte");
}

#[test]
#[ignore = "needs root: run by make test"]
fn the_trial_of_sudo_is_as_in_sudo() {
    let scene = machine(&["users.exempt_users = [\"root\"]"]);
    let mut screen = enable(&SUDO);
    trial(&mut screen, CODE);
    good(screen);
    let decision = scene.decision("accepted user=alice");
    assert!(
        decision.starts_with("pam_onelogin(sudo:auth): "),
        "{decision}"
    );
    assert!(decision.contains("ruser=alice"), "{decision}");

    let mut screen = enable(&["su", "--user", "root", "--yes"]);
    screen.expect("pass an ordinary user");
    bad(screen);
}

#[test]
#[ignore = "needs root: run by make test"]
fn a_dry_run_shows_the_change_and_makes_none() {
    let _scene = machine(&[]);
    let before = stacks();
    let screen = good(enable(&["sudo", "--dry-run"]));
    for stack in ["sudo", "sudo-i"] {
        assert!(screen.contains(&format!("/etc/pam.d/{stack}:")), "{screen}");
    }
    assert_eq!(stacks(), before);
    assert!(!Path::new(RECORDS).exists());
}

#[test]
#[ignore = "needs root: run by make test"]
fn without_systemd_enable_says_that_nothing_is_mounted_and_goes_on() {
    let _scene = machine(&[]);
    let enabled = || {
        let screen = good(enable(&["sudo", "--yes", "--no-trial"]));
        good(disable("sudo"));
        screen
    };
    let sentence = "systemd is not running on this host, so /run/pam_onelogin has no file system of \
                    its own; for what to do, type: pam-onelogin check\r\n";
    let screen = enabled();
    assert!(screen.contains(sentence), "{screen}");
    // Where the admin has mounted one there is nothing to say.
    fs::create_dir_all(STATE).unwrap();
    let none: Option<&str> = None;
    mount(
        none,
        STATE,
        Some("tmpfs"),
        MsFlags::empty(),
        Some("mode=0700"),
    )
    .unwrap();
    let screen = enabled();
    umount(STATE).unwrap();
    assert!(!screen.contains("systemd"), "{screen}");
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
                let safe = "failmode = \"safe\"\nfailmode_from = [\"10.20.0.0/16\"]";
                scene.stage.write(CONFIG, format!("{safe}\n{text}"), 0o600);
                scene.simulator.stop();
            },
            &[CODE],
            "reason=no-connection",
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
    bad_saying(
        enable(&["sudo", "--user", "nobodyofthatname", "--yes"]),
        "the user nobodyofthatname does not exist",
    );
    scene
        .stage
        .write(CONFIG, "[onelogin]\nurl = \"http://x\"\n", 0o600);
    bad_saying(enable(&SUDO), "config.toml:2: ");
    assert_eq!(stacks(), before);
}

#[test]
#[ignore = "needs root: run by make test"]
fn r11_neither_password_nor_code_nor_secret_is_shown() {
    let _scene = machine(&[]);
    let mut screen = enable(&["sudo", "--user", "alice", "--yes", "--json"]);
    trial(&mut screen, CODE);
    let screen = good(screen);
    // The code is typed visibly, as in every host; the tool itself says it nowhere.
    assert_eq!(screen.matches(CODE).count(), 1, "{screen}");
    for secret in [PASSWORD, DEFAULT_CLIENT_SECRET] {
        assert!(!screen.contains(secret), "{screen}");
    }
    assert!(screen.contains("\"result\": \"enabled\""), "{screen}");
}

#[test]
#[ignore = "needs root: run by make test"]
fn su_and_the_console_are_enabled_after_a_trial_login_like_theirs() {
    let scene = machine(&[]);
    let before = stacks();
    for (service, code) in [("su", CODE), ("login", CODES[1])] {
        let mut screen = enable(&[service, "--user", "alice", "--yes"]);
        trial(&mut screen, code);
        good(screen);
    }
    let mut su = scene.as_person("bob", "su", &["alice", "-c", "id -un"]);
    su.expect("assword: ");
    su.line(PASSWORD);
    passcode(&mut su, CODES[2]);
    let (status, screen) = su.finish();
    assert!(
        status.success() && screen.trim_end().ends_with("alice"),
        "{screen}"
    );
    for service in ["su", "login"] {
        good(tool(&["disable", service]));
    }
    assert_eq!(stacks(), before);
}
