//! What a day of the week brings, as of two weeks ago, and how far days scatter about that.

use serde::{Deserialize, Serialize};

use crate::kernel::baseline::Day;

/// The calls of an identity's days.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Habit {
    weekdays: [Weekday; 7],
    /// Days learned, at most [`LEARNED_MAX`].
    learned: u8,
    /// Squared relative deviation of days from what was expected, beyond what counting alone makes.
    scatter: f32,
    /// Mean product of such deviations on days that follow each other.
    together: f32,
    /// The relative deviation of the last day.
    last: f32,
    /// What the week at hand adds to these: sums of squares and of products, over so many days.
    squares: f32,
    products: f32,
    counted: u8,
}

/// The mean of one day of the week, and the mean a week before that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Weekday {
    mean: f32,
    before: f32,
}

/// What a day is expected to bring.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Expected {
    /// Calls.
    pub(super) calls: f64,
    /// Shape of the gamma law by which the rate itself wanders from day to day, as far as it is known:
    /// the larger, the less.
    pub(super) shape: f64,
}

impl Default for Habit {
    fn default() -> Self {
        Self {
            weekdays: [Weekday::default(); 7],
            learned: 0,
            scatter: SCATTER_FIRST,
            together: 0.0,
            last: 0.0,
            squares: 0.0,
            products: 0.0,
            counted: 0,
        }
    }
}

impl Habit {
    /// The calls that `day` was expected to bring by what was known 14 days before it: a baseline that
    /// did not lag would follow the drift it is to show. Nothing while too few such days are known.
    ///
    /// The mean of the weekday is shrunk to that of all days, which is worth two calls, or two batches of
    /// about `fano` calls.
    pub(super) fn expected(&self, day: &Day, fano: f64) -> Option<Expected> {
        let weekday = &self.weekdays[day.weekday()];
        if self.visits() <= 2.0 {
            return None;
        }
        let all = self.weekdays.iter().map(|it| f64::from(it.before));
        let level = (all.sum::<f64>() / 7.0).max(1.0 / 7.0);
        let visits = (self.visits() - 1.0).min(VISITS);
        let evidence = f64::from(weekday.before) * visits + 2.0 * fano;
        let calls = evidence / (visits + 2.0 * fano / level);
        Some(Expected {
            calls,
            shape: 1.0 / (self.wander() + fano / evidence),
        })
    }

    /// By how much the rate itself wanders, as a squared relative deviation: one standard error more than
    /// was seen, and more where days that follow each other deviate alike, as a chart adds them up.
    fn wander(&self) -> f64 {
        let scatter = f64::from(self.scatter).max(SCATTER_MIN);
        let alike = (f64::from(self.together) / scatter).clamp(0.0, 0.8);
        let error = libm::sqrt(2.0 / self.scattered());
        scatter * (1.0 + error) * (1.0 + alike) / (1.0 - alike)
    }

    /// Days that scatter rests on, with those that its first guess counts as.
    fn scattered(&self) -> f64 {
        f64::from(self.learned.saturating_sub(3 * WEEK) + FIRST_DAYS).min(SCATTER_DAYS)
    }

    /// How often each day of the week was learned.
    fn visits(&self) -> f64 {
        f64::from(self.learned / WEEK)
    }

    /// Learns `day`, where calls come in batches of about `fano`; `quiet` tells that no chart speaks.
    ///
    /// What lies beyond three deviations is cut back to them: one great day is no habit. How far days
    /// scatter is learned a week at a time, and not from one that ends while a chart speaks: a drift must
    /// not excuse itself.
    pub(super) fn learn(&mut self, day: &Day, fano: f64, quiet: bool) {
        let mut calls = day.calls as f64;
        if let Some(expected) = self.expected(day, fano) {
            let Expected { calls: mean, shape } = expected;
            let counting = fano / mean.max(1.0);
            let deviation = libm::sqrt(1.0 / shape + counting) * mean.max(1.0);
            calls = calls.clamp((mean - 3.0 * deviation).max(0.0), mean + 3.0 * deviation);
            if mean >= 1.0 {
                let off = calls / mean - 1.0;
                self.squares += (off * off - counting) as f32;
                self.products += (off * f64::from(self.last)) as f32;
                self.last = off as f32;
                self.counted += 1;
            }
        }
        let visits = self.visits();
        self.learned = (self.learned + 1).min(LEARNED_MAX);
        if self.counted >= WEEK {
            self.end_week(quiet);
        }
        let weekday = &mut self.weekdays[day.weekday()];
        weekday.before = weekday.mean;
        let weight = (1.0 / (visits + 1.0)).max(WEIGHT_MIN);
        weekday.mean += ((calls - f64::from(weekday.mean)) * weight) as f32;
    }

    fn end_week(&mut self, quiet: bool) {
        let days = f64::from(self.counted);
        let weight = days / self.scattered();
        let taken = |kept: &mut f32, sum: f32| {
            *kept += ((f64::from(sum) / days - f64::from(*kept)) * weight) as f32;
        };
        if quiet {
            taken(&mut self.scatter, self.squares);
            taken(&mut self.together, self.products);
        }
        (self.squares, self.products, self.counted) = (0.0, 0.0, 0);
    }

    /// Takes it for normal that every day brings so many `times` as much.
    pub(super) fn shift(&mut self, times: f64) {
        for weekday in &mut self.weekdays {
            weekday.mean = (f64::from(weekday.mean) * times) as f32;
            weekday.before = (f64::from(weekday.before) * times) as f32;
        }
    }
}

/// The weight of the newest week: a memory of about a month.
const WEIGHT_MIN: f64 = 0.25;
/// Weeks that such a mean rests on, by its variance.
const VISITS: f64 = 7.0;
/// Days after which it is not counted any more how many were learned.
const LEARNED_MAX: u8 = 70;
/// What scatter is taken to be of an identity of which nothing is known: 30 %.
const SCATTER_FIRST: f32 = 0.09;
/// Below a deviation of some 14 % a change is of no interest.
const SCATTER_MIN: f64 = 0.02;
/// Days that this counts as.
const FIRST_DAYS: u8 = 8;
/// Days that scatter is averaged over.
const SCATTER_DAYS: f64 = 42.0;
/// Days in a week.
const WEEK: u8 = 7;

#[cfg(test)]
mod tests {
    use super::*;

    fn day(number: i64, calls: u64) -> Day {
        Day {
            number,
            calls,
            ..Day::default()
        }
    }

    fn expected(habit: &Habit, number: i64) -> Expected {
        habit.expected(&day(number, 0), 1.0).expect("it is known")
    }

    fn weeks(habit: &mut Habit, from: i64, weeks: i64, calls: impl Fn(i64) -> u64) {
        for number in from..from + weeks * 7 {
            habit.learn(&day(number, calls(number)), 1.0, true);
        }
    }

    #[test]
    fn what_is_expected_lags_by_two_weeks() {
        let mut habit = Habit::default();
        weeks(&mut habit, 0, 6, |_| 100);
        assert!((expected(&habit, 42).calls - 100.0).abs() < 0.1);
        weeks(&mut habit, 42, 1, |_| 130);
        assert!((expected(&habit, 49).calls - 100.0).abs() < 0.1);
        weeks(&mut habit, 49, 1, |_| 130);
        let after = expected(&habit, 56).calls;
        assert!((105.0..115.0).contains(&after), "{after}");
    }

    #[test]
    fn every_day_of_the_week_has_a_mean_of_its_own() {
        let mut habit = Habit::default();
        weeks(
            &mut habit,
            4,
            5,
            |number| if (number + 3) % 7 < 5 { 480 } else { 0 },
        );
        assert!(expected(&habit, 39).calls > 475.0, "a Monday");
        let saturday = expected(&habit, 44);
        assert!(saturday.calls < 1.0 && saturday.shape < 3.0, "{saturday:?}");
    }

    #[test]
    fn one_great_day_barely_moves_the_mean() {
        let mut habit = Habit::default();
        weeks(&mut habit, 0, 8, |_| 100);
        habit.learn(&day(56, 100_000), 1.0, true);
        weeks(&mut habit, 57, 1, |_| 100);
        let after = expected(&habit, 63);
        assert!(after.calls < 130.0, "{after:?}");
        assert!(after.shape > 10.0, "{after:?}");
    }

    #[test]
    fn days_that_scatter_widely_are_known_to() {
        let mut habit = Habit::default();
        weeks(
            &mut habit,
            0,
            30,
            |number| if number % 3 == 0 { 30 } else { 150 },
        );
        assert!(expected(&habit, 210).shape < 5.0);
    }
}
