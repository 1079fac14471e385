//! JSON as OneLogin writes it: objects that are objects, ids as numbers or text, the envelope of version 1.

use crate::api::{ApiError, ApiTrouble};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::marker::PhantomData;

pub(super) fn bad(detail: &str) -> ApiError {
    ApiError::new(ApiTrouble::BadReply, detail)
}

/// An object, and nothing else. What serde derives for a struct reads an array, too, by position:
/// that has none of the shapes of OneLogin's replies.
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
            "unexpected JSON at line {} column {}",
            error.line(),
            error.column()
        ))
    })
}

/// An object.
pub(super) fn object<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    typed::<Object<T>>(body).map(|Object(value)| value)
}

/// A list, whose entries are read one by one.
pub(super) fn entries<T: DeserializeOwned>(body: &[u8]) -> Result<Vec<Entry<T>>, ApiError> {
    typed(body)
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

/// An entry of a list. One that cannot be read does not make the others unreadable, and counts as
/// one: a list of such entries is not an empty list.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Entry<T> {
    Read(Object<T>),
    Odd(IgnoredAny),
}

impl<T> Entry<T> {
    pub(super) fn read(self) -> Option<T> {
        match self {
            Self::Read(Object(value)) => Some(value),
            Self::Odd(_) => None,
        }
    }
}

/// A value that may have any type. Absent, `null`, a list and an object are all the same. It is read
/// without a buffer, which would keep what may be a secret.
#[derive(Default)]
pub(super) enum Scalar {
    Bool(bool),
    Number(u64),
    Text(String),
    #[default]
    Other,
}

impl Scalar {
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Bool(_) | Self::Number(_) | Self::Other => None,
        }
    }

    pub(super) fn into_text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            Self::Bool(_) | Self::Number(_) | Self::Other => None,
        }
    }

    pub(super) fn into_id(self) -> Option<Id> {
        match self {
            Self::Number(number) => Some(NumberOrText::Number(number).into()),
            Self::Text(text) => Some(NumberOrText::Text(text).into()),
            Self::Bool(_) | Self::Other => None,
        }
    }

    /// A yes or no, which some write as text or as a number.
    pub(super) fn is(&self) -> Option<bool> {
        match self {
            Self::Bool(is) => Some(*is),
            Self::Number(1) => Some(true),
            Self::Number(0) => Some(false),
            Self::Text(text) => text.parse().ok(),
            Self::Number(_) | Self::Other => None,
        }
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyType;

        impl<'de> Visitor<'de> for AnyType {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_bool<E>(self, is: bool) -> Result<Scalar, E> {
                Ok(Scalar::Bool(is))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Scalar, E> {
                Ok(Scalar::Number(number))
            }

            fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar::Text(text.to_owned()))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Scalar, E> {
                Ok(Scalar::Other)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Scalar, E> {
                Ok(Scalar::Other)
            }

            fn visit_unit<E>(self) -> Result<Scalar, E> {
                Ok(Scalar::Other)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Scalar, A::Error> {
                IgnoredAny.visit_seq(list).map(|_| Scalar::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Scalar, A::Error> {
                IgnoredAny.visit_map(map).map(|_| Scalar::Other)
            }
        }

        deserializer.deserialize_any(AnyType)
    }
}

/// An object, or nothing where the value has another type.
pub(super) struct Maybe<T>(pub(super) Option<T>);

impl<T> Default for Maybe<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Maybe<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyType<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for AnyType<T> {
            type Value = Maybe<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Maybe<T>, A::Error> {
                let value = T::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Maybe(Some(value)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Maybe<T>, A::Error> {
                IgnoredAny.visit_seq(list).map(|_| Maybe(None))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Maybe<T>, E> {
                Ok(Maybe(None))
            }

            fn visit_u64<E>(self, _: u64) -> Result<Maybe<T>, E> {
                Ok(Maybe(None))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Maybe<T>, E> {
                Ok(Maybe(None))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Maybe<T>, E> {
                Ok(Maybe(None))
            }

            fn visit_str<E>(self, _: &str) -> Result<Maybe<T>, E> {
                Ok(Maybe(None))
            }

            fn visit_unit<E>(self) -> Result<Maybe<T>, E> {
                Ok(Maybe(None))
            }
        }

        deserializer.deserialize_any(AnyType(PhantomData))
    }
}
