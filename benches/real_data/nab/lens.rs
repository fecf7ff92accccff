//! A decayed level, and how far residuals from one surprise their own history.

use nhiwatch_detectors::kernel::surprise::Surprise;
use nhiwatch_detectors::kernel::tails::ln_student_upper;

use super::volume::Constants;

/// Rows a day that the tail's half-life, which is in days, is reckoned with: one in five minutes.
const PER_DAY: f64 = 288.0;

/// Mean and variance of a series, decayed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Level {
    /// Rows, decayed.
    pub(super) rows: f64,
    pub(super) mean: f64,
    pub(super) variance: f64,
}

impl Level {
    pub(super) fn learn(&mut self, value: f64, half_life: f64) {
        self.rows = self.rows * (-1.0 / half_life).exp2() + 1.0;
        let (weight, distance) = (1.0 / self.rows, value - self.mean);
        self.mean += weight * distance;
        self.variance = (1.0 - weight) * (self.variance + weight * distance * distance);
    }

    /// This level, with so many rows of `other`.
    pub(super) fn shrunk(&self, other: &Self, rows: f64) -> Self {
        let mix = |own: f64, other: f64| (own * self.rows + other * rows) / (self.rows + rows);
        Self {
            rows: self.rows + rows,
            mean: mix(self.mean, other.mean),
            variance: mix(self.variance, other.variance),
        }
    }
}

/// Residuals, and how far they reach. `floor` is the scatter below which one is of no interest.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lens {
    level: Level,
    tail: Surprise,
}

impl Lens {
    /// The surprise of a residual on both sides, in nats, by the tail of this series; 0 while too few
    /// rows were learned.
    pub(super) fn judge(&self, residual: f64, floor: f64, constants: &Constants) -> f64 {
        if self.level.rows < constants.warm {
            return 0.0;
        }
        -self.tail.calibrate(self.ln_p(residual, floor, constants))
    }

    /// Learns a residual, cut back; what the tail learns of it is not cut back, as in the kernel.
    pub(super) fn learn(&mut self, residual: f64, floor: f64, constants: &Constants) {
        let mut learned = residual;
        if self.level.rows >= constants.warm {
            let reach = constants.cut * self.deviation(floor);
            learned = residual.clamp(self.level.mean - reach, self.level.mean + reach);
            let surprise = -self.ln_p(residual, floor, constants);
            self.tail.learn(surprise, PER_DAY);
        }
        self.level.learn(learned, constants.half_life);
    }

    /// The p-value of a residual on both sides by Student's law.
    fn ln_p(&self, residual: f64, floor: f64, constants: &Constants) -> f64 {
        let distance = (residual - self.level.mean).abs() / self.deviation(floor);
        ln_student_upper(distance, constants.freedom) + std::f64::consts::LN_2
    }

    fn deviation(&self, floor: f64) -> f64 {
        (self.level.variance + floor * floor).sqrt()
    }
}
