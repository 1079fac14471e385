//! Time-based codes as authenticator apps make them: RFC 6238 with SHA-1, 30 seconds and six digits.

use std::time::{SystemTime, UNIX_EPOCH};

use ring::hmac;

/// The code of an authenticator with this secret (base 32) at this moment; `None` if the secret is not base 32.
pub fn totp(secret: &str, at: SystemTime) -> Option<String> {
    code(&base32(secret)?, step(at))
}

/// The codes of the step before, this one and the next: a clock may be a little off.
pub(crate) fn around(secret: &str, at: SystemTime) -> Vec<String> {
    let Some(key) = base32(secret) else {
        return Vec::new();
    };
    let now = step(at);
    let steps = now.saturating_sub(1)..=now.saturating_add(1);
    steps.filter_map(|step| code(&key, step)).collect()
}

/// 20 bytes as a secret in base 32.
pub(crate) fn secret(bytes: [u8; 20]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(5) {
        let bits = chunk
            .iter()
            .fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        for shift in (0..8).rev() {
            let digit = bits >> (shift * 5) & 31;
            text.extend(ALPHABET.chars().nth(usize::try_from(digit).unwrap_or(0)));
        }
    }
    text
}

fn step(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs() / 30)
}

fn code(key: &[u8], step: u64) -> Option<String> {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let start = usize::from(tag.as_ref().last()? & 15);
    let four: [u8; 4] = tag.as_ref().get(start..start + 4)?.try_into().ok()?;
    let number = (u32::from_be_bytes(four) & 0x7fff_ffff) % 1_000_000;
    Some(format!("{number:06}"))
}

fn base32(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for c in text.trim_end_matches('=').chars() {
        let digit = ALPHABET.find(c.to_ascii_uppercase())?;
        bits = (bits << 5 | u32::try_from(digit).ok()?) & 0xfff;
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
    }
    Some(bytes)
}

const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// RFC 6238, appendix B: the secret is "12345678901234567890"; the last six of its eight digits.
    #[test]
    fn codes_are_those_of_the_standard() {
        let secret = secret(*b"12345678901234567890");
        assert_eq!(secret, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (20_000_000_000, "353130"),
        ] {
            let at = UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(totp(&secret, at).as_deref(), Some(code));
            assert!(around(&secret, at + Duration::from_secs(30)).contains(&code.to_owned()));
            assert!(!around(&secret, at + Duration::from_secs(60)).contains(&code.to_owned()));
        }
        assert_eq!(totp("not base 32!", UNIX_EPOCH), None);
    }
}
