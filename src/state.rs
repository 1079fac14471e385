//! The private files under `state_dir`, and the memory of denials that lives there. The only file
//! that writes to disk. Without the folder nothing is cached, and nothing is activated.

use crate::login::{Forgotten, Memory};
use crate::trust::{Privacy, Trusted};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat, renameat};
use nix::sys::stat::{Mode, fchmod, fstat};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{AccessFlags, UnlinkatFlags, faccessat, mkdir, unlinkat};
use ring::digest::{Context, SHA256};
use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// How long a denial is remembered, in seconds: longer than a host keeps one login waiting, and
/// short enough that the next connection with the same addresses and ports is not meant.
const DENIAL_LIFE: i64 = 600;

/// The longest file that is read back, in bytes.
const MAX_FILE: u64 = 8 << 10;

/// Old denials that one new denial looks at, so that the folder stays small at a bounded cost.
const SWEEP: usize = 64;

const DENIAL: &str = "denied-";

/// The folder `state_dir`, or why it cannot be used.
pub struct State {
    folder: Result<Folder, StateError>,
    trusted: Trusted,
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
        }
    }

    /// Why the state cannot be used, if so.
    #[must_use]
    pub fn trouble(&self) -> Option<&StateError> {
        self.folder.as_ref().err()
    }

    /// A file's content; `None` when it is absent or not ours alone.
    #[must_use]
    pub fn read(&self, name: &str) -> Option<Zeroizing<Vec<u8>>> {
        let folder = self.folder.as_ref().ok()?;
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let file = openat(&folder.descriptor, name, flags, Mode::empty()).ok()?;
        self.trusted
            .read_opened(File::from(file), Privacy::Secret, MAX_FILE)
            .ok()
    }

    /// Writes a file anew, whole or not at all.
    ///
    /// # Errors
    /// [`StateError`] when it could not be written.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<(), StateError> {
        let folder = self.folder.as_ref().map_err(Clone::clone)?;
        let draft = format!(".{name}.{}", std::process::id());
        // A draft of this name is left over from a process that was killed and had our pid.
        folder.remove(&draft);
        folder
            .write_draft(&draft, content)
            .and_then(|()| {
                renameat(&folder.descriptor, draft.as_str(), &folder.descriptor, name)
                    .map_err(std::io::Error::from)
            })
            .map_err(|error| {
                folder.remove(&draft);
                StateError(format!("{}/{name}: {error}", folder.path.display()))
            })
    }

    /// Removes a file, if it is there.
    pub fn remove(&self, name: &str) {
        if let Ok(folder) = &self.folder {
            folder.remove(name);
        }
    }

    fn exists(&self, name: &str) -> bool {
        self.folder.as_ref().is_ok_and(|folder| {
            let flags = AtFlags::AT_SYMLINK_NOFOLLOW;
            faccessat(&folder.descriptor, name, AccessFlags::F_OK, flags).is_ok()
        })
    }
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

    fn write_draft(&self, draft: &str, content: &[u8]) -> std::io::Result<()> {
        let flags =
            OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        let file = openat(&self.descriptor, draft, flags, mode)?;
        // The host's umask may have taken more than it should, and is not ours to change.
        fchmod(&file, mode)?;
        File::from(file).write_all(content)
    }

    fn remove(&self, name: &str) {
        // What is not there need not be removed, and what cannot be removed is not trusted later.
        let _ = unlinkat(&self.descriptor, name, UnlinkatFlags::NoRemoveDir);
    }
}

/// A file name from what an entry depends on. Names of users and connections never stand in it.
#[must_use]
pub fn name(kind: &str, parts: &[&str]) -> String {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&part.len().to_be_bytes());
        context.update(part.as_bytes());
    }
    let mut name = kind.to_owned();
    for byte in context.finish().as_ref().iter().take(16) {
        let _ = write!(name, "{byte:02x}");
    }
    name
}

/// The action that a host may run the stack for more than once.
pub enum Action {
    /// One ssh connection, named by `SSH_CONNECTION`.
    Connection(String),
    /// One process, named by [`crate::host::process_identity`].
    Process(String),
}

/// The memory of denials for one action.
pub struct Denials<'a> {
    state: &'a State,
    name: String,
}

impl<'a> Denials<'a> {
    /// The memory for this action of this user: a process may serve several, one after another.
    #[must_use]
    pub fn of(state: &'a State, action: Action, user: &str) -> Self {
        let (kind, action) = match action {
            Action::Connection(connection) => ("connection", connection),
            Action::Process(process) => ("process", process),
        };
        Self {
            state,
            name: name(DENIAL, &[kind, &action, user]),
        }
    }

    /// Removes denials that are over.
    fn sweep(&self, now: i64) {
        let Some(entries) = self
            .state
            .folder
            .as_ref()
            .ok()
            .and_then(|folder| std::fs::read_dir(&folder.path).ok())
        else {
            return;
        };
        for entry in entries.flatten().take(SWEEP) {
            if let Some(name) = entry.file_name().to_str() {
                let is_over = name.starts_with(DENIAL) && !self.holds(name, now);
                if is_over || is_abandoned(name) {
                    self.state.remove(name);
                }
            }
        }
    }

    /// Whether a denial is still meant. One that cannot be read is: it concerns one action only,
    /// and somebody wrote it.
    fn holds(&self, name: &str, now: i64) -> bool {
        let Some(content) = self.state.read(name) else {
            return self.state.exists(name);
        };
        let written = std::str::from_utf8(&content)
            .ok()
            .and_then(|text| text.trim_end().parse::<i64>().ok());
        // A time that is still to come was written before the machine started anew.
        written.is_none_or(|written| (0..DENIAL_LIFE).contains(&now.saturating_sub(written)))
    }
}

impl Memory for Denials<'_> {
    fn is_denied(&self) -> bool {
        match seconds_since_boot() {
            Some(now) => self.holds(&self.name, now),
            None => self.state.exists(&self.name),
        }
    }

    fn works(&self) -> bool {
        self.state.folder.is_ok()
    }

    fn deny(&mut self) -> Result<(), Forgotten> {
        let now = seconds_since_boot().ok_or(Forgotten)?;
        self.sweep(now);
        self.state
            .write(&self.name, format!("{now}\n").as_bytes())
            .map_err(|_| Forgotten)
    }

    fn allow(&mut self) {
        self.state.remove(&self.name);
    }
}

/// Whether a file is the draft of a process that is gone.
fn is_abandoned(name: &str) -> bool {
    let process = name
        .strip_prefix('.')
        .and_then(|name| name.rsplit_once('.'));
    process.is_some_and(|(_, pid)| {
        pid.bytes().all(|b| b.is_ascii_digit()) && !Path::new("/proc").join(pid).exists()
    })
}

/// Seconds since the machine started, asleep or not: nobody can set this clock.
fn seconds_since_boot() -> Option<i64> {
    clock_gettime(ClockId::CLOCK_BOOTTIME)
        .ok()
        .map(|time| time.tv_sec())
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
        assert!(state.read("x").is_none());
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
        assert!(state.read("x").is_none());
        symlink("x", path.join("link")).unwrap();
        assert!(state.read("link").is_none());

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
        let first = name("token-", &["a", "b"]);
        assert_eq!(first.len(), "token-".len() + 32);
        assert_ne!(first, name("token-", &["ab", ""]));
        assert_ne!(first, name("token-", &["a", "b", ""]));
        assert_eq!(first, name("token-", &["a", "b"]));
        assert!(!name("x", &["../../etc/passwd"]).contains('/'));
    }

    #[test]
    fn r14_a_denial_is_remembered_for_its_action_only() {
        let dir = tempfile::tempdir().unwrap();
        let state = state(&dir);
        let of = |text: &str| Denials::of(&state, Action::Connection(text.to_owned()), "alice");
        assert!(!of("1.2.3.4 5 6.7.8.9 22").is_denied());
        of("1.2.3.4 5 6.7.8.9 22").deny().unwrap();
        assert!(of("1.2.3.4 5 6.7.8.9 22").is_denied());
        assert!(!of("1.2.3.4 6 6.7.8.9 22").is_denied());
        let connection = "1.2.3.4 5 6.7.8.9 22";
        let process = |user| Denials::of(&state, Action::Process(connection.to_owned()), user);
        assert!(!process("alice").is_denied());
        assert!(!Denials::of(&state, Action::Connection(connection.to_owned()), "bob").is_denied());
        process("alice").deny().unwrap();
        assert!(process("alice").is_denied() && !process("bob").is_denied());
        of("1.2.3.4 5 6.7.8.9 22").allow();
        assert!(!of("1.2.3.4 5 6.7.8.9 22").is_denied());
    }

    #[test]
    fn r14_an_old_denial_is_over_and_swept_and_a_corrupt_one_holds() {
        let dir = tempfile::tempdir().unwrap();
        let state = state(&dir);
        let now = seconds_since_boot().unwrap();
        let mut denials = Denials::of(&state, Action::Process("1@2".to_owned()), "alice");
        for (content, holds) in [
            (format!("{now}\n"), true),
            (format!("{}", now - DENIAL_LIFE + 5), true),
            (format!("{}", now - DENIAL_LIFE), false),
            (format!("{}", now + 100), false),
            ("garbage".to_owned(), true),
            (String::new(), true),
        ] {
            state.write(&denials.name, content.as_bytes()).unwrap();
            assert_eq!(denials.is_denied(), holds, "{content:?}");
        }
        state
            .write("denied-0123", format!("{}", now - DENIAL_LIFE).as_bytes())
            .unwrap();
        state.write("token-0123", b"0").unwrap();
        denials.deny().unwrap();
        assert!(!state.exists("denied-0123"), "the old one is swept");
        assert!(state.exists("token-0123"));
    }

    #[test]
    fn the_draft_of_a_killed_process_is_swept() {
        let dir = tempfile::tempdir().unwrap();
        let state = state(&dir);
        let own = format!(".token-0123.{}", std::process::id());
        for draft in [".denied-0123.4194999", own.as_str()] {
            state.write(draft, b"").unwrap();
        }
        Denials::of(&state, Action::Process("1@2".to_owned()), "alice")
            .deny()
            .unwrap();
        assert!(!state.exists(".denied-0123.4194999"));
        assert!(state.exists(&own));
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
        assert!(folder.write_draft(".draft", b"evil").is_err());
        assert!(folder.write_draft(".file", b"evil").is_err());
        assert_eq!(std::fs::read(&target).unwrap(), b"kept");
    }

    #[test]
    fn without_a_folder_the_memory_says_that_it_does_not_work() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(&dir.path().join("no/such"), trusted());
        let mut denials = Denials::of(&state, Action::Process("1@2".to_owned()), "alice");
        assert!(!denials.works());
        assert!(!denials.is_denied());
        assert!(denials.deny().is_err());
    }
}
