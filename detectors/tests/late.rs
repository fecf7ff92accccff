//! A rule is broken whenever it is broken: by an event that is late, and by one nobody knew.

use std::sync::Arc;

use nhiwatch_detectors::kernel::alert::Alert;
use nhiwatch_detectors::kernel::calendar::{Calendar, Calendars};
use nhiwatch_detectors::kernel::engine::{Decision, Engine, Settings};
use nhiwatch_detectors::kernel::event::{Class, Event};
use nhiwatch_detectors::kernel::input::{Fate, Input};
use nhiwatch_detectors::kernel::time::{Span, Timestamp};

const NOW: Timestamp = Timestamp::from_seconds(1_767_571_200);

/// An engine with one venue, which never opens.
fn engine() -> Engine {
    let (from, until) = (NOW.minus(Span::WEEK), NOW.plus(Span::WEEK));
    let closed = Calendar::new("XCLO", "test", "test", Vec::new(), from, until);
    let calendars = Calendars::new(vec![closed]);
    Engine::new(
        0,
        Arc::new(Decision::new(Settings {
            calendars,
            ..Settings::default()
        })),
    )
}

fn order(engine: &mut Engine, identity: &str, ts: Timestamp, venue: &str) -> (Fate, Vec<Alert>) {
    let mut alerts = Vec::new();
    let event = Event {
        ts,
        identity,
        action: "order.create",
        class: Class::Order,
        venue: Some(venue),
        ..Event::default()
    };
    let fate = engine.handle(&Input::Event(event), &mut alerts);
    (fate, alerts)
}

/// An engine whose time is [`NOW`]: one stamp alone is not believed.
fn started() -> Engine {
    let mut engine = engine();
    for _ in 0..2 {
        order(&mut engine, "other", NOW, "XOPN");
    }
    engine
}

#[test]
fn a_late_first_order_on_a_closed_venue_is_reported_once() {
    let mut engine = started();
    let late = NOW.minus(Span::HOUR);
    let (fate, alerts) = order(&mut engine, "algo", late, "XCLO");
    assert_eq!((fate, alerts.len()), (Fate::Late, 1));
    assert_eq!(alerts[0].detector, "off-hours");
    let mut revisions = vec![alerts[0].revision];
    for _ in 0..10 {
        let (fate, alerts) = order(&mut engine, "algo", late, "XCLO");
        assert_eq!(fate, Fate::Late);
        revisions.extend(alerts.iter().map(|alert| alert.revision));
    }
    assert!(revisions.is_sorted_by(|a, b| a < b), "{revisions:?}");
}

#[test]
fn a_late_stranger_who_breaks_no_rule_is_not_remembered() {
    let mut engine = started();
    let (fate, alerts) = order(&mut engine, "algo", NOW.minus(Span::HOUR), "XOPN");
    assert_eq!((fate, alerts.len()), (Fate::Late, 0));
    assert_eq!(engine.stats().identities, 1);
}
