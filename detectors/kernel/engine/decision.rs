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
    /// Identities first seen within a day that one partition keeps, of those that nobody declared.
    pub newcomers: usize,
    /// Event ids one partition keeps in ten minutes to recognise duplicates by.
    pub duplicates: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            identities: 1_000_000,
            newcomers: 100_000,
            duplicates: 1_000_000,
        }
    }
}

/// What its owners have set.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Modes and settings of the detectors.
    pub detectors: Configs,
    /// How many false alarms they will have.
    pub budget: Budget,
    /// How much one partition may keep.
    pub limits: Limits,
    /// The calendars of the venues.
    pub calendars: Calendars,
    /// Digest of the mapping files.
    pub sources: String,
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
    /// The decision that `settings` make.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let Settings {
            detectors,
            budget,
            limits,
            calendars,
            sources,
        } = settings;
        let mut hash = Sha256::new();
        hash.update(env!("CARGO_PKG_VERSION"));
        let mut bytes = Vec::new();
        codec::encode(&(&detectors, &budget, &limits, &sources), &mut bytes);
        hash.update(&bytes);
        for calendar in calendars.iter() {
            hash.update(calendar.mic.as_bytes());
            hash.update(calendar.hash.as_bytes());
        }
        Self {
            detectors: Detectors::new(&detectors, &calendars),
            limits,
            thresholds: Thresholds::new(&budget),
            holidays: Holidays::new(&calendars),
            digest: codec::hex(&hash.finalize()),
        }
    }

    /// Hash over all that decides, in hex.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

impl Default for Decision {
    /// That of the default settings, without calendars.
    fn default() -> Self {
        Self::new(Settings::default())
    }
}
