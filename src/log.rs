//! One line a decision, to syslog's AUTHPRIV. Where the journal reads /dev/log, the same line goes to the journal directly, with
//! the values of the decision as fields. A log that is full or stalled loses the line: it never holds up a login (rule R9).

use crate::offline::Used;
use crate::reason::Reason;
use crate::text::{LOG_CHARS, clean, pair};
use crate::verdict::{Level, Verdict};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, UCred, sendmsg};
use rustix::process::{getegid, geteuid, getpid};
use std::io::{IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;
use syslog::{LogFormat, Logger, LoggerBackend, Severity};

/// The socket of the local log.
const SOCKET: &str = "/dev/log";

/// Where [`SOCKET`] leads if the journal reads it: `systemd-journald-dev-log.socket`.
const READ_BY_JOURNAL: &str = "/run/systemd/journal/dev-log";

/// The journal's socket for records with fields: <https://systemd.io/JOURNAL_NATIVE_PROTOCOL>.
const JOURNAL: &str = "/run/systemd/journal/socket";

/// `LOG_AUTHPRIV` of syslog(3), not shifted.
const AUTHPRIV: u8 = 10;

/// `MESSAGE_ID` of each decision in the journal; made by `journalctl --new-id128`, never to be changed.
pub const DECISION_ID: &str = "1192c2d4d77c4937856ea661751e8808";

/// How long a full log is waited for.
const PATIENCE: Duration = Duration::from_millis(300);

/// The log of one login.
pub struct Log {
    way: Option<Way>,
    service: String,
    debug: bool,
}

impl Log {
    /// Opens the log for a service. Without a local log every line is lost.
    #[must_use]
    pub fn open(service: &str) -> Self {
        let service = tag(service);
        Self {
            way: Way::open(&service),
            service,
            debug: false,
        }
    }

    /// Lets lines of level debug through.
    pub fn show_debug(&mut self) {
        self.debug = true;
    }

    /// Writes a line.
    pub fn line(&mut self, level: Level, text: &str) {
        if level != Level::Debug || self.debug {
            self.write(level, text, Vec::new());
        }
    }

    /// Writes the line of a decision.
    pub fn decision(&mut self, verdict: &Verdict, facts: &Facts<'_>) {
        let text = decision(verdict, facts);
        self.write(verdict.level, &text, fields(verdict, facts));
    }

    fn write(&mut self, level: Level, text: &str, fields: Vec<(&'static str, String)>) {
        let Self { service, way, .. } = self;
        let record = Record {
            level,
            program: service,
            text: format!("pam_onelogin({service}:auth): {text}"),
            fields,
        };
        if way.as_mut().and_then(|way| way.send(&record)).is_none() {
            // The log may have been started anew while the user was typing, or the journal does not take the record. A line
            // that cannot be delivered then is lost: there is no other place for it.
            *way = Way::syslog(service);
            let _ = way.as_mut().and_then(|way| way.send(&record));
        }
    }
}

/// What the line of a decision tells beside the verdict. Absent values are left out.
#[derive(Default)]
pub struct Facts<'a> {
    /// Who had to pass.
    pub user: Option<&'a str>,
    /// The OneLogin user.
    pub onelogin_id: Option<&'a str>,
    /// The factor that was used last.
    pub factor: Option<&'a str>,
    /// The offline code that let the user in.
    pub offline_code: Option<&'a Used>,
    /// What the log says of an exemption that does not apply.
    pub lapse: Option<&'a str>,
    /// `PAM_RHOST`
    pub rhost: Option<&'a str>,
    /// `PAM_TTY`
    pub tty: Option<&'a str>,
    /// `PAM_RUSER`
    pub ruser: Option<&'a str>,
    /// OneLogin's name for the last request that was answered; said with a denial.
    pub request_id: Option<&'a str>,
    /// How many requests were sent.
    pub requests: usize,
    /// How long it took, in milliseconds.
    pub ms: u128,
}

/// The line of a decision: the event, then `key=value`.
#[must_use]
pub fn decision(verdict: &Verdict, facts: &Facts<'_>) -> String {
    let left = facts.offline_code.map(|used| used.left.to_string());
    let details = [facts.lapse, verdict.detail.as_deref()];
    let detail = details.into_iter().flatten().collect::<Vec<_>>().join("; ");
    let pairs = [
        ("user", facts.user),
        ("onelogin_id", facts.onelogin_id),
        ("factor", facts.factor),
        ("left", left.as_deref()),
        ("issued_by", facts.offline_code.map(|used| used.by.as_str())),
        ("reason", verdict.reason.map(Reason::word)),
        ("detail", Some(detail.as_str())),
        ("rhost", facts.rhost),
        ("tty", facts.tty),
        ("ruser", facts.ruser),
        (
            "request_id",
            facts.request_id.filter(|_| verdict.is_denial()),
        ),
    ];
    let mut line = verdict.event.word().to_owned();
    for (key, value) in pairs {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            line.push(' ');
            line.push_str(&pair(key, value));
        }
    }
    format!("{line} requests={} ms={}", facts.requests, facts.ms)
}

/// The fields of a decision in the journal. Absent values are left out, as in the line.
#[must_use]
pub fn fields(verdict: &Verdict, facts: &Facts<'_>) -> Vec<(&'static str, String)> {
    let requests = facts.requests.to_string();
    let fields = [
        ("MESSAGE_ID", Some(DECISION_ID)),
        ("ONELOGIN_EVENT", Some(verdict.event.word())),
        ("ONELOGIN_REASON", verdict.reason.map(Reason::word)),
        ("ONELOGIN_FACTOR", facts.factor),
        ("ONELOGIN_USER", facts.user),
        ("ONELOGIN_RHOST", facts.rhost),
        ("ONELOGIN_REQUESTS", Some(&requests)),
    ];
    let fields = fields.into_iter().filter_map(|(name, value)| {
        let value = clean(value?, LOG_CHARS);
        (!value.is_empty()).then_some((name, value))
    });
    fields.collect()
}

/// A connection to the log.
enum Way {
    Journal(UnixDatagram),
    Syslog(Logger<LoggerBackend, Format>),
}

impl Way {
    /// To the daemon that reads /dev/log, whichever it is: a syslog daemon may read it although a journal runs.
    fn open(service: &str) -> Option<Self> {
        let to = std::fs::read_link(SOCKET);
        let is_journal = to.is_ok_and(|to| to == Path::new(READ_BY_JOURNAL));
        let journal = is_journal.then(|| connect(JOURNAL)).flatten();
        journal.map(Self::Journal).or_else(|| Self::syslog(service))
    }

    fn syslog(service: &str) -> Option<Self> {
        let format = Format {
            program: service.to_owned(),
            process: std::process::id(),
        };
        let socket = LoggerBackend::Unix(connect(SOCKET)?);
        Some(Self::Syslog(Logger::new(socket, format)))
    }

    fn send(&mut self, record: &Record<'_>) -> Option<()> {
        match self {
            Self::Journal(socket) => {
                send_as_effective_user(socket, record.for_journal().as_bytes())
            }
            Self::Syslog(logger) => {
                let text = record.text.clone();
                let sent = match record.level {
                    Level::Error => logger.err(text),
                    Level::Warning => logger.warning(text),
                    Level::Notice => logger.notice(text),
                    Level::Info => logger.info(text),
                    Level::Debug => logger.debug(text),
                };
                sent.ok()
            }
        }
    }
}

fn connect(path: &str) -> Option<UnixDatagram> {
    let socket = UnixDatagram::unbound().ok()?;
    socket.set_write_timeout(Some(PATIENCE)).ok()?;
    socket.connect(path).ok()?;
    Some(socket)
}

/// The journal notes who sent a record (`_UID`). In sudo the real user is the caller, who could send such a record without sudo;
/// the effective one is root.
fn send_as_effective_user(socket: &UnixDatagram, record: &[u8]) -> Option<()> {
    let sender = UCred {
        pid: getpid(),
        uid: geteuid(),
        gid: getegid(),
    };
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmCredentials(sender));
    let record = [IoSlice::new(record)];
    let sent = sendmsg(socket, &record, &mut control, SendFlags::empty());
    sent.ok().map(drop)
}

/// A line for the log.
struct Record<'a> {
    level: Level,
    program: &'a str,
    text: String,
    fields: Vec<(&'static str, String)>,
}

impl Record<'_> {
    /// The journal gives the fields `SYSLOG_…` and `PRIORITY` to syslog daemons.
    fn for_journal(&self) -> String {
        let mut record = String::new();
        let mut add = |name: &str, value: &str| {
            record.push_str(name);
            record.push('=');
            // A line end would begin another field.
            record.push_str(&value.replace('\n', " "));
            record.push('\n');
        };
        add("MESSAGE", &self.text);
        add("PRIORITY", &severity(self.level).to_string());
        add("SYSLOG_FACILITY", &AUTHPRIV.to_string());
        add("SYSLOG_IDENTIFIER", self.program);
        add("SYSLOG_PID", &std::process::id().to_string());
        for (name, value) in &self.fields {
            add(name, value);
        }
        record
    }
}

/// A record of syslog without a time: the log daemon knows it, and finding out the local one would read the environment (`TZ`,
/// `TZDIR`), which in sudo is the caller's (rule R3).
struct Format {
    program: String,
    process: u32,
}

impl LogFormat<String> for Format {
    fn format<W: Write>(
        &self,
        out: &mut W,
        severity: Severity,
        text: String,
    ) -> syslog::Result<()> {
        let severity = match severity {
            Severity::LOG_EMERG => 0,
            Severity::LOG_ALERT => 1,
            Severity::LOG_CRIT => 2,
            Severity::LOG_ERR => 3,
            Severity::LOG_WARNING => 4,
            Severity::LOG_NOTICE => 5,
            Severity::LOG_INFO => 6,
            Severity::LOG_DEBUG => 7,
        };
        let priority = (AUTHPRIV << 3) + severity;
        let Self { program, process } = self;
        write!(out, "<{priority}>{program}[{process}]: {text}").map_err(syslog::Error::Write)
    }
}

/// The severities of syslog(3).
fn severity(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warning => 4,
        Level::Notice => 5,
        Level::Info => 6,
        Level::Debug => 7,
    }
}

/// The service's name, fit for the head of a record.
fn tag(service: &str) -> String {
    let tag: String = service
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || "._-@".contains(*c))
        .take(32)
        .collect();
    if tag.is_empty() {
        "unknown".to_owned()
    } else {
        tag
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Event;
    use pam::constants::PamResultCode;

    fn denied(reason: Reason, detail: Option<&str>) -> Verdict {
        Verdict {
            code: PamResultCode::PAM_ABORT,
            level: Level::Notice,
            event: Event::Denied,
            reason: Some(reason),
            detail: detail.map(str::to_owned),
            words: None,
        }
    }

    #[test]
    fn a_decision_is_one_line_of_pairs() {
        let verdict = denied(Reason::WrongCode, None);
        let facts = Facts {
            user: Some("alice"),
            onelogin_id: Some("1001"),
            factor: Some("totp"),
            offline_code: None,
            lapse: None,
            rhost: Some("evil\nhost reason=x"),
            tty: Some("ssh"),
            ruser: Some(""),
            request_id: Some("req-1"),
            requests: 3,
            ms: 84,
        };
        assert_eq!(
            decision(&verdict, &facts),
            "denied user=alice onelogin_id=1001 factor=totp reason=wrong-code rhost=\"evil host reason=x\" tty=ssh request_id=req-1 requests=3 ms=84"
        );
    }

    #[test]
    fn an_exemption_that_does_not_apply_is_a_detail() {
        let verdict = |detail| denied(Reason::NoConnection, detail);
        let facts = Facts {
            lapse: Some("exemption-expired"),
            ..Facts::default()
        };
        for (detail, shown) in [
            (None, "exemption-expired"),
            (Some("refused"), "\"exemption-expired; refused\""),
        ] {
            let line = decision(&verdict(detail), &facts);
            let expected = format!("denied reason=no-connection detail={shown} requests=0 ms=0");
            assert_eq!(line, expected);
        }
    }

    #[test]
    fn r10_no_value_can_forge_a_field_in_the_journal() {
        let verdict = denied(Reason::WrongCode, None);
        let facts = Facts {
            user: Some("alice\nONELOGIN_EVENT=accepted"),
            rhost: Some("\n\0"),
            ..Facts::default()
        };
        let record = Record {
            level: verdict.level,
            program: "sshd",
            text: "a\nMESSAGE=b".to_owned(),
            fields: fields(&verdict, &facts),
        };
        let id = format!("MESSAGE_ID={DECISION_ID}");
        let process = format!("SYSLOG_PID={}", std::process::id());
        let fields = [
            "MESSAGE=a MESSAGE=b",
            "PRIORITY=5",
            "SYSLOG_FACILITY=10",
            "SYSLOG_IDENTIFIER=sshd",
            &process,
            &id,
            "ONELOGIN_EVENT=denied",
            "ONELOGIN_REASON=wrong-code",
            "ONELOGIN_USER=alice ONELOGIN_EVENT=accepted",
            "ONELOGIN_REQUESTS=0",
        ];
        let record = record.for_journal();
        assert_eq!(record.lines().collect::<Vec<_>>(), fields);
        assert!(record.ends_with('\n'));
    }

    #[test]
    fn r10_the_service_cannot_forge_the_head_of_a_record() {
        assert_eq!(tag("sshd"), "sshd");
        assert_eq!(tag("a]: b\n(c"), "abc");
        assert_eq!(tag("\u{1b}"), "unknown");
    }
}
