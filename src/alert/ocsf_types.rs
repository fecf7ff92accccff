//! The parts of an OCSF Detection Finding that we fill, in the order they are written.

use serde::Serialize;

use super::native::{Bounds, Facts};

macro_rules! records {
    ($($name:ident $(<$life:lifetime>)? { $($(#[$meta:meta])* $field:ident: $type:ty,)+ })+) => {
        $(
            #[derive(Serialize)]
            pub(super) struct $name $(<$life>)? { $($(#[$meta])* pub(super) $field: $type,)+ }
        )+
    };
}

records! {
    DetectionFinding<'a> {
        activity_id: u32,
        activity_name: &'static str,
        category_uid: u32,
        category_name: &'static str,
        class_uid: u32,
        class_name: &'static str,
        type_uid: u32,
        type_name: &'static str,
        time: i64,
        start_time: i64,
        end_time: i64,
        count: u32,
        severity_id: u8,
        severity: &'static str,
        confidence_id: u8,
        confidence: &'static str,
        status_id: u8,
        status: &'static str,
        is_alert: bool,
        message: String,
        metadata: Metadata<'a>,
        finding_info: FindingInfo<'a>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        anomaly_analyses: Vec<AnomalyAnalysis<'a>>,
        evidences: [Evidence<'a>; 1],
        #[serde(skip_serializing_if = "Vec::is_empty")]
        resources: Vec<Resource<'a>>,
        observables: Vec<Observable<'a>>,
        unmapped: Unmapped<'a>,
    }
    Metadata<'a> {
        version: &'static str,
        uid: String,
        correlation_uid: String,
        log_name: &'static str,
        product: Product<'a>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        labels: Vec<&'static str>,
    }
    Product<'a> { name: &'static str, version: &'static str, feature: Feature<'a>, }
    Feature<'a> { name: &'a str, }
    FindingInfo<'a> {
        uid: String,
        title: String,
        desc: String,
        created_time: i64,
        modified_time: i64,
        first_seen_time: i64,
        last_seen_time: i64,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        related_events: Vec<RelatedEvent<'a>>,
        related_events_count: usize,
        analytic: Analytic<'a>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        attacks: Vec<Attack>,
    }
    RelatedEvent<'a> { uid: &'a str, }
    Analytic<'a> {
        name: &'a str,
        uid: &'a str,
        type_id: u8,
        #[serde(rename = "type")]
        type_: &'static str,
    }
    Attack {
        technique: Technique,
        #[serde(skip_serializing_if = "Option::is_none")]
        sub_technique: Option<Technique>,
    }
    Technique { uid: &'static str, }
    AnomalyAnalysis<'a> {
        analysis_targets: [Target<'a>; 1],
        anomalies: [Observed<'a>; 1],
        baselines: [Observed<'a>; 1],
    }
    Target<'a> {
        name: &'a str,
        #[serde(rename = "type")]
        type_: &'static str,
    }
    Observed<'a> { observation_parameter: &'a str, observations: [Observation<'a>; 1], }
    Observation<'a> { value: &'a str, }
    Evidence<'a> {
        name: &'static str,
        actor: Actor<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        api: Option<Api<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        src_endpoint: Option<Endpoint<'a>>,
        data: Facts<'a>,
    }
    Actor<'a> { user: User<'a>, }
    User<'a> {
        name: &'a str,
        uid: &'a str,
        type_id: u8,
        #[serde(rename = "type")]
        type_: &'static str,
    }
    Api<'a> { operation: &'a str, }
    Endpoint<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        ip: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<&'a str>,
    }
    Resource<'a> {
        uid: &'a str,
        name: &'a str,
        #[serde(rename = "type")]
        type_: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        owner: Option<Named<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        group: Option<Named<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        criticality: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<Bounds<'a>>,
    }
    Named<'a> { name: &'a str, }
    Observable<'a> {
        name: &'static str,
        type_id: u8,
        #[serde(rename = "type")]
        type_: &'static str,
        value: &'a str,
    }
    Unmapped<'a> { nhiwatch: Own<'a>, }
    Risk { score: f64, bits: f64, medium_at_bits: f64, memory_days: f64, findings_per_year: f64, }
    Own<'a> {
        revision: u32,
        subject: &'a str,
        p_value: Option<f64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        risk: Option<Risk>,
        clears: &'a str,
        baseline_state: &'static str,
        mode: &'static str,
        decision: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    storm_key: Option<String>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    identities: &'a [String],
    }
}
