//! One `nhiwatch run` on topics of its own, and what it leaves in Kafka.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use nhiwatch::replay::Replay;
use nhiwatch::wire::LogLine;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::Value;

use super::broker::Broker;

const BINARY: &str = env!("CARGO_BIN_EXE_nhiwatch");
const TOPICS: [&str; 6] = [
    "events",
    "alerts",
    "state",
    "deadletter",
    "inventory",
    "feedback",
];

pub(crate) struct Service {
    brokers: String,
    run: String,
    partitions: i32,
    /// Partitions of the raw topic; none where the service only watches.
    raw: i32,
    port: u16,
    folder: tempfile::TempDir,
    child: Option<Child>,
    log: Option<Receiver<Value>>,
    metrics: String,
}

impl Service {
    /// A service that only watches, with its topics.
    pub(crate) fn prepare(broker: &Broker, name: &str, partitions: i32) -> Self {
        let service = Self::prepare_without_topics(broker, name, partitions);
        service.create_topics();
        service
    }

    /// A service with an intake that reads the topic `raw` of so many partitions, with its topics.
    pub(crate) fn prepare_with_raw(broker: &Broker, name: &str, partitions: i32, raw: i32) -> Self {
        let service = Self::of(broker.address.clone(), &named(name), "a", partitions, raw);
        service.create_topics();
        service.create_raw("raw", raw);
        service
    }

    pub(crate) fn prepare_without_topics(broker: &Broker, name: &str, partitions: i32) -> Self {
        Self::of(broker.address.clone(), &named(name), "a", partitions, 0)
    }

    /// Another instance on the same topics, which only watches.
    pub(crate) fn twin(&self) -> Self {
        Self::of(self.brokers.clone(), &self.run, "b", self.partitions, 0)
    }

    /// A short session: the members of the service before are waited for until theirs end.
    fn of(brokers: String, run: &str, instance: &str, partitions: i32, raw: i32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let roles = if raw > 0 {
            format!("roles: [intake, watch]\nsources: [{{topic: {run}.raw, mapping: auto}}]\n")
        } else {
            "roles: [watch]\n".to_owned()
        };
        let mut config = format!(
            "profile: dev\n{roles}kafka:\n  brokers: \"{brokers}\"\n  instance: {run}-{instance}\n  session_timeout: 6s\n  \
             commit_interval: 50ms\nalerts:\n  format: native\nhttp:\n  listen: 127.0.0.1:{port}\n\
             topics:\n  partitions: {partitions}\n"
        );
        for topic in TOPICS {
            config.push_str(&format!("  {topic}: {run}.{topic}\n"));
        }
        std::fs::write(folder.path().join("nhiwatch.yaml"), config).unwrap();
        Self {
            brokers,
            run: run.to_owned(),
            partitions,
            raw,
            port,
            folder,
            child: None,
            log: None,
            metrics: String::new(),
        }
    }

    pub(crate) fn topic(&self, name: &str) -> String {
        format!("{}.{name}", self.run)
    }

    pub(crate) fn create_topics(&self) {
        let output = self.command("topics").arg("--create").output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
    }

    /// Makes the topic `name`, which belongs to whoever ships logs, not to nhiwatch.
    pub(crate) fn create_raw(&self, name: &str, partitions: i32) {
        let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .create()
            .unwrap();
        let topic = self.topic(name);
        let topic = NewTopic::new(&topic, partitions, TopicReplication::Fixed(1));
        let options = AdminOptions::new();
        let made = admin.create_topics([&topic], &options);
        let made = tokio::runtime::Runtime::new().unwrap().block_on(made);
        made.unwrap()[0].as_ref().unwrap();
    }

    pub(crate) fn command(&self, name: &str) -> Command {
        let mut command = Command::new(BINARY);
        command
            .arg(name)
            .arg("--config")
            .arg(self.folder.path().join("nhiwatch.yaml"));
        command
    }

    /// Reads a second raw topic.
    pub(crate) fn add_source(&self, name: &str) {
        let path = self.folder.path().join("nhiwatch.yaml");
        let config = std::fs::read_to_string(&path).unwrap();
        let more = format!(
            "mapping: auto}}, {{topic: {}, mapping: auto}}]",
            self.topic(name)
        );
        std::fs::write(&path, config.replace("mapping: auto}]", &more)).unwrap();
    }

    pub(crate) fn start(&mut self) {
        let mut child = self.command("run").stderr(Stdio::piped()).spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let (lines, log) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if let Ok(line) = serde_json::from_str::<Value>(&line) {
                    let mut fields = line["fields"].clone();
                    if fields.is_null() {
                        fields = line;
                    }
                    if lines.send(fields).is_err() {
                        break;
                    }
                }
            }
        });
        self.child = Some(child);
        self.log = Some(log);
    }

    /// The first log line with `message`, within `timeout`.
    pub(crate) fn wait_for(&self, message: &str, timeout: Duration) -> Option<Value> {
        let deadline = Instant::now() + timeout;
        let log = self.log.as_ref()?;
        loop {
            let left = deadline.checked_duration_since(Instant::now())?;
            let line = log.recv_timeout(left).ok()?;
            if line["message"]
                .as_str()
                .is_some_and(|text| text.contains(message))
            {
                return Some(line);
            }
        }
    }

    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Ends the service as an operator does; gives each partition's digest.
    pub(crate) fn drain(&mut self) -> BTreeMap<u64, String> {
        self.metrics = self.scrape();
        let mut child = self.child.take().unwrap();
        let pid = child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
        let deadline = Instant::now() + Duration::from_secs(20);
        while child.try_wait().unwrap().is_none() {
            assert!(
                Instant::now() < deadline,
                "SIGTERM does not end the service"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(child.wait().unwrap().success());
        let mut digests = BTreeMap::new();
        while let Some(line) = self.wait_for("drained", Duration::from_millis(500)) {
            // The intake has no state of its own, and so no digest.
            if let Some(digest) = line["digest"].as_str() {
                digests.insert(line["partition"].as_u64().unwrap(), digest.to_owned());
            }
        }
        digests
    }

    pub(crate) fn scrape(&self) -> String {
        self.ask("/metrics")
    }

    pub(crate) fn ask(&self, page: &str) -> String {
        // A process that has just been started listens a moment later.
        let mut tries = 0;
        let mut stream = loop {
            match std::net::TcpStream::connect(("127.0.0.1", self.port)) {
                Ok(stream) => break stream,
                Err(error) if tries == 50 => panic!("{error}"),
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
            tries += 1;
        };
        write!(stream, "GET {page} HTTP/1.0\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    pub(crate) fn last_metrics(&self) -> &str {
        &self.metrics
    }

    /// Events whose processing is committed, over all partitions.
    pub(crate) fn committed(&self) -> i64 {
        // A producer's batches leave no gaps here: the events are not transactional.
        self.committed_of("nhiwatch-watch", "events", self.partitions)
    }

    fn committed_of(&self, group: &str, topic: &str, partitions: i32) -> i64 {
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
                "{read} of {count} raw records: {metrics}"
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

    pub(crate) fn move_committed_offset(&self, offset: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic("events"), 0, Offset::Offset(offset))
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(150);
        // The static member that has just left keeps its place until its session ends.
        while self
            .group("nhiwatch-watch")
            .commit(&list, CommitMode::Sync)
            .is_err()
        {
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
                text(message.payload().unwrap()),
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

    /// What an undisturbed run over the committed events gives: sorted alerts, and the digests.
    pub(crate) fn reference(&self) -> (Vec<(String, u64)>, BTreeMap<u64, String>) {
        let config =
            nhiwatch::config::Config::load(Some(&self.folder.path().join("nhiwatch.yaml")));
        let service = nhiwatch::commands::run::service(config.unwrap()).unwrap();
        let mut replay = Replay::new(service.decision);
        for line in self.export("events") {
            replay.log_line(&line).unwrap();
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

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The name of a run that no other has.
fn named(name: &str) -> String {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    format!("{name}-{}", now.as_millis())
}

/// Writes `records` to `topic`, keyed, or anywhere where the key is empty; where there is a `hurry`, slowly until it is set.
pub(crate) fn produce(
    brokers: &str,
    topic: &str,
    records: &[(String, String)],
    hurry: Option<&AtomicBool>,
) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("partitioner", "murmur2_random")
        .set("acks", "all")
        .set("linger.ms", "5")
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
        if hurry.is_some_and(|hurry| !hurry.load(Ordering::Acquire)) {
            producer.flush(Duration::from_secs(10)).unwrap();
            std::thread::sleep(Duration::from_millis(150));
        } else {
            producer.poll(Duration::ZERO);
        }
    }
    producer.flush(Duration::from_secs(30)).unwrap();
}

/// One visible line.
#[expect(
    clippy::print_stderr,
    reason = "a skipped suite and its figures must be seen"
)]
pub(crate) fn note(text: &str) {
    eprintln!("{text}");
}
