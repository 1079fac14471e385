//! The denials that a host's PAM handle keeps, where the host is not sshd: a host may run the stack
//! again by the same handle, and one process may serve many logins by one handle each. They are gone
//! with the handle.

use std::cell::Cell;

/// For how long one holds, in seconds: longer than a person takes for the tries of one login.
const LIFE: i64 = 60;

/// How many users of one handle are known; then the oldest is forgotten.
const USERS: usize = 8;

/// The bytes of a user, and of a moment.
const USER: usize = 16;
const MOMENT: usize = 8;

/// Who was denied by this handle, and when. Nothing but bytes, as another build of the module may read
/// what this one has left.
#[repr(transparent)]
pub struct Denials([[Cell<u8>; USER + MOMENT]; USERS]);

impl Default for Denials {
    fn default() -> Self {
        Self(std::array::from_fn(|_| {
            std::array::from_fn(|_| Cell::new(0))
        }))
    }
}

impl Denials {
    /// Whether this user was denied lately. `now` is in seconds since the machine started.
    #[must_use]
    pub fn hold(&self, user: [u8; USER], now: i64) -> bool {
        self.of(user)
            .is_some_and(|place| is_recent(moment(place), now))
    }

    /// This user is denied now.
    pub fn add(&self, user: [u8; USER], now: i64) {
        let oldest = || self.0.iter().min_by_key(|place| moment(place));
        if let Some(place) = self.of(user).or_else(oldest) {
            let bytes = user.into_iter().chain(now.max(1).to_be_bytes());
            for (cell, byte) in place.iter().zip(bytes) {
                cell.set(byte);
            }
        }
    }

    /// This user was accepted.
    pub fn remove(&self, user: [u8; USER]) {
        if let Some(place) = self.of(user) {
            for cell in place {
                cell.set(0);
            }
        }
    }

    fn of(&self, user: [u8; USER]) -> Option<&[Cell<u8>; USER + MOMENT]> {
        let is_of = |place: &&[Cell<u8>; USER + MOMENT]| {
            place
                .iter()
                .zip(user)
                .all(|(cell, byte)| cell.get() == byte)
        };
        // An empty place has no moment.
        self.0
            .iter()
            .find(|place| is_of(place) && moment(place) > 0)
    }
}

fn moment(place: &[Cell<u8>; USER + MOMENT]) -> i64 {
    let bytes = place.iter().skip(USER).map(Cell::get);
    bytes.fold(0, |moment, byte| moment << 8 | i64::from(byte))
}

/// A moment in the future counts: a user was denied.
fn is_recent(moment: i64, now: i64) -> bool {
    now.saturating_sub(moment) < LIFE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r14_a_denial_holds_for_a_minute_and_for_its_user_alone() {
        let denials = Denials::default();
        let (alice, bob) = ([1; USER], [2; USER]);
        assert!(!denials.hold(alice, 1_000) && !denials.hold([0; USER], 30));
        denials.add(alice, 1_000);
        assert!(denials.hold(alice, 1_000) && denials.hold(alice, 1_059));
        assert!(denials.hold(alice, 999), "a clock that goes back");
        assert!(!denials.hold(alice, 1_060) && !denials.hold(bob, 1_000));
        denials.add(bob, 1_010);
        denials.add(alice, 1_020);
        assert!(denials.hold(alice, 1_079) && denials.hold(bob, 1_069));
        denials.remove(alice);
        assert!(!denials.hold(alice, 1_020) && denials.hold(bob, 1_020));
    }

    #[test]
    fn r14_of_many_users_the_oldest_denial_is_forgotten() {
        let denials = Denials::default();
        for user in 1..=9 {
            denials.add([user; USER], 1_000 + i64::from(user));
        }
        assert!(!denials.hold([1; USER], 1_010));
        assert!((2..=9).all(|user| denials.hold([user; USER], 1_010)));
    }
}
