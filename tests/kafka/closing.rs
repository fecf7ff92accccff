//! A member of a group is closed, whatever the group has decided meanwhile.

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use nhiwatch::kafka::assignment::{self, Leave};
use nhiwatch::kafka::settings;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::broker::Broker;
use super::service::{Service, given};

#[test]
fn a_member_is_closed_whatever_it_has_not_heard_or_not_carried_out() {
    let Some(broker) = Broker::find() else { return };
    let prepared = Service::prepare(&broker, "closing", 2);
    let service = prepared.shared();
    let client = settings::client(&service.config.kafka).unwrap();
    let group = prepared.topic("group");
    let events = prepared.topic("events");
    for time in 0..given("NHIWATCH_KILLS", 20) {
        let consumer = assignment::join(&service, &client, &group, "member", &[&events]).unwrap();
        match time % 4 {
            // Nothing heard, be it too early for anything or not.
            0 => std::thread::sleep(Duration::from_millis(20 * time)),
            1 => std::thread::sleep(Duration::from_millis(800)),
            // Heard, and not carried out.
            2 => hear(&consumer),
            // Carried out, and more may have come since.
            _ => {
                hear(&consumer);
                consumer.context().take();
                consumer.unassign().unwrap();
                std::thread::sleep(Duration::from_millis(20 * time));
            }
        }
        let (tell, told) = channel();
        std::thread::spawn(move || {
            drop(Leave(&consumer));
            drop(consumer);
            tell.send(()).unwrap();
        });
        assert!(
            told.recv_timeout(SOON).is_ok(),
            "{time}: it is never closed"
        );
    }
}

/// Waits until the group has decided something.
fn hear(consumer: &BaseConsumer<assignment::Assignments>) {
    let since = Instant::now();
    while !consumer.context().has_news() {
        assert!(since.elapsed() < SOON, "the group decides nothing");
        consumer.poll(Duration::from_millis(10));
    }
}

const SOON: Duration = Duration::from_secs(30);
