//! The factors, read from the documentation a second time: words, OneLogin's names, devices and the shapes of codes.

use pam_onelogin::factor::Factor;

/// The words of `factors.allow`, separated by `|`.
pub(crate) const WORDS: &str = "push|totp|sms|email|voice|yubikey|duo|temporary";

/// Names that OneLogin gives to factors, and one that this version does not know, separated by `|`.
pub(crate) const NAMES: &str = "OneLogin Protect|Google Authenticator|OneLogin SMS|OneLogin Email|OneLogin Voice|YubiKey|Duo Security|OneLogin|WebAuthn";

/// A device of each kind: its id and `auth_factor_name`.
pub(crate) const DEVICES: [(u32, &str); 7] = [
    (101, "OneLogin Protect"),
    (201, "Google Authenticator"),
    (301, "OneLogin SMS"),
    (401, "OneLogin Email"),
    (501, "OneLogin Voice"),
    (601, "YubiKey"),
    (701, "Duo Security"),
];

/// The words in the log that an `auth_factor_name` may stand for.
pub(crate) fn words(name: &str) -> &'static [&'static str] {
    match name {
        "OneLogin" | "OneLogin Protect" => &["push", "protect-code"],
        "Google Authenticator" => &["totp"],
        "SMS" | "OneLogin SMS" | "OneLogin OTP SMS" => &["sms"],
        "OneLogin Email" => &["email", "magic-link"],
        "OneLogin Voice" => &["voice"],
        "YubiKey" | "Yubico YubiKey" => &["yubikey"],
        "Duo Security" => &["duo"],
        _ => &[],
    }
}

/// Whether a code has the shape that the documentation gives to those of this factor.
pub(crate) fn has_shape(factor: Factor, code: &str) -> bool {
    let is = |test: fn(u8) -> bool, least: usize, most: usize| {
        code.bytes().all(test) && (least..=most).contains(&code.len())
    };
    let is_digit = |b: u8| b.is_ascii_digit();
    match factor {
        Factor::Push | Factor::ProtectCode | Factor::Totp => is(is_digit, 6, 8),
        Factor::Duo | Factor::Temporary => is(is_digit, 6, 10),
        Factor::Sms | Factor::Email => is(|b| b.is_ascii_alphanumeric(), 4, 10),
        Factor::YubiKey => is(|b| b"cbdefghijklnrtuv".contains(&b), 44, 44),
        Factor::MagicLink | Factor::Voice => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_factor_is_left_out_here() {
        for (word, _) in Factor::WORDS {
            assert!(WORDS.split('|').any(|other| other == *word), "{word}");
        }
        // The devices that have a name of their own in version 2, and those that share it.
        for factor in Factor::all().filter(|&factor| factor != Factor::Temporary) {
            let has = |name: &str| words(name).contains(&factor.word());
            assert!(DEVICES.iter().any(|(_, name)| has(name)), "{factor:?}");
            assert!(NAMES.split('|').any(has), "{factor:?}");
            for name in factor.names() {
                assert!(has(name), "{name}");
            }
        }
    }
}
