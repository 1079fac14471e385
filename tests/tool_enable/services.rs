//! sudo, su and the console: a trial login before anything is written; what goes wrong in it; back to the byte.

use super::days::day_in;
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
fn in_observe_mode_the_tool_says_before_and_after_that_there_is_no_second_factor() {
    let until = day_in(5);
    let scene = machine(&[&format!("observe.until = \"{until}\"")]);
    let warning = format!("observe mode until {until}: there is no second factor");
    let mut screen = enable(&SUDO);
    screen.expect(&format!("Warning: {warning}"));
    screen.expect("assword: ");
    screen.line(PASSWORD);
    screen.expect("because of observe mode: no second factor was verified");
    screen.expect(&format!("but {warning}"));
    good(screen);
    by_password_alone(&scene);
    scene.decision("observed, would ask user=alice");
    assert_eq!(
        (scene.simulator.activations(), scene.simulator.codes()),
        (0, 0)
    );
    good(disable("sudo"));
}

/// As sudo itself has it: where it says nothing, sudo asks.
#[test]
#[ignore = "needs root: run by make test"]
fn a_user_whom_sudo_does_not_authenticate_is_named_with_the_line_before_the_trial() {
    let scene = machine(&[]);
    let _ = scene.person("alice");
    let rules = fs::read_to_string("/etc/sudoers").unwrap();
    let line = rules.lines().count() + 2;
    let free = format!("{rules}# For a script.\nalice ALL=(ALL:ALL) NOPASSWD: ALL\n");
    scene.stage.write("/etc/sudoers", &free, 0o440);
    became_root(scene.sudo_as("alice", &["-k", "id", "-un"]));
    let warning = format!(
        "Warning: /etc/sudoers:{line}: sudo does not authenticate alice for any command (NOPASSWD): it skips the stack"
    );
    good_saying(enable(&["sudo", "--user", "alice", "--dry-run"]), &warning);
    let mut screen = enable(&["sudo", "--user", "alice", "--no-try"]);
    screen.expect(&warning);
    screen.expect("Trial login as alice");
    screen.type_keys("\u{3}");
    bad(screen);

    // Another user, and one whose later rule asks.
    let _ = scene.person("dave");
    let screen = good(enable(&["sudo", "--user", "dave", "--dry-run"]));
    assert!(!screen.contains("does not authenticate"), "{screen}");
    let later = format!("{free}alice ALL=(ALL:ALL) ALL\n");
    scene.stage.write("/etc/sudoers", later, 0o440);
    by_password_alone(&scene);
    let screen = good(enable(&["sudo", "--user", "alice", "--dry-run"]));
    assert!(!screen.contains("does not authenticate"), "{screen}");

    // Some commands, in a file of their own; and in sudo alone.
    scene.stage.write(
        "/etc/sudoers",
        format!("{rules}@includedir /etc/sudoers.d\n"),
        0o440,
    );
    let some = "%alice ALL=(root) NOPASSWD: /usr/bin/true, /usr/bin/id\n";
    scene.stage.write("/etc/sudoers.d/some", some, 0o440);
    became_root(scene.sudo_as("alice", &["-k", "id", "-un"]));
    let screen = good(enable(&["sudo", "--user", "alice", "--dry-run"]));
    for command in ["/usr/bin/true", "/usr/bin/id"] {
        let said = format!(
            "Warning: /etc/sudoers.d/some:1: sudo does not authenticate alice for {command} (NOPASSWD)"
        );
        assert!(screen.contains(&said), "{screen}");
    }
    let screen = good(enable(&["su", "--user", "alice", "--dry-run"]));
    assert!(!screen.contains("does not authenticate"), "{screen}");
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

/// A `systemctl` that mounts the folder as the unit does, and a systemd that seems to run. At its end both are gone.
struct Systemctl;

impl Systemctl {
    const PATH: &str = "/usr/bin/systemctl";

    fn that_mounts(scene: &Scene) -> Self {
        let script = format!(
            "#!/bin/sh\ncase \"$*\" in\n*is-active*|*is-enabled*) exit 1;;\n\
             *\"enable --now run-pam_onelogin.mount\") exec mount -t tmpfs -o mode=0700,nr_inodes=4096 tmpfs {STATE};;\nesac\n"
        );
        scene.stage.write("/run/systemctl", script, 0o755);
        let none: Option<&str> = None;
        mount(
            Some("/run/systemctl"),
            Self::PATH,
            none,
            MsFlags::MS_BIND,
            none,
        )
        .unwrap();
        fs::create_dir_all("/run/systemd/system").unwrap();
        Self
    }
}

impl Drop for Systemctl {
    fn drop(&mut self) {
        // After a failure, something may not be there; a second panic would hide the first.
        let _ = fs::remove_dir_all("/run/systemd");
        let _ = umount(Self::PATH);
        let _ = umount(STATE);
    }
}

#[test]
#[ignore = "needs root: run by make test"]
fn a_used_code_stays_used_when_enable_mounts_the_folder_for_counts() {
    let scene = machine(&[]);
    fresh_codes();
    let sudo = |code: &str| {
        let mut sudo = scene.sudo_as("alice", &["-k", "id", "-un"]);
        password(&mut sudo);
        passcode(&mut sudo, code);
        sudo
    };
    // Without systemd first: the folder has no file system of its own.
    good(enable(&["sudo", "--yes", "--no-trial"]));
    became_root(sudo(CODES[0]));
    let names = || {
        let mut names = names_below(Path::new(STATE));
        names.sort();
        names
    };
    let (before, device) = (names(), fs::metadata(STATE).unwrap().dev());
    assert!(before.iter().any(|name| name.contains("/x-")), "{before:?}");

    let systemctl = Systemctl::that_mounts(&scene);
    let screen = good(enable(&["sudo", "--yes", "--no-trial"]));
    assert!(
        screen.contains("is enabled: /run/pam_onelogin has"),
        "{screen}"
    );
    assert_ne!(fs::metadata(STATE).unwrap().dev(), device);
    assert_eq!(names(), before);
    let mut again = sudo(CODES[0]);
    again.expect("Verification code (OneLogin): ");
    again.line(CODES[1]);
    became_root(again);
    drop(systemctl);
    good(disable("sudo"));
}

/// Each name below a folder, as `name mode target`.
fn names_below(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = path.symlink_metadata().unwrap();
        let target = fs::read_link(&path).unwrap_or_default();
        names.push(format!(
            "{} {:o} {}",
            path.display(),
            metadata.mode(),
            target.display()
        ));
        if metadata.is_dir() {
            names.extend(names_below(&path));
        }
    }
    names
}

/// What an admin may have done wrong before `enable`.
type Break = fn(&mut Scene);

#[test]
#[ignore = "needs root: run by make test"]
fn a_login_that_cannot_pass_is_refused_with_the_reason_before_anything_is_asked_for() {
    let check = "as root, type: pam-onelogin check --user alice";
    let cases: [(&str, Break, &str, &str); 8] = [
        (
            "a wrong secret",
            |scene| {
                replace(scene, DEFAULT_CLIENT_SECRET, &"0".repeat(64));
            },
            "could not log in: credential",
            check,
        ),
        (
            "a wrong name in the URL",
            |scene| {
                let host = format!("localhost:{}", scene.simulator.port());
                replace(scene, &host, "no-such-host.invalid");
            },
            "could not log in: no-such-host",
            check,
        ),
        (
            "nobody at the URL",
            |scene| scene.simulator.stop(),
            "could not log in: no-connection",
            check,
        ),
        (
            "no factor",
            |scene| scene.simulator.change_devices(1001, Vec::clear),
            "could not log in: no-factor",
            "as root, type: pam-onelogin enroll alice",
        ),
        (
            "unknown to OneLogin",
            |scene| scene.simulator.remove_user(1001),
            "could not log in: no-onelogin-user",
            "create the user at OneLogin, or exempt them; for what to write, as root, type: pam-onelogin check alice",
        ),
        (
            "failmode safe",
            |scene| {
                let text = fs::read_to_string(CONFIG).unwrap();
                let safe = "failmode = \"safe\"\nfailmode_from = [\"10.20.0.0/16\"]";
                scene.stage.write(CONFIG, format!("{safe}\n{text}"), 0o600);
                scene.simulator.stop();
            },
            "could not log in: no-connection",
            check,
        ),
        (
            "a group that does not exist",
            |scene| {
                let text = fs::read_to_string(CONFIG).unwrap();
                let text = format!("users.exempt_groups = [\"breakglas\"]\n{text}");
                scene.stage.write(CONFIG, text, 0o600);
            },
            "could not log in: group-lookup",
            "breakglas",
        ),
        (
            "limits are reached",
            |scene| {
                let text = fs::read_to_string(CONFIG).unwrap();
                let text = format!("limits.failures = 3\n{text}");
                scene.stage.write(CONFIG, text, 0o600);
                let mut login = tool(&["test", "alice", "--service", "sudo"]);
                for code in ["999997", "999998", "999999"] {
                    passcode(&mut login, code);
                }
                bad(login);
            },
            "could not log in: too-many",
            "as root, type: pam-onelogin limits reset alice",
        ),
    ];
    for (what, make_wrong, reason, next) in cases {
        let mut scene = machine(&[]);
        make_wrong(&mut scene);
        let before = stacks();
        for further in ["--dry-run", "--yes"] {
            let screen = bad(enable(&["sudo", "--user", "alice", further]));
            for said in [
                reason,
                next,
                "so there was no trial login",
                "nothing was changed",
            ] {
                assert!(screen.contains(said), "{what}, {said}: {screen}");
            }
            let is_about_alice = !screen.contains("To find the cause, as root, type: ");
            let said = "to test with another user, pass --user NAME";
            assert_eq!(screen.contains(said), is_about_alice, "{what}: {screen}");
            for prompt in ["assword:", "(OneLogin):"] {
                assert!(!screen.contains(prompt), "{what}: {screen}");
            }
        }
        assert_eq!(stacks(), before, "{what}");
        by_password_alone(&scene);
    }
}

#[test]
#[ignore = "needs root: run by make test"]
fn whatever_goes_wrong_in_the_trial_nothing_is_written_and_the_password_still_does() {
    let cases: [(&str, Break, &[&str], &str); 2] = [
        (
            "wrong codes",
            |_| (),
            &["999999", "999998", "999997"],
            "reason=wrong-code",
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
        screen.expect("Trial login as alice through the new stack of sudo. It asks for the password of alice, then for OneLogin.");
        screen.expect("assword: ");
        screen.line(PASSWORD);
        for code in codes {
            passcode(&mut screen, code);
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
    for further in ["--dry-run", "--yes"] {
        let screen = bad_saying(
            enable(&["sudo", "--user", "alice", further]),
            "config.toml:2: ",
        );
        assert!(!screen.contains("assword:"), "{screen}");
        assert!(screen.contains("nothing was changed"), "{screen}");
    }
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
fn a_script_runs_it_again_and_again_and_tells_the_result_by_the_exit_status() {
    let scene = machine(&[]);
    let run = |words: &str| {
        let mut command = Command::new(binary("pam-onelogin"));
        command.args(words.split(' ')).env_clear().current_dir("/");
        command.stdin(std::process::Stdio::null());
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let document: serde_json::Value = serde_json::from_str(&said).unwrap_or_default();
        let result = document["result"].as_str().unwrap_or("none").to_owned();
        (output.status.code().unwrap(), result)
    };
    let enable = "enable sudo --yes --no-trial --json";
    let is = |code: i32, result: &str| (code, result.to_owned());
    assert_eq!(run("enable sudo --dry-run --json"), is(0, "dry_run"));
    assert_eq!(run(enable), is(0, "enabled"));
    assert_eq!(run(enable), is(0, "unchanged"));
    let stock = "@include common-auth\n@include common-account\n";
    write(&scene, "/etc/pam.d/sudo", stock);
    assert_eq!(run(enable), is(0, "enabled"));
    assert_eq!(run(enable), is(0, "unchanged"));
    for _ in 0..2 {
        assert_eq!(run("disable sudo --json").0, 0);
    }
    assert_eq!(fs::read_to_string("/etc/pam.d/sudo").unwrap(), stock);
    write(&scene, "/etc/pam.d/sudo", "auth sufficient pam_unix.so\n");
    assert_eq!(run(enable), is(1, "none"));
    assert_eq!(run("enable sudo --dry-run --json"), is(1, "none"));
    assert_eq!(run("enable sudo --maybe").0, 2);
}

/// Stacks of the distribution, outside /etc.
struct Shipped;

impl Shipped {
    const FOLDER: &str = "/usr/lib/pam.d";

    fn with(names: &[&str]) -> Self {
        fs::create_dir_all(Self::FOLDER).unwrap();
        let none: Option<&str> = None;
        let kind = Some("tmpfs");
        mount(none, Self::FOLDER, kind, MsFlags::empty(), none).unwrap();
        let shipped = Self;
        for name in names {
            let path = Path::new("/etc/pam.d").join(name);
            fs::copy(&path, Path::new(Self::FOLDER).join(name)).unwrap();
            fs::remove_file(path).unwrap();
        }
        shipped
    }
}

impl Drop for Shipped {
    fn drop(&mut self) {
        umount(Self::FOLDER).unwrap();
    }
}

#[test]
#[ignore = "needs root: run by make test"]
fn a_stack_that_the_distribution_ships_outside_etc_is_hidden_by_one_that_disable_removes() {
    let scene = machine(&[]);
    let _shipped = Shipped::with(&["sudo", "sudo-i"]);
    let before = stacks();
    let said = "/etc/pam.d/sudo does not exist: it is made from /usr/lib/pam.d/sudo";
    let screen = good_saying(enable(&["sudo", "--dry-run"]), said);
    assert!(
        screen.contains("+ auth       required     pam_onelogin.so"),
        "{screen}"
    );
    assert_eq!(stacks(), before);

    let mut screen = enable(&SUDO);
    trial(&mut screen, CODE);
    good(screen);
    for (arguments, code) in [
        (&["id", "-un"][..], CODES[1]),
        (&["-i", "id", "-un"], CODES[2]),
    ] {
        let mut sudo = scene.sudo_as("alice", arguments);
        password(&mut sudo);
        passcode(&mut sudo, code);
        became_root(sudo);
    }
    good_saying(enable(&SUDO), "nothing to change");
    good(disable("sudo"));
    assert_eq!(stacks(), before);
    by_password_alone(&scene);

    // On trial, too.
    fresh_codes();
    let screen = on_trial(&["sudo", "--user", "alice"], 2);
    bad_saying(screen, "was rolled back");
    assert_eq!(stacks(), before);
    // An edit stays, without our lines.
    let shipped = fs::read_to_string("/usr/lib/pam.d/sudo").unwrap();
    good(enable(&["sudo", "--no-trial", "--yes"]));
    let ours = fs::read_to_string("/etc/pam.d/sudo").unwrap();
    write(&scene, "/etc/pam.d/sudo", format!("{ours}# mine\n"));
    good_saying(disable("sudo"), "only the lines of this tool");
    let left = fs::read_to_string("/etc/pam.d/sudo").unwrap();
    assert_eq!(left, format!("{shipped}# mine\n"));
    fs::remove_file("/etc/pam.d/sudo").unwrap();
    // What is wrong is in the file that exists.
    let odd = "auth sufficient pam_wheel.so trust\n@include common-auth\n";
    write(&scene, "/usr/lib/pam.d/sudo", odd);
    bad_saying(
        enable(&SUDO),
        "/usr/lib/pam.d/sudo:1: ends the stack before OneLogin is asked",
    );
    assert_eq!(stacks(), before);
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
