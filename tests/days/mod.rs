//! Days before and after today, and a configuration from the future, for settings with an end.
#![allow(unreachable_pub, dead_code)]

use pam_onelogin::clock::unix_now;
use pam_onelogin::config::dates::Day;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};

const DAY: i64 = 24 * 3600;

/// The day that is this many days from now.
pub fn day_in(days: i64) -> Day {
    let moment = unix_now().saturating_add_signed(days * DAY);
    Day::of(moment).expect("there is such a day")
}

/// Gives a file the time of last change that is this many days from now.
pub fn changed_in(path: impl AsRef<Path>, days: i64) {
    let file = File::options().append(true).open(path);
    let time = Duration::from_secs((days * DAY).unsigned_abs());
    let now = SystemTime::now();
    let time = if days < 0 { now - time } else { now + time };
    file.and_then(|file| file.set_modified(time))
        .expect("the time of the file can be set");
}
