//! A login in this terminal: the real libpam, the real module, a simulator in OneLogin's place. No root needed.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead, Write};
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{env, fs, panic, thread};

use nix::unistd::{Uid, User as Account};
use onelogin_simulator::{Device, Factor, Simulator, User};
use pam_host::{Answer, Code, Message, Outcome, Place, Running, Step, ffi};

fn main() -> ExitCode {
    // What the library finds missing is said in one line.
    panic::set_hook(Box::new(|fault| {
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
    match panic::catch_unwind(|| login(arguments)) {
        // A denial is an end like another: the demo has worked.
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(fault)) => {
            eprintln!("pam-demo: {fault}");
            ExitCode::FAILURE
        }
        Err(_) => ExitCode::FAILURE,
    }
}

/// The whole demo.
fn login(arguments: Arguments) -> Result<(), String> {
    let user = user_name()?;
    let phone = Arc::new(Phone::start(&user));
    let place = Place::new();
    // The address as a number: a machine without /etc/hosts does not know localhost.
    let url = format!("https://127.0.0.1:{}", phone.simulator.port());
    place.config_for(&phone.simulator, &[&format!("onelogin.url = {url:?}")]);
    // A stack as on a host: a wrong password ends it. pam_unix would ask for the real password of this account.
    let check = place.write("check-password", CHECK_PASSWORD);
    let first = format!(
        "auth requisite pam_exec.so quiet expose_authtok /bin/sh {}",
        check.display()
    );
    place.service(&arguments.service, &[&first, "auth required @module@"]);
    introduce(&user, &phone, &place, &url);

    let case = place
        .case(&arguments.service)
        .user(user.as_str())
        .tty("/dev/tty")
        .rhost("localhost");
    let mut hand = match arguments.answers {
        Some(answers) => Hand::Scripted(answers),
        None => Hand::Typing(Keyboard::start(&phone)),
    };
    let outcome = converse(case.watchdog(PATIENCE).spawn(), &phone, &mut hand)?;
    conclude(&outcome);
    Ok(())
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

fn introduce(user: &str, phone: &Phone, place: &Place, url: &str) {
    println!(
        "This is a login of \"{user}\" by this machine's own libpam and {}.",
        place.module().display()
    );
    println!("{url} simulates OneLogin. Lines with {PHONE} are what your phone shows.");
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
                let line = keyboard.lines.recv().ok();
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
    lines: Receiver<String>,
}

impl Keyboard {
    fn start(phone: &Arc<Phone>) -> Self {
        let (to, lines) = mpsc::channel();
        let phone = Arc::clone(phone);
        thread::spawn(move || {
            for line in io::stdin().lock().lines().map_while(Result::ok) {
                if !line.starts_with('!') {
                    if to.send(line).is_err() {
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
        });
        Self { lines }
    }
}

struct Arguments {
    service: String,
    answers: Option<VecDeque<String>>,
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut arguments = Self {
            service: "demo".to_owned(),
            answers: None,
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} wants a value"));
            match word.as_str() {
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
const PASSWORD: &str = "demo";
/// For `pam_exec`, which gives it the password.
const CHECK_PASSWORD: &str = "[ \"$(tr -d '\\0')\" = demo ]\n";
const PATIENCE: Duration = Duration::from_secs(3600);
const USAGE: &str = "\
usage: pam-demo [--service NAME] [--answers 'A;B;C' | --script FILE|-]

A login in this terminal, with the real libpam and a simulated OneLogin.

  --service NAME  the PAM service [default: demo]; with sudo, a push needs no further key
  --answers       answers to the prompts, without a keyboard: the password is demo, $sms is the code of the last text
                  message, $totp that of the authenticator app; !approve and !deny answer a push
  --script        the same from a file, one answer a line; - is standard input
  -h, --help      this text";
