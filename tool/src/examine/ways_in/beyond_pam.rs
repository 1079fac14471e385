//! Ways in that PAM has no part in: rules of doas and polkit, consoles that ask for nothing, and what no
//! file shows.

use crate::examine::ways_in::way::Way;
use crate::host::target_system::TargetSystem;
use crate::ui::finding::Place;
use std::path::Path;

/// Ways that files on the machine show.
pub(super) fn rules(machine: &TargetSystem, ways: &mut Vec<Way>) {
    for path in DOAS {
        lines(machine, Path::new(path), doas, ways);
    }
    for path in machine.matching(Path::new("/etc/polkit-1/rules.d/*.rules")) {
        lines(machine, &path, polkit, ways);
    }
    for path in machine.matching(Path::new("/etc/systemd/system/*getty@*.service.d/*.conf")) {
        lines(machine, &path, getty, ways);
    }
    if machine.has(DEBUG_SHELL) {
        let what = "debug-shell.service gives a root shell on a console";
        let close = "type: sudo systemctl disable --now debug-shell.service";
        let way = Way::new(what, "anyone at the console", close);
        ways.push(way.of(Some(Place::of(DEBUG_SHELL, None))));
    }
    for path in PROGRAMS.into_iter().filter(|path| machine.has(path)) {
        let what = format!("{path} gives the rights of another user, and does not use PAM");
        let close = "remove the program, or its setuid bit";
        let way = Way::new(what, "users that its own rules allow", close);
        ways.push(way.of(Some(Place::of(path, None))));
    }
}

/// Adds what each line of a file opens.
fn lines(machine: &TargetSystem, path: &Path, read: fn(&str) -> Option<Way>, ways: &mut Vec<Way>) {
    let text = machine.text_or_empty(path);
    for (index, line) in text.lines().enumerate() {
        if let Some(way) = read(line.trim()) {
            ways.push(way.of(Some(Place::of(path, Some(index + 1)))));
        }
    }
}

/// A rule of doas: `permit nopass alice as root cmd /bin/ls`.
fn doas(line: &str) -> Option<Way> {
    let line = line.split('#').next().unwrap_or_default();
    let mut words = line.split_whitespace();
    if words.next() != Some("permit") {
        return None;
    }
    let is_option = |word: &&str| ["keepenv", "nolog", "nopass", "persist"].contains(word);
    let options: Vec<_> = words.clone().take_while(is_option).collect();
    let rest: Vec<_> = words.skip_while(is_option).collect();
    // The names that "setenv { … }" keeps stand before the user.
    let end = rest.iter().position(|word| word.ends_with('}'));
    let who = match end.filter(|_| rest.first() == Some(&"setenv")) {
        Some(end) => rest.get(end + 1),
        None => rest.first(),
    };
    let who = who.copied().unwrap_or_default();
    let who = match who.strip_prefix(':') {
        Some(group) => format!("the group {group}"),
        None => who.to_owned(),
    };
    if options.contains(&"nopass") {
        Some(Way::new(
            "doas does not authenticate",
            who,
            "remove \"nopass\"",
        ))
    } else if options.contains(&"persist") {
        let what = "doas does not ask again for five minutes";
        Some(Way::new(what, who, "remove \"persist\""))
    } else {
        None
    }
}

/// A rule of polkit that answers yes.
fn polkit(line: &str) -> Option<Way> {
    let is_code = !line.starts_with("//") && line.contains("polkit.Result.YES");
    is_code.then(|| {
        Way::new(
            "a rule of polkit allows an action without authentication",
            "users that the rule selects",
            "write polkit.Result.AUTH_ADMIN in place of polkit.Result.YES, or remove the rule",
        )
    })
}

/// A console that logs a user in.
fn getty(line: &str) -> Option<Way> {
    let mut words = line
        .split([' ', '='])
        .skip_while(|word| *word != "--autologin" && *word != "-a");
    let is_start = line.starts_with("ExecStart=");
    let user = words.nth(1).filter(|_| is_start)?;
    let what = format!("a console logs in as {user} without a password");
    let close = "remove --autologin from the line";
    Some(Way::new(what, "anyone at the console", close))
}

/// Ways that each host has, and that no file shows.
pub(super) fn in_general(ways: &mut Vec<Way>) {
    let ways_of_all = GENERAL.iter();
    ways.extend(ways_of_all.map(|(what, who, close)| Way::new(*what, *who, *close)));
}

/// What, who, and how to close it.
pub(crate) const GENERAL: [(&str, &str, &str); 7] = [
    (
        "the boot loader (GRUB), rescue mode and single-user mode give a root shell",
        "anyone at the console, also at that of a hypervisor",
        "set a password in the boot loader and in the firmware; set one for root, so that rescue mode asks for it",
    ),
    (
        "another system that mounts the disk reads and changes all files",
        "administrators of the hypervisor, the storage and the backups",
        "encrypt the disk; protect their accounts with a second factor",
    ),
    (
        "agents that run as root follow their servers: configuration management, cloud, monitoring, backup",
        "anyone who controls these servers",
        "protect these servers with a second factor; remove agents that you do not need",
    ),
    (
        "sessions that are open stay open, and ssh connections can share one (ControlMaster)",
        "anyone at the terminal or the client of such a session",
        "end sessions that are not used; in sshd_config, write \"MaxSessions 1\" to stop shared connections",
    ),
    (
        "setuid programs give rights without PAM",
        "all local users",
        "to list them, type: find / -xdev -perm -4000 -type f; remove those that you do not need",
    ),
    (
        "root may become any user, and may change stacks, settings and this module",
        "root",
        "give root rights to few users; send the log to another host",
    ),
    (
        "with a container runtime or a hypervisor on this host, its users can start programs as root",
        "users in groups such as docker, lxd and libvirt",
        "remove users from these groups",
    ),
];

/// The configuration of doas: `OpenDoas`, and Alpine's folder.
const DOAS: [&str; 2] = ["/etc/doas.conf", "/etc/doas.d/doas.conf"];

/// The link that enables systemd's shell on the ninth console.
const DEBUG_SHELL: &str = "/etc/systemd/system/sysinit.target.wants/debug-shell.service";

/// Programs like sudo that do not ask PAM.
const PROGRAMS: [&str; 4] = [
    "/usr/bin/calife",
    "/usr/bin/ksu",
    "/usr/bin/op",
    "/usr/bin/super",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_of_doas_without_a_password_are_read_with_their_users() {
        for (line, found) in [
            ("permit nopass alice as root", Some("alice")),
            ("permit nopass keepenv :wheel", Some("the group wheel")),
            (
                "permit nopass setenv { PATH HOME } bob cmd /bin/ls",
                Some("bob"),
            ),
            ("permit persist :wheel # x", Some("the group wheel")),
            ("permit :wheel", None),
            ("deny nopass alice", None),
            ("# permit nopass alice", None),
        ] {
            let way = doas(line);
            assert_eq!(way.as_ref().map(|way| way.who.as_str()), found, "{line}");
        }
    }

    #[test]
    fn a_console_that_logs_in_a_user_is_found() {
        let line = "ExecStart=-/sbin/agetty --autologin alice --noclear %I $TERM";
        assert!(getty(line).unwrap().what.contains(" as alice "));
        assert!(getty("ExecStart=-/sbin/agetty -o '-p -- \\u' %I").is_none());
        assert!(getty("# --autologin alice").is_none());
    }
}
