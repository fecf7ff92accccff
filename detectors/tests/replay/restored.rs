//! An engine that is killed after every single record, and restored, is the same engine.

use std::collections::BTreeSet;

use nhiwatch_detectors::kernel::alert::Alert;
use nhiwatch_detectors::kernel::engine::Limits;
use nhiwatch_detectors::kernel::input::Ruling;
use nhiwatch_detectors::kernel::inventory::Declared;
use nhiwatch_detectors::kernel::time::{Span, Timestamp};

use crate::dice::Dice;
use crate::records::{Record, START, Store, engine, log, name, run};

/// From when on every record ends the engine.
const KILLED: Timestamp = START.plus(Span::WEEK.times(5));

/// When one identity is in a frenzy first.
const FRENZY: Timestamp = KILLED.minus(Span::DAY.times(5));

/// The hostile log, to which come: groups that are declared, changed and left; one identity that falls
/// silent for two days, and one that is in a frenzy twice, of which the first is held back from learning
/// until after [`KILLED`]; and rulings on what was published a while ago.
fn hostile(seed: u64) -> Vec<Record> {
    let mut dice = Dice(seed + 100);
    let silent = KILLED.plus(Span::DAY)..KILLED.plus(Span::DAY.times(3));
    let frenzies = [FRENZY, KILLED.plus(Span::DAY.times(4))];
    let mut records = Vec::new();
    let mut now = START;
    for record in log(seed) {
        if let Record::Act { ts, identity, .. } = &record {
            if *identity == name(5) && silent.contains(ts) {
                continue;
            }
            if *ts > now && *ts < now.plus(Span::DAY) {
                now = *ts;
            }
        }
        records.push(record);
        if dice.roll(60) == 0 {
            let group = ["settlement", "pricing", ""][dice.roll(3) as usize];
            let declared = Declared {
                group: (!group.is_empty()).then(|| group.to_owned()),
                ..Declared::default()
            };
            let whom = name(4 + dice.roll(4));
            records.push(Record::Inventory(whom, Some(declared)));
        }
        let in_frenzy = |start: &Timestamp| now > *start && now < start.plus(Span::HOUR);
        if frenzies.iter().any(in_frenzy) {
            for n in 0..200 {
                records.push(Record::Act {
                    ts: now,
                    received: None,
                    uid: format!("frenzy-{}-{n}", now.micros()),
                    identity: name(6),
                    action: "a1".to_owned(),
                    session: String::new(),
                });
            }
        }
    }
    let (alerts, _, _) = run(&records, &Limits::default(), &[]);
    with_rulings(records, &alerts)
}

/// After every fifty records, a ruling on some incident of `alerts`.
fn with_rulings(records: Vec<Record>, alerts: &[Alert]) -> Vec<Record> {
    let mut dice = Dice(7);
    let mut ruled = Vec::new();
    for (at, record) in records.into_iter().enumerate() {
        ruled.push(record);
        if at % 50 == 0 && !alerts.is_empty() {
            let alert = &alerts[dice.roll(alerts.len() as u64) as usize];
            let ruling = Ruling::ALL[dice.roll(2) as usize];
            ruled.push(Record::Feedback(alert.identity.clone(), alert.id, ruling));
        }
    }
    ruled
}

/// Where the record that brings time past [`KILLED`] stands.
fn first_killed(records: &[Record]) -> usize {
    let (mut engine, mut alerts) = (engine(Limits::default()), Vec::new());
    let past = |record: &Record| {
        engine.handle(&record.input(), &mut alerts);
        engine.watermark() >= Some(KILLED)
    };
    records.iter().position(past).unwrap_or(records.len())
}

#[test]
fn an_engine_killed_after_every_record_is_the_same_engine() {
    let mut detectors = BTreeSet::new();
    for (seed, limits) in [
        (1, Limits::default()),
        (2, Limits::default()),
        (1, super::tight()),
        (2, super::tight()),
    ] {
        let records = hostile(seed);
        let at = first_killed(&records);
        let (mut steady, mut alerts) = (engine(limits.clone()), Vec::new());
        let (mut killed, mut again) = (engine(limits.clone()), Vec::new());
        for record in &records[..at] {
            steady.handle(&record.input(), &mut alerts);
            killed.handle(&record.input(), &mut again);
        }
        let held = |alert: &Alert| alert.identity == name(6) && alert.ts >= FRENZY;
        let tight = limits != Limits::default();
        assert!(
            tight || alerts.iter().any(held),
            "seed {seed}: nothing is held back"
        );
        let before = steady.stats();
        alerts.clear();
        again.clear();
        let mut store = Store::default();
        for (at, record) in records[at..].iter().enumerate() {
            steady.handle(&record.input(), &mut alerts);
            killed.handle(&record.input(), &mut again);
            store.save(&mut killed);
            killed = store.load(limits.clone());
            assert_eq!(again.len(), alerts.len(), "seed {seed}, {at}: {record:?}");
            assert_eq!(
                killed.digest(),
                steady.digest(),
                "seed {seed}, {at}: {record:?}"
            );
        }
        assert_eq!(again, alerts, "seed {seed}");
        let stats = steady.stats();
        assert!(!tight || stats.evicted > before.evicted + 3, "{stats:?}");
        detectors.extend(alerts.iter().map(|alert| alert.detector));
    }
    for needed in ["silence", "risk"] {
        assert!(detectors.contains(needed), "{detectors:?}");
    }
}
