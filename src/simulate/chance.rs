//! The random processes the bank is made of, none of them a detector's own model.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1, StandardNormal};

/// One independent stream of randomness.
#[derive(Clone, Debug)]
pub(super) struct Chance(ChaCha8Rng);

impl Chance {
    /// Stream number `stream` of `seed`; streams do not influence each other.
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Self(rng)
    }

    /// A number in `[low, high)`.
    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.0.random::<f64>()
    }

    /// An integer in `[low, high)`; `low` where the range is empty.
    pub(super) fn whole(&mut self, low: usize, high: usize) -> usize {
        if high > low {
            self.0.random_range(low..high)
        } else {
            low
        }
    }

    /// Whether something of probability `p` happens.
    pub(super) fn happens(&mut self, p: f64) -> bool {
        self.0.random::<f64>() < p
    }

    /// 128 random bits.
    pub(super) fn bits(&mut self) -> u128 {
        self.0.random()
    }

    /// A standard normal number.
    pub(super) fn normal(&mut self) -> f64 {
        StandardNormal.sample(&mut self.0)
    }

    /// A lognormal number of the given median.
    pub(super) fn lognormal(&mut self, median: f64, sigma: f64) -> f64 {
        median * (sigma * self.normal()).exp()
    }

    /// A Weibull number of the given mean; `shape` below 1 is bursty, above 1 regular.
    pub(super) fn weibull(&mut self, mean: f64, shape: f64) -> f64 {
        let unit: f64 = Exp1.sample(&mut self.0);
        mean / gamma_of_one_plus(1.0 / shape) * unit.powf(1.0 / shape)
    }

    /// One of `items`.
    pub(super) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        let at = self.whole(0, items.len());
        &items[at]
    }

    /// A rank below `n` with probability proportional to `(rank + 1)^-exponent`.
    pub(super) fn zipf(&mut self, n: usize, exponent: f64) -> usize {
        let weight = |rank: usize| ((rank + 1) as f64).powf(-exponent);
        let mut left = self.0.random::<f64>() * (0..n).map(weight).sum::<f64>();
        for rank in 0..n {
            left -= weight(rank);
            if left < 0.0 {
                return rank;
            }
        }
        n.saturating_sub(1)
    }
}

/// Gamma(1 + x) for x in (0, 3], by Stirling's series after a shift; good to 1e-6.
fn gamma_of_one_plus(x: f64) -> f64 {
    let z = x + 8.0;
    let stirling = (2.0 * std::f64::consts::PI / z).sqrt()
        * (z / std::f64::consts::E).powf(z)
        * (1.0 + 1.0 / (12.0 * z) + 1.0 / (288.0 * z * z));
    stirling / (1..8).map(|k| x + f64::from(k)).product::<f64>()
}

/// A lognormal multiplier of mean 1 that wanders as a first-order autoregression.
#[derive(Clone, Debug)]
pub(super) struct Mood {
    memory: f64,
    sigma: f64,
    level: f64,
}

impl Mood {
    /// `memory` in `[0, 1)` is the autocorrelation of one step, `sigma` the spread of the log.
    pub(super) fn new(memory: f64, sigma: f64) -> Self {
        Self {
            memory,
            sigma,
            level: 0.0,
        }
    }

    /// The multiplier of the next step.
    pub(super) fn step(&mut self, chance: &mut Chance) -> f64 {
        let innovation = (1.0 - self.memory * self.memory).sqrt();
        self.level = self.memory * self.level + innovation * chance.normal();
        (self.sigma * self.level - self.sigma * self.sigma / 2.0).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_have_the_mean_they_were_asked_for() {
        let mut chance = Chance::new(1, 1);
        for shape in [0.6, 1.0, 3.0] {
            let mean = (0..40_000)
                .map(|_| chance.weibull(10.0, shape))
                .sum::<f64>()
                / 40_000.0;
            assert!((mean - 10.0).abs() < 0.4, "shape {shape}: mean {mean}");
        }
    }

    #[test]
    fn the_mood_averages_to_one() {
        let mut chance = Chance::new(2, 1);
        let mut mood = Mood::new(0.7, 0.4);
        let mean = (0..40_000).map(|_| mood.step(&mut chance)).sum::<f64>() / 40_000.0;
        assert!((mean - 1.0).abs() < 0.05, "mean {mean}");
    }

    #[test]
    fn low_ranks_are_the_most_frequent() {
        let mut chance = Chance::new(3, 1);
        let mut seen = [0_usize; 5];
        for _ in 0..5_000 {
            seen[chance.zipf(5, 1.2)] += 1;
        }
        assert!(seen.is_sorted_by(|a, b| a > b), "{seen:?}");
    }
}
