//! Rebalances, noted while polling and carried out by the thread that polls.

use std::sync::{Mutex, PoisonError};

use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;

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
}

impl Assignments {
    /// The rebalances noted since the last call, in order.
    pub fn take(&self) -> Vec<Rebalance> {
        std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ClientContext for Assignments {}

impl ConsumerContext for Assignments {
    fn rebalance(
        &self,
        _consumer: &BaseConsumer<Self>,
        error: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
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
