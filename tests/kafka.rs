//! The service on a real Kafka: exactly once, whatever kills it.
//!
//! Takes the broker named in `NHIWATCH_TEST_BROKERS`, else starts one through `scripts/kafka`. Where
//! neither is possible the suite says so and passes, except under `CI=true`, where it fails.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

#[path = "kafka/broker.rs"]
mod broker;
#[path = "kafka/service.rs"]
mod service;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nhiwatch::simulate::{Attack, Bank, Plan};

use broker::Broker;
use service::{Service, produce};

/// Native events of a small bank under attack, with their identities.
fn events(identities: usize, seed: u64) -> Vec<(String, String)> {
    let mut plan = Plan::new(identities, 42, seed);
    plan.native = true;
    plan.attacks = Attack::list("A3,A5,A7").unwrap();
    let bank = Bank::new(&plan).unwrap();
    bank.events()
        .map(|line| (line.identity, line.json))
        .collect()
}

#[test]
fn a_service_killed_twenty_times_gives_each_alert_once_and_the_state_of_an_undisturbed_run() {
    let Some(broker) = Broker::find() else { return };
    let mut service = Service::prepare(&broker, "kills", 3);
    let events = events(24, 11);
    let total = events.len() as i64;
    // Every life must find new events, however long the one before took.
    let hurry = Arc::new(AtomicBool::new(false));
    let producer = {
        let (brokers, topic) = (broker.address.clone(), service.topic("events"));
        let hurry = Arc::clone(&hurry);
        std::thread::spawn(move || produce(&brokers, &topic, &events, Some(&hurry)))
    };
    let mut seconds = Vec::new();
    for kill in 0..20_u64 {
        service.start();
        let first = service.wait_for("first new event after the start", Duration::from_secs(120));
        seconds.push(first.unwrap()["seconds"].as_f64().unwrap());
        // Anything between the first event and some commits later.
        std::thread::sleep(Duration::from_millis(kill * 7919 % 700));
        service.kill();
    }
    hurry.store(true, Ordering::Release);
    producer.join().unwrap();
    service.start();
    let deadline = Instant::now() + Duration::from_secs(90);
    while service.committed() < total {
        assert!(
            Instant::now() < deadline,
            "only {} of {total} events",
            service.committed()
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    let digests = service.drain();
    seconds.sort_by(f64::total_cmp);
    service::note(&format!(
        "20 kills over {total} events: first new event after {:.1} s in the middle, {:.1} s at most",
        seconds[10], seconds[19]
    ));

    let (expected, reference) = service.reference();
    let alerts = service.alerts();
    assert!(
        !expected.is_empty(),
        "the run raises no alert, so it proves nothing"
    );
    let mut seen = BTreeMap::new();
    for alert in &alerts {
        *seen.entry(alert.clone()).or_insert(0) += 1;
    }
    let twice: Vec<_> = seen.iter().filter(|(_, n)| **n > 1).collect();
    assert!(twice.is_empty(), "published more than once: {twice:?}");
    assert_eq!(seen.into_keys().collect::<Vec<_>>(), expected);
    assert_eq!(digests, reference);
}

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
    let reasons: Vec<&str> = letters.iter().map(|(reason, _)| reason.as_str()).collect();
    assert_eq!(reasons, ["json", "key-mismatch"]);
    assert_eq!(letters[0].1, "{not json");
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
    produce(&broker.address, &topic, &events(6, 3)[..500], None);
    service.start();
    service.wait_for_committed(500);
    service.drain();
    service.move_committed_offset(100);
    service.start();
    let refusal = service
        .wait_for("shard torn down", Duration::from_secs(120))
        .unwrap();
    let text = refusal["error"].as_str().unwrap();
    assert!(
        text.contains("committed offset 100") && text.contains("goes on at 500"),
        "{text}"
    );
    service.kill();
}

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
    produce(&broker.address, &topic, &events(6, 3)[..50], None);
    service.wait_for_committed(50);
    service.drain();
}
