//! How often an identity's calls fail, and what a number of failures says against it.

use serde::{Deserialize, Serialize};

use crate::kernel::surprise::Surprise;

/// What is known of one sort of failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Usual {
    /// Failures in hours that are over, decayed.
    failures: f32,
    /// How its hours surprise the model: failures come in clusters.
    surprise: Surprise,
}

/// What an hour with so many tries, of which so many failed, is worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Weighed {
    /// Natural logarithm of the e-value.
    pub(super) ln_e: f64,
    /// Natural logarithm of the p-value it is worth for this identity.
    pub(super) ln_p: f64,
    /// The share of failures it is held against.
    pub(super) share: f64,
}

impl Usual {
    /// The share of `tries` that fails at most, with a probability of nine in ten.
    pub(super) fn share(&self, tries: f64) -> f64 {
        upper(
            f64::from(self.failures) + PRIOR_FAILURES,
            tries + PRIOR_TRIES,
        )
    }

    /// Weighs `failures` out of `n` tries, where `tries` have been learned.
    pub(super) fn weigh(&self, tries: f64, n: f64, failures: f64) -> Weighed {
        let share = self.share(tries);
        let ln_e = ln_e(n, failures, share);
        Weighed {
            ln_e,
            ln_p: self.surprise.calibrate(-ln_e.max(0.0)),
            share,
        }
    }

    /// Takes in an hour that is over, before its tries are added to the `tries` learned.
    pub(super) fn learn(&mut self, tries: f64, n: f64, failures: f64) {
        let ln_e = ln_e(n, failures, self.share(tries));
        self.surprise.learn(ln_e.max(0.0), PER_DAY);
        self.failures += failures as f32;
    }

    /// Lets what was learned fade to the part `kept`.
    pub(super) fn fade(&mut self, kept: f32) {
        self.failures *= kept;
    }
}

/// Natural logarithm of the e-value of `e` failures in `n` tries, where a share of at most `p0` fails:
/// the mean of `r^e * ((1 - r p0)/(1 - p0))^(n - e)` over those `r` of [`TIMES`] that `p0` has room for.
///
/// Each is the likelihood ratio of `r` times the share against the share itself. While tries are
/// independent its expectation is at most 1 after any number of them, so that the chance of it ever
/// reaching `1/p` is at most `p` (Ville 1939; Ramdas et al., Statistical Science 2023). Without
/// independence it needs a calibrator.
pub(super) fn ln_e(n: f64, e: f64, p0: f64) -> f64 {
    let passed = (n - e).max(0.0);
    let (mut terms, mut sum, mut most) = ([f64::NEG_INFINITY; TIMES.len()], 0.0, f64::NEG_INFINITY);
    let room = TIMES.iter().filter(|r| *r * p0 < ROOM).count();
    for (term, r) in terms.iter_mut().zip(TIMES).take(room) {
        *term = e * libm::log(r) + passed * (libm::log1p(-r * p0) - libm::log1p(-p0));
        most = most.max(*term);
    }
    if room == 0 {
        return 0.0;
    }
    for term in terms {
        sum += libm::exp(term - most);
    }
    most + libm::log(sum / room as f64)
}

/// The share that `failures` out of `tries` exceed with a probability of at most a tenth: the upper
/// limit of Wilson's score interval (JASA 1927), which lies above the quantile of the Beta
/// posterior for shares below a half, and above that nothing is judged.
fn upper(failures: f64, tries: f64) -> f64 {
    let share = failures / tries;
    let squared = Z * Z / tries;
    let root = libm::sqrt(share * (1.0 - share) * squared + squared * squared / 4.0);
    ((share + squared / 2.0 + root) / (1.0 + squared)).min(1.0)
}

/// How many times its usual share of failures an hour may have, in ascending order.
const TIMES: [f64; 3] = [2.0, 5.0, 20.0];
/// The share up to which `r` times the usual one is an alternative.
const ROOM: f64 = 0.95;
/// The quantile of nine in ten of the normal law.
const Z: f64 = 1.2816;
/// What a newcomer is taken for: half a failure in fifty tries.
const PRIOR_FAILURES: f64 = 0.5;
const PRIOR_TRIES: f64 = 50.0;
/// Hours a day.
const PER_DAY: f64 = 24.0;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use statrs::distribution::{Beta, ContinuousCDF};

    use super::*;
    use crate::dice::Dice;

    #[test]
    fn the_upper_share_lies_above_the_posterior_quantile_and_near_it() {
        for tries in [50.0, 200.0, 3_000.0, 100_000.0] {
            for share in [0.0, 0.001, 0.02, 0.2, 0.45] {
                let failures = tries * share + PRIOR_FAILURES;
                let law = Beta::new(failures, tries + PRIOR_TRIES - failures).unwrap();
                let got = upper(failures, tries + PRIOR_TRIES);
                let below = law.cdf(got);
                assert!(below >= 0.9, "{tries} {share}: {below}");
                let wanted = law.inverse_cdf(0.9);
                assert!(got < wanted * 2.0, "{tries} {share}: {got} {wanted}");
            }
        }
    }

    #[test]
    fn its_expectation_is_at_most_one() {
        let mut dice = Dice(11);
        for p0 in [0.005, 0.05, 0.2, 0.45] {
            let trials = 40_000;
            let mut sum = 0.0;
            for _ in 0..trials {
                let n = 20;
                let failed = (0..n).filter(|_| dice.uniform() < p0).count();
                sum += ln_e(f64::from(n), failed as f64, p0).exp();
            }
            // Its own law is heavy-tailed: what rarely comes is missing, never too much of it.
            assert!(
                sum / f64::from(trials) < 1.25,
                "{p0}: {}",
                sum / f64::from(trials)
            );
        }
    }

    #[test]
    fn it_seldom_ever_reaches_what_it_claims() {
        let mut dice = Dice(5);
        for (p0, level) in [(0.01, 50.0), (0.05, 20.0), (0.2, 20.0)] {
            let trials = 20_000;
            let crossed = (0..trials).filter(|_| {
                let mut failed = 0.0;
                (1..=200).any(|n| {
                    failed += f64::from(u8::from(dice.uniform() < p0));
                    ln_e(f64::from(n), failed, p0) >= f64::ln(level)
                })
            });
            let share = crossed.count() as f64 / f64::from(trials);
            assert!(share * level < 1.1, "{p0} {level}: {share}");
        }
    }

    #[test]
    fn where_nearly_half_of_all_fails_nothing_is_said() {
        assert_eq!(ln_e(100.0, 100.0, 0.6), 0.0);
    }

    proptest! {
        #[test]
        fn it_grows_with_failures_and_falls_with_tries(
            e in 0_u32..500, passed in 0_u32..5000, p0 in 0.0001_f64..0.47,
        ) {
            let n = f64::from(e + passed);
            let e = f64::from(e);
            prop_assert!(ln_e(n + 1.0, e + 1.0, p0) > ln_e(n, e, p0));
            prop_assert!(ln_e(n + 1.0, e, p0) < ln_e(n, e, p0));
        }

        #[test]
        fn the_calibrator_never_lowers_a_p_value(
            hours in proptest::collection::vec((1_u32..100, 0_u32..40), 0..200), e in 0_u32..60,
        ) {
            let (mut usual, mut tries) = (Usual::default(), 0.0);
            for (calls, failures) in hours {
                let n = f64::from(calls + failures);
                usual.learn(tries, n, f64::from(failures));
                tries += n;
            }
            let weighed = usual.weigh(tries, 60.0, f64::from(e));
            prop_assert!(weighed.ln_p >= -weighed.ln_e.max(0.0));
        }
    }
}
