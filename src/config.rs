//! The configuration as values, and what is wrong with one. Pure; `config/reader.rs` makes them of TOML
//! text by the keys of `config/keys.rs`, `config/file.rs` opens and checks the files.

pub mod dates;
pub mod file;
pub mod keys;
mod origin;
mod reader;
pub mod table;

pub use origin::{Origin, Proxy};
pub use reader::parse;

use crate::factor::Factor;
use crate::group::PatternList;
use crate::secret::Secret;
use dates::Day;
use ipnet::IpNet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Everything an admin can set, each value checked.
pub struct Config {
    /// `[onelogin]`: where OneLogin is and how to talk to it.
    pub onelogin: OneLoginTable,
    /// `[users]`: who is asked, and by which name OneLogin knows them.
    pub users: Users,
    /// `[factors]`: which factors, in which order, and how often.
    pub factors: Factors,
    /// `push.wait`: the longest wait for an approval.
    pub push_wait: Duration,
    /// `services`: what differs in logins by single PAM services.
    pub services: Vec<Service>,
    /// How the user is asked; [`Config::for_service`] sets it.
    pub ask: Ask,
    /// Whether `factors.allow` is that of a service alone; [`Config::for_service`] sets it.
    pub is_narrowed: bool,
    /// What the prompt for a sole code says; [`Config::for_service`] sets it.
    pub prompt: Option<String>,
    /// `[limits]`: how many challenges may remain without an accepted login, and how many codes may be refused.
    pub limits: Limits,
    /// `first_factor`: what proves a user before us.
    pub first_factor: FirstFactor,
    /// `failmode`: what happens when OneLogin cannot be reached.
    pub failmode: FailMode,
    /// `failmode_from`: the networks of the ssh clients to which `failmode = "safe"` applies; none is a
    /// loopback network.
    pub failmode_from: Vec<IpNet>,
    /// `offline`: whether offline codes count when OneLogin gives no answer.
    pub offline: bool,
    /// `offline_dir`: the folder of the offline codes.
    pub offline_dir: PathBuf,
    /// `observe.until`: the last day on which logins are only observed; `None`: every login is decided.
    pub observe: Option<Day>,
    /// `state_dir`: the folder of the private files.
    pub state_dir: PathBuf,
    /// `log_level = "debug"`: shapes and timings too, never values.
    pub debug: bool,
}

impl Config {
    /// Sets what differs in logins by this PAM service.
    #[must_use]
    pub fn for_service(mut self, name: &str) -> Self {
        let Some(at) = self.service_at(name) else {
            return self;
        };
        let service = self.services.swap_remove(at);
        self.ask = service.ask;
        self.prompt = service.prompt;
        // Most programs that ask nobody serve clients of the network: what is assumed of others is not of them.
        self.first_factor = match service.ask {
            Ask::Prompt => service.first_factor.unwrap_or(self.first_factor),
            Ask::Push => service.first_factor.unwrap_or(FirstFactor::Auto),
        };
        self.failmode = service.failmode.unwrap_or(self.failmode);
        self.push_wait = service.push_wait.unwrap_or(self.push_wait);
        if let Some(factors) = service.factors {
            self.factors.allow = factors;
            self.is_narrowed = true;
        }
        self
    }

    /// The table that applies to this PAM service.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.get(self.service_at(name)?)
    }

    /// Its own table, else that of its twin.
    fn service_at(&self, name: &str) -> Option<usize> {
        let at = |name: &str| {
            self.services
                .iter()
                .position(|service| service.name == name)
        };
        at(name).or_else(|| at(twin(name)?))
    }
}

/// The service that a user of this one can choose in its place: by `sudo -i`, or by `su -`.
#[must_use]
pub fn twin(name: &str) -> Option<&'static str> {
    match name {
        "sudo" => Some("sudo-i"),
        "sudo-i" => Some("sudo"),
        "su" => Some("su-l"),
        "su-l" => Some("su"),
        _ => None,
    }
}

/// A table `[services.NAME]`: `None` where the setting of all services applies.
#[derive(Debug)]
pub struct Service {
    /// The name of the PAM service.
    pub name: String,
    /// The line where the table begins, from 1.
    pub line: usize,
    /// `ask`: how the user is asked.
    pub ask: Ask,
    /// `prompt`: what the prompt for a sole code says.
    pub prompt: Option<String>,
    /// `factors`: those of `factors.allow` that may be used, in this order.
    pub factors: Option<Vec<Factor>>,
    /// `push_wait`: as `push.wait`.
    pub push_wait: Option<Duration>,
    /// `failmode`: only the stricter one.
    pub failmode: Option<FailMode>,
    /// `first_factor`: what proves a user before us.
    pub first_factor: Option<FirstFactor>,
}

/// How a service asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// By prompts.
    Prompt,
    /// By a push alone: the program cannot show a prompt.
    Push,
}

impl Ask {
    /// Whether a login shows nothing and asks nothing.
    #[must_use]
    pub fn is_push_only(self) -> bool {
        self == Self::Push
    }
}

/// The table `[onelogin]`.
pub struct OneLoginTable {
    /// `url`: the host of all calls.
    pub origin: Origin,
    /// How that host knows us.
    pub access: Access,
    /// `api_version`: which calls verify.
    pub version: Version,
    /// `verify`: how authenticator codes are checked.
    pub verify: VerifyForm,
    /// `ca_file`: replaces the system's trust store.
    pub ca_file: Option<PathBuf>,
    /// `http_proxy`: on the way to the host.
    pub http_proxy: Option<Proxy>,
    /// `connect_timeout`: for TCP and TLS together.
    pub connect_timeout: Duration,
    /// `request_timeout`: for one request and its reply.
    pub request_timeout: Duration,
    /// `login_timeout`: every wait of the module ends this long after authenticate was entered.
    pub login_timeout: Duration,
}

/// How the host of all calls knows us.
pub enum Access {
    /// It is OneLogin: by API credentials.
    Credentials {
        /// `client_id`, and `client_secret` or `client_secret_file`.
        verify: Credential,
        /// `[onelogin.lookup]`: a second, read-only credential for users and devices.
        lookup: Option<Credential>,
    },
    /// It is a gateway, which has the credential: by the certificate of this host.
    Certificate(ClientCertificate),
}

/// The files of a client certificate; absolute paths.
#[derive(Clone, Debug)]
pub struct ClientCertificate {
    /// `client_cert`: the certificate, and those of its issuers, in PEM form.
    pub cert: PathBuf,
    /// `client_key`: its private key, in PEM form.
    pub key: PathBuf,
}

impl Access {
    /// The client id with which users and devices are looked up; empty for a certificate.
    #[must_use]
    pub fn lookup_id(&self) -> &str {
        match self {
            Self::Credentials { verify, lookup } => {
                let credential = lookup.as_ref().unwrap_or(verify);
                &credential.client_id
            }
            Self::Certificate(_) => "",
        }
    }

    /// The name of the credential that verifies: its client id, or [`BY_CERTIFICATE`].
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Credentials { verify, .. } => &verify.client_id,
            Self::Certificate(_) => BY_CERTIFICATE,
        }
    }

    /// Each credential with its table.
    pub fn credentials(&self) -> impl Iterator<Item = (&'static str, &Credential)> {
        let (verify, lookup) = match self {
            Self::Credentials { verify, lookup } => (Some(verify), lookup.as_ref()),
            Self::Certificate(_) => (None, None),
        };
        let verify = verify.map(|credential| ("[onelogin]", credential));
        let lookup = lookup.map(|credential| ("[onelogin.lookup]", credential));
        verify.into_iter().chain(lookup)
    }

    /// Whether users and devices are looked up by a credential of its own.
    #[must_use]
    pub fn has_lookup(&self) -> bool {
        matches!(
            self,
            Self::Credentials {
                lookup: Some(_),
                ..
            }
        )
    }

    /// The client certificate, if there is one.
    #[must_use]
    pub fn certificate(&self) -> Option<&ClientCertificate> {
        match self {
            Self::Credentials { .. } => None,
            Self::Certificate(certificate) => Some(certificate),
        }
    }
}

/// What stands for a client id where a gateway has it.
pub const BY_CERTIFICATE: &str = "client_cert";

/// An API credential.
pub struct Credential {
    /// `client_id`
    pub client_id: String,
    /// `client_secret` or `client_secret_file`
    pub client_secret: SecretSource,
}

/// The version of OneLogin's MFA calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// The `otp_devices` calls.
    V1,
    /// The `mfa` calls.
    V2,
}

/// Where the client secret is written.
pub enum SecretSource {
    /// In the configuration itself.
    Inline(Secret),
    /// In a file of its own; an absolute path.
    File(PathBuf),
}

/// How an authenticator code is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifyForm {
    /// By POST with `device_id`, without an activation.
    Direct,
    /// Activate first, then PUT on the verification.
    Activated,
}

/// The table `[users]`.
pub struct Users {
    /// `match`: the OneLogin attribute that must equal the name; `None` for the map file alone.
    pub attribute: Option<Attribute>,
    /// `append_domain`: added to the Unix name with an `@` before matching.
    pub append_domain: Option<String>,
    /// `ignore_case`: ASCII letters match in either case.
    pub ignore_case: bool,
    /// `map_file`: names that differ at OneLogin; wins over `match`.
    pub map_file: Option<PathBuf>,
    /// `check_active`: whether ids from the map are checked for their state.
    pub check_active: bool,
    /// `cache`: how long id, state and devices are cached after a look-up; zero: not at all.
    pub cache: Duration,
    /// `groups`: pattern lists; a user whose groups match none of them is not asked. `None`: every
    /// user is asked.
    pub groups: Option<Vec<PatternList>>,
    /// `exempt_users`: Unix names that are not asked.
    pub exempt_users: Vec<String>,
    /// `exempt_groups`: Unix groups whose members are not asked.
    pub exempt_groups: Vec<String>,
    /// `exempt`: the same, each until a day and for a reason.
    pub exempt: Vec<Exempt>,
    /// `unknown`: what happens to a user that OneLogin does not have.
    pub unknown: UnknownUser,
    /// `no_factor`: what happens to a user without any device.
    pub no_factor: NoFactor,
}

impl Users {
    /// The names that mean one group each, in `exempt_groups`, `exempt` and `groups`: such a group must exist.
    pub fn named_groups(&self) -> impl Iterator<Item = &str> {
        let lists = self.groups.as_deref().unwrap_or_default();
        let exempt = self.exempt_groups.iter().map(String::as_str);
        let dated = self.exempt.iter().filter_map(|entry| entry.whom.group());
        let exempt = exempt.chain(dated);
        exempt.chain(lists.iter().flat_map(PatternList::literals))
    }
}

/// An entry of `users.exempt`.
#[derive(Debug)]
pub struct Exempt {
    /// Who is not asked.
    pub whom: Whom,
    /// How long, and why.
    pub term: Term,
    /// The line where the entry begins, from 1.
    pub line: usize,
}

/// Who is not asked.
#[derive(Debug, PartialEq, Eq)]
pub enum Whom {
    /// This Unix name.
    User(String),
    /// The members of this Unix group.
    Group(String),
}

impl Whom {
    /// The name, if it is one of a group.
    #[must_use]
    pub fn group(&self) -> Option<&str> {
        match self {
            Self::User(_) => None,
            Self::Group(name) => Some(name),
        }
    }
}

impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(f, "user {name}"),
            Self::Group(name) => write!(f, "group {name}"),
        }
    }
}

/// How long an exemption applies, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// Its last day.
    pub until: Day,
    /// The administrator's words.
    pub reason: String,
}

impl Term {
    /// One value that stands for all in lists of reasons.
    pub fn all() -> impl Iterator<Item = Self> {
        let day = Day::of(0);
        day.into_iter().map(|until| Self {
            until,
            reason: String::new(),
        })
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "until {}: {}", self.until, self.reason)
    }
}

/// Defines the attributes, each with its word.
macro_rules! attributes {
    ( $( $attribute:ident $word:literal $(, $about:literal)?; )+ ) => {
        /// A OneLogin attribute that can be searched for.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Attribute {
            $( #[doc = concat!("`", $word, "`" $(, ": ", $about)?)] $attribute, )+
            /// `custom_attributes.NAME`
            Custom(String),
        }

        /// Each attribute but the custom ones, with its word.
        static ATTRIBUTES: &[(&str, Attribute)] = &[ $( ($word, Attribute::$attribute) ),+ ];

        impl Attribute {
            /// The name in the query and in the user object.
            #[must_use]
            pub fn name(&self) -> String {
                match self {
                    $( Self::$attribute => $word.to_owned(), )+
                    Self::Custom(name) => format!("{CUSTOM}{name}"),
                }
            }
        }
    };
}

attributes! {
    Username "username";
    Email "email";
    SamAccountName "samaccountname";
    UserPrincipalName "userprincipalname", "only API v1 can search for it.";
    ExternalId "external_id";
}

/// Before the name of a custom attribute.
const CUSTOM: &str = "custom_attributes.";

/// What happens to a user that OneLogin does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownUser {
    /// The login is denied.
    Deny,
    /// The user is not asked.
    Exempt,
}

/// What happens to a user without any device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoFactor {
    /// The login is denied.
    Deny,
    /// The user is not asked.
    Exempt,
    /// A proven user enrols a factor.
    Enroll,
}

/// The tables `[factors]` and what belongs to them.
pub struct Factors {
    /// `allow`: the factors that may be used, in this order.
    pub allow: Vec<Factor>,
    /// `autopush`: push at once when the first factor can.
    pub autopush: bool,
    /// `prompts`: how many codes a user may try, 1 to 3.
    pub prompts: u8,
    /// `expires_in`: the life of a verification in seconds, 120 to 900.
    pub expires_in: u32,
    /// `sms_message`: the text around the code of a text message.
    pub sms_message: Option<String>,
    /// `magic_link`: display names of the e-mail factors that are links.
    pub magic_link: Vec<String>,
}

/// The table `[limits]`: for each OneLogin user, on this host.
pub struct Limits {
    /// `challenges`: pushes, text messages, e-mails and calls that led to nothing, within a window.
    pub challenges: u32,
    /// `challenges_per_day`: the same, within 24 hours.
    pub challenges_per_day: u32,
    /// `failures`: codes that OneLogin refused, within a window.
    pub failures: u32,
    /// `failures_per_day`: the same, within 24 hours.
    pub failures_per_day: u32,
    /// `window`: how long a window is.
    pub window: Duration,
}

/// What proves a user before us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstFactor {
    /// What the PAM handle and the process show.
    Auto,
    /// The admin states that something before us has proven the user.
    Assumed,
}

/// What happens when OneLogin cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailMode {
    /// Every login is denied.
    Secure,
    /// An outage lets in (rule R19: `outage.rs`), before anything was sent.
    Safe,
}

/// Something wrong in what the admin wrote, with its place and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFault(String);

impl ConfigFault {
    /// A fault in a line of a file.
    #[must_use]
    pub fn at(path: &str, line: usize, text: impl fmt::Display) -> Self {
        Self(format!("{path}:{line}: {text}"))
    }

    /// A fault of a file as a whole.
    #[must_use]
    pub fn of_file(path: &Path, text: impl fmt::Display) -> Self {
        Self(format!("{}: {text}", path.display()))
    }

    /// A fault in the stack's line.
    #[must_use]
    pub fn argument(word: &[u8], text: impl fmt::Display) -> Self {
        let word = String::from_utf8_lossy(word);
        Self(format!("argument \"{word}\": {text}"))
    }
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests;
