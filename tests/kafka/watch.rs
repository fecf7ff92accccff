//! The watch alone, on events in our schema.

use std::time::Duration;

use super::bank::events;
use super::broker::Broker;
use super::service::Service;
use super::traces::produce;

#[test]
fn a_poisoned_record_becomes_a_dead_letter_and_its_neighbours_go_on() {
    let Some(broker) = Broker::find() else { return };
    let mut service = Service::prepare(&broker, "poison", 1);
    let event = |second: i64| {
        let ts = 1_790_000_000 + second;
        let json = format!(r#"{{"ts":{ts},"uid":"{ts}","identity":"svc","action":"a"}}"#);
        ("svc".to_owned(), json)
    };
    let records = vec![
        event(1),
        ("svc".to_owned(), "{not json".to_owned()),
        ("other".to_owned(), event(2).1),
        event(3),
    ];
    let topic = service.topic("events");
    produce(&broker.address, &topic, &records, None);
    service.start();
    service.wait_for_committed(4);
    service.drain();
    let letters = service.dead_letters();
    let reasons: Vec<&str> = letters.iter().map(|letter| letter[0].as_str()).collect();
    assert_eq!(reasons, ["json", "key-mismatch"]);
    assert_eq!(letters[0][2], "{not json");
    assert_eq!(
        service.export("deadletter")[0].headers["dlq.reason"],
        "json"
    );
    let metrics = service.last_metrics();
    assert!(
        metrics.contains("nhiwatch_records_total{fate=\"judged\"} 2"),
        "{metrics}"
    );
}

#[test]
fn offsets_that_contradict_the_state_are_refused_with_the_cure() {
    let Some(broker) = Broker::find() else { return };
    let mut service = Service::prepare(&broker, "refuse", 1);
    let topic = service.topic("events");
    produce(&broker.address, &topic, &events(6, 3, true)[..500], None);
    service.start();
    service.wait_for_committed(500);
    service.drain();
    service.move_committed_offset(100);
    service.start();
    let refusal = service
        .wait_for("torn down", Duration::from_secs(120))
        .unwrap();
    let text = refusal["error"].as_str().unwrap();
    assert!(
        text.contains("committed offset 100") && text.contains("goes on at 500"),
        "{text}"
    );
    service.kill();
}
