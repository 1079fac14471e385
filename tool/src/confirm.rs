//! `confirm SERVICE`: keeps the stack that `enable --try` has put on trial.

use crate::Context;
use crate::change::service::Service;
use crate::enable::{confirm, needs_root};
use crate::outcome::{Exit, Trouble};
use clap::Args;
use pam_onelogin::host::uids;
use pam_onelogin::state::State;
use pam_onelogin::trust::Trusted;

/// What to keep.
#[derive(Args)]
pub(super) struct Options {
    service: Service,
    /// Although no login through it was seen
    #[arg(long)]
    anyway: bool,
}

/// Keeps it.
pub(super) fn run(context: &Context, options: &Options) -> Result<Exit, Trouble> {
    needs_root()?;
    let loaded = context.load()?;
    let state = State::open(&loaded.config.state_dir, Trusted::of(uids()));
    let exit = confirm(context, options.service, &state, options.anyway)?;
    let service = options.service.name();
    context
        .console
        .say(&format!("{service} stays as it is now."));
    context
        .console
        .document(&serde_json::json!({ "service": service, "result": "confirmed" }));
    Ok(exit)
}
