//! `status [USER]`: changes on trial, the latest decisions of this host, its cached tokens, and the limits of a
//! user.

use crate::host::dates::text_of;
use crate::host::user_selection::user_names;
use crate::login::decisions::{Decision, Decisions};
use crate::login::observed::ObserveMode;
use crate::login::outlook::word;
use crate::login::stored::{Stored, is_used_up, state};
use crate::outcome::{Exit, Failure};
use crate::ui::console::{Paint, paint};
use crate::verb::Context;
use crate::verb::on_trial::OnTrial;
use clap::Args;
use pam_onelogin::clock::unix_now;
use pam_onelogin::config::Credential;
use pam_onelogin::config::file::{Loaded, Secrets};
use pam_onelogin::onelogin::token::Tokens;
use pam_onelogin::state::user_memory::LookUpPause;
use pam_onelogin::text::{PROMPT_CHARS, clean};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use time::OffsetDateTime;

/// What to show.
#[derive(Args)]
#[command(after_help = "\
The command does not contact OneLogin. Any local user can write lines to the log that it reads.")]
pub(crate) struct Options {
    /// Show only the decisions of this local user, and their limits
    #[arg(add = user_names())]
    user: Option<String>,
    /// Number of decisions to list
    #[arg(long, value_name = "N", default_value_t = 10)]
    last: usize,
    /// Read decisions from FILE [default: the journal, or the log files in /var/log]
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
}

/// The result for machines.
#[derive(Serialize)]
struct Document {
    log: Option<String>,
    counts: Vec<Tally>,
    last: Vec<Decision>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<Figures>,
    tokens: Vec<Token>,
    trials: Vec<OnTrial>,
    observe: Option<ObserveMode>,
}

/// How often there was a decision with this event and reason.
#[derive(Serialize)]
struct Tally {
    event: String,
    reason: Option<String>,
    count: usize,
}

/// The limits and the cache of a user.
#[derive(Serialize)]
struct Figures {
    challenges: usize,
    challenges_limit: u32,
    challenges_today: usize,
    challenges_today_limit: u32,
    failures: usize,
    failures_limit: u32,
    failures_today: usize,
    failures_today_limit: u32,
    unproven_failures: usize,
    unproven_failures_today: usize,
    window_seconds: u64,
    reserve: usize,
    wrong_offline_codes: usize,
    wrong_offline_codes_today: usize,
    /// From how many origins no offline code is accepted now.
    offline_origins_used_up: usize,
    known_origins: usize,
    look_ups: usize,
    /// Why OneLogin is not asked about the user now.
    look_ups_paused: Option<String>,
    push_denied: bool,
    phone_busy: bool,
    cached_seconds: Option<i64>,
}

/// Until when the token of a credential is cached.
#[derive(Serialize)]
struct Token {
    table: &'static str,
    kept_until: Option<u64>,
}

/// Shows it.
pub(crate) fn run(context: &Context, options: &Options) -> Result<Exit, Failure> {
    let loaded = context.load()?;
    let user = options.user.as_deref();
    let kept = user.map(|user| Figures::of(user, &loaded)).transpose()?;
    let found = match &options.log {
        None => Decisions::of_this_host(),
        Some(path) => Some(Decisions::of_file(path).map_err(|error| Failure::at(path, error))?),
    };
    let (log, mut decisions) = match found {
        Some(Decisions { from, list }) => (Some(from), list),
        None => (None, Vec::new()),
    };
    if user.is_some() {
        decisions.retain(|decision| decision.user.as_deref() == user);
    }
    let counts = counts(&decisions);
    let last = decisions.split_off(decisions.len().saturating_sub(options.last));
    let tokens = tokens(&loaded);
    let document = Document {
        log,
        counts,
        last,
        user: user.map(|user| clean(user, PROMPT_CHARS)),
        kept,
        tokens,
        trials: OnTrial::all(),
        observe: ObserveMode::of(&loaded.config, loaded.dates(unix_now())),
    };
    for line in document.lines() {
        context.console.say(&line);
    }
    context.console.document(&document);
    Ok(Exit::Good)
}

impl Document {
    /// The lines for the terminal.
    fn lines(&self) -> Vec<String> {
        let heading = |text: &str| paint(Paint::Bold, text);
        let mut lines = Vec::new();
        if let Some(observe) = &self.observe {
            lines.push(paint(
                Paint::Warning,
                &format!("Warning: {}.", observe.sentence()),
            ));
        }
        if !self.trials.is_empty() {
            lines.push(heading("Changes on trial"));
            lines.extend(self.trials.iter().flat_map(OnTrial::lines));
        }
        match &self.log {
            None => lines
                .push("No log was found, neither the journal nor a file in /var/log.".to_owned()),
            Some(log) if self.counts.is_empty() => lines.push(format!("No decision in {log}.")),
            Some(log) => {
                lines.push(heading(&format!("Decisions in {log}")));
                let counts = self.counts.iter().map(|count| {
                    let reason = count.reason.as_deref().unwrap_or_default();
                    format!("  {:>6}  {} {reason}", count.count, count.event)
                });
                lines.extend(counts.map(|line| line.trim_end().to_owned()));
                if !self.last.is_empty() {
                    lines.push(heading("Latest decisions"));
                }
                lines.extend(self.last.iter().map(|last| format!("  {}", last.text())));
                if self.counts.iter().any(|count| count.event == "denied") {
                    lines.push("For what to do about each reason, see pam_onelogin(8).".to_owned());
                }
            }
        }
        if let Some((user, kept)) = self.user.as_ref().zip(self.kept.as_ref()) {
            lines.push(heading(&format!("Limits and cache of {user} on this host")));
            lines.extend(kept.lines(user));
        }
        lines.push(heading("Access tokens"));
        lines.extend(self.tokens.iter().map(Token::line));
        lines
    }
}

impl Figures {
    fn of(user: &str, loaded: &Loaded) -> Result<Self, Failure> {
        let stored = Stored::of(user, loaded)?;
        let standing = stored.standing()?;
        let limits = &loaded.config.limits;
        let [challenges, challenges_today] = standing.challenges;
        let [failures, failures_today] = standing.codes;
        let [unproven_failures, unproven_failures_today] = standing.unproven_codes;
        let [wrong_offline_codes, wrong_offline_codes_today] = standing.wrong_offline_codes;
        Ok(Self {
            challenges,
            challenges_limit: limits.challenges,
            challenges_today,
            challenges_today_limit: limits.challenges_per_day,
            failures,
            failures_limit: limits.failures,
            failures_today,
            failures_today_limit: limits.failures_per_day,
            unproven_failures,
            unproven_failures_today,
            window_seconds: limits.window.as_secs(),
            reserve: standing.reserve,
            wrong_offline_codes,
            wrong_offline_codes_today,
            offline_origins_used_up: standing.offline_origins_used_up,
            known_origins: standing.origins,
            look_ups: standing.look_ups,
            look_ups_paused: standing.paused.map(LookUpPause::text),
            push_denied: standing.is_push_denied,
            phone_busy: standing.is_phone_busy,
            cached_seconds: stored.cached(),
        })
    }

    fn lines(&self, user: &str) -> Vec<String> {
        let user = word(user);
        let window = self.window_seconds;
        let line = |what: &str, text: String| format!("  {what:<22}{text}");
        let of = |what: &str, [count, today]: [usize; 2], [most, most_today]: [u32; 2]| {
            let used_up = if is_used_up([count, today], [most, most_today]) {
                ", used up"
            } else {
                ""
            };
            line(
                what,
                format!(
                    "{count} of {most} in {window} s, {today} of {most_today} in 24 h{used_up}"
                ),
            )
        };
        let failures = [self.failures_limit, self.failures_today_limit];
        let phone = match (self.phone_busy, self.push_denied) {
            (true, _) => "a push is pending",
            (false, true) => {
                "a push was denied: no push for an hour, except for logins from known addresses"
            }
            (false, false) => "no push is pending",
        };
        let cached = match self.cached_seconds {
            Some(age) => format!("cached, looked up {age} s ago"),
            None => "not cached; the next login asks OneLogin".to_owned(),
        };
        let paused = match &self.look_ups_paused {
            Some(why) => {
                format!(
                    "; paused: {why}; to ask at once, as root, type: pam-onelogin limits reset {user}"
                )
            }
            None => String::new(),
        };
        let used_up = match self.offline_origins_used_up {
            0 => String::new(),
            count => format!(", used up for {count} of them"),
        };
        let offline = format!(
            "{} in {window} s, {} in 24 h; for each address {} and {}{used_up}",
            self.wrong_offline_codes,
            self.wrong_offline_codes_today,
            self.failures_limit,
            self.failures_today_limit
        );
        let origins = format!(
            "{}; extra tries from them in 24 h: {}",
            self.known_origins, self.reserve
        );
        vec![
            of(
                "challenges",
                [self.challenges, self.challenges_today],
                [self.challenges_limit, self.challenges_today_limit],
            ),
            of(
                "refused codes",
                [self.failures, self.failures_today],
                failures,
            ),
            of(
                "before first factor",
                [self.unproven_failures, self.unproven_failures_today],
                failures,
            ),
            line("wrong offline codes", offline),
            line("known addresses", origins),
            line(
                "look-ups",
                format!(
                    "{} without a stored result in an hour{paused}",
                    self.look_ups
                ),
            ),
            line("push", phone.to_owned()),
            line("user, devices", cached),
        ]
    }
}

impl Token {
    fn line(&self) -> String {
        let moment = self.kept_until.and_then(|end| {
            let end = i64::try_from(end).ok()?;
            OffsetDateTime::from_unix_timestamp(end).ok()
        });
        let text = match moment {
            Some(end) => format!("cached until {}", text_of(end)),
            None => "not cached; the next login requests one".to_owned(),
        };
        format!("  for {:<20}{text}", self.table)
    }
}

/// How often each event and reason occurred, the most frequent first.
fn counts(list: &[Decision]) -> Vec<Tally> {
    let mut counts = BTreeMap::new();
    for decision in list {
        let kind = (decision.event.clone(), decision.reason.clone());
        *counts.entry(kind).or_insert(0) += 1;
    }
    let counts = counts.into_iter().map(|((event, reason), count)| Tally {
        event,
        reason,
        count,
    });
    let mut counts: Vec<_> = counts.collect();
    counts.sort_by_key(|count| std::cmp::Reverse(count.count));
    counts
}

/// The tokens in the private files, without their values.
fn tokens(loaded: &Loaded) -> Vec<Token> {
    let state = state(loaded);
    let onelogin = &loaded.config.onelogin;
    let secrets = loaded.secrets.iter().flat_map(Secrets::all);
    let all = onelogin.access.credentials().zip(secrets);
    all.map(|((table, Credential { client_id, .. }), secret)| Token {
        table,
        kept_until: Tokens::new(&onelogin.origin, client_id, secret, &state).kept_until(),
    })
    .collect()
}
