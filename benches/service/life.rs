//! The service as a process of its own, which can be killed.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::Bench;
use super::measure::Work;
use super::topics::Topics;

impl Bench {
    /// The configuration of a shard on topics called after `name`, as a file in `folder`.
    pub(crate) fn file(&self, folder: &Path, name: &str, settings: &str) -> Result<PathBuf> {
        let path = folder.join("nhiwatch.yaml");
        let config = self.config(name, Work::Watch, settings);
        let listen = "http: {listen: \"127.0.0.1:0\"}\n";
        std::fs::write(&path, config + listen)?;
        Ok(path)
    }
}

/// Waits until so many records are committed, for as long as there are more and more.
pub(crate) fn wait_for(topics: &Topics<'_>, count: usize) -> Result<()> {
    let group: BaseConsumer = topics
        .client
        .clone()
        .set("group.id", nhiwatch::shard::GROUP)
        .create()?;
    let mut list = TopicPartitionList::new();
    list.add_partition(topics.input(), 0);
    let (mut newest, mut deadline) = (0, Instant::now() + PATIENCE);
    loop {
        // A coordinator that has just come up does not know yet.
        let answer = group
            .committed_offsets(list.clone(), Duration::from_secs(10))
            .ok();
        let committed = answer.and_then(|it| Some(it.elements().first()?.offset()));
        if let Some(Offset::Offset(at)) = committed
            && at > newest
        {
            (newest, deadline) = (at, Instant::now() + PATIENCE);
            if at >= count as i64 {
                return Ok(());
            }
        }
        ensure!(
            Instant::now() < deadline,
            "{newest} of {count} are committed, and no more"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// One process of the service, killed when it is dropped.
pub(crate) struct Life {
    child: Child,
    log: Receiver<serde_json::Value>,
}

impl Life {
    pub(crate) fn start(config: &Path) -> Result<Self> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_nhiwatch"))
            .args(["run", "--config"])
            .arg(config)
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = child.stderr.take().context("its log")?;
        let (lines, log) = channel();
        std::thread::spawn(move || {
            let read = BufReader::new(stderr).lines().map_while(Result::ok);
            for line in read.filter_map(|line| serde_json::from_str(&line).ok()) {
                if lines.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self { child, log })
    }

    /// Asks it to end as an init system would, and waits until it has: seconds, if all went well.
    pub(crate) fn end(mut self) -> Result<f64> {
        let begun = Instant::now();
        let id = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &id]).status()?;
        ensure!(asked.success(), "the signal was not sent");
        let status = self.child.wait()?;
        ensure!(status.success(), "it ended with {status}");
        Ok(begun.elapsed().as_secs_f64())
    }

    /// The most memory it has had at once, in MiB.
    pub(crate) fn peak(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        Ok(kib
            .context("the system does not say")?
            .trim()
            .parse::<f64>()?
            / 1024.0)
    }

    /// The next line of its log with this message.
    pub(crate) fn line(&self, message: &str) -> Result<serde_json::Value> {
        loop {
            let line = self.log.recv_timeout(PATIENCE);
            let line = line.with_context(|| format!("it never says: {message}"))?;
            if line["message"] == message {
                return Ok(line);
            }
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        // Where it has ended by itself there is nothing to kill.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(180);
