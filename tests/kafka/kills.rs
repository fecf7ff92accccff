//! SIGKILL at random moments of a run from raw logs to alerts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::bank::spliced;
use super::broker::Broker;
use super::service::{Service, note};
use super::traces::produce;

/// Raw records that come slowly while the service is being disturbed.
struct Trickle {
    hurry: Arc<AtomicBool>,
    producer: JoinHandle<()>,
}

impl Trickle {
    fn start(broker: &Broker, service: &Service, records: Vec<(String, String)>) -> Self {
        let hurry = Arc::new(AtomicBool::new(false));
        let (brokers, topic) = (broker.address.clone(), service.topic("raw"));
        let slow = Arc::clone(&hurry);
        let produce = move || produce(&brokers, &topic, &records, Some(&slow));
        let producer = std::thread::spawn(produce);
        Self { hurry, producer }
    }

    /// Writes the rest at once.
    fn finish(self) {
        self.hurry.store(true, Ordering::Release);
        self.producer.join().unwrap();
    }
}

#[test]
fn a_service_that_slept_through_its_session_comes_back_and_doubles_nothing() {
    let Some(broker) = Broker::find() else { return };
    let mut service = Service::prepare_with_raw(&broker, "sleeper", 2, 2);
    let (records, _) = spliced(8, 5);
    let total = records.len();
    let trickle = Trickle::start(&broker, &service, records);
    service.start();
    let first = service.wait_for("first new event after the start", Duration::from_secs(60));
    assert!(first.is_some());
    for _ in 0..2 {
        std::thread::sleep(Duration::from_secs(3));
        service.signal("STOP");
        std::thread::sleep(Duration::from_secs(9));
        service.signal("CONT");
    }
    trickle.finish();
    service.wait_for_the_end(total as i64);
    let digests = service.drain();
    let mut log = service.export("events");
    log.retain(|line| line.kind.is_none());
    assert_eq!(log.len(), total);
    let (expected, reference) = service.reference();
    assert_eq!(service.alerts(), expected);
    assert_eq!(digests, reference);
}

#[test]
fn twenty_kills_cost_no_event_and_no_alert_and_double_none() {
    let Some(broker) = Broker::find() else { return };
    let mut service = Service::prepare_with_raw(&broker, "kills", 3, 2);
    let (records, spliced) = spliced(20, 11);
    let total = records.len();
    // Every life must find new events, however long the one before took.
    let trickle = Trickle::start(&broker, &service, records);
    let mut seconds = Vec::new();
    for kill in 0..20_u64 {
        let killed = Instant::now();
        service.start();
        let first = service.wait_for("first new event after the start", Duration::from_secs(120));
        assert!(first.is_some(), "life {kill} sees no new event");
        // From the kill before to the first event that no life had seen, the start of the process and all.
        if kill > 0 {
            seconds.push(killed.elapsed().as_secs_f64());
        }
        // Anything between the first event and some commits later.
        std::thread::sleep(Duration::from_millis(kill * 7919 % 700));
        service.kill();
    }
    trickle.finish();
    service.start();
    service.wait_for_the_end(total as i64);
    let digests = service.drain();

    let mut uids: BTreeMap<String, u32> = BTreeMap::new();
    for line in service.export("events") {
        let event: Value = serde_json::from_slice(line.value.as_ref().unwrap()).unwrap();
        if line.kind.is_none() {
            *uids
                .entry(event["uid"].as_str().unwrap().to_owned())
                .or_default() += 1;
        }
    }
    assert_eq!(uids.len(), total, "events lost or invented");
    assert!(uids.values().all(|count| *count == 1), "events doubled");

    let (expected, reference) = service.reference();
    let mut published: BTreeMap<(String, u64), u32> = BTreeMap::new();
    for alert in service.alerts() {
        *published.entry(alert).or_default() += 1;
    }
    assert!(
        published.values().all(|count| *count == 1),
        "alerts doubled"
    );
    assert_eq!(published.into_keys().collect::<Vec<_>>(), expected);
    assert_eq!(digests, reference);
    let alerted = service.alerted();
    let found = spliced.intersection(&alerted).count();
    assert!(found > 0, "no identity with spliced events alerted");

    seconds.sort_by(f64::total_cmp);
    note(&format!(
        "20 kills over {total} raw records, {} alerts; {found} of {} spliced identities alerted; \
         seconds from a kill to the first new event: {seconds:.1?}",
        expected.len(),
        spliced.len()
    ));
}
