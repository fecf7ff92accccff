//! What was raised: every incident of a run, as its alerts tell it.

use std::collections::BTreeMap;

use nhiwatch_detectors::kernel::alert::{Alert, IncidentId};
use nhiwatch_detectors::kernel::detector::Severity;
use nhiwatch_detectors::kernel::time::Timestamp;

use super::labels::Instance;

/// One incident, over all of its revisions.
#[derive(Clone, Debug, PartialEq)]
pub struct Incident {
    /// Its id.
    pub id: IncidentId,
    /// Whom it is about; of a storm, nobody.
    pub identity: String,
    /// Whom a storm is about.
    pub members: Vec<String>,
    /// The detector that found it.
    pub detector: &'static str,
    /// What it is about.
    pub subject: String,
    /// When it opened.
    pub opened: Timestamp,
    /// When it was last updated.
    pub last: Timestamp,
    /// The highest severity it reached.
    pub severity: Severity,
    /// When each of its revisions came, in the order they came.
    revisions: Vec<Timestamp>,
}

impl Incident {
    /// Whether it is about `identity`.
    #[must_use]
    pub fn is_about(&self, identity: &str) -> bool {
        self.whom().any(|whom| whom == identity)
    }

    /// All whom it is about.
    pub fn whom(&self) -> impl Iterator<Item = &str> {
        let one = self.members.is_empty().then_some(self.identity.as_str());
        one.into_iter()
            .chain(self.members.iter().map(String::as_str))
    }

    /// Whether it is `medium` or worse.
    #[must_use]
    pub fn is_medium(&self) -> bool {
        self.severity >= Severity::Medium
    }

    /// Whether it is `info`, which is said while little is known.
    #[must_use]
    pub fn is_info(&self) -> bool {
        self.severity == Severity::Info
    }

    /// When it first spoke at or after `from`.
    #[must_use]
    pub fn first_from(&self, from: Timestamp) -> Timestamp {
        let later = self.revisions.iter().copied().filter(|ts| *ts >= from);
        later.min().unwrap_or(self.last)
    }
}

/// All incidents of one run.
#[derive(Clone, Debug, Default)]
pub struct Incidents {
    all: BTreeMap<IncidentId, Incident>,
    dropped: u64,
}

impl Incidents {
    /// Incidents kept at most; a run that raises more is not worth scoring.
    pub const MAX: usize = 1_000_000;

    /// Notes an alert or an update of one.
    pub fn note(&mut self, alert: &Alert) {
        let members = alert.members.as_ref();
        let members = members.map_or_else(Vec::new, |members| members.identities.clone());
        if let Some(incident) = self.all.get_mut(&alert.id) {
            incident.last = incident.last.max(alert.ts);
            incident.severity = incident.severity.max(alert.severity);
            incident.revisions.push(alert.ts);
            incident.members = members;
        } else if self.all.len() == Self::MAX {
            self.dropped += 1;
        } else {
            let incident = Incident {
                id: alert.id,
                identity: alert.identity.clone(),
                members,
                detector: alert.detector,
                subject: alert.finding.subject.clone(),
                opened: alert.opened,
                last: alert.ts.max(alert.opened),
                severity: alert.severity,
                revisions: vec![alert.ts],
            };
            self.all.insert(alert.id, incident);
        }
    }

    /// Every incident, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Incident> {
        self.all.values()
    }

    /// Alerts that were left out because there were more than [`Incidents::MAX`] incidents.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The incidents, to be found by whom they are about.
    #[must_use]
    pub fn by_identity(&self) -> ByIdentity<'_> {
        let mut index: BTreeMap<&str, Vec<&Incident>> = BTreeMap::new();
        for incident in self.iter() {
            for identity in incident.whom() {
                index.entry(identity).or_default().push(incident);
            }
        }
        ByIdentity(index)
    }
}

/// Incidents by whom they are about.
#[derive(Clone, Debug)]
pub struct ByIdentity<'i>(BTreeMap<&'i str, Vec<&'i Incident>>);

impl<'i> ByIdentity<'i> {
    /// The incidents that may be about `instance`.
    pub fn meeting<'s>(
        &'s self,
        instance: &'s Instance,
    ) -> impl Iterator<Item = &'i Incident> + 's {
        let own = self.0.get(instance.identity.as_str());
        let own = own.into_iter().flatten().copied();
        own.filter(|incident| instance.meets(incident))
    }
}

#[cfg(test)]
pub(super) mod made {
    //! Incidents and instances for tests, in hours of one day.

    use super::*;

    /// The instant `hours` into the day.
    pub(in crate::scoring) fn at(hours: i64) -> Timestamp {
        Timestamp::from_hour(500_000 + hours)
    }

    /// Incidents, each with its identity, detector, severity, and hours of its revisions.
    pub(in crate::scoring) fn incidents(
        all: &[(&str, &'static str, Severity, &[i64])],
    ) -> Incidents {
        let mut incidents = Incidents::default();
        for (n, (identity, detector, severity, hours)) in (0..).zip(all) {
            let id = IncidentId([n; 16]);
            let revisions: Vec<Timestamp> = hours.iter().map(|hour| at(*hour)).collect();
            let incident = Incident {
                id,
                identity: (*identity).to_owned(),
                members: Vec::new(),
                detector,
                subject: "s".to_owned(),
                opened: revisions[0],
                last: revisions[revisions.len() - 1],
                severity: *severity,
                revisions,
            };
            incidents.all.insert(id, incident);
        }
        incidents
    }

    /// An instance of `scenario` on `identity`, from and to an hour.
    pub(in crate::scoring) fn row(scenario: &str, identity: &str, from: i64, to: i64) -> String {
        let malicious = scenario.starts_with('A');
        format!(
            "{{\"scenario\":\"{scenario}\",\"identity\":\"{identity}\",\"from\":\"{}\",\
             \"to\":\"{}\",\"detectors\":[\"meant\"],\"malicious\":{malicious}}}\n",
            at(from).rfc3339(),
            at(to).rfc3339()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::made::{at, incidents, row};
    use super::*;
    use crate::scoring::labels::Labels;

    #[test]
    fn an_incident_meets_what_its_time_touches_up_to_a_day_later() {
        let labels = Labels::parse(&row("A1", "x", 10, 12)).unwrap();
        let instance = &labels.instances()[0];
        for (identity, hours, meets) in [
            ("x", &[10][..], true),
            ("x", &[8, 9], false),
            ("x", &[8, 10], true),
            ("x", &[36], true),
            ("x", &[37], false),
            ("y", &[11], false),
        ] {
            let all = incidents(&[(identity, "d", Severity::Low, hours)]);
            let met = all.by_identity().meeting(instance).count() == 1;
            assert_eq!(met, meets, "{identity} {hours:?}");
        }
    }

    #[test]
    fn an_incident_that_was_open_before_speaks_when_it_is_updated() {
        let all = incidents(&[("x", "d", Severity::Low, &[8, 9, 11, 13])]);
        let incident = all.iter().next().unwrap();
        assert_eq!(incident.first_from(at(10)), at(11));
        assert_eq!(incident.first_from(at(1)), at(8));
    }
}
