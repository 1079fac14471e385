//! Whether another user can fill the file system of the private files, through a folder on it that other
//! users can write to. Only modes are read; no file is opened.

use nix::unistd::{Gid, Group};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// A folder that other users can write to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shared {
    pub(crate) path: PathBuf,
    pub(crate) writers: Writers,
}

/// Who can write to it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Writers {
    /// Any local user.
    Everybody,
    /// The members of this group.
    Group(u32),
}

impl Writers {
    fn of(folder: &Metadata) -> Option<Self> {
        if folder.mode() & 0o002 != 0 {
            Some(Self::Everybody)
        } else if folder.mode() & 0o020 != 0 && folder.gid() != 0 {
            Some(Self::Group(folder.gid()))
        } else {
            None
        }
    }

    /// The subject of a sentence that continues with "can".
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Everybody => "any local user".to_owned(),
            Self::Group(gid) => {
                let group = Group::from_gid(Gid::from_raw(*gid)).ok().flatten();
                let name = group.map_or_else(|| gid.to_string(), |group| group.name);
                format!("any member of the group {name}")
            }
        }
    }
}

/// A folder that other users can write to, on the file system where this folder is or will be created. A
/// folder that every user can write to is preferred.
pub(crate) fn shared_with(folder: &Path) -> Option<Shared> {
    search(&root_of(folder)?)
}

/// Where the file system is mounted on which this folder is or will be created.
pub(crate) fn root_of(folder: &Path) -> Option<PathBuf> {
    let there = folder.ancestors().find(|above| above.exists())?;
    let there = there.canonicalize().ok()?;
    let device = there.metadata().ok()?.dev();
    let is_here = |path: &Path| path.metadata().is_ok_and(|found| found.dev() == device);
    let root = there.ancestors().take_while(|path| is_here(path)).last();
    root.map(Path::to_owned)
}

/// The same search below this folder, level by level.
fn search(root: &Path) -> Option<Shared> {
    let device = root.symlink_metadata().ok()?.dev();
    let mut of_a_group = None;
    let mut level = vec![root.to_owned()];
    let mut left = MAX_FOLDERS;
    for _ in 0..=DEPTH {
        let mut below = Vec::new();
        for path in level {
            // Not through links, and not into other file systems.
            let Ok(found) = path.symlink_metadata() else {
                continue;
            };
            if !found.is_dir() || found.dev() != device {
                continue;
            }
            if left == 0 {
                return of_a_group;
            }
            left -= 1;
            match Writers::of(&found) {
                Some(writers @ Writers::Everybody) => return Some(Shared { path, writers }),
                Some(writers @ Writers::Group(_)) => {
                    of_a_group = of_a_group.or_else(|| {
                        let path = path.clone();
                        Some(Shared { path, writers })
                    });
                }
                None => {}
            }
            if lets_others_through(&found) {
                below.extend(folders(&path));
            }
        }
        below.sort();
        level = below;
    }
    of_a_group
}

/// Whether another user can reach what is below.
fn lets_others_through(folder: &Metadata) -> bool {
    let mode = folder.mode();
    mode & 0o001 != 0 || mode & 0o010 != 0 && folder.gid() != 0
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = path.read_dir().into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.map(|entry| entry.path()).collect()
}

/// How many levels below the root of the file system to search. Folders that every user can write to are near
/// it: `/run/lock`, `/tmp`, `/var/tmp`.
const DEPTH: usize = 3;

/// How many folders to look at: a disk has many, and the answer is known after few.
const MAX_FOLDERS: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{Permissions, create_dir_all, set_permissions};
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn folder(path: &Path, mode: u32) {
        create_dir_all(path).unwrap();
        set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn the_file_system_is_searched_from_its_root() {
        let place = tempfile::tempdir_in("/dev/shm").unwrap();
        for state in ["state", "state/that/is/not/there"] {
            let shared = Shared {
                path: "/dev/shm".into(),
                writers: Writers::Everybody,
            };
            assert_eq!(shared_with(&place.path().join(state)), Some(shared));
        }
    }

    #[test]
    fn a_folder_for_everybody_is_found_where_others_get_to_it() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path();
        folder(root, 0o755);
        // Behind a folder that is closed, behind a link, too deep; and a file.
        folder(&root.join("closed/open"), 0o777);
        folder(&root.join("closed"), 0o700);
        folder(&root.join("1/2/3/4"), 0o777);
        let elsewhere = tempfile::tempdir().unwrap();
        folder(elsewhere.path(), 0o777);
        symlink(elsewhere.path(), root.join("link")).unwrap();
        std::fs::write(root.join("file"), "").unwrap();
        set_permissions(root.join("file"), Permissions::from_mode(0o666)).unwrap();
        for path in ["1", "1/2", "1/2/3"] {
            folder(&root.join(path), 0o755);
        }
        assert_eq!(search(root), None);

        folder(&root.join("1/2/3"), 0o1777);
        let found = search(root).unwrap();
        assert_eq!(found.path, root.join("1/2/3"));
        assert_eq!(found.writers, Writers::Everybody);
    }

    #[test]
    fn a_folder_is_others_to_write_by_its_mode_and_group() {
        let place = tempfile::tempdir().unwrap();
        let writers = |mode| {
            folder(place.path(), mode);
            Writers::of(&place.path().metadata().unwrap())
        };
        let gid = place.path().metadata().unwrap().gid();
        let group = (gid != 0).then_some(Writers::Group(gid));
        assert_eq!(writers(0o1777), Some(Writers::Everybody));
        assert_eq!(writers(0o702), Some(Writers::Everybody));
        assert_eq!(writers(0o2775), group);
        assert_eq!(writers(0o755), None);
        assert_eq!(writers(0o700), None);
        assert_eq!(Writers::Everybody.words(), "any local user");
        let nobody = Writers::Group(4_000_000_000).words();
        assert_eq!(nobody, "any member of the group 4000000000");
    }
}
