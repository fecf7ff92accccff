//! Instances that share the partitions.

use std::collections::BTreeSet;
use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::bank::events;
use super::broker::Broker;
use super::service::Service;
use super::traces::produce;

#[test]
fn two_instances_give_the_alerts_that_backtest_gives_on_as_many_partitions() {
    let Some(broker) = Broker::find() else { return };
    let mut one = Service::prepare(&broker, "sharing", 4);
    let mut two = one.twin("b");
    let events = events(16, 7, true);
    let (before, after) = events.split_at(events.len() / 2);
    let topic = one.topic("events");
    one.start();
    produce(&broker.address, &topic, before, None);
    two.start();
    let deadline = Instant::now() + Duration::from_secs(90);
    let has_two = |service: &Service| {
        service
            .scrape()
            .contains("\nnhiwatch_partitions_assigned 2\n")
    };
    while !(has_two(&one) && has_two(&two)) {
        assert!(Instant::now() < deadline, "the partitions are not shared");
        std::thread::sleep(Duration::from_millis(200));
    }
    produce(&broker.address, &topic, after, None);
    one.wait_for_committed(events.len() as i64);
    let digests = [one.drain(), two.drain()];
    assert!(digests.iter().all(|part| part.len() == 2), "{digests:?}");
    let (reference, states) = one.reference();
    assert_eq!(one.alerts(), reference);
    assert_eq!(
        digests.into_iter().flatten().collect::<Vec<_>>(),
        states.into_iter().collect::<Vec<_>>()
    );

    let mut file = tempfile::NamedTempFile::with_suffix(".ndjson").unwrap();
    for (_, json) in &events {
        writeln!(file, "{json}").unwrap();
    }
    let out = tempfile::NamedTempFile::new().unwrap();
    let output = one
        .command("backtest")
        .args(["--partitions", "4", "--alerts"])
        .args([out.path(), file.path()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let lines = std::fs::read_to_string(out.path()).unwrap();
    let alerts: BTreeSet<(String, u64)> = lines
        .lines()
        .map(|line| {
            let alert: Value = serde_json::from_str(line).unwrap();
            let id = alert["id"].as_str().unwrap().to_owned();
            (id, alert["revision"].as_u64().unwrap())
        })
        .collect();
    assert!(!alerts.is_empty());
    assert_eq!(alerts, reference.into_iter().collect());
}
