//! The documents say what the code does: generated text, arguments, prompts, samples, make targets, tests.

mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use pam_onelogin::api::{Again, Ending, GiveBack, Seen};
use pam_onelogin::args::{Args, DEFAULT_CONFIG};
use pam_onelogin::config::{self, Config, SecretSource};
use pam_onelogin::factor::{Activations, CODE_PROMPT, Device, Factor, Menu};
use pam_onelogin::id::DeviceId;
use pam_onelogin::log::{self, Facts};
use pam_onelogin::login::{Denial, Outcome};
use pam_onelogin::onelogin::calls;
use pam_onelogin::onelogin::token::TOKEN_PATH;
use pam_onelogin::outage::{Miss, NotSafe, Weight};
use pam_onelogin::reason::Reason;
use pam_onelogin::verdict::{self, Circumstances, Event};
use sources::{before_tests, between, codes, is_word, pam_words, root};

const API: &str = include_str!("../docs/api.md");
const CONFIGURATION: &str = include_str!("../docs/configuration.md");
const HOSTS: &str = include_str!("../docs/hosts.md");
const SERVICES: &str = include_str!("../docs/services.md");
const MAKEFILE: &str = include_str!("../Makefile");
const MANUAL: &str = include_str!("../man/pam_onelogin.8");
const OFFICER: &str = include_str!("../docs/security-officer.md");
const OPERATIONS: &str = include_str!("../docs/operations.md");
const OUTAGE: &str = include_str!("../docs/outage.md");
const RULES: &str = include_str!("../docs/rules.md");
const SETUP: &str = include_str!("../docs/onelogin-setup.md");
const SIEM: &str = include_str!("../docs/siem.md");
const STACKS: &str = include_str!("../docs/stacks.md");
const TESTING: &str = include_str!("../docs/testing.md");
const USERS: &str = include_str!("../docs/users.md");

const ATTEMPT_SOURCE: &str = include_str!("../src/host_login.rs");
const OFFLINE_SOURCE: &str = include_str!("../src/login/offline_code.rs");
const LOGIN_SOURCE: &str = include_str!("../src/login/requests.rs");
const ENROL_SOURCE: &str = include_str!("../src/login/enrol.rs");
const CALLS_SOURCE: [&str; 4] = [
    include_str!("../src/onelogin/token.rs"),
    include_str!("../src/onelogin/users.rs"),
    include_str!("../src/onelogin/v1.rs"),
    include_str!("../src/onelogin/v2.rs"),
];

/// What a configuration needs, and nothing else.
const LEAST: &str = "[onelogin]\nurl = \"https://example.onelogin.com\"\nclient_id = \"id\"\nclient_secret = \"secret\"\n";

// Generated text

#[test]
fn the_generated_text_is_what_make_docs_writes() {
    for (path, text) in xtask::documents(root()).unwrap() {
        let there = std::fs::read_to_string(root().join(&path)).unwrap();
        let mut lines = (1..).zip(there.lines().zip(text.lines()));
        let different = lines.find(|(_, (there, text))| there != text);
        assert_eq!(different, None, "{path}: please type make docs");
        assert!(there == text, "{path}: please type make docs");
    }
}

// Configuration

#[test]
fn the_example_of_the_page_is_a_configuration() {
    let config = parsed(&fenced("toml"));
    let (_, credential) = config.onelogin.access.credentials().next().unwrap();
    assert!(matches!(credential.client_secret, SecretSource::File(_)));
}

#[test]
fn the_arguments_of_the_module_are_in_the_page_about_stacks() {
    for (text, argument) in [
        ("`config=PATH`", &b"config=/etc/x.toml"[..]),
        ("`behind=key`", b"behind=key"),
        ("`debug`", b"debug"),
    ] {
        assert!(STACKS.contains(text), "{text}");
        assert!(Args::parse([argument]).is_ok(), "{text}");
    }
    let fault = Args::parse([&b"no-such-argument"[..]]).unwrap_err()[0].to_string();
    let (_, arguments) = fault.split_once("the arguments are ").unwrap();
    assert_eq!(arguments, "\"config=PATH\", \"behind=key\" and \"debug\"");
    assert!(CONFIGURATION.contains(&format!("`{DEFAULT_CONFIG}`")));
}

// Log and codes

#[test]
fn each_code_and_event_of_the_verdict_is_in_the_documents() {
    let table = between(STACKS, "## PAM codes\n", "\n## ");
    assert_eq!(pam_words(table), codes());
    for event in Event::all().map(Event::word) {
        assert!(OPERATIONS.contains(&format!("`{event}`")), "{event}");
    }
}

#[test]
fn the_words_for_factors_in_the_log_are_in_the_documents() {
    let log = between(OPERATIONS, "## The log\n", "\n## ");
    for factor in Factor::all() {
        for word in [factor.word(), factor.code_word()] {
            assert!(log.contains(&format!("`{word}`")), "{word}");
        }
    }
}

#[test]
fn the_page_for_a_siem_has_the_fields_events_and_reasons_of_the_code_and_no_others() {
    let here = Circumstances {
        in_ssh: true,
        proven: true,
    };
    let verdict = verdict::of(&Outcome::Denied(Denial::Code), here);
    let facts = Facts {
        user: Some("alice"),
        factor: Some("totp"),
        rhost: Some("192.0.2.1"),
        ..Facts::default()
    };
    let fields = log::fields(&verdict, &facts);
    let id = ("MESSAGE_ID", log::DECISION_ID.to_owned());
    assert!(fields.contains(&id), "{fields:?}");
    let fields: BTreeSet<&str> = fields.iter().map(|(name, _)| *name).collect();
    let table = between(SIEM, "| field |", "\n\n");
    let told: BTreeSet<&str> = first_cells(table).collect();
    let ours = |name: &&str| name.starts_with("ONELOGIN_") || *name == "MESSAGE_ID";
    assert_eq!(
        told.into_iter().filter(ours).collect::<BTreeSet<_>>(),
        fields
    );
    let named: BTreeSet<&str> = SIEM
        .split(|c: char| !c.is_ascii_uppercase() && c != '_')
        .filter(|word| {
            word.strip_prefix("ONELOGIN_")
                .is_some_and(|rest| !rest.is_empty())
        })
        .collect();
    assert!(named.is_subset(&fields), "{named:?}");
    for row in [table, between(SIEM, "    journalctl MESSAGE_ID=", "\n")] {
        assert!(row.contains(log::DECISION_ID), "{row}");
    }

    let events: BTreeSet<&str> = Event::all().map(Event::word).collect();
    let outcomes = between(SIEM, "| `ONELOGIN_EVENT` | `event.outcome` |", "\n\n");
    assert_eq!(first_cells(outcomes).collect::<BTreeSet<_>>(), events);

    let reasons: BTreeSet<&str> = Reason::all().map(Reason::word).collect();
    let factors: BTreeSet<&str> = Factor::all()
        .flat_map(|factor| [factor.word(), factor.code_word()])
        .chain([between(OFFLINE_SOURCE, "const FACTOR: &str = \"", "\"")])
        .collect();
    let mut in_rules = 0;
    let mut key = "";
    for line in SIEM.split("```yaml\n").skip(1).flat_map(|rule| {
        let (rule, _) = rule.split_once("```").unwrap();
        rule.lines()
    }) {
        let line = line.trim();
        let value = match line.strip_prefix("- ") {
            Some(value) => value,
            None => match line.split_once(':') {
                Some((name, value)) => {
                    key = name;
                    value.trim()
                }
                None => continue,
            },
        };
        let known = match key {
            "ONELOGIN_EVENT" => &events,
            "ONELOGIN_REASON" => &reasons,
            "ONELOGIN_FACTOR" => &factors,
            _ => continue,
        };
        if !value.is_empty() {
            assert!(known.contains(value), "{key}: {value}");
            in_rules += 1;
        }
    }
    assert_eq!(in_rules, 11, "values in the rules");
}

/// What stands in backticks at the begin of the rows of a table.
fn first_cells(table: &str) -> impl Iterator<Item = &str> {
    table
        .lines()
        .filter_map(|row| row.strip_prefix("| `")?.split_once('`'))
        .map(|(cell, _)| cell)
}

// Outages

#[test]
fn the_page_says_of_each_way_to_fail_whether_it_is_an_outage() {
    let section = between(OUTAGE, "## What counts as an outage\n", "\n## ");
    let documented: Vec<(String, String)> = tagged(section)
        .into_iter()
        .map(|(tag, text)| (tag, text.split('.').next().unwrap().to_owned()))
        .collect();
    let misses: Vec<(String, String)> = Miss::all()
        .map(|miss| {
            let (weight, why) = miss.weight();
            let weight = match weight {
                Weight::Outage => "Counts",
                Weight::Nothing => "Ignored",
                Weight::Local => "Denies",
            };
            (why.to_owned(), weight.to_owned())
        })
        .collect();
    assert_eq!(documented, misses);
    let pause = between(
        LOGIN_SOURCE,
        "const SECOND_LOOK: Duration = Duration::from_",
        ";",
    );
    assert_eq!(pause, "millis(1500)");
    for text in [OUTAGE, section] {
        assert!(text.contains("1.5 seconds later"));
    }
    for word in ["Counts", "Ignored", "Denies"] {
        assert!(section.contains(&format!("**{word}**: ")), "{word}");
    }
}

#[test]
fn the_page_says_where_failmode_safe_applies_in_the_words_of_the_log() {
    let section = between(OUTAGE, "## Where safe applies\n", "\n## ");
    let documented: Vec<String> = tagged(section).into_iter().map(|(tag, _)| tag).collect();
    // Where it is not set, nothing is logged.
    let reasons = NotSafe::all().filter(|reason| *reason != NotSafe::Secure);
    let mut reasons: Vec<String> = reasons.map(|reason| reason.why().to_owned()).collect();
    let too_late = "a code or an activation was already sent";
    assert!(ATTEMPT_SOURCE.contains(too_late));
    reasons.push(too_late.to_owned());
    assert_eq!(documented, reasons);
    let line = "failmode=safe does not apply: ";
    assert!(ATTEMPT_SOURCE.contains(line));
    for text in [OUTAGE, OPERATIONS] {
        assert!(text.contains(line), "{line}");
    }
}

/// Tag and text of each entry "- `tag`: text" of a part of a page.
fn tagged(section: &str) -> Vec<(String, String)> {
    let entries = section.split("\n- `").skip(1);
    let entries = entries.map(|entry| entry.split_once("`: ").unwrap());
    entries
        .map(|(tag, text)| (tag.to_owned(), text.to_owned()))
        .collect()
}

// Prompts

#[test]
fn the_prompts_for_users_are_those_of_the_menu() {
    for factor in Factor::enrollable() {
        assert_shown_for_a_name(|name| menu(vec![device("1", factor, name)]).prompt("bob"));
    }
    let several = [
        device("1", Factor::Push, "Bob phone"),
        device("2", Factor::Totp, "Bob app"),
        device("3", Factor::Sms, "Bob mobile"),
    ];
    assert_shown(&menu(several.into()).prompt("bob"));
    assert_shown(CODE_PROMPT);
}

/// In the block of the menu, or in backquotes.
#[test]
fn the_page_for_users_has_the_line_of_each_factor_in_a_menu() {
    let mut totp = device("2", Factor::Totp, "Bob app");
    totp.default = true;
    let of_protect = menu(vec![device("1", Factor::Push, "Bob phone"), totp]);
    let temporary = Menu::new(
        vec![device("2", Factor::Totp, "Bob app")],
        1,
        &[Factor::Totp, Factor::Temporary],
        Activations::Offered,
    );
    let are_shown = |menu: &Menu| {
        let prompt = menu.prompt("bob");
        let lines = prompt.lines().filter_map(|line| line.strip_prefix(' '));
        let mut lines = lines
            .filter_map(|line| Some(line.split_once(". ")?.1))
            .peekable();
        assert!(lines.peek().is_some(), "{prompt}");
        lines.all(|line| {
            USERS.contains(&format!("`{line}`"))
                || USERS
                    .lines()
                    .any(|shown| shown.starts_with("     ") && shown.ends_with(line))
        })
    };
    for menu in [of_protect, temporary.unwrap()] {
        assert!(are_shown(&menu), "{}", menu.prompt("bob"));
    }
    for factor in Factor::enrollable() {
        let menus = DEVICE_NAMES.map(|name| {
            menu(vec![
                device("1", Factor::Totp, "Bob app"),
                device("3", factor, name),
            ])
        });
        assert!(menus.iter().any(are_shown), "{}", menus[0].prompt("bob"));
    }
}

#[test]
fn the_prompts_for_users_are_those_of_the_flow() {
    let source = login_source();
    let filled = |text: &str, name: &str| {
        text.replace("{name}", name)
            .replace("{digits}", "0427")
            .replace("{}", name)
    };
    for medium in Factor::all()
        .map(Factor::medium)
        .filter(|it| !it.is_empty())
    {
        assert_shown_for_a_name(|name| format!("Verification code from the {medium} to {name}: "));
    }
    assert!(source.contains("\"Verification code from the {medium} to {}: \""));
    for text in ["Temporary passcode: ", "Verification code from {}: "] {
        assert!(source.contains(&format!("\"{text}\"")), "{text}");
        assert_shown_for_a_name(|name| filled(text, name));
    }

    // What the user does elsewhere: two texts each, put together in two ways.
    assert!(source.contains("\"{}. {} to continue.\""));
    assert!(source.contains("\"{}. {}, then press Enter{or_code}: \""));
    assert!(source.contains("\" (or type a code)\""));
    let approvals = Factor::all().map(Factor::approval);
    for (sent, what) in approvals.filter(|(sent, _)| !sent.is_empty()) {
        let or_code = match what {
            "Approve it" => " (or type a code)",
            _ => "",
        };
        for end in [&format!(", then press Enter{or_code}: "), " to continue."] {
            assert_shown_for_a_name(|name| filled(&format!("{sent}. {what}{end}"), name));
        }
    }
    let constant = |name: &str| between(&source, &format!("const {name}: &str ="), ";\n");
    let app = Device::new(
        DeviceId::parse("1").unwrap(),
        Factor::Push,
        String::new(),
        false,
    );
    let hint = menu(vec![
        app,
        device("2", Factor::Totp, "Bob app"),
        device("3", Factor::Sms, "Bob mobile"),
    ])
    .hint();
    let hint = hint.unwrap();
    assert!(USERS.contains(&format!("`{hint}`")), "{hint:?}");
    let again = literals(constant("NOT_ACCEPTED"))[0];
    assert!(USERS.contains(&format!("`{again}`")), "{again:?}");
    assert_shown(&format!(
        "{}{CODE_PROMPT}",
        literals(constant("USED_BEFORE"))[0]
    ));
    let held_back = literals(between(
        &source,
        "fn held_back(reached: LimitReached)",
        "\n}\n",
    ));
    assert_eq!(held_back.len(), 3, "{held_back:?}");
    for before in held_back {
        assert_shown(&format!("{before}{CODE_PROMPT}"));
    }
    let busy = literals(constant("BUSY"))[0];
    assert!(source.contains("\"{BUSY}Press Enter to wait{}: \""));
    assert!(source.contains("\"{BUSY}This login is next.\""));
    assert_shown(&format!("{busy}Press Enter to wait (or type a code): "));
    assert_shown(&format!("{busy}This login is next."));
}

#[test]
fn the_prompts_for_users_are_those_of_the_enrolment() {
    let source = before_tests(ENROL_SOURCE);
    let mut seen = 0;
    for text in literals(&source) {
        // Each line of a prompt; those that are put in are shown by an example.
        for line in text.split("\\n") {
            if line.starts_with(char::is_uppercase) {
                for example in examples_of(line) {
                    assert_shown(&line.replace("{}", example));
                }
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 8, "lines in src/login/enrol.rs");
}

fn examples_of(line: &str) -> Vec<&'static str> {
    if line.starts_with("In OneLogin Protect") {
        vec!["01-1912451"]
    } else if line.ends_with("that was sent to you: ") {
        let media = Factor::all().map(Factor::medium);
        media.filter(|medium| !medium.is_empty()).collect()
    } else {
        vec!["0427"]
    }
}

// Files, targets, tests

#[test]
fn each_sample_stack_is_in_the_page_about_stacks() {
    for layout in ["debian", "fedora"] {
        for entry in std::fs::read_dir(root().join("pam.d").join(layout)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let mut rows = STACKS.lines().filter(|line| line.starts_with("| `"));
            let is_named = |row: &str| {
                let files = row.split(" |").next().unwrap();
                quoted(files).any(|file| file == name)
            };
            assert!(rows.any(is_named), "{layout}/{name}");
        }
    }
}

/// The run itself compares the versions, too; this needs no root.
#[test]
fn the_table_of_endings_says_what_the_code_does() {
    let head = "| the request | seen | count | GET, token call, poll | code, activation, enrolment |\n|---|---|---|---|---|\n";
    let table = between(API, head, "\n\n");
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|row| {
            row.trim_matches('|')
                .split('|')
                .skip(1)
                .map(str::trim)
                .collect()
        })
        .collect();
    let again = |again| match again {
        Again::Never => "not repeated",
        Again::AtOnce => "repeated at once",
        Again::Counted => "repeated if it can be counted twice",
        Again::Later => "repeated later",
    };
    let expected: Vec<Vec<&str>> = Ending::all()
        .map(|ending| {
            let row = ending.consequences();
            let seen = match row.seen {
                Seen::No => "no",
                Seen::Perhaps => "perhaps",
                Seen::Yes => "yes",
            };
            let count = match row.give_back {
                GiveBack::Never => "kept",
                GiveBack::Always => "given back",
                GiveBack::Sometimes => "given back, 3 times a minute",
            };
            vec![seen, count, again(row.read), again(row.act)]
        })
        .collect();
    assert_eq!(rows, expected);
}

#[test]
fn the_tables_of_hosts_and_services_have_what_the_tests_try_and_nothing_else() {
    let mut hosts = BTreeSet::new();
    let mut services = BTreeSet::new();
    let mut sources = Vec::new();
    let folders = ["tests", "tests/tool_enable"].map(|folder| root().join(folder));
    let entries = folders.map(|folder| std::fs::read_dir(folder).unwrap());
    for entry in entries.into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|name| name == "rs") && !path.ends_with("docs.rs") {
            let is_of_services = path.ends_with("programs.rs");
            sources.push((is_of_services, std::fs::read_to_string(path).unwrap()));
        }
    }
    for (is_of_services, source) in &sources {
        let tried = if *is_of_services {
            &mut services
        } else {
            &mut hosts
        };
        // The services that share a story.
        let shared = source.split("one_push(&scene, ").skip(1);
        let shared: Vec<_> = shared.map(|call| literals(call)[0]).collect();
        for call in source.split(".tried(").skip(1) {
            match literals(call.split(");").next().unwrap()).as_slice() {
                [what] => tried.extend(shared.iter().map(|service| (*service, *what))),
                [host, what, ..] => _ = tried.insert((*host, *what)),
                [] => panic!("{call}"),
            }
        }
    }
    let of_hosts = ["sshd", "sudo", "sudo-rs", "su", "login"];
    let mut shown = rows_of("hosts", HOSTS, &of_hosts, 30);
    shown.extend(rows_of("forky", HOSTS, &of_hosts, 30));
    assert_eq!(shown, hosts);
    let of_services = [
        "vsftpd",
        "proftpd",
        "dovecot",
        "squid",
        "cups",
        "xrdp-sesman",
        "openvpn",
        "ocserv",
        "cockpit",
        "doas",
        "gvfs",
        "pam_duo",
    ];
    assert_eq!(rows_of("services", SERVICES, &of_services, 50), services);
}

/// The rows of the table between its two lines, more than `least`, in the order of tests/hosts-table.sh.
fn rows_of<'a>(
    name: &str,
    document: &'a str,
    hosts: &[&str],
    least: usize,
) -> BTreeSet<(&'a str, &'a str)> {
    let begin = format!("<!-- The table of {name}: make {name}-table writes it. -->");
    let end = format!("<!-- The end of the table of {name}. -->");
    let table = between(document, &begin, &end);
    let rows: BTreeSet<(&str, &str)> = table
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| host "))
        .map(|line| {
            let mut cells = line.split('|').skip(1).map(str::trim);
            (cells.next().unwrap(), cells.next().unwrap())
        })
        .collect();
    assert!(rows.len() > least, "{}", rows.len());
    for host in hosts {
        let start = format!("| {host} |");
        let of_host = table.lines().filter(|line| line.starts_with(&start));
        assert!(of_host.clone().count() > 1 && of_host.is_sorted(), "{host}");
    }
    rows
}

#[test]
fn the_sshd_settings_of_the_page_are_those_of_the_sample() {
    let sample = std::fs::read_to_string(root().join("pam.d/debian/sshd-key")).unwrap();
    let settings: Vec<&str> = sample
        .lines()
        .filter_map(|line| line.strip_prefix("#     "))
        .collect();
    assert_eq!(settings.len(), 4, "{settings:?}");
    for setting in settings {
        assert_shows(STACKS, setting);
    }
}

#[test]
fn each_file_that_a_document_names_exists() {
    let mut seen = 0;
    let documents = documents();
    for (document, text) in &documents {
        for name in quoted(text) {
            let is_ours = [
                "src/",
                "tests/",
                "pam.d/",
                ".ci/",
                ".github/",
                "docs/",
                "man/",
                "packaging/",
                "tape/",
                "tool/",
                "xtask/",
            ]
            .iter()
            .any(|folder| name.starts_with(folder));
            if is_ours {
                assert!(root().join(name).exists(), "{document}: {name}");
                seen += 1;
            }
        }
        for link in text
            .split("](")
            .skip(1)
            .map(|rest| rest.split(')').next().unwrap())
        {
            if !link.starts_with("https://") {
                assert_link(document, link);
            }
        }
    }
    assert!(seen > 20, "{seen}");
}

#[test]
fn each_command_and_word_that_a_template_names_exists() {
    let tool = include_str!("../man/pam-onelogin.8");
    let mut commands = BTreeSet::new();
    let mut words = BTreeSet::new();
    for name in ["bug", "tenant", "question"] {
        let path = root().join(format!(".github/ISSUE_TEMPLATE/{name}.yml"));
        let text = std::fs::read_to_string(path).unwrap();
        for quoted in quoted(&text) {
            let command = quoted.strip_prefix("sudo ").unwrap_or(quoted);
            if let Some(command) = command.strip_prefix("pam-onelogin ") {
                commands.insert(command.split(' ').next().unwrap().to_owned());
            } else if is_word(quoted) {
                words.insert(quoted.to_owned());
            }
        }
    }
    let headings = tool.lines().filter(|line| line.starts_with(".SS"));
    let headings: String = headings.collect::<Vec<_>>().join("\n");
    for command in &commands {
        let is_there = headings.contains(command) || command == "--version";
        assert!(is_there, "pam-onelogin {command}");
    }
    let manual = MANUAL.replace("\\fB", " ").replace("\\fR", " ");
    let manual = manual.replace("\\-", "-");
    let manual: BTreeSet<&str> = manual.split_whitespace().collect();
    for word in &words {
        let key = format!("\n# {word} = ");
        let is_key = include_str!("../packaging/config.toml").contains(&key);
        assert!(is_key || manual.contains(&**word), "{word}");
    }
    assert!(
        commands.len() > 3 && words.len() > 3,
        "{commands:?} {words:?}"
    );
}

#[test]
fn each_make_target_that_a_document_names_exists() {
    let targets = make_targets();
    let mut seen = BTreeSet::new();
    let documents = documents();
    for (document, text) in &documents {
        let commands =
            quoted(text).chain(text.lines().filter_map(|line| line.strip_prefix("    ")));
        for command in commands {
            let command = command.trim_start();
            let command = command.strip_prefix("sudo ").unwrap_or(command);
            if let Some(target) = command.strip_prefix("make ") {
                let target = target.split_whitespace().next().unwrap();
                assert!(targets.contains(target), "{document}: make {target}");
                seen.insert(target);
            }
        }
    }
    for target in [
        "bench",
        "build",
        "check",
        "demo",
        "fleet",
        "help",
        "test",
        "test-clients",
        "test-quick",
        "test-root",
    ] {
        assert!(seen.contains(target), "no document names make {target}");
    }
}

/// A target is public unless its name begins with `needs`: those look for what other targets need.
#[test]
fn make_help_has_one_line_for_each_public_target() {
    let phony: Vec<&str> = MAKEFILE
        .lines()
        .filter_map(|line| line.strip_prefix(".PHONY: "))
        .flat_map(str::split_whitespace)
        .collect();
    assert_eq!(
        phony.iter().copied().collect::<BTreeSet<_>>(),
        make_targets()
    );
    let mut public: Vec<&str> = phony;
    public.retain(|target| !target.starts_with("needs"));
    public.sort_unstable();
    let mut helped: Vec<&str> = between(MAKEFILE, "\nhelp:\n", "\n\n")
        .lines()
        .filter_map(|line| line.split_once("  make "))
        .map(|(_, line)| line.split_once("  ").unwrap().0)
        .collect();
    helped.sort_unstable();
    assert_eq!(helped, public);
}

/// `make check-workflows` finds what is wrong in a workflow; this is what we want of one beside that.
#[test]
fn the_workflows_run_make_targets_and_two_pinned_actions_with_few_rights() {
    let targets = make_targets();
    let mut pins = BTreeSet::new();
    let mut commands = BTreeSet::new();
    for entry in std::fs::read_dir(root().join(".github/workflows")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let count = |what: &str| text.matches(what).count();
        for line in text.lines().map(|line| line.trim_start_matches([' ', '-'])) {
            if let Some(command) = line.strip_prefix("run:") {
                let command = command.trim();
                let (before, target) = command.rsplit_once("make ").unwrap();
                let is_plain = before.is_empty() || before.starts_with("sudo env ");
                assert!(is_plain && targets.contains(target), "{path:?}: {command}");
                commands.insert(command.to_owned());
            } else if let Some(action) = line.strip_prefix("uses:") {
                pins.insert(action.trim().to_owned());
            }
        }
        assert_eq!(count("\npermissions: {}\n"), 1, "{path:?}");
        assert_eq!(count("\nconcurrency:\n"), 1, "{path:?}");
        assert_eq!(count("write"), 0, "{path:?}");
        let jobs = count("\n    runs-on: ");
        assert!(jobs > 0, "{path:?}");
        assert_eq!(count("\n    timeout-minutes: "), jobs, "{path:?}");
        let rights = "\n    permissions:\n      contents: read # to check out\n    steps:\n";
        assert_eq!(count(rights), jobs, "{path:?}");
        let checkouts = count("uses: actions/checkout@");
        assert_eq!(count("\n          persist-credentials: false\n"), checkouts);
    }
    for command in ["check", "build-msrv", "test", "packages", "release"] {
        assert!(commands.contains(&format!("make {command}")), "{command}");
    }
    assert!(commands.iter().any(|command| command.starts_with("sudo")));
    // One version of each.
    let names = pins.iter().map(|pin| {
        let (name, rest) = pin.split_once('@').unwrap();
        let (hash, version) = rest.split_once(" # v").unwrap();
        let is_hash = hash.len() == 40 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(is_hash && version.split('.').count() == 3, "{pin}");
        name
    });
    let names: Vec<&str> = names.collect();
    assert_eq!(names, ["actions/checkout", "actions/upload-artifact"]);
}

/// The targets of the Makefile that are not files.
fn make_targets() -> BTreeSet<&'static str> {
    MAKEFILE
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(target, _)| target)
        .filter(|target| is_word(target))
        .collect()
}

#[test]
fn the_packages_that_make_installs_are_in_the_documents() {
    let words = TESTING.split_whitespace().collect::<Vec<_>>().join(" ");
    for line in MAKEFILE.lines() {
        if line.contains("$(call install-packages,") {
            let packages = line.rsplit_once(',').unwrap().1.trim_end_matches(')');
            assert!(words.contains(packages), "{packages}");
        }
    }
}

#[test]
fn each_call_at_onelogin_is_in_the_documents_and_no_other() {
    let documented: BTreeSet<String> = call_rows()
        .into_iter()
        .filter_map(|row| quoted(row[0]).next())
        .filter(|call| {
            ["GET ", "POST ", "PUT "]
                .iter()
                .any(|method| call.starts_with(method))
        })
        .map(str::to_owned)
        .collect();
    let mut called: BTreeSet<String> = calls::ALL
        .iter()
        .map(|call| {
            let ids = ["ID"; 2];
            format!("{} {}", call.method, call.with(&ids))
        })
        .collect();
    called.insert(format!("POST {TOKEN_PATH}"));
    assert_eq!(called, documented);
}

#[test]
fn each_row_about_calls_names_tests_that_exist_where_it_says() {
    let tests = tests();
    let rows = call_rows();
    assert!(rows.len() > 40, "{}", rows.len());
    for row in rows {
        let words: Vec<&str> = quoted(row[2]).collect();
        assert!(
            !words.is_empty() && words.len() % 2 == 0,
            "no tests: {row:?}"
        );
        for pair in words.chunks(2) {
            let is_there = tests
                .get(pair[1])
                .is_some_and(|files| files.contains(pair[0]));
            assert!(is_there, "{} has no test {}", pair[0], pair[1]);
        }
    }
}

#[test]
fn each_scope_that_the_log_asks_for_is_in_the_documents() {
    let mut seen = 0;
    for source in CALLS_SOURCE {
        for scope in before_tests(source).split("scope: \"").skip(1) {
            let scope = scope.split("\",\n").next().unwrap();
            for name in scope.split("\\\"").skip(1).step_by(2) {
                assert!(SETUP.contains(name), "{name}");
                seen += 1;
            }
        }
    }
    assert!(seen >= 8, "{seen}");
}

#[test]
fn each_test_that_security_names_exists_where_it_says() {
    let tests = tests();
    let mut named = BTreeSet::new();
    for row in rule_rows() {
        if let Some((file, test)) = row.test {
            let is_there = tests.get(test).is_some_and(|files| files.contains(file));
            assert!(is_there, "{file} has no test {test}");
            assert!(
                named.insert((row.rule, test)),
                "R{} names {test} twice",
                row.rule
            );
        } else {
            assert!(
                row.what.contains("**Not held yet**"),
                "R{} has no test",
                row.rule
            );
        }
    }
}

#[test]
fn security_names_each_test_of_a_rule_in_the_row_of_that_rule() {
    let mut named: BTreeMap<usize, BTreeSet<&str>> = BTreeMap::new();
    for row in rule_rows() {
        named
            .entry(row.rule)
            .or_default()
            .extend(row.test.map(|test| test.1));
    }
    assert_eq!(
        named.keys().copied().collect::<Vec<_>>(),
        (1..=22).collect::<Vec<_>>()
    );
    let mut seen = 0;
    for test in tests().keys() {
        for rule in rules_of(test) {
            assert!(
                named.get(&rule).is_some_and(|row| row.contains(&**test)),
                "R{rule} does not name {test}"
            );
            seen += 1;
        }
    }
    assert!(seen > 80, "{seen}");
}

/// Tests that the text names outside of the table.
#[test]
fn each_test_that_the_pages_for_contributors_name_exists() {
    let tests = tests();
    for text in [TESTING, include_str!("../CONTRIBUTING.md")] {
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let named: BTreeSet<&str> = words
            .filter(|word| word.matches('_').count() >= 4)
            .collect();
        assert!(named.len() >= 3, "{named:?}");
        for test in named {
            assert!(tests.contains_key(test), "{test}");
        }
    }
}

#[test]
fn the_readme_is_short() {
    let readme = include_str!("../README.md");
    assert!(readme.lines().count() <= 200);
    assert!(readme.split_whitespace().count() <= 2500);
}

#[test]
fn each_page_is_in_the_table_of_contents_under_its_title() {
    let contents = include_str!("../docs/SUMMARY.md");
    for (document, text) in &documents() {
        if let Some(page) = document
            .strip_prefix("docs/")
            .filter(|page| *page != "SUMMARY.md")
        {
            let title = text.lines().next().unwrap().trim_start_matches("# ");
            let entry = format!("- [{title}]({page})\n");
            assert!(contents.contains(&entry), "{entry}");
        }
    }
}

#[test]
fn the_text_fits_a_terminal() {
    let documents = documents();
    for (document, text) in &documents {
        for (number, line) in (1..).zip(text.lines()) {
            let is_table = line.starts_with('|');
            let is_log = line.starts_with("    pam_onelogin(");
            assert!(
                is_table || is_log || line.chars().count() <= 130,
                "{document}:{number} is too long"
            );
            assert_eq!(
                line.trim_end(),
                line,
                "{document}:{number} ends in white space"
            );
        }
    }
}

// Reading the documents

/// Name and text of each document, by its path from the root.
fn documents() -> Vec<(String, String)> {
    let mut documents = Vec::new();
    for folder in ["", "docs", "packaging"] {
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                let name = path.strip_prefix(root()).unwrap().to_str().unwrap();
                documents.push((name.to_owned(), std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(documents.len() > 20, "{}", documents.len());
    documents
}

/// A link of a document leads to a file, and to a heading of it.
fn assert_link(document: &str, link: &str) {
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let from = root().join(document);
    let target = match path {
        "" => from,
        path => from.parent().unwrap().join(path),
    };
    assert!(target.exists(), "{document}: {link}");
    if !anchor.is_empty() {
        let text = std::fs::read_to_string(&target).unwrap();
        assert!(
            xtask::anchors(&text).iter().any(|there| there == anchor),
            "{document}: {link} has no such heading"
        );
    }
}

/// The rows of all tables about calls: what, what becomes of it, tests.
fn call_rows() -> Vec<[&'static str; 3]> {
    let (section, _) = API.split_once("## How a request can end\n").unwrap();
    let rows = section.lines().filter(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        <[&str; 3]>::try_from(cells).unwrap_or_else(|_| panic!("{row}"))
    })
    .filter(|row| row[2] != "tests" && row[2] != "---")
    .collect()
}

struct RuleRow<'a> {
    rule: usize,
    what: &'a str,
    test: Option<(&'a str, &'a str)>,
}

/// The rows of the table of rules; a row without a rule belongs to the one above.
fn rule_rows() -> Vec<RuleRow<'static>> {
    let table = between(
        RULES,
        "| rule | what the code does | tests |\n|---|---|---|\n",
        "\n\n",
    );
    let mut rule = 0;
    let mut rows = Vec::new();
    for line in table.lines() {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, what, place] = cells[..] else {
            panic!("{line}")
        };
        if let Some(number) = name.strip_prefix('R') {
            rule = number.parse().unwrap();
            assert!(!what.is_empty(), "{line}");
        }
        let words: Vec<&str> = quoted(place).collect();
        let test = if let [file, test] = words[..] {
            Some((file, test))
        } else {
            assert_eq!(place, "none", "{line}");
            None
        };
        rows.push(RuleRow { rule, what, test });
    }
    rows
}

/// Whether the page for users shows this text as a block of its own lines, indented by four.
fn assert_shown(text: &str) {
    assert_shows(USERS, text);
}

/// The names of devices in the page for users.
const DEVICE_NAMES: [&str; 6] = [
    "Bob phone",
    "Bob app",
    "Bob key",
    "Bob mobile",
    "Bob mail",
    "Bob desk",
];

/// The page for users must show the text with the name of one of its devices.
fn assert_shown_for_a_name(text: impl Fn(&str) -> String) {
    let texts = DEVICE_NAMES.map(text);
    let is_shown = |text: &String| shows(USERS, text);
    assert!(
        texts.iter().any(is_shown),
        "the page does not show {:?}",
        texts[0]
    );
}

fn assert_shows(page: &str, text: &str) {
    assert!(shows(page, text), "the page does not show {text:?}");
}

/// Whether the page shows this text as a block of its own lines, indented by four.
fn shows(page: &str, text: &str) -> bool {
    let block: Vec<String> = text
        .lines()
        .map(|line| format!("    {line}").trim_end().to_owned())
        .collect();
    let lines: Vec<&str> = page.lines().collect();
    lines
        .windows(block.len())
        .any(|window| window.iter().zip(&block).all(|(a, b)| a == b))
}

/// What stands in backquotes within a line.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter(|line| !line.starts_with("```"))
        .flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// The block of the page about the configuration behind this mark.
fn fenced(mark: &str) -> String {
    between(CONFIGURATION, &format!("```{mark}\n"), "```\n").to_owned()
}

// Reading the code

fn parsed(text: &str) -> Config {
    config::parse("configuration.md", text).unwrap_or_else(|faults| panic!("{faults:?}"))
}

/// The code of the flow, without that of the enrolment.
fn login_source() -> String {
    let mut files = rust_files(&root().join("src/login"));
    files.push(root().join("src/login.rs"));
    files
        .iter()
        .filter(|file| !file.ends_with("enrol.rs"))
        .map(|file| before_tests(&std::fs::read_to_string(file).unwrap()))
        .collect()
}

/// Each test of the sources with the files that have one of this name.
fn tests() -> BTreeMap<String, BTreeSet<String>> {
    let mut tests: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in ["src", "tool/src", "tests"]
        .iter()
        .flat_map(|folder| rust_files(&root().join(folder)))
    {
        let file = path
            .strip_prefix(root())
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let mut is_test = false;
        for line in text.lines().map(str::trim) {
            if line == "#[test]" {
                is_test = true;
            } else if let Some(function) = line.strip_prefix("fn ") {
                let name = function.split(['(', '<']).next().unwrap();
                if std::mem::take(&mut is_test) {
                    tests
                        .entry(name.to_owned())
                        .or_default()
                        .insert(file.clone());
                }
            }
        }
    }
    assert!(tests.len() > 100, "{}", tests.len());
    tests
}

/// `r01_r07_…` belongs to the rules 1 and 7.
fn rules_of(test: &str) -> Vec<usize> {
    test.split('_')
        .map_while(|part| {
            let number = part.strip_prefix('r')?;
            (number.len() == 2).then(|| number.parse().ok())?
        })
        .collect()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

fn device(id: &str, factor: Factor, name: &str) -> Device {
    Device::new(DeviceId::parse(id).unwrap(), factor, name.to_owned(), false)
}

fn menu(devices: Vec<Device>) -> Menu {
    let count = devices.len();
    Menu::new(devices, count, &Factor::enrollable(), Activations::Offered).unwrap()
}

/// The texts in quotes, as they are written; none of these sources escapes a quote before one that matters.
fn literals(source: &str) -> Vec<&str> {
    source.split('"').skip(1).step_by(2).collect()
}

// Figures

/// Three codes of a million are right at a time; each guess is one of these.
#[test]
fn r22_the_odds_of_a_thief_are_what_security_says() {
    let text = format!("{LEAST}[limits]\n");
    let limits = config::parse("c", &text).unwrap_or_else(|faults| panic!("{faults:?}"));
    let limits = limits.limits;
    let windows = 86_400 / u32::try_from(limits.window.as_secs()).unwrap();
    // The reserve of a known origin: three codes, one challenge.
    let rows = [
        (
            "without limits of a day, as in older builds",
            limits.failures * windows,
            limits.challenges * windows,
        ),
        (
            "now",
            limits.failures_per_day + 3,
            limits.challenges_per_day + 1,
        ),
    ];
    for (what, codes, challenges) in rows {
        let odds = [1, 10, 100].map(|hosts| {
            let guesses = f64::from(codes * hosts);
            100.0 * (1.0 - (1.0 - 3e-6_f64).powf(guesses))
        });
        // Two digits that say something.
        let shown = odds.map(|odds| match odds {
            odds if odds >= 10.0 => format!("{odds:.0} %"),
            odds if odds >= 1.0 => format!("{odds:.1} %"),
            odds if odds >= 0.1 => format!("{odds:.2} %"),
            odds => format!("{odds:.3} %"),
        });
        let row = format!(
            "| {what} | {codes} | {} | {challenges} |",
            shown.join(" | ")
        );
        assert!(OFFICER.contains(&row), "{row}");
    }
}
