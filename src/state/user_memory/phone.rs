//! The phone of a user: one login at a time may have a push pending on it.

use super::UserMemory;
use super::counting::count;
use crate::host::{is_gone, pid_namespace, sure_identity};
use crate::login::{NoState, Phone};
use crate::state::expiring_files::{Claim, Entry, Folder, Kind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How many pushes of one user may be pending by their entries. Of those, one is; the others are of
/// logins that were killed.
pub(super) const PENDING: usize = 32;

impl UserMemory<'_> {
    /// Takes the phone, unless the push of another login is pending.
    pub(super) fn claim_phone(&mut self, life: Duration) -> Result<Phone, NoState> {
        let folder = self.folder()?;
        let mut pending = None;
        let claim: Claim<Phone> = folder.claim(|minute, seen| {
            let now = self.state.now()?;
            let entries = count(seen, Kind::Pending, Kind::Pending.life(), minute);
            if entries >= PENDING || is_phone_busy(folder, seen, minute, now)? {
                return Ok(Err(Phone::Busy));
            }
            let numbers = seen
                .iter()
                .filter(|entry| entry.kind == Kind::Pending && entry.minute == minute);
            let numbers = numbers.filter_map(|entry| entry.rest.parse::<u32>().ok());
            let next = numbers.max().map_or(0, |last| last.saturating_add(1));
            let end = now + i64::try_from(life.as_secs()).unwrap_or(0);
            let name = Kind::Pending.name(minute, &next.to_string());
            // Others must be able to tell that this login is there still.
            let process = sure_identity().ok_or(NoState)?;
            let namespace = pid_namespace().ok_or(NoState)?;
            let target = format!("{process} {namespace} {} {end}", nonce());
            if !folder.make(&name, &target)? {
                return Ok(Err(Phone::Busy));
            }
            pending = Some((name.clone(), target, end));
            Ok(Ok(vec![name]))
        });
        match claim? {
            Ok(_) => {
                self.pending = pending;
                Ok(Phone::Ours)
            }
            Err(busy) => Ok(busy),
        }
    }

    /// Whether the push of this login is pending and not over.
    pub(super) fn has_phone(&self) -> bool {
        let (Some((name, target, end)), Ok(folder)) = (&self.pending, self.folder()) else {
            return false;
        };
        let is_over = self.state.now().map_or(true, |now| now >= *end);
        !is_over
            && folder
                .target(name)
                .is_ok_and(|found| found.as_ref() == Some(target))
    }

    /// Ends the push of this login.
    pub(super) fn release_phone(&mut self) {
        if let (Some((name, ..)), Ok(folder)) = (self.pending.take(), self.folder()) {
            folder.remove(&name);
        }
    }
}

/// Whether some login's push waits for its answer: it is not over, and its process is there.
pub(super) fn is_phone_busy(
    folder: &Folder<'_>,
    seen: &[Entry],
    minute: i64,
    now: i64,
) -> Result<bool, NoState> {
    for entry in seen {
        if entry.kind == Kind::Pending && entry.counts(Kind::Pending.life(), minute) {
            if let Some(target) = folder.target(&entry.name())? {
                if is_pending(&target, now) {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}

/// Whether a push is not over whose entry leads to this, and its login is still there. A process of
/// another namespace cannot be looked at: it is there.
fn is_pending(target: &str, now: i64) -> bool {
    let parts: Vec<&str> = target.split(' ').collect();
    let [process, namespace, _, end] = parts.as_slice() else {
        return true;
    };
    let is_over = end.parse().is_ok_and(|end: i64| now >= end);
    let is_of_here = pid_namespace().as_deref() == Some(*namespace);
    let is_dead = is_of_here && is_gone(process);
    !is_over && !is_dead
}

/// What tells two logins of one process apart.
fn nonce() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
