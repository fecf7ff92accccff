//! What an engine counts.

use crate::CARDS;
use crate::kernel::detector::{Finding, Mode, Verdict};
use crate::kernel::input::Fate;
use crate::kernel::limit::Limit;
use crate::kernel::registry::Said;

/// Plain counters, read by whoever drives the engine; they start at zero with every engine.
#[derive(Clone, Debug)]
pub struct Stats {
    /// Records by fate, indexed as [`Fate::ALL`].
    pub fates: [u64; Fate::ALL.len()],
    /// Per detector, indexed as [`CARDS`].
    pub detectors: Vec<DetectorStats>,
    /// Identities with state.
    pub identities: u64,
    /// Of these, the ones whose baseline is still learning: known for less than a week, to the hour.
    pub learning: u64,
    /// Identities evicted to stay within the limit.
    pub evicted: u64,
    /// Incidents that were told as one of a storm only.
    pub folded: u64,
    /// How often a limit lost something, indexed as [`Limit::ALL`].
    pub limits: [u64; Limit::ALL.len()],
}

/// What one detector did.
#[derive(Clone, Copy, Debug, Default)]
pub struct DetectorStats {
    /// Events it evaluated. An event counts once, whether it was held against the rules only (one
    /// that is late, a duplicate or stamped in the future) or against the baseline as well.
    pub evaluations: u64,
    /// Events it knew too little about the identity to judge.
    pub learning: u64,
    /// How often it found something; an event may break a rule and be unusual besides.
    pub findings: u64,
    /// How often it failed: at judging, at a rule or at learning.
    pub panics: u64,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            fates: [0; Fate::ALL.len()],
            detectors: vec![DetectorStats::default(); CARDS.len()],
            identities: 0,
            learning: 0,
            evicted: 0,
            folded: 0,
            limits: [0; Limit::ALL.len()],
        }
    }
}

/// Notes what a detector said of an event; tells whether it could say something.
pub(super) fn heed(
    stats: &mut DetectorStats,
    findings: &mut Vec<(usize, Mode, Finding)>,
    index: usize,
    mode: Mode,
    said: Said,
) -> bool {
    match said {
        Said::Verdict(Verdict::Anomalous(finding)) => {
            stats.findings += 1;
            findings.push((index, mode, *finding));
            true
        }
        Said::Verdict(Verdict::Learning) => {
            stats.learning += 1;
            true
        }
        Said::Verdict(Verdict::Normal) => true,
        Said::Failed => {
            stats.panics += 1;
            false
        }
    }
}
