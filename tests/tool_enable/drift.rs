//! Files that another program has written over since enable: the same command leads to the same end, and disable brings back
//! what that program wrote.

use super::*;
use scene::entered;

/// The stack of sudo as another program writes it.
fn puppet(before: &BTreeMap<String, File>) -> String {
    let stock = String::from_utf8(before["sudo"].bytes.clone()).unwrap();
    format!("# Managed by Puppet\n{stock}session optional pam_permit.so\n")
}

fn sudo() -> String {
    fs::read_to_string("/etc/pam.d/sudo").unwrap()
}

/// Everything but the stack of sudo is as it was.
fn rest_is(before: &BTreeMap<String, File>) {
    let mut now = stacks();
    now.insert("sudo".to_owned(), before["sudo"].clone());
    assert_eq!(&now, before);
}

#[test]
#[ignore = "needs root: run by make test"]
fn a_stack_that_was_written_over_is_enabled_by_the_same_command_and_restored_as_it_was_then() {
    let scene = machine(&[]);
    let before = stacks();
    let enabled = || {
        let mut screen = enable(&SUDO);
        trial(&mut screen, CODE);
        good(screen)
    };
    enabled();
    let reference = stacks();
    let puppet = puppet(&before);
    for _ in 0..2 {
        write(&scene, "/etc/pam.d/sudo", &puppet);
        fresh_codes();
        let dry = good(enable(&["sudo", "--dry-run"]));
        let said = "/etc/pam.d/sudo: has changed since it was enabled";
        assert!(dry.contains(said), "{dry}");
        assert_eq!(sudo(), puppet);
        let screen = enabled();
        assert!(screen.contains(said), "{screen}");
        assert!(
            !screen.contains("/etc/pam.d/sudo-i: has changed"),
            "{screen}"
        );
        let after = stacks();
        assert_eq!(after["sudo-i"], reference["sudo-i"]);
        let ours = "auth       required     pam_onelogin.so\n";
        assert!(sudo().contains(ours) && sudo().contains("# Managed by Puppet"));
        good_saying(enable(&SUDO), "nothing to change");
        assert_eq!(stacks(), after);
    }
    for (arguments, code) in [
        (&["id", "-un"][..], CODES[1]),
        (&["-i", "id", "-un"], CODES[2]),
    ] {
        let mut sudo = scene.sudo_as("alice", arguments);
        password(&mut sudo);
        passcode(&mut sudo, code);
        became_root(sudo);
    }
    good(disable("sudo"));
    assert_eq!(sudo(), puppet);
    rest_is(&before);
    assert!(!record("enabled", "sudo").exists());
    by_password_alone(&scene);
}

#[test]
#[ignore = "needs root: run by make test"]
fn check_names_the_stacks_that_another_program_has_written_over_until_they_are_enabled_again() {
    let scene = machine(&[]);
    let before = stacks();
    let check = || {
        let ran = tool(&["check", "--offline", "--quiet"]).finish();
        (ran.0.success(), ran.1)
    };
    let fault = |services: &str, path: &str| {
        format!(
            "FAULT    {services}: enabled, but the stack no longer calls pam_onelogin\r\n         where  {path}\r\n"
        )
    };
    good(enable(&words_of("sudo --no-trial --yes")));
    let (_, screen) = check();
    assert!(!screen.contains("FAULT"), "{screen}");
    for name in ["sudo", "sudo-i"] {
        write(&scene, &format!("/etc/pam.d/{name}"), &before[name].bytes);
    }
    by_password_alone(&scene);
    let (is_good, screen) = check();
    assert!(
        !is_good && screen.contains(&fault("sudo", "/etc/pam.d/sudo")),
        "{screen}"
    );
    assert!(
        screen.contains(&fault("sudo-i", "/etc/pam.d/sudo-i")),
        "{screen}"
    );
    let advice = "type: sudo pam-onelogin enable sudo --try 5m; if this change is intended, type: sudo \
                  pam-onelogin disable sudo\r\n";
    let unwrapped = screen.replace("\r\n                ", " ");
    assert!(unwrapped.contains(advice), "{screen}");
    assert!(screen.matches("FAULT").count() == 2, "{screen}");
    // Each of the two commands is the end of it.
    good(enable(&words_of("sudo --no-trial --yes")));
    let (_, screen) = check();
    assert!(!screen.contains("FAULT"), "{screen}");
    write(&scene, "/etc/pam.d/sudo", &before["sudo"].bytes);
    let (_, screen) = check();
    assert!(
        screen.contains(&fault("sudo", "/etc/pam.d/sudo")),
        "{screen}"
    );
    good(disable("sudo"));
    let (_, screen) = check();
    assert!(!screen.contains("FAULT"), "{screen}");
    assert_eq!(stacks(), before);
}

#[test]
#[ignore = "needs root: run by make test"]
fn a_stack_that_has_lost_our_line_gets_it_again() {
    let scene = machine(&[]);
    let before = stacks();
    let words = words_of("sudo --no-trial --yes");
    good(enable(&words));
    let reference = stacks();
    let lose = |what: &str| {
        let text = sudo();
        let lines = text
            .split_inclusive('\n')
            .filter(|line| !line.contains(what));
        write(&scene, "/etc/pam.d/sudo", lines.collect::<String>());
    };
    // Our line alone, then our line with its marks.
    for what in ["pam_onelogin.so", "pam_onelogin", "pam-onelogin"] {
        lose(what);
        if what == "pam-onelogin" {
            lose("pam_onelogin");
        }
        good(enable(&words));
        assert_eq!(stacks(), reference, "{what}");
    }
    good(disable("sudo"));
    assert_eq!(stacks(), before);

    // A foreign line between our marks: nobody knows what it is for.
    good(enable(&words));
    let text = sudo().replace(
        "auth       required     pam_onelogin.so",
        "auth required pam_debug.so",
    );
    write(&scene, "/etc/pam.d/sudo", &text);
    bad_saying(
        enable(&words),
        "was changed by hand in the block of this tool",
    );
    assert_eq!(sudo(), text);
}

#[test]
#[ignore = "needs root: run by make test"]
fn a_second_change_on_trial_goes_back_to_what_the_other_program_wrote() {
    let scene = machine(&[]);
    let before = stacks();
    let words = words_of("sudo --no-trial --yes");
    good(enable(&words));
    let puppet = puppet(&before);
    write(&scene, "/etc/pam.d/sudo", &puppet);
    let drifted = stacks();
    let on_trial = || {
        let mut screen = enable(&[&words[..], &["--try", "3600"]].concat());
        screen.expect(IN_PLACE);
        end(screen);
        kill_guardian();
        assert_ne!(stacks(), drifted);
    };
    on_trial();
    as_after_a_restart("sudo");
    good_saying(tool(&["restore"]), "was not confirmed in time");
    assert_eq!(stacks(), drifted);
    assert!(!record("trial", "sudo").exists() && record("enabled", "sudo").exists());

    on_trial();
    good(tool(&["confirm", "sudo", "--anyway"]));
    good_saying(enable(&words), "nothing to change");
    good(disable("sudo"));
    assert_eq!(sudo(), puppet);
    rest_is(&before);

    // disable undoes the change on trial and the one before it.
    write(&scene, "/etc/pam.d/sudo", &before["sudo"].bytes);
    good(enable(&words));
    write(&scene, "/etc/pam.d/sudo", &puppet);
    on_trial();
    good(disable("sudo"));
    assert_eq!(sudo(), puppet);
    rest_is(&before);
}

#[test]
#[ignore = "needs root: run by make test"]
fn killed_at_any_step_of_a_second_change_disable_still_restores_what_the_other_program_wrote() {
    let scene = machine(&[]);
    let before = stacks();
    let words = words_of("enable sudo --no-trial --yes");
    let puppet = puppet(&before);
    let drift = || {
        write(&scene, "/etc/pam.d/sudo", &before["sudo"].bytes);
        good(tool(&words));
        write(&scene, "/etc/pam.d/sudo", &puppet);
    };
    drift();
    let drifted = stacks();
    good(tool(&words));
    let reference = stacks();
    good(disable("sudo"));
    let mut killed = 0;
    for call in ["openat", "write", "fsync", "renameat", "unlinkat"] {
        for number in 1.. {
            drift();
            let output = hurt(call, KILL, number, &words);
            let is_over = output.status.success();
            killed += u32::from(!is_over);
            assert!(tool(&["restore"]).finish().0.success(), "{call} {number}");
            let now = stacks();
            assert!(
                now == drifted || now == reference,
                "{call} {number}: {now:?}"
            );
            assert!(record("enabled", "sudo").exists(), "{call} {number}");
            // The same command, once more.
            good(tool(&words));
            assert_eq!(stacks(), reference, "{call} {number}");
            good(disable("sudo"));
            assert_eq!(sudo(), puppet, "{call} {number}");
            rest_is(&before);
            if is_over {
                break;
            }
        }
    }
    assert!(killed > 30, "{killed}");
}

#[test]
#[ignore = "needs root: run by make test"]
fn settings_of_sshd_that_were_written_over_are_written_again_and_restored_as_they_were_then() {
    let scene = machine(&[]);
    let before = stacks();
    let sshd = Sshd::start_by_the_machines_file(&scene.stage, &sshd::included(""));
    let words = words_of("sshd --behind key --user alice --no-trial --yes");
    good(enable(&words));
    let ours = fs::read_to_string(SETTINGS).unwrap();
    let methods = "AuthenticationMethods publickey,keyboard-interactive\n";
    let lost = ours.replace(methods, "");
    let foreign = "# Managed by Puppet\nUsePAM yes\nPasswordAuthentication yes\n";
    for (text, restored) in [
        (Some(foreign), Some(foreign)),
        (Some(lost.as_str()), None),
        (None, None),
    ] {
        good(enable(&words));
        match text {
            Some(text) => write(&scene, SETTINGS, text),
            None => fs::remove_file(SETTINGS).unwrap(),
        }
        sshd.reload();
        good_saying(
            enable(&[&words[..], &["--dry-run"]].concat()),
            "AuthenticationMethods",
        );
        good(enable(&words));
        assert_eq!(fs::read_to_string(SETTINGS).unwrap(), ours);
        good_saying(enable(&words), "nothing to change");
        let (_, screen) = sshd
            .client("alice", &["PreferredAuthentications=none"])
            .finish();
        assert!(screen.contains("(publickey)"), "{screen}");
        good(disable("sshd"));
        assert_eq!(fs::read_to_string(SETTINGS).ok().as_deref(), restored);
        let _ = fs::remove_file(SETTINGS);
        sshd.reload();
        assert_eq!(stacks(), before);
    }
    // A script that runs as root names no user: without a trial, none logs in.
    good(enable(&words));
    write(&scene, SETTINGS, foreign);
    sshd.reload();
    for further in [&["--dry-run"][..], &[]] {
        let script = words_of("sshd --behind key --no-trial --yes");
        let screen = good(enable(&[&script[..], further].concat()));
        assert!(!screen.contains("pass another user"), "{screen}");
    }
    assert_eq!(fs::read_to_string(SETTINGS).unwrap(), ours);
    good_saying(
        enable(&words_of("sshd --no-trial --yes")),
        "nothing to change",
    );
    good(disable("sshd"));
    let _ = fs::remove_file(SETTINGS);
    sshd.reload();
    // The stack and the settings.
    good(enable(&words));
    write(&scene, SETTINGS, foreign);
    write(&scene, "/etc/pam.d/sshd", &before["sshd"].bytes);
    sshd.reload();
    good(enable(&words));
    let mut client = sshd.client_with_key("alice");
    passcode(&mut client, CODE);
    entered(client, "alice");
    good(disable("sshd"));
    assert_eq!(fs::read_to_string(SETTINGS).unwrap(), foreign);
    assert_eq!(stacks(), before);
}
