//! Random numbers that are the same in every run, for what is measured by simulation.

/// A linear congruential generator (Knuth's MMIX).
pub(super) struct Dice(pub(super) u64);

impl Dice {
    /// Uniform in (0, 1).
    pub(super) fn uniform(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }
}
