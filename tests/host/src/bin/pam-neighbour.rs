//! What another user of a host does to keep a login from OneLogin. It becomes `nobody` first, and holds what it has taken until
//! its standard input ends.
//!
//! - `pam-neighbour udp-ports`, `tcp-ports`: binds all ports of `ip_local_port_range`
//! - `pam-neighbour connections ADDRESS:PORT`: makes connections until no more is accepted
//! - `pam-neighbour queries ADDRESS:PORT NAME`: asks a name server for names below NAME until it refuses to ask for more

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::ExitCode;
use std::time::Duration;
use std::{env, iter};

use nix::unistd::{User, setgroups, setresgid, setresuid};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match act(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pam-neighbour: {error}");
            ExitCode::FAILURE
        }
    }
}

fn act(arguments: &[&str]) -> io::Result<()> {
    become_nobody()?;
    match arguments {
        ["udp-ports"] => hold(&ports(UdpSocket::bind)?),
        ["tcp-ports"] => hold(&ports(TcpListener::bind)?),
        ["connections", address] => hold(&connections(parsed(address)?)),
        ["queries", address, name] => hold(&queries(parsed(address)?, name)?),
        _ => Err(io::Error::other("what it is to do is missing")),
    }
}

fn become_nobody() -> io::Result<()> {
    let nobody = User::from_name("nobody")?.ok_or(io::ErrorKind::NotFound)?;
    setgroups(&[])?;
    setresgid(nobody.gid, nobody.gid, nobody.gid)?;
    setresuid(nobody.uid, nobody.uid, nobody.uid)?;
    Ok(())
}

/// Tells the test that it is done, and waits for the test's end.
fn hold<T>(_taken: &T) -> io::Result<()> {
    println!("done");
    io::stdout().flush()?;
    io::stdin().read_to_end(&mut Vec::new()).map(drop)
}

/// A socket at each port that is free, for IPv4 and for IPv6.
fn ports<T>(bind: impl Fn(SocketAddr) -> io::Result<T>) -> io::Result<Vec<T>> {
    let mut taken = Vec::new();
    for any in [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()] {
        let any = SocketAddr::new(any, 0);
        let error = loop {
            match bind(any) {
                Ok(socket) => taken.push(socket),
                Err(error) => break error,
            }
        };
        // What ends it must be the lack of ports, not that of descriptors.
        if error.kind() != io::ErrorKind::AddrInUse {
            return Err(error);
        }
    }
    Ok(taken)
}

fn connections(to: SocketAddr) -> Vec<TcpStream> {
    let next = || TcpStream::connect_timeout(&to, Duration::from_millis(300)).ok();
    iter::from_fn(next).collect()
}

/// Queries that differ, a few at a time, until one is refused.
fn queries(to: SocketAddr, name: &str) -> io::Result<UdpSocket> {
    const REFUSED: u8 = 5;
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(to)?;
    socket.set_read_timeout(Some(Duration::from_millis(10)))?;
    for number in 0..2000_u16 {
        socket.send(&query(number, &format!("x{number}.{name}")))?;
        if number % 10 != 9 {
            continue;
        }
        let mut reply = [0; 512];
        while let Ok(length) = socket.recv(&mut reply) {
            if length > 3 && reply[3] & 0xf == REFUSED {
                return Ok(socket);
            }
        }
    }
    Err(io::Error::other("the name server has refused no query"))
}

/// A query for an IPv4 address (RFC 1035).
fn query(id: u16, name: &str) -> Vec<u8> {
    let mut query = id.to_be_bytes().to_vec();
    // Recursion is desired; one question.
    query.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        query.push(u8::try_from(label.len()).unwrap_or(63));
        query.extend(label.as_bytes());
    }
    query.extend([0, 0, 1, 0, 1]);
    query
}

fn parsed(address: &str) -> io::Result<SocketAddr> {
    address.parse().map_err(io::Error::other)
}
