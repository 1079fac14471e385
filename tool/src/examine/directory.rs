//! How OneLogin knows its users: whether they have the attribute by which this host looks them up, and whether
//! they could change it themselves.

use crate::ui::finding::Finding;
use pam_onelogin::config::{Attribute, Config};
use pam_onelogin::login::Deadline;
use pam_onelogin::onelogin::calls::FIND_USER;
use pam_onelogin::onelogin::client::{Client, Purpose, Role};
use serde::Deserialize;
use std::collections::BTreeSet;

/// The number of users that are looked at: the first that OneLogin lists.
const LOOKED_AT: &str = "20";

/// A user, as far as it matters here.
#[derive(Deserialize)]
struct User {
    username: Option<String>,
    email: Option<String>,
}

/// Warns where users have no user name at OneLogin, but this host looks them up by it.
pub(crate) fn empty_usernames(
    client: &mut Client<'_>,
    config: &Config,
    findings: &mut Vec<Finding>,
) {
    if config.users.attribute != Some(Attribute::Username) {
        return;
    }
    let purpose = Purpose {
        role: Role::Lookup,
        scope: "",
    };
    let query = [("fields", "username,email"), ("limit", LOOKED_AT)];
    let deadline = Deadline::after(config.onelogin.request_timeout);
    let reply = client.get(purpose, FIND_USER.path, &query, deadline);
    let reply = reply.ok().filter(|reply| reply.status == 200);
    let users: Option<Vec<User>> = reply.and_then(|reply| serde_json::from_slice(&reply.body).ok());
    let users = users.unwrap_or_default();
    let is_empty = |user: &User| user.username.as_deref().unwrap_or_default().is_empty();
    if users.is_empty() || !users.iter().all(is_empty) {
        return;
    }
    let domains: BTreeSet<&str> = users
        .iter()
        .filter_map(|user| user.email.as_deref()?.split_once('@'))
        .map(|(_, domain)| domain)
        .collect();
    let mut domains = domains.into_iter();
    let domain = match (domains.next(), domains.next()) {
        (Some(domain), None) => domain,
        _ => "YOUR.DOMAIN",
    };
    let count = users.len();
    findings.push(
        Finding::warning(
            "empty-usernames",
            format!("none of the first {count} users at OneLogin has a user name"),
        )
        .why("users.match is \"username\", so OneLogin finds no user (reason=no-onelogin-user)")
        .advice(format!(
            "write into [users]: match = \"email\", append_domain = \"{domain}\""
        )),
    );
}

/// Says where users may be able to change the attribute by which they are looked up.
pub(crate) fn editable(config: &Config, findings: &mut Vec<Finding>) {
    let attribute = match &config.users.attribute {
        Some(attribute @ (Attribute::Email | Attribute::Custom(_))) => attribute.name(),
        _ => return,
    };
    findings.push(
        Finding::note(
            "editable-attribute",
            format!("users are looked up by {attribute}"),
        )
        .why("a user who can change this value at OneLogin can log in here as another user, with the own factor")
        .advice("at OneLogin, do not let users edit it in their profile"),
    );
}
