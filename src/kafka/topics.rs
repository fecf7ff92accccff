//! The topics that are needed, those that are there, and what to do about the difference.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

use crate::config::{Config, Profile};
use crate::failure::Failure;

/// One topic that nhiwatch needs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Wanted<'c> {
    /// Its name.
    pub name: &'c str,
    /// Partitions when it is created; others may differ, but state must equal events.
    pub partitions: i32,
    /// Whether it keeps the newest record of each key.
    pub compacted: bool,
}

/// A topic as it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Found {
    /// Its name.
    pub name: String,
    /// Its partitions; none where it is missing.
    pub partitions: Option<usize>,
    /// Whether we may not see if it is there.
    pub hidden: bool,
    /// Its replication factor.
    pub replication: usize,
    /// Its `cleanup.policy`, or why we may not see it.
    pub cleanup: Result<String, RDKafkaErrorCode>,
}

/// The topics that `config` needs, without the raw ones, which belong to whoever fills them.
#[must_use]
pub fn wanted(config: &Config) -> Vec<Wanted<'_>> {
    let topics = &config.topics;
    let of = |name, partitions, compacted| Wanted {
        name,
        partitions,
        compacted,
    };
    vec![
        of(&topics.events, topics.partitions, false),
        of(&topics.state, topics.partitions, true),
        of(&topics.alerts, topics.partitions, false),
        of(&topics.deadletter, 1, false),
        of(&topics.inventory, 1, true),
        of(&topics.feedback, 1, false),
    ]
}

/// The raw topics that the intake of `config` reads; whoever fills them makes them.
#[must_use]
pub fn raw(config: &Config) -> Vec<Wanted<'_>> {
    let sources = config.sources.iter().filter(|_| config.roles.intake);
    let names = sources.map(|source| source.topic.as_str());
    names
        .map(|name| Wanted {
            name,
            partitions: 1,
            compacted: false,
        })
        .collect()
}

/// What is there of `wanted`.
///
/// # Errors
/// Where no broker answers within ten seconds.
pub async fn found(
    client: &ClientConfig,
    wanted: &[Wanted<'_>],
    brokers: &str,
) -> Result<Vec<Found>, Failure> {
    let away = |error: KafkaError| {
        Failure::Environment(format!(
            "no answer from Kafka at {brokers}: {error}; check `kafka.brokers` and that it runs"
        ))
    };
    let consumer: BaseConsumer = client.create().map_err(away)?;
    let metadata = consumer
        .fetch_metadata(None, Duration::from_secs(10))
        .map_err(away)?;
    let admin: AdminClient<DefaultClientContext> = client.create().map_err(away)?;
    let mut all = Vec::new();
    for topic in wanted {
        let there = metadata
            .topics()
            .iter()
            .find(|there| there.name() == topic.name);
        let mut found = Found {
            name: topic.name.to_owned(),
            partitions: there.map(|there| there.partitions().len()),
            hidden: there.is_none() && is_hidden(&consumer, topic.name),
            replication: there
                .and_then(|there| there.partitions().first())
                .map_or(0, |partition| partition.replicas().len()),
            cleanup: Ok(String::new()),
        };
        if there.is_some() {
            let resource = ResourceSpecifier::Topic(topic.name);
            let configs = admin
                .describe_configs([&resource], &AdminOptions::new())
                .await
                .map_err(away)?;
            let policy = |config: &ConfigResource| config.get("cleanup.policy")?.value.clone();
            if let Some(config) = configs.into_iter().next() {
                found.cleanup = config.map(|config| policy(&config).unwrap_or_default());
            }
        }
        all.push(found);
    }
    Ok(all)
}

/// Whether the broker refuses to say anything of `topic`; it leaves such topics out where all are asked for.
fn is_hidden(consumer: &BaseConsumer, topic: &str) -> bool {
    let answer = consumer.fetch_metadata(Some(topic), Duration::from_secs(10));
    let refused = rdkafka::types::RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    answer.is_ok_and(|it| {
        it.topics()
            .iter()
            .any(|topic| topic.error() == Some(refused))
    })
}

/// What is wrong with the topics, each with its cure.
#[must_use]
pub fn faults(config: &Config, wanted: &[Wanted<'_>], found: &[Found]) -> Vec<String> {
    let mut faults = Vec::new();
    for (wanted, found) in wanted.iter().zip(found) {
        let name = wanted.name;
        if found.hidden {
            faults.push(format!(
                "{name}: we may not see whether it is there; grant DESCRIBE on it (docs/kafka-rights.md)"
            ));
            continue;
        }
        if found.partitions.is_none() {
            faults.push(format!(
                "{name} is missing; `nhiwatch topics --create` makes it"
            ));
            continue;
        }
        match &found.cleanup {
            Ok(cleanup) if wanted.compacted && cleanup.is_empty() => faults.push(format!(
                "{name}: its cleanup.policy cannot be seen; grant DESCRIBE_CONFIGS on it \
                 (docs/kafka-rights.md)"
            )),
            Ok(cleanup) if wanted.compacted && cleanup != "compact" => faults.push(format!(
                "{name} has cleanup.policy={cleanup}; set cleanup.policy=compact alone, or what was \
                 quiet for long is lost"
            )),
            Err(error) if wanted.compacted => faults.push(format!(
                "{name}: its cleanup.policy cannot be seen ({error}); grant DESCRIBE_CONFIGS on it"
            )),
            _ => {}
        }
        if config.profile == Profile::Prod && found.replication < 2 {
            faults.push(format!(
                "{name} has replication factor {}; profile prod demands 2 or more",
                found.replication
            ));
        }
    }
    if let [events, state, ..] = found
        && let (Some(a), Some(b)) = (events.partitions, state.partitions)
        && a != b
    {
        faults.push(format!(
            "{} has {b} partitions and {} has {a}; they must have as many, so delete and recreate {}",
            state.name, events.name, state.name
        ));
    }
    faults
}

/// Creates those of `wanted` that are missing; gives their names.
///
/// # Errors
/// Where the broker refuses.
pub async fn create(
    client: &ClientConfig,
    config: &Config,
    wanted: &[Wanted<'_>],
    found: &[Found],
) -> Result<Vec<String>, Failure> {
    let refused = |error: String| Failure::Environment(format!("cannot create topics: {error}"));
    let admin: AdminClient<DefaultClientContext> = client
        .create()
        .map_err(|error| refused(error.to_string()))?;
    let missing = wanted
        .iter()
        .zip(found)
        .filter(|(_, found)| found.partitions.is_none() && !found.hidden);
    let topics: Vec<NewTopic<'_>> = missing
        .map(|(wanted, _)| {
            let replication = TopicReplication::Fixed(config.topics.replication);
            let topic = NewTopic::new(wanted.name, wanted.partitions, replication);
            if wanted.compacted {
                // Small segments and an eager cleaner: a restore reads what was not compacted yet.
                topic
                    .set("cleanup.policy", "compact")
                    .set("segment.bytes", "67108864")
                    .set("segment.ms", "600000")
                    .set("min.cleanable.dirty.ratio", "0.1")
                    .set("max.compaction.lag.ms", "1800000")
                    // A copy of the state on local disk may be as old as half of it.
                    .set("delete.retention.ms", "86400000")
            } else {
                topic
            }
        })
        .collect();
    if topics.is_empty() {
        return Ok(Vec::new());
    }
    let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(10)));
    let results = admin
        .create_topics(&topics, &options)
        .await
        .map_err(|error| refused(error.to_string()))?;
    results
        .into_iter()
        .map(|result| result.map_err(|(name, code)| refused(format!("{name}: {code}"))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(config: &Config) -> Vec<Found> {
        let there = |wanted: Wanted<'_>| Found {
            name: wanted.name.to_owned(),
            hidden: false,
            partitions: usize::try_from(wanted.partitions).ok(),
            replication: 1,
            cleanup: Ok(if wanted.compacted {
                "compact"
            } else {
                "delete"
            }
            .to_owned()),
        };
        wanted(config).into_iter().map(there).collect()
    }

    fn check(config: &Config, found: &[Found], expected: &[&str]) {
        let faults = faults(config, &wanted(config), found);
        assert_eq!(faults.len(), expected.len(), "{faults:?}");
        for (fault, expected) in faults.iter().zip(expected) {
            assert!(fault.contains(expected), "{fault}");
        }
    }

    #[test]
    fn each_fault_is_named_with_its_cure() {
        let mut config = Config::default();
        let fine = found(&config);
        check(&config, &fine, &[]);
        let mut broken = fine.clone();
        broken[1].cleanup = Ok("compact,delete".to_owned());
        broken[1].partitions = Some(3);
        broken[2].partitions = None;
        broken[4].cleanup = Err(RDKafkaErrorCode::TopicAuthorizationFailed);
        check(
            &config,
            &broken,
            &[
                "nhi.state has cleanup.policy=compact,delete",
                "nhi.alerts is missing",
                "grant DESCRIBE_CONFIGS",
                "recreate nhi.state",
            ],
        );
        config.profile = Profile::Prod;
        check(&config, &fine, &["replication factor 1"; 6]);
    }
}
