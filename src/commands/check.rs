//! `nhiwatch check`: everything that is wrong with a configuration, at once.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::calendars;
use crate::failure::Failure;
use crate::inventory::Inventory;

/// Check a configuration file
///
/// Reports every error at once, each with its place and, where there is one, its cure: of the file itself, of the calendars and
/// of the inventory that it names. Contacts nothing, and reads no secret.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// The configuration file; without one the defaults hold
    #[arg(long, short, env = "NHIWATCH_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Checks the file, and the calendars and the inventory it names.
///
/// # Errors
///
/// Where one is invalid, or cannot be read.
pub fn run(args: &CheckArgs) -> Result<ExitCode, Failure> {
    let config = super::config(args.config.as_deref())?;
    let calendars = calendars::load(config.calendars.directory.as_deref());
    let inventory = Inventory::load(config.inventory.as_deref());
    match (calendars, inventory) {
        (Err(calendars), Err(inventory)) => {
            let inventory = Failure::from(inventory);
            return Err(Failure::Invalid(format!(
                "{calendars}\n\nerror: {inventory}"
            )));
        }
        (calendars, inventory) => {
            calendars?;
            inventory?;
        }
    }
    super::say(&match &args.config {
        Some(file) => format!("{} is fine\n", file.display()),
        None => "no config file given; the defaults are fine\n".to_owned(),
    })?;
    Ok(ExitCode::SUCCESS)
}
