//! When an identity may act, as its owners declare it: windows of the week on its own wall clock.

use std::fmt;
use std::str::FromStr;

use arrayvec::ArrayVec;
use chrono::{Datelike, TimeZone, Timelike};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// The declared windows; none at all means that nothing was declared.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// The windows; an instant in one of them is within the schedule.
    pub windows: ArrayVec<Window, { Schedule::WINDOWS_MAX }>,
}

impl Schedule {
    /// How many windows one identity may have.
    pub const WINDOWS_MAX: usize = 8;

    /// Whether nothing was declared.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }

    /// Whether `ts` is within a window on the wall clock of `zone`; where nothing was declared,
    /// every instant is.
    #[must_use]
    pub fn covers(&self, ts: Timestamp, zone: Tz) -> bool {
        if self.is_empty() {
            return true;
        }
        let local = zone.from_utc_datetime(&ts.utc().naive_utc());
        let day = local.weekday().num_days_from_monday();
        let minute = (local.hour() * 60 + local.minute()) as u16;
        self.windows.iter().any(|window| window.covers(day, minute))
    }
}

impl fmt::Display for Schedule {
    /// The windows, separated by commas.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, window) in self.windows.iter().enumerate() {
            let comma = if nth > 0 { ", " } else { "" };
            write!(f, "{comma}{window}")?;
        }
        Ok(())
    }
}

/// One window: from a time of day until another, on some days of the week.
///
/// It is written `Mon-Fri 07:00-19:00`, `Sat,Sun 10:00-12:00` or `daily 22:00-02:00`. One that ends
/// before it begins goes on into the next day; `24:00` is the end of a day.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// The days on which it begins; bit 0 is Monday.
    days: u8,
    /// Minutes since midnight at which it begins.
    from: u16,
    /// Minutes since midnight at which it is over.
    until: u16,
}

impl Window {
    /// Whether it covers `minute` of `day`, which is 0 on a Monday.
    fn covers(self, day: u32, minute: u16) -> bool {
        let begins = |day: u32| self.days & (1 << day) != 0;
        if self.from < self.until {
            return begins(day) && (self.from..self.until).contains(&minute);
        }
        begins(day) && minute >= self.from || begins((day + 6) % 7) && minute < self.until
    }
}

impl FromStr for Window {
    type Err = NoWindow;

    fn from_str(text: &str) -> Result<Self, NoWindow> {
        let (days, hours) = text.trim().split_once(' ').ok_or(NoWindow)?;
        let (from, until) = hours.trim().split_once('-').ok_or(NoWindow)?;
        let window = Self {
            days: days_of(days)?,
            from: minutes(from)?,
            until: minutes(until)?,
        };
        if window.from == window.until || window.from == MINUTES {
            return Err(NoWindow);
        }
        Ok(window)
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.days == EVERY_DAY {
            f.write_str("daily")?;
        } else {
            let has = |day: usize| day < DAYS.len() && self.days & (1 << day) != 0;
            let (mut day, mut comma) = (0, "");
            while let Some(first) = (day..DAYS.len()).find(|day| has(*day)) {
                let last = (first..).find(|day| !has(day + 1)).unwrap_or(first);
                write!(f, "{comma}{}", DAYS[first])?;
                if last > first {
                    write!(f, "-{}", DAYS[last])?;
                }
                (day, comma) = (last + 1, ",");
            }
        }
        let clock = |minutes: u16| (minutes / 60, minutes % 60);
        let ((from, past), (until, after)) = (clock(self.from), clock(self.until));
        write!(f, " {from:02}:{past:02}-{until:02}:{after:02}")
    }
}

/// A text that is no window.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NoWindow;

impl fmt::Display for NoWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "no window such as `Mon-Fri 07:00-19:00`, `Sat,Sun 10:00-12:00` or `daily 22:00-02:00`",
        )
    }
}

impl std::error::Error for NoWindow {}

/// `daily`, or days and ranges of days; a range may go round the end of the week.
fn days_of(text: &str) -> Result<u8, NoWindow> {
    if text == "daily" {
        return Ok(EVERY_DAY);
    }
    let day = |name: &str| DAYS.iter().position(|day| *day == name).ok_or(NoWindow);
    text.split(',').try_fold(0, |days, part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        let length = (last + 7 - first) % 7;
        Ok((first..=first + length).fold(days, |days, day| days | 1 << (day % 7)))
    })
}

/// `07:30` as minutes since midnight, up to `24:00`.
fn minutes(text: &str) -> Result<u16, NoWindow> {
    let (hour, minute) = text.split_once(':').ok_or(NoWindow)?;
    let number = |part: &str| match part.as_bytes() {
        [b'0'..=b'9', b'0'..=b'9'] => part.parse::<u16>().map_err(|_| NoWindow),
        _ => Err(NoWindow),
    };
    let (hour, minute) = (number(hour)?, number(minute)?);
    let minutes = hour * 60 + minute;
    if minute < 60 && minutes <= MINUTES {
        Ok(minutes)
    } else {
        Err(NoWindow)
    }
}

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const EVERY_DAY: u8 = 0b111_1111;
/// Minutes in a day.
const MINUTES: u16 = 24 * 60;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::time::Span;

    /// Monday, 2026-01-05T00:00:00Z.
    const MONDAY: Timestamp = Timestamp::from_seconds(1_767_571_200);

    fn covers(window: &str, day: i64, minute: i64, zone: Tz) -> bool {
        let mut schedule = Schedule::default();
        schedule.windows.push(window.parse().unwrap());
        let at = MONDAY
            .plus(Span::DAY.times(day))
            .plus(Span::MINUTE.times(minute));
        schedule.covers(at, zone)
    }

    #[test]
    fn a_window_is_read_and_written_back() {
        for (text, written) in [
            ("Mon-Fri 07:00-19:00", "Mon-Fri 07:00-19:00"),
            ("Sat 10:00-12:00", "Sat 10:00-12:00"),
            ("Mon,Wed,Thu 00:00-24:00", "Mon,Wed-Thu 00:00-24:00"),
            ("daily 22:00-02:00", "daily 22:00-02:00"),
            ("Mon-Sun 01:00-02:00", "daily 01:00-02:00"),
            ("Sun-Tue 01:00-02:00", "Mon-Tue,Sun 01:00-02:00"),
        ] {
            let window: Window = text.parse().unwrap();
            assert_eq!(window.to_string(), written);
            assert_eq!(written.parse(), Ok(window));
        }
    }

    #[test]
    fn what_is_no_window_is_refused() {
        for text in [
            "",
            "Mon-Fri",
            "07:00-19:00",
            "mon 07:00-19:00",
            "Mon 7:00-19:00",
            "Mon 07:00-24:01",
            "Mon 07:60-09:00",
            "Mon 07:00-07:00",
            "Mon 24:00-02:00",
            "Mon- 07:00-08:00",
            "Mon,,Tue 07:00-08:00",
            "Mon +7:00-08:00",
        ] {
            assert_eq!(text.parse::<Window>(), Err(NoWindow), "{text}");
        }
    }

    #[test]
    fn a_window_holds_on_its_days_and_past_midnight_on_the_wall_clock() {
        let utc = Tz::UTC;
        assert!(covers("Mon-Fri 07:00-19:00", 0, 420, utc));
        assert!(!covers("Mon-Fri 07:00-19:00", 0, 1140, utc));
        assert!(!covers("Mon-Fri 07:00-19:00", 5, 600, utc));
        let night = "Fri 22:00-02:00";
        assert!(covers(night, 4, 1330, utc) && covers(night, 5, 119, utc));
        assert!(!covers(night, 4, 119, utc) && !covers(night, 5, 120, utc));
        // Sunday's night ends on a Monday.
        assert!(covers("Sun 22:00-02:00", 0, 60, utc));
        // 21:30 in London is 16:30 in New York.
        let office = "Mon 09:00-17:00";
        assert!(covers(office, 0, 21 * 60 + 30, Tz::America__New_York));
        assert!(!covers(office, 0, 21 * 60 + 30, Tz::Europe__London));
        assert!(Schedule::default().covers(MONDAY, utc));
    }
}
