//! `pam-onelogin check --offline` over small machines in tests/machines, each with the text that is expected of it.
//! `UPDATE=1` writes the texts anew; read them before they are committed.

mod tool;

use pam_host::place::binary;
use pam_host::place::set_mode;
use pam_onelogin_tool::pam_stack::{
    self, AUTH_ERR, Code, Control, Entry, FOLDERS, IGNORE, Kind, SUCCESS,
};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use tool::{Ran, assert_documented, has, run, tool};

#[test]
fn each_machine_is_told_what_is_wrong_with_it_and_a_right_one_nothing() {
    let mut broken = 0;
    let mut wrong = Vec::new();
    for folder in machines() {
        let name = folder.file_name().unwrap().to_str().unwrap();
        let ran = check(&folder, &["--verbose"]);
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
    ran.out.contains("note ") && ran.out.contains("\nNo faults. Next")
}

/// An admin who does what is said, word for word, and asks again.
#[test]
fn what_to_write_into_a_stack_mends_it_when_it_is_written_to_the_letter() {
    let mut followed = 0;
    for folder in machines() {
        let name = folder.file_name().unwrap().to_str().unwrap();
        let root = copied(&folder);
        let mut before = findings(root.path());
        for _ in 0..12 {
            let mut told = before.iter();
            let Some(finding) = told.find(|finding| follow(root.path(), finding)) else {
                break;
            };
            followed += 1;
            let after = findings(root.path());
            // A finding that several services share stays for those that were not mended yet.
            let services = |findings: &[Value]| {
                let same = findings.iter().filter(|other| is_same(finding, other));
                same.map(|same| what(same).0.split(", ").count())
                    .sum::<usize>()
            };
            let said = format!("{name}: {finding:#}\n{after:#?}");
            assert!(services(&after) < services(&before), "{said}");
            for new in after.iter().filter(|found| found["severity"] == "fault") {
                assert!(
                    before.iter().any(|old| is_same(old, new)),
                    "new {new:#}: {said}"
                );
            }
            assert!(
                !after.iter().any(|found| found["id"] == "not-used"),
                "{said}"
            );
            before = after;
        }
        let left = before.iter().find(|finding| follow(root.path(), finding));
        assert!(left.is_none(), "{name}: {left:#?}");
    }
    assert!(followed > 30, "{followed}");
}

/// Each advice that can be followed to the letter, followed: with each choice of answers of the
/// modules, what the stack denied before it denies after. OneLogin accepts in both, and its line is
/// as it is, or required.
#[test]
fn what_to_write_into_a_stack_lets_in_nobody_who_was_denied() {
    let mut compared = 0;
    for folder in machines() {
        let name = folder.file_name().unwrap().to_str().unwrap();
        let root = copied(&folder);
        for _ in 0..12 {
            let before = services(root.path());
            let told = findings(root.path());
            let mut told = told.iter();
            let Some(finding) = told.find(|finding| follow(root.path(), finding)) else {
                break;
            };
            // A line that libpam cannot use, or whose module is missing, denies all.
            let broken = ["control", "line", "module-missing", "stack-unreadable"];
            if broken.contains(&finding["id"].as_str().unwrap()) {
                continue;
            }
            for (service, old) in before {
                let new = chain(root.path(), &service);
                if old != new {
                    compared += 1;
                    let opened = opened(&old, &new);
                    assert_eq!(opened, None, "{name}: {service}: {finding:#}");
                }
            }
        }
    }
    assert!(compared > 30, "{compared}");
}

/// The chains of the services of a machine.
fn services(root: &Path) -> Vec<(String, Vec<Entry>)> {
    let mut names = BTreeSet::new();
    for folder in FOLDERS {
        for entry in fs::read_dir(root.join(&folder[1..])).into_iter().flatten() {
            names.insert(entry.unwrap().file_name().into_string().unwrap());
        }
    }
    let names = names.into_iter();
    names
        .map(|name| (name.clone(), chain(root, &name)))
        .collect()
}

/// The lines for auth of a service.
fn chain(root: &Path, name: &str) -> Vec<Entry> {
    let files = |path: &Path| fs::read_to_string(real(root, path.to_str()?)).ok();
    pam_stack::read(name, &files).chain(Kind::Auth).to_vec()
}

/// Answers with which a chain denied before a change and accepts after it.
fn opened(old: &[Entry], new: &[Entry]) -> Option<Vec<(String, Code)>> {
    let mut required = old.to_vec();
    for entry in required.iter_mut().filter(|entry| entry.is("pam_onelogin")) {
        entry.control = Control::parse("required").0;
    }
    let asked: BTreeSet<String> = old.iter().chain(new).filter_map(question).collect();
    let asked: Vec<String> = asked.into_iter().collect();
    let codes = [SUCCESS, AUTH_ERR, IGNORE];
    for choice in 0..codes.len().pow(u32::try_from(asked.len()).unwrap()) {
        let mut answers = Vec::new();
        let mut rest = choice;
        for question in &asked {
            answers.push((question.clone(), codes[rest % codes.len()]));
            rest /= codes.len();
        }
        // A right or a wrong password: without one of the words for that it is no PAM_IGNORE.
        let is_password = |question: &str| !question.contains(' ') && PASSWORDS.contains(&question);
        let mut pairs = answers.iter();
        if pairs.any(|(question, code)| *code == IGNORE && is_password(question)) {
            continue;
        }
        let accepts = |chain: &[Entry]| {
            let code = |index: usize| match question(&chain[index]) {
                Some(asked) => answers.iter().find(|(one, _)| *one == asked).unwrap().1,
                None => always(&chain[index]),
            };
            pam_stack::authenticate(chain, code).0 == SUCCESS
        };
        if accepts(new) && !accepts(old) && !accepts(&required) {
            return Some(answers);
        }
    }
    None
}

/// What a line asks; `None`: it always answers the same.
fn question(entry: &Entry) -> Option<String> {
    let module = entry.module()?;
    let has = |word: &str| entry.arguments().iter().any(|argument| argument == word);
    if ["pam_onelogin.so", "pam_permit.so", "pam_deny.so"].contains(&module)
        || has("authsucc")
        || has("authfail")
    {
        return None;
    }
    if PASSWORDS.contains(&module) {
        return Some(module.to_owned());
    }
    Some(format!("{module} {}", entry.arguments().join(" ")))
}

/// What such a line answers.
fn always(entry: &Entry) -> Code {
    let is_denial = entry.module() == Some("pam_deny.so")
        || entry.arguments().iter().any(|word| word == "authfail");
    if is_denial { AUTH_ERR } else { SUCCESS }
}

/// Modules that check a password.
const PASSWORDS: [&str; 4] = ["pam_unix.so", "pam_sss.so", "pam_ldap.so", "pam_krb5.so"];

/// What is bad on a machine.
fn findings(root: &Path) -> Vec<Value> {
    let document = check_at(root, &["--json"]).json();
    let findings = document["findings"].as_array().unwrap().iter();
    let bad = findings.filter(|finding| finding["severity"] != "good");
    bad.cloned().collect()
}

/// The services of a finding, and what it says of them.
fn what(finding: &Value) -> (&str, &str) {
    let what = finding["what"].as_str().unwrap();
    what.split_once(": ").unwrap_or(("", what))
}

fn is_same(one: &Value, other: &Value) -> bool {
    (&one["id"], what(one).1) == (&other["id"], what(other).1)
}

/// Does what a finding says is to be done in a stack; whether it says such a thing.
fn follow(root: &Path, finding: &Value) -> bool {
    let advice = finding["advice"].as_str().unwrap_or_default();
    let (advice, _) = advice
        .split_once("; sudo does not work until then")
        .unwrap_or((advice, ""));
    let is_for_auth = "replace every auth line, and every line that includes auth lines, with: ";
    let quoted = |text: &str| -> Vec<String> {
        let parts = text.split('"').skip(1).step_by(2);
        parts.map(str::to_owned).collect()
    };
    if let Some((path, lines)) = advice.split_once(is_for_auth) {
        let path = path.strip_prefix("in ").unwrap().trim_end_matches(", ");
        let file = real(root, path);
        let text = fs::read_to_string(&file).unwrap();
        let (lines, _) = lines.split_once("; ").unwrap_or((lines, ""));
        let mut new = quoted(lines);
        let is_other = |line: &&str| {
            let word = line.split_whitespace().next().unwrap_or_default();
            let is_include = line.starts_with("@include") && line.ends_with("-auth");
            !(is_include || word.trim_start_matches('-').eq_ignore_ascii_case("auth"))
        };
        new.extend(text.lines().filter(is_other).map(str::to_owned));
        fs::write(file, new.join("\n") + "\n").unwrap();
        return true;
    }
    let lines = quoted(advice);
    let is_out = advice.ends_with("remove the line") && finding["id"] != "wrong-type";
    let new: Vec<&str> = match lines.first() {
        Some(new) if advice.starts_with("replace the line with, without the quotes: ") => vec![new],
        Some(new) if advice.starts_with("add after the line: ") => vec!["@", new],
        Some(new) if advice.starts_with("add before the line: ") => vec![new, "@"],
        _ if is_out => vec![],
        _ => return false,
    };
    let path = finding["path"].as_str().unwrap();
    let number = usize::try_from(finding["line"].as_u64().unwrap()).unwrap();
    if !path.contains("pam") {
        return false;
    }
    let file = real(root, path);
    let text = fs::read_to_string(&file).unwrap();
    let mut out = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if index + 1 == number {
            out.extend(new.iter().map(|new| if *new == "@" { line } else { new }));
        } else {
            out.push(line);
        }
    }
    fs::write(file, out.join("\n") + "\n").unwrap();
    true
}

/// A file of a machine, also behind a link to another place on it.
fn real(root: &Path, path: &str) -> PathBuf {
    let file = root.join(path.trim_start_matches('/'));
    match fs::read_link(&file) {
        Ok(target) => root.join(target.strip_prefix("/").unwrap()),
        Err(_) => file,
    }
}

#[test]
fn machines_get_the_same_findings_in_one_document() {
    for folder in machines() {
        let text = check(&folder, &["--verbose"]);
        let ran = check(&folder, &["--json"]);
        let document = ran.json();
        assert_documented("check", &document);
        assert_eq!(ran.code, text.code);
        let findings = document["findings"].as_array().unwrap();
        let (faults, warnings) = (&document["faults"], &document["warnings"]);
        let begin = match faults.as_u64() {
            Some(0) => "No faults".to_owned(),
            _ => format!("{faults} fault"),
        };
        assert!(text.out.lines().last().unwrap().starts_with(&begin));
        let mut counted = (0, 0);
        for finding in findings {
            let what = finding["what"].as_str().unwrap();
            assert!(text.out.contains(what), "{what}");
            assert!(!finding["id"].as_str().unwrap().contains(' '), "{finding}");
            match finding["severity"].as_str().unwrap() {
                "fault" => counted.0 += 1,
                "warning" => counted.1 += 1,
                "note" | "good" => continue,
                other => panic!("{other}"),
            }
            assert!(finding["advice"].is_string(), "what to do: {finding:#}");
            assert!(finding["why"].is_string(), "why: {finding:#}");
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
    for further in [&["--verbose"] as &[&str], &["--json"]] {
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
    // Another process writes it: a child that another test starts at this moment would keep it open.
    let mut copy = Command::new("cp");
    assert!(
        copy.args([&binary("pam-onelogin"), &tool_file])
            .status()
            .unwrap()
            .success()
    );
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
        let said = format!("not checked: only root may read this file\n         where  {path}\n");
        assert!(ran.out.contains(&said), "{path}: {}", ran.out);
    }
    let last = ran.out.lines().last().unwrap();
    assert!(last.starts_with("No faults, 3 warnings. Next"), "{last}");
    for part in [
        "su:",
        "UsePAM",
        "does not ask again",
        "sshd accepts no login",
    ] {
        assert!(!ran.out.contains(part), "{part}: {}", ran.out);
    }
}

#[test]
fn without_options_only_what_is_wrong_is_shown_and_one_line_with_the_next_command() {
    let folder = |name: &str| {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/machines")
            .join(name)
    };
    let right = check(&folder("right-debian-key"), &[]);
    let line = "No faults. Next, on that system: sudo pam-onelogin check\n";
    assert_eq!((right.code, right.out.as_str()), (0, line));
    let quiet = check(&folder("right-debian-key"), &["--quiet"]);
    assert_eq!((quiet.code, quiet.out.as_str()), (0, ""));
    let verbose = check(&folder("right-debian-key"), &["-v"]);
    assert!(verbose.out.contains("\ngood ") && verbose.out.contains("note "));
    assert!(verbose.out.ends_with(line), "{}", verbose.out);

    let machine = folder("sudo-without-sudo-i");
    let wrong = check(&machine, &[]);
    let (found, line) = wrong.out.trim_end().rsplit_once('\n').unwrap();
    assert!(found.starts_with("FAULT "), "{found}");
    assert!(
        !found.contains("\ngood ") && !found.contains("\nnote "),
        "{found}"
    );
    assert_eq!(line, "1 fault. Next: correct the faults, then check again.");
    let quiet = check(&machine, &["-q"]);
    assert_eq!((quiet.code, quiet.out.trim_end()), (1, found));
}

#[test]
fn a_word_is_the_service_of_this_name_or_else_a_user() {
    let folder = |name: &str| {
        let machines = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/machines");
        machines.join(name)
    };
    // Its sudo has a fault; its sshd is not part of this.
    let machine = folder("sudo-without-sudo-i");
    let sudo = check(&machine, &["sudo"]);
    assert_eq!(sudo.code, 1);
    has(&sudo.out, "\"sudo -i\" needs no second factor");
    let sshd = check(&machine, &["sshd", "--json"]).json();
    let findings = sshd["findings"].as_array().unwrap();
    assert!(
        findings
            .iter()
            .all(|found| !found["what"].as_str().unwrap().contains("sudo")),
        "{findings:#?}"
    );
    // The stack is there, but does not name the module.
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("etc/pam.d")).unwrap();
    fs::write(
        root.path().join("etc/pam.d/sshd"),
        "auth required pam_unix.so\n",
    )
    .unwrap();
    let ran = check_at(root.path(), &["sshd"]);
    assert_eq!(ran.code, 1, "{}", ran.out);
    has(&ran.out, "warning  sshd does not call pam_onelogin");
    has(
        &ran.out,
        "do     type: sudo pam-onelogin enable sshd --behind key --try 5m\n",
    );
    // No service has this name.
    let ran = check_at(root.path(), &["alice"]);
    assert_eq!(ran.code, 0, "{}", ran.out);
}

#[test]
fn a_system_where_no_stack_names_the_module_has_no_fault() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("etc/pam.d")).unwrap();
    fs::write(
        root.path().join("etc/pam.d/sudo"),
        "auth required pam_unix.so\n",
    )
    .unwrap();
    let ran = check_at(root.path(), &["-v"]);
    assert_eq!(ran.code, 0, "{}", ran.out);
    has(&ran.out, "note     no stack calls pam_onelogin");
    has(
        &ran.out,
        "do     type: sudo pam-onelogin enable sshd --behind key --try 5m;",
    );
}

#[test]
fn the_first_factor_to_enable_sshd_with_is_the_one_that_its_settings_show() {
    let root = tempfile::tempdir().unwrap();
    for folder in ["etc/pam.d", "etc/ssh"] {
        fs::create_dir_all(root.path().join(folder)).unwrap();
    }
    let stack = "auth required pam_unix.so\n";
    fs::write(root.path().join("etc/pam.d/sshd"), stack).unwrap();
    for (settings, factor) in [
        ("UsePAM yes\nKbdInteractiveAuthentication no\n", "password"),
        (
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\n",
            "key",
        ),
        ("AuthenticationMethods publickey,password\n", "key"),
        ("AuthenticationMethods keyboard-interactive\n", "password"),
    ] {
        fs::write(root.path().join("etc/ssh/sshd_config"), settings).unwrap();
        let command = format!("type: sudo pam-onelogin enable sshd --behind {factor} --try 5m");
        for words in [&["-v"][..], &["sshd"]] {
            has(&check_at(root.path(), words).out, &command);
        }
    }
}

#[test]
fn a_user_who_has_a_key_is_not_told_to_log_in_by_password() {
    let root = tempfile::tempdir().unwrap();
    for folder in [
        "etc/pam.d",
        "etc/ssh",
        "home/alice/.ssh",
        "home/bob/.ssh",
        "keys",
    ] {
        fs::create_dir_all(root.path().join(folder)).unwrap();
    }
    let passwd = "alice:x:1000:1000::/home/alice:/bin/sh\nbob:x:1001:1001::/home/bob:/bin/sh\n";
    for (path, text) in [
        ("etc/passwd", passwd),
        ("etc/pam.d/sshd", "auth required pam_unix.so\n"),
        ("home/alice/.ssh/authorized_keys", "ssh-ed25519 A\n"),
        ("home/bob/.ssh/authorized_keys", "# none yet\n"),
        ("keys/bob", "ssh-ed25519 B\n"),
    ] {
        fs::write(root.path().join(path), text).unwrap();
    }
    let stock = "UsePAM yes\nKbdInteractiveAuthentication no\n";
    let elsewhere = format!("{stock}AuthorizedKeysFile /keys/%u\n");
    let by_methods = "UsePAM yes\nAuthenticationMethods keyboard-interactive\n";
    for (settings, user, factor) in [
        (stock, "alice", "key"),
        (stock, "bob", "password"),
        (stock, "carol", "password"),
        (&elsewhere, "alice", "password"),
        (&elsewhere, "bob", "key"),
        (by_methods, "alice", "password"),
    ] {
        fs::write(root.path().join("etc/ssh/sshd_config"), settings).unwrap();
        let ran = check_at(root.path(), &["-v", "--user", user]);
        let command = format!("type: sudo pam-onelogin enable sshd --behind {factor} --try 5m");
        has(&ran.out, &command);
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
    has(&ran.err, "--root: this folder contains no system");
}

/// An ordinary user.
const NOBODY: u32 = 65534;

/// Their names may come from a directory that calls users by their address.
#[test]
fn a_host_whose_users_have_addresses_for_names_may_look_them_up_by_address() {
    let machine = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/machines/failmode-safe");
    let root = copied(&machine);
    let write = |path: &str, text: &str| {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let config = "etc/pam_onelogin/config.toml";
    let text = fs::read_to_string(root.path().join(config)).unwrap();
    let is_warned = || {
        let found = findings(root.path());
        found
            .iter()
            .any(|found| found["id"] == "match-without-domain")
    };
    assert!(!is_warned());
    write(config, &format!("users.match = \"email\"\n{text}"));
    assert!(is_warned());
    write(
        "etc/sssd/sssd.conf",
        "[domain/x]\nuse_fully_qualified_names = False\n",
    );
    assert!(is_warned());
    write(
        "etc/sssd/sssd.conf",
        "[domain/x]\nuse_fully_qualified_names = True\n",
    );
    assert!(!is_warned());
    write("etc/sssd/sssd.conf", "");
    write("etc/passwd", "alice@example.com:x:1000:1000::/:/bin/sh\n");
    assert!(!is_warned());
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
    check_at(copied(machine).path(), further)
}

fn check_at(root: &Path, further: &[&str]) -> Ran {
    let root = root.to_str().unwrap();
    let words = [&["check", "--offline", "--root", root], further].concat();
    run(tool(&words), &[])
}

fn copied(machine: &Path) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for name in ["etc", "usr", "var"] {
        let from = machine.join(name);
        if from.exists() {
            copy(&from, &root.path().join(name));
        }
    }
    root
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
