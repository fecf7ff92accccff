//! What a detector sees of an identity.

use chrono_tz::Tz;

use super::{Baseline, COUNTED_FROM, Day};
#[cfg(feature = "ablation")]
use crate::kernel::ablation;
use crate::kernel::event::Event;
use crate::kernel::groups::Group;
use crate::kernel::hot::{Hot, Hour, Now};
use crate::kernel::inventory::Declared;
use crate::kernel::names::Names;
use crate::kernel::peers::{Norm, Peers};
use crate::kernel::season::LOOSE;
use crate::kernel::tails::Expected;
use crate::kernel::time::{HourOfWeek, Span, Timestamp};
use crate::kernel::trail::Session;

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
    /// Those who are like it, and its number among them.
    pub(crate) peers: Option<(&'a Peers, u32)>,
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

    /// The session that the event belongs to.
    #[must_use]
    pub fn session(&self) -> Option<&Session> {
        self.hot.trail.session(self.now.place?.session)
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

    /// What `hour` brings to those who are like it.
    pub(crate) fn norm(&self, hour: &Hour) -> Option<Norm> {
        let (peers, number) = self.peers?;
        peers.norm(number, hour)
    }

    /// What `hour` is expected to bring, given how busy its peers are in it until `now`: where the
    /// identity's group is busy as a whole, as much more, and less certainly so.
    #[must_use]
    pub fn expected_among_peers(&self, hour: &Hour, now: Timestamp) -> Expected {
        let counted = self.closed.age(Timestamp::from_hour(hour.start)) >= COUNTED_FROM;
        #[cfg(feature = "ablation")]
        let counted = counted && !ablation::without(ablation::Part::Nowcast);
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

/// How far from the stroke of the hour activity may still belong to the hour before or after.
const SLACK: Span = Span::MINUTE.times(5);
