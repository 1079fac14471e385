//! A datagram socket in the place of /dev/log: every line that comes is kept, and a test can wait for one.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A bound log socket and the thread that empties it.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    lines: Arc<Lines>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Lines {
    kept: Mutex<Kept>,
    came: Condvar,
}

#[derive(Debug, Default)]
struct Kept {
    lines: Vec<String>,
    marks: usize,
}

impl Lines {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    /// Binds the socket, writable by everybody, and reads it from now on.
    ///
    /// # Errors
    /// Those of bind(2), chmod(2) and of starting a thread.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::bind(path)?;
        fs::set_permissions(path, Permissions::from_mode(0o666))?;
        let lines = Arc::new(Lines::default());
        let reader = thread::Builder::new().name("log".to_owned()).spawn({
            let lines = Arc::clone(&lines);
            move || receive(&socket, &lines)
        })?;
        Ok(Self {
            path: path.to_owned(),
            lines,
            reader: Some(reader),
        })
    }

    /// Everything that was sent before this call.
    pub fn lines(&self) -> Vec<String> {
        let marks = self.lines.kept().marks;
        // Not under the lock: the reader needs it to make room for this.
        let is_sent = self.send(MARK).is_ok();
        let mut kept = self.lines.kept();
        if is_sent {
            // Datagrams keep their order: when the reader has met the mark, it has met everything before it.
            let wait = self
                .lines
                .came
                .wait_timeout_while(kept, LONG, |kept| kept.marks == marks);
            kept = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
        kept.lines.clone()
    }

    fn send(&self, mark: &[u8]) -> io::Result<usize> {
        UnixDatagram::unbound().and_then(|socket| socket.send_to(mark, &self.path))
    }

    /// Waits for a line that contains the text; `None` when none comes in `longest`.
    pub fn wait_for(&self, text: &str, longest: Duration) -> Option<String> {
        let deadline = Instant::now() + longest;
        let mut kept = self.lines.kept();
        loop {
            if let Some(line) = kept.lines.iter().find(|line| line.contains(text)) {
                return Some(line.clone());
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            kept = self
                .lines
                .came
                .wait_timeout(kept, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Everything that was sent before this call.
    pub fn finish(mut self) -> Vec<String> {
        self.stop();
        self.lines.kept().lines.clone()
    }

    /// As with [`Log::lines`], everything that was sent before is met before the end mark.
    fn stop(&mut self) {
        if let Some(reader) = self.reader.take() {
            if self.send(END).is_ok() {
                let _ = reader.join();
            }
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.stop();
    }
}

fn receive(socket: &UnixDatagram, lines: &Lines) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length) = socket.recv(&mut buffer) {
        let datagram = &buffer[..length];
        if datagram == END {
            return;
        }
        let mut kept = lines.kept();
        if datagram == MARK {
            kept.marks += 1;
        } else {
            let text = String::from_utf8_lossy(datagram);
            let text = text.trim_end_matches(['\n', '\0']);
            kept.lines.push(text.to_owned());
        }
        drop(kept);
        lines.came.notify_all();
    }
}

const END: &[u8] = b"\0end";
const MARK: &[u8] = b"\0mark";
/// More than the reader needs.
const LONG: Duration = Duration::from_secs(10);
