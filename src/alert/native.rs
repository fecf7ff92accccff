//! Our own layout: one flat JSON object.

use std::borrow::Cow;

use chrono_tz::Tz;
use nhiwatch_detectors::kernel::alert::Alert;
use nhiwatch_detectors::kernel::detector::PValue;
use nhiwatch_detectors::kernel::inventory::Declared;
use serde::{Serialize, Serializer};

/// `alert` as one line of JSON, without the line's end.
///
/// The order of the fields is fixed, so equal alerts are equal bytes.
#[must_use]
pub fn native(alert: &Alert) -> String {
    let declared = alert.declared.as_ref();
    let finding = &alert.finding;
    let members = alert.members.as_ref();
    line(&Native {
        id: alert.id.to_string(),
        revision: alert.revision,
        ts: alert.ts.rfc3339(),
        opened: alert.opened.rfc3339(),
        identity: &alert.identity,
        kind: alert.kind.word(),
        owner: declared.and_then(|declared| declared.owner.as_deref()),
        group: declared.and_then(|declared| declared.group.as_deref()),
        tier: declared.and_then(|declared| declared.tier),
        declared: Bounds::of(declared),
        detector: alert.detector,
        severity: alert.severity.word(),
        p_value: finding.p_value.map(three_digits),
        risk: alert.risk.as_ref().map(|risk| tenth(risk.score)),
        subject: &finding.subject,
        summary: &finding.summary,
        expected: &finding.expected,
        observed: &finding.observed,
        evidence: Facts(&finding.evidence),
        clears: &finding.clears,
        events: &alert.events,
        findings: alert.findings,
        action: &alert.action,
        ip: alert.ip.as_deref(),
        baseline_state: alert.baseline.word(),
        mode: alert.mode.word(),
        decision: &alert.decision,
        storm_key: members.map(|members| members.storm.to_string()),
        identities: members.map_or(&[], |members| &members.identities),
    })
}

#[derive(Serialize)]
struct Native<'a> {
    id: String,
    revision: u32,
    ts: String,
    opened: String,
    identity: &'a str,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<u8>,
    #[serde(flatten)]
    declared: Bounds<'a>,
    detector: &'static str,
    severity: &'static str,
    p_value: Option<f64>,
    risk: Option<f64>,
    subject: &'a str,
    summary: &'a str,
    expected: &'a str,
    observed: &'a str,
    evidence: Facts<'a>,
    clears: &'a str,
    events: &'a [String],
    findings: u32,
    action: &'a str,
    ip: Option<&'a str>,
    baseline_state: &'static str,
    mode: &'static str,
    decision: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    storm_key: Option<String>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    identities: &'a [String],
}

/// When and where an identity may act, as far as it is declared.
#[derive(Default, PartialEq, Serialize)]
pub(super) struct Bounds<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    timezone: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    schedule: Vec<String>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    venues: &'a [String],
}

impl<'a> Bounds<'a> {
    /// What `declared` says of it.
    pub(super) fn of(declared: Option<&'a Declared>) -> Self {
        declared.map_or_else(Self::default, |declared| Self {
            timezone: declared.timezone.map(Tz::name),
            schedule: declared
                .schedule
                .windows
                .iter()
                .map(ToString::to_string)
                .collect(),
            venues: &declared.venues,
        })
    }
}

/// Named values as one JSON object, in the order the detector gave them.
pub(super) struct Facts<'a>(pub(super) &'a [(Cow<'static, str>, String)]);

impl Serialize for Facts<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// `value` to one digit after the point.
pub(super) fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// `p` cut to three significant digits, so that it reads well and is the same everywhere.
pub(super) fn three_digits(p: PValue) -> f64 {
    format!("{:.2e}", p.get())
        .parse()
        .unwrap_or_else(|_| p.get())
}

/// `record` as JSON; the records of this module hold nothing JSON cannot say.
pub(super) fn line(record: &impl Serialize) -> String {
    serde_json::to_string(record).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use nhiwatch_detectors::kernel::detector::BaselineState;
    use nhiwatch_detectors::kernel::time::Span;

    use super::super::tests::{bare, sample, storm};
    use super::native;

    #[test]
    fn an_alert_is_one_line_in_fixed_order() {
        assert_eq!(
            native(&sample()),
            concat!(
                r#"{"id":"abababababababababababababababab","revision":2,"#,
                r#""ts":"2026-11-22T03:01:30.123456Z","opened":"2026-11-22T03:00:00Z","#,
                r#""identity":"svc-settlement","kind":"service_account","#,
                r#""owner":"payments-sre","group":"settlement","tier":1,"#,
                r#""schedule":["Mon-Fri 06:00-20:00","Sat 10:00-12:00"],"venues":["XLON","XNYS"],"#,
                r#""detector":"off-hours","severity":"high","p_value":4.57e-9,"risk":62.7,"#,
                r#""subject":"Sun 03:00","summary":"active on Sunday at 03:00, never before","#,
                r#""expected":"nothing between 20:00 and 06:00","#,
                r#""observed":"41 calls at Sun 03:00","#,
                r#""evidence":{"cell":"Sun 03:00","visits":"0 of 9"},"#,
                r#""clears":"activity at this hour on 3 further Sundays","#,
                r#""events":["e-1","e-2"],"findings":2,"action":"iam:CreateAccessKey","#,
                r#""ip":"203.0.113.7","baseline_state":"mature","mode":"alert","#,
                r#""decision":"0123abcd"}"#
            )
        );
    }

    #[test]
    fn what_is_not_known_is_null_or_left_out() {
        let line = native(&bare());
        assert!(line.contains(r#""p_value":null,"risk":null"#), "{line}");
        assert!(
            line.contains(r#""evidence":{},"#) && line.contains(r#""ip":null"#),
            "{line}"
        );
        for absent in ["owner", "tier", "timezone", "schedule", "venues"] {
            assert!(!line.contains(absent), "{line}");
        }
    }

    #[test]
    fn text_from_events_cannot_break_the_line() {
        let mut alert = sample();
        alert.identity = "a\nb\"c\u{1b}[31m".into();
        let line = native(&alert);
        assert_eq!(line.lines().count(), 1);
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["identity"], "a\nb\"c\u{1b}[31m");
    }

    #[test]
    fn every_field_stands_in_the_document() {
        let document = include_str!("../../docs/alerts.md");
        let table = document
            .split("\n\n")
            .find(|part| part.starts_with("| field |"));
        let table = table.expect("the document has a table of fields");
        let alert: serde_json::Value =
            serde_json::from_str(&native(&sample())).expect("it is JSON");
        for field in alert.as_object().expect("it is an object").keys() {
            assert!(table.contains(&format!("`{field}`")), "{field}");
        }
    }

    #[test]
    fn the_document_says_from_when_on_how_much_is_known() {
        let document = include_str!("../../docs/alerts.md");
        for weeks in 0..6 {
            let state = BaselineState::of(Span::WEEK.times(weeks)).word();
            let bound = match state {
                "learning" => "less than 1 week",
                "provisional" => "less than 4 weeks",
                _ => "4 weeks or more",
            };
            let row = format!("| `{state}` | {bound} |");
            assert!(document.contains(&row), "{row}");
            let wanted = [
                "learning",
                "provisional",
                "provisional",
                "provisional",
                "mature",
                "mature",
            ];
            assert_eq!(state, wanted[weeks as usize]);
        }
    }

    #[test]
    fn a_storm_names_its_identities() {
        let text = native(&storm());
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["storm_key"], "cd".repeat(16));
        assert_eq!(value["identities"], serde_json::json!(["svc-a", "svc-b"]));
        for absent in ["storm_key", "identities"] {
            assert!(!native(&sample()).contains(absent));
        }
    }
}
