//! How much is stored of one identity, part by part, as `docs/performance.md` says.

#![expect(clippy::unwrap_used, reason = "a document without its table must fail")]

#[path = "../dice.rs"]
mod dice;

use std::collections::BTreeMap;
use std::sync::Arc;

use dice::Dice;
use nhiwatch_detectors::kernel::engine::Engine;
use nhiwatch_detectors::kernel::event::{Class, Event, Outcome};
use nhiwatch_detectors::kernel::input::Input;
use nhiwatch_detectors::kernel::time::{Span, Timestamp};

const START: Timestamp = Timestamp::from_seconds(1_767_571_200);
const MINUTES: i64 = 10 * 7 * 1440;
const ACTIONS: [&str; 40] = [
    "a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9", "b0", "b1", "b2", "b3", "b4", "b5",
    "b6", "b7", "b8", "b9", "c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9", "d0", "d1",
    "d2", "d3", "d4", "d5", "d6", "d7", "d8", "d9",
];

/// Bytes stored of the identity after ten weeks, by part.
fn stored(identity: &str, mut act: impl FnMut(i64, &mut dyn FnMut(Event<'_>))) -> Parts {
    let (mut engine, mut alerts) = (Engine::new(0, Arc::default()), Vec::new());
    for minute in 0..MINUTES {
        act(minute, &mut |event: Event<'_>| {
            engine.handle(&Input::Event(event), &mut alerts);
        });
    }
    let mut parts: Parts = engine.sizes(identity).unwrap().into_iter().collect();
    let total = parts.values().sum();
    let mut written = 0;
    engine.flush(|key, payload| {
        if key.starts_with(b"h") || key.starts_with(b"b") {
            written += payload.map_or(0, <[u8]>::len);
        }
    });
    // Of two records the layout's number and the checksum; whether it has failed, and how many states
    // there are.
    assert!((total..total + 16).contains(&written), "{total} {written}");
    parts.insert("all".to_owned(), total);
    parts
}

type Parts = BTreeMap<String, usize>;

/// Some ten calls an hour in office hours, of two kinds.
fn small() -> Parts {
    let mut dice = Dice(1);
    stored("small", |minute, act| {
        let (day, hour) = (minute / 1440 % 7, minute / 60 % 24);
        if day < 5 && (8..18).contains(&hour) && dice.roll(6) == 0 {
            act(Event {
                ts: START.plus(Span::MINUTE.times(minute)),
                identity: "small",
                action: ACTIONS[dice.roll(2) as usize],
                ..Event::default()
            });
        }
    })
}

/// Some ninety calls an hour round the clock: orders, bytes, failures, resources; each session makes six
/// steps that `next` tells.
fn busy(identity: &'static str, mut next: impl FnMut(u64, i64) -> u64) -> Parts {
    let mut dice = Dice(2);
    let (mut action, mut session) = (0, String::new());
    stored(identity, |minute, act| {
        for n in 0..dice.roll(4) {
            let step = minute % 6;
            if step == 0 && n == 0 {
                session = minute.to_string();
            }
            action = next(action, step);
            let resource = format!("r{}", dice.roll(97));
            act(Event {
                ts: START.plus(Span::MINUTE.times(minute)),
                identity,
                action: ACTIONS[action as usize],
                class: if action.is_multiple_of(3) {
                    Class::Order
                } else {
                    Class::Read
                },
                venue: Some("XNYS"),
                session: Some(&session),
                resource: Some(&resource),
                bytes: Some(1000.0 + dice.roll(37) as f64 * 91.0),
                amount: Some(10.0 + dice.roll(31) as f64),
                outcome: if dice.roll(200) == 0 {
                    Outcome::Fail
                } else {
                    Outcome::Ok
                },
                ..Event::default()
            });
        }
    })
}

#[test]
fn what_is_stored_of_an_identity_is_what_the_document_says() {
    let mut dice = Dice(3);
    let identities = [
        small(),
        // Four workflows of twelve calls.
        busy("full", |action, step| {
            if step == 0 {
                3 * dice.roll(4)
            } else {
                (action + 1) % 12
            }
        }),
        // Any of forty calls after any other.
        busy("explorer", |action, step| {
            (action * 7 + 11 * step as u64 + action % 3) % 40
        }),
    ];
    let document = include_str!("../../docs/performance.md");
    let table = document.split("| part | ").nth(1).unwrap();
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let mut documented: Vec<Parts> = vec![Parts::new(); identities.len()];
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        for (parts, bytes) in documented.iter_mut().zip(&cells[1..]) {
            parts.insert(cells[0].to_owned(), bytes.parse().unwrap());
        }
    }
    for (parts, said) in identities.iter().zip(&documented) {
        let close = |part: &String| {
            let (is, said) = (parts[part], *said.get(part).unwrap_or(&0));
            is.abs_diff(said) <= 10 + said / 20
        };
        let table: Vec<String> = (parts.keys())
            .map(|part| {
                let bytes = identities.iter().map(|parts| parts[part].to_string());
                format!("| {part} | {} |", bytes.collect::<Vec<_>>().join(" | "))
            })
            .collect();
        assert!(parts.keys().all(close), "write this:\n{}", table.join("\n"));
    }
    assert!(documented[0]["all"] <= 2000 && documented[1]["all"] <= 4000);
}
