//! When what alerted may become normal: after seven days, capped, unless somebody says otherwise.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::input::Ruling;

/// The hours of one identity that are held back from learning, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quarantine {
    held: VecDeque<Held>,
}

/// One hour that is held back.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// Hours since the epoch.
    pub start: i64,
    /// Calls in it.
    pub calls: u64,
    /// Whether one of them was an order.
    pub orders: bool,
    /// The hour from which it may be learned.
    due: i64,
}

impl Quarantine {
    /// Holds an hour back. Of more than a week of them, the oldest is never learned.
    pub fn hold(&mut self, start: i64, calls: u64, orders: bool) {
        if self.held.len() == HOURS_MAX {
            self.held.pop_front();
        }
        self.held.push_back(Held {
            start,
            calls,
            orders,
            due: start + HELD_HOURS,
        });
    }

    /// Whether an hour may be learned by hour `now`.
    pub fn is_due(&self, now: i64) -> bool {
        self.held.front().is_some_and(|held| held.due <= now)
    }

    /// Takes out an hour that may be learned by hour `now`, if there is one.
    pub fn due(&mut self, now: i64) -> Option<Held> {
        self.held.pop_front_if(|held| held.due <= now)
    }

    /// Follows an analyst's ruling on the hours from `from` to `until` (hours since the epoch, both
    /// included): benign ones may be learned at once, malicious ones never are.
    pub fn rule(&mut self, from: i64, until: i64, ruling: Ruling) {
        let inside = |held: &Held| (from..=until).contains(&held.start);
        match ruling {
            Ruling::Malicious => self.held.retain(|held| !inside(held)),
            Ruling::Benign => {
                for held in self.held.iter_mut().filter(|held| inside(held)) {
                    held.due = held.start;
                }
                self.held
                    .make_contiguous()
                    .sort_by_key(|held| (held.due, held.start));
            }
        }
    }
}

/// How long an hour is held back: seven days.
const HELD_HOURS: i64 = 168;
/// Hours held at most: more than all hours of the seven days.
const HOURS_MAX: usize = 192;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_due_after_seven_days_and_not_before() {
        let mut quarantine = Quarantine::default();
        quarantine.hold(100, 5, false);
        assert_eq!(quarantine.due(100 + HELD_HOURS - 1), None);
        assert_eq!(
            quarantine.due(100 + HELD_HOURS).map(|held| held.calls),
            Some(5)
        );
        assert_eq!(quarantine.due(i64::MAX), None);
    }

    #[test]
    fn a_ruling_releases_or_drops_the_hours_it_covers() {
        let mut quarantine = Quarantine::default();
        for start in [10, 11, 12] {
            quarantine.hold(start, 1, false);
        }
        quarantine.rule(10, 10, Ruling::Malicious);
        quarantine.rule(12, 12, Ruling::Benign);
        assert_eq!(quarantine.due(12).map(|held| held.start), Some(12));
        assert_eq!(quarantine.due(12), None);
        assert_eq!(quarantine.held.len(), 1);
    }
}
