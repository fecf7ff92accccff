//! Who invents identities: nobody with a history is forgotten, what is stored is bounded, and it is told.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nhiwatch_detectors::kernel::alert::Alert;
use nhiwatch_detectors::kernel::calendar::{Calendar, Calendars, Session};
use nhiwatch_detectors::kernel::engine::{Decision, Engine, Limits, Settings};
use nhiwatch_detectors::kernel::event::{Class, Event, Kind};
use nhiwatch_detectors::kernel::input::{Fate, Input};
use nhiwatch_detectors::kernel::limit::Limit;
use nhiwatch_detectors::kernel::time::{Span, Timestamp};

/// Monday, 2026-01-05T00:00:00Z.
const START: Timestamp = Timestamp::from_seconds(1_767_571_200);
const WEEKS: i64 = 8;
const ESTABLISHED: usize = 60;
const NEWCOMERS: usize = 50;
const FLOOD: usize = 20_000;

fn engine() -> Engine {
    Engine::new(
        0,
        Arc::new(Decision::new(Settings {
            limits: Limits {
                identities: 2 * ESTABLISHED + NEWCOMERS,
                newcomers: NEWCOMERS,
                ..Limits::default()
            },
            ..Settings::default()
        })),
    )
}

fn call(
    engine: &mut Engine,
    identity: &str,
    ts: Timestamp,
    (action, class): (&str, Class),
    to: &mut Vec<Alert>,
) -> Fate {
    let event = Event {
        ts,
        identity,
        kind: Kind::ServiceAccount,
        action,
        class,
        ..Event::default()
    };
    engine.handle(&Input::Event(event), to)
}

/// An hour of those who are established: a read and a write every ten minutes.
fn habits(start: Timestamp, mut act: impl FnMut(String, Timestamp, &'static str)) {
    for minute in (0..60).step_by(10) {
        for who in 0..ESTABLISHED {
            let ts = start.plus(Span::MINUTE.times(minute));
            let ts = ts.plus(Span::from_seconds(who as i64));
            let name = format!("bank/svc-{who}");
            act(name.clone(), ts, "s3:GetObject");
            act(name, ts.plus(Span::MINUTE), "s3:PutObject");
        }
    }
}

const fn end_of_habit() -> Timestamp {
    START.plus(Span::WEEK.times(WEEKS))
}

/// An engine that has known them for [`WEEKS`], and what it has stored.
fn habit() -> (Engine, BTreeMap<Vec<u8>, Vec<u8>>) {
    let (mut engine, mut alerts) = (engine(), Vec::new());
    for n in 0..WEEKS * 7 * 24 {
        habits(START.plus(Span::HOUR.times(n)), |who, ts, action| {
            call(&mut engine, &who, ts, (action, Class::Read), &mut alerts);
        });
    }
    let mut store = BTreeMap::new();
    engine.flush(|key, payload| drop(store.insert(key.to_vec(), payload.unwrap().to_vec())));
    (engine, store)
}

fn again(store: &BTreeMap<Vec<u8>, Vec<u8>>) -> Engine {
    let mut engine = engine();
    for (key, payload) in store {
        engine.restore(key, payload).unwrap();
    }
    engine.restored().unwrap();
    engine
}

/// Two hours of those who are established, of whom a quarter do what they never did, with or without a flood of others.
fn attacked(engine: &mut Engine, flood: usize) -> Vec<Alert> {
    let mut acts: Vec<(Timestamp, String, &str, Class)> = Vec::new();
    for n in 0..flood {
        let ts = end_of_habit().plus(Span::from_micros(n as i64 * 100_000));
        acts.push((ts, format!("mint/{n}"), "sts:AssumeRole", Class::Auth));
    }
    for hours in 0..2 {
        let start = end_of_habit().plus(Span::HOUR.times(hours));
        habits(start, |who, ts, action| {
            acts.push((ts, who, action, Class::Read))
        });
    }
    let start = end_of_habit().plus(Span::HOUR);
    for who in (0..ESTABLISHED).step_by(4) {
        let ts = start.plus(Span::from_seconds(30 * who as i64));
        let name = format!("bank/svc-{who}");
        acts.push((ts, name, "iam:CreateUser", Class::Admin));
    }
    acts.sort_by_key(|(ts, ..)| *ts);
    let mut alerts = Vec::new();
    for (ts, identity, action, class) in &acts {
        call(engine, identity, *ts, (action, *class), &mut alerts);
    }
    alerts
}

fn of_the_bank(alerts: &[Alert]) -> BTreeSet<(&str, &str)> {
    let bank = alerts.iter().filter(|it| it.identity.starts_with("bank/"));
    bank.map(|it| (&*it.identity, it.detector)).collect()
}

#[test]
fn a_flood_of_new_identities_hides_nothing_of_those_with_a_history_and_is_told() {
    let (mut quiet, store) = habit();
    let expected = attacked(&mut quiet, 0);
    let found = of_the_bank(&expected);
    let who: BTreeSet<_> = found.iter().map(|(who, _)| *who).collect();
    assert_eq!(
        who.len(),
        ESTABLISHED.div_ceil(4),
        "all are found anyway: {expected:#?}"
    );

    let mut flooded = again(&store);
    let alerts = attacked(&mut flooded, FLOOD);
    assert_eq!(of_the_bank(&alerts), found);
    let stats = flooded.stats();
    assert_eq!(
        (stats.evicted, stats.identities),
        (0, (ESTABLISHED + NEWCOMERS) as u64)
    );
    let turned_away = stats.limits[Limit::Newcomers as usize];
    assert_eq!(turned_away, (FLOOD - NEWCOMERS) as u64);

    let told: Vec<&Alert> = alerts
        .iter()
        .filter(|it| it.detector == "identity-flood")
        .collect();
    let counts: Vec<_> = told.iter().map(|it| (it.revision, it.findings)).collect();
    assert_eq!(counts, [(1, 1), (2, 10), (3, 100), (4, 1000), (5, 10_000)]);
    assert_eq!(told[0].finding.subject, "mint");
    assert!(told.iter().all(|it| it.id == told[0].id));
    let named = &told[1].members.as_ref().unwrap().identities;
    assert_eq!(named.len(), 5);
    assert_eq!(named[0], format!("mint/{NEWCOMERS}"));
}

#[test]
fn what_a_flood_writes_is_bounded_and_a_restart_in_it_changes_nothing() {
    let (mut steady, store) = habit();
    let (mut engine, mut store) = (again(&store), store);
    let mut flooded = BTreeSet::new();
    let (mut alerts, mut expected) = (Vec::new(), Vec::new());
    for n in 0..FLOOD {
        let ts = end_of_habit().plus(Span::from_micros(n as i64 * 100_000));
        call(
            &mut engine,
            &format!("mint/{n}"),
            ts,
            ("sts:AssumeRole", Class::Auth),
            &mut alerts,
        );
        if n % 1000 == 999 {
            engine.flush(|key, payload| {
                if key.windows(5).any(|part| part == b"mint/") {
                    flooded.insert(key.to_vec());
                }
                store.insert(key.to_vec(), payload.unwrap().to_vec());
            });
            let restored = again(&store);
            assert_eq!(restored.digest(), engine.digest(), "at {n}");
            engine = restored;
        }
    }
    for n in 0..FLOOD {
        let ts = end_of_habit().plus(Span::from_micros(n as i64 * 100_000));
        let name = format!("mint/{n}");
        call(
            &mut steady,
            &name,
            ts,
            ("sts:AssumeRole", Class::Auth),
            &mut expected,
        );
    }
    assert_eq!(alerts, expected);
    assert_eq!(engine.digest(), steady.digest());
    assert_eq!(
        flooded.len(),
        2 * NEWCOMERS,
        "two records of each that found room"
    );
    // From elsewhere one comes in nevertheless, and the flood's latest is deleted for it.
    let ts = end_of_habit().plus(Span::HOUR.times(2));
    let fate = call(
        &mut engine,
        "elsewhere/svc",
        ts,
        ("s3:GetObject", Class::Read),
        &mut alerts,
    );
    assert_eq!(fate, Fate::Judged);
    let mut deleted = Vec::new();
    engine.flush(|key, payload| {
        if payload.is_none() {
            deleted.push(String::from_utf8_lossy(key).into_owned());
        }
    });
    let latest = format!("mint/{}", NEWCOMERS - 1);
    assert!(
        deleted.len() == 2 && deleted.iter().all(|key| key.ends_with(&latest)),
        "{deleted:?}"
    );
}

#[test]
fn who_is_turned_away_is_held_against_the_rules_nevertheless() {
    let day = end_of_habit();
    let open = Session {
        open: day.plus(Span::HOUR.times(9)),
        close: day.plus(Span::HOUR.times(17)),
    };
    let until = day.plus(Span::DAY);
    let venue = Calendar::new("XTST", "1", "0123abcd", vec![open], START, until);
    let mut engine = Engine::new(
        0,
        Arc::new(Decision::new(Settings {
            limits: Limits {
                newcomers: 1,
                ..Limits::default()
            },
            calendars: Calendars::new(vec![venue]),
            ..Settings::default()
        })),
    );
    let mut alerts = Vec::new();
    for n in 0..=WEEKS * 7 {
        let ts = START.plus(Span::DAY.times(n));
        call(&mut engine, "bank/svc", ts, ("a", Class::Read), &mut alerts);
        call(&mut engine, "bank/svc", ts, ("a", Class::Read), &mut alerts);
    }
    for name in ["mint/0", "mint/1"] {
        call(&mut engine, name, day, ("a", Class::Read), &mut alerts);
    }
    assert_eq!(engine.stats().limits[Limit::Newcomers as usize], 1);
    alerts.clear();
    let order = Event {
        ts: day.plus(Span::MINUTE),
        identity: "mint/2",
        action: "order.create",
        class: Class::Order,
        venue: Some("XTST"),
        ..Event::default()
    };
    let fate = engine.handle(&Input::Event(order), &mut alerts);
    assert_eq!(fate, Fate::Filtered);
    let told: Vec<_> = alerts
        .iter()
        .map(|it| (&*it.identity, it.detector))
        .collect();
    assert_eq!(told, [("mint/2", "off-hours")]);
}

#[test]
fn records_that_cannot_be_read_are_told_once_for_each_source_and_reason() {
    let (mut engine, mut alerts) = (engine(), Vec::new());
    let received = Some(START);
    for n in 0..25 {
        let source = ["a", "b"][n % 2];
        engine.refuse((source, "json"), 1, received, &mut alerts);
        let unreadable = Input::Unreadable {
            source: "raw",
            reason: "utf8",
            count: 40,
            received,
        };
        assert_eq!(engine.handle(&unreadable, &mut alerts), Fate::Control);
    }
    let mut told = BTreeMap::<_, Vec<_>>::new();
    for alert in &alerts {
        assert_eq!(alert.detector, "unreadable");
        told.entry(&*alert.finding.subject)
            .or_default()
            .push((alert.revision, alert.findings));
    }
    let expected = BTreeMap::from([
        ("a: json", vec![(1, 1), (2, 10)]),
        ("b: json", vec![(1, 1), (2, 10)]),
        ("raw: utf8", vec![(1, 40), (2, 400)]),
    ]);
    assert_eq!(told, expected);
}
