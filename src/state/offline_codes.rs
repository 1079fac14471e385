//! The files of the offline codes (rule R20), below `offline_dir`: a folder for each user, and in it a file for each code. Unlike
//! the other files they are kept when the machine starts anew.

use super::{Lock, NoContent, State, StateError};
use crate::clock::unix_now;
use crate::config::Config;
use crate::digest::name;
use crate::host::machine;
use crate::offline::{Code, CodeStore, Holder, Record};
use crate::trust::Trusted;
use once_cell::unsync::OnceCell;
use std::fs::Metadata;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::UNIX_EPOCH;

/// How many codes of a user are read at most.
pub const MOST: usize = 100;

/// The folder of the offline codes of all users.
pub struct OfflineCodes<'a> {
    path: &'a Path,
    trusted: Trusted,
    /// Opened when it is used first: most logins have no use for it.
    state: OnceCell<State>,
}

/// A file in the folder of a user.
pub struct File {
    folder: String,
    name: String,
    /// What stands in it; `None` if it is not as it was written.
    pub record: Option<Record>,
    /// Whether it is the file that was written: not a copy, not restored, and on this machine.
    pub is_original: bool,
}

impl<'a> OfflineCodes<'a> {
    /// The folder that a configuration names.
    #[must_use]
    pub fn of(config: &'a Config, trusted: Trusted) -> Self {
        Self {
            path: &config.offline_dir,
            trusted,
            state: OnceCell::new(),
        }
    }

    /// The codes of a user.
    #[must_use]
    pub fn store<'b>(&'b self, holder: Holder<'b>) -> UserCodes<'b> {
        UserCodes {
            codes: self,
            folder: folder(holder),
            holder,
        }
    }

    /// Why the folder cannot be used, if so.
    #[must_use]
    pub fn trouble(&self) -> Option<&StateError> {
        self.state().trouble()
    }

    /// As [`OfflineCodes::trouble`], where the folder was needed.
    #[must_use]
    pub fn trouble_so_far(&self) -> Option<&StateError> {
        self.state.get()?.trouble()
    }

    /// Issues a code: writes its file. When this returns, the file outlasts a crash.
    ///
    /// # Errors
    /// Why it could not be written. A file system must store when a file was created.
    pub fn issue(
        &self,
        holder: Holder<'_>,
        span: [u64; 2],
        by: &str,
        file: &str,
        code: &Code,
    ) -> io::Result<()> {
        let folder = folder(holder);
        self.state().write_new(&folder, file, |folder, file| {
            let place = place(folder, file)?;
            Ok(Record::new(holder, span, by, place, code).text())
        })
    }

    /// Waits until no other administrator changes codes, and keeps others waiting until the lock is dropped.
    ///
    /// # Errors
    /// Why the folder cannot be locked.
    pub fn lock(&self) -> io::Result<Lock> {
        self.state().lock_whole()
    }

    /// Removes all codes of a user, also those of an account of this name that is gone, and says how many.
    ///
    /// # Errors
    /// Why some may be there still.
    pub fn revoke(&self, user: &str, uid: Option<u32>) -> io::Result<usize> {
        let mut count = 0;
        if let Some(uid) = uid {
            let store = self.store(Holder { name: user, uid });
            count += store.remove_all();
            if !store.names()?.is_empty() {
                return Err(io::Error::other("some files cannot be removed"));
            }
        }
        for file in self.all()? {
            if file.record.is_some_and(|record| record.user == user) {
                let is_removed = self.state().remove_for_good(&file.folder, &file.name)?;
                count += usize::from(is_removed);
                self.state().remove_folder(&file.folder);
            }
        }
        Ok(count)
    }

    /// The files of each user.
    ///
    /// # Errors
    /// Why they cannot be listed.
    pub fn all(&self) -> io::Result<Vec<File>> {
        let mut files = Vec::new();
        for folder in self.names(".")? {
            match self.files(&folder) {
                Ok(of_folder) => files.extend(of_folder),
                // It is not a folder, so it is no user's.
                Err(error) if error.kind() == ErrorKind::NotADirectory => {}
                Err(error) => return Err(error),
            }
        }
        Ok(files)
    }

    fn files(&self, folder: &str) -> io::Result<Vec<File>> {
        let Some(opened) = self.state().listing(folder)? else {
            return Ok(Vec::new());
        };
        let of_folder = opened.folder.metadata()?;
        drop(opened);
        let names = self.names(folder)?.into_iter().take(MOST);
        Ok(names
            .filter_map(|name| self.file(folder, &of_folder, name))
            .collect())
    }

    /// `None` if it is no longer there.
    fn file(&self, folder: &str, of_folder: &Metadata, name: String) -> Option<File> {
        let path = format!("{folder}/{name}");
        let mut file = File {
            folder: folder.to_owned(),
            name,
            record: None,
            is_original: false,
        };
        let opened = match self.state().open_own(&path) {
            Ok(opened) => opened,
            Err(NoContent::Absent) => return None,
            Err(NoContent::Refused) => return Some(file),
        };
        let own = opened.metadata();
        let here = own.and_then(|own| place(of_folder, &own));
        if let (Ok(here), Ok(content)) = (here, self.state().read_own(opened)) {
            file.record = Record::parse(&content);
            let is_at = |record: &Record| record.is_at(&here);
            file.is_original = file.record.as_ref().is_some_and(is_at);
        }
        Some(file)
    }

    fn names(&self, folder: &str) -> io::Result<Vec<String>> {
        let listing = self.state().listing(folder)?;
        listing.map_or(Ok(Vec::new()), |mut listing| listing.names())
    }

    fn state(&self) -> &State {
        self.state
            .get_or_init(|| State::open(self.path, self.trusted))
    }
}

/// The codes of one user.
pub struct UserCodes<'a> {
    codes: &'a OfflineCodes<'a>,
    folder: String,
    holder: Holder<'a>,
}

impl UserCodes<'_> {
    /// The names of all files of the user.
    ///
    /// # Errors
    /// Why they cannot be listed.
    pub fn names(&self) -> io::Result<Vec<String>> {
        self.codes.names(&self.folder)
    }
}

impl CodeStore for UserCodes<'_> {
    fn usable(&self) -> Vec<(String, Record)> {
        let now = unix_now();
        let files = self.codes.files(&self.folder).unwrap_or_default();
        let originals = files.into_iter().filter(|file| file.is_original);
        let records = originals.filter_map(|file| Some((file.name, file.record?)));
        records
            .filter(|(_, record)| record.is_valid(now) && record.belongs_to(self.holder))
            .collect()
    }

    fn remove(&self, file: &str) -> io::Result<bool> {
        self.codes.state().remove_for_good(&self.folder, file)
    }

    fn remove_all(&self) -> usize {
        let names = self.names().unwrap_or_default();
        let is_gone = |name: &&String| self.remove(name).is_ok();
        let count = names.iter().filter(is_gone).count();
        self.codes.state().remove_folder(&self.folder);
        count
    }
}

/// The folder of a user: by name and uid, as an account may be removed and its uid be used again.
fn folder(holder: Holder<'_>) -> String {
    name(&[holder.name, &holder.uid.to_string()])
}

/// Names a file by what a copy does not have: the numbers and the times of creation of its folder and of itself, and the machine.
fn place(folder: &Metadata, file: &Metadata) -> io::Result<String> {
    let identity = |metadata: &Metadata| -> io::Result<String> {
        let created = metadata.created()?.duration_since(UNIX_EPOCH);
        let created = created.map_err(io::Error::other)?.as_nanos();
        Ok(format!("{}@{created}", metadata.ino()))
    };
    Ok(name(&[&machine(), &identity(folder)?, &identity(file)?]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::uids;
    use crate::offline::{BYTES, NotUsed, use_up};
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    const ALICE: Holder<'_> = Holder {
        name: "alice",
        uid: 1000,
    };

    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn path(&self) -> std::path::PathBuf {
            self.0.path().join("offline")
        }

        fn codes<T>(&self, run: impl FnOnce(&OfflineCodes<'_>) -> T) -> T {
            run(&OfflineCodes {
                path: &self.path(),
                trusted: Trusted::of(uids()),
                state: OnceCell::new(),
            })
        }

        /// The file of Alice's code of this name.
        fn file(&self, name: &str) -> std::path::PathBuf {
            self.path().join(folder(ALICE)).join(name)
        }

        fn issue(&self, number: u8) {
            let now = unix_now();
            self.issue_for([now - 10, now + 1000], number);
        }

        fn issue_for(&self, span: [u64; 2], number: u8) {
            let file = number.to_string();
            self.codes(|codes| codes.issue(ALICE, span, "root", &file, &code(number)))
                .unwrap();
        }

        fn use_up(&self, number: u8) -> Result<usize, NotUsed> {
            self.codes(|codes| use_up(&codes.store(ALICE), &code(number)).map(|used| used.left))
        }

        fn usable(&self) -> usize {
            self.codes(|codes| codes.store(ALICE).usable().len())
        }
    }

    fn code(number: u8) -> Code {
        Code::of(&[number; BYTES])
    }

    #[test]
    fn r20_each_code_works_once() {
        let place = Place::new();
        assert_eq!(place.use_up(1), Err(NotUsed::Wrong));
        place.issue(1);
        place.issue(2);
        assert_eq!(place.use_up(2), Ok(1));
        assert_eq!(place.use_up(2), Err(NotUsed::Wrong));
        assert_eq!(place.use_up(1), Ok(0));
        assert!(!place.file("1").exists());
    }

    #[test]
    fn r20_a_code_before_its_issue_or_after_its_end_does_not_count() {
        let place = Place::new();
        let now = unix_now();
        place.issue_for([now + 1000, now + 2000], 1);
        place.issue_for([now - 2000, now - 1], 2);
        assert_eq!(place.usable(), 0);
        for number in [1, 2] {
            assert_eq!(place.use_up(number), Err(NotUsed::Wrong), "{number}");
            assert!(place.file(&number.to_string()).exists());
        }
    }

    #[test]
    fn r20_a_code_of_one_user_is_none_of_another() {
        let place = Place::new();
        place.issue(1);
        for (name, uid) in [("alice", 1001), ("bob", 1000)] {
            let holder = Holder { name, uid };
            let mallory = place.path().join(folder(holder));
            fs::rename(place.path().join(folder(ALICE)), &mallory).unwrap();
            place.codes(|codes| assert!(codes.store(holder).usable().is_empty(), "{name} {uid}"));
            fs::rename(&mallory, place.path().join(folder(ALICE))).unwrap();
        }
        assert_eq!(place.usable(), 1);
    }

    #[test]
    fn r20_a_file_or_folder_that_was_restored_or_copied_does_not_count() {
        let place = Place::new();
        place.issue(1);
        place.issue(2);
        let kept = fs::read(place.file("1")).unwrap();
        assert_eq!(place.use_up(1), Ok(1));
        fs::write(place.file("1"), &kept).unwrap();
        fs::set_permissions(place.file("1"), fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(place.use_up(1), Err(NotUsed::Wrong));
        // A file that was moved away and back is the same one; a new folder is another place.
        let (folder, old) = (place.path().join(folder(ALICE)), place.path().join("old"));
        fs::rename(&folder, &old).unwrap();
        fs::create_dir(&folder).unwrap();
        fs::rename(old.join("2"), place.file("2")).unwrap();
        assert_eq!(place.use_up(2), Err(NotUsed::Wrong));
    }

    #[test]
    fn r20_of_many_that_use_one_code_at_the_same_time_one_gets_in() {
        let place = Place::new();
        for round in 0..20 {
            place.issue(round);
            let start = std::sync::Barrier::new(8);
            let winners: usize = std::thread::scope(|scope| {
                let login = || {
                    start.wait();
                    usize::from(place.use_up(round).is_ok())
                };
                let logins: Vec<_> = (0..8).map(|_| scope.spawn(login)).collect();
                logins.into_iter().map(|login| login.join().unwrap()).sum()
            });
            assert_eq!(winners, 1, "{round}");
        }
    }

    #[test]
    fn r20_what_cannot_be_removed_does_not_count() {
        let place = Place::new();
        place.issue(1);
        // A folder of this name cannot be removed as a file.
        let (file, aside) = (place.file("1"), place.file("1-aside"));
        place.codes(|codes| {
            let store = codes.store(ALICE);
            assert_eq!(store.usable().len(), 1);
            fs::rename(&file, &aside).unwrap();
            fs::create_dir(&file).unwrap();
            assert!(store.remove("1").is_err());
        });
    }

    #[test]
    fn r04_a_file_that_others_can_read_does_not_count() {
        let place = Place::new();
        place.issue(1);
        fs::set_permissions(place.file("1"), fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(place.use_up(1), Err(NotUsed::Wrong));
        place.codes(|codes| {
            let files = codes.all().unwrap();
            assert!(files.len() == 1 && files[0].record.is_none());
        });
    }

    #[test]
    fn all_codes_of_a_user_are_removed_together() {
        let place = Place::new();
        place.issue(1);
        place.issue(2);
        place.codes(|codes| assert_eq!(codes.store(ALICE).remove_all(), 2));
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
        place.codes(|codes| assert_eq!(codes.store(ALICE).remove_all(), 0));
    }

    #[test]
    fn a_file_that_exists_already_is_not_written_over() {
        let place = Place::new();
        place.issue(1);
        let now = unix_now();
        let again = place.codes(|codes| codes.issue(ALICE, [now, now + 9], "dave", "1", &code(9)));
        assert!(again.is_err());
        assert_eq!(place.usable(), 1);
    }
}
