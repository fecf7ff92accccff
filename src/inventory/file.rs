//! The inventory as a file: a list of entries, and all that is wrong with it at once.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::Inventory;
use super::entry::Entry;
use crate::config::{ConfigErrors, Problem, Reading, contents};

/// No inventory is larger, in bytes: some fifty thousand identities.
const SIZE_MAX: u64 = 16 << 20;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    identities: Vec<Entry>,
}

/// The inventory in `file`.
///
/// # Errors
/// All that is wrong with the file at once, or that it cannot be read.
pub(super) fn load(file: &Path) -> Result<Inventory, ConfigErrors> {
    let text = contents(file, SIZE_MAX)
        .map_err(|reason| ConfigErrors::unreadable("inventory file", file, reason))?;
    parse(&text).map_err(|problems| ConfigErrors::Invalid {
        file: file.to_owned(),
        text,
        problems,
    })
}

/// The inventory in `text`.
///
/// # Errors
/// All that is wrong with it, in the order of the text.
pub(super) fn parse(text: &str) -> Result<Inventory, Vec<Problem>> {
    let mut reading = Reading::<File>::of(text);
    let file = reading.value.take().unwrap_or_default();
    let mut clashes = clashes(&file.identities, &reading);
    reading.problems.append(&mut clashes);
    if reading.problems.is_empty() && file.identities.is_empty() {
        reading.problems.push(Problem::new(
            0..0,
            "no identity is declared here",
            "write `identities:` and a list of entries, each with its `identity`",
        ));
    }
    reading.finish(Inventory::from(file.identities))
}

/// Names that stand for two identities, or twice for one.
fn clashes(entries: &[Entry], reading: &Reading<File>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut tell = |nth: usize, path: &[&str], message: String, hint: &str| {
        let nth = nth.to_string();
        let path = [&["identities", nth.as_str()], path].concat();
        problems.push(Problem::new(reading.place(&path), message, hint));
    };
    let mut known: BTreeMap<&str, &str> = BTreeMap::new();
    for (nth, entry) in entries.iter().enumerate() {
        let identity = entry.identity.as_str();
        if known.insert(identity, identity).is_some() {
            let message = format!("`{identity}` is declared twice");
            tell(
                nth,
                &["identity"],
                message,
                "keep one entry for each identity",
            );
        }
    }
    for (nth, entry) in entries.iter().enumerate() {
        let identity = entry.identity.as_str();
        for (place, alias) in entry.aliases.iter().enumerate() {
            let place = place.to_string();
            let path = ["aliases", place.as_str()];
            let alias = alias.as_str();
            match known.insert(alias, identity) {
                None => {}
                Some(other) if other == identity => {
                    let message = format!("`{alias}` is the identity itself or stands here twice");
                    tell(nth, &path, message, "remove it");
                }
                Some(other) => {
                    let message = if other == alias {
                        format!("`{alias}` is an identity of its own")
                    } else {
                        format!("`{alias}` is an alias of `{other}` already")
                    };
                    tell(
                        nth,
                        &path,
                        message,
                        "a name stands for one identity; remove one",
                    );
                }
            }
        }
    }
    problems
}
