//! Which partitions of the event log have been silent and need to be told that time passes.

use std::time::{Duration, Instant};

use nhiwatch_detectors::kernel::time::{Span, Timestamp};

/// When each partition was last written to.
#[derive(Debug)]
pub(super) struct Pulse(Vec<Last>);

#[derive(Clone, Copy, Debug)]
struct Last {
    at: Instant,
    /// The newest time written there.
    ts: Option<Timestamp>,
}

impl Pulse {
    /// The pulse of so many partitions, none of them written to.
    #[must_use]
    pub(super) fn new(partitions: i32, now: Instant) -> Self {
        let last = Last { at: now, ts: None };
        Self(vec![last; usize::try_from(partitions).unwrap_or_default()])
    }

    /// Notes that something of `ts` was written to `partition`.
    pub(super) fn wrote(&mut self, partition: i32, ts: Timestamp, now: Instant) {
        let index = usize::try_from(partition).unwrap_or(usize::MAX);
        if let Some(last) = self.0.get_mut(index) {
            last.at = now;
            last.ts = last.ts.max(Some(ts));
        }
    }

    /// Whether `partition`, to which a record goes next, is to be told before that it is `time`: all that was written there is
    /// much older, as where a backlog is read faster than time passes. By that it is written to.
    pub(super) fn is_behind(&mut self, partition: i32, time: Timestamp, now: Instant) -> bool {
        let index = usize::try_from(partition).unwrap_or(usize::MAX);
        let last = self.0.get(index);
        let behind = last.is_some_and(|last| last.ts.is_none_or(|ts| ts.plus(GAP) < time));
        if behind {
            self.wrote(partition, time, now);
        }
        behind
    }

    /// The partitions silent for ten seconds whose time is behind `time`; each is written to by that.
    pub(super) fn due(&mut self, time: Timestamp, now: Instant) -> Vec<i32> {
        let mut due = Vec::new();
        for (partition, last) in (0..).zip(&mut self.0) {
            let silent = now.saturating_duration_since(last.at) >= SILENCE;
            if silent && last.ts.is_none_or(|ts| ts < time) {
                *last = Last {
                    at: now,
                    ts: Some(time),
                };
                due.push(partition);
            }
        }
        due
    }
}

/// After so long without a record, a partition is told the time.
const SILENCE: Duration = Duration::from_secs(10);
/// Before a record that comes after so long in event time, a partition is told the time.
const GAP: Span = Span::MINUTE.times(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_partition_is_told_the_time_once_until_time_has_moved() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let at = Timestamp::from_seconds;
        let mut pulse = Pulse::new(2, start);
        pulse.wrote(0, at(100), after(9));
        assert!(pulse.due(at(100), after(9)).is_empty());
        assert_eq!(pulse.due(at(100), after(12)), [1]);
        assert!(pulse.due(at(100), after(40)).is_empty());
        assert_eq!(pulse.due(at(101), after(41)), [0, 1]);
    }

    #[test]
    fn a_partition_that_falls_behind_in_a_backlog_is_told_the_time_before_its_next_record() {
        let now = Instant::now();
        let at = |minutes: i64| Timestamp::from_seconds(1_790_000_000 + 60 * minutes);
        let mut pulse = Pulse::new(1, now);
        assert!(pulse.is_behind(0, at(0), now), "nothing was written");
        assert!(!pulse.is_behind(0, at(0), now));
        pulse.wrote(0, at(5), now);
        assert!(!pulse.is_behind(0, at(15), now));
        assert!(pulse.is_behind(0, at(16), now));
        assert!(!pulse.is_behind(0, at(16), now));
        assert!(!pulse.is_behind(7, at(99), now), "there is none");
    }
}
