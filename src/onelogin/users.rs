//! Finding a user. Sources: the pages "List Users" and "Get User" of versions 2 and 1.

use crate::api::{self, ApiError, Candidate, Equal, Found};
use crate::config::{Attribute, Version};
use crate::id::UserId;
use crate::login::Deadline;
use crate::onelogin::calls::{FIND_USER, FIND_USER_BY_PRINCIPAL, READ_USER};
use crate::onelogin::client::{Client, Purpose, Role};

const PURPOSE: Purpose = Purpose {
    role: Role::Lookup,
    scope: "\"Read Users\" (or more)",
};

/// Looks a user up by an attribute.
///
/// # Errors
/// [`ApiError`] when there is no usable reply.
pub fn by_attribute(
    client: &mut Client<'_>,
    attribute: &Attribute,
    value: &str,
    ignore_case: bool,
    deadline: Deadline,
) -> Result<Found, ApiError> {
    let equal = Equal::Attribute {
        attribute,
        value,
        ignore_case,
    };
    let name = attribute.name();
    // Only version 1 can search for a userPrincipalName.
    let (version, call) = match attribute {
        Attribute::UserPrincipalName => (Version::V1, &FIND_USER_BY_PRINCIPAL),
        _ => (Version::V2, &FIND_USER),
    };
    if let Attribute::Custom(_) = attribute {
        return by_custom_attribute(client, &name, value, equal, deadline);
    }
    let fields = format!("id,{name},state,status");
    let query = [
        (name.as_str(), value),
        ("fields", fields.as_str()),
        ("limit", "2"),
    ];
    let reply = client.get(PURPOSE, call.path, &query, deadline)?;
    api::search(&reply, version, equal).map_err(|error| client.explain(PURPOSE, error))
}

/// Lists leave out custom attributes: the one hit is looked at by itself.
fn by_custom_attribute(
    client: &mut Client<'_>,
    name: &str,
    value: &str,
    equal: Equal<'_>,
    deadline: Deadline,
) -> Result<Found, ApiError> {
    let query = [(name, value), ("fields", "id"), ("limit", "2")];
    let reply = client.get(PURPOSE, FIND_USER.path, &query, deadline)?;
    match api::candidate(&reply).map_err(|error| client.explain(PURPOSE, error))? {
        Candidate::NoUser => Ok(Found::NoUser),
        Candidate::Several => Ok(Found::Several),
        Candidate::One(id) => match look_at(client, &id, equal, deadline)? {
            // The reply must be that user's.
            Found::One(found) if found != id => Ok(Found::Other),
            found => Ok(found),
        },
    }
}

/// Checks that the user with an id is there and active.
///
/// # Errors
/// [`ApiError`] when there is no usable reply.
pub fn by_id(client: &mut Client<'_>, id: &UserId, deadline: Deadline) -> Result<Found, ApiError> {
    look_at(client, id, Equal::Id(id), deadline)
}

fn look_at(
    client: &mut Client<'_>,
    id: &UserId,
    equal: Equal<'_>,
    deadline: Deadline,
) -> Result<Found, ApiError> {
    let path = READ_USER.with(&[id.as_str()]);
    let reply = client.get(PURPOSE, &path, &[], deadline)?;
    api::user(&reply, equal).map_err(|error| client.explain(PURPOSE, error))
}
