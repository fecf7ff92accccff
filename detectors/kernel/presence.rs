//! When an identity is active: one presence probability per hour of the week.

use serde::{Deserialize, Serialize};

use super::runs;
use super::time::{HourOfWeek, Span};

/// In which hours of the week there was anything at all, learned from closed hours.
///
/// Events inside one hour depend on each other: 500 calls at 03:00 are one surprise. So an hour
/// counts once, and is tested once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Presence {
    /// Decayed active visits and visits per cell, in 1/[`UNIT`].
    #[serde(with = "runs")]
    cells: Vec<(u16, u16)>,
    /// Activations and trials of hours that are quiet by habit, decayed.
    quiet: (f64, f64),
    /// Hours seen, active or not.
    hours: u32,
}

impl Default for Presence {
    fn default() -> Self {
        Self {
            cells: vec![(0, 0); HourOfWeek::COUNT],
            quiet: (0.0, 0.0),
            hours: 0,
        }
    }
}

/// How usual activity in one hour of the week is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usual {
    /// Probability that the identity is active in this hour.
    pub p: f64,
    /// Decayed visits of the hour in which it was active.
    pub active: f64,
    /// Decayed visits of the hour.
    pub visits: f64,
    /// Activations among the hours that are quiet by habit.
    pub activations: f64,
    /// Hours that are quiet by habit.
    pub trials: f64,
    /// Whether there never was anything in it, in the hours beside it, or at this hour of such days.
    pub never: bool,
}

impl Presence {
    /// How usual activity in `cell` is: the cell's own frequency, shrunk to the same hour of the day
    /// class and to its neighbours, and never below the rate at which quiet hours of this identity
    /// come alive (without that floor nested shrinkage claims far too much).
    #[must_use]
    pub fn usual(&self, cell: HourOfWeek) -> Usual {
        let (active, visits) = self.cell(cell);
        let floor = (0.5 + self.quiet.0) / (50.0 + self.quiet.1);
        let (before, after) = (self.cell(cell.before()), self.cell(cell.after()));
        let near = (0.5 * (before.0 + after.0) + floor) / (0.5 * (before.1 + after.1) + 1.0);
        let (class_active, class_visits) = self.class(cell);
        let prior = (class_active + (near / 2.0).max(floor)) / (class_visits + 1.0);
        let p = ((active + prior) / (visits + 1.0)).max(floor).min(1.0);
        Usual {
            p,
            active,
            visits,
            activations: self.quiet.0,
            trials: self.quiet.1,
            never: active + class_active + before.0 + after.0 < NEVER,
        }
    }

    /// How long an identity is watched before anything is judged.
    pub const LEARNING: Span = Span::HOUR.times(LEARNING_HOURS as i64);

    /// Takes in a closed hour; where a clock has just changed, `moved` is the hour of the week it was
    /// before: what moved along with the clock is not a quiet hour that came alive.
    pub fn learn(&mut self, cell: HourOfWeek, moved: Option<HourOfWeek>, active: bool) {
        let is_quiet = self.is_quiet(cell) && moved.is_none_or(|cell| self.is_quiet(cell));
        if self.hours >= LEARNING_HOURS && is_quiet {
            self.quiet.0 = self.quiet.0 * QUIET_KEPT + f64::from(u8::from(active));
            self.quiet.1 = self.quiet.1 * QUIET_KEPT + 1.0;
        }
        let (was_active, visits) = &mut self.cells[cell.index()];
        *was_active = kept(*was_active) + if active { UNIT } else { 0 };
        *visits = kept(*visits) + UNIT;
        self.hours = self.hours.saturating_add(1);
    }

    /// Takes out again that `cell` was active once, `weeks` weeks ago.
    pub(crate) fn forget(&mut self, cell: HourOfWeek, weeks: i64) {
        let once = (0..weeks.min(520)).fold(UNIT, |once, _| kept(once));
        let (active, visits) = &mut self.cells[cell.index()];
        *active = active.saturating_sub(once);
        *visits = visits.saturating_sub(once);
    }

    /// Takes in `weeks` whole weeks without activity.
    pub fn skip_weeks(&mut self, weeks: i64) {
        for _ in 0..weeks.min(520) {
            for (active, visits) in &mut self.cells {
                *active = kept(*active);
                *visits = kept(*visits) + UNIT;
            }
        }
        self.hours = self
            .hours
            .saturating_add((weeks * 168).min(1_000_000) as u32);
    }

    /// Whether enough hours were seen to judge by.
    #[must_use]
    pub const fn is_learned(&self) -> bool {
        self.hours >= LEARNING_HOURS
    }

    /// A cell that is active in less than one of twenty visits, neighbours and day class included.
    fn is_quiet(&self, cell: HourOfWeek) -> bool {
        let (active, visits) = self.cell(cell);
        let (class_active, class_visits) = self.class(cell);
        let (before, after) = (self.cell(cell.before()), self.cell(cell.after()));
        let seen = active + class_active + 0.5 * (before.0 + after.0);
        seen < 0.05 * (visits + class_visits + 0.5 * (before.1 + after.1)) + 0.5
    }

    fn cell(&self, cell: HourOfWeek) -> (f64, f64) {
        let (active, visits) = self.cells[cell.index()];
        (
            f64::from(active) / f64::from(UNIT),
            f64::from(visits) / f64::from(UNIT),
        )
    }

    fn class(&self, cell: HourOfWeek) -> (f64, f64) {
        cell.class_days().fold((0.0, 0.0), |sum, day| {
            let (active, visits) = self.cells[day * 24 + cell.hour()];
            let unit = f64::from(UNIT);
            (
                sum.0 + f64::from(active) / unit,
                sum.1 + f64::from(visits) / unit,
            )
        })
    }
}

/// 0.95 of `value` a week, rounded down so that it reaches zero: a half-life of 95 days.
const fn kept(value: u16) -> u16 {
    ((value as u32 * 62_259) >> 16) as u16
}

/// One visit; with 0.95 kept a week the sum stays below 20 of them.
const UNIT: u16 = 3000;
/// What is left of a visit after a year or so is none.
const NEVER: f64 = 0.05;
/// What the pool of quiet hours keeps from one hour to the next.
const QUIET_KEPT: f64 = 0.9998;
/// Hours before anything is judged: counting the learning weeks as quiet hours that came alive
/// would make the floor five times too large.
const LEARNING_HOURS: u32 = 3 * 168;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::Dice;
    use crate::kernel::time::Timestamp;

    fn cell(hour: i64) -> HourOfWeek {
        Timestamp::from_hour(hour).hour_of_week(chrono_tz::Tz::UTC)
    }

    fn learned(weeks: i64, active: impl Fn(HourOfWeek) -> bool) -> Presence {
        let mut presence = Presence::default();
        for hour in 0..weeks * 168 {
            presence.learn(cell(hour), None, active(cell(hour)));
        }
        presence
    }

    #[test]
    fn a_night_never_worked_becomes_improbable_and_a_working_hour_does_not() {
        let office = |cell: HourOfWeek| cell.index() < 5 * 24 && (9..17).contains(&cell.hour());
        let presence = learned(7, office);
        let night = presence.usual(cell(5 * 24 + 3));
        assert!(night.p < 2e-3, "{night:?}");
        let day = presence.usual(cell(4 * 24 + 10));
        assert!(day.p > 0.5, "{day:?}");
    }

    #[test]
    fn an_identity_that_is_always_active_is_never_improbable() {
        let presence = learned(10, |_| true);
        for hour in 0..168 {
            assert!(presence.usual(cell(hour)).p > 0.9);
        }
    }

    #[test]
    fn an_identity_without_a_schedule_is_never_improbable() {
        let mut presence = Presence::default();
        let mut dice = Dice(1);
        for hour in 0..10 * 168 {
            presence.learn(cell(hour), None, dice.roll(10) < 3);
        }
        for hour in 0..168 {
            assert!(presence.usual(cell(hour)).p > 0.01, "{hour}");
        }
    }

    #[test]
    fn skipping_weeks_ages_the_cells() {
        let mut presence = learned(6, |_| true);
        presence.skip_weeks(300);
        assert!(presence.usual(cell(0)).active < 1e-6);
    }
}
