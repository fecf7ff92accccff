//! How often an identity calls: one decayed mean per hour of the week, and how far counts scatter.

use serde::{Deserialize, Serialize};

use super::surprise::Surprise;
use super::tails::Expected;
use super::time::HourOfWeek;

/// The rate of calls per hour of the week, learned from closed hours only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    cells: Vec<Cell>,
    /// Decayed sum of calls and of hours, for the level of the identity as a whole.
    level: (f64, f64),
    /// Decayed sums of the regression of squared residuals on `mean` and `mean^2`.
    fit: Fit,
    /// How its hours surprise the model.
    surprise: Surprise,
    /// Hours in a row above what winsorising lets through.
    above: u8,
    /// Hours learned, at most [`u16::MAX`].
    hours: u16,
}

/// Decayed calls and visits of one hour of the week.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Cell {
    calls: f32,
    visits: f32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Fit {
    s11: f64,
    s12: f64,
    s22: f64,
    t1: f64,
    t2: f64,
}

impl Default for Rate {
    fn default() -> Self {
        let cells = vec![Cell::default(); HourOfWeek::COUNT];
        Self {
            cells,
            level: (0.0, 0.0),
            fit: Fit::default(),
            surprise: Surprise::default(),
            above: 0,
            hours: 0,
        }
    }
}

impl Rate {
    /// What hour `cell` is expected to bring.
    ///
    /// The identity's level is shrunk into the mean of the same hour of the same day class, and that
    /// into the cell's own, each worth one or two pseudo-events: pseudo-visits would bias busy cells.
    #[must_use]
    pub fn expected(&self, cell: HourOfWeek) -> Expected {
        let (fano, spread) = self.fit.solve();
        let level = (self.level.0 + 0.5) / (self.level.1 + 1.0);
        let (mut calls, mut visits) = (0.0, 0.0);
        for day in cell.class_days() {
            let same = self.cells[day * 24 + cell.hour()];
            calls += f64::from(same.calls);
            visits += f64::from(same.visits);
        }
        let class = (calls + fano) / (visits + fano / level);
        let own = self.cells[cell.index()];
        let evidence = f64::from(own.calls) + 2.0 * fano;
        let mean = evidence / (f64::from(own.visits) + 2.0 * fano / class);
        Expected {
            mean,
            fano,
            spread,
            evidence,
        }
    }

    /// What hour `cell` is expected to bring where it was hour `moved` until a clock changed: the more
    /// of the two.
    #[must_use]
    pub fn expected_either(&self, cell: HourOfWeek, moved: Option<HourOfWeek>) -> Expected {
        let here = self.expected(cell);
        match moved.map(|cell| self.expected(cell)) {
            Some(there) if there.mean > here.mean => there,
            _ => here,
        }
    }

    /// What hour `cell` brings at the least: by its own calls alone, with nothing lent by other hours,
    /// and where it was hour `moved` until a clock changed, the less of the two.
    #[must_use]
    pub fn least(&self, cell: HourOfWeek, moved: Option<HourOfWeek>) -> Expected {
        let own = |cell: HourOfWeek| {
            let expected = self.expected(cell);
            let calls = f64::from(self.cells[cell.index()].calls);
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
        self.surprise.calibrate(ln_p)
    }

    /// Visits of `cell`, decayed.
    #[must_use]
    pub fn visits(&self, cell: HourOfWeek) -> f64 {
        f64::from(self.cells[cell.index()].visits)
    }

    /// Takes in a closed hour with `count` calls; where a clock has just changed, `moved` is the hour
    /// of the week it was before.
    ///
    /// Once warm, a count beyond six deviations is cut back to them, so that one burst cannot raise
    /// the mean much; after more than six such hours in a row the level has shifted and is followed.
    pub fn learn(&mut self, cell: HourOfWeek, moved: Option<HourOfWeek>, count: u64) {
        let expected = self.expected_either(cell, moved);
        let deviation = libm::sqrt(expected.variance());
        let high = expected.mean + 6.0 * deviation + 3.0;
        let low = (expected.mean - 6.0 * deviation).max(0.0);
        let warm = self.hours >= WARM_HOURS;
        let count = count as f64;
        self.above = if count > high {
            self.above.saturating_add(1)
        } else {
            0
        };
        let capped = count.clamp(low, high);
        self.add(
            cell,
            if warm && self.above <= 6 {
                capped
            } else {
                count
            },
        );
        if expected.mean >= 1.0 && self.hours > 24 {
            self.fit.learn(&expected, if warm { capped } else { count });
        }
        if warm {
            self.surprise.learn(surprise(&expected, capped), PER_DAY);
        }
    }

    /// Takes in an hour that was held back, never with more than winsorising lets through.
    pub fn learn_capped(&mut self, cell: HourOfWeek, count: u64) {
        let expected = self.expected(cell);
        let high = expected.mean + 6.0 * libm::sqrt(expected.variance()) + 3.0;
        let count = (count as f64).min(high);
        self.add(cell, count);
        self.surprise.learn(surprise(&expected, count), PER_DAY);
    }

    /// Takes in `weeks` whole weeks without a call.
    pub fn skip_weeks(&mut self, weeks: i64) {
        let kept = libm::pow(CELL_KEPT, weeks as f64);
        let full = 1.0 / (1.0 - CELL_KEPT);
        for cell in &mut self.cells {
            cell.calls = (f64::from(cell.calls) * kept) as f32;
            cell.visits = (f64::from(cell.visits) * kept + full * (1.0 - kept)) as f32;
        }
        let hours = weeks as f64 * 168.0;
        let kept = libm::pow(LEVEL_KEPT, hours);
        self.level.0 *= kept;
        self.level.1 = self.level.1 * kept + (1.0 - kept) / (1.0 - LEVEL_KEPT);
        self.surprise.skip(hours, PER_DAY);
        self.hours = self
            .hours
            .saturating_add((weeks * 168).min(i64::from(u16::MAX)) as u16);
    }

    fn add(&mut self, cell: HourOfWeek, count: f64) {
        let own = &mut self.cells[cell.index()];
        own.calls = (f64::from(own.calls) * CELL_KEPT + count) as f32;
        own.visits = (f64::from(own.visits) * CELL_KEPT + 1.0) as f32;
        self.level.0 = self.level.0 * LEVEL_KEPT + count;
        self.level.1 = self.level.1 * LEVEL_KEPT + 1.0;
        self.hours = self.hours.saturating_add(1);
    }
}

/// How surprising `count` is, `-ln p`; nothing below one deviation has a surprise worth computing.
fn surprise(expected: &Expected, count: f64) -> f64 {
    if count > expected.mean + libm::sqrt(expected.variance()) {
        -expected.ln_upper(count)
    } else {
        0.0
    }
}

impl Fit {
    /// Weighted least squares of the squared residual on `F*mean + c*mean^2`, weights
    /// `1/(F*mean + c*mean^2)^2`, decayed per hour; only from hours with `mean >= 1`, because the
    /// weights of quiet hours explode.
    fn learn(&mut self, expected: &Expected, count: f64) {
        let mean = expected.mean;
        let (fano, spread) = self.solve();
        let model = fano * mean + spread * mean * mean;
        let weight = 1.0 / (model * model);
        let residual = count - mean;
        let squares = residual * residual - fano * mean * mean / expected.evidence;
        let decayed = |sum: f64, new: f64| sum * FIT_KEPT + new;
        self.s11 = decayed(self.s11, weight * mean * mean);
        self.s12 = decayed(self.s12, weight * mean * mean * mean);
        self.s22 = decayed(self.s22, weight * mean * mean * mean * mean);
        self.t1 = decayed(self.t1, weight * squares * mean);
        self.t2 = decayed(self.t2, weight * squares * mean * mean);
    }

    /// The Fano factor and the spread, with a prior worth 30 hours at (1, 0.02).
    fn solve(&self) -> (f64, f64) {
        let (s11, s22) = (self.s11 + 15.0, self.s22 + 15.0);
        let (t1, t2) = (self.t1 + 15.0, self.t2 + 15.0 * 0.02);
        let det = s11 * s22 - self.s12 * self.s12;
        if det < 1e-9 {
            return (1.0_f64.max(t1 / s11), Expected::SPREAD_MIN);
        }
        let mut fano = (t1 * s22 - t2 * self.s12) / det;
        let mut spread = (t2 * s11 - t1 * self.s12) / det;
        if spread < 0.0 {
            spread = 0.0;
            fano = t1 / s11;
        }
        if fano < 1.0 {
            fano = 1.0;
            spread = (t2 - self.s12).max(0.0) / s22;
        }
        (fano, spread.clamp(Expected::SPREAD_MIN, 10.0))
    }
}

/// What a cell keeps from one week to the next: a half-life of about 67 days.
const CELL_KEPT: f64 = 0.93;
/// What the level keeps from one hour to the next: a half-life of about 5.8 days.
const LEVEL_KEPT: f64 = 0.995;
/// What the fit keeps from one hour to the next: a half-life of about 14 days.
const FIT_KEPT: f64 = 0.998;
/// Hours a day.
const PER_DAY: f64 = 24.0;
/// Hours before counts are cut back: winsorising from the first day locks the mean low.
const WARM_HOURS: u16 = 3 * 168;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::time::Timestamp;

    fn cell(hour: i64) -> HourOfWeek {
        Timestamp::from_hour(hour).hour_of_week(chrono_tz::Tz::UTC)
    }

    fn weeks(rate: &mut Rate, weeks: i64, count: impl Fn(i64) -> u64) {
        for hour in 0..weeks * 168 {
            rate.learn(cell(hour), None, count(hour));
        }
    }

    #[test]
    fn a_constant_rate_is_learned_and_keeps_a_floor_of_scatter() {
        let mut rate = Rate::default();
        weeks(&mut rate, 8, |_| 100);
        let expected = rate.expected(cell(0));
        assert!((expected.mean - 100.0).abs() < 1.0, "{expected:?}");
        assert!(libm::sqrt(expected.variance()) >= 7.0, "{expected:?}");
        assert!(expected.ln_upper(1000.0) < libm::log(1e-12));
    }

    #[test]
    fn day_and_night_are_told_apart() {
        let mut rate = Rate::default();
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
    fn the_tail_is_never_thinner_than_the_model_and_grows_with_what_comes() {
        let (mut calm, mut wild) = (Rate::default(), Rate::default());
        weeks(&mut calm, 8, |_| 20);
        weeks(&mut wild, 8, |hour| if hour % 41 == 0 { 70 } else { 20 });
        for ln_p in [-1.0, -4.0, -12.0, -40.0] {
            assert!(calm.calibrate(ln_p) >= ln_p);
            assert!(wild.calibrate(ln_p) >= calm.calibrate(ln_p));
        }
        assert!(calm.calibrate(-40.0) < libm::log(1e-8));
        assert!(wild.calibrate(-12.0) > libm::log(1e-4));
    }

    #[test]
    fn one_burst_barely_moves_a_warm_mean() {
        let mut rate = Rate::default();
        weeks(&mut rate, 6, |_| 20);
        let before = rate.expected(cell(0)).mean;
        rate.learn(cell(0), None, 20_000);
        let after = rate.expected(cell(0)).mean;
        assert!(after < before * 1.5, "{before} -> {after}");
    }

    #[test]
    fn skipping_weeks_equals_learning_their_empty_hours() {
        let mut eager = Rate::default();
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
