//! Looks up OneLogin's host name, or the proxy's, which then looks up OneLogin's.

use super::link::end_of;
use super::nodata::{self, Kind};
use super::progress::RequestProgress;
use crate::outage::Miss;
use crate::pam::sys::{Asking, limited};
use dns_lookup::{AddrFamily, AddrInfoHints, LookupErrorKind, SockType, getaddrinfo};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use ureq::Error;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// Resolves names without a thread: the client's own resolver starts one where a time limit is
/// set. Here the C library is told how long to wait. A name is looked up once a login.
#[derive(Debug)]
pub(super) struct Names {
    progress: Arc<RequestProgress>,
    proxy: Option<(String, u16)>,
    care: Care,
    known: Arc<Known>,
}

/// How a name is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Care {
    /// Both families in one call; every address found is dialled.
    Quick,
    /// Each family by itself. If a name server answers only one of two queries, as a busy one does, the
    /// name service returns half of the addresses, or tries a name of the search list.
    Whole,
}

impl Names {
    pub(super) fn new(
        progress: Arc<RequestProgress>,
        proxy: Option<(String, u16)>,
        care: Care,
        known: Arc<Known>,
    ) -> Self {
        Self {
            progress,
            proxy,
            care,
            known,
        }
    }
}

/// The addresses of this login.
#[derive(Debug, Default)]
pub(super) struct Known {
    addresses: Mutex<Vec<SocketAddr>>,
    /// Addresses that worked before, for the time when there is no answer, without a port.
    stored: Mutex<Vec<IpAddr>>,
    /// A part of the answer is missing.
    is_half: AtomicBool,
}

impl Known {
    /// The addresses that a name server told in this login.
    pub(super) fn addresses(&self) -> Vec<IpAddr> {
        let known = self.addresses.lock();
        known.map_or_else(
            |_| Vec::new(),
            |known| known.iter().map(SocketAddr::ip).collect(),
        )
    }

    /// Dials this address after all others from now on.
    pub(super) fn put_last(&self, address: Option<IpAddr>) {
        if let Ok(mut known) = self.addresses.lock() {
            known.sort_by_key(|known| Some(known.ip()) == address);
        }
    }

    /// Uses these addresses from now on if no name server answers.
    pub(super) fn store(&self, addresses: Vec<IpAddr>) {
        if let Ok(mut stored) = self.stored.lock() {
            *stored = addresses;
        }
    }

    /// Why these addresses failed, if they are all addresses of the name in this login.
    pub(super) fn weigh(&self, miss: Miss) -> Miss {
        let are_stored = self.stored.lock().is_ok_and(|stored| !stored.is_empty());
        if are_stored {
            Miss::StoredAddress
        } else if self.is_half.load(Ordering::Relaxed) {
            Miss::NameServer
        } else if self.addresses().len() > MAX_ADDRESSES {
            Miss::Hurry
        } else {
            miss
        }
    }
}

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &ureq::http::Uri,
        _config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        self.progress.connecting(false);
        let locked = |_| Error::Io(io::Error::other("the list of addresses is locked"));
        let mut known = self
            .known
            .addresses
            .lock()
            .map_err(|error| locked(error.to_string()))?;
        let (host, port) = match &self.proxy {
            Some((host, port)) => (host.as_str(), *port),
            None => (
                uri.host().ok_or(Error::HostNotFound)?,
                uri.port_u16().unwrap_or(443),
            ),
        };
        let stored = self
            .known
            .stored
            .lock()
            .map_err(|error| locked(error.to_string()))?;
        let stored = stored.iter().map(|&address| SocketAddr::new(address, port));
        let stored: Vec<SocketAddr> = stored.collect();
        if known.is_empty() && stored.is_empty() {
            *known = self.look_up(host, port, end_of(timeout))?;
        }
        let mut addresses = self.empty();
        for &address in known.iter().chain(&stored).take(MAX_ADDRESSES) {
            addresses.push(address);
        }
        Ok(addresses)
    }
}

/// The capacity of the client's list of addresses.
const MAX_ADDRESSES: usize = 16;

impl Names {
    fn look_up(&self, host: &str, port: u16, end: Instant) -> Result<Vec<SocketAddr>, Error> {
        let found = match self.care {
            Care::Quick => addresses(host, port, end),
            Care::Whole => whole(host, port, end).map(|(addresses, is_half)| {
                self.known.is_half.store(is_half, Ordering::Relaxed);
                addresses
            }),
        };
        found.map_err(|nameless| match nameless {
            Nameless::ForNow => Error::HostNotFound,
            Nameless::NoSuchHost => {
                self.progress.no_such_host();
                Error::HostNotFound
            }
            Nameless::Local(code) => Error::Io(io::Error::other(format!("getaddrinfo: {code}"))),
        })
    }
}

/// Why a name has no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nameless {
    /// The name server gave no answer.
    ForNow,
    /// There is no such name, or it has no address.
    NoSuchHost,
    /// This host could not ask; the code of getaddrinfo(3).
    Local(i32),
}

/// The addresses of a host, in the order in which they are tried. The look-up ends at this moment, or as soon as each name server
/// has had one second.
///
/// # Errors
/// [`Nameless`] if there is no address.
pub fn addresses(host: &str, port: u16, end: Instant) -> Result<Vec<SocketAddr>, Nameless> {
    let look_up = LookUp {
        host,
        port,
        family: None,
        end,
        is_first: true,
    };
    look_up.run()
}

/// The addresses of a host, and whether a part of the answer is missing.
fn whole(host: &str, port: u16, end: Instant) -> Result<(Vec<SocketAddr>, bool), Nameless> {
    let hosts = std::fs::read_to_string(HOSTS).unwrap_or_default();
    if host.parse::<IpAddr>().is_ok() || is_pinned(&hosts, host) {
        return addresses(host, port, end).map(|addresses| (addresses, false));
    }
    // With a dot at its end, a name is looked up as it stands.
    let name = format!("{}.", host.trim_end_matches('.'));
    let (mut found, mut missing) = (Vec::new(), None);
    for family in [AddrFamily::Inet, AddrFamily::Inet6] {
        let look_up = LookUp {
            host: &name,
            port,
            family: Some(family),
            end,
            is_first: family == AddrFamily::Inet,
        };
        match look_up.run() {
            Ok(addresses) => found.extend(addresses),
            Err(Nameless::NoSuchHost) => {}
            Err(nameless) => missing = Some(nameless),
        }
    }
    match missing {
        Some(nameless) if found.is_empty() => Err(nameless),
        // It is a name of the search list, or does not exist. Both families are then asked for at once, so half of the answer
        // may be missing without an error.
        None if found.is_empty() => addresses(host, port, end).map(|addresses| (addresses, true)),
        _ => Ok((found, missing.is_some())),
    }
}

/// Where an admin writes names beside those of the name servers: hosts(5).
const HOSTS: &str = "/etc/hosts";

/// Whether a line of this file has the name: no name server is asked for it then.
fn is_pinned(hosts: &str, host: &str) -> bool {
    hosts.lines().any(|line| {
        let line = line.split('#').next().unwrap_or_default();
        let mut names = line.split_whitespace().skip(1);
        names.any(|name| name.eq_ignore_ascii_case(host))
    })
}

/// A look-up of a name that ends in time.
struct LookUp<'a> {
    host: &'a str,
    port: u16,
    /// `None`: both.
    family: Option<AddrFamily>,
    end: Instant,
    /// Name servers are asked at least once, however little time there is.
    is_first: bool,
}

/// Why one call of getaddrinfo(3) found no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gap {
    /// No name server answered, or each answer reported an error of the server.
    ForNow,
    /// There is no such name.
    NoName,
    /// The answer has no address; it may have been truncated.
    NoAddress,
    /// This host could not ask; the code.
    Local(i32),
}

impl LookUp<'_> {
    fn run(&self) -> Result<Vec<SocketAddr>, Nameless> {
        if self.host.parse::<IpAddr>().is_ok() {
            return self.call().map_err(Nameless::from);
        }
        let mut way = self.first_way();
        let mut answer = self.ask(way);
        if answer == Err(Gap::ForNow) {
            way = Asking::Patiently;
            answer = self.ask(way);
        }
        if answer == Err(Gap::NoAddress) && !self.has_no_address() {
            if way != Asking::ForLongAnswers {
                answer = self.ask(Asking::ForLongAnswers);
            }
            if answer == Err(Gap::NoAddress) {
                answer = Err(Gap::ForNow);
            }
        }
        let is_relative = self.host.contains('.') && !self.host.ends_with('.');
        if is_relative && matches!(answer, Err(Gap::NoName | Gap::NoAddress)) {
            answer = self.ask(Asking::InDomains);
        }
        answer.map_err(Nameless::from)
    }

    /// For one family, a long answer is requested at once: glibc does not report that addresses were cut off.
    fn first_way(&self) -> Asking {
        match self.family {
            Some(_) => Asking::ForLongAnswers,
            None => Asking::First,
        }
    }

    /// Asks once, if there is time for it.
    fn ask(&self, asking: Asking) -> Result<Vec<SocketAddr>, Gap> {
        let answer = limited(asking, |resolver| {
            let names = match asking {
                Asking::InDomains if resolver.domains == 0 => return Err(Gap::NoName),
                Asking::InDomains => resolver.domains + 1,
                _ => 1,
            };
            let is_due = self.is_first && asking == self.first_way();
            if is_due || self.has_time(asking.seconds(), resolver.servers * names) {
                self.call()
            } else {
                Err(Gap::ForNow)
            }
        });
        answer.unwrap_or(Err(Gap::Local(libc::EAI_SYSTEM)))
    }

    /// Whether this many waits of `seconds` each fit before the end.
    fn has_time(&self, seconds: u8, answers: usize) -> bool {
        let answers = u32::try_from(answers).unwrap_or(u32::MAX);
        let needed = Duration::from_secs(seconds.into()).saturating_mul(answers);
        needed <= self.end.saturating_duration_since(Instant::now())
    }

    /// Whether a name server says so in a complete answer.
    fn has_no_address(&self) -> bool {
        let families = match self.family {
            Some(family) => vec![family],
            None => vec![AddrFamily::Inet, AddrFamily::Inet6],
        };
        let servers = nodata::servers();
        families.into_iter().all(|family| {
            let kind = match family {
                AddrFamily::Inet6 => Kind::Ipv6,
                _ => Kind::Ipv4,
            };
            self.has_time(1, servers.len()) && nodata::is_said(self.host, kind, &servers)
        })
    }

    fn call(&self) -> Result<Vec<SocketAddr>, Gap> {
        let hints = AddrInfoHints {
            socktype: SockType::Stream.into(),
            address: self.family.map_or(0, Into::into),
            ..AddrInfoHints::default()
        };
        let found = getaddrinfo(Some(self.host), None, Some(hints)).map_err(|error| match error
            .kind()
        {
            LookupErrorKind::Again => Gap::ForNow,
            LookupErrorKind::NoName => Gap::NoName,
            LookupErrorKind::NoData => Gap::NoAddress,
            _ => Gap::Local(error.error_num()),
        })?;
        let addresses: Vec<SocketAddr> = found
            .flatten()
            .map(|info| SocketAddr::new(info.sockaddr.ip(), self.port))
            .collect();
        if addresses.is_empty() {
            return Err(Gap::NoAddress);
        }
        Ok(addresses)
    }
}

impl From<Gap> for Nameless {
    fn from(gap: Gap) -> Self {
        match gap {
            Gap::ForNow => Self::ForNow,
            Gap::NoName | Gap::NoAddress => Self::NoSuchHost,
            Gap::Local(code) => Self::Local(code),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r19_a_name_of_the_hosts_file_is_recognised_by_whole_words() {
        let hosts = "127.0.0.1 localhost\n192.0.2.1\tx.example.com x # other.example.com\n#192.0.2.2 off.example.com\n";
        for (name, is_there) in [
            ("localhost", true),
            ("X.example.com", true),
            ("x", true),
            ("other.example.com", false),
            ("off.example.com", false),
            ("example.com", false),
            ("192.0.2.1", false),
        ] {
            assert_eq!(is_pinned(hosts, name), is_there, "{name}");
        }
    }

    #[test]
    fn r19_what_is_missed_at_half_of_the_addresses_or_at_too_many_says_nothing() {
        let known = Known::default();
        assert_eq!(known.weigh(Miss::Refused), Miss::Refused);
        let address = SocketAddr::new("192.0.2.1".parse().unwrap(), 443);
        *known.addresses.lock().unwrap() = vec![address; MAX_ADDRESSES];
        assert_eq!(known.weigh(Miss::Refused), Miss::Refused);
        *known.addresses.lock().unwrap() = vec![address; MAX_ADDRESSES + 1];
        assert_eq!(known.weigh(Miss::Refused), Miss::Hurry);
        known.is_half.store(true, Ordering::Relaxed);
        assert_eq!(known.weigh(Miss::NoRoute), Miss::NameServer);
        known.store(vec![address.ip()]);
        assert_eq!(known.weigh(Miss::NoRoute), Miss::StoredAddress);
    }

    #[test]
    fn an_address_that_is_put_last_is_dialled_after_all_others() {
        let known = Known::default();
        let address = |last| SocketAddr::new(IpAddr::from([192, 0, 2, last]), 443);
        let order = |known: &Known| {
            known
                .addresses()
                .iter()
                .map(|ip| match ip {
                    IpAddr::V4(ip) => ip.octets()[3],
                    IpAddr::V6(_) => 0,
                })
                .collect::<Vec<u8>>()
        };
        *known.addresses.lock().unwrap() = vec![address(1), address(2), address(3)];
        known.put_last(None);
        assert_eq!(order(&known), [1, 2, 3]);
        known.put_last(Some(address(1).ip()));
        assert_eq!(order(&known), [2, 3, 1]);
        known.put_last(Some(address(9).ip()));
        assert_eq!(order(&known), [2, 3, 1]);
    }
}
