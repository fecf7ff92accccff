//! How findings add up, and from when on that is worth an incident.

use super::*;
use crate::kernel::budget::Budget;

const MONTH: Span = Span::DAY.times(30);
const YEAR: Span = Span::DAY.times(365);

fn at(hours: i64) -> Timestamp {
    Timestamp::from_hour(500_000 + hours)
}

fn id(n: u8) -> IncidentId {
    IncidentId([n; 16])
}

fn read(risk: &Risk, watched: Span) -> Reading {
    let thresholds = Thresholds::new(&Budget::default());
    risk.reading(&thresholds, &Common::default(), watched)
}

#[test]
fn findings_of_one_hour_are_combined_and_what_goes_on_counts_once() {
    let mut risk = Risk::default();
    risk.note(at(0), 1, id(1), 5.0);
    risk.note(at(0), 1, id(1), 5.0);
    assert!((risk.levels[0] - 5.0).abs() < 1e-9);
    risk.note(at(0), 2, id(2), 5.0);
    assert!((risk.levels[0] - 6.0).abs() < 1e-9, "twice as improbable");
    risk.note(at(1), 1, id(1), 5.0);
    assert!(risk.levels[0] < 6.0, "the same goes on");
    risk.note(at(2), 1, id(1), 7.0);
    assert!((7.0..8.0).contains(&risk.levels[0]), "it has grown by two");
    risk.note(at(3), 3, id(3), 5.0);
    assert!(risk.levels[0] > 11.5, "another detector, another hour");
    risk.note(at(9), 1, id(4), 5.0);
    assert!(risk.levels[0] > 13.0, "a new cluster");
}

#[test]
fn who_has_little_to_show_is_taken_to_be_like_the_others() {
    let thresholds = Thresholds::new(&Budget::default());
    let mut risk = Risk::default();
    let mut common = Common::default();
    assert_eq!(risk.note(at(0), 1, id(1), 2.0), Common::default());
    let mut fresh = risk.clone().fold(at(5));
    assert_eq!((fresh.clusters, fresh.millibits), (1, 2000));
    let read = |common: &Common| risk.reading(&thresholds, common, Span::DAY).severity;
    assert_eq!(read(&common), None, "nothing is known of anybody");
    fresh.days = 5000;
    common.add(&mut fresh);
    assert_eq!(read(&common), Some(Severity::Medium), "they are very quiet");
}

#[test]
fn a_noisy_identity_is_not_what_all_are_taken_to_be_like() {
    let (mut risk, mut common) = (Risk::default(), Common::default());
    for n in 0..600 {
        common.add(&mut risk.note(at(n * 6), 1, id(1), 9.0));
    }
    // In 150 days, of which it makes four a day.
    assert!((145..=150).contains(&common.clusters), "{common:?}");
    assert_eq!(common.millibits, common.clusters * 5000);
}

#[test]
fn risk_fades_and_small_findings_on_many_days_add_up() {
    let mut risk = Risk::default();
    risk.note(at(0), 1, id(1), 4.0);
    assert_eq!(read(&risk, Span::WEEK).severity, Some(Severity::Low));
    let mut slow = Risk::default();
    let mut reached = None;
    for day in 0..20 {
        slow.note(at(day * 24), 1, id(day as u8), 2.0);
        let medium = read(&slow, MONTH).severity >= Some(Severity::Medium);
        reached = reached.or(medium.then_some(day));
    }
    assert!(reached.is_some_and(|day| day > 0), "{reached:?}");
    assert_eq!(read(&slow, MONTH).memory, 7.0);
    let before = risk.levels[0];
    risk.note(at(24), 2, id(2), 0.0);
    assert!((risk.levels[0] - before * libm::exp(-1.0)).abs() < 1e-9);
}

#[test]
fn the_more_an_identity_makes_noise_the_more_it_takes() {
    let mut noisy = Risk::default();
    for day in 0..200 {
        noisy.note(at(day * 24), 1, id(day as u8), 1.0);
    }
    noisy.note(at(300 * 24), 1, id(1), 6.0);
    let mut calm = Risk::default();
    calm.note(at(300 * 24), 1, id(1), 6.0);
    let thresholds = Thresholds::new(&Budget::default());
    let (noisy, calm) = (
        noisy.reading(&thresholds, &Common::default(), YEAR),
        calm.reading(&thresholds, &Common::default(), YEAR),
    );
    assert!(calm.severity >= Some(Severity::Medium), "{calm:?}");
    assert!(noisy.threshold > calm.threshold && noisy.score < calm.score);
}

#[test]
fn what_it_is_made_of_stays_bounded_with_the_heaviest_first() {
    let mut risk = Risk::default();
    for n in 0..50 {
        let bits = if n == 45 { 9.0 } else { 1.0 };
        risk.note(at(n * 6), 1, id(n as u8), bits);
    }
    let parts = risk.parts(MEMORIES[1]);
    assert_eq!(parts.len(), PARTS_MAX);
    assert_eq!(parts[0].0, id(45));
}
