//! What every event of an identity touches: its open hours and sessions.

use arrayvec::ArrayVec;
use serde::{Deserialize, Serialize};

use super::baseline::Baseline;
use super::clock::LATENESS;
use super::event::Event;
use super::names::Symbol;
use super::peers::Twins;
use super::prefetch::prefetch;
use super::tails::Expected;
use super::tally::Tally;
use super::time::{Span, Timestamp};
use super::trail::{Place, Session, Trail};

/// The part of an identity's state that every event touches.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Hot {
    /// Event time of the newest event.
    pub last: Timestamp,
    /// The minute since the epoch at which somebody wants to be asked whether all is well.
    pub(crate) alarm: Option<i64>,
    /// The hours that may still receive events, in order.
    pub(super) hours: ArrayVec<Hour, HOURS_MAX>,
    /// What its first calls did.
    pub(crate) twins: Twins,
    /// The sessions that may still receive steps.
    pub(super) trail: Trail,
    /// When it was last found to be news that nothing had happened.
    pub told: Option<Timestamp>,
}

/// How a [`Hot`] begins: when its identity acted last and something is to be done about it, and what its groups go by.
#[derive(Default, Deserialize)]
pub(super) struct Due {
    pub(super) last: Timestamp,
    pub(super) alarm: Option<i64>,
    pub(super) hours: ArrayVec<Hour, HOURS_MAX>,
    pub(super) twins: Twins,
}

/// One hour of UTC, open or over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hour {
    /// Hours since the epoch.
    pub start: i64,
    /// What it brought so far.
    pub tally: Tally,
    /// Whether a detector found something in it: then it is held back from learning.
    pub suspect: bool,
    /// What it is expected to bring, by the hours before it that are over.
    pub expected: Expected,
    /// The count from which the exact tail is worth computing: three deviations above the mean.
    pub gate: u64,
    /// The day it belongs to on the wall clock that the identity follows, in days since the epoch, and
    /// the same count for that whole day.
    pub day: i64,
    /// See `day`.
    pub day_gate: u64,
    /// Calls in each of its minutes, and the same count for one of them; nothing of an identity that
    /// makes few calls.
    pub minutes: Vec<u16>,
    /// See `minutes`.
    pub minute_gate: u32,
}

/// Where the event that is judged stands in its identity's open windows; not stored.
#[derive(Clone, Copy, Debug, Default)]
pub struct Now {
    /// Index of its hour among the open hours; nothing where there is no event.
    pub(super) hour: Option<usize>,
    /// Calls in that hour before it.
    pub before: u64,
    /// Calls in that hour with it.
    pub after: u64,
    /// Its minute within the hour, and the calls in that minute before it and with it, where minutes
    /// are counted.
    pub minute: Option<(usize, u16, u16)>,
    /// Whether it touched a resource that its hour had not.
    pub new_resource: bool,
    /// Whether it is the first of its hour.
    pub first: bool,
    /// Whether it is the first order of its hour.
    pub first_order: bool,
    /// Where it stands in its session.
    pub place: Option<Place>,
    /// The hour it opened, if it did.
    pub(crate) opened: Option<i64>,
}

impl Hour {
    /// The last instant of the hour.
    #[must_use]
    pub const fn end(&self) -> Timestamp {
        Timestamp::from_hour(self.start + 1).minus(Span::from_micros(1))
    }

    /// What kind of hour it is, for who learns how a sum depends on that: the logarithm of the calls that
    /// are expected of it, `ln(1 + mean)`.
    #[must_use]
    pub fn season(&self) -> f64 {
        libm::log1p(self.expected.mean)
    }

    /// The hour `start`, in which nothing has happened yet.
    fn open(start: i64, baseline: &Baseline) -> Self {
        let (expected, day) = (baseline.expected(start), baseline.day_of(start));
        let minutes = baseline.minutes.as_ref();
        Self {
            start,
            tally: Tally::default(),
            suspect: false,
            expected,
            gate: gate(expected),
            day,
            day_gate: gate(baseline.expected_day(day)),
            minutes: minutes.map_or_else(Vec::new, |_| vec![0; 60]),
            minute_gate: minutes.map_or(0, |minutes| minutes.gate(&expected)),
        }
    }

    /// Counts `calls` at `ts`: the minute, and its calls before and after; an event of an earlier hour
    /// that comes too late counts into the first.
    fn count_minute(&mut self, ts: Timestamp, calls: u32) -> Option<(usize, u16, u16)> {
        let minute = (ts.minute() - self.start * 60).clamp(0, 59) as usize;
        let count = self.minutes.get_mut(minute)?;
        let before = *count;
        *count = count.saturating_add(u16::try_from(calls).unwrap_or(u16::MAX));
        Some((minute, before, *count))
    }

    /// Sets what it is expected to bring by all that is over before it.
    pub(crate) fn expect(&mut self, baseline: &Baseline) {
        self.expected = baseline.expected(self.start);
        self.gate = gate(self.expected);
        self.day_gate = gate(baseline.expected_day(self.day));
        if let Some(minutes) = &baseline.minutes
            && !self.minutes.is_empty()
        {
            self.minute_gate = minutes.gate(&self.expected);
        }
    }

    /// From when on no event falls into hour `start` any more, by the watermark.
    pub(crate) const fn over(start: i64) -> Timestamp {
        Timestamp::from_hour(start + 1).plus(LATENESS)
    }
}

impl Hot {
    /// Has where each part begins that every event looks at fetched into the processor's cache.
    pub(crate) fn prefetch(&self) {
        prefetch(&self.last);
        prefetch(&self.twins);
        prefetch(&self.hours);
        prefetch(&self.told);
        self.trail.prefetch();
    }

    /// The oldest open hour, if it is over at `watermark`.
    pub(crate) fn over(&self, watermark: Timestamp) -> Option<i64> {
        let start = self.hours.first()?.start;
        (Hour::over(start) <= watermark).then_some(start)
    }

    /// Takes out the oldest hour that is over at `watermark`.
    pub(crate) fn take_over(&mut self, watermark: Timestamp) -> Option<Hour> {
        self.over(watermark).map(|_| self.hours.remove(0))
    }

    /// Expects anew of the open hours what `baseline` now says: an hour before them is over. So what
    /// they were expected to bring does not depend on when their first event came.
    pub(crate) fn expect(&mut self, baseline: &Baseline) {
        for hour in &mut self.hours {
            hour.expect(baseline);
        }
    }

    /// Ends the sessions that nothing joins any more at `watermark`.
    pub(crate) fn expire(&mut self, watermark: Timestamp, ended: impl FnMut(Session)) {
        self.trail.expire(watermark, ended);
    }

    /// The open hours.
    pub(crate) fn hours(&self) -> &[Hour] {
        &self.hours
    }

    /// Starts of the open hours.
    pub(crate) fn open_hours(&self) -> impl Iterator<Item = i64> {
        self.hours.iter().map(|hour| hour.start)
    }

    /// Adds `event` to its open hour and session.
    pub fn count(
        &mut self,
        event: &Event<'_>,
        symbol: Symbol,
        baseline: &Baseline,
        ended: impl FnMut(Session),
    ) -> Now {
        self.last = self.last.max(event.ts);
        let (at, opened) = self.hour(event.ts.hour(), baseline);
        let hour = &mut self.hours[at];
        let (before, had_orders) = (hour.tally.calls, hour.tally.orders);
        let new_resource = hour.tally.add(event);
        let minute = hour.count_minute(event.ts, event.count.get());
        let after = hour.tally.calls;
        let first_order = hour.tally.orders && !had_orders;
        let opened = opened.then_some(hour.start);
        let place = Some(self.trail.step(event, symbol, ended));
        Now {
            hour: Some(at),
            before,
            after,
            minute,
            new_resource,
            first: before == 0,
            first_order,
            place,
            opened,
        }
    }

    /// Marks the hour of the event as suspect, and the session that it added something to learn to.
    pub fn suspect(&mut self, now: &Now) {
        if let Some(hour) = now.hour.and_then(|hour| self.hours.get_mut(hour)) {
            hour.suspect = true;
        }
        if let Some(place) = now.place.filter(Place::is_news) {
            self.trail.suspect(place.session);
        }
    }

    /// Index of the open hour `start`, opened if need be, and whether it was.
    ///
    /// A closed hour takes nothing more: what belongs there counts into the next. An hour that only
    /// a stamp from the future opened gives way to a real one.
    fn hour(&mut self, start: i64, baseline: &Baseline) -> (usize, bool) {
        let start = start.max(baseline.next_hour());
        while self.hours.last().is_some_and(|newest| {
            newest.start > start + 1 || (self.hours.is_full() && newest.start > start)
        }) && !self.hours.iter().any(|hour| hour.start == start)
        {
            self.hours.pop();
        }
        if let Some(at) = self.hours.iter().position(|hour| hour.start == start) {
            return (at, false);
        }
        if self.hours.is_full() {
            return (self.hours.len() - 1, false);
        }
        let hour = Hour::open(start, baseline);
        let at = self
            .hours
            .iter()
            .position(|open| open.start > start)
            .unwrap_or(self.hours.len());
        self.hours.insert(at, hour);
        (at, true)
    }
}

/// The count from which the exact tail is worth computing.
fn gate(expected: Expected) -> u64 {
    let gate = expected.mean + 3.0 * libm::sqrt(expected.variance());
    libm::ceil(gate).clamp(1.0, 1e15) as u64
}

/// An hour stays open for the lateness allowed, so two are open at once, and a third where an event lies
/// so far ahead that its time is not believed yet.
const HOURS_MAX: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::time::Span;

    #[test]
    fn what_comes_after_a_long_pause_opens_an_hour_of_its_own_before_its_time_is_believed() {
        let start = Timestamp::from_hour(500_000);
        let baseline = Baseline::new(start);
        let mut hot = Hot::default();
        let mut count = |minutes: i64| {
            let event = Event {
                ts: start.plus(Span::MINUTE.times(minutes)),
                identity: "shop",
                action: "order.create",
                ..Event::default()
            };
            let symbol = Symbol::of(&event);
            hot.count(&event, symbol, &baseline, |_| {}).first
        };
        assert_eq!([50, 61, 64].map(&mut count), [true, true, false]);
        assert!(count(9 * 60), "it is the first of its hour");
        assert!(!count(65), "and gives way to what is there");
    }
}
