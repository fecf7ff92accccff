//! The service's way to and from Kafka: one thread for the intake and one per shard, one transaction at a time.

pub mod assignment;
pub mod deadletter;
pub mod frame;
pub mod intake;
pub mod lag;
pub mod native;
pub mod offsets;
pub mod publish;
pub mod restore;
pub mod settings;
pub mod shard;
pub mod supervise;
pub mod topics;
pub mod transaction;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nhiwatch_detectors::kernel::engine::Decision;

use crate::config::Config;
use crate::http::Health;
use crate::inventory::Inventory;
use crate::metrics::Metrics;
use crate::sources::Sources;

/// What every thread of the service shares; none of it takes part in a decision's state.
#[derive(Clone)]
pub struct Service {
    /// The configuration.
    pub config: Arc<Config>,
    /// Detectors, limits and calendars.
    pub decision: Arc<Decision>,
    /// The mapping files.
    pub sources: Arc<Sources>,
    /// What the inventory file declares.
    pub inventory: Arc<Inventory>,
    /// Where to count.
    pub metrics: Metrics,
    /// Where to say whether we work.
    pub health: Arc<Health>,
    /// Set once, when the process is to end.
    pub stop: Arc<AtomicBool>,
}

impl Service {
    /// Whether the process is to end.
    #[must_use]
    pub fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}

/// Why a thread gives up what it has and starts again from what is committed.
#[derive(Debug, thiserror::Error)]
pub enum Teardown {
    /// Kafka answered with an error, or not in time.
    #[error("{what}: {source}")]
    Kafka {
        /// What was being done.
        what: &'static str,
        /// The answer.
        source: rdkafka::error::KafkaError,
    },
    /// What is stored contradicts itself: starting would lose or repeat something.
    #[error("{0}")]
    Refused(String),
}

impl Teardown {
    /// The metric label.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Kafka { .. } => "kafka",
            Self::Refused(_) => "refused",
        }
    }

    /// Whether another process has taken our place in the group or as a producer.
    #[must_use]
    pub fn is_fenced(&self) -> bool {
        use rdkafka::types::RDKafkaErrorCode as Code;
        let Self::Kafka { source, .. } = self else {
            return false;
        };
        matches!(
            source.rdkafka_error_code(),
            Some(
                Code::Fenced
                    | Code::FencedInstanceId
                    | Code::ProducerFenced
                    | Code::InvalidProducerEpoch
            )
        )
    }

    pub(crate) fn during(what: &'static str) -> impl FnOnce(rdkafka::error::KafkaError) -> Self {
        move |source| Self::Kafka { what, source }
    }
}
