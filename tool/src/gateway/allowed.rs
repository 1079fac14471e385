//! The requests that a gateway lets through: one row for each form of a call that the module makes with the configuration of the
//! hosts. Each row is exact: method, URL and body as the client writes them (`src/onelogin/v1.rs` and `v2.rs`).

use pam_onelogin::config::{Attribute, Config, VerifyForm, Version};
use pam_onelogin::factor::Factor;
use pam_onelogin::onelogin::calls::{self, Endpoint, Need};
use std::fmt::Write as _;
use std::ptr;

/// What a request counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Looks up a user or the devices of one.
    LookUp,
    /// Asks how an approval or an enrolment stands.
    Poll,
    /// Sends a push, a call, a code or a link to a user.
    Send,
    /// Checks a code.
    Code,
    /// Begins an enrolment.
    Enrol,
    /// Checks the code of an enrolment.
    EnrolCode,
}

/// A form of a call.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) kind: Kind,
    pub(crate) method: &'static str,
    /// A regular expression for the whole URL.
    pub(crate) url: String,
    /// A regular expression for the whole body; `None` for a request without one.
    pub(crate) body: Option<String>,
    /// Where the id of the user is; `None` for a look-up by name.
    pub(crate) user: Option<User>,
    /// Whether only hosts that enrol may send it.
    pub(crate) enrolling: bool,
}

/// Where a path has the id of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct User {
    /// What is before it.
    pub(crate) before: &'static str,
    /// Which field of the path it is, counted from 1 and separated by `/`.
    pub(crate) field: usize,
}

/// The number of a user. `07` would be counted apart from `7`.
const USER: &str = "[1-9][0-9]{0,17}";

/// Every other id, as `src/id.rs` takes it.
const ID: &str = "[A-Za-z0-9_-]{1,64}";

/// An id in a body: a number where it is one, and text elsewhere.
const ID_IN_BODY: &str = "(0|[1-9][0-9]{0,19}|\"[A-Za-z0-9_-]{1,64}\")";

/// A code, as `src/factor/kind.rs` takes it.
const CODE: &str = "[A-Za-z0-9]{1,64}";

/// A name to look up, percent-encoded, as `src/map.rs` takes it: OneLogin takes `*` and `!` as operators, so that neither may
/// come through in any spelling.
const NAME: &str = "(?!-|%40)([A-Za-z0-9._-]|%24|%27|%2B|%40|%5C|%[89A-F][0-9A-F]){1,255}";

/// The name that OneLogin gives a factor, as a JSON string.
const DISPLAY_NAME: &str = r#""([^"\\\x00-\x1f]|\\["\\bfnrt]|\\u00[01][0-9a-f]){1,256}""#;

/// How long an enrolment may take, in seconds, as `src/onelogin/v2.rs` asks for it.
const ENROLMENT_LIFE: u32 = 900;

/// Each form of each call that hosts with this configuration make.
pub(crate) fn rows(config: &Config, enrolment: bool) -> Vec<Row> {
    let mut rows = Vec::new();
    for &call in calls::ALL {
        if is_needed(call.need, config, enrolment) {
            forms(call, config, &mut rows);
        }
    }
    rows
}

fn is_needed(need: Need, config: &Config, enrolment: bool) -> bool {
    let attribute = config.users.attribute.as_ref();
    let is_v1 = config.onelogin.version == Version::V1;
    match need {
        Need::Attribute => attribute.is_some_and(|it| *it != Attribute::UserPrincipalName),
        Need::UserPrincipalName => attribute == Some(&Attribute::UserPrincipalName),
        Need::Id => {
            let has_map = config.users.map_file.is_some() && config.users.check_active;
            has_map || matches!(attribute, Some(Attribute::Custom(_)))
        }
        Need::Version1 => is_v1,
        Need::Version2 => !is_v1,
        Need::TemporaryToken => is_v1 || allows_temporary(config),
        // After an enrolment the module lists the devices of version 2.
        Need::Enrolment => enrolment && !is_v1,
    }
}

fn allows_temporary(config: &Config) -> bool {
    config.factors.allow.contains(&Factor::Temporary)
}

/// Adds the forms of a call. A call that is not known here is never let through.
fn forms(call: &'static Endpoint, config: &Config, rows: &mut Vec<Row>) {
    let is = |other: &'static Endpoint| ptr::eq(call, other);
    let url = |query: &str| url(call.path, ID, query);
    let mut add = |kind, url: String, body: Option<String>| {
        rows.push(Row {
            kind,
            method: call.method,
            url,
            body,
            user: user(call.path),
            enrolling: call.need == Need::Enrolment,
        });
    };
    let expires_in = config.factors.expires_in;
    let message = config.factors.sms_message.as_deref();
    if is(&calls::FIND_USER) || is(&calls::FIND_USER_BY_PRINCIPAL) {
        if let Some(attribute) = &config.users.attribute {
            add(Kind::LookUp, url(&query(attribute)), None);
        }
    } else if is(&calls::READ_USER) || is(&calls::DEVICES) || is(&calls::OTP_DEVICES) {
        add(Kind::LookUp, url(""), None);
    } else if is(&calls::VERIFICATIONS) {
        let device = format!("{{\"device_id\":{ID_IN_BODY}");
        let life = format!(",\"expires_in\":{expires_in}");
        for message in messages("custom_message", message) {
            add(
                Kind::Send,
                url(""),
                Some(format!("{device}{life}{message}}}")),
            );
        }
        if config.onelogin.verify == VerifyForm::Direct {
            let body = format!("{{\"otp\":\"{CODE}\",\"device_id\":{ID_IN_BODY}}}");
            add(Kind::Code, url(""), Some(body));
        }
    } else if is(&calls::POLL_VERIFICATION) || is(&calls::POLL_REGISTRATION) {
        add(Kind::Poll, url(""), None);
    } else if is(&calls::CHECK_VERIFICATION) {
        let body = format!("{{\"otp\":\"{CODE}\"(,\"device_id\":{ID_IN_BODY})?}}");
        add(Kind::Code, url(""), Some(body));
    } else if is(&calls::FACTORS) {
        add(Kind::LookUp, url(""), None);
    } else if is(&calls::REGISTRATIONS) {
        let factor = format!("{{\"factor_id\":[0-9]{{1,20}},\"display_name\":{DISPLAY_NAME}");
        let life = format!(",\"expires_in\":{ENROLMENT_LIFE},\"verified\":false");
        for message in messages("custom_message", message) {
            add(
                Kind::Enrol,
                url(""),
                Some(format!("{factor}{life}{message}}}")),
            );
        }
    } else if is(&calls::CHECK_REGISTRATION) {
        let body = format!("{{\"otp\":([1-9][0-9]{{0,19}}|\"{CODE}\")}}");
        add(Kind::EnrolCode, url(""), Some(body));
    } else if is(&calls::TRIGGER) {
        // Version 1 has another word for the life of the code.
        let message = message.map(|text| text.replace("{{otp_expiry}}", "{{expiration}}"));
        let life = format!("{{\"state_token_expires_in\":{expires_in}");
        for message in messages("sms_message", message.as_deref()) {
            add(Kind::Send, url(""), Some(format!("{life}{message}}}")));
        }
    } else if is(&calls::VERIFY) {
        let code = format!("{{\"otp_token\":\"{CODE}\"");
        let state = format!("\"state_token\":\"{ID}\"}}");
        if config.onelogin.version == Version::V1 {
            add(Kind::Code, url(""), Some(format!("{code}(}}|,{state})")));
            add(Kind::Poll, url(""), Some(format!("{{{state}")));
        } else {
            // A temporary token belongs to no device.
            add(
                Kind::Code,
                self::url(call.path, "0", ""),
                Some(format!("{code}}}")),
            );
        }
    }
}

/// The URL of a look-up that a host with this configuration can send. It names a user who does not exist, where hosts look up
/// users by name.
pub(crate) fn look_up(config: &Config) -> String {
    let Some(attribute) = &config.users.attribute else {
        let call = match config.onelogin.version {
            Version::V1 => &calls::OTP_DEVICES,
            Version::V2 => &calls::DEVICES,
        };
        return call.with(&["1"]);
    };
    let call = match attribute {
        Attribute::UserPrincipalName => &calls::FIND_USER_BY_PRINCIPAL,
        _ => &calls::FIND_USER,
    };
    let name = attribute.name();
    format!(
        "{}?{name}=pam-onelogin-check&fields={}&limit=2",
        call.path,
        fields(attribute, &name)
    )
}

/// A path with a regular expression for each id, and what follows it.
fn url(path: &str, id: &str, query: &str) -> String {
    let mut url = String::new();
    for part in path.split('{') {
        match part.split_once('}') {
            Some((place, behind)) => {
                url.push_str(if place == "user" { USER } else { id });
                url.push_str(&literal(behind));
            }
            None => url.push_str(&literal(part)),
        }
    }
    url + query
}

/// The query of a look-up by an attribute.
fn query(attribute: &Attribute) -> String {
    let name = literal(&attribute.name());
    let fields = fields(attribute, &name);
    format!("\\?{name}={NAME}&fields={fields}&limit=2")
}

/// What a look-up asks about the user.
fn fields(attribute: &Attribute, name: &str) -> String {
    match attribute {
        Attribute::Custom(_) => "id".to_owned(),
        _ => format!("id%2C{name}%2Cstate%2Cstatus"),
    }
}

fn user(path: &'static str) -> Option<User> {
    let (before, _) = path.split_once("{user}")?;
    let field = before.split('/').count();
    Some(User { before, field })
}

/// What may follow the other members of a body: nothing, or the text for a text message, exactly as `serde_json` writes it.
fn messages(name: &str, message: Option<&str>) -> Vec<String> {
    let member = |text: &str| {
        let text = serde_json::Value::from(text).to_string();
        format!(",\"{name}\":{}", literal(&text))
    };
    let with = message.map(member);
    [String::new()].into_iter().chain(with).collect()
}

/// A regular expression for this text alone. It has no quote, so that it may stand between quotes.
pub(crate) fn literal(text: &str) -> String {
    let mut expression = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => expression.push(char::from(byte)),
            b'/' | b'_' | b'-' | b'%' | b'=' | b'&' | b',' | b':' | b'"' | b' ' => {
                expression.push(char::from(byte));
            }
            b'.' => expression.push_str("\\."),
            other => {
                let _ = write!(expression, "\\x{other:02x}");
            }
        }
    }
    expression
}

#[cfg(test)]
mod tests {
    use super::*;
    use pam_onelogin::config;
    use std::collections::BTreeSet;

    fn config(more: &str) -> Config {
        let text = format!(
            "onelogin.url = \"https://gateway.test\"\nonelogin.client_id = \"i\"\nonelogin.client_secret = \"s\"\n{more}\n"
        );
        config::parse("c", &text).unwrap_or_else(|faults| panic!("{faults:?}"))
    }

    #[test]
    fn each_call_of_the_client_has_a_form_in_some_configuration() {
        let all = [
            config(""),
            config("onelogin.api_version = 1"),
            config("users.match = \"userprincipalname\""),
            config("users.map_file = \"/map\""),
        ];
        let rows: Vec<Row> = all.iter().flat_map(|config| rows(config, true)).collect();
        for call in calls::ALL {
            let path = url(call.path, ID, "");
            let has = |row: &Row| row.method == call.method && row.url.starts_with(&path);
            assert!(rows.iter().any(has), "{} {}", call.method, call.path);
        }
    }

    #[test]
    fn what_the_hosts_do_not_need_has_no_form() {
        let calls = |more: &str, enrolment| {
            let rows = rows(&config(more), enrolment);
            let calls = rows.iter().map(|row| format!("{} {}", row.method, row.url));
            calls.collect::<BTreeSet<_>>()
        };
        let least = calls("", false);
        assert_eq!(least.len(), 5, "{least:#?}");
        assert_eq!(calls("", true).len(), 9);
        assert!(
            !least.iter().any(|call| call.contains("/api/1/")),
            "{least:#?}"
        );
        let map = calls(
            "users.match = \"map\"\nusers.map_file = \"/map\"\nusers.check_active = false",
            false,
        );
        assert!(map.iter().all(|call| call.contains("/mfa/")), "{map:#?}");
        let v1 = calls("onelogin.api_version = 1", true);
        assert!(!v1.iter().any(|call| call.contains("/mfa/")), "{v1:#?}");
        let temporary = calls("factors.allow = [\"totp\", \"temporary\"]", false);
        assert!(
            temporary
                .iter()
                .any(|call| call.ends_with("/otp_devices/0/verify")),
            "{temporary:#?}"
        );
    }

    #[test]
    fn a_text_message_is_allowed_as_it_is_configured_and_in_no_other_form() {
        let message = r#"factors.sms_message = 'It''s "{{otp_code}}" \ ü'"#.replace("''", "’");
        let rows = rows(&config(&message), false);
        let sends = rows.iter().filter(|row| row.kind == Kind::Send);
        let bodies: Vec<_> = sends.filter_map(|row| row.body.as_deref()).collect();
        assert_eq!(bodies.len(), 2, "{bodies:#?}");
        assert!(!bodies.concat().contains('\''), "{bodies:#?}");
        assert!(
            bodies[1].ends_with(r#"\x5c"\x7b\x7botp_code\x7d\x7d\x5c" \x5c\x5c \xc3\xbc"}"#),
            "{bodies:#?}"
        );
    }
}
