//! What every detector must keep, without asking for it.

#![expect(clippy::unwrap_used, reason = "the settings are our own")]

mod scenario;

use std::sync::Arc;

use nhiwatch_detectors::kernel::alert::Alert;
use nhiwatch_detectors::kernel::detector::{Card, Mode};
use nhiwatch_detectors::kernel::engine::{Decision, Engine, Settings};
use nhiwatch_detectors::kernel::event::Event;
use nhiwatch_detectors::kernel::input::Input;
use nhiwatch_detectors::kernel::limit::Limit;
use nhiwatch_detectors::kernel::time::{Span, Timestamp};
use nhiwatch_detectors::{CARDS, Configs};
use scenario::{World, run, scenarios};

const START: Timestamp = Timestamp::from_seconds(1_767_571_200);

fn configs(mode: Mode) -> Configs {
    let mut tree = serde_json::to_value(Configs::default()).unwrap();
    for card in CARDS {
        tree[card.name]["mode"] = mode.word().into();
    }
    serde_json::from_value(tree).unwrap()
}

fn engine(mode: Mode) -> Engine {
    let decision = Decision::new(Settings {
        detectors: configs(mode),
        ..Settings::default()
    });
    Engine::new(0, Arc::new(decision))
}

fn act(engine: &mut Engine, ts: Timestamp, action: &str, session: &str) -> Vec<Alert> {
    let mut alerts = Vec::new();
    let event = Event {
        ts,
        identity: "svc",
        action,
        session: Some(session),
        ..Event::default()
    };
    engine.handle(&Input::Event(event), &mut alerts);
    alerts
}

/// A rigid identity: four steps every ten minutes in office hours, for `days` days.
fn habit(engine: &mut Engine, days: i64) -> Vec<Alert> {
    let mut alerts = Vec::new();
    for slot in 0..days * 144 {
        let at = START.plus(Span::MINUTE.times(10 * slot));
        let (day, hour) = ((slot / 144) % 7, (slot % 144) / 6);
        if day < 5 && (9..17).contains(&hour) {
            for (n, action) in (0..).zip(["read", "find", "draft", "send"]) {
                let at = at.plus(Span::from_seconds(n * 5));
                alerts.extend(act(engine, at, action, &slot.to_string()));
            }
        }
    }
    alerts
}

/// What must make a detector alert, taken from its page: the first scenario in which it does, up to
/// that line; and that line again, a day later.
struct Attack {
    story: String,
    again: String,
}

fn attack(card: &Card) -> Attack {
    let alerts = |line: &str| {
        let said = line.split_once('#').map_or("", |(_, said)| said.trim());
        let mut words = said.split_whitespace();
        words.next() == Some("alert:") && words.next() == Some(card.name)
    };
    let scenarios = scenarios(card.page);
    let mut stories = scenarios.iter().filter_map(|scenario| {
        // Without what it expects: that is for `pages.rs`, where detectors have their default mode.
        let line = |line: &str| line.split('#').next().unwrap_or_default().to_owned();
        let last = scenario.lines().position(alerts)?;
        Some(
            scenario
                .lines()
                .take(last + 1)
                .map(line)
                .collect::<Vec<_>>(),
        )
    });
    let story = stories
        .next()
        .unwrap_or_else(|| panic!("the page of {} shows no alert", card.name));
    let mut words: Vec<&str> = story.last().unwrap().split_whitespace().collect();
    let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun", "mon"];
    let today = days.iter().position(|day| *day == words[3]).unwrap();
    words[3] = days[today + 1];
    Attack {
        again: words.join(" "),
        story: story.join("\n"),
    }
}

#[test]
fn no_detector_alerts_while_it_learns_or_on_a_habit() {
    let alerts = habit(&mut engine(Mode::Alert), 42);
    assert!(alerts.is_empty(), "{alerts:?}");
}

#[test]
fn every_detector_sees_the_attack_on_its_page_and_says_what_it_expected() {
    for card in CARDS {
        let mut world = World::new(&configs(Mode::Alert));
        let alerts = run(&mut world, &attack(card).story).unwrap();
        let alert = alerts.iter().find(|alert| alert.detector == card.name);
        let alert = alert.unwrap_or_else(|| panic!("{} saw nothing", card.name));
        let finding = &alert.finding;
        let texts = [
            &finding.summary,
            &finding.expected,
            &finding.observed,
            &finding.clears,
        ];
        assert!(texts.iter().all(|text| !text.is_empty()), "{alert:?}");
        assert!(
            finding
                .p_value
                .is_none_or(|p| p.get() > 0.0 && p.get() <= 1.0)
        );
        assert!(
            finding.summary.len() < 400 && finding.observed.len() < 4000,
            "{alert:?}"
        );
    }
}

#[test]
fn what_an_alert_rests_on_is_explained() {
    let page = include_str!("../../docs/alerts.md");
    let mut names = 0;
    for card in CARDS {
        let mut world = World::new(&configs(Mode::Alert));
        for alert in run(&mut world, &attack(card).story).unwrap() {
            for (name, _) in &alert.finding.evidence {
                let summand = name.contains(": ");
                assert!(summand || page.contains(&format!("`{name}`")), "{name}");
                names += 1;
            }
        }
    }
    assert!(names > 20, "{names}");
}

#[test]
fn a_detector_in_shadow_finds_the_same_first_and_changes_nothing() {
    for (index, card) in CARDS.iter().enumerate() {
        let [shadow, off] = [Mode::Shadow, Mode::Off].map(|mode| {
            let mut world = World::new(&configs(mode));
            let alerts = run(&mut world, &attack(card).story).unwrap();
            assert!(alerts.is_empty(), "{alerts:?}");
            world.engine.stats().detectors
        });
        assert!(
            shadow[index].findings > 0,
            "{} found nothing in shadow",
            card.name
        );
        assert!(off.iter().all(|stats| stats.evaluations == 0));
    }
}

#[test]
fn what_alerted_teaches_nothing_for_a_week() {
    for card in CARDS {
        let mut world = World::new(&configs(Mode::Alert));
        let attack = attack(card);
        run(&mut world, &attack.story).unwrap();
        let alerts = run(&mut world, &attack.again).unwrap();
        // It may go on with the incident of the day before; and where several detectors see it, it may be
        // their sum that is told, or join what another has opened.
        let part = format!("{}: ", card.name);
        let names = |alert: &Alert| {
            let mut facts = alert.finding.evidence.iter();
            facts.any(|(name, fact)| name.starts_with(&part) || fact.contains(&part))
        };
        let mut told = alerts.iter();
        assert!(
            told.any(|alert| alert.detector == card.name || names(alert)),
            "{}: {alerts:?}",
            card.name
        );
    }
}

#[test]
fn a_new_habit_that_stays_becomes_normal() {
    let mut engine = engine(Mode::Alert);
    habit(&mut engine, 42);
    let mut opened = Vec::new();
    for day in 42..140 {
        let at = START.plus(Span::DAY.times(day)).plus(Span::HOUR.times(20));
        let alerts = act(&mut engine, at, "report", &format!("r{day}"));
        opened.push(alerts.iter().filter(|alert| alert.revision == 1).count());
    }
    assert!(opened[0] > 0);
    assert_eq!(opened[70..].iter().sum::<usize>(), 0, "{opened:?}");
}

#[test]
fn state_stays_bounded_under_hostile_events() {
    let mut engine = engine(Mode::Alert);
    let mut sizes = Vec::new();
    for n in 0..60_000_i64 {
        let action = format!("action-{}", n * 7919 % 30_011);
        act(
            &mut engine,
            START.plus(Span::from_seconds(n * 97)),
            &action,
            &format!("s{}", n % 37),
        );
        if n % 20_000 == 19_999 {
            let mut bytes = 0;
            let mut whole = self::engine(Mode::Alert);
            engine.flush(&mut |key: &[u8], payload: Option<&[u8]>| {
                if key.first() == Some(&b'b') || key.first() == Some(&b'h') {
                    bytes += payload.map_or(0, <[u8]>::len);
                }
                if let Some(payload) = payload {
                    whole.restore(key, payload).unwrap();
                }
            });
            sizes.push(bytes);
        }
    }
    assert!(sizes.iter().all(|bytes| *bytes < 64 * 1024), "{sizes:?}");
    // What is forgotten is not judged, and both is said.
    assert_eq!(engine.stats().limits[Limit::Memory as usize], 1);
    let learning = |engine: &Engine| -> u64 {
        let stats = engine.stats().detectors;
        let chains = CARDS.iter().position(|card| card.name == "tool-chain");
        stats[chains.unwrap()].learning
    };
    let before = learning(&engine);
    let now = START.plus(Span::from_seconds(60_000 * 97));
    act(&mut engine, now, "action-never-used", "last");
    assert_eq!(learning(&engine), before + 1);
}
