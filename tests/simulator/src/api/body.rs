//! What a request's body has in it, as lenient as the documentation is about types.

use std::ops::RangeInclusive;

use serde_json::Value;

use super::invalid;
use crate::http::{Incoming, Reply};

/// A JSON object.
pub(super) struct Body(Value);

/// A field that is not as it should be.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) field: &'static str,
    pub(super) message: String,
}

impl Wrong {
    pub(super) fn new(field: &'static str, message: impl Into<String>) -> Wrong {
        Wrong {
            field,
            message: message.into(),
        }
    }

    pub(super) fn missing(field: &'static str) -> Wrong {
        Wrong::new(field, "is missing")
    }
}

/// In the shape of v2.
impl From<Wrong> for Reply {
    fn from(wrong: Wrong) -> Reply {
        invalid(wrong.field, &wrong.message)
    }
}

/// A code, as typed.
pub(super) enum Otp {
    Text(String),
    /// Its leading zeros are lost.
    Number(u64),
}

impl Otp {
    pub(super) fn is(&self, code: &str) -> bool {
        match self {
            Otp::Text(text) => text == code,
            Otp::Number(number) => {
                let width = code.len();
                format!("{number:0width$}") == code
            }
        }
    }
}

impl Body {
    /// The body, if it is a JSON object.
    pub(super) fn of(request: &Incoming) -> Option<Body> {
        let value = serde_json::from_str(&request.body);
        value.ok().filter(Value::is_object).map(Body)
    }

    /// As [`Body::of`], with nothing at all the same as `{}`.
    pub(super) fn or_empty(request: &Incoming) -> Option<Body> {
        if request.body.trim().is_empty() {
            return Some(Body(Value::Object(serde_json::Map::new())));
        }
        Body::of(request)
    }

    /// A string; null is the same as absent.
    pub(super) fn text(&self, field: &'static str) -> Result<Option<String>, Wrong> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(Wrong::new(field, "must be a string")),
        }
    }

    /// An id, which may be a number or a string.
    pub(super) fn identifier(&self, field: &'static str) -> Result<Option<String>, Wrong> {
        match self.0.get(field) {
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            _ => self.text(field),
        }
    }

    /// A code that may be an integer.
    pub(super) fn otp(&self, field: &'static str) -> Result<Otp, Wrong> {
        if let Some(number) = self.0.get(field).and_then(Value::as_u64) {
            return Ok(Otp::Number(number));
        }
        match self.text(field) {
            Ok(text) => text.map(Otp::Text).ok_or_else(|| Wrong::missing(field)),
            Err(_) => Err(Wrong::new(field, "must be an integer or a string")),
        }
    }

    /// True or false, or one of these as a string; absent is false.
    pub(super) fn flag(&self, field: &'static str) -> Result<bool, Wrong> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(Value::String(text)) if text == "true" => Ok(true),
            Some(Value::String(text)) if text == "false" => Ok(false),
            Some(_) => Err(Wrong::new(field, "must be true or false")),
        }
    }

    /// A time in seconds, a number or a string of digits.
    pub(super) fn seconds(
        &self,
        field: &'static str,
        default: u64,
        allowed: RangeInclusive<u64>,
    ) -> Result<u64, Wrong> {
        let Some(seconds) = self.identifier(field)? else {
            return Ok(default);
        };
        let seconds = seconds.parse().ok().filter(|s| allowed.contains(s));
        let (from, to) = (allowed.start(), allowed.end());
        seconds.ok_or_else(|| Wrong::new(field, format!("must be {from} to {to} seconds")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integer_stands_for_a_code_with_leading_zeros_and_a_string_does_not() {
        assert!(Otp::Number(58_959).is("058959"));
        assert!(Otp::Text("058959".to_owned()).is("058959"));
        assert!(!Otp::Text("58959".to_owned()).is("058959"));
        for (number, code) in [
            (58_959, "B58959"),
            (58_959, "58960"),
            (1, ""),
            (1_234_567, "234567"),
        ] {
            assert!(!Otp::Number(number).is(code), "{number} {code}");
        }
    }
}
