//! The files that a change writes, and the stacks after it.

use crate::change::service::{Service, path, used};
use crate::host::files::{self, Metadata, Snapshot};
use crate::outcome::Failure;
use crate::pam_stack::edit::{Behind, names_us};
use crate::pam_stack::{Entry, Stack, read, verify};
use std::path::{Path, PathBuf};

/// A file that will be changed or created.
pub(crate) struct Planned {
    pub(crate) path: PathBuf,
    pub(crate) before: Option<Snapshot>,
    pub(crate) after: Vec<u8>,
}

impl Planned {
    /// The file that is used in its place now. A file that does not exist yet cannot be the target of a bind
    /// mount, but a stack of the distribution that it will hide can.
    pub(crate) fn replaced(&self) -> Option<PathBuf> {
        if self.before.is_some() {
            return Some(self.path.clone());
        }
        let name = self.path.file_name()?.to_str()?;
        (self.path == path(name)).then(|| used(name)).flatten()
    }

    /// Its owner, mode and attributes.
    pub(crate) fn metadata(&self) -> Metadata {
        let old = self.before.as_ref().map(|old| old.metadata.clone());
        old.unwrap_or_else(|| Metadata::own(0o644))
    }
}

/// The services that ask OneLogin because of these changes alone. If no service does, those that ask because of
/// these changes and of what the tool has written before.
pub(crate) fn through(
    service: Service,
    plans: &[Planned],
    written: &[PathBuf],
) -> Vec<&'static str> {
    let asking = |is_ours: &dyn Fn(&Entry) -> bool| {
        let asks = |name: &&&str| {
            let stack = planned(name, plans);
            let mut ours = stack.ours().peekable();
            ours.peek().is_some() && ours.all(is_ours)
        };
        let services = service.logins().iter().filter(asks);
        services.copied().collect::<Vec<_>>()
    };
    let is_planned = |entry: &Entry| plan_of(&entry.path, plans).is_some();
    let found = asking(&is_planned);
    if found.is_empty() {
        asking(&|entry| is_planned(entry) || written.contains(&entry.path))
    } else {
        found
    }
}

/// The line through which a login of this service asks OneLogin now.
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

/// The plan for this file.
fn plan_of<'a>(path: &Path, plans: &'a [Planned]) -> Option<&'a Planned> {
    plans.iter().find(|plan| plan.path == path)
}

/// The fault of the stack of this service once these files are as planned, in one sentence.
pub(crate) fn flaw(service: &str, plans: &[Planned], behind: Behind) -> Option<String> {
    verify::flaw(&planned(service, plans), behind)
}

/// Whether this stack names our module, once these files are as planned.
pub(crate) fn names_us_as_planned(path: &Path, plans: &[Planned]) -> Result<bool, Failure> {
    let text = match plan_of(path, plans) {
        Some(plan) => plan.after.clone(),
        None => files::snapshot(path)?.map_or_else(Vec::new, |file| file.bytes),
    };
    Ok(names_us(&String::from_utf8_lossy(&text)).is_some())
}

/// Where the tool keeps the records of its changes.
pub(crate) const FOLDER: &str = "/var/lib/pam_onelogin";
