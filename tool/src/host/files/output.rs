//! A file that an administrator names for a result (`-o FILE`). It is always a new file that belongs to the
//! user of the tool and has a fixed mode: the tool never writes into an existing file. Folders that other
//! users can change are refused, as rule R4 refuses them for inputs.

use crate::host::files::{
    HAS_NAMES, IS_LINK, IS_NO_FILE, Metadata, READ, Snapshot, draft_start, failure, read,
    write_draft,
};
use crate::outcome::Failure;
use pam_onelogin::host::uids;
use pam_onelogin::trust::{FileError, FolderError, Trusted};
use ring::rand::{SecureRandom as _, SystemRandom};
use rustix::fs::{AtFlags, Mode, OFlags, Stat, fsync, open, openat, renameat, statat, unlinkat};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// A place for a result, in a folder that no other user can change.
pub(crate) struct Output {
    /// As the admin wrote it.
    path: PathBuf,
    folder: OwnedFd,
    name: OsString,
}

impl Output {
    /// Checks the folders in the path. A sticky folder such as /tmp is accepted: other users can create
    /// files there, but cannot rename or remove ours.
    pub(crate) fn at(path: &Path) -> Result<Self, Failure> {
        let name = path.file_name();
        let name = name.ok_or_else(|| Failure::at(path, "is not a file name"))?;
        let failed = |error: std::io::Error| Failure::at(path, error);
        let folder = path.parent().unwrap_or(Path::new(""));
        let folder = std::path::absolute(Path::new(".").join(folder)).map_err(failed)?;
        let trusted = Trusted::of(uids());
        trusted
            .check_folders(&folder)
            .map_err(|error| not_trusted(path, error))?;
        let real = folder.canonicalize().map_err(failed)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = open(&real, flags, Mode::empty()).map_err(|errno| failure(&real, errno))?;
        Ok(Self {
            path: path.to_owned(),
            folder: opened,
            name: name.to_owned(),
        })
    }

    /// The existing file, if it may be replaced: a regular file of the tool's own user, with one hard link.
    pub(crate) fn existing(&self) -> Result<Option<Snapshot>, Failure> {
        let failed = |errno| failure(&self.path, errno);
        match statat(&self.folder, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => self.refuse_what_is_not_ours(&found)?,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(failed(errno)),
        }
        let file = openat(&self.folder, &self.name, READ, Mode::empty()).map_err(failed)?;
        // In a sticky folder another user may have made another file of that name meanwhile.
        self.refuse_what_is_not_ours(&rustix::fs::fstat(&file).map_err(failed)?)?;
        read(&self.path, File::from(file)).map(Some)
    }

    /// Writes the result, in place of the file that [`Output::existing`] allows. Returns whether something
    /// changed: a file with the same content and mode is not written again.
    pub(crate) fn put(&self, bytes: &[u8], mode: u32) -> Result<bool, Failure> {
        let mut metadata = Metadata::own(mode);
        if let Some(old) = self.existing()? {
            if old.bytes == bytes && old.metadata.mode == mode {
                return Ok(false);
            }
            // A label stays; access lists do not, as they could let others write.
            let label = old.metadata.attributes.get_key_value(LABEL);
            let label = label.map(|(name, value)| (name.clone(), value.clone()));
            metadata.attributes.extend(label);
        }
        let draft = self.draft_name()?;
        // A rename does not write into what has that name by then.
        let written = self.write_new(&draft, bytes, &metadata, |draft| {
            renameat(&self.folder, draft, &self.folder, &self.name)
        });
        written.map_err(|errno| failure(&self.path, errno))?;
        Ok(true)
    }

    /// Creates the file with the result; `false` if the name exists already.
    pub(crate) fn create(&self, bytes: &[u8], mode: u32) -> Result<bool, Failure> {
        match statat(&self.folder, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => {}
            _ => return Ok(false),
        }
        match self.write_new(&self.name, bytes, &Metadata::own(mode), |_| Ok(())) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(errno) => Err(failure(&self.path, errno)),
        }
    }

    /// Writes a new file, and removes it again if that fails.
    fn write_new(
        &self,
        name: &OsStr,
        bytes: &[u8],
        metadata: &Metadata,
        then: impl FnOnce(&OsStr) -> rustix::io::Result<()>,
    ) -> rustix::io::Result<()> {
        let written = write_draft(&self.folder, name, bytes, metadata)
            .and_then(|()| then(name))
            .and_then(|()| fsync(&self.folder));
        if written.is_err_and(|errno| errno != Errno::EXIST) {
            let _ = unlinkat(&self.folder, name, AtFlags::empty());
        }
        written
    }

    fn refuse_what_is_not_ours(&self, found: &Stat) -> Result<(), Failure> {
        let own = rustix::process::geteuid().as_raw();
        match found.st_mode & 0o170_000 {
            0o120_000 => Err(Failure::at(&self.path, IS_LINK)),
            0o100_000 if found.st_uid != own => Err(Failure::new(format!(
                "{}: belongs to uid {}, but the tool runs as uid {own}; remove the file, or name another one",
                self.path.display(),
                found.st_uid
            ))),
            0o100_000 if found.st_nlink > 1 => Err(Failure::at(&self.path, HAS_NAMES)),
            0o100_000 => Ok(()),
            _ => Err(Failure::at(&self.path, IS_NO_FILE)),
        }
    }

    /// A name that other users cannot guess, and so cannot use first in a sticky folder.
    fn draft_name(&self) -> Result<OsString, Failure> {
        let mut bytes = [0_u8; 8];
        SystemRandom::new()
            .fill(&mut bytes)
            .map_err(|_| Failure::at(&self.path, "the system gave no random numbers"))?;
        let mut end = String::new();
        for byte in bytes {
            let _ = write!(end, "{byte:02x}");
        }
        let mut name = draft_start(&self.name);
        name.push(end);
        Ok(name)
    }
}

/// What is wrong with the folder of an output, and what to do.
fn not_trusted(path: &Path, error: FolderError) -> Failure {
    let (folder, what) = match error {
        FolderError::Unseen(error @ FileError::Refused(_)) => {
            return Failure::new(error.to_string());
        }
        FolderError::Unseen(FileError::NotPermitted) => {
            return Failure::at(
                path,
                "this user may not read its folder; run the command with sudo",
            );
        }
        FolderError::Owner(folder, uid) => (folder, format!("belongs to uid {uid}")),
        FolderError::Mode(folder, mode) => (folder, format!("has mode {mode:04o}")),
    };
    Failure(vec![
        format!(
            "{}: not written: the folder {} {what}, so other users could change the file",
            path.display(),
            folder.display()
        ),
        format!(
            "name a file in a folder that only {} can write to, or leave out -o and redirect the output",
            match uids().effective {
                0 => "root",
                _ => "you and root",
            }
        ),
    ])
}

/// The attribute that holds `SELinux`'s label.
const LABEL: &str = "security.selinux";

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    fn folder(mode: u32) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
        folder
    }

    fn why<T>(result: Result<T, Failure>) -> String {
        result.map(|_| ()).unwrap_err().0.join("\n")
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    fn names(folder: &Path) -> Vec<OsString> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect()
    }

    #[test]
    fn r04_an_output_is_not_written_where_others_can_write() {
        for wrong in [0o777, 0o775, 0o757] {
            let open = folder(wrong);
            let path = open.path().join("map");
            let said = why(Output::at(&path));
            assert!(said.contains(&format!("has mode {wrong:04o}")), "{said}");
            assert!(said.contains("leave out -o"), "{said}");
            assert_eq!(names(open.path()).len(), 0);
        }
        let open = folder(0o777);
        let inner = open.path().join("inner");
        fs::create_dir(&inner).unwrap();
        assert!(why(Output::at(&inner.join("map"))).contains("has mode 0777"));
        assert!(why(Output::at(&inner.join("../inner/map"))).contains("has mode 0777"));
        let closed = folder(0o700);
        symlink(&inner, closed.path().join("link")).unwrap();
        let behind = closed.path().join("link/map");
        assert!(why(Output::at(&behind)).contains("has mode 0777"));
    }

    #[test]
    fn r04_a_sticky_folder_and_a_way_by_dots_will_do() {
        let sticky = folder(0o1777);
        let path = sticky.path().join("map");
        assert!(Output::at(&path).unwrap().put(b"new", 0o644).unwrap());
        assert_eq!(
            (fs::read(&path).unwrap().as_slice(), mode(&path)),
            (&b"new"[..], 0o644)
        );
        fs::create_dir(sticky.path().join("inner")).unwrap();
        let by_dots = sticky.path().join("inner/../map");
        assert!(!Output::at(&by_dots).unwrap().put(b"new", 0o644).unwrap());
    }

    #[test]
    fn an_own_file_is_replaced_with_the_fixed_mode_and_without_access_lists() {
        let folder = folder(0o700);
        let path = folder.path().join("map");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        let before = fs::metadata(&path).unwrap().ino();
        let file = File::open(&path).unwrap();
        let flags = rustix::fs::XattrFlags::empty();
        let _ = rustix::fs::fsetxattr(&file, "user.note", b"x", flags);
        let output = Output::at(&path).unwrap();
        assert!(output.put(b"old", 0o644).unwrap(), "the mode is put right");
        assert_eq!(mode(&path), 0o644);
        assert!(output.put(b"new", 0o644).unwrap());
        assert!(!output.put(b"new", 0o644).unwrap());
        let new = output.existing().unwrap().unwrap();
        assert_eq!(new.bytes, b"new");
        assert_eq!(new.metadata, Metadata::own(0o644));
        assert_ne!(fs::metadata(&path).unwrap().ino(), before);
        assert_eq!(names(folder.path()), ["map"], "no draft is left");
    }

    #[test]
    fn a_new_file_is_not_made_over_anything() {
        let folder = folder(0o700);
        let at = |name: &str| folder.path().join(name);
        fs::write(at("there"), "kept").unwrap();
        symlink("nowhere", at("dangling")).unwrap();
        for name in ["there", "dangling"] {
            let output = Output::at(&at(name)).unwrap();
            assert!(!output.create(b"lost", 0o600).unwrap(), "{name}");
        }
        assert_eq!(fs::read(at("there")).unwrap(), b"kept");
        assert!(!at("nowhere").exists());
        assert!(Output::at(&at("new")).unwrap().create(b"x", 0o600).unwrap());
        assert_eq!(mode(&at("new")), 0o600);
    }

    #[test]
    fn links_pipes_and_files_of_several_names_are_refused_as_outputs() {
        let folder = folder(0o700);
        let at = |name: &str| folder.path().join(name);
        fs::write(at("target"), "kept").unwrap();
        symlink("target", at("link")).unwrap();
        fs::write(at("one"), "kept").unwrap();
        fs::hard_link(at("one"), at("two")).unwrap();
        nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        for (name, said) in [
            ("link", "symbolic link"),
            ("one", "several hard links"),
            ("pipe", "not a regular file"),
        ] {
            let output = Output::at(&at(name)).unwrap();
            assert!(why(output.put(b"lost", 0o644)).contains(said), "{name}");
        }
        assert_eq!(fs::read(at("target")).unwrap(), b"kept");
        assert_eq!(fs::read(at("two")).unwrap(), b"kept");
    }
}
