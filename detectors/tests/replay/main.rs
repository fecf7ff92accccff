//! The same log gives the same alerts and the same state, whatever interrupts the engine.

#![expect(clippy::unwrap_used, reason = "a record just written reads back")]

mod chains;
#[path = "../../dice.rs"]
mod dice;
mod disorder;
mod records;
mod restored;
mod shop;

use nhiwatch_detectors::CARDS;
use nhiwatch_detectors::kernel::alert::Alert;
use nhiwatch_detectors::kernel::detector::{BaselineState, Family};
use nhiwatch_detectors::kernel::engine::{Engine, Limits};
use nhiwatch_detectors::kernel::input::{Fate, Ruling};
use nhiwatch_detectors::kernel::limit::Limit;
use nhiwatch_detectors::kernel::time::Timestamp;
use records::{Record, Store, engine, log, run};

/// Limits that the log reaches.
fn tight() -> Limits {
    Limits {
        identities: 12,
        newcomers: 2,
        duplicates: 50,
    }
}

#[test]
fn a_restored_engine_goes_on_as_if_nothing_had_happened() {
    for seed in 1..=4 {
        let mut records = log(seed);
        for limits in [Limits::default(), tight()] {
            let (alerts, engine, fates) = run(&records, &limits, &[]);
            let enough = alerts.len() > 1 || limits == tight();
            assert!(enough, "seed {seed} raised only {} alerts", alerts.len());
            if limits == tight() {
                let stats = engine.stats();
                let turned_away = stats.limits[Limit::Newcomers as usize];
                assert!(stats.evicted > 10 && turned_away > 10, "{stats:?}");
                let told = |alert: &&Alert| alert.detector == "identity-flood";
                assert!(alerts.iter().filter(told).count() > 1);
            }
            let restarts: Vec<usize> = (1..40).map(|n| n * records.len() / 40).collect();
            let (again, restored, same) = run(&records, &limits, &restarts);
            assert_eq!(alerts, again, "seed {seed}");
            assert_eq!(fates, same, "seed {seed}");
            assert_eq!(engine.digest(), restored.digest(), "seed {seed}");
        }
        // An analyst's ruling is part of the log as well.
        let (alerts, _, _) = run(&records, &Limits::default(), &[]);
        let ruled = &alerts[alerts.len() / 2];
        records.push(Record::Feedback(
            ruled.identity.clone(),
            ruled.id,
            Ruling::Benign,
        ));
        let (_, engine, _) = run(&records, &Limits::default(), &[]);
        let (_, restored, _) = run(&records, &Limits::default(), &[records.len() - 1]);
        assert_eq!(engine.digest(), restored.digest());
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
    let records = log(3);
    for (limits, restarts) in [
        (Limits::default(), vec![]),
        (Limits::default(), vec![500]),
        (tight(), vec![]),
        (tight(), vec![500, 2000]),
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
fn records_that_were_never_compacted_give_the_same_state() {
    for limits in [Limits::default(), tight()] {
        let (mut engine, mut store) = (engine(limits.clone()), Store::default());
        let mut alerts = Vec::new();
        for (at, record) in log(3).iter().enumerate() {
            engine.handle(&record.input(), &mut alerts);
            if at % 40 == 0 {
                store.save(&mut engine);
            }
        }
        store.save(&mut engine);
        let whole = store.load_whole(limits.clone());
        assert_eq!(whole.digest(), engine.digest());
        assert_eq!(whole.stats().identities, engine.stats().identities);
        assert_eq!(store.load(limits).digest(), engine.digest());
    }
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
    let mut fresh = records::engine(Limits::default());
    let error = refusal(&mut fresh, key, &payload[..payload.len() / 2]).unwrap();
    let named = String::from_utf8_lossy(&key[1..]);
    assert!(error.contains(&*named), "{error}");
    assert!(fresh.restore(b"?", b"").is_err());
    assert!(fresh.delete(b"?").is_err());
    assert!(fresh.delete(b"\0meta").is_err());
}

#[test]
fn a_record_with_any_bit_changed_is_refused() {
    let records = log(1);
    let (mut engine, mut store) = (engine(Limits::default()), Store::default());
    let mut alerts = Vec::new();
    for record in &records[..3000] {
        engine.handle(&record.input(), &mut alerts);
    }
    store.save(&mut engine);
    for (key, payload) in &store.0 {
        for at in (0..payload.len()).step_by(1 + payload.len() / 50) {
            let mut damaged = payload.clone();
            damaged[at] ^= 1 << (at % 8);
            let mut other = records::engine(Limits::default());
            let refused = refusal(&mut other, key, &damaged);
            assert!(refused.is_some(), "{key:?}, byte {at}");
        }
    }
}

/// Why an engine does not begin with this record: that of an identity is read last of all.
fn refusal(engine: &mut Engine, key: &[u8], payload: &[u8]) -> Option<String> {
    let restored = engine.restore(key, payload);
    let restored = restored.and_then(|()| engine.restored());
    restored.err().map(|error| error.to_string())
}
