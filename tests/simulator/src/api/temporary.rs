//! `mfa_token`: temporary codes that an admin gives to somebody without a device.

use std::time::Duration;

use serde_json::{Value, json};

use super::body::{Body, Wrong};
use super::mfa::{self, Answer};
use crate::http::{Incoming, Reply};
use crate::state::{Dialect, State, random};

/// `POST /api/2/mfa/users/:id/mfa_token`: 200 in the documentation, 201 in the official client.
pub(super) fn generate(state: &mut State, request: &Incoming, user: u64) -> Answer {
    let body = Body::or_empty(request).ok_or_else(|| invalid(&[]))?;
    let (reply, device) = give(state, user, &body).map_err(|wrong| invalid(&[wrong]))?;
    let mut reply = reply;
    reply["device_id"] = device.into();
    let is_docs = state.settings.dialect == Dialect::Docs;
    Ok(Reply::new(if is_docs { 200 } else { 201 }, &reply))
}

/// A new token: the reply without its device, and the device.
pub(super) fn give(state: &mut State, user: u64, body: &Body) -> Result<(Value, String), Wrong> {
    let lifetime = body.seconds(
        "expires_in",
        MAX_LIFETIME,
        mfa::DEFAULT_LIFETIME..=MAX_LIFETIME,
    )?;
    let reusable = body.flag("reusable")?;
    let token = format!("{:08}", u32::from_be_bytes(random()) % 100_000_000);
    let reply = json!({
        "mfa_token": token,
        "reusable": reusable,
        "expires_at": mfa::expires_at(lifetime),
    });
    let lifetime = Duration::from_secs(lifetime);
    Ok((reply, state.give_temporary(user, token, reusable, lifetime)))
}

fn invalid(wrong: &[Wrong]) -> Reply {
    let parameters: Vec<&str> = wrong.iter().map(|wrong| wrong.field).collect();
    let body = json!({
        "statusCode": 422,
        "name": "ValidationError",
        "message": "Validations failed",
        "details": {"parameters": parameters},
    });
    Reply::new(422, &body)
}

/// Three days.
const MAX_LIFETIME: u64 = 259_200;
