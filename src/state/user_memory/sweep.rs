//! Removing what no longer counts, a few files in each login.

use super::denial::SPAN;
use super::{Action, UserMemory};
use crate::host::exists;
use crate::state::expiring_files::SWEPT;

/// How many entries are removed from a folder in which nothing counts: a denial makes one.
const OVER_SWEPT: usize = 3;

/// Whether nothing in a folder can count any more: it is of another start of the machine, or of
/// denials that are over.
pub(super) fn is_over(folder: &str, boot: &str, now: i64) -> bool {
    let mut parts = folder.splitn(3, '-');
    let (Some(kind), Some(of), rest) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    match kind {
        "u" | "n" | "directory" => of != boot,
        "denied" => {
            let span = rest.and_then(|rest| rest.parse::<i64>().ok());
            of != boot || span.is_some_and(|span| span < now.div_euclid(SPAN) - 1)
        }
        // As version 0.1.0 made them.
        "challenge" | "failure" | "used" | "pending" => true,
        _ => false,
    }
}

/// Whether a file is the draft of a process that is gone.
fn is_abandoned(name: &str) -> bool {
    let process = name
        .strip_prefix('.')
        .and_then(|name| name.rsplit_once('.'));
    process.is_some_and(|(_, pid)| pid.bytes().all(|byte| byte.is_ascii_digit()) && !exists(pid))
}

impl UserMemory<'_> {
    /// Removes what is over, in portions so small that no login waits for it.
    pub fn sweep(&self, is_denied: bool) {
        let folders = [
            self.user.as_ref().map(|(_, folder)| folder),
            self.local_folder.get(),
        ];
        let mut left = SWEPT;
        for folder in folders.into_iter().flatten() {
            left -= folder.sweep(left);
        }
        if is_denied && matches!(self.action, Action::Connection(_)) && left == SWEPT {
            self.sweep_a_folder();
        }
    }

    /// Removes a few entries of a folder in which nothing counts: of denials that are over, of another
    /// start of the machine. Each denial makes one entry at most and this removes some, so that there
    /// are no more of them in the long run.
    fn sweep_a_folder(&self) {
        let (Ok(now), Ok(boot)) = (self.state.now(), self.state.boot()) else {
            return;
        };
        let Ok(Some(mut all)) = self.state.listing(".") else {
            return;
        };
        let is_over = |name: &String| is_over(name, boot, now) || is_abandoned(name);
        let Some(over) = all
            .names()
            .ok()
            .and_then(|names| names.into_iter().find(is_over))
        else {
            return;
        };
        let Ok(Some(mut listing)) = self.state.listing(&over) else {
            return self.state.remove(&over);
        };
        let names = listing.some_names().unwrap_or_default();
        for name in names.iter().take(OVER_SWEPT) {
            self.state.remove(&format!("{over}/{name}"));
        }
        if names.len() <= OVER_SWEPT {
            self.state.remove_folder(&over);
        }
    }
}
