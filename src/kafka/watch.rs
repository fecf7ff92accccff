//! Shards on Kafka.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use super::assignment::{Leave, or_namesake};
use super::broker::Kafka;
use super::reader::Reader;
use super::supervise::supervise;
use super::{assignment, settings};
use crate::failure::Failure;
use crate::metrics::Role;
use crate::service::Service;
use crate::shard::{GROUP, Shard, Teardown};

/// Runs shard `number` until the service stops.
///
/// # Errors
/// Where the clients' settings cannot be made, another process has its name, or the embedded broker failed.
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
    // The group forms while the transaction of who was here before ends.
    let name = format!("{member}-watch");
    let events = service.config.topics.events.as_str();
    let consumer = assignment::join(service, client, GROUP, &name, &[events])?;
    let _leave = Leave(&consumer);
    let ended = AtomicBool::new(false);
    let outcome = std::thread::scope(|scope| {
        let reader = Reader::start(scope, &consumer, &ended)?;
        let (shared, names) = ((service, client), (part, member));
        let broker = Kafka::new(shared, names, (&consumer, reader), begun)?;
        let mut shard = Shard::new(service, part, broker);
        let outcome = shard.work();
        shard.release();
        outcome
    });
    outcome
        .map_err(|error| or_namesake(error, &consumer, service))
        // Closing may take a while; who asks meanwhile should know.
        .inspect_err(|error| service.health.set_unready(part, error.to_string()))
}
