//! The tables `[services.NAME]`, and the stacks of programs that cannot show a prompt.

pub(super) mod openvpn;
mod proftpd;

use crate::examine::named_stack::{NamedStack, asks};
use crate::examine::stacks::all;
use crate::examine::stacks::programs::{runs_as_another_user, takes_turns};
use crate::examine::subject::Subject;
use crate::ui::finding::{Finding, Place};
use pam_onelogin::config::{Config, Service, twin};
use pam_onelogin::factor::Factor;
use std::time::Duration;

/// Compares the stacks with the tables of their services.
pub(super) fn examine(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let stacks = all(subject);
    // With a fault in the configuration, its tables are not known.
    let is_unclear = subject.settings.is_none() && subject.machine.has(subject.config);
    let included = stacks.iter().filter(|stack| subject.includes(&stack.name));
    for stack in included.filter(|stack| stack.asks()) {
        if runs_as_another_user(&stack.name) {
            findings.push(unprivileged(stack));
        } else if !subject.can_ask(&stack.name) {
            findings.extend((!is_unclear).then(|| no_prompt(subject, stack)));
        } else if let Some(settings) = &subject.settings {
            findings.extend(long_push(subject, stack, settings));
        }
        if stack.name == proftpd::NAME {
            findings.extend(proftpd::goes_past(subject));
        }
    }
    let tables = subject
        .settings
        .iter()
        .flat_map(|settings| &settings.services);
    for table in tables.filter(|table| subject.includes(&table.name)) {
        let names = [Some(table.name.as_str()), twin(&table.name)];
        if !names
            .into_iter()
            .flatten()
            .any(|name| asks(subject.machine, name))
        {
            findings.push(without_stack(subject, table));
        }
    }
}

/// A program that cannot show a prompt, in the mode that shows one.
fn no_prompt(subject: &Subject<'_>, stack: &NamedStack) -> Finding {
    let name = &stack.name;
    let what = format!("{name}: this program cannot show a prompt for a code");
    Finding::warning("no-prompt", what)
        .of(place(stack))
        .why(
            "no user can log in there: it answers the prompt with the name of the user, or ends the \
             login",
        )
        .advice(format!(
            "in {}, let the table [services.{name}] have ask = \"push\": then each login sends a push; see \
             docs/services.md. Or, for logins without a second factor, write \"auth requisite \
             pam_unix.so\" in /etc/pam.d/{name} in place of its auth lines and of lines that include auth \
             lines{}",
            subject.config.display(),
            if name == openvpn::NAME { BY_PAIR } else { "" }
        ))
}

/// A program that cannot use the module.
fn unprivileged(stack: &NamedStack) -> Finding {
    let name = &stack.name;
    let what = format!("{name}: this program does not run as root, so no user can log in there");
    Finding::warning("unprivileged", what)
        .of(place(stack))
        .why("only root may read the configuration of the module and its credential")
        .advice(format!(
            "in /etc/pam.d/{name}, write \"auth requisite pam_unix.so\" in place of its auth lines and of \
             lines that include auth lines; its logins then need no second factor"
        ))
}

/// A program that serves its users one after another, and a push that makes the others wait.
fn long_push(subject: &Subject<'_>, stack: &NamedStack, settings: &Config) -> Option<Finding> {
    let name = &stack.name;
    let table = subject.table(name);
    let wait = table
        .and_then(|table| table.push_wait)
        .unwrap_or(settings.push_wait);
    let factors = table.and_then(|table| table.factors.as_ref());
    let may_push = factors
        .unwrap_or(&settings.factors.allow)
        .contains(&Factor::Push);
    (takes_turns(name) && may_push && wait > TURN).then(|| {
        let what = format!(
            "{name}: while one user waits for a push, other logins wait up to {} s",
            wait.as_secs()
        );
        Finding::warning("long-push", what)
            .of(place(stack))
            .why("this program serves its users one after another")
            .advice(format!(
                "in {}, let the table [services.{name}] have push_wait = {}",
                subject.config.display(),
                TURN.as_secs()
            ))
    })
}

/// A table for a service that does not call the module.
fn without_stack(subject: &Subject<'_>, table: &Service) -> Finding {
    let name = &table.name;
    let what = format!("[services.{name}]: the service {name} does not call pam_onelogin");
    Finding::warning("service-without-stack", what)
        .at(subject.config, table.line)
        .why("the settings of this table have no effect")
        .advice(format!(
            "correct the name, or change /etc/pam.d/{name}: see \"The stack\" in docs/services.md"
        ))
}

fn place(stack: &NamedStack) -> Option<Place> {
    let path = stack.service.path.as_deref();
    path.map(|path| Place::of(path, None))
}

/// How `OpenVPN` shows a prompt nevertheless.
const BY_PAIR: &str = ". Or, for codes, add to the line of the plugin a pair for the prompt: see \"A prompt of its own\" in \
    docs/services.md";

/// The longest push where users take turns.
const TURN: Duration = Duration::from_secs(10);
