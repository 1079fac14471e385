//! HTTPS to one fixed host. The only folder that names the HTTP client, and the only file that
//! exposes a secret. Proxy and trust come from the configuration alone, and no redirect is followed (rules R3, R6).

mod client_cert;
mod connect;
mod dial;
mod link;
mod names;
mod nodata;
mod progress;
mod roots;
mod tunnel;

use crate::api::{Again, ApiError, ApiTrouble, Ending, Reply, gateway_error};
use crate::clock::unix_now;
use crate::config::{ClientCertificate, Config, FailMode, Origin, Proxy};
use crate::login::Deadline;
use crate::outage::Miss;
use crate::secret::Secret;
use crate::text::pair;
use crate::trust::Trusted;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use client_cert::Identity;
use connect::Ports;
use dial::{Dial, Held, Peers};
pub use link::Interrupt;
use names::{Care, Known, Names};
pub use names::{Nameless, addresses};
use once_cell::unsync::OnceCell;
use progress::RequestProgress;
use serde::{Serialize, Serializer};
use std::cell::Cell;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tunnel::Tunnel;
use ureq::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, TRANSFER_ENCODING};
use ureq::{Agent, Error};
use zeroize::Zeroizing;

/// The longest reply that is read, in bytes (rule R9).
const MAX_REPLY: u64 = 64 << 10;

/// The longest head of a reply, in bytes.
const MAX_HEAD: usize = 16 << 10;

/// How long an idle connection is kept: a person types slower than the client's own 15 s.
const IDLE: Duration = Duration::from_secs(600);

/// How long a connection may have been idle for something that must not be sent twice. A front end closes idle connections;
/// a request that it meets on the way is lost, without a sign of that. How long OneLogin keeps them is not documented;
/// a few seconds are usual.
const FRESH: Duration = Duration::from_secs(2);

/// This long before its end, in seconds, the log asks for a new client certificate.
pub const RENEW: u64 = 14 * 24 * 3600;

/// A request.
pub struct Call<'a> {
    /// What to do.
    pub method: Method,
    /// The path, from `/`.
    pub path: &'a str,
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
    /// By the client certificate of the connection: a gateway adds the token.
    Certificate,
    /// By the API credential itself.
    Client {
        /// `client_id`
        id: &'a str,
        /// `client_secret`
        secret: &'a Secret,
    },
}

/// The result of a request, for the log: shapes and timings, never values.
#[derive(Debug)]
pub struct RequestTrace {
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
    /// The header `date` of the reply.
    pub date: Option<String>,
}

/// Sends a call to OneLogin and returns the reply.
pub trait Transport {
    /// Makes a connection, if there is none, and sends nothing.
    ///
    /// # Errors
    /// [`ApiError`] if no connection can be made.
    fn prepare(&mut self, deadline: Deadline) -> Result<(), ApiError>;
    /// Makes sure that the next request goes over a connection that was made or used a moment ago: the existing one, or a
    /// new one.
    ///
    /// # Errors
    /// As [`Transport::prepare`].
    fn refresh(&mut self, deadline: Deadline) -> Result<(), ApiError> {
        self.prepare(deadline)
    }
    /// Sends a request, once, and reads the reply.
    ///
    /// # Errors
    /// [`ApiError`] when there is no reply. Each HTTP status is a reply.
    fn send(&mut self, call: &Call<'_>, deadline: Deadline) -> Result<Reply, ApiError>;
    /// Ends the connection: the next request makes one of its own.
    fn disconnect(&mut self) {}
    /// The addresses of OneLogin, or of the proxy, that a name server returned in this login.
    fn addresses(&self) -> Vec<IpAddr> {
        Vec::new()
    }
    /// Dials these addresses, which worked before, from now on, as no name server answers. A failure is
    /// then no outage (rule R19).
    fn fall_back(&mut self, _addresses: Vec<IpAddr>) {}
    /// What an administrator should know of the connections, beside their result.
    fn remark(&self) -> Option<String> {
        None
    }
}

/// Sends a request that changes nothing. If the table of endings says so, it is sent once more, over a new connection.
///
/// # Errors
/// As [`Transport::send`].
pub fn send_again(
    transport: &mut dyn Transport,
    call: &Call<'_>,
    deadline: Deadline,
) -> Result<Reply, ApiError> {
    let result = transport.send(call, deadline);
    let ending = result
        .as_ref()
        .map_or_else(|error| error.ending, Reply::ending);
    if ending.consequences().read != Again::AtOnce {
        return result;
    }
    transport.disconnect();
    transport.send(call, deadline)
}

/// Reads a client certificate and its key as a login does. Returns when the certificate ends, in seconds since 1970, if that can be
/// read.
///
/// # Errors
/// What is wrong with a file, with its path.
pub fn certificate_end(files: &ClientCertificate, trusted: Trusted) -> Result<Option<u64>, String> {
    Identity::read(files, trusted).map(|identity| identity.ends)
}

/// Where [`Http`] connects to, and how.
pub struct Destination<'a> {
    /// The host of all calls.
    pub origin: &'a Origin,
    /// Replaces the system's trust store.
    pub ca_file: Option<&'a Path>,
    /// What this host shows to the other side.
    pub certificate: Option<&'a ClientCertificate>,
    /// On the way to the host.
    pub http_proxy: Option<&'a Proxy>,
    /// For TCP and TLS together.
    pub connect_timeout: Duration,
    /// For one request and its reply.
    pub request_timeout: Duration,
    /// What happens when the host cannot be reached.
    pub failmode: FailMode,
}

/// The transport of one login, by HTTPS. One TLS connection serves it from the first request to the last.
pub struct Http {
    origin: Origin,
    ca_file: Option<PathBuf>,
    /// For a gateway.
    certificate: Option<ClientCertificate>,
    /// When the client certificate ends, in seconds since 1970, once it is read.
    certificate_ends: Cell<Option<u64>>,
    tunnel: Cell<Option<Tunnel>>,
    trusted: Trusted,
    connect_timeout: Duration,
    request_timeout: Duration,
    interrupt: Option<Interrupt>,
    ports: Ports,
    agent: OnceCell<Agent>,
    progress: Arc<RequestProgress>,
    known: Arc<Known>,
    held: Held,
    /// When the connection was made, or carried the last reply.
    used: Option<Instant>,
    traces: Vec<RequestTrace>,
}

impl Http {
    /// Prepares a client. Nothing is read or sent before the first request. A wait for a reply ends
    /// when `interrupt` says so.
    #[must_use]
    pub fn new(config: &Config, trusted: Trusted, interrupt: Option<Interrupt>) -> Self {
        let onelogin = &config.onelogin;
        let destination = Destination {
            origin: &onelogin.origin,
            ca_file: onelogin.ca_file.as_deref(),
            certificate: onelogin.access.certificate(),
            http_proxy: onelogin.http_proxy.as_ref(),
            connect_timeout: onelogin.connect_timeout,
            request_timeout: onelogin.request_timeout,
            failmode: config.failmode,
        };
        Self::to(&destination, trusted, interrupt)
    }

    /// As [`Http::new`], where the settings are not those of a login.
    #[must_use]
    pub fn to(
        destination: &Destination<'_>,
        trusted: Trusted,
        interrupt: Option<Interrupt>,
    ) -> Self {
        let Destination { origin, .. } = *destination;
        Self {
            origin: origin.clone(),
            ca_file: destination.ca_file.map(Path::to_owned),
            certificate: destination.certificate.cloned(),
            certificate_ends: Cell::new(None),
            tunnel: Cell::new(
                destination
                    .http_proxy
                    .map(|proxy| Tunnel::new(proxy, origin, authorization(proxy).as_ref())),
            ),
            trusted,
            connect_timeout: destination.connect_timeout,
            request_timeout: destination.request_timeout,
            interrupt,
            // If an outage may let users in, a lack of local ports must not look like an outage.
            ports: match destination.failmode {
                FailMode::Safe => Ports::Bound,
                FailMode::Secure => Ports::Chosen,
            },
            agent: OnceCell::new(),
            progress: Arc::default(),
            known: Arc::default(),
            held: Held::default(),
            used: None,
            traces: Vec::new(),
        }
    }

    /// What was sent so far.
    #[must_use]
    pub fn traces(&self) -> &[RequestTrace] {
        &self.traces
    }

    /// What was sent.
    #[must_use]
    pub fn into_traces(self) -> Vec<RequestTrace> {
        self.traces
    }
}

impl Http {
    fn explain(&self, error: &Error) -> ApiError {
        let error = self.progress.explain(error);
        ApiError {
            miss: error.miss.map(|miss| self.known.weigh(miss)),
            ..error
        }
    }

    /// The time for a request, and the agent to send it.
    fn begin(&self, deadline: Deadline) -> Result<(Duration, &Agent), ApiError> {
        let left = deadline.left();
        let time = left.min(self.request_timeout);
        if time.is_zero() {
            return Err(ApiError::late("login_timeout"));
        }
        let agent = self.agent.get_or_try_init(|| {
            let unfit = |error| ApiError::new(ApiTrouble::Tls, error).ended(Ending::NotSent);
            let identity = match &self.certificate {
                Some(files) => Some(Identity::read(files, self.trusted).map_err(unfit)?),
                None => None,
            };
            self.certificate_ends
                .set(identity.as_ref().and_then(|identity| identity.ends));
            let tls = dial::tls(self.ca_file.as_deref(), identity, self.trusted).map_err(unfit)?;
            let tunnel = self.tunnel.take();
            let place = tunnel.as_ref().map(Tunnel::place);
            let progress = || Arc::clone(&self.progress);
            let care = match self.ports {
                Ports::Bound => Care::Whole,
                Ports::Chosen => Care::Quick,
            };
            let names = Names::new(progress(), place, care, Arc::clone(&self.known));
            let held = self.held.clone();
            let patience = self.request_timeout.min(self.connect_timeout);
            let peers = match (self.ports, &self.certificate) {
                (Ports::Chosen, None) => Peers::Unknown,
                (Ports::Bound, _) | (_, Some(_)) => Peers::Noted,
            };
            let dial = Dial::new(
                tls,
                tunnel,
                held,
                (self.ports, peers, patience),
                self.interrupt,
                progress(),
            );
            Ok(agent(dial, names))
        })?;
        self.progress.begin(deadline);
        Ok((time, agent))
    }
}

impl Transport for Http {
    /// The connection is made as for a request that ends when it is established; the next request
    /// takes it.
    fn prepare(&mut self, deadline: Deadline) -> Result<(), ApiError> {
        if self.used.is_some() {
            return Ok(());
        }
        let (time, agent) = self.begin(deadline)?;
        self.held.is_wanted(true);
        let result = agent
            .get(self.origin.to_string())
            .config()
            .timeout_global(Some(time))
            .timeout_connect(Some(self.connect_timeout))
            .build()
            .call();
        self.held.is_wanted(false);
        match result {
            Err(error) if !self.held.is_there() => Err(self.explain(&error)),
            _ => {
                self.used = Some(Instant::now());
                Ok(())
            }
        }
    }

    fn refresh(&mut self, deadline: Deadline) -> Result<(), ApiError> {
        if self.used.is_none_or(|used| used.elapsed() >= FRESH) {
            self.disconnect();
        }
        self.prepare(deadline)
    }

    fn send(&mut self, call: &Call<'_>, deadline: Deadline) -> Result<Reply, ApiError> {
        let (time, agent) = self.begin(deadline)?;
        let start = Instant::now();
        let result = send_request(agent, &self.origin, call, time, self.connect_timeout);
        let date = result
            .as_ref()
            .ok()
            .and_then(|received| received.date.clone());
        let result = result.map(|received| (received.reply, received.gateway));
        let reply = result.as_ref().ok().map(|(reply, _)| reply);
        self.traces.push(RequestTrace {
            date,
            method: call.method.name(),
            path: call.path.to_owned(),
            status: reply.map(|reply| reply.status),
            bytes: reply.map_or(0, |reply| reply.body.len()),
            time: start.elapsed(),
            request_id: reply.and_then(|reply| reply.request_id.clone()),
        });
        self.used = reply.map(|_| Instant::now());
        let (mut reply, word) = result.map_err(|error| self.explain(&error))?;
        let way = || self.known.weigh(self.progress.gateway());
        if let Some(word) = word.filter(|_| self.certificate.is_some()) {
            let error = gateway_error(&word, reply.status, way());
            if error.ending == Ending::NotForwarded {
                // The next connection is made to another gateway, if there is one.
                self.known.put_last(self.progress.peer_address());
                self.disconnect();
            }
            return Err(error);
        }
        reply.miss = (502..=504)
            .contains(&reply.status)
            .then(|| match &self.certificate {
                // A gateway names its reason: without one, something before it answers.
                Some(_) => Miss::GatewayBusy,
                None => way(),
            });
        Ok(reply)
    }

    fn disconnect(&mut self) {
        self.held.drop();
        self.progress.disconnect();
        self.used = None;
    }

    fn addresses(&self) -> Vec<IpAddr> {
        self.known.addresses()
    }

    fn fall_back(&mut self, addresses: Vec<IpAddr>) {
        self.known.store(addresses);
    }

    fn remark(&self) -> Option<String> {
        let files = self.certificate.as_ref()?;
        let left = self.certificate_ends.get()?.checked_sub(unix_now());
        if left.is_some_and(|left| left >= RENEW) {
            return None;
        }
        let days = left.map_or_else(
            || "has ended".to_owned(),
            |left| format!("ends in {} days", left / (24 * 3600)),
        );
        Some(format!(
            "the client certificate {days}, renew it: {}",
            pair("client_cert", &files.cert.display().to_string())
        ))
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

fn send_request(
    agent: &Agent,
    origin: &Origin,
    call: &Call<'_>,
    time: Duration,
    connect_timeout: Duration,
) -> Result<Received, Error> {
    let url = format!("{origin}{}", call.path);
    let authorization = match call.caller {
        Caller::Bearer(token) => Some(format!("Bearer {}", token.expose())),
        Caller::Client { id, secret } => {
            Some(format!("client_id:{id}, client_secret:{}", secret.expose()))
        }
        Caller::Certificate => None,
    };
    let authorization = authorization.map(Zeroizing::new);
    macro_rules! prepared {
        ($builder:expr) => {{
            let mut builder = $builder.query_pairs(call.query.iter().copied());
            if let Some(value) = &authorization {
                builder = builder.header("authorization", value.as_str());
            }
            builder
                .config()
                .timeout_global(Some(time))
                .timeout_connect(Some(connect_timeout))
                .build()
        }};
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
    let date = header("date");
    let gateway = header("x-gateway");
    let retry_after = header("retry-after").and_then(|seconds| seconds.parse().ok());
    let is_html = header(CONTENT_TYPE.as_str()).is_some_and(|kind| kind.starts_with("text/html"));
    let status = response.status().as_u16();
    if response.status().is_success() && !is_framed(response.headers()) {
        let text = "a reply that does not state its length exactly once";
        return Err(io::Error::new(io::ErrorKind::InvalidData, text).into());
    }
    let body = response
        .body_mut()
        .with_config()
        .limit(MAX_REPLY)
        .read_to_vec()?;
    let reply = Reply {
        status,
        body: Zeroizing::new(body),
        is_of_front_end: is_html && request_id.is_none(),
        request_id,
        retry_after,
        miss: None,
    };
    Ok(Received {
        reply,
        date,
        gateway,
    })
}

/// A reply with its headers that are not OneLogin's.
struct Received {
    reply: Reply,
    /// The header `date`.
    date: Option<String>,
    /// The header `x-gateway`.
    gateway: Option<String>,
}

/// Whether a reply states the length of its body exactly once. A body that ends with its connection could have been cut short,
/// and a length that is stated twice is read differently by different programs on the way. An error reply need not: gateways in
/// trouble answer by old rules, and the body of an error decides nothing.
fn is_framed(headers: &HeaderMap) -> bool {
    let lengths = headers.get_all(CONTENT_LENGTH).iter().count();
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (lengths, codings.next(), codings.next()) {
        (1, None, None) => true,
        (0, Some(coding), None) => coding.as_bytes().eq_ignore_ascii_case(b"chunked"),
        _ => false,
    }
}

/// The credentials for the proxy.
fn authorization(proxy: &Proxy) -> Option<Zeroizing<String>> {
    let credential = proxy.credential.as_ref()?.expose();
    let mut value = Zeroizing::new(String::with_capacity(2 * credential.len() + 16));
    value.push_str("Basic ");
    STANDARD.encode_string(credential, &mut value);
    Some(value)
}

fn agent(dial: Dial, names: Names) -> Agent {
    let config = Agent::config_builder()
        // Neither that of the environment; ours is the connector's affair.
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
    Agent::with_parts(config, dial, names)
}

fn local(error: &dyn std::error::Error) -> ApiError {
    ApiError::new(ApiTrouble::Local, error.to_string()).ended(Ending::NotSent)
}
