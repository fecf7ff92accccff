//! Where an identity's level has been for long: what crept up week by week stands far from it.

use serde::{Deserialize, Serialize};

/// The calls of an identity's days with a memory of half a year, in eight bytes.
///
/// The baseline follows what its identity does, and forgets within weeks what it was; whoever raises it
/// slowly enough is never far from it. The anchor moves so slowly that the distance shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Anchor {
    /// Mean calls of a day, decayed.
    level: f32,
    /// Days that it rests on.
    days: u16,
}

impl Anchor {
    /// Takes in the calls of a day that is over, and not held back.
    pub(crate) fn learn(&mut self, calls: u64) {
        self.days = self.days.saturating_add(1);
        // The mean of all days while they are few.
        let weight = (1.0 / f64::from(self.days)).max(1.0 - libm::exp2(-1.0 / HALF_LIFE));
        let level = f64::from(self.level);
        self.level = (level + weight * (calls as f64 - level)) as f32;
    }

    /// How many times as high as the anchor the level of the days now is, in calls a day; nothing while
    /// there are too few days to say.
    #[must_use]
    pub fn moved(&self, now: f64) -> Option<f64> {
        (self.days >= DAYS_MIN).then(|| (now + 1.0) / (f64::from(self.level) + 1.0))
    }
}

/// Half-life, in days.
const HALF_LIFE: f64 = 180.0;
/// Days before anything is said.
const DAYS_MIN: u16 = 56;

#[cfg(test)]
mod tests {
    use super::*;

    /// How far a level has moved that changes by so many per cent a week, after so many weeks of a year.
    fn moved(per_cent: f64, weeks: i32) -> f64 {
        let (mut anchor, mut level) = (Anchor::default(), 1000.0);
        for day in 0..365 + 7 * weeks {
            if day >= 365 {
                level *= libm::pow(1.0 + per_cent / 100.0, 1.0 / 7.0);
            }
            anchor.learn(level as u64);
        }
        anchor.moved(level).unwrap()
    }

    #[test]
    fn what_creeps_moves_away_and_what_stays_does_not() {
        assert!((moved(0.0, 10) - 1.0).abs() < 0.01);
        assert!(moved(3.0, 10) < 1.4);
        assert!(moved(10.0, 10) > 2.0);
        assert!(moved(-10.0, 10) < 0.5);
    }

    #[test]
    fn nothing_is_said_of_a_newcomer() {
        let mut anchor = Anchor::default();
        for _ in 0..55 {
            anchor.learn(100);
        }
        assert_eq!(anchor.moved(1000.0), None);
        anchor.learn(100);
        assert!(anchor.moved(1000.0).is_some_and(|times| times > 9.0));
    }
}
