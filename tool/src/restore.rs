//! `restore`: puts back what was on trial and not confirmed in time. For the unit at the start of
//! the machine, the timer, and the process that waits.

use crate::Context;
use crate::enable::record::Store;
use crate::enable::service::{Service, path};
use crate::host::audit::leave;
use crate::outcome::{Exit, Trouble};
use clap::Args;
use pam_onelogin::verdict::Level;
use std::io::Write as _;
use std::thread::sleep;
use std::time::Duration;

/// What to wait for.
#[derive(Args)]
pub(super) struct Options {
    /// Waits until this service's trial is over
    #[arg(long, value_name = "SERVICE", hide = true)]
    wait: Option<Service>,
}

/// Puts back what is overdue.
pub(super) fn run(context: &Context, options: &Options) -> Result<Exit, Trouble> {
    if let Some(service) = options.wait {
        // Away from the terminal that started us, and from its end.
        let _ = nix::unistd::setsid();
        let own = Store::on_trial(service)?;
        let _ = std::io::stdout().write_all(b".");
        let _ = std::io::stdout().flush();
        // A full disk, or one that is read-only for a while, must not have the last word.
        let mut pause = TICK;
        let mut logged = Vec::new();
        while let Some(own) = &own {
            match Store::on_trial(service) {
                Ok(Some(now)) if now.is_same(own) => {
                    if let Some(Err(trouble)) = now.is_overdue().then(|| overdue(context)) {
                        pause = (pause * 2).min(LONGEST);
                        if logged != trouble.0 {
                            for sentence in &trouble.0 {
                                leave(Level::Error, sentence);
                            }
                            logged = trouble.0;
                        }
                    }
                }
                Ok(_) => break,
                Err(_) => {}
            }
            sleep(pause);
        }
    }
    overdue(context)?;
    Ok(Exit::Good)
}

/// Puts back what is overdue, and says so here and in the log; whether something was.
pub(super) fn overdue(context: &Context) -> Result<bool, Trouble> {
    let (restored, troubles) = Store::open()?.restore_overdue();
    for record in &restored {
        let text = format!(
            "{} was not confirmed in time: its stack is as it was before",
            record.service
        );
        leave(Level::Warning, &text);
        context.console.note(&text);
    }
    let sentences: Vec<_> = troubles.into_iter().flat_map(|trouble| trouble.0).collect();
    if sentences.is_empty() {
        Ok(!restored.is_empty())
    } else {
        Err(Trouble(sentences))
    }
}

/// The stacks of a service that are there.
pub(super) fn stacks(service: Service) -> impl Iterator<Item = &'static str> {
    let all = service.stacks().iter().copied();
    all.filter(|stack| path(stack).exists())
}

/// How often the process that waits looks whether the trial is over.
const TICK: Duration = Duration::from_millis(500);
/// How long it waits at most where putting back does not work.
const LONGEST: Duration = Duration::from_secs(30);
