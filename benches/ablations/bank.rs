//! A simulated bank, watched by everything that is compared.

use std::collections::BTreeMap;
use std::io::{Error, Result};
use std::path::PathBuf;
use std::sync::Arc;

use chrono::NaiveDate;
use nhiwatch::calendars;
use nhiwatch::inventory::Inventory;
use nhiwatch::replay::Replay;
use nhiwatch::scoring::incidents::Incidents;
use nhiwatch::simulate::{Attack, Bank, Label, Nuisance, Plan};
use nhiwatch_detectors::kernel::ablation::{Part, leave_out};
use nhiwatch_detectors::kernel::detector::Severity;
use nhiwatch_detectors::kernel::engine::{Decision, Settings, Sighting};
use nhiwatch_detectors::kernel::time::{Span, Timestamp};

use super::rivals;

/// Something that was found of somebody, and how strange it was.
#[derive(Clone, Debug)]
pub(crate) struct Alarm {
    pub(crate) identity: String,
    pub(crate) ts: Timestamp,
    pub(crate) score: f64,
}

/// What all methods said of one bank in the days that are scored.
pub(crate) struct Watched {
    /// By method, as [`Subject::methods`] names them.
    pub(crate) alarms: Vec<Vec<Alarm>>,
    /// What the whole product published as `medium` or more, one alarm each; by what was left out of it, as
    /// [`Subject::products`] names them.
    pub(crate) published: Vec<Vec<Alarm>>,
    pub(crate) labels: Vec<Label>,
    /// Identities, times the years that are scored.
    pub(crate) identity_years: f64,
}

/// What is taken apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Subject {
    /// `api-volume`, beside what others do.
    Volume,
    /// `tool-chain`.
    Chains,
}

impl Subject {
    /// The detector whose findings count.
    const fn detector(self) -> &'static str {
        match self {
            Self::Volume => "api-volume",
            Self::Chains => "tool-chain",
        }
    }

    /// The parts of ours that are left out in turn, and what they are called.
    const fn left_out(self) -> &'static [(Part, &'static str)] {
        match self {
            Self::Volume => &[
                (Part::Tail, "the tail of each identity"),
                (Part::Winsorising, "cutting back what it learns"),
                (Part::Nowcast, "what busy peers explain"),
            ],
            Self::Chains => &[
                (Part::Paths, "the ways sessions go as a whole"),
                (Part::Flows, "flows"),
                (Part::Targets, "targets"),
            ],
        }
    }

    /// Whole, then without each part.
    fn parts(self) -> impl Iterator<Item = Option<Part>> {
        let parts = self.left_out().iter().map(|(part, _)| Some(*part));
        std::iter::once(None).chain(parts)
    }

    /// The whole product, and the product without each part.
    pub(crate) fn products(self) -> Vec<String> {
        let without = self.left_out().iter();
        let without = without.map(|(_, part)| format!("the same without {part}"));
        std::iter::once("nhiwatch, all detectors".to_owned())
            .chain(without)
            .collect()
    }

    /// What is compared at the same number of false alarms.
    pub(crate) fn methods(self) -> Vec<String> {
        let own = self.detector();
        let without = self.left_out().iter();
        let without = without.map(|(_, part)| format!("`{own}` without {part}"));
        let rivals = rivals::NAMES.into_iter().filter(|_| self == Self::Volume);
        std::iter::once(format!("`{own}` alone"))
            .chain(without)
            .chain(rivals.map(str::to_owned))
            .collect()
    }
}

/// What a bank is like.
#[derive(Clone, Debug)]
pub(crate) struct Size {
    pub(crate) subject: Subject,
    pub(crate) identities: usize,
    pub(crate) days: u32,
    pub(crate) attacks: &'static str,
    pub(crate) strength: f64,
    pub(crate) harmless: bool,
}

/// Makes the bank of `seed` and lets everything watch it.
pub(crate) fn watch(seed: u64, size: &Size) -> Result<Watched> {
    let mut plan = Plan::new(size.identities, size.days, seed);
    plan = plan.until(NaiveDate::from_ymd_opt(2026, 12, 4).unwrap_or_default());
    plan.attacks = Attack::list(size.attacks).map_err(Error::other)?;
    plan.strength = size.strength;
    plan.native = true;
    if size.harmless {
        plan.nuisances = Nuisance::standard(size.identities);
    }
    let bank = Bank::new(&plan).map_err(Error::other)?;
    let start = Timestamp::from_micros(plan.start.timestamp_micros());
    let scored = start.plus(Span::DAY.times(LEARNED));
    let mut ours = ours(&bank, seed, size.subject)?;
    let mut rivals = Rivals::new(start);
    let mut incidents: Vec<Incidents> = ours.iter().map(|_| Incidents::default()).collect();
    let mut alarms: Vec<Vec<Alarm>> = vec![Vec::new(); size.subject.methods().len()];
    for line in bank.events() {
        for ((part, replay), incidents) in ours.iter_mut().zip(&mut incidents) {
            leave_out(*part);
            let told = replay.event(0, &line.identity, &line.json);
            told.map_err(|reject| Error::other(format!("{reject:?}")))?;
            let raised = replay.take_alerts();
            raised.iter().for_each(|alert| incidents.note(alert));
        }
        leave_out(None);
        if size.subject == Subject::Volume {
            rivals.count(&line.identity, Timestamp::from_micros(line.ts_micros));
        }
    }
    for (method, (_, replay)) in ours.iter_mut().enumerate() {
        let found = replay.take_sightings().into_iter();
        let own = found.filter(|it| it.detector == size.subject.detector());
        alarms[method] = own.map(alarm).collect();
    }
    if size.subject == Subject::Volume {
        alarms[ours.len()..].clone_from_slice(&rivals.close());
    }
    for told in &mut alarms {
        told.retain(|alarm| alarm.ts >= scored);
        told.sort_by(|a, b| (&a.identity, a.ts).cmp(&(&b.identity, b.ts)));
    }
    let published = incidents.iter().map(|incidents| {
        let severe = incidents
            .iter()
            .filter(|it| it.severity >= Severity::Medium && it.last >= scored);
        let alarms = severe.map(|it| Alarm {
            identity: it.identity.clone(),
            ts: it.first_from(scored),
            score: 1.0,
        });
        alarms.collect()
    });
    let days = f64::from(size.days) - LEARNED as f64;
    Ok(Watched {
        alarms,
        published: published.collect(),
        labels: bank.labels(),
        identity_years: size.identities as f64 * days / 365.25,
    })
}

/// A finding, by what it weighs.
fn alarm(sighting: Sighting) -> Alarm {
    Alarm {
        score: sighting.finding.weight().unwrap_or(0.0),
        identity: sighting.identity,
        ts: sighting.ts,
    }
}

/// Ours, whole and without each part.
fn ours(bank: &Bank, seed: u64, subject: Subject) -> Result<Vec<(Option<Part>, Replay)>> {
    let file: PathBuf = std::env::temp_dir().join(format!(
        "nhiwatch-ablations-{}-{seed}-{subject:?}.yaml",
        std::process::id()
    ));
    let list: String = bank.inventory().map(|entry| entry.yaml()).collect();
    std::fs::write(&file, format!("identities:\n{list}"))?;
    let inventory = Inventory::load(Some(&file));
    std::fs::remove_file(&file)?;
    let inventory = inventory.map_err(|faults| Error::other(format!("{faults:?}")))?;
    let calendars = calendars::load(None).map_err(|fault| Error::other(format!("{fault:?}")))?;
    let decision = Decision::new(Settings {
        calendars,
        ..Settings::default()
    });
    let decision = Arc::new(decision);
    let each = |part: Option<Part>| {
        let mut replay = Replay::new(Arc::clone(&decision));
        for entry in inventory.entries() {
            let told = replay.declare(0, entry);
            told.map_err(|reject| Error::other(format!("{reject:?}")))?;
        }
        replay.keep_sightings();
        Ok((part, replay))
    };
    subject.parts().map(each).collect()
}

/// The rivals of every identity, fed by the hour.
struct Rivals {
    start: Timestamp,
    identities: BTreeMap<String, Counted>,
    alarms: Vec<Vec<Alarm>>,
}

/// One identity's hour at hand, and those who judge it.
struct Counted {
    hour: usize,
    calls: f64,
    judges: [Box<dyn rivals::Rival>; 4],
}

impl Rivals {
    fn new(start: Timestamp) -> Self {
        Self {
            start,
            identities: BTreeMap::new(),
            alarms: vec![Vec::new(); rivals::NAMES.len()],
        }
    }

    fn count(&mut self, identity: &str, ts: Timestamp) {
        let hour = (ts.since(self.start).seconds() / 3600).max(0) as usize;
        if !self.identities.contains_key(identity) {
            let new = Counted {
                hour: 0,
                calls: 0.0,
                judges: rivals::all(),
            };
            self.identities.insert(identity.to_owned(), new);
        }
        if let Some(counted) = self.identities.get_mut(identity) {
            counted.until(hour, identity, self.start, &mut self.alarms);
            counted.calls += 1.0;
        }
    }

    fn close(mut self) -> Vec<Vec<Alarm>> {
        for (identity, counted) in &mut self.identities {
            let next = counted.hour + 1;
            counted.until(next, identity, self.start, &mut self.alarms);
        }
        self.alarms
    }
}

impl Counted {
    /// Lets the hours before `hour` be judged.
    fn until(&mut self, hour: usize, identity: &str, start: Timestamp, alarms: &mut [Vec<Alarm>]) {
        while self.hour < hour {
            for (judge, alarms) in self.judges.iter_mut().zip(&mut *alarms) {
                let score = judge.score(self.hour, self.calls);
                if score > 1.0 {
                    alarms.push(Alarm {
                        identity: identity.to_owned(),
                        ts: start.plus(Span::HOUR.times(self.hour as i64 + 1)),
                        score,
                    });
                }
            }
            self.hour += 1;
            self.calls = 0.0;
        }
    }
}

/// Days that are watched before anything is scored.
const LEARNED: i64 = 28;
