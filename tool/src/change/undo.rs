//! Rolls a change back: each file gets its old content, or, if it has changed since then, loses our lines.

use crate::change::record::{BACKUP, Changed, Record, Store, backup, forget, hash};
use crate::change::service::Service;
use crate::change::{drop_in, pam_auth_update};
use crate::host::audit::leave;
use crate::host::files::{self, Metadata, Snapshot};
use crate::outcome::Failure;
use crate::pam_stack::edit::{names_us, take_out};
use crate::sshd::running::{Sessions, reload};
use crate::ui::console::Console;
use pam_onelogin::verdict::Level;
use std::path::Path;

/// A file that is rolled back.
pub(crate) struct Restoring {
    pub(crate) back: Back,
    pub(crate) present: Option<Snapshot>,
    pub(crate) then: Option<Snapshot>,
}

/// How a file is rolled back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Back {
    /// It has the old content already.
    Same,
    /// It gets the old content.
    Whole,
    /// It has changed since: our lines are removed.
    Lines,
    /// It is a file that the tool created, and has changed since: it stays.
    Theirs,
}

#[allow(clippy::unused_self)] // who has the store has the lock
impl Store {
    /// Rolls back all changes that are overdue. Returns their records, and what failed.
    pub(crate) fn restore_overdue(&self) -> (Vec<Record>, Vec<Failure>) {
        let mut restored = Vec::new();
        let mut failures = Vec::new();
        for service in Service::EACH {
            let record = match Self::on_trial(service) {
                Ok(record) => record.filter(Record::is_overdue),
                Err(failure) => {
                    failures.push(failure);
                    continue;
                }
            };
            if let Some(record) = record {
                match self.put_back(&record) {
                    Ok(()) => restored.push(record),
                    Err(failure) => failures.push(failure),
                }
            }
        }
        (restored, failures)
    }

    /// Rolls the files back and removes the record. A change on trial is rolled back in any case; a file
    /// that cannot be rolled back does not stop the others.
    pub(crate) fn put_back(&self, record: &Record) -> Result<(), Failure> {
        // pam-auth-update has written the files since: only it can roll them back together.
        let is_all = record.service == Service::All.name() && !record.is_kept();
        if is_all && self.is_changed(record) && pam_auth_update::take_out().is_ok() {
            return forget(record);
        }
        let mut failures = Vec::new();
        // With a mix of old and new settings some users could not log in at all, which is worse than a
        // session that ends.
        let sessions = if record.is_kept() {
            Sessions::Stay
        } else {
            Sessions::MayEnd
        };
        // The last file first: at no point do sshd and its stack together ask for less than before.
        for file in record.files.iter().rev() {
            let is_read = drop_in::reads(&file.path);
            // A stack that cannot be rolled back may be safe only after a key.
            if is_read && !failures.is_empty() {
                continue;
            }
            files::sweep(&file.path);
            let mut done = self.put_file_back(record, file);
            if is_read {
                done = done.and_then(|()| reload(sessions));
            }
            if let Err(failure) = done {
                failures.extend(failure.0);
            }
        }
        if failures.is_empty() {
            forget(record)
        } else {
            Err(Failure(failures))
        }
    }

    /// Whether a file has changed since, so that it cannot be rolled back.
    fn is_changed(&self, record: &Record) -> bool {
        let mut files = record.files.iter();
        files.any(|file| self.planned_back(record, file).is_err())
    }

    fn put_file_back(&self, record: &Record, file: &Changed) -> Result<(), Failure> {
        match self.planned_back(record, file) {
            Ok(restoring) if [Back::Same, Back::Theirs].contains(&restoring.back) => Ok(()),
            Ok(restoring) => {
                if let Some(then) = restoring.then {
                    return files::put(&file.path, &then.bytes, &then.metadata);
                }
                let is_edited = |now: Snapshot| hash(&now.bytes) != file.after;
                if restoring.present.is_some_and(is_edited) {
                    keep_a_copy(&file.path);
                }
                files::remove(&file.path)
            }
            Err(failure) if record.is_kept() => Err(failure),
            Err(failure) => {
                let old = old(record, file).map_err(|_| failure)?;
                keep_a_copy(&file.path);
                match old {
                    // A link in place of a stack must not keep the change on trial for ever.
                    Some(old) => files::replace(&file.path, &old.bytes, &old.metadata),
                    None => files::remove(&file.path),
                }
            }
        }
    }

    /// The content of a file after the rollback, and how it gets there.
    pub(crate) fn planned_back(
        &self,
        record: &Record,
        file: &Changed,
    ) -> Result<Restoring, Failure> {
        let present = files::snapshot(&file.path)?;
        let restoring = |back, present, then| {
            Ok(Restoring {
                back,
                present,
                then,
            })
        };
        match (old(record, file), present) {
            (Ok(before), present) if before == present => restoring(Back::Same, present, before),
            // A stack that was removed since is not created again.
            (Ok(_), None) if record.is_kept() => restoring(Back::Same, None, None),
            (Ok(before), None) => restoring(Back::Whole, None, before),
            (Ok(before), Some(now)) if hash(&now.bytes) == file.after => {
                restoring(Back::Whole, Some(now), before)
            }
            (Ok(None), present) if record.is_kept() && drop_in::reads(&file.path) => {
                restoring(Back::Theirs, present, None)
            }
            (Ok(None), Some(now)) if record.is_kept() => without_our_lines(record, file, now),
            (Ok(None), present) => restoring(Back::Whole, present, None),
            (_, Some(now)) => without_our_lines(record, file, now),
            (Err(failure), None) => Err(failure),
        }
    }
}

/// Rolls back changes that are overdue, and reports each here and in the log. Returns whether there was one.
pub(crate) fn overdue(console: &Console) -> Result<bool, Failure> {
    let (restored, failures) = Store::open()?.restore_overdue();
    for record in &restored {
        let text = format!(
            "{} was not confirmed in time and was rolled back",
            record.service
        );
        leave(Level::Warning, &text);
        console.note(&text);
    }
    let sentences: Vec<_> = failures.into_iter().flat_map(|failure| failure.0).collect();
    if sentences.is_empty() {
        Ok(!restored.is_empty())
    } else {
        Err(Failure(sentences))
    }
}

/// Rolls a change on trial back before its time is over, and reports it in the log. If it was confirmed or
/// rolled back meanwhile, nothing is done.
pub(crate) fn now(service: Service, record: &Record) -> Result<(), Failure> {
    let store = Store::open()?;
    let Some(record) = Store::on_trial(service)?.filter(|now| now.is_same(record)) else {
        return Ok(());
    };
    store.put_back(&record)?;
    let text = format!(
        "{} was rolled back before its time was over",
        record.service
    );
    leave(Level::Warning, &text);
    Ok(())
}

/// A stack that was edited since, or whose copy is missing.
fn without_our_lines(record: &Record, file: &Changed, now: Snapshot) -> Result<Restoring, Failure> {
    let text = String::from_utf8_lossy(&now.bytes).into_owned();
    let (back, bytes) = match take_out(&file.path, &text) {
        Ok(Some(text)) => (Back::Lines, text.into_bytes()),
        // They are out already.
        Ok(None) if names_us(&text).is_none() => (Back::Same, now.bytes.clone()),
        other => {
            let path = file.path.display();
            let (what, advice) = match other {
                Err(refusal) => (
                    refusal.to_string(),
                    "write the line as it was, or remove it, then type the command again",
                ),
                Ok(_) => (
                    format!(
                        "{path}:{}: this tool did not write this line, which names pam_onelogin",
                        names_us(&text).unwrap_or_default()
                    ),
                    "remove the lines that name pam_onelogin.so by hand",
                ),
            };
            let copy = backup(&record.service, &file.path);
            return Err(Failure(vec![what, or_the_copy(advice, &copy, &file.path)]));
        }
    };
    let metadata = now.metadata.clone();
    Ok(Restoring {
        back,
        present: Some(now),
        then: Some(Snapshot { bytes, metadata }),
    })
}

/// What the administrator has to do: this, or to copy the old file.
fn or_the_copy(advice: &str, copy: &Path, path: &Path) -> String {
    let (shown, path) = (copy.display(), path.display());
    if copy.exists() {
        format!("{advice}; or type: cp {shown} {path}")
    } else {
        format!("{advice}; the copy {shown} is missing")
    }
}

/// Keeps a copy of what an administrator has written into a stack on trial.
fn keep_a_copy(path: &Path) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let copy = Path::new(BACKUP).join(format!("{name}.edited"));
    if let Ok(Some(edited)) = files::snapshot(path) {
        let _ = files::put(&copy, &edited.bytes, &Metadata::own(0o600));
    }
}

/// A file that this tool had written before, and another program after it: without what is left of ours.
fn without_ours(path: &Path, bytes: Vec<u8>) -> Option<Vec<u8>> {
    let text = String::from_utf8_lossy(&bytes);
    if drop_in::reads(path) {
        return drop_in::without_ours(&text).map(String::into_bytes);
    }
    match take_out(path, &text) {
        Ok(Some(text)) => Some(text.into_bytes()),
        _ => Some(bytes),
    }
}

/// The old file; `None` if it did not exist.
fn old(record: &Record, file: &Changed) -> Result<Option<Snapshot>, Failure> {
    let Some(metadata) = &file.before else {
        return Ok(None);
    };
    let copy = backup(&record.service, &file.path);
    let old = files::snapshot(&copy)?.ok_or_else(|| {
        let (path, copy) = (file.path.display(), copy.display());
        Failure::new(format!(
            "the copy {copy} is missing: correct {path} by hand"
        ))
    })?;
    let bytes = if file.again && record.is_kept() {
        without_ours(&file.path, old.bytes)
    } else {
        Some(old.bytes)
    };
    Ok(bytes.map(|bytes| Snapshot {
        bytes,
        metadata: metadata.clone(),
    }))
}
