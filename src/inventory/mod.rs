//! What the owners of identities declare: one entry for each, from a file or from the inventory topic.

mod entry;
mod file;
mod forms;
mod values;

use std::collections::BTreeMap;
use std::path::Path;

pub use entry::{Credential, CredentialKind, Entry, Scope, Status};
pub use forms::{List, Short, Shortened};
pub use values::{Actor, Amount, Date, Hours, Mic, Name, Network, Period, Text, Tier, Url, Zone};

use crate::config::ConfigErrors;
use crate::sources::MappedEvent;
use crate::wire::Reject;

/// The entries of a file, with the names that its logs use beside the declared ones.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inventory {
    entries: Vec<Entry>,
    /// Which identity each alias stands for.
    aliases: BTreeMap<String, String>,
}

impl Inventory {
    /// The inventory in `file`; an empty one where there is none.
    ///
    /// # Errors
    /// All that is wrong with the file at once, or that it cannot be read.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigErrors> {
        file.map_or_else(|| Ok(Self::default()), file::load)
    }

    /// The entries, in the order of the file.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The identity that `name` stands for, where it is another's alias.
    #[must_use]
    pub fn identity(&self, name: &str) -> Option<&str> {
        self.aliases.get(name).map(String::as_str)
    }

    /// `event`, of the identity that its name stands for. Who makes events does so here, before they
    /// have a partition.
    ///
    /// # Errors
    /// As reading the event again.
    pub fn resolve(&self, event: MappedEvent) -> Result<MappedEvent, Reject> {
        match self.identity(&event.identity) {
            Some(identity) => event.with_identity(identity),
            None => Ok(event),
        }
    }
}

impl From<Vec<Entry>> for Inventory {
    fn from(entries: Vec<Entry>) -> Self {
        let of = |entry: &Entry| {
            let identity = entry.identity.to_string();
            let pair = move |alias: &Name| (alias.to_string(), identity.clone());
            entry.aliases.iter().map(pair).collect::<Vec<_>>()
        };
        let aliases = entries.iter().flat_map(of).collect();
        Self { entries, aliases }
    }
}
