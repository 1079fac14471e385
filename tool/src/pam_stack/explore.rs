//! What a chain can come to: every way through it, where each module returns any of what it may
//! return.

use crate::pam_stack::codes::{Code, IGNORE, PERM_DENIED, SUCCESS};
use crate::pam_stack::reader::{Body, Entry};
use crate::pam_stack::walk::{State, Step};
use std::collections::HashSet;

/// What happened on a way through a chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Way {
    /// What the line that is looked for returned, if it was called; of several the first that is
    /// no success.
    pub answered: Option<Code>,
    /// Whether such a line was called again.
    pub asked_twice: bool,
    /// Whether a factor said yes, before or after.
    pub proven: bool,
    /// The factor that said no last.
    pub refused: Option<usize>,
    /// Called although a factor had said no, and none yes: that factor.
    pub asked_after_refusal: Option<usize>,
    /// Called before any factor.
    pub asked_first: bool,
    /// The line that led past the one that is looked for.
    pub skip: Option<Skip>,
}

/// What led past the line that is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Skip {
    /// The line.
    pub by: usize,
    /// Whether it said yes.
    pub is_yes: bool,
    /// Whether a factor had said yes before.
    pub is_proven: bool,
}

/// A module, as far as it decides what a chain comes to.
pub struct Model<'a> {
    /// Whether the line with this index is the one that is looked for.
    pub is_ours: &'a dyn Fn(usize) -> bool,
    /// Whether it is a factor.
    pub is_factor: &'a dyn Fn(usize) -> bool,
    /// What it may return.
    pub returns: &'a dyn Fn(usize) -> &'a [Code],
}

/// Calls `end` for each way with what it comes to. `false`: there are too many.
pub fn explore(chain: &[Entry], model: &Model<'_>, mut end: impl FnMut(Code, Way)) -> bool {
    let mut open = vec![(State::start(), Way::default())];
    let mut seen = HashSet::new();
    while let Some((mut state, before)) = open.pop() {
        let index = match state.advance(chain) {
            Step::Answer(code) => {
                end(code, before);
                continue;
            }
            Step::Call(index) => index,
        };
        if !seen.insert((state.clone(), before)) {
            continue;
        }
        if seen.len() > MAX_STATES {
            return false;
        }
        let is_broken = chain
            .get(index)
            .is_some_and(|entry| matches!(entry.body, Body::Broken(_)));
        let codes = if is_broken {
            &[PERM_DENIED]
        } else {
            (model.returns)(index)
        };
        for &code in codes {
            let mut state = state.clone();
            let mut way = before.after(index, code, model);
            if let Some(code) = state.take(chain, code, None) {
                end(code, way);
                continue;
            }
            let mut passed = index + 1..state.position();
            if way.answered.is_none() && way.skip.is_none() && passed.any(model.is_ours) {
                way.skip = Some(Skip {
                    by: index,
                    is_yes: code == SUCCESS,
                    is_proven: before.proven,
                });
            }
            open.push((state, way));
        }
    }
    true
}

impl Way {
    fn after(mut self, index: usize, code: Code, model: &Model<'_>) -> Self {
        if (model.is_ours)(index) {
            self.asked_twice = self.answered.is_some();
            if self.answered.is_none_or(|answered| answered == SUCCESS) {
                self.answered = Some(code);
            }
            if !self.proven {
                self.asked_after_refusal = self.asked_after_refusal.or(self.refused);
                self.asked_first |= self.refused.is_none();
            }
        } else if (model.is_factor)(index) {
            if code == SUCCESS {
                self.proven = true;
            } else if code != IGNORE {
                self.refused = Some(index);
            }
        }
        self
    }
}

/// Stacks of people have some dozens.
const MAX_STATES: usize = 200_000;
