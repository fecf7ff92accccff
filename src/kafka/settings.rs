//! Client settings: those that exactly-once rests on, those for speed, and the user's own.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::producer::BaseProducer;
use xxhash_rust::xxh3::xxh3_64;

use crate::config::{Kafka, Security};
use crate::failure::Failure;

/// Consumer group of the intake thread.
pub const INTAKE_GROUP: &str = "nhiwatch-intake";

/// What serves speed only, and so holds where the user has not set it.
const CLIENT: &[(&str, &str)] = &[("reconnect.backoff.max.ms", "5000")];
const CONSUMER: &[(&str, &str)] = &[
    // A topic may be made long after our start.
    ("topic.metadata.refresh.interval.ms", "10000"),
    ("fetch.min.bytes", "1"),
    ("fetch.wait.max.ms", "50"),
    ("fetch.max.bytes", "16777216"),
    // Of what compresses well this becomes a hundred thousand messages, each with some 400 bytes of its own.
    ("max.partition.fetch.bytes", "1048576"),
    // More than a broker takes in one request (`socket.request.max.bytes`): what is in a log can be read, be it to refuse it.
    ("receive.message.max.bytes", "117440512"),
    ("queued.min.messages", "20000"),
    ("queued.max.messages.kbytes", "32768"),
    // At its default of 1000 a fast consumer idles: 13 times slower.
    ("fetch.queue.backoff.ms", "5"),
];
const READER: &[(&str, &str)] = &[("fetch.wait.max.ms", "50"), ("fetch.queue.backoff.ms", "5")];
const PRODUCER: &[(&str, &str)] = &[
    ("linger.ms", "5"),
    ("compression.type", "zstd"),
    ("batch.size", "1000000"),
    ("queue.buffering.max.messages", "1000000"),
    ("queue.buffering.max.kbytes", "262144"),
];

/// Other names that librdkafka has for some of these.
const ALIASES: &[(&str, &str)] = &[
    ("compression.type", "compression.codec"),
    ("linger.ms", "queue.buffering.max.ms"),
    ("max.partition.fetch.bytes", "fetch.message.max.bytes"),
];

/// What every client needs: where the brokers are, who we are, and the user's own settings.
///
/// # Errors
/// Where a secret cannot be read, or librdkafka refuses what is set.
pub fn client(kafka: &Kafka) -> Result<ClientConfig, Failure> {
    let mut client = given(kafka)?;
    try_out(&client).map_err(|error| refusal(error, &kafka.security))?;
    client.set("bootstrap.servers", &kafka.brokers);
    Ok(client)
}

/// What `kafka` says, but for where the brokers are.
fn given(kafka: &Kafka) -> Result<ClientConfig, Failure> {
    let mut client = ClientConfig::new();
    for (key, value) in &kafka.librdkafka {
        client.set(key, value);
    }
    client
        .set("client.id", format!("nhiwatch-{}", kafka.instance))
        .set("allow.auto.create.topics", "false");
    default(&mut client, CLIENT);
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

/// Makes a consumer and a producer of `client`, which has no brokers yet: what is refused would be so for ever.
fn try_out(client: &ClientConfig) -> KafkaResult<()> {
    let mut client = client.clone();
    // That there are no brokers is not worth a line.
    client.set_log_level(RDKafkaLogLevel::Emerg);
    reader(&client, "read_committed").create::<BaseConsumer>()?;
    producer(&client, "nhiwatch").create::<BaseProducer>()?;
    Ok(())
}

/// Why librdkafka refuses what is set, without any value: it may be a secret under a misspelt key.
fn refusal(error: KafkaError, security: &Security) -> Failure {
    let reason = match error {
        KafkaError::ClientConfig(_, _, key, _) => {
            format!("it does not take what is given for `{key}`")
        }
        KafkaError::ClientCreation(reason) => reason,
        error => error.to_string(),
    };
    let files = [
        ("ca_file", &security.ca_file),
        ("certificate_file", &security.certificate_file),
        ("key_file", &security.key_file),
    ];
    let files: Vec<_> = files
        .into_iter()
        .filter_map(|(key, file)| Some(format!("{key}: {}", file.as_ref()?.display())))
        .collect();
    let cure = match &files[..] {
        [] => "mend `kafka.librdkafka` or `kafka.security`".to_owned(),
        files => format!(
            "mend `kafka.librdkafka`, or `kafka.security` with its files ({})",
            files.join(", ")
        ),
    };
    Failure::Environment(format!("librdkafka makes no client: {reason}; {cure}"))
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
        .set("session.timeout.ms", session.as_millis().to_string())
        // librdkafka wants no less than the session's.
        .set(
            "max.poll.interval.ms",
            session.as_millis().max(120_000).to_string(),
        );
    default(&mut consumer, CONSUMER);
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
        .set("isolation.level", isolation);
    default(&mut reader, READER);
    reader
}

/// How long the broker keeps a transaction open that does not end.
pub const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(15);

/// A transactional producer whose id is stable, so that its successor fences it at once.
#[must_use]
pub fn producer(client: &ClientConfig, id: &str) -> ClientConfig {
    let mut producer = client.clone();
    producer
        .set("transactional.id", id)
        .set("acks", "all")
        .set("partitioner", "murmur2_random")
        .set(
            "transaction.timeout.ms",
            TRANSACTION_TIMEOUT.as_millis().to_string(),
        )
        .set("message.timeout.ms", "10000");
    default(&mut producer, PRODUCER);
    producer
}

/// Sets those of `settings` that the user has not, by whatever name.
fn default(client: &mut ClientConfig, settings: &[(&str, &str)]) {
    for (key, value) in settings {
        let alias = ALIASES.iter().find(|(name, _)| name == key);
        let given = client.get(key).or_else(|| client.get(alias?.1));
        if given.is_none() {
            client.set(*key, *value);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::config::{Config, Mechanism, Protocol, SET_BY_NHIWATCH, Secret};

    const SESSION: Duration = Duration::from_secs(45);

    fn every(kafka: &Kafka) -> [ClientConfig; 4] {
        let client = given(kafka).unwrap();
        let consumer = consumer(&client, "g", "m", &["t"], SESSION);
        let reader = reader(&client, "read_committed");
        let producer = producer(&client, "id");
        [client, consumer, reader, producer]
    }

    fn defaults() -> impl Iterator<Item = (&'static str, &'static str)> {
        let tables = [CLIENT, CONSUMER, READER, PRODUCER];
        tables.into_iter().flatten().copied()
    }

    #[test]
    fn what_is_set_is_either_refused_to_the_user_or_a_default() {
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), "x").unwrap();
        let mut kafka = Kafka::default();
        let security = &mut kafka.security;
        security.mechanism = Some(Mechanism::ScramSha512);
        security.username = Some("u".into());
        for file in [
            &mut security.ca_file,
            &mut security.certificate_file,
            &mut security.key_file,
        ] {
            *file = Some(PathBuf::from("x"));
        }
        for place in [&mut security.sasl_password, &mut security.ssl_key_password] {
            *place = Some(Secret::File(secret.path().to_owned()));
        }
        let refused = |key: &str| SET_BY_NHIWATCH.iter().any(|(set, _)| *set == key);
        for client in every(&kafka) {
            for key in client.config_map().into_keys() {
                let default = defaults().any(|(set, _)| set == key);
                assert!(default != refused(key), "{key}");
            }
        }
        let aliases = ALIASES.iter().map(|(_, alias)| *alias);
        for key in defaults().map(|(key, _)| key).chain(aliases) {
            assert!(!refused(key), "{key}");
        }
    }

    #[test]
    fn the_users_own_settings_win_over_defaults() {
        let mut kafka = Kafka::default();
        let aliases = ALIASES.iter().copied();
        let names: Vec<_> = defaults()
            .map(|(key, _)| (key, key))
            .chain(aliases)
            .collect();
        for (key, name) in names {
            kafka.librdkafka = [(name.to_owned(), "7".to_owned())].into();
            for client in every(&kafka) {
                assert_eq!(client.get(name), Some("7"), "{name}");
                assert!(name == key || client.get(key).is_none(), "{key} and {name}");
            }
        }
    }

    #[test]
    fn what_can_never_work_is_refused_with_its_place_and_without_its_value() {
        let mut kafka = Kafka::default();
        let why = |kafka: &Kafka| client(kafka).unwrap_err().to_string();
        kafka.security.protocol = Protocol::Ssl;
        kafka.security.ca_file = Some("/nowhere/ca.pem".into());
        assert!(
            why(&kafka).contains("ca_file: /nowhere/ca.pem"),
            "{}",
            why(&kafka)
        );
        kafka.security = Security::default();
        for (key, value) in [("ssl.key.passwrd", "hunter2"), ("max.in.flight", "1000")] {
            kafka.librdkafka = [(key.to_owned(), value.to_owned())].into();
            let why = why(&kafka);
            assert!(why.contains(key) && !why.contains(value), "{why}");
        }
    }

    #[test]
    fn the_longest_session_that_a_file_may_ask_for_makes_a_consumer() {
        let client = client(&Config::default().kafka).unwrap();
        let session = Duration::from_secs(300);
        let made = consumer(&client, "g", "m", &["t"], session).create::<BaseConsumer>();
        assert!(made.is_ok(), "{:?}", made.err());
    }
}
