//! The services that can be enabled, and where their stacks are.

use crate::pam_stack::FOLDERS;
use std::path::{Path, PathBuf};

/// A service with its stacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Service {
    /// SSH logins
    Sshd,
    /// sudo and sudo -i
    Sudo,
    /// su and su -
    Su,
    /// Console logins
    Login,
    /// All services, through pam-auth-update (Debian, Ubuntu)
    All,
}

impl Service {
    pub(crate) const EACH: [Self; 5] = [Self::Sshd, Self::Sudo, Self::Su, Self::Login, Self::All];

    /// Its name on the command line, and in the records.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sshd => "sshd",
            Self::Sudo => "sudo",
            Self::Su => "su",
            Self::Login => "login",
            Self::All => "all",
        }
    }

    /// Its stacks; the first one must exist.
    pub(crate) fn stacks(self) -> &'static [&'static str] {
        match self {
            Self::Sshd => &["sshd"],
            Self::Sudo => &["sudo", "sudo-i"],
            Self::Su => &["su", "su-l"],
            Self::Login => &["login"],
            Self::All => &[],
        }
    }

    /// The services whose logins may use the stacks that change with it.
    pub(crate) fn logins(self) -> &'static [&'static str] {
        match self {
            Self::All => &["login", "sshd", "sudo", "sudo-i", "su", "su-l"],
            other => other.stacks(),
        }
    }

    /// How to make a second login, for messages.
    pub(crate) fn second_login(self, user: &str) -> String {
        match self {
            Self::Sshd => format!("ssh {user}@HOST"),
            Self::Sudo => format!("as {user}: sudo -k id"),
            Self::Su => format!("su {user} -c id"),
            Self::Login => "a login at the console".to_owned(),
            Self::All => format!("as {user}: sudo -k id, and: ssh {user}@HOST"),
        }
    }
}

/// The file of a stack that the tool writes.
pub(crate) fn path(stack: &str) -> PathBuf {
    Path::new("/etc/pam.d").join(stack)
}

/// The file that libpam uses: that one, or else one that the distribution ships in another folder.
pub(crate) fn used(stack: &str) -> Option<PathBuf> {
    let mut paths = FOLDERS.iter().map(|folder| Path::new(folder).join(stack));
    paths.find(|path| path.exists())
}

/// The stacks of a service that exist.
pub(crate) fn present_stacks(service: Service) -> impl Iterator<Item = &'static str> {
    let all = service.stacks().iter().copied();
    all.filter(|stack| used(stack).is_some())
}
