//! Why a thread gives up what it has.

/// What goes on nevertheless, for the text of a refusal.
pub const ACCEPT: &str = "start once with --accept-data-loss earliest (or latest)";

/// Why a thread gives up what it has and starts again from what is committed.
#[derive(Debug, thiserror::Error)]
pub enum Teardown {
    /// The broker answered with an error, or not in time.
    #[error("{what}: {source}")]
    Broker {
        /// What was being done.
        what: &'static str,
        /// The answer.
        source: Box<dyn std::error::Error + Send + Sync>,
        /// Whether another process has joined the group under our name.
        fenced: bool,
    },
    /// What is stored contradicts itself: starting would lose or repeat something.
    #[error("{0}")]
    Refused(String),
}

impl Teardown {
    /// What comes next at `next` in a partition of `topic` was deleted before `group` had read it: the
    /// partition begins at `low` now.
    #[must_use]
    pub fn deleted(group: &str, topic: &str, (partition, next): (i32, i64), low: i64) -> Self {
        Self::Refused(format!(
            "partition {partition} of {topic}: group {group} goes on at {next}, but what came before {low} \
             is deleted: {} records were never read. To go on without them, {ACCEPT}",
            low - next
        ))
    }

    /// `what` was not done to its end, since the service is to stop.
    #[must_use]
    pub fn given_up(what: &'static str) -> Self {
        Self::Broker {
            what,
            source: "given up, since the service is to stop".into(),
            fenced: false,
        }
    }

    /// The metric label.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Broker { .. } => "kafka",
            Self::Refused(_) => "refused",
        }
    }

    /// Whether another process has joined the group under our name.
    #[must_use]
    pub const fn is_fenced(&self) -> bool {
        matches!(self, Self::Broker { fenced: true, .. })
    }
}
