//! Who must pass, who is exempt, and by which name OneLogin knows them. Pure: what the system says
//! comes in through [`People`].

use crate::config::dates::{Dates, Lapse};
use crate::config::{Config, FirstFactor, Term, Users, Whom};
use crate::group::{Groups, PatternList};
use crate::map::{Map, UserKey, is_searchable};
use crate::secret::Secret;

/// What the host program asks, read from the PAM handle once.
#[derive(Default)]
pub struct Request {
    /// `PAM_USER`; `None` when it is absent or not UTF-8.
    pub user: Option<String>,
    /// `PAM_SERVICE`, such as `sshd`.
    pub service: String,
    /// `PAM_RHOST`: logged, and the origin of the login where the host is neither sshd nor setuid (only if it is an IP address).
    pub rhost: Option<String>,
    /// `PAM_TTY`.
    pub tty: Option<String>,
    /// `PAM_RUSER`: only logged.
    pub ruser: Option<String>,
    /// `SSH_CONNECTION` in the PAM environment: the host is sshd.
    pub ssh_connection: Option<String>,
    /// `SSH_AUTH_INFO_0` in the PAM environment is not empty: sshd has accepted a method before.
    pub ssh_auth_info: bool,
    /// One of its lines is of a key.
    pub ssh_key: bool,
    /// `PAM_AUTHTOK`: a module before us has asked for a password.
    pub password: Option<Secret>,
}

/// A line of the passwd database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The login name as the database spells it.
    pub name: String,
    /// The numeric id.
    pub uid: u32,
}

/// The process's user ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uids {
    /// Who started the process.
    pub real: u32,
    /// Whose rights it has.
    pub effective: u32,
    /// Whose rights it can take again.
    pub saved: u32,
}

impl Uids {
    /// Whether the user who started the process can stop it, signal it or limit its resources
    /// although it runs with other rights, as in sudo and su.
    #[must_use]
    pub fn is_setuid(self) -> bool {
        self.real != self.effective
    }
}

/// The system's users and groups could not be asked, or do not fit together: what could not be looked
/// up, for the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LookupFailed(pub String);

impl LookupFailed {
    /// The one value that stands for all in lists of reasons.
    pub fn all() -> impl Iterator<Item = Self> {
        std::iter::once(Self::default())
    }
}

/// What the log says of a group that does not exist.
#[must_use]
pub fn no_such_group(name: &str) -> String {
    format!("there is no group {name}")
}

/// What the system says about people.
pub trait People {
    /// The user ids of this process.
    fn uids(&self) -> Uids;
    /// The account with this name.
    ///
    /// # Errors
    /// [`LookupFailed`] when the system could not be asked; that is not "no such user".
    fn by_name(&self, name: &str) -> Result<Option<Account>, LookupFailed>;
    /// The account with this uid.
    ///
    /// # Errors
    /// As [`People::by_name`].
    fn by_uid(&self, uid: u32) -> Result<Option<Account>, LookupFailed>;
    /// The groups of the account, and which of the groups that the configuration names are among
    /// them, by gid.
    ///
    /// # Errors
    /// As [`People::by_name`]; also when one of the named groups does not exist, or a group of the
    /// account has no name.
    fn groups(&self, account: &Account, named: &[&str]) -> Result<Groups, LookupFailed>;
    /// Whether the system says that there is no such group. That does not depend on a user. A look-up
    /// that fails says nothing.
    fn lacks_group(&self, name: &str) -> bool;
}

/// Who must pass.
#[derive(Debug, PartialEq, Eq)]
pub enum Who {
    /// A user who must pass.
    Subject(Subject),
    /// A user whom the administrator exempted.
    Exempt {
        /// The Unix name.
        name: String,
        /// Which exemption.
        exemption: Exemption,
    },
    /// A name that the system does not know: the same prompt as for others, and no call.
    NoAccount,
    /// The user cannot be identified.
    Unclear(Unclear),
    /// The configuration names this group, which does not exist. It is so for every name that is not in
    /// `users.exempt_users`, also for one that the system does not know: no user has to be hidden (rule R13).
    NoSuchGroup(String),
}

/// A user who must pass.
#[derive(Debug, PartialEq, Eq)]
pub struct Subject {
    /// The Unix name, as passwd spells it.
    pub name: String,
    /// The numeric id.
    pub uid: u32,
    /// The name or id to look up at OneLogin.
    pub key: Result<UserKey, Unfit>,
    /// Whether something before us has proven the user.
    pub proof: Proof,
    /// Why an entry of `users.exempt` does not exempt this user.
    pub lapse: Option<Lapse>,
}

/// Why there is no name or id to look up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// The name must not be sent (rule R5).
    Name,
    /// `match = "map"`, and the map has no entry.
    NotMapped,
}

/// Whether something before us has proven the user. Until then nothing about the user is shown and
/// nothing is activated (rule R13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It has.
    Proven,
    /// Nothing has.
    Unproven,
}

listed! {
    /// Which exemption applied.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum Exemption {
        /// `users.exempt_users`
        User,
        /// `users.exempt_groups`
        Group,
        /// An entry of `users.exempt` that applies.
        Dated(Term),
        /// In no group that `users.groups` means.
        OtherGroups,
        /// `users.unknown = "exempt"`
        Unknown,
        /// `users.no_factor = "exempt"`
        NoFactor,
    }
}

impl Exemption {
    /// How long it applies, and why, for the log.
    #[must_use]
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::Dated(term) => Some(term.to_string()),
            Self::User | Self::Group | Self::OtherGroups | Self::Unknown | Self::NoFactor => None,
        }
    }
}

listed! {
    /// Why the user who must pass cannot be identified.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum Unclear {
        /// The real uid that must pass has no passwd entry, or its name belongs to another uid.
        Caller(LookupFailed),
        /// The passwd database could not be asked.
        Passwd(LookupFailed),
        /// The group database could not be asked.
        Groups(LookupFailed),
    }
}

impl Unclear {
    /// What could not be looked up, for the log.
    #[must_use]
    pub fn detail(&self) -> &str {
        match self {
            Self::Caller(failed) | Self::Passwd(failed) | Self::Groups(failed) => &failed.0,
        }
    }
}

/// Finds out who must pass, and whether something before us has proven them: `PAM_USER`, or the
/// caller where another user's process is on its way to root (su to root, sudo with rootpw).
#[must_use]
pub fn who(
    request: &Request,
    config: &Config,
    map: &Map,
    dates: Dates,
    people: &dyn People,
) -> (Who, Proof) {
    let uids = people.uids();
    let account = account(request, uids, people);
    let uid = account.as_ref().ok().map(|account| account.uid);
    let proof = proof(request, config.first_factor, uids, uid);
    let users = &config.users;
    let exempt = |name: String, exemption| Who::Exempt { name, exemption };
    let mut lapse = None;
    if let Ok(account) = &account {
        if users.exempt_users.contains(&account.name) {
            return (exempt(account.name.clone(), Exemption::User), proof);
        }
        let is_meant = |whom: &Whom| matches!(whom, Whom::User(name) if *name == account.name);
        if let Some(term) = term(users, dates, is_meant, &mut lapse) {
            return (exempt(account.name.clone(), Exemption::Dated(term)), proof);
        }
    }
    // Before anything else that depends on the user, and also where there is no account.
    if let Some(name) = users.named_groups().find(|name| people.lacks_group(name)) {
        return (Who::NoSuchGroup(name.to_owned()), proof);
    }
    let account = match account {
        Ok(account) => account,
        Err(who) => return (who, proof),
    };
    let who = match exempt_by_group(&account, users, dates, people, &mut lapse) {
        Ok(Some(exemption)) => exempt(account.name, exemption),
        Ok(None) => Who::Subject(Subject {
            key: key(&account.name, users, map),
            name: account.name,
            uid: account.uid,
            proof,
            lapse,
        }),
        Err(failed) => Who::Unclear(Unclear::Groups(failed)),
    };
    (who, proof)
}

/// The account that must pass. `Err`: there is no such account, or the system cannot tell.
fn account(request: &Request, uids: Uids, people: &dyn People) -> Result<Account, Who> {
    let failed = |failed| Who::Unclear(Unclear::Passwd(failed));
    let name = request.user.as_deref().ok_or(Who::NoAccount)?;
    let target = people.by_name(name).map_err(failed)?;
    let target = target.ok_or(Who::NoAccount)?;
    if uids.real == 0 || uids.effective != 0 || target.uid == uids.real {
        return Ok(target);
    }
    let uid = uids.real;
    let unclear = |why: String| Err(Who::Unclear(Unclear::Caller(LookupFailed(why))));
    match caller(uid, people).map_err(failed)? {
        Caller::Known(caller) if target.uid == 0 => Ok(caller),
        // The host names its caller, and the name is another user's.
        Caller::Named(caller) if target.uid == 0 || caller == target.name => unclear(format!(
            "uid {uid} has the name {caller}, which belongs to another uid"
        )),
        Caller::Unknown if target.uid == 0 => unclear(format!("uid {uid} has no name")),
        Caller::Known(_) | Caller::Named(_) | Caller::Unknown => Ok(target),
    }
}

/// Who has a uid.
enum Caller {
    /// This account.
    Known(Account),
    /// An account whose name means another uid: with two stores of users, the exemption and the
    /// OneLogin user of that name would be taken for the caller's.
    Named(String),
    /// No account.
    Unknown,
}

fn caller(uid: u32, people: &dyn People) -> Result<Caller, LookupFailed> {
    let Some(caller) = people.by_uid(uid)? else {
        return Ok(Caller::Unknown);
    };
    let named = people.by_name(&caller.name)?;
    Ok(match named.filter(|named| named.uid == uid) {
        Some(named) => Caller::Known(named),
        None => Caller::Named(caller.name),
    })
}

/// The term of an entry of `users.exempt` that applies to a user; else why one does not, in `lapse`.
fn term(
    users: &Users,
    dates: Dates,
    is_meant: impl Fn(&Whom) -> bool,
    lapse: &mut Option<Lapse>,
) -> Option<Term> {
    let entries = users.exempt.iter().filter(|entry| is_meant(&entry.whom));
    for entry in entries {
        match dates.apply(entry.term.until) {
            Ok(()) => return Some(entry.term.clone()),
            Err(why) => *lapse = Some(why),
        }
    }
    None
}

fn exempt_by_group(
    account: &Account,
    users: &Users,
    dates: Dates,
    people: &dyn People,
    lapse: &mut Option<Lapse>,
) -> Result<Option<Exemption>, LookupFailed> {
    let lists = users.groups.as_deref();
    let named: Vec<&str> = users.named_groups().collect();
    if named.is_empty() && lists.is_none() {
        return Ok(None);
    }
    let groups = people.groups(account, &named)?;
    if users.exempt_groups.iter().any(|group| groups.has(group)) {
        return Ok(Some(Exemption::Group));
    }
    let is_meant = |whom: &Whom| whom.group().is_some_and(|group| groups.has(group));
    if let Some(term) = term(users, dates, is_meant, lapse) {
        return Ok(Some(Exemption::Dated(term)));
    }
    let is_meant = |lists: &[PatternList]| lists.iter().any(|list| list.matches(&groups));
    Ok((!lists.is_none_or(is_meant)).then_some(Exemption::OtherGroups))
}

/// Whether something before us has proven the account with this uid. A real uid that is not root's
/// proves the account that has it and no other: a user who runs `su bob` has not proven to be bob.
fn proof(request: &Request, first_factor: FirstFactor, uids: Uids, subject: Option<u32>) -> Proof {
    // sshd gives unknown and forbidden users a password that cannot have been typed.
    let is_typed = |password: &Secret| password.all(|c| !c.is_control());
    let has_password = request.password.as_ref().is_some_and(is_typed);
    let is_own_process = uids.real != 0 && subject == Some(uids.real);
    let shown = request.ssh_auth_info || has_password || is_own_process;
    if shown || first_factor == FirstFactor::Assumed {
        Proof::Proven
    } else {
        Proof::Unproven
    }
}

/// The map wins over the Unix name, with or without a domain.
fn key(name: &str, users: &Users, map: &Map) -> Result<UserKey, Unfit> {
    if let Some(key) = map.get(name) {
        return Ok(key.clone());
    }
    if users.attribute.is_none() {
        return Err(Unfit::NotMapped);
    }
    let full = match &users.append_domain {
        Some(domain) => format!("{name}@{domain}"),
        None => name.to_owned(),
    };
    if !name.is_empty() && is_searchable(&full) {
        Ok(UserKey::Name(full))
    } else {
        Err(Unfit::Name)
    }
}

#[cfg(test)]
mod tests;
