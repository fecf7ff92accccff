//! Records that own their text, a hostile log of them, and a store for state.

use std::collections::BTreeMap;
use std::sync::Arc;

use nhiwatch_detectors::kernel::alert::{Alert, IncidentId};
use nhiwatch_detectors::kernel::engine::{Decision, Engine, Limits, Settings};
use nhiwatch_detectors::kernel::event::{Class, Event};
use nhiwatch_detectors::kernel::input::{Fate, Input, Ruling};
use nhiwatch_detectors::kernel::inventory::Declared;
use nhiwatch_detectors::kernel::time::{Span, Timestamp};

use crate::dice::Dice;

pub(crate) const START: Timestamp = Timestamp::from_seconds(1_767_571_200);

/// A record that owns its text.
#[derive(Clone, Debug)]
pub(crate) enum Record {
    Act {
        ts: Timestamp,
        received: Option<Timestamp>,
        uid: String,
        identity: String,
        action: String,
        session: String,
    },
    Heartbeat(Timestamp),
    Inventory(String, Option<Declared>),
    Feedback(String, IncidentId, Ruling),
}

impl Record {
    pub(crate) fn input(&self) -> Input<'_> {
        match self {
            Self::Act {
                ts,
                received,
                uid,
                identity,
                action,
                session,
            } => Input::Event(Event {
                ts: *ts,
                received: *received,
                uid: Some(uid),
                identity,
                action,
                class: if action.starts_with('o') {
                    Class::Order
                } else {
                    Class::Read
                },
                session: Some(session),
                venue: action.starts_with('o').then_some("XSWX"),
                ..Event::default()
            }),
            Self::Heartbeat(ts) => Input::Heartbeat { ts: *ts },
            Self::Inventory(identity, declared) => Input::Inventory {
                identity,
                declared: declared.clone(),
            },
            Self::Feedback(identity, incident, ruling) => Input::Feedback {
                identity,
                incident: *incident,
                ruling: *ruling,
            },
        }
    }
}

/// What identity `who` is called: three issuers have them.
pub(crate) fn name(who: u64) -> String {
    format!("team-{}/svc-{who}", who % 3)
}

/// Six weeks of eight identities with habits, disorder, duplicates, stragglers, future stamps,
/// heartbeats, inventory news, bursts, new tools, and others that are seen for a day at most.
pub(crate) fn log(seed: u64) -> Vec<Record> {
    let mut dice = Dice(seed);
    let mut records = Vec::new();
    let mut now = START;
    while now < START.plus(Span::WEEK.times(6)) {
        now = now.plus(Span::from_seconds(dice.roll(600) as i64));
        let who = dice.roll(8);
        let hour = seconds_of_day(now) / 3600;
        if who < 4 && !(8..18).contains(&hour) && dice.roll(400) > 0 {
            continue;
        }
        let mut identity = name(who);
        if dice.roll(40) == 0 {
            identity = format!("mint-{}/job-{}-{who}", dice.roll(4), now.day());
        }
        let mut act = |ts: Timestamp, uid: u64, action: u64| {
            records.push(Record::Act {
                ts,
                received: uid.is_multiple_of(2).then_some(now),
                uid: uid.to_string(),
                identity: identity.clone(),
                action: format!("{}{action}", if who == 1 { "o" } else { "a" }),
                session: format!("{}", now.hour() / 2),
            });
        };
        let uid = now.micros() as u64;
        match dice.roll(2000) {
            0 => (0..400).for_each(|n| act(now, uid + n, 1)),
            1 => act(now.plus(Span::DAY.times(9000)), uid, 1),
            2 => act(now.minus(Span::HOUR), uid, 2),
            3 => act(now, uid, 50 + dice.roll(30)),
            4..40 => act(now.minus(Span::from_seconds(100)), uid, 3),
            40..60 => {
                act(now, uid, 2);
                act(now, uid, 2);
            }
            60..70 => records.push(Record::Heartbeat(now)),
            70 => {
                let zone = if dice.roll(2) == 0 {
                    None
                } else {
                    Some(chrono_tz::Tz::Europe__Zurich)
                };
                let declared = Declared {
                    timezone: zone,
                    group: (dice.roll(3) > 0).then(|| format!("group-{}", dice.roll(2))),
                    ..Declared::default()
                };
                records.push(Record::Inventory(identity, Some(declared)));
                // Others are declared, or not any more, that never do anything.
                let declared = (dice.roll(2) == 0).then(Declared::default);
                records.push(Record::Inventory(format!("idle-{}", who % 2), declared));
            }
            _ => act(now, uid, (uid / 7) % (3 + who)),
        }
    }
    records
}

/// Seconds since midnight.
const fn seconds_of_day(ts: Timestamp) -> i64 {
    ts.since(START).seconds().rem_euclid(86_400)
}

pub(crate) fn engine(limits: Limits) -> Engine {
    let decision = Decision::new(Settings {
        limits,
        ..Settings::default()
    });
    Engine::new(3, Arc::new(decision))
}

/// State records by key, as compaction leaves them, and all that were ever written.
#[derive(Default)]
pub(crate) struct Store(
    pub(crate) BTreeMap<Vec<u8>, Vec<u8>>,
    Vec<(Vec<u8>, Option<Vec<u8>>)>,
);

impl Store {
    pub(crate) fn save(&mut self, engine: &mut Engine) {
        engine.flush(&mut |key: &[u8], payload: Option<&[u8]>| {
            match payload {
                Some(payload) => self.0.insert(key.to_vec(), payload.to_vec()),
                None => self.0.remove(key),
            };
            self.1.push((key.to_vec(), payload.map(<[u8]>::to_vec)));
        });
    }

    /// What comes of the records once they are compacted.
    pub(crate) fn load(&self, limits: Limits) -> Engine {
        let mut engine = engine(limits);
        for (key, payload) in self.0.iter().rev() {
            engine.restore(key, payload).unwrap();
        }
        engine.restored().unwrap();
        engine
    }

    /// The same, where none was compacted yet.
    pub(crate) fn load_whole(&self, limits: Limits) -> Engine {
        let mut engine = engine(limits);
        for (key, payload) in &self.1 {
            match payload {
                Some(payload) => engine.restore(key, payload).unwrap(),
                None => engine.delete(key).unwrap(),
            }
        }
        engine.restored().unwrap();
        engine
    }
}

pub(crate) fn run(
    records: &[Record],
    limits: &Limits,
    restarts: &[usize],
) -> (Vec<Alert>, Engine, Vec<Fate>) {
    let (mut engine, mut store) = (engine(limits.clone()), Store::default());
    let (mut alerts, mut fates) = (Vec::new(), Vec::new());
    for (at, record) in records.iter().enumerate() {
        if restarts.contains(&at) {
            store.save(&mut engine);
            engine = store.load(limits.clone());
        } else if at % 97 == 0 {
            store.save(&mut engine);
        }
        fates.push(engine.handle(&record.input(), &mut alerts));
    }
    (alerts, engine, fates)
}
