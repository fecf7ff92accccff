//! One module per command.

pub mod backtest;
pub mod calendars;
pub mod check;
pub mod completions;
pub mod detectors;
pub mod map;
pub mod simulate;

use std::io::{ErrorKind, Write as _};

use crate::failure::Failure;

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
