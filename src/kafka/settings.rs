//! Client settings: those that exactly-once and speed rest on, and the user's own beside them.

use std::time::Duration;

use rdkafka::ClientConfig;
use xxhash_rust::xxh3::xxh3_64;

use crate::config::Kafka;
use crate::failure::Failure;

/// Consumer group of the watch threads.
pub const WATCH_GROUP: &str = "nhiwatch-watch";
/// Consumer group of the intake thread.
pub const INTAKE_GROUP: &str = "nhiwatch-intake";

/// What every client needs: where the brokers are, who we are, and the user's own settings.
///
/// # Errors
/// Where a secret cannot be read.
pub fn client(kafka: &Kafka) -> Result<ClientConfig, Failure> {
    let mut client = ClientConfig::new();
    for (key, value) in &kafka.librdkafka {
        client.set(key, value);
    }
    client
        .set("bootstrap.servers", &kafka.brokers)
        .set("client.id", format!("nhiwatch-{}", kafka.instance))
        .set("reconnect.backoff.max.ms", "5000")
        .set("allow.auto.create.topics", "false");
    let security = &kafka.security;
    client.set("security.protocol", security.protocol.word());
    if let Some(mechanism) = security.mechanism {
        client.set("sasl.mechanism", mechanism.word());
    }
    let files = [
        ("ssl.ca.location", &security.ca_file),
        ("ssl.certificate.location", &security.certificate_file),
        ("ssl.key.location", &security.key_file),
    ];
    for (key, file) in files {
        if let Some(file) = file {
            client.set(key, file.display().to_string());
        }
    }
    if let Some(name) = &security.username {
        client.set("sasl.username", name);
    }
    let secrets = [
        ("sasl.password", &security.sasl_password),
        ("ssl.key.password", &security.ssl_key_password),
    ];
    for (key, secret) in secrets {
        if let Some(secret) = secret {
            client.set(key, secret.reveal()?);
        }
    }
    Ok(client)
}

/// A consumer of `topics` that is a static member `member` of `group`.
///
/// The classic protocol takes a restarted static member back at once; the newer one fences it until
/// its session ends. It also hands a member that comes back its old partitions, whatever topics it
/// asks for now; so the topics are part of who the member is. Offsets are ours to keep, so nothing
/// is committed or reset automatically.
#[must_use]
pub fn consumer(
    client: &ClientConfig,
    group: &str,
    member: &str,
    topics: &[&str],
    session: Duration,
) -> ClientConfig {
    let member = format!(
        "{member}-{:08x}",
        xxh3_64(topics.join(",").as_bytes()) as u32
    );
    let mut consumer = client.clone();
    consumer
        .set("group.id", group)
        .set("group.instance.id", member)
        .set("partition.assignment.strategy", "range")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        .set("check.crcs", "true")
        // A topic may be made long after our start.
        .set("topic.metadata.refresh.interval.ms", "10000")
        .set("session.timeout.ms", session.as_millis().to_string())
        .set("max.poll.interval.ms", "120000")
        .set("fetch.min.bytes", "1")
        .set("fetch.wait.max.ms", "50")
        .set("fetch.max.bytes", "16777216")
        .set("max.partition.fetch.bytes", "2097152")
        .set("receive.message.max.bytes", "33554432")
        .set("queued.min.messages", "20000")
        .set("queued.max.messages.kbytes", "32768")
        // At its default of 1000 a fast consumer idles: 13 times slower.
        .set("fetch.queue.backoff.ms", "5");
    consumer
}

/// A consumer outside any group, for reading a topic once.
#[must_use]
pub fn reader(client: &ClientConfig, isolation: &str) -> ClientConfig {
    let mut reader = client.clone();
    reader
        .set("group.id", "nhiwatch-reader")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("isolation.level", isolation)
        .set("fetch.wait.max.ms", "50")
        .set("fetch.queue.backoff.ms", "5");
    reader
}

/// A transactional producer whose id is stable, so that its successor fences it at once.
#[must_use]
pub fn producer(client: &ClientConfig, id: &str) -> ClientConfig {
    let mut producer = client.clone();
    producer
        .set("transactional.id", id)
        .set("acks", "all")
        .set("linger.ms", "5")
        .set("compression.type", "zstd")
        .set("batch.size", "1000000")
        .set("partitioner", "murmur2_random")
        .set("transaction.timeout.ms", "15000")
        .set("message.timeout.ms", "10000")
        .set("queue.buffering.max.messages", "1000000")
        .set("queue.buffering.max.kbytes", "262144");
    producer
}
