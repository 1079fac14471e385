//! Moments as text: as people read them, and as HTTP writes them.

use time::{Date, Month, OffsetDateTime};

/// A moment, in universal time.
pub(crate) fn text_of(moment: OffsetDateTime) -> String {
    let (hour, minute, second) = moment.to_hms();
    format!("{} {hour:02}:{minute:02}:{second:02}Z", moment.date())
}

/// The day of a moment in seconds since 1970, in universal time.
pub(crate) fn day_of(seconds: u64) -> String {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds)
        .map_or_else(|_| "-".to_owned(), |moment| moment.date().to_string())
}

/// The moment of a header `Date`, in seconds since 1970.
pub(crate) fn of_header(date: &str) -> Option<i64> {
    let parts: Vec<&str> = date.split(' ').collect();
    let [_, day, month, year, clock, "GMT"] = parts.as_slice() else {
        return None;
    };
    let months = (1..=12_u8).filter_map(|number| Month::try_from(number).ok());
    let mut months = months.filter(|known| known.to_string().get(..3) == Some(*month));
    let clock: Vec<u8> = clock
        .split(':')
        .filter_map(|part| part.parse().ok())
        .collect();
    let [hour, minute, second] = clock.as_slice() else {
        return None;
    };
    let date = Date::from_calendar_date(year.parse().ok()?, months.next()?, day.parse().ok()?);
    let moment = date.ok()?.with_hms(*hour, *minute, *second).ok()?;
    Some(moment.assume_utc().unix_timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_a_reply_is_read() {
        assert_eq!(
            of_header("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(784_111_777)
        );
        for other in [
            "",
            "yesterday",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, 31 Feb 1994 08:49:37 GMT",
        ] {
            assert_eq!(of_header(other), None, "{other}");
        }
    }
}
