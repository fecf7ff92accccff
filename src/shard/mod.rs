//! One watch thread: reads its partitions of the event log, lets their engines judge, and commits what
//! comes of it. It knows no Kafka, only a [`Broker`].

mod assigned;
pub mod broker;
pub mod cache;
pub mod deadletter;
pub mod frame;
mod owned;
mod partitions;
mod publish;
mod restore;
mod teardown;

use std::collections::BTreeMap;
use std::time::Duration;

pub use broker::{Broker, Happened, Record};
use cache::{Cache, Mark};
use deadletter::Refused;
use nhiwatch_detectors::kernel::alert::Alert;
use owned::{Owned, Parked};
pub use teardown::{ACCEPT, Teardown};

use crate::config::Profile;
use crate::metrics::Role;
use crate::service::Service;

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
    /// Whether the group has given it its share, be that none.
    assigned: bool,
    owned: BTreeMap<i32, Owned>,
    /// What it had before its partitions were asked back, until it knows which of them it gets again.
    parked: BTreeMap<i32, Parked>,
    /// Copies of their state on local disk.
    cache: Cache,
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

impl<'s, B: Broker> Shard<'s, B> {
    /// A shard that owns nothing yet.
    pub fn new(service: &'s Service, part: &'s str, broker: B) -> Self {
        Self {
            service,
            part,
            broker,
            assigned: false,
            owned: BTreeMap::new(),
            parked: BTreeMap::new(),
            cache: Cache::new(service),
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
        self.settle()?;
        for (partition, owned) in &self.owned {
            let (next, identities) = (owned.next, owned.engine.stats().identities);
            let digest = (identities <= DIGESTED_MAX).then(|| owned.engine.digest());
            tracing::info!(partition, next, identities, digest, "drained");
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
        if self.broker.tend(&mut places) {
            self.say_ready();
        }
        let due = self.is_due();
        if !due && self.pending.since.is_some() {
            return Ok(());
        }
        // While nothing waits to be committed, what was committed may still have to be stored.
        let store = self.to_store();
        match due || !store.is_empty() {
            true => self.commit(&store),
            false => Ok(()),
        }
    }

    /// The next offset of every partition that it owns, and the digest of its state.
    pub fn digests(&self) -> impl Iterator<Item = (i32, i64, String)> {
        let digest =
            |(partition, owned): (&i32, &Owned)| (*partition, owned.next, owned.engine.digest());
        self.owned.iter().map(digest)
    }

    /// Gives up every partition, and takes it out of what the gauges show.
    pub fn release(&mut self) {
        self.parked.clear();
        self.let_go();
    }

    /// Takes all partitions out of what the gauges show, and gives the copies of their states back; tells what is known
    /// of each, and what its copy holds, if there was one until now.
    fn let_go(&mut self) -> Vec<(i32, Owned, Option<Mark>)> {
        let partitions: Vec<i32> = self.owned.keys().copied().collect();
        let mut marks = self.cache.release(&partitions);
        let owned = std::mem::take(&mut self.owned).into_iter();
        let let_go = owned.map(|(partition, owned)| {
            self.service.metrics.partitions(-1);
            owned.uncount(self.service);
            (partition, owned, marks.remove(&partition))
        });
        let_go.collect()
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

    /// The partitions whose state it is time to store; who has waited for longest goes first, and as many as a
    /// transaction holds well.
    fn to_store(&self) -> Vec<i32> {
        let (kafka, now) = (&self.service.config.kafka, self.broker.now());
        let owned = self.owned.iter().filter(|_| self.keeps_state());
        let mut due: Vec<_> = owned
            .filter(|(_, owned)| owned.is_due(now, kafka))
            .collect();
        due.sort_by_key(|(_, owned)| owned.stored_at());
        let mut sum = 0;
        let fits = |(_, owned): &(&i32, &Owned)| {
            let fits = sum == 0 || sum + owned.engine.unstored() <= kafka.checkpoint_identities;
            sum += owned.engine.unstored();
            fits
        };
        due.into_iter()
            .take_while(fits)
            .map(|(partition, _)| *partition)
            .collect()
    }

    /// The embedded broker of a demo has nothing to restore from.
    fn keeps_state(&self) -> bool {
        self.service.config.profile != Profile::Demo
    }

    fn poll(&mut self) -> Result<(), Teardown> {
        let wait = match self.pending.since {
            Some(_) => Duration::from_millis(5),
            None => Duration::from_millis(50),
        };
        let now = self.broker.now();
        let (owned, pending) = (&mut self.owned, &mut self.pending);
        let happened = self.broker.poll(wait, &mut |records| {
            for records in records.chunk_by(|a, b| a.partition == b.partition) {
                if let Some(owned) = owned.get_mut(&records[0].partition) {
                    owned.take(records, now, pending);
                }
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
                        owned.end();
                    }
                }
                Happened::Assigned(partitions) => self.assign(&partitions)?,
                Happened::Revoked { lost } => self.revoke(lost)?,
            }
        }
        Ok(())
    }

    /// Commits all that is pending, and stores the state of every partition.
    fn settle(&mut self) -> Result<(), Teardown> {
        if self.pending.since.is_some() {
            self.commit(&[])?;
        }
        let behind = self.owned.iter().filter(|(_, owned)| owned.is_behind());
        let behind: Vec<i32> = behind.map(|(partition, _)| *partition).collect();
        for partition in behind {
            if self.keeps_state() {
                self.commit(&[partition])?;
            }
        }
        Ok(())
    }

    /// Commits everything since the last commit: alerts, dead letters, progress and offsets; and the state of some
    /// partitions, as of the same offsets.
    fn commit(&mut self, store: &[i32]) -> Result<(), Teardown> {
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
        let keeps_state = self.keeps_state();
        for (&partition, owned) in &mut self.owned {
            let stores = store.contains(&partition);
            if !owned.touched && !stores {
                continue;
            }
            if stores {
                owned.stored(begun);
            }
            let decision = self.service.decision.digest();
            let progress = owned.progress(self.partitions, decision);
            let (broker, service) = (&self.broker, self.service);
            if stores {
                let state = (&mut owned.engine, &mut self.cache);
                publish::state(broker, service, partition, state, &progress)?;
            } else if keeps_state {
                publish::progress(broker, service, partition, &progress)?;
            }
            offsets.push((partition, owned.next));
        }
        self.broker.commit(&offsets)?;
        for &partition in store {
            match self.broker.state_written(partition) {
                Some(until) => self.cache.end(partition, until),
                None => drop(self.cache.release(&[partition])),
            }
        }
        self.count(begun, store);
        Ok(())
    }

    /// Moves what was committed just now into the metrics.
    fn count(&mut self, begun: Duration, store: &[i32]) {
        let metrics = &self.service.metrics;
        for (&partition, owned) in &mut self.owned {
            if std::mem::take(&mut owned.touched) {
                owned.count(self.service);
            }
            if store.contains(&partition)
                && let Some(lost) = owned.take_lost()
            {
                metrics.lost(lost);
                let events = &self.service.config.topics.events;
                self.service.loss.settle(events, partition);
            }
        }
        let pending = std::mem::take(&mut self.pending);
        for alert in pending.alerts.iter().filter(|alert| alert.revision == 1) {
            metrics.alert(alert.detector, alert.severity);
        }
        for refused in &pending.refused {
            metrics.deadletters(Role::Watch, refused.reject.reason, 1);
        }
        metrics.unknown_fields(pending.unknown);
        let seconds = self.broker.now().saturating_sub(begun).as_secs_f64();
        metrics.commit(Role::Watch, seconds);
        if !store.is_empty() {
            metrics.checkpoint(seconds);
        }
        self.say_ready();
    }
}

/// Identities of a partition of which the digest is told at the end; of more it takes seconds.
const DIGESTED_MAX: u64 = 50_000;
/// How long an alert that should not wait waits for others.
const URGENT: Duration = Duration::from_millis(50);
/// Bytes of refused records after which a transaction is committed.
const HELD_MAX: usize = 8 << 20;
