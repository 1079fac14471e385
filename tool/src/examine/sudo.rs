//! sudoers: where sudo skips PAM, or authenticates another user.

mod rules;
pub(crate) mod unasked;

use crate::examine::break_glass;
use crate::examine::named_stack::{asks, read};
use crate::examine::subject::Subject;
use crate::examine::sudo::rules::{Rules, SUDOERS, Setting, VENDOR, members, paths};
use crate::host::target_system::TargetSystem;
use crate::ui::finding::{Finding, Place, UNKNOWN};
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

/// Checks the rules of sudo, if its stack calls `pam_onelogin`.
pub(crate) fn examine(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    if !["sudo", "sudo-i"]
        .iter()
        .any(|service| subject.includes(service))
    {
        return;
    }
    let machine = subject.machine;
    let is_asked = asks(machine, "sudo") || asks(machine, "sudo-i");
    for path in paths(machine) {
        let mut rules = Rules::default();
        rules.file(machine, path);
        services(machine, &rules, findings);
        if !is_asked {
            continue;
        }
        if rules.is_endless() {
            findings.push(
                Finding::fault("sudoers", "sudoers includes files in an endless loop")
                    .in_file(path)
                    .why("sudo does not work")
                    .advice("look for a file that includes itself; type: sudo visudo -c"),
            );
            continue;
        }
        let is_said = defaults(&rules.defaults, subject.login_timeout(), findings);
        if !is_said && !rules.is_in_part {
            findings.push(timestamp("5 or 15", "").in_file(path));
        }
        exempt(subject, &rules.others, findings);
    }
    if is_asked {
        elsewhere(machine, findings);
    }
}

/// Settings that give sudo a stack of another name.
fn services(machine: &TargetSystem, rules: &Rules, findings: &mut Vec<Finding>) {
    for setting in &rules.defaults {
        let usual = match setting.name.as_str() {
            "pam_service" | "pam_askpass_service" => "sudo",
            "pam_login_service" => "sudo-i",
            _ => continue,
        };
        let service = setting.value.as_deref().unwrap_or_default();
        if asks(machine, usual) && !asks(machine, service) {
            let what = format!("sudo uses the stack {service}, which does not call pam_onelogin");
            findings.push(
                Finding::fault("sudo-service", what)
                    .of(Some(setting.place.clone()))
                    .opens_to("users of sudo")
                    .why(format!(
                        "{} sets this stack; sudo does not use the stack {usual}, which calls pam_onelogin",
                        setting.name
                    ))
                    .advice(format!("add pam_onelogin to /etc/pam.d/{service}")),
            );
        }
    }
}

/// Settings that change which user sudo authenticates, and how often. Returns whether one of them sets how
/// long sudo remembers an authentication.
fn defaults(settings: &[Setting], wait: Duration, findings: &mut Vec<Finding>) -> bool {
    let mut is_said = false;
    let is_timeout =
        |setting: &&Setting| setting.name == "timestamp_timeout" && setting.is_for_all();
    let timeout_for_all = settings.iter().rfind(is_timeout);
    let remembers = timeout_for_all.is_none_or(|last| {
        let minutes = last
            .value
            .as_deref()
            .and_then(|value| value.parse::<f64>().ok());
        !last.is_off && minutes != Some(0.0)
    });
    for setting in settings {
        let scope = match setting.scope.as_str() {
            _ if setting.is_for_all() => String::new(),
            scope => format!(" (Defaults{scope})"),
        };
        let value = setting.value.as_deref().unwrap_or_default();
        let finding = match (setting.name.as_str(), setting.is_off) {
            ("authenticate", true) => asks_nothing(&scope),
            ("timestamp_timeout", is_off) => {
                is_said |= setting.is_for_all();
                match timeout(value, &scope).filter(|_| !is_off) {
                    Some(finding) => finding,
                    None => continue,
                }
            }
            ("timestamp_type", false) if value == "global" && remembers => {
                all_terminals("timestamp_type=global", &scope)
            }
            ("tty_tickets", true) if remembers => all_terminals("!tty_tickets", &scope),
            ("timestamp_type", false) if value == "ppid" && remembers => {
                let what = format!("one authentication counts for all commands of a shell{scope}");
                Finding::note("sudo-timestamp", what).opens_to(RECENT).why(
                    "with timestamp_type=ppid, sudo remembers the process that starts it, not the terminal",
                )
            }
            ("passwd_timeout", false) => match prompt_time(value, wait, &scope) {
                Some(finding) => finding,
                None => continue,
            },
            ("targetpw" | "runaspw", false) => {
                let what = format!("sudo asks for the factor of another user{scope}");
                Finding::warning("sudo-subject", what)
                    .why(format!(
                        "with {}, OneLogin checks the target user, unless that is root",
                        setting.name
                    ))
                    .advice(
                        "remove this setting; but first remove a rule \"ALL ALL=(ALL) ALL\", if there is one: without \
                         targetpw, that rule lets every user become root",
                    )
            }
            ("rootpw", false) => {
                let what = format!("sudo asks for root's password{scope}");
                Finding::note("sudo-subject", what).why("OneLogin checks the user who calls sudo")
            }
            ("exempt_group", false) => {
                let what = format!("sudo does not authenticate the group {value}{scope}");
                Finding::warning("sudo-exempt", what)
                    .opens_to(format!("%{value}"))
                    .why("exempt_group skips the stack")
                    .advice(
                        "remove this setting, or use users.exempt_groups: each exemption is logged",
                    )
            }
            ("passwd_tries", false) if value.parse::<u32>().is_ok_and(|tries| tries > 3) => {
                let what = format!("sudo runs the stack up to {value} times{scope}");
                Finding::note("sudo-tries", what)
                    .why("while OneLogin cannot be reached, the user waits for each try")
            }
            _ => continue,
        };
        findings.push(edited(finding, &setting.place));
    }
    is_said
}

/// A finding about a line of sudoers, with the command that edits its file.
fn edited(mut finding: Finding, place: &Place) -> Finding {
    if let Some(advice) = finding.advice.as_mut().filter(|it| !it.contains("visudo")) {
        // An update writes over the file below /usr; sudo does not read it if there is one in /etc.
        let copy = if place.path == Path::new(VENDOR) {
            format!("type: sudo cp {VENDOR} {SUDOERS}; then ")
        } else {
            String::new()
        };
        let path = if copy.is_empty() {
            place.path.as_path()
        } else {
            Path::new(SUDOERS)
        };
        let _ = write!(advice, "; {copy}type: sudo visudo -f {}", path.display());
    }
    finding.of(Some(place.clone()))
}

/// Another terminal of the user needs no second factor.
fn all_terminals(setting: &str, scope: &str) -> Finding {
    let what = format!("one authentication counts for all terminals of the user{scope}");
    Finding::warning("sudo-timestamp", what)
        .opens_to(RECENT)
        .why(format!(
            "with {setting}, sudo needs no second factor in another terminal while it remembers the first"
        ))
        .advice(format!(
            "write \"Defaults timestamp_type=tty\" in place of \"{setting}\""
        ))
}

/// A prompt that sudo ends before the module does. The value is in minutes; 0 stands for no limit.
fn prompt_time(value: &str, wait: Duration, scope: &str) -> Option<Finding> {
    let seconds = value.parse::<f64>().ok()? * 60.0;
    if seconds <= 0.0 || seconds >= wait.as_secs_f64() {
        return None;
    }
    let what = format!("sudo ends a prompt after {seconds:.0} seconds{scope}");
    let wait = wait.as_secs();
    Some(
        Finding::warning("sudo-prompt", what)
            .why(format!(
                "that is before pam_onelogin ends it (login_timeout, {wait} seconds): a code that comes later \
                 is not accepted"
            ))
            .advice(format!("write \"Defaults passwd_timeout={}\"", wait / 60 + 1)),
    )
}

/// The stack is skipped.
fn asks_nothing(scope: &str) -> Finding {
    let what = format!("sudo does not authenticate users{scope}");
    let finding = if scope.is_empty() {
        Finding::fault("sudo-authenticate", what)
    } else {
        Finding::warning("sudo-authenticate", what)
    };
    finding
        .opens_to(format!("users of sudo{scope}"))
        .why("\"!authenticate\" skips the stack")
        .advice("remove \"!authenticate\"")
}

/// For how long sudo does not ask again.
fn timeout(value: &str, scope: &str) -> Option<Finding> {
    let minutes = value.parse::<f64>().ok()?;
    if minutes < 0.0 {
        let what = format!("sudo asks once, and not again until the next restart{scope}");
        let finding = Finding::warning("sudo-timestamp", what)
            .opens_to(RECENT)
            .why("anyone at the open terminal can become root")
            .advice("type: sudo visudo -f /etc/sudoers.d/onelogin; then write: Defaults timestamp_timeout=0");
        return Some(finding);
    }
    (minutes > 0.0).then(|| timestamp(value, scope))
}

fn timestamp(minutes: &str, scope: &str) -> Finding {
    let what = format!("sudo does not ask again for {minutes} minutes{scope}");
    Finding::note("sudo-timestamp", what)
        .opens_to(RECENT)
        .why("during that time, sudo needs no second factor")
        .advice("type: sudo visudo -f /etc/sudoers.d/onelogin; then write: Defaults timestamp_timeout=0")
}

/// Rules without a password.
fn exempt(subject: &Subject<'_>, rules: &[(Place, String)], findings: &mut Vec<Finding>) {
    for (place, rule) in rules {
        let mut parts = rule.split("NOPASSWD").skip(1);
        let commands = parts.find_map(|after| after.trim_start().strip_prefix(':'));
        if let Some(commands) = commands {
            let (who, _) = members(rule);
            let what = format!("sudo does not authenticate {who} for {}", commands.trim());
            let finding = match break_glass::is_complete(subject, &who) {
                Some(true) => {
                    Finding::note("sudo-nopasswd", format!("{what}: the break-glass account"))
                        .why("the account must work when the module denies all logins")
                }
                Some(false) => Finding::warning("sudo-nopasswd", what)
                    .why("NOPASSWD skips the stack, and the break-glass account is not complete")
                    .advice("complete the account: see the findings about it"),
                None => edited(
                    Finding::warning("sudo-nopasswd", what)
                        .why("NOPASSWD skips the stack")
                        .advice("remove NOPASSWD, unless only programs use the rule"),
                    place,
                ),
            };
            findings.push(finding.opens_to(who).of(Some(place.clone())));
        }
    }
}

/// Rules that are not in files.
fn elsewhere(machine: &TargetSystem, findings: &mut Vec<Finding>) {
    let text = machine.text_or_empty(SWITCH);
    for (index, line) in text.lines().enumerate() {
        let Some(sources) = line.trim().strip_prefix("sudoers:") else {
            continue;
        };
        let sources = sources.split('#').next().unwrap_or_default();
        let mut others = sources
            .split_whitespace()
            .filter(|source| *source != "files");
        if let Some(other) = others.next() {
            let what = format!("sudo also reads rules from {other}");
            findings.push(
                Finding::note("sudo-elsewhere", what)
                    .at(SWITCH, index + 1)
                    .opens_to(UNKNOWN)
                    .why("check does not read those rules, and they may contain NOPASSWD")
                    .advice("to see the rules of a user, type: sudo -l -U NAME"),
            );
        }
    }
}

/// Whether sshd asks OneLogin, and sudo, which this host has, does not.
pub(crate) fn is_left_out(machine: &TargetSystem) -> bool {
    let sudo = read(machine, "sudo").filter(|sudo| sudo.service.path.is_some());
    asks(machine, "sshd") && sudo.is_some_and(|sudo| !sudo.asks())
}

/// The users that sudo remembers.
const RECENT: &str = "users who have authenticated in sudo a short time ago";

/// The file that lists the sources of names and rules.
const SWITCH: &str = "/etc/nsswitch.conf";
