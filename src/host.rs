//! What the system says: user ids, users and groups by NSS, this process, its standard
//! descriptors, its pending signals.

use crate::group::Groups;
use crate::pam::sys::{GroupEntry, GroupKey, GroupReader, MAX_GROUP};
use crate::user::{Account, LookupFailed, People, Uids, no_such_group};
use nix::errno::Errno;
use nix::unistd::{Gid, Uid, User, getgrouplist, getresuid};
use std::ffi::CString;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
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
            .or_else(|errno| missing(&format!("user {name}"), errno))
    }

    fn by_uid(&self, uid: u32) -> Result<Option<Account>, LookupFailed> {
        User::from_uid(Uid::from_raw(uid))
            .map(|user| user.map(account))
            .or_else(|errno| missing(&format!("uid {uid}"), errno))
    }

    fn groups(&self, account: &Account, wanted: &[&str]) -> Result<Groups, LookupFailed> {
        let name = c_string("user", &account.name)?;
        let mut reader = GroupReader::default();
        let mut configured = Vec::new();
        for group in wanted {
            let key = c_string("group", group)?;
            let found = reader.read(GroupKey::Name(&key), &name);
            let found = found.map_err(|error| unread(&format!("group {group}"), &error))?;
            let found = found.ok_or_else(|| LookupFailed(no_such_group(group)))?;
            configured.push((found, *group));
        }
        let user = primary_group(&account.name)?;
        let gids: Vec<Gid> = getgrouplist(&name, user)
            .map_err(|errno| failed(&format!("the groups of user {}", account.name), errno))?;
        // libc leaves out the groups of a source that it cannot ask, and says nothing.
        let is_in = |group: &GroupEntry| gids.contains(&Gid::from_raw(group.gid));
        if let Some((_, group)) = configured
            .iter()
            .find(|(group, _)| group.lists && !is_in(group))
        {
            let user = &account.name;
            return Err(LookupFailed(format!(
                "group {group} lists user {user}, but is not in the user's list of groups"
            )));
        }
        let mut names = Vec::new();
        for gid in &gids {
            let found = reader.read(GroupKey::Gid(gid.as_raw()), &name);
            let found = found.map_err(|error| unread(&format!("gid {gid}"), &error))?;
            // A sign that the group database answers in part only.
            let found = found.ok_or_else(|| LookupFailed(format!("gid {gid} has no name")))?;
            names.push(found.name);
        }
        let configured = configured.iter().filter(|(group, _)| is_in(group));
        let configured = configured.map(|(_, name)| (*name).to_owned()).collect();
        Ok(Groups { configured, names })
    }

    fn lacks_group(&self, name: &str) -> bool {
        let Ok(key) = c_string("group", name) else {
            return false;
        };
        let found = GroupReader::default().read(GroupKey::Name(&key), c"");
        found.is_ok_and(|found| found.is_none())
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

/// A name for this start of the machine, the same for all processes on it.
///
/// # Errors
/// Why it cannot be read, with its path. There is no other name: a process that chose one would not see
/// what others have counted.
pub fn boot() -> Result<String, String> {
    const PATH: &str = "/proc/sys/kernel/random/boot_id";
    let id = read(PATH).map_err(|error| format!("{PATH}: {error}"))?;
    let id: String = id.chars().take_while(char::is_ascii_hexdigit).collect();
    (!id.is_empty())
        .then_some(id)
        .ok_or_else(|| format!("{PATH}: is not an id"))
}

/// The id of this installed system, from `/etc/machine-id`; empty if there is none.
#[must_use]
pub fn machine() -> String {
    let id = read("/etc/machine-id").unwrap_or_default();
    id.trim().to_owned()
}

/// Whether the process that [`process_identity`] named is gone for sure. If that is unknown, it
/// is there.
#[must_use]
pub fn is_gone(identity_of: &str) -> bool {
    let (pid, began_at) = identity_of.split_once('@').unwrap_or_default();
    if !is_number(pid) || !is_number(began_at) {
        return false;
    }
    match read(&format!("/proc/{pid}/stat")) {
        Ok(stat) => {
            let state = after_the_name(&stat).next().unwrap_or_default();
            matches!(state, "Z" | "X") || began(&stat) != began_at
        }
        Err(error) => says_gone(&error),
    }
}

/// What the kernel says of a process that is not there. Any other failure says nothing of it.
fn says_gone(error: &std::io::Error) -> bool {
    const NO_SUCH_PROCESS: Option<i32> = Some(nix::libc::ESRCH);
    error.kind() == ErrorKind::NotFound || error.raw_os_error() == NO_SUCH_PROCESS
}

/// The namespace in which process numbers of this process mean something; `None` when it cannot be
/// read.
#[must_use]
pub fn pid_namespace() -> Option<String> {
    let link = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(link.to_string_lossy().into_owned())
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// As [`process_identity`]; `None` if this process cannot be identified.
#[must_use]
pub fn sure_identity() -> Option<String> {
    let identity = process_identity();
    let (_, began_at) = identity.split_once('@')?;
    is_number(began_at).then_some(identity)
}

/// Whether there is a process with this pid.
#[must_use]
pub fn exists(pid: &str) -> bool {
    std::path::Path::new("/proc").join(pid).exists()
}

fn identity(process: u32) -> String {
    let stat = read(&format!("/proc/{process}/stat")).unwrap_or_default();
    format!("{process}@{}", began(&stat))
}

/// When a process began, by its `stat`: the 22nd field.
fn began(stat: &str) -> &str {
    after_the_name(stat).nth(19).unwrap_or("?")
}

/// The fields of a process's `stat` from the third on: the second one is the name in brackets, which
/// may hold blanks and brackets.
fn after_the_name(stat: &str) -> std::str::SplitAsciiWhitespace<'_> {
    let (_, rest) = stat.rsplit_once(')').unwrap_or_default();
    rest.split_ascii_whitespace()
}

/// A short file of the kernel, in one look.
fn read(path: &str) -> std::io::Result<String> {
    let mut buffer = [0; 4096];
    let mut file = File::open(path)?;
    let length = loop {
        match file.read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => break result?,
        }
    };
    let text = buffer.get(..length).unwrap_or_default();
    Ok(String::from_utf8_lossy(text).into_owned())
}

/// Whether this process has the network namespace of PID 1; `None` if that is unknown.
#[must_use]
pub fn has_the_hosts_network() -> Option<bool> {
    let network = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/net")).ok();
    Some(network("self")? == network("1")?)
}

/// Whether an address belongs to this host, so that whatever answers there, or does not, runs here.
/// If that is unknown, it does.
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

/// Whether this thread blocks SIGINT.
#[must_use]
pub fn interrupt_is_blocked() -> bool {
    const INTERRUPT: u64 = 1 << (2 - 1);
    signals(&["SigBlk:"]) & INTERRUPT != 0
}

/// Whether this process has a controlling terminal.
#[must_use]
pub fn has_terminal() -> bool {
    let stat = read("/proc/self/stat").unwrap_or_default();
    // The seventh field; the third one is the first behind the name.
    after_the_name(&stat)
        .nth(4)
        .is_some_and(|terminal| terminal != "0")
}

/// Whether SIGINT or SIGQUIT is blocked and pending, for this thread or the process.
#[must_use]
pub fn interrupt_is_pending() -> bool {
    const INTERRUPT: u64 = (1 << (2 - 1)) | (1 << (3 - 1));
    signals(&["SigPnd:", "ShdPnd:"]) & INTERRUPT != 0
}

/// Whether SIGTERM, SIGINT or SIGHUP is blocked and pending, for this thread or the process.
#[must_use]
pub fn termination_is_pending() -> bool {
    const TERMINATION: u64 = (1 << (15 - 1)) | (1 << (2 - 1)) | 1;
    signals(&["SigPnd:", "ShdPnd:"]) & TERMINATION != 0
}

/// The signals of this thread in sets that the kernel calls so.
fn signals(names: &[&str]) -> u64 {
    let status = read("/proc/thread-self/status").unwrap_or_default();
    let masks = status.lines().filter_map(|line| {
        let mask = names.iter().find_map(|name| line.strip_prefix(name))?;
        u64::from_str_radix(mask.trim(), 16).ok()
    });
    masks.fold(0, |all, mask| all | mask)
}

/// Fills the descriptors 0 to 2 where the host has closed them, for as long as it lives: a file or
/// connection of ours must not become the standard output of another program.
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

fn primary_group(name: &str) -> Result<Gid, LookupFailed> {
    match User::from_name(name) {
        Ok(Some(user)) => Ok(user.gid),
        Ok(None) => Err(LookupFailed(format!("there is no user {name}"))),
        Err(errno) => Err(failed(&format!("user {name}"), errno)),
    }
}

/// The codes by which `getpwnam_r(3)` may say "no such user"; all others are failures.
fn missing(what: &str, errno: Errno) -> Result<Option<Account>, LookupFailed> {
    match errno {
        Errno::ENOENT | Errno::ESRCH => Ok(None),
        _ => Err(failed(what, errno)),
    }
}

fn failed(what: &str, errno: Errno) -> LookupFailed {
    LookupFailed(format!("{what} cannot be looked up: {}", errno.desc()))
}

/// Why a group could not be read.
fn unread(what: &str, error: &std::io::Error) -> LookupFailed {
    if error.raw_os_error() == Some(nix::libc::ERANGE) {
        let mib = MAX_GROUP >> 20;
        // Some sources say so of any group that stands behind a large one.
        return LookupFailed(format!(
            "{what} cannot be looked up: the record of a group is larger than {mib} MiB"
        ));
    }
    LookupFailed(format!("{what} cannot be looked up: {error}"))
}

/// A name for libc.
fn c_string(what: &str, name: &str) -> Result<CString, LookupFailed> {
    CString::new(name)
        .map_err(|_| LookupFailed(format!("the name of a {what} contains a NUL byte")))
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
        // What could not be looked up is named, also a name with a space.
        for absent in ["no-such-group", "Domain Admins"] {
            let LookupFailed(why) = Nss.groups(&root, &["root", absent]).unwrap_err();
            assert_eq!(why, format!("there is no group {absent}"));
        }
    }

    #[test]
    fn a_process_has_one_identity() {
        assert_eq!(process_identity(), process_identity());
        assert_ne!(process_identity(), parent_identity());
        assert!(!process_identity().ends_with('?'));
        assert!(!is_gone(&process_identity()) && !is_gone(&parent_identity()));
        let pid = std::process::id();
        for gone in [format!("{pid}@1"), "4194999@1".to_owned()] {
            assert!(is_gone(&gone), "{gone}");
        }
        // What this module cannot have written is never taken as gone.
        for odd in ["", "x", "@1", "1/../self@1", "4194999", "4194999@?"] {
            assert!(!is_gone(odd), "{odd}");
        }
    }

    #[test]
    fn r14_a_process_that_cannot_be_looked_at_is_not_gone() {
        let says = |errno: Errno| says_gone(&errno.into());
        assert!(says(Errno::ENOENT) && says(Errno::ESRCH));
        for errno in [Errno::EMFILE, Errno::ENFILE, Errno::EACCES, Errno::EIO] {
            assert!(!says(errno), "{errno}");
        }
    }

    #[test]
    fn r14_a_process_that_has_ended_is_gone_although_nobody_has_waited_for_it() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let name = identity(child.id());
        // Its state tells, not its absence.
        while !is_gone(&name) {
            std::thread::yield_now();
        }
        assert!(exists(&child.id().to_string()));
        child.wait().unwrap();
        assert!(is_gone(&name));
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
        // A reserved address (RFC 5737) that no host has.
        assert!(!is_of_this_host("192.0.2.77".parse().unwrap()));
    }

    #[test]
    fn no_interrupt_is_pending_here() {
        assert!(!interrupt_is_pending());
    }
}
