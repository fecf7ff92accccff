//! How far a share or a count can be trusted: exact intervals of 95 %.

use serde::Serialize;
use statrs::distribution::{Beta, ContinuousCDF as _, Gamma};

/// What is left out at each end.
const TAIL: f64 = 0.025;

/// From where to where a value lies, with a confidence of 95 %.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The lower end.
    #[serde(serialize_with = "super::rounded")]
    pub low: f64,
    /// The upper end.
    #[serde(serialize_with = "super::rounded")]
    pub high: f64,
}

impl Interval {
    /// The interval of Clopper and Pearson for a share of which `hits` of `of` were seen: each end is
    /// a quantile of a beta distribution. Without any trial nothing is known: 0 to 1.
    #[must_use]
    pub fn of_share(hits: usize, of: usize) -> Self {
        let (k, n) = (hits as f64, of as f64);
        let quantile = |a, b, p| Beta::new(a, b).map(|law| law.inverse_cdf(p));
        // A distribution without a shape is the end of the scale.
        Self {
            low: quantile(k, n - k + 1.0, TAIL).unwrap_or(0.0),
            high: quantile(k + 1.0, n - k, 1.0 - TAIL).unwrap_or(1.0),
        }
    }

    /// The exact interval of Garwood for the mean of a Poisson count of which `n` were seen: each end
    /// is a quantile of a gamma distribution.
    #[must_use]
    pub fn of_count(n: usize) -> Self {
        let n = n as f64;
        let quantile = |shape, p| Gamma::new(shape, 1.0).map(|law| law.inverse_cdf(p));
        Self {
            low: quantile(n, TAIL).unwrap_or(0.0),
            high: quantile(n + 1.0, 1.0 - TAIL).unwrap_or(f64::INFINITY),
        }
    }

    /// The interval of a rate: this one of a count, in `exposure` units.
    #[must_use]
    pub fn per(self, exposure: f64) -> Self {
        Self {
            low: self.low / exposure,
            high: self.high / exposure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_near(found: Interval, (low, high): (f64, f64), what: &str) {
        let near = |a: f64, b: f64| (a - b).abs() <= 6e-4 * b.max(0.1);
        assert!(
            near(found.low, low) && near(found.high, high),
            "{what}: {found:?} is not {low} to {high}"
        );
    }

    #[test]
    fn shares_have_the_intervals_of_the_tables() {
        // With all or none seen, the end is 0.025^(1/n) in closed form.
        for (hits, of, table) in [
            (0, 10, (0.0, 0.3085)),
            (10, 10, (0.6915, 1.0)),
            (5, 5, (0.4782, 1.0)),
            (1, 1, (0.025, 1.0)),
            (5, 10, (0.1871, 0.8129)),
            (1, 20, (0.001_265, 0.2487)),
            (3, 20, (0.0321, 0.3789)),
            (90, 100, (0.8238, 0.9510)),
            (0, 0, (0.0, 1.0)),
        ] {
            assert_near(Interval::of_share(hits, of), table, &format!("{hits}/{of}"));
        }
    }

    #[test]
    fn counts_have_the_intervals_of_the_tables() {
        for (n, table) in [
            (0, (0.0, 3.6889)),
            (1, (0.025_318, 5.5716)),
            (2, (0.2422, 7.2247)),
            (5, (1.6235, 11.6683)),
            (10, (4.7954, 18.3904)),
            (50, (37.1110, 65.9188)),
            (100, (81.3640, 121.6272)),
        ] {
            assert_near(Interval::of_count(n), table, &n.to_string());
        }
    }

    #[test]
    fn large_numbers_stay_where_the_normal_law_has_them() {
        let found = Interval::of_count(100_000);
        assert_near(found, (99_381.2, 100_621.7), "100000");
        let found = Interval::of_share(900, 1000);
        assert_near(found, (0.8797, 0.9179), "900/1000");
    }

    #[test]
    fn a_rate_is_the_count_by_its_exposure() {
        let Interval { low, high } = Interval::of_count(0).per(2.0);
        assert_near(Interval { low, high }, (0.0, 1.844_44), "0 in 2");
    }
}
