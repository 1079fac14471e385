//! A wire with a delay, on loopback, that counts the round trips of what passes.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A way to a port of 127.0.0.1 that takes time in both directions.
///
/// A round trip is a connection that was made, or bytes of the server after bytes of the client. One is counted before the
/// client can see it, so that a client that goes on has been counted.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    server: u16,
    round_trip: Duration,
    trips: AtomicUsize,
    spoke: Mutex<Option<Instant>>,
    stopping: AtomicBool,
}

impl Proxy {
    /// A way to this port of 127.0.0.1, with this time for a round trip.
    ///
    /// # Panics
    /// When there is no port to be had.
    pub fn to(server: u16, round_trip: Duration) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port on 127.0.0.1");
        let address = listener.local_addr().expect("the address of the listener");
        let shared = Arc::new(Shared {
            server,
            round_trip,
            trips: AtomicUsize::new(0),
            spoke: Mutex::new(None),
            stopping: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming() {
                if accepting.stopping.load(Ordering::SeqCst) {
                    return;
                }
                // The end of a connection is no concern of the others.
                let _ = client.and_then(|client| accepting.join(&client));
            }
        });
        Self {
            port: address.port(),
            shared,
        }
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// When the server last said something, on whichever connection: by its own clock, before it travels.
    pub fn spoke(&self) -> Option<Instant> {
        *self
            .shared
            .spoke
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// How many round trips there were so far.
    pub fn trips(&self) -> usize {
        self.shared.trips.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the listener.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

impl Shared {
    fn join(self: &Arc<Self>, client: &TcpStream) -> io::Result<()> {
        let server = TcpStream::connect((Ipv4Addr::LOCALHOST, self.server))?;
        for end in [client, &server] {
            end.set_nodelay(true)?;
        }
        self.trips.fetch_add(1, Ordering::SeqCst);
        let half = self.round_trip / 2;
        let asked = Arc::new(AtomicBool::new(false));
        let upward = Carrier {
            from: client.try_clone()?,
            to: server.try_clone()?,
            time: half,
            // The kernel connected the client at once: what a connection takes is made up for here.
            first: self.round_trip,
        };
        let downward = Carrier {
            from: server,
            to: client.try_clone()?,
            time: half,
            first: Duration::ZERO,
        };
        let noted = Arc::clone(&asked);
        upward.start(move || noted.store(true, Ordering::SeqCst), || {});
        let listening = Arc::clone(self);
        let hear = move || {
            let mut spoke = listening
                .spoke
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            *spoke = Some(Instant::now());
        };
        let shared = Arc::clone(self);
        let count = move || {
            if asked.swap(false, Ordering::SeqCst) {
                shared.trips.fetch_add(1, Ordering::SeqCst);
            }
        };
        downward.start(hear, count);
        Ok(())
    }
}

/// One direction of a connection.
struct Carrier {
    from: TcpStream,
    to: TcpStream,
    time: Duration,
    /// What the first bytes take beside that.
    first: Duration,
}

impl Carrier {
    /// Carries until an end closes. `came` is told of bytes that arrived here, `leaves` of bytes that are about to be passed on.
    fn start(mut self, came: impl Fn() + Send + 'static, leaves: impl Fn() + Send + 'static) {
        let (queue, queued) = mpsc::channel::<(Instant, Vec<u8>)>();
        let mut to = self.to;
        thread::spawn(move || {
            for (due, bytes) in queued {
                thread::sleep(due.saturating_duration_since(Instant::now()));
                leaves();
                if to.write_all(&bytes).is_err() {
                    break;
                }
            }
            let _ = to.shutdown(Shutdown::Write);
        });
        thread::spawn(move || {
            let mut buffer = vec![0; 64 << 10];
            let mut extra = self.first;
            let mut earliest = Instant::now();
            while let Ok(length @ 1..) = self.from.read(&mut buffer) {
                came();
                // What was sent later does not arrive earlier.
                earliest = earliest.max(Instant::now() + self.time + extra);
                extra = Duration::ZERO;
                let bytes = buffer.get(..length).unwrap_or_default().to_vec();
                if queue.send((earliest, bytes)).is_err() {
                    return;
                }
            }
        });
    }
}
