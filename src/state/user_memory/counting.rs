//! Counting within a window and within a day, with a reserve for origins that are known.

use super::{UserMemory, minutes};
use crate::login::{Limit, LimitReached, NoState, Uncounted};
use crate::state::expiring_files::{Claim, DAY, Entry, Folder, Kind};
use crate::user::Proof;

/// What a known origin has beyond the limits, in 24 hours.
const RESERVE_CODES: usize = 3;

const RESERVE_PUSHES: usize = 1;

/// One more that was counted.
pub(super) struct Counted {
    pub(super) name: String,
    /// The day has no place left.
    pub(super) is_last_of_the_day: bool,
}

/// What stands before the place in the rest of a name, and the place.
pub(super) fn place_of(rest: &str) -> (&str, &str) {
    let at = rest.rfind('-').map_or(0, |dash| dash + 1);
    rest.split_at(at)
}

/// How many of a kind count.
pub(super) fn count(seen: &[Entry], kind: Kind, life: i64, now: i64) -> usize {
    let is_meant = |entry: &&Entry| entry.kind == kind && entry.counts(life, now);
    seen.iter().filter(is_meant).count()
}

/// The origins that are known, each once.
pub(super) fn origins(seen: &[Entry], now: i64) -> Vec<&str> {
    let mut origins = Vec::new();
    for entry in seen {
        let is_known = entry.kind == Kind::Origin && entry.counts(Kind::Origin.life(), now);
        if is_known && !origins.contains(&entry.rest.as_str()) {
            origins.push(entry.rest.as_str());
        }
    }
    origins
}

/// Which of two limits is to be named; of both, the one that lasts longer.
pub(super) fn which(free: usize, free_today: usize) -> LimitReached {
    if free_today <= free {
        LimitReached::Day
    } else {
        LimitReached::Window
    }
}

impl UserMemory<'_> {
    pub(super) fn kind(&self, limit: Limit) -> Kind {
        match (limit, self.proof) {
            (Limit::Challenges, _) => Kind::Challenge,
            (Limit::PushesAlone, _) => Kind::PushAlone,
            (Limit::RefusedCodes, Proof::Proven) => Kind::Code,
            (Limit::RefusedCodes, Proof::Unproven) => Kind::UnprovenCode,
            (Limit::OfflineCodes, _) => Kind::WrongOfflineCode,
        }
    }

    /// How many may be counted within the window, and within 24 hours.
    pub(super) fn most(&self, limit: Limit) -> [usize; 2] {
        let limits = self.limits;
        let most = match limit {
            Limit::Challenges | Limit::PushesAlone => {
                [limits.challenges, limits.challenges_per_day]
            }
            Limit::RefusedCodes | Limit::OfflineCodes => [limits.failures, limits.failures_per_day],
        };
        most.map(|most| usize::try_from(most).unwrap_or_default())
    }

    /// How many places are free of both limits beside these entries.
    pub(super) fn free<'e>(
        &self,
        limit: Limit,
        entries: impl Iterator<Item = &'e Entry>,
        now: i64,
    ) -> [usize; 2] {
        let kind = self.kind(limit);
        let window = minutes(self.limits.window);
        let [mut free, mut free_today] = self.most(limit);
        for entry in entries.filter(|entry| entry.kind == kind) {
            free = free.saturating_sub(entry.counts(window, now).into());
            free_today = free_today.saturating_sub(entry.counts(DAY, now).into());
        }
        [free, free_today]
    }

    /// The origin of this login, if OneLogin has accepted the user from there.
    pub(super) fn known_origin(&self, seen: &[Entry], now: i64) -> Option<&str> {
        let origin = self.origin.as_deref()?;
        origins(seen, now).contains(&origin).then_some(origin)
    }

    /// How many places of the reserve are free beside these entries. Programs that log in by themselves have none: what they use
    /// up, a person would miss.
    pub(super) fn free_reserve<'e>(
        limit: Limit,
        origin: &str,
        entries: impl Iterator<Item = &'e Entry>,
        now: i64,
    ) -> Option<(Kind, usize)> {
        let (kind, most) = match limit {
            Limit::PushesAlone => return None,
            Limit::Challenges => (Kind::ReservePush, RESERVE_PUSHES),
            Limit::RefusedCodes | Limit::OfflineCodes => (Kind::ReserveCode, RESERVE_CODES),
        };
        let is_of_it = |entry: &&Entry| {
            entry.kind == kind && entry.rest.starts_with(origin) && entry.counts(DAY, now)
        };
        Some((kind, most.saturating_sub(entries.filter(is_of_it).count())))
    }

    /// Counts one: within the limits, else of the reserve of a known origin. What was counted in
    /// minutes before leaves fewer places in this one: at no moment has more been counted within the
    /// length of a window, or a day, than may be.
    pub(super) fn count(
        &self,
        limit: Limit,
        folder: &Folder<'_>,
        minute: i64,
        seen: &[Entry],
    ) -> Result<Result<Counted, LimitReached>, NoState> {
        let earlier = || seen.iter().filter(|entry| entry.minute != minute);
        let [free, free_today] = self.free(limit, earlier(), minute);
        let most = free.min(free_today);
        let place = folder.make_in_a_place(self.kind(limit), minute, "", most, seen)?;
        if let Some((place, name)) = place {
            let is_last_of_the_day = place + 1 == free_today;
            return Ok(Ok(Counted {
                name,
                is_last_of_the_day,
            }));
        }
        let reserve = self.known_origin(seen, minute).and_then(|origin| {
            let (kind, most) = Self::free_reserve(limit, origin, earlier(), minute)?;
            Some((origin, kind, most))
        });
        if let Some((origin, kind, most)) = reserve {
            let before = format!("{origin}-");
            if let Some((_, name)) = folder.make_in_a_place(kind, minute, &before, most, seen)? {
                return Ok(Ok(Counted {
                    name,
                    is_last_of_the_day: false,
                }));
            }
        }
        Ok(Err(which(free, free_today)))
    }

    /// Counts one, unless `refuse` names a limit that forbids it.
    pub(super) fn claim_one(
        &mut self,
        limit: Limit,
        refuse: impl Fn(&Self, i64, &[Entry]) -> Option<LimitReached>,
    ) -> Result<(), Uncounted> {
        let folder = self.folder()?;
        let mut counted = None;
        let claim: Claim<LimitReached> = folder.claim(|minute, seen| {
            if let Some(reached) = refuse(self, minute, seen) {
                return Ok(Err(reached));
            }
            let one = self.count(limit, folder, minute, seen)?;
            Ok(one.map(|one| vec![counted.insert(one).name.clone()]))
        });
        claim?.map_err(Uncounted::LimitReached)?;
        self.counted(limit, counted);
        Ok(())
    }

    pub(super) fn counted(&mut self, limit: Limit, counted: Option<Counted>) {
        if let Some(counted) = counted {
            self.counted.push((limit, counted.name));
            if counted.is_last_of_the_day {
                self.last_of_the_day = Some(limit);
            }
        }
    }
}
