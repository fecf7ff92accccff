//! Topics that are not there.

use std::time::{Duration, Instant};

use rdkafka::admin::{AdminOptions, NewPartitions};

use super::bank::events;
use super::broker::Broker;
use super::service::{Service, admin};
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
fn topics_that_are_there_are_not_made_again_and_a_refused_setting_is_named_without_its_value() {
    let Some(broker) = Broker::find() else { return };
    let service = Service::prepare(&broker, "again", 1);
    service.create_topics();
    service.configure("librdkafka: {ssl.keystore.pasword: hunter2}");
    let output = service.command("topics").output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("ssl.keystore.pasword"), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
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

#[test]
fn partitions_that_are_added_stop_it_and_whoever_has_only_those_does_not_begin() {
    let Some(broker) = Broker::find() else { return };
    let mut service = Service::prepare(&broker, "grown", 2);
    let (topic, events) = (service.topic("events"), events(6, 3, true));
    produce(&broker.address, &topic, &events[..100], None);
    service.start();
    service.wait_for_committed(100);
    add_partitions(&broker, &topic, 4);
    let torn = service
        .wait_for("torn down", Duration::from_secs(60))
        .unwrap();
    let text = torn["error"].as_str().unwrap().to_owned();
    assert!(text.contains("in other partitions"), "{text}");
    // Where the state has as many it is started, and finds out nevertheless, whichever partitions it gets.
    add_partitions(&broker, &service.topic("state"), 4);
    let mut other = service.twin("b");
    other.start();
    for instance in [&service, &other] {
        let mut refused = 0;
        while refused < 2 {
            let torn = instance.wait_for("torn down", Duration::from_secs(60));
            let torn = torn.unwrap()["error"].as_str().unwrap().to_owned();
            refused += u32::from(torn.contains("in other partitions"));
        }
    }
    produce(&broker.address, &topic, &events[100..200], None);
    std::thread::sleep(Duration::from_secs(5));
    assert!(other.scrape().contains("fate=\"judged\"} 0\n"));
    let all = service.committed_of("nhiwatch-watch", "events", 4);
    assert_eq!(all, 100, "something was judged without its state");
}

fn add_partitions(broker: &Broker, topic: &str, partitions: usize) {
    let (admin, options) = (admin(&broker.address), AdminOptions::new());
    let more = [NewPartitions::new(topic, partitions)];
    let added = admin.create_partitions(&more, &options);
    let added = tokio::runtime::Runtime::new().unwrap().block_on(added);
    added.unwrap()[0].as_ref().unwrap();
}
