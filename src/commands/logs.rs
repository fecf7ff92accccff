//! Which logs a command reads, and how: the flags that `backtest` and `map` share.

use std::path::PathBuf;

use crate::failure::Failure;
use crate::files::{Records, STDIN};
use crate::sources::Sources;

/// Logs and their format.
#[derive(Clone, Debug, clap::Args)]
pub struct LogArgs {
    /// Format of the input: the name of a mapping, `native` for the event schema itself, or `auto` to
    /// tell each record by its keys; for `backtest` and `inspect` also `log`, the exported events topic of
    /// a service
    #[arg(
        long,
        value_name = "NAME",
        default_value = "auto",
        env = "NHIWATCH_SOURCE"
    )]
    pub source: String,
    /// Folder with further mapping files
    #[arg(long, value_name = "DIR", env = "NHIWATCH_SOURCES")]
    pub sources: Option<PathBuf>,
    /// Files or folders to read, `-` for standard input; `.gz` and `.zst` are unpacked
    #[arg(required = true, value_name = "INPUT")]
    pub inputs: Vec<PathBuf>,
}

impl LogArgs {
    /// The mappings to read them by.
    ///
    /// # Errors
    /// As [`Sources::load`].
    pub fn mappings(&self) -> Result<Sources, Failure> {
        Sources::load(self.sources.as_deref())
    }

    /// How many bytes `records`, opened of them, have; unknown where some come through a pipe.
    #[must_use]
    pub fn bytes(&self, records: &Records<'_>) -> Option<u64> {
        let piped = self.inputs.iter().any(|input| input.as_os_str() == STDIN);
        (!piped).then(|| records.bytes())
    }
}
