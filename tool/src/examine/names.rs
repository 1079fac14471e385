//! The users and groups that the configuration names: whether this host has them.

use crate::examine::subject::Subject;
use crate::pam_stack::spelling::nearest;
use crate::ui::finding::Finding;
use nix::unistd::{Group, User};
use pam_onelogin::config::Whom;
use pam_onelogin::group::PatternList;
use std::collections::BTreeSet;
use std::path::Path;

/// Looks up each name, if the system that is examined is this host.
pub(super) fn examine(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let (Some(config), true) = (&subject.settings, subject.machine.is_this()) else {
        return;
    };
    let text = subject.machine.text(subject.config).ok().flatten();
    let file = File {
        path: subject.config,
        text: &text.unwrap_or_default(),
        groups: &subject.machine.text_or_empty("/etc/group"),
    };
    let users = &config.users;
    let lists = users.groups.iter().flatten();
    let required: BTreeSet<&str> = lists.flat_map(PatternList::literals).collect();
    for name in required {
        file.group("groups", name, file.line("groups", name), findings);
    }
    for name in &users.exempt_groups {
        let key = "exempt_groups";
        file.group(key, name, file.line(key, name), findings);
    }
    for name in &users.exempt_users {
        let key = "exempt_users";
        file.user(key, name, file.line(key, name), findings);
    }
    for entry in &users.exempt {
        let (key, line) = ("exempt", Some(entry.line));
        match &entry.whom {
            Whom::User(name) => file.user(key, name, line, findings),
            Whom::Group(name) => file.group(key, name, line, findings),
        }
    }
}

/// The configuration.
struct File<'a> {
    path: &'a Path,
    text: &'a str,
    /// The content of `/etc/group`: a directory may have too many groups to list.
    groups: &'a str,
}

impl File<'_> {
    /// A group that does not exist may have been deleted, so the module denies the login.
    fn group(&self, key: &str, name: &str, line: Option<usize>, findings: &mut Vec<Finding>) {
        let (id, what) = match Group::from_name(name) {
            Ok(Some(_)) => return,
            Ok(None) => (
                "group-missing",
                format!("users.{key} names the group {name}, which does not exist on this host"),
            ),
            Err(errno) => (
                "group-lookup",
                format!(
                    "the group {name} in users.{key} could not be looked up: {}",
                    errno.desc()
                ),
            ),
        };
        let advice = if id == "group-missing" {
            let path = self.path.display();
            let near = nearest(name, names_in(self.groups));
            let meant = near.map_or(String::new(), |near| format!("did you mean \"{near}\"? "));
            format!(
                "{meant}correct or remove the name in {path}; or type: sudo groupadd -- {}",
                quoted(name)
            )
        } else {
            format!("find out why this fails: getent group -- {}", quoted(name))
        };
        findings.push(
            self.at(Finding::fault(id, what), line)
                .why("every login that needs a second factor is denied (reason=group-lookup)")
                .advice(advice),
        );
    }

    fn user(&self, key: &str, name: &str, line: Option<usize>, findings: &mut Vec<Finding>) {
        // Where a source of users is down, this cannot be known.
        if User::from_name(name).is_ok_and(|user| user.is_none()) {
            let what =
                format!("users.{key} names the user {name}, who does not exist on this host");
            let path = self.path.display();
            findings.push(
                self.at(Finding::warning("user-missing", what), line)
                    .why("the user who was to be exempt may be denied")
                    .advice(format!("correct or remove the name in {path}")),
            );
        }
    }

    fn line(&self, key: &str, name: &str) -> Option<usize> {
        line_of(self.text, key, name)
    }

    fn at(&self, finding: Finding, line: Option<usize>) -> Finding {
        match line {
            Some(line) => finding.at(self.path, line),
            None => finding.in_file(self.path),
        }
    }
}

/// The line, from 1, that has a name in the value of a key of `[users]`; else that of the key.
pub(super) fn line_of(text: &str, key: &str, name: &str) -> Option<usize> {
    let begins = |line: &str| {
        let line = line.trim_start();
        let line = line.strip_prefix("users.").unwrap_or(line);
        let rest = line.strip_prefix(key);
        rest.is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    let first = text.lines().position(begins)?;
    let mut lines = text.lines().enumerate().skip(first);
    let found = lines.find(|(_, line)| line.contains(name));
    Some(found.map_or(first, |(index, _)| index) + 1)
}

/// The names of the groups in a file like `/etc/group`.
fn names_in(groups: &str) -> impl Iterator<Item = &str> {
    let lines = groups.lines();
    lines.filter_map(|line| line.split(':').next())
}

/// A name as a shell reads it.
fn quoted(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-@".contains(c);
    if name.chars().all(is_plain) {
        name.to_owned()
    } else {
        format!("'{}'", name.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_group_gets_the_name_of_a_group_that_it_is_like() {
        let file = |groups| File {
            path: Path::new("/etc/pam_onelogin/config.toml"),
            text: "",
            groups,
        };
        for (groups, begin) in [
            (
                "root:x:0:\nbreak-the-glass:x:5:\n",
                "did you mean \"break-the-glass\"? correct ",
            ),
            ("root:x:0:\nbreak:x:5:\n", "correct or remove"),
            ("", "correct or remove"),
        ] {
            let mut findings = Vec::new();
            file(groups).group("exempt_groups", "break-the-glas", None, &mut findings);
            let advice = findings[0].advice.as_deref().unwrap();
            assert!(advice.starts_with(begin), "{advice}");
            assert!(
                advice.ends_with("; or type: sudo groupadd -- break-the-glas"),
                "{advice}"
            );
        }
    }

    #[test]
    fn the_line_of_a_name_is_found_in_a_list_of_several_lines() {
        let text = "[users]\n# ops\nexempt_groups = [\n  \"ops\",\n  \"robots\",\n]\ngroups = [\"*,!ops\"]\n";
        assert_eq!(line_of(text, "exempt_groups", "ops"), Some(4));
        assert_eq!(line_of(text, "exempt_groups", "robots"), Some(5));
        assert_eq!(line_of(text, "groups", "ops"), Some(7));
        assert_eq!(
            line_of("users.exempt_users=['bob']\n", "exempt_users", "bob"),
            Some(1)
        );
        assert_eq!(
            line_of(
                "users = { exempt_users = [\"bob\"] }\n",
                "exempt_users",
                "bob"
            ),
            None
        );
    }

    #[test]
    fn a_name_with_a_space_is_quoted_for_the_shell() {
        assert_eq!(quoted("ops"), "ops");
        assert_eq!(quoted("Domain Admins"), "'Domain Admins'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
    }
}
