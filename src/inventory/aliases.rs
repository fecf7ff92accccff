//! Which identity the names in logs stand for.

use std::collections::{BTreeMap, BTreeSet};

use super::entry::Entry;
use crate::sources::MappedEvent;
use crate::wire::Reject;

/// The names that are declared as somebody's, however the entries come and in whatever order: an
/// identity with an entry of its own is nobody's alias, and of two that claim a name the first in the
/// alphabet has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Aliases {
    /// Who claims each alias.
    claims: BTreeMap<String, BTreeSet<String>>,
    /// The aliases of each identity that has an entry.
    declared: BTreeMap<String, Vec<String>>,
}

impl Aliases {
    /// Takes over `entry`, in the place of what its identity declared before.
    pub fn declare(&mut self, entry: &Entry) {
        let identity = entry.identity.as_str();
        self.remove(identity);
        let aliases: Vec<String> = entry.aliases.iter().map(ToString::to_string).collect();
        for alias in &aliases {
            let claims = self.claims.entry(alias.clone()).or_default();
            claims.insert(identity.to_owned());
        }
        self.declared.insert(identity.to_owned(), aliases);
    }

    /// Forgets what `identity` declared.
    pub fn remove(&mut self, identity: &str) {
        for alias in self.declared.remove(identity).unwrap_or_default() {
            if let Some(claims) = self.claims.get_mut(&alias) {
                claims.remove(identity);
                if claims.is_empty() {
                    self.claims.remove(&alias);
                }
            }
        }
    }

    /// The identity that `name` stands for, where it is another's alias.
    #[must_use]
    pub fn identity(&self, name: &str) -> Option<&str> {
        let claims = self.claims.get(name)?;
        let own = self.declared.contains_key(name);
        claims.first().map(String::as_str).filter(|_| !own)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(identity: &str, aliases: &[&str]) -> Entry {
        let json = serde_json::json!({"identity": identity, "aliases": aliases}).to_string();
        Entry::read(json.as_bytes()).unwrap()
    }

    #[test]
    fn names_stand_for_the_same_identity_in_whatever_order_they_are_declared() {
        let entries = [
            entry("a", &["x", "b"]),
            entry("b", &["x", "y"]),
            entry("c", &["y"]),
        ];
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let mut aliases = Aliases::default();
            for index in order {
                aliases.declare(&entries[index]);
            }
            for (name, identity) in [("x", Some("a")), ("y", Some("b")), ("b", None), ("z", None)] {
                assert_eq!(aliases.identity(name), identity, "{name} in {order:?}");
            }
        }
    }

    #[test]
    fn a_new_entry_takes_the_place_of_the_old_and_the_end_of_one_frees_its_names() {
        let mut aliases = Aliases::default();
        aliases.declare(&entry("a", &["x", "y"]));
        aliases.declare(&entry("b", &["y"]));
        aliases.declare(&entry("a", &["z"]));
        let of = |aliases: &Aliases, name: &str| aliases.identity(name).map(str::to_owned);
        assert_eq!(of(&aliases, "x"), None);
        assert_eq!(of(&aliases, "y"), Some("b".to_owned()));
        assert_eq!(of(&aliases, "z"), Some("a".to_owned()));
        aliases.remove("a");
        aliases.remove("b");
        assert_eq!(aliases, Aliases::default());
    }
}
