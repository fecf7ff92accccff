//! SIGKILL at many moments of a run from raw logs to alerts.

use std::time::{Duration, Instant};

use super::bank::{events, spliced};
use super::broker::Broker;
use super::service::{Service, given, note};
use super::traces::produce;
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
    // Longer than its session; then also longer than a transaction lives, while another takes its place.
    let mut other = service.twin("b");
    for seconds in [9, 17] {
        std::thread::sleep(Duration::from_secs(3));
        service.signal("STOP");
        if seconds > 9 {
            other.start();
            let first = other.wait_for("first new event after the start", Duration::from_secs(60));
            assert!(first.is_some(), "nobody takes its place");
        }
        std::thread::sleep(Duration::from_secs(seconds));
        service.signal("CONT");
    }
    std::thread::sleep(Duration::from_secs(5));
    other.drain();
    trickle.finish();
    service.wait_for_the_end(total as i64);
    let digests = service.drain();
    service.assert_passed_on_once(total);
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

    service.assert_passed_on_once(total);
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

#[test]
fn kills_while_the_state_is_restored_leave_it_as_it_was() {
    let Some(broker) = Broker::find() else { return };
    let Some(proxy) = broker.proxy() else { return };
    let mut service = Service::prepare(&broker, "restoring", 2);
    service.goes_through(&proxy);
    service.keep_copies();
    let events = events(16, 47, true);
    let (before, after) = events.split_at(events.len() / 2);
    let topic = service.topic("events");
    produce(&broker.address, &topic, before, None);
    service.start();
    service.wait_for_committed(before.len() as i64);
    service.drain();
    // A start takes some seconds then, of which restoring is the last.
    proxy.slow(Duration::from_millis(100));
    let since = Instant::now();
    service.start();
    assert!(service.wait_for("state restored", SOON).is_some());
    let restored = since.elapsed();
    service.kill();
    produce(&broker.address, &topic, after, None);
    let kills = given("NHIWATCH_KILLS", 20).div_ceil(2);
    let mut early = 0;
    for kill in 0..kills {
        // Half of the copies are begun anew, from Kafka.
        if kill % 2 == 0 {
            std::fs::remove_dir_all(service.folder.path().join("cache")).unwrap();
        }
        service.start();
        // A member that was killed is waited for first.
        let earliest = restored.saturating_sub(Duration::from_millis(400));
        std::thread::sleep(earliest + Duration::from_millis(kill * 79 % 800));
        let lines = service.said();
        let done = |line: &&serde_json::Value| line["message"] == "state restored";
        early += u32::from(lines.iter().filter(done).count() < 2);
        service.kill();
    }
    proxy.slow(Duration::ZERO);
    service.start();
    service.wait_for_committed(events.len() as i64);
    let digests = service.drain();
    let alerts = service.assert_undisturbed(&digests);
    note(&format!(
        "{kills} kills {restored:.1?} after the start, {early} of them before all was restored; {alerts} alerts, each once"
    ));
    assert!(early > 0, "none was restoring");
}

const SOON: Duration = Duration::from_secs(120);
