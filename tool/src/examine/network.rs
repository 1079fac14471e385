//! The network path to OneLogin: name, addresses, TLS.

use crate::examine::certificate::{self, Ca};
use crate::examine::replies::{DOWN, of_error};
use crate::ui::finding::{Finding, Place, Severity};
use pam_onelogin::api::ApiTrouble;
use pam_onelogin::config::{Config, FailMode};
use pam_onelogin::login::Deadline;
use pam_onelogin::onelogin::http::{Http, Nameless, Transport as _, addresses};
use pam_onelogin::trust::system_bundle;
use std::fmt::Write as _;
use std::io::{Error, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Checks each step. The result tells whether there is a connection that the module would use. `place` is the line
/// with the name of the server that this host connects to, `ca_place` the one of `ca_file`.
pub(crate) fn examine(
    config: &Config,
    place: &Place,
    ca_place: &Place,
    http: &mut Http,
    findings: &mut Vec<Finding>,
) -> bool {
    let known = findings.len();
    let is_connected = steps(config, ca_place, http, findings);
    // What has to do with the name of the server is shown with its line.
    let mut found = findings.iter_mut().skip(known);
    if let Some(fault) = found.find(|found| found.severity == Severity::Fault) {
        fault.place.get_or_insert_with(|| place.clone());
    }
    is_connected
}

fn steps(config: &Config, ca_place: &Place, http: &mut Http, findings: &mut Vec<Finding>) -> bool {
    let origin = &config.onelogin.origin;
    let proxy = config.onelogin.http_proxy.as_ref();
    // The server that this host connects to.
    let (host, port) = proxy.map_or((origin.host(), origin.port()), |proxy| {
        (proxy.host.as_str(), proxy.port)
    });
    let Some(addresses) = named(host, port, config, findings) else {
        return false;
    };
    let timeout = config.onelogin.connect_timeout;
    let Some(address) = reached(host, &addresses, config, findings) else {
        return false;
    };
    // Behind a proxy the certificate is for the module's own connection alone.
    let shown = match proxy {
        None => certificate::shown(address, origin.host(), timeout),
        Some(_) => None,
    };
    let deadline = Deadline::after(config.onelogin.request_timeout);
    let ca = ca_file(config);
    let ca = ca.as_deref();
    match http.prepare(deadline) {
        Ok(()) => {
            findings.push(match shown {
                Some(shown) => shown.accepted(ca.unwrap_or_default()),
                None => Finding::good(
                    "certificate",
                    format!(
                        "the certificate of {} is trusted, its CA is in {}",
                        origin.host(),
                        ca.unwrap_or_default()
                    ),
                ),
            });
            true
        }
        Err(error) if error.trouble == ApiTrouble::Tls => {
            let ca = match (ca, &config.onelogin.ca_file) {
                (Some(file), Some(_)) => Ca::Configured(file, ca_place),
                (Some(file), None) => Ca::System(file),
                (None, _) => Ca::Missing,
            };
            findings.push(certificate::refused(
                &error,
                shown.as_ref(),
                origin,
                proxy.is_some(),
                &ca,
            ));
            if let Some(advice) = findings.last_mut().and_then(|found| found.advice.as_mut()) {
                let _ = write!(advice, "; {DOWN}");
            }
            false
        }
        Err(error) => {
            let finding = of_error(&error);
            findings.push(match proxy {
                None => finding,
                Some(_) => finding.advice("check onelogin.http_proxy, and the log of the proxy"),
            });
            false
        }
    }
}

/// The addresses of a host, looked up as in a login.
fn named(
    host: &str,
    port: u16,
    config: &Config,
    findings: &mut Vec<Finding>,
) -> Option<Vec<SocketAddr>> {
    let start = Instant::now();
    let result = addresses(host, port, start + config.onelogin.request_timeout);
    let time = start.elapsed();
    let found = match result {
        Ok(found) => found,
        Err(nameless) => {
            findings.push(match nameless {
                Nameless::NoSuchHost => {
                    Finding::fault("no-such-host", format!("the host {host} does not exist"))
                        .why("every login is denied, whatever failmode is (reason=no-such-host)")
                        .advice(compare(config))
                }
                Nameless::ForNow => Finding::fault(
                    "name-server",
                    format!("no name server gave the address of {host}{}", after(time)),
                )
                .why("logins are denied, whatever failmode is, unless the addresses that worked last still work (reason=no-connection)")
                .advice(format!(
                    "check /etc/resolv.conf and the network; if this host resolves other names, {}",
                    compare(config)
                )),
                Nameless::Local(code) => Finding::fault(
                    "name-server",
                    format!("this host cannot resolve names: getaddrinfo returned {code}"),
                )
                .why("every login is denied (reason=local-error)")
                .advice(format!(
                    "check /etc/nsswitch.conf and /etc/resolv.conf; type: getent ahosts {host}"
                )),
            });
            return None;
        }
    };
    if time > SLOW_NAMES {
        findings.push(
            Finding::warning("slow-names", format!("resolving {host} took {}", ms(time)))
                .why("every login waits for this: one second for each name server that does not answer, then two seconds for each in a second round")
                .advice("check /etc/resolv.conf: its first name server must answer, for IPv6 addresses as well"),
        );
    }
    let list: Vec<_> = found.iter().map(|found| found.ip().to_string()).collect();
    let what = format!("{host} resolves to {}, in {}", list.join(", "), ms(time));
    findings.push(Finding::good("names", what));
    Some(found)
}

/// The first address that accepts a connection. Every address is tried, one after the other; a login starts
/// the next attempt before the previous one has failed.
fn reached(
    host: &str,
    addresses: &[SocketAddr],
    config: &Config,
    findings: &mut Vec<Finding>,
) -> Option<SocketAddr> {
    let timeout = config.onelogin.connect_timeout;
    let mut good = None;
    let mut bad = Vec::new();
    for address in addresses {
        let start = Instant::now();
        match TcpStream::connect_timeout(address, timeout) {
            Ok(_) => {
                let what = format!("{address} accepts connections, in {}", ms(start.elapsed()));
                findings.push(Finding::good("connection", what));
                good.get_or_insert(*address);
            }
            Err(error) => bad.push((address, error)),
        }
    }
    let list: Vec<_> = bad
        .iter()
        .map(|(address, error)| format!("{address}: {error}"))
        .collect();
    let list = list.join("; ");
    if good.is_none() {
        findings.push(unreachable(host, &bad, &list, config));
    } else if bad
        .iter()
        .any(|(_, error)| error.kind() == ErrorKind::TimedOut)
    {
        findings.push(
            Finding::warning(
                "silent-address",
                format!("an address does not answer: {list}"),
            )
            .why("a login that tries this address first waits a quarter of a second before it tries the next one")
            .advice("let the firewall reject these connections instead of dropping them, or repair the route"),
        );
    } else if !bad.is_empty() {
        let what = format!("an address accepts no connection: {list}");
        findings.push(Finding::note("address", what));
    }
    good
}

/// How an attempt to connect failed: what to do depends on who answered, if anything did.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// The other side answered, or a firewall in its place.
    Refused,
    /// Nothing answered.
    Silent,
    /// This host, a router or a firewall says that the address cannot be reached.
    NoRoute,
    /// This host did not try.
    Local,
}

impl Refusal {
    fn of(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => Self::Refused,
            ErrorKind::TimedOut | ErrorKind::WouldBlock => Self::Silent,
            ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::AddrNotAvailable => Self::NoRoute,
            _ => Self::Local,
        }
    }
}

/// The finding about a server that no address leads to. An address that refuses says more than a silent one, and
/// a silent one more than an address without a route.
fn unreachable(host: &str, bad: &[(&SocketAddr, Error)], list: &str, config: &Config) -> Finding {
    let of_kind = |kind| bad.iter().find(|(_, error)| Refusal::of(error) == kind);
    let order = [Refusal::Refused, Refusal::Silent, Refusal::NoRoute];
    let found = order
        .into_iter()
        .find_map(|kind| Some((kind, of_kind(kind)?)));
    let (kind, address) = match found {
        Some((kind, (address, _))) => (kind, address.ip().to_string()),
        None => (Refusal::Local, String::new()),
    };
    let server = match (
        &config.onelogin.http_proxy,
        config.onelogin.access.certificate(),
    ) {
        (Some(_), _) => "the proxy",
        (None, Some(_)) => "the gateway",
        (None, None) => "OneLogin",
    };
    let compare = compare(config);
    let (what, advice) = match kind {
        Refusal::Refused => (
            format!("{host} refuses the connection: {list}"),
            format!(
                "the network works: {host} answered, and no program accepts connections there, or a firewall \
                 rejects them; {compare}; if it is right, {server} is down"
            ),
        ),
        Refusal::Silent => (
            format!("{host} does not answer: {list}"),
            format!(
                "a firewall or a router drops the packets, or {server} is down: allow connections from this host to \
                 that address and port; or {compare}"
            ),
        ),
        Refusal::NoRoute => (
            format!("no route to {host}: {list}"),
            format!(
                "this host, a router or a firewall says so: check the addresses and routes of this host, and the \
                 firewalls; type: ip route get {address}"
            ),
        ),
        Refusal::Local => (
            format!("this host could not connect to {host}: {list}"),
            "the error is on this host: look for a rule of its packet filter or its security module".to_owned(),
        ),
    };
    Finding::fault("no-connection", what)
        .why(match config.failmode {
            FailMode::Secure => "logins are denied (reason=no-connection)",
            FailMode::Safe => "logins are denied (reason=no-connection), unless this counts as an outage and failmode = \"safe\" applies",
        })
        .advice(format!("{advice}; {DOWN}"))
}

/// The setting with the name of the server that this host connects to.
fn compare(config: &Config) -> &'static str {
    match (
        &config.onelogin.http_proxy,
        config.onelogin.access.certificate(),
    ) {
        (Some(_), _) => "compare onelogin.http_proxy with the address of your proxy",
        (None, Some(_)) => "compare onelogin.url with the address of your gateway",
        (None, None) => "compare onelogin.url with the address of your tenant",
    }
}

/// The file of trusted certificates; `None` if the system has no bundle, or other users can write to it.
fn ca_file(config: &Config) -> Option<String> {
    let path = match &config.onelogin.ca_file {
        Some(path) => path.clone(),
        None => system_bundle().ok()?.0,
    };
    Some(path.display().to_string())
}

fn ms(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}

/// How long an answer was waited for; an answer that came at once was an error, and no time was too short for it.
fn after(time: Duration) -> String {
    if time < SLOW_NAMES {
        return String::new();
    }
    format!(" within {}", ms(time))
}

/// Warn when a name takes longer than this to resolve.
const SLOW_NAMES: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use pam_onelogin::config::parse;

    /// The errors of Linux, and the one of `connect_timeout`.
    #[test]
    fn what_to_do_depends_on_who_answered_the_connection() {
        const REFUSED: i32 = 111;
        const TIMED_OUT: i32 = 110;
        const NO_NETWORK: i32 = 101;
        const NO_HOST: i32 = 113;
        const FORBIDDEN: i32 = 1;
        let text =
            "[onelogin]\nurl = \"https://a.example\"\nclient_id = \"a\"\nclient_secret = \"b\"\n";
        let config = parse("config.toml", text).unwrap();
        let [v4, v6]: [SocketAddr; 2] =
            ["192.0.2.1:443", "[2001:db8::1]:443"].map(|address| address.parse().unwrap());
        for (errors, what, advice) in [
            (
                &[REFUSED][..],
                "a.example refuses the connection: ",
                "the network works: ",
            ),
            (
                &[TIMED_OUT],
                "a.example does not answer: ",
                "drops the packets, or OneLogin is down",
            ),
            (
                &[NO_HOST],
                "no route to a.example: ",
                "type: ip route get 192.0.2.1; ",
            ),
            (
                &[FORBIDDEN],
                "this host could not connect to a.example: ",
                "the error is on this host",
            ),
            // The second address is of IPv6, which many hosts have no route for.
            (
                &[TIMED_OUT, NO_NETWORK],
                "a.example does not answer: ",
                "drops the packets",
            ),
            (
                &[REFUSED, NO_NETWORK],
                "a.example refuses the connection: ",
                "if it is right, OneLogin is down",
            ),
            (
                &[FORBIDDEN, NO_NETWORK],
                "no route to a.example: ",
                "type: ip route get 2001:db8::1; ",
            ),
        ] {
            let bad: Vec<_> = [&v4, &v6]
                .into_iter()
                .zip(errors.iter().map(|code| Error::from_raw_os_error(*code)))
                .collect();
            let finding = unreachable("a.example", &bad, "LIST", &config);
            assert_eq!(finding.what, format!("{what}LIST"));
            let said = finding.advice.unwrap();
            assert!(said.contains(advice), "{said}");
            assert!(
                said.ends_with("\"WHEN ONELOGIN IS DOWN\" in pam_onelogin(8)"),
                "{said}"
            );
        }
        let text =
            "[onelogin]\nurl = \"https://a.example\"\nclient_cert = \"/c\"\nclient_key = \"/k\"\n";
        let gateway = parse("config.toml", text).unwrap();
        let bad = [(&v4, Error::from_raw_os_error(REFUSED))];
        let said = unreachable("a.example", &bad, "", &gateway).advice.unwrap();
        let part = "the address of your gateway; if it is right, the gateway is down";
        assert!(said.contains(part), "{said}");
        let late = Error::new(ErrorKind::TimedOut, "connection timed out");
        assert!(Refusal::of(&late) == Refusal::Silent);
    }
}
