//! How often it finds something where nothing is wrong, by simulation.

use super::*;
use crate::dice::Dice;
use crate::kernel::baseline::Day;
use crate::kernel::tails::Expected;
use crate::kernel::tally::Tally;

const CALLS: f64 = 20.0;

/// An hour with `failures` of `calls`, half of them denied.
fn hour(start: i64, calls: u64, failures: u64) -> Hour {
    let tally = Tally {
        calls,
        failures,
        denied: failures / 2,
        ..Tally::default()
    };
    let expected = Expected {
        mean: CALLS,
        fano: 1.0,
        spread: 0.1,
        evidence: 1e6,
    };
    Hour {
        start,
        tally,
        suspect: false,
        expected,
        gate: 1,
        day: start.div_euclid(24),
        day_gate: 1,
        minutes: Vec::new(),
        minute_gate: 0,
    }
}

/// Hours of `identities` that are found, against what is nominal; after 8 of 34 weeks of learning.
/// `storm` is the chance that an hour has one, of 10 to 40 failures more.
fn found(seed: u64, identities: u32, share: f64, storm: f64) -> f64 {
    let detector = ErrorBurst::new(Config::default(), &Calendars::default());
    let mut dice = Dice(seed);
    let (mut found, mut hours) = (0_u32, 0_u32);
    for _ in 0..identities {
        let mut errors = Errors::default();
        for start in 0..34 * 168 {
            let busy = CALLS * (0.5 + dice.uniform());
            let failures = (0..busy as u32).filter(|_| dice.uniform() < share).count() as u64;
            let more = if dice.uniform() < storm {
                10 + (dice.uniform() * 30.0) as u64
            } else {
                0
            };
            let (calls, failures) = (busy as u64 + more, failures + more);
            let over = hour(start, calls, failures);
            if start >= 8 * 168 {
                hours += 1;
                let said = detector.find(&over, &errors, None);
                found += u32::from(said != Verdict::Normal);
            }
            detector.learn(&Closed::Hour(over), &Baseline::default(), &mut errors);
            if start % 24 == 23 {
                detector.learn(
                    &Closed::Day(Day::default()),
                    &Baseline::default(),
                    &mut errors,
                );
            }
        }
    }
    f64::from(found) / f64::from(hours) / begins(HOURS_PER_DAY)
}

#[test]
fn independent_failures_are_found_less_often_than_nominal() {
    for (seed, share) in (101..).zip([0.001, 0.005, 0.05, 0.2, 0.4]) {
        let ratio = found(seed, 40, share, 0.0);
        assert!(ratio < 1.0, "{share}: {ratio}");
    }
}

#[test]
fn storms_that_are_a_habit_are_found_at_most_three_times_as_often_as_nominal() {
    for (seed, every) in (201..).zip([12.0, 24.0, 72.0, 168.0]) {
        let ratio = found(seed, 40, 0.005, 1.0 / every);
        assert!(ratio < 3.0, "{every}: {ratio}");
    }
}

#[test]
fn about_half_of_the_storms_of_every_other_week_are_found() {
    let every = 336.0;
    let ratio = found(205, 40, 0.005, 1.0 / every);
    let share = ratio * begins(HOURS_PER_DAY) * every;
    assert!((0.25..0.75).contains(&share), "{share}");
}

fn quiet(weeks: i64, share: u64) -> (ErrorBurst, Errors) {
    let detector = ErrorBurst::new(Config::default(), &Calendars::default());
    let mut errors = Errors::default();
    for start in 0..weeks * 168 {
        let over = hour(start, 20, u64::from((start as u64).is_multiple_of(share)));
        detector.learn(&Closed::Hour(over), &Baseline::default(), &mut errors);
        if start % 24 == 23 {
            detector.learn(
                &Closed::Day(Day::default()),
                &Baseline::default(),
                &mut errors,
            );
        }
    }
    (detector, errors)
}

#[test]
fn probing_is_found_and_weighs_much() {
    // One call in two hundred fails; then three in ten of fifty calls are denied.
    let (detector, errors) = quiet(8, 10);
    let mut over = hour(0, 50, 15);
    over.tally.denied = 15;
    let Verdict::Anomalous(finding) = detector.find(&over, &errors, None) else {
        panic!("nothing found");
    };
    assert_eq!(finding.subject, "denials per hour");
    assert!(finding.weight().unwrap() > 10.0, "{finding:?}");
}

#[test]
fn what_is_held_back_for_more_than_a_week_of_days_is_learned() {
    let (detector, mut errors) = quiet(8, 10);
    let mut days = 0;
    let noisy = |start| hour(start, 20, 10);
    while detector.find(&noisy(0), &errors, None) != Verdict::Normal {
        for start in 0..24 {
            let over = Hour {
                suspect: true,
                ..noisy(start)
            };
            detector.learn(&Closed::Hour(over), &Baseline::default(), &mut errors);
        }
        let day = Day {
            suspect: true,
            ..Day::default()
        };
        detector.learn(&Closed::Day(day), &Baseline::default(), &mut errors);
        days += 1;
        assert!(days < 60);
    }
    assert!(days > 7, "a week at least: {days}");
}

#[test]
fn what_is_remembered_stays_small() {
    assert!(size_of::<Errors>() <= 80);
}
