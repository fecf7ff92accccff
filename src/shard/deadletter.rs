//! What could not be read goes on as it was, with the reason and where it was.

use super::broker::{Outbox, Outgoing};
use super::{Record, Teardown};
use crate::service::Service;
use crate::wire::Reject;

/// A record that could not be read, and why.
pub struct DeadLetter<'r> {
    /// The topic it was in.
    pub topic: &'r str,
    /// Its partition there.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// Its key.
    pub key: Option<&'r [u8]>,
    /// Its value.
    pub value: Option<&'r [u8]>,
    /// Why.
    pub reject: &'r Reject,
}

impl DeadLetter<'_> {
    /// Adds it to the open transaction; it is there, and counted, once that commits. Key and value are
    /// cut where a topic might not take them; the header `dlq.size` says how long the value was.
    ///
    /// # Errors
    /// Where it cannot be queued.
    pub fn send(&self, outbox: &impl Outbox, service: &Service) -> Result<(), Teardown> {
        let partition = self.partition.to_string();
        let offset = self.offset.to_string();
        let size = self.value.map_or(0, <[u8]>::len).to_string();
        outbox.send(&Outgoing {
            topic: &service.config.topics.deadletter,
            partition: None,
            key: self.key.map(|key| start(key, KEY_MAX)),
            value: self.value.map(|value| start(value, VALUE_MAX)),
            headers: &[
                ("dlq.reason", self.reject.reason.word()),
                ("dlq.error", &self.reject.detail),
                ("dlq.topic", self.topic),
                ("dlq.partition", &partition),
                ("dlq.offset", &offset),
                ("dlq.size", &size),
            ],
        })
    }
}

/// A record of the event log that could not be read, kept until it is committed as a dead letter.
pub struct Refused {
    partition: i32,
    offset: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    /// Why.
    pub reject: Reject,
}

impl Refused {
    /// Keeps the value of `record`, whose whole size a dead letter tells, and as much of its key as goes into one.
    #[must_use]
    pub fn of(record: &Record<'_>, reject: Reject) -> Self {
        Self {
            partition: record.partition,
            offset: record.offset,
            key: record.key.map(|key| start(key, KEY_MAX).to_vec()),
            value: record.value.map(<[u8]>::to_vec),
            reject,
        }
    }

    /// Bytes kept.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let of = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        of(&self.key) + of(&self.value)
    }

    /// The dead letter that it becomes; it lay in `topic`.
    #[must_use]
    pub fn letter<'r>(&'r self, topic: &'r str) -> DeadLetter<'r> {
        DeadLetter {
            topic,
            partition: self.partition,
            offset: self.offset,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            reject: &self.reject,
        }
    }
}

fn start(bytes: &[u8], most: usize) -> &[u8] {
    &bytes[..bytes.len().min(most)]
}

/// The most of a value that is kept, in bytes: every topic takes a record of this size.
pub const VALUE_MAX: usize = 512 << 10;
/// The most of a key that is kept.
const KEY_MAX: usize = 4 << 10;
