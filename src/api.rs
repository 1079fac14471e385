//! OneLogin's replies as values. Pure. The only place that can make an [`Acceptance`].

mod directory;
mod ending;
mod enrolment;
mod error;
mod error_body;
mod gateway;
mod json;
mod token;

pub use directory::{
    Candidate, Devices, Equal, Found, candidate, devices, otp_devices, search, user,
};
pub use ending::{Again, Consequences, Ending, GiveBack, Seen};
pub use enrolment::{Available, Enrolment, Registration, enrolment, factors, registration};
pub use error::{ApiError, ApiTrouble};
pub use gateway::{GatewayWord, gateway_error};
pub use token::{Token, token, unix_seconds};

use crate::id::{DeviceId, RegistrationId, UserId, VerificationId};
use crate::outage::Miss;
use error_body::{ErrorBody, Names, problem};
use json::{Id, InArray, Maybe, Object, Scalar, bad, envelope, matches_or_absent, plain, single};
use serde::Deserialize;
use zeroize::Zeroizing;

/// A reply as it came: status, at most 64 KiB of body, and OneLogin's name for the request.
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body; a token may stand in it.
    pub body: Zeroizing<Vec<u8>>,
    /// The header `x-request-id`, if any.
    pub request_id: Option<String>,
    /// The header `retry-after`, where it is a number of seconds.
    pub retry_after: Option<u64>,
    /// Whether a front end wrote it, and not OneLogin: `text/html`, and no name for the request.
    pub is_of_front_end: bool,
    /// What a reply of 502, 503 or 504 says of the way to OneLogin; `None` where the status is another.
    pub miss: Option<Miss>,
}

impl Reply {
    /// How the request ended.
    #[must_use]
    pub fn ending(&self) -> Ending {
        match self.status {
            408 => Ending::IdleTimeout,
            429 if self.is_of_front_end => Ending::FrontEndLimit,
            429 => Ending::RateLimited,
            _ => Ending::Answered,
        }
    }

    /// Whether it is what OneLogin answers to a token that has ended, in version 1 or 2. A wrong code could get the same
    /// answer: nothing is recorded of that.
    #[must_use]
    pub fn is_of_dead_token(&self) -> bool {
        self.status == 401 && ErrorBody::of(self).is_some_and(|error| error.is_of_dead_token())
    }
}

/// A verification that was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activation {
    /// Its id.
    pub id: VerificationId,
    /// What the user must key into the phone during a call.
    pub digits: Option<String>,
}

/// The proof that OneLogin accepted. Only [`answer`] (version 2) and [`otp_answer`] (version 1) make it (rule R6).
#[derive(Debug)]
pub struct Acceptance(());

/// What a verify call said.
#[derive(Debug)]
pub enum Answer {
    /// Accepted, for ids that are all ours.
    Accepted(Acceptance),
    /// Not yet.
    Pending,
    /// Denied on the phone, or a wrong code.
    Rejected,
    /// A code that was not accepted, by HTTP 400, 403 or 422: it may be wrong, or the device may be gone.
    Unfit,
}

/// Whose verification a reply must speak of.
#[derive(Clone, Copy)]
pub struct Ours<'a> {
    /// The user we asked for.
    pub user: &'a UserId,
    /// The device we asked for.
    pub device: &'a DeviceId,
    /// The verification, where the call names one. A code that is posted directly makes a new
    /// one, whose id is unknown before the reply.
    pub verification: Option<&'a VerificationId>,
}

/// The kind of verify call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Verify {
    /// A code was sent.
    Code,
    /// A push was asked about; the reply must carry the verification's id.
    Poll,
}

/// The HTTP statuses of a reply to what begins: it may be done, made or taken on.
const BEGUN: std::ops::RangeInclusive<u16> = 200..=202;

/// Reads the reply to a verify call.
///
/// Acceptance is one of two shapes under HTTP 200 or 201 and nothing else: `status` is the string
/// `accepted`, in the object or in the single element of an array; or `status` is the object
/// `{type: "success", code: 200, error: false, message: "Success"}`. Each id that is present must
/// be ours. No mark of an error stands beside it, but for `error: false` beside the string. `pending`
/// and `rejected` are read under HTTP 202 too, and whatever stands beside them.
///
/// # Errors
/// What a reply that is neither an answer nor a refusal means.
pub fn answer(verify: Verify, reply: &Reply, ours: Ours<'_>) -> Result<Answer, ApiError> {
    match (reply.status, verify) {
        (200..=202, _) => {}
        // OneLogin documents 401 for a wrong code, and answers it to a bad token too: either way
        // the code was not accepted. 400 and 422 are what a malformed code gets.
        (401, Verify::Code) => return Ok(Answer::Rejected),
        (400 | 422, Verify::Code) => return Ok(Answer::Unfit),
        (403, Verify::Code) if ErrorBody::of(reply).is_some_and(|error| error.is_forbidden()) => {
            return Ok(Answer::Unfit);
        }
        _ => return Err(problem(reply, Names::Only)),
    }
    let body: AnswerBody = single(&reply.body)?;
    if !body.is_ours(verify, ours) {
        return Err(bad("the reply is about another verification"));
    }
    match &body.status {
        Status::Word(word) if word == "pending" => return Ok(Answer::Pending),
        Status::Word(word) if word == "rejected" => return Ok(Answer::Rejected),
        Status::Word(_) | Status::Object(_) => {}
    }
    if reply.status == 202 || body.is_an_error() {
        return Err(bad("an error next to the status, or HTTP 202"));
    }
    match body.status {
        Status::Word(word) if word == "accepted" => Ok(Answer::Accepted(Acceptance(()))),
        Status::Word(_) => Err(bad("the status is unknown")),
        Status::Object(_) if body.in_array => Err(bad("a status object in an array")),
        Status::Object(Object(status)) if status.is_success() => {
            Ok(Answer::Accepted(Acceptance(())))
        }
        Status::Object(_) => Err(bad("the status object does not say success")),
    }
}

/// Reads the reply to an activation: a new verification, for our user and device.
///
/// # Errors
/// What a reply that is not an activation of ours means.
pub fn activation(reply: &Reply, ours: Ours<'_>) -> Result<Activation, ApiError> {
    if !BEGUN.contains(&reply.status) {
        return Err(problem(reply, Names::AndMessages));
    }
    let body: ActivationBody = single(&reply.body)?;
    let is_ours = matches_or_absent(body.user_id.as_ref(), ours.user.as_str())
        && matches_or_absent(body.device_id.as_ref(), ours.device.as_str());
    if !is_ours {
        return Err(bad("the activation belongs to another user or device"));
    }
    let id = VerificationId::parse(&body.id.0)
        .ok_or_else(|| bad("the verification's id is malformed"))?;
    let digits = body
        .factor_data
        .0
        .and_then(|data| data.verification_token.into_id())
        .map(|token| token.0);
    let are_fit = |digits: &String| {
        (1..=10).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
    };
    Ok(Activation {
        id,
        digits: digits.filter(are_fit),
    })
}

/// Reads the reply to `POST …/otp_devices/<id>/trigger`. The `id` in it is the user's.
///
/// # Errors
/// What a reply that is no trigger of ours means.
pub fn trigger(reply: &Reply, ours: Ours<'_>) -> Result<Activation, ApiError> {
    if !BEGUN.contains(&reply.status) {
        return Err(problem(reply, Names::AndMessages));
    }
    let bodies: Vec<TriggerBody> = plain(envelope(&reply.body)?);
    let [body] = bodies.as_slice() else {
        return Err(bad("the reply is not exactly one trigger"));
    };
    let is_ours = matches_or_absent(body.id.as_ref(), ours.user.as_str())
        && matches_or_absent(body.device_id.as_ref(), ours.device.as_str());
    if !is_ours {
        return Err(bad("the trigger belongs to another user or device"));
    }
    let id = VerificationId::parse(&body.state_token);
    Ok(Activation {
        id: id.ok_or_else(|| bad("the state token is malformed"))?,
        digits: None,
    })
}

/// Reads the reply to `POST …/otp_devices/<id>/verify`: acceptance is the success envelope alone;
/// what it is not stands in the message of an error.
///
/// # Errors
/// What a reply that is neither an answer nor a refusal means.
pub fn otp_answer(verify: Verify, reply: &Reply, ours: Ours<'_>) -> Result<Answer, ApiError> {
    if reply.status == 200 {
        let body: AnswerBody = single(&reply.body)?;
        let is_success =
            matches!(&body.status, Status::Object(Object(status)) if status.is_success());
        if is_success && !body.in_array && !body.is_an_error() && body.is_ours(Verify::Code, ours) {
            return Ok(Answer::Accepted(Acceptance(())));
        }
        return Err(bad("HTTP 200 without the envelope of a success"));
    }
    let error = ErrorBody::of(reply);
    let error = error.as_ref();
    let message = error.and_then(ErrorBody::message_of_version_1);
    match (reply.status, message.unwrap_or_default(), verify) {
        (401, message, _) if message.starts_with("Authentication pending") => Ok(Answer::Pending),
        (400, "State token is invalid or expired", _)
        | (401, "State token is invalid or expired", Verify::Poll) => Err(ApiError {
            trouble: ApiTrouble::NotFound,
            ..problem(reply, Names::AndMessages)
        }),
        (401, "Insufficient Permission", _) | (400, "User does not exist", _) => {
            Err(problem(reply, Names::AndMessages))
        }
        // What a token gets that is no longer good.
        (401, "Authentication Failure", Verify::Poll) => Err(problem(reply, Names::Only)),
        // The page of a proxy says nothing about the push.
        (401, _, Verify::Poll) if error.is_none() => Err(problem(reply, Names::Only)),
        // Every other refusal says that it was not accepted. How a push that was denied is answered is
        // not documented, other than that it is no longer pending.
        (401, _, _) => Ok(Answer::Rejected),
        (400 | 422, _, Verify::Code) => Ok(Answer::Unfit),
        (403, _, Verify::Code) if error.is_some_and(ErrorBody::is_forbidden) => Ok(Answer::Unfit),
        _ => Err(problem(reply, Names::Only)),
    }
}

#[derive(Deserialize)]
struct AnswerBody {
    status: Status,
    id: Option<Id>,
    device_id: Option<Id>,
    user_id: Option<Id>,
    // The marks of an error reply: one of them beside an acceptance is no acceptance.
    #[serde(rename = "statusCode")]
    status_code: Option<serde_json::Value>,
    error: Option<serde_json::Value>,
    errors: Option<serde_json::Value>,
    code: Option<serde_json::Value>,
    name: Option<serde_json::Value>,
    message: Option<serde_json::Value>,
    /// Could contain ids that are not compared.
    data: Option<serde_json::Value>,
    #[serde(skip)]
    in_array: bool,
}

impl InArray for AnswerBody {
    fn mark(&mut self) {
        self.in_array = true;
    }
}

impl AnswerBody {
    /// `error: false` beside a word says that there is no error. The object of a success says so within.
    fn is_an_error(&self) -> bool {
        let is_no_error = matches!(
            (&self.status, &self.error),
            (_, None) | (Status::Word(_), Some(serde_json::Value::Bool(false)))
        );
        let marks = [
            &self.status_code,
            &self.errors,
            &self.code,
            &self.name,
            &self.message,
            &self.data,
        ];
        !is_no_error || marks.into_iter().any(Option::is_some)
    }

    fn is_ours(&self, verify: Verify, ours: Ours<'_>) -> bool {
        let verification = match (verify, ours.verification, &self.id) {
            (_, Some(ours), Some(id)) => id.0 == ours.as_str(),
            (Verify::Poll, None, _) | (Verify::Poll, _, None) => false,
            (Verify::Code, None, _) | (Verify::Code, _, None) => true,
        };
        verification
            && matches_or_absent(self.device_id.as_ref(), ours.device.as_str())
            && matches_or_absent(self.user_id.as_ref(), ours.user.as_str())
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Status {
    Word(String),
    Object(Object<StatusBody>),
}

#[derive(Deserialize)]
struct StatusBody {
    #[serde(rename = "type")]
    kind: String,
    code: u16,
    error: bool,
    message: String,
}

impl StatusBody {
    fn is_success(&self) -> bool {
        self.kind == "success" && self.code == 200 && !self.error && self.message == "Success"
    }
}

#[derive(Deserialize)]
struct ActivationBody {
    id: Id,
    user_id: Option<Id>,
    device_id: Option<Id>,
    #[serde(default)]
    factor_data: Maybe<FactorData>,
}

#[derive(Deserialize)]
struct FactorData {
    #[serde(default)]
    verification_token: Scalar,
    #[serde(default)]
    totp_url: Scalar,
}

impl InArray for ActivationBody {
    fn mark(&mut self) {}
}

#[derive(Deserialize)]
struct TriggerBody {
    id: Option<Id>,
    device_id: Option<Id>,
    state_token: String,
}

#[cfg(test)]
mod tests;
