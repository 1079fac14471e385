//! Services whose stack `enable` changed and another program has written over since: a login needs no second factor then.

use crate::examine::named_stack::{NamedStack, list, read};
use crate::examine::subject::{Enabled, Subject};
use crate::pam_stack::FOLDERS;
use crate::ui::finding::Finding;
use std::path::Path;

/// A file of a change that `enable` made, and the services that do not call the module any more because it has changed.
pub(crate) struct Overwritten<'a> {
    enabled: &'a Enabled,
    path: &'a Path,
    services: Vec<String>,
}

/// Each such file. Services whose stack denies every login have another finding.
pub(crate) fn overwritten<'a>(
    subject: &'a Subject<'_>,
    lets_in: &dyn Fn(&NamedStack) -> bool,
) -> Vec<Overwritten<'a>> {
    let mut found: Vec<Overwritten<'_>> = Vec::new();
    for enabled in &subject.enabled {
        for service in enabled.through.iter().filter(|it| subject.includes(it)) {
            let stack = read(subject.machine, service);
            let Some(_) = stack.filter(|stack| !stack.asks() && lets_in(stack)) else {
                continue;
            };
            let Some(path) = file_of(enabled, service) else {
                continue;
            };
            let mut known = found.iter_mut();
            match known.find(|it| it.path == path && it.enabled.service == enabled.service) {
                Some(same) => same.services.push(service.clone()),
                None => found.push(Overwritten {
                    enabled,
                    path,
                    services: vec![service.clone()],
                }),
            }
        }
    }
    found
}

/// The file of a change that this service uses: its own, or else the one that it includes.
fn file_of<'a>(enabled: &'a Enabled, service: &str) -> Option<&'a Path> {
    let stacks = Path::new("/etc/pam.d");
    let mut files = enabled.files.iter();
    let own = files.find(|file| **file == stacks.join(service));
    let mut files = enabled.files.iter();
    let file = own.or_else(|| files.find(|file| file.starts_with(stacks)));
    file.map(std::path::PathBuf::as_path)
}

impl Overwritten<'_> {
    /// Whether it is about this service.
    pub(crate) fn has(&self, service: &str) -> bool {
        self.services.iter().any(|it| it == service)
    }

    pub(super) fn finding(&self, subject: &Subject<'_>) -> Finding {
        let service = &self.enabled.service;
        let enable = subject.enable(service);
        let name = self.path.file_name().unwrap_or_default();
        let mut stacks = FOLDERS.iter().map(|folder| Path::new(folder).join(name));
        let (why, first) = if stacks.any(|path| subject.machine.has(path)) {
            let why = "a program such as Puppet, or an administrator, has changed the file since \
                       \"pam-onelogin enable\"";
            (why, "type: ")
        } else {
            let why = "the file is missing, so libpam uses another stack";
            (why, "install the file again; then type: ")
        };
        let what = format!(
            "{}: enabled, but the stack no longer calls pam_onelogin",
            list(&self.services)
        );
        Finding::fault("stack-overwritten", what)
            .in_file(self.path)
            .opens_to("users who pass the first factor")
            .why(format!("{why}: a login needs no second factor"))
            .advice(format!(
                "{first}sudo pam-onelogin {enable}; if this change is intended, type: sudo pam-onelogin disable {service}"
            ))
    }
}
