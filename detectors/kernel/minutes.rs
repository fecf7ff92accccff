//! How an identity's calls fall within the hour, and how far its minutes scatter.

use serde::{Deserialize, Serialize};

use super::fit::{Fit, kept_each};
use super::hot::Hour;
use super::surprise::Surprise;
use super::tails::Expected;

/// The minutes of an identity that makes some [`Minutes::BUSY`] calls an hour; 140 bytes.
///
/// Work often begins with the stroke of the hour: what a minute brings is the hour's expectation, times
/// the share of the five minutes that it lies in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Minutes {
    /// Calls in each five minutes, decayed.
    parts: [f32; PARTS],
    fit: Fit,
    surprise: Surprise,
    /// Hours learned.
    hours: u16,
}

impl Minutes {
    /// Calls an hour from which on minutes are looked at: below, nearly every call has its own.
    pub const BUSY: f64 = 60.0;

    /// What the minute `minute` of an hour is expected to bring that is itself expected to bring `hour`;
    /// nothing while too little is known.
    #[must_use]
    pub fn expected(&self, hour: &Expected, minute: usize) -> Option<Expected> {
        (self.hours >= HOURS_MIN).then(|| self.of(hour, minute))
    }

    fn of(&self, hour: &Expected, minute: usize) -> Expected {
        let part = f64::from(self.parts[minute / EACH % PARTS]) + PRIOR;
        let all = self.parts.iter().copied().map(f64::from).sum::<f64>() + PRIOR * PARTS as f64;
        let (fano, spread) = self.fit.solve();
        Expected {
            mean: hour.mean * part / all / EACH as f64,
            fano,
            spread,
            evidence: part.min(hour.evidence),
        }
    }

    /// What the model's `ln_p` of a minute is worth for this identity: never less than `ln_p` itself.
    #[must_use]
    pub fn calibrate(&self, ln_p: f64) -> f64 {
        self.surprise.calibrate(ln_p)
    }

    /// Takes in an hour that is over.
    ///
    /// A minute beyond six deviations is cut back to them, but for the tail: that is asked what the
    /// identity's minutes really reach.
    pub(crate) fn learn(&mut self, hour: &Hour) {
        let warm = self.hours >= HOURS_WARM;
        let (mut brought, mut quiet) = ([0.0; PARTS], 0.0);
        for (minute, calls) in hour.minutes.iter().copied().map(f64::from).enumerate() {
            let expected = self.of(&hour.expected, minute);
            let deviation = libm::sqrt(expected.variance());
            let capped = calls.min(expected.mean + 6.0 * deviation + 3.0);
            brought[minute / EACH % PARTS] += if warm { capped } else { calls };
            if expected.mean >= 1.0 {
                self.fit.learn(&expected, capped, HALF_LIFE, PER_DAY);
            }
            if warm && calls > expected.mean + deviation {
                let surprise = -expected.ln_upper(calls);
                self.surprise.learn(surprise, PER_DAY as f64);
            } else if warm {
                quiet += 1.0;
            }
        }
        self.surprise.skip(quiet, PER_DAY as f64);
        let kept = kept_each(HALF_LIFE, 24);
        for (part, calls) in self.parts.iter_mut().zip(brought) {
            *part = (f64::from(*part) * kept + calls) as f32;
        }
        self.hours = self.hours.saturating_add(1);
    }

    /// The fewest calls in a minute of the hour that are worth computing a tail for.
    pub(super) fn gate(&self, hour: &Expected) -> u32 {
        let each = |part: usize| self.of(hour, part * EACH);
        let gates = (0..PARTS).map(each).map(|expected| {
            let gate = expected.mean + 3.0 * libm::sqrt(expected.variance());
            libm::ceil(gate).clamp(1.0, 1e9) as u32
        });
        gates.min().unwrap_or(u32::MAX)
    }
}

const PARTS: usize = 12;
/// Minutes in each part.
const EACH: usize = 5;
const PER_DAY: usize = 1440;
/// Calls that a newcomer is taken to have made in each part.
const PRIOR: f64 = 5.0;
/// Half-life of what is learned, in days.
const HALF_LIFE: f64 = 7.0;
/// Hours before minutes are cut back, and before they are judged: about two weeks of working days.
const HOURS_WARM: u16 = 40;
const HOURS_MIN: u16 = 80;
