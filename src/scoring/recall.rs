//! What was seen of the attacks, and how soon.

use std::collections::BTreeSet;

use nhiwatch_detectors::kernel::alert::IncidentId;
use nhiwatch_detectors::kernel::time::Span;
use serde::Serialize;

use super::incidents::{ByIdentity, Incident};
use super::interval::Interval;
use super::labels::{Instance, Labels};

/// How many of the instances were seen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Recall {
    /// Instances seen.
    pub seen: usize,
    /// Their share of all.
    #[serde(serialize_with = "super::rounded")]
    pub share: f64,
    /// Between what that share may lie.
    #[serde(flatten)]
    pub interval: Interval,
}

impl Recall {
    /// The recall of `seen` instances of `of`, of which there is at least one.
    #[must_use]
    pub fn new(seen: usize, of: usize) -> Self {
        Self {
            seen,
            share: seen as f64 / of as f64,
            interval: Interval::of_share(seen, of),
        }
    }
}

/// How long it took from the beginning of an attack to the first word of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Delay {
    /// Half of the instances seen were seen within this.
    #[serde(rename = "median_seconds", serialize_with = "super::seconds")]
    pub median: Span,
    /// Nine of ten of the instances seen were seen within this.
    #[serde(rename = "p90_seconds", serialize_with = "super::seconds")]
    pub p90: Span,
}

impl Delay {
    /// The quantiles of `delays`: the least delay that so many do not exceed.
    fn of(mut delays: Vec<Span>) -> Option<Self> {
        delays.sort_by_key(|delay| delay.micros());
        let quantile = |tenths: usize| {
            let rank = (delays.len() * tenths).div_ceil(10);
            delays.get(rank.checked_sub(1)?).copied()
        };
        Some(Self {
            median: quantile(5)?,
            p90: quantile(9)?,
        })
    }
}

/// What was seen of one scenario's attacks.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Attack {
    /// The scenario.
    pub scenario: String,
    /// How often it happened.
    pub instances: usize,
    /// Seen by an incident of any severity.
    pub any: Recall,
    /// Of these, seen by incidents of severity `info` alone.
    pub info_only: usize,
    /// Seen by an incident that reached `medium` or more.
    pub medium: Recall,
    /// Seen by a detector meant to see it, at any severity.
    pub meant: Recall,
    /// How soon those seen were seen, at any severity; nothing where none was.
    pub delay: Option<Delay>,
    /// Incidents about it, of any severity.
    pub incidents: usize,
    /// Incidents about it that reached `medium` or more.
    pub incidents_medium: usize,
}

/// What was seen of each attack of `labels`, by scenario.
#[must_use]
pub fn attacks(labels: &Labels, incidents: &ByIdentity<'_>) -> Vec<Attack> {
    let scenarios = labels.scenarios(true).into_iter();
    scenarios
        .map(|(scenario, instances)| attack(scenario, &instances, incidents))
        .collect()
}

fn attack(scenario: &str, instances: &[&Instance], incidents: &ByIdentity<'_>) -> Attack {
    let (mut info_only, mut medium, mut meant) = (0, 0, 0);
    let mut delays = Vec::new();
    let mut all: BTreeSet<IncidentId> = BTreeSet::new();
    let mut all_medium: BTreeSet<IncidentId> = BTreeSet::new();
    for instance in instances {
        let about: Vec<&Incident> = incidents.meeting(instance).collect();
        let first = about.iter().map(|one| one.first_from(instance.from)).min();
        delays.extend(first.map(|first| first.since(instance.from)));
        info_only += usize::from(!about.is_empty() && about.iter().all(|one| one.is_info()));
        medium += usize::from(about.iter().any(|one| one.is_medium()));
        let is_meant = |one: &&Incident| instance.detectors.contains(one.detector);
        meant += usize::from(about.iter().any(is_meant));
        all.extend(about.iter().map(|one| one.id));
        all_medium.extend(about.iter().filter(|one| one.is_medium()).map(|one| one.id));
    }
    let of = instances.len();
    Attack {
        scenario: scenario.to_owned(),
        instances: of,
        any: Recall::new(delays.len(), of),
        info_only,
        medium: Recall::new(medium, of),
        meant: Recall::new(meant, of),
        delay: Delay::of(delays),
        incidents: all.len(),
        incidents_medium: all_medium.len(),
    }
}

#[cfg(test)]
mod tests {
    use nhiwatch_detectors::kernel::detector::Severity::{High, Info, Low, Medium};

    use super::super::incidents::made::{incidents, row};
    use super::*;

    #[test]
    fn recall_delay_and_incidents_are_those_counted_by_hand() {
        let labels = [
            row("A1", "a", 10, 12),
            row("A1", "b", 10, 12),
            row("A1", "c", 10, 12),
            row("A1", "d", 10, 12),
            row("A2", "a", 10, 12),
            row("A3", "e", 10, 12),
            row("N1", "a", 10, 12),
        ];
        let labels = Labels::parse(&labels.concat()).unwrap();
        let found = incidents(&[
            // Open before the attack; it speaks again one hour after its beginning.
            ("a", "meant", Medium, &[8, 11, 14]),
            ("a", "other", High, &[15]),
            ("b", "other", Low, &[13, 14]),
            ("c", "meant", Info, &[20]),
            // A day and an hour after the end.
            ("d", "meant", High, &[37]),
            ("z", "meant", High, &[11]),
        ]);
        let attacks = attacks(&labels, &found.by_identity());
        let [first, second, third] = attacks.as_slice() else {
            panic!("{attacks:?}");
        };
        assert_eq!((first.scenario.as_str(), first.instances), ("A1", 4));
        assert_eq!((first.any.seen, first.any.share), (3, 0.75));
        assert_eq!(first.info_only, 1);
        assert_eq!((first.medium.seen, first.meant.seen), (1, 2));
        // The delays are one, three and ten hours.
        let delay = first.delay.unwrap();
        assert_eq!(delay.median, Span::HOUR.times(3));
        assert_eq!(delay.p90, Span::HOUR.times(10));
        assert_eq!((first.incidents, first.incidents_medium), (4, 2));
        assert_eq!((second.any.seen, second.incidents_medium), (1, 2));
        assert_eq!((third.any.seen, third.delay), (0, None));
        assert_eq!(third.any.interval, Interval::of_share(0, 1));
    }

    #[test]
    fn an_incident_that_meets_two_instances_is_one_incident() {
        let labels = [row("A1", "a", 1, 2), row("A1", "a", 4, 5)].concat();
        let labels = Labels::parse(&labels).unwrap();
        let found = incidents(&[("a", "meant", Medium, &[1, 4])]);
        let attack = &attacks(&labels, &found.by_identity())[0];
        assert_eq!((attack.medium.seen, attack.incidents_medium), (2, 1));
    }

    #[test]
    fn quantiles_are_delays_that_were_measured() {
        let hours = |n: i64| Span::HOUR.times(n);
        for (all, median, p90) in [
            ((1..=1), 1, 1),
            ((1..=2), 1, 2),
            ((1..=10), 5, 9),
            ((1..=11), 6, 10),
        ] {
            let delay = Delay::of(all.map(hours).collect()).unwrap();
            assert_eq!((delay.median, delay.p90), (hours(median), hours(p90)));
        }
        assert_eq!(Delay::of(Vec::new()), None);
    }
}
