//! `/api/2/mfa/users/:id/registrations`: a factor is enrolled, by code or by poll.

use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use super::body::{Body, Otp, Wrong};
use super::mfa::{self, Answer};
use super::not_found;
use crate::device::{Factor, Way};
use crate::http::Reply;
use crate::state::{Enrolment, Outcome, Purpose, State, Verification, random};
use crate::totp;

/// `POST registrations`. Telephone number and address are in the user's record and cannot be given.
pub(super) fn start(state: &mut State, user: u64, body: &Body) -> Answer {
    let factor = body.identifier("factor_id")?;
    let factor = factor.ok_or_else(|| Wrong::missing("factor_id"))?;
    let name = body.text("display_name")?;
    let name = name.filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| Wrong::missing("display_name"))?;
    let lifetime = mfa::lifetime(body)?;
    let is_verified = body.flag("verified")?;
    let available = mfa::available(state, user);
    let found = available
        .into_iter()
        .find(|(id, _)| id.to_string() == factor);
    let (_, factor) = found.ok_or_else(|| Wrong::new("factor_id", "is not available"))?;
    // The documentation excludes Duo; a key cannot take part in any of the documented steps.
    if factor.row().way == Way::CodeAtHand && factor != Factor::Authenticator {
        return Err(Wrong::new("factor_id", "cannot be enrolled through the API").into());
    }
    let can_be_verified = matches!(factor.row().way, Way::CodeSent { .. } | Way::Call);
    if is_verified && !can_be_verified {
        return Err(Wrong::new("verified", "is not supported for this factor").into());
    }
    // Data that is trusted already is not verified again: nothing is sent.
    let code = if is_verified {
        String::new()
    } else {
        code(state, &factor)
    };
    let text = mfa::message_text(body, &factor, &code, lifetime)?;
    let enrolment = enrolment(&factor, &name, &code);
    let mut reply = json!({
        "auth_factor_name": factor.auth_factor_name(),
        "type_display_name": factor.row().type_name,
        "user_display_name": name,
    });
    if !is_verified {
        reply["expires_at"] = mfa::expires_at(lifetime).into();
        if let Some(data) = factor_data(state, user, &enrolment) {
            reply["factor_data"] = data;
        }
    }
    let verification = Verification {
        id: mfa::uuid(),
        purpose: Purpose::Enrolment(enrolment),
        user,
        device: String::new(),
        factor: factor.clone(),
        code: Some(code.clone()).filter(|code| !code.is_empty()),
        outcome: Outcome::Pending,
        push: state.settings.push,
        expires: Instant::now() + Duration::from_secs(lifetime),
    };
    let id = verification.id.clone();
    // The Protect app is paired by its token: there is no push yet.
    if is_verified || factor == Factor::Protect {
        state.verifications.push(verification);
    } else {
        mfa::begin(state, verification, code, text);
    }
    if is_verified {
        state.decide(&id, Outcome::Accepted);
    }
    with_status(state, &id, &mut reply, None)?;
    Ok(Reply::new(201, &reply))
}

/// What is sent, or for Protect what its app shows.
fn code(state: &mut State, factor: &Factor) -> String {
    if *factor == Factor::Protect {
        state.code(false)
    } else {
        mfa::code_to_send(state, factor)
    }
}

fn enrolment(factor: &Factor, name: &str, code: &str) -> Enrolment {
    let secret = (*factor == Factor::Authenticator).then(|| totp::secret(random()));
    let token = match factor {
        Factor::Protect => {
            let number = u32::from_be_bytes(random()) % 10_000_000;
            Some(format!("01-{number:07}"))
        }
        Factor::Authenticator => secret.clone(),
        Factor::Voice => Some(code.to_owned()),
        _ => None,
    };
    Enrolment {
        name: name.to_owned(),
        secret,
        token: token.filter(|token| !token.is_empty()),
        app_code: (*factor == Factor::Protect).then(|| code.to_owned()),
    }
}

/// What the login has to show to the person.
fn factor_data(state: &State, user: u64, enrolment: &Enrolment) -> Option<Value> {
    let token = enrolment.token.as_ref()?;
    let mut data = json!({"verification_token": token});
    if enrolment.secret.is_some() || enrolment.app_code.is_some() {
        let label = state.accounts.get(&user)?.user.label();
        data["totp_url"] =
            format!("otpauth://totp/OneLogin:{label}?secret={token}&issuer=OneLogin").into();
    }
    Some(data)
}

/// `PUT registrations/:id`. A wrong code leaves the registration pending, as the documentation has no other word
/// for it; one that is over, for whatever reason, is `rejected`.
pub(super) fn check(state: &mut State, user: u64, id: &str, body: &Body) -> Answer {
    let otp = body.otp("otp")?;
    let verification = own(state, user, id)?;
    let is_open = Instant::now() < verification.expires && verification.outcome == Outcome::Pending;
    if is_open && fits(verification, &otp) {
        state.decide(id, Outcome::Accepted);
    }
    let mut reply = json!({});
    let over = (!is_open).then_some(Outcome::Rejected);
    with_status(state, id, &mut reply, over)?;
    Ok(mfa::in_documented_array(state, reply))
}

fn fits(verification: &Verification, otp: &Otp) -> bool {
    let secret = match &verification.purpose {
        Purpose::Enrolment(enrolment) => enrolment.secret.as_ref(),
        Purpose::Login | Purpose::Trigger => None,
    };
    match verification.factor.row().way {
        Way::CodeAtHand => secret.is_some_and(|secret| {
            let codes = totp::around(secret, SystemTime::now());
            codes.iter().any(|code| otp.is(code))
        }),
        Way::Push | Way::CodeSent { .. } => {
            verification.code.as_ref().is_some_and(|code| otp.is(code))
        }
        Way::Call | Way::Link => false,
    }
}

/// `GET registrations/:id`.
pub(super) fn poll(state: &mut State, user: u64, id: &str) -> Answer {
    own(state, user, id)?;
    let outcome = mfa::polled(state, id)?;
    let mut reply = json!({});
    with_status(state, id, &mut reply, Some(outcome))?;
    Ok(mfa::in_documented_array(state, reply))
}

/// Adds id, status and, once there is one, the device.
fn with_status(
    state: &State,
    id: &str,
    reply: &mut Value,
    outcome: Option<Outcome>,
) -> Result<(), Reply> {
    let mut verifications = state.verifications.iter();
    let verification = verifications.find(|v| v.id == id).ok_or_else(not_found)?;
    let outcome = outcome.unwrap_or(verification.outcome);
    reply["id"] = id.into();
    reply["status"] = outcome.name().into();
    if outcome == Outcome::Accepted {
        reply["device_id"] = mfa::id_json(state, &verification.device);
    }
    Ok(())
}

fn own<'a>(state: &'a State, user: u64, id: &str) -> Result<&'a Verification, Reply> {
    let mut verifications = state.verifications.iter();
    let own = |v: &&Verification| {
        v.id == id && v.user == user && matches!(v.purpose, Purpose::Enrolment(_))
    };
    verifications.find(own).ok_or_else(not_found)
}
