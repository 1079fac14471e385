//! sshd: its stack, and the settings that come and go with it.

use super::*;
use nix::mount::{MsFlags, mount, umount};

#[test]
#[ignore = "needs root: run by make test"]
fn sshd_behind_a_key_is_enabled_and_disabled_to_the_byte() {
    let scene = machine(&[]);
    let before = stacks();
    let sshd = started(&scene, KEY);
    let mut screen = enable(&SSHD);
    screen.expect("- @include common-auth");
    passcode(&mut screen, CODE);
    let screen = good(screen);
    assert!(!screen.contains("assword: "), "{screen}");
    assert!(
        screen.contains("root can no longer log in by SSH (PermitRootLogin "),
        "{screen}"
    );
    // sshd required a key already.
    assert!(!screen.contains("Users without a key"), "{screen}");

    assert!(
        screen.contains(
            "sudo does not ask OneLogin yet. Next, as root, type: pam-onelogin enable sudo"
        ),
        "{screen}"
    );

    behind_a_key(&scene, &sshd, CODES[1]);
    good(disable("sshd"));
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
    let sshd = started(&scene, KEY);
    let mut screen = enable(&["sshd", "--user", "alice", "--yes", "--try", "4"]);
    passcode(&mut screen, CODE);
    screen.expect(IN_PLACE);
    screen.signal(Signal::SIGKILL);
    bad(screen);
    wait_until(|| stacks() == before, "the stack is put back");
    // The old stack: the key, then the password.
    let mut client = sshd.client_with_key(&scene.person("alice").name);
    client.expect("assword: ");
    client.line(PASSWORD);
    entered(client, "alice");

    fresh_codes();
    let mut screen = enable(&["sshd", "--user", "alice", "--yes", "--try", "3600"]);
    passcode(&mut screen, CODE);
    screen.expect(IN_PLACE);
    behind_a_key(&scene, &sshd, CODES[1]);
    good_saying(tool(&["confirm", "sshd"]), "accepted a login of alice");
    good(screen);
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
    let sshd = started(&scene, &included(""));
    enters_by_password(&scene, &sshd);

    let screen = bad_saying(enable(&SSHD), "pass --behind key or --behind password");
    assert!(
        screen.contains("alice has a key in authorized_keys"),
        "{screen}"
    );

    let words = ["sshd", "--behind", "key", "--user", "alice", "--yes"];
    let login = |screen: &mut Pty| {
        screen.expect("+ AuthenticationMethods publickey,keyboard-interactive");
        passcode(screen, CODE);
    };
    let mut screen = enable(&words);
    login(&mut screen);
    good(screen);
    behind_a_key(&scene, &sshd, CODES[1]);
    good_saying(enable(&words), "nothing to change");
    fs::remove_file(SETTINGS).unwrap();
    let screen = good(enable(&[&words[..], &["--dry-run"]].concat()));
    let removed = format!(
        "{SETTINGS}: was removed since it was enabled; it is written again, and disable removes it."
    );
    assert!(screen.contains(&removed), "{screen}");
    fresh_codes();
    let mut screen = enable(&words);
    login(&mut screen);
    good_saying(screen, &removed);
    good(disable("sshd"));
    assert!(!Path::new(SETTINGS).exists());
    assert_eq!(stacks(), before);
    enters_by_password(&scene, &sshd);

    fresh_codes();
    let mut screen = enable(&[&words[..], &["--try", "4"]].concat());
    login(&mut screen);
    screen.expect(IN_PLACE);
    assert!(Path::new(SETTINGS).exists());
    screen.signal(Signal::SIGKILL);
    bad(screen);
    wait_until(|| !record("trial", "sshd").exists(), "it is put back");
    assert!(!Path::new(SETTINGS).exists());
    assert_eq!(stacks(), before);
    enters_by_password(&scene, &sshd);
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
    let sshd = started(&scene, &included(""));
    let takes = || {
        let mut client = sshd.client("alice", &["PreferredAuthentications=none"]);
        client.expect("Permission denied (");
        client.finish().1
    };
    let took = takes();
    let words = words_of("enable sshd --behind key --user alice --no-trial --yes");
    let mut killed = 0;
    for call in ["renameat", "kill", "fsync"] {
        for number in 1.. {
            let output = hurt(call, KILL, number, &words);
            if output.status.success() {
                good(disable("sshd"));
                break;
            }
            killed += 1;
            let (status, screen) = tool(&["restore"]).finish();
            assert!(status.success(), "{call} {number}: {screen}");
            if record("enabled", "sshd").exists() {
                good(disable("sshd"));
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
            good(tool(&words));
        };
        for (first, words) in [("restore", enable.as_str()), (&enable, "disable sshd")] {
            for call in ["renameat", "unlinkat", "kill"] {
                for number in 1.. {
                    all_of(first);
                    assert!(!is_open());
                    let output = hurt(call, KILL, number, &words_of(words));
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
    let _sshd = started(&scene, &included(""));
    let words = words_of("enable sshd --behind key --user alice --no-trial --yes --try 3600");
    let mut screen = tool(&words);
    screen.expect(IN_PLACE);
    end(screen);
    // Nobody can tell any more what it was.
    fs::remove_file(format!("{RECORDS}/backup/sshd.sshd")).unwrap();
    let without_marks = "auth requisite pam_onelogin.so\nauth required pam_permit.so\n";
    write(&scene, "/etc/pam.d/sshd", without_marks);
    as_after_a_restart("sshd");
    bad_saying(tool(&["restore"]), "/etc/pam.d/sshd:1: ");
    assert!(Path::new(SETTINGS).exists(), "or a code alone lets in");

    write(&scene, "/etc/pam.d/sshd", &before["sshd"].bytes);
    let (status, said) = tool(&["restore"]).finish();
    assert!(!Path::new(SETTINGS).exists(), "{status} {said}");
    assert_eq!(stacks(), before);
}

#[test]
#[ignore = "needs root: run by make test"]
fn only_the_sshd_that_listens_is_told_to_read_its_settings() {
    let scene = machine(&[]);
    let sshd = started(&scene, &included(""));
    let words = words_of("enable sshd --behind key --user alice --no-trial --yes");
    good(tool(&words));
    good(disable("sshd"));

    // A number that is out of date, and now a session's.
    let number = fs::read_to_string("/run/sshd.pid").unwrap();
    let mut client = sshd.client(&scene.person("alice").name, &[]);
    client.expect("assword: ");
    let session = fs::read_to_string(format!("/proc/{0}/task/{0}/children", number.trim()));
    fs::write("/run/sshd.pid", session.unwrap()).unwrap();
    bad_saying(tool(&words), "PidFile /run/sshd.pid\" does not name it");
    assert!(!Path::new(SETTINGS).exists());
    client.line(PASSWORD);
    entered(client, "alice");
    fs::write("/run/sshd.pid", number).unwrap();

    // Another one would have the new stack with settings that nobody has looked at.
    let other = Sshd::start(&scene.stage, "UsePAM yes");
    bad_saying(tool(&words), "more than one sshd");
    drop(other);
    drop(sshd);

    // No file of the folder that it is run in counts.
    let sshd = Sshd::start_by_the_machines_file(&scene.stage, &included("PidFile none\n"));
    let folder = Path::new("/run/of-a-user");
    fs::create_dir(folder).unwrap();
    fs::write(folder.join("none"), sshd.pid().to_string()).unwrap();
    let mut command = Command::new(binary("pam-onelogin"));
    command.args(&words).env_clear().current_dir(folder);
    bad_saying(Pty::spawn(command), "PidFile none\" does not name it");
    drop(sshd);
}

#[test]
#[ignore = "needs root: run by make test"]
fn a_fault_in_sshds_settings_keeps_no_stack_on_trial_and_is_logged() {
    let scene = machine(&[]);
    let before = stacks();
    let sshd = started(&scene, &included(""));
    let words = words_of("enable sshd --behind key --user alice --no-trial --yes --try 2");
    let mut screen = tool(&words);
    screen.expect(IN_PLACE);
    let config = fs::read_to_string("/etc/ssh/sshd_config").unwrap();
    let faulty = format!("{config}NoSuchSetting yes\n");
    scene.stage.write("/etc/ssh/sshd_config", faulty, 0o600);
    end(screen);
    let said = scene.decision("-T found a fault in the settings of sshd");
    assert!(said.starts_with("pam_onelogin(pam-onelogin:"), "{said}");
    assert_eq!(stacks(), before);
    assert!(!Path::new(SETTINGS).exists());

    scene.stage.write("/etc/ssh/sshd_config", config, 0o600);
    wait_until(|| !record("trial", "sshd").exists(), "sshd reads them");
    enters_by_password(&scene, &sshd);
}

#[test]
#[ignore = "needs root: run by make test"]
fn a_connection_from_before_does_not_come_in_by_the_new_stack_alone() {
    let scene = machine(&["users.exempt_users = [\"alice\"]"]);
    let sshd = started(&scene, &included(""));
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
    let words = words_of("enable sshd --behind key --user alice --no-trial --yes");
    good(tool(&words));
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
    let sshd = started(&scene, &included(""));
    let words = words_of("enable sshd --behind key --user alice --no-trial --yes --try 2");
    let mut screen = tool(&words);
    screen.expect(IN_PLACE);
    fs::remove_dir_all(Path::new(SETTINGS).parent().unwrap()).unwrap();
    let (_, said) = screen.finish();
    assert!(said.contains("was rolled back"), "{said}");
    assert_eq!(stacks(), before);
    enters_by_password(&scene, &sshd);

    bad_saying(tool(&words), "needs \"AuthenticationMethods");
}

#[test]
#[ignore = "needs root: run by make test"]
fn settings_alone_are_left_to_the_admin_where_another_stack_asks() {
    let scene = machine(&[]);
    let _sshd = started(&scene, &included(""));
    let asks = "auth requisite pam_unix.so\nauth required pam_onelogin.so\n";
    write(&scene, "/etc/pam.d/common-auth", asks);
    let words = words_of("enable sshd --behind key --user alice --no-trial --yes");
    bad_saying(tool(&words), "write the missing sshd settings");
    assert!(!Path::new(SETTINGS).exists());
}

#[test]
#[ignore = "needs root: run by make test"]
fn before_sshd_runs_its_settings_go_back_although_it_could_not_read_them() {
    let scene = machine(&[]);
    let before = stacks();
    let sshd = started(&scene, &included(""));
    let words = words_of("enable sshd --behind key --user alice --no-trial --yes --try 3600");
    let mut screen = tool(&words);
    screen.expect(IN_PLACE);
    end(screen);
    kill_guardian();
    // As after a restart: it needs a folder that is made together with its start.
    drop(sshd);
    as_after_a_restart("sshd");
    fs::rename("/run/sshd", "/run/no-sshd").unwrap();
    let (status, said) = tool(&["restore"]).finish();
    let (_, refusal) = enable(&["sshd", "--user", "alice"]).finish();
    fs::rename("/run/no-sshd", "/run/sshd").unwrap();
    assert!(refusal.contains("mkdir -m 755 /run/sshd"), "{refusal}");
    assert!(status.success(), "{said}");
    assert!(
        !record("trial", "sshd").exists() && !Path::new(SETTINGS).exists(),
        "{said}"
    );
    assert_eq!(stacks(), before);
}

#[test]
#[ignore = "needs root: run by make test"]
fn sshd_is_refused_while_it_runs_with_other_settings_than_its_files_say() {
    let scene = machine(&[]);
    let before = stacks();
    let sshd = started(&scene, &included(""));
    write(&scene, SETTINGS, KEY);
    let words = ["sshd", "--user", "alice", "--no-trial", "--yes"];
    bad_saying(enable(&words), "has not read its settings");
    assert_eq!(stacks(), before);

    sshd.reload();
    good(enable(&words));
    behind_a_key(&scene, &sshd, CODE);

    good_saying(disable("sshd"), "still asks for a key");
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
    let words = words_of("sshd --behind key --user alice --no-trial --yes");
    // Above what sshd_config includes: seen before anything is written.
    let port = free_port();
    let config = |text: String| {
        let text = format!("{text}Port {port}\nListenAddress 127.0.0.1\n");
        write(&scene, "/etc/ssh/sshd_config", text);
    };
    config(format!("UsePAM no\n{}", included("")));
    let screen = bad_saying(enable(&words), "needs \"UsePAM yes\"");
    assert!(!screen.contains("+ AuthenticationMethods"), "{screen}");
    // In a file whose name comes first.
    config(included(""));
    let earlier = "/etc/ssh/sshd_config.d/00-a.conf";
    write(&scene, earlier, "UsePAM no\n");
    let screen = bad_saying(enable(&words), "needs \"UsePAM yes\"");
    assert!(screen.contains("nothing was changed"), "{screen}");
    assert!(!Path::new(SETTINGS).exists());
    assert_eq!(stacks(), before);
    // Root by ssh needs more than ours.
    fs::remove_file(earlier).unwrap();
    let root = words_of("sshd --behind key --user root --no-trial --yes --try 3600");
    bad_saying(enable(&root), "root cannot log in by SSH");
    // Without a record ours goes all the same; what somebody has made of it is theirs.
    good(enable(&words));
    fs::remove_dir_all(RECORDS).unwrap();
    good(disable("sshd"));
    assert!(!Path::new(SETTINGS).exists());
    assert_eq!(stacks(), before);
    good(enable(&words));
    let ours = fs::read_to_string(SETTINGS).unwrap();
    write(&scene, SETTINGS, ours + "X11Forwarding no\n");
    let screen = good_saying(
        disable("sshd"),
        "00-onelogin.conf: has changed since enable, so the file stays",
    );
    assert!(screen.contains("still asks for a key"), "{screen}");
    assert!(Path::new(SETTINGS).exists());
    assert_eq!(stacks(), before);

    // On trial it goes, and is kept beside the old stacks.
    fs::remove_file(SETTINGS).unwrap();
    let mut screen = enable(&[&words[..], &["--try", "3600"]].concat());
    screen.expect(IN_PLACE);
    end(screen);
    write(&scene, SETTINGS, "X11Forwarding no\n");
    good(disable("sshd"));
    assert!(!Path::new(SETTINGS).exists());
    let edited = fs::read(format!("{RECORDS}/backup/00-onelogin.conf.edited")).unwrap();
    assert_eq!(edited, b"X11Forwarding no\n");
    assert_eq!(stacks(), before);
}

#[test]
#[ignore = "needs root: run by make test"]
fn a_dry_run_and_a_real_run_name_the_setting_that_wins_before_any_code_is_asked_for() {
    let scene = machine(&[]);
    let before = stacks();
    let earlier = "/etc/ssh/sshd_config.d/00-a.conf";
    let port = free_port();
    for (place, above, file, behind, needed) in [
        (
            "00-a.conf:2: sshd uses \"UsePAM no\"",
            "",
            "# ours\nUsePAM no\n",
            "key",
            "UsePAM yes",
        ),
        (
            "sshd_config:1: sshd uses \"UsePAM no\"",
            "UsePAM no\n",
            "",
            "password",
            "UsePAM yes",
        ),
        (
            "00-a.conf:1: sshd uses \"AuthenticationMethods publickey\"",
            "",
            "AuthenticationMethods publickey\n",
            "key",
            "AuthenticationMethods publickey,keyboard-interactive",
        ),
        (
            "sshd_config:2: sshd uses \"KbdInteractiveAuthentication no\"",
            "Match all\nChallengeResponseAuthentication no\nMatch all\n",
            "",
            "key",
            "KbdInteractiveAuthentication yes",
        ),
    ] {
        let text = format!("Port {port}\nListenAddress 127.0.0.1\n{}", included(""));
        write(&scene, "/etc/ssh/sshd_config", format!("{above}{text}"));
        write(&scene, earlier, file);
        for further in ["--dry-run", "--yes"] {
            let words = ["sshd", "--behind", behind, "--user", "alice", further];
            let screen = bad_saying(enable(&words), place);
            let said = format!("needs \"{needed}\": ");
            assert_eq!(screen.matches(&said).count(), 1, "{said}: {screen}");
            assert_eq!(screen.matches("Warning:").count(), 1, "{screen}");
            assert!(!screen.contains("erification code"), "{screen}");
            assert!(!Path::new(SETTINGS).exists());
            assert_eq!(stacks(), before);
        }
    }
    // A file that comes later, or a line that does not matter, is no reason to refuse.
    for switch in ["no", "yes"] {
        write(&scene, "/etc/ssh/sshd_config", included(""));
        let text = format!("PasswordAuthentication {switch}\n");
        write(&scene, earlier, &text);
        let later = "/etc/ssh/sshd_config.d/50-cloud-init.conf";
        write(&scene, later, "UsePAM no\n");
        let words = words_of("sshd --behind key --user alice --no-trial");
        good(enable(&[&words[..], &["--dry-run"]].concat()));
        good(enable(&[&words[..], &["--yes"]].concat()));
        good(disable("sshd"));
    }
}

#[test]
#[ignore = "needs root: run by make test"]
fn check_and_enable_judge_the_settings_of_sshd_alike() {
    let scene = machine(&[]);
    let tail = format!("Port {}\nListenAddress 127.0.0.1\n", free_port());
    let config =
        |settings: &str| write(&scene, "/etc/ssh/sshd_config", format!("{settings}{tail}"));
    config(KEY);
    good(enable(&words_of(
        "sshd --behind key --user alice --no-trial --yes",
    )));
    let methods = "publickey,keyboard-interactive";
    for (also, switch, is_right) in [
        ("", "no", true),
        ("", "yes", true),
        (" password", "no", true),
        (" password", "yes", false),
        (" publickey,password", "yes", false),
        (" publickey,password,keyboard-interactive", "no", true),
        (" publickey,password,keyboard-interactive", "yes", false),
        (" publickey", "no", false),
        (" hostbased", "no", true),
    ] {
        let settings = KEY.replace(methods, &format!("{methods}{also}")).replace(
            "PasswordAuthentication no",
            &format!("PasswordAuthentication {switch}"),
        );
        config(&settings);
        let words = words_of("sshd --behind key --user alice --no-trial --dry-run");
        let (status, screen) = enable(&words).finish();
        assert_eq!(status.success(), is_right, "{settings}{screen}");
        let (status, screen) = tool(&["check", "--offline", "sshd"]).finish();
        assert_eq!(status.success(), is_right, "{settings}{screen}");
    }
    config(KEY);
    good(disable("sshd"));
}

#[test]
#[ignore = "needs root: run by make test"]
fn an_sshd_that_cannot_be_made_to_read_its_settings_is_named_before_any_code_is_asked_for() {
    let scene = machine(&[]);
    let _sshd = started(&scene, &included(""));
    let _other = Sshd::start(&scene.stage, "UsePAM yes");
    for further in ["--dry-run", "--yes"] {
        let words = ["sshd", "--behind", "key", "--user", "alice", further];
        let screen = bad_saying(enable(&words), "more than one sshd");
        assert!(!screen.contains("erification code"), "{screen}");
    }
}

#[test]
#[ignore = "needs root: run by make test"]
fn the_users_who_lose_their_way_in_are_named_beforehand() {
    let scene = machine(&[]);
    let config = included("AuthorizedKeysFile %h/.ssh/authorized_keys\n");
    write(&scene, "/etc/ssh/sshd_config", &config);
    let people = ["alice", "bob", "carol"].map(|name| scene.person(name));
    let shadow = fs::read_to_string("/etc/shadow").unwrap();
    let [alice, bob, carol] = &people;
    let keys = |home: &Path| home.join(".ssh/authorized_keys");
    fs::write(keys(&bob.home), "# no key yet\n").unwrap();
    let said = |behind| {
        let words = ["sshd", "--behind", behind, "--user", "alice", "--dry-run"];
        let screen = good(enable(&words));
        let line = screen.lines().find(|line| line.contains("Local users: "));
        line.unwrap_or_else(|| panic!("{screen}"))
            .trim_end()
            .to_owned()
    };
    let by_key = said("key");
    assert!(
        by_key.contains("Users without a key in authorized_keys"),
        "{by_key}"
    );
    let named = |line: &str, name: &str| {
        let names = line.split("Local users: ").nth(1).unwrap();
        let names = names.split('.').next().unwrap();
        names.split(", ").any(|one| one == name)
    };
    assert!(named(&by_key, &bob.name), "{by_key}");
    assert!(
        !named(&by_key, &alice.name) && !named(&by_key, &carol.name),
        "{by_key}"
    );
    // carol has a key, and no password.
    let mut lock = Command::new("usermod");
    assert!(
        lock.args(["--lock", &carol.name])
            .status()
            .unwrap()
            .success()
    );
    let by_password = said("password");
    assert!(
        by_password.contains("Users without a password"),
        "{by_password}"
    );
    assert!(named(&by_password, &carol.name), "{by_password}");
    assert!(!named(&by_password, &bob.name), "{by_password}");
    fs::write("/etc/shadow", shadow).unwrap();
}

#[test]
#[ignore = "needs root: run by make test"]
fn no_ssh_client_is_needed() {
    let scene = machine(&[]);
    let before = stacks();
    let sshd = started(&scene, &included(""));
    let (client, none) = ("/usr/bin/ssh", None::<&str>);
    mount(Some("/dev/null"), client, none, MsFlags::MS_BIND, none).unwrap();
    let words = words_of("sshd --behind key --user alice --no-trial --yes");
    let screen = enable(&words).finish();
    // The files have changed since sshd read them: nobody can tell what it does.
    let again = tool(&["disable", "sshd"]).finish();
    write(&scene, SETTINGS, KEY);
    let unread = enable(&words).finish();
    umount(client).unwrap();
    assert!(screen.0.success(), "{}", screen.1);
    assert!(again.0.success(), "{}", again.1);
    assert!(!unread.0.success(), "{}", unread.1);
    let said = "sshd has not restarted since its files changed";
    assert!(unread.1.contains(said), "{}", unread.1);
    assert_eq!(stacks(), before);
    drop(sshd);
}

#[test]
#[ignore = "needs root: run by make test"]
fn methods_that_ask_for_more_than_is_needed_stay() {
    let scene = machine(&[]);
    let both = included("AuthenticationMethods publickey,keyboard-interactive\n");
    let both = both.replace("UsePAM yes", "UsePAM no");
    let sshd = Sshd::start_by_the_machines_file(&scene.stage, &both);
    let words = "enable sshd --behind password --user alice --no-trial --yes";
    good_saying(tool(&words_of(words)), "+ UsePAM yes");
    let (_, screen) = sshd
        .client("alice", &["PreferredAuthentications=none"])
        .finish();
    assert!(screen.contains("(publickey)"), "{screen}");
    fs::remove_dir_all(RECORDS).unwrap();
    good(disable("sshd"));
    assert!(!Path::new(SETTINGS).exists());
}

#[test]
#[ignore = "needs root: run by make test"]
fn settings_that_change_before_the_answer_are_seen() {
    let scene = machine(&[]);
    let before = stacks();
    let config = |settings: &str| {
        let text = format!("{settings}Port 9\nListenAddress 127.0.0.1\n");
        write(&scene, "/etc/ssh/sshd_config", text);
    };
    config(KEY);
    let mut screen = tool(&["enable", "sshd", "--user", "alice", "--no-trial"]);
    screen.expect("Write this change? [y/N] ");
    config(&included(""));
    screen.line("y");
    bad_saying(screen, "the settings of sshd have changed in the meantime");
    assert_eq!(stacks(), before);
}

#[test]
#[ignore = "needs root: run by make test"]
fn sshd_is_refused_while_its_settings_let_in_too_many_or_nobody() {
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
            KEY.replace("PasswordAuthentication no", "PasswordAuthentication yes")
                .replace("AuthenticationMethods", "#"),
            "--behind",
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
        write(&scene, "/etc/ssh/sshd_config", settings);
        bad_saying(enable(&SSHD), said);
        assert_eq!(stacks(), before);
    }
}

/// Only with a key, and then a code, does alice get in.
pub(super) fn behind_a_key(scene: &Scene, sshd: &Sshd, code: &str) {
    let name = scene.person("alice").name;
    bad_saying(sshd.client(&name, &[]), "(publickey)");
    let mut client = sshd.client_with_key(&name);
    passcode(&mut client, code);
    entered(client, "alice");
}

/// alice gets in by her password alone.
fn enters_by_password(scene: &Scene, sshd: &Sshd) {
    let mut client = sshd.client(&scene.person("alice").name, &[]);
    client.expect("assword: ");
    client.line(PASSWORD);
    entered(client, "alice");
}

/// An sshd with this configuration, which is also the machine's.
pub(super) fn started(scene: &Scene, config: &str) -> Sshd {
    Sshd::start_by_the_machines_file(&scene.stage, config)
}

/// sshd's configuration as distributions ship it, in its main lines: it includes others first.
pub(super) fn included(further: &str) -> String {
    let folder = Path::new(SETTINGS).parent().unwrap();
    let _ = fs::remove_dir_all(folder);
    fs::create_dir(folder).unwrap();
    format!(
        "Include {}/*.conf\nKbdInteractiveAuthentication yes\nUsePAM yes\n{further}",
        folder.display()
    )
}
