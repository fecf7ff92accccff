//! One input partition of the intake: its queue, and its next record.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use nhiwatch_detectors::kernel::time::Timestamp;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::OwnedMessage;

use super::merge::{Offer, PATIENCE};
use super::taken::{Content, Taken, read};
use crate::inventory::Aliases;
use crate::kafka::assignment::Assignments;
use crate::kafka::lag::Place;

/// One input partition.
pub(super) struct Lane<'s> {
    /// The topic.
    pub(super) topic: String,
    /// The partition.
    pub(super) partition: i32,
    /// The offset after the last record that went.
    pub(super) next: i64,
    content: Content<'s>,
    queue: PartitionQueue<Assignments>,
    /// What arrived before the partition had a queue of its own.
    early: VecDeque<OwnedMessage>,
    head: Head,
}

enum Head {
    Ready(Taken),
    Coming(Instant),
    /// It kept us waiting, and is passed over until it shows something.
    Silent,
    End,
}

impl<'s> Lane<'s> {
    /// The lane of a partition whose next record has offset `next`.
    #[must_use]
    pub(super) fn new(
        topic: &str,
        content: Content<'s>,
        queue: PartitionQueue<Assignments>,
        (partition, next): (i32, i64),
        now: Instant,
    ) -> Self {
        Self {
            topic: topic.to_owned(),
            partition,
            next,
            content,
            queue,
            early: VecDeque::new(),
            head: Head::Coming(now),
        }
    }

    /// Keeps a record that came before those of the partition's own queue.
    pub(super) fn arrived_early(&mut self, message: OwnedMessage) {
        self.early.push_back(message);
    }

    /// Looks for the next record where none is ready; `aliases` tells whose events are whose, `wall`
    /// is the time of day.
    ///
    /// # Errors
    /// What Kafka said instead of a record.
    pub(super) fn fill(
        &mut self,
        aliases: &Aliases,
        now: Instant,
        wall: Timestamp,
    ) -> KafkaResult<()> {
        if matches!(self.head, Head::Ready(_)) {
            return Ok(());
        }
        let taken = match self.early.pop_front() {
            Some(message) => read(self.content, aliases, &message, wall),
            None => match self.queue.poll(Duration::ZERO) {
                Some(Ok(message)) => read(self.content, aliases, &message, wall),
                Some(Err(KafkaError::PartitionEOF(_))) => {
                    self.head = Head::End;
                    return Ok(());
                }
                Some(Err(error)) => return Err(error),
                None => {
                    if matches!(self.head, Head::Coming(since) if now.duration_since(since) > PATIENCE)
                    {
                        self.head = Head::Silent;
                    }
                    return Ok(());
                }
            },
        };
        // A fetch may begin before the offset asked for, at the start of its batch.
        if taken.offset >= self.next {
            self.head = Head::Ready(taken);
        }
        Ok(())
    }

    /// Whether it holds logs, and so tells the time.
    #[must_use]
    pub(super) const fn is_raw(&self) -> bool {
        matches!(self.content, Content::Raw(_))
    }

    /// What the lane has to offer.
    #[must_use]
    pub(super) fn offer(&self) -> Offer {
        match &self.head {
            Head::Ready(taken) => taken.time.map_or(Offer::AtOnce, Offer::At),
            Head::Coming(_) => Offer::Coming,
            Head::Silent | Head::End => Offer::End,
        }
    }

    /// Where it stands.
    #[must_use]
    pub(super) fn place(&self) -> Place<'_> {
        let ended = matches!(self.head, Head::End);
        (&self.topic, self.partition, self.next, ended)
    }

    /// Takes the record that is ready.
    pub(super) fn take(&mut self, now: Instant) -> Option<Taken> {
        match std::mem::replace(&mut self.head, Head::Coming(now)) {
            Head::Ready(taken) => {
                self.next = taken.offset + 1;
                Some(taken)
            }
            other => {
                self.head = other;
                None
            }
        }
    }
}
