//! When what alerted may become normal: after seven days, capped, unless somebody says otherwise.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::input::Ruling;

/// The hours of one identity that are held back from learning, oldest first, and the days that come
/// once a month.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quarantine {
    held: VecDeque<Held>,
    days: VecDeque<HeldDay>,
    /// What was learned after all, oldest first: a ruling may take it out again.
    released: VecDeque<Released>,
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

/// One day that is held back.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldDay {
    /// Days since the epoch.
    pub number: i64,
    /// Calls on it.
    pub calls: u64,
    /// The hour in which it ended, in hours since the epoch.
    end: i64,
    /// The hour from which it may be learned.
    due: i64,
}

/// One hour that was learned after it had been held back; a few bytes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Released {
    /// Hours since the epoch.
    pub start: i64,
    /// The calls that were learned of it.
    pub calls: f32,
    /// Whether they went into what is known of its season, and not of its hour of the week.
    pub seasonal: bool,
}

impl Released {
    pub(crate) const fn of_week(start: i64, calls: f64) -> Self {
        Self {
            start,
            calls: calls as f32,
            seasonal: false,
        }
    }

    pub(crate) const fn of_season(start: i64, calls: f64) -> Self {
        Self {
            seasonal: true,
            ..Self::of_week(start, calls)
        }
    }
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

    /// Holds back a day that ended in hour `end`. Of more than two, the oldest is never
    /// learned.
    pub fn hold_day(&mut self, number: i64, calls: u64, end: i64) {
        if self.days.len() == DAYS_MAX {
            self.days.pop_front();
        }
        self.days.push_back(HeldDay {
            number,
            calls,
            end,
            due: end + HELD_HOURS,
        });
    }

    /// Whether an hour or a day may be learned by hour `now`.
    pub fn is_due(&self, now: i64) -> bool {
        self.held.front().is_some_and(|held| held.due <= now)
            || self.days.front().is_some_and(|day| day.due <= now)
    }

    /// Takes out a day that may be learned by hour `now`, if there is one.
    pub fn due_day(&mut self, now: i64) -> Option<HeldDay> {
        self.days.pop_front_if(|day| day.due <= now)
    }

    /// Takes out an hour that may be learned by hour `now`, if there is one.
    pub fn due(&mut self, now: i64) -> Option<Held> {
        self.held.pop_front_if(|held| held.due <= now)
    }

    /// Remembers what was learned. Of more than [`RELEASED_MAX`], the oldest stays learned.
    pub(crate) fn keep(&mut self, released: Released) {
        if self.released.len() == RELEASED_MAX {
            self.released.pop_front();
        }
        self.released.push_back(released);
    }

    /// Takes out what was learned of the hours from `from` to `until`.
    pub(crate) fn take_back(&mut self, from: i64, until: i64) -> Vec<Released> {
        let inside = |released: &Released| (from..=until).contains(&released.start);
        let taken = self.released.iter().copied().filter(inside).collect();
        self.released.retain(|released| !inside(released));
        taken
    }

    /// Follows an analyst's ruling on the hours from `from` to `until` (hours since the epoch, both
    /// included), and on the days they are of: benign ones may be learned at once, malicious ones
    /// never are.
    pub fn rule(&mut self, from: i64, until: i64, ruling: Ruling) {
        let inside = |held: &Held| (from..=until).contains(&held.start);
        let of = |day: &HeldDay| from < day.end && until >= day.end - 24;
        match ruling {
            Ruling::Malicious => {
                self.held.retain(|held| !inside(held));
                self.days.retain(|day| !of(day));
            }
            Ruling::Benign => {
                for day in self.days.iter_mut().filter(|day| of(day)) {
                    day.due = day.end;
                }
                self.days
                    .make_contiguous()
                    .sort_by_key(|day| (day.due, day.end));
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
/// Hours remembered at most after they were learned.
const RELEASED_MAX: usize = 24;
/// Days held at most: a month's last and first working day lie within a week, no others do.
const DAYS_MAX: usize = 2;

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

    #[test]
    fn a_ruling_on_an_hour_covers_its_day() {
        let mut quarantine = Quarantine::default();
        quarantine.hold_day(3, 7, 96);
        quarantine.hold_day(4, 8, 120);
        quarantine.rule(100, 101, Ruling::Benign);
        assert_eq!(quarantine.due_day(120).map(|day| day.calls), Some(8));
        assert!(!quarantine.is_due(95 + HELD_HOURS) && quarantine.is_due(96 + HELD_HOURS));
        quarantine.rule(80, 80, Ruling::Malicious);
        assert_eq!(quarantine.due_day(i64::MAX), None);
    }
}
