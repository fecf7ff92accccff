//! A transaction on the state's topic that nobody ends.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::broker::Broker;
use super::service::{Service, note};

#[test]
fn a_restore_waits_until_transactions_have_ended_and_a_service_that_is_to_end_does_not() {
    let Some(broker) = Broker::find() else { return };
    let mut service = Service::prepare(&broker, "undecided", 1);
    let topic = service.topic("state");
    let other: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &broker.address)
        .set("transactional.id", format!("{topic}-other"))
        .set("transaction.timeout.ms", "60000")
        .create()
        .unwrap();
    other.init_transactions(SOON).unwrap();
    other.begin_transaction().unwrap();
    let record = BaseRecord::to(&topic)
        .partition(0)
        .key("of")
        .payload("none");
    other.send(record).map_err(|(error, _)| error).unwrap();
    other.flush(SOON).unwrap();

    service.start();
    assert!(
        service
            .wait_for(RESTORED, Duration::from_secs(12))
            .is_none(),
        "the restore does not wait"
    );
    let asked = Instant::now();
    assert!(service.end());
    let took = asked.elapsed();
    note(&format!(
        "told to end while a restore waits for a transaction: {:.1} s",
        took.as_secs_f64()
    ));
    assert!(took < Duration::from_secs(5), "{took:?}");
    let last = service.wait_for("not started again", Duration::from_secs(1));
    assert_eq!(
        last.unwrap()["error"],
        "reading the state: given up, since the service is to stop"
    );

    other.abort_transaction(SOON).unwrap();
    service.start();
    assert!(service.wait_for(RESTORED, SOON).is_some());
    service.drain();
}

const RESTORED: &str = "state restored";
const SOON: Duration = Duration::from_secs(60);
