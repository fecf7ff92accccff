//! How often state is stored, against what that costs and how soon a killed service goes on.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::measure::{Work, fill, weigh};
use super::population::{Skew, population};
use super::topics::Topics;
use super::{Bench, say};

/// Measures so many `events` for each interval.
pub(crate) fn measure(bench: &Bench, events: usize) -> Result<()> {
    let identities = if bench.quick { 1_000 } else { 50_000 };
    say(&format!(
        "\n{events} events of {identities} identities, then SIGKILL\n\n| checkpoint_interval | events/s | bytes of state \
         per event | events taken in again | seconds from the start to the first new event |\n|---|---|---|---|---|"
    ));
    let records = population(identities, events, Skew::Uniform)?;
    let intervals = ["0s", "1s", "5s", "15s", "1m"];
    for interval in if bench.quick {
        &intervals[2..3]
    } else {
        &intervals[..]
    } {
        let settings = format!("checkpoint_interval: {interval}, checkpoint_records: 1000000000");
        let topics = bench.topics(&records, Work::Watch, &settings)?;
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("nhiwatch.yaml");
        let config = bench.config(&topics.name, Work::Watch, &settings);
        std::fs::write(
            &path,
            format!("{config}http: {{listen: \"127.0.0.1:0\"}}\n"),
        )?;
        let life = Life::start(&path)?;
        wait_for(&topics, identities)?;
        let begun = Instant::now();
        wait_for(&topics, records.len())?;
        let rate = events as f64 / begun.elapsed().as_secs_f64();
        drop(life);
        let (bytes, _) = weigh(&topics.client, &topics.service.config.topics.state)?;
        fill(&topics.client, topics.input(), &records[..1])?;
        let begun = Instant::now();
        let life = Life::start(&path)?;
        let restored = life.line("state restored")?;
        life.line("first new event after the start")?;
        let seconds = begun.elapsed().as_secs_f64();
        let offset = |name: &str| restored[name].as_i64().context("an offset");
        let again = offset("next")? - offset("stored")?;
        let bytes = bytes as f64 / records.len() as f64;
        say(&format!(
            "| {interval} | {rate:.0} | {bytes:.0} | {again} | {seconds:.1} |"
        ));
        drop(life);
        topics.delete()?;
    }
    Ok(())
}

/// Waits until so many records are committed.
fn wait_for(topics: &Topics<'_>, count: usize) -> Result<()> {
    let group: BaseConsumer = topics
        .client
        .clone()
        .set("group.id", nhiwatch::shard::GROUP)
        .create()?;
    let mut list = TopicPartitionList::new();
    list.add_partition(topics.input(), 0);
    let deadline = Instant::now() + PATIENCE;
    loop {
        // A coordinator that has just come up does not know yet.
        let answer = group
            .committed_offsets(list.clone(), Duration::from_secs(10))
            .ok();
        let committed = answer.and_then(|it| Some(it.elements().first()?.offset()));
        if matches!(committed, Some(Offset::Offset(at)) if at >= count as i64) {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "{committed:?} of {count} are committed"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// One process of the service, killed when it is dropped.
struct Life {
    child: Child,
    log: Receiver<serde_json::Value>,
}

impl Life {
    fn start(config: &std::path::Path) -> Result<Self> {
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

    /// The next line of its log with this message.
    fn line(&self, message: &str) -> Result<serde_json::Value> {
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
