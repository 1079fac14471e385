//! `/api/1/users/:id`: factors, devices, triggers and codes of API v1. Its device ids are the integers of v2.
//!
//! Where the documentation has no error for a case, the nearest documented one is given: an unknown user is a 404 on
//! reading and `User does not exist` otherwise, an unknown device is `Factor could not be found`.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::body::{Body, Wrong};
use super::mfa;
use super::{code_is_right, envelope, no_route, success, temporary};
use crate::device::{Device, Factor, Way};
use crate::http::{Incoming, Reply};
use crate::state::{Outcome, ProtectListing, Purpose, State, Verification, WrongCode, random_hex};

pub(super) fn answer(
    state: &mut State,
    request: &Incoming,
    user: &str,
    segments: &[&str],
) -> Reply {
    let known = user.parse().ok();
    let known = known.filter(|id| state.accounts.contains_key(id));
    let reply = match (request.method.as_str(), segments, known) {
        ("GET", ["auth_factors" | "otp_devices"], None) => Ok(no_user(user)),
        ("POST" | "DELETE", ["otp_devices" | "mfa_token", ..], None) => {
            Ok(bad_request("User does not exist"))
        }
        ("GET", ["auth_factors"], Some(user)) => Ok(factors(state, user)),
        ("GET", ["otp_devices"], Some(user)) => Ok(devices(state, user)),
        ("POST", ["otp_devices"], Some(user)) => {
            body(request).and_then(|body| enrol(state, user, &body))
        }
        ("POST", ["otp_devices", id, "trigger"], Some(user)) => {
            body(request).and_then(|body| trigger(state, user, id, &body))
        }
        ("POST", ["otp_devices", id, "verify"], Some(user)) => {
            body(request).and_then(|body| verify(state, user, id, &body))
        }
        ("DELETE", ["otp_devices", id], Some(user)) => delete(state, user, id),
        ("POST", ["mfa_token"], Some(user)) => {
            body(request).and_then(|body| mfa_token(state, user, &body))
        }
        _ => Ok(no_route()),
    };
    reply.unwrap_or_else(|Refusal(reply)| reply)
}

/// The answer to a request that is not as it should be.
struct Refusal(Reply);

impl From<Wrong> for Refusal {
    fn from(wrong: Wrong) -> Refusal {
        refused(&format!("{} {}", wrong.field, wrong.message))
    }
}

type Answer = Result<Reply, Refusal>;

pub(super) fn no_user(id: &str) -> Reply {
    envelope(404, "not found", &format!("User for id {id} was not found"))
}

fn bad_request(message: &str) -> Reply {
    envelope(400, "bad request", message)
}

fn refused(message: &str) -> Refusal {
    Refusal(bad_request(message))
}

fn failed() -> Refusal {
    unauthorized("Failed authentication with this factor")
}

fn unauthorized(message: &str) -> Refusal {
    Refusal(envelope(401, "Unauthorized", message))
}

fn body(request: &Incoming) -> Result<Body, Refusal> {
    Body::or_empty(request).ok_or_else(|| refused("The body is not a JSON object"))
}

/// A success with data.
pub(super) fn data(data: impl Into<Value>) -> Reply {
    let mut body = success();
    body["data"] = data.into();
    Reply::new(200, &body)
}

/// `GET auth_factors`.
fn factors(state: &State, user: u64) -> Reply {
    let available = mfa::available(state, user);
    let list: Vec<Value> = available
        .iter()
        .filter_map(|(id, factor)| Some(json!({"name": factor.v1_name()?, "factor_id": id})))
        .collect();
    data(json!({"auth_factors": list}))
}

/// `GET otp_devices`.
fn devices(state: &State, user: u64) -> Reply {
    let listing = state.settings.protect_listing;
    let mut list = Vec::new();
    for device in mfa::devices_of(state, user) {
        let ways: &[bool] = match (&device.factor, listing) {
            (Factor::Protect, ProtectListing::Twice) => &[true, false],
            (Factor::Protect, ProtectListing::Triggered) => &[true],
            (factor, _) => &[!factor.takes_code_directly()],
        };
        list.extend(
            ways.iter()
                .filter_map(|&triggered| shown(device, triggered)),
        );
    }
    data(json!({"otp_devices": list}))
}

/// A device as v1 lists it, unless v1 does not know it.
fn shown(device: &Device, needs_trigger: bool) -> Option<Value> {
    let mut shown = json!({
        "id": device.id.parse::<u64>().ok()?,
        "auth_factor_name": device.factor.v1_name()?,
        "type_display_name": device.type_name,
        "user_display_name": device.name,
        "active": device.active,
        "default": device.default,
        "needs_trigger": needs_trigger,
    });
    if let Some(number) = &device.phone {
        shown["phone_number"] = number.as_str().into();
    }
    Some(shown)
}

/// `POST otp_devices`: only text messages and calls can be enrolled. A device whose number is not verified is listed
/// as not active until the code that is sent to it has been verified.
fn enrol(state: &mut State, user: u64, body: &Body) -> Answer {
    let factor = body.identifier("factor_id")?;
    let factor = factor.ok_or_else(|| Wrong::missing("factor_id"))?;
    let name = body.text("display_name")?;
    let name = name.ok_or_else(|| Wrong::missing("display_name"))?;
    let number = body.text("number")?;
    let number = number.ok_or_else(|| Wrong::missing("number"))?;
    let is_e164 = number.strip_prefix('+').is_some_and(|digits| {
        (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
    });
    if !is_e164 {
        return Err(Wrong::new("number", "must be in E.164 format").into());
    }
    let is_verified = body.flag("verified")?;
    let available = mfa::available(state, user);
    let found = available
        .into_iter()
        .find(|(id, _)| id.to_string() == factor);
    let factor = found.map(|(_, factor)| factor);
    let factor = factor.filter(|f| matches!(f, Factor::Sms | Factor::Voice));
    let factor = factor.ok_or_else(|| Wrong::new("factor_id", "is not available"))?;
    let mut device = Device::new(factor, state.next_device().to_string(), name).phone(number);
    device.active = is_verified;
    let mut reply = shown(&device, true).unwrap_or_default();
    if !is_verified {
        let code = code(state, &device.factor, false);
        let text = mfa::default_text(&code);
        let token = begin(state, user, &device, mfa::DEFAULT_LIFETIME, code, text);
        reply["state_token"] = token.into();
    }
    if let Some(account) = state.accounts.get_mut(&user) {
        account.devices.push(device);
    }
    Ok(data(json!([reply])))
}

/// `POST otp_devices/:id/trigger`: sends the push, message or call. The id in the reply is the user's.
fn trigger(state: &mut State, user: u64, id: &str, body: &Body) -> Answer {
    let device = own_device(state, user, id)?;
    if device.factor.row().way == Way::CodeAtHand {
        return Err(refused("This factor does not need to be triggered"));
    }
    let lifetime = body.seconds(
        "state_token_expires_in",
        mfa::DEFAULT_LIFETIME,
        1..=mfa::MAX_LIFETIME,
    )?;
    let is_numeric = body.flag("numeric_sms_otp")?;
    let template = body.text("sms_message")?;
    let code = code(state, &device.factor, is_numeric);
    let text = match template.filter(|_| device.factor == Factor::Sms) {
        Some(template) => mfa::filled(&template, &code, "{{expiration}}", lifetime)
            .ok_or_else(|| Wrong::new("sms_message", "is longer than 160 characters"))?,
        None => mfa::default_text(&code),
    };
    let token = begin(state, user, &device, lifetime, code, text);
    let mut reply = success();
    reply["data"] = json!([{
        "id": user,
        "device_id": device.id.parse::<u64>().ok(),
        "auth_factor_name": device.factor.v1_name(),
        "type_display_name": device.type_name,
        "user_display_name": device.name,
        "active": device.active,
        "state_token": token,
        "state_token_expires_at": mfa::expires_at(lifetime),
    }]);
    // Only the first is documented.
    let sent = match device.factor {
        Factor::Sms => "SMS token sent to your mobile device".to_owned(),
        factor => format!("{} sent", factor.row().sends),
    };
    reply["status"]["message"] = format!("{sent}. Authentication pending.").into();
    Ok(Reply::new(200, &reply))
}

/// Codes of text messages have a letter unless asked otherwise.
fn code(state: &mut State, factor: &Factor, is_numeric: bool) -> String {
    match factor.row().way {
        Way::CodeSent { .. } if *factor == Factor::Sms && !is_numeric => state.alphanumeric_code(),
        Way::CodeSent { .. } | Way::Call => state.code(false),
        Way::CodeAtHand | Way::Push | Way::Link => String::new(),
    }
}

/// Starts what a `state_token` stands for, and gives the token.
fn begin(
    state: &mut State,
    user: u64,
    device: &Device,
    lifetime: u64,
    code: String,
    text: String,
) -> String {
    let token: String = (random_hex() + &random_hex()).chars().take(40).collect();
    let verification = Verification {
        id: token.clone(),
        purpose: Purpose::Trigger,
        user,
        device: device.id.clone(),
        factor: device.factor.clone(),
        code: Some(code.clone()).filter(|code| !code.is_empty()),
        outcome: Outcome::Pending,
        push: state.settings.push,
        expires: Instant::now() + Duration::from_secs(lifetime),
    };
    mfa::begin(state, verification, code, text);
    token
}

/// `POST otp_devices/:id/verify`: a code, the state of a push, or with both the code of what was triggered.
/// Device 0 stands for the temporary tokens of the user, whether there are devices or not. That a code without the
/// `state_token` is refused where the device is listed with a trigger alone is an assumption.
fn verify(state: &mut State, user: u64, id: &str, body: &Body) -> Answer {
    let otp = body.text("otp_token")?.filter(|otp| !otp.is_empty());
    let token = body.text("state_token")?.filter(|token| !token.is_empty());
    if id == "0" {
        let is_right = otp.is_some_and(|otp| state.use_temporary(user, None, &otp));
        return is_right.then(|| code_is_right(state)).ok_or_else(failed);
    }
    let device = own_device(state, user, id)?;
    let is_listing_triggers = state.settings.protect_listing == ProtectListing::Triggered;
    let needs_push = device.factor == Factor::Protect && is_listing_triggers;
    match (otp, token) {
        (otp, Some(token)) => triggered(state, user, &device, &token, otp.as_deref())?,
        (_, None) if needs_push || !device.factor.takes_code_directly() => return Err(stale()),
        (Some(otp), None) if device.accepts(&otp) || accepts_wrong(state) => {}
        (_, None) => return Err(failed()),
    }
    let account = state.accounts.get_mut(&user);
    let mut devices = account.into_iter().flat_map(|account| &mut account.devices);
    if let Some(used) = devices.find(|d| d.id == device.id) {
        used.active = true;
    }
    Ok(code_is_right(state))
}

fn accepts_wrong(state: &State) -> bool {
    state.settings.wrong_code == WrongCode::Accepted
}

fn stale() -> Refusal {
    refused("State token is invalid or expired")
}

/// Checks what was triggered; success uses the `state_token` up. That a denied push is answered like a wrong code is an
/// assumption, as is that a code of the app is refused once its push was answered, and that a call can be verified both by
/// its digits and by waiting for them to be keyed in.
fn triggered(
    state: &mut State,
    user: u64,
    device: &Device,
    token: &str,
    otp: Option<&str>,
) -> Result<(), Refusal> {
    let now = Instant::now();
    let own = |v: &&Verification| {
        v.id == token
            && v.purpose == Purpose::Trigger
            && v.user == user
            && v.device == device.id
            && now < v.expires
    };
    let verification = state.verifications.iter().find(own).ok_or_else(stale)?;
    let is_right = match otp {
        Some(_) if accepts_wrong(state) => true,
        Some(otp) if device.factor == Factor::Protect => {
            verification.outcome == Outcome::Pending && device.accepts(otp)
        }
        Some(otp) => verification.code.as_deref() == Some(otp),
        None if !verification.factor.is_polled() => false,
        None => {
            state.poll(token);
            let verification = state.verifications.iter().find(own).ok_or_else(stale)?;
            match verification.outcome {
                Outcome::Accepted => true,
                Outcome::Rejected => return Err(unauthorized(&state.settings.v1_refused)),
                Outcome::Pending => return Err(unauthorized(&state.settings.v1_pending)),
            }
        }
    };
    if !is_right {
        return Err(failed());
    }
    state.verifications.retain(|v| v.id != token);
    Ok(())
}

/// `DELETE otp_devices/:id`.
fn delete(state: &mut State, user: u64, id: &str) -> Answer {
    let _: Device = own_device(state, user, id)?;
    mfa::remove_device(state, user, id);
    Ok(Reply::new(200, "{}"))
}

/// `POST mfa_token`: without an envelope, and without the device of v2.
fn mfa_token(state: &mut State, user: u64, body: &Body) -> Answer {
    let (reply, _) = temporary::give(state, user, body)?;
    Ok(Reply::new(200, &reply))
}

fn own_device(state: &State, user: u64, id: &str) -> Result<Device, Refusal> {
    let mut devices = mfa::devices_of(state, user).iter();
    let is_meant = |d: &&Device| d.id == id && d.factor.v1_name().is_some();
    let device = devices.find(is_meant).cloned();
    device.ok_or_else(|| refused("Factor could not be found"))
}
