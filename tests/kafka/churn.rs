//! Instances that come and go at random while they share the partitions, of raw logs and of events.

use std::time::{Duration, Instant};

use nhiwatch::kafka::settings::TRANSACTION_TIMEOUT;

use super::bank::events;
use super::broker::Broker;
use super::service::{Service, given, note};
use super::trickle::Trickle;

#[test]
fn three_instances_that_come_and_go_lose_nothing_and_double_nothing() {
    let Some(broker) = Broker::find() else { return };
    let seconds = given("NHIWATCH_FAULT_SECONDS", 30);
    let first = Service::prepare_with_raw(&broker, "churn", 4, 3);
    let others = [first.twin("b"), first.twin("c")];
    let mut instances: Vec<Service> = std::iter::once(first).chain(others).collect();
    for instance in &instances {
        instance.keep_copies();
    }
    let events = events(24, 13, true);
    let total = events.len();
    let time = Duration::from_secs(2 * seconds.max(150));
    let trickle = Trickle::start(&broker, instances[0].topic("raw"), events, time);
    let (mut starts, mut kills, mut drains) = (0, 0, 0);
    let mut dice = 0x9e37_79b9_7f4a_7c15_u64;
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut killed = Instant::now();
    while Instant::now() < end {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        let instance = &mut instances[(dice >> 8) as usize % 3];
        match (instance.runs(), dice >> 20 & 1) {
            (false, _) => {
                instance.start();
                starts += 1;
            }
            (true, 0) => {
                instance.kill();
                killed = Instant::now();
                kills += 1;
            }
            (true, _) => {
                instance.drain();
                drains += 1;
            }
        }
        std::thread::sleep(Duration::from_millis(3000 + dice % 4000));
    }
    trickle.finish();
    for instance in &mut instances[1..] {
        if instance.runs() {
            instance.drain();
        }
    }
    // What a killed intake has begun hides what comes after it until the broker gives it up.
    std::thread::sleep((killed + TRANSACTION_TIMEOUT + Duration::from_secs(2)) - Instant::now());
    let last = &mut instances[0];
    if !last.runs() {
        last.start();
    }
    last.wait_for_the_end(total as i64);
    let digests = last.drain();
    last.assert_passed_on_once(total);
    let alerts = last.assert_undisturbed(&digests);
    note(&format!(
        "{seconds} s of three instances, {starts} starts, {kills} kills, {drains} stops: {total} events, \
         {alerts} alerts, each once"
    ));
}
