//! Where a partition's input goes on, or begins.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::assignment::Assignments;
use super::settings;
use crate::config::Start;
use crate::shard::{ACCEPT, Teardown};

/// The group's committed offset of each partition of `list`; those without one keep
/// [`Offset::Invalid`].
///
/// "None" is not believed before `attempts` answers: a coordinator that has just moved may not know
/// yet.
///
/// # Errors
/// Where the group's coordinator does not answer.
pub fn committed(
    consumer: &BaseConsumer<Assignments>,
    list: &TopicPartitionList,
    attempts: u32,
) -> Result<TopicPartitionList, Teardown> {
    let mut attempt = 1;
    loop {
        let answer = consumer
            .committed_offsets(list.clone(), STABLE)
            .map_err(Teardown::during("asking for the committed offset"))?;
        let whole = answer
            .elements()
            .iter()
            .all(|element| matches!(element.offset(), Offset::Offset(_)));
        if whole || attempt >= attempts {
            return Ok(answer);
        }
        std::thread::sleep(Duration::from_millis(100 << attempt));
        attempt += 1;
    }
}

/// Where a partition without any past begins.
///
/// # Errors
/// Where the broker does not answer.
pub fn first(
    client: &ClientConfig,
    topic: &str,
    start: Start,
    partition: i32,
) -> Result<i64, Teardown> {
    let peek: BaseConsumer = settings::reader(client, "read_committed")
        .create()
        .map_err(Teardown::during("creating a reader"))?;
    let (low, high) = peek
        .fetch_watermarks(topic, partition, TIMEOUT)
        .map_err(Teardown::during("asking where a topic begins"))?;
    Ok(if start == Start::Latest { high } else { low })
}

/// How many partitions `topic` has.
///
/// # Errors
/// Where the broker does not answer or the topic is missing.
pub fn partitions(consumer: &BaseConsumer<Assignments>, topic: &str) -> Result<i32, Teardown> {
    let metadata = consumer
        .fetch_metadata(Some(topic), TIMEOUT)
        .map_err(Teardown::during("asking for the event topic"))?;
    let found = metadata
        .topics()
        .first()
        .map_or(0, |t| t.partitions().len());
    i32::try_from(found)
        .ok()
        .filter(|partitions| *partitions > 0)
        .ok_or_else(|| Teardown::Refused(format!("{topic} is missing")))
}

/// Where a partition of which `next` was committed goes on: there, unless that was deleted before it was read, or the
/// topic was cut off or made anew: then where it is `accepted` to go on.
///
/// # Errors
/// Where that is so and is not accepted; the text says what is and what to do.
pub fn available(
    consumer: &BaseConsumer<Assignments>,
    accepted: Option<Start>,
    group: &str,
    topic: &str,
    (partition, next): (i32, i64),
) -> Result<i64, Teardown> {
    let (low, high) = consumer
        .fetch_watermarks(topic, partition, TIMEOUT)
        .map_err(Teardown::during("asking where a topic begins"))?;
    if (low..=high).contains(&next) {
        return Ok(next);
    }
    let error = if next < low {
        Teardown::deleted(group, topic, (partition, next), low)
    } else {
        Teardown::Refused(format!(
            "partition {partition} of {topic}: group {group} goes on at {next}, but it ends at {high}: it was cut off or made \
             anew. To go on with what there is, {ACCEPT}"
        ))
    };
    let on = match accepted {
        None => return Err(error),
        Some(Start::Earliest) => low,
        Some(Start::Latest) => high,
    };
    let lost = on - next;
    tracing::warn!(topic, partition, next = on, lost, %error, "goes on nevertheless");
    Ok(on)
}

/// How long a broker may take to answer.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
/// How long a committed offset is waited for: a transaction that may change it, of an owner that is dead, ends
/// when the broker gives it up.
const STABLE: Duration = settings::TRANSACTION_TIMEOUT.saturating_add(Duration::from_secs(5));
