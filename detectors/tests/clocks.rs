//! An identity that follows a clock nobody declared is not strange when that clock changes.

use std::sync::Arc;

use nhiwatch_detectors::Configs;
use nhiwatch_detectors::kernel::budget::Budget;
use nhiwatch_detectors::kernel::calendar::Calendars;
use nhiwatch_detectors::kernel::engine::{Decision, Engine, Limits};
use nhiwatch_detectors::kernel::event::Event;
use nhiwatch_detectors::kernel::input::Input;
use nhiwatch_detectors::kernel::inventory::Declared;
use nhiwatch_detectors::kernel::time::{Span, Timestamp};

/// Monday 2026-11-02, the day after the clocks of New York went back; and one without a change.
const AFTER_A_CHANGE: i64 = 1_793_577_600;
const NO_CHANGE: i64 = AFTER_A_CHANGE + 11 * 7 * 86_400;

/// The detectors that found something on an identity that worked from 13:00 to 20:00 UTC on working
/// days for seven weeks, and `later` by so many hours for the six weeks from `monday` on.
fn found(monday: i64, later: i64, declared: Option<Declared>) -> Vec<&'static str> {
    let (configs, limits) = (Configs::default(), Limits::default());
    let decision = Decision::new(
        &configs,
        &Budget::default(),
        &limits,
        &Calendars::default(),
        "",
    );
    let mut engine = Engine::new(0, Arc::new(decision));
    let mut alerts = Vec::new();
    let identity = "desk";
    engine.handle(&Input::Inventory { identity, declared }, &mut alerts);
    let monday = Timestamp::from_seconds(monday);
    let start = monday.minus(Span::WEEK.times(7));
    for minute in (0..13 * 7 * 1440).step_by(3) {
        let ts = start.plus(Span::MINUTE.times(minute));
        let shift = if ts < monday { 0 } else { later };
        // Not on the stroke of the hour, where activity may belong to the hour before.
        if (6..54).contains(&(minute % 60))
            && minute / 1440 % 7 < 5
            && (13..20).contains(&(minute / 60 % 24 - shift))
        {
            let event = Event {
                ts,
                identity,
                action: "price",
                ..Event::default()
            };
            engine.handle(&Input::Event(event), &mut alerts);
        }
    }
    let mut found: Vec<_> = alerts.iter().map(|alert| alert.detector).collect();
    found.sort_unstable();
    found.dedup();
    // What adds up on many days is of the same two; that work begins and ends at other times than it
    // did is `silence`'s to say.
    found.retain(|detector| !["risk", "silence"].contains(detector));
    found
}

#[test]
fn what_moves_with_a_clock_by_its_hour_is_usual() {
    assert_eq!(found(AFTER_A_CHANGE, 1, None), Vec::<&str>::new());
}

#[test]
fn what_moves_otherwise_is_not() {
    let both = ["api-volume", "off-hours"];
    assert_eq!(found(AFTER_A_CHANGE, 2, None), both, "by two hours");
    assert_eq!(found(AFTER_A_CHANGE, -1, None), both, "the other way");
    assert_eq!(found(NO_CHANGE, 1, None), both, "without a change");
    let declared = |timezone| {
        Some(Declared {
            timezone: Some(timezone),
            ..Declared::default()
        })
    };
    let elsewhere = declared(chrono_tz::Tz::Asia__Tokyo);
    assert_eq!(
        found(AFTER_A_CHANGE, 1, elsewhere),
        both,
        "on a clock of its own"
    );
    let desk = declared(chrono_tz::Tz::America__New_York);
    assert!(found(AFTER_A_CHANGE, 1, desk).is_empty(), "as declared");
}
