//! The lines of sudoers by which sudo does not authenticate a user: it then skips the auth lines of its stack,
//! so this user is never asked for a second factor.

use crate::examine::sudo::rules::{Rules, apart, members, paths};
use crate::host::target_system::TargetSystem;
use crate::host::user_selection::accounts;
use crate::ui::finding::Place;
use nix::unistd::{Gid, Group, User, getgrouplist};
use std::collections::BTreeMap;
use std::ffi::CString;

/// A line by which sudo does not authenticate a user.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unasked {
    pub(crate) place: Place,
    /// As in sudoers; `ALL` for all.
    pub(crate) commands: String,
    /// The word that does it.
    pub(crate) because: &'static str,
}

/// The lines of this host's files that apply to this user. Later lines win, as in sudo. Netgroups, and the hosts
/// of a rule, are not looked up: a rule that names another host is listed, too.
pub(crate) fn unasked(machine: &TargetSystem, user: &User) -> Vec<Unasked> {
    let person = Person::of(user);
    let mut found = Vec::new();
    for path in paths(machine) {
        let mut rules = Rules::default();
        rules.file(machine, path);
        if !rules.is_endless() {
            found.extend(of_rules(&rules, &person));
        }
    }
    found
}

/// Whether sudo lets this user run every command as root without a password. `None`: a file cannot be read, or there is no
/// such user.
pub(crate) fn becomes_root(machine: &TargetSystem, name: &str) -> Option<bool> {
    let person = Person::on(machine, name)?;
    let mut is_root = false;
    for path in paths(machine) {
        let mut rules = Rules::default();
        rules.file(machine, path);
        if rules.is_in_part || rules.is_endless() {
            return None;
        }
        is_root |= is_root_without_password(&rules, &person);
    }
    Some(is_root)
}

/// A user, as sudoers can name them.
struct Person {
    name: String,
    uid: u32,
    /// Name and gid of each group.
    groups: Vec<(String, u32)>,
}

impl Person {
    fn of(user: &User) -> Self {
        let name = CString::new(user.name.as_str()).ok();
        let gids = name.and_then(|name| getgrouplist(&name, user.gid).ok());
        let named = |gid: Gid| {
            let group = Group::from_gid(gid).ok().flatten();
            (
                group.map(|group| group.name).unwrap_or_default(),
                gid.as_raw(),
            )
        };
        Self {
            name: user.name.clone(),
            uid: user.uid.as_raw(),
            groups: gids.unwrap_or_default().into_iter().map(named).collect(),
        }
    }

    /// A user of the system that is examined.
    fn on(machine: &TargetSystem, name: &str) -> Option<Self> {
        if machine.is_this() {
            return User::from_name(name).ok().flatten().as_ref().map(Self::of);
        }
        let passwd = machine.text_or_empty("/etc/passwd");
        let account = accounts(&passwd).find(|account| account.name == name)?;
        let groups = machine.text_or_empty("/etc/group");
        let groups = groups.lines().filter_map(|line| {
            let mut fields = line.trim_end().split(':');
            let (group, gid) = (fields.next()?, fields.nth(1)?);
            let mut members = fields.next()?.split(',');
            let is_member = gid == account.gid || members.any(|member| member == name);
            is_member.then_some((group.to_owned(), gid.parse().ok()?))
        });
        Some(Self {
            name: name.to_owned(),
            uid: account.uid,
            groups: groups.collect(),
        })
    }

    fn is_in(&self, group: &str) -> bool {
        let gid = group.strip_prefix('#').and_then(|gid| gid.parse().ok());
        let mut groups = self.groups.iter();
        groups.any(|(name, number)| gid.map_or_else(|| name == group, |gid: u32| gid == *number))
    }

    /// Whether a list of users includes this one: the last member that fits decides.
    fn is_among(&self, list: &str, aliases: &BTreeMap<String, String>, depth: usize) -> bool {
        let fits = |member: &str| {
            let member = member.trim_matches('"').replace('\\', "");
            if let Some(list) = aliases.get(&member).filter(|_| depth < DEEPEST) {
                return self.is_among(list, aliases, depth + 1);
            }
            match member.split_at_checked(1) {
                _ if member == ALL => true,
                Some(("%", group)) => self.is_in(group),
                Some(("#", uid)) => uid.parse() == Ok(self.uid),
                _ => member == self.name,
            }
        };
        let mut is_among = false;
        for member in apart(list, ',') {
            let bare = member.trim_start_matches(['!', ' ']);
            let is_excluded = (member.len() - bare.len()) % 2 == 1 && member.starts_with('!');
            if fits(bare.trim()) {
                is_among = !is_excluded;
            }
        }
        is_among
    }
}

/// What of these rules applies to a person.
fn of_rules(rules: &Rules, person: &Person) -> Vec<Unasked> {
    let aliases = aliases(rules);
    let is_meant = |list: &str| person.is_among(list, &aliases, 0);
    // Settings hold for all rules, wherever they stand.
    let mut setting = None;
    let mut exempt_group = None;
    for said in &rules.defaults {
        let of_users = said.scope.strip_prefix(':').is_some_and(is_meant);
        if !said.is_for_all() && !of_users {
            continue;
        }
        match (said.name.as_str(), said.is_off) {
            ("authenticate", true) => setting = Some(everything(&said.place, "!authenticate")),
            ("authenticate", false) => setting = None,
            ("exempt_group", is_off) => {
                let group = said.value.as_deref().filter(|_| !is_off);
                let group = group.filter(|group| person.is_in(group));
                exempt_group = group.map(|_| everything(&said.place, "exempt_group"));
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    for (place, hosts, command) in commands(rules, &is_meant) {
        if command.is_unasked {
            found.push(Unasked {
                place: place.clone(),
                commands: command.text,
                because: "NOPASSWD",
            });
        } else if command.text == ALL && command.is_as_anyone && hosts == ALL {
            found.clear();
        }
    }
    setting
        .into_iter()
        .chain(exempt_group)
        .chain(found)
        .collect()
}

/// Whether the last rule for every command as root asks this person for no password.
fn is_root_without_password(rules: &Rules, person: &Person) -> bool {
    let aliases = aliases(rules);
    let is_meant = |list: &str| person.is_among(list, &aliases, 0);
    let mut is_root = false;
    for (_, _, command) in commands(rules, &is_meant) {
        if command.text == ALL && command.is_as_root {
            is_root = command.is_unasked;
        }
    }
    is_root
}

/// The commands of the rules for the users that are meant, each with the place and the hosts of its rule.
fn commands<'a>(
    rules: &'a Rules,
    is_meant: &dyn Fn(&str) -> bool,
) -> Vec<(&'a Place, &'a str, Command)> {
    let mut found = Vec::new();
    for (place, rule) in &rules.others {
        let (who, rest) = members(rule);
        if ALIASES.contains(&who.as_str()) || !is_meant(&who) {
            continue;
        }
        if let Some((hosts, commands)) = rest.split_once('=') {
            let commands = Command::all(commands).into_iter();
            found.extend(commands.map(|command| (place, hosts.trim(), command)));
        }
    }
    found
}

fn everything(place: &Place, because: &'static str) -> Unasked {
    Unasked {
        place: place.clone(),
        commands: ALL.to_owned(),
        because,
    }
}

/// The lists of `User_Alias`, by name.
fn aliases(rules: &Rules) -> BTreeMap<String, String> {
    let lines = rules.others.iter();
    let lists = lines.filter_map(|(_, line)| line.strip_prefix("User_Alias"));
    let parts = lists.flat_map(|list| apart(list, ':'));
    let pairs = parts.filter_map(|part| {
        let (name, list) = part.split_once('=')?;
        Some((name.trim().to_owned(), list.trim().to_owned()))
    });
    pairs.collect()
}

/// A command of a rule, with what holds for it.
struct Command {
    text: String,
    is_unasked: bool,
    /// Whether it may be run as any user.
    is_as_anyone: bool,
    /// Whether it may be run as root: by default, or because the rule names root.
    is_as_root: bool,
}

impl Command {
    /// Those after the `=` of a rule. What stands before a command holds for the next ones, too.
    fn all(text: &str) -> Vec<Self> {
        let (mut is_unasked, mut is_as_anyone, mut is_as_root) = (false, false, true);
        let mut all = Vec::new();
        for command in apart_outside_brackets(text) {
            let mut rest = command.trim();
            loop {
                if let Some((runas, after)) =
                    rest.strip_prefix('(').and_then(|it| it.split_once(')'))
                {
                    let users = runas.split(':').next().unwrap_or_default();
                    let names = |name| users.split(',').any(|user| user.trim() == name);
                    is_as_anyone = names(ALL);
                    is_as_root = is_as_anyone || names("root") || names("#0");
                    rest = after.trim_start();
                    continue;
                }
                // A tag is in capitals, and ends in a colon.
                let Some((tag, after)) = rest.split_once(':') else {
                    break;
                };
                let tag = tag.trim_end();
                if tag.is_empty() || !tag.chars().all(|c| c.is_ascii_uppercase() || c == '_') {
                    break;
                }
                match tag {
                    "NOPASSWD" => is_unasked = true,
                    "PASSWD" => is_unasked = false,
                    _ => {}
                }
                rest = after.trim_start();
            }
            all.push(Self {
                text: rest.trim_end().to_owned(),
                is_unasked,
                is_as_anyone,
                is_as_root,
            });
        }
        all
    }
}

/// The parts between commas, but for those between brackets, which stand between users.
fn apart_outside_brackets(text: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for part in apart(text, ',') {
        match parts.last_mut() {
            Some(last) if last.matches('(').count() > last.matches(')').count() => {
                last.push(',');
                last.push_str(&part);
            }
            _ => parts.push(part),
        }
    }
    parts
}

const ALL: &str = "ALL";
const ALIASES: [&str; 5] = [
    "User_Alias",
    "Runas_Alias",
    "Host_Alias",
    "Cmnd_Alias",
    "Cmd_Alias",
];

/// Aliases of aliases are followed so far: sudo refuses an endless loop.
const DEEPEST: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn rules(text: &str) -> Rules {
        let folder =
            std::env::temp_dir().join(format!("sudoers-{:?}", std::thread::current().id()));
        std::fs::create_dir_all(folder.join("etc")).unwrap();
        std::fs::write(folder.join("etc/sudoers"), text).unwrap();
        let mut rules = Rules::default();
        rules.file(&TargetSystem::below(&folder), Path::new("/etc/sudoers"));
        std::fs::remove_dir_all(&folder).unwrap();
        rules
    }

    fn alice() -> Person {
        Person {
            name: "alice".to_owned(),
            uid: 1000,
            groups: vec![
                ("users".to_owned(), 100),
                ("domain admins".to_owned(), 7000),
            ],
        }
    }

    /// Number and commands of each line of these rules that asks alice for nothing.
    fn found(text: &str) -> Vec<(usize, String)> {
        let found = of_rules(&rules(text), &alice()).into_iter();
        found
            .map(|it| (it.place.line.unwrap(), it.commands))
            .collect()
    }

    fn all(line: usize) -> Vec<(usize, String)> {
        vec![(line, ALL.to_owned())]
    }

    #[test]
    fn a_user_is_found_by_each_name_that_sudoers_has_for_them() {
        for who in [
            "alice",
            "bob, alice",
            "ALL",
            "ALL, !bob",
            "%users",
            "%#100",
            "#1000",
            "%domain\\ admins",
            "\"%domain admins\"",
        ] {
            let rule = format!("{who} ALL=(ALL:ALL) NOPASSWD: ALL");
            assert_eq!(found(&rule), all(1), "{rule}");
        }
        for who in ["bob", "ALL, !alice", "%wheel", "#1001", "%#1000", "+net"] {
            let rule = format!("{who} ALL=(ALL:ALL) NOPASSWD: ALL");
            assert_eq!(found(&rule), [], "{rule}");
        }
        let alias = "User_Alias OPS = bob, TEAM : TEAM = carol, alice\nOPS ALL=NOPASSWD: ALL";
        assert_eq!(found(alias), all(2));
    }

    #[test]
    fn a_later_rule_for_all_commands_with_a_password_wins() {
        let without = "alice ALL=(ALL) NOPASSWD: ALL\n";
        let with = "%users ALL=(ALL:ALL) ALL\n";
        assert_eq!(found(&format!("{without}{with}")), []);
        assert_eq!(found(&format!("{with}{without}")), all(2));
        // One that does not hold for all does not.
        for narrow in [
            "alice web1=(ALL) ALL",
            "alice ALL=(bob) ALL",
            "alice ALL=(ALL) /bin/ls",
        ] {
            assert_eq!(found(&format!("{without}{narrow}")), all(1), "{narrow}");
        }
    }

    #[test]
    fn a_user_becomes_root_without_a_password_by_the_last_rule_for_all_commands() {
        let becomes_root = |text: &str| is_root_without_password(&rules(text), &alice());
        let free = "alice ALL=(ALL:ALL) NOPASSWD: ALL\n";
        for rule in [
            free,
            "alice ALL=NOPASSWD: ALL",
            "%users ALL=(root) NOPASSWD: ALL",
        ] {
            assert!(becomes_root(rule), "{rule}");
        }
        for rule in [
            "",
            "alice ALL=(ALL) ALL",
            "alice ALL=(bob) NOPASSWD: ALL",
            "alice ALL=(:users) NOPASSWD: ALL",
            "alice ALL=(ALL) NOPASSWD: /bin/ls",
            "bob ALL=(ALL) NOPASSWD: ALL",
            "Defaults:alice !authenticate",
        ] {
            assert!(!becomes_root(rule), "{rule}");
        }
        assert!(!becomes_root(&format!("{free}%users ALL=(ALL) ALL")));
    }

    #[test]
    fn a_tag_holds_for_the_commands_after_it() {
        let rule = "alice ALL=(root, bob) /bin/a, NOPASSWD:SETENV: /bin/b, /bin/c, PASSWD: /bin/d";
        let free = [(1, "/bin/b".to_owned()), (1, "/bin/c".to_owned())];
        assert_eq!(found(rule), free);
    }

    #[test]
    fn settings_that_skip_the_stack_are_found_too() {
        for setting in [
            "Defaults !authenticate",
            "Defaults:alice !authenticate",
            "Defaults:%users !authenticate",
            "Defaults exempt_group=users",
        ] {
            let rules = format!("alice ALL=(ALL) ALL\n{setting}");
            assert_eq!(found(&rules), all(2), "{setting}");
        }
        for setting in [
            "Defaults:bob !authenticate",
            "Defaults !authenticate, authenticate",
            "Defaults exempt_group=wheel",
        ] {
            assert_eq!(found(setting), [], "{setting}");
        }
    }
}
