//! Settings that end by themselves: which have ended, and which end soon.

use crate::host::target_system::TargetSystem;
use crate::login::observed::ObserveMode;
use crate::ui::finding::Finding;
use pam_onelogin::clock::unix_now;
use pam_onelogin::config::Config;
use pam_onelogin::config::dates::{Dates, Lapse};
use pam_onelogin::config::file::changed;
use std::path::Path;

/// When the configuration of a machine was changed, and the clock of this host.
pub(crate) fn dates(machine: &TargetSystem, path: &Path) -> Dates {
    let metadata = machine.real(path).and_then(|path| path.metadata());
    Dates {
        now: unix_now(),
        changed: metadata.map_or(0, |metadata| changed(&metadata)),
    }
}

fn has_ends(config: &Config) -> bool {
    !config.users.exempt.is_empty() || config.observe.is_some()
}

/// Looks at each setting with an end in a configuration without faults.
pub(super) fn examine(path: &Path, config: &Config, dates: Dates, findings: &mut Vec<Finding>) {
    for entry in &config.users.exempt {
        let until = entry.term.until;
        let of = format!("the exemption of the {}", entry.whom);
        let finding = match dates.apply(until) {
            Err(Lapse::Over) => Finding::warning("exemption-ended", format!("{of} ended on {until}"))
                .why("OneLogin is asked at their logins")
                .advice("remove the entry, or write a later day"),
            Ok(()) if dates.is_near(until) => {
                Finding::warning("exemption-ends", format!("{of} ends on {until}"))
                    .why(format!(
                        "after that day (UTC), OneLogin is asked at their logins; the reason of the entry is: {}",
                        entry.term.reason
                    ))
                    .advice("set up a factor for them, or write a later day")
            }
            Ok(()) | Err(Lapse::ClockBehind) => continue,
        };
        findings.push(finding.at(path, entry.line));
    }
    if let Some(observe) = ObserveMode::of(config, dates) {
        let finding = if observe.applies() {
            Finding::warning("observe", observe.sentence())
                .opens_to("all users, until observe mode ends")
                .why("OneLogin is asked who the users are, and no user has to answer")
                .advice("when the log shows that users could log in, remove [observe]; until then, read it: pam-onelogin status")
        } else {
            let latest = dates.latest_observe().map_or(String::new(), |latest| {
                format!("; to observe once more, write a day until {latest}")
            });
            Finding::warning("observe-over", observe.sentence())
                .why("users without a factor cannot log in")
                .advice(format!("remove [observe]{latest}"))
        };
        findings.push(finding.in_file(path));
    }
    if dates.now < dates.changed && has_ends(config) {
        findings.push(
            Finding::fault(
                "clock-behind",
                "the clock of this host is earlier than the last change of the configuration",
            )
            .in_file(path)
            .why("no setting with a last day applies until the clock is right")
            .advice(format!(
                "set the clock; if the time of the file is wrong, type: touch {}",
                path.display()
            )),
        );
    }
}
