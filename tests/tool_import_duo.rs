//! `pam-onelogin import-duo`: Duo's configuration becomes ours, without its secrets.

mod tool;

use pam_onelogin::config::{Config, FailMode, parse};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;
use tool::{Ran, assert_documented, has, run, tool};

/// Duo's keys, in the form that they have.
const IKEY: &str = "DIXXXXXXXXXXXXXXXXXX";
const SKEY: &str = "deadbeefdeadbeefdeadbeefdeadbeefdeadbeef";

/// The file that Duo's package installs, and each option that it knows.
const EVERYTHING: &str = "[duo]
; Duo integration key
ikey = DIXXXXXXXXXXXXXXXXXX
skey=deadbeefdeadbeefdeadbeefdeadbeefdeadbeef
host = api-xxxxxxxx.duosecurity.com
cafile = /etc/ssl/duo.pem
http_proxy = http://user:proxy-password@proxy.example.com:3128
groups = users,!wheel  admin* ; those only
  domain\\ users,!domain\\ g*
failmode = secure
pushinfo = yes
autopush = yes
prompts = 2
accept_env_factor = yes
fallback_local_ip = yes
https_timeout = 90
send_gecos = yes
gecos_parsed = yes
gecos_delim = /
gecos_username_pos = 2
motd = yes
verified_push = yes
noverify = no
dev_fips_mode = no
";

#[test]
fn each_option_becomes_ours_or_is_named_with_its_line_and_the_result_is_read() {
    let import = Import::of(EVERYTHING);
    assert_eq!(import.ran.code, 0, "{}", import.ran.err);
    let config = import.filled_in();
    assert!(config.factors.autopush);
    assert_eq!(config.factors.prompts, 2);
    assert_eq!(config.onelogin.request_timeout, Duration::from_secs(55));
    assert!(config.failmode == FailMode::Secure);
    let proxy = config.onelogin.http_proxy.as_ref().unwrap();
    assert_eq!(
        (proxy.host.as_str(), proxy.port),
        ("proxy.example.com", 3128)
    );
    assert!(proxy.credential.is_none());
    has(&import.ran.err, ":7: the user and password of the proxy");
    assert_eq!(config.users.groups.as_ref().map(Vec::len), Some(3));
    let groups = "groups = [\"users,!wheel\", \"admin*\", \"domain users,!domain?g*\"]";
    assert_eq!(import.below(8), Some(groups), "{}", import.ran.out);
    // Each line of an option stands somewhere in the result.
    for (number, line) in (1..).zip(EVERYTHING.lines()) {
        let is_option = line.contains('=');
        let place = format!("{}:{number}", import.file().display());
        let places = import.ran.out.lines();
        let stands = places.filter(|line| {
            line.split(' ')
                .any(|word| word.trim_end_matches(':') == place)
        });
        assert_eq!(
            stands.count(),
            usize::from(is_option),
            "{place}: {}",
            import.ran.out
        );
    }
}

#[test]
fn r11_neither_keys_nor_secrets_nor_the_password_of_a_proxy_are_copied_or_shown() {
    for words in [&[] as &[&str], &["--json"]] {
        let import = Import::with(EVERYTHING, words);
        let all = format!("{}{}", import.ran.out, import.ran.err);
        for secret in [IKEY, SKEY, "proxy-password"] {
            assert!(!all.contains(secret), "{all}");
        }
    }
    // Nor where they stand in a line that cannot be read.
    for text in [
        format!("[duo]\nskey {SKEY}\n"),
        format!("[duo]\n{SKEY}=\n"),
        format!("[duo]\nskey = {SKEY}{}\n", "x".repeat(200)),
        format!("[duo\n{SKEY}"),
        format!("[duo]\ngroups = users\n  skey = {SKEY}\n"),
    ] {
        let ran = Import::of(&text).ran;
        assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{text}");
        assert!(!ran.err.contains(SKEY), "{}", ran.err);
    }
}

#[test]
fn that_the_default_of_failmode_is_another_is_said_loudly() {
    let import = Import::of("[duo]\nautopush = no\n");
    assert!(import.filled_in().failmode == FailMode::Secure);
    has(&import.ran.out, "# NOT AS WITH DUO: ");
    has(&import.ran.err, "pam_onelogin does NOT");

    let import = Import::of("[duo]\nfailmode = secure\n");
    assert!(!import.ran.err.contains("failmode"), "{}", import.ran.err);
    assert!(
        !import.ran.out.contains("failmode_from"),
        "{}",
        import.ran.out
    );
}

#[test]
fn r19_failmode_safe_becomes_secure_with_the_two_lines_that_safe_needs_beside_it() {
    for text in ["[duo]\nfailmode = safe\n", "[duo]\nautopush = no\n"] {
        let import = Import::of(text);
        assert_eq!(import.ran.code, 0, "{}", import.ran.err);
        let config = import.filled_in();
        assert!(config.failmode == FailMode::Secure && config.failmode_from.is_empty());

        // An admin who wants it writes the two lines in place of ours.
        let safe = "# failmode = \"safe\"\n# failmode_from = [\"192.0.2.0/24\"]\n";
        let instead = safe.replace("# ", "");
        let ours = format!("{safe}failmode = \"secure\"\n");
        assert_eq!(
            import.ran.out.matches(&ours).count(),
            1,
            "{}",
            import.ran.out
        );
        let config = filled_in(&import.ran.out.replace(&ours, &instead));
        assert!(config.failmode == FailMode::Safe);
        let networks: Vec<String> = config
            .failmode_from
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(networks, ["192.0.2.0/24"]);

        // Both places say what it needs.
        let needs = "the networks that";
        for said in [
            &import.ran.out.replace("\n# ", " "),
            import.ran.err.as_str(),
        ] {
            assert!(
                said.contains(needs) && said.contains("SSH logins"),
                "{said}"
            );
        }
        for line in [safe, &import.ran.err] {
            assert!(line.contains("failmode_from = ["), "{line}");
        }
        has(&import.ran.err, "\"safe\" never applies to sudo and su");
    }
    let said = ":2: NOT AS WITH DUO: \"safe\" needs networks here";
    let out = Import::of("[duo]\nfailmode = safe\n").ran.out;
    assert!(out.contains(said), "{out}");
    let document = Import::with("[duo]\nfailmode = safe\n", &["--json"])
        .ran
        .json();
    assert_eq!(document["lines"][0]["becomes"], "failmode = \"secure\"");
}

#[test]
fn what_duo_reads_in_a_way_of_its_own_is_read_that_way() {
    // The last one holds; of prompts the smallest, from 1 to 3; all but four words are no.
    let text = "prompts = 9\nprompts = 2\nprompts = 3\nautopush = yes\nautopush = Yes\nhttps_timeout = 0\nfailmode = safe\nfailmode = secure\n";
    let config = Import::of(text).filled_in();
    assert_eq!(config.factors.prompts, 2);
    assert!(!config.factors.autopush);
    assert_eq!(config.onelogin.request_timeout, Duration::from_secs(10));
    assert!(config.failmode == FailMode::Secure);
    assert_eq!(Import::of("prompts = -4\n").filled_in().factors.prompts, 1);
}

#[test]
fn files_as_they_are_found_are_read() {
    let windows = "\u{feff}; Duo\r\n[duo]\r\nhost = api-x.duosecurity.com\r\n\r\nfailmode = secure \r\ngroups = staff\r\n  admins\r\n";
    let import = Import::of(windows);
    let config = import.filled_in();
    assert!(config.failmode == FailMode::Secure, "{}", import.ran.out);
    assert_eq!(config.users.groups.as_ref().map(Vec::len), Some(2));
    assert!(!import.ran.out.contains('\r'));

    // Comments of another age; sections that somebody has appended, whose names mean nothing.
    let appended = b"; f\xfcr alle\n  ; indented\n[duo]\nautopush = no\n[other]\nprompts = 2\n[duo]\nautopush = yes\n";
    let config = Import::of(appended).filled_in();
    assert!(config.factors.autopush && config.factors.prompts == 2);

    // login_duo's, as its package leaves it: nothing is filled in.
    let package = "[duo]\n; Duo API host\nhost = \n\n; keys\nikey = \nskey = \n\n; failmode = secure\n;     denies\nfailmode = safe\n\n;pushinfo = yes\nmotd = no\n";
    assert!(Import::of(package).filled_in().failmode == FailMode::Secure);
}

#[test]
fn what_follows_is_said_for_groups_and_stacks() {
    let import = Import::of("[duo]\ngroups = staff\n");
    has(&import.ran.out, "a group that does not exist denies");
    let stacks = "remove pam_duo.so from the stacks";
    assert!(import.ran.err.contains(stacks), "{}", import.ran.err);
}

#[test]
fn a_list_of_groups_that_would_exempt_everybody_is_left_to_the_admin() {
    let import = Import::of("[duo]\ngroups = !wheel users\n");
    let config = import.filled_in();
    assert_eq!(config.users.groups.as_ref().map(Vec::len), Some(1));
    assert!(
        import
            .ran
            .err
            .contains(":2: groups: \"!wheel\" only excludes groups"),
        "{}",
        import.ran.err
    );
}

#[test]
fn what_cannot_be_read_is_a_fault_with_its_line_and_nothing_is_written() {
    for (text, faults) in [
        (
            "[duo]\nfailmode = open\n",
            &[":2: failmode must be"] as &[&str],
        ),
        (
            "ikey\n\n[duo\n",
            &[":1: has no \"=\"", ":3: has \"[\" without"],
        ),
        (
            "prompts = many\nhttps_timeout = 5s\n",
            &[":1: prompts must be", ":2: https_timeout must be"],
        ),
        ("autopsh = yes\n", &[":1: \"autopsh\" is not an option"]),
        (
            "[duo]\nfailmode = safe\n  ; or not\n  autopush = yes\n",
            &[":3: begins with white space", ":4: begins with white space"],
        ),
        ("\u{1b}[2J = yes\n", &[":1: this is not an option"]),
    ] {
        let output = tempfile::tempdir().unwrap();
        let output = output.path().join("config.toml");
        let import = Import::with(text, &["-o", output.to_str().unwrap()]);
        assert_eq!(
            (import.ran.code, import.ran.out.as_str()),
            (1, ""),
            "{text}"
        );
        for fault in faults {
            let fault = format!("{}{fault}", import.file().display());
            has(&import.ran.err, &fault);
        }
        assert!(!import.ran.err.contains('\u{1b}') && !output.exists());
    }
    let ran = run(tool(&["import-duo", "/no/such/file"]), &[]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert!(ran.err.contains("/no/such/file: "), "{}", ran.err);
}

#[test]
fn the_result_goes_into_a_new_private_file_and_never_over_another() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("config.toml");
    let import = Import::with(EVERYTHING, &["-o", output.to_str().unwrap()]);
    assert_eq!(import.ran.code, 0, "{}", import.ran.err);
    let written = std::fs::read_to_string(&output).unwrap();
    assert_eq!(
        written.trim_end(),
        Import::over(&import, &[]).out.trim_end()
    );
    let mode = std::fs::metadata(&output).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    std::fs::write(&output, "mine").unwrap();
    let again = Import::over(&import, &["-o", output.to_str().unwrap()]);
    assert_eq!((again.code, again.out.as_str()), (1, ""));
    has(&again.err, "exists already");
    assert_eq!(std::fs::read_to_string(&output).unwrap(), "mine");
}

#[test]
fn r04_the_result_is_not_written_where_others_can_write() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("config.toml");
    for (mode, is_fine) in [
        (0o777, false),
        (0o770, false),
        (0o1777, true),
        (0o755, true),
    ] {
        pam_host::place::set_mode(folder.path(), mode);
        let import = Import::with(EVERYTHING, &["-o", output.to_str().unwrap()]);
        let said = format!("the folder {} has mode {mode:04o}", folder.path().display());
        assert_eq!(import.ran.code == 0, is_fine, "{}", import.ran.err);
        assert_eq!(
            import.ran.err.contains(&said),
            !is_fine,
            "{}",
            import.ran.err
        );
        assert_eq!(output.exists(), is_fine, "{mode:o}");
        let _ = std::fs::remove_file(&output);
    }
}

/// Others make the file while the tool starts: it is theirs and stays, or it is the tool's alone.
#[test]
fn r04_a_file_that_appears_meanwhile_is_not_written_into() {
    let folder = tempfile::tempdir().unwrap();
    pam_host::place::set_mode(folder.path(), 0o1777);
    let output = folder.path().join("config.toml");
    for step in 0..200 {
        let theirs = output.clone();
        let other = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_micros(step * 30));
            std::fs::File::create_new(theirs).ok()
        });
        let import = Import::with(EVERYTHING, &["-o", output.to_str().unwrap()]);
        if let Some(file) = other.join().unwrap() {
            let length = file.metadata().unwrap().len();
            assert_eq!((import.ran.code, length), (1, 0), "{}", import.ran.err);
            assert_eq!(std::fs::metadata(&output).unwrap().len(), 0);
        }
        let _ = std::fs::remove_file(&output);
    }
}

#[test]
fn a_machine_gets_each_line_with_what_became_of_it() {
    let document = Import::with("[duo]\nautopush = on\nmotd = yes\n", &["--json"])
        .ran
        .json();
    assert_documented("import-duo", &document);
    let lines = document["lines"].as_array().unwrap();
    assert_eq!(
        (&lines[0]["line"], &lines[0]["becomes"]),
        (&2.into(), &"autopush = true".into())
    );
    assert!(lines[1]["becomes"].is_null() && lines[1]["key"] == "motd");
    assert!(
        document["toml"]
            .as_str()
            .unwrap()
            .contains("autopush = true")
    );
    assert_eq!(document["to_do"].as_array().unwrap().len(), 3);
}

/// A file of Duo's, and what came of it.
struct Import {
    folder: TempDir,
    ran: Ran,
}

impl Import {
    fn of(text: impl AsRef<[u8]>) -> Self {
        Self::with(text, &[])
    }

    fn with(text: impl AsRef<[u8]>, words: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pam_duo.conf");
        std::fs::write(&file, text).unwrap();
        let words = [&["import-duo", file.to_str().unwrap()], words].concat();
        let ran = run(tool(&words), &[]);
        Self { folder, ran }
    }

    /// Again, with other words.
    fn over(import: &Self, words: &[&str]) -> Ran {
        let file = import.file();
        let words = [&["import-duo", file.to_str().unwrap()], words].concat();
        run(tool(&words), &[])
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("pam_duo.conf")
    }

    /// Our line, below the place where it comes from and what is to be said of it.
    fn below(&self, number: usize) -> Option<&str> {
        let place = format!("# {}:{number}: ", self.file().display());
        let mut lines = self.ran.out.lines();
        lines.find(|line| line.starts_with(&place))?;
        lines.next()
    }

    /// The result as an admin completes it.
    fn filled_in(&self) -> Config {
        filled_in(&self.ran.out)
    }
}

fn filled_in(text: &str) -> Config {
    let mut text = text.to_owned();
    for (empty, full) in [
        ("#url = \"", "url = \""),
        ("#client_id = \"", "client_id = \"id"),
        ("#client_secret = \"", "client_secret = \"secret"),
    ] {
        assert_eq!(text.matches(empty).count(), 1, "{text}");
        text = text.replace(empty, full);
    }
    parse("config.toml", &text).unwrap_or_else(|faults| panic!("{faults:?}: {text}"))
}
