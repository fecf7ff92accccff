//! The identities of one partition, bounded: a newcomer may displace newcomers, nobody else.

use std::collections::BTreeSet;
use std::hash::BuildHasher;

use foldhash::quality::FixedState;
use hashbrown::HashTable;

use super::asleep::{Asleep, Part};
use super::births::Births;
use super::inventory::Declared;
use super::memory::{Known, Memory};
use super::slab::Slab;
use super::time::{Span, Timestamp};

/// The identities of one partition, by name.
pub(crate) struct Identities {
    /// The slot of each name, with a hash of the name: whoever compares or grows looks at it first.
    table: HashTable<(u32, u32)>,
    slab: Slab,
    /// First seen within a day: the oldest of them makes room for a newcomer.
    newborn: BTreeSet<(Timestamp, Box<str>)>,
    /// Never seen and not declared, such as those that only broke a rule late: they make room first.
    strangers: BTreeSet<Box<str>>,
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
    pub(crate) fn new(max: usize) -> Self {
        Self {
            table: HashTable::new(),
            slab: Slab::default(),
            newborn: BTreeSet::new(),
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

    /// The slot of `identity`; nothing where there is no room: only a stranger, or an identity first
    /// seen less than a day before `front`, the partition's time, makes room for another.
    pub(crate) fn admit(&mut self, identity: &str, front: Timestamp) -> Option<u32> {
        if let Some(slot) = self.find(identity) {
            return Some(slot);
        }
        while let Some((born, _)) = self.newborn.first()
            && born.plus(Span::DAY) < front
        {
            self.newborn.pop_first();
        }
        if self.table.len() >= self.max {
            let newborn = &mut self.newborn;
            let least = self.strangers.pop_first();
            let least = least.or_else(|| newborn.pop_first().map(|(_, name)| name))?;
            self.evict(&least);
        }
        self.strangers.insert(identity.into());
        let slot = self.insert(identity);
        self.touch(slot, true, true);
        Some(slot)
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
            self.newborn.remove(&(known, identity.into()));
            self.births.forget(known);
        }
        self.newborn.insert((ts, identity.into()));
        self.births.expire(YOUNG, front);
        self.births.note(ts);
    }

    /// Takes over what the inventory declares of `slot`; the same again is no change.
    pub(crate) fn declare(&mut self, slot: u32, declared: Option<Declared>) {
        let Some(memory) = self.slab.wake(slot) else {
            return;
        };
        if memory.baseline.declared == declared {
            return;
        }
        if memory.is_stranger() {
            self.strangers.remove(&*memory.identity);
        }
        memory.baseline.declare(declared);
        if memory.is_stranger() {
            self.strangers.insert((*memory.identity).into());
        }
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

    /// Hands the identities that must be stored to `each`, with which parts; afterwards none must.
    pub(crate) fn take_dirty(&mut self, mut each: impl FnMut(&Memory, bool, bool)) {
        let mut dirty = std::mem::take(&mut self.dirty);
        // Mostly the order in which they lie in memory.
        dirty.sort_unstable();
        for slot in dirty.drain(..) {
            self.queued[slot as usize] = false;
            if let Some(memory) = self.slab.awake(slot) {
                let (hot, rest) = std::mem::take(&mut memory.dirty);
                if hot || rest {
                    memory.stored = true;
                    each(memory, hot, rest);
                }
            }
        }
        self.dirty = dirty;
    }

    /// Lets a part of those sleep, in turns, of whom all is stored and no hour is open: what an identity takes in
    /// memory is several times what its stored form takes.
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

    /// After the last [`Identities::restore`]: finds out again which are newborn at `now`, and shows each that is
    /// asleep to `each`, with its slot and as much of it as its partition goes by.
    ///
    /// # Errors
    /// Whose state cannot be read, and why.
    pub(crate) fn restored(
        &mut self,
        now: Timestamp,
        mut each: impl FnMut(u32, &mut Memory),
    ) -> Result<(), (String, String)> {
        let mut born = Vec::new();
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
                if first_seen.plus(Span::DAY) >= now {
                    born.push((first_seen, Box::from(&*sketch.identity)));
                }
            }
        }
        self.newborn = born.into_iter().collect();
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes `identity` in, first seen at `ts`; tells whether there was room.
    fn see(identities: &mut Identities, identity: &str, ts: Timestamp, front: Timestamp) -> bool {
        let Some(slot) = identities.admit(identity, front) else {
            return false;
        };
        let memory = identities.memory(slot).expect("was just admitted");
        if memory.baseline.begin(ts) {
            identities.born(identity, None, ts, front);
        }
        true
    }

    #[test]
    fn a_flood_of_newcomers_displaces_newcomers_only() {
        let mut identities = Identities::new(10);
        let old = Timestamp::from_hour(500_000);
        for n in 0..5 {
            see(&mut identities, &format!("old-{n}"), old, old);
        }
        let now = old.plus(Span::WEEK);
        for n in 0..1000 {
            assert!(see(&mut identities, &format!("new-{n}"), now, now));
        }
        assert_eq!(identities.len(), 10);
        assert!((0..5).all(|n| identities.find(&format!("old-{n}")).is_some()));
    }

    #[test]
    fn what_a_flood_leaves_to_store_is_what_it_left_standing_each_once() {
        let mut identities = Identities::new(100);
        let now = Timestamp::from_hour(500_000);
        for n in 0..1000 {
            let name = format!("new-{n}");
            assert!(see(
                &mut identities,
                &name,
                now.plus(Span::from_micros(n)),
                now
            ));
        }
        assert_eq!(identities.dirty.len(), 100);
        let mut stored = Vec::new();
        identities.take_dirty(|memory, hot, rest| {
            assert!(hot && rest);
            stored.push(memory.identity.to_string());
        });
        let mut standing: Vec<String> = (900..1000).map(|n| format!("new-{n}")).collect();
        standing.sort();
        assert_eq!(stored, standing);
        assert!(
            identities.take_deleted().is_empty(),
            "nobody else was ever stored"
        );
        identities.take_dirty(|memory, _, _| panic!("{} was stored", &*memory.identity));
        for n in 0..50 {
            see(
                &mut identities,
                &format!("newer-{n}"),
                now.plus(Span::HOUR),
                now,
            );
        }
        assert_eq!(identities.take_deleted().len(), 50);
    }

    #[test]
    fn who_comes_back_before_it_is_deleted_is_deleted_when_it_goes_again() {
        let mut identities = Identities::new(1);
        let now = Timestamp::from_hour(500_000);
        see(&mut identities, "a", now, now);
        identities.take_dirty(|_, _, _| {});
        for name in ["b", "a", "c"] {
            see(&mut identities, name, now, now);
        }
        let deleted: Vec<_> = identities.take_deleted().into_iter().collect();
        assert_eq!(deleted, ["a".into()]);
    }

    #[test]
    fn who_is_stored_and_has_no_open_hour_sleeps_until_it_is_looked_at() {
        let mut identities = Identities::new(10);
        let now = Timestamp::from_hour(500_000);
        see(&mut identities, "a", now, now);
        let slot = identities.find("a").unwrap();
        identities.doze();
        assert!(
            matches!(identities.sorted()[0], Known::Awake(_)),
            "it is not stored"
        );
        identities.take_dirty(|_, _, _| {});
        identities.doze();
        assert!(matches!(identities.sorted()[0], Known::Asleep(_)));
        assert_eq!(identities.find("a"), Some(slot));
        let memory = identities.memory(slot).unwrap();
        assert_eq!(memory.baseline.first_seen, Some(now));
    }

    #[test]
    fn where_everybody_is_established_a_newcomer_finds_no_room() {
        let mut identities = Identities::new(2);
        let old = Timestamp::from_hour(500_000);
        see(&mut identities, "a", old, old);
        see(&mut identities, "b", old, old);
        let now = old.plus(Span::WEEK);
        assert!(!see(&mut identities, "c", now, now));
    }

    #[test]
    fn a_newcomer_stamped_in_the_future_does_not_make_the_others_established() {
        let mut identities = Identities::new(2);
        let now = Timestamp::from_hour(500_000);
        see(&mut identities, "a", now, now);
        see(&mut identities, "b", now.plus(Span::WEEK), now);
        assert!(see(&mut identities, "c", now, now));
    }
}
