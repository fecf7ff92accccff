//! One entry of the inventory, whether it stands in the file or in a record of the topic.

use nhiwatch_detectors::kernel::inventory::Declared;
use nhiwatch_detectors::kernel::schedule::Schedule;
use serde::de::SeqAccess;
use serde::{Deserialize, Serialize};

use super::forms::{List, Short, Shortened};
use super::values::{
    Actor, Amount, Date, Hours, Mic, Name, Network, Period, Text, Tier, Url, Zone,
};

/// What is declared of one identity; only `identity` is required.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its stable id.
    pub identity: Name,
    /// Other names that the logs use for it.
    #[serde(default, skip_serializing_if = "List::is_empty")]
    pub aliases: List<Name, 32>,
    /// What sort of actor it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Actor>,
    /// Who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Text>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<Text>,
    /// The application it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<Text>,
    /// The environment it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<Text>,
    /// Its declared peer group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Text>,
    /// The third party that runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<Text>,
    /// 1 (most critical) to 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
    /// Whether it may act at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Date>,
    /// When it was retired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decommissioned: Option<Date>,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Date>,
    /// When somebody last confirmed that it is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reviewed: Option<Date>,
    /// How often somebody must.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recertify_every: Option<Period>,
    /// The zone whose wall clock it follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<Zone>,
    /// When it may act.
    #[serde(default, skip_serializing_if = "List::is_empty")]
    pub schedule: List<Hours, { Schedule::WINDOWS_MAX }>,
    /// What it may do; nothing was declared where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Shortened<Scope>>,
    /// What it logs in with.
    #[serde(default, skip_serializing_if = "List::is_empty")]
    pub credentials: List<Shortened<Credential>, 64>,
    /// Globs of the actions that need an approval.
    #[serde(default, skip_serializing_if = "List::is_empty")]
    pub approval_required: List<Text, 256>,
    /// Whether it is a trap that nobody should touch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub honey: Option<bool>,
    /// Where to read what to do about its alerts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runbook: Option<Url>,
}

impl Entry {
    /// The entry in the value of a record of the topic.
    ///
    /// # Errors
    /// What is wrong with it first, in words.
    pub fn read(json: &[u8]) -> Result<Self, String> {
        // A list would be taken for the values of the keys in their order.
        if !json.trim_ascii_start().starts_with(b"{") {
            return Err("not a JSON object".to_owned());
        }
        let mut reader = serde_json::Deserializer::from_slice(json);
        let entry: Self =
            serde_path_to_error::deserialize(&mut reader).map_err(|error| error.to_string())?;
        reader.end().map_err(|error| error.to_string())?;
        match entry.needless_alias() {
            Some((nth, alias)) => Err(format!(
                "aliases[{nth}]: `{alias}` is the identity itself or stands here twice"
            )),
            None => Ok(entry),
        }
    }

    /// The entry as one line of JSON, as a record of the topic holds it.
    #[must_use]
    pub fn json(&self) -> String {
        // Its maps have keys that are texts, and its numbers are finite.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The part that detection uses.
    #[must_use]
    pub fn declared(&self) -> Declared {
        let text = |text: &Option<Text>| text.as_ref().map(ToString::to_string);
        let venues = self.scope.iter().flat_map(|scope| scope.0.venues.iter());
        Declared {
            timezone: self.timezone.as_ref().map(|zone| zone.0),
            owner: text(&self.owner),
            group: text(&self.group),
            tier: self.tier.map(|tier| tier.0),
            schedule: Schedule {
                windows: self.schedule.iter().map(|hours| hours.0).collect(),
            },
            venues: venues.map(ToString::to_string).collect(),
        }
    }

    /// The first name in `aliases` that is the identity itself or stands there twice, with its place.
    #[must_use]
    pub fn needless_alias(&self) -> Option<(usize, &Name)> {
        let earlier = |nth: usize| self.aliases.iter().take(nth).chain([&self.identity]);
        let mut aliases = self.aliases.iter().enumerate();
        aliases.find(|(nth, alias)| earlier(*nth).any(|other| other == *alias))
    }
}

/// Whether an identity may act.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It may.
    Active,
    /// It may not, for now.
    Suspended,
    /// It never may again.
    Retired,
}

/// What an identity may do, by what is limited; what is empty is not limited. A list of globs alone is
/// its `actions`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scope {
    /// Globs of actions.
    #[serde(skip_serializing_if = "List::is_empty")]
    pub actions: List<Text, 256>,
    /// Globs of resources.
    #[serde(skip_serializing_if = "List::is_empty")]
    pub resources: List<Text, 256>,
    /// Venues, by their MIC.
    #[serde(skip_serializing_if = "List::is_empty")]
    pub venues: List<Mic, { Declared::VENUES_MAX }>,
    /// Addresses and networks it acts from.
    #[serde(skip_serializing_if = "List::is_empty")]
    pub networks: List<Network, 256>,
    /// The largest amount of one order or payment, in its currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_amount: Option<Amount>,
}

impl Short for Scope {
    const FORMS: &'static str = "a list of actions, or keys such as `actions` and `venues`";

    fn from_list<'de, A: SeqAccess<'de>>(list: A) -> Option<Result<Self, A::Error>> {
        let scope = |actions| Self {
            actions,
            ..Self::default()
        };
        Some(List::read(list).map(scope))
    }
}

/// What an identity logs in with. A text alone is its `id`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    /// Its id, never the secret.
    pub id: Name,
    /// What sort it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<CredentialKind>,
    /// When it was issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued: Option<Date>,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Date>,
    /// How often it must be replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate_every: Option<Period>,
}

impl Short for Credential {
    const FORMS: &'static str = "the id of a credential, or keys such as `id` and `issued`";

    fn from_text(text: &str) -> Option<Result<Self, String>> {
        let credential = |id| Self {
            id,
            kind: None,
            issued: None,
            expires: None,
            rotate_every: None,
        };
        Some(text.parse().map(credential))
    }
}

/// What sort a credential is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialKind {
    /// A long-lived key.
    AccessKey,
    /// A key for one session.
    SessionToken,
    /// A token of an authorisation server.
    OauthToken,
    /// A client certificate.
    Mtls,
    /// A password.
    Password,
    /// A signed token.
    Jwt,
    /// Not known.
    Unknown,
}
