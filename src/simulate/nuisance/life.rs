//! Beginnings and clocks: N11, N12.

use chrono::Duration;

use crate::simulate::change::What;
use crate::simulate::identity::Identity;
use crate::simulate::stage::{DAY, Sign, Stage, is_weekday, midnight};

const SECOND: i64 = 1_000_000;

impl Stage<'_> {
    /// N11: one to two minutes ahead, for three days.
    pub(super) fn clock_skew(&mut self, sign: Sign, who: &Identity, victim: &mut Identity) {
        let first = self.a_day_with_room(&mut victim.chance, 4);
        let ahead = victim.chance.whole(60, 120) as i64 * SECOND;
        let from = midnight(first);
        self.change(who, from, from + 3 * DAY, What::Later(ahead));
        self.label_usual(sign, who, from, 3);
    }

    /// N12: nothing before a scored day; the first two weeks are labelled.
    pub(super) fn onboarding(&mut self, sign: Sign, who: &Identity, victim: &mut Identity) {
        let first = self.a_day_with_room(&mut victim.chance, 7);
        let mut next = (0..3).map(|ahead| first + Duration::days(ahead));
        let first = next.find(|&day| is_weekday(day)).unwrap_or(first);
        self.change(who, i64::MIN, midnight(first), What::Silent);
        self.lives.entry(who.who).or_default().created = Some(first);
        self.label_usual(sign, who, midnight(first), 14);
    }
}
