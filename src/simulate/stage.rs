//! Where attacks and nuisances are scripted: extra acts of the victim, drawn from a stream of their
//! own, and changes of its ordinary ones, so that everybody else's events stay what they were.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, Duration, NaiveDate, NaiveTime};

use super::act::Act;
use super::attack::{self, Attack};
use super::chance::Chance;
use super::change::{Change, What};
use super::day::micros;
use super::identity::Identity;
use super::market::is_weekend;
use super::{Label, Plan, PlanError, nuisance};

pub(super) const SECOND: f64 = 1_000_000.0;
pub(super) const DAY: i64 = 86_400_000_000;
/// Days that are never attacked, where the run is longer.
const BASELINE_DAYS: u32 = 28;
/// Above any index of an identity, so that scripts have streams of their own.
pub(super) const SCRIPT_STREAMS: u64 = 1 << 40;

/// What a label says of its scenario.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sign {
    pub(super) code: &'static str,
    pub(super) detectors: &'static [&'static str],
    pub(super) malicious: bool,
}

/// When an identity came and went, as its inventory knows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Life {
    pub(super) created: Option<NaiveDate>,
    pub(super) retired: Option<NaiveDate>,
}

/// Everything that befalls the bank.
#[derive(Debug)]
pub(super) struct Stage<'a> {
    pub(super) plan: &'a Plan,
    identities: &'a [Identity],
    /// The days on which something may happen.
    pub(super) scored: Vec<NaiveDate>,
    /// When the run ends, in microseconds since 1970.
    pub(super) end: i64,
    taken: Vec<bool>,
    pub(super) acts: Vec<Act>,
    pub(super) labels: Vec<Label>,
    /// By the index of the identity.
    pub(super) changes: BTreeMap<usize, Vec<Change>>,
    pub(super) lives: BTreeMap<usize, Life>,
}

impl<'a> Stage<'a> {
    /// Scripts what `plan` asks for.
    ///
    /// Victims are taken in a seeded order, and every one only once.
    pub(super) fn script(
        plan: &'a Plan,
        identities: &'a [Identity],
    ) -> Result<Stage<'a>, PlanError> {
        let mut stage = Stage {
            plan,
            identities,
            scored: scored_days(plan),
            end: midnight(plan.start.date_naive()) + i64::from(plan.days) * DAY,
            taken: vec![false; identities.len()],
            acts: Vec::new(),
            labels: Vec::new(),
            changes: BTreeMap::new(),
            lives: BTreeMap::new(),
        };
        // The choosiest first, so that none takes the only victim of another.
        for attack in attack::CHOOSIEST_FIRST {
            let times = plan.attacks.iter().filter(|&&asked| asked == attack);
            for instance in 0..times.count() {
                stage.attack(attack, instance)?;
            }
        }
        for nuisance in nuisance::CHOOSIEST_FIRST {
            let times = plan.nuisances.iter().filter(|&&asked| asked == nuisance);
            for instance in 0..times.count() {
                stage.nuisance(nuisance, instance)?;
            }
        }
        stage.labels.sort_by_key(|label| label.from);
        Ok(stage)
    }

    /// The stream of one instance of an attack; it does not depend on what else was asked for.
    pub(super) fn attack_chance(&self, attack: Attack, instance: usize) -> Chance {
        let stream = SCRIPT_STREAMS + ((attack as u64) << 20) + instance as u64;
        Chance::new(self.plan.seed, stream)
    }

    /// A victim that `fits`, taken by now.
    pub(super) fn choose(
        &mut self,
        chance: &mut Chance,
        fits: impl Fn(&Identity) -> bool,
    ) -> Option<&'a Identity> {
        let free = self.free(fits);
        if free.is_empty() {
            return None;
        }
        let victim = *chance.pick(&free);
        self.taken[victim.who] = true;
        Some(victim)
    }

    /// Up to `most` victims that `fit`, taken by now.
    pub(super) fn choose_many(
        &mut self,
        chance: &mut Chance,
        most: usize,
        fits: impl Fn(&Identity) -> bool,
    ) -> Vec<&'a Identity> {
        (0..most)
            .map_while(|_| self.choose(chance, &fits))
            .collect()
    }

    /// The identities that `fit` and are nobody's victim yet.
    pub(super) fn free(&self, fits: impl Fn(&Identity) -> bool) -> Vec<&'a Identity> {
        self.identities
            .iter()
            .filter(|who| !self.taken[who.who] && fits(who))
            .collect()
    }

    /// Keeps `acts`, all of one identity, and labels them from the first to the last.
    pub(super) fn keep(&mut self, sign: Sign, mut acts: Vec<Act>) {
        // A label must not speak of what the end of the run cuts off.
        acts.retain(|act| act.ts < self.end);
        let times = || acts.iter().map(|act| act.ts);
        let (Some(from), Some(to)) = (times().min(), times().max()) else {
            return;
        };
        self.label(sign, acts[0].who, from, to);
        self.acts.extend(acts);
    }

    /// Labels what befalls identity number `who`, in microseconds since 1970, both included.
    pub(super) fn label(&mut self, sign: Sign, who: usize, from: i64, to: i64) {
        let at = |ts| DateTime::from_timestamp_micros(ts).unwrap_or_default();
        self.labels.push(Label {
            scenario: sign.code,
            identity: self.identities[who].name.clone(),
            from: at(from),
            to: at(to),
            detectors: sign.detectors,
            malicious: sign.malicious,
        });
    }

    /// From now on `what` is done to the ordinary acts of `who`.
    pub(super) fn change(&mut self, who: &Identity, from: i64, to: i64, what: What) {
        let change = Change { from, to, what };
        self.changes.entry(who.who).or_default().push(change);
    }

    /// The ordinary acts of `who` between two instants, `to` excluded, in the order of time.
    pub(super) fn usual(&self, who: &Identity, from: i64, to: i64) -> Vec<Act> {
        let mut who = who.clone();
        let mut acts = Vec::new();
        let mut day = self.plan.start.date_naive();
        while midnight(day) < to.min(self.end) {
            acts.append(&mut who.day(day, 1.0));
            // Chains run on past midnight.
            acts.retain(|act| (from..to.min(self.end)).contains(&act.ts));
            day += Duration::days(1);
        }
        acts.sort_by_key(|act| (act.ts, act.uid));
        acts
    }

    /// A scored day that `fits`, or any scored day where none does.
    pub(super) fn a_day(&self, chance: &mut Chance, fits: impl Fn(NaiveDate) -> bool) -> NaiveDate {
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

    /// A scored day with at least `room` scored days from it on, or the first one.
    pub(super) fn a_day_with_room(&self, chance: &mut Chance, room: usize) -> NaiveDate {
        let last = (self.scored.len() + 1).saturating_sub(room).max(1);
        self.scored[chance.whole(0, last)]
    }

    /// `usual` things at the strength asked for, at least one.
    pub(super) fn size(&self, usual: f64) -> usize {
        (usual * self.plan.strength).round().max(1.0) as usize
    }
}

/// The days after the baseline, or the last fifth of a run too short for one.
pub(super) fn scored_days(plan: &Plan) -> Vec<NaiveDate> {
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

/// The first instant of a day (UTC), in microseconds since 1970.
pub(super) fn midnight(day: NaiveDate) -> i64 {
    micros(day.and_time(NaiveTime::MIN).and_utc())
}

pub(super) fn is_weekday(day: NaiveDate) -> bool {
    !is_weekend(day)
}

/// Whether `day` is the last weekday of its month.
pub(super) fn is_month_end(day: NaiveDate) -> bool {
    let mut next = day + Duration::days(1);
    while is_weekend(next) {
        next += Duration::days(1);
    }
    is_weekday(day) && next.month() != day.month()
}
