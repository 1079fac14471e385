//! A machine for the recordings in docs/pictures: the real sshd, a simulated OneLogin, and the user alice, who has OneLogin
//! Protect on a phone. Runs a command on it. Only root can run it, inside tests/private-etc.sh.
//!
//! The command reads what reaches the phone on its standard input, a line each. The lines `approve`, `deny`
//! and `expire` on its standard output answer the push, or end it.

use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Mutex, PoisonError};
use std::{env, io};

use onelogin_simulator::{Device, Simulator, User};
use pam_host::place::binary;
use pam_host::root::{Person, Sshd, Stage};

fn main() -> ExitCode {
    let mut words = env::args().skip(1);
    let Some(program) = words.next() else {
        eprintln!("usage: tests/private-etc.sh pam-pictures COMMAND...");
        return ExitCode::from(2);
    };
    let mut command = Command::new(program);
    command.args(words);
    match run(command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("pam-pictures: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the command to its end; whether it succeeded.
fn run(mut command: Command) -> io::Result<bool> {
    let stage = Stage::enter();
    let simulator = Simulator::start();
    simulator.add_user(User::new(1001, "alice"));
    let phone = Device::protect("501", "Alice's phone").codes(CODES);
    simulator.add_device(1001, phone.default(true));
    stage.config(&simulator, &[]);
    stage.install();
    let alice = stage.person("alice");
    let sshd = Sshd::start_by_the_machines_file(&stage, SSHD_SETTINGS);
    prepare_home(&stage, &sshd, &alice)?;

    // alice may be unable to read the folder of the sources.
    fs::create_dir(TOOLS)?;
    for name in ["pam-onelogin", "pam-demo", "pam-host"] {
        fs::copy(binary(name), Path::new(TOOLS).join(name))?;
    }
    let mut child = command
        .env("TOOLS", TOOLS)
        .env("PAM_ONELOGIN_MODULE", stage.module())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let (phone, orders) = (child.stdin.take(), child.stdout.take());
    let phone = Mutex::new(phone);
    simulator.set_printer(move |message| {
        let mut phone = phone.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(phone) = phone.as_mut() {
            // A command that has ended reads no messages.
            let _ = writeln!(phone, "{message}");
        }
    });
    for order in orders
        .map(BufReader::new)
        .into_iter()
        .flat_map(BufRead::lines)
    {
        let order = order?;
        let obeyed = match order.as_str() {
            "approve" => simulator.approve_latest().is_some(),
            "deny" => simulator.deny_latest().is_some(),
            "expire" => {
                simulator.expire_verifications();
                true
            }
            _ => false,
        };
        if !obeyed {
            return Err(io::Error::other(format!("cannot obey {order:?}")));
        }
    }
    Ok(child.wait()?.success())
}

/// `ssh web1` works for alice, and her login shell there has a short prompt.
fn prepare_home(stage: &Stage, sshd: &Sshd, alice: &Person) -> io::Result<()> {
    // Nothing of this machine is to be in a picture.
    fs::write("/etc/motd", "")?;
    if Path::new(GREETINGS).exists() {
        fs::remove_dir_all(GREETINGS)?;
    }
    let key = alice.home.join(".ssh/id_ed25519");
    fs::copy(stage.private_key(), &key)?;
    let config = alice.home.join(".ssh/config");
    let text = format!(
        "Host web1\n  HostName 127.0.0.1\n  HostKeyAlias web1\n  Port {}\n  StrictHostKeyChecking no\n  LogLevel ERROR\n",
        sshd.port()
    );
    fs::write(&config, text)?;
    let profile = alice.home.join(".profile");
    fs::write(&profile, "PS1='alice@web1:~$ '\n")?;
    for path in [key, config, profile] {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        chown(&path, Some(alice.id), Some(alice.id))?;
    }
    Ok(())
}

/// Codes of the phone: each is accepted once.
const CODES: [&str; 5] = ["492039", "718254", "305177", "640912", "227364"];

/// Where the command finds our programs.
const TOOLS: &str = "/run/pam-host-tools";

/// Programs whose output `pam_motd` shows.
const GREETINGS: &str = "/etc/update-motd.d";

/// As distributions have them, in their main lines.
const SSHD_SETTINGS: &str = "Include /etc/ssh/sshd_config.d/*.conf\nKbdInteractiveAuthentication yes\nUsePAM yes\nPrintLastLog no";
