//! The MFA calls of version 1. Sources: the pages "Get Enrolled Authentication Factors", "Activate
//! an Authentication Factor" and "Verify an Authentication Factor" of version 1.

use crate::api::{self, Activation, Answer, ApiError, Devices, Ours, Verify};
use crate::config::Factors;
use crate::factor::{Code, Device, Factor};
use crate::id::{UserId, VerificationId};
use crate::login::{Deadline, Permit};
use crate::onelogin::calls;
use crate::onelogin::client::{Client, Purpose, Role};
use crate::onelogin::http::{Method, exposed, json};
use crate::secret::Secret;
use serde::Serialize;

const DEVICES: Purpose = Purpose {
    role: Role::Lookup,
    scope: "\"Read Users\" (or more)",
};
const VERIFY: Purpose = Purpose {
    role: Role::Verify,
    scope: "\"Manage Users\" (or more)",
};

/// Lists a user's enrolled devices.
///
/// # Errors
/// [`ApiError`] when there is no usable reply.
pub fn devices(
    client: &mut Client<'_>,
    user: &UserId,
    deadline: Deadline,
) -> Result<Devices, ApiError> {
    let path = devices_of(user);
    let reply = client.get(DEVICES, &path, &[], deadline)?;
    api::otp_devices(&reply).map_err(|error| client.explain(DEVICES, error))
}

/// Triggers a device: sends the push or the code.
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
    // Version 1 has another word for the life of the code.
    let message = factors.sms_message.as_deref();
    let message = message.map(|text| text.replace("{{otp_expiry}}", "{{expiration}}"));
    let body = json(&TriggerBody {
        state_token_expires_in: factors.expires_in,
        sms_message: message.filter(|_| device.factor == Factor::Sms),
    })?;
    let path = calls::TRIGGER.with(&[user.as_str(), device.id.as_str()]);
    let reply = client.act(VERIFY, Method::Post(body), &path, &devices_of(user), permit)?;
    api::trigger(&reply, ours(user, device)).map_err(|error| client.explain(VERIFY, error))
}

/// Checks a code: with the state token where the device was triggered, without one elsewhere.
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
    let body = json(&CodeBody {
        otp_token: code.secret(),
        state_token: verification.map(VerificationId::as_str),
    })?;
    verify(
        client,
        Verify::Code,
        user,
        device,
        Method::Post(body),
        deadline,
    )
}

/// Asks how a push stands: the same call without a code, which changes nothing.
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
    let body = json(&PollBody {
        state_token: verification.as_str(),
    })?;
    verify(
        client,
        Verify::Poll,
        user,
        device,
        Method::Post(body),
        deadline,
    )
}

fn verify(
    client: &mut Client<'_>,
    verify: Verify,
    user: &UserId,
    device: &Device,
    method: Method,
    deadline: Deadline,
) -> Result<Answer, ApiError> {
    let path = calls::VERIFY.with(&[user.as_str(), device.id.as_str()]);
    let reply = match verify {
        // 401 is "pending" here.
        Verify::Poll => client.ask(VERIFY, method, &path, deadline)?,
        Verify::Code => client.act(VERIFY, method, &path, &devices_of(user), deadline.into())?,
    };
    api::otp_answer(verify, &reply, ours(user, device))
        .map_err(|error| client.explain(VERIFY, error))
}

fn devices_of(user: &UserId) -> String {
    calls::OTP_DEVICES.with(&[user.as_str()])
}

fn ours<'a>(user: &'a UserId, device: &'a Device) -> Ours<'a> {
    Ours {
        user,
        device: &device.id,
        verification: None,
    }
}

#[derive(Serialize)]
struct TriggerBody {
    state_token_expires_in: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    sms_message: Option<String>,
}

#[derive(Serialize)]
struct CodeBody<'a> {
    #[serde(serialize_with = "exposed")]
    otp_token: &'a Secret,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_token: Option<&'a str>,
}

#[derive(Serialize)]
struct PollBody<'a> {
    state_token: &'a str,
}
