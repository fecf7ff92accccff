//! Where the identities of one partition lie: those that are awake side by side, so that whoever looks at one waits for
//! memory once, and those that sleep elsewhere.

use super::asleep::Asleep;
use super::memory::{Known, Memory};

/// Identities by slot, a number that stays theirs for as long as they are here.
#[derive(Default)]
pub(crate) struct Slab {
    /// Where each slot's identity lies.
    at: Vec<At>,
    /// Slots that nobody has.
    free: Vec<u32>,
    awake: Vec<(u32, Memory)>,
    asleep: Vec<(u32, Asleep)>,
}

/// A place in one of the two lists, or none: the highest bit says in which.
#[derive(Clone, Copy)]
struct At(u32);

enum Place {
    Awake(usize),
    Asleep(usize),
    Nowhere,
}

impl At {
    const NOWHERE: Self = Self(u32::MAX);
    const ASLEEP: u32 = 1 << 31;

    const fn awake(index: usize) -> Self {
        Self(index as u32)
    }

    const fn asleep(index: usize) -> Self {
        Self(index as u32 | Self::ASLEEP)
    }

    const fn place(self) -> Place {
        match self.0 {
            u32::MAX => Place::Nowhere,
            at if at & Self::ASLEEP == 0 => Place::Awake(at as usize),
            at => Place::Asleep((at & !Self::ASLEEP) as usize),
        }
    }
}

impl Slab {
    /// Gives `memory` a slot.
    pub(crate) fn insert(&mut self, memory: Memory) -> u32 {
        let slot = self.slot();
        self.rise(slot, memory);
        slot
    }

    /// Gives somebody who sleeps a slot.
    pub(crate) fn insert_asleep(&mut self, asleep: Asleep) -> u32 {
        let slot = self.slot();
        self.lie_down(slot, asleep);
        slot
    }

    /// Who has `slot`.
    pub(crate) fn get(&self, slot: u32) -> Option<Known<'_>> {
        match self.place(slot) {
            Place::Awake(index) => Some(Known::Awake(&self.awake[index].1)),
            Place::Asleep(index) => Some(Known::Asleep(&self.asleep[index].1)),
            Place::Nowhere => None,
        }
    }

    /// All that is known of who has `slot`, who wakes up for it.
    pub(crate) fn wake(&mut self, slot: u32) -> Option<&mut Memory> {
        let index = match self.place(slot) {
            Place::Awake(index) => index,
            Place::Asleep(index) => {
                let memory = take(&mut self.asleep, index, &mut self.at, At::asleep).wake();
                self.rise(slot, memory)
            }
            Place::Nowhere => return None,
        };
        Some(&mut self.awake[index].1)
    }

    /// Has what is known of who has `slot` fetched into the cache, if awake.
    pub(crate) fn prefetch(&self, slot: u32) {
        if let Place::Awake(index) = self.place(slot) {
            self.awake[index].1.prefetch();
        }
    }

    /// Who has `slot`, if awake.
    pub(crate) fn awake(&mut self, slot: u32) -> Option<&mut Memory> {
        match self.place(slot) {
            Place::Awake(index) => Some(&mut self.awake[index].1),
            Place::Asleep(_) | Place::Nowhere => None,
        }
    }

    /// Who has `slot`, if asleep.
    pub(crate) fn asleep(&mut self, slot: u32) -> Option<&mut Asleep> {
        match self.place(slot) {
            Place::Asleep(index) => Some(&mut self.asleep[index].1),
            Place::Awake(_) | Place::Nowhere => None,
        }
    }

    /// Goes through `turn` of those who are awake, from the one at `hand` on, and lets those sleep who may; gives where
    /// to go on.
    pub(crate) fn doze(&mut self, mut hand: usize, turn: usize) -> usize {
        for _ in 0..turn {
            hand = if hand < self.awake.len() { hand } else { 0 };
            let Some((slot, _)) = self.awake.get(hand) else {
                break;
            };
            if !self.lull(*slot) {
                hand += 1;
            }
        }
        if self.awake.len() < self.awake.capacity() / 4 {
            self.awake.shrink_to(self.awake.len() * 2);
        }
        hand
    }

    /// Lets who has `slot` sleep, if awake and nothing is against it; tells whether it does.
    pub(crate) fn lull(&mut self, slot: u32) -> bool {
        let Place::Awake(index) = self.place(slot) else {
            return false;
        };
        let memory = &mut self.awake[index].1;
        if !memory.may_sleep() {
            return false;
        }
        let asleep = Asleep::of(memory);
        take(&mut self.awake, index, &mut self.at, At::awake);
        self.lie_down(slot, asleep);
        true
    }

    /// Takes who has `slot` out of it; it is free then.
    pub(crate) fn remove(&mut self, slot: u32) {
        match self.place(slot) {
            Place::Awake(index) => drop(take(&mut self.awake, index, &mut self.at, At::awake)),
            Place::Asleep(index) => drop(take(&mut self.asleep, index, &mut self.at, At::asleep)),
            Place::Nowhere => return,
        }
        self.at[slot as usize] = At::NOWHERE;
        self.free.push(slot);
    }

    /// Everybody.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Known<'_>> {
        let awake = self.awake.iter().map(|(_, memory)| Known::Awake(memory));
        awake.chain(self.asleep.iter().map(|(_, asleep)| Known::Asleep(asleep)))
    }

    /// Everybody who sleeps, each with its slot.
    pub(crate) fn iter_asleep(&mut self) -> impl Iterator<Item = (u32, &mut Asleep)> {
        self.asleep.iter_mut().map(|(slot, asleep)| (*slot, asleep))
    }

    /// How many are awake.
    pub(crate) const fn awake_len(&self) -> usize {
        self.awake.len()
    }

    fn place(&self, slot: u32) -> Place {
        let at = self.at.get(slot as usize);
        at.copied().unwrap_or(At::NOWHERE).place()
    }

    fn slot(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.at.push(At::NOWHERE);
            (self.at.len() - 1) as u32
        })
    }

    fn rise(&mut self, slot: u32, memory: Memory) -> usize {
        let index = self.awake.len();
        self.awake.push((slot, memory));
        self.at[slot as usize] = At::awake(index);
        index
    }

    fn lie_down(&mut self, slot: u32, asleep: Asleep) {
        self.at[slot as usize] = At::asleep(self.asleep.len());
        self.asleep.push((slot, asleep));
    }
}

/// Takes one out of `list`; the last takes its place.
fn take<T>(list: &mut Vec<(u32, T)>, index: usize, at: &mut [At], to: fn(usize) -> At) -> T {
    let (_, taken) = list.swap_remove(index);
    if let Some((slot, _)) = list.get(index) {
        at[*slot as usize] = to(index);
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(slab: &Slab, slot: u32) -> Option<String> {
        Some(slab.get(slot)?.name().to_owned())
    }

    #[test]
    fn a_slot_stays_its_identitys_while_others_come_go_sleep_and_wake() {
        let mut slab = Slab::default();
        let mut known = std::collections::BTreeMap::new();
        for n in 0..3000_u32 {
            let called = format!("svc-{n}");
            let slot = match n % 3 {
                0 => slab.insert_asleep(Asleep::new(&called)),
                _ => {
                    let mut memory = Memory::new(&called);
                    memory.stored = n % 2 == 0;
                    slab.insert(memory)
                }
            };
            assert_eq!(known.insert(slot, called), None, "slot {slot} is two's");
            if n % 5 == 4 {
                let other = *known.keys().nth(n as usize % known.len()).unwrap();
                slab.remove(other);
                known.remove(&other);
                assert!(slab.get(other).is_none());
            }
            if n % 7 == 0 {
                let other = *known.keys().next_back().unwrap();
                assert!(slab.wake(other).is_some());
            }
            slab.doze(n as usize, 2);
        }
        for (slot, called) in &known {
            assert_eq!(name(&slab, *slot).as_ref(), Some(called));
        }
        assert_eq!(slab.iter().count(), known.len());
        assert!(
            slab.iter_asleep().count() > 100 && slab.awake_len() > 100,
            "both kinds"
        );
    }
}
