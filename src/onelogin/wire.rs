//! OneLogin's replies as values. Pure. The only place that can make an [`Acceptance`].

use crate::config::Attribute;
use crate::factor::{Device, Factor};
use crate::login::{ApiError, Trouble};
use crate::secret::Secret;
use crate::text::clean;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A reply as it came: status, at most 64 KiB of body, and OneLogin's name for the request.
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
    /// The header `x-request-id`, if any.
    pub request_id: Option<String>,
}

macro_rules! id {
    ($name:ident, $what:literal) => {
        #[doc = $what]
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name(String);

        impl $name {
            /// Takes an id that is safe in a path: 1 to 64 letters, digits, `-` or `_`.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                let fits = (1..=64).contains(&text.len())
                    && text
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
                fits.then(|| Self(text.to_owned()))
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
    };
}

id!(UserId, "OneLogin's id of a user.");
id!(
    DeviceId,
    "OneLogin's id of an enrolled device; not always a number."
);
id!(
    VerificationId,
    "OneLogin's id of an activated verification."
);

/// The proof that OneLogin accepted. Only [`answer`] makes it (rule R6).
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
}

/// Whose verification a reply must speak of.
#[derive(Clone, Copy)]
pub struct Ours<'a> {
    /// The user we asked for.
    pub user: &'a UserId,
    /// The device we asked for.
    pub device: &'a DeviceId,
    /// The verification, where the call names one. A code that is posted directly makes a new
    /// one, whose id nobody knows before the reply.
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

/// Reads the reply to a verify call.
///
/// Acceptance is one of two shapes under HTTP 200 or 201 and nothing else: `status` is the string
/// `accepted`, in the object or in the single element of an array; or `status` is the object
/// `{type: "success", code: 200, error: false, message: "Success"}`. Each id that is present must
/// be ours.
///
/// # Errors
/// What a reply that is neither an answer nor a refusal means.
pub fn answer(verify: Verify, reply: &Reply, ours: Ours<'_>) -> Result<Answer, ApiError> {
    match (reply.status, verify) {
        (200 | 201, _) => {}
        // OneLogin documents 401 for a wrong code, and answers it to a bad token too: either way
        // the code was not accepted. 400 and 422 are what a malformed code gets.
        (400 | 401 | 422, Verify::Code) => return Ok(Answer::Rejected),
        _ => return Err(problem(reply, Names::Only)),
    }
    let body: AnswerBody = single(&reply.body)?;
    if body.is_an_error() || !body.is_ours(verify, ours) {
        return Err(bad(
            "the reply speaks of another verification or of an error",
        ));
    }
    match body.status {
        Status::Word(word) => match word.as_str() {
            "accepted" => Ok(Answer::Accepted(Acceptance(()))),
            "pending" => Ok(Answer::Pending),
            "rejected" => Ok(Answer::Rejected),
            _ => Err(bad("the status is none that is known")),
        },
        Status::Object(status) if body.in_array => {
            drop(status);
            Err(bad("a status object in an array"))
        }
        Status::Object(status) if status.is_success() => Ok(Answer::Accepted(Acceptance(()))),
        Status::Object(_) => Err(bad("the status object is not that of a success")),
    }
}

/// Reads the reply to an activation: the new verification's id, for our user and device.
///
/// # Errors
/// What a reply that is not an activation of ours means.
pub fn activation(reply: &Reply, ours: Ours<'_>) -> Result<VerificationId, ApiError> {
    if !matches!(reply.status, 200 | 201) {
        return Err(problem(reply, Names::AndMessages));
    }
    let body: ActivationBody = single(&reply.body)?;
    let is_ours = matches_or_absent(body.user_id.as_ref(), ours.user.as_str())
        && matches_or_absent(body.device_id.as_ref(), ours.device.as_str());
    if !is_ours {
        return Err(bad("the activation is another user's or device's"));
    }
    VerificationId::parse(&body.id.0).ok_or_else(|| bad("the verification's id is malformed"))
}

/// What a user search found (rule R5).
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// Exactly one user, whose attribute equals the name, and who is active.
    One(UserId),
    /// A well-formed empty list.
    Nobody,
    /// More than one hit.
    Several,
    /// One hit whose attribute is not the name.
    Other,
    /// One hit that is not approved (`state` 1) and active (`status` 1).
    Inactive,
}

/// Reads the reply to `GET /api/2/users?<attribute>=<name>`.
///
/// # Errors
/// What a reply that is no list of users means.
pub fn user(
    reply: &Reply,
    attribute: Attribute,
    name: &str,
    ignore_case: bool,
) -> Result<Found, ApiError> {
    if reply.status != 200 {
        return Err(problem(reply, Names::AndMessages));
    }
    let users: Vec<UserBody> = typed(&reply.body)?;
    let user = match users.as_slice() {
        [] => return Ok(Found::Nobody),
        [user] => user,
        _ => return Ok(Found::Several),
    };
    let is_name = user
        .attribute(attribute)
        .is_some_and(|value| value == name || (ignore_case && value.eq_ignore_ascii_case(name)));
    if !is_name {
        return Ok(Found::Other);
    }
    if (user.state, user.status) != (Some(1), Some(1)) {
        return Ok(Found::Inactive);
    }
    UserId::parse(&user.id.0)
        .map(Found::One)
        .ok_or_else(|| bad("the user's id is malformed"))
}

/// A user's devices: those of factors that we know, and how many there are in all.
#[derive(Debug)]
pub struct Devices {
    /// Devices that can be used.
    pub usable: Vec<Device>,
    /// All that are enrolled.
    pub enrolled: usize,
}

/// Reads the reply to `GET /api/2/mfa/users/<id>/devices`. Keyed on `auth_factor_name`; display
/// names are the tenant's and the user's to change.
///
/// # Errors
/// What a reply that is no list of devices means.
pub fn devices(reply: &Reply) -> Result<Devices, ApiError> {
    if reply.status != 200 {
        return Err(problem(reply, Names::AndMessages));
    }
    let bodies: Vec<DeviceBody> = typed(&reply.body)?;
    let enrolled = bodies.len();
    let usable = bodies.into_iter().filter_map(DeviceBody::device).collect();
    Ok(Devices { usable, enrolled })
}

/// An access token, and until when it lasts.
pub struct Token {
    /// The token.
    pub bearer: Secret,
    /// Seconds since 1970; `None` when the reply does not say it in a way that can be relied on.
    pub expires: Option<u64>,
}

/// Reads the reply to `POST /auth/oauth2/v2/token`. OneLogin was seen to send an error object with
/// HTTP 200 here, so a token must be there. The same token is handed out again until it expires:
/// its end is counted from `created_at`, not from now (rule R17).
///
/// # Errors
/// What a reply without a token means.
pub fn token(reply: &Reply) -> Result<Token, ApiError> {
    match reply.status {
        200 => {}
        400 | 401 | 403 | 404 => {
            let error = problem(reply, Names::AndMessages);
            return Err(ApiError {
                trouble: Trouble::Credential,
                ..error
            });
        }
        _ => return Err(problem(reply, Names::AndMessages)),
    }
    let body: TokenBody = match typed(&reply.body)? {
        TokenReply::Flat(body) => body,
        TokenReply::Wrapped { data } => data.into_iter().next().ok_or_else(|| bad("no token"))?,
        TokenReply::Error { .. } => {
            let error = problem(reply, Names::AndMessages);
            return Err(ApiError {
                trouble: Trouble::Credential,
                ..error
            });
        }
    };
    let bearer = Secret::new(body.access_token);
    let is_fit = (1..=4096).contains(&bearer.len()) && bearer.all(|c| c.is_ascii_graphic());
    if !is_fit {
        return Err(bad("the access token is malformed"));
    }
    let created = body.created_at.as_deref().and_then(unix_seconds);
    let expires = created
        .zip(body.expires_in)
        .map(|(at, life)| at.saturating_add(life));
    Ok(Token { bearer, expires })
}

/// Whether the server's own words may stand in the log. The reply to a code could repeat the code
/// (rule R11).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    Only,
    AndMessages,
}

/// What a reply means that has not the status we want, in each shape of error that OneLogin uses.
fn problem(reply: &Reply, names: Names) -> ApiError {
    let trouble = match reply.status {
        401 | 403 => Trouble::Credential,
        404 => Trouble::NotFound,
        429 => Trouble::RateLimited,
        502..=504 => Trouble::Gateway,
        500..=599 => Trouble::ServerError,
        300..=399 => Trouble::Redirected,
        400..=499 => Trouble::RequestRefused,
        _ => Trouble::BadReply,
    };
    let mut detail = format!("status={}", reply.status);
    if let Ok(error) = serde_json::from_slice::<ErrorBody>(&reply.body) {
        let status = error.status.unwrap_or_default();
        let name = error.name.or(status.kind).filter(|name| {
            name.len() <= 40 && name.chars().all(|c| c.is_ascii_alphabetic() || c == ' ')
        });
        if let Some(word) = name {
            detail.push(' ');
            detail.push_str(&word);
        }
        if names == Names::AndMessages {
            for message in error
                .message
                .or(status.message)
                .iter()
                .filter_map(|m| m.as_str())
            {
                detail.push_str(": ");
                detail.push_str(&clean(message, 120));
            }
        }
    }
    ApiError { trouble, detail }
}

fn bad(detail: &str) -> ApiError {
    ApiError {
        trouble: Trouble::BadReply,
        detail: detail.to_owned(),
    }
}

fn typed<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    // serde's own words could quote the body, so only the place is kept.
    serde_json::from_slice(body).map_err(|error| {
        bad(&format!(
            "not the JSON that was expected, at line {} column {}",
            error.line(),
            error.column()
        ))
    })
}

/// An object, or the only element of an array: OneLogin documents one and sends the other.
fn single<T: DeserializeOwned + InArray>(body: &[u8]) -> Result<T, ApiError> {
    let is_array = body.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'[');
    if !is_array {
        return typed(body);
    }
    let [mut only] = typed::<[T; 1]>(body)?;
    only.mark();
    Ok(only)
}

trait InArray {
    fn mark(&mut self);
}

fn matches_or_absent(id: Option<&Id>, ours: &str) -> bool {
    id.is_none_or(|id| id.0 == ours)
}

fn unix_seconds(iso: &str) -> Option<u64> {
    use time::format_description::well_known::Rfc3339;
    let time = time::OffsetDateTime::parse(iso, &Rfc3339).ok()?;
    u64::try_from(time.unix_timestamp()).ok()
}

/// An id: OneLogin sends the same one as a number here and as text there.
#[derive(Deserialize)]
#[serde(from = "NumberOrText")]
struct Id(String);

#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Number(u64),
    Text(String),
}

impl From<NumberOrText> for Id {
    fn from(id: NumberOrText) -> Self {
        match id {
            NumberOrText::Number(number) => Self(number.to_string()),
            NumberOrText::Text(text) => Self(text),
        }
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
    #[serde(skip)]
    in_array: bool,
}

impl InArray for AnswerBody {
    fn mark(&mut self) {
        self.in_array = true;
    }
}

impl AnswerBody {
    fn is_an_error(&self) -> bool {
        let marks = [
            &self.status_code,
            &self.error,
            &self.errors,
            &self.code,
            &self.name,
            &self.message,
        ];
        marks.into_iter().any(Option::is_some)
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
    Object(StatusBody),
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
}

impl InArray for ActivationBody {
    fn mark(&mut self) {}
}

#[derive(Deserialize)]
struct UserBody {
    id: Id,
    username: Option<String>,
    email: Option<String>,
    samaccountname: Option<String>,
    external_id: Option<Id>,
    state: Option<i64>,
    status: Option<i64>,
}

impl UserBody {
    fn attribute(&self, attribute: Attribute) -> Option<&str> {
        match attribute {
            Attribute::Username => self.username.as_deref(),
            Attribute::Email => self.email.as_deref(),
            Attribute::SamAccountName => self.samaccountname.as_deref(),
            Attribute::ExternalId => self.external_id.as_ref().map(|id| id.0.as_str()),
        }
    }
}

#[derive(Deserialize)]
struct DeviceBody {
    device_id: Id,
    auth_factor_name: String,
    user_display_name: Option<String>,
    type_display_name: Option<String>,
    default: Option<bool>,
}

impl DeviceBody {
    fn device(self) -> Option<Device> {
        let factor = match self.auth_factor_name.as_str() {
            "OneLogin" | "OneLogin Protect" => Factor::Push,
            "Google Authenticator" => Factor::Totp,
            "SMS" | "OneLogin SMS" => Factor::Sms,
            _ => return None,
        };
        let names = [self.user_display_name, self.type_display_name];
        Some(Device {
            id: DeviceId::parse(&self.device_id.0)?,
            factor,
            name: names
                .into_iter()
                .flatten()
                .find(|name| !name.is_empty())
                .unwrap_or_default(),
            default: self.default.unwrap_or(false),
        })
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum TokenReply {
    Flat(TokenBody),
    Wrapped {
        data: Vec<TokenBody>,
    },
    Error {
        #[serde(rename = "status")]
        _status: serde_json::Value,
    },
}

#[derive(Deserialize)]
struct TokenBody {
    access_token: String,
    created_at: Option<String>,
    expires_in: Option<u64>,
}

#[derive(Deserialize)]
struct ErrorBody {
    name: Option<String>,
    message: Option<serde_json::Value>,
    status: Option<ErrorStatus>,
}

#[derive(Default, Deserialize)]
struct ErrorStatus {
    #[serde(rename = "type")]
    kind: Option<String>,
    message: Option<serde_json::Value>,
}

#[cfg(test)]
mod tests;
