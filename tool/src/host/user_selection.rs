//! The users of this host that the command line selects.

use crate::host::programs::run;
use crate::host::target_system::TargetSystem;
use crate::outcome::Failure;
use clap::Args;
use clap_complete::{ArgValueCandidates, CompletionCandidate};
use pam_onelogin::text::{PROMPT_CHARS, clean};
use std::collections::BTreeSet;
use std::io::{Read as _, stdin};
use std::path::{Path, PathBuf};

/// Asks NSS for all users and for groups, which the library does not list.
const GETENT: &str = "/usr/bin/getent";

/// The file with the lowest uid of a person, and the default of that uid.
const LOGIN_DEFS: &str = "/etc/login.defs";
const UID_MIN: u32 = 1000;

/// Programs that are not a login shell.
const NO_SHELLS: [&str; 5] = ["nologin", "false", "sync", "halt", "shutdown"];

/// The user who called sudo, if it was not root. A user can choose the environment, so the name is a proposal only.
pub(crate) fn sudo_caller() -> Option<String> {
    std::env::var("SUDO_USER")
        .ok()
        .filter(|name| name != "root")
}

/// The users that a shell offers for an argument: those that would be selected by default.
pub(crate) fn user_names() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let defs = std::fs::read_to_string(LOGIN_DEFS).unwrap_or_default();
        let passwd = getent(&["passwd"]).unwrap_or_default();
        let names = people(&passwd, uid_min(&defs)).into_iter();
        names.map(CompletionCandidate::new).collect()
    })
}

/// The groups that a shell offers for an argument.
fn group_names() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let groups = getent(&["group"]).unwrap_or_default();
        let names = groups.lines().filter_map(|line| line.split(':').next());
        names.map(CompletionCandidate::new).collect()
    })
}

/// Which users.
#[derive(Args, Default)]
pub(crate) struct UserSelection {
    /// Local users [default: root and every account with a login shell]
    #[arg(value_name = "USER", add = user_names())]
    users: Vec<String>,
    /// Select the members of this group; can be repeated
    #[arg(long, value_name = "NAME", add = group_names())]
    group: Vec<String>,
    /// Read user names from FILE, one per line; - is standard input
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
}

impl UserSelection {
    /// Whether the command line selects no user.
    pub(crate) fn is_default(&self) -> bool {
        self.users.is_empty() && self.group.is_empty() && self.from.is_none()
    }

    /// Their names, in order and each once.
    pub(crate) fn names(&self) -> Result<BTreeSet<String>, Failure> {
        let mut names: BTreeSet<String> = self.users.iter().cloned().collect();
        if let Some(path) = &self.from {
            names.extend(listed(&text_of(path)?));
        }
        for group in &self.group {
            names.extend(members(group)?);
        }
        if self.is_default() {
            let defs = std::fs::read_to_string(LOGIN_DEFS).unwrap_or_default();
            names = people(&getent(&["passwd"])?, uid_min(&defs));
        }
        if names.is_empty() {
            return Err(Failure::new(
                "no users selected: the list or group is empty",
            ));
        }
        Ok(names)
    }
}

fn text_of(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let result = if path == Path::new("-") {
        stdin().read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text))
    };
    let failed = |error| Failure::at(path, error);
    result.map(|_| text).map_err(failed)
}

/// The names in a list; `#` begins a comment. Windows editors write a byte order mark before the text.
fn listed(text: &str) -> Vec<String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let names = text.lines().map(|line| match line.split_once('#') {
        Some((name, _)) => name.trim(),
        None => line.trim(),
    });
    let names = names.filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

/// The members of a group: those in its list, and those whose primary group it is.
fn members(group: &str) -> Result<BTreeSet<String>, Failure> {
    Ok(members_in(
        &getent(&["group", "--", group])?,
        &getent(&["passwd"])?,
    ))
}

/// The members of a group of the system that is examined, as far as they can be found.
pub(crate) fn members_on(machine: &TargetSystem, group: &str) -> BTreeSet<String> {
    if machine.is_this() {
        return members(group).unwrap_or_default();
    }
    let text = |path: &str| machine.text_or_empty(path);
    let groups = text("/etc/group");
    let mut lines = groups.lines();
    let entry = lines.find(|line| line.split(':').next() == Some(group));
    entry.map_or_else(BTreeSet::new, |entry| {
        members_in(entry, &text("/etc/passwd"))
    })
}

fn members_in(entry: &str, passwd: &str) -> BTreeSet<String> {
    let mut fields = entry.trim_end().split(':');
    let gid = fields.nth(2).unwrap_or_default();
    let listed = fields.next().unwrap_or_default().split(',');
    let mut names: BTreeSet<String> = listed.map(str::to_owned).collect();
    for account in accounts(passwd) {
        if account.gid == gid {
            names.insert(account.name.to_owned());
        }
    }
    names.remove("");
    names
}

/// A local user.
pub(crate) struct Local {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) home: String,
}

/// Root and the people in the files of this machine.
pub(crate) fn local_people(machine: &TargetSystem) -> Vec<Local> {
    let text = |path: &str| machine.text_or_empty(path);
    let (passwd, defs) = (text("/etc/passwd"), text(LOGIN_DEFS));
    let people = people(&passwd, uid_min(&defs));
    let found = accounts(&passwd).filter(|account| people.contains(account.name));
    let local = found.map(|account| Local {
        name: account.name.to_owned(),
        uid: account.uid,
        home: account.home.to_owned(),
    });
    local.collect()
}

/// Root, and every account that is not a system account and has a login shell.
fn people(passwd: &str, uid_min: u32) -> BTreeSet<String> {
    let is_meant =
        |account: &Account| account.uid == 0 || (account.uid >= uid_min && account.has_shell());
    let people = accounts(passwd).filter(is_meant);
    people.map(|account| account.name.to_owned()).collect()
}

/// An entry of passwd.
pub(crate) struct Account<'a> {
    pub(crate) name: &'a str,
    pub(crate) uid: u32,
    pub(crate) gid: &'a str,
    home: &'a str,
    shell: &'a str,
}

impl Account<'_> {
    /// Whether the account has a login shell.
    pub(crate) fn has_shell(&self) -> bool {
        let program = self.shell.rsplit('/').next().unwrap_or_default();
        !NO_SHELLS.contains(&program)
    }
}

/// The text of passwd for one user: of NSS on this host, else of the file.
pub(crate) fn passwd_of(machine: &TargetSystem, name: &str) -> String {
    if machine.is_this() {
        return getent(&["passwd", "--", name]).unwrap_or_default();
    }
    machine.text_or_empty("/etc/passwd")
}

/// The entries of passwd.
pub(crate) fn accounts(passwd: &str) -> impl Iterator<Item = Account<'_>> {
    passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        Some(Account {
            name: fields.next()?,
            uid: fields.nth(1)?.parse().ok()?,
            gid: fields.next()?,
            home: fields.nth(1)?,
            shell: fields.next()?,
        })
    })
}

fn uid_min(login_defs: &str) -> u32 {
    let value = login_defs.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        words.next().filter(|word| *word == "UID_MIN")?;
        words.next()?.parse().ok()
    });
    value.unwrap_or(UID_MIN)
}

fn getent(words: &[&str]) -> Result<String, Failure> {
    let what = clean(&words.join(" "), PROMPT_CHARS);
    match run(&[GETENT], words) {
        Some(output) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Some(output) if output.status.code() == Some(2) => Err(Failure::new(format!(
            "this host has no such entry: getent {what}"
        ))),
        _ => Err(Failure::new(format!(
            "{GETENT} {what} failed; pass the names of the users instead"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\n\
        daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n\
        alice:x:1000:1000:Alice:/home/alice:/bin/bash\n\
        bob:x:1001:100::/home/bob:\n\
        robot:x:1002:1002::/:/bin/false\n\
        nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n\
        service:x:999:999::/:/bin/sh\n\
        broken:x\n";

    fn named(passwd: &str, uid_min: u32) -> Vec<String> {
        people(passwd, uid_min).into_iter().collect()
    }

    #[test]
    fn root_and_those_with_a_login_shell_are_meant() {
        // An empty shell is /bin/sh.
        assert_eq!(named(PASSWD, 1000), ["alice", "bob", "root"]);
        assert_eq!(named(PASSWD, 500), ["alice", "bob", "root", "service"]);
    }

    #[test]
    fn the_lowest_uid_is_that_of_login_defs() {
        assert_eq!(
            uid_min("# UID_MIN 5\nSYS_UID_MIN 100\nUID_MIN\t\t 500\n"),
            500
        );
        assert_eq!(uid_min(""), 1000);
        assert_eq!(uid_min("UID_MIN many"), 1000);
    }

    #[test]
    fn a_list_has_comments_and_blank_lines() {
        assert_eq!(
            listed("# all\n\n alice \nbob # on leave\n"),
            ["alice", "bob"]
        );
        assert_eq!(listed("\u{feff}alice\r\nbob\r\n"), ["alice", "bob"]);
    }
}
