//! What a chain answers, as `_pam_dispatch_aux` walks it.

use crate::pam_stack::codes::{Code, IGNORE, INCOMPLETE, NAMES, PERM_DENIED, SUCCESS};
use crate::pam_stack::reader::{Body, Entry};
use crate::pam_stack::syntax::Action;

/// What the lines so far have come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Impression {
    Undecided,
    Positive,
    Negative,
}

/// Between two lines.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    next: usize,
    impression: Impression,
    status: Code,
    level: usize,
    /// What the stack had come to where each substack began.
    saved: Vec<(Impression, Code)>,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The line with this index is called.
    Call(usize),
    /// The end.
    Answer(Code),
}

/// What a jump counts as when credentials are set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jumps {
    /// As a line that is required: Linux-PAM as it is.
    Count,
    /// As nothing: with Debian's patch.
    AreIgnored,
}

/// The chain as authenticate left it: what each line returned then.
#[derive(Clone, Copy, Debug)]
pub struct Frozen {
    /// `None`: the line was not reached, or authenticate not called.
    pub returned: Option<Code>,
    /// How jumps count.
    pub jumps: Jumps,
}

impl State {
    /// Before the first line.
    #[must_use]
    pub fn start() -> Self {
        Self {
            next: 0,
            impression: Impression::Undecided,
            status: PERM_DENIED,
            level: 0,
            saved: vec![(Impression::Undecided, PERM_DENIED)],
        }
    }

    /// Goes to the next line that calls something; a line that libpam cannot use is called, too.
    pub fn advance(&mut self, chain: &[Entry]) -> Step {
        loop {
            let Some(entry) = chain.get(self.next) else {
                return Step::Answer(self.answer());
            };
            while self.saved.len() <= entry.level {
                self.saved.push((self.impression, self.status));
            }
            if self.level < entry.level {
                if let Some(place) = self.saved.get_mut(entry.level) {
                    *place = (self.impression, self.status);
                }
            }
            self.level = entry.level;
            if entry.body != Body::Substack {
                return Step::Call(self.next);
            }
            self.next += 1;
        }
    }

    /// Takes what the line returned to which [`State::advance`] went. `Some`: the end.
    pub fn take(
        &mut self,
        chain: &[Entry],
        returned: Code,
        frozen: Option<Frozen>,
    ) -> Option<Code> {
        let entry = chain.get(self.next)?;
        if returned == INCOMPLETE {
            return Some(INCOMPLETE);
        }
        let cached = frozen
            .and_then(|frozen| frozen.returned)
            .unwrap_or(returned);
        let returned = if usize::from(cached) < NAMES.len() {
            returned
        } else {
            PERM_DENIED
        };
        let action = entry.control.action(cached);
        match action {
            Action::Ignore => {}
            Action::Reset => {
                if let Some((impression, status)) = self.saved.get(entry.level) {
                    (self.impression, self.status) = (*impression, *status);
                }
            }
            Action::Ok | Action::Done => {
                self.approve(returned, cached);
                if action == Action::Done && self.impression == Impression::Positive {
                    self.leave(chain, entry.level);
                }
            }
            Action::Bad | Action::Die => {
                if self.impression != Impression::Negative {
                    self.impression = Impression::Negative;
                    self.status = if returned == IGNORE {
                        PERM_DENIED
                    } else {
                        returned
                    };
                }
                if action == Action::Die {
                    self.leave(chain, entry.level);
                }
            }
            Action::Jump(lines) => {
                if frozen.is_some_and(|frozen| frozen.jumps == Jumps::Count) {
                    self.approve(returned, cached);
                }
                if !self.jump(chain, entry.level, lines) {
                    self.impression = Impression::Negative;
                    self.status = PERM_DENIED;
                }
            }
        }
        self.next += 1;
        None
    }

    /// A success, unless something failed before. IGNORE of a frozen line is not a success.
    fn approve(&mut self, returned: Code, cached: Code) {
        let is_open = match self.impression {
            Impression::Undecided => true,
            Impression::Positive => self.status == SUCCESS,
            Impression::Negative => false,
        };
        if is_open && (returned != IGNORE || cached == returned) {
            self.impression = Impression::Positive;
            self.status = returned;
        }
    }

    /// Goes to the last line of the stack or substack.
    fn leave(&mut self, chain: &[Entry], level: usize) {
        while chain
            .get(self.next + 1)
            .is_some_and(|next| next.level >= level)
        {
            self.next += 1;
        }
    }

    /// Skips lines; a substack is one. `false`: there are not so many.
    fn jump(&mut self, chain: &[Entry], level: usize, lines: u32) -> bool {
        for _ in 0..lines {
            if chain
                .get(self.next + 1)
                .is_none_or(|next| next.level < level)
            {
                return false;
            }
            self.next += 1;
            while chain
                .get(self.next + 1)
                .is_some_and(|next| next.level > level)
            {
                self.next += 1;
            }
        }
        true
    }

    /// The line that is called next, or where the search for it begins.
    #[must_use]
    pub fn position(&self) -> usize {
        self.next
    }

    fn answer(&self) -> Code {
        if self.status == SUCCESS && self.impression != Impression::Positive {
            PERM_DENIED
        } else {
            self.status
        }
    }
}

/// What authenticate answers (account, session and password, too), and what each line returned
/// that was reached. `returns` is asked for each module by its index.
pub fn authenticate(
    chain: &[Entry],
    returns: impl FnMut(usize) -> Code,
) -> (Code, Vec<Option<Code>>) {
    let mut reached = vec![None; chain.len()];
    let answer = walk(chain, returns, |index, code| {
        if let Some(place) = reached.get_mut(index) {
            *place = Some(code);
        }
        None
    });
    (answer, reached)
}

/// What setcred answers after an authenticate that left the chain so; without one all are `None`.
pub fn set_credentials(
    chain: &[Entry],
    reached: &[Option<Code>],
    jumps: Jumps,
    returns: impl FnMut(usize) -> Code,
) -> Code {
    walk(chain, returns, |index, _| {
        let returned = reached.get(index).copied().flatten();
        Some(Frozen { returned, jumps })
    })
}

fn walk(
    chain: &[Entry],
    mut returns: impl FnMut(usize) -> Code,
    mut note: impl FnMut(usize, Code) -> Option<Frozen>,
) -> Code {
    let mut state = State::start();
    loop {
        let index = match state.advance(chain) {
            Step::Answer(code) => return code,
            Step::Call(index) => index,
        };
        let returned = match chain.get(index).map(|entry| &entry.body) {
            Some(Body::Broken(_)) => PERM_DENIED,
            _ => returns(index),
        };
        let frozen = note(index, returned);
        if let Some(code) = state.take(chain, returned, frozen) {
            return code;
        }
    }
}
