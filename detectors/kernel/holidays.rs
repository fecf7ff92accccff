//! Weekdays on which a venue does not trade, or for a shorter time than usual.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::baseline::weekday;
use super::calendar::{Calendar, Calendars, Session};
use super::season::Season;
use super::time::Timestamp;

/// The free days of every venue with a calendar.
#[derive(Debug, Default)]
pub(crate) struct Holidays(BTreeMap<Box<str>, Arc<FreeDays>>);

/// The free days of those who work for certain venues, in days since the epoch by the venue's clock.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct FreeDays {
    closed: Vec<i64>,
    short: Vec<i64>,
}

impl Holidays {
    pub(crate) fn new(calendars: &Calendars) -> Self {
        let of = |calendar: &Calendar| (calendar.mic.clone(), Arc::new(FreeDays::of(calendar)));
        Self(calendars.iter().map(of).collect())
    }

    /// The free days of who works for all of `venues`: those that each of them has. Nothing where one
    /// has no calendar.
    pub(crate) fn of<'a>(
        &self,
        mut venues: impl Iterator<Item = &'a str>,
    ) -> Option<Arc<FreeDays>> {
        let first = self.0.get(venues.next()?)?;
        let mut all = Arc::clone(first);
        for venue in venues {
            let other = self.0.get(venue)?;
            let days = Arc::make_mut(&mut all);
            days.closed.retain(|day| other.closed.contains(day));
            days.short.retain(|day| other.short.contains(day));
        }
        Some(all)
    }
}

impl FreeDays {
    /// Weekdays between the first session and the last on which there is none, or which are shorter by
    /// a fifth than most.
    fn of(calendar: &Calendar) -> Self {
        let mut open: BTreeMap<i64, i64> = BTreeMap::new();
        for session in calendar.sessions() {
            *open.entry(day(session)).or_default() += session.close.since(session.open).seconds();
        }
        let mut lengths: Vec<i64> = open.values().copied().collect();
        lengths.sort_unstable();
        let usual = lengths.get(lengths.len() / 2).copied().unwrap_or(0);
        let (Some((first, _)), Some((last, _))) = (open.first_key_value(), open.last_key_value())
        else {
            return Self::default();
        };
        let weekdays = (*first..=*last).filter(|day| weekday(*day) < 5);
        let closed = weekdays.filter(|day| !open.contains_key(day)).collect();
        let short = open.iter().filter(|(_, length)| **length * 5 < usual * 4);
        Self {
            closed,
            short: short.map(|(day, _)| *day).collect(),
        }
    }

    /// Which sort of free day the day `number` is, if it is one.
    pub(crate) fn season(&self, number: i64) -> Option<Season> {
        let among = |days: &[i64]| days.binary_search(&number).is_ok();
        if among(&self.closed) {
            Some(Season::Holiday)
        } else {
            among(&self.short).then_some(Season::Short)
        }
    }
}

/// The venue's day: the middle of a session is on it, whatever the venue's zone.
fn day(session: &Session) -> i64 {
    let half = session.close.since(session.open).micros() / 2;
    Timestamp::from_micros(session.open.micros() + half).day()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A venue that trades for eight hours from `open` hours into each weekday, but not on the third day,
    /// and for four on the fourth; day 4 after the epoch was a Monday.
    fn venue(mic: &str, open: i64) -> Calendar {
        let weekdays = (4..60).filter(|day| weekday(*day) < 5 && *day != 6);
        let sessions = weekdays.map(|day| {
            let start = Timestamp::from_hour(day * 24 + open);
            let hours = if day == 7 { 4 } else { 8 };
            let close = Timestamp::from_hour(day * 24 + open + hours);
            Session { open: start, close }
        });
        let (from, until) = (Timestamp::from_hour(0), Timestamp::from_hour(60 * 24));
        Calendar::new(mic, "1", "", sessions.collect(), from, until)
    }

    #[test]
    fn a_weekday_without_a_session_is_a_holiday_and_a_shorter_one_short_wherever_the_venue_is() {
        for open in [-2, 0, 8, 14] {
            let days = FreeDays::of(&venue("XTST", open));
            let seasons: Vec<_> = (4..12).map(|day| days.season(day)).collect();
            let (holiday, short) = (Some(Season::Holiday), Some(Season::Short));
            let wanted = [None, None, holiday, short, None, None, None, None];
            assert_eq!(seasons, wanted, "{open}");
        }
    }

    #[test]
    fn who_works_for_two_venues_is_free_when_both_are() {
        let mut other = venue("XTWO", 8).sessions().to_vec();
        other.push(Session {
            open: Timestamp::from_hour(6 * 24 + 8),
            close: Timestamp::from_hour(6 * 24 + 16),
        });
        let (from, until) = (Timestamp::from_hour(0), Timestamp::from_hour(60 * 24));
        let other = Calendar::new("XTWO", "1", "", other, from, until);
        let holidays = Holidays::new(&Calendars::new(vec![venue("XONE", 8), other]));
        let of = |venues: &[&str]| holidays.of(venues.iter().copied());
        assert_eq!(of(&["XONE"]).unwrap().season(6), Some(Season::Holiday));
        let both = of(&["XONE", "XTWO"]).unwrap();
        assert_eq!(
            (both.season(6), both.season(7)),
            (None, Some(Season::Short))
        );
        assert_eq!(of(&["XONE", "XNIL"]), None);
        assert_eq!(of(&[]), None);
    }
}
