//! The account for emergencies, as docs/break-glass.md sets it up: a `Match` block of sshd for one user, with a CA of its own,
//! and without ordinary keys or with a file of principals. Says what is missing.

use crate::examine::subject::Subject;
use crate::sshd::config::Block;
use crate::sshd::keyword::Keyword;
use crate::ui::finding::Finding;

const NONE: &str = "none";

/// Whether the block is such an account; if so, what there is to say of it.
pub(crate) fn in_block(
    subject: &Subject<'_>,
    index: usize,
    block: &Block,
    findings: &mut Vec<Finding>,
) -> bool {
    let own = subject.sshd.own(index, Keyword::CaKeys);
    let Some(ca) = own.filter(|said| !said.value.eq_ignore_ascii_case(NONE)) else {
        return false;
    };
    let Some(user) = user_of(&block.condition) else {
        return false;
    };
    let view = subject.sshd.within(index);
    let is_none = |keyword| view.value(keyword).eq_ignore_ascii_case(NONE);
    let is_meant = is_none(Keyword::KeysFile) || !is_none(Keyword::Principals);
    if view.value(Keyword::Methods) != "publickey" || !is_meant {
        return false;
    }
    let mut missing = Vec::new();
    if !is_none(Keyword::KeysFile) {
        missing.push("\"AuthorizedKeysFile none\", because an ordinary key lets in, too");
    }
    let command = view.value(Keyword::KeysCommand);
    if !command.is_empty() && !is_none(Keyword::KeysCommand) {
        missing.push("\"AuthorizedKeysCommand none\", because it may name ordinary keys");
    }
    if is_none(Keyword::Principals) {
        missing.push(
            "\"AuthorizedPrincipalsFile FILE\", because a certificate for one host works on all hosts of this CA",
        );
    }
    if subject.sshd.global().value(Keyword::CaKeys) == ca.value {
        missing.push("a CA of its own, because this one also issues certificates for all users");
    }
    if !subject.machine.has(ca.value) {
        missing.push("the file of the CA, without which no certificate lets in");
    }
    let is_root = user == "root";
    if let Some(config) = subject.settings.as_ref().filter(|_| !is_root) {
        if !config.users.exempt_users.iter().any(|name| name == user) {
            missing.push("users.exempt_users with this name in the configuration, because sudo asks OneLogin");
        }
    }
    let what = format!("break-glass account {user}: a certificate is enough to log in by SSH");
    findings.push(
        if missing.is_empty() {
            Finding::good("break-glass", what)
        } else {
            let what = format!("break-glass account {user}: it is not complete");
            Finding::warning("break-glass", what)
                .why("it may let in too many, or not let in when OneLogin cannot be reached")
                .advice(format!("add {}", missing.join("; ")))
        }
        .of(Some(ca.place.clone()))
        .opens_to(format!("users with a certificate for {user}")),
    );
    true
}

/// The user, if the condition selects one by name.
fn user_of(condition: &str) -> Option<&str> {
    let mut words = condition.split_whitespace();
    let keyword = words.next()?;
    let user = words.next()?;
    let is_one = keyword.eq_ignore_ascii_case("user") && words.next().is_none();
    (is_one && !user.contains(['*', '?', '!', ','])).then_some(user)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_block_for_one_user() {
        assert_eq!(user_of("User breakglass"), Some("breakglass"));
        assert_eq!(user_of("user root"), Some("root"));
        for condition in [
            "User a,b",
            "User *",
            "User !a",
            "Group a",
            "User a Address 10.0.0.0/8",
            "all",
            "",
        ] {
            assert_eq!(user_of(condition), None, "{condition}");
        }
    }
}
