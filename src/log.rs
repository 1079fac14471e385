//! One line a decision, to syslog's AUTHPRIV. A log that is full or stalled loses the line: it
//! never holds up a login (rule R9).

use crate::offline::Used;
use crate::reason::Reason;
use crate::text::pair;
use crate::verdict::{Level, Verdict};
use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;
use syslog::{LogFormat, Logger, LoggerBackend, Severity};

/// The socket of the local log.
const SOCKET: &str = "/dev/log";

/// `LOG_AUTHPRIV` of syslog(3), shifted.
const AUTHPRIV: u8 = 10 << 3;

/// How long a full log is waited for.
const PATIENCE: Duration = Duration::from_millis(300);

/// The log of one login.
pub struct Log {
    logger: Option<Logger<LoggerBackend, Format>>,
    service: String,
    debug: bool,
}

impl Log {
    /// Opens the log for a service. Without a local log every line is lost.
    #[must_use]
    pub fn open(service: &str) -> Self {
        let service = tag(service);
        Self {
            logger: connect(&service),
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
        if level == Level::Debug && !self.debug {
            return;
        }
        let text = format!("pam_onelogin({}:auth): {text}", self.service);
        let sent = self.send(level, text.clone());
        if sent.is_none() {
            // The log may have been started anew while the user was typing. A line that cannot be
            // delivered then is lost: there is no other place for it.
            self.logger = connect(&self.service);
            let _ = self.send(level, text);
        }
    }

    fn send(&mut self, level: Level, text: String) -> Option<()> {
        let logger = self.logger.as_mut()?;
        let result = match level {
            Level::Error => logger.err(text),
            Level::Warning => logger.warning(text),
            Level::Notice => logger.notice(text),
            Level::Info => logger.info(text),
            Level::Debug => logger.debug(text),
        };
        result.ok()
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

fn connect(service: &str) -> Option<Logger<LoggerBackend, Format>> {
    let socket = UnixDatagram::unbound().ok()?;
    socket.set_write_timeout(Some(PATIENCE)).ok()?;
    socket.connect(SOCKET).ok()?;
    let format = Format {
        program: service.to_owned(),
        process: std::process::id(),
    };
    Some(Logger::new(LoggerBackend::Unix(socket), format))
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

/// A record without a time: the log daemon knows it, and finding out the local one would read the
/// environment (`TZ`, `TZDIR`), which in sudo is the caller's (rule R3).
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
        let priority = AUTHPRIV + severity;
        let Self { program, process } = self;
        write!(out, "<{priority}>{program}[{process}]: {text}").map_err(syslog::Error::Write)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Event;
    use pam::constants::PamResultCode;

    #[test]
    fn a_decision_is_one_line_of_pairs() {
        let verdict = Verdict {
            code: PamResultCode::PAM_ABORT,
            level: Level::Notice,
            event: Event::Denied,
            reason: Some(Reason::WrongCode),
            detail: None,
            words: None,
        };
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
        let verdict = |detail: Option<&str>| Verdict {
            code: PamResultCode::PAM_ABORT,
            level: Level::Notice,
            event: Event::Denied,
            reason: Some(Reason::NoConnection),
            detail: detail.map(str::to_owned),
            words: None,
        };
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
    fn r10_the_service_cannot_forge_the_head_of_a_record() {
        assert_eq!(tag("sshd"), "sshd");
        assert_eq!(tag("a]: b\n(c"), "abc");
        assert_eq!(tag("\u{1b}"), "unknown");
    }
}
