//! The new stack, walked as libpam would, before anybody logs in through it: a second opinion on
//! what the editor of stacks has done.

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
        (_, false) => return Some("OneLogin would not be asked".to_owned()),
        (SUCCESS, true) => {}
        (code, true) => {
            let code = name(code);
            return Some(format!(
                "nobody would get in: everything right ends in {code}"
            ));
        }
    }
    for code in (1..MOST_CODES).filter(|code| *code != IGNORE) {
        if run(code, SUCCESS).0 == SUCCESS {
            let code = name(code);
            return Some(format!("a denial of OneLogin ({code}) would let in"));
        }
    }
    if behind == Behind::Password {
        match run(SUCCESS, AUTH_ERR) {
            (SUCCESS, _) => return Some("a wrong password would let in".to_owned()),
            (_, true) => return Some("a wrong password would go on to OneLogin".to_owned()),
            _ => {}
        }
    }
    (run(IGNORE, SUCCESS).0 != SUCCESS).then(|| "exempt users would be denied".to_owned())
}

fn is_one_of(entry: &Entry, modules: &[&str]) -> bool {
    modules.iter().any(|module| entry.is(module))
}

/// As many codes as libpam knows.
const MOST_CODES: Code = 32;

/// What checks a password in the stacks that are understood.
const PASSWORDS: [&str; 5] = ["pam_unix", "pam_sss", "pam_krb5", "pam_ldap", "pam_winbind"];

/// What says no in a login of an ordinary user; `pam_deny` always.
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
    fn a_stack_is_good_where_each_no_is_a_no_and_each_yes_a_yes() {
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
                "not be asked",
            ),
            (
                "auth requisite pam_unix.so\nauth optional pam_onelogin.so\n",
                Behind::Password,
                "a denial of OneLogin",
            ),
            (
                "auth required pam_unix.so\nauth required pam_onelogin.so\n",
                Behind::Password,
                "would go on to OneLogin",
            ),
            (
                "auth optional pam_unix.so\nauth sufficient pam_onelogin.so\n",
                Behind::Password,
                "a denial of OneLogin",
            ),
            (
                "auth requisite pam_onelogin.so\n",
                Behind::Key,
                "exempt users",
            ),
            (
                "auth requisite pam_onelogin.so\nauth required pam_deny.so\n",
                Behind::Key,
                "nobody would get in",
            ),
        ] {
            let found = judged(text, behind).unwrap_or_default();
            assert!(found.contains(said), "{text}: {found}");
        }
    }
}
