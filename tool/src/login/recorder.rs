//! `test --record`: makes a tape of a login. What a tape may contain is decided in `tape/`; here stands what
//! this host knows to be secret or personal, and which settings belong to a tape.

use crate::login::traced_http::Observer;
use pam_onelogin::api::{ApiError, Ending, Reply};
use pam_onelogin::config::file::{Loaded, Secrets};
use pam_onelogin::config::{
    Attribute, Config, FailMode, NoFactor, UnknownUser, VerifyForm, Version,
};
use pam_onelogin::factor::Factor;
use pam_onelogin::login::{NoAnswer, Prompt, Typed};
use pam_onelogin::map::UserKey;
use pam_onelogin::onelogin::http::{Call, Caller, Method};
use pam_onelogin::reason::Reason;
use pam_onelogin::secret::Secret;
use pam_onelogin::user::Subject;
use pam_onelogin::verdict::Verdict;
use pam_onelogin_tape::{
    Authorization, Exchange, Header, NoReply, Outcome, RawReply, RawRequest, Redactor, Settings,
    Step, Tape, format,
};
use std::cell::RefCell;
use std::time::Duration;
use time::OffsetDateTime;

/// What a login has sent, got and asked so far, without its values.
#[derive(Default)]
pub(crate) struct Recorder {
    redactor: RefCell<Redactor>,
    steps: RefCell<Vec<Step>>,
}

/// What is written into the first line, beside the settings.
pub(crate) struct Recorded<'a> {
    pub(crate) service: &'a str,
    pub(crate) proven: bool,
    pub(crate) mapped: bool,
    pub(crate) factor: Option<&'a str>,
}

impl Recorder {
    /// Learns what this host knows to be secret or personal: the credentials, the host, the names of the user.
    pub(crate) fn new(loaded: &Loaded, user: &str, subject: Option<&Subject>) -> Self {
        let config = &loaded.config;
        let onelogin = &config.onelogin;
        let mut values = Vec::new();
        let credentials = onelogin.access.credentials();
        values.extend(credentials.map(|(_, credential)| credential.client_id.as_str()));
        let secrets = loaded.secrets.iter().flat_map(Secrets::all);
        values.extend(secrets.map(Secret::expose));
        values.extend(onelogin.origin.host().split('.'));
        values.push(onelogin.origin.host());
        let proxy = onelogin.http_proxy.as_ref();
        values.extend(proxy.map(|proxy| proxy.host.as_str()));
        let credential = proxy.and_then(|proxy| proxy.credential.as_ref());
        values.extend(credential.map(Secret::expose));
        values.extend(config.users.append_domain.as_deref());
        values.push(user);
        if let Some(subject) = subject {
            values.push(&subject.name);
            values.push(match &subject.key {
                Ok(UserKey::Name(name)) => name,
                Ok(UserKey::Id(id)) => id.as_str(),
                Err(_) => user,
            });
        }
        let mut redactor = Redactor::new();
        // `api.us.onelogin.com`: its words are those of the protocol, and of every tenant.
        let is_own = |value: &&str| !["api", "us", "eu", "onelogin", "com"].contains(value);
        // A part of the host that is a word of the protocol says nothing in a message; a hole in its place would.
        let is_hidden = |value: &&str| Redactor::can_hide(value);
        for value in values.into_iter().filter(is_own).filter(is_hidden) {
            redactor.learn(value);
        }
        Self {
            redactor: RefCell::new(redactor),
            steps: RefCell::default(),
        }
    }

    /// The name of the user that a tape cannot hide, here or at OneLogin, if there is one.
    pub(crate) fn unhidden<'a>(user: &'a str, subject: Option<&'a Subject>) -> Option<&'a str> {
        let mut names = vec![user];
        if let Some(subject) = subject {
            names.push(&subject.name);
            if let Ok(UserKey::Name(name)) = &subject.key {
                names.push(name);
                names.extend(name.split_once('@').map(|(name, _)| name));
            }
        }
        names.into_iter().find(|name| !Redactor::can_hide(name))
    }

    fn typed(&self, answer: &Result<Typed, NoAnswer>) {
        let typed = match answer {
            // As the login reads it: a code may be typed in groups.
            Ok(Typed::Text(text)) => {
                let text = text.without(char::is_whitespace);
                self.redactor.borrow_mut().typed(text.expose())
            }
            Ok(Typed::Unusable(_)) => "unusable".to_owned(),
            Err(NoAnswer) => "nothing".to_owned(),
        };
        self.steps.borrow_mut().push(Step::Typed(typed));
    }

    /// The finished tape as text; `None` if a secret or personal value is in it, or it cannot be read again.
    pub(crate) fn finish(
        self,
        loaded: &Loaded,
        recorded: &Recorded<'_>,
        verdict: &Verdict,
    ) -> Option<String> {
        let mut usual = SERVICES.iter();
        let service = usual.find(|service| **service == recorded.service);
        let service = service.copied().unwrap_or("other");
        let tape = Tape {
            header: Header {
                tape: format::VERSION,
                tool: env!("CARGO_PKG_VERSION").to_owned(),
                service: service.to_owned(),
                proven: recorded.proven,
                settings: settings(&loaded.config, recorded.mapped),
            },
            steps: self.steps.into_inner(),
            outcome: Outcome {
                event: verdict.event.word().to_owned(),
                reason: verdict.reason.map(|reason| reason.word().to_owned()),
                factor: recorded.factor.map(str::to_owned),
                code: format!("{:?}", verdict.code),
            },
        };
        let text = tape.write();
        let is_safe = self.redactor.borrow().check(&text).is_ok();
        let is_readable = Tape::read(&text).is_ok_and(|read| read == tape);
        (is_safe && is_readable).then_some(text)
    }
}

impl Observer for Recorder {
    fn exchange(
        &self,
        call: &Call<'_>,
        result: &Result<Reply, ApiError>,
        after: Duration,
        time: Duration,
    ) {
        let mut redactor = self.redactor.borrow_mut();
        let authorization = match call.caller {
            Caller::Bearer(token) => {
                redactor.learn(token.expose());
                Authorization::Bearer
            }
            // The gateway adds the token on the way to OneLogin.
            Caller::Certificate => Authorization::Bearer,
            Caller::Client { .. } => Authorization::Client,
        };
        let request = redactor.request(&RawRequest {
            method: call.method.name(),
            path: call.path,
            query: call.query,
            authorization,
            body: match &call.method {
                Method::Get => None,
                Method::Post(body) | Method::Put(body) => Some(body.as_slice()),
            },
        });
        let result = match result {
            Ok(reply) => {
                let raw = RawReply {
                    status: reply.status,
                    retry_after: reply.retry_after,
                    front_end: reply.is_of_front_end,
                    request_id: reply.request_id.is_some(),
                    body: &reply.body,
                };
                Ok(redactor.reply(&raw, OffsetDateTime::now_utc()))
            }
            Err(error) => Err(no_reply(error)),
        };
        let exchange = Exchange {
            request,
            result,
            after_ms: milliseconds(after),
            ms: milliseconds(time),
        };
        self.steps.borrow_mut().push(Step::Exchange(exchange));
    }

    fn no_connection(&self, error: &ApiError) {
        let step = Step::NoConnection(no_reply(error));
        self.steps.borrow_mut().push(step);
    }
}

/// The services that a tape names; a name that an administrator chose could be personal.
const SERVICES: &[&str] = &[
    "sshd", "sudo", "sudo-i", "su", "su-l", "login", "polkit-1", "cockpit",
];

/// The prompts of a login; the tape gets what was typed.
pub(crate) struct RecordedPrompt<'a> {
    pub(crate) prompt: &'a mut dyn Prompt,
    pub(crate) recorder: Option<&'a Recorder>,
}

impl Prompt for RecordedPrompt<'_> {
    fn ask(&mut self, text: &str) -> Result<Typed, NoAnswer> {
        let answer = self.prompt.ask(text);
        if let Some(recorder) = self.recorder {
            recorder.typed(&answer);
        }
        answer
    }

    fn is_there(&self) -> bool {
        self.prompt.is_there()
    }

    fn tell(&mut self, text: &str) {
        self.prompt.tell(text);
    }
}

/// The settings that decide what is sent.
fn settings(config: &Config, mapped: bool) -> Settings {
    let attribute = match &config.users.attribute {
        Some(Attribute::Custom(_)) => "custom".to_owned(),
        Some(attribute) => attribute.name(),
        None => "map".to_owned(),
    };
    let word = |factor: &Factor| {
        let of =
            |(word, factors): &(&'static str, &[Factor])| factors.contains(factor).then_some(*word);
        Factor::WORDS
            .iter()
            .find_map(of)
            .unwrap_or_default()
            .to_owned()
    };
    let mut factors: Vec<String> = config.factors.allow.iter().map(word).collect();
    factors.dedup();
    let onelogin = &config.onelogin;
    Settings {
        api_version: match onelogin.version {
            Version::V1 => 1,
            Version::V2 => 2,
        },
        verify: match onelogin.verify {
            VerifyForm::Direct => "direct",
            VerifyForm::Activated => "activated",
        }
        .to_owned(),
        lookup: onelogin.access.has_lookup(),
        http_proxy: onelogin.http_proxy.is_some(),
        attribute,
        append_domain: config.users.append_domain.is_some(),
        ignore_case: config.users.ignore_case,
        mapped,
        check_active: config.users.check_active,
        unknown: match config.users.unknown {
            UnknownUser::Deny => "deny",
            UnknownUser::Exempt => "exempt",
        }
        .to_owned(),
        no_factor: match config.users.no_factor {
            NoFactor::Deny => "deny",
            NoFactor::Exempt => "exempt",
            NoFactor::Enroll => "enroll",
        }
        .to_owned(),
        factors,
        autopush: config.factors.autopush,
        prompts: config.factors.prompts,
        expires_in: config.factors.expires_in,
        sms_message: config.factors.sms_message.is_some(),
        magic_link: config.factors.magic_link.len(),
        push_wait: config.push_wait.as_secs(),
        failmode: match config.failmode {
            FailMode::Secure => "secure",
            FailMode::Safe => "safe",
        }
        .to_owned(),
    }
}

fn no_reply(error: &ApiError) -> NoReply {
    NoReply {
        reason: Reason::from(error.trouble).word().to_owned(),
        ending: match error.ending {
            Ending::NotSent => "not-sent",
            Ending::CutShort => "cut-short",
            Ending::Lost => "lost",
            Ending::NoReply => "no-reply",
            Ending::IdleTimeout
            | Ending::FrontEndLimit
            | Ending::RateLimited
            | Ending::TokenReplaced
            | Ending::TokenRefused
            | Ending::TokenChanged
            | Ending::GatewayRefused
            | Ending::NotForwarded
            | Ending::Answered => "answered",
        }
        .to_owned(),
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
