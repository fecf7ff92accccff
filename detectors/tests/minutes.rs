//! Minutes that are judged: how often they are found where nothing is wrong, and what is found in them.

#[path = "../dice.rs"]
mod dice;

use std::sync::Arc;

use dice::Dice;
use nhiwatch_detectors::kernel::budget::begins;
use nhiwatch_detectors::kernel::engine::{Engine, Sighting};
use nhiwatch_detectors::kernel::event::Event;
use nhiwatch_detectors::kernel::input::Input;
use nhiwatch_detectors::kernel::time::{Span, Timestamp};

/// Monday, 2026-01-05T00:00:00Z.
const START: Timestamp = Timestamp::from_seconds(1_767_571_200);
const LEARNED: i64 = 28;
const DAYS: i64 = 70;

/// Seconds within one hour at which calls come.
type Family = fn(&mut Dice) -> Vec<f64>;

fn smooth(dice: &mut Dice) -> Vec<f64> {
    let (mut calls, mut at) = (Vec::new(), dice.exponential(30.0));
    while at < 3600.0 {
        calls.push(at);
        at += dice.exponential(30.0);
    }
    calls
}

/// Nine in ten within two minutes of the stroke of the hour.
fn front(dice: &mut Dice) -> Vec<f64> {
    let mut calls: Vec<f64> = (0..108).map(|_| 120.0 * dice.uniform()).collect();
    calls.extend((0..12).map(|_| 3600.0 * dice.uniform()));
    calls.sort_by(f64::total_cmp);
    calls
}

/// Some twenty batches of five calls or so.
fn batches(dice: &mut Dice) -> Vec<f64> {
    let (mut calls, mut at) = (Vec::new(), dice.exponential(180.0));
    while at < 3590.0 {
        let mut n = 0.0;
        while n == 0.0 || dice.uniform() < 0.8 {
            calls.push(at + n / 10.0);
            n += 1.0;
        }
        at += dice.exponential(180.0) + n / 10.0;
    }
    calls.retain(|at| *at < 3600.0);
    calls
}

struct Watch(Engine);

impl Watch {
    fn new() -> Self {
        let mut engine = Engine::new(0, Arc::default());
        engine.keep_sightings();
        Self(engine)
    }

    fn call(&mut self, seconds: f64) {
        let event = Event {
            ts: START.plus(Span::from_micros((seconds * 1e6) as i64)),
            identity: "service",
            action: "work",
            ..Event::default()
        };
        self.0.handle(&Input::Event(event), &mut Vec::new());
    }

    /// Lets `family` work for so many days, and gives the minutes that were found after four weeks.
    fn live(&mut self, family: Family, dice: &mut Dice, days: i64) -> Vec<Sighting> {
        for hour in 0..days * 24 {
            for at in family(dice) {
                self.call(hour as f64 * 3600.0 + at);
            }
        }
        let learned = START.plus(Span::DAY.times(LEARNED));
        let mut found = self.minutes();
        found.retain(|sighting| sighting.ts >= learned);
        found
    }

    fn minutes(&mut self) -> Vec<Sighting> {
        let mut found = self.0.take_sightings();
        found.retain(|it| it.finding.summary.contains("calls in a minute"));
        found
    }
}

#[test]
fn minutes_are_found_about_as_often_as_nominal_where_nothing_is_wrong() {
    let families: [(&str, Family); 3] =
        [("smooth", smooth), ("front", front), ("batches", batches)];
    for (name, family) in families {
        let (identities, mut found) = (12, 0);
        for seed in 1..=identities {
            let (mut watch, mut dice) = (Watch::new(), Dice(seed));
            found += watch.live(family, &mut dice, DAYS).len();
        }
        let minutes = identities as f64 * ((DAYS - LEARNED) * 1440) as f64;
        let nominal = begins(1440.0) * minutes;
        let most = (3.0 * nominal) as usize;
        assert!(found <= most, "{name}: {found} found, {nominal:.1} nominal");
    }
}

#[test]
fn a_burst_is_found_in_a_minute_in_which_little_comes_also_of_who_works_at_the_stroke() {
    for (family, calls) in [(smooth as Family, 30), (front, 60)] {
        for seed in 1..=10 {
            let (mut watch, mut dice) = (Watch::new(), Dice(seed));
            watch.live(family, &mut dice, LEARNED);
            for n in 0..calls {
                let within = 55.0 * f64::from(n) / f64::from(calls);
                watch.call((LEARNED * 86_400 + 30 * 60) as f64 + within);
            }
            let found = watch.minutes();
            assert!(!found.is_empty(), "{seed}: {calls} calls in a minute");
        }
    }
}
