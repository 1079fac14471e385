//! `limits reset USER`: resets what this host has counted for a user.

use crate::host::audit;
use crate::host::user_selection::user_names;
use crate::login::stored::Stored;
use crate::outcome::{Exit, Failure};
use crate::verb::Context;
use clap::{Args, Subcommand};
use pam_onelogin::state::user_memory::Standing;
use pam_onelogin::text::{PROMPT_CHARS, clean, pair};
use pam_onelogin::verdict::Level;
use serde::Serialize;

/// What to do with the limits.
#[derive(Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Reset what is counted for a user: challenges, refused codes, wrong offline codes, look-ups, a denied push
    #[command(
        after_help = "Not reset: denials of open SSH connections, used codes, a pending push.\n\
            If several local users share one OneLogin user, the limits of all of them are reset."
    )]
    Reset {
        /// Local user
        #[arg(add = user_names())]
        user: String,
    },
}

/// The result for machines.
#[derive(Serialize)]
struct Document<'a> {
    user: &'a str,
    challenges: usize,
    failures: usize,
    unproven_failures: usize,
    reserve: usize,
    wrong_offline_codes: usize,
    look_ups: usize,
    push_denied: bool,
    by: &'a str,
}

/// Resets them.
pub(crate) fn run(context: &Context, options: &Options) -> Result<Exit, Failure> {
    let What::Reset { user } = &options.what;
    let loaded = context.load()?;
    let stored = Stored::of(user, &loaded)?;
    let user = &clean(user, PROMPT_CHARS);
    let before = stored.standing()?;
    stored.reset()?;
    let after = stored.standing()?;
    let counts = |standing: Standing| {
        let Standing {
            challenges: [_, challenges],
            pushes_alone: [_, pushes_alone],
            codes: [_, failures],
            unproven_codes: [_, unproven],
            reserve,
            wrong_offline_codes: [_, wrong_offline],
            look_ups,
            is_push_denied,
            is_push_paused: _,
            offline_origins_used_up: _,
            origins: _,
            paused: _,
            is_phone_busy: _,
        } = standing;
        let counts = [
            challenges + pushes_alone,
            failures,
            unproven,
            reserve,
            wrong_offline,
            look_ups,
        ];
        (counts, is_push_denied)
    };
    if counts(after) != ([0; 6], false) {
        return Err(Failure::new(format!(
            "the limits of {user} could not be reset, or a login of {user} is in progress; try again"
        )));
    }
    let (
        [
            challenges,
            failures,
            unproven_failures,
            reserve,
            wrong_offline_codes,
            look_ups,
        ],
        push_denied,
    ) = counts(before);
    let by = audit::admin();
    // The log must show why the counts do not add up.
    let line = format!(
        "limits reset {} challenges={challenges} failures={failures} unproven={unproven_failures} reserve={reserve} wrong-offline-codes={wrong_offline_codes} look-ups={look_ups} {}",
        pair("user", user),
        pair("by", &by),
    );
    audit::leave(Level::Notice, &line);
    context.console.say(&format!(
        "The limits of {user} are reset. Removed: challenges {challenges}, refused codes {}, wrong offline codes {wrong_offline_codes}, look-ups {look_ups}{}.",
        failures + unproven_failures + reserve,
        if push_denied { ", the pause after a denied push" } else { "" }
    ));
    context.console.document(&Document {
        user,
        challenges,
        failures,
        unproven_failures,
        reserve,
        wrong_offline_codes,
        look_ups,
        push_denied,
        by: &by,
    });
    Ok(Exit::Good)
}
