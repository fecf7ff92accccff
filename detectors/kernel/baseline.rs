//! What is normal for one identity: learned from hours that are over.

mod closed;
mod learning;
mod profile;
#[cfg(test)]
mod tests;
mod undo;

use std::sync::Arc;

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

pub(super) use self::closed::weekday;
pub use self::closed::{Closed, Day};
pub use self::profile::Profile;
use super::anchor::Anchor;
use super::codec::size;
use super::detector::Evidence;
use super::holidays::{FreeDays, Holidays};
use super::inventory::Declared;
use super::minutes::Minutes;
use super::presence::Presence;
use super::quarantine::Quarantine;
use super::rate::Rate;
use super::season::{LOOSE, Season, Seasonal};
use super::tails::Expected;
use super::time::{HourOfWeek, Span, Timestamp};

/// The part of an identity's state that only closes touch. It is stored in this order, and begins with the fields of
/// `codec::Outline`.
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
    /// Where its level has been for half a year.
    pub anchor: Anchor,
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
    /// The level that was last taken for normal, after hours that nobody alerted of.
    accepted: Option<Accepted>,
    /// Hours that are held back.
    pub(crate) quarantine: Quarantine,
    /// The free days of the venues it works for; they follow from calendars and what is declared.
    #[serde(skip)]
    free: Option<Arc<FreeDays>>,
}

/// A level of calls in an hour that was taken for normal, because it stayed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Accepted {
    /// The hour in which it was, in hours since the epoch.
    pub(crate) hour: i64,
    /// What had been normal for such an hour.
    pub(crate) before: f32,
    /// What it brought.
    pub(crate) now: f32,
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
            ("daily", size(&(&self.daily, self.anchor))),
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

    /// What an analyst must know of it when told of anything at `ts`: a level that was taken for normal
    /// within two weeks, and how far its days have moved in half a year.
    pub(crate) fn remarks(&self, ts: Timestamp) -> Evidence {
        let mut remarks = Evidence::new();
        if let Some(accepted) = self.accepted {
            let since = Timestamp::from_hour(accepted.hour);
            if (Span::from_micros(0)..FORTNIGHT).contains(&ts.since(since)) {
                let (before, now) = (accepted.before, accepted.now);
                let text = format!(
                    "{now:.0} calls an hour, after {before:.0}, at {}",
                    since.rfc3339()
                );
                remarks.push(("level_accepted".into(), text));
            }
        }
        let moved = self.anchor.moved(self.daily.level());
        if let Some(times) = moved.filter(|times| !(1.0 / MOVED..=MOVED).contains(times)) {
            let text = format!("{times:.1} times its level of half a year");
            remarks.push(("baseline_moved".into(), text));
        }
        remarks
    }

    /// Takes over what the inventory declares; a new time zone makes the hours of the week be
    /// learned anew.
    pub fn declare(&mut self, declared: Option<Declared>) {
        if Declared::zone(declared.as_ref()) != Declared::zone(self.declared.as_ref()) {
            self.rate = Rate::default();
            self.daily = Rate::default();
            self.anchor = Anchor::default();
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

    /// The free days that it follows, for who keeps them while nobody looks at it.
    pub(crate) fn take_free(&mut self) -> Option<Arc<FreeDays>> {
        self.free.take()
    }

    /// Follows them again.
    pub(crate) fn put_free(&mut self, free: Option<Arc<FreeDays>>) {
        self.free = free;
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

    /// Whether a clock that it may follow has changed within `span` before `ts`: that of its declared time
    /// zone, of Europe or of the United States.
    pub(crate) fn clock_changed(&self, ts: Timestamp, span: Span) -> bool {
        let zone = Declared::zone(self.declared.as_ref());
        ts.utc_offset(zone) != ts.minus(span).utc_offset(zone) || ts.clocks_moved(span) != 0
    }

    /// Seconds by which a clock that nobody declared may have moved within `grace` before `ts`.
    fn clock_moved(&self, ts: Timestamp, grace: Span) -> i32 {
        match self.declared.as_ref().and_then(|it| it.timezone) {
            Some(_) => 0,
            None => ts.clocks_moved(grace),
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
/// How long after a clock change hours are also judged by what they were before it.
const FORTNIGHT: Span = Span::WEEK.times(2);
/// How many times its old level, or what part of it, is worth a remark.
const MOVED: f64 = 1.5;
/// The same for how much an hour brings, which takes longer to learn than whether there is anything.
const RATE_GRACE: Span = Span::WEEK.times(6);
