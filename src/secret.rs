//! Values that must not be seen: codes, passwords, tokens, the client secret.
//! No Debug, no Display, wiped on drop (rule R11).

use ring::digest::{Context, SHA256};
use zeroize::Zeroizing;

/// A secret text. It cannot be printed, and its memory is wiped when it is dropped.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text over.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Copies bytes into a secret; `None` when they are not UTF-8.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        std::str::from_utf8(bytes)
            .ok()
            .map(|text| Self::new(text.to_owned()))
    }

    /// Copies bytes into a secret; what is not UTF-8 in them is replaced.
    #[must_use]
    pub fn from_bytes_lossy(bytes: &[u8]) -> Self {
        Self::new(String::from_utf8_lossy(bytes).into_owned())
    }

    /// The text itself. Called where a secret leaves for OneLogin, and nowhere else
    /// (`tests/architecture.rs` holds this).
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The text for the eyes of the user whose it is: the secret of a device that is being
    /// enrolled. Called by the enrolment and nowhere else (`tests/architecture.rs` holds this).
    #[must_use]
    pub fn shown_to_its_owner(&self) -> &str {
        &self.0
    }

    /// Begins a SHA-256 digest with the text. The text is padded with zeros to whole blocks: the context would keep a copy of
    /// an incomplete block, and does not wipe it. A short text can be found from the digest by trying all texts.
    #[must_use]
    pub fn digest(&self) -> Context {
        let blocks = self.0.len().div_ceil(SHA256.block_len());
        let mut text = Zeroizing::new(vec![0; blocks * SHA256.block_len()]);
        for (place, byte) in text.iter_mut().zip(self.0.bytes()) {
            *place = byte;
        }
        let mut context = Context::new(&SHA256);
        context.update(&text);
        context.update(&self.0.len().to_be_bytes());
        context
    }

    /// The length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no text at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether both hold the same text. Both come from the same user, so time is no oracle here.
    #[must_use]
    pub fn same_as(&self, other: &Secret) -> bool {
        *self.0 == *other.0
    }

    /// Whether each character satisfies `test`.
    pub fn all(&self, test: impl Fn(char) -> bool) -> bool {
        self.0.chars().all(test)
    }

    /// A copy without the characters that satisfy `test`.
    #[must_use]
    pub fn without(&self, test: impl Fn(char) -> bool) -> Self {
        self.replaced(|c| (!test(c)).then_some(c))
    }

    /// A copy with another ASCII character for each; `None` leaves it out.
    #[must_use]
    pub fn replaced(&self, other: impl Fn(char) -> Option<char>) -> Self {
        // With room for all of it: a text that grows leaves copies behind that are not wiped.
        let mut copy = String::with_capacity(self.0.len());
        copy.extend(self.0.chars().filter_map(other));
        Self::new(copy)
    }

    /// Whether the text is this word, in upper or lower case.
    #[must_use]
    pub fn is_word(&self, word: &str) -> bool {
        self.0.eq_ignore_ascii_case(word)
    }

    /// The text as a small decimal number, as one chooses a line of a menu.
    #[must_use]
    pub fn small_number(&self) -> Option<usize> {
        match self.0.as_bytes() {
            [digit @ b'1'..=b'9'] => Some(usize::from(digit - b'0')),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_one_digit_and_not_zero() {
        let number = |text: &str| Secret::new(text.to_owned()).small_number();
        assert_eq!(number("1"), Some(1));
        assert_eq!(number("9"), Some(9));
        for text in ["", "0", "10", "a", " 1", "1 "] {
            assert_eq!(number(text), None, "{text:?}");
        }
    }

    #[test]
    fn r11_a_copy_without_blanks_is_made_in_one_buffer() {
        // As long as a YubiKey's code: a text that grows to this length moves three times.
        let typed = Secret::new(format!(" {} ", "c".repeat(44)));
        let code = typed.without(char::is_whitespace);
        assert_eq!(code.len(), 44);
        assert_eq!(code.0.capacity(), typed.len());
    }

    #[test]
    fn bytes_that_are_not_utf8_are_no_secret() {
        assert!(Secret::from_bytes(b"\xff\xfe").is_none());
        assert!(Secret::from_bytes(b"ok").is_some_and(|s| s.len() == 2));
    }
}
