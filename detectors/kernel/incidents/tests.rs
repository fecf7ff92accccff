//! Which incident a finding belongs to, and when it is news.

use super::*;
use crate::kernel::alert::Alert;
use crate::kernel::baseline::Baseline;
use crate::kernel::budget::{Budget, Thresholds};
use crate::kernel::detector::{Family, PValue, Scope};
use crate::kernel::event::Event;
use crate::kernel::noise::Common;
use crate::kernel::occasion::Measure;
use crate::kernel::time::Span;

const CARD: Card = Card {
    name: "test",
    summary: "",
    severity: Severity::Medium,
    family: Family::Statistical,
    scope: Scope::Identity,
    controls: &[],
    page: "",
};

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_seconds(1_790_000_000 + minutes * 60)
}

#[derive(Debug, PartialEq)]
struct Told {
    id: IncidentId,
    revision: u32,
}

fn find(
    incidents: &mut Incidents,
    subject: &str,
    times: (Timestamp, Timestamp),
    p: f64,
) -> Result<Option<Told>, Limit> {
    tell(incidents, subject, times, Some(p), Severity::Low)
}

/// Makes a finding with this p-value, or that a rule is broken, and publishes it.
fn tell(
    incidents: &mut Incidents,
    subject: &str,
    (ts, front): (Timestamp, Timestamp),
    p: Option<f64>,
    severity: Severity,
) -> Result<Option<Told>, Limit> {
    let event = Event {
        ts,
        received: Some(front),
        identity: "x",
        uid: Some("u"),
        ..Event::default()
    };
    let baseline = Baseline::new(ts.minus(Span::WEEK.times(9)));
    let finding = Finding {
        subject: subject.into(),
        p_value: p.map(PValue::new),
        begins: 1.0,
        summary: String::new(),
        expected: String::new(),
        observed: String::new(),
        evidence: Vec::new(),
        clears: String::new(),
        severity: None,
        sink: false,
        floor: 0.0,
    };
    let thresholds = Thresholds::new(&Budget::default());
    let measure = Measure {
        decision: "d",
        thresholds: &thresholds,
        common: &Common::default(),
    };
    let occasion = Occasion::at(&event, front, &baseline, measure);
    let at = incidents.note(&CARD, finding, &occasion)?;
    let told = incidents.publish(at, severity, false);
    Ok(told.map(|(incident, _)| Told {
        id: incident.id,
        revision: incident.revision,
    }))
}

fn raise(incidents: &mut Incidents, minutes: i64, p: f64) -> Option<Told> {
    let found = find(incidents, "s", (at(minutes), at(minutes)), p);
    found.expect("there is room")
}

#[test]
fn no_alert_is_published_twice_however_many_subjects_there_are() {
    let (mut incidents, mut dropped) = (Incidents::default(), 0);
    let mut published = std::collections::BTreeMap::new();
    let mut take = |found: Result<Option<Told>, Limit>| match found {
        Ok(None) => {}
        Ok(Some(alert)) => {
            let last = published.insert(alert.id, alert.revision);
            assert!(last < Some(alert.revision), "{last:?} before {alert:?}");
        }
        Err(_) => dropped += 1,
    };
    for n in 0..2000 {
        // Five new subjects an hour, each again at once and half an hour later, and five days late,
        // when it is long forgotten.
        for (subject, minutes) in [(n, n), (n, n), (n - 3, n), (n - 600, n - 600)] {
            let times = (at(minutes * 12), at(n * 12));
            take(find(&mut incidents, &subject.to_string(), times, 1e-6));
        }
    }
    assert!(dropped > 0 && published.len() > 100);
}

#[test]
fn a_late_event_does_not_open_again_what_was_forgotten() {
    let mut incidents = Incidents::default();
    for n in 0..=INCIDENTS_MAX as i64 {
        let times = (at(n * 300), at(n * 300));
        let found = find(&mut incidents, &n.to_string(), times, 1e-6);
        assert!(found.is_ok_and(|alert| alert.is_some()));
    }
    let kept = incidents.clone();
    let late = (at(0), at(INCIDENTS_MAX as i64 * 300));
    let found = find(&mut incidents, "0", late, 1e-6);
    assert_eq!(found, Err(Limit::Incidents));
    assert_eq!(incidents, kept);
}

#[test]
fn closed_incidents_make_room_and_a_stamp_from_the_future_does_not_keep_one_open() {
    let mut incidents = Incidents::default();
    for n in 0..INCIDENTS_MAX as i64 {
        let times = (at(1_000_000), at(n));
        let found = find(&mut incidents, &n.to_string(), times, 1e-6);
        assert!(found.is_ok_and(|alert| alert.is_some()));
    }
    let new = |incidents: &mut Incidents, minutes| {
        find(incidents, "new", (at(minutes), at(minutes)), 1e-6)
    };
    assert_eq!(new(&mut incidents, 60), Err(Limit::Incidents));
    assert!(new(&mut incidents, 300).is_ok_and(|alert| alert.is_some()));
}

#[test]
fn findings_of_one_incident_keep_its_id_and_raise_its_revision_when_it_grows() {
    let mut incidents = Incidents::default();
    let opened = raise(&mut incidents, 0, 1e-6).expect("opens");
    let doubled = raise(&mut incidents, 1, 1e-6).expect("doubled");
    assert_eq!((doubled.id, doubled.revision), (opened.id, 2));
    assert_eq!(raise(&mut incidents, 2, 1e-6), None);
    let stranger = raise(&mut incidents, 2, 1e-12).expect("ten bits more");
    assert_eq!((stranger.id, stranger.revision), (opened.id, 3));
}

#[test]
fn more_severe_is_news_and_less_severe_is_not() {
    let mut incidents = Incidents::default();
    raise(&mut incidents, 0, 1e-6).expect("opens");
    for n in 1..4 {
        raise(&mut incidents, n, 1e-6);
    }
    raise(&mut incidents, 5, 1e-6);
    assert!(incidents.publish(0, Severity::Low, false).is_none());
    let raised = incidents.publish(0, Severity::High, false);
    assert!(raised.is_some_and(|(_, severity)| severity == Severity::High));
    assert!(incidents.publish(0, Severity::Medium, false).is_none());
    for n in 6..20 {
        if let Some((_, severity)) = raise(&mut incidents, n, 1e-6)
            .map(|_| incidents.kept[0].published.severity)
            .map(|s| (0, s))
        {
            assert_eq!(
                severity,
                Severity::High,
                "a later update takes nothing back"
            );
        }
    }
}

#[test]
fn after_four_quiet_hours_a_new_incident_opens() {
    let mut incidents = Incidents::default();
    let first = raise(&mut incidents, 0, 1e-6).expect("opens");
    let second = raise(&mut incidents, 241, 1e-6).expect("opens anew");
    assert_ne!(first.id, second.id);
    assert_eq!(second.revision, 1);
}

/// The minutes at which an incident of this sort opens anew, where it is found every day for six weeks.
fn opened(p: Option<f64>, severity: Severity) -> (Vec<i64>, usize) {
    let (mut incidents, mut opened, mut updates) = (Incidents::default(), Vec::new(), 0);
    for day in 0..42 {
        let ts = at(day * 1440);
        let told = tell(&mut incidents, "s", (ts, ts), p, severity);
        match told.expect("there is room") {
            Some(told) if told.revision == 1 => opened.push(day),
            Some(_) => updates += 1,
            None => {}
        }
    }
    (opened, updates)
}

#[test]
fn what_comes_back_every_day_is_one_incident_for_two_weeks_or_four() {
    let (low, _) = opened(Some(1e-6), Severity::Low);
    assert_eq!(low.len(), 42);
    let (medium, updates) = opened(Some(1e-6), Severity::Medium);
    assert_eq!(medium, [0, 15, 30]);
    assert!(updates < 42 - medium.len(), "{updates}");
    let (rule, updates) = opened(None, Severity::Medium);
    assert_eq!(rule, [0, 29]);
    assert_eq!(updates, 40, "each day on which a rule is broken is told");
}

#[test]
fn what_rests_over_a_weekend_is_one_incident() {
    let mut incidents = Incidents::default();
    let (friday, monday) = (at(18 * 60), at((3 * 24 + 19) * 60));
    let mut told = |ts| tell(&mut incidents, "s", (ts, ts), Some(1e-6), Severity::Medium);
    let first = told(friday).expect("there is room").expect("it opens");
    told(monday).expect("there is room");
    let case = incidents.case(monday).expect("it goes on");
    assert_eq!(incidents.kept[case].id, first.id);
    assert_eq!(incidents.kept.len(), 1);
}

#[test]
fn what_others_find_goes_on_with_the_case_at_hand_and_is_named_once() {
    let mut incidents = Incidents::default();
    let day = |hours: i64| (at(hours * 60), at(hours * 60));
    let told = |incidents: &mut Incidents, subject: &str, hours, severity| {
        let told = tell(incidents, subject, day(hours), Some(1e-6), severity);
        told.expect("there is room").expect("it is news")
    };
    told(&mut incidents, "low", 0, Severity::Low);
    assert_eq!(incidents.case(at(60)), None);
    let case = told(&mut incidents, "case", 1, Severity::Medium);
    let at_work = incidents.case(at(25 * 60)).expect("a case");
    assert_eq!(incidents.kept[at_work].id, case.id);
    let quiet = find(&mut incidents, "quiet", day(1), 0.9);
    assert!(quiet.is_ok() && incidents.join(at_work, 2, Severity::Medium));
    incidents.kept[2].revision = 0;
    assert!(incidents.kept[2].is_told(), "it is held back from learning");
    incidents.kept.pop();
    incidents.kept[at_work].joined.clear();
    assert!(incidents.join(at_work, 0, Severity::Medium));
    assert!(!incidents.join(at_work, 0, Severity::Medium));
    assert_eq!(incidents.kept[at_work].joined, ["test: low".into()]);
    assert_eq!(incidents.case(at(76 * 60)), None);
    // The same again, after the first has closed, is news though its name is known.
    told(&mut incidents, "low", 7, Severity::Low);
    assert!(incidents.join(at_work, 2, Severity::Medium));
    assert_eq!(incidents.kept[at_work].joined.len(), 1);
}

#[test]
fn the_number_of_incidents_and_event_ids_is_bounded() {
    let mut incidents = Incidents::default();
    for n in 0..1000 {
        raise(&mut incidents, n * 300, 1e-6);
    }
    assert_eq!(incidents.kept.len(), INCIDENTS_MAX);
    for n in 0..100 {
        raise(&mut incidents, 1_000_000 + n, 1e-6);
    }
    assert!(
        incidents
            .kept
            .iter()
            .all(|i| i.events.len() <= Alert::EVENTS_MAX)
    );
}
