//! One `nhiwatch run` on topics of its own, and what it leaves in Kafka.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use nhiwatch::replay::Replay;
use nhiwatch::wire::LogLine;
use rdkafka::ClientConfig;
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
    port: u16,
    folder: tempfile::TempDir,
    child: Option<Child>,
    log: Option<Receiver<Value>>,
    metrics: String,
}

impl Service {
    pub(crate) fn prepare(broker: &Broker, name: &str, partitions: i32) -> Self {
        let service = Self::prepare_without_topics(broker, name, partitions);
        service.create_topics();
        service
    }

    pub(crate) fn prepare_without_topics(broker: &Broker, name: &str, partitions: i32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let now = std::time::SystemTime::UNIX_EPOCH
            .elapsed()
            .unwrap()
            .as_millis();
        let run = format!("{name}-{now}");
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut config = format!(
            "profile: dev\nroles: [watch]\nkafka:\n  brokers: \"{}\"\n  instance: {run}\n  \
             commit_interval: 50ms\nalerts:\n  format: native\nhttp:\n  listen: 127.0.0.1:{port}\n\
             topics:\n  partitions: {partitions}\n",
            broker.address
        );
        for topic in TOPICS {
            config.push_str(&format!("  {topic}: {run}.{topic}\n"));
        }
        std::fs::write(folder.path().join("nhiwatch.yaml"), config).unwrap();
        let brokers = broker.address.clone();
        let metrics = String::new();
        Self {
            brokers,
            run,
            partitions,
            port,
            folder,
            child: None,
            log: None,
            metrics,
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

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(BINARY);
        command
            .arg(name)
            .arg("--config")
            .arg(self.folder.path().join("nhiwatch.yaml"));
        command
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
            let digest = line["digest"].as_str().unwrap().to_owned();
            digests.insert(line["partition"].as_u64().unwrap(), digest);
        }
        digests
    }

    fn scrape(&self) -> String {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    pub(crate) fn last_metrics(&self) -> &str {
        &self.metrics
    }

    /// Events whose processing is committed, over all partitions.
    pub(crate) fn committed(&self) -> i64 {
        let consumer = self.group();
        let mut list = TopicPartitionList::new();
        for partition in 0..self.partitions {
            list.add_partition(&self.topic("events"), partition);
        }
        // A coordinator that is still moving in knows nothing yet; who waits asks again.
        let Ok(answer) = consumer.committed_offsets(list, Duration::from_secs(10)) else {
            return 0;
        };
        let mut sum = 0;
        for element in answer.elements() {
            if let Offset::Offset(offset) = element.offset() {
                // A producer's batches leave no gaps here: the events are not transactional.
                sum += offset;
            }
        }
        sum
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
        while self.group().commit(&list, CommitMode::Sync).is_err() {
            assert!(Instant::now() < deadline, "the group does not let go");
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    fn group(&self) -> BaseConsumer {
        ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", "nhiwatch-watch")
            .set("enable.auto.commit", "false")
            .create()
            .unwrap()
    }

    /// Id and revision of every committed alert, in order, repeats included.
    pub(crate) fn alerts(&self) -> Vec<(String, u64)> {
        let lines = self.export("alerts");
        let mut alerts: Vec<(String, u64)> = lines
            .iter()
            .map(|line| {
                let alert: Value = serde_json::from_slice(line.value.as_ref().unwrap()).unwrap();
                assert!(!alert["expected"].as_str().unwrap().is_empty());
                assert!(!alert["observed"].as_str().unwrap().is_empty());
                (
                    alert["id"].as_str().unwrap().to_owned(),
                    alert["revision"].as_u64().unwrap(),
                )
            })
            .collect();
        alerts.sort();
        alerts
    }

    /// Reason and value of every dead letter, in order.
    pub(crate) fn dead_letters(&self) -> Vec<(String, String)> {
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
            let reason = headers
                .iter()
                .find(|header| header.key == "dlq.reason")
                .unwrap();
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            letters.push((
                text(reason.value.unwrap()),
                text(message.payload().unwrap()),
            ));
        }
        letters
    }

    fn export(&self, topic: &str) -> Vec<LogLine> {
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

/// Writes `records` to `topic`, keyed; where there is a `hurry`, slowly until it is set.
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
            let mut record = BaseRecord::to(topic).key(key).payload(value);
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
