//! What a release or an operator changes: N1, N3, N4, N5, N13, N17, N18.

use crate::simulate::PlanError;
use crate::simulate::act::{Act, Step, step};
use crate::simulate::chance::Chance;
use crate::simulate::change::What;
use crate::simulate::day::micros;
use crate::simulate::identity::{Family, Identity};
use crate::simulate::market::local;
use crate::simulate::stage::{SECOND, Sign, Stage, is_weekday, midnight};

use super::{Nuisance, SETTLING};

const HOUR: i64 = 3_600_000_000;
/// How many of a group N3 befalls at most.
const GROUP: usize = 5;

const NEW_API: Step = step(
    "s3:GetObjectTagging",
    "read",
    "bank-exports-prod",
    "settlement",
);
const NEW_READ: Step = step("account.read_v2", "read", "accounts", "internal_api");

impl Stage<'_> {
    /// N1: from a scored day on.
    pub(super) fn deployment(&mut self, sign: Sign, victim: &mut Identity) {
        let first = self.a_day(&mut victim.chance, is_weekday);
        let acts = self.new_api(victim, micros(local(chrono_tz::UTC, first, 9, 0)));
        self.keep_lasting(sign, acts);
    }

    /// N3: the same for some of one application's identities, on the same morning.
    pub(super) fn group_deployment(
        &mut self,
        sign: Sign,
        chance: &mut Chance,
        instance: usize,
    ) -> Result<(), PlanError> {
        let grouped = |who: &Identity| {
            matches!(
                who.family,
                Family::Cloud | Family::Payment | Family::Integration | Family::Poller
            )
        };
        let free = self.free(grouped);
        // The largest group that is left: a crowd is what it is about.
        let size = |group: &str| free.iter().filter(|who| who.group() == group).count();
        let largest = free
            .iter()
            .map(|who| who.group())
            .max_by_key(|g| (size(g), *g));
        let group = largest
            .filter(|group| size(group) >= 2)
            .ok_or(PlanError::NoVictim(Nuisance::GroupDeployment.code()))?
            .to_owned();
        let members = self.choose_many(chance, GROUP, |who| grouped(who) && who.group() == group);
        let first = self.a_day(chance, is_weekday);
        let begin = micros(local(chrono_tz::UTC, first, 9, 0));
        for (nth, who) in members.into_iter().enumerate() {
            // A stream of its own within those of the nuisance.
            let own = instance + ((nth + 1) << 10);
            let victim = &mut Identity {
                chance: self.nuisance_chance(Nuisance::GroupDeployment, own),
                ..who.clone()
            };
            let acts = self.new_api(victim, begin + nth as i64 * 120_000_000);
            self.keep_lasting(sign, acts);
        }
        Ok(())
    }

    /// Some calls of a new read a day, from `begin` on.
    fn new_api(&self, victim: &mut Identity, begin: i64) -> Vec<Act> {
        let new = if victim.is_cloud() { NEW_API } else { NEW_READ };
        let mut acts = Vec::new();
        for &day in self
            .scored
            .iter()
            .filter(|&&day| midnight(day) + 24 * HOUR > begin)
        {
            let mut at = begin.max(micros(local(chrono_tz::UTC, day, 9, 0)));
            for _ in 0..victim.chance.whole(6, 14) {
                at += (victim.chance.weibull(1800.0, 0.9).min(3600.0) * SECOND) as i64;
                acts.push(victim.act(at, new, None));
            }
        }
        acts
    }

    /// N4: for good, from one morning on.
    pub(super) fn blue_green(&mut self, sign: Sign, who: &Identity, victim: &mut Identity) {
        let from = self.a_morning(victim);
        let other = victim.chance.whole(128, 250) as u8;
        let network = match victim.family {
            Family::Integration => [198, 51, 100],
            _ => [10, other, who.who as u8],
        };
        self.change(who, from, self.end, What::Network(network));
        self.label_usual(sign, who, from, SETTLING);
    }

    /// N5: for good, from one morning on.
    pub(super) fn key_rotation(&mut self, sign: Sign, who: &Identity, victim: &mut Identity) {
        let from = self.a_morning(victim);
        let key = victim.chance.bits() as u64 | 1;
        self.change(who, from, self.end, What::Key(key));
        self.label_usual(sign, who, from, SETTLING);
    }

    /// N13: one or two hours later, for good.
    pub(super) fn moved_job(&mut self, sign: Sign, who: &Identity, victim: &mut Identity) {
        let first = self.a_day_with_room(&mut victim.chance, 5);
        let by = victim.chance.whole(2, 5) as i64 * HOUR / 2;
        self.change(who, midnight(first), self.end, What::Later(by));
        let (hour, minute) = who.hours;
        let due = micros(local(who.zone, first, hour, minute));
        let run = self.usual(
            who,
            midnight(first),
            midnight(first) + (SETTLING + 1) * 24 * HOUR,
        );
        let last = run.last().map_or(due, |act| act.ts) + by;
        // It is missed from when it used to run.
        self.label(sign, who.who, due, last.clamp(due, self.end - 1));
    }

    /// N17: for a week.
    pub(super) fn address_pool(&mut self, sign: Sign, who: &Identity, victim: &mut Identity) {
        let first = self.a_day_with_room(&mut victim.chance, SETTLING as usize);
        let from = midnight(first);
        let pool = [10, victim.chance.whole(64, 96) as u8];
        self.change(who, from, from + SETTLING * 24 * HOUR, What::Pool(pool));
        self.label_usual(sign, who, from, SETTLING);
    }

    /// N18: from a scored day on every other session is a variation of a known one.
    pub(super) fn model_upgrade(&mut self, sign: Sign, victim: &mut Identity) {
        let first = self.a_day(&mut victim.chance, is_weekday);
        let days: Vec<_> = self
            .scored
            .iter()
            .copied()
            .filter(|&day| day >= first)
            .collect();
        let mut acts = Vec::new();
        for day in days.into_iter().filter(|&day| is_weekday(day)) {
            let sessions =
                (victim.rate * f64::from(victim.hours.1 - victim.hours.0) / 2.0) as usize;
            for _ in 0..sessions.max(2) {
                let hour = victim
                    .chance
                    .whole(victim.hours.0 as usize, victim.hours.1 as usize);
                let minute = victim.chance.whole(0, 55) as u32;
                let mut at = micros(local(victim.zone, day, hour as u32, minute));
                let session = Some(victim.chance.bits() as u64);
                for step in variation(victim) {
                    acts.push(victim.act(at, step, session));
                    at += (victim.chance.lognormal(6.0, 0.7) * SECOND) as i64;
                }
            }
        }
        self.keep_lasting(sign, acts);
    }

    /// 06:00 UTC of a scored day that leaves a week to watch.
    fn a_morning(&self, victim: &mut Identity) -> i64 {
        let day = self.a_day_with_room(&mut victim.chance, SETTLING as usize);
        micros(local(chrono_tz::UTC, day, 6, 0))
    }
}

/// One of its workflows with a call left out, repeated, or exchanged with the next.
fn variation(victim: &mut Identity) -> Vec<Step> {
    let flows = victim.workflows;
    let mut flow = flows[victim.chance.zipf(flows.len(), 1.0)].to_vec();
    let at = victim.chance.whole(0, flow.len() - 1);
    match victim.chance.whole(0, 3) {
        0 => drop(flow.remove(at)),
        1 => flow.insert(at, flow[at]),
        _ => flow.swap(at, at + 1),
    }
    flow
}
