//! How far a request came, and what its failure means.

use crate::api::{ApiError, ApiTrouble, Ending};
use crate::host::is_of_this_host;
use crate::login::Deadline;
use crate::outage::Miss;
use std::io;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use ureq::Error;

/// How far a request came, so that its failure can be told: only before a connection is made is
/// OneLogin out of reach.
#[derive(Debug, Default)]
pub(super) struct RequestProgress {
    connecting: AtomicBool,
    no_such_host: AtomicBool,
    interrupted: AtomicBool,
    /// How much of the request is written: [`NOTHING`], [`A_PART`] or [`ALL`].
    written: AtomicU8,
    deadline: Mutex<Option<Deadline>>,
    miss: Mutex<Option<Miss>>,
    peer: Mutex<Option<IpAddr>>,
    /// Connections from before the last [`RequestProgress::disconnect`] are not used any more.
    connections: AtomicUsize,
}

const NOTHING: u8 = 0;
const A_PART: u8 = 1;
const ALL: u8 = 2;

impl RequestProgress {
    /// A request begins, which must be written by then.
    pub(super) fn begin(&self, deadline: Deadline) {
        if let Ok(mut kept) = self.deadline.lock() {
            *kept = Some(deadline);
        }
        if let Ok(mut miss) = self.miss.lock() {
            *miss = None;
        }
        self.connecting(false);
        self.no_such_host.store(false, Ordering::Relaxed);
        self.written.store(NOTHING, Ordering::Relaxed);
    }

    /// A part of the request is about to be written, or all of it.
    pub(super) fn writing(&self) {
        self.written.store(A_PART, Ordering::Relaxed);
    }

    /// All is written that was to be written so far.
    pub(super) fn written(&self) {
        self.written.store(ALL, Ordering::Relaxed);
    }

    /// Whether the request may still be written. It is asked right before that, as the process may
    /// have been stopped since the last look at the time (rule R21).
    pub(super) fn may_write(&self) -> bool {
        let deadline = self.deadline.lock().ok().and_then(|kept| *kept);
        deadline.is_some_and(|deadline| !deadline.is_past())
    }

    /// Whether a connection is being made: the name is looked up, and no address has answered yet.
    pub(super) fn connecting(&self, is_connecting: bool) {
        self.connecting.store(is_connecting, Ordering::Relaxed);
    }

    /// No connection could be made.
    pub(super) fn missed(&self, miss: Miss) {
        if let Ok(mut kept) = self.miss.lock() {
            *kept = Some(miss);
        }
    }

    /// Who is at the other end of the connection that was made.
    pub(super) fn peer(&self, address: IpAddr) {
        if let Ok(mut peer) = self.peer.lock() {
            *peer = Some(address);
        }
    }

    /// Who was at the other end of the last connection, where that is noted.
    pub(super) fn peer_address(&self) -> Option<IpAddr> {
        self.peer.lock().ok().and_then(|peer| *peer)
    }

    /// What 502, 503 or 504 from the other end says.
    pub(super) fn gateway(&self) -> Miss {
        match self.peer_address() {
            Some(peer) if !is_of_this_host(peer) => Miss::Gateway,
            _ => Miss::ThisHost,
        }
    }

    /// The generation of the connections that are made now.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// From now on none is used that is there already.
    pub(super) fn disconnect(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    /// The host's name does not exist.
    pub(super) fn no_such_host(&self) {
        self.no_such_host.store(true, Ordering::Relaxed);
    }

    /// The user has ended a wait.
    pub(super) fn interrupted(&self) {
        self.interrupted.store(true, Ordering::Relaxed);
    }

    /// What kept a request from OneLogin, if it got no answer.
    fn miss(&self, error: &Error) -> Option<Miss> {
        let is_connecting = self.connecting.load(Ordering::Relaxed);
        let missed = self.miss.lock().ok().and_then(|miss| *miss);
        match error {
            _ if self.interrupted.load(Ordering::Relaxed) => None,
            Error::HostNotFound if self.no_such_host.load(Ordering::Relaxed) => None,
            Error::HostNotFound => Some(Miss::NameServer),
            Error::Timeout(_) | Error::Io(_) if is_connecting => missed,
            Error::ConnectProxyFailed(_) if is_connecting => Some(self.gateway()),
            _ => None,
        }
    }

    /// Whether OneLogin may have seen a request that failed for this reason.
    fn ending(&self, trouble: ApiTrouble) -> Ending {
        match (self.written.load(Ordering::Relaxed), trouble) {
            (ALL, ApiTrouble::Timeout | ApiTrouble::Interrupted) => Ending::NoReply,
            (ALL, ApiTrouble::Broken) => Ending::Lost,
            (ALL, _) => Ending::Answered,
            (A_PART, ApiTrouble::Broken) => Ending::CutShort,
            _ => Ending::NotSent,
        }
    }

    /// What the failure of a request means.
    pub(super) fn explain(&self, error: &Error) -> ApiError {
        let is_connecting = self.connecting.load(Ordering::Relaxed);
        let trouble = match error {
            _ if self.interrupted.load(Ordering::Relaxed) => ApiTrouble::Interrupted,
            Error::HostNotFound if self.no_such_host.load(Ordering::Relaxed) => {
                ApiTrouble::NoSuchHost
            }
            // No connection within its own time.
            Error::Timeout(_) if is_connecting && self.miss(error) != Some(Miss::Hurry) => {
                ApiTrouble::NoConnection
            }
            Error::Timeout(_) => ApiTrouble::Timeout,
            Error::Tls(_) | Error::TlsRequired => ApiTrouble::Tls,
            Error::Io(io) => io_trouble(io, is_connecting),
            Error::BodyExceedsLimit(_)
            | Error::LargeResponseHeader(..)
            | Error::Protocol(_)
            | Error::BodyStalled => ApiTrouble::BadReply,
            Error::HostNotFound | Error::ConnectionFailed => ApiTrouble::NoConnection,
            Error::ConnectProxyFailed(_) if is_connecting => ApiTrouble::NoConnection,
            Error::ConnectProxyFailed(_) => ApiTrouble::RequestRefused,
            // The rest cannot be caused by OneLogin or the way to it.
            _ => ApiTrouble::Local,
        };
        let detail = match error {
            // These may hold an address or a header of ours; their kind says enough.
            Error::Http(_) => {
                "an HTTP header could not be built; check client_id and client_secret".to_owned()
            }
            // The client's own words would have an admin look for a wrong name.
            Error::HostNotFound if trouble == ApiTrouble::NoConnection => {
                "the name server gave no answer".to_owned()
            }
            error => error.to_string(),
        };
        ApiError {
            miss: self.miss(error),
            ..ApiError::new(trouble, detail).ended(self.ending(trouble))
        }
    }
}

fn io_trouble(error: &io::Error, is_connecting: bool) -> ApiTrouble {
    use io::ErrorKind as Kind;
    if let Some(inner) = error.get_ref() {
        if inner.is::<rustls::Error>() {
            return ApiTrouble::Tls;
        }
    }
    if error.kind() == Kind::InvalidData {
        return ApiTrouble::BadReply;
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
    match (is_connecting, is_of_the_network) {
        (true, true) => ApiTrouble::NoConnection,
        (false, true) => ApiTrouble::Broken,
        (_, false) => ApiTrouble::Local,
    }
}
