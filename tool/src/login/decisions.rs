//! The module's decisions, read back from the log of this host. Any local user can write lines into that
//! log: what is read here is for orientation, and decides nothing.

use crate::host::dates::text_of;
use crate::host::programs::output_of;
use pam_onelogin::text::{LOG_CHARS, clean};
use pam_onelogin::verdict::Event;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use time::OffsetDateTime;

/// Decisions, the oldest first.
pub(crate) struct Decisions {
    /// Where they were read.
    pub(crate) from: String,
    pub(crate) list: Vec<Decision>,
}

/// One of them.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Decision {
    /// As the log has it.
    pub(crate) time: String,
    pub(crate) service: String,
    pub(crate) event: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) factor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rhost: Option<String>,
}

impl Decisions {
    /// Those of the last day in the journal; where it has none, those at the end of the log file.
    pub(crate) fn of_this_host() -> Option<Self> {
        let journal = output_of(&JOURNALCTL, &QUESTION).map(|text| Self {
            from: "the journal, last 24 hours".to_owned(),
            list: text.lines().filter_map(of_journal).collect(),
        });
        let files = FILES.iter().map(Path::new);
        let files = files.filter_map(|path| Self::of_file(path).ok());
        // Where a syslog of its own writes files, the journal may be there and empty.
        let mut sources = journal.into_iter().chain(files);
        let first = sources.next()?;
        if first.list.is_empty() {
            Some(
                sources
                    .find(|other| !other.list.is_empty())
                    .unwrap_or(first),
            )
        } else {
            Some(first)
        }
    }

    /// Those at the end of a log file.
    pub(crate) fn of_file(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        let begin = length.saturating_sub(TAIL);
        file.seek(SeekFrom::Start(begin))?;
        let mut bytes = Vec::new();
        file.take(TAIL).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        // The first line is a part of one, unless the file begins there.
        let lines = text.lines().skip(usize::from(begin > 0));
        Ok(Self {
            from: clean(&path.display().to_string(), LOG_CHARS),
            list: lines.filter_map(of_line).collect(),
        })
    }
}

impl Decision {
    /// For people.
    pub(crate) fn text(&self) -> String {
        let pairs = [
            ("user", &self.user),
            ("reason", &self.reason),
            ("factor", &self.factor),
            ("rhost", &self.rhost),
        ];
        let pairs = pairs
            .into_iter()
            .filter_map(|(key, value)| Some(format!(" {key}={}", value.as_ref()?)));
        let pairs: String = pairs.collect();
        format!("{}  {} {}{pairs}", self.time, self.service, self.event)
    }
}

/// A line of `journalctl --output=json`.
fn of_journal(line: &str) -> Option<Decision> {
    let entry: Entry = serde_json::from_str(line).ok()?;
    let seconds = entry.time.parse::<i64>().ok()? / 1_000_000;
    let moment = OffsetDateTime::from_unix_timestamp(seconds).ok()?;
    Some(Decision {
        time: text_of(moment),
        ..of_message(&entry.message)?
    })
}

/// A line of a log file: time, host, program, message.
fn of_line(line: &str) -> Option<Decision> {
    // Who writes a message could write a head in it, but none before the real one.
    let (head, message) = line.split_once("]: ")?;
    let words = if head.starts_with(|c: char| c.is_ascii_digit()) {
        1
    } else {
        3
    };
    let words: Vec<&str> = head.split_whitespace().take(words).collect();
    Some(Decision {
        time: clean(&words.join(" "), LOG_CHARS),
        ..of_message(message)?
    })
}

/// The message of a decision, as [`pam_onelogin::log::decision`] writes it.
fn of_message(message: &str) -> Option<Decision> {
    let rest = message.strip_prefix("pam_onelogin(")?;
    let (service, rest) = rest.split_once(":auth): ")?;
    let (event, pairs) = Event::all().map(Event::word).find_map(|event| {
        let pairs = rest.strip_prefix(event)?.strip_prefix(' ')?;
        Some((event, pairs))
    })?;
    let mut decision = Decision {
        service: clean(service, LOG_CHARS),
        event: event.to_owned(),
        ..Decision::default()
    };
    let mut is_whole = false;
    for (key, value) in Pairs(pairs) {
        let value = Some(clean(&value, LOG_CHARS));
        match key {
            "user" => decision.user = value,
            "reason" => decision.reason = value,
            "factor" => decision.factor = value,
            "rhost" => decision.rhost = value,
            "ms" => is_whole = true,
            _ => {}
        }
    }
    is_whole.then_some(decision)
}

/// `key=value` and `key="quoted \"value\""`, one after another.
struct Pairs<'a>(&'a str);

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a str, String);

    fn next(&mut self) -> Option<Self::Item> {
        let (key, rest) = self.0.trim_start().split_once('=')?;
        let Some(quoted) = rest.strip_prefix('"') else {
            let (value, rest) = rest.split_once(' ').unwrap_or((rest, ""));
            self.0 = rest;
            return Some((key, value.to_owned()));
        };
        let mut value = String::new();
        let mut chars = quoted.chars();
        loop {
            match chars.next()? {
                '"' => break,
                '\\' => value.push(chars.next()?),
                other => value.push(other),
            }
        }
        self.0 = chars.as_str();
        Some((key, value))
    }
}

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "__REALTIME_TIMESTAMP")]
    time: String,
    /// Text; for other data the journal uses another form, but our lines are always text.
    #[serde(rename = "MESSAGE")]
    message: String,
}

const JOURNALCTL: [&str; 2] = ["/usr/bin/journalctl", "/bin/journalctl"];

/// The last day of facility AUTHPRIV.
const QUESTION: [&str; 7] = [
    "--output=json",
    "--output-fields=MESSAGE",
    "--quiet",
    "--no-pager",
    "--since=-24h",
    "--lines=20000",
    "SYSLOG_FACILITY=10",
];

/// Where facility AUTHPRIV is written on the systems that we know.
const FILES: [&str; 2] = ["/var/log/auth.log", "/var/log/secure"];

/// How much of a file is read, in bytes.
const TAIL: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use pam_onelogin::api::{ApiError, ApiTrouble};
    use pam_onelogin::log::{Facts, decision};
    use pam_onelogin::login::{Denial, Outcome};
    use pam_onelogin::outage::{Here, Miss, Outage, SafePlace};
    use pam_onelogin::user::{Exemption, Proof, Uids};
    use pam_onelogin::verdict::{self, Circumstances};

    const HERE: Circumstances = Circumstances {
        in_ssh: true,
        proven: true,
    };

    fn outage() -> Outage {
        let text = "failmode = \"safe\"\nfailmode_from = [\"10.0.0.0/8\"]\n[onelogin]\nurl = \"https://x.onelogin.com\"\nclient_id = \"i\"\nclient_secret = \"s\"\n";
        let here = Here {
            uids: Uids {
                real: 0,
                effective: 0,
                saved: 0,
            },
            proof: Proof::Proven,
            ssh_connection: Some("10.20.0.7 5 10.20.0.1 22"),
            is_of_this_host: &|_| false,
            has_the_hosts_network: &|| Some(true),
        };
        let place = SafePlace::check(&pam_onelogin::config::parse("c", text).unwrap(), &here);
        Outage::seen_twice(place.unwrap(), Some(Miss::Refused), Some(Miss::Refused)).unwrap()
    }

    #[test]
    fn each_decision_that_is_written_is_read_back() {
        let unreachable = ApiError::new(ApiTrouble::NoConnection, "a \"b\" \\ c ms=1");
        let outcomes = [
            (Outcome::Denied(Denial::Code), "denied", Some("wrong-code")),
            (
                Outcome::Exempt(Exemption::User),
                "exempt",
                Some("exempt-user"),
            ),
            (
                Outcome::Outage(outage(), unreachable),
                "let in by failmode=safe",
                Some("no-connection"),
            ),
            (
                Outcome::Denied(Denial::NoState).observed(),
                "observed, would deny",
                Some("no-state"),
            ),
        ];
        for (outcome, event, reason) in outcomes {
            let verdict = verdict::of(&outcome, HERE);
            let facts = Facts {
                user: Some("a b"),
                rhost: Some("x\" user=\"root"),
                ..Facts::default()
            };
            let message = format!("pam_onelogin(sshd:auth): {}", decision(&verdict, &facts));
            let line = format!("Nov 22 02:10:00 host sshd[12]: {message}");
            let read = of_line(&line).unwrap();
            assert_eq!(
                (read.time.as_str(), read.service.as_str()),
                ("Nov 22 02:10:00", "sshd")
            );
            assert_eq!(
                (read.event.as_str(), read.reason.as_deref()),
                (event, reason)
            );
            assert_eq!(read.user.as_deref(), Some("a b"), "{line}");
            assert_eq!(read.rhost.as_deref(), Some("x\" user=\"root"));
            let entry = serde_json::json!({
                "MESSAGE": message, "__REALTIME_TIMESTAMP": "1700000000123456",
            });
            let read = of_journal(&entry.to_string()).unwrap();
            assert_eq!(read.time, "2023-11-14 22:13:20Z");
            assert_eq!(read.event, event);
        }
    }

    #[test]
    fn a_line_of_another_program_is_no_decision_whatever_it_quotes() {
        let ours = "pam_onelogin(sshd:auth): accepted user=root requests=1 ms=1";
        for line in [
            format!("Nov 22 02:10:00 host sshd[1]: Invalid user {ours}"),
            format!("Nov 22 02:10:00 host sshd[1]: x]: {ours}"),
            ours.to_owned(),
            "Nov 22 02:10:00 host sshd[1]: pam_onelogin(sshd:auth): accepted user=root".to_owned(),
            "Nov 22 02:10:00 host sshd[1]: pam_onelogin(sshd:auth): ready ms=1".to_owned(),
        ] {
            assert_eq!(of_line(&line), None, "{line}");
        }
        let time = "2026-11-22T02:10:00+00:00";
        let read = of_line(&format!("{time} host sshd[1]: {ours}")).unwrap();
        assert_eq!(read.time, time);
    }

    #[test]
    fn of_a_long_file_the_end_is_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let line = "Nov 22 02:10:00 host sshd[1]: pam_onelogin(sshd:auth): accepted user=a requests=1 ms=1\n";
        std::fs::write(file.path(), line.repeat(20_000)).unwrap();
        let read = Decisions::of_file(file.path()).unwrap();
        let most = usize::try_from(TAIL).unwrap() / line.len();
        assert!(read.list.len() <= most && read.list.len() + 2 > most);
    }
}
