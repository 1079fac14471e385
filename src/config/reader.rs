//! TOML text to [`Config`], or every fault with its line and what to write instead. Pure.

use super::dates::Day;
use super::keys::{self, Key, MAP, Match, Path, Text, Texts};
use super::table::{Keys, Reader, Table, list, odd_space};
use super::{
    ATTRIBUTES, Access, Ask, Attribute, CUSTOM, ClientCertificate, Config, ConfigFault, Credential,
    Exempt, Factors, FailMode, Limits, NoFactor, OneLoginTable, Origin, Proxy, SecretSource,
    Service, Term, Users, VerifyForm, Version, Whom,
};
use crate::factor::Factor;
use crate::group::PatternList;
use crate::secret::Secret;
use ipnet::IpNet;
use std::net::IpAddr;
use std::time::Duration;
use zeroize::Zeroizing;

/// The table in `[onelogin]`.
const LOOKUP: &str = "lookup";

/// The table with one for each service.
const SERVICES: &str = "services";

/// How many characters the prompt of a service may have.
const PROMPT_CHARS: usize = 64;

/// The table of observe mode.
const OBSERVE: &str = "observe";

/// The keys of the configuration.
const KEYS: Keys = Keys {
    names: keys::names,
    table_of: keys::table_of,
};

/// Reads a configuration. `path` is its name in the faults.
///
/// # Errors
/// Every fault of the text, in the order of the lines.
pub fn parse(path: &str, text: &str) -> Result<Config, Vec<ConfigFault>> {
    let (mut reader, top) = Reader::open(path, text, KEYS).map_err(|fault| vec![fault])?;
    let config = reader.config(top);
    reader.end(config)
}

impl<'a> Reader<'a> {
    fn config(&mut self, mut top: Table<'a>) -> Option<Config> {
        let onelogin = self.table(&mut top, "onelogin");
        let users = self.table(&mut top, "users");
        let factors = self.table(&mut top, "factors");
        let push = self.table(&mut top, "push");
        let limits = self.table(&mut top, "limits");
        let observe = self.observe(&mut top);
        let services = self.tables_in(&mut top, SERVICES, keys::SERVICE);
        let first_factor = self.word(&mut top, &keys::FIRST_FACTOR);
        let line = self.line(&top, keys::FAILMODE.name);
        let failmode = self.word(&mut top, &keys::FAILMODE);
        let failmode_from = self.failmode_from(&mut top, line, failmode);
        let debug = self.word(&mut top, &keys::LOG_LEVEL);
        let offline = self.bool(&mut top, &keys::OFFLINE);
        let offline_dir = self.path(&mut top, &keys::OFFLINE_DIR);
        let state_dir = self.path(&mut top, &keys::STATE_DIR);
        self.leftovers(top);

        let users_line = users.line;
        let users = self.users(users);
        let factors = self.factors(factors);
        let onelogin_line = onelogin.line;
        let onelogin = self.onelogin(onelogin);
        let login_timeout = onelogin
            .as_ref()
            .map_or(keys::LOGIN_TIMEOUT.kind.default, |o| {
                o.login_timeout.as_secs()
            });
        let push_wait = self.push(push, login_timeout);
        let services = services.into_iter();
        let services = services
            .map(|(name, table)| self.service(name, table, &factors.allow, login_timeout))
            .collect();
        let limits = self.limits(limits);
        let activated = onelogin
            .as_ref()
            .is_some_and(|o| o.verify == VerifyForm::Activated);
        let is_v1 = onelogin.as_ref().is_some_and(|o| o.version == Version::V1);
        if is_v1 && activated {
            self.fault(
                onelogin_line,
                "\"verify\" is \"activated\", which needs \"api_version\" 2",
            );
        }
        if is_v1 && users.no_factor == NoFactor::Enroll {
            self.fault(
                users_line,
                "\"no_factor\" is \"enroll\", which needs \"api_version\" 2",
            );
        }
        Some(Config {
            onelogin: onelogin?,
            users,
            factors,
            push_wait,
            services,
            ask: Ask::Prompt,
            is_narrowed: false,
            prompt: None,
            limits,
            first_factor,
            failmode,
            failmode_from,
            offline,
            offline_dir: offline_dir?,
            observe,
            state_dir: state_dir?,
            debug,
        })
    }

    fn observe(&mut self, top: &mut Table<'a>) -> Option<Day> {
        if !top.has(OBSERVE) {
            return None;
        }
        let mut table = self.table(top, OBSERVE);
        let until = self.day(&mut table, &keys::OBSERVE_UNTIL);
        self.leftovers(table);
        until
    }

    /// `failmode` is in this line.
    fn failmode_from(
        &mut self,
        top: &mut Table<'a>,
        line: usize,
        failmode: FailMode,
    ) -> Vec<IpNet> {
        const WRITE: &str =
            "write the networks of your ssh clients, such as failmode_from = [\"10.20.0.0/16\"]";
        let own_line = self.line(top, keys::FAILMODE_FROM.name);
        let is_set = top.has(keys::FAILMODE_FROM.name);
        let Some(texts) = self.texts(top, &keys::FAILMODE_FROM) else {
            if failmode == FailMode::Safe && !is_set {
                let text =
                    format!("\"failmode\" is \"safe\", which needs \"failmode_from\"; {WRITE}");
                self.fault(line, text);
            }
            return Vec::new();
        };
        if texts.is_empty() {
            self.fault(own_line, format!("\"failmode_from\" is empty; {WRITE}"));
        }
        let mut networks = Vec::new();
        for text in &texts {
            match network(text) {
                Ok(network) => networks.push(network),
                Err(why) => self.fault(
                    own_line,
                    format!("\"failmode_from\": \"{text}\" {why}; {WRITE}"),
                ),
            }
        }
        networks
    }

    fn onelogin(&mut self, mut table: Table<'a>) -> Option<OneLoginTable> {
        let line = table.line;
        let origin = self.origin(&mut table);
        let access = self.access(&mut table);
        let version = match self.number(&mut table, &keys::API_VERSION) {
            1 => Version::V1,
            _ => Version::V2,
        };
        let verify = self.word(&mut table, &keys::VERIFY);
        let ca_file = self.path(&mut table, &keys::CA_FILE);
        let http_proxy = self.http_proxy(&mut table);
        let connect = self.number(&mut table, &keys::CONNECT_TIMEOUT);
        let request = self.number(&mut table, &keys::REQUEST_TIMEOUT);
        let login = self.number(&mut table, &keys::LOGIN_TIMEOUT);
        if request > login {
            let text = format!(
                "\"request_timeout\" is {request} s, longer than \"login_timeout\" ({login} s); make it at most {login}"
            );
            self.fault(line, text);
        }
        self.leftovers(table);
        Some(OneLoginTable {
            origin: origin?,
            access: access?,
            version,
            verify,
            ca_file,
            http_proxy,
            connect_timeout: Duration::from_secs(connect),
            request_timeout: Duration::from_secs(request),
            login_timeout: Duration::from_secs(login),
        })
    }

    /// The certificate for a gateway, or the credentials for OneLogin.
    fn access(&mut self, table: &mut Table<'a>) -> Option<Access> {
        let is_set = |key: &str| table.has(key);
        let (by_cert, by_key) = (
            is_set(keys::CLIENT_CERT.name),
            is_set(keys::CLIENT_KEY.name),
        );
        if by_cert || by_key {
            return self.certificate(table).map(Access::Certificate);
        }
        let client_id = self.required_text(table, &keys::CLIENT_ID);
        let client_secret =
            self.client_secret(table, &keys::CLIENT_SECRET, &keys::CLIENT_SECRET_FILE);
        let lookup = self.lookup(table);
        Some(Access::Credentials {
            verify: Credential {
                client_id: client_id?,
                client_secret: client_secret?,
            },
            lookup,
        })
    }

    /// With a certificate, no credential is on this host.
    fn certificate(&mut self, table: &mut Table<'a>) -> Option<ClientCertificate> {
        for key in [
            keys::CLIENT_ID.name,
            keys::CLIENT_SECRET.name,
            keys::CLIENT_SECRET_FILE.name,
            LOOKUP,
        ] {
            if let Some((line, _)) = self.take(table, key) {
                let text = format!(
                    "\"{key}\" and \"client_cert\" are both set; behind a gateway no credential is on this host: remove \"{key}\""
                );
                self.fault(line, text);
            }
        }
        let mut path = |key: &Key<Path>, other: &str| {
            if !table.has(key.name) {
                let text = format!(
                    "[{}] has \"{other}\" without \"{}\"; a gateway needs both",
                    table.name, key.name
                );
                self.fault(table.line, text);
            }
            self.path(table, key)
        };
        let cert = path(&keys::CLIENT_CERT, keys::CLIENT_KEY.name);
        let key = path(&keys::CLIENT_KEY, keys::CLIENT_CERT.name);
        Some(ClientCertificate {
            cert: cert?,
            key: key?,
        })
    }

    fn lookup(&mut self, onelogin: &mut Table<'a>) -> Option<Credential> {
        if !onelogin.has(LOOKUP) {
            return None;
        }
        let mut table = self.table(onelogin, LOOKUP);
        table.name = "onelogin.lookup";
        let client_id = self.required_text(&mut table, &keys::LOOKUP_CLIENT_ID);
        let client_secret = self.client_secret(
            &mut table,
            &keys::LOOKUP_CLIENT_SECRET,
            &keys::LOOKUP_CLIENT_SECRET_FILE,
        );
        self.leftovers(table);
        Some(Credential {
            client_id: client_id?,
            client_secret: client_secret?,
        })
    }

    fn origin(&mut self, table: &mut Table<'a>) -> Option<Origin> {
        let line = self.line(table, keys::URL.name);
        let text = self.required_text(table, &keys::URL)?;
        match Origin::parse(&text) {
            Ok(origin) => Some(origin),
            Err(why) => {
                self.fault(
                    line,
                    format!("\"url\" {why}; write \"https://<subdomain>.onelogin.com\""),
                );
                None
            }
        }
    }

    fn http_proxy(&mut self, table: &mut Table<'a>) -> Option<Proxy> {
        let line = self.line(table, keys::HTTP_PROXY.name);
        let text = Zeroizing::new(self.text(table, &keys::HTTP_PROXY)?);
        match Proxy::parse(&text) {
            Ok(proxy) => Some(proxy),
            Err(why) => {
                let text =
                    format!("\"http_proxy\" {why}; write \"http://[user:password@]host:port\"");
                self.fault(line, text);
                None
            }
        }
    }

    fn client_secret(
        &mut self,
        table: &mut Table<'a>,
        secret: &Key<Text>,
        file: &Key<Path>,
    ) -> Option<SecretSource> {
        let line = self.line(table, secret.name);
        let keys = [secret.name, file.name];
        let is_set = |key| table.has(key) || self.is_misspelt(table, key);
        let is_set = keys.into_iter().any(is_set);
        let inline = self.text(table, secret);
        let file = self.path(table, file);
        let odd = inline.as_deref();
        let odd = odd.and_then(|text| odd_space(secret.name, text));
        match (inline, file) {
            (Some(_), None) if odd.is_some() => {
                self.fault(line, odd.unwrap_or_default());
                None
            }
            (Some(secret), None) if secret.is_empty() => {
                self.fault(
                    line,
                    "\"client_secret\" is empty; copy it from OneLogin's API credentials",
                );
                None
            }
            (Some(secret), None) => Some(SecretSource::Inline(Secret::new(secret))),
            (None, Some(path)) => Some(SecretSource::File(path)),
            (None, None) if is_set => None,
            (None, None) => {
                let text = format!(
                    "[{}] needs \"client_secret\" or \"client_secret_file\"",
                    table.name
                );
                self.fault(table.line, text);
                None
            }
            (Some(_), Some(_)) => {
                self.fault(
                    line,
                    "\"client_secret\" and \"client_secret_file\" are both set; keep one",
                );
                None
            }
        }
    }

    fn users(&mut self, mut table: Table<'a>) -> Users {
        let attribute = self.attribute(&mut table);
        let line = self.line(&table, keys::APPEND_DOMAIN.name);
        let append_domain = self.text(&mut table, &keys::APPEND_DOMAIN);
        if append_domain
            .as_deref()
            .is_some_and(|domain| !is_domain(domain))
        {
            self.fault(
                line,
                "\"append_domain\" must be a domain without \"@\", such as \"example.com\"",
            );
        }
        let ignore_case = self.bool(&mut table, &keys::IGNORE_CASE);
        let line = self.line(&table, keys::MATCH.name);
        let map_file = self.path(&mut table, &keys::MAP_FILE);
        if attribute.is_none() && map_file.is_none() {
            self.fault(line, "\"match\" is \"map\", so \"map_file\" must be set");
        }
        let check_active = self.bool(&mut table, &keys::CHECK_ACTIVE);
        let cache = self.number(&mut table, &keys::CACHE);
        let groups = self.groups(&mut table);
        let exempt_users = self
            .texts(&mut table, &keys::EXEMPT_USERS)
            .unwrap_or_default();
        let exempt_groups = self
            .texts(&mut table, &keys::EXEMPT_GROUPS)
            .unwrap_or_default();
        let exempt = self.tables(&mut table, keys::EXEMPT.name);
        let exempt = exempt.into_iter();
        let exempt = exempt.filter_map(|entry| self.exempt(entry)).collect();
        let unknown = self.word(&mut table, &keys::UNKNOWN);
        let no_factor = self.word(&mut table, &keys::NO_FACTOR);
        self.leftovers(table);
        Users {
            attribute,
            append_domain,
            ignore_case,
            map_file,
            check_active,
            cache: Duration::from_secs(cache),
            groups,
            exempt_users,
            exempt_groups,
            exempt,
            unknown,
            no_factor,
        }
    }

    fn exempt(&mut self, mut entry: Table<'a>) -> Option<Exempt> {
        entry.name = keys::ENTRY;
        let line = entry.line;
        let whom = self.whom(&mut entry);
        let until = self.day(&mut entry, &keys::ENTRY_UNTIL);
        let reason = self.needed(
            &mut entry,
            &keys::ENTRY_REASON,
            "reason = \"migration, ticket 4711\"",
        );
        self.leftovers(entry);
        Some(Exempt {
            whom: whom?,
            term: Term {
                until: until?,
                reason: reason?,
            },
            line,
        })
    }

    fn whom(&mut self, entry: &mut Table<'a>) -> Option<Whom> {
        let user = self.text(entry, &keys::ENTRY_USER);
        let group = self.text(entry, &keys::ENTRY_GROUP);
        let named = |name: &String| !name.is_empty();
        match (user.filter(named), group.filter(named)) {
            (Some(user), None) => Some(Whom::User(user)),
            (None, Some(group)) => Some(Whom::Group(group)),
            (None, None) => {
                self.fault(
                    entry.line,
                    "an entry of \"exempt\" names no user and no group; write user = \"NAME\" or group = \"NAME\"",
                );
                None
            }
            (Some(_), Some(_)) => {
                self.fault(
                    entry.line,
                    "an entry of \"exempt\" names a user and a group; write an entry for each of them",
                );
                None
            }
        }
    }

    /// A day that must be set.
    fn day(&mut self, table: &mut Table<'a>, key: &Key<Text>) -> Option<Day> {
        let name = key.name;
        let line = self.line(table, name);
        let text = self.needed(table, key, "until = \"2027-01-31\", the last day")?;
        let day = Day::parse(&text);
        if day.is_none() {
            self.fault(
                line,
                format!("\"{name}\" must be a day of the calendar, such as \"2027-01-31\", not \"{text}\""),
            );
        }
        day
    }

    /// A text that must be set; `example` says what to write.
    fn needed(&mut self, table: &mut Table<'a>, key: &Key<Text>, example: &str) -> Option<String> {
        let name = key.name;
        if !table.has(name) {
            let text = format!("[{}] needs \"{name}\"; write {example}", table.name);
            self.fault(table.line, text);
            return None;
        }
        self.required_text(table, key)
    }

    fn groups(&mut self, table: &mut Table<'a>) -> Option<Vec<PatternList>> {
        let line = self.line(table, keys::GROUPS.name);
        let texts = self.texts(table, &keys::GROUPS)?;
        if texts.is_empty() {
            self.fault(
                line,
                "\"groups\" is empty, so no user would need a second factor; name a group or remove the line",
            );
        }
        let mut lists = Vec::new();
        for text in texts {
            match PatternList::parse(&text) {
                Ok(list) => lists.push(list),
                Err(misfit) => self.fault(line, format!("\"groups\": \"{text}\" {misfit}")),
            }
        }
        Some(lists)
    }

    /// `None` for `match = "map"`.
    fn attribute(&mut self, table: &mut Table<'a>) -> Option<Attribute> {
        let line = self.line(table, keys::MATCH.name);
        let Match(default) = &keys::MATCH.kind;
        let Some(text) = self.text(table, &keys::MATCH) else {
            return Some(default.clone());
        };
        if text == MAP {
            return None;
        }
        if let Some((_, attribute)) = ATTRIBUTES.iter().find(|(word, _)| *word == text) {
            return Some(attribute.clone());
        }
        let custom = text.strip_prefix(CUSTOM).filter(|name| is_word(name));
        if custom.is_none() {
            let words: Vec<String> = Match::words().collect();
            let known: Vec<&str> = words.iter().map(String::as_str).collect();
            let known = list(&known);
            self.fault(
                line,
                format!("\"match\" must be one of {known}, not \"{text}\""),
            );
        }
        Some(Attribute::Custom(custom.unwrap_or_default().to_owned()))
    }

    fn factors(&mut self, mut table: Table<'a>) -> Factors {
        let allow = self.allow(&mut table);
        let autopush = self.bool(&mut table, &keys::AUTOPUSH);
        let prompts = self.number(&mut table, &keys::PROMPTS);
        let expires_in = self.number(&mut table, &keys::EXPIRES_IN);
        let sms_message = self.sms_message(&mut table);
        let magic_link = self
            .texts(&mut table, &keys::MAGIC_LINK)
            .unwrap_or_default();
        self.leftovers(table);
        Factors {
            allow,
            autopush,
            prompts,
            expires_in,
            sms_message,
            magic_link,
        }
    }

    /// OneLogin takes 160 characters once the code and its life are filled in.
    fn sms_message(&mut self, table: &mut Table<'a>) -> Option<String> {
        let line = self.line(table, keys::SMS_MESSAGE.name);
        let text = self.text(table, &keys::SMS_MESSAGE)?;
        let filled = text
            .replace("{{otp_code}}", "123456")
            .replace("{{otp_expiry}}", "15");
        if !text.contains("{{otp_code}}") || filled.contains("{{") {
            self.fault(line, "\"sms_message\" must contain {{otp_code}}, may contain {{otp_expiry}}, and no other {{…}}");
        }
        if filled.chars().count() > 160 {
            self.fault(line, "\"sms_message\" is longer than 160 characters");
        }
        Some(text)
    }

    fn service(
        &mut self,
        name: String,
        mut table: Table<'a>,
        allow: &[Factor],
        login_timeout: u64,
    ) -> Service {
        let line = table.line;
        let is_service = |c: char| !c.is_control() && c != '/' && c != ' ';
        if name.is_empty() || !name.chars().all(is_service) {
            let text = format!("[services.\"{name}\"]: that is no name of a file in /etc/pam.d");
            self.fault(line, text);
        } else if name.chars().any(char::is_uppercase) {
            let small = name.to_ascii_lowercase();
            let text = format!(
                "[services.{name}]: PAM writes the names of services in lower case; write [services.{small}]"
            );
            self.fault(line, text);
        }
        let ask = self.word(&mut table, &keys::ASK);
        let prompt = self.prompt_of(&mut table);
        let factors_line = self.line(&table, keys::SERVICE_FACTORS.name);
        let factors = self.factors_of(&mut table, &keys::SERVICE_FACTORS);
        for factor in factors.iter().flatten() {
            if !allow.contains(factor) {
                let word = factor.word();
                let text =
                    format!("\"factors\" allows {word}, which \"factors.allow\" does not allow");
                self.fault(factors_line, text);
            }
        }
        if ask == Ask::Push && !factors.as_deref().unwrap_or(allow).contains(&Factor::Push) {
            let text = "\"ask\" is \"push\", but no push is allowed; add \"push\" to the factors";
            self.fault(line, text);
        }
        let line_of_wait = self.line(&table, keys::SERVICE_PUSH_WAIT.name);
        let is_set = table.has(keys::SERVICE_PUSH_WAIT.name);
        let push_wait = is_set.then(|| self.number(&mut table, &keys::SERVICE_PUSH_WAIT));
        if let Some(wait) = push_wait.filter(|wait| *wait > login_timeout) {
            self.too_long(
                line_of_wait,
                keys::SERVICE_PUSH_WAIT.name,
                wait,
                login_timeout,
            );
        }
        let is_set = table.has(keys::SERVICE_FAILMODE.name);
        let failmode = is_set.then(|| self.word(&mut table, &keys::SERVICE_FAILMODE));
        let is_set = table.has(keys::SERVICE_FIRST_FACTOR.name);
        let first_factor = is_set.then(|| self.word(&mut table, &keys::SERVICE_FIRST_FACTOR));
        self.leftovers(table);
        Service {
            name,
            line,
            ask,
            prompt,
            factors,
            push_wait: push_wait.map(Duration::from_secs),
            failmode,
            first_factor,
        }
    }

    /// sudo replaces a prompt that begins with "Password:", and clients answer one with the login password.
    fn prompt_of(&mut self, table: &mut Table<'a>) -> Option<String> {
        let name = keys::SERVICE_PROMPT.name;
        let line = self.line(table, name);
        let text = self.text(table, &keys::SERVICE_PROMPT)?;
        let length = text.chars().count();
        if !(1..=PROMPT_CHARS).contains(&length) || text.chars().any(char::is_control) {
            let text = format!("\"{name}\" must be 1 to {PROMPT_CHARS} printable characters");
            self.fault(line, text);
        } else if text.to_ascii_lowercase().contains("password") {
            let text = format!(
                "\"{name}\" must not contain \"password\": many programs answer such a prompt with the login password"
            );
            self.fault(line, text);
        }
        Some(text)
    }

    fn allow(&mut self, table: &mut Table<'a>) -> Vec<Factor> {
        self.factors_of(table, &keys::ALLOW)
            .unwrap_or_else(Factor::enrollable)
    }

    /// `None` when the key is not set.
    fn factors_of(&mut self, table: &mut Table<'a>, key: &Key<Texts>) -> Option<Vec<Factor>> {
        let name = key.name;
        let line = self.line(table, name);
        let words = self.texts(table, key)?;
        let mut allow = Vec::new();
        for word in &words {
            match Factor::WORDS.iter().find(|(known, _)| known == word) {
                Some((_, factors)) if factors.iter().any(|factor| allow.contains(factor)) => {
                    self.fault(line, format!("\"{name}\" names \"{word}\" twice"));
                }
                Some((_, factors)) => allow.extend_from_slice(factors),
                None => {
                    let known: Vec<&str> = Factor::WORDS.iter().map(|(word, _)| *word).collect();
                    let known = list(&known);
                    self.fault(
                        line,
                        format!("\"{name}\" names \"{word}\"; the factors are {known}"),
                    );
                }
            }
        }
        if words.is_empty() {
            self.fault(
                line,
                format!(
                    "\"{name}\" is empty, so no user could log in; name a factor or remove the line"
                ),
            );
        }
        Some(allow)
    }

    fn push(&mut self, mut table: Table<'a>, login_timeout: u64) -> Duration {
        let line = self.line(&table, keys::WAIT.name);
        let is_set = table.has(keys::WAIT.name);
        let wait = self.number(&mut table, &keys::WAIT);
        self.leftovers(table);
        if is_set && wait > login_timeout {
            self.too_long(line, keys::WAIT.name, wait, login_timeout);
        }
        Duration::from_secs(wait.min(login_timeout))
    }

    fn too_long(&mut self, line: usize, key: &str, wait: u64, login_timeout: u64) {
        self.fault(line, format!(
            "\"{key}\" is {wait} s, longer than \"login_timeout\" ({login_timeout} s); make it at most {login_timeout}"
        ));
    }

    fn limits(&mut self, mut table: Table<'a>) -> Limits {
        // In the lines where they are set.
        let set = |key: &str| {
            let is_set = table.has(key);
            is_set.then(|| self.line(&table, key))
        };
        let lines = [&keys::CHALLENGES_PER_DAY, &keys::FAILURES_PER_DAY].map(|key| set(key.name));
        let [challenges_line, failures_line] = lines;
        let challenges = self.number(&mut table, &keys::CHALLENGES);
        let per_day = self.number(&mut table, &keys::CHALLENGES_PER_DAY);
        let challenges_per_day =
            self.per_day(keys::CHALLENGES.name, challenges, per_day, challenges_line);
        let failures = self.number(&mut table, &keys::FAILURES);
        let per_day = self.number(&mut table, &keys::FAILURES_PER_DAY);
        let failures_per_day = self.per_day(keys::FAILURES.name, failures, per_day, failures_line);
        let window = self.number(&mut table, &keys::WINDOW);
        self.leftovers(table);
        Limits {
            challenges,
            challenges_per_day,
            failures,
            failures_per_day,
            window: Duration::from_secs(window),
        }
    }

    /// A limit of 24 hours is never the smaller one.
    fn per_day(&mut self, key: &str, limit: u32, per_day: u32, line: Option<usize>) -> u32 {
        if let Some(line) = line.filter(|_| per_day < limit) {
            let text = format!(
                "\"{key}_per_day\" is {per_day}, less than \"{key}\" ({limit}); make it at least {limit}"
            );
            self.fault(line, text);
        }
        per_day.max(limit)
    }
}

/// A network, or an address alone.
fn network(text: &str) -> Result<IpNet, &'static str> {
    let address = |_| text.parse::<IpAddr>().map(IpNet::from);
    let network: IpNet = text
        .parse()
        .or_else(address)
        .map_err(|_| "is not a network")?;
    let is_mapped = network.network() != network.network().to_canonical();
    if network.network().is_loopback() {
        Err("is the loopback of this host, where a local user can cause an outage")
    } else if is_mapped {
        // A client's address is compared as IPv4.
        Err("is an IPv4 network written as IPv6: write it as IPv4")
    } else {
        Ok(network)
    }
}

fn is_word(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn is_domain(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-')
}
