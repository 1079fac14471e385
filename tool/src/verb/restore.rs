//! `restore`: rolls back changes that were not confirmed in time. The unit at boot, the timer, and the
//! waiting process run it.

use crate::change::record::Store;
use crate::change::service::Service;
use crate::change::undo::overdue;
use crate::host::audit::leave;
use crate::outcome::{Exit, Failure};
use crate::verb::Context;
use clap::Args;
use pam_onelogin::verdict::Level;
use std::io::Write as _;
use std::thread::sleep;
use std::time::Duration;

/// What to wait for.
#[derive(Args)]
pub(crate) struct Options {
    /// Wait until the trial of this service is over
    #[arg(long, value_name = "SERVICE", hide = true)]
    wait: Option<Service>,
}

/// Rolls back what is overdue.
pub(crate) fn run(context: &Context, options: &Options) -> Result<Exit, Failure> {
    if let Some(service) = options.wait {
        // Away from the terminal that started us, and from its end.
        let _ = nix::unistd::setsid();
        let own = Store::on_trial(service)?;
        let _ = std::io::stdout().write_all(b".");
        let _ = std::io::stdout().flush();
        // A disk that is full or read-only for a while must not prevent the rollback.
        let mut pause = TICK;
        let mut logged = Vec::new();
        while let Some(own) = &own {
            match Store::on_trial(service) {
                Ok(Some(now)) if now.is_same(own) => {
                    if let Some(Err(failure)) = now.is_overdue().then(|| overdue(&context.console))
                    {
                        pause = (pause * 2).min(LONGEST);
                        if logged != failure.0 {
                            for sentence in &failure.0 {
                                leave(Level::Error, sentence);
                            }
                            logged = failure.0;
                        }
                    }
                }
                Ok(_) => break,
                Err(_) => {}
            }
            sleep(pause);
        }
    }
    overdue(&context.console)?;
    Ok(Exit::Good)
}

/// How often the waiting process checks whether the trial is over.
const TICK: Duration = Duration::from_millis(500);
/// The longest pause between two attempts when the rollback fails.
const LONGEST: Duration = Duration::from_secs(30);
