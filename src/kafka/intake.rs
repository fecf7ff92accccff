//! The intake thread: raw logs, inventory and rulings become one log of events, in one transaction
//! with the offsets they were read at.

mod lane;
mod merge;
mod pulse;

use std::sync::Arc;
use std::time::{Duration, Instant};

use nhiwatch_detectors::kernel::time::Timestamp;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode;

use self::lane::{Content, Lane, Taken};
use self::merge::{Merge, Offer};
use self::pulse::Pulse;
use super::assignment::{Assignments, Rebalance};
use super::deadletter::DeadLetter;
use super::lag::Lag;
use super::supervise::{is_passing, supervise};
use super::transaction::{Outgoing, Transaction};
use super::{Service, Teardown, assignment, offsets, settings};
use crate::config::{Profile, Start};
use crate::failure::Failure;
use crate::metrics::{Intake as Outcome, Role};
use crate::partition;
use crate::wire::Reason;
use crate::wire::control::{self, Control};

/// Runs the intake until the service stops.
///
/// # Errors
/// Where the clients' settings cannot be made, or the embedded broker failed.
pub fn run(service: &Service) -> Result<(), Failure> {
    let client = settings::client(&service.config.kafka)?;
    supervise(service, PART, || Intake::session(service, &client))
}

struct Intake<'s> {
    service: &'s Service,
    client: &'s rdkafka::ClientConfig,
    consumer: Arc<BaseConsumer<Assignments>>,
    transaction: Transaction,
    /// By topic and partition, so that ties in time are always broken alike.
    lanes: Vec<Lane<'s>>,
    merge: Merge,
    pulse: Pulse,
    /// Partitions of the event topic.
    partitions: i32,
    /// What became of the records of the open transaction, and why of those that are dead letters.
    taken: Vec<(Outcome, Option<Reason>)>,
    /// Heartbeats in the open transaction.
    beats: u64,
    /// Fields of the open transaction that the event schema does not know.
    unknown: u64,
    lag: Lag,
}

impl<'s> Intake<'s> {
    /// From joining the group to leaving it.
    fn session(service: &'s Service, client: &'s rdkafka::ClientConfig) -> Result<(), Teardown> {
        let group = settings::INTAKE_GROUP;
        let id = format!("{group}-{}", service.config.kafka.instance);
        let transaction = Transaction::open(&settings::producer(client, &id))?;
        let member = format!("{}-intake", service.config.kafka.instance);
        let topics: Vec<&str> = contents(service)?.map(|(topic, _)| topic).collect();
        let consumer = assignment::join(service, client, group, &member, &topics)?;
        let partitions = event_partitions(&consumer, &service.config.topics.events)?;
        let mut intake = Self {
            service,
            client,
            consumer: Arc::new(consumer),
            transaction,
            lanes: Vec::new(),
            merge: Merge::default(),
            pulse: Pulse::new(partitions, Instant::now()),
            partitions,
            taken: Vec::new(),
            beats: 0,
            unknown: 0,
            lag: Lag::new(service.metrics.clone(), Role::Intake),
        };
        let outcome = intake.work();
        // The lanes' queues belong to the consumer, and go before it.
        intake.lanes.clear();
        intake.consumer.context().close();
        outcome
    }

    fn work(&mut self) -> Result<(), Teardown> {
        let kafka = &self.service.config.kafka;
        let (interval, records) = (kafka.commit_interval, kafka.commit_records);
        let mut idle = true;
        loop {
            if self.service.stopping() {
                self.commit()?;
                tracing::info!("intake drained");
                return Ok(());
            }
            self.serve(if idle { PAUSE } else { Duration::ZERO })?;
            idle = true;
            for _ in 0..BURST {
                if !self.step()? {
                    break;
                }
                idle = false;
            }
            self.beat()?;
            self.lag
                .refresh(&self.consumer, self.lanes.iter().map(Lane::place));
            let due = self.transaction.age().is_some_and(|age| age >= interval);
            if due || self.taken.len() >= records {
                self.commit()?;
            }
        }
    }

    /// Lets the consumer do its own work: rebalances, errors, and what came before the lanes were.
    fn serve(&mut self, wait: Duration) -> Result<(), Teardown> {
        let message = self.consumer.poll(wait);
        let rebalances = self.consumer.context().take();
        if !rebalances.is_empty() {
            drop(message);
            return rebalances
                .into_iter()
                .try_for_each(|rebalance| self.rebalance(rebalance));
        }
        match message {
            None => Ok(()),
            Some(Err(error)) => self.weigh(error),
            Some(Ok(message)) => {
                let lane = self.lanes.iter_mut().find(|lane| {
                    lane.partition == message.partition() && lane.topic == message.topic()
                });
                if let Some(lane) = lane {
                    lane.arrived_early(message.detach());
                }
                Ok(())
            }
        }
    }

    /// Says what passes by itself, and gives up on the rest.
    fn weigh(&self, error: KafkaError) -> Result<(), Teardown> {
        match error.rdkafka_error_code() {
            _ if matches!(error, KafkaError::PartitionEOF(_)) => Ok(()),
            Some(RDKafkaErrorCode::UnknownTopicOrPartition) => self.name_missing_topics(),
            Some(code) if is_passing(code) => {
                self.service.health.set_unready(PART, error.to_string());
                tracing::warn!(%error, "intake waits for Kafka");
                Ok(())
            }
            _ => Err(Teardown::during("reading a raw topic")(error)),
        }
    }

    /// Says which topics do not exist; those that do are read meanwhile.
    fn name_missing_topics(&self) -> Result<(), Teardown> {
        let metadata = self
            .consumer
            .fetch_metadata(None, offsets::TIMEOUT)
            .map_err(Teardown::during("asking which topics there are"))?;
        let there = |name: &str| metadata.topics().iter().any(|topic| topic.name() == name);
        let missing: Vec<&str> = contents(self.service)?
            .map(|(name, _)| name)
            .filter(|name| !there(name))
            .collect();
        if missing.is_empty() {
            self.service.health.set_ready(TOPICS);
        } else {
            let obstacle = format!(
                "{} does not exist; create it, or correct `sources`",
                missing.join(", ")
            );
            tracing::warn!(obstacle, "not ready");
            self.service.health.set_unready(TOPICS, obstacle);
        }
        Ok(())
    }

    /// Passes on the record that is next; tells whether there was one.
    fn step(&mut self) -> Result<bool, Teardown> {
        let (now, wall) = (Instant::now(), wall());
        for index in 0..self.lanes.len() {
            if let Err(error) = self.lanes[index].fill(now, wall) {
                self.weigh(error)?;
            }
        }
        let chosen = self.merge.choose(self.lanes.iter().map(Lane::offer));
        let Some(lane) = chosen.and_then(|index| self.lanes.get_mut(index)) else {
            return Ok(false);
        };
        let Some(taken) = lane.take(now) else {
            return Ok(false);
        };
        self.transaction.begin()?;
        if let Some(letter) = &taken.letter {
            let letter = DeadLetter {
                topic: &lane.topic,
                partition: lane.partition,
                offset: taken.offset,
                key: &letter.key,
                value: letter.value.as_deref(),
                reject: &letter.reject,
            };
            letter.send(&self.transaction, self.service)?;
        }
        self.pass(&taken, now, wall)?;
        self.unknown += taken.unknown;
        let reason = taken.letter.as_ref().map(|letter| letter.reject.reason);
        self.taken.push((taken.outcome(), reason));
        Ok(true)
    }

    fn pass(&mut self, taken: &Taken, now: Instant, wall: Timestamp) -> Result<(), Teardown> {
        for record in &taken.records {
            let partition = partition::of(&record.key, self.partitions);
            let kind = record
                .control
                .map(|control| (control::HEADER, control.word()));
            self.transaction.send(&Outgoing {
                topic: &self.service.config.topics.events,
                partition: Some(partition),
                key: &record.key,
                value: record.value.as_deref(),
                headers: kind.as_slice(),
            })?;
            // A stamp from the future is passed on, but is no news about the time.
            if let Some(ts) = record.ts.filter(|_| taken.time.is_some()) {
                self.merge.passed(ts, wall, now);
                self.pulse.wrote(partition, ts, now);
            }
        }
        Ok(())
    }

    /// Tells silent partitions what time it is.
    fn beat(&mut self) -> Result<(), Teardown> {
        let now = Instant::now();
        let idle = self.lanes.iter().all(|lane| lane.offer() == Offer::End);
        let Some(time) = self.merge.time(now, idle) else {
            return Ok(());
        };
        for partition in self.pulse.due(time, now) {
            self.transaction.begin()?;
            let value = serde_json::json!({"ts": time.rfc3339()}).to_string();
            self.transaction.send(&Outgoing {
                topic: &self.service.config.topics.events,
                partition: Some(partition),
                key: &[],
                value: Some(value.as_bytes()),
                headers: &[(control::HEADER, Control::Heartbeat.word())],
            })?;
            self.beats += 1;
        }
        Ok(())
    }

    /// Commits what was passed on together with how far its logs were read.
    fn commit(&mut self) -> Result<(), Teardown> {
        if self.transaction.age().is_none() {
            return Ok(());
        }
        let mut offsets = TopicPartitionList::new();
        for lane in &self.lanes {
            offsets
                .add_partition_offset(&lane.topic, lane.partition, Offset::Offset(lane.next))
                .map_err(Teardown::during("adding the raw topics' offsets"))?;
        }
        self.transaction.commit(&offsets, &self.consumer)?;
        for (outcome, reason) in self.taken.drain(..) {
            self.service.metrics.intake(outcome, 1);
            if let Some(reason) = reason {
                self.service.metrics.deadletter(reason.word());
            }
        }
        self.service
            .metrics
            .heartbeats(std::mem::take(&mut self.beats));
        self.service
            .metrics
            .unknown_fields(std::mem::take(&mut self.unknown));
        self.service.health.set_ready(PART);
        Ok(())
    }

    fn rebalance(&mut self, rebalance: Rebalance) -> Result<(), Teardown> {
        match rebalance {
            Rebalance::Revoked => {
                if !self.consumer.assignment_lost() {
                    self.commit()?;
                } else if self.transaction.age().is_some() {
                    return Err(Teardown::Refused("the assignment was lost".to_owned()));
                }
                self.lanes.clear();
                self.consumer
                    .unassign()
                    .map_err(Teardown::during("unassigning"))
            }
            Rebalance::Assigned(partitions) => self.assign(&partitions),
        }
    }

    fn assign(&mut self, partitions: &TopicPartitionList) -> Result<(), Teardown> {
        let list = self.begin(partitions)?;
        self.consumer
            .assign(&list)
            .map_err(Teardown::during("assigning"))?;
        let now = Instant::now();
        for element in list.elements() {
            let (topic, partition) = (element.topic(), element.partition());
            let (Offset::Offset(next), Some((_, content))) = (
                element.offset(),
                contents(self.service)?.find(|(name, _)| *name == topic),
            ) else {
                continue;
            };
            let queue = self
                .consumer
                .split_partition_queue(topic, partition)
                .ok_or_else(|| {
                    Teardown::Refused(format!("{topic}/{partition} has no queue of its own"))
                })?;
            let place = (partition, next);
            self.lanes
                .push(Lane::new(topic, content, queue, place, now));
        }
        self.lanes
            .sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        tracing::info!(partitions = self.lanes.len(), "intake reads");
        self.service.health.set_ready(PART);
        self.name_missing_topics()
    }

    /// `partitions` with the offsets at which to go on, or begin.
    fn begin(&self, partitions: &TopicPartitionList) -> Result<TopicPartitionList, Teardown> {
        let config = &self.service.config;
        let demo = config.profile == Profile::Demo;
        let committed = if demo || partitions.count() == 0 {
            partitions.clone()
        } else {
            offsets::committed(&self.consumer, partitions, 2)?
        };
        let mut list = TopicPartitionList::new();
        for element in committed.elements() {
            let (topic, partition) = (element.topic(), element.partition());
            let next = match element.offset() {
                Offset::Offset(next) => next,
                _ if demo => 0,
                _ => {
                    // What is declared holds from the beginning, wherever the events begin.
                    let raw = config.sources.iter().any(|source| source.topic == topic);
                    let start = if raw { config.start } else { Start::Earliest };
                    offsets::first(self.client, topic, start, partition)?
                }
            };
            list.add_partition_offset(topic, partition, Offset::Offset(next))
                .map_err(Teardown::during("assigning"))?;
        }
        Ok(list)
    }
}

/// Every topic the intake reads, and what its records are.
fn contents(service: &Service) -> Result<impl Iterator<Item = (&str, Content<'_>)>, Teardown> {
    let topics = &service.config.topics;
    let mut contents = vec![
        (
            topics.inventory.as_str(),
            Content::Control(Control::Inventory),
        ),
        (
            topics.feedback.as_str(),
            Content::Control(Control::Feedback),
        ),
    ];
    for source in &service.config.sources {
        let reader = service.sources.reader(&source.mapping);
        let reader = reader.map_err(|error| Teardown::Refused(error.to_string()))?;
        contents.push((source.topic.as_str(), Content::Raw(reader)));
    }
    Ok(contents.into_iter())
}

fn event_partitions(consumer: &BaseConsumer<Assignments>, topic: &str) -> Result<i32, Teardown> {
    let metadata = consumer
        .fetch_metadata(Some(topic), offsets::TIMEOUT)
        .map_err(Teardown::during("asking for the event topic"))?;
    let found = metadata
        .topics()
        .first()
        .map_or(0, |t| t.partitions().len());
    i32::try_from(found)
        .ok()
        .filter(|partitions| *partitions > 0)
        .ok_or_else(|| Teardown::Refused(format!("{topic} is missing")))
}

fn wall() -> Timestamp {
    Timestamp::from_micros(chrono::Utc::now().timestamp_micros())
}

/// What the intake is called where the service says what it waits for.
pub const PART: &str = "intake";
/// What its topics are called there.
const TOPICS: &str = "intake topics";
/// How long to sleep where there was nothing to do.
const PAUSE: Duration = Duration::from_millis(5);
/// Records passed on before the consumer is served again.
const BURST: usize = 256;
