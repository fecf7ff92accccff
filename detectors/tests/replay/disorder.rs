//! Events that come in another order, but early enough to count, make the same incidents; and so does
//! a log with heartbeats between them.

use std::collections::BTreeSet;
use std::sync::Arc;

use nhiwatch_detectors::Configs;
use nhiwatch_detectors::kernel::alert::Alert;
use nhiwatch_detectors::kernel::detector::{Mode, Severity};
use nhiwatch_detectors::kernel::engine::{Decision, Engine, Limits, Settings};
use nhiwatch_detectors::kernel::input::{Fate, Input};
use nhiwatch_detectors::kernel::time::{Span, Timestamp};

use crate::dice::Dice;
use crate::records::{START, Store, engine};
use crate::shop::{Act, WEEKS, acts, shuffled};

/// The furthest behind a newer event that one still counts: two minutes to the watermark, ten more of
/// lateness.
const ALLOWED: Span = Span::MINUTE.times(12);

/// Takes all in, and lets time pass by a day; `between` may tell the time before each act.
fn watch(acts: &[Act], mut between: impl FnMut(usize) -> Vec<Timestamp>) -> (Vec<Alert>, Engine) {
    let (mut engine, mut alerts) = (engine(Limits::default()), Vec::new());
    engine.handle(&Input::Heartbeat { ts: START }, &mut alerts);
    for (at, act) in acts.iter().enumerate() {
        for ts in between(at) {
            engine.handle(&Input::Heartbeat { ts }, &mut alerts);
        }
        assert_eq!(engine.handle(&act.input(), &mut alerts), Fate::Judged);
    }
    let end = START.plus(Span::WEEK.times(WEEKS + 1)).plus(Span::DAY);
    engine.handle(&Input::Heartbeat { ts: end }, &mut alerts);
    (alerts, engine)
}

/// What was told: the id of each incident that was `medium` or more, and on which days what was found of
/// whom, whether by itself or as part of a case that was open.
///
/// Without tool-chain, which tells of the ways that sessions go at another time where events come in another order: see
/// `chains.rs`.
fn told(alerts: &[Alert]) -> BTreeSet<(String, String)> {
    let mut told = BTreeSet::new();
    for alert in alerts.iter().filter(|it| it.detector != "tool-chain") {
        if alert.severity >= Severity::Medium {
            told.insert((alert.identity.clone(), alert.id.to_string()));
        }
        let mut found = vec![format!("{}: {}", alert.detector, alert.finding.subject)];
        for (name, joined) in &alert.finding.evidence {
            if name == "joined_by" {
                found.extend(joined.split("; ").map(str::to_owned));
            }
        }
        let day = &alert.ts.rfc3339()[..10];
        told.extend(
            found
                .iter()
                .map(|it| (alert.identity.clone(), format!("{day} {it}"))),
        );
    }
    told
}

#[test]
fn events_that_still_count_make_the_same_incidents_in_any_order() {
    let (mut made, mut differ) = (0, BTreeSet::new());
    for seed in 1..=12 {
        let acts = acts(seed);
        let (wanted, _) = watch(&acts, |_| Vec::new());
        let detectors: BTreeSet<_> = wanted.iter().map(|alert| alert.detector).collect();
        assert!(detectors.len() >= 5, "only {detectors:?}");
        let wanted = told(&wanted);
        made += wanted.len();
        let in_order = |most| {
            let (alerts, _) = watch(&shuffled(&acts, most, seed + 10), |_| Vec::new());
            told(&alerts)
        };
        assert_eq!(in_order(Span::MINUTE.times(2)), wanted, "seed {seed}");
        let late = in_order(ALLOWED);
        differ.extend(
            wanted
                .symmetric_difference(&late)
                .cloned()
                .map(|it| (seed, it)),
        );
    }
    assert!(
        made > 100 && differ.len() <= made / 50,
        "{differ:?} of {made}"
    );
}

#[test]
fn heartbeats_that_say_no_more_than_the_next_event_change_nothing() {
    let acts = acts(4);
    let (alerts, engine) = watch(&acts, |_| Vec::new());
    assert!(alerts.len() >= 5);
    let mut dice = Dice(9);
    let beats = |at: usize| {
        let next = acts[at].ts;
        let before = at.checked_sub(1).map_or(START, |at| acts[at].ts);
        let gap = next.since(before).micros();
        let mut beats: Vec<Timestamp> = (0..dice.roll(3))
            .map(|_| before.plus(Span::from_micros(dice.roll(gap.max(1) as u64) as i64)))
            .collect();
        beats.sort();
        beats
    };
    let (again, beaten) = watch(&acts, beats);
    assert_eq!(again, alerts);
    assert_eq!(beaten.digest(), engine.digest());
}

#[test]
fn events_that_still_count_fill_the_same_windows_in_any_order() {
    for seed in 1..=3 {
        let acts = acts(seed);
        let wanted = windows(&acts);
        assert_eq!(wanted.len(), 6);
        for most in [Span::MINUTE.times(2), ALLOWED] {
            let shuffled = windows(&shuffled(&acts, most, seed + 20));
            for (one, other) in wanted.iter().zip(&shuffled) {
                assert_eq!(one, other, "seed {seed}, {most:?}");
            }
        }
    }
}

/// What is learned of every identity in all, with no detector on: what each hour, day and week of it
/// brought.
fn windows(acts: &[Act]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut engine = silent();
    let mut alerts = Vec::new();
    engine.handle(&Input::Heartbeat { ts: START }, &mut alerts);
    for act in acts {
        assert_eq!(engine.handle(&act.input(), &mut alerts), Fate::Judged);
    }
    let end = START.plus(Span::WEEK.times(WEEKS + 1)).plus(Span::DAY);
    engine.handle(&Input::Heartbeat { ts: end }, &mut alerts);
    let mut store = Store::default();
    store.save(&mut engine);
    let learned = store.0.into_iter().filter(|(key, _)| key.starts_with(b"b"));
    learned.collect()
}

/// An engine of which every detector is off.
fn silent() -> Engine {
    let mut configs = Configs::default();
    configs.api_volume.mode = Mode::Off;
    configs.drift.mode = Mode::Off;
    configs.egress_volume.mode = Mode::Off;
    configs.error_burst.mode = Mode::Off;
    configs.off_hours.mode = Mode::Off;
    configs.silence.mode = Mode::Off;
    configs.tool_chain.mode = Mode::Off;
    let decision = Decision::new(Settings {
        detectors: configs,
        ..Settings::default()
    });
    Engine::new(0, Arc::new(decision))
}
