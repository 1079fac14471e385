//! What stands for a value in a tape: its kind, for some kinds its length, and a number. Equal values have the same number.

use std::fmt;

/// A placeholder. Its values are written by [`crate::redact`] and made by [`crate::replay`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placeholder {
    /// What the value looks like.
    pub kind: Kind,
    /// Which value it is.
    pub number: u32,
}

/// What a value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A JSON number without sign and fraction, of this many digits.
    Number(usize),
    /// Another JSON number.
    Fraction,
    /// A string of this many decimal digits.
    Digits(usize),
    /// A string of this many hexadecimal digits.
    Hex(usize),
    /// A string of this many letters that a `YubiKey` types.
    Modhex(usize),
    /// Digits and letters that were typed as a code.
    Code,
    /// A UUID.
    Uuid,
    /// An e-mail address.
    Email,
    /// A moment, as seconds from the reply that it stands in.
    Time(Offset),
    /// Any other text.
    Text,
}

/// How far a moment is from its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offset {
    /// This many seconds.
    Seconds(i64),
    /// More than a day before: how long a user has been there is personal.
    Past,
    /// More than a day after.
    Future,
}

/// The longest offset that is told, in seconds.
const DAY: i64 = 86_400;

impl Offset {
    /// Of this many seconds.
    #[must_use]
    pub fn of(seconds: i64) -> Self {
        if seconds < -DAY {
            Self::Past
        } else if seconds > DAY {
            Self::Future
        } else {
            Self::Seconds(seconds)
        }
    }
}

impl Kind {
    /// Whether both are the same, but for times.
    #[must_use]
    pub fn is_like(self, other: Self) -> bool {
        matches!((self, other), (Self::Time(_), Self::Time(_))) || self == other
    }
}

impl fmt::Display for Placeholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Number(digits) => write!(f, "{{number {digits} #{}}}", self.number),
            Kind::Fraction => write!(f, "{{fraction #{}}}", self.number),
            Kind::Digits(digits) => write!(f, "{{digits {digits} #{}}}", self.number),
            Kind::Hex(digits) => write!(f, "{{hex {digits} #{}}}", self.number),
            Kind::Modhex(letters) => write!(f, "{{modhex {letters} #{}}}", self.number),
            Kind::Code => write!(f, "{{code #{}}}", self.number),
            Kind::Uuid => write!(f, "{{uuid #{}}}", self.number),
            Kind::Email => write!(f, "{{email #{}}}", self.number),
            Kind::Time(Offset::Seconds(offset)) => {
                write!(f, "{{time {offset:+}s #{}}}", self.number)
            }
            Kind::Time(Offset::Past) => write!(f, "{{time past #{}}}", self.number),
            Kind::Time(Offset::Future) => write!(f, "{{time future #{}}}", self.number),
            Kind::Text => write!(f, "{{text #{}}}", self.number),
        }
    }
}

impl Placeholder {
    /// Reads what stands between the braces.
    pub(crate) fn read(inner: &str) -> Option<Self> {
        let (kind, number) = inner.rsplit_once(" #")?;
        let number = number.parse().ok()?;
        let (word, value) = kind.split_once(' ').unwrap_or((kind, ""));
        let length = || value.parse().ok().filter(|length| *length <= MAX_LENGTH);
        let kind = match (word, value) {
            ("number", _) => Kind::Number(length()?),
            ("digits", _) => Kind::Digits(length()?),
            ("hex", _) => Kind::Hex(length()?),
            ("modhex", _) => Kind::Modhex(length()?),
            ("time", "past") => Kind::Time(Offset::Past),
            ("time", "future") => Kind::Time(Offset::Future),
            ("time", _) => {
                let seconds = value.strip_suffix('s')?.parse().ok()?;
                Kind::Time(Offset::of(seconds))
            }
            ("fraction", "") => Kind::Fraction,
            ("code", "") => Kind::Code,
            ("uuid", "") => Kind::Uuid,
            ("email", "") => Kind::Email,
            ("text", "") => Kind::Text,
            _ => return None,
        };
        let placeholder = Self { kind, number };
        // One way to write it, so that texts can be compared.
        (placeholder.to_string() == format!("{{{inner}}}")).then_some(placeholder)
    }
}

/// The longest value that has a length: a tape that is written by hand must not fill the memory.
const MAX_LENGTH: usize = 4096;

/// A part of a string in a tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// As it is.
    Words(&'a str),
    /// A placeholder.
    Value(Placeholder),
}

/// The parts of a string; `None` if a brace is not that of a placeholder.
#[must_use]
pub fn parts(text: &str) -> Option<Vec<Part<'_>>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((words, behind)) = rest.split_once('{') {
        let (inner, after) = behind.split_once('}')?;
        if !words.is_empty() {
            parts.push(Part::Words(words));
        }
        parts.push(Part::Value(Placeholder::read(inner)?));
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(Part::Words(rest));
    }
    let is_stray = |part: &Part<'_>| matches!(part, Part::Words(words) if words.contains('}'));
    if parts.iter().any(is_stray) {
        return None;
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_is_read_as_it_was_written() {
        for text in [
            "",
            "accepted",
            "{digits 6 #4}",
            "{number 9 #1}",
            "{fraction #2}",
            "{hex 40 #3}",
            "{modhex 44 #3}",
            "{code #3}",
            "{uuid #4}",
            "{email #5}",
            "{time +120s #6}",
            "{time -5s #6}",
            "{time past #6}",
            "{time future #6}",
            "user_temp_otp_{digits 8 #5}",
            "Sent to {text #9}, {text #10}.",
        ] {
            let parts = parts(text).unwrap_or_else(|| panic!("{text}"));
            let written: String = parts
                .iter()
                .map(|part| match part {
                    Part::Words(words) => (*words).to_owned(),
                    Part::Value(value) => value.to_string(),
                })
                .collect();
            assert_eq!(written, text);
        }
    }

    #[test]
    fn a_brace_belongs_to_a_placeholder() {
        for text in [
            "{",
            "}",
            "a}",
            "{}",
            "{digits #1}",
            "{digits 06 #1}",
            "{digits 99999 #1}",
            "{text 5 #1}",
            "{text}",
            "{time 5s #1}",
            "{other #1}",
            "{text #1}}",
        ] {
            assert_eq!(parts(text), None, "{text}");
        }
    }

    #[test]
    fn only_what_is_less_than_a_day_away_is_told() {
        assert_eq!(Offset::of(-36_000), Offset::Seconds(-36_000));
        assert_eq!(Offset::of(-86_401), Offset::Past);
        assert_eq!(Offset::of(86_401), Offset::Future);
    }
}
