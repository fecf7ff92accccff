//! The configuration file as types: what is here is valid.

mod load;
mod problem;
mod read;
mod rules;
mod security;
mod tree;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use nhiwatch_detectors::Configs;
use nhiwatch_detectors::kernel::budget::Budget;
use nhiwatch_detectors::kernel::engine::Limits;
use serde::Deserialize;

pub(crate) use self::load::{Reading, contents};
pub use self::problem::{ConfigErrors, Problem};
pub use self::read::nearest;
pub use self::rules::SET_BY_NHIWATCH;
pub use self::security::{Mechanism, Protocol, Secret, Security};

/// The whole configuration.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Which checks are demanded of the Kafka cluster.
    pub profile: Profile,
    /// What this process does.
    pub roles: Roles,
    /// Where to begin on the very first start.
    pub start: Start,
    /// How to reach and use Kafka.
    pub kafka: Kafka,
    /// Names and sizes of the topics.
    pub topics: Topics,
    /// Raw topics that `intake` reads, each with its mapping.
    pub sources: Vec<Source>,
    /// A file of what is declared of identities; see `config/inventory.yaml`.
    pub inventory: Option<PathBuf>,
    /// Trading calendars.
    pub calendars: CalendarFiles,
    /// Bounds.
    pub limits: Limits,
    /// How many false incidents one identity may cause in a year, by severity.
    pub budget: Budget,
    /// One section per detector: mode and settings.
    pub detectors: Configs,
    /// How alerts are written.
    pub alerts: Alerts,
    /// Metrics and health.
    pub http: Http,
}

/// Which checks are demanded of the Kafka cluster.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// The embedded broker: no restore, no meta check, any teardown ends the process. No file may
    /// ask for it.
    Demo,
    /// One broker, replication factor 1.
    #[default]
    Dev,
    /// Refuses replication factor 1.
    Prod,
}

/// What this process does; both unless said otherwise.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Roles {
    /// Raw topics to `nhi.events`.
    pub intake: bool,
    /// `nhi.events` to alerts.
    pub watch: bool,
}

impl Default for Roles {
    fn default() -> Self {
        Self {
            intake: true,
            watch: true,
        }
    }
}

impl<'de> Deserialize<'de> for Roles {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize, PartialEq)]
        #[serde(rename_all = "lowercase")]
        enum Role {
            Intake,
            Watch,
        }
        let roles = Vec::<Role>::deserialize(from)?;
        Ok(Self {
            intake: roles.contains(&Role::Intake),
            watch: roles.contains(&Role::Watch),
        })
    }
}

/// Where to begin where there is neither state nor a committed offset.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// With the oldest record kept.
    #[default]
    Earliest,
    /// With the next record that arrives.
    Latest,
}

/// How to reach and use Kafka.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Kafka {
    /// Bootstrap servers, `host:port,host:port`.
    pub brokers: String,
    /// Stable name of this instance: its group membership and its transactional ids are made of it.
    pub instance: String,
    /// Watch threads of this process, each with its own consumer and producer.
    pub shards: usize,
    /// After so long without a sign of life, an instance's partitions go to the others.
    #[serde(deserialize_with = "duration")]
    pub session_timeout: Duration,
    /// How long a transaction collects before it commits.
    #[serde(deserialize_with = "duration")]
    pub commit_interval: Duration,
    /// Records after which a transaction commits early.
    pub commit_records: usize,
    /// How old the stored state may become; a restart takes in again what came since.
    #[serde(deserialize_with = "duration")]
    pub checkpoint_interval: Duration,
    /// Records after which the state is stored early.
    pub checkpoint_records: u64,
    /// Identities of a partition that have changed since, after which its state is stored early; and how many, of all
    /// partitions, one transaction stores.
    pub checkpoint_identities: usize,
    /// A folder of this instance's own, in which what is stored of the state is kept as well, so that a restart need not
    /// read all of it from Kafka.
    pub state_cache: Option<PathBuf>,
    /// How connections are protected, and who we are.
    pub security: Security,
    /// Further librdkafka settings, passed through.
    pub librdkafka: BTreeMap<String, String>,
}

impl Default for Kafka {
    fn default() -> Self {
        Self {
            brokers: "127.0.0.1:9092".into(),
            instance: "nhiwatch-0".into(),
            shards: 1,
            session_timeout: Duration::from_secs(45),
            commit_interval: Duration::from_millis(500),
            commit_records: 100_000,
            checkpoint_interval: Duration::from_secs(5),
            checkpoint_records: 500_000,
            checkpoint_identities: 100_000,
            state_cache: None,
            security: Security::default(),
            librdkafka: BTreeMap::new(),
        }
    }
}

/// Names and sizes of the topics.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Topics {
    /// Normalised events, keyed by identity.
    pub events: String,
    /// Alerts.
    pub alerts: String,
    /// Baselines; compacted, as many partitions as `events`.
    pub state: String,
    /// Records that could not be read.
    pub deadletter: String,
    /// Inventory entries, keyed by identity; compacted.
    pub inventory: String,
    /// Analysts' judgements, keyed by identity.
    pub feedback: String,
    /// Partitions of `events` (and so of `state`) when `topics --create` makes them.
    pub partitions: i32,
    /// Replication factor when `topics --create` makes them.
    pub replication: i32,
}

impl Default for Topics {
    fn default() -> Self {
        Self {
            events: "nhi.events".into(),
            alerts: "nhi.alerts".into(),
            state: "nhi.state".into(),
            deadletter: "nhi.deadletter".into(),
            inventory: "nhi.inventory".into(),
            feedback: "nhi.feedback".into(),
            partitions: 6,
            replication: 1,
        }
    }
}

/// One raw topic and the mapping its records follow.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The topic.
    pub topic: String,
    /// Name of a mapping in `config/sources`, or `auto`.
    pub mapping: String,
}

/// Trading calendars: those built in, and a folder with more.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct CalendarFiles {
    /// A folder of `*.yaml` calendars; one for a venue built in replaces it.
    pub directory: Option<PathBuf>,
}

/// How alerts are written.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Alerts {
    /// The layout of the records on the alert topic.
    pub format: AlertFormat,
}

/// The layout of an alert.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum AlertFormat {
    /// OCSF Detection Finding.
    #[default]
    Ocsf,
    /// Our own flat object.
    Native,
}

/// Metrics and health.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Where `/metrics`, `/healthz` and `/readyz` are served.
    #[serde(deserialize_with = "address")]
    pub listen: SocketAddr,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 9464)),
        }
    }
}

fn duration<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(from)?;
    duration_of(&text).ok_or_else(|| {
        serde::de::Error::custom(format!("`{text}` is not a duration such as 200ms or 5m"))
    })
}

/// The duration that `text`, such as `200ms`, `5m` or `90d`, says.
pub(crate) fn duration_of(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(split);
    let unit = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let number = number.parse::<u64>().ok()?;
    Some(Duration::from_millis(number.saturating_mul(unit)))
}

fn address<'de, D: serde::Deserializer<'de>>(from: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(from)?;
    text.parse().map_err(|_| {
        serde::de::Error::custom(format!("`{text}` is not an address such as 127.0.0.1:9464"))
    })
}
