//! Attacks that are too much: A3, A4, A17.

use chrono::{Duration, NaiveDate};

use crate::simulate::act::{Act, Facts, Step};
use crate::simulate::day::micros;
use crate::simulate::identity::Identity;
use crate::simulate::market::local;
use crate::simulate::stage::{DAY, SECOND, Stage, midnight};

/// Days over which A4 grows.
const LEAK_DAYS: usize = 10;
/// How A4 grows from day to day.
const LEAK_GROWTH: f64 = 1.3;
/// Days over which A17 warms the water.
const RAMP_DAYS: usize = 14;
/// How A17 grows from day to day.
const RAMP_GROWTH: f64 = 1.05;

impl Stage<'_> {
    /// A3: its usual reads, 50 times its hourly rate, over many more resources than usual.
    pub(super) fn bulk_read(&self, victim: &mut Identity) -> Vec<Act> {
        let day = self.a_day(&mut victim.chance, |_| true);
        self.burst(victim, day, 50.0)
    }

    /// One hour of reads at `times` its rate.
    fn burst(&self, victim: &mut Identity, day: NaiveDate, times: f64) -> Vec<Act> {
        let (hour, minute) = (
            victim.chance.whole(1, 22) as u32,
            victim.chance.whole(0, 60) as u32,
        );
        let begin = micros(local(chrono_tz::UTC, day, hour, minute));
        let reads = reads(victim);
        let count = self.size(times * victim.rate);
        (0..count)
            .map(|nth| {
                let at = begin + (nth as f64 / count as f64 * 3600.0 * SECOND) as i64;
                let mut act = victim.act(at, reads[nth % reads.len().min(2)], None);
                act.number = 1000 + nth;
                act
            })
            .collect()
    }

    /// A4: a few larger reads a day; with them it moves 30 % more bytes every day.
    pub(super) fn slow_leak(&self, who: &Identity, victim: &mut Identity) -> Vec<Act> {
        let days = LEAK_DAYS.min(self.scored.len());
        let first = self.a_day_with_room(&mut victim.chance, days);
        let before = self.usual(who, midnight(first) - 14 * DAY, midnight(first));
        let known = ((midnight(first) - midnight(self.plan.start.date_naive())) / DAY).clamp(1, 14);
        let daily = |total: f64| total / known as f64;
        let bytes = daily(before.iter().map(|act| bytes(act) as f64).sum());
        let calls = (daily(before.len() as f64) * 0.05).round().max(4.0) as usize;
        let read = reads(victim)[0];
        let mut acts = Vec::new();
        for day in 1..=days {
            let date = first + Duration::days(day as i64 - 1);
            let excess = bytes * (LEAK_GROWTH.powi(day as i32) - 1.0) * self.plan.strength;
            let mut at = micros(local(chrono_tz::UTC, date, 8, 0));
            for _ in 0..calls {
                let gap = 10.0 * 3600.0 / calls as f64;
                at += (victim.chance.between(0.5, 1.5) * gap * SECOND) as i64;
                let mut act = victim.act(at, read, None);
                let share = victim.chance.between(0.8, 1.2) / calls as f64;
                (act.outcome, act.facts) = ("ok", Facts::Bytes((excess * share) as u64));
                acts.push(act);
            }
        }
        acts
    }

    /// A17: 5 % more every day for two weeks, then an hour at 30 times its rate.
    pub(super) fn boiling_frog(&self, victim: &mut Identity) -> Vec<Act> {
        let days = RAMP_DAYS.min(self.scored.len() - 1);
        let first = self.a_day_with_room(&mut victim.chance, days + 1);
        let mut acts = Vec::new();
        for day in 1..=days {
            let date = first + Duration::days(day as i64 - 1);
            acts.append(&mut victim.day(date, RAMP_GROWTH.powi(day as i32) - 1.0));
        }
        let last = first + Duration::days(days as i64);
        acts.append(&mut self.burst(victim, last, 30.0));
        acts
    }
}

fn reads(victim: &Identity) -> Vec<Step> {
    let steps = victim.steps.iter().copied();
    steps.filter(|step| step.class == "read").collect()
}

fn bytes(act: &Act) -> u64 {
    match act.facts {
        Facts::Bytes(bytes) => bytes,
        _ => 0,
    }
}
