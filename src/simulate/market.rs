//! When a venue's regular session is, as far as the simulated traders need to know.

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, TimeZone, Utc, Weekday};
use chrono_tz::Tz;

/// A venue that simulated algorithms trade on.
#[derive(Debug)]
pub(super) struct Venue {
    /// Market identifier code.
    pub(super) mic: &'static str,
    /// The time zone its hours are said in.
    pub(super) zone: Tz,
    open: (u32, u32),
    close: (u32, u32),
    holidays: &'static [(i32, u32, u32)],
    half_days: &'static [(i32, u32, u32)],
    /// When half days end.
    early: (u32, u32),
    /// Instruments traded there.
    pub(super) symbols: &'static [&'static str],
    /// What amounts are in.
    pub(super) currency: &'static str,
}

/// The years whose holidays and half days are known, as `simulate` says; in others every weekday is a whole one.
pub(super) const KNOWN: std::ops::RangeInclusive<i32> = 2025..=2026;

const US_HOLIDAYS: &[(i32, u32, u32)] = &[
    (2025, 1, 1),
    (2025, 1, 9),
    (2025, 1, 20),
    (2025, 2, 17),
    (2025, 4, 18),
    (2025, 5, 26),
    (2025, 6, 19),
    (2025, 7, 4),
    (2025, 9, 1),
    (2025, 11, 27),
    (2025, 12, 25),
    (2026, 1, 1),
    (2026, 1, 19),
    (2026, 2, 16),
    (2026, 4, 3),
    (2026, 5, 25),
    (2026, 6, 19),
    (2026, 7, 3),
    (2026, 9, 7),
    (2026, 11, 26),
    (2026, 12, 25),
];
const US_HALF_DAYS: &[(i32, u32, u32)] = &[
    (2025, 7, 3),
    (2025, 11, 28),
    (2025, 12, 24),
    (2026, 11, 27),
    (2026, 12, 24),
];
const UK_HOLIDAYS: &[(i32, u32, u32)] = &[
    (2025, 1, 1),
    (2025, 4, 18),
    (2025, 4, 21),
    (2025, 5, 5),
    (2025, 5, 26),
    (2025, 8, 25),
    (2025, 12, 25),
    (2025, 12, 26),
    (2026, 1, 1),
    (2026, 4, 3),
    (2026, 4, 6),
    (2026, 5, 4),
    (2026, 5, 25),
    (2026, 8, 31),
    (2026, 12, 25),
    (2026, 12, 28),
];
const UK_HALF_DAYS: &[(i32, u32, u32)] = &[
    (2025, 12, 24),
    (2025, 12, 31),
    (2026, 12, 24),
    (2026, 12, 31),
];

/// The venues, with their holidays of 2025 and 2026.
pub(super) static VENUES: [Venue; 3] = [
    Venue {
        mic: "XNYS",
        zone: chrono_tz::America::New_York,
        open: (9, 30),
        close: (16, 0),
        holidays: US_HOLIDAYS,
        half_days: US_HALF_DAYS,
        early: (13, 0),
        symbols: &[
            "IBM", "JPM", "GE", "KO", "XOM", "WMT", "DIS", "PFE", "BAC", "CVX",
        ],
        currency: "USD",
    },
    Venue {
        mic: "XLON",
        zone: chrono_tz::Europe::London,
        open: (8, 0),
        close: (16, 30),
        holidays: UK_HOLIDAYS,
        half_days: UK_HALF_DAYS,
        early: (12, 30),
        symbols: &[
            "HSBA", "BP", "SHEL", "VOD", "AZN", "GSK", "RIO", "ULVR", "BARC",
        ],
        currency: "GBP",
    },
    Venue {
        mic: "XNAS",
        zone: chrono_tz::America::New_York,
        open: (9, 30),
        close: (16, 0),
        holidays: US_HOLIDAYS,
        half_days: US_HALF_DAYS,
        early: (13, 0),
        symbols: &[
            "AAPL", "MSFT", "NVDA", "AMZN", "INTC", "CSCO", "ADBE", "PEP", "COST",
        ],
        currency: "USD",
    },
];

impl Venue {
    /// The regular session of `day`, or nothing on weekends, holidays and half days.
    ///
    /// The simulated desks stay away on half days, which is enough to be inside the session.
    pub(super) fn session(&self, day: NaiveDate) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        if is_weekend(day) || self.is_holiday(day) || is_in(day, self.half_days) {
            return None;
        }
        Some(self.hours(day))
    }

    /// When `day` opens and closes, or would if it were a trading day.
    pub(super) fn hours(&self, day: NaiveDate) -> (DateTime<Utc>, DateTime<Utc>) {
        (
            local(self.zone, day, self.open.0, self.open.1),
            local(self.zone, day, self.close.0, self.close.1),
        )
    }

    /// The session of a half day; nothing on any other day.
    pub(super) fn early(&self, day: NaiveDate) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        is_in(day, self.half_days).then(|| {
            let (open, _) = self.hours(day);
            (open, local(self.zone, day, self.early.0, self.early.1))
        })
    }

    /// Its regular hours as a declared window, such as `Mon-Fri 09:30-16:00`.
    pub(super) fn window(&self) -> String {
        let ((open, past_open), (close, past_close)) = (self.open, self.close);
        format!("Mon-Fri {open:02}:{past_open:02}-{close:02}:{past_close:02}")
    }

    /// Whether the venue is closed on `day`, a weekday, for a holiday.
    pub(super) fn is_holiday(&self, day: NaiveDate) -> bool {
        is_in(day, self.holidays)
    }
}

/// Whether `day` is a Saturday or a Sunday.
pub(super) fn is_weekend(day: NaiveDate) -> bool {
    matches!(day.weekday(), Weekday::Sat | Weekday::Sun)
}

/// The instant of a local time; the earlier one where it exists twice.
pub(super) fn local(zone: Tz, day: NaiveDate, hour: u32, minute: u32) -> DateTime<Utc> {
    let naive = day.and_time(NaiveTime::from_hms_opt(hour, minute, 0).unwrap_or_default());
    zone.from_local_datetime(&naive)
        .earliest()
        .map_or_else(|| naive.and_utc(), |at| at.with_timezone(&Utc))
}

fn is_in(day: NaiveDate, days: &[(i32, u32, u32)]) -> bool {
    days.contains(&(day.year(), day.month(), day.day()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(
        clippy::print_stderr,
        reason = "a skipped comparison is said, not hidden"
    )]
    fn sessions_of_2025_and_2026_are_those_of_the_exchanges() {
        let Some(folder) = std::env::var_os("NHIWATCH_REAL_DATA") else {
            eprintln!("NHIWATCH_REAL_DATA is unset: sessions are not compared with real ones");
            return;
        };
        for venue in &VENUES {
            let file = format!("exchange_calendars/{}_sessions.csv", venue.mic);
            let table = std::fs::read_to_string(std::path::Path::new(&folder).join(file)).unwrap();
            let mut day = NaiveDate::from_ymd_opt(2025, 1, 1).unwrap();
            while day.year() < 2027 {
                let real = table
                    .lines()
                    .find(|line| line.starts_with(&day.to_string()));
                match venue.session(day) {
                    Some((open, close)) => {
                        let time = |at: DateTime<Utc>| at.format("%Y-%m-%dT%H:%MZ").to_string();
                        let ours = format!("{day},{},{},,", time(open), time(close));
                        assert_eq!(real, Some(ours.as_str()), "{}", venue.mic);
                    }
                    None => assert!(
                        real.is_none() || is_in(day, venue.half_days),
                        "{} is open on {day}",
                        venue.mic
                    ),
                }
                day = day.succ_opt().unwrap();
            }
        }
    }
}
