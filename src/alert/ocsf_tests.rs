use serde_json::Value;

use super::super::tests::{bare, closed_venue, sample, storm};
use super::{Attack, ocsf};

fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Every value the standard requires of what we write, in the type it requires.
fn check_required(finding: &Value) {
    for path in [
        "/activity_id",
        "/category_uid",
        "/class_uid",
        "/type_uid",
        "/severity_id",
        "/time",
        "/finding_info/analytic/type_id",
        "/observables/0/type_id",
    ] {
        assert!(finding.pointer(path).is_some_and(Value::is_u64), "{path}");
    }
    for path in [
        "/metadata/version",
        "/metadata/product/name",
        "/finding_info/uid",
        "/evidences/0/actor/user/name",
        "/evidences/0/api/operation",
    ] {
        assert!(
            finding.pointer(path).is_some_and(Value::is_string),
            "{path}"
        );
    }
    let (class, activity) = (&finding["class_uid"], &finding["activity_id"]);
    let type_uid = class.as_u64().unwrap() * 100 + activity.as_u64().unwrap();
    assert_eq!(finding["type_uid"].as_u64(), Some(type_uid));
    assert_eq!(finding["category_uid"], 2);
    assert_eq!(finding["metadata"]["version"], "1.6.0");
}

#[test]
fn an_update_of_a_statistical_finding_carries_baseline_and_anomaly() {
    let text = ocsf(&sample());
    let finding = value(&text);
    check_required(&finding);
    assert_eq!(finding["type_uid"], 200_402);
    assert_eq!(finding["time"], 1_795_316_490_123_i64);
    assert_eq!(finding["start_time"], 1_795_316_400_000_i64);
    assert_eq!(finding["severity_id"], 4);
    assert_eq!(finding["finding_info"]["uid"], "ab".repeat(16));
    assert_eq!(finding["finding_info"]["analytic"]["type_id"], 3);
    assert_eq!(finding["finding_info"]["related_events"][1]["uid"], "e-2");
    let analysis = &finding["anomaly_analyses"][0];
    assert_eq!(analysis["analysis_targets"][0]["name"], "svc-settlement");
    assert_eq!(
        analysis["anomalies"][0]["observations"][0]["value"],
        "41 calls at Sun 03:00"
    );
    let baseline = &analysis["baselines"][0]["observations"][0]["value"];
    assert_eq!(baseline, "nothing between 20:00 and 06:00");
    assert_eq!(finding["evidences"][0]["data"]["visits"], "0 of 9");
    assert_eq!(finding["resources"][0]["owner"]["name"], "payments-sre");
    let mut alert = sample();
    alert.declared.as_mut().unwrap().timezone = Some(chrono_tz::Tz::Europe__London);
    let declared = &value(&ocsf(&alert))["resources"][0]["data"];
    assert_eq!(declared["timezone"], "Europe/London");
    assert_eq!(declared["schedule"][1], "Sat 10:00-12:00");
    assert_eq!(declared["venues"], serde_json::json!(["XLON", "XNYS"]));
    assert_eq!(finding["observables"][1]["value"], "203.0.113.7");
    assert_eq!(ocsf(&sample()), text);
}

#[test]
fn a_new_finding_of_a_rule_has_no_baseline() {
    let finding = value(&ocsf(&bare()));
    check_required(&finding);
    assert_eq!(finding["type_uid"], 200_401);
    assert_eq!(finding["severity_id"], 5);
    assert_eq!(finding["finding_info"]["analytic"]["type_id"], 1);
    assert_eq!(finding["evidences"][0]["actor"]["user"]["type_id"], 0);
    for absent in ["anomaly_analyses", "resources"] {
        assert!(finding.get(absent).is_none(), "{absent}");
    }
}

#[test]
fn a_storm_names_its_identities_and_is_merged_by_its_key() {
    let finding = value(&ocsf(&storm()));
    check_required(&finding);
    let key = "cd".repeat(16);
    assert_eq!(finding["metadata"]["correlation_uid"], key);
    assert_eq!(finding["finding_info"]["uid"], "ab".repeat(16));
    let own = &finding["unmapped"]["nhiwatch"];
    assert_eq!(own["storm_key"], key);
    assert_eq!(own["identities"], serde_json::json!(["svc-a", "svc-b"]));
    let observed = finding["observables"].as_array().unwrap();
    let observed: Vec<_> = observed.iter().map(|it| &it["value"]).collect();
    assert_eq!(observed, ["svc-a", "svc-b"]);
}

#[test]
fn a_rule_of_a_detector_that_also_estimates_is_a_rule() {
    let finding = value(&ocsf(&closed_venue()));
    assert_eq!(finding["finding_info"]["analytic"]["type_id"], 1);
    assert_eq!(finding["confidence_id"], 3);
    assert!(finding.get("anomaly_analyses").is_none());
}

#[test]
fn an_address_that_is_none_is_passed_on_as_a_name() {
    let mut alert = sample();
    alert.ip = Some("signin.amazonaws.com".into());
    let finding = value(&ocsf(&alert));
    assert_eq!(
        finding["evidences"][0]["src_endpoint"]["name"],
        "signin.amazonaws.com"
    );
    assert!(finding["evidences"][0]["src_endpoint"].get("ip").is_none());
    assert_eq!(finding["observables"].as_array().map(Vec::len), Some(1));
}

#[test]
fn only_techniques_become_attacks() {
    let read = |control| {
        let attack = Attack::new(control)?;
        Some((
            attack.technique.uid,
            attack.sub_technique.map(|sub| sub.uid),
        ))
    };
    assert_eq!(read("T1530"), Some(("T1530", None)));
    assert_eq!(read("T1078.004"), Some(("T1078", Some("T1078.004"))));
    assert_eq!(read("AML.T0053"), Some(("AML.T0053", None)));
    assert_eq!(read("NHI7:2025"), None);
    assert_eq!(read("FINRA-3110"), None);
    assert_eq!(read("TLP"), None);
}
