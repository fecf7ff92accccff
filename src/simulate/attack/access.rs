//! Attacks with somebody's key, or with rights nobody uses: A1, A2, A9, A10, A11, A12, A16.

use chrono::Duration;

use crate::simulate::act::{Act, Facts, Step, step};
use crate::simulate::change::What;
use crate::simulate::day::micros;
use crate::simulate::identity::Identity;
use crate::simulate::market::local;
use crate::simulate::stage::{SECOND, Stage, is_weekday, midnight};

use super::chains::AWS_POST;

const HOUR: i64 = 3_600_000_000;
/// How long A9 sleeps at least, in days.
const SLEEP: usize = 31;
/// The calls of two hours in which A12 tries, its denials apart.
const PROBE_CALLS: usize = 84;

const CLOUD_LISTS: &[Step] = &[
    step("iam:ListRoles", "read", "all-roles", "iam"),
    step("iam:ListUsers", "read", "all-users", "iam"),
    step("secretsmanager:ListSecrets", "read", "all", "secrets"),
    step("dynamodb:ListTables", "read", "all", "internal_api"),
    step("sqs:ListQueues", "read", "all", "internal_api"),
    step("kms:ListKeys", "read", "all", "secrets"),
];
const LISTS: &[Step] = &[
    step("account.list", "read", "accounts", "internal_api"),
    step("customer.list", "read", "customers", "customer_pii"),
    step("role.list", "read", "roles", "iam"),
    step("secret.list", "read", "secrets", "secrets"),
    step("service.list", "read", "services", "internal_api"),
];
const CLOUD_ADMIN: &[Step] = &[
    step(
        "iam:GetAccountAuthorizationDetails",
        "admin",
        "account",
        "iam",
    ),
    step("iam:ListRolePolicies", "admin", "all-roles", "iam"),
    step("kms:GetKeyPolicy", "admin", "all-keys", "iam"),
];
const ADMIN: &[Step] = &[
    step("admin.read_permissions", "admin", "roles", "iam"),
    step("admin.export_config", "admin", "config", "iam"),
    step("admin.read_audit", "admin", "audit", "iam"),
];
const CLOUD_FORBIDDEN: &[Step] = &[
    step("s3:GetObject", "read", "bank-payroll-prod", "customer_pii"),
    step(
        "secretsmanager:GetSecretValue",
        "read",
        "prod/payments/signing",
        "secrets",
    ),
    step("iam:CreateAccessKey", "admin", "ops-breakglass", "iam"),
];
const FORBIDDEN: &[Step] = &[
    step("customer.export", "read", "customers", "customer_pii"),
    step("payment.approve", "admin", "payments", "payment_rail"),
    step("secret.read", "read", "secrets", "secrets"),
];
const MORE_RIGHTS: &[Step] = &[
    step("iam:PutRolePolicy", "admin", "self", "iam"),
    step("iam:AttachRolePolicy", "admin", "self", "iam"),
];
const TAKE: Step = step(
    "s3:GetObject",
    "read",
    "bank-customers-prod",
    "customer_pii",
);

impl Stage<'_> {
    /// A1: a third of its usual calls for six hours, from an address never seen.
    pub(super) fn stolen_key(&self, victim: &mut Identity) -> Vec<Act> {
        let day = self.a_day(&mut victim.chance, is_weekday);
        let hour = victim.chance.whole(9, 13) as u32;
        let at = micros(local(victim.zone, day, hour, 0));
        victim.ips = vec![[192, 0, 2, victim.chance.whole(2, 254) as u8]];
        let count = self.size((victim.rate * 2.0).max(4.0));
        usual_calls(victim, at, 6.0, count)
    }

    /// A2: as much as it does itself, for four hours beside it, from another host inside.
    pub(super) fn shared_key(&self, victim: &mut Identity) -> Vec<Act> {
        let day = self.a_day(&mut victim.chance, is_weekday);
        let hour = victim.chance.whole(9, 12) as u32;
        let at = micros(local(victim.zone, day, hour, 30));
        let host = victim.chance.whole(2, 254) as u8;
        victim.ips = vec![[10, 77, victim.chance.whole(0, 256) as u8, host]];
        let count = self.size((victim.rate * 4.0).max(24.0));
        usual_calls(victim, at, 4.0, count)
    }

    /// A9: silent from the first days on, for more than a month; then it lists all it can see.
    pub(super) fn dormant_wakes(&mut self, victim: &mut Identity) -> Vec<Act> {
        let days = self.plan.days as usize;
        let start = self.plan.start.date_naive();
        // In a run too short to fall asleep, it was asleep before.
        let asleep = match days.checked_sub(SLEEP + 1) {
            Some(spare) => victim.chance.whole(spare.min(7), spare.min(9) + 1),
            None => 0,
        };
        let asleep = start + Duration::days(asleep as i64);
        self.change(victim, midnight(asleep), self.end, What::Silent);
        let rested = |day| day >= asleep + Duration::days(SLEEP as i64);
        let day = self.a_day(&mut victim.chance, rested);
        let hour = victim.chance.whole(8, 20) as u32;
        let at = micros(local(chrono_tz::UTC, day, hour, 0));
        let lists = if victim.is_cloud() {
            CLOUD_LISTS
        } else {
            LISTS
        };
        let count = self.size(40.0);
        calls(victim, at, 0.5, count, lists)
    }

    /// A10: retired long ago, and a few of its usual calls now.
    pub(super) fn retired_active(&mut self, victim: &mut Identity) -> Vec<Act> {
        let first = (self.scored[0] - self.plan.start.date_naive()).num_days() as usize;
        let age = victim.chance.whole(first / 4, (3 * first / 4).max(1));
        let retired = self.plan.start.date_naive() + Duration::days(age as i64);
        self.change(victim, midnight(retired), self.end, What::Silent);
        self.lives.entry(victim.who).or_default().retired = Some(retired);
        let day = self.a_day(&mut victim.chance, is_weekday);
        let hour = victim.chance.whole(9, 17) as u32;
        let at = micros(local(victim.zone, day, hour, 0));
        let count = self.size(12.0);
        usual_calls(victim, at, 2.0, count)
    }

    /// A11: administration, which works.
    pub(super) fn unused_admin(&self, victim: &mut Identity) -> Vec<Act> {
        let day = self.a_day(&mut victim.chance, is_weekday);
        let hour = victim.chance.whole(10, 15) as u32;
        let at = micros(local(victim.zone, day, hour, 15));
        let admin = if victim.is_cloud() {
            CLOUD_ADMIN
        } else {
            ADMIN
        };
        let count = self.size(5.0);
        succeed(calls(victim, at, 0.5, count, admin))
    }

    /// A12: for two hours 3 of 10 calls are denied.
    pub(super) fn denied_probe(&self, who: &Identity, victim: &mut Identity) -> Vec<Act> {
        let day = self.a_day(&mut victim.chance, is_weekday);
        let hour = victim.chance.whole(10, 15) as u32;
        let at = micros(local(victim.zone, day, hour, 0));
        let usual = self.usual(who, at, at + 2 * HOUR).len();
        let more = PROBE_CALLS.saturating_sub(usual).max(1);
        let mut acts = succeed(usual_calls(victim, at, 1.9, more));
        let forbidden = if victim.is_cloud() {
            CLOUD_FORBIDDEN
        } else {
            FORBIDDEN
        };
        let count = self.size(36.0);
        for mut act in calls(victim, at, 1.9, count, forbidden) {
            act.outcome = "denied";
            acts.push(act);
        }
        acts
    }

    /// A16: more rights for itself, and a little later customer data, in bulk, to the outside.
    pub(super) fn privilege_then_egress(&self, victim: &mut Identity) -> Vec<Act> {
        let day = self.a_day(&mut victim.chance, is_weekday);
        let hour = victim.chance.whole(9, 16) as u32;
        let at = micros(local(victim.zone, day, hour, 20));
        let mut acts = calls(victim, at, 0.05, 4, MORE_RIGHTS);
        let later = at + (victim.chance.between(0.2, 0.5) * HOUR as f64) as i64;
        let (taken, posted) = (self.size(30.0), self.size(6.0));
        for mut act in calls(victim, later, 0.5, taken, &[TAKE]) {
            let bytes = victim.chance.lognormal(40e6, 0.5);
            act.facts = Facts::Bytes(bytes as u64);
            acts.push(act);
        }
        acts.append(&mut calls(
            victim,
            later + HOUR / 60,
            0.5,
            posted,
            &[AWS_POST],
        ));
        succeed(acts)
    }
}

/// `count` of its usual calls, spread over so many hours.
fn usual_calls(victim: &mut Identity, at: i64, hours: f64, count: usize) -> Vec<Act> {
    let (steps, skew) = (victim.steps.clone(), victim.skew);
    spread(victim, at, hours, count, &steps, skew)
}

/// `count` calls among `steps`, all as likely, spread over so many hours.
fn calls(victim: &mut Identity, at: i64, hours: f64, count: usize, steps: &[Step]) -> Vec<Act> {
    spread(victim, at, hours, count, steps, 0.0)
}

fn spread(
    victim: &mut Identity,
    mut at: i64,
    hours: f64,
    count: usize,
    steps: &[Step],
    skew: f64,
) -> Vec<Act> {
    let gap = hours * 3600.0 / count as f64;
    (0..count)
        .map(|_| {
            at += (victim.chance.weibull(gap, 0.9).min(3.0 * gap) * SECOND) as i64;
            let choice = victim.chance.zipf(steps.len(), skew);
            victim.act(at, steps[choice], None)
        })
        .collect()
}

fn succeed(mut acts: Vec<Act>) -> Vec<Act> {
    for act in &mut acts {
        act.outcome = "ok";
    }
    acts
}
