//! An identity that follows a clock nobody declared is not strange when that clock changes.

use std::sync::Arc;

use nhiwatch_detectors::CARDS;
use nhiwatch_detectors::kernel::engine::Engine;
use nhiwatch_detectors::kernel::event::{Class, Event};
use nhiwatch_detectors::kernel::input::Input;
use nhiwatch_detectors::kernel::inventory::Declared;
use nhiwatch_detectors::kernel::time::{Span, Timestamp};

/// Monday 2026-11-02, the day after the clocks of New York went back; and one without a change.
const AFTER_A_CHANGE: i64 = 1_793_577_600;
const NO_CHANGE: i64 = AFTER_A_CHANGE + 11 * 7 * 86_400;

/// The detectors that alerted, and those of the two about hours that found something, on an identity that worked from 13:00 to 20:00 UTC on working
/// days for seven weeks, and `later` by so many hours for the six weeks from `monday` on.
fn found(monday: i64, later: i64, declared: Option<Declared>) -> Heard {
    let mut engine = Engine::new(0, Arc::default());
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
    let stats = engine.stats().detectors;
    let found = CARDS
        .iter()
        .zip(&stats)
        .filter(|(_, stats)| stats.findings > 0);
    let found = found.map(|(card, _)| card.name);
    Heard {
        alerted: alerts.iter().map(|alert| alert.detector).collect(),
        found: found.filter(|name| BOTH.contains(name)).collect(),
    }
}

struct Heard {
    alerted: Vec<&'static str>,
    found: Vec<&'static str>,
}

const BOTH: [&str; 2] = ["api-volume", "off-hours"];

#[test]
fn what_moves_with_a_clock_by_its_hour_is_usual() {
    assert_eq!(found(AFTER_A_CHANGE, 1, None).alerted, Vec::<&str>::new());
}

#[test]
fn what_moves_otherwise_is_not() {
    let moved = |monday, later, declared, how| {
        let heard = found(monday, later, declared);
        assert_eq!(heard.found, BOTH, "{how}");
        assert!(!heard.alerted.is_empty(), "{how}");
    };
    moved(AFTER_A_CHANGE, 2, None, "by two hours");
    moved(AFTER_A_CHANGE, -1, None, "the other way");
    moved(NO_CHANGE, 1, None, "without a change");
    let declared = |timezone| {
        Some(Declared {
            timezone: Some(timezone),
            ..Declared::default()
        })
    };
    let elsewhere = declared(chrono_tz::Tz::Asia__Tokyo);
    moved(AFTER_A_CHANGE, 1, elsewhere, "on a clock of its own");
    let desk = declared(chrono_tz::Tz::America__New_York);
    let heard = found(AFTER_A_CHANGE, 1, desk);
    assert_eq!(heard.alerted, Vec::<&str>::new(), "as declared");
}

/// Sundays on which the clocks change, in days since the epoch, with the zone: both ways, in four zones.
const CHANGES: [(chrono_tz::Tz, i64); 8] = [
    (chrono_tz::Tz::America__New_York, 20_520),
    (chrono_tz::Tz::America__New_York, 20_758),
    (chrono_tz::Tz::Europe__London, 20_541),
    (chrono_tz::Tz::Europe__London, 20_751),
    (chrono_tz::Tz::Europe__Berlin, 20_541),
    (chrono_tz::Tz::Europe__Berlin, 20_751),
    (chrono_tz::Tz::Australia__Sydney, 20_548),
    (chrono_tz::Tz::Australia__Sydney, 20_730),
];

/// The detectors that alert on a desk of `zone` that orders in its working hours, from ten weeks before
/// the Sunday `day` to two weeks after it.
fn round_a_change(zone: chrono_tz::Tz, day: i64, declares: bool) -> Vec<&'static str> {
    let mut engine = Engine::new(0, Arc::default());
    let mut alerts = Vec::new();
    let identity = "desk";
    let declared = declares.then(|| Declared {
        timezone: Some(zone),
        ..Declared::default()
    });
    engine.handle(&Input::Inventory { identity, declared }, &mut alerts);
    let sunday = Timestamp::from_hour(day * 24);
    let start = sunday.minus(Span::WEEK.times(10));
    for minute in (0..12 * 7 * 1440).step_by(3) {
        let ts = start.plus(Span::MINUTE.times(minute));
        let local = ts.hour_of_week(zone);
        if local.index() < 5 * 24
            && (9..17).contains(&local.hour())
            && (6..54).contains(&(minute % 60))
        {
            let event = Event {
                ts,
                identity,
                action: "order.create",
                class: Class::Order,
                ..Event::default()
            };
            engine.handle(&Input::Event(event), &mut alerts);
        }
    }
    alerts.iter().map(|alert| alert.detector).collect()
}

#[test]
fn a_desk_on_its_own_clock_is_quiet_round_every_change_in_four_zones() {
    for (zone, day) in CHANGES {
        let noon = Timestamp::from_hour(day * 24 + 12);
        let (before, after) = (
            noon.minus(Span::DAY).hour_of_week(zone),
            noon.hour_of_week(zone),
        );
        assert_ne!(
            before.hour(),
            after.hour(),
            "{zone} changes its clocks on that day"
        );
        assert_eq!(
            round_a_change(zone, day, true),
            Vec::<&str>::new(),
            "{zone} {day}"
        );
    }
}

#[test]
fn a_desk_of_europe_or_america_that_declares_no_zone_is_quiet_round_a_change_as_well() {
    for (zone, day) in CHANGES
        .into_iter()
        .filter(|(zone, _)| *zone != chrono_tz::Tz::Australia__Sydney)
    {
        assert_eq!(
            round_a_change(zone, day, false),
            Vec::<&str>::new(),
            "{zone} {day}"
        );
    }
}
