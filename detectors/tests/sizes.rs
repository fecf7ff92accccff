//! How much is stored of one identity.

use std::sync::Arc;

use nhiwatch_detectors::Configs;
use nhiwatch_detectors::kernel::budget::Budget;
use nhiwatch_detectors::kernel::calendar::Calendars;
use nhiwatch_detectors::kernel::engine::{Decision, Engine, Limits};
use nhiwatch_detectors::kernel::event::{Class, Event, Outcome};
use nhiwatch_detectors::kernel::input::Input;
use nhiwatch_detectors::kernel::time::{Span, Timestamp};

const START: Timestamp = Timestamp::from_seconds(1_767_571_200);
const ACTIONS: [&str; 40] = [
    "a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9", "b0", "b1", "b2", "b3", "b4", "b5",
    "b6", "b7", "b8", "b9", "c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9", "d0", "d1",
    "d2", "d3", "d4", "d5", "d6", "d7", "d8", "d9",
];

/// Bytes stored of an identity after ten weeks: its hot part, and the rest.
fn stored(mut act: impl FnMut(i64, &mut dyn FnMut(Event<'_>))) -> (usize, usize) {
    let (configs, limits) = (Configs::default(), Limits::default());
    let decision = Decision::new(
        &configs,
        &Budget::default(),
        &limits,
        &Calendars::default(),
        "",
    );
    let (mut engine, mut alerts) = (Engine::new(0, Arc::new(decision)), Vec::new());
    for minute in 0..10 * 7 * 1440 {
        act(minute, &mut |event: Event<'_>| {
            engine.handle(&Input::Event(event), &mut alerts);
        });
    }
    let (mut hot, mut rest) = (0, 0);
    engine.flush(|key, payload| {
        let bytes = payload.map_or(0, <[u8]>::len);
        match key.first() {
            Some(b'h') => hot += bytes,
            Some(b'b') => rest += bytes,
            _ => {}
        }
    });
    (hot, rest)
}

#[test]
fn what_is_stored_of_a_small_and_of_a_full_identity_is_what_the_documents_say() {
    // Ten calls an hour in office hours, of two kinds.
    let (hot, rest) = stored(|minute, act| {
        let (day, hour) = (minute / 1440 % 7, minute / 60 % 24);
        if minute % 6 == 0 && day < 5 && (8..18).contains(&hour) {
            act(Event {
                ts: START.plus(Span::MINUTE.times(minute)),
                identity: "small",
                action: ACTIONS[(minute / 6 % 2) as usize],
                ..Event::default()
            });
        }
    });
    // Round the clock, orders, bytes, failures, sessions of forty different calls, bursts.
    let (full_hot, full_rest) = stored(|minute, act| {
        let burst = if minute % 20_011 == 0 { 500 } else { 1 };
        for n in 0..burst {
            let session = (minute / 90).to_string();
            let resource = format!("r{}", (minute + n) % 97);
            act(Event {
                ts: START.plus(Span::MINUTE.times(minute)),
                identity: "full",
                action: ACTIONS[(minute * 7 / 11 % 40) as usize],
                class: if minute % 3 == 0 {
                    Class::Order
                } else {
                    Class::Read
                },
                venue: Some("XNYS"),
                session: Some(&session),
                resource: Some(&resource),
                bytes: Some(1000.0 + (minute % 37) as f64 * 91.0),
                amount: Some(10.0 + (minute % 31) as f64),
                outcome: if minute % 200 == 0 {
                    Outcome::Fail
                } else {
                    Outcome::Ok
                },
                ..Event::default()
            });
        }
    });
    // As docs/performance.md says; of the full one, most are its chains.
    assert!(
        (150..250).contains(&hot) && (2900..3400).contains(&rest),
        "{hot} {rest}"
    );
    assert!(
        (150..250).contains(&full_hot) && (9500..11_000).contains(&full_rest),
        "{full_hot} {full_rest}"
    );
}
