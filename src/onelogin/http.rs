//! HTTPS to one fixed host. The only file that names the HTTP client, and the only one that
//! exposes a secret. No proxy, no trust and no redirect comes from outside (rules R3, R6).

use crate::config::{Config, Origin};
use crate::login::{ApiError, Trouble};
use crate::onelogin::wire::Reply;
use crate::secret::Secret;
use crate::trust::{MAX_BUNDLE, Privacy, Trusted, system_bundle};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dns_lookup::{AddrInfoHints, LookupErrorKind, SockType, getaddrinfo};
use once_cell::unsync::OnceCell;
use serde::{Serialize, Serializer};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use ureq::http::header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, NextTimeout, RustlsConnector, TcpConnector, Transport,
};
use ureq::{Agent, Error};
use zeroize::Zeroizing;

/// The longest reply that is read, in bytes (rule R9).
const MAX_REPLY: u64 = 64 << 10;

/// The longest head of a reply, in bytes.
const MAX_HEAD: usize = 16 << 10;

/// How long an idle connection is kept: a person types slower than the client's own 15 s.
const IDLE: Duration = Duration::from_secs(600);

/// Whether the user wants a wait to end.
pub type Interrupt = fn() -> bool;

/// How long a connection is waited for between two looks at the user.
const SLICE: Duration = Duration::from_millis(250);

/// How long a prepared connection is listened to before it is used.
const MOMENT: Duration = Duration::from_millis(1);

/// The time that a call may take with all its requests.
#[derive(Clone, Copy)]
pub struct Allowance {
    end: Instant,
}

impl Allowance {
    /// Starts now.
    #[must_use]
    pub fn of(time: Duration) -> Self {
        Self {
            end: Instant::now() + time,
        }
    }

    fn left(self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }
}

/// A request.
pub struct Call<'a> {
    /// What to do.
    pub method: Method,
    /// The path, from `/`.
    pub path: String,
    /// The query; values are percent-encoded on the way.
    pub query: &'a [(&'a str, &'a str)],
    /// Who is calling.
    pub caller: Caller<'a>,
}

/// The method of a request, with its body where it has one.
pub enum Method {
    /// GET
    Get,
    /// POST of a JSON body
    Post(Zeroizing<Vec<u8>>),
    /// PUT of a JSON body
    Put(Zeroizing<Vec<u8>>),
}

/// How a request is authorised.
#[derive(Clone, Copy)]
pub enum Caller<'a> {
    /// By an access token.
    Bearer(&'a Secret),
    /// By the API credential itself.
    Client {
        /// `client_id`
        id: &'a str,
        /// `client_secret`
        secret: &'a Secret,
    },
}

/// What a request came to, for the log: shapes and timings, never values.
#[derive(Debug)]
pub struct Exchange {
    /// `GET`, `POST` or `PUT`
    pub method: &'static str,
    /// The path without its query.
    pub path: String,
    /// The HTTP status, if there was a reply.
    pub status: Option<u16>,
    /// The length of the reply's body in bytes.
    pub bytes: usize,
    /// How long it took.
    pub time: Duration,
    /// OneLogin's name for the request.
    pub request_id: Option<String>,
}

/// What carries a call to OneLogin, and the reply back.
pub trait Carrier {
    /// Makes a connection, if there is none, and sends nothing.
    ///
    /// # Errors
    /// [`ApiError`] when there is none to be had.
    fn prepare(&mut self, allowance: Allowance) -> Result<(), ApiError>;
    /// Sends a request, once, and reads the reply.
    ///
    /// # Errors
    /// [`ApiError`] when there is no reply. Each HTTP status is a reply.
    fn send(&mut self, call: &Call<'_>, allowance: Allowance) -> Result<Reply, ApiError>;
}

/// The carrier of one login, by HTTPS. One TLS connection serves it from the first request to the last.
pub struct Http {
    origin: Origin,
    ca_file: Option<PathBuf>,
    trusted: Trusted,
    connect_timeout: Duration,
    request_timeout: Duration,
    interrupt: Option<Interrupt>,
    agent: OnceCell<Agent>,
    progress: Arc<Progress>,
    held: Held,
    exchanges: Vec<Exchange>,
}

impl Http {
    /// Prepares a client. Nothing is read or sent before the first request. A wait for a reply ends
    /// when `interrupt` says so.
    #[must_use]
    pub fn new(config: &Config, trusted: Trusted, interrupt: Option<Interrupt>) -> Self {
        Self {
            origin: config.onelogin.origin.clone(),
            ca_file: config.onelogin.ca_file.clone(),
            trusted,
            connect_timeout: config.onelogin.connect_timeout,
            request_timeout: config.onelogin.request_timeout,
            interrupt,
            agent: OnceCell::new(),
            progress: Arc::default(),
            held: Held::default(),
            exchanges: Vec::new(),
        }
    }

    /// What was sent.
    #[must_use]
    pub fn into_exchanges(self) -> Vec<Exchange> {
        self.exchanges
    }
}

impl Http {
    /// The time for a request, and the agent to send it.
    fn begin(&self, allowance: Allowance) -> Result<(Duration, &Agent), ApiError> {
        let left = allowance.left();
        let time = left.min(self.request_timeout);
        if time.is_zero() {
            return Err(ApiError::deadline());
        }
        let agent = self.agent.get_or_try_init(|| {
            agent(
                self.ca_file.as_ref(),
                self.trusted,
                Arc::clone(&self.progress),
                self.held.clone(),
                self.interrupt,
            )
        })?;
        self.progress
            .reset(left < self.request_timeout.min(self.connect_timeout));
        Ok((time, agent))
    }
}

impl Carrier for Http {
    /// The connection is made as for a request, which ends when it is there; the next request takes
    /// it.
    fn prepare(&mut self, allowance: Allowance) -> Result<(), ApiError> {
        if !self.exchanges.is_empty() || self.held.is_there() {
            return Ok(());
        }
        let (time, agent) = self.begin(allowance)?;
        self.progress.holds.store(true, Ordering::Relaxed);
        let result = agent
            .get(self.origin.to_string())
            .config()
            .timeout_global(Some(time))
            .timeout_connect(Some(self.connect_timeout))
            .build()
            .call();
        self.progress.holds.store(false, Ordering::Relaxed);
        match result {
            Err(error) if !self.held.is_there() => Err(self.progress.explain(&error)),
            _ => Ok(()),
        }
    }

    fn send(&mut self, call: &Call<'_>, allowance: Allowance) -> Result<Reply, ApiError> {
        let (time, agent) = self.begin(allowance)?;
        let start = Instant::now();
        let result = exchange(agent, &self.origin, call, time, self.connect_timeout);
        let reply = result.as_ref().ok();
        self.exchanges.push(Exchange {
            method: call.method.name(),
            path: call.path.clone(),
            status: reply.map(|reply| reply.status),
            bytes: reply.map_or(0, |reply| reply.body.len()),
            time: start.elapsed(),
            request_id: reply.and_then(|reply| reply.request_id.clone()),
        });
        result.map_err(|error| self.progress.explain(&error))
    }
}

impl Method {
    /// `GET`, `POST` or `PUT`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post(_) => "POST",
            Self::Put(_) => "PUT",
        }
    }
}

/// JSON of a value; the bytes are wiped when they are dropped.
///
/// # Errors
/// [`ApiError`] when the value cannot be written as JSON.
pub fn json(value: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, ApiError> {
    serde_json::to_vec(value)
        .map(Zeroizing::new)
        .map_err(|error| local(&error))
}

/// Writes a secret into JSON: for `#[serde(serialize_with)]` in the types that leave for OneLogin
/// or for the private files.
///
/// # Errors
/// Those of the serializer.
pub fn exposed<S: Serializer>(secret: &&Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}

/// Writes the code of an enrolment as it is documented, as a number; as text where a number would
/// lose a leading zero or cannot hold it.
///
/// # Errors
/// Those of the serializer.
pub fn exposed_as_documented<S: Serializer>(
    secret: &&Secret,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let text = secret.expose();
    match text.parse::<u64>() {
        Ok(number) if !text.starts_with('0') && secret.all(|c| c.is_ascii_digit()) => {
            serializer.serialize_u64(number)
        }
        _ => serializer.serialize_str(text),
    }
}

fn exchange(
    agent: &Agent,
    origin: &Origin,
    call: &Call<'_>,
    time: Duration,
    connect_timeout: Duration,
) -> Result<Reply, Error> {
    let url = format!("{origin}{}", call.path);
    let authorization = Zeroizing::new(match call.caller {
        Caller::Bearer(token) => format!("Bearer {}", token.expose()),
        Caller::Client { id, secret } => {
            format!("client_id:{id}, client_secret:{}", secret.expose())
        }
    });
    macro_rules! prepared {
        ($builder:expr) => {
            $builder
                .query_pairs(call.query.iter().copied())
                .header("authorization", authorization.as_str())
                .config()
                .timeout_global(Some(time))
                .timeout_connect(Some(connect_timeout))
                .build()
        };
    }
    let mut response = match &call.method {
        Method::Get => prepared!(agent.get(&url)).call()?,
        Method::Post(body) => prepared!(agent.post(&url))
            .content_type("application/json")
            .send(body.as_slice())?,
        Method::Put(body) => prepared!(agent.put(&url))
            .content_type("application/json")
            .send(body.as_slice())?,
    };
    let header = |name: &str| {
        let value = response.headers().get(name)?;
        value.to_str().ok().map(str::to_owned)
    };
    let request_id = header("x-request-id");
    let retry_after = header("retry-after").and_then(|seconds| seconds.parse().ok());
    let status = response.status().as_u16();
    if response.status().is_success() && !is_framed(response.headers()) {
        let text = "a reply that does not say once how long it is";
        return Err(io::Error::new(io::ErrorKind::InvalidData, text).into());
    }
    let body = response
        .body_mut()
        .with_config()
        .limit(MAX_REPLY)
        .read_to_vec()?;
    Ok(Reply {
        status,
        body: Zeroizing::new(body),
        request_id,
        retry_after,
    })
}

/// Whether a reply says in one way how long its body is. One that is as long as its connection could have been cut short,
/// and one that says it twice is read differently by whoever is in between. An error need not: gateways that are in
/// trouble answer by old rules, and its body decides nothing.
fn is_framed(headers: &HeaderMap) -> bool {
    let lengths = headers.get_all(CONTENT_LENGTH).iter().count();
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (lengths, codings.next(), codings.next()) {
        (1, None, None) => true,
        (0, Some(coding), None) => coding.as_bytes().eq_ignore_ascii_case(b"chunked"),
        _ => false,
    }
}

fn agent(
    ca_file: Option<&PathBuf>,
    trusted: Trusted,
    progress: Arc<Progress>,
    held: Held,
    interrupt: Option<Interrupt>,
) -> Result<Agent, ApiError> {
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .root_certs(RootCerts::Specific(Arc::new(roots(ca_file, trusted)?)))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    let config = Agent::config_builder()
        .tls_config(tls)
        .proxy(None)
        .https_only(true)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .user_agent(concat!("pam_onelogin/", env!("CARGO_PKG_VERSION")))
        .accept("application/json")
        .accept_encoding("identity")
        .max_response_header_size(MAX_HEAD)
        .max_idle_age(IDLE)
        .input_buffer_size(MAX_HEAD)
        .output_buffer_size(MAX_HEAD)
        .build();
    let connector = ()
        .chain(Ready(held.clone()))
        .chain(Mark {
            progress: Arc::clone(&progress),
            at: CONNECTING,
        })
        .chain(TcpConnector::default())
        .chain(Mark {
            progress: Arc::clone(&progress),
            at: CONNECTED,
        })
        .chain(Watch {
            progress: Arc::clone(&progress),
            interrupt,
        })
        .chain(RustlsConnector::default())
        .chain(Hold {
            progress: Arc::clone(&progress),
            held,
        });
    let resolver = Names {
        progress,
        known: Mutex::default(),
    };
    Ok(Agent::with_parts(config, connector, resolver))
}

fn roots(
    ca_file: Option<&PathBuf>,
    trusted: Trusted,
) -> Result<Vec<Certificate<'static>>, ApiError> {
    let fault = |path: &std::path::Path, text: &dyn std::fmt::Display| {
        ApiError::new(Trouble::Tls, format!("{}: {text}", path.display()))
    };
    let (path, mut pem) = match ca_file {
        Some(path) => {
            let pem = trusted.read(path, Privacy::Public, MAX_BUNDLE);
            (path.clone(), pem.map_err(|error| fault(path, &error))?)
        }
        None => system_bundle().map_err(|error| ApiError::new(Trouble::Tls, error.to_string()))?,
    };
    // Certificates are public: they are not wiped.
    let pem = std::mem::take(&mut *pem);
    let certificates = certificates(&pem).map_err(|text| fault(&path, &text))?;
    if certificates.is_empty() {
        return Err(fault(&path, &"holds no certificate in PEM form"));
    }
    Ok(certificates)
}

/// The certificates of a text in PEM form; what stands between them is passed over. The HTTP
/// client's own reader takes care to keep a secret while it decodes, and so most of a login's time
/// for the system's bundle.
fn certificates(pem: &[u8]) -> Result<Vec<Certificate<'static>>, &'static str> {
    let mut certificates = Vec::new();
    let mut block: Option<Vec<u8>> = None;
    for line in pem.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii) {
        match (&mut block, line) {
            (None, b"-----BEGIN CERTIFICATE-----") => block = Some(Vec::new()),
            (None, _) => {}
            (Some(base64), b"-----END CERTIFICATE-----") => {
                let der = STANDARD.decode(base64);
                let der = der.map_err(|_| "holds a certificate that is no base64")?;
                certificates.push(Certificate::from_der(&der).to_owned());
                block = None;
            }
            (Some(base64), line) => base64.extend_from_slice(line),
        }
    }
    match block {
        None => Ok(certificates),
        Some(_) => Err("holds a certificate without an end"),
    }
}

const START: u8 = 0;
const RESOLVING: u8 = 1;
const CONNECTING: u8 = 2;
const CONNECTED: u8 = 3;

/// How far a request came, so that its failure can be told: only before a connection is made is
/// OneLogin out of reach.
#[derive(Debug, Default)]
struct Progress {
    step: AtomicU8,
    no_such_host: AtomicBool,
    interrupted: AtomicBool,
    hurried: AtomicBool,
    /// Whether the next connection is held, and its request ended.
    holds: AtomicBool,
}

impl Progress {
    /// A request begins. `hurried`: the login's own time ends before a connection's would.
    fn reset(&self, hurried: bool) {
        self.at(START);
        self.no_such_host.store(false, Ordering::Relaxed);
        self.hurried.store(hurried, Ordering::Relaxed);
    }

    fn is_hurried(&self) -> bool {
        self.hurried.load(Ordering::Relaxed)
    }

    fn at(&self, step: u8) {
        self.step.store(step, Ordering::Relaxed);
    }

    fn explain(&self, error: &Error) -> ApiError {
        let step = self.step.load(Ordering::Relaxed);
        let trouble = match error {
            _ if self.interrupted.load(Ordering::Relaxed) => Trouble::Interrupted,
            Error::HostNotFound if self.no_such_host.load(Ordering::Relaxed) => Trouble::NoSuchHost,
            // No connection within its own time; but the end of the login's time is no outage.
            Error::Timeout(_) if step == CONNECTING && !self.is_hurried() => Trouble::NoConnection,
            Error::Timeout(_) => Trouble::Timeout,
            Error::Rustls(_) | Error::Tls(_) | Error::TlsRequired | Error::Pem(_) => Trouble::Tls,
            Error::Io(io) => io_trouble(io, step),
            Error::BodyExceedsLimit(_)
            | Error::LargeResponseHeader(..)
            | Error::Protocol(_)
            | Error::BodyStalled => Trouble::BadReply,
            Error::HostNotFound | Error::ConnectionFailed => Trouble::NoConnection,
            // The rest cannot be caused by OneLogin or the way to it.
            _ => Trouble::Local,
        };
        let detail = match error {
            // These may hold an address or a header of ours; their kind says enough.
            Error::Http(_) => {
                "a header could not be made; look at client_id and client_secret".to_owned()
            }
            // The client's own words would have an admin look for a wrong name.
            Error::HostNotFound if trouble == Trouble::NoConnection => {
                "the name server gave no answer".to_owned()
            }
            error => error.to_string(),
        };
        ApiError::new(trouble, detail)
    }
}

fn io_trouble(error: &io::Error, step: u8) -> Trouble {
    use io::ErrorKind as Kind;
    if let Some(inner) = error.get_ref() {
        if inner.is::<rustls::Error>() {
            return Trouble::Tls;
        }
    }
    if error.kind() == Kind::InvalidData {
        return Trouble::BadReply;
    }
    let is_of_the_network = matches!(
        error.kind(),
        Kind::BrokenPipe
            | Kind::ConnectionAborted
            | Kind::ConnectionRefused
            | Kind::ConnectionReset
            | Kind::HostUnreachable
            | Kind::NetworkDown
            | Kind::NetworkUnreachable
            | Kind::TimedOut
            | Kind::UnexpectedEof
    );
    match (step, is_of_the_network) {
        (CONNECTING, true) => Trouble::NoConnection,
        (_, true) => Trouble::Broken,
        (_, false) => Trouble::Local,
    }
}

fn local(error: &dyn std::error::Error) -> ApiError {
    ApiError::new(Trouble::Local, error.to_string())
}

/// A link in the chain of connectors that notes how far it came.
#[derive(Debug)]
struct Mark {
    progress: Arc<Progress>,
    at: u8,
}

impl<In: Transport> Connector<In> for Mark {
    type Out = In;

    fn connect(
        &self,
        _details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<In>, Error> {
        self.progress.at(self.at);
        Ok(chained)
    }
}

/// The connection that was prepared.
#[derive(Clone, Debug, Default)]
struct Held(Arc<Mutex<Option<Box<dyn Transport>>>>);

impl Held {
    fn put(&self, connection: Box<dyn Transport>) {
        if let Ok(mut held) = self.0.lock() {
            *held = Some(connection);
        }
    }

    /// If the server has not closed it, nor said anything that nobody asked for. It is listened to,
    /// as the session tickets of TLS wait to be read.
    fn take(&self) -> Option<Box<dyn Transport>> {
        let mut connection = self.0.lock().ok()?.take()?;
        let moment = NextTimeout {
            after: MOMENT.into(),
            ..NextTimeout::default()
        };
        let is_quiet = matches!(connection.await_input(moment), Err(Error::Timeout(_)));
        is_quiet.then_some(connection)
    }

    fn is_there(&self) -> bool {
        self.0.lock().is_ok_and(|held| held.is_some())
    }
}

/// The first link in the chain of connectors: gives the connection that was prepared, which the
/// links behind it pass on as it is. One that the server has closed meanwhile is made anew, before
/// anything is sent.
#[derive(Debug)]
struct Ready(Held);

impl Connector<()> for Ready {
    type Out = Box<dyn Transport>;

    fn connect(
        &self,
        _details: &ConnectionDetails<'_>,
        _chained: Option<()>,
    ) -> Result<Option<Self::Out>, Error> {
        Ok(self.0.take())
    }
}

/// The last link: holds a connection that is only prepared, and so ends its request unsent.
#[derive(Debug)]
struct Hold {
    progress: Arc<Progress>,
    held: Held,
}

impl<In: Transport> Connector<In> for Hold {
    type Out = In;

    fn connect(
        &self,
        _details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<In>, Error> {
        if !self.progress.holds.load(Ordering::Relaxed) {
            return Ok(chained);
        }
        if let Some(transport) = chained {
            self.held.put(transport.boxed());
        }
        // Where nothing is held, this is no outage.
        Err(Error::Io(io::Error::other("the connection is held")))
    }
}

/// A link in the chain of connectors that makes waits end when the user wants that.
#[derive(Debug)]
struct Watch {
    progress: Arc<Progress>,
    interrupt: Option<Interrupt>,
}

impl<In: Transport> Connector<In> for Watch {
    type Out = Watched<In>;

    fn connect(
        &self,
        _details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        Ok(chained.map(|inner| Watched {
            inner,
            progress: Arc::clone(&self.progress),
            interrupt: self.interrupt,
        }))
    }
}

/// A connection on which a wait for input is cut into slices, where there is somebody to look at
/// between them.
#[derive(Debug)]
struct Watched<In> {
    inner: In,
    progress: Arc<Progress>,
    interrupt: Option<Interrupt>,
}

impl<In: Transport> Transport for Watched<In> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let end = Instant::now().checked_add(*timeout.after);
        let (Some(is_interrupted), Some(end)) = (self.interrupt, end) else {
            return self.inner.await_input(timeout);
        };
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let slice = NextTimeout {
                after: left.min(SLICE).into(),
                ..timeout
            };
            match self.inner.await_input(slice) {
                Err(Error::Timeout(_)) if left > SLICE => {}
                other => return other,
            }
            if is_interrupted() {
                self.progress.interrupted.store(true, Ordering::Relaxed);
                return Err(Error::Io(io::Error::other("interrupted by the user")));
            }
        }
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

/// Resolves names without a thread: the client's own resolver starts one where a time limit is
/// set. The wait is bounded by resolv.conf instead. A name is asked for once a login.
#[derive(Debug)]
struct Names {
    progress: Arc<Progress>,
    known: Mutex<Vec<SocketAddr>>,
}

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &ureq::http::Uri,
        _config: &ureq::config::Config,
        _timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        self.progress.at(RESOLVING);
        let mut known = self
            .known
            .lock()
            .map_err(|_| Error::Io(io::Error::other("the names are locked")))?;
        if known.is_empty() {
            let host = uri.host().ok_or(Error::HostNotFound)?;
            *known = self.look_up(host, uri.port_u16().unwrap_or(443))?;
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
        let hints = AddrInfoHints {
            socktype: SockType::Stream.into(),
            ..AddrInfoHints::default()
        };
        let found =
            getaddrinfo(Some(host), None, Some(hints)).map_err(|error| match error.kind() {
                LookupErrorKind::Again => Error::HostNotFound,
                LookupErrorKind::NoName | LookupErrorKind::NoData => {
                    self.progress.no_such_host.store(true, Ordering::Relaxed);
                    Error::HostNotFound
                }
                _ => Error::Io(io::Error::other(format!(
                    "getaddrinfo: {}",
                    error.error_num()
                ))),
            })?;
        let addresses: Vec<SocketAddr> = found
            .flatten()
            .map(|info| SocketAddr::new(info.sockaddr.ip(), port))
            .collect();
        if addresses.is_empty() {
            self.progress.no_such_host.store(true, Ordering::Relaxed);
            return Err(Error::HostNotFound);
        }
        Ok(addresses)
    }
}
