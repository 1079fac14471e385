//! Rule R6 and its neighbours, written a second time: what a reply says, from its raw bytes, as the
//! documentation and the rule have it. Nothing here calls the product's own reading.

use crate::json::{Object, Value, array, is_json};

/// A verify call: what its reply must speak of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The dialect of the call.
    pub version: Version,
    /// The OneLogin user in its path.
    pub user: String,
    /// The device in its path or body, or that of the verification.
    pub device: String,
    /// The verification in its path (version 2).
    pub verification: Option<String>,
    /// Whether it carried a code; otherwise it asked how an approval stands.
    pub code: bool,
}

/// The version of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// `/api/1/`
    V1,
    /// `/api/2/`
    V2,
}

/// Whether a reply accepts what was asked (rule R6).
///
/// Two shapes: `status` is the text `accepted`, in the object or in the only element of an array;
/// or it is an object that says success in four ways, in an object. Version 1 has the second alone.
/// Each id that is there is ours; a reply to a poll names the verification. No mark of an error
/// stands beside it, and no `data`; but beside the text `error` may be written as `false`.
pub fn is_acceptance(asked: &Asked, status: u16, body: &[u8]) -> bool {
    let statuses: &[u16] = match asked.version {
        Version::V1 => &[200],
        Version::V2 => &[200, 201],
    };
    if !statuses.contains(&status) || !is_json(body) {
        return false;
    }
    let (object, is_alone) = match array(body).as_deref() {
        Some([only]) => (Object::read(only), false),
        Some(_) => return false,
        None => (Object::read(body), true),
    };
    let Some(object) = object else {
        return false;
    };
    let is_word =
        asked.version == Version::V2 && object.text("status").as_deref() == Some("accepted");
    let is_envelope = is_alone
        && object.object("status").is_some_and(|status| {
            status.text("type").as_deref() == Some("success")
                && status.is("code", "200")
                && status.is("error", "false")
                && status.text("message").as_deref() == Some("Success")
        });
    let marks = ["statusCode", "errors", "code", "name", "message", "data"];
    let is_clean = marks.iter().all(|mark| object.at(mark) == Value::Absent)
        && (object.at("error") == Value::Absent || (is_word && object.is("error", "false")));
    let is_named = match (&asked.verification, asked.code) {
        // A code that is posted makes a verification that nobody could know before.
        (None, true) => is_ours_or_absent(&object, "id", None),
        (None, false) => asked.version == Version::V1 && is_ours_or_absent(&object, "id", None),
        (Some(ours), true) => is_ours_or_absent(&object, "id", Some(ours)),
        (Some(ours), false) => object.id("id").as_deref() == Some(ours),
    };
    (is_word || is_envelope)
        && is_clean
        && is_named
        && is_ours_or_absent(&object, "user_id", Some(&asked.user))
        && is_ours_or_absent(&object, "device_id", Some(&asked.device))
}

/// The user whom a search or a look at one found: one, equal, approved and active (rule R5).
pub fn user(
    version: Version,
    is_list: bool,
    status: u16,
    body: &[u8],
    wanted: &Wanted,
) -> Option<String> {
    let user = match users(version, is_list, status, body)?.as_slice() {
        [only] => Object::read(only)?,
        _ => return None,
    };
    let value = match &wanted.attribute {
        None => user.id("id")?,
        Some(name) => match name.strip_prefix("custom_attributes.") {
            Some(name) => user.object("custom_attributes")?.text(name)?,
            None if name == "external_id" => user.id(name)?,
            None => user.text(name)?,
        },
    };
    let is_equal =
        value == wanted.value || (wanted.ignore_case && value.eq_ignore_ascii_case(&wanted.value));
    let is_active = user.is("state", "1") && user.is("status", "1");
    (is_equal && is_active).then(|| user.id("id")).flatten()
}

/// Whom a search is for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The attribute that must be equal; `None` is the id.
    pub attribute: Option<String>,
    /// Its value.
    pub value: String,
    /// Whether ASCII letters are equal in either case.
    pub ignore_case: bool,
}

/// Whether a search says, well-formed, that there is nobody.
pub fn is_nobody(version: Version, status: u16, body: &[u8]) -> bool {
    users(version, true, status, body).is_some_and(|users| users.is_empty())
}

/// How many hits a search has, whatever stands in them.
pub fn hits(version: Version, status: u16, body: &[u8]) -> Option<usize> {
    users(version, true, status, body).map(|users| users.len())
}

fn users(version: Version, is_list: bool, status: u16, body: &[u8]) -> Option<Vec<&[u8]>> {
    if status != 200 || !is_json(body) {
        return None;
    }
    match (version, is_list) {
        (_, false) => Some(vec![body]),
        (Version::V2, true) => array(body),
        (Version::V1, true) => array(enveloped(body)?),
    }
}

/// The devices of a list: id and `auth_factor_name`. Elements without either are left out.
pub fn devices(version: Version, status: u16, body: &[u8]) -> Option<Vec<(String, String)>> {
    let key = match version {
        Version::V1 => "id",
        Version::V2 => "device_id",
    };
    let list = device_list(version, status, body)?;
    let known = list.into_iter().filter_map(|device| {
        let device = Object::read(device)?;
        Some((device.id(key)?, device.text("auth_factor_name")?))
    });
    Some(known.collect())
}

/// Whether a list says, well-formed, that there is no device.
pub fn is_without_devices(version: Version, status: u16, body: &[u8]) -> bool {
    enrolled(version, status, body) == Some(0)
}

/// How many devices a list has, whatever stands in its elements; `None` where there is no list.
pub fn enrolled(version: Version, status: u16, body: &[u8]) -> Option<usize> {
    device_list(version, status, body).map(|list| list.len())
}

fn device_list(version: Version, status: u16, body: &[u8]) -> Option<Vec<&[u8]>> {
    if status != 200 || !is_json(body) {
        return None;
    }
    match version {
        Version::V2 => array(body),
        Version::V1 => match Object::read(enveloped(body)?)?.at("otp_devices") {
            Value::Once(list) => array(list),
            Value::Absent | Value::Ambiguous => None,
        },
    }
}

/// The verification that an activation of a device began, if its reply is ours.
pub fn verification(
    version: Version,
    status: u16,
    body: &[u8],
    user: &str,
    device: &str,
) -> Option<String> {
    if !matches!(status, 200..=202) || !is_json(body) {
        return None;
    }
    let list = match version {
        Version::V2 => array(body).unwrap_or_else(|| vec![body]),
        Version::V1 => array(enveloped(body)?)?,
    };
    let [only] = list.as_slice() else {
        return None;
    };
    let object = Object::read(only)?;
    let (id, users_key) = match version {
        Version::V2 => (object.id("id")?, "user_id"),
        Version::V1 => (object.text("state_token")?, "id"),
    };
    let is_ours = is_ours_or_absent(&object, users_key, Some(user))
        && is_ours_or_absent(&object, "device_id", Some(device));
    is_ours.then_some(id)
}

/// Where a reply of the token endpoint may hold a token: in itself, in the object `data`, or in the
/// first element of the list `data`.
pub fn tokens(body: &[u8]) -> Vec<Object<'_>> {
    let Some(flat) = Object::read(body).filter(|_| is_json(body)) else {
        return Vec::new();
    };
    let wrapped = match flat.at("data") {
        Value::Once(data) => match array(data) {
            Some(list) => list.first().and_then(|first| Object::read(first)),
            None => Object::read(data),
        },
        Value::Absent | Value::Ambiguous => None,
    };
    [Some(flat), wrapped].into_iter().flatten().collect()
}

/// A whole number of seconds, written as a number or as text.
pub fn seconds(object: &Object<'_>, key: &str) -> Option<u64> {
    let text = object.id(key)?;
    let is_plain = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}

/// `data` of a version-1 envelope that says success.
fn enveloped(body: &[u8]) -> Option<&[u8]> {
    let envelope = Object::read(body)?;
    let status = envelope.object("status")?;
    let is_success = status.is("error", "false") && status.is("code", "200");
    match envelope.at("data") {
        Value::Once(data) if is_success => Some(data),
        _ => None,
    }
}

fn is_ours_or_absent(object: &Object<'_>, key: &str, ours: Option<&str>) -> bool {
    match object.at(key) {
        Value::Absent => true,
        Value::Ambiguous => false,
        Value::Once(_) => object
            .id(key)
            .is_some_and(|id| ours.is_none_or(|ours| id == ours)),
    }
}
