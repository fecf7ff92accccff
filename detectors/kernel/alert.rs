//! What is published: an incident as it stands, and the id that it keeps.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::detector::{BaselineState, Finding, Mode, Severity};
use super::event::Kind;
use super::inventory::Declared;
use super::risk::Reading;
use super::time::Timestamp;

/// An incident as it is published: opened, or updated with a higher revision.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// The incident's id, the same in every replay.
    pub id: IncidentId,
    /// 1 when the incident opens; each update raises it.
    pub revision: u32,
    /// Event time of the event that caused this revision.
    pub ts: Timestamp,
    /// Event time at which the incident opened.
    pub opened: Timestamp,
    /// The identity it is about.
    pub identity: String,
    /// What sort of actor that is, as last seen.
    pub kind: Kind,
    /// What the inventory declares of it, if anything.
    pub declared: Option<Declared>,
    /// Name of the detector.
    pub detector: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// The finding.
    pub finding: Finding,
    /// How many findings the incident has absorbed.
    pub findings: u32,
    /// Ids of the events it rests on, newest last, at most [`Alert::EVENTS_MAX`].
    pub events: Vec<String>,
    /// Action of the event that caused this revision.
    pub action: String,
    /// Address that event came from.
    pub ip: Option<String>,
    /// How much is known about the identity.
    pub baseline: BaselineState,
    /// Mode of the detector.
    pub mode: Mode,
    /// Digest of the decisions in force (detectors, limits, calendars), in hex.
    pub decision: String,
    /// What the identity's risk said, where a probability was weighed.
    pub risk: Option<Reading>,
    /// Whom a storm is about: then `identity` names nobody.
    pub members: Option<Box<Members>>,
}

/// The identities of a storm.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Members {
    /// The same in every partition: a hash of the detector, the subject and the day in UTC.
    pub storm: IncidentId,
    /// Their names, in the order they were found; of a large storm the first hundred.
    pub identities: Vec<String>,
}

impl Alert {
    /// How many event ids one alert names.
    pub const EVENTS_MAX: usize = 20;
}

/// Id of an incident: a hash of what it is about, never of where or when it was computed.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct IncidentId(pub [u8; 16]);

impl IncidentId {
    /// The hash of `parts`.
    pub(crate) fn of<const N: usize>(parts: [&[u8]; N]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let mut id = [0; 16];
        id.copy_from_slice(&hash.finalize()[..16]);
        Self(id)
    }

    /// The id written as 32 hex digits, if `text` is one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut id = [0; 16];
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        for (byte, pair) in id.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(id))
    }
}

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incident_id_reads_back() {
        let id = IncidentId([7; 16]);
        assert_eq!(IncidentId::parse(&id.to_string()), Some(id));
        assert_eq!(IncidentId::parse("zz"), None);
        assert_eq!(IncidentId::parse(&"+f".repeat(16)), None);
    }
}
