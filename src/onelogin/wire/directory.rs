//! Users and their devices.

use super::json::{Id, Names, Object, bad, envelope, object, objects, plain, problem};
use super::{DeviceId, Reply, UserId};
use crate::config::{Attribute, Version};
use crate::factor::{Device, Factor};
use crate::login::ApiError;
use serde::Deserialize;
use std::collections::BTreeMap;

/// What a user search found (rule R5).
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// Exactly one user, whose attribute equals the name, and who is active.
    One(UserId),
    /// A well-formed empty list.
    Nobody,
    /// 404 for an id: nobody, but not the well-formed empty answer that `users.unknown` wants.
    Gone,
    /// More than one hit.
    Several,
    /// One hit whose attribute is not the name.
    Other,
    /// One hit that is not approved (`state` 1) and active (`status` 1).
    Inactive,
}

/// What the one user of a reply must be.
#[derive(Clone, Copy)]
pub enum Equal<'a> {
    /// This attribute has this value.
    Attribute {
        /// Which attribute.
        attribute: &'a Attribute,
        /// Its value.
        value: &'a str,
        /// Whether ASCII letters match in either case.
        ignore_case: bool,
    },
    /// The id is this one.
    Id(&'a UserId),
}

/// Reads the reply to a search for users: a list, in API v1 within an envelope.
///
/// # Errors
/// What a reply that is no list of users means.
pub fn search(reply: &Reply, version: Version, equal: Equal<'_>) -> Result<Found, ApiError> {
    if reply.status != 200 {
        return Err(problem(reply, Names::AndMessages));
    }
    let users: Vec<UserBody> = match version {
        Version::V2 => objects(&reply.body)?,
        Version::V1 => plain(envelope(&reply.body)?),
    };
    match users.as_slice() {
        [] => Ok(Found::Nobody),
        [user] => user.found(equal),
        _ => Ok(Found::Several),
    }
}

/// Who might be meant, before the attribute was compared.
#[derive(Debug, PartialEq, Eq)]
pub enum Candidate {
    /// Nobody.
    Nobody,
    /// This user, to be looked at.
    One(UserId),
    /// More than one.
    Several,
}

/// Reads the reply to a search whose hits do not carry the attribute: lists leave out custom ones.
///
/// # Errors
/// What a reply that is no list of users means.
pub fn candidate(reply: &Reply) -> Result<Candidate, ApiError> {
    if reply.status != 200 {
        return Err(problem(reply, Names::AndMessages));
    }
    let users: Vec<UserBody> = objects(&reply.body)?;
    match users.as_slice() {
        [] => Ok(Candidate::Nobody),
        [user] => UserId::parse(&user.id.0)
            .map(Candidate::One)
            .ok_or_else(|| bad("the user's id is malformed")),
        _ => Ok(Candidate::Several),
    }
}

/// Reads the reply to `GET /api/2/users/<id>`.
///
/// # Errors
/// What a reply that is no user means.
pub fn user(reply: &Reply, equal: Equal<'_>) -> Result<Found, ApiError> {
    match reply.status {
        200 => object::<UserBody>(&reply.body)?.found(equal),
        404 => Ok(Found::Gone),
        _ => Err(problem(reply, Names::AndMessages)),
    }
}

/// A user's devices: those of factors that we know, and how many there are in all.
#[derive(Clone, Debug)]
pub struct Devices {
    /// Devices that can be used.
    pub usable: Vec<Device>,
    /// All that are enrolled.
    pub enrolled: usize,
}

/// Reads the reply to `GET /api/2/mfa/users/<id>/devices`. Keyed on `auth_factor_name`; display
/// names are the tenant's and the user's to change. `magic_links` are the display names of the
/// e-mail factors that are links: nothing else tells them from codes.
///
/// # Errors
/// What a reply that is no list of devices means.
pub fn devices(reply: &Reply, magic_links: &[String]) -> Result<Devices, ApiError> {
    if reply.status != 200 {
        return Err(problem(reply, Names::AndMessages));
    }
    let bodies: Vec<DeviceBody> = objects(&reply.body)?;
    Ok(Devices {
        enrolled: bodies.len(),
        usable: bodies
            .into_iter()
            .filter_map(|body| body.device(magic_links))
            .collect(),
    })
}

/// Reads the reply to `GET /api/1/users/<id>/otp_devices`. A Protect stands there twice where it
/// can do both: the one that needs a trigger gets pushes, the other takes codes.
///
/// # Errors
/// What a reply that is no list of devices means.
pub fn otp_devices(reply: &Reply) -> Result<Devices, ApiError> {
    if reply.status != 200 {
        return Err(problem(reply, Names::AndMessages));
    }
    let Object(list): Object<OtpDevices> = envelope(&reply.body)?;
    let bodies = plain(list.otp_devices);
    Ok(Devices {
        enrolled: bodies.len(),
        usable: bodies
            .into_iter()
            .filter_map(OtpDeviceBody::device)
            .collect(),
    })
}

#[derive(Deserialize)]
pub(super) struct UserBody {
    id: Id,
    username: Option<String>,
    email: Option<String>,
    samaccountname: Option<String>,
    userprincipalname: Option<String>,
    external_id: Option<Id>,
    custom_attributes: Option<BTreeMap<String, serde_json::Value>>,
    state: Option<i64>,
    status: Option<i64>,
}

impl UserBody {
    fn found(&self, equal: Equal<'_>) -> Result<Found, ApiError> {
        let is_ours = match equal {
            Equal::Id(id) => self.id.0 == id.as_str(),
            Equal::Attribute {
                attribute,
                value,
                ignore_case,
            } => self.attribute(attribute).is_some_and(|ours| {
                ours == value || (ignore_case && ours.eq_ignore_ascii_case(value))
            }),
        };
        if !is_ours {
            return Ok(Found::Other);
        }
        if (self.state, self.status) != (Some(1), Some(1)) {
            return Ok(Found::Inactive);
        }
        UserId::parse(&self.id.0)
            .map(Found::One)
            .ok_or_else(|| bad("the user's id is malformed"))
    }

    fn attribute(&self, attribute: &Attribute) -> Option<&str> {
        match attribute {
            Attribute::Username => self.username.as_deref(),
            Attribute::Email => self.email.as_deref(),
            Attribute::SamAccountName => self.samaccountname.as_deref(),
            Attribute::UserPrincipalName => self.userprincipalname.as_deref(),
            Attribute::ExternalId => self.external_id.as_ref().map(|id| id.0.as_str()),
            Attribute::Custom(name) => self.custom_attributes.as_ref()?.get(name)?.as_str(),
        }
    }
}

/// What a factor is, by the name that tenants cannot change; the names of API v1 beside those of
/// v2. Only the display name tells a link by e-mail from a code.
pub(super) fn factor(
    auth_factor_name: &str,
    display_name: &str,
    magic_links: &[String],
) -> Option<Factor> {
    Some(match auth_factor_name {
        "OneLogin" | "OneLogin Protect" => Factor::Push,
        "Google Authenticator" => Factor::Totp,
        "SMS" | "OneLogin SMS" | "OneLogin OTP SMS" => Factor::Sms,
        "OneLogin Email" if magic_links.iter().any(|name| name == display_name) => {
            Factor::MagicLink
        }
        "OneLogin Email" => Factor::Email,
        "OneLogin Voice" => Factor::Voice,
        "YubiKey" | "Yubico YubiKey" => Factor::YubiKey,
        "Duo Security" => Factor::Duo,
        _ => return None,
    })
}

/// The first name that is not empty.
pub(super) fn first_name(names: [Option<String>; 2]) -> String {
    let mut names = names.into_iter().flatten();
    names.find(|name| !name.is_empty()).unwrap_or_default()
}

#[derive(Deserialize)]
pub(super) struct DeviceBody {
    device_id: Id,
    auth_factor_name: String,
    user_display_name: Option<String>,
    type_display_name: Option<String>,
    default: Option<bool>,
}

impl DeviceBody {
    fn device(self, magic_links: &[String]) -> Option<Device> {
        let type_name = self.type_display_name.clone().unwrap_or_default();
        Some(Device::new(
            DeviceId::parse(&self.device_id.0)?,
            factor(&self.auth_factor_name, &type_name, magic_links)?,
            first_name([self.user_display_name, self.type_display_name]),
            self.default.unwrap_or(false),
        ))
    }
}

#[derive(Deserialize)]
pub(super) struct OtpDevices {
    otp_devices: Vec<Object<OtpDeviceBody>>,
}

#[derive(Deserialize)]
pub(super) struct OtpDeviceBody {
    id: Id,
    auth_factor_name: String,
    user_display_name: Option<String>,
    type_display_name: Option<String>,
    default: Option<bool>,
    needs_trigger: Option<bool>,
    active: Option<bool>,
}

impl OtpDeviceBody {
    fn device(self) -> Option<Device> {
        if self.active == Some(false) {
            return None;
        }
        let factor = match (factor(&self.auth_factor_name, "", &[])?, self.needs_trigger) {
            (Factor::Push, Some(true)) => Factor::Push,
            (Factor::Push, _) => Factor::ProtectCode,
            // A call needs digits to key in, which version 1 does not give.
            (Factor::Voice, _) => return None,
            (other, _) => other,
        };
        let mut device = Device::new(
            DeviceId::parse(&self.id.0)?,
            factor,
            first_name([self.user_display_name, self.type_display_name]),
            self.default.unwrap_or(false),
        );
        // A code of the app is the other entry's.
        device.takes_codes &= factor != Factor::Push;
        Some(device)
    }
}
