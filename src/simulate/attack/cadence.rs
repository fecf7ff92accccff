//! A13: a job that runs every night no longer does.

use chrono::NaiveDate;

use crate::simulate::change::What;
use crate::simulate::day::micros;
use crate::simulate::identity::Identity;
use crate::simulate::market::local;
use crate::simulate::stage::{Sign, Stage, midnight};

const HOUR: i64 = 3_600_000_000;
/// Nights that are left to see that it is gone.
const ROOM: usize = 5;

impl Stage<'_> {
    /// Killed for good or, every other time, replaced by a look-alike some hours later.
    ///
    /// The label begins when the first missing run was due.
    pub(super) fn cadence_break(&mut self, sign: Sign, victim: &mut Identity, instance: usize) {
        let first = self.a_day_with_room(&mut victim.chance, ROOM);
        self.change(victim, midnight(first), self.end, What::Silent);
        let nights = self.scored.iter().copied().filter(|&day| day >= first);
        let nights: Vec<NaiveDate> = nights.collect();
        let (zone, (hour, minute)) = (victim.zone, victim.hours);
        let due = |day| micros(local(zone, day, hour, minute));
        let mut last = nights.last().map_or(due(first), |&day| due(day));
        if instance % 2 == 1 {
            let by = victim.chance.whole(5, 10) as i64 * HOUR;
            for &day in &nights {
                let mut acts = victim.day(day, 1.0);
                acts.iter_mut().for_each(|act| act.ts += by);
                acts.retain(|act| act.ts < self.end);
                last = acts.iter().map(|act| act.ts).fold(last, i64::max);
                self.acts.append(&mut acts);
            }
        }
        self.label(sign, victim.who, due(first), last);
    }
}
