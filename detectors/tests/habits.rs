//! Habits that look strange by the clock or the calendar and are none: who works round the clock, and
//! what comes at the end of each month.

#[path = "../dice.rs"]
mod dice;

use std::sync::Arc;

use dice::Dice;
use nhiwatch_detectors::Configs;
use nhiwatch_detectors::kernel::alert::Alert;
use nhiwatch_detectors::kernel::calendar::{Calendar, Calendars, Session};
use nhiwatch_detectors::kernel::detector::{Mode, Severity};
use nhiwatch_detectors::kernel::engine::{Decision, Engine, Settings, Sighting};
use nhiwatch_detectors::kernel::event::{Class, Event};
use nhiwatch_detectors::kernel::input::Input;
use nhiwatch_detectors::kernel::season::Season;
use nhiwatch_detectors::kernel::time::{Span, Timestamp};

/// Monday, 2026-01-05T00:00:00Z.
const START: Timestamp = Timestamp::from_seconds(1_767_571_200);

/// Seconds until the next of some events that come `per_hour` times an hour, as by chance.
fn wait(dice: &mut Dice, per_hour: f64) -> f64 {
    dice.exponential(3600.0 / per_hour)
}

/// One engine, and all that came of what it was told.
struct Watch {
    engine: Engine,
    alerts: Vec<Alert>,
}

impl Watch {
    fn new() -> Self {
        let mut engine = Engine::new(0, Arc::default());
        engine.keep_sightings();
        let mut alerts = Vec::new();
        engine.handle(&Input::Heartbeat { ts: START }, &mut alerts);
        Self { engine, alerts }
    }

    fn call(&mut self, identity: &str, seconds: f64) {
        let event = Event {
            ts: START.plus(Span::from_micros((seconds * 1e6) as i64)),
            identity,
            action: "work",
            ..Event::default()
        };
        self.engine.handle(&Input::Event(event), &mut self.alerts);
    }

    fn order(&mut self, identity: &str, seconds: f64) {
        let event = Event {
            ts: START.plus(Span::from_micros((seconds * 1e6) as i64)),
            identity,
            action: "order.new",
            class: Class::Order,
            venue: Some("XTST"),
            ..Event::default()
        };
        self.engine.handle(&Input::Event(event), &mut self.alerts);
    }

    fn off_hours(&mut self) -> Vec<Sighting> {
        let mut sightings = self.engine.take_sightings();
        sightings.retain(|sighting| sighting.detector == "off-hours");
        sightings
    }
}

const HALF_A_YEAR: f64 = 26.0 * 7.0 * 86_400.0;

#[test]
fn who_works_round_the_clock_at_random_is_never_found_for_the_hour() {
    for per_hour in [0.1, 0.3, 1.0, 3.0, 10.0] {
        for seed in 1..=8 {
            let (mut watch, mut dice, mut at) = (Watch::new(), Dice(seed), 0.0);
            while at < HALF_A_YEAR {
                at += wait(&mut dice, per_hour);
                watch.call("bot", at);
            }
            let found = watch.off_hours();
            assert!(
                found.is_empty(),
                "{per_hour} an hour, seed {seed}: {found:#?}"
            );
        }
    }
}

#[test]
fn who_works_round_the_clock_regularly_is_never_found_for_the_hour() {
    for minutes in [5.0, 37.0, 60.0, 95.0, 240.0, 750.0] {
        for seed in 1..=4 {
            let (mut watch, mut dice) = (Watch::new(), Dice(seed));
            let phase = dice.uniform() * minutes * 60.0;
            let mut turn = 0.0;
            while turn * minutes * 60.0 < HALF_A_YEAR {
                let jitter = dice.uniform() * 20.0;
                watch.call("bot", phase + turn * minutes * 60.0 + jitter);
                turn += 1.0;
            }
            let found = watch.off_hours();
            assert!(
                found.is_empty(),
                "each {minutes} minutes, seed {seed}: {found:#?}"
            );
        }
    }
}

/// 150 days of an identity that makes `usual` calls an hour on working days from 8 to 18, `times` as
/// many on each month's last working day, and of a job that runs on that day only, at 20.
fn month_ends(usual: f64, times: f64, seed: u64) -> Vec<Alert> {
    let (mut watch, mut dice) = (Watch::new(), Dice(seed));
    for day in 0..150 {
        let start = START.plus(Span::DAY.times(day));
        let last = Season::of_month(start.day()) == Some(Season::Last);
        let midnight = day as f64 * 86_400.0;
        if day % 7 < 5 {
            let per_hour = if last { times * usual } else { usual };
            let mut at = midnight + 8.0 * 3600.0 + wait(&mut dice, per_hour);
            while at < midnight + 18.0 * 3600.0 {
                watch.call("ledger", at);
                at += wait(&mut dice, per_hour);
            }
        }
        if last {
            for n in 0..40 {
                let within = 45.0 * f64::from(n) + 20.0 * dice.uniform();
                watch.call("closing", midnight + 20.0 * 3600.0 + within);
            }
        }
        let ts = start.plus(Span::DAY);
        let Watch { engine, alerts } = &mut watch;
        engine.handle(&Input::Heartbeat { ts }, alerts);
    }
    watch.alerts
}

/// What was published from the third month's end on; the second was on Friday, 2026-02-27.
fn from_the_third_on(mut alerts: Vec<Alert>) -> Vec<Alert> {
    alerts.retain(|alert| alert.ts >= START.plus(Span::DAY.times(54)));
    alerts
}

#[test]
fn what_comes_with_the_end_of_each_month_is_quiet_from_the_third_on() {
    for usual in [20.0, 100.0] {
        for seed in 1..=20 {
            let alerts = from_the_third_on(month_ends(usual, 2.5, seed));
            assert!(alerts.is_empty(), "{usual} an hour, {seed}: {alerts:#?}");
        }
    }
}

#[test]
fn a_month_s_end_that_was_published_is_learned_for_the_next() {
    for seed in 1..=10 {
        let alerts = month_ends(100.0, 6.0, seed);
        let published =
            |alert: &Alert| alert.detector == "api-volume" && alert.identity == "ledger";
        assert!(
            alerts.iter().any(published),
            "{seed}: six times as many was not news"
        );
        let alerts = from_the_third_on(alerts);
        assert!(alerts.is_empty(), "{seed}: {alerts:#?}");
    }
}

/// 16 weeks of who sends 20 orders an hour from 9 to 17 on weekdays, none on the first of [`HOLIDAYS`], and a few
/// on the second; judged by `calendars`.
fn trading(calendars: &Calendars, seed: u64) -> Vec<Alert> {
    let decision = Decision::new(Settings {
        calendars: calendars.clone(),
        ..Settings::default()
    });
    let engine = Engine::new(0, Arc::new(decision));
    let mut watch = Watch {
        engine,
        alerts: Vec::new(),
    };
    let mut dice = Dice(seed);
    for day in 0..112 {
        let nine = day as f64 * 86_400.0 + 9.0 * 3600.0;
        if day % 7 < 5 {
            let end = match day {
                _ if day == HOLIDAYS[0] => nine,
                _ if day == HOLIDAYS[1] => nine + 900.0,
                _ => nine + 8.0 * 3600.0,
            };
            let mut at = nine + wait(&mut dice, 20.0);
            while at < end {
                watch.order("desk", at);
                at += wait(&mut dice, 20.0);
            }
        }
        let ts = START.plus(Span::DAY.times(day + 1));
        let Watch { engine, alerts } = &mut watch;
        engine.handle(&Input::Heartbeat { ts }, alerts);
    }
    watch.alerts
}

/// A Wednesday and a Thursday.
const HOLIDAYS: [i64; 2] = [7 * 12 + 2, 7 * 13 + 3];

#[test]
fn a_holiday_of_the_venue_is_quiet() {
    let sessions = |closed: &[i64]| {
        let open = (0..200).filter(|day| day % 7 < 5 && !closed.contains(day));
        let session = |day| Session {
            open: START.plus(Span::DAY.times(day)).plus(Span::HOUR.times(8)),
            close: START.plus(Span::DAY.times(day)).plus(Span::HOUR.times(18)),
        };
        open.map(session).collect()
    };
    let calendars = |closed: &[i64]| {
        let until = START.plus(Span::DAY.times(200));
        let venue = Calendar::new("XTST", "1", "", sessions(closed), START, until);
        Calendars::new(vec![venue])
    };
    let mut unknown = 0;
    for seed in 1..=5 {
        let alerts = trading(&calendars(&HOLIDAYS), seed);
        let strange = |alert: &Alert| alert.detector != "off-hours";
        let alerts: Vec<_> = alerts.into_iter().filter(strange).collect();
        assert!(alerts.is_empty(), "{seed}: {alerts:#?}");
        unknown += trading(&calendars(&[]), seed).len();
    }
    assert!(
        unknown > 5,
        "{unknown} alerts where nobody knows of the holidays"
    );
}

/// Calls 60 times an hour for eight weeks and then 200 times, while nobody looks at volume.
fn unwatched(growing: bool) -> Vec<Alert> {
    let mut configs = Configs::default();
    configs.api_volume.mode = Mode::Off;
    configs.drift.mode = Mode::Off;
    let decision = Decision::new(Settings {
        detectors: configs,
        ..Settings::default()
    });
    let mut watch = Watch {
        engine: Engine::new(0, Arc::new(decision)),
        alerts: Vec::new(),
    };
    for hour in 0..24 * 7 * 16 {
        let calls = if growing && hour >= 24 * 7 * 8 {
            200
        } else {
            60
        };
        for n in 0..calls {
            let within = 3600.0 * f64::from(n) / f64::from(calls);
            watch.call("grower", f64::from(hour) * 3600.0 + within);
        }
    }
    watch.alerts
}

#[test]
fn a_level_that_nobody_alerted_of_is_said_aloud_once_it_is_normal() {
    let said = |alerts: &[Alert]| {
        let said = alerts.iter().filter(|alert| alert.detector == "baseline");
        said.cloned().collect::<Vec<_>>()
    };
    let alerts = said(&unwatched(true));
    assert_eq!(alerts.len(), 1, "{alerts:#?}");
    assert_eq!(alerts[0].severity, Severity::Info);
    let evidence = &alerts[0].finding.evidence;
    assert!(
        evidence.iter().any(|(name, _)| name == "level_accepted"),
        "{evidence:?}"
    );
    assert!(said(&unwatched(false)).is_empty());
}

/// Eight peers whose calls an hour, all of the same kind, are lognormal about twenty with deviation `apart`,
/// and one that begins after four weeks and makes `level` an hour, or a number of the same law, and `burst`
/// within an hour of its second day.
fn newcomer(level: Option<f64>, apart: f64, burst: u32, seed: u64) -> Vec<Alert> {
    let (mut watch, mut dice) = (Watch::new(), Dice(seed));
    let mut draw = || 20.0 * (apart * dice.normal()).exp();
    let mut levels: Vec<f64> = (0..9).map(|_| draw()).collect();
    levels[8] = level.unwrap_or(levels[8]);
    let first = 28 * 86_400;
    let mut next: Vec<f64> = (0..9).map(|_| wait(&mut dice, 20.0)).collect();
    next[8] += f64::from(first);
    let hour = f64::from(first + 36 * 3600);
    let mut extra = 0;
    loop {
        let mut soonest = 0;
        for n in 1..9 {
            if next[n] < next[soonest] {
                soonest = n;
            }
        }
        let at = next[soonest];
        if at > f64::from(first + 3 * 86_400) {
            break;
        }
        while extra < burst && at > hour + f64::from(extra) * 3000.0 / f64::from(burst) {
            watch.call(
                "peer-8",
                hour + f64::from(extra) * 3000.0 / f64::from(burst),
            );
            extra += 1;
        }
        watch.call(&format!("peer-{soonest}"), at);
        next[soonest] += wait(&mut dice, levels[soonest]);
    }
    watch.alerts.retain(|alert| alert.identity == "peer-8");
    watch.alerts
}

#[test]
fn a_newcomer_is_held_against_those_who_are_like_it() {
    for seed in 1..=5 {
        let alerts = newcomer(Some(20.0), 0.3, 1000, seed);
        let judged = |alert: &&Alert| {
            let mut evidence = alert.finding.evidence.iter();
            alert.detector == "api-volume" && evidence.any(|(name, _)| name == "judged_by")
        };
        let found = alerts.iter().find(judged);
        let found = found.unwrap_or_else(|| panic!("{seed}: {alerts:#?}"));
        assert_eq!(found.severity, Severity::Info);
        for (level, burst) in [(20.0, 0), (20.0, 60), (60.0, 0), (5.0, 0)] {
            let alerts = newcomer(Some(level), 0.3, burst, seed);
            assert!(alerts.is_empty(), "{seed}: {level}, {burst}: {alerts:#?}");
        }
    }
}

#[test]
fn newcomers_that_differ_as_their_peers_do_are_seldom_found() {
    let found = (1..=60).filter(|seed| !newcomer(None, 1.0, 0, 1000 + seed).is_empty());
    let found = found.count();
    assert!(
        found <= 2,
        "{found} of 60 newcomers in their first three days"
    );
}

#[test]
fn sparse_work_in_office_hours_has_no_schedule_to_miss() {
    for per_hour in [1.0, 2.0, 4.0, 8.0] {
        let mut alerts = Vec::new();
        for seed in 1..=20 {
            let (mut watch, mut dice) = (Watch::new(), Dice(seed));
            for day in (0..150).filter(|day| day % 7 < 5) {
                let start = f64::from(day) * 86_400.0 + 8.0 * 3600.0;
                let mut at = start + wait(&mut dice, per_hour);
                while at < start + 10.0 * 3600.0 {
                    watch.call("clerk", at);
                    at += wait(&mut dice, per_hour);
                }
            }
            let ts = START.plus(Span::DAY.times(150));
            let mut raised = watch.alerts;
            watch.engine.handle(&Input::Heartbeat { ts }, &mut raised);
            raised.retain(|alert| alert.detector == "silence" && alert.revision == 1);
            alerts.extend(raised);
        }
        let medium = |alert: &Alert| alert.severity >= Severity::Medium;
        // Twenty identities for 122 days each after four weeks: 6.7 years.
        assert!(alerts.len() <= 6, "{per_hour} an hour: {alerts:#?}");
        assert!(
            !alerts.iter().any(medium),
            "{per_hour} an hour: {alerts:#?}"
        );
    }
}
