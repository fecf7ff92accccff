//! Over what is scored: which days, and how many identities.

use std::collections::BTreeSet;

use nhiwatch_detectors::kernel::time::{Span, Timestamp};
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

/// Days of a year, leap years included.
const YEAR: f64 = 365.25;

/// The identities that had an event, eight bytes for each.
#[derive(Clone, Debug, Default)]
pub struct Seen(BTreeSet<u64>);

impl Seen {
    /// Notes an event of `identity`.
    pub fn note(&mut self, identity: &[u8]) {
        self.0.insert(xxh3_64(identity));
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether `identity` had an event.
    #[must_use]
    pub fn contains(&self, identity: &str) -> bool {
        self.0.contains(&xxh3_64(identity.as_bytes()))
    }
}

/// The days that are scored, and the identities that were there.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Exposure {
    /// The first instant scored.
    #[serde(serialize_with = "super::instant")]
    pub from: Timestamp,
    /// Whether that instant was asked for; else it is [`Exposure::LEARNED`] after the first event.
    pub from_given: bool,
    /// The end of the input.
    #[serde(serialize_with = "super::instant")]
    pub to: Timestamp,
    /// The days between; none where the input ends before.
    #[serde(serialize_with = "super::rounded")]
    pub days: f64,
    /// Identities that had an event anywhere in the input.
    pub identities: usize,
    /// The identities times the days, in years.
    #[serde(serialize_with = "super::rounded")]
    pub identity_years: f64,
}

impl Exposure {
    /// How long an input is learned from before it is scored, unless something else is asked for.
    pub const LEARNED: Span = Span::WEEK.times(4);

    /// The exposure of an input that goes from `first` to `last`, scored from `from` on.
    #[must_use]
    pub fn new(
        (first, last): (Timestamp, Timestamp),
        from: Option<Timestamp>,
        identities: usize,
    ) -> Self {
        let from_given = from.is_some();
        let from = from.unwrap_or_else(|| first.plus(Self::LEARNED));
        let days = last.since(from.max(first)).days().max(0.0);
        Self {
            from,
            from_given,
            to: last,
            days,
            identities,
            identity_years: identities as f64 * days / YEAR,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_four_weeks_is_scored_unless_something_else_is_asked_for() {
        let day = |n: i64| Timestamp::from_hour(500_000 + 24 * n);
        let input = (day(0), day(42));
        for (from, days) in [
            (None, 14.0),
            (Some(day(40)), 2.0),
            (Some(day(-9)), 42.0),
            (Some(day(50)), 0.0),
        ] {
            assert_eq!(Exposure::new(input, from, 3).days, days, "{from:?}");
        }
        let years = Exposure::new(input, None, 1461).identity_years;
        assert!((years - 56.0).abs() < 1e-9, "{years}");
    }

    #[test]
    fn an_identity_is_counted_once() {
        let mut seen = Seen::default();
        for identity in ["a", "b", "a"] {
            seen.note(identity.as_bytes());
        }
        assert_eq!(seen.count(), 2);
        assert!(seen.contains("b") && !seen.contains("c"));
    }
}
