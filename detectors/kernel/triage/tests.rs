//! What becomes of findings: one case at a time, and nothing that goes silent beside it.

use super::*;
use crate::kernel::alert::IncidentId;
use crate::kernel::budget::{Budget, Thresholds};
use crate::kernel::detector::PValue;

/// What is found of one identity that has been known for half a year, while nothing is common.
#[derive(Default)]
struct Watch {
    incidents: Incidents,
    risk: Option<Box<Risk>>,
}

/// A finding of `api-volume` about `subject`, at least as improbable as `p`.
pub(in crate::kernel) fn finding(subject: &str, p: f64) -> Finding {
    Finding {
        subject: subject.into(),
        p_value: Some(PValue::new(p)),
        begins: 1e-3,
        summary: String::new(),
        expected: String::new(),
        observed: String::new(),
        evidence: Evidence::new(),
        clears: String::new(),
        severity: None,
        sink: false,
        floor: 0.0,
    }
}

fn at(day: i64, hour: i64) -> Timestamp {
    Timestamp::from_hour(500_016 + day * 24 + hour)
}

impl Watch {
    fn find(&mut self, detector: &str, finding: Finding, ts: Timestamp) -> Outcome {
        let baseline = Baseline::new(at(-180, 0));
        let thresholds = Thresholds::new(&Budget::default());
        let measure = Measure {
            decision: "",
            thresholds: &thresholds,
            common: &Common::default(),
        };
        let occasion = Occasion::alone("bot", ts, ts, &baseline, measure);
        let card = card_of(detector).expect("there is such a detector");
        let Watch { incidents, risk } = self;
        triage(card, finding, incidents, risk, &occasion).expect("there is room")
    }

    fn alert(&mut self, detector: &str, finding: Finding, ts: Timestamp) -> Option<Alert> {
        self.find(detector, finding, ts).alert
    }

    /// Volume that is far out of what the budget allows for `medium`, and below what it does for `high`.
    fn medium(&mut self, subject: &str, ts: Timestamp) -> Option<Alert> {
        self.alert("api-volume", finding(subject, MEDIUM), ts)
    }

    /// Opens `incidents`, which weigh nothing.
    fn fill(&mut self, incidents: usize, ts: Timestamp) {
        for n in 0..incidents {
            let subject = format!("filler {n}");
            self.find("egress-volume", finding(&subject, 1e-3), ts);
        }
    }
}

const MEDIUM: f64 = 2e-5;
/// Half of what is `medium` after half a day or so.
const HALF: f64 = 3e-4;
/// What is `low` alone, and no more.
const LOW: f64 = 3e-4;

/// A broken rule that is `medium`.
fn broken() -> Finding {
    Finding {
        p_value: None,
        severity: Some(Severity::Medium),
        ..finding("late orders", 1.0)
    }
}

#[test]
fn the_day_s_update_of_a_broken_rule_comes_whatever_else_is_found() {
    let mut watch = Watch::default();
    let rule = |watch: &mut Watch, day| watch.alert("off-hours", broken(), at(day, 10));
    let opened = rule(&mut watch, 0).expect("it opens");
    assert_eq!(opened.severity, Severity::Medium);
    // What is found in the small hours goes on with that case, and keeps it open.
    let joined = watch.medium("calls per hour", at(1, 1)).expect("it joins");
    assert_eq!((joined.id, joined.revision), (opened.id, 2));
    let next = rule(&mut watch, 1).expect("the next day's update");
    assert_eq!((next.id, next.revision), (opened.id, 3));
    assert_eq!(rule(&mut watch, 1), None, "once a day");
}

#[test]
fn risk_for_whose_incident_there_is_no_room_is_told_by_the_finding_at_hand() {
    let mut watch = Watch::default();
    for (detector, hour) in [("api-volume", 1), ("silence", 4)] {
        let told = watch.alert(detector, finding("calls", HALF), at(0, hour));
        assert!(told.is_none_or(|told| told.severity == Severity::Low));
    }
    // The list is full, of incidents too recent to make room; the last is what the third is about.
    watch.fill(15, at(0, 10));
    watch.find("error-burst", finding("errors", 1e-3), at(0, 10));
    let told = watch.alert("error-burst", finding("errors", HALF), at(0, 11));
    let told = told.expect("it adds up");
    let told = (told.detector, told.severity);
    assert_eq!(told, ("error-burst", Severity::Medium));
}

#[test]
fn where_there_is_room_it_is_an_incident_of_its_own_and_holds_back_nothing_but_its_own() {
    let mut watch = Watch::default();
    // Sixteen incidents, the oldest of which is long over.
    watch.find("egress-volume", finding("over", 1e-3), at(-30, 0));
    watch.fill(12, at(0, 0));
    let mut last = None;
    for (subject, hour) in [("calls", 1), ("bytes", 6), ("errors", 11)] {
        last = Some(watch.find("error-burst", finding(subject, HALF), at(0, hour)));
    }
    let last = last.expect("three were found");
    let alert = last.alert.expect("it has added up");
    assert_eq!((alert.detector, alert.severity), ("risk", Severity::Medium));
    let own = |id: IncidentId| watch.incidents.named(id).map(Incident::is_told);
    assert_eq!(own(alert.id), Some(true));
    let errors = watch.incidents.get(14).expect("it has moved");
    assert_eq!(&*errors.subject, "errors");
    assert!(!errors.is_told() && !last.suspect);
}

#[test]
fn what_joins_a_case_brings_its_own_step() {
    let mut watch = Watch::default();
    let case = watch.alert("off-hours", broken(), at(0, 9));
    let case = case.expect("it opens");
    let sink = Finding {
        sink: true,
        ..finding("payments", MEDIUM)
    };
    let joined = watch.alert("error-burst", sink, at(0, 10));
    let joined = joined.expect("a new part of it");
    assert_eq!((joined.id, joined.severity), (case.id, Severity::High));
}

#[test]
fn what_only_its_sink_makes_medium_goes_on_with_the_case_at_hand() {
    let sink = || Finding {
        sink: true,
        ..finding("payments", LOW)
    };
    let alone = Watch::default().alert("error-burst", sink(), at(0, 10));
    assert_eq!(alone.map(|it| it.severity), Some(Severity::Medium));
    let mut watch = Watch::default();
    let case = watch
        .alert("off-hours", broken(), at(0, 9))
        .expect("it opens");
    let joined = watch
        .alert("error-burst", sink(), at(0, 10))
        .expect("it joins");
    assert_eq!((joined.id, joined.revision), (case.id, 2));
}

#[test]
fn what_has_joined_a_case_is_told_again_when_it_has_grown() {
    let mut watch = Watch::default();
    let case = watch.alert("off-hours", broken(), at(0, 0));
    let case = case.expect("it opens");
    let mut told = |hour, p| watch.alert("error-burst", finding("errors", p), at(0, hour));
    let joined = told(1, 4e-5).expect("it joins");
    assert_eq!((joined.id, joined.revision), (case.id, 2));
    // It goes on, and what it has added has half faded when it comes back stronger.
    let news: Vec<_> = [4, 7, 10]
        .into_iter()
        .filter_map(|hour| Some((hour, told(hour, 4e-5)?)))
        .map(|(hour, told)| (hour, told.id == case.id, told.severity))
        .collect();
    let expected = [4, 10].map(|hour| (hour, true, joined.severity));
    assert_eq!(news, expected, "twice as often, and twice again");
}

#[test]
fn a_case_that_is_closed_for_its_age_is_told_anew_while_it_goes_on() {
    let mut watch = Watch::default();
    let mut opened = Vec::new();
    for hour in (0..20 * 24).step_by(6) {
        let told = watch.medium("calls per hour", at(0, hour));
        if let Some(told) = told.filter(|told| told.revision == 1) {
            opened.push((hour, told.detector));
            assert!(told.severity >= Severity::Medium, "{told:?}");
        }
    }
    assert_eq!(opened, [(0, "api-volume"), (14 * 24 + 6, "api-volume")]);
}

#[test]
fn a_rule_that_is_broken_for_weeks_becomes_a_practice_that_is_still_told_each_day() {
    let mut watch = Watch::default();
    let mut rule = |day| {
        watch
            .alert("off-hours", broken(), at(day, 10))
            .expect("told")
    };
    let first = rule(0);
    let told: Vec<Alert> = (1..=40).map(&mut rule).collect();
    let (case, practice) = told.split_at(28);
    assert!(case.iter().all(|alert| alert.id == first.id));
    assert!(case.iter().all(|alert| alert.severity == Severity::Medium));
    assert!(
        practice
            .iter()
            .all(|alert| alert.severity == Severity::Info)
    );
    let days = |alert: &Alert| {
        let said = alert.finding.evidence.iter();
        said.filter(|(name, _)| name == "accepted_practice").count()
    };
    assert!(practice.iter().all(|alert| days(alert) == 1));
    // What pauses for more than a week is no practice any more.
    let anew = rule(50);
    assert_eq!((anew.severity, anew.revision), (Severity::Medium, 1));
}

#[test]
fn a_rule_that_is_broken_now_and_then_never_becomes_a_practice() {
    let mut watch = Watch::default();
    for day in (0..60).step_by(4) {
        let told = watch
            .alert("off-hours", broken(), at(day, 10))
            .expect("told");
        assert_eq!(told.severity, Severity::Medium, "{day}");
    }
}
