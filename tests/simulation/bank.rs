//! What the simulated service watches: orders while the venue is closed, and records that cannot be read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use nhiwatch::replay::Replay;
use nhiwatch::service::Service;
use nhiwatch::wire::LogLine;
use nhiwatch_detectors::kernel::time::{Span, Timestamp};

use crate::dice::Dice;
use crate::world::Event;

/// Sunday, 2026-01-04T00:00:00Z: no exchange is open on that day.
const START: Timestamp = Timestamp::from_seconds(1_767_484_800);
/// So much faster the bank's clock goes than that of the simulation, so that hours end.
const SPEED: i64 = 400;

/// What time it is in the bank, so long after the beginning.
pub(crate) fn time(at: Duration) -> Timestamp {
    START.plus(Span::from_micros(at.as_micros() as i64 * SPEED))
}

/// Events of so many partitions, some tens each, over half a minute.
pub(crate) fn events(dice: &mut Dice, partitions: usize) -> Vec<Vec<Event>> {
    let partition = |partition: usize| {
        let mut at = Duration::ZERO;
        let count = 10 + dice.roll(30);
        let event = |nth| {
            at += Duration::from_millis(dice.roll(1500));
            event(dice, partition, nth, at)
        };
        (0..count).map(event).collect()
    };
    (0..partitions).map(partition).collect()
}

fn event(dice: &mut Dice, partition: usize, nth: u64, at: Duration) -> Event {
    let identity = format!("algo-{partition}-{}", dice.roll(5));
    let ts = time(at).rfc3339();
    let value = match dice.roll(12) {
        0 => format!("{{\"identity\":\"{identity}\",\"ts\":\"never\",\"action\":\"x\"}}"),
        1..4 => format!(
            "{{\"identity\":\"{identity}\",\"ts\":\"{ts}\",\"action\":\"ping\",\"uid\":\"{partition}-{nth}\"}}"
        ),
        _ => format!(
            "{{\"identity\":\"{identity}\",\"ts\":\"{ts}\",\"action\":\"order.create\",\"class\":\"order\",\
             \"venue\":\"XLON\",\"uid\":\"{partition}-{nth}\"}}"
        ),
    };
    Event {
        at,
        key: identity.into_bytes(),
        value: Some(value.into_bytes()),
    }
}

/// What an undisturbed service makes of `events`; hands on where it cannot read one.
pub(crate) fn replay(
    service: &Service,
    events: &[Vec<Event>],
    mut refused: impl FnMut(i32, i64),
) -> Replay {
    let mut replay = Replay::new(Arc::clone(&service.decision));
    for (partition, events) in (0..).zip(events) {
        for (offset, event) in (0..).zip(events) {
            let line = LogLine {
                partition,
                offset,
                timestamp: Some(time(event.at).micros() / 1000),
                key: Some(event.key.clone()),
                value: event.value.clone(),
                ..LogLine::default()
            };
            if replay.log_line(&line).is_err() {
                refused(partition, offset);
            }
        }
    }
    replay
}

/// What must come of `events`, whatever happens on the way.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Outcome {
    /// How often each alert, by its number and revision, was told.
    pub(crate) alerts: BTreeMap<(String, String), usize>,
    /// How often each record, by partition and offset, became a dead letter.
    pub(crate) letters: BTreeMap<(String, String), usize>,
    /// The next offset and the digest of the state of each partition.
    pub(crate) states: BTreeSet<(i32, i64, String)>,
}

impl Outcome {
    /// As a replay has it, which nothing disturbs.
    pub(crate) fn expected(service: &Service, events: &[Vec<Event>]) -> Self {
        let mut outcome = Self::default();
        let mut replay = replay(service, events, |partition, offset| {
            let place = (partition.to_string(), offset.to_string());
            outcome.letters.insert(place, 1);
        });
        for alert in replay.take_alerts() {
            let told = (alert.id.to_string(), alert.revision.to_string());
            *outcome.alerts.entry(told).or_default() += 1;
        }
        for engine in replay.engines() {
            let partition = engine.partition() as i32;
            let next = events[partition as usize].len() as i64;
            let state = (partition, next, engine.digest());
            outcome.states.insert(state);
        }
        outcome
    }
}
