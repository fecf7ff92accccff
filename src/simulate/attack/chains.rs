//! Attacks that are known calls in a new order, or new ones after each other: A7, A8, A14, A18 to A20.

use chrono::Duration;

use crate::simulate::PlanError;
use crate::simulate::act::{Act, Step, step};
use crate::simulate::chance::Chance;
use crate::simulate::day::micros;
use crate::simulate::identity::{Family, Identity};
use crate::simulate::market::local;
use crate::simulate::stage::{SECOND, Sign, Stage, is_weekday};

use super::Attack;

/// How many peers A18 befalls.
const PEERS: f64 = 20.0;
/// Fewer are no crowd.
const FEWEST_PEERS: usize = 3;
/// The calls of an abnormal walk.
const WALK: usize = 4;

const READ_SECRET: Step = step("tool:read_secret", "tool", "vault/prod/signing", "secrets");
const HTTP_POST: Step = step(
    "tool:http_post",
    "tool",
    "https://paste.example",
    "external",
);
const FETCH_WEB: Step = step("tool:fetch_web", "tool", "web", "external");
const READ_CUSTOMER: Step = step("tool:read_customer", "tool", "customers", "customer_pii");
const SEND_MAIL: Step = step(
    "tool:send_mail",
    "tool",
    "mail/drop@mail.example",
    "external",
);
const AWS_SECRET: Step = step(
    "secretsmanager:GetSecretValue",
    "read",
    "prod/payments/signing",
    "secrets",
);
/// Writing to a bucket of somebody else's.
pub(super) const AWS_POST: Step = step("s3:PutObject", "write", "drop-zone-outside", "external");

/// What is said is sent to a translator outside.
const TRANSLATE: Step = step("tool:translate", "tool", "translator", "external");

impl Stage<'_> {
    /// A7: a secret, then a post to the outside; for an agent after two steps of its usual work.
    pub(super) fn secret_to_outside(&self, victim: &mut Identity) -> Vec<Act> {
        let steps = leak(victim);
        let at = self.working_time(victim);
        chain(victim, at, &steps)
    }

    /// A8: what a web page told an agent to do.
    pub(super) fn injected_agent(&self, victim: &mut Identity) -> Vec<Act> {
        let at = self.working_time(victim);
        chain(victim, at, &[FETCH_WEB, READ_CUSTOMER, SEND_MAIL])
    }

    /// A14: sessions whose every pair of calls is usual, and whose order is not.
    pub(super) fn abnormal_order(&self, victim: &mut Identity) -> Vec<Act> {
        let walks = unseen_walks(victim.workflows);
        let mut at = self.working_time(victim);
        let mut acts = Vec::new();
        for _ in 0..self.size(6.0) {
            let walk = victim.chance.pick(&walks).clone();
            acts.append(&mut chain(victim, at, &walk));
            at += pause(victim);
        }
        acts
    }

    /// A19: an agent that has had texts translated outside twice a day sends what it read of customers
    /// the same way. The habit is not labelled, only what it then carries.
    pub(super) fn known_leak(&mut self, victim: &mut Identity) -> Vec<Act> {
        let Some(detour) = detour(victim) else {
            return Vec::new();
        };
        let mut day = self.plan.start.date_naive();
        for _ in 0..self.plan.days {
            if is_weekday(day) {
                for hour in [9, 14] {
                    let at = micros(local(victim.zone, day, hour, 0));
                    let at = at + (victim.chance.between(0.0, 2.0 * 3600.0) * SECOND) as i64;
                    let habit = chain(victim, at, &detour.habit);
                    self.acts
                        .extend(habit.into_iter().filter(|act| act.ts < self.end));
                }
            }
            day += Duration::days(1);
        }
        let leaks = vec![detour.leak; self.size(3.0)];
        let at = self.working_time(victim);
        one_by_one(victim, at, &leaks)
    }

    /// A20: sessions that go from the first step of a workflow to its last.
    pub(super) fn skipped_steps(&self, victim: &mut Identity) -> Vec<Act> {
        let shortcuts = shortcuts(victim.workflows);
        let shortcut = *victim.chance.pick(&shortcuts);
        let taken = vec![shortcut; self.size(3.0)];
        let at = self.working_time(victim);
        one_by_one(victim, at, &taken)
    }

    /// A18: A7 on many of one family, on one day within three hours.
    pub(super) fn many_peers(
        &mut self,
        sign: Sign,
        chance: &mut Chance,
        instance: usize,
    ) -> Result<(), PlanError> {
        let free = |family| self.free(|who| who.family == family).len();
        let family = if free(Family::Agent) < FEWEST_PEERS {
            Family::Cloud
        } else {
            Family::Agent
        };
        // A third of them stays for others.
        let most = self.size(PEERS).min(free(family) * 2 / 3).max(FEWEST_PEERS);
        let peers = self.choose_many(chance, most, |who| who.family == family);
        if peers.len() < FEWEST_PEERS {
            return Err(PlanError::NoVictim(Attack::ManyPeers.code()));
        }
        let day = self.a_day(chance, is_weekday);
        let begin = micros(local(chrono_tz::UTC, day, 13, 0));
        for (nth, who) in peers.into_iter().enumerate() {
            // A stream of its own within those of the attack.
            let own = instance + ((nth + 1) << 10);
            let victim = &mut Identity {
                chance: self.attack_chance(Attack::ManyPeers, own),
                ..who.clone()
            };
            let at = begin + (chance.between(0.0, 3.0 * 3600.0) * SECOND) as i64;
            let acts = chain(victim, at, &leak(victim));
            self.keep(sign, acts);
        }
        Ok(())
    }

    /// A moment of the victim's working hours on a scored weekday.
    fn working_time(&self, victim: &mut Identity) -> i64 {
        let day = self.a_day(&mut victim.chance, is_weekday);
        let hour = victim.chance.whole(10, 15) as u32;
        let minute = victim.chance.whole(0, 60) as u32;
        micros(local(victim.zone, day, hour, minute))
    }
}

fn leak(victim: &Identity) -> Vec<Step> {
    if victim.is_cloud() {
        return vec![AWS_SECRET, AWS_POST];
    }
    let known = victim.workflows[0];
    vec![known[0], known[1], READ_SECRET, HTTP_POST]
}

/// One session of these steps, all of which succeed.
fn chain(victim: &mut Identity, mut at: i64, steps: &[Step]) -> Vec<Act> {
    let session = Some(victim.chance.bits() as u64);
    steps
        .iter()
        .map(|&step| {
            let mut act = victim.act(at, step, session);
            act.outcome = "ok";
            at += (victim.chance.lognormal(6.0, 0.5).clamp(1.0, 60.0) * SECOND) as i64;
            act
        })
        .collect()
}

/// These sessions, some minutes after each other.
fn one_by_one(victim: &mut Identity, mut at: i64, sessions: &[impl AsRef<[Step]>]) -> Vec<Act> {
    let mut acts = Vec::new();
    for steps in sessions {
        acts.append(&mut chain(victim, at, steps.as_ref()));
        at += pause(victim);
    }
    acts
}

/// Microseconds until it is misused again.
fn pause(victim: &mut Identity) -> i64 {
    (victim.chance.weibull(1200.0, 0.9).clamp(300.0, 3600.0) * SECOND) as i64
}

/// A way of an agent's to the outside, and what can leave by it.
pub(super) struct Detour {
    /// A session without anything of customers.
    pub(super) habit: Vec<Step>,
    /// One that has read of them before it takes the same steps to the outside.
    pub(super) leak: Vec<Step>,
}

/// The detour of `who`, if it reads of customers and can go on as if it had not: every pair of calls of
/// the leak is in a workflow or in the habit.
pub(super) fn detour(who: &Identity) -> Option<Detour> {
    let mut flows = who.workflows.iter();
    let (flow, at) = flows.find_map(|flow| {
        let at = flow
            .iter()
            .position(|step| step.resource_class == "customer_pii")?;
        (at > 0 && at + 2 < flow.len()).then_some((*flow, at))
    })?;
    let (first, after, last) = (flow[0], flow[at + 1], flow[flow.len() - 1]);
    Some(Detour {
        habit: vec![first, after, TRANSLATE, last],
        leak: [&flow[..=at + 1], &[TRANSLATE]].concat(),
    })
}

/// From the first to the last step of a workflow, where no workflow goes there at once.
pub(super) fn shortcuts(workflows: &[&[Step]]) -> Vec<[Step; 2]> {
    let ends = workflows.iter().map(|flow| [flow[0], flow[flow.len() - 1]]);
    let goes = |flow: &[Step], ends: &[Step; 2]| flow.windows(2).any(|two| same(two, ends));
    let usual = |ends: &[Step; 2]| workflows.iter().any(|flow| goes(flow, ends));
    ends.filter(|ends| !usual(ends)).collect()
}

/// Walks over pairs of calls that workflows hold, with three in a row that none of them holds.
pub(super) fn unseen_walks(workflows: &[&[Step]]) -> Vec<Vec<Step>> {
    let holds = |run: &[Step]| {
        let mut flows = workflows.iter();
        flows.any(|flow| flow.windows(run.len()).any(|seen| same(seen, run)))
    };
    let add = |walks: &mut Vec<Vec<Step>>, walk: Vec<Step>| {
        if !walks.iter().any(|other| same(other, &walk)) {
            walks.push(walk);
        }
    };
    let mut walks = Vec::new();
    for flow in workflows {
        add(&mut walks, vec![flow[0]]);
    }
    for _ in 1..WALK {
        let mut longer = Vec::new();
        for walk in &walks {
            for &next in workflows.iter().copied().flatten() {
                let walk = [walk.as_slice(), &[next]].concat();
                if holds(&walk[walk.len() - 2..]) {
                    add(&mut longer, walk);
                }
            }
        }
        walks = longer;
    }
    walks.retain(|walk| walk.windows(3).any(|run| !holds(run)));
    walks
}

fn same(one: &[Step], other: &[Step]) -> bool {
    let mut pairs = one.iter().zip(other);
    one.len() == other.len() && pairs.all(|(a, b)| a.action == b.action)
}
