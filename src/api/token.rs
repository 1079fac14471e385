//! Access tokens.

use super::Reply;
use super::error_body::{Names, problem};
use super::json::{Object, Scalar, bad, object};
use crate::api::{ApiError, ApiTrouble};
use crate::secret::Secret;
use serde::Deserialize;

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
                trouble: ApiTrouble::Credential,
                ..error
            });
        }
        _ => return Err(problem(reply, Names::AndMessages)),
    }
    let body = match object(&reply.body)? {
        TokenReply::Flat(Object(body))
        | TokenReply::Wrapped {
            data: Wrapped::One(Object(body)),
        } => body,
        TokenReply::Wrapped {
            data: Wrapped::List(list),
        } => {
            let Object(body) = list
                .into_iter()
                .next()
                .ok_or_else(|| bad("the reply has no token"))?;
            body
        }
        TokenReply::Error { .. } => {
            let error = problem(reply, Names::AndMessages);
            return Err(ApiError {
                trouble: ApiTrouble::Credential,
                ..error
            });
        }
    };
    let bearer = Secret::new(body.access_token);
    let is_fit = (1..=4096).contains(&bearer.len()) && bearer.all(|c| c.is_ascii_graphic());
    if !is_fit {
        return Err(bad("the access token is malformed"));
    }
    let created = match body.created_at {
        Scalar::Number(seconds) => Some(seconds).filter(|&seconds| seconds < FAR),
        Scalar::Text(iso) => unix_seconds(&iso),
        Scalar::Bool(_) | Scalar::Other => None,
    };
    let life = match body.expires_in {
        Scalar::Number(seconds) => Some(seconds),
        // `parse` takes a sign, too.
        Scalar::Text(text) if text.starts_with('+') => None,
        Scalar::Text(text) => text.parse().ok(),
        Scalar::Bool(_) | Scalar::Other => None,
    };
    let expires = created.zip(life);
    let expires = expires.map(|(at, life)| at.saturating_add(life));
    Ok(Token { bearer, expires })
}

/// The year 5138 in seconds since 1970. A time behind it is one in milliseconds.
const FAR: u64 = 100_000_000_000;

/// Seconds since 1970 of a time in the form of RFC 3339; `None` if it is another form, or before 1970.
#[must_use]
pub fn unix_seconds(text: &str) -> Option<u64> {
    use time::format_description::well_known::Rfc3339;
    let time = time::OffsetDateTime::parse(text, &Rfc3339).ok()?;
    u64::try_from(time.unix_timestamp()).ok()
}

#[derive(Deserialize)]
#[serde(untagged)]
enum TokenReply {
    Flat(Object<TokenBody>),
    Wrapped {
        data: Wrapped,
    },
    Error {
        #[serde(rename = "status")]
        _status: serde_json::Value,
    },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Wrapped {
    One(Object<TokenBody>),
    List(Vec<Object<TokenBody>>),
}

#[derive(Deserialize)]
struct TokenBody {
    access_token: String,
    #[serde(default)]
    created_at: Scalar,
    #[serde(default)]
    expires_in: Scalar,
}
