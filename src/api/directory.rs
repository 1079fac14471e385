//! Users and their devices.

use super::error_body::{Names, problem};
use super::json::{Entry, Id, Maybe, Object, Scalar, bad, entries, envelope, object};
use super::{DeviceId, Reply, UserId};
use crate::api::ApiError;
use crate::config::{Attribute, Version};
use crate::factor::{Codes, Device, Factor};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

/// What a user search found (rule R5).
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// Exactly one user, whose attribute equals the name, and who is active.
    One(UserId),
    /// A well-formed empty list.
    NoUser,
    /// 404 for an id: no user, but not the well-formed empty answer that `users.unknown` wants.
    Gone,
    /// More than one result.
    Several,
    /// One result whose attribute is not the name.
    Other,
    /// One result that is not approved (`state` 1) and active (`status` 1).
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
    let users: Vec<Entry<UserBody>> = match version {
        Version::V2 => entries(&reply.body)?,
        Version::V1 => envelope(&reply.body)?,
    };
    match users.as_slice() {
        [] => Ok(Found::NoUser),
        [Entry::Read(Object(user))] => user.found(equal),
        [Entry::Odd(_)] => Err(odd_user()),
        _ => Ok(Found::Several),
    }
}

/// The possible user, before the attribute is compared.
#[derive(Debug, PartialEq, Eq)]
pub enum Candidate {
    /// No user.
    NoUser,
    /// This user, whose attribute must still be compared.
    One(UserId),
    /// More than one.
    Several,
}

/// Reads the reply to a search whose results do not contain the attribute: lists leave out custom ones.
///
/// # Errors
/// What a reply that is no list of users means.
pub fn candidate(reply: &Reply) -> Result<Candidate, ApiError> {
    if reply.status != 200 {
        return Err(problem(reply, Names::AndMessages));
    }
    let users: Vec<Entry<UserBody>> = entries(&reply.body)?;
    match users.as_slice() {
        [] => Ok(Candidate::NoUser),
        [Entry::Read(Object(user))] => UserId::parse(&user.id.0)
            .map(Candidate::One)
            .ok_or_else(|| bad("the user's id is malformed")),
        [Entry::Odd(_)] => Err(odd_user()),
        _ => Ok(Candidate::Several),
    }
}

/// An entry that cannot be read still counts as a result (rule R5), not as an empty answer.
fn odd_user() -> ApiError {
    bad("the only search result is not a user with an id")
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
    /// All that are enrolled, whatever their entries look like.
    pub enrolled: usize,
    /// How many of them have an entry that cannot be read.
    pub odd: usize,
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
    let entries: Vec<Entry<DeviceBody>> = entries(&reply.body)?;
    Ok(Devices::of(entries, |body| body.device(magic_links)))
}

/// Reads the reply to `GET /api/1/users/<id>/otp_devices`. A Protect stands there twice where it
/// can do both: the one that needs a trigger gets pushes, the other takes codes. Where each one needs a
/// trigger, its codes go together with a push: so does Pritunl's client, which is in use.
///
/// # Errors
/// What a reply that is no list of devices means.
pub fn otp_devices(reply: &Reply) -> Result<Devices, ApiError> {
    if reply.status != 200 {
        return Err(problem(reply, Names::AndMessages));
    }
    let Object(list): Object<OtpDevices> = envelope(&reply.body)?;
    let mut devices = Devices::of(list.otp_devices, OtpDeviceBody::device);
    let is_for_codes = |device: &Device| device.factor == Factor::ProtectCode;
    if !devices.usable.iter().any(is_for_codes) {
        let usable = devices.usable.iter_mut();
        for device in usable.filter(|device| device.factor == Factor::Push) {
            device.codes = Codes::WithPush;
        }
    }
    Ok(devices)
}

/// What an entry of a list of devices is.
enum Listed {
    Usable(Device),
    /// Of a factor that we do not know, or not in use.
    NotUsable,
    /// Not the entry of a device.
    Odd,
}

impl Devices {
    /// Each entry is a device that is enrolled: one that cannot be used, or not be read, never makes
    /// "no device", on which an exemption or an enrolment could rest.
    fn of<T>(entries: Vec<Entry<T>>, listed: impl Fn(T) -> Listed) -> Self {
        let mut devices = Self {
            usable: Vec::new(),
            enrolled: entries.len(),
            odd: 0,
        };
        for entry in entries {
            match entry.read().map_or(Listed::Odd, &listed) {
                Listed::Usable(device) => devices.usable.push(device),
                Listed::NotUsable => {}
                Listed::Odd => devices.odd += 1,
            }
        }
        devices
    }
}

#[derive(Deserialize)]
struct UserBody {
    id: Id,
    #[serde(default)]
    username: Scalar,
    #[serde(default)]
    email: Scalar,
    #[serde(default)]
    samaccountname: Scalar,
    #[serde(default)]
    userprincipalname: Scalar,
    #[serde(default, deserialize_with = "id_or_nothing")]
    external_id: Option<Id>,
    #[serde(default)]
    custom_attributes: Maybe<BTreeMap<String, serde_json::Value>>,
    #[serde(default)]
    state: Scalar,
    #[serde(default)]
    status: Scalar,
}

fn id_or_nothing<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Id>, D::Error> {
    Scalar::deserialize(deserializer).map(Scalar::into_id)
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
        let [Scalar::Number(1), Scalar::Number(1)] = [&self.state, &self.status] else {
            return Ok(Found::Inactive);
        };
        UserId::parse(&self.id.0)
            .map(Found::One)
            .ok_or_else(|| bad("the user's id is malformed"))
    }

    fn attribute(&self, attribute: &Attribute) -> Option<&str> {
        match attribute {
            Attribute::Username => self.username.text(),
            Attribute::Email => self.email.text(),
            Attribute::SamAccountName => self.samaccountname.text(),
            Attribute::UserPrincipalName => self.userprincipalname.text(),
            Attribute::ExternalId => self.external_id.as_ref().map(|id| id.0.as_str()),
            Attribute::Custom(name) => self.custom_attributes.0.as_ref()?.get(name)?.as_str(),
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
    let factor = Factor::named(auth_factor_name)?;
    let is_link = || magic_links.iter().any(|name| name == display_name);
    Some(match factor {
        Factor::Email if is_link() => Factor::MagicLink,
        factor => factor,
    })
}

/// The first name that is not empty.
fn first_name(names: [Scalar; 2]) -> String {
    let mut names = names.into_iter().filter_map(Scalar::into_text);
    names.find(|name| !name.is_empty()).unwrap_or_default()
}

#[derive(Deserialize)]
struct DeviceBody {
    device_id: Id,
    auth_factor_name: String,
    #[serde(default)]
    user_display_name: Scalar,
    #[serde(default)]
    type_display_name: Scalar,
    #[serde(default)]
    default: Scalar,
}

impl DeviceBody {
    fn device(self, magic_links: &[String]) -> Listed {
        let Some(id) = DeviceId::parse(&self.device_id.0) else {
            return Listed::Odd;
        };
        let type_name = self.type_display_name.text().unwrap_or_default();
        let Some(factor) = factor(&self.auth_factor_name, type_name, magic_links) else {
            return Listed::NotUsable;
        };
        let name = first_name([self.user_display_name, self.type_display_name]);
        let is_default = self.default.is() == Some(true);
        Listed::Usable(Device::new(id, factor, name, is_default))
    }
}

#[derive(Deserialize)]
struct OtpDevices {
    otp_devices: Vec<Entry<OtpDeviceBody>>,
}

#[derive(Deserialize)]
struct OtpDeviceBody {
    id: Id,
    auth_factor_name: String,
    #[serde(default)]
    user_display_name: Scalar,
    #[serde(default)]
    type_display_name: Scalar,
    #[serde(default)]
    default: Scalar,
    #[serde(default)]
    needs_trigger: Scalar,
    #[serde(default)]
    active: Scalar,
}

impl OtpDeviceBody {
    fn device(self) -> Listed {
        let Some(id) = DeviceId::parse(&self.id.0) else {
            return Listed::Odd;
        };
        let needs_trigger = self.needs_trigger.is() == Some(true);
        let factor = match factor(&self.auth_factor_name, "", &[]) {
            _ if self.active.is() == Some(false) => return Listed::NotUsable,
            // A call needs digits to key in, which version 1 does not give.
            None | Some(Factor::Voice) => return Listed::NotUsable,
            Some(Factor::Push) if !needs_trigger => Factor::ProtectCode,
            Some(other) => other,
        };
        let name = first_name([self.user_display_name, self.type_display_name]);
        let mut device = Device::new(id, factor, name, self.default.is() == Some(true));
        if factor == Factor::Push {
            // A code of the app is the other entry's, if there is one.
            device.codes = Codes::Never;
        }
        Listed::Usable(device)
    }
}
