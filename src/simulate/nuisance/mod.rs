//! The nuisances: harmless changes that look strange, and on which detectors should keep quiet.

mod calendar;
mod life;
mod release;
#[cfg(test)]
mod tests;
mod traffic;

use chrono::NaiveDate;

use super::act::Act;
use super::ask::{self, ListError};
use super::chance::Chance;
use super::identity::{Family, Identity};
use super::stage::{DAY, SCRIPT_STREAMS, Sign, Stage, scored_days};
use super::{Plan, PlanError};

/// How many days of a change that lasts are labelled.
const SETTLING: i64 = 7;

/// A scripted harmless change. `docs/simulation.md` says what each does.
///
/// The discriminant numbers the stream of randomness, so it never changes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Nuisance {
    /// N1: a release makes one cloud role call one more read.
    Deployment,
    /// N2: a month's end, or a payday, makes a payment service or a batch job busier.
    MonthEnd,
    /// N3: a release makes a whole group call one more read.
    GroupDeployment,
    /// N4: all hosts are replaced by others in another network.
    BlueGreen,
    /// N5: a new key takes over.
    KeyRotation,
    /// N6: the clocks change, and nothing else.
    ClockChange,
    /// N7: a trading holiday.
    Holiday,
    /// N8: a half day, on which the desk trades until the early close.
    EarlyClose,
    /// N9: a market in turmoil makes a whole desk five times as busy.
    BusyMarket,
    /// N10: an outage, and the retries after it.
    RetryStorm,
    /// N11: one source's clock runs ahead.
    ClockSkew,
    /// N12: a new identity begins to work.
    Onboarding,
    /// N13: operations move a nightly job.
    MovedJob,
    /// N14: a job that only runs at a month's end.
    MonthlyJob,
    /// N15: an announced load test.
    LoadTest,
    /// N16: a penetration test: neither right nor wrong to report.
    PenTest,
    /// N17: the addresses of a cloud's pool change all the time.
    AddressPool,
    /// N18: a new model makes an agent combine its tools in other ways.
    ModelUpgrade,
}

/// The order of scripting: who has the fewest possible victims comes first.
pub(super) const CHOOSIEST_FIRST: [Nuisance; 18] = [
    Nuisance::Holiday,
    Nuisance::EarlyClose,
    Nuisance::BusyMarket,
    Nuisance::MovedJob,
    Nuisance::MonthlyJob,
    Nuisance::ModelUpgrade,
    Nuisance::GroupDeployment,
    Nuisance::Deployment,
    Nuisance::AddressPool,
    Nuisance::MonthEnd,
    Nuisance::LoadTest,
    Nuisance::RetryStorm,
    Nuisance::PenTest,
    Nuisance::KeyRotation,
    Nuisance::BlueGreen,
    Nuisance::ClockChange,
    Nuisance::ClockSkew,
    Nuisance::Onboarding,
];

impl Nuisance {
    /// Every nuisance, in the order of their codes.
    pub const ALL: [Self; 18] = [
        Self::Deployment,
        Self::MonthEnd,
        Self::GroupDeployment,
        Self::BlueGreen,
        Self::KeyRotation,
        Self::ClockChange,
        Self::Holiday,
        Self::EarlyClose,
        Self::BusyMarket,
        Self::RetryStorm,
        Self::ClockSkew,
        Self::Onboarding,
        Self::MovedJob,
        Self::MonthlyJob,
        Self::LoadTest,
        Self::PenTest,
        Self::AddressPool,
        Self::ModelUpgrade,
    ];

    /// Its code, as in labels.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Deployment => "N1",
            Self::MonthEnd => "N2",
            Self::GroupDeployment => "N3",
            Self::BlueGreen => "N4",
            Self::KeyRotation => "N5",
            Self::ClockChange => "N6",
            Self::Holiday => "N7",
            Self::EarlyClose => "N8",
            Self::BusyMarket => "N9",
            Self::RetryStorm => "N10",
            Self::ClockSkew => "N11",
            Self::Onboarding => "N12",
            Self::MovedJob => "N13",
            Self::MonthlyJob => "N14",
            Self::LoadTest => "N15",
            Self::PenTest => "N16",
            Self::AddressPool => "N17",
            Self::ModelUpgrade => "N18",
        }
    }

    /// The detectors that should keep quiet; none where a report is neither right nor wrong.
    #[must_use]
    pub const fn detectors(self) -> &'static [&'static str] {
        match self {
            Self::Deployment | Self::GroupDeployment => &["tool-chain", "new-resource-class"],
            Self::MonthEnd => &["api-volume", "egress-volume"],
            Self::BlueGreen | Self::AddressPool => {
                &["new-network", "credential-sharing", "concurrent-use"]
            }
            Self::KeyRotation => &["credential-sharing"],
            Self::ClockChange => &["off-hours", "silence", "api-volume"],
            Self::Holiday => &["silence", "drift"],
            Self::EarlyClose => &["off-hours", "silence"],
            Self::BusyMarket => &["api-volume", "peer-deviation"],
            Self::RetryStorm => &["api-volume", "error-burst"],
            Self::ClockSkew => &["tool-chain", "off-hours", "silence"],
            Self::Onboarding => &["api-volume", "new-network", "tool-chain", "off-hours"],
            Self::MovedJob => &["silence", "off-hours"],
            Self::MonthlyJob => &["silence", "dormant-wakes", "api-volume"],
            Self::LoadTest => &["api-volume"],
            Self::PenTest => &[],
            Self::ModelUpgrade => &["tool-chain"],
        }
    }

    /// Reads `none`, `all` (one of each), `standard` (see [`Nuisance::standard`]), or a list such
    /// as `N1,N4x3`.
    ///
    /// Of `all` and `standard` those are left out for which the run of `plan` has no day.
    ///
    /// # Errors
    /// Names the first item that is not a nuisance, and the nuisances there are.
    pub fn list(text: &str, plan: &Plan) -> Result<Vec<Self>, ListError> {
        let possible = |mut all: Vec<Self>| {
            all.retain(|nuisance| nuisance.has_a_day(plan));
            Ok(all)
        };
        match text.trim() {
            "" | "none" => Ok(Vec::new()),
            "all" => possible(Self::ALL.to_vec()),
            "standard" => possible(Self::standard(plan.identities)),
            list => ask::list(list, &Self::ALL, Self::code, "N1,N4x3"),
        }
    }

    /// The nuisances of a standard run of so many identities: one of each for every 50 of them, and
    /// of N3 and N9, which befall many at once, for every 200; at least one of each.
    #[must_use]
    pub fn standard(identities: usize) -> Vec<Self> {
        let times = |nuisance| match nuisance {
            Self::GroupDeployment | Self::BusyMarket => identities / 200,
            _ => identities / 50,
        };
        Self::ALL
            .into_iter()
            .flat_map(|nuisance| std::iter::repeat_n(nuisance, times(nuisance).max(1)))
            .collect()
    }

    /// Whether one of the scored days is one that it needs.
    fn has_a_day(self, plan: &Plan) -> bool {
        let days = scored_days(plan);
        match self {
            Self::ClockChange => days.iter().any(|&day| calendar::any_clock_change(day)),
            Self::Holiday => days.iter().any(|&day| calendar::any_holiday(day)),
            Self::EarlyClose => days.iter().any(|&day| calendar::any_half_day(day)),
            Self::MonthlyJob => days.iter().any(|&day| super::stage::is_month_end(day)),
            _ => true,
        }
    }

    fn sign(self) -> Sign {
        Sign {
            code: self.code(),
            detectors: self.detectors(),
            malicious: false,
        }
    }
}

/// Whether `who` can be the victim.
fn fits(nuisance: Nuisance, days: &[NaiveDate], who: &Identity) -> bool {
    let family = who.family;
    let native = matches!(
        family,
        Family::Payment | Family::Poller | Family::Integration
    );
    match nuisance {
        Nuisance::Deployment | Nuisance::AddressPool => family == Family::Cloud,
        Nuisance::MonthEnd => matches!(family, Family::Payment | Family::Batch),
        Nuisance::BlueGreen | Nuisance::KeyRotation => native || family == Family::Batch,
        Nuisance::ClockChange => {
            who.keeps_hours()
                && days
                    .iter()
                    .any(|&day| calendar::clock_change(who.zone, day))
        }
        Nuisance::Holiday => {
            family == Family::Algo && days.iter().any(|&day| who.market().is_holiday(day))
        }
        Nuisance::EarlyClose => {
            family == Family::Algo && days.iter().any(|&day| who.market().early(day).is_some())
        }
        Nuisance::RetryStorm | Nuisance::LoadTest | Nuisance::PenTest => native,
        Nuisance::ClockSkew => native || matches!(family, Family::Agent | Family::Batch),
        Nuisance::Onboarding => native || matches!(family, Family::Agent | Family::Cloud),
        Nuisance::MovedJob | Nuisance::MonthlyJob => family == Family::Batch,
        Nuisance::ModelUpgrade => family == Family::Agent,
        Nuisance::GroupDeployment | Nuisance::BusyMarket => false,
    }
}

impl Stage<'_> {
    /// Instance number `instance` of `nuisance`.
    pub(super) fn nuisance(
        &mut self,
        nuisance: Nuisance,
        instance: usize,
    ) -> Result<(), PlanError> {
        if !nuisance.has_a_day(self.plan) {
            return Err(PlanError::NoDay(nuisance.code()));
        }
        let sign = nuisance.sign();
        let mut chance = self.nuisance_chance(nuisance, instance);
        match nuisance {
            Nuisance::GroupDeployment => return self.group_deployment(sign, &mut chance, instance),
            Nuisance::BusyMarket => return self.busy_market(sign, &mut chance, instance),
            _ => {}
        }
        let days = self.scored.clone();
        let who = self
            .choose(&mut chance, |who| fits(nuisance, &days, who))
            .ok_or(PlanError::NoVictim(nuisance.code()))?;
        let victim = &mut Identity {
            chance,
            ..who.clone()
        };
        match nuisance {
            Nuisance::Deployment => self.deployment(sign, victim),
            Nuisance::MonthEnd => self.month_end(sign, victim),
            Nuisance::BlueGreen => self.blue_green(sign, who, victim),
            Nuisance::KeyRotation => self.key_rotation(sign, who, victim),
            Nuisance::ClockChange => self.clock_change(sign, victim),
            Nuisance::Holiday => self.holiday(sign, victim),
            Nuisance::EarlyClose => self.early_close(sign, victim),
            Nuisance::RetryStorm => self.retry_storm(sign, who, victim),
            Nuisance::ClockSkew => self.clock_skew(sign, who, victim),
            Nuisance::Onboarding => self.onboarding(sign, who, victim),
            Nuisance::MovedJob => self.moved_job(sign, who, victim),
            Nuisance::MonthlyJob => self.monthly_job(sign, who),
            Nuisance::LoadTest => self.load_test(sign, victim),
            Nuisance::PenTest => self.pen_test(sign, victim),
            Nuisance::AddressPool => self.address_pool(sign, who, victim),
            Nuisance::ModelUpgrade => self.model_upgrade(sign, victim),
            Nuisance::GroupDeployment | Nuisance::BusyMarket => {}
        }
        Ok(())
    }

    /// The stream of one instance of a nuisance; it does not depend on what else was asked for.
    fn nuisance_chance(&self, nuisance: Nuisance, instance: usize) -> Chance {
        let stream = (SCRIPT_STREAMS << 1) + ((nuisance as u64) << 20) + instance as u64;
        Chance::new(self.plan.seed, stream)
    }

    /// Keeps `acts` of a change that lasts, and labels its first week.
    fn keep_lasting(&mut self, sign: Sign, mut acts: Vec<Act>) {
        acts.retain(|act| act.ts < self.end);
        let Some(from) = acts.iter().map(|act| act.ts).min() else {
            return;
        };
        let week = acts
            .iter()
            .map(|act| act.ts)
            .filter(|&ts| ts < from + SETTLING * DAY);
        let to = week.max().unwrap_or(from);
        self.label(sign, acts[0].who, from, to);
        self.acts.append(&mut acts);
    }

    /// Labels the ordinary acts of `who` from `from` on, for at most so many days.
    fn label_usual(&mut self, sign: Sign, who: &Identity, from: i64, days: i64) {
        let mut acts = self.usual(who, from, from + days * DAY);
        for change in self.changes.get(&who.who).into_iter().flatten() {
            change.apply(&mut acts);
        }
        acts.retain(|act| act.ts < self.end);
        let times = || acts.iter().map(|act| act.ts);
        if let (Some(first), Some(last)) = (times().min(), times().max()) {
            self.label(sign, who.who, first, last);
        }
    }
}
