//! How far an identity's own windows reach beyond what a model says of them.

use serde::{Deserialize, Serialize};

/// The surprise `-ln p` of windows that are over, beyond `ln 50`: how often, and how far.
///
/// No model is right far out for every identity. Above a threshold the surprise of each identity's own
/// windows is fitted with a Pareto tail (Hill 1975), as SPOT fits one to a stream (Siffer et al., KDD
/// 2017); a p-value is never smaller than that tail says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Surprise {
    /// Windows, decayed.
    windows: f64,
    /// Those of them whose surprise was above [`Surprise::FROM`].
    over: f64,
    /// Sum over those of `ln(surprise / FROM)`.
    excess: f64,
}

impl Surprise {
    /// The surprise from which on the tail is fitted: `ln 50`.
    pub const FROM: f64 = 3.912;

    /// What the natural logarithm `ln_p` of a model's p-value is worth for this identity: never less
    /// than `ln_p` itself.
    ///
    /// The rate of exceedances and the index of the tail are shrunk to 2 % of 20 windows and to 0.18,
    /// about what an exponential surprise has, of five exceedances.
    #[must_use]
    pub fn calibrate(&self, ln_p: f64) -> f64 {
        self.calibrate_from(ln_p, EXPONENTIAL)
    }

    /// The same where the index is shrunk to `index` instead: a larger one for windows of which there
    /// are few, so that nothing is said which they cannot show.
    #[must_use]
    pub fn calibrate_from(&self, ln_p: f64, index: f64) -> f64 {
        let surprise = -ln_p;
        if surprise <= Self::FROM {
            return ln_p;
        }
        #[cfg(feature = "ablation")]
        if super::ablation::without(super::ablation::Part::Tail) {
            return ln_p;
        }
        let rate = ((self.over + 0.4) / (self.windows + 20.0)).min(0.2);
        let index = ((5.0 * index + self.excess) / (5.0 + self.over)).clamp(0.05, 1.5);
        let fitted = libm::log(rate) - libm::log(surprise / Self::FROM) / index;
        fitted.max(ln_p)
    }

    /// Takes in a window of `surprise`, one of so many a day. It counts for no more than `e^3` times
    /// [`Surprise::FROM`], so that an attack does not make the identity deaf.
    pub fn learn(&mut self, surprise: f64, per_day: f64) {
        self.skip(1.0, per_day);
        if surprise > Self::FROM {
            self.over += 1.0;
            self.excess += libm::log(surprise / Self::FROM).min(3.0);
        }
    }

    /// Takes in so many windows without surprise.
    pub fn skip(&mut self, windows: f64, per_day: f64) {
        let kept = libm::exp2(-1.0 / (HALF_LIFE * per_day));
        let left = libm::pow(kept, windows);
        self.windows = self.windows * left + (1.0 - left) / (1.0 - kept);
        self.over *= left;
        self.excess *= left;
    }
}

/// Pareto index of a surprise that is exponential, as that of a right model is, above `ln 50`.
const EXPONENTIAL: f64 = 0.18;
/// Half-life of what is learned, in days.
const HALF_LIFE: f64 = 58.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_windows_surprise_the_less_a_surprise_is_worth() {
        let (mut calm, mut wild) = (Surprise::default(), Surprise::default());
        for n in 0..2000 {
            calm.learn(1.0, 24.0);
            wild.learn(if n % 50 == 0 { 20.0 } else { 1.0 }, 24.0);
        }
        for ln_p in [-1.0, -4.0, -12.0, -40.0] {
            assert!(calm.calibrate(ln_p) >= ln_p);
            assert!(wild.calibrate(ln_p) >= calm.calibrate(ln_p));
        }
        assert!(calm.calibrate(-40.0) < libm::log(1e-8));
        assert!(wild.calibrate(-12.0) > libm::log(1e-3));
    }

    #[test]
    fn skipping_is_learning_windows_without_surprise() {
        let (mut one, mut all) = (Surprise::default(), Surprise::default());
        one.learn(10.0, 24.0);
        all.learn(10.0, 24.0);
        for _ in 0..500 {
            one.learn(0.0, 24.0);
        }
        all.skip(500.0, 24.0);
        assert!((one.windows - all.windows).abs() < 1e-6);
        assert!((one.over - all.over).abs() < 1e-9);
    }
}
