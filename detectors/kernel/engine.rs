//! One engine per partition: admit, count, judge, triage, learn.

use std::sync::Arc;

use super::calendar::Calendars;
use super::detector::Alert;
use super::input::{Fate, Input};
use super::time::Timestamp;
use crate::Configs;

/// Bounds on what one engine keeps.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Identities one partition keeps.
    pub identities: usize,
    /// Duplicate fingerprints one partition keeps in each ten minutes.
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

/// Everything that decides, apart from the log: detectors, limits and calendars, and their digest.
pub struct Decision;

impl Decision {
    /// The decision that `configs`, `limits`, `calendars` and the mapping files' `sources` digest make.
    #[must_use]
    pub fn new(
        _configs: &Configs,
        _limits: &Limits,
        _calendars: &Calendars,
        _sources: &str,
    ) -> Self {
        Self
    }

    /// Hash over all that decides, in hex.
    #[must_use]
    pub fn digest(&self) -> &str {
        ""
    }
}

/// Plain counters, read by whoever drives the engine.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Records by fate, indexed as [`Fate::ALL`].
    pub fates: [u64; Fate::ALL.len()],
    /// Per detector, indexed as `crate::CARDS`: evaluations, findings, panics.
    pub detectors: Vec<DetectorStats>,
    /// Identities with state.
    pub identities: u64,
    /// Identities still being learned.
    pub learning: u64,
    /// Identities evicted to stay within the limit.
    pub evicted: u64,
}

/// What one detector did.
#[derive(Clone, Copy, Debug, Default)]
pub struct DetectorStats {
    /// How often it judged.
    pub evaluations: u64,
    /// How often it found something.
    pub findings: u64,
    /// How often it failed.
    pub panics: u64,
}

/// The state machine of one partition.
pub struct Engine;

impl Engine {
    /// An engine for `partition` that knows nothing yet.
    #[must_use]
    pub fn new(_partition: u32, _decision: Arc<Decision>) -> Self {
        Self
    }

    /// Takes one record in; what it raises is appended to `alerts`.
    pub fn handle(&mut self, _input: &Input<'_>, _alerts: &mut Vec<Alert>) -> Fate {
        Fate::Judged
    }

    /// How far event time has come.
    #[must_use]
    pub fn watermark(&self) -> Option<Timestamp> {
        None
    }

    /// What happened so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats::default()
    }

    /// Hands every state record that changed since the last call to `write`, as key and payload
    /// (`None` deletes the key), in key order; afterwards nothing is dirty. Includes the meta record.
    pub fn flush(&mut self, _write: &mut dyn FnMut(&[u8], Option<&[u8]>)) {}

    /// Takes one state record back in, as [`Engine::flush`] wrote it; order does not matter.
    ///
    /// # Errors
    /// Where the record cannot be read: its layout is another version's, or it is damaged.
    pub fn restore(&mut self, _key: &[u8], _payload: &[u8]) -> Result<(), RestoreError> {
        Ok(())
    }

    /// Hash over the whole state in canonical order, in hex; equal means equal.
    #[must_use]
    pub fn digest(&self) -> String {
        String::new()
    }

    /// Every identity still being learned, with the day it was first seen, ordered by name.
    #[must_use]
    pub fn learning(&self) -> Vec<(String, Timestamp)> {
        Vec::new()
    }
}

/// A state record that cannot be read.
#[derive(Debug)]
pub struct RestoreError {
    /// Which record.
    pub key: String,
    /// What is wrong with it.
    pub reason: String,
}

impl std::fmt::Display for RestoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "state record {}: {}", self.key, self.reason)
    }
}

impl std::error::Error for RestoreError {}
