//! What `tool-chain` tells of whole chains, told over weeks of an identity that is known well.

use std::sync::Arc;

use nhiwatch_detectors::kernel::alert::Alert;
use nhiwatch_detectors::kernel::detector::Severity;
use nhiwatch_detectors::kernel::engine::Engine;
use nhiwatch_detectors::kernel::event::{Class, Event, Kind};
use nhiwatch_detectors::kernel::input::Input;
use nhiwatch_detectors::kernel::time::{Span, Timestamp};

/// Monday, 2026-01-05T08:00:00Z.
const START: Timestamp = Timestamp::from_seconds(1_767_600_000);
/// Weeks that are learned from.
const WEEKS: i64 = 8;

/// A call: the tool, and the class of what it touches.
type Call = (&'static str, &'static str);

const READ_CUSTOMER: Call = ("tool:read_customer", "customer_pii");
const LIST: Call = ("tool:list", "internal_api");
const SORT: Call = ("tool:sort", "internal_api");
const PRINT: Call = ("tool:print", "internal_api");
const POST: Call = ("tool:post", "external");

struct Watch {
    engine: Engine,
    alerts: Vec<Alert>,
}

impl Watch {
    /// An agent that has made each of these sessions once an hour in working hours, for [`WEEKS`].
    fn habit(sessions: &[&[Call]]) -> Self {
        let mut watch = Self {
            engine: Engine::new(0, Arc::default()),
            alerts: Vec::new(),
        };
        for day in (0..WEEKS * 7).filter(|day| day % 7 < 5) {
            for hour in 0..8 {
                for (nth, calls) in (0..).zip(sessions) {
                    let at = START
                        .plus(Span::DAY.times(day))
                        .plus(Span::MINUTE.times(hour * 60 + nth * 10));
                    watch.session(at, &at.rfc3339(), calls);
                }
            }
        }
        watch.alerts.clear();
        watch
    }

    /// Makes these calls in session `name`, ten seconds apart.
    fn session(&mut self, mut at: Timestamp, name: &str, calls: &[Call]) {
        for (action, resource_class) in calls {
            self.call(at, name, action, resource_class);
            at = at.plus(Span::from_seconds(10));
        }
    }

    fn call(&mut self, ts: Timestamp, session: &str, action: &str, resource_class: &str) {
        let event = Event {
            ts,
            identity: "agent",
            kind: Kind::AiAgent,
            action,
            class: Class::Tool,
            resource_class: Some(resource_class),
            session: Some(session),
            ..Event::default()
        };
        self.engine.handle(&Input::Event(event), &mut self.alerts);
    }

    /// What `tool-chain` said of the alerts so far.
    fn told(&self) -> Vec<&Alert> {
        let own = self.alerts.iter();
        own.filter(|alert| alert.detector == "tool-chain").collect()
    }
}

/// The Monday after all that was learned, at 10:00.
fn later() -> Timestamp {
    START
        .plus(Span::WEEK.times(WEEKS))
        .plus(Span::HOUR.times(2))
}

fn fact<'a>(alert: &'a Alert, name: &str) -> Option<&'a str> {
    let facts = &mut alert.finding.evidence.iter();
    facts
        .find(|(fact, _)| fact == name)
        .map(|(_, said)| &**said)
}

#[test]
fn a_chain_of_new_steps_is_one_incident_that_shows_all_of_it() {
    let mut watch = Watch::habit(&[&[LIST, SORT, PRINT]]);
    let strange = [
        LIST,
        ("tool:x", "internal_api"),
        ("tool:y", "internal_api"),
        ("tool:z", "internal_api"),
    ];
    watch.session(later(), "strange", &strange);
    let told = watch.told();
    let last = told.last().expect("it is told");
    assert!(told.iter().all(|alert| alert.id == last.id), "one incident");
    assert_eq!(told[0].revision, 1);
    assert_eq!(
        told[0].finding.observed,
        "tool:list [internal_api] > *tool:x [internal_api]*"
    );
    assert_eq!(
        fact(told[0], "nearest_known"),
        Some("tool:list [internal_api] > tool:sort [internal_api] (320 times)")
    );
    let all = told
        .iter()
        .find(|alert| fact(alert, "new_within_a_day").is_some());
    let all = all.expect("more of it is told");
    assert!(
        all.finding.observed.contains("*tool:y [internal_api]*"),
        "{}",
        all.finding.observed
    );
}

#[test]
fn one_call_of_a_new_class_by_a_metronome_is_told() {
    let mut watch = Watch::habit(&[&[LIST][..]; 6]);
    watch.session(later(), "strange", &[("tool:list", "secrets")]);
    let told = watch.told();
    assert_eq!(told.len(), 1);
    assert!(told[0].severity >= Severity::Low);
}

#[test]
fn known_chains_that_interleave_are_told_apart_by_their_sessions() {
    let (one, other) = ([LIST, SORT, PRINT], [POST, LIST, POST]);
    let mut watch = Watch::habit(&[&one, &other]);
    let mut at = later();
    for (first, second) in one.iter().zip(&other) {
        watch.call(at, "one", first.0, first.1);
        watch.call(at.plus(Span::SECOND), "other", second.0, second.1);
        at = at.plus(Span::from_seconds(10));
    }
    assert_eq!(watch.told(), Vec::<&Alert>::new());
}

#[test]
fn sessions_whose_every_three_steps_are_known_and_whose_way_is_not_are_told() {
    const OPEN: Call = ("tool:open", "internal_api");
    const CLOSE: Call = ("tool:close", "internal_api");
    let known = [[OPEN, LIST, SORT, PRINT], [CLOSE, LIST, SORT, POST]];
    let new = [[OPEN, LIST, SORT, POST], [CLOSE, LIST, SORT, PRINT]];
    let mut watch = Watch::habit(&[&known[0], &known[1]]);
    for (hour, known) in (0..).zip(&known) {
        watch.session(later().plus(Span::HOUR.times(hour)), "usual", known);
    }
    assert_eq!(watch.told(), Vec::<&Alert>::new());
    for nth in 0..5 {
        let at = later()
            .plus(Span::HOUR.times(2))
            .plus(Span::MINUTE.times(10 * nth));
        watch.session(at, &at.rfc3339(), &new[nth as usize % 2]);
    }
    let told = watch.told();
    let last = told.last().expect("it is told");
    assert!(told.iter().all(|alert| alert.id == last.id), "one incident");
    assert!(last.severity >= Severity::Medium, "{:?}", last.severity);
    assert!(
        fact(last, "new").is_some_and(|new| new.matches(" > ").count() == 3),
        "the whole way: {:?}",
        last.finding
    );
}

#[test]
fn what_is_private_and_leaves_by_known_steps_alone_is_told() {
    let (reads, posts) = (
        [READ_CUSTOMER, LIST, SORT, PRINT],
        [LIST, SORT, PRINT, POST],
    );
    let mut watch = Watch::habit(&[&reads, &posts]);
    watch.session(later(), "usual", &posts);
    assert_eq!(watch.told(), Vec::<&Alert>::new());
    let leak = [READ_CUSTOMER, LIST, SORT, PRINT, POST];
    watch.session(later().plus(Span::HOUR), "leak", &leak);
    let told = watch.told();
    assert_eq!(told.len(), 1);
    assert_eq!(fact(told[0], "new"), Some("sensitive > outside"));
    assert!(
        told[0].severity >= Severity::Medium,
        "{:?}",
        told[0].severity
    );
}

#[test]
fn the_third_payment_in_a_row_to_a_new_account_is_told_and_the_account_not_known_after_it() {
    let mut watch = Watch {
        engine: Engine::new(0, Arc::default()),
        alerts: Vec::new(),
    };
    let pay = |watch: &mut Watch, at: Timestamp, account: &str| {
        let session = at.since(START).seconds() / 3600;
        let event = Event {
            ts: at,
            identity: "payer",
            action: "payment.send",
            class: Class::Payment,
            resource: Some(account),
            session: Some(&session.to_string()),
            ..Event::default()
        };
        watch.engine.handle(&Input::Event(event), &mut watch.alerts);
    };
    for hour in (0..WEEKS * 7 * 24).filter(|hour| hour % 24 < 8) {
        for nth in 0..3 {
            let at = START
                .plus(Span::HOUR.times(hour))
                .plus(Span::MINUTE.times(nth));
            pay(&mut watch, at, "acct-1");
        }
    }
    watch.alerts.clear();
    for day in 0..2 {
        let at = later().plus(Span::DAY.times(day));
        for (nth, account) in (0..).zip(["acct-1", "acct-1", "acct-9"]) {
            pay(&mut watch, at.plus(Span::MINUTE.times(nth)), account);
        }
        let told = watch.told();
        let last = told.last().expect("it is told");
        assert_eq!(fact(last, "target"), Some("acct-9"), "day {day}");
        assert_eq!(last.findings as i64, day + 1);
    }
}
