//! SIGKILL at many moments of a run from raw logs to alerts.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::bank::spliced;
use super::broker::Broker;
use super::service::{Service, given, note};
use super::trickle::Trickle;

#[test]
fn a_service_that_slept_through_its_session_comes_back_and_doubles_nothing() {
    let Some(broker) = Broker::find() else { return };
    let mut service = Service::prepare_with_raw(&broker, "sleeper", 2, 2);
    let (records, _) = spliced(8, 5);
    let total = records.len();
    let trickle = Trickle::start(
        &broker,
        service.topic("raw"),
        records,
        Duration::from_secs(300),
    );
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
    service.assert_undisturbed(&digests);
}

#[test]
fn kills_cost_no_event_and_no_alert_and_double_none() {
    let Some(broker) = Broker::find() else { return };
    let mut service = Service::prepare_with_raw(&broker, "kills", 3, 2);
    service.keep_copies();
    let kills = given("NHIWATCH_KILLS", 20);
    let (records, spliced) = spliced(20, 11);
    let total = records.len();
    let time = Duration::from_secs(15 * kills);
    // Every life must find new events, however long the one before took.
    let trickle = Trickle::start(&broker, service.topic("raw"), records, time);
    let (mut seconds, mut again, mut copied) = (Vec::new(), 0, 0);
    for kill in 0..kills {
        let killed = Instant::now();
        service.start();
        for _ in 0..2 {
            let restored = service.wait_for("state restored", Duration::from_secs(120));
            let restored = restored.expect("each life has two partitions");
            let offset = |name: &str| restored[name].as_i64().unwrap();
            again += offset("next") - offset("stored");
            copied += offset("copied");
        }
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

    assert!(again > 0, "no life had anything to take in again");
    assert!(copied > 0, "no life had a copy of its state");
    let alerts = service.assert_undisturbed(&digests);
    let alerted = service.alerted();
    let found = spliced.intersection(&alerted).count();
    assert!(found > 0, "no identity with spliced events alerted");

    seconds.sort_by(f64::total_cmp);
    note(&format!(
        "{kills} kills over {total} raw records, {again} events taken in again, {alerts} alerts; {found} of {} spliced identities \
         alerted; seconds from a kill to the first new event: {seconds:.1?}",
        spliced.len()
    ));
}
