//! Which events were seen before, over the last ten to twenty minutes of event time.

use std::collections::BTreeMap;

use hashbrown::HashSet;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::time::{Span, Timestamp};

/// Fingerprints of event ids in two generations of ten minutes, each bounded.
#[derive(Debug)]
pub struct Seen {
    generations: BTreeMap<i64, Generation>,
    max: usize,
    /// Generations that were dropped and whose records are still stored, with their record counts.
    dropped: Vec<(i64, u32)>,
    lost: u64,
}

#[derive(Debug, Default)]
struct Generation {
    all: HashSet<u64, foldhash::fast::FixedState>,
    fresh: Vec<u64>,
    chunks: u32,
}

/// One stored record: a generation, the number of the chunk in it, and its fingerprints; `None`
/// deletes the record.
pub type Chunk = (i64, u32, Option<Vec<u64>>);

impl Seen {
    /// Keeps at most `max` fingerprints a generation.
    #[must_use]
    pub const fn new(max: usize) -> Self {
        Self {
            generations: BTreeMap::new(),
            max,
            dropped: Vec::new(),
            lost: 0,
        }
    }

    /// Notes the id `uid` of `identity` while time stands at `front`; tells whether it was noted
    /// before. A full generation notes nothing more, and counts what it does not.
    pub fn note(&mut self, identity: &str, uid: &str, front: Timestamp) -> bool {
        let now = generation(front);
        let fingerprint =
            xxh3_64_with_seed(uid.as_bytes(), xxh3_64_with_seed(identity.as_bytes(), 1));
        let at = now.max(self.generations.last_key_value().map_or(now, |(at, _)| *at));
        let mut before = self.generations.range(..at);
        if before.any(|(_, old)| old.all.contains(&fingerprint)) {
            return true;
        }
        let current = self.generations.entry(at).or_default();
        if current.all.len() < self.max {
            if !current.all.insert(fingerprint) {
                return true;
            }
            current.fresh.push(fingerprint);
        } else if current.all.contains(&fingerprint) {
            return true;
        } else {
            self.lost += 1;
        }
        while let Some(entry) = self.generations.first_entry()
            && *entry.key() < at - 1
        {
            let (at, old) = entry.remove_entry();
            self.dropped.push((at, old.chunks));
        }
        false
    }

    /// Ids that found no room, and whose next coming is not recognised.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// What must be stored since the last call, in order.
    pub fn take_changes(&mut self) -> Vec<Chunk> {
        let mut chunks = Vec::new();
        for (at, count) in self.dropped.drain(..) {
            chunks.extend((0..count).map(|chunk| (at, chunk, None)));
        }
        for (at, generation) in &mut self.generations {
            if !generation.fresh.is_empty() {
                let mut fresh = std::mem::take(&mut generation.fresh);
                fresh.sort_unstable();
                for part in fresh.chunks(CHUNK) {
                    chunks.push((*at, generation.chunks, Some(part.to_vec())));
                    generation.chunks += 1;
                }
            }
        }
        chunks
    }

    /// Puts back a chunk that was stored before.
    pub fn restore(&mut self, at: i64, chunk: u32, fingerprints: &[u64]) {
        let generation = self.generations.entry(at).or_default();
        generation.all.extend(fingerprints);
        generation.chunks = generation.chunks.max(chunk + 1);
    }

    /// Forgets a generation that was deleted after it was stored.
    pub fn forget(&mut self, at: i64) {
        self.generations.remove(&at);
    }

    /// Every generation with its fingerprints, all in order.
    #[must_use]
    pub fn sorted(&self) -> Vec<(i64, Vec<u64>)> {
        let sorted = |generation: &Generation| {
            let mut all: Vec<u64> = generation.all.iter().copied().collect();
            all.sort_unstable();
            all
        };
        self.generations
            .iter()
            .map(|(at, generation)| (*at, sorted(generation)))
            .collect()
    }
}

/// Fingerprints in one record, at most ten bytes each: a topic takes records of some megabyte.
const CHUNK: usize = 50_000;

fn generation(front: Timestamp) -> i64 {
    front.micros().div_euclid(Span::MINUTE.times(10).micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_seconds(1_790_000_000 + minutes * 60)
    }

    #[test]
    fn an_id_is_a_duplicate_for_ten_minutes_at_least_and_thirty_at_most() {
        let mut seen = Seen::new(100);
        assert!(!seen.note("a", "1", at(0)));
        assert!(seen.note("a", "1", at(1)));
        assert!(seen.note("a", "1", at(9)));
        assert!(!seen.note("b", "1", at(9)));
        seen.note("a", "2", at(30));
        assert!(!seen.note("a", "1", at(30)));
    }

    #[test]
    fn an_id_that_finds_no_room_is_counted() {
        let mut seen = Seen::new(2);
        for uid in ["1", "2", "2", "3", "3"] {
            seen.note("a", uid, at(0));
        }
        assert_eq!(seen.lost(), 2);
    }

    #[test]
    fn however_many_there_are_no_record_is_too_large_for_a_topic() {
        let mut seen = Seen::new(1_000_000);
        let many = 2 * CHUNK + 1;
        for uid in 0..many {
            seen.note("a", &uid.to_string(), at(0));
        }
        let mut restored = Seen::new(1_000_000);
        let changes = seen.take_changes();
        assert_eq!(changes.len(), 3);
        for (at, chunk, prints) in changes {
            let prints = prints.unwrap();
            assert!(postcard::to_allocvec(&prints).unwrap().len() < 900_000);
            restored.restore(at, chunk, &prints);
        }
        assert_eq!(restored.sorted(), seen.sorted());
    }

    #[test]
    fn what_is_stored_restores_the_same_set() {
        let mut seen = Seen::new(100);
        let mut store = BTreeMap::new();
        for step in 0..60 {
            seen.note("a", &step.to_string(), at(step));
            if step % 7 == 0 {
                for (at, chunk, prints) in seen.take_changes() {
                    match prints {
                        Some(prints) => store.insert((at, chunk), prints),
                        None => store.remove(&(at, chunk)),
                    };
                }
            }
        }
        for (at, chunk, prints) in seen.take_changes() {
            match prints {
                Some(prints) => store.insert((at, chunk), prints),
                None => store.remove(&(at, chunk)),
            };
        }
        let mut restored = Seen::new(100);
        for ((at, chunk), prints) in &store {
            restored.restore(*at, *chunk, prints);
        }
        assert_eq!(restored.sorted(), seen.sorted());
        assert!(
            store
                .keys()
                .all(|(at, _)| *at >= generation(super::tests::at(59)) - 1)
        );
    }
}
