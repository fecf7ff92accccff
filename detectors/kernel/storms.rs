//! How many identities of a partition a finding is told of on one day, and when that is a storm.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::alert::{Alert, IncidentId};
use super::detector::{PValue, Severity};
use super::storm::{First, Storm};
use super::tails::Expected;

/// What becomes of an alert in its partition.
#[derive(Debug, PartialEq)]
pub(crate) enum Told {
    /// It goes out.
    Alone,
    /// It is one of the storm with this key, and is told with that: here, where that is news.
    Folded(IncidentId, Option<Box<Alert>>),
}

/// The storms of one partition, and how often its identities have incidents about the same.
///
/// A deployment, an outage of a source or a market in turmoil is one cause and many incidents. The first
/// three of a day go out; what follows is folded into one incident of the storm where so many are not
/// what days bring. How often an incident is about the same is learned: its number on a day is Poisson
/// with a rate of which `count` on `days` days left a gamma law, `Gamma(count + 1/2, days)` (Jeffreys'
/// prior), and so negative binomial. What moves orders, money or rights, and what is `critical`, is never
/// folded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Storms {
    /// The first day that counts for the rates.
    since: Option<i64>,
    /// The newest day on which anything was told.
    day: i64,
    subjects: Vec<Subject>,
    /// Oldest first.
    storms: Vec<Storm>,
    #[serde(skip)]
    changed: bool,
}

/// What incidents are about: a detector and its subject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Subject {
    /// Of the detector and the subject.
    fingerprint: u64,
    /// How many went out on the days before.
    count: u32,
    /// How many went out on the newest.
    today: u32,
    /// The first of that day.
    first: First,
}

impl Storms {
    /// The partition is watched from `day` on.
    pub(crate) fn begin(&mut self, day: i64) {
        if self.since.is_none() {
            self.since = Some(day);
            self.changed = true;
        }
    }

    /// Whether there is anything to be stored anew since the last call.
    pub(crate) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Takes in `alert`, of an incident that is new.
    pub(crate) fn opened(&mut self, alert: &Alert, partition: u32) -> Told {
        if alone(alert) {
            return Told::Alone;
        }
        self.changed = true;
        self.reach(alert.opened.day());
        let key = storm_key(alert.detector, &alert.finding.subject, self.day);
        if let Some(storm) = self.storms.iter_mut().find(|storm| storm.key() == key) {
            return match storm.lets_out(alert) {
                true => Told::Alone,
                false => Told::Folded(key, storm.fold(alert).map(Box::new)),
            };
        }
        let days = self.since.map_or(0, |since| (self.day - since).max(0));
        let at = self.subject(alert);
        let Some(subject) = self.subjects.get_mut(at) else {
            return Told::Alone;
        };
        let p = subject.p_of_one_more(days);
        if subject.first.is_full() && p.get() < BEYOND_CHANCE && self.has_room() {
            let subject = &self.subjects[at];
            let usual = f64::from(subject.count) / days.max(1) as f64;
            let mut storm = Storm::new(key, alert, &subject.first, partition, p, usual);
            let told = storm.fold(alert);
            self.storms.push(storm);
            return Told::Folded(key, told.map(Box::new));
        }
        let subject = &mut self.subjects[at];
        if subject.first.note(alert) {
            subject.today = subject.today.saturating_add(1);
        }
        Told::Alone
    }

    /// Takes in `alert`, of an incident that was told before: alone, or with the storm `folded`.
    pub(crate) fn updated(&mut self, alert: &Alert, folded: Option<IncidentId>) -> Told {
        let of_it = |storm: &&mut Storm| match folded {
            Some(key) => storm.key() == key,
            None => storm.began_with(alert),
        };
        let Some(storm) = self.storms.iter_mut().find(of_it) else {
            return Told::Alone;
        };
        self.changed = true;
        let worse = storm.lets_out_worse(alert) || alone(alert);
        match folded.filter(|_| !worse) {
            Some(key) => Told::Folded(key, storm.worsen(alert).map(Box::new)),
            None => Told::Alone,
        }
    }

    /// Whether there may be another storm: one of an earlier day makes room.
    fn has_room(&mut self) -> bool {
        if self.storms.len() == STORMS_MAX {
            let old = self.storms.iter().position(|it| it.day() < self.day);
            old.map(|at| self.storms.remove(at));
        }
        self.storms.len() < STORMS_MAX
    }

    /// A new day begins anew, and what comes late belongs to the newest. Halves what was counted where it
    /// has come together over half a year, so that it follows the times.
    fn reach(&mut self, day: i64) {
        if day <= self.day {
            return;
        }
        self.day = day;
        let old = self.since.filter(|since| day - since > REMEMBERED);
        self.since = old.map(|_| day - REMEMBERED / 2).or(self.since);
        for subject in &mut self.subjects {
            subject.count = subject.total();
            subject.today = 0;
            subject.first = First::default();
            if old.is_some() {
                subject.count /= 2;
            }
        }
    }

    /// Where that is kept which `alert` is about.
    ///
    /// Where there is no room, what was least often takes its count along: a count is never less than the
    /// truth, and a storm never seen in what is usual (Space-Saving: Metwally, Agrawal and El Abbadi,
    /// ICDT 2005).
    fn subject(&mut self, alert: &Alert) -> usize {
        let mut key = alert.detector.as_bytes().to_vec();
        key.push(0);
        key.extend_from_slice(alert.finding.subject.as_bytes());
        let fingerprint = xxh3_64(&key);
        let mut subjects = self.subjects.iter();
        let known = subjects.position(|subject| subject.fingerprint == fingerprint);
        known.unwrap_or_else(|| {
            let mut subject = Subject {
                fingerprint,
                count: 0,
                today: 0,
                first: First::default(),
            };
            if self.subjects.len() == SUBJECTS_MAX {
                let all = (0..).zip(&self.subjects);
                let least = all.min_by_key(|(at, it)| (it.total(), *at));
                if let Some((at, least)) = least {
                    subject.count = least.total();
                    self.subjects.remove(at);
                }
            }
            self.subjects.push(subject);
            self.subjects.len() - 1
        })
    }
}

/// Whether `alert` is never told with others.
fn alone(alert: &Alert) -> bool {
    alert.finding.sink || alert.severity == Severity::Critical
}

impl Subject {
    /// How many there were on all days.
    fn total(&self) -> u32 {
        self.count.saturating_add(self.today)
    }

    /// The chance of as many on one day as there will be with one more, after so many days.
    fn p_of_one_more(&self, days: i64) -> PValue {
        if days == 0 {
            return PValue::new(1.0);
        }
        let shape = f64::from(self.count) + 0.5;
        let law = Expected {
            mean: shape / days as f64,
            fano: 1.0,
            spread: 0.0,
            evidence: shape,
        };
        PValue::from_ln(law.ln_upper(f64::from(self.today) + 1.0))
    }
}

/// The id that a storm about this has on `day` in every partition.
pub(crate) fn storm_key(detector: &str, subject: &str, day: i64) -> IncidentId {
    IncidentId::of([detector.as_bytes(), subject.as_bytes(), &day.to_le_bytes()])
}

/// A day is a storm's where so many come less often by chance, for one subject.
const BEYOND_CHANCE: f64 = 1e-4;
/// Storms that are kept.
const STORMS_MAX: usize = 8;
/// Subjects whose rates are kept.
const SUBJECTS_MAX: usize = 256;
/// Days that the rates rest on, at most.
const REMEMBERED: i64 = 182;
