//! Looking up the host's name, or that of the proxy, to whom the host's is left.

use super::progress::Progress;
use dns_lookup::{AddrInfoHints, LookupErrorKind, SockType, getaddrinfo};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use ureq::Error;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// Resolves names without a thread: the client's own resolver starts one where a time limit is
/// set. The wait is bounded by resolv.conf instead. A name is asked for once a login.
#[derive(Debug)]
pub(super) struct Names {
    progress: Arc<Progress>,
    proxy: Option<(String, u16)>,
    known: Arc<Known>,
}

impl Names {
    pub(super) fn new(
        progress: Arc<Progress>,
        proxy: Option<(String, u16)>,
        known: Arc<Known>,
    ) -> Self {
        Self {
            progress,
            proxy,
            known,
        }
    }
}

/// The addresses of this login.
#[derive(Debug, Default)]
pub(super) struct Known {
    addresses: Mutex<Vec<SocketAddr>>,
    /// Addresses that worked before, for the time when there is no answer, without a port.
    kept: Mutex<Vec<IpAddr>>,
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

    /// From now on these do, where there is no answer.
    pub(super) fn keep(&self, addresses: Vec<IpAddr>) {
        if let Ok(mut kept) = self.kept.lock() {
            *kept = addresses;
        }
    }

    /// Whether the addresses come from another login.
    pub(super) fn are_kept(&self) -> bool {
        self.kept.lock().is_ok_and(|kept| !kept.is_empty())
    }
}

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &ureq::http::Uri,
        _config: &ureq::config::Config,
        _timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        self.progress.connecting(false);
        let locked = |_| Error::Io(io::Error::other("the names are locked"));
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
        let kept = self
            .known
            .kept
            .lock()
            .map_err(|error| locked(error.to_string()))?;
        let kept = kept.iter().map(|&address| SocketAddr::new(address, port));
        let kept: Vec<SocketAddr> = kept.collect();
        if known.is_empty() && kept.is_empty() {
            *known = self.look_up(host, port)?;
        }
        let mut addresses = self.empty();
        for &address in known.iter().chain(&kept).take(MAX_ADDRESSES) {
            addresses.push(address);
        }
        Ok(addresses)
    }
}

/// The room for addresses in the client's list.
const MAX_ADDRESSES: usize = 16;

impl Names {
    fn look_up(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Error> {
        addresses(host, port).map_err(|nameless| match nameless {
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

/// The addresses of a host, in the order in which they are tried.
///
/// # Errors
/// [`Nameless`] when there is none.
pub fn addresses(host: &str, port: u16) -> Result<Vec<SocketAddr>, Nameless> {
    let hints = AddrInfoHints {
        socktype: SockType::Stream.into(),
        ..AddrInfoHints::default()
    };
    let found = getaddrinfo(Some(host), None, Some(hints)).map_err(|error| match error.kind() {
        LookupErrorKind::Again => Nameless::ForNow,
        LookupErrorKind::NoName | LookupErrorKind::NoData => Nameless::NoSuchHost,
        _ => Nameless::Local(error.error_num()),
    })?;
    let addresses: Vec<SocketAddr> = found
        .flatten()
        .map(|info| SocketAddr::new(info.sockaddr.ip(), port))
        .collect();
    if addresses.is_empty() {
        return Err(Nameless::NoSuchHost);
    }
    Ok(addresses)
}
