//! What an engine is told: the records of its partition's log, in offset order.

use super::alert::IncidentId;
use super::event::{Event, words};
use super::inventory::Declared;
use super::time::Timestamp;

/// One record of the log.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every record is an event, and none is boxed"
)]
pub enum Input<'a> {
    /// Something an identity did.
    Event(Event<'a>),
    /// What the inventory now declares of an identity; `None` removes it.
    Inventory {
        /// The identity it is about.
        identity: &'a str,
        /// The entry, or nothing where it was removed.
        declared: Option<Declared>,
    },
    /// An analyst's judgement of an incident.
    Feedback {
        /// The identity the incident is about.
        identity: &'a str,
        /// The incident.
        incident: IncidentId,
        /// The judgement.
        ruling: Ruling,
    },
    /// Records did not become events, because they could not be read.
    Unreadable {
        /// Where they were.
        source: &'a str,
        /// What is wrong with them.
        reason: &'static str,
        /// How many they are.
        count: u64,
        /// When that reached the log.
        received: Option<Timestamp>,
    },
    /// Time has passed, though nothing happened in this partition.
    Heartbeat {
        /// How far event time has come.
        ts: Timestamp,
    },
}

words! {
    /// What an analyst says of an incident.
    Ruling {
        /// Nothing was wrong: what it held back may be learned at once.
        Benign = "benign",
        /// Something was wrong: what it held back is never learned.
        Malicious = "malicious",
    }
}

words! {
    /// What became of one record; every record has exactly one.
    Fate {
        /// Judged by every detector, and counted into the baseline's open windows.
        Judged = "judged",
        /// Too old to be counted; held against the rules only.
        Late = "late",
        /// Seen before; held against the rules only.
        Duplicate = "duplicate",
        /// Left out because a limit was reached, or stamped in the future and held against the rules
        /// only.
        Filtered = "filtered",
        /// Left out because a detector failed on this identity before.
        Quarantined = "quarantined",
        /// Not an event but news for the engine.
        Control = "control",
    }
}
