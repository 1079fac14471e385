//! The keywords of sshd's settings that matter here.

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Keyword {
    CaKeys,
    GraceTime,
    Gssapi,
    GssapiKeyExchange,
    Hostbased,
    KbdInteractive,
    Kerberos,
    KeysCommand,
    KeysFile,
    ListenAddress,
    MaxTries,
    Methods,
    Password,
    PidFile,
    Principals,
    Pubkey,
    RootLogin,
    Service,
    UsePam,
}

impl Keyword {
    /// By its name, or a former name; upper and lower case do not matter.
    pub(crate) fn of(word: &str) -> Option<Self> {
        let mut rows = KEYWORDS.iter().chain(&OLD);
        let row = rows.find(|(_, name, _)| name.eq_ignore_ascii_case(word));
        row.map(|(keyword, ..)| *keyword)
    }

    /// As it is written in `sshd_config`.
    pub(crate) fn name(self) -> &'static str {
        self.row().0
    }

    /// The default value.
    pub(crate) fn default(self) -> &'static str {
        self.row().1
    }

    fn row(self) -> (&'static str, &'static str) {
        let row = KEYWORDS.iter().find(|(keyword, ..)| *keyword == self);
        row.map_or(("", ""), |(_, name, default)| (name, default))
    }
}

type Row = (Keyword, &'static str, &'static str);

/// Each with its name and its default value.
const KEYWORDS: [Row; 19] = [
    (Keyword::CaKeys, "TrustedUserCAKeys", "none"),
    (Keyword::GraceTime, "LoginGraceTime", "120"),
    (Keyword::Gssapi, "GSSAPIAuthentication", "no"),
    (Keyword::GssapiKeyExchange, "GSSAPIKeyExchange", "no"),
    (Keyword::Hostbased, "HostbasedAuthentication", "no"),
    (
        Keyword::KbdInteractive,
        "KbdInteractiveAuthentication",
        "yes",
    ),
    (Keyword::Kerberos, "KerberosAuthentication", "no"),
    (Keyword::KeysCommand, "AuthorizedKeysCommand", ""),
    (
        Keyword::KeysFile,
        "AuthorizedKeysFile",
        ".ssh/authorized_keys .ssh/authorized_keys2",
    ),
    (Keyword::ListenAddress, "ListenAddress", ""),
    (Keyword::MaxTries, "MaxAuthTries", "6"),
    (Keyword::Methods, "AuthenticationMethods", "any"),
    (Keyword::Password, "PasswordAuthentication", "yes"),
    (Keyword::PidFile, "PidFile", ""),
    (Keyword::Principals, "AuthorizedPrincipalsFile", "none"),
    (Keyword::Pubkey, "PubkeyAuthentication", "yes"),
    (Keyword::RootLogin, "PermitRootLogin", "prohibit-password"),
    (Keyword::Service, "PAMServiceName", "sshd"),
    (Keyword::UsePam, "UsePAM", "no"),
];

/// Former names.
const OLD: [Row; 3] = [
    (
        Keyword::KbdInteractive,
        "ChallengeResponseAuthentication",
        "",
    ),
    (Keyword::KbdInteractive, "SkeyAuthentication", ""),
    (Keyword::Pubkey, "DSAAuthentication", ""),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_leads_to_one_keyword() {
        for (keyword, name, _) in KEYWORDS {
            assert_eq!(Keyword::of(name), Some(keyword), "{name}");
            assert_eq!(keyword.name(), name);
        }
    }
}
