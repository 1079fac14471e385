//! OneLogin's ids of users, devices, verifications and enrolments. Pure.

macro_rules! id {
    ($name:ident, $what:literal) => {
        #[doc = $what]
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name(String);

        impl $name {
            /// Takes an id that is safe in a path: 1 to 64 letters, digits, `-` or `_`.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                let fits = (1..=64).contains(&text.len())
                    && text
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
                fits.then(|| Self(text.to_owned()))
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
    };
}

impl DeviceId {
    /// The id under which API v1 checks temporary tokens: they belong to no device.
    #[must_use]
    pub fn none() -> Self {
        Self("0".to_owned())
    }
}

id!(UserId, "OneLogin's id of a user.");
id!(
    DeviceId,
    "OneLogin's id of an enrolled device; not always a number."
);
id!(
    VerificationId,
    "OneLogin's id of an activated verification; in API v1 its state token."
);
id!(RegistrationId, "OneLogin's id of an enrolment under way.");
