//! What is declared of identities: the file, its schema, and what a backtest makes of it.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

mod backtest;
mod file;
mod schema;

use std::fs;

use nhiwatch::config::{ConfigErrors, Problem};
use nhiwatch::inventory::Inventory;

const EXAMPLE: &str = "config/inventory.yaml";

/// The inventory that `text` says, or all that is wrong with it.
pub(crate) fn parse(text: &str) -> Result<Inventory, (Vec<Problem>, String)> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("inventory.yaml");
    fs::write(&file, text).unwrap();
    Inventory::load(Some(&file)).map_err(|errors| {
        let told = errors.to_string();
        match errors {
            ConfigErrors::Invalid { problems, .. } => (problems, told),
            ConfigErrors::Unreadable { .. } => panic!("{told}"),
        }
    })
}
