//! Topics that are not there.

use std::time::{Duration, Instant};

use super::bank::events;
use super::broker::Broker;
use super::service::Service;
use super::traces::produce;

#[test]
fn a_missing_topic_is_named_and_waited_for() {
    let Some(broker) = Broker::find() else { return };
    let mut service = Service::prepare_without_topics(&broker, "missing", 1);
    service.start();
    let line = service
        .wait_for("not ready", Duration::from_secs(20))
        .unwrap();
    let obstacle = line["obstacle"].as_str().unwrap();
    assert!(obstacle.contains("topics --create"), "{obstacle}");
    service.create_topics();
    let topic = service.topic("events");
    produce(&broker.address, &topic, &events(6, 3, true)[..50], None);
    service.wait_for_committed(50);
    service.drain();
}

#[test]
fn a_missing_raw_topic_is_named_while_the_rest_goes_on() {
    let Some(broker) = Broker::find() else { return };
    let mut service = Service::prepare_with_raw(&broker, "rawless", 1, 1);
    service.add_source("later");
    service.start();
    let line = service.wait_for("not ready", Duration::from_secs(60));
    let obstacle = line.unwrap()["obstacle"].as_str().unwrap().to_owned();
    assert!(obstacle.starts_with(&service.topic("later")), "{obstacle}");
    let event = |uid: u32| {
        let json = format!(r#"{{"ts":1790000000,"uid":"{uid}","identity":"svc","action":"a"}}"#);
        (String::new(), json)
    };
    produce(&broker.address, &service.topic("raw"), &[event(1)], None);
    service.wait_for_the_end(1);
    assert!(service.ask("/readyz").contains(&service.topic("later")));
    service.create_raw("later", 1);
    produce(&broker.address, &service.topic("later"), &[event(2)], None);
    let deadline = Instant::now() + Duration::from_secs(60);
    while !service.ask("/readyz").contains("\r\n\r\nready") {
        assert!(Instant::now() < deadline, "{}", service.ask("/readyz"));
        std::thread::sleep(Duration::from_millis(200));
    }
    service.wait_for_the_end(1);
    service.drain();
    assert_eq!(service.export("events").len(), 2);
}

#[test]
fn a_state_topic_with_other_partitions_than_the_events_is_named() {
    let Some(broker) = Broker::find() else { return };
    let mut service = Service::prepare_without_topics(&broker, "uneven", 3);
    service.create_raw("state", 2);
    let output = service.command("topics").arg("--create").output().unwrap();
    assert!(!output.status.success(), "{output:?}");
    service.start();
    let line = service
        .wait_for("not ready", Duration::from_secs(20))
        .unwrap();
    let obstacle = line["obstacle"].as_str().unwrap();
    assert!(obstacle.contains("recreate"), "{obstacle}");
    assert!(obstacle.contains(&service.topic("state")), "{obstacle}");
    service.kill();
}
