//! `pam-onelogin enable` and its like, with the real sshd and sudo: a stack is tried before it is written, put back when it
//! is not confirmed, and nobody is locked out on the way.
//!
//! They change /etc, so they run on a private one: `tests/private-etc.sh cargo test --test tool_enable -- --ignored`. A
//! `machine` is the only one at its time: a second one waits until the first is gone.

mod all;
mod broken;
mod check;
#[path = "../days/mod.rs"]
mod days;
mod drift;
mod edited;
mod match_blocks;
mod refused;
#[path = "../scene/mod.rs"]
mod scene;
mod services;
mod sshd;
mod trial;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::kill;
use nix::unistd::Pid;
use onelogin_simulator::DEFAULT_CLIENT_SECRET;
use pam_host::place::binary;
use pam_host::pty::{Pty, Signal};
use pam_host::root::{PASSWORD, Sshd, free_port};
use scene::{LONG, Scene, became_root, denied, entered, password};

/// A machine as it was installed, with alice, our module where libpam looks for it, and no record of ours.
fn machine(further: &[&str]) -> Scene {
    static STOCK: OnceLock<BTreeMap<String, File>> = OnceLock::new();
    let stock = STOCK.get_or_init(stacks);
    let scene = Scene::new(further);
    for (name, file) in stock {
        scene.stage.write(
            Path::new("/etc/pam.d").join(name),
            &file.bytes,
            file.mode & 0o7777,
        );
    }
    scene.stage.install();
    // Who still waits for an earlier trial sees that there is none, and ends; nothing is made after that.
    let _ = fs::remove_dir_all(RECORDS);
    wait_until(|| guardians().is_empty(), "nobody waits any more");
    let _ = fs::remove_dir_all(RECORDS);
    let _ = scene.person("alice");
    scene
}

/// What a stack is, to the byte.
#[derive(Clone, PartialEq, Eq)]
struct File {
    bytes: Vec<u8>,
    mode: u32,
    owner: (u32, u32),
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = String::from_utf8_lossy(&self.bytes);
        write!(
            f,
            "{} lines{}",
            text.lines().count(),
            if text.contains("pam_onelogin") {
                " with us"
            } else {
                ""
            }
        )
    }
}

/// All that is in /etc/pam.d. A file that a program takes away in the middle
/// of the look, such as the one that it is about to rename, is not in it.
fn stacks() -> BTreeMap<String, File> {
    let look = |path: &Path| -> io::Result<File> {
        let metadata = fs::metadata(path)?;
        Ok(File {
            bytes: fs::read(path)?,
            mode: metadata.mode(),
            owner: (metadata.uid(), metadata.gid()),
        })
    };
    let mut all = BTreeMap::new();
    for entry in fs::read_dir("/etc/pam.d").unwrap() {
        let path = entry.unwrap().path();
        match look(&path) {
            Ok(file) => {
                let name = path.file_name().unwrap().to_str().unwrap();
                all.insert(name.to_owned(), file);
            }
            Err(gone) if gone.kind() == io::ErrorKind::NotFound => {}
            Err(error) => panic!("{}: {error}", path.display()),
        }
    }
    all
}

/// The tool, as root, on a terminal.
fn tool(arguments: &[&str]) -> Pty {
    let mut command = Command::new(binary("pam-onelogin"));
    command
        .args(arguments)
        .env_clear()
        .env("TERM", "dumb")
        .current_dir("/");
    Pty::spawn(command)
}

fn enable(arguments: &[&str]) -> Pty {
    tool(&[&["enable"], arguments].concat())
}

fn disable(service: &str) -> Pty {
    tool(&["disable", service])
}

/// Words with blanks between them.
fn words_of(text: &str) -> Vec<&str> {
    text.split(' ').collect()
}

/// A run that ends well; its screen.
fn good(tool: Pty) -> String {
    let (status, screen) = tool.finish();
    assert!(status.success(), "{screen}");
    screen
}

/// A run that fails; its screen.
fn bad(tool: Pty) -> String {
    let (status, screen) = tool.finish();
    assert!(!status.success(), "{screen}");
    screen
}

/// A run that ends well and says this; its screen.
fn good_saying(tool: Pty, said: &str) -> String {
    let screen = good(tool);
    assert!(screen.contains(said), "{said}: {screen}");
    screen
}

/// A run that fails and says this; its screen.
fn bad_saying(tool: Pty, said: &str) -> String {
    let screen = bad(tool);
    assert!(screen.contains(said), "{said}: {screen}");
    screen
}

/// The tool, to whose system call of this name and number something happens.
fn hurt(call: &str, what: &str, number: u32, arguments: &[&str]) -> Output {
    let mut strace = Command::new("strace");
    strace
        .args(["-qq", "-o", "/dev/null", "-e", &format!("trace={call}")])
        .args(["-e", &format!("inject={call}:{what}:when={number}")])
        .arg(binary("pam-onelogin"))
        .args(arguments)
        .env_clear();
    strace.output().unwrap()
}

/// Types a code where one is asked for.
fn passcode(screen: &mut Pty, code: &str) {
    screen.expect("Verification code (OneLogin): ");
    screen.line(code);
}

/// The trial login behind a password.
fn trial(screen: &mut Pty, code: &str) {
    screen.expect("assword: ");
    screen.line(PASSWORD);
    passcode(screen, code);
    screen.expect("OneLogin accepted the trial login.");
}

/// Enabled for this many seconds, after a trial login.
fn on_trial(arguments: &[&str], seconds: u32) -> Pty {
    let mut screen = enable(&[arguments, &["--yes", "--try", &seconds.to_string()]].concat());
    trial(&mut screen, CODE);
    screen.expect(IN_PLACE);
    screen
}

/// Ends the tool as a lost terminal would.
fn end(screen: Pty) {
    screen.signal(Signal::SIGKILL);
    bad(screen);
}

/// Ends the process that waits to put something back; process numbers here are this test's own.
fn kill_guardian() {
    // Those of earlier trials see within a second that theirs are over.
    wait_until(|| guardians().len() == 1, "one process waits");
    for process in guardians() {
        kill(process, Signal::SIGKILL).unwrap();
    }
    wait_until(|| guardians().is_empty(), "it ends");
}

fn guardians() -> Vec<Pid> {
    let entries = fs::read_dir("/proc").unwrap();
    let names = entries.filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    names
        .filter(|name| {
            let words = fs::read_to_string(format!("/proc/{name}/cmdline"));
            words.is_ok_and(|words| words.contains("restore\0--wait"))
        })
        .map(|name| Pid::from_raw(name.parse().unwrap()))
        .collect()
}

/// sudo lets alice in by her password, as it did.
fn by_password_alone(scene: &Scene) {
    let mut sudo = scene.sudo_as("alice", &["id", "-un"]);
    password(&mut sudo);
    became_root(sudo);
}

/// Forgets which codes were used.
fn fresh_codes() {
    let _ = fs::remove_dir_all(STATE);
}

/// A file that anybody may read.
fn write(scene: &Scene, path: &str, text: impl AsRef<[u8]>) {
    scene.stage.write(path, text, 0o644);
}

fn replace(scene: &Scene, old: &str, new: &str) {
    let text = fs::read_to_string(CONFIG).unwrap();
    assert!(text.contains(old), "{text}");
    scene.stage.write(CONFIG, text.replace(old, new), 0o600);
}

/// The record of a trial is of another start of the machine.
fn as_after_a_restart(service: &str) {
    let path = record("trial", service);
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(boot.trim()), "{text}");
    fs::write(&path, text.replace(boot.trim(), "another")).unwrap();
}

fn record(state: &str, service: &str) -> std::path::PathBuf {
    Path::new(RECORDS)
        .join(state)
        .join(format!("{service}.json"))
}

fn installed() -> std::path::PathBuf {
    pam_host::root::security_folder().join("pam_onelogin.so")
}

fn wait_until(holds: impl Fn() -> bool, what: &str) {
    let deadline = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        sleep(Duration::from_millis(20));
    }
}

const SUDO: [&str; 4] = ["sudo", "--user", "alice", "--yes"];
const SSHD: [&str; 4] = ["sshd", "--user", "alice", "--yes"];
const ALL: [&str; 4] = ["all", "--user", "alice", "--yes"];
const KILL: &str = "signal=SIGKILL";
const STATE: &str = "/run/pam_onelogin";
const RECORDS: &str = "/var/lib/pam_onelogin";
const CONFIG: &str = "/etc/pam_onelogin/config.toml";
const IN_PLACE: &str = "Without an answer the change is rolled back";
const CODES: [&str; 3] = ["123456", "234567", "345678"];
const CODE: &str = CODES[0];
const SETTINGS: &str = "/etc/ssh/sshd_config.d/00-onelogin.conf";
const KEY: &str = "UsePAM yes\nKbdInteractiveAuthentication yes\nPasswordAuthentication no\nAuthenticationMethods publickey,keyboard-interactive\n";
