//! What the owners of an identity have declared about it.

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

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
}

impl Declared {
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
