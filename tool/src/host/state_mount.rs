//! The small file system for the private files, which the unit `run-pam_onelogin.mount` mounts, so that no
//! local user can fill it by filling `/run`. systemd mounts it; this tool writes no unit for it.

use crate::host::programs::{SYSTEMCTL, UNIT_FOLDERS, systemd_runs, works};
use crate::ui::console::Console;
use pam_onelogin::host::uids;
use pam_onelogin::state::State;
use pam_onelogin::trust::Trusted;
use rustix::fs::{Mode, OFlags, open};
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, symlink};
use std::path::Path;
use zeroize::Zeroizing;

/// Enables the unit permanently, if `state_dir` is the folder that it mounts, and reports the result.
/// Without it logins work as before, so nothing here is an error.
///
/// The mount hides the entries that logins have made in the folder before, such as used codes and counts, so they
/// are copied. A login that reads the folder before the copy is complete does not see all of them. This is
/// accepted: it takes a moment, once per host.
pub(crate) fn switch_on(console: &Console, state_dir: &Path) {
    if state_dir != Path::new(FOLDER) || is_on() {
        return;
    }
    let without = |why: &str| {
        if !is_mounted() {
            console.note(&format!(
                "{why}, so {FOLDER} has no file system of its own; for what to do, type: pam-onelogin check"
            ));
        }
    };
    if !systemd_runs() {
        without("systemd is not running on this host");
        return;
    }
    let was_enabled = systemctl(&["is-enabled", UNIT]);
    let before = Before::open();
    // systemd knows of a file system that is mounted already, and does not mount it a second time.
    if systemctl(&["enable", "--now", UNIT]) {
        // The root of a new tmpfs has the label of any tmpfs, which sshd may not write to.
        works("/usr/bin/systemd-tmpfiles", &["--create", TMPFILES]);
        if let Err(error) = before.map_or(Ok(()), |before| before.copy(Path::new(FOLDER))) {
            // The folder below has all entries.
            if !was_enabled {
                systemctl(&["disable", UNIT]);
            }
            systemctl(&["stop", UNIT]);
            console.note(&format!(
                "{UNIT} was stopped, because the entries in {FOLDER} could not be copied: {error}; \
                 for what to do, type: pam-onelogin check"
            ));
            return;
        }
        console.note(&format!(
            "{UNIT} is enabled: {FOLDER} has a small file system of its own."
        ));
        return;
    }
    if !was_enabled {
        // It would fail again at each boot.
        systemctl(&["disable", UNIT]);
        systemctl(&["reset-failed", UNIT]);
    }
    without(&format!("{UNIT} could not be enabled"));
}

/// The folder as it was before something is mounted over it.
struct Before(OwnedFd);

impl Before {
    /// Only if a login would use what is in it.
    fn open() -> Option<Self> {
        let path = Path::new(FOLDER);
        path.symlink_metadata().ok()?;
        let state = State::open(path, Trusted::of(uids()));
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = open(path, flags, Mode::empty()).ok();
        opened.filter(|_| state.trouble().is_none()).map(Self)
    }

    fn copy(&self, to: &Path) -> io::Result<()> {
        // This path leads to the open folder, not to what is mounted over it.
        let from = format!("/proc/self/fd/{}", self.0.as_raw_fd());
        let from = Path::new(&from);
        if from.metadata()?.dev() == to.metadata()?.dev() {
            // It was mounted before.
            return Ok(());
        }
        copy(from, to)
    }
}

/// Copies what is in a folder. What exists in the other folder stays as it is: a login has just written it.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    for entry in from.read_dir()? {
        let entry = entry?;
        let (old, new) = (entry.path(), to.join(entry.file_name()));
        let copied = copy_one(&old, &new);
        if let Err(error) = copied {
            // A login may remove an entry that has expired.
            if !matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::NotFound) {
                return Err(error);
            }
        }
    }
    Ok(())
}

fn copy_one(old: &Path, new: &Path) -> io::Result<()> {
    let metadata = old.symlink_metadata()?;
    let kind = metadata.file_type();
    if kind.is_symlink() {
        return symlink(old.read_link()?, new);
    }
    if kind.is_dir() {
        let made = DirBuilder::new().mode(0o700).create(new);
        return match made {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
            _ => copy(old, new),
        };
    }
    if kind.is_file() {
        let content = Zeroizing::new(std::fs::read(old)?);
        let mode = metadata.mode() & 0o600;
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(mode).open(new)?;
        return file.write_all(&content);
    }
    Ok(())
}

/// Says that [`switch_on`] would do so.
pub(crate) fn announce(console: &Console, state_dir: &Path) {
    if state_dir == Path::new(FOLDER) && systemd_runs() && !is_on() {
        console.note(&format!(
            "{UNIT} would be enabled: {FOLDER} would get a small file system of its own."
        ));
    }
}

/// What to do so that this folder has a file system of its own.
pub(crate) fn advice(folder: &Path, has_selinux: bool) -> String {
    advice_for(folder, can_be_switched_on(folder), has_selinux)
}

/// Whether [`switch_on`] would mount something over this folder.
pub(crate) fn can_be_switched_on(folder: &Path) -> bool {
    folder == Path::new(FOLDER) && systemd_runs() && is_installed()
}

fn advice_for(folder: &Path, can_be_switched_on: bool, has_selinux: bool) -> String {
    if can_be_switched_on {
        let label = if has_selinux {
            format!(" && sudo systemd-tmpfiles --create {TMPFILES}")
        } else {
            String::new()
        };
        return format!("type: sudo systemctl enable --now {UNIT}{label}");
    }
    let folder = folder.display();
    let label = if has_selinux { LABEL } else { "" };
    format!(
        "add the line below to /etc/fstab, then type: sudo mount {folder}; the line is: \
         tmpfs {folder} tmpfs {OPTIONS},X-mount.mkdir=0700{label} 0 0"
    )
}

fn is_installed() -> bool {
    let mut folders = UNIT_FOLDERS.iter();
    folders.any(|folder| Path::new(folder).join(UNIT).exists())
}

/// Whether it is mounted now and will be after a restart, by our unit or by `/etc/fstab`.
fn is_on() -> bool {
    systemd_runs() && systemctl(&["is-active", UNIT]) && systemctl(&["is-enabled", UNIT])
}

/// Whether the folder is on another file system than the one above it.
fn is_mounted() -> bool {
    let device = |path: &Path| path.symlink_metadata().ok().map(|found| found.dev());
    let folder = Path::new(FOLDER);
    let own = device(folder);
    own.is_some() && own != folder.parent().and_then(device)
}

fn systemctl(arguments: &[&str]) -> bool {
    works(SYSTEMCTL, &[&["--quiet"], arguments].concat())
}

/// What the unit mounts: `state_dir` by default.
pub(crate) const FOLDER: &str = "/run/pam_onelogin";

const UNIT: &str = "run-pam_onelogin.mount";

/// How it is mounted; the unit says why.
const OPTIONS: &str = "mode=0700,nosuid,nodev,noexec,nr_inodes=262144,size=64m";

/// The label of the folder, where nothing else gives it.
const LABEL: &str = ",rootcontext=system_u:object_r:pam_onelogin_run_t:s0";

/// What gives the folder its label in a running system, by its name in `tmpfiles.d`.
const TMPFILES: &str = "pam_onelogin.conf";

#[cfg(test)]
mod tests {
    use super::*;
    use pam_onelogin::config::parse;

    #[test]
    fn the_advice_is_the_unit_or_a_line_that_mounts_the_same() {
        let folder = Path::new(FOLDER);
        assert_eq!(
            advice_for(folder, true, false),
            "type: sudo systemctl enable --now run-pam_onelogin.mount"
        );
        assert_eq!(
            advice_for(folder, true, true),
            "type: sudo systemctl enable --now run-pam_onelogin.mount && sudo systemd-tmpfiles --create pam_onelogin.conf"
        );
        let unit = include_str!("../../../packaging/systemd/run-pam_onelogin.mount");
        assert!(unit.contains(&format!("\nOptions={OPTIONS}\n")));
        let line = format!("tmpfs /run/x tmpfs {OPTIONS},X-mount.mkdir=0700");
        let said = advice_for(Path::new("/run/x"), false, false);
        assert!(said.ends_with(&format!("{line} 0 0")), "{said}");
        let said = advice_for(Path::new("/run/x"), false, true);
        assert!(said.ends_with(&format!("{line}{LABEL} 0 0")), "{said}");
    }

    #[test]
    fn the_unit_mounts_the_folder_that_is_the_default() {
        let unit = include_str!("../../../packaging/systemd/run-pam_onelogin.mount");
        assert!(unit.contains(&format!("\nWhere={FOLDER}\n")));
        assert_eq!(UNIT, format!("{}.mount", FOLDER[1..].replace('/', "-")));
        let text = "[onelogin]\nurl = \"https://x.onelogin.com\"\nclient_id = \"a\"\nclient_secret = \"b\"\n";
        let config = parse("", text).unwrap();
        assert_eq!(config.state_dir, Path::new(FOLDER));
    }
}
