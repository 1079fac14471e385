//! Looking up the host's name, or that of the proxy, to whom the host's is left.

use super::progress::Progress;
use dns_lookup::{AddrInfoHints, LookupErrorKind, SockType, getaddrinfo};
use std::io;
use std::net::SocketAddr;
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
    known: Mutex<Vec<SocketAddr>>,
}

impl Names {
    pub(super) fn new(progress: Arc<Progress>, proxy: Option<(String, u16)>) -> Self {
        Self {
            progress,
            proxy,
            known: Mutex::default(),
        }
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
        let mut known = self
            .known
            .lock()
            .map_err(|_| Error::Io(io::Error::other("the names are locked")))?;
        if known.is_empty() {
            let (host, port) = match &self.proxy {
                Some((host, port)) => (host.as_str(), *port),
                None => (
                    uri.host().ok_or(Error::HostNotFound)?,
                    uri.port_u16().unwrap_or(443),
                ),
            };
            *known = self.look_up(host, port)?;
        }
        let mut addresses = self.empty();
        for &address in known.iter().take(MAX_ADDRESSES) {
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
