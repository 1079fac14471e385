//! `disable SERVICE`: removes OneLogin from the stacks of a service. A stack that has not changed since
//! `enable` gets its old content back.

use crate::change::record::{Record, Store};
use crate::change::service::{Service, path, present_stacks};
use crate::change::undo::Back;
use crate::change::{drop_in, pam_auth_update, plan};
use crate::host::files::{self, Snapshot};
use crate::outcome::{Exit, Failure};
use crate::pam_stack::edit::{names_us, take_out};
use crate::pam_stack::spelling::almost_names_us;
use crate::sshd::running;
use crate::ui::diff::diff;
use crate::verb::{Context, needs_root};
use clap::Args;
use pam_onelogin::text::printable;
use serde::Serialize;
use std::collections::BTreeSet;

/// What to switch off.
#[derive(Args)]
pub(crate) struct Options {
    /// Service to remove OneLogin from
    service: Service,
}

/// The result for machines.
#[derive(Serialize)]
struct Document<'a> {
    service: &'a str,
    files: Vec<String>,
}

/// Switches it off.
pub(crate) fn run(context: &Context, options: &Options) -> Result<Exit, Failure> {
    needs_root()?;
    let service = options.service;
    let store = Store::open()?;
    let mut changed = BTreeSet::new();
    let mut has_record = false;
    // A change on trial may be the second one of a service.
    for find in [Store::on_trial, Store::enabled] {
        let Some(record) = find(service)? else {
            continue;
        };
        has_record = true;
        changed.extend(match service {
            Service::All => put_back(context, &store, &record).or_else(|_| {
                let changed = pam_auth_update::take_out()?;
                store.forget(service)?;
                Ok::<_, Failure>(changed)
            })?,
            _ => put_back(context, &store, &record)?,
        });
    }
    if !has_record {
        changed.extend(match service {
            Service::All => pam_auth_update::take_out()?,
            _ => take_out_ours(context, service)?,
        });
    }
    let name = service.name();
    let asks = (service != Service::All)
        .then(|| plan::asks(service))
        .flatten();
    context.console.say(&match &asks {
        Some(place) => format!("{name}: logins still ask OneLogin, because of {place}"),
        None if changed.is_empty() => format!("{name}: nothing to change."),
        None => format!("{name}: logins no longer ask OneLogin."),
    });
    if asks.is_some() {
        let why = "If enable all added that line, type: pam-onelogin disable all";
        context.console.note(why);
    }
    if service == Service::Sshd && !changed.is_empty() {
        let stays = drop_in::what_stays().into_iter();
        stays.for_each(|text| context.console.note(text));
    }
    context.console.document(&Document {
        service: name,
        files: changed.into_iter().collect(),
    });
    Ok(if asks.is_none() {
        Exit::Good
    } else {
        Exit::Bad
    })
}

fn put_back(context: &Context, store: &Store, record: &Record) -> Result<Vec<String>, Failure> {
    // A change on trial is rolled back in any case.
    if record.is_kept() && record.files.iter().any(|file| drop_in::reads(&file.path)) {
        running::can_be_reloaded()?;
    }
    let mut changed = Vec::new();
    for file in &record.files {
        let restoring = store.planned_back(record, file)?;
        let bytes = |file: Option<Snapshot>| file.map(|file| file.bytes).unwrap_or_default();
        let path = file.path.display();
        if [Back::Whole, Back::Lines].contains(&restoring.back) {
            let (now, then) = (bytes(restoring.present), bytes(restoring.then));
            context.console.say(&diff(&file.path, &now, &then));
            changed.push(path.to_string());
        }
        match restoring.back {
            Back::Same | Back::Whole => {}
            Back::Lines => context.console.note(&format!(
                "{path}: has changed since enable; only the lines of this tool were removed."
            )),
            Back::Theirs => context.console.note(&format!(
                "{path}: has changed since enable, so the file stays; remove it by hand if you do not need it."
            )),
        }
    }
    store.put_back(record)?;
    Ok(changed)
}

/// Removes what is clearly ours, if there is no record.
fn take_out_ours(context: &Context, service: Service) -> Result<Vec<String>, Failure> {
    let has_settings = service == Service::Sshd && drop_in::is_written()?;
    if has_settings {
        running::can_be_reloaded()?;
    }
    let mut plans = Vec::new();
    for stack in present_stacks(service) {
        let path = path(stack);
        let Some(present) = files::snapshot(&path)? else {
            continue;
        };
        let text = String::from_utf8_lossy(&present.bytes).into_owned();
        match take_out(&path, &text) {
            Ok(Some(text)) => plans.push((path, present, text)),
            Ok(None) => {
                if let Some(line) = names_us(&text) {
                    return Err(Failure::new(format!(
                        "{}:{line}: this tool did not write this line; remove it by hand",
                        path.display()
                    )));
                }
                if let Some((line, word)) = almost_names_us(&text) {
                    return Err(Failure::new(format!(
                        "{}:{line}: this tool did not write this line, which names {}; remove it by hand",
                        path.display(),
                        printable(word)
                    )));
                }
            }
            Err(refusal) => return Err(Failure::new(refusal.to_string())),
        }
    }
    let mut changed = Vec::new();
    for (path, present, text) in plans {
        context
            .console
            .say(&diff(&path, &present.bytes, text.as_bytes()));
        files::put(&path, text.as_bytes(), &present.metadata)?;
        changed.push(path.display().to_string());
    }
    if has_settings {
        drop_in::take_away()?;
        changed.push(drop_in::OURS.to_owned());
    }
    Ok(changed)
}
