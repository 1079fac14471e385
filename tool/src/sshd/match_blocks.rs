//! What `Match` blocks in sshd's files change for some users, groups or addresses: `sshd -T` answers for
//! one of them only.

use crate::host::target_system::TargetSystem;
use crate::pam_stack::edit::Behind;
use crate::sshd::config::{Said, Sshd};
use crate::sshd::keyword::Keyword;
use crate::sshd::methods::{KEYBOARD, is_open, needed, ways};

/// The blocks whose users could no longer log in.
pub(crate) fn lose_login(behind: Behind) -> Vec<String> {
    let sshd = Sshd::read(&TargetSystem::this());
    let blocks = sshd.for_some();
    blocks
        .flat_map(|(index, _)| loses_login(&sshd, index, behind))
        .collect()
}

/// As [`lose_login`], for `all`: blocks whose users log in with a password, which shows no prompt.
pub(crate) fn see_no_prompt() -> Vec<String> {
    let sshd = Sshd::read(&TargetSystem::this());
    let hidden = sshd.for_some().filter_map(|(index, _)| {
        let said = sshd.own(index, Keyword::Password).filter(Said::is_on)?;
        let view = sshd.within(index);
        let is_hidden = view.accepts_passwords() && !view.is_on(Keyword::KbdInteractive);
        let lines = "PasswordAuthentication no\" and \"KbdInteractiveAuthentication yes";
        let advice = || said.replace(lines);
        is_hidden.then(|| sentence(&sshd, index, Keyword::Password, said, NO_PROMPT, &advice()))
    });
    hidden.collect()
}

/// The settings of this block that would lock its users out, once the settings for all users are those that
/// are needed.
fn loses_login(sshd: &Sshd, index: usize, behind: Behind) -> Vec<String> {
    let own = |keyword| sshd.own(index, keyword);
    let (line, _) = needed(behind);
    let needed = line.split_once(' ').map_or("", |(_, value)| value);
    let methods = own(Keyword::Methods);
    let ways = ways(methods.map_or(needed, |said| said.value));
    let need = |method: &str| ways.iter().all(|way| way.contains(&method));
    let mut found = Vec::new();
    let mut add = |keyword, said, why: &str, advice: &str| {
        found.push(sentence(sshd, index, keyword, said, why, advice));
    };
    if let Some(said) = methods {
        if behind == Behind::Key && ways.iter().any(|way| is_open(way)) {
            let why = "the stack denies every login without a key before it";
            add(Keyword::Methods, said, why, &said.replace(line));
        } else if need("password") {
            add(Keyword::Methods, said, NO_PROMPT, &said.replace(line));
        }
    } else if behind == Behind::Key && sshd.within(index).lets_in_without_key() {
        for keyword in [Keyword::Password, Keyword::KbdInteractive] {
            if let Some(said) = own(keyword).filter(Said::is_on) {
                let why = "sshd will require a key, so users without a key can no longer log in";
                let advice = format!("give these users keys, then remove {}", said.line());
                add(keyword, said, why, &advice);
            }
        }
    }
    for (keyword, method) in [
        (Keyword::Pubkey, "publickey"),
        (Keyword::KbdInteractive, KEYBOARD),
    ] {
        if let Some(said) = own(keyword).filter(|said| !said.is_on() && need(method)) {
            let why = format!("sshd will require {method}, so these users can no longer log in");
            let advice = if keyword == Keyword::KbdInteractive {
                // It will be on for all users.
                format!("remove {}", said.line())
            } else {
                said.replace(&format!("{} yes", keyword.name()))
            };
            add(keyword, said, &why, &advice);
        }
    }
    found
}

/// The place and the setting of a block, what follows from it, and what to do.
fn sentence(
    sshd: &Sshd,
    index: usize,
    keyword: Keyword,
    said: Said<'_>,
    why: &str,
    advice: &str,
) -> String {
    let block = sshd.blocks.get(index);
    pam_onelogin::text::printable(&format!(
        "{}: \"Match {}\" has \"{} {}\": {why}; {advice}",
        said.place.text(),
        block.map_or("", |block| &block.condition),
        keyword.name(),
        said.value
    ))
}

const NO_PROMPT: &str = "that method cannot show the prompt for a code, and the login fails";
