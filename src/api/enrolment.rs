//! Enrolment of a factor. None of this is an acceptance.

use super::directory::factor;
use super::error_body::{Names, problem};
use super::json::{Entry, Id, InArray, Maybe, bad, entries, matches_or_absent, single};
use super::{BEGUN, FactorData, RegistrationId, Reply, UserId, Verify};
use crate::api::ApiError;
use crate::factor::Factor;
use crate::secret::Secret;
use serde::Deserialize;

/// A factor that a user can enrol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Available {
    /// OneLogin's number of it.
    pub id: u64,
    /// What it is.
    pub factor: Factor,
    /// The tenant's name for it, as OneLogin sent it.
    pub name: String,
}

/// Reads the reply to `GET /api/2/mfa/users/<id>/factors`: those that can be enrolled here.
///
/// # Errors
/// What a reply that is no list of factors means.
pub fn factors(reply: &Reply, magic_links: &[String]) -> Result<Vec<Available>, ApiError> {
    if reply.status != 200 {
        return Err(problem(reply, Names::AndMessages));
    }
    let entries: Vec<Entry<FactorBody>> = entries(&reply.body)?;
    let known = entries.into_iter().filter_map(Entry::read);
    let known = known.filter_map(|body| {
        let factor = factor(&body.auth_factor_name, &body.name, magic_links)?;
        factor.can_be_set_up().then_some(Available {
            id: body.factor_id,
            factor,
            name: body.name,
        })
    });
    Ok(known.collect())
}

/// An enrolment under way, and what the user needs for it.
pub struct Registration {
    /// Its id.
    pub id: RegistrationId,
    /// The `otpauth:` address of an authenticator.
    pub address: Option<Secret>,
    /// The token to enter into OneLogin Protect, or the digits to key into the phone.
    pub token: Option<Secret>,
}

/// Reads the reply to `POST …/registrations`.
///
/// # Errors
/// What a reply that is no registration means.
pub fn registration(reply: &Reply, user: &UserId) -> Result<Registration, ApiError> {
    if !BEGUN.contains(&reply.status) {
        return Err(problem(reply, Names::AndMessages));
    }
    let body: RegistrationBody = single(&reply.body)?;
    if !matches_or_absent(body.user_id.as_ref(), user.as_str()) {
        return Err(bad("the registration belongs to another user"));
    }
    let (address, token) = body.factor_data.0.map_or((None, None), |data| {
        let token = data.verification_token.into_id().map(|token| token.0);
        (data.totp_url.into_text(), token)
    });
    let visible = |text: &Secret| text.len() <= 512 && text.all(|c| !c.is_control());
    Ok(Registration {
        id: RegistrationId::parse(&body.id.0)
            .ok_or_else(|| bad("the registration's id is malformed"))?,
        address: address.map(Secret::new).filter(visible),
        token: token.map(Secret::new).filter(visible),
    })
}

/// How an enrolment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enrolment {
    /// The device is enrolled. That is no acceptance of a login.
    Done,
    /// Not yet: or, where a code was sent, a wrong one.
    Pending,
    /// Refused or expired.
    Rejected,
}

/// Reads the reply to `PUT` and `GET …/registrations/<id>`.
///
/// # Errors
/// What a reply that says nothing of our registration means.
pub fn enrolment(
    verify: Verify,
    reply: &Reply,
    ours: &RegistrationId,
) -> Result<Enrolment, ApiError> {
    match (reply.status, verify) {
        (200..=202, _) => {}
        (400 | 401 | 422, Verify::Code) => return Ok(Enrolment::Pending),
        (404, _) => return Ok(Enrolment::Rejected),
        _ => return Err(problem(reply, Names::Only)),
    }
    let body: EnrolmentBody = single(&reply.body)?;
    let is_named = body.id.is_some() || verify == Verify::Code;
    if !is_named || !matches_or_absent(body.id.as_ref(), ours.as_str()) {
        return Err(bad("the reply is about another registration"));
    }
    match body.status.as_str() {
        "accepted" if reply.status == 202 => Err(bad("done, but with HTTP 202")),
        "accepted" => Ok(Enrolment::Done),
        "pending" => Ok(Enrolment::Pending),
        "rejected" => Ok(Enrolment::Rejected),
        _ => Err(bad("the status is unknown")),
    }
}

#[derive(Deserialize)]
pub(super) struct FactorBody {
    factor_id: u64,
    name: String,
    auth_factor_name: String,
}

#[derive(Deserialize)]
pub(super) struct RegistrationBody {
    id: Id,
    user_id: Option<Id>,
    #[serde(default)]
    factor_data: Maybe<FactorData>,
}

impl InArray for RegistrationBody {
    fn mark(&mut self) {}
}

#[derive(Deserialize)]
pub(super) struct EnrolmentBody {
    id: Option<Id>,
    status: String,
}

impl InArray for EnrolmentBody {
    fn mark(&mut self) {}
}
