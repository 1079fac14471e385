//! Rewrites the whole stack of a service so that it asks OneLogin after the first factor. The judge decides
//! whether the result is good.

use crate::pam_stack::edit::Behind;
use crate::pam_stack::known_modules::{
    BEHIND_KEY, OURS, Role, has, is_password, is_plain_gate, may_ignore, role,
};
use crate::pam_stack::{Body, Entry, Files, Kind, Says, Stack, goes_on, open, says};

/// A rewritten stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rewritten {
    /// The whole file.
    pub(crate) text: String,
    /// Its lines for auth.
    pub(crate) auth: Vec<String>,
    /// The lines that are no longer used: `path:line: module`.
    pub(crate) lost: Vec<String>,
}

/// Rewrites the stack of this service. `None` if a line is not one of the simple ones whose meaning is known,
/// or if the effect on lines of other types is unknown.
pub(crate) fn rewrite(
    name: &str,
    service: &Stack,
    files: Files<'_>,
    behind: Behind,
) -> Option<Rewritten> {
    let path = service.path.as_ref()?;
    let old = files(path)?;
    let new = Auth::of(name, service.chain(Kind::Auth), behind)?;
    let auth = new.lines();
    let block = auth.join("\n") + "\n";
    let mut text = String::new();
    let mut is_written = false;
    for line in old.lines() {
        if keeps(line, files, 0)? {
            text.push_str(line.trim_end());
            text.push('\n');
        } else if !is_written {
            text.push_str(&block);
            is_written = true;
        }
    }
    if !is_written {
        text.insert_str(0, &block);
    }
    Some(Rewritten {
        text,
        auth,
        lost: new.lost,
    })
}

/// Whether a line stays because it has nothing to do with auth. `None` if that is unknown.
fn keeps(line: &str, files: Files<'_>, depth: usize) -> Option<bool> {
    if goes_on(line) || depth > MAX_DEPTH {
        return None;
    }
    let name = match says(line)? {
        Says::Nothing | Says::Other => return Some(true),
        Says::Auth { .. } => return Some(false),
        Says::Include(name) => name,
    };
    let (_, text) = open(&name, files)?;
    let mut has_auth = false;
    let mut has_others = false;
    for line in text.lines() {
        let is_kept = keeps(line, files, depth + 1)?;
        has_auth |= !is_kept;
        has_others |= is_kept && says(line) != Some(Says::Nothing);
    }
    // A file with both can neither stay nor go.
    (has_auth != has_others).then_some(has_others)
}

/// The lines for auth, in their order.
#[derive(Default)]
struct Auth {
    before: Vec<String>,
    password: Option<String>,
    /// The arguments of `pam_faillock authfail` and `authsucc`, with that word.
    authfail: Option<String>,
    authsucc: Option<String>,
    ours: Option<Vec<String>>,
    after: Vec<String>,
    lost: Vec<String>,
    behind_key: bool,
    /// Whether `pam_faillock` counts wrong passwords.
    counts: bool,
}

impl Auth {
    fn of(name: &str, chain: &[Entry], behind: Behind) -> Option<Self> {
        let mut auth = Self {
            behind_key: behind == Behind::Key,
            ..Self::default()
        };
        let number = |word| {
            let entries = chain.iter();
            let with = entries.filter(|entry| entry.is("pam_faillock") && has(entry, word));
            with.count()
        };
        auth.counts = match ["preauth", "authfail", "authsucc"].map(number) {
            [0, 0, 0] => false,
            [1, 1, 0 | 1] => true,
            _ => return None,
        };
        for entry in chain.iter().filter(|entry| entry.body != Body::Substack) {
            auth.take(name, entry)?;
        }
        let is_known = if auth.behind_key {
            // A stack that asks for the password, and OneLogin, behind a key has three factors.
            auth.ours.is_none() || auth.password.is_none()
        } else {
            auth.password.is_some()
        };
        is_known.then_some(auth)
    }

    /// Takes one line. `None` if it is not one of the simple ones whose meaning is known.
    fn take(&mut self, name: &str, entry: &Entry) -> Option<()> {
        let Body::Module { name: module, .. } = &entry.body else {
            return None;
        };
        let control = entry.control_text.to_ascii_lowercase();
        let is_required = ["required", "requisite"].contains(&control.as_str());
        let is_sufficient = control == "sufficient";
        if entry.is_quiet && (role(entry) != Role::Aside || entry.is("pam_faillock")) {
            return None;
        }
        match role(entry) {
            Role::Ours => {
                let others = entry.arguments().iter().filter(|word| *word != BEHIND_KEY);
                let words = written(others)?;
                if *self.ours.get_or_insert_with(|| words.clone()) != words {
                    return None;
                }
            }
            Role::Permit | Role::Deny if is_required || is_sufficient => {}
            Role::Factor if is_password(entry) => {
                if self.password.is_some() || may_ignore(entry) || has(entry, "use_first_pass") {
                    return None;
                }
                let words = entry.arguments().iter();
                let words = words.filter(|word| !EMPTY.contains(&word.as_str()));
                let words = written(words)?;
                self.password = Some([vec![module.clone()], words].concat().join(" "));
            }
            _ if entry.is("pam_faillock") => {
                let is_usual = is_required
                    || is_sufficient && has(entry, "authsucc")
                    || control == "default=die" && has(entry, "authfail");
                if !self.counts || !is_usual {
                    return None;
                }
                let words = written(entry.arguments())?.join(" ");
                if has(entry, "authfail") {
                    self.authfail = Some(words);
                } else if has(entry, "authsucc") {
                    self.authsucc = Some(words);
                } else {
                    self.before.push(line(&control, module, entry.arguments())?);
                }
            }
            Role::Root if is_sufficient && (name == "su" || name == "su-l") => {
                self.before.push(line(&control, module, entry.arguments())?);
            }
            Role::Aside if is_required || control == "optional" => self.keep(&control, entry)?,
            Role::Gate if is_required && is_plain_gate(entry) => self.keep(&control, entry)?,
            // It succeeds, or has no effect.
            Role::Gate | Role::Root | Role::Factor if is_sufficient => self.lost.push(format!(
                "{}:{}: {}",
                entry.path.display(),
                entry.line,
                entry.module().unwrap_or_default()
            )),
            _ => return None,
        }
        Some(())
    }

    /// Keeps a line where it is, before or after the password.
    fn keep(&mut self, control: &str, entry: &Entry) -> Option<()> {
        let Body::Module { name: module, .. } = &entry.body else {
            return None;
        };
        let dash = if entry.is_quiet { "-" } else { "" };
        let line = line(control, module, entry.arguments())?;
        let side = if self.password.is_none() {
            &mut self.before
        } else {
            &mut self.after
        };
        side.push(format!("{dash}{line}"));
        Some(())
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = self.before.clone();
        let mut push = |control: &str, rest: &str| lines.push(format!("auth {control} {rest}"));
        let mut ours = format!("{OURS}.so");
        if self.behind_key {
            ours = format!("{ours} {BEHIND_KEY}");
        }
        for word in self.ours.iter().flatten() {
            ours = format!("{ours} {word}");
        }
        if self.behind_key {
            push("requisite", &ours);
            push("required", "pam_permit.so");
        } else if let Some(password) = &self.password {
            if self.counts {
                push("[success=1 default=ignore]", password);
                let authfail = self.authfail.as_deref().unwrap_or("authfail");
                push("[default=die]", &format!("pam_faillock.so {authfail}"));
                let authsucc = self.authsucc.clone();
                let authsucc = authsucc.unwrap_or_else(|| authfail.replace("authfail", "authsucc"));
                let control = "[success=1 default=ignore]";
                push(control, &format!("pam_faillock.so {authsucc}"));
                push("requisite", "pam_deny.so");
                // For exempt users: after a jump, their PAM_IGNORE alone would be a denial.
                push("required", "pam_permit.so");
            } else {
                push("requisite", password);
            }
            push("required", &ours);
        }
        lines.extend(self.after.iter().cloned());
        lines
    }
}

/// An auth line. `None` if one of its words cannot be written.
pub(super) fn line(control: &str, module: &str, arguments: &[String]) -> Option<String> {
    let words = written(arguments)?;
    Some(
        [vec![format!("auth {control} {module}")], words]
            .concat()
            .join(" "),
    )
}

/// Words as they are written in a stack.
fn written<'a>(words: impl IntoIterator<Item = &'a String>) -> Option<Vec<String>> {
    words.into_iter().map(|word| argument(word)).collect()
}

/// A word as it is written in a stack.
fn argument(word: &str) -> Option<String> {
    match word.contains([' ', '\t', '[', ']', '#', '\\', '\r']) {
        false => Some(word.to_owned()),
        true if word.contains([']', '[', '\\', '#', '\r']) => None,
        true => Some(format!("[{word}]")),
    }
}

/// Arguments that allow an empty password.
const EMPTY: [&str; 2] = ["nullok", "nullok_secure"];

/// How deep files may include files.
const MAX_DEPTH: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pam_stack;
    use std::path::Path;

    const COMMON: &str = "auth [success=1 default=ignore] pam_unix.so nullok\n\
                          auth requisite pam_deny.so\nauth required pam_permit.so\n";
    const MIXED: &str = "auth sufficient pam_unix.so\naccount required pam_unix.so\n";

    fn auth(name: &str, text: &str, behind: Behind) -> Option<(String, Vec<String>)> {
        let files = |path: &Path| match path.to_str()?.strip_prefix("/etc/pam.d/")? {
            "common-auth" => Some(COMMON.to_owned()),
            "common-account" => Some("account required pam_unix.so\n".to_owned()),
            "mixed" => Some(MIXED.to_owned()),
            other => (other == name).then(|| text.to_owned()),
        };
        let service = pam_stack::read(name, &files);
        let new = rewrite(name, &service, &files, behind)?;
        Some((new.text, new.lost))
    }

    #[test]
    fn the_password_ends_the_stack_before_onelogin_is_asked() {
        let unix = "auth requisite pam_unix.so\nauth required pam_onelogin.so\n";
        for old in [
            "auth sufficient pam_unix.so\n",
            "auth required pam_unix.so nullok\nauth required pam_permit.so\n",
            "auth sufficient pam_unix.so nullok\nauth required pam_deny.so\n",
            "@include common-auth\n",
            "auth include mixed\n",
            "auth required pam_onelogin.so\nauth required pam_unix.so\n",
        ] {
            assert_eq!(
                auth("sudo", old, Behind::Password),
                Some((unix.to_owned(), vec![]))
            );
        }
    }

    #[test]
    fn what_is_not_about_the_first_factor_stays_where_it_was() {
        let old = "#%PAM-1.0\nauth requisite pam_nologin.so\nauth sufficient pam_unix.so\n\
                   auth optional pam_group.so\n@include common-account\nsession required pam_env.so\n";
        let new = "#%PAM-1.0\nauth requisite pam_nologin.so\nauth requisite pam_unix.so\n\
                   auth required pam_onelogin.so\nauth optional pam_group.so\n\
                   @include common-account\nsession required pam_env.so\n";
        let found = auth("login", old, Behind::Password);
        assert_eq!(found, Some((new.to_owned(), vec![])));
    }

    #[test]
    fn the_arguments_of_a_password_module_stay_but_for_an_empty_password() {
        for (old, new) in [
            (
                "pam_unix.so nullok try_first_pass",
                "pam_unix.so try_first_pass",
            ),
            ("pam_sss.so forward_pass", "pam_sss.so forward_pass"),
            (
                "pam_ldap.so minimum_uid=1000",
                "pam_ldap.so minimum_uid=1000",
            ),
        ] {
            let found = auth(
                "sudo",
                &format!("auth sufficient {old}\n"),
                Behind::Password,
            );
            let new = format!("auth requisite {new}\nauth required pam_onelogin.so\n");
            assert_eq!(found, Some((new, vec![])));
        }
    }

    #[test]
    fn wrong_passwords_are_counted_as_before() {
        let old = "auth required pam_faillock.so preauth silent deny=3\nauth sufficient pam_unix.so nullok\n\
                   auth [default=die] pam_faillock.so authfail deny=3\n";
        let new = "auth required pam_faillock.so preauth silent deny=3\n\
                   auth [success=1 default=ignore] pam_unix.so\n\
                   auth [default=die] pam_faillock.so authfail deny=3\n\
                   auth [success=1 default=ignore] pam_faillock.so authsucc deny=3\n\
                   auth requisite pam_deny.so\nauth required pam_permit.so\n\
                   auth required pam_onelogin.so\n";
        let found = auth("sudo", old, Behind::Password);
        assert_eq!(found, Some((new.to_owned(), vec![])));
    }

    #[test]
    fn a_line_that_is_not_a_plain_one_is_not_written_anew() {
        for lines in [
            "auth [success=ignore default=die] pam_succeed_if.so user ingroup wheel",
            "auth [success=ok default=die] pam_localuser.so",
            "auth [success=1 default=ignore] pam_succeed_if.so uid >= 1000\nauth requisite pam_deny.so",
            "auth required pam_acme.so",
            "auth requisite pam_exec.so expose_authtok /bin/check",
            "auth required pam_google_authenticator.so",
            "auth required pam_unix.so",
            "auth required pam_ldap.so",
            "auth sufficient pam_ldap.so use_first_pass",
            "auth required pam_faillock.so preauth",
            "auth [default=die] pam_faillock.so authfail",
            "auth optional pam_rootok.so",
            "auth [default=1] pam_deny.so",
        ] {
            for old in [
                format!("{lines}\nauth sufficient pam_unix.so\n"),
                format!("auth sufficient pam_unix.so\n{lines}\n"),
            ] {
                assert_eq!(auth("sudo", &old, Behind::Password), None, "{old}");
            }
        }
        let ours = "auth required pam_onelogin.so\nauth required pam_onelogin.so debug\n";
        let old = format!("auth requisite pam_unix.so\n{ours}");
        assert_eq!(auth("sudo", &old, Behind::Password), None);
        let old = "auth requisite pam_onelogin.so behind=key\nauth required pam_unix.so\n";
        assert_eq!(auth("sshd", old, Behind::Key), None);
    }

    #[test]
    fn a_password_module_that_passes_some_users_is_not_written_anew() {
        for word in [
            "ignore_unknown_user",
            "ignore_authinfo_unavail",
            "unknown_ok",
            "localifdown",
            "nouserok",
            "use_first_pass",
        ] {
            let old = format!("auth requisite pam_sss.so {word}\n");
            assert_eq!(auth("sudo", &old, Behind::Password), None, "{word}");
        }
    }

    #[test]
    fn behind_a_key_no_password_is_asked_and_exempt_users_pass() {
        let old = "auth sufficient pam_unix.so\naccount required pam_unix.so\n";
        let new = "auth requisite pam_onelogin.so behind=key\nauth required pam_permit.so\n\
                   account required pam_unix.so\n";
        let found = auth("sshd", old, Behind::Key);
        assert_eq!(found, Some((new.to_owned(), vec![])));
    }

    #[test]
    fn what_would_not_count_any_more_is_listed() {
        let old = "auth sufficient pam_rootok.so\nauth sufficient pam_wheel.so trust\n\
                   auth sufficient pam_fprintd.so\nauth sufficient pam_unix.so\n";
        for (name, kept, lost) in [
            ("su", "auth sufficient pam_rootok.so\n", vec![2, 3]),
            ("sudo", "", vec![1, 2, 3]),
        ] {
            let (text, found) = auth(name, old, Behind::Password).unwrap();
            let end = "auth requisite pam_unix.so\nauth required pam_onelogin.so\n";
            assert_eq!(text, format!("{kept}{end}"));
            let lines = found.iter().map(|lost| lost.split(':').nth(1).unwrap());
            let lines: Vec<u32> = lines.map(|line| line.parse().unwrap()).collect();
            assert_eq!(lines, lost, "{found:?}");
        }
    }

    #[test]
    fn a_stack_that_cannot_be_written_again_as_it_was_meant_is_not() {
        for old in [
            "@include mixed\n",
            "@include nowhere\n",
            "auth sufficient \\\n pam_unix.so\n",
            "auth\n",
            "auth sufficient pam_unix.so\nauthentication required pam_x.so\n",
        ] {
            assert_eq!(auth("sudo", old, Behind::Password), None, "{old}");
        }
    }
}
