//! `map export`: looks up the OneLogin ids of local users, once for many hosts.

use crate::host::files::output::Output;
use crate::host::user_selection::UserSelection;
use crate::login::outlook::{Outlook, Prediction, Word, announce, fresh, is_no_answer};
use crate::outcome::{Exit, Failure};
use crate::verb::Context;
use clap::{Args, Subcommand};
use pam_onelogin::host::uids;
use pam_onelogin::id::UserId;
use pam_onelogin::map::{Entries, Map};
use pam_onelogin::onelogin::http::Http;
use pam_onelogin::state::State;
use pam_onelogin::text::{PROMPT_CHARS, clean};
use pam_onelogin::trust::Trusted;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

/// What to do with a map.
#[derive(Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Look users up at OneLogin and write a map file that many hosts can use
    Export(Export),
}

/// The options of `map export`.
#[derive(Args)]
#[command(after_help = "\
The command sends one or two requests per user, and no push, call or message.
In the configuration of the hosts, write: users.match = \"map\" and users.map_file.
Exit status: 0 all users are mapped or exempt; 1 a user is neither, or no map was written.")]
struct Export {
    #[command(flatten)]
    whom: UserSelection,
    /// Write the map to FILE, and replace it atomically [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Who is who.
#[derive(Default, Serialize)]
struct Document {
    /// Sorted by name, each once: the system may know a user by several spellings.
    entries: BTreeSet<Entry>,
    left_out: Vec<LeftOut>,
    /// Whether the file has changed, if one is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<bool>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Entry {
    user: String,
    onelogin_id: String,
}

#[derive(Serialize)]
struct LeftOut {
    user: String,
    reason: &'static str,
}

/// The mode of a map: it holds no secret, and only its owner may write it.
const MODE: u32 = 0o644;

/// Does it.
pub(crate) fn run(context: &Context, options: &Options) -> Result<Exit, Failure> {
    let What::Export(export) = &options.what;
    let loaded = fresh(context.load()?);
    let (config, console) = (&loaded.config, &context.console);
    let names = export.whom.names()?;
    // Before the tool sends many requests for a result that it could not write.
    let output = match &export.output {
        Some(path) => Some((path, Output::at(path)?)),
        None => None,
    };
    if let Some((_, output)) = &output {
        output.existing()?;
    }
    announce(console, config, names.len(), 0);
    let trusted = Trusted::of(uids());
    let state = State::open(&config.state_dir, trusted);
    let mut http = Http::new(config, trusted, None);
    let mut outlook = Outlook::new(&loaded, &state, &mut http, console);
    let mut document = Document::default();
    let mut exit = Exit::Good;
    for (number, name) in (1..).zip(&names) {
        console.passing(&format!("{number} of {}", names.len()));
        match outlook.identify(name) {
            Ok((user, id)) => {
                document.entries.insert(Entry {
                    user,
                    onelogin_id: id.as_str().to_owned(),
                });
            }
            Err(outcome) => {
                let user = clean(name, PROMPT_CHARS);
                let prediction = Prediction::of_end(&outcome);
                if is_no_answer(&outcome) {
                    return Err(prediction.failure(&user, "; no map was written"));
                }
                if prediction.word == Word::Denied {
                    exit = Exit::Bad;
                }
                let reason = prediction.reason.unwrap_or_default();
                document.left_out.push(LeftOut { user, reason });
            }
        }
    }
    let map = document.map()?;
    match output {
        None => console.say(map.trim_end()),
        Some((path, output)) => {
            let is_new = output.put(map.as_bytes(), MODE)?;
            document.changed = Some(is_new);
            let changed = if is_new { "" } else { ", unchanged" };
            let summary = document.summary();
            console.note(&format!("{}: {summary}{changed}.", path.display()));
        }
    }
    console.document(&document);
    Ok(exit)
}

impl Document {
    fn summary(&self) -> String {
        let (entries, left_out) = (self.entries.len(), self.left_out.len());
        format!("{entries} mapped, {left_out} left out")
    }

    /// The map file. The module's own parser reads it back before it is used.
    fn map(&self) -> Result<String, Failure> {
        let mut text = format!("# By pam-onelogin map export: {}.\n", self.summary());
        for Entry { user, onelogin_id } in &self.entries {
            let _ = writeln!(text, "{user} id={onelogin_id}");
        }
        for LeftOut { user, reason } in &self.left_out {
            let _ = writeln!(text, "# {user}: {reason}");
        }
        let faults = |faults: Vec<pam_onelogin::config::ConfigFault>| {
            Failure(faults.iter().map(ToString::to_string).collect())
        };
        let map = Map::parse("the map", &text, Entries::Ids).map_err(faults)?;
        let is_there = |entry: &Entry| {
            let id = UserId::parse(&entry.onelogin_id).map(pam_onelogin::map::UserKey::Id);
            map.get(&entry.user) == id.as_ref()
        };
        if self.entries.iter().all(is_there) {
            Ok(text)
        } else {
            Err(Failure::new(
                "a map file cannot contain one of these user names; no map was written",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_whom_the_system_knows_by_several_spellings_stands_there_once() {
        let mut document = Document::default();
        for user in ["bob", "alice", "alice"] {
            document.entries.insert(Entry {
                user: user.to_owned(),
                onelogin_id: "1".to_owned(),
            });
        }
        let map = document
            .map()
            .unwrap_or_else(|failure| panic!("{failure:?}"));
        assert!(
            map.ends_with("2 mapped, 0 left out.\nalice id=1\nbob id=1\n"),
            "{map}"
        );
    }
}
