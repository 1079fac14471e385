//! The small file system for the private files, which the unit `run-pam_onelogin.mount` mounts, so that no
//! local user can fill it by filling `/run`. systemd mounts it; this tool writes no file for it.

use crate::host::programs::{SYSTEMCTL, UNIT_FOLDERS, systemd_runs, works};
use crate::ui::console::Console;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Enables the unit permanently, if `state_dir` is the folder that it mounts, and reports the result.
/// Without it logins work as before, so nothing here is an error.
///
/// The first mount hides what logins have counted in the folder before, and a login that runs at this
/// moment continues with the folder that it has open. This is accepted, because it happens once per host,
/// when the administrator asks for it.
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
    // systemd knows of a file system that is mounted already, and does not mount it a second time.
    if systemctl(&["enable", "--now", UNIT]) {
        // The root of a new tmpfs has the label of any tmpfs, which sshd may not write to.
        works("/usr/bin/systemd-tmpfiles", &["--create", TMPFILES]);
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
    let can_be_switched_on = folder == Path::new(FOLDER) && systemd_runs() && is_installed();
    advice_for(folder, can_be_switched_on, has_selinux)
}

fn advice_for(folder: &Path, can_be_switched_on: bool, has_selinux: bool) -> String {
    if can_be_switched_on {
        let label = if has_selinux {
            format!(" && systemd-tmpfiles --create {TMPFILES}")
        } else {
            String::new()
        };
        return format!("type: systemctl enable --now {UNIT}{label}");
    }
    let folder = folder.display();
    let label = if has_selinux { LABEL } else { "" };
    format!(
        "add the line below to /etc/fstab, then type: mount {folder}; the line is: \
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
            "type: systemctl enable --now run-pam_onelogin.mount"
        );
        assert_eq!(
            advice_for(folder, true, true),
            "type: systemctl enable --now run-pam_onelogin.mount && systemd-tmpfiles --create pam_onelogin.conf"
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
