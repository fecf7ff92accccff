//! What the owners of identities declare: one entry for each, from a file or from the inventory topic.

mod aliases;
mod entry;
mod file;
mod forms;
mod values;

use std::path::Path;

pub use aliases::Aliases;
pub use entry::{Credential, CredentialKind, Entry, Scope, Status};
pub use forms::{List, Short, Shortened};
pub use values::{Actor, Amount, Date, Hours, Mic, Name, Network, Period, Text, Tier, Url, Zone};

use crate::config::ConfigErrors;

/// The entries of a file, and the names that its logs use beside the declared ones.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inventory {
    entries: Vec<Entry>,
    aliases: Aliases,
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

    /// Which identity each name stands for.
    #[must_use]
    pub const fn aliases(&self) -> &Aliases {
        &self.aliases
    }
}

impl From<Vec<Entry>> for Inventory {
    fn from(entries: Vec<Entry>) -> Self {
        let mut aliases = Aliases::default();
        entries.iter().for_each(|entry| aliases.declare(entry));
        Self { entries, aliases }
    }
}
