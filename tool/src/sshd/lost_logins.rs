//! The local users who can log in by SSH now, and could not once sshd requires another first factor.

use crate::host::target_system::TargetSystem;
use crate::host::user_selection::{Local, local_people};
use crate::pam_stack::edit::Behind;
use crate::sshd::effective::Settings;
use crate::sshd::keyword::Keyword;
use pam_onelogin::text::{PROMPT_CHARS, clean};
use std::collections::BTreeMap;
use std::path::Path;

/// What follows for users, in sentences; `now` are the settings before the change.
pub(crate) fn lost_logins(machine: &TargetSystem, now: &Settings, behind: Behind) -> Vec<String> {
    let ways = now.ways_now();
    let has = |way: &[&str], method: &str| way.contains(&method);
    let is_lost = |way: &Vec<&str>| match behind {
        Behind::Key => !has(way, "publickey"),
        Behind::Password => way.as_slice() == ["publickey"],
    };
    if !ways.iter().any(is_lost) {
        return Vec::new();
    }
    let passwords = passwords(machine);
    let people = local_people(machine);
    let (mut losing, mut unread) = (Vec::new(), Vec::new());
    // The sentence about PermitRootLogin is about root.
    for user in people.iter().filter(|user| user.uid != 0) {
        let has_password = passwords.get(&user.name).copied().unwrap_or(false);
        if has_password != (behind == Behind::Key) {
            continue;
        }
        match has_key(machine, now.value(Keyword::KeysFile), user) {
            None => unread.push(clean(&user.name, PROMPT_CHARS)),
            Some(has_key) if has_key != has_password => {
                losing.push(clean(&user.name, PROMPT_CHARS));
            }
            Some(_) => {}
        }
    }
    let first = match behind {
        Behind::Key => "Users without a key in authorized_keys can no longer log in by SSH.",
        Behind::Password => "Users without a password can no longer log in by SSH.",
    };
    let mut sentences = vec![first.to_owned()];
    sentences.push(match behind {
        _ if !losing.is_empty() => format!("Local users: {}.", listed(&losing)),
        Behind::Key => "Local users with a password and no key: none.".to_owned(),
        Behind::Password => "Local users with a key and no password: none.".to_owned(),
    });
    if !unread.is_empty() {
        let names = listed(&unread);
        sentences.push(format!(
            "The keys of these users could not be read: {names}."
        ));
    }
    if let Some(others) = other_sources(machine) {
        sentences.push(format!("Users from {others} were not looked at."));
    }
    let further = [Keyword::KeysCommand, Keyword::CaKeys];
    for keyword in further.into_iter().filter(|_| behind == Behind::Key) {
        if !["", "none"].contains(&now.value(keyword)) {
            let name = keyword.name();
            sentences.push(format!(
                "Keys that sshd accepts by {name} were not looked at."
            ));
        }
    }
    vec![sentences.join(" ")]
}

/// The first names, and how many more there are.
fn listed(names: &[String]) -> String {
    let shown = names.iter().take(MOST_NAMES).cloned().collect::<Vec<_>>();
    match names.len().checked_sub(MOST_NAMES) {
        Some(more) if more > 0 => format!("{}, and {more} more", shown.join(", ")),
        _ => shown.join(", "),
    }
}

/// Whether each local user has a password that can be typed.
fn passwords(machine: &TargetSystem) -> BTreeMap<String, bool> {
    let text = machine.text_or_empty("/etc/shadow");
    let entries = text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        let hash = fields.next()?;
        Some((name, !hash.starts_with(['!', '*'])))
    });
    entries.collect()
}

/// Whether this local user has a key; `None` if that is not known. `files` is the value of `AuthorizedKeysFile`.
pub(crate) fn user_has_key(machine: &TargetSystem, files: &str, name: &str) -> Option<bool> {
    let people = local_people(machine);
    let user = people.iter().find(|user| user.name == name)?;
    has_key(machine, files, user)
}

/// Whether a file of keys of this user has a line; `None` if a file cannot be read.
fn has_key(machine: &TargetSystem, files: &str, user: &Local) -> Option<bool> {
    for pattern in files.split_ascii_whitespace() {
        let file = pattern
            .replace("%%", "\0")
            .replace("%h", &user.home)
            .replace("%u", &user.name)
            .replace("%U", &user.uid.to_string())
            .replace('\0', "%");
        let text = machine.text(Path::new(&user.home).join(file)).ok()?;
        let text = text.unwrap_or_default();
        let mut lines = text.lines().map(str::trim);
        if lines.any(|line| !line.is_empty() && !line.starts_with('#')) {
            return Some(true);
        }
    }
    Some(false)
}

/// The sources of users that nsswitch.conf names beside the files of this host.
fn other_sources(machine: &TargetSystem) -> Option<String> {
    let text = machine.text("/etc/nsswitch.conf").ok().flatten()?;
    let line = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("passwd:"))?;
    let sources = line.split_ascii_whitespace();
    let others = sources.filter(|source| {
        !LOCAL.contains(source) && source.starts_with(|c: char| c.is_ascii_alphabetic())
    });
    let others: Vec<_> = others.map(|source| clean(source, PROMPT_CHARS)).collect();
    (!others.is_empty()).then(|| others.join(", "))
}

/// The most names that are shown.
const MOST_NAMES: usize = 10;

/// The sources of users that are on this host: `compat` reads `/etc/passwd`, and systemd has users of services.
const LOCAL: [&str; 4] = ["files", "compat", "systemd", "altfiles"];

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWORD: &str =
        "passwordauthentication yes\nkbdinteractiveauthentication yes\npubkeyauthentication yes\n";
    const KEYS: &str = "authorizedkeysfile .ssh/authorized_keys /etc/keys/%u\n";

    /// A system with these users, each with the hash of a password and with keys.
    fn system(users: &[(&str, &str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, _, keys) in users {
            let folder = root.path().join(format!("home/{name}/.ssh"));
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("authorized_keys"), keys).unwrap();
        }
        let further = ["root:x:0:0::/root:/bin/sh\nd:x:33:33::/:/bin/sh\n".to_owned()];
        let lines = (1000..).zip(users);
        let lines =
            lines.map(|(id, (name, ..))| format!("{name}:x:{id}:1::/home/{name}:/bin/sh\n"));
        let passwd: String = lines.chain(further).collect();
        let lines = users
            .iter()
            .map(|(name, hash, _)| format!("{name}:{hash}:1::::::\n"));
        let shadow: String = lines.collect();
        std::fs::create_dir_all(root.path().join("etc/keys")).unwrap();
        for (name, text) in [("passwd", &passwd), ("shadow", &shadow)] {
            std::fs::write(root.path().join("etc").join(name), text).unwrap();
        }
        root
    }

    fn said(root: &tempfile::TempDir, settings: &str, behind: Behind) -> String {
        let settings = Settings::read(settings);
        lost_logins(&TargetSystem::below(root.path()), &settings, behind).concat()
    }

    #[test]
    fn users_who_lose_their_only_way_in_are_named() {
        let root = system(&[
            ("alice", "$y$1", "ssh-ed25519 A\n"),
            ("bob", "$y$1", "# none yet\n"),
            ("carol", "$y$1", ""),
            ("robot", "!", "ssh-ed25519 A\n"),
            ("gone", "!", ""),
        ]);
        std::fs::write(root.path().join("etc/keys/carol"), "ssh-ed25519 A\n").unwrap();
        let settings = format!("{PASSWORD}{KEYS}");
        let text = said(&root, &settings, Behind::Key);
        assert!(text.ends_with("by SSH. Local users: bob."), "{text}");
        let text = said(&root, &settings, Behind::Password);
        assert!(text.ends_with("by SSH. Local users: robot."), "{text}");
        std::fs::remove_file(root.path().join("home/bob/.ssh/authorized_keys")).unwrap();
        std::fs::create_dir(root.path().join("home/bob/.ssh/authorized_keys")).unwrap();
        let text = said(&root, &settings, Behind::Key);
        assert!(
            text.contains("Local users with a password and no key: none."),
            "{text}"
        );
        assert!(text.ends_with("could not be read: bob."), "{text}");
        std::fs::write(
            root.path().join("etc/nsswitch.conf"),
            "passwd: files sss [NOTFOUND=return] ldap\n",
        )
        .unwrap();
        let settings = format!("{settings}trustedusercakeys /etc/ca\n");
        let text = said(&root, &settings, Behind::Key);
        assert!(
            text.contains("Users from sss, ldap were not looked at."),
            "{text}"
        );
        assert!(
            text.contains("by TrustedUserCAKeys were not looked at."),
            "{text}"
        );
    }

    #[test]
    fn nobody_loses_a_way_in_that_sshd_does_not_offer() {
        let root = system(&[("bob", "$y$1", "")]);
        for methods in ["publickey,keyboard-interactive", "publickey"] {
            let settings = format!("{PASSWORD}{KEYS}authenticationmethods {methods}\n");
            assert_eq!(said(&root, &settings, Behind::Key), "");
        }
        let keys_alone = "passwordauthentication no\nkbdinteractiveauthentication no\npubkeyauthentication yes\n";
        assert_eq!(said(&root, keys_alone, Behind::Key), "");
        let passwords = "passwordauthentication yes\npubkeyauthentication no\n";
        assert_eq!(said(&root, passwords, Behind::Password), "");
    }

    #[test]
    fn ten_names_are_shown_at_most() {
        let names: Vec<_> = (1..=12).map(|number| format!("u{number}")).collect();
        assert!(listed(&names).ends_with("u9, u10, and 2 more"));
        assert!(listed(&names[..10]).ends_with("u9, u10"));
    }
}
