//! Two brokers with two copies of everything, of which one dies.

use std::time::{Duration, Instant};

use rdkafka::admin::{AdminOptions, AlterConfig, ResourceSpecifier};

use super::bank::events;
use super::broker::Broker;
use super::service::{Service, admin, note};
use super::trickle::Trickle;

#[test]
fn one_of_two_brokers_may_die_and_nothing_is_committed_where_two_copies_are_demanded() {
    let Some(pair) = Pair::start() else { return };
    let broker = &pair.0;
    let mut service = Service::prepare_without_topics(broker, "pair", 2);
    service.configure_in("topics", "replication: 2");
    service.create_topics();
    let events = events(8, 47, true);
    let total = events.len();
    let time = Duration::from_secs(400);
    let trickle = Trickle::start(broker, service.topic("events"), events, time);
    service.start();
    goes_on(&service, 0);

    // It leads half of what the service reads and writes, and of what Kafka keeps for itself.
    pair.kill_the_second();
    let alone = goes_on(&service, service.committed());
    pair.revive_the_second();
    let together = goes_on(&service, service.committed());

    for topic in ["alerts", "state"] {
        demand_two_copies(broker, &service.topic(topic));
    }
    goes_on(&service, service.committed());
    pair.kill_the_second();
    let since = Instant::now();
    while service.ask("/readyz").starts_with("HTTP/1.0 200") {
        assert!(since.elapsed() < SOON, "it says that it works");
        std::thread::sleep(Duration::from_millis(200));
    }
    let stood_at = service.committed();
    std::thread::sleep(Duration::from_secs(10));
    assert_eq!(service.committed(), stood_at, "committed with one copy");
    pair.revive_the_second();
    let again = goes_on(&service, stood_at);

    trickle.finish();
    service.wait_for_committed(total as i64);
    let digests = service.drain();
    let alerts = service.assert_undisturbed(&digests);
    note(&format!(
        "one of two brokers killed: {alone:.1} s until it went on with the other, {together:.1} s after it was back; where two \
         copies are demanded, {again:.1} s after it was back; {alerts} alerts, each once"
    ));
}

/// How long it takes until more than `before` is committed.
fn goes_on(service: &Service, before: i64) -> f64 {
    let since = Instant::now();
    while service.committed() <= before {
        assert!(
            since.elapsed() < SOON,
            "nothing is committed any more: {}",
            service.ask("/readyz")
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    since.elapsed().as_secs_f64()
}

fn demand_two_copies(broker: &Broker, topic: &str) {
    let config = AlterConfig::new(ResourceSpecifier::Topic(topic)).set("min.insync.replicas", "2");
    let (admin, options) = (admin(&broker.address), AdminOptions::new());
    let altered = admin.alter_configs([&config], &options);
    let altered = tokio::runtime::Runtime::new().unwrap().block_on(altered);
    altered.unwrap().remove(0).unwrap();
}

/// The two; they end with this.
struct Pair(Broker);

impl Pair {
    fn start() -> Option<Self> {
        Broker::pair().map(Self)
    }

    fn kill_the_second(&self) {
        assert!(self.0.script(&["kill", &self.second()]));
    }

    fn revive_the_second(&self) {
        assert!(self.0.script(&["revive", &self.second()]));
    }

    fn second(&self) -> String {
        format!("{}/second", self.0.folder().unwrap())
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.0.script(&["stop", self.0.folder().unwrap()]);
    }
}

const SOON: Duration = Duration::from_secs(60);
