//! When the keeper asks OneLogin for a token, when it tests the token, and until when `HAProxy` may use it. Values only.
//!
//! OneLogin issues the same token until that ends, and its life counts from `created_at`. So the keeper asks at the end
//! of the token, again and again until another token comes.

use pam_onelogin::api::Token;
use pam_onelogin::secret::Secret;
use std::time::{Duration, Instant};

/// This long before its end `HAProxy` stops using a token, in seconds: a request needs time to reach OneLogin, and the
/// end is known in whole seconds.
const MARGIN: u64 = 1;

/// This long before `HAProxy` stops using the token, the keeper begins to ask for the next one.
const LEAD: Duration = Duration::from_secs(1);

/// The pause between two token calls around the end of a token.
const QUICK: Duration = Duration::from_millis(500);

/// This often the keeper asks at that pace while OneLogin repeats the old token: 30 seconds. Pauses then grow.
const QUICK_CALLS: u32 = 60;

/// The longest pause between two token calls without a valid token.
const LONGEST: Duration = Duration::from_secs(10);

/// Use a token for this many seconds if OneLogin does not say when it ends.
const UNKNOWN_LIFE: u64 = 600;

/// Trust what OneLogin says about the end of a token for at most this many seconds. It says ten hours.
const LONGEST_LIFE: u64 = 24 * 3600;

/// Clocks that differ by this many seconds or less may be equal: the header `Date` has whole seconds, and took time to
/// arrive.
const SAME: i64 = 2;

/// A token that `HAProxy` may use.
pub(crate) struct Held {
    /// The token.
    pub(crate) bearer: Secret,
    /// The moment from which `HAProxy` does not use it any more, in seconds since 1970.
    pub(crate) end: u64,
}

/// The time.
#[derive(Clone, Copy)]
pub(crate) struct Now {
    /// Since 1970, by the clock that `HAProxy` uses, too.
    pub(crate) unix: Duration,
    /// By a clock that is never set.
    pub(crate) clock: Instant,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Ask OneLogin for a token.
    Ask,
    /// Ask OneLogin whether the token is still valid.
    Test,
    /// Nothing, for this time.
    Wait(Duration),
}

/// What a token from OneLogin changed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// It is another token.
    Token,
    /// It is the same token with another end.
    End,
    /// It is the same token, which is still valid.
    Same,
    /// It has ended already.
    Ended,
}

/// The token, and when to ask for the next one.
pub(crate) struct Keeper {
    held: Option<Held>,
    /// The last token that OneLogin refused.
    dead: Option<Secret>,
    /// The number of token calls in a row that brought no new token.
    calls: u32,
    /// No token call before this moment.
    next_call: Instant,
    /// When the token was last tested, or issued.
    tested: Instant,
    /// How often the token is tested.
    interval: Duration,
}

impl Keeper {
    /// Without a token.
    pub(crate) fn new(now: Now, interval: Duration) -> Self {
        Self {
            held: None,
            dead: None,
            calls: 0,
            next_call: now.clock,
            tested: now.clock,
            interval,
        }
    }

    /// The token that `HAProxy` may use.
    pub(crate) fn held(&self) -> Option<&Held> {
        self.held.as_ref()
    }

    /// The number of token calls in a row that brought no new token.
    pub(crate) fn calls(&self) -> u32 {
        self.calls
    }

    /// What to do next.
    pub(crate) fn task(&self, now: Now) -> Task {
        let left = |held: &Held| Duration::from_secs(held.end).saturating_sub(now.unix);
        let (until_call, until_test) = match &self.held {
            None => (Duration::ZERO, None),
            Some(held) => {
                let tested = now.clock.saturating_duration_since(self.tested);
                let until_test = self.interval.saturating_sub(tested);
                (left(held).saturating_sub(LEAD), Some(until_test))
            }
        };
        let pause = self.next_call.saturating_duration_since(now.clock);
        let until_call = until_call.max(pause);
        match until_test {
            _ if until_call.is_zero() => Task::Ask,
            Some(Duration::ZERO) => Task::Test,
            Some(until_test) => {
                let until_end = self.held.as_ref().map_or(Duration::MAX, left);
                Task::Wait(until_call.min(until_test).min(until_end))
            }
            None => Task::Wait(until_call),
        }
    }

    /// Gives up a token that has ended, and says whether it did.
    pub(crate) fn give_up_at_the_end(&mut self, now: Now) -> bool {
        let has_ended = |held: &Held| Duration::from_secs(held.end) <= now.unix;
        let has_ended = self.held.as_ref().is_some_and(has_ended);
        if has_ended {
            self.held = None;
        }
        has_ended
    }

    /// Whether OneLogin has refused this token before.
    pub(crate) fn was_refused(&self, token: &Secret) -> bool {
        self.dead.as_ref().is_some_and(|dead| dead.same_as(token))
    }

    /// Takes a token from OneLogin, whose clock is `ahead` seconds behind the one of this host.
    pub(crate) fn issued(&mut self, token: Token, ahead: i64, now: Now) -> News {
        let unix = now.unix.as_secs();
        let end = match token.expires {
            Some(expires) => here(expires, ahead).saturating_sub(MARGIN),
            None => unix.saturating_add(UNKNOWN_LIFE),
        };
        let end = end.min(unix.saturating_add(LONGEST_LIFE));
        let old = self.held.as_ref();
        let old = old.filter(|held| held.bearer.same_as(&token.bearer));
        let news = match old {
            _ if end <= unix => News::Ended,
            None => News::Token,
            Some(old) if old.end == end => News::Same,
            Some(_) => News::End,
        };
        match news {
            News::Same | News::Ended => {
                let grown = self.calls.saturating_sub(QUICK_CALLS);
                self.pause(grown, now);
            }
            News::Token | News::End => {
                self.dead = None;
                self.calls = 0;
                self.next_call = now.clock + QUICK;
                self.tested = now.clock;
                self.held = Some(Held {
                    bearer: token.bearer,
                    end,
                });
            }
        }
        news
    }

    /// Takes note that OneLogin issued no token. A valid one is kept. `thousandths` is chance: two gateways do not call at
    /// the same moments.
    pub(crate) fn failed(&mut self, retry_after: Option<Duration>, thousandths: u32, now: Now) {
        let grown = self.calls;
        let pause = self.pause(grown, now);
        let pause = pause / 2 + pause * thousandths.min(1000) / 2000;
        let asked = retry_after.unwrap_or_default().min(LONGEST);
        self.next_call = now.clock + pause.max(asked);
    }

    /// Takes note that OneLogin refuses the token. The next call follows at once.
    pub(crate) fn refused(&mut self, now: Now) {
        if let Some(held) = self.held.take() {
            self.dead = Some(held.bearer);
        }
        self.next_call = now.clock;
    }

    /// Takes note that the token was tested.
    pub(crate) fn tested(&mut self, now: Now) {
        self.tested = now.clock;
    }

    /// A pause before the next call, doubled `grown` times.
    fn pause(&mut self, grown: u32, now: Now) -> Duration {
        self.calls = self.calls.saturating_add(1);
        let factor = 1_u32.checked_shl(grown.min(16)).unwrap_or(u32::MAX);
        let pause = QUICK.saturating_mul(factor).min(LONGEST);
        self.next_call = now.clock + pause;
        pause
    }
}

/// A moment of OneLogin's clock by the clock of this host, which is `ahead` of it. A small difference counts only where it
/// makes the moment earlier.
fn here(moment: u64, ahead: i64) -> u64 {
    let ahead = if ahead.abs() <= SAME {
        ahead.min(0)
    } else {
        ahead
    };
    moment.saturating_add_signed(ahead)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const MINUTE: Duration = Duration::from_secs(60);

    fn token(name: &str, expires: Option<u64>) -> Token {
        Token {
            bearer: Secret::new(name.to_owned()),
            expires,
        }
    }

    /// Second 1000, and a keeper that has nothing.
    fn start() -> (Now, Keeper) {
        let now = Now {
            unix: Duration::from_secs(1000),
            clock: Instant::now(),
        };
        (now, Keeper::new(now, MINUTE))
    }

    fn later(now: Now, time: Duration) -> Now {
        Now {
            unix: now.unix + time,
            clock: now.clock + time,
        }
    }

    #[test]
    fn a_keeper_without_a_token_asks_at_once() {
        let (now, keeper) = start();
        assert_eq!(keeper.task(now), Task::Ask);
        assert!(keeper.held().is_none());
    }

    #[test]
    fn a_token_is_used_until_a_second_before_it_ends_and_the_next_is_asked_for_a_second_before_that()
     {
        let (now, mut keeper) = start();
        assert_eq!(keeper.issued(token("a", Some(1050)), 0, now), News::Token);
        assert_eq!(keeper.held().unwrap().end, 1049);
        assert_eq!(keeper.task(now), Task::Wait(48 * SECOND));
        let now = later(now, 48 * SECOND);
        assert_eq!(keeper.task(now), Task::Ask);
        assert!(!keeper.give_up_at_the_end(now));
        let now = later(now, SECOND);
        assert!(keeper.give_up_at_the_end(now));
        assert!(keeper.held().is_none());
    }

    #[test]
    fn the_same_token_at_its_end_is_asked_for_again_quickly_then_more_slowly() {
        let (mut now, mut keeper) = start();
        let mut pauses = Vec::new();
        for _ in 0..70 {
            assert_eq!(keeper.task(now), Task::Ask);
            assert_eq!(keeper.issued(token("a", Some(1000)), 0, now), News::Ended);
            let Task::Wait(pause) = keeper.task(now) else {
                panic!("no pause");
            };
            pauses.push(pause);
            now = later(now, pause);
        }
        assert!(pauses.iter().take(61).all(|pause| *pause == QUICK));
        assert_eq!(pauses.get(62), Some(&(QUICK * 4)));
        assert_eq!(pauses.last(), Some(&LONGEST));
        assert_eq!(keeper.issued(token("b", Some(9999)), 0, now), News::Token);
        assert_eq!(keeper.calls(), 0);
    }

    #[test]
    fn a_valid_token_outlives_failures_and_the_pause_grows_to_a_limit() {
        let (mut now, mut keeper) = start();
        keeper.issued(token("a", Some(1500)), 0, now);
        now = later(now, 498 * SECOND);
        let mut last = Duration::ZERO;
        for _ in 0..9 {
            assert_eq!(keeper.held().map(|held| held.end), Some(1499));
            keeper.failed(None, 1000, now);
            last = keeper.next_call.duration_since(now.clock);
        }
        assert_eq!(last, LONGEST);
        keeper.failed(None, 0, now);
        assert_eq!(keeper.next_call.duration_since(now.clock), LONGEST / 2);
    }

    #[test]
    fn a_time_that_onelogin_asks_for_is_waited_for_but_not_longer_than_the_longest_pause() {
        let (now, mut keeper) = start();
        keeper.failed(Some(4 * SECOND), 0, now);
        assert_eq!(keeper.task(now), Task::Wait(4 * SECOND));
        keeper.failed(Some(900 * SECOND), 0, now);
        assert_eq!(keeper.task(now), Task::Wait(LONGEST));
    }

    #[test]
    fn a_refused_token_is_known_until_another_one_comes() {
        let (now, mut keeper) = start();
        keeper.issued(token("a", Some(5000)), 0, now);
        let now = later(now, MINUTE);
        assert_eq!(keeper.task(now), Task::Test);
        keeper.tested(now);
        assert_eq!(keeper.task(now), Task::Wait(MINUTE));
        keeper.refused(now);
        assert!(keeper.held().is_none());
        assert_eq!(keeper.task(now), Task::Ask);
        assert!(keeper.was_refused(&Secret::new("a".to_owned())));
        keeper.issued(token("b", Some(5000)), 0, now);
        assert!(!keeper.was_refused(&Secret::new("a".to_owned())));
    }

    #[test]
    fn a_token_without_an_end_is_used_for_ten_minutes_and_then_longer() {
        let (now, mut keeper) = start();
        keeper.issued(token("a", None), 0, now);
        assert_eq!(keeper.held().unwrap().end, 1600);
        let now = later(now, 599 * SECOND);
        assert_eq!(keeper.task(now), Task::Ask);
        assert_eq!(keeper.issued(token("a", None), 0, now), News::End);
        assert_eq!(keeper.held().unwrap().end, 2199);
    }

    #[test]
    fn no_token_is_trusted_for_longer_than_a_day() {
        let (now, mut keeper) = start();
        keeper.issued(token("a", Some(u64::MAX)), 0, now);
        assert_eq!(keeper.held().unwrap().end, 1000 + LONGEST_LIFE);
    }

    #[test]
    fn the_end_is_by_the_clock_of_this_host() {
        // A clock that is slow must not prolong the token. A difference of a second may be the way of the reply.
        for (ahead, end) in [(0, 1999), (1, 1999), (2, 1999), (-1, 1998), (-2, 1997)] {
            assert_eq!(here(2000, ahead) - MARGIN, end, "{ahead}");
        }
        assert_eq!(here(2000, 300), 2300);
        assert_eq!(here(2000, -300), 1700);
    }
}
