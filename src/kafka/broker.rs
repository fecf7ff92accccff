//! Kafka, as a shard sees it: a member of the group with a transactional producer.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::assignment::{Assignments, Rebalance};
use super::lag::Lag;
use super::reader::Reader;
use super::supervise::{Trouble, is_passing};
use super::transaction::Transaction;
use super::{offsets, settings};
use crate::metrics::Role;
use crate::service::Service;
use crate::shard::broker::{Each, Outbox, Outgoing};
use crate::shard::{Broker, GROUP, Happened, Record, Teardown};

/// One shard's clients.
pub struct Kafka<'s> {
    service: &'s Service,
    client: &'s ClientConfig,
    events: &'s str,
    state: &'s str,
    consumer: &'s BaseConsumer<Assignments>,
    reader: Reader<'s>,
    transaction: Transaction,
    begun: Instant,
    lag: Lag,
    trouble: Trouble<'s>,
}

impl<'s> Kafka<'s> {
    /// Works with `consumer`, which is asking to be a member of the group, and with what `reader` hears from it, and takes
    /// the place of `member` as a producer; the clock counts from `begun`.
    ///
    /// # Errors
    /// Where the broker does not answer in time.
    pub(super) fn new(
        (service, client): (&'s Service, &'s ClientConfig),
        (part, member): (&'s str, &str),
        (consumer, reader): (&'s BaseConsumer<Assignments>, Reader<'s>),
        begun: Instant,
    ) -> Result<Self, Teardown> {
        let topics = &service.config.topics;
        let id = format!("{GROUP}-{member}");
        let transaction = Transaction::open(&settings::producer(client, &id), service)?;
        Ok(Self {
            service,
            client,
            events: &topics.events,
            state: &topics.state,
            consumer,
            reader,
            transaction,
            begun,
            lag: Lag::new(service.metrics.clone(), Role::Watch),
            trouble: Trouble::none(service, part),
        })
    }

    /// Notes what passes by itself, and gives up on the rest.
    fn weigh(&mut self, error: KafkaError) -> Result<Option<Happened>, Teardown> {
        if let KafkaError::PartitionEOF(partition) = error {
            return Ok(Some(Happened::Ended(partition)));
        }
        match error.rdkafka_error_code() {
            Some(code) if is_passing(code) => {
                self.trouble.note(&error);
                Ok(None)
            }
            _ => Err(Teardown::during("consuming")(error)),
        }
    }

    fn happened(&self, rebalance: Rebalance) -> Happened {
        match rebalance {
            Rebalance::Assigned(list) => {
                let elements = list.elements();
                Happened::Assigned(elements.iter().map(|element| element.partition()).collect())
            }
            Rebalance::Revoked => Happened::Revoked {
                lost: self.consumer.assignment_lost(),
            },
        }
    }

    fn reader(&self, isolation: &str) -> Result<BaseConsumer, Teardown> {
        let reader = settings::reader(self.client, isolation).create();
        reader.map_err(Teardown::during("creating a reader"))
    }
}

impl Outbox for Kafka<'_> {
    fn send(&self, record: &Outgoing<'_>) -> Result<(), Teardown> {
        self.transaction.send(record)
    }
}

impl Broker for Kafka<'_> {
    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    fn poll(
        &mut self,
        wait: Duration,
        take: &mut dyn FnMut(&[Record<'_>]),
    ) -> Result<Vec<Happened>, Teardown> {
        let batch = self.reader.next(wait)?;
        take(batch.records.borrow_dependent());
        self.reader.free(batch.records);
        let rebalances = match batch.rebalances {
            true => self.consumer.context().take(),
            false => Vec::new(),
        };
        let rebalances = rebalances.into_iter().map(|it| self.happened(it));
        let mut happened: Vec<_> = rebalances.collect();
        if let Some(error) = batch.error {
            happened.extend(self.weigh(error)?);
        }
        Ok(happened)
    }

    fn tend(&mut self, places: &mut dyn Iterator<Item = (i32, i64, bool)>) -> bool {
        let over = self.trouble.look(self.consumer, self.events);
        let events = self.events;
        let places = places.map(|(partition, next, ended)| (events, partition, next, ended));
        self.lag.refresh(self.consumer, places);
        over
    }

    fn assign(&mut self, places: &[(i32, i64)]) -> Result<(), Teardown> {
        let list = list(self.events, places).map_err(Teardown::during("assigning"))?;
        let assigned = self.consumer.assign(&list);
        assigned.map_err(Teardown::during("assigning"))
    }

    fn unassign(&mut self) -> Result<(), Teardown> {
        let unassigned = self.consumer.unassign();
        unassigned.map_err(Teardown::during("unassigning"))
    }

    fn partitions(&mut self) -> Result<i32, Teardown> {
        offsets::partitions(self.consumer, self.events)
    }

    fn bounds(&mut self, partition: i32) -> Result<(i64, i64), Teardown> {
        self.consumer
            .fetch_watermarks(self.events, partition, offsets::TIMEOUT)
            .map_err(Teardown::during("asking where a topic begins"))
    }

    /// "None" is not believed at once where an offset is expected: a coordinator that has just moved may
    /// not know yet.
    fn committed(&mut self, partition: i32, expected: bool) -> Result<Option<i64>, Teardown> {
        let mut list = TopicPartitionList::new();
        list.add_partition(self.events, partition);
        let answer = offsets::committed(self.consumer, &list, if expected { 6 } else { 1 })?;
        let found = answer.find_partition(self.events, partition);
        Ok(match found.map(|found| found.offset()) {
            Some(Offset::Offset(offset)) => Some(offset),
            _ => None,
        })
    }

    fn state_bounds(&mut self, partition: i32) -> Result<(i64, i64), Teardown> {
        let peek = self.reader("read_uncommitted")?;
        peek.fetch_watermarks(self.state, partition, offsets::TIMEOUT)
            .map_err(Teardown::during("asking for the end of the state"))
    }

    fn read_state(
        &mut self,
        partition: i32,
        (low, high): (i64, i64),
        each: &mut Each<'_>,
    ) -> Result<Option<i64>, Teardown> {
        let reading = || Teardown::during("reading the state");
        let reader = self.reader("read_committed")?;
        let from = list(self.state, &[(partition, low)]).map_err(reading())?;
        reader.assign(&from).map_err(reading())?;
        // Since when there is nothing to read, although the end is not reached.
        let mut idle: Option<Instant> = None;
        let mut after = None;
        loop {
            if self.service.stopping() {
                return Err(reading()(KafkaError::Canceled));
            }
            match reader.poll(Duration::from_millis(20)) {
                Some(Ok(message)) => {
                    idle = None;
                    each(message.key().unwrap_or_default(), message.payload());
                    after = Some(message.offset() + 1);
                    if after >= Some(high) {
                        return Ok(after);
                    }
                }
                Some(Err(error)) => return Err(reading()(error)),
                None => {
                    let position = reader.position().map_err(reading())?;
                    let position = position.find_partition(self.state, partition);
                    let position = position.map(|at| at.offset());
                    if matches!(position, Some(Offset::Offset(at)) if at >= high) {
                        return Ok(after);
                    }
                    if idle.get_or_insert_with(Instant::now).elapsed() > BARRIER {
                        return Err(Teardown::Refused(format!(
                            "partition {partition}: the state in {} ends at {high}, but only \
                             {position:?} can be read: a transaction there is still open",
                            self.state
                        )));
                    }
                }
            }
        }
    }

    fn begin(&mut self) -> Result<(), Teardown> {
        self.transaction.begin()
    }

    fn commit(&mut self, offsets: &[(i32, i64)]) -> Result<(), Teardown> {
        let adding = Teardown::during("adding the input offsets");
        let offsets = list(self.events, offsets).map_err(adding)?;
        self.transaction.commit(&offsets, self.consumer)
    }

    fn state_written(&self, partition: i32) -> Option<i64> {
        self.transaction.written(partition)
    }
}

fn list(topic: &str, places: &[(i32, i64)]) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in places {
        list.add_partition_offset(topic, *partition, Offset::Offset(*offset))?;
    }
    Ok(list)
}

/// A predecessor's transaction ends, at the latest, after its timeout of 15 seconds.
const BARRIER: Duration = Duration::from_secs(30);
