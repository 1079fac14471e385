//! What the module needs from this host: the folder of its private files, the log, `SELinux`.

use crate::examine::shared_file_system::{Shared, root_of, shared_with};
use crate::examine::subject::Subject;
use crate::host::programs::output_of;
use crate::host::state_mount;
use crate::ui::finding::Finding;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::statfs::{
    CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, FsType, PROC_SUPER_MAGIC, SYSFS_MAGIC, TMPFS_MAGIC,
    statfs,
};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{AccessFlags, faccessat};
use pam_onelogin::config::file::load;
use pam_onelogin::host::uids;
use pam_onelogin::state::State;
use pam_onelogin::trust::Trusted;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

/// Looks at the system.
pub(crate) fn examine(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let loaded = load(subject.config, Trusted::of(uids())).ok();
    let folder = loaded.map(|loaded| loaded.config.state_dir);
    if let Some(folder) = &folder {
        state(subject, folder, findings);
    }
    log(findings);
    selinux(folder.as_deref(), findings);
}

fn state(subject: &Subject<'_>, folder: &Path, findings: &mut Vec<Finding>) {
    let trusted = Trusted::of(uids());
    // Opened only if it exists: opening would create it.
    let trouble = if folder.symlink_metadata().is_ok() {
        let state = State::open(folder, trusted);
        let trouble = state.trouble().map(ToString::to_string);
        let trouble = trouble.or_else(|| unwritable(folder));
        trouble.or_else(|| state.tried().trouble().map(ToString::to_string))
    } else {
        let parents = trusted.check_parents(folder);
        parents.err().map(|error| error.to_string())
    };
    let trouble = trouble.or_else(|| unwritable(first_there(folder)?));
    if let Some(trouble) = trouble.or_else(|| full(first_there(folder)?)) {
        let (what, command) = trouble.split_once("; type: ").unwrap_or((&trouble, ""));
        let advice = if command.is_empty() {
            advice_to_write(folder)
        } else {
            format!("type: sudo {}", command.replace(" && ", " && sudo "))
        };
        findings.push(
            Finding::fault("state", what)
                .in_file(folder)
                .why("a login that cannot be counted is denied: no user can log in, by any service")
                .advice(advice),
        );
        return;
    }
    if is_kernels(folder) == Some(true) {
        findings.push(
            Finding::fault("state", "state_dir is on a file system of the kernel")
                .in_file(folder)
                .why("no folder can be made there: no user can log in, by any service")
                .advice(RUN),
        );
        return;
    }
    let no_room = no_room(folder, trusted);
    let has_room = no_room.is_none();
    findings.extend(no_room);
    let is_on_disk = is_on_disk(folder) == Some(true);
    if is_on_disk {
        findings.push(
            Finding::warning("state-on-disk", "state_dir is not in memory")
                .in_file(folder)
                .why("its files outlive a restart, but their times count from the last boot")
                .advice(RUN),
        );
    }
    let shared = shared_with(folder);
    if let Some(shared) = &shared {
        let advice = match subject
            .enable_again()
            .filter(|_| state_mount::can_be_switched_on(folder))
        {
            // It copies what is in the folder; the unit alone hides it.
            Some(command) => format!("type: sudo pam-onelogin {command}"),
            None => state_mount::advice(folder, Path::new(SELINUX).exists()),
        };
        findings.push(filled_by(shared, folder, advice));
    }
    if is_on_disk || shared.is_some() || !has_room {
        return;
    }
    let what = if folder.exists() {
        "state_dir is private and can be written"
    } else {
        "state_dir does not exist yet; the first login will create it"
    };
    findings.push(Finding::good("state", what).in_file(folder));
}

/// Why this process cannot write into a folder, such as on a file system that is read-only.
fn unwritable(folder: &Path) -> Option<String> {
    let rights = AccessFlags::W_OK | AccessFlags::X_OK;
    let errno = faccessat(AT_FDCWD, folder, rights, AtFlags::AT_EACCESS).err()?;
    let folder = folder.display();
    Some(format!("{folder}: cannot be written: {}", errno.desc()))
}

/// Why no entry can be made in a folder: no inode is free. Only looked at, as the folder is not ours.
fn full(folder: &Path) -> Option<String> {
    let file_system = statvfs(folder).ok()?;
    // A file system without a fixed number of inodes reports 0 of 0.
    let is_full = file_system.files() > 0 && file_system.files_free() == 0;
    is_full.then(|| format!("{}: no inode is free", folder.display()))
}

/// The finding about a file system that has space for counts, and none for look-ups and tokens.
fn no_room(folder: &Path, trusted: Trusted) -> Option<Finding> {
    if !folder.exists() {
        return None;
    }
    let error = State::open(folder, trusted).try_to_store()?;
    Some(
        Finding::fault("state-full", format!("look-ups and tokens cannot be stored: {error}"))
            .in_file(folder)
            .why("each login asks OneLogin again, and after 20 logins of a user in an hour, the next ones are denied (reason=too-many-look-ups)")
            .advice(advice_to_write(folder)),
    )
}

/// What to type if this folder cannot be written.
fn advice_to_write(folder: &Path) -> String {
    let (there, root) = (first_there(folder).unwrap_or(folder), root_of(folder));
    let (Ok(file_system), Some(root)) = (statvfs(there), root) else {
        return format!("type: ls -ld {}", folder.display());
    };
    let (there, root) = (there.display(), root.display());
    if file_system.flags().contains(FsFlags::ST_RDONLY) {
        return format!("type: findmnt -T {there}; sudo mount -o remount,rw {root}");
    }
    let is_out_of_inodes = file_system.files() > 0 && file_system.files_available() < FEW_INODES;
    if is_out_of_inodes || file_system.blocks_available() == 0 {
        return format!(
            "to see what is used, type: df -i {there}; df -h {there}; then remove files on {root}, or make it larger"
        );
    }
    format!("root must be able to write there; type: ls -ld {there}")
}

/// The finding about a file system that other users can fill.
fn filled_by(shared: &Shared, folder: &Path, advice: String) -> Finding {
    let (who, where_to) = (shared.writers.words(), shared.path.display());
    let what = format!("{who} can write to {where_to}, on the file system of state_dir");
    Finding::warning("state-shared", what)
        .in_file(folder)
        .why(format!("{who} can fill it, and then no user can log in"))
        .advice(advice)
}

/// The folder, or the first one above it that exists.
fn first_there(folder: &Path) -> Option<&Path> {
    folder.ancestors().find(|folder| folder.exists())
}

/// Whether it is, or will be created, on a file system that is not in memory.
fn is_on_disk(folder: &Path) -> Option<bool> {
    let file_system = statfs(first_there(folder)?).ok()?;
    Some(file_system.filesystem_type() != TMPFS_MAGIC)
}

/// Whether the kernel makes the files of the file system, so that no other file can be made there.
fn is_kernels(folder: &Path) -> Option<bool> {
    let file_system = statfs(first_there(folder)?).ok()?.filesystem_type();
    Some(KERNELS.contains(&file_system))
}

fn log(findings: &mut Vec<Finding>) {
    let socket = UnixDatagram::unbound();
    findings.push(match socket.and_then(|socket| socket.connect(LOG)) {
        Ok(()) => Finding::good("log", "the local log accepts messages").in_file(LOG),
        Err(error) => Finding::warning(
            "no-log",
            format!("the local log accepts no messages: {error}"),
        )
        .in_file(LOG)
        .why("logins continue to work, but no decision is logged")
        .advice("start systemd-journald, or a syslog daemon that listens there"),
    });
}

fn selinux(folder: Option<&Path>, findings: &mut Vec<Finding>) {
    let Ok(enforces) = std::fs::read_to_string(PathBuf::from(SELINUX).join("enforce")) else {
        return;
    };
    let modules = output_of(&["/usr/sbin/semodule", "/sbin/semodule"], &["-l"]);
    findings.push(policy(&enforces, modules.as_deref()));
    let label = folder.and_then(|folder| {
        let path = folder.to_str()?;
        output_of(&["/usr/bin/stat", "/bin/stat"], &["-c", "%C", path])
    });
    if let Some((label, folder)) = label.zip(folder) {
        let what = format!("the label of state_dir is {}", label.trim());
        findings.push(Finding::note("selinux-label", what).in_file(folder));
    }
}

/// Whether our policy is loaded, according to the kernel and semodule.
fn policy(enforces: &str, modules: Option<&str>) -> Finding {
    let mode = if enforces.trim() == "1" {
        "enforcing"
    } else {
        "permissive"
    };
    let is_ours = |line: &str| line.split_whitespace().next() == Some(POLICY);
    match modules {
        None => Finding::note(
            "selinux",
            format!("SELinux is {mode}; semodule cannot be run"),
        ),
        Some(list) if list.lines().any(is_ours) => Finding::good(
            "selinux",
            format!("SELinux is {mode}, and the policy of pam_onelogin is loaded"),
        ),
        Some(_) => Finding::warning(
            "selinux-policy",
            format!("SELinux is {mode}, and the policy of pam_onelogin is not loaded"),
        )
        .why("SELinux may stop sshd from connecting to OneLogin, or from writing to state_dir")
        .advice("type: sudo semodule -X 200 -i /usr/share/selinux/packages/pam_onelogin.pp"),
    }
}

/// With fewer free inodes than this, the lack of inodes is why no entry can be made: a login makes fewer.
const FEW_INODES: u64 = 16;

/// File systems of the kernel.
const KERNELS: [FsType; 4] = [
    PROC_SUPER_MAGIC,
    SYSFS_MAGIC,
    CGROUP_SUPER_MAGIC,
    CGROUP2_SUPER_MAGIC,
];

/// A folder that is right.
const RUN: &str = "write state_dir = \"/run/pam_onelogin\"";

/// The socket of the local log.
const LOG: &str = "/dev/log";

/// Where the kernel shows the state of `SELinux`.
const SELINUX: &str = "/sys/fs/selinux";

/// The name of our policy.
const POLICY: &str = "pam_onelogin";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::examine::shared_file_system::Writers;
    use nix::mount::{MsFlags, mount};
    use nix::sched::{CloneFlags, unshare};
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt as _;
    use std::thread;

    #[test]
    fn a_folder_that_cannot_be_written_is_reported() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path();
        assert_eq!(unwritable(path), None);
        set_permissions(path, Permissions::from_mode(0o500)).unwrap();
        let why = if uids().effective == 0 {
            // Modes do not bind root; a file system that is read-only does. This thread sees it alone.
            let read_only = || {
                let none: Option<&str> = None;
                unshare(CloneFlags::CLONE_NEWNS).unwrap();
                let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
                mount(none, "/", none, private, none).unwrap();
                let tmpfs = Some("tmpfs");
                mount(tmpfs, path, tmpfs, MsFlags::MS_RDONLY, none).unwrap();
                unwritable(path)
            };
            thread::scope(|scope| scope.spawn(read_only).join().unwrap())
        } else {
            unwritable(path)
        };
        let why = why.unwrap();
        let begin = format!("{}: cannot be written: ", path.display());
        assert!(why.starts_with(&begin), "{why}");
    }

    #[test]
    fn the_finding_names_the_users_who_can_fill_the_file_system() {
        let shared = Shared {
            path: "/run/lock".into(),
            writers: Writers::Everybody,
        };
        let found = filled_by(&shared, Path::new("/run/pam_onelogin"), "do".to_owned());
        assert_eq!(
            found.what,
            "any local user can write to /run/lock, on the file system of state_dir"
        );
        let why = "any local user can fill it, and then no user can log in";
        assert_eq!(found.why.as_deref(), Some(why));
    }

    #[test]
    fn our_policy_is_looked_for_by_its_whole_name() {
        let id = |modules| policy("1\n", modules).id;
        assert_eq!(id(Some("abrt\npam_onelogin\n")), "selinux");
        assert_eq!(id(Some("pam_onelogin\t1.0\n")), "selinux");
        assert_eq!(id(Some("pam_onelogin_extra\n")), "selinux-policy");
        let unknown = policy("0", None);
        assert!(unknown.what.contains("permissive") && unknown.what.contains("cannot be run"));
    }
}
