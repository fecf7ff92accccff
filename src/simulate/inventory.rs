//! What the bank's owners have declared about its identities.

use std::fmt::Write as _;

use super::identity::{Family, Identity};
use super::stage::Life;

/// One entry of the inventory.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry<'a> {
    /// Its stable id; for a cloud role its ARN.
    pub identity: &'a str,
    /// What sort of identity it is, as in its events.
    pub kind: &'static str,
    /// Who answers for it.
    pub owner: &'static str,
    /// Its application, as in its events.
    pub app: &'a str,
    /// Its peer group: the application without the number.
    pub group: &'a str,
    /// 1 (most critical) to 4.
    pub tier: u8,
    /// Whether it is still in use.
    pub retired: bool,
    /// First day of its use, where that is within the run.
    pub created: Option<chrono::NaiveDate>,
    /// First day after its use, where it is retired.
    pub decommissioned: Option<chrono::NaiveDate>,
    /// IANA name of the zone whose wall clock it follows.
    pub timezone: &'static str,
    /// When it works, in `timezone`, such as `Mon-Fri 07:00-17:00`; empty where at any time.
    pub schedule: Vec<String>,
}

impl Entry<'_> {
    /// The entry as an item of the list `identities` of an inventory file, indented by two.
    #[must_use]
    pub fn yaml(&self) -> String {
        let mut out = format!("  - identity: \"{}\"\n", self.identity);
        // Nothing here holds a character that would have to be escaped.
        let mut field = |name: &str, value: &str| {
            let _ = writeln!(out, "    {name}: {value}");
        };
        field("kind", self.kind);
        field("owner", &format!("\"{}\"", self.owner));
        field("app", &format!("\"{}\"", self.app));
        field("env", "prod");
        field("group", &format!("\"{}\"", self.group));
        field("tier", &self.tier.to_string());
        field("status", if self.retired { "retired" } else { "active" });
        if let Some(day) = self.created {
            field("created", &format!("\"{day}\""));
        }
        if let Some(day) = self.decommissioned {
            field("decommissioned", &format!("\"{day}\""));
        }
        field("timezone", self.timezone);
        if !self.schedule.is_empty() {
            field(
                "schedule",
                &format!("[\"{}\"]", self.schedule.join("\", \"")),
            );
        }
        out
    }
}

impl Identity {
    pub(super) fn declared(&self, life: Life) -> Entry<'_> {
        let (start, past) = self.hours;
        Entry {
            identity: &self.name,
            kind: self.family.kind(),
            owner: self.family.owner(),
            app: &self.app,
            group: self.group(),
            tier: self.family.tier(),
            retired: life.retired.is_some(),
            created: life.created,
            decommissioned: life.retired,
            timezone: self.zone.name(),
            schedule: match self.family {
                Family::Algo => vec![self.market().window()],
                // An hour for what is begun at the end of the day.
                Family::Agent | Family::Payment => {
                    vec![format!("Mon-Fri {start:02}:00-{:02}:00", past + 1)]
                }
                Family::Batch => vec![format!("Mon-Sun {start:02}:{past:02}-{:02}:00", start + 4)],
                Family::Cloud | Family::Poller | Family::Integration => Vec::new(),
            },
        }
    }
}

impl Family {
    fn owner(self) -> &'static str {
        match self {
            Self::Algo => "equities-desk@bank.example",
            Self::Agent => "agents@bank.example",
            Self::Cloud => "cloud-platform@bank.example",
            Self::Payment => "payments@bank.example",
            Self::Batch => "operations@bank.example",
            Self::Poller => "market-data@bank.example",
            Self::Integration => "vendors@bank.example",
        }
    }

    fn tier(self) -> u8 {
        match self {
            Self::Algo | Self::Payment => 1,
            Self::Batch | Self::Cloud => 2,
            Self::Agent | Self::Integration => 3,
            Self::Poller => 4,
        }
    }
}
