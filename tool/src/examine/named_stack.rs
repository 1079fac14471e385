//! A service's stack on the machine that is examined.

use crate::host::target_system::TargetSystem;
use crate::pam_stack::known_modules::{OURS, Role, returns, role};
use crate::pam_stack::{self, IGNORE, Kind, Stack};
use std::cell::Cell;
use std::path::Path;

/// A service with its name.
pub(crate) struct NamedStack {
    pub(crate) name: String,
    pub(crate) service: Stack,
}

impl NamedStack {
    /// Whether a path through it calls our module.
    pub(crate) fn asks(&self) -> bool {
        self.service.unreadable.is_none() && self.service.ours().next().is_some()
    }

    pub(super) fn names_us(&self) -> bool {
        let mut kinds = Kind::ALL.into_iter();
        kinds.any(|kind| {
            let mut chain = self.service.chain(kind).iter();
            chain.any(|entry| entry.is(OURS))
        })
    }
}

/// Reads a service of the machine; `None`: a file of it cannot be read.
pub(crate) fn read(machine: &TargetSystem, name: &str) -> Option<NamedStack> {
    let is_whole = Cell::new(true);
    let files = |path: &Path| {
        let text = machine.text(path);
        is_whole.set(is_whole.get() && text.is_ok());
        text.ok().flatten()
    };
    let service = pam_stack::read(name, &files);
    is_whole.get().then(|| NamedStack {
        name: name.to_owned(),
        service,
    })
}

/// Whether the stack of a service calls our module; `false` if it cannot be read.
pub(crate) fn asks(machine: &TargetSystem, name: &str) -> bool {
    read(machine, name).is_some_and(|stack| stack.asks())
}

/// Whether its stack has another factor.
pub(crate) fn has_factor(stack: &NamedStack) -> bool {
    let mut chain = stack.service.chain(Kind::Auth).iter();
    chain.any(|entry| role(entry) == Role::Factor)
}

/// Whether another factor applies to every user, and never returns `PAM_IGNORE`.
pub(crate) fn has_strict_factor(stack: &NamedStack) -> bool {
    let mut chain = stack.service.chain(Kind::Auth).iter();
    chain.any(|entry| {
        role(entry) == Role::Factor && !returns(entry).is_some_and(|codes| codes.contains(&IGNORE))
    })
}

/// Some names, and how many more.
pub(crate) fn list(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown: Vec<_> = names.iter().take(SHOWN).map(String::as_str).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
