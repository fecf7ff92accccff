//! One watch thread: reads its partitions of the event log, lets their engines judge, and commits what
//! comes of it. It knows no Kafka, only a [`Broker`].

pub mod broker;
pub mod deadletter;
pub mod frame;
mod publish;
mod restore;
mod teardown;

use std::collections::BTreeMap;
use std::time::Duration;

pub use broker::{Broker, Happened, Record};
use deadletter::Refused;
use frame::Progress;
use nhiwatch_detectors::CARDS;
use nhiwatch_detectors::kernel::alert::Alert;
use nhiwatch_detectors::kernel::detector::Severity;
use nhiwatch_detectors::kernel::engine::{Engine, Stats};
use nhiwatch_detectors::kernel::input::Fate;
use nhiwatch_detectors::kernel::limit::Limit;
pub use teardown::Teardown;

use crate::config::Profile;
use crate::metrics::Role;
use crate::service::Service;
use crate::wire::{Reject, with_input};

/// How long a commit may take before who waits for it says that it does not do its work.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// Consumer group of the shards.
pub const GROUP: &str = "nhiwatch-watch";

/// From joining the group to leaving it.
pub struct Shard<'s, B> {
    service: &'s Service,
    /// What the shard is called where the service says what it waits for.
    part: &'s str,
    broker: B,
    owned: BTreeMap<i32, Owned>,
    /// How many partitions the event log has.
    partitions: i32,
    /// What goes into the next transaction.
    pending: Pending,
    seen_first: bool,
}

/// What came of the records since the last commit.
#[derive(Default)]
struct Pending {
    /// When the wait began that brought the first of them.
    since: Option<Duration>,
    /// How many were taken.
    taken: usize,
    alerts: Vec<Alert>,
    /// Whether one of the alerts should not wait.
    urgent: bool,
    refused: Vec<Refused>,
    /// Bytes that the refused records hold.
    held: usize,
    /// Fields that the schema does not know.
    unknown: u64,
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

impl<'s, B: Broker> Shard<'s, B> {
    /// A shard that owns nothing yet.
    pub fn new(service: &'s Service, part: &'s str, broker: B) -> Self {
        Self {
            service,
            part,
            broker,
            owned: BTreeMap::new(),
            partitions: 0,
            pending: Pending::default(),
            seen_first: false,
        }
    }

    /// Works until the service stops; then everything is committed.
    ///
    /// # Errors
    /// Whatever must be started again from what is committed.
    pub fn work(&mut self) -> Result<(), Teardown> {
        while !self.service.stopping() {
            self.step()?;
        }
        self.commit()?;
        for (partition, next, digest) in self.digests() {
            tracing::info!(partition, next, digest, "drained");
        }
        Ok(())
    }

    /// Takes what comes next, and commits if it is time to.
    ///
    /// # Errors
    /// As [`Shard::work`].
    pub fn step(&mut self) -> Result<(), Teardown> {
        self.poll()?;
        let places = self.owned.iter();
        let mut places = places.map(|(partition, owned)| (*partition, owned.next, owned.ended));
        self.broker.tend(&mut places);
        if self.is_due() {
            self.commit()?;
        }
        Ok(())
    }

    /// The next offset of every partition that it owns, and the digest of its state.
    pub fn digests(&self) -> impl Iterator<Item = (i32, i64, String)> {
        let digest =
            |(partition, owned): (&i32, &Owned)| (*partition, owned.next, owned.engine.digest());
        self.owned.iter().map(digest)
    }

    /// Gives up every partition, and takes it out of what the gauges show.
    pub fn release(&mut self) {
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

    /// The broker, once the shard is done with it.
    pub fn into_broker(self) -> B {
        self.broker
    }

    fn is_due(&self) -> bool {
        let kafka = &self.service.config.kafka;
        let pending = &self.pending;
        let old = pending.since.is_some_and(|since| {
            let age = self.broker.now().saturating_sub(since);
            age >= kafka.commit_interval || (pending.urgent && age >= URGENT)
        });
        old || pending.taken >= kafka.commit_records || pending.held >= HELD_MAX
    }

    fn poll(&mut self) -> Result<(), Teardown> {
        let wait = match self.pending.since {
            Some(_) => Duration::from_millis(5),
            None => Duration::from_millis(50),
        };
        let now = self.broker.now();
        let (owned, pending) = (&mut self.owned, &mut self.pending);
        let happened = self.broker.poll(wait, &mut |record| {
            if let Some(owned) = owned.get_mut(&record.partition)
                && record.offset >= owned.next
            {
                pending.since.get_or_insert(now);
                take(owned, record, pending);
            }
        })?;
        if !self.seen_first && self.pending.taken > 0 {
            self.seen_first = true;
            let seconds = now.as_secs_f64();
            tracing::info!(seconds, "first new event after the start");
        }
        for happened in happened {
            match happened {
                Happened::Ended(partition) => {
                    if let Some(owned) = self.owned.get_mut(&partition) {
                        owned.ended = true;
                    }
                }
                Happened::Assigned(partitions) => self.assign(&partitions)?,
                Happened::Revoked { lost } => self.revoke(lost)?,
            }
        }
        Ok(())
    }

    fn assign(&mut self, partitions: &[i32]) -> Result<(), Teardown> {
        self.partitions = self.broker.partitions()?;
        for &partition in partitions {
            let owned = self.restore(partition)?;
            self.owned.insert(partition, owned);
            self.service.metrics.partitions(1);
        }
        let places = self.owned.iter();
        let places: Vec<_> = places
            .map(|(partition, owned)| (*partition, owned.next))
            .collect();
        self.broker.assign(&places)?;
        self.service.health.set_ready(self.part);
        Ok(())
    }

    fn revoke(&mut self, lost: bool) -> Result<(), Teardown> {
        if !lost {
            self.commit()?;
        } else if self.pending.since.is_some() {
            return Err(Teardown::Refused("the assignment was lost".to_owned()));
        }
        self.release();
        self.service
            .health
            .set_unready(self.part, "waiting for partitions");
        self.broker.unassign()
    }

    fn restore(&mut self, partition: i32) -> Result<Owned, Teardown> {
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
        let begun = self.broker.now();
        let restored = restore::restore(
            &mut self.broker,
            &config.topics,
            config.start,
            decision,
            (partition, self.partitions),
        )?;
        let seconds = self.broker.now().saturating_sub(begun).as_secs_f64();
        self.service.metrics.restore(seconds);
        tracing::info!(
            partition,
            next = restored.next,
            records = restored.records,
            seconds,
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
        if self.pending.since.is_none() {
            return Ok(());
        }
        let begun = self.broker.now();
        let config = &self.service.config;
        self.service
            .health
            .set_waiting(self.part, "a commit does not end", PATIENCE);
        self.broker.begin()?;
        for refused in &self.pending.refused {
            let letter = refused.letter(&config.topics.events);
            letter.send(&self.broker, self.service)?;
        }
        for alert in &self.pending.alerts {
            publish::alert(&self.broker, self.service, alert)?;
        }
        let mut offsets = Vec::new();
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
                publish::state(&self.broker, self.service, *partition, engine, &progress)?;
            }
            offsets.push((*partition, owned.next));
        }
        self.broker.commit(&offsets)?;
        self.count(begun);
        Ok(())
    }

    /// Moves what was committed just now into the metrics.
    fn count(&mut self, begun: Duration) {
        let metrics = &self.service.metrics;
        for owned in self.owned.values_mut().filter(|owned| owned.touched) {
            owned.touched = false;
            count(self.service, owned);
        }
        let pending = std::mem::take(&mut self.pending);
        for alert in pending.alerts.iter().filter(|alert| alert.revision == 1) {
            metrics.alert(alert.detector, alert.severity);
        }
        for refused in &pending.refused {
            metrics.deadletter(Role::Watch, refused.reject.reason);
        }
        metrics.unknown_fields(pending.unknown);
        let seconds = self.broker.now().saturating_sub(begun).as_secs_f64();
        metrics.commit(Role::Watch, seconds);
        self.service.health.set_ready(self.part);
    }
}

/// Hands one record to its engine.
fn take(owned: &mut Owned, record: &Record<'_>, pending: &mut Pending) {
    owned.next = record.offset + 1;
    owned.touched = true;
    owned.ended = false;
    let (before, engine) = (pending.alerts.len(), &mut owned.engine);
    let (alerts, unknown) = (&mut pending.alerts, &mut pending.unknown);
    let fate: Result<Fate, Reject> = with_input(
        record.kind.as_deref(),
        record.key,
        record.value,
        record.received,
        |input, fields| {
            *unknown += u64::from(fields);
            input.map(|input| engine.handle(&input, alerts))
        },
    );
    pending.taken += 1;
    pending.urgent |= pending.alerts[before..]
        .iter()
        .any(|alert| alert.severity >= Severity::High);
    if let Err(reject) = fate {
        let refused = Refused::of(record, reject);
        pending.held += refused.bytes();
        pending.refused.push(refused);
    }
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

/// How long an alert that should not wait waits for others.
const URGENT: Duration = Duration::from_millis(50);
/// Bytes of refused records after which a transaction is committed.
const HELD_MAX: usize = 8 << 20;
