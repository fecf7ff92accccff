//! What a service has left in Kafka, and what it was given there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nhiwatch::replay::Replay;
use nhiwatch::wire::LogLine;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::Value;

use super::service::Service;

impl Service {
    /// Events whose processing is committed, over all partitions.
    pub(crate) fn committed(&self) -> i64 {
        // A producer's batches leave no gaps here: the events are not transactional.
        self.committed_of("nhiwatch-watch", "events", self.partitions)
    }

    /// How far `group` has read of all partitions of `topic`.
    pub(crate) fn committed_of(&self, group: &str, topic: &str, partitions: i32) -> i64 {
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition(&self.topic(topic), partition);
        }
        // A coordinator that is still moving in knows nothing yet; who waits asks again.
        let answer = self
            .group(group)
            .committed_offsets(list, Duration::from_secs(10));
        let Ok(answer) = answer else { return 0 };
        let offset =
            |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| match element
                .offset()
            {
                Offset::Offset(offset) => offset,
                _ => 0,
            };
        answer.elements().iter().map(offset).sum()
    }

    /// Waits until `count` raw records and all that they became are dealt with.
    pub(crate) fn wait_for_the_end(&self, count: i64) {
        let deadline = Instant::now() + Duration::from_secs(150);
        let quiet = |metrics: &str| {
            let has = |line: String| metrics.lines().any(|there| there == line);
            has("nhiwatch_consumer_lag_records{role=\"intake\"} 0".to_owned())
                && has("nhiwatch_consumer_lag_records{role=\"watch\"} 0".to_owned())
                && has(format!("nhiwatch_partitions_assigned {}", self.partitions))
        };
        let mut quiet_for = 0;
        while quiet_for < 3 {
            let read = self.committed_of("nhiwatch-intake", "raw", self.raw);
            let metrics = self.scrape();
            assert!(
                Instant::now() < deadline,
                "{read} of {count} raw records: {metrics}\n{:#?}",
                self.said()
            );
            let now = read >= count && quiet(&metrics);
            quiet_for = if now { quiet_for + 1 } else { 0 };
            std::thread::sleep(Duration::from_millis(600));
        }
    }

    pub(crate) fn wait_for_committed(&self, count: i64) {
        let deadline = Instant::now() + Duration::from_secs(150);
        while self.committed() < count {
            assert!(
                Instant::now() < deadline,
                "only {} of {count}",
                self.committed()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Commits `offset` for `group` in partition 0 of `topic`.
    pub(crate) fn move_committed_offset(&self, group: &str, topic: &str, offset: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic(topic), 0, Offset::Offset(offset))
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(150);
        // The static member that has just left keeps its place until its session ends.
        while self.group(group).commit(&list, CommitMode::Sync).is_err() {
            assert!(Instant::now() < deadline, "the group does not let go");
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    fn group(&self, name: &str) -> BaseConsumer {
        ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", name)
            .set("enable.auto.commit", "false")
            .create()
            .unwrap()
    }

    /// Id and revision of every committed alert, in order, repeats included.
    pub(crate) fn alerts(&self) -> Vec<(String, u64)> {
        let of = |alert: &Value| {
            let id = alert["id"].as_str().unwrap().to_owned();
            (id, alert["revision"].as_u64().unwrap())
        };
        let mut alerts: Vec<_> = self.published().iter().map(of).collect();
        alerts.sort();
        alerts
    }

    /// The identities of the committed alerts.
    pub(crate) fn alerted(&self) -> BTreeSet<String> {
        let identity = |alert: &Value| alert["identity"].as_str().unwrap().to_owned();
        self.published().iter().map(identity).collect()
    }

    /// How often the committed alerts say that something could not be read, by what they are about.
    pub(crate) fn unreadable(&self) -> BTreeMap<String, usize> {
        let mut told = BTreeMap::new();
        for alert in self.published() {
            if alert["detector"] == "unreadable" {
                let subject = alert["subject"].as_str().unwrap().to_owned();
                *told.entry(subject).or_default() += 1;
            }
        }
        told
    }

    /// The committed alerts, each of which says what was expected and what was observed.
    fn published(&self) -> Vec<Value> {
        let read = |line: &LogLine| {
            let alert: Value = serde_json::from_slice(line.value.as_ref().unwrap()).unwrap();
            assert!(!alert["expected"].as_str().unwrap().is_empty());
            assert!(!alert["observed"].as_str().unwrap().is_empty());
            alert
        };
        self.export("alerts").iter().map(read).collect()
    }

    /// Reason, place and value of every dead letter, in order.
    pub(crate) fn dead_letters(&self) -> Vec<[String; 3]> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", "nhiwatch-test")
            .set("isolation.level", "read_committed")
            .create()
            .unwrap();
        let mut from = TopicPartitionList::new();
        from.add_partition_offset(&self.topic("deadletter"), 0, Offset::Beginning)
            .unwrap();
        consumer.assign(&from).unwrap();
        let mut letters = Vec::new();
        while let Some(message) = consumer.poll(Duration::from_secs(3)) {
            let message = message.unwrap();
            let headers = message.headers().unwrap();
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let header = |name: &str| {
                let found = headers.iter().find(|header| header.key == name);
                text(found.unwrap().value.unwrap())
            };
            let place = ["dlq.topic", "dlq.partition", "dlq.offset"].map(header);
            letters.push([
                header("dlq.reason"),
                place.join("/"),
                text(message.payload().unwrap_or_default()),
            ]);
        }
        letters
    }

    /// The committed records of a topic, by partition and offset.
    pub(crate) fn export(&self, topic: &str) -> Vec<LogLine> {
        let output = self
            .command("topics")
            .args(["--export", &self.topic(topic)])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        output
            .stdout
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| LogLine::parse(line).unwrap())
            .collect()
    }

    /// Makes sure that each of `total` events, known by its `uid`, stands in the event log once.
    pub(crate) fn assert_passed_on_once(&self, total: usize) {
        let mut uids: BTreeMap<String, u32> = BTreeMap::new();
        for line in self.export("events") {
            if line.kind.is_none() {
                let event: Value = serde_json::from_slice(line.value.as_ref().unwrap()).unwrap();
                let uid = event["uid"].as_str().unwrap().to_owned();
                *uids.entry(uid).or_default() += 1;
            }
        }
        assert_eq!(uids.len(), total, "events lost or invented");
        assert!(uids.values().all(|count| *count == 1), "events doubled");
    }

    /// Holds alerts and states against an undisturbed run over the same events; gives the number of alerts.
    pub(crate) fn assert_undisturbed(&self, digests: &BTreeMap<u64, String>) -> usize {
        self.assert_undisturbed_over(&self.export("events"), digests)
    }

    /// The same, of a run over these records of the event log.
    pub(crate) fn assert_undisturbed_over(
        &self,
        log: &[LogLine],
        digests: &BTreeMap<u64, String>,
    ) -> usize {
        let (expected, reference) = self.judged(log);
        let published = self.alerts();
        let again = published.windows(2).filter(|two| two[0] == two[1]).count();
        assert_eq!(again, 0, "alerts doubled");
        assert_eq!(published, expected);
        assert_eq!(*digests, reference);
        published.len()
    }

    /// What an undisturbed run over the committed events gives: sorted alerts, and the digests.
    pub(crate) fn reference(&self) -> (Vec<(String, u64)>, BTreeMap<u64, String>) {
        self.judged(&self.export("events"))
    }

    fn judged(&self, log: &[LogLine]) -> (Vec<(String, u64)>, BTreeMap<u64, String>) {
        let mut replay = Replay::new(self.shared().decision);
        for line in log {
            // What cannot be read is told of by its engine, as it was.
            let _ = replay.log_line(line);
        }
        let mut alerts: Vec<(String, u64)> = replay
            .take_alerts()
            .iter()
            .map(|alert| (alert.id.to_string(), u64::from(alert.revision)))
            .collect();
        alerts.sort();
        let digests = replay
            .engines()
            .map(|engine| (u64::from(engine.partition()), engine.digest()));
        (alerts, digests.collect())
    }
}

/// Writes `records` to `topic`, keyed, or anywhere where the key is empty; where there is a `hurry`, slowly until it
/// is set, in two thousand parts with so long a pause after each.
pub(crate) fn produce(
    brokers: &str,
    topic: &str,
    records: &[(String, String)],
    hurry: Option<(&AtomicBool, Duration)>,
) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("partitioner", "murmur2_random")
        .set("enable.idempotence", "true")
        .set("linger.ms", "5")
        .set("message.max.bytes", "2000000")
        .create()
        .unwrap();
    let chunk = (records.len() / 2000).max(1);
    for records in records.chunks(chunk) {
        for (key, value) in records {
            let mut record = BaseRecord::to(topic).payload(value);
            if !key.is_empty() {
                record = record.key(key);
            }
            while let Err((_, back)) = producer.send(record) {
                record = back;
                producer.poll(Duration::from_millis(10));
            }
        }
        let slowly = hurry.filter(|(hurry, _)| !hurry.load(Ordering::Acquire));
        if let Some((_, pause)) = slowly {
            // The broker may be away for a while.
            producer.flush(Duration::from_secs(60)).unwrap();
            std::thread::sleep(pause);
        } else {
            producer.poll(Duration::ZERO);
        }
    }
    producer.flush(Duration::from_secs(30)).unwrap();
}
