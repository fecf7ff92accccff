//! What a venue's calendar says of orders: which of its hours count, and what an alert says of the
//! calendar itself.
#![expect(clippy::expect_used, reason = "a test may fail loudly")]

use std::sync::Arc;

use nhiwatch_detectors::Configs;
use nhiwatch_detectors::kernel::alert::Alert;
use nhiwatch_detectors::kernel::calendar::{Calendar, Calendars, Session, SessionClass};
use nhiwatch_detectors::kernel::detector::Severity;
use nhiwatch_detectors::kernel::engine::{Decision, Engine, Settings};
use nhiwatch_detectors::kernel::event::{Class, Event};
use nhiwatch_detectors::kernel::input::Input;
use nhiwatch_detectors::kernel::time::{Span, Timestamp};

/// Monday, 2026-01-05T00:00:00Z.
const MONDAY: Timestamp = Timestamp::from_seconds(1_767_571_200);

/// A venue that trades from 9 to 17 on one Monday, and takes orders from 7 on and until 20.
fn venue(unverified: Option<&str>) -> Calendar {
    let stretch = |open, close| Session {
        open: MONDAY.plus(Span::HOUR.times(open)),
        close: MONDAY.plus(Span::HOUR.times(close)),
    };
    let around = vec![
        (SessionClass::PreMarket, stretch(7, 9)),
        (SessionClass::PostMarket, stretch(17, 20)),
    ];
    let until = MONDAY.plus(Span::DAY);
    Calendar::new("XTST", "7", "0123abcd", vec![stretch(9, 17)], MONDAY, until)
        .taking_orders(around)
        .unverified(unverified)
}

/// What `off-hours` says of an order at this hour of the Monday, where `sessions` count.
fn told(hour: i64, sessions: &str, unverified: Option<&str>) -> Option<Alert> {
    let config = serde_json::json!({"off-hours": {"config": {"sessions": sessions}}});
    let detectors: Configs = serde_json::from_value(config).expect("it is a configuration");
    let decision = Decision::new(Settings {
        detectors,
        calendars: Calendars::new(vec![venue(unverified)]),
        ..Settings::default()
    });
    let (mut engine, mut alerts) = (Engine::new(0, Arc::new(decision)), Vec::new());
    let event = Event {
        ts: MONDAY.plus(Span::HOUR.times(hour)),
        identity: "bot",
        action: "order.create",
        class: Class::Order,
        venue: Some("XTST"),
        ..Event::default()
    };
    engine.handle(&Input::Event(event), &mut alerts);
    assert!(alerts.len() < 2);
    alerts.pop()
}

fn fact<'a>(alert: &'a Alert, name: &str) -> Option<&'a str> {
    let mut facts = alert.finding.evidence.iter();
    facts
        .find(|(fact, _)| fact == name)
        .map(|(_, said)| &**said)
}

#[test]
fn what_is_extended_counts_where_it_is_meant_to() {
    for (hour, regular, extended) in [
        (6, true, true),
        (8, true, false),
        (10, false, false),
        (18, true, false),
        (21, true, true),
    ] {
        let is_told = |sessions| told(hour, sessions, None).is_some();
        assert_eq!(is_told("regular"), regular, "{hour}");
        assert_eq!(is_told("extended"), extended, "{hour}");
    }
    let before = told(8, "regular", None).expect("it is told");
    assert_eq!(fact(&before, "session"), Some("pre-market"));
    assert_eq!(before.finding.subject, "XTST closed");
}

#[test]
fn an_alert_names_its_calendar_and_says_when_nobody_vouches_for_it() {
    let sure = told(21, "regular", None).expect("it is told");
    assert_eq!(fact(&sure, "calendar"), Some("XTST version 7"));
    assert_eq!(fact(&sure, "calendar_hash"), Some("0123abcd"));
    assert_eq!(fact(&sure, "calendar_unverified"), None);
    let unsure = told(21, "regular", Some("no second source"));
    let unsure = unsure.expect("it is told");
    assert_eq!(
        fact(&unsure, "calendar_unverified"),
        Some("no second source")
    );
}

#[test]
fn an_order_of_which_the_calendar_does_not_speak_is_said_to_be_unjudged() {
    let beyond = told(24 * 30, "regular", None).expect("it is told");
    assert_eq!(beyond.severity, Severity::Info);
    assert_eq!(beyond.finding.subject, "XTST calendar ends");
    assert_eq!(fact(&beyond, "venue"), Some("XTST"));
}
