//! A model of Kafka that one seed decides: logs, transactions, a group, and what goes wrong with them.
//!
//! It follows the protocol that librdkafka speaks: a transaction is decided at once by its coordinator, and
//! its marks reach each partition later; committed offsets may be seen before the marks are; an end of
//! transaction that is delayed on its way ends whatever is open under the same producer epoch.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::dice::Dice;

/// What goes wrong, each as one chance in so many; 0 is never.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Faults {
    /// A member is killed at a call.
    pub(crate) kill: u64,
    /// The answer to a commit is lost.
    pub(crate) unknown: u64,
    /// A member sleeps for longer than its session.
    pub(crate) sleep: u64,
    /// A member is started although its namesake still runs.
    pub(crate) twin: u64,
}

impl Faults {
    pub(crate) const NONE: Self = Self {
        kill: 0,
        unknown: 0,
        sleep: 0,
        twin: 0,
    };
}

/// A record of the event log, and when it arrives there.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) at: Duration,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Option<Vec<u8>>,
}

/// A record that was written in a transaction.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) offset: i64,
    pub(crate) transaction: usize,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: BTreeMap<String, String>,
}

/// How far a transaction has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Outcome {
    Open { since: Duration },
    Committed,
    Aborted,
}

#[derive(Debug)]
struct Transaction {
    outcome: Outcome,
    /// When its marks are on the state's partitions.
    marked: Duration,
    /// The offsets that it commits.
    offsets: Vec<(i32, i64)>,
}

#[derive(Debug, Default)]
struct Producer {
    epoch: u64,
    open: Option<usize>,
}

#[derive(Debug)]
struct Member {
    incarnation: u64,
    heard: Duration,
    /// Generation that it has taken over; before that it owns nothing.
    joined: Option<u64>,
    owns: Vec<i32>,
}

/// All that the brokers know.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) now: Duration,
    pub(crate) dice: Dice,
    pub(crate) faults: Faults,
    pub(crate) events: Vec<Vec<Event>>,
    pub(crate) state: Vec<Vec<Written>>,
    /// Alerts and dead letters.
    pub(crate) told: BTreeMap<String, Vec<Written>>,
    committed: BTreeMap<i32, i64>,
    transactions: Vec<Transaction>,
    producers: BTreeMap<String, Producer>,
    members: BTreeMap<String, Member>,
    generation: u64,
    incarnations: u64,
    /// Ends of transactions that are still on their way: when they come, whose they are, and under which
    /// epoch.
    delayed: Vec<(Duration, String, u64)>,
    next_offset: i64,
}

/// Where a member stands in the group.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Standing {
    /// Another process has its name.
    Fenced,
    /// It was away for too long.
    Expired,
    /// It must give its partitions back.
    MustRevoke,
    /// It waits until others have given theirs back.
    Waits,
    /// These are its partitions now.
    Takes(Vec<i32>),
    /// Nothing has changed.
    Owns,
}

impl World {
    pub(crate) fn new(seed: u64, faults: Faults, events: Vec<Vec<Event>>) -> Self {
        Self {
            now: Duration::ZERO,
            dice: Dice::new(seed, 1),
            faults,
            state: vec![Vec::new(); events.len()],
            events,
            told: BTreeMap::new(),
            committed: BTreeMap::new(),
            transactions: Vec::new(),
            producers: BTreeMap::new(),
            members: BTreeMap::new(),
            generation: 0,
            incarnations: 0,
            delayed: Vec::new(),
            next_offset: 0,
        }
    }

    /// One chance in `of`.
    pub(crate) fn chance(&mut self, of: u64) -> bool {
        of > 0 && self.dice.roll(of) == 0
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, span: Duration) {
        self.now += span;
        let now = self.now;
        let (due, later) = std::mem::take(&mut self.delayed)
            .into_iter()
            .partition(|(at, ..)| *at <= now);
        self.delayed = later;
        for (_, id, epoch) in due {
            if self.producers.get(&id).is_some_and(|it| it.epoch == epoch) {
                self.end(&id, true);
            }
        }
        let overdue: Vec<String> = self
            .producers
            .iter()
            .filter(|(_, producer)| {
                producer.open.is_some_and(|at| {
                    matches!(self.transactions[at].outcome, Outcome::Open { since } if now > since + TRANSACTION)
                })
            })
            .map(|(id, _)| id.clone())
            .collect();
        for id in overdue {
            self.end(&id, false);
            self.producers.entry(id).or_default().epoch += 1;
        }
        let expired = |member: &Member| now > member.heard + SESSION;
        let before = self.members.len();
        self.members.retain(|_, member| !expired(member));
        if self.members.len() != before {
            self.generation += 1;
        }
    }

    /// A member of this name begins; whoever had the name is fenced.
    pub(crate) fn join(&mut self, name: &str) -> u64 {
        self.incarnations += 1;
        let incarnation = self.incarnations;
        let now = self.now;
        match self.members.get_mut(name) {
            // A static member gets back what it had.
            Some(member) => {
                member.incarnation = incarnation;
                member.heard = now;
                member.joined = None;
            }
            None => {
                let member = Member {
                    incarnation,
                    heard: now,
                    joined: None,
                    owns: Vec::new(),
                };
                self.members.insert(name.to_owned(), member);
                self.generation += 1;
            }
        }
        incarnation
    }

    /// Hears of a member, and tells it where it stands.
    pub(crate) fn heartbeat(&mut self, name: &str, incarnation: u64, holds: bool) -> Standing {
        let (generation, now) = (self.generation, self.now);
        let share = self.share(name);
        let Some(member) = self.members.get_mut(name) else {
            return Standing::Expired;
        };
        if member.incarnation != incarnation {
            return Standing::Fenced;
        }
        member.heard = now;
        if member.joined == Some(generation) {
            return Standing::Owns;
        }
        if holds {
            return Standing::MustRevoke;
        }
        // What it had before is its own no more, unless it gets it again.
        member.owns.clear();
        let taken = |other: &Member| other.owns.iter().any(|it| share.contains(it));
        if self.members.values().any(taken) {
            return Standing::Waits;
        }
        if let Some(member) = self.members.get_mut(name) {
            member.joined = Some(generation);
            member.owns = share.clone();
        }
        Standing::Takes(share)
    }

    /// Leaves the group.
    pub(crate) fn leave(&mut self, name: &str, incarnation: u64) {
        if self
            .members
            .get(name)
            .is_some_and(|it| it.incarnation == incarnation)
        {
            self.members.remove(name);
            self.generation += 1;
        }
    }

    /// Takes over a producer's id: whatever it has open is aborted, and every earlier one fenced.
    pub(crate) fn open_producer(&mut self, id: &str) -> u64 {
        self.end(id, false);
        let producer = self.producers.entry(id.to_owned()).or_default();
        producer.epoch += 1;
        producer.epoch
    }

    /// Whether `epoch` is the producer's own still.
    pub(crate) fn is_producer(&self, id: &str, epoch: u64) -> bool {
        self.producers.get(id).is_some_and(|it| it.epoch == epoch)
    }

    /// Adds a record to the producer's transaction, which begins with it.
    pub(crate) fn write(&mut self, id: &str, topic: &str, state: Option<i32>, mut record: Written) {
        record.transaction = self.transaction(id);
        record.offset = self.next_offset;
        self.next_offset += 1;
        match state {
            Some(partition) => self.state[partition as usize].push(record),
            None => self.told.entry(topic.to_owned()).or_default().push(record),
        }
    }

    /// Adds input offsets to the producer's transaction; refused unless the member is the group's still.
    pub(crate) fn offsets(
        &mut self,
        id: &str,
        (name, incarnation): (&str, u64),
        offsets: &[(i32, i64)],
    ) -> bool {
        let member = self.members.get(name);
        // A member may commit while the group forms anew.
        if member.is_none_or(|it| it.incarnation != incarnation) {
            return false;
        }
        let at = self.transaction(id);
        self.transactions[at].offsets = offsets.to_vec();
        true
    }

    /// Ends the producer's transaction, if one is open.
    pub(crate) fn end(&mut self, id: &str, commit: bool) {
        let Some(at) = self.producers.get_mut(id).and_then(|it| it.open.take()) else {
            return;
        };
        let delay = Duration::from_millis(self.dice.roll(3) * self.dice.roll(1500));
        let transaction = &mut self.transactions[at];
        transaction.marked = self.now + delay;
        transaction.outcome = match commit {
            true => Outcome::Committed,
            false => Outcome::Aborted,
        };
        if commit {
            self.committed.extend(transaction.offsets.iter().copied());
        }
    }

    /// Commits offsets outside any transaction.
    pub(crate) fn commit_offsets(&mut self, offsets: &[(i32, i64)]) {
        self.committed.extend(offsets.iter().copied());
    }

    /// Lets the end of the producer's transaction come later.
    pub(crate) fn delay_end(&mut self, id: &str, epoch: u64) {
        let delay = Duration::from_millis(self.dice.roll(4000));
        self.delayed.push((self.now + delay, id.to_owned(), epoch));
    }

    /// Whether a transaction is open that commits an offset of `partition`.
    pub(crate) fn is_pending(&self, partition: i32) -> bool {
        let mut open = self.producers.values().filter_map(|producer| producer.open);
        open.any(|at| {
            let mut offsets = self.transactions[at].offsets.iter();
            offsets.any(|(of, _)| *of == partition)
        })
    }

    /// The group's committed offset.
    pub(crate) fn committed(&self, partition: i32) -> Option<i64> {
        self.committed.get(&partition).copied()
    }

    /// The end of the state of a partition.
    pub(crate) fn state_end(&self, partition: i32) -> i64 {
        self.state[partition as usize]
            .last()
            .map_or(0, |it| it.offset + 1)
    }

    /// The last stable offset there: where the first transaction begins that has not ended, or whose mark is
    /// not there yet.
    pub(crate) fn state_stable(&self, partition: i32) -> i64 {
        let state = &self.state[partition as usize];
        let unstable = |written: &&Written| !self.is_settled(written.transaction);
        let first = state.iter().find(unstable);
        first.map_or_else(|| self.state_end(partition), |written| written.offset)
    }

    /// Whether the transaction of `written` was committed, and is seen to be.
    pub(crate) fn is_committed(&self, written: &Written) -> bool {
        self.transactions[written.transaction].outcome == Outcome::Committed
            && self.is_settled(written.transaction)
    }

    /// Keeps of the settled state of a partition what is newest of each key.
    pub(crate) fn compact(&mut self, partition: i32) {
        let stable = self.state_stable(partition);
        let mut newest: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
        for written in &self.state[partition as usize] {
            if written.offset < stable && self.is_committed(written) {
                newest.insert(written.key.clone(), written.offset);
            }
        }
        self.state[partition as usize].retain(|written| {
            written.offset >= stable || newest.get(&written.key) == Some(&written.offset)
        });
    }

    fn is_settled(&self, at: usize) -> bool {
        let transaction = &self.transactions[at];
        !matches!(transaction.outcome, Outcome::Open { .. }) && transaction.marked <= self.now
    }

    fn transaction(&mut self, id: &str) -> usize {
        let producer = self.producers.entry(id.to_owned()).or_default();
        *producer.open.get_or_insert_with(|| {
            self.transactions.push(Transaction {
                outcome: Outcome::Open { since: self.now },
                marked: Duration::MAX,
                offsets: Vec::new(),
            });
            self.transactions.len() - 1
        })
    }

    /// The partitions that are due to `name`: those that its rank among the members divides off.
    fn share(&self, name: &str) -> Vec<i32> {
        let of = self.members.len().max(1);
        let rank = self.members.keys().position(|it| it == name).unwrap_or(0);
        (0..self.events.len())
            .filter(|partition| partition % of == rank)
            .map(|partition| partition as i32)
            .collect()
    }
}

/// How long a member may be silent: a tenth of what is usual, as all times here.
pub(crate) const SESSION: Duration = Duration::from_millis(4500);
/// How long a transaction may be open.
const TRANSACTION: Duration = Duration::from_millis(1500);
/// How long a restore waits for a transaction to end.
pub(crate) const BARRIER: Duration = Duration::from_secs(3);
