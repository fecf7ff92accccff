//! One watch thread: reads its partitions of the event log, lets their engines judge, and commits what
//! comes of it. It knows no Kafka, only a [`Broker`].

pub mod broker;
pub mod cache;
pub mod deadletter;
pub mod frame;
mod owned;
mod publish;
mod restore;
mod teardown;

use std::collections::BTreeMap;
use std::time::Duration;

pub use broker::{Broker, Happened, Record};
use cache::{Cache, Mark};
use deadletter::Refused;
use nhiwatch_detectors::kernel::alert::Alert;
use nhiwatch_detectors::kernel::engine::Engine;
use owned::{Owned, Parked};
use restore::{Place, Restored};
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
            let fits = sum == 0 || sum + owned.engine.unstored() <= UNSTORED_MAX;
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
        let happened = self.broker.poll(wait, &mut |record| {
            if let Some(owned) = owned.get_mut(&record.partition)
                && record.offset >= owned.next
            {
                owned.take(record, now, pending);
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

    fn assign(&mut self, partitions: &[i32]) -> Result<(), Teardown> {
        let count = self.broker.partitions()?;
        // With another number of them identities are elsewhere, which a restore refuses.
        let stays = count == self.partitions;
        self.parked
            .retain(|partition, _| stays && partitions.contains(partition));
        self.partitions = count;
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
        self.assigned = true;
        self.say_ready();
        Ok(())
    }

    /// Says that it does its work, once it has caught up with what was committed before.
    fn say_ready(&self) {
        let health = &self.service.health;
        let caught_up = self.owned.values().all(Owned::has_caught_up);
        match (self.assigned, caught_up) {
            (true, true) => health.set_ready(self.part),
            (true, false) => health.set_unready(self.part, CATCHING_UP),
            (false, _) => health.set_unready(self.part, WAITING),
        }
    }

    fn revoke(&mut self, lost: bool) -> Result<(), Teardown> {
        if !lost {
            self.settle()?;
        } else if self.pending.since.is_some() {
            return Err(Teardown::Refused("the assignment was lost".to_owned()));
        }
        let parks = !lost && self.keeps_state();
        let known = self.let_go().into_iter().filter(|_| parks);
        let park = |(partition, owned, copy): (i32, Owned, _)| Some((partition, owned.park(copy)?));
        self.parked = known.filter_map(park).collect();
        self.assigned = false;
        self.say_ready();
        self.broker.unassign()
    }

    fn restore(&mut self, partition: i32) -> Result<Owned, Teardown> {
        let (config, decision) = (&self.service.config, &self.service.decision);
        if config.profile == Profile::Demo {
            let index = u32::try_from(partition).unwrap_or_default();
            let engine = Engine::new(index, std::sync::Arc::clone(decision));
            let place = Place::first(0);
            return Ok(Owned::new((engine, 0), place, self.broker.now()));
        }
        if let Some(owned) = self.unpark(partition)? {
            return Ok(owned);
        }
        let since = self.broker.now();
        let place = (partition, self.partitions);
        let restored = restore::restore((&mut self.broker, &mut self.cache), self.service, place)?;
        let now = self.broker.now();
        let seconds = now.saturating_sub(since).as_secs_f64();
        self.service.metrics.restore(seconds);
        let Restored {
            engine,
            begun,
            place,
            records,
            copied,
        } = restored;
        let (next, stored) = (place.told, place.next);
        tracing::info!(
            partition,
            next,
            stored,
            records,
            copied,
            seconds,
            "state restored"
        );
        Ok(Owned::new((engine, begun), place, now))
    }

    /// Goes on with what it knew of a partition when it gave it back, if nobody has gone on with it since: a state is a
    /// function of the records before its offset.
    fn unpark(&mut self, partition: i32) -> Result<Option<Owned>, Teardown> {
        let Some(parked) = self.parked.remove(&partition) else {
            return Ok(None);
        };
        let next = parked.next;
        if self.broker.committed(partition, false)? != Some(next) {
            return Ok(None);
        }
        if let Some(mark) = parked.copy {
            self.cache.resume(partition, mark);
        }
        tracing::info!(partition, next, "goes on with what it knew");
        let state = (parked.engine, parked.begun);
        Ok(Some(Owned::new(
            state,
            Place::first(next),
            self.broker.now(),
        )))
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
            metrics.deadletter(Role::Watch, refused.reject.reason);
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
/// What it says while it replays.
const CATCHING_UP: &str = "taking in again what came after the stored state";
/// What it says while the group forms.
const WAITING: &str = "waiting for partitions";
/// Identities to store after which a checkpoint does not wait any longer, nor for another partition: a transaction must end
/// in time on a slow broker too.
const UNSTORED_MAX: usize = 100_000;
/// Bytes of refused records after which a transaction is committed.
const HELD_MAX: usize = 8 << 20;
