//! One watch thread: a consumer, a transactional producer, and the engines of its partitions.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use nhiwatch_detectors::CARDS;
use nhiwatch_detectors::kernel::alert::Alert;
use nhiwatch_detectors::kernel::detector::Severity;
use nhiwatch_detectors::kernel::engine::{Engine, Stats};
use nhiwatch_detectors::kernel::input::Fate;
use nhiwatch_detectors::kernel::limit::Limit;
use nhiwatch_detectors::kernel::time::Timestamp;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::assignment::{Assignments, Rebalance};
use super::deadletter::DeadLetter;
use super::frame::Progress;
use super::lag::Lag;
use super::restore::restore;
use super::supervise::{Trouble, is_passing, supervise};
use super::transaction::Transaction;
use super::{Service, Teardown, assignment, offsets, publish, settings};
use crate::config::Profile;
use crate::metrics::Role;
use crate::wire::{Reason, Reject, control, with_input};

/// Runs shard `number` until the service stops.
///
/// # Errors
/// Where the clients' settings cannot be made, or the embedded broker failed.
pub fn run(service: &Service, number: usize) -> Result<(), crate::failure::Failure> {
    let client = settings::client(&service.config.kafka)?;
    let part = part(number);
    let member = format!("{}-{number}", service.config.kafka.instance);
    supervise(service, &part, || {
        Shard::session(service, &client, &part, &member)
    })
}

/// What shard `number` is called where the service says what it waits for.
#[must_use]
pub fn part(number: usize) -> String {
    format!("shard {number}")
}

struct Shard<'s> {
    service: &'s Service,
    client: &'s rdkafka::ClientConfig,
    /// What the shard is called where the service says what it waits for.
    part: &'s str,
    consumer: BaseConsumer<Assignments>,
    transaction: Transaction,
    owned: BTreeMap<i32, Owned>,
    /// How many partitions the event topic has.
    partitions: i32,
    /// Alerts of the open transaction.
    alerts: Vec<Alert>,
    /// Why records of the open transaction became dead letters.
    refused: Vec<Reason>,
    /// Fields of the open transaction that the schema does not know.
    unknown: u64,
    taken: usize,
    urgent: bool,
    started: Instant,
    seen_first: bool,
    lag: Lag,
    trouble: Trouble<'s>,
}

struct Owned {
    engine: Engine,
    /// The next input offset.
    next: i64,
    /// Whether something was taken since the last commit.
    touched: bool,
    /// Whether the end of its input was reached.
    ended: bool,
    /// What was already counted into the metrics.
    counted: Stats,
}

impl<'s> Shard<'s> {
    /// From joining the group to leaving it.
    fn session(
        service: &'s Service,
        client: &'s rdkafka::ClientConfig,
        part: &'s str,
        member: &str,
    ) -> Result<(), Teardown> {
        let started = Instant::now();
        let group = settings::WATCH_GROUP;
        let id = format!("{group}-{member}");
        let transaction = Transaction::open(&settings::producer(client, &id))?;
        let topics = [service.config.topics.events.as_str()];
        let member = format!("{member}-watch");
        let consumer = assignment::join(service, client, group, &member, &topics)?;
        let mut shard = Self {
            service,
            client,
            part,
            consumer,
            transaction,
            owned: BTreeMap::new(),
            partitions: 0,
            trouble: Trouble::none(service, part),
            alerts: Vec::new(),
            refused: Vec::new(),
            unknown: 0,
            taken: 0,
            urgent: false,
            started,
            seen_first: false,
            lag: Lag::new(service.metrics.clone(), Role::Watch),
        };
        let outcome = shard.work();
        shard.release();
        // Closing may take a while; who asks meanwhile should know.
        if let Err(error) = &outcome {
            service.health.set_unready(part, error.to_string());
        }
        assignment::leave(&shard.consumer);
        outcome
    }

    fn work(&mut self) -> Result<(), Teardown> {
        let kafka = &self.service.config.kafka;
        let (interval, records) = (kafka.commit_interval, kafka.commit_records);
        // Borrowed messages must not outlive the loop's own changes: each is handled at once.
        loop {
            if self.service.stopping() {
                self.commit()?;
                for (partition, owned) in &self.owned {
                    let (next, digest) = (owned.next, owned.engine.digest());
                    tracing::info!(partition, next, digest, "drained");
                }
                return Ok(());
            }
            self.poll()?;
            let topic = self.service.config.topics.events.as_str();
            self.trouble.look(&self.consumer, topic);
            let places = self.owned.iter();
            let places = places.map(|(at, owned)| (topic, *at, owned.next, owned.ended));
            self.lag.refresh(&self.consumer, places);
            let due = self.transaction.age().is_some_and(|age| {
                age >= interval || (self.urgent && age >= Duration::from_millis(50))
            });
            if due || self.taken >= records {
                self.commit()?;
            }
        }
    }

    fn poll(&mut self) -> Result<(), Teardown> {
        let wait = if self.transaction.age().is_some() {
            5
        } else {
            50
        };
        let message = self.consumer.poll(Duration::from_millis(wait));
        let rebalances = self.consumer.context().take();
        if !rebalances.is_empty() {
            // A record fetched just now is fetched again by whoever owns its partition.
            let error = message.and_then(Result::err);
            self.rebalance(rebalances)?;
            return error.map_or(Ok(()), |error| self.weigh(error));
        }
        match message {
            None => Ok(()),
            Some(Err(error)) => self.weigh(error),
            Some(Ok(message)) => {
                let Some(owned) = self.owned.get_mut(&message.partition()) else {
                    return Ok(());
                };
                if message.offset() < owned.next {
                    return Ok(());
                }
                self.transaction.begin()?;
                let before = self.alerts.len();
                let rejected = take(owned, &message, &mut self.alerts, &mut self.unknown);
                self.taken += 1;
                self.urgent |= self.alerts[before..]
                    .iter()
                    .any(|a| a.severity >= Severity::High);
                if let Err(reject) = rejected {
                    DeadLetter::of(&message, &reject).send(&self.transaction, self.service)?;
                    self.refused.push(reject.reason);
                }
                if !self.seen_first {
                    self.seen_first = true;
                    let seconds = self.started.elapsed().as_secs_f64();
                    tracing::info!(seconds, "first new event after the start");
                }
                Ok(())
            }
        }
    }

    /// Notes what passes by itself, and gives up on the rest.
    fn weigh(&mut self, error: KafkaError) -> Result<(), Teardown> {
        if let KafkaError::PartitionEOF(partition) = error {
            if let Some(owned) = self.owned.get_mut(&partition) {
                owned.ended = true;
            }
            return Ok(());
        }
        match error.rdkafka_error_code() {
            Some(code) if is_passing(code) => {
                self.trouble.note(&error);
                Ok(())
            }
            _ => Err(Teardown::during("consuming")(error)),
        }
    }

    fn rebalance(&mut self, rebalances: Vec<Rebalance>) -> Result<(), Teardown> {
        for rebalance in rebalances {
            match rebalance {
                Rebalance::Revoked => {
                    if !self.consumer.assignment_lost() {
                        self.commit()?;
                    } else if self.transaction.age().is_some() {
                        return Err(Teardown::Refused("the assignment was lost".to_owned()));
                    }
                    self.release();
                    self.service
                        .health
                        .set_unready(self.part, "waiting for partitions");
                    self.consumer
                        .unassign()
                        .map_err(Teardown::during("unassigning"))?;
                }
                Rebalance::Assigned(partitions) => {
                    let topic = &self.service.config.topics.events;
                    self.partitions = offsets::partitions(&self.consumer, topic)?;
                    let mut list = TopicPartitionList::new();
                    for element in partitions.elements() {
                        let partition = element.partition();
                        let owned = self.restore(partition)?;
                        list.add_partition_offset(
                            element.topic(),
                            partition,
                            Offset::Offset(owned.next),
                        )
                        .map_err(Teardown::during("assigning"))?;
                        self.owned.insert(partition, owned);
                        self.service.metrics.partitions(1);
                    }
                    self.consumer
                        .assign(&list)
                        .map_err(Teardown::during("assigning"))?;
                    self.service.health.set_ready(self.part);
                }
            }
        }
        Ok(())
    }

    /// Gives up every partition, and takes it out of what the gauges show.
    fn release(&mut self) {
        for owned in std::mem::take(&mut self.owned).into_values() {
            let (identities, learning) = (owned.counted.identities, owned.counted.learning);
            self.service.metrics.partitions(-1);
            self.service
                .metrics
                .watermark(owned.engine.partition(), None);
            self.service
                .metrics
                .identities(-identities.cast_signed(), -learning.cast_signed());
        }
    }

    fn restore(&self, partition: i32) -> Result<Owned, Teardown> {
        let (config, decision) = (&self.service.config, &self.service.decision);
        if config.profile == Profile::Demo {
            let index = u32::try_from(partition).unwrap_or_default();
            let engine = Engine::new(index, std::sync::Arc::clone(decision));
            let counted = engine.stats();
            return Ok(Owned {
                engine,
                next: 0,
                touched: false,
                ended: false,
                counted,
            });
        }
        let begun = Instant::now();
        let restored = restore(
            self.client,
            &self.consumer,
            &config.topics,
            config.start,
            decision,
            (partition, self.partitions),
        )?;
        self.service.metrics.restore(begun.elapsed().as_secs_f64());
        tracing::info!(
            partition,
            next = restored.next,
            records = restored.records,
            seconds = begun.elapsed().as_secs_f64(),
            "state restored"
        );
        let mut counted = restored.engine.stats();
        // Identities are a gauge: what was restored is new to this process.
        (counted.identities, counted.learning) = (0, 0);
        Ok(Owned {
            engine: restored.engine,
            next: restored.next,
            touched: false,
            ended: false,
            counted,
        })
    }

    /// Commits everything since the last commit: alerts, dead letters, state, progress, offsets.
    fn commit(&mut self) -> Result<(), Teardown> {
        if self.transaction.age().is_none() {
            return Ok(());
        }
        let begun = Instant::now();
        let config = &self.service.config;
        for alert in &self.alerts {
            publish::alert(&self.transaction, self.service, alert)?;
        }
        let mut offsets = TopicPartitionList::new();
        for (partition, owned) in &mut self.owned {
            if !owned.touched {
                continue;
            }
            if config.profile != Profile::Demo {
                let progress = Progress {
                    next: owned.next,
                    partitions: self.partitions,
                    decision: self.service.decision.digest().to_owned(),
                };
                let engine = &mut owned.engine;
                publish::state(
                    &self.transaction,
                    self.service,
                    *partition,
                    engine,
                    &progress,
                )?;
            }
            offsets
                .add_partition_offset(
                    &config.topics.events,
                    *partition,
                    Offset::Offset(owned.next),
                )
                .map_err(Teardown::during("adding the input offsets"))?;
        }
        self.transaction.commit(&offsets, &self.consumer)?;
        for owned in self.owned.values_mut().filter(|owned| owned.touched) {
            owned.touched = false;
            count(self.service, owned);
        }
        for alert in self.alerts.drain(..).filter(|alert| alert.revision == 1) {
            self.service.metrics.alert(alert.detector, alert.severity);
        }
        for reason in self.refused.drain(..) {
            self.service.metrics.deadletter(Role::Watch, reason);
        }
        let unknown = std::mem::take(&mut self.unknown);
        self.service.metrics.unknown_fields(unknown);
        self.taken = 0;
        self.urgent = false;
        self.service
            .metrics
            .commit(Role::Watch, begun.elapsed().as_secs_f64());
        self.service.health.set_ready(self.part);
        Ok(())
    }
}

/// Hands one record to its engine.
fn take(
    owned: &mut Owned,
    message: &BorrowedMessage<'_>,
    alerts: &mut Vec<Alert>,
    ignored: &mut u64,
) -> Result<Fate, Reject> {
    let headers = message.headers();
    let headers = headers.into_iter().flat_map(Headers::iter);
    let kind = control::kind(headers.map(|header| (header.key, header.value)));
    let received = message.timestamp().to_millis();
    let received = received.map(|ms| Timestamp::from_micros(ms.saturating_mul(1000)));
    owned.next = message.offset() + 1;
    owned.touched = true;
    owned.ended = false;
    let engine = &mut owned.engine;
    let (key, value) = (message.key(), message.payload());
    with_input(kind.as_deref(), key, value, received, |input, unknown| {
        *ignored += u64::from(unknown);
        input.map(|input| engine.handle(&input, alerts))
    })
}

/// Moves what an engine counted since the last commit into the metrics.
fn count(service: &Service, owned: &mut Owned) {
    let (now, then) = (owned.engine.stats(), &owned.counted);
    let metrics = &service.metrics;
    for (&fate, (now, then)) in Fate::ALL.iter().zip(now.fates.iter().zip(&then.fates)) {
        metrics.records(fate, now - then);
    }
    for (&limit, (now, then)) in Limit::ALL.iter().zip(now.limits.iter().zip(&then.limits)) {
        metrics.limit(limit, now - then);
    }
    for (card, (now, then)) in CARDS.iter().zip(now.detectors.iter().zip(&then.detectors)) {
        metrics.detector(
            card.name,
            now.evaluations - then.evaluations,
            now.findings - then.findings,
            now.panics - then.panics,
        );
    }
    metrics.identities(
        now.identities.cast_signed() - then.identities.cast_signed(),
        now.learning.cast_signed() - then.learning.cast_signed(),
    );
    metrics.folded(now.folded - then.folded);
    metrics.evicted(now.evicted - then.evicted);
    if let Some(watermark) = owned.engine.watermark() {
        let partition = owned.engine.partition();
        metrics.watermark(partition, Some(watermark.micros() as f64 / 1e6));
    }
    owned.counted = now;
}
