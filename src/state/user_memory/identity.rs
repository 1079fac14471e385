//! Who a user is at OneLogin by the last look-up, and where OneLogin has accepted them from.

use super::UserMemory;
use super::counting::origins;
use crate::id::UserId;
use crate::login::NoState;
use crate::state::expiring_files::{DAY, Entry, Kind, NOTHING, minute};

/// How many origins of a user are known.
pub(super) const ORIGINS: usize = 16;

/// When an origin and a pointer are written down again, in minutes: at the half of their life, so that
/// there are few of them.
const ORIGIN_AGAIN: i64 = 15 * DAY;
const POINTER_AGAIN: i64 = DAY / 2;

impl UserMemory<'_> {
    /// Who the user was at OneLogin when they were looked up last, in this day.
    #[must_use]
    pub fn pointed_at(&self) -> Option<UserId> {
        let seen = self.local_folder().ok()?.seen().ok()?;
        let newest = newest_pointer(&seen, minute(self.state).ok()?)?;
        let id = self.local_folder().ok()?.target(&newest.name()).ok()??;
        UserId::parse(&id)
    }

    /// Where OneLogin has accepted the user from, unless that is known for some time still.
    pub(super) fn know_origin(&self) -> Result<(), NoState> {
        let (Some(origin), folder) = (self.origin.as_deref(), self.folder()?) else {
            return Ok(());
        };
        let (seen, now) = (folder.seen()?, minute(self.state)?);
        let is_fresh = |entry: &Entry| {
            entry.kind == Kind::Origin && entry.rest == origin && entry.counts(ORIGIN_AGAIN, now)
        };
        let known = origins(&seen, now);
        let has_room = known.contains(&origin) || known.len() < ORIGINS;
        if has_room && !seen.iter().any(is_fresh) {
            folder.make(&Kind::Origin.name(now, origin), NOTHING)?;
        }
        Ok(())
    }

    /// Who the name stood for, unless that is known for some time still.
    pub(super) fn know_user(&self) -> Result<(), NoState> {
        let now = minute(self.state)?;
        let known = self.pointed_at();
        let Some(user) = self.user.as_ref().map(|(user, _)| user.clone()) else {
            return Ok(());
        };
        let folder = self.local_folder()?;
        let seen = folder.seen()?;
        let is_fresh = newest_pointer(&seen, now).is_some_and(|it| it.counts(POINTER_AGAIN, now));
        if !is_fresh || known.as_ref() != Some(&user) {
            folder.make(&Kind::Pointer.name(now, ""), user.as_str())?;
        }
        Ok(())
    }
}

fn newest_pointer(seen: &[Entry], now: i64) -> Option<&Entry> {
    let is_meant = |entry: &&Entry| entry.kind == Kind::Pointer && entry.counts(DAY, now);
    seen.iter()
        .filter(is_meant)
        .max_by_key(|entry| entry.minute)
}
