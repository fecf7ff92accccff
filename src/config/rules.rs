//! What must hold between and beyond the types.

use std::ops::Range;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;

use super::problem::{Problem, is_secret};
use super::read::nearest;
use super::tree::{Content, Node};
use super::{Config, Profile};

/// What librdkafka is told by nhiwatch itself, with what to use instead. Exactly-once rests on them.
pub const SET_BY_NHIWATCH: &[(&str, &str)] = &[
    ("acks", "it follows from transactions"),
    ("allow.auto.create.topics", "use `nhiwatch topics --create`"),
    ("auto.offset.reset", "use `start`"),
    ("bootstrap.servers", "use `kafka.brokers`"),
    ("check.crcs", "a damaged record must not be judged"),
    ("client.id", "use `kafka.instance`"),
    (
        "delivery.timeout.ms",
        "it must end before the transaction does",
    ),
    (
        "enable.auto.commit",
        "offsets are committed in transactions",
    ),
    (
        "enable.auto.offset.store",
        "offsets are committed in transactions",
    ),
    ("enable.idempotence", "it follows from transactions"),
    ("enable.partition.eof", "restoring depends on it"),
    ("group.id", "consumer groups have fixed names"),
    ("group.instance.id", "use `kafka.instance`"),
    ("group.protocol", "the assignment depends on it"),
    ("isolation.level", "exactly-once depends on it"),
    (
        "max.poll.interval.ms",
        "it is never below `kafka.session_timeout`",
    ),
    (
        "message.timeout.ms",
        "it must end before the transaction does",
    ),
    ("metadata.broker.list", "use `kafka.brokers`"),
    (
        "partition.assignment.strategy",
        "the assignment depends on it",
    ),
    ("partitioner", "an identity's place depends on it"),
    ("request.required.acks", "it follows from transactions"),
    ("sasl.mechanism", "use `kafka.security.mechanism`"),
    ("sasl.mechanisms", "use `kafka.security.mechanism`"),
    ("sasl.password", "use `kafka.security.sasl_password`"),
    ("sasl.username", "use `kafka.security.username`"),
    ("security.protocol", "use `kafka.security.protocol`"),
    ("session.timeout.ms", "use `kafka.session_timeout`"),
    ("ssl.ca.location", "use `kafka.security.ca_file`"),
    ("ssl.ca.pem", "use `kafka.security.ca_file`"),
    (
        "ssl.certificate.location",
        "use `kafka.security.certificate_file`",
    ),
    (
        "ssl.certificate.pem",
        "use `kafka.security.certificate_file`",
    ),
    ("ssl.key.location", "use `kafka.security.key_file`"),
    ("ssl.key.password", "use `kafka.security.ssl_key_password`"),
    ("ssl.key.pem", "use `kafka.security.key_file`"),
    ("transaction.timeout.ms", "restoring depends on it"),
    ("transactional.id", "it is made of `kafka.instance`"),
];

/// The rules that `config`, read from `tree`, breaks.
///
/// `given` is the whole file: what is in it but not in `tree` has been complained of already.
pub(super) fn broken(
    config: &Config,
    tree: &Node,
    given: &Node,
    mappings: Option<&[&str]>,
) -> Vec<Problem> {
    let mut check = Check {
        tree,
        given,
        problems: Vec::new(),
    };
    check.profile(config);
    check.roles(config);
    check.kafka(config);
    check.security(config);
    check.topics(config);
    check.sources(config, mappings);
    check.limits(config);
    check.budget(config);
    check.problems
}

struct Check<'a> {
    tree: &'a Node,
    given: &'a Node,
    problems: Vec<Problem>,
}

impl Check<'_> {
    /// Unless `holds`, `path` is wrong.
    fn demand(&mut self, holds: bool, path: &[&str], message: impl Into<String>, hint: &str) {
        if !holds {
            self.problems
                .push(Problem::new(self.place(path), message, hint));
        }
    }

    /// Where `path` stands in the file, or else the innermost section around it.
    fn place(&self, path: &[&str]) -> Range<usize> {
        (1..=path.len())
            .rev()
            .find_map(|depth| self.tree.find(&path[..depth]))
            .map_or(0..0, |node| match &node.content {
                // Of a section, its first key is enough to point at.
                Content::Map(entries) => entries
                    .first()
                    .map_or(node.at.clone(), |entry| entry.at.clone()),
                _ => node.at.clone(),
            })
    }

    fn profile(&mut self, config: &Config) {
        let message =
            "`demo` is for the broker in `nhiwatch demo` only: nothing is restored with it";
        let hint = "use `dev` for one broker, `prod` for several";
        self.demand(config.profile != Profile::Demo, &["profile"], message, hint);
    }

    fn roles(&mut self, config: &Config) {
        let roles = &config.roles;
        let message = "this process would do nothing";
        let misspelt = self.given.find(&["roles", "0"]).is_some();
        self.demand(
            roles.intake || roles.watch || misspelt,
            &["roles"],
            message,
            "name `intake`, `watch` or both",
        );
        let sources = self.given.find(&["sources", "0"]).is_some();
        let idle = roles.intake && !roles.watch && !sources;
        let hint = "name raw topics under `sources`, or add the role `watch`";
        self.demand(
            !idle,
            &["roles"],
            "the role `intake` alone has no sources to read",
            hint,
        );
    }

    fn kafka(&mut self, config: &Config) {
        let kafka = &config.kafka;
        for broker in kafka.brokers.split(',') {
            let message = format!("`{broker}` is not a broker's host:port");
            let hint = "write for example kafka-1:9092,kafka-2:9092";
            self.demand(
                is_host_port(broker.trim()),
                &["kafka", "brokers"],
                message,
                hint,
            );
        }
        let named = !kafka.instance.is_empty()
            && kafka
                .instance
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        let message = format!("`{}` cannot name an instance", kafka.instance);
        self.demand(
            named,
            &["kafka", "instance"],
            message,
            "use letters, digits, `.`, `_` and `-`",
        );
        let message = format!("{} shards are not possible", kafka.shards);
        let shards = (1..=64).contains(&kafka.shards);
        self.demand(shards, &["kafka", "shards"], message, "expected 1 to 64");
        let session = kafka.session_timeout;
        self.demand(
            (Duration::from_secs(6)..=Duration::from_secs(300)).contains(&session),
            &["kafka", "session_timeout"],
            format!("{session:?} is no sensible session timeout"),
            "expected 6s to 5m",
        );
        let interval = kafka.commit_interval;
        let possible = Duration::from_millis(10)..=Duration::from_secs(10);
        let message = format!("a commit interval of {interval:?} is not possible");
        let holds = possible.contains(&interval);
        self.demand(
            holds,
            &["kafka", "commit_interval"],
            message,
            "expected 10ms to 10s",
        );
        let message = "a transaction of no records is not possible";
        let holds = kafka.commit_records >= 1;
        self.demand(
            holds,
            &["kafka", "commit_records"],
            message,
            "expected 1 or more",
        );
        let interval = kafka.checkpoint_interval;
        self.demand(
            interval <= Duration::from_secs(300),
            &["kafka", "checkpoint_interval"],
            format!("a checkpoint interval of {interval:?} is not possible"),
            "expected 0s to 5m",
        );
        let message = "a checkpoint of no records is not possible";
        self.demand(
            kafka.checkpoint_records >= 1,
            &["kafka", "checkpoint_records"],
            message,
            "expected 1 or more",
        );
        self.demand(
            kafka.checkpoint_identities >= 1,
            &["kafka", "checkpoint_identities"],
            "a checkpoint of no identities is not possible",
            "expected 1 or more",
        );
        for key in kafka.librdkafka.keys() {
            let set = SET_BY_NHIWATCH.iter().find(|(set, _)| set == key);
            if let Some((_, instead)) = set {
                let path = ["kafka", "librdkafka", key];
                let message = format!("`{key}` is set by nhiwatch itself");
                self.demand(false, &path, message, &format!("remove it: {instead}"));
            } else if is_secret(key) {
                let path = ["kafka", "librdkafka", key];
                let message = format!("`{key}` would be a secret in the file");
                let hint = "use `kafka.security`, which takes secrets from files or variables";
                self.demand(false, &path, message, hint);
            }
        }
        for (key, value) in &kafka.librdkafka {
            let refused = ClientConfig::new().set(key, value).create_native_config();
            let Err(KafkaError::ClientConfig(reason, ..)) = refused else {
                continue;
            };
            // Without the value: under a misspelt key it may be a secret.
            let message = match reason {
                RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN => {
                    format!("librdkafka has no setting `{key}`")
                }
                _ => format!("librdkafka does not take what is given for `{key}`"),
            };
            let hint = "librdkafka's CONFIGURATION.md lists its settings and what they take";
            self.demand(false, &["kafka", "librdkafka", key], message, hint);
        }
    }

    fn security(&mut self, config: &Config) {
        let security = &config.kafka.security;
        let logs_in = security.protocol.logs_in();
        let message = "logging in needs mechanism, username and sasl_password";
        let complete = ["mechanism", "username", "sasl_password"]
            .iter()
            .all(|key| {
                let given = self.given.find(&["kafka", "security", key]);
                given.is_some_and(|node| !node.is_null())
            });
        let hint = "add what is missing under `kafka.security`, or choose another protocol";
        self.demand(
            !logs_in || complete,
            &["kafka", "security", "protocol"],
            message,
            hint,
        );
        for (key, given) in [
            ("mechanism", security.mechanism.is_some()),
            ("username", security.username.is_some()),
            ("sasl_password", security.sasl_password.is_some()),
        ] {
            let message = format!("`{key}` has no effect with this protocol");
            let hint = "set `protocol` to sasl_ssl or sasl_plaintext, or remove it";
            self.demand(
                logs_in || !given,
                &["kafka", "security", key],
                message,
                hint,
            );
        }
    }

    fn topics(&mut self, config: &Config) {
        let topics = &config.topics;
        let named = [
            ("events", &topics.events),
            ("alerts", &topics.alerts),
            ("state", &topics.state),
            ("deadletter", &topics.deadletter),
            ("inventory", &topics.inventory),
            ("feedback", &topics.feedback),
        ];
        for (index, (key, topic)) in named.iter().enumerate() {
            self.topic(topic, &["topics", key]);
            let first = named[..index].iter().find(|(_, other)| other == topic);
            if let Some((first, _)) = first {
                // One of the two may be there by default only.
                let (at, other) = match self.tree.find(&["topics", key]) {
                    Some(_) => (key, first),
                    None => (first, key),
                };
                let message = format!("`{topic}` is also the topic for {other}");
                self.demand(false, &["topics", at], message, "give each its own topic");
            }
        }
        let message = format!("{} partitions are not possible", topics.partitions);
        let holds = topics.partitions >= 1;
        self.demand(
            holds,
            &["topics", "partitions"],
            message,
            "expected 1 or more",
        );
        let message = format!(
            "a replication factor of {} is not possible",
            topics.replication
        );
        let mut path = &["topics", "replication"][..];
        self.demand(topics.replication >= 1, path, message, "expected 1 or more");
        let lone = config.profile == Profile::Prod && topics.replication == 1;
        if self.tree.find(path).is_none() {
            path = &["profile"];
        }
        let message = "one copy of each topic is not enough with `profile: prod`";
        self.demand(
            !lone,
            path,
            message,
            "set `topics.replication: 3`, or use `profile: dev`",
        );
    }

    fn topic(&mut self, topic: &str, path: &[&str]) {
        let valid = !topic.is_empty()
            && topic.len() <= 249
            && !matches!(topic, "." | "..")
            && topic
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        let hint = "use up to 249 letters, digits, `.`, `_` and `-`";
        self.demand(valid, path, format!("`{topic}` cannot name a topic"), hint);
    }

    fn sources(&mut self, config: &Config, mappings: Option<&[&str]>) {
        let own = &config.topics;
        let own = [
            &own.events,
            &own.alerts,
            &own.state,
            &own.deadletter,
            &own.inventory,
            &own.feedback,
        ];
        for (index, source) in config.sources.iter().enumerate() {
            let place = index.to_string();
            let path = ["sources", &place, "topic"];
            self.topic(&source.topic, &path);
            let twice = config.sources[..index]
                .iter()
                .any(|other| other.topic == source.topic);
            let message = format!("the topic `{}` is read by an earlier source", source.topic);
            self.demand(!twice, &path, message, "name each raw topic once");
            let message = format!("`{}` is one of nhiwatch's own topics", source.topic);
            let raw = !own.contains(&&source.topic);
            self.demand(raw, &path, message, "sources are raw topics; name another");
            let known = mappings.is_none_or(|known| known.contains(&source.mapping.as_str()));
            let all = || mappings.into_iter().flatten().copied().chain(["auto"]);
            let hint = match nearest(&source.mapping, all()) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => format!(
                    "expected one of {}: the mappings that are built in",
                    all().collect::<Vec<_>>().join(", ")
                ),
            };
            let message = format!("unknown mapping `{}`", source.mapping);
            let path = ["sources", &place, "mapping"];
            self.demand(known || source.mapping == "auto", &path, message, &hint);
        }
    }

    fn budget(&mut self, config: &Config) {
        let (medium, high) = (config.budget.medium.get(), config.budget.high.get());
        let message = format!("more incidents that are `high` ({high}) than `medium` ({medium})");
        let hint = "expected at most as many: what is more severe is rarer";
        self.demand(high <= medium, &["budget", "high"], message, hint);
    }

    fn limits(&mut self, config: &Config) {
        let (identities, newcomers) = (config.limits.identities, config.limits.newcomers);
        let one = "expected 1 or more";
        let message = "no identities at all cannot be watched";
        self.demand(identities >= 1, &["limits", "identities"], message, one);
        let message = "nobody would ever be new";
        self.demand(newcomers >= 1, &["limits", "newcomers"], message, one);
    }
}

/// `kafka-1:9092`, `[::1]:9092`, optionally behind `PROTOCOL://`.
fn is_host_port(broker: &str) -> bool {
    let address = broker
        .split_once("://")
        .map_or(broker, |(_, address)| address);
    let Some((host, port)) = address.rsplit_once(':') else {
        return false;
    };
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let host_fits = match bare {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c))
        }
    };
    host_fits && port.parse::<u16>().is_ok_and(|port| port > 0)
}
