//! The listener and one thread for each connection.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rustls::{ConnectionTrafficSecrets, ServerConfig, ServerConnection, StreamOwned};

use crate::api;
use crate::fault::{Action, Plan};
use crate::front::{self, Caller, Page};
use crate::http::{Connection, Incoming, NoRequest, Reply, head};
use crate::replay;
use crate::state::{Request, State, http_date};

/// What all threads and the [`crate::Simulator`] share.
pub(crate) struct Shared {
    state: Mutex<State>,
    /// Told of each request, each message and the stop.
    changed: Condvar,
    /// `None` is plain HTTP.
    tls: Option<Arc<ServerConfig>>,
    port: u16,
}

impl Shared {
    pub(crate) fn new(state: State, tls: Option<Arc<ServerConfig>>, port: u16) -> Shared {
        Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
            tls,
            port,
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn stop(&self) {
        self.state().stopping = true;
        self.changed.notify_all();
    }

    /// Waits until `look` finds something, the time is over, or the simulator stops.
    pub(crate) fn wait<T>(
        &self,
        timeout: Duration,
        mut look: impl FnMut(&State) -> Option<T>,
    ) -> Option<T> {
        let mut found = None;
        let _ = self
            .changed
            .wait_timeout_while(self.state(), timeout, |state| {
                found = look(state);
                found.is_none() && !state.stopping
            });
        found
    }

    /// Lets the time pass; an error if the simulator stops.
    fn pause(&self, time: Duration) -> io::Result<()> {
        if time.is_zero() {
            return Ok(());
        }
        let stopped = self.wait(time, |state| state.stopping.then_some(()));
        stopped.map_or(Ok(()), |()| Err(io::ErrorKind::Interrupted.into()))
    }
}

/// Accepts connections until the stop; then ends those that are open and waits for their threads.
pub(crate) fn accept(shared: &Arc<Shared>, listener: &TcpListener) {
    let mut open: BTreeMap<u64, (TcpStream, JoinHandle<()>)> = BTreeMap::new();
    loop {
        let accepted = listener.accept();
        open.retain(|_, (_, thread)| !thread.is_finished());
        let number = {
            let mut state = shared.state();
            if state.stopping {
                break;
            }
            if accepted.is_ok() {
                state.connections += 1;
            }
            state.connections
        };
        let started = accepted.and_then(|(socket, _)| {
            let control = socket.try_clone()?;
            let known = socket.try_clone()?;
            shared.state().sockets.insert(number, known);
            let shared = Arc::clone(shared);
            let thread = Builder::new()
                .name(format!("sim-{}", shared.port))
                .spawn(move || {
                    // The end of a connection, however it comes, is no concern of the others.
                    let _ = serve(&shared, &socket, number);
                    // Not left to the descriptor's end: a forked child may hold a copy of it.
                    let _ = socket.shutdown(Shutdown::Both);
                    let mut state = shared.state();
                    state.sockets.remove(&number);
                    state.closed += 1;
                    drop(state);
                    shared.changed.notify_all();
                })?;
            Ok((control, thread))
        });
        match started {
            Ok(connection) => drop(open.insert(number, connection)),
            // Probably out of descriptors: do not spin.
            Err(_) => drop(shared.pause(Duration::from_millis(10))),
        }
    }
    for (socket, thread) in open.into_values() {
        let _ = socket.shutdown(Shutdown::Both);
        let _ = thread.join();
    }
}

fn serve(shared: &Shared, socket: &TcpStream, number: u64) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let fault = shared.state().faults.for_connection();
    if fault == Some(Action::SilentAccept) {
        return hold(socket);
    }
    let mut stream = Stream::open(socket.try_clone()?, shared.tls.as_ref())?;
    stream.handshake()?;
    if fault == Some(Action::HangUpAfterHandshake) {
        return Ok(());
    }
    if let Some(Action::SpeakFirst(bytes)) = &fault {
        stream.send(bytes)?;
        shared.state().unasked += 1;
        shared.changed.notify_all();
    }
    let mut connection = Connection::new(stream);
    let caller = Caller {
        address: socket.peer_addr()?,
        connection: number,
    };
    loop {
        match connection.request() {
            Ok(request) => {
                let keep = exchange(shared, &mut connection.stream, socket, caller, &request)?;
                if !keep {
                    return connection.stream.close();
                }
            }
            Err(NoRequest::Bad(status)) => {
                let reply = Reply::new(status, "").header("Connection", "close");
                connection.stream.send(&reply.bytes())?;
                return connection.stream.close();
            }
            Err(NoRequest::Closed) => return Ok(()),
        }
    }
}

/// Answers one request; whether the connection goes on.
fn exchange(
    shared: &Shared,
    stream: &mut Stream,
    socket: &TcpStream,
    caller: Caller,
    request: &Incoming,
) -> io::Result<bool> {
    let (plan, answer) = {
        let mut state = shared.state();
        let plan = state.faults.for_request(request);
        // Before the request is handled: it may be about the token that it carries.
        let client = api::client(&state, request);
        state.v1_calls += usize::from(front::is_v1(request));
        let replayed = replay::answer(&mut state, request);
        let answer = replayed.unwrap_or_else(|| {
            let reply = (!plan.skips_the_request).then(|| api::answer(&mut state, request));
            let mut answer = Answer::new(&plan, reply);
            answer.dress(&plan, &state, request, caller);
            answer
        });
        state.requests.push(Request::new(
            caller.connection,
            request,
            answer.status(),
            client,
        ));
        (plan, answer)
    };
    shared.changed.notify_all();
    print(shared);
    shared.pause(plan.delay)?;
    match answer {
        Answer::Reply(reply) => match plan.drip {
            None => {
                let mut bytes = reply.bytes();
                let Some((also, apart)) = plan.also else {
                    stream.send(&bytes)?;
                    return Ok(request.keep_alive && !plan.close);
                };
                if apart {
                    stream.send(&bytes)?;
                    bytes.clear();
                }
                bytes.extend(also);
                stream.send(&bytes)?;
                shared.state().unasked += 1;
                shared.changed.notify_all();
            }
            Some((bytes, every)) => {
                for piece in reply.bytes().chunks(bytes) {
                    stream.send(piece)?;
                    shared.pause(every)?;
                }
            }
        },
        Answer::Raw(bytes) => {
            stream.send(&bytes)?;
            return Ok(false);
        }
        Answer::Page(page) => {
            stream.send(&page.bytes())?;
            return Ok(false);
        }
        Answer::RawThenDrop(bytes) => {
            stream.send(&bytes)?;
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Answer::Huge(bytes) => return stream.huge(bytes).map(|()| true),
        Answer::EndlessHeaders => return stream.endless_headers(),
        Answer::EndlessHints => return stream.endless_hints(),
        Answer::Tickets => {
            let rest = Stream::Plain(socket.try_clone()?);
            return std::mem::replace(stream, rest).tickets();
        }
        Answer::Silence => return hold(socket).map(|()| false),
        // Abrupt: TLS is not closed in order.
        Answer::Drop => return Err(io::ErrorKind::ConnectionAborted.into()),
    }
    Ok(request.keep_alive && !plan.close)
}

/// Shows new messages to the printer, outside the lock so that it may call the simulator.
fn print(shared: &Shared) {
    let (messages, printer) = {
        let mut state = shared.state();
        (std::mem::take(&mut state.unprinted), state.printer.clone())
    };
    if let Some(printer) = printer {
        for message in &messages {
            printer(message);
        }
    }
}

/// Sends nothing more; returns when the client or the simulator ends the connection.
fn hold(mut socket: &TcpStream) -> io::Result<()> {
    let mut buffer = [0; 4096];
    while socket.read(&mut buffer)? > 0 {}
    Ok(())
}

/// What goes onto the wire.
pub(crate) enum Answer {
    Reply(Reply),
    Page(Page),
    Raw(Vec<u8>),
    RawThenDrop(Vec<u8>),
    Huge(u64),
    EndlessHeaders,
    EndlessHints,
    Tickets,
    Silence,
    Drop,
}

impl Answer {
    fn new(plan: &Plan, reply: Option<Reply>) -> Answer {
        let reply = match (&plan.instead, reply) {
            (None, Some(reply)) => reply,
            (Some(Action::Status(status, body, headers)), _) => Reply {
                headers: headers.clone(),
                ..Reply::new(*status, body)
            },
            (Some(Action::Body(body)), _) => Reply::new(200, body),
            (Some(Action::Redirect(location)), _) => {
                Reply::new(302, "").header("Location", location)
            }
            (Some(Action::Page(page)), _) => return Answer::Page(*page),
            (Some(Action::Raw(bytes)), _) => return Answer::Raw(bytes.clone()),
            (Some(Action::RawThenDrop(bytes)), _) => return Answer::RawThenDrop(bytes.clone()),
            (Some(Action::Huge(bytes)), _) => return Answer::Huge(*bytes),
            (Some(Action::EndlessHeaders), _) => return Answer::EndlessHeaders,
            (Some(Action::EndlessHints), _) => return Answer::EndlessHints,
            (Some(Action::Tickets), _) => return Answer::Tickets,
            (Some(Action::Silence), _) => return Answer::Silence,
            (Some(_) | None, _) => return Answer::Drop,
        };
        Answer::Reply(reply)
    }

    /// The headers of a reply: the front end's, those of faults, and a date unless a fault has one of its own.
    fn dress(&mut self, plan: &Plan, state: &State, request: &Incoming, caller: Caller) {
        let Answer::Reply(reply) = self else {
            return;
        };
        front::dress(reply, state, request, caller);
        reply.headers.extend(plan.headers.iter().cloned());
        let mut further = |name: &str, value: String| reply.headers.push((name.to_owned(), value));
        if !request.keep_alive {
            further("Connection", "close".to_owned());
        }
        let is_date = |(name, _): &(String, String)| name.eq_ignore_ascii_case("date");
        if !reply.headers.iter().any(is_date) {
            let now = http_date(state.settings.ahead);
            reply.headers.push(("Date".to_owned(), now));
        }
    }

    fn status(&self) -> u16 {
        match self {
            Answer::Reply(reply) => reply.status,
            Answer::Page(page) => page.status(),
            Answer::Huge(_) | Answer::EndlessHeaders | Answer::EndlessHints | Answer::Tickets => {
                200
            }
            Answer::Raw(_) | Answer::RawThenDrop(_) | Answer::Silence | Answer::Drop => 0,
        }
    }
}

/// A connection's bytes, encrypted or not.
enum Stream {
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
    Plain(TcpStream),
}

impl Stream {
    fn open(socket: TcpStream, tls: Option<&Arc<ServerConfig>>) -> io::Result<Stream> {
        let Some(config) = tls else {
            return Ok(Stream::Plain(socket));
        };
        let connection = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
        Ok(Stream::Tls(Box::new(StreamOwned::new(connection, socket))))
    }

    fn handshake(&mut self) -> io::Result<()> {
        if let Stream::Tls(tls) = self {
            while tls.conn.is_handshaking() {
                tls.conn.complete_io(&mut tls.sock)?;
            }
        }
        Ok(())
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)?;
        self.flush()
    }

    fn huge(&mut self, bytes: u64) -> io::Result<()> {
        self.write_all(
            format!(
                "{}Content-Type: application/json\r\n\r\n\"",
                head(200, bytes)
            )
            .as_bytes(),
        )?;
        io::copy(&mut io::repeat(b'a').take(bytes.saturating_sub(2)), self)?;
        self.send(b"\"")
    }

    fn endless_headers(&mut self) -> io::Result<bool> {
        self.write_all(b"HTTP/1.1 200 OK\r\n")?;
        loop {
            self.send(b"X-Filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n")?;
        }
    }

    fn endless_hints(&mut self) -> io::Result<bool> {
        let hints = b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(2000);
        loop {
            self.send(&hints)?;
        }
    }

    /// Records of TLS 1.3 made by hand: the library makes tickets no faster than a client reads them.
    fn tickets(self) -> io::Result<bool> {
        let Stream::Tls(tls) = self else {
            return Ok(false);
        };
        let (connection, mut socket) = tls.into_parts();
        let secrets = connection
            .dangerous_extract_secrets()
            .map_err(io::Error::other)?;
        let (mut number, (suite, key, iv)) = match secrets.tx {
            (number, ConnectionTrafficSecrets::Aes128Gcm { key, iv }) => {
                (number, (&AES_128_GCM, key, iv))
            }
            (number, ConnectionTrafficSecrets::Aes256Gcm { key, iv }) => {
                (number, (&AES_256_GCM, key, iv))
            }
            _ => panic!("the tickets of this suite are not made here"),
        };
        let key = UnboundKey::new(suite, key.as_ref()).map_err(|_| io::ErrorKind::Other)?;
        let key = LessSafeKey::new(key);
        // For an hour, without a nonce, of one byte, and the type of the record behind them.
        let ticket = [4, 0, 0, 14, 0, 0, 14, 16, 0, 0, 0, 0, 0, 0, 1, 7, 0, 0];
        let mut tickets = ticket.repeat(800);
        tickets.push(22);
        let length = u16::try_from(tickets.len() + 16).map_err(io::Error::other)?;
        let [high, low] = length.to_be_bytes();
        let head = [23, 3, 3, high, low];
        for _ in 0..2000 {
            let mut nonce: [u8; 12] = iv.as_ref().try_into().map_err(io::Error::other)?;
            for (byte, other) in nonce[4..].iter_mut().zip(number.to_be_bytes()) {
                *byte ^= other;
            }
            number += 1;
            let mut record = tickets.clone();
            let nonce = Nonce::assume_unique_for_key(nonce);
            key.seal_in_place_append_tag(nonce, Aad::from(head), &mut record)
                .map_err(|_| io::ErrorKind::Other)?;
            socket.write_all(&[&head, record.as_slice()].concat())?;
        }
        Ok(false)
    }

    /// Ends TLS in order.
    fn close(&mut self) -> io::Result<()> {
        if let Stream::Tls(tls) = self {
            tls.conn.send_close_notify();
        }
        self.flush()
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tls(tls) => tls.read(buffer),
            Stream::Plain(socket) => socket.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tls(tls) => tls.write(bytes),
            Stream::Plain(socket) => socket.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Tls(tls) => tls.flush(),
            Stream::Plain(socket) => socket.flush(),
        }
    }
}
