//! OCSF Detection Finding (class 2004), for a SIEM.

use std::net::IpAddr;

use nhiwatch_detectors::CARDS;
use nhiwatch_detectors::kernel::alert::Alert;
use nhiwatch_detectors::kernel::detector::{BaselineState, Card, Family, Mode, Severity};
use nhiwatch_detectors::kernel::event::Kind;
use nhiwatch_detectors::kernel::own::OWN;

use super::native::{Bounds, Facts, line, tenth, three_digits};
use super::ocsf_types::*;

/// `alert` as one line of JSON, without the line's end: an OCSF 1.6.0 Detection Finding.
///
/// Nothing in it comes from a clock: `time` is the event time of this revision, so that equal
/// alerts are equal bytes.
#[must_use]
pub fn ocsf(alert: &Alert) -> String {
    let update = alert.revision > 1;
    let activity_id = if update { 2 } else { 1 };
    let (severity_id, severity) = severity(alert.severity);
    let (confidence_id, confidence) = confidence(alert);
    line(&DetectionFinding {
        activity_id,
        activity_name: if update { "Update" } else { "Create" },
        category_uid: 2,
        category_name: "Findings",
        class_uid: 2004,
        class_name: "Detection Finding",
        type_uid: 200_400 + activity_id,
        type_name: if update {
            "Detection Finding: Update"
        } else {
            "Detection Finding: Create"
        },
        time: alert.ts.millis(),
        start_time: alert.opened.millis(),
        end_time: alert.ts.millis(),
        count: alert.findings,
        severity_id,
        severity,
        confidence_id,
        confidence,
        status_id: 1,
        status: "New",
        is_alert: alert.mode == Mode::Alert,
        message: format!("{}: {}", alert.identity, alert.finding.summary),
        metadata: metadata(alert),
        finding_info: finding_info(alert),
        anomaly_analyses: anomaly(alert).into_iter().collect(),
        evidences: [evidence(alert)],
        resources: resource(alert).into_iter().collect(),
        observables: observables(alert),
        unmapped: Unmapped {
            nhiwatch: own(alert),
        },
    })
}

/// Where the confidence of `alert` comes from: a detector may have rules beside its estimates, and
/// only an estimate has a p-value.
const fn family(alert: &Alert) -> Family {
    match alert.finding.p_value {
        Some(_) => Family::Statistical,
        None => Family::Policy,
    }
}

fn card(alert: &Alert) -> Option<&'static Card> {
    CARDS
        .iter()
        .chain(OWN)
        .find(|card| card.name == alert.detector)
}

fn severity(severity: Severity) -> (u8, &'static str) {
    match severity {
        Severity::Info => (1, "Informational"),
        Severity::Low => (2, "Low"),
        Severity::Medium => (3, "Medium"),
        Severity::High => (4, "High"),
        Severity::Critical => (5, "Critical"),
    }
}

/// A rule is certain; an estimate is as good as the history behind it.
fn confidence(alert: &Alert) -> (u8, &'static str) {
    match (family(alert), alert.baseline) {
        (Family::Policy, _) | (_, BaselineState::Mature) => (3, "High"),
        (_, BaselineState::Provisional) => (2, "Medium"),
        (_, BaselineState::Learning) => (1, "Low"),
    }
}

fn metadata(alert: &Alert) -> Metadata<'_> {
    let controls = card(alert).map_or(&[][..], |card| card.controls);
    let members = alert.members.as_ref();
    Metadata {
        version: "1.6.0",
        uid: format!("{}-{}", alert.id, alert.revision),
        correlation_uid: members
            .map_or(alert.id, |members| members.storm)
            .to_string(),
        log_name: "nhiwatch",
        product: Product {
            name: "nhiwatch",
            version: env!("CARGO_PKG_VERSION"),
            feature: Feature {
                name: alert.detector,
            },
        },
        labels: controls
            .iter()
            .copied()
            .filter(|id| Attack::new(id).is_none())
            .collect(),
    }
}

fn finding_info(alert: &Alert) -> FindingInfo<'_> {
    let finding = &alert.finding;
    let controls = card(alert).map_or(&[][..], |card| card.controls);
    let (type_id, type_) = match family(alert) {
        Family::Statistical => (3, "Statistical"),
        Family::Policy => (1, "Rule"),
    };
    FindingInfo {
        uid: alert.id.to_string(),
        title: format!("{} on {}", alert.detector, alert.identity),
        desc: format!(
            "{}. Expected: {}. Observed: {}. What would clear it: {}.",
            finding.summary, finding.expected, finding.observed, finding.clears
        ),
        created_time: alert.opened.millis(),
        modified_time: alert.ts.millis(),
        first_seen_time: alert.opened.millis(),
        last_seen_time: alert.ts.millis(),
        related_events: alert
            .events
            .iter()
            .map(|uid| RelatedEvent { uid })
            .collect(),
        related_events_count: alert.events.len(),
        analytic: Analytic {
            name: alert.detector,
            uid: alert.detector,
            type_id,
            type_,
        },
        attacks: controls.iter().filter_map(|id| Attack::new(id)).collect(),
    }
}

fn anomaly(alert: &Alert) -> Option<AnomalyAnalysis<'_>> {
    let finding = &alert.finding;
    let seen = |value| Observed {
        observation_parameter: alert.detector,
        observations: [Observation { value }],
    };
    (family(alert) == Family::Statistical).then(|| AnomalyAnalysis {
        analysis_targets: [Target {
            name: &alert.identity,
            type_: alert.kind.word(),
        }],
        anomalies: [seen(&finding.observed)],
        baselines: [seen(&finding.expected)],
    })
}

fn evidence(alert: &Alert) -> Evidence<'_> {
    let (type_id, type_) = match alert.kind {
        Kind::Human => (1, "User"),
        Kind::Unknown => (0, "Unknown"),
        _ => (4, "Service"),
    };
    let user = User {
        name: &alert.identity,
        uid: &alert.identity,
        type_id,
        type_,
    };
    Evidence {
        name: "the event that caused this revision",
        actor: Actor { user },
        api: (!alert.action.is_empty()).then_some(Api {
            operation: &alert.action,
        }),
        src_endpoint: alert.ip.as_deref().map(endpoint),
        data: Facts(&alert.finding.evidence),
    }
}

/// An address that is none would make the whole finding invalid; it is passed on as a name.
fn endpoint(ip: &str) -> Endpoint<'_> {
    match ip.parse::<IpAddr>() {
        Ok(_) => Endpoint {
            ip: Some(ip),
            name: None,
        },
        Err(_) => Endpoint {
            ip: None,
            name: Some(ip),
        },
    }
}

fn resource(alert: &Alert) -> Option<Resource<'_>> {
    let declared = alert.declared.as_ref()?;
    let bounds = Bounds::of(Some(declared));
    Some(Resource {
        uid: &alert.identity,
        name: &alert.identity,
        type_: alert.kind.word(),
        owner: declared.owner.as_deref().map(|name| Named { name }),
        group: declared.group.as_deref().map(|name| Named { name }),
        criticality: declared.tier.map(|tier| format!("tier {tier}")),
        data: (bounds != Bounds::default()).then_some(bounds),
    })
}

fn observables(alert: &Alert) -> Vec<Observable<'_>> {
    let user = |name, value| Observable {
        name,
        type_id: 4,
        type_: "User Name",
        value,
    };
    let mut list = match &alert.members {
        None => vec![user("evidences[0].actor.user.name", &alert.identity)],
        Some(members) => {
            let name = "unmapped.nhiwatch.identities";
            let each = members.identities.iter();
            each.map(|identity| user(name, identity)).collect()
        }
    };
    if let Some(value) = alert.ip.as_deref().and_then(|ip| endpoint(ip).ip) {
        let name = "evidences[0].src_endpoint.ip";
        list.push(Observable {
            name,
            type_id: 2,
            type_: "IP Address",
            value,
        });
    }
    list
}

fn own(alert: &Alert) -> Own<'_> {
    let members = alert.members.as_ref();
    Own {
        revision: alert.revision,
        subject: &alert.finding.subject,
        p_value: alert.finding.p_value.map(three_digits),
        risk: alert.risk.as_ref().map(|risk| Risk {
            score: tenth(risk.score),
            bits: tenth(risk.bits),
            medium_at_bits: tenth(risk.threshold),
            memory_days: risk.memory,
            findings_per_year: tenth(risk.findings_per_year),
        }),
        clears: &alert.finding.clears,
        baseline_state: alert.baseline.word(),
        mode: alert.mode.word(),
        decision: &alert.decision,
        storm_key: members.map(|members| members.storm.to_string()),
        identities: members.map_or(&[], |members| &members.identities),
    }
}

/// One technique of MITRE ATT&CK or ATLAS.
impl Attack {
    /// The technique that `control` names, if it is one: `T1078`, `T1078.004` or `AML.T0053`.
    fn new(control: &'static str) -> Option<Self> {
        let atlas = control.strip_prefix("AML.");
        let digits = atlas.unwrap_or(control).strip_prefix('T')?;
        let (number, sub) = digits
            .split_once('.')
            .map_or((digits, None), |(number, sub)| (number, Some(sub)));
        let numeric = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !numeric(number) || !sub.is_none_or(numeric) {
            return None;
        }
        let end = control.len() - sub.map_or(0, |sub| sub.len() + 1);
        Some(Self {
            technique: Technique {
                uid: control.get(..end)?,
            },
            sub_technique: sub.map(|_| Technique { uid: control }),
        })
    }
}

#[cfg(test)]
#[path = "ocsf_tests.rs"]
mod tests;
