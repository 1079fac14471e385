//! `make demo`, unattended and at a terminal. Needs the module: `cargo build` first, or `cargo test --workspace`.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use pam_host::Pty;
use pam_host::pty::Signal;

fn demo(arguments: &[&str]) -> Output {
    Command::new(DEMO)
        .args(arguments)
        .output()
        .expect("pam-demo can be started")
}

/// The standard output, after checking whether the login was to succeed. A denial is no fault of the demo.
fn shown(arguments: &[&str], accepted: bool) -> String {
    let output = demo(arguments);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:#?}");
    assert_eq!(
        text.contains("PAM_SUCCESS: you are logged in."),
        accepted,
        "{text}"
    );
    assert_eq!(text.contains("the login is denied"), !accepted, "{text}");
    text
}

#[test]
fn a_code_of_the_authenticator_lets_in_and_is_logged() {
    let text = shown(&["--answers", "demo;$totp"], true);
    assert!(
        text.contains("[log] pam_onelogin(demo:auth): accepted user="),
        "{text}"
    );
}

#[test]
fn a_text_message_comes_to_the_phone_and_its_code_lets_in() {
    let text = shown(&["--answers", "demo;3;$sms"], true);
    assert!(text.contains("[phone] SMS to "), "{text}");
}

#[test]
fn a_push_is_approved_on_the_phone() {
    let text = shown(&["--answers", "demo;1;!approve;"], true);
    assert!(text.contains("[phone] Push to "), "{text}");
    // Not by a name, which a machine without /etc/hosts does not know.
    assert!(text.contains("https://127.0.0.1:"), "{text}");
}

#[test]
fn a_push_that_is_denied_on_the_phone_keeps_out() {
    let text = shown(&["--answers", "demo;1;!deny;"], false);
    assert!(text.contains("PAM_ABORT: the login is denied"), "{text}");
}

#[test]
fn as_sudo_the_push_is_a_text_and_needs_no_further_key() {
    let text = shown(&["--service", "sudo", "--answers", "demo;1;!approve"], true);
    assert!(text.contains("Push sent to your phone"), "{text}");
}

#[test]
fn wrong_codes_and_missing_answers_keep_out() {
    shown(&["--answers", "demo;999999;999998;999997"], false);
    shown(&["--answers", "demo;nonsense"], false);
}

#[test]
fn a_wrong_password_ends_the_login_before_onelogin_is_asked() {
    let text = shown(&["--answers", "wrong"], false);
    assert!(!text.contains("[log]"), "{text}");
}

#[test]
fn help_is_shown_on_request() {
    for word in ["--help", "-h"] {
        let output = demo(&[word]);
        assert!(output.status.success(), "{output:#?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("usage: pam-demo"));
    }
}

#[test]
fn a_wrong_argument_is_a_fault_of_usage() {
    let output = demo(&["--answer", "1"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("usage: pam-demo"));
}

/// Types what a person types who approves a push, and sees each answer.
fn log_in_by_push(demo: &mut Pty) {
    demo.expect("Password: ");
    demo.line("demo");
    demo.expect("Verification code or option (1-3): ");
    demo.line("1");
    demo.expect("Approve it, then press Enter");
    demo.line("!approve");
    demo.expect("[phone] approved");
    demo.expect("Approve it, then press Enter");
    demo.line("");
    demo.expect("PAM_SUCCESS: you are logged in.");
}

#[test]
fn at_a_terminal_the_phone_is_answered_between_prompt_and_enter() {
    let mut demo = Pty::spawn(Command::new(DEMO));
    log_in_by_push(&mut demo);
    assert!(demo.finish().0.success());
}

#[test]
fn at_a_terminal_as_sudo_the_phone_is_answered_while_the_login_waits() {
    let mut command = Command::new(DEMO);
    command.args(["--service", "sudo"]);
    let mut demo = Pty::spawn(command);
    demo.expect("Password: ");
    demo.line("demo");
    demo.expect("Verification code or option (1-3): ");
    demo.line("1");
    demo.expect("Push sent to your phone");
    demo.line("!approve");
    demo.expect("PAM_SUCCESS: you are logged in.");
    assert!(demo.finish().0.success());
}

/// The lines about calls that reached OneLogin: only the keeper of the token has made a token call.
fn calls_behind_a_gateway(text: &str) -> Vec<&str> {
    let calls: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("[onelogin] "))
        .map(str::trim_end)
        .collect();
    let (keeper, others) = calls.split_first().expect("a call");
    assert_eq!(
        *keeper,
        "POST /auth/oauth2/v2/token, from the token keeper of the gateway"
    );
    for call in others {
        assert!(call.ends_with(", from the gateway"), "{call}");
        assert!(!call.contains("/auth/"), "{call}");
    }
    others.to_vec()
}

#[test]
fn behind_a_gateway_a_code_lets_in_and_the_host_makes_no_token_call() {
    let text = shown(&["--gateway", "--answers", "demo;$totp"], true);
    assert_eq!(calls_behind_a_gateway(&text).len(), 3, "{text}");
    assert!(text.contains("The login made no token call"), "{text}");
    let (_, line) = text.split_once("\n[gateway] ").expect("a line of the log");
    assert!(line.contains("\"host\":\"demo.hosts.test\""), "{line}");
    assert!(line.contains("\"kind\":\"code\",\"status\":200"), "{line}");
    // Not by a name, which a machine without /etc/hosts does not know.
    assert!(!text.contains("localhost:"), "{text}");
    assert!(text.contains("https://127.0.0.1:"), "{text}");
}

#[test]
fn behind_a_gateway_a_denial_is_an_end_like_another() {
    let text = shown(&["--gateway", "--answers", "demo;1;!deny;"], false);
    assert!(text.contains("PAM_ABORT: the login is denied"), "{text}");
    assert!(text.contains("\"kind\":\"send\",\"status\":201"), "{text}");
    let text = shown(&["--gateway", "--answers", "wrong"], false);
    assert_eq!(calls_behind_a_gateway(&text), [""; 0], "{text}");
    assert!(
        text.contains("The gateway has logged no request."),
        "{text}"
    );
}

#[test]
fn at_a_terminal_behind_a_gateway_what_to_type_is_shown_and_a_push_lets_in() {
    let mut command = Command::new(DEMO);
    command.arg("--gateway");
    let mut demo = Pty::spawn(command);
    demo.expect("is a gateway: HAProxy");
    demo.expect("The password is \"demo\". Then type 1 for a push, !approve to approve it");
    log_in_by_push(&mut demo);
    let (status, text) = demo.finish();
    assert!(status.success(), "{text}");
    assert_eq!(calls_behind_a_gateway(&text).len(), 4, "{text}");
}

/// The processes that have this path in their arguments.
fn processes_with(path: &Path) -> usize {
    let path = path.to_str().expect("text");
    let all = fs::read_dir("/proc").expect("/proc").flatten();
    all.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
        .filter(|arguments| String::from_utf8_lossy(arguments).contains(path))
        .count()
}

#[test]
fn ctrl_c_and_sigterm_leave_no_process_and_no_file() {
    for arguments in [&["--gateway"][..], &[]] {
        for by_signal in [false, true] {
            let folder = tempfile::tempdir().expect("a folder");
            let mut command = Command::new(DEMO);
            command.args(arguments).env("TMPDIR", folder.path());
            let mut demo = Pty::spawn(command);
            demo.expect("Password: ");
            demo.line("demo");
            demo.expect("Verification code or option (1-3): ");
            if arguments.is_empty() {
                assert!(fs::read_dir(folder.path()).expect("it").count() > 0);
            } else {
                // HAProxy and the keeper.
                assert_eq!(processes_with(folder.path()), 2);
            }
            if by_signal {
                demo.signal(Signal::SIGTERM);
            } else {
                demo.type_keys("\x03");
            }
            let (status, text) = demo.finish();
            assert_eq!(status.code(), Some(130), "{text}");
            assert!(!text.contains("pam-demo:"), "{text}");
            assert_eq!(processes_with(folder.path()), 0);
            let left: Vec<_> = fs::read_dir(folder.path()).expect("it").collect();
            assert!(left.is_empty(), "{left:?}");
        }
    }
}

const DEMO: &str = env!("CARGO_BIN_EXE_pam-demo");
