//! An enrolled second factor.

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
            Factor::Other(name) => name,
        }
    }

    fn type_display_name(&self) -> &str {
        match self {
            Factor::Protect => "OneLogin Protect",
            Factor::Authenticator => "Authenticator",
            Factor::Sms => "SMS",
            Factor::Email | Factor::MagicLink => "Email",
            Factor::Voice => "Voice",
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

    /// One more code that is right.
    #[must_use]
    pub fn code(mut self, code: impl Into<String>) -> Device {
        self.codes.push(code.into());
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
}
