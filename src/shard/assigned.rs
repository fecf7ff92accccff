//! What a shard does when the group gives it partitions, or asks for them back.

use nhiwatch_detectors::kernel::engine::Engine;

use super::owned::Owned;
use super::restore::{self, Place, Restored};
use super::{Broker, Shard, Teardown, partitions};
use crate::config::Profile;

impl<B: Broker> Shard<'_, B> {
    pub(super) fn assign(&mut self, partitions: &[i32]) -> Result<(), Teardown> {
        let count = self.broker.partitions()?;
        // With another number of them identities are elsewhere, which a restore refuses.
        let stays = count == self.partitions;
        self.parked
            .retain(|partition, _| stays && partitions.contains(partition));
        self.partitions = count;
        for &partition in partitions {
            let mut owned = self.restore(partition)?;
            if owned.has_caught_up() {
                owned.count(self.service);
            }
            self.owned.insert(partition, owned);
            self.service.metrics.partitions(1);
        }
        self.establish()?;
        let places = self.owned.iter();
        let places: Vec<_> = places
            .map(|(partition, owned)| (*partition, owned.next))
            .collect();
        self.broker.assign(&places)?;
        self.assigned = true;
        self.say_ready();
        Ok(())
    }

    /// Sees to it that a partition without a past has one with the next commit: begun at the end of its input, it
    /// would else begin there again after a restart, without what came in between.
    fn establish(&mut self) -> Result<(), Teardown> {
        if !self.owned.values().any(Owned::is_new) {
            return Ok(());
        }
        if self.owned.values().all(Owned::is_new) {
            // With another number of partitions than the state is of, those that were added have no state.
            partitions::check_others(&mut self.broker, self.service, self.partitions)?;
        }
        for owned in self.owned.values_mut().filter(|owned| owned.is_new()) {
            owned.touched = true;
        }
        let now = self.broker.now();
        self.pending.since.get_or_insert(now);
        Ok(())
    }

    /// Says that it does its work, once it has caught up with what was committed before.
    pub(super) fn say_ready(&self) {
        let health = &self.service.health;
        let caught_up = self.owned.values().all(Owned::has_caught_up);
        match (self.assigned, caught_up) {
            (true, true) => health.set_ready(self.part),
            (true, false) => health.set_unready(self.part, CATCHING_UP),
            (false, _) => health.set_unready(self.part, WAITING),
        }
    }

    pub(super) fn revoke(&mut self, lost: bool) -> Result<(), Teardown> {
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
            let place = Place::at(0);
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
        Ok(Some(Owned::new(state, Place::at(next), self.broker.now())))
    }
}

/// What it says while it replays.
const CATCHING_UP: &str = "taking in again what came after the stored state";
/// What it says while the group forms.
const WAITING: &str = "waiting for partitions";
