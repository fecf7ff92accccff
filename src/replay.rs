//! The engine on files: one engine per partition, as the service has, and no Kafka.

use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use nhiwatch_detectors::kernel::alert::Alert;
use nhiwatch_detectors::kernel::engine::{Decision, Engine, Portrait, Sighting};
use nhiwatch_detectors::kernel::input::Input;
use nhiwatch_detectors::kernel::time::Timestamp;
use sha2::{Digest, Sha256};

use crate::digest;
use crate::inventory::Entry;
use crate::wire::control::Control;
use crate::wire::{EVENT_LOG, LogLine, Reject, with_input};

/// Engines for the partitions that a log has, driven by one thread.
pub struct Replay {
    decision: Arc<Decision>,
    engines: BTreeMap<u32, Engine>,
    alerts: Vec<Alert>,
    unknown: u64,
    span: Option<(Timestamp, Timestamp)>,
}

impl Replay {
    /// A replay that decides as `decision` says.
    #[must_use]
    pub fn new(decision: Arc<Decision>) -> Self {
        Self {
            decision,
            engines: BTreeMap::new(),
            alerts: Vec::new(),
            unknown: 0,
            span: None,
        }
    }

    /// Takes in one exported record of the events log, in its own partition.
    ///
    /// # Errors
    /// Where the record cannot be read; a service would have made a dead letter of it.
    pub fn log_line(&mut self, line: &LogLine) -> Result<(), Reject> {
        let received = line
            .timestamp
            .map(|ms| Timestamp::from_micros(ms.saturating_mul(1000)));
        let partition = u32::try_from(line.partition).unwrap_or_default();
        self.record(
            partition,
            line.kind.as_deref(),
            line.key.as_deref(),
            line.value.as_deref(),
            received,
        )
    }

    /// Takes in one event in our schema, of `identity`, into the partition its key belongs to.
    ///
    /// # Errors
    /// Where the event cannot be read.
    pub fn event(&mut self, partition: u32, identity: &str, json: &str) -> Result<(), Reject> {
        self.record(
            partition,
            None,
            Some(identity.as_bytes()),
            Some(json.as_bytes()),
            None,
        )
    }

    /// Takes in one entry of the inventory, into the partition its key belongs to.
    ///
    /// # Errors
    /// Where the entry cannot be read.
    pub fn declare(&mut self, partition: u32, entry: &Entry) -> Result<(), Reject> {
        self.record(
            partition,
            Some(Control::Inventory.word()),
            Some(entry.identity.as_str().as_bytes()),
            Some(entry.json().as_bytes()),
            None,
        )
    }

    fn record(
        &mut self,
        partition: u32,
        kind: Option<&str>,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        received: Option<Timestamp>,
    ) -> Result<(), Reject> {
        let decision = &self.decision;
        let engine = self
            .engines
            .entry(partition)
            .or_insert_with(|| Engine::new(partition, Arc::clone(decision)));
        let alerts = &mut self.alerts;
        let (span, ignored) = (&mut self.span, &mut self.unknown);
        with_input(kind, key, value, received, |input, unknown| {
            *ignored += u64::from(unknown);
            let input = input.inspect_err(|reject| {
                engine.refuse((EVENT_LOG, reject.reason.word()), 1, received, alerts);
            })?;
            if let Input::Event(event) = &input {
                let (first, last) = span.unwrap_or((event.ts, event.ts));
                *span = Some((first.min(event.ts), last.max(event.ts)));
            }
            engine.handle(&input, alerts);
            Ok(())
        })
    }

    /// The alerts raised since the last call, in order.
    pub fn take_alerts(&mut self) -> Vec<Alert> {
        std::mem::take(&mut self.alerts)
    }

    /// Lets the engines of partitions seen so far keep every finding; see [`Engine::keep_sightings`].
    pub fn keep_sightings(&mut self) {
        self.engines.values_mut().for_each(Engine::keep_sightings);
    }

    /// The findings kept since the last call, whatever became of them.
    pub fn take_sightings(&mut self) -> Vec<Sighting> {
        let engines = self.engines.values_mut();
        engines.flat_map(Engine::take_sightings).collect()
    }

    /// What is normal for `identity`, as the engine of its partition knows it.
    pub fn portrait(&mut self, identity: &str) -> Option<Portrait> {
        let mut engines = self.engines.values_mut();
        engines.find_map(|engine| engine.portrait(identity))
    }

    /// Everybody that is known, by name within each partition.
    pub fn identities(&self) -> impl Iterator<Item = String> {
        let engines = self.engines.values();
        engines.flat_map(Engine::identities)
    }

    /// The engines, by partition.
    pub fn engines(&self) -> impl Iterator<Item = &Engine> {
        self.engines.values()
    }

    /// Fields that were ignored because the event schema does not know them.
    #[must_use]
    pub const fn unknown_fields(&self) -> u64 {
        self.unknown
    }

    /// The earliest and the latest time that an event bore, whatever became of it.
    #[must_use]
    pub const fn span(&self) -> Option<(Timestamp, Timestamp)> {
        self.span
    }

    /// Hash over the state of every partition, in hex.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for engine in self.engines.values() {
            hash.update(engine.partition().to_le_bytes());
            hash.update(engine.digest());
        }
        digest::hex(hash)
    }
}

/// Puts a stream of records into the order of their times, within bounded memory.
///
/// Files written side by side are seldom in one order. Up to [`Sorter::MAX`] records are held; what
/// is further out of order comes out late, and the engine says so.
#[derive(Debug)]
pub struct Sorter<T> {
    heap: BinaryHeap<Held<T>>,
    taken: u64,
}

#[derive(Debug)]
struct Held<T> {
    ts: Timestamp,
    nth: u64,
    record: T,
}

impl<T> Default for Sorter<T> {
    fn default() -> Self {
        Self {
            heap: BinaryHeap::new(),
            taken: 0,
        }
    }
}

impl<T> Sorter<T> {
    /// Records held at most.
    pub const MAX: usize = 500_000;

    /// Takes a record of time `ts`; gives the earliest where there are too many. Of equal times the
    /// first comes first.
    pub fn push(&mut self, ts: Timestamp, record: T) -> Option<T> {
        self.heap.push(Held {
            ts,
            nth: self.taken,
            record,
        });
        self.taken += 1;
        if self.heap.len() > Self::MAX {
            self.pop()
        } else {
            None
        }
    }

    /// The earliest record held.
    pub fn pop(&mut self) -> Option<T> {
        self.heap.pop().map(|held| held.record)
    }
}

impl<T> Ord for Held<T> {
    /// The earliest is the greatest, as the heap gives the greatest first.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.ts, other.nth).cmp(&(self.ts, self.nth))
    }
}

impl<T> PartialOrd for Held<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Held<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T> Eq for Held<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_out_in_the_order_of_time_and_equals_in_the_order_they_came() {
        let mut sorter = Sorter::default();
        for (second, name) in [(3, "c"), (1, "a"), (3, "d"), (2, "b")] {
            assert_eq!(sorter.push(Timestamp::from_seconds(second), name), None);
        }
        let order: Vec<&str> = std::iter::from_fn(|| sorter.pop()).collect();
        assert_eq!(order, ["a", "b", "c", "d"]);
    }
}
