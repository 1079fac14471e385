//! sshd's settings for some users, groups or addresses only.

use super::sshd::included;
use super::*;

#[test]
#[ignore = "needs root: run by make test"]
fn settings_for_some_users_or_addresses_are_looked_at_too() {
    let scene = machine(&[]);
    let before = stacks();
    let enable = || tool(&["enable", "sshd", "--user", "alice", "--no-trial", "--yes"]).finish();
    let port = free_port();
    let config = |block: &str| {
        let text = format!("{KEY}Port {port}\nListenAddress 127.0.0.1\n{block}\n");
        write(&scene, "/etc/ssh/sshd_config", text);
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
    // A line for all users is one for some below the first Match.
    let text = format!("Port {port}\nUsePAM yes\nMatch User git\n  X11Forwarding no\n");
    write(&scene, "/etc/ssh/sshd_config", text);
    bad_saying(
        tool(&words_of("enable sshd --behind key --user alice --dry-run")),
        "needs \"AuthenticationMethods publickey,keyboard-interactive\" above the first Match line (line 3)",
    );
    // A key alone is what somebody meant.
    config("Match User git\n  AuthenticationMethods publickey");
    let (status, screen) = enable();
    assert!(status.success(), "{screen}");
}

#[test]
#[ignore = "needs root: run by make test"]
fn users_who_would_lose_their_login_by_a_match_block_are_named() {
    let scene = machine(&[]);
    let before = stacks();
    let port = free_port();
    let config = |block: &str| {
        let further = format!("Port {port}\nListenAddress 127.0.0.1\n{block}\n");
        write(&scene, "/etc/ssh/sshd_config", included(&further));
    };
    let words = |behind| ["sshd", "--behind", behind, "--user", "alice", "--no-trial"];
    let enable = |behind, further: &[&str]| {
        let words = [&["enable"][..], &words(behind), further].concat();
        tool(&words).finish()
    };
    for (condition, setting, behind, new) in [
        ("Group contractors", "PasswordAuthentication yes", "key", ""),
        (
            "User bob,carol",
            "KbdInteractiveAuthentication yes",
            "key",
            "",
        ),
        (
            "Address 10.0.0.0/8",
            "PubkeyAuthentication no",
            "key",
            "PubkeyAuthentication yes",
        ),
        (
            "Group old Address 10.0.0.0/8",
            "KbdInteractiveAuthentication no",
            "key",
            "",
        ),
        (
            "Group staff",
            "AuthenticationMethods publickey,password",
            "key",
            "AuthenticationMethods publickey,keyboard-interactive",
        ),
        (
            "Group staff",
            "AuthenticationMethods password",
            "password",
            "AuthenticationMethods keyboard-interactive",
        ),
        (
            "User bob",
            "KbdInteractiveAuthentication no",
            "password",
            "",
        ),
    ] {
        let line = "line 9 of /etc/ssh/sshd_config";
        let advice = match new {
            "" => format!("remove {line}"),
            new => format!("replace {line} by \"{new}\""),
        };
        config(&format!(
            "Match User git\n  X11Forwarding no\nMatch {condition}\n  {setting}"
        ));
        for further in [["--dry-run"], ["--yes"]] {
            let (status, screen) = enable(behind, &further);
            assert!(!status.success(), "{screen}");
            let said = format!("sshd_config:9: \"Match {condition}\" has \"{setting}\": ");
            assert_eq!(screen.matches(&said).count(), 1, "{said}{screen}");
            assert!(screen.contains(&advice), "{advice}: {screen}");
            assert_eq!(stacks(), before);
        }
        // To the letter.
        config(&format!(
            "Match User git\n  X11Forwarding no\nMatch {condition}\n  {new}"
        ));
        let (status, screen) = enable(behind, &["--dry-run"]);
        assert!(status.success(), "{screen}");
    }
    // Nobody loses anything by these.
    for (block, behind) in [
        (
            "Match Group staff\n  PasswordAuthentication yes",
            "password",
        ),
        (
            "Match User git\n  AuthenticationMethods publickey\n  KbdInteractiveAuthentication no",
            "key",
        ),
        ("Match all\n  PubkeyAuthentication yes", "key"),
    ] {
        config(block);
        let (status, screen) = enable(behind, &["--dry-run"]);
        assert!(status.success(), "{screen}");
    }
    // Somebody may want that.
    config("Match Group contractors\n  PasswordAuthentication yes");
    let (status, screen) = enable("key", &["--yes", "--anyway"]);
    assert!(status.success(), "{screen}");
    let said = "Warning: /etc/ssh/sshd_config:7: \"Match Group contractors\" has";
    assert!(screen.contains(said), "{screen}");
    // Then check says it, too, and a second run has nothing to add.
    let (_, screen) = tool(&["check", "--offline"]).finish();
    let said = "sshd, for \"Match Group contractors\": PasswordAuthentication yes has no effect";
    assert!(screen.contains(said), "{screen}");
    let (status, screen) = enable("key", &["--yes"]);
    assert!(status.success() && !screen.contains("Warning:"), "{screen}");
    good(disable("sshd"));
    assert_eq!(stacks(), before);
}
