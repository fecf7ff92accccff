//! Shards on a model of Kafka that fails in every way it can: nothing is lost, nothing is told twice.
//!
//! Each seed decides a run: when events come, which process works next, who is killed, sleeps through its
//! session or meets its twin, which answers are lost, when the marks of transactions arrive, how often the state
//! is stored, whether it is kept on local disk as well, and what is left of that. After that all is quiet and one process finishes; then the alerts and dead letters that are committed, the offsets and
//! the state must be those of engines that nothing disturbed.
//!
//! `NHIWATCH_SEEDS=20000 cargo test --release --test simulation` runs so many; `NHIWATCH_SEED=7` runs the one
//! that failed, and says what happened in it.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a run that was asked for says what happened"
)]

mod bank;
mod dice;
mod homes;
mod member;
mod world;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use bank::Outcome;
use dice::Dice;
use homes::Homes;
use member::{Meanwhile, Mistake, Process};
use nhiwatch::commands::run::service;
use nhiwatch::config::Config;
use nhiwatch::service::Service;
use nhiwatch::shard::{Shard, Teardown, frame};
use world::{Faults, SESSION, World};

/// Names of the processes of a run.
const NAMES: [&str; 3] = ["one", "two", "three"];
/// Steps in which things go wrong.
const DISTURBED: usize = 600;

/// One run.
struct Run<'s> {
    service: &'s Service,
    homes: &'s Homes,
    world: Rc<RefCell<World>>,
    /// The processes that work.
    running: Vec<(&'static str, Shard<'s, Process<'s>>)>,
    /// Why processes ended.
    ends: BTreeMap<String, usize>,
    mistake: Option<Mistake>,
    says: bool,
}

impl<'s> Run<'s> {
    fn new(
        (service, homes): (&'s Service, &'s Homes),
        seed: u64,
        mistake: Option<Mistake>,
    ) -> (Self, Outcome) {
        let mut dice = Dice::new(seed, 0);
        let partitions = 1 + dice.roll(4) as usize;
        let events = bank::events(&mut dice, partitions);
        let expected = Outcome::expected(service, &events);
        let faults = Faults {
            kill: [0, 100, 300, 1000][dice.roll(4) as usize],
            unknown: [0, 3, 10][dice.roll(3) as usize],
            sleep: [0, 200, 1000][dice.roll(3) as usize],
            twin: [0, 50, 200][dice.roll(3) as usize],
        };
        let world = World::new(seed, faults, events);
        let run = Self {
            service,
            homes,
            world: Rc::new(RefCell::new(world)),
            running: Vec::new(),
            ends: BTreeMap::new(),
            mistake,
            says: std::env::var_os("NHIWATCH_SEED").is_some(),
        };
        (run, expected)
    }

    /// What came of the whole run.
    fn outcome(mut self, ends: &mut BTreeMap<String, usize>) -> Outcome {
        for _ in 0..DISTURBED {
            self.disturb();
        }
        {
            let mut world = self.world.borrow_mut();
            world.faults = Faults::NONE;
            // Whoever still runs is gone, whatever is on its way arrives.
            world.pass(SESSION * 3);
        }
        self.running.clear();
        self.say("quiet");
        for (end, times) in &self.ends {
            *ends.entry(end.clone()).or_default() += times;
        }
        self.finish()
    }

    fn disturb(&mut self) {
        let name = {
            let mut world = self.world.borrow_mut();
            let span = Duration::from_millis(world.dice.roll(60));
            world.pass(span);
            if world.chance(40) {
                let partitions = world.events.len() as u64;
                let partition = world.dice.roll(partitions) as i32;
                world.compact(partition);
            }
            NAMES[world.dice.roll(NAMES.len() as u64) as usize]
        };
        let at = self.running.iter().rposition(|(it, _)| *it == name);
        let twin = {
            let mut world = self.world.borrow_mut();
            let chance = world.faults.twin;
            world.chance(chance)
        };
        match at {
            Some(at) if !twin => self.step(at),
            _ => {
                self.say(&format!("{name} starts"));
                let meanwhile = Some(self.meanwhile());
                let process = Process::start(&self.world, name, self.mistake, meanwhile);
                let shard = Shard::new(self.homes.service(name), name, process);
                self.running.push((name, shard));
            }
        }
        // A namesake that another one has fenced works on until it notices.
        let namesakes = self.running.iter().filter(|(it, _)| *it == name).count();
        if namesakes > 1
            && let Some(first) = self.running.iter().position(|(it, _)| *it == name)
        {
            self.step(first);
        }
    }

    fn step(&mut self, at: usize) {
        let (name, shard) = &mut self.running[at];
        if let Err(error) = shard.step() {
            let said = format!("{name} ends: {error}");
            hold_true(&error);
            let (name, shard) = self.running.remove(at);
            drop(shard);
            let mut world = self.world.borrow_mut();
            if world.chance(4) {
                self.homes.damage(name, &mut world.dice);
            }
            drop(world);
            self.say(&said);
            *self.ends.entry(error.to_string()).or_default() += 1;
        }
    }

    /// While a process sleeps another one takes over, and is killed or goes in order.
    fn meanwhile(&self) -> Meanwhile<'s> {
        let (world, mistake) = (Rc::clone(&self.world), self.mistake);
        let service = self.homes.service("relief");
        Rc::new(move || {
            let process = Process::start(&world, "relief", mistake, None);
            let mut shard = Shard::new(service, "relief", process);
            let (steps, in_order) = {
                let dice = &mut world.borrow_mut().dice;
                (dice.roll(60), dice.roll(2) == 0)
            };
            let worked = (0..steps).try_for_each(|_| shard.step());
            match worked {
                Ok(()) if in_order => shard.into_broker().leave(),
                Ok(()) => {}
                Err(error) => hold_true(&error),
            }
        })
    }

    /// One process takes all that is left, and leaves.
    fn finish(self) -> Outcome {
        let process = Process::start(&self.world, "last", self.mistake, None);
        let mut shard = Shard::new(self.homes.service("one"), "last", process);
        let deadline = self.world.borrow().now + Duration::from_secs(600);
        while !self.is_done() {
            assert!(self.world.borrow().now < deadline, "it never ends");
            if let Err(error) = shard.step() {
                panic!("the last process ends: {error}");
            }
        }
        // What is committed is asked of who knows nothing else.
        shard.into_broker().leave();
        let process = Process::start(&self.world, "reader", None, None);
        let mut shard = Shard::new(self.homes.service("two"), "reader", process);
        let mut states: BTreeSet<(i32, i64, String)> = BTreeSet::new();
        while !self.is_all(&states) {
            if let Err(error) = shard.step() {
                panic!("the state cannot be read back: {error}");
            }
            states = shard.digests().collect();
        }
        let mut world = self.world.borrow_mut();
        world.pass(SESSION);
        if self.service.config.kafka.checkpoint_interval.is_zero() {
            hold_stored(&world);
        }
        let mut outcome = Outcome {
            states,
            ..Outcome::default()
        };
        let topics = &self.service.config.topics;
        let header = |written: &world::Written, name: &str| written.headers[name].clone();
        for (topic, told) in &world.told {
            for written in told.iter().filter(|written| world.is_committed(written)) {
                let (counted, names) = if *topic == topics.alerts {
                    (&mut outcome.alerts, ["ce_id", "revision"])
                } else {
                    (&mut outcome.letters, ["dlq.partition", "dlq.offset"])
                };
                let [one, other] = names.map(|name| header(written, name));
                *counted.entry((one, other)).or_default() += 1;
            }
        }
        outcome
    }

    /// Whether all events are committed.
    fn is_done(&self) -> bool {
        let world = self.world.borrow();
        let mut all = (0..).zip(&world.events);
        all.all(|(partition, events)| {
            world.committed(partition).unwrap_or(0) == events.len() as i64
        })
    }

    /// Whether these are the states of all partitions at their ends.
    fn is_all(&self, states: &BTreeSet<(i32, i64, String)>) -> bool {
        let world = self.world.borrow();
        let ends = states
            .iter()
            .map(|(partition, next, _)| (*partition, *next));
        let events = (0..).zip(&world.events);
        ends.eq(events.map(|(partition, events)| (partition, events.len() as i64)))
    }

    fn say(&self, what: &str) {
        if self.says {
            eprintln!("{:>9.3} s  {what}", self.world.borrow().now.as_secs_f64());
        }
    }
}

/// Whoever stores its state with every commit has nothing to take in again, in no partition.
fn hold_stored(world: &World) {
    for state in &world.state {
        let mut newest = state.iter().rev();
        let newest = newest.find(|it| it.key == frame::PROGRESS && world.is_committed(it));
        let value = newest.and_then(|it| it.value.as_deref()).unwrap();
        let payload = frame::unwrap(value).unwrap();
        let progress: frame::Progress = serde_json::from_slice(payload).unwrap();
        assert_eq!(progress.stored, progress.next);
    }
}

/// State and offsets that do not fit each other must never be.
fn hold_true(error: &Teardown) {
    let contradicts = error.to_string().contains("would lose or repeat");
    assert!(!contradicts, "{error}");
}

/// Services that store their state with every commit, once a second, and as rarely as is usual; the second has no room
/// for all identities of a partition.
fn services() -> [Service; 3] {
    [(0, 100), (1000, 3), (5000, 100)].map(|(interval, identities)| {
        let mut config = Config::default();
        config.limits.identities = identities;
        config.kafka.checkpoint_interval = Duration::from_millis(interval);
        service(config).unwrap()
    })
}

/// What is wrong with the run of `seed`, if anything.
fn wrong(
    services: &[Service; 3],
    seed: u64,
    mistake: Option<Mistake>,
    ends: &mut BTreeMap<String, usize>,
) -> Option<String> {
    let service = &services[Dice::new(seed, 2).roll(3) as usize];
    let names: Vec<_> = NAMES.into_iter().chain(["relief"]).collect();
    let homes = Homes::of(&names, service, &mut Dice::new(seed, 3));
    let run = || {
        let (run, expected) = Run::new((service, &homes), seed, mistake);
        let outcome = run.outcome(ends);
        (outcome != expected).then(|| format!("expected {expected:#?}\nbut had {outcome:#?}"))
    };
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
    caught.unwrap_or_else(|_| Some("it ends in a panic, which is told above".to_owned()))
}

/// The seeds of this test: those asked for, else so many.
fn seeds(usual: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    match (number("NHIWATCH_SEED"), number("NHIWATCH_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, seeds) => 0..seeds.unwrap_or(usual),
    }
}

#[test]
fn whatever_fails_nothing_is_lost_and_nothing_is_told_twice() {
    let services = services();
    let (seeds, mut ends) = (seeds(500), BTreeMap::new());
    let count = seeds.end - seeds.start;
    for seed in seeds {
        if let Some(wrong) = wrong(&services, seed, None, &mut ends) {
            panic!("NHIWATCH_SEED={seed}: {wrong}");
        }
    }
    println!("{count} seeds; processes ended by {ends:#?}");
    let all = [
        "killed",
        "fenced",
        "no answer in time",
        "assignment was lost",
    ];
    let seen = |end: &&str| ends.keys().any(|it| it.contains(end));
    assert!(count < 500 || all.iter().all(seen), "{ends:#?}");
}

#[test]
fn what_is_simulated_lasts_for_hours_and_makes_identities_give_way() {
    let service = &services()[1];
    let (mut evicted, mut hours) = (0, 0);
    for seed in 0..20 {
        let events = bank::events(&mut Dice::new(seed, 0), 3);
        let last = events.iter().flatten().map(|event| event.at).max().unwrap();
        hours += bank::time(last).since(bank::time(Duration::ZERO)).seconds() / 3600;
        let replay = bank::replay(service, &events, |_, _| {});
        evicted += replay
            .engines()
            .map(|engine| engine.stats().evicted)
            .sum::<u64>();
    }
    assert!(
        evicted > 100 && hours > 40,
        "{evicted} evicted in {hours} hours"
    );
}

#[test]
fn who_was_away_while_others_went_on_does_not_go_on_with_what_it_knew() {
    let service = &services()[2];
    for seed in 0..20 {
        let homes = Homes::of(&["one", "two"], service, &mut Dice::new(seed, 3));
        let (run, expected) = Run::new((service, &homes), seed, None);
        run.world.borrow_mut().faults = Faults::NONE;
        let start = |name| {
            let process = Process::start(&run.world, name, None, None);
            Shard::new(homes.service(name), name, process)
        };
        let step = |shard: &mut Shard<'_, _>| shard.step().unwrap();
        let mut away = start("two");
        (0..100).for_each(|_| step(&mut away));
        let mut other = start("one");
        let known = away.digests().count();
        while away.digests().next().is_some() {
            step(&mut away);
        }
        // It has given everything back, and hears of nothing for a while.
        run.world.borrow_mut().pass(SESSION * 2);
        (0..200).for_each(|_| step(&mut other));
        assert_eq!(other.digests().count(), known);
        other.into_broker().leave();
        (0..100).for_each(|_| step(&mut away));
        assert_eq!(away.digests().count(), known);
        drop(away);
        assert_eq!(run.finish(), expected, "seed {seed}");
    }
}

/// Makes sure that `mistake` is found within some hundred seeds, and says in which first.
fn is_found(mistake: Mistake) {
    let services = services();
    let ends = &mut BTreeMap::new();
    let is_wrong = |seed: &u64| wrong(&services, *seed, Some(mistake), ends).is_some();
    let seeds: Vec<u64> = (0..500).filter(is_wrong).collect();
    println!(
        "{mistake:?}: {} of 500 seeds, {:?} first",
        seeds.len(),
        seeds.first()
    );
    assert!(!seeds.is_empty(), "{mistake:?}");
}

#[test]
fn a_restore_that_does_not_wait_for_the_marks_is_found() {
    is_found(Mistake::SkipBarrier);
}

#[test]
fn offsets_that_are_committed_before_the_alerts_are_found() {
    is_found(Mistake::OffsetsFirst);
}

#[test]
fn a_restart_that_leaves_out_what_came_after_the_stored_state_is_found() {
    is_found(Mistake::SkipReplay);
}

#[test]
fn a_copy_that_is_said_to_hold_more_than_it_does_is_found() {
    is_found(Mistake::CopyAhead);
}

#[test]
fn a_producer_that_goes_on_after_an_unknown_result_is_found() {
    is_found(Mistake::ReuseProducer);
}
