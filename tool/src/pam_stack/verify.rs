//! Walks the new stack as libpam would, before any user logs in through it: a second check of the result
//! of the editor.

use crate::pam_stack::edit::Behind;
use crate::pam_stack::known_modules::OURS;
use crate::pam_stack::{AUTH_ERR, Code, Entry, IGNORE, Kind, SUCCESS, Stack, authenticate, name};

/// What is wrong with a stack, in one sentence.
pub(crate) fn flaw(service: &Stack, behind: Behind) -> Option<String> {
    if let Some(unreadable) = &service.unreadable {
        return Some(unreadable.what.clone());
    }
    let chain = service.chain(Kind::Auth);
    let run = |ours: Code, password: Code| {
        let (answer, reached) = authenticate(chain, |index| {
            let entry = chain.get(index);
            if entry.is_some_and(|entry| entry.is(OURS)) {
                ours
            } else if entry.is_some_and(|entry| is_one_of(entry, &PASSWORDS)) {
                password
            } else if entry.is_some_and(|entry| is_one_of(entry, &NOT_HERE)) {
                AUTH_ERR
            } else {
                SUCCESS
            }
        });
        let is_asked = chain
            .iter()
            .zip(&reached)
            .any(|(entry, returned)| entry.is(OURS) && returned.is_some());
        (answer, is_asked)
    };
    match run(SUCCESS, SUCCESS) {
        (_, false) => return Some("the stack would not ask OneLogin".to_owned()),
        (SUCCESS, true) => {}
        (code, true) => {
            let code = name(code);
            return Some(format!(
                "no user could log in: the stack returns {code} although every factor is right"
            ));
        }
    }
    for code in (1..MOST_CODES).filter(|code| *code != IGNORE) {
        if run(code, SUCCESS).0 == SUCCESS {
            let code = name(code);
            return Some(format!(
                "a denial by OneLogin ({code}) would not stop the login"
            ));
        }
    }
    if behind == Behind::Password {
        match run(SUCCESS, AUTH_ERR) {
            (SUCCESS, _) => return Some("a wrong password would be accepted".to_owned()),
            (_, true) => {
                return Some("the stack would ask OneLogin after a wrong password".to_owned());
            }
            _ => {}
        }
    }
    (run(IGNORE, SUCCESS).0 != SUCCESS).then(|| "exempt users would be denied".to_owned())
}

fn is_one_of(entry: &Entry, modules: &[&str]) -> bool {
    modules.iter().any(|module| entry.is(module))
}

/// The number of return codes in libpam.
const MOST_CODES: Code = 32;

/// The modules that check a password in the stacks that the editor knows.
const PASSWORDS: [&str; 5] = ["pam_unix", "pam_sss", "pam_krb5", "pam_ldap", "pam_winbind"];

/// The modules that fail in the login of an ordinary user.
const NOT_HERE: [&str; 2] = ["pam_rootok", "pam_deny"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pam_stack::read;
    use std::path::Path;

    fn judged(text: &str, behind: Behind) -> Option<String> {
        let stack = Path::new("/etc/pam.d/trial");
        let service = read("trial", &|path| (path == stack).then(|| text.to_owned()));
        flaw(&service, behind)
    }

    #[test]
    fn a_stack_is_good_if_each_denial_denies_and_each_success_succeeds() {
        let unix = "auth requisite pam_unix.so\n";
        let ours = "auth required pam_onelogin.so\n";
        assert_eq!(judged(&format!("{unix}{ours}"), Behind::Password), None);
        let root = format!("auth sufficient pam_rootok.so\n{unix}{ours}");
        assert_eq!(judged(&root, Behind::Password), None);
        let key = "auth requisite pam_onelogin.so\nauth required pam_permit.so\n";
        assert_eq!(judged(key, Behind::Key), None);
        for (text, behind, said) in [
            (
                "auth sufficient pam_unix.so\nauth required pam_onelogin.so\n",
                Behind::Password,
                "would not ask OneLogin",
            ),
            (
                "auth requisite pam_unix.so\nauth optional pam_onelogin.so\n",
                Behind::Password,
                "a denial by OneLogin",
            ),
            (
                "auth required pam_unix.so\nauth required pam_onelogin.so\n",
                Behind::Password,
                "after a wrong password",
            ),
            (
                "auth optional pam_unix.so\nauth sufficient pam_onelogin.so\n",
                Behind::Password,
                "a denial by OneLogin",
            ),
            (
                "auth requisite pam_onelogin.so\n",
                Behind::Key,
                "exempt users",
            ),
            (
                "auth requisite pam_onelogin.so\nauth required pam_deny.so\n",
                Behind::Key,
                "no user could log in",
            ),
        ] {
            let found = judged(text, behind).unwrap_or_default();
            assert!(found.contains(said), "{text}: {found}");
        }
    }
}
