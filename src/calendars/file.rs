//! A calendar file as types.

use std::collections::BTreeMap;

use chrono::{NaiveDate, Weekday};
use chrono_tz::Tz;
use nhiwatch_detectors::kernel::calendar::SessionClass;
use serde::de::{Deserialize, Deserializer, Error as _};
use serde_saphyr::Spanned;

/// A calendar file.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) mic: Spanned<String>,
    pub(super) version: String,
    pub(super) timezone: Zone,
    pub(super) coverage: Coverage,
    pub(super) days: Vec<Day>,
    pub(super) hours: Vec<Spanned<Hours>>,
    #[serde(default)]
    pub(super) holidays: BTreeMap<String, Vec<Spanned<Date>>>,
    #[serde(default)]
    pub(super) early_closes: Vec<EarlyClose>,
    #[serde(default)]
    pub(super) special: Vec<Special>,
    /// Other hours from a day on, in order of that day.
    #[serde(default)]
    pub(super) changes: Vec<Change>,
    /// What goes before the first hours of a day, the nearest to them first.
    #[serde(default)]
    pub(super) before_open: Vec<Around>,
    /// What follows the last hours of a day, the nearest to them first.
    #[serde(default)]
    pub(super) after_close: Vec<Around>,
    /// Why nobody vouches for this file.
    #[serde(default)]
    pub(super) unverified: Option<String>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    pub(super) from: Spanned<Date>,
    pub(super) hours: Vec<Spanned<Hours>>,
}

/// A stretch in which a venue takes orders before or after its hours.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Around {
    pub(super) class: SessionClass,
    pub(super) lasts: Spanned<Clock>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Coverage {
    pub(super) from: Date,
    pub(super) to: Spanned<Date>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EarlyClose {
    #[serde(rename = "name")]
    _name: String,
    pub(super) close: Spanned<Clock>,
    pub(super) dates: Vec<Spanned<Date>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Special {
    pub(super) date: Spanned<Date>,
    #[serde(rename = "name")]
    _name: String,
    pub(super) hours: Vec<Spanned<Hours>>,
}

/// A zone by its IANA name.
pub(super) struct Zone(pub(super) Tz);

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = String::deserialize(from)?;
        name.parse().map(Self).map_err(|_| {
            D::Error::custom(format!(
                "`{name}` is no IANA time zone such as Europe/London"
            ))
        })
    }
}

/// A date, `2026-01-02`.
#[derive(Clone, Copy)]
pub(super) struct Date(pub(super) NaiveDate);

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let date = text.parse();
        date.map(Self)
            .map_err(|_| D::Error::custom(format!("`{text}` is no date such as 2026-01-02")))
    }
}

/// A day of the week by its English name.
pub(super) struct Day(pub(super) Weekday);

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = String::deserialize(from)?;
        let day = name.parse();
        day.map(Self)
            .map_err(|_| D::Error::custom(format!("`{name}` is no day such as Mon")))
    }
}

/// A time on the wall clock, in minutes since midnight: 1440 is the end of the day, and what lies
/// below 0 is on the day before.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Clock(pub(super) i32);

impl Clock {
    pub(super) const DAY: i32 = 24 * 60;

    fn parse(text: &str) -> Option<Self> {
        let (hour, minute) = text.split_once(':')?;
        let digits = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
        let minutes = hour.parse::<i32>().ok()? * 60 + minute.parse::<i32>().ok()?;
        let valid = digits(hour) && digits(minute) && !minute.starts_with(['6', '7', '8', '9']);
        (valid && minutes <= Self::DAY).then_some(Self(minutes))
    }
}

impl<'de> Deserialize<'de> for Clock {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::parse(&text)
            .ok_or_else(|| D::Error::custom(format!("`{text}` is no time such as \"16:30\"")))
    }
}

/// A stretch of one day's trading, `08:00-16:30`; up to `24:00`. What opens on the day before is
/// `-1d 17:00-16:00`.
#[derive(Clone, Copy)]
pub(super) struct Hours {
    pub(super) open: Clock,
    pub(super) close: Clock,
}

impl<'de> Deserialize<'de> for Hours {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let (ends, before) = match text.strip_prefix("-1d ") {
            Some(ends) => (ends, Clock::DAY),
            None => (text.as_str(), 0),
        };
        let hours = ends.split_once('-').and_then(|(open, close)| {
            Some((Clock(Clock::parse(open)?.0 - before), Clock::parse(close)?))
        });
        match hours {
            Some((open, close)) if open < close => Ok(Self { open, close }),
            _ => Err(D::Error::custom(format!(
                "`{text}` are no hours such as \"08:00-16:30\", opening before they close"
            ))),
        }
    }
}
