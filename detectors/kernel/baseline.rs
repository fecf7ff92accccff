//! What is normal for one identity: learned from hours that are over.

use std::sync::Arc;

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::codec::size;
use super::event::Event;
use super::groups::Group;
use super::holidays::{FreeDays, Holidays};
use super::hot::{Hot, Hour, Now};
use super::inventory::Declared;
use super::minutes::Minutes;
use super::names::Names;
use super::presence::Presence;
use super::quarantine::{Held, Quarantine};
use super::rate::Rate;
use super::season::{LOOSE, Season, Seasonal};
use super::tails::Expected;
use super::tally::Tally;
use super::time::{HourOfWeek, Span, Timestamp};
use super::trail::Session;

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
    /// The groups it belongs to.
    pub(crate) groups: [Option<&'a Group>; 2],
}

impl Profile<'_> {
    /// The open hour that the event fell into.
    #[must_use]
    pub fn hour(&self) -> Option<&Hour> {
        self.hot.hours.get(self.now.hour?)
    }

    /// The open hours, oldest first.
    #[must_use]
    pub fn open(&self) -> &[Hour] {
        &self.hot.hours
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

    /// What `hour` is expected to bring, given how busy its peers are in it until `now`: where the
    /// identity's group is busy as a whole, as much more, and less certainly so.
    #[must_use]
    pub fn expected_among_peers(&self, hour: &Hour, now: Timestamp) -> Expected {
        let counted = self.closed.age(Timestamp::from_hour(hour.start)) >= COUNTED_FROM;
        let groups = self.groups.iter().flatten().filter(|_| counted);
        let times = groups
            .map(|group| group.others(hour, now))
            .fold(1.0, f64::max);
        if times <= 1.0 {
            return hour.expected;
        }
        Expected {
            mean: hour.expected.mean * times,
            ..hour.expected.looser(LOOSE)
        }
    }

    /// What the minute `minute` of `hour` is expected to bring, given the same; nothing while too
    /// little is known of its minutes.
    #[must_use]
    pub fn expected_of_minute(
        &self,
        hour: &Hour,
        minute: usize,
        now: Timestamp,
    ) -> Option<Expected> {
        let minutes = self.closed.minutes.as_ref()?;
        minutes.expected(&self.expected_among_peers(hour, now), minute)
    }

    /// What the day `number` is expected to bring, given the same.
    #[must_use]
    pub fn expected_of_day(&self, number: i64, now: Timestamp) -> Expected {
        let expected = self.closed.expected_day(number);
        let open = self.hot.hours.iter().filter(|hour| hour.day == number);
        let excused = open.map(|hour| self.excused(hour, now)).sum::<f64>();
        let excused = self.day(number).excused + excused;
        Expected {
            mean: expected.mean + excused,
            ..expected
        }
    }

    /// Calls of `hour` until `now` beyond what is usual that busy peers explain.
    pub(crate) fn excused(&self, hour: &Hour, now: Timestamp) -> f64 {
        if hour.suspect {
            return 0.0;
        }
        self.expected_among_peers(hour, now).mean - hour.expected.mean
    }

    /// The calls of the day `number` so far.
    #[must_use]
    pub fn calls_of_day(&self, number: i64) -> u64 {
        let today = &self.closed.today;
        let over = if today.number == number {
            today.calls
        } else {
            0
        };
        let open = self.hot.hours.iter().filter(|hour| hour.day == number);
        open.fold(over, |sum, hour| sum.saturating_add(hour.tally.calls))
    }

    /// What the day `number` (days since the epoch, on that clock) has brought so far.
    #[must_use]
    pub fn day(&self, number: i64) -> Day {
        let mut day = if self.closed.today.number == number {
            self.closed.today.clone()
        } else {
            Day::new(number)
        };
        for hour in self.hot.hours.iter().filter(|hour| hour.day == number) {
            day.add(hour);
        }
        day
    }
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
    /// The venue of its first order.
    pub venue: Option<Box<str>>,
    /// How often it calls in an hour.
    pub rate: Rate<24>,
    /// How often it calls in a day.
    pub daily: Rate<1>,
    /// How its calls fall within the hour, where there are enough.
    pub minutes: Option<Box<Minutes>>,
    /// What days bring that come once a month, indexed as [`Season`].
    seasons: [Option<Box<Seasonal>>; Season::COUNT],
    /// When it is active.
    pub presence: Presence,
    /// When it places orders; kept from its first order on.
    pub orders: Option<Box<Presence>>,
    /// The next hour to close.
    next: i64,
    /// The day that the next hour belongs to, as far as it is over.
    today: Day,
    /// Hours that are held back.
    pub(crate) quarantine: Quarantine,
    /// The free days of the venues it works for; they follow from calendars and what is declared.
    #[serde(skip)]
    free: Option<Arc<FreeDays>>,
}

/// A day on the wall clock that an identity follows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Day {
    /// Days since the epoch.
    pub number: i64,
    /// Calls.
    pub calls: u64,
    /// Calls that failed or were denied.
    pub failures: u64,
    /// Bytes moved.
    pub bytes: f64,
    /// Amounts of orders and payments.
    pub amount: f64,
    /// Hours in which there was anything.
    pub hours: u32,
    /// Calls beyond what is usual that busy peers explain, or that lie in hours which something was
    /// published about.
    pub excused: f64,
    /// Whether something in it is held back from learning.
    pub suspect: bool,
    /// Whether the venues that it works for were closed, or open for a shorter time; told when it is
    /// over.
    pub free: bool,
}

impl Day {
    pub(crate) fn new(number: i64) -> Self {
        Self {
            number,
            ..Self::default()
        }
    }

    /// 0 for Monday.
    #[must_use]
    pub const fn weekday(&self) -> usize {
        weekday(self.number)
    }

    fn add(&mut self, hour: &Hour) {
        let tally = &hour.tally;
        self.calls = self.calls.saturating_add(tally.calls);
        self.failures = self.failures.saturating_add(tally.failures);
        self.bytes += tally.bytes;
        self.amount += tally.amount;
        self.hours += 1;
        self.suspect |= hour.suspect;
        if hour.suspect {
            self.excused += (tally.calls as f64 - hour.expected.mean).max(0.0);
        }
    }
}

/// 0 for Monday, of a day in days since the epoch, which was a Thursday.
pub(super) const fn weekday(number: i64) -> usize {
    (number + 3).rem_euclid(7) as usize
}

/// A stretch of an identity's life that is over and may be learned.
#[derive(Clone, Debug)]
pub enum Closed {
    /// A session, or a stretch of a long one.
    Session(Session),
    /// An hour in which there was something.
    Hour(Hour),
    /// A day, perhaps one on which there was nothing.
    Day(Day),
}

impl Baseline {
    /// The baseline of an identity first seen at `ts`.
    #[must_use]
    pub fn new(ts: Timestamp) -> Self {
        let mut baseline = Self::default();
        baseline.begin(ts);
        baseline
    }

    /// Starts with the first event, at `ts`, or earlier than was known where it comes after a newer
    /// one; tells whether it did. What was announced before is kept, but no hour before it is learned.
    pub fn begin(&mut self, ts: Timestamp) -> bool {
        let begins = self.first_seen.is_none_or(|first| ts < first);
        if begins {
            // Nothing was learned yet: the first hour stays open for as long as an earlier event counts.
            self.first_seen = Some(ts);
            self.next = ts.hour();
            self.today = Day::new(self.day_of(self.next));
        }
        begins
    }

    /// Bytes that its parts take as they are stored, by name.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (&'static str, usize)> {
        let inventory = size(&(&self.declared, &self.venue, self.kind, self.first_seen));
        [
            ("rate", size(&self.rate)),
            ("daily", size(&self.daily)),
            ("minutes", size(&self.minutes)),
            ("seasons", size(&self.seasons)),
            ("presence", size(&self.presence)),
            ("orders", size(&self.orders)),
            ("today", size(&(self.next, &self.today))),
            ("quarantine", size(&self.quarantine)),
            ("inventory", inventory),
        ]
        .into_iter()
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
            self.daily = Rate::default();
            self.minutes = None;
            self.presence = Presence::default();
            self.orders = None;
        }
        self.declared = declared;
    }

    /// The next hour to close: no earlier one takes events any more.
    #[must_use]
    pub const fn next_hour(&self) -> i64 {
        self.next
    }

    /// Takes over the free days of the venues it works for: those declared, or that of its first order.
    pub(crate) fn follow(&mut self, holidays: &Holidays) {
        let declared = self.declared.iter().flat_map(|it| &it.venues);
        let mut venues: Vec<&str> = declared.map(String::as_str).collect();
        if venues.is_empty() {
            venues.extend(self.venue.as_deref());
        }
        self.free = holidays.of(venues.into_iter());
    }

    /// Whether the venues that it works for are closed on the day `number`, or close early: less than
    /// usual is no news then.
    #[must_use]
    pub fn is_free(&self, number: i64) -> bool {
        self.season_of(number).is_some_and(Season::is_free)
    }

    fn season_of(&self, number: i64) -> Option<Season> {
        let free = self.free.as_ref().and_then(|free| free.season(number));
        free.or_else(|| Season::of_month(number))
    }

    /// What the hour `start` is expected to bring.
    #[must_use]
    pub fn expected(&self, start: i64) -> Expected {
        let (cell, usual) = self.usual(start);
        match self.season_of(self.day_of(start)) {
            None => usual,
            Some(season) => match &self.seasons[season as usize] {
                Some(seasonal) => seasonal.hour(cell.hour(), usual),
                None => usual.looser(LOOSE),
            },
        }
    }

    /// What the day `number` is expected to bring.
    #[must_use]
    pub fn expected_day(&self, number: i64) -> Expected {
        let usual = self.daily.expected(weekday(number));
        match self.season_of(number) {
            None => usual,
            Some(season) => match &self.seasons[season as usize] {
                Some(seasonal) => seasonal.day(usual),
                None => usual.looser(LOOSE),
            },
        }
    }

    /// The hour of the week of the hour `start`, and what such an hour usually brings.
    fn usual(&self, start: i64) -> (HourOfWeek, Expected) {
        let (cell, moved) = self.cells_within(Timestamp::from_hour(start), RATE_GRACE);
        let moved = moved.map(HourOfWeek::index);
        (cell, self.rate.expected_either(cell.index(), moved))
    }

    /// What each hour from `start` on brings at the least: what can be missed when nothing comes.
    ///
    /// Whether clocks have changed is looked up once in a day.
    pub fn least(&self, start: i64) -> impl Iterator<Item = Expected> {
        let mut moved = 0;
        (start..).zip(0_u64..).map(move |(hour, nth)| {
            let ts = Timestamp::from_hour(hour);
            if self.free.is_some() && self.is_free(self.day_of(hour)) {
                return Expected::NONE;
            }
            if nth.is_multiple_of(24) {
                moved = self.clock_moved(ts, RATE_GRACE);
            }
            let cell = ts.hour_of_week(Declared::zone(self.declared.as_ref()));
            let moved = before_move(cell, moved).map(HourOfWeek::index);
            self.rate.least(cell.index(), moved)
        })
    }

    /// The day of the hour `start` on the wall clock it follows, in days since the epoch.
    #[must_use]
    pub fn day_of(&self, start: i64) -> i64 {
        let start = Timestamp::from_hour(start);
        let zone = Declared::zone(self.declared.as_ref());
        let offset = if zone == Tz::UTC {
            0
        } else {
            start.utc_offset(zone)
        };
        start.plus(Span::from_seconds(i64::from(offset))).day()
    }

    /// The hour of the week at `ts`; and, where nobody declared a time zone and clocks have changed
    /// within a fortnight, the one it was until then: the identity may follow such a clock.
    #[must_use]
    pub fn cells(&self, ts: Timestamp) -> (HourOfWeek, Option<HourOfWeek>) {
        self.cells_within(ts, FORTNIGHT)
    }

    fn cells_within(&self, ts: Timestamp, grace: Span) -> (HourOfWeek, Option<HourOfWeek>) {
        let cell = ts.hour_of_week(Declared::zone(self.declared.as_ref()));
        (cell, before_move(cell, self.clock_moved(ts, grace)))
    }

    /// Seconds by which a clock that nobody declared may have moved within `grace` before `ts`.
    fn clock_moved(&self, ts: Timestamp, grace: Span) -> i32 {
        match self.declared.as_ref().and_then(|it| it.timezone) {
            Some(_) => 0,
            None => ts.clocks_moved(grace),
        }
    }

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
    /// it is suspect; every hour before it has been caught up with.
    pub(crate) fn close(&mut self, hour: &Hour, excused: f64) {
        self.today.add(hour);
        self.today.excused += excused;
        self.next = self.next.max(hour.start + 1);
        let Tally { calls, orders, .. } = hour.tally;
        if hour.suspect {
            self.quarantine.hold(hour.start, calls, orders);
            return;
        }
        if !hour.minutes.is_empty()
            && let Some(minutes) = &mut self.minutes
        {
            minutes.learn(hour);
        } else if hour.expected.mean >= Minutes::BUSY {
            self.minutes.get_or_insert_default();
        }
        self.learn_rate(hour.start, hour.day, Some(&hour.expected), calls);
        self.learn_presence(hour.start, orders);
    }

    /// Learns what an hour brought; `expected` is what it was expected to when it opened, where it did.
    fn learn_rate(&mut self, start: i64, day: i64, expected: Option<&Expected>, calls: u64) {
        let (cell, usual) = match expected {
            Some(expected) if self.season_of(day).is_none() => {
                (self.cells(Timestamp::from_hour(start)).0, *expected)
            }
            _ => self.usual(start),
        };
        let Some(season) = self.season(day, calls, &usual) else {
            self.rate.learn(Some(cell.index()), &usual, calls);
            return;
        };
        let expected = self.expected(start);
        // How far a first free day falls short of others says nothing of how far counts scatter.
        if !season.is_free() || self.seasons[season as usize].is_some() {
            self.rate.learn(None, &expected, calls);
        }
        let seasonal = self.seasons[season as usize].get_or_insert_default();
        seasonal.learn_hour(cell.hour(), calls as f64);
    }

    /// Learns what an hour brought that was held back, capped.
    fn learn_rate_held(&mut self, start: i64, calls: u64) {
        let (cell, usual) = self.usual(start);
        let Some(season) = self.season(self.day_of(start), calls, &usual) else {
            self.rate.learn_capped(Some(cell.index()), &usual, calls);
            return;
        };
        let expected = self.expected(start);
        let capped = self.rate.learn_capped(None, &expected, calls);
        let seasonal = self.seasons[season as usize].get_or_insert_default();
        seasonal.learn_hour(cell.hour(), capped);
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
        let index = Some(day.weekday());
        let expected = self.expected_day(day.number);
        match season.and_then(|season| self.seasons[season as usize].as_mut()) {
            Some(seasonal) => {
                self.daily.learn(None, &expected, day.calls);
                seasonal.learn_day(day.calls as f64);
            }
            None => self.daily.learn(index, &expected, day.calls),
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
            self.learn_rate_held(start, calls);
            self.learn_presence(start, orders);
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

/// The hour of the week that `cell` was until a clock moved by so many seconds.
fn before_move(cell: HourOfWeek, moved: i32) -> Option<HourOfWeek> {
    match moved.signum() {
        -1 => Some(cell.before()),
        1 => Some(cell.after()),
        _ => None,
    }
}

/// Who has been known for so long counts among its peers, and is excused by them.
pub(crate) const COUNTED_FROM: Span = Span::WEEK.times(2);
/// How far from the stroke of the hour activity may still belong to the hour before or after.
const SLACK: Span = Span::MINUTE.times(5);
/// How long after a clock change hours are also judged by what they were before it.
const FORTNIGHT: Span = Span::WEEK.times(2);
/// The same for how much an hour brings, which takes longer to learn than whether there is anything.
const RATE_GRACE: Span = Span::WEEK.times(6);
/// Weeks of silence that are walked hour by hour; longer ones are added up.
const WEEKS_WALKED: i64 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::names::Symbol;

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

    /// Closes what is over when nothing before `hour` is expected any more.
    fn close(hot: &mut Hot, baseline: &mut Baseline, hour: i64) -> Vec<Day> {
        let mut days = Vec::new();
        while let Some(over) = hot.take_over(Hour::over(hour - 1)) {
            baseline.catch_up(over.start, |day, _| days.push(day));
            baseline.close(&over, 0.0);
        }
        days
    }

    #[test]
    fn an_hour_closes_when_nothing_of_it_is_expected_any_more() {
        let (mut hot, mut baseline) = world();
        count(&mut hot, &mut baseline, 500_000);
        assert!(hot.take_over(Timestamp::from_hour(500_001)).is_none());
        close(&mut hot, &mut baseline, 500_001);
        assert_eq!(baseline.next, 500_001);
        assert!(hot.hours.is_empty());
    }

    #[test]
    fn an_hour_opened_from_the_future_gives_way() {
        let (mut hot, mut baseline) = world();
        count(&mut hot, &mut baseline, 700_000);
        let now = count(&mut hot, &mut baseline, 500_001);
        assert!(now.first);
        let starts: Vec<i64> = hot.open_hours().collect();
        assert_eq!(starts, [500_001]);
    }

    #[test]
    fn a_straggler_of_a_closed_hour_counts_into_the_next() {
        let (mut hot, mut baseline) = world();
        count(&mut hot, &mut baseline, 500_001);
        close(&mut hot, &mut baseline, 500_002);
        count(&mut hot, &mut baseline, 500_001);
        assert_eq!(hot.open_hours().next(), Some(500_002));
    }

    #[test]
    fn days_end_with_the_hours_after_them_also_those_without_a_call() {
        let (mut hot, mut baseline) = world();
        let first = baseline.today.number;
        let mut days = Vec::new();
        for hour in [500_000, 500_001, 500_060, 500_090] {
            count(&mut hot, &mut baseline, hour);
            days.extend(close(&mut hot, &mut baseline, hour + 1));
        }
        let brought: Vec<(i64, u64)> = days.iter().map(|d| (d.number - first, d.calls)).collect();
        assert_eq!(brought, [(0, 2), (1, 0), (2, 1), (3, 0)]);
        assert_eq!(
            days[0].weekday(),
            4,
            "500000 hours after the epoch is a Friday"
        );
        days.clear();
        baseline.catch_up(500_090 + 168 * 20, |day, _| days.push(day));
        assert!(days.len() < 40 && days[0].calls == 1, "{days:?}");
    }

    #[test]
    fn who_is_active_in_every_hour_is_behind_at_midnight_and_when_an_hour_held_back_is_due() {
        let (mut hot, mut baseline) = world();
        let midnight = 500_016;
        for hour in 500_000..500_300 {
            assert_eq!(
                baseline.is_behind(hour),
                hour != 500_000 && hour % 24 == midnight % 24 || hour == 500_008 + 168,
                "{hour}"
            );
            baseline.catch_up(hour, |_, _| {});
            let now = count(&mut hot, &mut baseline, hour);
            if hour == 500_008 {
                hot.suspect(&now);
            }
            close(&mut hot, &mut baseline, hour + 1);
        }
    }

    #[test]
    fn a_suspect_hour_is_not_learned_before_its_time() {
        let (mut hot, mut baseline) = world();
        for hour in 0..600 {
            count(&mut hot, &mut baseline, 500_000 + hour);
            close(&mut hot, &mut baseline, 500_001 + hour);
        }
        let before = baseline.expected(500_600).mean;
        let now = count(&mut hot, &mut baseline, 500_600);
        hot.suspect(&now);
        close(&mut hot, &mut baseline, 500_601);
        assert!((baseline.expected(500_600).mean - before).abs() < 1e-9);
    }
}
