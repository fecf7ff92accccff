//! Scripts attacks and nuisances: extra acts of the victim, drawn from a stream of their own, so
//! that all ordinary events stay what they were.

use chrono::{DateTime, Datelike, Duration, NaiveDate, NaiveTime};

use super::act::{Act, Step, step};
use super::chance::Chance;
use super::day::micros;
use super::identity::{Family, Identity};
use super::market::{VENUES, is_weekend, local};
use super::{Attack, Label, Plan, PlanError};

const SECOND: f64 = 1_000_000.0;
/// Days that are never attacked, where the run is longer.
const BASELINE_DAYS: u32 = 28;
/// Above any index of an identity, so that scripts have streams of their own.
const SCRIPT_STREAMS: u64 = 1 << 40;

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
const AWS_POST: Step = step("s3:PutObject", "write", "drop-zone-outside", "external");
const NEW_API: Step = step(
    "s3:GetObjectTagging",
    "read",
    "bank-exports-prod",
    "settlement",
);

/// The acts and the labels of everything that befalls the bank.
///
/// Victims are taken in a seeded order, and every one only once.
pub(super) fn script(
    plan: &Plan,
    identities: &[Identity],
) -> Result<(Vec<Act>, Vec<Label>), PlanError> {
    let mut stage = Stage {
        scored: scored_days(plan),
        end: micros(plan.start.date_naive().and_time(NaiveTime::MIN).and_utc())
            + i64::from(plan.days) * 86_400_000_000,
        strength: plan.strength,
        taken: vec![false; identities.len()],
        acts: Vec::new(),
        labels: Vec::new(),
    };
    let mut instances = [0_usize; Attack::ALL.len()];
    let mut order: Vec<_> = plan.attacks.iter().copied().enumerate().collect();
    // The choosiest first, so that none takes the only victim of another.
    order.sort_by_key(|&(nth, attack)| (Attack::ALL.len() - choosiness(attack), nth));
    for (_, attack) in order {
        let instance = instances[attack as usize];
        instances[attack as usize] += 1;
        // The stream depends on the instance, not on what else was asked for.
        let stream = SCRIPT_STREAMS + ((attack as u64) << 20) + instance as u64;
        let mut chance = Chance::new(plan.seed, stream);
        let Some(victim) = stage.choose(identities, &mut chance, |who| fits(attack, instance, who))
        else {
            return Err(PlanError::NoVictim(attack.code()));
        };
        let victim = Identity {
            chance,
            ..victim.clone()
        };
        let acts = stage.attack(attack, instance, victim);
        stage.keep(attack.code(), attack.detectors(), true, identities, acts);
    }
    if plan.nuisances {
        stage.deployment(plan, identities);
        stage.busy_day(plan, identities);
    }
    stage.labels.sort_by_key(|label| label.from);
    Ok((stage.acts, stage.labels))
}

/// How few can be its victim, as a rank.
fn choosiness(attack: Attack) -> usize {
    match attack {
        Attack::BulkRead => 4,
        Attack::OffHoursOrders => 3,
        Attack::InjectedAgent => 2,
        Attack::SecretToOutside => 1,
        Attack::StolenKey => 0,
    }
}

fn fits(attack: Attack, instance: usize, who: &Identity) -> bool {
    match attack {
        Attack::StolenKey => matches!(who.family, Family::Cloud | Family::Integration),
        Attack::BulkRead => who.constant_rate() >= 21.0,
        Attack::OffHoursOrders => who.family == Family::Algo,
        // Every other time a cloud role.
        Attack::SecretToOutside if instance % 2 == 1 => who.family == Family::Cloud,
        Attack::SecretToOutside | Attack::InjectedAgent => who.family == Family::Agent,
    }
}

/// The days after the baseline, or the last fifth of a run too short for one.
fn scored_days(plan: &Plan) -> Vec<NaiveDate> {
    let first = if plan.days > BASELINE_DAYS {
        BASELINE_DAYS
    } else {
        plan.days - plan.days.div_ceil(5)
    };
    let start = plan.start.date_naive();
    (first..plan.days)
        .map(|day| start + Duration::days(i64::from(day)))
        .collect()
}

struct Stage {
    scored: Vec<NaiveDate>,
    /// When the run ends, in microseconds since 1970.
    end: i64,
    strength: f64,
    taken: Vec<bool>,
    acts: Vec<Act>,
    labels: Vec<Label>,
}

impl Stage {
    fn choose<'a>(
        &mut self,
        identities: &'a [Identity],
        chance: &mut Chance,
        fits: impl Fn(&Identity) -> bool,
    ) -> Option<&'a Identity> {
        let free: Vec<_> = identities
            .iter()
            .filter(|who| !self.taken[who.who] && fits(who))
            .collect();
        if free.is_empty() {
            return None;
        }
        let victim = *chance.pick(&free);
        self.taken[victim.who] = true;
        Some(victim)
    }

    fn keep(
        &mut self,
        scenario: &'static str,
        detectors: &'static [&'static str],
        malicious: bool,
        identities: &[Identity],
        mut acts: Vec<Act>,
    ) {
        // A label must not speak of what the end of the run cuts off.
        acts.retain(|act| act.ts < self.end);
        let times = || acts.iter().map(|act| act.ts);
        let (Some(from), Some(to)) = (times().min(), times().max()) else {
            return;
        };
        let at = |ts| DateTime::from_timestamp_micros(ts).unwrap_or_default();
        self.labels.push(Label {
            scenario,
            identity: identities[acts[0].who].name.clone(),
            from: at(from),
            to: at(to),
            detectors,
            malicious,
        });
        self.acts.extend(acts);
    }

    /// A scored day that `fits`, or any scored day where none does.
    fn a_day(&self, chance: &mut Chance, fits: impl Fn(NaiveDate) -> bool) -> NaiveDate {
        let fitting: Vec<_> = self
            .scored
            .iter()
            .copied()
            .filter(|&day| fits(day))
            .collect();
        *chance.pick(if fitting.is_empty() {
            &self.scored
        } else {
            &fitting
        })
    }

    fn size(&self, usual: f64) -> usize {
        (usual * self.strength).round().max(1.0) as usize
    }

    fn attack(&self, attack: Attack, instance: usize, mut victim: Identity) -> Vec<Act> {
        match attack {
            Attack::StolenKey => self.stolen_key(&mut victim),
            Attack::BulkRead => self.bulk_read(&mut victim),
            Attack::OffHoursOrders => self.off_hours(&mut victim, instance),
            Attack::SecretToOutside if victim.is_cloud() => {
                self.chain(&mut victim, &[AWS_SECRET, AWS_POST])
            }
            Attack::SecretToOutside => {
                let known = victim.workflows[0];
                self.chain(&mut victim, &[known[0], known[1], READ_SECRET, HTTP_POST])
            }
            Attack::InjectedAgent => {
                self.chain(&mut victim, &[FETCH_WEB, READ_CUSTOMER, SEND_MAIL])
            }
        }
    }

    /// A third of its usual calls for six hours, from an address never seen.
    fn stolen_key(&self, victim: &mut Identity) -> Vec<Act> {
        let day = self.a_day(&mut victim.chance, |day| !is_weekend(day));
        let hour = victim.chance.whole(9, 13) as u32;
        let mut at = micros(local(victim.zone, day, hour, 0));
        victim.ips = vec![[192, 0, 2, victim.chance.whole(2, 254) as u8]];
        let count = self.size((victim.rate * 2.0).max(4.0));
        let gap = 6.0 * 3600.0 / count as f64;
        let mut acts = Vec::new();
        for _ in 0..count {
            at += (victim.chance.weibull(gap, 0.9).min(3.0 * gap) * SECOND) as i64;
            let choice = victim.chance.zipf(victim.steps.len(), victim.skew);
            let step = victim.steps[choice];
            acts.push(victim.act(at, step, None));
        }
        acts
    }

    /// Its usual reads, 50 times its hourly rate, over many more resources than usual.
    fn bulk_read(&self, victim: &mut Identity) -> Vec<Act> {
        let day = self.a_day(&mut victim.chance, |_| true);
        let (hour, minute) = (
            victim.chance.whole(1, 22) as u32,
            victim.chance.whole(0, 60) as u32,
        );
        let begin = micros(local(chrono_tz::UTC, day, hour, minute));
        let reads: Vec<_> = victim
            .steps
            .iter()
            .copied()
            .filter(|step| step.class == "read")
            .collect();
        let count = self.size(50.0 * victim.rate);
        (0..count)
            .map(|nth| {
                let at = begin + (nth as f64 / count as f64 * 3600.0 * SECOND) as i64;
                let mut act = victim.act(at, reads[nth % reads.len().min(2)], None);
                act.number = 1000 + nth;
                act
            })
            .collect()
    }

    /// A burst of new orders while the venue is closed: at night, on a weekend, on a holiday.
    fn off_hours(&self, victim: &mut Identity, instance: usize) -> Vec<Act> {
        let venue = &VENUES[victim.venue];
        let holiday = |day| venue.is_holiday(day);
        let (day, hour) = match instance % 3 {
            1 => (self.a_day(&mut victim.chance, is_weekend), 11),
            2 if self.scored.iter().any(|&day| holiday(day)) => {
                (self.a_day(&mut victim.chance, holiday), 11)
            }
            _ => (self.a_day(&mut victim.chance, |day| !is_weekend(day)), 2),
        };
        // Where the scored days hold no weekend, the night will do.
        let hour = if venue.session(day).is_some() {
            2
        } else {
            hour
        };
        let mut at = micros(local(
            venue.zone,
            day,
            hour,
            victim.chance.whole(5, 50) as u32,
        ));
        let create = victim.steps[0];
        (0..self.size(18.0))
            .map(|_| {
                at += (victim.chance.weibull(60.0, 0.8) * SECOND).min(300.0 * SECOND) as i64;
                victim.act(at, create, None)
            })
            .collect()
    }

    /// One session of these steps, in the identity's working hours.
    fn chain(&self, victim: &mut Identity, steps: &[Step]) -> Vec<Act> {
        let day = self.a_day(&mut victim.chance, |day| !is_weekend(day));
        let hour = victim.chance.whole(10, 15) as u32;
        let minute = victim.chance.whole(0, 60) as u32;
        let mut at = micros(local(victim.zone, day, hour, minute));
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

    /// N1: a release makes one cloud role call one more read, from a scored day on.
    fn deployment(&mut self, plan: &Plan, identities: &[Identity]) {
        let mut chance = Chance::new(plan.seed, SCRIPT_STREAMS << 1);
        let Some(victim) = self.choose(identities, &mut chance, Identity::is_cloud) else {
            return;
        };
        let mut victim = Identity {
            chance,
            ..victim.clone()
        };
        let first = self.a_day(&mut victim.chance, |day| !is_weekend(day));
        let mut acts = Vec::new();
        for &day in self.scored.iter().filter(|&&day| day >= first) {
            let mut at = micros(local(chrono_tz::UTC, day, 9, 0));
            for _ in 0..victim.chance.whole(6, 14) {
                at += (victim.chance.weibull(1800.0, 0.9).min(3600.0) * SECOND) as i64;
                acts.push(victim.act(at, NEW_API, None));
            }
        }
        self.keep("N1", &["tool-chain"], false, identities, acts);
    }

    /// N2: a month's end, or a mid-month payday, makes one identity 2.5 times as busy for a day.
    fn busy_day(&mut self, plan: &Plan, identities: &[Identity]) {
        let mut chance = Chance::new(plan.seed, (SCRIPT_STREAMS << 1) + 1);
        let fits = |who: &Identity| matches!(who.family, Family::Payment | Family::Batch);
        let Some(victim) = self.choose(identities, &mut chance, fits) else {
            return;
        };
        let mut victim = Identity {
            chance,
            ..victim.clone()
        };
        let weekday = |day| !is_weekend(day);
        let expected = |day: NaiveDate| {
            let within = |ahead: i64| day + Duration::days(ahead);
            let pays = |day: NaiveDate| {
                day.day() == 15 || (day + Duration::days(1)).month() != day.month()
            };
            weekday(day)
                && (0..3)
                    .any(|ahead| pays(within(ahead)) && (1..=ahead).all(|n| !weekday(within(n))))
        };
        let day = if self.scored.iter().any(|&day| expected(day)) {
            self.a_day(&mut victim.chance, expected)
        } else {
            self.a_day(&mut victim.chance, weekday)
        };
        let acts = victim.day(day, 1.5);
        self.keep(
            "N2",
            &["api-volume", "egress-volume"],
            false,
            identities,
            acts,
        );
    }
}
