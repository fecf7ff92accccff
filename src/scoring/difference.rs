//! What another configuration makes of the same input.

use std::collections::BTreeMap;

use nhiwatch_detectors::kernel::detector::Severity;
use nhiwatch_detectors::kernel::time::{Span, Timestamp};
use serde::Serialize;

use super::incidents::{Incident, Incidents};
use super::recall::Attack;

/// An incident of one configuration, as the other may know it; ids depend on the configuration.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Told {
    /// Its id.
    pub id: String,
    /// Whom it is about.
    pub identity: String,
    /// The detector that found it.
    pub detector: &'static str,
    /// What it is about.
    pub subject: String,
    /// When it opened.
    #[serde(serialize_with = "super::instant")]
    pub opened: Timestamp,
    /// The highest severity it reached.
    #[serde(serialize_with = "super::word")]
    pub severity: Severity,
}

impl From<&Incident> for Told {
    fn from(incident: &Incident) -> Self {
        Self {
            id: incident.id.to_string(),
            identity: incident.identity.clone(),
            detector: incident.detector,
            subject: incident.subject.clone(),
            opened: incident.opened,
            severity: incident.severity,
        }
    }
}

/// An incident that both raise, at different severities.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Changed {
    /// The incident as this configuration has it.
    #[serde(flatten)]
    pub this: Told,
    /// Its severity in the other.
    #[serde(serialize_with = "super::word")]
    pub other_severity: Severity,
}

/// How many incidents of one detector differ.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct OfDetector {
    /// The detector.
    pub detector: &'static str,
    /// Incidents here.
    pub this: usize,
    /// Incidents in the other.
    pub other: usize,
    /// Incidents of the other alone.
    pub added: usize,
    /// Incidents of this alone.
    pub removed: usize,
    /// Incidents of both, at different severities.
    pub changed: usize,
}

/// Where the other configuration's incidents differ from this one's.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Difference {
    /// Incidents that are the same in both.
    pub same: usize,
    /// By detector, those that raised any.
    pub by_detector: Vec<OfDetector>,
    /// What the other raises and this does not, the earliest first.
    pub added: Vec<Told>,
    /// What this raises and the other does not, the earliest first.
    pub removed: Vec<Told>,
    /// What both raise, at different severities, the earliest first.
    pub changed: Vec<Changed>,
}

/// Incidents about one thing that opened within this of each other are one: as long as it takes one
/// to close.
const NEAR: Span = Span::HOUR.times(4);

/// What names an incident in every configuration, save the time.
type Key<'i> = (&'i str, &'static str, &'i str);

impl Difference {
    /// What `other` has that `this` has not, and the reverse.
    #[must_use]
    pub fn between(this: &Incidents, other: &Incidents) -> Self {
        let (mine, theirs) = (by_key(this), by_key(other));
        let mut difference = Self::default();
        let none = Vec::new();
        for (key, mine) in &mine {
            difference.pair(mine, theirs.get(key).unwrap_or(&none));
        }
        for (key, theirs) in &theirs {
            if !mine.contains_key(key) {
                difference.pair(&none, theirs);
            }
        }
        let order = |told: &Told| (told.opened, told.identity.clone(), told.detector);
        difference.added.sort_by_cached_key(order);
        difference.removed.sort_by_cached_key(order);
        difference
            .changed
            .sort_by_cached_key(|one| order(&one.this));
        difference.count(this, other);
        difference
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }

    /// Pairs incidents about one thing, each list in the order of time: the earliest two that are
    /// near each other first.
    fn pair(&mut self, mine: &[&Incident], theirs: &[&Incident]) {
        let (mut mine, mut theirs) = (mine.iter().peekable(), theirs.iter().peekable());
        loop {
            match (mine.peek(), theirs.peek()) {
                (None, None) => return,
                (Some(a), Some(b)) if is_near(a, b) => {
                    if a.severity == b.severity {
                        self.same += 1;
                    } else {
                        self.changed.push(Changed {
                            this: Told::from(**a),
                            other_severity: b.severity,
                        });
                    }
                    mine.next();
                    theirs.next();
                }
                (Some(a), b) if b.is_none_or(|b| a.opened < b.opened) => {
                    self.removed.push(Told::from(**a));
                    mine.next();
                }
                (_, b) => {
                    self.added.extend(b.map(|b| Told::from(**b)));
                    theirs.next();
                }
            }
        }
    }

    fn count(&mut self, this: &Incidents, other: &Incidents) {
        let mut counts: BTreeMap<&'static str, OfDetector> = BTreeMap::new();
        let mut of = |detector: &'static str, each: fn(&mut OfDetector) -> &mut usize| {
            let counted = counts.entry(detector).or_default();
            counted.detector = detector;
            *each(counted) += 1;
        };
        this.iter()
            .for_each(|one| of(one.detector, |n| &mut n.this));
        other
            .iter()
            .for_each(|one| of(one.detector, |n| &mut n.other));
        self.added
            .iter()
            .for_each(|one| of(one.detector, |n| &mut n.added));
        self.removed
            .iter()
            .for_each(|one| of(one.detector, |n| &mut n.removed));
        let changed = self.changed.iter();
        changed.for_each(|one| of(one.this.detector, |n| &mut n.changed));
        self.by_detector = counts.into_values().collect();
    }
}

fn is_near(a: &Incident, b: &Incident) -> bool {
    a.opened.since(b.opened).micros().abs() <= NEAR.micros()
}

fn by_key(incidents: &Incidents) -> BTreeMap<Key<'_>, Vec<&Incident>> {
    let mut keys: BTreeMap<Key<'_>, Vec<&Incident>> = BTreeMap::new();
    for one in incidents.iter() {
        let key = (one.identity.as_str(), one.detector, one.subject.as_str());
        keys.entry(key).or_default().push(one);
    }
    for of_key in keys.values_mut() {
        of_key.sort_by_key(|one| (one.opened, one.id));
    }
    keys
}

/// A scenario of which the other configuration sees less.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Fall {
    /// The scenario.
    pub scenario: String,
    /// Which recall falls: `any` or `medium`.
    pub recall: &'static str,
    /// Instances seen here.
    pub this: usize,
    /// Instances seen by the other.
    pub other: usize,
}

/// Where recall falls from `this` to `other`, which are of the same labels.
#[must_use]
pub fn falls(this: &[Attack], other: &[Attack]) -> Vec<Fall> {
    let mut falls = Vec::new();
    for (this, other) in this.iter().zip(other) {
        for (recall, mine, theirs) in [
            ("any", this.any, other.any),
            ("medium", this.medium, other.medium),
        ] {
            if theirs.seen < mine.seen {
                falls.push(Fall {
                    scenario: this.scenario.clone(),
                    recall,
                    this: mine.seen,
                    other: theirs.seen,
                });
            }
        }
    }
    falls
}

#[cfg(test)]
mod tests {
    use nhiwatch_detectors::kernel::detector::Severity::{High, Low, Medium};

    use super::super::incidents::made::{at, incidents, row};
    use super::super::labels::Labels;
    use super::super::recall::attacks;
    use super::*;

    fn hours(told: &[Told]) -> Vec<(String, i64)> {
        let hour = |one: &Told| (one.identity.clone(), one.opened.hour() - at(0).hour());
        told.iter().map(hour).collect()
    }

    #[test]
    fn incidents_are_paired_by_what_they_are_about_and_by_their_time() {
        let this = incidents(&[
            ("a", "x", Low, &[10]),
            ("a", "x", Low, &[20]),
            ("a", "y", Low, &[10]),
            ("b", "x", Low, &[10]),
            ("c", "x", Medium, &[10]),
        ]);
        let other = incidents(&[
            // Four hours later is the same, five hours later is another.
            ("a", "x", Low, &[14]),
            ("a", "x", Low, &[25]),
            ("b", "x", High, &[9]),
            ("c", "z", Medium, &[10]),
            ("d", "x", Medium, &[10]),
        ]);
        let found = Difference::between(&this, &other);
        assert_eq!(found.same, 1);
        let named = |all: &[(&str, i64)]| -> Vec<(String, i64)> {
            all.iter()
                .map(|(who, at)| ((*who).to_owned(), *at))
                .collect()
        };
        assert_eq!(
            hours(&found.removed),
            named(&[("a", 10), ("c", 10), ("a", 20)])
        );
        assert_eq!(
            hours(&found.added),
            named(&[("c", 10), ("d", 10), ("a", 25)])
        );
        let [changed] = found.changed.as_slice() else {
            panic!("{found:?}");
        };
        assert_eq!((changed.this.severity, changed.other_severity), (Low, High));
        let x = found
            .by_detector
            .iter()
            .find(|of| of.detector == "x")
            .unwrap();
        assert_eq!(
            (x.this, x.other, x.added, x.removed, x.changed),
            (4, 4, 2, 2, 1)
        );
    }

    #[test]
    fn an_incident_that_opens_twice_is_paired_in_order() {
        let this = incidents(&[("a", "x", Low, &[10]), ("a", "x", Medium, &[13])]);
        let other = incidents(&[("a", "x", Medium, &[12]), ("a", "x", Low, &[9])]);
        assert!(Difference::between(&this, &other).changed.is_empty());
        assert!(Difference::between(&this, &this).is_none());
    }

    #[test]
    fn a_fall_is_told_of_either_recall_and_a_rise_is_none() {
        let labels = [
            row("A1", "a", 1, 2),
            row("A2", "b", 1, 2),
            row("A3", "c", 1, 2),
        ];
        let labels = Labels::parse(&labels.concat()).unwrap();
        let attacks = |found: &Incidents| attacks(&labels, &found.by_identity());
        let this = attacks(&incidents(&[
            ("a", "x", Medium, &[1]),
            ("b", "x", Medium, &[1]),
        ]));
        let other = attacks(&incidents(&[("b", "x", Low, &[1]), ("c", "x", High, &[1])]));
        let found = falls(&this, &other);
        let told: Vec<_> = found
            .iter()
            .map(|fall| (fall.scenario.as_str(), fall.recall))
            .collect();
        assert_eq!(told, [("A1", "any"), ("A1", "medium"), ("A2", "medium")]);
        assert_eq!(falls(&this, &this), []);
    }
}
