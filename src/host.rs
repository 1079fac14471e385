//! What the system says: user ids, users and groups by NSS, this process, its standard
//! descriptors, its pending signals.

use crate::group::Groups;
use crate::user::{Account, LookupFailed, People, Uids};
use nix::unistd::{Gid, Group, Uid, User, getgrouplist, getresuid};
use std::ffi::CString;
use std::fs::File;
use std::io::ErrorKind;
use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsRawFd as _;

/// Users and groups as NSS knows them.
pub struct Nss;

impl People for Nss {
    fn uids(&self) -> Uids {
        uids()
    }

    fn by_name(&self, name: &str) -> Result<Option<Account>, LookupFailed> {
        // nix answers None for the error codes by which libc says "no such user".
        User::from_name(name)
            .map(|user| user.map(account))
            .or_else(missing)
    }

    fn by_uid(&self, uid: u32) -> Result<Option<Account>, LookupFailed> {
        User::from_uid(Uid::from_raw(uid))
            .map(|user| user.map(account))
            .or_else(missing)
    }

    fn groups(&self, account: &Account, wanted: &[&str]) -> Result<Groups, LookupFailed> {
        let found = |group: nix::Result<Option<Group>>| group.ok().flatten().ok_or(LookupFailed);
        let mut configured = Vec::new();
        for name in wanted {
            configured.push((found(Group::from_name(name))?, *name));
        }
        let user = User::from_name(&account.name)
            .ok()
            .flatten()
            .ok_or(LookupFailed)?;
        let name = CString::new(account.name.as_str()).map_err(|_| LookupFailed)?;
        let gids: Vec<Gid> = getgrouplist(&name, user.gid).map_err(|_| LookupFailed)?;
        let lists = |group: &Group| group.mem.contains(&account.name);
        // libc leaves out the groups of a source that it cannot ask, and says nothing.
        if configured
            .iter()
            .any(|(group, _)| lists(group) && !gids.contains(&group.gid))
        {
            return Err(LookupFailed);
        }
        let is_in = |(group, _): &&(Group, &str)| gids.contains(&group.gid);
        let configured = configured.iter().filter(is_in);
        let configured = configured.map(|(_, name)| (*name).to_owned()).collect();
        let mut names = Vec::new();
        for gid in gids {
            // A gid without a name is a sign that the group database answers in part only.
            names.push(found(Group::from_gid(gid))?.name);
        }
        Ok(Groups { configured, names })
    }
}

/// The process's user ids. If the kernel does not tell, ids that are trusted with nothing.
#[must_use]
pub fn uids() -> Uids {
    match getresuid() {
        Ok(ids) => Uids {
            real: ids.real.as_raw(),
            effective: ids.effective.as_raw(),
            saved: ids.saved.as_raw(),
        },
        Err(_) => Uids {
            real: u32::MAX,
            effective: u32::MAX - 1,
            saved: u32::MAX - 2,
        },
    }
}

/// A name for this process that no other one gets while the machine runs: pid and start time.
#[must_use]
pub fn process_identity() -> String {
    identity(std::process::id())
}

/// As [`process_identity`], for the process that started this one.
#[must_use]
pub fn parent_identity() -> String {
    identity(std::os::unix::process::parent_id())
}

/// As [`process_identity`], for the first process: another one after each start of the machine, and
/// of a container.
#[must_use]
pub fn first_identity() -> String {
    identity(1)
}

/// Whether the process that [`process_identity`] named is still there.
#[must_use]
pub fn is_running(identity_of: &str) -> bool {
    let pid = identity_of
        .split('@')
        .next()
        .and_then(|pid| pid.parse().ok());
    pid.is_some_and(|pid| identity(pid) == identity_of)
}

/// Whether there is a process with this pid.
#[must_use]
pub fn exists(pid: &str) -> bool {
    std::path::Path::new("/proc").join(pid).exists()
}

fn identity(process: u32) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The start time is the 22nd field; the second one is the name in brackets, which may hold
    // blanks and brackets.
    let began = stat
        .rsplit_once(')')
        .and_then(|(_, rest)| rest.split_ascii_whitespace().nth(19))
        .unwrap_or("?");
    format!("{process}@{began}")
}

/// Whether this process has the network namespace of PID 1; `None` when that cannot be told.
#[must_use]
pub fn has_the_hosts_network() -> Option<bool> {
    let network = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/net")).ok();
    Some(network("self")? == network("1")?)
}

/// Whether an address belongs to this host, so that whatever answers there, or does not, runs here.
/// Where that cannot be told, it does.
#[must_use]
pub fn is_of_this_host(address: IpAddr) -> bool {
    let address = address.to_canonical();
    if address.is_loopback() || address.is_unspecified() {
        return true;
    }
    // A socket can only have an address of the host, unless net.ipv4.ip_nonlocal_bind allows any. The address that the system
    // would send from does not tell: to a second address of an interface, it sends from the first one.
    let bound = UdpSocket::bind((address, 0));
    !bound.is_err_and(|error| error.kind() == ErrorKind::AddrNotAvailable)
}

/// Whether SIGINT or SIGQUIT is blocked and pending, for this thread or the process.
#[must_use]
pub fn interrupt_is_pending() -> bool {
    const INTERRUPT: u64 = (1 << (2 - 1)) | (1 << (3 - 1));
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let pending = status.lines().filter_map(|line| {
        let mask = line
            .strip_prefix("SigPnd:")
            .or_else(|| line.strip_prefix("ShdPnd:"))?;
        u64::from_str_radix(mask.trim(), 16).ok()
    });
    pending.fold(0, |all, mask| all | mask) & INTERRUPT != 0
}

/// Fills the descriptors 0 to 2 where the host has closed them, for as long as it lives: a file or
/// connection of ours must not become somebody's standard output.
pub struct StandardDescriptors {
    _placeholders: Vec<File>,
}

impl StandardDescriptors {
    /// Fills the gaps.
    #[must_use]
    pub fn fill() -> Self {
        let mut placeholders = Vec::new();
        while let Ok(file) = File::open("/dev/null") {
            if file.as_raw_fd() > 2 {
                break;
            }
            placeholders.push(file);
        }
        Self {
            _placeholders: placeholders,
        }
    }
}

fn account(user: User) -> Account {
    Account {
        name: user.name,
        uid: user.uid.as_raw(),
    }
}

/// The codes by which `getpwnam_r(3)` may say "no such user"; all others are failures.
fn missing(errno: nix::errno::Errno) -> Result<Option<Account>, LookupFailed> {
    use nix::errno::Errno::{ENOENT, ESRCH};
    match errno {
        ENOENT | ESRCH => Ok(None),
        _ => Err(LookupFailed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_account_is_found_by_name_and_by_uid() {
        let uid = uids().real;
        let account = Nss.by_uid(uid).unwrap().unwrap();
        assert_eq!(Nss.by_name(&account.name).unwrap().unwrap().uid, uid);
        assert_eq!(Nss.by_name("no-such-user-here").unwrap(), None);
        assert_eq!(Nss.by_uid(3_999_999_999).unwrap(), None);
    }

    #[test]
    fn a_group_that_does_not_exist_is_a_failure_not_a_no() {
        let root = Nss.by_uid(0).unwrap().unwrap();
        let groups = Nss.groups(&root, &["root", "nogroup"]).unwrap();
        assert!(groups.has("root") && !groups.has("nogroup"), "{groups:?}");
        assert!(groups.names.contains(&"root".to_owned()), "{groups:?}");
        assert!(Nss.groups(&root, &["root", "no-such-group"]).is_err());
    }

    #[test]
    fn a_process_has_one_identity() {
        assert_eq!(process_identity(), process_identity());
        assert_ne!(process_identity(), parent_identity());
        assert!(!process_identity().ends_with('?'));
        assert!(is_running(&process_identity()) && is_running(&parent_identity()));
        let pid = std::process::id();
        for gone in [
            format!("{pid}@1"),
            format!("{pid}"),
            "4194999@1".to_owned(),
            String::new(),
        ] {
            assert!(!is_running(&gone), "{gone}");
        }
    }

    #[test]
    fn r19_the_addresses_of_this_host_are_told_from_others() {
        for own in [
            "127.0.0.1",
            "127.3.2.1",
            "::1",
            "0.0.0.0",
            "::",
            "::ffff:127.0.0.1",
        ] {
            assert!(is_of_this_host(own.parse().unwrap()), "{own}");
        }
        // A reserved address (RFC 5737): nobody has it.
        assert!(!is_of_this_host("192.0.2.77".parse().unwrap()));
    }

    #[test]
    fn no_interrupt_is_pending_here() {
        assert!(!interrupt_is_pending());
    }
}
