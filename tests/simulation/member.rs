//! One process of the service, as the model of Kafka sees it: the broker that its shard runs on.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use nhiwatch::shard::broker::{Each, Outbox, Outgoing};
use nhiwatch::shard::{Broker, Happened, Record, Teardown};
use nhiwatch::wire::Content;

use crate::world::{BARRIER, Event, SESSION, Standing, World, Written};

/// A mistake that is put into the way a member uses Kafka, to see that it is found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mistake {
    /// The end of the state is asked for as one sees it who sees only what is committed.
    SkipBarrier,
    /// Offsets are committed by themselves, before what came of them.
    OffsetsFirst,
    /// After an unknown result the same producer goes on.
    ReuseProducer,
    /// A partition is read from the committed offset on, whatever the state is as of.
    SkipReplay,
    /// The copy on local disk is said to hold more than it does.
    CopyAhead,
}

/// What others do while a process sleeps in the middle of a call.
pub(crate) type Meanwhile<'s> = Rc<dyn Fn() + 's>;

/// One process: a member of the group and a producer.
pub(crate) struct Process<'s> {
    world: Rc<RefCell<World>>,
    /// Nothing for one that does not sleep.
    meanwhile: Option<Meanwhile<'s>>,
    name: String,
    incarnation: u64,
    epoch: u64,
    born: Duration,
    positions: BTreeMap<i32, i64>,
    mistake: Option<Mistake>,
    /// What was sent since the transaction began, for who would send it again.
    sent: RefCell<Vec<(String, Option<i32>, Written)>>,
    /// The offset after the last record that was sent to each partition of the state.
    after: RefCell<BTreeMap<i32, i64>>,
}

impl<'s> Process<'s> {
    /// Takes over the producer of `name`, and joins the group.
    pub(crate) fn start(
        world: &Rc<RefCell<World>>,
        name: &str,
        mistake: Option<Mistake>,
        meanwhile: Option<Meanwhile<'s>>,
    ) -> Self {
        let (epoch, incarnation, born) = {
            let mut world = world.borrow_mut();
            (world.open_producer(name), world.join(name), world.now)
        };
        Self {
            world: Rc::clone(world),
            meanwhile,
            name: name.to_owned(),
            incarnation,
            epoch,
            born,
            positions: BTreeMap::new(),
            mistake,
            sent: RefCell::default(),
            after: RefCell::default(),
        }
    }

    /// Leaves the group in order.
    pub(crate) fn leave(self) {
        self.world.borrow_mut().leave(&self.name, self.incarnation);
    }

    /// A little time passes; the process may be killed meanwhile, or sleep while others take its place.
    fn call(&self, what: &'static str) -> Result<(), Teardown> {
        let mut world = self.world.borrow_mut();
        let span = Duration::from_millis(world.dice.roll(4));
        world.pass(span);
        let faults = world.faults;
        if world.chance(faults.kill) {
            return Err(failed(what, "killed"));
        }
        if let Some(meanwhile) = &self.meanwhile
            && world.chance(faults.sleep)
        {
            world.pass(SESSION * 2);
            drop(world);
            meanwhile();
        }
        Ok(())
    }

    fn own_epoch(&self, what: &'static str) -> Result<(), Teardown> {
        match self.world.borrow().is_producer(&self.name, self.epoch) {
            true => Ok(()),
            false => Err(failed(what, "fenced")),
        }
    }
}

impl Process<'_> {
    /// Some records that are there, of any of its partitions, with their places.
    fn fetch(&mut self) -> Vec<(i32, i64, Event)> {
        let world = &mut *self.world.borrow_mut();
        let mut came = Vec::new();
        for _ in 0..=world.dice.roll(RUNS) {
            let has_more = |(partition, at): &(&i32, &i64)| {
                let event = world.events[**partition as usize].get(**at as usize);
                event.is_some_and(|event| event.at <= world.now)
            };
            let ready = self.positions.iter().filter(has_more);
            let ready: Vec<i32> = ready.map(|(partition, _)| *partition).collect();
            if ready.is_empty() {
                break;
            }
            let partition = ready[world.dice.roll(ready.len() as u64) as usize];
            let at = self.positions.entry(partition).or_default();
            for _ in 0..=world.dice.roll(RUN) {
                let event = world.events[partition as usize].get(*at as usize);
                let Some(event) = event.filter(|event| event.at <= world.now) else {
                    break;
                };
                came.push((partition, *at, event.clone()));
                *at += 1;
            }
        }
        came
    }
}

fn record((partition, offset, event): &(i32, i64, Event)) -> Record<'_> {
    Record {
        partition: *partition,
        offset: *offset,
        key: Some(&event.key),
        value: event.value.as_deref(),
        content: Content::of(None, event.value.as_deref()),
        received: Some(crate::bank::time(event.at)),
    }
}

/// How often it goes from one partition to another in what comes at once.
const RUNS: u64 = 3;
/// How many records of one partition may come in a row: more than a shard fetches ahead for.
const RUN: u64 = 40;

fn failed(what: &'static str, why: &str) -> Teardown {
    Teardown::Broker {
        what,
        source: why.into(),
        fenced: why == "fenced",
    }
}

impl Outbox for Process<'_> {
    fn send(&self, record: &Outgoing<'_>) -> Result<(), Teardown> {
        self.call("sending")?;
        self.own_epoch("sending")?;
        let headers = record.headers.iter();
        let written = Written {
            offset: 0,
            transaction: 0,
            key: record.key.unwrap_or_default().to_vec(),
            value: record.value.map(<[u8]>::to_vec),
            headers: headers
                .map(|(name, value)| (String::from(*name), String::from(*value)))
                .collect(),
        };
        let sent = (record.topic.to_owned(), record.partition, written.clone());
        self.sent.borrow_mut().push(sent);
        let mut world = self.world.borrow_mut();
        world.write(&self.name, record.topic, record.partition, written);
        if let Some(partition) = record.partition {
            let last = world.state[partition as usize].last();
            let after = last.map_or(0, |last| last.offset + 1);
            self.after.borrow_mut().insert(partition, after);
        }
        Ok(())
    }
}

impl Broker for Process<'_> {
    fn now(&self) -> Duration {
        self.world.borrow().now - self.born
    }

    fn poll(
        &mut self,
        wait: Duration,
        take: &mut dyn FnMut(&[Record<'_>]),
    ) -> Result<Vec<Happened>, Teardown> {
        self.call("polling")?;
        let holds = !self.positions.is_empty();
        let standing = self
            .world
            .borrow_mut()
            .heartbeat(&self.name, self.incarnation, holds);
        match standing {
            Standing::Fenced => return Err(failed("polling", "fenced")),
            Standing::Expired if holds => return Ok(vec![Happened::Revoked { lost: true }]),
            Standing::Expired => {
                self.incarnation = self.world.borrow_mut().join(&self.name);
                return Ok(Vec::new());
            }
            Standing::MustRevoke => return Ok(vec![Happened::Revoked { lost: false }]),
            Standing::Takes(partitions) => return Ok(vec![Happened::Assigned(partitions)]),
            Standing::Waits | Standing::Owns => {}
        }
        let came = self.fetch();
        if came.is_empty() {
            self.world.borrow_mut().pass(wait);
        }
        take(&came.iter().map(record).collect::<Vec<_>>());
        Ok(Vec::new())
    }

    fn tend(&mut self, _places: &mut dyn Iterator<Item = (i32, i64, bool)>) -> bool {
        false
    }

    fn assign(&mut self, places: &[(i32, i64)]) -> Result<(), Teardown> {
        self.call("assigning")?;
        let world = self.world.borrow();
        let place = |&(partition, next): &(i32, i64)| match self.mistake {
            Some(Mistake::SkipReplay) => (partition, world.committed(partition).unwrap_or(next)),
            _ => (partition, next),
        };
        self.positions = places.iter().map(place).collect();
        Ok(())
    }

    fn unassign(&mut self) -> Result<(), Teardown> {
        self.positions.clear();
        self.call("unassigning")
    }

    fn partitions(&mut self) -> Result<i32, Teardown> {
        Ok(self.world.borrow().events.len() as i32)
    }

    fn bounds(&mut self, partition: i32) -> Result<(i64, i64), Teardown> {
        let events = &self.world.borrow().events[partition as usize];
        Ok((0, events.len() as i64))
    }

    fn committed(&mut self, partition: i32, _expected: bool) -> Result<Option<i64>, Teardown> {
        let mut waited = Duration::ZERO;
        loop {
            self.call("asking for the committed offset")?;
            let mut world = self.world.borrow_mut();
            if !world.is_pending(partition) {
                return Ok(world.committed(partition));
            }
            if waited > BARRIER {
                return Err(failed(
                    "asking for the committed offset",
                    "no stable answer in time",
                ));
            }
            world.pass(SLICE);
            waited += SLICE;
        }
    }

    fn state_bounds(&mut self, partition: i32) -> Result<(i64, i64), Teardown> {
        self.call("asking for the end of the state")?;
        let world = self.world.borrow();
        Ok(match self.mistake {
            Some(Mistake::SkipBarrier) => (0, world.state_stable(partition)),
            _ => (0, world.state_end(partition)),
        })
    }

    fn read_state(
        &mut self,
        partition: i32,
        (low, high): (i64, i64),
        each: &mut Each<'_>,
    ) -> Result<Option<i64>, Teardown> {
        let mut waited = Duration::ZERO;
        while self.world.borrow().state_stable(partition) < high {
            if waited > BARRIER {
                return Err(failed("reading the state", "a transaction is still open"));
            }
            self.call("reading the state")?;
            self.world.borrow_mut().pass(SLICE);
            waited += SLICE;
        }
        let world = self.world.borrow();
        let written = world.state[partition as usize].iter();
        let bounds = low..high;
        let mut after = None;
        for written in written.filter(|it| bounds.contains(&it.offset) && world.is_committed(it)) {
            each(&written.key, written.value.as_deref());
            after = Some(written.offset + 1);
        }
        Ok(after)
    }

    fn begin(&mut self) -> Result<(), Teardown> {
        self.sent.borrow_mut().clear();
        self.call("beginning a transaction")
    }

    fn commit(&mut self, offsets: &[(i32, i64)]) -> Result<(), Teardown> {
        self.call("adding the input offsets")?;
        self.own_epoch("adding the input offsets")?;
        let member = (self.name.as_str(), self.incarnation);
        if !self.world.borrow_mut().offsets(&self.name, member, offsets) {
            return Err(failed("adding the input offsets", "fenced"));
        }
        if self.mistake == Some(Mistake::OffsetsFirst) {
            self.world.borrow_mut().commit_offsets(offsets);
        }
        self.call("committing")?;
        self.own_epoch("committing")?;
        let unknown = {
            let mut world = self.world.borrow_mut();
            let chance = world.faults.unknown;
            world.chance(chance)
        };
        if unknown {
            self.world.borrow_mut().delay_end(&self.name, self.epoch);
            if self.mistake != Some(Mistake::ReuseProducer) {
                return Err(failed("committing", "no answer in time"));
            }
            // The mistake: to abort, and to send the same again under the same epoch.
            self.world.borrow_mut().end(&self.name, false);
            for (topic, partition, written) in self.sent.take() {
                self.call("sending again")?;
                self.world
                    .borrow_mut()
                    .write(&self.name, &topic, partition, written);
            }
            self.world.borrow_mut().offsets(&self.name, member, offsets);
        }
        self.world.borrow_mut().end(&self.name, true);
        self.call("after committing")
    }

    /// Of some records the offset is not known.
    fn state_written(&self, partition: i32) -> Option<i64> {
        let after = self.after.borrow().get(&partition).copied()?;
        let unknown = self.world.borrow_mut().dice.roll(3) as i64;
        Some(match self.mistake {
            Some(Mistake::CopyAhead) => after + 5,
            _ => (after - unknown).max(1),
        })
    }
}

/// How long it waits until it looks again.
const SLICE: Duration = Duration::from_millis(20);
