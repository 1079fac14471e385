//! Making the connection to OneLogin: TCP, perhaps through a proxy, then TLS with the roots of the configuration.
//! A prepared connection is kept until a request takes it.

use super::client_cert::Identity;
use super::connect::{NoConnection, Ports, Time, connect};
use super::link::{Interrupt, Line, Link, end_of, or_late};
use super::progress::RequestProgress;
use super::roots::{Bundle, Verifier};
use super::tunnel::Tunnel;
use crate::trust::Trusted;
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, KeyProvider, ring};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::sign::SigningKey;
use rustls::{ALL_VERSIONS, ClientConfig, ClientConnection};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use ureq::Error;
use ureq::unversioned::transport::{ConnectionDetails, Connector, LazyBuffers};

/// The TLS configuration, made before a connection.
///
/// # Errors
/// What is wrong with the CA certificates, and where.
pub(super) fn tls(
    ca_file: Option<&Path>,
    identity: Option<Identity>,
    trusted: Trusted,
) -> Result<ClientConfig, String> {
    let provider = Arc::new(provider());
    let bundle = Bundle::open(ca_file, trusted)?;
    let verifier = Verifier::new(bundle, Arc::clone(&provider));
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(ALL_VERSIONS)
        .map_err(|error| error.to_string())?
        // A verifier that is not rustls' own is asked for by this name. Ours is rustls' own, with fewer roots.
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match identity {
        Some(identity) => config.with_client_cert_resolver(Arc::new(identity.certified)),
        None => config.with_no_client_auth(),
    };
    // Of one server, for the connections of one login.
    config.resumption = Resumption::in_memory_sessions(1);
    Ok(config)
}

/// The cryptography of `ring`, without keys of our own.
fn provider() -> CryptoProvider {
    CryptoProvider {
        key_provider: &NoKeys,
        ..ring::default_provider()
    }
}

/// A client certificate brings its key with it ([`Identity`]), so rustls reads none. Its code for that, which never runs, would be
/// a part of the module otherwise.
#[derive(Debug)]
struct NoKeys;

impl KeyProvider for NoKeys {
    fn load_private_key(
        &self,
        _key: PrivateKeyDer<'static>,
    ) -> Result<Arc<dyn SigningKey>, rustls::Error> {
        Err(rustls::Error::InconsistentKeys(
            rustls::InconsistentKeys::Unknown,
        ))
    }
}

/// Whether it matters which address answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peers {
    /// It does not.
    Unknown,
    /// It is noted for each connection.
    Noted,
}

/// The prepared connection, or the one to be prepared.
#[derive(Clone, Debug, Default)]
pub(super) struct Held(Arc<Holder>);

#[derive(Debug, Default)]
struct Holder {
    link: Mutex<Option<Link>>,
    wanted: AtomicBool,
}

impl Held {
    /// Whether the next connection is kept, and its request ended unsent.
    pub(super) fn is_wanted(&self, is_wanted: bool) {
        self.0.wanted.store(is_wanted, Ordering::Relaxed);
    }

    pub(super) fn is_there(&self) -> bool {
        self.0.link.lock().is_ok_and(|held| held.is_some())
    }

    /// Closes it.
    pub(super) fn drop(&self) {
        if let Ok(mut link) = self.0.link.lock() {
            *link = None;
        }
    }

    /// If the server has neither closed it nor sent anything unasked.
    fn take(&self) -> Option<Link> {
        let mut link = self.0.link.lock().ok()?.take()?;
        link.is_quiet().then_some(link)
    }

    /// Keeps the connection if it was only to be prepared; returns it if a request is waiting.
    fn pass(&self, link: Link) -> Result<Link, Error> {
        if !self.0.wanted.load(Ordering::Relaxed) {
            return Ok(link);
        }
        if let Ok(mut held) = self.0.link.lock() {
            *held = Some(link);
        }
        // If nothing could be kept, this error is no outage.
        Err(Error::Io(io::Error::other(
            "the connection is kept for the next request",
        )))
    }
}

/// Makes connections. One that was prepared is given first, unless the server has closed it meanwhile: then it is
/// made anew, before anything is sent.
#[derive(Debug)]
pub(super) struct Dial {
    tls: Arc<ClientConfig>,
    tunnel: Option<Tunnel>,
    held: Held,
    ports: Ports,
    peers: Peers,
    /// How long a connection may take.
    patience: Duration,
    interrupt: Option<Interrupt>,
    progress: Arc<RequestProgress>,
}

impl Dial {
    pub(super) fn new(
        tls: ClientConfig,
        tunnel: Option<Tunnel>,
        held: Held,
        (ports, peers, patience): (Ports, Peers, Duration),
        interrupt: Option<Interrupt>,
        progress: Arc<RequestProgress>,
    ) -> Self {
        Self {
            tls: Arc::new(tls),
            tunnel,
            held,
            ports,
            peers,
            patience,
            interrupt,
            progress,
        }
    }

    fn dial(&self, details: &ConnectionDetails<'_>) -> Result<Link, Error> {
        let host = details.uri.host().unwrap_or_default();
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| Error::Tls("the host name is not a valid TLS server name"))?;
        let tls = ClientConnection::new(Arc::clone(&self.tls), name);
        let end = end_of(details.timeout);

        self.progress.connecting(true);
        let interrupted = || self.progress.interrupted();
        let whole = self.patience;
        let time = Time { end, whole };
        let stream = connect(
            &details.addrs,
            self.ports,
            time,
            self.interrupt,
            interrupted,
        );
        let stream = stream.map_err(|NoConnection { error, miss }| {
            self.progress.missed(miss);
            error
        });
        let stream = or_late(stream, details.timeout)?;
        if self.peers == Peers::Noted {
            self.progress.peer(stream.peer_addr()?.ip());
        }
        let mut line = Line::new(stream, self.interrupt, Arc::clone(&self.progress))?;
        self.progress.connecting(false);

        line.until(end);
        if let Some(tunnel) = &self.tunnel {
            let open = tunnel.open(&mut line, &self.progress);
            open.or_else(|error| or_late(Err(error.into_io()), details.timeout))?;
        }
        let sizes = details.config;
        let buffers = LazyBuffers::new(sizes.input_buffer_size(), sizes.output_buffer_size());
        let tls = tls.map_err(io::Error::other)?;
        or_late(Link::over(line, tls, buffers), details.timeout)
    }
}

impl Connector<()> for Dial {
    type Out = Link;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _chained: Option<()>,
    ) -> Result<Option<Self::Out>, Error> {
        let link = match self.held.take() {
            Some(link) => link,
            None => self.dial(details)?,
        };
        self.held.pass(link).map(Some)
    }
}
