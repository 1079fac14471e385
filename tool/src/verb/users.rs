//! `users`: which users could log in, are exempt or would be denied, before a service is enabled.

use crate::host::user_selection::UserSelection;
use crate::login::outlook::{FailureStreak, Outlook, Prediction, Word, announce, fresh};
use crate::outcome::{Exit, Failure};
use crate::ui::console::{Console, paint};
use crate::verb::Context;
use clap::Args;
use pam_onelogin::host::uids;
use pam_onelogin::login::{Beginning, Preview};
use pam_onelogin::onelogin::http::Http;
use pam_onelogin::state::State;
use pam_onelogin::text::{PROMPT_CHARS, clean};
use pam_onelogin::trust::Trusted;
use serde::Serialize;
use std::fmt::Write as _;

/// Which users.
#[derive(Args)]
#[command(after_help = "\
The command sends two or three requests per user, and no push, call or message.
If \"getent passwd\" does not list a user (many directories do not list theirs), name that user.
Exit status: 0 no user would be denied; 1 a user would be denied or was not checked.")]
pub(crate) struct Options {
    #[command(flatten)]
    whom: UserSelection,
}

/// The result for machines.
#[derive(Serialize)]
struct Document {
    users: Vec<Entry>,
    #[serde(flatten)]
    counts: Counts,
    requests: usize,
}

#[derive(Default, Serialize)]
struct Counts {
    pass: usize,
    enroll: usize,
    exempt: usize,
    denied: usize,
    /// The users who were not checked because OneLogin does not answer.
    not_asked: usize,
}

#[derive(Serialize)]
struct Entry {
    user: String,
    verdict: &'static str,
    reason: Option<&'static str>,
    detail: Option<String>,
    onelogin_id: Option<String>,
    factors: Vec<&'static str>,
}

/// Checks each user. Nothing is activated.
pub(crate) fn run(context: &Context, options: &Options) -> Result<Exit, Failure> {
    let loaded = fresh(context.load()?);
    let (config, console) = (&loaded.config, &context.console);
    let names = options.whom.names()?;
    announce(console, config, names.len(), 1);
    let trusted = Trusted::of(uids());
    let state = State::open(&config.state_dir, trusted).tried();
    let mut http = Http::new(config, trusted, None);
    let mut outlook = Outlook::new(&loaded, &state, &mut http, console);
    let mut counts = Counts::default();
    let mut users = Vec::new();
    let mut failures = FailureStreak::default();
    let widest = names.iter().map(|name| shown(name).chars().count()).max();
    for (number, name) in (1..).zip(&names) {
        if failures.are_too_many() {
            counts.not_asked = names.len() - users.len();
            break;
        }
        console.passing(&format!("{number} of {}", names.len()));
        let preview = outlook.preview(name);
        if let Beginning::End(outcome) = &preview.beginning {
            failures.saw(outcome);
        } else {
            failures = FailureStreak::default();
        }
        let prediction = Prediction::of(&preview);
        counts.count(prediction.word);
        let entry = Entry::of(name, &preview, &prediction);
        entry.show(console, prediction.word, widest.unwrap_or(0));
        users.push(entry);
    }
    counts.show(console);
    if let Some(trouble) = state.trouble() {
        let trouble = trouble.to_string();
        // `check` shows the command, too.
        let (what, _) = trouble.split_once("; type: ").unwrap_or((&trouble, ""));
        console.note(&format!(
            "No user can log in, because logins cannot be counted: {what}; type: pam-onelogin check"
        ));
    }
    let exit = counts.exit();
    console.document(&Document {
        users,
        counts,
        requests: http.into_traces().len(),
    });
    Ok(exit)
}

impl Entry {
    fn of(name: &str, preview: &Preview, prediction: &Prediction) -> Self {
        let mut factors = Vec::new();
        if let Beginning::Menu(menu) = &preview.beginning {
            factors.extend(menu.devices().iter().map(|device| device.factor.word()));
        }
        factors.dedup();
        Self {
            user: shown(name),
            verdict: prediction.word.text(),
            reason: prediction.reason,
            detail: prediction.detail.clone(),
            onelogin_id: preview
                .onelogin_id
                .as_ref()
                .map(|id| id.as_str().to_owned()),
            factors,
        }
    }

    fn show(&self, console: &Console, word: Word, widest: usize) {
        let facts = if self.factors.is_empty() {
            let reason = self.reason.map(str::to_owned);
            let facts = [reason, self.detail.clone()];
            facts.into_iter().flatten().collect::<Vec<_>>().join(", ")
        } else {
            self.factors.join(", ")
        };
        let verdict = paint(word.paint(), &format!("{:6}", self.verdict));
        let line = format!("{:widest$}  {verdict}  {facts}", self.user);
        console.say(line.trim_end());
    }
}

impl Counts {
    fn count(&mut self, word: Word) {
        *match word {
            Word::Pass => &mut self.pass,
            Word::Enroll => &mut self.enroll,
            Word::Exempt => &mut self.exempt,
            Word::Denied => &mut self.denied,
        } += 1;
    }

    fn show(&self, console: &Console) {
        let Self {
            pass,
            enroll,
            exempt,
            denied,
            not_asked,
        } = self;
        let mut text = format!("\n{pass} would pass, {exempt} exempt, {denied} denied");
        if *enroll > 0 {
            let _ = write!(text, ", {enroll} would enrol a factor");
        }
        if *not_asked > 0 {
            let _ = write!(
                text,
                ", {not_asked} not checked: OneLogin does not answer; type: pam-onelogin check"
            );
        } else if *denied > 0 {
            text.push_str("; for what to do about each reason, see pam_onelogin(8)");
        }
        console.say(&format!("{text}."));
    }

    fn exit(&self) -> Exit {
        if self.denied + self.not_asked == 0 {
            Exit::Good
        } else {
            Exit::Bad
        }
    }
}

fn shown(name: &str) -> String {
    clean(name, PROMPT_CHARS)
}
