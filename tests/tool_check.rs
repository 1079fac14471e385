//! `pam-onelogin check --offline` over small machines in tests/machines, each with the text that is expected of it.
//! `UPDATE=1` writes the texts anew; read them before they are committed.

mod tool;

use pam_host::place::set_mode;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use tool::{Ran, assert_documented, run, tool};

#[test]
fn each_machine_is_told_what_is_wrong_with_it_and_a_right_one_nothing() {
    let mut broken = 0;
    let mut wrong = Vec::new();
    for folder in machines() {
        let name = folder.file_name().unwrap().to_str().unwrap();
        let ran = check(&folder, &[]);
        assert_eq!(ran.err, "", "{name}");
        let is_right = name.starts_with("right-");
        assert_eq!(
            ran.code == 0,
            is_right || is_noted(&ran),
            "{name}: {}",
            ran.out
        );
        broken += u32::from(ran.code == 1);
        let file = folder.join("expected.txt");
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&file, &ran.out).unwrap();
        }
        let expected = fs::read_to_string(&file).unwrap_or_default();
        if ran.out != expected {
            wrong.push(format!("== {name}\n{}", ran.out));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(broken >= 30, "{broken}");
}

/// Whether it is about something worth knowing, and nothing else.
fn is_noted(ran: &Ran) -> bool {
    ran.out.contains("note ") && ran.out.ends_with("\n0 faults, 0 warnings.\n")
}

#[test]
fn machines_get_the_same_findings_in_one_document() {
    for folder in machines() {
        let text = check(&folder, &[]);
        let ran = check(&folder, &["--json"]);
        let document = ran.json();
        assert_documented("check", &document);
        assert_eq!(ran.code, text.code);
        let findings = document["findings"].as_array().unwrap();
        let (faults, warnings) = (&document["faults"], &document["warnings"]);
        let end = format!(" {faults} fault");
        assert!(format!(" {}", text.out.lines().last().unwrap()).starts_with(&end));
        let mut counted = (0, 0);
        for finding in findings {
            let what = finding["what"].as_str().unwrap();
            assert!(text.out.contains(what), "{what}");
            assert!(!finding["id"].as_str().unwrap().contains(' '), "{finding}");
            match finding["severity"].as_str().unwrap() {
                "fault" => counted.0 += 1,
                "warning" => counted.1 += 1,
                "note" | "good" => {}
                other => panic!("{other}"),
            }
        }
        assert_eq!((faults, warnings), (&counted.0.into(), &counted.1.into()));
    }
}

#[test]
fn r10_what_stands_in_a_stack_moves_no_cursor() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("etc/pam.d");
    fs::create_dir_all(&folder).unwrap();
    let text = "auth required pam_onelogin.so \u{1b}[2Jx\nauth [\u{202e}] \u{1b}[2J.so\n";
    fs::write(folder.join("su\u{1b}[2k"), text).unwrap();
    for name in ["sudo", "sshd"] {
        fs::write(folder.join(name), "auth required pam_onelogin.so\n").unwrap();
    }
    let rules = "Defaults:a\u{1b}[2Jx !authenticate\n\u{1b}[2Jx ALL=NOPASSWD: \u{1b}[2J\u{202e}\n";
    fs::write(root.path().join("etc/sudoers"), rules).unwrap();
    fs::create_dir(root.path().join("etc/ssh")).unwrap();
    let sshd = "UsePAM yes\nAuthenticationMethods \u{1b}[2J\u{202e}\nMatch user \u{1b}[2Jx\n\
                AuthenticationMethods publickey\nInclude \u{1b}[2J*\nPAMServiceName \u{1b}[2J\n";
    fs::write(root.path().join("etc/ssh/sshd_config"), sshd).unwrap();
    for further in [&[] as &[&str], &["--json"]] {
        let root = root.path().to_str().unwrap();
        let words = [&["check", "--offline", "--root", root], further].concat();
        let ran = run(tool(&words), &[]);
        assert_eq!(ran.code, 1);
        assert!(ran.out.contains("[2Jx"), "{}", ran.out);
        let is_plain = |c: char| c == '\n' || !(c.is_control() || c == '\u{202e}');
        assert!(
            ran.out.chars().all(is_plain) && !ran.out.contains("\\u"),
            "{}",
            ran.out
        );
    }
}

#[test]
fn who_may_not_read_a_file_is_told_so_and_hears_nothing_good_of_it() {
    let root = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str, mode| {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        set_mode(&path, mode);
    };
    let stack = "auth requisite pam_unix.so\nauth required pam_onelogin.so\n";
    // Of somebody else, or of nobody.
    let is_root = nix::unistd::geteuid().is_root();
    let mode = if is_root { 0o600 } else { 0o000 };
    write("etc/pam.d/sudo", stack, 0o644);
    write("etc/pam.d/sshd", stack, 0o644);
    write("etc/pam.d/su", stack, mode);
    write("etc/ssh/sshd_config", "Include d/*\nUsePAM no\n", 0o644);
    write("etc/ssh/d/cloud", "UsePAM yes\n", mode);
    write("etc/sudoers", "Defaults !authenticate\n", mode);
    let tool_file = root.path().join("tool");
    fs::copy(env!("CARGO_BIN_EXE_pam-onelogin"), &tool_file).unwrap();
    set_mode(&tool_file, 0o755);
    set_mode(root.path(), 0o755);
    let mut command = Command::new(&tool_file);
    command.env_clear().args(["check", "--offline", "--root"]);
    command.arg(root.path());
    if is_root {
        command.uid(NOBODY).gid(NOBODY);
    }
    let ran = run(command, &[]);
    assert_eq!(ran.code, 1);
    for path in ["/etc/pam.d/su", "/etc/ssh/d/cloud", "/etc/sudoers"] {
        let said = format!("not looked at: only root may read it\n         where  {path}\n");
        assert!(ran.out.contains(&said), "{path}: {}", ran.out);
    }
    assert!(
        ran.out.ends_with("\n0 faults, 3 warnings.\n"),
        "{}",
        ran.out
    );
    for part in ["su:", "UsePAM", "does not ask again", "sshd lets nobody in"] {
        assert!(!ran.out.contains(part), "{part}: {}", ran.out);
    }
}

#[test]
fn a_folder_that_is_no_machine_is_said_to_be_none() {
    let root = tempfile::tempdir().unwrap();
    let ran = run(
        tool(&["check", "--root", root.path().to_str().unwrap()]),
        &[],
    );
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert!(
        ran.err.contains("--root: there is no machine"),
        "{}",
        ran.err
    );
}

/// An ordinary user.
const NOBODY: u32 = 65534;

/// The machines, in order.
fn machines() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/machines");
    let entries = fs::read_dir(folder).unwrap();
    let mut machines: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    machines.sort();
    machines
}

/// Runs it over a copy, with the modes that a machine has.
fn check(machine: &Path, further: &[&str]) -> Ran {
    let root = tempfile::tempdir().unwrap();
    for name in ["etc", "usr"] {
        let from = machine.join(name);
        if from.exists() {
            copy(&from, &root.path().join(name));
        }
    }
    let root = root.path().to_str().unwrap();
    let words = [&["check", "--offline", "--root", root], further].concat();
    run(tool(&words), &[])
}

/// Copies a folder. A link to a place on the machine stays one; a sample of a stack is copied.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        match fs::read_link(&from) {
            Ok(target) if target.is_absolute() => symlink(target, to).unwrap(),
            _ if from.is_dir() => copy(&from, &to),
            _ => {
                fs::write(&to, fs::read(&from).unwrap()).unwrap();
                if to.ends_with("etc/pam_onelogin/config.toml") {
                    set_mode(&to, 0o600);
                }
            }
        }
    }
}
