//! A synthetic bank: many identities at work for weeks, and attacks on some of them, labelled.
//!
//! Nothing here is shared with the detectors, not even the event's type: the bank writes text as a
//! source would. Its arrivals are lognormal autoregressive rates, Weibull gaps, compound batches
//! and Zipf mixes, which no detector assumes.

mod act;
mod ask;
mod attack;
mod chance;
mod change;
mod day;
mod identity;
mod inventory;
mod market;
mod nuisance;
mod stage;
#[cfg(test)]
mod story;

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, Datelike, Days, Duration, NaiveDate, NaiveTime, SecondsFormat, Utc};

use act::Act;
use change::Change;
use identity::Identity;
use stage::{Life, Stage};

pub use ask::ListError;
pub use attack::Attack;
pub use inventory::Entry;
pub use nuisance::Nuisance;

/// What to simulate.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many identities.
    pub identities: usize,
    /// How many days, at most [`Plan::MAX_DAYS`].
    pub days: u32,
    /// The same seed gives the same bytes.
    pub seed: u64,
    /// The first instant; its time of day is ignored. Trading holidays are known for 2025 and 2026.
    pub start: DateTime<Utc>,
    /// What befalls it, each on an identity of its own; repeat one for several instances.
    pub attacks: Vec<Attack>,
    /// Multiplies the size of every attack; 1 is the documented size.
    pub strength: f64,
    /// Harmless changes, labelled as such, each on identities of its own as well.
    pub nuisances: Vec<Nuisance>,
    /// Whether cloud identities are written in the published event schema as well.
    pub native: bool,
}

impl Plan {
    /// The longest run, in days.
    pub const MAX_DAYS: u32 = 600;

    /// A peaceful run that ends with Friday 2026-11-13, in mixed form.
    #[must_use]
    pub fn new(identities: usize, days: u32, seed: u64) -> Self {
        let plan = Self {
            identities,
            days,
            seed,
            start: DateTime::UNIX_EPOCH,
            attacks: Vec::new(),
            strength: 1.0,
            nuisances: Vec::new(),
            native: false,
        };
        plan.until(NaiveDate::from_ymd_opt(2026, 11, 13).unwrap_or_default())
    }

    /// The same run, moved so that `last` is its last day.
    #[must_use]
    pub fn until(self, last: NaiveDate) -> Self {
        let first = last
            .checked_sub_days(Days::new(u64::from(self.days.max(1)) - 1))
            .unwrap_or(NaiveDate::MIN);
        Self {
            start: first.and_time(NaiveTime::MIN).and_utc(),
            ..self
        }
    }

    /// Whether it has days of which it is not known whether they are trading holidays: its venues are open on them.
    #[must_use]
    pub fn has_unknown_holidays(&self) -> bool {
        let first = self.start.date_naive();
        let last = first.checked_add_days(Days::new(u64::from(self.days.max(1)) - 1));
        let known = |day: NaiveDate| market::KNOWN.contains(&day.year());
        !(known(first) && last.is_some_and(known))
    }
}

/// Why a plan cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Too few identities can be its victim.
    #[error("no identity is left for {0}: raise --identities, or ask for fewer scenarios")]
    NoVictim(&'static str),
    /// A nuisance of the calendar, and a run without such a day.
    #[error(
        "no day is right for {0} after the baseline: end the run elsewhere, such as with \
         --until 2026-12-04"
    )]
    NoDay(&'static str),
    /// Nothing to simulate, or too much.
    #[error("a run has 1 to 600 days and 1 to 1000000 identities, not {days} and {identities}")]
    Size {
        /// The days asked for.
        days: u32,
        /// The identities asked for.
        identities: usize,
    },
    /// Days that no event may be of, or whose time zones nobody knows.
    #[error(
        "a run lies in the years 1971 to 2099, not from {0} on: end it on another day with --until"
    )]
    Years(NaiveDate),
    /// A multiplier that is no positive number.
    #[error("the strength of attacks is a number above 0 and up to 100")]
    Strength,
}

/// How a line is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// The published event schema.
    Native,
    /// A record of AWS CloudTrail.
    CloudTrail,
}

/// One event, as its source writes it.
#[derive(Clone, Debug)]
pub struct Line {
    /// When it happened, in microseconds since 1970.
    pub ts_micros: i64,
    /// Who did it; for a cloud role its ARN.
    pub identity: String,
    /// How `json` is written.
    pub form: Form,
    /// One JSON object without line breaks.
    pub json: String,
}

/// What was done to an identity on purpose, and who should notice.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Label {
    /// Code of the attack (`A5`) or nuisance (`N1`), as in `docs/simulation.md`.
    pub scenario: &'static str,
    /// Whom it befell.
    pub identity: String,
    /// Time of its first event, or of the first one that did not happen.
    pub from: DateTime<Utc>,
    /// Time of its last event, or of the last one that did not happen.
    pub to: DateTime<Utc>,
    /// Detectors that should see it; for a nuisance, those that should keep quiet, if any.
    pub detectors: &'static [&'static str],
    /// Whether it is an attack.
    pub malicious: bool,
}

impl Label {
    /// The label as one JSON object without line breaks.
    #[must_use]
    pub fn json(&self) -> String {
        let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        let names = self.detectors.iter().map(|name| format!("\"{name}\""));
        let detectors = names.collect::<Vec<_>>().join(",");
        format!(
            "{{\"scenario\":\"{}\",\"identity\":\"{}\",\"from\":\"{}\",\"to\":\"{}\",\
             \"detectors\":[{}],\"malicious\":{}}}",
            self.scenario,
            self.identity,
            time(self.from),
            time(self.to),
            detectors,
            self.malicious
        )
    }
}

/// The bank: its identities and what will befall them.
#[derive(Debug)]
pub struct Bank {
    plan: Plan,
    identities: Vec<Identity>,
    injected: Vec<Act>,
    changes: BTreeMap<usize, Vec<Change>>,
    lives: BTreeMap<usize, Life>,
    labels: Vec<Label>,
}

impl Bank {
    /// Draws the identities, and scripts the attacks on them.
    ///
    /// # Errors
    /// The plan's size is out of bounds, or one of its attacks or nuisances finds no identity that
    /// is left, or no day.
    pub fn new(plan: &Plan) -> Result<Self, PlanError> {
        let (days, identities) = (plan.days, plan.identities);
        if !(1..=Plan::MAX_DAYS).contains(&days) || !(1..=1_000_000).contains(&identities) {
            return Err(PlanError::Size { days, identities });
        }
        let first = plan.start.date_naive();
        let last = first.checked_add_days(Days::new(u64::from(days) - 1));
        if first.year() < 1971 || last.is_none_or(|last| last.year() > 2099) {
            return Err(PlanError::Years(first));
        }
        if !(plan.strength > 0.0 && plan.strength <= 100.0) {
            return Err(PlanError::Strength);
        }
        let identities: Vec<_> = (0..identities)
            .map(|who| Identity::new(plan.seed, who))
            .collect();
        let Stage {
            acts: mut injected,
            changes,
            lives,
            labels,
            ..
        } = Stage::script(plan, &identities)?;
        injected.sort_by_key(|act| (act.ts, act.who, act.uid));
        Ok(Self {
            plan: plan.clone(),
            identities,
            injected,
            changes,
            lives,
            labels,
        })
    }

    /// What will befall whom, in the order of time.
    #[must_use]
    pub fn labels(&self) -> Vec<Label> {
        self.labels.clone()
    }

    /// The names of all identities.
    pub fn identities(&self) -> impl Iterator<Item = &str> {
        self.identities
            .iter()
            .map(|identity| identity.name.as_str())
    }

    /// What the bank's inventory would declare on the last day of the run.
    pub fn inventory(&self) -> impl Iterator<Item = Entry<'_>> {
        self.identities.iter().map(|identity| {
            let life = self.lives.get(&identity.who).copied();
            identity.declared(life.unwrap_or_default())
        })
    }

    /// Every event in the order of time; remembers about one day of events at once.
    pub fn events(&self) -> impl Iterator<Item = Line> + '_ {
        Events {
            bank: self,
            identities: self.identities.clone(),
            injected: 0,
            day: 0,
            ready: VecDeque::new(),
            later: Vec::new(),
        }
    }
}

struct Events<'a> {
    bank: &'a Bank,
    identities: Vec<Identity>,
    /// How many injected acts are already merged.
    injected: usize,
    day: u32,
    ready: VecDeque<Act>,
    /// Acts that a day's chains put beyond its midnight.
    later: Vec<Act>,
}

impl Events<'_> {
    fn next_day(&mut self) {
        let plan = &self.bank.plan;
        let date = plan.start.date_naive() + Duration::days(i64::from(self.day));
        let end = day::micros(
            (date + Duration::days(1))
                .and_time(NaiveTime::MIN)
                .and_utc(),
        );
        let mut acts = std::mem::take(&mut self.later);
        for identity in &mut self.identities {
            let mut own = identity.day(date, 1.0);
            for change in self.bank.changes.get(&identity.who).into_iter().flatten() {
                change.apply(&mut own);
            }
            acts.append(&mut own);
        }
        let injected = &self.bank.injected[self.injected..];
        let due = injected.partition_point(|act| act.ts < end);
        acts.extend_from_slice(&injected[..due]);
        self.injected += due;
        acts.sort_by_key(|act| (act.ts, act.who, act.uid));
        // What would be beyond the run's end is cut off with it.
        self.later = acts.split_off(acts.partition_point(|act| act.ts < end));
        self.ready = acts.into();
        self.day += 1;
    }
}

impl Iterator for Events<'_> {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        while self.ready.is_empty() && self.day < self.bank.plan.days {
            self.next_day();
        }
        let act = self.ready.pop_front()?;
        Some(act.line(&self.bank.identities[act.who], self.bank.plan.native))
    }
}

#[cfg(test)]
mod tests;
