//! The configuration by tables: what is read, and what each fault says.

use super::dates::Day;
use super::*;

const LEAST: &str = "[onelogin]\nurl = \"https://acme.onelogin.com\"\nclient_id = \"id\"\nclient_secret = \"s3cret\"\n";

fn faults(text: &str) -> Vec<String> {
    match parse("c.toml", text) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.iter().map(ToString::to_string).collect(),
    }
}

fn with(lines: &str) -> Config {
    parse("c.toml", &format!("{lines}\n{LEAST}")).unwrap_or_else(|faults| panic!("{faults:?}"))
}

#[test]
fn the_least_configuration_has_the_defaults_of_the_manual() {
    let config = with("");
    assert_eq!(config.onelogin.origin.as_str(), "https://acme.onelogin.com");
    let Access::Credentials { verify, lookup } = &config.onelogin.access else {
        panic!("no credential");
    };
    assert_eq!(verify.client_id, "id");
    assert!(matches!(verify.client_secret, SecretSource::Inline(_)));
    assert!(lookup.is_none() && config.onelogin.http_proxy.is_none());
    assert_eq!(config.onelogin.verify, VerifyForm::Direct);
    assert_eq!(config.onelogin.connect_timeout.as_secs(), 5);
    assert_eq!(config.onelogin.request_timeout.as_secs(), 10);
    assert_eq!(config.onelogin.login_timeout.as_secs(), 55);
    assert_eq!(config.users.attribute, Some(Attribute::Username));
    assert!(config.users.check_active && config.users.map_file.is_none());
    assert_eq!(config.onelogin.version, Version::V2);
    assert!(config.factors.sms_message.is_none() && config.factors.magic_link.is_empty());
    assert_eq!(config.users.unknown, UnknownUser::Deny);
    assert_eq!(config.users.no_factor, NoFactor::Deny);
    assert!(!config.users.ignore_case);
    assert_eq!(config.factors.allow, Factor::enrollable());
    assert!(!config.factors.autopush);
    assert_eq!(config.factors.prompts, 3);
    assert_eq!(config.factors.expires_in, 120);
    assert_eq!(config.push_wait.as_secs(), 45);
    assert_eq!(config.first_factor, FirstFactor::Auto);
    assert_eq!(config.failmode, FailMode::Secure);
    assert!(config.failmode_from.is_empty());
    assert_eq!(config.state_dir, Path::new("/run/pam_onelogin"));
    assert!(!config.debug);
    assert!(config.onelogin.ca_file.is_none() && config.users.append_domain.is_none());
    assert!(config.users.groups.is_none() && config.users.exempt_users.is_empty());
    assert!(config.users.exempt_groups.is_empty());
    assert_eq!(config.users.cache.as_secs(), 300);
    assert_eq!(config.limits.challenges, 3);
    assert_eq!(config.limits.challenges_per_day, 12);
    assert_eq!(config.limits.failures, 10);
    assert_eq!(config.limits.failures_per_day, 50);
    assert_eq!(config.limits.window.as_secs(), 600);
}

/// A key of the table that the reader does not take is unknown to it; one that it takes has a kind.
#[test]
fn each_key_of_the_table_is_read() {
    for row in keys::all() {
        let text = match row.table {
            "" => format!("{} = 1.5\n", row.name),
            table => format!("[{table}]\n{} = 1.5\n", row.name),
        };
        let expected = format!("\"{}\" must be ", row.name);
        let faults = faults(&text);
        let of_key: Vec<_> = faults
            .iter()
            .filter(|fault| fault.contains(&format!(": \"{}\" ", row.name)))
            .collect();
        assert_eq!(of_key.len(), 1, "{}: {faults:?}", row.path());
        assert!(of_key[0].contains(&expected), "{}: {faults:?}", row.path());
    }
}

/// Each key at its example: not its default, and none forgotten.
#[test]
fn the_examples_of_the_keys_are_a_configuration() {
    // The other one of two, and the version in which others could not be set.
    let without = [
        "onelogin.client_secret_file",
        "onelogin.lookup.client_secret_file",
        "onelogin.client_cert",
        "onelogin.client_key",
        "onelogin.api_version",
    ];
    let mut rows = keys::all();
    rows.sort_by_key(|row| row.table);
    let mut text = String::new();
    let mut table = "";
    for row in rows {
        assert_ne!(row.default.as_deref(), Some(row.example), "{}", row.path());
        if row.table != table {
            table = row.table;
            text += &["[", table, "]\n"].concat();
        }
        let is_out = without.contains(&row.path().as_str());
        let mark = if is_out { "# " } else { "" };
        text += &[mark, row.name, " = ", row.example, "\n"].concat();
    }
    let text = text.replace("NAME", "vsftpd");
    assert_eq!(faults(&text), [""; 0], "{text}");
}

#[test]
fn the_texts_of_a_key_name_its_words() {
    for row in keys::all() {
        let text = row.text.replace("{WORDS}", &row.words.join(" "));
        let said = format!("{} {text}", row.default.as_deref().unwrap_or_default());
        for word in &row.words {
            assert!(said.contains(word.as_str()), "{}: {word}", row.path());
        }
        let is_lower = row.text.starts_with(char::is_lowercase);
        assert_eq!(is_lower, row.range.is_some(), "{}", row.path());
        assert!(row.text.ends_with('.'), "{}", row.path());
        assert!(row.more.is_empty() || row.more.ends_with('.'));
        assert!(row.default.is_none() || row.unset.is_empty());
    }
}

#[test]
fn a_fault_names_the_keys_of_its_table_in_their_order() {
    assert_eq!(
        keys::names(""),
        [
            "onelogin",
            "users",
            "factors",
            "push",
            "limits",
            "observe",
            "first_factor",
            "failmode",
            "failmode_from",
            "offline",
            "offline_dir",
            "log_level",
            "state_dir",
            "services",
        ]
    );
    assert_eq!(
        keys::names("onelogin")[3..8],
        [
            "client_secret_file",
            "client_cert",
            "client_key",
            "lookup",
            "api_version"
        ]
    );
    assert_eq!(keys::names("onelogin.lookup").len(), 3);
    assert_eq!(keys::names("push"), ["wait"]);
}

#[test]
fn every_key_is_read() {
    let config = parse(
        "c.toml",
        r#"
first_factor = "assumed"
failmode = "safe"
failmode_from = ["10.20.0.0/16", "2001:db8::/32", "192.0.2.7"]
log_level = "debug"
state_dir = "/run/other"
[onelogin]
url = "https://localhost:8443"
client_id = "id"
client_secret_file = "/etc/secret"
verify = "activated"
api_version = 2
ca_file = "/etc/ca.pem"
http_proxy = "http://proxy:3128"
connect_timeout = 1
request_timeout = 2
login_timeout = 30
[observe]
until = "2027-01-31"
[onelogin.lookup]
client_id = "reader"
client_secret = "r"
[users]
match = "email"
append_domain = "example.com"
ignore_case = true
exempt_users = ["root", "backup"]
groups = ["users,!wheel", "ops"]
exempt_groups = ["robots"]
exempt = [{ user = "deploy", until = "2027-01-31", reason = "ticket 4711" }]
unknown = "exempt"
no_factor = "enroll"
map_file = "/etc/map"
check_active = false
[factors]
sms_message = "Code {{otp_code}}"
magic_link = ["Link"]
allow = ["sms", "totp"]
autopush = true
prompts = 1
expires_in = 900
[push]
wait = 20
"#,
    )
    .unwrap_or_else(|faults| panic!("{faults:?}"));
    assert_eq!(config.first_factor, FirstFactor::Assumed);
    assert_eq!(config.failmode, FailMode::Safe);
    let networks: Vec<_> = config
        .failmode_from
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(networks, ["10.20.0.0/16", "2001:db8::/32", "192.0.2.7/32"]);
    assert!(config.debug);
    assert_eq!(config.observe, Day::parse("2027-01-31"));
    assert_eq!(config.state_dir, Path::new("/run/other"));
    let (_, credential) = config.onelogin.access.credentials().next().unwrap();
    assert!(
        matches!(&credential.client_secret, SecretSource::File(p) if p == Path::new("/etc/secret"))
    );
    assert_eq!(config.onelogin.verify, VerifyForm::Activated);
    assert_eq!(
        config.onelogin.ca_file.as_deref(),
        Some(Path::new("/etc/ca.pem"))
    );
    assert_eq!(config.onelogin.http_proxy.as_ref().unwrap().port, 3128);
    assert_eq!(config.onelogin.connect_timeout.as_secs(), 1);
    assert_eq!(config.onelogin.request_timeout.as_secs(), 2);
    assert_eq!(config.onelogin.login_timeout.as_secs(), 30);
    assert_eq!(config.users.attribute, Some(Attribute::Email));
    assert_eq!(
        config.users.map_file.as_deref(),
        Some(Path::new("/etc/map"))
    );
    assert!(!config.users.check_active);
    let (table, credential) = config.onelogin.access.credentials().nth(1).unwrap();
    assert_eq!(table, "[onelogin.lookup]");
    assert_eq!(credential.client_id, "reader");
    assert_eq!(
        config.factors.sms_message.as_deref(),
        Some("Code {{otp_code}}")
    );
    assert_eq!(config.factors.magic_link, ["Link"]);
    assert_eq!(config.users.append_domain.as_deref(), Some("example.com"));
    assert!(config.users.ignore_case);
    assert_eq!(config.users.exempt_users, ["root", "backup"]);
    assert_eq!(config.users.exempt_groups, ["robots"]);
    assert!(!config.users.exempt.is_empty());
    let lists = ["users,!wheel", "ops"].map(|list| PatternList::parse(list).unwrap());
    assert_eq!(config.users.groups.as_deref(), Some(lists.as_slice()));
    assert_eq!(config.users.unknown, UnknownUser::Exempt);
    assert_eq!(config.users.no_factor, NoFactor::Enroll);
    assert_eq!(config.factors.allow, [Factor::Sms, Factor::Totp]);
    assert!(config.factors.autopush);
    assert_eq!(config.factors.prompts, 1);
    assert_eq!(config.factors.expires_in, 900);
    assert_eq!(config.push_wait.as_secs(), 20);
}

#[test]
fn an_exemption_with_an_end_is_read_in_each_form_of_a_table() {
    let in_list = "[users]\nexempt = [\n{ user = \"deploy\", until = \"2027-01-31\", reason = \"4711\" },\n\
                   { group = \"guests\", until = \"2028-02-29\", reason = \"fair\" }\n]";
    let in_tables = "[[users.exempt]]\nuser = \"deploy\"\nuntil = \"2027-01-31\"\nreason = \"4711\"\n\
                     [[users.exempt]]\ngroup = \"guests\"\nuntil = \"2028-02-29\"\nreason = \"fair\"";
    for (lines, places) in [(in_list, [3, 4]), (in_tables, [1, 5])] {
        let users = with(lines).users;
        let entries = users.exempt.iter();
        let entries = entries.map(|entry| (entry.line, format!("{} {}", entry.whom, entry.term)));
        let expected = [
            "user deploy until 2027-01-31: 4711",
            "group guests until 2028-02-29: fair",
        ];
        let expected = places.into_iter().zip(expected.map(str::to_owned));
        assert_eq!(entries.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    }
}

#[test]
fn r02_each_fault_names_its_line_and_what_to_write() {
    for (text, expected) in cases(FAULTS) {
        let faults = faults(&format!("{text}\n{LEAST}"));
        assert_eq!(faults.len(), 1, "{text}: {faults:?}");
        let expected = format!("c.toml:{expected}");
        assert!(faults[0].starts_with(&expected), "{text}: {}", faults[0]);
    }
}

/// Each line of a table: lines of a configuration, joined by `; `, and behind `=>` a part of what is said of them.
fn cases(table: &str) -> impl Iterator<Item = (String, &str)> {
    let lines = table.lines().filter(|line| !line.is_empty());
    let cases = lines.map(|line| line.split_once(" => ").unwrap());
    cases.map(|(text, fault)| (text.replace("; ", "\n"), fault))
}

/// Each is the only fault, and begins so, with its line.
const FAULTS: &str = r#"
failmode = "open" => 1: "failmode" must be one of "secure", "safe", not "open"
failmode = true => 1: "failmode" must be text in quotes, not boolean
fail_mode = "safe" => 1: "fail_mode" is not a key at the top of the file; did you mean "failmode"?
pushinfo = true => 1: "pushinfo" is not a key at the top of the file; the keys there are
autopush = true => 1: "autopush" is not a key at the top of the file; write it below [factors]
[users]; failmode = "safe" => 2: "failmode" is not a key in [users]; write it at the top of the file, before the first table
[factors]; auto_push = true => 2: "auto_push" is not a key in [factors]; did you mean "autopush"?
[limits]; challenge = 2 => 2: "challenge" is not a key in [limits]; did you mean "challenges"?
[push]; wait = 0 => 2: "wait" must be 1 to 300, not 0
[push]; wait = 100 => 2: "wait" is 100 s, longer than "login_timeout" (55 s); make it at most 55
[push]; wait = -1 => 2: "wait" must be 1 to 300, not -1
[push]; wait = 1.5 => 2: "wait" must be a whole number from 1 to 300, not float
[push]; wait = 99999999999999999999999 => 2: "wait" must be 1 to 300
[factors]; prompts = 4 => 2: "prompts" must be 1 to 3, not 4
[factors]; expires_in = 60 => 2: "expires_in" must be 120 to 900, not 60
[factors]; allow = [] => 2: "allow" is empty, so no user could log in
[factors]; allow = ["push", "push"] => 2: "allow" names "push" twice
[factors]; allow = [1] => 2: "allow" must contain only texts
[factors]; allow = "push" => 2: "allow" must be a list
[factors]; autopush = "yes" => 2: "autopush" must be true or false, not string; write autopush = true
[factors]; autopush = yes => 2: "autopush" has a value that TOML does not know; write autopush = true
[factors]; autopush = No # as before => 2: "autopush" has a value that TOML does not know; write autopush = false
[factors]; autopush = "maybe" => 2: "autopush" must be true or false, not string
factors.autopush = on => 1: "autopush" has a value that TOML does not know; write autopush = true
failmode = nowhere => 1: "failmode" has text without quotes; write failmode = "…"
failmode = secure => 1: "failmode" has text without quotes; write failmode = "…"
failmode = “secure” => 1: "failmode" has a typographic quote, “; write failmode = "…" with plain quotes
failmode = "secure” => 1: "failmode" has a typographic quote, ”; write failmode = "…" with plain quotes
failmode = „secure“ # don’t => 1: "failmode" has a typographic quote, „; write failmode = "…" with plain quotes
failmode = "secure => 1: "failmode" has text with only one of its two quotes; write failmode = "…"
failmode = secure" => 1: "failmode" has text with only one of its two quotes; write failmode = "…"
failmode = 'secure" => 1: "failmode" has text with only one of its two quotes; write failmode = "…"
[users]; exempt_users = [root, backup] => 2: "exempt_users" has text without quotes; write exempt_users = ["…"]
[users]; exempt_users = ["root", ‘ops’] => 2: "exempt_users" has a typographic quote, ‘; write exempt_users = ["…"] with plain quotes
[users]; match = "gecos" => 2: "match" must be one of "username"
[users]; append_domain = "@example.com" => 2: "append_domain" must be a domain
[users]; exempt = "a" => 2: "exempt" must be a list of tables, "[[users.exempt]]", not string
[users]; exempt = ["a"] => 2: "exempt" must be a list of tables, "[[users.exempt]]", not of string
[users]; exempt = [; { user = "a", until = "2027-01-31" }] => 3: [users.exempt] needs "reason"; write reason = "migration, ticket 4711"
[users]; exempt = [{ user = "a", reason = "r" }] => 2: [users.exempt] needs "until"; write until = "2027-01-31", the last day
[users]; exempt = [{ user = "a", until = "2027-02-29", reason = "r" }] => 2: "until" must be a day of the calendar, such as "2027-01-31", not "2027-02-29"
[users]; exempt = [{ user = "a", until = 2027-01-31, reason = "r" }] => 2: "until" must be text in quotes, not datetime
[users]; exempt = [{ user = "a", until = "2027-01-31", reason = "" }] => 2: "reason" is empty
[users]; exempt = [{ user = "a", group = "b", until = "2027-01-31", reason = "r" }] => 2: an entry of "exempt" names a user and a group; write an entry for each of them
[users]; exempt = [{ until = "2027-01-31", reason = "r" }] => 2: an entry of "exempt" names no user and no group; write user = "NAME" or group = "NAME"
[users]; exempt = [{ users = "a", user = "a", until = "2027-01-31", reason = "r" }] => 2: "users" is not a key in [users.exempt]; did you mean "user"?
[[users.exempt]]; user = "a"; untill = "2027-01-31"; until = "2027-01-31"; reason = "r" => 3: "untill" is not a key in [users.exempt]; did you mean "until"?
users = 3 => 1: "users" must be a table
state_dir = "run" => 1: "state_dir" must be an absolute path
[observe] => 1: [observe] needs "until"; write until = "2027-01-31", the last day
observe = { until = "2027-01-31", users = "a" } => 1: "users" is not a key in [observe]; the keys there are "until"
observe = { until = "soon" } => 1: "until" must be a day of the calendar, such as "2027-01-31", not "soon"
[server]; x = 1 => 1: "server" is not a key at the top of the file
"#;

/// As by copying from a web page or a chat.
#[test]
fn a_space_that_is_no_plain_space_is_named_with_its_place() {
    for (old, new, fault) in [
        (
            "url =",
            "url\u{a0}=",
            "2: character 4 of this line is a no-break space (U+00A0); delete it, and type a plain space if one is \
             needed there",
        ),
        (
            "url = ",
            "url =\u{202f}",
            "2: character 6 of this line is a no-break space (U+202F); delete it",
        ),
        (
            "client_id",
            "\u{200b}client_id",
            "3: character 1 of this line is not a plain space (U+200B); delete it",
        ),
        (
            "\"id\"",
            "\"id\u{a0}\"",
            "3: character 3 of client_id is a no-break space (U+00A0)",
        ),
        (
            "\"s3cret",
            "\"\u{a0}s3cret",
            "4: character 1 of client_secret is a no-break space (U+00A0)",
        ),
        (
            "[onelogin]",
            "failmode = \"safe\u{a0}\"\n[onelogin]",
            "1: \"failmode\" must be one of \"secure\", \"safe\", not \"safe\u{a0}\"; character 5 of it is a no-break \
             space (U+00A0)",
        ),
    ] {
        let faults = faults(&LEAST.replace(old, new));
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(
            faults[0].starts_with(&format!("c.toml:{fault}")),
            "{faults:?}"
        );
    }
    // A message may have one.
    with("[factors]\nsms_message = \"Code\u{a0}: {{otp_code}}\"");
}

#[test]
fn a_key_that_is_misspelt_or_has_another_kind_is_not_called_missing_as_well() {
    for (old, new, fault) in [
        (
            "client_secret",
            "client_secert",
            "4: \"client_secert\" is not a key in [onelogin]; did you mean \"client_secret\"?",
        ),
        (
            "client_secret",
            "client_secret_fiel",
            "4: \"client_secret_fiel\" is not a key in [onelogin]; did you mean \"client_secret_file\"?",
        ),
        (
            "client_id",
            "cilent_id",
            "3: \"cilent_id\" is not a key in [onelogin]; did you mean \"client_id\"?",
        ),
        (
            "\"s3cret\"",
            "123",
            "4: \"client_secret\" must be text in quotes, not integer",
        ),
    ] {
        let faults = faults(&LEAST.replace(old, new));
        assert_eq!(faults, [format!("c.toml:{fault}")]);
    }
}

#[test]
fn r02_what_onelogin_needs_is_asked_for() {
    assert_eq!(
        faults(""),
        [
            "c.toml:1: [onelogin] needs \"url\"",
            "c.toml:1: [onelogin] needs \"client_id\"",
            "c.toml:1: [onelogin] needs \"client_secret\" or \"client_secret_file\"",
        ]
    );
    for (from, to, fault) in [
        (
            "https://acme.onelogin.com",
            "http://acme.onelogin.com",
            "2: \"url\" must begin with \"https://\"; write \"https://<subdomain>.onelogin.com\"",
        ),
        ("\"id\"", "\"\"", "3: \"client_id\" is empty"),
        (
            "client_secret = \"s3cret\"",
            "client_secret = \"\"",
            "4: \"client_secret\" is empty; copy it from OneLogin's API credentials",
        ),
        (
            "client_secret",
            "client_secret_file = \"/x\"\nclient_secret",
            "5: \"client_secret\" and \"client_secret_file\" are both set; keep one",
        ),
        (
            "client_id",
            "login_timeout = 5\nrequest_timeout = 9\nclient_id",
            "1: \"request_timeout\" is 9 s, longer than \"login_timeout\" (5 s); make it at most 5",
        ),
    ] {
        assert_eq!(
            faults(&LEAST.replace(from, to)),
            [format!("c.toml:{fault}")]
        );
    }
}

#[test]
fn the_newer_keys_are_checked_too() {
    let fault = |text: &str, expected: &str| {
        let faults = faults(text);
        assert!(
            faults.iter().any(|fault| fault.contains(expected)),
            "{text}: {faults:?}"
        );
    };
    for (lines, expected) in cases(BEFORE_ONELOGIN) {
        fault(&format!("{lines}\n{LEAST}"), expected);
    }
    let long = "x".repeat(160);
    fault(
        &format!("[factors]\nsms_message = \"{{{{otp_code}}}} {long}\"\n{LEAST}"),
        "longer than 160 characters",
    );
    for (lines, expected) in cases(IN_ONELOGIN) {
        fault(&format!("{LEAST}{lines}\n"), expected);
    }
    let words = Factor::WORDS.iter().map(|(word, _)| format!("{word:?}"));
    let words = words.collect::<Vec<_>>().join(", ");
    fault(
        &format!("{LEAST}[factors]\nallow = [\"push\", \"duck\"]\n"),
        &format!("c.toml:6: \"allow\" names \"duck\"; the factors are {words}"),
    );
    let custom = with("[users]\nmatch = \"custom_attributes.unix_name\"");
    assert_eq!(
        custom.users.attribute,
        Some(Attribute::Custom("unix_name".to_owned()))
    );
    let temporary = with("[factors]\nallow = [\"push\", \"email\", \"temporary\"]");
    assert_eq!(
        temporary.factors.allow,
        [
            Factor::Push,
            Factor::ProtectCode,
            Factor::Email,
            Factor::MagicLink,
            Factor::Temporary,
        ]
    );
}

/// Lines that precede those of `[onelogin]`.
const BEFORE_ONELOGIN: &str = r#"
[users]; groups = [] => c.toml:2: "groups" is empty, so no user would need a second factor
[users]; groups = ["!wheel"] => c.toml:2: "groups": "!wheel" only excludes groups
[users]; groups = ["users !wheel"] => c.toml:2: "groups": "users !wheel" contains a space
[users]; match = "gecos" => must be one of "username", "email", "samaccountname", "userprincipalname", "external_id", "custom_attributes.NAME", "map", not "gecos"
[users]; match = "map" => so "map_file" must be set
[users]; match = "custom_attributes." => must be one of
[users]; match = "custom_attributes.a&b" => must be one of
[users]; no_factor = "enrol" => must be one of "deny", "exempt", "enroll"
[factors]; sms_message = "hello" => must contain {{otp_code}}
[factors]; sms_message = "{{otp_code}} {{name}}" => no other {{…}}
[factors]; allow = ["email", "email"] => names "email" twice
"#;

/// Lines that follow those of `[onelogin]`.
const IN_ONELOGIN: &str = r#"
api_version = 3 => "api_version" must be 1 to 2
[onelogin.lookup]; client_id = "x" => c.toml:5: [onelogin.lookup] needs "client_secret"
clientsecret = "x" => "clientsecret" is not a key in [onelogin]; did you mean "client_secret"?
client_secrets = "x" => "client_secrets" is not a key in [onelogin]; did you mean "client_secret"?
secret = "x" => "secret" is not a key in [onelogin]; did you mean "client_secret"?
conect_timeout = 5 => "conect_timeout" is not a key in [onelogin]; did you mean "connect_timeout"?
timeout = 5 => "timeout" is not a key in [onelogin]; did you mean "connect_timeout"?
[onelogin.lookup]; id = "x" => "id" is not a key in [onelogin.lookup]
api_version = 1; [users]; no_factor = "enroll" => which needs "api_version" 2
api_version = 1; verify = "activated" => "activated", which needs "api_version" 2
"#;

#[test]
fn r11_a_fault_never_repeats_the_secret() {
    for text in [
        LEAST.replace("\"s3cret\"", "\"s3cret"),
        LEAST.replace("\"s3cret\"", "s3cret"),
        LEAST.replace("\"s3cret\"", "“s3cret”"),
        LEAST.replace("\"s3cret\"", "\"s3cret\u{a0}\""),
        LEAST.replace("\"s3cret\"", "\u{a0}\"s3cret\""),
        LEAST.replace("\"s3cret\"", "[\"s3cret\"]"),
        LEAST.replace("client_secret", "client_secrets"),
        format!("{LEAST}client_secret_file = \"/x\"\n"),
    ] {
        let faults = faults(&text);
        assert!(!faults.is_empty(), "{text}");
        assert!(!faults.concat().contains("s3cret"), "{faults:?}");
    }
}

#[test]
fn all_faults_are_reported_at_once_in_the_order_of_lines() {
    let faults = faults(
        "failmode = 1\nlog_level = \"loud\"\n[onelogin]\nurl = 3\nclient_id = \"x\"\nclient_secret = \"y\"\nport = 1\n",
    );
    let lines: Vec<_> = faults
        .iter()
        .map(|fault| fault.split(':').nth(1).unwrap().to_owned())
        .collect();
    assert_eq!(lines, ["1", "2", "4", "7"], "{faults:?}");
}

#[test]
fn text_that_is_not_toml_is_a_fault_with_its_line() {
    let faults = faults("a = 1\nb = = 2\n");
    assert!(faults[0].starts_with("c.toml:2: not TOML: "), "{faults:?}");
}

#[test]
fn a_key_that_stands_twice_is_named() {
    let faults = faults("[onelogin]\nclient_secret = \"s3cret\"\nclient_secret = \"other\"\n");
    let expected = "c.toml:3: not TOML: duplicate key \"client_secret\" in one table";
    assert_eq!(faults, [expected]);
}

#[test]
fn r22_a_limit_of_a_day_is_never_below_that_of_a_window() {
    let config = |lines: &str| {
        let text = format!(
            "[limits]\n{lines}\n[onelogin]\nurl = \"https://x.com\"\nclient_id = \"i\"\nclient_secret = \"s\"\n"
        );
        parse("c.toml", &text)
    };
    let faults = config("failures = 10\nfailures_per_day = 9").err().unwrap();
    let fault =
        "c.toml:3: \"failures_per_day\" is 9, less than \"failures\" (10); make it at least 10";
    assert_eq!(faults[0].to_string(), fault);
    let limits = config("failures = 100\nchallenges = 50")
        .ok()
        .unwrap()
        .limits;
    assert_eq!(
        (limits.failures_per_day, limits.challenges_per_day),
        (100, 50)
    );
    let limits = config("").ok().unwrap().limits;
    assert_eq!(
        (limits.failures_per_day, limits.challenges_per_day),
        (50, 12)
    );
}

#[test]
fn r19_safe_needs_the_networks_of_its_clients_and_none_of_them_is_this_host() {
    const WRITE: &str =
        "write the networks of your ssh clients, such as failmode_from = [\"10.20.0.0/16\"]";
    for (line, fault) in [
        (
            "failmode = \"safe\"",
            "\"failmode\" is \"safe\", which needs \"failmode_from\"",
        ),
        ("failmode_from = []", "\"failmode_from\" is empty"),
        (
            "failmode_from = [\"10.20.0.0/33\"]",
            "\"failmode_from\": \"10.20.0.0/33\" is not a network",
        ),
        (
            "failmode_from = [\"::ffff:10.20.0.0/112\"]",
            "\"failmode_from\": \"::ffff:10.20.0.0/112\" is an IPv4 network written as IPv6: write it as IPv4",
        ),
        (
            "failmode_from = [\"127.0.0.0/8\"]",
            "\"failmode_from\": \"127.0.0.0/8\" is the loopback of this host, where a local user can cause an outage",
        ),
        (
            "failmode_from = [\"::1\"]",
            "\"failmode_from\": \"::1\" is the loopback of this host, where a local user can cause an outage",
        ),
    ] {
        let text = format!(
            "{line}\n[onelogin]\nurl = \"https://x.com\"\nclient_id = \"i\"\nclient_secret = \"s\"\n"
        );
        let faults = parse("c.toml", &text).err().unwrap();
        let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(faults, [format!("c.toml:1: {fault}; {WRITE}")], "{line}");
    }
}

#[test]
fn behind_a_gateway_a_host_has_a_certificate_and_no_credential() {
    const GATEWAY: &str = "[onelogin]\nurl = \"https://gateway.example.com:8443\"\n";
    let with = |lines: &str| parse("c.toml", &format!("{GATEWAY}{lines}"));
    let files = "client_cert = \"/etc/host.pem\"\nclient_key = \"/etc/host.key\"\n";
    let config = with(files).unwrap_or_else(|faults| panic!("{faults:?}"));
    let certificate = config.onelogin.access.certificate().unwrap();
    assert_eq!(certificate.cert, Path::new("/etc/host.pem"));
    assert_eq!(certificate.key, Path::new("/etc/host.key"));
    assert_eq!(config.onelogin.access.credentials().count(), 0);

    let faults = |lines: &str| -> Vec<String> {
        let faults = with(lines).err().unwrap_or_default();
        faults.iter().map(ToString::to_string).collect()
    };
    for (key, line) in [
        ("client_id", "client_id = \"id\"\n"),
        ("client_secret", "client_secret = \"s3cret\"\n"),
        (
            "client_secret_file",
            "client_secret_file = \"/etc/s3cret\"\n",
        ),
        (
            "lookup",
            "lookup = { client_id = \"id\", client_secret = \"s3cret\" }\n",
        ),
    ] {
        let faults = faults(&format!("{files}{line}"));
        assert_eq!(faults.len(), 1, "{faults:?}");
        let start = format!("c.toml:5: \"{key}\" and \"client_cert\" are both set; ");
        assert!(faults[0].starts_with(&start), "{faults:?}");
        assert!(faults[0].ends_with(&format!("remove \"{key}\"")));
        assert!(!faults[0].contains("s3cret"));
    }
    for (line, missing) in files.lines().zip(["client_key", "client_cert"]) {
        let faults = faults(line);
        assert_eq!(faults.len(), 1, "{faults:?}");
        let end = format!("without \"{missing}\"; a gateway needs both");
        assert!(faults[0].ends_with(&end), "{faults:?}");
    }
    let faults = faults(&files.replace("/etc/host.key", "host.key"));
    assert_eq!(
        faults,
        ["c.toml:4: \"client_key\" must be an absolute path"]
    );
}

#[test]
fn a_service_differs_in_what_its_table_sets() {
    let lines = "first_factor = \"assumed\"\nfailmode = \"safe\"\nfailmode_from = [\"192.0.2.0/24\"]\n\
        services.vsftpd = { ask = \"push\", factors = [\"push\"], push_wait = 20, failmode = \"secure\" }\n\
        services.ocserv.prompt = \"Code: \"\n[services.\"polkit-1\"]\nfirst_factor = \"auto\"\n";
    let of = |name| with(lines).for_service(name);
    let vsftpd = of("vsftpd");
    assert_eq!((vsftpd.ask, vsftpd.prompt), (Ask::Push, None));
    assert_eq!(vsftpd.factors.allow, [Factor::Push, Factor::ProtectCode]);
    assert_eq!(vsftpd.push_wait.as_secs(), 20);
    assert_eq!(vsftpd.failmode, FailMode::Secure);
    assert_eq!(vsftpd.first_factor, FirstFactor::Auto);
    let ocserv = of("ocserv");
    assert_eq!(ocserv.prompt.as_deref(), Some("Code: "));
    let first_factors = [&ocserv, &of("polkit-1"), &of("sshd")].map(|config| config.first_factor);
    let expected = [
        FirstFactor::Assumed,
        FirstFactor::Auto,
        FirstFactor::Assumed,
    ];
    assert_eq!(first_factors, expected);
    assert_eq!(ocserv.ask, Ask::Prompt);
    assert_eq!(ocserv.factors.allow, Factor::enrollable());
    assert_eq!(ocserv.failmode, FailMode::Safe);
    let assumed = with("services.squid = { ask = \"push\", first_factor = \"assumed\" }");
    assert_eq!(
        assumed.for_service("squid").first_factor,
        FirstFactor::Assumed
    );
}

#[test]
fn each_fault_of_a_service_says_what_to_write() {
    for (lines, fault) in [
        (
            "services = 1",
            "\"services\" must be a table, \"[services]\", not integer",
        ),
        (
            "services.x = 1",
            "\"x\" in [services] must be a table, [services.NAME], not integer",
        ),
        (
            "services.SSHD.ask = \"push\"",
            "[services.SSHD]: PAM writes the names of services in lower case; write [services.sshd]",
        ),
        (
            "services.\"a/b\" = {}",
            "[services.\"a/b\"]: that is no name of a file in /etc/pam.d",
        ),
        (
            "services.x.ask = \"ask\"",
            "\"ask\" must be one of \"prompt\", \"push\", not \"ask\"",
        ),
        (
            "services.x.failmode = \"safe\"",
            "\"failmode\" must be \"secure\", not \"safe\"",
        ),
        (
            "services.x.push_wait = 60",
            "\"push_wait\" is 60 s, longer than \"login_timeout\" (55 s); make it at most 55",
        ),
        (
            "services.x.prompt = \"Password: \"",
            "\"prompt\" must not contain \"password\": many programs answer such a prompt with the login password",
        ),
        (
            "services.x.prompt = \"\"",
            "\"prompt\" must be 1 to 64 printable characters",
        ),
        (
            "services.x.prompt = \"a\\nb\"",
            "\"prompt\" must be 1 to 64 printable characters",
        ),
        (
            "factors.allow = [\"totp\"]\nservices.x.factors = [\"sms\"]",
            "\"factors\" allows sms, which \"factors.allow\" does not allow",
        ),
        (
            "services.x = { ask = \"push\", factors = [\"totp\"] }",
            "\"ask\" is \"push\", but no push is allowed; add \"push\" to the factors",
        ),
        (
            "services.x.aks = \"push\"",
            "\"aks\" is not a key in [services.NAME]",
        ),
    ] {
        let found = faults(&format!("{lines}\n{LEAST}"));
        assert!(
            found.iter().any(|found| found.contains(fault)),
            "{lines}: {found:?}"
        );
    }
}

#[test]
fn a_user_cannot_choose_the_name_of_a_service_that_is_not_narrowed() {
    let config =
        || with("services.sudo.factors = [\"yubikey\"]\nservices.su-l.factors = [\"yubikey\"]");
    for name in ["sudo", "sudo-i", "su", "su-l"] {
        assert_eq!(
            config().for_service(name).factors.allow,
            [Factor::YubiKey],
            "{name}"
        );
    }
}
