//! Event time. Nothing in this crate reads a clock: time is what the events say it is.

use std::fmt;
use std::sync::LazyLock;

use chrono::{DateTime, Datelike, Offset, SecondsFormat, TimeZone, Timelike, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

/// Microseconds in one second.
/// Hours a day, as a rate.
pub const HOURS_PER_DAY: f64 = 24.0;

const SECOND: i64 = 1_000_000;

/// An instant in event time, in microseconds since 1970-01-01T00:00:00Z.
///
/// Leap seconds are ignored, as in POSIX time.
#[derive(
    Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize,
)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest instant an event may carry: 1970-01-01T00:00:00Z itself is not a real time.
    pub const MIN: Self = Self(1);
    /// The latest instant an event may carry: 2200-01-01T00:00:00Z.
    pub const MAX: Self = Self(7_258_118_400 * SECOND);

    /// The instant `micros` microseconds after the epoch.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// The instant `seconds` seconds after the epoch.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds * SECOND)
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Minutes since the epoch, rounded down.
    #[must_use]
    pub const fn minute(self) -> i64 {
        self.0.div_euclid(60 * SECOND)
    }

    /// Whole milliseconds since the epoch, rounded down.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Whole UTC hours since the epoch, rounded down.
    #[must_use]
    pub const fn hour(self) -> i64 {
        self.0.div_euclid(Span::HOUR.0)
    }

    /// The first instant of UTC hour `hour` (hours since the epoch).
    #[must_use]
    pub const fn from_hour(hour: i64) -> Self {
        Self(hour * Span::HOUR.0)
    }

    /// Whole UTC days since the epoch, rounded down.
    #[must_use]
    pub const fn day(self) -> i64 {
        self.0.div_euclid(Span::DAY.0)
    }

    /// The same in the two bytes that what is remembered has for it: until the year 2149.
    #[must_use]
    pub fn day_number(self) -> u16 {
        self.day().clamp(0, i64::from(u16::MAX)) as u16
    }

    /// How long `self` is after `earlier`; negative where it is before.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0 - earlier.0)
    }

    /// `self` moved by `span`, saturating at the ends of the range.
    #[must_use]
    pub const fn plus(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// `self` moved back by `span`, saturating at the ends of the range.
    #[must_use]
    pub const fn minus(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0))
    }

    /// The instant as a calendar date and time in UTC.
    #[must_use]
    pub fn utc(self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0).unwrap_or_default()
    }

    /// The instant as RFC 3339 in UTC, with as many decimals as it needs.
    #[must_use]
    pub fn rfc3339(self) -> String {
        self.utc().to_rfc3339_opts(SecondsFormat::AutoSi, true)
    }

    /// The hour of the week on the wall clock of `zone` at this instant.
    #[must_use]
    pub fn hour_of_week(self, zone: Tz) -> HourOfWeek {
        if zone == Tz::UTC {
            // The epoch was a Thursday, 72 hours into its week.
            return HourOfWeek((self.hour() + 72).rem_euclid(168) as u8);
        }
        let local = zone.from_utc_datetime(&self.utc().naive_utc());
        let day = local.weekday().num_days_from_monday() as u8;
        HourOfWeek(day * 24 + local.hour() as u8)
    }

    /// The wall clock of `zone` at this instant, as `Tue 03:12`.
    #[must_use]
    pub fn wall_clock(self, zone: Tz) -> String {
        zone.from_utc_datetime(&self.utc().naive_utc())
            .format("%a %H:%M")
            .to_string()
    }

    /// Seconds by which the clocks of Europe or of the United States were put forward (or, below 0,
    /// back) within `span` before this instant; 0 where neither were.
    #[must_use]
    pub fn clocks_moved(self, span: Span) -> i32 {
        let since = self.minus(span).0;
        let [europe, states] = CLOCK_CHANGES.each_ref().map(|changes| {
            let until = changes.partition_point(|(at, _)| *at <= self.0);
            let recent = changes[..until].iter().rev();
            let recent = recent.take_while(|(at, _)| *at > since);
            recent.map(|(_, moved)| moved).sum::<i32>()
        });
        if europe == 0 { states } else { europe }
    }

    /// Seconds by which the wall clock of `zone` is ahead of UTC at this instant.
    #[must_use]
    pub fn utc_offset(self, zone: Tz) -> i32 {
        zone.offset_from_utc_datetime(&self.utc().naive_utc())
            .fix()
            .local_minus_utc()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rfc3339())
    }
}

/// A length of time in microseconds; negative means backwards.
#[derive(
    Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize,
)]
pub struct Span(i64);

impl Span {
    /// One second.
    pub const SECOND: Self = Self(SECOND);
    /// One minute.
    pub const MINUTE: Self = Self(60 * SECOND);
    /// One hour.
    pub const HOUR: Self = Self(3600 * SECOND);
    /// One day of 24 hours.
    pub const DAY: Self = Self(86_400 * SECOND);
    /// Seven days.
    pub const WEEK: Self = Self(7 * 86_400 * SECOND);

    /// A span of `micros` microseconds.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// A span of `seconds` seconds.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds * SECOND)
    }

    /// `self` taken `n` times.
    #[must_use]
    pub const fn times(self, n: i64) -> Self {
        Self(self.0 * n)
    }

    /// Microseconds.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole seconds, rounded down.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(SECOND)
    }

    /// Days as a fraction.
    #[must_use]
    pub fn days(self) -> f64 {
        self.0 as f64 / Self::DAY.0 as f64
    }
}

impl fmt::Display for Span {
    /// The two largest units that are not zero: `2d 4h`, `17m 3s`, `0s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.seconds();
        let units = [(86_400, 'd'), (3600, 'h'), (60, 'm'), (1, 's')];
        let mut rest = seconds.abs();
        let mut written = 0;
        if seconds < 0 {
            f.write_str("-")?;
        }
        for (size, letter) in units {
            let n = rest / size;
            rest %= size;
            if n > 0 && written < 2 {
                if written > 0 {
                    f.write_str(" ")?;
                }
                write!(f, "{n}{letter}")?;
                written += 1;
            }
        }
        if written == 0 {
            f.write_str("0s")
        } else {
            Ok(())
        }
    }
}

/// One of the 168 hours of a week on somebody's wall clock; 0 is Monday 00:00.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct HourOfWeek(u8);

impl HourOfWeek {
    /// How many there are.
    pub const COUNT: usize = 168;

    /// Every hour of the week, from Monday 00:00 on.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT as u8).map(Self)
    }

    /// Its index, 0..168.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The hour of the day, 0..24.
    #[must_use]
    pub const fn hour(self) -> usize {
        self.0 as usize % 24
    }

    /// The days that share its day class.
    #[must_use]
    pub fn class_days(self) -> std::ops::Range<usize> {
        class_days(usize::from(self.0 / 24))
    }

    /// The hour before, wrapping round the week.
    #[must_use]
    pub const fn before(self) -> Self {
        Self(if self.0 == 0 { 167 } else { self.0 - 1 })
    }

    /// The hour after, wrapping round the week.
    #[must_use]
    pub const fn after(self) -> Self {
        Self((self.0 + 1) % 168)
    }
}

impl fmt::Display for HourOfWeek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
        write!(
            f,
            "{} {:02}:00",
            DAYS[usize::from(self.0) / 24],
            self.hour()
        )
    }
}

/// When the clocks of London and of New York were put forward or back, in microseconds since the epoch,
/// and by how many seconds; from 1970 to the end of 2099, found once to the second.
static CLOCK_CHANGES: LazyLock<[Vec<(i64, i32)>; 2]> = LazyLock::new(|| {
    [Tz::Europe__London, Tz::America__New_York].map(|zone| {
        let offset = |second: i64| Timestamp::from_seconds(second).utc_offset(zone);
        let mut changes = Vec::new();
        for day in 0..47_482 {
            let (mut before, mut after) = (day * 86_400, (day + 1) * 86_400);
            let moved = offset(after) - offset(before);
            if moved == 0 {
                continue;
            }
            while after - before > 1 {
                let middle = i64::midpoint(before, after);
                if offset(middle) == offset(before) {
                    before = middle;
                } else {
                    after = middle;
                }
            }
            changes.push((Timestamp::from_seconds(after).0, moved));
        }
        changes
    })
});

/// The days that share the day class of `weekday` (0 is Monday): Monday to Friday, Saturday alone, or
/// Sunday alone.
#[must_use]
pub fn class_days(weekday: usize) -> std::ops::Range<usize> {
    match weekday {
        5 => 5..6,
        6 => 6..7,
        _ => 0..5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hour_of_week_follows_the_wall_clock_through_a_clock_change() {
        // New York went from 02:00 to 03:00 on Sunday 2026-03-08.
        let before = Timestamp::from_seconds(1_772_952_600); // 2026-03-08T06:50:00Z
        let after = before.plus(Span::HOUR);
        let zone = Tz::America__New_York;
        assert_eq!(before.hour_of_week(zone).to_string(), "Sun 01:00");
        assert_eq!(after.hour_of_week(zone).to_string(), "Sun 03:00");
        assert_eq!(after.hour_of_week(Tz::UTC).to_string(), "Sun 07:00");
    }

    #[test]
    fn clocks_move_twice_a_year_and_the_move_is_over_after_the_span() {
        let fortnight = Span::WEEK.times(2);
        // Europe's went back on 2026-10-25 at 01:00Z, those of New York on 2026-11-01 at 06:00Z.
        for (seconds, moved) in [
            (1_792_889_999, 0),
            (1_792_890_000, -3600),
            (1_793_513_000 + 7 * 86_400, -3600),
            (1_794_722_400 - 1, -3600),
            (1_794_722_400, 0),
            (1_774_746_000, 3600),
        ] {
            assert_eq!(
                Timestamp::from_seconds(seconds).clocks_moved(fortnight),
                moved,
                "{seconds}"
            );
        }
    }

    #[test]
    fn spans_read_as_their_two_largest_units() {
        assert_eq!(Span::from_seconds(187_200).to_string(), "2d 4h");
        assert_eq!(Span::from_seconds(1023).to_string(), "17m 3s");
        assert_eq!(Span::from_seconds(0).to_string(), "0s");
        assert_eq!(Span::from_seconds(-60).to_string(), "-1m");
    }
}
