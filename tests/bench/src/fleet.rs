//! What a fleet of hosts asks of OneLogin in an hour. `tests/fleet.rs` holds the numbers to the module.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::report::thousands;

/// The calls of API v1 that OneLogin allows in an hour, for an account. Recorded: calls of API v2 and for tokens do not count.
pub const LIMIT: usize = 5_000;

/// How long a host believes what it was told of a user and their devices: the default of `users.cache`.
pub const DIRECTORY: Duration = Duration::from_secs(300);

/// How long an access token is good. All hosts with one credential are given the same one, which ends for all at once.
pub const TOKEN: Duration = Duration::from_secs(36_000);

/// How long before its end a token is no longer used.
pub const MARGIN: Duration = Duration::from_secs(120);

/// The longest wait for an approval, `push.wait`.
pub const WAIT: Duration = Duration::from_secs(45);

/// How a user proves who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Factor {
    /// A code of an authenticator.
    Code,
    /// A push where the host asks for an Enter (sshd), pressed when it is approved.
    PushThenEnter,
    /// A push that is waited for (sudo), approved after so long.
    Push(Duration),
}

impl Factor {
    /// The calls of the verification itself.
    pub fn calls(self) -> usize {
        match self {
            Self::Code => 1,
            Self::PushThenEnter => 2,
            Self::Push(approved) => 1 + polls(approved).len(),
        }
    }
}

/// The waits before the polls of a push, up to the poll that finds it approved, within [`WAIT`].
pub fn polls(approved: Duration) -> Vec<Duration> {
    let mut waited = Duration::ZERO;
    let mut pauses = Vec::new();
    while waited < approved.min(WAIT) || pauses.is_empty() {
        let pause = (waited / 10).max(Duration::from_secs(2));
        let pause = pause.min(WAIT.saturating_sub(waited));
        waited += pause;
        pauses.push(pause);
    }
    pauses
}

/// The calls of a login or of an hour, by what they are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// For an access token.
    pub tokens: usize,
    /// For the user's entry: of API v2 in both versions, unless `users.match` is `"userprincipalname"`.
    pub users: usize,
    /// For the list of devices.
    pub devices: usize,
    /// Codes, activations and polls.
    pub verifications: usize,
}

impl Calls {
    /// All of them.
    pub fn all(self) -> usize {
        self.tokens + self.users + self.devices + self.verifications
    }

    /// Those that lower the counter of the hour where `onelogin.api_version` is this.
    pub fn counted(self, api_version: u8) -> usize {
        if api_version == 1 {
            self.devices + self.verifications
        } else {
            0
        }
    }

    /// Those that a gateway sends on: behind one, no host asks for a token.
    pub fn through_a_gateway(self) -> usize {
        self.all() - self.tokens
    }

    fn add(&mut self, other: Calls) {
        self.tokens += other.tokens;
        self.users += other.users;
        self.devices += other.devices;
        self.verifications += other.verifications;
    }
}

/// What a host remembers.
#[derive(Debug, Default)]
pub struct Host {
    token_until: Option<Duration>,
    known_until: BTreeMap<usize, Duration>,
}

impl Host {
    /// The calls of a login of this user at this time of the day.
    pub fn calls(&mut self, now: Duration, user: usize, factor: Factor) -> Calls {
        let mut calls = Calls {
            verifications: factor.calls(),
            ..Calls::default()
        };
        if self.token_until.is_none_or(|end| now + MARGIN >= end) {
            calls.tokens += 1;
            self.token_until = Some(end_of_the_token(now));
        }
        if self.known_until.get(&user).is_none_or(|&end| now >= end) {
            calls.users += 1;
            calls.devices += 1;
            self.known_until.insert(user, now + DIRECTORY);
        }
        calls
    }
}

/// The end of the token that is given out at this time.
fn end_of_the_token(now: Duration) -> Duration {
    let mut end = TOKEN;
    while now + MARGIN >= end {
        end += TOKEN;
    }
    end
}

/// How the users of a fleet prove who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// By a code, always.
    Codes,
    /// By a push: in sshd with an Enter, in sudo without, approved after ten seconds.
    Pushes,
}

/// A visit to a host: the seconds of its logins, the first in sshd, the others in sudo.
pub const VISIT: [u64; 3] = [0, 60, 200];

impl Habit {
    /// The factor of each login of a visit.
    pub fn visit(self) -> [Factor; 3] {
        let in_sudo = Factor::Push(Duration::from_secs(10));
        match self {
            Self::Codes => [Factor::Code; 3],
            Self::Pushes => [Factor::PushThenEnter, in_sudo, in_sudo],
        }
    }
}

/// The calls of a day, by hour.
pub fn day(hosts: usize, visits: usize, habit: Habit) -> [Calls; 24] {
    let mut chance = Chance(0x5eed);
    let mut calls = [Calls::default(); 24];
    for _ in 0..hosts {
        let mut logins = Vec::new();
        for _ in 0..visits {
            let (begin, user) = (chance.time(), chance.below(USERS));
            let steps = VISIT.into_iter().zip(habit.visit());
            logins.extend(steps.map(|(later, factor)| (begin + later, user, factor)));
        }
        logins.sort_by_key(|(second, ..)| *second);
        let mut host = Host::default();
        for (second, user, factor) in logins {
            let made = host.calls(Duration::from_secs(second), user, factor);
            let hour = usize::try_from(second / 3600).unwrap_or(0);
            if let Some(sum) = calls.get_mut(hour) {
                sum.add(made);
            }
        }
    }
    calls
}

/// The table for docs/performance.md.
pub fn table() -> String {
    let mut text = format!(
        "The table shows the calls of all hosts together in the busiest hour, which has {} % of the day's visits.\n\
         A visit is one login in sshd and two in sudo, within {} minutes. Each host has {USERS} users. Users and devices are cached\n\
         for {} seconds, a token for {} hours. Pushes are approved after 10 s in sudo.\n\
         \"Counted\" calls lower OneLogin's counter with `onelogin.api_version = 1`; with version 2, the default, no call does.\n\
         \"Through a gateway\" is what one gateway for all these hosts sends on, in the hour and on average in a second.\n\n\
         | hosts | visits a day, each | by codes: all | counted, version 1 | through a gateway | by pushes: all | counted, version 1 | through a gateway |\n\
         |--:|--:|--:|--:|--:|--:|--:|--:|\n",
        WEIGHTS.into_iter().max().unwrap_or(0),
        VISIT.into_iter().max().unwrap_or(0).div_ceil(60),
        DIRECTORY.as_secs(),
        TOKEN.as_secs() / 3600,
    );
    for hosts in [100, 1_000, 10_000] {
        for visits in [1, 5, 20] {
            let _ = write!(text, "| {} | {visits} |", thousands(hosts));
            for habit in [Habit::Codes, Habit::Pushes] {
                let day = day(hosts, visits, habit);
                let busiest = |of: fn(Calls) -> usize| day.map(of).into_iter().max().unwrap_or(0);
                let counted = busiest(|hour| hour.counted(1));
                let mark = if counted > LIMIT { "**" } else { "" };
                let sent_on = busiest(Calls::through_a_gateway);
                let _ = write!(
                    text,
                    " {} | {mark}{}{mark} | {} ({} a second) |",
                    thousands(busiest(Calls::all)),
                    thousands(counted),
                    thousands(sent_on),
                    sent_on.div_ceil(3600)
                );
            }
            text.push('\n');
        }
    }
    let limit = thousands(LIMIT);
    let _ = write!(
        text,
        "\n**Bold**: more than the {limit} that an account has in an hour.\n"
    );
    text
}

/// Numbers that are the same in each run.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(1);
        usize::try_from(self.next() % bound).unwrap_or(0)
    }

    /// A second of the day.
    fn time(&mut self) -> u64 {
        let mut mark = self.next() % WEIGHTS.iter().sum::<u64>();
        for (hour, weight) in (0..).zip(WEIGHTS) {
            if mark < weight {
                return hour * 3600 + self.next() % 3600;
            }
            mark -= weight;
        }
        0
    }
}

/// Users of a host.
const USERS: usize = 3;

/// The share of each hour in the logins of a day, in percent: a working day.
const WEIGHTS: [u64; 24] = [
    1, 1, 1, 1, 1, 1, 2, 4, 10, 14, 11, 9, 6, 8, 9, 8, 5, 3, 1, 1, 1, 1, 0, 1,
];
