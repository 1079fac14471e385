//! `test USER`: the login that the module would run, in this terminal, with each step shown.

use super::carrier::{Steps, Watched};
use super::console::{Paint, paint};
use super::survey::{Fate, known_as, subject};
use super::terminal::{Countdown, Terminal, hold_interrupts};
use super::{Context, Exit, Trouble};
use crate::attempt::Attempt;
use crate::config::file::Loaded;
use crate::host::{process_identity, uids};
use crate::log::{self, Log};
use crate::login::Clock as _;
use crate::onelogin::http::Exchange;
use crate::secret::Secret;
use crate::text::{PROMPT_CHARS, clean};
use crate::user::Request;
use crate::verdict;
use clap::Args;
use serde::Serialize;

/// What the log calls this host program.
const SERVICE_OF_THE_LOG: &str = "pam-onelogin";

/// What to try.
#[derive(Args)]
pub(super) struct Options {
    /// The local user
    user: String,
    /// The service whose login it is to be like
    #[arg(long, default_value = "sshd")]
    service: String,
    /// As somebody whom no key or password has proven yet
    #[arg(long)]
    unproven: bool,
}

/// The result for machines.
#[derive(Serialize)]
struct Result<'a> {
    user: &'a str,
    service: &'a str,
    event: &'a str,
    reason: Option<&'a str>,
    detail: Option<&'a str>,
    factor: Option<&'a str>,
    /// Whether user and devices were believed without asking.
    cached: bool,
    code: String,
    ms: u128,
    requests: Vec<Sent<'a>>,
}

#[derive(Serialize)]
struct Sent<'a> {
    method: &'a str,
    path: &'a str,
    status: Option<u16>,
    ms: u128,
}

/// Runs the login.
pub(super) fn run(context: &Context, options: &Options) -> std::result::Result<Exit, Trouble> {
    let loaded = context.load()?;
    let console = &context.console;
    hold_interrupts();
    let request = options.request();
    introduce(context, options, &request, &loaded);
    let clock = Countdown::start(console);
    let mut carrier = Watched::new(&loaded.config, console, &clock, Steps::Shown);
    let decision = Attempt {
        request: &request,
        uids: uids(),
        clock: &clock,
        prompt: &mut Terminal(console),
        carrier: &mut carrier,
        is_same_user: &|| true,
        has_stack: false,
    }
    .run(&loaded);
    let ms = clock.elapsed().as_millis();
    let exchanges = carrier.into_exchanges();
    let verdict = verdict::of(&decision.report.outcome, decision.here);
    let facts = decision.facts(&request, &exchanges, ms);
    let line = log::decision(&verdict, &facts);
    Log::open(SERVICE_OF_THE_LOG).line(verdict.level, &line);
    let cached = decision.report.onelogin_id.is_some() && !exchanges.iter().any(lists_devices);
    if cached {
        let seconds = loaded.config.users.cache.as_secs();
        console.note(&format!(
            "User and devices were believed from a look-up of the last {seconds} s (users.cache)."
        ));
    }
    for remark in &decision.remarks {
        console.note(&paint(Paint::Warning, remark));
    }
    if let Some(words) = verdict.words {
        console.note(words);
    }
    let code = format!("{:?}", verdict.code);
    let colour = if verdict.is_denial() {
        Paint::Bad
    } else {
        Paint::Good
    };
    console.say(&format!(
        "{} The module would say {code}.",
        paint(colour, &line)
    ));
    console.note(&paint(
        Paint::Dim,
        &format!(
            "Not tried: the stack of {}, and what it asks before. pam-onelogin check looks at that.",
            clean(&options.service, PROMPT_CHARS)
        ),
    ));
    console.document(&Result {
        user: &options.user,
        service: &options.service,
        event: verdict.event,
        reason: verdict.reason,
        detail: verdict.detail.as_deref(),
        factor: decision.report.factor,
        cached,
        code,
        ms,
        requests: exchanges.iter().map(Sent::of).collect(),
    });
    Ok(if verdict.is_denial() {
        Exit::Bad
    } else {
        Exit::Good
    })
}

impl Options {
    /// What the service would ask.
    fn request(&self) -> Request {
        let is_ssh = self.service == "sshd";
        let is_proven = !self.unproven;
        Request {
            user: Some(self.user.clone()),
            service: self.service.clone(),
            tty: Some(if is_ssh { "ssh" } else { "/dev/tty" }.to_owned()),
            // A connection of its own, so that a denial is remembered for this run alone.
            ssh_connection: is_ssh.then(process_identity),
            ssh_auth_info: is_ssh && is_proven,
            // Somebody has typed a password; which one is nobody's affair.
            password: (!is_ssh && is_proven).then(|| Secret::new(String::new())),
            ..Request::default()
        }
    }
}

/// Says what is going to happen, by which settings, to whom.
fn introduce(context: &Context, options: &Options, request: &Request, loaded: &Loaded) {
    let console = &context.console;
    let user = clean(&options.user, PROMPT_CHARS);
    console.note(&format!(
        "The login of {} as in {}, by {} at {}. It is a real one: codes are used up, limits count.",
        paint(Paint::Bold, &user),
        clean(&options.service, PROMPT_CHARS),
        context.config.display(),
        loaded.config.onelogin.origin
    ));
    let text = match subject(request, loaded) {
        Ok(subject) => format!("Looked up by {}.", known_as(&subject, &loaded.config)),
        Err(outcome) => format!("{user} {}.", Fate::of_end(&outcome).sentence()),
    };
    console.note(&text);
}

fn lists_devices(exchange: &Exchange) -> bool {
    exchange.path.ends_with("devices")
}

impl<'a> Sent<'a> {
    fn of(exchange: &'a Exchange) -> Self {
        Self {
            method: exchange.method,
            path: &exchange.path,
            status: exchange.status,
            ms: exchange.time.as_millis(),
        }
    }
}
