//! One module per command.

pub mod backtest;
pub mod calendars;
pub mod check;
pub mod completions;
pub mod demo;
pub mod detectors;
pub mod inspect;
pub mod logs;
pub mod map;
mod progress;
pub mod run;
pub mod simulate;
pub mod topics;

use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::sync::Arc;

use nhiwatch_detectors::kernel::engine::{Decision, Settings};

use crate::config::Config;
use crate::failure::Failure;
use crate::sources::{NATIVE, Sources};

/// The configuration in `file`, or the defaults, with every source's mapping one that there is.
pub(crate) fn config(file: Option<&Path>) -> Result<Config, Failure> {
    let sources = Sources::load(None)?;
    let mappings: Vec<&str> = sources.names().chain([NATIVE]).collect();
    Ok(Config::load_knowing(file, Some(&mappings))?)
}

/// Writes `text` to standard output. A reader that has gone away is no failure.
pub(crate) fn say(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::Environment(format!(
            "cannot write to standard output: {error}"
        ))),
        _ => Ok(()),
    }
}

/// What `config` decides by, over events mapped by `sources`.
///
/// # Errors
/// For a wrong calendar, or one that cannot be read.
fn decision(config: &Config, sources: &Sources) -> Result<Arc<Decision>, Failure> {
    Ok(Arc::new(Decision::new(Settings {
        detectors: config.detectors.clone(),
        budget: config.budget.clone(),
        limits: config.limits.clone(),
        calendars: crate::calendars::load(config.calendars.directory.as_deref())?,
        sources: sources.digest().to_owned(),
    })))
}
