//! A login in this terminal: the real libpam, the real module, a simulator in OneLogin's place; on request with a gateway between
//! both. No root needed.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead, Write};
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{env, fs, panic, thread};

use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::{Pid, Uid, User as Account};
use onelogin_simulator::{Device, Factor, Request, Simulator, User};
use pam_host::gateway::Keeper;
use pam_host::{Answer, Code, Flaw, Gateway, Message, Outcome, Pki, Place, Running, Step, ffi};

fn main() -> ExitCode {
    let (to, lines) = mpsc::channel();
    let interrupt = Interrupt::start(to.clone());
    // What the library finds missing is said in one line.
    let is_over = Arc::clone(&interrupt);
    panic::set_hook(Box::new(move |fault| {
        // The process of the login was ended here.
        if is_over.is_set() {
            return;
        }
        let payload = fault.payload();
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text
            .or_else(|| payload.downcast_ref::<&str>().copied())
            .unwrap_or("a fault without words");
        eprintln!("pam-demo: {text}");
    }));
    if env::args()
        .skip(1)
        .any(|word| word == "--help" || word == "-h")
    {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let arguments = match Arguments::parse(env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(fault) => {
            eprintln!("pam-demo: {fault}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let demo = Demo {
        interrupt: Arc::clone(&interrupt),
        to,
        lines,
    };
    let ended = panic::catch_unwind(AssertUnwindSafe(|| demo.run(arguments)));
    match ended {
        _ if interrupt.is_set() => ExitCode::from(130),
        // A denial is an end like another: the demo has worked.
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(fault)) => {
            eprintln!("pam-demo: {fault}");
            ExitCode::FAILURE
        }
        Err(_) => ExitCode::FAILURE,
    }
}

/// What ends the demo, and the lines that are typed.
struct Demo {
    interrupt: Arc<Interrupt>,
    to: Sender<Option<String>>,
    lines: Receiver<Option<String>>,
}

impl Demo {
    /// The whole demo.
    fn run(self, arguments: Arguments) -> Result<(), String> {
        let user = user_name()?;
        let phone = Arc::new(Phone::start(&user));
        let place = Place::new();
        // The address as a number: a machine without /etc/hosts does not know localhost.
        let url = format!("https://127.0.0.1:{}", phone.simulator.port());
        let gateway = arguments
            .gateway
            .then(|| Site::start(&phone.simulator, &url, &place));
        if gateway.is_none() {
            place.config_for(&phone.simulator, &[&format!("onelogin.url = {url:?}")]);
        }
        // A stack as on a host: a wrong password ends it. pam_unix would ask for the real password of this account.
        let check = place.write("check-password", CHECK_PASSWORD);
        let first = format!(
            "auth requisite pam_exec.so quiet expose_authtok /bin/sh {}",
            check.display()
        );
        place.service(&arguments.service, &[&first, "auth required @module@"]);
        introduce(&user, &phone, &place, &url, gateway.as_ref());

        let case = place
            .case(&arguments.service)
            .user(user.as_str())
            .tty("/dev/tty")
            .rhost("localhost");
        let mut hand = match arguments.answers {
            Some(answers) => Hand::Scripted(answers),
            None => Hand::Typing(Keyboard::start(&phone, self.to, self.lines)),
        };
        let running = case.watchdog(PATIENCE).spawn();
        self.interrupt.ends(&running)?;
        let outcome = converse(running, &phone, &mut hand)?;
        conclude(&outcome);
        gateway.map_or(Ok(()), |gateway| gateway.conclude(&phone.simulator))
    }
}

/// Ctrl-C, SIGTERM and SIGHUP end the login. The demo then ends as always, so that no process and no file of it stays.
struct Interrupt {
    is_set: AtomicBool,
    login: Mutex<Option<Pid>>,
}

impl Interrupt {
    /// Must come before the first thread, which would get the signals otherwise. A prompt that waits gets no line.
    fn start(to: Sender<Option<String>>) -> Arc<Self> {
        let interrupt = Arc::new(Self {
            is_set: AtomicBool::new(false),
            login: Mutex::new(None),
        });
        let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]
            .into_iter()
            .collect();
        if signals.thread_block().is_ok() {
            let copy = Arc::clone(&interrupt);
            thread::spawn(move || {
                while signals.wait().is_ok() {
                    let login = lock(&copy.login);
                    copy.is_set.store(true, Ordering::SeqCst);
                    if let Some(login) = *login {
                        let _ = kill(login, Signal::SIGKILL);
                    }
                    let _ = to.send(None);
                }
            });
        }
        interrupt
    }

    fn is_set(&self) -> bool {
        self.is_set.load(Ordering::SeqCst)
    }

    /// From now on it ends this login.
    fn ends(&self, running: &Running) -> Result<(), String> {
        let pid = i32::try_from(running.pid()).map_err(|error| error.to_string())?;
        *lock(&self.login) = Some(Pid::from_raw(pid));
        if self.is_set() {
            return Err("interrupted".to_owned());
        }
        Ok(())
    }
}

/// A gateway between this host and OneLogin.
struct Site {
    gateway: Gateway,
    _keeper: Keeper,
    /// How many calls reached OneLogin before the login.
    before: usize,
}

impl Site {
    /// Starts it, and writes the configuration of a host that uses it.
    fn start(simulator: &Simulator, url: &str, place: &Place) -> Self {
        let pki = Pki::new();
        let gateway = Gateway::start(url, simulator.ca_pem(), &pki, &[], &[]);
        let keeper = gateway.keep_token();
        let host = pki.host("demo.hosts.test", 0x0A01, Flaw::None);
        let pem = host.certificate + &host.key;
        let path = |name: &str, text: &str| place.write(name, text).display().to_string();
        let pem = path("etc/host.pem", &pem);
        place.config(format!(
            "state_dir = {:?}\n\n[onelogin]\nurl = \"https://127.0.0.1:{}\"\nca_file = {:?}\n\
             client_cert = {pem:?}\nclient_key = {pem:?}\n",
            place.state_path().display().to_string(),
            gateway.port(),
            path("etc/gateway-ca.pem", pki.gateways_ca()),
        ));
        Self {
            gateway,
            _keeper: keeper,
            before: simulator.requests().len(),
        }
    }

    /// What reached OneLogin, and what the gateway has logged.
    fn conclude(&self, simulator: &Simulator) -> Result<(), String> {
        let calls = simulator.requests();
        let (before, during) = calls.split_at(self.before.min(calls.len()));
        let through: Vec<_> = during.iter().filter(|call| is_gateways(call)).collect();
        println!();
        println!("What reached OneLogin:");
        show_calls(before.iter().chain(during));
        let tokens = during.iter().filter(|call| is_token_call(call)).count();
        if tokens > 0 {
            return Err(format!("token calls during the login: {tokens}"));
        }
        println!("The login made no token call: this host has no API credential.");
        println!();
        let log = self.log(through.len());
        let last = log
            .iter()
            .rev()
            .find(|line| !line.contains("\"kind\":\"poll\""));
        match last {
            Some(line) => {
                let count = log.len();
                println!(
                    "Lines in the log of the gateway: {count}, without user names, codes and tokens."
                );
                println!("The last one that is not about a poll:");
                println!("{GATEWAY} {line}");
            }
            None => println!("The gateway has logged no request."),
        }
        Ok(())
    }

    /// The lines of the gateway's log about requests, with this many that reached OneLogin. `HAProxy` writes a line after the reply.
    fn log(&self, calls: usize) -> Vec<String> {
        let mut lines = Vec::new();
        for _ in 0..1000 {
            // By the time that it answers, it has done more of its other work.
            self.gateway.admin("show info");
            let log = self.gateway.log();
            lines = log
                .lines()
                .filter(|line| line.contains("\"kind\":"))
                .map(str::to_owned)
                .collect();
            if lines.len() >= calls {
                break;
            }
        }
        lines
    }
}

/// The calls, one a line; polls of the same verification once.
fn show_calls<'a>(calls: impl Iterator<Item = &'a Request>) {
    let mut lines: Vec<(String, usize)> = Vec::new();
    for call in calls {
        let from = if is_gateways(call) {
            "gateway"
        } else {
            "token keeper of the gateway"
        };
        let line = format!("{} {}, from the {from}", call.method, call.target());
        match lines.last_mut() {
            Some((last, times)) if *last == line => *times += 1,
            _ => lines.push((line, 1)),
        }
    }
    for (line, times) in lines {
        let times = if times > 1 {
            format!(" ({times} times)")
        } else {
            String::new()
        };
        println!("{ONELOGIN} {line}{times}");
    }
}

/// Whether a call came through the gateway, which sets this header in place of the host's.
fn is_gateways(call: &Request) -> bool {
    let agent = call.user_agent.as_deref().unwrap_or_default();
    agent.starts_with("pam_onelogin-gateway/")
}

fn is_token_call(call: &Request) -> bool {
    call.method == "POST" && call.path.starts_with("/auth/")
}

/// Shows what the module shows, until the login has ended.
fn converse(mut running: Running, phone: &Phone, hand: &mut Hand) -> Result<Outcome, String> {
    loop {
        match running.step() {
            Step::Shown(message) => {
                println!("{}", message.text);
                hand.act(phone)?;
            }
            Step::Prompt(message) => {
                let answer = hand.answer(&message, phone)?;
                running.reply_with(&answer);
            }
            Step::End(report) => return Ok(running.end(*report)),
        }
    }
}

fn introduce(user: &str, phone: &Phone, place: &Place, url: &str, gateway: Option<&Site>) {
    println!(
        "This is a login of \"{user}\" by this machine's own libpam and {}.",
        place.module().display()
    );
    println!("{url} simulates OneLogin. Lines with {PHONE} are what your phone shows.");
    if let Some(Site { gateway, .. }) = gateway {
        println!(
            "https://127.0.0.1:{} is a gateway: HAProxy, with the configuration that \"pam-onelogin gateway config\" prints.",
            gateway.port()
        );
        println!(
            "This host has a client certificate, and no API credential. The gateway adds the access token."
        );
    }
    println!();
    println!(
        "The password is \"{PASSWORD}\". Then type 1 for a push, !approve to approve it, and Enter."
    );
    println!("Next time, try !deny, a text message (3), or this code:");
    println!("{PHONE} Authenticator app: {}", phone.totp);
    println!("Ctrl-D gives up.");
    println!();
}

fn conclude(outcome: &Outcome) {
    let accepted = outcome
        .runs
        .iter()
        .flatten()
        .all(|called| called.code == Code::SUCCESS);
    println!();
    for line in outcome.decisions() {
        println!("[log] {line}");
    }
    if accepted {
        println!("PAM_SUCCESS: you are logged in.");
    } else {
        println!(
            "{}: the login is denied ({}).",
            outcome.code,
            ffi::meaning(outcome.code)
        );
    }
}

/// The person's telephone, and the OneLogin that it belongs to.
struct Phone {
    simulator: Simulator,
    totp: String,
    text_message: Arc<Mutex<Option<String>>>,
    /// The prompt that waits for an answer, to be shown again after something else was printed.
    prompt: Mutex<Option<String>>,
}

impl Phone {
    fn start(user: &str) -> Self {
        let simulator = Simulator::start();
        let totp = six_digits();
        simulator.add_user(User::new(4711, user));
        let app = Device::authenticator("903", "your app");
        simulator.add_device(4711, app.code(&totp).default(true));
        simulator.add_device(4711, Device::protect("901", "your phone"));
        simulator.add_device(4711, Device::sms("902", "your number"));
        let text_message = Arc::new(Mutex::new(None));
        let last = Arc::clone(&text_message);
        simulator.set_printer(move |message| {
            if message.factor == Factor::Sms {
                *lock(&last) = message.code().map(str::to_owned);
            }
            let advice = if message.factor == Factor::Protect {
                " (!approve or !deny)"
            } else {
                ""
            };
            println!("{PHONE} {message}{advice}");
        });
        Self {
            simulator,
            totp,
            text_message,
            prompt: Mutex::new(None),
        }
    }

    /// Obeys `!approve` and `!deny`.
    fn act(&self, command: &str) -> Result<(), String> {
        let (done, verification) = match command {
            "!approve" => ("approved", self.simulator.approve_latest()),
            "!deny" => ("denied", self.simulator.deny_latest()),
            other => return Err(format!("{other}: the telephone knows !approve and !deny")),
        };
        match verification {
            Some(_) => println!("{PHONE} {done}"),
            None => println!("{PHONE} no push waits for an answer"),
        }
        Ok(())
    }

    fn show(&self, prompt: &str) {
        *lock(&self.prompt) = Some(prompt.to_owned());
        print!("{prompt}");
        let _ = io::stdout().flush();
    }
}

/// Who answers.
enum Hand {
    Scripted(VecDeque<String>),
    Typing(Keyboard),
}

impl Hand {
    /// What a script does on the telephone before the next prompt.
    fn act(&mut self, phone: &Phone) -> Result<(), String> {
        let Self::Scripted(answers) = self else {
            return Ok(());
        };
        while answers
            .front()
            .is_some_and(|answer| answer.starts_with('!'))
        {
            let command = answers.pop_front().unwrap_or_default();
            phone.act(&command)?;
        }
        Ok(())
    }

    fn answer(&mut self, message: &Message, phone: &Phone) -> Result<Answer, String> {
        let prompt = message.text.to_string();
        match self {
            Self::Typing(keyboard) => {
                phone.show(&prompt);
                let line = keyboard.line();
                *lock(&phone.prompt) = None;
                Ok(line.map_or(Answer::Fail, |line| Answer::Text(line.into())))
            }
            Self::Scripted(_) => {
                self.act(phone)?;
                let Self::Scripted(answers) = self else {
                    return Ok(Answer::Fail);
                };
                let Some(answer) = answers.pop_front() else {
                    println!("{prompt}(no answer left)");
                    return Ok(Answer::Fail);
                };
                let text = match answer.as_str() {
                    "$totp" => phone.totp.clone(),
                    "$sms" => lock(&phone.text_message)
                        .clone()
                        .ok_or("$sms: no text message has come yet")?,
                    _ => answer,
                };
                println!("{prompt}{text}");
                Ok(Answer::Text(text.into()))
            }
        }
    }
}

/// Lines from standard input; those with `!` go to the telephone at once, even while the login waits for it.
struct Keyboard {
    lines: Receiver<Option<String>>,
    is_closed: bool,
}

impl Keyboard {
    fn start(
        phone: &Arc<Phone>,
        to: Sender<Option<String>>,
        lines: Receiver<Option<String>>,
    ) -> Self {
        let phone = Arc::clone(phone);
        thread::spawn(move || {
            for line in io::stdin().lock().lines().map_while(Result::ok) {
                if !line.starts_with('!') {
                    if to.send(Some(line)).is_err() {
                        return;
                    }
                    continue;
                }
                if let Err(advice) = phone.act(line.trim()) {
                    println!("{advice}");
                }
                if let Some(prompt) = lock(&phone.prompt).as_deref() {
                    // Of a menu, the last line is enough.
                    print!("{}", prompt.rsplit('\n').next().unwrap_or(prompt));
                    let _ = io::stdout().flush();
                }
            }
            let _ = to.send(None);
        });
        Self {
            lines,
            is_closed: false,
        }
    }

    /// The next line; `None` after Ctrl-D or an interrupt.
    fn line(&mut self) -> Option<String> {
        if self.is_closed {
            return None;
        }
        let line = self.lines.recv().ok().flatten();
        self.is_closed = line.is_none();
        line
    }
}

struct Arguments {
    service: String,
    gateway: bool,
    answers: Option<VecDeque<String>>,
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut arguments = Self {
            service: "demo".to_owned(),
            gateway: false,
            answers: None,
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} wants a value"));
            match word.as_str() {
                "--gateway" => arguments.gateway = true,
                "--service" => arguments.service = value()?,
                "--answers" => {
                    arguments.answers = Some(value()?.split(';').map(str::to_owned).collect());
                }
                "--script" => arguments.answers = Some(read_script(&value()?)?),
                _ => return Err(format!("unknown argument {word}")),
            }
        }
        Ok(arguments)
    }
}

/// The answers of a file, one a line; `-` is standard input.
fn read_script(path: &str) -> Result<VecDeque<String>, String> {
    let text = if path == "-" {
        io::read_to_string(io::stdin())
    } else {
        fs::read_to_string(path)
    };
    let text = text.map_err(|error| format!("{path}: {error}"))?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// The Unix user who runs this: the module asks nothing of OneLogin for names that the system does not know.
fn user_name() -> Result<String, String> {
    let uid = Uid::current();
    match Account::from_uid(uid) {
        Ok(Some(account)) => Ok(account.name),
        Ok(None) => Err(format!("user id {uid} has no name on this system")),
        Err(error) => Err(format!("the name of user id {uid}: {error}")),
    }
}

fn six_digits() -> String {
    format!("{:06}", RandomState::new().hash_one(0) % 1_000_000)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const PHONE: &str = "[phone]";
const ONELOGIN: &str = "[onelogin]";
const GATEWAY: &str = "[gateway]";
const PASSWORD: &str = "demo";
/// For `pam_exec`, which gives it the password.
const CHECK_PASSWORD: &str = "[ \"$(tr -d '\\0')\" = demo ]\n";
const PATIENCE: Duration = Duration::from_secs(3600);
const USAGE: &str = "\
usage: pam-demo [--gateway] [--service NAME] [--answers 'A;B;C' | --script FILE|-]

A login in this terminal, with the real libpam and a simulated OneLogin.

  --gateway       behind a gateway: HAProxy and the keeper of its token; at the end, what has reached OneLogin
  --service NAME  the PAM service [default: demo]; with sudo, a push needs no further key
  --answers       answers to the prompts, without a keyboard: the password is demo, $sms is the code of the last text
                  message, $totp that of the authenticator app; !approve and !deny answer a push
  --script        the same from a file, one answer a line; - is standard input
  -h, --help      this text";
