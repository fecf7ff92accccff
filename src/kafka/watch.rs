//! Shards on Kafka.

use std::time::Instant;

use super::broker::Kafka;
use super::settings;
use super::supervise::supervise;
use crate::failure::Failure;
use crate::metrics::Role;
use crate::service::Service;
use crate::shard::{Shard, Teardown};

/// Runs shard `number` until the service stops.
///
/// # Errors
/// Where the clients' settings cannot be made, or the embedded broker failed.
pub fn run(service: &Service, number: usize) -> Result<(), Failure> {
    let client = settings::client(&service.config.kafka)?;
    let part = part(number);
    let member = format!("{}-{number}", service.config.kafka.instance);
    supervise(service, (Role::Watch, &part), || {
        session(service, &client, &part, &member)
    })
}

/// What shard `number` is called where the service says what it waits for.
#[must_use]
pub fn part(number: usize) -> String {
    format!("shard {number}")
}

/// From joining the group to leaving it.
fn session(
    service: &Service,
    client: &rdkafka::ClientConfig,
    part: &str,
    member: &str,
) -> Result<(), Teardown> {
    let begun = Instant::now();
    let broker = Kafka::join(service, client, part, member, begun)?;
    let mut shard = Shard::new(service, part, broker);
    let outcome = shard.work();
    shard.release();
    // Closing may take a while; who asks meanwhile should know.
    if let Err(error) = &outcome {
        service.health.set_unready(part, error.to_string());
    }
    shard.into_broker().leave();
    outcome
}
