//! Which users this process trusts as owners of its files, and opening files that no other user can have
//! changed (rule R4).

use crate::user::Uids;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use std::fmt;
use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Component, Path, PathBuf};
use zeroize::Zeroizing;

/// The trusted owner of files: root; or the user of this process, when it is theirs alone.
#[derive(Clone, Copy, Debug)]
pub struct Trusted {
    own: Option<u32>,
}

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privacy {
    /// Any user.
    Public,
    /// The owner only.
    Secret,
}

/// Why a file was not read, with advice.
#[derive(Debug)]
pub enum FileError {
    /// The process may not open it.
    NotPermitted,
    /// It is not as it must be; the rest of a sentence.
    Refused(String),
}

/// Why a folder is not trusted.
#[derive(Debug)]
pub enum FolderError {
    /// It cannot be looked at.
    Unseen(FileError),
    /// It belongs to this uid, which is not trusted.
    Owner(PathBuf, u32),
    /// Group or others can write to it by this mode, and it is not sticky.
    Mode(PathBuf, u32),
}

impl From<FolderError> for FileError {
    fn from(error: FolderError) -> Self {
        match error {
            FolderError::Unseen(error) => error,
            FolderError::Owner(folder, uid) => Self::Refused(format!(
                "the folder {0} belongs to uid {uid}; type: chown root {0}",
                folder.display()
            )),
            FolderError::Mode(folder, mode) => Self::Refused(format!(
                "the folder {0} has mode {mode:04o}, so others can change files in it; type: chmod go-w {0}",
                folder.display()
            )),
        }
    }
}

impl FileError {
    /// With the path of the file in the command that corrects it.
    fn of(self, path: &Path) -> Self {
        match self {
            Self::Refused(text) => Self::Refused(text.replace(FILE, &path.display().to_string())),
            Self::NotPermitted => self,
        }
    }
}

/// The place of the path in a command.
const FILE: &str = "FILE";

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPermitted => f.write_str("this process is not allowed to read it"),
            Self::Refused(why) => f.write_str(why),
        }
    }
}

impl Trusted {
    /// The trusted owners for a process with these ids.
    #[must_use]
    pub fn of(uids: Uids) -> Self {
        let is_one = uids.real == uids.effective && uids.effective == uids.saved;
        Self {
            own: is_one.then_some(uids.real),
        }
    }

    /// Whether files of this owner are trusted.
    #[must_use]
    pub fn owns(self, uid: u32) -> bool {
        uid == 0 || self.own == Some(uid)
    }

    /// Reads a file of at most `max` bytes. The last component must not be a link; the file that
    /// was opened, and each folder above it, must belong to a trusted owner and be writable by
    /// no other user.
    ///
    /// # Errors
    /// [`FileError`], with what to do about it.
    pub fn read(
        self,
        path: &Path,
        privacy: Privacy,
        max: u64,
    ) -> Result<Zeroizing<Vec<u8>>, FileError> {
        let read = self.read_opened(self.opened(path)?, privacy, max);
        read.map_err(|error| error.of(path))
    }

    /// Opens a file for those who read it themselves, checked as [`Trusted::read`] does.
    ///
    /// # Errors
    /// As [`Trusted::read`].
    pub fn open(self, path: &Path, privacy: Privacy, max: u64) -> Result<File, FileError> {
        let file = self.opened(path)?;
        match self.check(&file, privacy).map_err(|error| error.of(path))? {
            length if length > max => Err(too_long(max)),
            _ => Ok(file),
        }
    }

    fn opened(self, path: &Path) -> Result<File, FileError> {
        self.check_parents(path)?;
        // O_NONBLOCK: a pipe must not hold up the login before it is seen to be one.
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let file = open(path, flags, Mode::empty()).map_err(|errno| match errno {
            Errno::EACCES | Errno::EPERM => FileError::NotPermitted,
            Errno::ELOOP => refused("is a symbolic link; name the file itself"),
            Errno::ENOENT => refused("does not exist"),
            other => refused(other.desc()),
        })?;
        Ok(file.into())
    }

    /// As [`Trusted::read`], for a file that is open already.
    ///
    /// # Errors
    /// As [`Trusted::read`].
    pub fn read_opened(
        self,
        file: File,
        privacy: Privacy,
        max: u64,
    ) -> Result<Zeroizing<Vec<u8>>, FileError> {
        let length = self.check(&file, privacy)?;
        read_at_most(file, length, max)
    }

    /// Checks every folder above a path, along the path as written and along the real one.
    ///
    /// # Errors
    /// [`FileError`] naming the folder.
    pub fn check_parents(self, path: &Path) -> Result<(), FileError> {
        let is_plain = |c: Component| matches!(c, Component::RootDir | Component::Normal(_));
        if !path.is_absolute() || !path.components().all(is_plain) {
            return Err(refused("must be an absolute path without \"..\""));
        }
        let Some(parent) = path.parent() else {
            return Ok(());
        };
        Ok(self.check_folders(parent)?)
    }

    /// Checks a folder and every one above it, along the path as written and along the real one.
    ///
    /// # Errors
    /// [`FolderError`] naming the folder.
    pub fn check_folders(self, parent: &Path) -> Result<(), FolderError> {
        // Behind a "..", as behind a link, the folders as written are not all that lead there.
        let mut is_real = !parent.components().any(|c| c == Component::ParentDir);
        for folder in parent.ancestors() {
            is_real &= !self.check_folder(folder)?;
        }
        if !is_real {
            let real = parent.canonicalize();
            let real = real.map_err(|error| FolderError::Unseen(unseen(parent, &error)))?;
            for folder in real.ancestors() {
                self.check_folder(folder)?;
            }
        }
        Ok(())
    }

    /// Everything for which [`Trusted::read`] refuses a path, where it stops at the first.
    #[must_use]
    pub fn flaws(self, path: &Path, privacy: Privacy) -> Vec<FileError> {
        let Some(parent) = path.parent() else {
            return vec![refused("is not a file")];
        };
        let real = parent.canonicalize().unwrap_or_default();
        let mut folders: Vec<&Path> = parent.ancestors().chain(real.ancestors()).collect();
        folders.retain(|folder| *folder != Path::new(""));
        folders.sort_unstable();
        folders.dedup();
        let folders = folders.into_iter().map(|folder| self.check_folder(folder));
        let errors = folders.filter_map(Result::err);
        let mut flaws: Vec<FileError> = errors.map(FileError::from).collect();
        match path.symlink_metadata() {
            Ok(metadata) => {
                let kind = check_kind(&metadata);
                if kind.is_ok() {
                    let owner = self.check_owner(&metadata).err();
                    let mode = check_mode(&metadata, privacy).err();
                    flaws.extend(owner.into_iter().chain(mode).map(|error| error.of(path)));
                }
                flaws.extend(kind.err());
            }
            Err(error) => flaws.push(refused(&error.to_string())),
        }
        flaws
    }

    /// Checks one folder, or a link to one, and says whether it is a link.
    fn check_folder(self, folder: &Path) -> Result<bool, FolderError> {
        let metadata = folder
            .symlink_metadata()
            .map_err(|error| FolderError::Unseen(unseen(folder, &error)))?;
        if !self.owns(metadata.uid()) {
            return Err(FolderError::Owner(folder.to_owned(), metadata.uid()));
        }
        let is_sticky = metadata.mode() & 0o1000 != 0;
        if metadata.is_dir() && metadata.mode() & 0o022 != 0 && !is_sticky {
            let mode = metadata.mode() & 0o7777;
            return Err(FolderError::Mode(folder.to_owned(), mode));
        }
        Ok(metadata.is_symlink())
    }

    /// Checks a file that is open, and says how long it is.
    fn check(self, file: &File, privacy: Privacy) -> Result<u64, FileError> {
        let metadata = file
            .metadata()
            .map_err(|error| refused(&error.to_string()))?;
        check_kind(&metadata)?;
        self.check_owner(&metadata)?;
        check_mode(&metadata, privacy)?;
        Ok(metadata.len())
    }

    fn check_owner(self, metadata: &Metadata) -> Result<(), FileError> {
        if self.owns(metadata.uid()) {
            return Ok(());
        }
        let text = format!("belongs to uid {}; type: chown root {FILE}", metadata.uid());
        Err(FileError::Refused(text))
    }
}

fn check_kind(metadata: &Metadata) -> Result<(), FileError> {
    let kind = metadata.file_type();
    Err(refused(match () {
        () if kind.is_file() => return Ok(()),
        () if kind.is_dir() => "is a folder",
        () if kind.is_fifo() => "is a pipe",
        () if kind.is_symlink() => "is a symbolic link; name the file itself",
        () => "is not a regular file",
    }))
}

fn check_mode(metadata: &Metadata, privacy: Privacy) -> Result<(), FileError> {
    let (unwanted, advice) = match privacy {
        Privacy::Public => (0o022, "chmod go-w"),
        Privacy::Secret => (0o077, "chmod 600"),
    };
    let mode = metadata.mode() & 0o7777;
    if mode & unwanted == 0 {
        return Ok(());
    }
    let read = if privacy == Privacy::Secret && mode & 0o044 != 0 {
        "; other users may have read the secret in it, so renew that secret, too"
    } else {
        ""
    };
    let text = format!("has mode {mode:04o}, which is too open; type: {advice} {FILE}{read}");
    Err(FileError::Refused(text))
}

/// Where distributions keep the CA bundle, in the order in which it is looked for.
pub const BUNDLES: [&str; 6] = [
    // Debian, Arch, Alpine
    "/etc/ssl/certs/ca-certificates.crt",
    // EL, and Fedora until 43
    "/etc/pki/tls/certs/ca-bundle.crt",
    // Fedora from 44 on
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    // SUSE
    "/etc/ssl/ca-bundle.pem",
    // NixOS
    "/etc/ssl/certs/ca-bundle.crt",
    // Alpine, a second name
    "/etc/ssl/cert.pem",
];

/// The system's CA bundle, the first of [`BUNDLES`] that is there: the real path behind links whose
/// folders are all root's.
///
/// # Errors
/// [`FileError`] when there is none, or the one there is could have been changed by others.
pub fn system_bundle() -> Result<(PathBuf, File), FileError> {
    let root_only = Trusted { own: None };
    for place in BUNDLES.map(Path::new) {
        let Ok(real) = place.canonicalize() else {
            continue;
        };
        root_only.check_parents(place)?;
        let bundle = root_only.open(&real, Privacy::Public, MAX_BUNDLE)?;
        return Ok((real, bundle));
    }
    Err(refused(
        "no CA bundle was found; install ca-certificates, or set \"ca_file\"",
    ))
}

/// The longest CA bundle that is read, in bytes.
pub const MAX_BUNDLE: u64 = 4 << 20;

/// Reads a file that had this length a moment ago, in one piece: a buffer that grows would leave copies
/// behind that are not wiped. The buffer has one byte more than the file; if that is filled, the file has
/// grown.
fn read_at_most(mut file: File, length: u64, max: u64) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let failed = |error: std::io::Error| refused(&error.to_string());
    let length = usize::try_from(length.min(max)).unwrap_or_default();
    let mut bytes = Zeroizing::new(vec![0; length + 1]);
    let mut end = 0;
    while end < length {
        match file.read(bytes.get_mut(end..).unwrap_or_default()) {
            Ok(0) => break,
            Ok(count) => end += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
    let has_grown = end > length;
    bytes.truncate(end);
    if has_grown {
        let more = max
            .saturating_add(1)
            .saturating_sub(u64::try_from(end).unwrap_or(max));
        // A secret that is moved to a larger buffer would stay in the smaller one.
        let mut grown = Zeroizing::new(Vec::with_capacity(usize::try_from(max).unwrap_or(end) + 1));
        grown.extend_from_slice(&bytes);
        file.take(more).read_to_end(&mut grown).map_err(failed)?;
        bytes = grown;
    }
    if u64::try_from(bytes.len()).is_ok_and(|length| length > max) {
        return Err(too_long(max));
    }
    Ok(bytes)
}

/// A folder that cannot be looked at.
fn unseen(folder: &Path, error: &std::io::Error) -> FileError {
    match error.kind() {
        ErrorKind::PermissionDenied => FileError::NotPermitted,
        _ => FileError::Refused(format!("{}: {error}", folder.display())),
    }
}

fn too_long(max: u64) -> FileError {
    FileError::Refused(format!("is longer than {max} bytes"))
}

fn refused(text: &str) -> FileError {
    FileError::Refused(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn trusted() -> Trusted {
        let uid = nix::unistd::getuid().as_raw();
        Trusted::of(Uids {
            real: uid,
            effective: uid,
            saved: uid,
        })
    }

    fn write(path: &Path, mode: u32) {
        std::fs::write(path, "text").unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        dir
    }

    fn why(result: Result<Zeroizing<Vec<u8>>, FileError>) -> String {
        result.map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn r04_a_private_file_of_a_trusted_owner_is_read() {
        let dir = folder();
        let path = dir.path().join("c");
        write(&path, 0o600);
        assert_eq!(
            trusted()
                .read(&path, Privacy::Secret, 100)
                .unwrap()
                .as_slice(),
            b"text"
        );
    }

    #[test]
    fn r04_modes_links_pipes_folders_and_long_files_are_refused() {
        let dir = folder();
        let path = dir.path().join("c");
        for mode in [0o644, 0o640, 0o604, 0o620, 0o602, 0o777] {
            write(&path, mode);
            assert!(
                why(trusted().read(&path, Privacy::Secret, 100)).contains("chmod 600"),
                "{mode:o}"
            );
        }
        write(&path, 0o644);
        assert!(trusted().read(&path, Privacy::Public, 100).is_ok());
        write(&path, 0o664);
        assert!(why(trusted().read(&path, Privacy::Public, 100)).contains("chmod go-w"));
        write(&path, 0o600);
        assert!(why(trusted().read(&path, Privacy::Secret, 3)).contains("longer than 3"));
        let link = dir.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(why(trusted().read(&link, Privacy::Secret, 100)).contains("symbolic link"));
        let pipe = dir.path().join("pipe");
        nix::unistd::mkfifo(&pipe, Mode::from_bits_truncate(0o600)).unwrap();
        assert!(why(trusted().read(&pipe, Privacy::Secret, 100)).contains("pipe"));
        assert!(why(trusted().read(dir.path(), Privacy::Public, 100)).contains("folder"));
        assert!(
            why(trusted().read(&dir.path().join("x"), Privacy::Public, 100)).contains("not exist")
        );
    }

    #[test]
    fn r04_a_folder_that_others_can_write_is_refused() {
        let dir = folder();
        let inner = dir.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        let path = inner.join("c");
        write(&path, 0o600);
        for (mode, is_fine) in [
            (0o755, true),
            (0o775, false),
            (0o757, false),
            (0o1777, true),
        ] {
            std::fs::set_permissions(&inner, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(
                trusted().read(&path, Privacy::Secret, 100).is_ok(),
                is_fine,
                "{mode:o}"
            );
        }
        std::fs::set_permissions(&inner, std::fs::Permissions::from_mode(0o700)).unwrap();
        assert!(trusted().check_parents(&inner.join("../inner/c")).is_err());
        assert!(trusted().check_parents(Path::new("c")).is_err());
    }

    #[test]
    fn r04_behind_a_linked_folder_the_real_ones_are_looked_at() {
        let dir = folder();
        let (safe, open) = (dir.path().join("closed"), dir.path().join("open"));
        std::fs::create_dir(&safe).unwrap();
        std::fs::create_dir(&open).unwrap();
        let inner = open.join("inner");
        std::fs::create_dir(&inner).unwrap();
        for (to, name) in [(&safe, "safe"), (&inner, "unsafe")] {
            write(&to.join("c"), 0o600);
            symlink(to, dir.path().join(name)).unwrap();
        }
        let mode = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(&open, mode).unwrap();
        let read = |name: &str| {
            let path = dir.path().join(name).join("c");
            trusted().read(&path, Privacy::Secret, 100)
        };
        assert!(read("safe").is_ok());
        assert!(why(read("unsafe")).contains("has mode 0777"));
    }

    #[test]
    fn r04_only_root_and_the_sole_owner_of_the_process_are_trusted() {
        let of = |real, effective, saved| {
            Trusted::of(Uids {
                real,
                effective,
                saved,
            })
        };
        assert!(of(1000, 1000, 1000).owns(1000) && of(1000, 1000, 1000).owns(0));
        assert!(!of(1000, 1000, 1000).owns(1001));
        assert!(
            !of(1000, 0, 0).owns(1000),
            "in sudo the caller is not trusted"
        );
        assert!(!of(1000, 1000, 0).owns(1000));
        assert!(of(1000, 0, 0).owns(0));
    }

    #[test]
    fn r04_a_file_of_somebody_else_is_refused() {
        let stranger = Trusted { own: None };
        let dir = folder();
        let path = dir.path().join("c");
        write(&path, 0o600);
        if nix::unistd::getuid().is_root() {
            nix::unistd::chown(&path, Some(4242.into()), None).unwrap();
            assert!(why(stranger.read(&path, Privacy::Secret, 100)).contains("uid 4242"));
        } else {
            assert!(why(stranger.read(&path, Privacy::Secret, 100)).contains("type: chown root"));
        }
    }
}
