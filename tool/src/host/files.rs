//! Files outside `state_dir`: no other module of the tool writes them. `output` writes the files that an
//! administrator names for a result; all other files belong to the system. A file changes completely or not at
//! all, by a rename in its own folder, and keeps its owner, mode and attributes (such as the `SELinux` label).
//! Links are refused: their target is not the file that was checked.

pub(crate) mod output;

use crate::outcome::Failure;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, Uid, fchmod, fchown, fgetxattr, flistxattr, fsetxattr, fsync,
    mkdirat, open, openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// The owner, mode and attributes of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Metadata {
    mode: u32,
    uid: u32,
    gid: u32,
    /// Extended attributes, in base64.
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

/// A file with its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) bytes: Vec<u8>,
    pub(crate) metadata: Metadata,
}

impl Metadata {
    /// Of a file of ours, with this mode.
    pub(crate) fn own(mode: u32) -> Self {
        Self {
            mode,
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            attributes: BTreeMap::new(),
        }
    }
}

/// A file that will be replaced or rolled back; `None` if it or its folder does not exist.
pub(crate) fn snapshot(path: &Path) -> Result<Option<Snapshot>, Failure> {
    if lacks_its_folder(path) {
        return Ok(None);
    }
    let (folder, name) = place(path)?;
    let file = match openat(&folder, name, READ, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP) => return Err(Failure::at(path, IS_LINK)),
        Err(errno) => return Err(failure(path, errno)),
    };
    read(path, file).map(Some)
}

/// Writes a file with its content and metadata, in place of an old one or as a new one. When this returns,
/// it is on the disk.
pub(crate) fn put(path: &Path, bytes: &[u8], metadata: &Metadata) -> Result<(), Failure> {
    let (folder, name) = place(path)?;
    refuse_what_is_no_plain_file(path, &folder, name)?;
    replace(path, bytes, metadata)
}

/// As [`put`], but also replaces a link: the link is removed, and its target stays as it is.
pub(crate) fn replace(path: &Path, bytes: &[u8], metadata: &Metadata) -> Result<(), Failure> {
    let (folder, name) = place(path)?;
    let draft = draft_name(name);
    let written = write_draft(&folder, &draft, bytes, metadata)
        .and_then(|()| renameat(&folder, &draft, &folder, name))
        .and_then(|()| fsync(&folder));
    written.map_err(|errno| {
        let _ = unlinkat(&folder, &draft, AtFlags::empty());
        failure(path, errno)
    })
}

/// Removes a file; it is not an error if the file does not exist.
pub(crate) fn remove(path: &Path) -> Result<(), Failure> {
    if lacks_its_folder(path) {
        return Ok(());
    }
    let (folder, name) = place(path)?;
    match unlinkat(&folder, name, AtFlags::empty()) {
        Ok(()) => fsync(&folder).map_err(|errno| failure(path, errno)),
        Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(failure(path, errno)),
    }
}

/// Gives a file another name in the same file system.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), Failure> {
    let (old, name) = place(from)?;
    let (new, new_name) = place(to)?;
    renameat(&old, name, &new, new_name)
        .and_then(|()| fsync(&new))
        .and_then(|()| fsync(&old))
        .map_err(|errno| failure(from, errno))
}

/// Creates a folder that only this user can use, if it does not exist.
pub(crate) fn private_folder(path: &Path) -> Result<(), Failure> {
    let (folder, name) = place(path)?;
    match mkdirat(&folder, name, Mode::from_raw_mode(0o700)) {
        Ok(()) => fsync(&folder).map_err(|errno| failure(path, errno)),
        Err(Errno::EXIST) => {
            let found = statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|errno| failure(path, errno))?;
            let is_folder = found.st_mode & 0o170_000 == 0o040_000;
            let own = rustix::process::geteuid().as_raw();
            if is_folder && found.st_uid == own && found.st_mode & 0o7777 == 0o700 {
                Ok(())
            } else {
                Err(Failure::at(
                    path,
                    "must be a folder that belongs to this user, with mode 0700",
                ))
            }
        }
        Err(errno) => Err(failure(path, errno)),
    }
}

/// Opens a file for locking only, and creates it if it does not exist.
pub(crate) fn open_lock(path: &Path) -> Result<File, Failure> {
    let (folder, name) = place(path)?;
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(&folder, name, flags, Mode::from_raw_mode(0o600))
        .map(File::from)
        .map_err(|errno| failure(path, errno))
}

/// Removes half-written files that a killed run has left beside this file.
pub(crate) fn sweep(path: &Path) {
    let Ok((folder, name)) = place(path) else {
        return;
    };
    let start = draft_start(name);
    let entries = path.parent().and_then(|parent| parent.read_dir().ok());
    for entry in entries.into_iter().flatten().flatten() {
        if entry.file_name().as_bytes().starts_with(start.as_bytes()) {
            let _ = unlinkat(&folder, entry.file_name(), AtFlags::empty());
        }
    }
}

fn lacks_its_folder(path: &Path) -> bool {
    let parent = path.parent().filter(|parent| *parent != Path::new(""));
    parent.is_some_and(|parent| matches!(parent.try_exists(), Ok(false)))
}

/// The folder of a file, opened, and its name there.
fn place(path: &Path) -> Result<(OwnedFd, &OsStr), Failure> {
    let name = path
        .file_name()
        .ok_or_else(|| Failure::at(path, "is not a file name"))?;
    let parent = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = open(parent, flags, Mode::empty()).map_err(|errno| failure(parent, errno))?;
    Ok((folder, name))
}

/// Reads what was opened, if it is a plain file with one name.
fn read(path: &Path, mut file: File) -> Result<Snapshot, Failure> {
    let failed = |error: std::io::Error| Failure::at(path, error);
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(Failure::at(path, IS_NO_FILE));
    }
    if metadata.nlink() > 1 {
        return Err(Failure::at(path, HAS_NAMES));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(failed)?;
    let metadata = Metadata {
        mode: metadata.mode() & 0o7777,
        uid: metadata.uid(),
        gid: metadata.gid(),
        attributes: attributes(&file).map_err(|errno| failure(path, errno))?,
    };
    Ok(Snapshot { bytes, metadata })
}

fn refuse_what_is_no_plain_file(
    path: &Path,
    folder: &OwnedFd,
    name: &OsStr,
) -> Result<(), Failure> {
    match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) => match found.st_mode & 0o170_000 {
            0o100_000 if found.st_nlink > 1 => Err(Failure::at(path, HAS_NAMES)),
            0o100_000 => Ok(()),
            0o120_000 => Err(Failure::at(path, IS_LINK)),
            _ => Err(Failure::at(path, IS_NO_FILE)),
        },
        Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(failure(path, errno)),
    }
}

fn write_draft(
    folder: &OwnedFd,
    draft: &OsStr,
    bytes: &[u8],
    metadata: &Metadata,
) -> rustix::io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(openat(folder, draft, flags, Mode::from_raw_mode(0o600))?);
    file.write_all(bytes)
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    // The owner first: a change of owner takes bits of the mode away.
    let owner = Uid::from_raw(metadata.uid);
    fchown(&file, Some(owner), Some(Gid::from_raw(metadata.gid)))?;
    fchmod(&file, Mode::from_raw_mode(metadata.mode))?;
    for (name, value) in &metadata.attributes {
        let value = BASE64.decode(value).map_err(|_| Errno::INVAL)?;
        fsetxattr(
            &file,
            name.as_str(),
            &value,
            rustix::fs::XattrFlags::empty(),
        )?;
    }
    fsync(&file)
}

/// The extended attributes of a file; none where the file system has none.
fn attributes(file: &File) -> rustix::io::Result<BTreeMap<String, String>> {
    let mut names = vec![0; MAX_ATTRIBUTES];
    let length = match flistxattr(file, names.as_mut_slice()) {
        Ok(length) => length,
        Err(Errno::NOTSUP | Errno::NOSYS) => 0,
        Err(errno) => return Err(errno),
    };
    names.truncate(length);
    let mut found = BTreeMap::new();
    for name in names
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
    {
        let name = std::str::from_utf8(name).map_err(|_| Errno::INVAL)?;
        let mut value = vec![0; MAX_ATTRIBUTES];
        let length = fgetxattr(file, name, value.as_mut_slice())?;
        value.truncate(length);
        found.insert(name.to_owned(), BASE64.encode(value));
    }
    Ok(found)
}

/// No two processes write the same draft.
fn draft_name(name: &OsStr) -> OsString {
    let mut draft = draft_start(name);
    draft.push(std::process::id().to_string());
    draft
}

/// Hidden, so that no program that reads the folder uses it.
fn draft_start(name: &OsStr) -> OsString {
    let mut draft = OsString::from(".");
    draft.push(name);
    draft.push(".pam-onelogin-");
    draft
}

fn failure(path: &Path, errno: Errno) -> Failure {
    let error = std::io::Error::from(errno);
    Failure::at(path, error)
}

// O_NONBLOCK: opening a pipe must not block before the tool can see that it is one.
const READ: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK);

/// The longest list of attributes, and the longest value: the kernel's own limit.
const MAX_ATTRIBUTES: usize = 64 << 10;

const IS_LINK: &str = "is a symbolic link; name the file itself";
const IS_NO_FILE: &str = "is not a regular file";
const HAS_NAMES: &str = "has several hard links; replace it with a copy of itself first";

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn names(folder: &Path) -> Vec<OsString> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect()
    }

    #[test]
    fn a_replaced_file_keeps_its_mode_and_attributes_and_leaves_no_draft() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stack");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let opened = File::open(&path).unwrap();
        let flags = rustix::fs::XattrFlags::empty();
        let labelled = fsetxattr(&opened, "user.label", b"a\0b", flags).is_ok();
        let before = snapshot(&path).unwrap().unwrap();
        assert_eq!(before.metadata.attributes.len(), usize::from(labelled));

        put(&path, b"new", &before.metadata).unwrap();
        let after = snapshot(&path).unwrap().unwrap();
        assert_eq!(after.bytes, b"new");
        assert_eq!(after.metadata, before.metadata);
        assert_eq!(after.metadata.mode, 0o640);
        assert_eq!(names(folder.path()), ["stack"]);

        put(&path, &before.bytes, &before.metadata).unwrap();
        assert_eq!(snapshot(&path).unwrap().unwrap(), before);
    }

    #[test]
    fn a_new_file_gets_the_mode_that_was_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new");
        assert_eq!(snapshot(&path).unwrap(), None);
        put(&path, b"x", &Metadata::own(0o600)).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn links_pipes_and_files_of_several_names_are_refused_and_stay() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("target"), "kept").unwrap();
        symlink("target", at("link")).unwrap();
        symlink("nowhere", at("dangling")).unwrap();
        fs::write(at("one"), "kept").unwrap();
        fs::hard_link(at("one"), at("two")).unwrap();
        nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        for name in ["link", "dangling", "one", "pipe"] {
            let own = Metadata::own(0o600);
            assert!(put(&at(name), b"lost", &own).is_err(), "{name}");
        }
        assert_eq!(fs::read(at("target")).unwrap(), b"kept");
        assert_eq!(fs::read(at("two")).unwrap(), b"kept");
        assert!(!at("nowhere").exists());
        assert_eq!(names(folder.path()).len(), 6);
    }

    #[test]
    fn a_folder_of_ours_is_private_or_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own");
        private_folder(&path).unwrap();
        private_folder(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o700);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).unwrap();
        assert!(private_folder(&path).is_err());
        symlink("own", folder.path().join("link")).unwrap();
        assert!(private_folder(&folder.path().join("link")).is_err());
    }

    #[test]
    fn what_a_killed_run_left_is_swept_away_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        for name in [".sudo.pam-onelogin-77", ".sudo-i.pam-onelogin-77", "sudo"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        sweep(&folder.path().join("sudo"));
        let mut left = names(folder.path());
        left.sort();
        assert_eq!(left, [".sudo-i.pam-onelogin-77", "sudo"]);
    }
}
