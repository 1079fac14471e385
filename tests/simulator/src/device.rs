//! An enrolled second factor.

use std::time::SystemTime;

use crate::totp;

/// How the person answers a factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// The code of an app or a key: nothing is sent.
    CodeAtHand,
    /// A push, or a code of the app that gets it.
    Push,
    /// A code that is sent; some have a letter where `letters`.
    CodeSent { letters: bool },
    /// A call: the person keys in digits that the login shows.
    Call,
    /// A link.
    Link,
}

/// What the simulator knows of a factor.
pub(crate) struct Row<'a> {
    pub(crate) way: Way,
    /// `factor_id`.
    pub(crate) id: u64,
    /// `auth_factor_name` in API v2.
    pub(crate) name: &'a str,
    /// `auth_factor_name` in API v1; `None` if v1 does not know the factor.
    pub(crate) v1: Option<&'a str>,
    /// `type_display_name`, unless an admin changes it.
    pub(crate) type_name: &'a str,
    /// What reaches the telephone or mailbox; empty if nothing is sent.
    pub(crate) sends: &'static str,
}

/// Defines the factors, each with the columns of [`Row`].
macro_rules! factors {
    ( $( #[doc = $about:literal] $factor:ident $way:expr, $id:literal, $name:literal, $v1:expr, $type_name:literal, $sends:literal; )+ ) => {
        /// The kinds of factor.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Factor {
            $( #[doc = $about] $factor, )+
            /// Any other factor, by its `auth_factor_name`; checked by code without activation.
            Other(String),
        }

        impl Factor {
            /// All but [`Factor::Other`].
            pub const ALL: &[Factor] = &[ $( Factor::$factor ),+ ];

            pub(crate) fn row(&self) -> Row<'_> {
                let (way, id, name, v1, type_name, sends) = match self {
                    $( Factor::$factor => ($way, $id, $name, $v1, $type_name, $sends), )+
                    Factor::Other(name) => (Way::CodeAtHand, 109, name.as_str(), Some(name.as_str()), name.as_str(), ""),
                };
                Row { way, id, name, v1, type_name, sends }
            }
        }
    };
}

factors! {
    #[doc = "Push to the Protect app, or a code from it."]
    Protect Way::Push, 101, "OneLogin", Some("OneLogin Protect"), "OneLogin Protect", "Push";
    #[doc = "A time-based code from any app."]
    Authenticator Way::CodeAtHand, 102, "Google Authenticator", Some("Google Authenticator"), "Authenticator", "";
    #[doc = "A code by text message."]
    Sms Way::CodeSent { letters: true }, 103, "SMS", Some("OneLogin SMS"), "SMS", "SMS";
    #[doc = "A code by e-mail."]
    Email Way::CodeSent { letters: true }, 104, "OneLogin Email", Some("OneLogin Email"), "Email", "E-mail";
    #[doc = "A call; the person keys in digits that the login shows."]
    Voice Way::Call, 105, "OneLogin Voice", Some("OneLogin Voice"), "Voice", "Call";
    #[doc = "A link by e-mail; the API calls it the same as [`Factor::Email`]."]
    MagicLink Way::Link, 106, "OneLogin Email", None, "Email", "E-mail";
    #[doc = "A key that types 44 modhex characters; checked by code without activation."]
    YubiKey Way::CodeAtHand, 107, "YubiKey", Some("Yubico YubiKey"), "YubiKey", "";
    #[doc = "A Duo passcode; checked by code without activation, and not to be enrolled through the API."]
    Duo Way::CodeAtHand, 108, "Duo Security", Some("Duo Security"), "Duo Security", "";
}

impl Factor {
    /// The stable key in replies.
    pub fn auth_factor_name(&self) -> &str {
        self.row().name
    }

    /// The stable key in replies of API v1; `None` if v1 does not know the factor.
    pub fn v1_name(&self) -> Option<&str> {
        self.row().v1
    }

    /// Whether a code is checked as it is, without anything having been sent.
    pub(crate) fn takes_code_directly(&self) -> bool {
        matches!(self.row().way, Way::CodeAtHand | Way::Push)
    }

    /// Whether the person answers on the device, so that the login polls.
    pub(crate) fn is_polled(&self) -> bool {
        matches!(self.row().way, Way::Push | Way::Call | Way::Link)
    }
}

/// An enrolled second factor of one user.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Device {
    /// `device_id`; a string even when all digits, see [`crate::Simulator::set_numeric_ids`].
    pub id: String,
    /// What kind of factor it is.
    pub factor: Factor,
    /// `user_display_name`, chosen by the user.
    pub name: String,
    /// `type_display_name`, which an admin can change.
    pub type_name: String,
    /// `default` in the list of devices.
    pub default: bool,
    /// Codes that are right at any time, any number of times.
    pub codes: Vec<String>,
    /// The secret of an authenticator, in base 32: its codes are right too, see [`crate::totp`].
    pub secret: Option<String>,
    /// `phone_number` in API v1.
    pub phone: Option<String>,
    /// `active` in API v1: used at least once. API v2 does not list a device that is not.
    pub active: bool,
}

impl Device {
    /// A device of the given kind.
    pub fn new(factor: Factor, id: impl Into<String>, name: impl Into<String>) -> Device {
        let type_name = factor.row().type_name.to_owned();
        Device {
            id: id.into(),
            factor,
            name: name.into(),
            type_name,
            default: false,
            codes: Vec::new(),
            secret: None,
            phone: None,
            active: true,
        }
    }

    /// An authenticator app; give it its codes with [`Device::code`].
    pub fn authenticator(id: impl Into<String>, name: impl Into<String>) -> Device {
        Device::new(Factor::Authenticator, id, name)
    }

    /// `OneLogin Protect`: push, and codes if [`Device::code`] gives it any.
    pub fn protect(id: impl Into<String>, name: impl Into<String>) -> Device {
        Device::new(Factor::Protect, id, name)
    }

    /// A telephone that gets text messages.
    pub fn sms(id: impl Into<String>, name: impl Into<String>) -> Device {
        Device::new(Factor::Sms, id, name)
    }

    /// A mailbox that gets codes.
    pub fn email(id: impl Into<String>, name: impl Into<String>) -> Device {
        Device::new(Factor::Email, id, name)
    }

    /// A mailbox that gets links.
    pub fn magic_link(id: impl Into<String>, name: impl Into<String>) -> Device {
        Device::new(Factor::MagicLink, id, name)
    }

    /// A telephone that is called.
    pub fn voice(id: impl Into<String>, name: impl Into<String>) -> Device {
        Device::new(Factor::Voice, id, name)
    }

    /// A `YubiKey`; give it its codes with [`Device::code`].
    pub fn yubikey(id: impl Into<String>, name: impl Into<String>) -> Device {
        Device::new(Factor::YubiKey, id, name)
    }

    /// Duo; give it its codes with [`Device::code`].
    pub fn duo(id: impl Into<String>, name: impl Into<String>) -> Device {
        Device::new(Factor::Duo, id, name)
    }

    /// One more code that is right.
    pub fn code(mut self, code: impl Into<String>) -> Device {
        self.codes.push(code.into());
        self
    }

    /// More codes that are right.
    pub fn codes<T: Into<String>>(mut self, codes: impl IntoIterator<Item = T>) -> Device {
        self.codes.extend(codes.into_iter().map(Into::into));
        self
    }

    /// With time-based codes from this secret in base 32.
    pub fn secret(mut self, secret: impl Into<String>) -> Device {
        self.secret = Some(secret.into());
        self
    }

    /// With this telephone number.
    pub fn phone(mut self, number: impl Into<String>) -> Device {
        self.phone = Some(number.into());
        self
    }

    /// With this `default` mark.
    pub fn default(mut self, default: bool) -> Device {
        self.default = default;
        self
    }

    /// With this `type_display_name`.
    pub fn type_name(mut self, name: impl Into<String>) -> Device {
        self.type_name = name.into();
        self
    }

    /// Whether this code is right now.
    pub(crate) fn accepts(&self, otp: &str) -> bool {
        let now = SystemTime::now();
        self.codes.iter().any(|code| code == otp)
            || self
                .secret
                .as_ref()
                .is_some_and(|secret| totp::around(secret, now).iter().any(|code| code == otp))
    }
}
