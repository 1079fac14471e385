//! A program on a terminal of its own, driven by what it shows: no sleeps, one watchdog.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{OpenptyResult, openpty};
use nix::sys::signal::kill;
use nix::sys::termios::{LocalFlags, tcgetattr};
use nix::unistd::{Gid, Pid, Uid, fchown};

pub use nix::sys::signal::Signal;

use crate::ffi;

/// A running program and its screen.
#[derive(Debug)]
pub struct Pty {
    child: Child,
    terminal: File,
    screen: String,
    seen: usize,
    open: bool,
}

impl Pty {
    /// Starts the command with a new terminal as its input, output and controlling terminal.
    ///
    /// # Panics
    /// When there is no terminal to be had or the command cannot be started.
    pub fn spawn(command: Command) -> Self {
        Self::spawn_as(command, None)
    }

    /// The same, with a terminal that belongs to this user.
    ///
    /// # Panics
    /// As [`Pty::spawn`].
    pub fn spawn_as(mut command: Command, owner: Option<(u32, u32)>) -> Self {
        let OpenptyResult { master, slave } =
            openpty(None, None).expect("a terminal can be opened");
        fcntl(&master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))
            .expect("a terminal can be read without blocking");
        // Else the program, and all that it starts, would keep this terminal open.
        for end in [&master, &slave] {
            fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))
                .expect("a descriptor can be kept from programs");
        }
        if let Some((user, group)) = owner {
            fchown(
                slave.as_fd(),
                Some(Uid::from_raw(user)),
                Some(Gid::from_raw(group)),
            )
            .expect("a terminal can change hands");
        }
        let copy = |slave: &OwnedFd| slave.try_clone().expect("a descriptor can be copied");
        ffi::with_terminal(&mut command);
        let child = command
            .stdin(copy(&slave))
            .stdout(copy(&slave))
            .stderr(slave)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        // The command keeps copies of the terminal, which would hide that the program has closed its own.
        drop(command);
        Self {
            child,
            terminal: File::from(master),
            screen: String::new(),
            seen: 0,
            open: true,
        }
    }

    /// Waits until the text appears after what was waited for before; gives what came up to its end.
    ///
    /// # Panics
    /// When the program ends or the watchdog fires first.
    pub fn expect(&mut self, text: &str) -> String {
        self.expect_any(&[text]).1
    }

    /// Waits until one of the texts appears; which one, and what came up to its end. Of several on the screen the first
    /// in time counts.
    ///
    /// # Panics
    /// When the program ends or the watchdog fires first.
    pub fn expect_any(&mut self, texts: &[&str]) -> (usize, String) {
        let start = self.seen;
        let Some(which) = self.next_of(texts) else {
            panic!(
                "{texts:?} did not appear before the end of\n{}",
                self.screen
            )
        };
        (which, self.screen[start..self.seen].to_owned())
    }

    /// As [`Pty::expect_any`], but `None` when the program closes the terminal instead.
    ///
    /// # Panics
    /// When the watchdog fires first.
    pub fn next_of(&mut self, texts: &[&str]) -> Option<usize> {
        let deadline = Instant::now() + WATCHDOG;
        loop {
            let unseen = &self.screen[self.seen..];
            let found = texts
                .iter()
                .enumerate()
                .filter_map(|(which, text)| {
                    unseen
                        .find(text)
                        .map(|start| (start, start + text.len(), which))
                })
                .min();
            if let Some((_, end, which)) = found {
                self.seen += end;
                return Some(which);
            }
            if !self.open {
                return None;
            }
            self.read(deadline);
        }
    }

    /// Types a line.
    pub fn line(&mut self, text: &str) {
        self.type_keys(&format!("{text}\n"));
    }

    /// Types a line as soon as the terminal does not show what is typed: some programs throw away what was typed before that.
    ///
    /// # Panics
    /// When the watchdog fires first, or the terminal is gone.
    pub fn hidden_line(&mut self, text: &str) {
        let deadline = Instant::now() + WATCHDOG;
        let shows = |terminal: &File| {
            let settings = tcgetattr(terminal).expect("a terminal has settings");
            settings.local_flags.contains(LocalFlags::ECHO)
        };
        // No event tells of that.
        while shows(&self.terminal) {
            assert!(
                Instant::now() < deadline,
                "the terminal shows what is typed\n{}",
                self.screen
            );
            thread::sleep(Duration::from_millis(1));
        }
        self.line(text);
    }

    /// Types keys; `"\x03"` is Ctrl-C.
    ///
    /// # Panics
    /// When the terminal is gone.
    pub fn type_keys(&mut self, keys: &str) {
        self.terminal
            .write_all(keys.as_bytes())
            .expect("a terminal can be written to");
    }

    /// Everything shown so far.
    pub fn screen(&self) -> &str {
        &self.screen
    }

    /// The id of the process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the program.
    ///
    /// # Panics
    /// When it is gone.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().expect("a process id fits"));
        kill(pid, signal).unwrap_or_else(|error| panic!("{signal} cannot be sent: {error}"));
    }

    /// Waits until the program has closed the terminal and ended; its status and all that it showed.
    ///
    /// # Panics
    /// When the watchdog fires first.
    pub fn finish(mut self) -> (ExitStatus, String) {
        let deadline = Instant::now() + WATCHDOG;
        while self.open {
            self.read(deadline);
        }
        let status = self
            .child
            .wait()
            .unwrap_or_else(|_| ExitStatus::from_raw(-1));
        (status, std::mem::take(&mut self.screen))
    }

    /// Reads what there is, waiting for it; notes the end.
    fn read(&mut self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(
            !left.is_zero(),
            "the watchdog fired; the screen is\n{}",
            self.screen
        );
        let wait = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let mut polled = [PollFd::new(self.terminal.as_fd(), PollFlags::POLLIN)];
        match poll(&mut polled, wait) {
            Ok(0) => panic!("the watchdog fired; the screen is\n{}", self.screen),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => panic!("poll: {error}"),
        }
        let mut buffer = [0; 4096];
        match self.terminal.read(&mut buffer) {
            Ok(0) => self.open = false,
            Ok(length) => self
                .screen
                .push_str(&String::from_utf8_lossy(&buffer[..length])),
            Err(error) if error.raw_os_error() == Some(libc::EIO) => self.hung_up(),
            Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EINTR)) => {}
            Err(error) => panic!(
                "a terminal cannot be read (descriptor {}): {error}",
                self.terminal.as_raw_fd()
            ),
        }
    }

    /// Nobody has the terminal open: the program has ended, or is about to, or hangs up whoever was there before it opens
    /// the terminal anew, as login does. No event tells of that.
    fn hung_up(&mut self) {
        match self.child.try_wait() {
            Ok(None) => thread::sleep(Duration::from_millis(1)),
            Ok(Some(_)) | Err(_) => self.open = false,
        }
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const WATCHDOG: Duration = Duration::from_secs(60);
