//! One cause, many identities: what a partition tells of a deployment.

use std::collections::BTreeSet;
use std::sync::Arc;

use nhiwatch_detectors::kernel::alert::Alert;
use nhiwatch_detectors::kernel::detector::Severity;
use nhiwatch_detectors::kernel::engine::Engine;
use nhiwatch_detectors::kernel::event::{Class, Event, Kind};
use nhiwatch_detectors::kernel::input::Input;
use nhiwatch_detectors::kernel::time::{Span, Timestamp};

/// Monday, 2026-01-05T00:00:00Z.
const START: Timestamp = Timestamp::from_seconds(1_767_571_200);
/// Weeks that are learned from.
const WEEKS: i64 = 8;
const IDENTITIES: usize = 40;

struct Watch {
    engine: Engine,
    alerts: Vec<Alert>,
}

impl Watch {
    /// Forty services that have read and written every ten minutes for [`WEEKS`].
    fn habit() -> Self {
        let mut watch = Self {
            engine: Engine::new(0, Arc::default()),
            alerts: Vec::new(),
        };
        let mut at = START;
        while at < later() {
            watch.hour(at, IDENTITIES, &[]);
            at = at.plus(Span::HOUR);
        }
        watch.alerts.clear();
        watch
    }

    /// An hour of all of them; the first `so_many` make the calls `more` at the end of each session.
    fn hour(&mut self, start: Timestamp, so_many: usize, more: &[&str]) {
        for minute in (0..60).step_by(10) {
            for who in 0..IDENTITIES {
                let at = start
                    .plus(Span::MINUTE.times(minute))
                    .plus(Span::from_seconds(who as i64));
                let calls = ["s3:GetObject", "s3:PutObject"];
                let more = if who < so_many { more } else { &[] };
                for (nth, action) in (0..).zip(calls.iter().chain(more)) {
                    self.call(at.plus(Span::from_seconds(nth * 60)), who, action);
                }
            }
        }
    }

    fn call(&mut self, ts: Timestamp, who: usize, action: &str) {
        let event = Event {
            ts,
            identity: &name(who),
            kind: Kind::ServiceAccount,
            action,
            class: Class::Read,
            ..Event::default()
        };
        self.engine.handle(&Input::Event(event), &mut self.alerts);
    }

    /// What was told by incident, those of storms apart.
    fn incidents(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        let id = |alert: &Alert| alert.id.to_string();
        let (storms, alone): (Vec<_>, Vec<_>) = self
            .alerts
            .iter()
            .partition(|alert| alert.detector == "storm");
        (
            storms.into_iter().map(id).collect(),
            alone.into_iter().map(id).collect(),
        )
    }
}

fn name(who: usize) -> String {
    format!("svc-{who:02}")
}

/// The Tuesday after all that was learned, at 10:00.
fn later() -> Timestamp {
    START
        .plus(Span::WEEK.times(WEEKS))
        .plus(Span::HOUR.times(34))
}

#[test]
fn a_deployment_over_forty_services_is_three_incidents_and_a_storm() {
    let mut watch = Watch::habit();
    for hour in 0..30 {
        let release = ["ledger:Rebuild", "ledger:Commit"];
        watch.hour(
            later().plus(Span::HOUR.times(hour)),
            IDENTITIES,
            if hour == 0 { &[] } else { &release },
        );
    }
    let (storms, alone) = watch.incidents();
    assert!(storms.len() == 1 && alone.len() == 3, "{:#?}", told(&watch));
    assert_eq!(watch.engine.stats().folded, 37);
    let storm = watch.alerts.iter().rfind(|alert| alert.detector == "storm");
    let storm = storm.expect("there is a storm");
    assert!(
        storm
            .finding
            .evidence
            .iter()
            .any(|(name, fact)| { name == "shared_news" && fact.starts_with("ledger:Rebuild") }),
        "{:?}",
        storm.finding.evidence
    );
}

fn told(watch: &Watch) -> Vec<String> {
    let each = watch.alerts.iter();
    each.map(|it| {
        format!(
            "{} {} {} {} {}: {}",
            it.ts, it.identity, it.detector, it.severity, it.revision, it.finding.summary
        )
    })
    .collect()
}

#[test]
fn an_outage_of_the_source_is_three_incidents_and_a_storm_as_severe() {
    let mut watch = Watch::habit();
    // Time passes by what others do.
    for minute in 0..300 {
        let at = later().plus(Span::MINUTE.times(minute));
        watch.call(at, IDENTITIES, "s3:GetObject");
    }
    let (storms, alone) = watch.incidents();
    assert!(storms.len() == 1 && alone.len() == 3, "{:#?}", told(&watch));
    let of = |name: &str| {
        let own = watch.alerts.iter().filter(|alert| alert.detector == name);
        own.map(|alert| alert.severity).max()
    };
    assert_eq!(of("storm"), of("silence"));
}

#[test]
fn a_storm_goes_on_after_a_restart() {
    let release = ["ledger:Rebuild", "ledger:Commit"];
    let mut watch = Watch::habit();
    watch.hour(later(), 10, &release);
    let mut records = Vec::new();
    watch.engine.flush(|key, payload| {
        records.extend(payload.map(|payload| (key.to_vec(), payload.to_vec())));
    });
    let mut restarted = Engine::new(0, Arc::default());
    for (key, payload) in &records {
        restarted.restore(key, payload).expect("it reads back");
    }
    restarted.restored().expect("it reads back");
    assert_eq!(restarted.digest(), watch.engine.digest());
    watch.engine = restarted;
    watch.alerts.clear();
    watch.hour(later().plus(Span::HOUR), IDENTITIES, &release);
    let opened = watch.alerts.iter().filter(|alert| alert.revision == 1);
    assert_eq!(opened.count(), 0, "{:#?}", told(&watch));
    assert_eq!(watch.incidents().0.len(), 1);
}

#[test]
fn who_was_told_with_a_storm_is_told_alone_when_it_becomes_worse() {
    let mut watch = Watch::habit();
    watch.hour(later(), IDENTITIES, &[]);
    watch.hour(
        later().plus(Span::HOUR),
        IDENTITIES,
        &["ledger:Rebuild", "ledger:Commit"],
    );
    watch.hour(later().plus(Span::HOUR.times(2)), IDENTITIES, &[]);
    watch.alerts.clear();
    // One of those that were folded reads what none has ever read, and much of it.
    let at = later().plus(Span::HOUR.times(3));
    for nth in 0..600 {
        watch.call(at.plus(Span::from_seconds(nth * 5)), 20, "vault:Export");
    }
    watch.hour(later().plus(Span::HOUR.times(4)), IDENTITIES, &[]);
    let own: Vec<&Alert> = watch
        .alerts
        .iter()
        .filter(|alert| alert.identity == name(20))
        .collect();
    assert!(
        own.iter().any(|alert| alert.severity >= Severity::Medium),
        "{:#?}",
        told(&watch)
    );
}
