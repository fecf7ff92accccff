//! How often an identity calls: one decayed mean per hour, or day, of the week, and how far counts
//! scatter.

use serde::{Deserialize, Serialize};

use super::fit::{Fit, kept_each};
use super::runs;
use super::surprise::Surprise;
use super::tails::Expected;
use super::time::class_days;

/// The rate of calls per window of the week, `SLOTS` windows a day, learned from closed windows only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rate<const SLOTS: usize> {
    /// Decayed calls of each window of the week, and its visits.
    #[serde(with = "runs")]
    calls: Vec<f32>,
    #[serde(with = "runs")]
    visits: Vec<f32>,
    /// Decayed sum of calls and of hours, for the level of the identity as a whole.
    level: (f64, f64),
    /// Decayed sums of the regression of squared residuals on `mean` and `mean^2`.
    fit: Fit,
    /// How its windows surprise the model.
    surprise: Surprise,
    /// The same for windows that bring too little.
    drops: Surprise,
    /// Windows in a row above what winsorising lets through.
    above: u8,
    /// Whether such windows are followed.
    follows: bool,
    /// Windows learned, at most [`u16::MAX`].
    windows: u16,
}

impl<const SLOTS: usize> Default for Rate<SLOTS> {
    fn default() -> Self {
        Self {
            calls: vec![0.0; 7 * SLOTS],
            visits: vec![0.0; 7 * SLOTS],
            level: (0.0, 0.0),
            fit: Fit::default(),
            surprise: Surprise::default(),
            drops: Surprise::default(),
            above: 0,
            follows: false,
            windows: 0,
        }
    }
}

impl<const SLOTS: usize> Rate<SLOTS> {
    /// What the tail's index is shrunk to: of days there are too few to show a thin one.
    const INDEX: f64 = if SLOTS == 1 { 0.5 } else { 0.18 };
    /// Half-life of the fit, in days; longer where a day is one window, of which there are few.
    const FIT_KEPT_FOR: f64 = if SLOTS == 1 { 60.0 } else { 14.0 };

    /// What window `cell` of the week is expected to bring; 0 is the first of a Monday.
    ///
    /// The identity's level is shrunk into the mean of the same window of the same day class, and that
    /// into the cell's own, each worth one or two pseudo-events: pseudo-visits would bias busy cells.
    #[must_use]
    pub fn expected(&self, cell: usize) -> Expected {
        let (fano, spread) = self.fit.solve();
        let level = (self.level.0 + 0.5) / (self.level.1 + 1.0);
        let (mut calls, mut visits) = (0.0, 0.0);
        for day in class_days(cell / SLOTS) {
            let same = day * SLOTS + cell % SLOTS;
            calls += f64::from(self.calls[same]);
            visits += f64::from(self.visits[same]);
        }
        let class = (calls + fano) / (visits + fano / level);
        let evidence = f64::from(self.calls[cell]) + 2.0 * fano;
        let mean = evidence / (f64::from(self.visits[cell]) + 2.0 * fano / class);
        Expected {
            mean,
            fano,
            spread,
            evidence,
        }
    }

    /// What window `cell` is expected to bring where it was window `moved` until a clock changed: the
    /// more of the two.
    #[must_use]
    pub fn expected_either(&self, cell: usize, moved: Option<usize>) -> Expected {
        let here = self.expected(cell);
        match moved.map(|cell| self.expected(cell)) {
            Some(there) if there.mean > here.mean => there,
            _ => here,
        }
    }

    /// What hour `cell` brings at the least: by its own calls alone, with nothing lent by other hours,
    /// and where it was hour `moved` until a clock changed, the less of the two.
    #[must_use]
    pub fn least(&self, cell: usize, moved: Option<usize>) -> Expected {
        let own = |cell: usize| {
            let expected = self.expected(cell);
            let calls = f64::from(self.calls[cell]);
            Expected {
                mean: expected.mean * calls / expected.evidence,
                evidence: calls,
                ..expected
            }
        };
        let here = own(cell);
        match moved.map(own) {
            Some(there) if there.mean < here.mean => there,
            _ => here,
        }
    }

    /// What the model's `ln_p` of a count is worth for this identity, whose counts may scatter more
    /// widely than any model: never less than `ln_p` itself.
    #[must_use]
    pub fn calibrate(&self, ln_p: f64) -> f64 {
        self.surprise.calibrate_from(ln_p, Self::INDEX)
    }

    /// The same for the p-value of a count that is too small.
    #[must_use]
    pub fn calibrate_drop(&self, ln_p: f64) -> f64 {
        self.drops.calibrate_from(ln_p, Self::INDEX)
    }

    /// Calls of a window in the last week or so, whichever it is.
    #[must_use]
    pub fn level(&self) -> f64 {
        self.level.0 / self.level.1.max(1.0)
    }

    /// Visits of `cell`, decayed.
    #[must_use]
    pub fn visits(&self, cell: usize) -> f64 {
        f64::from(self.visits[cell])
    }

    /// Days learned, empty ones included.
    #[must_use]
    pub fn days(&self) -> f64 {
        f64::from(self.windows) / SLOTS as f64
    }

    /// Takes in a closed window that was `expected` to bring something and brought `count` calls, as
    /// window `cell` of the week; where `cell` is none, only how far counts scatter is learned of it.
    ///
    /// Once warm, a count beyond six deviations is cut back to them, so that one burst cannot raise
    /// the mean much; after more than six such windows in a row the level has shifted and is followed,
    /// unless the day is `alerted`. Tells whether it begins to be.
    pub fn learn(
        &mut self,
        cell: Option<usize>,
        expected: &Expected,
        count: u64,
        alerted: bool,
    ) -> bool {
        let deviation = libm::sqrt(expected.variance());
        let high = expected.mean + 6.0 * deviation + 3.0;
        let low = (expected.mean - 6.0 * deviation).max(0.0);
        let warm = self.days() >= WARM_DAYS;
        #[cfg(feature = "ablation")]
        let warm = warm && !super::ablation::without(super::ablation::Part::Winsorising);
        let count = count as f64;
        self.above = if count > high {
            self.above.saturating_add(1)
        } else {
            0
        };
        let capped = count.clamp(low, high);
        let shifted = self.above > 6 && !alerted;
        let begins = warm && shifted && !self.follows;
        self.follows = warm && shifted;
        if let Some(cell) = cell {
            self.add(cell, if warm && !shifted { capped } else { count });
        }
        if expected.mean >= 1.0 && self.days() > if SLOTS == 1 { 7.0 } else { 1.0 } {
            let count = if warm { capped } else { count };
            self.fit.learn(expected, count, Self::FIT_KEPT_FOR, SLOTS);
        }
        if warm {
            // Not cut back: what this identity's counts really reach is what is asked here. One window
            // counts for so much only; see `Surprise::learn`.
            self.learn_surprise(expected, count);
        }
        begins
    }

    /// Takes in a window that was held back: into the mean of `cell`, where there is one, never with
    /// more than winsorising lets through: with the calls it gives.
    pub fn learn_capped(&mut self, cell: Option<usize>, expected: &Expected, count: u64) -> f64 {
        let high = expected.mean + 6.0 * libm::sqrt(expected.variance()) + 3.0;
        let count = count as f64;
        let capped = count.min(high);
        if let Some(cell) = cell {
            self.add(cell, capped);
        }
        self.learn_surprise(expected, count);
        capped
    }

    /// Takes out again what was learned as `count` calls of `cell`, which has come `visits` times since,
    /// `windows` windows ago.
    pub(crate) fn forget(&mut self, cell: usize, count: f64, visits: i64, windows: i64) {
        let less = |value: f64, by: f64| (value - by).max(0.0);
        let kept = libm::pow(CELL_KEPT, visits as f64);
        let (own, came) = (&mut self.calls[cell], &mut self.visits[cell]);
        *own = less(f64::from(*own), count * kept) as f32;
        *came = less(f64::from(*came), kept) as f32;
        let kept = libm::pow(kept_each(LEVEL_HALF_LIFE, SLOTS), windows.max(0) as f64);
        self.level.0 = less(self.level.0, count * kept);
        self.level.1 = less(self.level.1, kept);
    }

    fn learn_surprise(&mut self, expected: &Expected, count: f64) {
        let per_day = SLOTS as f64;
        let deviation = libm::sqrt(expected.variance());
        // Nothing within one deviation has a surprise worth computing.
        let (mut burst, mut drop) = (0.0, 0.0);
        if count > expected.mean + deviation {
            burst = -expected.ln_upper(count);
        } else if count < expected.mean - deviation {
            drop = -expected.ln_lower(count);
        }
        self.surprise.learn(burst, per_day);
        self.drops.learn(drop, per_day);
    }

    /// Takes in `weeks` whole weeks without a call.
    pub fn skip_weeks(&mut self, weeks: i64) {
        let kept = libm::pow(CELL_KEPT, weeks as f64);
        let full = 1.0 / (1.0 - CELL_KEPT);
        for calls in &mut self.calls {
            *calls = (f64::from(*calls) * kept) as f32;
        }
        for visits in &mut self.visits {
            *visits = (f64::from(*visits) * kept + full * (1.0 - kept)) as f32;
        }
        let windows = weeks as f64 * 7.0 * SLOTS as f64;
        let one = kept_each(LEVEL_HALF_LIFE, SLOTS);
        let kept = libm::pow(one, windows);
        self.level.0 *= kept;
        self.level.1 = self.level.1 * kept + (1.0 - kept) / (1.0 - one);
        self.surprise.skip(windows, SLOTS as f64);
        self.drops.skip(windows, SLOTS as f64);
        self.windows = self
            .windows
            .saturating_add(windows.min(f64::from(u16::MAX)) as u16);
    }

    fn add(&mut self, cell: usize, count: f64) {
        let (calls, visits) = (&mut self.calls[cell], &mut self.visits[cell]);
        *calls = (f64::from(*calls) * CELL_KEPT + count) as f32;
        *visits = (f64::from(*visits) * CELL_KEPT + 1.0) as f32;
        let kept = kept_each(LEVEL_HALF_LIFE, SLOTS);
        self.level.0 = self.level.0 * kept + count;
        self.level.1 = self.level.1 * kept + 1.0;
        self.windows = self.windows.saturating_add(1);
    }
}

/// What a cell keeps from one week to the next: a half-life of about 67 days.
const CELL_KEPT: f64 = 0.93;
/// Half-life of the level, in days.
const LEVEL_HALF_LIFE: f64 = 5.8;
/// Days before counts are cut back: winsorising from the first day locks the mean low.
const WARM_DAYS: f64 = 21.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(hour: i64) -> usize {
        ((hour + 72) % 168) as usize
    }

    fn learn(rate: &mut Rate<24>, hour: i64, count: u64) {
        let expected = rate.expected(cell(hour));
        rate.learn(Some(cell(hour)), &expected, count, false);
    }

    fn weeks(rate: &mut Rate<24>, weeks: i64, count: impl Fn(i64) -> u64) {
        for hour in 0..weeks * 168 {
            learn(rate, hour, count(hour));
        }
    }

    #[test]
    fn a_constant_rate_is_learned_and_keeps_a_floor_of_scatter() {
        let mut rate = Rate::<24>::default();
        weeks(&mut rate, 8, |_| 100);
        let expected = rate.expected(cell(0));
        assert!((expected.mean - 100.0).abs() < 1.0, "{expected:?}");
        assert!(libm::sqrt(expected.variance()) >= 7.0, "{expected:?}");
        assert!(expected.ln_upper(1000.0) < libm::log(1e-12));
    }

    #[test]
    fn day_and_night_are_told_apart() {
        let mut rate = Rate::<24>::default();
        weeks(&mut rate, 6, |hour| {
            if (9..17).contains(&(hour % 24)) {
                60
            } else {
                0
            }
        });
        assert!(rate.expected(cell(10)).mean > 50.0);
        assert!(rate.expected(cell(3)).mean < 0.5);
    }

    #[test]
    fn a_day_is_a_window_too_and_weekends_are_told_apart() {
        let mut rate = Rate::<1>::default();
        for day in 0..70 {
            let expected = rate.expected(day % 7);
            let count = if day % 7 < 5 { 400 } else { 20 };
            rate.learn(Some(day % 7), &expected, count, false);
        }
        let (monday, sunday) = (rate.expected(0), rate.expected(6));
        assert!((380.0..420.0).contains(&monday.mean), "{monday:?}");
        assert!((15.0..40.0).contains(&sunday.mean), "{sunday:?}");
        assert!(rate.calibrate(monday.ln_upper(1200.0)) < libm::log(1e-3));
        assert!(rate.calibrate_drop(monday.ln_lower(10.0)) < libm::log(1e-3));
        assert!((rate.days() - 70.0).abs() < 1e-9);
    }

    #[test]
    fn a_level_that_stays_is_followed_and_told_once_but_not_on_days_with_an_alert() {
        let mut quiet = Rate::<24>::default();
        weeks(&mut quiet, 6, |_| 20);
        let mut alerted = quiet.clone();
        let hours = 6 * 168..6 * 168 + 20;
        let mut told = [0, 0];
        for hour in hours {
            for (n, rate) in [&mut quiet, &mut alerted].into_iter().enumerate() {
                let expected = rate.expected(cell(hour));
                let begins = rate.learn(Some(cell(hour)), &expected, 300, n == 1);
                told[n] += u8::from(begins);
            }
        }
        assert_eq!(told, [1, 0]);
        let level = |rate: &Rate<24>| rate.level.0 / rate.level.1;
        assert!(level(&quiet) > 1.5 * level(&alerted));
    }

    #[test]
    fn one_burst_barely_moves_a_warm_mean() {
        let mut rate = Rate::<24>::default();
        weeks(&mut rate, 6, |_| 20);
        let before = rate.expected(cell(0)).mean;
        learn(&mut rate, 0, 20_000);
        let after = rate.expected(cell(0)).mean;
        assert!(after < before * 1.5, "{before} -> {after}");
    }

    #[test]
    fn skipping_weeks_equals_learning_their_empty_hours() {
        let mut eager = Rate::<24>::default();
        weeks(&mut eager, 5, |hour| (hour % 7) as u64 * 3);
        let mut lazy = eager.clone();
        for hour in 0..3 * 168 {
            eager.add(cell(hour), 0.0);
        }
        lazy.skip_weeks(3);
        let (a, b) = (eager.expected(cell(5)).mean, lazy.expected(cell(5)).mean);
        assert!((a - b).abs() < 1e-3 * a, "{a} {b}");
    }
}
