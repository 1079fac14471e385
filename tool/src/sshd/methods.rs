//! The methods of `AuthenticationMethods`: the setting that enables each, and those that come before the stack.

use crate::pam_stack::edit::Behind;
use crate::sshd::keyword::Keyword;

/// The lists of methods in `AuthenticationMethods`.
pub(crate) fn ways(text: &str) -> Vec<Vec<&str>> {
    let ways = text.split_ascii_whitespace();
    ways.map(|way| way.split(',').map(by_pam).collect())
        .collect()
}

/// The setting that a stack after this first factor needs, and a test whether a list of methods is sufficient.
pub(crate) fn needed(behind: Behind) -> (&'static str, fn(&[&str]) -> bool) {
    match behind {
        Behind::Key => (KEY, is_behind_key),
        Behind::Password => (PASSWORD, |way| way.contains(&KEYBOARD)),
    }
}

/// Whether a login by this list of methods must pass the method `password`, which cannot show a prompt for a code.
/// `PasswordAuthentication` matters only if sshd accepts such a list.
pub(crate) fn hides_prompts(way: &[&str]) -> bool {
    way.iter().any(|one| method(one) == "password")
}

/// Whether sshd uses the stack before a key.
pub(crate) fn is_open(way: &[&str]) -> bool {
    let asks_pam = |method: &&str| [KEYBOARD, "password", "any"].contains(method);
    let first = way
        .iter()
        .find(|method| **method == "publickey" || asks_pam(method));
    first.is_some_and(asks_pam)
}

/// Whether sshd uses the stack after a key.
pub(crate) fn is_behind_key(way: &[&str]) -> bool {
    let place = |method| way.iter().position(|found| *found == method);
    match (place("publickey"), place(KEYBOARD)) {
        (Some(key), Some(keyboard)) => key < keyboard,
        _ => false,
    }
}

/// A method without the device that may be named behind a colon.
pub(crate) fn method(word: &str) -> &str {
    word.split(':').next().unwrap_or_default()
}

/// A method without the device `pam`; another device, such as `bsdauth`, does not use PAM.
fn by_pam(word: &str) -> &str {
    word.strip_suffix(":pam").unwrap_or(word)
}

/// Whether this list of methods begins with a key, or a similar method.
pub(crate) fn is_key_first(list: &[&str]) -> bool {
    let firsts = ["publickey", "hostbased", "gssapi-with-mic"];
    list.first()
        .is_some_and(|first| firsts.contains(&method(first)))
}

/// The setting that enables a method; `None` if the method does not exist, or does not use PAM (`:bsdauth`).
pub(crate) fn switch(method: &str) -> Option<Keyword> {
    let method = by_pam(method);
    let known = METHODS.iter().find(|(name, _)| *name == method);
    known.map(|(_, keyword)| *keyword)
}

/// The methods, and the setting that enables each.
pub(crate) const METHODS: [(&str, Keyword); 6] = [
    ("publickey", Keyword::Pubkey),
    ("keyboard-interactive", Keyword::KbdInteractive),
    ("password", Keyword::Password),
    ("gssapi-with-mic", Keyword::Gssapi),
    ("gssapi-keyex", Keyword::GssapiKeyExchange),
    ("hostbased", Keyword::Hostbased),
];

pub(crate) const KEYBOARD: &str = "keyboard-interactive";
pub(crate) const KEY: &str = "AuthenticationMethods publickey,keyboard-interactive";
pub(crate) const PASSWORD: &str = "AuthenticationMethods keyboard-interactive";
