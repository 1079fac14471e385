//! A TLS connection over TCP. Each wait ends at its deadline, or when the user presses Ctrl-C.

use super::progress::RequestProgress;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustls::{ClientConnection, Stream};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::{Duration, Instant};
use ureq::Error;
use ureq::unversioned::transport::{Buffers, LazyBuffers, NextTimeout, Transport};
use zeroize::Zeroize as _;

/// Whether the user wants a wait to end.
pub type Interrupt = fn() -> bool;

/// How long a connection is waited for between two looks at the user.
const SLICE: Duration = Duration::from_millis(250);

/// How long a connection is waited for at most: longer than any login.
const PATIENCE: Duration = Duration::from_secs(3600);

/// How often what has arrived is still taken behind the end of a wait.
const BEYOND: u8 = 16;

/// How long a new connection is listened to before it is used: a person types slower.
const LISTEN: Duration = Duration::from_millis(5);

/// A TCP connection that is read and written until a moment, and no longer.
#[derive(Debug)]
pub(super) struct Line {
    stream: TcpStream,
    end: Instant,
    beyond: u8,
    interrupt: Option<Interrupt>,
    progress: Arc<RequestProgress>,
}

impl Line {
    pub(super) fn new(
        stream: TcpStream,
        interrupt: Option<Interrupt>,
        progress: Arc<RequestProgress>,
    ) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            end: Instant::now(),
            beyond: BEYOND,
            interrupt,
            progress,
        })
    }

    /// From now on, waits end then.
    pub(super) fn until(&mut self, end: Instant) {
        self.end = end;
        self.beyond = BEYOND;
    }

    /// Does something, as soon as the connection lets it be done. A server that never pauses cannot
    /// keep it going behind the end.
    fn when(
        &mut self,
        ready: PollFlags,
        mut act: impl FnMut(&mut &TcpStream) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            if self.end <= Instant::now() {
                self.beyond = self.beyond.checked_sub(1).ok_or_else(endless)?;
            }
            match act(&mut &self.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait(ready)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    fn wait(&self, ready: PollFlags) -> io::Result<()> {
        loop {
            let left = self.end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let slice = self.interrupt.map_or(left, |_| left.min(SLICE));
            // Rounded up: what is left of a millisecond must not be spent by asking again and again.
            let slice = slice + Duration::from_millis(1);
            let slice = PollTimeout::try_from(slice).unwrap_or(PollTimeout::MAX);
            match poll(&mut [PollFd::new(self.stream.as_fd(), ready)], slice) {
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => return Ok(()),
                Err(errno) => return Err(errno.into()),
            }
            if self
                .interrupt
                .is_some_and(|is_interrupted| is_interrupted())
            {
                self.progress.interrupted();
                return Err(io::Error::other("interrupted by the user"));
            }
        }
    }
}

impl Read for Line {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.when(PollFlags::POLLIN, |stream| stream.read(buffer))
    }
}

/// No vectored writes: those of the standard library raise SIGPIPE in a host that lets them.
impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let progress = Arc::clone(&self.progress);
        self.when(PollFlags::POLLOUT, |stream| {
            if progress.may_write() {
                stream.write(bytes)
            } else {
                Err(io::ErrorKind::TimedOut.into())
            }
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether the time is over and nothing has come: not the network says so, nor does the server go on.
fn is_late(error: &io::Error) -> bool {
    let is_bare = error.raw_os_error().is_none() && error.get_ref().is_none();
    error.kind() == io::ErrorKind::TimedOut && is_bare
}

fn endless() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the server sends without a pause")
}

/// The connection to OneLogin, behind its handshake.
#[derive(Debug)]
pub(super) struct Link {
    line: Line,
    tls: ClientConnection,
    buffers: LazyBuffers,
    made: Instant,
    generation: usize,
}

impl Link {
    /// Shakes hands over a line.
    pub(super) fn over(
        mut line: Line,
        mut tls: ClientConnection,
        buffers: LazyBuffers,
    ) -> io::Result<Self> {
        tls.complete_io(&mut line)?;
        Ok(Self {
            generation: line.progress.connections(),
            line,
            tls,
            buffers,
            made: Instant::now(),
        })
    }

    /// Whether the server has neither closed it nor sent anything unasked. What it says
    /// of the connection itself is read, as the session tickets of TLS wait to be.
    pub(super) fn is_quiet(&mut self) -> bool {
        self.line.until(Instant::now().max(self.made + LISTEN));
        let read = Stream::new(&mut self.tls, &mut self.line).read(&mut [0]);
        read.is_err_and(|error| is_late(&error))
    }

    /// A wait begins.
    fn until(&mut self, timeout: NextTimeout) -> Result<(), Error> {
        if timeout.after.is_zero() {
            return Err(Error::Timeout(timeout.reason));
        }
        self.line.until(end_of(timeout));
        Ok(())
    }
}

/// When a wait ends that begins now.
pub(super) fn end_of(timeout: NextTimeout) -> Instant {
    Instant::now() + (*timeout.after).min(PATIENCE)
}

/// Lateness in the words of the HTTP client.
pub(super) fn or_late<T>(result: io::Result<T>, timeout: NextTimeout) -> Result<T, Error> {
    result.map_err(|error| {
        if error.kind() == io::ErrorKind::TimedOut {
            Error::Timeout(timeout.reason)
        } else {
            error.into()
        }
    })
}

impl Transport for Link {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.until(timeout)?;
        let progress = Arc::clone(&self.line.progress);
        let mut stream = Stream::new(&mut self.tls, &mut self.line);
        let output = self.buffers.output().get_mut(..amount).unwrap_or_default();
        progress.writing();
        // Without the flush, an error would show at the next read only: as if all had been written.
        let result = stream.write_all(output).and_then(|()| stream.flush());
        // A code, a token or a secret was in it (rule R11).
        output.zeroize();
        or_late(result, timeout)?;
        progress.written();
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.until(timeout)?;
        let mut stream = Stream::new(&mut self.tls, &mut self.line);
        let amount = or_late(stream.read(self.buffers.input_append_buf()), timeout)?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.generation == self.line.progress.connections() && self.is_quiet()
    }

    fn is_tls(&self) -> bool {
        true
    }
}
