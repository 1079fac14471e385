//! `confirm SERVICE`: keeps a change that `enable --try` made.

use crate::change::record::Store;
use crate::change::service::Service;
use crate::change::watchdog;
use crate::outcome::{Exit, Failure};
use crate::ui::console::Console;
use crate::verb::{Context, needs_root};
use clap::Args;
use pam_onelogin::host::uids;
use pam_onelogin::state::State;
use pam_onelogin::trust::Trusted;

/// What to keep.
#[derive(Args)]
pub(crate) struct Options {
    /// Service to confirm
    service: Service,
    /// Confirm although OneLogin has accepted no login through the service
    #[arg(long)]
    anyway: bool,
}

/// Keeps it.
pub(crate) fn run(context: &Context, options: &Options) -> Result<Exit, Failure> {
    needs_root()?;
    let loaded = context.load()?;
    let state = State::open(&loaded.config.state_dir, Trusted::of(uids()));
    let exit = keep(
        &context.console,
        options.service,
        &state,
        None,
        options.anyway,
    )?;
    let service = options.service.name();
    context
        .console
        .say(&format!("{service}: the change is confirmed."));
    context
        .console
        .document(&serde_json::json!({ "service": service, "result": "confirmed" }));
    Ok(exit)
}

/// Keeps a change on trial, if a login through it was accepted since, or with `anyway`. `user` is the one who makes this
/// login, if that is known.
pub(super) fn keep(
    console: &Console,
    service: Service,
    state: &State,
    user: Option<&str>,
    anyway: bool,
) -> Result<Exit, Failure> {
    let name = service.name();
    let store = Store::open()?;
    let Some(record) = Store::on_trial(service)? else {
        return Err(Failure::new(format!("{name}: no change is on trial")));
    };
    if record.is_overdue() {
        return Err(Failure::new(format!(
            "{name}: too late, the change is rolled back"
        )));
    }
    let mut through = record.through.iter();
    let seen = through.find_map(|service| state.recorded_login(service));
    match seen {
        Some(user) => {
            let user = pam_onelogin::text::clean(&user, pam_onelogin::text::PROMPT_CHARS);
            console.note(&format!("OneLogin accepted a login of {user} through it."));
        }
        None if anyway => {}
        None => {
            return Err(Failure::new(format!(
                "OneLogin has accepted no login through {name} since the change; first log in from a \
                 second window: {}",
                service.second_login(user.unwrap_or("USER"))
            )));
        }
    }
    store.keep(&record)?;
    watchdog::stop(service);
    record
        .through
        .iter()
        .for_each(|service| state.unwatch(service));
    Ok(Exit::Good)
}
