//! Habits that must not alert: what a month's end brings, and work round the clock.

use std::sync::Arc;

use nhiwatch_detectors::Configs;
use nhiwatch_detectors::kernel::budget::Budget;
use nhiwatch_detectors::kernel::calendar::Calendars;
use nhiwatch_detectors::kernel::detector::{Alert, Severity};
use nhiwatch_detectors::kernel::engine::{Decision, Engine, Limits};
use nhiwatch_detectors::kernel::event::Event;
use nhiwatch_detectors::kernel::input::Input;
use nhiwatch_detectors::kernel::season::Season;
use nhiwatch_detectors::kernel::time::{Span, Timestamp};

/// Monday 2026-01-05.
const START: Timestamp = Timestamp::from_seconds(1_767_571_200);

struct Watch {
    engine: Engine,
    alerts: Vec<Alert>,
    dice: u64,
}

impl Watch {
    fn new(seed: u64) -> Self {
        let (configs, limits) = (Configs::default(), Limits::default());
        let decision = Decision::new(
            &configs,
            &Budget::default(),
            &limits,
            &Calendars::default(),
            "",
        );
        Self {
            engine: Engine::new(0, Arc::new(decision)),
            alerts: Vec::new(),
            dice: seed,
        }
    }

    fn act(&mut self, identity: &str, ts: Timestamp) {
        let event = Event {
            ts,
            identity,
            action: "call",
            ..Event::default()
        };
        self.engine.handle(&Input::Event(event), &mut self.alerts);
    }

    /// A number in [0, 1).
    fn roll(&mut self) -> f64 {
        self.dice = self
            .dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.dice >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Days from the start on which an incident of `identity` opened, of at least that severity.
    fn opened(&self, identity: &str, severity: Severity) -> Vec<i64> {
        let alerts = self.alerts.iter();
        let mut days: Vec<i64> = alerts
            .filter(|alert| alert.identity == identity && alert.severity >= severity)
            .map(|alert| alert.opened.day() - START.day())
            .collect();
        days.dedup();
        days
    }
}

#[test]
fn what_every_months_end_brings_is_quiet_from_the_third_on() {
    for seed in 1..=5 {
        let mut watch = Watch::new(seed);
        let mut ends = Vec::new();
        for day in 0..150 {
            let midnight = START.plus(Span::DAY.times(day));
            let last = Season::of(midnight.day()) == Some(Season::Last);
            if last {
                ends.push(day);
                // A job that runs on no other day.
                for n in 0..60 {
                    let at = midnight.plus(Span::HOUR.times(2));
                    watch.act("closing", at.plus(Span::from_seconds(n * 40)));
                }
            }
            if day % 7 >= 5 {
                continue;
            }
            // Office hours, two and a half times as busy on that day.
            let mean = if last { 240.0 } else { 600.0 };
            let mut second = 8.0 * 3600.0;
            while second < 18.0 * 3600.0 {
                let at = midnight.plus(Span::from_seconds(second as i64));
                watch.act("payments", at);
                second -= mean * libm::log(1.0 - watch.roll());
            }
        }
        assert_eq!(ends.len(), 5);
        for identity in ["closing", "payments"] {
            let opened = watch.opened(identity, Severity::Medium);
            let late: Vec<_> = opened.iter().filter(|day| **day >= ends[2]).collect();
            assert!(
                late.is_empty(),
                "seed {seed}, {identity}: {opened:?} of {ends:?}"
            );
        }
    }
}

#[test]
fn who_works_round_the_clock_is_never_found_for_the_hour_alone() {
    for seed in 1..=5 {
        let mut watch = Watch::new(seed);
        let mut ts = START;
        // One calls like a metronome, one at random, one hardly at all.
        let mut random = START;
        let mut sparse = START;
        while ts < START.plus(Span::WEEK.times(26)) {
            watch.act("metronome", ts);
            while random < ts {
                watch.act("random", random);
                let gap = -600.0 * libm::log(1.0 - watch.roll());
                random = random.plus(Span::from_seconds(gap as i64));
            }
            while sparse < ts {
                watch.act("sparse", sparse);
                let gap = -6.0 * 3600.0 * libm::log(1.0 - watch.roll());
                sparse = sparse.plus(Span::from_seconds(gap as i64));
            }
            ts = ts.plus(Span::MINUTE.times(10));
        }
        let hours = watch.alerts.iter().filter(|a| a.detector == "off-hours");
        assert_eq!(hours.count(), 0, "seed {seed}");
        let stats = watch.engine.stats().detectors;
        let off_hours = nhiwatch_detectors::CARDS
            .iter()
            .position(|card| card.name == "off-hours");
        assert_eq!(off_hours.map(|at| stats[at].findings), Some(0));
    }
}
