//! `test USER`: the login that the module would run, in this terminal, with each step shown.

use crate::host::audit;
use crate::host::files::output::Output;
use crate::host::user_selection::{UserSelection, user_names};
use crate::login::observed::ObserveMode;
use crate::login::outlook::{Prediction, fresh, known_as, subject};
use crate::login::recorder::{Recorded, RecordedPrompt, Recorder};
use crate::login::rehearsal::{self, Way};
use crate::login::stored::{age, state};
use crate::login::terminal_login::{log_in, request};
use crate::login::traced_http::{Steps, TracedHttp};
use crate::outcome::{Exit, Failure};
use crate::pam_stack::FOLDERS;
use crate::ui::console::{Console, Paint, paint, table};
use crate::ui::terminal::{Countdown, Terminal, agrees, hold_interrupts};
use crate::verb::Context;
use clap::Args;
use pam_onelogin::clock::unix_now;
use pam_onelogin::config::file::Loaded;
use pam_onelogin::host_login::Decision;
use pam_onelogin::log;
use pam_onelogin::login::{Clock as _, Outcome, Unknown};
use pam_onelogin::map::UserKey;
use pam_onelogin::onelogin::http::RequestTrace;
use pam_onelogin::reason::Reason;
use pam_onelogin::text::{LOG_CHARS, PROMPT_CHARS, clean};
use pam_onelogin::user::Subject;
use pam_onelogin::verdict::{self, Verdict};
use serde::Serialize;
use std::io::{IsTerminal as _, stderr, stdin};
use std::path::{Path, PathBuf};

/// What to try.
#[derive(Args)]
#[command(after_help = "\
This is a real login: it uses up a code, sends a push, counts against limits, and is logged.
It runs without a PAM stack. To check the stacks, type: pam-onelogin check
Exit status: 0 accepted or exempt; 1 denied.")]
pub(crate) struct Options {
    /// Local user
    #[arg(add = user_names())]
    user: String,
    /// Service to act as
    #[arg(long, value_name = "NAME", default_value = "sshd")]
    service: String,
    /// Act as if the user has not yet passed a key or password check
    #[arg(long)]
    unproven: bool,
    /// Rehearse an outage: without a network for this command, so that the user needs an offline code; show how each user could log in
    #[arg(long, conflicts_with = "record")]
    offline: bool,
    /// Make a tape of the login, without secrets and personal values; asks before it writes FILE
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
}

/// The result for machines.
#[derive(Serialize)]
struct Document<'a> {
    user: String,
    service: String,
    event: &'a str,
    reason: Option<&'a str>,
    detail: Option<&'a str>,
    factor: Option<&'a str>,
    /// The age of user and devices, if they came from the cache.
    cached_seconds: Option<i64>,
    code: String,
    ms: u128,
    requests: Vec<Sent<'a>>,
    /// How each user could log in during an outage: with `--offline`.
    #[serde(skip_serializing_if = "Option::is_none")]
    ways: Option<Vec<Way>>,
}

#[derive(Serialize)]
struct Sent<'a> {
    method: &'a str,
    path: &'a str,
    status: Option<u16>,
    ms: u128,
}

/// Runs the login.
pub(crate) fn run(context: &Context, options: &Options) -> Result<Exit, Failure> {
    let mut loaded = context.load()?;
    let output = options.record.as_deref().map(place_for_tape).transpose()?;
    if output.is_some() {
        // A tape has the look-up, too.
        loaded = fresh(loaded);
    }
    let console = &context.console;
    hold_interrupts();
    let request = request(&options.user, &options.service, !options.unproven);
    let subject = subject(&request, &loaded);
    introduce(context, options, &subject, &loaded);
    if matches!(subject, Err(Outcome::Unknown(Unknown::Account))) && !options.unproven {
        let user = clean(&options.user, PROMPT_CHARS);
        return Err(Failure::new(format!(
            "the user \"{user}\" does not exist on this host"
        )));
    }
    let subject = subject.ok();
    let (ways, way) = if options.offline {
        let ways = rehearse(console, &loaded)?;
        let way = rehearsal::ways(&loaded, std::iter::once(&options.user)).pop();
        (Some(ways), way)
    } else {
        (None, None)
    };
    let unhidden = Recorder::unhidden(&options.user, subject.as_ref());
    if let (Some(_), Some(name)) = (&output, unhidden) {
        let name = clean(name, PROMPT_CHARS);
        return Err(Failure::new(format!(
            "a tape cannot hide the name \"{name}\", because it is a word of OneLogin's protocol, too; record the login of another user"
        )));
    }
    let age = subject
        .as_ref()
        .and_then(|subject| age(subject, &loaded.config, &state(&loaded)));
    let recorder = output
        .as_ref()
        .map(|_| Recorder::new(&loaded, &options.user, subject.as_ref()));
    let clock = Countdown::start(console);
    let mut transport = TracedHttp::new(&loaded.config, console, &clock, Steps::Shown);
    if let Some(recorder) = &recorder {
        transport = transport.seen_by(recorder);
    }
    let mut prompt = RecordedPrompt {
        prompt: &mut Terminal(console),
        recorder: recorder.as_ref(),
    };
    let decision = log_in(&request, &loaded, &clock, &mut prompt, &mut transport);
    let ms = clock.elapsed().as_millis();
    let traces = transport.into_traces();
    let verdict = verdict::of(&decision.report.outcome, decision.here);
    let facts = decision.facts(&request, &traces, ms);
    let line = log::decision(&verdict, &facts);
    audit::leave(verdict.level, &line);
    let is_believed = decision.report.onelogin_id.is_some()
        && !traces.iter().any(|it| it.path.ends_with("devices"));
    let cached_seconds = age.filter(|_| is_believed);
    if let Some(age) = cached_seconds {
        let most = loaded.config.users.cache.as_secs();
        console.note(&format!(
            "User and devices come from the cache, looked up {age} s ago (users.cache = {most})."
        ));
    }
    let code = format!("{:?}", verdict.code);
    let line = format!("{line}\nThe module would return {code}.");
    conclude(console, options, &decision, &verdict, &line, way.as_ref());
    console.document(&Document {
        user: clean(&options.user, PROMPT_CHARS),
        service: clean(&options.service, PROMPT_CHARS),
        event: verdict.event.word(),
        reason: verdict.reason.map(Reason::word),
        detail: verdict.detail.as_deref(),
        factor: decision.report.factor,
        cached_seconds,
        code,
        ms,
        requests: traces.iter().map(Sent::of).collect(),
        ways,
    });
    if let (Some(output), Some(recorder)) = (output, recorder) {
        let login = Recorded {
            service: &options.service,
            proven: decision.here.proven,
            mapped: subject.is_some_and(|it| matches!(it.key, Ok(UserKey::Id(_)))),
            factor: decision.report.factor,
        };
        let tape = recorder.finish(&loaded, &login, &verdict);
        offer(console, options, &output, tape)?;
    }
    Ok(if verdict.is_denial() {
        Exit::Bad
    } else {
        Exit::Good
    })
}

/// Takes the network away from this command, and shows how each user could log in.
fn rehearse(console: &Console, loaded: &Loaded) -> Result<Vec<Way>, Failure> {
    let users = UserSelection::default().names()?;
    rehearsal::cut_off()?;
    let ways = rehearsal::ways(loaded, users.iter());
    let rows = ways.iter().map(|way| [way.user.clone(), way.text.clone()]);
    console.note(&format!(
        "This is a rehearsal: only this command has no network. If OneLogin could not be reached, users could log in like \
         this:\n\n{}\n\nNow the login. An offline code is used up, as in a real outage; press Enter to stop.",
        table(rows).trim_end()
    ));
    Ok(ways)
}

/// Where the tape will be written. All that can be refused is refused before the login, which is a real one.
fn place_for_tape(path: &Path) -> Result<Output, Failure> {
    if !stdin().is_terminal() || !stderr().is_terminal() {
        let text = "--record shows the tape and asks before it writes it, so it needs a terminal";
        return Err(Failure::new(text));
    }
    let output = Output::at(path).map_err(|mut failure| {
        if let Some(advice) = failure.0.get_mut(1) {
            "name a file in a folder that only root can write to".clone_into(advice);
        }
        failure
    })?;
    if output.existing()?.is_some() {
        return Err(exists(path));
    }
    Ok(output)
}

fn exists(path: &Path) -> Failure {
    Failure::at(path, "exists already; pass another file")
}

/// Shows the tape, and writes it if the user agrees.
fn offer(
    console: &Console,
    options: &Options,
    output: &Output,
    tape: Option<String>,
) -> Result<(), Failure> {
    let path = options.record.as_deref().unwrap_or(Path::new(""));
    let Some(tape) = tape else {
        let text = "the tape was not written, because a secret or personal value may still be in it; \
                    this is a bug of pam-onelogin: please report it";
        return Err(Failure::new(text));
    };
    let shown = clean(&path.display().to_string(), LOG_CHARS);
    console.note(&format!(
        "\nThe tape. Each value of your account is replaced by a placeholder such as {{text #1}}. Send the file, not a \
         copy of this screen: the lines above have real values.\n\n{tape}"
    ));
    if !agrees(console, &format!("Write this to {shown}?")) {
        console.note("The tape was not written.");
        return Ok(());
    }
    if !output.create(tape.as_bytes(), TAPE_MODE)? {
        return Err(exists(path));
    }
    console.note(&format!(
        "{shown}: written. To send it to the developers of pam_onelogin, see tape.md in the documentation."
    ));
    Ok(())
}

/// Only the user who recorded a tape can read it, until they send it.
const TAPE_MODE: u32 = 0o600;

/// Shows the user, the service and the settings of the login.
fn introduce(
    context: &Context,
    options: &Options,
    subject: &Result<Subject, Outcome>,
    loaded: &Loaded,
) {
    let console = &context.console;
    let user = clean(&options.user, PROMPT_CHARS);
    console.note(&format!(
        "Login of {} to {}, with {}, at {}. This is a real login: it uses up codes and counts against limits.",
        paint(Paint::Bold, &user),
        clean(&options.service, PROMPT_CHARS),
        context.config.display(),
        loaded.config.onelogin.origin
    ));
    let text = match subject {
        Ok(subject) => format!("Looked up by {}.", known_as(subject, &loaded.config)),
        Err(outcome) => {
            let prediction = Prediction::of_end_for(outcome, &options.user, &loaded.config.users);
            format!("{user} {}.", prediction.sentence())
        }
    };
    console.note(&text);
    let observe = ObserveMode::of(&loaded.config, loaded.dates(unix_now()));
    if let Some(observe) = observe.filter(ObserveMode::applies) {
        let text = format!(
            "This command asks, but logins do not: {}.",
            observe.sentence()
        );
        console.note(&paint(Paint::Warning, &text));
    }
    let has_stack = |folder: &&str| Path::new(folder).join(&options.service).is_file();
    if !FOLDERS.iter().any(has_stack) {
        let text = format!(
            "This host has no PAM stack of this name: {}.",
            clean(&options.service, PROMPT_CHARS)
        );
        console.note(&paint(Paint::Warning, &text));
    }
}

/// Shows the result, and what to type next; in a rehearsal by the `way` of this user.
fn conclude(
    console: &Console,
    options: &Options,
    decision: &Decision,
    verdict: &Verdict,
    line: &str,
    way: Option<&Way>,
) {
    for remark in &decision.remarks {
        console.note(&paint(Paint::Warning, remark));
    }
    if let Some(words) = verdict.words {
        console.note(words);
    }
    if verdict.is_denial() {
        console.say(&paint(Paint::Bad, line));
        let user = clean(&options.user, PROMPT_CHARS);
        let outcome = &decision.report.outcome;
        let advice = match way {
            Some(way) if matches!(outcome, Outcome::Unavailable(_)) => Some(way.advice(&user)),
            _ => Prediction::of_end(outcome).advice(&user),
        };
        if let Some(advice) = advice {
            console.note(&advice);
        }
    } else {
        console.say(&paint(Paint::Good, line));
    }
    let service = clean(&options.service, PROMPT_CHARS);
    let text = format!(
        "Not tested: the PAM stack of {service}, and the first factor. To check the stack, type: pam-onelogin check"
    );
    console.note(&paint(Paint::Dim, &text));
}

impl<'a> Sent<'a> {
    fn of(trace: &'a RequestTrace) -> Self {
        Self {
            method: trace.method,
            path: &trace.path,
            status: trace.status,
            ms: trace.time.as_millis(),
        }
    }
}
