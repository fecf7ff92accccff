//! The engine's state as records: written, taken back in, and hashed.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

use super::Engine;
use crate::States;
use crate::kernel::codec::{self, Key, Rest};
use crate::kernel::groups::Groups;
use crate::kernel::identities::Memory;
use crate::kernel::time::Timestamp;
use crate::kernel::timers::Timers;

impl Engine {
    /// Hands every state record that changed since the last call to `write`, as key and payload
    /// (`None` deletes the key), always in the same order; afterwards nothing is dirty.
    pub fn flush(&mut self, mut write: impl FnMut(&[u8], Option<&[u8]>)) {
        let (mut key, mut payload) = (Vec::new(), Vec::new());
        for identity in self.identities.take_deleted() {
            for part in [Key::Hot(&identity), Key::Rest(&identity)] {
                part.write(&mut key);
                write(&key, None);
            }
        }
        self.identities.take_dirty(|memory, hot, rest| {
            if hot {
                Key::Hot(&memory.identity).write(&mut key);
                codec::encode(&memory.hot, &mut payload);
                write(&key, Some(&payload));
            }
            if rest {
                Key::Rest(&memory.identity).write(&mut key);
                codec::encode(&rest_of(memory), &mut payload);
                write(&key, Some(&payload));
            }
        });
        for (symbol, name) in self.names.take_fresh() {
            Key::Name(symbol).write(&mut key);
            codec::encode(&*name, &mut payload);
            write(&key, Some(&payload));
        }
        for (generation, chunk, fingerprints) in self.seen.take_changes() {
            Key::Seen(generation, chunk).write(&mut key);
            match fingerprints {
                Some(fingerprints) => {
                    codec::encode(&fingerprints, &mut payload);
                    write(&key, Some(&payload));
                }
                None => write(&key, None),
            }
        }
        if self.storms.take_changed() {
            Key::Storms.write(&mut key);
            codec::encode(&self.storms, &mut payload);
            write(&key, Some(&payload));
        }
        codec::encode(&(&self.clock, self.common), &mut payload);
        write(codec::META, Some(&payload));
    }

    /// How many identities have something to store since the last [`Engine::flush`].
    #[must_use]
    pub fn unstored(&self) -> usize {
        self.identities.unstored()
    }

    /// Takes one state record back in, as [`Engine::flush`] wrote it: a later one of a key replaces an earlier
    /// one, else order does not matter. After the last one call [`Engine::restored`].
    ///
    /// # Errors
    /// Where the record cannot be read: its layout is another version's, or it is damaged.
    pub fn restore(&mut self, key: &[u8], payload: &[u8]) -> Result<(), RestoreError> {
        let failed = |reason: String| RestoreError::of(key, reason);
        match Key::read(key) {
            None => return Err(failed(UNKNOWN.to_owned())),
            Some(Key::Meta) => {
                (self.clock, self.common) = codec::decode(payload).map_err(failed)?;
            }
            Some(Key::Storms) => self.storms = codec::decode(payload).map_err(failed)?,
            Some(Key::Name(symbol)) => {
                let name: String = codec::decode(payload).map_err(failed)?;
                self.names.restore(symbol, &name);
            }
            Some(Key::Seen(generation, chunk)) => {
                let fingerprints: Vec<u64> = codec::decode(payload).map_err(failed)?;
                self.seen.restore(generation, chunk, &fingerprints);
            }
            Some(Key::Hot(identity)) => {
                let hot = codec::decode(payload).map_err(failed)?;
                self.identities.restore(identity, |memory| memory.hot = hot);
            }
            Some(Key::Rest(identity)) => {
                let rest: Rest<'static> = codec::decode(payload).map_err(failed)?;
                self.identities.restore(identity, |memory| {
                    memory.baseline = rest.baseline.into_owned();
                    memory.incidents = rest.incidents.into_owned();
                    memory.risk = rest.risk.map(Cow::into_owned);
                    memory.states = States::decode(&rest.states);
                    memory.failed = rest.failed;
                });
            }
        }
        Ok(())
    }

    /// Takes back that a state record was deleted, as [`Engine::flush`] says of who was evicted.
    ///
    /// # Errors
    /// Where the key is of no kind that is ever deleted.
    pub fn delete(&mut self, key: &[u8]) -> Result<(), RestoreError> {
        match Key::read(key) {
            // Both parts are deleted together, and written again together.
            Some(Key::Hot(identity) | Key::Rest(identity)) => self.identities.forget(identity),
            Some(Key::Seen(generation, _)) => self.seen.forget(generation),
            Some(_) => return Err(RestoreError::of(key, "it must not be deleted".to_owned())),
            None => return Err(RestoreError::of(key, UNKNOWN.to_owned())),
        }
        Ok(())
    }

    /// Ends a series of [`Engine::restore`].
    pub fn restored(&mut self) {
        let front = self.clock.front().unwrap_or(Timestamp::MIN);
        self.identities.restored(front);
        self.timers = Timers::default();
        self.groups = Groups::default();
        for (slot, memory) in self.identities.slots_mut() {
            memory.baseline.follow(&self.decision.holidays);
            self.groups.enrol(memory);
            for start in memory.hot.open_hours() {
                self.timers.hour(start, slot);
            }
            if let Some(minute) = memory.hot.alarm {
                self.timers.alarm(minute, slot);
            }
        }
    }

    /// Bytes that the parts of `identity`'s state take as they are stored, by name; nothing of who is not
    /// known.
    #[must_use]
    pub fn sizes(&self, identity: &str) -> Option<Vec<(String, usize)>> {
        let sorted = self.identities.sorted();
        let memory = sorted.iter().find(|it| &*it.identity == identity)?;
        let mut sizes = vec![("hot".to_owned(), codec::size(&memory.hot))];
        let parts = memory.baseline.parts();
        sizes.extend(parts.map(|(name, size)| (name.to_owned(), size)));
        sizes.push(("incidents".to_owned(), codec::size(&memory.incidents)));
        sizes.push(("risk".to_owned(), codec::size(&memory.risk)));
        let states = memory.states.encode();
        sizes.extend(states.iter().map(codec::DetectorState::size));
        Some(sizes)
    }

    /// Hash over the whole state in canonical order, in hex; equal means equal.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        let mut payload = Vec::new();
        codec::encode(&(&self.clock, self.common, &self.storms), &mut payload);
        hash.update(&payload);
        for memory in self.identities.sorted() {
            hash.update(memory.identity.as_bytes());
            codec::encode(&memory.hot, &mut payload);
            hash.update(&payload);
            codec::encode(&rest_of(memory), &mut payload);
            hash.update(&payload);
        }
        for (symbol, name) in self.names.iter() {
            hash.update(symbol.0.to_le_bytes());
            hash.update(name);
        }
        codec::encode(&self.seen.sorted(), &mut payload);
        hash.update(&payload);
        codec::hex(&hash.finalize())
    }
}

fn rest_of(memory: &Memory) -> Rest<'_> {
    Rest {
        baseline: Cow::Borrowed(&memory.baseline),
        incidents: Cow::Borrowed(&memory.incidents),
        risk: memory.risk.as_ref().map(Cow::Borrowed),
        states: memory.states.encode(),
        failed: memory.failed,
    }
}

/// A state record that cannot be read.
#[derive(Debug)]
pub struct RestoreError {
    /// Which record.
    pub key: String,
    /// What is wrong with it.
    pub reason: String,
}

impl RestoreError {
    fn of(key: &[u8], reason: String) -> Self {
        let key = String::from_utf8_lossy(key).escape_debug().to_string();
        Self { key, reason }
    }
}

/// Why a key cannot be read.
const UNKNOWN: &str = "the key is of no known kind";

impl std::fmt::Display for RestoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "state record {}: {}", self.key, self.reason)
    }
}

impl std::error::Error for RestoreError {}
