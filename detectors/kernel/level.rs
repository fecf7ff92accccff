//! What a sum over a window usually comes to.

use serde::{Deserialize, Serialize};

use crate::kernel::surprise::Surprise;
use crate::kernel::tails::ln_student_upper;

/// The sums of an identity's windows that moved anything, on a logarithmic scale: a line over one
/// covariate, and how far they scatter about it.
///
/// `y = ln(1 + sum)` is normal about `mean + slope * (c - centre)`; with a normal-inverse-gamma prior
/// what comes next has Student's law. The covariate `c` carries the season: what goes with it is
/// learned as the slope, and where nothing does, the slope stays at nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Level {
    /// Windows, decayed.
    windows: f32,
    /// Mean of the covariate and of `y`.
    centre: f32,
    mean: f32,
    /// Sums of squares and products about these means.
    across: f32,
    along: f32,
    scatter: f32,
    /// How its windows surprise this.
    surprise: Surprise,
}

/// What a window is expected to bring, on the logarithmic scale.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Law {
    mean: f64,
    scale: f64,
    freedom: f64,
}

/// What a sum is worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Weighed {
    /// The sum that is usual.
    pub(crate) usual: f64,
    /// By what factor nine sums in ten differ from it at most, about.
    pub(crate) factor: f64,
    /// Windows that it rests on, decayed.
    pub(crate) windows: f64,
    /// Natural logarithm of the model's p-value, and of what it is worth for this identity.
    pub(crate) ln_model: f64,
    pub(crate) ln_p: f64,
}

impl Level {
    /// Weighs `sum` where the season is `c`; nothing while too little is known.
    pub(crate) fn weigh(&self, sum: f64, c: f64) -> Option<Weighed> {
        if self.windows < WINDOWS_MIN {
            return None;
        }
        let law = self.law(c);
        let ln_model = law.ln_upper(libm::log1p(sum));
        Some(Weighed {
            usual: libm::expm1(law.mean).max(0.0),
            factor: libm::exp(1.645 * law.scale),
            windows: f64::from(self.windows),
            ln_model,
            ln_p: self.surprise.calibrate(ln_model),
        })
    }

    /// The sum that is usual where the season is `c`; nothing while too little is known.
    pub(crate) fn usual(&self, c: f64) -> Option<f64> {
        (self.windows >= WINDOWS_MIN).then(|| libm::expm1(self.law(c).mean).max(0.0))
    }

    /// Takes in a window that brought `sum`, one of so many a day. What lies far out counts as four
    /// deviations for the level, and as what it is for the tail.
    ///
    /// Where so much is usual, a sum below its `gate` is of no interest, and so no surprise: the tail is
    /// that of what could be found. Else a slow rise would learn to be no surprise before it is seen.
    pub(crate) fn learn(&mut self, sum: f64, c: f64, per_day: f64, gate: impl Fn(f64) -> f64) {
        let mut y = libm::log1p(sum);
        if let Some(usual) = self.usual(c) {
            let law = self.law(c);
            if sum < gate(usual) {
                self.surprise.skip(1.0, per_day);
            } else {
                self.surprise.learn(-law.ln_upper(y), per_day);
            }
            y = y.clamp(law.mean - FAR * law.scale, law.mean + FAR * law.scale);
        }
        let before = f64::from(self.windows);
        let windows = before + 1.0;
        let (dc, dy) = (c - f64::from(self.centre), y - f64::from(self.mean));
        let share = before / windows;
        self.windows = windows as f32;
        self.centre += (dc / windows) as f32;
        self.mean += (dy / windows) as f32;
        self.across += (share * dc * dc) as f32;
        self.along += (share * dc * dy) as f32;
        self.scatter += (share * dy * dy) as f32;
    }

    /// Lets what was learned fade by a day, with a half-life of four weeks.
    pub(crate) fn fade_day(&mut self) {
        let kept = libm::exp2(-1.0 / HALF_LIFE) as f32;
        self.windows *= kept;
        self.across *= kept;
        self.along *= kept;
        self.scatter *= kept;
    }

    fn law(&self, c: f64) -> Law {
        let [windows, centre, mean, across, along, scatter] = [
            self.windows,
            self.centre,
            self.mean,
            self.across,
            self.along,
            self.scatter,
        ]
        .map(f64::from);
        let across = across + RIDGE;
        let slope = along / across;
        let off = c - centre;
        let rest = (scatter - slope * along).max(0.0);
        let freedom = PRIOR_FREEDOM + windows;
        let variance = (PRIOR_FREEDOM * PRIOR_SCALE * PRIOR_SCALE + rest) / freedom;
        let variance = variance.max(SCALE_MIN * SCALE_MIN);
        let unknown = 1.0 / (windows + 1.0) + off * off / across;
        Law {
            mean: mean + slope * off,
            scale: libm::sqrt(variance * (1.0 + unknown)),
            freedom: freedom.min(FREEDOM_MAX),
        }
    }
}

impl Law {
    fn ln_upper(&self, y: f64) -> f64 {
        ln_student_upper((y - self.mean) / self.scale, self.freedom)
    }
}

/// Windows from which on there is anything to hold a sum against.
const WINDOWS_MIN: f32 = 8.0;
/// What a newcomer is taken for, as if so many windows had been seen: sums that differ by half.
const PRIOR_FREEDOM: f64 = 3.0;
const PRIOR_SCALE: f64 = 0.5;
/// Windows of spread in the covariate that a slope must overcome.
const RIDGE: f64 = 1.0;
/// The least that sums scatter, about 15 %: less is of no interest.
const SCALE_MIN: f64 = 0.15;
/// Above so many degrees of freedom Student's law is as thin as the data allow.
const FREEDOM_MAX: f64 = 100.0;
/// Deviations up to which a sum moves the level.
const FAR: f64 = 4.0;
/// Half-life of what is learned, in days.
const HALF_LIFE: f64 = 28.0;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every sum is of interest.
    fn always(_usual: f64) -> f64 {
        0.0
    }

    #[test]
    fn without_any_variance_a_larger_sum_is_still_unusual() {
        let mut level = Level::default();
        for _ in 0..500 {
            level.learn(1e6, 3.0, 24.0, always);
        }
        let weighed = level.weigh(1e7, 3.0).unwrap();
        assert!((weighed.usual / 1e6 - 1.0).abs() < 0.01, "{weighed:?}");
        assert!(weighed.ln_p < libm::log(1e-6), "{weighed:?}");
        assert!(level.weigh(1.2e6, 3.0).unwrap().ln_p > libm::log(0.05));
    }

    #[test]
    fn a_season_is_learned_where_there_is_one() {
        let (mut tidal, mut level) = (Level::default(), Level::default());
        for hour in 0..1000 {
            let c = if hour % 24 < 8 { 4.0 } else { 0.5 };
            tidal.learn(1e4 * libm::exp(c), c, 24.0, always);
            level.learn(1e6, c, 24.0, always);
        }
        let by_night = |level: &Level| level.weigh(3e5, 0.5).unwrap().ln_p;
        assert!(by_night(&tidal) < libm::log(1e-6));
        assert!(by_night(&level) >= libm::log(0.5));
        assert!((level.usual(4.0).unwrap() / 1e6 - 1.0).abs() < 0.05);
    }

    #[test]
    fn what_is_of_no_interest_is_no_surprise() {
        let (mut all, mut large) = (Level::default(), Level::default());
        for hour in 0..500 {
            let sum = if hour % 20 == 0 { 2.5e6 } else { 1e6 };
            all.learn(sum, 0.0, 24.0, always);
            large.learn(sum, 0.0, 24.0, |usual| 3.0 * usual);
        }
        let of = |level: &Level| level.weigh(4e6, 0.0).unwrap();
        assert_eq!(of(&all).ln_model, of(&large).ln_model);
        assert!(of(&all).ln_p > of(&large).ln_p);
    }

    #[test]
    fn nothing_is_said_of_what_was_hardly_ever_seen() {
        let mut level = Level::default();
        for _ in 0..7 {
            level.learn(1e6, 0.0, 1.0, always);
        }
        assert_eq!(level.weigh(1e12, 0.0), None);
        assert_eq!(level.usual(0.0), None);
    }

    #[test]
    fn one_burst_barely_moves_the_level() {
        let mut level = Level::default();
        for _ in 0..100 {
            level.learn(1e6, 0.0, 1.0, always);
        }
        level.learn(1e12, 0.0, 1.0, always);
        let usual = level.usual(0.0).unwrap();
        assert!((usual / 1e6 - 1.0).abs() < 0.02, "{usual}");
    }

    proptest! {
        #[test]
        fn more_is_never_less_unusual_and_the_calibrator_never_lowers_a_p_value(
            sums in proptest::collection::vec((0.0_f64..1e9, 0.0_f64..6.0), 10..200),
            sum in 0.0_f64..1e12, more in 1.0_f64..1e12, c in 0.0_f64..6.0,
        ) {
            let mut level = Level::default();
            for (sum, c) in sums {
                level.learn(sum, c, 24.0, always);
            }
            let (less, more) = (level.weigh(sum, c).unwrap(), level.weigh(sum + more, c).unwrap());
            prop_assert!(more.ln_model <= less.ln_model);
            prop_assert!(less.ln_p >= less.ln_model && more.ln_p >= more.ln_model);
        }
    }
}
