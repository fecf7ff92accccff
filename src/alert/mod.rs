//! How an alert is written: for programs, for a SIEM and for a person.

mod native;
mod ocsf;
mod ocsf_types;
mod person;

pub use native::native;
pub use ocsf::ocsf;
pub use person::{escape, escape_lines, person};

#[cfg(test)]
mod tests {
    use nhiwatch_detectors::kernel::alert::{Alert, IncidentId, Members};
    use nhiwatch_detectors::kernel::detector::{
        BaselineState, Finding, Mode, PValue, Severity, evidence,
    };
    use nhiwatch_detectors::kernel::event::Kind;
    use nhiwatch_detectors::kernel::inventory::Declared;
    use nhiwatch_detectors::kernel::risk::Reading;
    use nhiwatch_detectors::kernel::schedule::Schedule;
    use nhiwatch_detectors::kernel::time::{Span, Timestamp};

    /// An alert as a statistical detector raises it, on its second revision.
    pub(super) fn sample() -> Alert {
        let opened = Timestamp::from_seconds(1_795_316_400); // 2026-11-22T03:00:00Z
        Alert {
            id: IncidentId([0xab; 16]),
            revision: 2,
            ts: opened.plus(Span::from_micros(90_123_456)),
            opened,
            identity: "svc-settlement".into(),
            kind: Kind::ServiceAccount,
            declared: Some(Declared {
                timezone: None,
                owner: Some("payments-sre".into()),
                group: Some("settlement".into()),
                tier: Some(1),
                schedule: Schedule {
                    windows: ["Mon-Fri 06:00-20:00", "Sat 10:00-12:00"]
                        .iter()
                        .map(|window| window.parse().unwrap())
                        .collect(),
                },
                venues: vec!["XLON".into(), "XNYS".into()],
            }),
            detector: "off-hours",
            severity: Severity::High,
            finding: Finding {
                subject: "Sun 03:00".into(),
                p_value: Some(PValue::new(4.5678e-9)),
                begins: 0.003,
                summary: "active on Sunday at 03:00, never before".into(),
                expected: "nothing between 20:00 and 06:00".into(),
                observed: "41 calls at Sun 03:00".into(),
                evidence: evidence([("cell", "Sun 03:00".into()), ("visits", "0 of 9".into())]),
                clears: "activity at this hour on 3 further Sundays".into(),
                severity: None,
                sink: true,
                floor: 0.0,
            },
            risk: Some(Reading {
                severity: Some(Severity::Medium),
                bits: 9.25,
                threshold: 6.5,
                memory: 1.0,
                score: 62.719,
                p_value: PValue::new(0.000_123_4),
                findings_per_year: 12.3,
            }),
            findings: 2,
            events: vec!["e-1".into(), "e-2".into()],
            action: "iam:CreateAccessKey".into(),
            ip: Some("203.0.113.7".into()),
            baseline: BaselineState::Mature,
            mode: Mode::Alert,
            decision: "0123abcd".into(),
            members: None,
        }
    }

    /// A storm.
    pub(super) fn storm() -> Alert {
        let mut alert = bare();
        alert.identity = "(many)".into();
        alert.detector = "storm";
        alert.severity = Severity::Medium;
        alert.finding.p_value = Some(PValue::new(1e-9));
        alert.members = Some(Box::new(Members {
            storm: IncidentId([0xcd; 16]),
            identities: vec!["svc-a".into(), "svc-b".into()],
        }));
        alert
    }

    /// The same as a rule raises it, with as little known as possible.
    pub(super) fn bare() -> Alert {
        let mut alert = sample();
        alert.revision = 1;
        alert.ts = alert.opened;
        alert.findings = 1;
        alert.kind = Kind::Unknown;
        alert.detector = "retired-identity";
        alert.declared = None;
        alert.finding.p_value = None;
        alert.risk = None;
        alert.finding.evidence.clear();
        alert.events.clear();
        alert.ip = None;
        alert.severity = Severity::Critical;
        alert
    }

    /// The same as a rule of a detector raises it that otherwise estimates.
    pub(super) fn closed_venue() -> Alert {
        let mut alert = sample();
        alert.baseline = BaselineState::Learning;
        alert.finding.p_value = None;
        alert
    }
}
