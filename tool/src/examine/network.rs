//! The network path to OneLogin: name, addresses, TLS.

use crate::examine::certificate;
use crate::examine::replies::of_error;
use crate::ui::finding::Finding;
use pam_onelogin::api::ApiTrouble;
use pam_onelogin::config::{Config, FailMode};
use pam_onelogin::login::Deadline;
use pam_onelogin::onelogin::http::{Http, Nameless, Transport as _, addresses};
use pam_onelogin::trust::system_bundle;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Checks each step. The result tells whether there is a connection that the module would use.
pub(crate) fn examine(config: &Config, http: &mut Http, findings: &mut Vec<Finding>) -> bool {
    let origin = &config.onelogin.origin;
    let proxy = config.onelogin.http_proxy.as_ref();
    // The server that this host connects to.
    let (host, port) = proxy.map_or((origin.host(), origin.port()), |proxy| {
        (proxy.host.as_str(), proxy.port)
    });
    let Some(addresses) = named(host, port, config.onelogin.request_timeout, findings) else {
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
            findings.push(certificate::refused(
                &error,
                shown.as_ref(),
                origin.host(),
                ca,
            ));
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
    limit: Duration,
    findings: &mut Vec<Finding>,
) -> Option<Vec<SocketAddr>> {
    let start = Instant::now();
    let result = addresses(host, port, start + limit);
    let time = start.elapsed();
    let found = match result {
        Ok(found) => found,
        Err(nameless) => {
            findings.push(match nameless {
                Nameless::NoSuchHost => {
                    Finding::fault("no-such-host", format!("the host {host} does not exist"))
                        .why("every login is denied, whatever failmode is (reason=no-such-host)")
                        .advice("compare onelogin.url with the address of your tenant")
                }
                Nameless::ForNow => Finding::fault(
                    "name-server",
                    format!("no name server gave the address of {host} within {}", ms(time)),
                )
                .why("logins are denied, whatever failmode is, unless the addresses that worked last still work (reason=no-connection)")
                .advice("check /etc/resolv.conf and the network"),
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
        findings.push(
            Finding::fault("no-connection", format!("{host} cannot be reached: {list}"))
                .why(match config.failmode {
                    FailMode::Secure => "logins are denied (reason=no-connection)",
                    FailMode::Safe => "logins are denied (reason=no-connection), unless this counts as an outage and failmode = \"safe\" applies",
                })
                .advice("check the firewall: this host needs HTTPS to that address"),
        );
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

/// Warn when a name takes longer than this to resolve.
const SLOW_NAMES: Duration = Duration::from_secs(1);
