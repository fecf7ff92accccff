//! The words that label metrics.

/// What became of one raw record in `intake`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Intake {
    /// It became one or more events.
    Mapped,
    /// Its mapping leaves such records out on purpose.
    Skipped,
    /// An inventory entry or a ruling, passed on as it is.
    Control,
    /// It could not be read, wholly or in part.
    Deadletter,
}

impl Intake {
    /// Every outcome.
    pub const ALL: [Self; 4] = [Self::Mapped, Self::Skipped, Self::Control, Self::Deadletter];

    /// Its label.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Mapped => "mapped",
            Self::Skipped => "skipped",
            Self::Control => "control",
            Self::Deadletter => "deadletter",
        }
    }
}

/// Who reads from Kafka.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// The intake, from raw topics, inventory and feedback.
    Intake,
    /// The shards, from the event topic.
    Watch,
}

impl Role {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Intake, Self::Watch];

    /// Its label.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Intake => "intake",
            Self::Watch => "watch",
        }
    }
}
