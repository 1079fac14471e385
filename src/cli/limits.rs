//! `limits reset USER`: takes back what was counted of a user on this host.

use super::kept::Kept;
use super::{Context, Exit, Trouble, trail};
use crate::text::{PROMPT_CHARS, clean, pair};
use crate::verdict::Level;
use clap::{Args, Subcommand};
use serde::Serialize;

/// What to do with the limits.
#[derive(Args)]
pub(super) struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Forgets the challenges and refused codes of a user that count now
    #[command(
        after_help = "The next login starts anew. Denials of connections that are open stay, and codes that were used."
    )]
    Reset {
        /// The local user
        user: String,
    },
}

/// The result for machines.
#[derive(Serialize)]
struct Document<'a> {
    user: &'a str,
    challenges: usize,
    failures: usize,
    by: &'a str,
}

/// Takes them back.
pub(super) fn run(context: &Context, options: &Options) -> Result<Exit, Trouble> {
    let Action::Reset { user } = &options.action;
    let loaded = context.load()?;
    let kept = Kept::of(user, &loaded)?;
    let user = &clean(user, PROMPT_CHARS);
    let before = kept.standing()?;
    kept.reset()?;
    let after = kept.standing()?;
    if after.challenges > 0 || after.failures > 0 {
        return Err(Trouble::new(format!(
            "what was counted of {user} could not be taken back, or a login counts right now"
        )));
    }
    let (challenges, failures) = (before.challenges, before.failures);
    let by = trail::admin();
    // Whoever reads the log later must see why the counts do not add up.
    let line = format!(
        "limits reset {} challenges={challenges} failures={failures} {}",
        pair("user", user),
        pair("by", &by),
    );
    trail::leave(Level::Notice, &line);
    context.console.say(&format!(
        "{user} has all of the limits again; taken back: challenges {challenges}, refused codes {failures}."
    ));
    context.console.document(&Document {
        user,
        challenges,
        failures,
        by: &by,
    });
    Ok(Exit::Good)
}
