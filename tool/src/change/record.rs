//! Records of changes, with everything that a rollback needs: below `/var/lib/pam_onelogin`, written to the
//! disk before a stack changes. There is one record per service: in `trial` until the change is confirmed,
//! then in `enabled`. If another program has written over the files, `enable` changes them once more: the
//! service then has both records until that change is confirmed.

use crate::change::plan::{FOLDER, Planned};
use crate::change::service::Service;
use crate::host::files::{self, Metadata};
use crate::host::target_system::TargetSystem;
use crate::outcome::Failure;
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
    /// The services whose logins use these files: an accepted login of one of them shows that they work.
    pub(crate) through: Vec<String>,
    /// The boot of the machine, or the start of the container, that the deadline belongs to.
    boot: String,
    /// When it is rolled back, in seconds since that boot.
    deadline: i64,
    /// The process that writes the files; `None` once all are written.
    writer: Option<String>,
}

/// One file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Changed {
    pub(crate) path: PathBuf,
    /// `None` where there was no such file.
    pub(crate) before: Option<Metadata>,
    /// SHA-256 of the new text.
    pub(crate) after: String,
    /// Whether this tool had written the file before: the copy of the old one may have lines of ours, which
    /// `disable` does not bring back.
    #[serde(default)]
    pub(crate) again: bool,
}

/// The lock on stacks and records: one process at a time changes them.
pub(crate) struct Store {
    _lock: Flock<File>,
}

#[allow(clippy::unused_self)] // who has the store has the lock
impl Store {
    /// Waits for the lock.
    pub(crate) fn open() -> Result<Self, Failure> {
        for folder in [FOLDER, TRIAL, ENABLED, BACKUP] {
            files::private_folder(Path::new(folder))?;
        }
        let path = Path::new(FOLDER).join("lock");
        let lock = Flock::lock(files::open_lock(&path)?, FlockArg::LockExclusive);
        let lock = lock.map_err(|(_, errno)| Failure::at(&path, errno.desc()))?;
        Ok(Self { _lock: lock })
    }

    /// Records what will be changed, with copies of the old files; they are on the disk when this returns.
    pub(crate) fn begin(
        &self,
        service: Service,
        plans: &[Planned],
        through: &[&str],
        seconds: i64,
    ) -> Result<Record, Failure> {
        let is_planned = |file: &Changed| plans.iter().any(|plan| plan.path == file.path);
        let mut written = Vec::new();
        if let Some(mut kept) = Self::enabled(service)? {
            for file in kept.files.iter_mut().filter(|file| is_planned(file)) {
                file.again = true;
                written.push(file.path.clone());
            }
            save(ENABLED, &kept)?;
        }
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
                again: written.contains(&plan.path),
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
        save(TRIAL, &record)?;
        Ok(record)
    }

    /// All files are written: the process that wrote them may end.
    pub(crate) fn written(&self, record: &mut Record) -> Result<(), Failure> {
        record.writer = None;
        save(TRIAL, record)
    }

    /// It stays. The files that an earlier change wrote, and this one did not, stay with it.
    pub(crate) fn keep(&self, record: &Record) -> Result<(), Failure> {
        let trial = Path::new(TRIAL).join(file_name(&record.service));
        let Some(mut kept) = load(ENABLED, &record.service)? else {
            return files::rename(&trial, &Path::new(ENABLED).join(file_name(&record.service)));
        };
        for new in &record.files {
            // Files are rolled back from the last one to the first: a new one is the first, which is safe
            // for our settings of sshd after a password and after a key.
            match kept.files.iter_mut().find(|file| file.path == new.path) {
                Some(file) => *file = new.clone(),
                None => kept.files.push(new.clone()),
            }
        }
        kept.changed = record.changed;
        save(ENABLED, &kept)?;
        files::remove(&trial)
    }

    /// The change that is on trial.
    pub(crate) fn on_trial(service: Service) -> Result<Option<Record>, Failure> {
        load(TRIAL, service.name())
    }

    /// The change that was confirmed, or needed no confirmation.
    pub(crate) fn enabled(service: Service) -> Result<Option<Record>, Failure> {
        load(ENABLED, service.name())
    }

    /// Removes the records of a change that is undone.
    pub(crate) fn forget(&self, service: Service) -> Result<(), Failure> {
        for record in [Self::on_trial(service)?, Self::enabled(service)?] {
            record.as_ref().map_or(Ok(()), forget)?;
        }
        Ok(())
    }
}

impl Record {
    /// Whether it must be rolled back now.
    pub(crate) fn is_overdue(&self) -> bool {
        let is_interrupted = self.writer.as_deref().is_some_and(is_gone);
        is_interrupted || self.left() == 0
    }

    /// Whether this is still the same change of the same service.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        (self.changed, self.deadline, &self.boot) == (other.changed, other.deadline, &other.boot)
    }

    /// Whether it was confirmed, or needed no confirmation.
    pub(crate) fn is_kept(&self) -> bool {
        !Path::new(TRIAL).join(file_name(&self.service)).exists()
    }

    /// Seconds until it is rolled back; 0 if that is unknown.
    pub(crate) fn left(&self) -> i64 {
        match (boot(), now()) {
            (Ok(boot), Ok(now)) if boot == self.boot => self.deadline.saturating_sub(now).max(0),
            _ => 0,
        }
    }
}

/// Removes a record that is on trial, or else the one that is kept, with the copies that only it needs.
pub(crate) fn forget(record: &Record) -> Result<(), Failure> {
    let name = file_name(&record.service);
    let mut needed = Vec::new();
    if record.is_kept() {
        files::remove(&Path::new(ENABLED).join(&name))?;
    } else {
        files::remove(&Path::new(TRIAL).join(&name))?;
        let kept = load(ENABLED, &record.service)?;
        needed.extend(kept.into_iter().flat_map(|kept| kept.files));
    }
    for file in &record.files {
        if needed.iter().all(|other| other.path != file.path) {
            files::remove(&backup(&record.service, &file.path))?;
        }
    }
    Ok(())
}

/// The confirmed changes on a machine, by its records; needs no lock. A record that cannot be used counts as a
/// file that cannot be read.
pub(crate) fn enabled_on(machine: &TargetSystem) -> Vec<Record> {
    let names = machine.names(ENABLED).unwrap_or_default().into_iter();
    let records = names.filter(|name| name.strip_suffix(".json").is_some());
    let records = records.filter_map(|name| {
        let path = Path::new(ENABLED).join(name);
        let text = machine.text(&path).ok().flatten()?;
        let record = serde_json::from_str(&text);
        record
            .map_err(|error| machine.cannot_use(&path, &error.to_string()))
            .ok()
    });
    records.collect()
}

/// Whether a change is on trial; needs no lock.
pub(crate) fn something_is_on_trial() -> bool {
    let entries = Path::new(TRIAL).read_dir();
    entries.is_ok_and(|mut entries| entries.next().is_some())
}

/// The plain copy of the old file. For a file outside `/etc/pam.d` its name is the whole path, because two
/// folders can have files of the same name.
pub(crate) fn backup(service: &str, path: &Path) -> PathBuf {
    let name = path.strip_prefix("/etc/pam.d").unwrap_or(path);
    let name = name.to_string_lossy();
    let name = name.trim_start_matches('/').replace('/', "-");
    Path::new(BACKUP).join(format!("{service}.{name}"))
}

/// SHA-256, in hexadecimal digits.
pub(crate) fn hash(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in digest(&SHA256, bytes).as_ref() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn file_name(service: &str) -> String {
    format!("{service}.json")
}

fn save(folder: &str, record: &Record) -> Result<(), Failure> {
    let text = serde_json::to_vec_pretty(record)
        .map_err(|error| Failure::new(format!("the record cannot be written: {error}")))?;
    let path = Path::new(folder).join(file_name(&record.service));
    files::sweep(&path);
    files::put(&path, &text, &Metadata::own(0o600))
}

fn load(folder: &str, service: &str) -> Result<Option<Record>, Failure> {
    let path = Path::new(folder).join(file_name(service));
    // Before the first change there is no folder either.
    if !Path::new(folder).exists() {
        return Ok(None);
    }
    let Some(file) = files::snapshot(&path)? else {
        return Ok(None);
    };
    let record = serde_json::from_slice(&file.bytes);
    record.map(Some).map_err(|error| {
        Failure::new(format!(
            "{}: {error}; copies of the old stacks are in {BACKUP}",
            path.display()
        ))
    })
}

/// The current boot. A restarted container keeps the boot id of the kernel, but has a new first process.
fn boot() -> Result<String, Failure> {
    std::fs::read_to_string(BOOT)
        .map(|text| format!("{} {}", text.trim(), first_identity()))
        .map_err(|error| Failure::new(format!("{BOOT}: {error}")))
}

fn now() -> Result<i64, Failure> {
    seconds_since_boot()
        .ok_or_else(|| Failure::new("the clock that counts from the boot cannot be read"))
}

/// Where the records are, below [`FOLDER`].
const TRIAL: &str = "/var/lib/pam_onelogin/trial";
const ENABLED: &str = "/var/lib/pam_onelogin/enabled";
pub(crate) const BACKUP: &str = "/var/lib/pam_onelogin/backup";
const BOOT: &str = "/proc/sys/kernel/random/boot_id";
