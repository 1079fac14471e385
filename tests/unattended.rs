//! Without a person: what programs that nobody watches come to, by the real programs, and what is sent meanwhile. Each row
//! of the table in docs/automation.md, stands here.
//!
//! They change /etc, so they run on a private one: `tests/private-etc.sh cargo test --test unattended -- --ignored`.

mod scene;

use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;

use nix::sys::stat::Mode;
use nix::unistd::{User, mkfifo};
use onelogin_simulator::PushBehaviour;
use pam_host::pty::Pty;
use pam_host::root::{PASSWORD, Person, Sshd, sshd_settings};
use scene::{LONG, Scene, python_programs};

// Programs over ssh, in the sample stack behind a key

#[test]
#[ignore = "needs root: run by make test"]
fn programs_that_forbid_prompts_are_refused_and_onelogin_is_not_asked() {
    let remote = Remote::new("dave", &[], "");
    for program in FORBID_PROMPTS {
        remote.refused(program);
        assert_eq!(remote.scene.simulator.connections(), 0, "{program:?}");
    }
}

#[test]
#[ignore = "needs root: run by make test"]
fn ansible_forbids_prompts_and_onelogin_is_not_asked() {
    let remote = Remote::new("dave", &[], "");
    let output = remote.run(Program::Ansible);
    assert!(!output.status.success(), "{output:?}");
    assert!(said(&output).contains("UNREACHABLE"), "{output:?}");
    assert_eq!(remote.scene.simulator.connections(), 0);
}

#[test]
#[ignore = "needs root: run by make test"]
fn programs_without_a_terminal_are_refused_and_send_no_code() {
    let remote = Remote::new("alice", &[], "");
    for program in ASK {
        remote.refused(program);
        remote.scene.decision("reason=no-code");
    }
    assert_eq!(remote.scene.simulator.codes(), 0);
    assert_eq!(remote.scene.simulator.activations(), 0);
}

/// ssh answers a prompt with an empty line where it has no terminal, and nobody can tell that from Enter.
#[test]
#[ignore = "needs root: run by make test"]
fn ssh_without_a_terminal_presses_enter_itself_so_that_one_push_or_message_is_sent() {
    let remote = Remote::new("dave", &["push.wait = 1"], "");
    // limits.challenges: after three of them the phone is left alone.
    for (program, pushes) in ASK.into_iter().zip([1, 1, 1, 0]) {
        remote.scene.simulator.clear_requests();
        remote.refused(program);
        assert_eq!(remote.scene.simulator.activations(), pushes, "{program:?}");
    }
    drop(remote);
    // The same with a text message.
    let remote = Remote::new("carol", &[], "");
    remote.refused(Program::Ssh);
    assert_eq!(remote.scene.simulator.activations(), 1);
}

#[test]
#[ignore = "needs root: run by make test"]
fn a_match_block_with_the_key_alone_serves_every_program_and_onelogin_is_not_asked() {
    let remote = Remote::new(
        "dave",
        &[],
        "Match User dave\nAuthenticationMethods publickey",
    );
    for program in ASK.into_iter().chain(FORBID_PROMPTS) {
        remote.works(program);
    }
    assert_eq!(remote.scene.simulator.connections(), 0);
}

#[test]
#[ignore = "needs root: run by make test"]
fn a_match_block_with_the_key_alone_serves_ansible() {
    let remote = Remote::new(
        "dave",
        &[],
        "Match User dave\nAuthenticationMethods publickey",
    );
    remote.works(Program::Ansible);
    assert_eq!(remote.scene.simulator.connections(), 0);
}

/// The exemption is said by PAM, which sshd asks only when the client tries keyboard-interactive.
#[test]
#[ignore = "needs root: run by make test"]
fn an_exemption_serves_programs_that_may_be_asked_and_not_those_that_forbid_it() {
    let remote = Remote::new("dave", &["users.exempt_users = [\"dave\"]"], "");
    for program in ASK {
        remote.works(program);
    }
    remote.scene.decision("exempt user=dave");
    for program in FORBID_PROMPTS {
        remote.refused(program);
    }
    assert_eq!(remote.scene.simulator.connections(), 0);
}

#[test]
#[ignore = "needs root: run by make test"]
fn an_exemption_does_not_serve_ansible() {
    let remote = Remote::new("dave", &["users.exempt_users = [\"dave\"]"], "");
    let output = remote.run(Program::Ansible);
    assert!(said(&output).contains("UNREACHABLE"), "{output:?}");
}

#[test]
#[ignore = "needs root: run by make test"]
fn a_master_connection_of_a_person_serves_every_program() {
    let remote = Remote::new("alice", &[], "");
    let master = remote.master();
    let asked = remote.scene.simulator.requests().len();
    for program in ASK.into_iter().chain(FORBID_PROMPTS) {
        remote.works(program);
    }
    assert_eq!(remote.scene.simulator.requests().len(), asked);
    drop(master);
}

#[test]
#[ignore = "needs root: run by make test"]
fn a_master_connection_of_a_person_serves_ansible() {
    let remote = Remote::new("alice", &[], "");
    let master = remote.master();
    let asked = remote.scene.simulator.requests().len();
    remote.works(Program::Ansible);
    assert_eq!(remote.scene.simulator.requests().len(), asked);
    drop(master);
}

// A saved password

/// sshpass knows "assword" by itself, so it answers `pam_unix`; ssh then waits on the terminal that sshpass gave it, and does not
/// notice that sshd has given up.
#[test]
#[ignore = "needs root: run by make test"]
fn r12_sshpass_answers_the_password_alone_and_hangs_at_our_prompt() {
    for name in ["alice", "dave"] {
        let remote = Remote::with("sshd-password", name, &[], "LoginGraceTime 5");
        let mut sshpass = remote.sshpass("assword");
        let mut child = sshpass.spawn().expect("sshpass is installed");
        let asked = remote
            .scene
            .simulator
            .wait_for_request(LONG, "GET", "/devices");
        asked.expect("the user gets to our prompt");
        remote.sshd.wait_until_it_serves_nobody();
        assert!(matches!(child.try_wait(), Ok(None)), "{name}: it ended");
        child.kill().expect("a child can be killed");
        child.wait().expect("a child can be waited for");
        remote.asked_and_sent_no_code_and_no_push();
    }
}

#[test]
#[ignore = "needs root: run by make test"]
fn r12_sshpass_that_is_told_our_prompt_cannot_send_the_password_to_onelogin() {
    for sample in ["sshd-key", "sshd-password"] {
        for name in ["alice", "dave"] {
            let remote = Remote::with(sample, name, &[], "");
            let output = alone(&mut remote.sshpass(": "), "");
            assert!(!output.status.success(), "{sample} {name}: {output:?}");
            if sample == "sshd-key" {
                remote.asked_and_sent_no_code_and_no_push();
            }
        }
    }
}

/// With `SSH_ASKPASS` every prompt gets the same answer, as a password that Ansible holds does.
#[test]
#[ignore = "needs root: run by make test"]
fn r12_a_program_that_answers_every_prompt_with_the_password_is_refused() {
    for name in ["alice", "bob", "dave"] {
        let remote = Remote::with("sshd-password", name, &[], "");
        let helper = remote.config.with_extension("askpass");
        let script = format!("#!/bin/sh\necho '{PASSWORD}'\n");
        remote.scene.stage.write(&helper, script, 0o755);
        let mut command = Command::new("ssh");
        command.arg("-F").arg(&remote.config).args(["host", "true"]);
        command
            .env("SSH_ASKPASS", &helper)
            .env("SSH_ASKPASS_REQUIRE", "force");
        let output = alone(&mut command, "");
        assert!(!output.status.success(), "{name}: {output:?}");
        remote.scene.decision("reason=password-typed");
        remote.scene.assert_never_sent(PASSWORD);
        assert_eq!(remote.scene.simulator.codes(), 0);
        assert_eq!(remote.scene.simulator.activations(), 0);
    }
}

/// The password goes to `pam_unix`; to the second prompt ssh gets no answer, and presses Enter.
#[test]
#[ignore = "needs root: run by make test"]
fn r12_a_password_that_ansible_holds_never_reaches_onelogin_though_one_push_is_sent() {
    for (name, pushes) in [("alice", 0), ("dave", 1)] {
        let remote = Remote::with("sshd-password", name, &["push.wait = 1"], "");
        let mut ansible = remote.ansible();
        ansible.args(["-e", &format!("ansible_password={PASSWORD}")]);
        let output = alone(&mut ansible, "");
        assert!(said(&output).contains("UNREACHABLE"), "{output:?}");
        assert!(remote.scene.simulator.connections() > 0, "{output:?}");
        remote.scene.assert_never_sent(PASSWORD);
        assert_eq!(remote.scene.simulator.codes(), 0);
        assert_eq!(remote.scene.simulator.activations(), pushes, "{name}");
    }
}

/// Nothing is asked before an automatic push, so the module learns too late that nobody is there.
#[test]
#[ignore = "needs root: run by make test"]
fn an_automatic_push_is_sent_also_where_nobody_can_be_asked() {
    let scene = Scene::sudo(&["factors.autopush = true"]);
    let output = sudo_alone(&scene, "dave", &["-S", "true"], &format!("{PASSWORD}\n"));
    assert!(!output.status.success(), "{output:?}");
    let decision = scene.decision("denied user=dave");
    assert!(decision.contains("reason=no-conversation"), "{decision}");
    // It asks once whether the push was denied.
    assert_eq!((scene.simulator.activations(), scene.polls()), (1, 1));
}

// sudo

#[test]
#[ignore = "needs root: run by make test"]
fn sudo_that_may_not_ask_or_has_no_terminal_never_gets_to_us() {
    let scene = Scene::sudo(&["users.exempt_users = [\"dave\"]"]);
    for arguments in [["-n", "true"].as_slice(), &["true"]] {
        for name in ["alice", "dave"] {
            let output = sudo_alone(&scene, name, arguments, "");
            assert!(!output.status.success(), "{arguments:?}: {output:?}");
        }
    }
    assert_eq!(scene.stage.decisions(), [""; 0]);
    assert_eq!(scene.simulator.connections(), 0);
}

#[test]
#[ignore = "needs root: run by make test"]
fn sudo_takes_password_and_code_from_its_input() {
    let scene = Scene::sudo(&[]);
    let answers = format!("{PASSWORD}\n123456\n");
    let output = sudo_alone(&scene, "alice", &["-S", "id", "-un"], &answers);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "root\n");
    scene.decision("accepted user=alice");
}

#[test]
#[ignore = "needs root: run by make test"]
fn sudo_whose_input_ends_before_the_code_is_denied_and_sends_nothing() {
    let scene = Scene::sudo(&[]);
    for name in ["alice", "bob", "dave"] {
        let output = sudo_alone(&scene, name, &["-S", "id", "-un"], &format!("{PASSWORD}\n"));
        assert!(!output.status.success(), "{name}: {output:?}");
        let decision = scene.decision(&format!("denied user={name}"));
        assert!(decision.contains("reason=no-conversation"), "{decision}");
    }
    assert_eq!(scene.simulator.codes(), 0);
    assert_eq!(scene.simulator.activations(), 0);
}

#[test]
#[ignore = "needs root: run by make test"]
fn sudo_that_gets_an_empty_line_sends_one_push() {
    let scene = Scene::sudo(&[]);
    scene.simulator.on_push(PushBehaviour::ApproveAfterPolls(0));
    let answers = format!("{PASSWORD}\n\n\n");
    let output = sudo_alone(&scene, "dave", &["-S", "id", "-un"], &answers);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(scene.simulator.activations(), 1);
}

#[test]
#[ignore = "needs root: run by make test"]
fn sudo_without_a_password_rule_is_asked_for_nothing() {
    let scene = Scene::sudo(&[]);
    let rule = "Defaults timestamp_timeout=0\nalice ALL=(ALL) NOPASSWD: /usr/bin/id\n";
    scene.stage.write("/etc/sudoers", rule, 0o440);
    let output = sudo_alone(&scene, "alice", &["-n", "/usr/bin/id", "-un"], "");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(scene.simulator.connections(), 0);
}

// Jobs

#[test]
#[ignore = "needs root: run by make test"]
fn cron_runs_its_jobs_and_onelogin_is_not_asked() {
    let scene = Scene::new(&[]);
    protect(&scene, "cron");
    let job = Job::of(&scene.person("alice"));
    // No job of this machine's may run a second time.
    for entry in fs::read_dir("/etc/cron.d").expect("/etc/cron.d can be read") {
        fs::remove_file(entry.expect("an entry").path()).expect("it can be removed");
    }
    fs::create_dir_all("/var/spool/cron/crontabs").expect("a spool can be made");
    let line = format!("@reboot alice {}\n", job.command());
    scene.stage.write("/etc/crontab", line, 0o644);
    let daemon = Daemon::start("cron", &["-f"]);
    assert_eq!(job.wait(), "alice");
    drop(daemon);
    assert_eq!(scene.simulator.connections(), 0);
    assert_eq!(scene.stage.decisions(), [""; 0]);
}

#[test]
#[ignore = "needs root: run by make test"]
fn atd_runs_its_jobs_and_onelogin_is_not_asked() {
    let scene = Scene::new(&[]);
    protect(&scene, "atd");
    let person = scene.person("alice");
    let job = Job::of(&person);
    let owner = User::from_name("daemon")
        .expect("passwd can be read")
        .expect("there is a user daemon");
    for folder in ["atjobs", "atspool"] {
        let folder = Path::new("/var/spool/cron").join(folder);
        fs::create_dir_all(&folder).expect("a spool can be made");
        scene.stage.write(folder.join(".SEQ"), "0\n", 0o600);
        fs::set_permissions(&folder, Permissions::from_mode(0o1770)).expect("its mode");
        for path in [folder.join(".SEQ"), folder] {
            chown(path, Some(owner.uid.as_raw()), Some(owner.gid.as_raw())).expect("its owner");
        }
    }
    let mut at = scene.stage.command(&person, "at", &["now"]);
    let output = feed(&mut at, &job.command());
    assert!(output.status.success(), "{output:?}");
    let daemon = Daemon::start("atd", &["-f"]);
    assert_eq!(job.wait(), "alice");
    drop(daemon);
    assert_eq!(scene.simulator.connections(), 0);
    assert_eq!(scene.stage.decisions(), [""; 0]);
}

// The machinery

/// A program that works over ssh.
#[derive(Clone, Copy, Debug)]
enum Program {
    Ssh,
    BatchMode,
    NoPrompts,
    Scp,
    Sftp,
    Rsync,
    Git,
    Ansible,
}

/// These let ssh ask.
const ASK: [Program; 4] = [Program::Ssh, Program::Scp, Program::Rsync, Program::Git];

/// These tell ssh not to ask: it then leaves out keyboard-interactive altogether. sftp does so with -b.
const FORBID_PROMPTS: [Program; 3] = [Program::BatchMode, Program::NoPrompts, Program::Sftp];

/// A host of that name, for programs that nobody watches.
struct Remote {
    scene: Scene,
    sshd: Sshd,
    /// Of the OpenSSH client.
    config: PathBuf,
    person: Person,
}

impl Remote {
    /// Behind a key, with further lines for our configuration and for sshd's.
    fn new(user: &str, further: &[&str], of_sshd: &str) -> Self {
        Self::with("sshd-key", user, further, of_sshd)
    }

    fn with(sample: &str, user: &str, further: &[&str], of_sshd: &str) -> Self {
        let scene = Scene::new(further);
        scene.stage.sample(sample, "sshd");
        let person = scene.person(user);
        let sshd = Sshd::start_with(&scene.stage, &sshd_settings(sample), of_sshd);
        let key = scene.stage.private_key();
        let config = key.with_file_name("ssh_config");
        let text = format!(
            "HostName 127.0.0.1\nPort {}\nUser {user}\nIdentityFile {}\nIdentitiesOnly yes\nIdentityAgent none\n\
             StrictHostKeyChecking no\nUserKnownHostsFile /dev/null\nLogLevel ERROR\nControlPath {}\n",
            sshd.port(),
            key.display(),
            config.with_extension("master").display(),
        );
        scene.stage.write(&config, text, 0o600);
        Self {
            scene,
            sshd,
            config,
            person,
        }
    }

    /// Runs the program as cron would: no terminal, no input.
    fn run(&self, program: Program) -> Output {
        let config = self.config.display().to_string();
        let ssh = |options: &[&str]| {
            let mut command = Command::new("ssh");
            command.args(["-F", &config]).args(options);
            command.args(["host", "true"]);
            command
        };
        let mut command = match program {
            Program::Ssh => ssh(&[]),
            Program::BatchMode => ssh(&["-o", "BatchMode=yes"]),
            Program::NoPrompts => ssh(&["-o", "NumberOfPasswordPrompts=0"]),
            Program::Scp => {
                let mut command = Command::new("scp");
                command.args(["-F", &config, "/etc/passwd", "host:copy"]);
                command
            }
            Program::Sftp => {
                let mut command = Command::new("sftp");
                command.args(["-F", &config, "-b", "/dev/null", "host"]);
                command
            }
            Program::Rsync => {
                let mut command = Command::new("rsync");
                command.args([
                    "-e",
                    &format!("ssh -F {config}"),
                    "/etc/passwd",
                    "host:copy",
                ]);
                command
            }
            Program::Git => {
                self.make_repository();
                let mut command = Command::new("git");
                command.args(["ls-remote", "host:repository"]);
                command.env("GIT_SSH_COMMAND", format!("ssh -F {config}"));
                command
            }
            Program::Ansible => self.ansible(),
        };
        alone(&mut command, "")
    }

    fn ansible(&self) -> Command {
        let home = self.config.with_extension("ansible");
        let mut command = Command::new(python_programs().join("ansible"));
        command
            .args(["-i", "host,", "host", "-m", "raw", "-a", "true"])
            .env("ANSIBLE_SSH_ARGS", format!("-F {}", self.config.display()))
            .env("ANSIBLE_HOME", &home)
            .env("ANSIBLE_LOCAL_TEMP", home.join("tmp"))
            .env("ANSIBLE_HOST_KEY_CHECKING", "False");
        command
    }

    fn make_repository(&self) {
        let path = self.person.home.join("repository");
        if !path.exists() {
            let path = path.display().to_string();
            let arguments = ["init", "--quiet", "--bare", &path];
            let mut git = self.scene.stage.command(&self.person, "git", &arguments);
            assert!(git.status().expect("git is installed").success());
        }
    }

    fn works(&self, program: Program) {
        let output = self.run(program);
        assert!(output.status.success(), "{program:?}: {output:?}");
    }

    fn refused(&self, program: Program) {
        let output = self.run(program);
        assert!(!output.status.success(), "{program:?}: {output:?}");
        let refusals = ["Permission denied", "Too many authentication failures"];
        let text = said(&output);
        assert!(
            refusals.iter().any(|refusal| text.contains(refusal)),
            "{program:?}: {output:?}"
        );
    }

    /// sshpass, for prompts with this text in them.
    fn sshpass(&self, prompt: &str) -> Command {
        let mut command = Command::new("sshpass");
        command.args(["-p", PASSWORD, "-P", prompt, "ssh"]);
        command.arg("-F").arg(&self.config).args(["host", "true"]);
        command
    }

    /// The user got to our prompt, and it came to nothing.
    fn asked_and_sent_no_code_and_no_push(&self) {
        let simulator = &self.scene.simulator;
        assert!(simulator.count("GET", "/devices") > 0);
        self.scene.assert_never_sent(PASSWORD);
        assert_eq!((simulator.codes(), simulator.activations()), (0, 0));
    }

    /// A person logs in, and leaves a master connection.
    fn master(&self) -> Pty {
        let mut command = Command::new("ssh");
        command.arg("-F").arg(&self.config);
        command.args(["-M", "-o", "ControlPersist=no", "host", "echo open; cat"]);
        let mut master = Pty::spawn(command);
        master.expect("Verification code (OneLogin): ");
        master.line("123456");
        master.expect("open");
        master
    }
}

/// sudo of this person, without a terminal.
fn sudo_alone(scene: &Scene, name: &str, arguments: &[&str], input: &str) -> Output {
    let person = scene.person(name);
    let mut command = Command::new("sudo");
    command.args(arguments);
    let mut command = as_person(scene, &person, &command);
    feed(&mut command, input)
}

/// The command in a session without a terminal, as this person.
fn as_person(scene: &Scene, person: &Person, command: &Command) -> Command {
    let mut words = vec!["--wait", "timeout", WATCHDOG];
    let program = command.get_program().to_str().expect("a program is UTF-8");
    words.push(program);
    words.extend(command.get_args().filter_map(|word| word.to_str()));
    scene.stage.command(person, "setsid", &words)
}

/// Runs the command in a session without a terminal, with this input and no more.
fn alone(command: &mut Command, input: &str) -> Output {
    let mut in_session = Command::new("setsid");
    in_session
        .args(["--wait", "timeout", WATCHDOG])
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .envs([
            ("PATH", "/usr/local/bin:/usr/bin:/bin"),
            ("HOME", "/run/pam-host"),
            ("LC_ALL", "C.UTF-8"),
        ])
        .current_dir("/");
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            in_session.env(name, value);
        }
    }
    feed(&mut in_session, input)
}

fn feed(command: &mut Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut stdin = child.stdin.take().expect("the program has an input");
    // A program that does not read its input is none of our business.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("a program ends");
    assert_ne!(
        output.status.code(),
        Some(124),
        "the watchdog fired: {command:?}"
    );
    output
}

fn said(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

/// Puts our line into the service's own stack, as docs/install.md has it for sudo.
fn protect(scene: &Scene, service: &str) {
    let path = Path::new("/etc/pam.d").join(service);
    let stack = fs::read_to_string(&path).expect("the package brings a stack");
    let common = "@include common-auth\n";
    assert!(stack.contains(common), "{stack}");
    let ours = format!("{common}auth required @module@\n");
    scene.stage.stack(service, &stack.replace(common, &ours));
}

/// What a job of a person says when it runs.
struct Job {
    fifo: PathBuf,
}

impl Job {
    fn of(person: &Person) -> Self {
        let fifo = person.home.join("job");
        let _ = fs::remove_file(&fifo);
        mkfifo(&fifo, Mode::S_IRWXU).expect("a fifo can be made");
        chown(&fifo, Some(person.id), Some(person.id)).expect("a fifo can change hands");
        Self { fifo }
    }

    fn command(&self) -> String {
        format!("/usr/bin/id -un > {}", self.fifo.display())
    }

    /// Waits until the job has run.
    fn wait(&self) -> String {
        let (to, from) = mpsc::channel();
        let fifo = self.fifo.clone();
        thread::spawn(move || {
            let mut text = String::new();
            let read = File::open(fifo).and_then(|mut fifo| fifo.read_to_string(&mut text));
            let _ = to.send(read.map(|_| text));
        });
        let text = from.recv_timeout(LONG).expect("the job runs");
        text.expect("a fifo can be read").trim().to_owned()
    }
}

/// A daemon, until it is dropped.
struct Daemon(Child);

impl Daemon {
    fn start(program: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(Path::new("/usr/sbin").join(program));
        command.args(arguments).stdin(Stdio::null());
        Self(command.spawn().expect("the daemon is installed"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Seconds; more than anything here takes.
const WATCHDOG: &str = "100";
