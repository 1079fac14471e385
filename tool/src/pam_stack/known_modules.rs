//! What is known of other modules: what authenticate of theirs may return, and what for they are.

use crate::pam_stack::{
    ABORT, AUTH_ERR, AUTHINFO_UNAVAIL, Code, Entry, IGNORE, Kind, PERM_DENIED, SUCCESS, Stack,
    USER_UNKNOWN,
};

/// What a module is in a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// `pam_onelogin`
    Ours,
    /// Proves who the user is.
    Factor,
    /// Looks at something that the user need not prove.
    Gate,
    /// Says whether the caller is root.
    Root,
    /// Always says yes.
    Permit,
    /// Always says no.
    Deny,
    /// Prepares something, and decides nothing.
    Aside,
    /// Nothing is known of it.
    Unknown,
}

const FACTORS: &[&str] = &[
    "pam_aad",
    "pam_duo",
    "pam_fprintd",
    "pam_google_authenticator",
    "pam_himmelblau",
    "pam_kanidm",
    "pam_krb5",
    "pam_ldap",
    "pam_mysql",
    "pam_oath",
    "pam_p11",
    "pam_pgsql",
    "pam_pkcs11",
    "pam_radius_auth",
    "pam_securid",
    "pam_ssh_agent_auth",
    "pam_sss",
    "pam_sss_gss",
    "pam_systemd_home",
    "pam_tacplus",
    "pam_tcb",
    "pam_u2f",
    "pam_unix",
    "pam_unix2",
    "pam_userdb",
    "pam_winbind",
    "pam_yubico",
];

/// Factors that are no password.
const SECONDS: &[&str] = &[
    "pam_duo",
    "pam_fprintd",
    "pam_google_authenticator",
    "pam_oath",
    "pam_p11",
    "pam_pkcs11",
    "pam_ssh_agent_auth",
    "pam_u2f",
    "pam_yubico",
];

/// Factors that ask for a code or a push, as OneLogin does.
const CODES: &[&str] = &[
    "pam_duo",
    "pam_google_authenticator",
    "pam_oath",
    "pam_securid",
    "pam_yubico",
];

const GATES: &[&str] = &[
    "pam_abl",
    "pam_access",
    "pam_cockpit_cert",
    "pam_exec",
    "pam_faillock",
    "pam_ftp",
    "pam_listfile",
    "pam_localuser",
    "pam_nologin",
    "pam_python",
    "pam_rhosts",
    "pam_script",
    "pam_securetty",
    "pam_selinux_permit",
    "pam_sepermit",
    "pam_shells",
    "pam_succeed_if",
    "pam_tally",
    "pam_tally2",
    "pam_time",
    "pam_timestamp",
    "pam_usertype",
    "pam_wheel",
];

/// Of the gates those that do no more than look.
const PLAIN_GATES: &[&str] = &[
    "pam_access",
    "pam_listfile",
    "pam_nologin",
    "pam_securetty",
    "pam_shells",
    "pam_succeed_if",
    "pam_time",
    "pam_usertype",
    "pam_wheel",
];

/// Arguments by which a factor returns `PAM_IGNORE`: for users that it does not know, while its
/// server is down, or for users who have set up nothing.
const IGNORING: &[&str] = &[
    "ignore_authinfo_unavail",
    "ignore_unknown_user",
    "localifdown",
    "nouserok",
    "unknown_ok",
];

const ASIDE: &[&str] = &[
    "pam_afs_session",
    "pam_cap",
    "pam_cgfs",
    "pam_ck_connector",
    "pam_echo",
    "pam_ecryptfs",
    "pam_env",
    "pam_faildelay",
    "pam_gnome_keyring",
    "pam_group",
    "pam_issue",
    "pam_keyinit",
    "pam_kwallet",
    "pam_kwallet5",
    "pam_lastlog",
    "pam_limits",
    "pam_loginuid",
    "pam_mail",
    "pam_mkhomedir",
    "pam_motd",
    "pam_mount",
    "pam_namespace",
    "pam_oddjob_mkhomedir",
    "pam_reauthorize",
    "pam_selinux",
    "pam_ssh_add",
    "pam_systemd",
    "pam_systemd_loadkey",
    "pam_tty_audit",
    "pam_umask",
    "pam_warn",
    "pam_xauth",
];

/// The name of our module, without ".so".
pub(crate) const OURS: &str = "pam_onelogin";

/// The argument of ours that denies each login without a key that sshd has accepted.
pub(crate) const BEHIND_KEY: &str = "behind=key";

impl Stack {
    /// The lines of ours that are asked in a login.
    pub(crate) fn ours(&self) -> impl Iterator<Item = &Entry> {
        let chain = self.chain(Kind::Auth).iter();
        chain.filter(|entry| entry.is(OURS))
    }
}

/// The names of the modules that are known, without ours and without ".so".
pub(crate) fn others() -> impl Iterator<Item = &'static str> {
    let lists = [
        FACTORS,
        GATES,
        ASIDE,
        &["pam_rootok", "pam_permit", "pam_deny"],
    ];
    lists.into_iter().flatten().copied()
}

/// What this line is for.
pub(crate) fn role(entry: &Entry) -> Role {
    match name(entry) {
        // It takes note of a success.
        "pam_faillock" if has(entry, "authsucc") => Role::Aside,
        OURS => Role::Ours,
        "pam_rootok" => Role::Root,
        "pam_permit" => Role::Permit,
        "pam_deny" => Role::Deny,
        name if FACTORS.contains(&name) => Role::Factor,
        name if GATES.contains(&name) => Role::Gate,
        name if ASIDE.contains(&name) => Role::Aside,
        _ => Role::Unknown,
    }
}

/// Whether it is a factor other than the password.
pub(crate) fn is_second(entry: &Entry) -> bool {
    SECONDS.contains(&name(entry))
}

/// Whether it asks for a code or a push, as OneLogin does.
pub(crate) fn asks_for_code(entry: &Entry) -> bool {
    CODES.contains(&name(entry))
}

/// Whether it checks a password.
pub(crate) fn is_password(entry: &Entry) -> bool {
    role(entry) == Role::Factor && !is_second(entry)
}

fn name(entry: &Entry) -> &str {
    let name = entry.module().unwrap_or_default();
    name.strip_suffix(".so").unwrap_or(name)
}

/// Whether it may check a password although nothing says so: it is unknown, or runs something of the
/// admin.
pub(crate) fn may_be_password(entry: &Entry) -> bool {
    let runs = ["pam_exec", "pam_python", "pam_script"];
    role(entry) == Role::Unknown || runs.contains(&name(entry))
}

/// Whether it is a gate that looks at the user or the place, and at nothing else.
pub(crate) fn is_plain_gate(entry: &Entry) -> bool {
    PLAIN_GATES.contains(&name(entry))
}

/// Whether a factor returns `PAM_IGNORE` for some users, or while its server is down.
pub(crate) fn may_ignore(entry: &Entry) -> bool {
    let mut words = entry.arguments().iter();
    let is_one = |word: &String| {
        let word = word.split('=').next().unwrap_or_default();
        IGNORING.contains(&word.to_ascii_lowercase().as_str())
    };
    role(entry) == Role::Factor && words.any(is_one)
}

/// Whether this is among the arguments of a line.
pub(crate) fn has(entry: &Entry, word: &str) -> bool {
    entry.arguments().iter().any(|argument| argument == word)
}

/// What modules return, the usual ones first.
const MAY_SAY_ANYTHING: &[Code] = &[
    IGNORE,
    SUCCESS,
    AUTH_ERR,
    USER_UNKNOWN,
    AUTHINFO_UNAVAIL,
    PERM_DENIED,
    // service_err, system_err, cred_insufficient, maxtries, acct_expired, conv_err
    3,
    4,
    8,
    11,
    13,
    19,
    ABORT,
];

/// Without `PAM_IGNORE`, with which no factor is asked for.
const SAYS_NO_OR_YES: &[Code] = match MAY_SAY_ANYTHING.split_first() {
    Some((_, others)) => others,
    None => &[],
};

/// What authenticate of this line may return; of ours `None`.
pub(crate) fn returns(entry: &Entry) -> Option<&'static [Code]> {
    Some(match role(entry) {
        Role::Ours => return None,
        Role::Gate if entry.is("pam_faillock") && has(entry, "authfail") => &[AUTH_ERR],
        // A user who has set up none passes.
        Role::Factor if is_second(entry) && has(entry, "nullok") => MAY_SAY_ANYTHING,
        Role::Factor if may_ignore(entry) => MAY_SAY_ANYTHING,
        Role::Aside if has(entry, "authsucc") => &[SUCCESS],
        Role::Factor => SAYS_NO_OR_YES,
        Role::Root => &[SUCCESS, AUTH_ERR],
        Role::Permit => &[SUCCESS],
        Role::Deny => &[AUTH_ERR],
        Role::Aside => &[SUCCESS, IGNORE],
        Role::Gate | Role::Unknown => MAY_SAY_ANYTHING,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_in_order() {
        for list in [FACTORS, SECONDS, CODES, GATES, PLAIN_GATES, IGNORING, ASIDE] {
            assert!(list.is_sorted(), "{list:?}");
        }
    }
}
