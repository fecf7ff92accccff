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
        match self.front {
            Some(front) if ts <= front.plus(LEAP) => self.front = Some(front.max(ts)),
            _ => self.leap(ts),
        }
        Arrival::OnTime
    }

    /// Moves time to `ts` without an event.
    pub fn advance(&mut self, ts: Timestamp) {
        self.front = Some(self.front.map_or(ts, |front| front.max(ts)));
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
            Some(candidate) if ts >= candidate.minus(LEAP) => {
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
