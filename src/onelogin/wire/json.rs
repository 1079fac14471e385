//! JSON as OneLogin writes it: objects that are objects, ids as numbers or text, the envelope of
//! version 1, and each shape of error.

use super::Reply;
use crate::login::{ApiError, Trouble};
use crate::text::clean;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// Whether the server's own words may stand in the log. The reply to a code could repeat the code
/// (rule R11).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    Only,
    AndMessages,
}

/// What a reply means that has not the status we want, in each shape of error that OneLogin uses.
pub(super) fn problem(reply: &Reply, names: Names) -> ApiError {
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
    ApiError {
        trouble,
        detail,
        retry_after: reply
            .retry_after
            .filter(|_| trouble == Trouble::RateLimited)
            .map(Duration::from_secs),
        miss: reply.miss,
        ending: reply.ending(),
    }
}

/// Recorded from version 1, and told of version 2 by OneLogin's own client.
pub(super) fn is_of_dead_token(body: &[u8]) -> bool {
    let Ok(Object(error)) = serde_json::from_slice::<Object<ErrorBody>>(body) else {
        return false;
    };
    let says = |message: &Option<serde_json::Value>, text: &str| {
        message.as_ref().and_then(serde_json::Value::as_str) == Some(text)
    };
    let is_of_v1 = error.status.as_ref().is_some_and(|status| {
        status.kind.as_deref() == Some("Unauthorized")
            && says(&status.message, "Authentication Failure")
    });
    let is_of_v2 =
        error.name.as_deref() == Some("UnauthorizedError") && says(&error.message, "Unauthorized");
    is_of_v1 || is_of_v2
}

pub(super) fn bad(detail: &str) -> ApiError {
    ApiError::new(Trouble::BadReply, detail)
}

/// An object, and nothing else. What serde derives for a struct reads an array, too, by position:
/// that is none of OneLogin's shapes.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OnlyMaps<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for OnlyMaps<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        deserializer.deserialize_map(OnlyMaps(PhantomData))
    }
}

pub(super) fn typed<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    // serde's own words could quote the body, so only the place is kept.
    serde_json::from_slice(body).map_err(|error| {
        bad(&format!(
            "not the JSON that was expected, at line {} column {}",
            error.line(),
            error.column()
        ))
    })
}

/// An object.
pub(super) fn object<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    typed::<Object<T>>(body).map(|Object(value)| value)
}

/// A list of objects.
pub(super) fn objects<T: DeserializeOwned>(body: &[u8]) -> Result<Vec<T>, ApiError> {
    typed::<Vec<Object<T>>>(body).map(plain)
}

pub(super) fn plain<T>(objects: Vec<Object<T>>) -> Vec<T> {
    objects.into_iter().map(|Object(value)| value).collect()
}

/// An object, or the only element of an array: OneLogin documents one and sends the other.
pub(super) fn single<T: DeserializeOwned + InArray>(body: &[u8]) -> Result<T, ApiError> {
    let is_array = body.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'[');
    if !is_array {
        return object(body);
    }
    let [Object(mut only)] = typed::<[Object<T>; 1]>(body)?;
    only.mark();
    Ok(only)
}

pub(super) trait InArray {
    fn mark(&mut self);
}

pub(super) fn matches_or_absent(id: Option<&Id>, ours: &str) -> bool {
    id.is_none_or(|id| id.0 == ours)
}

/// An id: OneLogin sends the same one as a number here and as text there.
#[derive(Deserialize)]
#[serde(from = "NumberOrText")]
pub(super) struct Id(pub(super) String);

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum NumberOrText {
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

/// What is in the envelope of API v1, whose status must be a success beside HTTP 200.
pub(super) fn envelope<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let Envelope { status, data } = object(body)?;
    if status.0.error || status.0.code != 200 {
        return Err(bad("an error in the envelope of a success"));
    }
    Ok(data)
}

#[derive(Deserialize)]
pub(super) struct Envelope<T> {
    status: Object<EnvelopeStatus>,
    data: T,
}

#[derive(Deserialize)]
pub(super) struct EnvelopeStatus {
    error: bool,
    code: u16,
}

#[derive(Deserialize)]
pub(super) struct ErrorBody {
    pub(super) name: Option<String>,
    pub(super) message: Option<serde_json::Value>,
    pub(super) status: Option<ErrorStatus>,
}

#[derive(Default, Deserialize)]
pub(super) struct ErrorStatus {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) message: Option<serde_json::Value>,
}
