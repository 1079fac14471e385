//! The files that a change writes, and what the stacks are once they are written.

use crate::change::service::Service;
use crate::host::files::{self, Metadata, Snapshot};
use crate::outcome::Failure;
use crate::pam_stack::edit::{Behind, names_us};
use crate::pam_stack::{Entry, Stack, read, verify};
use std::path::{Path, PathBuf};

/// A file that will change, or be made.
pub(crate) struct Planned {
    pub(crate) path: PathBuf,
    pub(crate) before: Option<Snapshot>,
    pub(crate) after: Vec<u8>,
}

impl Planned {
    /// What it is beside its bytes.
    pub(crate) fn metadata(&self) -> Metadata {
        let old = self.before.as_ref().map(|old| old.metadata.clone());
        old.unwrap_or_else(|| Metadata::own(0o644))
    }
}

/// The services that ask OneLogin by these changes, and by nothing else.
pub(crate) fn through(service: Service, plans: &[Planned]) -> Vec<&'static str> {
    let asks = |name: &&&str| {
        let stack = planned(name, plans);
        let mut ours = stack.ours().peekable();
        let is_planned = |entry: &Entry| plan_of(&entry.path, plans).is_some();
        ours.peek().is_some() && ours.all(is_planned)
    };
    service.logins().iter().filter(asks).copied().collect()
}

/// Where a login of this service asks OneLogin now.
pub(crate) fn asks(service: Service) -> Option<String> {
    service.logins().iter().find_map(|name| {
        let stack = planned(name, &[]);
        let ours = stack.ours().next()?;
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
pub(crate) fn flaw(service: &str, plans: &[Planned], behind: Behind) -> Option<String> {
    verify::flaw(&planned(service, plans), behind)
}

/// Whether this stack names us, once these files are as planned.
pub(crate) fn names_us_as_planned(path: &Path, plans: &[Planned]) -> Result<bool, Failure> {
    let text = match plans.iter().find(|plan| plan.path == path) {
        Some(plan) => plan.after.clone(),
        None => files::snapshot(path)?.map_or_else(Vec::new, |file| file.bytes),
    };
    Ok(names_us(&String::from_utf8_lossy(&text)).is_some())
}

/// Where the tool keeps what it has changed.
pub(crate) const FOLDER: &str = "/var/lib/pam_onelogin";
