//! What decides, apart from the log, and its digest.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::kernel::budget::{Budget, Thresholds};
use crate::kernel::calendar::Calendars;
use crate::kernel::codec;
use crate::kernel::holidays::Holidays;
use crate::{Configs, Detectors};

/// Bounds on what one engine keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Identities one partition keeps.
    pub identities: usize,
    /// Event ids one partition keeps in ten minutes to recognise duplicates by.
    pub duplicates: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            identities: 1_000_000,
            duplicates: 1_000_000,
        }
    }
}

/// Everything that decides, apart from the log: detectors, budget, limits and calendars, and their
/// digest.
pub struct Decision {
    pub(super) detectors: Detectors,
    pub(super) limits: Limits,
    pub(super) thresholds: Thresholds,
    pub(super) holidays: Holidays,
    digest: String,
}

impl Decision {
    /// The decision that `configs`, `budget`, `limits`, `calendars` and the digest `sources` of the
    /// mapping files make.
    #[must_use]
    pub fn new(
        configs: &Configs,
        budget: &Budget,
        limits: &Limits,
        calendars: &Calendars,
        sources: &str,
    ) -> Self {
        let mut hash = Sha256::new();
        hash.update(env!("CARGO_PKG_VERSION"));
        let mut bytes = Vec::new();
        codec::encode(&(configs, budget, limits, sources), &mut bytes);
        hash.update(&bytes);
        for calendar in calendars.iter() {
            hash.update(calendar.mic.as_bytes());
            hash.update(calendar.hash.as_bytes());
        }
        Self {
            detectors: Detectors::new(configs, calendars),
            limits: limits.clone(),
            thresholds: Thresholds::new(budget),
            holidays: Holidays::new(calendars),
            digest: codec::hex(&hash.finalize()),
        }
    }

    /// Hash over all that decides, in hex.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }
}
