//! `--try`: kept by a second login and by nothing less; put back whatever becomes of tool, terminal, disk and machine.

use super::*;

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
            bad(screen);
        } else {
            bad_saying(screen, "sudo: the change was rolled back");
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
    screen.expect("OneLogin has accepted no login through sudo since the change");
    bad_saying(tool(&["confirm", "sudo"]), "no login through sudo");
    bad_saying(enable(&["sudo", "--user", "alice"]), "is on trial already");

    // Nor does a login that goes through no stack count.
    let mut test = tool(&["test", "alice", "--service", "sudo"]);
    passcode(&mut test, CODES[2]);
    test.expect("accepted user=alice");
    good(test);
    bad(tool(&["confirm", "sudo"]));

    // A wrong code is no second login.
    let mut sudo = scene.sudo_as("alice", &["id", "-un"]);
    password(&mut sudo);
    for _ in 0..3 {
        passcode(&mut sudo, "999999");
    }
    denied(sudo);
    bad(tool(&["confirm", "sudo"]));

    let mut sudo = scene.sudo_as("alice", &["id", "-un"]);
    password(&mut sudo);
    passcode(&mut sudo, CODES[1]);
    became_root(sudo);
    good(tool(&["confirm", "sudo"]));
    screen.expect("Done.");
    good(screen);
    assert_eq!(stacks(), after);
    assert!(!record("trial", "sudo").exists());

    // Nothing that still waits may put it back.
    good(tool(&["restore"]));
    assert_eq!(stacks(), after);
    good(disable("sudo"));
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
    passcode(&mut sudo, CODES[1]);
    became_root(sudo);
    screen.line("yes");
    screen.expect("OneLogin accepted a login of alice through it.");
    screen.expect("Done.");
    good(screen);
    assert!(record("enabled", "sudo").exists());
}

#[test]
#[ignore = "needs root: run by make test"]
fn ctrl_c_while_a_trial_waits_rolls_it_back_at_once_and_says_so() {
    let scene = machine(&[]);
    let before = stacks();
    let mut screen = on_trial(&["sudo", "--user", "alice"], 3600);
    assert_ne!(stacks(), before);
    screen.type_keys("\u{3}");
    screen.expect("Ctrl-C: the change is rolled back now.");
    screen.expect("sudo: the change was rolled back.");
    let (status, screen) = screen.finish();
    assert_eq!(status.code(), Some(1), "{screen}");
    assert_eq!(stacks(), before);
    assert!(!record("trial", "sudo").exists());
    wait_until(|| guardians().is_empty(), "nothing waits any more");
    by_password_alone(&scene);
}

#[test]
#[ignore = "needs root: run by make test"]
fn ctrl_c_before_the_change_is_written_says_that_nothing_was_changed() {
    let scene = machine(&[]);
    let _ = scene.person("dave");
    let before = stacks();
    let stopped = |mut screen: Pty, said: &str| {
        screen.type_keys("\u{3}");
        let (status, screen) = screen.finish();
        assert_eq!(status.code(), Some(1), "{screen}");
        assert!(screen.contains(said), "{said}: {screen}");
        assert_eq!(stacks(), before);
    };
    let mut screen = enable(&["sudo"]);
    screen.expect("User for the trial login: ");
    stopped(screen, "nothing was changed");

    let mut screen = enable(&["sudo", "--user", "dave"]);
    screen.expect("assword: ");
    stopped(screen, "Ctrl-C: nothing was changed");

    let mut screen = enable(&["sudo", "--user", "dave"]);
    screen.expect("assword: ");
    screen.line(PASSWORD);
    screen.expect("Verification code, or Enter for a push");
    screen.line("");
    screen.expect("Push sent to Dave's phone.");
    stopped(
        screen,
        "Ctrl-C: nothing was changed; if a push is open on the phone, deny it",
    );

    let mut screen = enable(&["sudo", "--user", "alice"]);
    trial(&mut screen, CODE);
    screen.expect("Write this change? [y/N] ");
    stopped(screen, "nothing was changed");
    by_password_alone(&scene);
}

#[test]
#[ignore = "needs root: run by make test"]
fn an_empty_answer_to_the_question_before_the_change_is_asked_again() {
    let scene = machine(&[]);
    let before = stacks();
    let words = ["sudo", "--user", "alice", "--no-trial", "--no-try"];
    for (answer, is_written) in [("n", false), ("y", true)] {
        let mut screen = enable(&words);
        for _ in 0..2 {
            screen.expect("Write this change? [y/N] ");
            screen.line("");
            screen.expect("Type y or n.");
        }
        screen.expect("Write this change? [y/N] ");
        screen.line(answer);
        assert_eq!(screen.finish().0.success(), is_written);
        assert_eq!(stacks() != before, is_written);
    }
    good(disable("sudo"));
    by_password_alone(&scene);
}

#[test]
#[ignore = "needs root: run by make test"]
fn a_push_that_is_denied_in_the_trial_login_is_named_with_the_command_that_resets_the_limits() {
    let scene = machine(&[]);
    let _ = scene.person("dave");
    let mut screen = enable(&["sudo", "--user", "dave"]);
    screen.expect("assword: ");
    screen.line(PASSWORD);
    screen.expect("Verification code, or Enter for a push");
    screen.line("");
    screen.expect("Push sent to Dave's phone.");
    scene.deny_push();
    let screen = bad_saying(
        screen,
        "the push was denied on the phone, and this counts against the limits of this user",
    );
    let reset = "as root, type: pam-onelogin limits reset dave";
    assert!(screen.contains(reset), "{screen}");
}

#[test]
#[ignore = "needs root: run by make test"]
fn a_yes_without_a_login_names_the_line_by_which_sudo_asks_nothing() {
    let scene = machine(&[]);
    let rules = fs::read_to_string("/etc/sudoers").unwrap();
    let line = rules.lines().count() + 1;
    let free = format!("{rules}alice ALL=(ALL:ALL) NOPASSWD: ALL\n");
    scene.stage.write("/etc/sudoers", free, 0o440);
    let mut screen = on_trial(&["sudo", "--user", "alice"], 3600);
    screen.line("yes");
    screen.expect("first log in from a second window: as alice: sudo -k id");
    screen.expect(&format!(
        "So that alice is asked in sudo, too, change /etc/sudoers:{line} with visudo"
    ));
    screen.type_keys("\u{3}");
    screen.expect("sudo: the change was rolled back.");
}

/// Also when the disk does not take it: then the change stays on trial, and this is said.
#[test]
#[ignore = "needs root: run by make test"]
fn check_and_status_say_what_is_on_trial_and_how_it_ends() {
    let _scene = machine(&[]);
    let mut screen = on_trial(&["sudo", "--user", "alice"], 3600);
    let confirm = "log in from a second window: as USER: sudo -k id; then, as root, type: pam-onelogin confirm sudo";
    let undo = "to undo it now, as root, type: pam-onelogin disable sudo";
    for words in [&["check", "--offline"] as &[&str], &["check", "sudo"]] {
        let said = bad(tool(words));
        let warning = "warning  the change of sudo by enable is on trial until ";
        for part in [warning, "where  /etc/pam.d/sudo", confirm, undo] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
    let said = good(tool(&["status"]));
    for part in ["Changes on trial", "unless it is confirmed", confirm, undo] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let output = Command::new(binary("pam-onelogin"))
        .args(["status", "--json"])
        .env_clear()
        .output()
        .unwrap();
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let trial = &document["trials"][0];
    assert_eq!(trial["service"], "sudo");
    let left = trial["left_seconds"].as_i64().unwrap();
    assert!((1..=3600).contains(&left), "{trial}");
    // Another service is not concerned, nor is the configuration alone.
    for words in [
        &["check", "su", "--offline"] as &[&str],
        &["check", "--config-only"],
    ] {
        let (_, said) = tool(words).finish();
        assert!(!said.contains("on trial"), "{words:?}: {said}");
    }
    screen.type_keys("\u{3}");
    screen.expect("sudo: the change was rolled back.");
    bad(screen);
    for words in [&["check", "--offline"] as &[&str], &["status"]] {
        let (_, said) = tool(words).finish();
        assert!(!said.contains("on trial"), "{words:?}: {said}");
    }
}

#[test]
#[ignore = "needs root: run by make test"]
fn ctrl_c_says_when_the_change_cannot_be_rolled_back_now() {
    let _scene = machine(&[]);
    let before = stacks();
    let mut screen = on_trial(&["sudo", "--user", "alice"], 3600);
    let mount = |how: &str| {
        let mut mount = Command::new("mount");
        mount.args(["-o", &format!("remount,bind,{how}"), "/etc"]);
        assert!(mount.status().unwrap().success());
    };
    mount("ro");
    screen.type_keys("\u{3}");
    screen.expect("Read-only file system");
    screen.expect("This is tried again when the time is over");
    mount("rw");
    assert!(record("trial", "sudo").exists());
    screen.type_keys("\u{3}");
    screen.expect("sudo: the change was rolled back.");
    bad(screen);
    assert_eq!(stacks(), before);
}

#[test]
#[ignore = "needs root: run by make test"]
fn a_word_that_a_trial_does_not_know_is_answered_by_those_that_it_knows() {
    let _scene = machine(&[]);
    let mut screen = on_trial(&["sudo", "--user", "alice"], 3600);
    for word in ["no", "confirm", ""] {
        screen.line(word);
        screen.expect("Type yes to keep the change, or press Ctrl-C to roll it back now.");
        assert!(record("trial", "sudo").exists());
    }
    screen.type_keys("\u{3}");
    screen.expect("sudo: the change was rolled back.");
}

/// Enter after a push, before it is known what the tool asks next.
#[test]
#[ignore = "needs root: run by make test"]
fn an_enter_that_was_pressed_before_a_question_does_not_answer_it() {
    let scene = machine(&[]);
    let _ = scene.person("dave");
    let before = stacks();
    let mut screen = enable(&["sudo", "--user", "dave", "--no-try"]);
    screen.expect("assword: ");
    screen.line(PASSWORD);
    screen.expect("Verification code, or Enter for a push");
    screen.line("");
    screen.expect("Push sent to Dave's phone.");
    screen.line("");
    scene.approve_push();
    screen.expect("Write this change? [y/N] ");
    assert_eq!(stacks(), before);
    screen.line("y");
    screen.expect("Done.");
    good(screen);
    good(disable("sudo"));

    // What comes from a pipe was written for the question, and stays.
    let mut piped = Command::new("sh");
    let tool = binary("pam-onelogin");
    let line = format!(
        "printf 'y\\n' | {} enable sudo --no-trial --no-try --user dave",
        tool.display()
    );
    piped.args(["-c", &line]).env_clear().current_dir("/");
    good_saying(Pty::spawn(piped), "Done.");
    assert_ne!(stacks(), before);
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
        kill_guardian();
        assert_ne!(stacks(), before);
        as_after_a_restart("sudo");
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
    good(tool(&["restore"]));
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
    write(&scene, "/etc/pam.d/sudo-i", changed);
    let screen = on_trial(&["sudo", "--user", "alice"], 3600);
    let log_in = |arguments: &[&str], code: &str| {
        let mut sudo = scene.sudo_as("alice", arguments);
        password(&mut sudo);
        passcode(&mut sudo, code);
        became_root(sudo);
    };
    log_in(&["-i", "id", "-un"], CODES[1]);
    bad_saying(tool(&["confirm", "sudo"]), "no login through sudo");
    log_in(&["id", "-un"], CODES[2]);
    good(tool(&["confirm", "sudo"]));
    good(screen);
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
    bad_saying(tool(&["restore"]), "sudo-i:1: ");
    assert!(record("trial", "sudo").exists());
}

#[test]
#[ignore = "needs root: run by make test"]
fn a_write_that_fails_leaves_nothing_changed() {
    let _scene = machine(&[]);
    let before = stacks();
    for number in 1.. {
        let output = hurt("renameat", "error=ENOSPC", number, &ENABLE);
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
        good(tool(&["enable", "sudo", "--no-trial", "--yes"]));
        let after = stacks();
        good(disable("sudo"));
        after
    };
    let mut killed = 0;
    for call in ["openat", "write", "fchown", "fchmod", "fsync", "renameat"] {
        for number in 1.. {
            let output = hurt(call, KILL, number, &ENABLE);
            let now = stacks();
            for (name, file) in now.iter().filter(|(name, _)| !name.starts_with('.')) {
                let known = [before.get(name), reference.get(name)];
                assert!(
                    known.contains(&Some(file)),
                    "{call} {number}: {name} is torn"
                );
            }
            if output.status.success() {
                good(disable("sudo"));
                break;
            }
            killed += 1;
            assert!(tool(&["restore"]).finish().0.success(), "{call} {number}");
            if record("enabled", "sudo").exists() {
                assert_eq!(stacks(), reference, "{call} {number}: all or nothing");
                good(disable("sudo"));
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

const ENABLE: [&str; 4] = ["enable", "sudo", "--no-trial", "--yes"];
