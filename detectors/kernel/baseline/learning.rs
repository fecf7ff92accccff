//! How what is over becomes what is normal.

use super::{Accepted, Baseline, Day};
use crate::kernel::hot::Hour;
use crate::kernel::minutes::Minutes;
use crate::kernel::quarantine::{Held, Released};
use crate::kernel::season::Season;
use crate::kernel::tails::Expected;
use crate::kernel::tally::Tally;
use crate::kernel::time::Timestamp;

impl Baseline {
    /// Whether there is anything to catch up with by hour `until`: empty hours, a day that is over, or
    /// an hour held back long enough. An identity that is active in every hour has no empty ones.
    pub(crate) fn is_behind(&self, until: i64) -> bool {
        until > self.next
            || until == self.next
                && (self.today.number < self.day_of(until) || self.quarantine.is_due(until))
    }

    /// Learns that the hours before `until` which are not closed yet were empty, and takes over those
    /// that were held back long enough; `ended` gets the days that are over, oldest
    /// first, each with its end.
    pub(crate) fn catch_up(&mut self, until: i64, mut ended: impl FnMut(Day, Timestamp)) {
        let weeks = (until - self.next) / 168 - WEEKS_WALKED;
        if weeks > 0 {
            self.rate.skip_weeks(weeks);
            self.daily.skip_weeks(weeks);
            self.presence.skip_weeks(weeks);
            if let Some(orders) = &mut self.orders {
                orders.skip_weeks(weeks);
            }
            // Weeks without a call have no days worth telling but the one they begin on.
            let end = Timestamp::from_hour(self.next);
            self.next += weeks * 168;
            let next = Day::new(self.day_of(self.next));
            ended(std::mem::replace(&mut self.today, next), end);
        }
        while self.next < until {
            self.release(self.next);
            self.turn(self.next, &mut ended);
            self.learn_rate(self.next, self.today.number, None, 0);
            self.learn_absence(self.next);
            self.next += 1;
        }
        self.release(until);
        self.turn(until, &mut ended);
    }

    /// Learns an hour that is over, of which busy peers explain `excused` calls, or holds it back where
    /// it is suspect; every hour before it has been caught up with. Gives the level that is normal from
    /// now on, where one has been taken for it.
    pub(crate) fn close(&mut self, hour: &Hour, excused: f64) -> Option<Accepted> {
        self.today.add(hour);
        self.today.excused += excused;
        self.next = self.next.max(hour.start + 1);
        let Tally { calls, orders, .. } = hour.tally;
        if hour.suspect {
            self.quarantine.hold(hour.start, calls, orders);
            return None;
        }
        if !hour.minutes.is_empty()
            && let Some(minutes) = &mut self.minutes
        {
            minutes.learn(hour);
        } else if hour.expected.mean >= Minutes::BUSY {
            self.minutes.get_or_insert_default();
        }
        let shifted = self.learn_rate(hour.start, hour.day, Some(&hour.expected), calls);
        self.learn_presence(hour.start, orders);
        let lately = self.accepted.is_some_and(|it| hour.start < it.hour + 168);
        if !shifted || lately {
            return None;
        }
        self.accepted = Some(Accepted {
            hour: hour.start,
            before: hour.expected.mean as f32,
            now: calls as f32,
        });
        self.accepted
    }

    /// Learns what an hour brought; `expected` is what it was expected to when it opened, where it did.
    /// Tells whether a new level begins to be followed.
    fn learn_rate(
        &mut self,
        start: i64,
        day: i64,
        expected: Option<&Expected>,
        calls: u64,
    ) -> bool {
        let alerted = self.today.suspect;
        let (cell, usual) = match expected {
            Some(expected) if self.season_of(day).is_none() => {
                (self.cells(Timestamp::from_hour(start)).0, *expected)
            }
            _ => self.usual(start),
        };
        let Some(season) = self.season(day, calls, &usual) else {
            return self.rate.learn(Some(cell.index()), &usual, calls, alerted);
        };
        let expected = self.expected(start);
        // How far a first free day falls short of others says nothing of how far counts scatter.
        if !season.is_free() || self.seasons[season as usize].is_some() {
            self.rate.learn(None, &expected, calls, alerted);
        }
        let seasonal = self.seasons[season as usize].get_or_insert_default();
        seasonal.learn_hour(cell.hour(), calls as f64);
        false
    }

    /// Learns what an hour brought that was held back, capped.
    fn learn_rate_held(&mut self, start: i64, calls: u64) -> Released {
        let (cell, usual) = self.usual(start);
        let Some(season) = self.season(self.day_of(start), calls, &usual) else {
            let capped = self.rate.learn_capped(Some(cell.index()), &usual, calls);
            return Released::of_week(start, capped);
        };
        let expected = self.expected(start);
        let capped = self.rate.learn_capped(None, &expected, calls);
        let seasonal = self.seasons[season as usize].get_or_insert_default();
        seasonal.learn_hour(cell.hour(), capped);
        Released::of_season(start, capped)
    }

    /// The sort of day, if any, in whose memory an hour of the day `number` belongs, given what such an
    /// hour usually brings: it has one already, or its `calls` stand out.
    fn season(&self, number: i64, calls: u64, usual: &Expected) -> Option<Season> {
        let stands_out = || calls as f64 > usual.mean + 3.0 * libm::sqrt(usual.variance()) + 3.0;
        self.season_of(number).filter(|season| {
            season.is_free() || self.seasons[*season as usize].is_some() || stands_out()
        })
    }

    /// Learns a day that is over. One that is held back is never learned, but for those that come
    /// once a month.
    pub(crate) fn learn_day(&mut self, day: &Day, end: i64) {
        let season = self.season_of(day.number);
        if day.suspect {
            if season.is_some() {
                self.quarantine.hold_day(day.number, day.calls, end);
            }
            return;
        }
        self.anchor.learn(day.calls);
        let index = Some(day.weekday());
        let expected = self.expected_day(day.number);
        match season.and_then(|season| self.seasons[season as usize].as_mut()) {
            Some(seasonal) => {
                self.daily.learn(None, &expected, day.calls, false);
                seasonal.learn_day(day.calls as f64);
            }
            None => {
                self.daily.learn(index, &expected, day.calls, false);
            }
        }
    }

    /// Learns what a day brought that was held back, capped, where its hours stood out.
    fn learn_day_held(&mut self, number: i64, calls: u64) {
        let expected = self.expected_day(number);
        let season = self.season_of(number);
        if let Some(seasonal) = season.and_then(|season| self.seasons[season as usize].as_mut()) {
            let capped = self.daily.learn_capped(None, &expected, calls);
            seasonal.learn_day(capped);
        }
    }

    /// That nothing happened in an hour; where it was free, that says nothing of such hours.
    fn learn_absence(&mut self, start: i64) {
        if self.is_free(self.today.number) {
            return;
        }
        let (cell, moved) = self.cells(Timestamp::from_hour(start));
        self.presence.learn(cell, moved, false);
        if let Some(orders) = &mut self.orders {
            orders.learn(cell, moved, false);
        }
    }

    fn learn_presence(&mut self, start: i64, had_orders: bool) {
        let (cell, moved) = self.cells(Timestamp::from_hour(start));
        self.presence.learn(cell, moved, true);
        if had_orders && self.orders.is_none() {
            self.orders = Some(Box::default());
        }
        if let Some(orders) = &mut self.orders {
            orders.learn(cell, moved, had_orders);
        }
    }

    /// Learns what has been held back long enough by hour `now`, capped.
    pub(crate) fn release(&mut self, now: i64) {
        while let Some(Held {
            start,
            calls,
            orders,
            ..
        }) = self.quarantine.due(now)
        {
            let learned = self.learn_rate_held(start, calls);
            self.learn_presence(start, orders);
            self.quarantine.keep(learned);
        }
        while let Some(day) = self.quarantine.due_day(now) {
            self.learn_day_held(day.number, day.calls);
        }
    }

    /// Ends the days before the one of hour `start`.
    fn turn(&mut self, start: i64, ended: &mut impl FnMut(Day, Timestamp)) {
        let number = self.day_of(start);
        while self.today.number < number {
            let next = Day::new(self.today.number + 1);
            let mut over = std::mem::replace(&mut self.today, next);
            over.free = self.is_free(over.number);
            ended(over, Timestamp::from_hour(start));
        }
    }
}

/// Weeks of silence that are walked hour by hour; longer ones are added up.
const WEEKS_WALKED: i64 = 4;
