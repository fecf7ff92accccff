//! When identities must be looked at though nothing happens to them.

use std::collections::BTreeMap;

use super::clock::LATENESS;
use super::hot::Hour;
use super::time::Timestamp;

/// The hours that will be over, and the alarms that somebody has set, of all identities of a
/// partition.
///
/// It is not stored: every entry follows from the identities' own state. An entry may be stale, its
/// hour gone or its alarm set anew; whoever is called finds that out.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    hours: BTreeMap<i64, Vec<u32>>,
    /// By minute since the epoch.
    alarms: BTreeMap<i64, Vec<u32>>,
    next: Option<Timestamp>,
}

impl Timers {
    /// Notes that `slot` has opened the hour `start`.
    pub(crate) fn hour(&mut self, start: i64, slot: u32) {
        self.hours.entry(start).or_default().push(slot);
        self.sooner(Hour::over(start));
    }

    /// Sets an alarm for `slot`: it rings when nothing of before that minute is expected any more.
    pub(crate) fn alarm(&mut self, minute: i64, slot: u32) {
        self.alarms.entry(minute).or_default().push(slot);
        self.sooner(rings(minute));
    }

    /// Takes out the earliest entries that `watermark` has reached, and their time.
    pub(crate) fn due(&mut self, watermark: Timestamp) -> Option<(Timestamp, Vec<u32>)> {
        if self.next.is_none_or(|next| next > watermark) {
            return None;
        }
        let (hour, alarm) = (self.hour_due(), self.alarm_due());
        let slots = match (hour, alarm) {
            (Some(hour), alarm) if alarm.is_none_or(|alarm| hour <= alarm) => {
                self.hours.pop_first().map(|(_, slots)| (hour, slots))
            }
            (_, Some(alarm)) => self.alarms.pop_first().map(|(_, slots)| (alarm, slots)),
            (_, None) => None,
        };
        self.next = [self.hour_due(), self.alarm_due()]
            .into_iter()
            .flatten()
            .min();
        slots
    }

    fn hour_due(&self) -> Option<Timestamp> {
        self.hours
            .first_key_value()
            .map(|(start, _)| Hour::over(*start))
    }

    fn alarm_due(&self) -> Option<Timestamp> {
        self.alarms
            .first_key_value()
            .map(|(minute, _)| rings(*minute))
    }

    fn sooner(&mut self, at: Timestamp) {
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }
}

/// When an alarm for the minute rings.
const fn rings(minute: i64) -> Timestamp {
    Timestamp::from_seconds(minute * 60).plus(LATENESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_comes_in_the_order_of_time_and_once() {
        let mut timers = Timers::default();
        timers.hour(100, 1);
        timers.hour(100, 2);
        timers.alarm(101 * 60, 3);
        timers.alarm(101 * 60 + 30, 4);
        let mut order = Vec::new();
        while let Some((at, slots)) = timers.due(Timestamp::from_seconds(101 * 3600 + 1200)) {
            order.push((at.minute() - 101 * 60, slots));
        }
        assert_eq!(order, [(10, vec![1, 2]), (10, vec![3])]);
        assert!(timers.due(Timestamp::from_hour(102)).is_some());
        assert!(timers.due(Timestamp::from_hour(900)).is_none());
    }
}
