//! An identity as it was stored, until somebody looks at it: to read back a million takes far less time than to
//! unfold what is known of them, and most of them do nothing for a while.

use std::borrow::Cow;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::codec::{self, Outline, Rest};
use super::holidays::FreeDays;
use super::hot::Due;
use super::memory::Memory;
use super::name::Name;
use super::time::Timestamp;
use crate::States;

/// Both parts of an identity's state as payloads, and what its partition wants to know of it meanwhile.
pub(crate) struct Asleep {
    pub(crate) identity: Name,
    /// Empty until they are read.
    hot: Box<[u8]>,
    rest: Box<[u8]>,
    /// Event time of its first event.
    pub(crate) first_seen: Option<Timestamp>,
    groups: [Option<u32>; 2],
    peers: Option<u32>,
    free: Option<Arc<FreeDays>>,
}

/// One of the two parts of an identity's state.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Part {
    Hot,
    Rest,
}

impl Asleep {
    pub(crate) fn new(identity: &str) -> Self {
        Self {
            identity: identity.into(),
            hot: Box::default(),
            rest: Box::default(),
            first_seen: None,
            groups: [None; 2],
            peers: None,
            free: None,
        }
    }

    /// Lets `memory` sleep, of which everything is stored and no hour is open.
    pub(crate) fn of(memory: &mut Memory) -> Self {
        let (mut asleep, mut payload) = (Self::new(&memory.identity), Vec::new());
        codec::encode(&memory.hot, &mut payload);
        asleep.put(Part::Hot, &payload);
        codec::encode(&memory.rest(), &mut payload);
        asleep.put(Part::Rest, &payload);
        asleep.settle(memory);
        asleep
    }

    /// Takes over `payload` as its `part`.
    pub(crate) fn put(&mut self, part: Part, payload: &[u8]) {
        match part {
            Part::Hot => self.hot = payload.into(),
            Part::Rest => self.rest = payload.into(),
        }
    }

    /// Its parts, as they were stored.
    pub(crate) const fn payloads(&self) -> [&[u8]; 2] {
        [&self.hot, &self.rest]
    }

    /// Makes `sketch`, which is nobody's any more, what its partition goes by: its open hours, and the outline of the
    /// rest.
    pub(crate) fn sketch(&self, sketch: &mut Memory) -> Result<(), String> {
        let due: Due = read(&self.hot)?;
        let outline: Outline = read(&self.rest)?;
        sketch.identity.clone_from(&self.identity);
        (sketch.hot.last, sketch.hot.alarm) = (due.last, due.alarm);
        (sketch.hot.hours, sketch.hot.twins) = (due.hours, due.twins);
        sketch.failed = outline.failed;
        sketch.baseline.first_seen = outline.first_seen;
        sketch.baseline.kind = outline.kind;
        sketch.baseline.declared = outline.declared;
        sketch.baseline.venue = outline.venue;
        (sketch.groups, sketch.peers) = ([None; 2], None);
        Ok(())
    }

    /// Takes over what the partition has made of its sketch.
    pub(crate) fn settle(&mut self, sketch: &mut Memory) {
        self.first_seen = sketch.baseline.first_seen;
        self.groups = sketch.groups;
        self.peers = sketch.peers;
        self.free = sketch.baseline.take_free();
    }

    /// All that is known of it. What cannot be read, although its checksum was right, is not watched any more,
    /// and stays stored as it is.
    pub(crate) fn wake(self) -> Memory {
        let failed = |_| {
            let mut memory = Memory::new(&self.identity);
            (memory.failed, memory.unread) = (true, true);
            memory
        };
        let mut memory = self.unfold().unwrap_or_else(failed);
        memory.stored = true;
        memory.groups = self.groups;
        memory.peers = self.peers;
        memory.baseline.put_free(self.free);
        memory
    }

    fn unfold(&self) -> Result<Memory, String> {
        let mut memory = Memory::new(&self.identity);
        memory.hot = read(&self.hot)?;
        if !self.rest.is_empty() {
            let rest: Rest<'static> = codec::decode(&self.rest)?;
            memory.failed = rest.failed;
            memory.baseline = rest.baseline.into_owned();
            memory.incidents = rest.incidents.into_owned();
            memory.risk = rest.risk.map(Cow::into_owned);
            memory.states = States::decode(&rest.states);
        }
        Ok(memory)
    }
}

/// Reads a part, or its beginning; one that was never stored is as of who is new.
fn read<T: DeserializeOwned + Default>(part: &[u8]) -> Result<T, String> {
    match part {
        [] => Ok(T::default()),
        part => codec::decode(part),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::event::Kind;
    use crate::kernel::inventory::Declared;
    use crate::kernel::names::Symbol;

    fn known() -> Memory {
        let mut memory = Memory::new("svc");
        memory.baseline.begin(Timestamp::from_hour(500_000));
        memory.baseline.kind = Kind::Bot;
        memory.baseline.venue = Some("XNYS".into());
        memory.baseline.declare(Some(Declared {
            group: Some("desk".into()),
            ..Declared::default()
        }));
        memory.hot.alarm = Some(7);
        memory.hot.last = Timestamp::from_hour(500_009);
        while memory.hot.twins.action().is_none() {
            memory.hot.twins.note(Symbol(3));
        }
        memory
    }

    #[test]
    fn the_outline_is_the_beginning_of_the_rest() {
        let memory = known();
        let asleep = Asleep::of(&mut known());
        let mut sketch = Memory::new("another");
        sketch.groups = [Some(1); 2];
        asleep.sketch(&mut sketch).unwrap();
        assert_eq!(sketch.groups, [None; 2]);
        let outline = |memory: &Memory| {
            let baseline = &memory.baseline;
            (
                baseline.first_seen,
                baseline.kind,
                baseline.declared.clone(),
                baseline.venue.clone(),
                (memory.hot.last, memory.hot.alarm),
                memory.hot.hours.clone(),
                memory.hot.twins,
            )
        };
        assert_eq!(outline(&sketch), outline(&memory));
        assert_eq!(asleep.wake().baseline, memory.baseline);
    }

    #[test]
    fn what_cannot_be_unfolded_is_not_watched() {
        let mut payload = Vec::new();
        codec::encode(&(false, 1_u8), &mut payload);
        let mut asleep = Asleep::new("svc");
        asleep.put(Part::Rest, &payload);
        let memory = asleep.wake();
        assert!(memory.failed && memory.unread);
    }
}
