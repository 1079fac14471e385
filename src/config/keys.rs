//! The keys of the configuration: each with its table, name, type, default, range or words, and its
//! description. The reader takes its keys from here; the manual page, the installed
//! configuration and the README's table are made from it (`cargo xtask docs`). The texts are not in the
//! module: only [`all`] has them.

use super::{
    ATTRIBUTES, Ask, Attribute, CUSTOM, FailMode, FirstFactor, NoFactor, UnknownUser, VerifyForm,
};
use crate::factor::Factor;

/// A key of a table, and its type.
pub struct Key<K> {
    /// The name in its table.
    pub name: &'static str,
    /// The type of its value.
    pub kind: K,
}

/// Text in quotes.
pub struct Text;

/// An absolute path, perhaps with a default.
pub struct Path(pub Option<&'static str>);

/// A list of texts, by its default.
pub enum Texts {
    /// No list can express the default.
    Unset,
    /// The empty list.
    Empty,
    /// Words of [`Factor::WORDS`]: those of the factors that a user can enrol.
    Factors,
}

/// A list of tables, each with the keys of [`ENTRY`]; the empty list when it is not set.
pub struct Entries;

/// `true` or `false`, with its default.
pub struct Flag(pub bool);

/// A whole number.
pub struct Number<N> {
    /// The default.
    pub default: N,
    /// The least that is valid.
    pub least: N,
    /// The most that is valid.
    pub most: N,
}

/// One of a few words.
pub struct Word<T: 'static> {
    /// The default.
    pub default: (&'static str, T),
    /// The other words.
    pub others: &'static [(&'static str, T)],
}

impl<T> Word<T> {
    /// Each word with its value, the default first.
    pub fn all(&self) -> impl Iterator<Item = &(&'static str, T)> {
        std::iter::once(&self.default).chain(self.others)
    }
}

/// The name of an attribute, or [`MAP`]; this attribute when it is not set.
pub struct Match(pub Attribute);

/// The word for the map file alone.
pub const MAP: &str = "map";

/// What the documents say of a key.
pub struct KeyRow {
    /// Its table; empty at the top of the file.
    pub table: &'static str,
    /// Its name in the table.
    pub name: &'static str,
    /// The value that holds when it is not set, as TOML.
    pub default: Option<String>,
    /// What holds when it is not set and has no default.
    pub unset: &'static str,
    /// The least and the most of a number.
    pub range: Option<(u64, u64)>,
    /// The words that are valid; `NAME` in one stands for anything.
    pub words: Vec<String>,
    /// A value that is not the default, as TOML.
    pub example: &'static str,
    /// What it does, in sentences. `` `x` `` is what stands in the file, `{x}` refers to a page of docs/
    /// or to a section of one, `{WORDS}` and `{BUNDLES}` stand for lists. A text about a number goes on behind its range.
    pub text: &'static str,
    /// More of that, for the manual page alone.
    pub more: &'static str,
}

impl KeyRow {
    /// `table.name`
    #[must_use]
    pub fn path(&self) -> String {
        match self.table {
            "" => self.name.to_owned(),
            table => format!("{table}.{}", self.name),
        }
    }
}

/// What the documents say of a table beside its keys.
pub const TABLES: [(&str, &str); 4] = [
    (
        "onelogin.lookup",
        "A second credential, for looking up users and devices. Without it, the first credential is used for everything.",
    ),
    (
        "limits",
        "For each OneLogin user, on this host; see {limits}.",
    ),
    (
        SERVICE,
        "What differs in logins by one PAM service; `NAME` is its name, that of its file in /etc/pam.d. See {services}.",
    ),
    (
        "observe",
        "Observe mode, for a roll-out: there is no second factor while it applies. No user is asked, and the log says what would have happened. See {rollout#Observe mode}.",
    ),
];

/// Defines the keys. The order is that in which a fault names the keys of a table.
macro_rules! keys {
    ( $( [$table:literal] {
        $( $key:ident $name:literal: $kind:ty = $value:expr,
            example = $example:literal,
            $( unset = $unset:literal, )?
            text = $text:literal
            $( , more = $more:literal )?; )+
    } )+ ) => {
        $( $(
            #[doc = concat!("`", $table, ".", $name, "`")]
            pub static $key: Key<$kind> = Key { name: $name, kind: $value };
        )+ )+

        /// Table and name of each key, one a line: a single text needs no relocations.
        const PLACES: &str = concat!( $( $( $table, ".", $name, "\n" ),+ ),+ );

        /// Each key with what the documents say of it.
        #[must_use]
        pub fn all() -> Vec<KeyRow> {
            vec![ $( $( KeyRow {
                table: $table,
                name: $name,
                default: $key.kind.default().filter(|_| concat!($( $unset )?).is_empty()),
                unset: concat!($( $unset )?),
                range: $key.kind.range(),
                words: $key.kind.words(),
                example: $example,
                text: $text,
                more: concat!($( $more )?),
            } ),+ ),+ ]
        }
    };
}

keys! {
    ["onelogin"] {
        URL "url": Text = Text,
            example = "\"https://example.onelogin.com\"",
            unset = "required",
            text = "`https://<subdomain>.onelogin.com`, or the URL of a gateway; a port is allowed, a path is not.";
        CLIENT_ID "client_id": Text = Text,
            example = "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"",
            unset = "required without `client_cert`",
            text = "Client ID of the API credential.";
        CLIENT_SECRET "client_secret": Text = Text,
            example = "\"fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210\"",
            unset = "this or `client_secret_file` is required with `client_id`",
            text = "Secret of the API credential.";
        CLIENT_SECRET_FILE "client_secret_file": Path = Path(None),
            example = "\"/etc/pam_onelogin/client_secret\"",
            unset = "this or `client_secret` is required with `client_id`",
            text = "File with the secret on one line: absolute path, owned by root, mode 0600.";
        CLIENT_CERT "client_cert": Path = Path(None),
            example = "\"/etc/pam_onelogin/host.pem\"",
            unset = "the credential is used",
            text = "For a gateway, in place of `client_id` and its secret: PEM file with the certificate of this host and those of its issuers, absolute path. The gateway has the credential. See {gateway}.",
            more = "The file is read at each login. A line in the log warns from 14 days before the certificate ends.";
        CLIENT_KEY "client_key": Path = Path(None),
            example = "\"/etc/pam_onelogin/host.key\"",
            unset = "required with `client_cert`",
            text = "PEM file with the private key of `client_cert`: absolute path, owned by root, mode 0600. It may be the same file.";
    }
    ["onelogin.lookup"] {
        LOOKUP_CLIENT_ID "client_id": Text = Text,
            example = "\"89abcdef0123456789abcdef0123456789abcdef0123456789abcdef01234567\"",
            text = "Client ID of the credential for looking up users and devices.";
        LOOKUP_CLIENT_SECRET "client_secret": Text = Text,
            example = "\"76543210fedcba9876543210fedcba9876543210fedcba9876543210fedcba98\"",
            text = "Its secret; with `client_id` this or `client_secret_file` is required.";
        LOOKUP_CLIENT_SECRET_FILE "client_secret_file": Path = Path(None),
            example = "\"/etc/pam_onelogin/lookup_secret\"",
            text = "File with that secret on one line: absolute path, owned by root, mode 0600.";
    }
    ["onelogin"] {
        API_VERSION "api_version": Number<u8> = Number { default: 2, least: 1, most: 2 },
            example = "1",
            text = "version of the MFA calls; see {configuration#Factors}.";
        VERIFY "verify": Word<VerifyForm> = Word {
                default: ("direct", VerifyForm::Direct),
                others: &[("activated", VerifyForm::Activated)],
            },
            example = "\"activated\"",
            text = "How codes from an app or a YubiKey are checked. `\"direct\"`: the module sends the code in one request. `\"activated\"`: the module first tells OneLogin which device is used (\"activate factor\"), then sends the code; it does not accept codes of Protect and Duo.",
            more = "Set `\"activated\"` if the tenant treats a posted code as a request to activate the device.";
        CA_FILE "ca_file": Path = Path(None),
            example = "\"/etc/pam_onelogin/ca.pem\"",
            unset = "the system's bundle is used",
            text = "PEM file; its certificates replace the system's.",
            more = "The system's bundle is the first of these files that exists: {BUNDLES}.";
        HTTP_PROXY "http_proxy": Text = Text,
            example = "\"http://proxy.example.com:3128\"",
            text = "`http://[user:password@]host:port`, the only setting for a proxy; see {network#Proxy}.";
        CONNECT_TIMEOUT "connect_timeout": Number<u64> = Number { default: 5, least: 1, most: 60 },
            example = "3",
            text = "for TCP and TLS; see {network#Time limits}.";
        REQUEST_TIMEOUT "request_timeout": Number<u64> = Number { default: 10, least: 1, most: 60 },
            example = "20",
            text = "for one request with its reply; at most `login_timeout`.";
        LOGIN_TIMEOUT "login_timeout": Number<u64> = Number { default: 55, least: 5, most: 300 },
            example = "90",
            text = "the module stops waiting for a push, call or link at this time after the start of the login.";
    }
    ["users"] {
        MATCH "match": Match = Match(Attribute::Username),
            example = "\"email\"",
            text = "Attribute that must equal the name: {WORDS}. With `\"map\"`, only the ids in the map file are used.";
        APPEND_DOMAIN "append_domain": Text = Text,
            example = "\"example.com\"",
            text = "Added to the Unix name after an `@` before matching: `alice` becomes `alice@example.com`.";
        IGNORE_CASE "ignore_case": Flag = Flag(false),
            example = "true",
            text = "`true`: upper and lower case of ASCII letters are the same.";
        MAP_FILE "map_file": Path = Path(None),
            example = "\"/etc/pam_onelogin/map\"",
            text = "File with names that differ at OneLogin, absolute path; takes precedence over `match`. See {configuration#Map file}.";
        CHECK_ACTIVE "check_active": Flag = Flag(true),
            example = "false",
            text = "`false`: an id from the map file is not looked up, so a suspended user is not detected.";
        CACHE "cache": Number<u64> = Number { default: 300, least: 0, most: 3600 },
            example = "60",
            text = "seconds to keep a user's id, state and devices after a look-up; 0 disables the cache. A suspension at OneLogin takes this long to be seen. See {performance#What a login costs}.";
        GROUPS "groups": Texts = Texts::Unset,
            example = "[\"users,!robots\", \"wheel\"]",
            unset = "all users are asked",
            text = "Pattern lists over Unix groups: a user whose groups match no list is not asked; see {who-is-asked}.",
            more = "A list has patterns separated by commas; `*` matches any characters, `?` matches one, and `!` before a pattern excludes. A name without a wildcard may contain spaces; its group must exist and is compared by gid. A pattern with a wildcard is compared by name.";
        EXEMPT_USERS "exempt_users": Texts = Texts::Empty,
            example = "[\"backup\", \"ansible\"]",
            text = "Unix names that are not asked.";
        EXEMPT_GROUPS "exempt_groups": Texts = Texts::Empty,
            example = "[\"robots\"]",
            text = "Unix groups whose members are not asked; each must exist, and is compared by gid. A name may contain spaces.";
        EXEMPT "exempt": Entries = Entries,
            example = "[{ user = \"deploy\", until = \"2027-01-31\", reason = \"migration, ticket 4711\" }]",
            text = "Exemptions with an end: each entry has a `user` or a `group`, the last day of the exemption in `until` (UTC), and a `reason` for the log. See {who-is-asked#Exemptions with an end}.";
        UNKNOWN "unknown": Word<UnknownUser> = Word {
                default: ("deny", UnknownUser::Deny),
                others: &[("exempt", UnknownUser::Exempt)],
            },
            example = "\"exempt\"",
            text = "A user that OneLogin does not have: `\"deny\"` denies the login, `\"exempt\"` does not ask the user.";
        NO_FACTOR "no_factor": Word<NoFactor> = Word {
                default: ("deny", NoFactor::Deny),
                others: &[("exempt", NoFactor::Exempt), ("enroll", NoFactor::Enroll)],
            },
            example = "\"enroll\"",
            text = "A user who has no device that OneLogin's API lists: `\"deny\"` denies the login, `\"exempt\"` does not ask the user, `\"enroll\"` lets the user enrol one; see {configuration#Setting up a factor at a login}.";
    }
    ["factors"] {
        ALLOW "allow": Texts = Texts::Factors,
            example = "[\"push\", \"totp\"]",
            text = "The factors that may be used, in this order. `\"temporary\"` is allowed only if it is listed.";
        AUTOPUSH "autopush": Flag = Flag(false),
            example = "true",
            text = "`true`: a push is sent at once if the first device can receive one.";
        PROMPTS "prompts": Number<u8> = Number { default: 3, least: 1, most: 3 },
            example = "1",
            text = "number of wrong answers that deny the login; a choice from the menu does not count.";
        EXPIRES_IN "expires_in": Number<u32> = Number { default: 120, least: 120, most: 900 },
            example = "300",
            text = "lifetime of a push, call, link or code at OneLogin.";
        SMS_MESSAGE "sms_message": Text = Text,
            example = "\"{{otp_code}} is your code for the servers, good for {{otp_expiry}} minutes.\"",
            text = "Your own text message: it must contain `{{otp_code}}`, may contain `{{otp_expiry}}` (minutes), and has at most 160 characters after both are filled in.";
        MAGIC_LINK "magic_link": Texts = Texts::Empty,
            example = "[\"OneLogin Email Link\"]",
            text = "Display names of the e-mail factors that send a link.";
    }
    ["push"] {
        WAIT "wait": Number<u64> = Number { default: 45, least: 1, most: 300 },
            example = "30",
            text = "longest wait for the answer to a push, call or link; at most `login_timeout`.";
    }
    ["limits"] {
        CHALLENGES "challenges": Number<u32> = Number { default: 3, least: 1, most: 100 },
            example = "5",
            text = "pushes, calls, text messages and e-mails without an accepted login within the window; after that only codes are offered.";
        CHALLENGES_PER_DAY "challenges_per_day": Number<u32> = Number { default: 12, least: 1, most: 200 },
            example = "20",
            text = "the same limit for 24 hours. Not less than `challenges`.";
        FAILURES "failures": Number<u32> = Number { default: 10, least: 1, most: 100 },
            example = "5",
            text = "codes that OneLogin refused within the window; after that every login is denied.";
        FAILURES_PER_DAY "failures_per_day": Number<u32> = Number { default: 50, least: 1, most: 200 },
            example = "30",
            text = "the same limit for 24 hours. Not less than `failures`.";
        WINDOW "window": Number<u64> = Number { default: 600, least: 60, most: 86_400 },
            example = "3600",
            text = "the length of the window in seconds.";
    }
    ["observe"] {
        OBSERVE_UNTIL "until": Text = Text,
            example = "\"2027-01-31\"",
            unset = "required with `[observe]`",
            text = "The last day of observe mode (UTC), at most 60 days after the day of the last change of this file. After it, users are asked.";
    }
    [""] {
        FIRST_FACTOR "first_factor": Word<FirstFactor> = Word {
                default: ("auto", FirstFactor::Auto),
                others: &[("assumed", FirstFactor::Assumed)],
            },
            example = "\"assumed\"",
            text = "Whether a first factor was verified before this module. `\"auto\"`: the module detects it. `\"assumed\"`: the administrator states that a first factor is always verified, although the module cannot detect it, such as a smart card. See {who-is-asked#With and without a first factor}.";
        FAILMODE "failmode": Word<FailMode> = Word {
                default: ("secure", FailMode::Secure),
                others: &[("safe", FailMode::Safe)],
            },
            example = "\"safe\"",
            text = "What happens when OneLogin cannot be reached. `\"secure\"`: every login is denied. `\"safe\"`: users with a verified first factor are let in over ssh from the networks in `failmode_from` (required), with a warning in the log; never in sudo and su, and never after other errors. See {outage}.";
        FAILMODE_FROM "failmode_from": Texts = Texts::Unset,
            example = "[\"10.20.0.0/16\", \"2001:db8:20::/48\"]",
            text = "Networks of the ssh clients that `failmode = \"safe\"` applies to; required with it.",
            more = "An address without a prefix length means one client. A loopback network is a fault. See {outage#Where safe applies}.";
        OFFLINE "offline": Flag = Flag(false),
            example = "true",
            text = "`true`: when OneLogin gives no answer, a user with a verified first factor may type an offline code, which `pam-onelogin offline issue` gave out before. Each code works once. See {outage#Offline codes}.";
        OFFLINE_DIR "offline_dir": Path = Path(Some("/var/lib/pam_onelogin/offline")),
            example = "\"/var/lib/onelogin\"",
            text = "Folder for the offline codes, absolute path, mode 0700, on a disk that is kept after a restart.";
        LOG_LEVEL "log_level": Word<bool> = Word {
                default: ("info", false),
                others: &[("debug", true)],
            },
            example = "\"debug\"",
            text = "`\"info\"`: one line for each decision and each fault. `\"debug\"` adds a line for each request (path, status, length, time) and one for skipped device entries; it never logs values.";
        STATE_DIR "state_dir": Path = Path(Some("/run/pam_onelogin")),
            example = "\"/run/onelogin\"",
            text = "Folder for the module's own files, absolute path; created with mode 0700 if it does not exist. Put it on its own tmpfs below `/run`, which is empty after a restart.",
            more = "Then local users cannot fill it. `pam-onelogin enable` mounts a tmpfs on the default folder.";
    }
    ["services.NAME"] {
        ASK "ask": Word<Ask> = Word {
                default: ("prompt", Ask::Prompt),
                others: &[("push", Ask::Push)],
            },
            example = "\"push\"",
            text = "`\"push\"`: the program cannot show a prompt, so the module sends one push to the first device that can receive one, and waits for the answer. It shows no text. A first factor must be verified before.";
        SERVICE_PROMPT "prompt": Text = Text,
            example = "\"Code of the VPN: \"",
            unset = "`Verification code (OneLogin): ` is shown",
            text = "The text of the prompt where only a code can be typed, and of the prompt without a first factor: 1 to 64 printable characters.";
        SERVICE_FACTORS "factors": Texts = Texts::Unset,
            example = "[\"push\"]",
            unset = "`factors.allow` applies",
            text = "The factors that may be used, in this order; each of them must be in `factors.allow`.";
        SERVICE_PUSH_WAIT "push_wait": Number<u64> = Number { default: 45, least: 1, most: 300 },
            example = "20",
            unset = "`push.wait` applies",
            text = "as `push.wait`. Keep it below the time limit of the program and its clients.";
        SERVICE_FAILMODE "failmode": Word<FailMode> = Word { default: ("secure", FailMode::Secure), others: &[] },
            example = "\"secure\"",
            unset = "`failmode` applies",
            text = "`\"secure\"`: `failmode = \"safe\"` does not apply to this service.";
        SERVICE_FIRST_FACTOR "first_factor": Word<FirstFactor> = Word {
                default: ("auto", FirstFactor::Auto),
                others: &[("assumed", FirstFactor::Assumed)],
            },
            example = "\"assumed\"",
            unset = "`first_factor` applies, but `\"auto\"` with `ask = \"push\"`",
            text = "As `first_factor`, for this service: `\"auto\"` or `\"assumed\"`. With `\"assumed\"` and `ask = \"push\"`, the user whose name a client gives gets a push, also if the password is wrong.";
    }
}

/// How the documents and faults call the table of a service.
pub const SERVICE: &str = "services.NAME";

/// How faults call an entry of `users.exempt`.
pub const ENTRY: &str = "users.exempt";
/// Who is exempt: this user.
pub static ENTRY_USER: Key<Text> = text_key("user");
/// Who is exempt: the members of this group.
pub static ENTRY_GROUP: Key<Text> = text_key("group");
/// The last day of the exemption.
pub static ENTRY_UNTIL: Key<Text> = text_key("until");
/// Why there is the exemption.
pub static ENTRY_REASON: Key<Text> = text_key("reason");

const fn text_key(name: &'static str) -> Key<Text> {
    Key { name, kind: Text }
}

/// The names of the keys and tables within a table.
#[must_use]
pub fn names(table: &str) -> Vec<&'static str> {
    if table == ENTRY {
        let keys = [&ENTRY_USER, &ENTRY_GROUP, &ENTRY_UNTIL, &ENTRY_REASON];
        return keys.map(|key| key.name).to_vec();
    }
    let mut names = Vec::new();
    for (place, name) in PLACES.lines().filter_map(|line| line.rsplit_once('.')) {
        let below = match table {
            "" => Some(place),
            table => place
                .strip_prefix(table)
                .and_then(|rest| rest.strip_prefix('.')),
        };
        let name = match below {
            _ if place == table => name,
            Some(below) => below.split('.').next().unwrap_or(below),
            None => continue,
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The table that has a key of this name, the first one of several; empty for the top of the file.
#[must_use]
pub fn table_of(key: &str) -> Option<&'static str> {
    let places = PLACES.lines().filter_map(|line| line.rsplit_once('.'));
    let mut found = places.filter(|(_, name)| *name == key);
    found.next().map(|(table, _)| table)
}

/// What the documents say of a kind.
trait Kind {
    /// As TOML, what holds when the key is not set.
    fn default(&self) -> Option<String> {
        None
    }

    fn range(&self) -> Option<(u64, u64)> {
        None
    }

    fn words(&self) -> Vec<String> {
        Vec::new()
    }
}

impl Kind for Text {}

impl Kind for Path {
    fn default(&self) -> Option<String> {
        self.0.map(|path| format!("\"{path}\""))
    }
}

impl Kind for Texts {
    fn default(&self) -> Option<String> {
        match self {
            Self::Unset => None,
            Self::Empty => Some("[]".to_owned()),
            Self::Factors => {
                let enrollable = Factor::enrollable();
                let words = Factor::WORDS.iter().filter(|(_, factors)| {
                    factors.iter().all(|factor| enrollable.contains(factor))
                });
                let words: Vec<&str> = words.map(|(word, _)| *word).collect();
                Some(format!("{words:?}"))
            }
        }
    }

    fn words(&self) -> Vec<String> {
        match self {
            Self::Unset | Self::Empty => Vec::new(),
            Self::Factors => Factor::WORDS
                .iter()
                .map(|(word, _)| (*word).to_owned())
                .collect(),
        }
    }
}

impl Kind for Entries {
    fn default(&self) -> Option<String> {
        Some("[]".to_owned())
    }
}

impl Kind for Flag {
    fn default(&self) -> Option<String> {
        Some(self.0.to_string())
    }
}

impl<N: Copy + Into<u64>> Kind for Number<N> {
    fn default(&self) -> Option<String> {
        Some(self.default.into().to_string())
    }

    fn range(&self) -> Option<(u64, u64)> {
        Some((self.least.into(), self.most.into()))
    }
}

impl<T> Kind for Word<T> {
    fn default(&self) -> Option<String> {
        Some(format!("\"{}\"", self.default.0))
    }

    fn words(&self) -> Vec<String> {
        self.all().map(|(word, _)| (*word).to_owned()).collect()
    }
}

impl Match {
    /// Each word that is valid.
    pub fn words() -> impl Iterator<Item = String> {
        let attributes = ATTRIBUTES.iter().map(|(word, _)| (*word).to_owned());
        attributes.chain([format!("{CUSTOM}NAME"), MAP.to_owned()])
    }
}

impl Kind for Match {
    fn default(&self) -> Option<String> {
        Some(format!("\"{}\"", self.0.name()))
    }

    fn words(&self) -> Vec<String> {
        Self::words().collect()
    }
}
