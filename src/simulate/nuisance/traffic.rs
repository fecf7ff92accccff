//! More traffic than usual, for a good reason: N9, N10, N15, N16.

use crate::simulate::PlanError;
use crate::simulate::act::{Step, step};
use crate::simulate::chance::Chance;
use crate::simulate::change::What;
use crate::simulate::day::micros;
use crate::simulate::identity::{Family, Identity};
use crate::simulate::market::local;
use crate::simulate::stage::{SECOND, Sign, Stage, is_weekday};

use super::Nuisance;

const MINUTE: i64 = 60_000_000;
/// How many of a desk N9 befalls at most.
const DESK: usize = 10;
/// How long N9 lasts.
const TURMOIL: i64 = 150 * MINUTE;
/// How long the outage of N10 lasts.
const OUTAGE: i64 = 40 * MINUTE;
/// How often a call of N10 is tried again, on average.
const RETRIES: f64 = 4.0;

const PROBES: &[Step] = &[
    step("account.list", "read", "accounts", "internal_api"),
    step("customer.export", "read", "customers", "customer_pii"),
    step("secret.read", "read", "secrets", "secrets"),
    step("admin.read_permissions", "admin", "roles", "iam"),
];

impl Stage<'_> {
    /// N9: algorithms of one venue, five times as busy for two and a half hours.
    pub(super) fn busy_market(
        &mut self,
        sign: Sign,
        chance: &mut Chance,
        instance: usize,
    ) -> Result<(), PlanError> {
        let none = PlanError::NoVictim(Nuisance::BusyMarket.code());
        let algo = |who: &Identity| who.family == Family::Algo;
        let lead = self.choose(chance, algo).ok_or(none)?;
        let mut desk =
            self.choose_many(chance, DESK - 1, |who| algo(who) && who.venue == lead.venue);
        desk.push(lead);
        let market = lead.market();
        let day = self.a_day(chance, |day| market.session(day).is_some());
        let (open, close) = market.hours(day);
        let room = (micros(close) - micros(open) - TURMOIL) / MINUTE;
        let from = micros(open) + chance.whole(0, room as usize) as i64 * MINUTE;
        for (nth, who) in desk.into_iter().enumerate() {
            // A stream of its own within those of the nuisance.
            let own = instance + ((nth + 1) << 10);
            let victim = &mut Identity {
                chance: self.nuisance_chance(Nuisance::BusyMarket, own),
                ..who.clone()
            };
            let mut acts = victim.day(day, 4.0);
            acts.retain(|act| (from..from + TURMOIL).contains(&act.ts));
            self.keep(sign, acts);
        }
        Ok(())
    }

    /// N10: all fails for a while, and is tried again and again; then what is left is caught up.
    ///
    /// A retry may cause further ones, sooner or later: a self-exciting cluster.
    pub(super) fn retry_storm(&mut self, sign: Sign, who: &Identity, victim: &mut Identity) {
        let mut from = 0;
        // An outage that nobody meets is none.
        for _ in 0..20 {
            let day = self.a_day(&mut victim.chance, is_weekday);
            let hour = victim.chance.whole(10, 16) as u32;
            from = micros(local(victim.zone, day, hour, 0));
            if self.usual(who, from, from + OUTAGE).len() >= 3 {
                break;
            }
        }
        let to = from + OUTAGE;
        let met = self.usual(who, from, to);
        self.change(who, from, to, What::Fails);
        let mut acts = Vec::new();
        for call in &met {
            let mut at = call.ts;
            let mut odds = 1.0;
            while victim.chance.happens(odds) {
                at += (victim.chance.weibull(45.0, 0.7) * SECOND) as i64;
                if at >= to {
                    break;
                }
                let mut retry = victim.act(at, call.step, call.session);
                (retry.number, retry.outcome) = (call.number, "fail");
                acts.push(retry);
                odds = 1.0 - 1.0 / RETRIES;
            }
            let at = to + (victim.chance.weibull(90.0, 0.8).min(900.0) * SECOND) as i64;
            let mut done = victim.act(at, call.step, call.session);
            (done.number, done.outcome) = (call.number, "ok");
            acts.push(done);
        }
        acts.retain(|act| act.ts < self.end);
        let times = || met.iter().chain(&acts).map(|act| act.ts);
        if let (Some(first), Some(last)) = (times().min(), times().max()) {
            self.label(sign, who.who, first, last);
        }
        self.acts.append(&mut acts);
    }

    /// N15: ten times its rate for an hour, under an approved change.
    pub(super) fn load_test(&mut self, sign: Sign, victim: &mut Identity) {
        let (at, approval) = self.announced(victim);
        let count = (10.0 * victim.rate) as usize;
        let mut acts = Vec::new();
        for nth in 0..count {
            let step = victim.steps[victim.chance.zipf(victim.steps.len(), victim.skew)];
            let at = at + (nth as f64 / count as f64 * 3600.0 * SECOND) as i64;
            let mut act = victim.act(at, step, None);
            act.approval = Some(approval);
            acts.push(act);
        }
        self.keep(sign, acts);
    }

    /// N16: 60 calls in an hour from the testers' network, half of them denied.
    pub(super) fn pen_test(&mut self, sign: Sign, victim: &mut Identity) {
        let (mut at, approval) = self.announced(victim);
        victim.ips = vec![[198, 51, 100, victim.chance.whole(2, 254) as u8]];
        let mut acts = Vec::new();
        for nth in 0..60 {
            at += (victim.chance.weibull(60.0, 0.8).min(300.0) * SECOND) as i64;
            let mut act = victim.act(at, PROBES[nth % PROBES.len()], None);
            act.outcome = if victim.chance.happens(0.5) {
                "denied"
            } else {
                "ok"
            };
            act.approval = Some(approval);
            acts.push(act);
        }
        self.keep(sign, acts);
    }

    /// When something announced begins, and under which change.
    fn announced(&self, victim: &mut Identity) -> (i64, u32) {
        let day = self.a_day(&mut victim.chance, is_weekday);
        let hour = victim.chance.whole(10, 16) as u32;
        let approval = victim.chance.whole(100_000, 1_000_000) as u32;
        (micros(local(victim.zone, day, hour, 0)), approval)
    }
}
