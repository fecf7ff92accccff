//! Incidents that nothing explains, and how many that is in a year of one identity.

use std::collections::BTreeMap;

use nhiwatch_detectors::CARDS;
use nhiwatch_detectors::kernel::detector::Severity;
use nhiwatch_detectors::kernel::own::OWN;
use serde::Serialize;

use super::exposure::Exposure;
use super::incidents::{Incident, Incidents};
use super::interval::Interval;
use super::labels::{Instance, Labels};

/// How many incidents there were, and in one identity's year.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rate {
    /// Incidents.
    pub incidents: usize,
    /// Incidents in an identity-year, and between what that may lie; nothing where no day is scored.
    pub per_identity_year: Option<PerYear>,
}

/// Incidents in an identity-year.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PerYear {
    /// As many as there were, by the identity-years there were.
    #[serde(serialize_with = "super::rounded")]
    pub rate: f64,
    /// Between what the true rate may lie.
    #[serde(flatten)]
    pub interval: Interval,
}

impl Rate {
    fn new(incidents: usize, exposure: &Exposure) -> Self {
        let years = exposure.identity_years;
        Self {
            incidents,
            per_identity_year: (years > 0.0).then(|| PerYear {
                rate: incidents as f64 / years,
                interval: Interval::of_count(incidents).per(years),
            }),
        }
    }
}

/// The false incidents of one detector.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OfDetector {
    /// The detector.
    pub detector: &'static str,
    /// Its incidents of severity `low` or more.
    #[serde(flatten)]
    pub rate: Rate,
    /// Its incidents of severity `info`.
    pub info: usize,
}

/// The false incidents that reached one severity and no higher one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct OfSeverity {
    /// The severity.
    #[serde(serialize_with = "super::word")]
    pub severity: Severity,
    /// How many.
    #[serde(flatten)]
    pub rate: Rate,
}

/// Incidents that meet no label of their identity and opened in the days that are scored.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FalseIncidents {
    /// Those of severity `low` or more, all together.
    pub total: Rate,
    /// By severity, `info` among them, the least first.
    pub by_severity: Vec<OfSeverity>,
    /// By detector, every one there is.
    pub by_detector: Vec<OfDetector>,
}

impl FalseIncidents {
    /// Those among `incidents` that `labels` do not explain.
    #[must_use]
    pub fn count(labels: &Labels, incidents: &Incidents, exposure: &Exposure) -> Self {
        let mut told: BTreeMap<&str, Vec<&Instance>> = BTreeMap::new();
        for instance in labels.instances() {
            told.entry(&instance.identity).or_default().push(instance);
        }
        let explained = |incident: &Incident| {
            let mut own = incident.whom().filter_map(|identity| told.get(identity));
            own.any(|own| own.iter().any(|instance| instance.meets(incident)))
        };
        let mut counts: BTreeMap<(&str, Severity), usize> = BTreeMap::new();
        for incident in incidents.iter() {
            if incident.opened >= exposure.from && !explained(incident) {
                let key = (incident.detector, incident.severity);
                *counts.entry(key).or_default() += 1;
            }
        }
        let sum = |which: &dyn Fn(&str, Severity) -> bool| -> usize {
            let some = counts
                .iter()
                .filter(|((name, level), _)| which(name, *level));
            some.map(|(_, n)| n).sum()
        };
        let rate = |n: usize| Rate::new(n, exposure);
        let names = CARDS
            .iter()
            .map(|card| card.name)
            .chain(OWN.map(|card| card.name));
        Self {
            total: rate(sum(&|_, level| level > Severity::Info)),
            by_severity: Severity::ALL
                .iter()
                .map(|severity| OfSeverity {
                    severity: *severity,
                    rate: rate(sum(&|_, level| level == *severity)),
                })
                .collect(),
            by_detector: names
                .map(|detector| OfDetector {
                    detector,
                    rate: rate(sum(&|name, level| {
                        name == detector && level > Severity::Info
                    })),
                    info: sum(&|name, level| name == detector && level == Severity::Info),
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use nhiwatch_detectors::kernel::detector::Severity::{High, Info, Low, Medium};

    use super::super::incidents::made::{at, incidents, row};
    use super::*;

    #[test]
    fn what_no_label_explains_is_false_once_days_are_scored() {
        let labels = [row("A1", "a", 110, 112), row("N1", "b", 110, 112)];
        let labels = Labels::parse(&labels.concat()).unwrap();
        let found = incidents(&[
            // Explained: by an attack, by a nuisance.
            ("a", "off-hours", High, &[111]),
            ("b", "off-hours", High, &[120]),
            // Before the scored days, though updated in them.
            ("c", "off-hours", High, &[99, 101]),
            // False: of another identity, before its label, long after it.
            ("c", "off-hours", High, &[111]),
            ("a", "tool-chain", Medium, &[100, 109]),
            ("a", "tool-chain", Low, &[140]),
            ("d", "risk", Info, &[140]),
        ]);
        // Half a year: 3 identities for 60.875 days.
        let exposure = Exposure {
            from: at(100),
            from_given: true,
            to: at(100 + 1461),
            days: 60.875,
            identities: 3,
            identity_years: 0.5,
        };
        let counted = FalseIncidents::count(&labels, &found, &exposure);
        assert_eq!(counted.total.incidents, 3);
        let year = counted.total.per_identity_year.unwrap();
        assert_eq!(year.rate, 6.0);
        assert_eq!(year.interval, Interval::of_count(3).per(0.5));
        let levels: Vec<_> = counted
            .by_severity
            .iter()
            .map(|of| of.rate.incidents)
            .collect();
        assert_eq!(levels, [1, 1, 1, 1, 0]);
        let of = |name: &str| {
            let mut all = counted.by_detector.iter();
            let found = all.find(|of| of.detector == name).unwrap();
            (found.rate.incidents, found.info)
        };
        assert_eq!(of("off-hours"), (1, 0));
        assert_eq!(of("tool-chain"), (2, 0));
        assert_eq!(of("risk"), (0, 1));
        assert_eq!(of("api-volume"), (0, 0));
    }

    #[test]
    fn without_a_scored_day_there_is_no_rate() {
        let labels = Labels::parse(&row("A1", "a", 1, 2)).unwrap();
        let exposure = Exposure::new((at(0), at(10)), None, 3);
        let counted = FalseIncidents::count(&labels, &incidents(&[]), &exposure);
        assert_eq!(counted.total.per_identity_year, None);
    }
}
