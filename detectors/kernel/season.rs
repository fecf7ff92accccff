//! Days on which more or less work is done than their weekday explains: a month's first and last working
//! day and its middle, and the days on which a venue is closed or closes early.

use chrono::{Datelike, NaiveDate, TimeDelta, Weekday};
use serde::{Deserialize, Serialize};

use super::tails::Expected;

/// A sort of day that no weekday explains.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Season {
    /// The first day from Monday to Friday of a month.
    First,
    /// The 15th, or the Friday before where that is on a weekend.
    Middle,
    /// The last day from Monday to Friday of a month.
    Last,
    /// A weekday on which the venues that an identity works for do not trade.
    Holiday,
    /// One on which they trade for a shorter time.
    Short,
}

impl Season {
    /// How many there are.
    pub const COUNT: usize = 5;

    /// Whether less is done on it, if anything differs.
    #[must_use]
    pub const fn is_free(self) -> bool {
        matches!(self, Self::Holiday | Self::Short)
    }

    /// The season of the month that the day `number`, in days since the epoch, has; nothing for most.
    /// Holidays count as working days: which are kept differs from house to house.
    #[must_use]
    pub fn of_month(number: i64) -> Option<Self> {
        let date = i32::try_from(number)
            .ok()
            .and_then(NaiveDate::from_epoch_days)?;
        let working = |date: NaiveDate| !matches!(date.weekday(), Weekday::Sat | Weekday::Sun);
        if !working(date) {
            return None;
        }
        let others = |step: i64| {
            (1..=3).all(|n| {
                let near = date + TimeDelta::days(step * n);
                near.month() != date.month() || !working(near)
            })
        };
        let friday = date.weekday() == Weekday::Fri;
        match date.day() {
            1..=3 if others(-1) => Some(Self::First),
            15 => Some(Self::Middle),
            13 | 14 if friday => Some(Self::Middle),
            26.. if others(1) => Some(Self::Last),
            _ => None,
        }
    }
}

/// What such days bring to one identity, by the hour; kept from the first one on that stood out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seasonal {
    hours: Vec<Brought>,
    day: Brought,
}

/// Decayed calls and visits of one window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Brought {
    calls: f32,
    visits: f32,
}

impl Seasonal {
    /// What hour `hour` of the day (0 to 23) is expected to bring on such a day, where on others it
    /// is `usual`.
    #[must_use]
    pub fn hour(&self, hour: usize, usual: Expected) -> Expected {
        let brought = self.hours.get(hour).copied().unwrap_or_default();
        brought.expected(usual)
    }

    /// The same for the whole day.
    #[must_use]
    pub fn day(&self, usual: Expected) -> Expected {
        self.day.expected(usual)
    }

    /// Takes in what an hour of such a day brought.
    pub fn learn_hour(&mut self, hour: usize, calls: f64) {
        if self.hours.is_empty() {
            self.hours = vec![Brought::default(); 24];
        }
        if let Some(brought) = self.hours.get_mut(hour) {
            brought.learn(calls);
        }
    }

    /// Takes out again what was learned as `calls` of hour `hour`, where such a day has come so many
    /// times since.
    pub(crate) fn forget_hour(&mut self, hour: usize, calls: f64, times: usize) {
        if let Some(brought) = self.hours.get_mut(hour) {
            let kept = libm::pow(KEPT, times as f64);
            brought.calls = (f64::from(brought.calls) - calls * kept).max(0.0) as f32;
            brought.visits = (f64::from(brought.visits) - kept).max(0.0) as f32;
        }
    }

    /// Takes in what such a day brought.
    pub fn learn_day(&mut self, calls: f64) {
        self.day.learn(calls);
    }
}

impl Brought {
    /// The usual counts as one visit. Until three were seen, the rate is taken to be less certain.
    fn expected(self, usual: Expected) -> Expected {
        let (calls, visits) = (f64::from(self.calls), f64::from(self.visits));
        let mean = (calls + usual.mean) / (visits + 1.0);
        Expected {
            mean,
            spread: usual.spread + if visits < ENOUGH { LOOSE } else { 0.0 },
            evidence: calls + usual.evidence.min(2.0 * usual.fano + usual.mean),
            ..usual
        }
    }

    fn learn(&mut self, calls: f64) {
        self.calls = (f64::from(self.calls) * KEPT + calls) as f32;
        self.visits = (f64::from(self.visits) * KEPT + 1.0) as f32;
    }
}

/// What is kept from one such day to the next: some five months.
const KEPT: f64 = 0.8;
/// Decayed visits of three such days, a little less.
const ENOUGH: f64 = 2.4;
/// How much less certain the rate is until then, as a squared relative deviation.
pub(super) const LOOSE: f64 = 0.1;

#[cfg(test)]
mod tests {
    use super::*;

    fn day(year: i32, month: u32, day: u32) -> i64 {
        let date = NaiveDate::from_ymd_opt(year, month, day).expect("a date");
        i64::from(date.to_epoch_days())
    }

    #[test]
    fn a_month_has_one_first_one_middle_and_one_last_working_day() {
        for (month, first, middle, last) in [(10, 1, 15, 30), (11, 2, 13, 30), (8, 3, 14, 31)] {
            let days: Vec<_> = (1..=31)
                .filter(|n| NaiveDate::from_ymd_opt(2026, month, *n).is_some())
                .filter_map(|n| Some((n, Season::of_month(day(2026, month, n))?)))
                .collect();
            let wanted = [
                (first, Season::First),
                (middle, Season::Middle),
                (last, Season::Last),
            ];
            assert_eq!(days, wanted, "{month}");
        }
    }

    #[test]
    fn what_comes_every_month_is_expected_from_the_second_time_on() {
        let usual = Expected {
            mean: 0.02,
            fano: 1.0,
            spread: 0.005,
            evidence: 2.1,
        };
        let mut seasonal = Seasonal::default();
        let surprise = |seasonal: &Seasonal| -seasonal.hour(2, usual).ln_upper(60.0);
        let first = surprise(&seasonal);
        seasonal.learn_hour(2, 60.0);
        let second = surprise(&seasonal);
        seasonal.learn_hour(2, 60.0);
        let third = surprise(&seasonal);
        assert!(
            first > 50.0 && second < 5.0 && third < 3.0,
            "{first} {second} {third}"
        );
    }
}
