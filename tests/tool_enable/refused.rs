//! A stack that enable does not change: what it prints for the admin to write is followed to the letter.

use super::*;
use onelogin_simulator::WrongCode;
use scene::{denied, password};

/// What the tool prints as the whole of a stack.
fn printed(screen: &str, name: &str) -> String {
    let head =
        format!("With this text as the whole of /etc/pam.d/{name}, logins would ask OneLogin:");
    let mut lines = screen.lines().map(|line| line.trim_end_matches('\r'));
    assert!(lines.any(|line| line == head), "{screen}");
    let is_end = |line: &&str| line.starts_with("Warning:") || line.starts_with("pam-onelogin:");
    let lines = lines.take_while(|line| !is_end(line));
    let mut text = String::new();
    for line in lines {
        text.push_str(line.strip_prefix("    ").unwrap_or(line));
        text.push('\n');
    }
    text
}

/// What check finds wrong in a stack of this name.
fn faults(name: &str) -> Vec<String> {
    let output = Command::new(binary("pam-onelogin"))
        .args(["check", "--offline", "--json"])
        .env_clear()
        .output()
        .unwrap();
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = document["findings"].as_array().unwrap().iter();
    let bad = findings
        .filter(|found| ["fault", "warning"].contains(&found["severity"].as_str().unwrap()));
    let what = bad.map(|found| found["what"].as_str().unwrap().to_owned());
    what.filter(|what| what.starts_with(&format!("{name}:")))
        .collect()
}

#[test]
#[ignore = "needs root: run by make test"]
fn the_stack_that_is_printed_for_a_refused_one_needs_both_factors() {
    let scene = machine(&[]);
    let rest = "@include common-account\n@include common-session-noninteractive\n";
    let common = fs::read("/etc/pam.d/common-auth").unwrap();
    for (old, in_common) in [
        (
            "auth sufficient pam_unix.so\nauth required pam_deny.so\n",
            "",
        ),
        ("auth required pam_unix.so nullok\n", ""),
        (
            "auth required pam_env.so\nauth sufficient pam_wheel.so trust use_uid\n@include common-auth\n",
            "",
        ),
        (
            "@include common-auth\n",
            "auth sufficient pam_unix.so\nauth required pam_deny.so\n",
        ),
    ] {
        if in_common.is_empty() {
            write(&scene, "/etc/pam.d/common-auth", &common);
        } else {
            write(&scene, "/etc/pam.d/common-auth", in_common);
        }
        write(&scene, "/etc/pam.d/sudo", format!("{old}{rest}"));
        let screen = bad_saying(enable(&SUDO), "nothing was changed");
        let new = printed(&screen, "sudo");
        assert!(new.ends_with(rest), "{new}");
        write(&scene, "/etc/pam.d/sudo", &new);
        assert_eq!(faults("sudo"), [""; 0], "{new}");

        fresh_codes();
        let mut sudo = scene.sudo_as("alice", &["id", "-un"]);
        password(&mut sudo);
        for _ in 0..3 {
            passcode(&mut sudo, "999999");
        }
        denied(sudo);
        fresh_codes();
        let mut sudo = scene.sudo_as("alice", &["id", "-un"]);
        sudo.expect("assword");
        sudo.line("wrong");
        let next = sudo.next_of(&["assword", "OneLogin"]);
        assert_eq!(next, Some(0), "a wrong password does not reach OneLogin");
        drop(sudo);
        fresh_codes();
        let mut sudo = scene.sudo_as("alice", &["id", "-un"]);
        password(&mut sudo);
        passcode(&mut sudo, CODE);
        became_root(sudo);
    }
}

#[test]
#[ignore = "needs root: run by make test"]
fn where_no_stack_would_be_good_none_is_printed() {
    let scene = machine(&[]);
    for text in [
        "auth sufficient \\\n pam_unix.so\n",
        "@include nowhere\nauth sufficient pam_unix.so\n",
        "auth required pam_nosuchmodule.so\nauth sufficient pam_unix.so\n",
        "auth [success=1 default=ignore] pam_succeed_if.so quiet user = nobody\n@include common-auth\n",
        "auth [success=ignore default=die] pam_succeed_if.so user ingroup wheel\n\
         auth sufficient pam_unix.so\n",
        "auth required pam_unix.so\nauth required pam_localuser.so\nauth required pam_ldap.so\n",
    ] {
        write(&scene, "/etc/pam.d/sudo", text);
        let screen = bad_saying(enable(&SUDO), "edit this stack by hand: see \"STACKS\"");
        assert!(!screen.contains("auth "), "{screen}");
    }
}

#[test]
#[ignore = "needs root: run by make test"]
fn a_stack_that_asks_already_and_is_not_safe_is_named() {
    let scene = machine(&[]);
    let ours = "auth required pam_onelogin.so\n";
    for (first, said) in [
        (
            "auth sufficient pam_unix.so\n",
            "the stack would not ask OneLogin",
        ),
        (
            "auth required pam_unix.so\n",
            "the stack would ask OneLogin after a wrong password",
        ),
        ("auth requisite pam_unix.so\n", ""),
    ] {
        for name in ["sudo", "sudo-i"] {
            let path = format!("/etc/pam.d/{name}");
            write(&scene, &path, format!("{first}{ours}"));
        }
        let screen = good_saying(enable(&SUDO), "pam_onelogin is in the stack already");
        assert_eq!(screen.contains("Warning:"), !said.is_empty(), "{screen}");
        assert!(screen.contains(said), "{screen}");
    }
}

#[test]
#[ignore = "needs root: run by make test"]
fn r06_a_tenant_that_accepted_a_wrong_code_is_not_switched_on() {
    let scene = machine(&[]);
    let before = stacks();
    scene.simulator.set_wrong_code(WrongCode::Accepted);
    let mut screen = tool(&["check", "--prove", "alice"]);
    for _ in 0..2 {
        screen.expect("Code (empty line: stop): ");
        screen.line("123456");
    }
    let (status, all) = screen.finish();
    assert_eq!(status.code(), Some(3), "{all}");
    for further in [
        &["--dry-run"] as &[&str],
        &["--anyway", "--no-trial", "--yes"],
    ] {
        let arguments = [&["--user", "alice", "sshd"] as &[&str], further].concat();
        bad_saying(enable(&arguments), "OneLogin accepted what it must refuse");
        assert_eq!(stacks(), before);
    }
}
