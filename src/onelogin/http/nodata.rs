//! Whether a name has no address of a kind, as a name server says it. glibc does not tell such an answer from one that was
//! truncated, unless it asks again by TCP, for which it has no time limit. So this asks once more, and looks at the answer itself
//! (RFC 1035, section 4). An address is never taken from here.

use ring::rand::{SecureRandom as _, SystemRandom};
use socket2::{Domain, Socket, Type};
use std::fs::read_to_string;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _, UdpSocket};
use std::time::{Duration, Instant};

/// A kind of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Records of type A.
    Ipv4,
    /// Records of type AAAA (RFC 3596).
    Ipv6,
}

impl Kind {
    /// The type of its records.
    fn number(self) -> u16 {
        match self {
            Self::Ipv4 => 1,
            Self::Ipv6 => 28,
        }
    }
}

/// How long an answer is waited for, as glibc does at first.
const PATIENCE: Duration = Duration::from_secs(1);

/// The port of name servers.
const PORT: u16 = 53;

/// The name servers of this host, as far as glibc asks them: resolv.conf(5).
pub(super) fn servers() -> Vec<SocketAddr> {
    servers_of(&read_to_string("/etc/resolv.conf").unwrap_or_default())
}

fn servers_of(resolv_conf: &str) -> Vec<SocketAddr> {
    let named = resolv_conf.lines().filter_map(|line| {
        let mut words = line.strip_prefix("nameserver")?.split_ascii_whitespace();
        let word = words.next()?;
        match word.split_once('%') {
            // With the interface of a link-local address. The C library takes this as it is, without a query.
            Some((address, _)) if address.parse::<Ipv6Addr>().is_ok() => {
                (word, PORT).to_socket_addrs().ok()?.next()
            }
            _ => Some(SocketAddr::new(word.parse().ok()?, PORT)),
        }
    });
    let mut servers: Vec<_> = named.take(3).collect();
    if servers.is_empty() {
        servers.push((Ipv4Addr::LOCALHOST, PORT).into());
    }
    servers
}

/// Whether the first of these servers that gives an answer says that the name has no such address.
pub(super) fn is_said(host: &str, kind: Kind, servers: &[SocketAddr]) -> bool {
    let Some(question) = question(host, kind) else {
        return false;
    };
    let said = servers.iter().find_map(|&server| ask(server, &question));
    said == Some(Said::NoAddress)
}

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    /// There is no address of the kind.
    NoAddress,
    /// There is one, or the answer is not whole or not understood.
    Other,
}

/// A question: name, type, and the class of the internet.
fn question(host: &str, kind: Kind) -> Option<Vec<u8>> {
    let mut question = Vec::new();
    for label in host.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len()).ok()?;
        if !(1..64).contains(&length) {
            return None;
        }
        question.push(length);
        question.extend(label.as_bytes());
    }
    question.push(0);
    question.extend(kind.number().to_be_bytes());
    question.extend(1_u16.to_be_bytes());
    Some(question)
}

/// What this server says; `None`: nothing, or that it has trouble.
fn ask(server: SocketAddr, question: &[u8]) -> Option<Said> {
    // The system chooses the port, as for glibc: SELinux need not allow a bind.
    let socket = Socket::new(Domain::for_address(server), Type::DGRAM, None).ok()?;
    socket.connect(&server.into()).ok()?;
    let socket = UdpSocket::from(socket);
    let mut id = [0; 2];
    SystemRandom::new().fill(&mut id).ok()?;
    // Recursion is wanted; one question.
    let head = [0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0];
    socket.send(&[&id, &head[..], question].concat()).ok()?;
    let end = Instant::now() + PATIENCE;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        // A limit of zero would be an error.
        socket.set_read_timeout(Some(left)).ok()?;
        let mut buffer = [0; 512];
        match socket.recv(&mut buffer) {
            Ok(length) => {
                let reply = buffer.get(..length).unwrap_or_default();
                if let Some(rest) = reply.strip_prefix(&id) {
                    if let Some(reply) = read(rest, question) {
                        return reply;
                    }
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}

/// The bit of an answer that says that it is one.
const RESPONSE: u8 = 0x80;
/// The bit that says that the server has the name itself.
const AUTHORITY: u8 = 0x04;
/// The bit, beside the code, that says that the server asks others.
const RECURSION: u8 = 0x80;
/// The bit that says that it was truncated.
const TRUNCATED: u8 = 0x02;
/// Codes of answers; other servers are asked after any other code, as glibc does.
const NO_ERROR: u8 = 0;
const NO_SUCH_NAME: u8 = 3;

/// What a reply says behind its number. `None`: it is not one to this question. `Some(None)`: the server has trouble.
#[allow(clippy::option_option)] // go on listening, go on to the next server, or done
fn read(reply: &[u8], question: &[u8]) -> Option<Option<Said>> {
    let (&[flags, code, head @ ..], rest) = reply.split_first_chunk::<10>()?;
    let [questions_high, questions_low, high, low, .., more, less] = head;
    let (asked, records) = rest.split_at_checked(question.len())?;
    let is_ours = flags & RESPONSE != 0
        && [questions_high, questions_low] == [0, 1]
        && asked.eq_ignore_ascii_case(question);
    if !is_ours {
        return None;
    }
    // The kind that is asked for stands before the class.
    let kind = question
        .last_chunk::<4>()
        .map(|[high, low, ..]| [*high, *low]);
    let has_any = || {
        let mut rest = records;
        for _ in 0..u16::from_be_bytes([high, low]) {
            let (found, next) = record(rest)?;
            if Some(found) == kind {
                return Some(true);
            }
            rest = next;
        }
        Some(false)
    };
    // A server that is not there for this name, as glibc tells it.
    let is_lame =
        flags & AUTHORITY == 0 && code & RECURSION == 0 && [high, low, more, less] == [0; 4];
    Some(match code & 0x0f {
        NO_ERROR if is_lame && flags & TRUNCATED == 0 => None,
        NO_ERROR | NO_SUCH_NAME if flags & TRUNCATED != 0 => Some(Said::Other),
        NO_SUCH_NAME => Some(Said::NoAddress),
        NO_ERROR if has_any() == Some(false) => Some(Said::NoAddress),
        NO_ERROR => Some(Said::Other),
        _ => None,
    })
}

/// The type of the first record, and what comes behind it.
fn record(records: &[u8]) -> Option<([u8; 2], &[u8])> {
    let rest = after_name(records)?;
    // Type, class, time to live, and the length of the data.
    let (&[high, low, _, _, _, _, _, _, more, less], rest) = rest.split_first_chunk::<10>()?;
    let length = u16::from_be_bytes([more, less]);
    Some(([high, low], rest.get(length.into()..)?))
}

/// What comes behind the name at the start.
fn after_name(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        let (&length, rest) = bytes.split_first()?;
        match length {
            0 => return Some(rest),
            1..=63 => bytes = rest.get(length.into()..)?,
            // A pointer to the rest of the name, of two bytes.
            192.. => return rest.get(1..),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_servers_are_those_that_glibc_asks() {
        let of = |text| {
            let servers: Vec<_> = servers_of(text).iter().map(ToString::to_string).collect();
            servers
        };
        assert_eq!(of(""), ["127.0.0.1:53"]);
        assert_eq!(
            of(
                "# nameserver 192.0.2.9\nsearch x\nnameserver 192.0.2.1\nnameserver\t2001:db8::1 # x\n"
            ),
            ["192.0.2.1:53", "[2001:db8::1]:53"]
        );
        assert_eq!(
            of("nameserver fe80::1%lo\nnameserver x.test\nnameserver x%lo\n"),
            ["[fe80::1%1]:53"]
        );
        let many = "nameserver 192.0.2.1\n".repeat(5);
        assert_eq!(of(&many).len(), 3);
    }

    #[test]
    fn a_name_that_no_question_can_hold_is_not_asked_for() {
        let ask = |host: &str| question(host, Kind::Ipv6);
        assert_eq!(
            ask("a.bc.").unwrap(),
            b"\x01a\x02bc\x00\x00\x1c\x00\x01".as_slice()
        );
        for host in ["", ".", "a..b", &"a".repeat(64), &"a".repeat(300)] {
            assert_eq!(ask(host), None, "{host}");
        }
    }

    /// A reply behind its number: flags, code, count of answers, answers.
    fn reply(flags: u8, code: u8, count: u8, answers: &[u8]) -> Vec<u8> {
        let head = [flags, code, 0, 1, 0, count, 0, 0, 0, 0];
        [&head[..], &question("a.bc", Kind::Ipv4).unwrap(), answers].concat()
    }

    /// A CNAME of two bytes.
    const ALIAS: &[u8] = &[0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 0, 0, 2, 0xc0, 12];
    /// An IPv4 address, with a name that is written out.
    const ADDRESS: &[u8] = &[1, b'a', 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 192, 0, 2, 1];

    #[test]
    fn r19_only_a_whole_answer_without_an_address_says_that_there_is_none() {
        let question = question("a.bc", Kind::Ipv4).unwrap();
        let says = |reply: &[u8]| read(reply, &question);
        let (none, other) = (Some(Some(Said::NoAddress)), Some(Some(Said::Other)));
        assert_eq!(says(&reply(0x81, 0x80, 0, &[])), none);
        assert_eq!(says(&reply(0x81, 0x83, 0, &[])), none);
        assert_eq!(says(&reply(0x81, 0x80, 1, ALIAS)), none);
        // A server that is not there for this name: another one may be.
        assert_eq!(says(&reply(0x81, 0x00, 0, &[])), Some(None));
        assert_eq!(says(&reply(0x85, 0x00, 0, &[])), none);
        // Truncated, whatever the code is.
        assert_eq!(says(&reply(0x83, 0x80, 0, &[])), other);
        assert_eq!(says(&reply(0x83, 0x83, 0, &[])), other);
        // There is an address after all.
        assert_eq!(says(&reply(0x81, 0x80, 1, ADDRESS)), other);
        let both = [ALIAS, ADDRESS].concat();
        assert_eq!(says(&reply(0x81, 0x80, 2, &both)), other);
        // SERVFAIL, REFUSED: another server may know.
        for code in [2, 5] {
            assert_eq!(says(&reply(0x81, 0x80 | code, 0, &[])), Some(None));
        }
        // No reply, or one to another question.
        assert_eq!(says(&reply(0x01, 0, 0, &[])), None);
        let mut foreign = reply(0x81, 0x80, 0, &[]);
        foreign[11] ^= 1;
        assert_eq!(says(&foreign), None);
        // Wherever it is cut off, it does not say that there is no address.
        let whole = reply(0x81, 0x80, 2, &both);
        for length in 0..whole.len() {
            assert_ne!(says(&whole[..length]), none, "{length}");
        }
        let whole = reply(0x81, 0x80, 1, ALIAS);
        for length in 0..whole.len() {
            assert_ne!(says(&whole[..length]), none, "{length}");
        }
        for length in [64, 128, 191] {
            assert_ne!(says(&reply(0x81, 0x80, 1, &[length; 80])), none);
        }
    }
}
