//! The programs behind PAM services: which of them give a shell, which lock a screen, which show a prompt.

/// The account that a program with a stack opens to a user who has already logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// It is no such program.
    None,
    /// sudo and the like ask for the caller's own secrets.
    Own,
    /// su and the like ask for the secrets of another account.
    Others,
}

/// The account whose secrets the program of this service asks a logged-in user for.
pub(super) fn reach(name: &str) -> Reach {
    match name {
        "su" | "su-l" | "polkit-1" => Reach::Others,
        "sudo" | "sudo-i" | "doas" => Reach::Own,
        _ => Reach::None,
    }
}

/// Whether root runs the program of this service, for people who have not logged in yet.
pub(super) fn is_login(name: &str) -> bool {
    let greeters = ["gdm", "lightdm", "lxdm", "sddm", "xrdp"];
    let others = [
        "cockpit", "ftp", "greetd", "imap", "kde", "login", "pop3", "remote", "rlogin", "vsftpd",
        "xdm",
    ];
    greeters.iter().any(|start| name.starts_with(start)) || others.contains(&name)
}

/// Whether the program of this service shows the user no prompt but the one for the password.
pub(crate) fn hides_prompts(name: &str) -> bool {
    PROMPTLESS.contains(&name)
}

/// Whether the program of this service does not run as root.
pub(crate) fn runs_as_another_user(name: &str) -> bool {
    name == "postgresql"
}

/// Whether the program of this service serves its users one after another.
pub(crate) fn takes_turns(name: &str) -> bool {
    ["cups", "ocserv", "openvpn"].contains(&name)
}

/// Whether the program of this service uses the account and session lines of its stack, and no auth line.
pub(crate) fn needs_no_login(name: &str) -> bool {
    UNATTENDED.contains(&name)
}

/// What a login through this service gives a user; `None` for a service that is not known.
pub(crate) fn gives(name: &str) -> Option<&'static str> {
    let mut rows = GIVEN.iter();
    let row = rows.find(|(names, _)| names.contains(&name));
    row.map(|(_, gives)| *gives)
}

/// The name by which `enable` knows this service.
pub(crate) fn enabled_by(name: &str) -> Option<&'static str> {
    match name {
        "sshd" => Some("sshd"),
        "sudo" | "sudo-i" => Some("sudo"),
        "su" | "su-l" => Some("su"),
        "login" => Some("login"),
        _ => None,
    }
}

/// Services, and what a login through one of them gives a user.
const GIVEN: &[(&[&str], &str)] = &[
    (&["sshd"], "ssh logins"),
    (&["login"], "logins at the console"),
    (&["remote", "rlogin", "rsh"], "logins by telnet or rlogin"),
    (&["sudo", "sudo-i"], "commands as root"),
    (
        &["su", "su-l", "doas"],
        "commands as another user, such as root",
    ),
    (
        &["polkit-1"],
        "pkexec, run0, systemd-run and other programs that ask polkit",
    ),
    (&["cockpit"], "logins to Cockpit, with a terminal"),
    (&["xrdp-sesman"], "graphical logins over the network"),
    (
        &[
            "gdm-fingerprint",
            "gdm-password",
            "gdm-smartcard",
            "greetd",
            "lightdm",
            "lxdm",
            "sddm",
            "xdm",
        ],
        "graphical logins",
    ),
    (
        &["anacron", "atd", "cron", "crond"],
        "jobs that start without a login",
    ),
    (
        &["systemd-user"],
        "services of users, also after logout (linger)",
    ),
    (&["ftp", "proftpd", "vsftpd"], "files by FTP"),
    (&["samba"], "files by SMB"),
    (&["dovecot", "imap", "pop", "pop3", "smtp", "smtpd"], "mail"),
    (&["openvpn"], "a VPN"),
    (&["cups"], "the administration of printers"),
    (&["postgresql"], "a database"),
];

/// What is typed to reach this service.
pub(crate) fn typed(name: &str) -> &str {
    match name {
        "sudo-i" => "\"sudo -i\"",
        "su-l" => "\"su -\"",
        name => name,
    }
}

/// Services that give a shell, or root.
pub(super) const WAYS_IN: [&str; 9] = [
    "cockpit",
    "doas",
    "polkit-1",
    "sshd",
    "su",
    "su-l",
    "sudo",
    "sudo-i",
    "xrdp-sesman",
];

/// Services of lock screens.
pub(super) const LOCKS: &[&str] = &[
    "cinnamon-screensaver",
    "gnome-screensaver",
    "gtklock",
    "hyprlock",
    "i3lock",
    "kde",
    "kscreenlocker",
    "kscreensaver",
    "light-locker",
    "mate-screensaver",
    "physlock",
    "swaylock",
    "vlock",
    "waylock",
    "xfce4-screensaver",
    "xlock",
    "xscreensaver",
];

/// The service of the console.
pub(super) const CONSOLE: &str = "login";

/// Services of programs that know a name and a password and have no place for another prompt. To a visible
/// prompt, some of them answer with the name of the user: `OpenVPN` (without pairs of names), Dovecot, CUPS,
/// `ProFTPD`, Samba. The others end the login there: vsftpd, xrdp, Squid, `PostgreSQL`. saslauthd, which
/// serves mail programs, may crash.
const PROMPTLESS: [&str; 19] = [
    "cups",
    "dovecot",
    "ftp",
    "imap",
    "lmtp",
    "mupdate",
    "nntp",
    "openvpn",
    "pop",
    "pop3",
    "postgresql",
    "proftpd",
    "samba",
    "sieve",
    "smtp",
    "smtpd",
    "squid",
    "vsftpd",
    "xrdp-sesman",
];

/// Services of programs that start jobs for a user who is not there.
const UNATTENDED: [&str; 5] = ["anacron", "atd", "cron", "crond", "systemd-user"];
