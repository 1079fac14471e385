//! `factors USER`: the devices of a user, which of them can be used here, and how a login would begin.

use crate::host::user_selection::user_names;
use crate::login::outlook::{Outlook, Prediction, fresh, known_as};
use crate::outcome::{Exit, Failure};
use crate::ui::console::{Console, Paint, paint, table};
use crate::verb::Context;
use clap::Args;
use pam_onelogin::config::{Config, VerifyForm};
use pam_onelogin::factor::{Device, Factor};
use pam_onelogin::host::uids;
use pam_onelogin::id::UserId;
use pam_onelogin::login::{Beginning, LimitReached, Preview};
use pam_onelogin::onelogin::http::Http;
use pam_onelogin::state::State;
use pam_onelogin::text::{PROMPT_CHARS, clean};
use pam_onelogin::trust::Trusted;
use serde::Serialize;

/// The options.
#[derive(Args)]
#[command(after_help = "\
The command asks OneLogin, not the cache. It sends no push, call or message, and does not count against limits.
Exit status: 0 a login would be accepted or exempt; 1 a login would be denied.")]
pub(crate) struct Options {
    /// Local user
    #[arg(add = user_names())]
    user: String,
}

/// The result for machines.
#[derive(Serialize)]
struct Document<'a> {
    user: String,
    known_as: Option<String>,
    onelogin_id: Option<&'a str>,
    verdict: &'static str,
    reason: Option<&'static str>,
    detail: Option<&'a str>,
    devices: Vec<Entry>,
    /// The number of further devices, of types that this version cannot use.
    other_devices: usize,
    begins: Begins,
    /// Why fewer factors are offered than the user has.
    held_back: Option<&'static str>,
    requests: usize,
}

#[derive(Serialize)]
struct Entry {
    id: String,
    factor: &'static str,
    name: String,
    default: bool,
    allowed: bool,
    /// Why it cannot be used.
    why: Option<&'static str>,
}

/// What a login shows or does first.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Begins {
    Prompt(String),
    Push(String),
    Enrolment,
    Nothing,
}

/// Shows them. Nothing is activated.
pub(crate) fn run(context: &Context, options: &Options) -> Result<Exit, Failure> {
    let loaded = fresh(context.load()?);
    let (config, console) = (&loaded.config, &context.console);
    let trusted = Trusted::of(uids());
    let state = State::open(&config.state_dir, trusted).tried();
    let mut http = Http::new(config, trusted, None);
    let mut outlook = Outlook::new(&loaded, &state, &mut http, console);
    let subject = outlook.subject(&options.user);
    let preview = outlook.preview(&options.user);
    let prediction = Prediction::of(&preview, &options.user, &loaded.config.users);
    let document = Document {
        user: clean(&options.user, PROMPT_CHARS),
        known_as: subject.ok().map(|subject| known_as(&subject, config)),
        onelogin_id: preview.onelogin_id.as_ref().map(UserId::as_str),
        verdict: prediction.word.text(),
        reason: prediction.reason,
        detail: prediction.detail.as_deref(),
        devices: entries(&preview, config, &state),
        other_devices: preview.devices.as_ref().map_or(0, |devices| {
            devices.enrolled.saturating_sub(devices.usable.len())
        }),
        begins: beginning(&preview.beginning, config, &options.user),
        held_back: preview.held_back.map(why_less),
        requests: http.into_traces().len(),
    };
    document.show(console, &prediction);
    if let Some(trouble) = state.trouble() {
        let text = format!("No user can log in, because logins cannot be counted: {trouble}");
        console.note(&paint(Paint::Warning, &text));
    }
    console.document(&document);
    Ok(prediction.word.exit())
}

impl Document<'_> {
    fn show(&self, console: &Console, prediction: &Prediction) {
        if let Some(known_as) = &self.known_as {
            console.note(&format!("Looked up by {known_as}."));
        }
        if let Some(id) = self.onelogin_id {
            console.say(&format!("{} is OneLogin user {id}.", self.user));
        }
        if !self.devices.is_empty() {
            let rows = self.devices.iter().map(Entry::row);
            console.say(&format!("\n{}\n", table(rows)));
        }
        if self.other_devices > 0 {
            console.say(&format!(
                "Other devices, of types that cannot be used here: {}.\n",
                self.other_devices
            ));
        }
        if let Some(why) = self.held_back {
            let text = format!("A login would offer fewer factors: {why}.");
            console.note(&paint(Paint::Warning, &text));
        }
        let text = match &self.begins {
            Begins::Prompt(prompt) => {
                let prompt = prompt.replace('\n', "\n    ").replace("\n    \n", "\n\n");
                format!("A login would begin with:\n\n    {prompt}\n")
            }
            Begins::Push(device) => format!("A login would begin with a push to {device}."),
            Begins::Enrolment => "A login would begin with the enrolment of a factor.".to_owned(),
            Begins::Nothing => format!("{} {}.", self.user, prediction.sentence()),
        };
        console.say(&text);
        if let Some(advice) = prediction.advice(&self.user) {
            console.note(&advice);
        }
    }
}

impl Entry {
    fn row(&self) -> [String; 3] {
        let mut remarks = Vec::new();
        if self.default {
            remarks.push("default".to_owned());
        }
        if let Some(why) = self.why {
            remarks.push(paint(Paint::Warning, why));
        }
        [
            self.factor.to_owned(),
            self.name.clone(),
            remarks.join(", "),
        ]
    }
}

fn entries(preview: &Preview, config: &Config, state: &State) -> Vec<Entry> {
    let menu = match &preview.beginning {
        Beginning::Menu(menu) => Some(menu),
        Beginning::Enrolment | Beginning::End(_) => None,
    };
    let mut devices: Vec<&Device> = preview
        .devices
        .iter()
        .flat_map(|devices| &devices.usable)
        .collect();
    let place = |device: &Device| {
        let mut offered = menu.iter().flat_map(|menu| menu.devices());
        offered.position(|other| other.id == device.id)
    };
    // In the order of the menu; devices that are not offered come last.
    devices.sort_by_key(|device| place(device).unwrap_or(usize::MAX));
    let entry = |device: &Device| {
        let why = if place(device).is_some() {
            None
        } else if !config.factors.allow.contains(&device.factor) {
            Some("not in factors.allow")
        } else if config.onelogin.verify == VerifyForm::Activated && device.factor == Factor::Duo {
            Some("cannot be used with onelogin.verify = \"activated\"")
        } else if let Some(reached) = preview.held_back {
            Some(why_less(reached))
        } else if state.trouble().is_some() {
            Some("needs a state_dir that can be written")
        } else {
            None
        };
        Entry {
            id: device.id.as_str().to_owned(),
            factor: device.factor.word(),
            name: device.label(),
            default: device.default,
            allowed: why.is_none(),
            why,
        }
    };
    devices.into_iter().map(entry).collect()
}

/// Why fewer factors are offered than the user has.
fn why_less(reached: LimitReached) -> &'static str {
    match reached {
        LimitReached::Window => "limits.challenges is used up",
        LimitReached::Day => "limits.challenges_per_day is used up",
        LimitReached::PushDenied => "a push was denied in the last hour",
        LimitReached::PushPaused => "a push was not approved in the last 10 minutes",
    }
}

fn beginning(beginning: &Beginning, config: &Config, user: &str) -> Begins {
    match beginning {
        Beginning::Menu(menu) => match menu.autopush().filter(|_| config.factors.autopush) {
            Some(device) => Begins::Push(device.label()),
            None => Begins::Prompt(menu.prompt(user)),
        },
        Beginning::Enrolment => Begins::Enrolment,
        Beginning::End(_) => Begins::Nothing,
    }
}
