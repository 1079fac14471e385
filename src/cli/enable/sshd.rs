//! What sshd is set to, in its own words (`sshd -T`), and what its stack needs of it. What lacks goes
//! into a file of ours, where sshd reads such files; the admin's own are read, never written.

use super::edit::Behind;
use super::record::Planned;
use super::trial::Scratch;
use crate::cli::Trouble;
use crate::cli::program::run;
use crate::cli::write::{self, Likeness};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

/// What sshd needs.
pub(super) struct Needs {
    /// What proves the user before.
    pub(super) behind: Behind,
    /// Our file of settings, where that is all that lacks.
    pub(super) file: Option<Planned>,
    /// What else is wrong.
    pub(super) objections: Vec<String>,
}

/// Finds it out, for a login of this user.
pub(super) fn needs(user: &str, said: Option<Behind>) -> Result<Needs, Trouble> {
    let settings = Settings::of(None, user)?;
    let behind = said.or_else(|| settings.behind()).ok_or_else(|| {
        Trouble::new(
            "sshd's AuthenticationMethods do not tell what comes before OneLogin; say --behind key, or \
             --behind password: what they lack is then written, too",
        )
    })?;
    let mut objections = settings.objections(behind);
    let mut file = None;
    if objections.is_empty() {
        objections.extend(settings.unread(user));
    } else if let Some(planned) = planned(user, behind)? {
        objections.clear();
        file = Some(planned);
    }
    objections.extend(settings.keeps_out(user));
    Ok(Needs {
        behind,
        file,
        objections,
    })
}

/// Our file, where sshd reads it and needs nothing else.
fn planned(user: &str, behind: Behind) -> Result<Option<Planned>, Trouble> {
    let config = std::fs::read(CONFIG).unwrap_or_default();
    let text = lines(behind);
    let scratch = Scratch::make()?;
    let (ours, preview) = (scratch.0.join("ours.conf"), scratch.0.join("sshd_config"));
    let Some(config) = with_include(&String::from_utf8_lossy(&config), &ours) else {
        return Ok(None);
    };
    let likeness = Likeness::own(0o600);
    write::put(&ours, text.as_bytes(), &likeness)?;
    write::put(&preview, config.as_bytes(), &likeness)?;
    let settings = Settings::of(Some(&preview), user)?;
    if !settings.objections(behind).is_empty() {
        return Ok(None);
    }
    Ok(Some(Planned {
        path: OURS.into(),
        before: write::original(Path::new(OURS))?,
        after: text.into_bytes(),
    }))
}

/// The settings of our file.
fn lines(behind: Behind) -> String {
    let methods = match behind {
        Behind::Key => "publickey,keyboard-interactive",
        Behind::Password => "keyboard-interactive",
    };
    format!(
        "{HEAD}UsePAM yes\nKbdInteractiveAuthentication yes\nPasswordAuthentication no\n\
         AuthenticationMethods {methods}\n"
    )
}

/// sshd's configuration with this file read before those that it includes: whatever is said first
/// counts. `None` where it includes none.
fn with_include(config: &str, ours: &Path) -> Option<String> {
    let includes = |line: &&str| {
        let mut words = line.split_ascii_whitespace();
        let key = words.next().unwrap_or_default();
        key.eq_ignore_ascii_case("include") && words.any(|word| INCLUDED.contains(&word))
    };
    let line = config.lines().find(includes)?;
    let both = format!("Include {}\n{line}", ours.display());
    Some(config.replacen(line, &both, 1))
}

/// Whether sshd reads its settings from this file, as far as we write any.
pub(super) fn reads(path: &Path) -> bool {
    path == Path::new(OURS)
}

/// Takes our file away where no record knows of it; whether it was there.
pub(in crate::cli) fn take_away() -> Result<bool, Trouble> {
    let ours = write::original(Path::new(OURS))?;
    let is_ours = ours.is_some_and(|file| file.bytes.starts_with(HEAD.as_bytes()));
    if is_ours {
        write::remove(Path::new(OURS))?;
        reload()?;
    }
    Ok(is_ours)
}

/// What sshd goes on to ask for by settings that are not ours, once its stack is without us.
pub(in crate::cli) fn what_stays() -> Option<&'static str> {
    let settings = Settings::of(None, "root").ok()?;
    (settings.behind() == Some(Behind::Key)).then_some(
        "sshd still asks for a key and then for what its stack asks, the password: \
         AuthenticationMethods in its settings is yours to take out",
    )
}

/// Has the sshd that runs read its settings again, and sees that it has.
pub(super) fn take_effect(user: &str, behind: Behind) -> Result<(), Trouble> {
    let settings = Settings::of(None, user)?;
    let mut objections = settings.objections(behind);
    if objections.is_empty() {
        reload()?;
        objections.extend(settings.unread(user));
    }
    if objections.is_empty() {
        Ok(())
    } else {
        Err(Trouble(objections))
    }
}

/// Has the sshd that runs, if one does, read its settings again; the sessions that are open stay.
pub(super) fn reload() -> Result<(), Trouble> {
    // One that finds a fault in them would end.
    let settings = Settings::of(None, "root")?;
    let file = settings.0.get("pidfile").map_or("", String::as_str);
    let Some(pid) = running(file) else {
        return Ok(());
    };
    let before = identity(file);
    kill(pid, Signal::SIGHUP)
        .map_err(|errno| Trouble::new(format!("sshd cannot be reloaded: {}", errno.desc())))?;
    // It starts itself anew, and writes its number again once it listens.
    for _ in 0..LOOKS {
        if identity(file).is_some_and(|now| Some(now) != before) {
            return Ok(());
        }
        sleep(LOOK);
    }
    Err(Trouble::new(
        "sshd was told to read its settings again, and has not come back",
    ))
}

/// The sshd whose number is in this file.
fn running(file: &str) -> Option<Pid> {
    let text = std::fs::read_to_string(file).ok()?;
    let pid: i32 = text.trim().parse().ok().filter(|pid| *pid > 1)?;
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    (name.trim() == "sshd").then(|| Pid::from_raw(pid))
}

/// Whether a file is still the same one.
fn identity(file: &str) -> Option<(u64, i64, i64)> {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.ino(), metadata.mtime(), metadata.mtime_nsec()))
}

/// The settings, by their names in lower case.
pub(in crate::cli) struct Settings(BTreeMap<String, String>);

impl Settings {
    /// Those of this file or of sshd's own, for a login of this user.
    fn of(file: Option<&Path>, user: &str) -> Result<Self, Trouble> {
        let whom = format!("user={user},host=localhost,addr=127.0.0.1,laddr=127.0.0.1,lport=22");
        let file = file.map(Path::to_string_lossy);
        let mut arguments = vec!["-T", "-C", &whom];
        arguments.extend(file.iter().flat_map(|file| ["-f", file]));
        let output = run(&[SSHD], &arguments)
            .ok_or_else(|| Trouble::new(format!("{SSHD} is not there, or does not start")))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let mut sentences = vec![format!("{SSHD} -T does not accept its configuration:")];
            sentences.extend(said.lines().map(crate::text::printable));
            return Err(Trouble(sentences));
        }
        Ok(Self::read(&String::from_utf8_lossy(&output.stdout)))
    }

    /// Why the sshd that runs does not do what these settings say; it is asked which methods it
    /// offers first.
    fn unread(&self, user: &str) -> Option<String> {
        let address = self.address()?;
        let ways = self.ways();
        let first: BTreeSet<&str> = ways.iter().filter_map(|way| way.first().copied()).collect();
        let Some(said) = ask_for_methods(address, user) else {
            return Some(format!(
                "there is no {SSH} to ask the running sshd whether it has read its settings: {RELOAD}"
            ));
        };
        if said.contains("Connection refused") {
            return None;
        }
        let offered = said
            .rsplit_once("Permission denied (")
            .and_then(|(_, rest)| rest.split(')').next());
        let offered: BTreeSet<&str> = offered
            .map(|list| list.split(',').collect())
            .unwrap_or_default();
        if offered == first {
            return None;
        }
        let list = |methods: BTreeSet<&str>| {
            let methods: Vec<_> = methods.into_iter().collect();
            crate::text::printable(&methods.join(", "))
        };
        Some(format!(
            "the sshd that runs at {address} has not read its settings: it takes first {}, not {}; \
             {RELOAD}",
            if offered.is_empty() {
                "something else".to_owned()
            } else {
                list(offered)
            },
            list(first)
        ))
    }

    /// Why this user does not get in behind OneLogin, whatever OneLogin says.
    fn keeps_out(&self, user: &str) -> Option<String> {
        let permit = self.0.get("permitrootlogin").map_or("", String::as_str);
        (user == "root" && permit != "yes").then(|| {
            format!(
                "PermitRootLogin {permit}: behind a key and OneLogin, root does not get in by ssh; \
                 name another user, or have it \"PermitRootLogin yes\""
            )
        })
    }

    /// Where sshd listens, as seen from this host.
    fn address(&self) -> Option<SocketAddr> {
        let mut address: SocketAddr = self.0.get("listenaddress")?.parse().ok()?;
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

    fn is(&self, key: &str, value: &str) -> bool {
        self.0.get(key).is_some_and(|found| found == value)
    }

    /// The ways in, each a list of methods that are all needed.
    fn ways(&self) -> Vec<Vec<&str>> {
        let all = self.0.get("authenticationmethods");
        let ways = all.map_or("any", String::as_str).split_ascii_whitespace();
        // A device may be named behind a colon.
        let method = |word| str::split(word, ':').next().unwrap_or_default();
        ways.map(|way| way.split(',').map(method).collect())
            .collect()
    }

    /// What proves the user before the stack is asked, where the settings leave no doubt.
    pub(super) fn behind(&self) -> Option<Behind> {
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
    pub(super) fn objections(&self, behind: Behind) -> Vec<String> {
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
        let (line, fits): (_, fn(&[&str]) -> bool) = match behind {
            Behind::Key => (
                "AuthenticationMethods publickey,keyboard-interactive",
                is_behind_key,
            ),
            Behind::Password => ("AuthenticationMethods keyboard-interactive", |way| {
                way.contains(&KEYBOARD)
            }),
        };
        for way in ways.iter().filter(|way| !fits(way)) {
            let why = if way.contains(&KEYBOARD) {
                "without a key before it, OneLogin alone would let in".to_owned()
            } else {
                format!("\"{}\" lets in without asking OneLogin", way.join(","))
            };
            need(line, &why);
        }
        found
    }
}

fn is_behind_key(way: &[&str]) -> bool {
    let place = |method| way.iter().position(|found| *found == method);
    match (place("publickey"), place(KEYBOARD)) {
        (Some(key), Some(keyboard)) => key < keyboard,
        _ => false,
    }
}

/// What the ssh client says when it offers sshd nothing; `None` where there is no client.
fn ask_for_methods(address: SocketAddr, user: &str) -> Option<String> {
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    let mut arguments = vec!["-F", "/dev/null", "-p", &port, "-l", user];
    for option in [
        "BatchMode=yes",
        "PreferredAuthentications=none",
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "GlobalKnownHostsFile=/dev/null",
        "ConnectTimeout=10",
    ] {
        arguments.extend(["-o", option]);
    }
    arguments.extend(["--", &host, "true"]);
    let output = run(&[SSH], &arguments)?;
    Some(String::from_utf8_lossy(&output.stderr).into_owned())
}

const SSHD: &str = "/usr/sbin/sshd";
const SSH: &str = "/usr/bin/ssh";
const CONFIG: &str = "/etc/ssh/sshd_config";

/// Our file of settings; its name comes before those of others.
pub(in crate::cli) const OURS: &str = "/etc/ssh/sshd_config.d/00-onelogin.conf";
/// How `sshd_config` includes such files.
const INCLUDED: [&str; 2] = ["/etc/ssh/sshd_config.d/*.conf", "sshd_config.d/*.conf"];
const HEAD: &str = "# By pam-onelogin enable sshd, together with /etc/pam.d/sshd. To undo both: pam-onelogin disable sshd\n";

const RELOAD: &str = "type: systemctl reload ssh (or sshd)";
/// How often it is looked whether sshd is back, and how long between.
const LOOKS: u32 = 500;
const LOOK: Duration = Duration::from_millis(20);

const KEYBOARD: &str = "keyboard-interactive";

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
    fn our_file_is_read_where_others_are_and_before_them() {
        let ours = Path::new("/ours");
        for line in [
            "Include /etc/ssh/sshd_config.d/*.conf",
            "include\t/elsewhere /etc/ssh/sshd_config.d/*.conf",
            "Include sshd_config.d/*.conf",
        ] {
            let text = with_include(&format!("UsePAM no\n{line}\nPort 1\n"), ours).unwrap();
            assert_eq!(text, format!("UsePAM no\nInclude /ours\n{line}\nPort 1\n"));
        }
        for line in [
            "",
            "#Include /etc/ssh/sshd_config.d/*.conf",
            "Include /etc/ssh/other/*.conf",
        ] {
            assert_eq!(with_include(line, ours), None, "{line}");
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
