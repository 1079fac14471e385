//! A login whose prompts the tool answers, by a script: with Enter, or with a code that the administrator types.

use crate::ui::console::Console;
use crate::ui::terminal::line;
use pam_onelogin::login::{NoAnswer, Prompt, Typed};
use pam_onelogin::secret::Secret;
use ring::rand::{SecureRandom as _, SystemRandom};
use std::collections::VecDeque;
use zeroize::Zeroizing;

/// What the tool types at a prompt of the login.
#[derive(Clone, Copy)]
pub(crate) enum Typing {
    /// Enter.
    Enter,
    /// The code that the administrator types.
    Right,
    /// That code with other characters at its end.
    Wrong,
}

/// What the tool types, one prompt after another.
#[derive(Default)]
pub(crate) struct Script {
    typed: VecDeque<Typing>,
    /// What the administrator is told when the push has been sent.
    pushed: Option<&'static str>,
}

impl Script {
    pub(crate) fn of<const N: usize>(typed: [Typing; N]) -> Self {
        Self {
            typed: typed.into(),
            pushed: None,
        }
    }

    /// The same, with what the administrator is told when the push has been sent.
    pub(crate) fn once_pushed(self, text: &'static str) -> Self {
        let pushed = Some(text);
        Self { pushed, ..self }
    }
}

/// Answers the prompts of a login. At the end of the script there is no answer.
pub(crate) struct Scripted<'a> {
    pub(crate) console: &'a Console,
    pub(crate) script: Script,
    /// Uses a code up for the logins of this host, before it is sent.
    pub(crate) claim: &'a dyn Fn(&Secret) -> Claim,
}

/// What came of claiming a code.
pub(crate) enum Claim {
    Claimed,
    /// It was used before: another one is needed.
    Used,
    /// It must not be sent, and why.
    Refused(&'static str),
}

impl Prompt for Scripted<'_> {
    fn ask(&mut self, _: &str) -> Result<Typed, NoAnswer> {
        let next = self.script.typed.pop_front().ok_or(NoAnswer)?;
        match next {
            Typing::Enter => Ok(Typed::Text(Secret::new(String::new()))),
            Typing::Wrong => {
                let wrong = wrong(&self.code()?).ok_or(NoAnswer)?;
                Secret::from_bytes(&wrong).map(Typed::Text).ok_or(NoAnswer)
            }
            Typing::Right => loop {
                let code = Secret::from_bytes(&self.code()?).ok_or(NoAnswer)?;
                match (self.claim)(&code) {
                    Claim::Claimed => return Ok(Typed::Text(code)),
                    Claim::Used => {
                        let text = "This code was used before. Wait for the next one.";
                        self.console.note(text);
                    }
                    Claim::Refused(why) => {
                        self.console.note(why);
                        return Err(NoAnswer);
                    }
                }
            },
        }
    }

    fn is_there(&self) -> bool {
        true
    }

    fn tell(&mut self, _: &str) {
        // A login that waits without a prompt says here that its push has been sent. It says "Approve it", which may
        // be the opposite of what the script wants.
        if let Some(text) = self.script.pushed {
            self.console.note(text);
        }
    }
}

impl Scripted<'_> {
    /// What the administrator types.
    fn code(&self) -> Result<Zeroizing<Vec<u8>>, NoAnswer> {
        let code = line(self.console, "Code (empty line: stop): ", false);
        code.filter(|code| !code.is_empty()).ok_or(NoAnswer)
    }
}

/// A code of the same length and the same kind of characters that differs in its last characters, at random: a slip of the
/// keyboard must not make it right.
fn wrong(code: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut random = Zeroizing::new([0_u8; CHANGED]);
    SystemRandom::new().fill(random.as_mut_slice()).ok()?;
    let mut wrong = Zeroizing::new(code.to_vec());
    for (byte, random) in wrong.iter_mut().rev().zip(random.iter()) {
        let alphabet = match *byte {
            digit if digit.is_ascii_digit() => DIGITS,
            _ => MODHEX,
        };
        // Never the same letter, whatever its case.
        let same = byte.to_ascii_lowercase();
        let others: Vec<u8> = alphabet.bytes().filter(|other| *other != same).collect();
        *byte = *others.get(usize::from(*random) % others.len())?;
    }
    Some(wrong)
}

/// How many characters of a wrong code differ.
const CHANGED: usize = 4;

const DIGITS: &str = "0123456789";

/// The letters of a `YubiKey`.
const MODHEX: &str = "cbdefghijklnrtuv";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_code_has_the_shape_of_the_right_one_and_other_characters_at_its_end() {
        for code in [
            "123456",
            "00000000",
            "A1b2",
            "cccccccccccccccccccccccccccccccccccccccccccc",
        ] {
            let wrong = wrong(code.as_bytes()).unwrap();
            assert_eq!(wrong.len(), code.len());
            let pairs: Vec<_> = code.bytes().zip(wrong.iter().copied()).collect();
            let (same, changed) = pairs.split_at(code.len() - CHANGED);
            assert!(same.iter().all(|(before, after)| before == after), "{code}");
            for (before, after) in changed {
                assert!(!before.eq_ignore_ascii_case(after), "{code}");
                assert_eq!(before.is_ascii_digit(), after.is_ascii_digit(), "{code}");
            }
        }
    }
}
