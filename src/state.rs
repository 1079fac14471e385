//! The private files under `state_dir`. The only file that writes to disk. Without the folder
//! nothing is cached, and nothing is activated.

pub mod ledger;
pub mod notes;
mod witness;

use crate::secret::Secret;
use crate::trust::{Privacy, Trusted};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, Flock, FlockArg, OFlag, open, openat, renameat};
use nix::sys::stat::{FchmodatFlags, Mode, fchmod, fchmodat, fstat, mkdirat};
use nix::unistd::{AccessFlags, UnlinkatFlags, faccessat, gettid, linkat, mkdir, unlinkat};
use ring::digest::{Context, SHA256};
use std::cell::Cell;
use std::fmt;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

/// The longest file that is read back, in bytes.
const MAX_FILE: u64 = 8 << 10;

/// How long locks are waited for in one login, and between two looks at one.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// The folder `state_dir`, or why it cannot be used.
pub struct State {
    folder: Result<Folder, StateError>,
    trusted: Trusted,
    /// How long locks may still be waited for.
    patience: Cell<Duration>,
}

/// A lock that is held until it is dropped, or its process is gone.
pub struct Lock {
    _file: Flock<File>,
}

struct Folder {
    path: PathBuf,
    descriptor: OwnedFd,
}

/// Why the state cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateError(String);

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl State {
    /// Opens the folder, and makes it with mode 0700 if it is absent. Never fails: a login without
    /// state goes on with less.
    #[must_use]
    pub fn open(path: &Path, trusted: Trusted) -> Self {
        Self {
            folder: Folder::open(path, trusted),
            trusted,
            patience: Cell::new(LOCK_PATIENCE),
        }
    }

    /// No folder: nothing is kept, and nothing that was kept is believed.
    #[must_use]
    pub fn nowhere() -> Self {
        Self {
            folder: Err(StateError("nothing is kept".to_owned())),
            trusted: Trusted::of(crate::host::uids()),
            patience: Cell::default(),
        }
    }

    /// Why the state cannot be used, if so.
    #[must_use]
    pub fn trouble(&self) -> Option<&StateError> {
        self.folder.as_ref().err()
    }

    /// A file's content.
    ///
    /// # Errors
    /// [`NoContent`] when the file is absent, or not ours alone.
    pub fn read(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, NoContent> {
        let folder = self.folder.as_ref().map_err(|_| NoContent::Absent)?;
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let opened = openat(&folder.descriptor, name, flags, Mode::empty());
        let file = opened.map_err(|errno| match errno {
            Errno::ENOENT => NoContent::Absent,
            _ => NoContent::Refused,
        })?;
        self.trusted
            .read_opened(File::from(file), Privacy::Secret, MAX_FILE)
            .map_err(|_| NoContent::Refused)
    }

    /// Writes a file anew, whole or not at all.
    ///
    /// # Errors
    /// [`StateError`] when it could not be written.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<(), StateError> {
        self.place(name, content, |folder, draft| {
            renameat(&folder.descriptor, draft, &folder.descriptor, name)
        })
    }

    /// Makes a file, whole, if there is none of this name: of several that try at once, one does.
    /// `false` when there is one already.
    ///
    /// # Errors
    /// As [`State::write`].
    pub fn create(&self, name: &str, content: &[u8]) -> Result<bool, StateError> {
        let mut is_new = true;
        self.place(name, content, |folder, draft| {
            let (from, to) = (&folder.descriptor, &folder.descriptor);
            let result = linkat(from, draft, to, name, AtFlags::empty());
            folder.remove(draft);
            is_new = result != Err(Errno::EEXIST);
            if is_new { result } else { Ok(()) }
        })?;
        Ok(is_new)
    }

    /// Writes a draft, and lets `put` give it its name.
    fn place(
        &self,
        name: &str,
        content: &[u8],
        put: impl FnOnce(&Folder, &str) -> nix::Result<()>,
    ) -> Result<(), StateError> {
        let folder = self.folder.as_ref().map_err(Clone::clone)?;
        let (inner, own) = name.rsplit_once('/').unwrap_or((".", name));
        let draft = format!("{inner}/.{own}.{}", gettid());
        folder
            .write_draft(inner, &draft, content)
            .and_then(|()| put(folder, &draft).map_err(std::io::Error::from))
            .map_err(|error| {
                folder.remove(&draft);
                StateError(format!("{}/{name}: {error}", folder.path.display()))
            })
    }

    /// Waits until no other login holds this lock, for two seconds at most in one login: a process
    /// that is stopped may hold it for ever. `None` when it could not be had; then it goes without.
    #[must_use]
    pub fn lock(&self, kind: &str, name: &str) -> Option<Lock> {
        let folder = self.folder.as_ref().ok()?;
        // One file for many names: locks are many, and held for a moment only.
        let path = format!("lock-{kind}-{}", name.get(..1)?);
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        let file = openat(&folder.descriptor, path.as_str(), flags, mode).ok()?;
        let mut file = File::from(file);
        loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => return Some(Lock { _file: lock }),
                Err((returned, Errno::EAGAIN)) => file = returned,
                Err(_) => return None,
            }
            let left = self.patience.get().checked_sub(LOCK_PAUSE)?;
            self.patience.set(left);
            std::thread::sleep(LOCK_PAUSE);
        }
    }

    /// Removes a file, if it is there.
    pub fn remove(&self, name: &str) {
        if let Ok(folder) = &self.folder {
            folder.remove(name);
        }
    }

    /// Removes a folder, if it is there and empty.
    fn remove_folder(&self, name: &str) {
        if let Ok(folder) = &self.folder {
            let _ = unlinkat(&folder.descriptor, name, UnlinkatFlags::RemoveDir);
        }
    }

    /// The names in a folder below the own one, or in that, in no order.
    fn names(&self, inner: &str) -> impl Iterator<Item = String> {
        let path = self
            .folder
            .as_ref()
            .ok()
            .map(|folder| folder.path.join(inner));
        let entries = path.and_then(|path| std::fs::read_dir(path).ok());
        let entries = entries.into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok())
    }
}

/// Why a file has no content for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoContent {
    /// It is not there.
    Absent,
    /// It cannot be read, or is not ours alone.
    Refused,
}

impl Folder {
    fn open(path: &Path, trusted: Trusted) -> Result<Self, StateError> {
        let trouble = |text: &dyn fmt::Display| StateError(format!("{}: {text}", path.display()));
        trusted
            .check_parents(path)
            .map_err(|error| trouble(&error))?;
        match mkdir(path, Mode::S_IRWXU) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(trouble(&errno.desc())),
        }
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let descriptor =
            open(path, flags, Mode::empty()).map_err(|errno| trouble(&errno.desc()))?;
        let metadata = fstat(&descriptor).map_err(|errno| trouble(&errno.desc()))?;
        if !trusted.owns(metadata.st_uid) {
            return Err(trouble(&format_args!("belongs to uid {}", metadata.st_uid)));
        }
        if metadata.st_mode & 0o077 != 0 {
            return Err(trouble(&"is open to others; type: chmod 700"));
        }
        faccessat(
            &descriptor,
            ".",
            AccessFlags::W_OK | AccessFlags::X_OK,
            AtFlags::AT_EACCESS,
        )
        .map_err(|errno| trouble(&errno.desc()))?;
        Ok(Self {
            path: path.to_owned(),
            descriptor,
        })
    }

    fn write_draft(&self, inner: &str, draft: &str, content: &[u8]) -> std::io::Result<()> {
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        let file = match self.create(draft) {
            Err(Errno::ENOENT) => {
                self.make_folder(inner);
                self.create(draft)
            }
            // A draft of this name is left over from a thread that was killed and had our number.
            Err(Errno::EEXIST) => {
                self.remove(draft);
                self.create(draft)
            }
            result => result,
        }?;
        // The host's umask may have taken more than it should, and is not ours to change.
        fchmod(&file, mode)?;
        File::from(file).write_all(content)
    }

    /// What goes wrong here goes wrong when something is written into it.
    fn make_folder(&self, inner: &str) {
        let mode = Mode::S_IRWXU;
        if mkdirat(&self.descriptor, inner, mode).is_ok() {
            let flag = FchmodatFlags::FollowSymlink;
            let _ = fchmodat(&self.descriptor, inner, mode, flag);
        }
    }

    fn create(&self, draft: &str) -> nix::Result<OwnedFd> {
        let flags =
            OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        openat(
            &self.descriptor,
            draft,
            flags,
            Mode::S_IRUSR | Mode::S_IWUSR,
        )
    }

    fn remove(&self, name: &str) {
        // What is not there need not be removed, and what cannot be removed is not trusted later.
        let _ = unlinkat(&self.descriptor, name, UnlinkatFlags::NoRemoveDir);
    }
}

/// A file name from what an entry depends on. Names of users and connections never stand in it.
#[must_use]
pub fn name(parts: &[&str]) -> String {
    hexadecimal(digest(parts))
}

/// As [`name`], with a secret for the last part.
fn name_of(parts: &[&str], secret: &Secret) -> String {
    let mut context = digest(parts);
    secret.digest(&mut context);
    hexadecimal(context)
}

fn digest(parts: &[&str]) -> Context {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&part.len().to_be_bytes());
        context.update(part.as_bytes());
    }
    context
}

/// The first half of a digest.
fn hexadecimal(context: Context) -> String {
    let digest = context.finish();
    let bytes = digest.as_ref().iter().take(16);
    bytes
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::user::Uids;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    fn trusted() -> Trusted {
        let uid = nix::unistd::getuid().as_raw();
        Trusted::of(Uids {
            real: uid,
            effective: uid,
            saved: uid,
        })
    }

    fn state(dir: &tempfile::TempDir) -> State {
        State::open(&dir.path().join("state"), trusted())
    }

    #[test]
    fn the_folder_is_made_private_and_files_are_written_whole() {
        let dir = tempfile::tempdir().unwrap();
        let state = state(&dir);
        assert_eq!(state.trouble(), None);
        let path = dir.path().join("state");
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o700);
        state.write("x", b"one").unwrap();
        state.write("x", b"two").unwrap();
        assert_eq!(state.read("x").unwrap().as_slice(), b"two");
        assert_eq!(
            std::fs::metadata(path.join("x")).unwrap().mode() & 0o7777,
            0o600
        );
        assert_eq!(
            std::fs::read_dir(&path).unwrap().count(),
            1,
            "no draft is left"
        );
        state.remove("x");
        assert_eq!(state.read("x").unwrap_err(), NoContent::Absent);
    }

    #[test]
    fn of_several_that_make_a_file_at_once_one_does() {
        let dir = tempfile::tempdir().unwrap();
        let state = state(&dir);
        assert_eq!(state.create("x", b"one"), Ok(true));
        assert_eq!(state.create("x", b"two"), Ok(false));
        assert_eq!(state.read("x").unwrap().as_slice(), b"one");
        assert_eq!(state.names("").count(), 1, "no draft is left");
    }

    #[test]
    fn r04_a_folder_or_file_that_others_could_have_changed_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(
            state(&dir)
                .trouble()
                .unwrap()
                .to_string()
                .contains("chmod 700")
        );
        assert!(state(&dir).write("x", b"").is_err());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        let state = state(&dir);
        state.write("x", b"one").unwrap();
        std::fs::set_permissions(path.join("x"), std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(state.read("x").unwrap_err(), NoContent::Refused);
        symlink("x", path.join("link")).unwrap();
        assert_eq!(state.read("link").unwrap_err(), NoContent::Refused);

        let link = dir.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(State::open(&link, trusted()).trouble().is_some());
        assert!(
            State::open(&dir.path().join("no/such"), trusted())
                .trouble()
                .is_some()
        );
    }

    #[test]
    fn names_are_digests_and_depend_on_each_part() {
        let first = name(&["a", "b"]);
        assert_eq!(first.len(), 32);
        assert_ne!(first, name(&["ab", ""]));
        assert_ne!(first, name(&["a", "b", ""]));
        assert_eq!(first, name(&["a", "b"]));
        assert!(!name(&["../../etc/passwd"]).contains('/'));
    }

    #[test]
    fn r04_a_draft_never_goes_into_a_file_that_is_there_already() {
        let dir = tempfile::tempdir().unwrap();
        let state = state(&dir);
        let target = dir.path().join("target");
        std::fs::write(&target, "kept").unwrap();
        symlink(&target, dir.path().join("state/.draft")).unwrap();
        std::fs::write(dir.path().join("state/.file"), "kept").unwrap();
        let folder = state.folder.as_ref().ok().unwrap();
        assert!(folder.create(".draft").is_err());
        assert!(folder.create(".file").is_err());
        assert_eq!(std::fs::read(&target).unwrap(), b"kept");
    }

    #[test]
    fn r04_a_link_is_not_followed_even_to_a_file_of_ours() {
        let dir = tempfile::tempdir().unwrap();
        let state = state(&dir);
        state.write("x", b"one").unwrap();
        symlink("x", dir.path().join("state/link")).unwrap();
        assert_eq!(state.read("link").unwrap_err(), NoContent::Refused);
    }

    #[test]
    fn a_file_that_cannot_get_its_name_was_not_made_and_leaves_no_draft() {
        let dir = tempfile::tempdir().unwrap();
        let state = state(&dir);
        assert!(state.create("", b"x").is_err());
        assert!(state.write("", b"x").is_err());
        assert_eq!(state.names("").count(), 0);
    }

    #[test]
    fn a_draft_that_was_left_over_is_in_nobodys_way() {
        let dir = tempfile::tempdir().unwrap();
        let state = state(&dir);
        let draft = format!("state/.x.{}", gettid());
        std::fs::write(dir.path().join(draft), "left over").unwrap();
        state.write("x", b"one").unwrap();
        assert_eq!(state.read("x").unwrap().as_slice(), b"one");
    }
}
