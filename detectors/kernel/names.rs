//! The names behind the 32-bit symbols that chains are made of; one table per partition.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_64;

use super::event::Event;

/// What an identity did in one step: an action on a class of resources at a venue, as a hash, of which the
/// upper half is of the action alone.
#[derive(
    Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, serde::Serialize, serde::Deserialize,
)]
pub struct Symbol(pub u32);

impl Symbol {
    /// The symbol of `event`.
    #[must_use]
    pub fn of(event: &Event<'_>) -> Self {
        let action = xxh3_64(event.action.as_bytes());
        let mut hash = action;
        if let Some(class) = event.resource_class {
            hash = hash.rotate_left(32) ^ xxh3_64(class.as_bytes());
        }
        if let Some(venue) = event.venue {
            hash = hash.rotate_left(32) ^ xxh3_64(venue.as_bytes());
        }
        let upper = (action >> 48) as u32;
        Self(upper << 16 | u32::from(hash as u16))
    }

    /// That of its action, whatever it is done to: of two actions in 65,536 it is the same.
    #[must_use]
    pub const fn action(self) -> u32 {
        self.0 >> 16
    }
}

/// Symbols and the names they were first seen with, so that an alert can spell a chain out.
#[derive(Clone, Debug, Default)]
pub struct Names {
    known: BTreeMap<Symbol, Box<str>>,
    fresh: Vec<Symbol>,
    lost: u64,
}

impl Names {
    /// Names one partition keeps; the rest is spelt as numbers.
    const MAX: usize = 65_536;
    /// Bytes of a name that are kept.
    const BYTES_MAX: usize = 160;

    /// Notes the name of `event`'s step and gives its symbol; allocates only for a new one.
    pub fn note(&mut self, event: &Event<'_>) -> Symbol {
        let symbol = Symbol::of(event);
        if self.known.contains_key(&symbol) {
            return symbol;
        }
        if self.known.len() == Self::MAX {
            self.lost += 1;
        } else {
            let mut name = event.action.to_owned();
            if let Some(class) = event.resource_class {
                name.push_str(" [");
                name.push_str(class);
                name.push(']');
            }
            if let Some(venue) = event.venue {
                name.push_str(" @");
                name.push_str(venue);
            }
            let end = (0..=Self::BYTES_MAX.min(name.len()))
                .rev()
                .find(|&end| name.is_char_boundary(end))
                .unwrap_or(0);
            name.truncate(end);
            self.known.insert(symbol, name.into());
            self.fresh.push(symbol);
        }
        symbol
    }

    /// Steps that found no room for their name.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// The name of `symbol`.
    #[must_use]
    pub fn spell(&self, symbol: Symbol) -> String {
        match self.known.get(&symbol) {
            Some(name) => name.to_string(),
            None => format!("#{:08x}", symbol.0),
        }
    }

    /// The names noted since the last call, in order.
    pub fn take_fresh(&mut self) -> Vec<(Symbol, Box<str>)> {
        let mut fresh = std::mem::take(&mut self.fresh);
        fresh.sort_unstable();
        fresh
            .iter()
            .filter_map(|s| Some((*s, self.known.get(s)?.clone())))
            .collect()
    }

    /// Puts a name back that was stored before.
    pub fn restore(&mut self, symbol: Symbol, name: &str) {
        self.known.insert(symbol, name.into());
    }

    /// All names, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Symbol, &str)> {
        self.known.iter().map(|(symbol, name)| (*symbol, &**name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_that_pass_for_one_another_are_other_steps() {
        let symbol = |n: usize, class| {
            let action = n.to_string();
            Symbol::of(&Event {
                action: &action,
                resource_class: class,
                ..Event::default()
            })
        };
        let mut by_action: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for n in 0..3000 {
            by_action
                .entry(symbol(n, None).action())
                .or_default()
                .push(n);
        }
        let pairs: Vec<_> = by_action.values().filter(|same| same.len() > 1).collect();
        assert!((20..200).contains(&pairs.len()), "{}", pairs.len());
        for pair in pairs {
            for class in [None, Some("secrets")] {
                assert_ne!(symbol(pair[0], class), symbol(pair[1], class));
            }
        }
    }

    #[test]
    fn a_step_without_room_for_its_name_is_counted_and_spelt_as_a_number() {
        let mut names = Names::default();
        let mut note = |n: usize| {
            let action = n.to_string();
            let event = Event {
                action: &action,
                ..Event::default()
            };
            names.note(&event)
        };
        // Two actions may share a symbol.
        for n in 0..Names::MAX + 100 {
            note(n);
        }
        let symbol = note(Names::MAX + 99);
        assert!(names.lost() > 1);
        assert_eq!(names.known.len(), Names::MAX);
        assert!(names.spell(symbol).starts_with('#'));
    }
}
