//! On which days of the week an identity does anything, and how often it misses such a day.

use serde::{Deserialize, Serialize};

use crate::kernel::baseline::Day;

/// What the days brought, learned as they end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Week {
    /// Days learned, at most [`u16::MAX`].
    days: u16,
    /// The day at hand, in days since the epoch.
    today: i64,
    /// How many of the latest such days of the week there was something, as a share.
    active: [f32; 7],
    /// Days that there should have been something, and those of them without, decayed.
    due: f32,
    missed: f32,
    /// Calls a day.
    pub(super) calls: f32,
}

/// The days of the week on which nothing is due, one bit each from Monday on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rest(u8);

impl Week {
    /// Takes in a day that is over.
    pub(super) fn learn(&mut self, day: &Day) {
        self.today = day.number + 1;
        if day.suspect {
            return;
        }
        let weekday = day.weekday();
        let active = day.calls > 0;
        if self.is_learned() && self.active[weekday] >= USUAL {
            self.due = self.due * DAY_KEPT + 1.0;
            self.missed = self.missed * DAY_KEPT + f32::from(u8::from(!active));
        }
        let visits = f32::from(self.days / 7 + 1);
        let share = &mut self.active[weekday];
        *share += (f32::from(u8::from(active)) - *share) / visits.min(VISITS_MAX);
        self.calls += (day.calls as f32 - self.calls) / f32::from(self.days + 1).min(CALLS_DAYS);
        self.days = self.days.saturating_add(1).min(u16::MAX - 1);
    }

    /// Whether two weeks were seen.
    pub(super) const fn is_learned(&self) -> bool {
        self.days >= 14
    }

    /// The days on which nothing is due; none where that is so on all of them.
    pub(super) fn rest(&self) -> Rest {
        let seldom = |at: &usize| self.active[*at] < SELDOM;
        let rest = (0..7).filter(seldom).fold(0, |rest, at| rest | 1 << at);
        Rest(if rest == 0b111_1111 { 0 } else { rest })
    }

    /// Whether nothing is due on the day at hand.
    pub(super) fn rests_today(&self) -> bool {
        self.rest().has(self.today)
    }

    /// How often a day on which something is due passes without anything: with 3 % of 50 days as
    /// what is known before.
    pub(super) fn miss(&self) -> f64 {
        (f64::from(self.missed) + 1.5) / (f64::from(self.due) + 50.0)
    }
}

impl Rest {
    /// Whether nothing is due on day `number`, in days since the epoch.
    pub(super) fn has(self, number: i64) -> bool {
        self.0 & (1 << Day::new(number).weekday()) != 0
    }

    /// How many days of a week something is due.
    pub(super) fn due(self) -> f64 {
        7.0 - f64::from(self.0.count_ones())
    }
}

/// From which share of such days on something is due.
const USUAL: f32 = 0.8;
/// Below which share of such days nothing is.
const SELDOM: f32 = 0.2;
/// Weeks and days over which shares and calls are averaged.
const VISITS_MAX: f32 = 8.0;
const CALLS_DAYS: f32 = 28.0;
/// What the counts keep from one day to the next: a half-life of about 90 days.
const DAY_KEPT: f32 = 0.9923;

#[cfg(test)]
mod tests {
    use super::*;

    fn days(weeks: i64, calls: impl Fn(i64) -> u64) -> Week {
        let mut week = Week::default();
        // The fourth day after the epoch was a Monday.
        for number in 4..4 + weeks * 7 {
            let calls = calls(number - 4);
            week.learn(&Day {
                calls,
                ..Day::new(number)
            });
        }
        week
    }

    #[test]
    fn working_days_are_told_from_days_of_rest() {
        let week = days(6, |day| if day % 7 < 5 { 10 } else { 0 });
        assert_eq!(week.rest(), Rest(0b110_0000));
        assert!(week.miss() < 0.03 && (week.calls - 7.0).abs() < 1.0);
    }

    #[test]
    fn a_day_missed_now_and_then_makes_a_miss_less_strange() {
        let week = days(20, |day| u64::from(day % 20 != 0));
        assert_eq!(week.rest(), Rest(0));
        assert!((0.03..0.06).contains(&week.miss()), "{}", week.miss());
    }

    #[test]
    fn who_comes_once_a_month_has_no_days_of_rest() {
        assert_eq!(days(20, |day| u64::from(day % 30 == 0)).rest(), Rest(0));
    }
}
