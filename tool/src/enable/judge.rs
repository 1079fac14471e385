//! The new stack, walked as libpam would, before anybody logs in through it: a second opinion on
//! what the editor of stacks has done.

use crate::enable::edit::Behind;
use crate::enable::record::Planned;
use crate::enable::service::Service;
use crate::pam_stack::{
    AUTH_ERR, Code, Entry, IGNORE, Kind, SUCCESS, Service as Stack, authenticate, name, read,
};
use std::path::Path;

/// The services that ask OneLogin by these changes, and by nothing else.
pub(super) fn through(service: Service, plans: &[Planned]) -> Vec<&'static str> {
    let asks = |name: &&&str| {
        let stack = planned(name, plans);
        let mut ours = stack
            .chain(Kind::Auth)
            .iter()
            .filter(|entry| entry.is("pam_onelogin"))
            .peekable();
        let is_planned = |entry: &Entry| plan_of(&entry.path, plans).is_some();
        ours.peek().is_some() && ours.all(is_planned)
    };
    service.logins().iter().filter(asks).copied().collect()
}

/// Where a login of this service asks OneLogin now.
pub(crate) fn asks(service: Service) -> Option<String> {
    service.logins().iter().find_map(|name| {
        let stack = planned(name, &[]);
        let mut entries = stack.chain(Kind::Auth).iter();
        let ours = entries.find(|entry| entry.is("pam_onelogin"))?;
        Some(format!("{}:{}", ours.path.display(), ours.line))
    })
}

/// A service's stack once these files are as planned.
fn planned(service: &str, plans: &[Planned]) -> Stack {
    read(service, &|path: &Path| {
        plan_of(path, plans).map_or_else(
            || std::fs::read_to_string(path).ok(),
            |plan| Some(String::from_utf8_lossy(&plan.after).into_owned()),
        )
    })
}

/// What is planned for this file; authselect's stacks are links to where they really are.
fn plan_of<'a>(path: &Path, plans: &'a [Planned]) -> Option<&'a Planned> {
    let real = std::fs::canonicalize(path).unwrap_or_default();
    plans
        .iter()
        .find(|plan| plan.path == path || plan.path == real)
}

/// What is wrong with the stack of this service once these files are as planned, in one sentence.
pub(super) fn judge(service: &str, plans: &[Planned], behind: Behind) -> Option<String> {
    fault(&planned(service, plans), behind)
}

/// What is wrong with a stack, in one sentence.
pub(crate) fn fault(service: &Stack, behind: Behind) -> Option<String> {
    if let Some(trouble) = &service.trouble {
        return Some(trouble.what.clone());
    }
    let chain = service.chain(Kind::Auth);
    let run = |ours: Code, password: Code| {
        let (answer, reached) = authenticate(chain, |index| {
            let entry = chain.get(index);
            if entry.is_some_and(|entry| entry.is("pam_onelogin")) {
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
            .any(|(entry, returned)| entry.is("pam_onelogin") && returned.is_some());
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

/// What checks a password, or lets nobody in, in the stacks that are understood.
const PASSWORDS: [&str; 5] = ["pam_unix", "pam_sss", "pam_krb5", "pam_ldap", "pam_winbind"];

/// What says no in a login of an ordinary user; `pam_deny` always.
const NOT_HERE: [&str; 2] = ["pam_rootok", "pam_deny"];

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(text: &str, behind: Behind) -> Option<String> {
        let plan = Planned {
            path: "/etc/pam.d/trial".into(),
            before: None,
            after: text.as_bytes().to_vec(),
        };
        judge("trial", &[plan], behind)
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
