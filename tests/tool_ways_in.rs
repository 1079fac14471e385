//! `pam-onelogin check --ways-in` over a small machine: what opens it without a second factor.

mod tool;

use serde_json::Value;
use std::fs;
use std::path::Path;
use tool::{assert_documented, has, run, tool};

/// A machine with a way in of each kind.
fn machine() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let asking = "auth requisite pam_unix.so\nauth required pam_onelogin.so\n";
    let open = "auth required pam_unix.so\n";
    let files = [
        (
            "etc/passwd",
            "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/:/bin/sh\nbob:x:1001:27::/:/bin/sh\n",
        ),
        ("etc/group", "sudo:x:27:alice\nrobots:x:990:deploy,backup\n"),
        ("etc/pam.d/sshd", asking),
        ("etc/pam.d/sudo", asking),
        ("etc/pam.d/sudo-i", open),
        ("etc/pam.d/su", open),
        ("etc/pam.d/login", open),
        ("etc/pam.d/cron", asking),
        ("etc/pam.d/passwd", open),
        ("etc/pam.d/runuser", open),
        (
            "etc/ssh/sshd_config",
            "UsePAM yes\nPasswordAuthentication no\nAuthenticationMethods publickey,keyboard-interactive\n\
             Match User backup\nAuthenticationMethods publickey\nTrustedUserCAKeys /etc/ssh/ca.pub\n",
        ),
        (
            "root/.ssh/authorized_keys",
            "# old\nssh-ed25519 AAAA a\nssh-ed25519 BBBB b\n",
        ),
        (
            "etc/sudoers",
            "Defaults timestamp_timeout=0\n%sudo ALL=(ALL) NOPASSWD: /usr/bin/apt\nDefaults:deploy !authenticate\n",
        ),
        ("etc/doas.conf", "permit nopass :wheel\n"),
        (
            "etc/polkit-1/rules.d/10-x.rules",
            "// polkit.Result.YES\nreturn polkit.Result.YES;\n",
        ),
        (
            "etc/systemd/system/getty@tty1.service.d/x.conf",
            "[Service]\nExecStart=\nExecStart=-/sbin/agetty --autologin alice %I\n",
        ),
        (
            "etc/systemd/system/sysinit.target.wants/debug-shell.service",
            "",
        ),
        ("usr/bin/ksu", ""),
        (
            "etc/pam_onelogin/config.toml",
            "failmode = \"safe\"\nfailmode_from = [\"10.20.0.0/16\"]\n[onelogin]\nurl = \"https://x.onelogin.com\"\n\
             client_id = \"a\"\nclient_secret = \"b\"\n[users]\nexempt_users = [\"root\"]\n\
             exempt_groups = [\"robots\"]\nno_factor = \"enroll\"\nexempt = [\n\
             { user = \"bob\", until = \"2020-01-31\", reason = \"over\" },\n\
             { group = \"robots\", until = \"2999-01-31\", reason = \"ticket 4711\" }\n]\n",
        ),
    ];
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

fn checked(root: &Path, further: &[&str]) -> tool::Ran {
    let root = root.to_str().unwrap();
    let words = [&["check", "--ways-in", "--root", root], further].concat();
    run(tool(&words), &[])
}

/// What, who, where.
const ROWS: &str = r#""sudo -i" needs no second factor, although sudo does | users of "sudo -i" | /etc/pam.d/sudo-i
sshd, for "Match User backup": publickey alone is enough to log in | logins that "Match User backup" selects | /etc/ssh/sshd_config:5
sudo does not authenticate users (Defaults:deploy) | users of sudo (Defaults:deploy) | /etc/sudoers:3
sudo does not authenticate %sudo for /usr/bin/apt | %sudo (members: alice, bob) | /etc/sudoers:2
failmode is "safe": during an outage of OneLogin, the first factor alone is enough for SSH logins from 10.20.0.0/16 | ssh logins from 10.20.0.0/16, during an outage | /etc/pam_onelogin/config.toml:1
the user root is exempt | root | /etc/pam_onelogin/config.toml:8
the group robots is exempt | members: backup, deploy | /etc/pam_onelogin/config.toml:9
the group robots is exempt until 2999-01-31: ticket 4711 | members: backup, deploy | /etc/pam_onelogin/config.toml:13
users without a factor set one up at the login | users who have set up no factor at OneLogin, and anyone with their password or key | /etc/pam_onelogin/config.toml:10
cron needs no second factor: jobs that start without a login | users with jobs or services of their own | /etc/pam.d/cron
login needs no second factor: logins at the console | users who pass its first factor | /etc/pam.d/login
su needs no second factor: commands as another user, such as root | users who pass its first factor | /etc/pam.d/su
other services that need no second factor: passwd | users who pass their first factor | /etc/pam.d
sshd accepts a certificate by the CA in /etc/ssh/ca.pub as a key | anyone who can use the private key of this CA | /etc/ssh/sshd_config:6
keys log in as root by ssh: 2 | anyone who can use one of these keys | /root/.ssh/authorized_keys
doas does not authenticate | the group wheel | /etc/doas.conf:1
a rule of polkit allows an action without authentication | users that the rule selects | /etc/polkit-1/rules.d/10-x.rules:2
a console logs in as alice without a password | anyone at the console | /etc/systemd/system/getty@tty1.service.d/x.conf:3
debug-shell.service gives a root shell on a console | anyone at the console | /etc/systemd/system/sysinit.target.wants/debug-shell.service
/usr/bin/ksu gives the rights of another user, and does not use PAM | users that its own rules allow | /usr/bin/ksu
"#;

#[test]
fn each_way_in_is_a_row_with_its_users_and_its_place() {
    let root = machine();
    let ran = checked(root.path(), &["--json"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let document = ran.json();
    assert_documented("check", &document);
    let ways = document["ways"].as_array().unwrap();
    let word = |way: &Value, key: &str| way[key].as_str().unwrap_or_default().to_owned();
    let found: Vec<_> = ways
        .iter()
        .map(|way| {
            let line = way["line"].as_u64().map(|line| format!(":{line}"));
            let place = format!("{}{}", word(way, "path"), line.unwrap_or_default());
            format!("{} | {} | {place}", word(way, "what"), word(way, "who"))
        })
        .collect();
    let (of_files, general) = found.split_at(found.len() - 7);
    assert_eq!(of_files.join("\n") + "\n", ROWS);
    assert!(
        general.iter().all(|row| row.ends_with(" | ")),
        "{general:#?}"
    );
    assert!(ways.iter().all(|way| !word(way, "close").is_empty()));
    let text = checked(root.path(), &[]).out;
    has(
        &text,
        "sudo does not authenticate %sudo for /usr/bin/apt\n  who    %sudo (members: alice, bob)\n  \
         where  /etc/sudoers:2\n  close  remove NOPASSWD, unless only programs use the rule; type: sudo visudo -f /etc/sudoers\n",
    );
    has(
        &text,
        "27 ways in without a second factor. The last 7 exist",
    );
}

#[test]
fn the_help_says_what_goes_with_the_list_and_what_the_exit_status_is() {
    let usage = "\n       pam-onelogin check --ways-in [--offline] [--root DIR]\n";
    let help = run(tool(&["check", "--help"]), &[]);
    has(&help.out, usage);
    has(&help.out, "with --ways-in whatever it lists");
    let root = machine();
    let wrong = checked(root.path(), &["alice"]);
    assert_eq!(wrong.code, 2);
    has(&wrong.err, usage);
    assert!(!wrong.err.contains("--ways-in [USER"), "{}", wrong.err);
    assert_eq!(checked(root.path(), &["--offline"]).code, 0);
}

#[test]
fn where_a_key_is_never_enough_keys_are_no_way_in() {
    let root = machine();
    let settings = "UsePAM yes\nPasswordAuthentication no\nAuthenticationMethods publickey,keyboard-interactive\n\
                    TrustedUserCAKeys /etc/ssh/ca.pub\n";
    fs::write(root.path().join("etc/ssh/sshd_config"), settings).unwrap();
    let text = checked(root.path(), &[]).out;
    assert!(
        !text.contains("ca.pub") && !text.contains("keys log in"),
        "{text}"
    );
    // Without the stack they are.
    fs::write(
        root.path().join("etc/pam.d/sshd"),
        "auth required pam_unix.so\n",
    )
    .unwrap();
    let text = checked(root.path(), &[]).out;
    has(&text, "sshd needs no second factor: ssh logins");
    has(
        &text,
        "close  type: sudo pam-onelogin enable sshd --behind key --try 5m\n",
    );
    has(&text, "the CA in /etc/ssh/ca.pub");
    has(&text, "keys log in as root by ssh: 2");
}

#[test]
fn a_complete_break_glass_account_is_listed_with_its_certificate_and_its_sudo_rule() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/machines/break-glass");
    let words = ["check", "--ways-in", "--root", root.to_str().unwrap()];
    let ran = run(tool(&words), &[]);
    for text in [
        "break-glass account breakglass: a certificate is enough to log in by SSH\n  who    users with a certificate for breakglass\n",
        "sudo does not authenticate breakglass for ALL: the break-glass account\n  who    breakglass\n  where  /etc/sudoers.d/break-glass:1\n",
    ] {
        has(&ran.out, text);
    }
}
