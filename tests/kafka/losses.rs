//! What is lost or contradicts itself is refused, and gone on without where that is accepted.

use std::time::{Duration, Instant};

use rdkafka::admin::AdminOptions;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::bank::events;
use super::broker::Broker;
use super::service::{Service, admin, delete_topic};
use super::traces::produce;

/// How long a start may take.
const SOON: Duration = Duration::from_secs(120);

#[test]
fn offsets_that_contradict_the_state_are_refused_and_where_accepted_the_state_is_believed() {
    let Some(broker) = Broker::find() else { return };
    let events = events(6, 3, true);
    let mut service = judged(&broker, "refuse", &events[..500]);
    let topic = service.topic("events");
    service.move_committed_offset("nhiwatch-watch", "events", 100);
    service.start();
    let text = refusal(&service);
    assert!(
        text.contains("committed offset 100") && text.contains("goes on at 500"),
        "{text}"
    );
    service.kill();

    produce(&broker.address, &topic, &events[500..600], None);
    service.start_with(&["--accept-data-loss", "earliest"]);
    service.wait_for_committed(600);
    let digests = service.drain();
    assert_lost(&service, 0);
    service.assert_undisturbed(&digests);
}

#[test]
fn what_was_deleted_before_it_was_read_is_gone_on_without_only_where_that_is_accepted() {
    let Some(broker) = Broker::find() else { return };
    lose(&broker, "earliest", 650);
    lose(&broker, "latest", 800);
}

/// Deletes 150 of 300 records that were not read yet; where that is `accepted` it goes on at the offset `next`.
fn lose(broker: &Broker, accepted: &str, next: usize) {
    let events = events(6, 3, true);
    let mut service = judged(broker, accepted, &events[..500]);
    let topic = service.topic("events");
    produce(&broker.address, &topic, &events[500..800], None);
    let mut log = service.export("events");
    delete_before(broker, &topic, 650);
    service.start();
    let text = refusal(&service);
    assert!(
        text.contains("150 records were never read") && text.contains("--accept-data-loss"),
        "{text}"
    );
    service.kill();

    service.start_with(&["--accept-data-loss", accepted]);
    service.wait_for_committed(800);
    produce(&broker.address, &topic, &events[800..900], None);
    log.extend(service.export("events").split_off(150));
    service.wait_for_committed(900);
    let digests = service.drain();
    assert_lost(&service, next - 500);
    log.drain(500..next);
    service.assert_undisturbed_over(&log, &digests);
    // Once it has gone on there is nothing to accept any more.
    service.start();
    assert!(service.wait_for("state restored", SOON).is_some());
    service.drain();
}

#[test]
fn a_log_that_was_made_anew_is_gone_on_with_where_that_is_accepted() {
    let Some(broker) = Broker::find() else { return };
    let events = events(6, 3, true);
    let mut service = judged(&broker, "anew", &events[..500]);
    let topic = service.topic("events");
    let mut log = service.export("events");
    recreate(&broker, &service, "events");
    produce(&broker.address, &topic, &events[500..600], None);
    service.start();
    let text = refusal(&service);
    assert!(text.contains("ends at 100"), "{text}");
    service.kill();

    service.start_with(&["--accept-data-loss", "earliest"]);
    let on = service.wait_for("goes on nevertheless", SOON).unwrap();
    assert_eq!((&on["next"], &on["told"]), (&0.into(), &0.into()));
    service.wait_for_committed(100);
    let digests = service.drain();
    log.extend(service.export("events"));
    service.assert_undisturbed_over(&log, &digests);
}

#[test]
fn a_state_that_is_gone_is_learned_again_from_what_is_there_and_nothing_is_told_twice() {
    let Some(broker) = Broker::find() else { return };
    let events = events(6, 3, true);
    let (past, present) = events.split_at(events.len() - 100);
    let mut service = judged(&broker, "relearn", past);
    let topic = service.topic("events");
    recreate(&broker, &service, "state");
    service.start();
    let text = refusal(&service);
    assert!(text.contains("goes on at none"), "{text}");
    service.kill();

    produce(&broker.address, &topic, present, None);
    service.start_with(&["--accept-data-loss", "earliest"]);
    service.wait_for_committed(events.len() as i64);
    let digests = service.drain();
    assert_lost(&service, 0);
    let alerts = service.assert_undisturbed(&digests);
    assert!(alerts > 0, "there was nothing to tell twice");
}

#[test]
fn a_group_that_is_gone_is_refused_and_where_accepted_nothing_is_told_twice() {
    let Some(broker) = Broker::find() else { return };
    let events = events(6, 3, true);
    let (past, present) = events.split_at(events.len() - 100);
    let mut service = judged(&broker, "groupless", past);
    let topic = service.topic("events");
    delete_group(&broker, "nhiwatch-watch");
    service.start();
    let text = refusal(&service);
    assert!(text.contains("committed offset none"), "{text}");
    service.kill();

    produce(&broker.address, &topic, present, None);
    service.start_with(&["--accept-data-loss", "earliest"]);
    service.wait_for_committed(events.len() as i64);
    service.drain();
    // What was told before is told once, and what came after too. The state was learned from all that was still there.
    let (published, expected) = (service.alerts(), service.reference().0);
    assert!(!published.is_empty());
    assert_eq!(published, expected);
}

#[test]
fn a_state_record_that_cannot_be_read_is_named_and_nothing_begins_without_it() {
    let Some(broker) = Broker::find() else { return };
    let events = events(6, 3, true);
    let mut service = judged(&broker, "damaged", &events[..500]);
    let damaged = [("svc".to_owned(), "neither version nor checksum".to_owned())];
    produce(&broker.address, &service.topic("state"), &damaged, None);
    service.start();
    let text = refusal(&service);
    assert!(text.contains("state record svc"), "{text}");
    service.kill();
}

/// A service that has judged `events` and ended.
fn judged(broker: &Broker, name: &str, events: &[(String, String)]) -> Service {
    let mut service = Service::prepare(broker, name, 1);
    produce(&broker.address, &service.topic("events"), events, None);
    service.start();
    service.wait_for_committed(events.len() as i64);
    service.drain();
    service
}

/// Why it does not start.
pub(crate) fn refusal(service: &Service) -> String {
    let refusal = service.wait_for("torn down", SOON).unwrap();
    refusal["error"].as_str().unwrap().to_owned()
}

fn assert_lost(service: &Service, records: usize) {
    let line = format!("nhiwatch_lost_records_total {records}\n");
    let metrics = service.last_metrics();
    assert!(metrics.contains(&line), "{metrics}");
}

/// Deletes what lies before `offset` in partition 0 of `topic`, as retention does.
fn delete_before(broker: &Broker, topic: &str, offset: i64) {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Offset(offset))
        .unwrap();
    let (admin, options) = (admin(&broker.address), AdminOptions::new());
    let deleted = admin.delete_records(&list, &options);
    let deleted = tokio::runtime::Runtime::new().unwrap().block_on(deleted);
    for element in deleted.unwrap().elements() {
        element.error().unwrap();
    }
}

/// Deletes a topic of the service, and makes it anew.
pub(crate) fn recreate(broker: &Broker, service: &Service, name: &str) {
    delete_topic(&broker.address, &service.topic(name));
    service.create_topics();
}

/// Deletes `group` with all its offsets, once its members are gone: a static one keeps its place until its session ends.
pub(crate) fn delete_group(broker: &Broker, group: &str) {
    let (admin, options) = (admin(&broker.address), AdminOptions::new());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let deadline = Instant::now() + SOON;
    while runtime
        .block_on(admin.delete_groups(&[group], &options))
        .unwrap()[0]
        .is_err()
    {
        assert!(Instant::now() < deadline, "{group} is not empty");
        std::thread::sleep(Duration::from_millis(500));
    }
}
