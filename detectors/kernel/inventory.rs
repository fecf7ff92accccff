//! What the owners of an identity have declared about it.

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::schedule::Schedule;
use super::time::Timestamp;

/// The part of an inventory entry that detection uses; it is kept with the identity's state.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Declared {
    /// IANA time zone whose wall clock the identity follows; UTC where none is declared.
    #[serde(with = "zone_name")]
    pub timezone: Option<Tz>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Its declared peer group.
    pub group: Option<String>,
    /// 1 (most critical) to 4.
    pub tier: Option<u8>,
    /// When it may act, on the wall clock of its zone.
    pub schedule: Schedule,
    /// Codes (MIC) of the venues it may trade on, at most [`Declared::VENUES_MAX`]; none where
    /// nothing was declared.
    pub venues: Vec<String>,
}

impl Declared {
    /// How many venues one identity may have.
    pub const VENUES_MAX: usize = 32;

    /// Whether it may act at `ts`.
    #[must_use]
    pub fn allows(&self, ts: Timestamp) -> bool {
        self.schedule.covers(ts, Self::zone(Some(self)))
    }

    /// The zone whose wall clock the identity follows.
    #[must_use]
    pub fn zone(declared: Option<&Self>) -> Tz {
        declared
            .and_then(|declared| declared.timezone)
            .unwrap_or(Tz::UTC)
    }
}

/// A zone is stored by its name, so that a newer zone table still reads it.
mod zone_name {
    use chrono_tz::Tz;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::ref_option, reason = "serde passes the field by reference")]
    pub(super) fn serialize<S: Serializer>(zone: &Option<Tz>, to: S) -> Result<S::Ok, S::Error> {
        zone.map(Tz::name).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Tz>, D::Error> {
        let name = Option::<String>::deserialize(from)?;
        Ok(name.and_then(|name| name.parse().ok()))
    }
}
