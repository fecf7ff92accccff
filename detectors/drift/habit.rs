//! What a day of the week brings, as of two weeks ago, and how far days scatter about that.

use serde::{Deserialize, Serialize};

use crate::kernel::baseline::Day;

/// The calls of an identity's days.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Habit {
    weekdays: [Weekday; 7],
    /// Squared relative deviation of days from what was expected, beyond what counting alone makes.
    scatter: f32,
    /// Days that this rests on, at most [`SCATTER_DAYS`].
    scattered: u8,
}

/// The mean of one day of the week, and the mean a week before that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Weekday {
    mean: f32,
    before: f32,
    visits: u8,
}

impl Default for Habit {
    fn default() -> Self {
        Self {
            weekdays: [Weekday::default(); 7],
            scatter: SCATTER_FIRST,
            scattered: 8,
        }
    }
}

impl Habit {
    /// The calls that `day` was expected to bring by what was known 14 days before it: a baseline that
    /// did not lag would follow the drift it is to show. Nothing while too few such days are known.
    pub(super) fn expected(&self, day: &Day) -> Option<f64> {
        let weekday = self.weekdays[day.weekday()];
        (weekday.visits > 2).then_some(f64::from(weekday.before))
    }

    /// Shape of the gamma law by which the rate itself wanders from day to day: the larger, the less.
    pub(super) fn shape(&self) -> f64 {
        1.0 / f64::from(self.scatter).max(SCATTER_MIN)
    }

    /// Learns `day`, where calls come in batches of about `fano`.
    ///
    /// What lies beyond four deviations is cut back to them: one great day is no habit.
    pub(super) fn learn(&mut self, day: &Day, fano: f64) {
        let mut calls = day.calls as f64;
        if let Some(expected) = self.expected(day) {
            let counting = fano / expected.max(1.0);
            let deviation = libm::sqrt(1.0 / self.shape() + counting) * expected.max(1.0);
            calls = calls.clamp(
                (expected - 4.0 * deviation).max(0.0),
                expected + 4.0 * deviation,
            );
            if expected >= 1.0 {
                let off = calls / expected - 1.0;
                let beyond = off * off - counting;
                self.scattered = (self.scattered + 1).min(SCATTER_DAYS);
                let weight = 1.0 / f64::from(self.scattered);
                self.scatter += ((beyond - f64::from(self.scatter)) * weight) as f32;
            }
        }
        let weekday = &mut self.weekdays[day.weekday()];
        weekday.before = weekday.mean;
        weekday.visits = weekday.visits.saturating_add(1);
        let weight = (1.0 / f64::from(weekday.visits)).max(WEIGHT_MIN);
        weekday.mean += ((calls - f64::from(weekday.mean)) * weight) as f32;
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
/// What scatter is taken to be of an identity of which nothing is known: 30 %.
const SCATTER_FIRST: f32 = 0.09;
/// Below a deviation of some 14 % a change is of no interest.
const SCATTER_MIN: f64 = 0.02;
/// Days that scatter is averaged over.
const SCATTER_DAYS: u8 = 42;

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

    fn weeks(habit: &mut Habit, from: i64, weeks: i64, calls: impl Fn(i64) -> u64) {
        for number in from..from + weeks * 7 {
            habit.learn(&day(number, calls(number)), 1.0);
        }
    }

    #[test]
    fn what_is_expected_lags_by_two_weeks() {
        let mut habit = Habit::default();
        weeks(&mut habit, 0, 6, |_| 100);
        assert_eq!(habit.expected(&day(42, 0)), Some(100.0));
        weeks(&mut habit, 42, 1, |_| 130);
        assert_eq!(habit.expected(&day(49, 0)), Some(100.0));
        weeks(&mut habit, 49, 1, |_| 130);
        let after = habit.expected(&day(56, 0));
        assert!(
            after.is_some_and(|calls| (105.0..115.0).contains(&calls)),
            "{after:?}"
        );
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
        assert_eq!(habit.expected(&day(39, 0)), Some(480.0), "a Monday");
        assert_eq!(habit.expected(&day(44, 0)), Some(0.0), "a Saturday");
    }

    #[test]
    fn one_great_day_barely_moves_the_mean() {
        let mut habit = Habit::default();
        weeks(&mut habit, 0, 8, |_| 100);
        let steady = habit.shape();
        habit.learn(&day(56, 100_000), 1.0);
        weeks(&mut habit, 57, 1, |_| 100);
        let after = habit.expected(&day(63, 0)).unwrap();
        assert!(after < 130.0, "{after}");
        assert!(habit.shape() <= steady && habit.shape() > 10.0);
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
        assert!(habit.shape() < 5.0, "{}", habit.shape());
    }
}
