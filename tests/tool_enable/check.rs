//! `pam-onelogin check` with a running sshd: its files may be right, and the process may not have read them.

use super::sshd::{behind_a_key, included, started};
use super::*;

/// sshd accepts a key alone.
const KEY_ALONE: &str = "UsePAM yes\nKbdInteractiveAuthentication no\nPasswordAuthentication no\n";
const UNREAD: &str = "the running sshd has not read its settings";

/// The stack of sshd behind a key, as an administrator writes it.
fn write_stack(scene: &Scene) {
    let text = fs::read_to_string("/etc/pam.d/sshd").unwrap();
    let lines = "auth requisite pam_onelogin.so behind=key\nauth required pam_permit.so";
    write(
        scene,
        "/etc/pam.d/sshd",
        text.replace("@include common-auth", lines),
    );
}

/// sshd has read its settings again: it writes its pid after it listens.
fn reload(sshd: &Sshd) {
    let written = || fs::metadata("/run/sshd.pid").and_then(|file| file.modified());
    let before = written().unwrap();
    sshd.reload();
    wait_until(
        || written().is_ok_and(|now| now != before),
        "sshd writes its pid",
    );
}

/// What `check sshd -v` says, in one line for each part of a finding.
fn checked(further: &[&str]) -> String {
    let output = Command::new(binary("pam-onelogin"))
        .args(["check", "sshd", "-v"])
        .args(further)
        .env_clear()
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
#[ignore = "needs root: run by make test"]
fn an_sshd_that_has_not_read_its_settings_is_a_fault_until_it_is_reloaded() {
    let scene = machine(&[]);
    let sshd = started(&scene, &included(""));
    write_stack(&scene);
    write(&scene, SETTINGS, KEY);
    let said = checked(&[]);
    let fault = format!("FAULT    {UNREAD}\n         where  /etc/ssh/sshd_config\n");
    assert!(said.contains(&fault), "{said}");
    let pid = fs::read_to_string("/run/sshd.pid").unwrap();
    let advice = format!("do     type: sudo kill -HUP {}\n", pid.trim());
    assert!(said.contains(&advice), "{said}");
    assert!(
        said.contains(
            "are keyboard-interactive, password, publickey, by its settings they are publickey:"
        ),
        "{said}"
    );

    let offline = checked(&["--offline"]);
    assert!(!offline.contains(UNREAD), "{offline}");
    assert!(
        offline.contains("note     not checked: the running sshd, "),
        "{offline}"
    );

    reload(&sshd);
    let said = checked(&[]);
    assert!(!said.contains(UNREAD), "{said}");
    assert!(
        said.contains("good     the running sshd has read its settings\n"),
        "{said}"
    );
    behind_a_key(&scene, &sshd, CODE);
}

#[test]
#[ignore = "needs root: run by make test"]
fn a_method_that_was_added_behind_the_key_is_not_called_good_before_sshd_is_reloaded() {
    let scene = machine(&[]);
    let config = included("");
    write(&scene, SETTINGS, KEY_ALONE);
    let sshd = started(&scene, &config);
    let pid = || fs::read_to_string("/run/sshd.pid").unwrap_or_default();
    wait_until(
        || pid().trim() == sshd.pid().to_string(),
        "sshd writes its pid",
    );
    write_stack(&scene);
    // A key comes first in both, so the methods that sshd offers do not tell.
    write(&scene, SETTINGS, KEY);
    entered(sshd.client_with_key(&scene.person("alice").name), "alice");
    let said = checked(&[]);
    let warning = format!(
        "warning  this file has changed since the running sshd read its settings\n         where  {SETTINGS}\n"
    );
    assert!(said.contains(&warning), "{said}");
    reload(&sshd);
    let said = checked(&[]);
    assert!(!said.contains("has changed since"), "{said}");
    behind_a_key(&scene, &sshd, CODE);
}

#[test]
#[ignore = "needs root: run by make test"]
fn files_that_are_weaker_than_the_running_sshd_are_corrected_before_sshd_reads_them() {
    let scene = machine(&[]);
    let config = included("");
    write(&scene, SETTINGS, KEY);
    let sshd = started(&scene, &config);
    wait_until(
        || {
            fs::read_to_string("/run/sshd.pid")
                .is_ok_and(|pid| pid.trim() == sshd.pid().to_string())
        },
        "sshd writes its pid",
    );
    write_stack(&scene);
    behind_a_key(&scene, &sshd, CODE);
    let first = |what: &str| format!("         do     do not reload sshd yet; first {what}");
    let methods = "write \"AuthenticationMethods publickey,keyboard-interactive\"";
    let then = format!("; then type: sudo kill -HUP {}\n", sshd.pid());

    // The first methods differ.
    fs::remove_file(SETTINGS).unwrap();
    let said = checked(&[]);
    let fault = "FAULT    the files of sshd are weaker than the running sshd\n         where  /etc/ssh/sshd_config\n";
    assert!(said.contains(fault), "{said}");
    let why = "by the files, publickey alone is enough to log in; the running sshd still uses what it read \
               before, with fewer first methods (publickey at ";
    assert!(said.contains(why), "{said}");
    assert!(
        said.contains(&first(methods)) && said.contains(&then),
        "{said}"
    );
    assert!(!said.contains("until it reads them"), "{said}");
    assert!(!said.contains("do     type: sudo kill"), "{said}");

    // They are the same, but a key alone is enough after the next start.
    write(&scene, SETTINGS, KEY_ALONE);
    let prompts =
        format!("replace line 2 of {SETTINGS} by \"KbdInteractiveAuthentication yes\"; {methods}");
    let said = checked(&[]);
    let warning = format!(
        "warning  this file has changed since the running sshd read its settings\n         where  {SETTINGS}\n"
    );
    assert!(said.contains(&warning), "{said}");
    let why = "by the files, publickey alone is enough to log in; the running sshd may still need the second factor, until it reads them";
    assert!(said.contains(why), "{said}");
    assert!(
        said.contains(&first(&prompts)) && said.contains(&then),
        "{said}"
    );
    assert!(!said.contains("do     type: sudo kill"), "{said}");
    fresh_codes();
    behind_a_key(&scene, &sshd, CODE);

    // To follow the old advice would have opened this host.
    reload(&sshd);
    entered(sshd.client_with_key(&scene.person("alice").name), "alice");
}

#[test]
#[ignore = "needs root: run by make test"]
fn settings_of_sshd_that_were_removed_are_written_again_by_the_command_that_check_names() {
    let scene = machine(&[]);
    let sshd = started(&scene, &included(""));
    for behind in ["key", "password"] {
        let words = ["sshd", "--behind", behind, "--user", "alice"];
        let words = [&words[..], &["--no-trial", "--yes"]].concat();
        good(enable(&words));
        let command =
            format!("pam-onelogin enable sshd --behind {behind} --try 5m; if this is intended");
        fs::remove_file(SETTINGS).unwrap();
        // The running sshd has the old settings at first.
        for is_reloaded in [false, true] {
            if is_reloaded {
                reload(&sshd);
            }
            let said = checked(&[]);
            let is_bad = |line: &&str| line.starts_with("FAULT") || line.starts_with("warning");
            let bad = said.lines().filter(is_bad).count();
            assert!(bad > 0, "{said}");
            let advice = format!(
                "{SETTINGS} is missing; type: sudo {command}, type: sudo pam-onelogin disable sshd\n"
            );
            assert_eq!(said.matches(&advice).count(), bad, "{said}");
            assert!(!said.contains("write \""), "{said}");
        }
        good(enable(&words));
        let said = checked(&[]);
        assert!(!said.contains("FAULT"), "{said}");
        fs::remove_file(SETTINGS).unwrap();
        // Before sshd reads its settings again, the same command will do, too.
        good(enable(&words));
        let said = checked(&[]);
        assert!(!said.contains("FAULT"), "{said}");
        good(disable("sshd"));
    }
}

#[test]
#[ignore = "needs root: run by make test"]
fn in_an_outage_the_last_line_names_the_command_by_which_logins_work_again() {
    let mut scene = machine(&[]);
    let before = stacks();
    good(enable(&words_of("sudo --no-trial --yes")));
    let disable = "To log in without OneLogin until then, type: pam-onelogin disable sudo";
    let (_, said) = tool(&["check"]).finish();
    assert!(!said.contains(disable), "{said}");
    scene.simulator.stop();
    let said = bad_saying(tool(&["check"]), "FAULT");
    let said = said.replace("\r\n", " ");
    assert!(said.contains(disable), "{said}");
    good(tool(&["disable", "sudo"]));
    assert_eq!(stacks(), before);
    by_password_alone(&scene);
}

#[test]
#[ignore = "needs root: run by make test"]
fn settings_of_root_alone_do_not_hide_that_sshd_has_not_read_those_of_others() {
    let scene = machine(&[]);
    let for_root = "Match User root\nAuthenticationMethods publickey\n";
    let config = included("");
    write(&scene, SETTINGS, for_root);
    let _sshd = started(&scene, &config);
    write_stack(&scene);
    write(&scene, SETTINGS, format!("{KEY}{for_root}"));
    let said = checked(&[]);
    assert!(said.contains(&format!("FAULT    {UNREAD}\n")), "{said}");
}

#[test]
#[ignore = "needs root: run by make test"]
fn a_user_whom_the_files_exempt_does_not_delay_the_reload_for_the_others() {
    let scene = machine(&[]);
    let for_root = "Match User root\nAuthenticationMethods publickey\n";
    let config = included("");
    let _sshd = started(&scene, &config);
    write_stack(&scene);
    write(&scene, SETTINGS, format!("{KEY}{for_root}"));
    let said = checked(&[]);
    assert!(said.contains(&format!("FAULT    {UNREAD}\n")), "{said}");
    assert!(said.contains("do     type: sudo kill -HUP "), "{said}");
    assert!(!said.contains("do not reload"), "{said}");
}

#[test]
#[ignore = "needs root: run by make test"]
fn without_a_running_sshd_and_without_root_check_says_that_it_did_not_ask() {
    let scene = machine(&[]);
    let sshd = started(&scene, &included(""));
    write_stack(&scene);
    write(&scene, SETTINGS, KEY);
    let mut command = scene.stage.command(
        &scene.person("alice"),
        binary("pam-onelogin").to_str().unwrap(),
        &["check", "sshd", "-v"],
    );
    let said = String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert!(
        said.contains("note     not checked: whether the running sshd has read its settings\n"),
        "{said}"
    );
    drop(sshd);
    let said = checked(&[]);
    assert!(
        said.contains(
            "note     no sshd is running: the next one reads its settings when it starts\n"
        ),
        "{said}"
    );
}

#[test]
#[ignore = "needs root: run by make test"]
fn sudo_ends_the_prompt_for_a_code_when_check_says_so() {
    let scene = Scene::sudo(&[]);
    let rules = fs::read_to_string("/etc/sudoers").unwrap();
    let rules = format!("Defaults passwd_timeout=0.05\n{rules}");
    scene.stage.write("/etc/sudoers", rules, 0o440);
    let output = Command::new(binary("pam-onelogin"))
        .args(["check", "sudo", "--offline"])
        .env_clear()
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains("warning  sudo ends a prompt after 3 seconds\n"),
        "{said}"
    );
    let mut sudo = scene.sudo_as("alice", &["id", "-un"]);
    password(&mut sudo);
    sudo.expect("Verification code (OneLogin): ");
    sudo.expect("timed out");
    assert!(!sudo.finish().0.success());
}
