//! The same log gives the same alerts and the same state, whatever interrupts the engine.

#![expect(clippy::unwrap_used, reason = "a record just written reads back")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nhiwatch_detectors::kernel::budget::Budget;
use nhiwatch_detectors::kernel::calendar::Calendars;
use nhiwatch_detectors::kernel::detector::{Alert, BaselineState, Family, IncidentId, Mode};
use nhiwatch_detectors::kernel::engine::{Decision, Engine, Limits};
use nhiwatch_detectors::kernel::event::{Class, Event};
use nhiwatch_detectors::kernel::input::{Fate, Input, Ruling};
use nhiwatch_detectors::kernel::inventory::Declared;
use nhiwatch_detectors::kernel::time::{Span, Timestamp};
use nhiwatch_detectors::{CARDS, Configs};

const START: Timestamp = Timestamp::from_seconds(1_767_571_200);

/// A record that owns its text.
#[derive(Clone, Debug)]
enum Record {
    Act {
        ts: Timestamp,
        received: Option<Timestamp>,
        uid: String,
        identity: String,
        action: String,
        session: String,
    },
    Heartbeat(Timestamp),
    Inventory(String, Option<Declared>),
    Feedback(String, IncidentId),
}

impl Record {
    fn input(&self) -> Input<'_> {
        match self {
            Self::Act {
                ts,
                received,
                uid,
                identity,
                action,
                session,
            } => Input::Event(Event {
                ts: *ts,
                received: *received,
                uid: Some(uid),
                identity,
                action,
                class: if action.starts_with('o') {
                    Class::Order
                } else {
                    Class::Read
                },
                session: Some(session),
                ..Event::default()
            }),
            Self::Heartbeat(ts) => Input::Heartbeat { ts: *ts },
            Self::Inventory(identity, declared) => Input::Inventory {
                identity,
                declared: declared.clone(),
            },
            Self::Feedback(identity, incident) => Input::Feedback {
                identity,
                incident: *incident,
                ruling: Ruling::Benign,
            },
        }
    }
}

/// Numbers that look random and are always the same.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// Six weeks of eight identities with habits, disorder, duplicates, stragglers, future stamps,
/// heartbeats, inventory news, bursts and new tools.
fn log(seed: u64) -> Vec<Record> {
    let mut dice = Dice(seed);
    let mut records = Vec::new();
    let mut now = START;
    while now < START.plus(Span::WEEK.times(6)) {
        now = now.plus(Span::from_seconds(dice.roll(600) as i64));
        let who = dice.roll(8);
        let hour = now.seconds_of_day() / 3600;
        if who < 4 && !(8..18).contains(&hour) && dice.roll(400) > 0 {
            continue;
        }
        let mut act = |ts: Timestamp, uid: u64, action: u64| {
            records.push(Record::Act {
                ts,
                received: uid.is_multiple_of(2).then_some(now),
                uid: uid.to_string(),
                identity: format!("svc-{who}"),
                action: format!("{}{action}", if who == 1 { "o" } else { "a" }),
                session: format!("{}", now.hour() / 2),
            });
        };
        let uid = now.micros() as u64;
        match dice.roll(2000) {
            0 => (0..400).for_each(|n| act(now, uid + n, 1)),
            1 => act(now.plus(Span::DAY.times(9000)), uid, 1),
            2 => act(now.minus(Span::HOUR), uid, 2),
            3 => act(now, uid, 50 + dice.roll(30)),
            4..40 => act(now.minus(Span::from_seconds(100)), uid, 3),
            40..60 => {
                act(now, uid, 2);
                act(now, uid, 2);
            }
            60..70 => records.push(Record::Heartbeat(now)),
            70 => {
                let zone = if dice.roll(2) == 0 {
                    None
                } else {
                    Some(chrono_tz::Tz::Europe__Zurich)
                };
                let declared = Declared {
                    timezone: zone,
                    group: (dice.roll(3) > 0).then(|| format!("group-{}", dice.roll(2))),
                    ..Declared::default()
                };
                records.push(Record::Inventory(format!("svc-{who}"), Some(declared)));
                // Others are declared, or not any more, that never do anything.
                let declared = (dice.roll(2) == 0).then(Declared::default);
                records.push(Record::Inventory(format!("idle-{}", who % 2), declared));
            }
            _ => act(now, uid, (uid / 7) % (3 + who)),
        }
    }
    records
}

trait SecondsOfDay {
    fn seconds_of_day(self) -> i64;
}

impl SecondsOfDay for Timestamp {
    fn seconds_of_day(self) -> i64 {
        self.since(START).seconds().rem_euclid(86_400)
    }
}

fn engine(limits: Limits) -> Engine {
    let decision = Decision::new(
        &Configs::default(),
        &Budget::default(),
        &limits,
        &Calendars::default(),
        "",
    );
    Engine::new(3, Arc::new(decision))
}

#[derive(Default)]
struct Store(BTreeMap<Vec<u8>, Vec<u8>>);

impl Store {
    fn save(&mut self, engine: &mut Engine) {
        engine.flush(&mut |key: &[u8], payload: Option<&[u8]>| {
            match payload {
                Some(payload) => self.0.insert(key.to_vec(), payload.to_vec()),
                None => self.0.remove(key),
            };
        });
    }

    fn load(&self, limits: Limits) -> Engine {
        let mut engine = engine(limits);
        for (key, payload) in self.0.iter().rev() {
            engine.restore(key, payload).unwrap();
        }
        engine.restored();
        engine
    }
}

fn run(records: &[Record], limits: &Limits, restarts: &[usize]) -> (Vec<Alert>, Engine, Vec<Fate>) {
    let (mut engine, mut store) = (engine(limits.clone()), Store::default());
    let (mut alerts, mut fates) = (Vec::new(), Vec::new());
    for (at, record) in records.iter().enumerate() {
        if restarts.contains(&at) {
            store.save(&mut engine);
            engine = store.load(limits.clone());
        } else if at % 97 == 0 {
            store.save(&mut engine);
        }
        fates.push(engine.handle(&record.input(), &mut alerts));
    }
    (alerts, engine, fates)
}

#[test]
fn a_restored_engine_goes_on_as_if_nothing_had_happened() {
    for seed in 1..=4 {
        let mut records = log(seed);
        for limits in [
            Limits::default(),
            Limits {
                identities: 4,
                duplicates: 50,
            },
        ] {
            let (alerts, engine, fates) = run(&records, &limits, &[]);
            let enough = alerts.len() > 3 || limits.identities < 8;
            assert!(enough, "seed {seed} raised only {} alerts", alerts.len());
            let restarts: Vec<usize> = (1..40).map(|n| n * records.len() / 40).collect();
            let (again, restored, same) = run(&records, &limits, &restarts);
            assert_eq!(alerts, again, "seed {seed}");
            assert_eq!(fates, same, "seed {seed}");
            assert_eq!(engine.digest(), restored.digest(), "seed {seed}");
        }
        // An analyst's ruling is part of the log as well.
        let (alerts, _, _) = run(&records, &Limits::default(), &[]);
        let ruled = &alerts[alerts.len() / 2];
        records.push(Record::Feedback(ruled.identity.clone(), ruled.id));
        let (_, engine, _) = run(&records, &Limits::default(), &[]);
        let (_, restored, _) = run(&records, &Limits::default(), &[records.len() - 1]);
        assert_eq!(engine.digest(), restored.digest());
    }
}

#[test]
fn it_does_not_matter_before_which_record_an_engine_is_restored() {
    let records = log(5);
    // The last days, when everything is judged.
    let last = records.len() - 1500;
    let (alerts, engine, fates) = run(&records, &Limits::default(), &[]);
    let every: Vec<usize> = (last..records.len()).collect();
    let (again, restored, same) = run(&records, &Limits::default(), &every);
    assert_eq!(alerts, again);
    assert_eq!(fates, same);
    assert_eq!(engine.digest(), restored.digest());
}

/// Moves records within what still counts as on time: not more than five minutes.
fn shuffled(records: &[Record], seed: u64) -> Vec<Record> {
    let mut dice = Dice(seed);
    let mut keyed: Vec<(Timestamp, usize, Record)> = records
        .iter()
        .enumerate()
        .map(|(at, record)| {
            let ts = match record {
                Record::Act { ts, .. } | Record::Heartbeat(ts) => *ts,
                Record::Inventory(..) | Record::Feedback(..) => unreachable!("acts only"),
            };
            let jitter = Span::from_seconds(dice.roll(300) as i64);
            (ts.plus(jitter), at, record.clone())
        })
        .collect();
    keyed.sort_by_key(|(ts, at, _)| (*ts, *at));
    keyed.into_iter().map(|(_, _, record)| record).collect()
}

#[test]
fn shuffled_within_the_lateness_allowed_the_same_incidents_open() {
    for seed in 1..=3 {
        // Stamps that are in order and neither late nor from the future, and no receipt.
        let mut ordered: Vec<Record> = log(seed)
            .into_iter()
            .filter_map(|record| match record {
                Record::Act {
                    ts,
                    uid,
                    identity,
                    action,
                    session,
                    ..
                } if ts < START.plus(Span::WEEK.times(7)) => Some(Record::Act {
                    ts,
                    received: None,
                    uid,
                    identity,
                    action,
                    session,
                }),
                _ => None,
            })
            .collect();
        ordered.sort_by_key(|record| match record {
            Record::Act { ts, .. } => *ts,
            _ => START,
        });
        // Chains depend on the order of their steps, and so does what is weighed together with them.
        let mut configs = Configs::default();
        configs.tool_chain.mode = Mode::Off;
        let incidents = |records: &[Record]| {
            let limits = Limits::default();
            let budget = Budget::default();
            let decision = Decision::new(&configs, &budget, &limits, &Calendars::default(), "");
            let (mut engine, mut alerts) = (Engine::new(3, Arc::new(decision)), Vec::new());
            for record in records {
                assert_ne!(engine.handle(&record.input(), &mut alerts), Fate::Late);
            }
            let ids: BTreeSet<IncidentId> = alerts.iter().map(|alert| alert.id).collect();
            ids
        };
        let wanted = incidents(&ordered);
        assert!(!wanted.is_empty());
        for shuffle in 10..13 {
            assert_eq!(
                incidents(&shuffled(&ordered, shuffle)),
                wanted,
                "{seed} {shuffle}"
            );
        }
    }
}

#[test]
fn every_record_has_exactly_one_fate_and_all_fates_occur_that_can() {
    let records = log(1);
    let (_, engine, fates) = run(&records, &Limits::default(), &[]);
    let counted = engine.stats().fates;
    assert_eq!(counted.iter().sum::<u64>(), records.len() as u64);
    for &fate in Fate::ALL {
        let seen = fates.iter().filter(|f| **f == fate).count() as u64;
        assert_eq!(counted[fate as usize], seen, "{fate}");
        assert!(
            seen > 0 || fate == Fate::Quarantined,
            "{fate} never occurred"
        );
    }
}

#[test]
fn every_detector_evaluates_an_event_once_by_its_rules_and_baseline_together() {
    let records = log(1);
    let (_, engine, fates) = run(&records, &Limits::default(), &[]);
    // All but the control records, for here every identity is known and none over a limit.
    let events = fates.iter().filter(|fate| **fate != Fate::Control).count() as u64;
    let stats = engine.stats().detectors;
    assert!(stats.iter().all(|stats| stats.evaluations == events));
    for (card, stats) in CARDS.iter().zip(&stats) {
        let waits = card.family == Family::Statistical;
        assert!((stats.learning > 0) == waits && stats.learning < events);
    }
}

#[test]
fn the_identities_still_learning_are_counted_through_evictions_and_restarts() {
    let tight = Limits {
        identities: 4,
        ..Limits::default()
    };
    let records = log(3);
    for (limits, restarts) in [
        (Limits::default(), vec![]),
        (Limits::default(), vec![500]),
        (tight.clone(), vec![]),
        (tight, vec![500, 2000]),
    ] {
        for end in [1000, 2500, records.len()] {
            let mut records = records[..end].to_vec();
            // On the hour, so that the count, which is to the hour, is exact.
            let (_, engine, _) = run(&records, &limits, &restarts);
            let hour = engine.watermark().unwrap().hour() + 2;
            records.push(Record::Heartbeat(Timestamp::from_hour(hour)));
            let (_, engine, _) = run(&records, &limits, &restarts);
            let young = engine.learning();
            let young = young.iter().filter(|y| y.state == BaselineState::Learning);
            assert_eq!(engine.stats().learning, young.count() as u64, "{end}");
        }
    }
}

#[test]
fn alert_ids_are_unique_per_revision_and_never_depend_on_the_partition() {
    let records = log(2);
    let (alerts, _, _) = run(&records, &Limits::default(), &[]);
    let mut ids: Vec<_> = alerts
        .iter()
        .map(|alert| (alert.id, alert.revision))
        .collect();
    ids.sort_unstable();
    let all = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), all);
}

#[test]
fn a_damaged_record_is_refused_by_name() {
    let records = log(1);
    let (mut engine, mut store) = (engine(Limits::default()), Store::default());
    let mut alerts = Vec::new();
    for record in &records[..2000] {
        engine.handle(&record.input(), &mut alerts);
    }
    store.save(&mut engine);
    let (key, payload) = store
        .0
        .iter()
        .find(|(key, _)| key.starts_with(b"b"))
        .unwrap();
    let mut fresh = self::engine(Limits::default());
    let error = fresh
        .restore(key, &payload[..payload.len() / 2])
        .unwrap_err();
    assert!(error.to_string().contains("svc-"), "{error}");
    assert!(fresh.restore(b"?", b"").is_err());
}
