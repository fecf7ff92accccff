//! Findings that come while nothing is wrong: an identity's own, and what is common in its partition.

use serde::{Deserialize, Serialize};

/// How often findings come, and how much they weigh: what is known of an identity's own noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Noise {
    /// Findings a day.
    pub(crate) per_day: f64,
    /// Mean weight of a finding in bits; `1 / ln 2` where p-values are right.
    pub(crate) bits: f64,
}

/// How often the identities of a partition make findings, and how much those weigh: where an identity
/// itself has little to show, it is taken to be like them.
///
/// Whole numbers only, so that their sum does not depend on the order of the identities.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct Common {
    /// Days of identities that were watched.
    pub(crate) days: u64,
    /// Clusters of findings.
    pub(super) clusters: u64,
    /// What those weighed, in thousandths of a bit.
    pub(super) millibits: u64,
}

impl Common {
    /// Adds what is new; halves it all where much has come together, so that it follows the times.
    pub(crate) fn add(&mut self, fresh: &mut Self) {
        let fresh = std::mem::take(fresh);
        self.days += fresh.days;
        self.clusters += fresh.clusters;
        self.millibits += fresh.millibits;
        if self.days > COMMON_DAYS_MAX {
            self.days /= 2;
            self.clusters /= 2;
            self.millibits /= 2;
        }
    }

    /// What a cluster of findings that weighed `bits` adds.
    pub(super) const fn of_cluster(bits: f64) -> Self {
        Self {
            days: 0,
            clusters: 1,
            millibits: (bits * 1000.0) as u64,
        }
    }

    /// A finding in ten days, as if so much had been seen of that, and what was seen.
    pub(super) fn noise(&self) -> Noise {
        let clusters = COMMON_DAYS * FIRST_PER_DAY + self.clusters as f64;
        let bits = COMMON_DAYS * FIRST_PER_DAY * FIRST_BITS + self.millibits as f64 / 1000.0;
        Noise {
            per_day: clusters / (COMMON_DAYS + self.days as f64),
            bits: bits / clusters,
        }
    }
}

/// Findings a day of an identity in a partition of which nothing is known.
const FIRST_PER_DAY: f64 = 0.1;
/// Mean weight of a finding whose p-value is right, in bits.
const FIRST_BITS: f64 = 1.0 / std::f64::consts::LN_2;
/// Days of identities that this counts as.
const COMMON_DAYS: f64 = 50.0;
/// Days of identities that are remembered.
const COMMON_DAYS_MAX: u64 = 1 << 20;
