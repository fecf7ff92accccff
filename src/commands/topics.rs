//! `nhiwatch topics`: the topics that are needed against those that are there.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::progress::Progress;
use super::{config, say};
use crate::failure::Failure;
use crate::kafka::{settings, topics};
use crate::wire::{LogLine, control};

/// Show the topics that are needed against those that are there
#[derive(Args, Debug)]
pub struct TopicsArgs {
    /// The configuration file; without one the defaults hold
    #[arg(long, short, env = "NHIWATCH_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Create the topics that are missing
    #[arg(long, env = "NHIWATCH_CREATE")]
    create: bool,
    /// Write every committed record of TOPIC to standard output, for `backtest --source log`
    #[arg(
        long,
        env = "NHIWATCH_EXPORT",
        value_name = "TOPIC",
        conflicts_with = "create"
    )]
    export: Option<String>,
}

/// Compares, creates or exports.
///
/// # Errors
/// Where the configuration is invalid or Kafka does not answer.
pub fn run(args: &TopicsArgs) -> Result<ExitCode, Failure> {
    let config = config(args.config.as_deref())?;
    let client = settings::client(&config.kafka)?;
    if let Some(topic) = &args.export {
        return export(&client, topic);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Environment(format!("cannot start: {error}")))?;
    let wanted = topics::wanted(&config);
    let brokers = &config.kafka.brokers;
    let mut found = runtime.block_on(topics::found(&client, &wanted, brokers))?;
    if args.create {
        for name in runtime.block_on(topics::create(&client, &config, &wanted, &found))? {
            say(&format!("created {name}\n"))?;
        }
        let deadline = Instant::now() + Duration::from_secs(10);
        while found.iter().any(|topic| topic.partitions.is_none()) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(200));
            found = runtime.block_on(topics::found(&client, &wanted, brokers))?;
        }
    }
    let raw = topics::raw(&config);
    let raw = match raw.is_empty() {
        true => Vec::new(),
        false => runtime.block_on(topics::found(&client, &raw, brokers))?,
    };
    for topic in found.iter().chain(&raw) {
        let partitions = topic.partitions.map_or("missing".to_owned(), |n| match n {
            1 => "1 partition".to_owned(),
            n => format!("{n} partitions"),
        });
        let (name, copies) = (&topic.name, topic.replication);
        let cleanup = topic.cleanup.as_deref().unwrap_or("policy not to be seen");
        say(&format!(
            "{name:<20} {partitions:<14} replication {copies}  {cleanup}\n"
        ))?;
    }
    let faults = topics::faults(&config, &wanted, &found);
    for fault in &faults {
        say(&format!("fault: {fault}\n"))?;
    }
    for topic in raw.iter().filter(|topic| topic.partitions.is_none()) {
        let (name, cure) = match topic.hidden {
            true => (
                &topic.name,
                "cannot be seen; grant READ on it (docs/kafka-rights.md)",
            ),
            false => (
                &topic.name,
                "is missing; whoever ships logs there makes it, or correct `sources`",
            ),
        };
        say(&format!("note: {name} {cure}\n"))?;
    }
    Ok(ExitCode::from(u8::from(!faults.is_empty())))
}

/// Writes the committed records of every partition up to its end as of now, in offset order.
fn export(client: &rdkafka::ClientConfig, topic: &str) -> Result<ExitCode, Failure> {
    let failed = |error: KafkaError| Failure::Environment(format!("{topic}: {error}"));
    let reader: BaseConsumer = settings::reader(client, "read_committed")
        .create()
        .map_err(failed)?;
    let metadata = reader
        .fetch_metadata(Some(topic), Duration::from_secs(10))
        .map_err(failed)?;
    let partitions = metadata
        .topics()
        .first()
        .map_or(0, |topic| topic.partitions().len());
    if partitions == 0 {
        return Err(Failure::Environment(format!("there is no topic {topic}")));
    }
    let mut ranges = Vec::new();
    for partition in 0..i32::try_from(partitions).unwrap_or(i32::MAX) {
        let (low, high) = reader
            .fetch_watermarks(topic, partition, Duration::from_secs(10))
            .map_err(failed)?;
        ranges.push((partition, low..high));
    }
    let progress = Progress::beside_output(None);
    let records: i64 = ranges
        .iter()
        .map(|(_, range)| range.end - range.start)
        .sum();
    progress.counting("exporting", records.unsigned_abs());
    let outcome = ranges
        .into_iter()
        .filter(|(_, range)| !range.is_empty())
        .try_for_each(|(partition, range)| copy(&reader, topic, partition, range, &progress));
    progress.end();
    outcome.map(|()| ExitCode::SUCCESS)
}

/// The headers of `message` other than the one that marks a control record.
fn others(message: &impl Message) -> BTreeMap<String, String> {
    let headers = message.headers().into_iter().flat_map(Headers::iter);
    headers
        .filter(|header| header.key != control::HEADER)
        .map(|header| {
            let value = String::from_utf8_lossy(header.value.unwrap_or_default());
            (header.key.to_owned(), value.into_owned())
        })
        .collect()
}

/// Writes the committed records of one partition that lie in `range`.
fn copy(
    reader: &BaseConsumer,
    topic: &str,
    partition: i32,
    range: Range<i64>,
    progress: &Progress,
) -> Result<(), Failure> {
    let failed = |error: KafkaError| Failure::Environment(format!("{topic}: {error}"));
    let mut from = TopicPartitionList::new();
    from.add_partition_offset(topic, partition, Offset::Offset(range.start))
        .and_then(|()| reader.assign(&from))
        .map_err(failed)?;
    loop {
        match reader.poll(Duration::from_millis(50)) {
            Some(Err(error)) => return Err(failed(error)),
            Some(Ok(message)) => {
                if message.offset() >= range.end {
                    return Ok(());
                }
                let headers = message.headers().into_iter().flat_map(Headers::iter);
                let kind = control::kind(headers.map(|header| (header.key, header.value)));
                let line = LogLine {
                    partition,
                    offset: message.offset(),
                    timestamp: message.timestamp().to_millis(),
                    kind: kind.map(Cow::into_owned),
                    key: message.key().map(<[u8]>::to_vec),
                    value: message.payload().map(<[u8]>::to_vec),
                    headers: others(&message),
                };
                say(&format!("{}\n", line.write()))?;
                progress.counted();
                if message.offset() + 1 >= range.end {
                    return Ok(());
                }
            }
            None => {
                let position = reader.position().map_err(failed)?;
                let at = position
                    .find_partition(topic, partition)
                    .map(|at| at.offset());
                if matches!(at, Some(Offset::Offset(at)) if at >= range.end) {
                    return Ok(());
                }
            }
        }
    }
}
