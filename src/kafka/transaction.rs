//! One transaction: what it holds is committed together, or the shard is torn down.

use std::collections::BTreeMap;
use std::sync::mpsc::sync_channel;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, PurgeConfig, ThreadedProducer};
use rdkafka::topic_partition_list::TopicPartitionList;

use super::assignment::Assignments;
use super::{native, settings};
use crate::service::Service;
use crate::shard::Teardown;
use crate::shard::broker::{Outbox, Outgoing};

/// A transactional producer and whether a transaction is open.
pub struct Transaction {
    producer: ThreadedProducer<Receipts>,
    since: Option<Instant>,
}

/// The offset after the last record that was delivered to each partition that was asked for by number.
#[derive(Default)]
struct Receipts(Mutex<BTreeMap<i32, i64>>);

impl ClientContext for Receipts {}

impl ProducerContext for Receipts {
    /// Whether the record is for a partition that was asked for.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, asked_for: usize) {
        if let Ok(message) = result
            && asked_for != 0
        {
            let mut after = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let after = after.entry(message.partition()).or_default();
            *after = (*after).max(message.offset() + 1);
        }
    }
}

impl Transaction {
    /// A producer that has fenced every earlier one of its id.
    ///
    /// # Errors
    /// Where the broker does not answer in time, or before the service is to stop.
    pub fn open(settings: &ClientConfig, service: &Service) -> Result<Self, Teardown> {
        let producer = ThreadedProducer::from_config_and_context(settings, Receipts::default())
            .map_err(Teardown::during("creating the producer"))?;
        let deadline = Instant::now() + Duration::from_secs(30);
        until_done(deadline, |left| match service.stopping() {
            true => Err(KafkaError::Canceled),
            false => producer.init_transactions(left.min(Duration::from_secs(1))),
        })
        .map_err(Teardown::during("taking over the transactional id"))?;
        Ok(Self {
            producer,
            since: None,
        })
    }

    /// How long the open transaction has been open.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.since.map(|since| since.elapsed())
    }

    /// The offset after the last record that was delivered to a partition asked for by its number.
    #[must_use]
    pub fn written(&self, partition: i32) -> Option<i64> {
        let receipts = &self.producer.context().0;
        let after = receipts.lock().unwrap_or_else(PoisonError::into_inner);
        after.get(&partition).copied()
    }

    /// Makes sure that a transaction is open.
    ///
    /// # Errors
    /// Where the producer cannot begin one.
    pub fn begin(&mut self) -> Result<(), Teardown> {
        if self.since.is_none() {
            self.producer
                .begin_transaction()
                .map_err(Teardown::during("beginning a transaction"))?;
            self.since = Some(Instant::now());
        }
        Ok(())
    }

    /// Commits the records sent and the input `offsets` together.
    ///
    /// # Errors
    /// Anything but a clean success. The outcome may be unknown then; only the successor's view of
    /// what is committed counts.
    pub fn commit(
        &mut self,
        offsets: &TopicPartitionList,
        consumer: &BaseConsumer<Assignments>,
    ) -> Result<(), Teardown> {
        if self.since.is_none() {
            return Ok(());
        }
        // The broker gives up a transaction after so long: whoever waits for longer waits for nothing.
        let deadline = Instant::now() + settings::TRANSACTION_TIMEOUT;
        if offsets.count() > 0 {
            let group = consumer.group_metadata().ok_or_else(|| {
                Teardown::Refused("the consumer is in no group to commit offsets for".to_owned())
            })?;
            self.add_offsets(offsets, group, deadline)?;
        }
        native::flush(&self.producer, left(deadline))
            .map_err(Teardown::during("delivering the transaction's records"))?;
        until_done(deadline, |left| self.producer.commit_transaction(left))
            .map_err(Teardown::during("committing"))?;
        self.since = None;
        Ok(())
    }

    /// Adds the input `offsets` of `group`, on a thread of its own: librdkafka waits for the group's coordinator for as long
    /// as no broker answers, whatever time it is given. Where that is longer than until `deadline`, it keeps the thread and
    /// the producer until there is an answer, which nobody waits for any more.
    fn add_offsets(
        &self,
        offsets: &TopicPartitionList,
        group: ConsumerGroupMetadata,
        deadline: Instant,
    ) -> Result<(), Teardown> {
        let (tell, told) = sync_channel(1);
        let (producer, offsets) = (self.producer.clone(), offsets.clone());
        let work = move || {
            let add = || {
                until_done(deadline, |left| {
                    producer.send_offsets_to_transaction(&offsets, &group, left)
                })
            };
            let added = add().or_else(|error| match error.rdkafka_error_code() {
                // A record failed meanwhile, and the transaction with it: asked again, librdkafka says of what.
                Some(RDKafkaErrorCode::State) => add(),
                _ => Err(error),
            });
            drop(producer);
            let _ = tell.send(added);
        };
        let thread = std::thread::Builder::new().name("offsets".to_owned());
        thread.spawn(work).map_err(|error| {
            Teardown::Refused(format!(
                "no thread can be started to commit offsets with: {error}"
            ))
        })?;
        let failed = match told.recv_timeout(left(deadline) + GRACE) {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error,
            Err(_) => {
                // It keeps no records either.
                let all = PurgeConfig::default().queue().inflight();
                self.producer.purge(all.non_blocking());
                KafkaError::ConsumerCommit(RDKafkaErrorCode::OperationTimedOut)
            }
        };
        Err(Teardown::during("adding the input offsets")(failed))
    }
}

/// How long a record waits for room in the queue.
const FULL_MAX: Duration = Duration::from_secs(10);
/// What librdkafka is given beyond the deadline that it was told.
const GRACE: Duration = Duration::from_millis(500);

impl Outbox for Transaction {
    /// Waits up to ten seconds where the queue is full.
    fn send(&self, record: &Outgoing<'_>) -> Result<(), Teardown> {
        let asked_for = usize::from(record.partition.is_some());
        let mut outgoing: BaseRecord<'_, [u8], [u8], usize> =
            BaseRecord::with_opaque_to(record.topic, asked_for);
        if let Some(key) = record.key {
            outgoing = outgoing.key(key);
        }
        if let Some(value) = record.value {
            outgoing = outgoing.payload(value);
        }
        if let Some(partition) = record.partition {
            outgoing = outgoing.partition(partition);
        }
        // Of state, which is most of what is sent, there are none to make room for.
        if !record.headers.is_empty() {
            let headers = record.headers.iter();
            let insert = |headers: OwnedHeaders, (key, value): &(&str, &str)| {
                let value = Some(*value);
                headers.insert(Header { key, value })
            };
            outgoing = outgoing.headers(headers.fold(OwnedHeaders::new(), insert));
        }
        // Nearly all find room at once, and need no clock.
        let mut full_since = None;
        loop {
            match self.producer.send(outgoing) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if full_since.get_or_insert_with(Instant::now).elapsed() < FULL_MAX =>
                {
                    outgoing = back;
                    std::thread::sleep(Duration::from_millis(2));
                }
                Err((error, _)) => return Err(Teardown::during("queueing a record")(error)),
            }
        }
    }
}

/// Calls again until `deadline` while librdkafka says that the same call may be repeated: the operation goes on
/// in the background, and the call only waits for it, for as long as it is told.
fn until_done(
    deadline: Instant,
    mut call: impl FnMut(Duration) -> Result<(), KafkaError>,
) -> Result<(), KafkaError> {
    loop {
        match call(left(deadline)) {
            Err(KafkaError::Transaction(error))
                if error.is_retriable() && Instant::now() < deadline => {}
            outcome => return outcome,
        }
    }
}

/// The time until `deadline`, or a moment where it has passed.
fn left(deadline: Instant) -> Duration {
    let left = deadline.saturating_duration_since(Instant::now());
    left.max(Duration::from_millis(10))
}
