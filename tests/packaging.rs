//! What the packages bring says what the code does: manual pages, the configuration as it is installed, the list of files.

mod sources;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use pam_onelogin::args::Args;
use pam_onelogin::config;
use pam_onelogin::verdict::Event;
use sources::{between, codes, is_word, pam_words, root};

const PAGE: &str = include_str!("../man/pam_onelogin.8");
const KEYS: &str = include_str!("../man/pam_onelogin.conf.5");
const CONFIG: &str = include_str!("../packaging/config.toml");
const FILES: &str = include_str!("../packaging/files");

/// What a configuration needs, and nothing else.
const LEAST: [&str; 3] = ["url", "client_id", "client_secret"];

// Manual pages

#[test]
fn the_page_of_the_module_has_each_argument() {
    for (text, argument) in [
        (".BI config= PATH\n", &b"config=/etc/x.toml"[..]),
        (".B behind=key\n", b"behind=key"),
        (".B debug\n", b"debug"),
    ] {
        assert!(PAGE.contains(&format!(".TP\n{text}")), "{text}");
        assert!(Args::parse([argument]).is_ok(), "{text}");
    }
    let fault = Args::parse([&b"no-such-argument"[..]]).unwrap_err()[0].to_string();
    assert!(fault.ends_with("the arguments are \"config=PATH\", \"behind=key\" and \"debug\""));
}

#[test]
fn the_page_of_the_module_has_each_code_and_event() {
    let listed = between(PAGE, ".SH \"RETURN VALUES\"\n", "\n.SH ");
    assert_eq!(pam_words(listed), codes());
    let log = plain(between(PAGE, ".SH \"LOG\"\n", "\n.SH "));
    for event in Event::all().map(Event::word) {
        assert!(log.contains(event), "{event}");
    }
}

#[test]
fn the_pages_have_no_fault_that_a_formatter_finds() {
    for page in [
        "man/pam_onelogin.8",
        "man/pam_onelogin.conf.5",
        "man/pam-onelogin.8",
    ] {
        for (number, line) in (1..).zip(fs::read_to_string(root().join(page)).unwrap().lines()) {
            assert!(line.is_ascii(), "{page}:{number} is not ASCII");
            assert_eq!(line.trim_end(), line, "{page}:{number}");
        }
        // Where there is no formatter, the tests of the packages look again.
        let Ok(output) = Command::new("groff")
            .args(["-t", "-man", "-ww", "-Tutf8", "-z"])
            .arg(root().join(page))
            .output()
        else {
            continue;
        };
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{page}");
    }
}

#[test]
fn the_pages_name_the_version() {
    for page in [PAGE, KEYS] {
        let title = between(page, ".TH ", "\n");
        let version = format!("\"pam_onelogin {}\"", env!("CARGO_PKG_VERSION"));
        assert!(title.contains(&version), "{title}");
    }
}

// The configuration as it is installed

#[test]
fn the_installed_configuration_sets_nothing() {
    for line in CONFIG.lines() {
        let is_table = line.starts_with('[');
        assert!(
            line.is_empty() || line.starts_with('#') || is_table,
            "{line}"
        );
    }
}

#[test]
fn the_installed_configuration_is_a_fault_that_says_what_is_missing() {
    let faults = config::parse("config.toml", CONFIG).err().unwrap();
    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(faults.len(), LEAST.len(), "{faults:?}");
    for (fault, key) in faults.iter().zip(LEAST) {
        assert!(
            fault.contains(&format!("[onelogin] needs \"{key}\"")),
            "{fault}"
        );
    }
}

/// Each line may have its `#` taken away, and the defaults are those that hold without it.
#[test]
fn the_installed_configuration_is_right_when_its_lines_are_turned_on() {
    let without: Vec<&str> = CONFIG.lines().collect();
    for (key, value) in settings() {
        let name = key.rsplit('.').next().unwrap();
        let wanted = format!("# {name} = {value}");
        let lookup = key.starts_with("onelogin.lookup.");
        let mut inside = "";
        let mut text = String::new();
        for line in &without {
            let bare = line.trim_start_matches("# ");
            if is_table(bare) {
                inside = bare;
            }
            let is_least = inside == "[onelogin]"
                && LEAST
                    .iter()
                    .any(|least| bare.starts_with(&format!("{least} = ")))
                && !(key == "onelogin.client_secret_file" && bare.starts_with("client_secret = "));
            let is_lookup = lookup
                && (bare == "[onelogin.lookup]"
                    || inside == "[onelogin.lookup]" && bare.starts_with("client_id = ")
                    || inside == "[onelogin.lookup]"
                        && key.ends_with("client_id")
                        && bare.starts_with("client_secret = "));
            let table = key
                .rsplit_once('.')
                .map_or(String::new(), |(table, _)| format!("[{table}]"));
            let is_it = *line == wanted && inside == table;
            let on = is_least || is_lookup || is_it;
            text.push_str(if on { bare } else { line });
            text.push('\n');
        }
        if let Err(faults) = config::parse("config.toml", &text) {
            panic!("{key}: {faults:?}");
        }
    }
}

// The list of files

#[test]
fn each_file_of_the_list_is_there_and_each_sample_and_page_is_listed() {
    let mut listed = BTreeSet::new();
    for line in FILES
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
    {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [who, kind, mode, source, destination] = words[..] else {
            panic!("{line}")
        };
        assert!(
            ["all", "deb", "rpm", "debug", "deb-debug"].contains(&who),
            "{line}"
        );
        assert!(
            ["dir", "file", "config", "doc", "man", "link"].contains(&kind),
            "{line}"
        );
        assert!(u32::from_str_radix(mode, 8).is_ok(), "{line}");
        assert!(destination.starts_with('@'), "{line}");
        if source != "-" && kind != "link" && !source.starts_with('@') {
            assert!(root().join(source).is_file(), "{line}");
        }
        listed.insert(source);
    }
    for layout in ["pam.d/debian", "pam.d/fedora", "docs"] {
        for entry in fs::read_dir(root().join(layout)).unwrap() {
            let name = format!("{layout}/{}", entry.unwrap().file_name().to_str().unwrap());
            let is_source = layout == "docs"
                && Path::new(&name)
                    .extension()
                    .is_none_or(|extension| extension != "md");
            assert!(
                is_source || listed.contains(name.as_str()),
                "{name} is not installed"
            );
        }
    }
}

// Reading the files

/// Key and value of each setting in the installed configuration, `table.key`.
fn settings() -> Vec<(String, String)> {
    let mut table = String::new();
    let mut settings = Vec::new();
    for line in CONFIG.lines() {
        let bare = line.strip_prefix("# ").unwrap_or(line);
        if is_table(bare) {
            table = format!("{}.", bare.trim_matches(['[', ']']));
        } else if let Some((key, value)) = bare.split_once(" = ").filter(|(key, _)| is_word(key)) {
            settings.push((format!("{table}{key}"), value.to_owned()));
        }
    }
    settings
}

fn is_table(line: &str) -> bool {
    line.strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .is_some_and(|name| name.split('.').all(is_word))
}

/// Text of a page without its fonts and escapes.
fn plain(text: &str) -> String {
    text.replace("\\fB", "")
        .replace("\\fR", "")
        .replace("\\fI", "")
        .replace("\\-", "-")
        .replace("\\&", "")
        .replace("\\(cq", "'")
}
