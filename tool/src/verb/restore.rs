//! `restore`: puts back what was on trial and not confirmed in time. For the unit at the start of
//! the machine, the timer, and the process that waits.

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

/// Puts back what is overdue.
pub(crate) fn run(context: &Context, options: &Options) -> Result<Exit, Failure> {
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

/// How often the process that waits looks whether the trial is over.
const TICK: Duration = Duration::from_millis(500);
/// How long it waits at most where putting back does not work.
const LONGEST: Duration = Duration::from_secs(30);
