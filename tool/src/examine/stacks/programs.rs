//! The programs behind PAM services: which of them give a shell, which lock a screen, which show a prompt.

use crate::examine::stacks::judge::Reach;

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
pub(super) fn hides_prompts(name: &str) -> bool {
    PROMPTLESS.contains(&name)
}

/// Whether the program of this service uses the account and session lines of its stack, and no auth line.
pub(super) fn needs_no_login(name: &str) -> bool {
    UNATTENDED.contains(&name)
}

/// A service, one that belongs to it, and what is typed to reach that.
pub(super) const TWINS: [(&str, &str, &str); 4] = [
    ("sudo", "sudo-i", "\"sudo -i\""),
    ("sudo-i", "sudo", "sudo"),
    ("su", "su-l", "\"su -\""),
    ("su-l", "su", "su"),
];

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
