//! The kinds of second factors: each with its words, OneLogin's names, how it is activated, the shape of its
//! codes, and its words in prompts. One table; the documents' lists are made from it (`cargo xtask docs`).

use crate::secret::Secret;

/// The letters of a YubiKey, which every keyboard has in the same places.
const MODHEX: &str = "cbdefghijklnrtuv";

/// What has to happen before a factor can be verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    /// Nothing: the user has a code at hand.
    CodeAtHand,
    /// A code is sent, and typed.
    CodeSent {
        /// What Enter sends, after "Press Enter to get".
        enter: &'static str,
        /// What its line in a menu begins with.
        option: &'static str,
        /// What brings the code, after "Verification code from the".
        medium: &'static str,
    },
    /// Something is sent, and answered elsewhere.
    Approval {
        /// As for a code that is sent.
        enter: &'static str,
        /// As for a code that is sent.
        option: &'static str,
        /// What was sent, with the name of the device for `{name}`.
        sent: &'static str,
        /// What the user does about it, with the digits of a call for `{digits}`.
        task: &'static str,
    },
}

/// What a code is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// There is no code.
    Nothing,
    /// Minimum and maximum number of digits.
    Digits(usize, usize),
    /// The same, for digits and letters.
    Letters(usize, usize),
    /// This number of [`MODHEX`] letters.
    Modhex(usize),
}

/// The documentation of a word of `factors.allow`.
pub struct FactorRow {
    /// The word.
    pub word: &'static str,
    /// A description.
    pub what: &'static str,
    /// `auth_factor_name`s
    pub names: Vec<&'static str>,
    /// In which versions of the API.
    pub versions: &'static str,
}

/// Defines the factors by the words of `factors.allow`, in the default order.
macro_rules! factors {
    ( $(
        $allowed:literal $what:literal, $versions:literal {
            $( #[doc = $about:literal] $factor:ident $word:literal,
                $names:expr, $course:expr, $shape:expr; )+
        }
    )+ ) => {
        listed! {
            /// A kind of second factor.
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub enum Factor {
                $( $( #[doc = $about] $factor, )+ )+
            }
        }

        impl Factor {
            /// The factors of each word of `factors.allow`, in the default order. `temporary` is not in the default.
            pub const WORDS: &'static [(&'static str, &'static [Self])] =
                &[ $( ($allowed, &[ $( Self::$factor ),+ ]) ),+ ];

            /// The word in the log.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $( $( Self::$factor => $word, )+ )+ }
            }

            /// OneLogin's names for it, in both versions of the API: `auth_factor_name`.
            #[must_use]
            pub fn names(self) -> &'static [&'static str] {
                match self { $( $( Self::$factor => &$names, )+ )+ }
            }

            pub(super) fn course(self) -> Course {
                match self { $( $( Self::$factor => $course, )+ )+ }
            }

            fn shape(self) -> Shape {
                match self { $( $( Self::$factor => $shape, )+ )+ }
            }

            /// What the documents say of each word of `factors.allow`.
            #[must_use]
            pub fn rows() -> Vec<FactorRow> {
                vec![ $( FactorRow {
                    word: $allowed,
                    what: $what,
                    names: [ $( Self::$factor ),+ ].iter().flat_map(|factor| factor.names()).copied().collect(),
                    versions: $versions,
                } ),+ ]
            }
        }
    };
}

factors! {
    "push" "OneLogin Protect: a push, or the code of the app", "both" {
        #[doc = "OneLogin Protect: a push, or the code that the app shows."]
        Push "push", ["OneLogin", "OneLogin Protect"],
            Course::Approval { enter: "a push", option: "Push to OneLogin Protect", sent: "Push sent to {name}", task: "Approve it" }, Shape::Digits(6, 8);
        #[doc = "The code of OneLogin Protect alone, where API v1 lists it as a device of its own."]
        ProtectCode "protect-code", [], Course::CodeAtHand, Shape::Digits(6, 8);
    }
    "totp" "authenticator app", "both" {
        #[doc = "An authenticator app."]
        Totp "totp", ["Google Authenticator"], Course::CodeAtHand, Shape::Digits(6, 8);
    }
    "sms" "code by text message", "both" {
        #[doc = "A code by text message."]
        Sms "sms", ["SMS", "OneLogin SMS", "OneLogin OTP SMS"],
            Course::CodeSent { enter: "a verification code by text message", option: "Text message", medium: "text message" }, Shape::Letters(4, 10);
    }
    "email" "code or link by e-mail", "codes both, links 2" {
        #[doc = "A code by e-mail."]
        Email "email", ["OneLogin Email"],
            Course::CodeSent { enter: "a verification code by e-mail", option: "E-mail", medium: "e-mail" }, Shape::Letters(4, 10);
        #[doc = "A link by e-mail. The API cannot tell it from a code: `factors.magic_link` names them."]
        MagicLink "magic-link", [],
            Course::Approval { enter: "a link by e-mail", option: "Link by e-mail", sent: "Link sent by e-mail ({name})", task: "Open it" }, Shape::Nothing;
    }
    "voice" "phone call: the user types digits from the prompt on the phone", "2" {
        #[doc = "A phone call, during which the user types digits on the phone."]
        Voice "voice", ["OneLogin Voice"],
            Course::Approval { enter: "a phone call", option: "Phone call", sent: "Calling {name}", task: "Type {digits} on the phone" }, Shape::Nothing;
    }
    "yubikey" "YubiKey one-time password, 44 letters", "both" {
        #[doc = "A YubiKey's one-time password."]
        YubiKey "yubikey", ["YubiKey", "Yubico YubiKey"], Course::CodeAtHand, Shape::Modhex(44);
    }
    "duo" "passcode of Duo's app", "both" {
        #[doc = "A passcode of Duo's app."]
        Duo "duo", ["Duo Security"], Course::CodeAtHand, Shape::Digits(6, 10);
    }
    "temporary" "temporary token from an administrator", "both" {
        #[doc = "A temporary token from an administrator."]
        Temporary "temporary", [], Course::CodeAtHand, Shape::Digits(6, 10);
    }
}

impl Factor {
    /// The factors that are allowed when `factors.allow` is not set: all that a user can enrol.
    #[must_use]
    pub fn enrollable() -> Vec<Self> {
        let all = Self::WORDS
            .iter()
            .flat_map(|(_, factors)| factors.iter().copied());
        all.filter(|&factor| factor != Self::Temporary).collect()
    }

    /// The factor that OneLogin gives this name, which tenants cannot change.
    #[must_use]
    pub fn named(auth_factor_name: &str) -> Option<Self> {
        Self::all().find(|factor| factor.names().contains(&auth_factor_name))
    }

    /// Whether OneLogin's page "Enroll Factor" has it: a user can set it up at a login.
    #[must_use]
    pub fn can_be_set_up(self) -> bool {
        matches!(
            self,
            Self::Push | Self::Totp | Self::Sms | Self::Email | Self::Voice
        )
    }

    /// The word in the log where a code was typed: one of Protect's must not look like an approved push.
    #[must_use]
    pub fn code_word(self) -> &'static str {
        match self {
            Self::Push => Self::ProtectCode.word(),
            other => other.word(),
        }
    }

    /// What Enter sends, after "Press Enter to get"; empty if a code is at hand.
    pub(super) fn enter(self) -> &'static str {
        match self.course() {
            Course::CodeAtHand => "",
            Course::CodeSent { enter, .. } | Course::Approval { enter, .. } => enter,
        }
    }

    /// What its line in a menu begins with; empty if a code is at hand.
    pub(super) fn option(self) -> &'static str {
        match self.course() {
            Course::CodeAtHand => "",
            Course::CodeSent { option, .. } | Course::Approval { option, .. } => option,
        }
    }

    /// What brings a code that is sent, after "Verification code from the"; empty for other factors.
    #[must_use]
    pub fn medium(self) -> &'static str {
        match self.course() {
            Course::CodeSent { medium, .. } => medium,
            Course::CodeAtHand | Course::Approval { .. } => "",
        }
    }

    /// What was sent, with `{name}`, and what the user does about it, with `{digits}`; empty for factors without an approval.
    #[must_use]
    pub fn approval(self) -> (&'static str, &'static str) {
        match self.course() {
            Course::Approval { sent, task, .. } => (sent, task),
            Course::CodeAtHand | Course::CodeSent { .. } => ("", ""),
        }
    }

    /// Whether an answer could be a code of some device that needs no activation.
    #[must_use]
    pub fn looks_like_a_code(answer: &Secret) -> bool {
        let mut at_hand = Self::all().filter(|factor| factor.course() == Course::CodeAtHand);
        at_hand.any(|factor| factor.code(answer).is_some())
    }

    /// The answer as a code, if it has the shape of this factor's codes: an answer without it is
    /// never sent (rule R12). Sent codes may hold letters; all codes may have leading zeros.
    #[must_use]
    pub fn code(self, answer: &Secret) -> Option<Code> {
        let code = answer.without(char::is_whitespace);
        let (least, most, is_fit): (_, _, fn(char) -> bool) = match self.shape() {
            Shape::Nothing => return None,
            Shape::Digits(least, most) => (least, most, |c| c.is_ascii_digit()),
            Shape::Letters(least, most) => (least, most, |c| c.is_ascii_alphanumeric()),
            Shape::Modhex(length) => (length, length, |c| MODHEX.contains(c)),
        };
        ((least..=most).contains(&code.len()) && code.all(is_fit)).then_some(Code(code))
    }
}

/// An answer that has the shape of a code.
pub struct Code(Secret);

impl Code {
    /// The code.
    #[must_use]
    pub fn secret(&self) -> &Secret {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_factor_has_a_word_of_its_own_and_one_to_allow_it() {
        for factor in Factor::all() {
            let same = Factor::all().filter(|other| other.word() == factor.word());
            assert_eq!(same.count(), 1, "{factor:?}");
            let words = Factor::WORDS.iter();
            let words = words.filter(|(_, factors)| factors.contains(&factor));
            assert_eq!(words.count(), 1, "{factor:?}");
            for name in factor.names() {
                assert_eq!(Factor::named(name), Some(factor), "{name}");
            }
        }
    }
}
