//! What the inventory announces changes what is known of an identity, never how long it is known.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::collections::BTreeMap;
use std::sync::Arc;

use nhiwatch_detectors::CARDS;
use nhiwatch_detectors::kernel::detector::{BaselineState, Family};
use nhiwatch_detectors::kernel::engine::{Decision, Engine, Limits, Settings};
use nhiwatch_detectors::kernel::event::Event;
use nhiwatch_detectors::kernel::input::{Fate, Input};
use nhiwatch_detectors::kernel::inventory::Declared;
use nhiwatch_detectors::kernel::limit::Limit;
use nhiwatch_detectors::kernel::schedule::Schedule;
use nhiwatch_detectors::kernel::time::{Span, Timestamp};

const START: Timestamp = Timestamp::from_seconds(1_767_571_200);

fn engine(identities: usize) -> Engine {
    let limits = Limits {
        identities,
        ..Limits::default()
    };
    let decision = Decision::new(Settings {
        limits,
        ..Settings::default()
    });
    Engine::new(0, Arc::new(decision))
}

fn act(engine: &mut Engine, identity: &str, ts: Timestamp) -> Fate {
    let event = Event {
        ts,
        identity,
        action: "read",
        ..Event::default()
    };
    engine.handle(&Input::Event(event), &mut Vec::new())
}

fn announce(engine: &mut Engine, identity: &str, declared: Option<Declared>) {
    let entry = Input::Inventory { identity, declared };
    assert_eq!(engine.handle(&entry, &mut Vec::new()), Fate::Control);
}

/// An entry that declares all there is.
fn whole() -> Declared {
    let windows = ["Mon-Fri 07:00-19:00", "daily 22:00-02:00"];
    Declared {
        timezone: Some(chrono_tz::Tz::Europe__London),
        owner: Some("payments".to_owned()),
        group: Some("settlement".to_owned()),
        tier: Some(2),
        schedule: Schedule {
            windows: windows.iter().map(|text| text.parse().unwrap()).collect(),
        },
        venues: vec!["XLON".to_owned()],
    }
}

#[test]
fn an_identity_is_known_from_its_first_event_on_whenever_it_was_announced() {
    for first_in_the_log in [true, false] {
        let mut engine = engine(10);
        if !first_in_the_log {
            act(&mut engine, "other", START);
        }
        announce(&mut engine, "svc", Some(Declared::default()));
        for hour in 1..=28 * 24 {
            act(&mut engine, "other", START.plus(Span::HOUR.times(hour)));
        }
        assert_eq!(engine.stats().learning, 0, "a name alone is not learned");
        let ts = START.plus(Span::DAY.times(28));
        let before = engine.stats().detectors;
        assert_eq!(act(&mut engine, "svc", ts), Fate::Judged);
        let young = engine.learning();
        let young = young.iter().find(|young| young.identity == "svc");
        let young = young.map(|young| (young.first_seen, young.state));
        assert_eq!(young, Some((ts, BaselineState::Learning)));
        // Its empty weeks are no habit: whoever waits for one is still waiting.
        let after = engine.stats().detectors;
        for ((card, before), after) in CARDS.iter().zip(before).zip(after) {
            let waits = card.family == Family::Statistical;
            assert_eq!(
                after.learning - before.learning,
                waits.into(),
                "{}",
                card.name
            );
        }
    }
}

#[test]
fn the_end_of_an_entry_takes_no_place_and_an_entry_without_one_is_counted() {
    let mut engine = engine(1);
    announce(&mut engine, "nobody", None);
    assert_eq!(engine.stats().identities, 0);
    announce(&mut engine, "svc", Some(Declared::default()));
    announce(&mut engine, "other", Some(Declared::default()));
    let lost = |engine: &Engine| engine.stats().limits[Limit::Identities as usize];
    assert_eq!((engine.stats().identities, lost(&engine)), (1, 1));
    assert_eq!(act(&mut engine, "other", START), Fate::Filtered);
    assert_eq!(lost(&engine), 2);
    // One that was never seen gives its place back with its entry.
    announce(&mut engine, "svc", None);
    assert_eq!(act(&mut engine, "other", START), Fate::Judged);
    assert_eq!((engine.stats().identities, lost(&engine)), (1, 2));
}

#[test]
fn the_same_entry_again_changes_nothing_and_stores_nothing() {
    let mut engine = engine(10);
    let mut entry = whole();
    announce(&mut engine, "svc", Some(entry.clone()));
    act(&mut engine, "svc", START);
    let stored = |engine: &mut Engine| {
        let mut any = false;
        engine.flush(|key, _| any |= key.ends_with(b"svc"));
        any
    };
    assert!(stored(&mut engine));
    let before = engine.digest();
    announce(&mut engine, "svc", Some(entry.clone()));
    assert!(!stored(&mut engine) && engine.digest() == before);
    entry.venues.clear();
    announce(&mut engine, "svc", Some(entry));
    assert!(stored(&mut engine) && engine.digest() != before);
}

#[test]
fn the_first_event_of_one_that_was_announced_and_stored_before_is_stored_too() {
    let mut first = engine(10);
    let mut store = BTreeMap::new();
    announce(&mut first, "svc", Some(whole()));
    first.flush(|key, payload| drop(store.insert(key.to_vec(), payload.unwrap().to_vec())));
    act(&mut first, "svc", START);
    first.flush(|key, payload| drop(store.insert(key.to_vec(), payload.unwrap().to_vec())));
    let mut second = engine(10);
    for (key, payload) in &store {
        second.restore(key, payload).unwrap();
    }
    second.restored().unwrap();
    assert_eq!(second.digest(), first.digest());
    assert_eq!(second.learning(), first.learning());
}
