//! How often `silence` speaks of identities with which nothing is wrong, and how soon of one that has
//! died or moved: half a simulated year, the whole engine, own dice.

use std::sync::Arc;

use crate::dice::Dice;
use crate::kernel::budget::FINDINGS_PER_DAY;
use crate::kernel::engine::{Engine, Sighting};
use crate::kernel::event::Event;
use crate::kernel::input::Input;
use crate::kernel::time::{Span, Timestamp};

/// Monday, 2026-05-04: no clock changes within half a year.
const START: Timestamp = Timestamp::from_seconds(1_777_852_800);
const WEEKS: i64 = 25;
/// From here on findings count.
const JUDGED: i64 = 5;
const HOUR: f64 = 3600.0;

/// A Weibull gap of mean 1.
fn gap(dice: &mut Dice, shape: f64) -> f64 {
    libm::pow(-libm::log(dice.uniform()), 1.0 / shape) / libm::tgamma(1.0 + 1.0 / shape)
}

/// One step of a lognormal autoregressive rate of median 1.
fn mood(level: &mut f64, memory: f64, sigma: f64, dice: &mut Dice) -> f64 {
    *level = memory * *level + libm::sqrt(1.0 - memory * memory) * sigma * dice.normal();
    libm::exp(*level)
}

/// Seconds after the start at which an identity acts.
type Times = Vec<f64>;

/// Calls at `rate` an hour, by hour since the start, wandering by `sigma`, with Weibull gaps.
fn service(dice: &mut Dice, shape: f64, sigma: f64, rate: impl Fn(i64) -> f64) -> Times {
    let (mut times, mut level, mut wait) = (Vec::new(), 0.0, dice.uniform());
    for hour in 0..WEEKS * 168 {
        let expected = rate(hour) * mood(&mut level, 0.8, sigma, dice);
        while wait < expected {
            times.push((hour as f64 + wait / expected) * HOUR);
            wait += gap(dice, shape);
        }
        wait -= expected;
    }
    times
}

/// Runs every `period` hours from `from` on, where that is a day or more from a time within the hour
/// after; some of them missed, of about `calls` calls 14 seconds apart.
fn job(
    dice: &mut Dice,
    (from, period): (f64, f64),
    missed: f64,
    calls: f64,
    runs_on: impl Fn(i64) -> bool,
) -> Times {
    let (mut times, mut level) = (Vec::new(), 0.0);
    let mut due = if period < 24.0 {
        from
    } else {
        from + dice.uniform()
    };
    while due < (WEEKS * 168) as f64 {
        let size = calls * mood(&mut level, 0.6, 0.25, dice);
        let mut at = due * HOUR + 8.0 * libm::exp(0.6 * dice.normal());
        if runs_on(due as i64 / 24) && dice.uniform() >= missed {
            for _ in 0..(size as i64).max(1) {
                times.push(at);
                at += 14.0 * gap(dice, 0.8);
            }
        }
        due += period;
    }
    times
}

/// What `silence` finds of `all`, named by their place, and the digest of the state in the end; with
/// a heartbeat every so many seconds, if any.
fn watch(all: &[Times], heartbeat: Option<i64>) -> (Vec<Sighting>, String) {
    let mut engine = Engine::new(0, Arc::default());
    engine.keep_sightings();
    let mut acts: Vec<(i64, Option<usize>)> = Vec::new();
    for (who, times) in all.iter().enumerate() {
        acts.extend(times.iter().map(|at| ((at * 1e6) as i64, Some(who))));
    }
    // An identity of its own keeps time.
    let end = WEEKS * 168 * 3600;
    let every = |seconds: i64, who| (0..end / seconds).map(move |n| (n * seconds * 1_000_000, who));
    acts.extend(every(600, Some(all.len())));
    acts.extend(
        heartbeat
            .into_iter()
            .flat_map(|seconds| every(seconds, None)),
    );
    acts.retain(|(at, _)| *at < end * 1_000_000);
    acts.push((end * 1_000_000, None));
    acts.sort_unstable();
    let mut alerts = Vec::new();
    let names: Vec<String> = (0..=all.len()).map(|who| who.to_string()).collect();
    for (at, who) in acts {
        let ts = START.plus(Span::from_micros(at));
        let input = match who {
            None => Input::Heartbeat { ts },
            Some(who) => Input::Event(Event {
                ts,
                identity: &names[who],
                action: "act",
                ..Event::default()
            }),
        };
        engine.handle(&input, &mut alerts);
    }
    let mut sightings = engine.take_sightings();
    sightings.retain(|sighting| sighting.detector == "silence");
    (sightings, engine.digest())
}

type Family = (&'static str, fn(&mut Dice) -> Times);

const FAMILIES: [Family; 7] = [
    ("poller", |dice| service(dice, 3.0, 0.08, |_| 24.0)),
    ("day and night", |dice| {
        service(dice, 0.8, 0.4, |hour| match hour % 24 {
            8..18 => 10.0,
            _ => 1.0,
        })
    }),
    ("office", |dice| {
        service(dice, 0.8, 0.4, |hour| match (hour % 24, hour / 24 % 7) {
            (8..18, 0..5) => 10.0,
            _ => 0.0,
        })
    }),
    ("hourly cron", |dice| {
        job(dice, (0.1, 1.0), 0.002, 3.0, |_| true)
    }),
    ("nightly batch", |dice| {
        job(dice, (3.0, 24.0), 0.03, 65.0, |_| true)
    }),
    ("weekday batch", |dice| {
        job(dice, (3.0, 24.0), 0.01, 65.0, |day| day % 7 < 5)
    }),
    ("weekly job", |dice| {
        job(dice, (5.0, 168.0), 0.01, 20.0, |_| true)
    }),
];

#[test]
fn identities_with_which_nothing_is_wrong_are_found_about_as_seldom_as_promised() {
    for (seed, (name, family)) in (1..).zip(FAMILIES) {
        let mut dice = Dice(seed * 7919);
        let all: Vec<Times> = (0..IDENTITIES).map(|_| family(&mut dice)).collect();
        let (sightings, _) = watch(&all, None);
        let from = START.plus(Span::WEEK.times(JUDGED));
        let found = sightings.iter().filter(|it| it.ts >= from).count();
        let days = (IDENTITIES as i64 * (WEEKS - JUDGED) * 7) as f64;
        let per_day = found as f64 / days;
        assert!(
            per_day <= 3.0 * FINDINGS_PER_DAY,
            "{name}: {found} findings in {days} days"
        );
    }
}

/// What is found, as hours after the change, of eight identities of `family` of which everything from
/// three weeks before the end on comes so many hours later, each for itself.
fn changed(family: fn(&mut Dice) -> Times, later: f64, seed: u64) -> Vec<Vec<f64>> {
    let change = (WEEKS - 3) as f64 * 168.0;
    let mut dice = Dice(seed);
    let mut all: Vec<Times> = (0..IDENTITIES).map(|_| family(&mut dice)).collect();
    for at in all.iter_mut().flatten().filter(|at| **at > change * HOUR) {
        *at += later * HOUR;
    }
    let (sightings, _) = watch(&all, None);
    let hours = |it: &Sighting| it.ts.since(START).seconds() as f64 / HOUR - change;
    let of = |who: usize| {
        sightings
            .iter()
            .filter(move |it| it.identity == who.to_string())
    };
    (0..IDENTITIES)
        .map(|who| of(who).map(hours).filter(|hours| *hours > 0.0).collect())
        .collect()
}

/// Later than the watch goes on.
const FOR_GOOD: f64 = 1e4;

#[test]
fn whoever_dies_is_missed_in_time_and_told_twice_at_most() {
    // Hours after a Monday's midnight: one day of who works day and night, three runs of a nightly job, two
    // days of a desk.
    for ((name, family), within) in FAMILIES.into_iter().zip([1.0, 24.0, 36.0, 3.0, 72.0, 72.0]) {
        for found in (5..8).flat_map(|seed| changed(family, FOR_GOOD, seed)) {
            let soon = found.first().is_some_and(|hours| *hours < within);
            assert!(soon && found.len() <= 2, "{name}: {found:?}");
        }
    }
}

#[test]
fn a_nightly_job_that_moves_is_seen_at_its_first_run_and_has_a_new_time_after_a_week() {
    for found in changed(|dice| job(dice, (3.0, 24.0), 0.0, 65.0, |_| true), 6.0, 5) {
        assert!(
            found.iter().any(|hours| (9.0..11.0).contains(hours)),
            "{found:?}"
        );
        assert!(found.iter().all(|hours| *hours < 2.0 * 24.0), "{found:?}");
    }
}

#[test]
fn when_heartbeats_come_changes_nothing() {
    let mut dice = Dice(11);
    let all: Vec<Times> = FAMILIES
        .iter()
        .map(|(_, family)| family(&mut dice))
        .collect();
    let (found, digest) = watch(&all, None);
    for seconds in [97, 3601] {
        let (again, same) = watch(&all, Some(seconds));
        assert_eq!(found, again, "every {seconds} s");
        assert_eq!(digest, same, "every {seconds} s");
    }
}

const IDENTITIES: usize = 8;
