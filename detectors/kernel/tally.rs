//! What a stretch of an identity's life brought.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::event::{Class, Event, Outcome};
use super::time::Timestamp;

/// Sums over the events of an hour.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Calls.
    pub calls: u64,
    /// Calls that failed or were denied.
    pub failures: u64,
    /// Calls that were denied.
    pub denied: u64,
    /// Bytes moved.
    pub bytes: f64,
    /// Amounts of orders and payments, whatever their currency.
    pub amount: f64,
    /// Whether one of the calls was an order.
    pub orders: bool,
    /// Event times of the first and the last event.
    pub first: Timestamp,
    /// Event time of the last event.
    pub last: Timestamp,
    /// The resources acted upon.
    pub resources: Distinct,
}

impl Tally {
    /// Adds `event`; tells whether it touches a resource that none did before.
    pub fn add(&mut self, event: &Event<'_>) -> bool {
        let calls = u64::from(event.count.get());
        if self.calls == 0 {
            self.first = event.ts;
            self.last = event.ts;
        }
        self.first = self.first.min(event.ts);
        self.last = self.last.max(event.ts);
        self.calls = self.calls.saturating_add(calls);
        match event.outcome {
            Outcome::Denied => {
                self.denied = self.denied.saturating_add(calls);
                self.failures = self.failures.saturating_add(calls);
            }
            Outcome::Fail => self.failures = self.failures.saturating_add(calls),
            Outcome::Ok | Outcome::Unknown => {}
        }
        self.bytes += event.bytes.unwrap_or(0.0).max(0.0);
        self.amount += event.amount.unwrap_or(0.0).max(0.0);
        self.orders |= event.class == Class::Order;
        event
            .resource
            .is_some_and(|resource| self.resources.add(resource))
    }
}

/// About how many different things there were, in 32 bytes: linear counting (Whang et al., ACM TODS
/// 1990) with 256 bits, good to some 8 % up to a few hundred; beyond [`Distinct::MAX`] it is full.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Distinct([u64; 4]);

impl Distinct {
    /// The largest estimate: with one bit left.
    pub const MAX: f64 = 1419.6;
    const BITS: f64 = 256.0;

    /// Notes `thing`; tells whether that is news, as far as can be known.
    pub fn add(&mut self, thing: &str) -> bool {
        let hash = xxh3_64(thing.as_bytes());
        let (bits, bit) = (&mut self.0[(hash >> 6) as usize % 4], 1 << (hash % 64));
        let new = *bits & bit == 0;
        *bits |= bit;
        new
    }

    /// How many different things were noted.
    #[must_use]
    pub fn estimate(&self) -> f64 {
        Self::of(self.set())
    }

    /// How many there were before the last that was news.
    #[must_use]
    pub fn estimate_before(&self) -> f64 {
        Self::of(self.set().saturating_sub(1))
    }

    fn set(&self) -> u32 {
        self.0.iter().map(|bits| bits.count_ones()).sum()
    }

    fn of(set: u32) -> f64 {
        let free = (Self::BITS - f64::from(set)).max(1.0);
        Self::BITS * libm::log(Self::BITS / free)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_things_are_counted_about_right_and_repeats_once() {
        for wanted in [1_u32, 10, 100, 400] {
            let mut distinct = Distinct::default();
            for n in 0..wanted * 3 {
                distinct.add(&format!("resource-{}", n % wanted));
            }
            let ratio = distinct.estimate() / f64::from(wanted);
            assert!((0.8..1.2).contains(&ratio), "{wanted}: {ratio}");
        }
    }

    #[test]
    fn a_flood_of_different_things_fills_it_and_no_more() {
        let mut distinct = Distinct::default();
        for n in 0..100_000 {
            distinct.add(&n.to_string());
        }
        assert!((distinct.estimate() - Distinct::MAX).abs() < 0.1);
    }

    #[test]
    fn the_order_of_events_does_not_matter() {
        let event = |second, resource, outcome| Event {
            ts: Timestamp::from_seconds(second),
            resource: Some(resource),
            outcome,
            ..Event::default()
        };
        let (a, b) = (event(5, "x", Outcome::Denied), event(2, "y", Outcome::Fail));
        let (mut forth, mut back) = (Tally::default(), Tally::default());
        forth.add(&a);
        forth.add(&b);
        back.add(&b);
        back.add(&a);
        assert_eq!(forth, back);
        assert_eq!((forth.calls, forth.failures, forth.denied), (2, 2, 1));
        assert_eq!(forth.first, Timestamp::from_seconds(2));
    }
}
