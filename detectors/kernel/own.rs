//! What is published that no detector has found.

use super::detector::{Card, Family, Scope, Severity};

/// The cards of all of it.
pub const OWN: [&Card; 5] = [&RISK, &BASELINE, &STORM, &IDENTITY_FLOOD, &UNREADABLE];

/// What is published where no single finding holds half of the risk.
pub const RISK: Card = Card {
    name: "risk",
    summary: "Several findings that are nothing alone add up",
    severity: Severity::Medium,
    family: Family::Statistical,
    scope: Scope::Identity,
    controls: &[],
    page: "",
};

/// What is published when a level has been taken for normal.
pub const BASELINE: Card = Card {
    name: "baseline",
    summary: "A new level was taken for normal",
    severity: Severity::Info,
    family: Family::Statistical,
    scope: Scope::Identity,
    controls: &[],
    page: "",
};

/// What is published where one cause makes incidents of many identities.
pub const STORM: Card = Card {
    name: "storm",
    summary: "The same is found of many identities on one day",
    severity: Severity::Medium,
    family: Family::Statistical,
    scope: Scope::Partition,
    controls: &[],
    page: "",
};

/// What is published where more identities are invented than there is room for.
pub const IDENTITY_FLOOD: Card = Card {
    name: "identity-flood",
    summary: "More new identities than there is room for",
    severity: Severity::High,
    family: Family::Policy,
    scope: Scope::Partition,
    controls: &[],
    page: "",
};

/// What is published where records cannot be read.
pub const UNREADABLE: Card = Card {
    name: "unreadable",
    summary: "Records of a source cannot be read",
    severity: Severity::Medium,
    family: Family::Policy,
    scope: Scope::Partition,
    controls: &[],
    page: "",
};
