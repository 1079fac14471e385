//! `/api/2/mfa/users/:id`: devices, activation, codes and polls. Enrolment would be arms of [`answer`].

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{bad_request, invalid, invalid_credentials, no_route, not_found, success};
use crate::device::{Device, Factor};
use crate::http::{Incoming, Reply};
use crate::message::Message;
use crate::state::{
    Dialect, ExpiredPoll, Outcome, State, Verification, WrongCode, iso, random_hex,
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
        ("POST", ["verifications"]) => body(request).and_then(|body| match text(&body, "otp")? {
            Some(otp) => check_without_activation(state, user, &body, &otp),
            None => activate(state, user, &body),
        }),
        ("PUT", ["verifications", id]) => {
            body(request).and_then(|body| check(state, user, id, &body))
        }
        ("GET", ["verifications", id]) => poll(state, user, id),
        _ => Ok(no_route()),
    };
    reply.unwrap_or_else(|refusal| refusal)
}

/// A reply, or the refusal that ended the work on it.
type Answer = Result<Reply, Reply>;

/// What could still be enrolled: a factor that the user has is gone from the list.
fn factors(state: &State, user: u64) -> Reply {
    let enrolled: Vec<&str> = devices_of(state, user)
        .iter()
        .map(|d| d.factor.auth_factor_name())
        .collect();
    let list: Vec<Value> = FACTORS
        .iter()
        .filter(|(_, _, key)| !enrolled.contains(key))
        .map(|(id, name, key)| json!({"factor_id": id, "name": name, "auth_factor_name": key}))
        .collect();
    Reply::new(200, &Value::from(list))
}

fn devices(state: &State, user: u64) -> Reply {
    let list: Vec<Value> = devices_of(state, user)
        .iter()
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

/// `POST verifications` without `otp`: sends the push, message or call.
fn activate(state: &mut State, user: u64, body: &Value) -> Answer {
    let device = wanted_device(state, user, body)?;
    let lifetime = lifetime(body)?;
    let template = text(body, "custom_message")?;
    let letters = matches!(device.factor, Factor::Sms | Factor::Email);
    let is_sent = letters || device.factor == Factor::Voice;
    let code = if is_sent {
        state.code(letters)
    } else {
        String::new()
    };
    let sms = match template {
        Some(template) if device.factor == Factor::Sms => {
            let minutes = (lifetime / 60).to_string();
            let filled = template
                .replace("{{otp_code}}", &code)
                .replace("{{otp_expiry}}", &minutes);
            if filled.chars().count() > MAX_CUSTOM_MESSAGE {
                return Err(invalid("custom_message", "is longer than 160 characters"));
            }
            filled
        }
        _ => format!("Your OneLogin code is {code}"),
    };
    let verification = Verification {
        id: uuid(),
        user,
        device: device.id.clone(),
        factor: device.factor.clone(),
        code: is_sent.then(|| code.clone()),
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
    if device.factor != Factor::Protect {
        reply["expires_at"] = iso(OffsetDateTime::now_utc() + Duration::from_secs(lifetime)).into();
    }
    if device.factor == Factor::Voice {
        reply["factor_data"] = json!({"verification_token": code});
    }
    if let Some(message) = message(state, &verification, code, sms) {
        state.send(message);
    }
    state.verifications.push(verification);
    let in_array = state.settings.dialect == Dialect::Docs && device.factor == Factor::Sms;
    let reply = if in_array { json!([reply]) } else { reply };
    Ok(Reply::new(201, &reply))
}

fn message(
    state: &State,
    verification: &Verification,
    code: String,
    text: String,
) -> Option<Message> {
    let user = verification.user;
    let username = state.accounts.get(&user)?.user.label();
    let (device, verification, factor) = (
        verification.device.clone(),
        verification.id.clone(),
        &verification.factor,
    );
    Some(match factor {
        Factor::Protect => Message::Push {
            verification,
            user,
            username,
            device,
        },
        Factor::Sms => Message::Sms {
            verification,
            user,
            username,
            device,
            code,
            text,
        },
        Factor::Email => Message::Email {
            verification,
            user,
            username,
            device,
            code,
            text,
        },
        Factor::MagicLink => {
            let text = "Follow the link to log in".to_owned();
            Message::MagicLink {
                verification,
                user,
                username,
                device,
                text,
            }
        }
        Factor::Voice => {
            let text = "Key in the digits that the login shows".to_owned();
            Message::Voice {
                verification,
                user,
                username,
                device,
                code,
                text,
            }
        }
        Factor::Authenticator | Factor::Other(_) => return None,
    })
}

/// `POST verifications` with `otp`: a code that needs no activation.
fn check_without_activation(state: &State, user: u64, body: &Value, otp: &str) -> Answer {
    let device = wanted_device(state, user, body)?;
    let outcome = code_outcome(state, device.codes.iter().any(|code| code == otp));
    Ok(checked(state, None, user, &device.id, outcome))
}

/// `PUT verifications/:id`: a code for something activated. A wrong code does not use the verification up.
fn check(state: &mut State, user: u64, id: &str, body: &Value) -> Answer {
    let otp = text(body, "otp")?.ok_or_else(|| invalid("otp", "is missing"))?;
    let named = identifier(body, "device_id")?;
    let now = Instant::now();
    let devices = devices_of(state, user).to_vec();
    let verification = own_verification(state, user, id)?;
    let device = verification.device.clone();
    let is_open = now < verification.expires && verification.outcome == Outcome::Pending;
    let is_right = match verification.factor {
        Factor::Sms | Factor::Email => {
            named.is_none_or(|named| named == device) && verification.code.as_ref() == Some(&otp)
        }
        Factor::Authenticator | Factor::Other(_) => {
            let named = named.ok_or_else(|| invalid("device_id", "is missing"))?;
            named == device
                && devices
                    .iter()
                    .any(|d| d.id == device && d.codes.contains(&otp))
        }
        // Their ids expect an answer on the device, not a code.
        Factor::Protect | Factor::Voice | Factor::MagicLink => false,
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
        (true, _) => Outcome::Accepted,
        (false, WrongCode::Rejected) => Outcome::Rejected,
        (false, WrongCode::Pending) => Outcome::Pending,
    }
}

/// The reply to a code, in either dialect.
fn checked(state: &State, id: Option<&str>, user: u64, device: &str, outcome: Outcome) -> Reply {
    match (state.settings.dialect, outcome) {
        (Dialect::Docs, Outcome::Accepted) => Reply::new(200, &success()),
        (Dialect::Docs, Outcome::Pending | Outcome::Rejected) => invalid_credentials(),
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
    let expired_poll = state.settings.expired_poll;
    let verification = own_verification(state, user, id)?;
    let outcome = if Instant::now() < verification.expires {
        verification.poll()
    } else {
        match expired_poll {
            ExpiredPoll::NotFound => return Err(not_found()),
            ExpiredPoll::Pending => Outcome::Pending,
            ExpiredPoll::Rejected => Outcome::Rejected,
        }
    };
    let device = verification.device.clone();
    let reply = json!({"id": id, "status": outcome.name(), "device_id": id_json(state, &device)});
    let in_array = state.settings.dialect == Dialect::Docs;
    let reply = if in_array { json!([reply]) } else { reply };
    Ok(Reply::new(200, &reply))
}

fn own_verification<'a>(
    state: &'a mut State,
    user: u64,
    id: &str,
) -> Result<&'a mut Verification, Reply> {
    state
        .verifications
        .iter_mut()
        .find(|v| v.id == id && v.user == user)
        .ok_or_else(not_found)
}

fn wanted_device(state: &State, user: u64, body: &Value) -> Result<Device, Reply> {
    let id = identifier(body, "device_id")?.ok_or_else(|| invalid("device_id", "is missing"))?;
    devices_of(state, user)
        .iter()
        .find(|device| device.id == id)
        .cloned()
        .ok_or_else(not_found)
}

fn devices_of(state: &State, user: u64) -> &[Device] {
    state
        .accounts
        .get(&user)
        .map_or(&[], |account| &account.devices)
}

fn body(request: &Incoming) -> Result<Value, Reply> {
    let value = serde_json::from_str(&request.body)
        .ok()
        .filter(Value::is_object);
    value.ok_or_else(|| bad_request("the body is not a JSON object"))
}

/// A string; null is the same as absent.
fn text(body: &Value, field: &str) -> Result<Option<String>, Reply> {
    match body.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(invalid(field, "must be a string")),
    }
}

/// An id, which may be a number or a string.
fn identifier(body: &Value, field: &str) -> Result<Option<String>, Reply> {
    match body.get(field) {
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        _ => text(body, field),
    }
}

/// `expires_in` in seconds, a number or a string of digits.
fn lifetime(body: &Value) -> Result<u64, Reply> {
    let Some(seconds) = identifier(body, "expires_in")? else {
        return Ok(DEFAULT_LIFETIME);
    };
    let seconds = seconds
        .parse()
        .ok()
        .filter(|seconds| (DEFAULT_LIFETIME..=MAX_LIFETIME).contains(seconds));
    seconds.ok_or_else(|| invalid("expires_in", "must be from 120 to 900"))
}

/// An id as JSON: a string, or a number if so set and possible.
fn id_json(state: &State, id: &str) -> Value {
    let number = id
        .parse::<u64>()
        .ok()
        .filter(|_| state.settings.numeric_ids);
    number.map_or_else(|| id.into(), Value::from)
}

fn uuid() -> String {
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

const FACTORS: [(u32, &str, &str); 5] = [
    (101, "OneLogin Protect", "OneLogin"),
    (102, "Google Authenticator", "Google Authenticator"),
    (103, "OneLogin SMS", "SMS"),
    (104, "OneLogin Email", "OneLogin Email"),
    (105, "OneLogin Voice", "OneLogin Voice"),
];
const DEFAULT_LIFETIME: u64 = 120;
const MAX_LIFETIME: u64 = 900;
const MAX_CUSTOM_MESSAGE: usize = 160;
