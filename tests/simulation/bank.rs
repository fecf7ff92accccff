//! What the simulated service watches: orders while the venue is closed, and records that cannot be read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use nhiwatch::service::Service;
use nhiwatch::wire::with_input;
use nhiwatch_detectors::kernel::engine::Engine;
use nhiwatch_detectors::kernel::time::Timestamp;

use crate::dice::Dice;
use crate::world::Event;

/// Sunday, 2026-01-04T00:00:00Z, in microseconds: no exchange is open.
pub(crate) const START: i64 = 1_767_484_800_000_000;

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
    let ts = Timestamp::from_micros(START + at.as_micros() as i64).rfc3339();
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
    /// As engines have it that nothing disturbs.
    pub(crate) fn expected(service: &Service, events: &[Vec<Event>]) -> Self {
        let mut outcome = Self::default();
        for (partition, events) in events.iter().enumerate() {
            let mut engine = Engine::new(partition as u32, Arc::clone(&service.decision));
            let mut alerts = Vec::new();
            for (offset, event) in events.iter().enumerate() {
                let received = START + event.at.as_micros() as i64;
                let received = Some(Timestamp::from_micros(received));
                let value = event.value.as_deref();
                let read = with_input(None, Some(&event.key), value, received, |input, _| {
                    input.map(|input| engine.handle(&input, &mut alerts))
                });
                if read.is_err() {
                    let place = (partition.to_string(), offset.to_string());
                    outcome.letters.insert(place, 1);
                }
            }
            for alert in alerts {
                let told = (alert.id.to_string(), alert.revision.to_string());
                *outcome.alerts.entry(told).or_default() += 1;
            }
            let next = events.len() as i64;
            outcome
                .states
                .insert((partition as i32, next, engine.digest()));
        }
        outcome
    }
}
