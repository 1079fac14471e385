//! Settings that end by themselves: days, and when such a setting applies. Pure.

use std::fmt;
use time::{Date, Month, OffsetDateTime};

/// The length of a day, in seconds.
const DAY: u64 = 24 * 3600;

/// From this many days before the end of an exemption on, the log warns of it.
const NOTICE_DAYS: u64 = 14;

/// The last day of observe mode is at most this many days after that of the last change of the configuration.
const LONGEST_OBSERVE: u64 = 60;

/// A day of the calendar, in universal time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day(Date);

impl Day {
    /// Reads a day such as `2027-01-31`; `None` if the calendar has no such day.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_digit = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let parts: Vec<&str> = text.split('-').filter(|part| is_digit(part)).collect();
        let [year, month, day] = parts.as_slice() else {
            return None;
        };
        if (year.len(), month.len(), day.len()) != (4, 2, 2) || text.len() != 10 {
            return None;
        }
        let month = Month::try_from(month.parse::<u8>().ok()?).ok()?;
        let date = Date::from_calendar_date(year.parse().ok()?, month, day.parse().ok()?);
        date.ok().map(Self)
    }

    /// The day of a moment, in seconds since 1970.
    #[must_use]
    pub fn of(moment: u64) -> Option<Self> {
        let moment = OffsetDateTime::from_unix_timestamp(i64::try_from(moment).ok()?).ok()?;
        Some(Self(moment.date()))
    }

    /// When it is over (24:00), in seconds since 1970.
    #[must_use]
    pub fn end(self) -> u64 {
        let start = self.0.midnight().assume_utc().unix_timestamp();
        u64::try_from(start).map_or(0, |start| start + DAY)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What decides whether a setting with an end applies; in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dates {
    /// The clock of the system.
    pub now: u64,
    /// When the configuration was last changed. An earlier clock is wrong, and could prolong what is over.
    pub changed: u64,
}

/// Why a setting with an end does not apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lapse {
    /// Its last day is over.
    Over,
    /// The clock is earlier than the last change of the configuration.
    ClockBehind,
}

/// Why observe mode does not apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotObserved {
    /// It does not apply now.
    Lapse(Lapse),
    /// Its last day is too far away.
    TooLong,
    /// Nothing before the module has verified a first factor: the login would go on without any.
    Unproven,
}

impl From<Lapse> for NotObserved {
    fn from(lapse: Lapse) -> Self {
        Self::Lapse(lapse)
    }
}

impl NotObserved {
    /// What the log says.
    #[must_use]
    pub fn why(self) -> &'static str {
        match self {
            Self::Lapse(Lapse::Over) => "its last day is over",
            Self::Lapse(Lapse::ClockBehind) => {
                "the clock is earlier than the last change of the configuration"
            }
            Self::TooLong => {
                "its last day is more than 60 days after the last change of the configuration"
            }
            Self::Unproven => "no first factor was verified",
        }
    }
}

impl Lapse {
    /// The word in the log, behind the decision about a user whom an entry of `users.exempt` names.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Over => "exemption-expired",
            Self::ClockBehind => "exemption-clock-behind",
        }
    }
}

impl Dates {
    /// Whether a setting with this last day applies.
    ///
    /// # Errors
    /// [`Lapse`].
    pub fn apply(self, until: Day) -> Result<(), Lapse> {
        if self.now < self.changed {
            Err(Lapse::ClockBehind)
        } else if self.now >= until.end() {
            Err(Lapse::Over)
        } else {
            Ok(())
        }
    }

    /// Whether observe mode with this last day applies.
    ///
    /// # Errors
    /// [`NotObserved`].
    pub fn observe(self, until: Day) -> Result<(), NotObserved> {
        self.apply(until)?;
        match self.latest_observe() {
            Some(latest) if until.end() <= latest.end() => Ok(()),
            _ => Err(NotObserved::TooLong),
        }
    }

    /// The latest day that observe mode may have.
    #[must_use]
    pub fn latest_observe(self) -> Option<Day> {
        Day::of(self.changed.saturating_add(LONGEST_OBSERVE * DAY))
    }

    /// Whether a setting with this last day ends so soon that an administrator should know.
    #[must_use]
    pub fn is_near(self, until: Day) -> bool {
        until.end().saturating_sub(self.now) <= NOTICE_DAYS * DAY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        Day::parse(text).unwrap()
    }

    #[test]
    fn a_day_is_read_only_if_the_calendar_has_it() {
        assert_eq!(day("2027-01-31").to_string(), "2027-01-31");
        assert_eq!(day("2028-02-29").to_string(), "2028-02-29");
        for text in [
            "",
            "2027-02-29",
            "2027-13-01",
            "2027-00-01",
            "2027-01-32",
            "2027-1-31",
            "27-01-31",
            "2027-01-31 ",
            "2027-01-31-",
            "-2027-01-31",
            "+027-01-31",
            "2027/01/31",
            "31.01.2027",
            "2027-01-31T00:00:00Z",
        ] {
            assert_eq!(Day::parse(text), None, "{text}");
        }
    }

    #[test]
    fn r01_a_setting_applies_until_its_last_day_is_over() {
        // 2027-02-01T00:00:00Z
        let end = 1_801_440_000;
        assert_eq!(day("2027-01-31").end(), end);
        let apply = |now| Dates { now, changed: 5 }.apply(day("2027-01-31"));
        assert_eq!(apply(end - 1), Ok(()));
        assert_eq!(apply(end), Err(Lapse::Over));
        assert_eq!(apply(5), Ok(()));
        assert_eq!(apply(4), Err(Lapse::ClockBehind));
        assert_eq!(Day::of(end - 1), Some(day("2027-01-31")));
        assert_eq!(Day::of(end), Some(day("2027-02-01")));
    }

    #[test]
    fn r01_observe_mode_ends_at_most_sixty_days_after_the_last_change() {
        let changed = day("2027-01-31").end() - 1;
        let dates = |now| Dates { now, changed };
        assert_eq!(dates(changed).latest_observe(), Some(day("2027-04-01")));
        assert_eq!(dates(changed).observe(day("2027-04-01")), Ok(()));
        let too_long = Err(NotObserved::TooLong);
        assert_eq!(dates(changed).observe(day("2027-04-02")), too_long);
        // The change decides, not the clock: a day does not come into reach by waiting.
        let later = day("2027-03-31").end();
        assert_eq!(dates(later).observe(day("2027-04-02")), too_long);
        let over = Err(NotObserved::Lapse(Lapse::Over));
        assert_eq!(dates(later).observe(day("2027-03-31")), over);
        let behind = Err(NotObserved::Lapse(Lapse::ClockBehind));
        assert_eq!(dates(changed - 1).observe(day("2027-04-01")), behind);
        let never = Dates {
            now: u64::MAX,
            changed: u64::MAX,
        };
        assert_eq!(never.observe(day("9999-12-31")), over);
    }

    #[test]
    fn the_end_of_an_exemption_is_near_in_its_last_fourteen_days() {
        let until = day("2027-01-31");
        let is_near = |before: u64| {
            let now = until.end() - before;
            Dates { now, changed: 0 }.is_near(until)
        };
        assert!(is_near(14 * DAY));
        assert!(!is_near(14 * DAY + 1));
    }
}
