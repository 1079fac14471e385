//! `check`: checks the host and reports what is wrong, where, why it matters and what to do. It changes
//! nothing, and asks no user for anything.

use crate::change::record::{Record, enabled_on};
use crate::change::service::Service;
use crate::examine::root_shell::{as_root, root_shell};
use crate::examine::subject::{Enabled, Subject};
use crate::examine::sudo::is_left_out;
use crate::examine::ways_in::beyond_pam::GENERAL;
use crate::examine::ways_in::way::Way;
use crate::examine::ways_in::ways_in;
use crate::examine::{examine, examine_configuration};
use crate::host::target_system::TargetSystem;
use crate::host::user_selection::{sudo_caller, user_names};
use crate::outcome::{Exit, Failure};
use crate::pam_stack::FOLDERS;
use crate::ui::console::{Paint, paint, width};
use crate::ui::finding::{AS_ROOT, Finding, Severity, wrap};
use crate::verb::on_trial::OnTrial;
use crate::verb::{Context, prove};
use clap::Args;
use nix::unistd::User;
use pam_onelogin::args::DEFAULT_CONFIG;
use pam_onelogin::text::{PROMPT_CHARS, clean};
use serde::Serialize;
use std::path::Path;

/// The ways to call the command: not every option goes with every other.
const USAGE: &str = "\
pam-onelogin check [OPTIONS] [USER|SERVICE]
       pam-onelogin check --ways-in [--offline] [--root DIR]
       pam-onelogin check --config-only
       pam-onelogin check --prove USER";

/// What to look at.
#[derive(Args)]
#[command(override_usage = USAGE, after_help = "\
Exit status: 0 no fault and no warning, and with --ways-in whatever it lists; 1 a fault, a warning or a failure; \
2 wrong command line; 3 the tenant is unsafe.")]
pub(crate) struct Options {
    /// Local user whose devices to look up, or service whose stack to check
    #[arg(value_name = "USER|SERVICE", conflicts_with_all = ["config_only", "user"], add = user_names())]
    focus: Option<String>,
    #[command(flatten)]
    machine: TargetSystem,
    /// Check files only; do not contact OneLogin, and do not ask the running sshd
    #[arg(long)]
    offline: bool,
    /// Check only the configuration and the files that it names
    #[arg(long, conflicts_with_all = ["root", "user"])]
    config_only: bool,
    /// List the ways into this host that need no second factor
    #[arg(long, conflicts_with_all = ["config_only", "focus", "prove", "quiet", "user", "verbose"])]
    ways_in: bool,
    /// Look up the devices of this local user, to check the credentials further
    #[arg(long, value_name = "NAME", add = user_names())]
    user: Option<String>,
    /// Find out how your tenant behaves, by real codes and pushes of this local user; each step asks first
    #[arg(long, value_name = "USER", add = user_names(),
        conflicts_with_all = ["focus", "root", "offline", "config_only", "user", "verbose", "quiet"])]
    prove: Option<String>,
    #[command(flatten)]
    detail: Detail,
}

/// How much to show.
#[derive(Args)]
pub(crate) struct Detail {
    /// Also show passed checks and informational messages
    #[arg(short, long, conflicts_with = "quiet")]
    verbose: bool,
    /// Show only faults and warnings, without the last line
    #[arg(short, long)]
    quiet: bool,
}

impl Options {
    /// The word on the command line, if it is the name of a service.
    fn service(&self) -> Option<&str> {
        let word = self.focus.as_deref()?;
        let has_stack = |folder: &&str| {
            let path = Path::new(folder).join(word);
            self.machine.has(&path) && !self.machine.is_folder(path)
        };
        // The tool knows some, whether or not they have a stack.
        let is_service = Service::All.logins().contains(&word)
            || !word.contains('/') && FOLDERS.iter().any(has_stack);
        is_service.then_some(word)
    }

    /// The changes on trial that it concerns.
    fn trials(&self) -> Vec<OnTrial> {
        if self.config_only || !self.machine.is_this() {
            return Vec::new();
        }
        let mut trials = OnTrial::all();
        let service = self.service();
        trials.retain(|trial| service.is_none_or(|service| trial.concerns(service)));
        trials
    }

    /// What is to be examined.
    fn subject<'a>(&'a self, config: &'a Path) -> Subject<'a> {
        let subject = Subject::of(&self.machine, config, self.user());
        let is_live = !self.offline && self.machine.is_this();
        let records = enabled_on(&self.machine).into_iter();
        subject
            .only(self.service())
            .enabled(records.map(enabled).collect())
            .live(is_live)
    }

    /// Refuses a name that this host does not know.
    fn refuse_unknown_name(&self) -> std::result::Result<(), Failure> {
        let Some(name) = self.user().filter(|_| self.machine.is_this()) else {
            return Ok(());
        };
        if !matches!(User::from_name(name), Ok(None)) {
            return Ok(());
        }
        let kinds = match self.user {
            Some(_) => "user",
            None => "user and no service",
        };
        let name = clean(name, PROMPT_CHARS);
        Err(Failure::new(format!(
            "this host has no {kinds} of this name: {name}"
        )))
    }

    /// The user whose devices are looked up.
    fn user(&self) -> Option<&str> {
        let word = || self.focus.as_deref().filter(|_| self.service().is_none());
        self.user.as_deref().or_else(word)
    }
}

/// What a record says.
fn enabled(record: Record) -> Enabled {
    let files = record.files.into_iter();
    Enabled {
        service: record.service,
        files: files.map(|file| file.path).collect(),
        through: record.through,
    }
}

/// The result for machines.
#[derive(Serialize)]
struct Result {
    faults: usize,
    warnings: usize,
    findings: Vec<Finding>,
}

/// The result of `--ways-in` for machines.
#[derive(Serialize)]
struct Ways {
    ways: Vec<Way>,
}

/// Looks at everything.
pub(crate) fn run(context: &Context, options: &Options) -> std::result::Result<Exit, Failure> {
    if let Some(user) = &options.prove {
        return prove::run(context, user);
    }
    if !options.machine.has("/etc") {
        return Err(Failure::new(
            "--root: this folder contains no system: it has no folder etc; pass the root folder of a system",
        ));
    }
    options.refuse_unknown_name()?;
    if options.ways_in {
        list_ways_in(context, options);
        return Ok(Exit::Good);
    }
    let (mut findings, mut words) = findings(&context.config, options);
    let trials = options.trials();
    findings.extend(trials.iter().map(OnTrial::finding));
    words.trial = trials.first().map(OnTrial::confirm);
    let next = |findings: &[Finding]| next(&context.config, options, findings, &words);
    Ok(options.detail.report(context, findings, next))
}

impl Detail {
    /// Shows findings, the worst first, and below them how many are bad and what to type next.
    pub(crate) fn report(
        &self,
        context: &Context,
        mut findings: Vec<Finding>,
        next: impl FnOnce(&[Finding]) -> String,
    ) -> Exit {
        // The order of the examiners stays within a severity.
        findings.sort_by_key(|finding| finding.severity);
        let width = width();
        let shown = |finding: &&Finding| self.verbose || finding.severity.is_bad();
        for finding in findings.iter().filter(shown) {
            context.console.say(&finding.text(width));
        }
        let count = |severity| {
            let found = findings.iter().filter(|found| found.severity == severity);
            found.count()
        };
        let (faults, warnings) = (count(Severity::Fault), count(Severity::Warning));
        if !self.quiet {
            let text = format!("{} {}", summary(faults, warnings), next(&findings));
            let colour = match (faults, warnings) {
                (0, 0) => Paint::Good,
                (0, _) => Paint::Warning,
                _ => Paint::Bad,
            };
            context.console.say(&paint(colour, &wrap(&text, 0, width)));
        }
        let is_bad = findings.iter().any(|finding| finding.severity.is_bad());
        context.console.document(&Result {
            faults,
            warnings,
            findings: findings.into_iter().map(Finding::cleaned).collect(),
        });
        if is_bad { Exit::Bad } else { Exit::Good }
    }
}

/// Lists the ways in.
fn list_ways_in(context: &Context, options: &Options) {
    let ways = ways_in(&options.subject(&context.config));
    let width = width();
    for way in &ways {
        context.console.say(&format!("{}\n", way.text(width)));
    }
    let count = format!(
        "{} ways in without a second factor. The last {} exist on most hosts; check did not look at them.",
        ways.len(),
        GENERAL.len()
    );
    context.console.say(&paint(Paint::Bold, &count));
    context.console.document(&Ways {
        ways: ways.into_iter().map(Way::cleaned).collect(),
    });
}

/// What the next command depends on.
#[derive(Default)]
struct Words {
    /// The command that adds OneLogin to sshd.
    enable: String,
    /// How to get a root shell, if sudo denies every login.
    root_shell: Option<String>,
    /// How to confirm what is on trial now.
    trial: Option<String>,
    /// Whether sshd asks OneLogin, and sudo does not.
    leaves_out_sudo: bool,
    /// The services that `enable` has changed.
    services: Vec<String>,
}

/// What is to be examined, examined.
fn findings(config: &Path, options: &Options) -> (Vec<Finding>, Words) {
    if options.config_only {
        let findings = examine_configuration(&options.machine, config);
        return (findings, Words::default());
    }
    let subject = options.subject(config);
    let findings = examine(&subject);
    let words = Words {
        enable: subject.enable("sshd"),
        root_shell: root_shell(&subject, &findings),
        trial: None,
        leaves_out_sudo: is_left_out(&options.machine),
        services: subject.services().map(str::to_owned).collect(),
    };
    (findings, words)
}

/// How many faults and warnings there are.
fn summary(faults: usize, warnings: usize) -> String {
    let of = |count: usize, word: &str| match count {
        0 => format!("no {word}s"),
        1 => format!("1 {word}"),
        _ => format!("{count} {word}s"),
    };
    match (faults, warnings) {
        (0, 0) => "No faults.".to_owned(),
        (0, _) => format!("No faults, {}.", of(warnings, "warning")),
        (_, 0) => format!("{}.", of(faults, "fault")),
        _ => format!("{}, {}.", of(faults, "fault"), of(warnings, "warning")),
    }
}

/// The command that an administrator types next.
fn next(config: &Path, options: &Options, findings: &[Finding], words: &Words) -> String {
    let enable = &words.enable;
    let has = |wanted: &[&str]| findings.iter().any(|found| wanted.contains(&found.id));
    let (sudo, next) = match &words.root_shell {
        None => ("sudo ", "Next".to_owned()),
        Some(shell) => ("", format!("Next, in a root shell ({shell})")),
    };
    let tool = if config == Path::new(DEFAULT_CONFIG) {
        format!("{sudo}pam-onelogin")
    } else {
        format!("{sudo}pam-onelogin --config {}", config.display())
    };
    let this = if options.config_only {
        format!("{tool} check --config-only")
    } else {
        let words = options.user.as_ref().map(|user| format!("--user {user}"));
        match words.or_else(|| options.focus.clone()) {
            Some(words) => format!("{tool} check {words}"),
            None => format!("{tool} check"),
        }
    };
    let is_faulty = findings
        .iter()
        .any(|finding| finding.severity == Severity::Fault);
    let needs_root = |finding: &Finding| {
        let advice = finding.advice.as_deref();
        advice.is_some_and(|advice| advice == AS_ROOT || advice == as_root(AS_ROOT))
    };
    if findings.iter().any(needs_root) && options.machine.is_this() {
        return format!("{next}: {this}");
    }
    let is_of_configuration = |finding: &Finding| {
        let ids = ["configuration", "no-configuration"];
        finding.severity == Severity::Fault && ids.contains(&finding.id)
    };
    if findings.iter().any(is_of_configuration) && options.machine.is_this() {
        // Which editor root has is not known.
        let editor = if sudo.is_empty() { "edit" } else { "sudoedit" };
        return format!("{next}: {editor} {}", config.display());
    }
    match (is_faulty, options.machine.is_this()) {
        (true, true) => {
            let disable = words.services.iter();
            let disable: Vec<_> = disable
                .map(|service| format!("{tool} disable {service}"))
                .collect();
            let until_then = if has(&OUTAGE) && !disable.is_empty() {
                let commands = disable.join("; type: ");
                format!(". To log in without OneLogin until then, type: {commands}")
            } else {
                String::new()
            };
            let what = match Cause::of(findings) {
                Cause::ThisHost => "correct the faults",
                Cause::OneLogin => "wait until OneLogin answers again",
                Cause::Either => {
                    "do what the faults say; if nothing is wrong on this host, wait until OneLogin can be reached again"
                }
            };
            return format!("{next}: {what}, then type: {this}{until_then}");
        }
        (true, false) => return "Next: correct the faults, then check again.".to_owned(),
        (false, false) => return format!("Next, on that system: {tool} check"),
        (false, true) => {}
    }
    if let Some(confirm) = &words.trial {
        return format!("Next: {confirm}");
    }
    if options.offline || options.config_only {
        return format!("{next}: {tool} check");
    }
    if has(&["user", "look-up-paused", "limit-used-up"]) {
        return format!("Next: do what the warning about this user says, then type: {this}");
    }
    let warnings = findings.iter();
    let mut warnings = warnings.filter(|found| found.severity == Severity::Warning);
    let comes_first = |found: &Finding| {
        let is_open = found.who.is_some() && !CHOSEN.contains(&found.id);
        found.severity == Severity::Warning && (is_open || found.id == "running-sshd")
    };
    if !has(&["not-used"]) && findings.iter().any(comes_first) {
        let what = match warnings.nth(1) {
            None => "the warning says",
            Some(_) => "the warnings say",
        };
        return format!("{next}: do what {what}, then type: {this}");
    }
    let user = options.user().map(str::to_owned).or_else(plain_caller);
    let user = user.as_deref().unwrap_or("USER");
    if has(&["not-used"]) {
        // Without the option, the trial login is that of the user who calls sudo.
        format!(
            "No service uses the module yet. Next: {tool} test {user}; then: {tool} {enable} --user {user}"
        )
    } else if words.leaves_out_sudo {
        format!(
            "Next: {tool} test {user}; so that sudo asks OneLogin, too: {tool} enable sudo --user {user}"
        )
    } else {
        format!("Next: {tool} test {user}")
    }
}

/// Warnings about a setting that is there on purpose, and for some time.
const CHOSEN: [&str; 2] = ["observe", "failmode-safe"];

/// Faults of the way to OneLogin, and of OneLogin itself.
const OUTAGE: [&str; 8] = [
    "name-server",
    "no-connection",
    "no-onelogin",
    "no-such-host",
    "onelogin",
    "onelogin-down",
    "rate-limited",
    "timeout",
];

/// Those that nothing on this host can correct.
const OF_ONELOGIN: [&str; 2] = ["onelogin-down", "rate-limited"];

/// Where the faults are.
enum Cause {
    ThisHost,
    OneLogin,
    /// On this host, in the network or at OneLogin.
    Either,
}

impl Cause {
    fn of(findings: &[Finding]) -> Self {
        let faults = findings.iter();
        let mut faults = faults.filter(|finding| finding.severity == Severity::Fault);
        if faults.clone().all(|fault| OF_ONELOGIN.contains(&fault.id)) {
            Self::OneLogin
        } else if faults.all(|fault| OUTAGE.contains(&fault.id)) {
            Self::Either
        } else {
            Self::ThisHost
        }
    }
}

/// The user who called sudo, if the name can be part of a command to type.
fn plain_caller() -> Option<String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    sudo_caller().filter(|name| !name.is_empty() && name.chars().all(is_plain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn next_after(words: &[&str], findings: &[Finding]) -> String {
        let words = ["check"].iter().chain(words);
        let options = Line::parse_from(words).options;
        let words = Words {
            enable: "enable sshd".to_owned(),
            ..Words::default()
        };
        next(Path::new(DEFAULT_CONFIG), &options, findings, &words)
    }

    #[test]
    fn where_sudo_does_not_work_the_next_command_is_for_a_root_shell() {
        let words = Words {
            root_shell: Some("\"su -\"".to_owned()),
            ..Words::default()
        };
        for (finding, last) in [
            (
                Finding::fault("line", ""),
                "correct the faults, then type: pam-onelogin check",
            ),
            (
                Finding::fault("configuration", ""),
                "edit /etc/pam_onelogin/config.toml",
            ),
            (
                Finding::warning("unreadable", "").advice(as_root(AS_ROOT)),
                "pam-onelogin check",
            ),
        ] {
            let options = Line::parse_from(["check"]).options;
            assert_eq!(
                next(Path::new(DEFAULT_CONFIG), &options, &[finding], &words),
                format!("Next, in a root shell (\"su -\"): {last}")
            );
        }
    }

    #[test]
    fn where_sshd_asks_and_sudo_does_not_the_next_command_enables_sudo() {
        let options = Line::parse_from(["check", "alice"]).options;
        let words = Words {
            leaves_out_sudo: true,
            ..Words::default()
        };
        assert_eq!(
            next(Path::new(DEFAULT_CONFIG), &options, &[], &words),
            "Next: sudo pam-onelogin test alice; so that sudo asks OneLogin, too: sudo pam-onelogin enable sudo --user \
             alice"
        );
    }

    #[test]
    fn in_an_outage_the_next_command_may_be_to_disable_what_was_enabled() {
        let options = Line::parse_from(["check"]).options;
        let next = |id, services: &[&str]| {
            let words = Words {
                services: services.iter().map(ToString::to_string).collect(),
                ..Words::default()
            };
            let config = Path::new(DEFAULT_CONFIG);
            next(config, &options, &[Finding::fault(id, "")], &words)
        };
        let first = "Next: do what the faults say; if nothing is wrong on this host, wait until OneLogin can be reached \
                     again, then type: sudo pam-onelogin check";
        assert_eq!(next("no-connection", &[]), first);
        assert_eq!(next("no-such-host", &[]), first);
        let correct = "Next: correct the faults, then type: sudo pam-onelogin check";
        assert_eq!(next("skips", &["sudo"]), correct);
        for id in OF_ONELOGIN {
            assert_eq!(
                next(id, &[]),
                "Next: wait until OneLogin answers again, then type: sudo pam-onelogin check"
            );
        }
        assert_eq!(
            next("no-connection", &["sshd", "sudo"]),
            format!(
                "{first}. To log in without OneLogin until then, type: sudo pam-onelogin disable sshd; type: sudo \
                 pam-onelogin disable sudo"
            )
        );
    }

    #[test]
    fn the_next_command_leads_from_the_configuration_to_a_protected_service() {
        let missing = Finding::fault("configuration", "");
        assert_eq!(
            next_after(&[], &[missing]),
            "Next: sudoedit /etc/pam_onelogin/config.toml"
        );
        let right = Finding::good("configuration", "");
        let other = Finding::fault("skips", "");
        assert_eq!(
            next_after(&["sshd"], &[right, other]),
            "Next: correct the faults, then type: sudo pam-onelogin check sshd"
        );
        let used_up = Finding::warning("limit-used-up", "");
        assert_eq!(
            next_after(&["alice"], &[used_up]),
            "Next: do what the warning about this user says, then type: sudo pam-onelogin check alice"
        );
        let not_root = Finding::fault("unprivileged", "").advice(AS_ROOT);
        assert_eq!(
            next_after(&["alice"], &[not_root]),
            "Next: sudo pam-onelogin check alice"
        );
        assert_eq!(
            next_after(&["--offline"], &[]),
            "Next: sudo pam-onelogin check"
        );
        assert_eq!(
            next_after(&["alice"], &[Finding::note("not-used", "")]),
            "No service uses the module yet. Next: sudo pam-onelogin test alice; \
             then: sudo pam-onelogin enable sshd --user alice"
        );
        assert_eq!(
            next_after(&["alice"], &[Finding::warning("user", "")]),
            "Next: do what the warning about this user says, then type: sudo pam-onelogin check alice"
        );
        let open = Finding::warning("sshd-methods", "").opens_to("users of ssh");
        let other = Finding::warning("lock-screen", "");
        assert_eq!(
            next_after(&["sshd"], std::slice::from_ref(&open)),
            "Next: do what the warning says, then type: sudo pam-onelogin check sshd"
        );
        assert_eq!(
            next_after(&[], &[Finding::warning("running-sshd", ""), other.clone()]),
            "Next: do what the warnings say, then type: sudo pam-onelogin check"
        );
        for id in CHOSEN {
            let chosen = Finding::warning(id, "").opens_to("all users");
            assert_eq!(
                next_after(&["alice"], &[chosen]),
                "Next: sudo pam-onelogin test alice"
            );
        }
        assert_eq!(
            next_after(&["alice"], &[Finding::note("not-used", ""), open]),
            "No service uses the module yet. Next: sudo pam-onelogin test alice; \
             then: sudo pam-onelogin enable sshd --user alice"
        );
        assert_eq!(
            next_after(&["--user", "alice"], &[other]),
            "Next: sudo pam-onelogin test alice"
        );
    }
}
