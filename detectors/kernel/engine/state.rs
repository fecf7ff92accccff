//! The engine's state as records: written, taken back in, and hashed.

use sha2::{Digest, Sha256};

use super::Engine;
use crate::kernel::asleep::Part;
use crate::kernel::codec::{self, Key};
use crate::kernel::groups::Groups;
use crate::kernel::memory::Known;
use crate::kernel::time::Timestamp;
use crate::kernel::timers::Timers;

impl Engine {
    /// Hands every state record that changed since the last call to `write`, as key and payload
    /// (`None` deletes the key); afterwards nothing is dirty, and some identities that have nothing to do are kept as they
    /// are stored.
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
                codec::encode(&memory.rest(), &mut payload);
                write(&key, Some(&payload));
            }
        });
        self.identities.doze();
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
        codec::encode(&(&self.clock, self.common, &self.shortfalls), &mut payload);
        write(codec::META, Some(&payload));
    }

    /// How many identities have something to store since the last [`Engine::flush`].
    #[must_use]
    pub fn unstored(&self) -> usize {
        self.identities.unstored()
    }

    /// Takes one state record back in, as [`Engine::flush`] wrote it: a later one of a key replaces an earlier
    /// one, else order does not matter. Before the first one it must have handled nothing; after the last one call
    /// [`Engine::restored`].
    ///
    /// # Errors
    /// Where the record cannot be read: its layout is another version's, or it is damaged. Whether that of an identity is
    /// damaged shows at the end.
    pub fn restore(&mut self, key: &[u8], payload: &[u8]) -> Result<(), RestoreError> {
        let failed = |reason: String| RestoreError::of(key, reason);
        match Key::read(key) {
            None => return Err(failed(UNKNOWN.to_owned())),
            Some(Key::Meta) => {
                (self.clock, self.common, self.shortfalls) =
                    codec::decode(payload).map_err(failed)?;
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
            Some(Key::Hot(identity)) => self.put(identity, Part::Hot, payload).map_err(failed)?,
            Some(Key::Rest(identity)) => self.put(identity, Part::Rest, payload).map_err(failed)?,
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

    fn put(&mut self, identity: &str, part: Part, payload: &[u8]) -> Result<(), String> {
        // Whether it is damaged shows when it is read.
        codec::check_layout(payload)?;
        self.identities.restore(identity, part, payload);
        Ok(())
    }

    /// Ends a series of [`Engine::restore`].
    ///
    /// # Errors
    /// Where the state of an identity cannot be read.
    pub fn restored(&mut self) -> Result<(), RestoreError> {
        self.timers = Timers::default();
        self.groups = Groups::default();
        let front = self.clock.front().unwrap_or(Timestamp::MIN);
        let (timers, groups) = (&mut self.timers, &mut self.groups);
        let holidays = &self.decision.holidays;
        self.identities
            .restored(front, |slot, sketch| {
                sketch.baseline.follow(holidays);
                groups.enrol(sketch);
                for start in sketch.hot.open_hours() {
                    timers.hour(start, slot);
                }
                if let Some(minute) = sketch.hot.alarm {
                    timers.alarm(minute, slot);
                }
            })
            .map_err(|(identity, reason)| RestoreError::of(identity.as_bytes(), reason))
    }

    /// Bytes that the parts of `identity`'s state take as they are stored, by name; nothing of who is not
    /// known.
    #[must_use]
    pub fn sizes(&mut self, identity: &str) -> Option<Vec<(String, usize)>> {
        let slot = self.identities.find(identity)?;
        let memory = self.identities.memory(slot)?;
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
        let shared = (&self.clock, self.common, &self.storms, &self.shortfalls);
        codec::encode(&shared, &mut payload);
        hash.update(&payload);
        for entry in self.identities.sorted() {
            hash.update(entry.name());
            match entry {
                Known::Awake(memory) => {
                    codec::encode(&memory.hot, &mut payload);
                    hash.update(&payload);
                    codec::encode(&memory.rest(), &mut payload);
                    hash.update(&payload);
                }
                Known::Asleep(asleep) => {
                    for payload in asleep.payloads() {
                        hash.update(payload);
                    }
                }
            }
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
