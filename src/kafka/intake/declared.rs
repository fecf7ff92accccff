//! The inventory topic as every instance reads it, whoever passes its records on: which names stand
//! for which identities.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::Message;
use rdkafka::metadata::MetadataPartition;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::BURST;
use crate::inventory::{Aliases, Entry};
use crate::kafka::{assignment, offsets, settings};
use crate::service::Service;
use crate::shard::Teardown;

/// A reader of the whole inventory topic, outside the group.
pub(super) struct Declared {
    reader: BaseConsumer<ToTheEnd>,
}

/// Of a client that reads to where a topic ends.
struct ToTheEnd;

impl ClientContext for ToTheEnd {
    fn error(&self, error: KafkaError, reason: &str) {
        assignment::tell(&error, reason);
    }
}

impl ConsumerContext for ToTheEnd {}

impl Declared {
    /// Reads the inventory topic to its end into `aliases`, and stands ready to read on; nothing where there is
    /// no such topic.
    ///
    /// # Errors
    /// Where Kafka does not answer, or the end does not come, or not before the service is to stop.
    pub(super) fn open(
        client: &ClientConfig,
        service: &Service,
        aliases: &mut Aliases,
    ) -> Result<Option<Self>, Teardown> {
        let topic = service.config.topics.inventory.as_str();
        let mut settings = settings::reader(client, "read_committed");
        settings.set("enable.partition.eof", "true");
        let reader: BaseConsumer<ToTheEnd> = settings
            .create_with_context(ToTheEnd)
            .map_err(Teardown::during("creating a reader"))?;
        let metadata = reader
            .fetch_metadata(Some(topic), offsets::TIMEOUT)
            .map_err(Teardown::during("asking for the inventory topic"))?;
        let found = metadata.topics().first();
        let partitions = found.map_or(&[][..], |topic| topic.partitions());
        if partitions.is_empty() {
            return Ok(None);
        }
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition_offset(topic, partition.id(), Offset::Beginning)
                .map_err(Teardown::during("reading the inventory"))?;
        }
        reader
            .assign(&list)
            .map_err(Teardown::during("reading the inventory"))?;
        let declared = Self { reader };
        let mut left: BTreeSet<i32> = partitions.iter().map(MetadataPartition::id).collect();
        let until = Instant::now() + PATIENCE;
        while !left.is_empty() {
            if service.stopping() {
                return Err(Teardown::during("reading the inventory")(
                    KafkaError::Canceled,
                ));
            }
            match declared.next(Duration::from_millis(20), aliases) {
                Err(KafkaError::PartitionEOF(partition)) => drop(left.remove(&partition)),
                Err(error) => return Err(Teardown::during("reading the inventory")(error)),
                Ok(_) if Instant::now() < until => {}
                Ok(_) => {
                    return Err(Teardown::Refused(format!(
                        "{topic} cannot be read to its end within {PATIENCE:?}"
                    )));
                }
            }
        }
        Ok(Some(declared))
    }

    /// Takes what has come since, or some of it where it is much, into `aliases`.
    ///
    /// # Errors
    /// What Kafka said instead of a record; that there is no more is none.
    pub(super) fn follow(&self, aliases: &mut Aliases) -> KafkaResult<()> {
        for _ in 0..BURST {
            match self.next(Duration::ZERO, aliases) {
                Ok(true) | Err(KafkaError::PartitionEOF(_)) => {}
                Ok(false) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes one record; tells whether there was one. What cannot be read becomes a dead letter
    /// where it is passed on, and says nothing here.
    fn next(&self, wait: Duration, aliases: &mut Aliases) -> KafkaResult<bool> {
        let Some(message) = self.reader.poll(wait).transpose()? else {
            return Ok(false);
        };
        let Some(Ok(identity)) = message.key().map(str::from_utf8) else {
            return Ok(true);
        };
        match message.payload().map(Entry::read) {
            None => aliases.remove(identity),
            Some(Ok(entry)) if entry.identity.as_str() == identity => aliases.declare(&entry),
            Some(_) => {}
        }
        Ok(true)
    }
}

/// How long reading the inventory may take.
const PATIENCE: Duration = Duration::from_secs(60);
