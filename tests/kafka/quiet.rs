//! A partition that falls silent.

use std::collections::BTreeSet;

use nhiwatch::partition;
use serde_json::Value;

use super::broker::Broker;
use super::service::{Service, note};
use super::traces::produce;

const PARTITIONS: i32 = 6;
/// Days on which everybody works.
const DAYS: i64 = 42;
/// A Monday.
const START: i64 = 1_759_708_800;
const DAY: i64 = 86_400;
/// Seconds between the calls of an identity.
const EVERY: i64 = 600;

#[test]
fn a_partition_that_is_silent_for_a_day_holds_no_other_up_and_is_told_of_once() {
    let Some(broker) = Broker::find() else { return };
    let mut service = Service::prepare_with_raw(&broker, "quiet", PARTITIONS, 1);
    let names = one_of_each_partition();
    let (silent, others) = names.split_first().unwrap();
    let event = |ts: i64, name: &str| {
        let json = format!(r#"{{"ts":{ts},"identity":"{name}","action":"ledger.read"}}"#);
        (String::new(), json)
    };
    let calls = |days: std::ops::Range<i64>, names: &[String]| {
        let times = (days.start * DAY / EVERY..days.end * DAY / EVERY).map(|n| START + n * EVERY);
        let at = |ts: i64| {
            names
                .iter()
                .map(move |name| event(ts, name))
                .collect::<Vec<_>>()
        };
        times.flat_map(at).collect::<Vec<_>>()
    };
    let mut raw = calls(0..DAYS, &names);
    raw.extend(calls(DAYS..DAYS + 1, others));
    raw.extend(calls(DAYS + 1..DAYS + 2, &names));
    produce(&broker.address, &service.topic("raw"), &raw, None);
    service.start();
    service.wait_for_the_end(raw.len() as i64);
    service.drain();
    assert_eq!(service.alerts(), service.reference().0);

    let alerts: Vec<Value> = service
        .export("alerts")
        .iter()
        .map(|line| serde_json::from_slice(line.value.as_ref().unwrap()).unwrap())
        .collect();
    let told: BTreeSet<_> = alerts
        .iter()
        .map(|alert| ["identity", "detector", "id"].map(|key| alert[key].as_str().unwrap()))
        .collect();
    let about: Vec<_> = told
        .iter()
        .map(|[identity, detector, _]| (*identity, *detector))
        .collect();
    assert_eq!(about, [(silent.as_str(), "silence")], "{alerts:?}");
    let first = alerts
        .iter()
        .min_by_key(|alert| alert["revision"].as_i64())
        .unwrap();
    let first = chrono::DateTime::parse_from_rfc3339(first["ts"].as_str().unwrap()).unwrap();
    let after = first.timestamp() - (START + DAYS * DAY - EVERY);
    note(&format!(
        "one of {PARTITIONS} partitions silent for a day: told of once, {} minutes after its last event",
        after / 60
    ));
    assert!((0..6 * 3600).contains(&after), "{after} s");
}

/// A name for each partition, in their order.
fn one_of_each_partition() -> Vec<String> {
    let name = |partition: i32| {
        let mut names = (0..).map(|n| format!("feed-{n}"));
        names.find(|name| partition::of(name.as_bytes(), PARTITIONS) == partition)
    };
    (0..PARTITIONS).filter_map(name).collect()
}
