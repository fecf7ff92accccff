//! Instances that share the partitions.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::Value;

use super::bank::events;
use super::broker::Broker;
use super::service::{Service, note};
use super::traces::produce;
use super::trickle::Trickle;

#[test]
fn two_instances_give_the_alerts_that_backtest_gives_on_as_many_partitions() {
    let Some(broker) = Broker::find() else { return };
    let mut one = Service::prepare(&broker, "sharing", 4);
    let mut two = one.twin("b");
    let events = events(16, 7, true);
    let (before, after) = events.split_at(events.len() / 2);
    let topic = one.topic("events");
    one.start();
    produce(&broker.address, &topic, before, None);
    two.start();
    wait_for_share(&one, 2);
    wait_for_share(&two, 2);
    produce(&broker.address, &topic, after, None);
    one.wait_for_committed(events.len() as i64);
    let digests = [one.drain(), two.drain()];
    assert!(digests.iter().all(|part| part.len() == 2), "{digests:?}");
    let (reference, states) = one.reference();
    assert_eq!(one.alerts(), reference);
    assert_eq!(
        digests.into_iter().flatten().collect::<Vec<_>>(),
        states.into_iter().collect::<Vec<_>>()
    );

    let mut file = tempfile::NamedTempFile::with_suffix(".ndjson").unwrap();
    for (_, json) in &events {
        writeln!(file, "{json}").unwrap();
    }
    let out = tempfile::NamedTempFile::new().unwrap();
    let output = one
        .command("backtest")
        .args(["--partitions", "4", "--alerts"])
        .args([out.path(), file.path()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let lines = std::fs::read_to_string(out.path()).unwrap();
    let alerts: BTreeSet<(String, u64)> = lines
        .lines()
        .map(|line| {
            let alert: Value = serde_json::from_str(line).unwrap();
            let id = alert["id"].as_str().unwrap().to_owned();
            (id, alert["revision"].as_u64().unwrap())
        })
        .collect();
    assert!(!alerts.is_empty());
    assert_eq!(alerts, reference.into_iter().collect());
}

#[test]
fn who_gets_its_partitions_back_goes_on_with_what_it_knew() {
    let Some(broker) = Broker::find() else { return };
    let mut one = Service::prepare(&broker, "staying", 6);
    let (mut two, mut three) = (one.twin("b"), one.twin("c"));
    for service in [&one, &two, &three] {
        service.keep_copies();
    }
    let events = events(24, 7, true);
    let total = events.len();
    let trickle = Trickle::start(
        &broker,
        one.topic("events"),
        events,
        Duration::from_secs(120),
    );
    let (done, watched) = (AtomicBool::new(false), one.topic("events"));
    let (log, pause) = std::thread::scope(|scope| {
        let pause = scope.spawn(|| longest_pause(&broker, &watched, &done));
        one.start();
        wait_for_share(&one, 6);
        two.start();
        wait_for_share(&two, 3);
        three.start();
        wait_for_share(&three, 2);
        three.drain();
        two.drain();
        wait_for_share(&one, 6);
        std::thread::sleep(Duration::from_secs(1));
        let log = one.said();
        done.store(true, Ordering::Release);
        (log, pause.join().unwrap())
    });
    trickle.finish();
    one.wait_for_committed(total as i64);
    let digests = one.drain();
    assert_eq!(digests.len(), 6);
    one.assert_undisturbed(&digests);

    let said = |message: &str| log.iter().filter(|line| line["message"] == message).count();
    let (kept, restored) = (said("goes on with what it knew"), said("state restored"));
    // At least 3 of 6, then 2 of 3, then these 2 again, of 6.
    assert!(
        kept >= 7 && restored <= 6 + 4,
        "{kept} kept, {restored} restored"
    );
    note(&format!(
        "1, 3, 1 instances: {kept} partitions kept, {restored} restored, by who was there all along; a partition that \
         stayed was not committed for {pause:.1?} at most"
    ));
}

/// The longest time for which nothing was committed of partition 0, from its first commit on.
fn longest_pause(broker: &Broker, topic: &str, done: &AtomicBool) -> Duration {
    let group: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &broker.address)
        .set("group.id", nhiwatch::shard::GROUP)
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, 0);
    let (mut last, mut longest) = (None, Duration::ZERO);
    while !done.load(Ordering::Acquire) {
        let answer = group.committed_offsets(list.clone(), Duration::from_secs(10));
        let offset = answer.ok().map(|it| it.elements()[0].offset());
        if let Some(Offset::Offset(offset)) = offset {
            let (before, since) = *last.get_or_insert((offset, Instant::now()));
            if offset > before {
                longest = longest.max(since.elapsed());
                last = Some((offset, Instant::now()));
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    longest
}

fn wait_for_share(service: &Service, partitions: usize) {
    let line = format!("\nnhiwatch_partitions_assigned {partitions}\n");
    let deadline = Instant::now() + Duration::from_secs(90);
    while !service.scrape().contains(&line) {
        assert!(
            Instant::now() < deadline,
            "it never has {partitions} partitions"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn of_two_busy_processes_of_one_name_one_ends_and_the_other_goes_on() {
    let Some(broker) = Broker::find() else { return };
    let mut one = Service::prepare(&broker, "names", 2);
    let (topic, events) = (one.topic("events"), events(6, 3, true));
    let total = events.len();
    let trickle = Trickle::start(&broker, topic, events, Duration::from_secs(400));
    one.start();
    let first = one.wait_for("first new event after the start", Duration::from_secs(60));
    assert!(first.is_some());
    let mut two = one.twin("a");
    two.start();
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut other = loop {
        assert!(Instant::now() < deadline, "both go on");
        if one.has_ended() {
            assert_eq!(one.wait_for_exit(), Some(3));
            break two;
        }
        if two.has_ended() {
            assert_eq!(two.wait_for_exit(), Some(3));
            break one;
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    trickle.finish();
    other.wait_for_committed(total as i64);
    let digests = other.drain();
    other.assert_undisturbed(&digests);
}
