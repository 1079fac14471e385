//! Whether a push of another login waits for its answer.

use crate::host::{is_gone, pid_namespace};
use crate::login::NoState;
use crate::state::expiring_files::{Entry, Folder, Kind};

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
