//! How far event time has come in one partition, and what is too late for it.

use serde::{Deserialize, Serialize};

use super::time::{Span, Timestamp};

/// Event time of one partition.
///
/// The front is the newest time believed. A stamp far ahead of it is believed only when a second
/// record, at least as new, follows: a lone stamp from the future moves nothing, a real gap does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Clock {
    front: Option<Timestamp>,
    candidate: Option<Timestamp>,
    /// How many days it has been in.
    days: u32,
}

/// How a record stands to its partition's time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Arrival {
    /// Stamped later than it arrived, by more than clocks differ.
    Future,
    /// Older than the lateness allowed.
    Late,
    /// Neither.
    OnTime,
}

impl Clock {
    /// Notes an event stamped `ts` that reached the log at `received`, and says how it stands.
    pub fn observe(&mut self, ts: Timestamp, received: Option<Timestamp>) -> Arrival {
        if received.is_some_and(|received| ts > received.plus(SKEW)) {
            return Arrival::Future;
        }
        if self
            .watermark()
            .is_some_and(|watermark| ts < watermark.minus(LATENESS))
        {
            return Arrival::Late;
        }
        let before = self.front;
        match before {
            Some(front) if ts <= front.plus(LEAP) => self.front = Some(front.max(ts)),
            _ => self.leap(ts),
        }
        self.count_days(before);
        Arrival::OnTime
    }

    /// Moves time to `ts` without an event.
    pub fn advance(&mut self, ts: Timestamp) {
        let before = self.front;
        self.front = Some(before.map_or(ts, |front| front.max(ts)));
        self.count_days(before);
    }

    /// How many days (UTC) time has been in: one that it leapt over is none.
    #[must_use]
    pub const fn days(&self) -> u32 {
        self.days
    }

    fn count_days(&mut self, before: Option<Timestamp>) {
        let day = self.front.map(Timestamp::day);
        if day != before.map(Timestamp::day) {
            self.days = self.days.saturating_add(1);
        }
    }

    /// The time before which no more events are expected.
    #[must_use]
    pub fn watermark(&self) -> Option<Timestamp> {
        self.front.map(|front| front.minus(DISORDER))
    }

    /// The newest time believed.
    #[must_use]
    pub const fn front(&self) -> Option<Timestamp> {
        self.front
    }

    fn leap(&mut self, ts: Timestamp) {
        match self.candidate {
            // One that time has passed meanwhile says nothing of what is ahead.
            Some(candidate)
                if ts >= candidate.minus(LEAP)
                    && self.front.is_none_or(|front| candidate > front) =>
            {
                let front = candidate.min(ts);
                let newer = candidate.max(ts);
                self.front = Some(front);
                self.candidate = None;
                if newer <= front.plus(LEAP) {
                    self.front = Some(newer);
                } else {
                    self.candidate = Some(newer);
                }
            }
            _ => self.candidate = Some(ts),
        }
    }
}

/// How far apart in time neighbours in the log may be without being out of order.
const DISORDER: Span = Span::MINUTE.times(2);
/// How far behind the watermark an event may be and still count.
pub(crate) const LATENESS: Span = Span::MINUTE.times(10);
/// How far a source's clock may be ahead of the log's.
pub(crate) const SKEW: Span = Span::MINUTE.times(5);
/// From how far ahead of the front a stamp needs a second one to be believed.
pub(crate) const LEAP: Span = Span::HOUR;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_seconds(1_790_000_000 + minutes * 60)
    }

    fn started() -> Clock {
        let mut clock = Clock::default();
        clock.observe(at(0), None);
        clock.observe(at(0), None);
        clock
    }

    #[test]
    fn a_lone_future_stamp_moves_nothing() {
        let mut clock = started();
        clock.observe(at(600_000), None);
        assert_eq!(clock.observe(at(1), None), Arrival::OnTime);
        assert_eq!(clock.front(), Some(at(1)));
    }

    #[test]
    fn a_real_gap_moves_time_even_where_every_gap_is_long() {
        let mut clock = started();
        for step in 1..=5 {
            clock.observe(at(step * 120), None);
        }
        assert_eq!(clock.front(), Some(at(4 * 120)));
    }

    #[test]
    fn a_stamp_that_time_has_passed_does_not_take_it_back() {
        let mut clock = started();
        clock.observe(at(90), None);
        for minutes in [50, 100, 130] {
            clock.observe(at(minutes), None);
        }
        clock.observe(at(210), None);
        assert_eq!(clock.front(), Some(at(130)));
        clock.observe(at(211), None);
        assert_eq!(clock.front(), Some(at(211)));
    }

    #[test]
    fn days_are_counted_that_time_has_been_in() {
        let mut clock = started();
        assert_eq!(clock.days(), 1);
        for (days, expected) in [(0, 1), (1, 1), (1, 2), (4000, 2), (4000, 3), (4000, 3)] {
            clock.observe(at(days * 1440), None);
            assert_eq!(clock.days(), expected, "{days}");
        }
        clock.advance(at(4001 * 1440));
        assert_eq!(clock.days(), 4);
    }

    #[test]
    fn late_is_measured_from_the_watermark() {
        let mut clock = started();
        clock.observe(at(30), None);
        assert_eq!(clock.observe(at(18), None), Arrival::OnTime);
        assert_eq!(clock.observe(at(17), None), Arrival::Late);
    }

    #[test]
    fn a_stamp_ahead_of_its_own_arrival_is_from_the_future() {
        let mut clock = started();
        assert_eq!(clock.observe(at(7), Some(at(1))), Arrival::Future);
        assert_eq!(clock.front(), Some(at(0)));
    }
}
