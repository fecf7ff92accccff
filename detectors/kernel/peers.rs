//! What an hour usually brings to those who are like a newcomer, of whom nothing is known yet.

use std::collections::BTreeMap;

use arrayvec::ArrayVec;
use serde::{Deserialize, Serialize};

use super::baseline::COUNTED_FROM;
use super::hot::Hour;
use super::memory::Memory;
use super::names::Symbol;
use super::tails::ln_student_upper;
use super::time::Timestamp;

/// The peers of one partition's identities. Nothing of it is stored: it follows from the open hours of
/// those who have been known for two weeks.
///
/// Peers are those of the declared group; else those who trade on the same venue; else *twins*, who mostly
/// do the same.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    numbers: BTreeMap<Box<str>, u32>,
    hours: Vec<ArrayVec<(i64, Norm), 4>>,
}

/// What an hour is expected to bring to each of some identities, on a logarithmic scale, in sums of
/// whole numbers, so that their order does not matter.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Norm {
    members: u64,
    sum: u64,
    squares: u64,
}

impl Norm {
    fn of(hour: &Hour) -> Self {
        let level = (libm::log1p(hour.expected.mean.clamp(0.0, 1e12)) * UNIT) as u64;
        Self {
            members: 1,
            sum: level,
            squares: level * level,
        }
    }

    fn add(&mut self, other: &Self) {
        self.members += other.members;
        self.sum += other.sum;
        self.squares += other.squares;
    }

    fn remove(&mut self, other: &Self) {
        self.members = self.members.saturating_sub(other.members);
        self.sum = self.sum.saturating_sub(other.sum);
        self.squares = self.squares.saturating_sub(other.squares);
    }

    /// How many they are, if they are enough to say anything.
    fn enough(&self) -> Option<f64> {
        (self.members >= PEERS_MIN).then_some(self.members as f64)
    }

    /// What it usually brings to one of them.
    #[must_use]
    pub(crate) fn usual(&self) -> f64 {
        libm::expm1(self.sum as f64 / UNIT / self.members.max(1) as f64)
    }

    /// How many they are.
    #[must_use]
    pub(crate) const fn members(&self) -> u64 {
        self.members
    }

    /// The natural logarithm of the chance that one like them brings so many calls; nothing while they
    /// are too few.
    ///
    /// The levels of like identities are taken to be lognormal: with a normal-inverse-gamma prior what
    /// comes next has Student's law. Three peers that differ by a factor of two are taken for granted, and
    /// an hour's own scatter is added.
    #[must_use]
    pub(crate) fn ln_upper(&self, calls: f64) -> Option<f64> {
        let members = self.enough()?;
        let mean = self.sum as f64 / UNIT / members;
        let rest = (self.squares as f64 / (UNIT * UNIT) - members * mean * mean).max(0.0);
        let freedom = PRIOR_FREEDOM + members;
        let between = (PRIOR_FREEDOM * PRIOR_SCALE * PRIOR_SCALE + rest) / freedom;
        let within = 1.0 / (self.usual() + 1.0) + WITHIN;
        let scale = libm::sqrt(between * (1.0 + 1.0 / members) + within);
        let freedom = freedom.min(FREEDOM_MAX);
        Some(ln_student_upper(
            (libm::log1p(calls) - mean) / scale,
            freedom,
        ))
    }
}

impl Peers {
    /// Makes an identity, which has none, a peer of its like.
    pub(crate) fn enrol(&mut self, memory: &mut Memory) {
        let baseline = &memory.baseline;
        let declared = baseline.declared.as_ref();
        let group = declared.and_then(|declared| declared.group.as_deref());
        let group = group.map(|name| format!("group {name}"));
        let venue = || Some(format!("venue {}", baseline.venue.as_deref()?));
        let twins = || Some(format!("twins {}", memory.hot.twins.action()?.0));
        let name = group.or_else(venue).or_else(twins);
        memory.peers = name.map(|name| self.number(&name));
        self.join(memory);
    }

    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = self.hours.len() as u32;
        self.numbers.insert(name.into(), number);
        self.hours.push(ArrayVec::new());
        number
    }

    /// Takes in the open hours of an identity.
    pub(crate) fn join(&mut self, memory: &Memory) {
        for hour in counted(memory) {
            let Some(hours) = self.of(memory) else {
                return;
            };
            let at = hours.iter().position(|(start, _)| *start == hour.start);
            let at = at.or_else(|| {
                let pushed = hours.try_push((hour.start, Norm::default()));
                pushed.is_ok().then(|| hours.len() - 1)
            });
            if let Some(at) = at {
                hours[at].1.add(&Norm::of(hour));
            }
        }
    }

    /// Takes them out again, as they were taken in.
    pub(crate) fn leave(&mut self, memory: &Memory) {
        for hour in counted(memory) {
            let Some(hours) = self.of(memory) else {
                return;
            };
            let norm = hours.iter_mut().find(|(start, _)| *start == hour.start);
            if let Some((_, norm)) = norm {
                norm.remove(&Norm::of(hour));
            }
        }
    }

    fn of(&mut self, memory: &Memory) -> Option<&mut ArrayVec<(i64, Norm), 4>> {
        self.hours.get_mut(memory.peers? as usize)
    }

    /// What `hour` brings to the peers of number `number` who have been active in it.
    pub(crate) fn norm(&self, number: u32, hour: &Hour) -> Option<Norm> {
        let hours = self.hours.get(number as usize)?;
        let known = hours.iter().find(|(start, _)| *start == hour.start);
        known.map(|(_, norm)| *norm)
    }

    /// Forgets the hours that are over at `watermark`: nobody looks at them any more.
    pub(crate) fn expire(&mut self, watermark: Timestamp) {
        for hours in &mut self.hours {
            hours.retain(|(start, _)| Hour::over(*start) > watermark);
        }
    }
}

/// The open hours of who has a history; of others nothing counts.
fn counted(memory: &Memory) -> impl Iterator<Item = &Hour> {
    let hours = memory.hot.hours().iter();
    hours.filter(|hour| {
        !memory.failed && memory.baseline.age(Timestamp::from_hour(hour.start)) >= COUNTED_FROM
    })
}

/// What most of an identity's first calls did, by Boyer and Moore's majority vote (1981), in a few bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Twins {
    action: u32,
    lead: u8,
    calls: u8,
}

impl Twins {
    /// Takes in one of the first calls; tells whether it settles the vote.
    pub(crate) fn note(&mut self, symbol: Symbol) -> bool {
        if self.calls == CALLS {
            return false;
        }
        self.calls += 1;
        if self.lead == 0 {
            self.action = symbol.0;
        }
        if self.action == symbol.0 {
            self.lead += 1;
        } else {
            self.lead -= 1;
        }
        self.calls == CALLS
    }

    pub(crate) fn action(&self) -> Option<Symbol> {
        (self.calls == CALLS).then_some(Symbol(self.action))
    }
}

/// Calls after which it is settled whose twin an identity is.
const CALLS: u8 = 50;
/// Thousandths of a natural logarithm.
const UNIT: f64 = 1000.0;
/// Fewer peers say nothing.
const PEERS_MIN: u64 = 5;
const PRIOR_FREEDOM: f64 = 3.0;
const PRIOR_SCALE: f64 = 0.7;
/// How far an hour's rate scatters beyond chance, as a squared relative deviation.
const WITHIN: f64 = 0.1;
/// Above so many degrees of freedom Student's law is as thin as the data allow.
const FREEDOM_MAX: f64 = 100.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn norm(levels: &[f64]) -> Norm {
        let mut norm = Norm::default();
        for level in levels {
            let level = (libm::log1p(*level) * UNIT) as u64;
            norm.add(&Norm {
                members: 1,
                sum: level,
                squares: level * level,
            });
        }
        norm
    }

    #[test]
    fn fifty_times_what_like_peers_do_is_far_out_and_three_times_is_not() {
        let alike = norm(&[20.0, 22.0, 19.0, 25.0, 18.0, 21.0, 30.0]);
        assert!((20.0..24.0).contains(&alike.usual()));
        assert!(alike.ln_upper(1000.0).unwrap() < libm::log(4e-4));
        assert!(alike.ln_upper(66.0).unwrap() > libm::log(0.01));
        let different = norm(&[1.0, 200.0, 10.0, 3000.0, 40.0, 5.0, 100.0]);
        assert!(different.ln_upper(1000.0).unwrap() > libm::log(0.01));
        assert_eq!(norm(&[20.0; 4]).ln_upper(1e6), None);
    }

    #[test]
    fn who_leaves_takes_along_all_it_brought() {
        let mut all = norm(&[3.0, 40.0, 500.0]);
        all.remove(&norm(&[40.0]));
        assert_eq!(all, norm(&[3.0, 500.0]));
    }

    #[test]
    fn the_vote_names_what_most_calls_did_in_any_order() {
        for turn in 1..50_u32 {
            let mut twins = Twins::default();
            let symbol = |n: u32| Symbol(if n * turn % 50 < 27 { 7 } else { 100 + n });
            let settled = (0..50).filter(|n| twins.note(symbol(*n))).count();
            if (0..50).filter(|n| symbol(*n).0 == 7).count() > 25 {
                assert_eq!(twins.action(), Some(Symbol(7)), "{turn}");
            }
            assert_eq!(settled, 1);
            assert!(!twins.note(Symbol(9)));
        }
    }
}
