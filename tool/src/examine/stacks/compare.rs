//! Compares a stack with the result of an advice: for each combination of the modules' return codes, it finds
//! logins that were denied before and are accepted now, and the other way round.

use crate::pam_stack::known_modules::{OURS, is_password, returns};
use crate::pam_stack::{Body, Code, Control, Entry, IGNORE, SUCCESS, authenticate};
use std::collections::BTreeMap;

/// Two chains of one service, before a change and after it.
pub(super) struct Comparison<'a> {
    old: &'a [Entry],
    /// The old chain as if each line of ours were required.
    required: Vec<Entry>,
    new: &'a [Entry],
    variables: Vec<Variable>,
    /// For each line of a chain, the variable with its return code; `None` for our lines.
    of_old: Vec<Option<usize>>,
    of_new: Vec<Option<usize>>,
}

/// The answer of one module, which lines of both chains may take.
struct Variable {
    codes: Vec<Code>,
    is_password: bool,
}

impl<'a> Comparison<'a> {
    /// `None` if libpam cannot use one of the lines, or if there is too much to compare.
    pub(super) fn of(old: &'a [Entry], new: &'a [Entry]) -> Option<Self> {
        let mut required = old.to_vec();
        for entry in required.iter_mut().filter(|entry| entry.is(OURS)) {
            entry.control = Control::parse("required").0;
        }
        let mut known = BTreeMap::new();
        let mut lines: Vec<Vec<&Entry>> = Vec::new();
        let mut of = |chain: &'a [Entry]| -> Option<Vec<Option<usize>>> {
            let mut seen: BTreeMap<String, usize> = BTreeMap::new();
            let mut found = Vec::new();
            for entry in chain {
                if let Body::Broken(_) = entry.body {
                    return None;
                }
                if entry.is(OURS) || entry.body == Body::Substack {
                    found.push(None);
                    continue;
                }
                let key = key(entry);
                let count = seen.entry(key.clone()).or_default();
                *count += 1;
                let index = *known.entry((key, *count)).or_insert(lines.len());
                match lines.get_mut(index) {
                    Some(same) => same.push(entry),
                    None => lines.push(vec![entry]),
                }
                found.push(Some(index));
            }
            Some(found)
        };
        let (of_old, of_new) = (of(old)?, of(new)?);
        let variables: Vec<_> = lines.iter().map(|same| Variable::of(same)).collect();
        let mut combinations = 1_usize;
        for variable in &variables {
            combinations = combinations.saturating_mul(variable.codes.len());
        }
        (combinations <= MAX_COMBINATIONS).then_some(Self {
            old,
            required,
            new,
            variables,
            of_old,
            of_new,
        })
    }

    /// Whether every login that was denied before is denied after the change. Only OneLogin's answer may count
    /// for more: before, OneLogin accepts and our line has its control or `required`; after, the user may be
    /// exempt.
    pub(super) fn opens_nothing(&self) -> bool {
        self.each(|answers| {
            let was_accepted = || {
                accepts(self.old, &self.of_old, answers, SUCCESS)
                    || accepts(&self.required, &self.of_old, answers, SUCCESS)
            };
            let is_accepted = [SUCCESS, IGNORE]
                .into_iter()
                .any(|ours| accepts(self.new, &self.of_new, answers, ours));
            !is_accepted || was_accepted()
        })
    }

    /// Whether a user with a right password, that the stack and OneLogin accepted before, is accepted
    /// after, too. Of several password modules one may be the one that knows the user.
    pub(super) fn locks_out_nobody(&self) -> bool {
        let has_passwords = self.variables.iter().any(|it| it.is_password);
        self.each(|answers| {
            let mut pairs = self.variables.iter().zip(answers);
            let is_right = pairs.any(|(it, &code)| it.is_password && code == SUCCESS);
            has_passwords && !is_right
                || !accepts(self.old, &self.of_old, answers, SUCCESS)
                || accepts(self.new, &self.of_new, answers, SUCCESS)
        })
    }

    /// As [`Self::opens_nothing`], if a key replaces the password: as if every password were right.
    pub(super) fn opens_nothing_but_passwords(mut self) -> bool {
        for variable in self.variables.iter_mut().filter(|it| it.is_password) {
            variable.codes = vec![SUCCESS];
        }
        self.opens_nothing()
    }

    /// Whether this holds for each combination of answers.
    fn each(&self, holds: impl Fn(&[Code]) -> bool) -> bool {
        let mut places = vec![0; self.variables.len()];
        loop {
            let pairs = self.variables.iter().zip(&places);
            let codes = pairs.map(|(it, &place): (_, &usize)| it.codes.get(place).copied());
            let Some(answers) = codes.collect::<Option<Vec<Code>>>() else {
                return false;
            };
            if !holds(&answers) {
                return false;
            }
            let mut digits = places.iter_mut().zip(&self.variables);
            let is_next = digits.any(|(place, variable)| {
                *place = (*place + 1) % variable.codes.len();
                *place != 0
            });
            if !is_next {
                return true;
            }
        }
    }
}

impl Variable {
    /// The return codes, one for each different effect in the lines of this module.
    fn of(same: &[&Entry]) -> Self {
        let mut codes: Vec<Code> = Vec::new();
        let all = same.iter().filter_map(|entry| returns(entry)).flatten();
        let alike = |one: Code, other: Code| {
            let is_plain = |code| code != SUCCESS && code != IGNORE;
            let does = |entry: &&Entry| entry.control.action(one) == entry.control.action(other);
            one == other || is_plain(one) && is_plain(other) && same.iter().all(does)
        };
        for &code in all {
            if !codes.iter().any(|&known| alike(known, code)) {
                codes.push(code);
            }
        }
        Self {
            codes,
            is_password: same.iter().any(|entry| is_password(entry)),
        }
    }
}

/// The key by which two lines count as the same question. For passwords the arguments do not matter.
fn key(entry: &Entry) -> String {
    let module = entry.module().unwrap_or_default();
    if is_password(entry) {
        return module.to_owned();
    }
    [&[module.to_owned()], entry.arguments()].concat().join(" ")
}

/// Whether a chain accepts where its modules answer so.
fn accepts(chain: &[Entry], of: &[Option<usize>], answers: &[Code], ours: Code) -> bool {
    let code = |index: usize| match of.get(index).copied().flatten() {
        Some(variable) => answers.get(variable).copied().unwrap_or(IGNORE),
        None => ours,
    };
    authenticate(chain, code).0 == SUCCESS
}

/// The stacks that get an advice have some hundreds of combinations.
const MAX_COMBINATIONS: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pam_stack::{Kind, read};
    use std::path::Path;

    /// Whether a change opens nothing, and whether it locks out nobody.
    fn compared(old: &str, new: &str) -> Option<(bool, bool)> {
        let chain = |text: &str| {
            let is_it = |path: &Path| path == Path::new("/etc/pam.d/sudo");
            let service = read("sudo", &|path| is_it(path).then(|| text.to_owned()));
            service.chain(Kind::Auth).to_vec()
        };
        let (old, new) = (chain(old), chain(new));
        let change = Comparison::of(&old, &new)?;
        Some((change.opens_nothing(), change.locks_out_nobody()))
    }

    #[test]
    fn a_gate_that_is_gone_opens_and_a_new_one_locks_out() {
        let new = "auth requisite pam_unix.so\nauth required pam_onelogin.so\n";
        let die = "auth [success=ignore default=die] pam_succeed_if.so user ingroup wheel\n";
        for (old, expected) in [
            ("auth sufficient pam_unix.so\n".to_owned(), (true, true)),
            (
                format!("auth sufficient pam_fprintd.so\n{new}"),
                (true, true),
            ),
            (format!("{die}{new}"), (false, true)),
            (
                "auth [success=1 default=ignore] pam_succeed_if.so user = x\n\
                 auth [success=1 default=ignore] pam_unix.so\nauth requisite pam_deny.so\n\
                 auth required pam_permit.so\n"
                    .to_owned(),
                (false, true),
            ),
            (
                "auth required pam_unix.so\nauth required pam_ldap.so\n".to_owned(),
                (false, true),
            ),
            ("auth required pam_deny.so\n".to_owned(), (false, true)),
        ] {
            assert_eq!(compared(&old, new), Some(expected), "{old}");
        }
        assert_eq!(compared(new, &format!("{die}{new}")), Some((true, false)));
        assert_eq!(compared("auth required\n", new), None);
    }

    #[test]
    fn what_has_too_many_combinations_is_not_compared() {
        let lines = (0..20).map(|id| format!("auth required pam_succeed_if.so uid = {id}\n"));
        let many = lines.collect::<Vec<_>>().concat();
        assert_eq!(compared(&many, &many), None);
    }
}
