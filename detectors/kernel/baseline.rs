//! What is normal for one identity, and what it is doing right now.

use arrayvec::ArrayVec;
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::event::{Class, Event};
use super::inventory::Declared;
use super::names::{Names, Symbol};
use super::presence::Presence;
use super::quarantine::Quarantine;
use super::rate::Rate;
use super::tails::Expected;
use super::time::{HourOfWeek, Span, Timestamp};
use super::trail::{Session, Trail};

/// What a detector sees of an identity: its baseline, and where the event stands in it.
#[derive(Clone, Copy, Debug)]
pub struct Profile<'a> {
    /// What every event touches.
    pub hot: &'a Hot,
    /// What only closes touch.
    pub closed: &'a Baseline,
    /// Where the event that is judged stands.
    pub now: &'a Now,
    /// How to spell symbols.
    pub names: &'a Names,
}

impl Profile<'_> {
    /// The open hour that the event fell into.
    #[must_use]
    pub fn hour(&self) -> Option<&Hour> {
        self.hot.hours.get(self.now.hour)
    }

    /// The session that the event belongs to, if it was a new step in it.
    #[must_use]
    pub fn session(&self) -> Option<&Session> {
        self.hot.trail.session(self.now.session?)
    }

    /// How long the identity has been known.
    #[must_use]
    pub fn age(&self, event: &Event<'_>) -> Span {
        self.closed.age(event.ts)
    }

    /// The hours of the week that activity at `ts` may belong to besides its own: the one within five
    /// minutes, as work seldom ends with the stroke of the clock; and, where nobody declared a time
    /// zone, what those were before a clock changed.
    pub fn hours_near(&self, ts: Timestamp) -> impl Iterator<Item = HourOfWeek> {
        [ts.minus(SLACK), ts.plus(SLACK)]
            .into_iter()
            .flat_map(|ts| {
                let (cell, moved) = self.closed.cells(ts);
                [Some(cell), moved].into_iter().flatten()
            })
    }

    /// The wall clock it follows.
    #[must_use]
    pub fn zone(&self) -> Tz {
        Declared::zone(self.closed.declared.as_ref())
    }
}

/// Where the event that is judged stands in its identity's open windows; not stored.
#[derive(Clone, Copy, Debug, Default)]
pub struct Now {
    /// Index of its hour among the open hours.
    hour: usize,
    /// Calls in that hour before it.
    pub before: u64,
    /// Calls in that hour with it.
    pub after: u64,
    /// Whether it is the first of its hour.
    pub first: bool,
    /// Whether it is the first order of its hour.
    pub first_order: bool,
    /// Index of its session, if it was a new step in it.
    session: Option<usize>,
}

/// The part of an identity's state that every event touches.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Hot {
    /// The hours that may still receive events, in order.
    hours: ArrayVec<Hour, 2>,
    /// The sessions that may still receive steps.
    trail: Trail,
}

/// One open hour of UTC.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hour {
    /// Hours since the epoch.
    pub start: i64,
    /// Calls so far.
    pub calls: u64,
    /// Whether one of them was an order.
    orders: bool,
    /// Whether a detector found something in it: then it is held back from learning.
    suspect: bool,
    /// What the hour was expected to bring when it opened.
    pub expected: Expected,
    /// The count from which the exact tail is worth computing: three deviations above the mean.
    pub gate: u64,
}

/// The part of an identity's state that only closes touch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// Event time of the first event that counted; nothing for an identity that is only announced.
    pub first_seen: Option<Timestamp>,
    /// What sort of actor it is, as last said.
    pub kind: super::event::Kind,
    /// What the inventory declares of it.
    pub declared: Option<Declared>,
    /// How often it calls.
    pub rate: Rate,
    /// When it is active.
    pub presence: Presence,
    /// When it places orders; kept from its first order on.
    pub orders: Option<Box<Presence>>,
    /// The next hour to close.
    next: i64,
    /// Hours that are held back.
    pub(crate) quarantine: Quarantine,
}

/// A stretch of an identity's life that is over and may be learned.
#[derive(Clone, Debug)]
pub enum Closed {
    /// A session, or a stretch of a long one.
    Session(Session),
}

impl Baseline {
    /// The baseline of an identity first seen at `ts`.
    #[must_use]
    pub fn new(ts: Timestamp) -> Self {
        let mut baseline = Self::default();
        baseline.begin(ts);
        baseline
    }

    /// Starts with the first event, at `ts`; tells whether it was. What was announced before is kept,
    /// but no hour before it is learned.
    pub fn begin(&mut self, ts: Timestamp) -> bool {
        let begins = self.first_seen.is_none();
        if begins {
            self.first_seen = Some(ts);
            self.next = ts.hour();
        }
        begins
    }

    /// How long the identity has been known at `ts`.
    #[must_use]
    pub fn age(&self, ts: Timestamp) -> Span {
        self.first_seen
            .map_or(Span::from_micros(0), |first| ts.since(first))
    }

    /// Takes over what the inventory declares; a new time zone makes the hours of the week be
    /// learned anew.
    pub fn declare(&mut self, declared: Option<Declared>) {
        if Declared::zone(declared.as_ref()) != Declared::zone(self.declared.as_ref()) {
            self.rate = Rate::default();
            self.presence = Presence::default();
            self.orders = None;
        }
        self.declared = declared;
    }

    /// The hour of the week at `ts`; and, where nobody declared a time zone and clocks have changed
    /// within a fortnight, the one it was until then: the identity may follow such a clock.
    fn cells(&self, ts: Timestamp) -> (HourOfWeek, Option<HourOfWeek>) {
        let cell = ts.hour_of_week(Declared::zone(self.declared.as_ref()));
        let declared = self.declared.as_ref().and_then(|it| it.timezone);
        let moved = match declared {
            Some(_) => 0,
            None => ts.clocks_moved(FORTNIGHT),
        };
        let before = match moved.signum() {
            -1 => Some(cell.before()),
            1 => Some(cell.after()),
            _ => None,
        };
        (cell, before)
    }

    /// Learns one closed hour; `None` is an hour without a call.
    fn close(&mut self, start: i64, hour: Option<&Hour>) {
        self.release(start);
        if let Some(hour) = hour
            && hour.suspect
        {
            self.quarantine.hold(start, hour.calls, hour.orders);
            return;
        }
        let (cell, moved) = self.cells(Timestamp::from_hour(start));
        self.rate
            .learn(cell, moved, hour.map_or(0, |hour| hour.calls));
        self.presence.learn(cell, moved, hour.is_some());
        if hour.is_some_and(|hour| hour.orders) && self.orders.is_none() {
            self.orders = Some(Box::default());
        }
        if let Some(orders) = &mut self.orders {
            orders.learn(cell, moved, hour.is_some_and(|hour| hour.orders));
        }
    }

    /// Learns what has been held back long enough by hour `now`, capped.
    pub(crate) fn release(&mut self, now: i64) {
        while let Some(held) = self.quarantine.due(now) {
            let (cell, moved) = self.cells(Timestamp::from_hour(held.start));
            self.rate.learn_capped(cell, held.calls);
            self.presence.learn(cell, moved, true);
            if held.orders {
                let orders = self.orders.get_or_insert_default();
                orders.learn(cell, moved, true);
            }
        }
    }

    /// Learns the empty hours up to `until`.
    fn idle(&mut self, until: i64) {
        let weeks = (until - self.next) / 168 - WEEKS_WALKED;
        if weeks > 0 {
            self.rate.skip_weeks(weeks);
            self.presence.skip_weeks(weeks);
            if let Some(orders) = &mut self.orders {
                orders.skip_weeks(weeks);
            }
            self.next += weeks * 168;
        }
        while self.next < until {
            self.close(self.next, None);
            self.next += 1;
        }
    }
}

impl Hot {
    /// Closes every hour and session that the partition's `watermark` has passed, oldest first.
    /// Tells whether `baseline` learned something; sessions go to `ended`.
    pub fn close(
        &mut self,
        baseline: &mut Baseline,
        watermark: Timestamp,
        ended: impl FnMut(Session),
    ) -> bool {
        let before = baseline.next;
        while let Some(hour) = self.hours.first()
            && hour.start < watermark.hour()
        {
            baseline.idle(hour.start);
            baseline.close(hour.start, Some(hour));
            baseline.next = baseline.next.max(hour.start + 1);
            self.hours.remove(0);
        }
        if self.hours.is_empty() {
            baseline.idle(watermark.hour());
        }
        self.trail.expire(watermark, ended);
        baseline.next != before
    }

    /// Adds `event` to its open hour and session.
    pub fn count(
        &mut self,
        event: &Event<'_>,
        symbol: Symbol,
        baseline: &mut Baseline,
        ended: impl FnMut(Session),
    ) -> Now {
        let at = self.hour(event.ts.hour(), baseline);
        let hour = &mut self.hours[at];
        let before = hour.calls;
        let is_order = event.class == Class::Order;
        let first_order = is_order && !hour.orders;
        hour.calls = before.saturating_add(u64::from(event.count.get()));
        hour.orders |= is_order;
        let after = hour.calls;
        let session = self.trail.step(event, symbol, ended);
        Now {
            hour: at,
            before,
            after,
            first: before == 0,
            first_order,
            session,
        }
    }

    /// Marks the hour and the session of the event as suspect.
    pub fn suspect(&mut self, now: &Now) {
        if let Some(hour) = self.hours.get_mut(now.hour) {
            hour.suspect = true;
        }
        if let Some(session) = now.session {
            self.trail.suspect(session);
        }
    }

    /// Index of the open hour `start`, opened if need be.
    ///
    /// A closed hour takes nothing more: what belongs there counts into the next. An hour that only
    /// a stamp from the future opened gives way to a real one.
    fn hour(&mut self, start: i64, baseline: &Baseline) -> usize {
        let start = start.max(baseline.next);
        while self.hours.last().is_some_and(|newest| {
            newest.start > start + 1 || (self.hours.is_full() && newest.start > start)
        }) && !self.hours.iter().any(|hour| hour.start == start)
        {
            self.hours.pop();
        }
        if let Some(at) = self.hours.iter().position(|hour| hour.start == start) {
            return at;
        }
        if self.hours.is_full() {
            return self.hours.len() - 1;
        }
        let (cell, moved) = baseline.cells(Timestamp::from_hour(start));
        let expected = baseline.rate.expected_either(cell, moved);
        let gate = expected.mean + 3.0 * libm::sqrt(expected.variance());
        let gate = libm::ceil(gate).clamp(1.0, 1e15) as u64;
        let hour = Hour {
            start,
            calls: 0,
            orders: false,
            suspect: false,
            expected,
            gate,
        };
        let at = self
            .hours
            .iter()
            .position(|open| open.start > start)
            .unwrap_or(self.hours.len());
        self.hours.insert(at, hour);
        at
    }
}

/// How far from the stroke of the hour activity may still belong to the hour before or after.
const SLACK: Span = Span::MINUTE.times(5);
/// How long after a clock change hours are also judged by what they were before it.
const FORTNIGHT: Span = Span::WEEK.times(2);
/// Weeks of silence that are walked hour by hour; longer ones are added up.
const WEEKS_WALKED: i64 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn world() -> (Hot, Baseline) {
        (Hot::default(), Baseline::new(Timestamp::from_hour(500_000)))
    }

    fn count(hot: &mut Hot, baseline: &mut Baseline, hour: i64) -> Now {
        let event = Event {
            ts: Timestamp::from_hour(hour),
            action: "a",
            ..Event::default()
        };
        hot.count(&event, Symbol::of(&event), baseline, |_| {})
    }

    #[test]
    fn an_hour_closes_when_the_watermark_passes_it_and_takes_the_idle_ones_along() {
        let (mut hot, mut baseline) = world();
        count(&mut hot, &mut baseline, 500_000);
        assert!(!hot.close(&mut baseline, Timestamp::from_hour(500_000), |_| {}));
        assert!(hot.close(&mut baseline, Timestamp::from_hour(500_010), |_| {}));
        assert_eq!(baseline.next, 500_010);
        assert!(hot.hours.is_empty());
    }

    #[test]
    fn an_hour_opened_from_the_future_gives_way() {
        let (mut hot, mut baseline) = world();
        count(&mut hot, &mut baseline, 700_000);
        let now = count(&mut hot, &mut baseline, 500_001);
        assert!(now.first);
        let starts: Vec<i64> = hot.hours.iter().map(|hour| hour.start).collect();
        assert_eq!(starts, [500_001]);
    }

    #[test]
    fn a_straggler_of_a_closed_hour_counts_into_the_next() {
        let (mut hot, mut baseline) = world();
        count(&mut hot, &mut baseline, 500_000);
        hot.close(&mut baseline, Timestamp::from_hour(500_002), |_| {});
        count(&mut hot, &mut baseline, 500_001);
        assert_eq!(hot.hours.first().map(|hour| hour.start), Some(500_002));
    }

    #[test]
    fn a_suspect_hour_is_not_learned_before_its_time() {
        let (mut hot, mut baseline) = world();
        for hour in 0..600 {
            count(&mut hot, &mut baseline, 500_000 + hour);
            hot.close(&mut baseline, Timestamp::from_hour(500_001 + hour), |_| {});
        }
        let (cell, _) = baseline.cells(Timestamp::from_hour(500_600));
        let before = baseline.rate.expected(cell).mean;
        let now = count(&mut hot, &mut baseline, 500_600);
        hot.suspect(&now);
        hot.close(&mut baseline, Timestamp::from_hour(500_601), |_| {});
        assert!((baseline.rate.expected(cell).mean - before).abs() < 1e-9);
    }
}
