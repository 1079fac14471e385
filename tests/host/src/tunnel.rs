//! An HTTP proxy on loopback that is asked for tunnels, and does as it was told.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// What the proxy does with whoever asks.
#[derive(Clone, Copy, Debug)]
pub enum Manner {
    /// Makes the connection that it is asked for, to a port of this machine.
    Joins,
    /// Makes a connection to this port, whatever it is asked for.
    Misleads(u16),
    /// Says this, and hangs up.
    Says(&'static str),
    /// Listens, and says nothing.
    Listens,
}

/// The proxy. It serves until the test ends.
#[derive(Debug)]
pub struct Tunnels {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Tunnels {
    /// A proxy on a free port.
    ///
    /// # Panics
    /// When there is no port to be had.
    pub fn new(manner: Manner) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port on 127.0.0.1");
        let port = listener.local_addr().expect("its address").port();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let heard = Arc::clone(&asked);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let heard = Arc::clone(&heard);
                // The end of a connection is no concern of the others.
                thread::spawn(move || serve(&client, manner, &heard));
            }
        });
        Self { port, asked }
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The heads of all requests so far, each with its empty line.
    pub fn asked(&self) -> Vec<String> {
        let asked = self.asked.lock();
        asked.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn serve(mut client: &TcpStream, manner: Manner, asked: &Mutex<Vec<String>>) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte)?;
        head.extend(byte);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let place = head
        .split([' ', ':'])
        .nth(2)
        .and_then(|port| port.parse().ok());
    let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
    asked.push(head);
    drop(asked);
    let port = match manner {
        Manner::Joins => place.ok_or(io::ErrorKind::InvalidData)?,
        Manner::Misleads(port) => port,
        Manner::Says(text) => return client.write_all(text.as_bytes()),
        Manner::Listens => return io::copy(&mut client, &mut io::sink()).map(drop),
    };
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    server.set_nodelay(true)?;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let (up, down) = (
        (client.try_clone()?, server.try_clone()?),
        (server, client.try_clone()?),
    );
    for (mut from, mut to) in [up, down] {
        thread::spawn(move || {
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
    }
    Ok(())
}
