//! The risk of one identity: the weight of its recent findings, in bits, fading with time.

#[cfg(test)]
mod tests;

use arrayvec::ArrayVec;
use serde::{Deserialize, Serialize};

use super::alert::IncidentId;
use super::budget::{MEMORIES, Thresholds};
use super::detector::{PValue, Severity};
use super::noise::{Common, Noise};
use super::tails::ln_gamma_upper;
use super::time::{Span, Timestamp};

/// What the findings of an identity add up to.
///
/// A finding weighs the bits by which its p-value is below the one its test begins to speak at.
/// Findings of one hour share events, so those of several detectors are combined into one: `2^bits`
/// are added, which is Cauchy's combination for small p-values (Liu and Xie, JASA 2020) weighted by
/// how often each detector speaks. What one detector finds again before four hours of quiet is the
/// same thing going on, and adds only what it grows by.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Risk {
    /// Bits, faded with each of [`MEMORIES`], as of `at`.
    levels: [f64; 2],
    at: Timestamp,
    /// The cluster of findings at hand: when it began, its latest finding, the best of each detector,
    /// and what they have added.
    began: Timestamp,
    latest: Timestamp,
    best: ArrayVec<Best, DETECTORS_MAX>,
    total: f64,
    /// How severe it has been called since it rose above what is `medium`.
    called: Option<Severity>,
    /// Clusters before this one, and their bits, decayed as of `counted`.
    clusters: f64,
    bits: f64,
    counted: Timestamp,
    /// When it last told its partition of a cluster.
    shared: Timestamp,
    parts: ArrayVec<Part, PARTS_MAX>,
}

/// The best of one detector in a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Best {
    detector: u32,
    bits: f64,
    hour: i64,
}

/// What one incident has added.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Part {
    incident: IncidentId,
    ts: Timestamp,
    bits: f64,
    /// Clusters of findings that it had a part in.
    clusters: u16,
}

/// What risk says at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// What it is worth by itself; nothing where it is worth no incident.
    pub severity: Option<Severity>,
    /// Bits of the memory that stands higher against its threshold.
    pub bits: f64,
    /// Bits at which that memory makes an incident `medium`.
    pub threshold: f64,
    /// How long that memory is, in days.
    pub memory: f64,
    /// 0 to 100: half of the way to certain at the threshold, `100 * (1 - 2^-(bits / threshold))`.
    pub score: f64,
    /// The chance that so much has added up at a moment while nothing is wrong.
    pub p_value: PValue,
    /// Findings a year that this identity makes while nothing is wrong, as far as is known.
    pub findings_per_year: f64,
}

impl Risk {
    /// Takes in a finding of `bits` by the detector with fingerprint `detector`; gives what a cluster
    /// that is over by now adds to what is common.
    pub(crate) fn note(
        &mut self,
        ts: Timestamp,
        detector: u32,
        incident: IncidentId,
        bits: f64,
    ) -> Common {
        let over = self.fold(ts);
        if self.best.is_empty() {
            self.began = ts;
        }
        self.latest = self.latest.max(ts);
        // What comes late adds to what is there; time does not run back.
        let now = self.at.max(ts);
        self.fade(now);
        let more = self.more(ts.hour(), detector, bits);
        self.total += more;
        for level in &mut self.levels {
            *level += more;
        }
        self.credit(incident, now, more);
        over
    }

    /// By how many bits a finding of `bits` makes the cluster heavier.
    fn more(&mut self, hour: i64, detector: u32, bits: f64) -> f64 {
        let sum = |best: &[Best]| -> f64 {
            let of_hour = best.iter().filter(|best| best.hour == hour);
            of_hour.map(|best| libm::exp2(best.bits)).sum()
        };
        let before = sum(&self.best);
        match self.best.iter_mut().find(|best| best.detector == detector) {
            Some(best) if best.hour == hour => best.bits = best.bits.max(bits),
            Some(best) => {
                let more = (bits - best.bits).max(0.0);
                best.bits = best.bits.max(bits);
                return more;
            }
            None => {
                let best = Best {
                    detector,
                    bits,
                    hour,
                };
                // With so many detectors at once, one more adds nothing.
                if self.best.try_push(best).is_err() {
                    return 0.0;
                }
            }
        }
        let after = libm::log2(sum(&self.best));
        if before > 0.0 {
            after - libm::log2(before)
        } else {
            after
        }
    }

    /// What it says of an identity that has been watched for `watched`, among those with `common`
    /// noise.
    pub(crate) fn reading(
        &self,
        thresholds: &Thresholds,
        common: &Common,
        watched: Span,
    ) -> Reading {
        let noise = self.noise(common.noise(), watched);
        let (medium, high) = (thresholds.medium(noise), thresholds.high(noise));
        let over = |levels: [f64; 2]| (0..2).any(|at| self.levels[at] >= levels[at]);
        let severity = if over(high) {
            Some(Severity::High)
        } else if over(medium) {
            Some(Severity::Medium)
        } else if self.total >= thresholds.low(noise) {
            Some(Severity::Low)
        } else {
            None
        };
        let relative = |at: usize| self.levels[at] / medium[at].max(1e-9);
        let at = usize::from(relative(1) > relative(0));
        Reading {
            severity,
            bits: self.levels[at],
            threshold: medium[at],
            memory: MEMORIES[at],
            score: 100.0 * (1.0 - libm::exp2(-relative(at))),
            p_value: PValue::from_ln(ln_gamma_upper(
                noise.per_day * MEMORIES[at],
                self.levels[at] / noise.bits,
            )),
            findings_per_year: noise.per_day * 365.25,
        }
    }

    /// How severe it is called already at `now`, before anything is added: nothing once it has fallen
    /// below what is `medium`.
    pub(crate) fn called(
        &mut self,
        now: Timestamp,
        thresholds: &Thresholds,
        common: &Common,
        watched: Span,
    ) -> Option<Severity> {
        self.fade(self.at.max(now));
        let medium = thresholds.medium(self.noise(common.noise(), watched));
        if (0..2).all(|at| self.levels[at] < medium[at]) {
            self.called = None;
        }
        self.called
    }

    /// Notes that it has been called so severe.
    pub(crate) fn call(&mut self, severity: Severity) {
        self.called = self.called.max(Some(severity));
    }

    /// Whether the cluster at hand is worth publishing by itself.
    pub(crate) fn stands_out(
        &self,
        thresholds: &Thresholds,
        common: &Common,
        watched: Span,
    ) -> bool {
        self.total >= thresholds.low(self.noise(common.noise(), watched))
    }

    /// The incidents that it is made of, heaviest first, with the bits each has left of a `memory` in
    /// days.
    pub(crate) fn parts(&self, memory: f64) -> Vec<(IncidentId, f64)> {
        let left = |part: &Part| part.bits * libm::exp(-self.at.since(part.ts).days() / memory);
        let mut parts: Vec<_> = self
            .parts
            .iter()
            .map(|part| (part.incident, left(part)))
            .collect();
        parts.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        parts
    }

    /// How often this identity makes findings and how much they weigh, shrunk to what is common as if
    /// the time had been seen in which that makes one finding, and the weight of five.
    ///
    /// What still makes up the risk is not counted as noise yet, as far as its parts are remembered:
    /// what adds up slowly must not excuse itself.
    fn noise(&self, common: Noise, watched: Span) -> Noise {
        let (mut clusters, mut bits) = (self.clusters, self.bits);
        for part in &self.parts {
            let at_hand = part.ts >= self.began && !self.best.is_empty();
            let counted = f64::from(part.clusters.saturating_sub(u16::from(at_hand)));
            if self.at.since(part.ts).days() < MEMORIES[1] {
                clusters -= counted;
                bits -= part.bits.min(counted * BITS_MAX);
            }
        }
        let (clusters, bits) = (clusters.max(0.0), bits.max(0.0));
        let days = watched.days().max(0.0);
        let seen = (1.0 - libm::exp2(-days / HALF_LIFE)) * HALF_LIFE / std::f64::consts::LN_2;
        Noise {
            per_day: (1.0 + clusters) / (1.0 / common.per_day + seen),
            bits: (PRIOR * common.bits + bits) / (PRIOR + clusters),
        }
    }

    fn fade(&mut self, now: Timestamp) {
        let days = now.since(self.at).days();
        for (level, memory) in self.levels.iter_mut().zip(MEMORIES) {
            *level *= libm::exp(-days / memory);
        }
        self.at = now;
    }

    /// If the cluster at hand is over at `now`, counts it as noise: the identity's own, and what it
    /// adds to what is common.
    ///
    /// Noise is capped, so that one great attack does not make the identity deaf.
    pub(crate) fn fold(&mut self, now: Timestamp) -> Common {
        let goes_on = now.since(self.latest) <= QUIET && now.since(self.began) <= LONGEST;
        if self.best.is_empty() || goes_on {
            return Common::default();
        }
        let days = self.began.since(self.counted).days().max(0.0);
        let kept = libm::exp2(-days / HALF_LIFE);
        let bits = self.total.min(BITS_MAX);
        self.clusters = self.clusters * kept + 1.0;
        self.bits = self.bits * kept + bits;
        self.counted = self.began.max(self.counted);
        self.best.clear();
        self.total = 0.0;
        // One identity that makes a lot of noise must not raise what all others are held against.
        if self.began.since(self.shared) < SHARED_EACH {
            return Common::default();
        }
        self.shared = self.began;
        Common::of_cluster(bits)
    }

    fn credit(&mut self, incident: IncidentId, now: Timestamp, bits: f64) {
        if let Some(part) = self.parts.iter_mut().find(|part| part.incident == incident) {
            part.clusters = part
                .clusters
                .saturating_add(u16::from(part.ts < self.began));
            // As if all of it had come now.
            part.bits = part.bits * libm::exp(-now.since(part.ts).days() / MEMORIES[1]) + bits;
            part.ts = now;
            return;
        }
        if self.parts.is_full() {
            let left =
                |part: &Part| part.bits * libm::exp(-now.since(part.ts).days() / MEMORIES[1]);
            let least = self
                .parts
                .iter()
                .enumerate()
                .min_by(|(_, a), (_, b)| left(a).total_cmp(&left(b)));
            let least = least.map_or(0, |(at, _)| at);
            self.parts.remove(least);
        }
        self.parts.push(Part {
            incident,
            ts: now,
            bits,
            clusters: 1,
        });
    }
}

/// Findings that what is common counts as where their weight is concerned.
const PRIOR: f64 = 5.0;
/// Half-life of an identity's own rate, in days.
const HALF_LIFE: f64 = 90.0;
/// How often one identity adds to what is common, at most.
const SHARED_EACH: Span = Span::DAY;
/// The most one cluster counts as noise, in bits.
const BITS_MAX: f64 = 5.0;
/// A cluster of findings is over after this much quiet, as an incident is.
const QUIET: Span = Span::HOUR.times(4);
/// A cluster of findings is over at this age.
const LONGEST: Span = Span::DAY;
/// Detectors combined in one cluster.
const DETECTORS_MAX: usize = 16;
/// Contributions remembered.
const PARTS_MAX: usize = 8;
