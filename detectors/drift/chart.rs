//! A chart of evidence: by how much days are better explained by a changed rate than by the old one.

use libm::{log, log1p};

/// `ln E` of a window: its likelihood at `times` the rate, over that at the rate itself, where the
/// window is expected to bring `expected` calls, times a gamma multiplier of mean 1 and shape `shape`,
/// and has brought `calls`.
///
/// Under the old rate the mean of `E` is 1: counts are then negative binomial, and `E` is the ratio of
/// two such laws of the same shape.
pub(super) fn ln_evidence(times: f64, shape: f64, expected: f64, calls: f64) -> f64 {
    let more = shape * (1.0 - 1.0 / times) / (shape / times + expected);
    (shape + calls) * log1p(more) - shape * log(times)
}

/// Where a chart that stands at `level` stands after a day of `ln_e`.
///
/// It begins anew where a run has come to nothing. While nothing has changed, a run comes as far as
/// `level` on no more than one of `exp(level)` days (Shin, Ramdas and Rinaldo, e-detectors, 2023), so
/// `exp(-level)` is its p-value. A day counts for no more than `DAY_MAX`, which only lowers `E`.
pub(super) fn after(level: f64, ln_e: f64) -> f64 {
    (level.max(0.0) + ln_e.min(DAY_MAX)).min(LEVEL_MAX)
}

/// Half of where a chart begins to speak, `ln 200`: one day alone is no drift, nor is a month's end.
const DAY_MAX: f64 = 2.649;
/// Three times where it begins to speak, so that it comes down again when a shift is over.
const LEVEL_MAX: f64 = 15.895;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dice::Dice;

    /// A negative binomial count, by its distribution function.
    fn count(dice: &mut Dice, mean: f64, shape: f64) -> f64 {
        let p = mean / (shape + mean);
        let mut term = libm::exp(shape * libm::log(1.0 - p));
        let (mut sum, mut n, wanted) = (term, 0.0, dice.uniform());
        while sum < wanted && n < 1e4 {
            term *= p * (shape + n) / (n + 1.0);
            sum += term;
            n += 1.0;
        }
        n
    }

    #[test]
    fn evidence_is_one_on_average_while_nothing_has_changed() {
        let mut dice = Dice(1);
        for (mean, shape) in [(3.0, 50.0), (40.0, 5.0), (200.0, 20.0)] {
            for times in [1.5, 0.5] {
                let trials = 100_000;
                let values: Vec<f64> = (0..trials)
                    .map(|_| ln_evidence(times, shape, mean, count(&mut dice, mean, shape)))
                    .map(libm::exp)
                    .collect();
                let average = values.iter().sum::<f64>() / f64::from(trials);
                let squares: f64 = values.iter().map(|e| (e - average) * (e - average)).sum();
                let error = libm::sqrt(squares) / f64::from(trials);
                assert!(
                    (average - 1.0).abs() < 4.0 * error,
                    "{mean} {shape} {times}: {average} ± {error}"
                );
            }
        }
    }

    #[test]
    fn runs_come_as_far_as_their_p_value_says_or_less_often() {
        let mut dice = Dice(2);
        for (mean, shape) in [(12.0, 50.0), (200.0, 20.0), (100.0, 3.0)] {
            for times in [1.5, 0.5] {
                let (days, wanted) = (100_000, libm::log(200.0));
                let (mut level, mut crossed) = (0.0, 0);
                for _ in 0..days {
                    let calls = count(&mut dice, mean, shape);
                    level = after(level, ln_evidence(times, shape, mean, calls));
                    if level >= wanted {
                        crossed += 1;
                        level = 0.0;
                    }
                }
                let budget = f64::from(days) / 200.0;
                assert!(
                    f64::from(crossed) < budget,
                    "{mean} {shape} {times}: {crossed}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn more_calls_are_evidence_of_more_and_against_less(
            shape in 0.1..100.0_f64,
            expected in 0.0..1e6_f64,
            calls in 0.0..1e6_f64,
            more in 0.0..1e6_f64,
        ) {
            let at = |times, calls| ln_evidence(times, shape, expected, calls);
            prop_assert!(at(1.5, calls + more) >= at(1.5, calls));
            prop_assert!(at(0.5, calls + more) <= at(0.5, calls));
            prop_assert!(at(1.5, calls).is_finite() && at(0.5, calls).is_finite());
        }

        #[test]
        fn without_a_wandering_rate_it_is_the_poisson_ratio(calls in 0.0..500.0_f64) {
            let exact = calls * libm::log(1.5) - 100.0 * 0.5;
            prop_assert!((ln_evidence(1.5, 1e9, 100.0, calls) - exact).abs() < 1e-3);
        }
    }
}
