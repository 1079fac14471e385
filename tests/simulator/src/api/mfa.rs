//! `/api/2/mfa/users/:id`: factors, devices, activation, codes and polls.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use time::OffsetDateTime;

use super::body::{Body, Wrong};
use super::{
    bad_request, code_is_right, invalid_credentials, no_route, not_found, registrations, temporary,
};
use crate::device::{Device, Factor, Way};
use crate::http::{Incoming, Reply};
use crate::message::Message;
use crate::state::{
    Dialect, ExpiredPoll, Outcome, Purpose, State, Verification, WrongCode, iso, random_hex,
};

pub(super) fn answer(
    state: &mut State,
    request: &Incoming,
    user: &str,
    segments: &[&str],
) -> Reply {
    let Some(user) = user
        .parse()
        .ok()
        .filter(|id| state.accounts.contains_key(id))
    else {
        return not_found();
    };
    let reply = match (request.method.as_str(), segments) {
        ("GET", ["factors"]) => Ok(factors(state, user)),
        ("GET", ["devices"]) => Ok(devices(state, user)),
        ("DELETE", ["devices", id]) => Ok(delete(state, user, id)),
        ("POST", ["verifications"]) => body(request).and_then(|body| match body.text("otp")? {
            Some(otp) => check_without_activation(state, user, &body, &otp),
            None => activate(state, user, &body),
        }),
        ("PUT", ["verifications", id]) => {
            body(request).and_then(|body| check(state, user, id, &body))
        }
        ("GET", ["verifications", id]) => poll(state, user, id),
        ("POST", ["registrations"]) => {
            body(request).and_then(|body| registrations::start(state, user, &body))
        }
        ("PUT", ["registrations", id]) => {
            body(request).and_then(|body| registrations::check(state, user, id, &body))
        }
        ("GET", ["registrations", id]) => registrations::poll(state, user, id),
        ("POST", ["mfa_token"]) => temporary::generate(state, request, user),
        _ => Ok(no_route()),
    };
    reply.unwrap_or_else(|refusal| refusal)
}

/// A reply, or the refusal that ended the work on it.
pub(super) type Answer = Result<Reply, Reply>;

fn factors(state: &State, user: u64) -> Reply {
    let list: Vec<Value> = available(state, user)
        .into_iter()
        .map(|(id, factor)| {
            json!({
                "factor_id": id,
                "name": factor.v1_name().unwrap_or(factor.auth_factor_name()),
                "auth_factor_name": factor.auth_factor_name(),
            })
        })
        .collect();
    Reply::new(200, &Value::from(list))
}

/// What could still be enrolled, with its `factor_id`: a factor that the user has is gone from the list.
pub(super) fn available(state: &State, user: u64) -> Vec<(u64, Factor)> {
    let Some(account) = state.accounts.get(&user) else {
        return Vec::new();
    };
    let is_enrolled = |factor: &Factor| {
        let mut devices = account.devices.iter();
        devices.any(|d| d.active && d.factor.auth_factor_name() == factor.auth_factor_name())
    };
    let allowed = account.user.factors.iter();
    let available = allowed.filter(|factor| !is_enrolled(factor));
    available.map(|f| (f.row().id, f.clone())).collect()
}

fn devices(state: &State, user: u64) -> Reply {
    let list: Vec<Value> = devices_of(state, user)
        .iter()
        .filter(|device| device.active)
        .map(|device| {
            json!({
                "device_id": id_json(state, &device.id),
                "user_display_name": device.name,
                "type_display_name": device.type_name,
                "auth_factor_name": device.factor.auth_factor_name(),
                "default": device.default,
            })
        })
        .collect();
    Reply::new(200, &Value::from(list))
}

/// `DELETE devices/:id`.
fn delete(state: &mut State, user: u64, id: &str) -> Reply {
    if remove_device(state, user, id) {
        Reply::new(204, "")
    } else {
        not_found()
    }
}

/// Removes a device and what is open for it; whether there was one.
pub(super) fn remove_device(state: &mut State, user: u64, id: &str) -> bool {
    let Some(account) = state.accounts.get_mut(&user) else {
        return false;
    };
    let before = account.devices.len();
    account.devices.retain(|device| device.id != id);
    let is_removed = account.devices.len() < before;
    if is_removed {
        let is_other = |v: &Verification| v.user != user || v.device != id;
        state.verifications.retain(is_other);
    }
    is_removed
}

/// `POST verifications` without `otp`: sends the push, message or call.
fn activate(state: &mut State, user: u64, body: &Body) -> Answer {
    let device = wanted_device(state, user, body)?;
    let lifetime = lifetime(body)?;
    let code = code_to_send(state, &device.factor);
    let text = message_text(body, &device.factor, &code, lifetime)?;
    let verification = Verification {
        id: uuid(),
        purpose: Purpose::Login,
        user,
        device: device.id.clone(),
        factor: device.factor.clone(),
        code: Some(code.clone()).filter(|code| !code.is_empty()),
        outcome: Outcome::Pending,
        push: state.settings.push,
        expires: Instant::now() + Duration::from_secs(lifetime),
    };
    let mut reply = json!({
        "id": verification.id,
        "user_id": id_json(state, &user.to_string()),
        "device_id": id_json(state, &device.id),
        "auth_factor_name": device.factor.auth_factor_name(),
        "type_display_name": device.type_name,
        "user_display_name": device.name,
    });
    if let (Dialect::Py4, Ok(number)) = (state.settings.dialect, device.id.parse::<u64>()) {
        reply["device_id"] = number.into();
    }
    if device.factor != Factor::Protect {
        reply["expires_at"] = expires_at(lifetime).into();
    }
    if device.factor == Factor::Voice {
        reply["factor_data"] = json!({"verification_token": code});
    }
    begin(state, verification, code, text);
    let in_array = state.settings.dialect == Dialect::Docs && device.factor == Factor::Sms;
    let reply = if in_array { json!([reply]) } else { reply };
    Ok(Reply::new(201, &reply))
}

/// The code of the message, e-mail or call; empty for factors that send none.
pub(super) fn code_to_send(state: &mut State, factor: &Factor) -> String {
    match factor.row().way {
        Way::CodeSent { letters } => state.code(letters),
        Way::Call => state.code(false),
        Way::CodeAtHand | Way::Push | Way::Link => String::new(),
    }
}

/// The text of a message or e-mail; `custom_message` is for text messages, `redirect_to` for links.
pub(super) fn message_text(
    body: &Body,
    factor: &Factor,
    code: &str,
    lifetime: u64,
) -> Result<String, Wrong> {
    body.text("redirect_to")?;
    let template = body.text("custom_message")?;
    let template = template.filter(|_| *factor == Factor::Sms);
    let Some(template) = template else {
        return Ok(default_text(code));
    };
    let filled = filled(&template, code, "{{otp_expiry}}", lifetime);
    filled.ok_or_else(|| Wrong::new("custom_message", "is longer than 160 characters"))
}

pub(super) fn default_text(code: &str) -> String {
    format!("Your OneLogin code is {code}")
}

/// A template with code and minutes filled in, unless it gets too long for a text message.
pub(super) fn filled(
    template: &str,
    code: &str,
    expiry_field: &str,
    lifetime: u64,
) -> Option<String> {
    let minutes = (lifetime / 60).to_string();
    let text = template
        .replace("{{otp_code}}", code)
        .replace(expiry_field, &minutes);
    (text.chars().count() <= MAX_CUSTOM_MESSAGE).then_some(text)
}

/// Remembers a verification and sends what belongs to it.
pub(super) fn begin(state: &mut State, verification: Verification, code: String, text: String) {
    let account = state.accounts.get(&verification.user);
    let username = account.map(|account| account.user.label());
    let message = username.and_then(|name| Message::of(&verification, name, code, text));
    if let Some(message) = message {
        state.send(message);
    }
    state.verifications.push(verification);
}

pub(super) fn expires_at(lifetime: u64) -> String {
    iso(OffsetDateTime::now_utc() + Duration::from_secs(lifetime))
}

/// `POST verifications` with `otp`: a code that needs no activation. That a temporary token is checked here, by the
/// `device_id` that came with it, is an assumption: the documentation does not say how v2 checks one.
fn check_without_activation(state: &mut State, user: u64, body: &Body, otp: &str) -> Answer {
    let named = body.identifier("device_id")?;
    if let Some(device) = named.filter(|id| id.starts_with(TEMPORARY)) {
        if !state
            .temporary
            .iter()
            .any(|t| t.user == user && t.device == device)
        {
            return Err(not_found());
        }
        let is_right = state.use_temporary(user, Some(&device), otp);
        let outcome = code_outcome(state, is_right);
        return Ok(checked(state, None, user, &device, outcome));
    }
    let device = wanted_device(state, user, body)?;
    let outcome = code_outcome(state, device.accepts(otp));
    Ok(checked(state, None, user, &device.id, outcome))
}

/// `PUT verifications/:id`: a code for something activated. A wrong code does not use the verification up.
fn check(state: &mut State, user: u64, id: &str, body: &Body) -> Answer {
    let otp = body.text("otp")?.ok_or_else(|| Wrong::missing("otp"))?;
    let named = body.identifier("device_id")?;
    let now = Instant::now();
    let devices = devices_of(state, user).to_vec();
    let verification = own_verification(state, user, id)?;
    let device = verification.device.clone();
    let is_open = now < verification.expires && verification.outcome == Outcome::Pending;
    let is_right = match verification.factor.row().way {
        Way::CodeSent { .. } => {
            named.is_none_or(|named| named == device) && verification.code.as_ref() == Some(&otp)
        }
        Way::CodeAtHand => {
            let named = named.ok_or_else(|| Wrong::missing("device_id"))?;
            let mut devices = devices.iter();
            named == device && devices.any(|d| d.id == device && d.accepts(&otp))
        }
        // Their ids expect an answer on the device, not a code.
        Way::Push | Way::Call | Way::Link => false,
    };
    if is_open && is_right {
        verification.code = None;
        verification.outcome = Outcome::Accepted;
    }
    let outcome = if is_open {
        code_outcome(state, is_right)
    } else {
        Outcome::Rejected
    };
    Ok(checked(state, Some(id), user, &device, outcome))
}

fn code_outcome(state: &State, is_right: bool) -> Outcome {
    match (is_right, state.settings.wrong_code) {
        (true, _) | (false, WrongCode::Accepted) => Outcome::Accepted,
        (false, WrongCode::Rejected) => Outcome::Rejected,
        (false, WrongCode::Pending) => Outcome::Pending,
    }
}

/// The reply to a code, in either dialect.
fn checked(state: &State, id: Option<&str>, user: u64, device: &str, outcome: Outcome) -> Reply {
    match (state.settings.dialect, outcome) {
        (Dialect::Docs | Dialect::Py4, Outcome::Accepted) => code_is_right(state),
        (Dialect::Docs | Dialect::Py4, Outcome::Pending | Outcome::Rejected) => {
            invalid_credentials()
        }
        (Dialect::Live, outcome) => {
            let mut reply = json!({"status": outcome.name(), "device_id": id_json(state, device)});
            match id {
                Some(id) => reply["id"] = id.into(),
                None => reply["user_id"] = id_json(state, &user.to_string()),
            }
            Reply::new(200, &reply)
        }
    }
}

/// `GET verifications/:id`.
fn poll(state: &mut State, user: u64, id: &str) -> Answer {
    own_verification(state, user, id)?;
    let outcome = polled(state, id)?;
    let device = own_verification(state, user, id)?.device.clone();
    let reply = json!({"id": id, "status": outcome.name(), "device_id": id_json(state, &device)});
    Ok(in_documented_array(state, reply))
}

/// One poll of a verification or registration; the refusal if it has expired and the settings say so.
pub(super) fn polled(state: &mut State, id: &str) -> Result<Outcome, Reply> {
    let find = |state: &State| {
        let mut verifications = state.verifications.iter();
        let found = verifications.find(|v| v.id == id);
        found.map(|v| (v.outcome, Instant::now() >= v.expires))
    };
    let (_, is_expired) = find(state).ok_or_else(not_found)?;
    if is_expired {
        return match state.settings.expired_poll {
            ExpiredPoll::NotFound => Err(not_found()),
            ExpiredPoll::Pending => Ok(Outcome::Pending),
            ExpiredPoll::Rejected => Ok(Outcome::Rejected),
        };
    }
    state.poll(id);
    find(state)
        .map(|(outcome, _)| outcome)
        .ok_or_else(not_found)
}

/// The documentation shows the answers to polls as arrays of one.
pub(super) fn in_documented_array(state: &State, reply: Value) -> Reply {
    let in_array = state.settings.dialect == Dialect::Docs;
    let reply = if in_array { json!([reply]) } else { reply };
    Reply::new(200, &reply)
}

fn own_verification<'a>(
    state: &'a mut State,
    user: u64,
    id: &str,
) -> Result<&'a mut Verification, Reply> {
    state
        .verifications
        .iter_mut()
        .find(|v| v.id == id && v.user == user && v.purpose == Purpose::Login)
        .ok_or_else(not_found)
}

fn wanted_device(state: &State, user: u64, body: &Body) -> Result<Device, Reply> {
    let id = body.identifier("device_id")?;
    let id = id.ok_or_else(|| Wrong::missing("device_id"))?;
    devices_of(state, user)
        .iter()
        .find(|device| device.id == id && device.active)
        .cloned()
        .ok_or_else(not_found)
}

pub(super) fn devices_of(state: &State, user: u64) -> &[Device] {
    state
        .accounts
        .get(&user)
        .map_or(&[], |account| &account.devices)
}

fn body(request: &Incoming) -> Result<Body, Reply> {
    Body::of(request).ok_or_else(|| bad_request("the body is not a JSON object"))
}

/// `expires_in` of an activation or an enrolment.
pub(super) fn lifetime(body: &Body) -> Result<u64, Wrong> {
    body.seconds(
        "expires_in",
        DEFAULT_LIFETIME,
        DEFAULT_LIFETIME..=MAX_LIFETIME,
    )
}

/// An id as the settings want it: a string, or a number if it is one.
pub(super) fn id_json(state: &State, id: &str) -> Value {
    let number = id
        .parse::<u64>()
        .ok()
        .filter(|_| state.settings.numeric_ids);
    number.map_or_else(|| id.into(), Value::from)
}

pub(super) fn uuid() -> String {
    let hex = random_hex();
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!(
        "{}-{}-4{}-a{}-{}",
        part(0, 8),
        part(8, 12),
        part(13, 16),
        part(17, 20),
        part(20, 32)
    )
}

/// How the device ids of temporary tokens begin.
const TEMPORARY: &str = "user_temp_otp_";
pub(super) const DEFAULT_LIFETIME: u64 = 120;
pub(super) const MAX_LIFETIME: u64 = 900;
const MAX_CUSTOM_MESSAGE: usize = 160;
