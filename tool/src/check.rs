//! `check`: looks at the machine and says what is wrong, where, why it matters and what to do.
//! Nothing is changed, nobody is asked.

mod module;
mod onelogin;
mod settings;
mod shared;
mod ssh;
mod stacks;
mod sudo;
mod system;

use crate::Context;
use crate::host::target_system::TargetSystem;
use crate::outcome::{Exit, Trouble};
use crate::pam_stack::edit::Behind;
use crate::sshd::config::Sshd;
use crate::ui::console::{Paint, paint};
use crate::ui::finding::{Finding, Severity};
use clap::Args;
use pam_onelogin::config::{Config, Missing, NoFactor, parse};
use serde::Serialize;
use std::io::ErrorKind;
use std::path::Path;

pub(super) use stacks::Rewritten;

/// What to look at.
#[derive(Args)]
pub(super) struct Options {
    #[command(flatten)]
    machine: TargetSystem,
    /// Without asking OneLogin, or anybody else
    #[arg(long)]
    offline: bool,
    /// A local user whose devices may be asked for
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
}

/// What an examiner looks at.
struct Subject<'a> {
    machine: &'a TargetSystem,
    /// Of `--config`; a path on that machine.
    config: &'a Path,
    /// What stands in it; `None` where it has faults, which are found elsewhere.
    settings: Option<Config>,
    /// What sshd was told.
    sshd: Sshd,
    /// Of `--user`.
    user: Option<&'a str>,
}

impl Subject<'_> {
    /// Whether the configuration exempts somebody.
    fn exempts(&self) -> bool {
        self.settings.as_ref().is_some_and(|settings| {
            let users = &settings.users;
            !users.exempt_users.is_empty()
                || !users.exempt_groups.is_empty()
                || users.groups.is_some()
                || users.unknown == Missing::Exempt
                || users.no_factor == NoFactor::Exempt
        })
    }

    /// Whether sshd uses this service.
    fn is_ssh(&self, service: &str) -> bool {
        service == self.sshd.service()
    }

    /// Whether sshd uses this service for some users, or for all; or that cannot be told.
    fn may_be_ssh(&self, service: &str) -> bool {
        let mut services = self.sshd.services();
        self.sshd.cannot_be_told() || services.any(|used| used == service)
    }
}

/// One thing that is looked at.
struct Examiner {
    /// Whether it asks somebody, or something of the machine that runs: not with `--offline`, nor
    /// below a `--root`.
    is_live: bool,
    run: fn(&Subject<'_>, &mut Vec<Finding>),
}

/// Each of them, in the order in which an admin would look.
const EXAMINERS: &[Examiner] = &[
    Examiner {
        is_live: false,
        run: stacks::examine,
    },
    Examiner {
        is_live: false,
        run: ssh::examine,
    },
    Examiner {
        is_live: false,
        run: sudo::examine,
    },
    Examiner {
        is_live: false,
        run: settings::examine,
    },
    Examiner {
        is_live: true,
        run: module::examine,
    },
    Examiner {
        is_live: true,
        run: system::examine,
    },
    Examiner {
        is_live: true,
        run: onelogin::examine,
    },
];

/// The result for machines.
#[derive(Serialize)]
struct Result {
    faults: usize,
    warnings: usize,
    findings: Vec<Finding>,
}

/// Looks at everything.
pub(super) fn run(context: &Context, options: &Options) -> std::result::Result<Exit, Trouble> {
    if !options.machine.has("/etc") {
        return Err(Trouble::new(
            "--root: there is no machine: no folder etc in it",
        ));
    }
    let subject = Subject {
        machine: &options.machine,
        config: &context.config,
        settings: settings(&options.machine, &context.config),
        sshd: Sshd::read(&options.machine),
        user: options.user.as_deref(),
    };
    let is_live = !options.offline && options.machine.is_this();
    let mut findings = Vec::new();
    for examiner in EXAMINERS {
        if is_live || !examiner.is_live {
            (examiner.run)(&subject, &mut findings);
        }
    }
    unread(&subject, &mut findings);
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

/// The stack of a service of this machine, written anew so that OneLogin is asked in it. `None`: none
/// of which `check` would find nothing wrong.
pub(super) fn rewritten(config: &Path, service: &str, behind: Behind) -> Option<Rewritten> {
    let machine = TargetSystem::this();
    let subject = Subject {
        machine: &machine,
        config,
        settings: settings(&machine, config),
        sshd: Sshd::read(&machine),
        user: None,
    };
    stacks::rewritten(&subject, service, behind)
}

/// What is there and could not be looked at is not good.
fn unread(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for (path, (kind, error)) in subject.machine.unread() {
        // The configuration has findings of its own.
        if path == subject.config {
            continue;
        }
        let (what, advice) = if kind == ErrorKind::PermissionDenied {
            (
                "only root may read it".to_owned(),
                "run this with sudo".to_owned(),
            )
        } else {
            (error, format!("see what it is: ls -ld {}", path.display()))
        };
        findings.push(
            Finding::warning("unreadable", format!("not looked at: {what}"))
                .in_file(&path)
                .why("what stands there may let somebody in, or nobody")
                .advice(advice),
        );
    }
}

/// The settings, without a look at whom the file belongs to.
fn settings(machine: &TargetSystem, path: &Path) -> Option<Config> {
    let text = machine.text(path).ok().flatten()?;
    parse(&path.display().to_string(), &text).ok()
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
