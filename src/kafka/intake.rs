//! The intake thread: raw logs, inventory and rulings become one log of events, in one transaction
//! with the offsets they were read at.

mod assign;
mod declared;
mod lane;
mod merge;
mod pulse;
mod taken;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nhiwatch_detectors::kernel::time::Timestamp;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode;

use self::assign::contents;
use self::declared::Declared;
use self::lane::Lane;
use self::merge::{Merge, Offer};
use self::pulse::Pulse;
use self::taken::{AHEAD, Taken};
use super::assignment::{Assignments, Leave, or_namesake};
use super::lag::Lag;
use super::supervise::{Trouble, is_passing, supervise};
use super::transaction::Transaction;
use super::{assignment, offsets, settings};
use crate::failure::Failure;
use crate::inventory::Aliases;
use crate::metrics::{Intake as Outcome, Role};
use crate::partition;
use crate::service::Service;
use crate::shard::broker::{Outbox, Outgoing};
use crate::shard::deadletter::DeadLetter;
use crate::shard::{PATIENCE, Teardown};
use crate::wire::Reason;
use crate::wire::control::{self, Control};

/// Runs the intake until the service stops.
///
/// # Errors
/// Where the clients' settings cannot be made, another process has its name, or the embedded broker failed.
pub fn run(service: &Service) -> Result<(), Failure> {
    let client = settings::client(&service.config.kafka)?;
    let mut declared = false;
    supervise(service, (Role::Intake, PART), || {
        Intake::session(service, &client, &mut declared)
    })
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
    /// Which names stand for which identities.
    aliases: Aliases,
    /// Where that is read, if there is an inventory topic.
    declared: Option<Declared>,
    /// Whether the inventory file is still to be written.
    announces: bool,
    /// Partitions of the event topic.
    partitions: i32,
    /// What became of the records of the open transaction.
    taken: Vec<Outcome>,
    /// Its dead letters, by topic and reason.
    letters: BTreeMap<(String, Reason), u64>,
    /// Heartbeats in the open transaction.
    beats: u64,
    /// Fields of the open transaction that the event schema does not know.
    unknown: u64,
    lag: Lag,
    trouble: Trouble<'s>,
}

impl<'s> Intake<'s> {
    /// From joining the group to leaving it; `declared` tells whether the inventory file was written
    /// by an earlier one.
    fn session(
        service: &'s Service,
        client: &'s rdkafka::ClientConfig,
        declared: &mut bool,
    ) -> Result<(), Teardown> {
        let group = settings::INTAKE_GROUP;
        let id = format!("{group}-{}", service.config.kafka.instance);
        let transaction = Transaction::open(&settings::producer(client, &id), service)?;
        let member = format!("{}-intake", service.config.kafka.instance);
        let topics: Vec<&str> = contents(service)?.map(|(topic, _)| topic).collect();
        let mut bounded = client.clone();
        // Each partition has a queue of its own here, and the bound holds for each.
        if bounded.get(QUEUE).is_none() {
            bounded.set(QUEUE, "4096");
        }
        let consumer = Arc::new(assignment::join(
            service, &bounded, group, &member, &topics,
        )?);
        let _leave = Leave(&consumer);
        let partitions = offsets::partitions(&consumer, &service.config.topics.events)?;
        let mut intake = Self {
            service,
            client,
            consumer: Arc::clone(&consumer),
            transaction,
            lanes: Vec::new(),
            merge: Merge::default(),
            pulse: Pulse::new(partitions, Instant::now()),
            aliases: Aliases::default(),
            declared: None,
            announces: !*declared,
            partitions,
            taken: Vec::new(),
            letters: BTreeMap::new(),
            beats: 0,
            unknown: 0,
            lag: Lag::new(service.metrics.clone(), Role::Intake),
            trouble: Trouble::none(service, PART),
        };
        let outcome = intake.work();
        *declared = !intake.announces;
        let outcome = outcome.map_err(|error| or_namesake(error, &consumer, service));
        // The lanes' queues belong to the consumer, and go before it.
        intake.lanes.clear();
        // Closing may take a while; who asks meanwhile should know.
        if let Err(error) = &outcome {
            service.health.set_unready(PART, error.to_string());
        }
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
            if let Some(declared) = &self.declared
                && let Err(error) = declared.follow(&mut self.aliases)
            {
                self.weigh(error)?;
            }
            idle = true;
            let mut due = false;
            for _ in 0..BURST {
                if due || !self.step()? {
                    break;
                }
                idle = false;
                due = self.transaction.age().is_some_and(|age| age >= interval);
            }
            self.beat()?;
            let events = &self.service.config.topics.events;
            if self.trouble.look(&self.consumer, events) {
                self.service.health.set_ready(PART);
            }
            self.lag
                .refresh(&self.consumer, self.lanes.iter().map(Lane::place));
            due |= self.transaction.age().is_some_and(|age| age >= interval);
            if due || self.taken.len() >= records {
                self.commit()?;
            }
        }
    }

    /// Writes what the inventory file declares, once in the life of the process and before any event.
    /// Of what it wrote the last time it knows nothing: the same entry again changes nothing.
    fn announce(&mut self) -> Result<(), Teardown> {
        let entries = self.service.inventory.entries();
        for entries in entries.chunks(self.service.config.kafka.commit_records) {
            self.transaction.begin()?;
            for entry in entries {
                let identity = entry.identity.as_str().as_bytes();
                self.transaction.send(&Outgoing {
                    topic: &self.service.config.topics.events,
                    partition: Some(partition::of(identity, self.partitions)),
                    key: Some(identity),
                    value: Some(entry.json().as_bytes()),
                    headers: &[(control::HEADER, Control::Inventory.word())],
                })?;
            }
            self.commit()?;
        }
        self.announces = false;
        if !entries.is_empty() {
            tracing::info!(entries = entries.len(), "inventory file written");
        }
        Ok(())
    }

    /// Lets the consumer do its own work: rebalances and errors. No record comes this way.
    fn serve(&mut self, wait: Duration) -> Result<(), Teardown> {
        let message = self.consumer.poll(wait);
        let rebalances = self.consumer.context().take();
        if !rebalances.is_empty() {
            let error = message.and_then(Result::err);
            rebalances
                .into_iter()
                .try_for_each(|rebalance| self.rebalance(rebalance))?;
            return error.map_or(Ok(()), |error| self.weigh(error));
        }
        match message {
            None => Ok(()),
            Some(Err(error)) => self.weigh(error),
            // Every partition has a queue of its own; reading on would leave this one out.
            Some(Ok(message)) => Err(Teardown::Refused(format!(
                "record {} of {}/{} came out of turn",
                message.offset(),
                message.topic(),
                message.partition()
            ))),
        }
    }

    /// Says what passes by itself, and gives up on the rest.
    fn weigh(&mut self, error: KafkaError) -> Result<(), Teardown> {
        match error.rdkafka_error_code() {
            _ if matches!(error, KafkaError::PartitionEOF(_)) => Ok(()),
            Some(RDKafkaErrorCode::UnknownTopicOrPartition) => self.missing_topics().map(drop),
            Some(code) if is_passing(code) => {
                self.trouble.note(&error);
                Ok(())
            }
            _ => Err(Teardown::during("reading a raw topic")(error)),
        }
    }

    /// Passes on the record that is next; tells whether there was one.
    fn step(&mut self) -> Result<bool, Teardown> {
        let (now, wall) = (Instant::now(), wall());
        for index in 0..self.lanes.len() {
            if let Err(error) = self.lanes[index].fill(&self.aliases, now, wall) {
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
                key: letter.key.as_deref(),
                value: letter.value.as_deref(),
                reject: &letter.reject,
            };
            letter.send(&self.transaction, self.service)?;
            let cause = (lane.topic.clone(), letter.reject.reason);
            *self.letters.entry(cause).or_default() += 1;
        }
        self.pass(&taken, now, wall)?;
        self.unknown += taken.unknown;
        self.taken.push(taken.outcome());
        Ok(true)
    }

    fn pass(&mut self, taken: &Taken, now: Instant, wall: Timestamp) -> Result<(), Teardown> {
        for record in &taken.records {
            let partition = partition::of(&record.key, self.partitions);
            // What others have brought; never ahead of the record itself, whose time may be wrong.
            let time = self.merge.time(now, false).min(record.ts);
            if let Some(time) = time
                && self.pulse.is_behind(partition, time, now)
            {
                self.tell_time(partition, time)?;
            }
            let kind = record
                .control
                .map(|control| (control::HEADER, control.word()));
            self.transaction.send(&Outgoing {
                topic: &self.service.config.topics.events,
                partition: Some(partition),
                key: Some(&record.key),
                value: record.value.as_deref(),
                headers: kind.as_slice(),
            })?;
            // A stamp from the future is passed on, but is no news about the time.
            if let Some(ts) = record.ts.filter(|ts| *ts <= wall.plus(AHEAD)) {
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
        // Who reads nothing knows nothing of the time.
        let reads = self.lanes.iter().any(Lane::is_raw);
        let Some(time) = self.merge.time(now, idle).filter(|_| reads) else {
            return Ok(());
        };
        for partition in self.pulse.due(time, now) {
            self.transaction.begin()?;
            self.tell_time(partition, time)?;
        }
        Ok(())
    }

    /// Writes a heartbeat.
    fn tell_time(&mut self, partition: i32, time: Timestamp) -> Result<(), Teardown> {
        let value = serde_json::json!({"ts": time.rfc3339()}).to_string();
        self.transaction.send(&Outgoing {
            topic: &self.service.config.topics.events,
            partition: Some(partition),
            key: None,
            value: Some(value.as_bytes()),
            headers: &[(control::HEADER, Control::Heartbeat.word())],
        })?;
        self.beats += 1;
        Ok(())
    }

    /// Tells the watch what could not be read, so that it is told once for each topic and reason.
    fn tell_unreadable(&self) -> Result<(), Teardown> {
        for ((topic, reason), count) in &self.letters {
            let value = serde_json::json!({"reason": reason.word(), "count": count}).to_string();
            self.transaction.send(&Outgoing {
                topic: &self.service.config.topics.events,
                partition: Some(partition::of(topic.as_bytes(), self.partitions)),
                key: Some(topic.as_bytes()),
                value: Some(value.as_bytes()),
                headers: &[(control::HEADER, Control::Unreadable.word())],
            })?;
        }
        Ok(())
    }

    /// Commits what was passed on together with how far its logs were read.
    fn commit(&mut self) -> Result<(), Teardown> {
        if self.transaction.age().is_none() {
            return Ok(());
        }
        let begun = Instant::now();
        self.tell_unreadable()?;
        let mut offsets = TopicPartitionList::new();
        for lane in &self.lanes {
            offsets
                .add_partition_offset(&lane.topic, lane.partition, Offset::Offset(lane.next))
                .map_err(Teardown::during("adding the raw topics' offsets"))?;
        }
        let health = &self.service.health;
        health.set_waiting(PART, "a commit does not end", PATIENCE);
        self.transaction.commit(&offsets, &self.consumer)?;
        for outcome in self.taken.drain(..) {
            self.service.metrics.intake(outcome, 1);
        }
        for ((_, reason), count) in std::mem::take(&mut self.letters) {
            self.service
                .metrics
                .deadletters(Role::Intake, reason, count);
        }
        self.service
            .metrics
            .heartbeats(std::mem::take(&mut self.beats));
        self.service
            .metrics
            .unknown_fields(std::mem::take(&mut self.unknown));
        self.service
            .metrics
            .commit(Role::Intake, begun.elapsed().as_secs_f64());
        self.service.health.set_ready(PART);
        Ok(())
    }
}

fn wall() -> Timestamp {
    Timestamp::from_micros(chrono::Utc::now().timestamp_micros())
}

/// What the intake is called where the service says what it waits for.
pub const PART: &str = "intake";
/// The setting that bounds what is fetched ahead.
const QUEUE: &str = "queued.max.messages.kbytes";
/// How long to sleep where there was nothing to do.
const PAUSE: Duration = Duration::from_millis(5);
/// Records passed on before the consumer is served again.
const BURST: usize = 256;
