//! The ways into a host that need no second factor: what the findings show, what the configuration exempts,
//! the services that do not call the module, and what no file shows.

pub(crate) mod beyond_pam;
pub(crate) mod way;

use crate::examine::named_stack::NamedStack;
use crate::examine::root_shell::root_shell;
use crate::examine::stacks::lets_in;
use crate::examine::stacks::overwritten::overwritten;
use crate::examine::stacks::programs::{enabled_by, gives, hides_prompts, needs_no_login};
use crate::examine::subject::Subject;
use crate::examine::ways_in::way::Way;
use crate::examine::{config, dated, names, running_sshd, ssh, stacks, sudo, unread};
use crate::host::target_system::TargetSystem;
use crate::host::user_selection::members_on;
use crate::sshd::config::View;
use crate::sshd::keyword::Keyword;
use crate::ui::finding::{Finding, Place};
use pam_onelogin::config::{Config, NoFactor, UnknownUser, Whom, twin};
use std::path::Path;

/// All ways in.
pub(crate) fn ways_in(subject: &Subject<'_>) -> Vec<Way> {
    let mut findings = Vec::new();
    stacks::examine(subject, &mut findings);
    ssh::examine(subject, &mut findings);
    if subject.is_live {
        running_sshd::examine(subject, &mut findings);
    }
    sudo::examine(subject, &mut findings);
    config::examine(subject, &mut findings);
    let stacks = stacks::all(subject);
    let mut others = Vec::new();
    exemptions(subject, &mut others);
    services(subject, &stacks, &mut others);
    keys(subject, &stacks, &mut others);
    beyond_pam::rules(subject.machine, &mut others);
    // After all else has been read.
    unread::examine(subject, &mut findings);
    let found = findings.into_iter();
    let mut ways: Vec<Way> = found
        .filter_map(|finding| of_finding(subject.machine, finding))
        .collect();
    ways.append(&mut others);
    beyond_pam::in_general(&mut ways);
    if root_shell(subject, &[]).is_some() {
        ways.iter_mut().for_each(Way::close_as_root);
    }
    ways
}

/// A finding that opens a way.
fn of_finding(machine: &TargetSystem, finding: Finding) -> Option<Way> {
    let who = with_members(machine, &finding.who?);
    let close = finding.advice;
    let close = close.unwrap_or_else(|| "remove this line, if no user needs it".to_owned());
    Some(Way::new(finding.what, who, close).of(finding.place))
}

/// Names as sudoers has them, each group (`%admin`) with its members.
fn with_members(machine: &TargetSystem, who: &str) -> String {
    let names = who.split(',').map(|name| {
        let group = name
            .strip_prefix('%')
            .filter(|group| !group.starts_with([':', '#']));
        group.map_or_else(
            || name.to_owned(),
            |group| format!("{name} ({})", members(machine, &group.replace('\\', ""))),
        )
    });
    names.collect::<Vec<_>>().join(", ")
}

/// The members of a group, in words.
fn members(machine: &TargetSystem, group: &str) -> String {
    let members: Vec<String> = members_on(machine, group).into_iter().collect();
    match members.as_slice() {
        [] => "no members found".to_owned(),
        members => format!("members: {}", members.join(", ")),
    }
}

/// What the configuration exempts.
fn exemptions(subject: &Subject<'_>, ways: &mut Vec<Way>) {
    let Some(Config { users, .. }) = &subject.settings else {
        return;
    };
    let text = subject.machine.text_or_empty(subject.config);
    let at = |line: Option<usize>| Some(Place::of(subject.config, line));
    let path = subject.config.display();
    for name in &users.exempt_users {
        let key = "exempt_users";
        let way = Way::new(
            format!("the user {name} is exempt"),
            name,
            format!("remove the name from users.{key} in {path}"),
        );
        ways.push(way.of(at(names::line_of(&text, key, name))));
    }
    for name in &users.exempt_groups {
        let key = "exempt_groups";
        let way = Way::new(
            format!("the group {name} is exempt"),
            members(subject.machine, name),
            format!("remove the name from users.{key} in {path}, or users from the group"),
        );
        ways.push(way.of(at(names::line_of(&text, key, name))));
    }
    let dates = dated::dates(subject.machine, subject.config);
    let entries = users.exempt.iter();
    for entry in entries.filter(|entry| dates.apply(entry.term.until).is_ok()) {
        let who = match &entry.whom {
            Whom::User(name) => name.clone(),
            Whom::Group(name) => members(subject.machine, name),
        };
        let way = Way::new(
            format!("the {} is exempt {}", entry.whom, entry.term),
            who,
            format!("remove the entry from users.exempt in {path}"),
        );
        ways.push(way.of(at(Some(entry.line))));
    }
    let by_setting = [
        (
            users.groups.is_some(),
            "groups",
            "users outside of users.groups are exempt",
            "users in none of these groups",
            "to list them, type: sudo pam-onelogin users; then extend or remove the key",
        ),
        (
            users.unknown == UnknownUser::Exempt,
            "unknown",
            "users that OneLogin does not know are exempt",
            "local users without a user at OneLogin",
            "write unknown = \"deny\"",
        ),
        (
            users.no_factor == NoFactor::Exempt,
            "no_factor",
            "users without a factor are exempt",
            "users who have set up no factor at OneLogin",
            "write no_factor = \"deny\"",
        ),
        (
            users.no_factor == NoFactor::Enroll,
            "no_factor",
            "users without a factor set one up at the login",
            "users who have set up no factor at OneLogin, and anyone with their password or key",
            "write no_factor = \"deny\" when all users have a factor",
        ),
    ];
    for (is_set, key, what, who, close) in by_setting {
        if is_set {
            let line = config::line_of(&text, &format!("users.{key}"));
            ways.push(Way::new(what, who, close).of(at(line)));
        }
    }
}

/// Services whose logins need no second factor, because their stack does not call the module, or because
/// their program uses no auth lines.
fn services(subject: &Subject<'_>, stacks: &[NamedStack], ways: &mut Vec<Way>) {
    let asks = |name: &str| stacks.iter().any(|it| it.name == name && it.asks());
    let overwritten = overwritten(subject, &|stack| lets_in(subject, stack));
    // There is a finding about sudo -i beside sudo, and about a stack that another program has written over.
    let is_found =
        |name: &str| overwritten.iter().any(|it| it.has(name)) || twin(name).is_some_and(asks);
    let place = |stack: &NamedStack| {
        stack
            .service
            .path
            .as_ref()
            .map(|path| Place::of(path, None))
    };
    let mut others = Vec::new();
    for stack in stacks {
        let name = stack.name.as_str();
        let is_open = !stack.asks()
            && lets_in(subject, stack)
            && !is_found(name)
            && !FOR_ROOT.contains(&name);
        let (who, close) = if name.ends_with("-autologin") {
            let what = format!("{name} lets a user in without a password, if that is switched on");
            let close = "switch off the automatic login in the settings of the display manager";
            let way = Way::new(what, "the user in these settings", close);
            ways.push(way.of(place(stack)));
            continue;
        } else if needs_no_login(name) {
            let close = "restrict the users who may have jobs, in /etc/cron.allow or /etc/at.allow; for services of users, see loginctl disable-linger";
            ("users with jobs or services of their own", close.to_owned())
        } else if !is_open {
            continue;
        } else if hides_prompts(name) {
            let close =
                "the program cannot show a prompt for a code: stop it, or restrict its users";
            ("users with a password", close.to_owned())
        } else if let Some(service) = enabled_by(name) {
            let close = format!("type: sudo pam-onelogin {}", subject.enable(service));
            ("users who pass its first factor", close)
        } else {
            let close =
                format!("add pam_onelogin to /etc/pam.d/{name}: see \"STACKS\" in pam_onelogin(8)");
            ("users who pass its first factor", close)
        };
        let Some(gives) = gives(name) else {
            others.push(name);
            continue;
        };
        let what = format!("{name} needs no second factor: {gives}");
        ways.push(Way::new(what, who, close).of(place(stack)));
    }
    if !others.is_empty() {
        let what = format!(
            "other services that need no second factor: {}",
            others.join(", ")
        );
        let close = "look at what each of them gives a user; uninstall programs that you do not need, and keep the files of the others";
        let way = Way::new(what, "users who pass their first factor", close);
        ways.push(way.of(Some(Place::of("/etc/pam.d", None))));
    }
}

/// Keys that are enough for sshd: those of root, and those that a CA signs.
fn keys(subject: &Subject<'_>, stacks: &[NamedStack], ways: &mut Vec<Way>) {
    let sshd = &subject.sshd;
    if sshd.path.is_none() {
        return;
    }
    let service = sshd.service();
    let is_asked = stacks.iter().any(|it| it.name == service && it.asks());
    let global = sshd.global();
    let views = || {
        let blocks = (0..sshd.blocks.len()).map(|block| sshd.within(block));
        [sshd.global()].into_iter().chain(blocks)
    };
    let is_key_enough = |view: &View<'_>| {
        let is_enough = |list: &Vec<&str>| list.as_slice() == ["publickey"];
        let by_methods = view.methods().iter().any(is_enough);
        view.is_enabled("publickey") && (by_methods || !is_asked || !global.is_on(Keyword::UsePam))
    };
    if !views().any(|view| is_key_enough(&view)) {
        return;
    }
    let method = "to need more than the key, write \"AuthenticationMethods publickey,keyboard-interactive\" in sshd_config";
    for view in views() {
        let file = view.value(Keyword::CaKeys);
        if !file.is_empty() && file != "none" && is_key_enough(&view) {
            let what = format!("sshd accepts a certificate by the CA in {file} as a key");
            let who = "anyone who can use the private key of this CA";
            ways.push(Way::new(what, who, method).of(view.place(Keyword::CaKeys)));
        }
    }
    if views().all(|view| view.value(Keyword::RootLogin) == "no") {
        return;
    }
    for name in ROOT_KEYS {
        // In parts, as no program may say where it was built: that can be the home of root.
        let path = Path::new("/").join("root").join(name);
        let text = subject.machine.text_or_empty(&path);
        let is_key = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with('#');
        let count = text.lines().filter(is_key).count();
        if count > 0 {
            let what = format!("keys log in as root by ssh: {count}");
            let close = format!("remove the keys that no user needs; {method}");
            let way = Way::new(what, "anyone who can use one of these keys", close);
            ways.push(way.of(Some(Place::of(&path, None))));
        }
    }
}

/// Services that only root can use.
const FOR_ROOT: [&str; 2] = ["runuser", "runuser-l"];

/// Where sshd looks for the keys of root by default, below its home.
const ROOT_KEYS: [&str; 2] = [".ssh/authorized_keys", ".ssh/authorized_keys2"];
