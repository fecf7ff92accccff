//! What a seed decides.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The choices of one run.
#[derive(Debug)]
pub(crate) struct Dice(ChaCha8Rng);

impl Dice {
    /// Those of `seed`; different streams do not influence each other.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Self(rng)
    }

    /// One of `sides`, from 0; 0 where there is none.
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        match sides {
            0 => 0,
            _ => self.0.random_range(0..sides),
        }
    }
}
