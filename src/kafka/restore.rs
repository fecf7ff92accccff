//! Getting a partition's state back before its first event is processed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nhiwatch_detectors::kernel::engine::{Decision, Engine};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::assignment::Assignments;
use super::frame::{self, Progress};
use super::{Teardown, offsets, settings};
use crate::config::{Start, Topics};

/// A partition ready to go on.
pub struct Restored {
    /// Its engine, with the state as of `next`.
    pub engine: Engine,
    /// The next input offset.
    pub next: i64,
    /// State records read.
    pub records: u64,
}

/// Reads the state of `partition`, of so many, and finds out where its input goes on.
///
/// The end of the state is asked for with a client that sees uncommitted records: the committed
/// offset may be visible before the last transaction's mark on the state topic is, and a reader of
/// committed records would take the state for complete one transaction too early.
///
/// # Errors
/// Where Kafka does not answer, or where state and committed offset contradict each other.
pub fn restore(
    client: &ClientConfig,
    consumer: &BaseConsumer<Assignments>,
    topics: &Topics,
    start: Start,
    decision: &Arc<Decision>,
    (partition, partitions): (i32, i32),
) -> Result<Restored, Teardown> {
    let index = u32::try_from(partition).unwrap_or_default();
    let mut engine = Engine::new(index, Arc::clone(decision));
    let (progress, records) = load(client, &topics.state, partition, &mut engine)?;
    engine.restored();
    let committed = committed(consumer, &topics.events, partition, progress.is_some())?;
    let next = match (committed, progress) {
        (Some(_), Some(progress)) if progress.partitions != partitions => {
            let (events, state) = (&topics.events, &topics.state);
            return Err(Teardown::Refused(format!(
                "{events} has {partitions} partitions, but the state in {state} is of {}: identities \
                 are in other partitions than their state. Recreate {events} with {}, or delete and \
                 recreate {state} and the group {} to learn anew",
                progress.partitions,
                progress.partitions,
                settings::WATCH_GROUP,
            )));
        }
        (Some(committed), Some(progress)) if committed == progress.next => {
            if progress.decision != decision.digest() {
                tracing::info!(
                    partition,
                    offset = committed,
                    before = progress.decision,
                    now = decision.digest(),
                    "another configuration is in force from here on"
                );
            }
            offsets::available(
                consumer,
                settings::WATCH_GROUP,
                &topics.events,
                (partition, committed),
                &format!(
                    "delete and recreate {} and the group to learn anew",
                    topics.state
                ),
            )?;
            committed
        }
        (None, None) if records == 0 => offsets::first(client, &topics.events, start, partition)?,
        (committed, progress) => {
            let say = |offset: Option<i64>| offset.map_or("none".to_owned(), |o| o.to_string());
            let stored = say(progress.map(|progress| progress.next));
            let (events, state) = (&topics.events, &topics.state);
            return Err(Teardown::Refused(format!(
                "partition {partition}: group {} has committed offset {} of {events}, but the \
                 state in {state} goes on at {stored}; starting would lose or repeat events. Reset \
                 the group's offset to {stored}, or delete and recreate {state} and the group to \
                 learn anew",
                settings::WATCH_GROUP,
                say(committed),
            )));
        }
    };
    Ok(Restored {
        engine,
        next,
        records,
    })
}

/// Reads every state record of `partition` into `engine`; gives the progress and the number read.
fn load(
    client: &ClientConfig,
    topic: &str,
    partition: i32,
    engine: &mut Engine,
) -> Result<(Option<Progress>, u64), Teardown> {
    let peek: BaseConsumer = settings::reader(client, "read_uncommitted")
        .create()
        .map_err(Teardown::during("creating a reader"))?;
    let (low, high) = peek
        .fetch_watermarks(topic, partition, offsets::TIMEOUT)
        .map_err(Teardown::during("asking for the end of the state"))?;
    drop(peek);
    if low >= high {
        return Ok((None, 0));
    }
    let reader: BaseConsumer = settings::reader(client, "read_committed")
        .create()
        .map_err(Teardown::during("creating a reader"))?;
    let mut from = TopicPartitionList::new();
    from.add_partition_offset(topic, partition, Offset::Offset(low))
        .and_then(|()| reader.assign(&from))
        .map_err(Teardown::during("reading the state"))?;
    let (mut progress, mut records, mut last) = (None, 0, Instant::now());
    // Compaction may leave several records of one key, the newest last: later ones replace earlier.
    let mut newest = std::collections::BTreeMap::new();
    loop {
        match reader.poll(Duration::from_millis(20)) {
            Some(Ok(message)) => {
                last = Instant::now();
                let key = message.key().unwrap_or_default().to_vec();
                match message.payload() {
                    Some(value) => newest.insert(key, value.to_vec()),
                    None => newest.remove(&key),
                };
                if message.offset() + 1 >= high {
                    break;
                }
            }
            Some(Err(error)) => return Err(Teardown::during("reading the state")(error)),
            None => {
                let position = reader
                    .position()
                    .map_err(Teardown::during("reading the state"))?
                    .find_partition(topic, partition)
                    .map(|at| at.offset());
                if matches!(position, Some(Offset::Offset(at)) if at >= high) {
                    break;
                }
                if last.elapsed() > BARRIER {
                    return Err(Teardown::Refused(format!(
                        "partition {partition}: the state in {topic} ends at {high}, but only \
                         {position:?} can be read: a transaction there is still open"
                    )));
                }
            }
        }
    }
    for (key, value) in &newest {
        let refused = |reason: String| {
            Teardown::Refused(format!(
                "partition {partition}: state record {} in {topic}: {reason}; delete and recreate \
                 {topic} and the group {} to learn anew",
                String::from_utf8_lossy(key).escape_debug(),
                settings::WATCH_GROUP,
            ))
        };
        let (_, payload) = frame::unwrap(value).map_err(refused)?;
        if key == frame::PROGRESS {
            progress = Some(serde_json::from_slice(payload).map_err(|e| refused(e.to_string()))?);
        } else {
            engine
                .restore(key, payload)
                .map_err(|error| refused(error.reason))?;
        }
        records += 1;
    }
    Ok((progress, records))
}

/// The group's committed offset, asked for several times where there must be one.
fn committed(
    consumer: &BaseConsumer<Assignments>,
    topic: &str,
    partition: i32,
    expected: bool,
) -> Result<Option<i64>, Teardown> {
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, partition);
    let answer = offsets::committed(consumer, &list, if expected { 6 } else { 1 })?;
    let found = answer.find_partition(topic, partition);
    Ok(match found.map(|found| found.offset()) {
        Some(Offset::Offset(offset)) => Some(offset),
        _ => None,
    })
}

/// A predecessor's transaction ends, at the latest, after its timeout of 15 seconds.
const BARRIER: Duration = Duration::from_secs(30);
