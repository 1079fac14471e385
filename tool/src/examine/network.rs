//! The way to OneLogin: name, addresses, TLS.

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

/// Looks at each step; whether there is a connection that the module would use.
pub(crate) fn examine(config: &Config, http: &mut Http, findings: &mut Vec<Finding>) -> bool {
    let origin = &config.onelogin.origin;
    let proxy = config.onelogin.http_proxy.as_ref();
    // Whom this host connects to.
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
                        "the certificate of {} is trusted by {}",
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
                Some(_) => finding.advice("look at onelogin.http_proxy, and ask the proxy's log"),
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
                    Finding::fault("no-such-host", format!("there is no host {host}"))
                        .why("everybody is denied, whatever failmode says: reason=no-such-host")
                        .advice("compare onelogin.url with your tenant's address")
                }
                Nameless::ForNow => Finding::fault(
                    "name-server",
                    format!("no name server told the address of {host}, in {}", ms(time)),
                )
                .why("logins are denied, whatever failmode says, unless OneLogin is at the addresses that worked last: reason=no-connection")
                .advice("look at /etc/resolv.conf and at the network"),
                Nameless::Local(code) => Finding::fault(
                    "name-server",
                    format!("this host cannot ask for names: getaddrinfo says {code}"),
                )
                .why("everybody is denied: reason=local-error"),
            });
            return None;
        }
    };
    if time > SLOW_NAMES {
        findings.push(
            Finding::warning("slow-names", format!("the address of {host} took {}", ms(time)))
                .why("each login waits for it: for each name server that does not answer one second, and once more two")
                .advice("look at /etc/resolv.conf: the first name server there must answer, for IPv6 addresses, too"),
        );
    }
    let list: Vec<_> = found.iter().map(|found| found.ip().to_string()).collect();
    let what = format!("{host} is {}, in {}", list.join(", "), ms(time));
    findings.push(Finding::good("names", what));
    Some(found)
}

/// The first address that takes a connection. Each is tried, by itself: a login dials them shortly after one another.
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
                let what = format!("{address} takes connections, in {}", ms(start.elapsed()));
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
                    FailMode::Secure => "logins are denied: reason=no-connection",
                    FailMode::Safe => "logins are denied, unless this counts as an outage and failmode = \"safe\" applies: reason=no-connection",
                })
                .advice("look at the firewall: this host needs HTTPS to that address"),
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
            .why("a login that tries it first dials the next one a quarter of a second later")
            .advice("let the firewall refuse what it does not let through, or mend the route"),
        );
    } else if !bad.is_empty() {
        let what = format!("an address takes no connection: {list}");
        findings.push(Finding::note("address", what));
    }
    good
}

/// Which certificates are trusted; `None`: the system has no bundle, or others could have changed it.
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

/// From when on it is worth a word how long a name takes.
const SLOW_NAMES: Duration = Duration::from_secs(1);
