//! What could not be read goes on as it was, with the reason and where it was.

use rdkafka::message::Message;

use super::transaction::{Outgoing, Transaction};
use super::{Service, Teardown};
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

impl<'r> DeadLetter<'r> {
    /// The dead letter for `message`.
    pub fn of(message: &'r impl Message, reject: &'r Reject) -> Self {
        Self {
            topic: message.topic(),
            partition: message.partition(),
            offset: message.offset(),
            key: message.key(),
            value: message.payload(),
            reject,
        }
    }

    /// Adds it to the open transaction; it is there, and counted, once that commits. Key and value are
    /// cut where a topic might not take them; the header `dlq.size` says how long the value was.
    ///
    /// # Errors
    /// Where it cannot be queued.
    pub fn send(&self, transaction: &Transaction, service: &Service) -> Result<(), Teardown> {
        let partition = self.partition.to_string();
        let offset = self.offset.to_string();
        let size = self.value.map_or(0, <[u8]>::len).to_string();
        transaction.send(&Outgoing {
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

fn start(bytes: &[u8], most: usize) -> &[u8] {
    &bytes[..bytes.len().min(most)]
}

/// The most of a value that is kept, in bytes: every topic takes a record of this size.
pub const VALUE_MAX: usize = 512 << 10;
/// The most of a key that is kept.
const KEY_MAX: usize = 4 << 10;
