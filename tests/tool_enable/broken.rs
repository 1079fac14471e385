//! Lines of a stack that libpam cannot use: what `check` and `disable` say about them is what the real sudo does.

use super::*;
use pam_host::root::HASH;
use serde_json::Value;

/// A stack of sudo with these lines after the password.
fn stack_with(line: &str) -> String {
    format!("auth requisite pam_unix.so\n{line}\naccount required pam_unix.so\n")
}

/// Gives root this password, as a hash, unless root has it.
fn set_password_of_root(scene: &Scene, hash: &str) {
    let shadow = fs::read_to_string("/etc/shadow").unwrap();
    if !shadow.starts_with(&format!("root:{hash}:")) {
        scene.change_password("root", hash);
    }
}

/// What `check` finds wrong in the stack of sudo, and its text.
fn faults_of_sudo() -> (Vec<Value>, String) {
    let output = |further: &[&str]| {
        let mut command = Command::new(binary("pam-onelogin"));
        command.args(["check", "--offline"]).args(further);
        String::from_utf8(command.env_clear().output().unwrap().stdout).unwrap()
    };
    let document: Value = serde_json::from_str(&output(&["--json"])).unwrap();
    let findings = document["findings"].as_array().unwrap().iter();
    let faults = findings.filter(|found| {
        found["severity"] == "fault" && found["path"] == "/etc/pam.d/sudo" && found["line"].is_u64()
    });
    (faults.cloned().collect(), output(&[]))
}

/// Whether sudo runs a command for alice, with her password and, where it asks for one, a code that OneLogin accepts.
fn sudo_runs(scene: &Scene) -> bool {
    fresh_codes();
    let mut sudo = scene.sudo_as("alice", &["id", "-un"]);
    let mut codes = CODES.into_iter();
    while let Some(which) =
        sudo.next_of(&["[sudo] password for ", "Verification code (OneLogin): "])
    {
        sudo.line(if which == 0 {
            PASSWORD
        } else {
            codes.next().unwrap()
        });
    }
    sudo.finish().0.success()
}

#[test]
#[ignore = "needs root: run by make test"]
fn check_says_what_sudo_does_with_a_line_that_libpam_cannot_use_and_how_to_correct_it() {
    let scene = machine(&[]);
    set_password_of_root(&scene, HASH);
    write(&scene, "/etc/pam.d/sudo-i", stack_with(OURS));
    for (line, what, why, meant) in ROWS {
        write(&scene, "/etc/pam.d/sudo", stack_with(line));
        let is_denied = *why == ALL_DENIED;
        assert_eq!(sudo_runs(&scene), !is_denied, "{line}");
        let (faults, text) = faults_of_sudo();
        let said = format!("{line}: {faults:#?}\n{text}");
        let [fault] = faults.as_slice() else {
            panic!("one fault: {said}");
        };
        assert_eq!(fault["what"], *what, "{said}");
        assert_eq!(fault["line"], 2, "{said}");
        assert!(fault["why"].as_str().unwrap().ends_with(*why), "{said}");
        let advice = fault["advice"].as_str().unwrap();
        if let Some(meant) = meant {
            let start = format!("replace the line with, without the quotes: \"{meant}\"");
            assert!(advice.starts_with(&start), "{said}");
        }
        let is_open = text.contains("needs no second factor, although");
        assert_ne!(is_open, is_denied, "{said}");
        if is_denied {
            let end = "; sudo does not work until then: do this in a root shell (\"sudo -i\", \"su -\", or a \
                       login as root at the console)";
            assert!(advice.ends_with(end), "{said}");
            assert!(!text.contains("type: sudo "), "{said}");
            let last = text.lines().last().unwrap();
            assert!(
                last.contains("Next, in a root shell (\"sudo -i\", "),
                "{said}"
            );
            assert!(
                last.ends_with(": correct the faults, then type: pam-onelogin check"),
                "{said}"
            );
        }
    }
    // As it was meant.
    write(&scene, "/etc/pam.d/sudo", stack_with(OURS));
    assert!(faults_of_sudo().0.is_empty());
    assert!(sudo_runs(&scene));
    scene.decision("accepted user=alice");
}

#[test]
#[ignore = "needs root: run by make test"]
fn where_root_has_no_password_no_advice_needs_one_and_enable_warns_before_it_changes_sudo() {
    let scene = machine(&[]);
    set_password_of_root(&scene, HASH);
    let warning = "Warning: root has no password, so when sudo denies, \"su -\"";
    let dry_run = ["sudo", "--user", "alice", "--dry-run"];
    let screen = good(enable(&dry_run));
    assert!(!screen.contains(warning), "{screen}");
    let plain = fs::read_to_string("/etc/pam.d/sudo").unwrap();
    for locked in ["*", "!", "!*"] {
        set_password_of_root(&scene, locked);
        good_saying(enable(&dry_run), warning);
        write(
            &scene,
            "/etc/pam.d/sudo",
            stack_with("auth required pam_onelogin.so behnd=key"),
        );
        assert!(!sudo_runs(&scene));
        let text = checked(&["--offline"]);
        assert!(text.contains("in a root shell (\"sudo -i\")"), "{text}");
        assert!(!text.contains("\"su -\""), "{text}");
        assert!(!text.contains("at the console"), "{text}");
        write(&scene, "/etc/pam.d/sudo", &plain);
    }
    set_password_of_root(&scene, HASH);
}

/// What `check` prints.
fn checked(further: &[&str]) -> String {
    let mut command = Command::new(binary("pam-onelogin"));
    command.arg("check").args(further);
    String::from_utf8(command.env_clear().output().unwrap().stdout).unwrap()
}

#[test]
#[ignore = "needs root: run by make test"]
fn a_fault_that_denies_every_login_in_sudo_is_corrected_in_a_root_shell() {
    let scene = machine(&[]);
    set_password_of_root(&scene, HASH);
    let right = fs::read_to_string(CONFIG).unwrap();
    let (plain, asking) = (stack_with(""), stack_with(OURS));
    let wrong_argument = stack_with("auth required pam_onelogin.so behnd=key");
    let state = "state_dir = \"/etc/passwd\"\nonelogin.url";
    let group = "users.exempt_groups = [\"no-such-group\"]\nonelogin.url";
    let offline = &["--offline"][..];
    let faults = [
        (
            "client_id = ",
            "clientid = ",
            "FAULT    \"clientid\"",
            offline,
        ),
        (
            "onelogin.url",
            group,
            "FAULT    users.exempt_groups",
            offline,
        ),
        ("onelogin.url", state, "where  /etc/passwd", &[]),
        (
            DEFAULT_CLIENT_SECRET,
            "wrong",
            "FAULT    OneLogin issued no token",
            &[],
        ),
        (
            "https://localhost:",
            "https://localhost.invalid:",
            "FAULT    the host",
            &[],
        ),
        ("", "", "FAULT    sudo: argument \"behnd=key\"", offline),
    ];
    write(&scene, "/etc/pam.d/login", &plain);
    for (old, new, said, further) in faults {
        let is_of_stack = old.is_empty();
        let sudo = if is_of_stack {
            &wrong_argument
        } else {
            &asking
        };
        for (sudo_i, ways) in [(&plain, "\"sudo -i\", "), (&asking, "")] {
            write(&scene, "/etc/pam.d/sudo", sudo);
            write(&scene, "/etc/pam.d/sudo-i", sudo_i);
            assert!(right.contains(old), "{old}: {right}");
            scene
                .stage
                .write(CONFIG, right.replacen(old, new, 1), 0o600);
            assert!(!sudo_runs(&scene), "{new}");
            let text = checked(further);
            scene.stage.write(CONFIG, &right, 0o600);
            assert!(text.contains(said), "{new}: {text}");
            let ways = if is_of_stack { "\"sudo -i\", " } else { ways };
            let shell = format!("({ways}\"su -\", or a login as root at the console)");
            let end = format!("; sudo does not work until then: do this in a root shell {shell}");
            assert!(text.contains(&end), "{new}: {text}");
            assert!(!text.contains("sudo pam-onelogin"), "{new}: {text}");
            assert!(!text.contains("sudoedit"), "{new}: {text}");
            let last = text.lines().last().unwrap();
            let next = format!("Next, in a root shell {shell}: ");
            assert!(last.contains(&next), "{new}: {text}");
        }
    }
    // Where sudo does not call the module, its faults leave sudo as it is.
    write(&scene, "/etc/pam.d/sudo", &plain);
    let wrong = right.replacen("client_id = ", "clientid = ", 1);
    scene.stage.write(CONFIG, wrong, 0o600);
    assert!(sudo_runs(&scene));
    let text = checked(&["--offline"]);
    assert!(text.contains("Next: sudoedit "), "{text}");
    scene.stage.write(CONFIG, &right, 0o600);
}

#[test]
#[ignore = "needs root: run by make test"]
fn enable_refuses_a_stack_with_a_line_that_libpam_cannot_use_and_says_what_to_write() {
    let scene = machine(&[]);
    let stack = stack_with("auth required pam_onelogn.so");
    write(&scene, "/etc/pam.d/sudo", &stack);
    for words in ["sudo --yes --no-trial", "sudo --yes --user alice"] {
        let screen = bad(enable(&words_of(words)));
        let what = "/etc/pam.d/sudo:2: the module pam_onelogn.so does not exist; did you mean pam_onelogin.so?; \
                    libpam cannot load it: every login through this stack is denied";
        let advice =
            format!("nothing was changed; replace the line with, without the quotes: \"{OURS}\"");
        assert!(screen.contains(what), "{screen}");
        assert!(screen.contains(&advice), "{screen}");
        assert!(!screen.contains("erification code"), "{screen}");
        assert_eq!(fs::read_to_string("/etc/pam.d/sudo").unwrap(), stack);
    }
}

#[test]
#[ignore = "needs root: run by make test"]
fn disable_names_the_line_of_ours_that_was_misspelt_by_hand_and_what_it_was() {
    let scene = machine(&[]);
    let before = stacks();
    good(enable(&words_of("sudo --no-trial --yes")));
    let ours = fs::read_to_string("/etc/pam.d/sudo").unwrap();
    let number = 1 + ours
        .lines()
        .position(|line| line.contains(" pam_onelogin.so"))
        .unwrap();
    write(
        &scene,
        "/etc/pam.d/sudo",
        ours.replace(" pam_onelogin.so", " pam_onelogn.so"),
    );
    let screen = bad(disable("sudo"));
    let line = "auth       required     pam_onelogin.so";
    let said = format!(
        "/etc/pam.d/sudo:{number}: was changed by hand in the block of this tool; it was \"{line}\""
    );
    assert!(screen.contains(&said), "{screen}");
    let copy = "/var/lib/pam_onelogin/backup/sudo.sudo";
    let said = format!(
        "write the line as it was, or remove it, then type the command again; or type: cp {copy} /etc/pam.d/sudo"
    );
    assert!(screen.contains(&said), "{screen}");
    assert!(
        !screen.contains("lines that name pam_onelogin.so"),
        "{screen}"
    );
    // Word for word.
    write(&scene, "/etc/pam.d/sudo", &ours);
    good(disable("sudo"));
    assert_eq!(stacks(), before);

    // Written by hand, without a record.
    write(
        &scene,
        "/etc/pam.d/sudo",
        "auth requisite pam_unix.so\nauth required pam_onelogn.so\n",
    );
    bad_saying(
        disable("sudo"),
        "/etc/pam.d/sudo:2: this tool did not write this line, which names pam_onelogn.so; remove it by hand",
    );
}

const OURS: &str = "auth required pam_onelogin.so";
const ALL_DENIED: &str = "every login through this stack is denied";

/// A line, what check says about it, the end of the reason, and the line that it was meant as.
const ROWS: &[(&str, &str, &str, Option<&str>)] = &[
    (
        "auth required pam_onelogn.so",
        "sudo: the module pam_onelogn.so does not exist; did you mean pam_onelogin.so?",
        ALL_DENIED,
        Some(OURS),
    ),
    (
        "-auth required pam_onelogn.so",
        "sudo: the module pam_onelogn.so does not exist; did you mean pam_onelogin.so?",
        ALL_DENIED,
        Some("-auth required pam_onelogin.so"),
    ),
    (
        "auth required “pam_onelogin.so”",
        "sudo: the module “pam_onelogin.so” does not exist; did you mean pam_onelogin.so?",
        ALL_DENIED,
        Some(OURS),
    ),
    (
        "“auth required pam_onelogin.so”",
        "sudo: \"“auth\" is not a valid type",
        ALL_DENIED,
        Some(OURS),
    ),
    (
        "auth requird pam_onelogin.so",
        "sudo: the control \"requird\" is not valid",
        ALL_DENIED,
        Some(OURS),
    ),
    (
        "auth pam_onelogin.so",
        "sudo: the control is missing before pam_onelogin.so",
        ALL_DENIED,
        Some(OURS),
    ),
    (
        "required pam_onelogin.so",
        "sudo: \"required\" is not a valid type",
        ALL_DENIED,
        Some(OURS),
    ),
    (
        "auth required",
        "sudo: the module is missing after required",
        ALL_DENIED,
        None,
    ),
    (
        "acount required pam_unix.so",
        "sudo: \"acount\" is not a valid type",
        ALL_DENIED,
        Some("account required pam_unix.so"),
    ),
    (
        "account pam_unix.so",
        "sudo: the control is missing before pam_unix.so",
        ALL_DENIED,
        None,
    ),
    (
        "@include comon-auth",
        "sudo: libpam cannot read the stack: the file comon-auth does not exist",
        ALL_DENIED,
        Some("@include common-auth"),
    ),
    (
        "auth optional pam_onelogn.so",
        "sudo: the module pam_onelogn.so does not exist; did you mean pam_onelogin.so?",
        "by its control the line then has no effect, and a login needs no second factor",
        Some(OURS),
    ),
];
