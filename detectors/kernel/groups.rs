//! What the groups of a partition, declared or of one venue, are doing this hour: where many peers are busy at once, it
//! is the world that is busy, and not one of them.

use std::collections::BTreeMap;

use arrayvec::ArrayVec;

use super::baseline::COUNTED_FROM;
use super::hot::Hour;
use super::memory::Memory;
use super::peers::Peers;
use super::time::{Span, Timestamp};

/// The groups of one partition. Nothing of it is stored: it follows from the open hours of the members.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    /// Who is like whom, for newcomers.
    pub(crate) peers: Peers,
    names: BTreeMap<Box<str>, u32>,
    groups: Vec<Group>,
}

/// One group.
#[derive(Debug, Default)]
pub(crate) struct Group {
    hours: ArrayVec<(i64, Crowd), 4>,
}

/// What members bring to one hour, in sums of whole numbers, so that their order does not matter.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Crowd {
    members: u32,
    /// Members with more than twice of what the whole hour was expected to bring.
    busy: u32,
    calls: u64,
    /// Thousandths of expected calls.
    expected: u64,
}

impl Crowd {
    /// What a member's hour brings; capped, so that one alone does not make a crowd.
    fn of(hour: &Hour) -> Self {
        let expected = hour.expected.mean.min(1e9);
        let calls = hour.tally.calls as f64;
        Self {
            members: 1,
            busy: u32::from(calls > 2.0 * expected + 5.0),
            calls: calls.min(10.0 * expected + 10.0) as u64,
            expected: (expected * 1000.0) as u64,
        }
    }

    fn add(&mut self, other: &Self) {
        self.members += other.members;
        self.busy += other.busy;
        self.calls += other.calls;
        self.expected += other.expected;
    }

    fn remove(&mut self, other: &Self) {
        self.members = self.members.saturating_sub(other.members);
        self.busy = self.busy.saturating_sub(other.busy);
        self.calls = self.calls.saturating_sub(other.calls);
        self.expected = self.expected.saturating_sub(other.expected);
    }
}

impl Groups {
    /// The number of the group `name`.
    pub(crate) fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.names.get(name) {
            return *number;
        }
        let number = self.groups.len() as u32;
        self.names.insert(name.into(), number);
        self.groups.push(Group::default());
        number
    }

    /// Makes an identity, which is in no group, a member of the one that is declared of it and of
    /// those who trade on its venue.
    pub(crate) fn enrol(&mut self, memory: &mut Memory) {
        let baseline = &memory.baseline;
        let declared = baseline.declared.as_ref();
        let group = declared.and_then(|declared| declared.group.as_deref());
        let group = group.map(|name| self.number(&format!("group {name}")));
        let venue = baseline.venue.as_deref();
        let venue = venue.map(|name| self.number(&format!("venue {name}")));
        memory.groups = [group, venue];
        gather(memory, self, Self::join);
        self.peers.enrol(memory);
    }

    /// Takes an identity out of all its groups.
    pub(crate) fn part(&mut self, memory: &Memory) {
        gather(memory, self, Self::leave);
        self.peers.leave(memory);
    }

    /// The group of that number.
    pub(crate) fn get(&self, number: u32) -> Option<&Group> {
        self.groups.get(number as usize)
    }

    /// Takes in a member's `hour`.
    pub(crate) fn join(&mut self, number: u32, hour: &Hour) {
        let Some(group) = self.groups.get_mut(number as usize) else {
            return;
        };
        let known = group
            .hours
            .iter()
            .position(|(start, _)| *start == hour.start);
        let at = known.or_else(|| {
            let pushed = group.hours.try_push((hour.start, Crowd::default()));
            pushed.is_ok().then(|| group.hours.len() - 1)
        });
        if let Some(at) = at {
            group.hours[at].1.add(&Crowd::of(hour));
        }
    }

    /// Takes a member's `hour` out again, as it was taken in.
    pub(crate) fn leave(&mut self, number: u32, hour: &Hour) {
        let Some(group) = self.groups.get_mut(number as usize) else {
            return;
        };
        let known = group
            .hours
            .iter()
            .position(|(start, _)| *start == hour.start);
        if let Some(at) = known {
            let crowd = &mut group.hours[at].1;
            crowd.remove(&Crowd::of(hour));
            if crowd.members == 0 {
                group.hours.remove(at);
            }
        }
    }
}

impl Groups {
    /// Forgets the hours that are over at `watermark`: nobody looks at them any more.
    pub(crate) fn expire(&mut self, watermark: Timestamp) {
        self.peers.expire(watermark);
        for group in &mut self.groups {
            group
                .hours
                .retain(|(start, _)| Hour::over(*start) > watermark);
        }
    }
}

impl Group {
    /// How many times as busy as expected the others of the group are in a member's `hour`, as far as
    /// it has gone at `now`; 1 where too few of them are busy to say so.
    pub(crate) fn others(&self, hour: &Hour, now: Timestamp) -> f64 {
        let crowd = self.hours.iter().find(|(start, _)| *start == hour.start);
        let Some((_, mut others)) = crowd.copied() else {
            return 1.0;
        };
        others.remove(&Crowd::of(hour));
        if others.busy < BUSY_MIN || 2 * others.busy < others.members {
            return 1.0;
        }
        let passed = now.since(Timestamp::from_hour(hour.start)).micros() as f64;
        let passed = (passed / Span::HOUR.micros() as f64).clamp(0.1, 1.0);
        let expected = others.expected as f64 / 1000.0 * passed;
        ((5.0 + others.calls as f64) / (5.0 + expected)).max(1.0)
    }
}

/// Lets the groups of an identity do `with` each of its open hours; only who has a history counts.
pub(crate) fn gather(memory: &Memory, groups: &mut Groups, with: fn(&mut Groups, u32, &Hour)) {
    if memory.failed {
        return;
    }
    for group in memory.groups.iter().flatten() {
        for hour in memory.hot.hours() {
            if memory.baseline.age(Timestamp::from_hour(hour.start)) >= COUNTED_FROM {
                with(groups, *group, hour);
            }
        }
    }
}

/// Peers that must be busy for it to be the world.
const BUSY_MIN: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::tails::Expected;
    use crate::kernel::tally::Tally;

    fn hour(calls: u64) -> Hour {
        Hour {
            start: 500_000,
            tally: Tally {
                calls,
                ..Tally::default()
            },
            suspect: false,
            expected: Expected {
                mean: 10.0,
                fano: 1.0,
                spread: 0.1,
                evidence: 100.0,
            },
            gate: 1,
            day: 20_833,
            day_gate: 1,
            minutes: Vec::new(),
            minute_gate: 0,
        }
    }

    #[test]
    fn many_busy_peers_excuse_each_other_and_one_excuses_nobody() {
        let end = Timestamp::from_hour(500_001);
        let others = |calls: &[u64]| {
            let mut groups = Groups::default();
            let number = groups.number("algo");
            assert_eq!(groups.number("algo"), number);
            for calls in calls {
                groups.join(number, &hour(*calls));
            }
            let group = groups.get(number).expect("it was just made");
            group.others(&hour(calls[0]), end)
        };
        assert!((4.0..6.0).contains(&others(&[50, 52, 48, 49, 51])));
        assert_eq!(others(&[50, 10, 11, 9, 12]), 1.0);
        assert_eq!(others(&[50, 5000, 11, 9, 12]), 1.0);
        assert_eq!(others(&[50, 50, 50, 10, 10, 9, 9, 10]), 1.0);
    }

    #[test]
    fn who_leaves_takes_all_it_brought_along() {
        let mut groups = Groups::default();
        let number = groups.number("algo");
        groups.join(number, &hour(50));
        groups.join(number, &hour(70));
        groups.leave(number, &hour(50));
        groups.leave(number, &hour(70));
        assert!(groups.groups[0].hours.is_empty());
    }
}
