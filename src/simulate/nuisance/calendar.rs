//! What the calendar does: N2, N6, N7, N8, N14.

use chrono::{Datelike, Duration, NaiveDate, Offset, TimeZone};
use chrono_tz::Tz;

use crate::simulate::change::What;
use crate::simulate::day::micros;
use crate::simulate::identity::{Identity, ZONES};
use crate::simulate::market::VENUES;
use crate::simulate::stage::{DAY, Sign, Stage, is_month_end, is_weekday, midnight};

use super::SETTLING;

/// Whether the clocks of `zone` change on `day`.
pub(super) fn clock_change(zone: Tz, day: NaiveDate) -> bool {
    let offset = |day: NaiveDate| {
        let start = day.and_hms_opt(0, 0, 0).unwrap_or_default();
        zone.offset_from_utc_datetime(&start).fix()
    };
    offset(day) != offset(day + Duration::days(1))
}

pub(super) fn any_clock_change(day: NaiveDate) -> bool {
    ZONES.iter().any(|&zone| clock_change(zone, day))
}

pub(super) fn any_holiday(day: NaiveDate) -> bool {
    VENUES.iter().any(|venue| venue.is_holiday(day))
}

pub(super) fn any_half_day(day: NaiveDate) -> bool {
    VENUES.iter().any(|venue| venue.early(day).is_some())
}

impl Stage<'_> {
    /// N2: 2.5 times as busy on the last weekday before a month's end or its middle.
    pub(super) fn month_end(&mut self, sign: Sign, victim: &mut Identity) {
        let pays =
            |day: NaiveDate| day.day() == 15 || (day + Duration::days(1)).month() != day.month();
        let expected = |day: NaiveDate| {
            let within = |ahead: i64| day + Duration::days(ahead);
            is_weekday(day)
                && (0..3)
                    .any(|ahead| pays(within(ahead)) && (1..=ahead).all(|n| !is_weekday(within(n))))
        };
        let day = if self.scored.iter().any(|&day| expected(day)) {
            self.a_day(&mut victim.chance, expected)
        } else {
            self.a_day(&mut victim.chance, is_weekday)
        };
        let acts = victim.day(day, 1.5);
        self.keep(sign, acts);
    }

    /// N6: nothing is done at all; the week from the change on is labelled.
    pub(super) fn clock_change(&mut self, sign: Sign, victim: &mut Identity) {
        let day = self.a_day(&mut victim.chance, |day| clock_change(victim.zone, day));
        let from = midnight(day);
        self.label(
            sign,
            victim.who,
            from,
            (from + SETTLING * DAY).min(self.end) - 1,
        );
    }

    /// N7: nothing is done at all; the session that is not held is labelled.
    pub(super) fn holiday(&mut self, sign: Sign, victim: &mut Identity) {
        let market = victim.market();
        let day = self.a_day(&mut victim.chance, |day| market.is_holiday(day));
        let (open, close) = market.hours(day);
        self.label(sign, victim.who, micros(open), micros(close));
    }

    /// N8: orders until the early close.
    pub(super) fn early_close(&mut self, sign: Sign, victim: &mut Identity) {
        let market = victim.market();
        let day = self.a_day(&mut victim.chance, |day| market.early(day).is_some());
        let mut acts = Vec::new();
        if let Some((open, close)) = market.early(day) {
            victim.trade(open, close, 1.0, &mut acts);
        }
        self.keep(sign, acts);
    }

    /// N14: all its other runs are left out; the last run at a month's end is labelled.
    pub(super) fn monthly_job(&mut self, sign: Sign, who: &Identity) {
        let mut day = self.plan.start.date_naive();
        let mut label = None;
        while midnight(day) < self.end {
            let (from, to) = (midnight(day), midnight(day) + DAY);
            if is_month_end(day) {
                let run = self.usual(who, from, to);
                if let (true, Some(first), Some(last)) =
                    (self.scored.contains(&day), run.first(), run.last())
                {
                    label = Some((first.ts, last.ts));
                }
            } else {
                self.change(who, from, to, What::Silent);
            }
            day += Duration::days(1);
        }
        // A run that was missed anyhow disturbs nobody.
        if let Some((first, last)) = label {
            self.label(sign, who.who, first, last);
        }
    }
}
