//! Time: the monotonic clock of one login, the calendar, and a wait that the user can end.

use crate::login::{Clock, Deadline, Wait};
use nix::time::{ClockId, clock_gettime};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The longest sleep between two looks at the pending signals.
const SLICE: Duration = Duration::from_millis(250);

/// The system's clock. It starts when authenticate is entered.
pub struct SystemClock {
    start: Instant,
    interrupt: Option<fn() -> bool>,
}

impl SystemClock {
    /// Starts the clock. A wait ends when `interrupt` says so.
    #[must_use]
    pub fn start(interrupt: Option<fn() -> bool>) -> Self {
        Self {
            start: Instant::now(),
            interrupt,
        }
    }
}

impl Clock for SystemClock {
    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    fn at(&self, elapsed: Duration) -> Deadline {
        Deadline::at(self.start + elapsed)
    }

    fn wait(&self, time: Duration) -> Wait {
        let end = self.start.elapsed() + time;
        loop {
            if self
                .interrupt
                .is_some_and(|is_interrupted| is_interrupted())
            {
                return Wait::Interrupted;
            }
            let left = end.saturating_sub(self.start.elapsed());
            if left.is_zero() {
                return Wait::Over;
            }
            std::thread::sleep(left.min(SLICE));
        }
    }

    fn jitter(&self) -> Duration {
        Duration::from_millis(RandomState::new().build_hasher().finish() % 1000)
    }
}

/// Seconds since the machine started, with the time in which it slept. This clock cannot be set.
#[must_use]
pub fn seconds_since_boot() -> Option<i64> {
    let time = clock_gettime(ClockId::CLOCK_BOOTTIME).ok()?;
    Some(time.tv_sec())
}

/// Seconds since 1970, by the system's clock; 0 if it stands before that.
#[must_use]
pub fn unix_now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_secs())
}
