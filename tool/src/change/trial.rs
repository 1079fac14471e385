//! A trial login: through the real libpam, with stacks that are not in place yet. A child process sees them
//! in a mount namespace of its own, in place of the old ones; nothing is written to `/etc`. The log messages
//! of the module pass through this process, so that it knows the decision.

use crate::change::plan::Planned;
use crate::change::sandbox::{Scratch, own_program, private_mounts};
use crate::host::files;
use crate::host::programs::clean;
use crate::outcome::{Exit, Failure};
use crate::pam_stack::edit::Behind;
use crate::ui::console::Console;
use crate::ui::terminal::{hold_interrupts, line};
use clap::Args;
use nix::mount::{MsFlags, mount};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid, User, setresuid};
use nonstick::items::ItemsMut as _;
use nonstick::{
    AuthnFlags, Conversation, EnvironMapMut as _, ErrorCode, PamShared as _, Transaction as _,
    TransactionBuilder, conv::Exchange,
};
use pam_onelogin::host::interrupt_is_pending;
use pam_onelogin::reason::Reason;
use pam_onelogin::text::printable;
use std::cell::Cell;
use std::ffi::{OsStr, OsString};
use std::net::Shutdown;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::thread;

/// The options of the child process.
#[derive(Args)]
pub(crate) struct Options {
    service: String,
    user: String,
    #[arg(long)]
    behind: Behind,
    /// Folder with the new files, by number, and the log socket
    #[arg(long)]
    folder: PathBuf,
    /// Files that the new files replace, in the same order
    #[arg(long)]
    over: Vec<PathBuf>,
}

/// A login to try.
pub(crate) struct Trial<'a> {
    /// A service that uses the new files.
    pub(crate) service: &'a str,
    pub(crate) user: &'a User,
    pub(crate) behind: Behind,
    pub(crate) plans: &'a [Planned],
}

/// Why a trial login succeeded, as it should.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    /// OneLogin accepted.
    Accepted,
    /// The configuration exempts the user: OneLogin was not asked.
    Exempt,
    /// Observe mode applies: the user was not asked.
    Observed,
}

impl Trial<'_> {
    /// Runs it at this terminal.
    pub(crate) fn run(&self, console: &Console) -> Result<Passed, Failure> {
        if self.user.uid.is_root() && is_setuid(self.service) {
            return Err(Failure::new(
                "sudo and su do not ask root for a second factor; pass an ordinary user: --user NAME",
            ));
        }
        if !Path::new(LOG).exists() {
            return Err(Failure::new(format!(
                "{LOG} does not exist, so the trial login cannot read the decision of the module; start \
                 systemd-journald or a syslog daemon, or skip the trial login: --no-trial"
            )));
        }
        let scratch = Scratch::make()?;
        let mut over = Vec::new();
        let replaced = self
            .plans
            .iter()
            .filter_map(|plan| Some((plan, plan.replaced()?)));
        for (number, (plan, path)) in replaced.enumerate() {
            files::put(&numbered(&scratch.0, number), &plan.after, &plan.metadata())?;
            over.extend([OsString::from("--over"), path.into_os_string()]);
        }
        let log = LogTap::open(&scratch.0.join("log"))?;
        let name = printable(&self.user.name);
        let first = match self.behind {
            Behind::Key => "for OneLogin, as after a key".to_owned(),
            Behind::Password => format!("for the password of {name}, then for OneLogin"),
        };
        console.note(&format!(
            "Trial login as {name} through the new stack of {}. It asks {first}. This is a real login: it uses \
             up a code.",
            self.service
        ));
        let failed = |error| Failure::new(format!("the trial login cannot start: {error}"));
        let mut child = clean(own_program()?)
            .args(["trial", self.service, self.user.name.as_str(), "--folder"])
            .arg(&scratch.0)
            .args(over)
            .args(["--behind", self.behind_word()])
            .spawn()
            .map_err(failed)?;
        // Ctrl-C before there was the child, which this process holds back, is meant for it, too.
        if let (true, Ok(pid)) = (interrupt_is_pending(), i32::try_from(child.id())) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGINT);
        }
        let status = child.wait().map_err(failed)?;
        let said = log.finish();
        if status.code() == Some(COULD_NOT) || status.signal().is_some() {
            return Err(Failure::new(format!(
                "the trial login could not run ({status}); to skip it, pass --no-trial"
            )));
        }
        passed(&name, status.success(), &said)
    }

    fn behind_word(&self) -> &'static str {
        match self.behind {
            Behind::Key => "key",
            Behind::Password => "password",
        }
    }
}

/// What the result of a trial login and its log lines mean.
fn passed(user: &str, was_let_in: bool, said: &[String]) -> Result<Passed, Failure> {
    let decision = said.iter().rev().find(|line| {
        let events = ["accepted", "denied", "exempt", "let in", "observed"];
        events.iter().any(|event| line.starts_with(event))
    });
    let failure = |first: &str| {
        let mut sentences = vec![first.to_owned()];
        sentences.extend(said.iter().map(|line| format!("log of the module: {line}")));
        Err(Failure(sentences))
    };
    let Some(decision) = decision else {
        return failure(if was_let_in {
            "the trial login succeeded, but OneLogin was not asked: this stack would change nothing for \
             this user"
        } else {
            "the trial login failed before OneLogin was asked: the password was wrong, or the module is \
             not installed where libpam looks for it"
        });
    };
    match (was_let_in, decision.split([' ', ',']).next()) {
        (true, Some("accepted")) => Ok(Passed::Accepted),
        (true, Some("exempt")) => Ok(Passed::Exempt),
        (true, Some("observed")) => Ok(Passed::Observed),
        (true, _) => failure("the trial login succeeded without a decision by OneLogin"),
        (false, Some("accepted" | "exempt" | "observed")) => {
            failure("OneLogin accepted the trial login, but another line of the stack denied it")
        }
        (false, _) => failure(&denied(user, decision)),
    }
}

/// Why the trial login was denied, by its line in the log, and what to do.
fn denied(user: &str, decision: &str) -> String {
    let word = decision
        .split(' ')
        .find_map(|it| it.strip_prefix("reason="));
    let reason = word.and_then(|word| Reason::all().find(|reason| reason.word() == word));
    let reset = format!("to reset the limits, as root, type: pam-onelogin limits reset {user}");
    let (why, advice) = match reason {
        Some(Reason::PushDenied) => (
            "the push was denied on the phone, and this counts against the limits of this user",
            reset,
        ),
        Some(
            Reason::PushDeniedLately
            | Reason::TooManyCodes
            | Reason::TooManyCodesToday
            | Reason::TooManyChallenges
            | Reason::TooManyChallengesToday
            | Reason::TooManyLookUps,
        ) => ("a limit of this user is reached", reset),
        Some(Reason::PushUnanswered) => (
            "the push was not answered in time",
            "run the command again".to_owned(),
        ),
        Some(Reason::WrongCode) => (
            "OneLogin refused the code",
            "run the command again, with a new code".to_owned(),
        ),
        _ => {
            let advice = format!(
                "to find the cause, as root, type: pam-onelogin test {user}, or: pam-onelogin check"
            );
            return format!("the trial login was denied; {advice}");
        }
    };
    format!("the trial login was denied: {why}; {advice}")
}

/// The child process: mounts the new stacks, takes the ids of the host program, and logs in.
pub(crate) fn run(console: &Console, options: &Options) -> Exit {
    if let Err(failure) = enter(options) {
        for sentence in failure.0 {
            console.fault(&sentence);
        }
        std::process::exit(COULD_NOT);
    }
    if options.service.starts_with("sudo") {
        hold_interrupts();
    }
    match log_in(console, options) {
        Ok(()) => Exit::Good,
        Err(code) => {
            console.note(&format!("libpam: {code}"));
            Exit::Bad
        }
    }
}

/// Mounts the new files, and takes the ids of the host program.
fn enter(options: &Options) -> Result<(), Failure> {
    let failed = |what: &str, errno: nix::Error| {
        Failure::new(format!(
            "the trial login cannot start: {what}: {}",
            errno.desc()
        ))
    };
    private_mounts()?;
    let none: Option<&str> = None;
    let bind = |from: &Path, to: &Path| {
        mount(Some(from), to, none, MsFlags::MS_BIND, none)
            .map_err(|errno| failed(&to.display().to_string(), errno))
    };
    for (number, path) in options.over.iter().enumerate() {
        bind(&numbered(&options.folder, number), path)?;
    }
    bind(&options.folder.join("log"), Path::new(LOG))?;
    if is_setuid(&options.service) {
        let user = User::from_name(&options.user).ok().flatten();
        let uid = user
            .ok_or_else(|| Failure::new("the user does not exist"))?
            .uid;
        let root = Uid::from_raw(0);
        setresuid(uid, root, root).map_err(|errno| failed("setting the user ids", errno))?;
    }
    Ok(())
}

/// Logs in as the host program would.
fn log_in(console: &Console, options: &Options) -> nonstick::Result<()> {
    let talk = TrialConversation {
        console,
        answers: Cell::new(0),
    };
    let mut login = TransactionBuilder::new_with_service(&options.service)
        .username(&options.user)
        .build(talk)?;
    let ssh = options.service == "sshd";
    let tty = if ssh {
        OsString::from("ssh")
    } else {
        terminal()
    };
    login.items_mut().set_tty_name(Some(&tty))?;
    if ssh {
        // A connection of its own, so that a denial is remembered for this run alone.
        let connection = format!("127.0.0.1 {} 127.0.0.1 22", std::process::id());
        login
            .items_mut()
            .set_remote_host(Some(OsStr::new("127.0.0.1")))?;
        login.environ_mut().insert("SSH_CONNECTION", connection);
        if options.behind == Behind::Key {
            login
                .environ_mut()
                .insert("SSH_AUTH_INFO_0", "publickey trial\n");
        }
    } else if is_setuid(&options.service) {
        login
            .items_mut()
            .set_remote_user(Some(OsStr::new(&options.user)))?;
    }
    login.authenticate(AuthnFlags::empty())?;
    login.account_management(AuthnFlags::empty())
}

/// The questions of the stack, at this terminal.
struct TrialConversation<'a> {
    console: &'a Console,
    /// How many prompts were answered: a stack must not ask endlessly.
    answers: Cell<u32>,
}

impl Conversation for TrialConversation<'_> {
    fn communicate(&self, messages: &[Exchange<'_>]) {
        for message in messages {
            match message {
                Exchange::Prompt(asked) => {
                    asked.set_answer(self.ask(asked.question(), false));
                }
                Exchange::MaskedPrompt(asked) => {
                    asked.set_answer(self.ask(asked.question(), true));
                }
                Exchange::Info(told) => {
                    self.console.note(&shown(told.question()));
                    told.set_answer(Ok(()));
                }
                Exchange::Error(told) => {
                    self.console.note(&shown(told.question()));
                    told.set_answer(Ok(()));
                }
                other => other.set_error(ErrorCode::ConversationError),
            }
        }
    }
}

impl TrialConversation<'_> {
    fn ask(&self, question: &OsStr, is_secret: bool) -> nonstick::Result<OsString> {
        self.answers.set(self.answers.get() + 1);
        if self.answers.get() > MAX_ANSWERS {
            return Err(ErrorCode::ConversationError);
        }
        let answer = line(self.console, &shown(question), is_secret);
        let answer = answer.ok_or(ErrorCode::ConversationError)?;
        if answer.contains(&0) {
            return Err(ErrorCode::ConversationError);
        }
        Ok(OsString::from_vec(answer.to_vec()))
    }
}

/// Prompts may have several lines.
fn shown(text: &OsStr) -> String {
    let text = text.to_string_lossy();
    text.split('\n')
        .map(printable)
        .collect::<Vec<_>>()
        .join("\n")
}

/// A file in the scratch folder.
fn numbered(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("file-{number}"))
}

/// Reads the log messages of the child, and passes them on.
struct LogTap {
    socket: UnixDatagram,
    reader: thread::JoinHandle<Vec<String>>,
}

impl LogTap {
    fn open(path: &Path) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| Failure::at(path, error);
        let socket = UnixDatagram::bind(path).map_err(failed)?;
        let copy = socket.try_clone().map_err(failed)?;
        let reader = thread::spawn(move || read_log(&copy));
        Ok(Self { socket, reader })
    }

    /// The messages of the module.
    fn finish(self) -> Vec<String> {
        let _ = self.socket.shutdown(Shutdown::Both);
        self.reader.join().unwrap_or_default()
    }
}

fn read_log(socket: &UnixDatagram) -> Vec<String> {
    let real = UnixDatagram::unbound().ok();
    let mut said = Vec::new();
    let mut buffer = vec![0; MAX_RECORD];
    while let Ok(length @ 1..) = socket.recv(&mut buffer) {
        let record = buffer.get(..length).unwrap_or_default();
        if let Some(real) = &real {
            let _ = real.send_to(record, LOG);
        }
        let text = String::from_utf8_lossy(record);
        let line = text.split_once("pam_onelogin(");
        if let Some((_, line)) = line.and_then(|(_, rest)| rest.split_once("): ")) {
            said.push(printable(line));
        }
    }
    said
}

/// Whether the program is setuid: sudo and su run as root, and their real user is the caller.
fn is_setuid(service: &str) -> bool {
    service.starts_with("su")
}

/// The name of this terminal.
fn terminal() -> OsString {
    let found = std::fs::read_link("/proc/self/fd/0");
    let found = found.ok().filter(|path| path.starts_with("/dev"));
    found
        .unwrap_or_else(|| PathBuf::from("/dev/tty"))
        .into_os_string()
}

const LOG: &str = "/dev/log";
/// The exit code of a child that could not start the login.
const COULD_NOT: i32 = 3;
const MAX_ANSWERS: u32 = 30;
const MAX_RECORD: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(was_let_in: bool, said: &[&str]) -> Result<Passed, String> {
        let said: Vec<_> = said.iter().map(|line| (*line).to_owned()).collect();
        passed("alice", was_let_in, &said).map_err(|failure| failure.0.join("\n"))
    }

    #[test]
    fn only_a_login_that_onelogin_accepted_or_the_configuration_exempts_passes() {
        assert_eq!(judged(true, &["accepted user=a"]), Ok(Passed::Accepted));
        assert_eq!(judged(true, &["exempt user=a"]), Ok(Passed::Exempt));
        for (was_let_in, line) in [
            (true, "let in by failmode=safe user=a"),
            (true, "denied user=a"),
            (false, "denied user=a reason=credential"),
            (false, "accepted user=a"),
            (false, "exempt user=a"),
        ] {
            let said = judged(was_let_in, &[line]).unwrap_err();
            assert!(said.contains(line), "{said}");
        }
        for (reason, advice) in [
            (
                "push-denied",
                "denied on the phone, and this counts against the limits of this user; to reset",
            ),
            (
                "push-denied-lately",
                "type: pam-onelogin limits reset alice",
            ),
            ("too-many-codes", "type: pam-onelogin limits reset alice"),
            ("wrong-code", "run the command again, with a new code"),
            ("credential", "type: pam-onelogin test alice"),
        ] {
            let line = format!("denied user=a reason={reason} factor=push");
            let said = judged(false, &[&line]).unwrap_err();
            assert!(said.contains(advice), "{said}");
        }
        let unasked = judged(true, &["fault=\"x\""]).unwrap_err();
        assert!(unasked.contains("OneLogin was not asked"), "{unasked}");
        let refused = judged(false, &[]).unwrap_err();
        assert!(refused.contains("before OneLogin was asked"), "{refused}");
    }
}
