//! What was changed, and what it takes to put it back: below `/var/lib/pam_onelogin`, on the disk
//! before a stack changes. One record a service: in `trial` until it is confirmed, then in
//! `enabled`.

use crate::enable::edit::{names_us, take_out};
use crate::enable::service::Service;
use crate::enable::{all, authselect, sshd};
use crate::host::files;
use crate::host::files::{Metadata, Snapshot};
use crate::outcome::Trouble;
use nix::fcntl::{Flock, FlockArg};
use pam_onelogin::clock::{seconds_since_boot, unix_now};
use pam_onelogin::host::{first_identity, is_gone, process_identity};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::fs::File;
use std::path::{Path, PathBuf};

/// What was done to the stacks of a service.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) service: String,
    /// Seconds since 1970.
    pub(crate) changed: u64,
    pub(crate) files: Vec<Changed>,
    /// The services whose logins go through these files, and so show that they work.
    pub(crate) through: Vec<String>,
    /// Which start of the machine, or of the container, the deadline belongs to.
    boot: String,
    /// When it is put back, in seconds since that start.
    deadline: i64,
    /// The process that has not written all files yet.
    writer: Option<String>,
}

/// One file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Changed {
    pub(crate) path: PathBuf,
    /// `None` where there was no such file.
    before: Option<Metadata>,
    /// SHA-256 of the new text.
    after: String,
}

/// A file that will change, or be made.
pub(crate) struct Planned {
    pub(crate) path: PathBuf,
    pub(crate) before: Option<Snapshot>,
    pub(crate) after: Vec<u8>,
}

impl Planned {
    /// What it is beside its bytes.
    pub(crate) fn metadata(&self) -> Metadata {
        let old = self.before.as_ref().map(|old| old.metadata.clone());
        old.unwrap_or_else(|| Metadata::own(0o644))
    }
}

/// Held while stacks and records change: one tool at a time.
pub(crate) struct Store {
    _lock: Flock<File>,
}

/// A file that is put back.
pub(crate) struct Restoring {
    pub(crate) back: Back,
    pub(crate) present: Option<Snapshot>,
    pub(crate) then: Option<Snapshot>,
}

/// How a file is put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Back {
    /// It was as it is to be.
    Same,
    /// To the byte.
    Whole,
    /// Somebody had changed it since: our lines were taken out.
    Lines,
    /// Somebody has made something else of a file that is of us alone: it stays.
    Theirs,
}

#[allow(clippy::unused_self)] // who has the store has the lock
impl Store {
    /// Waits for its turn.
    pub(crate) fn open() -> Result<Self, Trouble> {
        for folder in [FOLDER, TRIAL, ENABLED, BACKUP] {
            files::private_folder(Path::new(folder))?;
        }
        Ok(Self {
            _lock: lock(&Path::new(FOLDER).join("lock"))?,
        })
    }

    /// Notes what will be done, with what to put back; on the disk when this returns.
    pub(crate) fn begin(
        &self,
        service: Service,
        plans: &[Planned],
        through: &[&str],
        seconds: i64,
    ) -> Result<Record, Trouble> {
        let mut files = Vec::new();
        for plan in plans {
            files::sweep(&plan.path);
            if let Some(before) = &plan.before {
                let copy = backup(service.name(), &plan.path);
                files::put(&copy, &before.bytes, &Metadata::own(0o600))?;
            }
            files.push(Changed {
                path: plan.path.clone(),
                before: plan.before.as_ref().map(|old| old.metadata.clone()),
                after: hash(&plan.after),
            });
        }
        let record = Record {
            service: service.name().to_owned(),
            changed: unix_now(),
            files,
            through: through.iter().map(ToString::to_string).collect(),
            boot: boot()?,
            deadline: now()?.saturating_add(seconds),
            writer: Some(process_identity()),
        };
        save(&record)?;
        Ok(record)
    }

    /// All files are written: whoever wrote them may end.
    pub(crate) fn written(&self, record: &mut Record) -> Result<(), Trouble> {
        record.writer = None;
        save(record)
    }

    /// It stays.
    pub(crate) fn keep(&self, record: &Record) -> Result<(), Trouble> {
        let name = file_name(&record.service);
        files::rename(
            &Path::new(TRIAL).join(&name),
            &Path::new(ENABLED).join(&name),
        )
    }

    /// What is on trial.
    pub(crate) fn on_trial(service: Service) -> Result<Option<Record>, Trouble> {
        load(TRIAL, service)
    }

    /// What was confirmed, or needed no confirmation.
    pub(crate) fn enabled(service: Service) -> Result<Option<Record>, Trouble> {
        load(ENABLED, service)
    }

    /// Puts back all that is overdue: what that was, and what went wrong.
    pub(crate) fn restore_overdue(&self) -> (Vec<Record>, Vec<Trouble>) {
        let mut restored = Vec::new();
        let mut troubles = Vec::new();
        for service in Service::EACH {
            let record = match Self::on_trial(service) {
                Ok(record) => record.filter(Record::is_overdue),
                Err(trouble) => {
                    troubles.push(trouble);
                    continue;
                }
            };
            if let Some(record) = record {
                match self.put_back(&record) {
                    Ok(()) => restored.push(record),
                    Err(trouble) => troubles.push(trouble),
                }
            }
        }
        (restored, troubles)
    }

    /// Puts the files back and forgets the record. What is on trial goes back in any case; a file
    /// that cannot keeps none of the others from it.
    pub(crate) fn put_back(&self, record: &Record) -> Result<(), Trouble> {
        // What the distribution's own tool has written since belongs together, and goes back by it.
        let is_all = record.service == Service::All.name() && !record.is_kept();
        if is_all && self.is_changed(record) && all::take_out().is_ok() {
            return forget(record);
        }
        let mut troubles = Vec::new();
        // The last one first: what sshd asks for and what its stack asks are never less than before.
        for file in record.files.iter().rev() {
            let is_read = sshd::reads(&file.path);
            // A stack that cannot go back may let in behind a key only.
            if is_read && !troubles.is_empty() {
                continue;
            }
            files::sweep(&file.path);
            let mut done = self.put_file_back(record, file);
            if is_read {
                done = done.and_then(|()| sshd::reload());
            }
            if let Err(trouble) = done {
                troubles.extend(trouble.0);
            }
        }
        if troubles.is_empty() {
            forget(record)
        } else {
            Err(Trouble(troubles))
        }
    }

    /// Whether somebody has changed a file since, and it cannot be put back for that.
    fn is_changed(&self, record: &Record) -> bool {
        let mut files = record.files.iter();
        files.any(|file| self.planned_back(record, file).is_err())
    }

    fn put_file_back(&self, record: &Record, file: &Changed) -> Result<(), Trouble> {
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
            Err(trouble) if record.is_kept() => Err(trouble),
            Err(trouble) => {
                let old = old(record, file).map_err(|_| trouble)?;
                keep_a_copy(&file.path);
                match old {
                    // Who makes a link to a stack must not keep it on trial for good.
                    Some(old) => files::replace(&file.path, &old.bytes, &old.metadata),
                    None => files::remove(&file.path),
                }
            }
        }
    }

    /// Forgets what was done, as it is undone.
    pub(crate) fn forget(&self, service: Service) -> Result<(), Trouble> {
        for record in [Self::on_trial(service)?, Self::enabled(service)?] {
            record.as_ref().map_or(Ok(()), forget)?;
        }
        Ok(())
    }

    /// What a file will be when it is put back, and how that comes about.
    pub(crate) fn planned_back(
        &self,
        record: &Record,
        file: &Changed,
    ) -> Result<Restoring, Trouble> {
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
            // A stack that somebody has taken away since is not made anew.
            (Ok(_), None) if record.is_kept() => restoring(Back::Same, None, None),
            (Ok(before), None) => restoring(Back::Whole, None, before),
            (Ok(before), Some(now)) if hash(&now.bytes) == file.after => {
                restoring(Back::Whole, Some(now), before)
            }
            (_, Some(_)) if authselect::writes(&file.path) => Err(Trouble::new(format!(
                "{}: was changed since, by authselect or by hand",
                file.path.display()
            ))),
            (Ok(None), present) if record.is_kept() => restoring(Back::Theirs, present, None),
            (Ok(None), present) => restoring(Back::Whole, present, None),
            (_, Some(now)) => without_our_lines(record, file, now),
            (Err(trouble), None) => Err(trouble),
        }
    }
}

/// A stack that somebody has edited since, or whose copy is lost.
fn without_our_lines(record: &Record, file: &Changed, now: Snapshot) -> Result<Restoring, Trouble> {
    let name = file.path.file_name().unwrap_or_default().to_string_lossy();
    let text = String::from_utf8_lossy(&now.bytes).into_owned();
    let (back, bytes) = match take_out(&name, &text) {
        Ok(Some(text)) => (Back::Lines, text.into_bytes()),
        // They are out already.
        Ok(None) if names_us(&text).is_none() => (Back::Same, now.bytes.clone()),
        other => {
            return Err(Trouble(vec![
                match other {
                    Err(refusal) => refusal.to_string(),
                    Ok(_) => format!(
                        "{}:{}: names us in a line that is not ours",
                        file.path.display(),
                        names_us(&text).unwrap_or_default()
                    ),
                },
                by_hand(&backup(&record.service, &file.path), &file.path),
            ]));
        }
    };
    let metadata = now.metadata.clone();
    Ok(Restoring {
        back,
        present: Some(now),
        then: Some(Snapshot { bytes, metadata }),
    })
}

impl Record {
    /// Whether it is to be put back now.
    pub(crate) fn is_overdue(&self) -> bool {
        let is_interrupted = self.writer.as_deref().is_some_and(is_gone);
        is_interrupted || self.left() == 0
    }

    /// Whether this is still the same change of the same service.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        (self.changed, self.deadline, &self.boot) == (other.changed, other.deadline, &other.boot)
    }

    /// Whether it was confirmed, or needed no confirmation.
    fn is_kept(&self) -> bool {
        let kept = Path::new(ENABLED).join(file_name(&self.service));
        kept.exists()
    }

    /// Seconds until it is put back; where nobody can tell, it is time.
    pub(crate) fn left(&self) -> i64 {
        match (boot(), now()) {
            (Ok(boot), Ok(now)) if boot == self.boot => self.deadline.saturating_sub(now).max(0),
            _ => 0,
        }
    }
}

/// What to do where this tool cannot.
fn by_hand(copy: &Path, path: &Path) -> String {
    let (shown, path) = (copy.display(), path.display());
    let take_out = "take out the lines that name pam_onelogin.so by hand";
    if copy.exists() {
        format!("{take_out}, or type: cp {shown} {path}")
    } else {
        format!("{take_out}; {shown} is gone")
    }
}

fn forget(record: &Record) -> Result<(), Trouble> {
    let name = file_name(&record.service);
    for folder in [TRIAL, ENABLED] {
        files::remove(&Path::new(folder).join(&name))?;
    }
    for file in &record.files {
        files::remove(&backup(&record.service, &file.path))?;
    }
    Ok(())
}

/// Whoever has edited a stack on trial finds it again.
fn keep_a_copy(path: &Path) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let copy = Path::new(BACKUP).join(format!("{name}.edited"));
    if let Ok(Some(edited)) = files::snapshot(path) {
        let _ = files::put(&copy, &edited.bytes, &Metadata::own(0o600));
    }
}

/// A file as it was; `None` where there was none.
fn old(record: &Record, file: &Changed) -> Result<Option<Snapshot>, Trouble> {
    let Some(metadata) = &file.before else {
        return Ok(None);
    };
    let copy = backup(&record.service, &file.path);
    let old = files::snapshot(&copy)?.ok_or_else(|| {
        let (path, copy) = (file.path.display(), copy.display());
        Trouble::new(format!("{copy} is gone: {path} must be put right by hand"))
    })?;
    Ok(Some(Snapshot {
        bytes: old.bytes,
        metadata: metadata.clone(),
    }))
}

/// Whether there is something on trial; needs no turn.
pub(crate) fn something_is_on_trial() -> bool {
    let entries = Path::new(TRIAL).read_dir();
    entries.is_ok_and(|mut entries| entries.next().is_some())
}

/// The plain copy of a file as it was. Outside `/etc/pam.d` it is called by its whole path, as two
/// folders may have files of one name.
pub(crate) fn backup(service: &str, path: &Path) -> PathBuf {
    let name = path.strip_prefix("/etc/pam.d").unwrap_or(path);
    let name = name.to_string_lossy();
    let name = name.trim_start_matches('/').replace('/', "-");
    Path::new(BACKUP).join(format!("{service}.{name}"))
}

/// SHA-256, in hexadecimal digits.
fn hash(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in digest(&SHA256, bytes).as_ref() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn file_name(service: &str) -> String {
    format!("{service}.json")
}

fn save(record: &Record) -> Result<(), Trouble> {
    let text = serde_json::to_vec_pretty(record)
        .map_err(|error| Trouble::new(format!("the record cannot be written: {error}")))?;
    let path = Path::new(TRIAL).join(file_name(&record.service));
    files::sweep(&path);
    files::put(&path, &text, &Metadata::own(0o600))
}

fn load(folder: &str, service: Service) -> Result<Option<Record>, Trouble> {
    let path = Path::new(folder).join(file_name(service.name()));
    // Before the first change there is no folder either.
    if !Path::new(folder).exists() {
        return Ok(None);
    }
    let Some(file) = files::snapshot(&path)? else {
        return Ok(None);
    };
    let record = serde_json::from_slice(&file.bytes);
    record.map(Some).map_err(|error| {
        Trouble::new(format!(
            "{}: {error}; the stacks as they were are in {BACKUP}",
            path.display()
        ))
    })
}

fn lock(path: &Path) -> Result<Flock<File>, Trouble> {
    let file = files::open_lock(path)?;
    Flock::lock(file, FlockArg::LockExclusive)
        .map_err(|(_, errno)| Trouble::new(format!("{}: {}", path.display(), errno.desc())))
}

/// Which start of the machine this is. A container keeps the kernel's when it is started again, but
/// not the first process.
fn boot() -> Result<String, Trouble> {
    std::fs::read_to_string(BOOT)
        .map(|text| format!("{} {}", text.trim(), first_identity()))
        .map_err(|error| Trouble::new(format!("{BOOT}: {error}")))
}

fn now() -> Result<i64, Trouble> {
    seconds_since_boot().ok_or_else(|| Trouble::new("there is no clock that counts from the start"))
}

/// Where the records are.
pub(crate) const FOLDER: &str = "/var/lib/pam_onelogin";
const TRIAL: &str = "/var/lib/pam_onelogin/trial";
const ENABLED: &str = "/var/lib/pam_onelogin/enabled";
const BACKUP: &str = "/var/lib/pam_onelogin/backup";
const BOOT: &str = "/proc/sys/kernel/random/boot_id";
