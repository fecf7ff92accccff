//! Where a service begins that has no past, or whose past is forgotten.

use std::time::{Duration, Instant};

use super::broker::Broker;
use super::losses::{delete_group, refusal};
use super::service::Service;
use super::traces::produce;

#[test]
fn what_comes_while_a_service_is_away_that_began_at_the_end_is_not_left_out() {
    let Some(broker) = Broker::find() else { return };
    let mut watch = Service::prepare(&broker, "late", 1);
    watch.set("start: latest");
    let topic = watch.topic("events");
    produce(&broker.address, &topic, &records(0..3), None);
    watch.start();
    watch.wait_for_committed(3);
    watch.kill();
    produce(&broker.address, &topic, &records(3..5), None);
    watch.start();
    watch.wait_for_committed(5);
    let metrics = watch.scrape();
    let judged = "nhiwatch_records_total{fate=\"judged\"} 2\n";
    assert!(metrics.contains(judged), "{metrics}");
    watch.drain();

    let mut intake = Service::prepare_with_raw(&broker, "latest", 1, 1);
    intake.set("start: latest");
    let raw = intake.topic("raw");
    produce(&broker.address, &raw, &records(0..3), None);
    intake.start();
    wait_for_read(&intake, 3);
    intake.kill();
    produce(&broker.address, &raw, &records(3..5), None);
    intake.start();
    intake.wait_for_the_end(5);
    intake.drain();
    assert_eq!(passed_on(&intake), ["3", "4"]);
}

#[test]
fn an_intake_that_is_killed_before_its_first_commit_begins_again() {
    let Some(broker) = Broker::find() else { return };
    let mut service = Service::prepare_with_raw(&broker, "first", 1, 1);
    service.reconfigure("commit_interval: 50ms", "commit_interval: 10s");
    let raw = service.topic("raw");
    produce(&broker.address, &raw, &records(0..3), None);
    service.start();
    assert!(
        service
            .wait_for("intake reads", Duration::from_secs(60))
            .is_some()
    );
    std::thread::sleep(Duration::from_secs(2));
    service.kill();
    service.reconfigure("commit_interval: 10s", "commit_interval: 50ms");
    service.start();
    service.wait_for_the_end(3);
    service.drain();
    assert_eq!(passed_on(&service), ["0", "1", "2"]);
}

#[test]
fn an_intake_whose_offsets_are_gone_goes_on_only_where_that_is_accepted() {
    let Some(broker) = Broker::find() else { return };
    let mut service = Service::prepare_with_raw(&broker, "forgot", 1, 1);
    service.add_inventory("identities: [{identity: other}]\n");
    let raw = service.topic("raw");
    produce(&broker.address, &raw, &records(0..3), None);
    service.start();
    service.wait_for_the_end(3);
    service.drain();

    delete_group(&broker, "nhiwatch-intake");
    produce(&broker.address, &raw, &records(3..5), None);
    service.start();
    let text = refusal(&service);
    assert!(text.contains("has no committed offset"), "{text}");
    assert!(text.contains("--accept-data-loss"), "{text}");
    service.kill();
    accept_and_go_on_at(&mut service, 5);
    assert_eq!(passed_on(&service), ["0", "1", "2", "5", "6"]);

    // A raw topic that was cut off ends before what was read of it.
    service.move_committed_offset("nhiwatch-intake", "raw", 50);
    service.start();
    let text = refusal(&service);
    assert!(text.contains("goes on at 50, but it ends at 7"), "{text}");
    service.kill();
    accept_and_go_on_at(&mut service, 7);
    assert_eq!(passed_on(&service), ["0", "1", "2", "5", "6", "7", "8"]);
}

/// Starts it where what is lost is accepted, at `end`, the newest offset of the raw topic, and lets it read two more.
fn accept_and_go_on_at(service: &mut Service, end: u32) {
    service.start_with(&["--accept-data-loss", "latest"]);
    wait_for_read(service, end.into());
    let more = records(end..end + 2);
    produce(&service.brokers, &service.topic("raw"), &more, None);
    service.wait_for_the_end(i64::from(end) + 2);
    service.drain();
}

/// Events with these numbers for ids.
fn records(ids: std::ops::Range<u32>) -> Vec<(String, String)> {
    let event = |id| {
        let json = format!(
            r#"{{"ts":{},"uid":"{id}","identity":"svc","action":"a"}}"#,
            1_790_000_000 + id
        );
        ("svc".to_owned(), json)
    };
    ids.map(event).collect()
}

/// The ids of the events that were passed on, in order.
fn passed_on(service: &Service) -> Vec<String> {
    let log = service.export("events");
    let events = log.iter().filter(|line| line.kind.is_none());
    let id = |line: &nhiwatch::wire::LogLine| {
        let event: serde_json::Value =
            serde_json::from_slice(line.value.as_ref().unwrap()).unwrap();
        event["uid"].as_str().unwrap().to_owned()
    };
    events.map(id).collect()
}

fn wait_for_read(service: &Service, count: i64) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while service.committed_of("nhiwatch-intake", "raw", 1) != count {
        assert!(Instant::now() < deadline, "{}", service.ask("/readyz"));
        std::thread::sleep(Duration::from_millis(200));
    }
}
