//! By what OneLogin finds a user: whether the settings can be meant so, and what to write if it finds none.

use crate::examine::names::line_of;
use crate::examine::subject::Subject;
use crate::host::target_system::TargetSystem;
use crate::ui::finding::Finding;
use pam_onelogin::config::{Attribute, Config};
use pam_onelogin::login::Unknown;
use pam_onelogin::map::UserKey;

/// Warns if OneLogin is asked for an address, but the names of the users on this host have no domain.
pub(super) fn examine(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let Some(config) = &subject.settings else {
        return;
    };
    if !needs_domain(config) || names_have_domains(subject.machine) {
        return;
    }
    let attribute = attribute(config);
    let what = format!("users.match is \"{attribute}\", but the names on this host have no @");
    // The map may have all users.
    let finding = if config.users.map_file.is_some() {
        Finding::note("match-without-domain", what)
    } else {
        Finding::warning("match-without-domain", what)
    };
    let text = subject.machine.text_or_empty(subject.config);
    let finding = match line_of(&text, "match", &attribute) {
        Some(line) => finding.at(subject.config, line),
        None => finding.in_file(subject.config),
    };
    findings.push(
        finding
            .why(
                "users.append_domain is not set, so OneLogin is asked for the bare name and finds no user, except \
                 those in the map file (reason=no-onelogin-user)",
            )
            .advice(format!(
                "write append_domain = \"YOUR.DOMAIN\" into [users] of {}",
                subject.config.display()
            )),
    );
}

/// Whether this host may know its users as `alice@example.com`: by its own file, or by sssd.
fn names_have_domains(machine: &TargetSystem) -> bool {
    let passwd = machine.text_or_empty("/etc/passwd");
    let mut names = passwd.lines().filter_map(|line| line.split(':').next());
    let says_so = |line: &str| {
        let line = line.replace(' ', "").to_ascii_lowercase();
        line == "use_fully_qualified_names=true"
    };
    names.any(|name| name.contains('@'))
        || machine
            .text_or_empty("/etc/sssd/sssd.conf")
            .lines()
            .any(says_so)
}

/// The attribute by which OneLogin is asked.
pub(super) fn attribute(config: &Config) -> String {
    let attribute = config.users.attribute.as_ref();
    attribute.map(Attribute::name).unwrap_or_default()
}

/// The lines by which OneLogin would find this user: of the configuration for all users, of the map for one.
pub(super) fn what_to_write(
    config: &Config,
    name: &str,
    unknown: &Unknown,
    asked: Option<&UserKey>,
) -> String {
    let users = &config.users;
    let in_map = |what: &str| match &users.map_file {
        Some(path) => format!("write into {} the line \"{name} {what}\"", path.display()),
        None => format!(
            "write map_file = \"{MAP}\" into [users], and into that file, which only root may change, the line \
             \"{name} {what}\""
        ),
    };
    let is_address = matches!(asked, Some(UserKey::Name(value)) if value.contains('@'));
    let (for_all, line) = match unknown {
        Unknown::Inactive => return "activate this user at OneLogin".to_owned(),
        _ if matches!(asked, Some(UserKey::Id(_))) => return in_map(ID),
        Unknown::NotMapped => return in_map(ID),
        Unknown::Name => return in_map(OTHER_NAME),
        Unknown::Several => ("set match in [users] to an attribute that is unique", ID),
        Unknown::Other => (
            "write ignore_case = true into [users], if only the case differs",
            OTHER_NAME,
        ),
        _ if needs_domain(config) && !is_address => (
            "write append_domain = \"YOUR.DOMAIN\" into [users]",
            OTHER_NAME,
        ),
        _ if users.append_domain.is_some() => (
            "compare match and append_domain in [users] with this user at OneLogin",
            OTHER_NAME,
        ),
        _ => (
            "compare match in [users] with this user at OneLogin; if the names there are addresses, write \
             match = \"email\", append_domain = \"YOUR.DOMAIN\"",
            OTHER_NAME,
        ),
    };
    let line = in_map(line);
    let first = match unknown {
        Unknown::User => format!(
            "if OneLogin does not have this user, create the user at OneLogin, or write exempt_users = [\"{name}\"] \
             into [users]; if it has: "
        ),
        _ => String::new(),
    };
    format!("{first}for all users: {for_all}; or for this user alone: {line}")
}

/// Whether the attribute is an address, to which no domain is added.
fn needs_domain(config: &Config) -> bool {
    let users = &config.users;
    let is_address = matches!(
        users.attribute,
        Some(Attribute::Email | Attribute::UserPrincipalName)
    );
    is_address && users.append_domain.is_none()
}

/// Where a map can be.
const MAP: &str = "/etc/pam_onelogin/map";

/// What a line of the map has behind the Unix name.
const ID: &str = "id=NUMBER";
const OTHER_NAME: &str = "NAME-AT-ONELOGIN";
