//! `check`: checks the host and reports what is wrong, where, why it matters and what to do. It changes
//! nothing, and asks no user for anything.

use crate::examine::examine;
use crate::examine::subject::Subject;
use crate::host::target_system::TargetSystem;
use crate::host::user_selection::user_names;
use crate::outcome::{Exit, Failure};
use crate::ui::console::{Paint, paint};
use crate::ui::finding::{Finding, Severity};
use crate::verb::Context;
use clap::Args;
use serde::Serialize;

/// What to look at.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    machine: TargetSystem,
    /// Check files only; do not contact OneLogin
    #[arg(long)]
    offline: bool,
    /// Look up the devices of this local user, to check the credentials further
    #[arg(long, value_name = "NAME", add = user_names())]
    user: Option<String>,
}

/// The result for machines.
#[derive(Serialize)]
struct Result {
    faults: usize,
    warnings: usize,
    findings: Vec<Finding>,
}

/// Looks at everything.
pub(crate) fn run(context: &Context, options: &Options) -> std::result::Result<Exit, Failure> {
    if !options.machine.has("/etc") {
        return Err(Failure::new(
            "--root: this folder contains no system: it has no folder etc; pass the root folder of a system",
        ));
    }
    let user = options.user.as_deref();
    let subject = Subject::of(&options.machine, &context.config, user);
    let is_live = !options.offline && options.machine.is_this();
    let mut findings = examine(&subject, is_live);
    // The order of the examiners stays within a severity.
    findings.sort_by_key(|finding| finding.severity);
    for finding in &findings {
        context.console.say(&finding.text());
    }
    let count = |severity| {
        let found = findings.iter().filter(|found| found.severity == severity);
        found.count()
    };
    let (faults, warnings) = (count(Severity::Fault), count(Severity::Warning));
    let is_bad = findings.iter().any(|finding| finding.severity.is_bad());
    context.console.say(&summary(faults, warnings));
    context.console.document(&Result {
        faults,
        warnings,
        findings: findings.into_iter().map(Finding::cleaned).collect(),
    });
    Ok(if is_bad { Exit::Bad } else { Exit::Good })
}

/// The last line.
fn summary(faults: usize, warnings: usize) -> String {
    let of = |count: usize, word: &str| match count {
        1 => format!("1 {word}"),
        _ => format!("{count} {word}s"),
    };
    let text = format!("{}, {}.", of(faults, "fault"), of(warnings, "warning"));
    let colour = match (faults, warnings) {
        (0, 0) => Paint::Good,
        (0, _) => Paint::Warning,
        _ => Paint::Bad,
    };
    paint(colour, &text)
}
