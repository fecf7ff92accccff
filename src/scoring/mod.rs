//! How well a run did: its incidents held against what is known to have happened, and against those
//! of another configuration. What is counted, and how, stands in `docs/scoring.md`.
//!
//! Everything here is a pure function of labels and incidents.

pub mod difference;
pub mod exposure;
pub mod false_alarms;
pub mod incidents;
pub mod interval;
pub mod labels;
pub mod nuisances;
pub mod recall;
mod text;

use nhiwatch_detectors::kernel::detector::Severity;
use nhiwatch_detectors::kernel::time::{Span, Timestamp};
use serde::{Serialize, Serializer};

use self::difference::{Difference, Fall};
use self::exposure::{Exposure, Seen};
use self::false_alarms::FalseIncidents;
use self::incidents::Incidents;
use self::labels::{Instance, Labels};
use self::nuisances::Nuisance;
use self::recall::Attack;

/// The scores of a run, as they are written for machines; the order of the fields is fixed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Scores {
    /// The layout of this object.
    pub version: u8,
    /// What is scored; nothing where there was no event.
    pub scored: Option<Exposure>,
    /// What the labels are, if there are any.
    pub labels: Option<Known>,
    /// How this configuration did.
    #[serde(flatten)]
    pub this: Run,
    /// How another did, if there is one.
    pub against: Option<Against>,
}

/// What the labels are.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Known {
    /// Rows of the file.
    pub rows: usize,
    /// Attacks and nuisances, once rows that touch are one.
    pub instances: usize,
    /// Identities that are labelled and had no event.
    pub unseen: Vec<String>,
    /// Attacks and nuisances that ended before the first event, or began after the last.
    pub outside: usize,
}

impl Known {
    /// What `labels` are, where the identities of the input are those `seen`, and it goes over `span`.
    #[must_use]
    pub fn new(labels: &Labels, seen: &Seen, span: Option<(Timestamp, Timestamp)>) -> Self {
        let inside =
            |one: &&Instance| span.is_some_and(|(first, last)| one.to >= first && one.from <= last);
        let identities = labels.instances().iter().map(|one| &one.identity);
        let mut unseen: Vec<String> = identities
            .filter(|one| !seen.contains(one))
            .cloned()
            .collect();
        unseen.sort();
        unseen.dedup();
        Self {
            rows: labels.rows(),
            instances: labels.instances().len(),
            unseen,
            outside: labels.instances().iter().filter(|one| !inside(one)).count(),
        }
    }
}

/// How one configuration did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Run {
    /// Incidents over the whole input.
    pub incidents: usize,
    /// Alerts left out because there were more incidents than [`Incidents::MAX`].
    pub left_out: u64,
    /// What was seen of the attacks; empty without labels.
    pub attacks: Vec<Attack>,
    /// What harmless changes raised; empty without labels.
    pub nuisances: Vec<Nuisance>,
    /// What no label explains; nothing without labels or without events.
    pub false_incidents: Option<FalseIncidents>,
}

impl Run {
    /// Scores `incidents` by `labels`, over what is scored.
    #[must_use]
    pub fn new(incidents: &Incidents, labels: Option<&Labels>, scored: Option<&Exposure>) -> Self {
        let index = incidents.by_identity();
        let count = |scored| labels.map(|labels| FalseIncidents::count(labels, incidents, scored));
        Self {
            incidents: incidents.iter().count(),
            left_out: incidents.dropped(),
            attacks: labels.map_or_else(Vec::new, |labels| recall::attacks(labels, &index)),
            nuisances: labels.map_or_else(Vec::new, |labels| nuisances::nuisances(labels, &index)),
            false_incidents: scored.and_then(count),
        }
    }
}

/// How another configuration did on the same input.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Against {
    /// Its file.
    pub config: String,
    /// How it did.
    #[serde(flatten)]
    pub other: Run,
    /// Where its incidents differ.
    pub difference: Difference,
    /// Where it sees less.
    pub falls: Vec<Fall>,
}

impl Scores {
    /// The layout written.
    pub const VERSION: u8 = 1;

    /// The scores as one JSON object and a line's end.
    ///
    /// # Errors
    /// Never for scores of a run; numbers and texts are always JSON.
    pub fn json(&self) -> serde_json::Result<String> {
        Ok(serde_json::to_string(self)? + "\n")
    }

    /// Whether the other configuration sees less of any scenario.
    #[must_use]
    pub fn has_fallen(&self) -> bool {
        let against = self.against.as_ref();
        against.is_some_and(|against| !against.falls.is_empty())
    }
}

/// Six decimals: more are not known, and the last ones depend on the platform.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn rounded<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64((value * 1e6).round() / 1e6)
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn word<S: Serializer>(value: &Severity, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(value.word())
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn instant<S: Serializer>(value: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&value.rfc3339())
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn seconds<S: Serializer>(value: &Span, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_i64(value.seconds())
}
