//! What a call is, and which rules it must keep.

use super::Judge;
use crate::factors::words;
use crate::reading::{self, Asked, Version};
use crate::story::Kind;
use pam_onelogin::config::{NoFactor, VerifyForm};
use pam_onelogin::factor::Factor;
use pam_onelogin::onelogin::http::{Call, Caller, Method};
use serde_json::Value;

/// What a call was, told from its path and body as the documentation has them.
#[derive(Clone, Debug)]
pub(super) enum Sent {
    Token,
    User {
        version: Version,
        id: Option<String>,
    },
    Devices {
        version: Version,
        user: String,
    },
    Activation(Asked),
    Verify(Asked),
    Factors,
    Registration,
    Enrolment,
}

impl Sent {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Token => Kind::Token,
            Self::User { .. } => Kind::User,
            Self::Devices { .. } => Kind::Devices,
            Self::Activation(_) => Kind::Activation,
            Self::Verify(_) => Kind::Verify,
            Self::Factors => Kind::Factors,
            Self::Registration => Kind::Registration,
            Self::Enrolment => Kind::Enrolment,
        }
    }
}

impl Judge<'_> {
    /// What a call is, after it was held to the rules.
    pub(super) fn look_at(&self, call: &Call<'_>) -> Sent {
        let (method, body) = match &call.method {
            Method::Get => ("GET", Value::Null),
            Method::Post(body) => ("POST", request_body(body)),
            Method::Put(body) => ("PUT", request_body(body)),
        };
        let path: Vec<&str> = call.path.split('/').skip(1).collect();
        let sent = self.tell(method, &path, &body);
        let is_token = matches!(sent, Sent::Token);
        match call.caller {
            Caller::Client { secret, .. } => {
                assert!(is_token, "the client secret left for {}", call.path);
                assert!(!secret.is_empty());
            }
            Caller::Bearer(token) => assert!(!is_token && !token.is_empty()),
            Caller::Certificate => panic!("a call without the token: {}", call.path),
        }
        if let Sent::User { id: None, .. } = sent {
            let wanted = self.wanted().expect("R5: a search for nobody");
            let name = wanted
                .attribute
                .clone()
                .expect("R5: a search by no attribute");
            assert!(
                call.query.contains(&(name.as_str(), wanted.value.as_str())),
                "R5: {:?}",
                call.query
            );
            assert!(
                !wanted.value.contains(['*', '!']) && !wanted.value.is_empty(),
                "R5: {wanted:?}"
            );
        } else {
            assert!(call.query.is_empty());
        }
        if !is_token {
            assert!(
                self.subject().is_some(),
                "R13: a call for nobody: {}",
                call.path
            );
        }
        sent
    }

    fn tell(&self, method: &str, path: &[&str], body: &Value) -> Sent {
        match (method, path) {
            ("POST", ["auth", "oauth2", "v2", "token"]) => Sent::Token,
            ("GET", ["api", version @ ("1" | "2"), "users"]) => Sent::User {
                version: number(version),
                id: None,
            },
            ("GET", ["api", "2", "users", id]) => Sent::User {
                version: Version::V2,
                id: Some((*id).to_owned()),
            },
            ("GET", ["api", "1", "users", user, "otp_devices"]) => Sent::Devices {
                version: Version::V1,
                user: self.ours(user),
            },
            ("GET", ["api", "2", "mfa", "users", user, "devices"]) => Sent::Devices {
                version: Version::V2,
                user: self.ours(user),
            },
            ("GET", ["api", "2", "mfa", "users", user, "factors"]) => {
                self.ours(user);
                Sent::Factors
            }
            ("POST", ["api", "2", "mfa", "users", user, "registrations"]) => {
                self.ours(user);
                self.may_send();
                self.registrations.set(self.registrations.get() + 1);
                assert_eq!(self.registrations.get(), 1, "R16: a second registration");
                assert!(self.settings.config.users.no_factor == NoFactor::Enroll);
                Sent::Registration
            }
            ("PUT", ["api", "2", "mfa", "users", user, "registrations", _]) => {
                self.ours(user);
                self.code(&body["otp"]);
                Sent::Enrolment
            }
            ("GET", ["api", "2", "mfa", "users", user, "registrations", _]) => {
                self.ours(user);
                Sent::Enrolment
            }
            (_, ["api", "2", "mfa", "users", user, "verifications", rest @ ..]) => {
                let user = self.ours(user);
                self.second_version(method, user, rest, body)
            }
            (
                "POST",
                [
                    "api",
                    "1",
                    "users",
                    user,
                    "otp_devices",
                    device,
                    call @ ("trigger" | "verify"),
                ],
            ) => {
                let user = self.ours(user);
                self.first_version(user, (*device).to_owned(), call, body)
            }
            _ => panic!("a call that no documentation knows: {method} {path:?}"),
        }
    }

    fn second_version(&self, method: &str, user: String, rest: &[&str], body: &Value) -> Sent {
        let named = match rest {
            [] => None,
            [id] => Some((*id).to_owned()),
            _ => panic!("a call that no documentation knows: {rest:?}"),
        };
        let device = match &named {
            None => id_of(&body["device_id"]),
            Some(id) => self.device_of(&user, id),
        };
        let asked = Asked {
            version: Version::V2,
            user,
            device,
            verification: named,
            code: body.get("otp").is_some(),
        };
        self.allows(&asked);
        match (method, &asked.verification, asked.code) {
            ("POST", None, false) => {
                self.activates(&asked);
                Sent::Activation(asked)
            }
            ("POST", None, true) | ("PUT", Some(_), true) => {
                self.count_code(&body["otp"]);
                Sent::Verify(asked)
            }
            ("GET", Some(_), false) => Sent::Verify(asked),
            _ => panic!("a call that no documentation knows: {method} {asked:?}"),
        }
    }

    fn first_version(&self, user: String, device: String, call: &str, body: &Value) -> Sent {
        if let Some(token) = body.get("state_token") {
            assert_eq!(
                self.device_of(&user, &id_of(token)),
                device,
                "R6: another's state token"
            );
        }
        let code = body.get("otp_token");
        let asked = Asked {
            version: Version::V1,
            user,
            device,
            verification: None,
            code: code.is_some(),
        };
        self.allows(&asked);
        match (call, code) {
            ("trigger", None) => {
                self.activates(&asked);
                Sent::Activation(asked)
            }
            ("verify", Some(code)) => {
                self.count_code(code);
                Sent::Verify(asked)
            }
            ("verify", None) => {
                assert!(body.get("state_token").is_some(), "a poll of nothing");
                Sent::Verify(asked)
            }
            _ => panic!("a call that no documentation knows: {call} {asked:?}"),
        }
    }

    /// The OneLogin user of a path, which a reply must have named as ours (rule R5).
    fn ours(&self, user: &str) -> String {
        let unchecked = !self.settings.config.users.check_active
            && self
                .wanted()
                .is_some_and(|wanted| wanted.attribute.is_none() && wanted.value == user);
        let is_found = self.users.borrow().iter().any(|found| found == user);
        assert!(is_found || unchecked, "R5: a call for user {user}");
        user.to_owned()
    }

    /// The device for which a verification was begun (rule R6).
    fn device_of(&self, user: &str, verification: &str) -> String {
        let begun = self.begun.borrow();
        let found = begun
            .iter()
            .rev()
            .find(|(of, _, id)| of == user && id == verification);
        found
            .unwrap_or_else(|| panic!("R6: {verification} was not begun for {user}"))
            .1
            .clone()
    }

    /// The names under which a reply has listed a device of a user.
    fn names_of(&self, user: &str, device: &str) -> Vec<String> {
        let devices = self.devices.borrow();
        let listed = devices
            .iter()
            .filter(|(of, id, _)| of == user && id == device);
        listed.map(|(_, _, name)| name.clone()).collect()
    }

    /// A device must be listed, and its kind allowed.
    fn allows(&self, asked: &Asked) {
        let allow = &self.settings.config.factors.allow;
        let names = self.names_of(&asked.user, &asked.device);
        let is_listed = names.iter().any(|name| {
            let words = words(name);
            allow.iter().any(|factor| words.contains(&factor.word()))
        });
        let is_temporary = asked.version == Version::V1
            && asked.device == "0"
            && asked.code
            && allow.contains(&Factor::Temporary);
        assert!(
            is_listed || is_temporary,
            "a call for a device that is not listed or allowed: {asked:?}"
        );
    }

    /// An activation: one an answer, and one a login that anybody notices (rules R14, R16).
    fn activates(&self, asked: &Asked) {
        self.activations.set(self.activations.get() + 1);
        assert_eq!(
            self.activations.get(),
            1,
            "R16: two activations after one answer"
        );
        let names = self.names_of(&asked.user, &asked.device);
        let is_quiet = self.settings.config.onelogin.verify == VerifyForm::Activated
            && names
                .iter()
                .any(|name| matches!(words(name), ["totp" | "yubikey"]));
        if is_quiet {
            return;
        }
        self.may_send();
        self.loud.set(self.loud.get() + 1);
        assert_eq!(self.loud.get(), 1, "R14: a second activation");
        let nobody_chose = self.prompts.get() == 0;
        let is_push = names.iter().any(|name| words(name).contains(&"push"));
        assert!(
            !nobody_chose || (self.settings.config.factors.autopush && is_push),
            "R14: nobody asked for this activation"
        );
    }

    /// Whether anything may be sent to anybody: never before somebody is proven, nor without memory.
    fn may_send(&self) {
        assert!(
            self.is_proven(),
            "R13: something is sent for somebody whom nothing has proven"
        );
        assert!(
            self.works.get(),
            "R14: something is sent that cannot be remembered"
        );
        self.sent_anything.set(true);
    }

    /// A code that leaves: the last answer, and only once (rules R12, R16).
    fn code(&self, sent: &Value) {
        self.sent_anything.set(true);
        let sent = id_of(sent);
        let typed = self.typed.take();
        assert_eq!(
            typed.as_ref(),
            Some(&sent),
            "R16: a code that was not just typed"
        );
        self.codes.borrow_mut().push(sent);
    }

    /// A code that is to be an acceptance: it counts once, and is counted (rules R14, R18).
    fn count_code(&self, sent: &Value) {
        let is_spent = self.spent.borrow().as_ref() == Some(&id_of(sent));
        assert!(!is_spent, "R18: a code is sent that was accepted");
        let traces = self.traces.borrow();
        let is_guess = |sent: &Sent| matches!(sent, Sent::Verify(asked) if asked.code);
        let guesses = traces.iter().filter(|one| is_guess(&one.sent)).count();
        let most = self.settings.config.limits.failures;
        assert!(
            !self.works.get() || guesses < usize::try_from(most).unwrap_or(usize::MAX),
            "R14: more codes than limits.failures"
        );
        let may_be_uncounted = !self.settings.uids.is_setuid();
        assert!(
            may_be_uncounted || self.works.get(),
            "R14: a code that cannot be counted"
        );
        self.code(sent);
    }

    /// Remembers what a reply has told.
    pub(super) fn note(&self, sent: &Sent, status: u16, body: &[u8]) {
        match sent {
            Sent::User { version, id } => {
                let Some(wanted) = self.wanted() else {
                    return;
                };
                let found = reading::user(*version, id.is_none(), status, body, &wanted);
                let same = |found: &String| id.as_ref().is_none_or(|id| id == found);
                self.users.borrow_mut().extend(found.filter(same));
            }
            Sent::Devices { version, user } => {
                let listed = reading::devices(*version, status, body).unwrap_or_default();
                let listed = listed
                    .into_iter()
                    .map(|(id, name)| (user.clone(), id, name));
                self.devices.borrow_mut().extend(listed);
            }
            Sent::Activation(asked) => {
                let Asked {
                    version,
                    user,
                    device,
                    ..
                } = asked;
                if let Some(id) = reading::verification(*version, status, body, user, device) {
                    self.begun
                        .borrow_mut()
                        .push((user.clone(), device.clone(), id));
                }
            }
            Sent::Token
            | Sent::Verify(_)
            | Sent::Factors
            | Sent::Registration
            | Sent::Enrolment => {}
        }
    }
}

fn number(version: &str) -> Version {
    match version {
        "1" => Version::V1,
        _ => Version::V2,
    }
}

fn request_body(body: &[u8]) -> Value {
    serde_json::from_slice(body).expect("a request's body is JSON")
}

fn id_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        other => panic!("no id: {other}"),
    }
}
