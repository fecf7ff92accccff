//! Rebalances, noted while polling and carried out by the thread that polls.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};

use super::settings;
use crate::service::Service;
use crate::shard::Teardown;

/// What the group has decided about our partitions.
#[derive(Clone, Debug)]
pub enum Rebalance {
    /// These are ours now.
    Assigned(TopicPartitionList),
    /// None is ours any more.
    Revoked,
}

/// Notes rebalances instead of carrying them out: state has to be committed or restored first, and
/// that belongs to the loop, not into a callback. The group waits until the loop has assigned.
#[derive(Debug, Default)]
pub struct Assignments {
    pending: Mutex<Vec<Rebalance>>,
    /// From now on partitions are given back at once: nobody polls any more who could.
    closing: AtomicBool,
}

impl Assignments {
    /// Whether there is a rebalance to carry out.
    pub fn has_news(&self) -> bool {
        let pending = self.pending.lock();
        !pending.unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// The rebalances noted since the last call, in order.
    pub fn take(&self) -> Vec<Rebalance> {
        std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A consumer that asks to be the static member `member` of `group`, for `topics`.
///
/// # Errors
/// Where its settings are refused.
pub fn join(
    service: &Service,
    client: &ClientConfig,
    group: &str,
    member: &str,
    topics: &[&str],
) -> Result<BaseConsumer<Assignments>, Teardown> {
    let session = service.config.kafka.session_timeout;
    let consumer: BaseConsumer<Assignments> =
        settings::consumer(client, group, member, topics, session)
            .create_with_context(Assignments::default())
            .map_err(Teardown::during("creating the consumer"))?;
    consumer
        .subscribe(topics)
        .map_err(Teardown::during("subscribing"))?;
    Ok(consumer)
}

/// Gives every partition back when it is dropped, by a panic too, so that the consumer can be closed: closing waits for an
/// answer to a rebalance that was not carried out.
pub struct Leave<'c>(pub &'c BaseConsumer<Assignments>);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        let Self(consumer) = self;
        give_back(consumer);
        // Once the consumer is closed, librdkafka does not answer any more who gives partitions back: so whatever the group has
        // decided by now is heard before.
        let until = Instant::now() + HEARING;
        for _ in 0..2 {
            while consumer.poll(SILENCE).is_some() && Instant::now() < until {}
        }
        consumer.context().closing.store(true, Ordering::Release);
        give_back(consumer);
    }
}

fn give_back(consumer: &BaseConsumer<Assignments>) {
    if let Err(error) = consumer.unassign() {
        tracing::debug!(%error, "giving partitions back while closing");
    }
}

/// How long nothing comes where there is nothing to be heard.
const SILENCE: Duration = Duration::from_millis(10);
/// The longest that a consumer is heard that is to be closed.
const HEARING: Duration = Duration::from_secs(2);

/// What a session ended with, `error`, or else that another process has joined the group under the name of `consumer`. A
/// busy process notices first that its producer was fenced, which also happens where a transaction took too long: so that
/// is waited for, until the next sign of life was answered.
#[must_use]
pub fn or_namesake(
    error: Teardown,
    consumer: &BaseConsumer<Assignments>,
    service: &Service,
) -> Teardown {
    let Teardown::Broker { source, .. } = &error else {
        return error;
    };
    let code = source.downcast_ref::<KafkaError>();
    let code = code.and_then(KafkaError::rdkafka_error_code);
    let fenced = [
        RDKafkaErrorCode::Fenced,
        RDKafkaErrorCode::ProducerFenced,
        RDKafkaErrorCode::InvalidProducerEpoch,
    ];
    if !code.is_some_and(|code| fenced.contains(&code)) {
        return error;
    }
    let until = Instant::now() + SIGN_OF_LIFE;
    while Instant::now() < until && !service.stopping() {
        if let Some((code @ RDKafkaErrorCode::FencedInstanceId, _)) =
            consumer.client().fatal_error()
        {
            let fatal = KafkaError::MessageConsumptionFatal(code);
            return Teardown::during("keeping its place in the group")(fatal);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    error
}

/// A little more than a consumer lets pass between two signs of life (`heartbeat.interval.ms`).
const SIGN_OF_LIFE: Duration = Duration::from_millis(3500);

impl ClientContext for Assignments {
    fn error(&self, error: KafkaError, reason: &str) {
        tell(&error, reason);
    }
}

/// Logs what a client says of itself, but not that a partition has ended: that comes this way too,
/// and is no news to anyone.
pub(super) fn tell(error: &KafkaError, reason: &str) {
    if !matches!(error, KafkaError::PartitionEOF(_))
        && error.rdkafka_error_code() != Some(RDKafkaErrorCode::PartitionEOF)
    {
        tracing::warn!(%error, reason, "Kafka");
    }
}

impl ConsumerContext for Assignments {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        error: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        if self.closing.load(Ordering::Acquire) {
            // Closing waits for nothing else.
            if error == RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS {
                give_back(consumer);
            }
            return;
        }
        let rebalance = if error == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            Rebalance::Assigned(partitions.clone())
        } else {
            Rebalance::Revoked
        };
        self.pending
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(rebalance);
    }
}
