//! The service's way to and from Kafka: the intake, and the broker that shards run on.

pub mod assignment;
pub mod broker;
pub mod intake;
pub mod lag;
pub mod native;
pub mod offsets;
mod reader;
pub mod rights;
pub mod settings;
pub mod supervise;
pub mod topics;
pub mod transaction;
pub mod watch;

use rdkafka::error::KafkaError;

use crate::shard::Teardown;

impl Teardown {
    /// What `what` failed with, from librdkafka's answer; where it was given up by us, that the service is to stop.
    pub(crate) fn during(what: &'static str) -> impl FnOnce(KafkaError) -> Self {
        move |source| match source {
            KafkaError::Canceled => Self::given_up(what),
            source => Self::Broker {
                what,
                fenced: is_fenced(&source),
                source: Box::new(source),
            },
        }
    }
}

/// A producer is also fenced where its own transaction took too long; a static member only by its namesake.
fn is_fenced(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(rdkafka::types::RDKafkaErrorCode::FencedInstanceId)
}
