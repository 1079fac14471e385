//! `disable SERVICE`: takes OneLogin out of a service's stacks again; to the byte, where nobody has
//! changed them since.

use super::enable::all;
use super::enable::diff::diff;
use super::enable::edit::{names_us, take_out};
use super::enable::needs_root;
use super::enable::record::{Back, Record, Store};
use super::enable::service::{Service, path};
use super::restore::stacks;
use super::{Context, Exit, Trouble, write};
use clap::Args;
use serde::Serialize;

/// What to switch off.
#[derive(Args)]
pub(super) struct Options {
    service: Service,
}

/// The result for machines.
#[derive(Serialize)]
struct Document<'a> {
    service: &'a str,
    files: Vec<String>,
}

/// Switches it off.
pub(super) fn run(context: &Context, options: &Options) -> Result<Exit, Trouble> {
    needs_root()?;
    let service = options.service;
    let store = Store::open()?;
    let record = match Store::on_trial(service)? {
        Some(record) => Some(record),
        None => Store::enabled(service)?,
    };
    let changed = match record {
        Some(record) => put_back(context, &store, &record)
            .or_else(|trouble| by_the_system(service, &store).unwrap_or(Err(trouble)))?,
        None if service == Service::All => all::disable(&store)?,
        None => take_out_ours(context, service)?,
    };
    let name = service.name();
    context.console.say(&if changed.is_empty() {
        format!("Nothing to change for {name}.")
    } else {
        format!("OneLogin is not asked in {name} any more.")
    });
    context.console.document(&Document {
        service: name,
        files: changed,
    });
    Ok(Exit::Good)
}

fn put_back(context: &Context, store: &Store, record: &Record) -> Result<Vec<String>, Trouble> {
    let mut changed = Vec::new();
    for file in &record.files {
        let (back, present, after) = store.planned_back(record, file)?;
        if back != Back::Same {
            context
                .console
                .say(&diff(&file.path, &present.bytes, &after));
            changed.push(file.path.display().to_string());
        }
        if back == Back::Lines {
            context.console.note(&format!(
                "{}: was changed since; only our lines were taken out.",
                file.path.display()
            ));
        }
    }
    store.put_back(record)?;
    Ok(changed)
}

/// Where the distribution's own tool can do what we cannot.
fn by_the_system(service: Service, store: &Store) -> Option<Result<Vec<String>, Trouble>> {
    (service == Service::All).then(|| all::disable(store))
}

/// Without a record: what is plainly ours.
fn take_out_ours(context: &Context, service: Service) -> Result<Vec<String>, Trouble> {
    let mut plans = Vec::new();
    for stack in stacks(service) {
        let path = path(stack);
        let Some(present) = write::original(&path)? else {
            continue;
        };
        let text = String::from_utf8_lossy(&present.bytes).into_owned();
        match take_out(stack, &text) {
            Ok(Some(text)) => plans.push((path, present, text)),
            Ok(None) => {
                if let Some(line) = names_us(&text) {
                    return Err(Trouble::new(format!(
                        "{}:{line}: this line was not written by this tool; take it out by hand",
                        path.display()
                    )));
                }
            }
            Err(refusal) => return Err(Trouble::new(refusal.to_string())),
        }
    }
    let mut changed = Vec::new();
    for (path, present, text) in plans {
        context
            .console
            .say(&diff(&path, &present.bytes, text.as_bytes()));
        write::put(&path, text.as_bytes(), &present.likeness)?;
        changed.push(path.display().to_string());
    }
    Ok(changed)
}
