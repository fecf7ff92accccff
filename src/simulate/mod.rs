//! A synthetic bank: many identities at work for weeks, and attacks on some of them, labelled.
//!
//! Nothing here is shared with the detectors, not even the event's type: the bank writes text as a
//! source would. Its arrivals are lognormal autoregressive rates, Weibull gaps, compound batches
//! and Zipf mixes, which no detector assumes.

mod act;
mod attack;
mod chance;
mod day;
mod identity;
mod market;

use std::collections::VecDeque;
use std::str::FromStr;

use chrono::{DateTime, Duration, NaiveDate, NaiveTime, SecondsFormat, Utc};

use act::Act;
use identity::Identity;

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
    /// Whether harmless changes, labelled as such, happen too.
    pub nuisances: bool,
    /// Whether cloud identities are written in the published event schema as well.
    pub native: bool,
}

impl Plan {
    /// The longest run, in days.
    pub const MAX_DAYS: u32 = 600;

    /// A peaceful run that ends with Friday 2026-11-13, in mixed form.
    #[must_use]
    pub fn new(identities: usize, days: u32, seed: u64) -> Self {
        let last = NaiveDate::from_ymd_opt(2026, 11, 13).unwrap_or_default();
        let first = last - Duration::days(i64::from(days) - 1);
        Self {
            identities,
            days,
            seed,
            start: first.and_time(NaiveTime::MIN).and_utc(),
            attacks: Vec::new(),
            strength: 1.0,
            nuisances: false,
            native: false,
        }
    }
}

/// A scripted misuse.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Attack {
    /// A1: a stolen key, used from a new network at a normal volume.
    StolenKey,
    /// A3: reads in bulk, 50 times the usual rate for an hour.
    BulkRead,
    /// A5: orders on a weekday night, a weekend or a holiday.
    OffHoursOrders,
    /// A7: a secret is read and posted outside, a chain never seen before.
    SecretToOutside,
    /// A8: an agent follows a web page's instructions and mails customer data out.
    InjectedAgent,
}

impl Attack {
    /// Every attack, in the order of their codes.
    pub const ALL: [Self; 5] = [
        Self::StolenKey,
        Self::BulkRead,
        Self::OffHoursOrders,
        Self::SecretToOutside,
        Self::InjectedAgent,
    ];

    /// Its code, as in labels.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::StolenKey => "A1",
            Self::BulkRead => "A3",
            Self::OffHoursOrders => "A5",
            Self::SecretToOutside => "A7",
            Self::InjectedAgent => "A8",
        }
    }

    /// The detectors that should see it.
    #[must_use]
    pub const fn detectors(self) -> &'static [&'static str] {
        match self {
            Self::StolenKey => &["new-network"],
            Self::BulkRead => &["api-volume"],
            Self::OffHoursOrders => &["off-hours"],
            Self::SecretToOutside | Self::InjectedAgent => &["tool-chain"],
        }
    }

    /// Reads `none`, `all`, or a list such as `A3,A5x2`.
    ///
    /// # Errors
    /// Names the first item that is not an attack, and the attacks there are.
    pub fn list(text: &str) -> Result<Vec<Self>, PlanError> {
        match text.trim() {
            "" | "none" => return Ok(Vec::new()),
            "all" => return Ok(Self::ALL.to_vec()),
            _ => {}
        }
        let mut attacks = Vec::new();
        for item in text.split(',').map(str::trim) {
            let (code, times) = match item.split_once('x') {
                Some((code, times)) => (code, times.parse::<usize>().ok()),
                None => (item, Some(1)),
            };
            let times = times.filter(|times| (1..=1000).contains(times));
            let Some(times) = times else {
                return Err(PlanError::UnknownAttack(item.to_owned()));
            };
            let attack: Self = code
                .parse()
                .map_err(|_| PlanError::UnknownAttack(item.to_owned()))?;
            attacks.extend(std::iter::repeat_n(attack, times));
        }
        Ok(attacks)
    }
}

impl FromStr for Attack {
    type Err = PlanError;

    fn from_str(code: &str) -> Result<Self, PlanError> {
        Self::ALL
            .into_iter()
            .find(|attack| attack.code().eq_ignore_ascii_case(code))
            .ok_or_else(|| PlanError::UnknownAttack(code.to_owned()))
    }
}

/// Why a plan cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Not an attack.
    #[error("unknown attack `{0}`: use none, all, or a list of A1, A3, A5, A7, A8 such as A3,A5x2")]
    UnknownAttack(String),
    /// Too few identities can be its victim.
    #[error("no identity is left for attack {0}: raise --identities or ask for fewer attacks")]
    NoVictim(&'static str),
    /// Nothing to simulate, or too much.
    #[error("a run has 1 to 600 days and 1 to 1000000 identities, not {days} and {identities}")]
    Size {
        /// The days asked for.
        days: u32,
        /// The identities asked for.
        identities: usize,
    },
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
    /// Code of the attack (`A5`) or nuisance (`N1`).
    pub scenario: &'static str,
    /// Whom it befell.
    pub identity: String,
    /// Time of its first event.
    pub from: DateTime<Utc>,
    /// Time of its last event.
    pub to: DateTime<Utc>,
    /// Detectors that should see it; for a nuisance, those that should keep quiet.
    pub detectors: &'static [&'static str],
    /// Whether it is an attack.
    pub malicious: bool,
}

impl Label {
    /// The label as one JSON object without line breaks.
    #[must_use]
    pub fn json(&self) -> String {
        let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        format!(
            "{{\"scenario\":\"{}\",\"identity\":\"{}\",\"from\":\"{}\",\"to\":\"{}\",\
             \"detectors\":[\"{}\"],\"malicious\":{}}}",
            self.scenario,
            self.identity,
            time(self.from),
            time(self.to),
            self.detectors.join("\",\""),
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
    labels: Vec<Label>,
}

impl Bank {
    /// Draws the identities, and scripts the attacks on them.
    ///
    /// # Errors
    /// The plan's size is out of bounds, or no identity is left for one of its attacks.
    pub fn new(plan: &Plan) -> Result<Self, PlanError> {
        let (days, identities) = (plan.days, plan.identities);
        if !(1..=Plan::MAX_DAYS).contains(&days) || !(1..=1_000_000).contains(&identities) {
            return Err(PlanError::Size { days, identities });
        }
        if !(plan.strength > 0.0 && plan.strength <= 100.0) {
            return Err(PlanError::Strength);
        }
        let identities: Vec<_> = (0..identities)
            .map(|who| Identity::new(plan.seed, who))
            .collect();
        let (mut injected, labels) = attack::script(plan, &identities)?;
        injected.sort_by_key(|act| (act.ts, act.who, act.uid));
        Ok(Self {
            plan: plan.clone(),
            identities,
            injected,
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

    /// What the bank's inventory would declare: each identity with the IANA time zone it follows.
    pub fn inventory(&self) -> impl Iterator<Item = (&str, &'static str)> {
        self.identities
            .iter()
            .map(|identity| (identity.name.as_str(), identity.zone.name()))
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
            acts.append(&mut identity.day(date, 1.0));
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
