//! Records far larger than any event, on topics that take them.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::broker::Broker;
use super::service::{Service, admin, note};

#[test]
fn giant_records_become_dead_letters_and_are_not_kept() {
    let Some(broker) = Broker::find() else { return };
    let mut watch = Service::prepare(&broker, "giants", 1);
    fill_with_giants(&broker, &watch.topic("events"));
    watch.start();
    watch.wait_for_committed(8);
    assert_refused(watch, 4);

    let mut intake = Service::prepare_with_raw(&broker, "giant-logs", 1, 1);
    fill_with_giants(&broker, &intake.topic("raw"));
    intake.start();
    intake.wait_for_the_end(8);
    assert_refused(intake, 4);
}

/// Four events, and between them four that are too large.
fn fill_with_giants(broker: &Broker, topic: &str) {
    take_giants(broker, topic);
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &broker.address)
        .set("message.max.bytes", "100000000")
        .create()
        .unwrap();
    for (second, mebibytes) in (1_790_000_000..).zip([0, 1, 0, 10, 0, 10, 90, 0]) {
        let giant = "a".repeat(mebibytes << 20);
        let json = format!(
            r#"{{"ts":{second},"uid":"{second}","identity":"svc","action":"a","app":"{giant}"}}"#
        );
        let record = BaseRecord::to(topic).key("svc").payload(&json);
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.flush(Duration::from_secs(60)).unwrap();
    }
}

/// Ends it, and makes sure that those that are too large became dead letters and the others were judged.
fn assert_refused(mut service: Service, giants: usize) {
    let resident = service.usage().0 >> 20;
    service.drain();
    let letters = service.dead_letters();
    let largest = letters.iter().map(|letter| letter[2].len()).max().unwrap();
    note(&format!(
        "records of 1, 10, 10 and 90 MiB: {} dead letters of {largest} bytes at most; {resident} MiB are held afterwards",
        letters.len()
    ));
    let reasons: Vec<&str> = letters.iter().map(|letter| letter[0].as_str()).collect();
    assert_eq!(reasons, vec!["too-large"; giants]);
    assert!(largest <= 1 << 20, "{largest} bytes of one are passed on");
    let metrics = service.last_metrics();
    let judged = "nhiwatch_records_total{fate=\"judged\"} 4";
    assert!(metrics.contains(judged), "{metrics}");
}

/// Lets `topic` take records as large as a broker may be sent.
fn take_giants(broker: &Broker, topic: &str) {
    let change =
        AlterConfig::new(ResourceSpecifier::Topic(topic)).set("max.message.bytes", "100000000");
    let (admin, options) = (admin(&broker.address), AdminOptions::new());
    let changed = admin.alter_configs([&change], &options);
    let changed = tokio::runtime::Runtime::new().unwrap().block_on(changed);
    changed.unwrap()[0].as_ref().unwrap();
}
