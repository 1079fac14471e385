//! What sshd is set to, in its own words (`sshd -T`).

use crate::host::programs::run;
use crate::host::target_system::TargetSystem;
use crate::outcome::Failure;
use crate::pam_stack::edit::Behind;
use crate::sshd::config::{ForSome, Said, Sshd};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// The settings, by their names in lower case.
pub(crate) struct Settings(BTreeMap<String, String>);

impl Settings {
    /// Those of this file or of sshd's own, for a login of this user.
    pub(crate) fn of(file: Option<&Path>, user: &str) -> Result<Self, Failure> {
        let whom = format!("user={user},host=localhost,addr=127.0.0.1,laddr=127.0.0.1,lport=22");
        let file = file.map(Path::to_string_lossy);
        let mut arguments = vec!["-T", "-C", &whom];
        arguments.extend(file.iter().flat_map(|file| ["-f", file]));
        let output = run(&[SSHD], &arguments)
            .ok_or_else(|| Failure::new(format!("{SSHD} is not there, or does not start")))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let mut sentences = vec![format!("{SSHD} -T does not accept its configuration:")];
            sentences.extend(said.lines().map(pam_onelogin::text::printable));
            if said.contains(RUN) {
                sentences.push(format!(
                    "it makes that when it starts; type: mkdir -m 755 {RUN}"
                ));
            }
            return Err(Failure(sentences));
        }
        Ok(Self::read(&String::from_utf8_lossy(&output.stdout)))
    }

    /// Whether passwords are taken, and only without prompts.
    pub(crate) fn hides_prompts(&self) -> bool {
        self.is("usepam", "yes")
            && self.is("passwordauthentication", "yes")
            && !self.is("kbdinteractiveauthentication", "yes")
    }

    /// Why this user does not get in behind OneLogin, whatever OneLogin says.
    pub(crate) fn keeps_out(&self, user: &str) -> Option<String> {
        let permit = self.value("permitrootlogin");
        (user == "root" && permit != "yes").then(|| {
            format!(
                "PermitRootLogin {permit}: behind a key and OneLogin, root does not get in by ssh; \
                 name another user, or have it \"PermitRootLogin yes\""
            )
        })
    }

    /// Where sshd listens, as seen from this host.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        let mut address: SocketAddr = self.value("listenaddress").parse().ok()?;
        if address.ip().is_unspecified() {
            address.set_ip(match address.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        Some(address)
    }

    fn read(text: &str) -> Self {
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        let pairs = lines.map(|(key, value)| (key.to_ascii_lowercase(), value.trim().to_owned()));
        Self(pairs.collect())
    }

    /// One of them; empty where it has none.
    pub(crate) fn value(&self, key: &str) -> &str {
        self.0.get(key).map_or("", String::as_str)
    }

    fn is(&self, key: &str, value: &str) -> bool {
        self.value(key) == value
    }

    /// The ways in, each a list of methods that are all needed.
    pub(crate) fn ways(&self) -> Vec<Vec<&str>> {
        let all = self.0.get("authenticationmethods");
        ways(all.map_or("any", String::as_str))
    }

    /// The setting of methods that a stack behind this needs and has not. One that does is left
    /// alone: it may ask for more.
    pub(crate) fn lacking_methods(&self, behind: Behind) -> Option<&'static str> {
        let (line, fits) = methods(behind);
        (!self.ways().iter().all(|way| fits(way))).then_some(line)
    }

    /// What proves the user before the stack is asked, where the settings leave no doubt.
    pub(crate) fn behind(&self) -> Option<Behind> {
        let ways = self.ways();
        let asks_pam = |way: &Vec<&str>| way.contains(&KEYBOARD);
        if !ways.iter().all(asks_pam) {
            None
        } else if ways.iter().all(|way| is_behind_key(way)) {
            Some(Behind::Key)
        } else if ways.iter().all(|way| way.as_slice() == [KEYBOARD]) {
            Some(Behind::Password)
        } else {
            None
        }
    }

    /// What is wrong for a stack that asks OneLogin behind this, with the line that is needed.
    pub(crate) fn objections(&self, behind: Behind) -> Vec<String> {
        let mut found = Vec::new();
        let mut need =
            |line: &str, why: &str| found.push(format!("sshd_config needs \"{line}\": {why}"));
        if !self.is("usepam", "yes") {
            need("UsePAM yes", "without it no stack is asked");
        }
        if !self.is("kbdinteractiveauthentication", "yes")
            && !self.is("challengeresponseauthentication", "yes")
        {
            need(
                "KbdInteractiveAuthentication yes",
                "without it sshd cannot show a prompt, and nobody gets in",
            );
        }
        if !self.is("passwordauthentication", "no") {
            need(
                "PasswordAuthentication no",
                "it cannot show the prompt for a code, and the login fails",
            );
        }
        let ways = self.ways();
        let (line, fits) = methods(behind);
        for way in ways.iter().filter(|way| !fits(way)) {
            let why = if way.contains(&KEYBOARD) {
                "without a key before it, the stack lets nobody in".to_owned()
            } else {
                format!("\"{}\" lets in without asking OneLogin", way.join(","))
            };
            need(line, &why);
        }
        found
    }
}

/// Who would lose their login by a `Match` block, for some users, groups, addresses and the like:
/// `sshd -T` answers for one of them only.
pub(crate) fn objections_for_some(behind: Behind) -> Vec<String> {
    let sshd = Sshd::read(&TargetSystem::this());
    let blocks = sshd.for_some();
    blocks.flat_map(|some| lose_login(&some, behind)).collect()
}

/// As [`objections_for_some`], where the stack of each service is to ask: who then gets in by a password
/// without prompts alone.
pub(crate) fn hidden_from_some() -> Vec<String> {
    let sshd = Sshd::read(&TargetSystem::this());
    let blocks = sshd.for_some();
    let hidden = blocks.filter_map(|some| {
        let said = some.password.filter(Said::is_on)?;
        (!some.shows_prompts).then(|| sentence(&some, "PasswordAuthentication", said, NO_PROMPT))
    });
    hidden.collect()
}

/// What of this block would keep out those whom it means, once the settings for all are those that
/// are needed.
fn lose_login(some: &ForSome<'_>, behind: Behind) -> Vec<String> {
    const METHODS: &str = "AuthenticationMethods";
    let (line, _) = methods(behind);
    let needed = line.strip_prefix(METHODS).unwrap_or_default().trim();
    let ways = ways(some.methods.map_or(needed, |said| said.value));
    let need = |method: &str| ways.iter().all(|way| way.contains(&method));
    let mut found = Vec::new();
    if let Some(said) = some.methods {
        let is_hidden = ways.iter().all(|way| way.contains(&"password"));
        if behind == Behind::Key && ways.iter().any(|way| is_open(way)) {
            let why = "without a key before it, the stack lets nobody in";
            found.push(sentence(some, METHODS, said, why));
        } else if is_hidden {
            found.push(sentence(some, METHODS, said, NO_PROMPT));
        }
    } else if behind == Behind::Key && some.without_key {
        for (keyword, said) in [
            ("PasswordAuthentication", some.password),
            ("KbdInteractiveAuthentication", some.keyboard),
        ] {
            if let Some(said) = said.filter(Said::is_on) {
                let why = "behind a key no password alone lets in: who has no key loses the login";
                found.push(sentence(some, keyword, said, why));
            }
        }
    }
    for (keyword, said, method) in [
        ("PubkeyAuthentication", some.pubkey, "publickey"),
        ("KbdInteractiveAuthentication", some.keyboard, KEYBOARD),
    ] {
        if let Some(said) = said.filter(|said| !said.is_on() && need(method)) {
            let why = format!("{method} is needed, and nobody gets in there without it");
            found.push(sentence(some, keyword, said, &why));
        }
    }
    found
}

/// Where a block says what, and what follows from it.
fn sentence(some: &ForSome<'_>, keyword: &str, said: Said<'_>, why: &str) -> String {
    pam_onelogin::text::printable(&format!(
        "{}: \"Match {}\" has \"{keyword} {}\": {why}",
        said.place.text(),
        some.condition,
        said.value
    ))
}

/// The ways that `AuthenticationMethods` names.
fn ways(text: &str) -> Vec<Vec<&str>> {
    // A device may be named behind a colon.
    let method = |word| str::split(word, ':').next().unwrap_or_default();
    let ways = text.split_ascii_whitespace();
    ways.map(|way| way.split(',').map(method).collect())
        .collect()
}

/// The setting for a stack behind this, and whether a way does as well.
fn methods(behind: Behind) -> (&'static str, fn(&[&str]) -> bool) {
    match behind {
        Behind::Key => (KEY, is_behind_key),
        Behind::Password => (PASSWORD, |way| way.contains(&KEYBOARD)),
    }
}

/// Whether a stack is asked before a key.
fn is_open(way: &[&str]) -> bool {
    let asks_pam = |method: &&str| [KEYBOARD, "password", "any"].contains(method);
    let first = way
        .iter()
        .find(|method| **method == "publickey" || asks_pam(method));
    first.is_some_and(asks_pam)
}

fn is_behind_key(way: &[&str]) -> bool {
    let place = |method| way.iter().position(|found| *found == method);
    match (place("publickey"), place(KEYBOARD)) {
        (Some(key), Some(keyboard)) => key < keyboard,
        _ => false,
    }
}

pub(crate) const SSHD: &str = "/usr/sbin/sshd";
/// Where Debian's and Ubuntu's does not start without.
const RUN: &str = "/run/sshd";
const NO_PROMPT: &str = "that method cannot show the prompt for a code, and the login fails";
const KEYBOARD: &str = "keyboard-interactive";
pub(crate) const KEY: &str = "AuthenticationMethods publickey,keyboard-interactive";
pub(crate) const PASSWORD: &str = "AuthenticationMethods keyboard-interactive";

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(methods: &str, further: &str) -> Settings {
        Settings::read(&format!(
            "usepam yes\nkbdinteractiveauthentication yes\npasswordauthentication no\n\
             authenticationmethods {methods}\n{further}"
        ))
    }

    #[test]
    fn what_the_stack_is_behind_is_read_where_it_is_plain() {
        for (methods, behind) in [
            ("publickey,keyboard-interactive", Some(Behind::Key)),
            ("publickey,keyboard-interactive:pam", Some(Behind::Key)),
            ("keyboard-interactive", Some(Behind::Password)),
            ("any", None),
            ("publickey", None),
            ("publickey keyboard-interactive", None),
            ("keyboard-interactive,publickey", None),
            ("publickey,keyboard-interactive keyboard-interactive", None),
        ] {
            assert_eq!(settings(methods, "").behind(), behind, "{methods}");
        }
    }

    #[test]
    fn root_is_told_that_ssh_will_not_let_root_in() {
        for (permit, user, is_out) in [
            ("without-password", "root", true),
            ("no", "root", true),
            ("yes", "root", false),
            ("without-password", "alice", false),
        ] {
            let settings = settings("publickey", &format!("permitrootlogin {permit}"));
            assert_eq!(
                settings.keeps_out(user).is_some(),
                is_out,
                "{permit} {user}"
            );
        }
    }

    #[test]
    fn each_setting_that_opens_or_closes_a_door_is_named_with_its_line() {
        let good = "publickey,keyboard-interactive";
        assert!(settings(good, "").objections(Behind::Key).is_empty());
        let password = settings("keyboard-interactive", "");
        assert!(password.objections(Behind::Password).is_empty());
        for (methods, further, line) in [
            (good, "usepam no", "UsePAM yes"),
            (
                good,
                "kbdinteractiveauthentication no",
                "KbdInteractiveAuthentication yes",
            ),
            (
                good,
                "passwordauthentication yes",
                "PasswordAuthentication no",
            ),
            (
                "any",
                "",
                "AuthenticationMethods publickey,keyboard-interactive",
            ),
            (
                "publickey",
                "",
                "AuthenticationMethods publickey,keyboard-interactive",
            ),
            (
                "keyboard-interactive",
                "",
                "AuthenticationMethods publickey,keyboard-interactive",
            ),
        ] {
            let said = settings(methods, further).objections(Behind::Key);
            assert_eq!(said.len(), 1, "{said:?}");
            assert!(
                said.concat().contains(&format!("needs \"{line}\": ")),
                "{said:?}"
            );
        }
        assert_eq!(
            settings("publickey", "").objections(Behind::Password).len(),
            1
        );
    }
}
