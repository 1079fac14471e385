//! `users`: which users could log in, are exempt or would be denied, before a service is enabled.

use crate::examine::limits;
use crate::host::target_system::TargetSystem;
use crate::host::user_selection::{UserSelection, members_on};
use crate::login::observed::ObserveMode;
use crate::login::outlook::{FailureStreak, Outlook, Prediction, Word, announce, fresh};
use crate::outcome::{Exit, Failure};
use crate::ui::console::{Console, Paint, paint};
use crate::ui::finding::Finding;
use crate::verb::Context;
use clap::Args;
use pam_onelogin::clock::unix_now;
use pam_onelogin::config::{NoFactor, UnknownUser, Users, Whom};
use pam_onelogin::host::uids;
use pam_onelogin::login::{Beginning, Preview};
use pam_onelogin::onelogin::http::Http;
use pam_onelogin::state::State;
use pam_onelogin::text::{LOG_CHARS, PROMPT_CHARS, clean};
use pam_onelogin::trust::Trusted;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Which users.
#[derive(Args)]
#[command(after_help = "\
The command sends two or three requests per user, and no push, call or message.
If \"getent passwd\" does not list a user (many directories do not list theirs), name that user.
Exit status: 0 no user would be denied; 1 a user would be denied (unless --exempt) or was not checked.")]
pub(crate) struct Options {
    #[command(flatten)]
    whom: UserSelection,
    /// List only exempt users, with the reason; without USER also users that the configuration names
    #[arg(long)]
    exempt: bool,
}

/// The result for machines.
#[derive(Serialize)]
struct Document {
    users: Vec<Entry>,
    #[serde(flatten)]
    counts: Counts,
    requests: usize,
    observe: Option<ObserveMode>,
}

#[derive(Default, Serialize)]
struct Counts {
    pass: usize,
    enroll: usize,
    exempt: usize,
    denied: usize,
    /// The users who were not checked because OneLogin gave no usable answer.
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
    /// Limits that are used up, and a denied push, as sentences.
    limits: Vec<String>,
}

/// Checks each user. Nothing is activated.
pub(crate) fn run(context: &Context, options: &Options) -> Result<Exit, Failure> {
    let loaded = fresh(context.load()?);
    let (config, console) = (&loaded.config, &context.console);
    let observe = ObserveMode::of(config, loaded.dates(unix_now()));
    if let Some(observe) = &observe {
        let text = format!("Warning: {}.", observe.sentence());
        console.note(&paint(Paint::Warning, &text));
    }
    let mut names = options.whom.names()?;
    if options.exempt && options.whom.is_default() {
        names.extend(named(&config.users));
    }
    // Whether OneLogin's answer can exempt a user.
    let asks = !options.exempt || may_exempt(&config.users);
    if asks {
        announce(console, config, names.len(), 1);
    }
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
            counts.not_asked = names.len() + 1 - number;
            break;
        }
        console.passing(&format!("{number} of {}", names.len()));
        let preview = match outlook.subject(name) {
            Err(outcome) => Preview::of(outcome),
            Ok(_) if !asks => continue,
            Ok(_) => outlook.preview(name),
        };
        if let Beginning::End(outcome) = &preview.beginning {
            failures.saw(outcome);
        } else {
            failures = FailureStreak::default();
        }
        let prediction = Prediction::of(&preview, name, &config.users);
        if options.exempt && prediction.word != Word::Exempt {
            continue;
        }
        counts.count(prediction.word);
        let limits = match prediction.word {
            Word::Pass => limits::of(name, &loaded),
            Word::Enroll | Word::Exempt | Word::Denied => Vec::new(),
        };
        let entry = Entry::of(name, &preview, &prediction, limits);
        entry.show(console, prediction.word, widest.unwrap_or(0));
        users.push(entry);
    }
    if options.exempt {
        console.say(&format!("\n{} exempt{}.", counts.exempt, counts.unasked()));
    } else {
        counts.show(console);
    }
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
        observe,
    });
    Ok(exit)
}

impl Entry {
    fn of(name: &str, preview: &Preview, prediction: &Prediction, limits: Vec<Finding>) -> Self {
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
            limits: limits
                .into_iter()
                .map(|found| clean(&found.what, LOG_CHARS))
                .collect(),
        }
    }

    fn show(&self, console: &Console, word: Word, widest: usize) {
        let facts = if self.factors.is_empty() {
            let reason = self.reason.map(str::to_owned);
            let facts = [reason, self.detail.clone()];
            facts.into_iter().flatten().collect::<Vec<_>>().join(", ")
        } else {
            let limits = self.limits.iter().map(String::as_str);
            let factors = self.factors.join(", ");
            let parts: Vec<_> = std::iter::once(factors.as_str()).chain(limits).collect();
            parts.join("; ")
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
        text.push_str(&self.unasked());
        if *not_asked == 0 && *denied > 0 {
            text.push_str("; for what to do about each reason, see pam_onelogin(8)");
        }
        console.say(&format!("{text}."));
    }

    fn unasked(&self) -> String {
        match self.not_asked {
            0 => String::new(),
            count => {
                format!(
                    ", {count} not checked: OneLogin gave no usable answer; as root, type: pam-onelogin check"
                )
            }
        }
    }

    fn exit(&self) -> Exit {
        if self.denied + self.not_asked == 0 {
            Exit::Good
        } else {
            Exit::Bad
        }
    }
}

/// The users that the configuration exempts by a name: theirs, or that of a group.
fn named(users: &Users) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = users.exempt_users.iter().cloned().collect();
    let mut groups: Vec<&str> = users.exempt_groups.iter().map(String::as_str).collect();
    for entry in &users.exempt {
        match &entry.whom {
            Whom::User(name) => {
                names.insert(name.clone());
            }
            Whom::Group(name) => groups.push(name),
        }
    }
    let this = TargetSystem::this();
    names.extend(
        groups
            .into_iter()
            .flat_map(|group| members_on(&this, group)),
    );
    names
}

/// Whether OneLogin's answer can exempt a user.
fn may_exempt(users: &Users) -> bool {
    users.unknown == UnknownUser::Exempt || users.no_factor == NoFactor::Exempt
}

fn shown(name: &str) -> String {
    clean(name, PROMPT_CHARS)
}
