//! The watch alone, on events in our schema.

use std::collections::BTreeMap;
use std::time::Duration;

use nhiwatch::wire::{Reason, control};
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::broker::Broker;
use super::poison::{GOOD, poisons};
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
fn every_poison_becomes_a_dead_letter_for_its_own_reason_and_no_neighbour_suffers() {
    let Some(broker) = Broker::find() else { return };
    let mut service = Service::prepare(&broker, "poisons", 1);
    let topic = service.topic("events");
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &broker.address)
        .set("acks", "all")
        .create()
        .unwrap();
    let send = |value: Option<&[u8]>, kind: Option<&str>| {
        let mut record: BaseRecord<'_, str, [u8]> = BaseRecord::to(&topic).key("svc");
        if let Some(value) = value {
            record = record.payload(value);
        }
        if kind.is_some() {
            let key = control::HEADER;
            record = record.headers(OwnedHeaders::new().insert(Header { key, value: kind }));
        }
        producer.send(record).map_err(|(error, _)| error).unwrap();
    };
    // What no topic takes by default cannot come.
    let fits = |(_, poison, _): &(&str, Vec<u8>, Reason)| poison.len() < 1_000_000;
    let poisons: Vec<_> = poisons().into_iter().filter(fits).collect();
    let mut expected: Vec<(&str, String)> = Vec::new();
    // There is a time from the second event on; what cannot be read before is told by itself.
    (0..2).for_each(|_| send(Some(GOOD.as_bytes()), None));
    for (_, poison, reason) in &poisons {
        send(Some(poison), None);
        send(Some(GOOD.as_bytes()), None);
        expected.push((reason.word(), String::from_utf8_lossy(poison).into_owned()));
    }
    send(None, None);
    expected.push(("empty", String::new()));
    send(Some(b"{}"), Some(&"x".repeat(64 << 10)));
    expected.push(("control", "{}".to_owned()));
    send(Some(GOOD.as_bytes()), None);
    producer.flush(Duration::from_secs(10)).unwrap();
    assert!(expected.len() >= 20, "{}", expected.len());
    service.start();
    service.wait_for_committed(2 * poisons.len() as i64 + 5);
    service.drain();
    let letters = service.dead_letters();
    let letters: Vec<(&str, String)> = letters
        .iter()
        .map(|[reason, _, value]| (reason.as_str(), value.clone()))
        .collect();
    assert_eq!(letters.len(), expected.len());
    for (letter, expected) in letters.iter().zip(&expected) {
        assert_eq!(
            letter.0,
            expected.0,
            "{}",
            &expected.1[..expected.1.len().min(80)]
        );
        assert!(letter.1 == expected.1, "another value: {}", expected.0);
    }
    let judged = format!(
        "nhiwatch_records_total{{fate=\"judged\"}} {}",
        poisons.len() + 3
    );
    let metrics = service.last_metrics();
    assert!(metrics.contains(&judged), "{metrics}");
    // Each reason is told once, and once more when there were ten.
    let mut told = BTreeMap::<String, usize>::new();
    for (reason, _) in &expected {
        *told.entry(format!("events log: {reason}")).or_default() += 1;
    }
    told.values_mut()
        .for_each(|count| *count = 1 + usize::from(*count >= 10));
    assert_eq!(service.unreadable(), told);
    assert_eq!(service.alerts(), service.reference().0);
}

#[test]
fn every_record_has_one_fate_and_all_of_them_are_counted() {
    let Some(broker) = Broker::find() else { return };
    let mut service = Service::prepare(&broker, "fates", 1);
    let topic = service.topic("events");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.unwrap().as_secs();
    let event = |identity: &str, ts: u64, uid: u64| {
        let json = format!(r#"{{"ts":{ts},"uid":"{uid}","identity":"{identity}","action":"a"}}"#);
        (identity.to_owned(), json)
    };
    let mut records: Vec<_> = (0..50).map(|n| event("svc", now - 60 + n, n)).collect();
    // The same again; too late; stamped long after they come; unreadable.
    records.extend((0..20).map(|n| event("svc", now - 60 + n, n)));
    let late = |n| now - if n < 5 { 7200 } else { 7 * 86_400 };
    records.extend((0..10).map(|n| event("svc", late(n), 1000 + n)));
    records.extend((0..5).map(|n| event("svc", now + 86_400, 2000 + n)));
    records.extend((0..3).map(|_| ("svc".to_owned(), "{".to_owned())));
    // Nobody's time is moved by any of these.
    records.extend((0..2).map(|n| event("svc", now, 3000 + n)));
    produce(&broker.address, &topic, &records, None);
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &broker.address)
        .create()
        .unwrap();
    let header = Header {
        key: control::HEADER,
        value: Some("heartbeat"),
    };
    let heartbeat = format!(r#"{{"ts":{now}}}"#);
    let record: BaseRecord<'_, str, str> = BaseRecord::to(&topic)
        .payload(heartbeat.as_str())
        .headers(OwnedHeaders::new().insert(header));
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.flush(Duration::from_secs(10)).unwrap();
    service.start();
    service.wait_for_committed(records.len() as i64 + 1);
    service.drain();
    let metrics = service.last_metrics();
    let count = |name: &str| -> u64 {
        let mut lines = metrics.lines().filter_map(|line| line.strip_prefix(name));
        lines.next().map_or(0, |rest| rest.trim().parse().unwrap())
    };
    let fate = |word: &str| count(&format!("nhiwatch_records_total{{fate=\"{word}\"}}"));
    let fates = [
        "judged",
        "duplicate",
        "late",
        "filtered",
        "quarantined",
        "control",
    ]
    .map(fate);
    assert_eq!(fates, [52, 20, 10, 5, 0, 1], "{metrics}");
    let letters = metrics.lines().filter_map(|line| {
        let line = line.strip_prefix("nhiwatch_deadletters_total{")?;
        line.split("} ").nth(1)?.parse::<u64>().ok()
    });
    assert_eq!(letters.sum::<u64>(), 3, "{metrics}");
    let all = metrics.lines().filter_map(|line| {
        let line = line.strip_prefix("nhiwatch_records_total{")?;
        line.split("} ").nth(1)?.parse::<u64>().ok()
    });
    assert_eq!(all.sum::<u64>() + 3, records.len() as u64 + 1, "{metrics}");
}
