//! Attacks on trading: A5, A6, A15.

use crate::simulate::act::Act;
use crate::simulate::day::micros;
use crate::simulate::identity::Identity;
use crate::simulate::market::{VENUES, is_weekend, local};
use crate::simulate::stage::{DAY, SECOND, Stage, is_weekday, midnight};

const MINUTE: i64 = 60_000_000;

impl Stage<'_> {
    /// A5: a burst of new orders while the venue is closed: at night, on a weekend, on a holiday.
    pub(super) fn off_hours(&self, victim: &mut Identity, instance: usize) -> Vec<Act> {
        let venue = &VENUES[victim.venue];
        let holiday = |day| venue.is_holiday(day);
        let (day, hour) = match instance % 3 {
            1 => (self.a_day(&mut victim.chance, is_weekend), 11),
            2 if self.scored.iter().any(|&day| holiday(day)) => {
                (self.a_day(&mut victim.chance, holiday), 11)
            }
            _ => (self.a_day(&mut victim.chance, is_weekday), 2),
        };
        // Where the scored days hold no weekend, the night will do.
        let hour = if venue.session(day).is_some() {
            2
        } else {
            hour
        };
        let at = micros(local(
            venue.zone,
            day,
            hour,
            victim.chance.whole(5, 50) as u32,
        ));
        self.new_orders(victim, at)
    }

    /// New orders about a minute apart.
    fn new_orders(&self, victim: &mut Identity, mut at: i64) -> Vec<Act> {
        let create = victim.steps[0];
        (0..self.size(18.0))
            .map(|_| {
                at += (victim.chance.weibull(60.0, 0.8) * SECOND).min(300.0 * SECOND) as i64;
                victim.act(at, create, None)
            })
            .collect()
    }

    /// A6: orders elsewhere, while both its own venue and that one are open.
    pub(super) fn foreign_venue(&self, victim: &mut Identity) -> Vec<Act> {
        let own = &VENUES[victim.venue];
        let others: Vec<_> = (0..VENUES.len()).filter(|&at| at != victim.venue).collect();
        let other = *victim.chance.pick(&others);
        let both = |day| {
            let ((open, close), (opens, closes)) = (own.session(day)?, VENUES[other].session(day)?);
            Some((micros(open.max(opens)), micros(close.min(closes))))
        };
        let day = self.a_day(&mut victim.chance, |day| both(day).is_some());
        // Without a trading day there is none to trade on: midday is as good as any time.
        let midday = midnight(day) + DAY / 2;
        let (open, close) = both(day).unwrap_or((midday, midday + 120 * MINUTE));
        victim.venue = other;
        victim.symbols = VENUES[other].symbols.to_vec();
        let room = (close - open) / MINUTE - 60;
        let begin = open + victim.chance.whole(5, room.max(6) as usize) as i64 * MINUTE;
        let mut acts = self.new_orders(victim, begin);
        acts.retain(|act| act.ts < close);
        acts
    }

    /// A15: each of its orders of one session once more, a moment later and from a second host.
    pub(super) fn doubled_bot(&self, who: &Identity, victim: &mut Identity) -> Vec<Act> {
        let venue = &VENUES[victim.venue];
        let day = self.a_day(&mut victim.chance, |day| venue.session(day).is_some());
        let host = second_host(victim);
        let mut acts = Vec::new();
        for order in self.usual(who, midnight(day), midnight(day) + DAY) {
            let wanted = self.plan.strength;
            let more = usize::from(victim.chance.happens(wanted.fract()));
            for _ in 0..wanted as usize + more {
                let mut copy = order.clone();
                copy.uid = victim.chance.bits();
                copy.ts += (victim.chance.lognormal(0.15, 0.6) * SECOND) as i64;
                copy.ip = host;
                acts.push(copy);
            }
        }
        acts
    }
}

/// A host beside its own that it never worked on.
fn second_host(victim: &Identity) -> [u8; 4] {
    let [a, b, c, d] = victim.ips[0];
    let mut host = [a, b, c, d.wrapping_add(1)];
    while victim.ips.contains(&host) {
        host[3] = host[3].wrapping_add(1);
    }
    host
}
