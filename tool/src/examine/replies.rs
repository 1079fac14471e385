//! Records the replies of this tenant on their way to the module's code: formats and times, never values.

use crate::host::dates::of_header;
use crate::host::programs::output_of;
use crate::ui::finding::Finding;
use pam_onelogin::api::{ApiError, ApiTrouble, Reply};
use pam_onelogin::clock::unix_now;
use pam_onelogin::login::Deadline;
use pam_onelogin::onelogin::http::{Call, Http, Transport};
use serde_json::Value;

/// A transport that records what it carries.
pub(crate) struct Replies<'a> {
    http: &'a mut Http,
    seen: Vec<Seen>,
    /// How far this host's clock is ahead, in seconds.
    ahead: Option<i64>,
}

/// A reply.
struct Seen {
    path: String,
    status: u16,
    shape: String,
}

impl<'a> Replies<'a> {
    pub(crate) fn of(http: &'a mut Http) -> Self {
        Self {
            http,
            seen: Vec::new(),
            ahead: None,
        }
    }

    /// How many requests were sent.
    pub(crate) fn requests(&self) -> usize {
        self.http.traces().len()
    }

    /// Reports the difference between the two clocks.
    pub(crate) fn clock(&self, findings: &mut Vec<Finding>) {
        let Some(ahead) = self.ahead else {
            return;
        };
        let direction = if ahead < 0 { "behind" } else { "ahead of" };
        let what = format!(
            "this host's clock is {} s {direction} OneLogin's",
            ahead.abs()
        );
        findings.push(if ahead.abs() > SKEW {
            Finding::warning("clock", what)
                .why("tokens are cached too long or not at all, and valid certificates may look expired; for codes, OneLogin's clock counts")
                .advice(if has_ntp_service() {
                    "type: sudo timedatectl set-ntp true"
                } else {
                    "no NTP service is installed: install one, such as chrony or systemd-timesyncd, which then sets the clock"
                })
        } else {
            Finding::good("clock", what)
        });
    }

    /// Reports which of the documented formats this tenant uses.
    pub(crate) fn dialect(&self, findings: &mut Vec<Finding>) {
        let kinds = [
            ("token", TOKEN),
            ("users", "/users"),
            ("devices", "devices"),
            ("unknown verification", UNKNOWN),
            ("rate limit", "/rate_limit"),
        ];
        let told = kinds.iter().filter_map(|(word, end)| {
            let mut seen = self.seen.iter();
            let seen = seen.rfind(|seen| seen.path.ends_with(end))?;
            Some(format!("{word}: {} {}", seen.status, seen.shape))
        });
        let told: Vec<_> = told.collect();
        if !told.is_empty() {
            let what = format!("formats of the replies: {}", told.join("; "));
            findings.push(Finding::note("dialect", what).why(
                "the module accepts every documented format; only a login shows the formats for codes, pushes and polls",
            ));
        }
    }
}

impl Transport for Replies<'_> {
    fn prepare(&mut self, deadline: Deadline) -> Result<(), ApiError> {
        self.http.prepare(deadline)
    }

    fn send(&mut self, call: &Call<'_>, deadline: Deadline) -> Result<Reply, ApiError> {
        let reply = self.http.send(call, deadline)?;
        self.seen.push(Seen {
            path: call.path.to_owned(),
            status: reply.status,
            shape: shape(&reply.body),
        });
        if let Some(trace) = self.http.traces().last() {
            let date = trace.date.as_deref().and_then(of_header);
            let way = i64::try_from(trace.time.as_secs() / 2).unwrap_or(0);
            let now = i64::try_from(unix_now()).unwrap_or(0) - way;
            let ahead = date.map(|date| now - date);
            self.ahead = ahead.or(self.ahead);
        }
        Ok(reply)
    }
}

/// Whether systemd knows an NTP service that it can switch on.
fn has_ntp_service() -> bool {
    let property = ["show", "--property=CanNTP", "--value"];
    output_of(&["/usr/bin/timedatectl"], &property).is_some_and(|said| said.trim() == "yes")
}

/// The structure of a body, without any of its values.
fn shape(body: &[u8]) -> String {
    match serde_json::from_slice(body) {
        Err(_) => "not JSON".to_owned(),
        Ok(Value::Array(list)) => {
            let id = list
                .first()
                .and_then(|first| first.get("device_id").or(first.get("id")));
            match id {
                Some(Value::Number(_)) => "list, ids as numbers".to_owned(),
                Some(Value::String(_)) => "list, ids as text".to_owned(),
                _ => "list".to_owned(),
            }
        }
        Ok(Value::Object(object)) => {
            let known = [
                "statusCode",
                "name",
                "message",
                "status",
                "data",
                "access_token",
            ];
            let keys = known.into_iter().filter(|key| object.contains_key(*key));
            let keys: Vec<_> = keys.collect();
            format!("object {{{}}}", keys.join(", "))
        }
        Ok(_) => "a bare value".to_owned(),
    }
}

/// The id of a verification that does not exist.
pub(crate) const UNKNOWN: &str = "00000000-0000-4000-8000-000000000000";

const TOKEN: &str = "/auth/oauth2/v2/token";

/// What to read while OneLogin does not answer.
pub(super) const DOWN: &str =
    "to know who can log in until then, read \"WHEN ONELOGIN IS DOWN\" in pam_onelogin(8)";

/// Warn when the clocks differ by more than this, in seconds.
const SKEW: i64 = 30;

/// The finding for an error that is not about a credential.
pub(super) fn of_error(error: &ApiError) -> Finding {
    let detail = &error.detail;
    match error.trouble {
        ApiTrouble::RateLimited => {
            let when = error.retry_after.map_or(String::new(), |time| {
                format!(" for {} s more", time.as_secs())
            });
            Finding::fault(
                "rate-limited",
                format!("OneLogin accepts no API calls{when}: {detail}"),
            )
            .why("logins are denied (reason=rate-limited)")
            .advice("find the client of the account that sends most requests")
        }
        ApiTrouble::Gateway | ApiTrouble::ServerError => Finding::fault(
            "onelogin-down",
            format!("OneLogin answers with an error: {detail}"),
        )
        .why("logins are denied until OneLogin works again")
        .advice(format!("try again later; see OneLogin's status page; {DOWN}")),
        ApiTrouble::Timeout => Finding::fault(
            "timeout",
            format!("OneLogin did not answer in time: {detail}"),
        )
        .why("logins are denied (reason=timeout)")
        .advice(format!(
            "check the network path, then raise onelogin.request_timeout; {DOWN}"
        )),
        ApiTrouble::BadReply | ApiTrouble::Redirected => Finding::fault(
            "no-onelogin",
            format!("the server does not answer like OneLogin's API: {detail}"),
        )
        .why("logins are denied")
        .advice("compare onelogin.url with the address at which you administer OneLogin"),
        ApiTrouble::GatewayRefused => {
            Finding::fault("gateway-refused", format!("the gateway refuses this host: {detail}"))
                .why("logins are denied (reason=gateway-refused)")
                .advice("if gateway=revoked, install a new certificate; if gateway=refused, generate the gateway's configuration again from the configuration of the hosts: pam-onelogin gateway config")
        }
        ApiTrouble::Broken => Finding::fault(
            "onelogin",
            format!("the connection to OneLogin broke: {detail}"),
        )
        .why("logins are denied (reason=connection-lost)")
        .advice(format!(
            "try again; if it happens again, look for a firewall or a proxy that ends TLS connections; {DOWN}"
        )),
        ApiTrouble::NoConnection
        | ApiTrouble::NoSuchHost
        | ApiTrouble::NotFound
        | ApiTrouble::RequestRefused
        | ApiTrouble::Tls
        | ApiTrouble::Credential
        | ApiTrouble::Local
        | ApiTrouble::Interrupted => {
            Finding::fault("onelogin", format!("OneLogin gave no answer: {detail}"))
                .why("logins are denied")
                .advice("try again; to see each request, type: sudo pam-onelogin test USER")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_tells_keys_that_are_known_and_no_value() {
        assert_eq!(shape(b"[{\"device_id\": 5}]"), "list, ids as numbers");
        assert_eq!(shape(b"[{\"id\": \"5\"}]"), "list, ids as text");
        assert_eq!(shape(b"[]"), "list");
        let error = b"{\"statusCode\":404,\"name\":\"secret\",\"other\":1}";
        assert_eq!(shape(error), "object {statusCode, name}");
        assert_eq!(shape(b"<html>"), "not JSON");
    }
}
