//! What counts for a user now, for the administrator, and taking it back.

use super::counting::count;
use super::counting::{origins, place_of};
use super::phone::is_phone_busy;
use super::{LOOK_UPS, PAUSE, UserMemory, is_push_denied, minutes};
use crate::login::{Limit, NoState};
use crate::state::expiring_files::{DAY, Entry, Folder, Kind, minute};
use std::collections::BTreeSet;

/// How a user stands with the limits: what counts within the window, and within 24 hours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Challenges.
    pub challenges: [usize; 2],
    /// Pushes of logins without a prompt.
    pub pushes_alone: [usize; 2],
    /// Codes that were refused after a first factor.
    pub codes: [usize; 2],
    /// Codes that were refused before anything had proven the user.
    pub unproven_codes: [usize; 2],
    /// Codes and pushes of known origins beyond the limits, in 24 hours.
    pub reserve: usize,
    /// Offline codes that were wrong, of all origins.
    pub wrong_offline_codes: [usize; 2],
    /// From how many origins no offline code is accepted now, because the limit is used up there.
    pub offline_origins_used_up: usize,
    /// Look-ups within an hour that came to nothing.
    pub look_ups: usize,
    /// Why OneLogin is not asked about the user now.
    pub paused: Option<LookUpPause>,
    /// How many origins are known.
    pub origins: usize,
    /// Whether no push is sent to unknown origins, as one was denied on the phone.
    pub is_push_denied: bool,
    /// Whether no push without a prompt is sent to unknown origins, as one was not approved.
    pub is_push_paused: bool,
    /// Whether a login waits for the answer to a push.
    pub is_phone_busy: bool,
}

/// Why OneLogin is not asked about a user for some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookUpPause {
    /// A look-up found no user or no factor less than two minutes ago.
    NothingFound,
    /// The look-ups of an hour are used up.
    TooMany,
    /// A look-up for a login without a prompt found no device that can receive a push.
    NothingToPush,
}

impl LookUpPause {
    /// What happened, and how long the pause is.
    #[must_use]
    pub fn text(self) -> String {
        match self {
            Self::NothingFound => {
                "a look-up of this user found no user or no factor, so OneLogin is not asked again for up to two minutes"
                    .to_owned()
            }
            Self::TooMany => format!(
                "{LOOK_UPS} look-ups of this user found nothing to verify, or could not be stored, so OneLogin is not asked \
                 again until the first of them is one hour old"
            ),
            Self::NothingToPush => {
                "a look-up of this user found no device that can receive a push, so OneLogin is not asked again for up to ten minutes \
                 by services with ask = \"push\""
                    .to_owned()
            }
        }
    }
}

/// Removes what counts for a limit.
fn take_back(folder: &Folder<'_>) -> Result<(), NoState> {
    for entry in folder.seen()?.iter() {
        match entry.kind {
            Kind::Code
            | Kind::UnprovenCode
            | Kind::Challenge
            | Kind::PushAlone
            | Kind::PushDenied
            | Kind::ReserveCode
            | Kind::ReservePush
            | Kind::TurnedAway
            | Kind::UnprovenTurnedAway
            | Kind::LookUp
            | Kind::UnprovenLookUp
            | Kind::WrongOfflineCode
            | Kind::NothingToVerify
            | Kind::NothingToPush => folder.remove(&entry.name()),
            Kind::Used | Kind::Pending | Kind::Origin | Kind::Pointer => {}
        }
    }
    Ok(())
}

impl UserMemory<'_> {
    /// How the user stands with the limits.
    ///
    /// # Errors
    /// [`NoState`] if the state cannot be read.
    pub fn standing(&self) -> Result<Standing, NoState> {
        let (minute, now) = (minute(self.state)?, self.state.now()?);
        let window = minutes(self.limits.window);
        let mut standing = Standing::default();
        if let Some((_, folder)) = &self.user {
            let seen = folder.seen()?;
            let of = |kind| [window, DAY].map(|life| count(&seen, kind, life, minute));
            standing.challenges = of(Kind::Challenge);
            standing.pushes_alone = of(Kind::PushAlone);
            standing.codes = of(Kind::Code);
            standing.unproven_codes = of(Kind::UnprovenCode);
            standing.reserve = [Kind::ReserveCode, Kind::ReservePush]
                .map(|kind| count(&seen, kind, DAY, minute))
                .iter()
                .sum();
            standing.origins = origins(&seen, minute).len();
            standing.is_push_denied = is_push_denied(&seen, minute);
            standing.is_push_paused = count(&seen, Kind::PushAlone, PAUSE, minute) > 0;
            standing.is_phone_busy = is_phone_busy(folder, &seen, minute, now)?;
        }
        let seen = self.local_folder()?.seen()?;
        let of = |kind: Kind| count(&seen, kind, kind.life(), minute);
        let proven = of(Kind::LookUp);
        standing.wrong_offline_codes =
            [window, DAY].map(|life| count(&seen, Kind::WrongOfflineCode, life, minute));
        standing.offline_origins_used_up = self.offline_origins_used_up(&seen, minute);
        standing.look_ups = proven + of(Kind::UnprovenLookUp);
        standing.paused = if of(Kind::NothingToVerify) > 0 {
            Some(LookUpPause::NothingFound)
        } else if proven >= LOOK_UPS {
            Some(LookUpPause::TooMany)
        } else {
            (of(Kind::NothingToPush) > 0).then_some(LookUpPause::NothingToPush)
        };
        Ok(standing)
    }

    fn offline_origins_used_up(&self, seen: &[Entry], minute: i64) -> usize {
        let wrong = seen.iter().filter(|it| it.kind == Kind::WrongOfflineCode);
        let origins: BTreeSet<_> = wrong.map(|entry| place_of(&entry.rest).0).collect();
        let is_used_up = |origin: &&str| {
            let of_it = seen.iter().filter(|it| place_of(&it.rest).0 == *origin);
            self.free(Limit::OfflineCodes, of_it, minute).contains(&0)
        };
        origins.into_iter().filter(is_used_up).count()
    }

    /// Takes back what was counted of the user, whichever login counted it. For an admin alone. Used
    /// codes and the pending push stay: a code counts once, and a push is one at a time. A login that is
    /// at work meanwhile may take back the place of another one: one count less.
    ///
    /// # Errors
    /// [`NoState`] if the state cannot be read.
    pub fn reset(&self) -> Result<(), NoState> {
        if let Some((_, folder)) = &self.user {
            take_back(folder)?;
        }
        take_back(self.local_folder()?)
    }
}
