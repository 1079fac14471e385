//! The account for emergencies, as docs/break-glass.md sets it up: a `Match` block of sshd for one user, with a CA of its own,
//! and without ordinary keys or with a file of principals; and a rule of sudo for this user. Says what is missing.

use crate::examine::subject::Subject;
use crate::examine::sudo::unasked::becomes_root;
use crate::host::user_selection::{accounts, passwd_of};
use crate::sshd::config::{Block, Said};
use crate::sshd::keyword::Keyword;
use crate::ui::finding::Finding;
use pam_onelogin::host::uids;
use pam_onelogin::trust::{Privacy, Trusted};
use std::os::unix::fs::MetadataExt as _;

const NONE: &str = "none";

/// Where docs/break-glass.md puts its files.
const CA: &str = "/etc/ssh/break_glass_ca.pub";
const PRINCIPALS: &str = "/etc/ssh/break_glass_principals";
const RULE: &str = "/etc/sudoers.d/break-glass";

/// The name of this host, and that of another system.
const OWN_NAME: &str = "/proc/sys/kernel/hostname";
const NAME: &str = "/etc/hostname";

/// The longest validity of a password that counts as unlimited, in days: useradd writes it by default.
const UNLIMITED: u32 = 99999;

/// Whether the block is such an account; if so, what there is to say of it.
pub(crate) fn in_block(
    subject: &Subject<'_>,
    index: usize,
    block: &Block,
    findings: &mut Vec<Finding>,
) -> bool {
    let Some(account) = Account::of(subject, index, block) else {
        return false;
    };
    let user = account.user;
    let what = format!("break-glass account {user}: a certificate is enough to log in by SSH");
    let missing = account.missing();
    let finding = if missing.is_empty() {
        Finding::good("break-glass", what)
    } else {
        Finding::note("break-glass", what)
    };
    findings.push(
        finding
            .of(Some(account.ca.place.clone()))
            .opens_to(format!("users with a certificate for {user}")),
    );
    findings.extend(missing);
    true
}

/// Whether the account of this name lacks nothing; `None` if it is not for emergencies.
pub(crate) fn is_complete(subject: &Subject<'_>, user: &str) -> Option<bool> {
    let mut blocks = subject.sshd.blocks.iter().enumerate();
    let account = blocks.find_map(|(index, block)| {
        Account::of(subject, index, block).filter(|account| account.user == user)
    })?;
    Some(account.missing().is_empty())
}

/// An account for emergencies.
struct Account<'a> {
    subject: &'a Subject<'a>,
    user: &'a str,
    /// The `Match` block, and its index.
    block: &'a Block,
    index: usize,
    /// The setting that names the file of the CA.
    ca: Said<'a>,
}

impl<'a> Account<'a> {
    fn of(subject: &'a Subject<'a>, index: usize, block: &'a Block) -> Option<Self> {
        let own = subject.sshd.own(index, Keyword::CaKeys);
        let account = Self {
            subject,
            user: user_of(&block.condition)?,
            block,
            index,
            ca: own.filter(|said| !said.value.eq_ignore_ascii_case(NONE))?,
        };
        let is_meant = account.is_none(Keyword::KeysFile) || !account.is_none(Keyword::Principals);
        (account.value(Keyword::Methods) == "publickey" && is_meant).then_some(account)
    }

    fn value(&self, keyword: Keyword) -> &'a str {
        self.subject.sshd.within(self.index).value(keyword)
    }

    fn is_none(&self, keyword: Keyword) -> bool {
        self.value(keyword).eq_ignore_ascii_case(NONE)
    }

    /// What the account lacks, a finding each.
    fn missing(&self) -> Vec<Finding> {
        let mut missing = Vec::new();
        self.settings(&mut missing);
        self.authority(&mut missing);
        self.principals(&mut missing);
        if self.user != "root" {
            self.entry(&mut missing);
            self.rule(&mut missing);
        }
        missing
    }

    fn warning(&self, what: &str) -> Finding {
        Finding::warning(
            "break-glass",
            format!("break-glass account {}: {what}", self.user),
        )
    }

    /// A line that the `Match` block needs.
    fn line(&self, what: &str, why: &str, line: &str) -> Finding {
        let place = &self.block.place;
        let advice = format!(
            "in {}, below the line \"Match {}\", write: {line}",
            place.path.display(),
            self.block.condition
        );
        self.warning(what)
            .of(Some(place.clone()))
            .why(why)
            .advice(advice)
    }

    /// The lines of the `Match` block.
    fn settings(&self, missing: &mut Vec<Finding>) {
        if !self.subject.sshd.within(self.index).is_enabled("publickey") {
            missing.push(self.line(
                "PubkeyAuthentication is off",
                "sshd accepts no certificate",
                "PubkeyAuthentication yes",
            ));
        }
        if !self.is_none(Keyword::KeysFile) {
            missing.push(self.line(
                "an ordinary key is enough to log in, too",
                "an ordinary key does not expire",
                "AuthorizedKeysFile none",
            ));
        }
        let command = self.value(Keyword::KeysCommand);
        if !command.is_empty() && !self.is_none(Keyword::KeysCommand) {
            missing.push(self.line(
                "AuthorizedKeysCommand may name ordinary keys",
                "an ordinary key does not expire",
                "AuthorizedKeysCommand none",
            ));
        }
        if self.is_none(Keyword::Principals) {
            missing.push(self.line(
                "AuthorizedPrincipalsFile is missing",
                "a certificate for one host works on all hosts of this CA",
                &format!("AuthorizedPrincipalsFile {PRINCIPALS}"),
            ));
        }
    }

    /// The CA, and its file.
    fn authority(&self, missing: &mut Vec<Finding>) {
        if self.subject.sshd.global().value(Keyword::CaKeys) == self.ca.value {
            missing.push(
                self.line(
                    "its CA also issues certificates for other users",
                    "who can get a certificate of this CA may get one for this account",
                    &format!("TrustedUserCAKeys {CA}"),
                )
                .of(Some(self.ca.place.clone())),
            );
            return;
        }
        let path = self.ca.value;
        // A file that cannot be read has a finding of its own.
        let Ok(text) = self.subject.machine.text(path) else {
            return;
        };
        let what = match &text {
            None => "the file of its CA does not exist",
            Some(text) if !text.lines().any(is_public_key) => {
                "the file of its CA contains no public key"
            }
            Some(_) => return self.access(path, missing),
        };
        missing.push(
            self.warning(what)
                .in_file(path)
                .why("sshd accepts no certificate")
                .advice(format!(
                    "copy break_glass_ca.pub to this host; then type: sudo install -m 644 break_glass_ca.pub {path}"
                )),
        );
    }

    /// The file with the name of this host.
    fn principals(&self, missing: &mut Vec<Finding>) {
        let path = self.value(Keyword::Principals).replace("%u", self.user);
        if self.is_none(Keyword::Principals) {
            return;
        }
        if !path.starts_with('/') {
            missing.push(self.line(
                "AuthorizedPrincipalsFile is in the home of the account",
                "the account can change the file",
                &format!("AuthorizedPrincipalsFile {PRINCIPALS}"),
            ));
            return;
        }
        let machine = self.subject.machine;
        let Ok(text) = machine.text(&path) else {
            return;
        };
        let host = machine.text_or_empty(if machine.is_this() { OWN_NAME } else { NAME });
        let host = host.trim();
        if !host.is_empty() && is_local(host) {
            missing.push(
                self.warning("this host has no name of its own")
                    .in_file(NAME)
                    .why("a certificate for this host works on other hosts with this name")
                    .advice("type: sudo hostnamectl set-hostname NAME (the full name, such as web1.example.com)"),
            );
            return;
        }
        let text = text.unwrap_or_default();
        let mut names = principals(&text).peekable();
        let (what, why) = if names.peek().is_none() {
            let what = format!("{path} is missing or empty");
            (what, "sshd accepts no certificate")
        } else if let Some(other) = names.find(|name| !host.is_empty() && !is_name_of(name, host)) {
            (
                format!("{path} names {other}, and this host is {host}"),
                "a certificate for another host is accepted here",
            )
        } else {
            self.access(&path, missing);
            self.readable(&path, missing);
            return;
        };
        missing.push(self.warning(&what).in_file(&path).why(why).advice(format!(
            "type: hostname -f | sudo install -m 644 /dev/stdin {path}"
        )));
    }

    /// Who may write to a file. Only on this host: in an image, the owners may be others.
    fn access(&self, path: &str, missing: &mut Vec<Finding>) {
        let Some(real) = std::fs::canonicalize(path)
            .ok()
            .filter(|_| self.subject.machine.is_this())
        else {
            return;
        };
        let name = format!("break-glass account {}: ", self.user);
        for flaw in Trusted::of(uids()).flaws(&real, Privacy::Public) {
            let flaw = flaw.to_string();
            let (what, command) = flaw.split_once("; type: ").unwrap_or((&flaw, ""));
            let advice = if command.is_empty() {
                "only root may write to this file and to its folders".to_owned()
            } else {
                format!("type: sudo {command}")
            };
            missing.push(
                Finding::fault("break-glass", format!("{name}{path} {what}"))
                    .in_file(path)
                    .why("who can write to the file can log in to the account")
                    .advice(advice),
            );
        }
    }

    /// Whether the account can read a file.
    fn readable(&self, path: &str, missing: &mut Vec<Finding>) {
        let metadata = std::fs::metadata(path);
        let is_closed = metadata.is_ok_and(|it| it.mode() & 0o004 == 0);
        if is_closed && self.subject.machine.is_this() {
            missing.push(
                self.warning(&format!("it cannot read {path}"))
                    .in_file(path)
                    .why("sshd reads the file with the rights of the account")
                    .advice(format!("type: sudo chmod 644 {path}")),
            );
        }
    }

    /// The entry in passwd, and that in shadow.
    fn entry(&self, missing: &mut Vec<Finding>) {
        let machine = self.subject.machine;
        let user = self.user;
        let passwd = passwd_of(machine, user);
        let entry = accounts(&passwd).find(|account| account.name == user);
        let Some(entry) = entry else {
            missing.push(
                self.warning("this user does not exist")
                    .in_file(PASSWD)
                    .why("no login is possible")
                    .advice(format!(
                        "type: sudo useradd --create-home --shell /bin/bash {user}"
                    )),
            );
            return;
        };
        if !entry.has_shell() {
            missing.push(
                self.warning("the user has no login shell")
                    .in_file(PASSWD)
                    .why("the login ends at once")
                    .advice(format!("type: sudo usermod --shell /bin/bash {user}")),
            );
        }
        let shadow = machine.text_or_empty(SHADOW);
        let mut lines = shadow.lines().map(|line| line.split(':').collect());
        let Some(fields) = lines.find(|fields: &Vec<&str>| fields.first() == Some(&user)) else {
            return;
        };
        let field = |index: usize| fields.get(index).copied().unwrap_or_default();
        let entry = |what, why, command: &str| {
            self.warning(what)
                .in_file(SHADOW)
                .why(why)
                .advice(format!("type: sudo {command} {user}"))
        };
        if !field(1).starts_with(['!', '*']) {
            missing.push(entry(
                "it has a password",
                "other services may accept the password alone",
                "passwd -l",
            ));
        }
        let ends = field(4).parse().is_ok_and(|days: u32| days < UNLIMITED);
        if ends || !field(7).is_empty() {
            missing.push(entry(
                "the account or its password expires",
                "sshd then does not accept the login",
                "chage -M -1 -E -1",
            ));
        }
    }

    /// The rule of sudo.
    fn rule(&self, missing: &mut Vec<Finding>) {
        let user = self.user;
        if becomes_root(self.subject.machine, user) == Some(false) {
            missing.push(
                self.warning("it cannot become root by sudo without a password")
                    .in_file(RULE)
                    .why("sudo denies it when the module denies all logins")
                    .advice(format!(
                        "type: sudo visudo -f {RULE}; then write: {user} ALL=(ALL:ALL) NOPASSWD: ALL"
                    )),
            );
        }
    }
}

const PASSWD: &str = "/etc/passwd";
const SHADOW: &str = "/etc/shadow";

/// The user, if the condition selects one by name.
fn user_of(condition: &str) -> Option<&str> {
    let mut words = condition.split_whitespace();
    let keyword = words.next()?;
    let user = words.next()?;
    let is_one = keyword.eq_ignore_ascii_case("user") && words.next().is_none();
    (is_one && !user.contains(['*', '?', '!', ','])).then_some(user)
}

/// Whether a line is a public key of OpenSSH.
fn is_public_key(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let kind = words.next().unwrap_or_default();
    let is_kind = ["ssh-", "ecdsa-", "sk-"];
    // Each key begins with the length of the name of its kind, in four bytes.
    let has_key = words.next().is_some_and(|key| key.starts_with("AAAA"));
    is_kind.iter().any(|start| kind.starts_with(start)) && has_key
}

/// The names in a file of principals: options may precede each.
fn principals(text: &str) -> impl Iterator<Item = &str> {
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default());
    lines.filter_map(|line| line.split_whitespace().next_back())
}

/// Whether it is a name that many hosts have.
fn is_local(name: &str) -> bool {
    first_label(name).eq_ignore_ascii_case("localhost")
}

fn first_label(name: &str) -> &str {
    name.split('.').next().unwrap_or_default()
}

/// Whether a principal is a name of this host. The domain of a host with a short name is not known without DNS.
fn is_name_of(principal: &str, host: &str) -> bool {
    let short = first_label(host);
    let is_in_domain = !host.contains('.') && first_label(principal).eq_ignore_ascii_case(host);
    principal.eq_ignore_ascii_case(host) || principal.eq_ignore_ascii_case(short) || is_in_domain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_block_for_one_user() {
        assert_eq!(user_of("User breakglass"), Some("breakglass"));
        assert_eq!(user_of("user root"), Some("root"));
        for condition in [
            "User a,b",
            "User *",
            "User !a",
            "Group a",
            "User a Address 10.0.0.0/8",
            "all",
            "",
        ] {
            assert_eq!(user_of(condition), None, "{condition}");
        }
    }

    #[test]
    fn a_principal_is_the_host_name_with_or_without_its_domain() {
        for (principal, host) in [
            ("web1", "web1"),
            ("WEB1.example.com", "web1"),
            ("web1", "web1.example.com"),
            ("web1.example.com", "web1.example.com"),
        ] {
            assert!(is_name_of(principal, host), "{principal} {host}");
        }
        for (principal, host) in [
            ("web2", "web1"),
            ("web2.example.com", "web1"),
            ("web1.example.net", "web1.example.com"),
            ("breakglass", "web1"),
        ] {
            assert!(!is_name_of(principal, host), "{principal} {host}");
        }
        let text = "# web3\n\nfrom=\"10.0.0.1\" web1 # this host\nweb2\n";
        assert_eq!(principals(text).collect::<Vec<_>>(), ["web1", "web2"]);
    }

    #[test]
    fn a_public_key_is_not_a_private_one() {
        assert!(is_public_key("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 a"));
        assert!(is_public_key("sk-ssh-ed25519@openssh.com AAAAGnNr"));
        for line in [
            "",
            "ssh-ed25519",
            "-----BEGIN OPENSSH PRIVATE KEY-----",
            "# ssh-rsa AAAA",
        ] {
            assert!(!is_public_key(line), "{line}");
        }
    }
}
