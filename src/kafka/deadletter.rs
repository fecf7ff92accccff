//! What could not be read goes on untouched, with the reason and where it was.

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
    pub key: &'r [u8],
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
            key: message.key().unwrap_or_default(),
            value: message.payload(),
            reject,
        }
    }

    /// Adds it to the open transaction; it is there, and counted, once that commits.
    ///
    /// # Errors
    /// Where it cannot be queued.
    pub fn send(&self, transaction: &Transaction, service: &Service) -> Result<(), Teardown> {
        let partition = self.partition.to_string();
        let offset = self.offset.to_string();
        transaction.send(&Outgoing {
            topic: &service.config.topics.deadletter,
            partition: None,
            key: self.key,
            value: self.value,
            headers: &[
                ("dlq.reason", self.reject.reason.word()),
                ("dlq.error", &self.reject.detail),
                ("dlq.topic", self.topic),
                ("dlq.partition", &partition),
                ("dlq.offset", &offset),
            ],
        })
    }
}
