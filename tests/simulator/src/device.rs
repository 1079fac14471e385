//! An enrolled second factor.

use std::time::SystemTime;

use crate::totp;

/// The kinds of factor, as far as the API treats them differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Factor {
    /// Push to the Protect app, or a code from it.
    Protect,
    /// A time-based code from any app.
    Authenticator,
    /// A code by text message.
    Sms,
    /// A code by e-mail.
    Email,
    /// A link by e-mail; the API calls it the same as [`Factor::Email`].
    MagicLink,
    /// A call; the person keys in digits that the login shows.
    Voice,
    /// A key that types 44 modhex characters; checked by code without activation.
    YubiKey,
    /// A Duo passcode; checked by code without activation, and not to be enrolled through the API.
    Duo,
    /// Any other factor, by its `auth_factor_name`; checked by code without activation.
    Other(String),
}

impl Factor {
    /// The stable key in replies.
    #[must_use]
    pub fn auth_factor_name(&self) -> &str {
        match self {
            Factor::Protect => "OneLogin",
            Factor::Authenticator => "Google Authenticator",
            Factor::Sms => "SMS",
            Factor::Email | Factor::MagicLink => "OneLogin Email",
            Factor::Voice => "OneLogin Voice",
            Factor::YubiKey => "YubiKey",
            Factor::Duo => "Duo Security",
            Factor::Other(name) => name,
        }
    }

    /// The stable key in replies of API v1; `None` if v1 does not know the factor.
    #[must_use]
    pub fn v1_name(&self) -> Option<&str> {
        match self {
            Factor::Protect => Some("OneLogin Protect"),
            Factor::Sms => Some("OneLogin SMS"),
            Factor::YubiKey => Some("Yubico YubiKey"),
            Factor::MagicLink => None,
            _ => Some(self.auth_factor_name()),
        }
    }

    /// Whether a code is checked as it is, without anything having been sent.
    pub(crate) fn takes_code_directly(&self) -> bool {
        match self {
            Factor::Protect
            | Factor::Authenticator
            | Factor::YubiKey
            | Factor::Duo
            | Factor::Other(_) => true,
            Factor::Sms | Factor::Email | Factor::MagicLink | Factor::Voice => false,
        }
    }

    pub(crate) fn type_display_name(&self) -> &str {
        match self {
            Factor::Protect => "OneLogin Protect",
            Factor::Authenticator => "Authenticator",
            Factor::Sms => "SMS",
            Factor::Email | Factor::MagicLink => "Email",
            Factor::Voice => "Voice",
            Factor::YubiKey => "YubiKey",
            Factor::Duo => "Duo Security",
            Factor::Other(name) => name,
        }
    }
}

/// An enrolled second factor of one user.
#[derive(Clone, Debug, PartialEq, Eq)]
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
        let type_name = factor.type_display_name().to_owned();
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
    #[must_use]
    pub fn code(mut self, code: impl Into<String>) -> Device {
        self.codes.push(code.into());
        self
    }

    /// More codes that are right.
    #[must_use]
    pub fn codes<T: Into<String>>(mut self, codes: impl IntoIterator<Item = T>) -> Device {
        self.codes.extend(codes.into_iter().map(Into::into));
        self
    }

    /// With time-based codes from this secret in base 32.
    #[must_use]
    pub fn secret(mut self, secret: impl Into<String>) -> Device {
        self.secret = Some(secret.into());
        self
    }

    /// With this telephone number.
    #[must_use]
    pub fn phone(mut self, number: impl Into<String>) -> Device {
        self.phone = Some(number.into());
        self
    }

    /// Never used so far.
    #[must_use]
    pub fn inactive(mut self) -> Device {
        self.active = false;
        self
    }

    /// With this `default` mark.
    #[must_use]
    pub fn default(mut self, default: bool) -> Device {
        self.default = default;
        self
    }

    /// With this `type_display_name`.
    #[must_use]
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
