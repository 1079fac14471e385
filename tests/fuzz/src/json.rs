//! What stands in a JSON text, as raw pieces of it. The product reads replies into types by serde;
//! here a text is cut at its commas and colons, so that both cannot share a mistake.

/// What an object says under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Nothing, or `null`.
    Absent,
    /// One value, as it was written.
    Once(&'a [u8]),
    /// More than one value: nobody knows which is meant.
    Ambiguous,
}

/// The pairs of an object, in their order.
#[derive(Debug)]
pub struct Object<'a>(Vec<(String, &'a [u8])>);

impl<'a> Object<'a> {
    /// Reads a well-formed text; `None` when it is no object.
    pub fn read(text: &'a [u8]) -> Option<Self> {
        let pieces = pieces(text, b'{', b'}')?;
        let pair = |piece: &'a [u8]| {
            let colon = cuts(piece, b':').into_iter().next()?;
            Some((string(trim(&piece[..colon]))?, trim(&piece[colon + 1..])))
        };
        pieces
            .into_iter()
            .map(pair)
            .collect::<Option<_>>()
            .map(Self)
    }

    /// What stands under a key.
    pub fn at(&self, key: &str) -> Value<'a> {
        let mut values = self.0.iter().filter(|(name, _)| name == key);
        match (values.next(), values.next()) {
            (None, _) | (Some((_, b"null")), None) => Value::Absent,
            (Some((_, raw)), None) => Value::Once(raw),
            (Some(_), Some(_)) => Value::Ambiguous,
        }
    }

    /// The text under a key, if it is one.
    pub fn text(&self, key: &str) -> Option<String> {
        match self.at(key) {
            Value::Once(raw) => string(raw),
            Value::Absent | Value::Ambiguous => None,
        }
    }

    /// The object under a key, if it is one.
    pub fn object(&self, key: &str) -> Option<Object<'a>> {
        match self.at(key) {
            Value::Once(raw) => Object::read(raw),
            Value::Absent | Value::Ambiguous => None,
        }
    }

    /// The id under a key, if it is one: a text or a whole number.
    pub fn id(&self, key: &str) -> Option<String> {
        match self.at(key) {
            Value::Once(raw) => id(raw),
            Value::Absent | Value::Ambiguous => None,
        }
    }

    /// Whether exactly this is written under a key.
    pub fn is(&self, key: &str, raw: &str) -> bool {
        self.at(key) == Value::Once(raw.as_bytes())
    }
}

/// Whether a text is JSON at all.
pub fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok()
}

/// The elements of a well-formed array; `None` when it is none.
pub fn array(text: &[u8]) -> Option<Vec<&[u8]>> {
    pieces(text, b'[', b']').map(|all| all.into_iter().map(trim).collect())
}

/// A text in quotes, as its characters.
pub fn string(raw: &[u8]) -> Option<String> {
    serde_json::from_slice(raw).ok()
}

/// OneLogin sends the same id as a number here and as text there.
fn id(raw: &[u8]) -> Option<String> {
    let number = std::str::from_utf8(raw)
        .ok()
        .filter(|text| text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u64>().is_ok());
    number.map(str::to_owned).or_else(|| string(raw))
}

fn pieces(text: &[u8], open: u8, close: u8) -> Option<Vec<&[u8]>> {
    let inner = trim(text).strip_prefix(&[open])?.strip_suffix(&[close])?;
    if trim(inner).is_empty() {
        return Some(Vec::new());
    }
    let mut pieces = Vec::new();
    let mut start = 0;
    for comma in cuts(inner, b',') {
        pieces.push(&inner[start..comma]);
        start = comma + 1;
    }
    pieces.push(&inner[start..]);
    Some(pieces)
}

/// Where a byte stands outside of all brackets and quotes.
fn cuts(text: &[u8], at: u8) -> Vec<usize> {
    let mut cuts = Vec::new();
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for (place, &byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ if byte == at && depth == 0 => cuts.push(place),
            _ => {}
        }
    }
    cuts
}

fn trim(text: &[u8]) -> &[u8] {
    text.trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_cut_at_its_own_commas_and_colons_only() {
        let text = br#" { "a" : {"x":[1,2],"y":"},:\""} , "b\u0062":[] ,"c":null,"d":1,"d":2} "#;
        let object = Object::read(text).unwrap();
        assert_eq!(object.at("a"), Value::Once(br#"{"x":[1,2],"y":"},:\""}"#));
        assert_eq!(object.at("bb"), Value::Once(b"[]"));
        assert_eq!(object.at("c"), Value::Absent);
        assert_eq!(object.at("d"), Value::Ambiguous);
        assert_eq!(object.object("a").unwrap().text("y").unwrap(), "},:\"");
        assert!(Object::read(b"[{}]").is_none());
        assert_eq!(
            array(b"[ 1 , [2,3] ]").unwrap(),
            [b"1".as_slice(), b"[2,3]"]
        );
        assert!(array(b"[]").unwrap().is_empty());
    }

    #[test]
    fn an_id_is_a_text_or_a_whole_number() {
        let object = Object::read(br#"{"a":7,"b":"7","c":7.0,"d":-7,"e":[7],"f":true}"#).unwrap();
        assert_eq!(
            (object.id("a"), object.id("b")),
            (Some("7".into()), Some("7".into()))
        );
        for key in ["c", "d", "e", "f"] {
            assert_eq!(object.id(key), None, "{key}");
        }
    }
}
