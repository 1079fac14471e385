//! TOML text to [`Config`], or every fault with its line and what to write instead. Pure.

use super::{
    Attribute, CUSTOM, Config, ConfigFault, Credential, Factors, FailMode, FirstFactor, Limits,
    Missing, NoFactor, OneLogin, Origin, Proxy, SecretSource, Users, VerifyForm, Version,
};
use crate::factor::Factor;
use crate::group::PatternList;
use crate::secret::Secret;
use ipnet::IpNet;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use zeroize::Zeroizing;

/// Reads a configuration. `path` is its name in the faults.
///
/// # Errors
/// Every fault of the text, in the order of the lines.
pub fn parse(path: &str, text: &str) -> Result<Config, Vec<ConfigFault>> {
    let document = DeTable::parse(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        let line = line_of(text, start);
        vec![ConfigFault::at(
            path,
            line,
            format_args!("not TOML: {}", error.message()),
        )]
    })?;
    let mut reader = Reader {
        path,
        text,
        faults: Vec::new(),
    };
    let config = reader.config(document);
    match config {
        Some(config) if reader.faults.is_empty() => Ok(config),
        _ => Err(reader.faults.into_iter().map(|(_, fault)| fault).collect()),
    }
}

/// Collects faults while it turns tables into values.
struct Reader<'a> {
    path: &'a str,
    text: &'a str,
    /// In the order of their lines.
    faults: Vec<(usize, ConfigFault)>,
}

/// One table of the document, from which known keys are taken; what stays is unknown.
struct Table<'a> {
    name: &'static str,
    line: usize,
    entries: DeTable<'a>,
    known: Vec<&'static str>,
}

type Value<'a> = Spanned<DeValue<'a>>;

impl<'a> Reader<'a> {
    fn config(&mut self, document: Spanned<DeTable<'a>>) -> Option<Config> {
        let mut top = Table {
            name: "",
            line: 1,
            entries: document.into_inner(),
            known: Vec::new(),
        };
        let onelogin = self.table(&mut top, "onelogin");
        let users = self.table(&mut top, "users");
        let factors = self.table(&mut top, "factors");
        let push = self.table(&mut top, "push");
        let limits = self.table(&mut top, "limits");
        let first_factor = self.word(
            &mut top,
            "first_factor",
            FirstFactor::Auto,
            &[
                ("auto", FirstFactor::Auto),
                ("assumed", FirstFactor::Assumed),
            ],
        );
        let line = self.line(&top, "failmode");
        let failmode = self.word(
            &mut top,
            "failmode",
            FailMode::Secure,
            &[("secure", FailMode::Secure), ("safe", FailMode::Safe)],
        );
        let failmode_from = self.failmode_from(&mut top, line, failmode);
        let debug = self.word(
            &mut top,
            "log_level",
            false,
            &[("info", false), ("debug", true)],
        );
        let state_dir = self.path(&mut top, "state_dir");
        self.leftovers(top);

        let users_line = users.line;
        let users = self.users(users);
        let factors = self.factors(factors);
        let onelogin_line = onelogin.line;
        let onelogin = self.onelogin(onelogin);
        let login_timeout = onelogin.as_ref().map_or(55, |o| o.login_timeout.as_secs());
        let push_wait = self.push(push, login_timeout);
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
            limits,
            first_factor,
            failmode,
            failmode_from,
            state_dir: state_dir.unwrap_or_else(|| PathBuf::from("/run/pam_onelogin")),
            debug,
        })
    }

    /// `failmode` is in this line.
    fn failmode_from(
        &mut self,
        top: &mut Table<'a>,
        line: usize,
        failmode: FailMode,
    ) -> Vec<IpNet> {
        const WRITE: &str = "write the networks that people log in from by ssh, such as failmode_from = [\"10.20.0.0/16\"]";
        let own_line = self.line(top, "failmode_from");
        let is_set = top.entries.contains_key("failmode_from");
        let Some(texts) = self.texts(top, "failmode_from") else {
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

    fn onelogin(&mut self, mut table: Table<'a>) -> Option<OneLogin> {
        let line = table.line;
        let origin = self.origin(&mut table);
        let client_id = self.required_text(&mut table, "client_id");
        let client_secret = self.client_secret(&mut table);
        let lookup = self.lookup(&mut table);
        let version = match self.number(&mut table, "api_version", 2, 1, 2) {
            1 => Version::V1,
            _ => Version::V2,
        };
        let verify = self.word(
            &mut table,
            "verify",
            VerifyForm::Direct,
            &[
                ("direct", VerifyForm::Direct),
                ("activated", VerifyForm::Activated),
            ],
        );
        let ca_file = self.path(&mut table, "ca_file");
        let http_proxy = self.http_proxy(&mut table);
        let connect = self.number(&mut table, "connect_timeout", 5, 1, 60);
        let request = self.number(&mut table, "request_timeout", 10, 1, 60);
        let login = self.number(&mut table, "login_timeout", 55, 5, 300);
        if request > login {
            let text = format!(
                "\"request_timeout\" is {request} s, longer than \"login_timeout\" ({login} s); make it at most {login}"
            );
            self.fault(line, text);
        }
        self.leftovers(table);
        Some(OneLogin {
            origin: origin?,
            client_id: client_id?,
            client_secret: client_secret?,
            lookup,
            version,
            verify,
            ca_file,
            http_proxy,
            connect_timeout: Duration::from_secs(connect),
            request_timeout: Duration::from_secs(request),
            login_timeout: Duration::from_secs(login),
        })
    }

    fn lookup(&mut self, onelogin: &mut Table<'a>) -> Option<Credential> {
        if !onelogin.entries.contains_key("lookup") {
            onelogin.known.push("lookup");
            return None;
        }
        let mut table = self.table(onelogin, "lookup");
        table.name = "onelogin.lookup";
        let client_id = self.required_text(&mut table, "client_id");
        let client_secret = self.client_secret(&mut table);
        self.leftovers(table);
        Some(Credential {
            client_id: client_id?,
            client_secret: client_secret?,
        })
    }

    fn origin(&mut self, table: &mut Table<'a>) -> Option<Origin> {
        let line = self.line(table, "url");
        let text = self.required_text(table, "url")?;
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
        let line = self.line(table, "http_proxy");
        let text = Zeroizing::new(self.text(table, "http_proxy")?);
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

    fn client_secret(&mut self, table: &mut Table<'a>) -> Option<SecretSource> {
        let line = self.line(table, "client_secret");
        let inline = self.text(table, "client_secret");
        let file = self.path(table, "client_secret_file");
        match (inline, file) {
            (Some(secret), None) if secret.is_empty() => {
                self.fault(
                    line,
                    "\"client_secret\" is empty; copy it from OneLogin's API credentials",
                );
                None
            }
            (Some(secret), None) => Some(SecretSource::Inline(Secret::new(secret))),
            (None, Some(path)) => Some(SecretSource::File(path)),
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
        let line = self.line(&table, "append_domain");
        let append_domain = self.text(&mut table, "append_domain");
        if append_domain
            .as_deref()
            .is_some_and(|domain| !is_domain(domain))
        {
            self.fault(
                line,
                "\"append_domain\" must be a domain without \"@\", such as \"example.com\"",
            );
        }
        let ignore_case = self.bool(&mut table, "ignore_case", false);
        let line = self.line(&table, "match");
        let map_file = self.path(&mut table, "map_file");
        if attribute.is_none() && map_file.is_none() {
            self.fault(line, "\"match\" is \"map\", so \"map_file\" must be set");
        }
        let check_active = self.bool(&mut table, "check_active", true);
        let cache = self.number(&mut table, "cache", 300, 0, 3600);
        let groups = self.groups(&mut table);
        let exempt_users = self.texts(&mut table, "exempt_users").unwrap_or_default();
        let exempt_groups = self.texts(&mut table, "exempt_groups").unwrap_or_default();
        let unknown = self.word(
            &mut table,
            "unknown",
            Missing::Deny,
            &[("deny", Missing::Deny), ("exempt", Missing::Exempt)],
        );
        let no_factor = self.word(
            &mut table,
            "no_factor",
            NoFactor::Deny,
            &[
                ("deny", NoFactor::Deny),
                ("exempt", NoFactor::Exempt),
                ("enroll", NoFactor::Enroll),
            ],
        );
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
            unknown,
            no_factor,
        }
    }

    fn groups(&mut self, table: &mut Table<'a>) -> Option<Vec<PatternList>> {
        let line = self.line(table, "groups");
        let texts = self.texts(table, "groups")?;
        if texts.is_empty() {
            self.fault(
                line,
                "\"groups\" is empty, so nobody would be asked; name a group or drop the line",
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
        let line = self.line(table, "match");
        let Some(text) = self.text(table, "match") else {
            return Some(Attribute::Username);
        };
        match text.as_str() {
            "username" => Some(Attribute::Username),
            "email" => Some(Attribute::Email),
            "samaccountname" => Some(Attribute::SamAccountName),
            "userprincipalname" => Some(Attribute::UserPrincipalName),
            "external_id" => Some(Attribute::ExternalId),
            "map" => None,
            other => {
                let custom = other.strip_prefix(CUSTOM).filter(|name| is_word(name));
                if custom.is_none() {
                    self.fault(line, format!(
                        "\"match\" must be one of \"username\", \"email\", \"samaccountname\", \"userprincipalname\", \"external_id\", \"custom_attributes.NAME\", \"map\", not \"{other}\""
                    ));
                }
                Some(Attribute::Custom(custom.unwrap_or_default().to_owned()))
            }
        }
    }

    fn factors(&mut self, mut table: Table<'a>) -> Factors {
        let allow = self.allow(&mut table);
        let autopush = self.bool(&mut table, "autopush", false);
        let prompts = self.number(&mut table, "prompts", 3, 1, 3);
        let expires_in = self.number(&mut table, "expires_in", 120, 120, 900);
        let sms_message = self.sms_message(&mut table);
        let magic_link = self.texts(&mut table, "magic_link").unwrap_or_default();
        self.leftovers(table);
        Factors {
            allow,
            autopush,
            prompts: u8::try_from(prompts).unwrap_or(1),
            expires_in: u32::try_from(expires_in).unwrap_or(120),
            sms_message,
            magic_link,
        }
    }

    /// OneLogin takes 160 characters once the code and its life are filled in.
    fn sms_message(&mut self, table: &mut Table<'a>) -> Option<String> {
        let line = self.line(table, "sms_message");
        let text = self.text(table, "sms_message")?;
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

    fn allow(&mut self, table: &mut Table<'a>) -> Vec<Factor> {
        let line = self.line(table, "allow");
        let Some(words) = self.texts(table, "allow") else {
            return Factor::enrollable();
        };
        let mut allow = Vec::new();
        for word in &words {
            match Factor::WORDS.iter().find(|(known, _)| known == word) {
                Some((_, factors)) if factors.iter().any(|factor| allow.contains(factor)) => {
                    self.fault(line, format!("\"allow\" names \"{word}\" twice"));
                }
                Some((_, factors)) => allow.extend_from_slice(factors),
                None => {
                    let known = list(Factor::WORDS.iter().map(|(word, _)| *word));
                    self.fault(
                        line,
                        format!("\"allow\" names \"{word}\"; the factors are {known}"),
                    );
                }
            }
        }
        if words.is_empty() {
            self.fault(
                line,
                "\"allow\" is empty, so nobody could log in; name a factor or drop the line",
            );
        }
        allow
    }

    fn push(&mut self, mut table: Table<'a>, login_timeout: u64) -> Duration {
        let line = self.line(&table, "wait");
        let is_set = table.entries.contains_key("wait");
        let wait = self.number(&mut table, "wait", 45, 1, 300);
        self.leftovers(table);
        if is_set && wait > login_timeout {
            self.fault(line, format!(
                "\"wait\" is {wait} s, longer than \"login_timeout\" ({login_timeout} s); make it at most {login_timeout}"
            ));
        }
        Duration::from_secs(wait.min(login_timeout))
    }

    fn limits(&mut self, mut table: Table<'a>) -> Limits {
        // In the lines where they are set.
        let set = |key: &str| {
            let is_set = table.entries.contains_key(key);
            is_set.then(|| self.line(&table, key))
        };
        let lines = ["challenges_per_day", "failures_per_day"].map(set);
        let [challenges_line, failures_line] = lines;
        let challenges = self.number(&mut table, "challenges", 3, 1, 100);
        let per_day = self.number(&mut table, "challenges_per_day", 12, 1, 200);
        let challenges_per_day = self.per_day("challenges", challenges, per_day, challenges_line);
        let failures = self.number(&mut table, "failures", 10, 1, 100);
        let per_day = self.number(&mut table, "failures_per_day", 50, 1, 200);
        let failures_per_day = self.per_day("failures", failures, per_day, failures_line);
        let window = self.number(&mut table, "window", 600, 60, 86_400);
        self.leftovers(table);
        let number = |number| u32::try_from(number).unwrap_or(1);
        Limits {
            challenges: number(challenges),
            challenges_per_day: number(challenges_per_day),
            failures: number(failures),
            failures_per_day: number(failures_per_day),
            window: Duration::from_secs(window),
        }
    }

    /// A limit of 24 hours is never the smaller one.
    fn per_day(&mut self, key: &str, limit: u64, per_day: u64, line: Option<usize>) -> u64 {
        if let Some(line) = line.filter(|_| per_day < limit) {
            let text = format!(
                "\"{key}_per_day\" is {per_day}, less than \"{key}\" ({limit}); make it at least {limit}"
            );
            self.fault(line, text);
        }
        per_day.max(limit)
    }

    // What follows takes one value of one kind out of a table.

    fn table(&mut self, top: &mut Table<'a>, name: &'static str) -> Table<'a> {
        let (line, entries) = match self.take(top, name) {
            None => (1, DeTable::new()),
            Some((line, DeValue::Table(entries))) => (line, entries),
            Some((line, value)) => {
                self.fault(
                    line,
                    format!(
                        "\"{name}\" must be a table, \"[{name}]\", not {}",
                        value.type_str()
                    ),
                );
                (line, DeTable::new())
            }
        };
        Table {
            name,
            line,
            entries,
            known: Vec::new(),
        }
    }

    fn text(&mut self, table: &mut Table<'a>, key: &'static str) -> Option<String> {
        match self.take(table, key)? {
            (_, DeValue::String(text)) => Some(text.into_owned()),
            (line, value) => {
                self.fault(
                    line,
                    format!("\"{key}\" must be text in quotes, not {}", value.type_str()),
                );
                None
            }
        }
    }

    fn required_text(&mut self, table: &mut Table<'a>, key: &'static str) -> Option<String> {
        let line = self.line(table, key);
        let is_set = table.entries.contains_key(key);
        let text = self.text(table, key);
        if !is_set {
            self.fault(table.line, format!("[{}] needs \"{key}\"", table.name));
        } else if text.as_deref() == Some("") {
            self.fault(line, format!("\"{key}\" is empty"));
        }
        text.filter(|text| !text.is_empty())
    }

    /// `None` when the key is not set, or not a list of texts.
    fn texts(&mut self, table: &mut Table<'a>, key: &'static str) -> Option<Vec<String>> {
        let (line, value) = self.take(table, key)?;
        let DeValue::Array(values) = value else {
            let kind = value.type_str();
            self.fault(
                line,
                format!("\"{key}\" must be a list of texts, [\"…\"], not {kind}"),
            );
            return None;
        };
        let mut texts = Some(Vec::new());
        for value in values {
            let line = line_of(self.text, value.span().start);
            match value.into_inner() {
                DeValue::String(text) if !text.is_empty() => {
                    if let Some(texts) = &mut texts {
                        texts.push(text.into_owned());
                    }
                }
                _ => {
                    self.fault(
                        line,
                        format!("\"{key}\" must hold texts in quotes that are not empty"),
                    );
                    texts = None;
                }
            }
        }
        texts
    }

    fn path(&mut self, table: &mut Table<'a>, key: &'static str) -> Option<PathBuf> {
        let line = self.line(table, key);
        let path = PathBuf::from(self.text(table, key)?);
        if path.is_absolute() {
            Some(path)
        } else {
            self.fault(line, format!("\"{key}\" must be an absolute path"));
            None
        }
    }

    fn bool(&mut self, table: &mut Table<'a>, key: &'static str, default: bool) -> bool {
        match self.take(table, key) {
            None => default,
            Some((_, DeValue::Boolean(value))) => value,
            Some((line, value)) => {
                self.fault(
                    line,
                    format!("\"{key}\" must be true or false, not {}", value.type_str()),
                );
                default
            }
        }
    }

    fn number(
        &mut self,
        table: &mut Table<'a>,
        key: &'static str,
        default: u64,
        least: u64,
        most: u64,
    ) -> u64 {
        let Some((line, value)) = self.take(table, key) else {
            return default;
        };
        let DeValue::Integer(integer) = value else {
            self.fault(
                line,
                format!(
                    "\"{key}\" must be a whole number from {least} to {most}, not {}",
                    value.type_str()
                ),
            );
            return default;
        };
        match u64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) if (least..=most).contains(&number) => number,
            _ => {
                self.fault(
                    line,
                    format!("\"{key}\" must be {least} to {most}, not {integer}"),
                );
                default
            }
        }
    }

    fn word<T: Copy>(
        &mut self,
        table: &mut Table<'a>,
        key: &'static str,
        default: T,
        words: &[(&'static str, T)],
    ) -> T {
        let line = self.line(table, key);
        let Some(text) = self.text(table, key) else {
            return default;
        };
        if let Some(&(_, value)) = words.iter().find(|(word, _)| *word == text) {
            return value;
        }
        let known = list(words.iter().map(|(word, _)| *word));
        self.fault(
            line,
            format!("\"{key}\" must be one of {known}, not \"{text}\""),
        );
        default
    }

    fn take(&mut self, table: &mut Table<'a>, key: &'static str) -> Option<(usize, DeValue<'a>)> {
        table.known.push(key);
        let value: Value<'a> = table.entries.remove(key)?;
        let line = line_of(self.text, value.span().start);
        Some((line, value.into_inner()))
    }

    /// The line of a key that has not been taken yet; the table's own when it is not set.
    fn line(&self, table: &Table<'a>, key: &str) -> usize {
        table
            .entries
            .get(key)
            .map_or(table.line, |value| line_of(self.text, value.span().start))
    }

    /// What was not taken is not a key of this table.
    fn leftovers(&mut self, table: Table<'a>) {
        let place = match table.name {
            "" => "at the top of the file".to_owned(),
            name => format!("in [{name}]"),
        };
        let known = list(table.known.iter().copied());
        for (key, _) in table.entries {
            let line = line_of(self.text, key.span().start);
            let key = key.into_inner();
            self.fault(
                line,
                format!("\"{key}\" is not a key {place}; the keys there are {known}"),
            );
        }
    }

    fn fault(&mut self, line: usize, text: impl fmt::Display) {
        let place = self.faults.partition_point(|&(other, _)| other <= line);
        let fault = ConfigFault::at(self.path, line, text);
        self.faults.insert(place, (line, fault));
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
        Err("is this host itself, where a local user can cause an outage")
    } else if is_mapped {
        // A client's address is compared as IPv4.
        Err("is an IPv4 network written as IPv6: write it as IPv4")
    } else {
        Ok(network)
    }
}

/// The line of a byte of the text, counted from 1.
fn line_of(text: &str, byte: usize) -> usize {
    1 + text.bytes().take(byte).filter(|&b| b == b'\n').count()
}

fn list<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words
        .map(|word| format!("\"{word}\""))
        .collect::<Vec<_>>()
        .join(", ")
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
