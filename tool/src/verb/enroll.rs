//! `enroll USER`: an administrator enrols a factor for a user who sits next to them, with the code of the
//! enrolment at login. The secret of the new device is shown on this terminal only.

use crate::host::audit;
use crate::host::user_selection::user_names;
use crate::login::outlook::{Prediction, known_as, request, subject, with_login, word};
use crate::login::traced_http::{Steps, TracedHttp};
use crate::outcome::{Exit, Failure};
use crate::ui::console::{Paint, paint};
use crate::ui::terminal::{Countdown, Terminal, hold_interrupts};
use crate::verb::Context;
use clap::Args;
use pam_onelogin::config::{Config, Version};
use pam_onelogin::host::uids;
use pam_onelogin::id::UserId;
use pam_onelogin::login::{Clock as _, Further, Setup, SetupEnd};
use pam_onelogin::onelogin::OneLogin;
use pam_onelogin::state::State;
use pam_onelogin::text::{PROMPT_CHARS, clean, pair};
use pam_onelogin::trust::Trusted;
use pam_onelogin::verdict::Level;
use serde::Serialize;
use std::io::{IsTerminal as _, stderr, stdin};
use std::time::Duration;

/// How long it may take to find the phone and to set up the app.
const TIME: Duration = Duration::from_secs(900);

/// The options.
#[derive(Args)]
#[command(after_help = "\
The secret of the new device is shown on this terminal only.
Exit status: 0 enrolled; 1 not enrolled. Afterwards, type: pam-onelogin test USER")]
pub(crate) struct Options {
    /// Local user
    #[arg(add = user_names())]
    user: String,
    /// Enrol a further device for a user who already has one
    #[arg(long)]
    another: bool,
}

/// The result for machines.
#[derive(Serialize)]
struct Document<'a> {
    user: &'a str,
    onelogin_id: Option<&'a str>,
    enrolled: bool,
    factor: Option<&'static str>,
    reason: Option<&'static str>,
    detail: Option<&'a str>,
    by: &'a str,
    requests: usize,
}

/// The result, for the terminal and the log.
struct End {
    reason: Option<&'static str>,
    detail: Option<String>,
    sentence: String,
    /// What to type next.
    advice: Option<String>,
}

/// Sets the factor up.
pub(crate) fn run(context: &Context, options: &Options) -> Result<Exit, Failure> {
    let mut loaded = context.load()?;
    loaded.config.onelogin.login_timeout = TIME;
    let (config, console) = (&loaded.config, &context.console);
    let user = clean(&options.user, PROMPT_CHARS);
    refuse_where_nobody_can(config)?;
    let subject = subject(&request(&options.user), &loaded)
        .map_err(|outcome| Prediction::of_end(&outcome).failure(&user, ""))?;
    console.note(&format!("Looked up by {}.", known_as(&subject, config)));
    hold_interrupts();
    let state = State::open(&config.state_dir, Trusted::of(uids()));
    let clock = Countdown::start(console);
    let mut transport = TracedHttp::new(config, console, &clock, Steps::Hidden);
    let mut onelogin = OneLogin::new(config, loaded.secrets.as_ref(), &state, &mut transport);
    let further = if options.another {
        Further::Allowed
    } else {
        Further::Refused
    };
    let heading = format!("Choose a factor to enrol for {user}:");
    let mut terminal = Terminal(console);
    let setup = with_login(
        config,
        &state,
        &mut onelogin,
        &mut terminal,
        &clock,
        &subject,
        |login| login.run_setup(&subject, further, &heading),
    );
    let requests = transport.into_traces().len();
    let end = End::of(&setup, &user);
    let by = audit::admin();
    let document = Document {
        user: &user,
        onelogin_id: setup.onelogin_id.as_ref().map(UserId::as_str),
        enrolled: end.reason.is_none(),
        factor: setup.factor,
        reason: end.reason,
        detail: end.detail.as_deref(),
        by: &by,
        requests,
    };
    document.log(clock.elapsed());
    let colour = match end.reason {
        None => Paint::Good,
        Some(_) => Paint::Bad,
    };
    console.say(&paint(colour, &end.sentence));
    if let Some(advice) = &end.advice {
        console.note(advice);
    }
    console.document(&document);
    Ok(match end.reason {
        None => Exit::Good,
        Some(_) => Exit::Bad,
    })
}

/// Refuses without a terminal, and with version 1 of the API.
fn refuse_where_nobody_can(config: &Config) -> Result<(), Failure> {
    if !stdin().is_terminal() || !stderr().is_terminal() {
        let text = "enroll shows the secret of the new device, so it needs a terminal";
        return Err(Failure::new(text));
    }
    if config.onelogin.version == Version::V1 {
        let text = "enroll works only with onelogin.api_version = 2";
        return Err(Failure::new(text));
    }
    Ok(())
}

impl End {
    fn of(setup: &Setup, user: &str) -> Self {
        let no = |reason, sentence, advice| Self {
            reason: Some(reason),
            detail: None,
            sentence,
            advice: Some(advice),
        };
        match &setup.end {
            SetupEnd::Done => Self {
                reason: None,
                detail: None,
                sentence: format!("{user} has a new factor: {}.", setup.factor.unwrap_or("-")),
                advice: Some(format!("To test it, type: pam-onelogin test {}", word(user))),
            },
            SetupEnd::HasSome => no(
                "has-factors",
                format!("{user} has a factor already."),
                format!(
                    "To show it, type: pam-onelogin factors {name}; to add another one, type: pam-onelogin enroll {name} --another",
                    name = word(user)
                ),
            ),
            SetupEnd::NothingToEnrol => no(
                "nothing-to-enrol",
                format!("{user} can enrol no factor that factors.allow allows."),
                "To change that, edit factors.allow on this host, or the policy of the user at OneLogin."
                    .to_owned(),
            ),
            SetupEnd::Ended(outcome) => {
                let prediction = Prediction::of_end(outcome);
                let reason = prediction.reason.unwrap_or("denied");
                let facts = [Some(reason.to_owned()), prediction.detail.clone()];
                let facts: Vec<_> = facts.into_iter().flatten().collect();
                let sentence = format!("No factor was enrolled for {user}: {}.", facts.join(", "));
                Self {
                    reason: Some(reason),
                    advice: prediction.advice(user),
                    detail: prediction.detail,
                    sentence,
                }
            }
        }
    }
}

impl Document<'_> {
    /// Logs one line, like that of a login: the user, the factor, and the administrator.
    fn log(&self, time: Duration) {
        let event = if self.enrolled {
            "enrolled"
        } else {
            "not enrolled"
        };
        let pairs = [
            ("user", Some(self.user)),
            ("onelogin_id", self.onelogin_id),
            ("factor", self.factor),
            ("reason", self.reason),
            ("detail", self.detail),
            ("by", Some(self.by)),
        ];
        let pairs = pairs
            .into_iter()
            .filter_map(|(key, value)| Some(pair(key, value?)));
        let pairs: Vec<String> = pairs.collect();
        let line = format!(
            "{event} {} requests={} ms={}",
            pairs.join(" "),
            self.requests,
            time.as_millis()
        );
        audit::leave(Level::Notice, &line);
    }
}
