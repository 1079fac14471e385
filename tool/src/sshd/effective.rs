//! The settings of sshd as `sshd -T` shows them.

use crate::host::programs::run;
use crate::outcome::Failure;
use crate::pam_stack::edit::Behind;
use crate::sshd::config::Sshd;
use crate::sshd::keyword::Keyword;
use crate::sshd::methods::{
    KEY, KEYBOARD, METHODS, hides_prompts, is_behind_key, needed, switch, ways,
};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// The settings that matter.
pub(crate) struct Settings(BTreeMap<Keyword, String>);

impl Settings {
    /// Those of this file or of sshd's own, for a login of this user from this host.
    pub(crate) fn of(file: Option<&Path>, user: &str) -> Result<Self, Failure> {
        let whom = format!("user={user},host=localhost,addr=127.0.0.1,laddr=127.0.0.1,lport=22");
        Self::shown(file, &whom)
    }

    /// Those of sshd's own file, for a connection from this host to this address of it.
    pub(crate) fn of_connection(user: &str, address: SocketAddr) -> Result<Self, Failure> {
        let (ip, port) = (address.ip(), address.port());
        let host = if ip.is_loopback() {
            "localhost".to_owned()
        } else {
            ip.to_string()
        };
        let whom = format!("user={user},host={host},addr={ip},laddr={ip},lport={port}");
        Self::shown(None, &whom)
    }

    fn shown(file: Option<&Path>, whom: &str) -> Result<Self, Failure> {
        let file = file.map(Path::to_string_lossy);
        let mut arguments = vec!["-T", "-C", whom];
        arguments.extend(file.iter().flat_map(|file| ["-f", file]));
        let output = run(&[SSHD], &arguments)
            .ok_or_else(|| Failure::new(format!("{SSHD} does not exist, or cannot be run")))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let mut sentences = vec![format!("{SSHD} -T found a fault in the settings of sshd:")];
            sentences.extend(said.lines().map(pam_onelogin::text::printable));
            if said.contains(RUN) {
                sentences.push(format!(
                    "sshd needs the folder {RUN}; type: sudo mkdir -m 755 {RUN}"
                ));
            }
            return Err(Failure(sentences));
        }
        Ok(Self::read(&String::from_utf8_lossy(&output.stdout)))
    }

    /// Whether sshd accepts passwords, and only without prompts.
    pub(crate) fn hides_prompts(&self) -> bool {
        self.is(Keyword::UsePam, "yes")
            && self.usable_ways().iter().any(|way| hides_prompts(way))
            && !self.is(Keyword::KbdInteractive, "yes")
    }

    /// The value of `PermitRootLogin`, if this user cannot log in because of it, whatever OneLogin decides.
    pub(crate) fn excludes(&self, user: &str) -> Option<&str> {
        let permit = self.value(Keyword::RootLogin);
        (user == "root" && permit != "yes").then_some(permit)
    }

    /// Why this user cannot make the trial login.
    pub(crate) fn keeps_out(&self, user: &str) -> Option<String> {
        self.excludes(user).map(|permit| {
            format!(
                "PermitRootLogin {permit}: root cannot log in by SSH with OneLogin; pass another \
                 user with --user NAME, or write \"PermitRootLogin yes\""
            )
        })
    }

    /// Where sshd listens, as seen from this host.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        let mut address: SocketAddr = self.value(Keyword::ListenAddress).parse().ok()?;
        if address.ip().is_unspecified() {
            address.set_ip(match address.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        Some(address)
    }

    pub(crate) fn read(text: &str) -> Self {
        let mut values: BTreeMap<Keyword, String> = BTreeMap::new();
        let mut shows_prompts = false;
        for (name, value) in text.lines().filter_map(|line| line.split_once(' ')) {
            let value = value.trim();
            match Keyword::of(name) {
                Some(keyword) if keyword.name().eq_ignore_ascii_case(name) => {
                    values.insert(keyword, value.to_owned());
                }
                // An old sshd has two settings for prompts, and either will do.
                Some(Keyword::KbdInteractive) => shows_prompts |= value == "yes",
                _ => {}
            }
        }
        if shows_prompts {
            values.insert(Keyword::KbdInteractive, "yes".to_owned());
        }
        Self(values)
    }

    /// One of them; empty where it has none.
    pub(crate) fn value(&self, keyword: Keyword) -> &str {
        self.0.get(&keyword).map_or("", String::as_str)
    }

    fn is(&self, keyword: Keyword, value: &str) -> bool {
        self.value(keyword) == value
    }

    /// The ways in, each a list of methods that are all needed.
    pub(crate) fn ways(&self) -> Vec<Vec<&str>> {
        let all = self.0.get(&Keyword::Methods);
        ways(all.map_or(Keyword::Methods.default(), String::as_str))
    }

    /// Whether any method that is switched on is enough.
    pub(crate) fn any_method_is_enough(&self) -> bool {
        self.ways().iter().all(|way| way.as_slice() == ["any"])
    }

    /// As [`Self::ways`]; without `AuthenticationMethods`, each method that is switched on.
    pub(crate) fn ways_now(&self) -> Vec<Vec<&str>> {
        if !self.any_method_is_enough() {
            return self.ways();
        }
        let methods = METHODS.iter().map(|(method, _)| *method);
        methods
            .filter(|method| self.is_on(method))
            .map(|method| vec![method])
            .collect()
    }

    /// The ways in by lists in which each method is switched on: sshd skips the other lists.
    fn usable_ways(&self) -> Vec<Vec<&str>> {
        let mut ways = self.ways_now();
        ways.retain(|way| way.iter().all(|method| self.is_on(method)));
        ways
    }

    /// The methods that sshd offers first.
    pub(crate) fn first_methods(&self) -> BTreeSet<&str> {
        let ways = self.usable_ways();
        let firsts = ways.iter().filter_map(|way| way.first().copied());
        firsts.collect()
    }

    /// How a login succeeds by these settings without the PAM stack; `None` if each way in uses it.
    pub(crate) fn way_past_pam(&self) -> Option<WayPastPam> {
        if !self.is(Keyword::UsePam, "yes") {
            return Some(WayPastPam {
                what: "sshd does not use PAM".to_owned(),
                closed_by: &USE_PAM,
            });
        }
        let uses_pam = |method: &&str| [KEYBOARD, "password"].contains(method);
        let ways = self.ways_now();
        let mut usable = ways
            .iter()
            .filter(|way| way.iter().all(|method| self.is_on(method)));
        let open = usable.find(|way| !way.iter().any(uses_pam))?;
        let open = pam_onelogin::text::printable(&open.join(","));
        Some(WayPastPam {
            what: format!("{open} alone is enough to log in"),
            closed_by: &BOTH,
        })
    }

    fn is_on(&self, method: &str) -> bool {
        switch(method).is_some_and(|keyword| self.is(keyword, "yes"))
    }

    /// The first factor before the stack, if the settings are clear about it.
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

    /// What is wrong for a stack that asks OneLogin after this first factor.
    pub(crate) fn missing(&self, behind: Behind) -> Vec<Missing> {
        let mut found = Vec::new();
        let mut need = |keyword, line, why: &str| {
            found.push(Missing {
                keyword,
                value: self.value(keyword).to_owned(),
                line,
                why: why.to_owned(),
            });
        };
        if !self.is(Keyword::UsePam, "yes") {
            let why = "without it, sshd does not use the PAM stack";
            need(Keyword::UsePam, "UsePAM yes", why);
        }
        if !self.is(Keyword::KbdInteractive, "yes") {
            let why = "without it, sshd cannot show a prompt, and no user can log in";
            need(
                Keyword::KbdInteractive,
                "KbdInteractiveAuthentication yes",
                why,
            );
        }
        let ways = self.usable_ways();
        let by_switch = self.any_method_is_enough();
        if by_switch && ways.iter().any(|way| hides_prompts(way)) {
            need(Keyword::Password, "PasswordAuthentication no", NO_PROMPT);
        }
        let (line, fits) = needed(behind);
        if ways.is_empty() && self.is(Keyword::KbdInteractive, "yes") {
            let why = "every list of methods has a method that is off, and no user can log in";
            need(Keyword::Methods, line, why);
        }
        // Of methods that are enough by their switches, one sentence is enough.
        let most = if by_switch { 1 } else { ways.len() };
        let unfit = ways.iter().filter(|way| !fits(way) || hides_prompts(way));
        for way in unfit.take(most) {
            let why = if hides_prompts(way) {
                NO_PROMPT.to_owned()
            } else if way.contains(&KEYBOARD) {
                "the stack denies every login without a key before it".to_owned()
            } else {
                format!("\"{}\" accepts a login without OneLogin", way.join(","))
            };
            need(Keyword::Methods, line, &why);
        }
        found
    }
}

/// A way in that does not use the PAM stack.
#[derive(Clone)]
pub(crate) struct WayPastPam {
    /// What happens, in words.
    pub(crate) what: String,
    /// What closes it.
    pub(crate) closed_by: &'static [&'static str],
}

/// A setting that is missing.
pub(crate) struct Missing {
    keyword: Keyword,
    /// What sshd uses instead.
    value: String,
    line: &'static str,
    why: String,
}

impl Missing {
    /// Whether a line of these files sets the value that sshd uses instead.
    pub(crate) fn is_overruled(&self, files: &Sshd) -> bool {
        files.setting(self.keyword, &self.value).is_some()
    }

    /// In one sentence, with the line that is needed, and with the place where it is overruled.
    pub(crate) fn sentence(&self, files: &Sshd) -> String {
        let Self {
            keyword, line, why, ..
        } = self;
        if let Some(said) = files.setting(*keyword, &self.value) {
            return format!(
                "{}: sshd uses \"{} {}\" from here, because the first value counts; in its place it needs \
                 \"{line}\": {why}",
                said.place.text(),
                keyword.name(),
                pam_onelogin::text::printable(said.value),
            );
        }
        let first = files.path.as_ref().and_then(|path| files.first_match(path));
        let place = first.map_or(String::new(), |first| {
            format!(" above the first Match line ({first})")
        });
        format!("sshd_config needs \"{line}\"{place}: {why}")
    }
}

const NO_PROMPT: &str = "a password login cannot show the prompt for a code, and fails";

/// The settings with which every login needs a key and then the stack.
pub(crate) const BOTH: [&str; 3] = [
    KEY,
    "KbdInteractiveAuthentication yes",
    "PubkeyAuthentication yes",
];

/// The setting with which sshd uses its stack.
pub(crate) const USE_PAM: [&str; 1] = ["UsePAM yes"];

pub(crate) const SSHD: &str = "/usr/sbin/sshd";
/// The folder without which sshd of Debian and Ubuntu does not start.
const RUN: &str = "/run/sshd";
#[cfg(test)]
mod tests {
    use super::*;

    fn settings(methods: &str, further: &str) -> Settings {
        Settings::read(&format!(
            "usepam yes\nkbdinteractiveauthentication yes\npasswordauthentication no\n\
             pubkeyauthentication yes\nauthenticationmethods {methods}\n{further}"
        ))
    }

    #[test]
    fn what_the_stack_is_behind_is_read_where_it_is_plain() {
        for (methods, behind) in [
            ("publickey,keyboard-interactive", Some(Behind::Key)),
            ("publickey,keyboard-interactive:pam", Some(Behind::Key)),
            ("keyboard-interactive", Some(Behind::Password)),
            ("publickey,keyboard-interactive:bsdauth", None),
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
    fn the_methods_that_come_first_are_those_that_are_switched_on() {
        let switches = "pubkeyauthentication yes\nhostbasedauthentication no\n";
        for (methods, first) in [
            ("publickey,keyboard-interactive:pam", &["publickey"][..]),
            ("password publickey", &["publickey"]),
            ("hostbased,publickey", &[]),
            ("any", &["keyboard-interactive", "publickey"]),
        ] {
            let settings = settings(methods, switches);
            let found: Vec<_> = settings.first_methods().into_iter().collect();
            assert_eq!(found, first, "{methods}");
        }
    }

    #[test]
    fn a_way_past_pam_is_one_that_is_switched_on_and_asks_the_stack_nothing() {
        let switches = "pubkeyauthentication yes\nhostbasedauthentication no\n";
        for (methods, further, way) in [
            ("publickey,keyboard-interactive:pam", "", None),
            ("publickey,password keyboard-interactive", "", None),
            ("hostbased publickey,keyboard-interactive", "", None),
            ("any", "", Some("publickey alone is enough to log in")),
            (
                "keyboard-interactive publickey",
                "",
                Some("publickey alone is enough to log in"),
            ),
            (
                "publickey,keyboard-interactive",
                "usepam no",
                Some("sshd does not use PAM"),
            ),
        ] {
            let settings = settings(methods, &format!("{switches}{further}"));
            let found = settings.way_past_pam();
            let found = found.map(|way| way.what);
            assert_eq!(found.as_deref(), way, "{methods} {further}");
        }
    }

    #[test]
    fn a_trial_login_of_root_is_refused_if_sshd_excludes_root() {
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
    fn an_old_sshd_that_shows_prompts_by_either_setting_hides_none() {
        let by_password = "passwordauthentication yes\n";
        for (prompts, hides) in [
            (
                "kbdinteractiveauthentication no\nchallengeresponseauthentication yes\n",
                false,
            ),
            (
                "challengeresponseauthentication yes\nkbdinteractiveauthentication no\n",
                false,
            ),
            (
                "kbdinteractiveauthentication no\nchallengeresponseauthentication no\n",
                true,
            ),
        ] {
            let settings = Settings::read(&format!("usepam yes\n{by_password}{prompts}"));
            assert_eq!(settings.hides_prompts(), hides, "{prompts}");
        }
    }

    #[test]
    fn each_setting_that_is_wrong_is_named_with_its_line() {
        let good = "publickey,keyboard-interactive";
        assert!(settings(good, "").missing(Behind::Key).is_empty());
        // Where no list of methods in use has "password", its switch does not matter; sshd skips a list with a
        // method that is off.
        let switched_on = settings(good, "passwordauthentication yes");
        assert!(switched_on.missing(Behind::Key).is_empty());
        let skipped = settings("publickey,keyboard-interactive password", "");
        assert!(skipped.missing(Behind::Key).is_empty());
        let by_switch = settings("any", "passwordauthentication yes");
        assert_eq!(by_switch.missing(Behind::Key).len(), 2);
        // That device does not use PAM.
        let bsdauth = settings("publickey,keyboard-interactive:bsdauth", "");
        assert_eq!(bsdauth.missing(Behind::Key).len(), 1);
        let password = settings("keyboard-interactive", "");
        assert!(password.missing(Behind::Password).is_empty());
        for (methods, further, line) in [
            (good, "usepam no", "UsePAM yes"),
            (
                good,
                "kbdinteractiveauthentication no",
                "KbdInteractiveAuthentication yes",
            ),
            (
                "publickey,keyboard-interactive password",
                "passwordauthentication yes",
                "AuthenticationMethods publickey,keyboard-interactive",
            ),
            (
                "publickey,password,keyboard-interactive",
                "passwordauthentication yes",
                "AuthenticationMethods publickey,keyboard-interactive",
            ),
            (
                "password",
                "",
                "AuthenticationMethods publickey,keyboard-interactive",
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
            let said = settings(methods, further).missing(Behind::Key);
            let said: Vec<_> = said
                .iter()
                .map(|it| it.sentence(&Sshd::default()))
                .collect();
            assert_eq!(said.len(), 1, "{said:?}");
            assert!(
                said.concat().contains(&format!("needs \"{line}\": ")),
                "{said:?}"
            );
        }
        assert_eq!(settings("publickey", "").missing(Behind::Password).len(), 1);
    }
}
