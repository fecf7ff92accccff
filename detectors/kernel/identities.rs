//! The identities of one partition, bounded: a newcomer may displace newcomers, nobody else.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::hash::BuildHasher;
use std::sync::Arc;

use arrayvec::ArrayVec;
use foldhash::quality::FixedState;
use hashbrown::HashTable;

use super::asleep::{Asleep, Part};
use super::births::Births;
use super::inventory::Declared;
use super::limit::Limit;
use super::memory::{Known, Memory};
use super::newcomers::Newcomers;
use super::slab::Slab;
use super::time::{Span, Timestamp};

/// The identities of one partition, by name.
pub(crate) struct Identities {
    /// The slot of each name, with a hash of the name: whoever compares or grows looks at it first.
    table: HashTable<(u32, u32)>,
    slab: Slab,
    newcomers: Newcomers,
    /// Never seen and not declared, such as those that only broke a rule late: they make room first.
    strangers: BTreeSet<Box<str>>,
    strangers_max: usize,
    births: Births,
    /// Slots in which something must be stored, each once; one that was evicted may be empty.
    dirty: Vec<u32>,
    /// Whether a slot stands in `dirty`.
    queued: Vec<bool>,
    deleted: BTreeSet<Box<str>>,
    /// Where [`Identities::doze`] goes on.
    hand: usize,
    /// The slot that was restored last.
    last: Option<u32>,
    max: usize,
    evicted: u64,
}

impl Identities {
    /// Room for `max` identities, and for so many `newcomers` among them.
    pub(crate) fn new(max: usize, newcomers: usize) -> Self {
        Self {
            table: HashTable::new(),
            slab: Slab::default(),
            newcomers: Newcomers::new(newcomers),
            strangers_max: newcomers.max(1),
            strangers: BTreeSet::new(),
            births: Births::default(),
            dirty: Vec::new(),
            queued: Vec::new(),
            deleted: BTreeSet::new(),
            hand: 0,
            last: None,
            max: max.max(1),
            evicted: 0,
        }
    }

    /// The slot of `identity`, which acts, while the partition's time is `front`. Where there is no room, who has no
    /// history gives way, and in turn: who was never seen, who never came back after a day, and a newcomer of the issuer
    /// that has the most to one of another. Where the partition is `settled`, newcomers are bounded as a class too.
    ///
    /// # Errors
    /// The limit for which there is no room.
    pub(crate) fn admit(
        &mut self,
        identity: &str,
        front: Timestamp,
        settled: bool,
    ) -> Result<u32, Limit> {
        let known = self.find(identity);
        let newcomer = known.is_none() || self.strangers.contains(identity);
        if let Some(slot) = known.filter(|_| !newcomer) {
            return Ok(slot);
        }
        self.newcomers.expire(front);
        let crowded = settled && self.newcomers.is_full();
        if crowded || (known.is_none() && !self.make_room()) {
            let limit = match crowded {
                true => Limit::Newcomers,
                false => Limit::Identities,
            };
            let least = self.newcomers.give_way(identity).ok_or(limit)?;
            self.evict(&least);
        }
        Ok(known.unwrap_or_else(|| self.enter_stranger(identity)))
    }

    /// The slot of `identity`, which is declared or has broken a rule: any newcomer gives way to it where
    /// [`Identities::new`]'s `max` is reached. Nothing where there is none.
    pub(crate) fn admit_rather(&mut self, identity: &str, front: Timestamp) -> Option<u32> {
        if let Some(slot) = self.find(identity) {
            return Some(slot);
        }
        self.newcomers.expire(front);
        if !self.make_room() {
            let least = self.newcomers.take_latest()?;
            self.evict(&least);
        }
        Some(self.enter_stranger(identity))
    }

    /// Whether there is room for one more, if need be that of one who was never seen, or who never came back. Of those
    /// who were never seen there are no more than of newcomers.
    fn make_room(&mut self) -> bool {
        if self.strangers.len() >= self.strangers_max
            && let Some(least) = self.strangers.pop_first()
        {
            self.evict(&least);
        }
        if self.table.len() < self.max {
            return true;
        }
        let stranger = self.strangers.pop_first().map(Arc::from);
        let least = stranger.or_else(|| self.newcomers.take_unproven());
        least.inspect(|least| self.evict(least)).is_some()
    }

    fn enter_stranger(&mut self, identity: &str) -> u32 {
        self.strangers.insert(identity.into());
        let slot = self.insert(identity);
        self.touch(slot, true, true);
        slot
    }

    /// Notes that `identity` was first seen at `ts` and not, as was `known` until now, later, while the
    /// partition's time is `front`.
    pub(crate) fn born(
        &mut self,
        identity: &str,
        known: Option<Timestamp>,
        ts: Timestamp,
        front: Timestamp,
    ) {
        self.strangers.remove(identity);
        if let Some(known) = known {
            self.births.forget(known);
        }
        self.births.expire(YOUNG, front);
        self.births.note(ts);
    }

    /// Counts who has `slot` among those without a history, or no longer; `was` is what [`Memory::unproven`] said before.
    pub(crate) fn place(&mut self, slot: u32, was: Option<Timestamp>) {
        let Some(memory) = self.slab.awake(slot) else {
            return;
        };
        let is = memory.unproven();
        if is == was {
            return;
        }
        if let Some(ts) = was {
            self.newcomers.remove(ts, &memory.identity);
        }
        if let Some(ts) = is {
            self.newcomers.insert(ts, &memory.identity);
        }
    }

    /// Takes over what the inventory declares of `slot`; the same again is no change.
    pub(crate) fn declare(&mut self, slot: u32, declared: Option<Declared>) {
        let Some(memory) = self.slab.wake(slot) else {
            return;
        };
        if memory.baseline.declared == declared {
            return;
        }
        let was = memory.unproven();
        if memory.is_stranger() {
            self.strangers.remove(&*memory.identity);
        }
        memory.baseline.declare(declared);
        if memory.is_stranger() {
            self.strangers.insert((*memory.identity).into());
        }
        self.place(slot, was);
        self.touch(slot, true, true);
    }

    /// Identities whose baseline is at most [`YOUNG`] old at `front`, to the hour.
    pub(crate) fn young(&self, front: Timestamp) -> u64 {
        self.births.younger(YOUNG, front)
    }

    pub(crate) fn find(&self, identity: &str) -> Option<u32> {
        let hashed = hash(identity);
        let is = |it: &(u32, u32)| it.0 == hashed && self.is(it.1, identity);
        self.table.find(spread(hashed), is).map(|it| it.1)
    }

    /// Has what is known of the first [`AT_ONCE`] of these names fetched into the processor's cache. Each step is done for
    /// all of them before the next, so that their waits for memory overlap. Whose hash it is, is taken for it: to compare
    /// names would be to wait for what is to be fetched, and a wrong one costs nothing.
    pub(crate) fn prefetch<'n>(&self, names: impl Iterator<Item = &'n str>) {
        let hashes: ArrayVec<u32, AT_ONCE> = names.take(AT_ONCE).map(hash).collect();
        let places = hashes.iter().map(|hashed| {
            let is = |it: &(u32, u32)| it.0 == *hashed;
            self.table.find(spread(*hashed), is)
        });
        let places: ArrayVec<&(u32, u32), AT_ONCE> = places.flatten().collect();
        for (_, slot) in places {
            self.slab.prefetch(*slot);
        }
    }

    pub(crate) fn memory(&mut self, slot: u32) -> Option<&mut Memory> {
        self.slab.wake(slot)
    }

    /// Notes that a part of `slot` must be stored.
    pub(crate) fn touch(&mut self, slot: u32, hot: bool, rest: bool) {
        if let Some(memory) = self.slab.awake(slot)
            && !memory.unread
        {
            if !std::mem::replace(&mut self.queued[slot as usize], true) {
                self.dirty.push(slot);
            }
            memory.dirty.0 |= hot;
            memory.dirty.1 |= rest;
        }
    }

    /// How many slots have something to store or to delete.
    pub(crate) fn unstored(&self) -> usize {
        self.dirty.len() + self.deleted.len()
    }

    /// The identities that were evicted since the last call, in order.
    pub(crate) fn take_deleted(&mut self) -> BTreeSet<Box<str>> {
        std::mem::take(&mut self.deleted)
    }

    /// Hands the identities that must be stored to `each`, with which parts; afterwards none must, and those sleep that
    /// have no open hour.
    pub(crate) fn take_dirty(&mut self, mut each: impl FnMut(&Memory, bool, bool)) {
        let mut dirty = std::mem::take(&mut self.dirty);
        // Mostly the order in which they lie in memory.
        dirty.sort_unstable();
        for (at, &slot) in dirty.iter().enumerate() {
            if let Some(next) = dirty.get(at + AT_ONCE) {
                self.slab.prefetch(*next);
            }
            self.queued[slot as usize] = false;
            if let Some(memory) = self.slab.awake(slot) {
                let (hot, rest) = std::mem::take(&mut memory.dirty);
                if hot || rest {
                    memory.stored = true;
                    each(memory, hot, rest);
                }
                self.slab.lull(slot);
            }
        }
        dirty.clear();
        self.dirty = dirty;
    }

    /// Lets a part of those sleep, in turns, who were only looked at: what an identity takes in memory is several times
    /// what its stored form takes.
    pub(crate) fn doze(&mut self) {
        let turn = self.slab.awake_len() / TURNS + 1;
        self.hand = self.slab.doze(self.hand, turn);
    }

    /// All identities, in order of their names.
    pub(crate) fn sorted(&self) -> Vec<Known<'_>> {
        let mut all: Vec<Known<'_>> = self.slab.iter().collect();
        all.sort_by(|a, b| a.name().cmp(b.name()));
        all
    }

    /// Puts back a part of an identity as it was stored; it sleeps until somebody looks at it.
    pub(crate) fn restore(&mut self, identity: &str, part: Part, payload: &[u8]) {
        // Its other part is usually the record before.
        let last = self.last.filter(|slot| self.is(*slot, identity));
        let slot = last.or_else(|| self.find(identity)).unwrap_or_else(|| {
            let slot = self.slab.insert_asleep(Asleep::new(identity));
            self.enter(identity, slot);
            slot
        });
        self.last = Some(slot);
        if let Some(asleep) = self.slab.asleep(slot) {
            asleep.put(part, payload);
        }
    }

    /// Takes an identity away.
    pub(crate) fn forget(&mut self, identity: &str) {
        let Some(slot) = self.find(identity) else {
            return;
        };
        let is = |it: &(u32, u32)| it.1 == slot;
        if let Ok(entry) = self.table.find_entry(spread(hash(identity)), is) {
            entry.remove();
        }
        self.slab.remove(slot);
    }

    /// After the last [`Identities::restore`]: finds out again who has no history at `front`, and shows each that is
    /// asleep to `each`, with its slot and as much of it as its partition goes by.
    ///
    /// # Errors
    /// Whose state cannot be read, and why.
    pub(crate) fn restored(
        &mut self,
        front: Timestamp,
        mut each: impl FnMut(u32, &mut Memory),
    ) -> Result<(), (String, String)> {
        self.strangers.clear();
        self.births = Births::default();
        let mut sketch = Memory::new("");
        for (slot, asleep) in self.slab.iter_asleep() {
            let unread = |reason| (asleep.identity.to_string(), reason);
            asleep.sketch(&mut sketch).map_err(unread)?;
            each(slot, &mut sketch);
            asleep.settle(&mut sketch);
            if sketch.is_stranger() {
                self.strangers.insert((*sketch.identity).into());
            }
            if let Some(first_seen) = sketch.baseline.first_seen {
                self.births.note(first_seen);
            }
            if let Some(ts) = sketch.unproven() {
                self.newcomers.restore(ts, &sketch.identity, front);
            }
        }
        Ok(())
    }

    /// The issuer that has the most newcomers, and how many.
    pub(crate) fn most_newcomers(&self) -> Option<(&str, usize)> {
        self.newcomers.most()
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    pub(crate) const fn evicted(&self) -> u64 {
        self.evicted
    }

    fn is(&self, slot: u32, identity: &str) -> bool {
        self.slab.get(slot).map(Known::name) == Some(identity)
    }

    fn insert(&mut self, identity: &str) -> u32 {
        let mut memory = Memory::new(identity);
        memory.stored = self.deleted.remove(identity);
        let slot = self.slab.insert(memory);
        self.enter(identity, slot);
        slot
    }

    /// Notes which slot `identity` has.
    fn enter(&mut self, identity: &str, slot: u32) {
        let hashed = hash(identity);
        self.queued
            .resize(self.queued.len().max(slot as usize + 1), false);
        self.table
            .insert_unique(spread(hashed), (hashed, slot), |it| spread(it.0));
    }

    fn evict(&mut self, identity: &str) {
        let Some(known) = self.find(identity).and_then(|slot| self.slab.get(slot)) else {
            return;
        };
        if let Some(first_seen) = known.first_seen() {
            self.births.forget(first_seen);
        }
        if known.is_stored() {
            self.deleted.insert(identity.into());
        }
        self.evicted += 1;
        self.forget(identity);
    }
}

/// How many are fetched at once; see [`Identities::prefetch`].
pub(crate) const AT_ONCE: usize = 16;
/// So often everybody is asked once whether they may sleep.
const TURNS: usize = 64;
/// Younger than this, a baseline is [`BaselineState::Learning`](super::detector::BaselineState).
const YOUNG: Span = Span::WEEK;

fn hash(identity: &str) -> u32 {
    FixedState::default().hash_one(identity) as u32
}

/// A hash as wide as the table wants it: it takes a place from its low bits and a mark from its high ones.
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}
