//! What harmless changes raised.

use std::collections::BTreeMap;

use nhiwatch_detectors::kernel::alert::IncidentId;
use serde::Serialize;

use super::incidents::{ByIdentity, Incident};
use super::labels::{Instance, Labels};

/// What one scenario's harmless changes raised.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Nuisance {
    /// The scenario.
    pub scenario: String,
    /// How often it happened.
    pub instances: usize,
    /// Incidents of any severity.
    pub incidents: usize,
    /// Of these, incidents of severity `info`.
    pub incidents_info: usize,
    /// Of these, incidents that reached `medium` or more.
    pub incidents_medium: usize,
    /// The most incidents that one instance raised.
    pub most_per_instance: usize,
}

/// What each nuisance of `labels` raised, by scenario.
#[must_use]
pub fn nuisances(labels: &Labels, incidents: &ByIdentity<'_>) -> Vec<Nuisance> {
    let scenarios = labels.scenarios(false).into_iter();
    scenarios
        .map(|(scenario, instances)| nuisance(scenario, &instances, incidents))
        .collect()
}

fn nuisance(scenario: &str, instances: &[&Instance], incidents: &ByIdentity<'_>) -> Nuisance {
    let mut most = 0;
    let mut all: BTreeMap<IncidentId, &Incident> = BTreeMap::new();
    for instance in instances {
        let about: Vec<&Incident> = incidents.meeting(instance).collect();
        most = most.max(about.len());
        all.extend(about.into_iter().map(|one| (one.id, one)));
    }
    Nuisance {
        scenario: scenario.to_owned(),
        instances: instances.len(),
        incidents: all.len(),
        incidents_info: all.values().filter(|one| one.is_info()).count(),
        incidents_medium: all.values().filter(|one| one.is_medium()).count(),
        most_per_instance: most,
    }
}

#[cfg(test)]
mod tests {
    use nhiwatch_detectors::kernel::detector::Severity::{High, Info, Low, Medium};

    use super::super::incidents::made::{incidents, row};
    use super::*;

    #[test]
    fn incidents_of_harmless_changes_are_counted_by_scenario_and_instance() {
        let labels = [
            row("N1", "a", 10, 12),
            row("N1", "b", 10, 12),
            row("N2", "c", 10, 12),
            row("A1", "a", 10, 12),
        ];
        let labels = Labels::parse(&labels.concat()).unwrap();
        let found = incidents(&[
            ("a", "d", Info, &[10]),
            ("a", "d", Low, &[11]),
            ("a", "d", Medium, &[12]),
            ("b", "d", High, &[30]),
            ("b", "d", High, &[40]),
        ]);
        let nuisances = nuisances(&labels, &found.by_identity());
        let nuisance = |scenario: &str, counts: [usize; 5]| Nuisance {
            scenario: scenario.to_owned(),
            instances: counts[0],
            incidents: counts[1],
            incidents_info: counts[2],
            incidents_medium: counts[3],
            most_per_instance: counts[4],
        };
        assert_eq!(
            nuisances,
            [
                nuisance("N1", [2, 4, 1, 2, 3]),
                nuisance("N2", [1, 0, 0, 0, 0])
            ]
        );
    }
}
