//! The files of the system that is checked: this host, or the system below `--root`. Paths are relative to
//! that system, and so are symbolic links.

use clap::Args;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

/// Which machine.
#[derive(Args, Clone)]
pub(crate) struct TargetSystem {
    /// Check the system below DIR, such as an image
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    #[arg(skip)]
    unread: Rc<RefCell<Unread>>,
}

/// The files that exist and cannot be read, and why.
pub(crate) type Unread = BTreeMap<PathBuf, (io::ErrorKind, String)>;

impl TargetSystem {
    /// The machine below a folder.
    #[cfg(test)]
    pub(crate) fn below(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            unread: Rc::default(),
        }
    }

    /// Each file and folder that could not be read so far.
    pub(crate) fn unread(&self) -> Unread {
        self.unread.borrow().clone()
    }

    /// The one that runs the tool.
    pub(crate) fn this() -> Self {
        Self {
            root: "/".into(),
            unread: Rc::default(),
        }
    }

    /// Whether this is the machine that runs the tool: only then programs may be asked.
    pub(crate) fn is_this(&self) -> bool {
        self.root == Path::new("/")
    }

    /// The text of a file, if there is one. What is not UTF-8 in it is replaced.
    pub(crate) fn text(&self, path: impl AsRef<Path>) -> io::Result<Option<String>> {
        let text = self.read(path.as_ref());
        self.note(path.as_ref(), text)
    }

    /// As [`Self::text`], where a file that is absent or cannot be read counts as empty. What cannot be read is noted.
    pub(crate) fn text_or_empty(&self, path: impl AsRef<Path>) -> String {
        self.text(path).ok().flatten().unwrap_or_default()
    }

    fn read(&self, path: &Path) -> io::Result<Option<String>> {
        let path = self.real(path)?;
        let Some(file) = if_there(std::fs::metadata(&path))? else {
            return Ok(None);
        };
        // Reading a pipe or a device could block.
        if !file.is_file() {
            return Err(io::Error::other("is not a regular file"));
        }
        if file.len() > MAX_BYTES {
            return Err(io::Error::other("is too large"));
        }
        let bytes = std::fs::read(path)?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// The names in a folder, in order; none where there is no such folder.
    pub(crate) fn names(&self, folder: impl AsRef<Path>) -> io::Result<Vec<String>> {
        let names = self.list(folder.as_ref());
        self.note(folder.as_ref(), names)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        if let Some(entries) = if_there(std::fs::read_dir(self.real(folder)?))? {
            for entry in entries {
                // What is not UTF-8 is no name of a service or of a configuration.
                names.extend(entry?.file_name().into_string().ok());
            }
        }
        names.sort();
        Ok(names)
    }

    /// Keeps what could not be read.
    fn note<T>(&self, path: &Path, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result {
            let mut unread = self.unread.borrow_mut();
            unread.insert(path.to_owned(), (error.kind(), error.to_string()));
        }
        result
    }

    /// Keeps the name of a file that can be read, and whose content cannot be used.
    pub(crate) fn cannot_use(&self, path: &Path, why: &str) {
        let mut unread = self.unread.borrow_mut();
        unread.insert(
            path.to_owned(),
            (io::ErrorKind::InvalidData, why.to_owned()),
        );
    }

    /// The files of a pattern of a shell, in order.
    pub(crate) fn matching(&self, pattern: &Path) -> Vec<PathBuf> {
        let mut found = vec![PathBuf::from("/")];
        for part in pattern.components() {
            let Component::Normal(part) = part else {
                continue;
            };
            let wanted = part.to_str().filter(|part| part.contains(['*', '?', '[']));
            let Some(wanted) = wanted else {
                for path in &mut found {
                    path.push(part);
                }
                continue;
            };
            let folders = std::mem::take(&mut found);
            for folder in folders.iter().filter(|&folder| self.has(folder)) {
                let names = self.names(folder).unwrap_or_default();
                let is_hidden = |name: &str| name.starts_with('.') && !wanted.starts_with('.');
                let names = names.iter().filter(|name| !is_hidden(name));
                let names = names.filter(|name| fits(wanted, name));
                found.extend(names.map(|name| folder.join(name)));
            }
        }
        found.sort();
        found
    }

    /// Whether there is such a file or folder.
    pub(crate) fn has(&self, path: impl AsRef<Path>) -> bool {
        let path = path.as_ref();
        let is_there = self.real(path).and_then(|path| path.try_exists());
        self.note(path, is_there).unwrap_or(false)
    }

    /// Whether it is a folder.
    pub(crate) fn is_folder(&self, path: impl AsRef<Path>) -> bool {
        self.real(path).is_ok_and(|path| path.is_dir())
    }

    /// Where the tool finds it: below the root, each link followed below the root.
    pub(crate) fn real(&self, path: impl AsRef<Path>) -> io::Result<PathBuf> {
        if self.is_this() {
            return Ok(path.as_ref().to_owned());
        }
        let mut rest: Vec<OsString> = parts(path.as_ref());
        let mut real = self.root.clone();
        let mut depth = 0_usize;
        let mut links = 0_usize;
        while let Some(part) = rest.pop() {
            if part == ".." {
                if depth > 0 {
                    depth -= 1;
                    real.pop();
                }
                continue;
            }
            real.push(&part);
            depth += 1;
            if let Ok(target) = std::fs::read_link(&real) {
                links += 1;
                if links > MAX_LINKS {
                    return Err(io::Error::other("has too many symbolic links"));
                }
                real.pop();
                depth -= 1;
                if target.is_absolute() {
                    real.clone_from(&self.root);
                    depth = 0;
                }
                rest.extend(parts(&target));
            }
        }
        Ok(real)
    }
}

/// The parts of a path, the last one first.
fn parts(path: &Path) -> Vec<OsString> {
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    let mut parts: Vec<_> = parts.collect();
    parts.reverse();
    parts
}

/// What there is, if it is there.
fn if_there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a name fits a pattern of a shell.
fn fits(pattern: &str, name: &str) -> bool {
    let mut rest = pattern.chars();
    let mut chars = name.chars();
    match rest.next() {
        None => name.is_empty(),
        Some('*') => {
            fits(rest.as_str(), name) || chars.next().is_some() && fits(pattern, chars.as_str())
        }
        Some('?') => chars.next().is_some() && fits(rest.as_str(), chars.as_str()),
        Some('[') => match (rest.as_str().split_once(']'), chars.next()) {
            (Some((set, after)), Some(c)) => is_in(set, c) && fits(after, chars.as_str()),
            _ => false,
        },
        Some(wanted) => chars.next() == Some(wanted) && fits(rest.as_str(), chars.as_str()),
    }
}

/// Whether a character is in `a-z_`, or not in `!a-z_`.
fn is_in(set: &str, c: char) -> bool {
    let bare = set.strip_prefix(['!', '^']);
    let members: Vec<char> = bare.unwrap_or(set).chars().collect();
    let is_in = members.contains(&c)
        || members
            .windows(3)
            .any(|range| matches!(range, [from, '-', to] if (from..=to).contains(&&c)));
    is_in == bare.is_none()
}

/// The longest file that is read, in bytes.
const MAX_BYTES: u64 = 4 << 20;

/// As many links as the kernel follows.
const MAX_LINKS: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_followed_below_the_root_and_do_not_lead_out_of_it() {
        let root = tempfile::tempdir().unwrap();
        let etc = root.path().join("etc");
        std::fs::create_dir_all(etc.join("authselect")).unwrap();
        std::fs::write(etc.join("authselect/system-auth"), "auth\n").unwrap();
        symlink("/etc/authselect/system-auth", etc.join("absolute")).unwrap();
        symlink("../../../../etc/authselect/system-auth", etc.join("above")).unwrap();
        symlink("round", etc.join("round")).unwrap();
        let machine = TargetSystem::below(root.path());
        for name in ["/etc/absolute", "/etc/above", "etc/./authselect/../above"] {
            assert_eq!(
                machine.text(name).unwrap().as_deref(),
                Some("auth\n"),
                "{name}"
            );
        }
        assert!(machine.text("/etc/round").is_err());
        assert_eq!(machine.text("/etc/nothing").unwrap(), None);
        assert!(machine.text("/etc").is_err(), "a folder is no text");
        assert_eq!(machine.names("/etc/authselect").unwrap(), ["system-auth"]);
        assert!(machine.names("/nothing").unwrap().is_empty());
        assert_eq!(
            machine.matching(Path::new("/etc/a?o*")),
            [Path::new("/etc/above")]
        );
        assert_eq!(
            machine.matching(Path::new("/e*/auth[r-t]elect/[!a]*")),
            [Path::new("/etc/authselect/system-auth")]
        );
        assert!(machine.has("/etc/above") && !machine.has("/etc/passwd"));
        let unread: Vec<_> = machine.unread().into_keys().collect();
        assert_eq!(unread, [Path::new("/etc"), Path::new("/etc/round")]);
    }
}
