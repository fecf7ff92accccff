//! How many false incidents an identity may cause, and the risk from which one is worth publishing.

use libm::lgamma as ln_gamma;
use serde::{Deserialize, Serialize};

use super::noise::Noise;
use super::options::PerYear;

/// How many false incidents one identity may cause in a year, by severity, while nothing is wrong.
///
/// All statistical detectors share it: nothing is split by hand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// Incidents that are `low`: one finding alone, however it came about.
    pub low: PerYear,
    /// Incidents that are `medium`: risk that has added up.
    pub medium: PerYear,
    /// Incidents that are `high`.
    pub high: PerYear,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            low: PerYear::new(2.0),
            medium: PerYear::new(0.5),
            high: PerYear::new(0.05),
        }
    }
}

/// How many findings a day one family of tests makes of an identity while nothing is wrong; ten of
/// them make one finding in ten days.
pub const FINDINGS_PER_DAY: f64 = 0.01;

/// The p-value from which on a test made so many times a day speaks.
#[must_use]
pub fn begins(tests_per_day: f64) -> f64 {
    FINDINGS_PER_DAY / tests_per_day
}

/// The memory of risk, in days: short, and long for what is low and slow.
pub(crate) const MEMORIES: [f64; 2] = [1.0, 7.0];
/// How the budget is shared between them.
const SHARES: [f64; 2] = [0.6, 0.4];

/// A budget, solved: from which risk on its severities begin.
#[derive(Clone, Debug)]
pub(crate) struct Thresholds {
    low: f64,
    medium: [Crossings; 2],
    high: [Crossings; 2],
}

impl Thresholds {
    pub(crate) fn new(budget: &Budget) -> Self {
        let solve = |per_year: &PerYear| {
            [0, 1].map(|at| Crossings::new(MEMORIES[at], per_year.get() * SHARES[at]))
        };
        Self {
            low: budget.low.get(),
            medium: solve(&budget.medium),
            high: solve(&budget.high),
        }
    }

    /// Bits from which on one finding alone is worth publishing as `low`.
    ///
    /// Weights are exponential, so `365 * per_day * exp(-x / bits)` findings a year exceed `x`.
    pub(crate) fn low(&self, noise: Noise) -> f64 {
        (noise.bits * libm::log(DAYS_PER_YEAR * noise.per_day / self.low)).max(0.0)
    }

    /// Bits of risk, per memory, from which on an incident is `medium`.
    pub(crate) fn medium(&self, noise: Noise) -> [f64; 2] {
        self.medium.each_ref().map(|law| law.threshold(noise))
    }

    /// Bits of risk, per memory, from which on an incident is `high`.
    pub(crate) fn high(&self, noise: Noise) -> [f64; 2] {
        self.high.each_ref().map(|law| law.threshold(noise))
    }
}

/// The level that risk crosses upwards so many times a year, by how often findings come.
///
/// Findings come at random, `per_day` of them, each with an exponential weight of mean `bits`, and
/// fade with time constant `memory` days. Such shot noise has a gamma law of shape
/// `a = per_day * memory` and scale `bits`; it falls continuously with slope `-r / memory`, so it
/// crosses `r` downwards, and as often upwards, `365 / memory * r * f(r)` times a year (Rice 1944).
/// With `z = r / bits` that is `365 / memory * z^a * exp(-z) / Gamma(a)`.
#[derive(Clone, Debug)]
struct Crossings {
    memory: f64,
    /// The level in units of `bits`, at each of [`SHAPES`].
    levels: [f64; SHAPES],
}

impl Crossings {
    fn new(memory: f64, per_year: f64) -> Self {
        let ln_wanted = libm::log(per_year * memory / DAYS_PER_YEAR);
        let mut levels = [0.0; SHAPES];
        for (at, level) in levels.iter_mut().enumerate() {
            *level = solve(shape(at), ln_wanted);
        }
        Self { memory, levels }
    }

    fn threshold(&self, noise: Noise) -> f64 {
        let shape = noise.per_day * self.memory;
        let at = (libm::log(shape / SHAPE_MIN) / STEP).clamp(0.0, (SHAPES - 1) as f64);
        let below = (libm::floor(at) as usize).min(SHAPES - 2);
        let part = at - below as f64;
        noise.bits * (self.levels[below] * (1.0 - part) + self.levels[below + 1] * part)
    }
}

fn shape(at: usize) -> f64 {
    SHAPE_MIN * libm::exp(STEP * at as f64)
}

/// The larger `z` at which `z^a * exp(-z) / Gamma(a)` has the wanted logarithm; where even its peak,
/// at `z = a`, stays below, findings are rarer than the budget and any may cross.
fn solve(a: f64, ln_wanted: f64) -> f64 {
    let ln_rate = |z: f64| a * libm::log(z) - z - ln_gamma(a);
    if ln_rate(a) <= ln_wanted {
        return a;
    }
    let (mut low, mut high) = (a, 2.0 * a + 200.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if ln_rate(middle) > ln_wanted {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

const DAYS_PER_YEAR: f64 = 365.25;
const SHAPES: usize = 64;
const SHAPE_MIN: f64 = 1e-4;
/// From 1e-4 to 100.
const STEP: f64 = 13.815_510_557_964_274 / (SHAPES - 1) as f64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::Dice;

    /// A generator of uniform numbers, for simulations that are the same in every run.
    #[test]
    fn simulated_risk_crosses_its_threshold_as_often_as_the_budget_says() {
        let thresholds = Thresholds::new(&Budget::default());
        let bits = 1.0 / std::f64::consts::LN_2;
        for per_day in [0.05, 0.1, 0.5] {
            let noise = Noise { per_day, bits };
            for (at, memory) in MEMORIES.into_iter().enumerate() {
                let level = thresholds.medium(noise)[at];
                let years = 40_000.0;
                let (mut dice, mut now, mut risk, mut crossings) = (Dice(7), 0.0, 0.0, 0);
                while now < years * DAYS_PER_YEAR {
                    let gap = dice.exponential(1.0 / per_day);
                    now += gap;
                    let before: f64 = risk * libm::exp(-gap / memory);
                    risk = before + dice.exponential(bits);
                    crossings += u32::from(before < level && risk >= level);
                }
                let ratio = f64::from(crossings) / years / (0.5 * SHARES[at]);
                // The table is interpolated; some six thousand crossings are counted.
                assert!((0.93..1.07).contains(&ratio), "{per_day} {memory}: {ratio}");
            }
        }
    }

    #[test]
    fn who_is_quieter_than_the_budget_may_be_published_at_once() {
        let thresholds = Thresholds::new(&Budget::default());
        let noise = Noise {
            per_day: 0.001,
            bits: 1.44,
        };
        assert_eq!(thresholds.low(noise), 0.0);
        assert!(thresholds.medium(noise)[0] < 1.0);
        assert!(thresholds.high(noise)[0] > thresholds.medium(noise)[0]);
    }

    #[test]
    fn more_noise_raises_every_threshold() {
        let thresholds = Thresholds::new(&Budget::default());
        let at = |per_day, bits| {
            let noise = Noise { per_day, bits };
            let (medium, high) = (thresholds.medium(noise), thresholds.high(noise));
            [
                thresholds.low(noise),
                medium[0],
                medium[1],
                high[0],
                high[1],
            ]
        };
        let (calm, busy, heavy) = (at(0.1, 1.44), at(0.5, 1.44), at(0.1, 3.0));
        for (calm, (busy, heavy)) in calm.into_iter().zip(busy.into_iter().zip(heavy)) {
            assert!(calm < busy && calm < heavy, "{calm} {busy} {heavy}");
        }
    }
}
