//! `pam-onelogin check --offline` over small machines in tests/machines, each with the text that is expected of it.
//! `UPDATE=1` writes the texts anew; read them before they are committed.

mod tool;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
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
                    pam_host::place::set_mode(&to, 0o600);
                }
            }
        }
    }
}
