//! Each call of OneLogin's API that the client makes, by method and path. The client takes its paths from here, and the list of
//! calls that a gateway allows is made from here.

/// A call: its method and its path.
pub struct Endpoint {
    /// `GET`, `POST` or `PUT`.
    pub method: &'static str,
    /// The path, from `/`; `{user}`, `{device}`, `{verification}` and `{registration}` stand for ids.
    pub path: &'static str,
    /// Which configurations need it.
    pub need: Need,
}

/// Which configurations need a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// To look a user up by `match`, where that is an attribute.
    Attribute,
    /// The same, where `match` is `userprincipalname`.
    UserPrincipalName,
    /// To look a user up by id: for ids from a map file, and custom attributes.
    Id,
    /// `api_version = 1`.
    Version1,
    /// `api_version = 2`.
    Version2,
    /// The check of a temporary token, with either version.
    TemporaryToken,
    /// `no_factor = "enroll"`, and `pam-onelogin enroll`.
    Enrolment,
}

impl Endpoint {
    /// The path with these ids, in the order of their places.
    #[must_use]
    pub fn with(&self, ids: &[&str]) -> String {
        let mut path = String::with_capacity(96);
        let mut ids = ids.iter();
        for part in self.path.split('{') {
            let behind = part.split_once('}').map(|(_, behind)| behind);
            if let Some(behind) = behind {
                path.push_str(ids.next().copied().unwrap_or_default());
                path.push_str(behind);
            } else {
                path.push_str(part);
            }
        }
        path
    }
}

/// Defines the calls.
macro_rules! calls {
    ( $( $(#[$about:meta])* $call:ident: $method:literal $path:literal, $need:ident; )+ ) => {
        $( $(#[$about])* pub static $call: Endpoint = Endpoint {
            method: $method,
            path: $path,
            need: Need::$need,
        }; )+

        /// Each call.
        pub static ALL: &[&Endpoint] = &[ $( &$call ),+ ];
    };
}

calls! {
    /// Users by an attribute.
    FIND_USER: "GET" "/api/2/users", Attribute;
    /// Users by `userPrincipalName`, which only version 1 can search for.
    FIND_USER_BY_PRINCIPAL: "GET" "/api/1/users", UserPrincipalName;
    /// One user.
    READ_USER: "GET" "/api/2/users/{user}", Id;
    /// The devices of a user.
    DEVICES: "GET" "/api/2/mfa/users/{user}/devices", Version2;
    /// Activates a device, or checks a code without an activation.
    VERIFICATIONS: "POST" "/api/2/mfa/users/{user}/verifications", Version2;
    /// Asks about an approval.
    POLL_VERIFICATION: "GET" "/api/2/mfa/users/{user}/verifications/{verification}", Version2;
    /// Checks the code of an activated device.
    CHECK_VERIFICATION: "PUT" "/api/2/mfa/users/{user}/verifications/{verification}", Version2;
    /// The factors that a user can enrol.
    FACTORS: "GET" "/api/2/mfa/users/{user}/factors", Enrolment;
    /// Begins an enrolment.
    REGISTRATIONS: "POST" "/api/2/mfa/users/{user}/registrations", Enrolment;
    /// Asks about an enrolment.
    POLL_REGISTRATION: "GET" "/api/2/mfa/users/{user}/registrations/{registration}", Enrolment;
    /// Checks the code that ends an enrolment.
    CHECK_REGISTRATION: "PUT" "/api/2/mfa/users/{user}/registrations/{registration}", Enrolment;
    /// The devices of a user, version 1.
    OTP_DEVICES: "GET" "/api/1/users/{user}/otp_devices", Version1;
    /// Activates a device, version 1.
    TRIGGER: "POST" "/api/1/users/{user}/otp_devices/{device}/trigger", Version1;
    /// Checks a code, or asks about an approval, version 1. Version 2 does not say how a temporary token is checked.
    VERIFY: "POST" "/api/1/users/{user}/otp_devices/{device}/verify", TemporaryToken;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_take_their_places_in_a_path() {
        assert_eq!(FIND_USER.with(&[]), "/api/2/users");
        assert_eq!(READ_USER.with(&["7"]), "/api/2/users/7");
        assert_eq!(
            TRIGGER.with(&["7", "a-b"]),
            "/api/1/users/7/otp_devices/a-b/trigger"
        );
    }
}
