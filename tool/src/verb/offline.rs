//! `offline issue|status|revoke`: codes that let a user in while OneLogin cannot be reached.

use crate::host::audit;
use crate::host::dates::day_of;
use crate::host::user_selection::user_names;
use crate::login::offline_codes::{self, Codes};
use crate::login::outlook::{Prediction, subject, word};
use crate::login::terminal_login::{log_in, request};
use crate::login::traced_http::{Steps, TracedHttp};
use crate::outcome::{Exit, Failure};
use crate::ui::console::{Paint, paint, table};
use crate::ui::terminal::{Countdown, Terminal, hold_interrupts};
use crate::verb::Context;
use clap::{Args, Subcommand};
use pam_onelogin::clock::unix_now;
use pam_onelogin::config::file::Loaded;
use pam_onelogin::host::{Nss, uids};
use pam_onelogin::log;
use pam_onelogin::login::{Clock as _, Outcome};
use pam_onelogin::offline::{Code, CodeStore as _, Holder};
use pam_onelogin::state::offline_codes::OfflineCodes;
use pam_onelogin::text::{LOG_CHARS, PROMPT_CHARS, clean, pair};
use pam_onelogin::trust::Trusted;
use pam_onelogin::user::{Account, People as _};
use pam_onelogin::verdict::{self, Level};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::Serialize;
use std::io::{IsTerminal as _, stdout};
use std::path::Path;

const DAY: u64 = 24 * 3600;

/// How many characters of a code are shown together.
const GROUP: usize = 4;

/// What to do with offline codes.
#[derive(Args)]
#[command(after_help = "\
Offline codes need offline = true in the configuration. They are asked for only when OneLogin gives no answer, and only after \
the user has passed a key or password check.")]
pub(crate) struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Issue new codes for a user, after a real login of the user; earlier codes no longer work
    Issue(IssueOptions),
    /// Show which users have offline codes, how many, and until when
    Status {
        /// Local user [default: all users with codes]
        #[arg(add = user_names())]
        user: Option<String>,
    },
    /// Remove all codes of a user
    Revoke {
        /// Local user; the account may be gone already
        #[arg(add = user_names())]
        user: String,
    },
}

#[derive(Args)]
#[command(after_help = "\
The user must log in with OneLogin first, in this terminal: let them approve the push, or tell you the code.
The new codes are shown once. This host stores only their digests.")]
struct IssueOptions {
    /// Local user
    #[arg(add = user_names())]
    user: String,
    /// Number of codes
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u8).range(1..=50))]
    count: u8,
    /// Days until the codes no longer work
    #[arg(long, value_name = "N", default_value_t = 90, value_parser = clap::value_parser!(u16).range(1..=366))]
    days: u16,
    /// Write the codes to standard output even if it is not a terminal
    #[arg(long)]
    to_stdout: bool,
}

/// The result of `issue` for machines.
#[derive(Serialize)]
struct Issued<'a> {
    user: &'a str,
    codes: &'a [String],
    until: String,
    replaced: usize,
    by: &'a str,
}

/// The codes of one user, for machines.
#[derive(Serialize)]
struct Row {
    user: String,
    uid: u32,
    codes: usize,
    expired: usize,
    not_valid: usize,
    until: Option<String>,
    issued_by: String,
}

/// The result of `revoke` for machines.
#[derive(Serialize)]
struct Revoked<'a> {
    user: &'a str,
    removed: usize,
    by: &'a str,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<Exit, Failure> {
    let loaded = context.load()?;
    match &options.what {
        What::Issue(options) => issue(context, loaded, options),
        What::Status { user } => status(context, &loaded, user.as_deref()),
        What::Revoke { user } => revoke(context, &loaded, user),
    }
}

fn issue(context: &Context, mut loaded: Loaded, options: &IssueOptions) -> Result<Exit, Failure> {
    let console = &context.console;
    let user = &clean(&options.user, PROMPT_CHARS);
    if !loaded.config.offline {
        return Err(Failure::at(
            &context.config,
            "offline codes are switched off; write this line above the first [table]: offline = true",
        ));
    }
    if !options.to_stdout && !stdout().is_terminal() {
        let text = "the codes are shown on a terminal only; to write them to standard output, add --to-stdout";
        return Err(Failure::new(text));
    }
    if options.user.contains(char::is_control) {
        let text = "offline codes are not possible for a name with control characters";
        return Err(Failure::new(text));
    }
    let request = request(&options.user, "sshd", true);
    let subject = subject(&request, &loaded)
        .map_err(|outcome| Prediction::of_end(&outcome).failure(user, ""))?;
    let trusted = Trusted::of(uids());
    make_parent(&loaded.config.offline_dir).map_err(|error| failure(&loaded, &error))?;
    if let Some(trouble) = OfflineCodes::of(&loaded.config, trusted).trouble() {
        return Err(Failure::new(format!("no codes were issued: {trouble}")));
    }
    // A code must not lead to new ones.
    loaded.config.offline = false;
    console.note(&format!(
        "{user} must log in with OneLogin before codes are issued. This is a real login."
    ));
    if !has_logged_in(context, &loaded, &request) {
        console.fault("no codes were issued; earlier codes still work");
        return Ok(Exit::Bad);
    }
    let holder = Holder::from(&subject);
    let codes = OfflineCodes::of(&loaded.config, trusted);
    let failure = |what: &dyn std::fmt::Display| failure(&loaded, what);
    let _lock = codes.lock().map_err(|error| failure(&error))?;
    let store = codes.store(holder);
    let earlier = store.names().map_err(|error| failure(&error))?;
    let now = unix_now();
    let end = now + u64::from(options.days) * DAY;
    let by = audit::admin();
    let mut new = Vec::new();
    let mut texts = Vec::new();
    let mut replace = || {
        for _ in 0..options.count {
            let (code, file) = (
                Code::of(&random()?),
                u64::from_be_bytes(random()?).to_string(),
            );
            codes
                .issue(holder, [now, end], &by, &file, &code)
                .map_err(|error| error.to_string())?;
            texts.push(grouped(code.secret().shown_to_its_owner()));
            new.push(file);
        }
        earlier.iter().try_for_each(|file| {
            let removed = store.remove(file).map(|_| ());
            removed.map_err(|error| format!("an earlier code of {user} cannot be removed: {error}"))
        })
    };
    if let Err(why) = replace() {
        // Nobody has seen them.
        for file in &new {
            let _ = store.remove(file);
        }
        return Err(failure(&why));
    }
    let until = day_of(end);
    audit::leave(
        Level::Warning,
        &format!(
            "offline codes issued {} codes={} until={until} replaced={} {}",
            pair("user", &subject.name),
            texts.len(),
            earlier.len(),
            pair("by", &by),
        ),
    );
    show(context, user, &texts, &until, earlier.len());
    console.document(&Issued {
        user,
        codes: &texts,
        until,
        replaced: earlier.len(),
        by: &by,
    });
    Ok(Exit::Good)
}

fn failure(loaded: &Loaded, what: &dyn std::fmt::Display) -> Failure {
    Failure::at(
        &loaded.config.offline_dir,
        format!("no codes were issued: {what}"),
    )
}

/// The folder above that of the codes, which no package makes.
fn make_parent(offline_dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let Some(parent) = offline_dir.parent() else {
        return Ok(());
    };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(parent)
}

/// Runs a real login in this terminal.
fn has_logged_in(
    context: &Context,
    loaded: &Loaded,
    request: &pam_onelogin::user::Request,
) -> bool {
    let console = &context.console;
    hold_interrupts();
    let clock = Countdown::start(console);
    let mut transport = TracedHttp::new(&loaded.config, console, &clock, Steps::Hidden);
    let mut terminal = Terminal(console);
    let decision = log_in(request, loaded, &clock, &mut terminal, &mut transport);
    let ms = clock.elapsed().as_millis();
    let traces = transport.into_traces();
    let verdict = verdict::of(&decision.report.outcome, decision.here);
    let line = log::decision(&verdict, &decision.facts(request, &traces, ms));
    audit::leave(verdict.level, &line);
    // An exemption or an outage is no login with OneLogin.
    let is_accepted = matches!(decision.report.outcome, Outcome::Accepted(_));
    if !is_accepted {
        for remark in &decision.remarks {
            console.note(&paint(Paint::Warning, remark));
        }
        console.note(&paint(Paint::Bad, &line));
        let user = request.user.as_deref().unwrap_or_default();
        if let Some(advice) = Prediction::of_end(&decision.report.outcome).advice(user) {
            console.note(&advice);
        }
    }
    is_accepted
}

fn show(context: &Context, user: &str, codes: &[String], until: &str, replaced: usize) {
    let console = &context.console;
    console.say(&format!(
        "Offline codes of {user}. Each works once, until {until}:\n\n  {}\n",
        codes.join("\n  ")
    ));
    let earlier = match replaced {
        0 => String::new(),
        _ => format!(" Earlier codes no longer work: {replaced}."),
    };
    console.note(&format!(
        "They are not shown again. {user} should print them or write them down, and keep them apart from the key and the password.{earlier}"
    ));
}

fn status(context: &Context, loaded: &Loaded, user: Option<&str>) -> Result<Exit, Failure> {
    let console = &context.console;
    let mut rows = rows(loaded)?;
    if let Some(user) = user {
        let account = account(user);
        let name = account.as_ref().map_or(user, |account| &account.name);
        rows.retain(|row| row.user == name);
    }
    if !loaded.config.offline {
        console.note(&paint(
            Paint::Warning,
            "Offline codes are switched off: offline = false.",
        ));
    }
    match (rows.as_slice(), user) {
        ([], Some(user)) => console.say(&format!(
            "{0} has no offline codes. To issue some, type: pam-onelogin offline issue {1}",
            clean(user, PROMPT_CHARS),
            word(user)
        )),
        ([], None) => console.say("No user has offline codes."),
        (rows, _) => {
            let head = [
                "user",
                "codes",
                "until",
                "expired",
                "not valid",
                "issued by",
            ];
            let head = head.map(str::to_owned);
            let lines = rows.iter().map(|row| {
                [
                    clean(&row.user, PROMPT_CHARS),
                    row.codes.to_string(),
                    row.until.clone().unwrap_or_else(|| "-".to_owned()),
                    row.expired.to_string(),
                    row.not_valid.to_string(),
                    clean(&row.issued_by, PROMPT_CHARS),
                ]
            });
            console.say(table(std::iter::once(head).chain(lines)).trim_end());
            if rows.iter().any(|row| row.not_valid > 0) {
                console.note("Not valid: these files were copied, restored from a backup or changed, or the clock is wrong.");
            }
        }
    }
    console.document(&rows);
    Ok(Exit::Good)
}

/// The codes of each user.
fn rows(loaded: &Loaded) -> Result<Vec<Row>, Failure> {
    let users = offline_codes::of_all(&loaded.config).map_err(Failure::new)?;
    let row = |(user, codes): (Option<(String, u32)>, Codes)| {
        let (user, uid) = user.unwrap_or_else(|| ("?".to_owned(), 0));
        Row {
            user,
            uid,
            codes: codes.usable,
            expired: codes.expired,
            not_valid: codes.not_valid,
            until: codes.end.map(day_of),
            issued_by: codes.by,
        }
    };
    Ok(users.into_iter().map(row).collect())
}

fn revoke(context: &Context, loaded: &Loaded, user: &str) -> Result<Exit, Failure> {
    let path = &loaded.config.offline_dir;
    let account = Nss.by_name(user).ok().flatten();
    let uid = account.as_ref().map(|account| account.uid);
    // Some name services know a user by several names.
    let user = account
        .as_ref()
        .map_or(user, |account| account.name.as_str());
    let removed = if path.exists() {
        let codes = OfflineCodes::of(&loaded.config, Trusted::of(uids()));
        if let Some(trouble) = codes.trouble() {
            return Err(Failure::new(trouble.to_string()));
        }
        let _lock = codes.lock().map_err(|error| Failure::at(path, error))?;
        codes
            .revoke(user, uid)
            .map_err(|error| Failure::at(path, error))?
    } else {
        0
    };
    let by = audit::admin();
    if removed > 0 {
        audit::leave(
            Level::Notice,
            &format!(
                "offline codes revoked {} codes={removed} {}",
                pair("user", user),
                pair("by", &by)
            ),
        );
    }
    let shown = clean(user, LOG_CHARS);
    context.console.say(&match removed {
        0 => format!("{shown} has no offline codes."),
        _ => format!("The offline codes of {shown} no longer work. Removed: {removed}."),
    });
    context.console.document(&Revoked {
        user: &shown,
        removed,
        by: &by,
    });
    Ok(Exit::Good)
}

/// The account of a user: some name services know one by several names.
fn account(user: &str) -> Option<Account> {
    Nss.by_name(user).ok().flatten()
}

fn random<const N: usize>() -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| "the system gives no random numbers".to_owned())?;
    Ok(bytes)
}

fn grouped(code: &str) -> String {
    let characters: Vec<char> = code.chars().collect();
    let groups = characters.chunks(GROUP).map(|group| group.iter().collect());
    groups.collect::<Vec<String>>().join("-")
}
