//! The MFA calls of version 2. Sources: the pages "Get Enrolled Factors", "Activate Factor",
//! "Verify Factor" (PUT, POST and poll), "Get Available Factors", "Enroll Factor" and "Verify
//! Enrollment" (PUT and poll) of OneLogin's developer documentation.

use crate::api::{
    self, Activation, Answer, ApiError, Available, Devices, Enrolment, Ours, Registration, Verify,
};
use crate::config::Factors;
use crate::factor::{Code, Device, Factor};
use crate::id::{DeviceId, RegistrationId, UserId, VerificationId};
use crate::login::{Deadline, Permit};
use crate::onelogin::calls;
use crate::onelogin::client::{Client, Purpose, Role};
use crate::onelogin::http::{Method, exposed, exposed_as_documented, json};
use crate::secret::Secret;
use serde::{Serialize, Serializer};

const DEVICES: Purpose = Purpose {
    role: Role::Lookup,
    scope: "\"Manage All\" as documented (\"Read All\" was seen to work)",
};
const VERIFY: Purpose = Purpose {
    role: Role::Verify,
    scope: "\"Manage All\" as documented (\"Authentication Only\" was seen to work)",
};
const ENROL: Purpose = Purpose {
    role: Role::Verify,
    scope: "\"Manage All\"",
};

/// Lists a user's enrolled devices.
///
/// # Errors
/// [`ApiError`] when there is no usable reply.
pub fn devices(
    client: &mut Client<'_>,
    user: &UserId,
    factors: &Factors,
    deadline: Deadline,
) -> Result<Devices, ApiError> {
    let path = devices_of(user);
    let reply = client.get(DEVICES, &path, &[], deadline)?;
    api::devices(&reply, &factors.magic_link).map_err(|error| client.explain(DEVICES, error))
}

/// Activates a device.
///
/// # Errors
/// As [`devices`].
pub fn activate(
    client: &mut Client<'_>,
    user: &UserId,
    device: &Device,
    factors: &Factors,
    permit: Permit<'_>,
) -> Result<Activation, ApiError> {
    let is_sms = device.factor == Factor::Sms;
    let body = json(&ActivateBody {
        device_id: &device.id,
        expires_in: factors.expires_in,
        custom_message: factors.sms_message.as_deref().filter(|_| is_sms),
    })?;
    let path = calls::VERIFICATIONS.with(&[user.as_str()]);
    let reply = client.act(VERIFY, Method::Post(body), &path, &devices_of(user), permit)?;
    api::activation(&reply, ours(user, device, None)).map_err(|error| client.explain(VERIFY, error))
}

/// Checks a code, of a verification by PUT or directly by POST.
///
/// # Errors
/// As [`devices`].
pub fn check(
    client: &mut Client<'_>,
    user: &UserId,
    device: &Device,
    verification: Option<&VerificationId>,
    code: &Code,
    deadline: Deadline,
) -> Result<Answer, ApiError> {
    let user_id = user.as_str();
    let otp = code.secret();
    let (method, path) = match verification {
        None => {
            let device_id = &device.id;
            let path = calls::VERIFICATIONS.with(&[user_id]);
            (Method::Post(json(&DirectBody { otp, device_id })?), path)
        }
        Some(verification) => {
            // The documentation wants the device's id beside an authenticator's code, and shows
            // none beside a code that was sent.
            let is_sent = !device.factor.medium().is_empty();
            let device_id = (!is_sent).then_some(&device.id);
            let path = calls::CHECK_VERIFICATION.with(&[user_id, verification.as_str()]);
            (Method::Put(json(&PutBody { otp, device_id })?), path)
        }
    };
    let reply = client.act(VERIFY, method, &path, &devices_of(user), deadline.into())?;
    api::answer(Verify::Code, &reply, ours(user, device, verification))
        .map_err(|error| client.explain(VERIFY, error))
}

/// Asks how an approval stands.
///
/// # Errors
/// As [`devices`].
pub fn poll(
    client: &mut Client<'_>,
    user: &UserId,
    device: &Device,
    verification: &VerificationId,
    deadline: Deadline,
) -> Result<Answer, ApiError> {
    let path = calls::POLL_VERIFICATION.with(&[user.as_str(), verification.as_str()]);
    let reply = client.get(VERIFY, &path, &[], deadline)?;
    api::answer(Verify::Poll, &reply, ours(user, device, Some(verification)))
        .map_err(|error| client.explain(VERIFY, error))
}

/// Lists the factors that a user can enrol.
///
/// # Errors
/// As [`devices`].
pub fn available(
    client: &mut Client<'_>,
    user: &UserId,
    factors: &Factors,
    deadline: Deadline,
) -> Result<Vec<Available>, ApiError> {
    let path = calls::FACTORS.with(&[user.as_str()]);
    let reply = client.get(ENROL, &path, &[], deadline)?;
    api::factors(&reply, &factors.magic_link).map_err(|error| client.explain(ENROL, error))
}

/// Begins an enrolment.
///
/// # Errors
/// As [`devices`].
pub fn register(
    client: &mut Client<'_>,
    user: &UserId,
    available: &Available,
    factors: &Factors,
    deadline: Deadline,
) -> Result<Registration, ApiError> {
    let is_sms = available.factor == Factor::Sms;
    let body = json(&RegisterBody {
        factor_id: available.id,
        display_name: &available.name,
        expires_in: ENROLMENT_LIFE,
        verified: false,
        custom_message: factors.sms_message.as_deref().filter(|_| is_sms),
    })?;
    let path = calls::REGISTRATIONS.with(&[user.as_str()]);
    let reply = client.act(
        ENROL,
        Method::Post(body),
        &path,
        &devices_of(user),
        deadline.into(),
    )?;
    api::registration(&reply, user).map_err(|error| client.explain(ENROL, error))
}

/// Checks the code that ends an enrolment.
///
/// # Errors
/// As [`devices`].
pub fn check_registration(
    client: &mut Client<'_>,
    user: &UserId,
    registration: &RegistrationId,
    code: &Code,
    deadline: Deadline,
) -> Result<Enrolment, ApiError> {
    let path = calls::CHECK_REGISTRATION.with(&[user.as_str(), registration.as_str()]);
    let otp = code.secret();
    let body = json(&RegistrationCodeBody { otp })?;
    let reply = client.act(
        ENROL,
        Method::Put(body),
        &path,
        &devices_of(user),
        deadline.into(),
    )?;
    api::enrolment(Verify::Code, &reply, registration).map_err(|error| client.explain(ENROL, error))
}

/// Asks how an enrolment stands.
///
/// # Errors
/// As [`devices`].
pub fn poll_registration(
    client: &mut Client<'_>,
    user: &UserId,
    registration: &RegistrationId,
    deadline: Deadline,
) -> Result<Enrolment, ApiError> {
    let path = calls::POLL_REGISTRATION.with(&[user.as_str(), registration.as_str()]);
    let reply = client.get(ENROL, &path, &[], deadline)?;
    api::enrolment(Verify::Poll, &reply, registration).map_err(|error| client.explain(ENROL, error))
}

/// How long an enrolment may take, in seconds: the most that OneLogin allows.
const ENROLMENT_LIFE: u32 = 900;

fn devices_of(user: &UserId) -> String {
    calls::DEVICES.with(&[user.as_str()])
}

fn ours<'a>(
    user: &'a UserId,
    device: &'a Device,
    verification: Option<&'a VerificationId>,
) -> Ours<'a> {
    Ours {
        user,
        device: &device.id,
        verification,
    }
}

/// Without an `otp` the same URL sends a push or a text message: hence a type of its own for each.
#[derive(Serialize)]
struct ActivateBody<'a> {
    device_id: &'a DeviceId,
    expires_in: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom_message: Option<&'a str>,
}

#[derive(Serialize)]
struct DirectBody<'a> {
    #[serde(serialize_with = "exposed")]
    otp: &'a Secret,
    device_id: &'a DeviceId,
}

#[derive(Serialize)]
struct PutBody<'a> {
    #[serde(serialize_with = "exposed")]
    otp: &'a Secret,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_id: Option<&'a DeviceId>,
}

#[derive(Serialize)]
struct RegisterBody<'a> {
    factor_id: u64,
    display_name: &'a str,
    expires_in: u32,
    verified: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom_message: Option<&'a str>,
}

#[derive(Serialize)]
struct RegistrationCodeBody<'a> {
    #[serde(serialize_with = "exposed_as_documented")]
    otp: &'a Secret,
}

/// A number where it is one, as in the newest documentation, and text elsewhere: not every device
/// id is a number.
impl Serialize for DeviceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.as_str().parse::<u64>() {
            Ok(number) if number.to_string() == self.as_str() => serializer.serialize_u64(number),
            _ => serializer.serialize_str(self.as_str()),
        }
    }
}
