//! A login whose prompts the tool answers, by a script: with Enter, or with a code that the administrator types.

use crate::ui::console::Console;
use crate::ui::terminal::line;
use pam_onelogin::login::{NoAnswer, Prompt, Typed};
use pam_onelogin::secret::Secret;
use std::cell::RefCell;
use std::collections::VecDeque;
use zeroize::Zeroizing;

/// What the tool types at a prompt of the login.
#[derive(Clone, Copy)]
pub(crate) enum Typing {
    /// Enter.
    Enter,
    /// The code that the administrator types.
    Right,
    /// That code with another last character.
    Wrong,
}

/// What the tool types, one prompt after another.
#[derive(Default)]
pub(crate) struct Script(VecDeque<Typing>);

impl Script {
    pub(crate) fn of<const N: usize>(typed: [Typing; N]) -> Self {
        Self(typed.into())
    }
}

/// Answers the prompts of a login. At the end of the script there is no answer.
pub(crate) struct Scripted<'a> {
    pub(crate) console: &'a Console,
    pub(crate) script: Script,
    pub(crate) spent: &'a RefCell<Vec<Secret>>,
}

impl Prompt for Scripted<'_> {
    fn ask(&mut self, _: &str) -> Result<Typed, NoAnswer> {
        let next = self.script.0.pop_front().ok_or(NoAnswer)?;
        match next {
            Typing::Enter => Ok(Typed::Text(Secret::new(String::new()))),
            Typing::Wrong => wrong(&self.code()?).map(Typed::Text).ok_or(NoAnswer),
            Typing::Right => loop {
                let code = self.secret()?;
                if !self.spent.borrow().iter().any(|spent| spent.same_as(&code)) {
                    self.spent.borrow_mut().push(code.without(|_| false));
                    return Ok(Typed::Text(code));
                }
                self.console
                    .note("This code was used in the step before. Wait for the next one.");
            },
        }
    }

    fn is_there(&self) -> bool {
        true
    }

    fn tell(&mut self, _: &str) {
        // It says "Approve it", which may be the opposite of what the script wants.
    }
}

impl Scripted<'_> {
    /// What the administrator types.
    fn code(&self) -> Result<Zeroizing<Vec<u8>>, NoAnswer> {
        let code = line(self.console, "Code (empty line: stop): ", false);
        code.filter(|code| !code.is_empty()).ok_or(NoAnswer)
    }

    fn secret(&self) -> Result<Secret, NoAnswer> {
        Secret::from_bytes(&self.code()?).ok_or(NoAnswer)
    }
}

/// A code with another last character, of the same kind: a digit, or a letter of a `YubiKey`.
pub(crate) fn wrong(code: &[u8]) -> Option<Secret> {
    let mut wrong = Zeroizing::new(code.to_vec());
    let last = wrong.last_mut()?;
    *last = match *last {
        b'9' => b'0',
        digit if digit.is_ascii_digit() => digit + 1,
        b'c' => b'd',
        _ => b'c',
    };
    Secret::from_bytes(&wrong)
}
