//! How far counts scatter, as a part of their mean and of its square.

use serde::{Deserialize, Serialize};

use super::tails::Expected;

/// Decayed sums of the regression of squared residuals on `mean` and `mean^2`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Fit {
    s11: f64,
    s12: f64,
    s22: f64,
    t1: f64,
    t2: f64,
}

impl Fit {
    /// Weighted least squares of the squared residual on `F*mean + c*mean^2`, weights
    /// `1/(F*mean + c*mean^2)^2`, decayed; only from windows with `mean >= 1`, because the weights of
    /// quiet ones explode. The half-life is in days, of so many windows each.
    pub(super) fn learn(&mut self, expected: &Expected, count: f64, half_life: f64, slots: usize) {
        let mean = expected.mean;
        let (fano, spread) = self.solve();
        let model = fano * mean + spread * mean * mean;
        let weight = 1.0 / (model * model);
        let residual = count - mean;
        let squares = residual * residual - fano * mean * mean / expected.evidence;
        let kept = kept_each(half_life, slots);
        let decayed = |sum: f64, new: f64| sum * kept + new;
        self.s11 = decayed(self.s11, weight * mean * mean);
        self.s12 = decayed(self.s12, weight * mean * mean * mean);
        self.s22 = decayed(self.s22, weight * mean * mean * mean * mean);
        self.t1 = decayed(self.t1, weight * squares * mean);
        self.t2 = decayed(self.t2, weight * squares * mean * mean);
    }

    /// The Fano factor and the spread, with a prior worth 30 hours at (1, 0.02).
    pub(super) fn solve(&self) -> (f64, f64) {
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

/// What one window keeps, `slots` a day, of something with a half-life in days.
pub(super) fn kept_each(half_life: f64, slots: usize) -> f64 {
    libm::exp2(-1.0 / (half_life * slots as f64))
}
