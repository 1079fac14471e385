//! The real sshd and sudo inside tests/private-etc.sh: users, stacks and configuration that exist only there.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{OpenOptionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{env, iter, thread};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use onelogin_simulator::Simulator;

use crate::log::Log;
use crate::place::{make_folder, module, set_mode, settings};
use crate::pty::Pty;

/// The UNIX password of every [`Person`].
pub const PASSWORD: &str = "Unix-Pass-1";

/// Of [`PASSWORD`], with few rounds; for /etc/shadow.
pub const HASH: &str = "$6$rounds=1000$pamhost$z8RGFl6E8U2ZN/cB6mPlyNGbtepK1NOqfshEolDqKJmOzYxCY7sY9gTrtkrl7a5WJp8zkefCSsSgsHralwqc51";

/// The right to change /etc, for one test at a time.
#[derive(Debug)]
pub struct Stage {
    log: Log,
    _alone: MutexGuard<'static, ()>,
}

/// A user of the stage.
#[derive(Clone, Debug)]
pub struct Person {
    /// The user name.
    pub name: String,
    /// User and group id.
    pub id: u32,
    /// The home folder.
    pub home: PathBuf,
}

impl Stage {
    /// Waits for its turn and clears away what an earlier test left: configuration, state, stacks. sudo asks each time.
    ///
    /// # Panics
    /// Outside tests/private-etc.sh, with the command to run.
    pub fn enter() -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        if let Err(fault) = private() {
            panic!(
                "{fault}: run it by `tests/private-etc.sh cargo test --test hosts -- --ignored`"
            );
        }
        let alone = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        for folder in ["/etc/pam_onelogin", "/run/pam_onelogin", STAGE] {
            if Path::new(folder).exists() {
                fs::remove_dir_all(folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
            }
            fs::create_dir(folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
            set_mode(Path::new(folder), 0o755);
        }
        fs::remove_dir("/run/pam_onelogin").expect("an empty folder can be removed");
        fs::copy(module(), MODULE).expect("the module can be copied");
        let _ = fs::remove_file("/dev/log");
        let stage = Self {
            log: Log::bind(Path::new("/dev/log")).expect("/dev/log can be bound"),
            _alone: alone,
        };
        stage.write("/etc/sudoers", SUDOERS, 0o440);
        stage
    }

    /// The copy of the module that the stacks name: every user can read it.
    pub fn module(&self) -> &'static Path {
        Path::new(MODULE)
    }

    /// What comes to /dev/log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The module's log lines so far, from its name on.
    pub fn decisions(&self) -> Vec<String> {
        crate::case::decisions(&self.log.lines())
    }

    /// Waits for a log line of the module with this text; gives it from the module's name on.
    ///
    /// # Panics
    /// When none comes.
    pub fn wait_for_decision(&self, text: &str) -> String {
        let line = self.log.wait_for(text, WATCHDOG);
        let line = line
            .as_deref()
            .and_then(|line| Some(&line[line.find("pam_onelogin(")?..]));
        line.unwrap_or_else(|| panic!("the module logged nothing with {text:?}"))
            .to_owned()
    }

    /// A user with [`PASSWORD`], a shell, a home folder and an SSH key that opens the account.
    ///
    /// # Panics
    /// When the files of /etc cannot be written.
    pub fn person(&self, name: &str) -> Person {
        let passwd = fs::read_to_string("/etc/passwd").expect("/etc/passwd can be read");
        let home = Path::new("/run/home").join(name);
        let known = passwd
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let id = if let Some(rest) = known {
            rest.split(':')
                .nth(1)
                .and_then(|id| id.parse().ok())
                .expect("a user has an id")
        } else {
            let id = FIRST_ID + u32::try_from(passwd.lines().count()).expect("few users");
            append(
                "/etc/passwd",
                &format!("{name}:x:{id}:{id}::{}:/bin/sh\n", home.display()),
            );
            append("/etc/group", &format!("{name}:x:{id}:\n"));
            append(
                "/etc/shadow",
                &format!("{name}:{HASH}:19000:0:99999:7:::\n"),
            );
            id
        };
        let person = Person {
            name: name.to_owned(),
            id,
            home,
        };
        make_folder(&person.home.join(".ssh"));
        fs::write(person.home.join(".ssh/authorized_keys"), self.public_key())
            .expect("a home folder can be written");
        for path in ["", ".ssh", ".ssh/authorized_keys"] {
            chown(person.home.join(path), Some(id), Some(id))
                .expect("a home folder can change hands");
        }
        person
    }

    /// Gives root [`PASSWORD`].
    ///
    /// # Panics
    /// When /etc/shadow cannot be written.
    pub fn root_has_a_password(&self) {
        replace(
            "/etc/shadow",
            "root",
            &format!("root:{HASH}:19000:0:99999:7:::\n"),
        );
    }

    /// A group with these members, until the next test that takes it.
    ///
    /// # Panics
    /// When /etc/group cannot be written.
    pub fn group(&self, name: &str, id: u32, members: &[&str]) {
        replace(
            "/etc/group",
            name,
            &format!("{name}:x:{id}:{}\n", members.join(",")),
        );
    }

    /// Takes the name from the group of a person; its number stays.
    ///
    /// # Panics
    /// When /etc/group cannot be written.
    pub fn nameless_group(&self, person: &Person) {
        replace("/etc/group", &person.name, "");
    }

    /// Notes what a test has shown of a host, for the table in docs/hosts.md or docs/services.md: to be called at the end of
    /// the test, when it has been shown. Without `PAM_ONELOGIN_TRIED`, the folder for the notes, nothing is noted.
    ///
    /// # Panics
    /// When the note cannot be written.
    pub fn tried(&self, host: &str, what: &str) {
        let folder = env::var_os("PAM_ONELOGIN_TRIED").filter(|folder| !folder.is_empty());
        let Some(folder) = folder else {
            return;
        };
        let path = Path::new(&folder).join(release());
        let line = format!("{host}\t{what}\t{}\n", version(host));
        File::options()
            .create(true)
            .append(true)
            .open(&path)
            .and_then(|mut file| io::Write::write_all(&mut file, line.as_bytes()))
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// The key that opens every account.
    pub fn private_key(&self) -> PathBuf {
        let path = Path::new(STAGE).join("key");
        if !path.exists() {
            keygen(&path);
        }
        path
    }

    fn public_key(&self) -> String {
        let path = self.private_key().with_extension("pub");
        fs::read_to_string(path).expect("a public key can be read")
    }

    /// Writes a file with this mode.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, path: impl AsRef<Path>, contents: impl AsRef<[u8]>, mode: u32) {
        let path = path.as_ref();
        let _ = fs::remove_file(path);
        fs::write(path, contents).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        set_mode(path, mode);
    }

    /// Installs a sample stack of pam.d/debian/ as a service, unchanged but for the path to the module.
    ///
    /// # Panics
    /// When there is no such sample, or neither our module nor another service is in it.
    pub fn sample(&self, sample: &str, service: &str) {
        let mut text = String::new();
        for line in read_sample(sample).lines() {
            let line = if line.starts_with('#') {
                line.to_owned()
            } else {
                line.replace(NAME, MODULE)
            };
            let _ = writeln!(text, "{line}");
        }
        assert!(
            text.contains(MODULE) || text.contains("auth       include"),
            "the sample {sample} has no line with {NAME}"
        );
        self.stack(service, &text);
    }

    /// Puts our module where libpam looks for it; the machine's own folder stays as it is.
    ///
    /// # Panics
    /// When the folder cannot be covered by one of ours.
    pub fn install(&self) {
        let folder = security_folder();
        let layers = Path::new("/run/pam-host-security");
        if !layers.exists() {
            for name in ["", "upper", "work"] {
                fs::create_dir(layers.join(name)).expect("a folder can be made below /run");
            }
            let options = format!(
                "lowerdir={0},upperdir={1}/upper,workdir={1}/work",
                folder.display(),
                layers.display()
            );
            let status = Command::new("mount")
                .args(["-t", "overlay", "-o", &options, "overlay"])
                .arg(&folder)
                .status()
                .expect("mount is installed");
            assert!(status.success(), "mount: {status}");
        }
        let installed = folder.join(NAME);
        let _ = fs::remove_file(&installed);
        fs::copy(module(), &installed).expect("the module can be copied");
    }

    /// Installs a stack; `@module@` stands for our module.
    pub fn stack(&self, service: &str, text: &str) {
        self.write(
            Path::new("/etc/pam.d").join(service),
            text.replace("@module@", MODULE),
            0o644,
        );
    }

    /// Writes `/etc/pam_onelogin/config.toml` for this simulator; `further` lines (`push.wait = 2`) add to it or replace
    /// a line of the same key.
    pub fn config(&self, simulator: &Simulator, further: &[&str]) {
        let ca = Path::new("/etc/pam_onelogin/ca.pem");
        self.write(ca, simulator.ca_pem(), 0o644);
        self.write(
            "/etc/pam_onelogin/config.toml",
            settings(simulator, ca, None, further),
            0o600,
        );
    }

    /// A command of this person: a small environment, no supplementary groups.
    pub fn command(&self, person: &Person, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs([
                ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
                ("TERM", "dumb"),
                ("LC_ALL", "C.UTF-8"),
            ])
            .env("HOME", &person.home)
            .current_dir("/")
            .uid(person.id)
            .gid(person.id);
        command
    }

    /// Starts a command of a person on a terminal that belongs to the person.
    pub fn on_terminal(&self, person: &Person, command: Command) -> Pty {
        Pty::spawn_as(command, Some((person.id, person.id)))
    }
}

impl Drop for Stage {
    /// A test that fails shows what was logged.
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the log:");
            for line in self.log.lines() {
                eprintln!("  {line}");
            }
        }
    }
}

/// The lines that a sample says `sshd_config` has to have.
///
/// # Panics
/// When the sample has none.
pub fn sshd_settings(sample: &str) -> String {
    let text = read_sample(sample);
    let lines: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("#     "))
        .collect();
    assert!(
        !lines.is_empty(),
        "the sample {sample} does not say what sshd_config needs"
    );
    lines.join("\n")
}

/// An sshd on a loopback port.
#[derive(Debug)]
pub struct Sshd {
    child: Child,
    port: u16,
    key: PathBuf,
    host_key: PathBuf,
    messages: Receiver<String>,
}

/// The `PidFile` of the sshd that a machine starts.
const PID_FILE: &str = "/run/sshd.pid";

impl Sshd {
    /// Starts it with these lines of configuration and the PAM service `sshd`.
    ///
    /// # Panics
    /// When it does not come to listen; with what it said.
    pub fn start(stage: &Stage, settings: &str) -> Self {
        Self::start_as(stage, "sshd", settings)
    }

    /// Starts it with further lines, such as a `Match` block.
    ///
    /// # Panics
    /// As [`Sshd::start`].
    pub fn start_with(stage: &Stage, settings: &str, further: &str) -> Self {
        Self::launch(stage, "sshd", settings, further, None)
    }

    /// Starts it as a machine does: by `/etc/ssh/sshd_config`, which then holds these lines and what a stage needs.
    ///
    /// # Panics
    /// As [`Sshd::start`].
    pub fn start_by_the_machines_file(stage: &Stage, settings: &str) -> Self {
        Self::launch(stage, "sshd", settings, "", Some(Path::new(SSHD_CONFIG)))
    }

    /// Starts it under another PAM service name.
    ///
    /// # Panics
    /// As [`Sshd::start`].
    pub fn start_as(stage: &Stage, service: &str, settings: &str) -> Self {
        Self::launch(stage, service, settings, "", None)
    }

    fn launch(
        stage: &Stage,
        service: &str,
        settings: &str,
        further: &str,
        machines_file: Option<&Path>,
    ) -> Self {
        let folder = Path::new(STAGE).join(service);
        make_folder(&folder);
        let host_key = folder.join("host_key");
        if !host_key.exists() {
            keygen(&host_key);
        }
        let port = free_port();
        let pid_file = machines_file.map_or("none", |_| PID_FILE);
        let mut text = format!(
            "{settings}\nPort {port}\nListenAddress 127.0.0.1\nHostKey {}\nPidFile {pid_file}\nStrictModes no\nUseDNS no\n\
             PrintMotd no\nAuthorizedKeysFile %h/.ssh/authorized_keys\nSubsystem sftp internal-sftp\n",
            host_key.display()
        );
        // Up to 9.7 the service is the name under which sshd runs; from 9.8 on it is a setting.
        let mut program = PathBuf::from(SSHD);
        if openssh_version() >= (9, 8) {
            let _ = writeln!(text, "PAMServiceName {service}\nPerSourcePenalties no");
        } else {
            program = folder.join(service);
            if !program.exists() {
                symlink(SSHD, &program).expect("a link can be made");
            }
        }
        // Last, as a Match block goes on to the end of the file.
        text.push_str(further);
        text.push('\n');
        let config = machines_file.map_or_else(|| folder.join("sshd_config"), Path::to_path_buf);
        stage.write(&config, text, 0o600);
        let mut child = Command::new(&program)
            .args(["-D", "-e", "-f"])
            .arg(&config)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let messages = messages(child.stderr.take().expect("sshd has a standard error"));
        let sshd = Self {
            child,
            port,
            key: stage.private_key(),
            host_key,
            messages,
        };
        sshd.wait_until_it_listens();
        sshd
    }

    /// The process that listens.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Has it read its settings again; returns when it has.
    ///
    /// # Panics
    /// When it does not come to listen again.
    pub fn reload(&self) {
        let pid = Pid::from_raw(self.child.id().try_into().expect("a process number"));
        // It listens until it has seen the signal; then it removes its PidFile, and writes another one when it has read its settings.
        let written = || fs::metadata(PID_FILE).and_then(|file| file.modified()).ok();
        let names_it = || {
            let text = fs::read_to_string(PID_FILE).unwrap_or_default();
            text.trim() == pid.to_string()
        };
        let before = written().filter(|_| names_it());
        kill(pid, Signal::SIGHUP).expect("it runs");
        let deadline = Instant::now() + WATCHDOG;
        while before.is_some() && (written() == before || !names_it()) {
            assert!(Instant::now() < deadline, "it does not write its PidFile");
            thread::sleep(Duration::from_millis(20));
        }
        self.wait_until_it_listens();
    }

    /// Waits until the last connection is over, as far as sshd is concerned.
    ///
    /// # Panics
    /// When that does not come to pass.
    pub fn wait_until_it_serves_nobody(&self) {
        let pid = self.child.id();
        let children = format!("/proc/{pid}/task/{pid}/children");
        let deadline = Instant::now() + WATCHDOG;
        while !fs::read_to_string(&children)
            .expect("this kernel lists the children of a process")
            .is_empty()
        {
            assert!(Instant::now() < deadline, "a connection goes on and on");
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn wait_until_it_listens(&self) {
        let deadline = Instant::now() + WATCHDOG;
        let mut said = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.messages.recv_timeout(left) {
                Ok(line) if line.contains("Server listening on") => return,
                Ok(line) => said.push(line),
                Err(error) => panic!(
                    "sshd (port {}) does not listen: {error}; it said {said:#?}",
                    self.port
                ),
            }
        }
    }

    /// The OpenSSH client as this user, on a terminal; it runs `echo` when it gets in, see [`ENTERED`].
    pub fn client(&self, user: &str, options: &[&str]) -> Pty {
        let mut command = Command::new("ssh");
        command
            .args(["-F", "/dev/null", "-p", &self.port.to_string()])
            .args([
                "-o",
                "StrictHostKeyChecking=no",
                "-o",
                "UserKnownHostsFile=/dev/null",
                "-o",
                "LogLevel=ERROR",
            ])
            .args(["-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none"])
            .args(options.iter().flat_map(|option| ["-o", option]))
            .arg(format!("{user}@127.0.0.1"))
            .arg(format!("echo {} $(id -un)", ENTERED.replace(' ', "' '")))
            .env_clear()
            .envs([
                ("PATH", "/usr/bin:/bin"),
                ("TERM", "dumb"),
                ("LC_ALL", "C.UTF-8"),
                ("HOME", STAGE),
            ])
            .current_dir("/");
        Pty::spawn(command)
    }

    /// The client with the key of the stage.
    pub fn client_with_key(&self, user: &str) -> Pty {
        self.client(user, &[&format!("IdentityFile={}", self.key.display())])
    }

    /// The fingerprint of its host key, as `SHA256:…`.
    ///
    /// # Panics
    /// When there is no ssh-keygen.
    pub fn fingerprint(&self) -> String {
        let output = Command::new("ssh-keygen")
            .arg("-lf")
            .arg(&self.host_key)
            .output()
            .expect("ssh-keygen is installed");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let fingerprint = text.split(' ').find(|word| word.starts_with("SHA256:"));
        fingerprint
            .unwrap_or_else(|| panic!("no fingerprint in {text:?}"))
            .to_owned()
    }

    /// The processes that serve connections, and theirs.
    ///
    /// # Panics
    /// When /proc cannot be read.
    pub fn children(&self) -> Vec<Pid> {
        let mut found = vec![self.child.id()];
        let mut next = 0;
        while let Some(parent) = found.get(next) {
            let path = format!("/proc/{parent}/task/{parent}/children");
            let children = fs::read_to_string(path).unwrap_or_default();
            found.extend(children.split(' ').filter_map(|id| id.parse::<u32>().ok()));
            next += 1;
        }
        let children = found.into_iter().skip(1);
        children
            .map(|id| Pid::from_raw(id.try_into().expect("a process id fits")))
            .collect()
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the remote command prints before the user's name, once the login succeeded.
pub const ENTERED: &str = "entered as";

/// Where libpam has its modules.
///
/// # Panics
/// When `pam_unix.so` is nowhere.
pub fn security_folder() -> PathBuf {
    let libraries = [
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib64",
        "/usr/lib",
    ];
    let folders = libraries.map(|library| Path::new(library).join("security"));
    let found = folders
        .into_iter()
        .find(|folder| folder.join("pam_unix.so").exists());
    found.expect("pam_unix.so is somewhere")
}

/// Version of the installed OpenSSH, major and minor.
///
/// # Panics
/// When there is none.
pub fn openssh_version() -> (u32, u32) {
    let output = Command::new("ssh")
        .arg("-V")
        .output()
        .expect("ssh is installed");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let version = text.strip_prefix("OpenSSH_").and_then(|rest| {
        let (major, rest) = rest.split_once('.')?;
        let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
        Some((major.parse().ok()?, minor.parse().ok()?))
    });
    version.unwrap_or_else(|| panic!("the version of OpenSSH is not in {text:?}"))
}

/// Name and version of the system, such as `Debian 12`.
fn release() -> String {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.map(|value| value.trim_matches('"').to_owned())
    };
    let name = field("NAME=").unwrap_or_default();
    let name = name.split(' ').next().unwrap_or_default();
    // Before it is released, a release has no number.
    let version = field("VERSION_ID=").or_else(|| field("VERSION_CODENAME="));
    format!("{name} {}", version.unwrap_or_else(|| "?".to_owned()))
}

/// The version of a host without what corrections change: what the distribution adds, the patch level, and the third number
/// except with sudo, whose features go by it.
fn version(host: &str) -> String {
    let package = match host {
        "sshd" => "openssh-server",
        "su" => "util-linux",
        "dovecot" => "dovecot-core",
        "cups" => "cups-daemon",
        "proftpd" => "proftpd-core",
        "xrdp-sesman" => "xrdp",
        "cockpit" => "cockpit-ws",
        "doas" => "opendoas",
        "gvfs" => "gvfs-backends",
        "pam_duo" => "libpam-duo",
        other => other,
    };
    let output = Command::new("dpkg-query")
        .args(["--show", "--showformat=${Version}", package])
        .stderr(Stdio::null())
        .output();
    let full = output.map_or_else(
        |_| String::new(),
        |output| String::from_utf8_lossy(&output.stdout).into_owned(),
    );
    let version = full.split_once(':').map_or(full.as_str(), |(_, rest)| rest);
    // "4.16.0-2+really2.41-5" is 2.41.
    let version = version.split("+really").last().unwrap_or_default();
    let end = version.find(['-', '+', '~', 'p']).unwrap_or(version.len());
    let numbers = if host.starts_with("sudo") { 3 } else { 2 };
    match version[..end].split('.').collect::<Vec<_>>().as_slice() {
        [""] => "?".to_owned(),
        all => all[..all.len().min(numbers)].join("."),
    }
}

/// Whether this process is inside tests/private-etc.sh; the text says what is wrong.
fn private() -> Result<(), &'static str> {
    if !nix::unistd::Uid::effective().is_root() {
        return Err("this test needs root");
    }
    if env::var_os("PAM_HOST_PRIVATE_ETC").is_none() {
        return Err("this test changes /etc and runs only on a private one");
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let overlaid = mounts.lines().any(|line| {
        let mut fields = line.split(' ');
        fields.nth(4) == Some("/etc") && line.contains(" - overlay ")
    });
    if overlaid {
        Ok(())
    } else {
        Err("this test changes /etc, which is no overlay here")
    }
}

/// The sample of this name, of pam.d/debian.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn read_sample(name: &str) -> String {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../pam.d/debian")).join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Replaces the line of this name in a file such as /etc/group, or adds it.
fn replace(path: &str, name: &str, line: &str) {
    let contents = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let start = format!("{name}:");
    let mut lines: Vec<_> = contents.split_inclusive('\n').collect();
    lines.retain(|other| !other.starts_with(&start));
    lines.push(line);
    let contents = lines.concat();
    fs::write(path, contents).unwrap_or_else(|error| panic!("{path}: {error}"));
}

fn append(path: &str, text: &str) {
    let mut contents = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    contents.push_str(text);
    fs::write(path, contents).unwrap_or_else(|error| panic!("{path}: {error}"));
}

fn keygen(path: &Path) {
    let status = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"])
        .arg(path)
        .stdin(Stdio::null())
        .status()
        .expect("ssh-keygen is installed");
    assert!(status.success(), "ssh-keygen: {status}");
}

/// A port of 127.0.0.1 at which nobody listens, for a program that binds it itself, perhaps more than once.
///
/// It is below those that the kernel hands out, so that no connection of another test comes to have it in between.
///
/// # Panics
/// When there is none.
pub fn free_port() -> u16 {
    const LOWEST: u16 = 20_000;
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .expect("the kernel's range of ports");
    let handed_out: u16 = range
        .split_whitespace()
        .next()
        .and_then(|first| first.parse().ok())
        .expect("a range of ports");
    let span = u64::from(
        handed_out
            .checked_sub(LOWEST)
            .filter(|span| *span > 0)
            .expect("ports below that range"),
    );
    iter::repeat_with(|| RandomState::new().build_hasher().finish() % span)
        .take(1000)
        .map(|place| LOWEST + u16::try_from(place).expect("less than the span"))
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .expect("a port on 127.0.0.1")
}

/// What sshd says, line by line; also kept in a file, for people.
fn messages(from: ChildStderr) -> Receiver<String> {
    use std::io::Write;
    let (to, lines) = mpsc::channel();
    let mut file = File::options()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(Path::new(STAGE).join("sshd.log"))
        .ok();
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if let Some(file) = &mut file {
                let _ = writeln!(file, "{line}");
            }
            let _ = to.send(line);
        }
    });
    lines
}

const STAGE: &str = "/run/pam-host";
const NAME: &str = "pam_onelogin.so";
const MODULE: &str = "/run/pam-host/pam_onelogin.so";
const SSHD: &str = "/usr/sbin/sshd";
const SSHD_CONFIG: &str = "/etc/ssh/sshd_config";
const FIRST_ID: u32 = 7000;
const SUDOERS: &str = "Defaults timestamp_timeout=0\nDefaults lecture=never\nDefaults !mail_no_user\n\
    Defaults secure_path=\"/usr/sbin:/usr/bin:/sbin:/bin\"\nroot ALL=(ALL:ALL) ALL\nALL ALL=(ALL:ALL) ALL\n";
const WATCHDOG: Duration = Duration::from_secs(60);
