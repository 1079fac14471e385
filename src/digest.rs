//! Names made of what they stand for, by SHA-256. Pure.

use crate::secret::Secret;
use ring::digest::{Context, SHA256};

/// A file name from what an entry depends on. Names of users and connections never stand in it.
#[must_use]
pub fn name(parts: &[&str]) -> String {
    hexadecimal(digest(parts))
}

/// As [`name`], as bytes.
#[must_use]
pub fn raw_name(parts: &[&str]) -> [u8; 16] {
    let digest = digest(parts).finish();
    let mut name = [0; 16];
    for (byte, digit) in name.iter_mut().zip(digest.as_ref()) {
        *byte = *digit;
    }
    name
}

/// As [`name`], with a secret, too.
#[must_use]
pub fn name_with(parts: &[&str], secret: &Secret) -> String {
    hexadecimal(with(secret.digest(), parts))
}

fn digest(parts: &[&str]) -> Context {
    with(Context::new(&SHA256), parts)
}

fn with(mut context: Context, parts: &[&str]) -> Context {
    for part in parts {
        context.update(&part.len().to_be_bytes());
        context.update(part.as_bytes());
    }
    context
}

/// The first half of a digest.
fn hexadecimal(context: Context) -> String {
    let digest = context.finish();
    let bytes = digest.as_ref().iter().take(16);
    bytes
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_digests_and_depend_on_each_part() {
        let first = name(&["a", "b"]);
        assert_eq!(first.len(), 32);
        assert_ne!(first, name(&["ab", ""]));
        assert_ne!(first, name(&["a", "b", ""]));
        assert_eq!(first, name(&["a", "b"]));
        assert!(!name(&["../../etc/passwd"]).contains('/'));
    }
}
