//! One `nhiwatch run` on topics of its own.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use serde_json::Value;

use super::broker::Broker;
use super::proxy::Proxy;

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
    pub(crate) brokers: String,
    pub(crate) run: String,
    pub(crate) partitions: i32,
    /// Partitions of the raw topic; none where the service only watches.
    pub(crate) raw: i32,
    port: u16,
    pub(crate) folder: tempfile::TempDir,
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

    /// Another instance on the same topics, with the same roles.
    pub(crate) fn twin(&self, instance: &str) -> Self {
        let (brokers, partitions) = (self.brokers.clone(), self.partitions);
        Self::of(brokers, &self.run, instance, partitions, self.raw)
    }

    /// Lets the service, but not the test, see the broker through `proxy` only.
    pub(crate) fn goes_through(&self, proxy: &Proxy) {
        let path = self.folder.path().join("nhiwatch.yaml");
        let config = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, config.replace(&self.brokers, &proxy.address)).unwrap();
    }

    pub(crate) const fn runs(&self) -> bool {
        self.child.is_some()
    }

    /// Memory that the process holds, in bytes, and the time that it has worked, of all its threads.
    pub(crate) fn usage(&self) -> (u64, Duration) {
        let pid = self.child.as_ref().unwrap().id();
        let read = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap();
        let status = read("status");
        let resident = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .unwrap();
        let resident = resident.trim().trim_end_matches(" kB");
        let stat = read("stat");
        // After the name, which stands in brackets: the 12th and 13th field, in ticks of 10 ms.
        let fields = stat.rsplit(')').next().unwrap().split_whitespace();
        let ticks: u64 = fields
            .skip(11)
            .take(2)
            .map(|field| field.parse::<u64>().unwrap())
            .sum();
        (
            resident.parse::<u64>().unwrap() * 1024,
            Duration::from_millis(10 * ticks),
        )
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
        let admin = admin(&self.brokers);
        let topic = self.topic(name);
        let topic = NewTopic::new(&topic, partitions, TopicReplication::Fixed(1));
        let options = AdminOptions::new();
        let made = admin.create_topics([&topic], &options);
        let made = tokio::runtime::Runtime::new().unwrap().block_on(made);
        made.unwrap()[0].as_ref().unwrap();
    }

    /// What its threads share, as `nhiwatch run` makes it.
    pub(crate) fn shared(&self) -> nhiwatch::service::Service {
        let path = self.folder.path().join("nhiwatch.yaml");
        let config = nhiwatch::config::Config::load(Some(&path));
        nhiwatch::commands::run::service(config.unwrap()).unwrap()
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

    /// Keeps what is stored of its state in its folder as well.
    pub(crate) fn keep_copies(&self) {
        let cache = self.folder.path().join("cache");
        self.configure(&format!("state_cache: {}", cache.display()));
    }

    /// Adds a setting to its section `kafka`.
    pub(crate) fn configure(&self, setting: &str) {
        self.configure_in("kafka", setting);
    }

    pub(crate) fn configure_in(&self, section: &str, setting: &str) {
        let path = self.folder.path().join("nhiwatch.yaml");
        let config = std::fs::read_to_string(&path).unwrap();
        let (section, more) = (
            format!("\n{section}:\n"),
            format!("\n{section}:\n  {setting}\n"),
        );
        std::fs::write(&path, config.replacen(&section, &more, 1)).unwrap();
    }

    /// Replaces a setting.
    pub(crate) fn reconfigure(&self, from: &str, to: &str) {
        let path = self.folder.path().join("nhiwatch.yaml");
        let config = std::fs::read_to_string(&path).unwrap();
        assert!(config.contains(from), "{config}");
        std::fs::write(&path, config.replacen(from, to, 1)).unwrap();
    }

    /// Adds a setting that belongs to no section.
    pub(crate) fn set(&self, setting: &str) {
        let path = self.folder.path().join("nhiwatch.yaml");
        let config = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{setting}\n{config}")).unwrap();
    }

    /// Declares `entries` in an inventory file.
    pub(crate) fn add_inventory(&self, entries: &str) {
        let file = self.folder.path().join("inventory.yaml");
        std::fs::write(&file, entries).unwrap();
        self.set(&format!("inventory: {}", file.display()));
    }

    pub(crate) fn start(&mut self) {
        self.start_with(&[]);
    }

    /// Starts it with these arguments beside the configuration.
    pub(crate) fn start_with(&mut self, arguments: &[&str]) {
        let mut command = self.command("run");
        command.args(arguments);
        self.spawn(command);
    }

    /// Starts it where no file can grow beyond so many blocks of 512 bytes: writing fails then, as on a full disk.
    pub(crate) fn start_on_a_full_disk(&mut self, blocks: u32) {
        let run = self.command("run");
        let mut command = Command::new("sh");
        // Whoever goes beyond is sent a signal, which would end it.
        let limit = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
        command.args(["-c", &limit, "sh"]);
        command.arg(run.get_program()).args(run.get_args());
        self.spawn(command);
    }

    fn spawn(&mut self, mut command: Command) {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
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

    /// The log lines since the last that was waited for.
    pub(crate) fn said(&self) -> Vec<Value> {
        self.log.iter().flat_map(Receiver::try_iter).collect()
    }

    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &pid])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Ends the service as an operator does; gives each partition's digest.
    pub(crate) fn drain(&mut self) -> BTreeMap<u64, String> {
        let drained = self.drain_to();
        drained
            .into_iter()
            .map(|(partition, (digest, _))| (partition, digest))
            .collect()
    }

    /// The same, with the next offset of each partition.
    pub(crate) fn drain_to(&mut self) -> BTreeMap<u64, (String, i64)> {
        self.metrics = self.scrape();
        assert!(self.end(), "what was open could not be committed");
        let mut digests = BTreeMap::new();
        while let Some(line) = self.wait_for("drained", Duration::from_millis(500)) {
            // The intake has no state of its own, and so no digest.
            if let Some(digest) = line["digest"].as_str() {
                let next = line["next"].as_i64().unwrap();
                digests.insert(
                    line["partition"].as_u64().unwrap(),
                    (digest.to_owned(), next),
                );
            }
        }
        digests
    }

    /// Tells the service to end, and waits for it; whether it ended well.
    pub(crate) fn end(&mut self) -> bool {
        self.signal("TERM");
        self.wait_for_exit() == Some(0)
    }

    /// Whether the service has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        let child = self.child.as_mut().unwrap();
        child.try_wait().unwrap().is_some()
    }

    /// Waits until the service has ended; its exit code.
    pub(crate) fn wait_for_exit(&mut self) -> Option<i32> {
        let mut child = self.child.take().unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        while child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "the service does not end");
            std::thread::sleep(Duration::from_millis(50));
        }
        child.wait().unwrap().code()
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
                Err(error) if tries == 50 => panic!("{error}: {:#?}", self.said()),
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
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Who may change topics and groups.
pub(crate) fn admin(brokers: &str) -> AdminClient<DefaultClientContext> {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", brokers).create().unwrap()
}

/// Deletes `topic`, and waits until it may be made anew.
pub(crate) fn delete_topic(brokers: &str, topic: &str) {
    let options = AdminOptions::new();
    let admin = admin(brokers);
    let deleted = admin.delete_topics(&[topic], &options);
    let deleted = tokio::runtime::Runtime::new().unwrap().block_on(deleted);
    deleted.unwrap()[0].as_ref().unwrap();
    std::thread::sleep(Duration::from_secs(1));
}

/// The name of a run that no other has.
fn named(name: &str) -> String {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    format!("{name}-{}", now.as_millis())
}

/// The whole number in the variable `name`, else `usual`: how much of something a test does.
pub(crate) fn given(name: &str, usual: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(usual, |text| text.parse().unwrap())
}

/// One visible line: what a test that passes prints is not shown, what it writes is.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
