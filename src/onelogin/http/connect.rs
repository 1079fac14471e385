//! One TCP connection to whichever of several addresses answers first (RFC 8305, without a thread), and what the
//! failures say (rule R19).

use super::link::Interrupt;
use crate::host::is_of_this_host;
use crate::outage::{Miss, Weight};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, Socket, Type};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

/// After this time the next address is dialled, too: RFC 8305, section 5.
const NEXT: Duration = Duration::from_millis(250);

/// How much of its time an address must have had, so that its silence is its own: one in this many parts.
const PARTS: u32 = 2;

/// How addresses are dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ports {
    /// By a port that the system chooses as it connects.
    Chosen,
    /// By a port that is bound before, so that a lack of ports is not taken for a lack of routes.
    Bound,
}

/// How long addresses are dialled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Time {
    /// The moment when it ends.
    pub(super) end: Instant,
    /// How long it is as the configuration has it; the end may come sooner, as a look-up took long, or the login is over.
    pub(super) whole: Duration,
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) struct NoConnection {
    /// What the address said that decides, for the log.
    pub(super) error: io::Error,
    /// What all of them say together.
    pub(super) miss: Miss,
}

/// An address that was dialled and has not answered yet.
struct Dialled {
    socket: Socket,
    address: SocketAddr,
    /// No port was free to be bound before.
    without_port: bool,
    at: Instant,
}

/// The addresses that were dialled, with their results.
struct Race {
    ports: Ports,
    time: Time,
    pending: Vec<Dialled>,
    misses: Vec<(Miss, io::Error)>,
}

/// Connects to one of these addresses; `interrupted` says whether the user has pressed Ctrl-C.
pub(super) fn connect(
    addresses: &[SocketAddr],
    ports: Ports,
    time: Time,
    interrupt: Option<Interrupt>,
    interrupted: impl Fn(),
) -> Result<TcpStream, NoConnection> {
    let mut race = Race {
        ports,
        time,
        pending: Vec::new(),
        misses: Vec::new(),
    };
    let mut waiting = alternating(addresses).into_iter();
    // Each address gets its part of the time, even with many addresses and if this process is late.
    let count = u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let next = NEXT.min(time.whole / PARTS / 2 / count);
    let mut next_at = Instant::now();
    loop {
        let now = Instant::now();
        if race.pending.is_empty() || now >= next_at {
            if let Some(address) = waiting.next() {
                if let Some(stream) = race.dial(address) {
                    return Ok(stream);
                }
                next_at = now + next;
                continue;
            }
        }
        let remaining = waiting.len();
        if race.pending.is_empty() {
            return Err(race.lost(remaining));
        }
        if now >= time.end {
            // If a user keeps the processors busy, this process is late; that does not mean that OneLogin is silent.
            return race.wait(now).ok_or_else(|| race.lost(remaining));
        }
        if interrupt.is_some_and(|is_interrupted| is_interrupted()) {
            interrupted();
            return Err(race.lost(remaining));
        }
        let mut until = time.end;
        if remaining > 0 {
            until = until.min(next_at);
        }
        if interrupt.is_some() {
            until = until.min(now + NEXT);
        }
        if let Some(stream) = race.wait(until) {
            return Ok(stream);
        }
        if race.pending.is_empty() {
            next_at = Instant::now();
        }
    }
}

impl Race {
    /// Begins a connection; it is established at once only if the server is very near.
    fn dial(&mut self, address: SocketAddr) -> Option<TcpStream> {
        let without_port = &mut false;
        match dial(address, self.ports, without_port) {
            Ok((socket, true)) => return Some(socket.into()),
            Ok((socket, false)) => self.pending.push(Dialled {
                socket,
                address,
                without_port: *without_port,
                at: Instant::now(),
            }),
            Err(error) => self.missed(address, *without_port, error),
        }
        None
    }

    /// Waits for one of those that are pending.
    fn wait(&mut self, until: Instant) -> Option<TcpStream> {
        let left = until.saturating_duration_since(Instant::now());
        // Rounded up: a rest of less than a millisecond would make this loop without a pause.
        let left = left + Duration::from_millis(1);
        let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let mut descriptors: Vec<_> = self
            .pending
            .iter()
            .map(|dialled| PollFd::new(dialled.socket.as_fd(), PollFlags::POLLOUT))
            .collect();
        let answered: Vec<bool> = match poll(&mut descriptors, left) {
            Ok(_) | Err(Errno::EINTR) => descriptors
                .iter()
                .map(|descriptor| descriptor.any().unwrap_or(true))
                .collect(),
            Err(errno) => {
                for dialled in std::mem::take(&mut self.pending) {
                    self.missed(dialled.address, dialled.without_port, errno.into());
                }
                return None;
            }
        };
        let mut answered = answered.into_iter();
        let (ready, pending) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition(|_| answered.next().unwrap_or(false));
        self.pending = pending;
        let ready: Vec<Dialled> = ready;
        for dialled in ready {
            match dialled.socket.take_error() {
                Ok(None) => return Some(dialled.socket.into()),
                Ok(Some(error)) => {
                    let error = answer(error, dialled.address.ip());
                    self.missed(dialled.address, dialled.without_port, error);
                }
                Err(error) => self.missed(dialled.address, dialled.without_port, error),
            }
        }
        None
    }

    fn missed(&mut self, address: SocketAddr, without_port: bool, error: io::Error) {
        let miss = match miss(&error, address.ip(), self.ports) {
            _ if without_port => Miss::NoPort,
            // Only an error that would count as an outage is examined.
            miss if miss.weight().0 == Weight::Outage && self.is_near(address) => Miss::ThisHost,
            miss => miss,
        };
        self.misses.push((miss, error));
    }

    /// Whether an address belongs to this host, if that matters.
    fn is_near(&self, address: SocketAddr) -> bool {
        self.ports == Ports::Bound && is_of_this_host(address.ip())
    }

    /// No address answered. Those that are still pending were silent, if they had their time.
    fn lost(mut self, not_dialled: usize) -> NoConnection {
        for dialled in std::mem::take(&mut self.pending) {
            let silence = ErrorKind::TimedOut.into();
            if dialled.at.elapsed() < self.time.whole / PARTS {
                self.misses.push((Miss::Hurry, silence));
            } else {
                self.missed(dialled.address, dialled.without_port, silence);
            }
        }
        if not_dialled > 0 {
            self.misses.push((Miss::Hurry, ErrorKind::TimedOut.into()));
        }
        let misses: Vec<Miss> = self.misses.iter().map(|(miss, _)| *miss).collect();
        let miss = Miss::sum(&misses);
        let mut misses = self.misses.into_iter();
        let error = misses.find(|(other, _)| *other == miss);
        NoConnection {
            error: error.map_or(ErrorKind::Other.into(), |(_, error)| error),
            miss,
        }
    }
}

/// Begins a connection, and says whether it is there.
fn dial(address: SocketAddr, ports: Ports, without_port: &mut bool) -> io::Result<(Socket, bool)> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    if ports == Ports::Bound {
        let any: IpAddr = match address {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        // On a host with many connections, a port may still be free for this address.
        *without_port = socket.bind(&SocketAddr::new(any, 0).into()).is_err();
    }
    match socket.connect(&address.into()) {
        Ok(()) => Ok((socket, true)),
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok((socket, false)),
        Err(error) => Err(error),
    }
}

/// What the network answered to a connection attempt. The kernel turns some rejections (ICMP) into errors that otherwise mean a
/// local problem: a firewall's "administratively prohibited" by IPv6 becomes EACCES.
fn answer(error: io::Error, address: IpAddr) -> io::Error {
    let is_rejection = match error.raw_os_error() {
        // Also a failed policy and a reject route.
        Some(libc::EACCES) => address.is_ipv6(),
        // No such protocol there; host unknown; host isolated.
        Some(libc::ENOPROTOOPT | libc::EHOSTDOWN | libc::ENONET) => address.is_ipv4(),
        _ => false,
    };
    if is_rejection {
        let words = format!("rejected by a router or a firewall: {error}");
        io::Error::new(ErrorKind::HostUnreachable, words)
    } else {
        error
    }
}

/// What an error of a connection says.
fn miss(error: &io::Error, address: IpAddr, ports: Ports) -> Miss {
    let is_ipv6 = address.is_ipv6();
    match error.kind() {
        ErrorKind::ConnectionRefused => Miss::Refused,
        ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => Miss::NoRoute,
        ErrorKind::TimedOut => Miss::Silence,
        // With a port of its own, it has no address to send from.
        ErrorKind::AddrNotAvailable if is_ipv6 && ports == Ports::Bound => Miss::NoIpv6,
        _ if is_ipv6 && error.raw_os_error() == Some(libc::EAFNOSUPPORT) => Miss::NoIpv6,
        _ => Miss::Other,
    }
}

/// In their order, but alternating between IPv4 and IPv6: a family that does not work delays the other by one address only.
fn alternating(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let is_ipv6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<SocketAddr>, Vec<SocketAddr>) = addresses
        .iter()
        .partition(|address| address.is_ipv6() == is_ipv6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let turns = std::iter::from_fn(|| {
        let turn: Vec<SocketAddr> = [first.next(), second.next()]
            .into_iter()
            .flatten()
            .collect();
        (!turn.is_empty()).then_some(turn)
    });
    turns.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn connect(addresses: &[SocketAddr], ports: Ports) -> Result<TcpStream, Miss> {
        connect_within(
            addresses,
            ports,
            Duration::from_secs(5),
            Duration::from_secs(5),
        )
    }

    fn connect_within(
        addresses: &[SocketAddr],
        ports: Ports,
        time: Duration,
        whole: Duration,
    ) -> Result<TcpStream, Miss> {
        let end = Instant::now() + time;
        super::connect(addresses, ports, Time { end, whole }, None, || ()).map_err(|none| none.miss)
    }

    /// A server whose queue of connections is full: it answers no further one.
    fn silent() -> (Socket, SocketAddr, Vec<Socket>) {
        let server = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        server.bind(&address("127.0.0.1:0").into()).unwrap();
        server.listen(0).unwrap();
        let there = server.local_addr().unwrap().as_socket().unwrap();
        let clients = (0..4).map(|_| {
            let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            client.set_nonblocking(true).unwrap();
            let _ = client.connect(&there.into());
            client
        });
        let clients = clients.collect();
        (server, there, clients)
    }

    #[test]
    fn r19_silence_counts_only_for_who_had_the_time_to_answer() {
        let (_server, there, _clients) = silent();
        let hour = Duration::from_secs(3600);
        // What a silent address says that was dialled this long ago, of a time of one hour.
        let lost = |ago: Duration, not_dialled| {
            let time = Time {
                end: Instant::now(),
                whole: hour,
            };
            let mut race = Race {
                ports: Ports::Chosen,
                time,
                pending: Vec::new(),
                misses: Vec::new(),
            };
            assert!(race.dial(there).is_none());
            race.pending[0].at -= ago;
            race.lost(not_dialled).miss
        };
        let minute = hour / 60;
        assert_eq!(lost(31 * minute, 0), Miss::Silence);
        // The look-up took long, or the login is over: what is left is not what the configuration gives.
        assert_eq!(lost(29 * minute, 0), Miss::Hurry);
        // An address that was not dialled any more.
        assert_eq!(lost(31 * minute, 1), Miss::Hurry);
        // However many they are, each has its part.
        let (many, time) = (vec![there; 16], Duration::from_secs(2));
        assert_eq!(
            connect_within(&many, Ports::Chosen, time, time).unwrap_err(),
            Miss::Silence
        );
        let late = connect_within(&[there], Ports::Chosen, Duration::ZERO, hour);
        assert_eq!(late.unwrap_err(), Miss::Hurry);
    }

    #[test]
    fn the_families_take_turns() {
        let texts = [
            "[2001:db8::1]:1",
            "[2001:db8::2]:1",
            "[2001:db8::3]:1",
            "192.0.2.1:1",
            "192.0.2.2:1",
        ];
        let order: Vec<_> = alternating(&texts.map(address))
            .iter()
            .map(ToString::to_string)
            .collect();
        let expected = [texts[0], texts[3], texts[1], texts[4], texts[2]];
        assert_eq!(order, expected);
        assert!(alternating(&[]).is_empty());
    }

    #[test]
    fn the_first_address_that_answers_is_taken_whatever_the_others_do() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let unused = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let there = server.local_addr().unwrap();
        for ports in [Ports::Chosen, Ports::Bound] {
            // A port that refuses, or a broadcast address, which is forbidden.
            for before in [unused, address("255.255.255.255:1")] {
                let stream = connect(&[before, there], ports).unwrap();
                assert_eq!(stream.peer_addr().unwrap(), there);
            }
        }
    }

    #[test]
    fn r19_a_refusal_by_this_host_is_no_outage() {
        let unused = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        assert_eq!(
            connect(&[unused], Ports::Chosen).unwrap_err(),
            Miss::Refused
        );
        assert_eq!(
            connect(&[unused], Ports::Bound).unwrap_err(),
            Miss::ThisHost
        );
    }

    #[test]
    fn r19_an_answer_that_came_in_time_counts_where_this_process_is_late() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let there = server.local_addr().unwrap();
        // As after a pause between the first packet and the look at the clock.
        let stream = connect_within(
            &[there],
            Ports::Bound,
            Duration::ZERO,
            Duration::from_secs(5),
        );
        assert_eq!(stream.unwrap().peer_addr().unwrap(), there);
    }

    #[test]
    fn r19_each_error_of_a_connection_has_its_meaning() {
        let (four, six): (IpAddr, IpAddr) =
            ("192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap());
        let errors = [
            (libc::ECONNREFUSED, Miss::Refused, Miss::Refused),
            (libc::ENETUNREACH, Miss::NoRoute, Miss::NoRoute),
            (libc::EHOSTUNREACH, Miss::NoRoute, Miss::NoRoute),
            (libc::ETIMEDOUT, Miss::Silence, Miss::Silence),
            (libc::EAFNOSUPPORT, Miss::Other, Miss::NoIpv6),
            (libc::EADDRNOTAVAIL, Miss::Other, Miss::NoIpv6),
            (libc::EACCES, Miss::Other, Miss::Other),
            (libc::EPERM, Miss::Other, Miss::Other),
            (libc::EMFILE, Miss::Other, Miss::Other),
            (libc::ENOBUFS, Miss::Other, Miss::Other),
            (libc::ENETDOWN, Miss::Other, Miss::Other),
            (libc::ECONNRESET, Miss::Other, Miss::Other),
        ];
        for (code, of_four, of_six) in errors {
            let error = io::Error::from_raw_os_error(code);
            assert_eq!(miss(&error, four, Ports::Bound), of_four, "{error}");
            assert_eq!(miss(&error, six, Ports::Bound), of_six, "{error}");
        }
        // What the network answered, instead of this host.
        for (code, of_four, of_six) in [
            (libc::ECONNREFUSED, Miss::Refused, Miss::Refused),
            (libc::EHOSTUNREACH, Miss::NoRoute, Miss::NoRoute),
            (libc::EACCES, Miss::Other, Miss::NoRoute),
            (libc::ENOPROTOOPT, Miss::NoRoute, Miss::Other),
            (libc::EHOSTDOWN, Miss::NoRoute, Miss::Other),
            (libc::ENONET, Miss::NoRoute, Miss::Other),
            (libc::EPERM, Miss::Other, Miss::Other),
            (libc::ENETDOWN, Miss::Other, Miss::Other),
        ] {
            for (address, expected) in [(four, of_four), (six, of_six)] {
                let error = answer(io::Error::from_raw_os_error(code), address);
                assert_eq!(miss(&error, address, Ports::Bound), expected, "{error}");
                assert_eq!(miss(&error, address, Ports::Chosen), expected, "{error}");
            }
        }
        // A port that the system was to choose may be what is not available.
        let error = io::Error::from_raw_os_error(libc::EADDRNOTAVAIL);
        assert_eq!(miss(&error, six, Ports::Chosen), Miss::Other);
    }
}
