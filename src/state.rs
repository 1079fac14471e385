//! The private files under `state_dir`. The only file that writes to disk. A login whose counts cannot be written there is
//! denied; a token, cache entry or address that cannot be written is requested again.
//!
//! A path is looked up anew in each call: the folders above are trusted, so that only root can put
//! another folder there, and then that one is meant.

pub mod expiring_files;
pub mod offline_codes;
pub mod user_memory;
mod watched_logins;

use crate::clock::seconds_since_boot;
use crate::host::boot;
use crate::login::NoState;
use crate::trust::{Privacy, Trusted};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag, open};
use nix::sys::stat::{Mode, fchmod};
use nix::sys::statfs::statfs;
use nix::unistd::{gettid, mkdir};
use rustix::fs::RawDir;
use std::cell::Cell;
use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Seek as _, SeekFrom, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

/// The longest file that is read back, in bytes.
const MAX_FILE: u64 = 8 << 10;

/// How long locks are waited for in one login, and between two looks at one.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// How many entries [`State::tried`] makes: at least as many entries and folders as one login makes.
const TRIED_ENTRIES: usize = 12;

/// The size of the file that [`State::try_to_store`] writes, in bytes: more than a look-up or a token needs.
const TRIED_BYTES: usize = 4096;

/// How much of a folder is read at once, in bytes: more than the folder of a user holds.
const FOLDER_BUFFER: usize = 32 << 10;

/// Seconds since the machine started; `None` if the clock cannot be read.
pub type BootClock = fn() -> Option<i64>;

/// The folder `state_dir`, or why it cannot be used.
pub struct State {
    folder: Result<PathBuf, StateError>,
    trusted: Trusted,
    clock: BootClock,
    /// A name for this start of the machine.
    boot: Option<String>,
    /// How long locks may still be waited for.
    patience: Cell<Duration>,
}

/// A lock that is held until it is dropped, or its process is gone.
pub struct Lock {
    _file: Flock<File>,
}

/// Why the state cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateError(String);

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StateError {}

impl State {
    /// Finds the folder, and makes it with mode 0700 if it is absent. Never fails: what needs the
    /// folder does.
    #[must_use]
    pub fn open(path: &Path, trusted: Trusted) -> Self {
        Self::by_clock(path, trusted, seconds_since_boot)
    }

    /// As [`State::open`], by another clock.
    #[must_use]
    pub fn by_clock(path: &Path, trusted: Trusted, clock: BootClock) -> Self {
        let usable = usable(path, trusted).and_then(|()| boot().map_err(StateError));
        let boot = usable.as_ref().ok().cloned();
        Self {
            folder: usable.map(|_| path.to_owned()),
            trusted,
            clock,
            boot,
            patience: Cell::new(LOCK_PATIENCE),
        }
    }

    /// Also tries what a login does: makes as many entries as a login can need, and removes them. If this
    /// fails, as on a full or read-only file system, the folder cannot be used. For an admin's tool.
    #[must_use]
    pub fn tried(mut self) -> Self {
        let error = self.try_entries().err();
        if let Some((folder, error)) = self.folder.as_ref().ok().zip(error) {
            let what = format!("{}: cannot be written: {error}", folder.display());
            self.folder = Err(StateError(what));
        }
        self
    }

    /// Why no file can be stored. Counts are entries without content, so there may be room for them alone. For an admin's tool.
    #[must_use]
    pub fn try_to_store(&self) -> Option<StateError> {
        let name = format!(".try.{}", gettid());
        let error = self.write(&name, &[0; TRIED_BYTES]).err();
        self.remove(&name);
        error
    }

    /// No folder: nothing is kept, and nothing that was kept is believed.
    #[must_use]
    pub fn nowhere() -> Self {
        Self {
            folder: Err(StateError("no state is kept".to_owned())),
            trusted: Trusted::of(crate::host::uids()),
            clock: seconds_since_boot,
            boot: None,
            patience: Cell::default(),
        }
    }

    /// Why the state cannot be used, if so.
    #[must_use]
    pub fn trouble(&self) -> Option<&StateError> {
        self.folder.as_ref().err()
    }

    /// Seconds since the machine started.
    ///
    /// # Errors
    /// [`NoState`] if the clock cannot be read: then nothing can be dated.
    pub fn now(&self) -> Result<i64, NoState> {
        (self.clock)().ok_or(NoState)
    }

    /// A name for this start of the machine. What was dated before it says nothing.
    ///
    /// # Errors
    /// [`NoState`] without a folder.
    pub fn boot(&self) -> Result<&str, NoState> {
        self.boot.as_deref().ok_or(NoState)
    }

    /// A file's content.
    ///
    /// # Errors
    /// [`NoContent`] when the file is absent, or not ours alone.
    pub fn read(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, NoContent> {
        self.read_own(self.open_own(name)?)
    }

    fn open_own(&self, name: &str) -> Result<File, NoContent> {
        let path = self.path(name).map_err(|_| NoContent::Absent)?;
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        match open(&path, flags, Mode::empty()) {
            Ok(file) => Ok(File::from(file)),
            Err(Errno::ENOENT) => Err(NoContent::Absent),
            Err(_) => Err(NoContent::Refused),
        }
    }

    fn read_own(&self, file: File) -> Result<Zeroizing<Vec<u8>>, NoContent> {
        self.trusted
            .read_opened(file, Privacy::Secret, MAX_FILE)
            .map_err(|_| NoContent::Refused)
    }

    /// Writes a file anew, whole or not at all.
    ///
    /// # Errors
    /// [`StateError`] when it could not be written.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<(), StateError> {
        let path = self.path(name)?;
        let draft = self.path(&format!(".{name}.{}", gettid()))?;
        write_draft(&draft, content)
            .and_then(|()| std::fs::rename(&draft, &path))
            .map_err(|error| {
                let _ = std::fs::remove_file(&draft);
                StateError(format!("{}: {error}", path.display()))
            })
    }

    /// Waits until no other login holds this lock, for two seconds at most in one login: a process
    /// that is stopped may hold it for ever. `None` when it could not be had; then it goes without.
    #[must_use]
    pub fn lock(&self, kind: &str, name: &str) -> Option<Lock> {
        // One file for many names: locks are many, and held for a moment only.
        let path = self.path(&format!("lock-{kind}-{}", name.get(..1)?)).ok()?;
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        let mut file = File::from(open(&path, flags, mode).ok()?);
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

    /// Locks the folder itself, and waits for it as long as it takes. For an admin's tool.
    fn lock_whole(&self) -> io::Result<Lock> {
        let folder = File::open(self.path(".").map_err(io::Error::other)?)?;
        match Flock::lock(folder, FlockArg::LockExclusive) {
            Ok(folder) => Ok(Lock { _file: folder }),
            Err((_, errno)) => Err(errno.into()),
        }
    }

    /// Removes a file or an entry, if it is there. What cannot be removed is there still, and counts.
    pub fn remove(&self, name: &str) {
        if let Ok(path) = self.path(name) {
            let _ = std::fs::remove_file(path);
        }
    }

    /// Writes a new file in a folder below the own one, which is made if it is absent. When this returns, the file outlasts a
    /// crash. `content` gets the folder and the file.
    fn write_new(
        &self,
        folder: &str,
        entry: &str,
        content: impl FnOnce(&Metadata, &Metadata) -> io::Result<String>,
    ) -> io::Result<()> {
        let folder = self.path(folder).map_err(io::Error::other)?;
        make_folder(&folder)?;
        let path = folder.join(entry);
        let mut file = File::from(create(&path)?);
        let write = || {
            fchmod(&file, Mode::S_IRUSR | Mode::S_IWUSR)?;
            let opened = File::open(&folder)?;
            let content = content(&opened.metadata()?, &file.metadata()?)?;
            file.write_all(content.as_bytes())?;
            file.sync_all()?;
            opened.sync_all()?;
            File::open(self.path(".").map_err(io::Error::other)?)?.sync_all()
        };
        let written: io::Result<()> = write();
        if written.is_err() {
            let _ = std::fs::remove_file(path);
        }
        written
    }

    /// Removes a file from a folder below the own one. When this returns, no crash brings it back. `false`: it was not there.
    fn remove_for_good(&self, folder: &str, entry: &str) -> io::Result<bool> {
        let folder = self.path(folder).map_err(io::Error::other)?;
        let opened = File::open(&folder)?;
        match std::fs::remove_file(folder.join(entry)) {
            Ok(()) => opened.sync_all().map(|()| true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Makes an entry in a folder below the own one: a symbolic link, which is there whole and at
    /// once, and needs no disk space of its own. The folder is made if it is absent. `false` if the name
    /// exists already.
    fn link(&self, folder: &str, entry: &str, target: &str) -> io::Result<bool> {
        let folder = self.path(folder).map_err(io::Error::other)?;
        let path = folder.join(entry);
        for _ in 0..2 {
            match std::os::unix::fs::symlink(target, &path) {
                Ok(()) => return Ok(true),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(false),
                Err(error) if error.kind() == ErrorKind::NotFound => make_folder(&folder)?,
                Err(error) => return Err(error),
            }
        }
        Err(ErrorKind::NotFound.into())
    }

    /// Makes a folder with [`TRIED_ENTRIES`] entries, and removes it again. A login removes what a process
    /// leaves that is killed here: the name is that of a draft.
    fn try_entries(&self) -> io::Result<()> {
        let folder = format!(".try.{}", gettid());
        let entries = (0..TRIED_ENTRIES).map(|number| number.to_string());
        let tried = entries.clone().try_for_each(|entry| {
            let made = self.link(&folder, &entry, "-");
            made.map(|_| ())
        });
        for entry in entries {
            self.remove(&format!("{folder}/{entry}"));
        }
        self.remove_folder(&folder);
        tried
    }

    /// What an entry leads to; `None` when it is not there.
    fn target(&self, folder: &str, entry: &str) -> io::Result<Option<String>> {
        let path = self.path(folder).map_err(io::Error::other)?.join(entry);
        match std::fs::read_link(path) {
            Ok(target) => Ok(Some(target.to_string_lossy().into_owned())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens a folder below the own one, or that (`.`), to list it; `None` when it is not there.
    fn listing(&self, folder: &str) -> io::Result<Option<Listing>> {
        let path = self.path(folder).map_err(io::Error::other)?;
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        match open(&path, flags, Mode::empty()) {
            Ok(folder) => Ok(Some(Listing {
                folder: File::from(folder),
                is_read: false,
            })),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Whether more than half of the entries that the file system can hold are free. One that does
    /// not tell has no such bound.
    fn has_much_room(&self) -> bool {
        let Ok(path) = self.path(".") else {
            return false;
        };
        statfs(&path).is_ok_and(|room| room.files() == 0 || room.files_free() > room.files() / 2)
    }

    fn remove_folder(&self, name: &str) {
        if let Ok(path) = self.path(name) {
            let _ = std::fs::remove_dir(path);
        }
    }

    fn path(&self, name: &str) -> Result<PathBuf, StateError> {
        let folder = self.folder.as_ref().map_err(Clone::clone)?;
        Ok(folder.join(name))
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

/// A folder that is open, to be listed again and again.
struct Listing {
    folder: File,
    is_read: bool,
}

impl Listing {
    /// The names in it now, in no order.
    fn names(&mut self) -> io::Result<Vec<String>> {
        self.read(|_| true)
    }

    /// Some names, as many as one system call gives.
    fn some_names(&mut self) -> io::Result<Vec<String>> {
        self.read(|is_more_at_hand| is_more_at_hand)
    }

    fn read(&mut self, goes_on: impl Fn(bool) -> bool) -> io::Result<Vec<String>> {
        if std::mem::replace(&mut self.is_read, true) {
            self.folder.seek(SeekFrom::Start(0))?;
        }
        let mut buffer = Vec::with_capacity(FOLDER_BUFFER);
        let mut entries = RawDir::new(&self.folder, buffer.spare_capacity_mut());
        let mut names = Vec::new();
        while let Some(entry) = entries.next() {
            // Names of ours are ASCII.
            if let Ok(name) = entry?.file_name().to_str() {
                if name != "." && name != ".." {
                    names.push(name.to_owned());
                }
            }
            if !goes_on(!entries.is_buffer_empty()) {
                break;
            }
        }
        Ok(names)
    }
}

/// Whether a folder is ours alone; it is made if it is absent.
fn usable(path: &Path, trusted: Trusted) -> Result<(), StateError> {
    let trouble = |text: &dyn fmt::Display| StateError(format!("{}: {text}", path.display()));
    trusted
        .check_parents(path)
        .map_err(|error| trouble(&error))?;
    let mut found = path.symlink_metadata();
    if let Err(error) = &found {
        if error.kind() == ErrorKind::NotFound {
            match mkdir(path, Mode::S_IRWXU) {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(errno) => return Err(trouble(&errno.desc())),
            }
            found = path.symlink_metadata();
        }
    }
    let metadata = found.map_err(|error| trouble(&error))?;
    if !metadata.is_dir() {
        return Err(trouble(&"is not a folder"));
    }
    // `rm -r` fails for a folder that something is mounted on.
    let folder = path.display();
    let private = format!("chmod 700 {folder}");
    // Another user may have put an entry there, which a narrower mode would not remove.
    let emptied =
        format!("chown root:root {folder} && {private} && find {folder} -mindepth 1 -delete");
    if !trusted.owns(metadata.uid()) {
        let owner = metadata.uid();
        return Err(trouble(&format_args!(
            "belongs to uid {owner}; type: {emptied}"
        )));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(trouble(&format_args!(
            "is writable by other users; type: {emptied}"
        )));
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(trouble(&format_args!(
            "is accessible to other users; type: {private}"
        )));
    }
    Ok(())
}

fn write_draft(draft: &Path, content: &[u8]) -> io::Result<()> {
    let file = match create(draft) {
        // A draft of this name is left over from a thread that was killed and had our number.
        Err(Errno::EEXIST) => {
            let _ = std::fs::remove_file(draft);
            create(draft)
        }
        result => result,
    }?;
    // The host's umask may have taken more than it should, and is not ours to change.
    fchmod(&file, Mode::S_IRUSR | Mode::S_IWUSR)?;
    File::from(file).write_all(content)
}

fn create(draft: &Path) -> nix::Result<OwnedFd> {
    let flags =
        OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    open(draft, flags, Mode::S_IRUSR | Mode::S_IWUSR)
}

fn make_folder(folder: &Path) -> io::Result<()> {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt as _;
    match mkdir(folder, Mode::S_IRWXU) {
        // As for a file: the umask.
        Ok(()) => set_permissions(folder, Permissions::from_mode(0o700)),
        Err(Errno::EEXIST) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::user::Uids;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

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

    fn count(state: &State) -> usize {
        state.listing(".").unwrap().unwrap().names().unwrap().len()
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
        assert_eq!(count(&state), 1, "no draft is left");
        state.remove("x");
        assert_eq!(state.read("x").unwrap_err(), NoContent::Absent);
    }

    #[test]
    fn an_entry_is_made_once_with_its_folder_and_can_be_read_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let state = state(&dir);
        assert!(state.listing("u").unwrap().is_none());
        assert!(state.link("u", "a", "one").unwrap());
        assert!(state.link("u", "b", "two").unwrap());
        assert!(!state.link("u", "a", "three").unwrap());
        assert_eq!(state.target("u", "a").unwrap().as_deref(), Some("one"));
        assert_eq!(state.target("u", "c").unwrap(), None);
        let mut listing = state.listing("u").unwrap().unwrap();
        assert_eq!(listing.names().unwrap().len(), 2);
        state.remove("u/a");
        assert_eq!(listing.names().unwrap(), ["b"], "listed anew");
        assert!(state.listing("v").unwrap().is_none());
    }

    #[test]
    fn a_folder_is_tried_and_nothing_is_left_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let tried = state(&dir).tried();
        assert_eq!(tried.trouble(), None);
        assert_eq!(tried.try_to_store(), None);
        assert_eq!(count(&tried), 0);
        let removed = state(&dir);
        std::fs::remove_dir(dir.path().join("state")).unwrap();
        let trouble = removed.tried().trouble().unwrap().to_string();
        let begin = format!(
            "{}: cannot be written: ",
            dir.path().join("state").display()
        );
        assert!(trouble.starts_with(&begin), "{trouble}");
        let nowhere = State::nowhere();
        let why = nowhere.trouble().cloned();
        assert_eq!(nowhere.tried().trouble().cloned(), why);
    }

    #[test]
    fn a_folder_with_many_entries_is_listed_whole() {
        let dir = tempfile::tempdir().unwrap();
        let state = state(&dir);
        for number in 0..2_000 {
            state.link("u", &format!("entry-{number}"), "-").unwrap();
        }
        let mut listing = state.listing("u").unwrap().unwrap();
        let some = listing.some_names().unwrap().len();
        assert!((100..2_000).contains(&some), "{some}");
        assert_eq!(listing.names().unwrap().len(), 2_000);
    }

    #[test]
    fn r04_a_folder_or_file_that_others_could_have_changed_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        std::fs::create_dir(&path).unwrap();
        let folder = path.display();
        for (mode, advice) in [
            (
                0o777,
                format!(
                    "type: chown root:root {folder} && chmod 700 {folder} && find {folder} -mindepth 1 -delete"
                ),
            ),
            (0o755, format!("type: chmod 700 {folder}")),
        ] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let trouble = state(&dir).trouble().unwrap().to_string();
            assert!(trouble.ends_with(&advice), "{trouble}");
        }
        assert!(state(&dir).write("x", b"").is_err());
        assert!(state(&dir).link("u", "x", "-").is_err());
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
    fn r04_a_draft_never_goes_into_a_file_that_is_there_already() {
        let dir = tempfile::tempdir().unwrap();
        let [target, link, file] = ["target", "link", "file"].map(|name| dir.path().join(name));
        std::fs::write(&target, "kept").unwrap();
        symlink(&target, &link).unwrap();
        std::fs::write(&file, "kept").unwrap();
        assert!(create(&link).is_err() && create(&file).is_err());
        assert_eq!(std::fs::read(&target).unwrap(), b"kept");
    }

    #[test]
    fn r04_a_link_is_not_followed_even_to_a_file_of_ours() {
        let dir = tempfile::tempdir().unwrap();
        let state = state(&dir);
        state.write("x", b"one").unwrap();
        symlink("x", dir.path().join("state/link")).unwrap();
        assert_eq!(state.read("link").unwrap_err(), NoContent::Refused);
        state.link("u", "x", "-").unwrap();
        symlink("u", dir.path().join("state/folder")).unwrap();
        assert!(state.listing("folder").is_err());
    }

    #[test]
    fn a_file_that_cannot_get_its_name_leaves_no_draft() {
        let dir = tempfile::tempdir().unwrap();
        let state = state(&dir);
        std::fs::create_dir(dir.path().join("state/x")).unwrap();
        assert!(state.write("x", b"x").is_err());
        assert_eq!(count(&state), 1);
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
